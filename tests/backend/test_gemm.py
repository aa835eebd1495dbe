"""The product of our own: right for any sizes and strides, and without races, as the sanitizers see."""

import shutil

import numpy as np
import pytest

from minigan.backend.cublas import Gemm, Tiles
from minigan.backend.kernels import source
from minigan.testing.cuda_on_cpu import HostModule, SanitizerError

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")

GEMM = source("gemm")
SINGLE = GEMM[: GEMM.rindex('extern "C"')]  # without the kernel for float64, which costs compilers time
EXACT = {"float32": 2e-6, "float64": 4e-15}


@pytest.fixture
def gemm(device):
    return Gemm(device.cp, device.current, False, module=device.module)


@pytest.fixture(scope="module")
def kernels():
    if shutil.which("g++") is None:
        pytest.skip("there is no g++ here")
    module = HostModule(GEMM)
    return {name: module.kernel(f"gemm_{name}") for name in EXACT}


def launch(kernel, a, b, c, alpha=1.0, beta=0.0, blocks=None):
    """One product of NumPy arrays, which may lie in memory as they like."""
    (m, k), n, number = a.shape, b.shape[1], a.dtype.type
    where = []
    for x in (a, b, c):
        where += [x, np.int64(0), *(np.int64(s // x.itemsize) for s in x.strides), np.int64(0)]
    grid = blocks or (-(-n // Tiles.TILE), -(-m // Tiles.TILE), 1)
    sizes = map(np.int32, (m, n, k, 1))
    kernel(grid, (Tiles.THREADS, 1, 1), [*sizes, number(alpha), number(beta), *where])


def close(found, a, b, extra=0.0):
    """Whether a product, and what it was added to, is right up to the rounding of its sums."""
    exact = a.astype("f8") @ b.astype("f8") + extra
    scale = np.abs(a).astype("f8") @ np.abs(b).astype("f8") + np.abs(extra) + 1e-300
    return np.max(np.abs(found - exact) / scale, initial=0.0) < EXACT[a.dtype.name]


SIZES = [(1, 1, 1), (1, 1, 200), (64, 64, 16), (63, 65, 17), (65, 63, 15), (128, 1, 32), (1, 130, 5),
         (130, 70, 64), (2, 3, 0)]  # fmt: skip


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_any_sizes_and_either_order_in_memory(kernels, dtype, m, n, k):
    rng = np.random.default_rng(0)
    for flips in np.ndindex(2, 2, 2):
        a, b, c = (
            rng.standard_normal(shape[::-1] if flip else shape).astype(dtype)
            for shape, flip in zip(((m, k), (k, n), (m, n)), flips, strict=True)
        )
        a, b, c = (x.T if flip else x for x, flip in zip((a, b, c), flips, strict=True))
        before = c.astype("f8")
        launch(kernels[dtype], a, b, c)
        assert close(c, a, b)
        launch(kernels[dtype], a, b, c, alpha=2.0, beta=-0.5)
        assert close(c, 2 * a, b, -0.5 * (a.astype("f8") @ b.astype("f8")))
        c[...] = np.nan  # which a β of 0 must not read
        launch(kernels[dtype], a, b, c)
        assert close(c, a, b) and before.shape == c.shape


@pytest.mark.parametrize("dtype", EXACT)
def test_replicas_and_views_on_a_device(device, gemm, dtype):
    rng = np.random.default_rng(1)
    for _ in range(40):
        m, n, k = (int(x) for x in rng.integers(1, 40, 3))
        leading = tuple(int(x) for x in rng.integers(1, 4, rng.integers(0, 3)))
        a = rng.standard_normal((*leading, m + 2, k + 1)).astype(dtype)
        b = rng.standard_normal((*leading[1:], n, k)).astype(dtype)
        here = a[..., 1:-1, 1:], b.swapaxes(-1, -2)
        there = device.array(a)[..., 1:-1, 1:], device.array(b).swapaxes(-1, -2)
        out = gemm(*there)
        exact = here[0].astype("f8") @ here[1].astype("f8")
        np.testing.assert_allclose(device.to_host(out), exact, 1e-4, 1e-5)
        added = device.xp.zeros((*exact.shape[:-2], n, m), dtype).swapaxes(-1, -2)
        for _ in range(2):
            gemm(*there, added, accumulate=True)
        np.testing.assert_allclose(device.to_host(added), 2 * exact, 1e-4, 2e-5)


def test_replicas_have_the_bits_of_one_alone(device, gemm):
    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal((5, 33, 33)).astype("float32") for _ in range(2))
    together = device.to_host(gemm(device.array(a), device.array(b)))
    for k in range(5):
        np.testing.assert_array_equal(
            together[k], device.to_host(gemm(device.array(a[k]), device.array(b[k])))
        )


def test_more_replicas_than_a_grid_has_layers(device, monkeypatch, gemm):
    monkeypatch.setattr(gemm.products, "MOST_BATCHES", 3, raising=False)
    a = np.random.default_rng(3).standard_normal((8, 4, 4)).astype("float32")
    np.testing.assert_allclose(device.to_host(gemm(device.array(a), device.array(a))), a @ a, 1e-5, 1e-6)


def test_products_are_captured(device, gemm):
    """What CuPy's own refuse."""
    rng = np.random.default_rng(4)
    a, b = (device.array(rng.standard_normal((20, 20)).astype("float32")) for _ in range(2))
    out = device.xp.zeros((20, 20), "float32")
    gemm(a, b, out)
    graph = device.graph(lambda: gemm(a, b, out))
    device.xp.copyto(a, device.xp.add(a, 1.0))
    graph.launch()
    np.testing.assert_allclose(device.to_host(out), device.to_host(a) @ device.to_host(b), 1e-4, 1e-4)


# The sanitizers


def operands(m=20, n=33, k=20):
    rng = np.random.default_rng(5)
    return [rng.standard_normal(shape).astype("float32") for shape in ((m, k), (k, n), (m, n))]


@needs_compiler
def test_its_threads_do_not_race():
    a, b, c = operands()
    launch(HostModule(SINGLE, sanitizer="thread").kernel("gemm_float32"), a, b, c)
    assert close(c, a, b)


@needs_compiler
@pytest.mark.parametrize("which", [0, 1])
def test_without_one_barrier_they_race(which):
    """One by one, so that both are known to be needed."""
    parts = SINGLE.split("__syncthreads();")
    assert len(parts) == 3
    broken = "__syncthreads();".join(parts[: which + 1]) + "__syncthreads();".join(parts[which + 1 :])
    assert broken.count("__syncthreads();") == 1
    with pytest.raises(SanitizerError, match=r"data race[\s\S]*kernel\.cu"):
        launch(HostModule(broken, sanitizer="thread").kernel("gemm_float32"), *operands())


@needs_compiler
def test_it_stays_within_its_arrays():
    kernel = HostModule(SINGLE, sanitizer="address").kernel("gemm_float32")
    for sizes in ((20, 33, 20), (65, 1, 3)):
        a, b, c = operands(*sizes)
        launch(kernel, a, b, c)
        assert close(c, a, b)
    a, b, c = operands()
    beyond = [np.int64(x) for x in (1, 20, 1, 0)]  # an offset of 1
    inside = [np.int64(x) for x in (0, 33, 1, 0)]
    sizes, factors = map(np.int32, (20, 33, 20, 1)), (np.float32(1), np.float32(0))
    with pytest.raises(SanitizerError, match="heap-buffer-overflow"):
        kernel((1,), (Tiles.THREADS,), [*sizes, *factors, a, *beyond, b, *inside, c, *inside])
