"""NumPy's side of the switch: sequences of calls write in place, in order."""

from functools import partial

import numpy as np

from minigan import backend as backends


def test_a_sequence_runs_in_order_and_writes_in_place(backend):
    x, y, z = (backend.array(v) for v in ([1.0, 2.0], [0.0, 0.0], [0.0, 0.0]))
    scale = partial(backend.xp.multiply, x, 10.0, out=y)
    shift = partial(backend.xp.add, y, 0.5, out=z)
    run = backend.sequence([("scale", scale), ("shift", shift)], [y, z])
    np.testing.assert_array_equal(backend.to_host(z), [0.0, 0.0])  # making it runs nothing
    run()
    np.testing.assert_array_equal(backend.to_host(z), [10.5, 20.5])
    x[0] = 3.0
    run()
    np.testing.assert_array_equal(backend.to_host(y), [30.0, 20.0])
    np.testing.assert_array_equal(backend.to_host(z), [30.5, 20.5])


def test_a_sequence_of_nothing_is_a_function_that_does_nothing(backend):
    assert backend.sequence([], [])() is None


def test_describe_names_the_version():
    assert np.__version__ in backends.numpy_backend.describe()


def test_array_and_to_host_keep_order_and_special_values():
    values = np.array([[0.0, -0.0, np.inf], [-np.inf, np.nan, 5e-324]], order="F")
    out = backends.numpy_backend.to_host(backends.numpy_backend.array(values))
    np.testing.assert_array_equal(out.view(np.uint64), values.view(np.uint64))
