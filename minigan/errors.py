"""The errors a user can cause, each with the exit code that the command line promises for it.

A message is one sentence that says what was asked, what was received and what to do; the command line prints
it without a traceback.
"""

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any


class MiniganError(Exception):
    """An expected failure of a run; ``exit_code`` is what the process leaves with.

    run  what was trained until then, where ``fit`` or ``Run.resume`` raised it

    >>> try:
    ...     mg.fit("normal(4, 1.25)", steps=-1)
    ... except mg.MiniganError as error:
    ...     print(type(error).__name__, error.exit_code)
    ...
    ConfigError 2
    """

    exit_code = 1
    run: Any = None


class ConfigError(MiniganError):
    """The command line, a preset, a configuration file or a value in it was refused."""

    exit_code = 2


class DataError(MiniganError):
    """A data set, or something given as a run directory, was refused."""

    exit_code = 3


class CheckpointError(MiniganError):
    """A checkpoint is damaged, too new, or belongs to another network."""

    exit_code = 3


class DivergedError(MiniganError):
    """A loss, a gradient or a parameter stopped being finite."""

    exit_code = 4


class QualityError(MiniganError):
    """Training ended, but the quality that was required was missed."""

    exit_code = 5


class UnavailableError(MiniganError):
    """A backend or an optional package is not available here."""

    exit_code = 6


class BusyError(MiniganError):
    """Another process is writing to the run directory."""

    exit_code = 7


class StorageError(MiniganError):
    """Something could not be written: no space, read-only, not a directory."""

    exit_code = 8


class ReaderLeftError(MiniganError):
    """Whoever read the results has left before their end; 128 and SIGPIPE, as a shell says it of others."""

    exit_code = 141


class SweepError(MiniganError):
    """A sweep ended, but some of its runs did not."""


class _BoundedRepr(reprlib.Repr):
    """A repr of bounded cost and length, for values that come from untrusted files."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80

    def repr_int(self, value: int, level: int) -> str:
        # Python refuses to print integers of more than 4300 digits, and nobody reads more than a few of them.
        return f"an integer of {value.bit_length()} bits" if value.bit_length() > 256 else repr(value)


def quoted(value: object) -> str:
    """``value`` as short printable text for a message: as Python writes it, long ones cut."""
    return _BoundedRepr().repr(value)


def printable(text: str) -> str:
    """``text`` in one line without what a terminal would obey: such characters as Python writes them."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def nearest(name: str, names: Iterable[str]) -> str:
    """What to do about an unknown ``name``: the nearest known one, or the list of all."""
    names = list(names)
    close = difflib.get_close_matches(name[:100], names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(names)}"
