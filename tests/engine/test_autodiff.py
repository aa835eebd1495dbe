"""Reverse mode: what it returns, what it costs, what it leaves behind, and what it refuses."""

import gc
import threading

import numpy as np
import pytest

from minigan import backend as backends
from minigan.backend.writes import mark_written
from minigan.engine import primitives as P
from minigan.engine.autodiff import assign, filled, grad
from minigan.engine.tensor import (
    Primitive,
    StaleTensorError,
    Tensor,
    constant,
    is_tracked,
    observer,
    variable,
)
from minigan.nn.network import mlp
from minigan.nn.optim import SGD
from minigan.testing.gradcheck import check_grads


def lift(backend, values, dtype="float64"):
    return variable(backend.array(np.asarray(values, dtype)))


class Counter:
    """Counts calls of the dispatch, through which all array work passes."""

    def __init__(self, monkeypatch):
        self.calls, dispatch = 0, Primitive.__call__

        def counted(primitive, *inputs, **params):
            self.calls += 1
            return dispatch(primitive, *inputs, **params)

        monkeypatch.setattr(Primitive, "__call__", counted)

    def during(self, f):
        before = self.calls
        f()
        return self.calls - before


# ── what it returns
def test_the_gradient_of_the_sum(backend):
    x = lift(backend, [1.0, 2.0, 3.0])
    (g,) = grad(x * x, [x])
    np.testing.assert_array_equal(g.numpy(), [2.0, 4.0, 6.0])
    assert g.dtype == x.dtype and g.shape == x.shape and not is_tracked(g)


def test_an_independent_input_has_gradient_zero_where_that_is_asked_for(backend):
    x, other = lift(backend, [1.0, 2.0]), lift(backend, [[3.0], [4.0]], "float64")
    with pytest.raises(ValueError, match=r"not computed from wrt\[1\], of shape \(2, 1\).*unreached='zeros'"):
        grad(x * 2.0, [x, other])
    g, h = grad(x * 2.0, [x, other], unreached="zeros")
    assert h.shape == (2, 1) and not h.numpy().any() and g.numpy().tolist() == [2.0, 2.0]


def test_what_depends_only_through_steps_has_gradient_zero(backend):
    x = lift(backend, [1.0, -2.0])
    (g,) = grad(P.exp(P.step(x)) + P.sign(x), [x])
    np.testing.assert_array_equal(g.numpy(), [0.0, 0.0])


def test_a_step_does_not_hide_the_other_paths(backend):
    x = lift(backend, [1.5, -2.0])
    (g,) = grad(x * P.step(x), [x])
    np.testing.assert_array_equal(g.numpy(), [1.0, 0.0])


def test_a_constant_has_no_gradient(backend):
    x = lift(backend, [1.0])
    for unreached in ("refuse", "zeros"):
        with pytest.raises(ValueError, match="no history to differentiate"):
            grad(constant(x) * 2.0, [x], unreached=unreached)


def test_y_itself_and_intermediate_values_can_be_asked(backend):
    x = lift(backend, [0.3, 0.7])
    h = P.exp(x)
    y = P.square(h)
    gy, gh, gx = grad(y, [y, h, x])
    np.testing.assert_array_equal(gy.numpy(), [1.0, 1.0])
    np.testing.assert_array_equal(gh.numpy(), 2.0 * h.numpy())
    np.testing.assert_allclose(gx.numpy(), 2.0 * np.exp(2 * x.numpy()), rtol=1e-14)


def test_an_intermediate_value_keeps_the_whole_cotangent(backend):
    """h is used twice and its own maker must still see all of it."""
    x = lift(backend, [2.0])
    h = x * x
    y = h * h + h
    gh, gx = grad(y, [h, x])
    assert (gh.item(), gx.item()) == (9.0, 36.0)


def test_wrt_may_repeat_and_may_be_any_iterable(backend):
    x, w = lift(backend, [2.0]), lift(backend, [5.0])
    y = x * w
    assert [g.item() for g in grad(y, [x, x, w])] == [5.0, 5.0, 2.0]
    assert [g.item() for g in grad(y, (t for t in (w, x)))] == [2.0, 5.0]
    assert grad(y, []) == []


def test_the_same_tape_can_be_read_twice(backend):
    x = lift(backend, [2.0])
    y = P.exp(x) * x
    assert grad(y, [x])[0].item() == grad(y, [x])[0].item()


def test_zero_dimensional_and_literal_inputs(backend):
    x = lift(backend, 3.0)
    (g,) = grad(2.0 / x + x * 5, [x])
    assert g.shape == () and g.item() == pytest.approx(5 - 2 / 9, rel=1e-15)


def test_each_replica_gets_its_own_gradient(backend, same_bits):
    """The sum over all of y: one loss per replica, and no replica sees another."""
    rng = np.random.default_rng(0)
    W, x = rng.standard_normal((3, 2, 1)), rng.standard_normal((3, 5, 2))
    together = lift(backend, W)
    (g,) = grad(P.mean(P.square(constant(backend.array(x)) @ together)), [together])
    for r in range(3):
        alone = lift(backend, W[r])
        (h,) = grad(P.mean(P.square(constant(backend.array(x[r])) @ alone)), [alone])
        same_bits(backend, g.numpy()[r], h.numpy())


def test_filled_is_a_constant_like_another(backend):
    x = lift(backend, [[1.0, 2.0]], "float32")
    y = filled(x, 7.0)
    assert y.shape == (1, 2) and y.dtype == np.float32 and not is_tracked(y) and (y.numpy() == 7.0).all()


# ── higher orders
def test_without_create_graph_nothing_more_is_recorded(backend):
    x = lift(backend, [2.0])
    assert not is_tracked(grad(P.exp(x), [x])[0])
    assert is_tracked(grad(P.exp(x), [x], create_graph=True)[0])


def test_derivatives_of_a_polynomial_to_fourth_order(backend):
    x = lift(backend, [2.0])
    values, y = [], x**4
    for _ in range(5):
        (y,) = grad(y, [x], create_graph=True)
        values.append(y.item())
    assert values == pytest.approx([32.0, 48.0, 48.0, 24.0, 0.0], rel=1e-13)


@pytest.mark.rows("f", [P.tanh, P.sigmoid, P.softplus, P.exp, P.silu, lambda x: P.log(x * x + 1.0) / x])
def test_third_order_against_differences(backend, f):
    check_grads(f, np.array([[0.4, -0.9], [1.3, 0.2]]), order=3, on=backend)


def test_hessian_of_a_quadratic_form(backend):
    """∇²(½ xᵀAx) = ½(A + Aᵀ), one row per directional derivative."""
    A = np.random.default_rng(1).standard_normal((4, 4))
    x = lift(backend, np.ones((4, 1)))
    y = 0.5 * (P.mT(x) @ constant(backend.array(A)) @ x)
    (g,) = grad(y, [x], create_graph=True)
    rows = [grad(g[i], [x])[0].numpy()[:, 0] for i in range(4)]
    np.testing.assert_allclose(rows, 0.5 * (A + A.T), rtol=1e-14, atol=1e-15)


def test_second_derivatives_are_symmetric(backend):
    x, y = lift(backend, [0.3]), lift(backend, [0.8])
    z = P.tanh(x * P.exp(y)) / (x + y)
    gx, gy = grad(z, [x, y], create_graph=True)
    assert grad(gx, [y])[0].item() == pytest.approx(grad(gy, [x])[0].item(), rel=1e-13)


# ── what it costs
def test_fan_out_is_linear_in_nodes_not_in_paths(backend, monkeypatch):
    """x + x, sixty times: 2⁶⁰ paths through sixty nodes."""
    x = lift(backend, [1.0])
    y = x
    for _ in range(60):
        y = y + y
    counter, result = Counter(monkeypatch), []
    assert counter.during(lambda: result.extend(grad(y, [x]))) <= 60 * 2
    assert result[0].item() == 2.0**60


@pytest.mark.parametrize("create_graph", [False, True])
def test_twice_the_nodes_cost_twice_the_calls(backend, monkeypatch, create_graph):
    def cost(n):
        x = lift(backend, [0.5])
        y = x
        for _ in range(n):
            y = P.tanh(y * y + x)
        return counter.during(lambda: grad(y, [x], create_graph=create_graph))

    counter = Counter(monkeypatch)
    assert cost(80) - cost(40) == cost(40) - cost(0)


def test_rules_run_only_on_the_path(backend):
    """A GAN has two players and one graph: asking for one player's gradient must not pay for the other's."""
    ran = []

    def counted(name):
        def rule(g, y, x):
            ran.append(name)
            return g * 2.0

        return Primitive(name, lambda xp, x, out=None: xp.multiply(x, 2.0, out=out), rule)

    x, w = lift(backend, [1.0]), lift(backend, [1.0])
    y = counted("top")(counted("on w's way")(w) + counted("on x's way")(x)) + counted("aside")(constant(w))
    counted("unused")(y)
    grad(y, [w])
    assert sorted(ran) == ["on w's way", "top"]
    ran.clear()
    grad(y, [x])
    assert sorted(ran) == ["on x's way", "top"]


def test_the_way_ends_at_what_was_asked(backend):
    ran = []

    def rule(g, y, x):
        ran.append("below")
        return g

    h = Primitive("below", lambda xp, x, out=None: xp.multiply(x, 1.0, out=out), rule)(lift(backend, [1.0]))
    assert grad(h * 3.0, [h])[0].item() == 3.0
    assert not ran


def test_a_chain_of_100_000_calls():
    x = lift(backends.numpy_backend, [1.0])
    y = x
    for _ in range(100_000):
        y = y + 1.0
    assert grad(y, [x])[0].item() == 1.0
    del y  # freeing it must not recurse either


def test_a_long_chain_at_second_order(backend):
    x = lift(backend, [0.5])
    y = x
    for _ in range(2_000):
        y = y * 0.999 + x * x * 0.001
    (g,) = grad(y, [x], create_graph=True)
    assert np.isfinite(grad(g, [x])[0].item())


# ── what it leaves behind
def _first_order(D, x):
    return grad(P.mean(P.softplus(D(x))), D.parameters)


def _second_order(D, x):
    x = variable(x)
    (slope,) = grad(D(x), [x], create_graph=True)
    return grad(P.mean(P.sum_over(P.square(slope), axis=(-1,))), D.parameters, unreached="zeros")


@pytest.mark.parametrize("step", [_first_order, _second_order])
def test_a_step_leaves_nothing_for_the_garbage_collector(backend, step):
    D = mlp((2, 8, 1), rngs=np.random.default_rng(0), backend=backend)
    optimizer = SGD(D.parameters, 0.1)
    x = constant(backend.array(np.random.default_rng(1).standard_normal((16, 2)).astype("float32")))
    optimizer.step(step(D, x))
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            optimizer.step(step(D, x))
        assert gc.collect() == 0
    finally:
        if enabled:
            gc.enable()


def test_an_exception_in_a_step_leaves_no_state(backend):
    D = mlp((2, 4, 1), rngs=np.random.default_rng(0), backend=backend)
    x = constant(backend.array(np.ones((3, 2), "float32")))
    before = [g.numpy() for g in _second_order(D, x)]
    for bad in (
        lambda: grad(D(x) + constant(backend.array(np.ones((4, 1), "float32"))), D.parameters),
        lambda: grad(P.power(P.exp(D(x)), D(x)), D.parameters),
    ):
        with pytest.raises((ValueError, TypeError)):
            bad()
    assert observer.get() is None
    for g, h in zip(before, _second_order(D, x), strict=True):
        np.testing.assert_array_equal(g, h.numpy())


def test_an_exception_inside_a_rule_passes_through(backend):
    def rule(g, y, x):
        raise RuntimeError("a rule of the user's")

    x = lift(backend, [1.0])
    y = Primitive("own", lambda xp, x, out=None: xp.multiply(x, 1.0, out=out), rule)(x)
    with pytest.raises(RuntimeError, match="a rule of the user's"):
        grad(y, [x])
    assert grad(x * 2.0, [x])[0].item() == 2.0


# ── what it refuses
@pytest.mark.parametrize(("y", "wrt"), [(1.0, []), (np.ones(1), []), ("x", "x")])
def test_y_is_a_tensor(y, wrt):
    with pytest.raises(TypeError, match=r"grad\(y, wrt\) takes a Tensor y and a list of Tensors wrt"):
        grad(y, wrt)


def test_wrt_is_a_list(backend):
    x = lift(backend, [1.0])
    with pytest.raises(TypeError, match="a list of Tensors"):
        grad(x * x, x)


def test_a_gradient_through_a_constant_is_refused(backend):
    """It would be zero, although y does depend on the number: silence here hides a forgotten `variable`."""
    x, c = lift(backend, [1.0]), constant(backend.array([2.0]))
    with pytest.raises(TypeError, match=r"wrt\[1\], a constant of shape \(1,\); make it with variable"):
        grad(x * c, [x, c])
    with pytest.raises(TypeError, match=r"wrt\[0\], float"):
        grad(x * c, [2.0])


def test_a_missing_rule_is_named(backend):
    x = lift(backend, [1.0])
    with pytest.raises(
        TypeError, match="power has no derivative with respect to its input 1; pass a Python number"
    ):
        grad(P.power(x, x), [x])
    assert grad(P.power(x, constant(x)), [x])[0].item() == 1.0  # the derivative that it has


# ── the one mutation
def test_assign_writes_the_value(backend):
    x = lift(backend, [1.0, 2.0])
    assign(x, constant(backend.array([5.0, 6.0])))
    np.testing.assert_array_equal(x.numpy(), [5.0, 6.0])


@pytest.mark.rows(("values", "dtype", "words"), [
    ([1.0], "float64", r"assign writes float64\[2\]; received float64\[1\]"),
    ([[1.0, 2.0]], "float64", r"float64\[2\]; received float64\[1, 2\]"),
    ([1.0, 2.0], "float32", r"float64\[2\]; received float32\[2\]"),
])  # fmt: skip
def test_assign_neither_broadcasts_nor_casts(backend, values, dtype, words):
    x = lift(backend, [1.0, 2.0])
    with pytest.raises(ValueError, match=words):
        assign(x, lift(backend, values, dtype))
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0])


def test_assign_takes_tensors(backend):
    x = lift(backend, [1.0])
    for target, value in ((x, 2.0), (x, x.array), (x.array, x)):
        with pytest.raises(TypeError, match="takes two Tensors"):
            assign(target, value)


def test_assign_between_devices_is_refused():
    with pytest.raises(TypeError, match="host|device"):
        assign(variable(np.ones(1)), variable(backends.get("strict").array([2.0])))


# ── overwritten values are never differentiated
def _two(x):
    return constant(backends.of(x.array).array(np.full(x.shape, 2.0), x.dtype))


def test_a_variable_overwritten_after_use(backend):
    x = lift(backend, [3.0])
    y = x * x
    assign(x, _two(x))
    with pytest.raises(
        StaleTensorError,
        match=r"a value that multiply used or made, shape \(1,\), was overwritten since; take all",
    ):
        grad(y, [x])


def test_a_constant_overwritten_after_use(backend):
    x, c = lift(backend, [3.0]), constant(backend.array([1.0]))
    y = x * c
    assign(c, _two(c))
    with pytest.raises(StaleTensorError):
        grad(y, [x])


def test_a_result_overwritten_after_use(backend):
    x = lift(backend, [3.0])
    y = P.exp(x)
    assign(constant(y), _two(y))
    with pytest.raises(StaleTensorError):
        grad(y, [x])


def test_what_was_computed_is_no_target_of_assign(backend):
    """It would leave what it was computed from as it was: neither a result, nor a view, nor a gradient."""
    x = lift(backend, [3.0, 4.0])
    (g,) = grad(P.exp(x), [x])
    for result in (P.exp(x), x[:1], x[0], P.reshape(x, shape=(2, 1)), g, 0.0 * g):
        with pytest.raises(
            TypeError, match=r"assign writes a variable or a constant; .* made this of values"
        ):
            assign(result, _two(result))
    assert x.numpy().tolist() == [3.0, 4.0]
    written = constant(P.exp(x))  # the way out
    assign(written, _two(written))
    assert written.numpy().tolist() == [2.0, 2.0]


def test_one_element_is_a_view_as_a_part_is(backend):
    flat = constant(backend.array([1.0, 2.0, 3.0]))
    for part in (flat[0], flat[1:2], constant(variable(flat)[2])):
        assign(part, _two(part))
    assert flat.numpy().tolist() == [2.0, 2.0, 2.0]
    assert grad(variable(flat)[0] * 3.0, []) == []


GRADIENTS_WITHOUT_HISTORY = {  # what people compute from one, and expect to be differentiated again
    "penalty": lambda x, g: P.sum(x * x) + P.sum(g * g), "product": lambda x, g: P.sum(g * x),
    "alone": lambda x, g: P.sum(g * g), "itself": lambda x, g: g,
    "step": lambda x, g: P.sum(P.exp(x - 0.1 * g)),
    "far": lambda x, g: P.sum(P.sqrt(P.sum(P.square(g))) * x),
}  # fmt: skip


@pytest.mark.rows("y", GRADIENTS_WITHOUT_HISTORY.values())
def test_a_gradient_without_its_history_is_not_taken_for_a_constant(backend, y):
    x = lift(backend, [1.0, 2.0])
    (g,) = grad(P.sum(x * x * x), [x])
    with pytest.raises(ValueError, match=r"g without its history; take that by grad\(…, create_graph=True\)"):
        grad(y(x, g), [x])
    if y(x, constant(g)).call is not None:
        grad(y(x, constant(g)), [x])  # is meant so
    (g,) = grad(P.sum(x * x * x), [x], create_graph=True)
    assert np.abs(grad(y(x, g), [x])[0].numpy()).min() > 0


def test_steps_by_gradients_without_history_go_on(backend):
    """x ← x − g again and again, as functional code does: each x is asked for itself, however it was made."""
    x = lift(backend, [4.0])
    for _ in range(3):
        (g,) = grad(x * x, [x])
        x = x - 0.25 * g
    assert x.item() == 0.5 and grad(x * x, [x])[0].item() == 1.0


def test_what_comes_of_gradients_without_history_keeps_nothing(backend):
    """A running mean of gradients is one value, not the chain of all."""
    x, mean = lift(backend, [1.0]), 0.0
    for _ in range(3):
        mean = 0.9 * mean + grad(x * x, [x])[0]
    assert not is_tracked(mean) and not mean.call.inputs and repr(mean).endswith("gradient)")
    assert constant(mean).call is None


def test_what_was_overwritten_before_its_use_is_what_was_used(backend):
    """The gradient in h asks for h · h only, which saw the new value; the one in x goes through the old."""
    x = lift(backend, [3.0])
    h = P.exp(x)
    assign(constant(h), _two(h))
    y = h * h
    assert grad(y, [h])[0].item() == 4.0
    with pytest.raises(StaleTensorError):
        grad(y, [x])


@pytest.mark.rows("view", [
    lambda xp, a: a[1:3], lambda xp, a: a.reshape(2, 2), lambda xp, a: xp.swapaxes(a.reshape(2, 2), 0, 1),
    lambda xp, a: xp.broadcast_to(a, (3, 4)), lambda xp, a: a[..., :2].reshape(2, 1)[1:],
])  # fmt: skip
def test_a_view_of_an_overwritten_buffer(backend, view):
    flat = constant(backend.array(np.arange(4.0)))
    x = variable(Tensor(view(backend.xp, flat.memory)))
    y = x * x
    assign(flat, _two(flat))
    with pytest.raises(StaleTensorError):
        grad(y, [x])


def test_a_buffer_overwritten_through_one_of_its_views(backend):
    flat = variable(backend.array(np.arange(4.0)))
    y = flat * flat
    part = Tensor(flat.memory[:2])
    assign(part, _two(part))
    with pytest.raises(StaleTensorError):
        grad(y, [flat])


@pytest.mark.rows("view", [P.mT, lambda x: P.reshape(x, shape=(4,)), lambda x: x[0],
                                  lambda x: P.broadcast_to(x, shape=(3, 2, 2))])  # fmt: skip
def test_a_differentiable_view_of_an_overwritten_variable(backend, view):
    x = lift(backend, [[1.0, 2.0], [3.0, 4.0]])
    y = P.square(view(x))
    assign(x, _two(x))
    with pytest.raises(StaleTensorError):
        grad(y, [x])


def test_memory_written_by_other_means_can_be_marked(backend):
    x = lift(backend, [3.0])
    y = x * x
    x.memory[0] = 4.0
    mark_written(x.memory)
    with pytest.raises(StaleTensorError):
        grad(y, [x])


def test_a_stale_value_off_the_path_is_no_obstacle(backend):
    x, w = lift(backend, [3.0]), lift(backend, [5.0])
    y = x * x + w * w
    z = w * 2.0
    assign(x, _two(x))
    assert grad(z, [w])[0].item() == 2.0
    assert grad(y, [w])[0].item() == 10.0  # the rule of w * w never sees x


def test_values_computed_after_the_write_are_fresh(backend):
    x = lift(backend, [3.0])
    grad(x * x, [x])
    assign(x, _two(x))
    assert grad(x * x, [x])[0].item() == 4.0


def test_updating_one_player_before_differentiating_the_other_is_refused(backend):
    """The order of a well-known GAN example: both losses first, then D's update, then G's backward pass.

    It meets the old activations and the new weights of D: silent in most frameworks, refused here; the right
    order works.
    """
    rng = np.random.default_rng(2)
    G, D = (mlp((1, 4, 1), rngs=rng, backend=backend) for _ in range(2))
    move_G, move_D = SGD(G.parameters, 0.1), SGD(D.parameters, 0.1)
    z, x = (constant(backend.array(rng.standard_normal((8, 1)).astype("float32"))) for _ in range(2))

    fake = D(G(z))
    loss_d, loss_g = P.mean(P.softplus(-D(x))) + P.mean(P.softplus(fake)), P.mean(P.softplus(-fake))
    move_D.step(grad(loss_d, D.parameters))
    with pytest.raises(StaleTensorError, match="take all gradients before updating any parameter"):
        grad(loss_g, G.parameters)

    fake = D(G(z))
    loss_d, loss_g = P.mean(P.softplus(-D(x))) + P.mean(P.softplus(fake)), P.mean(P.softplus(-fake))
    gradients = grad(loss_d, D.parameters), grad(loss_g, G.parameters)
    move_D.step(gradients[0])
    move_G.step(gradients[1])


def test_second_order_notices_a_write_between_the_two_gradients(backend):
    x = lift(backend, [3.0])
    (g,) = grad(x**3, [x], create_graph=True)
    assign(x, _two(x))
    with pytest.raises(StaleTensorError):
        grad(g, [x])


def test_memory_used_again_for_something_new_is_not_stale(backend):
    """Writes are remembered by address; a dead buffer's address must not poison the next one that gets it."""
    for _ in range(200):
        x = lift(backend, np.ones(3))
        assign(x, _two(x))
        del x
        y = lift(backend, np.ones(3))
        assert grad(y * y, [y])[0].numpy().tolist() == [2.0, 2.0, 2.0]


# ── threads
def test_two_threads_compute_what_one_does():
    def train(seed, out):
        rng = np.random.default_rng(seed)
        D = mlp((2, 6, 1), rngs=rng)
        optimizer = SGD(D.parameters, 0.05)
        for _ in range(100):
            optimizer.step(_second_order(D, constant(rng.standard_normal((8, 2)).astype("float32"))))
        out[seed] = D.parameters.flat.numpy()

    together, alone = {}, {}
    threads = [threading.Thread(target=train, args=(seed, together)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(3):
        train(seed, alone)
        np.testing.assert_array_equal(together[seed], alone[seed])
