"""This machine, as far as a run depends on it: BLAS and its threads, what a run runs on, memory that is free.

Its bits depend on the first two, and whether it can begin on the third.
"""

import os
import platform
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from minigan._version import __version__
from minigan.errors import ConfigError

# ── BLAS and its threads


def describe_blas() -> dict[str, Any]:
    """The library behind NumPy's matrix products: name, version, kernel architecture and number of threads.

    The bits of a product depend on all four.
    """
    library = _numpy_blas()
    entry = {} if library is None else library.info()  # asked each time: the number of threads changes
    return {
        "name": entry.get("internal_api"),
        "version": entry.get("version"),
        "architecture": entry.get("architecture"),
        "threads": entry.get("num_threads"),
    }


@cache
def _numpy_blas() -> Any:
    """NumPy's BLAS, looked for once: it takes longer than a step, and is asked for with each run.json."""
    import numpy  # noqa: F401  loaded, so that its library is among those listed
    import threadpoolctl

    found = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    # SciPy brings a second copy, which may have other settings.
    return min(found, key=lambda library: "numpy" not in str(library.filepath), default=None)


def set_threads(threads: int) -> Callable[[], None]:
    """Every BLAS of the process uses so many threads from now on; returns what takes that back."""
    import threadpoolctl

    # From 3.8 on threadpoolctl ignores, without a word, all threads but the first that set OpenBLAS's number,
    # until that one gives it up. Runs may begin and end in any thread: it is taken, and given up.
    give_up = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda force: None)

    def apply(numbers: list[int]) -> None:
        give_up(force=True)
        for library, number in zip(libraries, numbers, strict=True):
            library.set_num_threads(number)
        give_up(force=True)

    libraries = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    before = [library.num_threads for library in libraries]
    apply([threads] * len(libraries))
    return lambda: apply(before)


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """BLAS uses so many threads in the block; what the number was before is restored."""
    restore = set_threads(threads)
    try:
        yield
    finally:
        restore()


_pins: list[tuple[int, Callable[[], None]]] = []  # for each run: its number, and what ends the hold of all
_pins_lock = threading.Lock()


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """As ``limited``, of runs that may overlap in the threads of a process: restored when the last one ends.

    Raises:  ConfigError – if another run of this process has pinned another number
    """
    with _pins_lock:
        if _pins and _pins[0][0] != threads:
            raise ConfigError(
                f"another run of this process computes with {_pins[0][0]} threads, this one asks for "
                f"{threads}; give both one number, or a process each"
            )
        _pins.append(_pins[0] if _pins else (threads, set_threads(threads)))
    try:
        yield
    finally:
        with _pins_lock:
            _, restore = _pins.pop()
            if not _pins:
                restore()


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS has one thread in the block, of work with threads of its own that call it.

    In a run that is ``pinned`` it stays so until that ends: all that the run computes has one number of them.
    """
    restore = set_threads(1)
    try:
        yield
    finally:
        with _pins_lock:
            if not _pins:
                restore()


# ── what a run runs on


def environment() -> dict[str, Any]:
    """What the run runs on: versions, processor, BLAS with kernels and threads; no environment variables."""
    return {
        "minigan": __version__,
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "scipy": version("scipy"),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "blas": describe_blas(),
    }


@cache
def version(distribution: str) -> str | None:
    """The installed version, None if it is not installed; it itself is not imported."""
    from importlib import metadata  # which brings e-mail along

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _text(path: str | Path) -> str:
    """A file of the kernel's, whatever the locale.    Raises:  OSError"""
    return Path(path).read_text(encoding="utf-8", errors="replace")


@cache
def cpu_model() -> str:
    """The processor's name."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or "unknown"


# ── memory


def cores() -> int:
    """The processor's cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def require_memory(size: int, what: str, advice: str, available: int | None) -> None:
    """Refuse work of so many bytes before it takes them.

    Raises:  ConfigError – if they are more than the ``available`` ones, where these are known
    """
    if available is not None and size > available:
        raise ConfigError(
            f"{what} takes at least {size / 2**30:.3g} GiB, but only {available / 2**30:.3g} GiB of memory "
            f"is free; {advice}"
        )


def available_memory() -> int | None:
    """The bytes this process can still take, None if the system does not tell.

    It is the least of the machine's free memory, the container's limit and the process's address space.
    """
    limits = [_free_memory(), _container_memory(), _address_space()]
    return min((limit for limit in limits if limit is not None), default=None)


def _free_memory() -> int | None:
    try:
        return int(re.search(r"MemAvailable:\s+(\d+) kB", _text("/proc/meminfo"))[1]) * 1024  # type: ignore[index]
    except (OSError, TypeError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _container_memory() -> int | None:
    try:
        group = Path("/sys/fs/cgroup")
        return int(_text(group / "memory.max")) - int(_text(group / "memory.current"))
    except (OSError, ValueError):  # no container, or the limit is "max"
        return None


def _address_space() -> int | None:
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(_text("/proc/self/statm").split()[0])
        return None if limit == resource.RLIM_INFINITY else max(limit - pages * resource.getpagesize(), 0)
    except (ImportError, OSError, ValueError):
        return None
