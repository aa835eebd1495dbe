"""sweep: many runs, a table of them and success rates."""

import os
import threading
from pathlib import Path
from typing import Any

import click

from minigan.cli.common import RUNS, console, print_json, report_option, set_option
from minigan.cli.options import Named, Whole, refuse_no_sweep
from minigan.errors import ConfigError, SweepError, UnavailableError, printable


@click.command()
@click.argument("file", metavar="[SWEEP.toml]", required=False)
@set_option
@click.option("--out", **RUNS, help="Where the sweep's directory is made.")
@click.option("--resume", metavar="SWEEP", help="Go on with the sweep in this directory: what is missing.")
@click.option("--allow-drift", is_flag=True, help="Resume although versions, processor or threads differ.")
@click.option(
    "--workers",
    type=Named(["local", "dask"]),
    default="local",
    help="Where the runs train.",
)
@click.option(
    "--jobs",
    type=Whole(1, 4096),
    help="Processes, or jobs of the cluster at a time.  [default: for many runs one for each processor, "
    "else 1; the cluster's threads]",
)
@click.option("--scheduler", metavar="URL", help="Of Dask, as tls://host:8786 or tcp://127.0.0.1:8786.")
@click.option("--tls-ca", metavar="FILE", help="Certificate of the authority that signed the scheduler's.")
@click.option("--tls-cert", metavar="FILE", help="Our own certificate.")
@click.option("--tls-key", metavar="FILE", help="Its key.")
@report_option
@click.pass_context
def sweep(
    ctx: click.Context,
    file: str | None,
    sets: tuple[str, ...],
    out: str,
    resume: str | None,
    allow_drift: bool,
    workers: str,
    jobs: int | None,
    scheduler: str | None,
    tls_ca: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    as_json: bool,
) -> None:
    """Train every combination of the values that a file varies, many at once; a table and success rates.

    \b
    preset = "gaussian"
    success = "ks_p >= 0.05"
    [vary]
    seed = "0:64"
    r1 = [0.1, 0.5]

    Runs that differ in seed, rates and penalty weights train together as one program; others are jobs, for
    this process, for --jobs of them, or for a Dask cluster. Each run is a directory, bitwise
    what it would be alone.
    """
    from minigan.cli.progress import SweepProgress
    from minigan.sweeps.processes import Processes, likely_count

    if (file is None) == (resume is None):
        raise ConfigError("give a SWEEP.toml to begin with, or --resume with the directory of a sweep")
    if resume is not None and sets:
        raise ConfigError("--resume goes on with the sweep's own configurations; leave --set out")
    refuse_no_sweep(file)
    if (workers == "dask") != (scheduler is not None):
        raise ConfigError("--workers dask and --scheduler URL belong together; give both or neither")
    ahead = 0 if scheduler is not None else jobs or likely_count(file)
    with Processes(ahead if ahead > 1 else 0).begin() as begun:  # which import while the plan is read
        from minigan.front import figures
        from minigan.sweeps import sweep as sweeps
        from minigan.sweeps.workers import dask, local, run_sweep, usual_count

        run: Any = None
        if scheduler is not None:
            run = dask(scheduler, {"ca": tls_ca, "cert": tls_cert, "key": tls_key})
            jobs = jobs or run.slots
        if resume is None:
            plan = sweeps.read_sweep(str(file), sets)
            path = sweeps.create(out, plan)
        else:
            path, plan = Path(resume), sweeps.load(resume)
        count = jobs or usual_count(plan)
        run = run or (begun if count == ahead > 1 else local(count))
        with SweepProgress(console(ctx, err=True), path, plan, quiet=ctx.obj["quiet"]):
            if count > 1:  # this process has time
                threading.Thread(target=figures.prepare, daemon=True).start()
            found, failures = run_sweep(os.path.abspath(path), run, count, allow_drift=allow_drift, plan=plan)
    files = {name: str(path / f) for name, f in (("results", "results.csv"), ("rates", "rates.json"))}
    try:
        files["figure"] = str(figures.save_sweep(path, plan, found))
    except UnavailableError as error:
        click.echo(f"note: no figure: {error}", err=True)
    if as_json:
        print_json(
            sweep=str(path), runs=len(found.rows), finished=len(found.rows) - len(found.missing),
            failed=len(found.missing), rows=found.rows, settings=[rate._asdict() for rate in found.rates],
            files=files,
        )  # fmt: skip
    else:
        _print_rates(ctx, plan, found)
        for name, where in {"sweep": str(path), **files}.items():
            click.echo(f"  {name:8} {where}")
    if found.missing:
        why = f": {failures[0]}" if failures else ""
        numbers = ", ".join(map(str, found.missing[:10])) + (" …" if len(found.missing) > 10 else "")
        raise SweepError(
            f"{len(found.missing)} of {len(found.rows)} runs are missing ({numbers}){why}; go on with "
            f"minigan sweep --resume {path}"
        )


def _print_rates(ctx: click.Context, plan: Any, found: Any) -> None:
    from rich.markup import escape
    from rich.table import Table

    names = [name for name in plan.varied if name != "seed"]
    table = Table(
        *map(escape, names), "runs", "successes", "share", "95 %", "median KS", box=None, pad_edge=False
    )
    for rate in found.rates:
        ks = "" if rate.median_ks is None else f"{rate.median_ks:.4g}"
        settings = [escape(printable(str(rate.settings[name]))) for name in names]
        interval = f"{rate.low:.1%} to {rate.high:.1%}"
        table.add_row(*settings, str(rate.runs), str(rate.successes), f"{rate.share:.1%}", interval, ks)
    to = console(ctx)
    to.print(f"success: {escape(plan.success)}")
    to.print(table)
