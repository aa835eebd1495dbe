"""Mixtures of distributions of one number: two modes are the first thing that a GAN gets wrong."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from minigan.backend import Array
from minigan.probability._numerics import Shape, format_number, host, levels
from minigan.probability.distributions import SUM_TOLERANCE, Distribution, Univariate
from minigan.probability.empirical import Empirical


@dataclass(frozen=True)
class Mixture(Univariate):
    """p(x) = Σ wₖ pₖ(x): draw a component by its weight, then x from it [T9]. Nested mixtures are flattened.

    Raises:  ValueError – unless the weights are nonnegative, as many as components, and sum to one (to 1e-9)

    >>> p = mg.Mixture([0.5, 0.5], [mg.Normal(-2, 1), mg.Normal(2, 1)])
    >>> p.mean, round(p.sd, 4), round(float(p.cdf(0.0)), 4)
    (0.0, 2.2361, 0.5)
    """

    weights: tuple[float, ...]
    components: tuple[Distribution, ...]

    def __post_init__(self) -> None:
        weights = host(list(self.weights), "weights", finite=True).tolist()
        components = tuple(self.components)
        if len(weights) != len(components):
            raise ValueError(
                f"a mixture needs one weight for each component; received {len(weights)} weights "
                f"and {len(components)} components"
            )
        if min(weights) < 0 or abs(math.fsum(weights) - 1) > SUM_TOLERANCE:
            raise ValueError(
                f"the weights of a mixture must be nonnegative and sum to one; received {weights}, "
                f"whose sum is {math.fsum(weights):.10g}"
            )
        for c in components:
            if isinstance(c, (Empirical, type)) or not isinstance(c, Distribution):
                raise TypeError(f"a mixture needs one-dimensional components with a density; received {c}")
        parts = [
            (w * inner, part)
            for w, c in zip(weights, components, strict=True)
            for inner, part in (c._parts() if isinstance(c, Mixture) else [(1.0, c)])
        ]
        object.__setattr__(self, "weights", tuple(w for w, _ in parts))
        object.__setattr__(self, "components", tuple(c for _, c in parts))

    @property
    def support(self) -> tuple[float, float]:
        ends = [c.support for w, c in self._parts() if w > 0]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @property
    def mean(self) -> float:
        return math.fsum(w * c.mean for w, c in self._parts() if w > 0)

    @property
    def sd(self) -> float:
        mean = self.mean
        parts = [(w, c.sd, c.mean - mean) for w, c in self._parts() if w > 0]
        return math.sqrt(sum(w * (sd * sd + shift * shift) for w, sd, shift in parts))

    def log_density(self, x: Array) -> np.ndarray:
        terms = np.stack([math.log(w) + c.log_density(x) for w, c in self._parts() if w > 0])
        top = terms.max(axis=0)
        top = np.where(top > -np.inf, top, 0.0)
        with np.errstate(divide="ignore"):
            return top + np.log(np.exp(terms - top).sum(axis=0))

    def cdf(self, x: Array) -> np.ndarray:
        return sum((w * c.cdf(x) for w, c in self._parts() if w > 0), start=np.zeros(()))

    def survival(self, x: Array) -> np.ndarray:
        return sum((w * c.survival(x) for w, c in self._parts() if w > 0), start=np.zeros(()))

    def integrated_cdf(self, x: Array) -> np.ndarray:
        return sum((w * c.integrated_cdf(x) for w, c in self._parts() if w > 0), start=np.zeros(()))

    def quantile(self, u: Array) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # of components beyond float64
            return self._bisected(levels(u))

    def _bisected(self, u: np.ndarray) -> np.ndarray:
        each = np.stack([c.quantile(u) for w, c in self._parts() if w > 0])
        low, high = each.min(axis=0), each.max(axis=0)  # the mixture's quantile lies between its components'
        inner = (0 < u) & (u < 1)
        bottom, top = self.support
        low, high = np.where(inner, low, bottom), np.where(inner, high, np.where(u > 0, top, bottom))
        # No CDF here has a feature finer than its narrowest component, so bisection may stop far below that.
        fine = 2.0**-52 * min(np.subtract(*c.interval(0.5)[::-1]) for w, c in self._parts() if w > 0)
        for _ in range(2100):  # the whole range of float64; about 55 halvings in practice
            gap = np.subtract(high, low, where=inner, out=np.zeros_like(low))
            if not (gap > fine + 2.0**-52 * np.abs(low)).any():
                break
            middle = low + 0.5 * gap
            below = self.cdf(middle) < u
            low, high = np.where(inner & below, middle, low), np.where(inner & ~below, middle, high)
        return high[()]

    def sample(self, rng: np.random.Generator, shape: Shape = ()) -> np.ndarray:
        weights = np.array(self.weights)
        which = rng.choice(len(weights), size=shape, p=weights / weights.sum())
        which = np.asarray(which)
        x = np.empty(which.shape)
        for k, c in enumerate(self.components):
            mine = which == k
            x[mine] = c.sample(rng, int(mine.sum()))
        return x[()]

    def knots(self) -> np.ndarray:
        return np.unique(np.concatenate([c.knots() for w, c in self._parts() if w > 0]))

    def __str__(self) -> str:
        return " + ".join(f"{format_number(w)}*{c}" for w, c in self._parts())

    def _parts(self) -> Iterable[tuple[float, Distribution]]:
        return zip(self.weights, self.components, strict=True)
