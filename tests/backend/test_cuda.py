"""The code of the GPU: on the strict device it captures, replays and counts; fakes of CuPy lack a part.

Nothing here runs on a GPU. Where one is there, ``pytest --backend cupy`` runs the tests of the engine on it.
"""

import gc
import sys
import threading
import weakref
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import numpy as np
import pytest

from minigan import backend as backends
from minigan.backend import BackendError, cuda
from minigan.backend.cublas import Gemm
from minigan.backend.cuda import CudaBackend, DeviceMemoryError, usable
from minigan.compiler.capture import CaptureError, capture
from minigan.compiler.executions import Recorded
from minigan.engine import primitives as P
from minigan.engine.autodiff import assign, grad
from minigan.engine.tensor import Primitive, constant
from minigan.nn.network import mlp
from minigan.nn.optim import Adam
from minigan.testing.strict.backend import StrictBackend, StrictCublas
from minigan.testing.strict.memory import OutOfMemoryError
from minigan.testing.strict.namespace import StrictNamespace
from minigan.testing.strict.streams import UnorderedWorkError

NODES = 320  # at most, in a step of the default game as it is recorded: 309 when this was written


@pytest.fixture
def strict():
    return backends.get("strict")


# ── what is found on a machine
class CUDARuntimeError(RuntimeError):
    """As CuPy has it."""

    def __init__(self, status, text="cudaErrorInsufficientDriver: CUDA driver version is insufficient"):
        super().__init__(text)
        self.status = status


class DynamicLibNotFoundError(RuntimeError):
    """As cuda.pathfinder has it."""


class CompileException(Exception):
    """As CuPy has it: no RuntimeError."""


def raising(error):
    def call(*_, **__):
        raise error

    return call


def fake(version="14.2.0", available=False, error=None, driver=0, count=1):
    runtime = SimpleNamespace(
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: 13020,
        getDeviceCount=raising(error) if error else lambda: count,
    )
    cp = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: available, runtime=runtime))
    cp.__version__, cp.__spec__ = version, ModuleSpec("cupy", None)
    return cp


@pytest.mark.rows(("cp", "says"), [
    (fake("13.6.0"), "CuPy 13.6.0 is too old, 14 is needed.*pip install"),
    (fake("9.0.0b1"), "too old"),
    (fake(error=CUDARuntimeError(35)), "finds no GPU: no NVIDIA driver was found; install it"),
    (fake(error=CUDARuntimeError(35), driver=11080), "driver is for CUDA 11.8, CuPy for 13.2; update"),
    (fake(error=CUDARuntimeError(100, "cudaErrorNoDevice"), driver=13000), "no GPU.*CUDA_VISIBLE_DEVICES"),
    (fake(error=CUDARuntimeError(999, "cudaErrorUnknown: unknown error")), "unknown error; look at"),
    (fake(count=2), "2 devices, of which none can be used"),
])  # fmt: skip
def test_no_gpu_is_a_sentence(cp, says):
    with pytest.raises(BackendError, match=says) as raised:
        usable(cp)
    assert "\n" not in str(raised.value)


@pytest.fixture
def working(monkeypatch):
    """A CuPy that works, as far as the probe can see."""
    cp = StrictNamespace()
    monkeypatch.setattr(cuda, "Gemm", lambda cp, stream, _, *, module: Gemm(cp, stream, StrictCublas(cp)))
    return cp


def test_a_cupy_that_works_is_a_backend(working):
    backend = usable(working)
    assert type(backend) is CudaBackend and backend.name == "cupy" and repr(backend) == "<backend cupy>"


@pytest.mark.parametrize(("name", "error", "says"), [
    ("add", DynamicLibNotFoundError('Failure finding "libnvrtc.so.13"'), "NVRTC, CUDA's compiler, cannot be"),
    ("add", ImportError("libnvrtc.so.13: cannot open shared object file"), "NVRTC"),
    ("add", RuntimeError("Failed to find CUDA headers"), "the headers of CUDA cannot be used"),
    ("add", CompileException("vector_types.h(1): catastrophic error: cannot open source file"), "headers of"),
    ("add", CUDARuntimeError(719, "cudaErrorLaunchFailure: unspecified launch failure"),
     "a first kernel failed .*unspecified launch failure.*nvidia-smi"),
    ("array", OutOfMemoryError("Out of memory allocating 512 bytes"), "no room even for a first array"),
    ("ndarray", OSError("libcublas.so.13: cannot open shared object file"), "cuBLAS cannot be used"),
])  # fmt: skip
def test_a_gpu_that_runs_no_kernel_says_what_is_missing(working, monkeypatch, name, error, says):
    if name == "ndarray":
        monkeypatch.setattr(cuda, "Gemm", raising(error))
    else:
        monkeypatch.setattr(working, name, raising(error), raising=False)
    with pytest.raises(BackendError, match=says) as raised:
        usable(working)
    if "cannot be used" in says:
        assert "minigan[cuda13-ctk]" in str(raised.value) and "CUDA_PATH" in str(raised.value)


def test_a_gpu_that_computes_wrongly_is_refused(working, monkeypatch):
    monkeypatch.setattr(CudaBackend, "to_host", lambda self, array: np.zeros(array.shape))
    with pytest.raises(BackendError, match=r"computes \[\[0.0\].* where \[\[14.0\].* is right"):
        usable(working)


def test_a_missing_cupy_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(cuda, "find_spec", lambda name: None)
    says = r"CuPy, which is not installed: .*minigan\[cuda13\].*; or use --backend numpy"
    with pytest.raises(BackendError, match=says):
        backends.get("cupy")


def test_two_wheels_of_cupy_are_refused_before_they_are_imported(monkeypatch):
    monkeypatch.setattr(cuda, "find_spec", lambda name: "found")
    monkeypatch.setattr(cuda, "installed", lambda: ["cupy-cuda12x 14.2.0", "cupy-cuda13x 14.1.0"])
    with pytest.raises(BackendError, match="cupy-cuda12x 14.2.0 and cupy-cuda13x 14.1.0 .*: pip uninstall "
                                           "cupy-cuda12x cupy-cuda13x, then install"):  # fmt: skip
        cuda.load()


def test_wheels_are_found_by_their_metadata(monkeypatch):
    from importlib import metadata

    names = ["numpy", "cupy-cuda13x", "CuPy", "cupy-rocm-7-0", "cupyx-tools", "mycupy", None]
    found = [SimpleNamespace(metadata={"Name": name}, version="1") for name in names]
    monkeypatch.setattr(metadata, "distributions", lambda: found)
    assert cuda.installed() == ["cupy 1", "cupy-cuda13x 1", "cupy-rocm-7-0 1"]


@pytest.mark.parametrize("error", [
    ImportError("libcuda.so.1: cannot open shared object file"), OSError("read-only home"),
    ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"),
])  # fmt: skip
def test_a_cupy_that_cannot_be_imported_is_a_sentence(monkeypatch, error):
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "cupy":
                raise error

    monkeypatch.setattr(cuda, "find_spec", lambda name: "found")
    monkeypatch.setattr(cuda, "installed", lambda: ["cupy-cuda13x 14.2.0"])
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr("sys.meta_path", [Finder()])
    with pytest.raises(BackendError, match=f"CuPy cannot be imported .*{str(error)[:9]}"):
        cuda.load()


def test_auto_says_what_it_took_and_why(monkeypatch, working):
    from minigan.training.config import Config
    from minigan.training.experiment import Experiment, backend_notes

    for cached in (backends.automatic, backends._cupy):
        cached.cache_clear()
    monkeypatch.setattr(backends, "_BY_TYPE", dict(backends._BY_TYPE))
    try:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert backends.automatic() == (backends.numpy_backend, None)
        assert backend_notes("auto") == backend_notes("numpy") == ()

        backends.automatic.cache_clear()
        monkeypatch.setattr("importlib.util.find_spec", lambda name: "found")
        monkeypatch.setattr(cuda, "load", raising(BackendError("there is no driver")))
        assert backends.get("auto") is backends.numpy_backend
        note = "--backend auto took numpy: there is no driver"
        assert backend_notes("auto") == (note,) and Experiment(Config()).notes == (note,)
        assert Experiment(Config(backend="numpy")).notes == ()

        backends.automatic.cache_clear()
        monkeypatch.setattr(cuda, "load", lambda: usable(working))
        chosen = backends.get("auto")
        assert chosen.name == "cupy" and backends.get("cupy") is chosen
        assert backends.of(chosen.array([1.0])) is chosen
        assert backend_notes("auto") == ("--backend auto took cupy: there is a GPU that CuPy can use",)
    finally:
        for cached in (backends.automatic, backends._cupy):
            cached.cache_clear()


# ── entries
def test_the_stream_is_current_in_every_thread_that_calls_the_backend(strict):
    a, seen, shift = strict.array(np.ones(3)), {}, strict.module(SOURCE).kernel("shift")
    x = strict.array(np.ones(3), "float32")
    entries = {
        "array": lambda: strict.array([1.0]),
        "to_host": lambda: strict.to_host(a),
        "function": lambda: strict.xp.exp(a),
        "reduction": lambda: strict.xp.add.reduce(a),
        "product": lambda: strict.xp.matmul(a[None], a[:, None]),
        "product again": lambda: strict.xp.matmul(a[None], a[:, None]),
        "asarray": lambda: strict.xp.asarray(a),
        "timer": strict.timer,
        "source": lambda: strict.module(SOURCE).kernel("shift"),
        "kernel": lambda: shift(1, 4, [x, x, np.float32(1.0), np.int32(3)], shared=16),
        "graph": lambda: strict.graph(lambda: strict.xp.exp(a)),
        "sequence": lambda: strict.sequence([("exp", lambda: strict.xp.exp(a))], [a]),
        "none": lambda: None,
    }

    def run(name):
        entries[name]()
        seen[name] = strict.cp.cuda.get_current_stream()

    for name in entries:
        thread = threading.Thread(target=run, args=(name,))
        thread.start()
        thread.join(60)
    assert seen.pop("none") is strict.cp.cuda.Stream.null
    assert set(seen.values()) == {strict.stream} and len(seen) == len(entries) - 1
    assert strict.stream.is_non_blocking


def test_spans_are_the_bytes_that_an_array_touches(backend):
    a = backend.array(np.zeros((4, 6)))
    first, last = backend.span(a)
    assert last - first == a.nbytes
    for part, (lo, hi) in {
        "row": (a[1], (48, 96)), "column": (a[:, 1], (8, 160)), "turned": (a.T[2:], (16, 192)),
        "stretched": (backend.xp.broadcast_to(a[0], (3, 6)), (0, 48)), "one": (a[1, 1], (56, 64)),
        "part": (a[1:3, 2:4], (64, 128)),
    }.values():  # fmt: skip
        part = part if isinstance(part, type(a)) else a[1:2, 1:2]  # NumPy's one element is no view
        assert tuple(x - first for x in backend.span(part)) == (lo, hi)
    assert len(set(backend.span(a[:0]))) == 1
    if backend.name != "cupy":
        backwards = a[::-1]
        assert backend.span(backwards) == (first, last)


def test_time_and_memory_and_facts(backend):
    with backend.timer() as timer:
        backend.xp.exp(backend.array(np.ones(1000)))
    assert 0.0 < timer.seconds < 60.0
    backend.synchronize()
    before = backend.memory()
    assert all(isinstance(size, int) and size >= 0 for size in before.values())
    facts = backend.facts()
    assert facts["backend"] == backend.name and facts["numpy"] == np.__version__ and "device" in facts


def test_a_timer_has_both_its_events_on_the_stream_that_works(strict, monkeypatch):
    """One on the null stream would happen at once, and what was asked for before would be timed as well."""
    event, streams = strict.cp.cuda.Event, []
    record = event.record
    monkeypatch.setattr(event, "record", lambda self, s=None: [streams.append(s), record(self, s)][1])
    with strict.timer() as timer:
        strict.xp.ones(1)
    assert streams == [strict.stream] * 2
    monkeypatch.setattr(strict.cp.cuda, "get_elapsed_time", lambda *events: 2500.0)
    assert timer.seconds == 2.5


def test_the_memory_of_arrays_is_counted(strict):
    used = strict.memory()["used"]
    a = strict.array(np.ones(1000))
    assert strict.memory()["used"] - used == 8192 > a.nbytes  # by 512, as CuPy's pools give it
    del a
    assert strict.memory()["used"] == used <= strict.memory()["held"]


@pytest.mark.parametrize("make", [
    lambda b: b.array(np.ones(10**6)), lambda b: b.xp.zeros((10**6,), "float64"),
    lambda b: b.xp.multiply(b.array(np.ones((1000, 1))), b.array(np.ones(1000))),
    lambda b: b.xp.matmul(b.array(np.ones((1000, 2))), b.array(np.ones((2, 1000)))),
])  # fmt: skip
def test_a_full_gpu_is_a_sentence_with_sizes(monkeypatch, make):
    mine = StrictBackend()
    mine.xp.matmul(mine.array(np.ones((2, 2))), mine.array(np.ones((2, 2))))  # the workspace of cuBLAS
    pool = mine.cp.get_default_memory_pool()
    pool.set_limit(pool.used_bytes() + 100_000)
    sizes = {"used": 70 << 30, "held": 77 << 30, "free": 3 << 20, "total": 80 << 30}
    monkeypatch.setattr(mine, "memory", lambda: sizes)
    with pytest.raises(DeviceMemoryError) as raised:
        make(mine)
    assert isinstance(raised.value, MemoryError) and isinstance(raised.value, BackendError)
    for part in ("7.63 MiB more", "70 GiB in use", "7 GiB kept for later", "3 MiB free", "smaller batch"):
        assert part in str(raised.value)


def test_what_a_gpu_says_of_itself():
    properties = {"name": b"NVIDIA H200", "major": 9, "minor": 0, "multiProcessorCount": 132}
    properties["totalGlobalMem"] = 150 << 30
    backend = CudaBackend(StrictNamespace())
    runtime = backend.cp.cuda.runtime
    runtime.getDeviceProperties = lambda device: properties
    runtime.driverGetVersion, runtime.runtimeGetVersion = lambda: 13000, lambda: 12090
    runtime.memGetInfo = lambda: (1 << 30, 150 << 30)
    assert backend.describe() == f"CuPy {backend.cp.__version__} on NVIDIA H200 (CUDA 12.9, driver 13.0)"
    assert backend.facts()["compute_capability"] == "9.0" and backend.facts()["multiprocessors"] == 132
    backend.cp.get_default_memory_pool().total_bytes = lambda: 1 << 20
    assert backend.memory() == {"used": 0, "held": 1 << 20, "free": 1 << 30, "total": 150 << 30}
    assert backend.cp.cuda.get_current_stream() == backend.stream  # on which the maker of products was made


# ── products
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_numpys_however_their_operands_lie(device, dtype):
    """Bit for bit on the strict device; on a GPU, where the terms of a sum come in another order, nearly."""
    rng, bound = np.random.default_rng(0), 0.0 if device.name == "strict" else 20 * np.finfo(dtype).eps
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((5, 7), (7, 4)))
    c, d = (rng.standard_normal(shape).astype(dtype) for shape in ((3, 5, 7), (3, 7, 4)))
    e = rng.standard_normal((5, 9)).astype(dtype)
    for x, y in ((a, b), (a.T.copy().T, b), (a, b.T.copy().T), (c, d), (c, d[0]), (a, d), (b.T, a.T),
                 (e[:, :7], b), (c.swapaxes(0, 1)[:, 0], b), (c.swapaxes(-1, -2), c)):  # fmt: skip
        for _ in range(2):  # through StrictCublas, and once its layout is known
            ours = device.xp.matmul(*(like(device, z) for z in (x, y)))
            scale = np.matmul(np.abs(x), np.abs(y))
            assert (np.abs(device.to_host(ours) - np.matmul(x, y)) <= bound * scale).all()
    for _ in range(2):
        out = device.xp.empty((5, 4), dtype)
        assert device.xp.dot(like(device, a), like(device, b), out=out) is out
        assert (np.abs(device.to_host(out) - np.dot(a, b)) <= bound * np.dot(np.abs(a), np.abs(b))).all()


def test_every_new_layout_of_operands_goes_through_cublas():
    mine = StrictBackend()
    a, b, out = (mine.array(np.ones(shape)) for shape in ((4, 3), (3, 2), (4, 2)))
    calls = []
    product = mine.gemm.products.call
    mine.gemm.products.call = lambda name, *arguments: (calls.append(name), product(name, *arguments))
    square = mine.array(np.ones((3, 3)))
    for operands in ((a, b), (a, b), (b.T, a.T), (a, b, out), (a, b, out), (b.T, a.T),
                     (square, square), (square.T, square), (square, square)):  # fmt: skip
        mine.xp.matmul(*operands)
    assert calls.count("cublasGemmEx") == 5
    graph = mine.graph(lambda: mine.xp.matmul(a, b, out=out))
    out[...] = 0.0
    graph.launch()
    assert (mine.to_host(out) == 3.0).all()


def test_the_first_product_of_a_layout_has_the_bits_of_the_next(monkeypatch):
    """A repeated number is copied for cuBLAS; NumPy multiplies it where it is, maybe in another order."""
    mine = StrictBackend()
    fake = mine.gemm.products._cublas
    multiply = fake._multiply

    def otherwise(left, right, result, accumulate):
        multiply(left, right, result, accumulate)
        result += 1e-6

    monkeypatch.setattr(fake, "_multiply", otherwise)
    a, one = np.full((5, 8), 0.1, "f4"), np.broadcast_to(np.full(1, 0.3, "f4"), (8, 1))
    there = mine.array(a), mine.xp.broadcast_to(mine.array(one[:1, 0]), (8, 1))
    for out in (None, mine.xp.empty((5, 1), "float32")):
        for _ in range(3):
            assert mine.to_host(mine.xp.matmul(*there, out=out)).tobytes() == np.matmul(a, one).tobytes()


def like(backend, x):
    """x on the device, lying in memory as it does here."""
    if x.base is None:
        return backend.array(x)
    base = backend.array(x.base)
    for view in (lambda a: a.T, lambda a: a.swapaxes(-1, -2), lambda a: a[:, :7],
                 lambda a: a.swapaxes(0, 1)[:, 0], lambda a: a[0]):  # fmt: skip
        found = view(base)
        if found.shape == x.shape and found.strides == x.strides:
            return found
    raise AssertionError(x.strides)


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 3), (2, 3)), ((2, 2, 3), (3, 3, 2)), ((2, 3), (3,))])
def test_impossible_products_are_value_errors(strict, shapes):
    with pytest.raises(ValueError):
        strict.xp.matmul(*(strict.array(np.ones(shape)) for shape in shapes))


# ── kernels
SOURCE = """
extern "C" __global__ void shift(float* y, const float* x, float by, int n) {
    DYNAMIC_SHARED(float, scratch);
    scratch[threadIdx.x] = by;
    __syncthreads();
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] + scratch[threadIdx.x];
}
"""


def test_a_kernel_of_a_module_is_launched_and_captured(strict):
    kernel = strict.module(SOURCE).kernel("shift")
    x, y = strict.array(np.arange(5), "float32"), strict.xp.zeros((5,), "float32")
    kernel(2, (4, 1, 1), [y, x, np.float32(0.5), np.int32(5)], shared=16)
    assert strict.to_host(y).tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    graph = strict.graph(lambda: kernel(2, 4, [x, x, np.float32(1.0), np.int32(5)], shared=16))
    assert strict.to_host(x)[0] == 0.0
    graph.launch()
    graph.launch()
    assert strict.to_host(x).tolist() == [2.0, 3.0, 4.0, 5.0, 6.0]


def test_arguments_that_a_kernel_would_misread_are_refused(strict):
    module = strict.module(SOURCE)
    kernel, x = module.kernel("shift"), strict.array(np.ones((4, 4)), "float32")
    assert module.kernel("shift") is kernel
    for wrong, error in ((x[:, 1], ValueError), (np.ones(4, "float32"), TypeError), (1.0, TypeError)):
        with pytest.raises(error, match="shift, argument 2"):
            kernel(1, 4, [x, wrong, np.float32(0.5), np.int32(4)])
    big = strict.xp.empty((4,), "float32")
    kernel(1, 4, [big, x[0], np.float32(1.0), np.int32(4)], shared=100 * 1024)  # asks for it, as a GPU wants
    assert strict.to_host(big).tolist() == [2.0] * 4


@pytest.mark.parametrize(("source", "name"), [("no CUDA at all", "f"), (SOURCE, "no_such_kernel")])
def test_a_source_that_does_not_compile_is_a_sentence(strict, source, name):
    with pytest.raises(BackendError, match="kernel"):
        strict.module(source).kernel(name)


def test_what_nvrtc_says_is_passed_on_in_one_line(strict, monkeypatch):
    module = strict.module("…")
    error = CompileException("kernel.cu(1): error: expected a declaration\n\n1 error detected\n")
    monkeypatch.setattr(module, "_module", SimpleNamespace(get_function=raising(error)))
    with pytest.raises(BackendError, match="f does not compile: .*expected a declaration 1 error") as raised:
        module.kernel("f")
    assert "\n" not in str(raised.value)


# ── graphs
def trained(backend, seed=0, steps=6):
    net = mlp((3, 6, 1), rngs=np.random.default_rng(seed), backend=backend, activation="elu")
    optimizer = Adam(net.parameters, 0.01)

    def step(x):
        loss = P.mean(P.softplus(net(x)))
        optimizer.step(grad(loss, net.parameters))
        return loss

    rng = np.random.default_rng(1)
    batches = [backend.array(rng.standard_normal((8, 3)).astype("float32")) for _ in range(steps)]
    return step, {"flat": net.parameters.flat, **optimizer.state}, batches


def test_a_captured_step_trains_as_the_eager_one_bit_for_bit(backend):
    eager, state, batches = trained(backend)
    expected = [eager(constant(x)).item() for x in batches]
    step, replayed, batches = trained(backend)
    program = capture(step, batches[0], state=replayed, execution="recorded")
    received = [program.outputs.item()] + [program(x).item() for x in batches[1:]]
    assert received == expected
    for name in state:
        assert replayed[name].numpy().tobytes() == state[name].numpy().tobytes()


def test_making_a_sequence_trains_nothing(strict):
    """The warm-up runs the step for real, and is taken back."""
    step, state, batches = trained(strict)
    program = capture(step, batches[0], state=state, execution="recorded")
    first = {name: x.numpy() for name, x in state.items()}, program.outputs.numpy()
    Recorded(program, strict)
    for name in state:
        np.testing.assert_array_equal(state[name].numpy(), first[0][name])
    np.testing.assert_array_equal(program.outputs.numpy(), first[1])


def test_a_sequence_that_fails_leaves_what_was_and_takes_nothing_of_the_pool_of_arrays(strict):
    a, pool, taken = strict.array(np.ones(4)), strict.cp.get_default_memory_pool(), []

    def call():
        before = pool.used_bytes()
        strict.xp.multiply(a, strict.xp.full(4, 3.0), out=a)
        taken.append((strict.xp.ones(1000), pool.used_bytes() - before))

    def fails():
        call()
        raise NotImplementedError

    with pytest.raises(BackendError, match="fails cannot be part of a graph"):
        strict.sequence([("fails", fails)], [a])
    np.testing.assert_array_equal(strict.to_host(a), np.ones(4))
    strict.sequence([("call", call)], [a])()
    np.testing.assert_array_equal(strict.to_host(a), np.full(4, 3.0))
    assert [size for _, size in taken] == [0, 0, 0]


def test_a_counter_of_the_host_is_refused_and_one_on_the_device_counts(strict):
    """Adam's step number as a Python number would be 1 in every replay; ours is kept on the device."""

    def adam(on_device):
        m, t, w = (constant(strict.xp.zeros((1,), "float64")) for _ in range(3))
        count = [0]

        def step(g):
            count[0] += 1
            assign(m, 0.9 * m + 0.1 * g)
            if on_device:
                assign(t, t + 1.0)
                correction = 1.0 - P.exp(float(np.log(0.9)) * t)
            else:
                correction = 1.0 - 0.9 ** count[0]
            assign(w, w - m / correction)
            return w

        gradients = [constant(strict.array([x])) for x in (1.0, 3.0, -2.0)]
        program = capture(step, gradients[0], state=[m, t, w], execution="recorded")
        return [program.outputs.item()] + [program(g).item() for g in gradients[1:]]

    w, m, expected = 0.0, 0.0, []
    for t, g in enumerate((1.0, 3.0, -2.0), 1):
        m = 0.9 * m + 0.1 * g
        w -= m / (1 - 0.9**t)
        expected.append(w)
    np.testing.assert_allclose(adam(on_device=True), expected, rtol=1e-12)
    with pytest.raises(CaptureError, match="divide takes 0.09.*, and 0.18.* the second time"):
        adam(on_device=False)


def test_a_value_that_the_host_reads_is_refused(strict):
    x = constant(strict.array([1.0, 2.0]))
    with pytest.raises(CaptureError, match="a value was read during capture"):
        capture(lambda x: x * (2.0 if P.mean(x, axis=(0,)).item() > 1 else 3.0), x)

    def peeking(xp, a, out=None):
        return xp.multiply(a, strict.to_host(a)[0].item(), out=out)

    peek = Primitive("peek", peeking, None)
    with pytest.raises(BackendError, match="peek cannot be part of a graph: the current stream is capturing"):
        capture(lambda x: peek(x), x, execution="recorded")
    assert not strict.stream.is_capturing()
    assert capture(lambda x: 2.0 * x, x, execution="recorded")(x).numpy().tolist() == [2.0, 4.0]


def test_a_block_of_steps_of_the_default_game_asks_the_host_for_nothing(strict):
    from minigan.training.config import Config
    from minigan.training.experiment import Experiment

    experiment = Experiment(Config(backend="strict"))
    experiment.advance(1)
    blocks = [strict.xp.stack([x[0]] * 50) for x in experiment._numbers.values()]
    strict.counters.reset()
    experiment.program.each(*blocks, copy=False)
    c = strict.counters
    assert (c.syncs, c.to_device, c.to_host) == (0, 0, 0)
    assert c.graphs == 50 and c.launches <= 50 * len(blocks)  # an input's copy into its buffer each
    assert 0 < c.nodes <= 50 * NODES, c.nodes / 50
    assert np.isfinite(experiment.losses()).all()


def test_temporaries_of_a_program_never_meet_arrays_of_others(strict):
    step, state, batches = trained(strict)
    program = capture(step, batches[0], state=state, execution="recorded")
    shapes = ((8, 6), (8, 3), (8, 1), (6, 1), (1, 6), (3, 6)) * 3
    others = [strict.xp.full(shape, 7.0, "float32") for shape in shapes]
    program(batches[1])
    assert all((strict.to_host(x) == 7.0).all() for x in others)
    assert np.isfinite(program.outputs.item())


def test_a_graph_keeps_alive_what_it_needs(strict):
    out = strict.xp.zeros((4,), "float64")

    def graph_of(x, scale, pool):
        return strict.graph(lambda: strict.xp.add(x * scale, 1.0, out=out), pool), weakref.ref(pool)

    x, y = (np.full(4, value) for value in (2.0, 3.0))
    graph, alive = graph_of(strict.array(x), strict.array(y), strict.cp.cuda.MemoryPool())
    gc.collect()
    graph.launch()
    assert strict.to_host(out).tolist() == [7.0] * 4 and alive() is not None
    del graph
    gc.collect()
    assert alive() is None


@pytest.mark.rows("known", [False, True])
@pytest.mark.rows("size", [4, 600])
def test_a_product_that_leans_on_freed_memory_meets_nan(known, size):
    """cuBLAS was given addresses: nothing else keeps what lies there."""
    mine = StrictBackend()
    x, out = mine.array(np.eye(size)), mine.xp.zeros((size, size), "float64")
    mine.xp.matmul(x, x, out=out if known else None)  # the handle, and the layout
    dropped = [mine.xp.empty((size, size), "float64")]
    dropped[0][...] = 2.0
    graph = mine.graph(lambda: mine.xp.matmul(x, dropped[0], out=out))
    graph.launch()
    assert (mine.to_host(out) == 2.0).all()
    dropped.clear()
    graph.launch()
    assert np.isnan(mine.to_host(out)).all()


@pytest.mark.parametrize(("error", "expected"), [
    (KeyError("first"), KeyError), (NotImplementedError("cuBLAS in a capture"), BackendError),
    (BackendError("of ours"), BackendError), (KeyboardInterrupt(), KeyboardInterrupt),
])  # fmt: skip
@pytest.mark.parametrize("spoiled", [False, True])
def test_the_first_error_of_a_capture_is_the_one_that_is_seen(strict, error, expected, spoiled):
    """And the stream captures no more, and the collector is on again, whatever happened."""

    def call():
        if spoiled:
            with pytest.raises(RuntimeError):
                strict.synchronize()  # CUDA gives the capture up; end_capture will say so too
        raise error

    strict.enter()
    before = strict.cp.cuda.get_current_stream()
    with pytest.raises(expected, match=None if isinstance(error, KeyboardInterrupt) else str(error.args[0])):
        strict.graph(call)
    assert not strict.stream.is_capturing() and gc.isenabled()
    assert strict.cp.cuda.get_current_stream() is before


def test_a_capture_that_was_spoiled_silently_is_an_error(strict):
    def call():
        with pytest.raises(RuntimeError):
            strict.synchronize()

    with pytest.raises(BackendError, match="cannot be a graph: cudaErrorStreamCaptureInvalidated"):
        strict.graph(call)


def test_what_must_be_ready_before_a_capture_is_refused_inside(strict):
    """Compiling and loading a kernel, and cuBLAS's handle: CUDA calls that a capture does not stand."""
    with pytest.raises(BackendError, match="compiled and loaded during stream capture"):
        strict.graph(lambda: strict.module(SOURCE).kernel("shift"))
    mine = StrictBackend()
    x = mine.array(np.ones((2, 2)))
    with pytest.raises(BackendError, match="cublasCreate_v2"):
        mine.graph(lambda: mine.xp.matmul(x, x))
    mine.xp.matmul(x, x)
    mine.graph(lambda: mine.xp.matmul(x, x)).launch()


@pytest.mark.parametrize("enabled", [True, False])
def test_no_finaliser_runs_inside_a_capture(strict, enabled):
    """One might free memory or destroy an event, which would be captured or break the capture."""
    seen = []
    (gc.enable if enabled else gc.disable)()
    try:
        strict.graph(lambda: seen.append(gc.isenabled()))
        assert seen == [False] and gc.isenabled() is enabled
    finally:
        gc.enable()


def test_a_graph_can_be_launched_by_another_thread(strict):
    x = strict.array(np.ones(3))
    graph = strict.graph(lambda: strict.xp.multiply(x, 2.0, out=x))
    thread = threading.Thread(target=graph.launch)
    thread.start()
    thread.join(60)
    assert strict.to_host(x).tolist() == [2.0] * 3


@pytest.mark.parametrize("other", ["calls", "captures"])
def test_a_capture_holds_nothing_of_other_threads(strict, other):
    """What another thread does meanwhile runs at once, can be waited for, and is in no graph but its own."""
    x, y, out = (strict.array(np.full((2, 2), 3.0)) for _ in range(3))
    first = strict.xp.matmul(x, x)
    begun, done, seen, null = threading.Event(), threading.Event(), [], strict.cp.cuda.Stream.null

    def work():
        strict.xp.add(y, 1.0, out=y)
        strict.xp.matmul(y, y, out=out)

    def meanwhile():
        assert begun.wait(60)
        strict.synchronize()
        null.use()
        strict.cp.ones(2)  # of a program beside: a capture on a stream that blocks would forbid it
        null.synchronize()
        work()
        if other == "captures":
            strict.graph(work).launch()
        strict.synchronize()
        seen.append((strict.to_host(y)[0, 0], strict.to_host(out)[0, 0], gc.isenabled()))
        done.set()

    def call():
        begun.set()
        assert done.wait(60)
        strict.xp.matmul(x, x, out=first)

    thread = threading.Thread(target=meanwhile)
    thread.start()
    graph = strict.graph(call)
    thread.join(60)
    times = 1 + (other == "captures")
    assert seen == [(3.0 + times, 2 * (3.0 + times) ** 2, False)] and gc.isenabled()
    strict.xp.copyto(first, y)
    graph.launch()
    assert strict.to_host(first)[0, 0] == 18.0 and strict.to_host(y)[0, 0] == 3.0 + times


def test_a_program_that_uses_cupy_beside_the_backend_does_not_lose_its_stream(strict):
    """At the end of its ``with`` CuPy makes the null stream current, whichever was before."""
    cp, x, y = strict.cp, strict.array(np.ones((2, 2))), strict.xp.zeros((2, 2), "float64")
    graph = strict.graph(lambda: strict.xp.add(x, 1.0, out=x))
    with cp.cuda.Stream(non_blocking=True):
        pass
    assert cp.cuda.get_current_stream() == cp.cuda.Stream.null
    strict.to_host(y.T[:1])  # is copied ``with stream:`` by CuPy itself
    y += 1.0
    for step in (graph.launch, lambda: strict.xp.matmul(x, x, out=y), lambda: strict.xp.add(x, 1.0, out=x)):
        step()  # on another stream they would be refused as unordered
        cp.cuda.Stream.null.use()
    assert strict.to_host(y)[0, 0] == 8.0 and strict.to_host(x)[0, 0] == 3.0


def test_what_loses_the_stream_is_seen(monkeypatch):
    """A backend that enters once, and captures ``with`` its stream: all is unordered after a first graph."""

    @contextmanager
    def capturing(self):
        with self.stream:
            yield self.stream

    def enter(self):
        if self not in entered:
            entered.append(self.stream.use() and self)

    entered, mine = [], StrictBackend()
    monkeypatch.setattr(CudaBackend, "enter", enter)
    monkeypatch.setattr(CudaBackend, "capturing", capturing)
    x = mine.array(np.ones((2, 2)))
    mine.xp.matmul(x, x)
    mine.graph(lambda: mine.xp.add(x, 1.0, out=x)).launch()
    for step in (lambda: mine.xp.add(x, x), lambda: mine.to_host(x), lambda: mine.array([1.0, 2.0]),
                 lambda: mine.xp.copyto(x, 0.0), lambda: mine.xp.add.reduce(x)):  # fmt: skip
        with pytest.raises(UnorderedWorkError, match="the null stream after work on stream"):
            step()


def test_a_graph_inside_a_capture_is_a_part_of_it(strict):
    x = strict.array(np.ones(3))
    inner = strict.graph(lambda: strict.xp.multiply(x, 2.0, out=x))
    outer = strict.graph(lambda: (inner.launch(), inner.launch()))
    assert strict.to_host(x)[0] == 1.0
    outer.launch()
    assert strict.to_host(x)[0] == 4.0


@pytest.mark.gpu
def test_a_gpu_trains_as_numpy_does():
    """The one test here that needs a GPU: the same losses, up to the order of sums."""
    try:
        cupy = backends.get("cupy")
    except BackendError as error:
        pytest.skip(f"no test runs on a GPU: {error}")
    losses = []
    for backend in (backends.numpy_backend, cupy):
        step, state, batches = trained(backend)
        program = capture(step, batches[0], state=state, execution="recorded")
        losses.append([program.outputs.item()] + [program(x).item() for x in batches[1:]])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
