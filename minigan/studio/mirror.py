"""The course as the process of the page knows it: what the one that trains has told, and a way to ask."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from minigan.front.configuration import Request
from minigan.studio.commands import CommandError, command_from
from minigan.studio.course import Course, Standing, Status
from minigan.studio.wire import Message, packed
from minigan.training.config import Config, flatten
from minigan.training.data import Data
from minigan.training.marks import Marks
from minigan.training.settings import build
from minigan.views.snapshot import Snapshot

AGAIN = 0.25  # s after which a look is said again: the course may have had nothing new


class Waypoint(NamedTuple):
    """What a page needs of a snapshot that is recorded."""

    step: int
    turn: str
    losses: tuple[float, float]
    point: tuple[float, float] | None

    @property
    def place(self) -> tuple[int, str]:
        """Where in the course it is."""
        return self.step, self.turn


class Teller:
    """Writes of each moment what the other process does not know yet."""

    def __init__(self) -> None:
        self._configs: list[Config] = []
        self._data: Any = self  # nothing yet
        self._latest: Snapshot | None = None

    def told(self, moment: Standing, whole: bool = True) -> bytes:
        """A message of a moment.    whole  with the newest snapshot, and not with the status alone"""
        content: dict[str, Any] = {"status": asdict(moment.status), "obeyed": moment.obeyed}
        arrays: dict[str, np.ndarray] = {}
        if whole:
            request, latest = moment.request, moment.latest
            content["request"] = [self._number(request.config, content), request.origins, request.ours]
            if request.data is not self._data:
                self._data = request.data
                content["data"] = None if request.data is None else _data_told(request.data, arrays)
            content["latest"] = [
                self._number(latest.config, content), latest.step, latest.losses, latest.turn, latest.era,
            ]  # fmt: skip
            arrays |= {f"s {name}": array for name, array in latest.arrays.items()}
            arrays |= {f"b {name}": array for name, array in (latest.before or {}).items()}
            arrays["record"] = np.array(
                [
                    (kept.step, kept.turn == "G", *kept.losses, *(kept.point or (np.nan, np.nan)))
                    for kept in moment.record
                ]
            )
        return packed(content, arrays)

    def _number(self, config: Config, content: dict[str, Any]) -> int:
        """By what number the other process knows a configuration."""
        for k, known in enumerate(self._configs):
            if known is config:
                return k
        self._configs.append(config)
        content.setdefault("configs", {})[str(len(self._configs) - 1)] = flatten(config)
        return len(self._configs) - 1


class Mirror:
    """What a ``Course`` shows to pages, and what they do to it, over a line between two processes."""

    request: Request
    latest: Snapshot
    status: Status

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._send, self._lock = write, threading.Lock()
        self._configs: dict[int, Config] = {}
        self._data: Data | None = None
        self.record: tuple[Waypoint, ...] = ()
        self.obeyed, self._looked_at = 0, 0.0

    @property
    def config(self) -> Config:
        """The settings of the game."""
        return self.request.config

    @property
    def data(self) -> Data | None:
        """The data that it learns, if it learns data."""
        return self.request.data

    def send(self, value: Any) -> str | None:
        """Have a command done; what is wrong with it, or None."""
        try:
            command_from(value)
        except CommandError as error:
            return str(error)
        self._write(value)
        return None

    def look(self) -> None:
        """Ask for the newest snapshot."""
        now = time.monotonic()
        if now - self._looked_at >= AGAIN:
            self._looked_at = now
            self._write({"look": True})

    def _write(self, content: Mapping[str, Any]) -> None:
        with self._lock:
            self._send(packed(content))

    def take(self, message: Message) -> None:
        """Know what the other process has told."""
        content, arrays = message
        for number, flat in content.get("configs", {}).items():
            self._configs[int(number)] = build({name: (value, "the course") for name, value in flat.items()})
        if "data" in content:
            self._data = None if content["data"] is None else _data_of(content["data"], arrays)
        if "latest" in content:
            number, origins, ours = content["request"]
            self.request = Request(self._configs[number], self._data, origins, ours)
            number, step, losses, turn, era = content["latest"]
            part = {kind: {name[2:]: array for name, array in arrays.items() if name[:2] == kind}
                    for kind in ("s ", "b ")}  # fmt: skip
            self.record = tuple(
                Waypoint(int(row[0]), "G" if row[1] else "D", (row[2], row[3]),
                     None if np.isnan(row[4]) else (row[4], row[5]))
                for row in arrays["record"].tolist()
            )  # fmt: skip
            self.latest = Snapshot(
                self._configs[number], step, part["s "], tuple(losses), turn, part["b "] or None, era
            )
            self._looked_at = 0.0
        given = content["status"]
        status = Status(**given | {name: tuple(given[name]) for name in ("changes", "left")})
        self.obeyed = content["obeyed"]
        if getattr(self, "status", None) != status:
            self.status = status


Steered = Course | Mirror  # what pages show


def _data_told(data: Data, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    arrays["values"], marks = data.values, None
    if data.marks is not None:
        arrays["codes"], marks = data.marks.codes, [data.marks.name, data.marks.classes]
    return {"names": data.names, "notes": data.notes, "source": data.source, "marks": marks}


def _data_of(told: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Data:
    names, notes, marks = tuple(told["names"]), tuple(told["notes"]), None
    if told["marks"] is not None:
        marks = Marks(told["marks"][0], tuple(told["marks"][1]), arrays["codes"])
    return Data(arrays["values"], names, notes, told["source"], marks)
