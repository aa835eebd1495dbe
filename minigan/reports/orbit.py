"""Panels of a Dirac-GAN: the orbit of its two numbers, and the mean over the steps, beside theory."""

import math
from functools import cache
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

from minigan.gan.penalties import PENALTIES
from minigan.gan.theory.dirac import dirac
from minigan.gan.theory.dynamics import ORDERS
from minigan.reports.finished_run import FinishedRun
from minigan.reports.one_feature import centres
from minigan.reports.style import (
    CHANCE,
    GENERATED,
    START,
    THEORY,
    draw_legend_below,
    format_count,
    set_ticks,
)
from minigan.training.config import Config

KNOWN = {"r1": "r1", "r2": "r2", "wgan_gp": "gp"}  # penalties, and what theory calls them
FADES = 20  # pieces of a run in which its instance noise is taken as constant
ARRIVED = 0.02  # how far the mean may be from the data at the end, to be called there


def is_dirac(run: FinishedRun) -> bool:
    """Whether G makes one point and D is linear: one number each."""
    c = run.config
    return c.latent.distribution == "one" and not (c.generator.widths or c.discriminator.widths)


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
    ax.plot(0, _goal(run), "+", color=CHANCE, markersize=12, label="at rest: G's point is the data")


def draw_mean(ax: Axes, run: FinishedRun) -> None:
    """The mean of what G makes over the steps, beside theory and beside the data."""
    step, _, θ = recorded(run)
    theory = theory_of(run)
    ax.axhline(_goal(run), color=CHANCE, linewidth=1.2, label="mean of the data")
    if theory is not None:
        ax.plot(theory[:, 1], color=THEORY, linestyle="--", linewidth=1, label="theory")
    ax.plot(
        step, θ, color=GENERATED, linewidth=1, marker=".", markersize=5, label="mean of the generated values"
    )
    ax.set(xlim=(0, step[-1]), xlabel="step", ylabel="mean")
    ax.set_title(f"Arrival: {θ[-1] - _goal(run):+.2g} at the end".replace("-", "−"))
    set_ticks(ax.xaxis)
    set_ticks(ax.yaxis)
    draw_legend_below(ax, *ax.get_legend_handles_labels())


def recorded(run: FinishedRun) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, slopes of D's logits and means of the generated values.    Shapes:  (F,) each"""
    x, d = centres(run.frames["edges"]), run.frames["d"]
    a = np.log(d) - np.log1p(-d)
    slope = (a[:, -1] - a[:, 0]) / (x[-1] - x[0])
    rows = np.searchsorted(run.metrics["step"], run.frames["step"])
    return run.frames["step"], slope, run.metrics["mean"][rows]


def theory_of(run: FinishedRun) -> np.ndarray | None:
    """Where the same steps lead D's slope and G's point without D's bias and without sampling noise.

    None for what the theory of two numbers has no words for, such as other optimisers.    Shapes:  → (S, 2)
    Source:  Mescheder, Geiger, Nowozin 2018, by ``minigan.gan.theory.dirac``
    """
    c, (step, ψ, θ) = run.config, recorded(run)
    plain = {c.generator_optimizer.name, c.discriminator_optimizer.name} == {"sgd"}
    # weight and bias of G both move its point
    even = math.isclose(2 * c.generator_optimizer.rate, c.discriminator_optimizer.rate)
    once = c.discriminator_steps == c.generator_steps == c.packing == 1 and not c.unrolled
    fixed = c.order in ORDERS and c.schedule.name == "constant" and not c.standardise
    weights = {name: float(getattr(c, name)) for name in PENALTIES}
    told = not any(weight for name, weight in weights.items() if name not in KNOWN)
    finite = bool(np.isfinite([ψ[0], θ[0]]).all()) and c.objective != "relativistic"
    if not (plain and even and once and fixed and told and finite):
        return None
    start = float(ψ[0]), float(θ[0]) - _goal(run)
    return _trajectory(c, start, int(step[-1])) + np.array([0.0, _goal(run)])


@cache
def _trajectory(c: Config, start: tuple[float, float], steps: int) -> np.ndarray:
    """The steps, with instance noise that fades from piece to piece."""
    weights: dict[str, float] = {argument: float(getattr(c, name)) for name, argument in KNOWN.items()}
    weights |= {"consensus": c.consensus if c.order == "simultaneous" else 0.0, "clip": c.clip}
    points, pieces = [np.array([start])], FADES if c.instance_noise else 1
    for first, end in pairwise(np.linspace(0, steps, pieces + 1).round().astype(int).tolist()):
        fading = c.instance_noise * max(0.0, 1 - 0.5 * (first + end) / c.steps)
        game = dirac(c.objective, noise=math.hypot(c.observation_noise, fading), nodes=20, **weights)
        path = game.trajectory(points[-1][-1], c.discriminator_optimizer.rate, end - first, c.order)
        points.append(path[1:])
    return np.concatenate(points)


def _goal(run: FinishedRun) -> float:
    if run.distribution is None:
        return float(run.real.mean())
    mean = run.distribution.mean
    return float(mean) if math.isfinite(mean) else float(run.distribution.quantile(0.5))


def _describe(run: FinishedRun) -> str:
    """Whether it arrives, circles or goes away, by the last third of the run beside the first."""
    _, ψ, θ = recorded(run)
    radius = np.hypot(ψ, θ - _goal(run))
    third = max(len(radius) // 3, 1)
    early, late = float(radius[:third].max()), float(radius[-third:].max())
    if late <= ARRIVED + 0.05 * early:
        return "arrives"
    return "goes away" if late > 1.5 * early else "comes nearer" if late < 0.7 * early else "circles"
