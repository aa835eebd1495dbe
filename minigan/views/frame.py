"""What there is to be seen of a game at one step, in plain arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Scene:
    """What stays the same over all frames: what is learned, and how the game judges.

    target    the distribution or the data, as text
    names     of the features
    critic    whether D's output knows no p/q, so that σ(a) is a mere picture of it
    level     the loss of D where it cannot tell, and how it is written; None where it means nothing
    rest      what G minimises there, or NaN
    real      rows of the data, for scatters.    Shapes:  (n, p)
    bands     by the name of a metric, where 95 % of perfect samples of this size lie: (low, high)
    classes   of a conditional game, of which one is shown
    modes     centres of the target's modes, if it has some.    Shapes:  (k, p)
    """

    target: str
    names: tuple[str, ...]
    critic: bool = False
    level: float | None = None
    level_text: str = ""
    rest: float = float("nan")
    real: np.ndarray | None = None
    bands: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    modes: np.ndarray | None = None
    packing: int = 1
    classes: tuple[str, ...] = ()

    @property
    def features(self) -> int:
        """How many numbers a row has."""
        return len(self.names)


@dataclass(frozen=True, eq=False)
class LineFrame:
    """One feature: densities over bins, D beside D*, samples and where G's loss pulls them, the map z → G(z).

    What a run did not record is None.

    Shapes:  edges (m+1,), p, q, average, d, best (m,), samples (n,), arrows (k, 2): from and to; z, x (c,)
    """

    edges: np.ndarray
    p: np.ndarray
    q: np.ndarray
    average: np.ndarray | None = None
    d: np.ndarray | None = None
    best: np.ndarray | None = None
    samples: np.ndarray | None = None
    arrows: np.ndarray | None = None
    z: np.ndarray | None = None
    x: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class PlaneFrame:
    """Two features: samples, D and D* as fields over a grid, the lines of a grid of z carried through G.

    Shapes:  x, y (m,); d, best (m, m), a row for each y; samples (n, 2); arrows (k, 4): x, y from and to;
             lines (l, c, 2); captured (modes,)
    """

    x: np.ndarray
    y: np.ndarray
    samples: np.ndarray
    d: np.ndarray | None = None
    best: np.ndarray | None = None
    arrows: np.ndarray | None = None
    lines: np.ndarray | None = None
    captured: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Layer:
    """One array of parameters: its values, and the gradient of the last step."""

    name: str
    weights: np.ndarray
    gradient: np.ndarray
    activations: np.ndarray | None = None  # of the layer that these weights end in.    Shapes:  (n, units)


@dataclass(frozen=True, eq=False)
class Responses:
    """What every unit of a network says along a line of inputs.    Shapes:  at (c,), of each (c, units)"""

    at: np.ndarray
    layers: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Frame:
    """A game at one step; parts that were not asked for, or not recorded, are None.

    turn      "D", or "G" where D has moved in this round and G has not
    losses    of D and of G in the last step
    row       a line of metrics, as in metrics.jsonl
    layers    by player, "G" or "D"
    responses by player, along the latent or the feature
    point     of a game of two numbers: D's slope and G's point
    """

    step: int
    turn: str = "D"
    losses: tuple[float, float] = (float("nan"), float("nan"))
    line: LineFrame | None = None
    plane: PlaneFrame | None = None
    row: Mapping[str, Any] | None = None
    layers: Mapping[str, tuple[Layer, ...]] | None = None
    responses: Mapping[str, Responses] | None = None
    point: tuple[float, float] | None = None
