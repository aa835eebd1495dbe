"""Entropy and divergences estimated from samples, in nats.

The name says the route: ``_monte_carlo`` where the log-densities are known, ``_histogram`` for the sample
binned, and ``_knn`` where neither density is known.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minigan.arguments import Rule, number, shown, whole
from minigan.probability._numerics import host, host_sample, unit_scaled
from minigan.probability.distributions import location_scale
from minigan.probability.information import LN2, js_rows, kl_of_shares

FINITE = Rule("a finite number", -math.inf)


class Estimate(NamedTuple):
    """A mean over a sample, and its standard error.

    >>> from minigan.probability import entropy_monte_carlo
    >>> p = mg.Normal(0, 1)
    >>> found = entropy_monte_carlo(p, p.sample(np.random.default_rng(0), (1000,)))
    >>> round(found.value, 2), round(found.standard_error, 2)
    (1.4, 0.02)
    """

    value: float
    standard_error: float


def differential_entropy(distribution, samples=None) -> float:
    """H[p] = −∫ p ln p dx, which may be negative: a distribution's own, or the mean of −ln p.

    ``distribution`` is a distribution (closed form where it has one, else quadrature) or, with samples, also
    the function ln p. The mean is unbiased; ``entropy_monte_carlo`` gives it with its standard error.

    Units:   nats
    Source:  [T2]

    >>> round(mg.differential_entropy(mg.Normal(0, 1)), 4)
    1.4189
    """
    return distribution.entropy() if samples is None else entropy_monte_carlo(distribution, samples).value


def entropy_monte_carlo(log_p, x_from_p) -> Estimate:
    """H[p] ≈ mean of −ln p(x) over samples of p; unbiased.

    Shapes:  x_from_p (n,), or (n, p) where ``log_p`` takes rows; ``log_p`` a function or a distribution
    Units:   nats
    Source:  [T2]

    >>> from minigan.probability import entropy_monte_carlo
    >>> p = mg.Normal(0, 1)
    >>> round(entropy_monte_carlo(p, p.sample(np.random.default_rng(0), (1000,))).value, 2)
    1.4
    """
    return _mean(-_log_density(log_p, host(x_from_p, "sample of p")))


def kl_monte_carlo(log_p, log_q, x_from_p) -> Estimate:
    """KL(p‖q) ≈ mean of ln p(x) − ln q(x) over samples of p, with its standard error.

    Unbiased, but of finite samples: where p/q has heavy tails the error is underestimated, and single
    estimates may be negative. ∞ (with an infinite error) if a sample of p fell where q has no mass.

    Shapes:  x_from_p (n,), or (n, p) where the log-densities take rows
    Units:   nats
    Raises:  ValueError – if a sample has no density under p, its own distribution
    Source:  [T5]

    >>> from minigan.probability import kl_monte_carlo
    >>> p, q = mg.Normal(0, 1), mg.Normal(1, 2)
    >>> round(kl_monte_carlo(p, q, p.sample(np.random.default_rng(0), (10_000,))).value, 2)
    0.44
    """
    x = host(x_from_p, "sample of p")
    return _mean(_own(log_p, x, "p") - _log_density(log_q, x))


def js_monte_carlo(log_p, log_q, x_from_p, y_from_q) -> Estimate:
    """JS(p, q) ≈ ½⟨ln 2 − H_b(D*)⟩_p + ½⟨ln 2 − H_b(D*)⟩_q, D* = p/(p + q), H_b the coin's entropy.

    This is [T6] written over m = (p + q)/2, so that every term lies in [0, ln 2], and hence the estimate;
    unbiased.

    Shapes:  samples (n,), (m,), or (n, p), (m, p) where the log-densities take rows
    Units:   nats
    Raises:  ValueError – if a sample has no density under its own distribution
    Source:  [T5], [T6], [T15]

    >>> from minigan.probability import js_monte_carlo
    >>> rng, p, q = np.random.default_rng(0), mg.Normal(0, 1), mg.Normal(1, 1)
    >>> round(js_monte_carlo(p, q, p.sample(rng, (10_000,)), q.sample(rng, (10_000,))).value, 2)
    0.11
    """
    x, y = host(x_from_p, "sample of p"), host(y_from_q, "sample of q")
    f = _mean(_js_term(_own(log_p, x, "p"), _log_density(log_q, x)))
    g = _mean(_js_term(_log_density(log_p, y), _own(log_q, y, "q")))
    return Estimate(0.5 * (f.value + g.value), 0.5 * math.hypot(f.standard_error, g.standard_error))


def kl_histogram(sample, reference, bins=100, low=None, high=None) -> float:
    """KL(sample‖reference) over bins, with a bias of about +(bins − 1)/(2n).

    Binning itself only loses information. The bins split [low, high], by default the reference's mean ± 5 sd,
    evenly; the outermost are open. The reference is a distribution (exact bin probabilities) or a second
    sample. Bins without samples add nothing (0 ln 0 = 0); one where only the reference is empty makes the
    result ∞: with a second sample that is common, so prefer ``js_histogram`` or ``kl_knn`` there.

    Shapes:  sample (n,)
    Units:   nats
    Source:  [T5]

    >>> from minigan.probability import kl_histogram
    >>> p, q = mg.Normal(0, 1), mg.Normal(1, 2)
    >>> round(kl_histogram(p.sample(np.random.default_rng(0), (10_000,)), q), 2)
    0.44
    """
    return kl_of_shares(*_binned(sample, reference, bins, low, high))


def js_histogram(sample, reference, bins=100, low=None, high=None) -> float:
    """JS(sample, reference) over bins: finite always, empty bins add nothing; binned as in ``kl_histogram``.

    Bias about +(bins − 1)/(8n) against a distribution, (bins − 1)/8 · (1/n + 1/m) against a second sample: a
    perfect sampler of 10 000 values shows 0.00106 in 100 bins.

    Shapes:  sample (n,)
    Units:   nats
    Source:  [T5], [T6]

    >>> from minigan.probability import js_histogram
    >>> p = mg.Normal(0, 1)
    >>> js_histogram(p.sample(np.random.default_rng(0), (10_000,)), p) < 0.01
    True
    """
    return float(js_rows(*_binned(sample, reference, bins, low, high)))


def histogram_edges(reference, bins=100, low=None, high=None) -> np.ndarray:
    """The inner edges of ``bins`` bins over [low, high], the outermost of which are open.

    By default [low, high] is the reference's mean ± 5 sd, or for infinite sd its median ± 5 interquartile
    ranges/1.349.

    Shapes:  → (bins − 1,)
    Raises:  ValueError – for fewer than two bins or an empty interval, as of a reference without spread

    >>> from minigan.probability import histogram_edges
    >>> histogram_edges(mg.Uniform(0, 1), bins=4, low=0, high=1)
    array([0.25, 0.5 , 0.75])
    """
    bins = whole("the number of bins", bins, 2)
    if low is None or high is None:
        if hasattr(reference, "quantile"):
            centre, scale, _ = location_scale(reference)
        else:
            x = host_sample(reference, "reference")
            scaled, exponent = unit_scaled(x)
            centre, scale = np.ldexp([scaled.mean(), scaled.std()], exponent)
        low = centre - 5 * scale if low is None else low
        high = centre + 5 * scale if high is None else high
    low, high = (
        number(f"the {end} end of a histogram", x, FINITE) for end, x in (("low", low), ("high", high))
    )
    if not (low < high and math.isfinite(high - low)):
        raise ValueError(f"a histogram needs low < high, both finite; received [{low}, {high}]")
    return np.linspace(low, high, bins + 1)[1:-1]


def kl_knn(x, y, k=5) -> float:
    """KL(p‖q) from samples x of p and y of q: (p/n) Σ ln(νₖ(i)/ρₖ(i)) + ln(m/(n − 1)).

    ρₖ(i) is the distance from xᵢ to its k-th neighbour among the other x, νₖ(i) that to its k-th in y, for
    rows of p features. Neither density is needed. Consistent for every k; at finite n biased towards zero,
    the more the farther apart the distributions are and the more features there are; it may be negative. For
    equal normal distributions and n = m = 10 000, k = 5, its standard deviation is 0.01.

    Shapes:  x (n,) or (n, p), y (m,) or (m, p)
    Units:   nats
    Raises:  ValueError – if k rows coincide, which no density allows
    Source:  [T5]; Wang, Kulkarni & Verdú 2009, equation 5; Pérez-Cruz 2008

    >>> from minigan.probability import kl_knn
    >>> rng, p, q = np.random.default_rng(0), mg.Normal(0, 1), mg.Normal(1, 2)
    >>> round(kl_knn(p.sample(rng, (2000,)), q.sample(rng, (2000,))), 1)
    0.4
    """
    from scipy.spatial import cKDTree

    x, y = _rows(x, "first sample"), _rows(y, "second sample")
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"both samples need the same features; received rows of {x.shape[1]} and {y.shape[1]}"
        )
    k = whole("k", k)
    if len(x) < k + 1 or len(y) < k:
        raise ValueError(
            f"kl_knn with k = {k} needs k ≥ 1, more than k rows of x and at least k of y; "
            f"received {len(x)} and {len(y)}"
        )
    unit = np.frexp(max(np.abs(x).max(), np.abs(y).max()))[1]  # in which squares stay in float64
    x, y = np.ldexp(x, -unit), np.ldexp(y, -unit)
    rho = cKDTree(x).query(x, [k + 1])[0][:, 0]
    nu = cKDTree(y).query(x, [k])[0][:, 0]
    tied = int(((rho == 0) | (nu == 0)).sum())
    if tied:
        raise ValueError(
            f"{tied} rows of the first sample coincide with {k} others, where no density exists; "
            "remove duplicates, raise k, or add noise below the last digit of the data"
        )
    return float(x.shape[1] * np.log(nu / rho).mean() + math.log(len(y) / (len(x) - 1)))


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _js_term(log_p, log_q):
    """ln 2 − H_b(D*) with D* = σ(ln p − ln q), in [0, ln 2]."""
    a = np.abs(log_p - log_q)
    tail = np.exp(-a)
    entropy_of_coin = np.log1p(tail) + np.minimum(a, 800) * tail / (1 + tail)  # no ∞·0
    return np.clip(LN2 - entropy_of_coin, 0, LN2)


def _log_density(distribution, x):
    """ln p at the samples, one number for each.

    Raises:  TypeError – for what is no distribution and no function;  ValueError – for NaN, other shapes
    """
    log_density = getattr(distribution, "log_density", distribution)
    if not callable(log_density):
        raise TypeError(f"a log-density is a distribution or a function; received {shown(distribution)}")
    found = np.asarray(log_density(x))
    if found.shape not in (x.shape, x.shape[:-1]) or not found.size:
        raise ValueError(
            f"a log-density returns a number for each sample; {x.shape} gave shape {found.shape}"
        )
    if bad := int(np.isnan(found).sum()):
        raise ValueError(f"the log-density of {bad} among {found.size} samples is NaN")
    return found


def _own(distribution, x, name):
    log_density = _log_density(distribution, x)
    outside = int(np.isneginf(log_density).sum())
    if outside:
        raise ValueError(
            f"{outside} samples of {name} have no density under {name}; draw them from {name} itself"
        )
    return log_density


def _mean(terms):
    if np.isinf(terms).any():
        return Estimate(math.inf, math.inf)
    n = terms.size
    return Estimate(float(terms.mean()), float(terms.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf)


def _binned(sample, reference, bins, low, high):
    sample = host_sample(sample)
    if not hasattr(reference, "cdf"):
        reference = host_sample(reference, "reference")
        edges = histogram_edges(reference, bins, low, high)
        return _shares(sample, edges), _shares(reference, edges)
    try:
        edges, of_reference = _remembered_bins(reference, bins, low, high)
    except TypeError:  # not hashable
        edges, of_reference = _bins_of(reference, bins, low, high)
    return _shares(sample, edges), of_reference


def _bins_of(distribution, bins, low, high):
    """The inner edges of bins, and the distribution's shares in them."""
    edges = histogram_edges(distribution, bins, low, high)
    return edges, np.diff(distribution.cdf(edges), prepend=0, append=1)


_remembered_bins = lru_cache(maxsize=8)(_bins_of)


def _shares(ordered, edges):
    """The share of an ordered sample in each bin (edge, next edge]."""
    return np.diff(np.searchsorted(ordered, edges, side="right") / len(ordered), prepend=0, append=1)


def _rows(x, what):
    x = host(x, what, finite=True)
    if x.ndim not in (1, 2):
        raise ValueError(f"the {what} must have shape (n,) or (n, p); received {x.shape}")
    return x.reshape(len(x), -1)
