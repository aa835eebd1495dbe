"""The figure of `minigan bench`: the share of the ceiling, and µs where a GPU overtakes the CPU."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter

from minigan.profiling.results import Cell, Record, describe_machine, is_disturbed
from minigan.profiling.work import KINDS
from minigan.reports.style import CHANCE, DPI, SIZE, THEORY, format_text, style

PREFIXES = {0: "", 3: " k", 6: " M", 9: " G", 12: " T"}  # of powers of ten
MARKERS = "os^Dv<>p"  # of the lines of one side
COLOURS = {  # of the variants of a side, in the order in which they come: blue and green, orange and red
    "numpy": ("#0072B2", "#009E73", "#56B4E9", "#3C3C3C", "#7A68A6", "#B07AA1"),
    "gpu": ("#D55E00", "#E69F00", "#CC79A7", "#8B1A1A", "#F0C24B", "#FF9DA7"),
}
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)))  # of the sizes of replicas
DISTURBED = "hollow: timed beside other work, repeat"


def draw_bench(record: Record) -> Figure:
    """What `minigan bench` measured, a panel for each kind of work.

    Of a CPU alone the share of what a large product or copy reaches on it, against operations. With a GPU µs,
    dashed what those would allow, and a grey line where the fastest of both sides cross. A hollow point was
    timed beside other work, which the table marks with "!".
    """
    kinds = [name for name in KINDS if any(cell.what == name for cell in record.cells)]
    rows, both = -(-max(len(kinds) + 1, 1) // 3), any(cell.backend != "numpy" for cell in record.cells)
    looks = _looks(record)
    with style():
        figure = Figure(figsize=(SIZE[0], 1.65 + 3.9 * rows), dpi=DPI)
        height = figure.get_figheight()
        panels = figure.subplots(rows, min(len(kinds) + 1, 3), squeeze=False).ravel()
        figure.subplots_adjust(
            left=0.05, right=0.985, top=1 - 1.2 / height, bottom=0.55 / height, wspace=0.2, hspace=0.42
        )
        title = "The same work on CPU and GPU" if both else "Work of a GAN on the CPU"
        figure.suptitle(title, x=0.02, y=1 - 0.12 / height, ha="left", va="top", fontsize=13)
        half = "" if both else " The CPU half alone."
        key = "Bars: quartiles. " + (
            "Blue and green: CPU. Orange and red: GPU. Dashed: as fast as a large product, or a large copy."
            if both
            else "The share of the ceiling: 100 % is as fast as the best large product, or large copy."
        )
        machine = format_text(describe_machine(record) + "." + half, 220)
        figure.text(0.02, 1 - 0.42 / height, machine, va="top")
        figure.text(0.02, 1 - 0.62 / height, key, va="top", color=CHANCE)
        for ax, name in zip(panels, kinds, strict=False):
            _draw_timings(ax, record, name, looks, both=both)
        for ax in panels[len(kinds) :]:
            ax.set_axis_off()
        handles = {
            name: line for ax in panels for line, name in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        if any(cell.dtype == "float32" and is_disturbed(record, cell) for cell in record.cells):
            handles[DISTURBED] = Line2D([], [], **_hollow("o", CHANCE))
        panels[len(kinds)].legend(handles.values(), handles.keys(), loc="upper left", frameon=False)
    return figure


def _looks(record: Record) -> dict[str, tuple[str, str]]:
    """(colour, marker) of each variant, the same in all panels."""
    seen: dict[str, tuple[str, str]] = {}
    counts = {"numpy": 0, "gpu": 0}
    for cell in record.cells:
        side = "numpy" if cell.backend == "numpy" else "gpu"
        if cell.dtype == "float32" and cell.variant not in seen:
            colours, k = COLOURS[side], counts[side]
            seen[cell.variant] = colours[k % len(colours)], MARKERS[k % len(MARKERS)]
            counts[side] += 1
    return seen


def _hollow(marker: str, colour: str) -> dict[str, Any]:
    """The look of points that are not to be relied on."""
    return {"marker": marker, "color": colour, "markerfacecolor": "white", "markersize": 5.5,
            "linestyle": "none", "zorder": 4}  # fmt: skip


def _draw_timings(
    ax: Axes, record: Record, what: str, looks: dict[str, tuple[str, str]], *, both: bool
) -> None:
    """One kind of work: a line per variant, and per size where there are replicas."""
    cells = [cell for cell in record.cells if cell.what == what and cell.dtype == "float32"]
    many = any(cell.replicas for cell in cells)
    lines: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        net = f"({cell.batch}, {cell.width})" if many else ""
        lines.setdefault((net, cell.variant), []).append(cell)
    nets = list(dict.fromkeys(net for net, _ in lines))
    for (net, name), line in lines.items():
        colour, marker = looks[name]
        line.sort(key=lambda cell: cell.work)
        x = [cell.replicas if many else cell.work for cell in line]
        y = np.array([[1e6 * value for value in (cell.median, cell.low, cell.high)] for cell in line])
        if not both:  # as a share the quartiles change places
            share = np.array([cell.of_ceiling for cell in line])[:, None]
            y = share * y[:, :1] / np.maximum(y[:, (0, 2, 1)], 1e-12)
        ax.errorbar(
            x, y[:, 0], yerr=np.maximum(np.abs(y[:, 1:].T - y[:, 0]), 0), markersize=4, color=colour,
            label=f"{name}, {net}" if net else name, capsize=2, linewidth=1.4, marker=marker,
            linestyle=DASHES[nets.index(net) % len(DASHES)],
        )  # fmt: skip
        if off := [k for k, cell in enumerate(line) if is_disturbed(record, cell)]:
            ax.plot([x[k] for k in off], y[off, 0], **_hollow(marker, colour))
    if both and not many:
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
    ax.set(xscale="log", title=format_text(f"{what}: {KINDS[what].about}", 60))
    ax.set(xlabel="GANs at once" if many else f"operations of a {per}")
    if both:
        ax.set(yscale="log", ylabel=f"µs per {per}")
    else:
        ax.set(ylim=(0, None), ylabel="share of the ceiling")
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axis in (ax.xaxis, ax.yaxis) if both else (ax.xaxis,):
        axis.set_major_formatter(FuncFormatter(lambda value, _: _format_si(value)))
        axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


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
                    color=THEORY if side == "numpy" else COLOURS["gpu"][0], zorder=0)  # fmt: skip
