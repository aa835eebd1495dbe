"""How everything here is timed: calls in blocks, as many as last long enough, in turns, beside a control.

`minigan bench`, `minigan explain` and the benchmarks outside the package time with these functions. Nothing
but the standard library is imported, so that a process that is timed holds no more than its own.

Source:  Hoefler & Belli, "Scientific benchmarking of parallel computing systems", SC 2015
"""

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Device(Protocol):
    """What computes: it may do so later than it is asked to, and have a clock of its own."""

    def synchronize(self) -> None:
        """Wait until it has done all that it was asked for."""

    def timer(self) -> AbstractContextManager[Any]:
        """``with device.timer() as timer: …``, then ``timer.seconds`` by its own clock."""


class Host:
    """The processor: a call has done its work when it returns."""

    seconds = math.nan

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def timer(self) -> AbstractContextManager["Host"]:
        """No other clock."""
        return nullcontext(self)


HOST = Host()


def timed(call: Callable[[], Any], count: int = 1, device: Device = HOST) -> tuple[float, float]:
    """Seconds of so many calls and one synchronisation; the same by the device's own clock."""
    device.synchronize()
    started = time.perf_counter()
    with device.timer() as timer:
        for _ in range(count):
            call()
    device.synchronize()
    return time.perf_counter() - started, timer.seconds


def calibrated(wall: Callable[[int], float], seconds: float) -> int:
    """How many calls last so long, given the seconds of a number of them.

    The first one, which may compile, does not count unless it is long.
    """
    if wall(1) >= 10 * seconds:
        return 1
    count = 1
    while True:
        found = wall(count)
        if found >= seconds / 8:
            return max(1, math.ceil(count * seconds / found))
        count = max(2 * count, math.ceil(count * seconds / 4 / max(found, 1e-7)))


def fastest(wall: Callable[[int], float], trials: int) -> float:
    """Seconds of the fastest of some calls: a ceiling is what the machine can do, not what it mostly does."""
    wall(1)
    return min(wall(1) for _ in range(trials))


def typical(call: Callable[[], Any], seconds: float, rounds: int) -> float:
    """Seconds of a call: the least of ``rounds`` in a row, and of those the median.

    As many calls as fit into so many seconds, one at least.
    """
    times: list[float] = []
    while not times or sum(times) < seconds:
        times.append(timed(call)[0])
    return statistics.median(min(times[k : k + rounds]) for k in range(0, len(times), rounds))


def in_turns(
    timings: Sequence[Callable[[], T]],
    turns: int,
    *,
    control: bool = False,
    order: random.Random | None = None,
    patience: float = math.inf,
    fewest: int = 1,
    on_turn: Callable[[int], None] = lambda turn: None,
) -> tuple[list[list[T]], list[T]]:
    """What each timing found in each turn, so that a slow moment of the machine hits all of them.

    control   the first of them again at the end of each turn: the second list
    order     shuffles each turn, None keeps their order
    patience  seconds after which no more than ``fewest`` turns are taken
    on_turn   is told how many turns were taken
    """
    found: list[list[T]] = [[] for _ in timings]
    again: list[T] = []
    started, taken, places = time.perf_counter(), 0, range(len(timings))
    while taken < turns:
        for k in places if order is None else order.sample(places, len(places)):
            found[k].append(timings[k]())
        if control:
            again.append(timings[0]())
        taken += 1
        on_turn(taken)
        if time.perf_counter() - started > patience:
            turns = min(turns, max(fewest, taken))
    return found, again


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile of at least one number."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def interval_of_median(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Order statistics around the median: at least this probability where there are six values or more."""
    n, values = len(values), sorted(values)
    k, tail = 0, 0.5**n  # of P(fewer than k + 1 of n lie below the median)
    while tail <= (1 - confidence) / 2:
        k += 1
        tail += math.comb(n, k) * 0.5**n
    k = max(k - 1, 0)
    return values[k], values[n - 1 - k]
