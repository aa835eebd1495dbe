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
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from minigan.errors import BusyError, DataError, StorageError, quoted

MAX_JSON = 2**20  # bytes of a JSON file
MAX_LINE = 2**16  # bytes of one line of a file that grows
LOOKS, LOOK_SECONDS = 5, 0.02  # at a lock that is taken, before it is called so
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # a link planted in a directory must not lead a write out of it


# ── writing


def write_atomic(path: str | os.PathLike[str], content: bytes, *, lasting: bool = True) -> None:
    """Make ``path`` hold ``content``; after a crash at any moment it holds the old bytes or the new.

    A new file has the permissions that the umask leaves, one that is replaced keeps its own.

    lasting  also after a power cut, which takes as long as the disk does; not for what only repeats another
             file, and is written again from it

    Raises:  StorageError – if it cannot be written; the old file is then as it was
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINKS, 0o666)
            with open(descriptor, "wb") as file:
                with suppress(FileNotFoundError):
                    os.chmod(temporary, stat.S_IMODE(os.stat(path, follow_symlinks=False).st_mode) & 0o777)
                file.write(content)
                file.flush()
                if lasting:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        if lasting:
            sync_directory(Path(folder))
    except OSError as error:
        raise storage_error(error, Path(path)) from None


def sync_directory(path: Path) -> None:
    """Make the names in ``path`` last through a power cut, where the system can (POSIX)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_file_system(path: Path) -> None:
    """Make all that was written where ``path`` is last through a power cut: of many files sooner than each.

    Raises:  StorageError – if something cannot be written
    """
    import ctypes

    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError, TypeError):  # not Linux
        getattr(os, "sync", int)()
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if syncfs(descriptor):
            raise storage_error(OSError(code := ctypes.get_errno(), os.strerror(code)), path)
    finally:
        os.close(descriptor)


def open_to_append(path: Path) -> int:
    """A descriptor of a file that grows.

    Raises:  DataError – if something else is there, which would take a line and lose it, or wait for a reader
    """
    # A FIFO that nobody reads would keep an open waiting.
    flags = os.O_RDWR | os.O_CREAT | NO_LINKS | getattr(os, "O_NONBLOCK", 0)
    file = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise DataError(f"{quoted(str(path))} is not a regular file; remove it")
    return file


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

    try:
        # Made here, or the library's own permissions would replace those that the umask leaves.
        file = open_to_append(path / ".lock")
        mode = stat.S_IMODE(os.fstat(file).st_mode)
        os.close(file)
        lock = filelock.FileLock(path / ".lock", mode=mode & 0o777 | 0o600, thread_local=False)
        for attempt in range(LOOKS):
            with suppress(filelock.Timeout):
                lock.acquire(blocking=False)
                return lock
            if attempt < LOOKS - 1:
                time.sleep(LOOK_SECONDS)  # whoever asks ``is_held`` has it for a moment
    except (OSError, NotImplementedError) as error:
        raise storage_error(error, path / ".lock") from None
    raise BusyError(f"another process writes to {quoted(str(path))}; wait for it or start anew elsewhere")


def is_held(path: Path) -> bool:
    """Whether a process has the lock of a directory; also where that cannot be told."""
    try:
        import fcntl

        lock = os.open(path / ".lock", os.O_RDONLY | NO_LINKS | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except (ImportError, OSError):
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def refuse_strange(folder: Path, files: Iterable[str] = ()) -> None:
    """Refuse a folder, which may come from anyone, in which a write would go elsewhere or nowhere.

    files  the names that are to be those of files

    Raises:  DataError – with the name of a link, pipe, socket or device, or of a directory in a file's place
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise DataError(f"{quoted(str(folder))} is a file where a directory belongs; remove it")
    for entry in _entries(folder):
        mode, what = entry.stat(follow_symlinks=False).st_mode, None
        if stat.S_ISLNK(mode):
            what = "a link"
        elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            what = "no regular file"
        if what is not None:
            raise DataError(f"{quoted(entry.path)} is {what}, which a run directory may not hold; remove it")
        if stat.S_ISDIR(mode) and entry.name in files:
            raise DataError(f"{quoted(entry.path)} is a directory where a file belongs; remove it")


def remove_temporaries(folder: Path) -> None:
    """Remove what ``write_atomic`` left of writers that were killed."""
    for entry in _entries(folder):
        if TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            os.unlink(entry.path)


def _entries(folder: Path) -> Iterable[os.DirEntry[str]]:
    return list(os.scandir(folder)) if folder.is_dir() else []


def indented(content: Any) -> bytes:
    """``json.dumps(content, indent=2)`` in a line of its own, several times as fast.

    Raises:  ValueError – for a number that is not finite
    """
    import msgspec

    text = json.dumps(content, allow_nan=False)
    try:
        return msgspec.json.format(text.encode(), indent=2) + b"\n"
    except msgspec.DecodeError:  # a surrogate that stands alone, as in an argument that was no text
        return json.dumps(content, indent=2).encode() + b"\n"


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
        advice = f"; {_free_space(path)}make room or write it elsewhere"
    else:
        advice = "; write it elsewhere"
    if code in (errno.EEXIST, errno.ENOTDIR):
        in_the_way = next(filter(os.path.isfile, path.parents), None)
        reason = reason if in_the_way is None else f"{quoted(str(in_the_way))} is a file, and no directory"
    return StorageError(f"{quoted(str(path))} cannot be written: {reason}{advice}")


def _free_space(path: Path) -> str:
    for place in (path, *path.parents):
        try:
            return f"{shutil.disk_usage(place).free / 2**20:.4g} MiB are free there, "
        except OSError:
            continue
    return ""
