"""Panels of a conditional run: each class's densities, D beside the best D, rows, and distances."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D

from minigan.gan.objectives import objective as objective_called
from minigan.gan.theory.diagnostics import optimal_discriminator
from minigan.reports.finished_run import FinishedRun
from minigan.reports.one_feature import VISIBLE, centres, visible_range
from minigan.reports.style import (
    ABOVE,
    BAD,
    BESIDE,
    CHANCE,
    GENERATED,
    GOOD,
    TARGET,
    THEORY,
    D,
    draw_legend_below,
    format_text,
    patch,
    set_ticks,
)

ROWS = 4  # classes that are shown below each other
PLANES = 9  # and those whose plane is
COLUMNS = 4  # features of a class that are shown side by side
BARS = 16  # classes whose distances are
POINTS = 250  # rows of a class in its plane
OUTCOMES = {True: ("✓ ", GOOD), False: ("✗ ", BAD), None: ("", BESIDE)}  # by good_news
FAINT = 0.02  # the least distance of D from ½ that has full colour


def draw_class_densities(figure: Figure, cell: SubplotSpec, run: FinishedRun) -> None:
    """p(x | C_k) of the target or the data, and the histogram of what was made of each class."""
    labels, frames = run.labelled, run.frames
    shown = _worst(run, ROWS, len(frames["class_p"]))
    axes = _below_each_other(figure, cell, len(shown))
    edges = frames["edges"]
    low, high = visible_range(edges, *frames["class_p"][shown], *frames["class_q"][shown])
    for ax, k in zip(axes, shown, strict=True):
        x = run.sample[labels.made == k, 0]
        ax.fill_between(centres(edges), frames["class_p"][k], color=TARGET, alpha=0.3, linewidth=0)
        ax.plot(centres(edges), frames["class_p"][k], color=TARGET, linewidth=1.2)
        bins = np.linspace(low, high, 61)
        heights = np.histogram(x, bins)[0] / (max(1, len(x)) * np.diff(bins))
        ax.stairs(heights, bins, color=GENERATED, linewidth=1.1)
        ax.set(xlim=(low, high), yticks=())
        ax.set_ylim(bottom=0)
        ax.set_ylabel(_name(run, k), fontsize=8.5)
    _finish_rows(axes, run, "Densities of each class: how well orange covers blue", len(labels.classes))
    handles: dict[Any, str] = {patch(TARGET): f"p(x | class) of the {run.target}"}
    handles |= {Line2D([], [], color=GENERATED): "made of the class, as many as its prior asks for"}
    draw_legend_below(axes[-1], list(handles), list(handles.values()))


def draw_class_discriminators(figure: Figure, cell: SubplotSpec, run: FinishedRun) -> None:
    """D(x, k) at the end, beside D*(x, k) = p(x | k)/(p(x | k) + q(x | k)), q being that in training.

    Source:  [T15], of each class; Mirza & Osindero 2014, equation 2
    """
    frames, tells = run.frames, objective_called(run.config.objective).says_probability
    shown = _worst(run, ROWS, len(frames["class_p"]))
    axes = _below_each_other(figure, cell, len(shown))
    edges, x = frames["edges"], centres(frames["edges"])
    low, high = visible_range(edges, *frames["class_p"][shown], *frames["class_q"][shown])
    for ax, k in zip(axes, shown, strict=True):
        p, q, d = (frames[name][k] for name in ("class_p", "class_q", "class_d"))
        peak = 1.1 * max(p.max(), min(q.max(), 2 * p.max()), 1e-300)
        for density, colour in ((p, TARGET), (q, GENERATED)):
            ax.fill_between(
                x, np.minimum(density / peak, 1.0), color=colour, alpha=0.22, linewidth=0, zorder=0,
                transform=ax.get_xaxis_transform(),
            )  # fmt: skip
        ax.axhline(0.5, color=CHANCE, linewidth=0.8)
        ax.plot(x, d, color=D, linewidth=2)
        if tells:
            seen = p + q > VISIBLE * (p + q).max()
            best = np.where(seen, optimal_discriminator(p, q), np.nan)
            ax.plot(x, best, color=THEORY, linewidth=1.2, linestyle="--")
        ax.set(xlim=(low, high), ylim=(0, 1.06))
        ax.set_yticks((0, 0.5, 1), ("0", "½", "1"))
        ax.set_ylabel(_name(run, k), fontsize=8.5)
    what = "D(x, k) against D*(x, k) of each class, at the end" if tells else "σ of what D says of each class"
    _finish_rows(axes, run, what, len(run.labelled.classes))
    handles: dict[Any, str] = {Line2D([], [], color=D, linewidth=2): "D(x, k) of the game"}
    if tells:
        best_of = Line2D([], [], color=THEORY, linewidth=1.2, linestyle="--")
        handles[best_of] = "D*(x, k) = p(x|k)/(p(x|k) + q(x|k))"
    handles |= {patch(TARGET): "p(x | k)", patch(GENERATED): "q(x | k) in training"}
    draw_legend_below(axes[-1], list(handles), list(handles.values()), columns=2)


def draw_class_planes(figure: Figure, cell: SubplotSpec, run: FinishedRun) -> None:
    """D(x, y, k) around each class in the colour that it sees, and rows of it, real and made."""
    labels, frames, tells = run.labelled, run.frames, objective_called(run.config.objective).says_probability
    shown = _worst(run, PLANES, len(frames["class_plane"]))
    side = math.ceil(math.sqrt(len(shown)))
    grid = cell.subgridspec(math.ceil(len(shown) / side), side, hspace=0.28, wspace=0.06)
    reach = max(FAINT, float(np.abs(frames["class_plane"][shown] - 0.5).max()))
    colours = LinearSegmentedColormap.from_list("verdict of D", [GENERATED, "white", TARGET])
    axes = [figure.add_subplot(grid[i // side, i % side]) for i in range(len(shown))]
    for ax, k in zip(axes, shown, strict=True):
        x, y = frames["class_axes"][k]
        ax.pcolormesh(
            x, y, frames["class_plane"][k], cmap=colours, vmin=0.5 - reach, vmax=0.5 + reach,
            shading="nearest", rasterized=True, alpha=0.55,
        )  # fmt: skip
        for rows, codes, colour, marker in (
            (run.real, labels.real, TARGET, "."), (run.sample, labels.made, GENERATED, "x")
        ):  # fmt: skip
            own = rows[codes == k][:POINTS]
            ax.plot(own[:, 0], own[:, 1], marker, color=colour, markersize=2, markeredgewidth=0.6, alpha=0.7)
        ax.set_title(_name(run, k), fontsize=8.5, pad=2, fontweight="normal")
        ax.set_aspect("equal", adjustable="box")
        ax.set(xticks=(), yticks=())
        ax.set_xlim(*x[[0, -1]])
        ax.set_ylim(*y[[0, -1]])
    of, count = len(labels.classes), len(shown)
    more = "" if count == of else f", {count} of {of}"
    what = "D(x, y, k)" if tells else "σ of what D says"
    axes[0].text(0.0, 1.24, f"{what} around each class{more}, and its rows", transform=axes[0].transAxes,
                 fontsize=10.5, fontweight="bold")  # fmt: skip
    handles = [patch(TARGET), patch(GENERATED), Line2D([], [], color=TARGET, marker=".", linewidth=0),
               Line2D([], [], color=GENERATED, marker="x", linewidth=0)]  # fmt: skip
    names = [f"D up to {0.5 + reach:.2g}: real?", f"D down to {0.5 - reach:.2g}: generated?",
             f"rows of the {run.target}", "made"]  # fmt: skip
    axes[(len(shown) - 1) // side * side].legend(
        handles, names, ncol=2, loc="upper left", bbox_to_anchor=(-0.02, -0.04), frameon=False, fontsize=8,
        borderpad=0, handletextpad=0.5, columnspacing=1.2, labelspacing=0.2,
    )  # fmt: skip


def draw_class_features(figure: Figure, cell: SubplotSpec, run: FinishedRun) -> None:
    """Histograms of the features, a row of them for each class."""
    labels = run.labelled
    shown = _worst(run, ROWS, len(labels.classes))
    columns = list(range(min(COLUMNS, len(run.names))))
    grid = cell.subgridspec(len(shown), len(columns), hspace=0.3, wspace=0.12)
    first: Axes | None = None
    for j in columns:
        ends = np.quantile(np.concatenate([run.real[:, j], run.sample[:, j]]), (0.002, 0.998))
        margin = 0.06 * float(np.ptp(ends)) or 0.5
        bins = np.linspace(ends[0] - margin, ends[1] + margin, 31)
        for i, k in enumerate(shown):
            ax = figure.add_subplot(grid[i, j])
            first = first or ax
            for rows, codes, how in (
                (run.real, labels.real, {"fill": True, "alpha": 0.3, "color": TARGET}),
                (run.sample, labels.made, {"color": GENERATED}),
            ):
                own = rows[codes == k, j]
                heights = np.histogram(own, bins)[0] / (max(1, len(own)) * np.diff(bins))
                ax.stairs(heights, bins, linewidth=1.2, **how)
            ax.set(xlim=(bins[0], bins[-1]), yticks=())
            ax.tick_params(labelsize=7.5)
            set_ticks(ax.xaxis, 3)
            if i < len(shown) - 1:
                ax.tick_params(labelbottom=False)
            else:
                ax.set_xlabel(format_text(run.names[j], 70 // len(columns)), fontsize=8.5, labelpad=2)
            if j == 0:
                ax.set_ylabel(_name(run, k), fontsize=8.5)
    if first is not None:
        first.set_title("Densities of each class", pad=19)
        handles = [patch(TARGET), Line2D([], [], color=GENERATED)]
        first.legend(handles, [run.target, "generated"], ncol=2, **ABOVE)


def draw_class_distances(ax: Axes, run: FinishedRun) -> None:
    """KS of each class beside what a perfect sampler of as many rows shows, and the range of the verdict."""
    parts = sorted(run.verdict.classes, key=lambda part: part.verdict.pvalue)[:BARS]
    rows = [next(row for row in part.verdict.rows if row.name.startswith("KS")) for part in parts]
    at = range(len(parts))
    most = max([row.value for row in rows] + [row.bound for row in rows if math.isfinite(row.bound)])
    for y, row, part in zip(at, rows, parts, strict=True):
        bound = row.bound if math.isfinite(row.bound) else most
        ax.barh(y, bound, height=0.5, color=CHANCE, alpha=0.25, linewidth=0)
        ax.plot([row.perfect, row.perfect], [y - 0.25, y + 0.25], color=CHANCE, linewidth=1.4)
        ax.plot(row.value, y, "D", color=GENERATED, markeredgecolor="black", markersize=6, clip_on=False)
        mark, colour = OUTCOMES[part.verdict.good_news]
        p = part.verdict.pvalue
        said = f"{mark}p {'< 0.001' if p < 1e-3 else f'{p:.2g}'}"
        ax.text(
            0.99, y, said, va="center", ha="right", fontsize=8.5, color=colour, fontweight="bold",
            transform=ax.get_yaxis_transform(),
        )  # fmt: skip
    ax.set_yticks(at, [_called(part.name) for part in parts])
    ax.set(xlim=(0, 1.35 * most), ylim=(len(parts) - 0.4, -0.6))
    ax.set_xlabel("KS" + (", of its worst feature" if run.several else ""))
    of = len(run.verdict.classes)
    more = "" if len(parts) == of else f", the {len(parts)} of {of} with the least p"
    ax.set_title(f"Verdict of each class{more}")
    set_ticks(ax.xaxis, 5)
    handles = [
        patch(CHANCE),
        Line2D([], [], color=CHANCE),
        Line2D([], [], color=GENERATED, marker="D", linewidth=0),
    ]
    names = ["within the verdict's range", "a perfect sampler's median", "rows made of the class"]
    draw_legend_below(ax, handles, names)


def _worst(run: FinishedRun, most: int, there: int) -> list[int]:
    """The classes that a panel has room for, in their order: those with the least p of the first ones."""
    ps = {part.name: part.verdict.pvalue for part in run.verdict.classes}
    order = sorted(range(there), key=lambda k: ps.get(run.labelled.classes[k], 2.0))
    return sorted(order[:most])


def _name(run: FinishedRun, k: int) -> str:
    return _called(run.labelled.classes[k])


def _called(name: str) -> str:
    """The name of a class; of a number one that says that it is a class."""
    return format_text(f"class {name}" if name.lstrip("-").isdigit() else name, 16)


def _below_each_other(figure: Figure, cell: SubplotSpec, count: int) -> list[Axes]:
    rows = cell.subgridspec(count, 1, hspace=0.16)
    return [figure.add_subplot(rows[row]) for row in range(count)]


def _finish_rows(axes: list[Axes], run: FinishedRun, title: str, of: int) -> None:
    for ax in axes:
        set_ticks(ax.xaxis)
        if ax is not axes[-1]:
            ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel(format_text(run.names[0], 60))
    more = "" if len(axes) == of else f" ({len(axes)} of {of})"
    axes[0].set_title(title + more)
