"""The commands that explain: presets, gradcheck, graph, explain, doctor, schema."""

from dataclasses import asdict
from pathlib import Path

import click

from minigan.lab.cli.common import (
    RUNS,
    json_option,
    print_json,
    report_option,
    set_option,
    source_argument,
)
from minigan.lab.cli.train import configure
from minigan.lab.errors import ConfigError, UnavailableError, printable


@click.command()
@json_option
def presets(as_json: bool) -> None:
    """List the built-in experiments, each with the time it takes and what to expect."""
    from minigan.lab.presets import PRESETS

    if as_json:
        return print_json(presets={name: asdict(preset) for name, preset in PRESETS.items()})
    width = max(map(len, PRESETS))
    for name, preset in PRESETS.items():
        click.echo(f"{name:{width}}  {preset.description} · {preset.seconds:.0f} s · {preset.expect}")


@click.command()
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
        print_json(ok=not failed, order=order, primitives=results)
    else:
        for name, result in results.items():
            said = "ok, {derivatives} derivatives" if result["ok"] else "WRONG: {error}"
            click.echo(f"{name:14} {said.format(**result)}")
        agreeing = f"{len(results) - len(failed)} of {len(results)} primitives agree"
        click.echo(f"\n{agreeing} with central differences to order {order} (relative 1e-6, float64).")
    if failed:
        ctx.exit(1)


@click.command()
@source_argument
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
    import numpy as np

    from minigan.engine.show import as_dot, as_text
    from minigan.engine.tensor import constant
    from minigan.lab.experiment import Experiment, stream
    from minigan.lab.run import write_atomic

    if output is not None and (program or Path(output).suffix not in (".dot", ".svg", ".png", ".pdf")):
        received = f"{output!r} with --program" if program else repr(output)
        raise ConfigError(f"-o writes the history as .dot, .svg, .png or .pdf; received {received}")
    config, data, _ = configure(source, sets, False, {})
    experiment = Experiment(config, data=data)
    if program:
        with np.errstate(all="ignore"):
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


@click.command()
@source_argument
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

    config, data, _ = configure(source, sets, False, {})
    explanation = take_apart(config, data=data, seeds=seeds, passes=passes)
    if as_json:
        print_json(**explanation.as_dict())
    else:
        click.echo(explanation.as_text())


@click.command()
@click.option("--out", **RUNS, help="Where run directories would be made.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, out: str, as_json: bool) -> None:
    """Tell what this machine offers, what is in the way, and what to do about it."""
    from minigan.lab.doctor import as_dict, diagnose

    findings = diagnose(out)
    if as_json:
        content = as_dict(findings)
        print_json(**{key: value for key, value in content.items() if key != "schema"})
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.ok else 'LOOK'} {finding.name:14} {printable(finding.value)}")
            if finding.advice:
                click.echo(f"     {'':14} → {printable(finding.advice)}")
    if not all(finding.ok for finding in findings):
        ctx.exit(6)


@click.command()
def schema() -> None:
    """Print the JSON Schema of everything that --json prints."""
    click.echo(Path(__file__).parents[1].joinpath("schema.json").read_text(encoding="utf-8"), nl=False)
