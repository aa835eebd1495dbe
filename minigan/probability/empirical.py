"""The distribution of a data set: its points, each as likely."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigan.backend import Array
from minigan.probability._numerics import Shape, host, levels
from minigan.probability.distributions import Univariate
from minigan.probability.long_calls import ordered as in_order


@dataclass(frozen=True, eq=False)
class Empirical(Univariate):
    """The distribution that puts mass 1/n on each row of a data set; sampling is with replacement.

    Its CDF is the exact right-continuous step function, its quantile the inverse of that; both need one
    feature.

    Shapes:  values (n,) or (n, p)
    Raises:  ValueError – for empty or non-finite values, and for a density or entropy, which it does not have

    >>> data = mg.Empirical([1.0, 2.0, 2.0, 5.0])
    >>> data.mean, float(data.cdf(2.0)), float(data.quantile(0.5))
    (2.5, 0.75, 2.0)
    """

    values: np.ndarray
    _sorted: np.ndarray = field(init=False, repr=False)
    _orders: dict[int, np.ndarray] = field(init=False, repr=False, default_factory=dict)  # by slices

    def __post_init__(self) -> None:
        values = np.array(host(self.values, "data set", finite=True))
        if values.ndim not in (1, 2):
            raise ValueError(f"a data set has shape (n,) or (n, p); received {values.shape}")
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        ordered = in_order(values)
        values.flags.writeable = ordered.flags.writeable = False
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "_sorted", ordered)

    @property
    def features(self) -> int:
        return 1 if self.values.ndim == 1 else self.values.shape[1]

    @property
    def mean(self) -> Any:
        mean = self.values.mean(axis=0)
        return float(mean) if self.values.ndim == 1 else mean

    @property
    def sd(self) -> Any:
        sd = self.values.std(axis=0)
        return float(sd) if self.values.ndim == 1 else sd

    @property
    def support(self) -> tuple[float, float]:
        x = self._ordered("support")
        return float(x[0]), float(x[-1])

    def log_density(self, x: Array) -> np.ndarray:
        raise _no_density()

    def entropy(self) -> float:
        raise _no_density()

    def knots(self) -> np.ndarray:
        raise _no_density()

    def cdf(self, x: Array) -> np.ndarray:
        return np.searchsorted(self._ordered("CDF"), host(x, "x"), side="right") / len(self.values)

    def cdf_left(self, x: Array) -> np.ndarray:
        return np.searchsorted(self._ordered("CDF"), host(x, "x"), side="left") / len(self.values)

    def integrated_cdf(self, x: Array) -> np.ndarray:
        ordered, x = self._ordered("CDF"), host(x, "x")
        origin = ordered[0]  # sums about the first point keep the digits of data far from zero
        sums = np.concatenate([[0.0], np.cumsum(ordered - origin)])
        count = np.searchsorted(ordered, x, side="right")
        return np.where(count > 0, count * (x - origin) - sums[count], 0.0)[()] / len(ordered)

    def quantile(self, u: Array) -> np.ndarray:
        ordered, u = self._ordered("quantile"), levels(u)
        n = len(ordered)
        i = np.ceil(u * n).astype(int)
        i -= (i > 1) & ((i - 1) / n >= u)  # the product rounds: the quantile is the smallest x with F(x) ≥ u
        i += i / n < u
        return ordered[np.clip(i - 1, 0, n - 1)]

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        return self.values[rng.integers(len(self.values), size=shape)]

    def in_slices(self, n: int, places: np.ndarray) -> np.ndarray:
        """The rows at these places of an order in which each of n equal slices holds neighbours.

        One feature is sorted. Several are halved at the median of the feature that varies most, in sd of all
        rows, and the halves again, until there are n parts.

        Shapes:  places (…) of whole numbers → (…), or (…, p)
        """
        if self.values.ndim == 1:
            return self._sorted.take(places)
        if n not in self._orders:
            self._orders[n] = _neighbours(self.values, n)
        return self.values.take(self._orders[n].take(places), axis=0)

    def __str__(self) -> str:
        rows, *features = self.values.shape
        return f"a data set of {rows} " + (f"rows of {features[0]} features" if features else "values")

    def _ordered(self, what: str) -> np.ndarray:
        if self.values.ndim != 1:
            raise ValueError(
                f"a {what} needs one feature per row; this data set has shape {self.values.shape}"
            )
        return self._sorted


def _neighbours(rows: np.ndarray, n: int) -> np.ndarray:
    """The order of rows in n slices of neighbours."""
    sd = rows.std(axis=0)
    scaled, order = rows / np.where(sd > 0, sd, 1.0), np.arange(len(rows))
    parts = [(0, n)]
    while parts:
        first, end = parts.pop()
        middle = (first + end) // 2
        low, at, high = (k * len(rows) // n for k in (first, middle, end))
        if end - first > 1 and high - low > 1:
            part = order[low:high]
            if low < at < high:
                x = scaled[part]
                order[low:high] = part[np.argsort(x[:, x.var(axis=0).argmax()], kind="stable")]
            parts += [(first, middle), (middle, end)]
    return order


def _no_density() -> ValueError:
    return ValueError(
        "an empirical distribution has no density, only points; compare samples instead, "
        "e.g. with ks_two_sample, wasserstein1 or kl_knn"
    )
