"""The units of a run: what target or data are, what float64 can judge, and the way to the networks' numbers.

Networks train on numbers of mean 0 and sd 1; everything else of a run is in the user's units.
"""

import os
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minigan.errors import ConfigError, DataError, quoted
from minigan.probability.distributions import Distribution, location_scale
from minigan.probability.empirical import Empirical
from minigan.probability.multivariate import MultivariateDistribution
from minigan.probability.text_form import parse
from minigan.training.config import Config
from minigan.training.data import Data
from minigan.training.data import location_scale as scale_of_rows
from minigan.training.presets import PRESETS

RARE = 1e-6  # a probability with which a run surely meets a draw
SCALE_SAMPLE = 10_000  # values from which mean and sd of a target are estimated, as of a user's data
EXTREME = 1e100  # of a scale, up or down: beyond, squares overflow or vanish in float64
OFFSET = 1e12  # of a location over its scale: beyond, float64 has too few digits left to judge a shape by


class Units(NamedTuple):
    """Between the user's units and the network's: x = scale · y + shift.

    Shapes:  shift (1, p), scale (1, p)
    """

    shift: np.ndarray
    scale: np.ndarray

    def to_network(self, x: np.ndarray) -> np.ndarray:
        """y of x, as a network has it.    Shapes:  (…, p) → (…, p)"""
        y: np.ndarray = (x - self.shift) / self.scale
        return y

    def to_user(self, y: np.ndarray) -> np.ndarray:
        """x of y, as the user has it.    Shapes:  (…, p) → (…, p)"""
        x: np.ndarray = y * self.scale + self.shift
        return x


def standard_units(distribution: Any, rng: np.random.Generator) -> Units:
    """Those in which real rows have mean 0 and sd 1, estimated from training rows or a sample of the target.

    A distribution without a finite sd has median 0 and interquartile range 1.349, that of a normal one.
    """
    empirical, features = isinstance(distribution, Empirical), distribution.features
    if empirical or features > 1:
        rows = distribution.values if empirical else distribution.sample(rng, (SCALE_SAMPLE,))
        shift, scale = scale_of_rows(rows.reshape(-1, features))
        scale = np.where(scale > 0, scale, 1.0)
    else:
        sample = distribution.sample(rng, (SCALE_SAMPLE,))
        if location_scale(distribution)[2] == "sd":
            shift, scale = sample.mean(), sample.std()
        else:  # a sample's sd says nothing
            low, shift, high = Empirical(sample).quantile([0.25, 0.5, 0.75])
            scale = (high - low) / 1.349
    return Units(np.reshape(shift, (1, features)), np.reshape(scale, (1, features)))


def user_units(features: int) -> Units:
    """Those of a run that is not to be standardised: the network has the user's numbers."""
    return Units(np.zeros((1, features)), np.ones((1, features)))


def names_of(distribution: Any) -> tuple[str, ...]:
    """The names of a distribution's features: x; x and y; x1, x2 …"""
    names = {1: ("x",), 2: ("x", "y")}
    return names.get(distribution.features) or numbered("x", distribution.features)


def numbered(name: str, count: int) -> tuple[str, ...]:
    """Names of features that have none of their own: x1, x2 …"""
    return tuple(f"{name}{j + 1}" for j in range(count))


@lru_cache(maxsize=16)  # the moments of galaxies take a quarter of a second
def read_distribution(text: str) -> Distribution | MultivariateDistribution:
    """The distribution that ``text`` names.

    Raises:  ConfigError – if it names none, or one beyond the digits of float64
    """
    try:
        distribution = parse(text)
    except ValueError as error:
        other = _instead(text.strip())
        raise ConfigError(f"a target is {other}" if other else f"target: {error}") from None
    moments: Any = (
        location_scale(distribution)[:2]
        if isinstance(distribution, Distribution)
        else (distribution.mean, distribution.sd)
    )
    for location, scale in zip(*np.atleast_1d(*moments), strict=True):
        if not np.isfinite(location):
            raise ConfigError(
                f"the target {distribution} has a mean beyond 1.8e308, the largest number of float64; give "
                "smaller numbers"
            )
        if _extreme(location, scale):
            raise ConfigError(
                f"the target {distribution} has location {location:.3g} and scale {scale:.3g}, "
                "beyond what float64 can judge; choose another unit or origin"
            )
    return distribution


def notes_on_spread(distribution: Distribution | MultivariateDistribution) -> tuple[str, ...]:
    """A note on a target whose sd is that of a few far draws: in its unit all others are one spike."""
    if not isinstance(distribution, Distribution) or location_scale(distribution)[2] != "sd":
        return ()
    near, far = distribution.cdf([distribution.mean + k * distribution.sd for k in (-2, 2)])
    if far - near < 0.99:  # a median lies within an sd of the mean: no spike, and no quantiles are needed
        return ()
    low, high = (float(end) for end in distribution.quantile([0.005, 0.995]))
    if high - low > distribution.sd:
        return ()
    logs = ", or its logarithm" if low > 0 else ""
    return (
        f"99 % of the draws of {distribution} lie within {(high - low) / distribution.sd:.1g} of its sd, the "
        f"networks' unit, where they are one spike; choose a target with lighter tails{logs}",
    )


def refuse_overflow(distribution: Distribution | MultivariateDistribution, dtype: str) -> None:
    """Refuse a target whose draws the networks' numbers do not hold, of which one in a million is enough.

    Raises:  ConfigError – for tails so heavy that such a draw lies 1.8e19 scales out (1.3e154 in float64)
    """
    if not isinstance(distribution, Distribution):
        return
    location, scale, _ = location_scale(distribution)
    far = float(np.abs(distribution.quantile([RARE, 1 - RARE]) - location).max()) / scale
    if not far <= float(np.sqrt(np.finfo(dtype).max)):  # squares of it must not overflow
        raise ConfigError(
            f"one draw in a million of {distribution} lies {far:.1g} scales out, which {dtype} does not hold "
            "(its square overflows); choose a target with lighter tails"
        )


def refuse_extremes(data: Data) -> None:
    """Refuse values whose squares overflow or vanish, or that differ in the last digits alone.

    Later a NaN would tell it, without a name.

    Raises:  DataError – with the name of the column
    """
    for name, location, scale in zip(data.names, *scale_of_rows(data.values), strict=True):
        # A constant feature, as a dark corner of every image, has no scale.
        if scale > 0 and _extreme(location, scale):
            raise DataError(
                f"column {quoted(name)} of {quoted(data.source)} has mean {location:.3g} and sd {scale:.3g}, "
                "beyond what float64 can judge; give it in another unit or from another origin"
            )


def _instead(name: str) -> str:
    """What a text that names no distribution is otherwise, and where it belongs; empty if nothing known."""
    if name.lower() in PRESETS:
        settings = PRESETS[name.lower()].settings
        own = f'its distribution, "{settings.get("target", Config().target)}"'
        own = "its file as data" if "data" in settings else own
        received = f"a distribution, received the preset {quoted(name)}"
        return f"{received}; write minigan train {name.lower()}, or {own}"
    ending = os.path.splitext(name)[1].lower()
    if ending in (".toml", ".json"):
        return f"a distribution, received the configuration {quoted(name)}; write minigan train {name}"
    # os.path.exists is False for what can be no path
    if ending in (".csv", ".tsv", ".txt", ".dat", ".npy", ".npz") or (name and os.path.exists(name)):
        return f"a distribution, received the file {quoted(name)}; give it as data, --data {name}"
    return ""


def _extreme(location: float, scale: float) -> bool:
    return not (1 / EXTREME <= scale <= EXTREME and abs(location) <= OFFSET * scale)
