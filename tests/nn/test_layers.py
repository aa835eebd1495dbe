"""Layers: the dense formula and every activation against NumPy and SciPy."""

import numpy as np
import pytest
from scipy import special

from minigan.engine.autodiff import grad
from minigan.engine.tensor import Tensor, constant, variable
from minigan.nn.layers import ACTIVATIONS, Dense, activation
from minigan.testing.gradcheck import check_grads

CLOSED_FORM = {  # value and derivative, from other functions than the package's
    "identity": (lambda x: x, lambda x: np.ones_like(x)),
    "tanh": (lambda x: 2.0 * special.expit(2.0 * x) - 1.0, lambda x: 1.0 / np.cosh(x) ** 2),
    "relu": (lambda x: np.where(x > 0, x, 0.0), lambda x: np.where(x > 0, 1.0, 0.0)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.2 * x), lambda x: np.where(x > 0, 1.0, 0.2)),
    "sigmoid": (special.expit, lambda x: special.expit(x) * special.expit(-x)),
    "softplus": (lambda x: -special.log_expit(-x), special.expit),
    "elu": (
        lambda x: np.where(x > 0, x, special.expm1(np.minimum(x, 0.0))),
        lambda x: np.exp(np.minimum(x, 0.0)),
    ),
    "silu": (lambda x: x * special.expit(x), lambda x: special.expit(x) * (1.0 + x * special.expit(-x))),
}
POINTS = np.concatenate([-np.geomspace(30.0, 1e-6, 60), np.geomspace(1e-6, 30.0, 60)])


def test_every_activation_has_a_closed_form_here():
    assert set(CLOSED_FORM) == set(ACTIVATIONS)


@pytest.mark.rows("name", ACTIVATIONS)
def test_activation_and_its_derivative_against_the_closed_form(backend, name):
    value, derivative = CLOSED_FORM[name]
    x = variable(backend.array(POINTS))
    y = activation(name)(x)
    np.testing.assert_allclose(y.numpy(), value(POINTS), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(grad(y, [x])[0].numpy(), derivative(POINTS), rtol=1e-12, atol=1e-15)


@pytest.mark.rows("name", ACTIVATIONS)
@pytest.mark.rows("dtype", ["float32", "float64"])
def test_activation_keeps_dtype_and_stays_finite_far_out(backend, name, dtype):
    x = variable(backend.array(np.array([-1e4, -1e3, -0.0, 0.0, 1e3, 1e4], dtype)))
    y = activation(name)(x)
    (slope,) = grad(y, [x])
    assert y.dtype == slope.dtype == dtype
    assert np.isfinite(y.numpy()).all() and np.isfinite(slope.numpy()).all()
    if dtype == "float64":
        np.testing.assert_allclose(y.numpy(), CLOSED_FORM[name][0](x.numpy()), rtol=1e-12, atol=1e-300)


def test_an_unknown_activation_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"one of identity, tanh.*received 'swishy'"):
        activation("swishy")


@pytest.mark.rows("name", ACTIVATIONS)
@pytest.mark.rows("replicas", [(), (3,), (2, 3)])
def test_dense_is_the_formula(backend, name, replicas):
    rng = np.random.default_rng(5)
    W, b, x = (rng.standard_normal((*replicas, *shape)) for shape in ((4, 2), (1, 2), (7, 4)))
    layer = Dense(4, 2, activation(name))
    y = layer({"W": Tensor(backend.array(W)), "b": Tensor(backend.array(b))}, Tensor(backend.array(x)))
    expected = CLOSED_FORM[name][0](np.einsum("...bn,...nm->...bm", x, W) + b)
    assert y.shape == (*replicas, 7, 2)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-14)


def test_one_batch_for_all_replicas(backend):
    rng = np.random.default_rng(6)
    W, b, x = rng.standard_normal((3, 4, 2)), rng.standard_normal((3, 1, 2)), rng.standard_normal((7, 4))
    y = Dense(4, 2)({"W": Tensor(backend.array(W)), "b": Tensor(backend.array(b))}, Tensor(backend.array(x)))
    np.testing.assert_allclose(
        y.numpy(), np.stack([x @ W[r] + b[r] for r in range(3)]), rtol=1e-12, atol=1e-14
    )


@pytest.mark.rows("name", ["tanh", "silu", "softplus", "elu"])
def test_gradients_of_a_layer_to_second_order(backend, name):
    rng = np.random.default_rng(7)
    layer = Dense(3, 2, activation(name))
    shapes = ((3, 2), (1, 2), (5, 3))
    check_grads(
        lambda W, b, x: layer({"W": W, "b": b}, x), *(rng.standard_normal(s) for s in shapes), on=backend
    )


def test_a_layer_is_a_formula_without_numbers(backend):
    layer = Dense(2, 3)
    assert layer.shapes() == {"W": (2, 3), "b": (1, 3)}
    assert layer == Dense(2, 3) and hash(layer) == hash(Dense(2, 3))
    with pytest.raises(AttributeError):
        layer.n = 5
    x = variable(backend.array(np.ones((1, 2))))
    assert layer.activation(x) is x  # identity costs nothing


def test_a_layer_prints_its_activation():
    assert str(Dense(2, 3, ACTIVATIONS["tanh"])) == "Dense(2 → 3, tanh)"
    assert str(Dense(2, 3, ACTIVATIONS["leaky_relu"])) == "Dense(2 → 3, leaky_relu)"
    assert "sine" in str(Dense(2, 3, _sine))


def _sine(x):
    return constant(x)


@pytest.mark.parametrize(("n", "m"), [(0, 1), (1, 0), (-1, 2)])
def test_an_empty_layer_is_refused(n, m):
    with pytest.raises(ValueError, match=f"a dense layer is a whole number ≥ 1; received {min(n, m)}"):
        Dense(n, m)


def test_wrong_features_are_refused_with_shapes(backend):
    p = {"W": Tensor(backend.array(np.ones((4, 2)))), "b": Tensor(backend.array(np.ones((1, 2))))}
    with pytest.raises(ValueError, match=r"matmul cannot take \(7, 3\), \(4, 2\)"):
        Dense(4, 2)(p, Tensor(backend.array(np.ones((7, 3)))))
