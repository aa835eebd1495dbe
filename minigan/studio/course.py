"""The course of a game that is played, paused, stepped and rewound: one thread owns the experiment.

Others send commands and read what is left behind: the newest snapshot, the record, the status. What they read
never changes, and nothing that they do is waited for.
"""

import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from minigan.errors import ConfigError, MiniganError
from minigan.front.configuration import Request
from minigan.machine import pinned
from minigan.studio.changes import at_once, changed, draws_of, preset_called, saved, table_of
from minigan.studio.commands import Command, CommandError, command_from
from minigan.training.config import Config
from minigan.training.data import Data
from minigan.training.experiment import Experiment
from minigan.views.snapshot import Recorder, Snapshot, snapshot

GLANCE = 1 / 16  # s between two snapshots at least
RECORD = 0.25  # s between two that are kept although nobody does
PATIENCE = 0.012  # s of training between two looks at the queue
SPACED = 100  # snapshots of a whole run at least, four times as many of a game of a few numbers
TINY = 1024  # bytes of such a game
SEEDS = 2**31  # new ones lie below


@dataclass(frozen=True)
class Status:
    """Where the course stands, beside its snapshot.

    run      how many games were begun here: with another, nothing of before is comparable
    until    the step at which playing ends
    speed    rounds a second that were asked for; 0 for as many as there can be
    rate     rounds a second that were played lately
    message  the last thing that a person should know, and whether it is a refusal
    changes  what was changed by hand since this game began, in words
    left     of every departure from a course that had gone on: how many, and the place of the last
    """

    run: int = 0
    playing: bool = False
    until: int = 0
    speed: float = 0.0
    rate: float = 0.0
    message: str = ""
    refused: bool = False
    changes: tuple[str, ...] = ()
    left: tuple[int, int] = (0, 0)
    closed: bool = False


class Standing(NamedTuple):
    """All that others may know of a course, of one and the same moment."""

    request: Request
    status: Status
    latest: Snapshot
    record: tuple[Snapshot, ...]
    obeyed: int


class Course:
    """An experiment in a thread of its own; ``send`` is all that others do to it.

    request  what is trained now
    latest   the newest snapshot
    record   snapshots that can be gone back to
    status   where it stands
    obeyed   how many commands were done or refused
    moment   all of these, as they belong together; ``news`` is set with each other one
    """

    def __init__(
        self,
        request: Request,
        *,
        start: Mapping[str, np.ndarray] | None = None,
        step: int = 0,
        out: str = "runs",
    ) -> None:
        self.request, self.out, self.obeyed = request, out, 0
        self.status, self.record = Status(until=self.config.steps), Recorder()
        self._queue: SimpleQueue[Command] = SimpleQueue()
        self._experiment = Experiment(self.config, data=self.data)
        if start is not None:
            self._experiment.load(dict(start), step)
        self._turn, self._era = "D", 0
        self._before: Mapping[str, np.ndarray] | None = None
        self._pace, self._published, self._asked, self._due = 1.0, 0.0, False, 0.0
        self._marks: list[tuple[float, int]] = []
        self.latest: Snapshot = snapshot(self._experiment)
        self.record.add(self.latest)
        self.news = threading.Event()
        self._note()
        self._thread = threading.Thread(target=self._run, name="minigan-course", daemon=True)

    @property
    def config(self) -> Config:
        """The settings of the game."""
        return self.request.config

    @property
    def data(self) -> Data | None:
        """The data that it learns, if it learns data."""
        return self.request.data

    # ── for others ──────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin to take commands."""
        self._thread.start()

    def send(self, value: Any) -> str | None:
        """Put a command into the queue; what is wrong with it, or None."""
        try:
            self._queue.put(command_from(value))
        except CommandError as error:
            return str(error)
        return None

    def look(self) -> None:
        """Ask for a snapshot soon, while the game is played."""
        self._asked = True

    def close(self, wait: float = 5.0) -> None:
        """End the thread."""
        self._queue.put(Command("close"))
        if self._thread.is_alive():
            self._thread.join(wait)

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say of the data."""
        return self._experiment.notes

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            with pinned(self.config.threads), np.errstate(all="ignore"):
                while not self.status.closed:
                    self._obey()
                    if self.status.playing:
                        self._play()
        except ConfigError as error:  # BLAS is held by a run of this process
            self._say(str(error), refused=True)
            self.status = replace(self.status, closed=True)
            self._note()

    def _obey(self) -> None:
        """Do what is in the queue; while nothing is played, wait for it."""
        try:
            while True:
                wait = 0.0
                if not self.status.playing:
                    wait = 3600.0
                elif self.status.speed:
                    wait = max(0.0, self._due - time.monotonic())
                command = self._queue.get(timeout=wait) if wait else self._queue.get_nowait()
                self._do(command)
                if self.status.closed:
                    return
        except Empty:
            return

    def _do(self, command: Command) -> None:
        try:
            getattr(self, f"_do_{command.name}")(**command.arguments)
        except (MiniganError, LookupError) as error:
            self._say(str(error), refused=True)
        except Exception as error:  # a bug: the course goes on to be steered, and says where it was
            where = traceback.format_exc(limit=-1).strip().splitlines()
            self._say(f"unexpected {type(error).__name__}: {error} ({' '.join(where[1:2])})", refused=True)
        self.obeyed += 1
        self._note()

    def _note(self) -> None:
        """Let others know."""
        self.moment = Standing(self.request, self.status, self.latest, tuple(self.record), self.obeyed)
        self.news.set()

    def _say(self, message: str, refused: bool = False) -> None:
        self.status = replace(self.status, message=message, refused=refused)

    def _do_close(self) -> None:
        self.status = replace(self.status, playing=False, closed=True)

    def _do_play(self) -> None:
        if self._experiment.step >= self.config.steps:
            raise ConfigError(f"all {self.config.steps} steps are played; rewind, restart, or set more steps")
        self._depart()
        self._marks.clear()
        self._due = time.monotonic()
        self.status = replace(self.status, playing=True, until=self.config.steps, message="", refused=False)

    def _do_pause(self) -> None:
        self.status = replace(self.status, playing=False, rate=0.0)
        self._publish()

    def _do_rounds(self, count: int) -> None:
        step = self._experiment.step
        if step >= self.config.steps:
            self._do_play()  # refuses
        self._depart()
        self._due = time.monotonic()
        until = min(step + count, self.config.steps)
        self.status = replace(self.status, playing=True, until=until, message="", refused=False)

    def _do_step_d(self) -> None:
        self._half("D")

    def _do_step_g(self) -> None:
        self._half("G")

    def _half(self, player: str) -> None:
        """One player moves; who has had the turn and is not asked passes."""
        e = self._experiment
        if e.step + (self._turn == "G" == player) > self.config.steps or e.step >= self.config.steps:
            self._do_play()  # refuses
        self._depart()
        passed = ""
        if player == "D" and self._turn == "G":
            e.step += 1
            passed = f"G passed in round {e.step}"
        elif player == "G" and self._turn == "D":
            passed = f"D passed in round {e.step + 1}"
        self._remember()
        e.move(player)
        self._turn = "G" if player == "D" else "D"
        if passed:
            self._change(passed)
        elif player == "D":
            self._change(f"round {e.step + 1} was played by hand")
        self.status = replace(self.status, playing=False, rate=0.0, message=passed, refused=False)
        self._publish()

    def _do_speed(self, per_second: float) -> None:
        self._due = time.monotonic()
        self.status = replace(self.status, speed=per_second)

    def _do_rewind(self, step: int, turn: str) -> None:
        then = self.record.at(step, turn)
        if then.config != self.config:
            self._experiment = Experiment(then.config, data=self.data)
            self.request = self.request._replace(config=then.config)
        then.restore(self._experiment)
        self._turn, self._era, self._before = then.turn, then.era, then.before
        self.status = replace(
            self.status, playing=False, rate=0.0, message="", refused=False,
            changes=self.status.changes[: then.era],
        )  # fmt: skip
        self.latest = then

    def _do_restart(self, seed: int) -> None:
        if seed < 0:
            seed = int(np.random.default_rng().integers(SEEDS))
        self._begin(changed(self.request, {"seed": seed}).request, f"seed {seed}")

    def _do_set(self, settings: Mapping[str, Any]) -> None:
        new = changed(self.request, settings)
        if not new.names:
            self._say("nothing was changed")
        elif at_once(new.names):
            self._go_on(new.request, new.names)
        else:
            self._begin(new.request, f"begun anew with other {', '.join(new.names)}")

    def _do_preset(self, name: str) -> None:
        self._begin(preset_called(name), f"the preset {name}")

    def _do_learn_points(self, points: tuple[tuple[float, ...], ...]) -> None:
        rows = np.array(points, float)
        self._begin(changed(self.request, {}, rows).request, f"learns {len(rows)} points drawn by hand")

    def _do_learn_density(self, heights: tuple[tuple[float, ...], ...]) -> None:
        rows = draws_of(np.array(heights, float))
        self._begin(changed(self.request, {}, rows).request, "learns a density drawn by hand")

    def _do_learn_table(self, text: str) -> None:
        data = table_of(text)
        self._begin(changed(self.request, {}, data).request, f"learns {len(data.values)} uploaded rows")

    def _do_save(self, name: str) -> None:
        if self._turn == "G":
            raise ConfigError("a run is saved between rounds; let G move first")
        path = saved(self.request, self._experiment, self.out, name, self.status.changes)
        self._say(f"saved as {path}; minigan train --resume {path} goes on")

    # ── changes ─────────────────────────────────────────────────────────────────────────────────────────

    def _go_on(self, request: Request, names: tuple[str, ...]) -> None:
        """The same networks under other settings."""
        experiment = Experiment(request.config, data=request.data)
        arrays = self._experiment.arrays()
        arrays |= {name: array for name, array in experiment.arrays().items() if name.endswith(".rate")}
        experiment.load(arrays, self._experiment.step)
        self._depart()
        self._experiment, self.request = experiment, request
        self._change(f"{', '.join(names)} from step {experiment.step} on")
        until = self.config.steps if "steps" in names else min(self.status.until, self.config.steps)
        self.status = replace(self.status, until=until)
        self._say(f"in effect from step {experiment.step} on: {', '.join(names)}")
        self._publish()

    def _begin(self, request: Request, about: str) -> None:
        """Another game, from its start."""
        experiment = Experiment(request.config, data=request.data)  # before anything is left
        was = self.status
        self._experiment, self.request = experiment, request
        self._turn, self._era, self._before = "D", 0, None
        self.record.clear()
        first = snapshot(experiment)
        self.record.add(first)
        self._marks.clear()
        self._due = time.monotonic()
        self.status = Status(
            was.run + 1, was.playing, self.config.steps, was.speed, message=about, left=was.left
        )
        self.latest = first

    def _change(self, what: str) -> None:
        """From here on no configuration alone repeats the course."""
        self._era += 1
        self.status = replace(self.status, changes=(*self.status.changes[: self._era - 1], what))

    def _depart(self) -> None:
        """Forget what was recorded beyond this place, where something was."""
        place = self._experiment.step, self._turn
        if len(self.record) and self.record[-1].place > place:
            self.record.cut((place[0], "G") if place[1] == "D" else (place[0] + 1, "D"))
            self.status = replace(self.status, left=(self.status.left[0] + 1, place[0]))

    # ── playing ─────────────────────────────────────────────────────────────────────────────────────────

    def _play(self) -> None:
        """As many rounds as fit between two looks at the queue, and a snapshot when one is due."""
        e, status, now = self._experiment, self.status, time.monotonic()
        left = status.until - e.step
        least = SPACED if self.latest.nbytes > TINY else 4 * SPACED
        spaced = max(1, self.config.steps // least)  # so that there are as many places to rewind to
        count = max(1, min(left, int(self._pace), spaced))
        if status.speed:
            count = max(1, min(count, int((now - self._due) * status.speed) + 1))
            self._due = max(self._due + count / status.speed, now - 1.0)
        every = GLANCE if self._asked else RECORD
        publish = (
            now - self._published >= every
            or count >= left
            or count >= spaced
            or status.speed < 1 / every
            and status.speed
        )
        began = time.perf_counter()
        if self._turn == "G":
            self._remember()
            e.move("G")
            self._turn, count = "D", 0
        else:
            if publish:
                e.advance(count - 1)
                self._remember()
                e.advance(1)
            else:
                e.advance(count)
            took = time.perf_counter() - began
            self._pace = min(max(1.0, PATIENCE * count / max(took, 1e-9)), 4 * self._pace, 1e6)
        ends, says, refused = e.step >= status.until, "", False
        if not all(np.isfinite(loss).all() for loss in e.losses()):
            ends, refused = True, True
            says = f"the losses stopped being finite at step {e.step}; rewind, and lower the rates"
        elif e.step >= self.config.steps:
            says = f"all {e.step} steps are played"
        if publish or ends:
            self._publish()
        if ends:  # last, and at once: who sees that it ended sees where
            self.status = replace(self.status, playing=False, rate=0.0, message=says, refused=refused)
            self._note()

    def _remember(self) -> None:
        """Note the parameters before a step, to measure its update."""
        e = self._experiment
        self._before = {
            "d": e.discriminator.parameters.flat.numpy(),
            "g": e.generator.parameters.flat.numpy(),
        }

    def _publish(self) -> None:
        now, self._asked = time.monotonic(), False
        self._marks = [*self._marks[-24:], (now, self._experiment.step)]
        (t0, s0), rate = self._marks[0], 0.0
        if self.status.playing and now - t0 > 0.2:
            rate = (self._experiment.step - s0) / (now - t0)
        self.status = replace(self.status, rate=rate)
        new = snapshot(self._experiment, turn=self._turn, before=self._before, era=self._era)
        if new.place != self.latest.place or new.era != self.latest.era:
            self.record.add(new)
            self.latest = new
        self._published = now
        self._note()


def wait_for(condition: Any, seconds: float = 10.0) -> bool:
    """Whether something comes true in time; for tests and for measurements."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        with suppress(InterruptedError):
            time.sleep(0.002)
    return True
