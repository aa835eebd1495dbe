"""The figure of `minigan bench`: µs against operations, and where a GPU overtakes the CPU."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from minigan.profiling.results import Cell, Record, describe_machine
from minigan.profiling.work import KINDS
from minigan.reports.style import CHANCE, DPI, GENERATED, SIZE, TARGET, THEORY, format_text, style

PREFIXES = {0: "", 3: " k", 6: " M", 9: " G", 12: " T"}  # of powers of ten
MARKERS = "os^Dv<>p"  # of the lines of one colour


def draw_bench(record: Record) -> Figure:
    """What `minigan bench` measured: µs per step against its operations, and where a GPU overtakes the CPU.

    Blue is the CPU, orange a GPU, dashed what the best product or copy that was measured would allow; the
    grey line is where the fastest of both cross.
    """
    kinds = [name for name in KINDS if any(cell.what == name for cell in record.cells)]
    rows = -(-max(len(kinds), 1) // 3)
    with style():
        figure = Figure(figsize=(SIZE[0], 1.65 + 3.9 * rows), dpi=DPI)
        height = figure.get_figheight()
        panels = figure.subplots(rows, min(max(len(kinds), 1), 3), squeeze=False).ravel()
        figure.subplots_adjust(
            left=0.05, right=0.985, top=1 - 1.2 / height, bottom=0.55 / height, wspace=0.2, hspace=0.42
        )
        title = "The same work on CPU and GPU"
        figure.suptitle(title, x=0.02, y=1 - 0.12 / height, ha="left", va="top", fontsize=13)
        half = "" if any(cell.backend != "numpy" for cell in record.cells) else " The CPU half alone."
        key = "Blue: CPU. Orange: GPU. Dashed: as fast as a large product, or a large copy. Bars: quartiles."
        figure.text(
            0.02, 1 - 0.42 / height, format_text(describe_machine(record) + "." + half, 220), va="top"
        )
        figure.text(0.02, 1 - 0.62 / height, key, va="top", color=CHANCE)
        for ax, name in zip(panels, kinds, strict=False):
            _draw_timings(ax, record, name)
        for ax in panels[len(kinds) :]:
            ax.set_axis_off()
    return figure


def _draw_timings(ax: Axes, record: Record, what: str) -> None:
    """One kind of work, log-log: a line per variant, and per size where there are replicas."""
    cells = [cell for cell in record.cells if cell.what == what and cell.dtype == "float32"]
    many = any(cell.replicas for cell in cells)
    lines: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        net = f"({cell.batch}, {cell.width}), " if many else ""
        lines.setdefault((cell.backend, net + cell.variant), []).append(cell)
    seen = {"numpy": 0, "gpu": 0}
    for (backend, name), line in lines.items():
        side = "numpy" if backend == "numpy" else "gpu"
        line.sort(key=lambda cell: cell.work)
        x = [cell.replicas if many else cell.work for cell in line]
        y = np.array([[1e6 * value for value in (cell.median, cell.low, cell.high)] for cell in line])
        ax.errorbar(
            x, y[:, 0], yerr=np.maximum(np.abs(y[:, 1:].T - y[:, 0]), 0), label=name, markersize=4,
            color=TARGET if side == "numpy" else GENERATED, capsize=2, linewidth=1.2,
            marker=MARKERS[seen[side] % len(MARKERS)], markerfacecolor="white" if seen[side] else None,
        )  # fmt: skip
        seen[side] += 1
    if not many:
        _draw_ceilings(ax, record, what)
    for found in record.crossovers:
        if found.what == what and found.work is not None:
            alike = (c.flops for c in cells if (c.batch, c.width) == (found.batch, found.width))
            one = next(alike) if many else 1.0
            text = f"R = {found.work / one:.3g}" if many else f"{found.work / 1e6:.3g} MFLOP"
            ax.axvline(found.work / one, color=CHANCE, linewidth=1.0, zorder=0)
            ax.annotate(f"crossover\n{text}", (found.work / one, 0.02), (3, 0), va="bottom", color=CHANCE,
                        xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
    per = "GAN and step" if many else "step" if what == "step" else "call"
    ax.set(xscale="log", yscale="log", title=format_text(f"{what}: {KINDS[what].about}", 60))
    ax.set(xlabel="GANs at once" if many else f"operations of a {per}", ylabel=f"µs per {per}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: _format_si(value)))
        axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    ax.legend(frameon=False, fontsize=7.5, loc="upper right" if many else "upper left")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** (0.05 * len(lines)))  # room for the legend


def _format_si(value: float) -> str:
    """100, 1 k, 10 M."""
    power = max((p for p in PREFIXES if 10.0**p <= value * 1.0001), default=0)
    return f"{value / 10.0**power:g}{PREFIXES[power]}"


def _draw_ceilings(ax: Axes, record: Record, what: str) -> None:
    """What the fastest ceiling of each side would allow, dashed."""
    kind = KINDS[what]
    sizes = sorted({c.size for c in record.cells if c.what == what}, key=kind.flops)
    for side in ("numpy", "gpu"):
        ceilings = [c for c in record.ceilings if c.dtype == "float32" and not c.tf32]
        ceilings = [c for c in ceilings if (c.backend == "numpy") == (side == "numpy")]
        if ceilings and sizes:
            if kind.bound == "product":
                best = max(c.gflops for c in ceilings)
                floor = [kind.flops(size) / best / 1e3 for size in sizes]
            else:
                best = max(c.gbs for c in ceilings)
                floor = [4 * kind.moved(size) / best / 1e3 for size in sizes]
            ax.plot([kind.flops(size) for size in sizes], floor, "--", linewidth=1.0,
                    color=THEORY if side == "numpy" else GENERATED, zorder=0)  # fmt: skip
