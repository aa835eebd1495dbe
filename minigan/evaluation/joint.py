"""One judgement of many measures: each has a tail of its own, and the least of them a known distribution.

A measure outside its band is what the whole judgement is red for, so bands and headline cannot disagree. The
tails need not be exact: what decides is the distribution of the least of them for perfect samplers, which is
simulated with these very tails.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

LEVEL = 0.05  # of every verdict: the share of perfect samplers that it tells apart
LEVELS = (0.5, 0.2, 0.1, 0.05, 0.025, 0.01, 0.005, 0.002)  # at which the least tail is remembered
REACHES = 0.9  # the share of cases in which a deviation counts as found


class Tail(Protocol):
    """How rarely a perfect sampler deviates as far: decreasing in the deviation, in closed form both ways."""

    def p(self, deviation: Any) -> Any:
        """About the share of perfect samplers that deviate as far or farther."""

    def inverse(self, p: float) -> float:
        """The deviation that so few reach."""


@dataclass(frozen=True)
class KolmogorovTail:
    """Of the largest of ``count`` KS statistics of ``size`` values, as if independent; below 0.01 in 1000.

    Source:  Vrbik 2018
    """

    size: float
    count: int = 1

    def p(self, deviation):
        from scipy.special import kolmogorov

        root = math.sqrt(self.size)
        z = root * np.asarray(deviation, float)
        return self.count * kolmogorov(np.maximum(z + 1 / (6 * root) + (z - 1) / (4 * self.size), 0.0))

    def inverse(self, p):
        from scipy.special import kolmogi

        root, least = math.sqrt(self.size), min(p / self.count, 1.0)
        reach = (kolmogi(least) - 1 / (6 * root) + 1 / (4 * self.size)) / (1 + 1 / (4 * self.size)) / root
        return float(min(max(reach, 0.0), 1.0))


@dataclass(frozen=True)
class ZolotarevTail:
    """Of the Anderson-Darling statistic: the leading term √3 erfc(√A²) of its asymptotic tail.

    Within 12 % from 0.05 down, and nearer the farther out.    Source:  Zolotarev 1961
    """

    def p(self, deviation):
        from scipy.special import erfc

        return math.sqrt(3) * erfc(np.sqrt(np.maximum(deviation, 0.0)))

    def inverse(self, p):
        from scipy.special import erfcinv

        return float(erfcinv(min(p / math.sqrt(3), 1.0)) ** 2)


@dataclass(frozen=True)
class NormalTail:
    """Of |d| for d with a normal distribution of mean zero and this sd."""

    sd: float

    def p(self, deviation):
        from scipy.special import ndtr

        if self.sd == 0:
            return np.where(np.asarray(deviation) > 0, 0.0, 1.0)
        return 2 * ndtr(-np.abs(deviation) / self.sd)

    def inverse(self, p):
        from scipy.special import ndtri

        return float(-self.sd * ndtri(min(p, 1.0) / 2))


@dataclass(frozen=True)
class GammaTail:
    """Of a gamma distribution: χ² with k degrees of freedom over c is that of shape k/2 and scale 2/c.

    Or of the one among ``count`` with the least tail, as if no two of them were reached at once.
    """

    shape: float
    scale: float
    count: int = 1

    @classmethod
    def of(cls, mean: float, variance: float) -> "GammaTail":
        """The one with this mean and variance."""
        return cls(mean * mean / variance, variance / mean) if mean > 0 and variance > 0 else cls(1.0, 1e-300)

    def p(self, deviation):
        from scipy.special import gammaincc

        return self.count * gammaincc(self.shape, np.maximum(deviation, 0.0) / self.scale)

    def inverse(self, p):
        from scipy.special import gammainccinv

        return float(self.scale * gammainccinv(self.shape, min(p / self.count, 1.0)))


@dataclass(frozen=True)
class ShareTail:
    """Of |share − q|, both ways, for a share of ``count`` draws: binomial, smooth between whole numbers."""

    count: int
    q: float

    @property
    def sd(self) -> float:
        """√(q(1 − q)/n)."""
        return math.sqrt(self.q * (1 - self.q) / self.count)

    def p(self, deviation):
        from scipy.special import betainc, betaincc

        n, q, d = self.count, self.q, np.abs(deviation)
        more, less = n * (q + d), n * (q - d)
        with np.errstate(invalid="ignore"):
            above = np.where(more <= n, betainc(np.minimum(more, n), np.maximum(n - more, 0) + 1, q), 0.0)
            below = np.where(less >= 0, betaincc(np.maximum(less, 0) + 1, np.maximum(n - less, 1e-9), q), 0.0)
        return above + below

    def inverse(self, p):
        low, high = 0.0, max(self.q, 1 - self.q) * (1 + 1e-9)
        for _ in range(50):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.p(middle) > p else (low, middle)
        return low


@dataclass(frozen=True)
class RatioTail:
    """Of |r − 1| for a ratio r of the rms of n scores and of m others, on its side of 1 and counted twice.

    The n have the share n r²/(n r² + m) of the sum of squares. Its mean is n/(n + m), and its sd is known
    where n of given scores are chosen at random; the beta distribution with both is that of independent
    normal scores. Of few real values r is far from normal.
    """

    n: int
    m: int
    sd_of_share: float
    above: bool

    def p(self, deviation):
        from scipy.special import betainc, betaincc

        r = np.maximum(1 + np.asarray(deviation, float) * (1 if self.above else -1), 0.0)
        with np.errstate(divide="ignore"):
            share = 1 / (1 + self.m / (self.n * r * r))
        return np.minimum(2 * (betaincc if self.above else betainc)(*self._shapes(), share), 1.0)

    def inverse(self, p):
        away = self._ratio(min(p, 1.0) / 2, self.above) - 1
        return max(away if self.above else -away, 0.0)

    def found(self, p: float) -> float:
        """The factor of the n scores at which r exceeds what p/2 reach, as often as ``REACHES`` says."""
        return self._ratio(p / 2, True) / self._ratio(1 - REACHES, False)

    def _shapes(self):
        mean = self.n / (self.n + self.m)
        both = max(mean * (1 - mean) / self.sd_of_share**2 - 1, 1e-6)  # 0 where one score is all of the sum
        return mean * both, (1 - mean) * both

    def _ratio(self, tail, above):
        """What so few ratios are above, or below."""
        from scipy.special import betainccinv, betaincinv

        share = float((betainccinv if above else betaincinv)(*self._shapes(), tail))
        return math.sqrt(self.m * share / (self.n * (1 - share))) if share < 1 else math.inf


@dataclass(frozen=True)
class GuessTail:
    """Of the share of ``count`` guesses that are right by chance."""

    count: int

    def p(self, deviation):
        from scipy.special import bdtrc

        right = np.rint(np.asarray(deviation) * self.count)
        return np.where(right > 0, bdtrc(right - 1, self.count, 0.5), 1.0)

    def inverse(self, p):
        from scipy.special import bdtrc

        counts = np.arange(self.count + 1)
        return float(counts[bdtrc(counts, self.count, 0.5) <= p][0] / self.count)

    def spent(self, level: float) -> float:
        """The share of guessers above ``inverse(level)``: less than the level, as counts are whole."""
        return float(self.p(self.inverse(level) + 1 / self.count))


@dataclass(frozen=True)
class RareTail:
    """Of a count of failures, at most ``most``, that one perfect sampler in 1/``share`` shows at all."""

    share: float
    most: float = math.inf

    def p(self, deviation):
        return np.where(np.asarray(deviation) > 0, self.share, 1.0)

    def inverse(self, p):
        return 0.0 if p >= self.share else self.most


@dataclass(frozen=True)
class Joint:
    """The least of the tails of a perfect sampler's measures: it is at most ``least[k]`` in ``levels[k]``."""

    least: tuple[float, ...]
    levels: tuple[float, ...] = LEVELS

    @classmethod
    def of(cls, tails: np.ndarray) -> "Joint":
        """From the tails of simulated perfect samplers.    Shapes:  tails (R, measures)"""
        least = tails.min(axis=1)
        levels = tuple(level for level in LEVELS if level * len(least) >= 5)
        found = np.quantile(least, levels, method="lower")
        return cls(tuple(float(max(value, 1e-300)) for value in found), levels)

    def critical(self, level: float) -> float:
        """What the least tail of so many perfect samplers does not exceed."""
        return math.exp(_line(math.log(level), np.log(self.levels), np.log(self.least)))

    def pvalue(self, least: float) -> float:
        """The share of perfect samplers whose least tail is as small."""
        if least <= 0:
            return 0.0
        return min(1.0, math.exp(_line(math.log(least), np.log(self.least), np.log(self.levels))))


def _line(x, xs, ys):
    """Through decreasing points, and on with the slope 1 beyond the last ones."""
    if x <= xs[-1]:
        return float(ys[-1] + x - xs[-1])
    if x >= xs[0]:
        return float(ys[0] + x - xs[0])
    return float(np.interp(x, xs[::-1], ys[::-1]))


# ── values of one feature ───────────────────────────────────────────────────────────────────────────────────


def pit_statistics(u: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, ...]:
    """KS, Anderson-Darling, mean and sd of normal scores, of ordered u = F(x) and their scores z.

    Their joint distribution is the same for every continuous F.    Shapes:  u, z (…, n) → four of (…)
    Source:  [T7]; Anderson & Darling 1954
    """
    n = u.shape[-1]
    steps = np.arange(n + 1) / n
    ks = np.maximum(steps[1:] - u, u - steps[:-1]).max(axis=-1)
    odd = (2 * np.arange(1, n + 1) - 1) / n
    safe = np.clip(u, 1e-300, 1 - 2**-53)
    ad = -n - np.log(safe) @ odd - np.log1p(-safe) @ odd[::-1]
    return ks, np.maximum(ad, 0.0), z.mean(axis=-1), z.std(axis=-1, ddof=1)


def scores(u: np.ndarray) -> np.ndarray:
    """The normal quantiles of u, finite also where u is 0 or 1."""
    from scipy.special import ndtri

    z: np.ndarray = ndtri(np.clip(u, 1e-300, 1 - 2**-53))
    return z


def pit_tails(n: float) -> tuple[KolmogorovTail, ZolotarevTail, NormalTail, NormalTail]:
    """The tails of ``pit_statistics`` for n values, the last two of mean − 0 and of sd − 1."""
    spread = 1 / math.sqrt(2 * max(n - 1, 0.5))
    return KolmogorovTail(n), ZolotarevTail(), NormalTail(1 / math.sqrt(n)), NormalTail(spread)


# The least of four tails at LEVELS, for n values: ``Joint.of(simulate_pit(n, 200 000, default_rng(n)))``.
_PIT = {
    2: (0.2795, 0.1211, 0.06142, 0.0301, 0.01394, 0.004865, 0.002207, 0.000816),
    5: (0.261, 0.09421, 0.04653, 0.0233, 0.01164, 0.004425, 0.002129, 0.0007974),
    10: (0.2534, 0.08851, 0.04196, 0.02074, 0.01028, 0.004036, 0.002006, 0.0007586),
    20: (0.2518, 0.0875, 0.04146, 0.01998, 0.009737, 0.003794, 0.001828, 0.0007178),
    50: (0.2491, 0.08559, 0.0404, 0.01959, 0.009631, 0.003739, 0.001844, 0.0006921),
    100: (0.2472, 0.08503, 0.04016, 0.01934, 0.009366, 0.003631, 0.001811, 0.0006921),
    1000: (0.2485, 0.0858, 0.0402, 0.01925, 0.00917, 0.00357, 0.001770, 0.00068),
}


def pit_joint(n: float) -> Joint:
    """The least of ``pit_tails`` for perfect samplers of n values of any continuous distribution.

    Beyond 1000 values nothing changes any more that 200 000 replicates can see.
    """
    inverse = [1 / size for size in _PIT]
    return Joint(
        tuple(
            math.exp(np.interp(1 / n, inverse[::-1], np.log(column[::-1])))
            for column in zip(*_PIT.values(), strict=True)
        )
    )


def simulate_pit(n: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """The four tails of perfect samplers.    Shapes:  → (replicates, 4)"""
    parts, step = [], max(1, 2**20 // n)
    for start in range(0, replicates, step):
        u = np.sort(rng.random((min(step, replicates - start), n)))
        ks, ad, mean, sd = pit_statistics(u, scores(u))
        tails: tuple[Tail, ...] = pit_tails(n)
        deviations = ks, ad, mean, sd - 1
        parts.append(np.stack([t.p(np.abs(d)) for t, d in zip(tails, deviations, strict=True)], axis=1))
    return np.concatenate(parts)
