"""The commands that explain: presets, gradcheck, graph, explain, bench, doctor, schema."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minigan.cli.common import (
    RUNS,
    json_option,
    print_json,
    print_notes,
    print_table,
    report_option,
    say,
    set_option,
    source_argument,
)
from minigan.cli.train import configure, figures
from minigan.errors import ConfigError, UnavailableError, printable, shown

if TYPE_CHECKING:
    from minigan.compiler.capture import Program
    from minigan.profiling.timings import Ratio, Record, Size


@click.command()
@json_option
def presets(as_json: bool) -> None:
    """List the built-in experiments, each with the time it takes and what to expect."""
    from minigan.training.presets import PRESETS

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
    from minigan.errors import nearest

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
@click.option(
    "--cuda",
    type=click.Choice(["launches", "block"]),
    help="Print the training step as CUDA C, as a GPU would run it; needs none.",
)
@click.option("-o", "--output", help="Write .dot, .svg, .png or .pdf; without it text goes to stdout.")
@set_option
def graph(
    source: str | None,
    player: str,
    program: bool,
    cuda: str | None,
    output: str | None,
    sets: tuple[str, ...],
) -> None:
    """Show how a loss is computed: every tensor from the parameters to the loss, as text or as a picture.

    Pictures other than .dot need Graphviz's `dot` program.
    """
    import numpy as np

    from minigan.engine.show import as_dot, as_text
    from minigan.engine.tensor import constant
    from minigan.storage.directory import write_atomic
    from minigan.training.draws import stream
    from minigan.training.experiment import Experiment

    if cuda is not None:
        if program or output is not None:
            raise ConfigError("--cuda prints a source to stdout; give it without --program and -o")
        sets = (*sets, "backend=numpy", "execution=recorded")
    if output is not None and (program or Path(output).suffix not in (".dot", ".svg", ".png", ".pdf")):
        received = f"{output!r} with --program" if program else repr(output)
        raise ConfigError(f"-o writes the history as .dot, .svg, .png or .pdf; received {received}")
    config, data, _ = configure(source, sets, False, {})
    experiment = Experiment(config, data=data)
    if program or cuda:
        with np.errstate(all="ignore"):
            experiment.advance(1)
        click.echo(_cuda(experiment.program, cuda) if cuda else str(experiment.program))
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


def _cuda(program: "Program | None", execution: str) -> str:
    """The stages of a step as comments, and their source."""
    from minigan import backend
    from minigan.compiler.executions import fused
    from minigan.compiler.graph import UnplannableError
    from minigan.compiler.stages import stages_of

    kind = fused(execution)
    try:
        stages = stages_of(program, backend.numpy_backend, kind)
    except UnplannableError:
        raise ConfigError(f"this step cannot be {execution}; a GPU runs it as it was recorded") from None
    head = "".join(f"// {line}\n" for line in str(stages).splitlines())
    return f"// depth: a stage → what it writes\n{head}\n{kind(backend.get('strict'), stages).source}"


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
    from minigan.profiling.explain import explain as take_apart

    config, data, _ = configure(source, sets, False, {})
    explanation = take_apart(config, data=data, seeds=seeds, passes=passes)
    if as_json:
        print_json(**explanation.as_dict())
    else:
        click.echo(explanation.as_text())


@click.command()
@click.option("--backend", default="auto", help="numpy, cupy, or auto: both where there is a GPU.")
@click.option("--only", multiple=True, metavar="WORK", help="gemm, elementwise, layer, step, replicas.")
@click.option(
    "--sizes", multiple=True, metavar="B,H", help="Batch and width instead of (64, 16) to (8192, 1024)."
)
@click.option("--quick", is_flag=True, help="Few sizes and turns: half a minute instead of five.")
@click.option("--out", metavar="FILE.json", help="Also write the result to a file.")
@click.option("--figure", metavar="FILE.png", help="Draw the result, .png, .svg or .pdf.")
@click.option("--compare", nargs=2, metavar="A.json B.json", help="Time nothing; the ratios of two results.")
@report_option
def bench(
    backend: str,
    only: tuple[str, ...],
    sizes: tuple[str, ...],
    quick: bool,
    out: str | None,
    figure: str | None,
    compare: tuple[str, str] | None,
    as_json: bool,
) -> None:
    """Compare NumPy and a GPU on the same work: products, layers, steps of one GAN and of many.

    Each variant is warmed, then they take turns, the first one twice as the control. A machine without a GPU
    measures the half that it has.
    """
    from minigan.profiling import benchmark, timings
    from minigan.storage.directory import write_atomic

    draw = figures() if figure is not None else None
    if figure is not None and Path(figure).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ConfigError(f"--figure is written as .png, .svg or .pdf; received {shown(figure)}")
    if compare is not None:
        if only or sizes or quick or out or figure:
            raise ConfigError(
                "--compare reads two results and times nothing; give it no other option but --json"
            )
        a, b = map(timings.read, compare)
        ratios = timings.compare(a, b)
        if as_json:
            machines = {"machine_a": timings.machine(a), "machine_b": timings.machine(b)}
            return print_json(command="bench --compare", **machines, ratios=[asdict(r) for r in ratios])
        return _print_ratios(a, b, ratios)
    quiet = click.get_current_context().obj["quiet"]
    asked = tuple(map(_size, sizes))
    record = benchmark.measure(backend, asked, only, quick, lambda text: None if quiet else _told(text))
    if out is not None:
        write_atomic(out, timings.encode(record))
    if draw is not None:
        draw.save(draw.bench(record), figure)
    if as_json:
        return print_json(**record.as_dict())
    _print_record(record)
    print_notes(record.notes)


def _told(text: str) -> None:
    say(text, 0)


def _size(text: str) -> "Size":
    """Batch and width of "64,16"."""
    from minigan.profiling.benchmark import MOST
    from minigan.profiling.timings import Size

    try:
        batch, width = map(int, text.split(","))
    except ValueError:
        batch = width = 0
    if not (1 <= batch <= MOST and 1 <= width <= MOST):
        raise ConfigError(
            f"--sizes takes batch,width such as 64,16, each 1 to {MOST}; received {shown(text)}"
        )
    return Size(batch, width)


def _print_record(record: "Record") -> None:
    """A table per kind of work with what belongs to it, then the limits of the machine."""
    from statistics import median

    from minigan.profiling.timings import machine

    click.echo(printable(machine(record)))
    for what in dict.fromkeys(cell.what for cell in record.cells):
        _print_work(record, what)
    rows: list[tuple[str, ...]] = []
    for c in record.ceilings:
        numbers, rates = "TF32" if c.tf32 else c.dtype, (f"{c.gflops:.4g}", f"{c.gbs:.3g}")
        rows.append((c.backend, numbers, str(c.threads or "–"), *rates))
    click.echo()
    print_table(("ceiling", "numbers", "threads", "GFLOP/s", "GB/s"), rows, left=2)
    click.echo()
    rows = [(t.backend, f"{t.bytes}", _micro(t.to_device), _micro(t.to_host)) for t in record.transfers]
    print_table(("transfer", "bytes", "µs to the device", "µs to the host"), rows)
    click.echo()
    rows = [(s.backend, s.part, f"{median(s.seconds):.3f}") for s in record.starts]
    print_table(("cold start", "part", "s"), rows, left=2)
    for variant, why in dict.fromkeys((left.variant, left.why) for left in record.left_out):
        click.echo(printable(f"not measured: {variant}: {why}"))


def _print_work(record: "Record", what: str) -> None:
    from statistics import median

    from minigan.profiling.benchmark import KINDS
    from minigan.profiling.timings import Size

    kind, rows = KINDS[what], []
    flops = kind.bound == "product"
    for cell in (cell for cell in record.cells if cell.what == what):
        quartiles = f"{_micro(cell.low)} to {_micro(cell.high)}"
        device = _micro(median(cell.device)) if cell.device else "–"
        rate, share = f"{cell.gflops if flops else cell.gbs:.3g}", f"{cell.of_ceiling:.0%}"
        rows.append((str(cell.size), cell.variant, _micro(cell.median), quartiles, device, rate, share))
    click.echo(f"\n{what}: {kind.about}")
    unit = "GFLOP/s" if flops else "GB/s"
    print_table(("(B, H)", "variant", "µs", "quartiles", "by events", unit, "of ceiling"), rows, left=2)
    controls = [control.median for control in record.controls if control.what == what]
    click.echo(f"control: the first variant again took {min(controls):.2f} to {max(controls):.2f} of itself")
    losses = [loss for loss in record.losses if loss.what == what]
    if losses:
        far = max(losses, key=lambda loss: loss.difference)
        where = f"{far.variant}, {Size(far.batch, far.width, far.replicas)}, {far.step} steps"
        click.echo(f"losses: at most {far.difference:.2g} from the first variant's at one step ({where})")
    for found in record.crossovers:
        if found.what == what:
            click.echo(found.sentence)


def _micro(seconds: float) -> str:
    """Three digits of the microseconds, or all before the point."""
    value = 1e6 * seconds
    return f"{value:#.3g}".rstrip(".") if value < 100 else f"{value:,.0f}".replace(",", " ")


def _print_ratios(a: "Record", b: "Record", ratios: "list[Ratio]") -> None:
    """B over A, and what A and B are."""
    from minigan.profiling.timings import Size, machine

    click.echo(printable(f"A: {machine(a)}, {a.measured}"))
    click.echo(printable(f"B: {machine(b)}, {b.measured}\n"))
    rows = [
        (f"{r.what} {Size(r.batch, r.width, r.replicas)}", r.variant, _micro(r.a), _micro(r.b),
         f"{r.ratio:.3g}", f"{r.low:.3g} to {r.high:.3g}", "*" if r.differs else "")
        for r in ratios
    ]  # fmt: skip
    print_table(("", "variant", "A, µs", "B, µs", "B / A", "interval", ""), rows, left=2)
    click.echo(
        "\n* the interval of the ratio does not hold 1; it is made of the 95 % intervals of both medians"
    )


@click.command()
@click.option("--out", **RUNS, help="Where run directories would be made.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, out: str, as_json: bool) -> None:
    """Tell what this machine offers, what is in the way, and what to do about it."""
    from minigan.profiling.doctor import as_dict, diagnose

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
    click.echo(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"), nl=False)
