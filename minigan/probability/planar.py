"""Distributions of several features: normal mixtures; the ring, the grid and the spiral of toy problems.

All are one class, so each has an exact density, samples and moments in any number of features.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from minigan.probability._numerics import host
from minigan.probability.distributions import SUM_TOLERANCE, MultivariateNormal, _text

_MAX_MODES = 1024  # of a ring or grid: each is visited for every density
_CHUNK = 2**17  # numbers of a density's terms held at once
_ENTROPY_ROWS = 2**16
_PANEL = 6.0  # length, in sd, of a piece of a curve with 16 nodes


@dataclass(frozen=True, eq=False)
class MultivariateMixture:
    """p(x) = Σ wₖ N(x; μₖ, Σₖ) over p features: draw a component by its weight, then x from it [T9].

    ``text`` is the form in which ``parse`` reads the distribution, where it has one. Distributions are equal
    when weights, means and covariances are.

    Shapes:  centres (k, p), covariances (k, p, p); or, for round components, their sd as ``mode_sd`` (k,)
    Raises:  ValueError – unless the weights are nonnegative, as many as components, and sum to one (to 1e-9),
             and all components have the same features
    """

    weights: tuple[float, ...]
    components: tuple[MultivariateNormal, ...]
    text: str | None = None
    centres: np.ndarray = field(init=False, repr=False)
    _factors: np.ndarray = field(init=False, repr=False)

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
                "the weights of a mixture must be nonnegative and sum to one; received a sum of "
                f"{math.fsum(weights):.10g} and a least weight of {min(weights):.10g}"
            )
        for c in components:
            if not isinstance(c, MultivariateNormal):
                raise TypeError(f"a multivariate mixture has multivariate normal components; received {c}")
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

    def log_density(self, x) -> np.ndarray:
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

    def _square_distances(self, rows):
        """(x − μₖ)ᵀ Σₖ⁻¹ (x − μₖ) of all rows and components: (n, p) → (k, n)."""
        sd = self.mode_sd
        if sd is None:
            z = (rows - self.centres[:, None]) @ np.linalg.inv(self._factors).mT
            return np.square(z, out=z).sum(axis=-1)
        z, centres = rows.T, self.centres.T[..., None]
        return sum(((z[j] - centres[j]) / sd[:, None]) ** 2 for j in range(self.features))

    def _log_norms(self):
        """ln wₖ − ½ ln det 2πΣₖ."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        half_logdet = np.log(np.diagonal(self._factors, axis1=1, axis2=2)).sum(axis=1)
        return log_weights - half_logdet - 0.5 * self.features * math.log(2 * math.pi)

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
        weights = np.array(self.weights)
        which = rng.choice(len(weights), size=shape, p=weights / weights.sum())
        z = rng.standard_normal((*shape, self.features))
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

    def __eq__(self, other):
        return (
            isinstance(other, MultivariateMixture)
            and self.weights == other.weights
            and np.array_equal(self.centres, other.centres)
            and np.array_equal(self._factors, other._factors)
        )

    def __hash__(self):
        return hash((self.weights, self.centres.tobytes()))

    def __str__(self):
        return self.text or (
            f"a mixture of {len(self.weights)} normal distributions of {self.features} feature"
            + ("s" if self.features > 1 else "")
        )


def ring(modes: int = 8, radius: float = 1.0, sd: float = 0.01) -> MultivariateMixture:
    """``modes`` round normal modes of equal weight at the angles 2πk/modes, k = 0 … modes − 1, of a circle.

    The last angle is not 2π, which would be the first mode once more, of double weight. Radius 1 and sd 0.01
    are PacGAN's; unrolled GANs were shown on radius 2 and sd 0.02.

    Raises:  ValueError – unless modes is a whole number from 1 to 1024, radius and sd finite and positive
    Source:  Lin et al. 2018, section 4.1; Metz et al. 2017, appendix A
    """
    count = _whole("ring", "modes", modes, 1, _MAX_MODES)
    radius, sd = _positive("ring", radius=radius, sd=sd)
    angles = 2 * np.pi * np.arange(count) / count
    centres = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    centres[np.abs(centres) < 1e-15 * radius] = 0.0  # cos(π/2) is 6e-17 in floats
    return _round_modes(centres, sd, f"ring({count}, {_text(radius)}, {_text(sd)})")


def grid(side: int = 5, spacing: float = 2.0, sd: float = 0.05) -> MultivariateMixture:
    """side² round normal modes of equal weight on a square lattice about the origin: {−4, −2, 0, 2, 4}².

    Raises:  ValueError – unless side is a whole number from 1 to 32, spacing and sd finite and positive
    Source:  Lin et al. 2018, section 4.1
    """
    count = _whole("grid", "side", side, 1, math.isqrt(_MAX_MODES))
    spacing, sd = _positive("grid", spacing=spacing, sd=sd)
    ticks = spacing * (np.arange(count) - 0.5 * (count - 1))
    centres = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    return _round_modes(centres, sd, f"grid({count}, {_text(spacing)}, {_text(sd)})")


def spiral(turns: float = 2.0, sd: float = 0.02, radius: float = 1.0) -> MultivariateMixture:
    """A noisy curve: v·radius·(cos θ, sin θ) + sd·ε at θ = 2π·turns·v, where v² is uniform on (0, 1).

    So the curve is covered almost evenly. Its density ∫ N(x; c(v), sd²) 2v dv is taken as its Gauss–Legendre
    sum, within 1e-4 of the integral wherever there is mass, and that sum is the distribution that is sampled.

    Raises:  ValueError – unless turns, sd and radius are finite and positive, and sd is not below 1/2000 of
             the curve's length
    """
    turns, sd, radius = _positive("spiral", turns=turns, sd=sd, radius=radius)
    end = 2 * np.pi * turns
    length = radius * 0.5 * (math.sqrt(1 + end * end) + math.asinh(end) / end)  # of r = radius·θ/end
    panels = math.ceil(length / (_PANEL * sd))
    if panels > 500:
        raise ValueError(
            f"spiral({_text(turns)}, {_text(sd)}, {_text(radius)}) is {length:.3g} long, more than 2000 sd; "
            f"give sd of at least {length / 2000:.2g}"
        )
    nodes, weights = np.polynomial.legendre.leggauss(16)
    edges = np.sqrt(np.arange(panels + 1) / panels)  # about equally far apart along the curve
    half = 0.5 * np.diff(edges)[:, None]
    v = (edges[:-1, None] + half * (1 + nodes)).ravel()
    w = (half * weights).ravel() * 2 * v
    centres = radius * v[:, None] * np.stack([np.cos(end * v), np.sin(end * v)], axis=1)
    tail = "" if radius == 1 else f", {_text(radius)}"
    return _round_modes(centres, sd, f"spiral({_text(turns)}, {_text(sd)}{tail})", w / w.sum())


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _round_modes(centres, sd, text, weights=None):
    count, features = centres.shape
    covariance = sd * sd * np.eye(features)
    weights = (1 / count,) * count if weights is None else tuple(weights.tolist())
    return MultivariateMixture(weights, tuple(MultivariateNormal(c, covariance) for c in centres), text)


def _whole(distribution, name, value, least, most):
    number = float(value)
    if not (number.is_integer() and least <= number <= most):
        raise ValueError(
            f"{distribution} needs {name} to be a whole number from {least} to {most}; received {value!r:.80}"
        )
    return int(number)


def _positive(distribution, **numbers):
    for name, value in numbers.items():
        if not 1e-150 < float(value) < 1e150:  # their squares are numbers too
            raise ValueError(
                f"{distribution} needs a finite {name} > 0, within 1e±150; received {value!r:.80}"
            )
    return [float(value) for value in numbers.values()]
