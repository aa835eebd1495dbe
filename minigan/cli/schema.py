"""schema: the JSON Schema of everything that --json prints."""

from pathlib import Path

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of everything that --json prints."""
    click.echo(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"), nl=False)
