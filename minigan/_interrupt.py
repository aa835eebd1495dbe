"""Ctrl-C while the command line is still being imported: it leaves at once, with 130 and one word.

The package imports this first; in a program that is not the command line it does nothing.
"""

import os
import signal
import sys
from contextlib import suppress


def is_command(argv: list[str], original: list[str]) -> bool:
    """Whether a process is ``minigan …`` or ``python -m minigan …``.

    argv      sys.argv, whose first is "-m" as long as Python looks for the module
    original  sys.orig_argv: the interpreter, its own arguments, those of the program
    """
    if argv[:1] == ["-m"]:
        module = original[len(original) - len(argv)]
        return module == "minigan" or module.startswith("-") and module.endswith("mminigan")
    return bool(argv) and os.path.basename(argv[0]) in ("minigan", "minigan.exe")


def leave(number: int, frame: object) -> None:
    """End the process.  Not by an exception: some imports make another one of it, or swallow it."""
    with suppress(OSError):
        os.write(2, b"stopped\n")
    os._exit(128 + number)


if is_command(sys.argv, sys.orig_argv) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, leave)
