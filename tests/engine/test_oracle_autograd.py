"""Random graphs against an independent engine, HIPS autograd: values, gradients and Hessian products.

Graphs have up to eight operations over shapes with and without axes of length one, broadcasting, views,
products of matrices and shared subexpressions, and are drawn from a seeded generator. Both engines run the
same NumPy operations forward, so kinks fall on the same side; the derivatives come from two unrelated tables.
"""

import math

import numpy as np
import pytest

from minigan.engine import primitives as P
from minigan.engine.autodiff import grad
from minigan.engine.tensor import constant, variable

autograd = pytest.importorskip("autograd", reason="the oracle needs the package autograd")
anp = pytest.importorskip("autograd.numpy", reason="the oracle needs the package autograd")

SHAPES = ((), (1,), (3,), (1, 1), (2, 3), (3, 2), (1, 3), (3, 1), (3, 3), (4, 1, 3), (2, 2, 3), (2, 3, 1))
LARGEST, TOLERANCE = 60.0, 1e-12


def _embed(x, shape, key):
    """Zeros with x in one corner, as a product with constants: autograd has no such function."""
    rows = np.zeros((shape[0], x.shape[0]))
    rows[key[0]] = np.eye(x.shape[0])
    return anp.tensordot(rows, x, axes=1)


# ── each operation twice: ours on Tensors, theirs on arrays
UNARY = {
    "negative": (lambda x: -x, lambda x: -x),
    "absolute": (abs, anp.abs),
    "tanh": (P.tanh, anp.tanh),
    "exp": (lambda x: P.exp(P.tanh(x)), lambda x: anp.exp(anp.tanh(x))),
    "log": (lambda x: P.log(x * x + 0.5), lambda x: anp.log(x * x + 0.5)),
    "sqrt": (lambda x: P.sqrt(P.square(x) + 0.1), lambda x: anp.sqrt(anp.square(x) + 0.1)),
    "square": (P.square, anp.square),
    "cube": (lambda x: x**3, lambda x: x**3),
    "power": (lambda x: (x * x + 0.2) ** 1.5, lambda x: (x * x + 0.2) ** 1.5),
    "reciprocal": (lambda x: 2.0 / (x * x + 1.0), lambda x: 2.0 / (x * x + 1.0)),
    "scale": (lambda x: 1.0 - x * 0.7, lambda x: 1.0 - x * 0.7),
    "relu": (P.relu, lambda x: anp.where(x > 0, x, 0.0)),
    "leaky_relu": (lambda x: P.leaky_relu(x, slope=0.2), lambda x: anp.where(x > 0, x, 0.2 * x)),
    "elu": (P.elu, lambda x: anp.where(x > 0, x, anp.expm1(anp.where(x > 0, 0.0, x)))),
    "step": (lambda x: x * P.step(x), lambda x: x * (x > 0)),
    "sign": (lambda x: x * P.sign(x), lambda x: x * anp.sign(x)),
    "sigmoid": (P.sigmoid, lambda x: 1.0 / (anp.exp(-x) + 1.0)),
    "softplus": (P.softplus, lambda x: anp.logaddexp(x, 0.0)),
    "silu": (P.silu, lambda x: x * (1.0 / (anp.exp(-x) + 1.0))),
}
BINARY = {
    "add": (lambda a, b: a + b, lambda a, b: a + b),
    "subtract": (lambda a, b: a - b, lambda a, b: a - b),
    "multiply": (lambda a, b: a * b, lambda a, b: a * b),
    "divide": (lambda a, b: a / (P.square(b) + 0.5), lambda a, b: a / (anp.square(b) + 0.5)),
    "maximum": (P.maximum, anp.maximum),
    "minimum": (P.minimum, anp.minimum),
}
FIXED = {  # operations with parameters
    "matmul": (lambda a, b: a @ b, lambda a, b: anp.matmul(a, b)),
    "gram": (lambda x: x @ P.mT(x), lambda x: anp.matmul(x, anp.swapaxes(x, -1, -2))),
    "mT": (P.mT, lambda x: anp.swapaxes(x, -1, -2)),
    "sum": (lambda x, axis: P.sum_over(x, axis=axis), lambda x, axis: anp.sum(x, axis=axis, keepdims=True)),
    "mean": (lambda x, axis: P.mean(x, axis=axis), lambda x, axis: anp.mean(x, axis=axis, keepdims=True)),
    "reshape": (lambda x, shape: P.reshape(x, shape=shape), lambda x, shape: anp.reshape(x, shape)),
    "broadcast_to": (lambda x, shape: P.broadcast_to(x, shape=shape), lambda x, shape: x * np.ones(shape)),
    "getitem": (lambda x, key: x[key], lambda x, key: x[key]),
    "embed": (lambda x, shape, key: P.embed(x, shape=shape, key=key), _embed),
}
OPERATIONS = UNARY | BINARY | FIXED


def compatible(rule, *shapes):
    try:
        return rule(*shapes)
    except ValueError:
        return None


def matmul_shape(a, b):
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise ValueError
    return (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])


def some_key(rng, shape):
    """Integers, slices with steps, and an ellipsis, never empty."""
    parts = []
    for n in shape[: rng.integers(1, len(shape) + 1)]:
        start = int(rng.integers(0, n))
        parts.append(rng.choice(3))
        parts[-1] = [start, slice(start, None), slice(None, None, -1)][parts[-1]]
    return tuple(parts) if rng.random() < 0.5 else (*parts, Ellipsis)


def candidates(rng, kind, shapes):
    """(inputs, params) for one operation on tensors of these shapes, or None if there is none."""

    def pick(xs):
        return xs[rng.integers(len(xs))] if xs else None

    everything = range(len(shapes))
    if kind in UNARY:
        return (pick(everything),), {}
    if kind in BINARY:
        pair = pick(
            [
                (i, j)
                for i in everything
                for j in everything
                if compatible(np.broadcast_shapes, shapes[i], shapes[j]) is not None
                and not forgotten_axis(shapes[i], shapes[j])
            ]
        )
        return pair, {}
    if kind == "matmul":
        pair = pick(
            [
                (i, j)
                for i in everything
                for j in everything
                if compatible(matmul_shape, shapes[i], shapes[j]) is not None
            ]
        )
        return pair and (pair, {})
    i = pick(
        [
            i
            for i in everything
            if len(shapes[i])
            >= (2 if kind in ("gram", "mT") else kind in ("sum", "mean", "getitem", "embed"))
        ]
    )
    if i is None:
        return None
    shape = shapes[i]
    if kind in ("sum", "mean"):
        axes = np.flatnonzero(rng.random(len(shape)) < 0.6) - (len(shape) if rng.random() < 0.5 else 0)
        params = {"axis": tuple(map(int, axes)) or (0,)}
    elif kind == "reshape":
        divisors = [d for d in range(1, math.prod(shape) + 1) if math.prod(shape) % d == 0]
        d = pick(divisors)
        params = {
            "shape": pick([(math.prod(shape),), (d, math.prod(shape) // d), (1, d, math.prod(shape) // d)])
        }
    elif kind == "broadcast_to":
        params = {
            "shape": (*pick([(), (2,), (1,)]), *(3 if n == 1 and rng.random() < 0.7 else n for n in shape))
        }
    elif kind == "getitem":
        params = {"key": some_key(rng, shape)}
    elif kind == "embed":
        before, after = rng.integers(0, 3, 2)
        params = {
            "shape": (int(before + shape[0] + after), *shape[1:]),
            "key": (slice(int(before), int(before) + shape[0]), Ellipsis),
        }
    else:
        params = {}
    return (i,), params


def forgotten_axis(a, b):
    """(n,) with (…, n, 1), which is refused."""
    row, other = sorted((a, b), key=len)
    return len(row) == 1 and row[0] > 1 and other[-2:] == (*row, 1)


def draw(rng):
    """One random graph: its inputs and a list of (operation, which earlier tensors, parameters)."""
    leaves = [rng.standard_normal(SHAPES[rng.integers(len(SHAPES))]) for _ in range(rng.integers(1, 4))]
    values, graph, kinds = list(leaves), [], list(OPERATIONS)
    depth = rng.integers(2, 9)
    while len(graph) < depth:
        kind = kinds[rng.integers(len(kinds))]
        found = candidates(rng, kind, [np.shape(v) for v in values])
        if found is None:
            continue
        inputs, params = found
        y = OPERATIONS[kind][1](*(values[i] for i in inputs), **params)
        if np.size(y) > 200 or np.abs(y).max() > LARGEST:  # stay where twelve digits mean something
            continue
        graph.append((kind, inputs, params))
        values.append(y)
    weights = [rng.standard_normal(np.shape(v)) for v in values[-2:]]
    return leaves, graph, weights


def evaluate(leaves, graph, side):
    values = list(leaves)
    for kind, inputs, params in graph:
        values.append(OPERATIONS[kind][side](*(values[i] for i in inputs), **params))
    return values


def our_loss(leaves, graph, weights):
    total = 0.0
    for w, y in zip(weights, evaluate(leaves, graph, 0)[-2:], strict=True):
        total = total + P.reshape(P.sum_over(y * constant(w), axis=tuple(range(y.ndim))), shape=())
    return total


def their_loss(leaves, graph, weights):
    return sum(anp.sum(y * w) for w, y in zip(weights, evaluate(leaves, graph, 1)[-2:], strict=True))


def disagreement(ours, theirs):
    """Largest difference in relation to the largest number."""
    return max(np.max(np.abs(a - b)) / (1.0 + np.max(np.abs(b))) for a, b in zip(ours, theirs, strict=True))


def compare_first(rng):
    leaves, graph, weights = draw(rng)
    ts = [variable(np.asarray(x)) for x in leaves]
    ours = evaluate(ts, graph, 0)
    values = disagreement([t.numpy() for t in ours], evaluate(leaves, graph, 1))
    gradients = [g.numpy() for g in grad(our_loss(ts, graph, weights), ts, unreached="zeros")]
    expected = autograd.grad(lambda xs: their_loss(xs, graph, weights))(leaves)
    assert [g.shape for g in gradients] == [np.shape(x) for x in leaves]
    return max(values, disagreement(gradients, expected)), graph


def compare_second(rng):
    leaves, graph, weights = draw(rng)
    directions = [rng.standard_normal(np.shape(x)) for x in leaves]
    ts = [variable(np.asarray(x)) for x in leaves]
    slope = 0.0
    gradients = grad(our_loss(ts, graph, weights), ts, create_graph=True, unreached="zeros")
    for g, v in zip(gradients, directions, strict=True):
        slope = slope + P.reshape(
            P.sum_over(g * constant(np.asarray(v)), axis=tuple(range(g.ndim))), shape=()
        )
    products = [h.numpy() for h in grad(slope, ts, unreached="zeros")]

    def their_slope(xs):
        gradients = autograd.grad(lambda ys: their_loss(ys, graph, weights))(xs)
        return sum(anp.sum(g * v) for g, v in zip(gradients, directions, strict=True))

    with np.errstate(all="ignore"):
        expected = autograd.grad(their_slope)(leaves)
    return disagreement(products, expected), graph


@pytest.mark.filterwarnings("ignore:Output seems independent of input:UserWarning")
@pytest.mark.parametrize("seed", range(6))
def test_values_and_gradients_of_random_graphs(seed):
    rng = np.random.default_rng((2014, seed))
    for k in range(210):
        worst, graph = compare_first(rng)
        assert worst <= TOLERANCE, f"graph {k} of seed {seed}: {worst:.3g}\n{graph}"


@pytest.mark.filterwarnings("ignore:Output seems independent of input:UserWarning")
@pytest.mark.parametrize("seed", range(3))
def test_second_derivatives_of_random_graphs(seed):
    rng = np.random.default_rng((2015, seed))
    for k in range(60):
        worst, graph = compare_second(rng)
        assert worst <= 10 * TOLERANCE, f"graph {k} of seed {seed}: {worst:.3g}\n{graph}"


def test_the_graphs_contain_every_operation_and_shared_values():
    rng = np.random.default_rng((2014, 0))
    graphs = [draw(rng) for _ in range(210)]
    assert {kind for _, graph, _ in graphs for kind, _, _ in graph} == set(OPERATIONS)
    uses = [
        np.bincount([i for _, inputs, _ in graph for i in inputs], minlength=1).max()
        for _, graph, _ in graphs
    ]
    assert np.mean(np.array(uses) >= 2) > 0.5
    assert {np.ndim(x) for leaves, _, _ in graphs for x in leaves} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("name", "k"), [("tanh", 0), ("matmul", 1), ("sum", 0), ("divide", 1), ("getitem", 0), ("softplus", 0)]
)
def test_an_error_of_one_in_a_million_is_found(monkeypatch, name, k):
    right = P.PRIMITIVES[name].vjps
    wrong = tuple(
        (lambda vjp: lambda *a, **p: vjp(*a, **p) * 1.000001)(v) if i == k else v for i, v in enumerate(right)
    )
    monkeypatch.setattr(P.PRIMITIVES[name], "vjps", wrong)
    rng = np.random.default_rng((2014, 0))
    assert max(compare_first(rng)[0] for _ in range(100)) > TOLERANCE
