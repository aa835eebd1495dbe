"""The strict device refuses what a GPU refuses, and computes what NumPy computes."""

import operator

import numpy as np
import pytest

from minigan import backend as backends

strict = backends.get("strict")
xp = strict.xp


@pytest.fixture
def a():
    return strict.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize("read", [bool, float, int, operator.index, list, iter], ids=lambda f: f.__name__)
def test_no_value_is_read_implicitly(read):
    with pytest.raises(TypeError, match="read by the host implicitly; bring it over with backend.to_host"):
        read(strict.array([1.0]))


@pytest.mark.parametrize("use", [
    np.asarray, np.array, lambda a: np.add(a, 1.0), lambda a: np.sum(a), lambda a: np.concatenate([a, a]),
    lambda a: np.ones(3) * a, lambda a: a + np.ones(3), lambda a: np.copyto(np.zeros((2, 3)), a),
    lambda a: a >= np.ones(3), lambda a: xp.add(a, np.ones(3)), lambda a: xp.copyto(a, np.zeros((2, 3))),
    lambda a: xp.asarray(np.ones(3)),
    lambda a: a.__setitem__(0, np.ones(3)), lambda a: a[np.array([0])],
])  # fmt: skip
def test_no_array_crosses_implicitly(a, use):
    with pytest.raises(TypeError):
        use(a)


def test_numpy_scalars_and_python_numbers_are_values_not_arrays(a):
    np.testing.assert_array_equal(strict.to_host(a * 2.0 + np.float64(1.0)), [[3, 5, 7], [9, 11, 13]])
    np.testing.assert_array_equal(strict.to_host(10.0 - a), [[9, 8, 7], [6, 5, 4]])
    np.testing.assert_array_equal(strict.to_host(12.0 / a), [[12, 6, 4], [3, 2.4, 2]])


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "ge", "le", "gt", "lt", "eq", "ne"])
def test_operators_are_numpys(a, name):
    b, f = strict.array([[2.0], [5.0]]), getattr(operator, name)
    np.testing.assert_array_equal(strict.to_host(f(a, b)), f(strict.to_host(a), strict.to_host(b)))


def test_unary_operators(a):
    np.testing.assert_array_equal(strict.to_host(-a), -strict.to_host(a))
    np.testing.assert_array_equal(strict.to_host(abs(-a)), strict.to_host(a))


def test_views_share_memory_and_remember_their_owner(a):
    for view in (
        a[1:],
        a[0],
        a.reshape(3, 2),
        a.reshape((6,)),
        xp.swapaxes(a, 0, 1),
        a.swapaxes(0, 1),
        xp.broadcast_to(a, (4, 2, 3)),
        a[1:][:, 1:],
    ):
        assert view.base is a
        assert np.shares_memory(view.data, a.data)
    assert a.base is None
    a[0] = 9.0
    np.testing.assert_array_equal(strict.to_host(a.reshape(6)[:3]), [9.0, 9.0, 9.0])


def test_what_has_to_copy_owns_its_memory(a):
    copy = xp.swapaxes(a, 0, 1).reshape(6)
    assert copy.base is None and not np.shares_memory(copy.data, a.data)
    assert a[0, 0].base is None  # an element


def test_out_writes_into_the_given_array_and_returns_it(a):
    out = xp.empty((2, 3), "float64")
    assert xp.exp(a, out=out) is out
    np.testing.assert_array_equal(strict.to_host(out), np.exp(strict.to_host(a)))


def test_a_ufunc_reduces_on_the_device(a):
    out = xp.empty((1, 3), "float64")
    assert xp.add.reduce(a, axis=(0,), keepdims=True, out=out) is out
    for total in (out, xp.add.reduce(a, axis=(0,), keepdims=True)):
        np.testing.assert_array_equal(strict.to_host(total), [[5.0, 7.0, 9.0]])
    with pytest.raises(TypeError, match="from host to device"):
        xp.add.reduce(np.ones(2), axis=(0,))


def test_fresh_memory_is_poisoned_so_that_reading_it_shows(a):
    assert np.isnan(strict.to_host(xp.empty((2,), "float32"))).all()
    assert np.isnan(strict.to_host(xp.empty_like(a))).all()


def test_makers(a):
    assert strict.to_host(xp.zeros((2,), "float32")).dtype == np.float32
    np.testing.assert_array_equal(strict.to_host(xp.full((2,), 3.0, "float64")), [3.0, 3.0])
    assert xp.asarray(a) is a
    copy = xp.array(a)
    copy[...] = 0.0
    assert strict.to_host(a).min() == 1.0
    assert strict.to_host(xp.array([1, 2], "float32")).dtype == np.float32
    assert xp.pi == np.pi and xp.float32 is np.float32  # constants and types pass through


def test_properties(a):
    assert (a.shape, a.ndim, a.size, a.nbytes, a.dtype) == ((2, 3), 2, 6, 48, np.float64)
    assert repr(a) == "<device array float64[2, 3]>"  # no values: printing must not copy
    assert "refuses" in strict.describe()
