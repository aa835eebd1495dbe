"""Gradient penalties: closed forms for linear and quadratic D, differences through a network, gradients."""

import numpy as np
import pytest

from minigan.engine.autodiff import grad
from minigan.engine.primitives import square, sum_over
from minigan.engine.tensor import Tensor, constant, variable
from minigan.gan.penalties import PENALTIES, gradient_penalty, interpolate
from minigan.nn.layers import activation
from minigan.nn.network import mlp
from minigan.testing.gradcheck import check_grads


@pytest.mark.rows("replicas", [(), (4,)])
@pytest.mark.rows("dtype", ["float32", "float64"])
def test_a_linear_discriminator_is_penalised_by_its_squared_slope(backend, replicas, dtype):
    """a = x·w + b: E‖∂a/∂x‖² = |w|² whatever x and b, and its gradient is 2w and 0."""
    rng = np.random.default_rng(1)
    w, b, x = (rng.standard_normal((*replicas, *shape)).astype(dtype) for shape in ((5, 1), (1, 1), (7, 5)))
    w_, b_, x_ = (variable(backend.array(a)) for a in (w, b, x))
    penalty = gradient_penalty(x_ @ w_ + b_, x_)
    rtol = 1e-12 if dtype == "float64" else 1e-5
    assert penalty.shape == (*replicas, 1, 1) and penalty.dtype == dtype
    np.testing.assert_allclose(penalty.numpy(), (w**2).sum(axis=(-2, -1), keepdims=True), rtol=rtol)
    slope_w, slope_b = grad(penalty, [w_, b_], unreached="zeros")
    np.testing.assert_allclose(slope_w.numpy(), 2.0 * w, rtol=rtol)
    np.testing.assert_array_equal(slope_b.numpy(), 0.0)


def test_a_quadratic_discriminator(backend):
    """a = c|x|²/2: ∂a/∂x = c x, so the penalty is c² E|x|²."""
    x = np.random.default_rng(2).standard_normal((50, 3))
    c, x_ = variable(backend.array(np.array([[0.7]]))), variable(backend.array(x))
    penalty = gradient_penalty(sum_over(0.5 * c * square(x_), axis=(-1,)), x_)
    np.testing.assert_allclose(penalty.numpy(), [[0.49 * (x**2).sum(axis=1).mean()]], rtol=1e-13)
    np.testing.assert_allclose(grad(penalty, [c])[0].numpy(), [[1.4 * (x**2).sum(axis=1).mean()]], rtol=1e-13)


def test_through_a_network_against_differences(backend):
    D = mlp((3, 8, 8, 1), rngs=np.random.default_rng(3), backend=backend, dtype="float64")
    x = np.random.default_rng(4).standard_normal((6, 3))
    x_ = variable(backend.array(x))
    h, slopes = 1e-5, np.empty_like(x)
    for k in range(3):
        up, down = (D(Tensor(backend.array(x + s * h * np.eye(3)[k]))).numpy() for s in (1, -1))
        slopes[:, k] = (up - down)[:, 0] / (2 * h)
    np.testing.assert_allclose(gradient_penalty(D(x_), x_).item(), (slopes**2).sum(axis=1).mean(), rtol=1e-8)


@pytest.mark.rows("name", ["tanh", "silu", "softplus", "sigmoid", "elu", "leaky_relu"])
def test_its_gradient_in_ds_parameters_against_central_differences(backend, name):
    """The second order that R1 and R2 live on; to order 2 of the penalty where the activation is smooth."""
    rng = np.random.default_rng(5)
    φ = activation(name)
    shapes = ((2, 6), (1, 6), (6, 6), (1, 6), (6, 1), (1, 1))
    x = rng.standard_normal((5, 2))

    def penalty(W0, b0, W1, b1, W2, b2):
        x_ = variable(backend.array(x))
        return gradient_penalty(φ(φ(x_ @ W0 + b0) @ W1 + b1) @ W2 + b2, x_)

    order = 1 if name in ("elu", "leaky_relu") else 2
    check_grads(penalty, *(rng.standard_normal(s) * 0.7 for s in shapes), order=order, on=backend)


def test_each_parameter_alone_against_central_differences(backend):
    """Every single number of D, not one direction."""
    D = mlp((1, 5, 1), rngs=np.random.default_rng(6), backend=backend, dtype="float64")
    x = np.random.default_rng(7).standard_normal((9, 1))
    start = D.parameters.flat.numpy()

    def penalty_at(flat):
        D.parameters.update(Tensor(backend.array(flat)))
        x_ = variable(backend.array(x))
        return gradient_penalty(D(x_), x_)

    exact = np.concatenate(
        [g.numpy().ravel() for g in grad(penalty_at(start), D.parameters, unreached="zeros")]
    )
    h = 1e-5
    numeric = [
        (penalty_at(start + h * e).item() - penalty_at(start - h * e).item()) / (2 * h)
        for e in np.eye(len(start))
    ]
    np.testing.assert_allclose(exact, numeric, rtol=1e-7, atol=1e-9)
    assert np.abs(exact).max() > 0.1


def test_replicas_are_penalised_separately(backend, same_bits):
    rngs = [np.random.default_rng(seed) for seed in (8, 9)]
    D = mlp((2, 4, 1), rngs=rngs, backend=backend, dtype="float64")
    x = np.random.default_rng(10).standard_normal((2, 6, 2))
    x_ = variable(backend.array(x))
    penalty = gradient_penalty(D(x_), x_).numpy()
    for r, seed in enumerate((8, 9)):
        single = mlp((2, 4, 1), rngs=np.random.default_rng(seed), backend=backend, dtype="float64")
        x_r = variable(backend.array(x[r]))
        same_bits(backend, gradient_penalty(single(x_r), x_r).numpy(), penalty[r])


def test_a_flat_discriminator_is_not_penalised(backend):
    D = mlp((2, 4, 1), rngs=np.random.default_rng(11), backend=backend, dtype="float64")
    D.parameters.update(D.parameters.flat * 0.0)
    x_ = variable(backend.array(np.ones((3, 2))))
    assert gradient_penalty(D(x_), x_).item() == 0.0


# ── towards a slope that is not zero (WGAN-GP) ────────────────────────────────────────────────────
@pytest.mark.rows("norm", [1.0, 0.3])
@pytest.mark.rows("replicas", [(), (4,)])
@pytest.mark.rows("dtype", ["float32", "float64"])
def test_a_linear_discriminator_against_a_slope(backend, norm, replicas, dtype):
    """a = x·w + b: (|w| − norm)² whatever x, and its gradient is 2 (|w| − norm) w/|w|."""
    rng = np.random.default_rng(12)
    w, b, x = (rng.standard_normal((*replicas, *shape)).astype(dtype) for shape in ((5, 1), (1, 1), (7, 5)))
    w_, x_ = variable(backend.array(w)), variable(backend.array(x))
    penalty = gradient_penalty(x_ @ w_ + Tensor(backend.array(b)), x_, norm)
    length = np.sqrt((w**2).sum(axis=(-2, -1), keepdims=True))
    rtol = 1e-11 if dtype == "float64" else 2e-5
    assert penalty.shape == (*replicas, 1, 1) and penalty.dtype == dtype
    np.testing.assert_allclose(penalty.numpy(), (length - norm) ** 2, rtol=rtol)
    np.testing.assert_allclose(grad(penalty, [w_])[0].numpy(), 2.0 * (length - norm) * w / length, rtol=rtol)


def test_a_quadratic_discriminator_against_a_slope(backend):
    """a = c|x|²/2: the slope at x has length c|x|, so the penalty is E(c|x| − 1)²."""
    x = np.random.default_rng(13).standard_normal((50, 3))
    length = np.linalg.norm(x, axis=1)
    c, x_ = variable(backend.array(np.array([[0.7]]))), variable(backend.array(x))
    penalty = gradient_penalty(sum_over(0.5 * c * square(x_), axis=(-1,)), x_, 1.0)
    np.testing.assert_allclose(penalty.item(), ((0.7 * length - 1.0) ** 2).mean(), rtol=1e-10)
    slope = (2.0 * (0.7 * length - 1.0) * length).mean()
    np.testing.assert_allclose(grad(penalty, [c])[0].item(), slope, rtol=1e-10)


@pytest.mark.rows("dtype", ["float32", "float64"])
def test_the_root_of_a_slope_of_zero_has_derivatives(backend, dtype):
    """|∇D| has a corner at 0: there the penalty is norm² and its derivatives are finite, 0 the first."""
    w = variable(backend.array(np.zeros((3, 1), dtype)))
    x = variable(backend.array(np.ones((4, 3), dtype)))
    penalty = gradient_penalty(x @ w, x, 1.0)
    np.testing.assert_allclose(penalty.item(), 1.0, rtol=4e-6)
    (slope,) = grad(penalty, [w], create_graph=True)
    (curvature,) = grad(slope, [w])
    assert (slope.numpy() == 0.0).all() and np.isfinite(curvature.numpy()).all()


def test_a_flat_discriminator_of_the_game_trains_on(backend):
    """All of D's parameters at 0, as a clip of nothing leaves them: the loss and all gradients are finite."""
    D = mlp((2, 4, 1), rngs=np.random.default_rng(14), backend=backend, dtype="float64")
    D.parameters.update(D.parameters.flat * 0.0)
    x_ = variable(backend.array(np.ones((3, 2))))
    penalty = gradient_penalty(D(x_), x_, 1.0)
    assert penalty.item() == pytest.approx(1.0, abs=3e-6)
    assert all(np.isfinite(g.numpy()).all() for g in grad(penalty, D.parameters, unreached="zeros"))


@pytest.mark.rows("norm", [0.0, 1.0, 2.0])
def test_through_a_network_against_differences_of_any_slope(backend, norm):
    D = mlp((3, 8, 8, 1), rngs=np.random.default_rng(15), backend=backend, dtype="float64")
    x = np.random.default_rng(16).standard_normal((6, 3))
    x_ = variable(backend.array(x))
    h, slopes = 1e-5, np.empty_like(x)
    for k in range(3):
        up, down = (D(Tensor(backend.array(x + s * h * np.eye(3)[k]))).numpy() for s in (1, -1))
        slopes[:, k] = (up - down)[:, 0] / (2 * h)
    length = np.linalg.norm(slopes, axis=1)
    expected = ((length - norm) ** 2).mean()
    np.testing.assert_allclose(gradient_penalty(D(x_), x_, norm).item(), expected, rtol=1e-8)


@pytest.mark.rows("name", ["tanh", "silu"])
def test_its_gradient_against_central_differences_at_a_slope_of_one(backend, name):
    rng = np.random.default_rng(17)
    φ, x = activation(name), rng.standard_normal((5, 2))

    def penalty(W0, b0, W1, b1):
        x_ = variable(backend.array(x))
        return gradient_penalty(φ(x_ @ W0 + b0) @ W1 + b1, x_, 1.0)

    shapes = ((2, 6), (1, 6), (6, 1), (1, 1))
    check_grads(penalty, *(rng.standard_normal(s) * 0.7 for s in shapes), order=2, on=backend)


def test_at_computed_points_the_history_goes_on(backend):
    """x made from θ: the penalty at x has a gradient in θ, that of the closed form."""
    θ = variable(backend.array(np.array([[1.5]])))
    x = θ * Tensor(backend.array(np.array([[1.0], [2.0], [-1.0]])))
    penalty = gradient_penalty(square(x), x)  # slope 2x: E 4x² = 4 θ² E z², E z² = 2
    assert penalty.item() == pytest.approx(8.0 * 1.5**2, rel=1e-14)
    assert grad(penalty, [θ])[0].item() == pytest.approx(16.0 * 1.5, rel=1e-14)


# ── the table ─────────────────────────────────────────────────────────────────────────────────────
VALUES = {  # what is weighed, of a linear D whose slope has this length everywhere
    "r1": lambda length, logits: length**2 / 2, "r2": lambda length, logits: length**2 / 2,
    "wgan_gp": lambda length, logits: (length - 1) ** 2, "zero_gp": lambda length, logits: length**2,
}  # fmt: skip


def test_every_penalty_has_its_closed_form():
    assert VALUES.keys() == PENALTIES.keys()


@pytest.mark.rows("name", PENALTIES)
def test_a_penalty_on_a_linear_discriminator(backend, name):
    rng = np.random.default_rng(19)
    w, x = rng.standard_normal((3, 5, 1)), rng.standard_normal((3, 7, 5))
    x_, weights = variable(backend.array(x)), np.array([0.5, 0.0, 2.0]).reshape(3, 1, 1)
    value = VALUES[name](np.sqrt((w**2).sum(axis=1, keepdims=True)), x @ w)
    for weight, given in ((0.7, 0.7), (weights, Tensor(backend.array(weights)))):
        found = PENALTIES[name](given)(x_ @ Tensor(backend.array(w)), x_)
        np.testing.assert_allclose(found.numpy(), weight * value, rtol=1e-10)


@pytest.mark.rows("name", PENALTIES)
def test_a_row_says_what_it_is(name):
    row = PENALTIES[name]
    assert row.name == name and row.at in ("real", "generated", "between") and row.default >= 0.0
    assert repr(row(0.5)) == f"{row.__name__}(0.5)"
    assert repr(row(Tensor(np.ones((2, 1, 1))))) == f"{row.__name__}(one per replica)"
    assert row.about and "E" in row.__doc__ and "Source:  " in row.__doc__


# ── between real and generated data ───────────────────────────────────────────────────────────────
def test_interpolation_stays_on_the_line_between(backend):
    rng = np.random.default_rng(18)
    real, fake, mix = rng.standard_normal((2, 6, 3)), rng.standard_normal((2, 6, 3)), rng.random((2, 6, 1))
    between = interpolate(*(constant(backend.array(a)) for a in (real, fake, mix))).numpy()
    np.testing.assert_allclose(between, fake + mix * (real - fake), rtol=1e-13, atol=1e-15)
    for end, expected in ((1.0, real), (0.0, fake)):
        ends = constant(backend.array(np.full_like(mix, end)))
        made = interpolate(*(constant(backend.array(a)) for a in (real, fake)), ends)
        np.testing.assert_array_equal(made.numpy(), expected)
