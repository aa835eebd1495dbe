"""Distributions of one number: density, CDF, quantile, samples, moments; the families by name.

Scalars and arrays of any backend come in, float64 NumPy arrays come out. A further family stands on
``Univariate``; ``text_form`` makes it readable from text.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minigan.backend import Array
from minigan.probability._numerics import Shape, format_number, host, integrate, levels

SUM_TOLERANCE = 1e-9  # by which weights and probabilities may miss one
NORMAL_IQR = 1.3489795003921634  # interquartile range of the standard normal distribution: 2 Φ⁻¹(3/4)
_LOG_2PI = math.log(2 * math.pi)


@runtime_checkable
class Distribution(Protocol):
    """What every one-dimensional distribution offers; whatever offers it can be judged and compared.

    Shapes:  x, u (…) → (…)
    """

    @property
    def features(self) -> int:
        """How many numbers one draw has: one."""

    @property
    def mean(self) -> float:
        """E X; nan where undefined."""

    @property
    def sd(self) -> float:
        """The standard deviation √E(X − E X)²; inf or nan where infinite or undefined."""

    @property
    def support(self) -> tuple[float, float]:
        """The ends of the smallest interval that holds all mass."""

    def density(self, x: Array) -> np.ndarray:
        """p(x)."""

    def log_density(self, x: Array) -> np.ndarray:
        """ln p(x), exact in far tails where p(x) itself underflows; −inf outside the support."""

    def cdf(self, x: Array) -> np.ndarray:
        """F(x) = P(X ≤ x)."""

    def cdf_left(self, x: Array) -> np.ndarray:
        """F(x−) = P(X < x), which differs from F(x) only where single values carry mass."""

    def integrated_cdf(self, x: Array) -> np.ndarray:
        """∫ F(t) dt over t ≤ x = E max(x − X, 0); inf where the mean is undefined."""

    def quantile(self, u: Array) -> np.ndarray:
        """The inverse CDF: the smallest x with F(x) ≥ u."""

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        """Independent draws in an array of the given shape."""

    def entropy(self) -> float:
        """H = −∫ p ln p, in nats [T2]."""

    def interval(self, mass: float) -> tuple[float, float]:
        """The central interval that holds ``mass``: the quantiles at (1 ∓ mass)/2."""

    def knots(self) -> np.ndarray:
        """Points between which quadrature finds p smooth, and beyond which no mass is left that counts."""


def entropy_quadrature(distribution: Any) -> float:
    """H = −∫ p ln p by adaptive quadrature of a distribution's own log-density.

    Units:   nats
    Source:  [T2]
    """

    def integrand(x: Array) -> np.ndarray:
        log_p = distribution.log_density(x)
        return -np.exp(log_p) * np.where(log_p > -np.inf, log_p, 0.0)

    return integrate(integrand, distribution.knots())


class Univariate:
    """What follows for every distribution from its own log-density, CDF and quantile."""

    _name: str  # in text

    @property
    def features(self) -> int:
        return 1

    def density(self: Distribution, x: Array) -> np.ndarray:
        return np.exp(self.log_density(x))

    def cdf_left(self: Distribution, x: Array) -> np.ndarray:
        return self.cdf(x)

    def interval(self: Distribution, mass: float) -> tuple[float, float]:
        if not 0 < mass <= 1:
            raise ValueError(f"an interval holds a mass in (0, 1]; received {mass!r}")
        low, high = self.quantile([0.5 * (1 - mass), 0.5 * (1 + mass)])
        return float(low), float(high)

    def entropy(self: Distribution) -> float:
        return entropy_quadrature(self)

    def __str__(self) -> str:
        return f"{self._name}({', '.join(map(format_number, self._arguments()))})"

    def _arguments(self) -> Iterable[float]:
        return vars(self).values()


def location_scale(distribution: Any) -> tuple[float, float, str]:
    """(mean, sd, "sd") where both are finite, else (median, interquartile range/1.349, "IQR/1.349")."""
    if math.isfinite(distribution.mean) and math.isfinite(distribution.sd):
        return distribution.mean, distribution.sd, "sd"
    low, middle, high = distribution.quantile([0.25, 0.5, 0.75])
    return float(middle), float(high - low) / NORMAL_IQR, "IQR/1.349"


@dataclass(frozen=True)
class Normal(Univariate):
    """The normal distribution, ln p(x) = −½((x − mean)/sd)² − ln sd − ½ ln 2π.

    Raises:  ValueError – unless both are finite and sd > 0
    """

    mean: float = 0.0
    sd: float = 1.0
    _name = "normal"
    support = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        _set_numbers(self, positive="sd")

    def log_density(self, x: Array) -> np.ndarray:
        with np.errstate(over="ignore"):  # farther than 1e154 sd the log-density is −inf in float64
            return -0.5 * self._z(x) ** 2 - (math.log(self.sd) + 0.5 * _LOG_2PI)

    def cdf(self, x: Array) -> np.ndarray:
        from scipy.special import ndtr

        return ndtr(self._z(x))

    def integrated_cdf(self, x: Array) -> np.ndarray:
        from scipy.special import ndtr

        z = self._z(x)
        with np.errstate(over="ignore"):
            density = np.exp(-0.5 * z * z - 0.5 * _LOG_2PI)
        return self.sd * (np.where(z > -np.inf, z, 0.0) * ndtr(z) + density)

    def quantile(self, u: Array) -> np.ndarray:
        from scipy.special import ndtri

        return self.mean + self.sd * ndtri(levels(u))

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        return self.mean + self.sd * rng.standard_normal(shape)

    def entropy(self) -> float:
        return 0.5 * (1 + _LOG_2PI) + math.log(self.sd)

    def knots(self) -> np.ndarray:
        steps = np.array([0, 1, 2, 3, 4, 5, 6, 8, 10, 14])
        return _symmetric(self.mean, self.sd * steps)

    def _z(self, x: Array) -> np.ndarray:
        return (host(x, "x") - self.mean) / self.sd


@dataclass(frozen=True)
class Uniform(Univariate):
    """The uniform distribution on [low, high], p = 1/(high − low): of most entropy there.

    Raises:  ValueError – unless low < high, both finite
    """

    low: float = 0.0
    high: float = 1.0
    _name = "uniform"

    def __post_init__(self) -> None:
        _set_numbers(self)
        if not self.low < self.high or not math.isfinite(self.high - self.low):
            raise ValueError(f"uniform needs low < high, finitely apart; received ({self.low}, {self.high})")

    support = property(lambda self: (self.low, self.high))
    mean = property(lambda self: self.low + 0.5 * (self.high - self.low))
    sd = property(lambda self: (self.high - self.low) / math.sqrt(12))

    def log_density(self, x: Array) -> np.ndarray:
        x = host(x, "x")
        return np.where((self.low <= x) & (x <= self.high), -math.log(self.high - self.low), -np.inf)[()]

    def cdf(self, x: Array) -> np.ndarray:
        return (np.clip(host(x, "x"), self.low, self.high) - self.low) / (self.high - self.low)

    def integrated_cdf(self, x: Array) -> np.ndarray:
        x = host(x, "x")
        inside = np.clip(x, self.low, self.high)
        return 0.5 * (inside - self.low) ** 2 / (self.high - self.low) + np.maximum(x - self.high, 0)

    def quantile(self, u: Array) -> np.ndarray:
        u = levels(u)
        return (1 - u) * self.low + u * self.high

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        return rng.uniform(self.low, self.high, shape)

    def entropy(self) -> float:
        return math.log(self.high - self.low)

    def knots(self) -> np.ndarray:
        return np.array(self.support)


@dataclass(frozen=True)
class Laplace(Univariate):
    """The Laplace distribution, ln p(x) = −|x − location|/scale − ln(2 scale).

    Raises:  ValueError – unless both are finite and scale > 0
    """

    location: float = 0.0
    scale: float = 1.0
    _name = "laplace"
    support = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        _set_numbers(self, positive="scale")

    mean = property(lambda self: self.location)
    sd = property(lambda self: math.sqrt(2) * self.scale)

    def log_density(self, x: Array) -> np.ndarray:
        return -np.abs(self._z(x)) - math.log(2 * self.scale)

    def cdf(self, x: Array) -> np.ndarray:
        z = self._z(x)
        tail = 0.5 * np.exp(-np.abs(z))
        return np.where(z < 0, tail, 1 - tail)[()]

    def integrated_cdf(self, x: Array) -> np.ndarray:
        z = self._z(x)
        return self.scale * (np.maximum(z, 0) + 0.5 * np.exp(-np.abs(z)))

    def quantile(self, u: Array) -> np.ndarray:
        u = levels(u)
        with np.errstate(divide="ignore"):
            z = np.where(u < 0.5, np.log(2 * u), -np.log(2 * (1 - u)))
        return self.location + self.scale * z

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        return rng.laplace(self.location, self.scale, shape)

    def entropy(self) -> float:
        return 1 + math.log(2 * self.scale)

    def knots(self) -> np.ndarray:
        steps = np.array([0, 1, 2, 4, 8, 16, 32, 64])
        return _symmetric(self.location, self.scale * steps)

    def _z(self, x: Array) -> np.ndarray:
        return (host(x, "x") - self.location) / self.scale


@dataclass(frozen=True)
class StudentT(Univariate):
    """Student's t, p(x) ∝ (1 + z²/dof)^(−(dof + 1)/2) with z = (x − location)/scale: heavy tails.

    The mean is undefined for dof ≤ 1, the standard deviation infinite for 1 < dof ≤ 2 and undefined below.

    Raises:  ValueError – unless all are finite, dof > 0 and scale > 0
    """

    dof: float
    location: float = 0.0
    scale: float = 1.0
    _name = "student"
    support = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        _set_numbers(self, positive="dof scale")

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
            return 0.5 * (1 + _LOG_2PI) + 1 / v + 0.25 / v**2 + math.log(self.scale)
        spread = 0.5 * (v + 1) * (digamma(0.5 * (v + 1)) - digamma(0.5 * v))
        return float(spread + 0.5 * math.log(v) + betaln(0.5 * v, 0.5)) + math.log(self.scale)

    def _arguments(self) -> Iterable[float]:
        standard = (self.location, self.scale) == (0, 1)
        return [self.dof] if standard else vars(self).values()

    def knots(self) -> np.ndarray:
        return _symmetric(self.location, self.scale * np.concatenate([[0], np.exp2(np.arange(-1, 341))]))

    def _z(self, x: Array) -> np.ndarray:
        return (host(x, "x") - self.location) / self.scale

    def _log_kernel(self, x: Array) -> np.ndarray:
        """ln(1 + z²/dof), without squaring z."""
        with np.errstate(divide="ignore"):
            return np.logaddexp(0, 2 * np.log(np.abs(self._z(x))) - math.log(self.dof))

    def _log_norm(self) -> float:
        from scipy.special import betaln  # a difference of two ln Γ would cancel at large dof

        return float(-betaln(0.5, 0.5 * self.dof)) - 0.5 * math.log(self.dof)


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _set_numbers(distribution: Any, positive: str = "") -> None:
    """Make every field a finite float; those named in ``positive`` must be greater than zero."""
    for name, value in vars(distribution).items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(
                f"{distribution._name} needs a number for {name}; received {value!r:.80}"
            ) from None
        least = name in positive.split()
        if not math.isfinite(number) or (least and number <= 0):
            raise ValueError(
                f"{distribution._name} needs a finite {name}{' > 0' if least else ''}; received {value!r:.80}"
            )
        object.__setattr__(distribution, name, number)


def _symmetric(centre: float, distances: np.ndarray) -> np.ndarray:
    """centre ± distances, as far as they are finite."""
    with np.errstate(over="ignore"):
        points = np.concatenate([centre - distances[::-1], centre + distances])
    return np.unique(points[np.isfinite(points)])
