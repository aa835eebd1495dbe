"""What is launched on a GPU: kernels of modules of CUDA C, and graphs, many launches captured as one."""

import gc
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minigan.backend import BackendError, kernels

STATIC_SHARED = 48 * 1024  # bytes of a block; a kernel has to ask for more
Sizes: TypeAlias = int | tuple[int, ...]  # of a grid or a block


class Module:
    """CUDA C, compiled when its first kernel is asked for."""

    def __init__(self, backend: Any, source: str, options: Sequence[str] = ()) -> None:
        self._backend = backend
        self._kernels: dict[str, Kernel] = {}
        self._module = backend.cp.RawModule(code=source, options=(f"-I{kernels.FOLDER}", *options))

    def kernel(self, name: str) -> "Kernel":
        """One of its kernels: kernel(grid, block, args, shared=0), sizes as numbers or tuples.

        Arguments are contiguous arrays of this backend and NumPy scalars of exactly the parameters' types;
        shared is in bytes.

        Raises:  BackendError – if the source does not compile, or has no such kernel
        """
        if name not in self._kernels:
            self._backend.enter()
            try:
                self._kernels[name] = Kernel(self._backend, self._module.get_function(name), name)
            except BackendError:
                raise
            except Exception as error:  # NVRTC's are of several classes, and not all are RuntimeErrors
                text = " ".join(str(error).split())[:500]
                if "CUDA_ERROR_NOT_FOUND" in text:
                    raise BackendError(f"the module has no kernel {name} ({text})") from error
                raise BackendError(f"the kernel {name} does not compile: {text}") from error
        return self._kernels[name]


class Kernel:
    """A kernel that is ready to be launched."""

    def __init__(self, backend: Any, function: Any, name: str) -> None:
        self._backend, self._function, self.name, self._shared = backend, function, name, STATIC_SHARED

    def __call__(self, grid: Sizes, block: Sizes, args: Sequence[Any], shared: int = 0) -> None:
        self._backend.enter()
        for k, a in enumerate(args):
            if isinstance(a, np.generic):
                continue
            kind = type(a)
            if kind is not self._backend.array_type:
                raise TypeError(
                    f"{self.name}, argument {k + 1}: a kernel takes arrays of its device and NumPy scalars, "
                    f"as np.int32(n); received {kind.__name__}"
                )
            if not a.flags.forc:
                raise ValueError(
                    f"{self.name}, argument {k + 1}: the array is not contiguous; a kernel sees no strides"
                )
        if shared > self._shared:
            self._function.max_dynamic_shared_size_bytes = self._shared = shared
        self._function(_sizes(grid), _sizes(block), tuple(args), shared_mem=shared)


class CudaGraph:
    """Launches that were captured once, and run again by one call.

    CUDA's graph keeps nothing alive that its kernels use; this object does: the pool of the capture's
    temporaries, and the call with all it holds.
    """

    def __init__(self, backend: Any, call: Callable[[], Any], pool: Any = None) -> None:
        cp = backend.cp
        self._call, self._backend, self.pool = call, backend, pool or cp.cuda.MemoryPool()
        self._graph: Any = None
        first: BaseException | None = None
        # Not ``with stream``, after which CuPy's current stream would be the null stream.
        with _no_finalizers, backend.capturing() as stream, cp.cuda.using_allocator(self.pool.malloc):
            stream.begin_capture()
            try:
                self._results = call()
            except BaseException as error:
                first = error
            try:
                self._graph = stream.end_capture()
            except BaseException as error:
                first = first or error
        if isinstance(first, (NotImplementedError, RuntimeError)) and not isinstance(first, BackendError):
            raise BackendError(f"the call cannot be a graph: {first}") from first
        if first is not None:
            raise first
        self._graph.upload(backend.current())

    def launch(self) -> None:
        """Run it, on the backend's stream; while this thread captures, as a part of that."""
        self._graph.launch(self._backend.current())


class _NoFinalizers:
    """Within it, in any number of threads, the collector is off: what a finalizer does would be captured."""

    def __init__(self) -> None:
        self._lock, self._inside, self._was = threading.Lock(), 0, False

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._was = gc.isenabled()
                gc.disable()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._was and not self._inside:
                gc.enable()


_no_finalizers = _NoFinalizers()


def _sizes(sizes: Sizes) -> tuple[int, ...]:
    return (sizes,) if isinstance(sizes, (int, np.integer)) else tuple(sizes)
