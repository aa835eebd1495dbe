"""Two samples of one feature by their pooled ranks, which know no unit and no tail.

Where they come from one distribution, ranks are dealt at random: what they then show depends on the sizes
and on which values tie, and on nothing else.
"""

import math

import numpy as np

from minigan.evaluation.joint import Joint, KolmogorovTail, NormalTail, RatioTail, ZolotarevTail, scores
from minigan.probability.long_calls import ordered

AD_MEDIAN, AD_VARIANCE = 0.7742, 2 * math.pi**2 / 3 - 6  # of the asymptotic Anderson-Darling statistic
TIED = 1e-3  # Σ t³/N³ of values that t of N have in common, from which on ties show: one value of a tenth
SPLITS, CELLS = 4000, 200  # dealt of tied values, and how many different ones of them are told apart


def rank_scores(sample: np.ndarray, real: np.ndarray) -> tuple[float, float, NormalTail, RatioTail | None]:
    """Difference of mean, and ratio of rms, of the normal scores of the pooled ranks, each with its tail.

    Variances are those over all ways to choose n of n + m values; ties share their mean score. Where all
    scores are equal but for the sign, as of as many zeros as ones, the ratio says nothing: it has no tail.

    Source:  van der Waerden 1952; Klotz 1962
    """
    n, pooled = len(sample), np.concatenate([sample, real])
    _, inverse, ties = np.unique(pooled, return_inverse=True, return_counts=True)
    z = _scores_of(ties)[inverse]
    square = z * z
    ratio = math.sqrt(square[:n].mean() / square[n:].mean()) if square[n:].any() else math.inf
    return float(z[:n].mean() - z[n:].mean()), ratio, *_score_tails(z, n, ratio >= 1)


def anderson_two_sample(a: np.ndarray, b: np.ndarray) -> float:
    """The Anderson-Darling statistic of two samples with midranks, on the scale of that of one large sample.

    Source:  Scholz & Stephens 1987, equations 7 and 4
    """
    a, b = ordered(a), ordered(b)
    x = _different(a, b)
    below, until = ([np.searchsorted(s, x, side=side) for s in (a, b)] for side in ("left", "right"))
    return float(
        _anderson(
            0.5 * (below[0] + until[0]), 0.5 * (sum(below) + sum(until)), sum(until) - sum(below), len(a)
        )
    )


def ties_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many of both samples have each value, of ordered ones, in its order."""
    x = _different(a, b)
    return np.diff(sum(np.searchsorted(s, x, side="right") for s in (a, b)), prepend=0)


def ranks_joint(ties: np.ndarray, n: int, usual: Joint) -> Joint:
    """The least of the tails of KS, Anderson-Darling, location and spread, of n of all values and the rest.

    ``usual`` where few values tie. Else it is that of random splits of these very values, the same ones each
    time: in large steps KS is smaller than its tail says, and Anderson-Darling larger; of zeros and ones all
    four say the same.

    Shapes:  ties (K,), how many have each value, in its order
    """
    N = int(ties.sum())
    if ((ties / N) ** 3).sum() - N**-2.0 < TIED:
        return usual
    starts = np.cumsum(ties) - ties
    ties, m = np.add.reduceat(ties, np.unique(starts * CELLS // N, return_index=True)[1]), N - n
    dealt = np.random.default_rng([n, m]).multivariate_hypergeometric(ties, n, SPLITS, method="marginals")
    until, of_all, z = np.cumsum(dealt, axis=1), np.cumsum(ties), _scores_of(ties)
    each, square = np.repeat(z, ties), z * z
    location = np.abs(dealt @ z / n - (ties - dealt) @ z / m)
    with np.errstate(divide="ignore"):
        ratio = np.sqrt((dealt @ square / n) / ((ties - dealt) @ square / m))
    (of_location, wider), (_, narrower) = (_score_tails(each, n, above) for above in (True, False))
    tails = (
        KolmogorovTail(n * m / N).p(np.abs(until / n - (of_all - until) / m).max(axis=1)),
        ZolotarevTail().p(_anderson(until - 0.5 * dealt, of_all - 0.5 * ties, ties, n)),
        of_location.p(location),
        np.where(ratio >= 1, wider.p(ratio - 1), narrower.p(1 - ratio))
        if wider and narrower
        else np.ones(SPLITS),
    )
    # few different tails are possible, so many splits share the critical one: by rounding they stay within
    return Joint.of(np.stack(tails, axis=1) * (1 - 1e-6))


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _different(a, b):
    """The different values of two ordered samples."""
    x = np.sort(np.concatenate([a, b]), kind="stable")  # which merges runs that are in order
    return x[np.diff(x, prepend=-np.inf) > 0]


def _scores_of(ties):
    """The mean normal score of each value, of so many that tie."""
    N = ties.sum()
    return np.add.reduceat(scores((np.arange(N) + 0.5) / N), np.cumsum(ties) - ties) / ties


def _score_tails(z, n, above) -> tuple[NormalTail, RatioTail | None]:
    """Of the difference of mean and the ratio of rms, for n of all scores chosen at random."""
    N, square = len(z), z * z
    sd = float(square.std(ddof=1) / square.mean()) * math.sqrt(n * (N - n) / N) / N
    location = NormalTail(float(z.std(ddof=1)) * math.sqrt(1 / n + 1 / (N - n)))
    return location, RatioTail(n, N - n, sd, above) if sd > 1e-12 else None  # less is rounding


def _anderson(mine, of_all, ties, n):
    """From values of the first sample up to the middle of each tie, and of both.    Shapes:  mine (…, K)"""
    N = int(ties.sum())
    m = N - n
    weight = ties / N / (of_all * (N - of_all) - 0.25 * N * ties)
    value = (N - 1) / N * np.sum(weight * (N * mine - n * of_all) ** 2, axis=-1) * (1 / n + 1 / m)
    return np.maximum(1 + (value - 1) * math.sqrt(AD_VARIANCE / _anderson_variance(n, m)), 0.0)


def _anderson_variance(n, m):
    N, H = n + m, 1 / n + 1 / m
    if N < 4:
        return AD_VARIANCE
    steps = 1 / np.arange(1, N)
    h = steps.sum()
    g = float(np.sum(1 / (N - np.arange(1, N - 1)) * np.cumsum(steps[::-1])[: N - 2][::-1]))
    a = (4 * g - 6) + (10 - 6 * g) * H
    b = 4 * (2 * g - 4) + 16 * h + (2 * g - 14 * h - 4) * H - 8 * h + 4 * g - 6
    c = 4 * (6 * h + 2 * g - 2) + 2 * (4 * h - 4 * g + 6) + (2 * h - 6) * H + 4 * h
    d = 4 * (2 * h + 6) - 8 * h
    return (a * N**3 + b * N**2 + c * N + d) / ((N - 1) * (N - 2) * (N - 3))
