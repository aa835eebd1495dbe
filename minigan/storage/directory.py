"""A run is a directory: its configuration, what it ran on, its metrics, log, checkpoints and plots.

One process writes, under a lock that the kernel frees however the process ends; any number may read
meanwhile. A file that is replaced is replaced whole, and one that grows does so by whole lines.
"""

import errno
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

from minigan.errors import BusyError, ConfigError, DataError, StorageError, shown
from minigan.machine import environment

SCHEMA = 1  # of run.json and metrics.jsonl
STATUSES = ("running", "finished", "interrupted", "diverged", "failed")
MAX_JSON = 2**20  # bytes of config.json or run.json
MAX_LINE = 2**16  # bytes of one line of metrics
MAX_ROWS = 200_000  # lines of metrics
RENAMED = {"wall": "seconds", "jsd": "js", "std": "sd"}  # columns of metrics that older runs have
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # a link planted in a run directory must not lead a write out of it


class Metrics(NamedTuple):
    """The lines of metrics.jsonl in order, and how many were unreadable and left out."""

    rows: list[dict[str, Any]]
    skipped: int


class RunDirectory:
    """One run on disk; ``create`` it to write, ``open`` it to read or, with the lock, to go on."""

    def __init__(self, path: Path, lock: Any = None) -> None:
        self.path, self._lock = path, lock
        self._status: dict[str, Any] = {}
        self._columns: tuple[str, ...] | None = None
        self._metrics: int | None = None

    @classmethod
    def create(cls, root: str | os.PathLike[str], name: str, config: bytes) -> Self:
        """A new directory ``<root>/<UTC yyyymmdd-hhmmss>-<name>-<6 hex>/``, locked, with its config.json.

        Raises:  ConfigError – if the name is not 1 to 64 letters, digits, - or _;
            StorageError – if it cannot be made
        """
        if not NAME.fullmatch(name):
            raise ConfigError(f"a run's name is 1 to 64 letters, digits, - or _, received {shown(name)}")
        return cls.create_at(unique_path(root, name), config)

    @classmethod
    def create_at(cls, path: str | os.PathLike[str], config: bytes) -> Self:
        """A new directory at ``path``, locked, with its config.json.

        Raises:  StorageError – if it cannot be made, or is there already
        """
        path = Path(path)
        try:
            made = [folder for folder in (path, *path.parents) if not folder.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise storage_error(error, path) from None
        run = cls(path)
        try:
            run._lock = acquire(path)
            run._make_folders()
            write_atomic(path / "config.json", config)
            for folder in made:
                _sync_directory(folder.parent)
        except BaseException as error:
            run.close()
            shutil.rmtree(path, ignore_errors=True)
            if isinstance(error, OSError):
                raise storage_error(error, path) from None
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
        if not found:
            raise DataError(
                f"{shown(str(path))} is not a run directory ({reason}); give one that train has made"
            )
        if not lock:
            return cls(path)
        run = cls(path)
        try:
            _refuse_links(path)
            run._lock = acquire(path)
            run._make_folders()
            _sweep(path)
            run._status = run._stored_status()
        except BaseException as error:
            run.close()
            if isinstance(error, OSError):
                raise storage_error(error, path) from None
            raise
        return run

    def _make_folders(self) -> None:
        for folder in (self.checkpoints, self.plots):
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise storage_error(error, folder) from None

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
        return read_bounded(self.path / "config.json")

    def write_status(self, status: str, **fields: Any) -> None:
        """Replace run.json: the status, what the run runs on, and ``fields`` (kept by later calls).

        Raises:  ValueError – for another status;  StorageError – if it cannot be written
        """
        if status not in STATUSES:
            raise ValueError(f"status must be one of {', '.join(STATUSES)}; received {status!r}")
        self._require_lock()
        now = _stamp(datetime.now(UTC))
        if "command" not in self._status:
            config = read_object(self.read_config()) or {}
            self._status |= {key: config.get(key) for key in ("name", "seed", "dtype", "backend")}
            self._status["command"] = command()
        # Not only once: the number of threads is set after the start, and a resumed run may run elsewhere.
        self._status |= environment() | {key: _plain(key, value) for key, value in fields.items()}
        self._status |= {"schema": SCHEMA, "status": status, "updated": now}
        first = ("schema", "status", "name", "started", "updated")
        record = {key: self._status[key] for key in first if key in self._status} | self._status
        write_atomic(self.path / "run.json", json.dumps(record, indent=2, allow_nan=False).encode() + b"\n")

    def read_status(self) -> dict[str, Any]:
        """The content of run.json, empty if the run has not written it yet.

        Raises:  DataError – if it is damaged
        """
        path = self.path / "run.json"
        if not path.exists():
            return {}
        status = read_object(read_bounded(path))
        if status is None:
            raise DataError(f"{shown(str(path))} is damaged: it is not one JSON object; remove it")
        return status

    def _stored_status(self) -> dict[str, Any]:
        """What a run that goes on keeps of its run.json; nothing of a damaged one, which is written anew."""
        try:
            return {key: value for key, value in self.read_status().items() if _is_plain(value)}
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
                self._metrics = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o600)
                _sync_directory(self.path)  # syncing a file alone does not make its name last
                _cut_torn_line(self._metrics)
                known = self.read_metrics().rows
                self._columns = tuple(known[0]) if known else None
            columns = self._columns or tuple(row)
            if set(row) != set(columns):
                raise ValueError(
                    f"the columns of the metrics are {columns}, received {tuple(row)}; keep them fixed"
                )
            line = json.dumps({key: _plain(key, row[key]) for key in columns}, allow_nan=False)
            _append(self._metrics, line.encode() + b"\n")
            self._columns = columns
        except OSError as error:
            raise storage_error(error, path) from None

    def read_metrics(self) -> Metrics:
        """The lines of metrics.jsonl; one that is still being written is left for later, garbage is counted.

        Raises:  DataError – if the file cannot be read
        """
        rows: list[dict[str, Any]] = []
        skipped, overlong = 0, False
        path = self.path / "metrics.jsonl"
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise DataError(f"{shown(str(path))} is not a regular file; restore it")
            with open(path, "rb") as file:
                while line := file.readline(MAX_LINE):
                    whole = line.endswith(b"\n")
                    if overlong or not whole:  # a line too long, its beginning or its rest, or the torn last
                        skipped += not overlong and len(line) == MAX_LINE
                        overlong = not whole
                        continue
                    row = _row(line)
                    if len(rows) == MAX_ROWS:
                        raise DataError(
                            f"{shown(str(path))} has more than the {MAX_ROWS} lines that are read"
                        )
                    if row is None or rows and row.keys() != rows[0].keys():
                        skipped += 1
                    else:
                        rows.append(row)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise DataError(f"{shown(str(path))} cannot be read: {error.strerror}") from None
        return Metrics(rows, skipped)

    def cut_metrics(self, step: int) -> Metrics:
        """Remove what comes after the line of ``step``, and a torn last line; returns what is left.

        Raises:  StorageError – if it cannot be cut;  DataError – if the file cannot be read
        """
        self._require_lock()
        path = self.path / "metrics.jsonl"
        try:
            file = os.open(path, os.O_RDWR | NO_LINKS)
            try:
                _cut_torn_line(file)
                end = os.lseek(file, 0, os.SEEK_SET)
                with open(file, "rb", closefd=False) as lines:
                    while line := lines.readline(MAX_LINE):
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
            raise storage_error(error, path) from None
        return self.read_metrics()

    def sync_metrics(self) -> None:
        """Make the lines so far last through a power cut: a checkpoint that counts them comes after them.

        Raises:  StorageError – if they cannot be written
        """
        try:
            if self._metrics is not None:
                os.fsync(self._metrics)
        except OSError as error:
            raise storage_error(error, self.path / "metrics.jsonl") from None

    def log(self, text: str) -> None:
        """Append ``text`` to log.txt with the time before it.

        Raises:  StorageError – if it cannot be written
        """
        self._require_lock()
        path = self.path / "log.txt"
        lines = "\n    ".join(text.splitlines())
        line = f"{_stamp(datetime.now(UTC))} {lines}\n"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o600)
            try:
                _append(file, line.encode(errors="backslashreplace"))
            finally:
                os.close(file)
        except OSError as error:
            raise storage_error(error, path) from None

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
                f"{shown(str(self.path))} is open for reading only; open it with lock=True to write"
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


def write_atomic(path: str | os.PathLike[str], content: bytes) -> None:
    """Make ``path`` hold ``content``; after a crash at any moment it holds the old bytes or the new.

    Raises:  StorageError – if it cannot be written; the old file is then as it was
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINKS, 0o600)
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise storage_error(error, path) from None


def _sync_directory(path: Path) -> None:
    """Make the names in ``path`` last through a power cut, where the system can (POSIX)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def storage_error(error: Exception, path: Path) -> StorageError:
    """What a failed write to ``path`` means to the user, with the free space where that is the reason."""
    reason = getattr(error, "strerror", None) or str(error)
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = f"; {_free_space(path)}make room or choose another directory with --out"
    else:
        advice = "; choose another directory with --out"
    return StorageError(f"{shown(str(path))} cannot be written: {reason}{advice}")


def _free_space(path: Path) -> str:
    for place in (path, *path.parents):
        try:
            return f"{shutil.disk_usage(place).free / 2**20:.4g} MiB are free there, "
        except OSError:
            continue
    return ""


def acquire(path: Path) -> Any:
    """The lock of a directory; ``release`` it.    Raises:  BusyError – if another process has it"""
    import filelock

    lock = filelock.FileLock(path / ".lock", mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise BusyError(
            f"another process writes to {shown(str(path))}; wait for it or start anew elsewhere"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise storage_error(error, path / ".lock") from None
    return lock


def _refuse_links(path: Path) -> None:
    """A run directory may come from anyone, so nothing in it may lead a write elsewhere."""
    for folder in (path, path / "checkpoints", path / "plots"):
        for entry in _entries(folder):
            if entry.is_symlink():
                raise DataError(
                    f"{shown(entry.path)} is a link, which a run directory may not hold; remove it"
                )


def _sweep(path: Path) -> None:
    """Remove the temporary files of writers that were killed."""
    for folder in (path, path / "checkpoints"):
        for entry in _entries(folder):
            if TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                os.unlink(entry.path)


def _entries(folder: Path) -> Iterable[os.DirEntry[str]]:
    return list(os.scandir(folder)) if folder.is_dir() else []


def read_bounded(path: Path, most: int = MAX_JSON) -> bytes:
    """The content of a file of at most so many bytes.    Raises:  DataError – if it cannot be read"""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError(f"{shown(str(path))} is not a regular file; restore it")
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{shown(str(path))} cannot be read: {reason}") from None
    if len(content) > most:
        raise DataError(
            f"{shown(str(path))} is longer than the {most} bytes such a file may have; restore it"
        )
    return content


def _append(file: int, content: bytes) -> None:
    """Append whole lines or nothing."""
    end = os.lseek(file, 0, os.SEEK_END)
    try:
        while content:
            content = content[os.write(file, content) :]
    except OSError:
        os.ftruncate(file, end)
        raise


def _cut_torn_line(file: int) -> None:
    """Cut what a killed writer left of its last line."""
    end = position = os.lseek(file, 0, os.SEEK_END)
    while position > 0:
        start = max(position - MAX_LINE, 0)
        newline = os.pread(file, position - start, start).rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position < end:
        os.ftruncate(file, position)


def _is_beyond(value: object, step: int) -> bool:
    return isinstance(value, (int, float)) and value > step


def _row(line: bytes) -> dict[str, Any] | None:
    row = read_object(line)
    if not row or not all(_is_plain(value) for value in row.values()):
        return None
    return {RENAMED.get(name, name): value for name, value in row.items()}


def read_object(text: bytes) -> dict[str, Any] | None:
    """The JSON object in ``text``; None if it holds none."""
    try:
        value = json.loads(text.decode())  # of bytes json would guess the encoding
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


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
