"""Distributions with tails like a power of x: a mean or a standard deviation may be missing."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from minigan.backend import Array
from minigan.probability._numerics import Shape, host, levels
from minigan.probability.distributions import LOG_2PI, LocationScale, Univariate, set_numbers, symmetric

_EXPONENTS = (0.01, math.inf)  # of a tail: below, values near its quartiles leave float64
_FAR = np.concatenate([[0], np.exp2(np.arange(-1, 341))])  # scales from the centre, for quadrature


@dataclass(frozen=True)
class StudentT(LocationScale):
    """Student's t, p(x) ∝ (1 + z²/dof)^(−(dof + 1)/2) with z = (x − location)/scale: heavy tails.

    The mean is undefined for dof ≤ 1, the standard deviation infinite for 1 < dof ≤ 2 and undefined below.

    Raises:  ValueError – unless all are finite, dof at least 0.01 and scale > 0

    >>> p = mg.StudentT(5)
    >>> p.mean, round(p.sd, 4), round(float(p.cdf(2.0)), 4)
    (0.0, 1.291, 0.949)
    """

    dof: float
    location: float = 0.0
    scale: float = 1.0
    _name = "student"

    def __post_init__(self) -> None:
        set_numbers(self, positive="scale", between={"dof": _EXPONENTS})

    mean = property(lambda self: self.location if self.dof > 1 else math.nan)

    @property
    def sd(self) -> float:
        if self.dof > 2:
            return self.scale * math.sqrt(self.dof / (self.dof - 2))
        return math.inf if self.dof > 1 else math.nan

    def log_density(self, x: Array) -> np.ndarray:
        return self._log_norm() - 0.5 * (self.dof + 1) * self._log_kernel(x) - math.log(self.scale)

    def cdf(self, x: Array) -> np.ndarray:
        from scipy.special import stdtr

        return stdtr(self.dof, self._z(x))

    def survival(self, x: Array) -> np.ndarray:
        from scipy.special import stdtr

        return stdtr(self.dof, -self._z(x))

    def integrated_cdf(self, x: Array) -> np.ndarray:
        z = self._z(x)
        if self.dof <= 1:
            return np.full_like(z, np.inf)[()]
        # −E[T; T ≤ z] = (dof + z²) p(z) / (dof − 1), with the square kept inside the logarithm
        kernel = np.exp(self._log_norm() - 0.5 * (self.dof - 1) * self._log_kernel(x))
        below = self.dof / (self.dof - 1) * kernel
        return self.scale * (np.where(z > -np.inf, z, 0.0) * self.cdf(x) + below)

    def quantile(self, u: Array) -> np.ndarray:
        from scipy.special import stdtrit

        u = levels(u)
        tail = np.minimum(u, 1 - u)
        with np.errstate(divide="ignore", over="ignore"):  # stdtrit loses itself where z² overflows
            log_far = self._log_norm() + 0.5 * (self.dof - 1) * math.log(self.dof) - np.log(tail)
            far = np.exp(log_far / self.dof)  # from P(T < −z) → p(z) z / dof
        z = np.where(far > 1e10 * math.sqrt(self.dof), -far, stdtrit(self.dof, tail))
        return self.location + self.scale * np.where(u < 0.5, z, -z)

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        return self.location + self.scale * rng.standard_t(self.dof, shape)

    def entropy(self) -> float:
        from scipy.special import betaln, digamma

        v = self.dof
        if v > 1e4:  # the two digammas cancel; the series about the normal distribution is exact here
            return 0.5 * (1 + LOG_2PI) + 1 / v + 0.25 / v**2 + math.log(self.scale)
        spread = 0.5 * (v + 1) * (digamma(0.5 * (v + 1)) - digamma(0.5 * v))
        return float(spread + 0.5 * math.log(v) + betaln(0.5 * v, 0.5)) + math.log(self.scale)

    def _arguments(self) -> Iterable[float]:
        standard = (self.location, self.scale) == (0, 1)
        return [self.dof] if standard else vars(self).values()

    def knots(self) -> np.ndarray:
        return symmetric(self.location, self.scale * _FAR)

    def _log_kernel(self, x: Array) -> np.ndarray:
        """ln(1 + z²/dof), without squaring z."""
        with np.errstate(divide="ignore"):
            return np.logaddexp(0, 2 * np.log(np.abs(self._z(x))) - math.log(self.dof))

    def _log_norm(self) -> float:
        from scipy.special import betaln  # a difference of two ln Γ would cancel at large dof

        return float(-betaln(0.5, 0.5 * self.dof)) - 0.5 * math.log(self.dof)


@dataclass(frozen=True)
class Cauchy(LocationScale):
    """The Cauchy distribution, p(x) = 1/(π scale (1 + z²)) with z = (x − location)/scale: it has no mean.

    So no sd either; its location is the median, and the interquartile range is 2 scale. It is Student's t
    of one degree of freedom.

    Raises:  ValueError – unless both are finite and scale > 0

    >>> from minigan.probability import Cauchy
    >>> p = Cauchy(0, 1)
    >>> p.mean, float(p.quantile(0.75).round(4))
    (nan, 1.0)
    """

    location: float = 0.0
    scale: float = 1.0
    _name = "cauchy"
    mean = sd = math.nan

    def log_density(self, x: Array) -> np.ndarray:
        with np.errstate(divide="ignore"):  # z² may overflow
            return -np.logaddexp(0, 2 * np.log(np.abs(self._z(x)))) - math.log(math.pi * self.scale)

    def cdf(self, x: Array) -> np.ndarray:
        return np.arctan2(1, -self._z(x)) / math.pi

    def survival(self, x: Array) -> np.ndarray:
        return np.arctan2(1, self._z(x)) / math.pi

    def integrated_cdf(self, x: Array) -> np.ndarray:
        return np.full_like(host(x, "x"), np.inf)[()]

    def quantile(self, u: Array) -> np.ndarray:
        u = levels(u)
        tail = np.minimum(u, 1 - u)
        with np.errstate(divide="ignore"):
            distance = np.where(tail < 0.25, 1 / np.tan(math.pi * tail), np.tan(math.pi * (0.5 - tail)))
        return self.location + self.scale * np.where(u < 0.5, -distance, distance)

    def entropy(self) -> float:
        return math.log(4 * math.pi) + math.log(self.scale)

    def knots(self) -> np.ndarray:
        return symmetric(self.location, self.scale * _FAR)


@dataclass(frozen=True)
class Pareto(Univariate):
    """The Pareto distribution, P(X > x) = (x/scale)^(−shape) from x = scale on, SciPy's ``pareto``.

    NumPy's ``pareto`` is x/scale − 1. The mean is infinite for shape ≤ 1, the sd for shape ≤ 2.

    Raises:  ValueError – unless both are finite, scale > 0 and shape at least 0.01

    >>> from minigan.probability import Pareto
    >>> p = Pareto(3)
    >>> p.mean, p.support
    (1.5, (1.0, inf))
    """

    shape: float
    scale: float = 1.0
    _name = "pareto"

    def __post_init__(self) -> None:
        set_numbers(self, positive="scale", between={"shape": _EXPONENTS})

    support = property(lambda self: (self.scale, math.inf))

    @property
    def mean(self) -> float:
        return self.scale * self.shape / (self.shape - 1) if self.shape > 1 else math.inf

    @property
    def sd(self) -> float:
        a = self.shape
        return self.scale * math.sqrt(a / (a - 2)) / (a - 1) if a > 2 else math.inf

    def log_density(self, x: Array) -> np.ndarray:
        x = host(x, "x")
        inside = math.log(self.shape / self.scale) - (self.shape + 1) * self._log_ratio(x)
        return np.where(x >= self.scale, inside, -np.inf)[()]

    def cdf(self, x: Array) -> np.ndarray:
        return -np.expm1(-self.shape * self._log_ratio(x))

    def survival(self, x: Array) -> np.ndarray:
        return np.exp(-self.shape * self._log_ratio(x))

    def integrated_cdf(self, x: Array) -> np.ndarray:
        ratio, a = np.maximum(host(x, "x") / self.scale, 1), self.shape
        # ∫ 1 − t^(−a) dt over t from 1 to the ratio
        rest = np.log(ratio) if a == 1 else -np.expm1((1 - a) * np.log(ratio)) / (a - 1)
        with np.errstate(invalid="ignore"):
            area = self.scale * (ratio - 1 - rest)
        return np.where(ratio < np.inf, area, np.inf)[()]

    def quantile(self, u: Array) -> np.ndarray:
        with np.errstate(divide="ignore", over="ignore"):
            return self.scale * np.exp(-np.log1p(-levels(u)) / self.shape)

    def entropy(self) -> float:
        return math.log(self.scale / self.shape) + 1 / self.shape + 1

    def knots(self) -> np.ndarray:
        with np.errstate(over="ignore"):
            points = self.scale * (1 + np.concatenate([[0], np.exp2(np.arange(-10, 341))]))
        return points[np.isfinite(points)]

    def _log_ratio(self, x: Array) -> np.ndarray:
        """ln(x/scale) of x inside the support, 0 before it."""
        x = np.maximum(host(x, "x"), self.scale)
        near = x < 2 * self.scale  # where x/scale is near 1 its logarithm would lose digits
        with np.errstate(invalid="ignore"):
            return np.where(near, np.log1p((x - self.scale) / self.scale), np.log(x) - math.log(self.scale))
