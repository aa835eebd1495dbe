"""How weights start: random matrices on the host, in float64; W has shape (fan_in, fan_out)."""

from __future__ import annotations  # or np.random would be imported for its name

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

__all__ = [
    "INITIALIZERS", "Matrix", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal",
    "orthogonal",
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
