"""How well samples and distributions agree: Kolmogorov–Smirnov, Wasserstein, energy distance, MMD.

All distances are exact, ties included. The field's own is ``scipy.stats``; here are also one-sample W1 and
left limits of step functions, without the seconds that importing it takes.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from minigan.arguments import FRACTION, POSITIVE, instance, number, whole
from minigan.evaluation.ks_pvalue import one_sample, two_sample
from minigan.probability._numerics import epsilon, host, host_sample

_CHUNK = 2**21  # entries of a kernel matrix held at once
_REMEMBERED = 2**17  # quantiles of a distribution, at most


@dataclass(frozen=True)
class KSResult:
    """The Kolmogorov–Smirnov statistic, its p-value, and an x where the two CDFs are that far apart.

    >>> from minigan.evaluation import ks_two_sample
    >>> found = ks_two_sample([1.0, 2.0, 3.0], [2.5, 3.5, 4.5])
    >>> round(found.statistic, 4), found.location
    (0.6667, 2.0)
    """

    statistic: float
    pvalue: float
    location: float


@dataclass(frozen=True)
class EnergyResult:
    """The energy distance, its permutation p-value, and median and 95 % point of the permuted ones.

    >>> from minigan.evaluation import energy_test
    >>> rng = np.random.default_rng(0)
    >>> found = energy_test(rng.normal(size=(100, 2)), rng.normal(2, 1, (100, 2)), rng)
    >>> found.pvalue < 0.05
    True
    """

    statistic: float
    pvalue: float
    median: float
    bound: float


@dataclass(frozen=True)
class MMDResult:
    """The squared MMD, its permutation p-value, median and 95 % point of the permuted ones, the bandwidth.

    >>> from minigan.evaluation import mmd_test
    >>> rng = np.random.default_rng(0)
    >>> mmd_test(rng.normal(size=(50, 1)), rng.normal(2, 1, (50, 1)), rng).pvalue < 0.05
    True
    """

    statistic: float
    pvalue: float
    median: float
    bound: float
    bandwidth: float


@dataclass(frozen=True, eq=False)
class ECDF:
    """F_n(x) = (1/n) Σ 1[xᵢ ≤ x] of a sample; ``left`` is its limit from the left, (1/n) Σ 1[xᵢ < x].

    Source:  [T7]

    >>> from minigan.evaluation import ecdf
    >>> F = ecdf([1.0, 2.0, 2.0, 5.0])
    >>> float(F(2.0)), float(F.left(2.0))
    (0.75, 0.25)
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

    >>> from minigan.evaluation import ecdf
    >>> ecdf([3.0, 1.0, 2.0])([0.5, 1.0, 2.5])
    array([0.        , 0.33333333, 0.66666667])
    """
    ordered = host_sample(sample)
    ordered.flags.writeable = False
    return ECDF(ordered)


# ── Kolmogorov–Smirnov ──────────────────────────────────────────────────────────────────────────────────────


def ks_one_sample(sample, cdf) -> KSResult:
    """KS = sup |F_n(x) − F(x)| of a sample against a known CDF.

    ``cdf`` is a distribution or a function. Where F itself jumps the supremum needs its left limits: they are
    taken from a distribution's ``cdf_left`` or a function's ``left`` (as an ``ECDF`` has); without them F
    counts as continuous. The p-value is that of a continuous F, conservative otherwise: the exact
    distribution of KS up to n = 1000, a corrected Kolmogorov distribution (within 2e-5) beyond, twice the
    exact one-sided distribution, to ten digits, where p is below about 1e-3. However large n is, it takes
    milliseconds.

    Shapes:  sample (n,)
    Source:  [T7]; Marsaglia, Tsang & Wang 2003; Vrbik 2018

    >>> from minigan.evaluation import ks_one_sample
    >>> found = ks_one_sample([0.1, 0.4, 0.7], mg.Uniform(0, 1).cdf)
    >>> round(found.statistic, 4), round(found.pvalue, 4)
    (0.3, 0.8862)
    """
    x = host_sample(sample)
    at, before = _limits(cdf, x)
    statistic, i = _one_sided_gaps(at, before)
    return KSResult(float(statistic), one_sample(float(statistic), len(x)), float(x[i]))


def ks_two_sample(a, b) -> KSResult:
    """KS = sup |F_{1,n}(x) − F_{2,m}(x)| of two samples, exact with ties.

    The p-value is exact for continuous distributions, to twelve digits however small it is: in no time for
    n = m, otherwise up to n·m = 10⁸ and n + m = 250 000, where it takes 0.1 s for n ≈ m and 1 s for the most
    unequal sizes. Beyond, it is the one-sample distribution for the smaller n, at Hodges' correction: within
    1e-3, and 2e-5 where m is above 10 n. It never rises with KS; it is conservative where values tie.

    Shapes:  a (n,), b (m,)
    Source:  [T7]; Gnedenko & Koroljuk 1951; Hodges 1957

    >>> from minigan.evaluation import ks_two_sample
    >>> found = ks_two_sample([1.0, 2.0, 3.0], [2.5, 3.5, 4.5])
    >>> round(found.statistic, 4), round(found.pvalue, 4)
    (0.6667, 0.6)
    """
    a, b = host_sample(a, "first sample"), host_sample(b, "second sample")
    n, m = len(a), len(b)
    x = np.concatenate([a, b])
    # whole numbers, so that no rounding decides which paths reach as far
    reach = np.abs(np.searchsorted(a, x, side="right") * m - np.searchsorted(b, x, side="right") * n)
    i = int(reach.argmax())
    return KSResult(int(reach[i]) / (n * m), two_sample(int(reach[i]), n, m), float(x[i]))


def ks_statistic(a, b) -> float:
    """KS of two samples without its p-value, which costs many times as much: to find the worst of features.

    Shapes:  a (n,), b (m,)
    Source:  [T7]

    >>> from minigan.evaluation import ks_statistic
    >>> round(ks_statistic([1.0, 2.0, 3.0], [2.5, 3.5, 4.5]), 4)
    0.6667
    """
    a, b = host_sample(a, "first sample"), host_sample(b, "second sample")
    x = np.concatenate([a, b])
    below_a, below_b = (np.searchsorted(s, x, side="right") / len(s) for s in (a, b))
    return float(np.abs(below_a - below_b).max())


def perfect_ks_band(n, m=None, level=0.95) -> tuple[float, float]:
    """The median and the ``level`` quantile of KS for a perfect sampler: 0.8276/√n, 1.3581/√n, less 1/(6n).

    Against a second sample of m values n becomes n·m/(n + m), and no quantile is above 1, which KS cannot
    exceed. The small correction is Vrbik's; from n = 20 on the levels are exact to 0.001, below exact for one
    sample.

    Raises:  ValueError – for an empty sample, or a level outside [0, 1)

    >>> from minigan.evaluation import perfect_ks_band
    >>> [round(end, 4) for end in perfect_ks_band(10_000)]
    [0.0083, 0.0136]
    """
    from scipy.special import kolmogi

    size, level = _effective_size(n, m), number("level", level, FRACTION)
    root = math.sqrt(size)

    def quantile(upper_tail):
        if m is None and n < 20:
            return _where(lambda d: one_sample(d, n) <= upper_tail)
        x = (kolmogi(upper_tail) - 1 / (6 * root) + 1 / (4 * size)) / (1 + 1 / (4 * size)) / root
        return min(float(x), 1.0)

    return quantile(0.5), quantile(1 - level)


def _where(holds):
    """The x in [0, 1] from which on it holds."""
    low, high = 0.0, 1.0
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _effective_size(n, m):
    n, m = (None if size is None else whole("the size of a sample", size) for size in (n, m))
    return float(n) if m is None else n * m / (n + m)


def _limits(cdf, x):
    """F(x) and F(x−)."""
    if hasattr(cdf, "cdf"):
        at, left = cdf.cdf, getattr(cdf, "cdf_left", None)
    else:
        at, left = cdf, getattr(cdf, "left", None)
    given = at(x)
    at, rounding = host(given, "CDF"), 1e-9 + 8 * epsilon(given)
    if at.shape != x.shape or at.min() < -rounding or at.max() > 1 + rounding:
        raise ValueError(
            f"a CDF returns one value in [0, 1] for each x; received shape {at.shape}, "
            f"values from {at.min()} to {at.max()}"
        )
    at = np.clip(at, 0, 1)
    return at, at if left is None else np.clip(host(left(x), "CDF"), 0, 1)


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


# ── Wasserstein-1 ───────────────────────────────────────────────────────────────────────────────────────────


def wasserstein1(a, b) -> float:
    """W1 = ∫ |F_{1,n} − F_{2,m}| dx of two samples of any sizes, the least mean move from one to the other.

    Shapes:  a (n,), b (m,)
    Units:   those of the samples

    >>> from minigan.evaluation import wasserstein1
    >>> wasserstein1([0.0, 1.0], [2.0, 3.0])
    2.0
    """
    a, b = host_sample(a, "first sample"), host_sample(b, "second sample")
    if len(a) == len(b):
        return float(np.abs(a - b).mean())
    x = np.sort(np.concatenate([a, b]), kind="stable")  # which merges runs that are in order
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

    >>> from minigan.evaluation import wasserstein1_to
    >>> round(wasserstein1_to([-1.0, 0.0, 1.0], mg.Normal(0, 1)), 4)
    0.3434
    """
    x = host_sample(sample)
    if not math.isfinite(distribution.mean):
        return math.inf
    return float(wasserstein1_of_rows(x, distribution, inner_quantiles(len(x), distribution)))


def inner_quantiles(n: int, distribution) -> np.ndarray:
    """The quantiles at 1/n … (n − 1)/n.    Shapes:  → (n − 1,)"""
    try:
        return _remembered_quantiles(n, distribution) if n <= _REMEMBERED else _quantiles(n, distribution)
    except TypeError:  # not hashable
        return _quantiles(n, distribution)


def _quantiles(n, distribution):
    return distribution.quantile(np.arange(1, n) / n) if n > 1 else np.empty(0)


@lru_cache(maxsize=8)
def _remembered_quantiles(n, distribution):
    quantiles = _quantiles(n, distribution)
    quantiles.flags.writeable = False
    return quantiles


def wasserstein1_of_rows(x: np.ndarray, distribution, quantiles: np.ndarray) -> np.ndarray:
    """W1 of ordered samples along the last axis, given the distribution's ``inner_quantiles``.

    Shapes:  x (…, n), quantiles (n − 1,) → (…)
    """
    n = x.shape[-1]
    area = distribution.integrated_cdf(x)
    crossing = np.clip(quantiles, x[..., :-1], x[..., 1:])
    # Few gaps are crossed; elsewhere the area is known.
    inside = (x[..., :-1] < crossing) & (crossing < x[..., 1:])
    area_crossing = np.where(crossing <= x[..., :-1], area[..., :-1], area[..., 1:])
    if inside.any():
        area_crossing[inside] = distribution.integrated_cdf(crossing[inside])
    level = np.arange(1, n) / n
    below = level * (crossing - x[..., :-1]) - (area_crossing - area[..., :-1])
    above = (area[..., 1:] - area_crossing) - level * (x[..., 1:] - crossing)
    upper_tail = area[..., -1] - x[..., -1] + distribution.mean
    return np.maximum(area[..., 0] + (below + above).sum(axis=-1) + upper_tail, 0.0)


# ── energy distance and MMD, in any number of features ──────────────────────────────────────────────────────


def energy_test(x, y, rng: np.random.Generator, permutations=200, rows=1000) -> EnergyResult:
    """E = 2⟨|X − Y|⟩ − ⟨|X − X′|⟩ − ⟨|Y − Y′|⟩ ≥ 0 of two samples of p features, with a permutation p-value.

    It is zero in the limit only for equal distributions, in any number of features; give features in
    comparable units. Of larger samples, ``rows`` rows a side are drawn at random, since all distances are
    held at once. The p-value is (1 + permuted distances at least as large)/(1 + permutations), valid for
    every sample size.

    Shapes:  x (n,) or (n, p), y (m,) or (m, p)
    Source:  Székely & Rizzo 2004

    >>> from minigan.evaluation import energy_test
    >>> rng = np.random.default_rng(0)
    >>> same = energy_test(rng.normal(size=(100, 2)), rng.normal(size=(100, 2)), rng)
    >>> same.pvalue > 0.05
    True
    """
    x, y, unit = _pair_of_rows(x, y)
    x, y = _drawn(x, y, rng, permutations, rows)
    n, m = len(x), len(y)
    within_x, across, within_y = _block_sums(_distances(np.concatenate([x, y])), n, permutations, rng)
    energies = 2 * across / (n * m) - within_x / n**2 - within_y / m**2
    statistic, pvalue, median, bound = _permutation_pvalue(np.maximum(energies, 0.0))
    with np.errstate(over="ignore"):
        statistic, median, bound = np.ldexp([statistic, median, bound], unit).tolist()
    return EnergyResult(statistic, pvalue, median, bound)


def mmd2(x, y, bandwidth: float | None = None) -> float:
    """MMD² = ⟨k(X, X′)⟩ + ⟨k(Y, Y′)⟩ − 2⟨k(X, Y)⟩ with k(x, y) = exp(−|x − y|²/(2 bandwidth²)).

    The unbiased estimate: pairs of a row with itself do not count, so it is below zero for half of all equal
    distributions. ``bandwidth`` is by default the median of the distances between unequal rows of both
    samples together, of at most 1000 rows a side, evenly taken.

    Shapes:  x (n,) or (n, p), y (m,) or (m, p)
    Raises:  ValueError – for fewer than two rows a side, unequal features, or a bandwidth not above zero
    Source:  Gretton et al. 2012, equation 3; the median heuristic is in section 8

    >>> from minigan.evaluation import mmd2
    >>> round(mmd2([[0.0], [1.0]], [[5.0], [6.0]]), 4)
    0.8694
    """
    x, y, unit = _pair_of_rows(x, y)
    bandwidth, _ = _bandwidth(x, y, bandwidth, unit)
    centre = np.concatenate([x, y]).mean(axis=0)
    x, y = x - centre, y - centre
    n, m = len(x), len(y)
    within_x, within_y = _kernel_sum(x, x, bandwidth) - n, _kernel_sum(y, y, bandwidth) - m
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * _kernel_sum(x, y, bandwidth) / (n * m)


def mmd_test(
    x, y, rng: np.random.Generator, permutations=200, rows=1000, bandwidth: float | None = None
) -> MMDResult:
    """The unbiased MMD² of ``mmd2`` with a permutation p-value, and what a perfect sampler would show.

    Rows, permutations and p-value are those of ``energy_test``; the bandwidth is that of the pooled rows,
    which no permutation changes, so the test is valid with it.

    Shapes:  x (n,) or (n, p), y (m,) or (m, p)
    Source:  Gretton et al. 2012, equation 3

    >>> from minigan.evaluation import mmd_test
    >>> rng = np.random.default_rng(0)
    >>> mmd_test(rng.normal(size=(50, 1)), rng.normal(size=(50, 1)), rng).pvalue > 0.05
    True
    """
    x, y, unit = _pair_of_rows(x, y)
    x, y = _drawn(x, y, rng, permutations, rows)
    (width, bandwidth), (n, m) = _bandwidth(x, y, bandwidth, unit), (len(x), len(y))
    kernel = np.exp(-0.5 * np.square(_distances(np.concatenate([x, y])) / width))
    np.fill_diagonal(kernel, 0.0)
    within_x, across, within_y = _block_sums(kernel, n, permutations, rng)
    values = within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * across / (n * m)
    statistic, pvalue, median, bound = _permutation_pvalue(values)
    return MMDResult(statistic, pvalue, median, bound, bandwidth)


def _pair_of_rows(x, y):
    """Both samples as (n, p) and (m, p) in units of 2^k, so that squares stay in float64, and k."""
    x, y = (host(s, "sample", finite=True) for s in (x, y))
    if x.ndim not in (1, 2) or x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"both samples need rows of the same features; received shapes {x.shape} and {y.shape}"
        )
    if len(x) < 2 or len(y) < 2:
        raise ValueError(f"a test needs at least 2 rows a side; received {len(x)} and {len(y)}")
    unit = int(np.frexp(max(np.abs(x).max(), np.abs(y).max()))[1])
    return *(np.ldexp(s, -unit).reshape(len(s), -1) for s in (x, y)), unit


def _drawn(x, y, rng, permutations, rows):
    permutations, rows = whole("permutations", permutations), whole("rows", rows, 2)
    instance("rng is a NumPy Generator", rng, np.random.Generator, "give np.random.default_rng(seed)")
    return (s if len(s) <= rows else s[rng.choice(len(s), rows, replace=False)] for s in (x, y))


def _block_sums(matrix, n, permutations, rng):
    """Sums of a symmetric matrix within the first n rows, across, and within the rest.

    For the rows as they stand, then for permuted ones: three arrays (1 + permutations,).
    """
    chosen = np.arange(len(matrix)) < n
    permuted = rng.permuted(np.tile(chosen, (permutations, 1)), axis=1)
    first = np.concatenate([chosen[None], permuted]).astype(float)
    to_first = first @ matrix
    to_rest = matrix.sum(axis=0) - to_first
    within, across = (to_first * first).sum(axis=1), (to_rest * first).sum(axis=1)
    return within, across, (to_rest * (1 - first)).sum(axis=1)


def _permutation_pvalue(values):
    """The first of the values, its p-value among the others, their median and 95 % point."""
    observed, permuted = float(values[0]), values[1:]
    rounding = 1e-11 * np.abs(values).max()  # where rows are equal, so are many of the values
    exceeding = int((permuted >= observed - rounding).sum())
    median, bound = np.quantile(permuted, [0.5, 0.95])
    return observed, (1 + exceeding) / (1 + len(permuted)), float(median), float(bound)


def _distances(rows):
    """Euclidean distances between all rows, by one matrix product about their common centre."""
    rows = rows - rows.mean(axis=0)
    squares = (rows * rows).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0.0))
    np.fill_diagonal(distances, 0.0)
    return distances


def _bandwidth(x, y, bandwidth, unit):
    """In units of the rows, and in the user's."""
    if bandwidth is not None:
        bandwidth = number("a bandwidth", bandwidth, POSITIVE)
        with np.errstate(over="ignore"):  # rows lie below 1 there: what is beyond 1e±100 makes no difference
            return float(np.clip(np.ldexp(bandwidth, -unit), 1e-100, 1e100)), bandwidth
    some = np.concatenate([s[np.linspace(0, len(s) - 1, min(len(s), 1000)).astype(int)] for s in (x, y)])
    distances = _distances(some)
    apart = distances[np.triu_indices(len(some), 1)]
    # rows that are equal differ by rounding in a matrix product
    apart = apart[apart > 1e-7 * apart.max()]
    if not apart.size:
        return 1.0, 1.0
    width = float(np.median(apart))
    with np.errstate(over="ignore"):
        return width, float(np.ldexp(width, unit))


def _kernel_sum(x, y, bandwidth):
    """Σ k(xᵢ, yⱼ) over all pairs, a part of x at a time."""
    total, step = 0.0, max(1, _CHUNK // len(y))
    squares = (y * y).sum(axis=1)
    for start in range(0, len(x), step):
        part = x[start : start + step]
        distances = (part * part).sum(axis=1)[:, None] + squares - 2 * part @ y.T
        total += float(np.exp(-0.5 * np.maximum(distances, 0.0) / bandwidth**2).sum())
    return total
