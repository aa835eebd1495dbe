"""NVIDIA GPUs through CuPy: the only file that imports it.

``CudaBackend`` is built on a library object that is CuPy, or what stands in for it (minigan.testing.strict),
so what is tested without a GPU is the code that runs on one. All work goes to one stream, which every thread
that calls the backend makes its current one; only what is captured goes to another, the thread's own, so
that a capture holds nothing of other threads.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Self

import numpy as np

from minigan.backend import Array, Backend, BackendError, owner
from minigan.backend.cublas import Gemm
from minigan.backend.launches import CudaGraph, Module

OLDEST = 14  # of CuPy's major versions: before it, NumPy scalars did not promote as NumPy's own do
NO_DRIVER, NO_DEVICE, OUT_OF_DEVICE_MEMORY = 35, 100, 2  # statuses of CUDA
INSTALL = "pip install 'minigan[cuda13]', or 'minigan[cuda13-ctk]' where there is no CUDA toolkit"


class DeviceMemoryError(BackendError, MemoryError):
    """The GPU has no room for an array."""


class CudaBackend(Backend):
    """The switch's ``cupy`` position.

    cp      CuPy, or what stands in for it
    stream  where all work goes
    """

    name, device = "cupy", "gpu"
    quick_compiler = True  # whether CUDA C is compiled in well under a second, as by NVRTC
    tf32 = False  # whether float32 products by cuBLAS may round their factors to 10 bits

    def __init__(self, cp: Any, library: Any = None) -> None:
        self.cp, self.array_type, self._library = cp, cp.ndarray, library
        self.stream = cp.cuda.Stream(non_blocking=True)
        self._thread = _Streams(self.stream)
        self._current = cp.cuda.get_current_stream
        self.xp = CudaNamespace(self)

    def current(self) -> Any:
        """The stream to which the work of this thread goes: the backend's, or another while it captures."""
        return self._thread.stream

    def enter(self) -> None:
        """Make that stream CuPy's current one, as each entry does.

        Each time, since CuPy forgets it: at the end of ``with another_stream:`` the null stream is current.
        """
        stream = self._thread.stream
        if self._current() is not stream:
            stream.use()

    @contextmanager
    def capturing(self) -> Iterator[Any]:
        """Within it the work of this thread goes to the stream that is given, on which it may capture."""
        thread = self._thread
        before, own = thread.stream, thread.own or self.cp.cuda.Stream(non_blocking=True)
        thread.stream = thread.own = own
        self.enter()
        try:
            yield own
        finally:
            thread.stream = before
            self.enter()

    def array(self, values: Any, dtype: Any = None) -> Array:
        self.enter()
        try:
            return self.cp.array(values, dtype)
        except MemoryError as error:
            raise self._no_room(error) from None

    def to_host(self, array: Array) -> np.ndarray:
        self.enter()
        try:
            return self.cp.asnumpy(array)
        finally:  # of what is not contiguous CuPy first makes a copy ``with stream:``
            self.enter()

    def span(self, array: Array) -> tuple[int, int]:
        return _span(array.data.ptr, array)

    @cached_property
    def shared_memory(self) -> int:
        """Bytes of shared memory that a thread block can have."""
        return self.cp.cuda.Device().attributes["MaxSharedMemoryPerBlockOptin"]

    def synchronize(self) -> None:
        self.current().synchronize()

    def timer(self) -> Any:
        self.enter()
        return DeviceTimer(self)

    def memory(self) -> dict[str, int]:
        pool, (free, total) = self.cp.get_default_memory_pool(), self.cp.cuda.runtime.memGetInfo()
        used, held = pool.used_bytes(), pool.total_bytes()
        return {"used": used, "held": held, "free": free, "total": total}

    @cached_property
    def gemm(self) -> Gemm:
        """Products of matrices that may be captured."""
        self.enter()
        return Gemm(self.cp, self.current, self._library, module=self.module)

    def module(self, source: str, options: Sequence[str] = ()) -> "Module":
        """CUDA C, compiled: ``module(source).kernel(name)(grid, block, args, shared=0)`` launches one of it.

        Raises:  BackendError – if it does not compile; when the first kernel is asked for
        """
        return Module(self, source, options)

    def graph(self, call: Callable[[], Any], pool: Any = None) -> "CudaGraph":
        """What ``call()`` launches as one graph, which ``.launch()`` runs; nothing runs before.

        The call has run once outside, so that all it needs is loaded, and uses no value of the host that may
        change. What it allocates lives as long as the graph.

        Raises:  BackendError – if it does what a capture cannot hold
        """
        try:
            return CudaGraph(self, call, pool)
        except MemoryError as error:
            raise self._no_room(error) from None

    def sequence(
        self, calls: Sequence[tuple[Any, Callable[[], Any]]], written: Sequence[Array]
    ) -> Callable[[], None]:
        if not calls:
            return lambda: None

        def run() -> None:
            for name, function in calls:
                try:
                    function()
                except (NotImplementedError, RuntimeError) as error:
                    if isinstance(error, MemoryError):
                        raise
                    raise BackendError(f"{name} cannot be part of a graph: {error}") from error

        self.enter()
        memories = {id(a): a for a in map(owner, written)}.values()
        before = [self.cp.array(a) for a in memories]
        with self.cp.cuda.using_allocator(self.cp.cuda.MemoryPool().malloc):  # it gives all back
            try:
                run()  # compiles and loads kernels
            except MemoryError as error:
                raise self._no_room(error) from None
            finally:
                for array, content in zip(memories, before, strict=True):
                    self.cp.copyto(array, content)
        return self.graph(run).launch

    def _no_room(self, error: BaseException) -> MemoryError:
        if isinstance(error, DeviceMemoryError):
            return error
        asked = re.search(r"allocating ([\d,]+) bytes", str(error))
        size = f"{_bytes(int(asked[1].replace(',', '')))} " if asked else ""
        memory = self.memory()
        return DeviceMemoryError(
            f"the GPU has no room for {size}more: {_bytes(memory['used'])} in use by arrays, "
            f"{_bytes(memory['held'] - memory['used'])} kept for later ones, {_bytes(memory['free'])} free; "
            "use a smaller batch or fewer units, or --backend numpy"
        )

    def describe(self) -> str:
        f = self.facts()
        return f"CuPy {f['cupy']} on {f['device']} (CUDA {f['cuda']}, driver {f['driver']})"

    def facts(self) -> dict[str, Any]:
        runtime = self.cp.cuda.runtime
        device = runtime.getDeviceProperties(self.cp.cuda.Device().id)
        name = device["name"]
        return {
            "backend": self.name,
            "device": name.decode() if isinstance(name, bytes) else name,
            "compute_capability": f"{device['major']}.{device['minor']}",
            "multiprocessors": device["multiProcessorCount"],
            "memory": device["totalGlobalMem"],
            "cuda": _version(runtime.runtimeGetVersion()),
            "driver": _version(runtime.driverGetVersion()),
            "cupy": self.cp.__version__,
            "products": self.gemm.maker,
            "numpy": np.__version__,
        }


class CudaNamespace:
    """CuPy's functions, on the backend's stream, with products that may be captured."""

    def __init__(self, backend: CudaBackend) -> None:
        self._backend = backend

    def matmul(self, a: Array, b: Array, out: Array = None) -> Array:
        for x in (a, b):
            if type(x) is not self._backend.array_type:
                raise TypeError(
                    f"Unsupported type {type(x)}; bring host values in with backend.array(values)"
                )
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise ValueError("a product of matrices needs (…, n, k) and (…, k, m)")
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        self._backend.enter()
        try:
            return self._backend.gemm(a, b, out, tf32=self._backend.tf32)
        except MemoryError as error:
            raise self._backend._no_room(error) from None

    dot = matmul

    def asarray(self, values: Any) -> Array:
        if isinstance(values, (np.ndarray, list, tuple)):
            raise TypeError(
                "implicit copy from host to device; bring host values in with backend.array(values)"
            )
        self._backend.enter()
        return self._backend.cp.asarray(values)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend.cp, name)
        if callable(found) and not isinstance(found, type):
            found = self._on_stream(found)
        setattr(self, name, found)
        return found

    def _on_stream(self, function: Any) -> Any:
        backend = self._backend

        def on_stream(*args: Any, **kwargs: Any) -> Any:
            backend.enter()
            try:
                return function(*args, **kwargs)
            except MemoryError as error:
                raise backend._no_room(error) from None

        on_stream.__name__ = getattr(function, "__name__", type(function).__name__)
        if hasattr(function, "reduce"):
            vars(on_stream)["reduce"] = self._on_stream(function.reduce)
        return on_stream


class DeviceTimer:
    """Seconds that the device needs for the work inside ``with``; reading them waits for it."""

    def __init__(self, backend: CudaBackend) -> None:
        self._backend = backend
        self._start, self._end = backend.cp.cuda.Event(), backend.cp.cuda.Event()

    def __enter__(self) -> Self:
        self._start.record(self._backend.current())
        return self

    def __exit__(self, *_: object) -> None:
        self._end.record(self._backend.current())

    @property
    def seconds(self) -> float:
        """From the first to the last of it, as the device's own clock has it."""
        self._end.synchronize()
        return self._backend.cp.cuda.get_elapsed_time(self._start, self._end) / 1e3


class _Streams(threading.local):
    """Of each thread: the stream to which its work goes, and its own for captures, once it made any."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.own = stream, None


def load() -> CudaBackend:
    """The backend on this machine's GPU, after a first kernel of each kind.

    Raises:  BackendError – if there is none, or something that it needs is missing, with what to do
    """
    if find_spec("cupy") is None:
        raise BackendError(f"the cupy backend needs CuPy, which is not installed: {INSTALL}")
    wheels = installed()
    if len(wheels) > 1:
        names = " ".join(wheel.split()[0] for wheel in wheels)
        raise BackendError(
            f"{' and '.join(wheels)} are installed, and overwrite each other's files: pip uninstall {names}, "
            "then install the one for your CUDA"
        )
    try:
        import cupy
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(f"CuPy cannot be imported ({_short(error)}): install it anew") from None
    return usable(cupy)


def installed() -> list[str]:
    """The installed distributions that provide cupy, as ``name version``."""
    from importlib import metadata

    found = {}
    for distribution in metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower()
        if re.fullmatch(r"cupy(-cuda\S+|-rocm\S+)?", name):
            found[name] = distribution.version
    return [f"{name} {found[name]}" for name in sorted(found)]


def usable(cp: Any) -> CudaBackend:
    """The backend on this CuPy.

    Raises:  BackendError – if it is too old, sees no GPU, or a kernel does not run
    """
    if int(re.sub(r"\D.*", "", cp.__version__) or 0) < OLDEST:
        raise BackendError(f"CuPy {cp.__version__} is too old, {OLDEST} is needed: {INSTALL}")
    if not cp.cuda.is_available():
        raise BackendError(f"CuPy {cp.__version__} finds no GPU: {_why_no_gpu(cp.cuda.runtime)}")
    try:
        backend = CudaBackend(cp)
        _probe(backend)
    except MemoryError as error:
        raise BackendError(f"the GPU has no room even for a first array ({error})") from None
    except Exception as error:  # those of CuPy's parts have no base in common
        own = isinstance(error, BackendError) and error.__cause__ is None
        raise BackendError(_short(error) if own else _what_is_missing(error)) from None
    return backend


def _why_no_gpu(runtime: Any) -> str:
    try:
        count = runtime.getDeviceCount()
    except RuntimeError as error:
        status = getattr(error, "status", None)
        if status == NO_DRIVER and not runtime.driverGetVersion():
            return "no NVIDIA driver was found; install it"
        if status == NO_DRIVER:
            return (
                f"the driver is for CUDA {_version(runtime.driverGetVersion())}, CuPy for "
                f"{_version(runtime.runtimeGetVersion())}; update the driver"
            )
        if status == NO_DEVICE:
            return "there is a driver, but no GPU that it sees; look at nvidia-smi and CUDA_VISIBLE_DEVICES"
        return f"{_short(error)}; look at nvidia-smi"
    return f"{count} devices, of which none can be used; look at nvidia-smi and CUDA_VISIBLE_DEVICES"


def _what_is_missing(error: BaseException) -> str:
    text = _short(error)
    for what, pattern in (
        ("the headers of CUDA", r"header|vector_types|cuda_runtime\.h|cuda_fp16|cannot open source file"),
        ("NVRTC, CUDA's compiler,", r"nvrtc"),
        ("cuBLAS", r"cublas"),
        ("the CUDA runtime", r"cudart"),
    ):
        if re.search(pattern, f"{type(error).__name__} {error}", re.IGNORECASE):
            return (
                f"there is a GPU, but {what} cannot be used ({text}): pip install 'minigan[cuda13-ctk]', or "
                "install a CUDA toolkit and set CUDA_PATH to it"
            )
    return f"there is a GPU, but a first kernel failed ({text}): look at nvidia-smi"


def _probe(backend: CudaBackend) -> None:
    """An elementwise kernel, a reduction and a product."""
    xp, a = backend.xp, backend.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    shifted = xp.add(a, 1.0)
    found = [
        backend.to_host(x).ravel().tolist()
        for x in (xp.add.reduce(shifted, axis=(0, 1)), xp.matmul(a, shifted))
    ]
    expected = [[14.0], [10.0, 13.0, 22.0, 29.0]]
    if found != expected:
        raise BackendError(f"the GPU computes {found} where {expected} is right; it or its driver is broken")


def _span(first: int, array: Array) -> tuple[int, int]:
    """[first byte, one after the last) of an array that begins there."""
    if not array.size:
        return first, first
    reach = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
    return (
        first + sum(r for r in reach if r < 0),
        first + sum(r for r in reach if r > 0) + array.itemsize,
    )


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _bytes(size: float) -> str:
    return f"{size / 2**30:.3g} GiB" if size >= 2**29 else f"{size / 2**20:.3g} MiB"


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
