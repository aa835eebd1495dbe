"""The logistic family at any logit: both tails to the last digits, no NaN, no warning; against 50 digits.

Errors are relative, because the tails are where a saturating generator and a confident discriminator live: a
form whose error is small only in absolute terms has lost all digits there.
"""

import mpmath
import numpy as np
import pytest

from minigan.engine import primitives as P
from minigan.engine.autodiff import grad
from minigan.engine.tensor import variable
from minigan.gan.objectives import OBJECTIVES, bce_with_logits

mp = mpmath.mp.clone()
mp.dps = 50
DTYPES = ("float32", "float64")
HUGE = {"float32": 1e4, "float64": 1e300}
RANGE = {"float32": 110.0, "float64": 760.0}  # past both the overflow of eˣ and the underflow of e⁻ˣ


def _sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def _slope(x):
    return _sigmoid(x) * _sigmoid(-x)


REFERENCE = {  # name: (function of the engine, exact value, units in the last place that rounding may cost)
    "sigmoid": (P.sigmoid, _sigmoid, 3),
    "softplus": (P.softplus, lambda x: mp.log1p(mp.exp(x)), 3),
    "σ′": (lambda x: _derivative(P.sigmoid, x, 1), _slope, 6),  # a product of two values of 3 each
    "softplus′": (lambda x: _derivative(P.softplus, x, 1), _sigmoid, 3),
    "softplus″": (lambda x: _derivative(P.softplus, x, 2), _slope, 6),
    "elu": (P.elu, lambda x: x if x > 0 else mp.expm1(x), 3),  # expm1: eˣ − 1 has lost all digits near 0
    "−ln σ": (lambda x: P.softplus(-x), lambda x: mp.log1p(mp.exp(-x)), 3),
}


def _derivative(f, x, order):
    y = f(x)
    for _ in range(order):
        (y,) = grad(y, [x], create_graph=True)
    return y


def points(dtype):
    """Dense where the functions bend, everywhere else too, and the numbers next to zero."""
    rng, top = np.random.default_rng(0), RANGE[dtype]
    near_zero = 10.0 ** rng.uniform(-30, 0, 100)
    x = np.concatenate(
        [np.linspace(-top, top, 700), rng.uniform(-8, 8, 500), near_zero, -near_zero, [0.0, -0.0]]
    )
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REFERENCE)
def test_relative_error_in_units_of_the_last_place(backend, name, dtype):
    f, exact, allowed = REFERENCE[name]
    x = points(dtype)
    y = f(variable(backend.array(x))).numpy()
    assert y.dtype == dtype
    info = np.finfo(dtype)
    for a, got in zip(x.tolist(), y.tolist(), strict=True):
        expected = exact(mp.mpf(a))
        if abs(expected) < info.smallest_normal:  # no full precision exists there: at most flushed to zero
            assert abs(got) <= float(info.smallest_normal)
        else:
            error = abs((mp.mpf(got) - expected) / expected) / mp.mpf(float(info.eps))
            assert error <= allowed, f"{name}({a!r}) = {got!r}, {float(error):.3g} units off"


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_test_above_can_fail(dtype):
    """The usual short forms lose all digits in a tail."""
    x = points(dtype)
    naive = {
        "tanh form": 0.5 * (1 + np.tanh(x / 2)),
        "1 − σ(−x)": 1 - 1 / (1 + np.exp(x, where=x < 80, out=np.full_like(x, np.inf))),
    }
    for y in naive.values():
        k = np.argmin(np.abs(x + 0.4 * RANGE[dtype]))
        exact = _sigmoid(mp.mpf(float(x[k])))
        assert abs((mp.mpf(float(y[k])) - exact) / exact) > 0.99


EXTREME = (0.0, 1.0, 17.0, 88.0, 89.0, 104.0, 709.0, 746.0, 1e4)
# The objectives without an exponential or a square, which overflow rightly.
NO_POWERS = ("minimax", "non_saturating", "hinge", "wasserstein", "relativistic", "js", "total_variation")
FUNCTIONS = {
    "sigmoid": P.sigmoid, "softplus": P.softplus, "silu": P.silu, "tanh": P.tanh, "elu": P.elu,
    "BCE, real": lambda a: bce_with_logits(a, 1), "BCE, generated": lambda a: bce_with_logits(a, 0.0),
    "BCE, smoothed": lambda a: bce_with_logits(a, 0.9),
    **{f"{o}.{c}": getattr(OBJECTIVES[o], c) for o in NO_POWERS for c in ("real", "fake", "generator")},
}  # fmt: skip


@pytest.mark.rows("dtype", DTYPES)
@pytest.mark.rows("name", FUNCTIONS)
def test_finite_to_third_order_at_any_logit_without_a_warning(backend, name, dtype):
    magnitudes = [*EXTREME, HUGE[dtype]]
    x = variable(backend.array([*magnitudes, *(-m for m in magnitudes)], dtype))
    # Only the rounding of tiny numbers to zero may pass.
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = FUNCTIONS[name](x)
        orders = [y]
        for _ in range(3):
            orders.append(grad(orders[-1], [x], create_graph=True, unreached="zeros")[0])
    for t in orders:
        assert np.isfinite(t.numpy()).all() and t.dtype == dtype


@pytest.mark.rows("dtype", DTYPES)
def test_values_and_slopes_at_the_ends(backend, dtype):
    h = HUGE[dtype]
    x = variable(backend.array([h, -h, np.inf, -np.inf, np.nan], dtype))
    exact = np.array([h, h], dtype)[0]
    for f, value, slope in (
        (P.sigmoid, [1, 0, 1, 0, np.nan], [0, 0, 0, 0, np.nan]),
        (P.softplus, [exact, 0, np.inf, 0, np.nan], [1, 0, 1, 0, np.nan]),
        (lambda a: bce_with_logits(a, 1.0)[:2], [0, exact], [0, -1, 0, 0, 0]),
        (lambda a: bce_with_logits(a, 0.0)[:2], [exact, 0], [1, 0, 0, 0, 0]),
    ):
        with np.errstate(over="raise", divide="raise", invalid="ignore"):  # ∞ − ∞ of the unused elements
            y = f(x)
            (g,) = grad(y, [x])
        np.testing.assert_array_equal(y.numpy(), np.array(value, dtype))
        np.testing.assert_array_equal(g.numpy()[: len(value)], np.array(slope, dtype)[: len(value)])


@pytest.mark.rows("dtype", DTYPES)
def test_a_losing_generator_still_gets_its_gradient(backend, dtype):
    """Where D is sure, the non-saturating loss has slope −1, the saturating one a tiny and correct one."""
    a = variable(backend.array([-40.0, -80.0], dtype))
    (g,) = grad(OBJECTIVES["non_saturating"].generator(a), [a])
    np.testing.assert_array_equal(g.numpy(), [-1.0, -1.0])
    (g,) = grad(OBJECTIVES["minimax"].generator(a), [a])
    np.testing.assert_allclose(g.numpy(), -np.exp([-40.0, -80.0]), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.rows("dtype", DTYPES)
def test_sigmoid_and_softplus_agree(backend, dtype):
    """σ(x) = e^(−softplus(−x)); the exponential makes a relative error of its argument s an absolute one."""
    eps = np.finfo(dtype).eps
    top = {"float32": 80.0, "float64": 700.0}[dtype]
    x = np.linspace(-top, top, 2001).astype(dtype)
    t = variable(backend.array(x))
    left, right = P.sigmoid(t).numpy(), P.exp(-P.softplus(-t)).numpy()
    assert (np.abs(left - right) <= (2 * np.maximum(0, -x) + 8) * eps * left).all()


@pytest.mark.rows("dtype", DTYPES)
def test_symmetry_and_order(backend, dtype):
    x = np.sort(points(dtype))
    y, z = (P.sigmoid(variable(backend.array(v))).numpy() for v in (x, -x))
    np.testing.assert_allclose(y + z, 1.0, rtol=4 * np.finfo(dtype).eps)
    s = P.softplus(variable(backend.array(x))).numpy()
    assert ((y >= 0) & (y <= 1)).all() and (s >= np.maximum(x, 0)).all()
    assert (
        np.diff(y).min() >= -4 * np.finfo(dtype).eps
        and np.diff(s.astype("float64")).min() >= -4 * np.finfo(dtype).eps * x.max()
    )
