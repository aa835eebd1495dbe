"""A run that no file knows of: what a run directory holds, in memory, under the same methods."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from minigan.storage.directory import STATUSES, Metrics, RunDirectory, plain_row

NOWHERE = Path("memory")  # where the paths of such a run lead


class MemoryRun(RunDirectory):
    """One run in memory, to write and to read as one on disk.

    moments  {step: (arrays, state)} of its checkpoints
    notes    the lines of its log
    """

    def __init__(self, config: bytes) -> None:
        super().__init__(NOWHERE)
        self._config, self._rows = config, list[dict[str, Any]]()
        self.moments = dict[int, tuple[dict[str, np.ndarray], dict[str, Any]]]()
        self.frames = dict[str, np.ndarray]()
        self.notes = list[str]()

    def reopened(self) -> Self:
        """The run, to go on with: how it stood so far is what was before."""
        self._previous = self._status.get("status", "running")
        return self

    @property
    def resuming(self) -> str:
        return "Run.resume()"

    def read_config(self) -> bytes:
        return self._config

    def write_config(self, config: bytes) -> None:
        self._config = config

    def write_status(self, status: str, **fields: Any) -> None:
        if status not in STATUSES:
            raise ValueError(f"status must be one of {', '.join(STATUSES)}; received {status!r}")
        self._status |= fields | {"status": status}

    def read_status(self) -> dict[str, Any]:
        return dict(self._status)

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        self._rows.append(plain_row(row))

    def read_metrics(self) -> Metrics:
        return Metrics(list(self._rows), 0)

    def cut_metrics(self, step: int) -> Metrics:
        self._rows = [row for row in self._rows if row["step"] <= step]
        return self.read_metrics()

    def sync_metrics(self) -> None:
        """Nothing is to last."""

    def write_verdict(self, verdict: Mapping[str, Any]) -> None:
        """Whoever has the run has the verdict."""

    def log(self, text: str) -> None:
        self.notes.append(text)

    def keep_moment(self, step: int, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Keep a checkpoint."""
        # as a file would give it back, and refused where none could hold it
        self.moments[step] = dict(arrays), json.loads(json.dumps(dict(state), allow_nan=False))

    def prune(self, keep: int, steps: Iterable[int | None]) -> None:
        """Forget all checkpoints but the ``keep`` newest and those of ``steps``."""
        kept = {*sorted(self.moments)[-keep:], *(step for step in steps if step is not None)}
        self.moments = {step: self.moments[step] for step in sorted(kept & self.moments.keys())}

    def __repr__(self) -> str:
        return "<run in memory>"
