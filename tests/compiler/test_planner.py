"""The passes of the planner: what each makes of a small step, what it leaves alone, what it promises.

An exact pass keeps every bit; the others keep float64 to 1e-13 of the largest entry, because they sum in
another order. Whole games and random steps are in test_game_plans.py and test_random_steps.py.
"""

from collections import Counter

import numpy as np
import pytest

from minigan.backend import numpy_backend
from minigan.compiler.capture import capture
from minigan.compiler.graph import VIEWS
from minigan.compiler.passes import products, replica_groups, row_blocks
from minigan.compiler.passes.merge import batch, layers, stack
from minigan.compiler.passes.products import bias, bias_gradients, dots, factors
from minigan.compiler.passes.simplify import columns, fold
from minigan.compiler.planner import EXACT, PASSES, ROUNDING, Plan
from minigan.engine import primitives as P
from minigan.engine.autodiff import assign, filled, grad
from minigan.engine.tensor import Primitive, Tensor, constant, variable
from minigan.nn.network import mlp
from minigan.nn.optim import Adam
from minigan.nn.parameters import Parameters

RNG = np.random.default_rng


def normal(seed, *shape, dtype="float64"):
    return constant(RNG(seed).standard_normal(shape).astype(dtype))


def operations(program):
    """How often each operation stands in the plan, without views, loads and stores."""
    idle = VIEWS | {"load", "store", "constant", "result"}
    return Counter(node.op for node in program.plan.graph.nodes if node.op not in idle)


def values_of(outputs):
    return [t.numpy() for t in (outputs if isinstance(outputs, (tuple, list)) else [outputs])]


def agree(make, inputs, passes, *, exact=False, rounds=3, threads=1):
    """Play the step eagerly and planned on changing inputs; returns the program. make() → (step, state)."""
    step, state = make()
    with np.errstate(over="ignore"):
        expected = [values_of(step(*inputs(k))) + [t.numpy() for t in state.values()] for k in range(rounds)]
    step, state = make()
    program = capture(step, *inputs(0), state=state, passes=passes, threads=threads)
    for k, wanted in enumerate(expected):
        outputs = program.outputs if k == 0 else program(*inputs(k))
        for ours, its in zip(values_of(outputs) + [t.numpy() for t in state.values()], wanted, strict=True):
            if exact:
                np.testing.assert_array_equal(ours, its)
                np.testing.assert_array_equal(np.signbit(ours), np.signbit(its))
            else:
                np.testing.assert_allclose(ours, its, rtol=0, atol=1e-13 * max(1.0, np.abs(its).max()))
    return program


def stateless(step, state=None):
    return lambda: (step, state or {})


def two(k, n=4, m=3):
    return [normal((k, 1), n, m), normal((k, 2), n, m)]


# ── the lists
def test_every_pass_is_exact_or_rounds():
    assert EXACT == tuple(p for p in PASSES if p.name in ("fold", "stack"))
    assert [p.name for p in PASSES if p not in (*EXACT, *ROUNDING)] == ["layers"]


# ── fold
FOLDED = {  # what is written: (the step, what is left of it)
    "a common value": (lambda x, y: P.tanh(x * y) + P.tanh(x * y), {"multiply": 1, "tanh": 1, "add": 1}),
    "two signs": (lambda x, y: P.tanh(P.negative(-x)), {"tanh": 1}),
    "a sum with an opposite": (lambda x, y: x + (-y), {"subtract": 1}),
    "a difference with an opposite": (lambda x, y: x - (-y), {"add": 1}),
    "one times": (lambda x, y: P.tanh(x * 1.0) / 1.0 - 0.0, {"tanh": 1}),
    "one filled": (lambda x, y: P.tanh(x * filled(x, 1.0)), {"tanh": 1}),
    "powers of two": (lambda x, y: (x * 0.3) * 0.5, {"multiply": 1}),
    "a power of two and a factor": (lambda x, y: 0.3 * (x * 4.0), {"multiply": 1}),
    "a sign and a factor": (lambda x, y: 0.3 * (-x), {"multiply": 1}),
    "the sign of a product": (lambda x, y: -(x * 0.3), {"multiply": 1}),
    "half a quotient": (lambda x, y: (1.0 / (x * x + 1.0)) * 0.5, {"multiply": 1, "add": 1, "divide": 1}),
    "numbers among themselves": (lambda x, y: x * (filled(x, 3.0) / 7.0), {"multiply": 1}),
    "a broadcast number": (lambda x, y: x * P.broadcast_to(filled(x[0], 3.0), shape=(4, 3)), {"multiply": 1}),
    "a view and back": (lambda x, y: P.tanh(P.mT(P.mT(P.tanh(x)))), {"tanh": 2}),
    "the same shape": (lambda x, y: P.tanh(P.reshape(P.exp(x), shape=x.shape)), {"exp": 1, "tanh": 1}),
}  # fmt: skip


@pytest.mark.rows("name", FOLDED)
def test_fold_makes_simpler(name):
    step, left = FOLDED[name]
    assert operations(agree(stateless(step), two, (fold,), exact=True)) == left


LEFT_ALONE = {  # because a bit would change
    "factors that round": (lambda x, y: (x * 0.3) * 0.7, {"multiply": 2}),
    "a factor of a quotient": (lambda x, y: (1.0 / x) * 0.3, {"divide": 1, "multiply": 1}),
    "zero added": (lambda x, y: (x * 0.0) + 0.0, {"multiply": 1, "add": 1}),  # -0.0 + 0.0 is 0.0
    "both zeros": (lambda x, y: (x * 0.0, x * -0.0), {"multiply": 2}),
    "a difference the other way": (lambda x, y: -(x - y), {"subtract": 1, "negative": 1}),
    "sums in another order": (lambda x, y: (x + y) + x, {"add": 2}),
    "other axes": (lambda x, y: P.sum_over(x, axis=(0,)) + P.sum_over(x, axis=(1,)), {"sum": 2, "add": 1}),
}  # fmt: skip


@pytest.mark.rows("name", LEFT_ALONE)
def test_fold_keeps_every_bit(name):
    step, left = LEFT_ALONE[name]
    assert operations(agree(stateless(step), two, (fold,), exact=True)) == left


def test_fold_knows_that_memory_changes():
    """w · 2 before and after an update are two values, though the lines are equal."""

    def make():
        w = normal(0, 4, 3)

        def step(x, y):
            before = w * 2.0 + x
            assign(w, w - 0.5 * y)
            return before, w * 2.0 + x

        return step, {"w": w}

    program = agree(make, two, (fold,), exact=True)
    assert operations(program) == {"multiply": 3, "add": 2, "subtract": 1}


def test_what_nobody_needs_is_not_computed():
    program = capture(lambda x, y: (P.exp(x), y * 2.0)[1], *two(0), passes=())
    assert len(program) == 2 and operations(program) == {"multiply": 1}


# ── columns
def test_columns_turns_batches_and_nothing_else():
    """The features of a batch lie one after the other; a sum over rows is no batch any more."""
    w = normal(0, 3, 2)

    def step(x):
        h = P.tanh(x[0] @ w)
        return h * 1.0, P.sum_over(h, axis=(0,)) * 3.0, P.square(w) + 0.0 * P.sum_over(h, axis=(0,))

    program = agree(stateless(step, {"w": w}), lambda k: [normal(k, 1, 6, 3)], (columns,))
    for node in program.plan.graph.nodes:
        if node.op in ("matmul", "tanh"):
            assert node.rows and node.order == "F"
        elif node.op in ("sum", "square", "add"):
            assert not node.rows and node.order == "C"


# ── bias
def dense(seed=0, sizes=(3, 2), replicas=()):
    """W0, b0, W1, … one after the other in memory, as a network has them."""
    shapes = {}
    for k, (n, m) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        shapes |= {f"W{k}": (n, m), f"b{k}": (1, m)}
    parameters = Parameters(shapes, backend=numpy_backend, dtype="float64", replicas=replicas)
    parameters.update(normal(seed, *parameters.flat.shape))
    return parameters


@pytest.mark.parametrize("replicas", [(), (3,)])
def test_bias_is_a_row_of_the_matrix(replicas):
    p = dense(replicas=replicas)
    step = stateless(lambda x: P.tanh(x @ p["W0"] + p["b0"]), {"flat": p.flat})
    program = agree(step, lambda k: [normal(k, *replicas, 4, 3)], (bias,))
    assert operations(program) == {"ones": 1, "matmul": 1, "tanh": 1}


def elsewhere():
    p, b = dense(), normal(5, 1, 2)
    return lambda x: x @ p["W0"] + b, {"flat": p.flat, "b": b}


def of_another_layer():
    p = dense(sizes=(3, 2, 2))
    return lambda x: x @ p["W0"] + p["b1"], {"flat": p.flat}


def moved_in_between():
    p = dense()

    def step(x):
        product = x @ p["W0"]
        assign(Tensor(p["b0"].memory), p["b0"] * 0.5)
        return product + p["b0"]

    return step, {"flat": p.flat}


def needed_twice():
    p = dense()

    def step(x):
        product = x @ p["W0"]
        return product + p["b0"], product * 2.0

    return step, {"flat": p.flat}


def without_a_batch():
    p, a = dense(), normal(5, 4, 3)
    return lambda x: a @ p["W0"] + p["b0"] + 0.0 * P.sum_over(x, axis=(0, 1)), {"flat": p.flat, "a": a}


def the_matrix_turned():
    p = dense(sizes=(2, 2))
    return lambda x: x[:, :2] @ P.mT(p["W0"]) + p["b0"], {"flat": p.flat}


@pytest.mark.rows(
    "make", [elsewhere, of_another_layer, moved_in_between, needed_twice, without_a_batch, the_matrix_turned]
)
def test_bias_needs_the_next_row_of_the_same_time(make):
    program = agree(make, lambda k: [normal(k, 4, 3)], (bias,))
    assert operations(program)["ones"] == 0 and operations(program)["matmul"] == 1


# ── batch
def judged(f):
    p = dense(sizes=(3, 3, 1))
    return lambda: ((lambda x, y: f(p, x, y)), {"flat": p.flat})


def layer(p, x, k=0):
    return P.tanh(x @ p[f"W{k}"] + p[f"b{k}"])


def test_two_batches_through_one_network_are_one():
    """D on real and on generated data: half of the products and of the elementwise steps."""
    make = judged(lambda p, x, y: layer(p, layer(p, x), 1) - layer(p, layer(p, y), 1))
    apart, together = (agree(make, two, passes) for passes in ((fold,), (fold, batch)))
    assert operations(apart) == {"matmul": 4, "add": 4, "tanh": 4, "subtract": 1}
    assert operations(together) == {"pack": 1, "matmul": 2, "add": 2, "tanh": 2, "subtract": 1}
    assert {n.shape for n in together.plan.graph.nodes if n.op == "matmul"} == {(8, 3), (8, 1)}


def test_three_batches_are_one_of_two_and_one():
    make = judged(lambda p, x, y: layer(p, x) + layer(p, y) + layer(p, P.exp(x)))
    assert operations(agree(make, two, (fold, batch)))["matmul"] == 2


def test_opposite_halves_share_a_step():
    """softplus(-D(x)) and softplus(D(x̃)): one beside the negative of the other, by a column of signs."""
    make = judged(lambda p, x, y: P.mean(P.softplus(-layer(p, x))) + P.mean(P.softplus(layer(p, y))))
    assert operations(agree(make, two, (fold, batch)))["logaddexp"] <= 2
    make = judged(lambda p, x, y: P.exp(-layer(p, x)) * P.exp(layer(p, y)))
    ops = operations(agree(make, two, (fold, batch)))
    assert ops["exp"] == 1 and ops["negative"] == 0


def centred(p, x, y):
    """Rows that know each other: the mean over the batch of one half is not that of both."""
    return layer(p, x - P.mean(x, axis=(0,))) + layer(p, y - P.mean(y, axis=(0,)))


def centred_between_layers(p, x, y):
    def network(z):
        h = layer(p, z)
        return layer(p, h - P.mean(h, axis=(0,)), 1)

    return network(x) + network(y)


def normalised(p, x, y):
    def network(z):
        h = layer(p, z)
        return layer(p, h / P.sqrt(P.mean(P.square(h), axis=(0, 1)) + 0.1), 1)

    return network(x) * network(y)


@pytest.mark.rows("f", [centred, centred_between_layers, normalised])
@pytest.mark.rows("passes", [(fold, batch), PASSES])
def test_a_mean_over_the_batch_keeps_the_halves_apart(f, passes):
    agree(judged(f), two, passes)


def test_the_batch_on_the_right_is_no_batch():
    """A @ x mixes the rows of x."""
    a = normal(5, 4, 4)
    make = stateless(lambda x, y: P.tanh(a @ x) + P.tanh(a @ y), {"a": a})
    for passes in ((fold, batch), PASSES):
        assert operations(agree(make, two, passes))["pack"] == 0


def test_gram_matrices_of_two_batches():
    make = stateless(lambda x, y: P.tanh(x @ P.mT(x)) @ x + P.tanh(y @ P.mT(y)) @ y + P.tanh(x @ P.mT(y)) @ x)
    for passes in ((fold, batch), PASSES):
        agree(make, two, passes)


def updated_in_between():
    p = dense(sizes=(3, 3))

    def step(x, y):
        first = layer(p, x)
        p.update(p.flat * 0.5)
        return first + layer(p, y)

    return step, {"flat": p.flat}


def one_after_the_other():
    p = dense(sizes=(3, 3))
    return lambda x, y: layer(p, layer(p, x)) * y, {"flat": p.flat}


def of_other_lengths():
    p = dense(sizes=(3, 3))
    return lambda x, y: layer(p, x)[:2] + layer(p, y[:2]), {"flat": p.flat}


def through_other_matrices():
    p = dense(sizes=(3, 3, 3))
    return lambda x, y: layer(p, x) + layer(p, y, 1), {"flat": p.flat}


@pytest.mark.rows("make", [updated_in_between, one_after_the_other, of_other_lengths, through_other_matrices])
def test_batches_that_cannot_be_one(make):
    for passes in ((fold, batch), (fold, bias, batch), PASSES):
        assert operations(agree(make, two, passes))["pack"] == 0


@pytest.mark.parametrize("key", [slice(None, None, -1), (Ellipsis, slice(None, None, -1))])
def test_an_input_seen_backwards_arrives_backwards(key):
    """An input may live in the half of a batch; not where the step reads it in another order."""
    agree(judged(lambda p, x, y: layer(p, x[key]) + layer(p, y)), two, PASSES)


def test_an_input_seen_in_another_shape_arrives():
    """Packs of two samples, as PacGAN judges them."""
    p = dense(sizes=(6, 3))
    make = stateless(
        lambda x, y: layer(p, P.reshape(x, shape=(2, 6))) - layer(p, P.reshape(y, shape=(2, 6))),
        {"flat": p.flat},
    )
    agree(make, two, PASSES)


def sums_of_gradients(p, x, y):
    a, b = layer(p, x), layer(p, y)
    return P.mT(x) @ a + P.mT(y) @ b, P.sum_over(a, axis=(0,)) + P.sum_over(b, axis=(0,))


def test_a_sum_of_two_products_over_rows_is_one():
    make = judged(sums_of_gradients)
    assert operations(agree(make, two, ())) == {"matmul": 4, "add": 4, "tanh": 2, "sum": 2}
    assert operations(agree(make, two, (fold, batch))) == {
        "pack": 1,
        "matmul": 2,
        "add": 1,
        "tanh": 1,
        "sum": 1,
    }


def test_a_sum_that_keeps_the_rows_stays_two():
    make = judged(lambda p, x, y: P.sum_over(layer(p, x), axis=(1,)) + P.sum_over(layer(p, y), axis=(1,)))
    ops = operations(agree(make, two, (fold, batch)))
    assert ops["sum"] == 2 and ops["add"] == 2
    make = judged(lambda p, x, y: P.mT(x) @ layer(p, x) - P.mT(y) @ layer(p, y))  # a difference is no sum
    assert operations(agree(make, two, (fold, batch)))["matmul"] == 3


# ── bias gradients
def gradients(p, *, read=None, slots=None):
    g = filled(p.flat, 0.0)
    slots = slots or [Tensor(view) for view in p.views_of(g.memory)]

    def step(x):
        loss = P.mean(P.square(layer(p, x)))
        seen = []
        for slot, gradient in zip(slots, grad(loss, list(p)), strict=True):
            assign(slot, gradient)
            if read is not None:
                seen.append(read(g))
        return [loss, *seen]

    return step, {"flat": p.flat, "g": g, **{f"slot{k}": s for k, s in enumerate(slots)}}


def test_both_gradients_of_a_layer_are_one_product():
    apart, together = (
        agree(lambda: gradients(dense()), lambda k: [normal(k, 4, 3)], passes)
        for passes in ((fold,), (fold, bias_gradients))
    )
    assert len(apart.plan.graph.stores) == 3 and len(together.plan.graph.stores) == 2  # the loss is one
    assert operations(apart)["sum"] - operations(together)["sum"] == 1
    assert (4, 2) in {store.shape for store in together.plan.graph.stores}


def test_gradients_that_are_read_in_between_stay_two():
    make = lambda: gradients(dense(), read=lambda g: g * 3.0)  # noqa: E731
    program = agree(make, lambda k: [normal(k, 4, 3)], (fold, bias_gradients))
    assert (4, 2) not in {store.shape for store in program.plan.graph.stores}


def test_gradients_that_lie_apart_stay_two():
    make = lambda: gradients(dense(), slots=[normal(7, 3, 2), normal(8, 1, 2)])  # noqa: E731
    program = agree(make, lambda k: [normal(k, 4, 3)], (fold, bias_gradients))
    assert (4, 2) not in {store.shape for store in program.plan.graph.stores}


# ── layers
def slopes(sizes):
    p = dense(sizes=sizes)
    g = filled(p.flat, 0.0)
    slots = [Tensor(view) for view in p.views_of(g.memory)]

    def step(x):
        h = x
        for k in range(len(sizes) - 1):
            h = layer(p, h, k)
        loss = P.mean(P.square(h))
        for slot, gradient in zip(slots, grad(loss, list(p)), strict=True):
            assign(slot, gradient)
        return loss

    return step, {"flat": p.flat, "g": g}


def test_the_slopes_of_two_layers_of_one_width_are_one_step():
    """1 − h² of both, once; bitwise beside the same plan without the pass."""
    before = (fold, bias)
    apart, together = (
        agree(lambda: slopes((3, 5, 5, 1)), lambda k: [normal(k, 4, 3)], passes)
        for passes in (before, (*before, layers))
    )
    assert operations(together)["stack"] == 1 and operations(apart)["stack"] == 0
    assert operations(apart)["square"] - operations(together)["square"] == 1
    for k in range(3):
        ours, its = (program([normal(k, 4, 3)][0]) for program in (together, apart))
        assert ours.numpy().tobytes() == its.numpy().tobytes()
    for ours, its in zip(together.state.values(), apart.state.values(), strict=True):
        np.testing.assert_array_equal(ours, its)


@pytest.mark.parametrize("sizes", [(3, 5, 4, 1), (3, 5, 1), (3, 1)])
def test_layers_of_other_widths_keep_their_own(sizes):
    program = agree(lambda: slopes(sizes), lambda k: [normal(k, 4, 3)], (fold, bias, layers))
    assert operations(program)["stack"] == 0


def test_the_gradients_of_one_half_of_the_rows_are_one_product():
    """D judges both batches at once and learns from one: its half of [x 1] is a half of the whole's."""
    p = dense(sizes=(3, 3, 2))
    slots = filled(p.flat, 0.0)

    def step(x, y):
        judge = lambda z: layer(p, layer(p, z), 1)  # noqa: E731
        loss = P.mean(P.square(judge(x)))
        for slot, gradient in zip(p.views_of(slots.memory), grad(loss, list(p)), strict=True):
            assign(Tensor(slot), gradient)
        return loss, P.mean(judge(y)), slots * 1.0

    program = agree(stateless(step, {"flat": p.flat, "slots": slots}), two, (fold, batch, bias_gradients))
    shapes = {store.shape for store in program.plan.graph.stores}
    assert {(4, 3), (4, 2)} <= shapes
    halves = [n for n in program.plan.graph.nodes if n.op == "part" and n.inputs[0].op == "ones"]
    assert [n.shape for n in halves] == [(4, 4)] * len(halves) and halves


# ── stack
def averages(m, v, second=P.square):
    def make():
        a, b = Tensor(m()), Tensor(v())

        def step(g):
            assign(a, 0.9 * a + g)
            assign(b, 0.99 * b + second(g))
            return a / (P.sqrt(b) + 1.0)

        return step, {"m": a, "v": b}

    return make


def test_neighbours_in_memory_are_one_step():
    """Both averages of Adam; exact."""

    def make():
        buffers = np.zeros((2, 6))
        return averages(lambda: buffers[0], lambda: buffers[1])()

    apart, together = (agree(make, lambda k: [normal(k, 6)], p, exact=True) for p in ((fold,), (fold, stack)))
    assert operations(apart)["multiply"] == 2 and operations(together)["multiply"] == 1
    assert (2, 6) in {node.shape for node in together.plan.graph.nodes}
    assert len(together.plan.graph.stores) == len(apart.plan.graph.stores) - 1


@pytest.mark.parametrize(
    "place",
    [
        lambda: (np.zeros(6), np.zeros(6)),
        lambda: (lambda b: (b[0], b[2]))(np.zeros((3, 6))),
        lambda: (lambda b: (b[:, 0], b[:, 1]))(np.zeros((6, 2))),
    ],
    ids=["two arrays", "a gap", "columns"],
)
def test_values_that_lie_apart_stay_two(place):
    def make():
        m, v = place()
        return averages(lambda: m, lambda: v)()

    program = agree(make, lambda k: [normal(k, 6)], (fold, stack), exact=True)
    assert operations(program)["multiply"] == 2


def test_values_that_lie_between_each_other_stay_two():
    """v begins where m would end if it had no gaps: its rows are those between m's."""
    b = RNG(0).standard_normal((4, 6))
    m, v = Tensor(b[::2, :3]), Tensor(b[1::2, :3])
    make = stateless(lambda g: P.square(m) * g + P.square(v), {"m": m, "v": v})
    program = agree(make, lambda k: [normal(k, 2, 3)], (stack,), exact=True)
    assert operations(program)["square"] == 2


def test_neighbours_times_values_that_lie_apart_stay_two():
    """Both factors of the one step have to be followed by those of the other."""
    b = RNG(0).standard_normal((2, 6))
    m, v, scales = Tensor(b[0]), Tensor(b[1]), [normal(k, 6) for k in range(2)]
    together = RNG(1).standard_normal((2, 6))
    for (s, t), left in ((scales, 2), (map(Tensor, together), 1)):
        make = stateless(
            lambda g, s=s, t=t: P.tanh(m * s) * P.tanh(v * t) + g, {"m": m, "v": v, "s": s, "t": t}
        )
        program = agree(make, lambda k: [normal(k, 6)], (stack,), exact=True)
        assert operations(program)["tanh"] == left


def test_neighbours_that_depend_on_each_other_stay_two():
    """v's new value needs m's: they cannot be computed at once."""

    def make():
        buffers = np.ones((2, 6))
        m, v = Tensor(buffers[0]), Tensor(buffers[1])

        def step(g):
            assign(m, 0.9 * m + g)
            assign(v, 0.9 * v + P.square(m))
            return m * v

        return step, {"m": m, "v": v}

    for passes in ((fold, stack), PASSES):
        agree(make, lambda k: [normal(k, 6)], passes, exact=True)


def test_a_neighbour_that_was_written_meanwhile_stays_its_own():
    """m is read before, v after an update of both: neighbours in memory, not in time."""

    def make():
        buffers = np.ones((2, 6))
        m, v = Tensor(buffers[0]), Tensor(buffers[1])

        def step(g):
            old = 0.5 * m
            assign(m, g)
            assign(v, g * 3.0)
            return old + 0.5 * v

        return step, {"m": m, "v": v}

    for passes in ((stack,), PASSES):
        agree(make, lambda k: [normal(k, 6)], passes, exact=True)


# ── factors
def test_numbers_meet_before_they_meet_an_array():
    rate, weight = normal(0, 1), normal(1, 1)

    def step(m, v):
        return rate * (weight * m / (P.sqrt(P.square(v)) + 1.0))

    make = stateless(step, {"rate": rate, "weight": weight})
    apart, together = (
        agree(make, lambda k: [normal((k, 0), 50), normal((k, 1), 50)], p) for p in ((fold,), (fold, factors))
    )
    sizes = [
        [n.size for n in program.plan.graph.nodes if n.op == "multiply"] for program in (apart, together)
    ]
    assert [sizes[0].count(50), sizes[1].count(50)] == [2, 1]


@pytest.mark.parametrize("first", ["an array", "a number", "a literal"])
def test_factors_that_are_arrays_stay(first):
    """Of s · (t · x / y) both s and t have to be computed numbers: else nothing is saved."""
    rate, weight = normal(0, 1), normal(1, 1)

    def step(m, v):
        s = {"an array": m, "a number": rate, "a literal": 0.3}[first]
        t = weight if first == "a literal" else v
        return s * (t * m / (P.square(v) + 1.0))

    make = stateless(step, {"rate": rate, "weight": weight})
    program = agree(make, lambda k: [normal((k, 0), 50), normal((k, 1), 50)], (factors,), exact=True)
    assert [n.size for n in program.plan.graph.nodes if n.op == "multiply"] == [50, 50]


# ── dots
@pytest.mark.parametrize("replicas", [(), (3,)])
def test_dots_are_products_that_read_rows_without_gaps(replicas):
    """Half of a small batch is copied out for the product over its rows."""
    p = dense(sizes=(3, 2), replicas=replicas)

    def step(x, y):
        a, b = layer(p, x), layer(p, y)
        return P.mT(a) @ x, P.mT(b) @ a

    def inputs(k):
        return [normal((k, j), *replicas, 4, 3) for j in range(2)]

    program = agree(stateless(step, {"flat": p.flat}), inputs, (fold, columns, batch, dots))
    assert operations(program)["dot"] == 3 and operations(program)["matmul"] == 0
    for node in program.plan.graph.nodes:
        if node.op == "dot" and node.inputs[0].op == "mT":
            assert node.inputs[0].inputs[0].op == "copy"


def test_dots_leaves_large_halves_where_they_are(monkeypatch):
    """From some size on a copy costs more than the gaps; a half of exactly that size is still copied."""
    p = dense(sizes=(3, 2))
    step = lambda x, y: (P.mT(layer(p, x)) @ x, P.mT(layer(p, y)) @ x)  # noqa: E731
    for size, copies in ((2 * 4 * 2 * 8, 2), (2 * 4 * 2 * 8 - 1, 0)):
        monkeypatch.setattr(products, "SMALL", size)
        program = agree(stateless(step, {"flat": p.flat}), two, (fold, columns, batch, dots))
        assert sum(n.op == "copy" and n.shape == (4, 2) for n in program.plan.graph.nodes) == copies


# ── blocks of rows, groups of replicas
@pytest.fixture
def every_batch_is_large(monkeypatch):
    for module, name, value in (
        (row_blocks, "CACHE", 0),
        (row_blocks, "SHARED", 0),
        (row_blocks, "ROWS", 4),
        (replica_groups, "CACHE", 64),
    ):
        monkeypatch.setattr(module, name, value)


def update(sizes=(3, 4, 1), replicas=()):
    """D's step on real and generated data with Adam: its loss."""
    p = dense(sizes=sizes, replicas=replicas)
    optimizer = Adam(p, 0.01)

    def logits(x):
        for k in range(len(sizes) - 1):
            x = layer(p, x, k)
        return x

    def step(x, y):
        loss = P.mean(P.softplus(-logits(x))) + P.mean(P.softplus(logits(y)))
        optimizer.step(grad(loss, list(p)))
        return loss

    return step, {"flat": p.flat, **optimizer.state}


@pytest.mark.parametrize("sizes", [(3, 4, 1), (3, 4, 4, 1), (3, 1), (1, 1)])
@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_of_rows_sum_to_the_same(every_batch_is_large, sizes, threads):
    def inputs(k):
        return [normal((k, j), 16, sizes[0]) for j in range(2)]

    program = agree(lambda: update(sizes), inputs, PASSES, threads=threads)
    assert operations(program)["segment"] == 1 and program.plan.threads == threads


@pytest.mark.parametrize("f", [
    lambda p, x: (layer(p, x), P.mean(layer(p, x))),
    lambda p, x: P.mean(layer(p, x - P.mean(x, axis=(0,)))),
], ids=["returned", "compared with their mean"])  # fmt: skip
def test_a_batch_whose_rows_are_needed_stays_whole(every_batch_is_large, f):
    p = dense()
    make = stateless(lambda x: f(p, x), {"flat": p.flat})
    assert operations(agree(make, lambda k: [normal(k, 16, 3)], PASSES))["segment"] == 0


@pytest.mark.parametrize(
    ("rows", "segments"), [((16, 16), 1), ((16, 12), 1), ((16, 10), 0), ((13, 13), 0), ((4, 4), 0)]
)
def test_only_batches_that_one_number_of_blocks_divides_are_cut(every_batch_is_large, rows, segments):
    """At most 4 rows in a block: 16 rows make 4 blocks, which 12 can be cut into and 10 cannot."""

    def inputs(k):
        return [normal((k, j), n, 3) for j, n in enumerate(rows)]

    assert operations(agree(update, inputs, PASSES))["segment"] == segments


def test_an_error_in_a_thread_is_raised_by_the_program(every_batch_is_large, monkeypatch):
    step, state = update()
    program = capture(step, *(normal(j, 16, 3) for j in range(2)), state=state, threads=2)
    (segment,) = (n for n in program.plan.graph.nodes if n.op == "segment")

    def broken(_):
        raise FloatingPointError("in the second thread")

    segment.params["call"].runs[1] = broken
    with pytest.raises(FloatingPointError, match="in the second thread"):
        program(*(normal(j, 16, 3) for j in range(2)))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("replicas", [2, 3, 5])
def test_groups_of_replicas_have_the_bits_of_all_at_once(monkeypatch, threads, replicas):
    def inputs(k):
        return [normal((k, j), replicas, 4, 3) for j in range(2)]

    def run(**options):
        step, state = update(replicas=(replicas,))
        program = capture(step, *inputs(0), state=state, **options)
        for k in range(1, 4):
            program(*inputs(k))
        return program, {name: t.numpy() for name, t in state.items()} | {"loss": program.outputs.numpy()}

    together, expected = run()
    monkeypatch.setattr(replica_groups, "CACHE", 64)
    apart, received = run(threads=threads)
    assert len(together.plan.groups) == 0 and len(apart.plan.groups) > 1
    planned = [group for group in apart.plan.groups if isinstance(group, Plan)]
    assert len(planned) < len(apart.plan.groups)  # the others are moulded like one of their size
    for name in expected:
        np.testing.assert_array_equal(received[name], expected[name], err_msg=name)


def test_what_all_replicas_share_is_in_every_group(monkeypatch):
    """One batch of noise for all replicas, of an explicit shape: it has no replicas to divide."""
    monkeypatch.setattr(replica_groups, "CACHE", 64)
    w = normal(5, 3, 1, 2)

    def step(x, noise):
        return P.tanh(x * w + P.broadcast_to(noise, shape=(1, 4, 2)))

    def inputs(k):
        return [normal((k, 0), 3, 4, 2), normal((k, 1), 1, 1, 2)]

    for threads in (1, 2):
        program = agree(stateless(step, {"w": w}), inputs, EXACT, exact=True, threads=threads)
        assert len(program.plan.groups) == 3


def test_a_program_that_forgot_its_values_can_be_planned_again(monkeypatch):
    """As minigan explain does: the shapes suffice, those of groups of replicas too."""
    monkeypatch.setattr(replica_groups, "CACHE", 64)
    step, state = update(replicas=(3,))
    program = capture(step, *(normal(j, 3, 4, 3) for j in range(2)), state=state)
    again = Plan(program, PASSES, 1)
    assert len(program.plan.groups) == len(again.groups) == 3
    for first, second in zip(program.plan.groups, again.groups, strict=True):
        assert str(first) == str(second) and first.code.lines == second.code.lines
    runs, start = [], {name: t.numpy() for name, t in state.items()}
    batches = [[normal((k, j), 3, 4, 3).array for j in range(2)] for k in range(3)]
    for plan in (program.plan, again):
        for name, t in state.items():
            t.memory[...] = start[name]
        plan.run(batches)
        runs.append({name: t.numpy() for name, t in state.items()})
    for name in start:
        np.testing.assert_array_equal(runs[0][name], runs[1][name], err_msg=name)
        assert name == "rate" or np.any(runs[0][name] != start[name]), name


def test_rows_that_replicas_share_are_no_replicas():
    """Three replicas of batches of three rows, all with the same noise."""
    w = normal(5, 3, 4)

    def inputs(k):
        return [normal((k, 0), 3, 3, 2), normal((k, 1), 3, 2)]

    program = agree(stateless(lambda x, noise: P.tanh(x + noise), {"w": w}), inputs, PASSES, threads=3)
    assert len(program.plan.groups) == 0


def test_a_square_matrix_is_no_row_of_replicas():
    """State (3, 3) might look like three replicas; its product with a batch of three mixes its rows."""
    w = normal(0, 3, 3)
    make = stateless(lambda x, y: P.tanh(x @ w) @ P.mT(w) + y, {"w": w})
    program = agree(make, lambda k: [normal((k, j), 3, 3) for j in range(2)], PASSES, threads=2)
    assert len(program.plan.groups) == 0


# ── kernels
@pytest.mark.rows("kernel", [
    lambda xp, x, out=None: xp.cumsum(x, axis=-1, out=out),
    lambda xp, x, out=None: xp.round(x, out=out),
    lambda xp, x, out=None: xp.multiply(x, xp.isfinite(x).any(), out=out),
    lambda xp, x, out=None: [y := xp.exp(x, out=out), xp.negative(y)][0],
    lambda xp, x, out=None: xp.add(x[:1], x, out=out),
])  # fmt: skip
def test_a_kernel_that_does_more_than_call_ufuncs_stays_whole(kernel):
    """What a primitive added by a user computes is not looked into where that might change its value."""
    own = Primitive("own", kernel)
    program = agree(stateless(lambda x: P.tanh(own(x)) * 2.0), lambda k: [normal(k, 4, 3)], EXACT, exact=True)
    assert operations(program) == {"primitive": 1, "tanh": 1, "multiply": 1}


# ── all together
@pytest.mark.rows("length", range(len(PASSES) + 1))
def test_any_prefix_of_the_passes_is_sound(length):
    def inputs(k):
        return [normal((k, j), 8, 3) for j in range(2)]

    agree(lambda: update((3, 5, 5, 1)), inputs, PASSES[:length])


@pytest.mark.rows("left_out", PASSES)
def test_any_pass_may_be_left_out(left_out):
    def inputs(k):
        return [normal((k, j), 8, 3) for j in range(2)]

    agree(lambda: update((3, 5, 5, 1)), inputs, tuple(p for p in PASSES if p is not left_out))


def test_a_plan_is_shorter_than_the_program():
    step, state = update()
    program = capture(step, *(normal(j, 8, 3) for j in range(2)), state=state)
    assert len(program.plan) < 0.6 * len(program)
    assert len(program.plan) == len(program.plan.code.lines) and str(program.plan) == str(program.plan.graph)


def test_a_step_that_assigns_to_what_it_computed_has_no_plan_and_replays(backend):
    """Such a value has two contents in one step; the program runs as it was recorded, with eager bits."""

    def step(x):
        y = x * 2.0
        z = y + 1.0
        assign(y, y * 3.0)
        return y, z

    def lift(k):
        return constant(backend.array(RNG(k).standard_normal(5)))

    program = capture(step, lift(0))
    assert program.plan is None
    for k in range(3):
        for ours, its in zip(program(lift(k)), step(lift(k)), strict=True):
            assert ours.numpy().tobytes() == its.numpy().tobytes()


def test_only_numpy_has_plans(backend):
    program = capture(lambda x: P.tanh(x) * 2.0, constant(backend.array(np.ones(3))))
    assert (program.plan is not None) == (backend.name == "numpy")


def test_a_view_of_state_shows_what_the_memory_holds_when_it_is_used():
    def make():
        w = normal(0, 3, 3)

        def step(x):
            turned, row = P.mT(w), w[0]
            before = turned @ x
            assign(w, 0.5 * w + x)
            return before, turned @ x, row * 1.0

        return step, {"w": w}

    for passes in ((), EXACT, PASSES):
        agree(make, lambda k: [normal(k, 3, 3)], passes, exact=passes != PASSES)


def test_the_default_step_is_planned(capsys):
    """Printed, not judged: what the plan makes of the default experiment's step."""
    from minigan.training.experiment import Experiment
    from minigan.training.settings import resolve

    e = Experiment(resolve(environ={}, sets=("steps=100",)))
    e.advance(2)
    program = e._program
    with capsys.disabled():
        print(f"\n{len(program)} instructions, {len(program.plan)} lines: {dict(operations(program))}")
    assert len(program.plan) < len(program)


def test_a_wrong_pass_would_be_found(monkeypatch):
    """The comparison above can fail: a pass that drops a sign."""

    def careless(graph):
        for node in graph.nodes:
            if node.op == "subtract":
                node.op = "add"
        return graph

    with pytest.raises(AssertionError):
        agree(judged(lambda p, x, y: layer(p, x) - layer(p, y)), two, (*PASSES, careless))


def test_gradients_of_an_input_are_planned_too():
    """A penalty differentiates twice; its rows are a batch though they are a variable."""
    net = mlp((3, 5, 5, 1), rngs=RNG(0), dtype="float64")
    optimizer = Adam(net.parameters, 0.01)
    start = {name: t.numpy() for name, t in {"flat": net.parameters.flat, **optimizer.state}.items()}

    def make():
        for name, t in {"flat": net.parameters.flat, **optimizer.state}.items():
            assign(t, constant(start[name]))

        def step(x, y):
            losses = []
            for z, sign in ((x, -1.0), (y, 1.0)):
                z = variable(z)
                logits = net(z)
                (slope,) = grad(logits, [z], create_graph=True)
                penalty = P.mean(P.sum_over(P.square(slope), axis=(-1,)))
                losses.append(P.mean(P.softplus(sign * logits)) + 0.5 * penalty)
            loss = losses[0] + losses[1]
            optimizer.step(grad(loss, net.parameters))
            return loss

        return step, {"flat": net.parameters.flat, **optimizer.state}

    program = agree(make, two, PASSES)
    assert operations(program)["pack"] >= 1


def test_layers_tells_one_minus_x_from_x_minus_one():
    """Two layers of one width with like steps, but for the side on which the number stands."""
    rng = np.random.default_rng(0)
    sizes = {"W1": (2, 5), "b1": (1, 5), "W2": (5, 5), "b2": (1, 5), "W3": (5, 1), "b3": (1, 1)}
    p = Parameters(sizes, numpy_backend, "float64")
    p.load({name: rng.normal(size=shape) for name, shape in sizes.items()})

    def step(x):
        h = P.tanh(x @ p["W1"] + p["b1"])
        k = P.tanh(h @ p["W2"] + p["b2"])
        return (1.0 - P.square(h)) * 1.0, (P.square(k) - 1.0) * 1.0, k @ p["W3"] + p["b3"]

    x = constant(rng.normal(size=(7, 2)))
    for got, expected in zip(capture(step, x, state=[p.flat])(x), step(x), strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-13)


@pytest.mark.parametrize("fails", [0, 1])
def test_a_failure_in_a_thread_is_raised_when_all_have_ended(fails):
    ended = []

    def share(k):
        if k == fails:
            raise ValueError(f"share {k}")
        ended.append(k)

    workers = [row_blocks.Worker()]
    for _ in range(2):  # nothing of the first call is left for the second
        with pytest.raises(ValueError, match=f"share {fails}"):
            row_blocks.run_shared(workers, share)
    assert ended == [1 - fails] * 2
    ended.clear()
    row_blocks.run_shared(workers, ended.append)
    assert sorted(ended) == [0, 1]


def test_threads_have_the_callers_floating_point_errors():
    raised = []

    def share(k):
        try:
            np.divide(np.ones(3), np.zeros(3))
        except FloatingPointError:
            raised.append(k)

    with np.errstate(divide="raise"):
        row_blocks.run_shared([row_blocks.Worker()], share)
    assert sorted(raised) == [0, 1]
    raised.clear()
    with np.errstate(divide="ignore"):
        row_blocks.run_shared([row_blocks.Worker()], share)
    assert raised == []
