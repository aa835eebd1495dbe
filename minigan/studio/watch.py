"""Reads what pages want to see off the newest snapshots, in a thread and with an experiment of its own.

A page says what it wants and takes the newest that there is; nothing is read while nobody looks.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np

from minigan.errors import MiniganError
from minigan.studio.mirror import Steered
from minigan.views.frame import Frame, Scene
from minigan.views.reader import Reader
from minigan.views.snapshot import Snapshot

SHARE = 0.04  # of the time for lines of metrics while it is played
PAUSE = 0.008  # s between two looks for something new
ATTENTION = 1.5  # s for which a wish counts
MOST_ROWS = 400


@dataclass(frozen=True)
class Sight:
    """What there is to be shown of one moment; with another ``number`` there is something new.

    scene     with another object the figures are to be built anew
    rows      lines of metrics so far; findings: (step, name, sentence)
    failed    why nothing could be read
    """

    number: int
    run: int
    frame: Frame
    scene: Scene
    rows: tuple[dict[str, Any], ...] = ()
    findings: tuple[tuple[int, str, str], ...] = ()
    dirac: bool = False
    failed: str = ""


class Watch:
    """The newest of what is to be seen of a course."""

    def __init__(self, course: Steered) -> None:
        self.course = course
        self._wishes: dict[str, float] = {}
        self._asked: SimpleQueue[tuple[str, Callable[[Reader, Snapshot], Any]]] = SimpleQueue()
        self.answers: dict[str, Any] = {}
        self.chosen = 0  # which class is looked at
        self._demand = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="minigan-watch", daemon=True)
        self._run_number, self._left = course.status.run, course.status.left
        self._reader = Reader(course.config, course.data)
        self._rows: list[dict[str, Any]] = []
        self._findings: tuple[tuple[int, str, str], ...] = ()
        self._row_due, self._banded = 0.0, False
        self._row_place: Any = None
        self._scene = self._reader.scene
        self.seen = self._look(0, course.latest, ("distribution", "point"))

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self, wait: float = 5.0) -> None:
        """End the thread."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(wait)

    def want(self, *parts: str) -> None:
        """Say that somebody looks at these parts of a frame."""
        now = time.monotonic()
        for part in parts:
            self._wishes[part] = now
        self._demand = True
        self.course.look()

    def choose(self, k: int) -> None:
        """Look at another class of a conditional game."""
        self.chosen, self._demand = k, True

    def ask(self, key: str, question: Callable[[Reader, Snapshot], Any]) -> None:
        """Have something read once, off the newest snapshot: ``answers[key]`` is then what it gave.

        A refusal is its text.
        """
        self.answers.pop(key, None)
        self._asked.put((key, question))

    def _answer(self) -> None:
        while not self._asked.empty():
            key, question = self._asked.get()
            latest = self.course.latest
            try:
                self._follow(latest)
                with np.errstate(all="ignore"):
                    latest.restore(self._reader.experiment)
                    self.answers[key] = question(self._reader, latest)
            except (MiniganError, ArithmeticError, ValueError) as error:
                self.answers[key] = str(error)

    def _wanted(self) -> tuple[str, ...]:
        now = time.monotonic()
        return tuple(sorted(part for part, when in tuple(self._wishes.items()) if now - when < ATTENTION))

    def _run(self) -> None:
        shown: tuple[Any, ...] = ()
        number = 0
        while not self._closing.is_set():
            self._answer()
            wanted, latest = self._wanted(), self.course.latest
            state = (id(latest), wanted, len(self._rows), id(self._scene), self.chosen)
            if not wanted or state == shown or not self._demand:
                if not (wanted and self._more(latest)):
                    self._closing.wait(PAUSE if wanted else 0.02)
                continue
            number, self._demand = number + 1, False  # a frame for each time that a page was ready for one
            try:
                self._follow(latest)
                self.seen = self._look(number, latest, wanted)
            except (MiniganError, ArithmeticError, ValueError) as error:
                self.seen = Sight(number, self._run_number, self.seen.frame, self.seen.scene,
                                 self.seen.rows, self.seen.findings, self.seen.dirac, str(error))  # fmt: skip
            shown = state[:2] + (len(self._rows), id(self._scene), state[-1])

    def _follow(self, latest: Snapshot) -> None:
        """Another game, or other settings, or a course that was left."""
        status = self.course.status
        if status.run != self._run_number:
            self._run_number, self._rows, self._findings, self._banded = status.run, [], (), False
            self._row_place, self._row_due = None, 0.0
            self._reader = Reader(latest.config, self.course.data)
            self._scene = self._reader.scene
        elif latest.config != self._reader.config:
            bands = self._scene.bands
            self._reader = Reader(latest.config, self.course.data)
            self._reader.take_bands(bands)
            self._scene = self._reader.scene
        if self.chosen != self._reader.chosen:
            if not 0 <= self.chosen < max(1, len(self._scene.classes)):
                self.chosen = 0
            if self._scene.classes:
                self._reader.choose(self.chosen)
            self._scene = self._reader.scene
        if status.left != self._left:
            self._left = status.left
            self._rows = [row for row in self._rows if row["step"] <= status.left[1]]

    def _look(self, number: int, latest: Snapshot, wanted: tuple[str, ...]) -> Sight:
        frame = self._reader.frame(latest, [part for part in wanted if part != "row"])
        return Sight(
            number, self._run_number, frame, self._scene, tuple(self._rows), self._findings,
            self._reader.is_dirac,
        )  # fmt: skip

    def _more(self, latest: Snapshot) -> bool:
        """What may wait: bands once, and lines of metrics as often as their share of the time allows."""
        now = time.monotonic()
        if self.course.status.run != self._run_number or now < self._row_due:
            return False
        began = time.perf_counter()
        if not self._banded:
            self._banded = True
            self._reader.measure_bands()
            self._scene = self._reader.scene
            return True
        place = (latest.place, latest.era)
        if place == self._row_place or "row" not in self._wishes or latest.turn == "G":
            return False
        self._row_place = place
        try:
            row = self._reader.frame(latest, ("row",)).row
        except MiniganError:
            return False
        if row is not None:
            later = [old for old in self._rows if old["step"] > latest.step]
            self._rows = [old for old in self._rows if old["step"] < latest.step] + [dict(row)] + later
            self._thin()
            found = self._reader.findings(self._rows)
            self._findings = tuple(
                (one.since_step, one.name, f"{one.evidence} {one.remedy}") for one in found
            )
        took = time.perf_counter() - began
        self._row_due = time.monotonic() + (took / SHARE if self.course.status.playing else 0.0)
        return True

    def _thin(self) -> None:
        while len(self._rows) > MOST_ROWS:
            steps = np.array([row["step"] for row in self._rows], float)
            del self._rows[1 + int(np.argmin(steps[2:] - steps[:-2]))]
