"""A run is a directory: its configuration, what it ran on, its metrics, log, checkpoints and plots.

One process writes, under a lock that the kernel frees however the process ends; any number may read
meanwhile. How files are written and read is in ``files``.
"""

import json
import math
import os
import re
import secrets
import shlex
import shutil
import stat
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from minigan.errors import ConfigError, DataError, quoted
from minigan.machine import environment
from minigan.storage import files

SCHEMA = 1  # of run.json and metrics.jsonl
STATUSES = ("running", "finished", "interrupted", "diverged", "failed")
STOPPED = "stopped"  # of a run that says "running", and whose process is gone
MAX_ROWS = 200_000  # lines of metrics
RENAMED = {"wall": "seconds", "jsd": "js", "std": "sd"}  # columns of metrics that older runs have
FILES = (
    "config.json", "run.json", "metrics.jsonl", "log.txt", "frames.safetensors", "verdict.json", ".lock",
    "latest", "best", "overview.png",
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Metrics(NamedTuple):
    """The lines of metrics.jsonl in order, and how many were unreadable and left out."""

    rows: list[dict[str, Any]]
    skipped: int


class RunDirectory:
    """One run on disk; ``create`` it to write, ``open`` it to read or, with the lock, to go on.

    lasting  whether what is written lasts through a power cut from then on; else from the next ``sync``, as
             where many runs are written together, and one that was only made is made again
    """

    def __init__(self, path: Path, lock: Any = None, *, lasting: bool = True) -> None:
        self.path, self._lock, self.lasting = path, lock, lasting
        self._status: dict[str, Any] = {}
        self._previous: str | None = None
        self._columns: tuple[str, ...] | None = None
        self._metrics: int | None = None

    @classmethod
    def create(cls, root: str | os.PathLike[str], name: str, config: bytes) -> Self:
        """A new directory ``<root>/<UTC yyyymmdd-hhmmss>-<name>-<6 hex>/``, locked, with its config.json.

        Raises:  ConfigError – if the name is not 1 to 64 letters, digits, - or _;
            StorageError – if it cannot be made
        """
        if not NAME.fullmatch(name):
            raise ConfigError(f"a run's name is 1 to 64 letters, digits, - or _, received {quoted(name)}")
        return cls.create_at(unique_path(root, name), config)

    @classmethod
    def create_at(cls, path: str | os.PathLike[str], config: bytes, *, lasting: bool = True) -> Self:
        """A new directory at ``path``, locked, with its config.json.

        Raises:  StorageError – if it cannot be made, or is there already
        """
        path = Path(path)
        try:
            made = [folder for folder in (path, *path.parents) if not folder.exists()] if lasting else []
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise files.storage_error(error, path) from None
        run = cls(path, lasting=lasting)
        try:
            run._lock = files.acquire(path)
            run._make_folders()
            files.write_atomic(path / "config.json", config, lasting=lasting)
            for folder in made:
                files.sync_directory(folder.parent)
        except BaseException as error:
            run.close()
            shutil.rmtree(path, ignore_errors=True)
            if isinstance(error, OSError):
                raise files.storage_error(error, path) from None
            raise
        run._status["started"] = _stamp(datetime.now(UTC))
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, lock: bool = False) -> Self:
        """An existing run directory, to read; with ``lock`` also to write.

        Raises:  DataError – if it is not a run directory;  BusyError – if another process writes to it
        """
        path = Path(path)
        try:
            found = stat.S_ISREG(os.stat(path / "config.json").st_mode)
            reason = "its config.json is not a file"
        except (OSError, ValueError) as error:
            found, reason = False, f"{getattr(error, 'strerror', None) or error}: config.json"
        if not found and os.path.exists(path / "sweep.json"):
            raise DataError(
                f"{quoted(str(path))} is the directory of a sweep; name one of its runs, or go on with them "
                "all by `minigan sweep --resume`"
            )
        if not found:
            raise DataError(
                f"{quoted(str(path))} is not a run directory ({reason}); give one that train has made"
            )
        if not lock:
            return cls(path)
        run = cls(path)
        try:
            folders = (run.path, run.checkpoints, run.plots)
            for folder in folders:
                files.refuse_strange(folder, FILES)
            run._lock = files.acquire(path)
            run._make_folders()
            for folder in folders:
                files.remove_temporaries(folder)
            run._status = run._stored_status()
            run._previous = run._status.get("status", "running")
        except BaseException as error:
            run.close()
            if isinstance(error, OSError):
                raise files.storage_error(error, path) from None
            raise
        return run

    def _make_folders(self) -> None:
        for folder in (self.checkpoints, self.plots):
            try:
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise files.storage_error(error, folder) from None

    @property
    def previous(self) -> str | None:
        """How a run that is open to go on stood before; None for a new one."""
        status = self._previous
        return STOPPED if status == "running" else status

    @property
    def resuming(self) -> str:
        """What goes on with the run."""
        return f"--resume {self.path}"

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / "checkpoints"

    @property
    def plots(self) -> Path:
        """Where the figures are."""
        return self.path / "plots"

    def read_config(self) -> bytes:
        """The text of config.json.

        Raises:  DataError – if it cannot be read
        """
        return files.read_bounded(self.path / "config.json")

    def write_config(self, config: bytes) -> None:
        """Replace config.json.    Raises:  StorageError – if it cannot be written"""
        self._require_lock()
        files.write_atomic(self.path / "config.json", config, lasting=self.lasting)

    def write_status(self, status: str, **fields: Any) -> None:
        """Replace run.json: the status, what the run runs on, and ``fields`` (kept by later calls).

        Raises:  ValueError – for another status;  StorageError – if it cannot be written
        """
        if status not in STATUSES:
            raise ValueError(f"status must be one of {', '.join(STATUSES)}; received {status!r}")
        self._require_lock()
        now = _stamp(datetime.now(UTC))
        if "command" not in self._status:
            config = files.read_object(self.read_config()) or {}
            self._status |= {key: config.get(key) for key in ("name", "seed", "dtype", "backend")}
            self._status["command"] = command()
        # Not only once: the number of threads is set after the start, and a resumed run may run elsewhere.
        self._status |= environment() | {key: _plain(key, value) for key, value in fields.items()}
        self._status |= {"schema": SCHEMA, "status": status, "updated": now}
        first = ("schema", "status", "name", "started", "updated")
        record = {key: self._status[key] for key in first if key in self._status} | self._status
        files.write_atomic(self.path / "run.json", files.indented(record), lasting=self.lasting)

    def read_status(self) -> dict[str, Any]:
        """The content of run.json, empty if the run has not written it yet.

        A run that was killed cannot say so: where run.json says "running" and no process has the lock, or is
        missing, the status is "stopped".

        Raises:  DataError – if it is damaged
        """
        status = self._written_status()
        if status.get("status", "running") == "running" and not files.is_held(self.path):
            status = self._written_status()  # its last words may have come before it gave up the lock
            if status.get("status", "running") == "running":
                status |= {"status": STOPPED}
        return status

    def _written_status(self) -> dict[str, Any]:
        path = self.path / "run.json"
        if not path.exists():
            return {}
        status = files.read_object(files.read_bounded(path))
        if status is None:
            raise DataError(f"{quoted(str(path))} is damaged: it is not one JSON object; remove it")
        return status

    def _stored_status(self) -> dict[str, Any]:
        """What a run that goes on keeps of its run.json; nothing of a damaged one, which is written anew."""
        try:
            return {key: value for key, value in self._written_status().items() if _is_plain(value)}
        except DataError:
            return {}

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl; numbers that are not finite are written as null.

        Raises:  ValueError – if the columns are not those of the first line;
            StorageError – if it cannot be written
        """
        self._require_lock()
        path = self.path / "metrics.jsonl"
        try:
            if self._metrics is None:
                self._metrics = self._open_metrics(path, tuple(row))
            columns = self._columns or tuple(row)
            if set(row) != set(columns):
                raise ValueError(
                    f"the columns of the metrics are {columns}, received {tuple(row)}; keep them fixed"
                )
            line = json.dumps(plain_row({key: row[key] for key in columns}), allow_nan=False)
            files.append(self._metrics, line.encode() + b"\n")
            self._columns = columns
        except OSError as error:
            raise files.storage_error(error, path) from None

    def _open_metrics(self, path: Path, columns: tuple[str, ...]) -> int:
        """Open metrics.jsonl to go on with ``columns``; lines of an older version get those names too."""
        rows = self.read_metrics().rows
        known = tuple(rows[0]) if rows else None
        if known and (set(known) < set(columns) or _has_old_names(path)):
            known = tuple(dict.fromkeys((*columns, *known)))
            lines = (json.dumps({name: row.get(name) for name in known}) + "\n" for row in rows)
            files.write_atomic(path, "".join(lines).encode())
        file, self._columns = files.open_to_append(path), known
        try:
            if self.lasting:
                files.sync_directory(self.path)  # syncing a file alone does not make its name last
            files.cut_torn_line(file)
        except BaseException:
            os.close(file)
            raise
        return file

    def read_metrics(self) -> Metrics:
        """The lines of metrics.jsonl; one that is still being written is left for later, garbage is counted.

        Raises:  DataError – if the file cannot be read
        """
        rows: list[dict[str, Any]] = []
        skipped, overlong = 0, False
        path = self.path / "metrics.jsonl"
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise DataError(f"{quoted(str(path))} is not a regular file; restore it")
            with open(path, "rb") as file:
                while line := file.readline(files.MAX_LINE):
                    whole = line.endswith(b"\n")
                    if overlong or not whole:  # a line too long, its beginning or its rest, or the torn last
                        skipped += not overlong and len(line) == files.MAX_LINE
                        overlong = not whole
                        continue
                    row = _row(line)
                    if len(rows) == MAX_ROWS:
                        raise DataError(
                            f"{quoted(str(path))} has more than the {MAX_ROWS} lines that are read"
                        )
                    if row is None or rows and row.keys() != rows[0].keys():
                        skipped += 1
                    else:
                        rows.append(row)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise DataError(f"{quoted(str(path))} cannot be read: {error.strerror}") from None
        return Metrics(rows, skipped)

    def cut_metrics(self, step: int) -> Metrics:
        """Remove what comes after the line of ``step``, and a torn last line; returns what is left.

        Raises:  StorageError – if it cannot be cut;  DataError – if the file cannot be read
        """
        self._require_lock()
        path = self.path / "metrics.jsonl"
        try:
            file = os.open(path, os.O_RDWR | files.NO_LINKS)
            try:
                files.cut_torn_line(file)
                end = os.lseek(file, 0, os.SEEK_SET)
                with open(file, "rb", closefd=False) as lines:
                    while line := lines.readline(files.MAX_LINE):
                        row = _row(line) if line.endswith(b"\n") else None
                        if row is not None and _is_beyond(row.get("step"), step):
                            os.ftruncate(file, end)
                            break
                        end += len(line)
                os.fsync(file)
            finally:
                os.close(file)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise files.storage_error(error, path) from None
        return self.read_metrics()

    def sync_metrics(self) -> None:
        """Make the lines so far last through a power cut: a checkpoint that counts them comes after them.

        Raises:  StorageError – if they cannot be written
        """
        try:
            if self._metrics is not None and self.lasting:
                os.fsync(self._metrics)
        except OSError as error:
            raise files.storage_error(error, self.path / "metrics.jsonl") from None

    def write_verdict(self, verdict: Mapping[str, Any]) -> None:
        """Replace verdict.json.    Raises:  StorageError – if it cannot be written"""
        files.write_atomic(self.path / "verdict.json", files.indented(verdict), lasting=self.lasting)

    def sync(self) -> None:
        """Make what was written so far last; with it that of all runs on the same file system.

        Raises:  StorageError – if something cannot be written
        """
        if not self.lasting:
            files.sync_file_system(self.path)

    def log(self, text: str) -> None:
        """Append ``text`` to log.txt with the time before it.

        Raises:  StorageError – if it cannot be written
        """
        self._require_lock()
        path = self.path / "log.txt"
        lines = "\n    ".join(text.splitlines())
        line = f"{_stamp(datetime.now(UTC))} {lines}\n"
        try:
            file = files.open_to_append(path)
            try:
                files.append(file, line.encode(errors="backslashreplace"))
            finally:
                os.close(file)
        except OSError as error:
            raise files.storage_error(error, path) from None

    def close(self) -> None:
        """Release the lock; the directory can still be read."""
        if self._metrics is not None:
            os.close(self._metrics)
            self._metrics = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _require_lock(self) -> None:
        if self._lock is None:
            raise ValueError(
                f"{quoted(str(self.path))} is open for reading only; open it with lock=True to write"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<run {self.path}{' (locked)' if self._lock else ''}>"


def unique_path(root: str | os.PathLike[str], name: str) -> Path:
    """<root>/<UTC yyyymmdd-hhmmss>-<name>-<6 hex>: a name that no other run has."""
    # The random part keeps apart jobs that start in one second.
    return Path(root) / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}-{secrets.token_hex(3)}"


def _has_old_names(path: Path) -> bool:
    """Whether the first line of metrics has names that columns had before."""
    with open(path, "rb") as file:
        while line := file.readline(files.MAX_LINE):
            if row := files.read_object(line):
                return any(name in RENAMED for name in row)
    return False


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of metrics as JSON has it.    Raises:  TypeError – for what is neither number nor text"""
    return {key: _plain(key, value) for key, value in row.items()}


def _is_beyond(value: object, step: int) -> bool:
    return isinstance(value, (int, float)) and value > step


def _row(line: bytes) -> dict[str, Any] | None:
    row = files.read_object(line)
    if not row or not all(_is_plain(value) for value in row.values()):
        return None
    return {RENAMED.get(name, name): value for name, value in row.items()}


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int, str))


def _plain(key: str, value: Any) -> Any:
    """``value`` as JSON has it: NumPy scalars as Python numbers, numbers that are not finite as None."""
    if isinstance(value, Mapping):
        return {str(inner): _plain(f"{key}.{inner}", item) for inner, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(key, item) for item in value]
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if not _is_plain(value):
        raise TypeError(f"{key} must be a number, text, truth value or None; received {type(value).__name__}")
    return value


def _stamp(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def command(arguments: Iterable[str] | None = None, home: str | None = None) -> str:
    """The command line (default: of this process), with the home directory written as ~."""
    program, *rest = sys.argv if arguments is None else arguments
    program = Path(program).name
    start = "python -m minigan" if program == "__main__.py" else shlex.quote(program)
    text = " ".join([start, *map(shlex.quote, rest)])
    home = os.path.expanduser("~") if home is None else home
    # A home of / (in containers) is nobody's name.
    return text if len(home) < 2 else re.sub(rf"(?<![\w.-]){re.escape(home)}(?![\w.-])", "~", text)
