"""BLAS begins with one thread in a process that is ``minigan train`` or ``minigan sweep``.

OpenBLAS makes a thread for each core as soon as it is imported, once for NumPy and once for SciPy, and each
waits for work at full speed for a while: on two cores 0.2 s of CPU of a default run that gives them none. A
run sets the number that it is configured with before it computes. Who asked for a number keeps it; any other
program, and what it does with NumPy, is left alone.
"""

import os
import sys

from minigan._interrupt import is_command

TRAINING = ("train", "sweep")


def trains(argv: list[str]) -> bool:
    """Whether the command on this line is one that trains; all that may be before it are flags."""
    return next((word for word in argv[1:] if not word.startswith("-")), None) in TRAINING


if is_command(sys.argv, sys.orig_argv) and trains(sys.argv):
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
