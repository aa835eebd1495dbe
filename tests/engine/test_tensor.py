"""Tensors: what they show, what they refuse, and that Python numbers and NumPy scalars stay literals."""

import math
import operator
import pickle
import platform
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import minigan
from minigan import backend as backends
from minigan.compiler.capture import capture
from minigan.engine import primitives as P
from minigan.engine.autodiff import grad
from minigan.engine.tensor import Call, CaptureError, Primitive, Tensor, constant, is_tracked, variable


@pytest.fixture
def x(backend):
    return variable(backend.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float32"))


def test_a_tensor_shows_its_array(x):
    assert (x.shape, x.ndim, x.size, x.dtype) == ((2, 3), 2, 6, np.float32)
    np.testing.assert_array_equal(x.numpy(), [[1, 2, 3], [4, 5, 6]])


def test_numpy_is_a_copy(x):
    x.numpy()[...] = 0.0
    assert x.numpy().sum() == 21.0


def test_repr_tells_the_value_and_what_made_it(x):
    assert repr(x * 2.0).endswith("made by multiply)")
    assert "made by" not in repr(constant(x)) and "6." in repr(constant(x))


def test_item_and_float_read_one_element(backend):
    for shape in ((), (1,), (1, 1)):
        t = constant(backend.array(np.full(shape, 2.5)))
        assert t.item() == float(t) == 2.5
        assert type(t.item()) is float
        assert bool(t) is True


@pytest.mark.rows("read", [lambda x: x.item(), float, bool])
def test_reading_many_elements_as_one_is_refused_with_the_shape(x, read):
    with pytest.raises(ValueError, match=r"one element; this one has shape \(2, 3\)"):
        read(x)


@pytest.mark.rows(("use", "words"), [
    (np.asarray, r"implicitly; use tensor\.numpy\(\)"), (np.array, r"implicitly; use tensor\.numpy\(\)"),
    (np.exp, r"NumPy's exp takes arrays.* use minigan\.exp$"), (np.sum, r"NumPy's sum .* use minigan\.sum$"),
    (np.mean, r"NumPy's mean .* use minigan\.mean$"), (lambda x: np.add(x, 1.0), r"use minigan\.add$"),
    (np.abs, r"use minigan\.absolute$"), (np.add.reduce, r"use minigan\.add$"),
    (np.sin, r"NumPy's sin .* use one of minigan\.PRIMITIVES, or tensor\.numpy\(\)"),
    (np.linalg.norm, r"NumPy's norm .* use one of"), (lambda x: np.vstack([x, x]), r"NumPy's vstack"),
    (lambda x: np.less(1.0, x), r"NumPy's less"),
])  # fmt: skip
def test_numpy_takes_no_tensor_and_names_the_way_out(x, use, words):
    with pytest.raises(TypeError, match=words):
        use(x)


@pytest.mark.parametrize("use", [np.multiply, operator.imul])
def test_an_array_cannot_be_changed_by_a_tensor(use):
    with pytest.raises(TypeError, match="Wrap arrays with constant"):
        use(np.ones((2, 3)), variable(np.ones((2, 3))))


@pytest.mark.rows("use", [lambda x: x.backward(), lambda x: x.grad])
def test_gradients_are_no_attributes(x, use):
    with pytest.raises(AttributeError, match=r"keeps no gradient; minigan\.grad\(loss, \[x, …\]\) returns"):
        use(x)
    assert not hasattr(x, "grad")


def test_sums_and_means_are_over_batch_and_features_and_keep_their_axes(backend):
    values = np.arange(24.0).reshape(2, 3, 4)
    x = variable(backend.array(values))
    for axis, axes in ((None, (1, 2)), (0, (0,)), (-1, (2,)), ((0, 2), (0, 2))):
        np.testing.assert_array_equal(x.sum(axis).numpy(), values.sum(axes, keepdims=True))
        np.testing.assert_array_equal(P.sum(x, axis=axis).numpy(), values.sum(axes, keepdims=True))
        np.testing.assert_allclose(x.mean(axis).numpy(), values.mean(axes, keepdims=True), rtol=1e-15)
    for few in (values[0, 0], values[0, 0, 0]):  # what has fewer axes is summed over those
        x = variable(backend.array(few))
        assert x.sum().item() == few.sum() and x.mean().item() == few.mean() and x.mean().ndim == few.ndim
    with pytest.raises(ValueError, match=r"sum cannot take \(4,\): .*axis 1"):
        variable(backend.array(values[0, 0])).mean(axis=1)


def test_the_transpose_is_of_the_last_two_axes(backend):
    x = variable(backend.array(np.arange(24.0).reshape(2, 3, 4)))
    np.testing.assert_array_equal(x.T.numpy(), x.numpy().swapaxes(1, 2))
    with pytest.raises(ValueError, match=r"mT cannot take \(4,\)"):
        x[0, 0].T  # noqa: B018 - a property


def test_the_length_is_that_of_the_first_axis(x):
    assert len(x) == 2 and len(x[0]) == 3
    with pytest.raises(TypeError):
        len(x[0, 0])


def test_one_element_compares_with_numbers_by_value(backend):
    t = constant(backend.array([[2.0]]))
    assert t < 3 and t <= 2.0 and t > np.float32(1) and t >= 2 and t == 2 and t != 3.0 and 1.0 < t
    assert not (t < 2 or t > 2.0 or t == 1.0 or t != 2)


def test_many_elements_are_no_number_and_have_no_order(x):
    for compare in (operator.lt, operator.ge, operator.eq, operator.ne):
        with pytest.raises(ValueError, match="one element"):
            compare(x, 1.0)


def test_a_variable_survives_a_pickle(x):
    again = pickle.loads(pickle.dumps(variable([1.0, 2.0])))
    assert is_tracked(again) and again.numpy().tolist() == [1.0, 2.0]


@pytest.mark.rows("axis", [0, np.int64(0), [0], (0,)])
def test_axes_are_numbers_or_several(axis):
    assert constant([[1.0, 2.0], [3.0, 4.0]]).sum(axis).numpy().tolist() == [[4.0, 6.0]]
    assert constant([[1.0, 2.0], [3.0, 4.0]]).mean(axis).numpy().tolist() == [[2.0, 3.0]]


@pytest.mark.parametrize("reduce", [Tensor.sum, Tensor.mean])
def test_a_sum_or_mean_of_no_tensor_is_refused(reduce):
    for what in (np.ones((2, 3)), 2.0, None):
        with pytest.raises(
            TypeError, match=f"takes a Tensor and axis=; received {type(what).__name__}: wrap"
        ):
            reduce(what)


def test_tensors_are_equal_only_to_themselves_and_have_no_order(x):
    same = constant(x)
    assert x == x and x != "x" and x in [x, same] and len({x, same, x}) == 2
    for compare in (operator.lt, operator.eq, operator.ne, max):
        with pytest.raises(TypeError, match=r"Tensors are not compared; say a is b, maximum\(a, b\)"):
            compare(x, same)
    with pytest.raises(TypeError, match="NumPy's equal"):
        x == np.ones(3)  # noqa: B015


def test_a_comparison_reads_a_value_so_capture_refuses_it():
    def step(x):
        return x * 2.0 if x.sum() < 1.0 else x

    with pytest.raises(CaptureError, match="a value was read"):
        capture(step, np.ones((2, 1)))


@pytest.mark.rows("use", [iter, list, lambda x: 1.0 in x, lambda x: [*x]])
def test_a_tensor_is_no_sequence(x, use):
    with pytest.raises(TypeError, match="no sequence; take t.0., t.1."):
        use(x)


def test_assignment_to_elements_is_refused(x):
    with pytest.raises(TypeError, match="not changed in place.*assign"):
        x[0] = 1.0


@pytest.mark.rows("change", [
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.imatmul, operator.ipow,
])  # fmt: skip
def test_augmented_assignment_is_refused_with_both_ways_out(x, change):
    before = x.numpy()
    with pytest.raises(TypeError, match=r"assign\(target, value\), or x = x \+ y"):
        change(x, 1.0)
    np.testing.assert_array_equal(x.numpy(), before)


@pytest.mark.rows("make", [variable, constant])
def test_an_array_is_copied_and_a_tensor_shared(backend, make):
    a = backend.array([1.0])
    t = make(a)
    a[...] = 2.0
    assert t.item() == 1.0 and make(t).memory is t.memory


def test_the_array_is_to_read():
    x = variable([1.0, 2.0])
    for change in (lambda: operator.isub(x.array, 1.0), lambda: operator.setitem(x.array, 0, 1.0)):
        with pytest.raises(ValueError, match="read-only"):
            change()
    with pytest.raises(TypeError, match="not changed in place; use assign"):
        x.array = np.ones(2)
    assert x.numpy().tolist() == [1.0, 2.0] and np.shares_memory(x.array, x.memory)


@pytest.mark.rows("make", [variable, constant])
@pytest.mark.rows("dtype", ["int64", "bool", "complex128"])
def test_only_floating_point_arrays_become_tensors(backend, make, dtype):
    with pytest.raises(TypeError, match=f"floating point; received {dtype}"):
        make(backend.array([1, 0], dtype))
    with pytest.raises(TypeError, match=f"floating point; received {dtype}"):
        make([1.0, 0.0], dtype)


@pytest.mark.rows("make", [variable, constant])
@pytest.mark.rows("values", [
    2, 0.1, True, np.float64(0.1), np.int8(3), Fraction(1, 3), [], [1, 2], [True, False], (0.1, 2),
    [[1.0], [2.0]], [np.float64(0.1)], [np.ones(2), np.zeros(2)],
])  # fmt: skip
def test_numbers_and_lists_become_float32(make, values):
    t = make(values)
    assert t.dtype == np.float32 and type(t.array) is np.ndarray
    np.testing.assert_array_equal(t.numpy(), np.array(values, "float32"))
    assert make(values, dtype="float64").dtype == np.float64


def test_a_dtype_copies_an_array_and_is_the_way_for_whole_numbers(backend):
    whole, real = backend.array([1, 2]), backend.array([1.0, 2.0])
    assert variable(whole, "float32").dtype == np.float32
    assert constant(real, "float32").dtype == np.float32 and constant(real, real.dtype).dtype == real.dtype


@pytest.mark.rows("value", ["1", None, {1.0}, ["1"], [None], [1j], [variable(1.0)], [[1.0], [1.0, 2.0]]])
def test_what_is_no_number_is_refused(value):
    for make in (variable, constant):
        with pytest.raises(
            (TypeError, ValueError), match="floating point|not an array|implicitly|have one length"
        ):
            make(value)


NOT_HELD = [
    (1e300, None, r"float32 cannot hold 1e\+300; give dtype='float64', or scale"),
    ([1.0, -1e39], None, "float32 cannot hold -1e"),
    (2**24 + 1, None, "hold 16777217"),
    ([[1, 2**24 + 1]], None, "hold 16777217"),
    (np.int64(2**24 + 1), None, "hold 16777217"),
    (np.array([1e300]), "float32", r"hold 1e\+300"),
    (Tensor(np.array([1e300])), "float32", r"hold 1e\+300"),
    (1e5, "float16", "float16 cannot hold 100000"),
    (10**400, None, "real numbers within float64"),
    ([10**400], None, "real numbers within float64"),
    (Fraction(10**400), None, "more than float64 can hold"),
]
HELD = [(2**24, None), ([0.1], None), ([math.inf, math.nan], None), (np.array([2**24 + 1]), "float32")]


@pytest.mark.parametrize("make", [variable, constant])
def test_numbers_that_the_dtype_cannot_hold_are_refused(make):
    """An infinity made of a number, a whole number of another; a dtype that is asked for may round."""
    for values, dtype in HELD:
        make(values, dtype)
    for values, dtype, words in NOT_HELD:
        with pytest.raises((ValueError, TypeError), match=words):
            make(values, dtype)


def test_numbers_of_a_device_that_the_dtype_cannot_hold_are_refused(backend):
    with pytest.raises(ValueError, match=r"float32 cannot hold 1e\+300"):
        constant(backend.array([1.0, 1e300]), "float32")


def test_constants_have_no_history(x):
    y = x * x
    assert is_tracked(x) and is_tracked(y) and not is_tracked(constant(y)) and constant(y).memory is y.memory
    assert not is_tracked(2.0)
    assert not is_tracked(constant(x) * 2.0)  # nothing made of constants alone keeps a history


def test_inputs_are_older_than_outputs(x):
    y = x * 2.0
    z = y + x
    assert x.call.age < y.call.age < z.call.age
    assert isinstance(z.call, Call) and z.call.primitive is P.add and z.call.inputs == (y, x)


@pytest.mark.rows(("expression", "value"), [
    (lambda x: x + 2, 5.0), (lambda x: 2 + x, 5.0), (lambda x: x - 2, 1.0), (lambda x: 2 - x, -1.0),
    (lambda x: x * 2, 6.0), (lambda x: 2 * x, 6.0), (lambda x: x / 2, 1.5), (lambda x: 6 / x, 2.0),
    (lambda x: -x, -3.0), (lambda x: abs(-x), 3.0),
    (lambda x: x**2, 9.0), (lambda x: x**-1, 1 / 3), (lambda x: x**0.5, 3**0.5), (lambda x: (x * x)[0], 9.0),
])  # fmt: skip
def test_infix_notation(backend, expression, value):
    y = expression(variable(backend.array([3.0])))
    assert y.item() == pytest.approx(value, rel=1e-15)


def test_matmul_infix(backend):
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal((variable(backend.array(a)) @ constant(backend.array(b))).numpy(), a @ b)


SCALARS = [
    2.0,
    2,
    np.float64(2),
    np.float32(2),
    np.float16(2),
    np.int64(2),
    np.uint8(2),
    np.longdouble(2),
    Fraction(2),
]


@pytest.mark.rows("scalar", SCALARS)
@pytest.mark.rows("op", [operator.add, operator.sub, operator.mul, operator.truediv])
@pytest.mark.rows("dtype", ["float32", "float64"])
def test_a_scalar_of_any_type_is_a_literal_and_promotes_nothing(backend, dtype, op, scalar):
    x = variable(backend.array([3.0, 4.0], dtype))
    reference = variable(backend.array([3.0, 4.0], dtype))
    for y, z in ((op(x, scalar), op(reference, 2.0)), (op(scalar, x), op(2.0, reference))):
        assert y.dtype == dtype
        np.testing.assert_array_equal(y.numpy(), z.numpy())
        (g,), (h,) = grad(y, [x]), grad(z, [reference])
        assert g.dtype == dtype
        np.testing.assert_array_equal(g.numpy(), h.numpy())
        assert all(type(i) in (Tensor, float, int) for i in y.call.inputs)


@pytest.mark.rows("scalar", SCALARS)
def test_a_scalar_exponent_or_parameter_promotes_nothing(backend, scalar):
    x = variable(backend.array([3.0, 4.0], "float32"))
    y = x**scalar
    assert y.dtype == np.float32 and grad(y, [x])[0].dtype == np.float32
    z = P.leaky_relu(x, slope=np.float64(0.2))
    assert z.dtype == np.float32 and grad(z, [x])[0].dtype == np.float32


@pytest.mark.rows("op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.matmul])
@pytest.mark.rows("other", [
    np.ones((2, 3)), np.array(1.0), np.array([True, False, True]), [1.0, 2.0, 3.0], True, np.True_, "2", b"2",
    None, 1j, (1.0,),
])  # fmt: skip
def test_other_operands_are_refused_on_both_sides(op, other):
    x = variable(np.ones((2, 3)))
    for a, b in ((x, other), (other, x)):
        with pytest.raises(
            TypeError, match=f"takes Tensors and Python numbers; received {type(other).__name__}.*constant"
        ):
            op(a, b)


def test_a_tensor_exponent_is_refused_with_the_way_out(x):
    with pytest.raises(TypeError, match=r"exp\(n \* log\(x\)\)"):
        x**x
    with pytest.raises(TypeError):
        2.0**x


@pytest.mark.rows("key", [True, None, 0.5, np.array([0, 1]), [0, 1], (0, None), "a", np.array([True, False])])
def test_an_index_is_integers_and_slices(key):
    with pytest.raises(TypeError, match="indexed by integers, slices and"):
        variable(np.ones((2, 3)))[key]


@pytest.mark.rows(
    "key", [0, -1, slice(1, None), (0, 1), (..., 0), (slice(None), -1), ..., (), slice(None, None, -1)]
)
def test_indexing_is_numpys(x, key):
    np.testing.assert_array_equal(x[key].numpy(), x.numpy()[key])


def test_an_index_out_of_range_is_an_index_error(x):
    with pytest.raises(IndexError):
        x[5]


def test_mixed_dtypes_are_refused_naming_both(backend):
    a, b = variable(backend.array([1.0], "float32")), variable(backend.array([1.0], "float64"))
    with pytest.raises(TypeError, match="add received float32 and float64; the engine never casts"):
        a + b
    with pytest.raises(TypeError, match="matmul received float64 and float32"):
        P.matmul(b, a)


def test_mixed_devices_are_refused_naming_both():
    a, b = variable(np.ones(2)), variable(backends.get("strict").array(np.ones(2)))
    with pytest.raises(TypeError, match="multiply received ndarray and DeviceArray; bring both to one"):
        a * b
    with pytest.raises(TypeError, match="DeviceArray and ndarray"):
        b * a


@pytest.mark.rows(("use", "words"), [
    (lambda a, b: a + b, r"add cannot take \(2, 3\), \(4,\)"),
    (lambda a, b: P.maximum(b, a), r"maximum cannot take \(4,\), \(2, 3\)"),
    (lambda a, b: a @ a, r"matmul cannot take \(2, 3\), \(2, 3\)"),
    (lambda a, b: a @ b, r"matmul cannot take \(2, 3\), \(4,\): a product of matrices needs"),
    (lambda a, b: a @ 2.0, r"matmul cannot take \(2, 3\), 2.0: a product of matrices needs"),
    (lambda a, b: P.reshape(a, shape=(4, 2)), r"reshape cannot take \(2, 3\)"),
    (lambda a, b: P.broadcast_to(a, shape=(4, 3)), r"broadcast_to cannot take \(2, 3\)"),
    (lambda a, b: P.sum_over(a, axis=(5,)), r"sum cannot take \(2, 3\)"),
    (lambda a, b: P.mT(b), r"mT cannot take \(4,\)"),
    (lambda a, b: P.leaky_relu(a, slope=2.0), r"leaky_relu cannot take \(2, 3\): the slope lies in .* 2.0"),
    (lambda a, b: P.mean(a[:0]), r"mean of no numbers was asked for: shape \(0, 3\)"),
    (lambda a, b: P.mean(a, axis=(0, 2)), r"sum cannot take \(2, 3\): .*axis 2"),
])  # fmt: skip
def test_error_messages_name_the_operation_and_the_shapes(backend, use, words):
    a, b = variable(backend.array(np.ones((2, 3)))), variable(backend.array(np.ones(4)))
    with pytest.raises(ValueError, match=words):
        use(a, b)


def test_a_call_without_a_tensor_is_refused():
    with pytest.raises(TypeError, match="add needs at least one Tensor; received 1.0, 2"):
        P.add(1.0, 2)


def test_full_reductions_and_elements_stay_arrays_of_the_backend(backend):
    x = variable(backend.array([[1.0, 2.0]]))
    for y in (
        P.sum_over(x, axis=(0, 1)),
        x[0, 1],
        P.reshape(x[0, :1], shape=()),
        P.reshape(x[0, :1], shape=()) * 2.0,
    ):
        assert type(y.array) is backend.array_type


def test_a_primitive_of_ones_own(backend):
    """The example of the README in small: a kernel, a rule, and the engine does the rest."""
    cube = Primitive(
        "cube", lambda xp, x, out=None: xp.power(x, 3.0, out=out), lambda g, y, x: g * (3.0 * P.square(x))
    )
    x = variable(backend.array([2.0]))
    (g,) = grad(cube(x), [x], create_graph=True)
    (h,) = grad(g, [x])
    assert (cube(x).item(), g.item(), h.item()) == (8.0, 12.0, 12.0)
    assert repr(cube) == "cube"


# ── memory
STEPS = """
import resource, sys
import numpy as np
sys.path.insert(0, {root!r})
from minigan.engine.tensor import constant, variable
def step():
    values = [variable(np.ones((512, 128), "float32"))]
    for _ in range(40):
        values.append(values[-1] * 2.0)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    step()
before = faults()
for _ in range(10):
    step()
print((faults() - before) / 10)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_the_memory_of_a_step_is_there_for_the_next():
    """A step of 40 arrays of 64 pages each takes its 2600 pages from the system once, not every time."""
    code = STEPS.format(root=str(Path(minigan.__file__).parents[1]))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert float(run.stdout) < 650
