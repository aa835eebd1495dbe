"""What several commands share: options, the configuration they ask for, streams, tables, JSON."""

import json
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from minigan.cli.completion import complete_run, complete_setting, complete_source
from minigan.cli.options import Real
from minigan.cli.streams import shown
from minigan.errors import QualityError, printable

if TYPE_CHECKING:
    from minigan.front.configuration import Request

SCHEMA = 1  # of everything that --json prints
NARROWEST, WIDE = 80, 10_000  # columns that a table may take on a terminal, at least, and in a file
RUNS: dict[str, Any] = {"envvar": "MINIGAN_RUNS", "default": "runs"}  # of --out

# ── arguments and options of several commands
source_argument = click.argument(
    "source", metavar="[PRESET|CONFIG]", required=False, shell_complete=complete_source
)
at_option = click.option(
    "--at", metavar="latest|best|STEP", default="latest", help="Which checkpoint of the run."
)
run_argument = click.argument("run", shell_complete=complete_run)
set_help = "Change any field of the configuration; repeatable."
set_option = click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE", help=set_help, shell_complete=complete_setting
)
require_option = click.option(
    "--require-ks", type=Real(0, 1), metavar="P", help="Exit with 5 if the p-value is below P."
)
report_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of the report."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def configure(
    source: str | None, sets: tuple[str, ...], fast: bool, options: dict[str, str | None]
) -> "Request":
    """The configuration that the command line asks for, the data it names, and who set each field."""
    from minigan.cli.options import options_of, refuse_places, refuse_split, source_of
    from minigan.front.configuration import settled
    from minigan.training.settings import key_and_value, notes_on, resolve_with_sources

    print_notes(notes_on(os.environ))
    refuse_split(source, sets)
    asked = dict(map(key_and_value, sets))
    asked |= {name: text for name, text in options.items() if text is not None}
    refuse_places(asked.get("target"), asked.get("data"))
    made = options_of(fast, options, sets)
    preset, file = source_of(source)
    config, origins = resolve_with_sources(preset=preset, file=file, sets=sets, options=made)
    return settled(config, origins)


def say(text: str, code: int) -> int:
    """``text`` on stderr; returns ``code``."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=True)
    return code


def print_notes(notes: Iterable[str]) -> None:
    """What a person should know beside the result, on stderr, unless --quiet."""
    for note in notes:
        if not click.get_current_context().obj["quiet"]:
            say(f"note: {note}", 0)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
    """Columns as wide as their texts, the first ``left`` of them flush left, the others right."""
    cells = [[shown(printable(text)) for text in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (
            text.ljust(width) if k < left else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        click.echo("  ".join(padded).rstrip())


def console(ctx: click.Context, *, err: bool = False) -> Any:
    """rich's console on stdout or stderr, as plain as the flags and the environment ask."""
    from rich.console import Console

    asked = ctx.obj["no_color"] or os.environ.get("NO_COLOR")
    plain = asked or os.environ.get("CI") or os.environ.get("TERM") == "dumb"
    # Without a colour system neither colours nor bold are written; a bar may still move the cursor.
    made = Console(stderr=err, color_system=None if plain else "auto", highlight=False)
    # A file has no width: what greps it wants whole lines. A narrow terminal breaks them better than a table.
    made.soft_wrap = not made.is_terminal
    made.width = WIDE if not made.is_terminal else max(made.width, 20 if err else NARROWEST)
    return made


def print_json(*, command: str | None = None, **content: Any) -> None:
    """The one object of --json; ``command`` is the one that runs unless named."""
    import msgspec

    name = command or click.get_current_context().info_name
    # Writes what is not finite as null.
    text = msgspec.json.encode({"schema": SCHEMA, "command": name, **content}).decode()
    # Of what a terminal would obey JSON itself escapes a part only.
    click.echo("".join(c if c.isprintable() and shown(c) == c else json.dumps(c)[1:-1] for c in text))


def require_quality(verdict: Any, p: float | None) -> None:
    """Refuse a verdict whose p-value is below ``p``.

    Raises: QualityError.
    """
    if p is not None and verdict.pvalue < p:
        raise QualityError(f"the p-value of the verdict is {verdict.pvalue:.3g}, below the required {p:g}")


def _table_of_classes(classes: Sequence[Any]) -> Any:
    """A line for each class of a conditional run: its KS, its p, and whether it is told apart."""
    from rich.markup import escape
    from rich.table import Table

    header = ("\nclass", "\nKS", "\nperfect sampler", "\nits 95 %, all classes together", "\np", "")
    table = Table(*header, box=None, pad_edge=False, header_style="bold")
    words = {True: "cannot be told", False: "told apart", None: "too few values"}
    colours = {True: "[green]{}[/]", False: "[red]{}[/]", None: "{}"}
    for part in classes:
        row = next(row for row in part.verdict.rows if row.name.startswith("KS"))
        mark = colours[part.verdict.good_news].format(words[part.verdict.indistinguishable])
        numbers = f"{row.value:.4g}", f"{row.perfect:.4g}", f"below {row.bound:.4g}"
        table.add_row(escape(shown(part.name)), *numbers, f"{part.verdict.pvalue:.2g}", mark)
    return table


def print_verdict(console: Any, verdict: Any, findings: Any = ()) -> None:
    """The verdict as a table and a sentence, and what went wrong, if anything did."""
    from rich.markup import escape
    from rich.table import Table

    from minigan.evaluation.rows import HEADER

    table = Table(*HEADER, box=None, pad_edge=False, header_style="bold")
    for row in verdict.rows:
        *cells, mark = row.texts
        if mark and verdict.good_news is not None:  # of too few values no row is
            mark = f"[{'green' if row.within else 'red'}]{mark}[/]"
        table.add_row(*(escape(shown(cell)) for cell in cells), mark)
    console.print(table)
    if verdict.classes:
        console.print(_table_of_classes(verdict.classes))
    console.print()
    colour = {True: "green", False: "red", None: "yellow"}[verdict.good_news]
    headline = verdict.headline[0].upper() + verdict.headline[1:]
    console.print(f"{headline}. {verdict.sentence}", markup=False, style=f"bold {colour}")
    for line in [] if verdict.shortfall is None else verdict.shortfall.lines:
        console.print(line, markup=False)
    if findings:
        console.print("\nWhat went wrong, and what to try next:")
    for finding in findings:
        console.print(f"  [bold red]{escape(finding.name)}[/], since step {finding.since_step}")
        console.print(f"    {finding.evidence}", markup=False)
        console.print(f"    → {finding.remedy}", markup=False)
