"""Runs with data from memory on disk: the directory holds the data as well, and needs nothing else."""

import csv
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from minigan.errors import UnavailableError
from minigan.evaluation.verdict import Verdict
from minigan.machine import pinned
from minigan.storage import checkpoint, files
from minigan.storage.directory import RunDirectory
from minigan.storage.memory import MemoryRun
from minigan.training.config import Config, replace, to_json
from minigan.training.data import Data
from minigan.training.saved import OWN_DATA
from minigan.training.table_form import default_names


def with_data_in(path: Path, config: Config, data: Data) -> Config:
    """The configuration of a run in the directory ``path`` that holds its data."""
    file = path.resolve() / (OWN_DATA[0] if _unnamed(data) else OWN_DATA[1])
    label = None if data.marks is None else len(data.names)  # the last column
    return replace(config, data=str(file), columns=None, header=None if _unnamed(data) else True, label=label)


def write_data(path: Path, data: Data) -> None:
    """Write data.npy, or data.csv where the features have names, with every digit.

    Raises:  StorageError – if it cannot be written
    """
    if _unnamed(data):
        buffer = io.BytesIO()
        np.save(buffer, data.values, allow_pickle=False)
        return files.write_atomic(path / OWN_DATA[0], buffer.getvalue())
    text = io.StringIO()
    # A name that begins as a comment does has to be quoted.
    quoting: Any = csv.QUOTE_ALL if data.names[0].startswith("#") else csv.QUOTE_MINIMAL
    marks = data.marks
    told = [] if marks is None else [marks.name]
    csv.writer(text, lineterminator="\n", quoting=quoting).writerow([*data.names, *told])
    writer = csv.writer(text, lineterminator="\n")
    rows = ([repr(value) for value in row] for row in data.values.tolist())
    if marks is not None:
        names = [marks.classes[code] for code in marks.codes.tolist()]
        rows = ([*row, name] for row, name in zip(rows, names, strict=True))
    writer.writerows(rows)
    files.write_atomic(path / OWN_DATA[1], text.getvalue().encode())


def write_run(
    path: Path, record: MemoryRun, config: Config, data: Data | None, verdict: Verdict | None
) -> Path:
    """Write a run in memory to a new directory; ``data`` are those that no file has.

    Raises:  StorageError – if it cannot be written, or is there already
    """
    from minigan.front import figures

    config = config if data is None else with_data_in(path, config, data)
    status = record.read_status()
    with RunDirectory.create_at(path, to_json(config)) as run:
        if data is not None:
            write_data(run.path, data)
        for row in record.read_metrics().rows:
            run.append_metrics(row)
        for note in record.notes:
            run.log(note)
        for step, (arrays, state) in record.moments.items():
            state = {**state, "config": json.loads(to_json(config))}
            checkpoint.save_step(run, step, arrays, state, len(record.moments), best=state["best_step"])
        finished = status["status"] == "finished" and verdict is not None
        if finished and verdict is not None:
            checkpoint.save_frames(run, record.frames)
            run.write_verdict(verdict.as_dict())
        with pinned(config.threads):  # as it was trained
            run.write_status(status.pop("status"), **status)
        if finished:
            with suppress(UnavailableError):
                figures.save_overview(run)
    return path


def _unnamed(data: Data) -> bool:
    return data.marks is None and data.names == default_names(len(data.names))
