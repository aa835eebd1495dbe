"""The commands that look at runs and judge them: sample, eval, compare, inspect, export."""

import json
import os
from pathlib import Path
from typing import Any

import click

from minigan.cli.common import (
    at_option,
    console,
    json_option,
    print_json,
    print_notes,
    print_table,
    print_verdict,
    report_option,
    require_option,
    require_quality,
    run_argument,
    say,
)
from minigan.cli.completion import complete_file, complete_run
from minigan.errors import CheckpointError, ConfigError, DataError, printable


@click.command()
@run_argument
@click.option("-n", "count", type=click.IntRange(1, 10**8), default=1000, help="Rows to draw.")
@click.option("-o", "--output", help="CSV or NPY file; without it CSV goes to stdout.")
@click.option(
    "--index", type=click.IntRange(0, 2**31 - 1), default=0, help="Which draw: the same index, the same rows."
)
@at_option
@click.pass_context
def sample(ctx: click.Context, run: str, count: int, output: str | None, index: int, at: str) -> None:
    """Draw new rows from the trained generator in the directory RUN."""
    import csv
    import io

    import numpy as np

    from minigan.machine import available_memory, require_memory
    from minigan.storage.directory import write_atomic
    from minigan.training.trainer import reopen

    if output is not None and Path(output).suffix not in (".csv", ".npy"):
        raise ConfigError(f"-o writes .csv or .npy; received {output!r}")
    opened = reopen(run, at=at)
    experiment = opened.experiment
    print_notes(opened.notes)
    # Latent vectors, rows and copies in float64, and for CSV their text.
    size = count * (24 * (experiment.latent_size + experiment.features))
    if output is None or output.endswith(".csv"):
        size += 60 * count * experiment.features
    advice = "draw fewer at a time, each with another --index"
    require_memory(size, f"drawing {count} rows", advice, available_memory())
    rows = experiment.sample(count, index=2**32 + index)
    if output is not None and output.endswith(".npy"):
        buffer = io.BytesIO()
        np.save(buffer, rows, allow_pickle=False)
        write_atomic(output, buffer.getvalue())
    else:
        header = io.StringIO()
        csv.writer(header, lineterminator="\n").writerow(experiment.names)
        lines = (",".join(repr(float(value)) for value in row) + "\n" for row in rows)
        text = header.getvalue() + "".join(lines)
        if output is None:
            click.echo(text, nl=False)
        else:
            write_atomic(output, text.encode())
    if output is not None and not ctx.obj["quiet"]:
        rows_of = f"{count} rows of {experiment.features} feature{'s' if experiment.features > 1 else ''}"
        click.echo(f"{rows_of} from {opened.run.path} (step {experiment.step}) in {output}", err=True)


@click.command(name="eval")
@click.argument("subject", metavar="RUN|FILE", shell_complete=complete_file)
@click.option("--target", help="Distribution to judge a file against.")
@click.option("--data", help="Data set to judge against instead.")
@click.option(
    "-n", "count", type=click.IntRange(100, 10**7), help="Rows to draw from a run; else its eval_samples."
)
@at_option
@require_option
@report_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    subject: str,
    target: str | None,
    data: str | None,
    count: int | None,
    at: str,
    require_ks: float | None,
    as_json: bool,
) -> None:
    """Judge a trained generator, or a file of samples, against a distribution or data: KS, moments, modes …

    A run is judged against what it learned. A file (CSV, NPY) needs --target or --data.
    """
    if target is not None and data is not None:
        raise ConfigError("give --target or --data, not both")
    if os.path.isdir(subject):
        from minigan.machine import available_memory, require_memory
        from minigan.training.metrics import verdict as judge_run
        from minigan.training.trainer import find_failures, reopen

        if target is not None or data is not None:
            raise ConfigError("a run is judged against what it learned; --target and --data are for files")
        opened = reopen(subject, at=at)
        experiment = opened.experiment
        print_notes(opened.notes)
        count = count or experiment.config.eval_samples
        judging, advice = f"judging {count} rows", "reduce -n"
        require_memory(32 * count * experiment.features, judging, advice, available_memory())
        verdict, _ = judge_run(experiment, count)
        findings = find_failures(opened.run, experiment)
    elif at != "latest":
        raise ConfigError("--at chooses a checkpoint of a run; leave it out for a file")
    else:
        verdict, findings = _judge_file(subject, target, data), ()
    if as_json:
        told = [finding.as_dict() for finding in findings]
        print_json(subject=subject, verdict=verdict.as_dict(), findings=told)
    else:
        print_verdict(console(ctx), verdict, findings)
    require_quality(verdict, require_ks)


def _judge_file(file: str, target: str | None, data: str | None) -> Any:
    """The verdict on a file of samples, beside a distribution or beside a data set."""
    from minigan.evaluation.verdict import judge, judge_two_sample
    from minigan.training.data import read_data
    from minigan.training.draws import stream
    from minigan.training.metrics import with_classifier
    from minigan.training.units import read_distribution, refuse_extremes

    distribution: Any = None if target is None else read_distribution(target)
    if distribution is None and data is None:
        raise ConfigError(f"{file} is not a run directory; to judge a file give --target LAW or --data FILE")
    rows, rng = read_data(file, allow_constant=True), stream(0, "verdict")  # a collapsed sample is judged too
    refuse_extremes(rows)
    features = rows.values.shape[1]
    try:
        if data is not None:
            real = read_data(data)
            refuse_extremes(real)
            verdict = judge_two_sample(rows.values, real.values, rng, names=real.names)
            return with_classifier(verdict, rows.values, real.values, rng)
        if distribution is not None and features == distribution.features == 1:
            return judge(rows.values[:, 0], distribution, rng)
        if distribution is not None and features == distribution.features:
            verdict = judge(rows.values, distribution, rng, names=rows.names)
            return with_classifier(verdict, rows.values, distribution.sample(rng, (len(rows.values),)), rng)
        raise DataError(
            f"{file} has {features} feature{'s' if features > 1 else ''}, and {distribution} judges "
            f"{distribution.features}; "
            "give another --target, or --data"
        )
    except ValueError as error:
        raise DataError(str(error)) from None


# ── compare, inspect, export ────────────────────────────────────────────────────────────────────────────────


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
        return print_table(compared.columns, [[_cell(value) for value in row] for row in cells], left)
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(compared.columns)
    writer.writerows([["" if value is None else _plain(value) for value in row] for row in cells])
    click.echo(text.getvalue(), nl=False)


def _cell(value: Any) -> str:
    """A value of a table as a person reads it."""
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else _plain(value)


def _plain(value: Any) -> str:
    """A value as text that can be read back."""
    return printable(value) if isinstance(value, str) else json.dumps(value)


@click.command()
@click.argument("subject", metavar="FILE|RUN", shell_complete=complete_file)
@click.option("--verify", is_flag=True, help="Read the arrays too, and check them against the digest.")
@report_option
def inspect(subject: str, verify: bool, as_json: bool) -> None:
    """Show what a checkpoint holds by its header alone, or which checkpoints a run has."""
    from minigan.reports.inspection import inspect_file, inspect_run

    if not os.path.isdir(subject):
        content = inspect_file(subject, verify=verify)
        return print_json(**content) if as_json else _print_file(content)
    content = inspect_run(subject, verify=verify)
    if as_json:
        print_json(**content)
    else:
        _print_run(content)
    damaged = [entry["error"] for entry in content["checkpoints"] if entry["error"]] + content["errors"]
    if damaged:
        more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        raise CheckpointError(damaged[0] + more)


def _print_file(content: dict[str, Any]) -> None:
    rows = [
        (array["name"], array["dtype"], " × ".join(map(str, array["shape"])), str(array["bytes"]))
        for array in content["arrays"]
    ]
    print_table(("array", "dtype", "shape", "bytes"), rows)
    click.echo("\nstate")
    for name, value in content["state"].items():
        text = json.dumps(value, ensure_ascii=False)
        click.echo(f"  {printable(name)} = {printable(text if len(text) <= 200 else f'{text[:200]} …')}")
    verified = ", which agree with their digest" if content["verified"] else ""
    said = f"{len(rows)} arrays of {content['bytes']} bytes in all{verified}; schema"
    click.echo(f"\n{said} {content['schema_of_file']}")


def _print_run(content: dict[str, Any]) -> None:
    rows = []
    for entry in content["checkpoints"]:
        names = [name for name in ("latest", "best") if content[name] == entry["file"]]
        state = "damaged" if entry["error"] else "verified" if content["verified"] else "header read"
        size = "–" if entry["bytes"] is None else str(entry["bytes"])
        rows.append((entry["file"], state, ", ".join(names), str(entry["step"]), size))
    print_table(("checkpoint", "state", "named", "step", "bytes"), rows, 3)


@click.command()
@run_argument
@click.option("--npz", metavar="FILE.npz", help="Write NumPy's format, for numpy.load.")
@at_option
@json_option
@click.pass_context
def export(ctx: click.Context, run: str, npz: str | None, at: str, as_json: bool) -> None:
    """Write the trained networks for other programs: arrays by name, and how they are to be used."""
    from minigan.reports.export import as_npz, read_model
    from minigan.storage.directory import write_atomic

    if npz is None or Path(npz).suffix != ".npz":
        raise ConfigError(f"name the file that is written, as --npz FILE.npz; received {npz!r}")
    model, notes = read_model(run, at)
    print_notes(notes)
    write_atomic(npz, as_npz(model))
    if as_json:
        arrays = {
            name: {"dtype": array.dtype.name, "shape": array.shape} for name, array in model.arrays.items()
        }
        print_json(run=run, file=npz, step=model.step, arrays=arrays, architecture=model.architecture)
    elif not ctx.obj["quiet"]:
        say(f"{len(model.arrays)} arrays of {run} (step {model.step}) in {npz}", 0)
