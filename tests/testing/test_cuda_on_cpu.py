"""CUDA C on the CPU: what threads and blocks see, barriers, shuffles, refusals, and sanitizers."""

import re
import shutil
import threading

import numpy as np
import pytest

from minigan.backend import BackendError, kernels
from minigan.testing import cuda_on_cpu
from minigan.testing.cuda_on_cpu import HostModule, SanitizerError

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")

SOURCE = r"""
extern "C" __global__ void axpy(int n, float a, const float* x, float* y) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = a * x[i] + y[i];
}

extern "C" __global__ void indices(int* out) {
    const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const int threads = blockDim.x * blockDim.y * blockDim.z;
    const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    int* own = out + 6 * (block * threads + thread);
    own[0] = threadIdx.x, own[1] = threadIdx.y, own[2] = threadIdx.z;
    own[3] = blockIdx.x, own[4] = blockIdx.y, own[5] = blockIdx.z;
}

extern "C" __global__ void __launch_bounds__(256, 2)
total(int n, const float* x, float* sum) {
    DYNAMIC_SHARED(float, part);
    const int t = threadIdx.x;
    float s = 0;
    for (int i = t; i < n; i += blockDim.x) s += x[i];
    part[t] = s;
    __syncthreads();
    for (int k = blockDim.x / 2; k; k /= 2) {
        if (t < k) part[t] += part[t + k];
        __syncthreads();
    }
    if (t == 0) sum[blockIdx.x] = part[0];
}

// Each thread adds up its neighbours' numbers, again and again, on both sides of a barrier.
extern "C" __global__ void life(int rounds, unsigned* cells) {
    __shared__ unsigned now[128];
    const int t = threadIdx.x, n = blockDim.x;
    now[t] = cells[t];
    __syncthreads();
    for (int r = 0; r < rounds; r++) {
        const unsigned next = now[(t + n - 1) % n] + 3 * now[t] + 5 * now[(t + 1) % n];
        __syncthreads();  // all have read
        now[t] = next;
        __syncthreads();
    }
    cells[t] = now[t];
}

// Reads what the thread before has written: right without a barrier too, if threads run in their order.
extern "C" __global__ void chain(int* out) {
    __shared__ int x[64];
    const int t = threadIdx.x;
    x[t] = 0;
    for (int k = 0; k < 3; k++) __syncthreads();
    x[t] = 1 + t;
    __syncthreads();  // all have written
    out[t] = t ? x[t - 1] : 0;
}

extern "C" __global__ void unset(float* dynamic, float* fixed, double* wide) {
    DYNAMIC_SHARED(float, part);
    __shared__ float own[2];
    __shared__ double owned;
    dynamic[blockIdx.x] = part[0], fixed[blockIdx.x] = own[1], wide[blockIdx.x] = owned;
    part[0] = own[1] = owned = 1;
}

extern "C" __global__ void shuffles(const int* x, int* out) {
    const int t = threadIdx.x, n = blockDim.x;
    out[t] = __shfl_xor_sync(~0u, x[t], 5);
    out[n + t] = __shfl_down_sync(~0u, x[t], 3);
    out[2 * n + t] = __shfl_up_sync(~0u, x[t], 3);
    out[3 * n + t] = __shfl_sync(~0u, x[t], 7);
    int sum = x[t];
    for (int k = 16; k; k /= 2) sum += __shfl_xor_sync(~0u, sum, k);
    out[4 * n + t] = sum;
}

extern "C" __global__ void atomics(int* counts, float* sum, unsigned* most, unsigned* all) {
    atomicAdd(&counts[threadIdx.x % 3], 1), atomicAdd(sum, 0.5f);
    atomicMax(most, threadIdx.x), atomicOr(all, 1u << threadIdx.x % 32);
}

extern "C" __global__ void numbers(const float* x, float* out, const unsigned* u, unsigned* high) {
    out[0] = __fadd_rn(__fmul_rn(x[0], x[1]), x[2]), out[1] = x[0] * x[1] + x[2];
    out[2] = fmaf(x[0], x[1], x[2]);
    out[3] = rsqrtf(x[3]), out[4] = __fsqrt_rn(x[3]), out[5] = cospif(x[4]), out[6] = max(x[0], x[3]);
    sincospif(x[4], &out[7], &out[8]);
    high[0] = __umulhi(u[0], u[1]), high[1] = __float_as_uint(x[0]);
}

extern "C" __global__ void some_wait(float* y) {
    if (threadIdx.x < 3) __syncthreads();
    y[threadIdx.x] = 1;
}
extern "C" __global__ void different_barriers(float* y) {
    if (threadIdx.x < 3) __syncthreads(); else __syncwarp();
    y[threadIdx.x] = 1;
}
extern "C" __global__ void beyond(float* y) {
    DYNAMIC_SHARED(float, part);
    part[threadIdx.x] = 1;
    y[threadIdx.x] = 1;
}
extern "C" __global__ void race(int* y) {
    __shared__ int x[16];
    x[threadIdx.x] = threadIdx.x;
    y[threadIdx.x] = x[15 - threadIdx.x];
}
extern "C" __global__ void outside(int* y) {
    __shared__ int x[16];
    x[threadIdx.x] = 1;
    y[0] = x[15];
}
extern "C" __global__ void shift(int by, int* y) { y[0] = 1 << by; }
"""


def only(*names):
    """The source of these kernels alone, which compilers are sooner through with."""
    parts = SOURCE.split('extern "C"')[1:]
    wanted = [part for part in parts if re.search(r"(\w+)\([^()]*\) {", part)[1] in names]
    assert len(wanted) == len(names)
    return kernels.source() + "".join(f'extern "C"{part}' for part in wanted)


@pytest.fixture(scope="module")
def module():
    return HostModule(kernels.source() + SOURCE)


def i4(n):
    return np.int32(n)


# What a kernel sees


def test_a_grid_of_blocks(module):
    x, y = np.arange(1000, dtype="f4"), np.ones(1024, "f4")
    module.kernel("axpy")((4,), (256,), (i4(1000), np.float32(2), x, y))
    np.testing.assert_array_equal(y[:1000], 2 * x + 1)
    np.testing.assert_array_equal(y[1000:], 1)


def test_every_thread_has_its_indices(module):
    out = np.full((3 * 2 * 2, 4 * 3 * 2, 6), -1, "i4")
    module.kernel("indices")((3, 2, 2), (4, 3, 2), (out,))
    expected = [(x, y, z, i, j, k) for k in range(2) for j in range(2) for i in range(3)
                for z in range(2) for y in range(3) for x in range(4)]  # fmt: skip
    np.testing.assert_array_equal(out.reshape(-1, 6), expected)


def test_barriers_and_dynamic_shared_memory(module):
    x, out = np.arange(1000, dtype="f4"), np.zeros(3, "f4")
    for threads in (1, 32, 128, 1024):
        module.kernel("total")((3,), (threads,), (i4(1000), x, out), 4 * threads)
        np.testing.assert_array_equal(out, [499_500] * 3)


def test_threads_wait_for_each_other(module):
    cells = np.arange(1, 129, dtype="u4")
    expected = cells.copy()
    for _ in range(50):
        expected = np.roll(expected, 1) + 3 * expected + 5 * np.roll(expected, -1)
    module.kernel("life")((1,), (128,), (i4(50), cells))
    np.testing.assert_array_equal(cells, expected)


def test_a_missing_barrier_shows_in_the_numbers(module):
    """Without sanitizers too: the order of the threads changes at each barrier."""
    broken = HostModule(only("life", "chain").replace("__syncthreads();  // all have", "// all have"))
    right, wrong = (np.arange(1, 129, dtype="u4") for _ in range(2))
    module.kernel("life")((1,), (128,), (i4(3), right))
    broken.kernel("life")((1,), (128,), (i4(3), wrong))
    assert (right != wrong).any()
    right, wrong = np.zeros(64, "i4"), np.zeros(64, "i4")
    module.kernel("chain")((1,), (64,), (right,))
    broken.kernel("chain")((1,), (64,), (wrong,))
    np.testing.assert_array_equal(right, np.arange(64))
    assert (right != wrong).any()


def test_shared_memory_is_nan_when_a_block_starts(module):
    out = [np.zeros(3, "f4"), np.zeros(3, "f4"), np.zeros(3, "f8")]
    module.kernel("unset")((3,), (1,), out, 16)
    for values in out:
        assert np.isnan(values).all()


def test_shuffles_stay_within_their_warp(module):
    n, x = 64, np.random.default_rng(0).integers(0, 1000, 64).astype("i4")
    out = np.zeros((5, n), "i4")
    module.kernel("shuffles")((1,), (n,), (x, out))
    lane, warp = np.arange(n) % 32, np.arange(n) // 32 * 32
    np.testing.assert_array_equal(out[0], x[warp + (lane ^ 5)])
    np.testing.assert_array_equal(out[1], np.where(lane + 3 < 32, x[np.minimum(warp + lane + 3, n - 1)], x))
    np.testing.assert_array_equal(out[2], np.where(lane - 3 >= 0, x[warp + np.maximum(lane - 3, 0)], x))
    np.testing.assert_array_equal(out[3], x[warp + 7])
    np.testing.assert_array_equal(out[4], np.repeat(x.reshape(2, 32).sum(1), 32))


def test_atomics(module):
    counts, total, most, bits = np.zeros(3, "i4"), np.zeros(1, "f4"), np.zeros(1, "u4"), np.zeros(1, "u4")
    module.kernel("atomics")((2,), (100,), (counts, total, most, bits))
    assert counts.tolist() == [68, 66, 66] and total == 100 and most == 99 and bits == 2**32 - 1


def test_arithmetic_is_rounded_as_it_is_written(module):
    x = np.array([1 + 2**-13, 1 - 2**-13, -1.0, 2.0, 0.25], "f4")
    out, u, high = np.zeros(9, "f4"), np.array([0xD2511F53, 0x80000001], "u4"), np.zeros(2, "u4")
    module.kernel("numbers")((1,), (1,), (x, out, u, high))
    assert out[0] == out[1] == np.float32(x[0] * x[1]) + x[2] != out[2] == -(2.0**-26)
    np.testing.assert_allclose(out[3:], [0.5**0.5, 2**0.5, 0.5**0.5, 2.0, 0.5**0.5, 0.5**0.5], 1e-7)
    assert high.tolist() == [0xD2511F53 * 0x80000001 >> 32, x.view("u4")[0]]


def test_a_view_begins_where_it_begins(module):
    x, y = np.arange(10, dtype="f4"), np.zeros(10, "f4")
    module.kernel("axpy")((1,), (4,), (i4(4), np.float32(1), x[3:], y[5:]))
    np.testing.assert_array_equal(y, [0, 0, 0, 0, 0, 3, 4, 5, 6, 0])


def test_several_python_threads_launch(module):
    cells = [np.arange(1, 129, dtype="u4") for _ in range(5)]
    kernel = module.kernel("life")

    def run(own):
        for _ in range(5):
            kernel((1,), (128,), (i4(100), own))

    run(cells[0])
    threads = [threading.Thread(target=run, args=(own,)) for own in cells[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in cells[1:]:
        np.testing.assert_array_equal(own, cells[0])


# Refusals


X = np.zeros(8, "f4")


@pytest.mark.rows(("name", "grid", "block", "args", "shared", "words"), [
    ("axpy", (1,), (1,), (8, np.float32(1), X, X), 0, "argument 1: 8 has no type"),
    ("axpy", (1,), (1,), (i4(8), 1.0, X, X), 0, "argument 2: 1.0 has no type"),
    ("axpy", (1,), (1,), (np.int64(8), np.float32(1), X, X), 0, "takes int32; received int64"),
    ("axpy", (1,), (1,), (np.uint32(8), np.float32(1), X, X), 0, "takes int32; received uint32"),
    ("axpy", (1,), (1,), (i4(8), np.float64(1), X, X), 0, "takes float32; received float64"),
    ("axpy", (1,), (1,), (i4(8), np.float32(1), X.astype("f8"), X), 0, "argument 3: .* takes float32"),
    ("axpy", (1,), (1,), (i4(8), np.float32(1), np.float32(1), X), 0, "argument 3: .* takes an array"),
    ("axpy", (1,), (1,), (X, np.float32(1), X, X), 0, "argument 1: the kernel takes a NumPy scalar"),
    ("axpy", (1,), (1,), (i4(8), np.float32(1), None, X), 0, "received NoneType"),
    ("axpy", (1,), (1,), (i4(8), np.float32(1), X), 0, "takes 4 arguments; received 3"),
    ("axpy", (0,), (1,), (i4(8), np.float32(1), X, X), 0, "a grid has"),
    ("axpy", (1, 70_000), (1,), (i4(8), np.float32(1), X, X), 0, "a grid has"),
    ("axpy", (1,), (2048,), (i4(8), np.float32(1), X, X), 0, "a block has"),
    ("axpy", (1,), (1, 1, 1, 1), (i4(8), np.float32(1), X, X), 0, "a block has"),
    ("axpy", (1,), (64, 64), (i4(8), np.float32(1), X, X), 0, "at most 1024 threads"),
    ("beyond", (1,), (1,), (X,), 49_153, "set the kernel's max_dynamic_shared_size_bytes"),
    ("beyond", (1,), (8,), (X,), 16, "wrote beyond its dynamic shared memory"),
    ("some_wait", (1,), (8,), (X,), 0, "different barriers, or some have returned"),
    ("different_barriers", (1,), (32,), (np.zeros(32, "f4"),), 0, "at different barriers"),
    ("nothing", (1,), (1,), (), 0, "has no kernel nothing; its kernels are: axpy, "),
])  # fmt: skip
def test_refusals(module, name, grid, block, args, shared, words):
    with pytest.raises(BackendError, match=words):
        module.kernel(name)(grid, block, args, shared)


def test_after_a_launch_that_failed_the_next_is_right(module):
    with pytest.raises(BackendError):
        module.kernel("some_wait")((1,), (8,), (np.zeros(8, "f4"),))
    test_barriers_and_dynamic_shared_memory(module)


def test_more_shared_memory_has_to_be_asked_for(module):
    kernel, y = module.kernel("beyond"), np.zeros(4, "f4")
    with pytest.raises(BackendError, match="at most 232448 bytes"):
        kernel.max_dynamic_shared_size_bytes = 232_449
    kernel.max_dynamic_shared_size_bytes = 100_000
    kernel((1,), (4,), (y,), 100_000)
    assert y.tolist() == [1] * 4


def test_what_does_not_compile_is_told_with_its_line():
    with pytest.raises(BackendError, match=r"kernel\.cu:2:.*error: .*undeclared_thing"):
        HostModule('extern "C" __global__ void f(int* x) {\n    x[0] = undeclared_thing;\n}\n')


def test_without_a_compiler_the_error_says_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BackendError, match="install g\\+\\+"):
        HostModule('extern "C" __global__ void never_seen_before(int* x) { x[0] = 1; }')


def test_a_source_is_compiled_once(module, monkeypatch):
    monkeypatch.setattr(cuda_on_cpu.subprocess, "run", None)
    assert HostModule(kernels.source() + SOURCE).path == module.path


def test_an_unknown_sanitizer_is_refused():
    with pytest.raises(ValueError, match="thread, address, undefined"):
        HostModule(SOURCE, sanitizer="memory")


# Sanitizers


def test_races_are_reported_and_barriers_understood():
    watched = HostModule(only("life", "shuffles", "atomics", "race"), sanitizer="thread")
    cells = np.arange(1, 17, dtype="u4")
    expected = cells.copy()
    for _ in range(3):
        expected = np.roll(expected, 1) + 3 * expected + 5 * np.roll(expected, -1)
    watched.kernel("life")((1,), (16,), (i4(3), cells))
    np.testing.assert_array_equal(cells, expected)
    out, x = np.zeros((5, 32), "i4"), np.arange(32, dtype="i4")
    watched.kernel("shuffles")((1,), (32,), (x, out))
    np.testing.assert_array_equal(out[0], x ^ 5)
    atomics = np.zeros(3, "i4"), np.zeros(1, "f4"), np.zeros(1, "u4"), np.zeros(1, "u4")
    watched.kernel("atomics")((1,), (16,), atomics)
    assert atomics[1] == 8
    with pytest.raises(SanitizerError, match="data race"):
        watched.kernel("race")((1,), (16,), (np.zeros(16, "i4"),))


def test_accesses_out_of_bounds_are_reported():
    watched = HostModule(only("total", "outside", "shift"), sanitizer="address")
    x, out = np.ones(64, "f4"), np.zeros(1, "f4")
    watched.kernel("total")((1,), (16,), (i4(64), x, out), 64)
    assert out == 64
    for n, shared in ((65, 64), (64, 60)):  # an array, and shared memory
        with pytest.raises(SanitizerError, match="heap-buffer-overflow"):
            watched.kernel("total")((1,), (16,), (i4(n), x, out), shared)
    with pytest.raises(SanitizerError, match="index 16 out of bounds"):  # an array of fixed size
        watched.kernel("outside")((1,), (17,), (np.zeros(1, "i4"),))
    with pytest.raises(SanitizerError, match="shift exponent 40"):
        watched.kernel("shift")((1,), (1,), (i4(40), np.zeros(1, "i4")))
    with pytest.raises(BackendError, match="C-contiguous"):
        watched.kernel("total")((1,), (16,), (i4(8), x[::2], out), 64)
