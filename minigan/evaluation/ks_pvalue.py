"""How likely a Kolmogorov–Smirnov statistic this large is, by chance, of continuous distributions.

Sums of positive terms, so small p-values keep their digits. SciPy's ``kstwo`` and ``ks_2samp`` have a few
digits less in the first case, and no such tails in the second.
"""

import math

import numpy as np

EXACT_ONE_SAMPLE = 1000  # sample size up to which both sides are counted exactly
EXACT_TWO_SAMPLE = 10**8, 250_000  # n·m and n + m up to which lattice paths are counted: a second at most
_BOTH_SIDES = 4.0  # n d² above which a sample that is far on both sides is 1e-10 of one that is on either
_NODES = 4096


# ── one sample


def one_sample(d: float, n: int) -> float:
    """P(KS ≥ d) for n values of a continuous distribution.

    Source:  Marsaglia, Tsang & Wang 2003; Vrbik 2018; one-sided: Smirnov 1944, Birnbaum & Tingey 1951
    """
    from scipy.special import kolmogorov

    if 2 * n * d <= 1:
        return 1.0
    if n * d * d > _BOTH_SIDES or d >= 0.5:  # both sides at once: impossible, or 1e-10 of this
        return min(1.0, 2 * _one_sided(d, n))
    if n <= EXACT_ONE_SAMPLE:
        return _durbin(d, n)
    z = math.sqrt(n) * d
    return float(kolmogorov(z + 1 / (6 * math.sqrt(n)) + (z - 1) / (4 * n)))


def _durbin(d: float, n: int) -> float:
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


def _one_sided(d: float, n: int) -> float:
    """P(sup F_n − F ≥ d) = d Σ_j C(n, j) (d + j/n)^(j−1) (1 − d − j/n)^(n−j), over j ≤ n(1 − d).

    Beyond n = 1000 as an integral over j, which such a sum is where n d² is above 4: its terms are smooth and
    vanish at both ends. Factorials are Stirling's, to 1/j³.
    """
    from scipy.special import smirnov

    if n <= EXACT_ONE_SAMPLE:
        return float(smirnov(n, d))
    if n * d * d > 375:  # below the least number, 5e-324
        return 0.0
    j = n * (1 - d) * (np.arange(_NODES) + 0.5) / _NODES
    rest, far = n - j, n * d
    log_terms = j * np.log1p(far / j) + rest * np.log1p(-far / rest) - np.log1p(far / j)
    log_terms += 0.5 * np.log(n / (2 * math.pi * j * rest)) + _stirling(n) - _stirling(j) - _stirling(rest)
    return float(d * np.exp(log_terms - np.log(j / n)).sum() * n * (1 - d) / _NODES)


def _stirling(j):
    """ln j! less Stirling's formula for it."""
    return (1 - 1 / (30 * j * j)) / (12 * j)


# ── two samples


def two_sample(reach: int, n: int, m: int) -> float:
    """P(max |i·m − j·n| ≥ reach) along a random lattice path from (0, 0) to (n, m): of KS = reach/(n·m).

    Beyond ``EXACT_TWO_SAMPLE``, and unless n = m, it is the one-sample distribution for the smaller n, at
    Hodges' correction.

    Source:  Gnedenko & Koroljuk 1951; Hodges 1957
    """
    if reach <= 0:
        return 1.0
    n, m = min(n, m), max(n, m)
    if n == m:
        return _equal_sizes(-(-reach // n), n)
    if n * m <= EXACT_TWO_SAMPLE[0] and n + m <= EXACT_TWO_SAMPLE[1]:
        return _paths(reach, n, m)
    z = math.sqrt(n * m / (n + m)) * (reach / (n * m) - 0.5 / math.lcm(n, m))
    z += (m + 2 * n) / (6 * math.sqrt(n * m * (n + m))) - 1 / (6 * math.sqrt(n))  # one_sample has the last
    return one_sample(z / math.sqrt(n), n)


def _equal_sizes(h: int, n: int) -> float:
    """2 Σ_k (−1)^(k−1) C(2n, n − kh)/C(2n, n), by reflecting the paths at both walls."""
    u = np.arange(1, min(n, int(28 * math.sqrt(n)) + 1) + 1)  # farther on, the ratio is below 1e-308
    log_ratio = np.cumsum(np.log1p(-(2 * u - 1) / (n + u)))[h - 1 :: h]
    terms = np.exp(log_ratio)
    terms[1::2] *= -1
    return float(np.clip(2 * terms.sum(), 0, 1))


def _paths(reach: int, n: int, m: int) -> float:
    """The share of paths that leave the band, from what has left by the middle, on the way there and back.

    f(i, j), the share of paths to (i, j) that have left, is [i f(i − 1, j) + j f(i, j − 1)]/(i + j) inside, 1
    outside: every number is in [0, 1] and every sum one of positive terms. A diagonal i + j = s at a time.
    """
    middle = (n + m + 1) // 2
    s = np.arange(middle + 1)
    low = np.maximum((s * n - reach) // (n + m) + 1, np.maximum(s - m, 0))
    high = np.minimum(-((-s * n - reach) // (n + m)) - 1, np.minimum(s, n))
    if (low > high).any():
        return 1.0
    index, products = np.arange(n + 1.0), np.empty(n + 1)
    now, before = np.ones(n + 3), np.ones(n + 3)  # f at i is at i + 1
    now[1] = 0.0
    starts, stops = low.tolist(), (high + 1).tolist()
    for t in range(1, middle + 1):
        a, b = starts[t], stops[t]
        before, now = now, before
        i, inside, product = index[a:b], now[a + 1 : b + 1], products[: b - a]
        np.multiply(t - i, before[a + 1 : b + 1], out=inside)
        inside += np.multiply(i, before[a:b], out=product)
        inside *= 1 / t
        now[a] = now[b + 1] = 1.0
    for f, t in ((now, middle), (before, middle - 1)):
        f[: starts[t] + 1] = f[stops[t] + 1 :] = 1.0
    # All paths pass the middle at one i, with the share that a hypergeometric distribution gives it, and from
    # there to (n, m) as from (0, 0) to its mirror image.
    first = n + m - middle
    there = (now if first == middle else before)[1:]
    i = np.arange(max(0, n - middle), min(n, first) + 1)
    below = i[:-1].astype(float)
    steps = (first - below) * (n - below) / ((below + 1) * (middle - n + below + 1))
    log_share = np.concatenate([[0.0], np.cumsum(np.log(steps))])
    share = np.exp(log_share - log_share.max())
    there, back = there[i], now[1:][n - i]
    return float(np.clip(share @ (there + back - there * back) / share.sum(), 0, 1))
