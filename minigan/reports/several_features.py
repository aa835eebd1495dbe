"""Panels of a run with several features: rows, D over the plane, and each feature's densities."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D

from minigan.evaluation.two_sample import ks_statistic
from minigan.gan.objectives import objective as objective_called
from minigan.reports.finished_run import Columns, FinishedRun
from minigan.reports.style import (
    ABOVE,
    GENERATED,
    TARGET,
    THEORY,
    format_count,
    format_text,
    patch,
    set_ticks,
)

FEATURES = 4  # shown side by side
POINTS = 1500  # of a scatter plot: more hide each other
DOTS = 4000  # of one whose modes are much smaller than the panel
FAINT = 0.02  # the least distance of D from ½ that has full colour


def draw_scatter(ax: Axes, run: FinishedRun) -> None:
    """The first two features that vary, as many generated rows as real ones."""
    varying = np.flatnonzero(np.ptp(run.real, axis=0) > 0).tolist()
    i, j = varying[:2] if len(varying) > 1 else (0, 1)
    # A distribution has curves or modes that are thinner than circles and crosses.
    plane = "plane_d" in run.frames
    count = min(len(run.real), len(run.sample), DOTS if plane else POINTS)
    dot: dict[str, Any] = {"markersize": 3, "markeredgewidth": 0.7, "alpha": 0.6, "markerfacecolor": "none"}
    dot = {"markersize": 2.5, "markeredgewidth": 0, "alpha": 0.5} if plane else dot
    for rows, colour, marker, name in (
        (run.real, TARGET, "o", run.target), (run.sample, GENERATED, "x", "generated")
    ):  # fmt: skip
        rows = rows[:: max(1, len(rows) // count)][:count]
        ax.plot(
            rows[:, i], rows[:, j], "." if plane else marker, color=colour,
            label=f"{name}, {format_count(len(rows))} rows", **dot,
        )  # fmt: skip
    if plane:  # the window of the panel beside it
        ax.set_xlim(*run.frames["plane_x"][[0, -1]])
        ax.set_ylim(*run.frames["plane_y"][[0, -1]])
        ax.set_aspect("equal", adjustable="box", anchor="W")
        ax.legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, markerscale=3, handletextpad=0.1
        )
    else:
        ax.set_xlim(_bulk_range(run.real[:, i], run.sample[:, i]))
        ax.set_ylim(_bulk_range(run.real[:, j], run.sample[:, j]))
        ax.legend(loc="best", framealpha=0.85, markerscale=1.8)
    ax.set_xlabel(format_text(run.names[i], 60))
    ax.set_ylabel(format_text(run.names[j], 40))
    more = "" if len(run.names) == 2 else f", two of {len(run.names)} features"
    ax.set_title(f"Rows{more}: orange on blue?")
    set_ticks(ax.xaxis)
    set_ticks(ax.yaxis)


def field_colours() -> LinearSegmentedColormap:
    """From what D takes for generated to what it takes for real; between, where it cannot tell, is white."""
    return LinearSegmentedColormap.from_list("verdict of D", [GENERATED, "white", TARGET])


def draw_plane(ax: Axes, run: FinishedRun) -> None:
    """The last D at every point of the plane, or what a critic says, in the colour of what that means."""
    x, y, d = (run.frames[name] for name in ("plane_x", "plane_y", "plane_d"))
    tells = objective_called(run.config.objective).says_probability
    middle, least, most = (0.5, FAINT, 0.5) if tells else (0.0, 0.0, np.inf)
    if not tells:
        with np.errstate(divide="ignore"):
            d = np.log(d) - np.log1p(-d)
        d = d - np.median(d)  # of a critic only differences mean anything
    colours = field_colours()
    reach = min(most, max(least, float(np.abs(d - middle).max()))) or 1.0  # near ½ all would be white
    ends = [middle - reach, middle, middle + reach]
    image = ax.pcolormesh(
        x, y, d, cmap=colours, vmin=ends[0], vmax=ends[2], shading="nearest", rasterized=True
    )
    if run.modes is not None:
        ax.plot(*run.modes.centres.T, "o", markerfacecolor="none", markeredgecolor=THEORY,
                markersize=5, markeredgewidth=0.7)  # fmt: skip
    ax.set_aspect("equal", adjustable="box", anchor="W")
    ax.set_xlabel(format_text(run.names[0], 60))
    ax.set_ylabel(format_text(run.names[1], 40))
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.04, 0.0, 0.05, 1.0)), ticks=ends)
    between = "½: cannot tell" if tells else "its median"
    names = (f"{ends[0]:.2g}: generated?", between, f"{ends[2]:.2g}: real?")
    bar.ax.set_yticklabels([name.replace("-", "−") for name in names], fontsize=8.5)
    what = "D(x, y)" if tells else "a(x, y)"
    ax.set_title(f"{what} at the end, in the colour it sees")
    set_ticks(ax.xaxis)
    set_ticks(ax.yaxis)


def draw_features(figure: Figure, cell: SubplotSpec, table: Columns, target: str) -> None:
    """Histograms of the columns of a table, those with the largest KS first."""
    worst = by_distance(table)[:FEATURES]
    columns = 1 if len(worst) < 3 else 2
    grid = cell.subgridspec(2, columns, hspace=0.62, wspace=0.16)
    axes = [figure.add_subplot(grid[k // columns, k % columns]) for k in range(len(worst))]
    for ax, (ks, j) in zip(axes, worst, strict=True):
        real, generated = table.real[:, j], table.sample[:, j]
        low, high = _bulk_range(real, generated)
        bins = np.linspace(low, high, 41)
        for x, style in (
            (real, {"fill": True, "alpha": 0.3, "color": TARGET}),
            (generated, {"color": GENERATED}),
        ):
            ax.stairs(np.histogram(x, bins)[0] / (len(x) * np.diff(bins)), bins, linewidth=1.4, **style)
        ax.set(xlim=(low, high), yticks=())
        ax.set_xlabel(
            f"{format_text(table.names[j], 50 // columns)}  (KS {ks:.2g})", labelpad=2, fontsize=8.5
        )
        set_ticks(ax.xaxis, 6 // columns + 1)
        ax.tick_params(labelsize=8)
    of = len(table.names)
    more = "" if len(worst) == of else f", the {len(worst)} of {of} with the largest KS"
    axes[0].set_title(f"Densities{more}", pad=19)
    handles = [patch(TARGET), Line2D([], [], color=GENERATED)]
    axes[0].legend(handles, [target, "generated"], ncol=2, **ABOVE)


def by_distance(table: Columns) -> list[tuple[float, int]]:
    """(KS, column) of every column, the largest first."""
    pairs = enumerate(zip(table.sample.T, table.real.T, strict=True))
    return sorted(((ks_statistic(a, b), j) for j, (a, b) in pairs), key=lambda pair: -pair[0])


def _bulk_range(*samples: np.ndarray) -> tuple[float, float]:
    """The range of all but the outermost values, with a margin."""
    ends = [np.quantile(sample, (0.002, 0.998)) for sample in samples]
    low, high = min(float(low) for low, _ in ends), max(float(high) for _, high in ends)
    margin = 0.06 * (high - low) or 0.5 * max(abs(low), 1.0)
    return low - margin, high + margin
