"""Anomaly detection: every injected NaN and infinity is found and placed, and no training step is accused."""

import pickle
import sys

import numpy as np
import pytest

from minigan.backend import numpy_backend
from minigan.compiler.capture import capture
from minigan.engine import primitives as P
from minigan.engine.anomaly import AnomalyError, detect_anomaly
from minigan.engine.autodiff import assign, filled, grad
from minigan.engine.tensor import CaptureError, Primitive, constant, observer, variable
from minigan.gan.game import Game
from minigan.gan.objectives import OBJECTIVES, bce_with_logits
from minigan.gan.orders import Batch
from minigan.gan.penalties import R1, R2
from minigan.nn.layers import ACTIVATIONS
from minigan.nn.network import mlp
from minigan.nn.optim import OPTIMIZERS
from minigan.nn.schedules import Average
from minigan.testing.cases import CASES

RULES = [(name, k) for name, p in P.PRIMITIVES.items() for k, rule in enumerate(p.vjps) if rule]
BAD = {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf}
STEPS, AT = 6, 4


def lift(backend, values, dtype="float64"):
    return variable(backend.array(np.asarray(values, dtype)))


def inputs_of(name, backend):
    """Tensors, the literals that follow them, and the parameters, for one call of a primitive."""
    case = CASES[name]
    arrays = case.inputs(np.random.default_rng(7))[0]
    return [lift(backend, a) for a in arrays], case.literals, case.params


def poisoned(backend, y, value):
    """A copy with one element replaced: of a view the original is another's."""
    y = backend.array(y)
    y[(0,) * y.ndim] = value
    return y


def here(text):
    """What ``line`` says of the line after the one that calls this."""
    return f"{__file__}:{sys._getframe(1).f_lineno + 1}: {text}"


@pytest.fixture(autouse=True)
def nothing_stays():
    before = np.geterr()
    yield
    assert observer.get() is None and np.geterr() == before


# ── every primitive, both directions
@pytest.mark.parametrize(
    ("name", "value"),
    [*((name, "NaN") for name in P.PRIMITIVES), ("matmul", "infinity"), ("matmul", "minus infinity")],
)
def test_a_kernel_that_fails_at_one_step_is_named(backend, monkeypatch, name, value):
    primitive, (xs, literals, params) = P.PRIMITIVES[name], inputs_of(name, backend)
    primitive(*xs, *literals, **params)
    step, kernel = 0, primitive._functions[backend.array_type]

    def failing(*arrays, **options):
        y = kernel(*arrays, **options)
        return poisoned(backend, y, BAD[value]) if step == AT else y

    monkeypatch.setitem(primitive._functions, backend.array_type, failing)
    with pytest.raises(AnomalyError) as caught:
        for step in range(STEPS):  # noqa: B007 - the kernel and the rule read it
            with detect_anomaly():
                line = here("primitive(*xs, *literals, **params)")
                primitive(*xs, *literals, **params)
    e = caught.value
    assert (step, e.primitive, e.direction, e.line, e.input) == (AT, name, "forward", line, None)
    assert e.derivative_of is None and e.forward_line is None
    shapes = " and ".join([str(x.shape) for x in xs] + [str(n) for n in literals])
    assert str(e).startswith(f"{name} made 1 of ")
    assert str(e).endswith(f"elements NaN or infinite, given {shapes}, at {line}, in the forward pass")


@pytest.mark.parametrize(
    ("name", "place", "value"), [*((*rule, "NaN") for rule in RULES), ("matmul", 0, "infinity")]
)
def test_a_rule_that_fails_at_one_step_is_named(backend, monkeypatch, name, place, value):
    primitive, (xs, literals, params) = P.PRIMITIVES[name], inputs_of(name, backend)
    step, right = 0, primitive.vjps[place]
    spoil = {"NaN": lambda g: P.log(g * 0.0 - 1.0), "infinity": lambda g: P.exp(g * 0.0 + 1000.0)}[value]

    def wrong(*operands, **options):
        g = right(*operands, **options)
        return spoil(g) if step == AT else g

    monkeypatch.setattr(primitive, "vjps", (*primitive.vjps[:place], wrong, *primitive.vjps[place + 1 :]))
    with pytest.raises(AnomalyError) as caught:
        for step in range(STEPS):  # noqa: B007 - the kernel and the rule read it
            with detect_anomaly():
                line = here("y = primitive(*xs, *literals, **params)")
                y = primitive(*xs, *literals, **params)
                grad(y, xs)
    e = caught.value
    assert (step, e.derivative_of, e.direction, e.forward_line, e.input) == (AT, name, "backward", line, None)
    assert e.primitive == {"NaN": "log", "infinity": "exp"}[value]
    assert e.line.startswith(f"{__file__}:") and "spoil = {" in e.line  # the rule is no line of the engine
    assert f"in the derivative of {name}, called at {line}" in str(e)


def game_of(
    backend=numpy_backend, activation="tanh", optimizer="adam", packing=1, dtype="float32", **options
):
    sizes = (2, 6, 6, 1), (packing, 6, 6, 1)
    G, D = (mlp(widths, rngs=np.random.default_rng(k), activation=activation, dtype=dtype, backend=backend)
            for k, widths in enumerate(sizes))  # fmt: skip
    moves = [OPTIMIZERS[optimizer](network.parameters, 0.01) for network in (G, D)]
    return Game(
        G, D, *moves, **{"penalties": (R1(0.5), R2(0.25)), "average": Average(G.parameters)} | options
    )


def batch_of(game, backend=numpy_backend, rows=8):
    """What a round takes, the same each time."""
    rng, (k_d, k_g) = np.random.default_rng(3), (game.discriminator_steps, game.generator_steps)
    real = 1.0 + 0.5 * rng.standard_normal((k_d, rows, 1))
    latents = (rng.standard_normal((k, rows, 2)) for k in (k_d, k_g))
    mix = rng.random((k_d, rows // game.packing, 1))
    dtype = game.generator.parameters.flat.dtype
    real, latent_d, latent_g, mix = (constant(backend.array(a.astype(dtype))) for a in (real, *latents, mix))
    return Batch(real, latent_d, latent_g, mix)


class Names:
    """An observer that notes what the dispatch shows: each name, and whether `grad` was at work."""

    refuses = {}

    def __init__(self):
        self.calls = []

    def declare(self, array):
        pass

    def record(self, primitive, inputs, params, output):
        if primitive.name != "assign":
            frame, backward = sys._getframe(), False
            while frame := frame.f_back:
                backward |= frame.f_code.co_name == "grad"
            self.calls.append((primitive.name, "backward" if backward else "forward"))


@pytest.mark.parametrize("method", ["alternating", "consensus", "WGAN-GP"], indirect=True)
def test_every_call_of_a_round_is_watched(monkeypatch, method):
    """A NaN at the k-th call of a whole round is found at the k-th call; of many k some are tried."""
    game = game_of(**method)
    batch, kind = batch_of(game), numpy_backend.array_type
    names, count, target = Names(), 0, None
    token = observer.set(names)
    try:
        game.round(batch)
    finally:
        observer.reset(token)

    def failing(kernel):
        def f(*arrays, **params):
            nonlocal count
            y, count = kernel(*arrays, **params), count + 1
            return poisoned(numpy_backend, y, np.nan) if count - 1 == target else y

        return f

    for primitive in P.PRIMITIVES.values():
        if kind in primitive._functions:
            monkeypatch.setitem(primitive._functions, kind, failing(primitive._functions[kind]))
    assert len(names.calls) > 100 and {d for _, d in names.calls} == {"forward", "backward"}
    state = {name: t.numpy() for name, t in game.state.items()}
    every = 1 + len(names.calls) // 200
    for target, expected in list(enumerate(names.calls))[::every]:
        for name, t in game.state.items():
            assign(t, constant(state[name]))
        count = 0
        with pytest.raises(AnomalyError) as caught, detect_anomaly():
            game.round(batch)
        e = caught.value
        assert (e.primitive, e.direction, e.input) == (*expected, None), target
        assert (e.derivative_of is None) == (e.direction == "forward") == (e.forward_line is None)


# ── no false alarms
def same_with_and_without(**options):
    left = []
    for watched in (False, True):
        game = game_of(**options)
        for _ in range(4):
            if watched:
                with detect_anomaly():
                    losses = game.round(batch_of(game))
            else:
                losses = game.round(batch_of(game))
        left.append([t.numpy().tobytes() for t in (*game.state.values(), *losses)])
    assert left[0] == left[1]


def test_no_method_is_accused(method):
    same_with_and_without(dtype="float32", **method)


@pytest.mark.rows("objective", OBJECTIVES)
def test_no_objective_is_accused(objective):
    same_with_and_without(objective=objective, dtype="float64")


@pytest.mark.rows(  # each once at least
    ("optimizer", "activation"),
    [(list(OPTIMIZERS)[k % len(OPTIMIZERS)], activation) for k, activation in enumerate(ACTIVATIONS)],
)
def test_no_optimiser_or_activation_is_accused(optimizer, activation):
    same_with_and_without(optimizer=optimizer, activation=activation)


def test_the_strict_device_is_watched_too():
    from minigan import backend as backends

    strict = backends.get("strict")
    game = game_of(strict)
    with detect_anomaly():
        game.round(batch_of(game, strict))
        with pytest.raises(AnomalyError, match="input 1 of multiply was already not finite: 8 of 8 elements"):
            lift(strict, np.ones(8)) * lift(strict, np.full(8, np.inf))


@pytest.mark.rows("dtype", ["float32", "float64"])
def test_an_overflow_on_the_way_to_a_finite_value_is_none(backend, dtype):
    """e⁻ˣ = ∞ within a sigmoid gives 0; an infinite input may be clipped; a row not used is not looked at."""
    a = lift(backend, [[-1e4, -200.0, 0.0, 200.0, 1e4]], dtype)
    infinite = lift(backend, [[-np.inf, -np.inf, 1.0], [0.0, 1.0, 2.0]], dtype)
    with detect_anomaly():
        y = bce_with_logits(a, 1.0) + P.tanh(a) + P.sigmoid(a) + P.silu(a) + P.elu(a) + P.softplus(-a)
        (slope,) = grad(y, [a], create_graph=True)
        grad(slope, [a])
        assert P.maximum(infinite, -1.0).numpy()[0].tolist() == [-1.0, -1.0, 1.0]
        assert (infinite[1] * 2.0).numpy().tolist() == [0.0, 2.0, 4.0]
        assign(infinite, constant(backend.array(np.zeros((2, 3), dtype))))  # what it held is gone


def test_values_may_be_read_inside(backend):
    a, labels = lift(backend, [0.5, -0.5]), lift(backend, [0.25, 0.75])
    with detect_anomaly():
        assert np.isfinite(bce_with_logits(a, labels).numpy()).all()
        with pytest.raises(ValueError, match="labels are probabilities"):
            bce_with_logits(a, labels * 2.0)
        assert filled(a, 1.0).numpy().tolist() == [1.0, 1.0]


# ── what came in
@pytest.mark.rows("place", [0, 1])
def test_a_batch_that_was_not_finite_is_named(backend, place):
    operands = [lift(backend, np.ones((2, 2))), lift(backend, [[1.0, np.nan], [np.inf, 0.0]])]
    a, b = operands if place else reversed(operands)
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        line = here("a @ b")
        a @ b
    assert (caught.value.input, caught.value.line) == (place, line)
    assert str(caught.value) == (
        f"input {place} of matmul was already not finite: 2 of 4 elements NaN or infinite, "
        f"given (2, 2) and (2, 2), at {line}, in the forward pass"
    )


def test_a_parameter_that_was_not_finite_is_named_at_the_layer():
    D = mlp((2, 3, 1), rngs=np.random.default_rng(0))
    D.parameters.update(D.parameters.flat * np.nan)
    with (
        detect_anomaly(),
        pytest.raises(AnomalyError, match="input 1 of .* was already not finite") as caught,
    ):
        D(constant(np.ones((4, 2), "float32")))
    assert "/nn/" in caught.value.line.replace("\\", "/") and caught.value.direction == "forward"


def test_a_number_and_an_assignment_are_inputs_too(backend):
    x = lift(backend, [1.0, 2.0])
    with detect_anomaly():
        with pytest.raises(AnomalyError, match=r"input 1 of multiply .* 1 of 1 .* given \(2,\) and inf, at"):
            x * float("inf")
        with pytest.raises(AnomalyError, match=r"input 0 of assign .* 1 of 2 .* given \(2,\), at"):
            assign(x, lift(backend, [0.0, np.nan]))
    assert x.numpy().tolist() == [1.0, 2.0]  # refused before it was written


def test_a_cotangent_that_was_not_finite_is_placed_in_the_derivative(backend):
    """A rule that makes its array aside: the first primitive that meets it says so."""

    def rule(g, y, x):
        return constant(backend.array(np.full(x.shape, np.nan)))

    aside = Primitive("aside", lambda xp, x, out=None: xp.multiply(x, 1.0, out=out), rule)
    x = lift(backend, [1.0])
    with detect_anomaly(), pytest.raises(AnomalyError, match="input 0 of multiply was already") as caught:
        grad(aside(P.square(x)), [x])
    assert (caught.value.direction, caught.value.derivative_of) == ("backward", "square")


# ── which line
def test_a_derivative_names_both_lines(backend):
    x = lift(backend, [[0.0, 4.0]])
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        forward = here("y = P.sqrt(x)")
        y = P.sqrt(x)
        z = y * 2.0
        backward = here("grad(z, [x])")
        grad(z, [x])
    e = caught.value
    assert (e.primitive, e.derivative_of, e.line, e.forward_line) == ("divide", "sqrt", backward, forward)
    assert str(e) == (
        f"divide made 1 of 2 elements NaN or infinite, given 0.5 and (1, 2), at {backward}, "
        f"in the derivative of sqrt, called at {forward}"
    )


def test_a_second_derivative_names_the_first_grad(backend):
    x = lift(backend, [0.0])
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        y = x**1.5
        forward = here("(slope,) = grad(y, [x], create_graph=True)")
        (slope,) = grad(y, [x], create_graph=True)
        backward = here("grad(slope, [x])")
        grad(slope, [x])
    e = caught.value
    assert (e.primitive, e.derivative_of, e.line, e.forward_line) == ("power", "power", backward, forward)


def test_a_sum_of_cotangents_that_overflows_is_placed(backend):
    x = lift(backend, [0.0])
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        grad(x * 1e308 + x * 1.5e308, [x])
    assert (caught.value.primitive, caught.value.direction) == ("add", "backward")
    assert caught.value.derivative_of == "multiply"


def test_a_call_older_than_the_detection_has_no_line(backend):
    x = lift(backend, [0.0])
    y = P.sqrt(x)
    with detect_anomaly(), pytest.raises(AnomalyError, match="sqrt, called at a line not watched") as caught:
        grad(y, [x])
    assert caught.value.forward_line is None and caught.value.derivative_of == "sqrt"


def test_the_error_survives_pickling():
    """Runs beside each other hand their errors from process to process."""
    x = variable(np.zeros(2))
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        grad(P.sqrt(x), [x])
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (
        str(copy) == str(caught.value) and vars(copy) == vars(caught.value) and copy.derivative_of == "sqrt"
    )


# ── on and off
def log_of_zero(backend):
    with np.errstate(divide="ignore"):
        return P.log(lift(backend, [0.0])).numpy()


def test_it_is_off_after_an_exception(backend):
    for bad, error in ((lambda: log_of_zero(backend), AnomalyError), (lambda: 1 / 0, ZeroDivisionError)):
        with pytest.raises(error), detect_anomaly():
            bad()
        assert observer.get() is None
        assert log_of_zero(backend)[0] == -np.inf


def test_contexts_nest(backend):
    outer = detect_anomaly()
    with outer:
        with detect_anomaly(), pytest.raises(AnomalyError):
            log_of_zero(backend)
        with outer, pytest.raises(AnomalyError):  # the very same once more
            log_of_zero(backend)
        with pytest.raises(AnomalyError):
            log_of_zero(backend)
    assert log_of_zero(backend)[0] == -np.inf
    with outer, pytest.raises(AnomalyError):
        log_of_zero(backend)


def test_numpys_own_errors_do_not_come_first(backend):
    x = lift(backend, [0.0])
    with np.errstate(all="raise"), detect_anomaly():
        with pytest.raises(AnomalyError, match="^log made"):
            P.log(x)
        with pytest.raises(AnomalyError, match="^multiply made"):
            (x + 1e308) * 1e10


def test_captures_and_replays_are_refused_inside_and_it_is_refused_in_a_capture(backend):
    x = lift(backend, [2.0])
    program = capture(P.log, x)
    with detect_anomaly():
        for use in (
            lambda: capture(P.log, x),
            lambda: program(x),
            lambda: program.each(lift(backend, [[1.0]])),
        ):
            with pytest.raises(CaptureError, match="detect_anomaly sees no replay; run the step uncaptured"):
                use()

    def step(z):
        with detect_anomaly():
            return P.log(z)

    with pytest.raises(
        CaptureError, match="opened during capture; open it around a step that is run eagerly"
    ):
        capture(step, x)
    assert program(x).numpy() == capture(P.log, x)(x).numpy() == np.log(2.0)
