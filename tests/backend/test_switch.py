"""The switch: names, types, and what is refused."""

import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minigan import backend as backends


def test_names_lead_to_backends():
    assert backends.get("numpy") is backends.numpy_backend
    assert backends.get("strict").name == "strict"
    assert backends.get("strict") is backends.get("strict")
    assert backends.get().name in ("numpy", "cupy")
    assert backends.get("auto").name in ("numpy", "cupy")


@pytest.mark.rows("name", ["gpu", "NumPy", "", None])
def test_another_name_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match=r"numpy, cupy, strict, auto; received " + repr(name)):
        backends.get(name)


@pytest.mark.gpu
def test_cupy_is_a_backend_or_a_sentence():
    try:
        cupy = backends.get("cupy")
    except backends.BackendError as error:
        assert "CuPy" in str(error)  # what is missing
        assert str(error).endswith("; or use --backend numpy")  # and what to use instead
        pytest.skip(f"no test runs on a GPU: {error}")
    assert cupy.name == "cupy" and backends.get("auto") is cupy


def test_a_run_of_the_tests_says_whether_a_gpu_ran_and_can_insist_on_one():
    tests = Path(__file__).parents[1]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-p",
        "no:cacheprovider",
        str(tests / "backend" / "test_numpy.py"),
    ]
    environ = {**os.environ, "PYTHONPATH": str(tests.parent)}
    runs = [
        subprocess.run(
            [*command, *more], cwd=tests.parent, env=environ, capture_output=True, text=True, timeout=120
        )
        for more in ([], ["--require-gpu"])
    ]
    said = re.search("GPU kernels executed: (.+)", runs[0].stdout)[1]
    if runs[1].returncode == 0:
        assert said.startswith("yes, CuPy ")
    else:
        assert said == "no (strict device and host-compiled kernels)"
        assert runs[1].returncode == pytest.ExitCode.USAGE_ERROR and "--require-gpu: " in runs[1].stderr


def test_the_backend_is_read_off_the_array(backend):
    a = backend.array([1.0, 2.0])
    assert backends.of(a) is backend
    assert type(a) is backend.array_type


@pytest.mark.rows("value", [[1.0], 1.0, np.float64(1.0), "x", None, np.ma.masked_array([1.0])])
def test_what_is_no_array_of_a_backend_is_refused(value):
    with pytest.raises(
        TypeError, match=f"{type(value).__name__} is not an array of a loaded backend .*minigan.constant"
    ):
        backends.of(value)


def test_of_a_data_frame_its_array_is_asked_for():
    class DataFrame:
        def to_numpy(self):
            return np.ones((2, 1))

    with pytest.raises(TypeError, match=r"DataFrame is not .*a data frame among them, are its to_numpy\(\)"):
        backends.of(DataFrame())


def test_what_a_gpu_sums_in_another_order_agrees_to_a_bound(same_bits):
    """And anywhere else to the last bit; indices do everywhere."""
    x = np.linspace(-1.0, 1.0, 9)
    gpu, near = SimpleNamespace(name="cupy"), x + 1e-12
    same_bits(gpu, near, x)
    for backend, ours, its in (
        (SimpleNamespace(name="strict"), near, x), (gpu, x + 1e-8, x), (gpu, np.arange(3), np.arange(3) + 1),
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            same_bits(backend, ours, its)


@pytest.mark.rows("dtype", ["float32", "float64"])
def test_values_go_in_and_come_out_as_copies(backend, dtype):
    host = np.arange(6, dtype=dtype).reshape(2, 3)
    device = backend.array(host)
    host[:] = -1.0
    out = backend.to_host(device)
    assert type(out) is np.ndarray and out.dtype == dtype
    np.testing.assert_array_equal(out, [[0, 1, 2], [3, 4, 5]])
    out[:] = 7.0
    np.testing.assert_array_equal(backend.to_host(device), [[0, 1, 2], [3, 4, 5]])


def test_array_takes_a_dtype_and_device_arrays(backend):
    a = backend.array([1, 2], "float32")
    assert a.dtype == np.float32
    b = backend.array(a)
    a[0] = 5.0
    np.testing.assert_array_equal(backend.to_host(b), [1.0, 2.0])


def test_owner_finds_the_memory_behind_every_view(backend):
    xp, a = backend.xp, backend.array(np.arange(24.0).reshape(2, 3, 4))
    views = [
        a[1:],
        a[0],
        a[..., 1:3],
        a.reshape(6, 4),
        xp.swapaxes(a, -1, -2),
        xp.broadcast_to(a, (5, 2, 3, 4)),
        xp.swapaxes(a[1:].reshape(3, 4), 0, 1)[2:],
        xp.broadcast_to(a[:, :1], (2, 3, 4))[1],
    ]
    assert backends.owner(a) is a
    for view in views:
        assert backends.owner(view) is a
    assert backends.owner(xp.swapaxes(a, -1, -2).reshape(24)) is not a  # this reshape has to copy


def test_owner_of_memory_that_is_no_array():
    a = np.frombuffer(bytes(16), np.float64)
    assert backends.owner(a) is a
    assert backends.owner(a[1:]) is a


def test_of_never_registers_anything():
    class Unknown:
        pass

    for _ in range(2):
        with pytest.raises(TypeError):
            backends.of(Unknown())
    gc.collect()
    assert all("Unknown" not in kind.__name__ for kind in backends._BY_TYPE)


def test_description_and_repr(backend):
    assert repr(backend) == f"<backend {backend.name}>"
    assert len(backend.describe()) > 10
