"""The command line: train, sample, eval, presets, gradcheck, graph, explain, doctor.

Results go to stdout, progress and messages to stderr; ``--json`` prints one JSON object. Exit codes: 0 ok, 1
unexpected failure, 2 usage or configuration, 3 refused input, 4 diverged, 5 quality missed, 6 backend or
extra unavailable, 7 run directory busy, 8 storage, 130 SIGINT, 143 SIGTERM.
"""

import errno
import json
import os
import re
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from minigan._version import __version__
from minigan.lab.errors import ConfigError, DataError, LabError, QualityError, UnavailableError

SCHEMA = 1  # of everything that --json prints
GLOBAL_FLAGS = ("--debug", "--no-color", "-q", "--quiet")  # understood anywhere on the line
RUNS: dict[str, Any] = {"envvar": "MINIGAN_RUNS", "default": "runs"}  # of --out

# ── options of several commands
set_help = "Change any field of the configuration; repeatable."
set_option = click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help=set_help)
require_option = click.option(
    "--require-ks", type=click.FloatRange(0, 1), metavar="P", help="Exit with 5 if the p-value is below P."
)
report_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of the report."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True}
)
@click.version_option(__version__, message="minigan %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--no-color", is_flag=True, help="Plain text (also: NO_COLOR in the environment).")
@click.option("-q", "--quiet", is_flag=True, help="Results only, no progress and no notes.")
@click.pass_context
def cli(ctx: click.Context, debug: bool, no_color: bool, quiet: bool) -> None:
    """Train small generative adversarial networks, look inside them, and judge what they make.

    \b
    minigan train                                   train on N(4, 1.25) and judge the result
    minigan train --target "student(40)" --seed 7   another law, another seed
    minigan train --data measurements.csv           your own data, CSV or NPY
    minigan sample RUN -n 1000 -o new.csv           draw from a trained generator
    minigan gradcheck                               every derivative against differences
    """
    ctx.obj = {"no_color": no_color, "quiet": quiet}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. Expected failures are one sentence on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for argument in arguments:
        # What is not UTF-8 neither a configuration nor JSON can hold.
        if argument.encode(errors="replace").decode() != argument:
            return _say(f"error: {ascii(argument[:80])} is not UTF-8 text; rename the file or directory", 2)
    debug = "--debug" in arguments
    arguments = sorted(arguments, key=lambda a: a not in GLOBAL_FLAGS)
    try:
        return cli.main(arguments, prog_name="minigan", standalone_mode=False) or 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return _say("stopped", 130)
    except LabError as error:
        if debug:
            traceback.print_exc()
        return _say(f"error: {error}", error.exit_code)
    except (BrokenPipeError, SystemExit):  # the reader of our output has left, as `head` does; click exits
        return _drop_stdout(0)
    except MemoryError as error:
        detail = f" ({error})" if str(error) else ""
        return _say(f"error: out of memory{detail}; use a smaller batch, fewer units or samples", 3)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            reason = f"the output cannot be written: {error.strerror}"
            return _drop_stdout(_say(f"error: {reason}; make room or write it elsewhere", 8))
        reason = f"unexpected {type(error).__name__}: {error}"
        return _say(f"error: {reason}; this is a bug, --debug shows where", 1)


def _drop_stdout(code: int) -> int:
    """What is left in stdout's buffer goes nowhere, or the interpreter would fail on it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _say(text: str, code: int) -> int:
    click.echo(text, err=True)
    return code


def _console(ctx: click.Context, *, err: bool = False) -> Any:
    from rich.console import Console

    console = Console(stderr=err, no_color=ctx.obj["no_color"] or None, highlight=False)
    console.soft_wrap = not console.is_terminal  # a file has no width: what greps it wants whole lines
    return console


def _json(**content: Any) -> None:
    import msgspec

    click.echo(msgspec.json.encode({"schema": SCHEMA, **content}))  # writes what is not finite as null


# ── train ───────────────────────────────────────────────────────────────────────────────────────────────────


@cli.command()
@click.argument("source", metavar="[PRESET|CONFIG]", required=False)
@click.option(
    "--target",
    help='Law to learn: "normal(4, 1.25)", "0.3*normal(-1,0.5)+0.7*laplace(2,1)", "ring(8, 1, 0.01)" …',
)
@click.option("--data", help="CSV or NPY file to learn instead; p features per row.")
@set_option
@click.option("--backend", help="auto, numpy, cupy or strict.")
@click.option("--dtype", help="float32 or float64.")
@click.option("--seed", help="Root of all randomness.")
@click.option("--steps", help="Length of the run.")
@click.option("--out", **RUNS, help="Where run directories are made.")
@click.option("--fast-dev-run", is_flag=True, help="A few steps through everything, to see that it works.")
@require_option
@click.option(
    "--print-config",
    is_flag=True,
    help="Print the resolved configuration, and where each field was set, and stop.",
)
@report_option
@click.pass_context
def train(
    ctx: click.Context,
    source: str | None,
    sets: tuple[str, ...],
    out: str,
    fast_dev_run: bool,
    require_ks: float | None,
    print_config: bool,
    as_json: bool,
    **options: str | None,
) -> None:
    """Train a GAN and judge the result.

    Without arguments: the default experiment, N(4, 1.25). A configuration file (.toml, .json) or a preset
    (see `minigan presets`) changes it, --set changes single fields, and every run's config.json can be given
    back.
    """
    config, data, origins = _resolve(source, sets, fast_dev_run, options)
    if print_config:
        return _print_config(config, origins, as_json)

    from minigan.lab.config import to_json
    from minigan.lab.experiment import Experiment
    from minigan.lab.progress import Progress
    from minigan.lab.run import RunDirectory
    from minigan.lab.trainer import train as run_training

    experiment = Experiment(config, data=data)
    with RunDirectory.create(out, config.name, to_json(config)) as run:
        progress = Progress(_console(ctx, err=True), run, experiment, quiet=ctx.obj["quiet"])
        try:
            with progress:
                outcome = run_training(experiment, run, progress.on_row, progress.on_step)
        except LabError as error:
            run.log(f"error: {error}")
            raise
        except KeyboardInterrupt:  # a second Ctrl-C, while the first was being obeyed
            run.write_status("interrupted", step=experiment.step)
            raise
        except Exception:
            run.log(traceback.format_exc())
            run.write_status("failed", step=experiment.step)
            click.echo(f"the run's log is {run.path / 'log.txt'}", err=True)
            raise
        files = dict(outcome.files)
        try:
            files["figure"] = _figure(run)
        except UnavailableError as error:
            del files["figure"]
            progress.note(f"no figure: {error}")
        run.log(outcome.verdict.sentence)
        for finding in outcome.findings:
            run.log(f"{finding.name}, since step {finding.since_step}: {finding.evidence} {finding.remedy}")
    if as_json:
        _json(
            run=str(outcome.path),
            seconds=round(outcome.seconds, 3),
            verdict=outcome.verdict.as_dict(),
            findings=[finding.as_dict() for finding in outcome.findings],
            metrics=outcome.row,
            files={name: str(path) for name, path in files.items()},
        )
    else:
        _report(_console(ctx), outcome.verdict, outcome.findings)
        value, implied = outcome.row["value_fn"], outcome.row["implied_js"]
        cross_entropy = experiment.config.objective in ("minimax", "non_saturating")
        of_d = "loss of D" if cross_entropy else "cross-entropy of σ(D)"
        click.echo(
            f"\nThe {of_d} is V = {value:.4f} nats (ln 4 = 1.3863 when it cannot tell): "
            f"JS ≥ (ln 4 − V)/2 = {implied:.4f}, the bound that this D gives."
        )
        click.echo(f"Trained in {outcome.seconds:.1f} s. Files:")
        for name, path in {"run": outcome.path, **files}.items():
            click.echo(f"  {name:8} {path}")
    _require(outcome.verdict, require_ks)


def _resolve(
    source: str | None, sets: tuple[str, ...], fast: bool, options: dict[str, str | None]
) -> tuple[Any, Any, dict[str, str]]:
    """The configuration that the command line asks for, the data it names, and who set each field."""
    import msgspec

    from minigan.lab.config import resolve_with_sources

    quick = ("steps=20", "eval_every=10", "eval_samples=1000") if fast else ()
    given = {key: value for key, value in options.items() if value is not None}
    if "target" in given and "data" in given:
        raise ConfigError("give --target or --data, not both: a run learns one of them")
    given |= {key: json.dumps(given[key]) for key in ("target", "data") if key in given}
    own = (f"{key}={value}" for key, value in given.items())
    is_file = source is not None and (Path(source).suffix in (".toml", ".json") or os.sep in source)
    file, preset = (source, None) if is_file else (None, source)
    config, origins = resolve_with_sources(preset=preset, file=file, sets=(*quick, *own, *sets))
    data = None
    if config.data is not None:
        from minigan.lab.config import check
        from minigan.lab.data import read_data

        data = read_data(config.data, columns=config.columns, drop_nonfinite=config.drop_nonfinite)
        check(config, features=data.values.shape[1])
        # The run is read again from elsewhere.
        config = msgspec.structs.replace(config, data=str(Path(config.data).resolve()))
    if origins["name"] == "default" and {origins["target"], origins["data"]} != {"default"}:
        subject = config.target if config.data is None else Path(config.data).stem
        name = re.sub(r"[^A-Za-z0-9]+", "-", subject).strip("-")[:64]
        config = msgspec.structs.replace(config, name=name or config.name)
    return config, data, origins


def _print_config(config: Any, origins: dict[str, str], as_json: bool) -> None:
    from minigan.lab.config import flatten, to_json

    if as_json:
        return _json(config=json.loads(to_json(config)), origins=origins)
    for name, value in flatten(config).items():
        origin = "" if origins[name] == "default" else f"    # {origins[name]}"
        click.echo(f"{name} = {json.dumps(value)}{origin}")


def _figure(run: Any) -> Path:
    try:
        from minigan.lab.figures import save_overview
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "matplotlib":
            install = "pip install 'minigan[plot]'"
            raise UnavailableError(f"figures need matplotlib; install it with: {install}") from None
        raise
    return save_overview(run)


def _require(verdict: Any, p: float | None) -> None:
    if p is not None and verdict.pvalue < p:
        raise QualityError(f"the p-value of the verdict is {verdict.pvalue:.3g}, below the required {p:g}")


def _report(console: Any, verdict: Any, findings: Any = ()) -> None:
    """The verdict as a table and a sentence, and what went wrong, if anything did."""
    from rich.markup import escape
    from rich.table import Table

    header = ("", "this sample", "perfect sampler", "95 % of perfect samplers", "")
    table = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in verdict.rows:
        bound = f"below {row.bound:.4g}" if row.target is None else f"± {row.bound:.3g}"
        mark = "[green]within[/]" if row.within else "[red]outside[/]"
        unit = f" ({row.unit})" if row.unit else ""
        table.add_row(escape(row.name + unit), f"{row.value:.4g}", f"{row.perfect:.4g}", bound, mark)
    console.print(table)
    console.print()
    colour = "red" if verdict.distinguishable else "green"
    console.print(verdict.sentence, markup=False, style=f"bold {colour}")
    if findings:
        console.print("\nWhat went wrong, and what to try next:")
    for finding in findings:
        console.print(f"  [bold red]{escape(finding.name)}[/], since step {finding.since_step}")
        console.print(f"    {finding.evidence}", markup=False)
        console.print(f"    → {finding.remedy}", markup=False)


# ── sample, eval ────────────────────────────────────────────────────────────────────────────────────────────


@cli.command()
@click.argument("run")
@click.option("-n", "count", type=click.IntRange(1, 10**8), default=1000, help="Rows to draw.")
@click.option("-o", "--output", help="CSV or NPY file; without it CSV goes to stdout.")
@click.option(
    "--index", type=click.IntRange(0, 2**31 - 1), default=0, help="Which draw: the same index, the same rows."
)
@click.pass_context
def sample(ctx: click.Context, run: str, count: int, output: str | None, index: int) -> None:
    """Draw new rows from the trained generator in the directory RUN."""
    import csv
    import io

    import numpy as np

    from minigan.lab.run import write_atomic
    from minigan.lab.trainer import reopen

    if output is not None and Path(output).suffix not in (".csv", ".npy"):
        raise ConfigError(f"-o writes .csv or .npy; received {output!r}")
    directory, experiment, notes = reopen(run)
    for note in notes:
        click.echo(f"note: {note}", err=True)
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
        click.echo(f"{rows_of} from {directory.path} (step {experiment.step}) in {output}", err=True)


@cli.command(name="eval")
@click.argument("subject", metavar="RUN|FILE")
@click.option("--target", help="Law to judge a file against.")
@click.option("--data", help="Data set to judge against instead.")
@click.option(
    "-n", "count", type=click.IntRange(100, 10**7), help="Rows to draw from a run; else its eval_samples."
)
@require_option
@report_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    subject: str,
    target: str | None,
    data: str | None,
    count: int | None,
    require_ks: float | None,
    as_json: bool,
) -> None:
    """Judge a trained generator, or a file of samples, against a law or against data: KS, moments, modes …

    A run is judged against what it learned. A file (CSV, NPY) needs --target or --data.
    """
    if target is not None and data is not None:
        raise ConfigError("give --target or --data, not both")
    if os.path.isdir(subject):
        from minigan.lab.metrics import verdict as judge_run
        from minigan.lab.trainer import find_failures, reopen

        if target is not None or data is not None:
            raise ConfigError("a run is judged against what it learned; --target and --data are for files")
        run, experiment, notes = reopen(subject)
        for note in notes:
            click.echo(f"note: {note}", err=True)
        verdict, _ = judge_run(experiment, count or experiment.config.eval_samples)
        findings = find_failures(run, experiment)
    else:
        verdict, findings = _judge_file(subject, target, data), ()
    if as_json:
        told = [finding.as_dict() for finding in findings]
        _json(subject=subject, verdict=verdict.as_dict(), findings=told)
    else:
        _report(_console(ctx), verdict, findings)
    _require(verdict, require_ks)


def _judge_file(file: str, target: str | None, data: str | None) -> Any:
    """The verdict on a file of samples, beside a law or beside a data set."""
    from minigan.lab.data import read_data
    from minigan.lab.experiment import read_law, refuse_extremes, stream
    from minigan.lab.metrics import with_classifier
    from minigan.probability.verdict import judge, judge_two_sample

    law: Any = None if target is None else read_law(target)
    if law is None and data is None:
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
        if law is not None and features == law.features == 1:
            return judge(rows.values[:, 0], law, rng)
        if law is not None and features == law.features:
            verdict = judge(rows.values, law, rng, names=rows.names)
            return with_classifier(verdict, rows.values, law.sample(rng, (len(rows.values),)), rng)
        raise DataError(
            f"{file} has {features} feature{'s' if features > 1 else ''}, and {law} judges {law.features}; "
            "give another --target, or --data"
        )
    except ValueError as error:
        raise DataError(str(error)) from None


# ── presets, gradcheck, graph, explain, doctor ──────────────────────────────────────────────────────────────


@cli.command()
@json_option
def presets(as_json: bool) -> None:
    """List the built-in experiments, each with the time it takes and what to expect."""
    from minigan.lab.presets import PRESETS

    if as_json:
        return _json(presets={name: asdict(preset) for name, preset in PRESETS.items()})
    width = max(map(len, PRESETS))
    for name, preset in PRESETS.items():
        click.echo(f"{name:{width}}  {preset.description} · {preset.seconds:.0f} s · {preset.expect}")


@cli.command()
@click.argument("names", metavar="[OP]...", nargs=-1)
@click.option("--order", type=click.IntRange(1, 3), default=2, help="Highest order of derivative.")
@json_option
@click.pass_context
def gradcheck(ctx: click.Context, names: tuple[str, ...], order: int, as_json: bool) -> None:
    """Check the engine's derivatives against differences, all primitives or the named ones."""
    from minigan.engine.gradcheck import GradientError, check_primitive
    from minigan.engine.primitives import PRIMITIVES
    from minigan.lab.errors import nearest

    for name in names:
        if name not in PRIMITIVES:
            raise ConfigError(f"there is no primitive {name!r}; {nearest(name, PRIMITIVES)}")
    results = {}
    for name in names or PRIMITIVES:
        try:
            results[name] = {"ok": True, "derivatives": check_primitive(name, order=order)}
        except GradientError as error:
            results[name] = {"ok": False, "error": str(error)}
    failed = [name for name, result in results.items() if not result["ok"]]
    if as_json:
        _json(ok=not failed, order=order, primitives=results)
    else:
        for name, result in results.items():
            said = "ok, {derivatives} derivatives" if result["ok"] else "WRONG: {error}"
            click.echo(f"{name:14} {said.format(**result)}")
        agreeing = f"{len(results) - len(failed)} of {len(results)} primitives agree"
        click.echo(f"\n{agreeing} with central differences to order {order} (relative 1e-6, float64).")
    if failed:
        ctx.exit(1)


@cli.command()
@click.argument("source", metavar="[PRESET|CONFIG]", required=False)
@click.option("--player", type=click.Choice(["D", "G"]), default="G", help="Whose loss.")
@click.option(
    "--program", is_flag=True, help="Print the recorded training step instead of one loss's history."
)
@click.option("-o", "--output", help="Write .dot, .svg, .png or .pdf; without it text goes to stdout.")
@set_option
def graph(source: str | None, player: str, program: bool, output: str | None, sets: tuple[str, ...]) -> None:
    """Show how a loss is computed: every tensor from the parameters to the loss, as text or as a picture.

    Pictures other than .dot need Graphviz's `dot` program.
    """
    from minigan.engine.show import as_dot, as_text
    from minigan.engine.tensor import constant
    from minigan.lab.experiment import Experiment, stream
    from minigan.lab.run import write_atomic

    if output is not None and (program or Path(output).suffix not in (".dot", ".svg", ".png", ".pdf")):
        received = f"{output!r} with --program" if program else repr(output)
        raise ConfigError(f"-o writes the history as .dot, .svg, .png or .pdf; received {received}")
    config, data, _ = _resolve(source, sets, False, {})
    experiment = Experiment(config, data=data)
    if program:
        experiment.advance(1)
        click.echo(str(experiment.program))
        return
    game, rng = experiment.game, stream(config.seed, "latent")
    z = constant(experiment.backend.array(experiment.draw_latent(rng, (config.batch,))))
    names = {"z": z}
    if player == "G":
        loss = game.generator_loss(z)
    else:
        real = (experiment.real(config.batch) - experiment.shift) / experiment.scale
        x = constant(experiment.backend.array(real.astype(config.dtype)))
        loss, names["x"] = game.discriminator_loss(x, constant(game.generator(z))), x
    for letter, network in (("G", experiment.generator), ("D", experiment.discriminator)):
        names |= {f"{letter}.{name}": view for name, view in network.parameters.views.items()}
    if output is None:
        click.echo(as_text(loss, names))
        return
    source_text = as_dot(loss, names).encode()
    if not output.endswith(".dot"):
        source_text = _drawn(source_text, Path(output).suffix[1:])
    write_atomic(output, source_text)


def _drawn(source: bytes, kind: str) -> bytes:
    import shutil
    import subprocess

    dot = shutil.which("dot")
    if dot is None:
        raise UnavailableError(
            "pictures need Graphviz's dot program (Debian: apt install graphviz); "
            "-o FILE.dot works without it"
        )
    done = subprocess.run([dot, f"-T{kind}"], input=source, capture_output=True, check=False)
    if done.returncode:
        raise UnavailableError(f"dot failed: {done.stderr.decode(errors='replace').strip()[:300]}")
    return done.stdout


@cli.command()
@click.argument("source", metavar="[PRESET|CONFIG]", required=False)
@click.option("--seeds", type=click.IntRange(1, 10_000), default=1, help="How many train at once.")
@click.option(
    "--passes", type=click.Choice(["all", "exact", "none"]), default="all", help="Which passes plan the step."
)
@set_option
@report_option
def explain(source: str | None, seeds: int, passes: str, sets: tuple[str, ...], as_json: bool) -> None:
    """Show where a training step's time goes: the planner's passes, then every line of the plan.

    Each line with its bytes and floating point operations, and its time beside that of a call on one element.
    """
    from minigan.lab.explain import explain as take_apart

    config, data, _ = _resolve(source, sets, False, {})
    explanation = take_apart(config, data=data, seeds=seeds, passes=passes)
    if as_json:
        _json(**explanation.as_dict())
    else:
        click.echo(explanation.as_text())


@cli.command()
@click.option("--out", **RUNS, help="Where run directories would be made.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, out: str, as_json: bool) -> None:
    """Tell what this machine offers, what is in the way, and what to do about it."""
    from minigan.lab.doctor import as_dict, diagnose

    findings = diagnose(out)
    if as_json:
        content = as_dict(findings)
        _json(**{key: value for key, value in content.items() if key != "schema"})
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.ok else 'LOOK'} {finding.name:14} {finding.value}")
            if finding.advice:
                click.echo(f"     {'':14} → {finding.advice}")
    if not all(finding.ok for finding in findings):
        ctx.exit(6)
