"""The checker is proven to fail: wrong rules are planted in every primitive that has a derivative."""

import dataclasses

import numpy as np
import pytest

from minigan.engine import autodiff
from minigan.engine import primitives as P
from minigan.engine.tensor import Primitive, Tensor, constant
from minigan.testing import cases
from minigan.testing.cases import CASES, check_primitive
from minigan.testing.gradcheck import GradientError, check_grads

RULES = [
    (name, k) for name, p in sorted(P.PRIMITIVES.items()) for k, vjp in enumerate(p.vjps) if vjp is not None
]
BROADCASTING = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "matmul", "broadcast_to")


def plant(monkeypatch, name, k, wrong):
    """Replace rule k of a primitive; ``wrong`` makes the new rule of the right one."""
    right = P.PRIMITIVES[name]
    vjps = [wrong(vjp) if i == k else vjp for i, vjp in enumerate(right.vjps)]
    monkeypatch.setitem(P.PRIMITIVES, name, Primitive(name, right.kernel, *vjps, view=right.view))


def plant_everywhere(monkeypatch, name, k, wrong):
    """The same in the primitive itself, where its own and other rules use it too."""
    right = P.PRIMITIVES[name]
    monkeypatch.setattr(
        right, "vjps", tuple(wrong(vjp) if i == k else vjp for i, vjp in enumerate(right.vjps))
    )


def scaled(factor):
    return lambda vjp: lambda g, y, *xs, **params: factor * vjp(g, y, *xs, **params)


def test_there_is_something_to_plant_in_all_but_the_two_flat_functions():
    assert {name for name, _ in RULES} == set(P.PRIMITIVES) - {"sign", "step"}


SMALLEST = 1.001  # the factor that is hardest to see, in each rule; the others in one


@pytest.mark.parametrize(
    ("name", "k", "factor"),
    [*((*rule, SMALLEST) for rule in RULES), *(("divide", 1, x) for x in (-1.0, 2.0, 0.5, 0.0, 0.999))],
)
def test_a_wrong_sign_or_factor_is_found(monkeypatch, name, k, factor):
    check_primitive(name, order=1)
    plant(monkeypatch, name, k, scaled(factor))
    with pytest.raises(GradientError, match=name):
        check_primitive(name, order=1)


@pytest.mark.parametrize(("name", "k"), RULES)
def test_a_missing_rule_is_found(monkeypatch, name, k):
    plant(monkeypatch, name, k, lambda vjp: None)
    with pytest.raises(GradientError, match=name):
        check_primitive(name, order=1)


@pytest.mark.parametrize(("name", "k"), RULES)
def test_right_at_first_order_and_wrong_at_second_is_found(monkeypatch, name, k):
    """x − constant(x) is zero and its derivative is not."""

    def wrong(vjp):
        return lambda g, y, *xs, **params: vjp(g, y, *xs, **params) + 0.001 * (xs[k] - constant(xs[k]))

    plant(monkeypatch, name, k, wrong)
    check_primitive(name, order=1)
    with pytest.raises(GradientError, match=f"∂{name}/∂x{k}"):
        check_primitive(name, order=2)


CURVED = [
    "multiply",
    "divide",
    "power",
    "exp",
    "log",
    "sqrt",
    "square",
    "tanh",
    "elu",
    "sigmoid",
    "softplus",
    "matmul",
]


@pytest.mark.parametrize("name", CURVED)
def test_a_rule_that_forgets_its_history_is_found(monkeypatch, name):
    """The classic: the rule computes with raw values, so that its derivative is lost."""

    def wrong(vjp):
        def cut(x):
            return constant(x) if isinstance(x, Tensor) else x

        return lambda g, y, *xs, **params: vjp(g, cut(y), *map(cut, xs), **params)

    for k in range(len(P.PRIMITIVES[name].vjps)):
        with monkeypatch.context() as patch:
            plant(patch, name, k, wrong)
            check_primitive(name, order=1)
            with pytest.raises(GradientError):
                check_primitive(name, order=2)


@pytest.mark.parametrize(("name", "k"), [r for r in RULES if r[0] in CURVED])
def test_a_wrong_rule_is_found_at_second_order_of_what_uses_it(monkeypatch, name, k):
    plant_everywhere(monkeypatch, name, k, scaled(1.001))
    with pytest.raises(GradientError):
        check_primitive(name, order=2)


def _square_case(monkeypatch, name, shapes, **params):
    """Square matrices: where a missing transpose has the right shape."""
    monkeypatch.setitem(CASES, name, dataclasses.replace(CASES[name], shapes=(shapes,), params=params))


@pytest.mark.parametrize(("k", "wrong"), [
    (0, lambda g, y, a, b: g @ b), (1, lambda g, y, a, b: a @ g),
    (0, lambda g, y, a, b: P.mT(g @ P.mT(b))), (1, lambda g, y, a, b: P.mT(P.mT(a) @ g)),
    (0, lambda g, y, a, b: P.mT(b) @ g), (1, lambda g, y, a, b: g @ P.mT(a)),
])  # fmt: skip
def test_a_transposed_product_is_found(monkeypatch, k, wrong):
    _square_case(monkeypatch, "matmul", ((3, 3), (3, 3)))
    check_primitive("matmul")
    plant(monkeypatch, "matmul", k, lambda vjp: wrong)
    with pytest.raises(GradientError, match="matmul"):
        check_primitive("matmul", order=1)


def test_a_forgotten_transpose_is_found(monkeypatch):
    _square_case(monkeypatch, "mT", ((3, 3),))
    check_primitive("mT")
    plant(monkeypatch, "mT", 0, lambda vjp: lambda g, y, x: g)
    with pytest.raises(GradientError, match="mT"):
        check_primitive("mT", order=1)


def test_a_reshape_in_the_wrong_order_is_found(monkeypatch):
    plant(monkeypatch, "reshape", 0, lambda vjp: lambda g, y, x, shape: P.reshape(P.mT(g), shape=x.shape))
    with pytest.raises(GradientError, match="reshape"):
        check_primitive("reshape", order=1)


def test_wrong_elements_are_found(monkeypatch):
    def shifted(vjp):
        return lambda g, y, x, key: P.embed(g, shape=x.shape, key=(slice(0, 2), Ellipsis))

    plant(monkeypatch, "getitem", 0, shifted)
    with pytest.raises(GradientError, match="getitem"):
        check_primitive("getitem", order=1)


def _first_row(x, shape):
    """Takes one of the rows that it should sum."""
    while x.ndim > len(shape):
        x = x[0]
    for axis, n in enumerate(shape):
        if n == 1 != x.shape[axis]:
            x = x[(slice(None),) * axis + (slice(0, 1),)]
    return x


def _average(x, shape):
    return P.sum_to(x, shape) * (np.prod(shape) / x.size)


@pytest.mark.parametrize(
    "wrong", [lambda x, shape: x, _first_row, _average], ids=["none", "first row", "mean"]
)
@pytest.mark.parametrize("name", BROADCASTING)
def test_a_missing_sum_over_broadcast_axes_is_found(monkeypatch, name, wrong):
    check_primitive(name, order=1)
    monkeypatch.setattr(autodiff, "sum_to", wrong)
    with pytest.raises(GradientError):
        check_primitive(name, order=1)


def test_a_gradient_of_the_wrong_shape_is_named(monkeypatch):
    monkeypatch.setattr(autodiff, "sum_to", lambda x, shape: x)
    with pytest.raises(
        GradientError,
        match=r"gradients of shapes \[\(3, 2\), \(3, 2\)\] for inputs of shapes \[\(3, 2\), \(1, 2\)\]",
    ):
        check_grads(lambda a, b: a + b, np.ones((3, 2)), np.ones((1, 2)))


def test_a_derivative_that_is_not_a_number_is_found(monkeypatch):
    plant(monkeypatch, "exp", 0, scaled(float("nan")))
    with pytest.raises(GradientError, match="nan"):
        check_primitive("exp", order=1)


def test_five_times_the_square(monkeypatch):
    """The error that one small framework's own checker lets through: d(a²) = 5a."""
    plant(monkeypatch, "square", 0, lambda vjp: lambda g, y, x: g * (5.0 * x))
    with pytest.raises(GradientError):
        check_primitive("square")


def test_an_error_in_one_element_of_many_is_found():
    """The weights are random, so no element is left out and none cancels another."""
    mask = np.zeros((8, 8))
    mask[3, 5] = 1e-3
    wrong = Primitive("wrong", P.exp.kernel, lambda g, y, x: g * y * (1.0 + constant(mask)))
    with pytest.raises(GradientError, match="wrong"):
        check_grads(wrong, np.random.default_rng(0).standard_normal((8, 8)), order=1)


def test_the_message_has_both_values_and_the_shapes():
    wrong = Primitive("wrong", P.square.kernel, lambda g, y, x: g * x)
    with pytest.raises(
        GradientError,
        match=r"wrong: derivative .*, difference quotient .*, at shapes \[\(3,\)\], 1 order to go",
    ):
        check_grads(wrong, np.ones(3), order=1)


def test_a_gradient_error_is_an_assertion_error():
    assert issubclass(GradientError, AssertionError)


def test_only_float64_is_checked():
    with pytest.raises(TypeError, match="float64 arrays; received float64, float32"):
        check_grads(lambda a, b: a, np.ones(2), np.ones(2, "float32"))


def test_a_right_function_passes_to_third_order(backend):
    check_grads(
        lambda a, b: P.tanh(a @ b) * P.exp(a @ b), np.eye(2) * 0.3, np.ones((2, 1)), order=3, on=backend
    )


def test_check_primitive_counts_what_it_compared():
    assert check_primitive("exp", order=1) == 4  # one input, four shapes
    assert check_primitive("exp", order=2) == 8
    assert check_primitive("matmul", order=2) == 6 * 2 * 3


def test_a_name_without_a_case_is_a_key_error():
    with pytest.raises(KeyError, match="convolution"):
        check_primitive("convolution")


@pytest.mark.rows("seed", range(20))
def test_inputs_of_maximum_stay_away_from_its_kink(seed):
    """A tie within a step of the difference quotient would fail for no fault of the rule."""
    for a, b in CASES["maximum"].inputs(np.random.default_rng(seed)):
        assert np.abs(a - b).min() > 1e-4


def test_off_kink_inputs_avoid_zero():
    assert np.abs(cases._off_kink(np.random.default_rng(0), (1000,))).min() >= 0.2
