"""A game played step by step: the numbers of a block are drawn at once, one step is recorded and replayed."""

from contextlib import ExitStack
from typing import Any

import numpy as np

from minigan import backend as backends
from minigan.compiler.capture import Program, capture
from minigan.engine.tensor import CaptureError, constant
from minigan.errors import CheckpointError, ConfigError, DivergedError
from minigan.gan.game import Game
from minigan.gan.orders import Batch, Losses
from minigan.machine import one_thread
from minigan.training.config import Config
from minigan.training.draws import SHARED


class Steps:
    """A game that is played step by step: what one experiment, and many together, have in common.

    step      how many were played
    executed  how the recorded step is run, which may be otherwise than the configuration asks; None before
    watched   whether every operation is checked: slow, and not bitwise what steps are that are planned
    """

    config: Config
    backend: backends.Backend
    game: Game

    def __init__(self, block_length: int) -> None:
        self.step, self.block_length, self.watched = 0, block_length, False
        self.executed: str | None = None
        self.as_before: str | None = None  # how the steps before a checkpoint were executed, to go on bitwise
        self._block: int | None = None
        self._numbers: dict[str, Any] = {}  # of this block, on the backend
        self._program: Program | None = None
        self._losses: Losses | None = None

    def go_on_as(self, executed: str | None) -> None:
        """Execute what follows as the steps before a checkpoint were; None where there is none to follow."""
        self.as_before = executed
        if executed not in (None, self.executed):
            self._program = self.executed = None

    def draw(self, block: int, K: int) -> dict[str, Any]:
        """The inputs of a block of K steps, by the names that Batch and Game.round have for them.

        NumPy's are on the host; what Philox draws is on the backend.
        """
        raise NotImplementedError

    def settle(self) -> None:
        """Make each experiment that trains here show where it stands now."""

    def _draw(self, block: int) -> dict[str, Any]:
        drawn = self.draw(block, self.block_length)
        return {
            name: self.backend.array(array) if type(array) is np.ndarray else array
            for name, array in drawn.items()
        }

    def advance(self, steps: int) -> None:
        """Train for so many steps; nothing is read from the device."""
        with ExitStack() as blas:
            self._share(blas)
            while steps > 0:
                block, k = divmod(self.step, self.block_length)
                if block != self._block:
                    self._block, self._numbers = block, self._draw(block)
                count = min(steps, self.block_length - k)
                if self._program is not None and not self.watched:
                    blocks = (numbers[k : k + count] for numbers in self._numbers.values())
                    self._program.each(*blocks, copy=False)
                    self._losses = self._program.outputs
                else:
                    count, inputs = 1, [constant(numbers[k]) for numbers in self._numbers.values()]
                    if self.watched:
                        self._watched(inputs)
                    else:
                        self._record(inputs)
                        self._share(blas)
                self.step += count
                steps -= count

    def move(self, player: str) -> None:
        """One player alone has its part of the next round, as Python runs it; after G's the step counts.

        In order alternating a D and then a G are that round as Python runs it.

        Raises:  ValueError – for a player other than "D" and "G"
        """
        block, k = divmod(self.step, self.block_length)
        if block != self._block:
            self._block, self._numbers = block, self._draw(block)
        drawn = {name: constant(numbers[k]) for name, numbers in self._numbers.items()}
        rates = {name: drawn.pop(name) for name in SHARED}
        with np.errstate(all="ignore"):
            loss = self.game.move(player, Batch(**drawn), **rates)
        d, g = self._losses or (constant(np.full((1, 1), np.nan)),) * 2
        self._losses = Losses(loss, g) if player == "D" else Losses(d, loss)
        self.step += player == "G"

    def _share(self, blas: ExitStack) -> None:
        """Each of the program's own threads calls BLAS, which has none then."""
        if self.program_threads > 1:
            blas.enter_context(one_thread())

    def _record(self, inputs: list[Any]) -> None:
        """One step as Python runs it, recorded for those that follow.

        Raises:  ConfigError – for a step that cannot be executed as the configuration asks
                 CheckpointError – for native code that was there before, and is not here
        """
        execution = self.config.execution
        before = self.as_before if execution in ("auto", "native") else None
        try:
            self._program = capture(
                self._round,
                *inputs,
                state=self.game.state,
                threads=self.config.threads,
                execution=before or execution,
                repeats=self.config.steps,
            )
        except CaptureError as error:  # of a step that is recorded, but cannot be executed so
            if execution == "auto":
                raise
            raise ConfigError(f"{error}; --set execution=auto takes what is possible") from None
        if before not in (None, self._program.execution):
            raise CheckpointError(
                f"the run would not go on bitwise: {self._program.note}, and it did; "
                "go on where it began, or add --allow-drift"
            )
        self.executed = self._program.execution
        self._losses = self._program.outputs

    def _watched(self, batches: list[Any]) -> None:
        """One step as Python runs it, every call looked at."""
        from minigan.engine.anomaly import AnomalyError, detect_anomaly

        try:
            with detect_anomaly():
                self._losses = self._round(*batches)
        except AnomalyError as error:
            raise DivergedError(f"in step {self.step + 1}, {error}") from None

    def _round(self, *batches: Any) -> Losses:
        """One round of the game on batches in the order of this block's numbers."""
        return self.play(dict(zip(self._numbers, batches, strict=True)))

    def play(self, drawn: dict[str, Any]) -> Losses:
        """One round of the game on the inputs of a step, named as ``draw`` names them."""
        rates = {name: drawn[name] for name in SHARED}
        return self.game.round(Batch(**{name: a for name, a in drawn.items() if name not in SHARED}), **rates)

    @property
    def program(self) -> Program | None:
        """The recorded step, once there was one."""
        return self._program

    @property
    def program_threads(self) -> int:
        """How many threads share a step beside those of BLAS: more than one where the work is large."""
        plan = None if self._program is None else self._program.plan
        return 1 if plan is None else plan.threads

    def losses(self) -> tuple[np.ndarray, np.ndarray]:
        """What D and G minimised in the last step, one value per replica; NaN before the first.

        Shapes:  → (…, 1, 1) twice
        """
        if self._losses is None:
            return np.full((1, 1), np.nan), np.full((1, 1), np.nan)
        return self._losses.discriminator.numpy(), self._losses.generator.numpy()
