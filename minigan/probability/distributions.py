"""Distributions of one number: what each offers, and the first of them.

Scalars and arrays of any backend come in, float64 NumPy arrays come out. A further family stands on
``Univariate``; ``text_form`` makes it readable from text. Others are in ``positive``, ``bounded`` and
``heavy_tails``.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minigan.backend import Array
from minigan.probability._numerics import Shape, format_number, host, integrate, levels

SUM_TOLERANCE = 1e-9  # by which weights and probabilities may miss one
NORMAL_IQR = 1.3489795003921634  # interquartile range of the standard normal distribution: 2 Φ⁻¹(3/4)
LOG_2PI = math.log(2 * math.pi)


@runtime_checkable
class Distribution(Protocol):
    """What every one-dimensional distribution offers; whatever offers it can be judged and compared.

    Shapes:  x, u (…) → (…)

    >>> isinstance(mg.Normal(0, 1), mg.Distribution)
    True
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

    def survival(self, x: Array) -> np.ndarray:
        """1 − F(x) = P(X > x), exact in an upper tail where F(x) rounds to 1."""

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

    >>> from minigan.probability import entropy_quadrature
    >>> round(entropy_quadrature(mg.Normal(0, 1)), 4)
    1.4189
    """

    def integrand(x: Array) -> np.ndarray:
        log_p = distribution.log_density(x)
        return -np.exp(log_p) * np.where(log_p > -np.inf, log_p, 0.0)

    return integrate(integrand, distribution.knots())


class Univariate:
    """What follows for every distribution from its own log-density, CDF and quantile.

    >>> p = mg.Normal(0, 1)
    >>> [round(end, 4) for end in p.interval(0.95)]
    [-1.96, 1.96]
    """

    _name: str  # in text

    @property
    def features(self) -> int:
        return 1

    def density(self: Distribution, x: Array) -> np.ndarray:
        return np.exp(self.log_density(x))

    def cdf_left(self: Distribution, x: Array) -> np.ndarray:
        return self.cdf(x)

    def survival(self: Distribution, x: Array) -> np.ndarray:
        return 1 - self.cdf(x)

    def sample(self: Distribution, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        # multiples of 2⁻⁵³ in [0, 1): at 0 the quantile is the end of the support, for many −∞
        return self.quantile(np.maximum(rng.random(shape), 2.0**-54))

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


def as_number(distribution: str, name: str, value: object) -> float:
    """A parameter as a float, infinite where float64 does not hold it; text and bools are no numbers.

    Raises:  TypeError – for these, and for what float() does not take
    """
    try:
        if isinstance(value, (str, bytes, bool, np.bool_)):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{distribution} needs a number for {name}; received {value!r:.80}") from None


def set_numbers(
    distribution: Any, positive: str = "", between: Mapping[str, tuple[float, float]] | None = None
) -> None:
    """Make every field a finite float; those named in ``positive`` must be greater than zero.

    ``between`` has the least and the largest value of others.
    """
    for name, value in vars(distribution).items():
        number = as_number(distribution._name, name, value)
        above = name in positive.split()
        low, high = (between or {}).get(name, (-math.inf, math.inf))
        if not math.isfinite(number) or (above and number <= 0) or not low <= number <= high:
            limits = f" of at least {low:g}" if math.isfinite(low) else " > 0" if above else ""
            limits += f" and at most {high:g}" if math.isfinite(high) else ""
            raise ValueError(f"{distribution._name} needs a finite {name}{limits}; received {value!r:.80}")
        object.__setattr__(distribution, name, number)


def symmetric(centre: float, distances: np.ndarray) -> np.ndarray:
    """centre ± distances, as far as they are finite."""
    with np.errstate(over="ignore"):
        points = np.concatenate([centre - distances[::-1], centre + distances])
    return np.unique(points[np.isfinite(points)])


def location_scale(distribution: Any) -> tuple[float, float, str]:
    """(mean, sd, "sd") where both are finite, else (median, interquartile range/1.349, "IQR/1.349")."""
    if math.isfinite(distribution.mean) and math.isfinite(distribution.sd):
        return distribution.mean, distribution.sd, "sd"
    low, middle, high = map(float, distribution.quantile([0.25, 0.5, 0.75]))
    return middle, (high - low) / NORMAL_IQR, "IQR/1.349"


@dataclass(frozen=True)
class Normal(Univariate):
    """The normal distribution, ln p(x) = −½((x − mean)/sd)² − ln sd − ½ ln 2π.

    Raises:  ValueError – unless both are finite and sd > 0

    >>> p = mg.Normal(4, 1.25)
    >>> p.mean, p.sd, round(float(p.density(4.0)), 4)
    (4.0, 1.25, 0.3192)
    >>> p.sample(np.random.default_rng(0), (3,)).round(3)
    array([4.157, 3.835, 4.801])
    """

    mean: float = 0.0
    sd: float = 1.0
    _name = "normal"
    support = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        set_numbers(self, positive="sd")

    def log_density(self, x: Array) -> np.ndarray:
        with np.errstate(over="ignore"):  # farther than 1e154 sd the log-density is −inf in float64
            return -0.5 * self._z(x) ** 2 - (math.log(self.sd) + 0.5 * LOG_2PI)

    def cdf(self, x: Array) -> np.ndarray:
        from scipy.special import ndtr

        return ndtr(self._z(x))

    def survival(self, x: Array) -> np.ndarray:
        from scipy.special import ndtr

        return ndtr(-self._z(x))

    def integrated_cdf(self, x: Array) -> np.ndarray:
        from scipy.special import ndtr

        z = self._z(x)
        with np.errstate(over="ignore"):
            density = np.exp(-0.5 * z * z - 0.5 * LOG_2PI)
        return self.sd * (np.where(z > -np.inf, z, 0.0) * ndtr(z) + density)

    def quantile(self, u: Array) -> np.ndarray:
        from scipy.special import ndtri

        return self.mean + self.sd * ndtri(levels(u))

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        return self.mean + self.sd * rng.standard_normal(shape)

    def entropy(self) -> float:
        return 0.5 * (1 + LOG_2PI) + math.log(self.sd)

    def knots(self) -> np.ndarray:
        steps = np.array([0, 1, 2, 3, 4, 5, 6, 8, 10, 14])
        return symmetric(self.mean, self.sd * steps)

    def _z(self, x: Array) -> np.ndarray:
        return (host(x, "x") - self.mean) / self.sd


@dataclass(frozen=True)
class Uniform(Univariate):
    """The uniform distribution on [low, high], p = 1/(high − low): of most entropy there.

    Raises:  ValueError – unless low < high, both finite

    >>> p = mg.Uniform(-1, 3)
    >>> p.mean, p.support, round(p.entropy(), 4)
    (1.0, (-1.0, 3.0), 1.3863)
    """

    low: float = 0.0
    high: float = 1.0
    _name = "uniform"

    def __post_init__(self) -> None:
        set_numbers(self)
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

    def survival(self, x: Array) -> np.ndarray:
        return (self.high - np.clip(host(x, "x"), self.low, self.high)) / (self.high - self.low)

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


class LocationScale(Univariate):
    """What a distribution of location + scale · Z shares: all but that of Z."""

    location: float
    scale: float
    support = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        set_numbers(self, positive="scale")

    def _z(self, x: Array) -> np.ndarray:
        return (host(x, "x") - self.location) / self.scale


@dataclass(frozen=True)
class Laplace(LocationScale):
    """The Laplace distribution, ln p(x) = −|x − location|/scale − ln(2 scale).

    Raises:  ValueError – unless both are finite and scale > 0

    >>> p = mg.Laplace(0, 1)
    >>> float(p.density(0.0)), float(p.cdf(0.0)), round(p.sd, 4)
    (0.5, 0.5, 1.4142)
    """

    location: float = 0.0
    scale: float = 1.0
    _name = "laplace"

    mean = property(lambda self: self.location)
    sd = property(lambda self: math.sqrt(2) * self.scale)

    def log_density(self, x: Array) -> np.ndarray:
        return -np.abs(self._z(x)) - math.log(2 * self.scale)

    def cdf(self, x: Array) -> np.ndarray:
        z = self._z(x)
        tail = 0.5 * np.exp(-np.abs(z))
        return np.where(z < 0, tail, 1 - tail)[()]

    def survival(self, x: Array) -> np.ndarray:
        z = self._z(x)
        tail = 0.5 * np.exp(-np.abs(z))
        return np.where(z > 0, tail, 1 - tail)[()]

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
        return symmetric(self.location, self.scale * steps)


@dataclass(frozen=True)
class Logistic(LocationScale):
    """The logistic distribution, F(x) = 1/(1 + e^(−z)) with z = (x − location)/scale; its sd is π scale/√3.

    Raises:  ValueError – unless both are finite and scale > 0

    >>> from minigan.probability import Logistic
    >>> p = Logistic(0, 1)
    >>> float(p.cdf(0.0)), round(p.sd, 4)
    (0.5, 1.8138)
    """

    location: float = 0.0
    scale: float = 1.0
    _name = "logistic"

    mean = property(lambda self: self.location)
    sd = property(lambda self: math.pi * self.scale / math.sqrt(3))

    def log_density(self, x: Array) -> np.ndarray:
        distance = np.abs(self._z(x))
        return -distance - 2 * np.log1p(np.exp(-distance)) - math.log(self.scale)

    def cdf(self, x: Array) -> np.ndarray:
        from scipy.special import expit

        return expit(self._z(x))

    def survival(self, x: Array) -> np.ndarray:
        from scipy.special import expit

        return expit(-self._z(x))

    def integrated_cdf(self, x: Array) -> np.ndarray:
        return self.scale * np.logaddexp(0, self._z(x))

    def quantile(self, u: Array) -> np.ndarray:
        from scipy.special import logit

        return self.location + self.scale * logit(levels(u))

    def entropy(self) -> float:
        return 2 + math.log(self.scale)

    def knots(self) -> np.ndarray:
        steps = np.array([0, 1, 2, 4, 8, 16, 32, 64])
        return symmetric(self.location, self.scale * steps)
