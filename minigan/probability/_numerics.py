"""How numbers come in (float64 on the host), the quadrature behind the integrals, and what Γ leaves over."""

import math
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TypeAlias

import numpy as np

from minigan import backend
from minigan.backend import Array
from minigan.probability.long_calls import ordered

Shape: TypeAlias = int | tuple[int, ...]  # of samples

_HOST_TYPES = (np.ndarray, np.generic, list, tuple, int, float)
_ULPS = 2.0**-49  # of a number: the width, relative to it, below which a panel is no interval
_PANELS = 8192  # a bound on the work: an integrand that is rounding noise never converges, and need not


def host(x: Array, what: str = "sample", *, finite: bool = False) -> np.ndarray:
    """``x``, an array of any backend, a list or a number, as float64 on the host; not to be written to.

    Raises:  TypeError – if it does not hold real numbers;
             ValueError – if it is empty or holds NaN, or infinities where ``finite`` is asked
    """
    if not isinstance(x, _HOST_TYPES):
        with suppress(TypeError):  # NumPy reads a data frame, and a Tensor says what to do
            x = backend.of(x).to_host(x)
    try:
        a = np.asarray(x)
    except ValueError:
        raise ValueError(f"the {what} needs rows of one length; received {x!r:.80}") from None
    if a.size == 0:
        raise ValueError(f"the {what} is empty (shape {a.shape}); give at least one value")
    if a.dtype.kind not in "fiub":
        raise TypeError(f"the {what} must hold real numbers; received values of type {a.dtype}")
    a = a.astype(np.float64, copy=False)
    bad = ~np.isfinite(a) if finite else np.isnan(a)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        where = "" if not first else f", the first at index {first[0] if len(first) == 1 else first}"
        kind = "values that are not finite" if finite else "NaN"
        raise ValueError(f"the {what} holds {int(bad.sum())} {kind} among {a.size}{where}; remove them first")
    return a


def epsilon(x: Array) -> float:
    """The relative rounding of ``x`` as it was given: that of its dtype, or of float64 for what has none."""
    dtype = getattr(np.asarray(x) if isinstance(x, (list, tuple)) else x, "dtype", None)
    return float(np.finfo(dtype if dtype is not None and dtype.kind == "f" else np.float64).eps)


def unit_scaled(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns divided by powers of two, so that the largest of each is in [½, 1), and the exponents.

    Their squares then neither overflow nor underflow; where they did not before, no other bit changes.
    """
    exponents = np.frexp(np.abs(x).max(axis=0))[1]
    return np.ldexp(x, -exponents), exponents


def host_sample(x: Array, what: str = "sample") -> np.ndarray:
    """A one-dimensional finite sample, sorted: a new array."""
    a = host(x, what, finite=True)
    if a.ndim != 1:
        raise ValueError(f"the {what} must be one-dimensional, (n,); received shape {a.shape}")
    return ordered(a)


@cache
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(16)


def integrate(f: Callable[[np.ndarray], np.ndarray], edges: np.ndarray, *, tolerance: float = 1e-13) -> float:
    """∫ f over [edges[0], edges[-1]] by 16-point Gauss–Legendre panels, halved until the halves agree.

    ``f`` is given arrays of any shape; it should be smooth between the ``edges``, where the first panels
    meet. The error is far below ``tolerance`` (absolute, plus ten times that relative to ∫|f|) for such
    integrands. Panels of a few units in the last place are left out: there nodes would round to the edges,
    where an integrand may be infinite.

    Raises:  ValueError – where the integrand is no number
    """
    nodes, weights = _gauss_legendre()

    def panels(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        half = 0.5 * (b - a)
        return half * (f((a + half)[:, None] + half[:, None] * nodes) @ weights)

    edges = np.unique(edges)
    wide = np.diff(edges) > _ULPS * np.maximum(np.abs(edges[:-1]), np.abs(edges[1:]))
    a, b = edges[:-1][wide], edges[1:][wide]
    whole, total = panels(a, b), 0.0
    if np.isnan(whole).any():
        at = int(np.isnan(whole).argmax())
        raise ValueError(f"the integrand is not a number between {a[at]:.6g} and {b[at]:.6g}")
    accept = tolerance * (1.0 + 10.0 * np.abs(whole).sum())
    while a.size:
        middle = a + 0.5 * (b - a)
        left, right = panels(a, middle), panels(middle, b)
        agreed = np.abs(left + right - whole) <= accept
        if a.size > _PANELS:
            agreed[:] = True
        total += float((left + right)[agreed].sum())
        go = ~agreed
        a, b = np.concatenate([a[go], middle[go]]), np.concatenate([middle[go], b[go]])
        whole = np.concatenate([left[go], right[go]])
    return total


def levels(u: Array) -> np.ndarray:
    """Levels of a quantile, as float64 on the host.    Raises:  ValueError – outside [0, 1]"""
    u = host(u, "u")
    if u.min() < 0 or u.max() > 1:
        raise ValueError(
            f"a quantile is asked at levels in [0, 1]; received values from {u.min()} to {u.max()}"
        )
    return u


def format_number(number: float) -> str:
    """The shortest text that reads back to the same float."""
    text = repr(float(number))
    return text.removesuffix(".0")


# ── Γ without cancellation: densities and entropies of large parameters are small differences of ln Γ ───────


def stirling_rest(k: float) -> float:
    """ln Γ(k) − [(k − ½) ln k − k + ½ ln 2π] = 1/(12k) − …"""
    from scipy.special import gammaln

    if k < 16:
        return float(gammaln(k)) - ((k - 0.5) * math.log(k) - k + 0.5 * math.log(2 * math.pi))
    return _series(1 / (k * k), (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)) / k


def digamma_rest(k: float) -> float:
    """ψ(k) − ln k = −1/(2k) − …"""
    from scipy.special import digamma

    if k < 16:
        return float(digamma(k)) - math.log(k)
    return -0.5 / k - _series(1 / (k * k), (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132)) / (k * k)


def log_rest(t: np.ndarray, log: np.ndarray) -> np.ndarray:
    """t − ln(1 + t) ≥ 0, given that logarithm, with all digits near t = 0."""
    small = np.where(np.abs(t) < 0.01, t, 0.0)
    near = small * small * _series(-small, [1 / n for n in range(2, 10)])
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        return np.where(np.abs(t) < 0.01, near, np.where(t < np.inf, t - log, np.inf))


def _series(x, coefficients):
    """Σ cₖ xᵏ."""
    total = 0.0
    for c in reversed(coefficients):
        total = total * x + c
    return total
