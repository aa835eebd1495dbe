"""The distributions of the plane that GANs are tried on: a ring and a grid of modes, and a spiral.

All are mixtures of round normal distributions.
"""

import math

import numpy as np

from minigan.probability._numerics import format_number
from minigan.probability.multivariate import MultivariateMixture, MultivariateNormal

_MAX_MODES = 1024  # of a ring or grid: each is visited for every density
_PANEL = 6.0  # length, in sd, of a piece of a curve with 16 nodes


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
    return _round_modes(centres, sd, f"ring({count}, {format_number(radius)}, {format_number(sd)})")


def grid(side: int = 5, spacing: float = 2.0, sd: float = 0.05) -> MultivariateMixture:
    """side² round normal modes of equal weight on a square lattice about the origin: {−4, −2, 0, 2, 4}².

    Raises:  ValueError – unless side is a whole number from 1 to 32, spacing and sd finite and positive
    Source:  Lin et al. 2018, section 4.1
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
    """
    turns, sd, radius = _positive("spiral", turns=turns, sd=sd, radius=radius)
    end = 2 * np.pi * turns
    length = radius * 0.5 * (math.sqrt(1 + end * end) + math.asinh(end) / end)  # of r = radius·θ/end
    panels = math.ceil(length / (_PANEL * sd))
    if panels > 500:
        given = ", ".join(map(format_number, (turns, sd, radius)))
        raise ValueError(
            f"spiral({given}) is {length:.3g} long, more than 2000 sd; "
            f"give sd of at least {length / 2000:.2g}"
        )
    nodes, weights = np.polynomial.legendre.leggauss(16)
    edges = np.sqrt(np.arange(panels + 1) / panels)  # about equally far apart along the curve
    half = 0.5 * np.diff(edges)[:, None]
    v = (edges[:-1, None] + half * (1 + nodes)).ravel()
    w = (half * weights).ravel() * 2 * v
    centres = radius * v[:, None] * np.stack([np.cos(end * v), np.sin(end * v)], axis=1)
    tail = "" if radius == 1 else f", {format_number(radius)}"
    return _round_modes(
        centres, sd, f"spiral({format_number(turns)}, {format_number(sd)}{tail})", w / w.sum()
    )


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _round_modes(
    centres: np.ndarray, sd: float, text: str, weights: np.ndarray | None = None
) -> MultivariateMixture:
    count, features = centres.shape
    covariance = sd * sd * np.eye(features)
    shares = (1 / count,) * count if weights is None else tuple(weights.tolist())
    return MultivariateMixture(shares, tuple(MultivariateNormal(c, covariance) for c in centres), text)


def _whole(distribution: str, name: str, value: float, least: int, most: int) -> int:
    number = float(value)
    if not (number.is_integer() and least <= number <= most):
        raise ValueError(
            f"{distribution} needs {name} to be a whole number from {least} to {most}; received {value!r:.80}"
        )
    return int(number)


def _positive(distribution: str, **numbers) -> list[float]:
    for name, value in numbers.items():
        if not 1e-150 < float(value) < 1e150:  # their squares are numbers too
            raise ValueError(
                f"{distribution} needs a finite {name} > 0, within 1e±150; received {value!r:.80}"
            )
    return [float(value) for value in numbers.values()]
