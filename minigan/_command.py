"""What a process that is a command sets before the rest is imported; any other program is left as it is.

Python looks for garbage whenever 700 more containers were made than freed, which importing and drawing do by
the hundred thousand, and again at the end, when all memory is returned anyway: a twelfth of a default run.
Hardly anything of ours is in a cycle, so a command that seldom looks holds no more.

OpenBLAS makes a thread for each core as soon as it is imported, once for NumPy and once for SciPy, and each
waits for work at full speed for a while: on two cores 0.2 s of CPU of a default run, which gives them none.
Commands that train begin with one; a run sets the number that it is configured with before it computes, and
who asked for a number keeps it.
"""

import atexit
import gc
import os
import sys

from minigan._interrupt import is_command

PACE = 20_000  # containers more than were freed, between two looks for garbage
TRAINING = ("train", "sweep")


def trains(argv: list[str]) -> bool:
    """Whether the command on this line is one that trains; all that may be before it are flags."""
    return next((word for word in argv[1:] if not word.startswith("-")), None) in TRAINING


if is_command(sys.argv, sys.orig_argv):
    gc.set_threshold(PACE, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)  # what is frozen is not looked at
    if trains(sys.argv):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
