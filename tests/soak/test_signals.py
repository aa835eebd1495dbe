"""Trainings that are stopped, halted, or told another time: the short form of bench/soak/signals.py. 8 s."""

import os
import random

import pytest

from bench.soak import signals
from bench.soak.harness import Tally

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A run that nothing stopped."""
    return signals.uninterrupted(tmp_path_factory.mktemp("runs") / "reference")


@pytest.fixture
def tally():
    return Tally(*signals.KINDS)


def nothing_failed(tally):
    assert not any(tally.failures.values()), tally.examples
    return True


@pytest.mark.parametrize("number", signals.NUMBERS, ids=lambda number: number.name)
def test_signals_at_random_moments_end_the_run_with_a_checkpoint(tmp_path, tally, reference, number):
    ends = signals.stop_often(tmp_path / "run", reference, number, 2, random.Random(int(number)), tally)
    assert nothing_failed(tally)
    assert ends[f"{number.name}_obeyed"] >= 1


def test_a_second_signal_during_a_save_ends_the_run_at_once(tmp_path, tally, reference):
    assert signals.stop_twice(tmp_path / "run", reference, 2, tally) == 2 and nothing_failed(tally)


def test_a_run_that_is_halted_has_the_same_bits(tmp_path, tally, reference):
    rng = random.Random(0)
    assert signals.halt(tmp_path / "run", reference, 1, 0.1, rng, tally) == 1 and nothing_failed(tally)


def test_a_run_by_another_clock_has_the_same_bits(tmp_path, tally, reference):
    count = len(signals.CLOCKS)
    assert signals.change_clock(tmp_path / "run", reference, count, tally) == count
    assert nothing_failed(tally)
