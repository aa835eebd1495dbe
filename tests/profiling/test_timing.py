"""Timings wait for the work, blocks last as long as asked; medians and their intervals."""

import random
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from minigan.profiling import timing


class Clock:
    """A time that passes only where somebody works: a call queues a second, waiting spends it."""

    def __init__(self):
        self.now, self.queued, self.waits = 0.0, 0.0, 0

    def call(self):
        self.queued += 1.0

    def synchronize(self):
        self.now, self.queued, self.waits = self.now + self.queued, 0.0, self.waits + 1

    def timer(self):
        return nullcontext(SimpleNamespace(seconds=0.25))


def test_a_timing_waits_for_the_work_and_not_for_what_came_before(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("minigan.profiling.timing.time", SimpleNamespace(perf_counter=lambda: clock.now))
    clock.queued = 5.0
    assert timing.timed(clock.call, 3, clock) == (3.0, 0.25)
    assert clock.waits == 2  # once for many calls


def test_a_block_lasts_as_long_as_asked(monkeypatch):
    clock = Clock()
    clock.call = lambda: setattr(clock, "queued", clock.queued + 1e-3)
    monkeypatch.setattr("minigan.profiling.timing.time", SimpleNamespace(perf_counter=lambda: clock.now))

    def wall(count):
        return timing.timed(clock.call, count, clock)[0]

    assert timing.calibrated(wall, 0.5) == pytest.approx(500, abs=1)
    clock.call = lambda: setattr(clock, "queued", clock.queued + 2.0)
    assert timing.calibrated(wall, 0.5) == 1


def test_the_interval_of_a_median():
    assert timing.interval_of_median([3.0, 1.0, 2.0]) == (1.0, 3.0)
    assert timing.interval_of_median(list(range(1, 8))) == (1, 7)  # 1 − 2/2⁷ = 98 %
    assert timing.interval_of_median(list(range(1, 18))) == (5, 13)  # tables of the sign test


def test_quartiles():
    assert timing.quartiles([5.0]) == (5.0, 5.0, 5.0)
    assert timing.quartiles([4.0, 1.0, 2.0, 3.0, 5.0]) == (3.0, 2.0, 4.0)


def test_turns_hit_all_alike_and_end_when_patience_does(monkeypatch):
    clock, seen = Clock(), []
    monkeypatch.setattr("minigan.profiling.timing.time", SimpleNamespace(perf_counter=lambda: clock.now))

    def work(name):
        clock.now += 1.0
        seen.append(name)
        return name

    timings = [lambda: work("a"), lambda: work("b")]
    assert timing.in_turns(timings, 2) == ([["a", "a"], ["b", "b"]], [])
    assert timing.in_turns(timings, 2, control=True) == ([["a", "a"], ["b", "b"]], ["a", "a"])
    assert "".join(seen) == "abab" + "abaaba"
    found, _ = timing.in_turns(timings, 9, patience=5.0, fewest=2)  # of two seconds each: the third is over
    assert [len(times) for times in found] == [3, 3]
    found, _ = timing.in_turns(timings, 9, patience=1.0, fewest=4)
    assert [len(times) for times in found] == [4, 4]


def test_turns_are_shuffled_by_their_seed():
    seen, told = [], []
    timings = [lambda k=k: seen.append(k) for k in range(5)]
    timing.in_turns(timings, 4, order=random.Random(0), on_turn=told.append)
    turns = [seen[k : k + 5] for k in range(0, 20, 5)]
    assert all(sorted(turn) == list(range(5)) for turn in turns) and len(set(map(tuple, turns))) > 1
    assert told == [1, 2, 3, 4]


def test_a_typical_call_is_the_median_of_the_least(monkeypatch):
    times = iter([5.0, 2.0, 9.0, 4.0, 7.0, 8.0])
    monkeypatch.setattr(timing, "timed", lambda call: (next(times), 0.0))
    assert timing.typical(None, 34.0, 2) == 4.0  # of 2, 4 and 7
    times = iter([3.0])
    assert timing.typical(None, 0.0, 5) == 3.0


def test_the_fastest_is_not_the_first():
    times = iter([1.0, 3.0, 2.0])
    assert timing.fastest(lambda count: next(times), 2) == 2.0
