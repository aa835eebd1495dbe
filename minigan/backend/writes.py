"""When memory was overwritten: what was computed from the old numbers can no longer be differentiated."""

import itertools
from collections.abc import Callable, Iterable
from weakref import finalize

from minigan import backend

__all__ = ["clock", "last", "last_to", "mark_replayed", "mark_written", "undone", "written_memory"]

clock = itertools.count(1)  # of calls and writes: what is older has the smaller number
_written: dict[int, int] = {}  # memory (id of its owner) that is alive → the time of its last write
last = 0  # the time of the newest write to any memory


def mark_written(array: backend.Array) -> None:
    """Note that the memory of ``array`` was overwritten now."""
    global last
    _written[written_memory(array)] = time = next(clock)
    if time > last:  # another thread may have come first
        last = time


def written_memory(array: backend.Array) -> int:
    """The id of the owner of this memory, of which ``mark_replayed`` may be told as long as it is alive."""
    owner = backend.owner(array)
    if id(owner) not in _written:
        finalize(owner, _written.pop, id(owner), None).atexit = False
    return id(owner)


def mark_replayed(memories: Iterable[int]) -> None:
    """Note that these memories, as ``written_memory`` names them, were overwritten now."""
    global last
    time = next(clock)
    _written.update(dict.fromkeys(memories, time))
    last = max(time, last)


def last_to(array: backend.Array) -> int:
    """The time of the last write to the memory of ``array``; 0 if there was none."""
    return _written.get(id(backend.owner(array)), 0)


def undone(arrays: Iterable[backend.Array]) -> Callable[[], None]:
    """What to call when the memory of ``arrays`` is again as it is now: it was not overwritten then."""
    times = {id(backend.owner(array)): last_to(array) for array in arrays}
    return lambda: _written.update((memory, times[memory]) for memory in times.keys() & _written.keys())
