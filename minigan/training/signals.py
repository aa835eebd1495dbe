"""SIGINT, SIGTERM and SIGHUP: while a run trains the first is noted, for a clean end; others act at once.

SIGQUIT is left as it is, the way to end a process on the spot.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

HANGUP = getattr(
    signal, "SIGHUP", None
)  # of a terminal that is closed; nohup has it ignored, and so it stays
STOPPING = [signal.SIGINT, signal.SIGTERM, *([] if HANGUP is None else [HANGUP])]


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end; its exit code is 128 plus the signal's number.

    As any Ctrl-C it passes an ``except Exception``, so that a loop over seeds ends with it.

    run  what was trained until then, where ``fit`` or ``Run.resume`` raised it

    >>> issubclass(mg.Interrupted, Exception), issubclass(mg.Interrupted, KeyboardInterrupt)
    (False, True)
    """

    run: Any = None

    def __init__(self, number: int, where: str, resuming: str = "") -> None:
        super().__init__(
            f"stopped by {signal.Signals(number).name}; what was trained so far is in {where}, "
            f"and goes on with {resuming or f'--resume {where}'}"
        )
        self.number, self.exit_code = number, 128 + number


class Stopped(KeyboardInterrupt):
    """SIGINT.  Of a plain KeyboardInterrupt Python remembers that it was seen, and ends the process by it."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, as KeyboardInterrupt is SIGINT: no part of the program takes it for an error."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = number


def stop(number: int, frame: Any) -> None:
    """Leave now.    Raises:  Stopped – for SIGINT;  Terminated – for the others"""
    raise Stopped if number == signal.SIGINT else Terminated(number)


def signal_main(number: int) -> None:
    """Send a signal to the main thread, which wakes it where it waits for another process."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


@contextmanager
def handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """The signals that stop call ``handler``; outside the main thread nothing changes."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [
            number for number in STOPPING if number != HANGUP or signal.getsignal(number) != signal.SIG_IGN
        ]
        before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def noted(also: Callable[[int], Any] = lambda number: None) -> Iterator[list[int]]:
    """The first signal is appended to the list that is given, and to ``also``; a second acts at once."""
    caught: list[int] = []

    def note(number: int, frame: Any) -> None:
        if caught:
            stop(number, frame)
        caught.append(number)
        also(number)

    with handled(note):
        yield caught
