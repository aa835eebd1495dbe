"""Stratified draws: one value from each of n slices of equal probability, in random order.

Each value alone has its distribution, and together they are no longer independent: no slice is missed or met
twice, so that a mean of them varies far less.

Source:  McKay, Beckman, Conover 1979, whose Latin hypercube this is where there are several columns
"""

import math
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minigan.probability.distributions import Distribution
from minigan.probability.empirical import Empirical

CELLS = 2**14  # of a table of quantiles, at least
TAIL = 2.0**-10  # the mass at each end with a finer table, whose steps shrink with the distance to the end
OCTAVE, LAST = 64, -52  # steps of it for each halving of that distance; the last halving
GAP = 4.0  # a cell this many times wider than both beside it spans a gap, in which no value is


@runtime_checkable
class Transported(Protocol):
    """A distribution whose draws are a function of independent numbers that are uniform on (0, 1)."""

    @property
    def sources(self) -> int:
        """s, how many numbers one draw is made of."""

    def transport(self, u: np.ndarray) -> np.ndarray:
        """The draws that these make.    Shapes:  u (…, s) → (…, p)"""


def slices(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The slices of n values in each column, a random order of 0 … n − 1, and where in its slice each is.

    That is uniform, in multiples of 2⁻²⁴ in [0, 1), float32. Columns are independent of each other.

    Shapes:  (…, n, columns) → (…, n, columns) twice
    """
    *front, n, columns = shape
    low = np.uint64((1 << (n - 1).bit_length()) - 1)
    keys = rng.integers(0, 2**64, (*front, columns, n), np.uint64)
    keys &= ~low
    keys |= np.arange(n, dtype=np.uint64)
    keys.sort(axis=-1)  # by 40 random bits or more: in half the time of rng.permuted
    keys &= low
    order = keys.view(np.int64).swapaxes(-1, -2)
    return order, rng.random(shape, dtype=np.float32)


def levels(k: np.ndarray, v: np.ndarray, n: int) -> np.ndarray:
    """The places v in the slices k of n, as numbers strictly between 0 and 1."""
    found: np.ndarray = (k + v + 2.0**-25) / n  # in float64
    return found


class Quantiles:
    """The quantiles of a distribution at the places v in the slices k of n, which ``slices`` draws.

    By linear interpolation in a table whose cells do not cross the ends of slices. It is a draw's rounding in
    float32 off, and never more than one cell of probability: in cells that a gap crosses, all have their left
    end. The tables end at 2⁻⁵² from 0 and from 1, so that values are finite.

    Shapes:  k, v (…) → (…)
    """

    def __init__(self, distribution: Distribution, n: int, dtype: str = "float64") -> None:
        self.n, self.cells = (
            n,
            2 ** max(0, math.ceil(math.log2(CELLS / n))),
        )  # in a slice: v times it is exact
        count = n * self.cells
        near = 2 * TAIL * 2.0 ** -(np.arange((-LAST - 9) * OCTAVE + 1) / OCTAVE)
        self.levels = np.concatenate([near[::-1], 1 - near])
        inner = np.arange(1, count) / count
        found = distribution.quantile(np.concatenate([self.levels, inner]))
        self.far, inner = found[: len(self.levels)], found[len(self.levels) :]
        left = np.concatenate([self.far[:1], inner])
        width, self.far_width = _widths(np.append(left, self.far[-1])), _widths(self.far)
        tail = math.ceil(TAIL * count)
        width[:tail] = width[-tail:] = np.nan
        self.left, self.width = left.astype(dtype), width.astype(dtype)

    def __call__(self, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        part = v * np.float32(self.cells)
        whole = np.trunc(part)
        part -= whole
        cell = whole.astype(np.intp)
        cell += k * self.cells
        x = self.width.take(cell)
        x *= part
        x += self.left.take(cell)
        far = np.isnan(x)
        x[far] = self._in_a_tail(levels(k[far], v[far], self.n))
        return x

    def _in_a_tail(self, u: np.ndarray) -> np.ndarray:
        cell = np.searchsorted(self.levels, u, side="right") - 1
        low = self.levels[cell]
        part = (u - low) / (self.levels[cell + 1] - low)
        tail: np.ndarray = self.far[cell] + part * self.far_width[cell]
        return tail


def _widths(ends: np.ndarray) -> np.ndarray:
    """Those of the cells between the ends, 0 of one that spans a gap."""
    width = np.diff(ends)
    beside = np.maximum(np.append(width[1:], np.inf), np.append(np.inf, width[:-1]))
    return np.where(width > GAP * beside, 0.0, width)


@lru_cache(maxsize=8)
def _table(distribution: Any, n: int, dtype: str) -> Quantiles:
    return Quantiles(distribution, n, dtype)


def stratified(
    distribution: Any,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    packing: int = 1,
    columns: int = 1,
    dtype: str = "float64",
) -> np.ndarray:
    """Stratified draws of one feature along the last axis, in each of some columns.

    Rows that one after another make a pack are columns as well, and so independent: of B rows in packs of m
    each is from one of B/m slices.

    Shapes:  → (*shape, columns)
    """
    n = shape[-1] // packing
    places = slices(rng, (*shape[:-1], n, packing * columns))
    return _table(distribution, n, dtype)(*places).reshape(*shape, columns)


def stratified_rows(
    distribution: Any, rng: np.random.Generator, shape: tuple[int, ...], packing: int = 1
) -> np.ndarray:
    """Rows of real data in batches along the last axis, stratified as far as the distribution can be.

    Of one feature by its quantiles; a data set in slices of neighbours; what is made of uniform numbers by a
    Latin hypercube of these. What is left are images, whose rows are independent.

    Shapes:  → (*shape, p)
    """
    n = shape[-1] // packing
    if isinstance(distribution, Empirical):
        k, v = slices(rng, (*shape[:-1], n, packing))
        places = ((k + v) * (len(distribution.values) / n)).astype(np.intp)
        return distribution.in_slices(n, places).reshape(*shape, distribution.features)
    if isinstance(distribution, Transported):
        k, v = slices(rng, (*shape[:-1], n, packing * distribution.sources))
        return distribution.transport(levels(k, v, n).reshape(*shape, distribution.sources))
    if distribution.features == 1:
        return stratified(distribution, rng, shape, packing)
    rows: np.ndarray = distribution.sample(rng, shape)
    return rows
