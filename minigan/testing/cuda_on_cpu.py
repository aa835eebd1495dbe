"""CUDA kernels on the CPU: g++ compiles their sources as C++ and runs them thread by thread.

For tests of what a kernel computes, and of races between its threads, on a machine without a GPU; and
HostCublas, the functions of cuBLAS that we call, by NumPy. Nothing here says anything about speed.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan.backend import BackendError
from minigan.backend.kernels import FOLDER

FLAGS = (
    "-std=c++20",
    "-O0",  # for tests: most kernels run for less time than they are compiled
    "-ffp-contract=off",
    "-U_FORTIFY_SOURCE",
    "-Wno-unknown-pragmas",
    f"-I{FOLDER}",
    f"-I{Path(__file__).parent}",
)
LIBRARY = ("-fPIC", "-shared", "-fvisibility=hidden")
SANITIZERS = {  # what the compiler is told, and how a report ends the program
    "thread": ("-fsanitize=thread",),
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "undefined": ("-fsanitize=undefined", "-fno-sanitize-recover=all"),
}
REPORTED = 66  # exit code of a program that a sanitizer stopped
MOST_THREADS, BLOCK_LIMITS, GRID_LIMITS = 1024, (1024, 1024, 64), (2**31 - 1, 65535, 65535)
SHARED, MOST_SHARED = 48 * 1024, 227 * 1024  # bytes of a block: without asking, and on the largest devices
STATUS = {
    1: "its threads wait for each other at different barriers, or some have returned while others wait",
    2: "it wrote beyond its dynamic shared memory",
}

_KERNEL = re.compile(r"__global__\s+void\s+(\w+)\s*\(")
_BOUNDS = re.compile(r"__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)")
_WRITABLE = 0x200  # PyBUF_WRITE
_MEMORY = (
    ctypes.pythonapi.PyMemoryView_FromMemory
)  # a ctypes array would need a type for each size, which stays
_MEMORY.argtypes, _MEMORY.restype = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int), ctypes.py_object
_compiled: dict[str, Path] = {}
_compiling = threading.Lock()
_folder: Any = None


class SanitizerError(BackendError):
    """A sanitizer found a race, an access out of bounds or an undefined operation; here is its report."""


class SourceError(BackendError):
    """g++ refuses a source; here are its first complaints."""


class HostModule:
    """CUDA C, compiled for the CPU: its kernels by name.

    A kernel is written ``extern "C" __global__ void name(...)``. With ``sanitizer`` ("thread", "address" with
    "undefined", or "undefined") each launch is a process of its own, with a thread per CUDA thread.

    Raises:  BackendError – if there is no g++;  SourceError – if it refuses the source
    """

    def __init__(self, source: str, options: Sequence[str] = (), *, sanitizer: str | None = None) -> None:
        if sanitizer is not None and sanitizer not in SANITIZERS:
            raise ValueError(f"sanitizer must be one of {', '.join(SANITIZERS)}; received {sanitizer!r}")
        self.names = tuple(_KERNEL.findall(_BOUNDS.sub("", source)))
        text = '#include "cuda_on_cpu.h"\n#line 1 "kernel.cu"\n' + source + '\n#line 1 "launch"\n'
        text += "".join(f"MINIGAN_KERNEL({name})\n" for name in self.names)
        self.sanitizer, self._lock = sanitizer, threading.Lock()
        if sanitizer is None:
            self.path = compiled(text, (*LIBRARY, *options))
            self._library = ctypes.CDLL(str(self.path))
        else:
            threads = ("-g1", "-pthread", "-DMINIGAN_THREADS", *SANITIZERS[sanitizer])
            self.path = compiled(text, (*threads, *options))
            listed = watched(self.path)
            if listed.returncode:
                raise BackendError(f"the {sanitizer} sanitizer does not start here: {listed.stderr.strip()}")
            self._signatures = dict(line.split(" ", 1) for line in listed.stdout.splitlines())

    def kernel(self, name: str) -> "HostKernel":
        """One of its kernels.    Raises:  BackendError – if the source has none of that name"""
        if name not in self.names:
            known = ", ".join(self.names) or "none"
            raise BackendError(f"the source has no kernel {name}; its kernels are: {known}")
        return HostKernel(self, name)

    def signature(self, name: str) -> list[str]:
        """What a kernel takes: "i4" is an int, "wf4" a float*, "rf8" a const double*."""
        if self.sanitizer is not None:
            return self._signatures[name].split()
        function = self._library[f"minigan_signature_{name}"]
        function.restype = ctypes.c_char_p
        return function().decode().split()


class HostKernel:
    """A kernel that is launched as CuPy launches one: kernel(grid, block, args, shared=0).

    Arguments are device arrays (NumPy arrays too) and NumPy scalars of exactly the parameters' types.
    """

    def __init__(self, module: HostModule, name: str) -> None:
        self.module, self.name, self.parameters = module, name, module.signature(name)
        self._shared = SHARED
        if module.sanitizer is None:
            self._launch = module._library[f"minigan_launch_{name}"]
            three = ctypes.c_uint * 3
            self._launch.argtypes = [three, three, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p)]

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        """How much shared memory a launch may ask for: more than 48 KiB only after it was set here."""
        return self._shared

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        """Raises:  BackendError – if no device has so much"""
        if size > MOST_SHARED:
            raise BackendError(
                f"a block has at most {MOST_SHARED} bytes of shared memory; {size} were asked for"
            )
        self._shared = size

    def __call__(
        self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], shared: int = 0
    ) -> None:
        grid, block = self._extent("grid", grid, GRID_LIMITS), self._extent("block", block, BLOCK_LIMITS)
        if block[0] * block[1] * block[2] > MOST_THREADS:
            raise BackendError(f"{self.name}: a block has at most {MOST_THREADS} threads; received {block}")
        if shared > self._shared:
            raise BackendError(
                f"{self.name}: {shared} bytes of dynamic shared memory, but {self._shared} are allowed; "
                "set the kernel's max_dynamic_shared_size_bytes first"
            )
        if len(args) != len(self.parameters):
            raise BackendError(f"{self.name} takes {len(self.parameters)} arguments; received {len(args)}")
        if self.module.sanitizer is not None:
            self._watched(grid, block, args, shared)
            return
        values = [self._value(k, a, p) for k, (a, p) in enumerate(zip(args, self.parameters, strict=True))]
        memory = ctypes.create_string_buffer(b"".join(v.ljust(-len(v) % 16 + len(v), b"\0") for v in values))
        pointers, at = (ctypes.c_void_p * max(1, len(values)))(), ctypes.addressof(memory)
        for k, value in enumerate(values):
            pointers[k] = at
            at += len(value) + -len(value) % 16
        with self.module._lock:  # the threads of a grid are fibers of this one
            status = self._launch((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), shared, pointers)
        if status:
            raise BackendError(f"{self.name}: {STATUS[status]}")

    def _extent(self, what: str, sizes: Sequence[int], limits: Sequence[int]) -> tuple[int, ...]:
        sizes = (*sizes, 1, 1, 1)[: max(3, len(sizes))]
        if len(sizes) > 3 or not all(0 < size <= most for size, most in zip(sizes, limits, strict=False)):
            raise BackendError(
                f"{self.name}: a {what} has 1 to 3 sizes, each from 1 to {limits}; received {sizes}"
            )
        return sizes

    def _value(self, k: int, argument: Any, parameter: str) -> bytes:
        """The bytes of one argument: its value, or where it is."""
        self._check(k, argument, parameter)
        if isinstance(argument, np.generic):
            return argument.tobytes()
        pointer = argument.ctypes.data if isinstance(argument, np.ndarray) else argument.data.ptr
        return int(pointer).to_bytes(ctypes.sizeof(ctypes.c_void_p), "little")

    def _check(self, k: int, argument: Any, parameter: str) -> None:
        what = f"{self.name}, argument {k + 1}"
        if isinstance(argument, (bool, int, float, complex)) and not isinstance(argument, np.generic):
            raise BackendError(
                f"{what}: {argument!r} has no type that a kernel can rely on; pass a NumPy scalar, as "
                "np.int32(n) or np.float32(x)"
            )
        is_array, dtype = parameter[0] in "rw", getattr(argument, "dtype", None)
        if dtype is None or is_array == isinstance(argument, np.generic):
            wanted = "an array" if is_array else "a NumPy scalar"
            raise BackendError(f"{what}: the kernel takes {wanted}; received {type(argument).__name__}")
        kind = parameter[1:] if is_array else parameter
        if kind[0] == "V":  # a struct, or void: of arrays nothing is known
            if not is_array and dtype.itemsize != int(kind[1:]):
                raise BackendError(f"{what}: the kernel takes {kind[1:]} bytes; received {dtype}")
        elif kind != f"{dtype.kind}{dtype.itemsize}":
            raise BackendError(f"{what}: the kernel takes {np.dtype(kind)}; received {dtype}")

    def _watched(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], shared: int) -> None:
        """One launch in a process of its own, under the sanitizer; arrays go there and back."""
        head = (
            np.array([*grid, *block], np.uint32).tobytes()
            + np.array([shared, len(args)], np.uint64).tobytes()
        )
        parts, arrays = [head], []
        for k, (argument, parameter) in enumerate(zip(args, self.parameters, strict=True)):
            self._check(k, argument, parameter)
            if parameter[0] in "rw":
                if not isinstance(argument, np.ndarray) or not argument.flags.c_contiguous:
                    raise BackendError(f"{self.name}: a sanitizer takes C-contiguous NumPy arrays only")
                arrays.append(argument)
            data = argument.tobytes()
            parts += [np.array([parameter[0] in "rw", len(data)], np.uint64).tobytes(), data]
        with tempfile.NamedTemporaryFile(dir=folder()) as file:
            file.write(b"".join(parts))
            file.flush()
            done = watched(self.module.path, self.name, file.name)
            if done.returncode == REPORTED or "runtime error:" in done.stderr:
                raise SanitizerError(f"{self.name}: {done.stderr.strip()}")
            if done.returncode:
                raise BackendError(f"{self.name} ended with status {done.returncode}: {done.stderr.strip()}")
            written = Path(file.name).read_bytes()
        at = 0
        for array in arrays:
            array.reshape(-1).view(np.uint8)[:] = np.frombuffer(written, np.uint8, array.nbytes, at)
            at += array.nbytes


def watched(*command: Any) -> subprocess.CompletedProcess[str]:
    """A run of a program with a sanitizer inside, which ends with REPORTED if that finds something."""
    ends = f"exitcode={REPORTED}"
    settings = {"TSAN_OPTIONS": ends, "ASAN_OPTIONS": f"{ends}:detect_leaks=0", "UBSAN_OPTIONS": ends}
    options: Any = {"capture_output": True, "text": True, "check": False, "env": {**os.environ, **settings}}
    done = subprocess.run(command, **options)
    if "unexpected memory mapping" in done.stderr and shutil.which("setarch"):
        # Linux places memory more at random than older sanitizers can follow.
        done = subprocess.run(["setarch", "--addr-no-randomize", *command], **options)
    return done


def folder() -> Path:
    """A private directory of this process, gone when it ends."""
    global _folder
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="minigan-host-", ignore_cleanup_errors=True)
    return Path(_folder.name)


def compiled(text: str, options: Sequence[str]) -> Path:
    """What g++ makes of C++ ``text``; the same text and options are compiled once.

    Raises:  BackendError – if there is no g++;  SourceError – with its first complaints
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise BackendError("kernels run on the CPU only where there is a C++ compiler; install g++")
    digest = hashlib.blake2b("\0".join([text, *options]).encode(), digest_size=16).hexdigest()
    with _compiling:
        if digest not in _compiled:
            path = folder() / digest
            command = [compiler, *FLAGS, *options, "-x", "c++", "-", "-o", str(path)]
            done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
            if done.returncode:
                errors = [
                    line for line in done.stderr.splitlines() if "error:" in line or "undefined" in line
                ]
                first = "; ".join((errors or done.stderr.splitlines())[:3])
                raise SourceError(f"g++ does not compile the kernel: {first}")
            _compiled[digest] = path
        return _compiled[digest]


class HostCublas:
    """The functions of cuBLAS that minigan.backend.cublas calls, called as C functions and computed by NumPy.

    Pointers, flags, leading dimensions and strides become row-major views again, whose product is
    np.matmul's, bitwise. ``calls`` are the last ones, (function, its arguments); ``complaints`` what real
    cuBLAS would refuse, or what would be wrong silently, and is answered with INVALID_VALUE.
    """

    def __init__(self) -> None:
        self.calls: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=10_000)
        self.complaints: list[str] = []
        self._callbacks: list[Any] = []
        self._handles: dict[int, dict[str, Any]] = {}
        p, i, s, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong, ctypes.c_size_t
        head = [p, i, i, i, i, i, p]  # as cublas_api.h declares them
        self._define("cublasCreate_v2", self._create, [ctypes.POINTER(p)])
        self._define("cublasDestroy_v2", self._destroy, [p])
        self._define("cublasSetStream_v2", self._set_stream, [p, p])
        self._define("cublasSetWorkspace_v2", self._set_workspace, [p, p, size])
        self._define("cublasSetMathMode", self._set_math_mode, [p, i])
        self._define("cublasGemmEx", self._gemm, [*head, p, i, i, p, i, i, p, p, i, i, i, i])
        batched = [*head, p, i, i, s, p, i, i, s, p, p, i, i, s, i, i, i]
        self._define("cublasGemmStridedBatchedEx", self._gemm_batched, batched)

    def _define(self, name: str, body: Any, types: list[Any]) -> None:
        def function(*arguments: Any) -> int:
            self.calls.append((name, arguments))
            declared = list(getattr(self, name).argtypes or ())
            if declared != types:
                self.complaints.append(f"{name}: declared as {declared}, is {types}")
                return 7
            try:
                body(*arguments)
            except Exception as error:  # none may cross the C function
                self.complaints.append(f"{name}: {error}")
                return 7
            return 0

        callback = ctypes.CFUNCTYPE(ctypes.c_int, *types)(function)
        self._callbacks.append(callback)
        # As ctypes finds it in a library: an address, and what it takes the caller has to say.
        address: Any = ctypes.cast(callback, ctypes.c_void_p).value
        setattr(self, name, ctypes.CFUNCTYPE(ctypes.c_int)(address))

    def _handle(self, handle: int) -> dict[str, Any]:
        if handle not in self._handles:
            raise ValueError(f"{handle} is no handle")
        if self._handles[handle]["thread"] != threading.get_ident():
            raise ValueError("the handle belongs to another thread")
        return self._handles[handle]

    def _create(self, handle: Any) -> None:
        number = 1 + max(self._handles, default=1000)
        self._handles[number] = {"thread": threading.get_ident()}
        handle[0] = number

    def _destroy(self, handle: int) -> None:
        del self._handles[handle]

    def _set_stream(self, handle: int, stream: int | None) -> None:
        self._handle(handle).update(stream=stream, workspace=None)

    def _set_workspace(self, handle: int, pointer: int | None, size: int) -> None:
        if "stream" not in self._handle(handle):
            raise ValueError("a stream that is set later will take the workspace away")
        if not pointer or pointer % 256 or size < 4 << 20:
            raise ValueError(f"a workspace of {size} bytes at {pointer}: it must be aligned, and of 4 MiB")
        self._handle(handle)["workspace"] = pointer

    def _set_math_mode(self, handle: int, mode: int) -> None:
        if mode != 0:
            raise ValueError(f"math mode {mode}: TF32 is chosen call by call")
        self._handle(handle)

    def _gemm(self, *arguments: Any) -> None:
        a, b, beta, c, rest = (
            arguments[7:10],
            arguments[10:13],
            arguments[13],
            arguments[14:17],
            arguments[17:],
        )
        self._product(arguments[:7], (a, b, c), beta, (0, 0, 0), 1, rest)

    def _gemm_batched(self, *arguments: Any) -> None:
        a, b, beta, c = arguments[7:10], arguments[11:14], arguments[15], arguments[16:19]
        strides, count, rest = (arguments[10], arguments[14], arguments[19]), arguments[20], arguments[21:]
        self._product(arguments[:7], (a, b, c), beta, strides, count, rest)

    def _product(self, head: Any, matrices: Any, beta: Any, strides: Any, count: int, rest: Any) -> None:
        """Column-major C = αAB + βC of m×n: row-major Cᵀ = αBᵀAᵀ + βCᵀ of n×m."""
        (handle, op_a, op_b, m, n, k, alpha), (a, b, c), (compute, algorithm) = head, matrices, rest
        if not self._handle(handle).get("workspace"):
            raise ValueError("no workspace is set")
        if len({x[1] for x in (a, b, c)}) != 1 or (a[1], compute) not in {(0, 68), (0, 77), (1, 70)}:
            raise ValueError(f"types {a[1]}, {b[1]}, {c[1]} with compute type {compute}")
        if min(m, n, k, count) < 1 or {op_a, op_b} - {0, 1} or algorithm != -1:
            raise ValueError(f"sizes {m}, {n}, {k}, {count}, flags {op_a}, {op_b}, algorithm {algorithm}")
        dtype = np.dtype("float64" if a[1] else "float32")
        real = ctypes.c_double if a[1] else ctypes.c_float
        alpha, beta = (real.from_address(x).value for x in (alpha, beta))
        if alpha != 1 or beta not in (0, 1):
            raise ValueError(f"alpha {alpha}, beta {beta}")
        if count > 1 and strides[2] < m + (n - 1) * c[2]:
            raise ValueError(f"the results overlap: {strides[2]} apart")
        right = _view(a, m, k, op_a, strides[0], count, dtype)
        left = _view(b, k, n, op_b, strides[1], count, dtype)
        result = _view(c, m, n, 0, strides[2], count, dtype)
        self._multiply(left, right, result, bool(beta))

    def _multiply(self, left: Any, right: Any, result: Any, accumulate: bool) -> None:
        """The numbers, once all else is right."""
        if accumulate:
            result += np.matmul(left, right)
        else:
            np.matmul(left, right, out=result)


def _view(
    matrix: tuple[int, int, int], rows: int, columns: int, op: int, stride: int, count: int, dtype: Any
):
    """The transposed of a column-major op(matrix) of rows×columns, as a row-major view: columns×rows."""
    pointer, _, ld = matrix
    inner, outer = (columns, rows) if op else (rows, columns)  # as it lies in memory: outer lines of inner
    if ld < inner:
        raise ValueError(f"leading dimension {ld} of a matrix with {inner} rows")
    if not pointer or pointer % dtype.itemsize:
        raise ValueError(f"no {dtype} can be at {pointer}")
    size = (count - 1) * stride + (outer - 1) * ld + inner
    memory = _MEMORY(pointer, size * dtype.itemsize, _WRITABLE)
    lines = (1, ld) if op else (ld, 1)
    shape: tuple[int, ...] = (columns, rows)
    strides: tuple[int, ...] = lines
    if count > 1:
        shape, strides = (count, *shape), (stride, *strides)
    return np.ndarray(shape, dtype, memory, strides=[s * dtype.itemsize for s in strides])
