"""How often a command looks for garbage: Python's own pace costs a twelfth of a default run.

It looks whenever 700 more containers were made than freed, which is what importing and drawing do by the
hundred thousand, and once more at the end, when all memory is returned anyway. Hardly anything here is in a
cycle, so what a command holds is the same at either pace.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

PACE = 20_000  # containers more than were freed, between two looks


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Look for garbage at this pace within, and not at all when the process ends."""
    first, *later = gc.get_threshold()
    atexit.register(gc.freeze)  # what is frozen is not looked at
    gc.set_threshold(PACE, *later)
    try:
        yield
    finally:
        gc.set_threshold(first, *later)
