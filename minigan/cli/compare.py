"""compare: runs side by side."""

import json
import os
import shutil
from collections.abc import Sequence
from typing import Any

import click

from minigan.cli.common import print_json, print_notes, print_table, report_option
from minigan.cli.completion import complete_run
from minigan.cli.streams import shown
from minigan.errors import ConfigError, DataError, printable

WIDTH = 110  # of a table in a file
LONGEST = 36  # characters of a value, or of a name where the table is too wide


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_run)
@click.option("--sort", metavar="COLUMN", help="Order the runs by a column; runs without a value come last.")
@click.option("--descending", is_flag=True, help="The largest first.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of the table.")
@report_option
def compare(runs: tuple[str, ...], sort: str | None, descending: bool, as_csv: bool, as_json: bool) -> None:
    """Put runs side by side: the settings in which they differ, how far they came, and what came of it.

    RUN is a run directory or one that contains some, as that of a sweep; a run may still be going on. The
    table fits the terminal: columns without a value are left out, and those that do not fit follow below.
    --csv and --json have all of them.
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
        return _print_tables(compared.columns, cells)
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(compared.columns)
    writer.writerows([["" if value is None else _format_exact(value) for value in row] for row in cells])
    click.echo(text.getvalue(), nl=False)


def _print_tables(columns: Sequence[str], cells: Sequence[Sequence[Any]]) -> None:
    """All columns in one table; where the width does not hold them, those with values in several."""
    from minigan.sweeps.compare import BEFORE, RESULTS

    table = [list(columns), *([row[0], *map(_format_value, row[1:])] for row in cells)]
    # A file is no wider than what fits beside another window; who wants whole lines has --csv.
    room = shutil.get_terminal_size((WIDTH, 24)).columns
    if _width(table, range(len(columns))) <= room:
        return print_table(table[0], table[1:], left=len(BEFORE) - 1)
    folder = os.path.dirname(os.path.commonprefix([row[0] for row in cells])) if len(cells) > 1 else ""
    if folder.strip("/"):  # said once instead of in every line
        click.echo(f"in {shown(printable(folder))}:")
        table[1:] = [[row[0].removeprefix(f"{folder}/"), *row[1:]] for row in table[1:]]
    short = [_middle_cut(row[0]) for row in table]
    if len(set(short)) == len(table):
        table = [[name, *row[1:]] for name, row in zip(short, table, strict=True)]
    # What came of the runs stands first, and then their settings.
    ranks = {name: k for k, name in enumerate((*BEFORE, *RESULTS))}
    left = [k for k, name in enumerate(columns) if name in BEFORE or any(row[k] is not None for row in cells)]
    left = sorted(left[1:], key=lambda k: ranks.get(columns[k], len(ranks)))
    flush = len(BEFORE) - 1
    while left:
        part = [left.pop(0)]
        while left and _width(table, (0, *part, left[0])) <= room:
            part.append(left.pop(0))
        print_table(*_columns(table, (0, *part)), left=flush)
        flush = 1
        if left:
            click.echo()


def _columns(table: list[list[str]], kept: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of some columns."""
    header, *rows = [[row[k] for k in kept] for row in table]
    return header, rows


def _width(table: list[list[str]], kept: Sequence[int]) -> int:
    """How wide these columns are side by side."""
    return sum(2 + max(len(shown(printable(row[k]))) for row in table) for k in kept) - 2


def _middle_cut(name: str) -> str:
    """A run's name with the time that begins it and the random part that ends it."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[: half - 1]}…{name[-half:]}"


def _format_value(value: Any) -> str:
    """A value of a table as a person reads it; long ones cut."""
    if value is None or isinstance(value, float):
        return "–" if value is None else f"{value:.4g}"
    text = _format_exact(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _format_exact(value: Any) -> str:
    """A value as text that can be read back."""
    return printable(value) if isinstance(value, str) else json.dumps(value)
