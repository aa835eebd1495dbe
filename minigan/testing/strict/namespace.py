"""A device made of NumPy that behaves like a GPU: it finds GPU bugs on a machine without one.

``Namespace`` is a double of the module ``cupy``: it has the names that CuPy has (cupy_api.json, read off the
real wheel), binds every call against CuPy's signature, keeps host and device apart, and captures graphs in
which nothing runs before their launch and whose temporaries are poisoned. Results are NumPy's own, bit for
bit, so any difference to the ``numpy`` backend is a bug of the caller. It says nothing about speed.
"""

import inspect
import json
import threading
import time
import weakref
from bisect import bisect
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from minigan.backend.cuda import CudaBackend
from minigan.testing.cuda_on_cpu import FakeCublas, HostModule

API = json.loads(Path(__file__).with_name("cupy_api.json").read_text(encoding="utf-8"))
SCALARS = (int, float, complex, np.generic)
UFUNC_KEYWORDS = {"out", "dtype", "casting"}
OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "lshift": "left_shift", "rshift": "right_shift", "and": "bitwise_and",
    "or": "bitwise_or", "xor": "bitwise_xor", "matmul": "matmul",
}  # fmt: skip
COMPARISONS = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
               "ne": "not_equal"}  # fmt: skip
UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
BLAS = {"matmul", "dot", "vdot", "inner", "outer", "tensordot", "einsum", "kron", "linalg"}
SYNCING = {  # they have to know values before they can say what they return
    "argwhere", "bincount", "extract", "flatnonzero", "histogram", "histogram2d", "histogramdd",
    "intersect1d", "nanmax", "nanmin", "nonzero", "percentile", "place", "quantile", "setdiff1d", "setxor1d",
    "trim_zeros", "union1d", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values",
}  # fmt: skip
ON_HOST = {  # what they return is no array
    "broadcast_shapes", "can_cast", "common_type", "isfortran", "isscalar", "iscomplexobj", "isrealobj",
    "issubdtype", "may_share_memory", "min_scalar_type", "ndim", "promote_types", "result_type",
    "shares_memory", "size", "shape",
}  # fmt: skip
IN_PLACE = {
    "fill_diagonal", "place", "put", "putmask", "ndarray.partition", "ndarray.put", "ndarray.sort",
}  # fmt: skip
UNSUPPORTED, INVALIDATED = 900, 901  # statuses of CUDA
LARGE, ALIGNMENT = 2**20, 256  # bytes


class OutOfMemoryError(MemoryError):
    """As CuPy's: the device has no room."""


class CUDARuntimeError(RuntimeError):
    """As CuPy's: a call of the CUDA runtime failed with this status."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


@dataclass
class Counters:
    """What a device was asked for, since the last ``reset()``."""

    launches: int = 0  # of single kernels
    graphs: int = 0  # launches of graphs
    nodes: int = 0  # kernels that ran inside graphs
    syncs: int = 0  # times the host waited for the device
    to_device: int = 0  # copies
    to_host: int = 0

    def reset(self):
        """Start again from zero."""
        for field in fields(self):
            setattr(self, field.name, 0)


def _root(a):
    """The NumPy array that owns the memory of a."""
    return a if a.base is None else a.base


def _by_address(roots):
    """Their first addresses in order, and they in that order."""
    pairs = sorted((root.__array_interface__["data"][0], k) for k, root in enumerate(roots) if root.size)
    return [first for first, _ in pairs], [roots[k] for _, k in pairs]


def _poison(a):
    """Make every byte of a 255: NaN, -1 or true, also to whoever reads the memory as another type."""
    a = a.view(np.uint8) if a.dtype == bool else a  # of which NumPy would fill 1
    a.fill(np.frombuffer(b"\xff" * a.itemsize, a.dtype)[0])


class _Memory:
    """What an array that is no view owns; its pool hears when it is freed."""

    __slots__ = ("pool", "root")

    def __init__(self, root, pool):
        self.root, self.pool = root, pool
        pool._used += root.nbytes
        pool._live[id(root)] = root

    def __del__(self):
        self.pool._take_back(self.root)


class DeviceArray:
    """An array in memory that the host cannot see."""

    __slots__ = ("_a", "_memory", "base", "__weakref__")
    __array_ufunc__ = None  # NumPy must not touch it
    __hash__ = None  # type: ignore[assignment]
    _cp = None  # the Namespace whose array it is

    def __init__(self, data, base=None, memory=None):
        self._a, self.base, self._memory = data, base, memory

    shape = property(lambda self: self._a.shape)
    strides = property(lambda self: self._a.strides)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    flags = property(lambda self: Flags(self._a.flags))
    T = property(lambda self: self._view(self._a.T))
    mT = property(lambda self: self._view(self._a.mT))
    device = property(lambda self: self._cp.cuda.Device(0))
    data = property(lambda self: MemoryPointer(self, self._a.__array_interface__["data"][0]))

    def _refuse_value(self, *_):
        raise TypeError(
            "a device value was read by the host implicitly; bring it over with backend.to_host(array)"
        )

    __bool__ = __float__ = __int__ = __index__ = __complex__ = _refuse_value

    def __array__(self, *_, **__):
        raise TypeError("implicit copy from device to host; use backend.to_host(array)")

    def __array_function__(self, *_, **__):
        raise TypeError("a NumPy function was called on a device array; call it through backend.of(array).xp")

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        return (self[k] for k in range(len(self._a)))

    def _view(self, data):
        return type(self)(data, self if self.base is None else self.base)

    def reshape(self, *shape, order="C", copy=None):
        data = self._a.reshape(*shape, order=order)
        return (
            self._view(data)
            if _root(data) is _root(self._a)
            else self._cp._made(np.reshape, (self, data.shape))
        )

    def swapaxes(self, axis1, axis2):
        return self._view(self._a.swapaxes(axis1, axis2))

    def transpose(self, *axes):
        return self._view(self._a.transpose(*axes))

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and self.dtype == dtype:
            return self
        return self._cp._made(partial(np.array, dtype=dtype, order=order), (self,))

    def copy(self, order="C"):
        return self._cp._made(partial(np.array, order=order), (self,))

    def fill(self, value):
        if isinstance(value, DeviceArray):
            self._cp._sync("fill with a value of the device", to_host=1)  # it asks whether that is 0
        self[...] = value

    def get(self, stream=None, order="C", out=None, blocking=True):
        self._cp._sync("get", to_host=1)
        if out is None:
            return np.array(self._a, order=order)
        out[...] = self._a
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray) or arr.shape != self.shape or arr.dtype != self.dtype:
            raise ValueError("set takes a NumPy array of the same shape and dtype")
        self._cp._upload()
        self._a[...] = arr

    def item(self):
        self._cp._sync("item", to_host=1)
        return self._a.item()

    def tolist(self):
        self._cp._sync("tolist", to_host=1)
        return self._a.tolist()

    def tobytes(self, order="C"):
        self._cp._sync("tobytes", to_host=1)
        return self._a.tobytes(order)

    def __getitem__(self, key):
        key, masked = self._key(key)
        data = self._a[key]
        if _root(data) is _root(self._a):
            return self._view(data)
        if masked:
            self._cp._sync("a boolean mask")
        return self._cp._made(lambda a: a[key], (self,))

    def __setitem__(self, key, value):
        cp = self._cp
        if isinstance(value, np.ndarray):
            if value.ndim:
                raise ValueError(
                    "non-scalar numpy.ndarray cannot be used for fill: implicit copy from host to device; "
                    "bring host values in with backend.array(values)"
                )
            value = value[()]
        elif not isinstance(value, (type(self), *SCALARS)):
            raise TypeError(
                f"Unsupported type {type(value)}; bring host values in with backend.array(values)"
            )
        key, masked = self._key(key)
        if masked and isinstance(value, type(self)) and value.size > 1:
            cp._sync("a boolean mask")
        cp._write(self, lambda a, x: a.__setitem__(key, x), (cp._host(value),))

    def _key(self, key):
        """An index as NumPy takes it, so that one element is a view too; whether it is a mask."""
        parts, masked = [], False
        for part in key if type(key) is tuple else (key,):
            if isinstance(part, DeviceArray):
                masked |= part._a.dtype == bool
                part = part._a
            elif not (
                part is None or part is Ellipsis or type(part) in (int, slice) or isinstance(part, np.integer)
            ):
                raise TypeError(
                    f"an index of type {type(part).__name__}: implicit copy from host to device; "
                    "bring host values in with backend.array(values)"
                )
            parts.append(part)
        if not any(part is Ellipsis for part in parts):
            parts.append(Ellipsis)
        return tuple(parts), masked

    def __getattr__(self, name):
        parameters = API["ndarray"].get(name)
        if parameters is None:
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}, as CuPy {API['version']} has it")
        if parameters == "attribute":
            return self._cp._general(lambda a: getattr(a, name), (self,), {})
        return partial(self._cp._function(f"ndarray.{name}", getattr(np.ndarray, name), parameters, 1), self)

    def __repr__(self):
        return f"<device array {self.dtype}{list(self.shape)}>"


def _operator(symbol, name):
    def plain(a, b):
        return getattr(a._cp, name)(a, b)

    def reflected(a, b):
        return getattr(a._cp, name)(b, a)

    def in_place(a, b):
        return getattr(a._cp, name)(a, b, out=a)

    for prefix, f in (("", plain), ("r", reflected), ("i", in_place)):
        if f"__{prefix}{symbol}__" in API["operators"]:
            setattr(DeviceArray, f"__{prefix}{symbol}__", f)


for _symbol, _name in OPERATORS.items():
    _operator(_symbol, _name)
for _symbol, _name in COMPARISONS.items():
    setattr(DeviceArray, f"__{_symbol}__", lambda a, b, _name=_name: getattr(a._cp, _name)(a, b))
for _symbol, _name in UNARY.items():
    setattr(DeviceArray, f"__{_symbol}__", lambda a, _name=_name: getattr(a._cp, _name)(a))


class Flags:
    """How an array lies in memory, in the five words that CuPy has for it."""

    __slots__ = ("_flags",)

    def __init__(self, flags):
        self._flags = flags

    c_contiguous = property(lambda self: self._flags.c_contiguous)
    f_contiguous = property(lambda self: self._flags.f_contiguous)
    forc = property(lambda self: self._flags.forc)
    fnc = property(lambda self: self._flags.fnc)
    owndata = property(lambda self: self._flags.owndata)


class MemoryPointer:
    """Where an array begins on the device."""

    __slots__ = ("mem", "ptr")

    def __init__(self, mem, ptr):
        self.mem, self.ptr = mem, ptr

    def __int__(self):
        return self.ptr


class MemoryPool:
    """Memory by sizes. What a graph knows is poisoned when it is freed, and then given to whoever comes next.

    So a graph that leans on a value of a temporary meets NaN, and one whose temporaries went back to a pool
    that others use spoils their arrays, as on a GPU.
    """

    _cp = None

    def __init__(self, allocator=None):
        self._used, self._limit, self._live, self._free = 0, 0, {}, {}
        self._cp._pools.add(self)

    def _place(self, made, graph):
        """A device array with this content, and the memory that a free block or NumPy gave it."""
        cp, size = self._cp, made.nbytes
        if self._limit and self._used + size > self._limit:
            raise OutOfMemoryError(
                f"Out of memory allocating {size:,} bytes (allocated so far: {self._used:,} bytes, "
                f"limit set to: {self._limit:,} bytes)."
            )
        root = _root(made)
        if self._free.get(size) and (made.flags.c_contiguous or made.flags.f_contiguous):
            root = self._free[size].pop()
            order = "C" if made.flags.c_contiguous else "F"
            placed = np.ndarray(made.shape, made.dtype, root.reshape(-1).view(np.uint8), order=order)
            placed[...] = made
            made = placed
        if graph is not None:
            _poison(made)  # nothing ran
        return cp.ndarray(made, None, _Memory(root, self))

    def _take_back(self, root):
        self._used -= root.nbytes
        self._live.pop(id(root), None)
        if id(root) in self._cp._known and root.flags.writeable:
            graph = self._cp._thread.stream._recording
            if graph is not None and id(root) in graph.roots:
                graph.steps.append(partial(_poison, root))
            _poison(root)
            if root.flags.c_contiguous and root.size:
                self._free.setdefault(root.nbytes, []).append(root)

    def malloc(self, size):
        """A pointer to that many new bytes."""
        made = self._place(np.full(size, 255, np.uint8), None)
        return MemoryPointer(made, made._a.ctypes.data)

    def used_bytes(self):
        """Bytes in use by arrays."""
        return self._used

    def free_bytes(self):
        """Bytes held for later."""
        return sum(size * len(roots) for size, roots in self._free.items())

    def total_bytes(self):
        """Bytes taken from the device."""
        return self._used + self.free_bytes()

    def free_all_blocks(self, stream=None):
        """Give back what is held for later."""
        self._free.clear()

    def set_limit(self, size=None, fraction=None):
        """The most bytes that arrays may have together; 0 for no limit."""
        self._limit = size or 0

    def get_limit(self):
        """That limit."""
        return self._limit


class _Recording:
    """A graph that is being captured: its steps, how many of them are kernels, and the memory they know."""

    def __init__(self):
        self.steps, self.kernels, self.roots, self.invalid = [], 0, {}, None
        self.firsts, self.owners = [], []  # memory by its address, as far as it was looked for

    def add(self, step, arrays, known):
        self.steps.append(step)
        self.kernels += 1
        for a in arrays:
            if isinstance(a, np.ndarray):
                root = _root(a)
                if id(root) not in self.roots:
                    self.roots[id(root)] = root
                    known[id(root)] = known.get(id(root), 0) + 1


class Graph:
    """What a stream captured: steps that write into the buffers that the capture gave them."""

    _cp = None

    def __init__(self, recording):
        self._steps, self._kernels, self._roots = recording.steps, recording.kernels, recording.roots

    def launch(self, stream=None):
        """Run all steps on the stream, or on the current one."""
        stream = self._cp._thread.stream if stream is None else stream
        if stream._recording is not None:
            stream._recording.add(self._run, (), {})
            return
        self._cp.counters.graphs += 1
        self._cp.counters.nodes += self._kernels
        self._run()

    def _run(self):
        with np.errstate(all="ignore"):
            for step in self._steps:
                step()

    def upload(self, stream=None):
        """Bring it to the device before its first launch."""

    def __del__(self):
        known = self._cp._known
        for key in self._roots:
            known[key] -= 1
            if not known[key]:
                del known[key]


class Stream:
    """An order of work."""

    _cp = None

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.is_non_blocking, self.ptds, self.priority = non_blocking, ptds, priority or 0
        self.ptr = 0 if null else id(self)
        self._recording, self._entered = None, []

    def use(self):
        """Make it the current stream of this thread."""
        self._cp._thread.stream = self
        return self

    def __enter__(self):
        self._entered.append(self._cp._thread.stream)
        return self.use()

    def __exit__(self, *_):
        self._entered.pop().use()

    def begin_capture(self, mode=None):
        """Record from now on instead of running."""
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self._recording is not None:
            raise CUDARuntimeError(UNSUPPORTED, "cudaErrorStreamCaptureUnsupported: it is capturing already")
        self._recording = _Recording()

    def end_capture(self):
        """The graph of what was recorded."""
        recording, self._recording = self._recording, None
        if recording is None:
            raise CUDARuntimeError(401, "cudaErrorIllegalState: the stream is not capturing")
        graph = self._cp.cuda.Graph(recording)
        if recording.invalid:
            raise CUDARuntimeError(
                INVALIDATED, f"cudaErrorStreamCaptureInvalidated: {recording.invalid} came between"
            )
        return graph

    def is_capturing(self):
        """Whether it records."""
        return self._recording is not None

    def synchronize(self):
        """Wait until all its work is done."""
        if self._recording is not None:
            self._recording.invalid = "synchronize"
            raise CUDARuntimeError(
                UNSUPPORTED,
                "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing",
            )
        self._cp.counters.syncs += 1

    @property
    def done(self):
        """Whether all its work is done."""
        self.synchronize()
        return True

    def record(self, event=None):
        """An event that happens when the work so far is done."""
        event = self._cp.cuda.Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        """Do nothing more before the event."""


class Event:
    """A point in the work of a stream."""

    _cp = None

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self._time = None

    def record(self, stream=None):
        """Let it happen when the work of the stream so far is done."""
        self._time = time.perf_counter()

    def synchronize(self):
        """Wait for it."""
        self._cp._sync("an event")

    @property
    def done(self):
        """Whether it happened."""
        return True


class RawModule:
    """CUDA C, compiled for the CPU."""

    _cp = None

    def __init__(
        self, code=None, *, path=None, options=(), backend="nvrtc", translate_cucomplex=False,
        enable_cooperative_groups=False, name_expressions=None, jitify=None,
    ):  # fmt: skip
        self.code, self.options, self.backend, self._module = code, tuple(options), backend, None

    def compile(self, log_stream=None):
        """Compile it, which is otherwise done when a function is first asked for."""
        if self._module is None:
            self._module = HostModule(self.code, self.options)

    def get_function(self, name):
        """One of its kernels."""
        self._cp._refuse_capture(
            RuntimeError, "a kernel is compiled and loaded during stream capture; launch it once before"
        )
        self.compile()
        return RawKernel(self._cp, self._module.kernel(name))


class RawKernel:
    """One kernel, launched as CuPy launches it."""

    def __init__(self, cp, kernel):
        self._cp, self._kernel, self.name = cp, kernel, kernel.name

    @property
    def max_dynamic_shared_size_bytes(self):
        """How much shared memory a launch may ask for."""
        return self._kernel.max_dynamic_shared_size_bytes

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        """Ask for that much."""
        self._kernel.max_dynamic_shared_size_bytes = size

    def __call__(self, grid, block, args, *, shared_mem=0):
        if not type(grid) is type(block) is type(args) is tuple:
            raise TypeError("grid, block and args are tuples")
        args = tuple(self._typed(a) for a in args)
        self._cp._launch(partial(self._kernel, grid, block, args, shared_mem), args)

    def _typed(self, a):
        """As CuPy passes it: a Python int as int64, a float as double."""
        if isinstance(a, self._cp.ndarray):
            return a._a
        for kind, typed in (
            (bool, np.bool_),
            (int, np.int64),
            (float, np.float64),
            (np.generic, lambda x: x),
        ):
            if isinstance(a, kind):
                return typed(a)
        raise TypeError(f"Unsupported type {type(a)}")


class Ufunc:
    """An elementwise function."""

    __slots__ = ("_cp", "_f", "name", "nargs", "nin", "nout", "types")

    def __init__(self, cp, f, nin, nout):
        self._cp, self._f, self.nin, self.nout, self.types = cp, f, nin, nout, f.types
        self.name, self.nargs = f"cupy_{f.__name__}", nin + nout

    def __call__(self, *args, out=None, **kwargs):
        if kwargs and not kwargs.keys() <= UFUNC_KEYWORDS:
            raise TypeError(f"Wrong arguments {kwargs}")
        nin = self.nin
        if len(args) != nin:
            if len(args) != self.nargs or out is not None:
                raise TypeError(
                    f"Wrong number of arguments for {self.name!r}. It must be either {nin} or {self.nargs} "
                    f"(with outputs), but given {len(args)}."
                )
            args, out = args[:nin], args[nin] if self.nout == 1 else args[nin:]
        return self._cp._elementwise(self._f, args, out, kwargs)

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        """The sum or product over axes."""
        if self.name not in ("cupy_add", "cupy_multiply"):
            raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")
        options = {"axis": axis, "dtype": dtype, "keepdims": keepdims}
        return self._cp._elementwise(self._f.reduce, (array,), out, options)

    def __repr__(self):
        return f"<ufunc {self.name!r}>"


class Generator:
    """Random numbers by NumPy, under the names that CuPy's Generator has; its numbers are others."""

    def __init__(self, cp, seed):
        self._cp, self._rng = cp, np.random.default_rng(seed)

    def __getattr__(self, name):
        if name not in API["classes"]["Generator"]:
            raise AttributeError(f"cupy.random.Generator has no attribute {name!r}")
        return lambda *args, **kwargs: self._cp._general(getattr(self._rng, name), args, kwargs)


class _Thread(threading.local):
    """What is current in each thread."""

    def __init__(self, stream, pool):
        self.stream, self.pool = stream, pool


class Namespace:
    """A double of the module ``cupy``, made of NumPy.

    flush     float32 results below the smallest normal number become 0, as CuPy's kernels make them
    counters  how often it was asked for launches, transfers and to wait
    """

    __name__, __version__ = "cupy", API["version"]

    def __init__(self, *, flush=False):
        def own(kind):
            return type(
                kind.__name__,
                (kind,),
                {"_cp": self, "__slots__": ()} if kind is DeviceArray else {"_cp": self},
            )

        self.ndarray, self.RawModule, self.counters, self._flush = (
            own(DeviceArray),
            own(RawModule),
            Counters(),
            flush,
        )
        self._pools = weakref.WeakSet()
        self._known = {}  # id of memory that graphs know → how many do
        self.cuda = _cuda(self, own)
        self._pool = self.cuda.MemoryPool()
        self._null = self.cuda.Stream(null=True)
        self.cuda.Stream.null = self._null
        self._thread = _Thread(self._null, self._pool)
        self.random = SimpleNamespace(default_rng=partial(Generator, self), Generator=Generator)
        self.get_default_memory_pool = lambda: self._pool

    # ── what host and device do together
    def _refuse_capture(self, error, text):
        if self._thread.stream._recording is not None:
            raise error(text)

    def _sync(self, what, to_host=0):
        """The host waits for the device."""
        self._refuse_capture(
            RuntimeError,
            f"the current stream is capturing, so synchronous API calls are disallowed ({what})",
        )
        self.counters.syncs += 1
        self.counters.to_host += to_host

    def _upload(self):
        self._refuse_capture(
            RuntimeError, "the current stream is capturing, so host to device copies are disallowed"
        )
        self.counters.to_device += 1

    # ── launches
    def _host(self, x):
        """What NumPy computes with in place of x; arrays of the host are refused."""
        if type(x) is self.ndarray:
            return x._a
        if isinstance(x, SCALARS) or x is None:
            return x
        if isinstance(x, np.ndarray):
            raise TypeError(
                "Unsupported type <class 'numpy.ndarray'>: implicit copy from host to device; "
                "bring host values in with backend.array(values)"
            )
        raise TypeError(f"Unsupported type {type(x)}")

    def _elementwise(self, f, args, out, kwargs):
        args = [x._a if type(x) is self.ndarray else self._host(x) for x in args]
        if out is None:
            thread = self._thread
            if self._flush or thread.stream._recording is not None:
                return self._made(f, args, kwargs)
            with np.errstate(all="ignore"):  # what is usual, sooner than by _made
                made = f(*args, **kwargs)
            if type(made) is tuple:
                return self._made(f, args, kwargs, made)
            self.counters.launches += 1
            return thread.pool._place(np.asarray(made), None)
        outs = out if type(out) is tuple else (out,)
        for x in outs:
            if type(x) is not self.ndarray:
                raise TypeError(f"return arrays must be of type cupy.ndarray; received {type(x).__name__}")
        target = outs[0]._a if len(outs) == 1 else tuple(x._a for x in outs)
        graph = self._thread.stream._recording
        if graph is None and not self._flush:
            self.counters.launches += 1
            with np.errstate(all="ignore"):
                f(*args, out=target, **kwargs)
            return out
        trial = target.copy() if len(outs) == 1 else tuple(x.copy() for x in target)
        self._launch(
            lambda: (f(*args, out=target, **kwargs), self._flushed(target)),
            [*args, *(x._a for x in outs)],
            trial=lambda: f(*args, out=trial, **kwargs),
        )
        return out

    def _launch(self, step, arrays, trial=None):
        """Run a step, or record it after a trial that may refuse it."""
        graph = self._thread.stream._recording
        with np.errstate(all="ignore"):
            if graph is None:
                self.counters.launches += 1
                step()
                return
            if trial is not None:
                trial()
        graph.add(step, arrays, self._known)

    def _memory_of(self, view):
        """The memory behind a view that was made of an address."""
        graph = self._thread.stream._recording
        if graph is None:
            return view
        at = view.__array_interface__["data"][0]
        for _ in range(2):  # the second time with what was made since
            k = bisect(graph.firsts, at) - 1
            if k >= 0 and at < graph.firsts[k] + graph.owners[k].nbytes:
                return graph.owners[k]
            live = [root for pool in self._pools for root in list(pool._live.values())]
            graph.firsts, graph.owners = _by_address(live)
        raise CUDARuntimeError(700, "cudaErrorIllegalAddress: a product of memory that no array owns")

    def _write(self, target, change, values):
        """change(target, *values), which writes into the target."""
        a = target._a
        trial = None if self._thread.stream._recording is None else partial(change, a.copy(), *values)
        self._launch(lambda: (change(a, *values), self._flushed(a)), [a, *values], trial)

    def _made(self, f, args, kwargs=None, results=None):
        """The new array, or arrays, that f returns, or has returned."""
        kwargs = kwargs or {}
        args = [x._a if type(x) is self.ndarray else x for x in args]
        thread, graph = self._thread, self._thread.stream._recording
        if results is None:
            with np.errstate(all="ignore"):
                results = f(*args, **kwargs)
        several = type(results) in (tuple, list)
        arrays = [np.asarray(x) for x in (results if several else (results,))]
        self._flushed(*arrays)
        made = [thread.pool._place(x, graph) for x in arrays]
        if graph is None:
            self.counters.launches += 1
        else:
            graph.add(partial(self._again, f, args, kwargs, [x._a for x in made], several),
                      [*_flat(args), *(x._a for x in made)], self._known)  # fmt: skip
        return type(results)(made) if several else made[0]

    def _again(self, f, args, kwargs, targets, several):
        """What a graph does for ``_made``."""
        if not several and isinstance(getattr(f, "__self__", f), np.ufunc):
            f(*args, out=targets[0], **kwargs)
        else:
            results = f(*args, **kwargs)
            for target, result in zip(targets, results if several else (results,), strict=True):
                np.copyto(target, result)
        self._flushed(*targets)

    def _flushed(self, *arrays):
        if self._flush:
            for a in arrays[0] if type(arrays[0]) is tuple else arrays:
                if a.dtype == np.float32:
                    np.copyto(a, np.copysign(np.float32(0), a), where=np.abs(a) < np.finfo(np.float32).tiny)

    def _general(self, f, args, kwargs):
        """Any function of arrays: what it returns are views of its arguments, or new."""
        out = kwargs.pop("out", None)
        owners = [x for x in _flat((args, tuple(kwargs.values()))) if type(x) is self.ndarray]
        args = [self._unwrapped(x) for x in args]
        kwargs = {key: self._unwrapped(x) for key, x in kwargs.items()}
        if out is not None:
            return self._elementwise(lambda *_, out: f(*args, out=out, **kwargs), owners, out, {})
        roots = {id(_root(x._a)): x for x in owners}
        with np.errstate(all="ignore"):
            results = f(*args, **kwargs)
        parts = results if type(results) in (tuple, list) else (results,)
        if parts and all(isinstance(x, np.ndarray) and id(_root(x)) in roots for x in parts):
            views = [roots[id(_root(x))]._view(x) for x in parts]
            return type(results)(views) if type(results) in (tuple, list) else views[0]
        return self._made(lambda *_: f(*args, **kwargs), owners, results=results)

    def _unwrapped(self, x):
        if isinstance(x, (tuple, list)) and not isinstance(x, str):
            return type(x)(map(self._unwrapped, x))
        if isinstance(x, np.ndarray):
            return self._host(x)
        return x._a if type(x) is self.ndarray else x

    # ── names
    def __getattr__(self, name):
        what = API["cupy"].get(name)
        if what is None:
            raise AttributeError(f"module 'cupy' has no attribute {name!r}, as CuPy {API['version']} has it")
        found = getattr(np, name, self)
        if found is self or what["kind"] == "module" or isinstance(found, type) != (what["kind"] == "type"):
            raise AttributeError(f"cupy.{name} is not part of the strict device")
        if what["kind"] == "ufunc" and isinstance(found, np.ufunc):
            found = Ufunc(self, found, what["nin"], what["nout"])
        elif what["kind"] in ("function", "ufunc"):
            found = self._function(name, found, what.get("parameters"), 0)
        setattr(self, name, found)
        return found

    def _function(self, name, f, parameters, bound):
        """f under CuPy's signature, after as many arguments as are bound already."""
        signature, known = None, set()
        if parameters is not None:
            names = [
                inspect.Parameter(n, k, default=None if d else inspect.Parameter.empty)
                for n, k, d in parameters
            ]
            signature = inspect.Signature(names)
        positional = [n for n, k, _ in parameters or () if k <= inspect.Parameter.POSITIONAL_OR_KEYWORD]
        out = positional.index("out") + bound if "out" in positional else None

        def on_device(*args, **kwargs):
            call = len(args), *kwargs  # what binds depends on no value
            if signature is not None and call not in known:
                signature.bind(*args[bound:], **kwargs)
                known.add(call)
            if out is not None and len(args) > out:
                kwargs = dict(zip(positional[out - bound :], args[out:], strict=False)) | kwargs
                args = args[:out]
            if name.removeprefix("ndarray.") in BLAS:
                self._refuse_capture(
                    NotImplementedError,
                    "calls to cuBLAS during stream capture are unsupported; use xp.matmul",
                )
            if name.removeprefix("ndarray.") in SYNCING or (name == "where" and len(args) == 1):
                self._sync(name)
            if name in IN_PLACE:
                target, *rest = args
                self._write(target, partial(_called, f, kwargs), [self._unwrapped(x) for x in rest])
                return None
            if name in ON_HOST:
                return f(*map(self._unwrapped, args), **kwargs)
            return self._general(f, args, kwargs)

        on_device.__name__ = name
        return on_device

    # ── what makes arrays, and writes into them
    def array(self, obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
        if type(obj) is self.ndarray:
            return self._made(partial(np.array, dtype=dtype, order=order, ndmin=ndmin), (obj,))
        if any(type(x) is self.ndarray for x in _flat((obj,))):
            return self._made(lambda *_: np.array(self._unwrapped(obj), dtype), _flat((obj,)))
        made = np.array(obj, dtype, order=order, ndmin=ndmin)
        if made.dtype.kind not in "biufc":
            raise ValueError(f"Unsupported dtype {made.dtype}")
        if made.ndim:
            self._upload()
        else:
            self.counters.launches += 1  # the value is an argument of a kernel that fills
        graph = self._thread.stream._recording
        array = self._thread.pool._place(made.copy() if made.base is not None or graph else made, graph)
        if graph is not None:
            graph.add(partial(np.copyto, array._a, made), [array._a], self._known)
        return array

    def asarray(self, a, dtype=None, order=None, *, copy=None, blocking=False):
        if type(a) is self.ndarray and (dtype is None or a.dtype == dtype) and not copy:
            return a
        return self.array(a, dtype)

    def ascontiguousarray(self, a, dtype=None):
        same = type(a) is self.ndarray and a._a.flags.c_contiguous and dtype in (None, a.dtype)
        return a if same else self.array(a, dtype, order="C")

    def asnumpy(self, a, stream=None, order="C", out=None, *, blocking=True):
        return a.get(order=order, out=out) if type(a) is self.ndarray else np.asarray(a)

    def empty(self, shape, dtype=float, order="C"):
        made = _aligned(shape, dtype, order)
        _poison(made)  # what is read before it is written shows
        return self._thread.pool._place(made, self._thread.stream._recording)

    def empty_like(self, prototype, dtype=None, order="K", subok=None, shape=None):
        made = np.empty_like(self._host(prototype), dtype, order, True, shape)
        _poison(made)
        return self._thread.pool._place(made, self._thread.stream._recording)

    def zeros(self, shape, dtype=float, order="C"):
        return self._made(partial(np.zeros, shape, dtype, order), ())

    def ones(self, shape, dtype=float, order="C"):
        return self._made(partial(np.ones, shape, dtype, order), ())

    def full(self, shape, fill_value, dtype=None, order="C"):
        return self._made(lambda value: np.full(shape, value, dtype, order), (self._host(fill_value),))

    def arange(self, start, stop=None, step=1, dtype=None):
        return self._made(
            partial(np.arange, *((0, start) if stop is None else (start, stop)), step, dtype), ()
        )

    def copyto(self, dst, src, casting="same_kind", where=None):
        if type(dst) is not self.ndarray:
            raise TypeError(f"dst must be cupy.ndarray; received {type(dst).__name__}")
        options = {"casting": casting, **({} if where is None else {"where": self._host(where)})}
        self._write(dst, partial(np.copyto, **options), (self._host(src),))

    def get_array_module(self, *args):
        return self if any(type(x) is self.ndarray for x in args) else np

    def __repr__(self):
        return "<a double of the module cupy>"


def _aligned(shape, dtype, order):
    """Large memory begins as on a GPU, where cuBLAS asks that of its workspace."""
    made = np.empty(shape, dtype, order)
    if made.nbytes < LARGE or not made.flags.c_contiguous:
        return made
    memory = np.empty(made.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + made.nbytes].view(made.dtype).reshape(made.shape)


def _called(f, kwargs, *args):
    f(*args, **kwargs)


def _flat(xs):
    """All that lists and tuples hold."""
    for x in xs:
        if isinstance(x, (tuple, list)):
            yield from _flat(x)
        else:
            yield x


def _cuda(cp, own):
    """The module ``cupy.cuda``."""

    @contextmanager
    def using_allocator(allocator=None):
        before, thread = cp._thread.pool, cp._thread
        thread.pool = cp._pool if allocator is None else allocator.__self__
        try:
            yield
        finally:
            thread.pool = before

    def elapsed(start, end):
        return 1e3 * (end._time - start._time)

    runtime = SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        driverGetVersion=lambda: 0,
        runtimeGetVersion=lambda: 0,
        getDeviceCount=lambda: 1,
        memGetInfo=lambda: (0, 0),
        deviceSynchronize=lambda: cp._thread.stream.synchronize(),
    )
    return SimpleNamespace(
        Stream=own(Stream),
        Event=own(Event),
        Graph=own(Graph),
        MemoryPool=own(MemoryPool),
        MemoryPointer=MemoryPointer,
        Device=lambda device=0: SimpleNamespace(
            id=device, compute_capability="90", synchronize=runtime.deviceSynchronize
        ),
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        runtime=runtime,
        alloc=lambda size: cp._thread.pool.malloc(size),
        get_allocator=lambda: cp._thread.pool.malloc,
        using_allocator=using_allocator,
        get_current_stream=lambda: cp._thread.stream,
        get_elapsed_time=elapsed,
        is_available=lambda: True,
    )


class Library(FakeCublas):
    """cuBLAS by NumPy, whose products go to the current stream, so that they can be captured."""

    def __init__(self, cp):
        super().__init__()
        self._cp = cp

    def _create(self, handle):
        self._cp._refuse_capture(
            RuntimeError, "a handle is made during stream capture; make a product before"
        )
        super()._create(handle)

    def _multiply(self, left, right, result, accumulate):
        def step():
            if accumulate:
                result[...] += np.matmul(left, right)
            else:
                np.matmul(left, right, out=result)

        self.calls.clear()
        self._cp._launch(step, [self._cp._memory_of(x) for x in (left, right, result)])


class Products:
    """A Gemm: what comes in a new layout goes through cuBLAS's double too, but the numbers are NumPy's.

    Where an operand is copied for cuBLAS, its product may have other last bits, and history must not matter.
    """

    def __init__(self, gemm):
        self._gemm, self._cp, self._shapes = gemm, gemm.cp, {}

    def __call__(self, a, b, out=None, **options):
        x, y = a._a, b._a
        place = None if out is None else (out.shape, out.strides, out.dtype)
        layout = x.shape, x.strides, x.dtype, y.shape, y.strides, y.dtype, place
        shape = self._shapes.get(layout)
        if shape is None or any(options.values()):
            out = self._gemm(a, b, out, **options)
            if any(options.values()) or not (x.size and y.size and out._a.flags.c_contiguous):
                return out
            self._shapes[layout] = out.shape
        elif out is None:
            out = self._cp.empty(shape, x.dtype)
        self._cp._launch(partial(np.matmul, x, y, out=out._a), (x, y, out._a))
        return out

    def __getattr__(self, name):
        return getattr(self._gemm, name)


class StrictBackend(CudaBackend):
    """The switch's ``strict`` position: the code of the GPU on a double of CuPy.

    counters  launches, syncs and transfers since their last ``reset()``
    """

    name, shared_memory = "strict", 227 * 1024  # as an H100 or H200 has
    fuses = False  # g++ would compile for seconds; what is fused is asked for by name

    def __init__(self, *, flush=False):
        cp = Namespace(flush=flush)
        super().__init__(cp, Library(cp))
        self.counters = cp.counters

    @cached_property
    def gemm(self):
        """Products of matrices that may be captured."""
        return Products(CudaBackend.gemm.func(self))

    def memory(self):
        pool = self.cp.get_default_memory_pool()
        return {"used": pool.used_bytes(), "held": pool.total_bytes()}

    def describe(self):
        return "the strict device: NumPy that refuses implicit transfers"

    def facts(self):
        return {"backend": self.name, "device": "no GPU: a double made of NumPy", "numpy": np.__version__}


strict = StrictBackend()
