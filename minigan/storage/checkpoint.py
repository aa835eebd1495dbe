"""Checkpoints: named arrays and a JSON state in one safetensors file that notices any change of a bit.

The format is safetensors, which other frameworks open and which cannot hold code. It has no checksum, so its
metadata carries a digest over all that is loaded. A file is vetted by its header before any array is made.
"""

import hashlib
import json
import math
import os
import re
import stat
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.errors import CheckpointError, DataError, quoted
from minigan.storage import files
from minigan.storage.directory import RunDirectory
from minigan.storage.memory import MemoryRun

SCHEMA = 1
MAX_FILE = 2**30  # bytes
MAX_HEADER = 2**20  # bytes
MAX_NAME = 100  # bytes of the files latest and best
DTYPES = {"F32": "float32", "F64": "float64", "I64": "int64", "U8": "uint8"}
SIZES = {"F32": 4, "F64": 8, "I64": 8, "U8": 1}  # bytes of a number
NAMES = {np.dtype(name): name for name in DTYPES.values()}  # NumPy takes 20 us to say it
NAME = re.compile(r"step-(\d{8,10})\.safetensors")


class Header(NamedTuple):
    """What a checkpoint says it holds: its arrays by name as (shape, dtype), and its state."""

    arrays: dict[str, tuple[tuple[int, ...], str]]
    state: dict[str, Any]


class Latest(NamedTuple):
    """The newest checkpoint of a run that verifies, and a sentence for each newer one that does not."""

    path: Path
    arrays: dict[str, np.ndarray]
    state: dict[str, Any]
    warnings: tuple[str, ...]


def save(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    state: Mapping[str, Any],
    *,
    lasting: bool = True,
) -> None:
    """Write ``arrays`` (float32, float64, int64 or uint8) and the JSON object ``state``, atomically.

    lasting  as for ``write_atomic``

    Raises:  TypeError – for another dtype;  ValueError – if the state is not JSON, or all is too large;
        StorageError – if it cannot be written
    """
    from safetensors.numpy import save as serialise

    size = sum(array.nbytes for array in arrays.values())
    text = json.dumps(dict(state), allow_nan=False, separators=(",", ":"))
    if size + MAX_HEADER > MAX_FILE or len(text) > MAX_HEADER // 2:
        raise ValueError(
            f"a checkpoint holds at most {MAX_FILE - MAX_HEADER} bytes of arrays and {MAX_HEADER // 2} of "
            f"state, received {size} and {len(text)}"
        )
    plain = {name: _plain(name, array) for name, array in arrays.items()}
    metadata = {"format": "minigan", "schema": str(SCHEMA), "state": text, "digest": _digest(plain, text)}
    files.write_atomic(path, serialise(plain, metadata), lasting=lasting)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the state that ``save`` wrote to ``path``.

    Raises:  CheckpointError – if the file is missing, damaged, altered, too large or of a newer schema
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as deserialise

    path = Path(path)
    what = _what(path)
    header, metadata, content = _read(path, with_arrays=True)
    try:
        arrays = deserialise(content)
    except (SafetensorError, ValueError, LookupError, TypeError) as error:
        raise _damaged(what, quoted(str(error))[1:-1]) from None
    if {name: (array.shape, NAMES.get(array.dtype)) for name, array in arrays.items()} != header.arrays:
        raise _damaged(what, "its header can be read in two ways")
    if _digest(arrays, metadata["state"]) != metadata["digest"]:
        raise _damaged(what, "its content does not agree with its digest")
    return {name: np.array(array) for name, array in arrays.items()}, header.state


def inspect(path: str | os.PathLike[str]) -> Header:
    """What the checkpoint at ``path`` says it holds; no array is read.

    Raises:  CheckpointError – as ``load``, apart from the digest, which needs the arrays
    """
    return _read(Path(path), with_arrays=False)[0]


def require(arrays: Mapping[str, np.ndarray], expected: Mapping[str, tuple[tuple[int, ...], Any]]) -> None:
    """Refuse arrays that are not those of the expected network: ``expected`` maps names to (shape, dtype).

    Raises:  CheckpointError – listing the differences
    """
    differences = [f"{name} is missing" for name in expected if name not in arrays]
    differences += [f"{quoted(name)} is unknown" for name in arrays if name not in expected]
    for name, (shape, dtype) in expected.items():
        if name in arrays:
            have, want = arrays[name], (tuple(shape), np.dtype(dtype))
            if (have.shape, have.dtype) != want:
                differences.append(f"{name} is {have.dtype} {have.shape} instead of {want[1]} {want[0]}")
    if differences:
        more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise CheckpointError(
            f"the checkpoint is of another network: {'; '.join(differences[:5])}{more}; use the "
            "configuration it was trained with"
        )


def save_step(
    run: RunDirectory,
    step: int,
    arrays: Mapping[str, np.ndarray],
    state: Mapping[str, Any],
    keep: int | None = 3,
    *,
    best: int | None = None,
) -> Path:
    """Write checkpoints/step-<step>.safetensors, then its names, then ``prune``, unless keep is None.

    The state is stored with its ``step`` and with the step of the ``best`` checkpoint so far, this one or one
    before: so one rename settles both, and the files ``latest`` and ``best`` only repeat it.

    Raises:  ValueError, TypeError – as ``save``, or for a negative step or no checkpoint to keep;
        StorageError – if it cannot be written
    """
    if not 0 <= step < 10**10 or (keep is not None and keep < 1):
        raise ValueError(
            f"a checkpoint needs a step from 0 to 10^10 - 1 and keep >= 1, received {step} and {keep}"
        )
    path = path_of(run, step)
    state = {**state, "step": step, "best_step": best}
    if isinstance(run, MemoryRun):
        run.keep_moment(step, arrays, state)
    else:
        save(path, arrays, state, lasting=run.lasting)
    write_names(run, path, state)
    if keep is not None:
        prune(run, keep, (step, best))
    return path


def prune(run: RunDirectory, keep: int, steps: Iterable[int | None]) -> None:
    """Remove all checkpoints but the ``keep`` newest and those of ``steps``; what cannot be read stays.

    Raises:  StorageError – if one cannot be removed
    """
    if isinstance(run, MemoryRun):
        return run.prune(keep, steps)
    kept = {path_of(run, step) for step in steps if step is not None}
    for old in paths(run)[:-keep]:
        if old not in kept and _verifies(old):
            try:
                old.unlink(missing_ok=True)
            except OSError as error:
                raise files.storage_error(error, old) from None


def save_frames(run: RunDirectory, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep the curves and the sample of a finished run, in frames.safetensors.

    Raises:  StorageError – if they cannot be written
    """
    if isinstance(run, MemoryRun):
        run.frames = dict(arrays)
    else:
        save(run.path / "frames.safetensors", arrays, {"kind": "frames"}, lasting=run.lasting)


def write_names(run: RunDirectory, path: Path, state: Mapping[str, Any]) -> None:
    """Let the files ``latest`` and ``best`` name the checkpoint at ``path`` and the best as its state has it.

    Raises:  StorageError – if they cannot be written
    """
    if isinstance(run, MemoryRun):
        return
    # Each after the file that it names: a crash in between leaves names of files that are there.
    for name, target in (("latest", path), ("best", best_of(run, state))):
        if target is not None and pointed(run, name) != target:
            files.write_atomic(run.checkpoints / name, target.name.encode() + b"\n", lasting=False)


def latest(run: RunDirectory) -> Latest:
    """The newest checkpoint of ``run`` that verifies.

    Raises:  CheckpointError – if none does
    """
    warnings: list[str] = []
    for path in reversed(paths(run)):
        try:
            return Latest(path, *_load(run, path), tuple(warnings))
        except CheckpointError as error:
            if path not in paths(run):  # removed since it was listed, by a writer that has newer ones
                return latest(run)
            warnings.append(str(error))
    found = "it has none; train it first"
    if warnings:
        found = f"none of its {len(warnings)} verifies; {warnings[0]}"
    raise CheckpointError(f"no checkpoint can be read from {quoted(str(run.path))}: {found}")


def find(run: RunDirectory, which: str) -> Latest:
    """The checkpoint that ``which`` names: "latest", "best" (as the newest that verifies has it) or a step.

    Raises:  CheckpointError – if there is none, or it does not verify
    """
    if which == "latest":
        return latest(run)
    named = {str(step_of(path)): path for path in paths(run)}
    newest = latest(run) if which == "best" or which not in named else None
    best = None if newest is None else best_of(run, newest.state)
    path = best if which == "best" else named.get(which)
    if path is None and which == "best" and newest is not None and latest(run).path != newest.path:
        return find(run, which)  # a writer has a better one by now
    if path is None:
        there = ", ".join(["latest", *(["best"] if best else []), *named])
        raise CheckpointError(f"{quoted(str(run.path))} has no checkpoint {quoted(which)}; it has {there}")
    try:
        return Latest(path, *_load(run, path), () if newest is None else newest.warnings)
    except CheckpointError:
        if which == "best" and best_of(run, latest(run).state) != path:  # a writer has a better one by now
            return find(run, which)
        raise


def best_of(run: RunDirectory, state: Mapping[str, Any]) -> Path | None:
    """The best checkpoint as the ``state`` of one has it, None if it is not there.

    States of older versions say nothing; the file ``best`` does.
    """
    if "best_step" not in state:
        return pointed(run, "best")
    step = state["best_step"]
    path = path_of(run, step) if type(step) is int and 0 <= step < 10**10 else None
    there = path in paths(run) if isinstance(run, MemoryRun) else path is not None and path.exists()
    return path if there else None


def pointed(run: RunDirectory, name: str) -> Path | None:
    """The checkpoint that the file ``latest`` or ``best`` names; None if it names none that is there."""
    try:
        text = files.read_bounded(run.checkpoints / name, MAX_NAME).decode("ascii", "replace").strip()
    except DataError:
        return None
    return run.checkpoints / text if NAME.fullmatch(text) and (run.checkpoints / text).exists() else None


def path_of(run: RunDirectory, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return run.checkpoints / f"step-{step:08d}.safetensors"


def paths(run: RunDirectory) -> list[Path]:
    """The checkpoints of ``run``, oldest first."""
    if isinstance(run, MemoryRun):
        return [path_of(run, step) for step in run.moments]
    try:
        found = [entry for entry in run.checkpoints.iterdir() if NAME.fullmatch(entry.name)]
    except OSError:
        return []
    return sorted(found, key=step_of)


def step_of(path: Path) -> int:
    """The step in a checkpoint's name."""
    return int(path.name[5:].partition(".")[0])


def _load(run: RunDirectory, path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the state of a checkpoint of ``run``.    Raises:  CheckpointError – as ``load``"""
    return run.moments[step_of(path)] if isinstance(run, MemoryRun) else load(path)


def _verifies(path: Path) -> bool:
    try:
        load(path)
    except CheckpointError:
        return False
    return True


def _plain(name: str, array: np.ndarray) -> np.ndarray:
    """``array`` as safetensors stores it: in C order, little-endian."""
    if not isinstance(name, str) or not name or not name.isprintable() or name == "__metadata__":
        raise ValueError(f"a checkpoint's arrays have printable names, received {name!r}")
    if array.dtype.newbyteorder("=") not in NAMES:
        raise TypeError(f"a checkpoint holds {', '.join(DTYPES.values())}; received {array.dtype} for {name}")
    return np.array(array, array.dtype.newbyteorder("<"), order="C")


def _digest(arrays: Mapping[str, np.ndarray], state: str) -> str:
    """BLAKE2b over schema, state, and the names, dtypes, shapes and bytes of the arrays."""
    digest = hashlib.blake2b(digest_size=32)
    # Each part with its length before it, so that no two contents have one encoding.
    for name in sorted(arrays):
        array = arrays[name]
        for part in (
            name.encode(errors="surrogatepass"),
            NAMES[array.dtype].encode(),
            str(array.shape).encode(),
            array.tobytes(),
        ):
            digest.update(struct.pack("<Q", len(part)) + part)
    digest.update(f"minigan checkpoint {SCHEMA}\n{state}".encode(errors="surrogatepass"))
    return digest.hexdigest()


def _what(path: Path) -> str:
    return f"the checkpoint {quoted(str(path))}"


def _damaged(what: str, how: str) -> CheckpointError:
    return CheckpointError(f"{what} is damaged: {how}; use an older one")


def _read(path: Path, with_arrays: bool) -> tuple[Header, dict[str, str], bytes]:
    """The vetted header, its metadata, and the whole file (or only the header's part)."""
    what = _what(path)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{what} is not a regular file; give a .safetensors file")
        if status.st_size > MAX_FILE:
            raise CheckpointError(
                f"{what} has {status.st_size} bytes, more than the {MAX_FILE} that are read"
            )
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())  # by now the name may be that of a newer file
            prefix = file.read(8)
            length = int.from_bytes(prefix, "little")
            if not 2 <= length <= MAX_HEADER and file.read(1) not in (b"{", b""):  # with which one begins
                raise CheckpointError(
                    f"{quoted(str(path))} is no checkpoint; give one from a run's checkpoints"
                )
            file.seek(8)
            if len(prefix) < 8 or length > status.st_size - 8:
                raise _damaged(what, f"it ends within its header, at byte {status.st_size}")
            if length > MAX_HEADER:
                raise _damaged(what, f"its header claims {length} bytes, more than {MAX_HEADER}")
            text = file.read(length)
            header, metadata = _vetted(what, text, status.st_size - 8 - length)
            rest = file.read(status.st_size - 8 - length) if with_arrays else b""
    except OSError as error:
        raise CheckpointError(f"{what} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a NUL in the name
        raise CheckpointError(f"{what} cannot be read: {error}") from None
    return header, metadata, prefix + text + rest


def _vetted(what: str, text: bytes, size: int) -> tuple[Header, dict[str, str]]:
    """The header and its metadata, if its arrays have allowed dtypes and fill the ``size`` bytes after it."""
    entries = files.read_object(text)
    if entries is None:
        raise _damaged(what, "its header is not a JSON object")
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != "minigan":
        raise CheckpointError(f"{what} was not written by minigan; give one from a run's checkpoints")
    schema = metadata.get("schema")
    if isinstance(schema, str) and schema.isascii() and schema.isdecimal() and int(schema[:9]) > SCHEMA:
        raise CheckpointError(
            f"{what} has schema {schema[:9]}, this minigan reads up to {SCHEMA}; install a newer minigan"
        )
    if schema != str(SCHEMA) or set(metadata) != {"format", "schema", "state", "digest"}:
        raise _damaged(what, "its metadata is incomplete")
    state = files.read_object(metadata["state"])
    if state is None:
        raise _damaged(what, "its state is not a JSON object")
    spans, arrays = [], {}
    for name, entry in entries.items():
        match entry:
            case {
                "dtype": str(code),
                "shape": list(shape),
                "data_offsets": [int(begin), int(end)],
                **rest,
            } if code in DTYPES and not rest and all(type(n) is int and 0 <= n <= MAX_FILE for n in shape):
                dtype = DTYPES[code]
                if end - begin != math.prod(shape) * SIZES[code]:
                    raise _damaged(what, f"array {quoted(name)} has a shape that its bytes do not fill")
                spans.append((begin, end))
                arrays[name] = (tuple(shape), dtype)
            case _:
                raise _damaged(what, f"array {quoted(name)} is described by {quoted(entry)}")
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise _damaged(what, f"its arrays do not follow each other at byte {quoted(position)}")
        position = end
    if position != size:
        raise _damaged(what, f"its arrays take {quoted(position)} bytes, and {size} are there")
    return Header(arrays, state), metadata
