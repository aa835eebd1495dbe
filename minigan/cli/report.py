"""report: a run or a sweep as one HTML file."""

from pathlib import Path

import click

from minigan.cli.completion import complete_run
from minigan.errors import ConfigError, quoted


@click.command()
@click.argument("run", metavar="RUN|SWEEP", shell_complete=complete_run)
@click.option("-o", "--output", default="report.html", help="The file that is written, .html.")
@click.pass_context
def report(ctx: click.Context, run: str, output: str) -> None:
    """Write a finished run, or a sweep, as one HTML file: figures, verdict, settings, how to repeat it.

    The file opens from disk in any browser and asks nothing of any server. Needs the extra `ui`.
    """
    from minigan.reports.report import run_as_page
    from minigan.reports.sweep_report import sweep_as_page
    from minigan.storage.directory import RunDirectory
    from minigan.storage.files import write_atomic

    if Path(output).suffix != ".html":
        raise ConfigError(f"a report is written as .html; received {quoted(output)}")
    swept = Path(run, "sweep.json").is_file()
    page = sweep_as_page(Path(run)) if swept else run_as_page(RunDirectory.open(run))
    write_atomic(output, page.encode())
    if not ctx.obj["quiet"]:
        click.echo(output)
