"""Matrix products on a GPU that may be captured: cuBLAS through ctypes, or a kernel of our own without it.

CuPy refuses its own products while a stream captures, cuBLAS itself does not. Its matrices are column-major:
the C = A B of row-major arrays is Cᵀ = Bᵀ Aᵀ there, so the operands change places and nothing is copied.
"""

import ctypes
import itertools
import math
import threading
from collections.abc import Callable, Sequence
from ctypes import c_int, c_longlong, c_size_t, c_void_p
from typing import Any, NamedTuple

import numpy as np

from minigan.backend import BackendError, kernels

SONAMES = ("libcublas.so.13", "libcublas.so.12", "libcublas.so")
WORKSPACE, SMALL_WORKSPACE = 32 << 20, 4 << 20  # bytes: from compute capability 9.0 on, and before
MOST = 2**31 - 1  # of a size or a leading dimension, a C int
TRANSPOSED, PLAIN = 1, 0  # CUBLAS_OP_T, CUBLAS_OP_N
DEFAULT_MATH, DEFAULT_ALGORITHM = 0, -1
TF32 = 77  # CUBLAS_COMPUTE_32F_FAST_TF32
TYPES = {  # cudaDataType, cublasComputeType_t, what alpha and beta are
    np.dtype("float32"): (0, 68, ctypes.c_float),
    np.dtype("float64"): (1, 70, ctypes.c_double),
}
STATUS = {
    1: "NOT_INITIALIZED", 3: "ALLOC_FAILED", 7: "INVALID_VALUE", 8: "ARCH_MISMATCH", 11: "MAPPING_ERROR",
    13: "EXECUTION_FAILED", 14: "INTERNAL_ERROR", 15: "NOT_SUPPORTED", 16: "LICENSE_ERROR",
}  # fmt: skip
_OPERANDS = [
    c_void_p, c_int, c_int, c_int, c_int, c_int, c_void_p,  # handle, op a, op b, m, n, k, alpha
]  # fmt: skip
FUNCTIONS = {
    "cublasCreate_v2": [ctypes.POINTER(c_void_p)],
    "cublasDestroy_v2": [c_void_p],
    "cublasSetStream_v2": [c_void_p, c_void_p],
    "cublasSetWorkspace_v2": [c_void_p, c_void_p, c_size_t],
    "cublasSetMathMode": [c_void_p, c_int],
    "cublasGemmEx": [
        *_OPERANDS, c_void_p, c_int, c_int, c_void_p, c_int, c_int,  # A, type, ld; B, type, ld
        c_void_p, c_void_p, c_int, c_int, c_int, c_int,  # beta; C, type, ld; compute type, algorithm
    ],
    "cublasGemmStridedBatchedEx": [
        *_OPERANDS, c_void_p, c_int, c_int, c_longlong, c_void_p, c_int, c_int, c_longlong,
        c_void_p, c_void_p, c_int, c_int, c_longlong, c_int, c_int, c_int,  # … stride; count, compute type, …
    ],
}  # fmt: skip


class Matrix(NamedTuple):
    """Where the matrices of one operand are, in elements: each ``stride`` further than the one before."""

    array: Any
    transposed: bool
    ld: int  # the leading dimension: from one row to the next, or from one column if transposed
    strides: tuple[int, ...]  # of the leading axes, 0 where it is the same matrix


class Gemm:
    """Products of matrices on the stream that ``current()`` gives: gemm(a, b, out).

    ``library`` is cuBLAS, loaded, or None to find it; False, or where there is none, a kernel of our own that
    ``module(source)`` compiles.

    Raises:  BackendError – if there is neither cuBLAS nor a way to compile a kernel
    """

    def __init__(
        self,
        cp: Any,
        current: Callable[[], Any],
        library: Any = None,
        *,
        module: Callable[[str], Any] | None = None,
    ) -> None:
        self.cp = cp
        if library is None:
            try:
                library = load("cublas", SONAMES)
            except BackendError:
                if module is None:
                    raise
        self.products: Cublas | Tiles
        if library:
            self.products = Cublas(cp, current, library)
        elif module is not None:
            self.products = Tiles(module)
        else:
            raise BackendError("products need cuBLAS, or a way to compile kernels; received neither")

    @property
    def maker(self) -> str:
        """Who makes the products: "cuBLAS" or "own kernel", which has no TF32."""
        return "cuBLAS" if isinstance(self.products, Cublas) else "own kernel"

    def __call__(
        self, a: Any, b: Any, out: Any = None, *, tf32: bool = False, accumulate: bool = False
    ) -> Any:
        """a b, as np.matmul has it for two axes or more; with ``accumulate`` added to ``out``.

        Nothing is copied but an operand whose matrices are neither row-major nor transposed; ``out`` must not
        overlap the operands. ``tf32`` lets float32 products round their factors to 10 bits.

        Shapes:  (…, m, k), (…, k, n) → (…, m, n), leading axes broadcast
        """
        shape, k = _shape(a, b)
        if out is None:
            if accumulate:
                raise BackendError("a product that is added to something needs out, which holds it")
            out = self.cp.empty(shape, a.dtype)
        elif tuple(out.shape) != shape or out.dtype != a.dtype:
            raise BackendError(
                f"the product is {a.dtype}{list(shape)}, but out is {out.dtype}{list(out.shape)}"
            )
        if math.prod(shape) == 0:
            return out
        if k == 0:
            if not accumulate:
                out[...] = 0
            return out
        c, target = _matrix(out), out
        if c is None:
            target = self.cp.empty(shape, out.dtype)
            c = self._operand(target)
        if c.transposed:  # yᵀ = bᵀ aᵀ
            a, b, shape = b.swapaxes(-1, -2), a.swapaxes(-1, -2), (*shape[:-2], shape[-1], shape[-2])
            c = c._replace(transposed=False)
        beta = accumulate and target is out
        self._run(shape, k, self._operand(a), self._operand(b), c, tf32 and a.dtype.itemsize == 4, beta)
        if target is not out:
            if accumulate:
                self.cp.add(out, target, out=out)
            else:
                out[...] = target
        return out

    def prepare(self) -> None:
        """Make what a product needs in this thread, which cannot be made while a stream captures."""
        self.products.prepare()

    def close(self) -> None:
        """Give back what the library holds for us."""
        self.products.close()

    def _operand(self, x: Any) -> Matrix:
        matrix = _matrix(x)
        if matrix is None:
            matrix = _matrix(self.cp.ascontiguousarray(x))
            if matrix is None:
                raise BackendError(f"an operand of shape {list(x.shape)} has no plain matrices, even copied")
        return matrix

    def _run(self, shape, k, a, b, c, tf32, accumulate):
        """As few calls as the strides of the leading axes allow: one, where they are one stride for each."""
        axes = _axes(shape[:-2], a, b, c)
        inner = max(axes, key=lambda axis: axis[0]) if axes else (1, 0, 0, 0)
        outer = [axis for axis in axes if axis is not inner]
        if max(*shape, k, a.ld, b.ld, c.ld, inner[0]) > MOST:
            raise BackendError(f"a product of sizes {list(shape)} with inner size {k} is beyond 32-bit sizes")
        for at in itertools.product(*(range(axis[0]) for axis in outer)):
            offsets = [sum(i * axis[j] for i, axis in zip(at, outer, strict=True)) for j in (1, 2, 3)]
            self.products(*shape[-2:], k, (a, b, c), offsets, inner, tf32, accumulate)


class Cublas:
    """The products of cuBLAS, with a handle of its own and a workspace of its own per thread."""

    def __init__(self, cp: Any, current: Callable[[], Any], library: Any) -> None:
        self.cp, self.current, self._cublas = cp, current, library
        self._local, self._lock = threading.local(), threading.Lock()
        self._handles: list[tuple[c_void_p, Any]] = []  # each with its workspace
        for name, types in FUNCTIONS.items():
            function = getattr(library, name)
            function.argtypes, function.restype = types, c_int

    def call(self, name: str, *arguments: Any) -> None:
        """One function of cuBLAS.    Raises:  BackendError – if its status is not success"""
        status = getattr(self._cublas, name)(*arguments)
        if status:
            raise BackendError(f"{name}: CUBLAS_STATUS_{STATUS.get(status, status)}")

    @property
    def handle(self) -> c_void_p:
        """This thread's, on its current stream; made when first asked for, so before a capture begins."""
        local, stream = self._local, self.current()
        if not hasattr(local, "handle"):
            with self._lock:
                handle = c_void_p()
                self.call("cublasCreate_v2", ctypes.byref(handle))
                hopper = int(self.cp.cuda.Device().compute_capability) >= 90
                workspace = self.cp.empty((WORKSPACE if hopper else SMALL_WORKSPACE,), "uint8")
                self.call("cublasSetMathMode", handle, DEFAULT_MATH)
                self._handles.append((handle, workspace))
                local.stream, local.workspace, local.handle = None, workspace, handle
        if local.stream is not stream:
            self.call("cublasSetStream_v2", local.handle, c_void_p(stream.ptr))
            # After the stream, which resets it. Of our own, as cuBLAS would allocate inside a capture.
            where = c_void_p(local.workspace.data.ptr), c_size_t(local.workspace.nbytes)
            self.call("cublasSetWorkspace_v2", local.handle, *where)
            local.stream = stream
        return local.handle

    def __call__(self, m, n, k, operands, offsets, batch, tf32, accumulate):
        """One call: m×k times k×n at these offsets, and batch (count, strides of a, b, c) times."""
        a, b, c = operands
        kind, compute, number = TYPES[np.dtype(a.array.dtype)]
        size, (count, *strides) = a.array.dtype.itemsize, batch
        at = [c_void_p(x.array.data.ptr + size * o) for x, o in zip(operands, offsets, strict=True)]
        ops = [TRANSPOSED if x.transposed else PLAIN for x in (b, a)]
        alpha, beta = number(1.0), number(1.0 if accumulate else 0.0)
        compute = TF32 if tf32 else compute
        first = (self.handle, *ops, n, m, k, ctypes.byref(alpha))
        if count == 1:
            self.call(
                "cublasGemmEx", *first, at[1], kind, b.ld, at[0], kind, a.ld,
                ctypes.byref(beta), at[2], kind, c.ld, compute, DEFAULT_ALGORITHM,
            )  # fmt: skip
        else:
            self.call(
                "cublasGemmStridedBatchedEx", *first, at[1], kind, b.ld, strides[1],
                at[0], kind, a.ld, strides[0], ctypes.byref(beta), at[2], kind, c.ld, strides[2],
                count, compute, DEFAULT_ALGORITHM,
            )  # fmt: skip

    def prepare(self) -> None:
        """Make this thread's handle."""
        self.handle  # noqa: B018

    def close(self) -> None:
        """Destroy the handles of all threads."""
        with self._lock:
            while self._handles:
                self.call("cublasDestroy_v2", self._handles.pop()[0])
            self._local = threading.local()


class Tiles:
    """The products of our own kernel, kernels/gemm.cuh: slower than cuBLAS, but always there; no TF32."""

    TILE, THREADS, MOST_BATCHES = 64, 256, 65535

    def __init__(self, module: Callable[[str], Any]) -> None:
        self._module = module(kernels.source("gemm"))

    def __call__(self, m, n, k, operands, offsets, batch, tf32, accumulate):
        """One launch, as Cublas has it."""
        dtype, (count, *strides) = operands[0].array.dtype, batch
        where = []
        for x, offset, stride in zip(operands, offsets, strides, strict=True):
            row, column = (1, x.ld) if x.transposed else (x.ld, 1)
            # A kernel is given a pointer and sees no strides: of a view with gaps its first element will do.
            first = x.array if x.array.flags.forc else x.array[(0,) * (x.array.ndim - 1)][:1]
            where += [first, *map(np.int64, (offset, row, column, stride))]
        grid = (-(-n // self.TILE), -(-m // self.TILE), min(count, self.MOST_BATCHES))
        numbers = [np.dtype(dtype).type(x) for x in (1.0, 1.0 if accumulate else 0.0)]
        arguments = [*map(np.int32, (m, n, k, count)), *numbers, *where]
        self._module.kernel(f"gemm_{np.dtype(dtype).name}")(grid, (self.THREADS, 1, 1), arguments)

    def prepare(self) -> None:
        """Compile both kernels."""
        for name in ("float32", "float64"):
            self._module.kernel(f"gemm_{name}")

    def close(self) -> None:
        """Nothing is held."""


def load(name: str, sonames: Sequence[str]) -> Any:
    """One of NVIDIA's libraries, from where CuPy takes it: NVIDIA's wheels, a toolkit, or the system's own.

    Raises:  BackendError – if it is nowhere
    """
    paths = list(sonames)
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        paths.insert(0, load_nvidia_dynamic_lib(name).abs_path)
    except Exception:  # not there, or it found nothing: each of its errors is its own class
        pass
    for path in paths:
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise BackendError(
        f"lib{name} was not found; install CuPy with its libraries: pip install 'minigan[cuda13-ctk]'"
    )


def _shape(a, b):
    """The shape of a product, and its inner size.    Raises:  BackendError – if there is none"""
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise BackendError(f"no product of {list(a.shape)} and {list(b.shape)}: (…, m, k) times (…, k, n)")
    if a.dtype != b.dtype or np.dtype(a.dtype) not in TYPES:
        raise BackendError(
            f"a product is of two float32 or two float64 arrays; received {a.dtype}, {b.dtype}"
        )
    try:
        leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise BackendError(
            f"the leading axes of {list(a.shape)} and {list(b.shape)} do not broadcast"
        ) from None
    return (*leading, a.shape[-2], b.shape[-1]), a.shape[-1]


def _matrix(x):
    """Where the matrices of x are; None if they are neither row-major nor transposed ones."""
    size = x.dtype.itemsize
    if any(s % size for s in x.strides):
        return None
    *leading, s0, s1 = (s // size for s in x.strides)
    rows, columns = x.shape[-2:]
    leading = tuple(0 if n == 1 else s for n, s in zip(x.shape, leading, strict=False))
    if min(leading, default=0) < 0:
        return None
    if (columns == 1 or s1 == 1) and (rows == 1 or s0 >= columns):
        return Matrix(x, False, max(1, columns if rows == 1 else s0), leading)
    if (rows == 1 or s0 == 1) and (columns == 1 or s1 >= rows):
        return Matrix(x, True, max(1, rows if columns == 1 else s1), leading)
    return None


def _axes(leading, *matrices):
    """The leading axes as (size, stride of a, of b, of c), joined where strides allow; none of size 1."""
    axes = []
    for i, size in enumerate(leading):
        if size > 1:
            behind = len(leading) - i
            strides = [m.strides[-behind] if behind <= len(m.strides) else 0 for m in matrices]
            if axes and all(s == size * t for s, t in zip(axes[-1][1:], strides, strict=True)):
                size *= axes.pop()[0]
            axes.append((size, *strides))
    return axes
