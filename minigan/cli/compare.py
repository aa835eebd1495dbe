"""compare: runs side by side."""

import json
from typing import Any

import click

from minigan.cli.common import print_json, print_notes, print_table, report_option
from minigan.cli.completion import complete_run
from minigan.errors import ConfigError, DataError, printable


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_run)
@click.option("--sort", metavar="COLUMN", help="Order the runs by a column; runs without a value come last.")
@click.option("--descending", is_flag=True, help="The largest first.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of the table.")
@report_option
def compare(runs: tuple[str, ...], sort: str | None, descending: bool, as_csv: bool, as_json: bool) -> None:
    """Put runs side by side: the settings in which they differ, how far they came, and what came of it.

    RUN is a run directory or one that contains some; a run may still be going on.
    """
    from minigan.sweeps.compare import compare as put_side_by_side

    if as_csv and as_json:
        raise ConfigError("give --csv or --json, not both")
    if descending and sort is None:
        raise ConfigError("--descending says the order of --sort; give --sort COLUMN")
    compared = put_side_by_side(runs)
    if not compared.rows:
        raise DataError(f"no run could be read; {'; '.join(compared.notes)}")
    if sort is not None:
        compared = compared.sorted_by(sort, descending=descending)
    print_notes(compared.notes)
    if as_json:
        return print_json(**compared.as_dict())
    cells = [[row[column] for column in compared.columns] for row in compared.rows]
    if not as_csv:
        left = 2  # run and status
        return print_table(compared.columns, [[_format_value(value) for value in row] for row in cells], left)
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(compared.columns)
    writer.writerows([["" if value is None else _format_exact(value) for value in row] for row in cells])
    click.echo(text.getvalue(), nl=False)


def _format_value(value: Any) -> str:
    """A value of a table as a person reads it."""
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else _format_exact(value)


def _format_exact(value: Any) -> str:
    """A value as text that can be read back."""
    return printable(value) if isinstance(value, str) else json.dumps(value)
