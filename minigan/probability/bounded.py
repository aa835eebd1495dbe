"""Distributions of numbers within bounds: beta and triangular; the uniform one is in ``distributions``."""

import math
from dataclasses import dataclass

import numpy as np

from minigan.backend import Array
from minigan.probability._numerics import Shape, digamma_rest, host, levels, log_rest, stirling_rest
from minigan.probability.distributions import LOG_2PI, Univariate, set_numbers

_SHAPES = (0.2, 1e5)  # below, values that round to 1 could be told from it; above, the tails lose digits
_STEPS = np.array([-14, -10, -8, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8, 10, 14])


@dataclass(frozen=True)
class Beta(Univariate):
    """The beta distribution on [0, 1], p(x) ∝ x^(a − 1) (1 − x)^(b − 1).

    The density is infinite at 0 for a < 1, and at 1 for b < 1.

    Raises:  ValueError – unless both are from 0.2 to 1e5

    >>> from minigan.probability import Beta
    >>> p = Beta(2, 3)
    >>> p.mean, round(float(p.density(0.5)), 4)
    (0.4, 1.5)
    """

    a: float
    b: float
    _name = "beta"
    support = (0.0, 1.0)

    def __post_init__(self) -> None:
        set_numbers(self, between={"a": _SHAPES, "b": _SHAPES})

    mean = property(lambda self: self.a / (self.a + self.b))

    @property
    def sd(self) -> float:
        n = self.a + self.b
        return math.sqrt(self.a / n * (self.b / n) / (n + 1))

    def log_density(self, x: Array) -> np.ndarray:
        y = self._clipped(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = self._log_kernel(y) - np.log(y) - np.log1p(-y)
        log_p = np.select([y == 0, y == 1], [self._edge(self.a, self.b), self._edge(self.b, self.a)], inside)
        return np.where(y == host(x, "x"), log_p, -np.inf)[()]

    def cdf(self, x: Array) -> np.ndarray:
        from scipy.special import betainc

        return betainc(self.a, self.b, self._clipped(x))

    def survival(self, x: Array) -> np.ndarray:
        from scipy.special import betaincc

        return betaincc(self.a, self.b, self._clipped(x))

    def integrated_cdf(self, x: Array) -> np.ndarray:
        y = self._clipped(x)  # by I(a + 1, b) = I(a, b) − y^a (1 − y)^b/(a B(a, b))
        area = (y - self.mean) * self.cdf(x) + np.exp(self._log_kernel(y)) / (self.a + self.b)
        return np.maximum(area, 0) + np.maximum(host(x, "x") - 1, 0)

    def quantile(self, u: Array) -> np.ndarray:
        from scipy.special import betaincinv, betaln

        u = levels(u)
        with np.errstate(divide="ignore"):  # F(x) → x^a/(a B(a, b)), where betaincinv may return NaN
            near_zero = np.exp((np.log(u) + math.log(self.a) + betaln(self.a, self.b)) / self.a)
        return np.where(near_zero * (self.b + 1) < 1e-20, near_zero, betaincinv(self.a, self.b, u))[()]

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        return rng.beta(self.a, self.b, shape)  # 30 times faster than by quantile

    def entropy(self) -> float:
        a, b = self.a, self.b
        n = a + b
        spread = 0.5 * (LOG_2PI + math.log(a) + math.log(b) - 3 * math.log(n))
        rests = stirling_rest(a) + stirling_rest(b) - stirling_rest(n)
        return (
            spread + rests - (a - 1) * digamma_rest(a) - (b - 1) * digamma_rest(b) + (n - 2) * digamma_rest(n)
        )

    def knots(self) -> np.ndarray:
        near = np.exp2(np.arange(-340, 0, 4.0)), 1 - np.exp2(np.arange(-50, 0, 2.0))
        points = np.concatenate([*near, self.mean + self.sd * _STEPS])
        # where the density is infinite at 1, numbers nearer than 2⁻⁵⁰ would round to it
        ends = [0.0] if self.b < 1 else [0.0, 1.0]
        return np.unique(np.concatenate([ends, points[(points > 0) & (points <= near[1][0])]]))

    def _clipped(self, x: Array) -> np.ndarray:
        return np.clip(host(x, "x"), 0, 1)

    def _log_kernel(self, y: np.ndarray) -> np.ndarray:
        """ln y^a (1 − y)^b/B(a, b) = −a (s − ln(1 + s)) − b (t − ln(1 + t)) + …

        There y = mean (1 + s) and 1 − y = (1 − mean)(1 + t).
        """
        a, b = self.a, self.b
        n, apart = a + b, y - self.mean
        s, t = apart * (a + b) / a, -apart * (a + b) / b
        with np.errstate(divide="ignore"):
            log_s = np.where(s < -0.5, np.log(y) - math.log(a / n), np.log1p(np.maximum(s, -0.5)))
            log_t = np.where(t < -0.5, np.log1p(-y) - math.log(b / n), np.log1p(np.maximum(t, -0.5)))
        norm = 0.5 * (math.log(a) + math.log(b) - math.log(n) - LOG_2PI)
        norm += stirling_rest(n) - stirling_rest(a) - stirling_rest(b)
        return norm - a * log_rest(s, log_s) - b * log_rest(t, log_t)

    @staticmethod
    def _edge(a: float, b: float) -> float:
        """ln p at 0."""
        return math.inf if a < 1 else math.log(b) if a == 1 else -math.inf


@dataclass(frozen=True)
class Triangular(Univariate):
    """The triangular distribution, whose density rises evenly from low to mode and falls evenly to high.

    Raises:  ValueError – unless low ≤ mode ≤ high and low < high, all finite

    >>> from minigan.probability import Triangular
    >>> p = Triangular(0, 1, 3)
    >>> round(p.mean, 4), float(p.density(1.0).round(4))
    (1.3333, 0.6667)
    """

    low: float
    mode: float
    high: float
    _name = "triangular"

    def __post_init__(self) -> None:
        set_numbers(self)
        if not (self.low <= self.mode <= self.high and 0 < self.high - self.low < math.inf):
            raise ValueError(
                f"triangular needs low ≤ mode ≤ high and low < high, finitely apart; received "
                f"({self.low}, {self.mode}, {self.high})"
            )

    support = property(lambda self: (self.low, self.high))

    @property
    def mean(self) -> float:
        return self.low + (self.high - self.low) / 3 + (self.mode - self.low) / 3

    @property
    def sd(self) -> float:
        width = self.high - self.low
        share = (self.mode - self.low) / width
        return width * math.sqrt((1 - share * (1 - share)) / 18)

    def log_density(self, x: Array) -> np.ndarray:
        x, heights = host(x, "x"), np.minimum(*self._heights(x))
        inside = (self.low <= x) & (x <= self.high)
        with np.errstate(divide="ignore"):
            return np.log(np.where(inside, heights, 0)) + math.log(2) - math.log(self.high - self.low)

    def cdf(self, x: Array) -> np.ndarray:
        below, above, rise, fall = *self._heights(x), *self._shares()
        return np.where(host(x, "x") < self.mode, rise * below**2, 1 - fall * above**2)[()]

    def survival(self, x: Array) -> np.ndarray:
        below, above, rise, fall = *self._heights(x), *self._shares()
        return np.where(host(x, "x") < self.mode, 1 - rise * below**2, fall * above**2)[()]

    def integrated_cdf(self, x: Array) -> np.ndarray:
        (below, above), (rise, fall) = self._heights(x), self._shares()
        x, width = host(x, "x"), self.high - self.low
        left = width * rise * rise * below**3 / 3
        return np.where(x < self.mode, left, x - self.mean + width * fall * fall * above**3 / 3)[()]

    def quantile(self, u: Array) -> np.ndarray:
        u, (rise, fall), width = levels(u), self._shares(), self.high - self.low
        left, right = np.sqrt(u * rise), np.sqrt((1 - u) * fall)
        return np.where(u < rise, self.low + width * left, self.high - width * right)[()]

    def entropy(self) -> float:
        return 0.5 + math.log(0.5 * (self.high - self.low))

    def knots(self) -> np.ndarray:
        return np.unique([self.low, self.mode, self.high])

    def _shares(self) -> tuple[float, float]:
        """The mass left and right of the mode."""
        width = self.high - self.low
        return (self.mode - self.low) / width, (self.high - self.mode) / width

    def _heights(self, x: Array) -> tuple[np.ndarray, np.ndarray]:
        """The two slopes, 1 at the mode: their lesser one is the density over its peak."""
        x = np.clip(host(x, "x"), self.low, self.high)
        rise, fall = self.mode - self.low, self.high - self.mode
        below = (x - self.low) / rise if rise else np.ones_like(x)
        above = (self.high - x) / fall if fall else np.ones_like(x)
        return below, above
