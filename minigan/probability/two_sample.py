"""How well two samples, or a sample and a law, agree: Kolmogorov–Smirnov, Wasserstein, energy distance.

All distances are exact, ties included. The field's own is ``scipy.stats``; here are also one-sample W1 and
left limits of step functions, without the seconds that importing it takes.
"""

import math
from dataclasses import dataclass

import numpy as np

from minigan.probability._numerics import host, host_sample

_EXACT_ONE_SAMPLE = 1000  # sample size up to which the exact law of the KS statistic is used
_EXACT_TWO_SAMPLE = 10**8  # n·m up to which lattice paths are counted


@dataclass(frozen=True)
class KSResult:
    """The Kolmogorov–Smirnov statistic, its p-value, and an x where the two CDFs are that far apart."""

    statistic: float
    pvalue: float
    location: float


@dataclass(frozen=True)
class EnergyResult:
    """The energy distance, its permutation p-value, and median and 95 % point of the permuted ones."""

    statistic: float
    pvalue: float
    median: float
    bound: float


@dataclass(frozen=True, eq=False)
class ECDF:
    """F_n(x) = (1/n) Σ 1[xᵢ ≤ x] of a sample; ``left`` is its limit from the left, (1/n) Σ 1[xᵢ < x].

    Source:  [T7]
    """

    ordered: np.ndarray

    def __call__(self, x) -> np.ndarray:
        return np.searchsorted(self.ordered, host(x, "x"), side="right") / len(self.ordered)

    def left(self, x) -> np.ndarray:
        """F_n(x−): the share of values below x."""
        return np.searchsorted(self.ordered, host(x, "x"), side="left") / len(self.ordered)


def ecdf(sample) -> ECDF:
    """The empirical CDF of a sample, as a function.

    Shapes:  sample (n,)
    Source:  [T7]
    """
    ordered = host_sample(sample)
    ordered.flags.writeable = False
    return ECDF(ordered)


# ── Kolmogorov–Smirnov ──────────────────────────────────────────────────────────────────────────────────────


def ks_one_sample(sample, cdf) -> KSResult:
    """KS = sup |F_n(x) − F(x)| of a sample against a known CDF.

    ``cdf`` is a distribution or a function. Where F itself jumps the supremum needs its left limits: they are
    taken from a distribution's ``cdf_left`` or a function's ``left`` (as an ``ECDF`` has); without them F
    counts as continuous. The p-value is that of a continuous F, conservative otherwise: the exact law of KS
    up to n = 1000, a corrected Kolmogorov law (within 2e-5) beyond, twice the exact one-sided law where p is
    below about 1e-3.

    Shapes:  sample (n,)
    Source:  [T7]; Marsaglia, Tsang & Wang 2003; Vrbik 2018
    """
    x = host_sample(sample)
    at, before = _limits(cdf, x)
    statistic, i = _one_sided_gaps(at, before)
    return KSResult(float(statistic), _pvalue_one_sample(float(statistic), len(x)), float(x[i]))


def ks_two_sample(a, b) -> KSResult:
    """KS = sup |F_{1,n}(x) − F_{2,m}(x)| of two samples, exact with ties.

    The p-value is exact for continuous laws up to n·m = 10⁸ (lattice paths), Hodges' corrected asymptotic
    (within 1e-3) beyond; conservative where values tie.

    Shapes:  a (n,), b (m,)
    Source:  [T7]; Hodges 1957
    """
    a, b = host_sample(a, "first sample"), host_sample(b, "second sample")
    n, m = len(a), len(b)
    x = np.concatenate([a, b])
    # whole numbers, so that no rounding decides which paths reach as far
    reach = np.abs(np.searchsorted(a, x, side="right") * m - np.searchsorted(b, x, side="right") * n)
    i = int(reach.argmax())
    return KSResult(int(reach[i]) / (n * m), _pvalue_two_sample(int(reach[i]), n, m), float(x[i]))


def perfect_ks_band(n, m=None, level=0.95) -> tuple[float, float]:
    """The median and the ``level`` quantile of KS for a perfect sampler: 0.8276/√n, 1.3581/√n, less 1/(6n).

    Against a second sample of m values n becomes n·m/(n + m). The small correction is Vrbik's; from n = 20 on
    the levels are exact to 0.001.
    """
    from scipy.special import kolmogi

    size = _effective_size(n, m)
    root = math.sqrt(size)

    def quantile(upper_tail):
        return float((kolmogi(upper_tail) - 1 / (6 * root) + 1 / (4 * size)) / (1 + 1 / (4 * size)) / root)

    return quantile(0.5), quantile(1 - level)


def _effective_size(n, m):
    if n < 1 or (m is not None and m < 1):
        raise ValueError(f"a sample has at least one value; received sizes {n} and {m}")
    return float(n) if m is None else n * m / (n + m)


def _limits(cdf, x):
    """F(x) and F(x−)."""
    if hasattr(cdf, "cdf"):
        at, left = cdf.cdf, getattr(cdf, "cdf_left", None)
    else:
        at, left = cdf, getattr(cdf, "left", None)
    at = host(at(x), "CDF")
    if at.shape != x.shape or at.min() < -1e-12 or at.max() > 1 + 1e-9:
        raise ValueError(
            f"a CDF returns one value in [0, 1] for each x; received shape {at.shape}, "
            f"values from {at.min()} to {at.max()}"
        )
    return at, at if left is None else host(left(x), "CDF")


def _one_sided_gaps(at, before):
    """sup |F_n − F| along the last axis, given F(x) and F(x−) at the ordered sample, and where.

    F only grows between two sample points and F_n not at all, so the supremum is among these 2n gaps, without
    any absolute value: a gap of the other sign is exceeded at the next point.
    """
    n = at.shape[-1]
    steps = np.arange(n + 1) / n
    gaps = np.maximum(steps[1:] - at, before - steps[:-1])
    i = gaps.argmax(axis=-1)
    return np.clip(np.take_along_axis(gaps, np.expand_dims(i, -1), -1)[..., 0], 0, 1), i


def _pvalue_one_sample(d, n):
    """P(KS ≥ d) for n values of a continuous law."""
    from scipy.special import kolmogorov, smirnov

    if 2 * n * d <= 1:
        return 1.0
    if n * d * d > 4 or d >= 0.5:  # both sides at once: impossible, or 1e-10 of this
        return min(1.0, 2 * float(smirnov(n, d)))
    if n <= _EXACT_ONE_SAMPLE:
        return _exact_one_sample(d, n)
    z = math.sqrt(n) * d
    return float(kolmogorov(z + 1 / (6 * math.sqrt(n)) + (z - 1) / (4 * n)))


def _exact_one_sample(d, n):
    """1 − n!/nⁿ (Hⁿ)_kk with Durbin's matrix H and k = ⌈nd⌉; H carries the factor, so nothing overflows."""
    k = math.ceil(n * d)
    size, h = 2 * k - 1, k - n * d
    lag = np.arange(size)[:, None] - np.arange(size) + 1
    H = (lag >= 0).astype(float)
    corner = h ** np.arange(1, size + 1)
    H[:, 0] -= corner
    H[-1] -= corner[::-1]
    H[-1, 0] += max(2 * h - 1, 0) ** size
    log_factorial = np.array([math.lgamma(i + 1) for i in range(size + 1)])
    H *= np.exp(-log_factorial[np.maximum(lag, 0)] + math.lgamma(n + 1) / n - math.log(n))
    return float(np.clip(1 - np.linalg.matrix_power(H, n)[k - 1, k - 1], 0, 1))


def _pvalue_two_sample(reach, n, m):
    """P(max |i·m − j·n| ≥ reach) along a random lattice path from (0, 0) to (n, m)."""
    from scipy.special import kolmogorov

    if reach <= 0:
        return 1.0
    n, m = min(n, m), max(n, m)
    size = n * m / (n + m)
    d = reach / (n * m)
    p = _exact_two_sample(reach, n, m) if n * m <= _EXACT_TWO_SAMPLE and size * d * d < 12 else 0.0
    if p > 1e-9:  # below, the count's complement has lost its digits
        return p
    z = math.sqrt(size) * (d - 0.5 / math.lcm(n, m)) + (m + 2 * n) / (6 * math.sqrt(n * m * (n + m)))
    return float(kolmogorov(z))


def _exact_two_sample(reach, n, m):
    """One minus the share of paths that stay inside the band, row by row; rows are rescaled as they grow.

    A path to (i, j) comes from the left or from below, so one row of counts is the running sum of the row
    before.
    """
    i = np.arange(n + 1)
    low = np.maximum((i * m - reach) // n + 1, 0)
    high = np.minimum(-((-i * m - reach) // n) - 1, m)
    counts = np.zeros(m + 1)
    counts[: high[0] + 1] = 1.0
    log_scale = 0.0
    for row in range(1, n + 1):
        a, b = low[row], high[row] + 1
        if a >= b:
            return 1.0
        counts[a:b] = np.cumsum(counts[a:b])
        if counts[b - 1] > 1e200:
            counts[a:b] *= 1e-200
            log_scale += math.log(1e200)
    if counts[m] == 0:
        return 1.0
    log_paths = math.lgamma(n + m + 1) - math.lgamma(n + 1) - math.lgamma(m + 1)
    return min(max(-math.expm1(math.log(counts[m]) + log_scale - log_paths), 0.0), 1.0)


# ── Wasserstein-1 ───────────────────────────────────────────────────────────────────────────────────────────


def wasserstein1(a, b) -> float:
    """W1 = ∫ |F_{1,n} − F_{2,m}| dx of two samples of any sizes, the least mean move from one to the other.

    Shapes:  a (n,), b (m,)
    Units:   those of the samples
    """
    a, b = host_sample(a, "first sample"), host_sample(b, "second sample")
    if len(a) == len(b):
        return float(np.abs(a - b).mean())
    x = np.sort(np.concatenate([a, b]))
    difference = np.searchsorted(a, x[:-1], side="right") / len(a) - np.searchsorted(
        b, x[:-1], side="right"
    ) / len(b)
    return float(np.abs(difference) @ np.diff(x))


def wasserstein1_to(sample, distribution) -> float:
    """W1 = ∫ |F_n − F| dx of a sample to a distribution, exact; inf where its mean is undefined.

    Between two order statistics F_n is i/n, which F crosses at its quantile; on both sides of it the integral
    of F is known in closed form (``integrated_cdf``).

    Shapes:  sample (n,)
    Units:   those of the sample
    """
    x = host_sample(sample)
    if not math.isfinite(distribution.mean):
        return math.inf
    return float(_wasserstein1_to(x, distribution, _inner_quantiles(len(x), distribution)))


def _inner_quantiles(n, law):
    return law.quantile(np.arange(1, n) / n) if n > 1 else np.empty(0)


def _wasserstein1_to(x, law, quantiles):
    """W1 of ordered samples along the last axis, given the law's quantiles at 1/n … (n − 1)/n."""
    n = x.shape[-1]
    area = law.integrated_cdf(x)
    crossing = np.clip(quantiles, x[..., :-1], x[..., 1:])
    # Few gaps are crossed; elsewhere the area is known.
    inside = (x[..., :-1] < crossing) & (crossing < x[..., 1:])
    area_crossing = np.where(crossing <= x[..., :-1], area[..., :-1], area[..., 1:])
    if inside.any():
        area_crossing[inside] = law.integrated_cdf(crossing[inside])
    level = np.arange(1, n) / n
    below = level * (crossing - x[..., :-1]) - (area_crossing - area[..., :-1])
    above = (area[..., 1:] - area_crossing) - level * (x[..., 1:] - crossing)
    upper_tail = area[..., -1] - x[..., -1] + law.mean
    return np.maximum(area[..., 0] + (below + above).sum(axis=-1) + upper_tail, 0.0)


# ── energy distance ─────────────────────────────────────────────────────────────────────────────────────────


def energy_test(x, y, rng: np.random.Generator, permutations=200, rows=1000) -> EnergyResult:
    """E = 2⟨|X − Y|⟩ − ⟨|X − X′|⟩ − ⟨|Y − Y′|⟩ ≥ 0 of two samples of p features, with a permutation p-value.

    It is zero in the limit only for equal laws, in any number of features; give features in comparable units.
    Of larger samples, ``rows`` rows a side are drawn at random, since all distances are held at once. The
    p-value is (1 + permuted distances at least as large)/(1 + permutations), valid for every sample size.

    Shapes:  x (n,) or (n, p), y (m,) or (m, p)
    Source:  Székely & Rizzo 2004
    """
    x, y = (host(s, "sample", finite=True) for s in (x, y))
    if x.ndim not in (1, 2) or x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"both samples need rows of the same features; received shapes {x.shape} and {y.shape}"
        )
    if len(x) < 2 or len(y) < 2 or permutations < 1:
        raise ValueError(
            f"an energy test needs at least 2 rows a side and 1 permutation; received {len(x)}, {len(y)} "
            f"and {permutations}"
        )
    x, y = (s if len(s) <= rows else s[rng.choice(len(s), rows, replace=False)] for s in (x, y))
    n, m = len(x), len(y)
    distances = _distances(np.concatenate([x, y]).reshape(n + m, -1))
    weights = np.repeat([1 / n, -1 / m], [n, m])
    signed = np.concatenate([weights[None], rng.permuted(np.tile(weights, (permutations, 1)), axis=1)])
    energies = np.maximum(-((signed @ distances) * signed).sum(axis=1), 0.0)
    observed, permuted = float(energies[0]), energies[1:]
    exceeding = int((permuted >= observed * (1 - 1e-12)).sum())
    median, bound = np.quantile(permuted, [0.5, 0.95])
    return EnergyResult(observed, (1 + exceeding) / (1 + permutations), float(median), float(bound))


def _distances(rows):
    """Euclidean distances between all rows, by one matrix product about their common centre."""
    rows = rows - rows.mean(axis=0)
    squares = (rows * rows).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0.0))
    np.fill_diagonal(distances, 0.0)
    return distances
