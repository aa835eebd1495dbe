"""Curves of a run over bins and over the plane: densities of data and of what is made, and what D says.

Of a conditional run also those of each class.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from minigan.evaluation.modes import modes_of
from minigan.gan.theory.diagnostics import generated_density
from minigan.probability.distributions import NORMAL_IQR, Distribution
from minigan.probability.empirical import Empirical
from minigan.training.by_class import draw_of_class, held_of, shown_classes
from minigan.training.experiment import Experiment
from minigan.training.scatter import over, square

BINS = 240  # of a frame
PLANE = 120  # points a side at which D is read in the plane
CLASS_PLANE = 60  # and in the square of a class
KDE_ROWS = 4000  # rows of data or samples behind a kernel density estimate


def density_made(
    e: Experiment, edges: np.ndarray, averaged: bool, bandwidth: float | None, rows: int = KDE_ROWS
) -> np.ndarray:
    """q over the bins, of the generator in training or of its average.    Shapes:  edges (m+1,) → (m,)"""
    if not _is_exact(e):
        return kde(e.sample(rows, e.step, averaged=averaged)[:, 0], edges, bandwidth)
    latent = e.config.latent.distribution
    if e.labels is None:
        return generated_density(partial(e.generate, averaged=averaged), latent, edges)
    parts = [generated_density(_of_class(e, k, averaged), latent, edges) for k in range(e.labels.count)]
    mixed: np.ndarray = e.labels.priors @ np.stack(parts)
    return mixed


def density_made_of(
    e: Experiment, k: int, edges: np.ndarray, averaged: bool, rows: int = KDE_ROWS
) -> np.ndarray:
    """q(x | C_k) over the bins, of a conditional run.    Shapes:  edges (m+1,) → (m,)"""
    if _is_exact(e):
        return generated_density(_of_class(e, k, averaged), e.config.latent.distribution, edges)
    name = None if e.labels is None else e.labels.classes[k]
    made = e.sample(rows, e.step + draw_of_class(k), averaged=averaged, condition=name)
    return kde(made[:, 0], edges)


def _is_exact(e: Experiment) -> bool:
    """Whether q is the density of a function of one latent number, and not estimated as data's is."""
    c = e.config
    moved = e.latent_size == 1 and c.latent.distribution != "one" and not c.observation_noise
    return moved and not isinstance(e.distribution, Empirical)


def posterior(e: Experiment, edges: np.ndarray) -> np.ndarray | None:
    """p(C_k | x) of the data over the bins; None without labels.    Shapes:  → (m, K)"""
    labels = e.labels
    if labels is None:
        return None
    joint = labels.priors * np.stack([density_of(c, edges) for c in labels.conditionals], axis=-1)
    total = joint.sum(axis=1, keepdims=True)
    return np.where(total > 0, joint / np.where(total > 0, total, 1.0), labels.priors)


def curves_of_classes(e: Experiment, edges: np.ndarray | None) -> dict[str, np.ndarray]:
    """Of one feature p, q and σ(D) of each class over the bins, of two D over the plane, as they stand.

    {"class_p", "class_q", "class_d": (K, m)} or, each over the square of its own rows, {"class_axes":
    (K, 2, m), "class_plane": (K, m, m)}, of the first classes; nothing without labels or of more features
    """
    if e.labels is None or e.features > 2:
        return {}
    shown = shown_classes(e.labels)
    if edges is None:
        sides = [square(held_of(e, k), CLASS_PLANE) for k in shown]
        ds = [over(partial(judgement_of, k=k), e, *side) for k, side in zip(shown, sides, strict=True)]
        return {"class_axes": np.array(sides), "class_plane": np.stack(ds)}
    centres = 0.5 * (edges[1:, None] + edges[:-1, None])
    return {
        "class_p": np.stack([density_of(e.labels.conditionals[k], edges) for k in shown]),
        "class_q": np.stack([density_made_of(e, k, edges, False) for k in shown]),
        "class_d": np.stack([judgement_of(e, centres, k)[:, 0] for k in shown]),
    }


def plane_of(e: Experiment) -> dict[str, np.ndarray]:
    """σ(D) as it stands, over the square that holds the real rows."""
    x, y = square(np.asarray(e.held_out), PLANE)
    return {"plane_x": x, "plane_y": y, "plane_d": over(judgement, e, x, y)}


def judgement(e: Experiment, x: np.ndarray, posterior: np.ndarray | None = None) -> np.ndarray:
    """D(x) = p/(p+q) as the objective's logits say it; σ(a), a mere picture of a, where they know no p/q.

    Of a conditional D the mean over the classes, each as probable as it is at x among real rows, or by its
    prior where no posterior is given.
    """
    if e.labels is None:
        return _said(e, e.logits(x))
    ds = np.concatenate([judgement_of(e, x, k) for k in range(e.labels.count)], axis=1)
    weights = e.labels.priors if posterior is None else posterior
    mean: np.ndarray = (weights * ds).sum(axis=1, keepdims=True)
    return mean


def _said(e: Experiment, a: np.ndarray) -> np.ndarray:
    d = e.game.objective.probability(a)
    return sigmoid(a) if d is None else d


def judgement_of(e: Experiment, x: np.ndarray, k: int) -> np.ndarray:
    """D(x, k), as ``judgement``.    Shapes:  (n, p) → (n, 1)"""
    return _said(e, e.logits(x, codes=np.full(len(x), k)))


def _of_class(e: Experiment, k: int, averaged: bool) -> Callable[[np.ndarray], np.ndarray]:
    """z ↦ G(z, k)."""
    return lambda z: e.generate(z, averaged=averaged, codes=np.full(z.shape[:-1], k))


def density_of(distribution: Any, edges: np.ndarray) -> np.ndarray:
    """The mean density over each bin."""
    if isinstance(distribution, Empirical):
        return kde(distribution.values, edges)
    found: np.ndarray = np.diff(distribution.cdf(edges)) / np.diff(edges)
    return found


def sigmoid(a: np.ndarray) -> np.ndarray:
    """1/(1 + e⁻ᵃ), without overflow."""
    d: np.ndarray = np.exp(-np.logaddexp(0.0, -a))
    return d


def grid_of(e: Experiment, bandwidth: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the bins of all frames, and the density of the data over them."""
    if not isinstance(e.distribution, Empirical):
        return _remembered_grid(e.distribution)
    edges = _edges(*e.distribution.support)
    return edges, kde(e.distribution.values, edges, bandwidth)


@lru_cache(maxsize=8)  # the runs of a sweep have few targets
def _remembered_grid(distribution: Distribution) -> tuple[np.ndarray, np.ndarray]:
    # with heavy tails a bin of the wide interval would hold all that matters
    shares = (0.9999, 0.98) if math.isfinite(distribution.sd) else (0.98,)
    edges = _edges(*bulk(distribution, (*shares, 0.95, 0.9, 0.8), BINS / 6))
    density = np.diff(distribution.cdf(edges)) / np.diff(edges)
    edges.flags.writeable = density.flags.writeable = False
    return edges, density


def _edges(low: float, high: float) -> np.ndarray:
    margin = 0.15 * (high - low)
    return np.linspace(low - margin, high + margin, BINS + 1)


def bulk(distribution: Distribution, shares: Sequence[float], width: float) -> tuple[float, float]:
    """The widest interval of these shares of all values that is so many interquartile ranges wide at most.

    Of a distribution with modes the first: a rare mode would be taken for a tail.
    """
    if modes_of(distribution) is not None:
        shares = shares[:1]
    most = width * float(np.ptp(distribution.interval(0.5)))
    intervals = [distribution.interval(share) for share in shares]
    low, high = next((ends for ends in intervals if ends[1] - ends[0] <= most), intervals[-1])
    return float(low), float(high)


def probabilities(density: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The mass in each bin, and last what lies outside."""
    width = np.diff(edges)
    inside = float(density @ width)
    return np.append(density * width, max(0.0, 1 - inside)) / max(1.0, inside)


def bandwidth_of(values: np.ndarray) -> float:
    """Of a kernel density estimate; infinite for values that are all equal.

    Source:  Silverman 1986, equation 3.31
    """
    low, high = np.quantile(values, [0.25, 0.75])
    spread = min(s for s in (values.std(), (high - low) / NORMAL_IQR, np.inf) if s > 0)
    return float(0.9 * spread * len(values) ** -0.2)


def kde(values: np.ndarray, edges: np.ndarray, bandwidth: float | None = None) -> np.ndarray:
    """Gaussian kernel density estimate, the mean over each bin, for distributions without a density."""
    from scipy.special import ndtr

    bandwidth = bandwidth_of(values) if bandwidth is None else bandwidth
    if not math.isfinite(bandwidth):
        return np.zeros(len(edges) - 1)
    values = values[:: max(1, len(values) // KDE_ROWS)]
    cdf = ndtr((edges[:, None] - values) / bandwidth).mean(axis=1)
    return np.diff(cdf) / np.diff(edges)
