"""Parameters: views of one flat buffer that share its memory, update, load and give themselves back."""

import numpy as np
import pytest

from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean
from minigan.engine.tensor import StaleTensorError, Tensor
from minigan.nn.parameters import Parameters

SHAPES = {"0.W": (2, 3), "0.b": (1, 3), "1.W": (3, 1)}
COUNT = 6 + 3 + 3


def filled_in(backend, dtype="float64", replicas=()):
    parameters = Parameters(SHAPES, backend, dtype, replicas)
    values = np.arange(np.prod((*replicas, COUNT)), dtype=dtype).reshape(*replicas, COUNT)
    parameters.update(Tensor(backend.array(values)))
    return parameters, values


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("replicas", [(), (4,)])
def test_views_lie_in_the_flat_buffer_in_declared_order(backend, dtype, replicas):
    parameters, values = filled_in(backend, dtype, replicas)
    assert list(parameters.views) == list(SHAPES) and len(parameters) == 3 and parameters.count == COUNT
    assert parameters.flat.shape == (*replicas, COUNT)
    expected = {"0.W": values[..., 0:6], "0.b": values[..., 6:9], "1.W": values[..., 9:12]}
    for (name, shape), view in zip(SHAPES.items(), parameters, strict=True):
        assert view is parameters[name]
        assert view.shape == (*replicas, *shape) and view.dtype == dtype
        np.testing.assert_array_equal(view.numpy(), expected[name].reshape(view.shape))


def test_views_and_flat_are_one_memory(backend):
    parameters, values = filled_in(backend)
    backend.xp.copyto(parameters["0.b"].memory, backend.array(np.full((1, 3), -1.0)))
    np.testing.assert_array_equal(parameters.flat.numpy()[6:9], -1.0)
    np.testing.assert_array_equal(
        np.delete(parameters.flat.numpy(), slice(6, 9)), np.delete(values, slice(6, 9))
    )


def test_row_r_of_the_flat_buffer_is_replica_r(backend):
    parameters, values = filled_in(backend, replicas=(4,))
    single, _ = filled_in(backend)
    single.update(Tensor(backend.array(values[2])))
    for name in SHAPES:
        np.testing.assert_array_equal(parameters[name].numpy()[2], single[name].numpy())


def test_update_makes_older_results_stale(backend):
    parameters, values = filled_in(backend)
    loss = mean(parameters["0.W"] * parameters["0.W"])
    parameters.update(Tensor(backend.array(values + 1.0)))
    with pytest.raises(StaleTensorError, match="before updating any parameter"):
        grad(loss, [parameters["0.W"]])
    fresh, *others = grad(mean(parameters["0.W"] * parameters["0.W"]), parameters, unreached="zeros")
    np.testing.assert_allclose(fresh.numpy(), 2.0 * (values[:6] + 1.0).reshape(2, 3) / 6.0, rtol=1e-15)
    assert all((g.numpy() == 0.0).all() for g in others)


def test_load_makes_older_results_stale(backend):
    parameters, _ = filled_in(backend)
    loss = mean(parameters["0.W"] * parameters["0.W"])
    parameters.load(parameters.arrays())
    with pytest.raises(StaleTensorError):
        grad(loss, [parameters["0.W"]])


def test_a_copy_has_a_buffer_of_its_own(backend):
    parameters, values = filled_in(backend, "float32", (2,))
    copy = parameters.copy()
    assert copy.replicas == (2,) and copy.flat.dtype == "float32" and copy.shapes == SHAPES
    parameters.update(Tensor(backend.array(values * 2.0)))
    np.testing.assert_array_equal(copy.flat.numpy(), values)


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("replicas", [(), (2,)])
def test_arrays_and_load_are_inverse(backend, dtype, replicas):
    parameters, values = filled_in(backend, dtype, replicas)
    arrays = parameters.arrays()
    assert all(type(a) is np.ndarray and a.dtype == dtype for a in arrays.values())
    other = Parameters(SHAPES, backend, dtype, replicas)
    other.load(dict(reversed(arrays.items())))  # by name, not by order
    np.testing.assert_array_equal(other.flat.numpy(), values)
    arrays["0.W"][...] = np.nan  # copies: neither set of parameters notices
    assert np.isfinite(parameters.flat.numpy()).all() and np.isfinite(other.flat.numpy()).all()


def test_load_refuses_and_lists_every_difference_and_changes_nothing(backend):
    parameters, values = filled_in(backend, "float32")
    arrays = parameters.arrays()
    wrong = {"0.W": arrays["0.W"].T, "0.b": arrays["0.b"].astype("float64"), "2.W": arrays["1.W"]}
    with pytest.raises(ValueError, match="belong to another network") as caught:
        parameters.load(wrong)
    message = str(caught.value)
    assert "0.W: expected ((2, 3), 'float32'), received ((3, 2), 'float32')" in message
    assert "0.b: expected ((1, 3), 'float32'), received ((1, 3), 'float64')" in message
    assert "1.W: expected ((3, 1), 'float32'), received None" in message
    assert "2.W: expected None, received ((3, 1), 'float32')" in message
    np.testing.assert_array_equal(parameters.flat.numpy(), values)


def test_load_names_only_what_differs(backend):
    parameters, _ = filled_in(backend)
    arrays = parameters.arrays()
    arrays["1.W"] = arrays["1.W"][:2]
    with pytest.raises(ValueError) as caught:
        parameters.load(arrays)
    assert "1.W" in str(caught.value) and "0.W" not in str(caught.value)


@pytest.mark.rows("shapes", [{}, {"W": (0, 3)}])
def test_parameters_without_a_number_are_refused(backend, shapes):
    with pytest.raises(ValueError, match="at least one layer"):
        Parameters(shapes, backend)
