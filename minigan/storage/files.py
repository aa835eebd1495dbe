"""Files that survive a crash and come from anyone: replaced whole, grown by whole lines, read within bounds.

One process writes to a directory, under a lock that the kernel frees however the process ends.
"""

import errno
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minigan.errors import BusyError, DataError, StorageError, quoted

MAX_JSON = 2**20  # bytes of a JSON file
MAX_LINE = 2**16  # bytes of one line of a file that grows
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # a link planted in a directory must not lead a write out of it


# ── writing


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
        sync_directory(path.parent)
    except OSError as error:
        raise storage_error(error, path) from None


def sync_directory(path: Path) -> None:
    """Make the names in ``path`` last through a power cut, where the system can (POSIX)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def append(file: int, content: bytes) -> None:
    """Append whole lines to an open file, or nothing.    Raises:  OSError – if it cannot be written"""
    end = os.lseek(file, 0, os.SEEK_END)
    try:
        while content:
            content = content[os.write(file, content) :]
    except OSError:
        os.ftruncate(file, end)
        raise


def cut_torn_line(file: int) -> None:
    """Cut what a killed writer left of the last line of an open file."""
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


def acquire(path: Path) -> Any:
    """The lock of a directory; ``release`` it.    Raises:  BusyError – if another process has it"""
    import filelock

    lock = filelock.FileLock(path / ".lock", mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise BusyError(
            f"another process writes to {quoted(str(path))}; wait for it or start anew elsewhere"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise storage_error(error, path / ".lock") from None
    return lock


def refuse_links(folder: Path) -> None:
    """Refuse a folder, which may come from anyone, in which something leads a write elsewhere.

    Raises:  DataError – with the name of the link
    """
    for entry in _entries(folder):
        if entry.is_symlink():
            raise DataError(f"{quoted(entry.path)} is a link, which a run directory may not hold; remove it")


def remove_temporaries(folder: Path) -> None:
    """Remove what ``write_atomic`` left of writers that were killed."""
    for entry in _entries(folder):
        if TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            os.unlink(entry.path)


def _entries(folder: Path) -> Iterable[os.DirEntry[str]]:
    return list(os.scandir(folder)) if folder.is_dir() else []


# ── reading


def read_bounded(path: Path, most: int = MAX_JSON) -> bytes:
    """The content of a file of at most so many bytes.    Raises:  DataError – if it cannot be read"""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError(f"{quoted(str(path))} is not a regular file; restore it")
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{quoted(str(path))} cannot be read: {reason}") from None
    if len(content) > most:
        raise DataError(
            f"{quoted(str(path))} is longer than the {most} bytes such a file may have; restore it"
        )
    return content


def read_object(text: bytes | str) -> dict[str, Any] | None:
    """The JSON object in ``text``; None if it holds none, or is no text."""
    try:
        # Of bytes json would guess the encoding, and load the codec of whatever it guessed.
        value = json.loads(text.decode() if isinstance(text, bytes) else text)
    except (ValueError, TypeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


# ── refusing


def storage_error(error: Exception, path: Path) -> StorageError:
    """What a failed write to ``path`` means to the user, with the free space where that is the reason."""
    reason = getattr(error, "strerror", None) or str(error)
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = f"; {_free_space(path)}make room or choose another directory with --out"
    else:
        advice = "; choose another directory with --out"
    return StorageError(f"{quoted(str(path))} cannot be written: {reason}{advice}")


def _free_space(path: Path) -> str:
    for place in (path, *path.parents):
        try:
            return f"{shutil.disk_usage(place).free / 2**20:.4g} MiB are free there, "
        except OSError:
            continue
    return ""
