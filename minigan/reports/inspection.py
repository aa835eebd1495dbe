"""What checkpoint files say they hold, without reading their arrays into memory unless asked to verify."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from minigan.errors import CheckpointError, quoted
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
    """The checkpoints of a run, oldest first, and those that ``latest`` and ``best`` name.

    A checkpoint that is refused has the reason as its ``error``; a name that leads to none is in ``errors``.

    Raises:  DataError – if ``path`` is not a run directory
    """
    run = RunDirectory.open(path)
    errors: list[str] = []
    # Before the list, which then holds what they name even where the run goes on meanwhile.
    pointers = {name: _pointed(run, name, errors) for name in POINTERS}
    found = [_summary(file, verify) for file in checkpoint.paths(run)]
    return {
        "run": os.fspath(path),
        "verified": verify,
        **pointers,
        "checkpoints": [summary for summary in found if summary is not None],
        "errors": errors,
    }


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


def _pointed(run: RunDirectory, pointer: str, errors: list[str]) -> str | None:
    """The file that ``latest`` or ``best`` names; None where there is none, or one that leads nowhere."""
    path = run.checkpoints / pointer
    if not os.path.lexists(path):
        return None
    named = checkpoint.pointed(run, pointer) if path.is_file() else None
    if named is None:
        errors.append(f"{quoted(str(path))} names no checkpoint of this run; remove it")
    return None if named is None else named.name
