"""The two numbers of a Dirac-GAN along a run, and where theory leads them."""

import math
from functools import cache
from itertools import pairwise

import numpy as np

from minigan.gan.penalties import PENALTIES
from minigan.gan.theory.dirac import dirac
from minigan.gan.theory.dynamics import ORDERS
from minigan.reports.finished_run import FinishedRun
from minigan.training.config import Config

KNOWN = {"r1": "r1", "r2": "r2", "wgan_gp": "gp"}  # penalties, and what theory calls them
FADES = 20  # pieces of a run in which its instance noise is taken as constant


def is_dirac(run: FinishedRun) -> bool:
    """Whether G makes one point and D is linear: one number each."""
    c = run.config
    return c.latent.distribution == "one" and not (c.generator.widths or c.discriminator.widths)


def recorded(run: FinishedRun) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, slopes of D's logits and means of the generated values.    Shapes:  (F,) each"""
    edges, d = run.frames["edges"], run.frames["d"]
    x = 0.5 * (edges[1:] + edges[:-1])
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
    start = float(ψ[0]), float(θ[0]) - goal_of(run)
    return _trajectory(c, start, int(step[-1])) + np.array([0.0, goal_of(run)])


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


def goal_of(run: FinishedRun) -> float:
    """Where the point of G is at rest: at the data."""
    if run.distribution is None:
        return float(run.real.mean())
    mean = run.distribution.mean
    return float(mean) if math.isfinite(mean) else float(run.distribution.quantile(0.5))
