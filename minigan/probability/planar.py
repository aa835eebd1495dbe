"""The distributions of the plane that GANs are tried on: a ring and a grid of modes, noisy curves, a board.

All but the checkerboard are mixtures of round normal distributions; a curve is one of very many.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minigan.backend import Array
from minigan.probability._numerics import Shape, format_number, host
from minigan.probability.distributions import as_number
from minigan.probability.multivariate import MultivariateMixture, MultivariateNormal

_MAX_MODES = 1024  # of a ring or grid: each is visited for every density
_PANEL = 6.0  # length, in sd, of a piece of a curve with 16 nodes


def ring(modes: int = 8, radius: float = 1.0, sd: float = 0.01) -> MultivariateMixture:
    """``modes`` round normal modes of equal weight at the angles 2πk/modes, k = 0 … modes − 1, of a circle.

    The last angle is not 2π, which would be the first mode once more, of double weight. Radius 1 and sd 0.01
    are PacGAN's; unrolled GANs were shown on radius 2 and sd 0.02.

    Raises:  ValueError – unless modes is a whole number from 1 to 1024, radius and sd finite and positive
    Source:  Lin et al. 2018, section 4.1; Metz et al. 2017, appendix A

    >>> from minigan.probability import ring
    >>> ring(8).sample(np.random.default_rng(0), (3,)).shape
    (3, 2)
    """
    count = _whole("ring", "modes", modes, 1, _MAX_MODES)
    radius, sd = _positive("ring", radius=radius, sd=sd)
    angles = 2 * np.pi * np.arange(count) / count
    centres = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    centres[np.abs(centres) < 1e-15 * radius] = 0.0  # cos(π/2) is 6e-17 in floats
    return _round_modes(centres, sd, f"ring({count}, {format_number(radius)}, {format_number(sd)})")


def grid(side: int = 5, spacing: float = 2.0, sd: float = 0.05) -> MultivariateMixture:
    """side² round normal modes of equal weight on a square lattice about the origin: {−4, −2, 0, 2, 4}².

    Raises:  ValueError – unless side is a whole number from 1 to 32, spacing and sd finite and positive
    Source:  Lin et al. 2018, section 4.1

    >>> from minigan.probability import grid
    >>> grid(5).sample(np.random.default_rng(0), (3,)).shape
    (3, 2)
    """
    count = _whole("grid", "side", side, 1, math.isqrt(_MAX_MODES))
    spacing, sd = _positive("grid", spacing=spacing, sd=sd)
    ticks = spacing * (np.arange(count) - 0.5 * (count - 1))
    centres = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    return _round_modes(centres, sd, f"grid({count}, {format_number(spacing)}, {format_number(sd)})")


def spiral(turns: float = 2.0, sd: float = 0.02, radius: float = 1.0) -> MultivariateMixture:
    """A noisy curve: v·radius·(cos θ, sin θ) + sd·ε at θ = 2π·turns·v, where v² is uniform on (0, 1).

    So the curve is covered almost evenly. Its density ∫ N(x; c(v), sd²) 2v dv is taken as its Gauss–Legendre
    sum, within 1e-4 of the integral wherever there is mass, and that sum is the distribution that is sampled.

    Raises:  ValueError – unless turns, sd and radius are finite and positive, and sd is not below 1/2000 of
             the curve's length

    >>> from minigan.probability import spiral
    >>> spiral().sample(np.random.default_rng(0), (3,)).shape
    (3, 2)
    """
    turns, sd, radius = _positive("spiral", turns=turns, sd=sd, radius=radius)
    end = 2 * np.pi * turns
    length = radius * 0.5 * (math.sqrt(1 + end * end) + math.asinh(end) / end)  # of r = radius·θ/end
    given = ", ".join(map(format_number, (turns, sd, radius)))
    panels = _panels(f"spiral({given})", length, sd)
    edges = np.sqrt(np.arange(panels + 1) / panels)  # about equally far apart along the curve
    v, w = _nodes(edges)
    w *= 2 * v
    centres = radius * v[:, None] * np.stack([np.cos(end * v), np.sin(end * v)], axis=1)
    tail = "" if radius == 1 else f", {format_number(radius)}"
    return _round_modes(
        centres, sd, f"spiral({format_number(turns)}, {format_number(sd)}{tail})", w / w.sum()
    )


def moons(sd: float = 0.1) -> MultivariateMixture:
    """Two interleaved half circles of radius 1 about (0, 0) and (1, ½), as likely, and round noise of ``sd``.

    Raises:  ValueError – unless sd is finite and positive, and not below 1/2000 of the curves' length
    Source:  ``make_moons`` of scikit-learn

    >>> from minigan.probability import moons
    >>> moons().sample(np.random.default_rng(0), (3,)).shape
    (3, 2)
    """
    (sd,) = _positive("moons", sd=sd)
    text = f"moons({format_number(sd)})"
    v, w = _nodes(np.linspace(0.0, np.pi, _panels(text, 2 * np.pi, sd) + 1))
    upper = np.stack([np.cos(v), np.sin(v)], axis=1)
    return _round_modes(np.concatenate([upper, [1.0, 0.5] - upper]), sd, text, np.tile(w, 2) / (2 * w.sum()))


def circles(inner: float = 0.5, sd: float = 0.05) -> MultivariateMixture:
    """A circle of radius 1 and one of radius ``inner``, as likely, and round noise of ``sd``.

    Raises:  ValueError – unless both are finite and positive, and sd not below 1/2000 of the curves' length
    Source:  ``make_circles`` of scikit-learn, whose factor is ``inner``

    >>> from minigan.probability import circles
    >>> circles().sample(np.random.default_rng(0), (3,)).shape
    (3, 2)
    """
    inner, sd = _positive("circles", inner=inner, sd=sd)
    text = f"circles({format_number(inner)}, {format_number(sd)})"
    panels = _panels(text, 2 * np.pi * (1 + inner), sd)
    count = 8 * panels  # even steps of at most 0.75 sd: exact to 1e-13 on a closed curve
    angles = 2 * np.pi * np.arange(count) / count
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _round_modes(np.concatenate([circle, inner * circle]), sd, text)


def pinwheel(arms: int = 5, rate: float = 0.25, sd: float = 0.1) -> MultivariateMixture:
    """``arms`` bent arms: r (cos θ, sin θ) + sd·ε at θ = 2πk/arms + rate·eʳ, where r is normal(1, 0.3).

    The noise is round, where the source's is across the arm only; so there is a density.

    Raises:  ValueError – unless arms is a whole number from 1 to 64, rate and sd finite and positive, and sd
             not below 1/2000 of the arms' length
    Source:  Johnson, Duvenaud, Wiltschko, Datta, Adams 2016, section 5

    >>> from minigan.probability import pinwheel
    >>> pinwheel().sample(np.random.default_rng(0), (3,)).shape
    (3, 2)
    """
    count = _whole("pinwheel", "arms", arms, 1, 64)
    rate, sd = _positive("pinwheel", rate=rate, sd=sd)
    text = f"pinwheel({count}, {format_number(rate)}, {format_number(sd)})"
    starts = 2 * np.pi * np.arange(count) / count

    def arm(r: np.ndarray) -> np.ndarray:
        angles = rate * np.exp(r)
        return r[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    r, w = _nodes(_even_edges(text, arm, -0.8, 2.8, sd, count))  # six sd of r each way
    w *= np.exp(-0.5 * ((r - 1) / 0.3) ** 2)
    turns = np.stack([np.cos(starts), np.sin(starts), -np.sin(starts), np.cos(starts)], axis=1)
    centres = (arm(r) @ turns.reshape(count, 2, 2)).reshape(-1, 2)
    return _round_modes(centres, sd, text, np.tile(w, count) / (count * w.sum()))


def swiss_roll(sd: float = 0.5) -> MultivariateMixture:
    """t (cos t, sin t) + sd·ε, where t is uniform on (1.5π, 4.5π): the roll seen from its end.

    Raises:  ValueError – unless sd is finite and positive, and not below 1/2000 of the curve's length
    Source:  ``make_swiss_roll`` of scikit-learn

    >>> from minigan.probability import swiss_roll
    >>> swiss_roll().sample(np.random.default_rng(0), (3,)).shape
    (3, 2)
    """
    (sd,) = _positive("swiss_roll", sd=sd)
    text = f"swiss_roll({format_number(sd)})"

    def roll(t: np.ndarray) -> np.ndarray:
        return t[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1)

    t, w = _nodes(_even_edges(text, roll, 1.5 * np.pi, 4.5 * np.pi, sd))
    return _round_modes(roll(t), sd, text, w / w.sum())


@dataclass(frozen=True)
class Checkerboard:
    """The uniform distribution on every other of side² squares about the origin, each ``width`` wide.

    The square at the lower left is one of them.

    Raises:  ValueError – unless side is a whole number from 1 to 32, width finite and positive

    >>> from minigan.probability import Checkerboard
    >>> Checkerboard(4, 2.0).sample(np.random.default_rng(0), (3,)).shape
    (3, 2)
    """

    side: int = 4
    width: float = 2.0
    features = 2

    def __post_init__(self) -> None:
        side = _whole("checkerboard", "side", self.side, 1, math.isqrt(_MAX_MODES))
        (width,) = _positive("checkerboard", width=self.width)
        object.__setattr__(self, "side", side)
        object.__setattr__(self, "width", width)

    mean = property(lambda self: np.zeros(2))

    @property
    def sd(self) -> np.ndarray:
        """The standard deviation of each feature: among the centres, and inside a square."""
        spread = self._centres()[:, 0].var() + self.width**2 / 12
        return np.full(2, math.sqrt(spread))

    def log_density(self, x: Array) -> np.ndarray:
        """ln p(x).

        Shapes:  x (…, 2) → (…)
        """
        x = host(x, "x")
        if x.shape[-1:] != (2,):
            raise ValueError(f"x must have 2 features in its last axis; received shape {x.shape}")
        place = np.floor(x / self.width + 0.5 * self.side)
        inside = ((place >= 0) & (place < self.side)).all(axis=-1)
        with np.errstate(invalid="ignore"):  # of an infinity, which is outside
            taken = inside & (place.sum(axis=-1) % 2 == 0)
        return np.where(taken, -self.entropy(), -np.inf)[()]

    def density(self, x: Array) -> np.ndarray:
        """p(x).

        Shapes:  x (…, 2) → (…)
        """
        return np.exp(self.log_density(x))

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        """Independent draws.

        Shapes:  → shape + (2,)
        """
        shape = tuple(np.atleast_1d(np.array(shape, int)))
        centres = self._centres()
        within = self.width * (rng.random((*shape, 2)) - 0.5)
        return centres[rng.integers(len(centres), size=shape)] + within

    sources = 3

    def transport(self, u: np.ndarray) -> np.ndarray:
        """The draws that uniform numbers make: the first chooses a square, the others the place in it.

        Shapes:  u (…, 3) → (…, 2)
        """
        centres = self._centres()
        which = (u[..., 0] * len(centres)).astype(int)
        return centres[which] + self.width * (u[..., 1:] - 0.5)

    def entropy(self) -> float:
        """H = ln of the area, in nats [T2]."""
        return math.log(len(self._centres())) + 2 * math.log(self.width)

    def _centres(self) -> np.ndarray:
        i, j = np.divmod(np.arange(self.side**2), self.side)
        places = np.stack([i, j], axis=1)[(i + j) % 2 == 0]
        return self.width * (places - 0.5 * (self.side - 1))

    def __str__(self) -> str:
        return f"checkerboard({self.side}, {format_number(self.width)})"


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _panels(text: str, length: float, sd: float) -> int:
    """How many pieces of 16 nodes a curve of that length takes."""
    panels = math.ceil(length / (_PANEL * sd))
    if panels > 500:
        raise ValueError(
            f"{text} is {length:.3g} long, more than 2000 sd; give sd of at least {length / 2000:.2g}"
        )
    return panels


def _nodes(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Legendre nodes and weights of the pieces between the edges."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    half = 0.5 * np.diff(edges)[:, None]
    return (edges[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()


def _even_edges(
    text: str, curve: Callable[[np.ndarray], np.ndarray], start: float, end: float, sd: float, copies: int = 1
) -> np.ndarray:
    """Edges of pieces of a curve, equally far apart along it."""
    t = np.linspace(start, end, 4001)
    along = np.concatenate([[0.0], np.hypot(*np.diff(curve(t), axis=0).T).cumsum()])
    panels = math.ceil(_panels(text, copies * along[-1], sd) / copies)
    return np.interp(np.linspace(0.0, along[-1], panels + 1), along, t)


def _round_modes(
    centres: np.ndarray, sd: float, text: str, weights: np.ndarray | None = None
) -> MultivariateMixture:
    count, features = centres.shape
    covariance = sd * sd * np.eye(features)
    shares = (1 / count,) * count if weights is None else tuple(weights.tolist())
    return MultivariateMixture(shares, tuple(MultivariateNormal(c, covariance) for c in centres), text)


def _whole(distribution: str, name: str, value: float, least: int, most: int) -> int:
    number = as_number(distribution, name, value)
    if not (number.is_integer() and least <= number <= most):
        raise ValueError(
            f"{distribution} needs {name} to be a whole number from {least} to {most}; received {value!r:.80}"
        )
    return int(number)


def _positive(distribution: str, **numbers) -> list[float]:
    found = {name: as_number(distribution, name, value) for name, value in numbers.items()}
    for name, value in found.items():
        if not 1e-150 < value < 1e150:  # their squares are numbers too
            raise ValueError(
                f"{distribution} needs a finite {name} > 0, within 1e±150; received {value!r:.80}"
            )
    return list(found.values())
