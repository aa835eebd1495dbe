"""What it is of a distribution of one feature that a sample misses, where a test tells the two apart.

A test says that something is off, and not what. Here the largest deviation of the cumulated shares, in units
of what chance makes of them, is looked up on a map of the target: where it has tails, edges, gaps and modes.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from minigan.evaluation.joint import LEVEL
from minigan.evaluation.two_sample import ks_two_sample
from minigan.probability.empirical import Empirical
from minigan.probability.long_calls import ordered

MEANINGS = {  # of shortfalls, by their names
    "ties": "equal values",
    "modes": "the weights of modes",
    "gap": "a gap between modes",
    "edge": "an edge",
    "tail": "a tail",
    "shape": "the shape",
    "together": "how features hang together",
}
CELLS, ROWS = 200, 20  # of equal probability on the map, and real values in one of them at least
VALLEY = 4.0  # times as sparse as the densest place on both of its sides
SHARP = 1.5  # of the last cell's width beside the next one's, up to which a distribution ends in an edge
NEAR = 0.02  # of the probability, about an edge or a gap, and beyond which a tail begins
KS_BOUND = 1.358  # over √n, which KS of a perfect sampler exceeds in 5 % of cases
SHARE = 0.6  # of the largest deviation, with which modes are off as a whole
_TAIL = np.array([0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075])
LEVELS = np.concatenate(
    [_TAIL, np.arange(1, 100) / 100, 1 - _TAIL[::-1]]
)  # where cumulated shares are compared


@dataclass(frozen=True)
class Shortfall:
    """What of its target a sample misses, by its name, and the numbers that show it, as a sentence.

    advice  what to try, with settings as the command line takes them; empty where nothing is known to help
    """

    name: str
    evidence: str
    advice: str = ""

    @property
    def lines(self) -> list[str]:
        """What a person reads of it: what is missed, and what to try."""
        what = f"What it misses: {MEANINGS.get(self.name, self.name)}. {self.evidence}"
        return [what, f"→ {self.advice}"] if self.advice else [what]


@dataclass(frozen=True)
class Map:
    """Where a distribution has what: edges, gaps and modes.

    valleys  where it is sparse between two modes
    gaps     stretches in which hardly any value is, from and to
    edges    whether it ends in an edge, below and above
    """

    valleys: tuple[float, ...]
    gaps: tuple[tuple[float, float], ...]
    edges: tuple[bool, bool]


def map_of(distribution: Any) -> Map:
    """The map of a distribution of one feature, or of its data."""
    rows = len(distribution.values) if isinstance(distribution, Empirical) else CELLS * ROWS
    cells = min(CELLS, rows // ROWS)
    if cells < 5:
        return Map((), (), (False, False))
    bounds = distribution.quantile((np.arange(cells) + 0.5) / cells)
    width = np.diff(bounds)
    # where rounded values repeat a cell has no width, which is no dense place
    width = np.maximum(width, max(0.5 * float(np.median(width)), 1e-12 * float(np.ptp(bounds))))
    valleys = _peaks(np.log(width), math.log(VALLEY))
    gaps = [k for k in valleys if width[k] > VALLEY * max(width[k - 1], width[k + 1])]
    low, high = (float(q) for q in distribution.quantile(np.array([0.0, 1.0])))
    last = (bounds[0] - low) * 2, (high - bounds[-1]) * 2  # half cells
    return Map(
        tuple(float(bounds[k] + bounds[k + 1]) / 2 for k in valleys),
        tuple((float(bounds[k]), float(bounds[k + 1])) for k in gaps),
        (bool(last[0] <= SHARP * width[0]), bool(last[1] <= SHARP * width[-1])),
    )


def shortfall_of(sample: np.ndarray, target: Any) -> Shortfall:
    """What a sample that is told from its target misses of it.

    target  a distribution, or Empirical data

    Shapes:  sample (n,)
    """
    x, n = ordered(sample), len(sample)
    data = isinstance(target, Empirical)
    size = n * len(target.values) / (n + len(target.values)) if data else n
    if data and (tied := _ties(target.values, size)):
        return tied
    found, points, expected = _known(target)
    seen = np.searchsorted(x, points, side="right") / n
    z = _in_units_of_chance(seen - expected, expected, size)
    worst = int(z.argmax())
    least = max(SHARE * float(z[worst]), 3.0)
    whole = [_modes(x, target, found, size), *(_gap(x, target, gap, size) for gap in found.gaps)]
    most = max(whole, key=lambda pair: pair[0])
    if most[0] >= least:
        return most[1]
    return _at(target, found, float(points[worst]), float(expected[worst]), float(seen[worst]))


def shortfall_of_rows(sample: np.ndarray, real: np.ndarray, names: tuple[str, ...]) -> Shortfall:
    """What rows of several features that are told from real ones miss: the worst feature, or none alone.

    Shapes:  sample (n, p), real (m, p)
    """
    count = sample.shape[1]
    ks = [ks_two_sample(sample[:, j], real[:, j]) for j in range(count)]
    worst = int(np.argmax([found.statistic for found in ks]))
    if count * ks[worst].pvalue < LEVEL and np.ptp(real[:, worst]) > 0:
        found = shortfall_of(sample[:, worst], Empirical(real[:, worst]))
        return Shortfall(found.name, f"Of {names[worst]}: {found.evidence}")
    return Shortfall("together", "Each feature alone is as it should be, and together they are not.")


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _in_units_of_chance(difference: np.ndarray, share: np.ndarray, size: float) -> np.ndarray:
    z: np.ndarray = np.abs(difference) / np.sqrt(np.maximum(share * (1 - share), 0.25 / size) / size)
    return z


def _known(target: Any) -> tuple[Map, np.ndarray, np.ndarray]:
    """The map of a target, and points of it with their cumulated shares; of a distribution made once."""
    if isinstance(target, Empirical):  # which is large, and never comes again
        return _looked_up.__wrapped__(target)
    try:
        return _looked_up(target)
    except TypeError:  # a part of it cannot be hashed
        return _looked_up.__wrapped__(target)


@lru_cache(maxsize=8)  # the runs of a sweep have few targets
def _looked_up(target: Any) -> tuple[Map, np.ndarray, np.ndarray]:
    points = target.quantile(LEVELS)
    return map_of(target), points, target.cdf(points)


def _peaks(a: np.ndarray, prominence: float) -> list[int]:
    """Where a is higher than on both sides, by so much beside the deepest place on the way to what is higher.

    Of a plateau its middle; ends are no peaks. ``scipy.signal.find_peaks`` has the same, and takes most of a
    second to import.
    """
    found, rises = [], np.flatnonzero(np.diff(a, prepend=-np.inf) != 0)  # the first place of each plateau
    heights = a[rises]
    for k in range(1, len(rises) - 1):
        top = heights[k]
        if heights[k - 1] < top > heights[k + 1]:
            sides = heights[:k][::-1], heights[k + 1 :]
            lowest = max(side[: np.argmax(np.append(side, np.inf) > top)].min() for side in sides)
            if top - lowest >= prominence:
                found.append(int(rises[k] + rises[k + 1] - 1) // 2)
    return found


def _ties(values: np.ndarray, size: float) -> Shortfall | None:
    """That so many real values are equal that what is continuous has to be told from them.

    Half of the mass at a point is the least KS of anything continuous.
    """
    points, counts = np.unique(values, return_counts=True)
    most = int(counts.argmax())
    if 0.5 * counts[most] / len(values) < KS_BOUND / math.sqrt(size):
        return None
    share = 100 * counts[counts > 1].sum() / len(values)
    return Shortfall(
        "ties",
        f"{share:.3g} % of the real values come more than once, {100 * counts[most] / len(values):.3g} % are "
        f"{points[most]:.6g}; what G makes is continuous, and none of its values equals another.",
    )


def _modes(x: np.ndarray, target: Any, found: Map, size: float) -> tuple[float, Shortfall]:
    """That whole modes have other shares, and how large that is: a deviation in the valleys between them."""
    if not found.valleys:
        return 0.0, Shortfall("modes", "")
    valleys = np.array(found.valleys)
    expected, seen = target.cdf(valleys), np.searchsorted(x, valleys, side="right") / len(x)
    z = float(_in_units_of_chance(seen - expected, expected, size).max())
    shares = [np.diff(cumulated, prepend=0.0, append=1.0) for cumulated in (seen, expected)]
    at = target.quantile(np.clip(np.concatenate([[0.0], expected]) + 0.5 * shares[1], 0.0, 1.0))
    worst = int(np.abs(shares[0] - shares[1]).argmax())
    text = ", ".join(f"{100 * share:.3g}" for share in shares[0])
    true = ", ".join(f"{100 * share:.3g}" for share in shares[1])
    return z, Shortfall(
        "modes",
        f"Its {len(at)} modes have {text} % of the values instead of {true} %; the one near {at[worst]:.3g} "
        + "is "
        + ("missing." if shares[0][worst] < 0.1 * shares[1][worst] else "off by most."),
    )


def _gap(x: np.ndarray, target: Any, gap: tuple[float, float], size: float) -> tuple[float, Shortfall]:
    """That a gap is filled, and how large that is."""
    low, high = gap
    expected = float(np.diff(target.cdf(np.array(gap)))[0])
    between = float(np.searchsorted(x, high) - np.searchsorted(x, low, side="right")) / len(x)
    z = float(_in_units_of_chance(np.array(max(between - expected, 0.0)), np.array(expected), size))
    return z, Shortfall(
        "gap",
        f"In the gap from {low:.3g} to {high:.3g} lie {100 * between:.2g} % of the values instead of "
        f"{100 * expected:.2g} %: its walls are not steep enough.",
    )


def _at(target: Any, found: Map, point: float, expected: float, seen: float) -> Shortfall:
    """What is at the point of the largest deviation."""
    walls = [float(target.cdf(np.array(wall))) for gap in found.gaps for wall in gap]
    if any(abs(expected - wall) <= NEAR for wall in walls):
        return Shortfall(
            "gap",
            f"At the wall of a gap, below {point:.4g}, lie {100 * seen:.3g} % of the values instead of "
            f"{100 * expected:.3g} %.",
        )
    above = expected > 0.5
    if min(expected, 1 - expected) <= NEAR + 1e-9:
        side = "above" if above else "below"
        shares = [100 * (1 - share if above else share) for share in (seen, expected)]
        text = f"{side} {point:.4g} lie {shares[0]:.2g} % of the values instead of {shares[1]:.2g} %"
        if found.edges[above]:
            return Shortfall("edge", f"It does not end as sharply: {text}.")
        return Shortfall("tail", f"The tail is too {'short' if shares[0] < shares[1] else 'long'}: {text}.")
    return Shortfall(
        "shape",
        f"Below {point:.4g} lie {100 * seen:.3g} % of the values instead of {100 * expected:.3g} %.",
    )
