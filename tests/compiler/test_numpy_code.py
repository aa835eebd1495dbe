"""The code of a plan: calls on bound arrays, each writing where its value lives; never made from data."""

import re

import numpy as np
import pytest

from minigan.compiler.capture import capture
from minigan.compiler.numpy_code import PUT, NumpyCode, Scalar, write
from minigan.compiler.planner import PASSES
from minigan.engine import primitives as P
from minigan.engine.autodiff import assign, grad
from minigan.engine.tensor import constant
from minigan.nn.network import mlp
from minigan.nn.optim import Adam

LINE = re.compile(
    r"(?P<call>[a-z_]\w*)\((?P<arguments>.*)\)"  # one call of a bound function
    r"|a\d+\[\.\.\.\] = a\d+"  # a copy
    r"|a\d+\[\(\)\] = s\d+"  # a number put where an array is needed
    r"|s\d+ = [\w\[\]() .+*/-]+"  # a number from numbers
)


def normal(seed, *shape, dtype="float64"):
    return constant(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def trained(seed=0, dtype="float64", scale=1.0, passes=PASSES):
    net = mlp((3, 6, 6, 1), rngs=np.random.default_rng(seed), dtype=dtype, activation="silu")
    optimizer = Adam(net.parameters, 0.01)

    def step(x, y):
        loss = P.mean(P.softplus(-net(x))) + P.mean(P.softplus(net(y)))
        optimizer.step(grad(loss, net.parameters))
        return loss

    inputs = [constant((scale * normal((seed, k), 8, 3).array).astype(dtype)) for k in range(2)]
    state = {"flat": net.parameters.flat, **optimizer.state}
    return capture(step, *inputs, state=state, passes=passes)


# ── the code
def test_one_name_per_object():
    code, a = NumpyCode(), np.zeros(3)
    assert code.name(a) == code.name(a) != code.name(np.zeros(3))
    assert code.names[code.name(a)] is a


def test_equal_views_have_one_name_and_others_their_own():
    code, a = NumpyCode(), np.zeros((3, 4))
    assert code.name(a[:2]) == code.name(a[:2])
    names = {code.name(x) for x in (a, a[:2], a[1:], a.T, a.reshape(-1), a.view("int64"))}
    assert len(names) == 6
    readable = np.broadcast_to(a, a.shape)  # of the same memory, but not to be written
    assert code.name(a) != code.name(readable)


def test_code_runs_its_lines_for_every_batch():
    code, x, y, total = NumpyCode(), np.zeros(2), np.zeros(2), np.zeros(2)
    code.call("node", np.multiply, x, y, x)
    code.call("node", np.add, total, x, total)
    run = code.compile([x, y])
    assert run([(np.array([1.0, 2.0]), np.array([3.0, 4.0])), (np.ones(2), np.ones(2))]) is None
    assert total.tolist() == [4.0, 9.0] and y.tolist() == [1.0, 1.0]
    assert [s.node for s in code.statements] == ["node", "node"] and len(code.lines) == 2


def test_the_text_is_made_of_the_record():
    """Names are given where they are needed: two functions, or two numbers, of one name have two."""
    code, a, s, t = NumpyCode(), np.ones(()), Scalar(7), Scalar(7)
    f, g = (lambda: None), (lambda: None)
    f.__name__ = g.__name__ = "f"
    for function in (f, g, f):
        code.call(None, function)
    code.add(None, "{target} = {0} * {0}", [a], s)
    code.add(None, "{target} = {0} + {1}", [s, a], t)
    code.add(None, PUT, [t], a)
    assert code.lines == [
        "f()", "f_1()", "f()", "s7 = a2[()] * a2[()]", "s7_4 = s7 + a2[()]", "a2[()] = s7_4"
    ]  # fmt: skip
    code.compile([])([()])
    assert a == 2.0


def test_code_without_inputs():
    code, x = NumpyCode(), np.ones(2)
    code.call(None, np.add, x, x, x)
    run = code.compile([])
    run([(), (), ()])
    assert x.tolist() == [8.0, 8.0]


@pytest.mark.parametrize("passes", [(), PASSES], ids=["none", "all"])
def test_every_line_is_a_call_on_bound_objects_that_writes_where_its_value_lives(passes):
    """So nothing is allocated, and nothing but names and numbers of the graph is in the source."""
    plan = trained(passes=passes).plan
    for line, (node, *_) in zip(plan.code.lines, plan.code.statements, strict=True):
        match = LINE.fullmatch(line)
        assert match, line
        names = re.findall(r"\b[as]\d+\b", line)
        assert all(name in plan.code.names or name.startswith("s") for name in names)
        if match["call"]:
            assert callable(plan.code.names[match["call"]])
            out = [plan.code.names[name] for name in names][-1] if names else None
            if out is not None and node.op != "sum":
                assert out.flags.writeable and np.shares_memory(out, plan.memory.arrays[node])


def test_the_source_does_not_depend_on_data():
    """Other parameters and batches, the same lines: code is made of the graph alone."""
    one, other = (trained(seed, scale=scale).plan.code for seed, scale in ((0, 1.0), (1, 1e6)))
    assert one.lines == other.lines and list(one.names) == list(other.names)


def test_hostile_names_stay_names_of_nothing():
    """Names of state are for people who print the program; they are not in the code."""
    w = normal(0, 3)
    name = "x]\n__import__('os').system('false')"
    program = capture(lambda x: assign(w, w + x), normal(1, 3), state={name: w})
    assert name in program.state and not any("import" in line for line in program.plan.code.lines)


# ── numbers
VALUES = [0.1, -0.0, 0.0, 1e-300, 1e300, float("inf"), float("-inf"), 3, -2.5]


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("value", VALUES)
@pytest.mark.rows("shape", [(1, 1), (1,), (), (2, 3)])
def test_literals(value, dtype, shape):
    """Of any size, of either sign of zero; a number computed as a scalar has the bits of an array of one."""

    def step(x):
        return x * value, value - x, P.maximum(x, value), -(x * value), value / x

    x = normal(0, *shape, dtype=dtype)
    with np.errstate(all="ignore"):
        expected = [t.numpy() for t in step(x)]
        program = capture(step, x)
        received = [t.numpy() for t in program(x)]
    for ours, its in zip(received, expected, strict=True):
        assert ours.dtype == its.dtype == dtype and ours.shape == its.shape
        assert ours.tobytes() == its.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_chains_of_numbers_are_computed_as_scalars_with_the_bits_of_arrays(dtype):
    rate = normal(0, 1, dtype=dtype)

    def step(t, x):
        assign(rate, 0.9 * rate + 0.1)
        s = P.sqrt(P.square(t) + 0.3) / (rate * 0.7) - t
        return -s, x * s, P.square(s) * x

    inputs = [normal(1, 1, dtype=dtype), normal(2, 5, dtype=dtype)]
    start = rate.numpy()
    expected = [t.numpy().tobytes() for t in step(*inputs)]
    rate.memory[...] = start
    program = capture(step, *inputs, state=[rate])
    assert sum(line.startswith("s") and " = " in line for line in program.plan.code.lines) >= 6
    assert [t.numpy().tobytes() for t in program.outputs] == expected


def test_an_overflow_of_a_number_is_infinite_and_silent_where_eager_arrays_are():
    """float32 numbers do not become Python's: 3e38 · 10 is ∞."""
    program = capture(lambda x: P.exp(x) * 1.0, constant(np.array([1.0], "float32")))
    assert np.isinf(program(constant(np.array([100.0], "float32"))).numpy()[0])


# ── layouts
@pytest.mark.rows(
    "turn", [lambda a: a, lambda a: np.asfortranarray(a), lambda a: a[::-1], lambda a: a[:, ::2]]
)
def test_elementwise_lines_on_any_layout(turn):
    """Two axes become one where memory allows; otherwise both stay."""
    memory = turn(np.random.default_rng(0).standard_normal((6, 8)))
    w, v = constant(memory), normal(1, 1, memory.shape[1])

    def step(x):
        return P.tanh(w * x + v) - w, w + v

    x = normal(2, *memory.shape)
    program = capture(step, x, state=[w, v])
    for ours, its in zip(program(x), step(x), strict=True):
        np.testing.assert_array_equal(ours.numpy(), its.numpy())


@pytest.mark.rows("replicas", [(), (3,)])
@pytest.mark.rows(("n", "k", "m"), [(4, 3, 2), (4, 1, 3), (1, 3, 1), (1, 1, 1), (5, 3, 1), (1, 4, 3)])
def test_products_of_all_kinds(replicas, n, k, m):
    """Matrices, vectors and outer products, turned or not."""
    a, b = normal(0, *replicas, n, k), normal(1, *replicas, k, m)

    def step(x):
        p = (a * x) @ b
        return p, P.mT(b) @ P.mT(a), P.mT(p) @ a, p @ P.mT(b)

    x = normal(2, 1)
    expected = [t.numpy() for t in step(x)]
    program = capture(step, x, state=[a, b])
    for ours, its in zip(program.outputs, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), its, rtol=1e-13, atol=1e-14)


def test_writing_twice_gives_equal_lines():
    plan = trained().plan
    assert write(plan.memory).lines == plan.code.lines
