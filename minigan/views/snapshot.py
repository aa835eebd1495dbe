"""The state of an experiment at a step, as copies, and a record of states that can be trained on from."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan.training.config import Config
from minigan.training.experiment import Experiment

MOST = 200  # snapshots that are kept; beyond, they are thinned out evenly
BYTES = 2**28  # and together have at most; of large networks there are fewer


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that a step leaves behind: nothing in it changes afterwards.

    turn    "D", or "G" where D has moved in this round and G has not
    before  the parameters before the last step, by player ("d", "g"), to measure its update
    era     how many times something was changed on the way here, so that no configuration repeats it
    """

    config: Config
    step: int
    arrays: Mapping[str, np.ndarray]
    losses: tuple[float, float]
    turn: str = "D"
    before: Mapping[str, np.ndarray] | None = None
    era: int = 0

    @property
    def nbytes(self) -> int:
        """The memory that it holds."""
        return sum(array.nbytes for array in self.arrays.values())

    @property
    def place(self) -> tuple[int, str]:
        """Where in the course it is: D moves before G does."""
        return self.step, self.turn

    @property
    def point(self) -> tuple[float, float] | None:
        """ψ and θ of a game of two numbers: D's slope and the point that G makes; None of any other."""
        a = self.arrays
        slope, height = a.get("discriminator.0.W"), a.get("generator.0.b")
        if slope is None or height is None or slope.size > 1 or height.size > 1 or "generator.1.W" in a:
            return None
        if "discriminator.1.W" in a:
            return None
        return float(slope.reshape(-1)[0]), float(a["generator.0.W"].reshape(-1)[0] + height.reshape(-1)[0])

    def restore(self, experiment: Experiment) -> None:
        """Put an experiment of this configuration where it was: it goes on with the bits that came then."""
        experiment.load(dict(self.arrays), self.step)


def snapshot(experiment: Experiment, **more: Any) -> Snapshot:
    """The experiment as it stands."""
    d, g = (float(loss.reshape(-1)[0]) for loss in experiment.losses())
    return Snapshot(experiment.config, experiment.step, experiment.arrays(), (d, g), **more)


class Recorder:
    """Snapshots in the order of their steps; the newest and the first are always kept."""

    def __init__(self, most: int = MOST, nbytes: int = BYTES) -> None:
        self.most, self.nbytes = most, nbytes
        self._kept: list[Snapshot] = []

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(tuple(self._kept))

    def __getitem__(self, k: int) -> Snapshot:
        return self._kept[k]

    def add(self, new: Snapshot) -> None:
        """Keep one more, and of those that are too many none that stands alone."""
        self.cut(new.place)
        self._kept.append(new)
        room = min(self.most, max(2, self.nbytes // max(new.nbytes, 1)))
        while len(self._kept) > room:
            steps = np.array([kept.step for kept in self._kept], float)
            del self._kept[1 + int(np.argmin(steps[2:] - steps[:-2]))]  # its neighbours are nearest

    def cut(self, place: tuple[int, str]) -> None:
        """Forget what was recorded from a place on: it belongs to a course that is left."""
        del self._kept[self._first_from(place) :]

    def _first_from(self, place: tuple[int, str]) -> int:
        return bisect_left(self._kept, place, key=lambda kept: kept.place)

    def at(self, step: int, turn: str = "D") -> Snapshot:
        """The last one at a step or before it.    Raises:  LookupError – where there is none"""
        k = self._first_from((step, turn))
        if k < len(self._kept) and self._kept[k].place == (step, turn):
            return self._kept[k]
        if k == 0:
            raise LookupError(f"nothing is recorded of step {step} or before")
        return self._kept[k - 1]

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
