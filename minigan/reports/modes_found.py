"""Panels of a target with modes: rows beside rows, the modes over the run, the share of each at the end."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from minigan.evaluation.modes import REACH, Modes
from minigan.reports.course import set_steps
from minigan.reports.finished_run import FinishedRun
from minigan.reports.style import (
    CHANCE,
    GENERATED,
    START,
    TARGET,
    draw_legend_below,
    format_count,
    format_text,
    set_ticks,
)

DOTS = 4000  # of a panel


def draw_beside(figure: Figure, cell: SubplotSpec, run: FinishedRun) -> None:
    """Rows of the target, and as many generated ones in a panel of their own."""
    grid = cell.subgridspec(1, 2, wspace=0.12)
    count = min(len(run.real), len(run.sample), DOTS)
    for k, (name, rows, colour) in enumerate(
        ((run.target, run.real, TARGET), ("generated", run.sample, GENERATED))
    ):
        ax = figure.add_subplot(grid[k])
        rows = rows[:: max(1, len(rows) // count)][:count]
        ax.plot(*rows[:, :2].T, ".", color=colour, markersize=2.5, markeredgewidth=0, alpha=0.5)
        ax.set_xlim(*run.frames["plane_x"][[0, -1]])
        ax.set_ylim(*run.frames["plane_y"][[0, -1]])
        ax.set_aspect("equal", adjustable="box", anchor="N")
        ax.set_xlabel(f"{format_text(run.names[0], 20)}\n{name}, {format_count(count)} rows")
        set_ticks(ax.xaxis, 3)
        set_ticks(ax.yaxis, 3)
        if k == 0:
            ax.set_ylabel(format_text(run.names[1], 40))
            ax.set_title(_describe(run))
        else:
            ax.tick_params(labelleft=False)


def _describe(run: FinishedRun) -> str:
    seen = _modes(run).coverage(run.sample)
    quality = f"{100 * seen.high_quality:.3g} % of high quality"
    return f"{seen.captured} of {seen.of} modes captured, {quality}"


def _modes(run: FinishedRun) -> Modes:
    if run.modes is None:
        raise ValueError("this target has no modes")
    return run.modes


def draw_mode_course(figure: Figure, cell: SubplotSpec, run: FinishedRun) -> None:
    """Modes captured, the share of high quality, and the reverse KL over the modes, over the run."""
    m, modes, rows = run.metrics, _modes(run), {row.name: row for row in run.verdict.rows}
    grid = cell.subgridspec(2, 1, hspace=0.14)
    upper, lower = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    style: dict[str, Any] = {"marker": ".", "markersize": 5}
    of = len(modes.centres)
    upper.plot(
        m["step"],
        m["modes"] / of,
        color=GENERATED,
        linestyle=":",
        label=f"modes captured, share of {of}",
        **style,
    )
    upper.plot(
        m["step"], m["hq"], color=GENERATED, label=f"rows of high quality: within {REACH:g} sd", **style
    )
    perfect = f"a perfect sampler: {100 * modes.high_quality:.1f} % of high quality"
    upper.axhline(modes.high_quality, color=CHANCE, linewidth=1.2, label=perfect, zorder=0)
    upper.set(ylim=(0, 1.05), ylabel="share")
    upper.set_title("Modes over the run, of the averaged generator")
    seen = np.where(m["reverse_kl"] > 0, m["reverse_kl"], np.nan)
    row = rows.get("reverse KL, modes")
    levels = [v for v in (*seen, *((row.perfect, row.bound) if row else ())) if v > 0] or [1e-3]
    low, high = min(levels) / 1.6, max(levels) * 1.6
    if row is not None and row.judges:
        name = f"within the verdict's range: below {row.bound:.2g}"
        lower.axhspan(low, row.bound, color=CHANCE, alpha=0.25, linewidth=0, label=name)
    lower.plot(m["step"], seen, color=START, linestyle="--", label="reverse KL of the modes' shares", **style)
    lower.set(yscale="log", ylim=(low, high), ylabel="reverse KL, nats")
    for ax in (upper, lower):
        set_steps(ax, m["step"])
    upper.tick_params(labelbottom=False)
    upper.set_xlabel("")
    handles = [pair for ax in (upper, lower) for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
    draw_legend_below(lower, [handle for handle, _ in handles], [name for _, name in handles])


def draw_mode_shares(ax: Axes, run: FinishedRun) -> None:
    """The share of rows at each mode, of high quality or not, beside what perfect samplers have."""
    modes = _modes(run)
    distances = np.sqrt(((run.sample[:, None] - modes.centres) ** 2).sum(axis=-1)) / modes.sd
    owner, near = distances.argmin(axis=1), distances.min(axis=1) <= REACH
    count, n = len(modes.centres), len(run.sample)
    every, good = (np.bincount(rows, minlength=count) / n for rows in (owner, owner[near]))
    place = np.arange(1, count + 1)
    name = f"generated, of high quality: {100 * near.mean():.3g} %"
    ax.bar(place, good, 0.7, color=GENERATED, alpha=0.75, label=name)
    name = f"farther than {REACH:g} sd from the mode: {100 * (1 - near.mean()):.2g} %"
    ax.bar(
        place, every - good, 0.7, bottom=good, color="white", edgecolor=GENERATED, hatch="////", label=name
    )
    error = 1.96 * np.sqrt(modes.shares * (1 - modes.shares) / n)
    name = "target, and 95 % of perfect samplers at each"
    ax.errorbar(
        place, modes.shares, error, fmt="_", color=TARGET, markersize=160 / count, capsize=2, label=name
    )
    ax.set(xlim=(0.4, count + 0.6), ylim=(0, 1.12 * max(every.max(), float((modes.shares + error).max()))))
    ax.set(xlabel="mode", ylabel="share of the rows", xticks=place[:: max(1, count // 12)])
    ax.set_title("Where the rows are: the share of each mode")
    set_ticks(ax.yaxis)
    draw_legend_below(ax, *ax.get_legend_handles_labels())
