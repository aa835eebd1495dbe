"""The threads of BLAS: pinned for runs that may begin and end in any thread, and restored."""

import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minigan.errors import ConfigError
from minigan.machine import describe, limited, pinned, set_threads


def threads():
    """What each BLAS of the process uses."""
    found = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    assert found
    return found


def elsewhere(function):
    """What the function returns in another thread, which ends with it."""
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture(autouse=True)
def two():
    """Two threads, also where the environment says one: the number must change for a test to see it."""
    restore = set_threads(2)
    yield
    restore()


def held():
    with pinned(1):
        return threads()


def test_a_block_has_its_number_and_the_one_before_is_restored():
    assert set(threads()) == {2}
    with limited(1):
        assert set(threads()) == {1} and describe()["threads"] == 1
    assert set(threads()) == {2}
    with pytest.raises(ZeroDivisionError), limited(1):
        raise ZeroDivisionError
    assert set(threads()) == {2}


def test_runs_of_one_process_agree_on_the_number():
    with pinned(1):
        with pinned(1):
            assert set(threads()) == {1}
        assert set(threads()) == {1}
        with pytest.raises(ConfigError, match="computes with 1 threads, this one asks for 2"), pinned(2):
            pass
    assert set(threads()) == {2}


def test_any_thread_may_pin_after_any_other():
    """threadpoolctl 3.8 lets the first thread that set the number keep it."""
    for run in (held, lambda: elsewhere(held), held):
        assert set(run()) == {1}
        assert set(threads()) == {2}


def test_the_last_run_restores_it_and_not_the_one_that_began():
    begun, over = threading.Event(), threading.Event()

    def first():
        with pinned(1):
            begun.set()
            over.wait(20)

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(20)
    with pinned(1):
        over.set()
        thread.join()
        assert set(threads()) == {1}
    assert set(threads()) == {2}


def test_a_run_in_a_thread_is_pinned_where_another_thread_holds_a_limit():
    with threadpool_limits(2, user_api="blas"):
        assert set(elsewhere(held)) == {1}
        assert set(threads()) == {2}
    assert set(threads()) == {2}


def test_others_may_set_it_afterwards():
    with limited(1):
        pass

    def other():
        with threadpool_limits(1, user_api="blas"):
            return threads()

    assert set(elsewhere(other)) == {1}
    assert set(threads()) == {2}
