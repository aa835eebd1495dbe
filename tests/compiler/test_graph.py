"""A program as a graph: what becomes of instructions, which content a load sees, the order of a schedule."""

from collections import Counter

import numpy as np
import pytest

from minigan.compiler.capture import capture
from minigan.compiler.graph import Graph, Node, UnplannableError, build, constant, elementwise, is_ufunc
from minigan.engine import primitives as P
from minigan.engine.autodiff import assign, filled
from minigan.engine.tensor import Tensor
from minigan.engine.tensor import constant as tensor

DTYPE = np.dtype("float64")


def normal(seed, *shape):
    return tensor(np.random.default_rng(seed).standard_normal(shape))


def graph_of(step, *inputs, state=()):
    return build(capture(step, *inputs, state=state))


def operations(graph):
    return Counter(node.op for node in graph.nodes)


# ── nodes
@pytest.mark.rows(
    ("primitive", "ufuncs"),
    [
        (P.sigmoid, {"negative": 1, "exp": 1, "add": 1, "divide": 1}),
        (P.softplus, {"logaddexp": 1}),
        (P.relu, {"maximum": 1}),
        (lambda x: P.leaky_relu(x, slope=0.2), {"multiply": 1, "maximum": 1}),
        (P.elu, {"maximum": 1, "minimum": 1, "expm1": 1, "add": 1}),
        (P.step, {"greater": 1}),
        (P.tanh, {"tanh": 1}),
        (lambda x: x**3, {"power": 1}),
        (lambda x: P.embed(x, shape=(5, 3), key=(slice(1, None),)), {"primitive": 1}),
    ],
)
def test_a_kernel_is_the_ufuncs_that_it_calls(primitive, ufuncs):
    assert operations(graph_of(primitive, normal(0, 4, 3))) == Counter(ufuncs) + Counter(load=1, store=1)


def test_a_kernel_that_does_more_stays_whole():
    """Two outputs of ufuncs would be lost if only the last were noted."""

    def kernel(xp, x, out=None):
        out = xp.empty_like(x) if out is None else out
        out[...] = xp.exp(x)
        return out

    odd = P.Primitive("odd", kernel)
    graph = graph_of(lambda x: odd(x) * 2.0, normal(0, 4))
    assert operations(graph) == {"load": 1, "primitive": 1, "multiply": 1, "store": 1}


def test_views_of_memory_are_loads_and_views_of_values_are_views():
    w = normal(0, 3, 3)
    graph = graph_of(lambda x: P.mT(P.tanh(x[0])) + P.mT(w)[0], normal(1, 2, 3, 3), state=[w])
    assert operations(graph) == {"load": 2, "tanh": 1, "mT": 1, "add": 1, "store": 1}


def test_what_was_filled_is_a_constant():
    graph = graph_of(lambda x: x * filled(x, 3.0), normal(0, 4))
    (node,) = (n for n in graph.nodes if n.op == "constant")
    assert node.params == {"value": 3.0} and node.shape == (4,)


def test_only_inputs_are_batches_and_sums_over_rows_end_them():
    w = normal(0, 3, 3)

    def step(x):
        h = P.tanh(x @ w) * P.sum_over(x, axis=(-1,))
        return P.sum_over(h, axis=(0,)), P.mT(x) @ h, P.square(w) @ w

    rows = {n.op: n.rows for n in graph_of(step, normal(1, 4, 3), state=[w]).nodes if n.op != "store"}
    assert rows["tanh"] and rows["multiply"]
    assert not rows["mT"] and not rows["square"]
    nodes = graph_of(step, normal(1, 4, 3), state=[w]).nodes
    assert [n.rows for n in nodes if n.op == "matmul"] == [True, False, False]
    assert [n.rows for n in nodes if n.op == "sum"] == [True, False]


def test_elementwise_nodes_have_the_shape_of_broadcasting():
    a = Node("load", shape=(4, 1), dtype=DTYPE, rows=True)
    b = Node("load", shape=(3,), dtype=DTYPE)
    y = elementwise("add", a, b)
    assert (y.shape, y.rows, y.size, y.ndim) == ((4, 3), True, 12, 2)
    assert elementwise("multiply", b, 2).inputs == (b, 2.0) and (2.0 * b).op == "multiply"
    assert constant(0.1, (2,), np.dtype("float32")).params["value"] == float(np.float32(0.1))


def test_ufuncs():
    names = ("add", "logaddexp", "matmul", "vecdot", "dot", "sum", "load", "copyto", "nothing")
    assert [name for name in names if is_ufunc(name)] == ["add", "logaddexp"]


# ── time
def test_a_load_sees_the_last_store_before_it():
    w = normal(0, 4)

    def step(x):
        before = w * 1.5
        assign(w, x)
        between = w * 1.5
        assign(w, w + x)
        return before, between, w * 1.5

    graph = graph_of(step, normal(1, 4), state=[w])
    products = [n for n in graph.nodes if n.op == "multiply"]
    stores = [s for s in graph.stores if s.array is w.memory]
    assert [n.inputs[0].time for n in products] == [-1, *(s.time for s in stores)]


def test_versions_know_overlapping_memory():
    """A view is as new as the last store to any byte of it."""
    memory = np.zeros(10)
    graph = Graph([])
    for time, part in ((3, memory[:4]), (5, memory[4:])):
        graph.stores.append(Node("store", array=part, time=time, shape=part.shape, dtype=DTYPE))
    assert [graph.version(memory[a:b]) for a, b in ((0, 4), (4, 6), (3, 5), (0, 10))] == [3, 5, 5, 5]
    assert graph.version(memory, time=5) == 3 and graph.version(memory, time=3) == -1
    assert graph.version(np.zeros(3)) == -1
    assert graph.overlapping(memory[3:4]) == graph.stores[:1]


def test_a_view_made_before_a_store_and_used_after_it_shows_the_new_content():
    w = normal(0, 2, 2)

    def step(x):
        turned = P.mT(w)
        assign(w, x)
        return turned * 1.0

    program = capture(step, normal(1, 2, 2), state=[w])
    x = normal(2, 2, 2)
    np.testing.assert_array_equal(program(x).numpy(), x.array.T)


# ── order
def position(graph):
    return {node: k for k, node in enumerate(graph.nodes)}


def test_a_schedule_reads_memory_before_it_is_overwritten():
    w = normal(0, 4)

    def step(x):
        old = P.exp(w)
        assign(w, x)
        return old + w

    graph = graph_of(step, normal(1, 4), state=[w]).schedule()
    at = position(graph)
    store = next(s for s in graph.stores if s.array is w.memory)
    for node in graph.nodes:
        assert all(at[x] < at[node] for x in node.inputs if isinstance(x, Node))
        if node.op == "load" and node.array is w.memory:
            (reader,) = graph.users()[node]
            assert (at[reader] < at[store]) == (node.time == -1)


def test_a_reader_through_views_comes_before_the_store_too():
    w = normal(0, 3, 3)

    def step(x):
        y = P.tanh(P.mT(x)) @ w
        assign(w, y)
        return P.reshape(P.mT(y), shape=(9,)) * 1.0

    graph = graph_of(step, normal(1, 3, 3), state=[w]).schedule()
    at = position(graph)
    store = next(s for s in graph.stores if s.array is w.memory)
    assert all(at[n] < at[store] for n in graph.nodes if n.op == "matmul")


def test_an_order_that_does_not_exist_is_refused():
    """Old and new content of one memory in one sum."""
    memory = np.zeros(3)
    store = Node("store", array=memory, time=1, shape=(3,), dtype=DTYPE)
    graph = Graph([store])
    x = Node("load", array=np.ones(3), shape=(3,), dtype=DTYPE)
    store.inputs = (x,)
    both = elementwise("add", graph.load(memory, -1), graph.load(memory, 1), time=2)
    other = Node("store", [both], array=np.zeros(3), time=3, shape=(3,), dtype=DTYPE)
    graph.stores.append(other)
    with pytest.raises(UnplannableError):
        graph.refresh().schedule()


def test_the_recorded_order_stays_where_it_can():
    def step(x):
        return P.exp(x) * 2.0, P.tanh(x) * 3.0, P.square(x) * 4.0

    graph = graph_of(step, normal(0, 4)).schedule()
    order = [node.op for node in graph.nodes if node.op not in ("load", "store")]
    assert order == ["exp", "multiply", "tanh", "multiply", "square", "multiply"]


# ── what is left, and how it reads
def test_refresh_forgets_what_no_store_needs():
    graph = graph_of(lambda x: (P.exp(x), P.tanh(x)), normal(0, 4))
    assert operations(graph) == {"load": 2, "exp": 1, "tanh": 1, "store": 2} and len(graph) == 4
    graph.stores = graph.stores[1:]
    assert operations(graph.refresh()) == {"load": 1, "tanh": 1, "store": 1} and len(graph) == 2


def test_users_are_listed_once_per_use():
    def step(x):
        h = P.tanh(x)
        return h * h + P.mT(h)

    graph = graph_of(step, normal(0, 4, 4))
    (h,) = (n for n in graph.nodes if n.op == "tanh")
    assert sorted(user.op for user in graph.users()[h]) == ["mT", "multiply", "multiply"]


def test_a_graph_prints_as_numbered_lines():
    w = normal(0, 3, 2)
    graph = graph_of(lambda x: P.sum_over(P.tanh(x @ w) * 2.0, axis=(0,)), normal(1, 4, 3), state=[w])
    assert str(graph.schedule()).splitlines() == [
        "%0: float64[4, 3] = load()",
        "%1: float64[3, 2] = load()",
        "%2: float64[4, 2] = matmul(%0, %1)",
        "%3: float64[4, 2] = tanh(%2)",
        "%4: float64[4, 2] = multiply(%3, 2.0)",
        "%5: float64[1, 2] = sum(%4, axis=(0,))",
        "%6: float64[1, 2] = store(%5)",
    ]


def test_an_assignment_to_a_computed_value_cannot_be_planned():
    def step(x):
        y = x * 2.0
        assign(Tensor(y.memory), x)
        return y

    program = capture(step, normal(0, 3))
    with pytest.raises(UnplannableError):
        build(program)


def test_an_input_may_be_assigned_to():
    """It is memory that outlives the step; the next call fills it anew."""

    def step(x):
        y = x * 2.0
        assign(x, y + 1.0)
        return x * 1.0, y

    program = capture(step, normal(0, 3))
    assert program.plan is not None
    for k in range(3):
        x = normal(k, 3)
        received = [t.numpy() for t in program(x)]
        np.testing.assert_array_equal(received[1], 2.0 * normal(k, 3).array)
        np.testing.assert_array_equal(received[0], 2.0 * normal(k, 3).array + 1.0)
        np.testing.assert_array_equal(x.array, normal(k, 3).array)
