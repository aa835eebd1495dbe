"""The strict device has CuPy's surface, refuses what a GPU refuses, and computes what NumPy computes."""

import gc
import importlib.util
import inspect
import json
import operator
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from minigan import backend as backends
from minigan.testing.strict.api import API
from minigan.testing.strict.array import DeviceArray, Flags
from minigan.testing.strict.backend import StrictBackend
from minigan.testing.strict.device import Counters
from minigan.testing.strict.functions import Ufunc
from minigan.testing.strict.memory import MemoryPointer, MemoryPool, OutOfMemoryError
from minigan.testing.strict.namespace import StrictNamespace
from minigan.testing.strict.raw_kernels import RawKernel, RawModule
from minigan.testing.strict.streams import CapturedGraph, Event, Stream

spec = importlib.util.spec_from_file_location("make_cupy_api", Path(__file__).with_name("make_cupy_api.py"))
make_cupy_api = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_cupy_api)
strict = backends.get("strict")
xp, cp = strict.xp, strict.cp


@pytest.fixture
def a():
    return strict.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def host(x):
    return strict.to_host(x)


# ── the surface
def test_the_api_is_that_of_the_installed_cupy():
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed, so its names cannot be read off it")
    found = make_cupy_api.api()
    assert json.loads(make_cupy_api.written(found)) == API


def test_the_file_is_as_the_script_writes_it():
    assert make_cupy_api.PATH.read_text(encoding="utf-8") == make_cupy_api.written(API)


@pytest.mark.rows(("doc", "parameters"), [
    ("_ndarray_base.swapaxes(self, Py_ssize_t axis1, Py_ssize_t axis2) -> _ndarray_base",
     [["axis1", 1, False], ["axis2", 1, False]]),
    ("f(self, *shape, order='C')\n\nMore.", [["shape", 2, False], ["order", 3, True]]),
    ("f(code=None, *, str path=None)", [["code", 1, True], ["path", 3, True]]),
    ("Shape-reversed view.", None), ("", None),
])  # fmt: skip
def test_signatures_are_read_off_docstrings(doc, parameters):
    found = make_cupy_api._from_docstring(doc)
    received = None if found is None else [
        [p.name, int(p.kind), p.default is not p.empty] for p in found.parameters.values() if p.name != "self"
    ]  # fmt: skip
    assert received == parameters


def test_every_public_name_of_the_strict_device_is_cupys():
    names = {
        DeviceArray: API["ndarray"],
        Flags: API["classes"]["Flags"],
        MemoryPointer: API["classes"]["MemoryPointer"],
        Ufunc: API["classes"]["ufunc"],
        RawModule: API["classes"]["RawModule"],
        RawKernel: API["classes"]["RawKernel"],
        Stream: API["classes"]["Stream"],
        Event: API["classes"]["Event"],
        CapturedGraph: API["classes"]["Graph"],
        MemoryPool: API["classes"]["MemoryPool"],
        StrictNamespace: API["cupy"],
    }
    for kind, known in names.items():
        assert {name for name in vars(kind) if not name.startswith("_")} <= set(known), kind
    for path, known in (("cuda", "cuda"), ("cuda.runtime", "cuda.runtime"), ("random", "random")):
        assert set(vars(operator.attrgetter(path)(cp))) <= set(API["modules"][known]), path
    own = {name for name in vars(DeviceArray) if name.startswith("__") and name not in dir(object)}
    pythons = {"__slots__", "__module__", "__weakref__", "__firstlineno__", "__static_attributes__"}
    allowed = pythons | {"__getattr__", "__index__"}  # the last is a refusal
    assert own <= set(API["operators"]) | allowed


def test_methods_take_what_cupys_take():
    for kind, section in ((DeviceArray, "ndarray"), (StrictNamespace, "cupy")):
        for name, method in vars(kind).items():
            known = API[section].get(name)
            known = known.get("parameters") if isinstance(known, dict) else known
            if inspect.isfunction(method) and not name.startswith("_") and known is not None:
                ours = [p for p in inspect.signature(method).parameters.values() if p.name != "self"]
                theirs = {n: (k, d) for n, k, d in known}
                for p in ours:
                    assert p.name in theirs, f"{name}({p.name})"
                    kind_, optional = theirs[p.name]
                    assert (p.default is not p.empty) == optional, f"{name}({p.name})"
                    assert int(p.kind) == kind_, f"{name}({p.name})"


@pytest.mark.rows("name", [
    "errstate", "seterr", "vecdot", "matvec", "einsum_path", "geomspace", "insert", "block", "nditer",
    "spacing",
    "nanquantile", "no_such_name",
])  # fmt: skip
def test_names_that_cupy_has_not_are_refused(name):
    with pytest.raises(AttributeError, match=f"has no attribute '{name}', as CuPy"):
        getattr(cp, name)


@pytest.mark.rows(
    "name", ["setflags", "ctypes", "resize", "to_device", "__array_namespace__", "newbyteorder"]
)
def test_attributes_that_cupys_arrays_have_not_are_refused(a, name):
    with pytest.raises(AttributeError):
        getattr(a, name)


@pytest.mark.rows("name", ["normal", "permutation", "shuffle", "choice", "spawn"])
def test_names_that_cupys_generator_has_not_are_refused(name):
    rng = cp.random.default_rng(0)
    assert rng.standard_normal(3).shape == (3,)
    with pytest.raises(AttributeError, match=name):
        getattr(rng, name)


@pytest.mark.rows("call", [
    lambda a: cp.sum(a, where=a > 1), lambda a: cp.max(a, initial=0.0), lambda a: a.min(initial=0.0),
    lambda a: cp.std(a, correction=1), lambda a: cp.take(a, a, 0, None, "clip"),
    lambda a: cp.add(a, a, where=True),
    lambda a: cp.count_nonzero(a, keepdims=True), lambda a: cp.add(a, a, order="F"),
    lambda a: cp.clip(a, a_lo=0.0), lambda a: cp.add(a), lambda a: cp.exp(a, a, a), lambda a: cp.zeros(),
    lambda a: cp.stack([a], dim=0), lambda a: a.sum(axes=0), lambda a: cp.add(a, a, dtype="f4", subok=True),
])  # fmt: skip
def test_calls_that_cupys_signatures_do_not_take_are_refused(a, call):
    with pytest.raises(TypeError):
        call(a)


def test_ufuncs_reduce_as_cupys_do(a):
    assert host(cp.multiply.reduce(a, axis=1)).tolist() == [6.0, 120.0]
    with pytest.raises(NotImplementedError, match="cupy_maximum.reduce"):
        cp.maximum.reduce(a)


def test_what_the_strict_device_leaves_out_says_so():
    with pytest.raises(AttributeError, match="not part of the strict device"):
        _ = cp.ElementwiseKernel


# ── host and device
@pytest.mark.rows("read", [bool, float, int, complex, operator.index, range])
def test_no_value_is_read_implicitly(read):
    with pytest.raises(TypeError, match="read by the host implicitly; bring it over with backend.to_host"):
        read(strict.array(1.0))


@pytest.mark.rows("use", [
    np.asarray, np.array, lambda a: np.add(a, 1.0), lambda a: np.sum(a), lambda a: np.concatenate([a, a]),
    lambda a: np.ones(3) * a, lambda a: a + np.ones(3), lambda a: np.copyto(np.zeros((2, 3)), a),
    lambda a: a >= np.ones(3), lambda a: xp.add(a, np.ones(3)), lambda a: xp.copyto(a, np.zeros((2, 3))),
    lambda a: xp.asarray(np.ones(3)), lambda a: xp.matmul(a, np.ones((3, 1))), lambda a: xp.maximum(a, [1.0]),
    lambda a: cp.concatenate([a, np.ones((1, 3))]), lambda a: operator.iadd(a, np.ones(3)),
    lambda a: a[np.array([0])], lambda a: a[[0]], lambda a: a.__setitem__(0, [1.0, 2.0, 3.0]),
    lambda a: xp.exp(a, out=np.ones((2, 3))), lambda a: cp.where(a > 1, a, np.ones(3)),
    lambda a: np.zeros((2, 3)).__setitem__(..., a), lambda a: cp.sum(np.ones(3)),
    lambda a: cp.copyto(np.ones((2, 3)), a),
])  # fmt: skip
def test_no_array_crosses_implicitly(a, use):
    with pytest.raises(TypeError):
        use(a)


def test_filling_with_a_host_array_is_refused_as_cupy_does(a):
    with pytest.raises(ValueError, match="non-scalar numpy.ndarray cannot be used for fill"):
        a[0] = np.ones(3)
    a[0] = np.array(2.0)  # one value is passed to a kernel
    assert host(a)[0].tolist() == [2.0, 2.0, 2.0]


def test_the_explicit_ways_in_and_out_are_open_and_counted(a):
    counters = strict.counters
    counters.reset()
    assert (a[0, 0].item(), a.tolist()[1], float(a.get()[0, 0])) == (1.0, [4.0, 5.0, 6.0], 1.0)
    assert len(a.tobytes()) == 48 and host(cp.asarray(np.ones(2))).tolist() == [1.0, 1.0]
    assert (counters.to_host, counters.syncs, counters.to_device, counters.launches) == (5, 5, 1, 0)
    xp.add(a, a)
    xp.add(a, a, out=a)
    a[...] = 0.0
    strict.synchronize()
    assert (counters.launches, counters.syncs) == (3, 6)
    counters.reset()
    a.reshape(3, 2), a[1:], xp.swapaxes(a, 0, 1), xp.broadcast_to(a, (2, 2, 3)), a.T
    assert counters == Counters()  # views cost nothing


def test_numpy_scalars_and_python_numbers_are_values_not_arrays(a):
    np.testing.assert_array_equal(host(a * 2.0 + np.float64(1.0)), [[3, 5, 7], [9, 11, 13]])
    np.testing.assert_array_equal(host(10.0 - a), [[9, 8, 7], [6, 5, 4]])
    np.testing.assert_array_equal(host(12.0 / a), [[12, 6, 4], [3, 2.4, 2]])


def test_numpy_scalars_promote_and_python_numbers_do_not():
    x = strict.array([1.0], "float32")
    assert (x * np.float64(0.1)).dtype == np.float64 and (x * 0.1).dtype == np.float32


# ── what is computed
@pytest.mark.rows("name", [
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "ge", "le", "gt", "lt", "eq", "ne",
])  # fmt: skip
def test_operators_are_numpys(a, name):
    b, f = strict.array([[2.0], [5.0]]), getattr(operator, name)
    np.testing.assert_array_equal(host(f(a, b)), f(host(a), host(b)))
    np.testing.assert_array_equal(host(f(a, 2.0)), f(host(a), 2.0))
    np.testing.assert_array_equal(host(f(2.0, a)), f(2.0, host(a)))


def test_unary_operators(a):
    np.testing.assert_array_equal(host(-a), -host(a))
    np.testing.assert_array_equal(host(abs(-a)), host(a))
    np.testing.assert_array_equal(host(~(a > 2)), ~(host(a) > 2))


def test_a_change_of_type_copies_unless_it_need_not(a):
    assert a.astype("float64", copy=False) is a and a.astype("float32", copy=False).dtype == np.float32
    copy = a.astype("float64")
    a[...] = 0.0
    assert host(copy).max() == 6.0


def test_in_place_operators_write_into_the_same_memory(a):
    same = a
    a += 1.0
    a *= strict.array(2.0)
    assert a is same
    np.testing.assert_array_equal(host(a), [[4, 6, 8], [10, 12, 14]])


@pytest.mark.rows("f", [
    lambda p, a: p.sum(a), lambda p, a: p.sum(a, 0), lambda p, a: a.mean(axis=1), lambda p, a: a.max(),
    lambda p, a: p.concatenate([a, a], axis=1), lambda p, a: p.where(a > 2, a, 0.0), lambda p, a: p.sort(-a),
    lambda p, a: p.isfinite(a).all(), lambda p, a: p.count_nonzero(a > 2), lambda p, a: p.cumsum(a, axis=1),
    lambda p, a: p.clip(a, 2.0, 5.0), lambda p, a: p.einsum("ij,kj->ik", a, a), lambda p, a: p.matmul(a, a.T),
    lambda p, a: a @ a.T, lambda p, a: p.dot(a, a.T), lambda p, a: p.var(a, axis=0, ddof=1),
    lambda p, a: a.any(axis=0),
    lambda p, a: p.stack([a, a]), lambda p, a: p.diff(a), lambda p, a: a.argmax(axis=1),
    lambda p, a: a.astype("f4"),
    lambda p, a: p.array_equal(a, a), lambda p, a: p.eye(3), lambda p, a: p.arange(2, 8, 2),
    lambda p, a: p.linspace(0, 1, 3),
    lambda p, a: p.take(a, p.array([1, 0]), axis=1), lambda p, a: a[p.array([1])], lambda p, a: a[a > 2],
    lambda p, a: p.squeeze(a[None]), lambda p, a: a.ravel(), lambda p, a: p.expand_dims(a, 0),
    lambda p, a: a.copy(),
    lambda p, a: p.full_like(a, 3.0), lambda p, a: p.repeat(a, 2), lambda p, a: p.sum(a, 0, None, p.empty(3)),
])  # fmt: skip
def test_functions_are_numpys(a, f):
    received, expected = f(cp, a), f(np, host(a))
    assert type(received) is strict.array_type and received.shape == np.shape(expected)
    np.testing.assert_array_equal(host(received), expected)


def test_several_results(a):
    for ours, its in zip(cp.modf(a / 2), np.modf(host(a) / 2), strict=True):
        np.testing.assert_array_equal(host(ours), its)
    parts = cp.split(a, 3, axis=1)
    assert [part.base is a for part in parts] == [True] * 3


def test_sorting_writes_in_place(a):
    b = -a
    assert b.sort(axis=1) is None
    np.testing.assert_array_equal(host(b), np.sort(-host(a), axis=1))


def test_no_floating_point_warning_ever(a):
    assert np.isnan(host(xp.log(-a))).all() and np.isinf(host(a / 0.0)).all()
    assert np.isinf(host(xp.exp(a * 1e9))).all()


# ── views
def test_views_share_memory_and_remember_their_owner(a):
    first = a.data.ptr
    for view in (
        a[1:],
        a[0],
        a[1, 2],
        a.reshape(3, 2),
        a.reshape((6,)),
        xp.swapaxes(a, 0, 1),
        a.swapaxes(0, 1),
        xp.broadcast_to(a, (4, 2, 3)),
        a[1:][:, 1:],
        next(iter(a)),
        a.T,
    ):
        assert view.base is a
        assert first <= view.data.ptr < first + a.nbytes
    assert a.base is None
    a[0] = 9.0
    np.testing.assert_array_equal(host(a.reshape(6)[:3]), [9.0, 9.0, 9.0])


def test_one_element_is_a_view_that_changes_later(a):
    """NumPy gives a number that stays; a history of losses kept this way would change after the fact."""
    first, last = a[0, 0], list(a)[1][2]
    a += 10.0
    assert (first.item(), last.item(), first.ndim) == (11.0, 16.0, 0)
    total = a.sum()
    best = total
    total -= total
    assert best.item() == 0.0


def test_what_has_to_copy_owns_its_memory(a):
    copy = xp.swapaxes(a, 0, 1).reshape(6)
    assert copy.base is None and abs(copy.data.ptr - a.data.ptr) >= a.nbytes


def test_out_writes_into_the_given_array_and_returns_it(a):
    out = xp.empty((2, 3), "float64")
    assert xp.exp(a, out=out) is out and cp.exp(a, out) is out and cp.sum(a, 0, out=out[0]) is not None
    np.testing.assert_array_equal(host(out)[1], np.exp(host(a))[1])
    np.testing.assert_array_equal(host(out)[0], host(a).sum(0))


def test_a_ufunc_reduces_on_the_device(a):
    out = xp.empty((1, 3), "float64")
    assert xp.add.reduce(a, axis=(0,), keepdims=True, out=out) is out
    for total in (out, xp.add.reduce(a, axis=(0,), keepdims=True)):
        np.testing.assert_array_equal(host(total), [[5.0, 7.0, 9.0]])
    with pytest.raises(TypeError, match="from host to device"):
        xp.add.reduce(np.ones(2), axis=(0,))


def test_fresh_memory_is_poisoned_so_that_reading_it_shows(a):
    assert np.isnan(host(xp.empty((2,), "float32"))).all()
    assert np.isnan(host(xp.empty_like(a))).all()
    assert (host(xp.empty((2,), "int32")) == -1).all()


def test_makers(a):
    assert host(xp.zeros((2,), "float32")).dtype == np.float32
    np.testing.assert_array_equal(host(xp.full((2,), 3.0, "float64")), [3.0, 3.0])
    assert xp.asarray(a) is a
    copy = xp.array(a)
    copy[...] = 0.0
    assert host(a).min() == 1.0
    assert host(xp.array([1, 2], "float32")).dtype == np.float32
    assert (
        xp.pi == np.pi and xp.float32 is np.float32 and xp.newaxis is None
    )  # constants and types pass through


def test_properties(a):
    assert (a.shape, a.ndim, a.size, a.nbytes, a.dtype, a.itemsize) == ((2, 3), 2, 6, 48, np.float64, 8)
    assert (a.strides, a.flags.forc, a.T.flags.f_contiguous, a[:, 1:].flags.c_contiguous) == (
        (24, 8),
        True,
        True,
        False,
    )
    assert repr(a) == f"{a}" == "<device array float64[2, 3]>"  # no values: printing must not copy
    assert "refuses" in strict.describe()
    with pytest.raises(AttributeError):
        _ = a.flags.writeable
    with pytest.raises(TypeError, match="unhashable"):
        hash(a)


def test_subnormal_float32_results_become_zero_on_request():
    flushing = StrictBackend(flush=True)
    tiny = np.finfo(np.float32).tiny
    for backend, expected in ((flushing, 0.0), (strict, tiny / 2)):
        x = backend.array([tiny, -tiny], "float32")
        out = backend.xp.empty_like(x)
        for halved in (x * 0.5, backend.xp.multiply(x, 0.5, out=out)):
            np.testing.assert_array_equal(backend.to_host(halved), [expected, -expected])
            assert np.signbit(backend.to_host(halved)).tolist() == [False, True]
    assert backends.get("strict") is strict
    wide = flushing.array([5e-324]) * 1.0
    assert flushing.to_host(wide)[0] == 5e-324


# ── capture
@pytest.fixture
def stream():
    """A stream of the strict device to which all work goes, and that is not left capturing."""
    strict.synchronize()
    with strict.capturing() as stream:
        yield stream
        if stream._queue.capture is not None:
            with suppress(RuntimeError):
                stream.end_capture()
        stream.synchronize()


def captured(stream, call, pool=None):
    with cp.cuda.using_allocator((pool or cp.cuda.MemoryPool()).malloc):
        stream.begin_capture()
        kept = call()
        return stream.end_capture(), kept


def test_nothing_runs_before_the_launch(a, stream):
    out, before = xp.zeros((2, 3), "float64"), host(a)

    def call():
        nonlocal a
        a += 1.0
        a[0] = 0.0
        xp.exp(a, out=out)
        cp.copyto(a[1:], a[:1])
        return a.sum()

    graph, total = captured(stream, call)
    np.testing.assert_array_equal(host(a), before)
    assert host(out).max() == 0.0 and np.isnan(host(total))
    a[...] = strict.array(before)
    graph.upload()
    graph.launch()
    expected = before + 1.0
    expected[0] = 0.0
    np.testing.assert_array_equal(host(out), np.exp(expected))
    np.testing.assert_array_equal(host(a), np.zeros((2, 3)))
    assert host(total) == 0.0


def test_a_launch_repeats_and_values_of_the_host_are_frozen(a, stream):
    rate = 2.0
    graph, _ = captured(stream, lambda: operator.imul(a, rate))
    rate = 100.0
    strict.counters.reset()
    for _ in range(3):
        graph.launch()
    assert host(a)[0, 0] == 8.0
    assert (strict.counters.graphs, strict.counters.nodes, strict.counters.launches) == (3, 3, 0)


@pytest.mark.parametrize(("error", "call"), [
    *((NotImplementedError, f) for f in (
        lambda a: a @ a.T, lambda a: cp.matmul(a, a.T), lambda a: cp.dot(a, a.T),
        lambda a: cp.tensordot(a, a),
        lambda a: cp.einsum("ij,ij->i", a, a), lambda a: a.dot(a.T), lambda a: cp.inner(a, a),
    )),
    *((RuntimeError, f) for f in (
        host, lambda a: a.get(), lambda a: a[0, 0].item(), lambda a: a.tolist(), lambda a: a.fill(a[0, 0]),
        lambda a: cp.asarray(np.ones(2)),
        lambda a: cp.array([1.0, 2.0]), lambda a: strict.array(np.ones(2)), lambda a: cp.nonzero(a),
        lambda a: cp.where(a), lambda a: a[a > 1.0], lambda a: cp.unique(a), lambda a: a.nonzero(),
        lambda a: a.set(np.ones((2, 3))), lambda a: cp.cuda.Event().synchronize(),
    )),
    *((TypeError, f) for f in (lambda a: float(a.sum()), lambda a: bool(a.sum() > 0),
    lambda a: a + np.ones(3))),
])  # fmt: skip
def test_what_a_capture_refuses(a, stream, error, call):
    stream.begin_capture()
    with pytest.raises(error) as raised:
        call(a)
    if error is not TypeError:
        assert "captur" in str(raised.value)
    assert stream.is_capturing()  # CuPy's own guards leave it so
    stream.end_capture()
    if error is not TypeError:
        call(a)  # elsewhere it may


def test_waiting_for_a_capturing_stream_spoils_the_capture(a, stream):
    stream.begin_capture()
    with pytest.raises(RuntimeError, match="StreamCaptureUnsupported") as raised:
        stream.synchronize()
    assert raised.value.status == 900
    with pytest.raises(RuntimeError, match="StreamCaptureInvalidated"):
        stream.end_capture()
    assert not stream.is_capturing()


def test_the_null_stream_captures_nothing():
    with pytest.raises(RuntimeError, match="cannot capture on the default"):
        cp.cuda.Stream.null.begin_capture()
    with pytest.raises(RuntimeError, match="not capturing"):
        cp.cuda.Stream(non_blocking=True).end_capture()


def test_scalars_and_fills_may_be_captured(stream):
    graph, (x, y, z) = captured(stream, lambda: (cp.full((2,), 3.0), cp.array(2.0), cp.zeros((2,))))
    graph.launch()
    assert host(x).tolist() == [3.0, 3.0] and host(y) == 2.0 and host(z).tolist() == [0.0, 0.0]


def test_what_cannot_run_is_refused_when_it_is_captured_not_when_it_runs(a, stream):
    stream.begin_capture()
    with pytest.raises(ValueError, match="broadcast"):
        xp.add(a, strict.cp.zeros((5,)), out=a)
    with pytest.raises(ValueError, match="broadcast"):
        a[0] = cp.zeros((5,))


def test_a_graph_that_leans_on_a_freed_value_meets_nan(stream):
    """The array was computed before the capture and is dropped after it: on a GPU others write there."""
    out, dropped = xp.zeros((3,), "float64"), [xp.full((3,), 2.0, "float64")]
    graph, _ = captured(stream, lambda: xp.multiply(dropped[0], 1.0, out=out))
    graph.launch()
    assert host(out).tolist() == [2.0] * 3
    dropped.clear()
    graph.launch()
    assert np.isnan(host(out)).all()


def test_freed_memory_is_nan_to_a_reader_of_another_type(stream):
    """The block was one of float32 first; a float32 NaN, twice, is a number in float64."""
    out, first = xp.zeros((3,), "float64"), [xp.full((6,), 2.0, "float32")]
    known, _ = captured(stream, lambda: xp.multiply(first[0], 1.0, out=first[0]))
    first.clear()
    second = [xp.full((3,), 2.0, "float64")]
    graph, _ = captured(stream, lambda: xp.multiply(second[0], 1.0, out=out))
    graph.launch()
    assert host(out).tolist() == [2.0] * 3
    second.clear()
    graph.launch()
    assert np.isnan(host(out)).all() and known is not None


@pytest.mark.rows("dtype", ["float16", "float32", "float64", "complex64", "bool", "int8", "uint64"])
def test_new_memory_has_no_byte_of_a_plausible_value(dtype):
    made = cp.empty((2, 3), dtype)
    assert bytes(host(made).view(np.uint8)) == b"\xff" * made.nbytes


def test_a_graph_that_reads_a_temporary_before_writing_it_meets_nan(stream):
    """It would find what the launch before left there."""
    total, one = xp.zeros((3,), "float64"), xp.full((3,), 1.0, "float64")

    def call():
        scratch = cp.empty((3,))
        cp.add(one, scratch, out=total)  # a bug: never written in this launch
        cp.multiply(one, 2.0, out=scratch)

    graph, _ = captured(stream, call)
    for _ in range(3):
        graph.launch()
        assert np.isnan(host(total)).all()


@pytest.mark.parametrize("private", [True, False])
def test_temporaries_of_a_graph_spoil_arrays_of_others_unless_their_pool_is_private(a, private):
    """Memory freed during a capture is given to the next array of its size, where every launch writes."""
    mine = StrictBackend()
    cp = mine.cp
    x, out = mine.array(np.ones((4, 4))), mine.array(np.zeros((4, 4)))
    pool = cp.cuda.MemoryPool() if private else cp.get_default_memory_pool()
    mine.synchronize()
    with mine.capturing() as stream:
        with cp.cuda.using_allocator(pool.malloc):
            stream.begin_capture()
            cp.add(x * 2.0, 1.0, out=out)
            graph = stream.end_capture()
        other = cp.full((4, 4), 7.0)
        graph.launch()
        assert (mine.to_host(out) == 3.0).all()
        assert (mine.to_host(other) == 7.0).all() == private


def test_a_dropped_graph_forgets_its_memory(a, stream):
    gc.collect()  # what others captured and dropped
    known = dict(cp._device.known)
    graph, _ = captured(stream, lambda: a * 2.0)
    assert len(cp._device.known) > len(known)
    del graph, _
    gc.collect()
    assert cp._device.known == known


def test_a_limit_is_a_memory_error_with_sizes():
    mine = StrictBackend()
    mine.cp.get_default_memory_pool().set_limit(1024)
    with pytest.raises(OutOfMemoryError, match=r"allocating 2,560 bytes \(allocated so far: 0 bytes, limit"):
        mine.cp.zeros((300,))
    pool, x = mine.cp.get_default_memory_pool(), mine.cp.zeros((100,))
    assert (pool.used_bytes(), x.nbytes, pool.get_limit()) == (1024, 800, 1024)
    del x
    assert pool.used_bytes() == 0


def test_streams_are_current_per_thread(stream):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(cp.cuda.get_current_stream()))
    thread.start()
    thread.join(30)
    assert seen == [cp.cuda.Stream.null] and cp.cuda.get_current_stream() is stream


# ── kernels
SOURCE = """
extern "C" __global__ void scale(float* y, const float* x, float factor, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = factor * x[i];
}
"""


def test_a_raw_kernel_is_compiled_launched_captured_and_counted(stream):
    kernel = cp.RawModule(code=SOURCE).get_function("scale")
    x, y = strict.array(np.arange(5), "float32"), xp.zeros((5,), "float32")
    arguments = y, x, np.float32(3.0), np.int32(5)
    graph, _ = captured(stream, lambda: kernel((2,), (4,), arguments))
    assert host(y).max() == 0.0
    graph.launch()
    assert host(y).tolist() == [0.0, 3.0, 6.0, 9.0, 12.0]
    x += 1.0
    graph.launch()
    assert host(y)[0] == 3.0
    strict.counters.reset()
    kernel((2,), (4,), arguments)
    assert strict.counters.launches == 1
    with pytest.raises(TypeError, match="tuples"):
        kernel(2, (4,), arguments)
    with pytest.raises(backends.BackendError, match="float32; received float64"):
        kernel((2,), (4,), (y, x, 3.0, np.int32(5)))  # a Python float is a double


def test_a_pool_gives_a_block_to_one_thread_alone():
    """A thread that looks while another chooses waits for it; CuPy's pools have a lock as well."""
    pool, others = StrictNamespace().cuda.MemoryPool(), []

    class Block:
        @property
        def nbytes(self):
            if not thread.ident:
                thread.start()
                thread.join(0.02)
            return 512

    thread = threading.Thread(target=lambda: others.append(pool._free_block("queue", 512)))
    block = Block()
    pool._free["queue"] = [block]
    assert pool._free_block("queue", 512) is block
    thread.join(60)
    assert others == [None]
