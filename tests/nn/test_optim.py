"""Optimisers: each beside its paper's formula and PyTorch's paths; in two valleys, eager and captured."""

from pathlib import Path

import numpy as np
import pytest

from minigan.compiler.capture import capture
from minigan.compiler.planner import EXACT
from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean, square, sum_over
from minigan.engine.tensor import Tensor
from minigan.nn.optim import (
    OPTIMIZERS,
    SGD,
    Adam,
    Momentum,
    OptimisticAdam,
    OptimisticSGD,
    Optimizer,
    RMSProp,
)
from minigan.nn.parameters import Parameters

REFERENCE = Path(__file__).parents[1] / "reference" / "small_gan.npz"
STEPS = 20


def parameters_of(backend, start, dtype="float64"):
    """One parameter matrix, one bias and one number, so that gradients arrive in several shapes."""
    start = np.asarray(start, dtype)
    shapes = {"W": (2, start.shape[-1] // 2 - 1), "b": (1, start.shape[-1] - 2 * (start.shape[-1] // 2 - 1))}
    parameters = Parameters(shapes, backend, dtype, start.shape[:-1])
    parameters.update(Tensor(backend.array(start)))
    return parameters


def follow(optimizer, gradients):
    """The flat parameters after every step on given gradients (steps, …, P)."""
    parameters, path = optimizer.parameters, []
    for g in gradients:
        optimizer.step([Tensor(view) for view in parameters.views_of(parameters.backend.array(g))])
        path.append(parameters.flat.numpy())
    return np.array(path)


# ── the papers' algorithms, on NumPy arrays ───────────────────────────────────────────────────────
def sgd(θ, gradients, rate):
    for g in gradients:
        θ = θ - rate * g
        yield θ


def optimistic_sgd(θ, gradients, rate):
    previous = 0.0
    for g in gradients:
        θ, previous = θ - 2 * rate * g + rate * previous, g
        yield θ


def momentum(θ, gradients, rate, momentum=0.9):
    u = 0.0
    for g in gradients:
        u = momentum * u + g
        θ = θ - rate * u
        yield θ


def rmsprop(θ, gradients, rate, rho=0.99, epsilon=1e-8):
    v = 0.0
    for g in gradients:
        v = rho * v + (1 - rho) * g**2
        θ = θ - rate * g / (np.sqrt(v) + epsilon)
        yield θ


def adam_directions(gradients, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        yield m_hat / (np.sqrt(v_hat) + epsilon)


def adam(θ, gradients, rate, **options):
    for u in adam_directions(gradients, **options):
        θ = θ - rate * u
        yield θ


def optimistic_adam(θ, gradients, rate, **options):
    previous = 0.0
    for u in adam_directions(gradients, **options):
        θ, previous = θ - 2 * rate * u + rate * previous, u
        yield θ


CASES = [
    (SGD, sgd, {}), (OptimisticSGD, optimistic_sgd, {}), (Momentum, momentum, {}),
    (Momentum, momentum, {"momentum": 0.0}), (Momentum, momentum, {"momentum": 0.5}),
    (RMSProp, rmsprop, {}), (RMSProp, rmsprop, {"rho": 0.5, "epsilon": 1e-3}), (Adam, adam, {}),
    (Adam, adam, {"beta1": 0.0, "beta2": 0.99}), (Adam, adam, {"beta1": 0.5, "beta2": 0.0, "epsilon": 0.1}),
    (OptimisticAdam, optimistic_adam, {}), (OptimisticAdam, optimistic_adam, {"beta1": 0.0, "beta2": 0.99}),
]  # fmt: skip


def test_every_optimizer_has_a_formula_here():
    assert {cls for cls, _, _ in CASES} == set(OPTIMIZERS.values())


@pytest.mark.rows(("cls", "formula", "options"), CASES)
@pytest.mark.rows("replicas", [(), (3,)])
def test_twenty_steps_are_the_papers_formula(backend, cls, formula, options, replicas):
    rng = np.random.default_rng(1)
    start = rng.standard_normal((*replicas, 7))
    gradients = rng.standard_normal((STEPS, *replicas, 7)) * np.geomspace(1e-3, 1e2, 7)
    path = follow(cls(parameters_of(backend, start), 0.03, **options), gradients)
    np.testing.assert_allclose(path, list(formula(start, gradients, 0.03, **options)), rtol=1e-12, atol=1e-12)


@pytest.mark.rows("cls", OPTIMIZERS.values())
def test_float32_stays_float32_and_near_the_formula(backend, cls):
    rng = np.random.default_rng(2)
    start, gradients = (
        rng.standard_normal(7).astype("float32"),
        rng.standard_normal((STEPS, 7)).astype("float32"),
    )
    optimizer = cls(parameters_of(backend, start, "float32"), 0.03)
    path = follow(optimizer, gradients)
    assert path.dtype == "float32" and {t.dtype.name for t in optimizer.state.values()} == {"float32"}
    double = follow(cls(parameters_of(backend, start), 0.03), gradients.astype("float64"))
    np.testing.assert_allclose(path, double, atol=1e-5)


@pytest.mark.rows(
    ("key", "cls", "rate", "options"),
    [
        ("sgd", SGD, 0.1, {}),
        ("momentum", Momentum, 0.1, {"momentum": 0.9}),
        ("rmsprop", RMSProp, 0.01, {"rho": 0.99, "epsilon": 1e-8}),
        ("adam", Adam, 0.01, {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}),
        ("adam_gan", Adam, 0.01, {"beta1": 0.0, "beta2": 0.99, "epsilon": 1e-8}),
    ],
)
def test_trajectories_of_pytorch(backend, key, cls, rate, options):
    with np.load(REFERENCE, allow_pickle=False) as reference:
        start, gradients, expected = (reference[f"optimizer.{name}"] for name in ("start", "gradients", key))
    path = follow(cls(parameters_of(backend, start), rate, **options), gradients)
    np.testing.assert_allclose(path, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.rows("beta1", [0.0, 0.5, 0.9])
def test_adams_first_step_is_the_sign_of_the_gradient(backend, beta1):
    """m̂ = g and v̂ = g² at t = 1, whatever β: so the step is α g / (|g| + ε)."""
    g = np.array([1e-8, -1e-3, 0.0, -2.0, 1e4, -1e8])
    path = follow(Adam(parameters_of(backend, np.zeros(6)), 0.1, beta1=beta1), [g])
    np.testing.assert_allclose(path[0], -0.1 * g / (np.abs(g) + 1e-8), rtol=1e-14)


def test_adam_without_memory_is_the_sign_at_every_step(backend):
    gradients = np.random.default_rng(3).standard_normal((5, 6))
    path = follow(Adam(parameters_of(backend, np.zeros(6)), 0.1, beta1=0.0, beta2=0.0), gradients)
    np.testing.assert_allclose(
        path, -0.1 * np.cumsum(gradients / (np.abs(gradients) + 1e-8), axis=0), rtol=1e-13, atol=1e-15
    )


def test_adams_weights_count_time(backend):
    optimizer = Adam(parameters_of(backend, np.zeros(6), "float32"), 0.1, beta1=0.9, beta2=0.999)
    follow(optimizer, np.ones((STEPS, 6), "float32"))
    weights = [optimizer.state[name].numpy() for name in ("weight1", "weight2")]  # Σ βᵏ of t steps
    for weight, beta in zip(weights, (0.9, 0.999), strict=True):
        np.testing.assert_allclose(weight, (1 - beta**STEPS) / (1 - beta), rtol=1e-6)
    means = [optimizer.state[name].numpy() for name in ("m", "v")]  # of gradients that all are 1
    np.testing.assert_allclose(means, [np.full(6, weight) for weight in weights], rtol=1e-6)


@pytest.mark.rows("cls", [SGD, OptimisticSGD])
def test_optimism_ends_the_circling_of_a_bilinear_game(backend, cls):
    """min over x, max over y of x·y: plain steps grow by √(1 + h²) each, optimistic ones shrink."""
    xy, h, start = [parameters_of(backend, np.full(6, 1.0)) for _ in range(2)], 0.3, np.sqrt(2.0)
    players = [cls(parameters, h) for parameters in xy]
    radii = []
    for _ in range(60):
        x, y = (parameters.flat.numpy() for parameters in xy)
        radii.append(np.hypot(x, y)[0])
        for player, g in zip(players, (y, -x), strict=True):
            player.step([Tensor(view) for view in player.parameters.views_of(backend.array(g))])
    if cls is SGD:
        np.testing.assert_allclose(radii, start * np.sqrt(1 + h**2) ** np.arange(60), rtol=1e-12)
    else:
        assert radii[-1] < 0.2 * start


# ── two valleys ───────────────────────────────────────────────────────────────────────────────────
def parabola(p):
    return 0.5 * square(p["x"] - 3.0) + 2.0 * square(p["y"] + 1.0)


def rosenbrock(p):
    return square(1.0 - p["x"]) + 100.0 * square(p["y"] - square(p["x"]))


VALLEYS = {parabola: (3.0, -1.0), rosenbrock: (1.0, 1.0)}
RATES = {  # parabola, Rosenbrock
    "sgd": (0.1, 1e-3), "optimistic_sgd": (0.1, 6e-4), "momentum": (0.02, 2e-4), "rmsprop": (0.01, 5e-4),
    "adam": (0.05, 0.02), "optimistic_adam": (0.05, 0.02),
}  # fmt: skip


def descent(backend, name, valley, dtype="float64"):
    parameters = Parameters({"x": (1, 1), "y": (1, 1)}, backend, dtype)
    parameters.update(Tensor(backend.array(np.array([-1.2, 1.0], dtype))))
    optimizer = OPTIMIZERS[name](parameters, RATES[name][list(VALLEYS).index(valley)])
    direction = Tensor(backend.array(np.ones((1, 1), dtype)))

    def step(one):
        loss = sum_over(one * valley(parameters), axis=(0, 1))
        optimizer.step(grad(loss, parameters))
        return loss

    state = [parameters.flat, *optimizer.state.values()]
    return step, direction, state


@pytest.mark.rows("name", OPTIMIZERS)
@pytest.mark.rows("valley", VALLEYS)
@pytest.mark.rows("dtype", ["float32", "float64"])
def test_captured_descent_is_eager_descent_bit_for_bit(backend, name, valley, dtype):
    step, one, eager = descent(backend, name, valley, dtype)
    losses = [step(one).numpy() for _ in range(30)]
    step, one, captured = descent(backend, name, valley, dtype)
    program = capture(step, one, state=captured, passes=EXACT)
    replayed = [program.outputs.numpy(), *(program(one).numpy() for _ in range(29))]
    np.testing.assert_array_equal(np.array(replayed), np.array(losses))
    for ours, its in zip(captured, eager, strict=True):
        np.testing.assert_array_equal(ours.numpy(), its.numpy())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("valley", VALLEYS)
def test_every_optimizer_descends(name, valley):
    from minigan.backend import numpy_backend

    step, one, state = descent(numpy_backend, name, valley)
    program = capture(step, one, state=state)
    start = program.outputs.item()
    steps = 12_000 if name == "optimistic_sgd" else 8000  # it bears smaller rates only
    for _ in range(steps if valley is rosenbrock else 1500):
        program(one)
    assert start > 10.0
    assert program(one).item() < 1e-3
    np.testing.assert_allclose(state[0].numpy(), VALLEYS[valley], atol=0.05)


# ── rates ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.rows("cls", OPTIMIZERS.values())
@pytest.mark.rows("dtype", ["float32", "float64"])
def test_one_rate_per_replica_is_one_run_per_rate(backend, cls, dtype):
    rng = np.random.default_rng(4)
    rates, start = [0.1, 0.003, 0.03], rng.standard_normal((3, 7)).astype(dtype)
    gradients = rng.standard_normal((STEPS, 3, 7)).astype(dtype)
    together = follow(cls(parameters_of(backend, start, dtype), rates), gradients)
    for r, rate in enumerate(rates):
        alone = follow(cls(parameters_of(backend, start[r], dtype), rate), gradients[:, r])
        np.testing.assert_array_equal(together[:, r], alone)


def test_a_captured_step_follows_the_rate_and_the_factor(backend):
    parameters = parameters_of(backend, np.zeros(6))
    optimizer = SGD(parameters, 0.5)
    gradient = [Tensor(view) for view in parameters.views_of(backend.array(np.ones(6)))]
    factor = Tensor(backend.array(np.array([1.0])))
    state = [parameters.flat, *optimizer.state.values(), *gradient]
    program = capture(lambda factor: optimizer.step(gradient, factor), factor, state=state)
    np.testing.assert_array_equal(parameters.flat.numpy(), -0.5)
    program(Tensor(backend.array(np.array([0.5]))))
    np.testing.assert_array_equal(parameters.flat.numpy(), -0.75)
    optimizer.set_rate(2.0)
    program(factor)
    np.testing.assert_array_equal(parameters.flat.numpy(), -2.75)


def test_a_factor_that_is_a_number(backend):
    parameters = parameters_of(backend, np.zeros(6))
    optimizer = SGD(parameters, 0.5)
    optimizer.step([Tensor(view) for view in parameters.views_of(backend.array(np.ones(6)))], 0.25)
    np.testing.assert_array_equal(parameters.flat.numpy(), -0.125)


def test_state_is_complete(backend):
    """Restoring parameters and state into a fresh optimiser continues bit for bit."""
    rng = np.random.default_rng(5)
    start, gradients = rng.standard_normal(7), rng.standard_normal((STEPS, 7))
    for cls in OPTIMIZERS.values():
        whole = follow(cls(parameters_of(backend, start), 0.03), gradients)
        first = cls(parameters_of(backend, start), 0.03)
        follow(first, gradients[:11])
        second = cls(parameters_of(backend, first.parameters.flat.numpy()), 1.0)
        assert second.state.keys() == first.state.keys()
        for name, tensor in second.state.items():
            backend.xp.copyto(tensor.memory, backend.array(first.state[name].numpy()))
        np.testing.assert_array_equal(follow(second, gradients[11:]), whole[11:])


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.rows("cls", OPTIMIZERS.values())
@pytest.mark.rows("rate", [0.0, -1e-3, float("nan"), float("inf")])
def test_a_rate_that_is_no_positive_number_is_refused(backend, cls, rate):
    with pytest.raises(ValueError, match="a learning rate is a finite positive number; received"):
        cls(parameters_of(backend, np.zeros(6)), rate)
    optimizer = cls(parameters_of(backend, np.zeros(6)), 0.5)
    with pytest.raises(ValueError):
        optimizer.set_rate(rate)
    np.testing.assert_array_equal(optimizer.rate.numpy(), 0.5)


@pytest.mark.rows(
    ("replicas", "rates"), [((3,), [0.1, 0.2]), ((), [0.1, 0.2]), ((3,), []), ((3,), [0.1, 0.2, -0.1])]
)
def test_rates_that_do_not_fit_the_replicas_are_refused(backend, replicas, rates):
    with pytest.raises(ValueError, match="a learning rate is"):
        SGD(parameters_of(backend, np.zeros((*replicas, 6))), rates)


@pytest.mark.rows(
    ("cls", "options", "says"),
    [
        (Momentum, {"momentum": 1.0}, r"momentum is a number in \[0, 1\); received 1.0"),
        (Momentum, {"momentum": -0.1}, "momentum is a number in"),
        (RMSProp, {"rho": 1.0}, "rho is a number in"),
        (RMSProp, {"epsilon": 0.0}, "epsilon is a finite positive number; received 0.0"),
        (Adam, {"beta1": 1.0}, "beta1 is a number in"),
        (Adam, {"beta2": float("nan")}, "beta2 is a number in"),
        (Adam, {"epsilon": -1.0}, "epsilon is"),
        (Adam, {"epsilon": float("inf")}, "epsilon is"),
        (OptimisticAdam, {"beta2": 1.5}, "beta2 is a number in"),
    ],
)
def test_bad_constants_are_refused(backend, cls, options, says):
    with pytest.raises(ValueError, match=says):
        cls(parameters_of(backend, np.zeros(6)), 0.1, **options)


def test_a_gradient_too_few_or_of_another_shape_is_refused(backend):
    parameters = parameters_of(backend, np.zeros(6))
    W, b = (Tensor(view) for view in parameters.views_of(backend.array(np.ones(6))))
    for gradients in ([W], [W, b, b], [b, W]):
        with pytest.raises(ValueError):
            SGD(parameters, 0.1).step(gradients)
    np.testing.assert_array_equal(parameters.flat.numpy(), 0.0)


class Counting(Optimizer):
    """As people write one: what it remembers are attributes, changed in Python, so it is for eager steps."""

    def __init__(self, parameters, rate, shape=lambda g: g):
        super().__init__(parameters, rate)
        self.count, self.u, self.shape = 0, 0.0, shape

    def direction(self, g):
        self.count += 1
        self.u = 0.5 * self.u + g
        return self.shape(self.u * (1.0 / self.count))


def test_an_optimiser_of_ones_own_changes_its_parts_and_keeps_those_of_all(backend):
    optimizer = Counting(parameters_of(backend, np.zeros(6)), 1.0)
    path = follow(optimizer, np.ones((2, 6)))
    np.testing.assert_array_equal(path, [[-1.0] * 6, [-1.75] * 6])
    for name in ("rate", "parameters", "g", "state"):
        with pytest.raises(TypeError, match=f"Counting keeps its {name}, "):
            setattr(optimizer, name, getattr(SGD(parameters_of(backend, np.zeros(6)), 0.1), name))


@pytest.mark.rows("shape", [mean, lambda g: g.numpy(), lambda g: None])
def test_a_direction_has_a_number_for_each_parameter(backend, shape):
    """The sum of all moved each parameter alike, without a word."""
    parameters = parameters_of(backend, np.zeros(6))
    with pytest.raises(
        ValueError, match=r"direction of an optimiser is a Tensor of shape \(6,\), .*; received"
    ):
        follow(Counting(parameters, 1.0, shape), np.ones((1, 6)))
    np.testing.assert_array_equal(parameters.flat.numpy(), 0.0)


@pytest.mark.rows("cls", OPTIMIZERS.values())
def test_only_parameters_are_moved(backend, cls):
    with pytest.raises(TypeError, match="moves a network's parameters; received list"):
        cls(list(parameters_of(backend, np.zeros(6))), 0.1)
