"""How weights start: random matrices on the host, in float64; W has shape (fan_in, fan_out).

A unit φ(w·x + b) bends where w·x + b = 0. With all biases at 0 every unit of a first layer bends at the same
place, and a network of one input has to move its bends to where they are needed; the functions that return
W and b start with the bends there.
"""

from __future__ import annotations  # or np.random would be imported for its name

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

__all__ = [
    "INITIALIZERS", "Matrix", "bends_at_data", "bends_at_latents", "bends_at_random", "bends_between",
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "least_squares", "lecun_normal",
    "orthogonal", "rising_layer", "spread_biases",
]  # fmt: skip

Matrix: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    """U(−a, a), a = √(6 / (fan_in + fan_out)).    Source:  Glorot & Bengio 2010, eq. 16"""
    a = math.sqrt(6.0 / sum(shape))
    return rng.uniform(-a, a, shape)


def glorot_normal(rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    """N(0, 2 / (fan_in + fan_out)).    Source:  Glorot & Bengio 2010"""
    return rng.standard_normal(shape) * math.sqrt(2.0 / sum(shape))


def he_uniform(rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    """U(−a, a), a = √(6 / fan_in).    Source:  He et al. 2015"""
    a = math.sqrt(6.0 / shape[0])
    return rng.uniform(-a, a, shape)


def he_normal(rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    """N(0, 2 / fan_in), which keeps the variance through ReLU.    Source:  He et al. 2015, eq. 10"""
    return rng.standard_normal(shape) * math.sqrt(2.0 / shape[0])


def lecun_normal(rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    """N(0, 1 / fan_in).    Source:  LeCun et al. 1998, eq. 16"""
    return rng.standard_normal(shape) / math.sqrt(shape[0])


def orthogonal(rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    """Orthonormal rows or columns, whichever are fewer, uniformly distributed.

    Source:  Saxe et al. 2014
    """
    n, m = shape
    q, r = np.linalg.qr(rng.standard_normal((max(n, m), min(n, m))))
    q = q * np.sign(np.diag(r))  # without it the distribution depends on the QR convention
    return q if n >= m else q.T


INITIALIZERS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Matrix]] = {
    f.__name__: f for f in (glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_normal, orthogonal)
}

_STEEPEST = 0.01  # width of the narrowest bend, in units of the inputs; 0 would be infinitely steep
_ENDS = (0.005, 0.995)  # between these quantiles the data's range is covered
_OTHERS = 300  # rows among which a neighbour is looked for, at most
_NEAREST = 0.05  # distance of neighbours, in units of the inputs, that no unit is made steeper for
_RIDGE = 0.1  # added to the squares of so many thousand hidden values


def bends_at_data(rng: np.random.Generator, units: int, quantiles: Matrix) -> tuple[Matrix, Matrix]:
    """W and b of a first layer of one input, whose units bend where the data are.

    Half bend at quantiles of the data, each as wide as twice the way to the nearer neighbour: narrow in a
    narrow mode. The others cover the range evenly and widely, gaps between modes too.

    quantiles  of the data, at equally spaced levels
    Shapes:  quantiles (n,), ascending → (1, units) twice
    """
    at, many = _interpolated(quantiles), max(units // 2, 1)
    u = (np.arange(many) + rng.random(many)) / many
    x, step = at(u), 1 / many
    left = np.where(u < step, np.inf, x - at(u - step))
    right = np.where(u > 1 - step, np.inf, at(u + step) - x)
    narrow = np.maximum(2 * np.minimum(left, right), _STEEPEST)
    low, high = at(np.array(_ENDS))
    few = units - many
    evenly = low + (high - low) * (np.arange(few) + rng.random(few)) / max(few, 1)
    wide = np.full(few, np.clip(4 * (high - low) / max(few, 1), 0.1, 1.0))
    width = np.minimum(np.append(narrow, wide), 1 / _STEEPEST)
    W = np.where(rng.random(units) < 0.5, -1.0, 1.0) / width
    return W[None], (-W * np.append(x, evenly))[None]


def bends_at_latents(
    rng: np.random.Generator, units: int, quantiles: Matrix, latent: Callable[[Matrix], Matrix]
) -> tuple[Matrix, Matrix]:
    """W and b of a first layer of one input, whose units bend where a map from latents to data bends.

    That map, z ↦ x with the shares of both below them equal, is steep where data are rare. Half bend at the
    latents of evenly spaced x, as steep there as the map: where the data have a gap there are many steep
    ones. The others are spread as the latents are, with slope 1. All rise, as the map does.

    quantiles  of the data, at equally spaced levels
    latent     the latent's quantile function
    Shapes:  quantiles (n,), ascending → (1, units) twice
    """
    at, levels = _interpolated(quantiles), _levels(quantiles)
    many, near = units // 2, 0.25  # the slope is that between x − near and x + near

    def behind(x: Matrix) -> Matrix:
        return latent(np.clip(np.interp(x, quantiles, levels), 1e-3, 1 - 1e-3))

    low, high = at(np.array(_ENDS))
    x = low + (high - low) * (np.arange(many) + rng.random(many)) / max(many, 1)
    width = np.clip((behind(x + near) - behind(x - near)) / (2 * near), _STEEPEST, 1.0)
    spread = 1.2 * latent(rng.random(units - many))
    W = 1 / np.append(width, np.ones(units - many))
    return W[None], (-W * np.append(behind(x), spread))[None]


def rising_layer(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Matrix, Matrix]:
    """W and b of a layer behind the first, none of whose units falls where its inputs rise.

    Weights U(0, 4/fan_in), so that a unit follows twice the mean of its inputs, and biases U(−1.5, 1.5).

    Shapes:  (n, m) → (n, m), (1, m)
    """
    return rng.uniform(0.0, 4.0 / shape[0], shape), rng.uniform(-1.5, 1.5, (1, shape[1]))


def bends_between(rng: np.random.Generator, units: int, rows: Matrix) -> tuple[Matrix, Matrix]:
    """W and b of a first layer of several inputs, whose units bend between two rows of the data.

    Unit j is -1 at a random row and 1 at the nearest of some others, 1 to 300 of them, every order of size
    alike: so there are wide units and, where rows are dense, narrow ones, and all lie where the data are.

    Shapes:  rows (k, n) → (n, units), (1, units)
    Source:  Bolager, Burak, Datar, Sun, Dietrich 2023, section 3, who solve for the last layer then
    """
    few = np.exp(rng.uniform(0.0, math.log(_OTHERS), units))
    x, distance = rows[rng.integers(len(rows), size=units)], np.full(units, np.inf)
    step = rng.standard_normal(x.shape)  # of a row that is like all others
    for k in range(_OTHERS):
        other = rows[rng.integers(len(rows), size=units)] - x
        far = np.sqrt((other * other).sum(axis=1))
        nearer = (k < few) & (far < distance) & (far > 0)
        step[nearer], distance[nearer] = other[nearer], far[nearer]
    length = np.sqrt((step * step).sum(axis=1, keepdims=True))
    W: Matrix = (2 * step / (length * np.maximum(length, _NEAREST))).T
    b = -((x + 0.5 * step) * W.T).sum(axis=1)
    return W, b[None]


def bends_at_random(rng: np.random.Generator, units: int, latents: Matrix) -> tuple[Matrix, Matrix]:
    """W and b of a first layer whose units bend at random latent vectors, along N(0, 1/n) directions.

    Shapes:  latents (units, n) → (n, units), (1, units)
    """
    W = rng.standard_normal((latents.shape[1], units)) / math.sqrt(latents.shape[1])
    b: Matrix = -np.einsum("nm,mn->m", W, latents)[None]
    return W, b


def least_squares(hidden: Matrix, wanted: Matrix) -> tuple[Matrix, Matrix]:
    """W and b of a last layer, with which a network makes about ``wanted`` of these hidden values.

    By the normal equations with a ridge, without BLAS, whose threads would show in the last digits.

    Shapes:  hidden (k, n), wanted (k, m) → (n, m), (1, m)
    """
    A = np.concatenate([hidden, np.ones((len(hidden), 1))], axis=1)
    left, right = np.einsum("ki,kj->ij", A, A), np.einsum("ki,kj->ij", A, wanted)
    found = np.linalg.solve(left + _RIDGE * np.eye(len(left)), right)
    return found[:-1], found[-1:]


def spread_biases(rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    """U(−a, a), a = 1/√fan_in, for a layer behind the first.    Shapes:  (n, m) → (1, m)"""
    return rng.uniform(-1.0, 1.0, (1, shape[1])) / math.sqrt(shape[0])


def _levels(quantiles: Matrix) -> Matrix:
    return (np.arange(len(quantiles)) + 0.5) / len(quantiles)


def _interpolated(quantiles: Matrix) -> Callable[[Matrix], Matrix]:
    levels = _levels(quantiles)
    return lambda u: np.interp(u, levels, quantiles)
