"""Principal axes against SVD, of many rows and of few, and the thread in which long ones are found."""

import threading

import numpy as np
import pytest

from minigan.probability import long_calls
from minigan.probability.long_calls import interruptible, ordered, principal_axes


@pytest.mark.rows("shape", [(40, 5), (5, 40), (30, 30), (2, 900), (1, 3)])
@pytest.mark.rows("centred", [True, False])
def test_axes_are_those_of_the_singular_values(shape, centred):
    z = np.random.default_rng(0).normal(size=shape)
    z = z - z.mean(axis=0) if centred else z
    squares, found = principal_axes(z)
    expected = np.sort(np.linalg.svd(z, compute_uv=False) ** 2 / len(z))
    np.testing.assert_allclose(squares, expected, rtol=1e-9, atol=1e-12)
    seen = squares > 1e-12
    np.testing.assert_allclose((found[:, seen].T @ found[:, seen]), np.eye(seen.sum()), atol=1e-9)
    np.testing.assert_allclose(
        (z @ found[:, seen]) ** 2 @ np.ones(seen.sum()), (z * z).sum(axis=1), rtol=1e-9
    )
    np.testing.assert_allclose(((z @ found) ** 2).mean(axis=0), squares, atol=1e-9)


def test_the_matrix_is_the_smaller_one(monkeypatch):
    sizes = []
    monkeypatch.setattr(long_calls, "interruptible", lambda f, matrix: sizes.append(len(matrix)) or f(matrix))
    principal_axes(np.ones((3, 700)))
    principal_axes(np.ones((700, 3)))
    assert sizes == [3, 3]


def test_what_takes_long_has_a_thread_and_its_errors_come_back():
    threads = []
    large, small = np.eye(400), np.eye(2)
    for matrix in (large, small):
        assert interruptible(lambda a: threads.append(threading.current_thread()) or a.sum(), matrix) == len(
            matrix
        )
    assert threads[0] is not threading.main_thread() and threads[1] is threading.main_thread()
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):  # as the caller has set it
        interruptible(lambda a: a * 1e308 * 1e308, large)


def test_a_handler_ends_the_wait(monkeypatch):
    class Signal(BaseException):
        pass

    free = threading.Event()

    def interrupted(thread, timeout):
        raise Signal

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(Signal):
        interruptible(lambda a: free.wait(), np.eye(400))
    free.set()


@pytest.mark.parametrize("shape", [(7,), (1200, 1000), (10**6,)])
def test_long_sorts_are_sorts(shape):
    values = np.random.default_rng(2).normal(size=shape)
    np.testing.assert_array_equal(ordered(values), np.sort(values, axis=0))


@pytest.mark.rows("values", [[], [2.0], [1.0, 1.0, 2.0], [2.0, 1.0]])
def test_what_is_in_order_is_copied(values):
    x = np.array(values)
    found = ordered(x)
    assert found is not x and not np.shares_memory(found, x) and found.tolist() == sorted(values)
