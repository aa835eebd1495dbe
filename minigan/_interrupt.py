"""Signals while the command line is still being imported: it leaves at once, with 128 + number and one word.

Those are SIGINT (Ctrl-C), SIGTERM and SIGHUP. The package imports this first; in a program that is not the
command line it does nothing.
"""

import os
import signal
import sys
from contextlib import suppress

# How each acts in a process that was told nothing else: under nohup SIGHUP is ignored, and stays so.
USUAL = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}


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


def attend() -> None:
    """Have the signals answered by ``leave``, where nothing else answers them."""
    for name, usual in USUAL.items():
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == usual:
            with suppress(ValueError):  # not in the main thread
                signal.signal(number, leave)


if is_command(sys.argv, sys.orig_argv):
    attend()
