"""Every primitive of the table: derivatives, dtypes, `out=`, special values, the same bits on every device.

A primitive without a row in CASES (in the package) or in the tables below fails here by name.
"""

import numpy as np
import pytest

from minigan import backend as backends
from minigan.engine import primitives as P
from minigan.engine.autodiff import grad
from minigan.engine.tensor import Tensor, constant, variable
from minigan.gan.objectives import bce_with_logits
from minigan.gan.penalties import gradient_penalty
from minigan.testing.cases import CASES, check_primitive
from minigan.testing.gradcheck import check_grads

NAMES = sorted(P.PRIMITIVES)
ALWAYS_VIEWS = ("mT", "broadcast_to")  # a replay has nothing to write
OF_ONE_SHAPE = ("reshape", "broadcast_to", "getitem", "embed")  # parameters fix a shape that is not empty
BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum")


def examples(name, dtype="float64", seed=0):
    """The case's inputs as arrays of one dtype."""
    return [[np.asarray(x, dtype) for x in xs] for xs in CASES[name].inputs(np.random.default_rng(seed))]


def apply(name, ts):
    return P.PRIMITIVES[name](*ts, *CASES[name].literals, **CASES[name].params)


def bits(array):
    return np.ascontiguousarray(array).tobytes()


# ── the table is complete
def test_every_primitive_has_a_case_and_every_case_a_primitive():
    assert set(CASES) == set(P.PRIMITIVES)


def test_every_primitive_of_the_module_is_in_the_table():
    defined = {v for v in vars(P).values() if isinstance(v, P.Primitive)}
    assert defined == set(P.PRIMITIVES.values())
    assert all(p.name == name for name, p in P.PRIMITIVES.items())


@pytest.mark.rows("name", NAMES)
def test_one_rule_per_tensor_input(name):
    for shapes in CASES[name].shapes:
        assert len(P.PRIMITIVES[name].vjps) == len(shapes)


# ── derivatives
@pytest.mark.rows("name", NAMES)
def test_first_and_second_derivatives_against_central_differences(backend, name):
    assert check_primitive(name, order=2, seed=1, on=backend) >= len(CASES[name].shapes)


@pytest.mark.rows("literal", [1.7, 2])
@pytest.mark.rows("name", BINARY)
def test_a_literal_on_either_side(backend, name, literal):
    xs = np.array([[0.3, 0.9], [2.4, 3.1]])
    check_grads(lambda x: P.PRIMITIVES[name](x, literal), xs, on=backend)
    check_grads(lambda x: P.PRIMITIVES[name](literal, x), xs, on=backend)


@pytest.mark.rows("n", [2, 3, -1, 0.5, 1.5, -2.5, 1, 0])
def test_power_of_any_number(n):
    check_grads(lambda x: x**n, np.array([0.6, 1.1, 1.9]))


@pytest.mark.rows("n", [0, 1, 2, 3])
def test_whole_powers_have_all_derivatives_at_zero(n):
    check_grads(lambda x: x**n, np.array([0.0, 0.7]), order=3)


def _where(positive, x, y):
    return np.where(np.real(positive) > 0, x, y)


ANALYTIC = {  # each function on complex numbers near the real axis; the kernel itself where none is named
    "maximum": lambda a, b: _where(a - b, a, b), "minimum": lambda a, b: _where(a - b, b, a),
    "absolute": lambda x: _where(x, x, -x), "relu": lambda x: _where(x, x, 0 * x),
    "leaky_relu": lambda x, slope: _where(x, x, slope * x), "elu": lambda x: _where(x, x, np.exp(x) - 1),
    "sign": lambda x: _where(x, 1 + 0 * x, -1 + 0 * x), "step": lambda x: _where(x, 1 + 0 * x, 0 * x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "softplus": lambda x: np.log1p(np.exp(x)),
}  # fmt: skip


@pytest.mark.rows("name", NAMES)
def test_first_derivatives_against_the_complex_step(name):
    """Im f(x + ihv) / h has no cancellation, so h = 1e-20 gives all digits. Source:  Squire & Trapp 1998."""
    rng, h, case = np.random.default_rng(2), 1e-20, CASES[name]
    kernel = P.PRIMITIVES[name].kernel
    f = ANALYTIC.get(name, lambda *xs, **params: kernel(np, *xs, **params))
    for xs in examples(name, seed=3):
        vs = [rng.standard_normal(x.shape) for x in xs]
        y = f(*(x + 1j * h * v for x, v in zip(xs, vs, strict=True)), *case.literals, **case.params)
        w = rng.standard_normal(y.shape)
        ts = [variable(x) for x in xs]
        np.testing.assert_allclose(apply(name, ts).numpy(), y.real, rtol=1e-14, atol=1e-15)
        gradients = grad(apply(name, ts) * constant(w), ts)
        exact = sum(np.vdot(g.numpy(), v) for g, v in zip(gradients, vs, strict=True))
        expected = np.sum(w * y.imag) / h
        assert abs(exact - expected) <= 1e-10 * (abs(expected) + 1e-3)


COMPOSITES = {
    "mean": (lambda x: P.mean(x), (4, 3)),
    "mean over replicas": (lambda x: P.mean(x * x), (2, 4, 3)),
    "mean of one axis": (lambda x: P.mean(P.tanh(x), axis=(0,)), (4, 3)),
    "silu": (P.silu, (3, 2)),
    "sum_to": (lambda x: P.square(P.sum_to(P.exp(x), (3, 1))), (4, 3, 2)),
    "sum_to nothing": (lambda x: P.square(P.sum_to(P.exp(x), ())), (4, 3, 2)),
    "softplus of a sum": (lambda x: P.softplus(P.sum_over(x, axis=(-1,))), (3, 4)),
    "division by itself": (lambda x: P.exp(x) / (1.0 + P.exp(x)), (3,)),
    "views": (
        lambda x: P.mT(P.reshape(x, shape=(3, 4)))[1:3] * P.broadcast_to(x[:1, :3], shape=(2, 3)),
        (2, 6),
    ),
    "cross-entropy": (lambda a: bce_with_logits(a, 0.9), (5, 1)),
    "cross-entropy with labels": (
        lambda a: bce_with_logits(a, constant(_like(a, [[0.0], [0.3], [1.0]]))),
        (3, 1),
    ),
}


def _like(t, values):
    return backends.of(t.array).array(values, t.dtype)


@pytest.mark.rows("name", COMPOSITES)
def test_composites(backend, name):
    f, shape = COMPOSITES[name]
    check_grads(f, np.random.default_rng(4).standard_normal(shape), on=backend)


def _mlp(activation):
    def f(x, W1, b1, W2, b2, W3, b3):
        return activation(activation(x @ W1 + b1) @ W2 + b2) @ W3 + b3

    return f


def _mlp_arrays(replicas=()):
    rng = np.random.default_rng(5)
    shapes = (4, 2), (2, 3), (1, 3), (3, 3), (1, 3), (3, 1), (1, 1)
    return [rng.standard_normal((*replicas, *shape)) for shape in shapes]


@pytest.mark.rows("replicas", [(), (3,)])
@pytest.mark.rows("activation", [P.tanh, P.softplus, P.sigmoid, P.silu])
def test_a_chain_of_dense_layers(backend, activation, replicas):
    check_grads(_mlp(activation), *_mlp_arrays(replicas), on=backend)


@pytest.mark.rows("replicas", [(), (3,)])
def test_the_gradient_penalty_through_a_network(backend, replicas):
    """R1 is a derivative of a derivative, so its own check to order 2 asks for the fourth."""

    def penalty(x, *weights):
        return gradient_penalty(_mlp(P.tanh)(x, *weights), x)

    check_grads(penalty, *_mlp_arrays(replicas), order=1, on=backend)
    if not replicas:
        check_grads(penalty, *_mlp_arrays(), order=2, on=backend)


def test_mean_is_one_value_per_replica(backend):
    x = np.arange(24.0).reshape(2, 4, 3)
    y = P.mean(variable(backend.array(x)))
    assert y.shape == (2, 1, 1)
    np.testing.assert_allclose(y.numpy()[:, 0, 0], x.mean(axis=(1, 2)), rtol=1e-15)


@pytest.mark.rows("shape", [(3, 2), (1, 2), (3, 1), (2,), (1,), (), (1, 1, 2), (4, 3, 2), (4, 1, 1)])
def test_sum_to_is_the_adjoint_of_broadcasting(backend, shape):
    """⟨broadcast(u), v⟩ = ⟨u, sum_to(v)⟩ for all u, v."""
    rng = np.random.default_rng(6)
    u, v = rng.standard_normal(shape), rng.standard_normal((4, 3, 2))
    total = P.sum_to(constant(backend.array(v)), shape)
    assert total.shape == shape
    assert np.sum(np.broadcast_to(u, v.shape) * v) == pytest.approx(np.sum(u * total.numpy()), rel=1e-12)


def test_sum_to_the_same_shape_is_the_same_tensor():
    x = variable(np.ones((3, 2)))
    assert P.sum_to(x, (3, 2)) is x


@pytest.mark.rows("name", [n for n in NAMES if n not in OF_ONE_SHAPE])
def test_an_empty_batch_has_an_empty_result_and_gradient(name):
    """Nothing to compute is no error; the shapes still follow."""
    operands = (
        [np.ones((0, 2)), np.ones((2, 3))]
        if name == "matmul"
        else [np.ones((0, 2))] * len(P.PRIMITIVES[name].vjps)
    )
    ts = [variable(x) for x in operands]
    y = apply(name, ts)
    assert y.size == (1 if name == "sum" else 0)
    assert [g.shape for g in grad(y, ts)] == [x.shape for x in operands]


# ── dtypes, `out=`, devices
@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("name", NAMES)
def test_value_and_gradients_keep_the_dtype(backend, name, dtype):
    for xs in examples(name, dtype):
        ts = [variable(backend.array(x)) for x in xs]
        y = apply(name, ts)
        first = grad(y, ts, create_graph=True)
        second = grad(first[0], ts, unreached="zeros")
        assert y.dtype == dtype
        assert all(
            g.dtype == dtype and g.shape == t.shape
            for gs in (first, second)
            for g, t in zip(gs, ts, strict=True)
        )
        assert all(type(t.array) is backend.array_type for t in (y, *first, *second))


def _layouts(xs):
    """The same values in C order, and as transposed views."""
    return xs, [
        np.swapaxes(np.ascontiguousarray(np.swapaxes(x, -1, -2)), -1, -2) if x.ndim > 1 else x for x in xs
    ]


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("name", [n for n in NAMES if n not in ALWAYS_VIEWS])
def test_out_receives_the_same_bits(backend, name, dtype):
    """A replay writes with `out=` what the first run returned."""
    primitive, case = P.PRIMITIVES[name], CASES[name]
    for xs in (layout for example in examples(name, dtype) for layout in _layouts(example)):
        arrays = [backend.array(x) for x in xs]
        y = backend.xp.asarray(primitive.kernel(backend.xp, *arrays, *case.literals, **case.params))
        out = backend.array(np.full(y.shape, np.nan, dtype))
        primitive.kernel(backend.xp, *arrays, *case.literals, **case.params, out=out)
        assert bits(backend.to_host(out)) == bits(backend.to_host(y))
        for array, x in zip(arrays, xs, strict=True):
            assert bits(backend.to_host(array)) == bits(x)  # inputs are never written


@pytest.mark.rows("name", NAMES)
def test_what_is_called_a_view_shares_memory(name):
    primitive = P.PRIMITIVES[name]
    for xs in examples(name):
        y = apply(name, [Tensor(x) for x in xs]).array
        assert primitive.view == any(np.shares_memory(y, x) for x in xs)
    assert all(P.PRIMITIVES[view].view for view in ALWAYS_VIEWS)


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("name", NAMES)
def test_the_strict_device_computes_the_same_bits(name, dtype):
    strict = backends.get("strict")
    for xs in examples(name, dtype, seed=7):
        results = []
        for device in (backends.numpy_backend, strict):
            ts = [variable(device.array(x)) for x in xs]
            y = apply(name, ts)
            first = grad(y, ts, create_graph=True)
            results.append([bits(t.numpy()) for t in (y, *first, *grad(first[-1], ts, unreached="zeros"))])
        assert results[0] == results[1]


# ── special values
POINTS = {"float32": 1e-45, "float64": 5e-324}  # the smallest subnormal number of each dtype
e = np.exp
inf, nan = np.inf, np.nan
#                    0     1e3             −1e3           tiny     ∞      −∞     NaN
VALUES = {
    "negative":   lambda t: (0.0,   -1e3,           1e3,           -t,      -inf,  inf,   nan),
    "exp":        lambda t: (1.0,   inf,            0.0,           1.0,     inf,   0.0,   nan),
    "log":        lambda t: (-inf,  np.log(1e3),    nan,           np.log(t), inf, nan,   nan),
    "sqrt":       lambda t: (0.0,   np.sqrt(1e3),   nan,           np.sqrt(t), inf, nan,  nan),
    "square":     lambda t: (0.0,   1e6,            1e6,           0.0,     inf,   inf,   nan),
    "power":      lambda t: (0.0,   1e3**2.5,       nan,           0.0,     inf,   inf,   nan),  # as in C
    "tanh":       lambda t: (0.0,   1.0,            -1.0,          t,       1.0,   -1.0,  nan),
    "absolute":   lambda t: (0.0,   1e3,            1e3,           t,       inf,   inf,   nan),
    "sign":       lambda t: (0.0,   1.0,            -1.0,          1.0,     1.0,   -1.0,  nan),
    "step":       lambda t: (0.0,   1.0,            0.0,           1.0,     1.0,   0.0,   0.0),  # no: NaN > 0
    "relu":       lambda t: (0.0,   1e3,            0.0,           t,       inf,   0.0,   nan),
    "leaky_relu": lambda t: (0.0,   1e3,            -200.0,        t,       inf,   -inf,  nan),
    "elu":        lambda t: (0.0,   1e3,            -1.0,          t,       inf,   -1.0,  nan),
    "sigmoid":    lambda t: (0.5,   1.0,            0.0,           0.5,     1.0,   0.0,   nan),
    "softplus":   lambda t: (np.log(2), 1e3,        0.0,           np.log(2), inf, 0.0,   nan),
}  # fmt: skip
SLOPES = {
    "negative":   lambda t: (-1.0,  -1.0,           -1.0,          -1.0,    -1.0,  -1.0,  -1.0),
    "exp":        lambda t: (1.0,   inf,            0.0,           1.0,     inf,   0.0,   nan),
    "log":        lambda t: (inf,   1e-3,           -1e-3,         inf,     0.0,   -0.0,  nan),
    "sqrt":       lambda t: (inf,   0.5/np.sqrt(1e3), nan,         0.5/np.sqrt(t), 0.0, nan, nan),
    "square":     lambda t: (0.0,   2e3,            -2e3,          2*t,     inf,   -inf,  nan),
    "power":      lambda t: (0.0,   2.5*1e3**1.5,   nan,           0.0,     inf,   inf,   nan),
    "tanh":       lambda t: (1.0,   0.0,            0.0,           1.0,     0.0,   0.0,   nan),
    "absolute":   lambda t: (0.0,   1.0,            -1.0,          1.0,     1.0,   -1.0,  nan),
    "sign":       lambda t: (0.0,) * 7,
    "step":       lambda t: (0.0,) * 7,
    "relu":       lambda t: (0.0,   1.0,            0.0,           1.0,     1.0,   0.0,   0.0),
    "leaky_relu": lambda t: (0.2,   1.0,            0.2,           1.0,     1.0,   0.2,   0.2),
    "elu":        lambda t: (1.0,   1.0,            0.0,           1.0,     1.0,   0.0,   nan),
    "sigmoid":    lambda t: (0.25,  0.0,            0.0,           0.25,    0.0,   0.0,   nan),
    "softplus":   lambda t: (0.5,   1.0,            0.0,           0.5,     1.0,   0.0,   nan),
}  # fmt: skip
PAIRS = {  # a, b, value, ∂/∂a, ∂/∂b
    "add":      ((inf, -inf, nan, 1, 1), (inf, 1, inf, 1, 1), (nan, 1, nan, 1, 1), (1, nan, nan, 1, 1)),
    "subtract": ((inf, inf, nan, 1, -1), (1, inf, -inf, 1, -1), (nan, 1, nan, 1, -1), (1, nan, nan, 1, -1)),
    "multiply": ((inf, 0, nan, 0, inf), (1e3, -1e3, -1e6, -1e3, 1e3), (nan, 0, nan, 0, nan),
                 (0, nan, nan, nan, 0)),
    "divide":   ((1, 0, inf, inf, -inf), (0, 0, nan, inf, nan), (1, inf, 0, 0, 0), (nan, 1, nan, 1, nan),
                 (1, nan, nan, nan, nan)),
    "maximum":  ((2, 2, 2, 0.5, 0.5), (inf, 1, inf, 1, 0), (-inf, 1, 1, 0, 1), (nan, 1, nan, nan, nan),
                 (1, nan, nan, nan, nan)),
    "minimum":  ((2, 2, 2, 0.5, 0.5), (inf, 1, 1, 0, 1), (-inf, 1, -inf, 1, 0), (nan, 1, nan, nan, nan),
                 (1, nan, nan, nan, nan)),
}  # fmt: skip
CARRIERS = {"matmul", "sum", "mT", "reshape", "broadcast_to", "getitem", "embed"}


def test_the_tables_of_special_values_are_complete():
    assert set(VALUES) | set(PAIRS) | CARRIERS == set(P.PRIMITIVES)
    assert set(SLOPES) == set(VALUES)


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("name", VALUES)
def test_special_values_and_slopes_of_functions(backend, name, dtype):
    tiny = np.array(POINTS[dtype], dtype)[()]
    x = variable(backend.array([0.0, 1e3, -1e3, tiny, inf, -inf, nan], dtype))
    params = {"slope": 0.2} if name == "leaky_relu" else {}
    with np.errstate(all="ignore"):
        y = P.PRIMITIVES[name](x, *CASES[name].literals, **params)
        (g,) = grad(y, [x])
        expected = [np.array(table[name](np.float64(tiny))).astype(dtype) for table in (VALUES, SLOPES)]
    rtol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(y.numpy(), expected[0], rtol=rtol, atol=0)
    np.testing.assert_allclose(g.numpy(), expected[1], rtol=rtol, atol=0)


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("name", PAIRS)
def test_special_values_and_slopes_of_two_operands(backend, name, dtype):
    for a, b, value, slope_a, slope_b in PAIRS[name]:
        ta, tb = (variable(backend.array([v], dtype)) for v in (a, b))
        with np.errstate(all="ignore"):
            y = P.PRIMITIVES[name](ta, tb)
            got = [float(t.numpy()[0]) for t in (y, *grad(y, [ta, tb]))]
        np.testing.assert_array_equal(got, [value, slope_a, slope_b], err_msg=f"{name}({a}, {b})")


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("name", sorted(CARRIERS - {"matmul", "sum"}))
def test_what_only_moves_numbers_keeps_every_bit(backend, name, dtype):
    """-0.0, subnormals, infinities and NaN arrive as they left: the set of bit patterns does not grow."""
    pool = np.array([-0.0, POINTS[dtype], inf, -inf, nan, 1e3], dtype)
    integer = {"float32": np.uint32, "float64": np.uint64}[dtype]
    for xs in examples(name, dtype):
        x = np.resize(pool, xs[0].shape).astype(dtype)
        y = apply(name, [constant(backend.array(x))]).numpy()
        moved = set(y.view(integer).ravel().tolist())
        assert moved <= set(x.view(integer).ravel().tolist()) | ({0} if name == "embed" else set())
    np.testing.assert_array_equal(
        P.mT(constant(backend.array(pool.reshape(2, 3)))).numpy(), pool.reshape(2, 3).T
    )


@pytest.mark.rows("dtype", ["float32", "float64"])
def test_special_values_of_sums_and_products(backend, dtype):
    def total(*values):
        return P.sum_over(constant(backend.array(values, dtype)), axis=(0,)).item()

    assert total(inf, 1.0) == inf and total(-inf, 1.0) == -inf and total(0.0, 1e3) == 1e3
    assert total(POINTS[dtype], 0.0) == np.array(POINTS[dtype], dtype)
    tiny = POINTS[dtype]
    with np.errstate(invalid="ignore"):
        assert np.isnan(total(inf, -inf)) and np.isnan(total(nan, 1.0))
        for k in (1, 3):  # one column is computed as an outer product, three by BLAS
            a, b = np.ones((2, k), dtype), np.ones((k, 2), dtype)
            a[0, 0] = nan
            y = (constant(backend.array(a)) @ constant(backend.array(b))).numpy()
            assert np.isnan(y[0]).all() and (y[1] == k).all()
            a[0, 0], b[0, 0] = inf, 0.0
            y = (constant(backend.array(a)) @ constant(backend.array(b))).numpy()
            assert np.isnan(y[0, 0]) and y[0, 1] == inf
            a[0, 0], b[0, 0] = tiny, 1.0
            assert (constant(backend.array(a[:, :1])) @ constant(backend.array(b[:1]))).numpy()[
                0, 0
            ] == np.array(tiny, dtype)


def test_a_column_times_a_matrix_is_refused(backend):
    """Broadcasting would make sense of it: an outer product needs both inner lengths to be one."""
    for shapes in (((4, 1), (4, 2)), ((4, 2), (1, 2)), ((1, 1), (2, 1))):
        a, b = (constant(backend.array(np.ones(s))) for s in shapes)
        with pytest.raises(ValueError, match="matmul cannot take"):
            a @ b


LAYOUTS = {
    "rows": lambda a: np.ascontiguousarray(a),
    "columns": lambda a: np.ascontiguousarray(a.T).T,
    "part of longer rows": lambda a: np.hstack([a, a])[:, : a.shape[1]],
    "every other column": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "every other row, backwards": lambda a: np.repeat(a, 2, axis=0)[::-2],
}


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("left", LAYOUTS)
@pytest.mark.rows("right", LAYOUTS)
def test_a_product_has_the_bits_of_matmul_in_every_layout(left, right, dtype):
    rng = np.random.default_rng(9)
    for n, k, m in ((1, 5, 1), (1, 3, 4), (6, 4, 1), (5, 3, 7), (33, 17, 19), (64, 128, 32)):
        a = LAYOUTS[left](rng.standard_normal((n, k)).astype(dtype))
        b = LAYOUTS[right](rng.standard_normal((k, m)).astype(dtype))
        assert bits((Tensor(a) @ Tensor(b)).array) == bits(np.matmul(a, b))


def test_an_outer_product_is_the_product_of_matrices(backend):
    rng = np.random.default_rng(8)
    for shapes in (
        ((3, 1), (1, 4)),
        ((2, 3, 1), (2, 1, 4)),
        ((2, 3, 1), (1, 4)),
        ((3, 1), (2, 1, 4)),
        ((1, 1), (1, 1)),
    ):
        a, b = (rng.standard_normal(s) for s in shapes)
        np.testing.assert_array_equal(
            (constant(backend.array(a)) @ constant(backend.array(b))).numpy(), a @ b
        )
