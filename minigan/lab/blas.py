"""BLAS of this process: which it is, and how many threads it uses; both decide the last bits of a product."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minigan.lab.errors import ConfigError


def describe() -> dict[str, Any]:
    """The library behind NumPy's matrix products: name, version, kernel architecture and number of threads.

    The bits of a product depend on all four.
    """
    import numpy  # noqa: F401  loaded, so that its library is among those listed
    import threadpoolctl

    found = [entry for entry in threadpoolctl.threadpool_info() if entry.get("user_api") == "blas"]
    # SciPy brings a second copy, which may have other settings.
    found.sort(key=lambda entry: "numpy" not in str(entry.get("filepath")))
    entry = found[0] if found else {}
    return {
        "name": entry.get("internal_api"),
        "version": entry.get("version"),
        "architecture": entry.get("architecture"),
        "threads": entry.get("num_threads"),
    }


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
