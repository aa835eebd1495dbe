"""train: one run and the verdict on it."""

import json
from typing import Any

import click
from click.core import ParameterSource

from minigan.cli.common import (
    RUNS,
    configure,
    console,
    print_json,
    print_verdict,
    report_option,
    require_option,
    require_quality,
    set_option,
    source_argument,
)
from minigan.cli.completion import complete_run, complete_value
from minigan.errors import ConfigError, MiniganError, printable, quoted


@click.command()
@source_argument
@click.option(
    "--target",
    help='What to learn: "normal(4, 1.25)", "0.3*normal(-1,0.5)+0.7*laplace(2,1)", "ring(8, 1, 0.01)" …',
)
@click.option("--data", help="CSV or NPY file to learn instead; p features per row.")
@click.option(
    "--label",
    metavar="COLUMN",
    help="The column with the class of each row, which G is then told; component: that of a mixture.",
)
@set_option
@click.option(
    "--objective", shell_complete=complete_value, help="Losses of the two players: hinge, wasserstein …"
)
@click.option("--batch", help="Samples of each kind in one update.")
@click.option("--steps", help="Length of the run.")
@click.option("--lr", help="Step size of both players; --set generator_optimizer.rate=… for one of them.")
@click.option("--seed", help="Root of all randomness.")
@click.option("--device", shell_complete=complete_value, help="cpu, cuda (an NVIDIA GPU) or auto.")
@click.option(
    "--backend",
    shell_complete=complete_value,
    help="auto, numpy, cupy (an NVIDIA GPU) or strict (a GPU's rules on NumPy).",
)
@click.option("--dtype", shell_complete=complete_value, help="float32 or float64.")
@click.option("--out", **RUNS, help="Where run directories are made.")
@click.option("--tensorboard", metavar="DIR", help="Also write what TensorBoard shows, into this directory.")
@click.option("--fast-dev-run", is_flag=True, help="A few steps through everything, to see that it works.")
@click.option(
    "--resume",
    metavar="RUN",
    shell_complete=complete_run,
    help="Go on with the run in this directory where it stopped.",
)
@click.option("--allow-drift", is_flag=True, help="Resume although versions, processor or threads differ.")
@click.option(
    "--detect-anomaly",
    is_flag=True,
    help="Check every operation, and name the first whose result is not finite; slow, and not bitwise what "
    "it would be without, as steps are not planned.",
)
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
    tensorboard: str | None,
    fast_dev_run: bool,
    resume: str | None,
    allow_drift: bool,
    detect_anomaly: bool,
    require_ks: float | None,
    print_config: bool,
    as_json: bool,
    **options: str | None,
) -> None:
    """Train a GAN and judge the result.

    Without arguments: the default experiment, N(4, 1.25). A configuration file (.toml, .json) or a preset
    (see `minigan presets`) changes it, --set changes single fields, for some of which there are options, and
    every run's config.json can be given back. With --resume a run that was stopped goes on, bitwise as if it
    had not been; --steps then makes it longer.
    """
    if resume is not None:
        _refuse_settings(ctx)
        steps = _as_steps(options["steps"])
    else:
        request = configure(source, sets, fast_dev_run, options)
        if print_config:
            return _print_config(request.config, request.origins, as_json)

    from minigan.front.fitting import begin, read_run
    from minigan.front.tensorboard import TensorBoard

    log = None if tensorboard is None else TensorBoard(tensorboard)
    run = begin(request, out, detect_anomaly=detect_anomaly) if resume is None else read_run(resume)
    shown = None if ctx.obj["quiet"] else console(ctx, err=True)
    try:
        if resume is None:
            run.train(console=shown, on_evaluation=log)
        else:
            run.go_on(
                steps,
                console=shown,
                on_evaluation=log,
                allow_drift=allow_drift,
                detect_anomaly=detect_anomaly,
            )
    except MiniganError:
        raise
    except Exception:
        click.echo(f"the run's log is {run.directory.path / 'log.txt'}", err=True)
        raise
    outcome = run.ended
    if as_json:
        print_json(
            run=str(outcome.path),
            resumed_from=run.resumed_from,
            seconds=round(outcome.seconds, 3),
            verdict=outcome.verdict.as_dict(),
            findings=[finding.as_dict() for finding in outcome.findings],
            metrics=outcome.row,
            files={name: str(path) for name, path in run.files.items()},
        )
    else:
        print_verdict(console(ctx), outcome.verdict, outcome.findings)
        for said in run.describe_end():
            click.echo(f"\n{said}")
        click.echo(f"Trained in {outcome.seconds:.1f} s. Files:")
        for name, path in {"run": outcome.path, **run.files}.items():
            click.echo(printable(f"  {name:8} {path}"))
    require_quality(outcome.verdict, require_ks)


def _refuse_settings(ctx: click.Context) -> None:
    """A run that goes on keeps its own configuration, but for more steps."""
    allowed = ("resume", "steps", "allow_drift", "detect_anomaly", "require_ks", "as_json", "tensorboard")
    for name in ctx.params:
        if name not in allowed and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise ConfigError(
                f"--resume goes on with the run's own configuration, received also {_spelled(ctx, name)}; "
                "leave it out, or start a new run with it"
            )


def _as_steps(text: str | None) -> int | None:
    """The number of steps that --steps asks for, as a configuration reads it."""
    from minigan.training.settings import resolve

    return None if text is None else resolve(environ={}, sets=(f"steps={text}",)).steps


def _spelled(ctx: click.Context, name: str) -> str:
    parameter = next(p for p in ctx.command.params if p.name == name)
    return parameter.opts[0] if isinstance(parameter, click.Option) else quoted(ctx.params[name])


def _print_config(config: Any, origins: dict[str, str], as_json: bool) -> None:
    from minigan.training.config import flatten, to_json

    if as_json:
        return print_json(command="train --print-config", config=json.loads(to_json(config)), origins=origins)
    for name, value in flatten(config).items():
        origin = "" if origins[name] == "default" else f"    # {origins[name]}"
        click.echo(f"{name} = {json.dumps(value)}{origin}")
