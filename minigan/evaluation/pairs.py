"""What looks at pairs of rows: the energy distance, and MMD² with Gaussian kernels of several widths.

All are ⟨k(X, X′)⟩ + ⟨k(Y, Y′)⟩ − 2⟨k(X, Y)⟩ ≥ 0, the energy distance with k = −|x − y| (Sejdinovic,
Sriperumbudur, Gretton, Fukumizu 2013). Narrow kernels see how near rows lie to their neighbours, which in the
energy distance all the far pairs drown: a texture, a noise, tails that features share. Distances are taken in
float32, which is five times as fast, and errs by less than a thousandth of what chance does.
"""

import math

import numpy as np

KERNELS = 5  # of MMD², the first as wide as the median distance, each half as wide as the last,
COMMON = 2e-3  # while so many pairs are near, by the mean of k²: so that few rows stand for many
NAMES = "energy distance", "MMD²"
SECONDS = 0.1  # about, of one core, that the pairs of one judgement may take:
PAIR, PRODUCT = 4e-9, 2.5e-11  # a pair takes so long, and so much longer with each feature
LEAST = 1000  # rows a side that are looked at even where they take longer
FAR = 1e6  # sd, beyond which a row is as far as it can be: its square has to stay a float32
BLOCK = 256  # rows that are compared with all others at once: in the cache
PILOT = 400  # rows between which the median distance is found


def rows_afforded(features: int) -> int:
    """How many rows a side are compared pair by pair: half of n² on each side, and n² across."""
    return max(LEAST, int(math.sqrt(SECONDS / (2 * (PAIR + PRODUCT * features)))))


def in_units(rows: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Rows as they are compared: about a centre, in sd, float32.    Shapes:  rows (…, n, p) → the same"""
    return np.clip((rows - centre) / scale, -FAR, FAR).astype(np.float32)


def kernel_widths(rows: np.ndarray) -> tuple[float, ...]:
    """The median of the distances between rows that are not equal, of some of them, and its halves.

    Shapes:  rows (n, p) of ``in_units`` → at most ``KERNELS``
    Source:  Gretton et al. 2012, section 8
    """
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), PILOT)).astype(int)]
    squares = _squares(rows, rows)[np.triu_indices(len(rows), 1)]
    apart = squares[squares > 1e-6 * squares.max(initial=0.0)]
    widths = [math.sqrt(np.median(apart)) if apart.size else 1.0]
    while len(widths) < KERNELS and np.exp(-squares / (widths[-1] / 2) ** 2).mean() >= COMMON:
        widths.append(widths[-1] / 2)
    return tuple(widths)


def contrasts(x: np.ndarray, y: np.ndarray, widths: tuple[float, ...]) -> np.ndarray:
    """The energy distance, then MMD² for each of the widths, each at least 0.

    Shapes:  x (…, n, p), y (…, m, p) of ``in_units`` → (…, 1 + widths)
    """
    n, m = x.shape[-2], y.shape[-2]
    within = [_sums_within(s, widths) / s.shape[-2] ** 2 for s in (x, y)]
    across = sum(_kernel_sums(part, y, widths) for part in _blocks(x)) / (n * m)
    return np.maximum(within[0] + within[1] - 2 * across, 0.0)


def contrasts_of_splits(rows: np.ndarray, weights: np.ndarray, widths: tuple[float, ...]) -> np.ndarray:
    """``contrasts`` of the two sides of splits, whose rows weigh 1/n on one side and −1/m on the other.

    Shapes:  rows (N, p) of ``in_units``, weights (R, N) → (R, 1 + widths)
    """
    found = []
    for kernel in _kernels(_squares(rows, rows, same=True), widths):
        found.append(np.einsum("ij,ij->i", weights @ kernel, weights, dtype=np.float64))
    return np.maximum(np.stack(found, axis=-1), 0.0)


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _blocks(rows):
    return [rows] if rows.ndim > 2 else [rows[k : k + BLOCK] for k in range(0, len(rows), BLOCK)]


def _sums_within(rows, widths):
    """Of all pairs: those of a block, and twice those with the rows after it."""
    total, start = 0.0, 0
    for block in _blocks(rows):
        total = total + _kernel_sums(block, block, widths, same=True)
        start += block.shape[-2]
        if start < rows.shape[-2]:
            total = total + 2 * _kernel_sums(block, rows[start:], widths)
    return total


def _kernel_sums(x, y, widths, same=False):
    """Σ k(xᵢ, yⱼ) over all pairs, for each kernel.    Shapes:  (…, n, p), (…, m, p) → (…, 1 + widths)"""
    ones = np.ones(y.shape[-2], np.float32)
    sums = [(k @ ones).sum(axis=-1, dtype=np.float64) for k in _kernels(_squares(x, y, same), widths)]
    return np.stack(sums, axis=-1)


def _squares(x, y, same=False):
    """|xᵢ − yⱼ|² of all pairs."""
    squares = x @ (-2 * y.swapaxes(-1, -2))
    squares += (x * x).sum(axis=-1)[..., :, None]
    squares += (y * y).sum(axis=-1)[..., None, :]
    if same:
        squares[..., range(x.shape[-2]), range(x.shape[-2])] = 0.0  # but for the rounding of a product
    return np.maximum(squares, 0.0, out=squares)


def _kernels(squares, widths):
    """−|x − y|, then the Gaussians, one after the other in the same memory.

    Half as wide is the fourth power.
    """
    gauss = squares * np.float32(-0.5 / widths[0] ** 2)
    np.exp(gauss, out=gauss)
    yield np.negative(np.sqrt(squares, out=squares), out=squares)
    yield gauss
    for _ in widths[1:]:
        np.square(gauss, out=gauss)
        yield np.square(gauss, out=gauss)
