"""What memory may still be taken; the threads of BLAS, pinned for runs in any thread, and restored."""

import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minigan import machine as here
from minigan.errors import ConfigError
from minigan.machine import describe_blas, limited, one_thread, pinned, set_threads


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
        assert set(threads()) == {1} and describe_blas()["threads"] == 1
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


def test_work_with_threads_of_its_own_has_one_of_blas_and_gives_the_others_back():
    with one_thread():
        assert set(threads()) == {1}
    assert set(threads()) == {2}


def test_in_a_run_it_stays_one_until_the_run_ends():
    with pinned(2):
        with one_thread():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert set(threads()) == {2}


def test_others_may_set_it_afterwards():
    with limited(1):
        pass

    def other():
        with threadpool_limits(1, user_api="blas"):
            return threads()

    assert set(elsewhere(other)) == {1}
    assert set(threads()) == {2}


# ── memory


def test_available_memory_is_positive_or_unknown():
    available = here.available_memory()
    assert available is None or available > 0


def test_available_memory_heeds_the_address_space_limit(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**42, 2**42))
    limit = here._address_space()
    assert limit is None or 0 <= limit < 2**42


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A system whose files say what a test wrote; it has none at first, and no limit on the address space."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    monkeypatch.setattr(
        here, "Path", lambda name: tmp_path / name.lstrip("/") if isinstance(name, str) else name
    )

    def write(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    return write


def test_available_memory_is_the_least_of_what_the_system_tells(machine, monkeypatch):
    import resource

    machine("proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:    4000 kB\n")
    assert here.available_memory() == 4000 * 1024
    machine("sys/fs/cgroup/memory.max", "max\n")
    machine("sys/fs/cgroup/memory.current", "100000\n")
    assert here.available_memory() == 4000 * 1024
    machine("sys/fs/cgroup/memory.max", "3000000\n")
    assert here.available_memory() == 2900000
    machine("proc/self/statm", "10 5 3 0 0 0 0\n")
    limit = 10 * resource.getpagesize() + 500
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    assert here.available_memory() == 500
    machine("proc/self/statm", "11 5 3 0 0 0 0\n")  # above its limit already: nothing, not less
    assert here.available_memory() == 0


def test_free_memory_is_counted_in_pages_where_there_is_no_meminfo(machine, monkeypatch):
    counts = {"SC_AVPHYS_PAGES": 3, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(here.os, "sysconf", counts.__getitem__)
    assert here.available_memory() == 3 * 4096
    machine("proc/meminfo", "MemTotal:  9000 kB\n")  # as of kernels before 3.14
    assert here.available_memory() == 3 * 4096


def test_a_system_that_does_not_tell_its_memory_is_unknown(machine, monkeypatch):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(here.os, "sysconf", unknown)
    assert here.available_memory() is None
