"""What a frame keeps of several features: a few rows of two of them, and of two D over their plane."""

from collections.abc import Callable

import numpy as np

from minigan.training.experiment import Experiment

ROWS, SIDE = 200, 32  # of a frame: generated rows, and points a side at which D is read

Judgement = Callable[[Experiment, np.ndarray], np.ndarray]


class Scatter:
    """Frames of an experiment of several features.

    fixed   what is the same in all of them: {"pair": (2,)}, the first two features that vary, and of two
            features {"field_x": (m,), "field_y": (m,)}, the points at which D is read
    shapes  of the arrays of a frame: {"cloud": (n, 2)}, and of two features {"field": (m, m)}, a row per y
    """

    def __init__(self, experiment: Experiment, judgement: Judgement) -> None:
        self._experiment, self._judgement = experiment, judgement
        real = np.asarray(experiment.held_out)
        varying = np.flatnonzero(np.ptp(real, axis=0) > 0)
        self._pair = varying[:2] if len(varying) > 1 else np.array([0, 1])
        count = min(ROWS, experiment.config.eval_samples)
        self.shapes: dict[str, tuple[int, ...]] = {"cloud": (count, 2)}
        self.fixed = {"pair": self._pair}
        if experiment.features == 2:
            x, y = square(real, SIDE)
            self.fixed |= {"field_x": x, "field_y": y}
            self.shapes |= {"field": (SIDE, SIDE)}

    def frame(self, sample: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays of one moment, at which the averaged generator has made these rows."""
        frame = {"cloud": sample[: self.shapes["cloud"][0], self._pair].astype("float64")}
        if "field" in self.shapes:
            d = over(self._judgement, self._experiment, self.fixed["field_x"], self.fixed["field_y"])
            frame["field"] = np.nan_to_num(d, nan=0.5).astype("float32")
        return frame


def square(real: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Points along x and y of the square that holds the rows of the plane.    Shapes:  → (side,) each"""
    low, high = real.min(axis=0), real.max(axis=0)
    middle, half = 0.5 * (low + high), 0.6 * (high - low).max()
    x, y = (np.linspace(m - half, m + half, side) for m in middle)
    return x, y


def over(judgement: Judgement, experiment: Experiment, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """σ(D) as it stands at the points of a plane.    Shapes:  → (len(y), len(x))"""
    rows = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return judgement(experiment, rows).reshape(len(y), len(x))
