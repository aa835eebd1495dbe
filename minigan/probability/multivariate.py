"""Distributions of several features: the normal one and its mixtures.

Each has an exact density, samples and moments in any number of features.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minigan.backend import Array
from minigan.probability._numerics import Shape, format_number, host
from minigan.probability.distributions import SUM_TOLERANCE

_LOG_2PI = math.log(2 * math.pi)
_CHUNK = 2**17  # numbers of a density's terms held at once
_ENTROPY_ROWS = 2**16


@runtime_checkable
class MultivariateDistribution(Protocol):
    """What every distribution of p features with a density offers.

    Shapes:  x (…, p) → (…); mean and sd (p,)

    >>> from minigan.probability import MultivariateDistribution, ring
    >>> isinstance(ring(8), MultivariateDistribution)
    True
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

    def density(self, x: Array) -> np.ndarray:
        """p(x)."""

    def log_density(self, x: Array) -> np.ndarray:
        """ln p(x)."""

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        """Independent draws.    Shapes:  → shape + (p,)"""

    def entropy(self) -> float:
        """H = −∫ p ln p, in nats [T2]."""


@dataclass(frozen=True, eq=False)
class MultivariateNormal:
    """ln p(x) = −½ (x − mean)ᵀ covariance⁻¹ (x − mean) − ½ ln det covariance − (p/2) ln 2π.

    ``text`` is the form in which ``parse`` reads the distribution, where it has one. Distributions are equal
    when means and covariances are.

    Shapes:  mean (p,), covariance (p, p)
    Raises:  ValueError – unless the covariance is symmetric and positive definite

    >>> p = mg.MultivariateNormal([0.0, 1.0], [[1.0, 0.5], [0.5, 2.0]])
    >>> p.sample(np.random.default_rng(0), (1000,)).shape, round(p.entropy(), 4)
    ((1000, 2), 3.1177)
    """

    mean: np.ndarray
    covariance: np.ndarray
    text: str | None = None
    _factor: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        mean, covariance, factor = checked_moments(self.mean, self.covariance)
        for name, value in (("mean", mean), ("covariance", covariance), ("_factor", factor)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    features = property(lambda self: len(self.mean))
    sd = property(lambda self: np.sqrt(np.diag(self.covariance)))

    def log_density(self, x: Array) -> np.ndarray:
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

    def density(self, x: Array) -> np.ndarray:
        """p(x).

        Shapes:  x (…, p) → (…)
        """
        return np.exp(self.log_density(x))

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        """Independent draws.

        Shapes:  → shape + (p,)
        """
        shape = tuple(np.atleast_1d(np.array(shape, int)))
        return self.mean + rng.standard_normal((*shape, len(self.mean))) @ self._factor.T

    sources = property(lambda self: len(self.mean), doc="How many uniform numbers make one row.")

    def transport(self, u: np.ndarray) -> np.ndarray:
        """The draws that uniform numbers make, as quantiles.    Shapes:  u (…, p) → (…, p)"""
        from scipy.special import ndtri

        return self.mean + ndtri(u) @ self._factor.T

    def entropy(self) -> float:
        """H = (p/2)(1 + ln 2π) + ½ ln det covariance, in nats [T2]."""
        return float(0.5 * len(self.mean) * (1 + _LOG_2PI) + np.log(np.diag(self._factor)).sum())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MultivariateNormal)
            and np.array_equal(self.mean, other.mean)
            and np.array_equal(self.covariance, other.covariance)
        )

    def __hash__(self) -> int:
        return hash((self.mean.tobytes(), self.covariance.tobytes()))

    def __str__(self) -> str:
        return self.text or f"a normal distribution of {len(self.mean)} features"


def correlated_normal(
    mean: Array | list, sd: Array | list | float, correlation: float = 0.0
) -> MultivariateNormal:
    """The normal distribution of several features whose every two have the same correlation.

    Shapes:  mean (p,) or a number for all, sd (p,) or a number for all
    Raises:  ValueError – for two lists of unequal length, sd ≤ 0, or a correlation that no p features have

    >>> from minigan.probability import correlated_normal
    >>> correlated_normal([0, 0], [1, 2], 0.5).covariance
    array([[1., 1.],
           [1., 4.]])
    """
    means, sds = host(mean, "mean", finite=True), host(sd, "sd", finite=True)
    p = max(means.size, sds.size)
    if {means.size, sds.size} - {1, p} or max(means.ndim, sds.ndim) > 1:
        raise ValueError(
            f"normal needs as many sd as means, or one for all; received {means.size} means and {sds.size} sd"
        )
    if not (1e-150 < sds.min() and sds.max() < 1e150):  # their squares are numbers too
        raise ValueError(f"normal needs every sd > 0, within 1e±150; received {sds.min():g} to {sds.max():g}")
    least = -1 / (p - 1) if p > 1 else -1.0
    if not least < correlation < 1:
        raise ValueError(
            f"a correlation of every two of {p} features lies between {least:.4g} and 1; "
            f"received {correlation:g}"
        )
    means, sds = (np.broadcast_to(numbers.ravel(), (p,)) for numbers in (means, sds))
    same = (sds == sds[0]).all()
    parts = [_format_list(means), format_number(sds[0]) if same else _format_list(sds)]
    parts += [format_number(correlation)] if correlation else []
    covariance = np.outer(sds, sds) * (correlation + (1 - correlation) * np.eye(p))
    return MultivariateNormal(means, covariance, f"normal({', '.join(parts)})")


def _format_list(numbers: np.ndarray) -> str:
    return f"[{', '.join(map(format_number, numbers))}]"


def checked_moments(mean: Array, covariance: Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


@dataclass(frozen=True, eq=False)
class MultivariateMixture:
    """p(x) = Σ wₖ N(x; μₖ, Σₖ) over p features: draw a component by its weight, then x from it [T9].

    Components that are such mixtures themselves are flattened. ``text`` is the form in which ``parse`` reads
    the distribution, where it has one: by default the sum of its components'. Distributions are equal when
    weights, means and covariances are.

    Shapes:  centres (k, p), covariances (k, p, p); or, for round components, their sd as ``mode_sd`` (k,)
    Raises:  ValueError – unless the weights are nonnegative, as many as components, and sum to one (to 1e-9),
             and all components have the same features

    >>> p = mg.parse("0.5*normal([0, 0], 1) + 0.5*normal([4, 0], 1)")
    >>> type(p).__name__, p.mean
    ('MultivariateMixture', array([2., 0.]))
    """

    weights: tuple[float, ...]
    components: tuple[MultivariateNormal, ...]
    text: str | None = None
    centres: np.ndarray = field(init=False, repr=False)
    _factors: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        weights = host(list(self.weights), "weights", finite=True).tolist()
        components: tuple[Any, ...] = tuple(self.components)
        if len(weights) != len(components):
            raise ValueError(
                f"a mixture needs one weight for each component; received {len(weights)} weights "
                f"and {len(components)} components"
            )
        if min(weights) < 0 or abs(math.fsum(weights) - 1) > SUM_TOLERANCE:
            raise ValueError(
                "the weights of a mixture must be nonnegative and sum to one; received a sum of "
                f"{math.fsum(weights):.10g} and a least weight of {min(weights):.10g}"
            )
        for c in components:
            if not isinstance(c, MultivariateNormal | MultivariateMixture):
                raise TypeError(f"a multivariate mixture has multivariate normal components; received {c}")
        if self.text is None and all(c.text for c in components):
            pairs = zip(weights, components, strict=True)
            object.__setattr__(self, "text", " + ".join(f"{format_number(w)}*{c}" for w, c in pairs))
        parts = [
            (w * inner, part)
            for w, c in zip(weights, components, strict=True)
            for inner, part in (
                zip(c.weights, c.components, strict=True)
                if isinstance(c, MultivariateMixture)
                else [(1.0, c)]
            )
        ]
        weights, components = [w for w, _ in parts], tuple(c for _, c in parts)
        features = {c.features for c in components}
        if len(features) > 1:
            raise ValueError(
                f"the components of a mixture have the same features; received {sorted(features)}"
            )
        centres, factors = np.stack([c.mean for c in components]), np.stack([c._factor for c in components])
        centres.flags.writeable = factors.flags.writeable = False
        object.__setattr__(self, "weights", tuple(weights))
        object.__setattr__(self, "components", components)
        object.__setattr__(self, "centres", centres)
        object.__setattr__(self, "_factors", factors)

    @property
    def features(self) -> int:
        """p, how many numbers one draw has."""
        return self.centres.shape[1]

    @property
    def mean(self) -> np.ndarray:
        """E X = Σ wₖ μₖ."""
        mean = np.array(self.weights) @ self.centres
        return np.where(np.abs(mean) < 1e-12 * np.abs(self.centres).max(), 0.0, mean)  # cosines sum to 1e-16

    @property
    def covariance(self) -> np.ndarray:
        """Σ wₖ (Σₖ + (μₖ − E X)(μₖ − E X)ᵀ)."""
        shifts = self.centres - self.mean
        within = np.einsum("k,kij->ij", self.weights, np.stack([c.covariance for c in self.components]))
        return within + np.einsum("k,ki,kj->ij", self.weights, shifts, shifts)

    @property
    def sd(self) -> np.ndarray:
        """The standard deviation of each feature."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def mode_sd(self) -> np.ndarray | None:
        """The standard deviation of each component, where all are round: Σₖ = sdₖ² I; else None."""
        sd = self._factors[:, 0, 0]
        round_ones = sd[:, None, None] * np.eye(self.features)
        return sd.copy() if np.allclose(self._factors, round_ones, rtol=1e-12, atol=0) else None

    def log_density(self, x: Array) -> np.ndarray:
        """ln p(x), exact where every component underflows.

        Shapes:  x (…, p) → (…)
        """
        x = host(x, "x")
        if x.shape[-1:] != (self.features,):
            raise ValueError(
                f"x must have {self.features} features in its last axis; received shape {x.shape}"
            )
        rows = x.reshape(-1, self.features)
        log_norms = self._log_norms()
        log_p = np.empty(len(rows))
        step = max(1, _CHUNK // self.centres.size)
        for start in range(0, len(rows), step):
            with np.errstate(over="ignore"):  # farther than 1e154 sd the log-density is −inf in float64
                terms = log_norms[:, None] - 0.5 * self._square_distances(rows[start : start + step])
            top = terms.max(axis=0)
            top = np.where(top > -np.inf, top, 0.0)
            with np.errstate(divide="ignore"):
                log_p[start : start + step] = top + np.log(np.exp(terms - top).sum(axis=0))
        return log_p.reshape(x.shape[:-1])[()]

    def _square_distances(self, rows: np.ndarray) -> np.ndarray:
        """(x − μₖ)ᵀ Σₖ⁻¹ (x − μₖ) of all rows and components: (n, p) → (k, n)."""
        sd = self.mode_sd
        if sd is None:
            z = (rows - self.centres[:, None]) @ np.linalg.inv(self._factors).mT
            return np.square(z, out=z).sum(axis=-1)
        z, centres = rows.T, self.centres.T[..., None]
        return sum(((z[j] - centres[j]) / sd[:, None]) ** 2 for j in range(self.features))

    def _log_norms(self) -> np.ndarray:
        """ln wₖ − ½ ln det 2πΣₖ."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        half_logdet = np.log(np.diagonal(self._factors, axis1=1, axis2=2)).sum(axis=1)
        return log_weights - half_logdet - 0.5 * self.features * math.log(2 * math.pi)

    def density(self, x: Array) -> np.ndarray:
        """p(x).

        Shapes:  x (…, p) → (…)
        """
        return np.exp(self.log_density(x))

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        """Independent draws.

        Shapes:  → shape + (p,)
        """
        shape = tuple(np.atleast_1d(np.array(shape, int)))
        weights = np.array(self.weights)
        which = rng.choice(len(weights), size=shape, p=weights / weights.sum())
        return self._drawn(which, rng.standard_normal((*shape, self.features)))

    sources = property(lambda self: 1 + self.features, doc="How many uniform numbers make one row.")

    def transport(self, u: np.ndarray) -> np.ndarray:
        """The draws that uniform numbers make: the first chooses a component, the others are its quantiles.

        Shapes:  u (…, 1 + p) → (…, p)
        """
        from scipy.special import ndtri

        shares = np.cumsum(self.weights)
        which = np.searchsorted(shares, u[..., 0] * shares[-1], side="right")
        return self._drawn(np.minimum(which, len(shares) - 1), ndtri(u[..., 1:]))

    def _drawn(self, which: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The rows that standard normal numbers are in the components of these numbers."""
        sd = self.mode_sd
        if sd is not None:
            return self.centres[which] + sd[which][..., None] * z
        return self.centres[which] + np.einsum("...ij,...j->...i", self._factors[which], z)

    def entropy(self, rng: np.random.Generator | None = None, rows: int = _ENTROPY_ROWS) -> float:
        """H = −E ln p(X) over ``rows`` draws, those of one fixed seed if no generator is given.

        The error is about sd(ln p)/√rows: 0.004 nats for a ring or a grid, in whose modes ln p has sd 1.

        Units:   nats
        Source:  [T2]
        """
        rng = np.random.default_rng(0) if rng is None else rng
        return float(-self.log_density(self.sample(rng, rows)).mean())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MultivariateMixture)
            and self.weights == other.weights
            and np.array_equal(self.centres, other.centres)
            and np.array_equal(self._factors, other._factors)
        )

    def __hash__(self) -> int:
        return hash((self.weights, self.centres.tobytes()))

    def __str__(self) -> str:
        return self.text or (
            f"a mixture of {len(self.weights)} normal distributions of {self.features} feature"
            + ("s" if self.features > 1 else "")
        )
