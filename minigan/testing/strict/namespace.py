"""The module that stands in for CuPy: its functions and its ``cuda``, by names that CuPy has."""

from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import numpy as np

from minigan.testing.strict.api import API
from minigan.testing.strict.device import StrictDevice, flat
from minigan.testing.strict.functions import Generator, Ufunc, on_device
from minigan.testing.strict.memory import TOTAL, MemoryPointer, OutOfMemoryError, aligned, poison
from minigan.testing.strict.raw_kernels import CompileException, CUDADriverError, RawModule
from minigan.testing.strict.streams import CUDARuntimeError, elapsed


class StrictNamespace:
    """What stands in for the module ``cupy``: a StrictDevice under CuPy's names.

    flush  float32 results below the smallest normal number become 0, as CuPy's kernels make them
    """

    __name__, __version__ = "cupy", API["version"]

    def __init__(self, *, flush=False):
        device = self._device = StrictDevice(self, flushes=flush)
        self.ndarray, self.RawModule, self.cuda = device.ndarray, device.own(RawModule), _cuda(device)
        self.random = SimpleNamespace(default_rng=partial(Generator, device), Generator=Generator)
        self.get_default_memory_pool = lambda: device.pool

    def __getattr__(self, name):
        what = API["cupy"].get(name)
        if what is None:
            raise AttributeError(f"module 'cupy' has no attribute {name!r}, as CuPy {API['version']} has it")
        found = getattr(np, name, self)
        if found is self or what["kind"] == "module" or isinstance(found, type) != (what["kind"] == "type"):
            raise AttributeError(f"cupy.{name} is not part of the strict device")
        if what["kind"] == "ufunc" and isinstance(found, np.ufunc):
            found = Ufunc(self._device, found, what["nin"], what["nout"])
        elif what["kind"] in ("function", "ufunc"):
            found = on_device(self._device, name, found, what.get("parameters"))
        setattr(self, name, found)
        return found

    # ── what makes arrays, and writes into them
    def array(self, obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
        device = self._device
        if type(obj) is self.ndarray:
            return device.made(partial(np.array, dtype=dtype, order=order, ndmin=ndmin), (obj,))
        if any(type(x) is self.ndarray for x in flat((obj,))):
            return device.made(lambda *_: np.array(device.unwrapped(obj), dtype), flat((obj,)))
        made = np.array(obj, dtype, order=order, ndmin=ndmin)
        if made.dtype.kind not in "biufc":
            raise ValueError(f"Unsupported dtype {made.dtype}")
        if made.ndim:
            device.upload()
        else:
            if device.thread.queue.capture is None:
                device.take_turn(device.thread.queue)
            device.counters.launches += 1  # the value is an argument of a kernel that fills
        capture = device.thread.queue.capture
        array = device.place(made.copy() if made.base is not None or capture else made)
        if capture is not None:
            capture.add(partial(np.copyto, array._a, made), [array._a], device.known, device.thread.queue)
        return array

    def asarray(self, a, dtype=None, order=None, *, copy=None, blocking=False):
        if type(a) is self.ndarray and (dtype is None or a.dtype == dtype) and not copy:
            return a
        return self.array(a, dtype)

    def ascontiguousarray(self, a, dtype=None):
        same = type(a) is self.ndarray and a._a.flags.c_contiguous and dtype in (None, a.dtype)
        return a if same else self.array(a, dtype, order="C")

    def asnumpy(self, a, stream=None, order="C", out=None, *, blocking=True):
        if type(a) is self.ndarray:
            return a.get(stream, order, out, blocking)
        return np.asarray(a)

    def empty(self, shape, dtype=float, order="C"):
        made = aligned(shape, dtype, order)
        poison(made)  # what is read before it is written shows
        return self._device.place(made)

    def empty_like(self, prototype, dtype=None, order="K", subok=None, shape=None):
        made = np.empty_like(self._device.host(prototype), dtype, order, True, shape)
        poison(made)
        return self._device.place(made)

    def zeros(self, shape, dtype=float, order="C"):
        return self._device.made(partial(np.zeros, shape, dtype, order), ())

    def ones(self, shape, dtype=float, order="C"):
        return self._device.made(partial(np.ones, shape, dtype, order), ())

    def full(self, shape, fill_value, dtype=None, order="C"):
        return self._device.made(
            lambda value: np.full(shape, value, dtype, order), (self._device.host(fill_value),)
        )

    def arange(self, start, stop=None, step=1, dtype=None):
        return self._device.made(
            partial(np.arange, *((0, start) if stop is None else (start, stop)), step, dtype), ()
        )

    def copyto(self, dst, src, casting="same_kind", where=None):
        if type(dst) is not self.ndarray:
            raise TypeError(f"dst must be cupy.ndarray; received {type(dst).__name__}")
        options = {"casting": casting, **({} if where is None else {"where": self._device.host(where)})}
        self._device.write(dst, partial(np.copyto, **options), (self._device.host(src),))

    def get_array_module(self, *args):
        return self if any(type(x) is self.ndarray for x in args) else np

    def __repr__(self):
        return "<the strict device, in place of cupy>"


def _cuda(device):
    """The module ``cupy.cuda``."""

    @contextmanager
    def using_allocator(allocator=None):
        thread = device.thread
        before = thread.pool
        thread.pool = device.pool if allocator is None else allocator.__self__
        try:
            yield
        finally:
            thread.pool = before

    runtime = SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        driverGetVersion=lambda: 0,
        runtimeGetVersion=lambda: 0,
        getDeviceCount=lambda: 1,
        memGetInfo=lambda: (TOTAL - sum(pool.total_bytes() for pool in device.pools), TOTAL),
        deviceSynchronize=device.synchronize,
    )
    return SimpleNamespace(
        Stream=device.Stream,
        Event=device.Event,
        Graph=device.Graph,
        MemoryPool=device.MemoryPool,
        MemoryPointer=MemoryPointer,
        Device=lambda device=0: SimpleNamespace(
            id=device, compute_capability="90", synchronize=runtime.deviceSynchronize
        ),
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        compiler=SimpleNamespace(CompileException=CompileException),
        driver=SimpleNamespace(CUDADriverError=CUDADriverError),
        runtime=runtime,
        alloc=lambda size: device.thread.pool.malloc(size),
        get_allocator=lambda: device.thread.pool.malloc,
        using_allocator=using_allocator,
        get_current_stream=lambda: device.thread.stream,
        get_elapsed_time=elapsed,
        is_available=lambda: True,
    )
