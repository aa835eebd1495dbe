"""What checkpoint files say they hold, without reading their arrays into memory unless asked to verify."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from minigan.errors import CheckpointError, DataError, quoted
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory

POINTERS = ("latest", "best")  # files of a run's checkpoints/ that name one of them


def inspect_file(path: str | os.PathLike[str], *, verify: bool = False) -> dict[str, Any]:
    """The header of the checkpoint at ``path`` as JSON has it; with ``verify`` after its digest was checked.

    Raises:  CheckpointError – if it is damaged, missing or not one of minigan's
    """
    header = checkpoint.inspect(path)
    if verify:
        checkpoint.load(path)
    arrays = [
        {"name": name, "dtype": dtype, "shape": list(shape), "bytes": _size(shape, dtype)}
        for name, (shape, dtype) in header.arrays.items()
    ]
    return {
        "file": os.fspath(path),
        "schema_of_file": checkpoint.SCHEMA,  # newer ones are refused, older ones there are none
        "bytes": sum(array["bytes"] for array in arrays),
        "verified": verify,
        "arrays": arrays,
        "state": header.state,
    }


def inspect_run(path: str | os.PathLike[str], *, verify: bool = False) -> dict[str, Any]:
    """The checkpoints of a run, oldest first, the newest that is good and the best as that one has it.

    A checkpoint that is refused has the reason as its ``error``; a file ``latest`` or ``best`` that leads to
    none is in ``errors``.

    Raises:  DataError – if ``path`` is not a run directory
    """
    run = RunDirectory.open(path)
    errors = [error for name in POINTERS if (error := _pointing(run, name))]
    found = [entry for file in checkpoint.paths(run) if (entry := _summary(file, verify)) is not None]
    good = [run.checkpoints / entry["file"] for entry in found if entry["error"] is None]
    names = dict.fromkeys(POINTERS)
    if good:
        best = checkpoint.best_of(run, checkpoint.inspect(good[-1]).state)
        names = {"latest": good[-1].name, "best": None if best is None else best.name}
    return {
        "run": os.fspath(path),
        "status": _status(run, errors),
        "verified": verify,
        **names,
        "checkpoints": found,
        "errors": errors,
    }


def _status(run: RunDirectory, errors: list[str]) -> str | None:
    """How the run stands, None where its run.json does not say."""
    try:
        status = run.read_status().get("status")
    except DataError as error:
        errors.append(str(error))
        return None
    return status if isinstance(status, str) else None


def _size(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _summary(path: Path, verify: bool) -> dict[str, Any] | None:
    """One checkpoint of a run; None if the run has removed it since it was listed."""
    summary: dict[str, Any] = {"file": path.name, "step": int(path.stem.partition("-")[2])}
    try:
        content = inspect_file(path, verify=verify)
    except CheckpointError as error:
        if not os.path.lexists(path):
            return None
        return summary | {"arrays": None, "bytes": None, "error": str(error)}
    return summary | {"arrays": len(content["arrays"]), "bytes": content["bytes"], "error": None}


def _pointing(run: RunDirectory, pointer: str) -> str | None:
    """What is wrong with the file ``latest`` or ``best``, which opening the run to go on would repair."""
    path = run.checkpoints / pointer
    if not os.path.lexists(path) or checkpoint.pointed(run, pointer) is not None:
        return None
    return f"{quoted(str(path))} names no checkpoint of this run; remove it"
