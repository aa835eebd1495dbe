"""presets: the built-in experiments."""

from dataclasses import asdict

import click

from minigan.cli.common import json_option, print_json


@click.command()
@json_option
def presets(as_json: bool) -> None:
    """List the built-in experiments: how long each takes, what it shows, and in how many of 20 seeds."""
    from minigan.training.presets import PRESETS

    if as_json:
        listed = {name: asdict(preset) | {"expect": preset.expect} for name, preset in PRESETS.items()}
        return print_json(presets=listed)
    width = max(map(len, PRESETS))
    for name, preset in PRESETS.items():
        click.echo(f"{name:{width}}  {preset.description} · {preset.seconds:.0f} s · {preset.expect}")
