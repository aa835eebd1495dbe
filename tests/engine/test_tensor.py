"""Tensors: what they show, what they refuse, and that Python numbers and NumPy scalars stay literals."""

import operator
import platform
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import minigan
from minigan import backend as backends
from minigan.engine import primitives as P
from minigan.engine.autodiff import grad
from minigan.engine.tensor import Call, Primitive, Tensor, constant, is_tracked, variable


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


@pytest.mark.parametrize("read", [lambda x: x.item(), float, bool], ids=["item", "float", "bool"])
def test_reading_many_elements_as_one_is_refused_with_the_shape(x, read):
    with pytest.raises(ValueError, match=r"one element; this one has shape \(2, 3\)"):
        read(x)


@pytest.mark.parametrize("use", [np.asarray, np.array, np.sin, np.sum, lambda x: np.add(x, 1.0)])
def test_numpy_cannot_take_a_tensor_by_accident(x, use):
    with pytest.raises(TypeError):
        use(x)


@pytest.mark.parametrize("use", [iter, list, len, lambda x: 1.0 in x, lambda x: [*x]])
def test_a_tensor_is_no_sequence(x, use):
    with pytest.raises(TypeError):
        use(x)


def test_assignment_to_elements_is_refused(x):
    with pytest.raises(TypeError, match="not changed in place.*assign"):
        x[0] = 1.0


def test_augmented_assignment_makes_a_new_tensor(x):
    y = x
    y += 1.0
    assert y is not x and x.numpy()[0, 0] == 1.0 and y.numpy()[0, 0] == 2.0


@pytest.mark.parametrize("make", [variable, constant])
def test_the_memory_is_shared_not_copied(backend, make):
    a = backend.array([1.0])
    assert make(a).array is a


@pytest.mark.parametrize("make", [variable, constant])
@pytest.mark.parametrize("dtype", ["int64", "bool", "complex128"])
def test_only_floating_point_arrays_become_tensors(backend, make, dtype):
    with pytest.raises(TypeError, match=f"floating point; received {dtype}"):
        make(backend.array([1, 0], dtype))


@pytest.mark.parametrize("value", [[1.0], "1", None, {1.0}])
def test_lists_and_the_like_are_refused(value):
    for make in (variable, constant):
        with pytest.raises(TypeError, match="not an array of a loaded backend"):
            make(value)


def test_constants_have_no_history_and_numbers_pass(x):
    y = x * x
    assert is_tracked(x) and is_tracked(y) and not is_tracked(constant(y)) and constant(y).array is y.array
    assert constant(2.0) == 2.0 and constant(2) == 2
    assert not is_tracked(2.0)
    assert not is_tracked(constant(x) * 2.0)  # nothing made of constants alone keeps a history


def test_inputs_are_older_than_outputs(x):
    y = x * 2.0
    z = y + x
    assert x.call.age < y.call.age < z.call.age
    assert isinstance(z.call, Call) and z.call.primitive is P.add and z.call.inputs == (y, x)


@pytest.mark.parametrize(("expression", "value"), [
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


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
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


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda s: type(s).__name__)
def test_a_scalar_exponent_or_parameter_promotes_nothing(backend, scalar):
    x = variable(backend.array([3.0, 4.0], "float32"))
    y = x**scalar
    assert y.dtype == np.float32 and grad(y, [x])[0].dtype == np.float32
    z = P.leaky_relu(x, slope=np.float64(0.2))
    assert z.dtype == np.float32 and grad(z, [x])[0].dtype == np.float32


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.matmul])
@pytest.mark.parametrize("other", [
    np.ones((2, 3)), np.array(1.0), np.array([True, False, True]), [1.0, 2.0, 3.0], True, np.True_, "2", b"2",
    None, 1j, (1.0,),
], ids=str)  # fmt: skip
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


@pytest.mark.parametrize(
    "key", [True, None, 0.5, np.array([0, 1]), [0, 1], (0, None), "a", np.array([True, False])], ids=str
)
def test_an_index_is_integers_and_slices(key):
    with pytest.raises(TypeError, match="indexed by integers, slices and"):
        variable(np.ones((2, 3)))[key]


@pytest.mark.parametrize(
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
    with pytest.raises(TypeError, match="multiply received arrays of two devices, ndarray and DeviceArray"):
        a * b
    with pytest.raises(TypeError, match="DeviceArray and ndarray"):
        b * a


@pytest.mark.parametrize(("use", "words"), [
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
    (lambda a, b: P.mean(a, axis=(0, 2)), r"mean over axes \(0, 2\) was asked of shape \(2, 3\); give axes"),
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
