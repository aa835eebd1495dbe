"""Two Gaussians against two intervals: a GAN of six numbers, and how its discriminator is lost.

The data are ½ N(μ*₁, 1) + ½ N(μ*₂, 1), the generator makes ½ N(μ₁, 1) + ½ N(μ₂, 1), and the discriminator
says 1 on [l₁, r₁] ∪ [l₂, r₂] and 0 elsewhere. It maximises, and the generator minimises,

    L(μ, e) = P(D = 1) + Q(D = 0) = 1 + Σ_i [(P − Q)(r_i) − (P − Q)(l_i)],   edges e = (l₁ ≤ r₁ ≤ l₂ ≤ r₂),

P and Q being the distribution functions. p − q changes sign at most three times, so the best of all
discriminators is one of these, and its L is 1 + TV(p, q). All is in closed form, for any number of games.

Source:  Li, Madry, Peebles, Schmidt 2018, "On the limitations of first-order approximation in GAN dynamics"
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

ORDERS = ("simultaneous", "alternating")
TRUTH = (-0.5, 0.5)
_SIGN = np.array([-1.0, 1.0, -1.0, 1.0])  # of l₁, r₁, l₂, r₂ in L
_FAR = 8.0  # standard deviations beyond which a density is nothing
_CELLS = 128  # in which a change of sign is looked for


def _density(x: np.ndarray, means: np.ndarray) -> np.ndarray:
    """½ φ(x − μ₁) + ½ φ(x − μ₂).    Shapes:  x (…, K), means (…, 2) → (…, K)"""
    first, second = (np.exp(-0.5 * (x - means[..., k, None]) ** 2) for k in (0, 1))
    both: np.ndarray = (0.5 / math.sqrt(2.0 * math.pi)) * (first + second)
    return both


def _distribution(x: np.ndarray, means: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    both: np.ndarray = 0.5 * (ndtr(x - means[..., 0, None]) + ndtr(x - means[..., 1, None]))
    return both


def loss(means: ArrayLike, edges: ArrayLike, truth: ArrayLike = TRUTH) -> np.ndarray:
    """L(μ, e), in [0, 2]: 1 for a discriminator that knows nothing, which D raises and G lowers.

    Shapes:  means (…, 2), edges (…, 4) → (…)
    """
    means, edges, truth = (np.asarray(a, "float64") for a in (means, edges, truth))
    value: np.ndarray = 1.0 + (_SIGN * (_distribution(edges, truth) - _distribution(edges, means))).sum(
        axis=-1
    )
    return value


def slope_of_means(means: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """∂L/∂μ_j = ½ Σ_i [φ(r_i − μ_j) − φ(l_i − μ_j)].    Shapes:  means (…, 2), edges (…, 4) → (…, 2)"""
    distance = edges[..., None, :] - means[..., :, None]
    slope: np.ndarray = (0.5 / math.sqrt(2.0 * math.pi)) * (np.exp(-0.5 * distance**2) * _SIGN).sum(axis=-1)
    return slope


def slope_of_edges(means: np.ndarray, edges: np.ndarray, truth: ArrayLike = TRUTH) -> np.ndarray:
    """∂L/∂r_i = (p − q)(r_i), ∂L/∂l_i = −(p − q)(l_i).    Shapes:  means (…, 2), edges (…, 4) → (…, 4)"""
    slope: np.ndarray = _SIGN * (_density(edges, np.asarray(truth, "float64")) - _density(edges, means))
    return slope


def in_order(edges: ArrayLike) -> np.ndarray:
    """The nearest edges with l₁ ≤ r₁ ≤ l₂ ≤ r₂: where edges have crossed they meet in the middle.

    An interval that has closed stays closed for as long as p < q there: this is how a discriminator is lost.

    Shapes:  (…, 4) → (…, 4)
    Source:  isotonic regression, max over a ≤ k of min over b ≥ k of mean(e_a … e_b)
    """
    edges = np.asarray(edges, "float64")
    crossed = (edges[..., 1:] < edges[..., :-1]).any(axis=-1)
    if not crossed.any():
        return edges
    e = edges[crossed]
    means = {(a, b): e[:, a : b + 1].sum(axis=-1) / (b + 1 - a) for a in range(4) for b in range(a, 4)}
    ordered = edges.copy()
    ordered[crossed] = np.stack(
        [
            np.max([np.min([means[a, b] for b in range(k, 4)], axis=0) for a in range(k + 1)], axis=0)
            for k in range(4)
        ],
        axis=-1,
    )
    return ordered


def optimal_edges(means: ArrayLike, truth: ArrayLike = TRUTH) -> np.ndarray:
    """The edges of {p > q}: the best discriminator of all. −∞ and +∞ where it has no edge.

    Shapes:  means (…, 2) → (…, 4)
    Source:  Li et al. 2018, section 3: a sum of k Gaussians of one width has at most k − 1 zeros
    """
    means, truth = np.asarray(means, "float64"), np.asarray(truth, "float64")
    lowest = np.minimum(means.min(axis=-1), truth.min())[..., None] - _FAR
    highest = np.maximum(means.max(axis=-1), truth.max())[..., None] + _FAR
    x = lowest + (highest - lowest) * np.linspace(0.0, 1.0, _CELLS + 1)
    above = _density(x, truth) > _density(x, means)
    # The first three changes of sign, in order; rows with fewer have +∞ there.
    changes = above[..., 1:] != above[..., :-1]
    cell = np.argsort(~changes, axis=-1, kind="stable")[..., :3]
    found = np.take_along_axis(changes, cell, axis=-1)
    left, right = (np.take_along_axis(x, cell + k, axis=-1) for k in (0, 1))
    left_above = np.take_along_axis(above, cell, axis=-1)
    for _ in range(40):  # bisection: a 10⁻¹² of the width of a cell
        middle = 0.5 * (left + right)
        same = (_density(middle, truth) > _density(middle, means)) == left_above
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    roots = np.where(found, 0.5 * (left + right), np.inf)
    from_start = np.concatenate([np.full_like(lowest, -np.inf), roots], axis=-1)
    from_root = np.concatenate([roots, np.full_like(lowest, np.inf)], axis=-1)
    return np.where(above[..., :1], from_start, from_root)


def total_variation(means: ArrayLike, truth: ArrayLike = TRUTH) -> np.ndarray:
    """TV(p, q) = ½ ∫|p − q|, 0 to 1: what the best discriminator knows.    Shapes:  means (…, 2) → (…)"""
    return loss(means, optimal_edges(means, truth), truth) - 1.0


class Path(NamedTuple):
    """Where both players were, every so many steps.    Shapes:  means (T, …, 2), edges (T, …, 4)"""

    means: np.ndarray
    edges: np.ndarray


def first_order(
    means: ArrayLike,
    edges: ArrayLike,
    rate: float,
    steps: int,
    *,
    order: str = "simultaneous",
    discriminator_steps: int = 1,
    lookahead: int = 0,
    truth: ArrayLike = TRUTH,
    every: int = 1,
) -> Path:
    """Both players move by gradient steps; a round is k_D steps of D and one of G.

    order      "simultaneous": G moves on the D of before the round; "alternating": on the D of after it
    lookahead  G moves on the D as it would be so many steps later, to which D itself does not go: unrolling,
               but for the gradient through those steps

    Shapes:  means (…, 2), edges (…, 4) → a Path of steps // every + 1 points
    Raises:  ValueError – for an unknown order, or a rate that is not positive
    Source:  Li et al. 2018, section 2; Metz et al. 2017
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}; received {order!r}")
    _checked(rate)
    μ, e = np.asarray(means, "float64"), in_order(edges)

    def ascended(e: np.ndarray, count: int) -> np.ndarray:
        for _ in range(count):
            e = in_order(e + rate * slope_of_edges(μ, e, truth))
        return e

    path = [(μ, e)]
    for t in range(1, steps + 1):
        moved = ascended(e, discriminator_steps)
        seen = ascended(e if order == "simultaneous" else moved, lookahead)
        μ, e = μ - rate * slope_of_means(μ, seen), moved
        if t % every == 0:
            path.append((μ, e))
    return Path(*map(np.stack, zip(*path, strict=True)))


def optimal(means: ArrayLike, rate: float, steps: int, *, truth: ArrayLike = TRUTH, every: int = 1) -> Path:
    """G moves by gradient steps against the best discriminator of all: down the slope of TV(p, q).

    Shapes:  means (…, 2) → a Path of steps // every + 1 points
    Raises:  ValueError – for a rate that is not positive
    Source:  Li et al. 2018, section 2 and theorem 1: it converges, if steps are small enough
    """
    _checked(rate)
    μ = np.asarray(means, "float64")
    e = optimal_edges(μ, truth)
    path = [(μ, e)]
    for t in range(1, steps + 1):
        μ = μ - rate * slope_of_means(μ, e)
        e = optimal_edges(μ, truth)
        if t % every == 0:
            path.append((μ, e))
    return Path(*map(np.stack, zip(*path, strict=True)))


def _checked(rate: float) -> None:
    if not 0.0 < rate < math.inf:
        raise ValueError(f"a rate is a positive number; received {rate}")


def error(means: ArrayLike, truth: ArrayLike = TRUTH) -> np.ndarray:
    """max_j |μ_j − μ*_j|, in the order that suits: 0 when both are found.    Shapes:  means (…, 2) → (…)"""
    worst: np.ndarray = np.abs(np.sort(means, axis=-1) - np.sort(np.asarray(truth, "float64"))).max(axis=-1)
    return worst


def collapsed(edges: np.ndarray, width: float = 1e-3) -> np.ndarray:
    """Whether the discriminator says nothing any more, both intervals closed.    Shapes:  (…, 4) → (…)"""
    return (edges[..., 1] <= edges[..., 0] + width) & (edges[..., 3] <= edges[..., 2] + width)


def random_starts(
    rng: np.random.Generator, count: int, spread: float = 1.0, reach: float = 2.0
) -> tuple[np.ndarray, np.ndarray]:
    """Means uniform on ±spread, edges uniform on ±reach, in order.    Shapes:  → (count, 2), (count, 4)"""
    return rng.uniform(-spread, spread, (count, 2)), np.sort(rng.uniform(-reach, reach, (count, 4)), axis=-1)
