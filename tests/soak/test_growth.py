"""Memory, objects and descriptors of a run that goes on: the short form of bench/soak/growth.py. 5 s."""

import os

import pytest

from bench.soak import broken, growth

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="reads /proc")
STEPS = 450


def failed(result):
    """The ways in which a measurement failed."""
    return {kind for kind, count in result["failures"].items() if count}


def test_a_run_of_450_steps_does_not_grow():
    result = growth.measure(STEPS)
    assert not failed(result), result
    assert result["steps"] == STEPS and {"collector_on", "collector_off"} <= result.keys()


# On broken builds


def test_what_each_block_leaves_is_found():
    result = growth.measure(STEPS, ["on"], broken.leak)
    assert failed(result) == {"memory grew", "objects grew", "descriptors grew"}, result


def test_what_is_in_cycles_is_found_without_the_collector():
    result = growth.measure(STEPS, ["off"], broken.tangle)
    assert failed(result) == {"memory grew"}, result


def test_a_run_that_fails_is_told():
    result = growth.measure(STEPS, ["on"], len)  # there is no such build
    assert failed(result) == {"the run failed"} and "len" in result["examples"]["the run failed"]
