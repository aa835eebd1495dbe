"""Distributions, and the empirical one of a data set: density, CDF, quantile, samples, text form.

Scalars and arrays of any backend come in, float64 NumPy arrays come out. ``parse`` reads the text form, e.g.
"0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)". Mixtures of several features are in ``planar``.
"""

import difflib
import math
import re
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minigan.probability._numerics import host, integrate
from minigan.probability.galaxies import GalaxyImages

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

    def density(self, x) -> np.ndarray:
        """p(x)."""

    def log_density(self, x) -> np.ndarray:
        """ln p(x), exact in far tails where p(x) itself underflows; −inf outside the support."""

    def cdf(self, x) -> np.ndarray:
        """F(x) = P(X ≤ x)."""

    def cdf_left(self, x) -> np.ndarray:
        """F(x−) = P(X < x), which differs from F(x) only where single values carry mass."""

    def integrated_cdf(self, x) -> np.ndarray:
        """∫ F(t) dt over t ≤ x = E max(x − X, 0); inf where the mean is undefined."""

    def quantile(self, u) -> np.ndarray:
        """The inverse CDF: the smallest x with F(x) ≥ u."""

    def sample(self, rng: np.random.Generator, shape=()) -> np.ndarray:
        """Independent draws in an array of the given shape."""

    def entropy(self) -> float:
        """H = −∫ p ln p, in nats [T2]."""

    def interval(self, mass: float) -> tuple[float, float]:
        """The central interval that holds ``mass``: the quantiles at (1 ∓ mass)/2."""

    def knots(self) -> np.ndarray:
        """Points between which quadrature finds p smooth, and beyond which no mass is left that counts."""


@runtime_checkable
class MultivariateDistribution(Protocol):
    """What every distribution of p features with a density offers.

    Shapes:  x (…, p) → (…); mean and sd (p,)
    """

    @property
    def features(self) -> int:
        """p, how many numbers one draw has."""

    @property
    def mean(self) -> np.ndarray:
        """E X of each feature."""

    @property
    def sd(self) -> np.ndarray:
        """The standard deviation of each feature."""

    def density(self, x) -> np.ndarray:
        """p(x)."""

    def log_density(self, x) -> np.ndarray:
        """ln p(x)."""

    def sample(self, rng: np.random.Generator, shape=()) -> np.ndarray:
        """Independent draws.    Shapes:  → shape + (p,)"""

    def entropy(self) -> float:
        """H = −∫ p ln p, in nats [T2]."""


def entropy_quadrature(distribution) -> float:
    """H = −∫ p ln p by adaptive quadrature of a distribution's own log-density.

    Units:   nats
    Source:  [T2]
    """

    def integrand(x):
        log_p = distribution.log_density(x)
        return -np.exp(log_p) * np.where(log_p > -np.inf, log_p, 0.0)

    return integrate(integrand, distribution.knots())


class _Univariate:
    """What follows for every distribution from its own log-density, CDF and quantile."""

    features = 1

    def density(self, x):
        return np.exp(self.log_density(x))

    def cdf_left(self, x):
        return self.cdf(x)

    def interval(self, mass):
        if not 0 < mass <= 1:
            raise ValueError(f"an interval holds a mass in (0, 1]; received {mass!r}")
        low, high = self.quantile([0.5 * (1 - mass), 0.5 * (1 + mass)])
        return float(low), float(high)

    def entropy(self):
        return entropy_quadrature(self)

    def __str__(self):
        return f"{self._name}({', '.join(map(_text, self._arguments()))})"

    def _arguments(self):
        return vars(self).values()


def location_scale(distribution) -> tuple[float, float, str]:
    """(mean, sd, "sd") where both are finite, else (median, interquartile range/1.349, "IQR/1.349")."""
    if math.isfinite(distribution.mean) and math.isfinite(distribution.sd):
        return distribution.mean, distribution.sd, "sd"
    low, middle, high = distribution.quantile([0.25, 0.5, 0.75])
    return float(middle), float(high - low) / NORMAL_IQR, "IQR/1.349"


@dataclass(frozen=True)
class Normal(_Univariate):
    """The normal distribution, ln p(x) = −½((x − mean)/sd)² − ln sd − ½ ln 2π.

    Raises:  ValueError – unless both are finite and sd > 0
    """

    mean: float = 0.0
    sd: float = 1.0
    _name = "normal"
    support = (-math.inf, math.inf)

    def __post_init__(self):
        _set_numbers(self, positive="sd")

    def log_density(self, x):
        with np.errstate(over="ignore"):  # farther than 1e154 sd the log-density is −inf in float64
            return -0.5 * self._z(x) ** 2 - (math.log(self.sd) + 0.5 * _LOG_2PI)

    def cdf(self, x):
        from scipy.special import ndtr

        return ndtr(self._z(x))

    def integrated_cdf(self, x):
        from scipy.special import ndtr

        z = self._z(x)
        with np.errstate(over="ignore"):
            density = np.exp(-0.5 * z * z - 0.5 * _LOG_2PI)
        return self.sd * (np.where(z > -np.inf, z, 0.0) * ndtr(z) + density)

    def quantile(self, u):
        from scipy.special import ndtri

        return self.mean + self.sd * ndtri(_levels(u))

    def sample(self, rng, shape=()):
        return self.mean + self.sd * rng.standard_normal(shape)

    def entropy(self):
        return 0.5 * (1 + _LOG_2PI) + math.log(self.sd)

    def knots(self):
        steps = np.array([0, 1, 2, 3, 4, 5, 6, 8, 10, 14])
        return _symmetric(self.mean, self.sd * steps)

    def _z(self, x):
        return (host(x, "x") - self.mean) / self.sd


@dataclass(frozen=True)
class Uniform(_Univariate):
    """The uniform distribution on [low, high], p = 1/(high − low): of most entropy there.

    Raises:  ValueError – unless low < high, both finite
    """

    low: float = 0.0
    high: float = 1.0
    _name = "uniform"

    def __post_init__(self):
        _set_numbers(self)
        if not self.low < self.high or not math.isfinite(self.high - self.low):
            raise ValueError(f"uniform needs low < high, finitely apart; received ({self.low}, {self.high})")

    support = property(lambda self: (self.low, self.high))
    mean = property(lambda self: self.low + 0.5 * (self.high - self.low))
    sd = property(lambda self: (self.high - self.low) / math.sqrt(12))

    def log_density(self, x):
        x = host(x, "x")
        return np.where((self.low <= x) & (x <= self.high), -math.log(self.high - self.low), -np.inf)[()]

    def cdf(self, x):
        return (np.clip(host(x, "x"), self.low, self.high) - self.low) / (self.high - self.low)

    def integrated_cdf(self, x):
        x = host(x, "x")
        inside = np.clip(x, self.low, self.high)
        return 0.5 * (inside - self.low) ** 2 / (self.high - self.low) + np.maximum(x - self.high, 0)

    def quantile(self, u):
        u = _levels(u)
        return (1 - u) * self.low + u * self.high

    def sample(self, rng, shape=()):
        return rng.uniform(self.low, self.high, shape)

    def entropy(self):
        return math.log(self.high - self.low)

    def knots(self):
        return np.array(self.support)


@dataclass(frozen=True)
class Laplace(_Univariate):
    """The Laplace distribution, ln p(x) = −|x − location|/scale − ln(2 scale).

    Raises:  ValueError – unless both are finite and scale > 0
    """

    location: float = 0.0
    scale: float = 1.0
    _name = "laplace"
    support = (-math.inf, math.inf)

    def __post_init__(self):
        _set_numbers(self, positive="scale")

    mean = property(lambda self: self.location)
    sd = property(lambda self: math.sqrt(2) * self.scale)

    def log_density(self, x):
        return -np.abs(self._z(x)) - math.log(2 * self.scale)

    def cdf(self, x):
        z = self._z(x)
        tail = 0.5 * np.exp(-np.abs(z))
        return np.where(z < 0, tail, 1 - tail)[()]

    def integrated_cdf(self, x):
        z = self._z(x)
        return self.scale * (np.maximum(z, 0) + 0.5 * np.exp(-np.abs(z)))

    def quantile(self, u):
        u = _levels(u)
        with np.errstate(divide="ignore"):
            z = np.where(u < 0.5, np.log(2 * u), -np.log(2 * (1 - u)))
        return self.location + self.scale * z

    def sample(self, rng, shape=()):
        return rng.laplace(self.location, self.scale, shape)

    def entropy(self):
        return 1 + math.log(2 * self.scale)

    def knots(self):
        steps = np.array([0, 1, 2, 4, 8, 16, 32, 64])
        return _symmetric(self.location, self.scale * steps)

    def _z(self, x):
        return (host(x, "x") - self.location) / self.scale


@dataclass(frozen=True)
class StudentT(_Univariate):
    """Student's t, p(x) ∝ (1 + z²/dof)^(−(dof + 1)/2) with z = (x − location)/scale: heavy tails.

    The mean is undefined for dof ≤ 1, the standard deviation infinite for 1 < dof ≤ 2 and undefined below.

    Raises:  ValueError – unless all are finite, dof > 0 and scale > 0
    """

    dof: float
    location: float = 0.0
    scale: float = 1.0
    _name = "student"
    support = (-math.inf, math.inf)

    def __post_init__(self):
        _set_numbers(self, positive="dof scale")

    mean = property(lambda self: self.location if self.dof > 1 else math.nan)

    @property
    def sd(self):
        if self.dof > 2:
            return self.scale * math.sqrt(self.dof / (self.dof - 2))
        return math.inf if self.dof > 1 else math.nan

    def log_density(self, x):
        return self._log_norm() - 0.5 * (self.dof + 1) * self._log_kernel(x) - math.log(self.scale)

    def cdf(self, x):
        from scipy.special import stdtr

        return stdtr(self.dof, self._z(x))

    def integrated_cdf(self, x):
        z = self._z(x)
        if self.dof <= 1:
            return np.full_like(z, np.inf)[()]
        # −E[T; T ≤ z] = (dof + z²) p(z) / (dof − 1), with the square kept inside the logarithm
        kernel = np.exp(self._log_norm() - 0.5 * (self.dof - 1) * self._log_kernel(x))
        below = self.dof / (self.dof - 1) * kernel
        return self.scale * (np.where(z > -np.inf, z, 0.0) * self.cdf(x) + below)

    def quantile(self, u):
        from scipy.special import stdtrit

        u = _levels(u)
        tail = np.minimum(u, 1 - u)
        with np.errstate(divide="ignore", over="ignore"):  # stdtrit loses itself where z² overflows
            log_far = self._log_norm() + 0.5 * (self.dof - 1) * math.log(self.dof) - np.log(tail)
            far = np.exp(log_far / self.dof)  # from P(T < −z) → p(z) z / dof
        z = np.where(far > 1e10 * math.sqrt(self.dof), -far, stdtrit(self.dof, tail))
        return self.location + self.scale * np.where(u < 0.5, z, -z)

    def sample(self, rng, shape=()):
        return self.location + self.scale * rng.standard_t(self.dof, shape)

    def entropy(self):
        from scipy.special import betaln, digamma

        v = self.dof
        if v > 1e4:  # the two digammas cancel; the series about the normal distribution is exact here
            return 0.5 * (1 + _LOG_2PI) + 1 / v + 0.25 / v**2 + math.log(self.scale)
        spread = 0.5 * (v + 1) * (digamma(0.5 * (v + 1)) - digamma(0.5 * v))
        return float(spread + 0.5 * math.log(v) + betaln(0.5 * v, 0.5)) + math.log(self.scale)

    def _arguments(self):
        standard = (self.location, self.scale) == (0, 1)
        return [self.dof] if standard else vars(self).values()

    def knots(self):
        return _symmetric(self.location, self.scale * np.concatenate([[0], np.exp2(np.arange(-1, 341))]))

    def _z(self, x):
        return (host(x, "x") - self.location) / self.scale

    def _log_kernel(self, x):
        """ln(1 + z²/dof), without squaring z."""
        with np.errstate(divide="ignore"):
            return np.logaddexp(0, 2 * np.log(np.abs(self._z(x))) - math.log(self.dof))

    def _log_norm(self):
        from scipy.special import betaln  # a difference of two ln Γ would cancel at large dof

        return float(-betaln(0.5, 0.5 * self.dof)) - 0.5 * math.log(self.dof)


@dataclass(frozen=True)
class Mixture(_Univariate):
    """p(x) = Σ wₖ pₖ(x): draw a component by its weight, then x from it [T9]. Nested mixtures are flattened.

    Raises:  ValueError – unless the weights are nonnegative, as many as components, and sum to one (to 1e-9)
    """

    weights: tuple[float, ...]
    components: tuple[Distribution, ...]

    def __post_init__(self):
        weights = host(list(self.weights), "weights", finite=True).tolist()
        components = tuple(self.components)
        if len(weights) != len(components):
            raise ValueError(
                f"a mixture needs one weight for each component; received {len(weights)} weights "
                f"and {len(components)} components"
            )
        if min(weights) < 0 or abs(math.fsum(weights) - 1) > SUM_TOLERANCE:
            raise ValueError(
                f"the weights of a mixture must be nonnegative and sum to one; received {weights}, "
                f"whose sum is {math.fsum(weights):.10g}"
            )
        for c in components:
            if isinstance(c, Empirical) or not isinstance(c, Distribution):
                raise TypeError(f"a mixture needs one-dimensional components with a density; received {c}")
        parts = [
            (w * inner, part)
            for w, c in zip(weights, components, strict=True)
            for inner, part in (c._parts() if isinstance(c, Mixture) else [(1.0, c)])
        ]
        object.__setattr__(self, "weights", tuple(w for w, _ in parts))
        object.__setattr__(self, "components", tuple(c for _, c in parts))

    @property
    def support(self):
        ends = [c.support for w, c in self._parts() if w > 0]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @property
    def mean(self):
        return math.fsum(w * c.mean for w, c in self._parts() if w > 0)

    @property
    def sd(self):
        mean = self.mean
        parts = [(w, c.sd, c.mean - mean) for w, c in self._parts() if w > 0]
        return math.sqrt(sum(w * (sd * sd + shift * shift) for w, sd, shift in parts))

    def log_density(self, x):
        terms = np.stack([math.log(w) + c.log_density(x) for w, c in self._parts() if w > 0])
        top = terms.max(axis=0)
        top = np.where(top > -np.inf, top, 0.0)
        with np.errstate(divide="ignore"):
            return top + np.log(np.exp(terms - top).sum(axis=0))

    def cdf(self, x):
        return sum(w * c.cdf(x) for w, c in self._parts() if w > 0)

    def integrated_cdf(self, x):
        return sum(w * c.integrated_cdf(x) for w, c in self._parts() if w > 0)

    def quantile(self, u):
        u = _levels(u)
        each = np.stack([c.quantile(u) for w, c in self._parts() if w > 0])
        low, high = each.min(axis=0), each.max(axis=0)  # the mixture's quantile lies between its components'
        inner = (0 < u) & (u < 1)
        bottom, top = self.support
        low, high = np.where(inner, low, bottom), np.where(inner, high, np.where(u > 0, top, bottom))
        # No CDF here has a feature finer than its narrowest component, so bisection may stop far below that.
        fine = 2.0**-52 * min(np.subtract(*c.interval(0.5)[::-1]) for w, c in self._parts() if w > 0)
        for _ in range(2100):  # the whole range of float64; about 55 halvings in practice
            gap = np.subtract(high, low, where=inner, out=np.zeros_like(low))
            if not (gap > fine + 2.0**-52 * np.abs(low)).any():
                break
            middle = low + 0.5 * gap
            below = self.cdf(middle) < u
            low, high = np.where(inner & below, middle, low), np.where(inner & ~below, middle, high)
        return high[()]

    def sample(self, rng, shape=()):
        weights = np.array(self.weights)
        which = rng.choice(len(weights), size=shape, p=weights / weights.sum())
        which = np.asarray(which)
        x = np.empty(which.shape)
        for k, c in enumerate(self.components):
            mine = which == k
            x[mine] = c.sample(rng, int(mine.sum()))
        return x[()]

    def knots(self):
        return np.unique(np.concatenate([c.knots() for w, c in self._parts() if w > 0]))

    def __str__(self):
        return " + ".join(f"{_text(w)}*{c}" for w, c in self._parts())

    def _parts(self):
        return zip(self.weights, self.components, strict=True)


@dataclass(frozen=True, eq=False)
class Empirical(_Univariate):
    """The distribution that puts mass 1/n on each row of a data set; sampling is with replacement.

    Its CDF is the exact right-continuous step function, its quantile the inverse of that; both need one
    feature.

    Shapes:  values (n,) or (n, p)
    Raises:  ValueError – for empty or non-finite values, and for a density or entropy, which it does not have
    """

    values: np.ndarray
    _sorted: np.ndarray = field(init=False, repr=False)

    def __post_init__(self):
        values = np.array(host(self.values, "data set", finite=True))
        if values.ndim not in (1, 2):
            raise ValueError(f"a data set has shape (n,) or (n, p); received {values.shape}")
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        ordered = np.sort(values, axis=0)
        values.flags.writeable = ordered.flags.writeable = False
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "_sorted", ordered)

    @property
    def features(self):
        return 1 if self.values.ndim == 1 else self.values.shape[1]

    @property
    def mean(self):
        mean = self.values.mean(axis=0)
        return float(mean) if self.values.ndim == 1 else mean

    @property
    def sd(self):
        sd = self.values.std(axis=0)
        return float(sd) if self.values.ndim == 1 else sd

    @property
    def support(self):
        x = self._ordered("support")
        return float(x[0]), float(x[-1])

    def log_density(self, x):
        raise ValueError(
            "an empirical distribution has no density, only points; compare samples instead, "
            "e.g. with ks_two_sample, wasserstein1 or kl_knn"
        )

    def entropy(self):
        return self.log_density(None)

    def knots(self):
        return self.log_density(None)

    def cdf(self, x):
        return np.searchsorted(self._ordered("CDF"), host(x, "x"), side="right") / len(self.values)

    def cdf_left(self, x):
        return np.searchsorted(self._ordered("CDF"), host(x, "x"), side="left") / len(self.values)

    def integrated_cdf(self, x):
        ordered, x = self._ordered("CDF"), host(x, "x")
        origin = ordered[0]  # sums about the first point keep the digits of data far from zero
        sums = np.concatenate([[0.0], np.cumsum(ordered - origin)])
        count = np.searchsorted(ordered, x, side="right")
        return np.where(count > 0, count * (x - origin) - sums[count], 0.0)[()] / len(ordered)

    def quantile(self, u):
        ordered, u = self._ordered("quantile"), _levels(u)
        n = len(ordered)
        i = np.ceil(u * n).astype(int)
        i -= (i > 1) & ((i - 1) / n >= u)  # the product rounds: the quantile is the smallest x with F(x) ≥ u
        i += i / n < u
        return ordered[np.clip(i - 1, 0, n - 1)]

    def sample(self, rng, shape=()):
        return self.values[rng.integers(len(self.values), size=shape)]

    def __str__(self):
        rows, *features = self.values.shape
        return f"a data set of {rows} " + (f"rows of {features[0]} features" if features else "values")

    def _ordered(self, what):
        if self.values.ndim != 1:
            raise ValueError(
                f"a {what} needs one feature per row; this data set has shape {self.values.shape}"
            )
        return self._sorted


@dataclass(frozen=True, eq=False)
class MultivariateNormal:
    """ln p(x) = −½ (x − mean)ᵀ covariance⁻¹ (x − mean) − ½ ln det covariance − (p/2) ln 2π.

    Shapes:  mean (p,), covariance (p, p)
    Raises:  ValueError – unless the covariance is symmetric and positive definite
    """

    mean: np.ndarray
    covariance: np.ndarray
    _factor: np.ndarray = field(init=False, repr=False)

    def __post_init__(self):
        mean, covariance, factor = checked_moments(self.mean, self.covariance)
        for name, value in (("mean", mean), ("covariance", covariance), ("_factor", factor)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    features = property(lambda self: len(self.mean))
    sd = property(lambda self: np.sqrt(np.diag(self.covariance)))

    def log_density(self, x) -> np.ndarray:
        """ln p(x).

        Shapes:  x (…, p) → (…)
        """
        x = host(x, "x")
        p = len(self.mean)
        if x.shape[-1:] != (p,):
            raise ValueError(f"x must have {p} features in its last axis; received shape {x.shape}")
        z = np.linalg.solve(self._factor, (x - self.mean).reshape(-1, p).T)
        log_p = -0.5 * (z * z).sum(axis=0) - np.log(np.diag(self._factor)).sum() - 0.5 * p * _LOG_2PI
        return log_p.reshape(x.shape[:-1])[()]

    def density(self, x) -> np.ndarray:
        """p(x).

        Shapes:  x (…, p) → (…)
        """
        return np.exp(self.log_density(x))

    def sample(self, rng: np.random.Generator, shape=()) -> np.ndarray:
        """Independent draws.

        Shapes:  → shape + (p,)
        """
        shape = tuple(np.atleast_1d(np.array(shape, int)))
        return self.mean + rng.standard_normal((*shape, len(self.mean))) @ self._factor.T

    def entropy(self) -> float:
        """H = (p/2)(1 + ln 2π) + ½ ln det covariance, in nats [T2]."""
        return float(0.5 * len(self.mean) * (1 + _LOG_2PI) + np.log(np.diag(self._factor)).sum())

    def __str__(self):
        return f"a normal distribution of {len(self.mean)} features"


def checked_moments(mean, covariance):
    """Mean, covariance and its lower Cholesky factor, or one clear error."""
    mean = np.array(host(mean, "mean", finite=True))
    covariance = np.array(host(covariance, "covariance", finite=True))
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(
            f"a mean (p,) needs a covariance (p, p); received {mean.shape} and {covariance.shape}"
        )
    if np.abs(covariance - covariance.T).max() > 1e-9 * np.abs(covariance).max():
        raise ValueError("a covariance must be symmetric; the one received is not")
    try:
        return mean, covariance, np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"a covariance must be positive definite; the least eigenvalue of the one received is "
            f"{np.linalg.eigvalsh(covariance)[0]:.3g}"
        ) from None


# ── the text form ───────────────────────────────────────────────────────────────────────────────────────────


def _planar(name):
    """The distribution of the plane of that name; its file stands on this one, hence the late import."""

    def make(*numbers):
        from minigan.probability import planar

        return getattr(planar, name)(*numbers)

    return make


_MAX_TEXT = 1000
_FAMILIES = {  # name in text: distribution, parameters, how many of them may not be left out
    "normal": (Normal, "mean, sd", 2),
    "uniform": (Uniform, "low, high", 2),
    "laplace": (Laplace, "location, scale", 2),
    "student": (StudentT, "dof, location = 0, scale = 1", 1),
    "ring": (_planar("ring"), "modes = 8, radius = 1, sd = 0.01", 0),
    "grid": (_planar("grid"), "side = 5, spacing = 2, sd = 0.05", 0),
    "spiral": (_planar("spiral"), "turns = 2, sd = 0.02, radius = 1", 0),
    "galaxies": (GalaxyImages, "size = 16, noise = 0.1", 0),
}
_ALIASES = {"gaussian": "normal", "n": "normal"}
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*")
_WEIGHT = re.compile(rf"\s*({_NUMBER})\s*\*")
_ARGUMENTS = re.compile(r"\(([^()]*)\)\s*")


def parse(text: str) -> Distribution | MultivariateDistribution:
    """The distribution that a text names: ``[weight*]name(numbers)`` joined by ``+``.

    "normal(4, 1.25)" (also "N(4, 1.25)" or "gaussian(4, 1.25)": the second number is the standard deviation),
    "uniform(-1, 1)", "laplace(0, 1)", "student(40)", "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)";
    distributions of the plane: "ring(8, 1, 0.01)", "grid(5, 2, 0.05)", "spiral(2, 0.02)", and images of 16 ×
    16 pixels, "galaxies(16, 0.1)", which cannot be mixed. The text form ``str`` of each of these
    distributions reads back to an equal distribution.

    Raises:  ValueError – with the text, the place and what is known there, or the sum of the weights
    """
    if not isinstance(text, str):
        raise TypeError(
            f"a distribution is given as text, e.g. 'normal(4, 1.25)'; received {type(text).__name__}"
        )
    if len(text) > _MAX_TEXT:
        raise ValueError(f"a distribution's text may have {_MAX_TEXT} characters; received {len(text)}")
    weights: list[float] = []
    distributions: list[Any] = []
    at, weighted = 0, False
    while True:
        weight = _WEIGHT.match(text, at)
        start = weight.end() if weight else at
        distribution, at = _parse_distribution(text, start)
        if distribution.features > 1 and (distributions or weight or at < len(text)):
            raise _refusal(
                text,
                start,
                f"{distribution} is a distribution of {distribution.features} features, which stands alone",
            )
        weighted = weighted or weight is not None
        weights.append(float(weight[1]) if weight else 1.0)
        distributions.append(distribution)
        if at == len(text):
            break
        if text[at] != "+":
            raise _refusal(text, at, "expected '+' and another component, or the end")
        at += 1
    if len(distributions) == 1 and not weighted:
        return distributions[0]
    if min(weights) < 0 or not abs(sum(weights) - 1) <= SUM_TOLERANCE:
        raise ValueError(
            f"the weights in {_shown(text)} must be nonnegative and sum to one, but their sum is "
            f"{sum(weights):.10g} (a component without a weight counts as 1); write e.g. "
            "'0.5*normal(-1, 1) + 0.5*normal(1, 1)'"
        )
    return Mixture(tuple(weights), tuple(distributions))


def _parse_distribution(text, at):
    """One ``name(numbers)`` from position ``at`` on, and where it ends."""
    name = _NAME.match(text, at)
    known = "normal (or gaussian, N), uniform, laplace, student, ring, grid, spiral, galaxies"
    if not name:
        raise _refusal(text, at, f"expected the name of a distribution, one of {known}")
    key = name[1].lower()
    key = _ALIASES.get(key, key)
    if key not in _FAMILIES:
        near = difflib.get_close_matches(key, [*_FAMILIES, "gaussian"], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise _refusal(text, name.start(1), f"{name[1]!r:.40} is not one of {known}{hint}")
    arguments = _ARGUMENTS.match(text, name.end())
    distribution, parameters, least = _FAMILIES[key]
    if not arguments:
        raise _refusal(text, name.end(), f"expected numbers in parentheses, {key}({parameters})")
    numbers, place = [], arguments.start(1)
    for piece in arguments[1].split(",") if arguments[1].strip() else ():
        if not re.fullmatch(_NUMBER, piece.strip()):
            raise _refusal(
                text, place, f"{piece.strip()!r:.40} is not a number; expected {key}({parameters})"
            )
        numbers.append(float(piece))
        place += len(piece) + 1
    if not least <= len(numbers) <= parameters.count(",") + 1:
        raise _refusal(
            text, arguments.start(), f"expected {key}({parameters}), received {len(numbers)} numbers"
        )
    try:
        return distribution(*numbers), arguments.end()
    except ValueError as error:
        raise _refusal(text, name.start(1), str(error)) from None


def _refusal(text, at, reason):
    return ValueError(f"cannot read the distribution {_shown(text)} at character {at + 1}: {reason}")


def _shown(text):
    return repr(text) if len(text) <= 100 else repr(text[:97] + "...")


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _text(number):
    """The shortest text that reads back to the same float."""
    text = repr(float(number))
    return text.removesuffix(".0")


def _set_numbers(distribution, positive=""):
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


def _levels(u):
    u = host(u, "u")
    if u.min() < 0 or u.max() > 1:
        raise ValueError(
            f"a quantile is asked at levels in [0, 1]; received values from {u.min()} to {u.max()}"
        )
    return u


def _symmetric(centre, distances):
    """centre ± distances, as far as they are finite."""
    with np.errstate(over="ignore"):
        points = np.concatenate([centre - distances[::-1], centre + distances])
    return np.unique(points[np.isfinite(points)])
