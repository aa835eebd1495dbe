"""How far two known distributions of one feature are apart: Kolmogorov–Smirnov, Wasserstein-1 and -2.

The best that a generator of some family can reach, before any sample; what samples show is in ``two_sample``.
"""

import math
from collections.abc import Callable

import numpy as np

from minigan.probability._numerics import integrate
from minigan.probability.distributions import Distribution
from minigan.probability.information import require_densities

LEVELS = 4096  # at whose quantiles two distribution functions are compared before they are looked at closely
HALVINGS = 200
EPSILON = float(np.finfo(float).eps)
GOLDEN = 0.5 * (math.sqrt(5) - 1)


def ks_between(p: Distribution, q: Distribution) -> float:
    """KS = sup |F_p − F_q|, to about 1e-12; a part of less than 1/4096 of the mass may be overlooked.

    Raises:  TypeError – for what is no distribution;  ValueError – for one without a density
    Source:  [T7]

    >>> from minigan.evaluation import ks_between
    >>> round(ks_between(mg.Normal(0, 1), mg.Normal(0.7, 1)), 4)
    0.2737
    """
    x = _points("ks_between", p, q)
    # also between neighbours: where the unit of x has no digits for a spread, all quantiles are one
    x = np.unique(np.concatenate([x, 0.5 * x[1:] + 0.5 * x[:-1]]))

    def gap(x):
        return np.abs(p.cdf(x) - q.cdf(x))

    at = gap(x)
    peak = np.flatnonzero((at[1:-1] >= at[:-2]) & (at[1:-1] >= at[2:])) + 1
    if not peak.size:
        return float(at.max())
    low, high = x[peak - 1], x[peak + 1]
    for _ in range(HALVINGS):  # golden sections: between neighbours there is one maximum
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        lower = gap(left) < gap(right)
        low, high = np.where(lower, left, low), np.where(lower, high, right)
    return float(min(max(at.max(), gap(low).max(initial=0.0)), 1.0))


def wasserstein1_between(p: Distribution, q: Distribution) -> float:
    """W1 = ∫ |F_p − F_q| dx, from both integrals of F between the crossings of F_p and F_q.

    ∞ where one of them has no mean.

    Units:   those of x
    Raises:  TypeError – for what is no distribution
             ValueError – for one without a density, and where neither has a mean

    >>> from minigan.evaluation import wasserstein1_between
    >>> round(wasserstein1_between(mg.Normal(0, 1), mg.Normal(2, 1)), 4)
    2.0
    """
    x = _points("wasserstein1_between", p, q)
    if not _comparable("W1", "mean", p.mean, q.mean):
        return math.inf
    sign = np.sign(p.cdf(x) - q.cdf(x))
    x, sign = x[sign != 0], sign[sign != 0]
    change = np.flatnonzero(sign[1:] != sign[:-1])
    if not change.size:  # values of one are all above those of the other, rank by rank
        return abs(float(q.mean - p.mean))
    low, high, before = x[change], x[change + 1], sign[change]
    for _ in range(HALVINGS):
        middle = low + 0.5 * (high - low)
        same = np.sign(p.cdf(middle) - q.cdf(middle)) == before
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    area = p.integrated_cdf(high) - q.integrated_cdf(high)
    return float(np.abs(np.diff(area, prepend=0.0, append=q.mean - p.mean)).sum())


def wasserstein2_between(p: Distribution, q: Distribution) -> float:
    """W2 = √∫ (Q_p − Q_q)² du over all levels u, to about 1e-9 of the sd.

    ∞ where one of them has no finite sd.

    Units:   those of x
    Raises:  TypeError – for what is no distribution
             ValueError – for one without a density, and where neither has a finite sd

    >>> from minigan.evaluation import wasserstein2_between
    >>> round(wasserstein2_between(mg.Normal(0, 1), mg.Normal(2, 1)), 4)
    2.0
    """
    _points("wasserstein2_between", p, q)
    if not _comparable("W2", "finite sd", p.sd, q.sd):
        return math.inf
    unit = max(p.sd, q.sd, abs(p.mean - q.mean))
    rounding = 4 * EPSILON * max(abs(p.mean), abs(q.mean)) / unit  # of values far from zero
    below = _integral_of_levels(lambda u: ((p.quantile(u) - q.quantile(u)) / unit) ** 2, rounding)
    above = _integral_of_levels(lambda u: ((_from_above(p, u) - _from_above(q, u)) / unit) ** 2, rounding)
    return unit * math.sqrt(below + above)


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _points(what, p, q):
    """Quantiles and knots of both, ordered."""
    require_densities(what, p, q)
    for d in (p, q):
        if d.features != 1:
            raise ValueError(f"{what} compares distributions of one feature; received {d}, of {d.features}")
    tails = 2.0 ** -np.arange(13.0, 53.0)
    u = np.concatenate([np.arange(1, LEVELS) / LEVELS, tails, 1 - tails])
    x = np.unique(np.concatenate([points for d in (p, q) for points in (d.knots(), d.quantile(u))]))
    return x[np.isfinite(x)]


def _comparable(distance, what, *moments):
    """Whether both are finite.    Raises:  ValueError – where neither is"""
    finite = [math.isfinite(moment) for moment in moments]
    if not any(finite):
        raise ValueError(f"{distance} needs a {what} of one distribution at least; received two without it")
    return all(finite)


def _integral_of_levels(f: Callable[[np.ndarray], np.ndarray], rounding: float) -> float:
    """∫ f(u) du over u ≤ ½, with u = e^−s."""
    edges = np.array([math.log(2), 2, 5, 20, 80, 300, 700])
    return integrate(lambda s: f(np.exp(-s)) * np.exp(-s), edges, tolerance=1e-13 + rounding)


def _from_above(p, u):
    """The x with 1 − F(x) = u ≤ ½, also where F(x) rounds to 1."""
    low = p.quantile(np.clip(1 - 2 * u, 0.5, 1 - 2.0**-50))
    high = np.full_like(low, p.support[1])
    if high.flat[0] == math.inf:
        step = np.maximum(p.quantile(0.75) - p.quantile(0.5), 1e-300)
        high = low + step
        while (far := p.survival(high) > u).any():
            step = step * 2
            high = np.where(far, high + step, high)
    for _ in range(HALVINGS):
        middle = low + 0.5 * (high - low)
        above = p.survival(middle) > u
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high
