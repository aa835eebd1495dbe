"""Runs side by side: the settings of each, how far it came and what came of it, from the files it left.

A run may be written meanwhile: the files that are replaced are replaced whole, and of the one that grows only
whole lines are read. What cannot be read is named in a note.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minigan.errors import ConfigError, MiniganError, nearest, quoted
from minigan.storage.directory import RunDirectory
from minigan.storage.files import read_bounded, read_object

BEFORE = ("run", "status", "step")  # the columns to the left of the settings
RESULTS = ("ks", "ks_p", "w1", "mean", "sd", "modes", "hq", "reverse_kl", "seconds")  # and to the right
RENAMED = {"pvalue": "ks_p", "std": "sd"}  # columns by the names that older sweeps have for them
OF_VERDICT = {"w1": "W1", "mean": "mean", "sd": "sd"}  # rows of the verdict on one feature
LARGEST = 1e300  # of a number that is believed
MAX_FOLDERS = 2000  # that are looked into for runs


@dataclass(frozen=True)
class RunSummary:
    """One run: its directory, its status (None before it has written one), its settings by dotted name.

    results  by the names in RESULTS, those of metrics.jsonl: of the verdict once the run has finished, before
             that of the last line of metrics; None where there is no such number. A verdict's ks_p is what
             decides it: of several features the p-value of all its tests together
    Units:   w1 in sd of the target; seconds in s of training; mean and sd in the data's
    """

    run: str
    status: str | None
    step: int | None
    settings: dict[str, Any]
    results: dict[str, float | int | None]

    def __getitem__(self, column: str) -> Any:
        if column in BEFORE:
            return getattr(self, column)
        return self.results[column] if column in RESULTS else self.settings[column]


@dataclass(frozen=True)
class Comparison:
    """Runs in the order in which they were asked for, and a sentence for each thing that was not read."""

    rows: tuple[RunSummary, ...]
    notes: tuple[str, ...] = ()
    settings: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = self.rows[0].settings if self.rows else ()
        object.__setattr__(self, "settings", tuple(name for name in names if self._differ(name)))

    def _differ(self, name: str) -> bool:
        first = self.rows[0].settings[name]
        return name != "name" and any(row.settings[name] != first for row in self.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns from left to right: those of every comparison around the settings that differ."""
        return (*BEFORE, *self.settings, *RESULTS)

    def sorted_by(self, column: str, *, descending: bool = False) -> "Comparison":
        """The same runs in the order of ``column``; those without a value stay at the end.

        Raises:  ConfigError – for an unknown column
        """
        if column not in self.columns:
            raise unknown_column(column, self.columns)
        known = [row for row in self.rows if row[column] is not None]
        known.sort(key=lambda row: _order(row[column]), reverse=descending)
        return Comparison((*known, *(row for row in self.rows if row[column] is None)), self.notes)

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON has it."""
        rows = [
            {
                "run": row.run,
                "status": row.status,
                "step": row.step,
                "settings": {name: row.settings[name] for name in self.settings},
                **row.results,
            }
            for row in self.rows
        ]
        return {"settings": list(self.settings), "rows": rows, "notes": list(self.notes)}


def unknown_column(name: str, columns: Sequence[str]) -> ConfigError:
    """What to do about the name of a column that is not among ``columns``."""
    if name in RENAMED:
        return ConfigError(f"the column {name} is called {RENAMED[name]} now; write that")
    return ConfigError(f"there is no column {quoted(name)}; {nearest(name, columns)}")


def compare(paths: Iterable[str | os.PathLike[str]]) -> Comparison:
    """The runs at ``paths``, each once: run directories, and directories that contain some, at any depth."""
    rows: list[RunSummary] = []
    notes: list[str] = []
    found: dict[str, Path] = {}
    for path in _runs(paths, notes):
        found.setdefault(os.path.realpath(path), path)
    for path in found.values():
        try:
            rows.append(_row(path, notes))
        except MiniganError as error:
            notes.append(str(error))
    return Comparison(tuple(rows), tuple(notes))


def run_directories(folder: str | os.PathLike[str]) -> list[Path]:
    """The run directories in ``folder``, oldest first by their names; none where it cannot be read."""
    return _runs_and_others(folder)[0]


def _runs_and_others(folder: str | os.PathLike[str]) -> tuple[list[Path], list[str]]:
    """The run directories in ``folder``, and the directories that may hold some: no links, no hidden ones."""
    runs, others = list[Path](), list[str]()
    with suppress(OSError, ValueError), os.scandir(folder) as entries:  # ValueError: a NUL in the name
        for entry in entries:
            if entry.is_dir() and _is_run(entry.path):
                runs.append(Path(entry.path))
            elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                others.append(entry.path)
    return sorted(runs), sorted(others)


def _runs_below(folder: str | os.PathLike[str], notes: list[str]) -> list[Path]:
    """The run directories in ``folder`` and in those that it contains, the nearest first."""
    found, waiting, more = list[Path](), [os.fspath(folder)], False
    for place in waiting:  # which grows meanwhile
        runs, others = _runs_and_others(place)
        found += runs
        room = MAX_FOLDERS - len(waiting)
        more |= len(others) > room
        waiting += others[:room]
    if more:
        notes.append(
            f"{quoted(str(folder))} holds more than {MAX_FOLDERS} directories; the others are left out"
        )
    return found


def _is_run(path: str | os.PathLike[str]) -> bool:
    return os.path.isfile(os.path.join(path, "config.json"))


def _runs(paths: Iterable[str | os.PathLike[str]], notes: list[str]) -> Iterator[Path]:
    for path in paths:
        inside = [] if _is_run(path) else _runs_below(path, notes)
        if inside:
            yield from inside
        elif _is_run(path):
            yield Path(path)
        else:
            what = "holds no run directory" if os.path.isdir(path) else "is no directory"
            notes.append(f"{quoted(os.fspath(path))} {what}; give one that train has made, or their parent")


def _row(path: Path, notes: list[str]) -> RunSummary:
    """One run as its directory has it.    Raises:  MiniganError – if it is none, or has no configuration"""
    from minigan.training.config import flatten
    from minigan.training.settings import from_json

    run = RunDirectory.open(path)
    try:
        settings = flatten(from_json(run.read_config()))
    except ConfigError as error:
        raise ConfigError(f"{quoted(str(path))} has no readable config.json: {error}") from None
    return summarise(run, settings, notes)


def summarise(run: RunDirectory, settings: dict[str, Any], notes: list[str]) -> RunSummary:
    """How far a run of these settings came and what came of it; what cannot be read is noted and left out."""
    path, status, last, verdict = run.path, {}, {}, {}
    try:
        status = run.read_status()
    except MiniganError as error:
        notes.append(str(error))
    try:
        metrics = run.read_metrics()
        last = metrics.rows[-1] if metrics.rows else {}
        if metrics.skipped:
            notes.append(f"{metrics.skipped} unreadable lines of {quoted(str(path / 'metrics.jsonl'))}")
    except MiniganError as error:
        notes.append(str(error))
    said = status.get("status")
    if said == "finished":
        verdict = _verdict(path / "verdict.json", notes)
    results = {name: _number(last.get(name)) for name in RESULTS} | verdict
    seconds = _number(status.get("seconds"))
    results["seconds"] = results["seconds"] if seconds is None else seconds
    steps = [step for step in (status.get("step"), last.get("step")) if type(step) is int]
    return RunSummary(
        str(path), said if isinstance(said, str) else None, max(steps, default=None), settings, results
    )


def _verdict(path: Path, notes: list[str]) -> dict[str, float | int | None]:
    """What verdict.json says of the columns; where it has no row, the metrics keep their value."""
    try:
        content = read_object(read_bounded(path))
    except MiniganError as error:
        notes.append(str(error))
        return {}
    match content:
        case {"ks": {"statistic": ks}, "pvalue": pvalue, "rows": list(rows)}:
            values = {row.get("name"): row.get("value") for row in rows if isinstance(row, dict)}
            if _too_few(content):
                notes.append(
                    f"{quoted(str(path.parent))} was judged on too few values to tell; it has no ks_p"
                )
                pvalue = None
            found = {"ks": ks, "ks_p": pvalue}
            found |= {name: values[row] for name, row in OF_VERDICT.items() if row in values}
            return {name: _number(value) for name, value in found.items()}
    notes.append(f"{quoted(str(path))} is damaged: it is no verdict; make it anew with `minigan eval`")
    return {}


def _too_few(content: dict[str, Any] | None) -> bool:
    """Whether a verdict says so; older ones did not."""
    return content is not None and content.get("indistinguishable", False) is None


def _number(value: object) -> float | int | None:
    """``value`` if it is a finite number, else None: the file may come from anyone."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) <= LARGEST and not math.isnan(value) else None


def _order(value: Any) -> tuple[bool, Any]:
    """Numbers before text, and lists by their text."""
    text = value if isinstance(value, str) else None if isinstance(value, (int, float)) else json.dumps(value)
    return (text is not None, value if text is None else text)
