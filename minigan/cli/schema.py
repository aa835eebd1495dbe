"""schema: the JSON Schema of everything that --json prints."""

from importlib import resources

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of everything that --json prints."""
    text = resources.files("minigan.cli").joinpath("schema.json").read_text(encoding="utf-8")  # also of a zip
    click.echo(text, nl=False)
