"""Panels of a Dirac-GAN: the orbit of its two numbers, and the mean over the steps, beside theory."""

import numpy as np
from matplotlib.axes import Axes

from minigan.reports.finished_run import FinishedRun
from minigan.reports.style import (
    CHANCE,
    GENERATED,
    START,
    THEORY,
    draw_legend_below,
    format_count,
    set_ticks,
)
from minigan.reports.two_numbers import goal_of, recorded, theory_of

ARRIVED = 0.02  # how far the mean may be from the data at the end, to be called there


def draw_orbit(ax: Axes, run: FinishedRun) -> None:
    """The slope of D against the point that G makes, at every recorded step, over the orbit of theory."""
    step, ψ, θ = recorded(run)
    draw_orbit_beneath(ax, run)
    ax.plot(ψ, θ, ".", color=GENERATED, markersize=6, label=f"{len(step)} steps of the run")
    ax.plot(ψ[0], θ[0], "o", color=START, label=f"step {format_count(step[0])}")
    ax.plot(
        ψ[-1], θ[-1], "D", color=GENERATED, markeredgecolor="black", label=f"step {format_count(step[-1])}"
    )
    ax.set(xlabel="slope of D", ylabel="mean of the generated values")
    ax.set_title(f"Orbit: it {_describe(run)}")
    set_ticks(ax.xaxis)
    set_ticks(ax.yaxis)
    draw_legend_below(ax, *ax.get_legend_handles_labels(), columns=2)


def draw_orbit_beneath(ax: Axes, run: FinishedRun) -> None:
    """What theory says of the orbit: its course, and where it is at rest."""
    theory = theory_of(run)
    if theory is not None:
        name = "theory: D's slope and G's point alone"
        ax.plot(*theory.T, color=THEORY, linestyle="--", linewidth=1, label=name)
    ax.plot(0, goal_of(run), "+", color=CHANCE, markersize=12, label="at rest: G's point is the data")


def draw_mean(ax: Axes, run: FinishedRun) -> None:
    """The mean of what G makes over the steps, beside theory and beside the data."""
    step, _, θ = recorded(run)
    theory = theory_of(run)
    ax.axhline(goal_of(run), color=CHANCE, linewidth=1.2, label="mean of the data")
    if theory is not None:
        ax.plot(theory[:, 1], color=THEORY, linestyle="--", linewidth=1, label="theory")
    ax.plot(
        step, θ, color=GENERATED, linewidth=1, marker=".", markersize=5, label="mean of the generated values"
    )
    ax.set(xlim=(0, step[-1]), xlabel="step", ylabel="mean")
    ax.set_title(f"G's mean at the end: {θ[-1] - goal_of(run):+.2g} from the data's".replace("-", "−"))
    set_ticks(ax.xaxis)
    set_ticks(ax.yaxis)
    draw_legend_below(ax, *ax.get_legend_handles_labels())


def _describe(run: FinishedRun) -> str:
    """Whether it arrives, circles or goes away, by the last third of the run beside the first."""
    _, ψ, θ = recorded(run)
    radius = np.hypot(ψ, θ - goal_of(run))
    third = max(len(radius) // 3, 1)
    early, late = float(radius[:third].max()), float(radius[-third:].max())
    if late <= ARRIVED + 0.05 * early:
        return "arrives"
    return "goes away" if late > 1.5 * early else "comes nearer" if late < 0.7 * early else "circles"
