"""Products on a GPU: what cuBLAS is told, through C, by a library that NumPy computes; refusals, threads."""

import ctypes
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from minigan.backend import BackendError, cublas
from minigan.backend.cublas import Gemm
from minigan.testing.cuda_on_cpu import HostCublas

STREAM = SimpleNamespace(ptr=77)


class DeviceArray(np.ndarray):
    """NumPy's array with the pointer where CuPy has it."""

    data = property(lambda self: SimpleNamespace(ptr=self.ctypes.data))


class Library:
    """What Gemm needs of CuPy. Made of NumPy, and counting."""

    def __init__(self, capability="90"):
        self.cuda = SimpleNamespace(Device=lambda: SimpleNamespace(compute_capability=capability))
        self.copies, self.made, self.add = 0, [], np.add

    def empty(self, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = np.empty(size + 256, "uint8")
        start = -memory.ctypes.data % 256  # as cudaMalloc
        array = memory[start : start + size].view(dtype).reshape(shape).view(DeviceArray)
        array.fill(np.nan if np.dtype(dtype).kind == "f" else 0)
        self.made.append(array)
        return array

    def ascontiguousarray(self, x):
        self.copies += 1
        return np.array(x, order="C").view(DeviceArray)


@pytest.fixture
def cp():
    return Library()


@pytest.fixture
def fake():
    return HostCublas()


@pytest.fixture
def gemm(cp, fake):
    return Gemm(cp, lambda: STREAM, fake)


def products(fake):
    return [(name, arguments) for name, arguments in fake.calls if "Gemm" in name]


def numbers(rng, shape, dtype="float32"):
    return rng.standard_normal(shape).astype(dtype).view(DeviceArray)


def laid_out(rng, shape, dtype, *, plain=False):
    """An array of this shape that lies in memory as views do: transposed, with gaps, out of a larger one."""
    *leading, m, n = shape
    swap = rng.random() < 0.5
    rows, columns = (n, m) if swap else (m, n)
    gaps = (0, 0) if plain else rng.integers(0, 3, 2)
    front = [int(size) + (0 if plain else int(rng.integers(0, 2))) for size in leading]
    x = numbers(rng, (*front, rows + gaps[0], columns + gaps[1]), dtype)
    x = x[(*(slice(0, size) for size in leading), slice(gaps[0], None), slice(gaps[1], None))]
    return x.swapaxes(-1, -2) if swap else x


def random_case(rng, dtype):
    m, k, n = (int(rng.choice([1, 2, 3, 5, 8, 17, 33])) for _ in range(3))
    leading = [int(rng.choice([1, 2, 3])) for _ in range(rng.integers(0, 4))]

    def front():
        kept = [1 if rng.random() < 0.25 else size for size in leading]
        return kept[int(rng.integers(0, len(kept) + 1)) :] if rng.random() < 0.3 else kept

    a, b = laid_out(rng, (*front(), m, k), dtype), laid_out(rng, (*front(), k, n), dtype)
    return a, b


# The products


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_have_the_bits_of_matmul_on_the_same_arrays(cp, fake, gemm, dtype):
    rng = np.random.default_rng(1)
    for _ in range(400):
        a, b = random_case(rng, dtype)
        expected = np.matmul(np.asarray(a), np.asarray(b))
        np.testing.assert_array_equal(gemm(a, b), expected, f"{a.shape} {a.strides} {b.shape} {b.strides}")
    assert not fake.complaints and not cp.copies


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_go_where_they_are_wanted(cp, fake, gemm, dtype):
    rng = np.random.default_rng(2)
    for _ in range(300):
        a, b = random_case(rng, dtype)
        shape = np.matmul(a, b).shape
        out = laid_out(rng, shape, dtype)
        around = out.base.copy()
        result = gemm(a, b, out)
        assert result is out
        np.testing.assert_allclose(out, np.matmul(a.astype("f8"), b.astype("f8")), 1e-5, 1e-5)
        out[...] = 0
        around_out = np.lib.stride_tricks.as_strided(around, out.base.shape, out.base.strides)
        unchanged = (out.base == around_out) | (out.base == 0)
        assert unchanged.all()  # nothing beside it was written
    assert not fake.complaints and not cp.copies


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_added(fake, gemm, dtype):
    rng = np.random.default_rng(3)
    for _ in range(200):
        a, b = random_case(rng, dtype)
        out = laid_out(rng, np.matmul(a, b).shape, dtype)
        expected = np.asarray(out) + np.matmul(np.asarray(a), np.asarray(b))
        gemm(a, b, out, accumulate=True)
        np.testing.assert_allclose(out, expected, 2e-5, 2e-5)
    assert not fake.complaints


def test_a_result_that_no_matrix_can_hold_takes_a_detour(cp, fake, gemm):
    rng = np.random.default_rng(4)
    a, b = numbers(rng, (3, 4)), numbers(rng, (4, 5))
    out = numbers(rng, (6, 10))[::2, ::2]
    made = len(cp.made)
    np.testing.assert_array_equal(gemm(a, b, out), a @ b)
    before = out.copy()
    np.testing.assert_allclose(gemm(a, b, out, accumulate=True), before + a @ b, 1e-6)
    assert len(cp.made) - made == 3 and not fake.complaints  # a workspace, and twice a place for the product


@pytest.mark.parametrize("view", [
    lambda x: x[::2, ::2], lambda x: x[::-1], lambda x: x[:, ::-1], lambda x: x[:, ::2],
    lambda x: np.broadcast_to(x[:1], x.shape), lambda x: np.broadcast_to(x[:, :1], x.shape),
], ids=["both", "rows backwards", "columns backwards", "gaps", "one row", "one column"])  # fmt: skip
def test_what_no_flag_describes_is_copied_once(cp, fake, gemm, view):
    rng = np.random.default_rng(5)
    a = view(numbers(rng, (8, 8)))
    b = numbers(rng, (a.shape[1], 3))
    np.testing.assert_array_equal(gemm(a, b), np.ascontiguousarray(a) @ b)
    assert cp.copies == 1 and not fake.complaints


def test_replicas_backwards_are_copied(cp, gemm):
    rng = np.random.default_rng(6)
    a, b = numbers(rng, (3, 2, 4))[::-1], numbers(rng, (3, 4, 2))
    np.testing.assert_array_equal(gemm(a, b), a @ b)
    assert cp.copies == 1


def test_transposed_operands_cost_a_flag_and_no_copy(cp, fake, gemm):
    rng = np.random.default_rng(7)
    a, b = numbers(rng, (4, 3)), numbers(rng, (5, 4))
    gemm(a.T, b.T)
    (_, arguments), = products(fake)  # fmt: skip
    assert arguments[1:3] == (1, 1)  # both
    assert arguments[3:6] == (5, 3, 4)  # n, m, k: column-major
    assert arguments[7:10] == (b.ctypes.data, 0, 4) and arguments[10:13] == (a.ctypes.data, 0, 3)
    assert cp.copies == 0


@pytest.mark.parametrize(("a", "b", "calls", "count"), [
    ((7, 3, 4), (7, 4, 5), 1, 7), ((7, 3, 4), (4, 5), 1, 7), ((3, 4), (7, 4, 5), 1, 7),
    ((2, 7, 3, 4), (2, 7, 4, 5), 1, 14), ((2, 7, 3, 4), (1, 7, 4, 5), 2, 7), ((2, 1, 3, 4), (7, 4, 5), 2, 7),
    ((9, 2, 3, 4), (2, 4, 5), 2, 9), ((1, 1, 3, 4), (4, 5), 1, 1), ((2, 3, 5, 3, 4), (2, 3, 5, 4, 5), 1, 30),
])  # fmt: skip
def test_replicas_are_one_call_where_one_stride_leads_to_each(fake, gemm, a, b, calls, count):
    rng = np.random.default_rng(8)
    a, b = numbers(rng, a), numbers(rng, b)
    np.testing.assert_array_equal(gemm(a, b), a @ b)
    made = products(fake)
    assert len(made) == calls and not fake.complaints
    assert all(name == ("cublasGemmEx" if count == 1 else "cublasGemmStridedBatchedEx") for name, _ in made)
    assert count == 1 or all(arguments[20] == count for _, arguments in made)


def test_what_is_given_to_every_replica_has_stride_0(fake, gemm):
    rng = np.random.default_rng(9)
    gemm(numbers(rng, (7, 3, 4)), numbers(rng, (4, 5)))
    (_, arguments), = products(fake)  # fmt: skip
    assert (arguments[10], arguments[14], arguments[19]) == (0, 12, 15)  # b, a, c


@pytest.mark.rows(("dtype", "tf32", "kind", "compute"), [
    ("float32", False, 0, 68), ("float32", True, 0, 77), ("float64", False, 1, 70), ("float64", True, 1, 70),
])  # fmt: skip
def test_types(fake, gemm, dtype, tf32, kind, compute):
    rng = np.random.default_rng(10)
    for shape in ((4, 4), (2, 4, 4)):
        a = numbers(rng, shape, dtype)
        gemm(a, a, tf32=tf32)
        assert products(fake)[-1][1][8] == kind and products(fake)[-1][1][-2] == compute
    assert not fake.complaints


@pytest.mark.rows(("a", "b"), [((0, 3), (3, 2)), ((2, 3), (3, 0)), ((0, 2, 3), (3, 2)), ((5, 0), (0, 5))])
def test_empty_products_call_nothing(fake, gemm, a, b):
    a, b = (np.zeros(shape, "f4").view(DeviceArray) for shape in (a, b))
    out = np.full(np.matmul(a, b).shape, 3.0, "f4").view(DeviceArray)
    np.testing.assert_array_equal(gemm(a, b), a @ b)
    np.testing.assert_array_equal(gemm(a, b, out, accumulate=True), np.full_like(out, 3.0))
    np.testing.assert_array_equal(gemm(a, b, out), a @ b)
    assert not products(fake)


def test_outer_products(fake, gemm):
    rng = np.random.default_rng(11)
    for shape in ((), (3,)):
        a, b = numbers(rng, (*shape, 9, 1)), numbers(rng, (*shape, 1, 7))
        np.testing.assert_array_equal(gemm(a, b), a * b)
        np.testing.assert_array_equal(gemm(b.swapaxes(-1, -2), a.swapaxes(-1, -2)), (a * b).swapaxes(-1, -2))
    assert not fake.complaints


# The handle


def test_the_workspace_comes_after_the_stream(fake, gemm):
    a = np.eye(2, dtype="f4").view(DeviceArray)
    gemm(a, a)
    names = [name for name, _ in fake.calls]
    made = ["cublasCreate_v2", "cublasSetMathMode", "cublasSetStream_v2", "cublasSetWorkspace_v2"]
    assert names[:4] == made and fake.calls[2][1][1] == STREAM.ptr
    gemm(a, a)
    assert [name for name, _ in fake.calls][4:] == ["cublasGemmEx"] * 2


def test_the_handle_follows_the_stream_and_keeps_its_workspace(cp, fake):
    """A capture has its own stream; to set one takes the workspace away, and cuBLAS would make another."""
    streams = [STREAM, SimpleNamespace(ptr=78)]
    gemm, a = Gemm(cp, lambda: streams[0], fake), np.eye(2, dtype="f4").view(DeviceArray)
    for _ in range(3):
        gemm(a, a)
        streams.reverse()
    told = [arguments[1] for name, arguments in fake.calls if "SetStream" in name]
    workspaces = {arguments[1] for name, arguments in fake.calls if "Workspace" in name}
    assert told == [77, 78, 77] and len(workspaces) == 1 and not fake.complaints


@pytest.mark.parametrize(("capability", "size"), [("90", 32), ("100", 32), ("121", 32), ("80", 4), ("89", 4)])
def test_the_workspace_is_as_large_as_the_device_wants(fake, capability, size):
    a = np.eye(2, dtype="f4").view(DeviceArray)
    Gemm(Library(capability), lambda: STREAM, fake)(a, a)
    assert [arguments[2] for name, arguments in fake.calls if "Workspace" in name] == [size << 20]


def test_every_thread_has_a_handle(fake, gemm):
    rng = np.random.default_rng(12)
    work = [(numbers(rng, (5, 6)), numbers(rng, (6, 4))) for _ in range(4)]
    results, barrier = [None] * 4, threading.Barrier(4)

    def run(k):
        barrier.wait(60)
        for _ in range(20):
            results[k] = gemm(*work[k])

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result, (a, b) in zip(results, work, strict=True):
        np.testing.assert_array_equal(result, a @ b)
    assert [name for name, _ in fake.calls].count("cublasCreate_v2") == 4 and not fake.complaints
    gemm.close()
    assert [name for name, _ in fake.calls].count("cublasDestroy_v2") == 4


def test_after_it_was_closed_a_handle_is_made_anew(fake, gemm):
    a = np.eye(2, dtype="f4").view(DeviceArray)
    gemm(a, a)
    gemm.close()
    np.testing.assert_array_equal(gemm(a, a), a)
    assert not fake.complaints


# Refusals


@pytest.mark.rows(("a", "b", "options", "words"), [
    ((2, 3), (2, 3), {}, "no product of"), ((3,), (3, 2), {}, "no product of"),
    ((2, 2, 3), (3, 3, 2), {}, "do not broadcast"), ((2, 3), (3, 2), {"accumulate": True}, "needs out"),
    ((2, 3), (3, 2), {"out": (2, 3)}, "but out is float32"),
])  # fmt: skip
def test_refusals(gemm, a, b, options, words):
    a, b = (np.zeros(shape, "f4").view(DeviceArray) for shape in (a, b))
    if "out" in options:
        options = {"out": np.zeros(options["out"], "f4").view(DeviceArray)}
    with pytest.raises(BackendError, match=words):
        gemm(a, b, **options)


@pytest.mark.parametrize("types", [("f4", "f8"), ("i4", "i4"), ("f2", "f2")])
def test_other_types_are_refused(gemm, types):
    with pytest.raises(BackendError, match="two float32 or two float64"):
        gemm(*(np.zeros((2, 2), dtype).view(DeviceArray) for dtype in types))


def test_sizes_beyond_an_int_are_refused(gemm):
    one = np.zeros((1, 1), "f4")
    wide = np.lib.stride_tricks.as_strided(one, (2, 1), (2**33 * 4, 4)).view(DeviceArray)  # never read
    with pytest.raises(BackendError, match="beyond 32-bit sizes"):
        gemm(wide, np.zeros((1, 2), "f4").view(DeviceArray))


@pytest.mark.parametrize(("status", "name"), [(7, "INVALID_VALUE"), (13, "EXECUTION_FAILED"), (99, "99")])
def test_a_status_is_named(cp, status, name):
    fake = HostCublas()
    real = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(lambda *_: status)
    fake.cublasSetMathMode = real
    a = np.eye(2, dtype="f4").view(DeviceArray)
    with pytest.raises(BackendError, match=f"cublasSetMathMode: CUBLAS_STATUS_{name}$"):
        Gemm(cp, lambda: STREAM, fake)(a, a)


def test_without_the_library_the_error_says_what_to_install(cp, monkeypatch):
    monkeypatch.setattr(cublas, "SONAMES", ("libno-such-cublas.so",))
    monkeypatch.setattr("builtins.__import__", without("cuda", __import__))
    with pytest.raises(BackendError, match="libcublas was not found; .* pip install 'minigan"):
        Gemm(cp, lambda: STREAM)
    asked = []
    with pytest.raises(BackendError, match="received neither"):
        Gemm(cp, lambda: STREAM, False)
    assert isinstance(Gemm(cp, lambda: STREAM, module=asked.append).products, cublas.Tiles)
    assert "gemm_float32" in asked[0]


def without(module, importer):
    def import_module(name, *arguments, **options):
        if name.partition(".")[0] == module:
            raise ImportError(name)
        return importer(name, *arguments, **options)

    return import_module


# The fake finds what would be wrong


def raw(fake, pointer, **changes):
    """A right call of cublasGemmEx on 2×2 matrices, with some arguments changed."""
    one, zero = ctypes.c_float(1.0), ctypes.c_float(0.0)
    arguments = {
        "handle": 1001, "op_a": 0, "op_b": 0, "m": 2, "n": 2, "k": 2, "alpha": ctypes.addressof(one),
        "a": pointer, "a_type": 0, "lda": 2, "b": pointer, "b_type": 0, "ldb": 2,
        "beta": ctypes.addressof(zero), "c": pointer + 64, "c_type": 0, "ldc": 2,
        "compute": 68, "algorithm": -1,
    } | changes  # fmt: skip
    return fake.cublasGemmEx(*arguments.values())


@pytest.mark.parametrize(("changes", "words"), [
    ({"lda": 1}, "leading dimension 1"), ({"ldb": 0}, "leading dimension 0"), ({"c_type": 1}, "types"),
    ({"a_type": 68}, "types"), ({"compute": 0}, "types"), ({"compute": 70}, "types"), ({"ldc": 1}, "leading"),
    ({"m": 0}, "sizes"), ({"op_a": 2}, "flags"), ({"a": 0}, "can be at"), ({"algorithm": 0}, "algorithm"),
    ({"handle": 5}, "no handle"),
])  # fmt: skip
def test_the_fake_complains(cp, fake, gemm, changes, words):
    a = np.eye(2, dtype="f4").view(DeviceArray)
    gemm(a, a)  # declares the functions and makes the handle
    memory = np.zeros(64, "f4")
    assert raw(fake, memory.ctypes.data) == 0
    assert raw(fake, memory.ctypes.data, **changes) == 7
    assert words in fake.complaints[-1]


def test_the_fake_wants_the_workspace_after_the_stream(gemm, fake, cp):
    gemm.products.handle  # noqa: B018
    pointer = cp.empty((4 << 20,), "uint8").ctypes.data
    handle = ctypes.c_void_p()
    fake.cublasCreate_v2(ctypes.byref(handle))
    assert fake.cublasSetWorkspace_v2(handle, pointer, 4 << 20) == 7
    assert fake.cublasSetStream_v2(handle, None) == 0
    assert fake.cublasSetWorkspace_v2(handle, pointer, 4 << 20) == 0
    assert fake.cublasSetStream_v2(handle, None) == 0  # which takes it away
    memory = np.zeros(64, "f4")
    assert raw(fake, memory.ctypes.data, handle=handle.value) == 7
    assert "no workspace" in fake.complaints[-1]


def test_the_fake_wants_its_functions_declared(fake):
    assert fake.cublasCreate_v2(ctypes.byref(ctypes.c_void_p())) == 7
    assert "declared as []" in fake.complaints[-1]
