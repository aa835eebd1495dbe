"""bench: NumPy and a GPU on the same work, and two such results against each other."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minigan.cli.common import print_json, print_notes, print_table, report_option, say
from minigan.errors import ConfigError, printable, quoted

if TYPE_CHECKING:
    from minigan.profiling.results import Ratio, Record, Size


@click.command()
@click.option("--backend", default="auto", help="numpy, cupy, or auto: both where there is a GPU.")
@click.option("--only", multiple=True, metavar="WORK", help="gemm, elementwise, layer, step, replicas.")
@click.option(
    "--sizes", multiple=True, metavar="B,H", help="Batch and width instead of (64, 16) to (8192, 1024)."
)
@click.option("--quick", is_flag=True, help="Few sizes and turns: half a minute instead of five.")
@click.option("--out", metavar="FILE.json", help="Also write the result to a file, which is new.")
@click.option("--replace", is_flag=True, help="With --out or --figure: overwrite what is there.")
@click.option("--figure", metavar="FILE.png", help="Draw the result, .png, .svg or .pdf.")
@click.option("--compare", nargs=2, metavar="A.json B.json", help="Time nothing; the ratios of two results.")
@report_option
def bench(
    backend: str,
    only: tuple[str, ...],
    sizes: tuple[str, ...],
    quick: bool,
    out: str | None,
    replace: bool,
    figure: str | None,
    compare: tuple[str, str] | None,
    as_json: bool,
) -> None:
    """Compare NumPy and a GPU on the same work: products, layers, steps of one GAN and of many.

    Each variant is warmed, then they take turns, the first one twice as the control. A machine without a GPU
    measures the half that it has.
    """
    from minigan.front import figures
    from minigan.profiling import benchmark, results
    from minigan.storage.files import write_atomic

    if figure is not None:
        figures.require_matplotlib()  # before minutes of measuring
        if Path(figure).suffix.lower() not in (".png", ".svg", ".pdf"):
            raise ConfigError(f"--figure is written as .png, .svg or .pdf; received {quoted(figure)}")
    if compare is not None:
        if only or sizes or quick or out or figure or replace:
            raise ConfigError(
                "--compare reads two results and times nothing; give it no other option but --json"
            )
        a, b = map(results.read, compare)
        ratios = results.compare(a, b)
        if as_json:
            machines = {"machine_a": results.describe_machine(a), "machine_b": results.describe_machine(b)}
            return print_json(command="bench --compare", **machines, ratios=[asdict(r) for r in ratios])
        return _print_ratios(a, b, ratios)
    for path in (out, figure):  # before minutes of measuring
        if path is not None and Path(path).exists() and not replace:
            raise ConfigError(
                f"{quoted(path)} is there already; give another name, or --replace to overwrite it"
            )
    quiet = click.get_current_context().obj["quiet"]
    asked = tuple(map(_parse_size, sizes))
    record = benchmark.measure(backend, asked, only, quick, _silence if quiet else _progress)
    if out is not None:
        write_atomic(out, results.encode(record))
    if figure is not None:
        from minigan.profiling.figure import draw_bench
        from minigan.reports.style import save

        save(draw_bench(record), figure)
    if as_json:
        return print_json(**record.as_dict())
    _print_record(record)
    print_notes(record.notes)


def _progress(text: str) -> None:
    say(text, 0)


def _silence(text: str) -> None:
    pass


def _parse_size(text: str) -> "Size":
    """Batch and width of "64,16"."""
    from minigan.profiling.results import Size
    from minigan.profiling.work import MOST

    try:
        batch, width = map(int, text.split(","))
    except ValueError:
        batch = width = 0
    if not (1 <= batch <= MOST and 1 <= width <= MOST):
        raise ConfigError(
            f"--sizes takes batch,width such as 64,16, each 1 to {MOST}; received {quoted(text)}"
        )
    return Size(batch, width)


def _print_record(record: "Record") -> None:
    """A table per kind of work with what belongs to it, then the limits of the machine."""
    from statistics import median

    from minigan.profiling.results import describe_machine

    click.echo(printable(describe_machine(record)))
    for what in dict.fromkeys(cell.what for cell in record.cells):
        _print_work(record, what)
    rows: list[tuple[str, ...]] = []
    for c in record.ceilings:
        numbers, rates = "TF32" if c.tf32 else c.dtype, (f"{c.gflops:.4g}", f"{c.gbs:.3g}")
        rows.append((c.backend, numbers, str(c.threads or "–"), *rates))
    click.echo()
    print_table(("ceiling", "numbers", "threads", "GFLOP/s", "GB/s"), rows, left=2)
    click.echo()
    rows = [
        (t.backend, f"{t.bytes}", _microseconds(t.to_device), _microseconds(t.to_host))
        for t in record.transfers
    ]
    print_table(("transfer", "bytes", "µs to the device", "µs to the host"), rows)
    click.echo()
    rows = [(s.backend, s.part, f"{median(s.seconds):.3f}") for s in record.starts]
    print_table(("cold start", "part", "s"), rows, left=2)
    for variant, why in dict.fromkeys((left.variant, left.why) for left in record.left_out):
        click.echo(printable(f"not measured: {variant}: {why}"))


def _print_work(record: "Record", what: str) -> None:
    from statistics import median

    from minigan.profiling.benchmark import describe_more
    from minigan.profiling.results import Size, disturbances, is_disturbed
    from minigan.profiling.work import KINDS

    kind, rows = KINDS[what], []
    flops = kind.bound == "product"
    for cell in (cell for cell in record.cells if cell.what == what):
        quartiles = f"{_microseconds(cell.low)} to {_microseconds(cell.high)}"
        device = _microseconds(median(cell.device)) if cell.device else "–"
        rate, share = f"{cell.gflops if flops else cell.gbs:.3g}", f"{cell.of_ceiling:.0%}"
        rows.append(
            (
                str(cell.size),
                cell.variant,
                _microseconds(cell.median),
                quartiles,
                device,
                rate,
                share,
                "!" if is_disturbed(record, cell) else "",
            )
        )
    click.echo(f"\n{what}: {kind.about}")
    unit = "GFLOP/s" if flops else "GB/s"
    print_table(("(B, H)", "variant", "µs", "quartiles", "by events", unit, "of ceiling", ""), rows, left=2)
    controls = [control.median for control in record.controls if control.what == what]
    click.echo(f"control: the first variant again took {min(controls):.2f} to {max(controls):.2f} of itself")
    if disturbed := disturbances(record, what):
        click.echo(f"! disturbed, repeat when the machine is idle: {disturbed[0]}{describe_more(disturbed)}")
    losses = [loss for loss in record.losses if loss.what == what]
    if losses:
        far = max(losses, key=lambda loss: loss.difference)
        where = f"{far.variant}, {Size(far.batch, far.width, far.replicas)}, {far.step} steps"
        click.echo(f"losses: at most {far.difference:.2g} from the first variant's at one step ({where})")
    for found in record.crossovers:
        if found.what == what:
            click.echo(found.sentence)


def _microseconds(seconds: float) -> str:
    """Three digits of the microseconds, or all before the point."""
    value = 1e6 * seconds
    return f"{value:#.3g}".rstrip(".") if value < 100 else f"{value:,.0f}".replace(",", " ")


def _print_ratios(a: "Record", b: "Record", ratios: "list[Ratio]") -> None:
    """B over A, and what A and B are."""
    from minigan.profiling.results import Size, describe_machine

    click.echo(printable(f"A: {describe_machine(a)}, {a.measured}"))
    click.echo(printable(f"B: {describe_machine(b)}, {b.measured}"))
    click.echo()
    rows = [
        (f"{r.what} {Size(r.batch, r.width, r.replicas)}", r.variant, _microseconds(r.a), _microseconds(r.b),
         f"{r.ratio:.3g}", f"{r.low:.3g} to {r.high:.3g}", "*" if r.differs else "")
        for r in ratios
    ]  # fmt: skip
    print_table(("", "variant", "A, µs", "B, µs", "B / A", "interval", ""), rows, left=2)
    click.echo(
        "\n* the interval of the ratio does not hold 1; it is made of the 95 % intervals of both medians"
    )
