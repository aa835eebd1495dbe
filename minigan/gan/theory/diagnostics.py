"""What theory says about the state of a game: D beside D*, V and what it implies, the generated density.

Everything here works on host arrays in float64; it reads a game, it does not train one.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minigan import backend as backends
from minigan.arguments import NOT_NEGATIVE, Rule, number
from minigan.engine.tensor import constant
from minigan.gan.objectives import Objective
from minigan.gan.objectives import objective as objective_called
from minigan.probability._numerics import host

LN4 = math.log(4.0)
_JS = Rule("a number in [0, ln 2]", 0.0, math.log(2.0) * (1 + 1e-6))  # as float32 rounds it


def optimal_discriminator(p: ArrayLike, q: ArrayLike) -> np.ndarray:
    """D*(x) = p / (p + q): 1 where only real data live, 0 where only generated ones, ½ where p = q.

    Where neither lives it is NaN.

    Shapes:  densities p of the data and q of the generator, equal shapes → the same
    Raises:  ValueError – for NaN, a negative density or unequal shapes
    Source:  [T15]; Goodfellow et al. 2014, proposition 1
    """
    p, q = host(p, "density p"), host(q, "density q")
    if p.shape != q.shape:
        raise ValueError(
            f"D* compares two densities at the same points; received shapes {p.shape} and {q.shape}"
        )
    if (p < 0).any() or (q < 0).any():
        raise ValueError("a density is not negative; received p or q below 0")
    # in units of a power of two, so that no sum overflows
    scale = -np.frexp(np.maximum(p, q))[1]
    of_p, of_q = np.ldexp(p, scale), np.ldexp(q, scale)
    with np.errstate(invalid="ignore"):
        best: np.ndarray = np.where(np.isinf(of_p) & np.isfinite(of_q), 1.0, of_p / (of_p + of_q))
    return best


def optimal_discriminator_of_logs(log_p: ArrayLike, log_q: ArrayLike) -> np.ndarray:
    """D*(x) = σ(ln p − ln q): the same where the densities themselves underflow.

    Shapes:  log-densities of equal shapes → the same; NaN where both are −∞
    Raises:  ValueError – for NaN, or unequal shapes
    Source:  [T10], [T15]
    """
    log_p, log_q = host(log_p, "log-density of p"), host(log_q, "log-density of q")
    if log_p.shape != log_q.shape:
        raise ValueError(
            f"D* compares two densities at the same points; received shapes {log_p.shape} and {log_q.shape}"
        )
    with np.errstate(invalid="ignore"):
        best: np.ndarray = np.exp(-np.logaddexp(0.0, log_q - log_p))
    return best


def value_function(
    real_logits: ArrayLike, fake_logits: ArrayLike, objective: str | Objective = "minimax"
) -> float:
    """V(G, D), which D minimises: its own objective's loss, without penalties, over these logits.

    Of the cross-entropies E[−ln D(x)] + E[−ln(1 − D(G(z)))] = E[softplus(−a)] + E[softplus(a)].

    Shapes:  any two arrays, of equal length where the objective compares pairs → a float
    Units:   nats for the cross-entropies, see ``Objective.divergence``
    Raises:  ValueError – for an empty array, NaN in it, or logits that cannot be paired
    Source:  [T14]: the binary cross-entropy of D, so at D = ½ everywhere it is ln 4
    """
    real, fake = (
        np.ravel(host(a, name))
        for a, name in ((real_logits, "real logits"), (fake_logits, "generated logits"))
    )
    curves = objective_called(objective)
    if curves.paired and real.size != fake.size:
        raise ValueError(f"{curves.name} compares pairs; received {real.size} real and {fake.size} generated")
    a, b = (constant(backends.numpy_backend.array(logits[:, None])) for logits in (real, fake))
    with np.errstate(over="ignore"):
        return float(curves.discriminator_loss(a, b).item())


def best_value(objective: str | Objective, p: np.ndarray, q: np.ndarray, x: np.ndarray) -> float | None:
    """V(G, D*) of an objective's own best D, from the masses of p and q in equal bins.

    p and q have one number more than there are bins: the mass that lies outside. None where that is more
    than a thousandth and the objective needs to know where it lies, or where V has no lower bound.

    Shapes:  p, q (m+1,), centres of the bins x (m,), in the units of D → a number
    Source:  [T16], and each objective's ``value``, whose integral it is
    """
    curves = objective_called(objective)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if curves.theorem in ("stationary", "extreme"):  # p and q twice as large make it twice as large
            value = float(np.sum(curves.value(p, q)))
        elif max(p[-1], q[-1]) > 1e-3:
            return None
        else:
            width = x[1] - x[0]
            value = float(np.sum(curves.value(p[:-1] / width, q[:-1] / width, x)) * width)
    return min(value, curves.divergence.at_rest) if math.isfinite(value) else None


def generator_at_rest(objective: str | Objective) -> float:
    """What G minimises where p = q and D is at its best; NaN where that D is not one but many.

    Source:  each objective's own ``optimum``, and ``generator`` there
    """
    curves = objective_called(objective)
    if curves.theorem not in ("stationary", "paired"):
        return math.nan
    a = curves.optimum(np.ones((1, 1)), np.ones((1, 1)))
    logit = constant(backends.numpy_backend.array(a))
    return float(curves.generator_loss(logit, logit).item()) + 0.0


def near_rest(objective: str | Objective, gap: float, near: float) -> bool:
    """Whether V is near a level: by ``near`` nats for the cross-entropy, whose V has ln 4 between its ends,
    and by the same share of this objective's range where it has ends.
    """
    d = objective_called(objective).divergence
    return gap <= near * min(d.scale * d.largest / LN4, 1.0)


def describe_value(objective: str | Objective, value: float, packing: int = 1) -> str:
    """What a loss of D is where D cannot tell, and what it says of p and q, in a sentence.

    packing  the rows of a pack: D's V is then of p and q of whole packs, which differ more than single rows
    """
    curves = objective_called(objective)
    d, player = curves.divergence, "the critic" if curves.critic else "D"
    unit = f" {d.unit}" if d.unit else ""
    sign = "≈" if curves.critic else "≥"
    of = f" of packs of {packing} rows" if packing > 1 else ""
    implied = f"{d.name}{of} {sign} {d.formula} = {d.implied(value):z.4f}"
    if value > d.at_rest or d.implied(value) == d.largest:
        implied = f"{d.name}{of} {sign} {d.implied(value):z.4f}"
    source = (
        "the critic's estimate in units of the networks, which holds as far as its slope stays at most 1"
        if curves.critic
        else "the bound that this D gives"
    )
    v = f"{value:z.4f}{unit}".replace("-", "−")
    return f"The loss of {player} is V = {v} ({d.level_in_full} when it cannot tell): {implied}, {source}."


def implied_js(value: Any) -> Any:
    """(ln 4 − V)/2: a lower bound on JS(p, q) for any D, tight at D*. Negative when D does worse than a coin.

    The sign is that of [T14], where V is a sum of two *minus* logarithms and D minimises; with the opposite
    sign the same statement reads V = 2 JS − ln 4.

    Units:   nats
    Raises:  TypeError – for no number;  ValueError – for NaN or a negative V, which no D has
    Source:  [T16]; Goodfellow et al. 2014, theorem 1
    """
    if isinstance(value, np.ndarray) and value.ndim:  # of several, each
        return np.array([implied_js(v) for v in value.ravel().tolist()]).reshape(value.shape)
    return (LN4 - (math.inf if value == math.inf else number("V", value, NOT_NEGATIVE))) / 2.0


def value_at_optimum(js: float) -> float:
    """V(G, D*) = ln 4 − 2 JS(p, q).

    Units:   nats
    Raises:  TypeError – for no number;  ValueError – for a JS outside [0, ln 2], but for rounding
    Source:  [T16]
    """
    return LN4 - 2.0 * min(number("JS", js, _JS), LN4 / 2.0)


def pushforward_cdf(z_mass: np.ndarray, x_edges: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Distribution function at the ascending points ``at`` of x = G(z), for a latent cut into cells.

    Cell i has mass z_mass[i] and becomes the interval between x_edges[i] and x_edges[i+1], over which its
    mass is spread evenly: exact in the limit of fine cells, for any continuous G of one latent number,
    monotone or folded. NaN where an edge is not finite.

    Shapes:  z_mass (n,), x_edges (n+1,), at (m,) → (m,)
    """
    if not np.isfinite(x_edges).all():
        return np.full(len(at), np.nan)
    low, high = np.minimum(x_edges[:-1], x_edges[1:]), np.maximum(x_edges[:-1], x_edges[1:])
    smallest = 1e-12 * np.ptp(np.concatenate([x_edges, at])) or 1.0
    width = np.maximum(high - low, smallest)  # a cell folded onto a point is a small step
    # Most cells lie below a point or above it; only of those in which it lies a share is to be found.
    first = np.searchsorted(at, low, side="right")
    whole = np.maximum(np.searchsorted(at, low + width), first)
    cdf = np.cumsum(np.bincount(whole, z_mass, len(at) + 1))[:-1]
    shares = np.cumsum(whole - first)
    parts = np.searchsorted(shares, np.arange(0, shares[-1], 2_000_000), side="right")  # for bounded memory
    for start, stop in pairwise((*parts, len(z_mass))):
        count = (whole - first)[start:stop]
        cell = np.repeat(np.arange(start, stop), count)
        point = np.arange(len(cell)) + np.repeat(first[start:stop] - np.cumsum(count) + count, count)
        share = np.minimum((at[point] - low[cell]) / width[cell], 1.0)
        cdf += np.bincount(point, z_mass[cell] * share, len(at))
    rising: np.ndarray = np.maximum.accumulate(cdf)  # rounding must not make a density of −1e-16
    return rising


def pushforward_density(z_mass: np.ndarray, x_edges: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Density at the points ``at`` of x = G(z): the slope of ``pushforward_cdf``.

    Shapes:  z_mass (n,), x_edges (n+1,), at (m,) → (m,)
    """
    low, high = np.minimum(x_edges[:-1], x_edges[1:]), np.maximum(x_edges[:-1], x_edges[1:])
    wide = high > low  # a cell folded onto a point has no density
    low, high, heights = low[wide], high[wide], z_mass[wide] / (high - low)[wide]
    density = np.zeros(len(at))
    parts = max(1, len(low) * len(at) // 2_000_000)  # so that memory is bounded
    for rows in np.array_split(np.arange(len(low)), parts):
        density += ((at[:, None] >= low[rows]) & (at[:, None] < high[rows])) @ heights[rows]
    return density


def latent_cells(distribution: str, count: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Edges and masses of cells that cover a latent number of the given distribution, fine in the tails too.

    Shapes:  → edges (count + 1,), masses (count,) that sum to one
    Raises:  ValueError – for an unknown distribution
    """
    if distribution == "uniform":
        return np.linspace(-1.0, 1.0, count + 1), np.full(count, 1.0 / count)
    if distribution == "normal":
        from scipy.special import ndtr

        edges = np.linspace(-6.0, 6.0, count + 1)  # beyond ±6 lie 2 · 10⁻⁹
        masses = np.diff(ndtr(edges))
        return edges, masses / masses.sum()
    raise ValueError(f"a latent distribution is 'normal' or 'uniform'; received {distribution!r}")


_remembered_cells = lru_cache(maxsize=2)(latent_cells)


def generated_density(
    generate: Callable[[np.ndarray], ArrayLike], distribution: str, edges: np.ndarray
) -> np.ndarray:
    """Density of G(z), one latent number in and one feature out, as the mean over each bin of ``edges``.

    generate  a function of host latents (n, 1) → host values (n, 1)

    Shapes:  edges (m+1,) → (m,)
    """
    z, mass = _remembered_cells(distribution)
    x = np.asarray(generate(z[:, None]), "float64")[:, 0]
    cdf = pushforward_cdf(mass, x, np.asarray(edges, "float64"))
    density: np.ndarray = np.diff(cdf) / np.diff(edges)
    return density
