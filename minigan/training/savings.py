"""What of a run is saved, and when: the best so far waits in memory until a checkpoint is due.

A kill loses what came after the last checkpoint, the best of that time with it, which training finds again.
An end that is noticed loses neither.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory


class Moment(NamedTuple):
    """What a checkpoint of one step holds; ``best`` is the step of the best by then."""

    step: int
    arrays: Mapping[str, np.ndarray]
    state: Mapping[str, Any]
    best: int | None


class Savings:
    """The checkpoints of one run: those that are written, and two moments that may have to be.

    best       the least KS so far, infinite before the first
    best_step  the step that had it
    """

    def __init__(self, run: RunDirectory, best: float, best_step: int | None) -> None:
        self._run, self.best, self.best_step = run, best, best_step
        self._earned: Moment | None = None  # the best, where no file has it yet
        self._held: tuple[Moment, Moment | None] | None = None  # where to go back to, and the best of then
        self._written: tuple[Moment, int] | None = None  # the newest, and how many to keep once it lasts

    def offer(self, ks: float, step: int, take: Callable[[], Moment]) -> None:
        """Keep the moment of an evaluation, if it is the best so far."""
        if ks < self.best:
            self.best, self.best_step = ks, step
            self._earned = take()

    def hold(self, moment: Moment) -> None:
        """Keep the moment before something that a signal may cut off."""
        self._held = moment, self._earned

    def release(self) -> None:
        """That was not cut off."""
        self._held = None

    def save(self, moment: Moment, keep: int) -> None:
        """Write a checkpoint of this moment, and that of the best; ``tidy`` removes older ones."""
        earned, self._earned, self._held = self._earned, None, None
        self._run.sync_metrics()
        if earned is not None and earned.step != moment.step:
            keep += 1  # the newest before this one is not to make room for it
            self._write(earned)
        self._write(moment)
        self._written = moment, keep

    @property
    def crowded(self) -> bool:
        """Whether there is something to ``tidy``."""
        return self._written is not None and len(checkpoint.paths(self._run)) > self._written[1]

    def tidy(self) -> None:
        """Remove all checkpoints but those to keep and the best, now that the newest will not be lost."""
        if self._written is not None:
            (step, _, _, best), keep = self._written
            checkpoint.prune(self._run, keep, (step, best))
            self._written = None

    def end(self, keep: int) -> None:
        """Write what a run that ends here would lose: the moment that is held, or the best."""
        if self._held is not None:
            moment, self._earned = self._held
            self.save(moment, keep)
        elif self._earned is not None:
            self.save(self._earned, keep)

    def newest(self, otherwise: int) -> int:
        """The step of the newest checkpoint, where the run goes on; ``otherwise`` where there is none."""
        found = checkpoint.paths(self._run)
        return checkpoint.step_of(found[-1]) if found else otherwise

    def _write(self, moment: Moment) -> None:
        step, arrays, state, best = moment
        checkpoint.save_step(self._run, step, arrays, state, None, best=best)
