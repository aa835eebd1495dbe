"""Where arrays live: NumPy's side of the switch, and the switch itself.

Everything above this floor reaches an array library through ``backend.of(array).xp``; nothing above it
imports one by name for engine work, so moving a run from the processor to a GPU changes no other line.

Here belongs what is known of devices and memory: ``cuda`` (CuPy: arrays, its stream), ``launches`` (kernels
and graphs), ``cublas`` (its products), ``philox`` (random numbers made on the device), ``writes`` (when
memory was overwritten), and ``kernels/`` (CUDA C that is the same for every step). What a step is, and code
that is written for one, belongs to the compiler; stand-ins for a GPU to ``minigan.testing``.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Self, TypeAlias

import numpy

NAMES = ("numpy", "cupy", "strict", "auto")
Array: TypeAlias = Any  # an array of any backend, of which NumPy's is one


class BackendError(RuntimeError):
    """A backend was asked for that is not available here; the message says what to do.

    >>> issubclass(mg.BackendError, RuntimeError)
    True
    """


class Backend:
    """An array namespace, and the few things that differ between a CPU and a GPU."""

    name: str = "numpy"
    xp: Any = numpy  # NumPy, or something that behaves like it
    array_type: type = numpy.ndarray
    device: str = "cpu"  # or "gpu": where the arrays are

    def array(self, values: Any, dtype: Any = None) -> Array:
        """A new array with a copy of host ``values``: the only way in."""
        return self.xp.array(values, dtype)

    def to_host(self, array: Array) -> numpy.ndarray[Any, Any]:
        """A NumPy copy of ``array``: the only way out."""
        return numpy.array(array)

    def span(self, array: Array) -> tuple[int, int]:
        """Where an array is: the address of its first byte, and of the one after its last."""
        return numpy.lib.array_utils.byte_bounds(array)

    def synchronize(self) -> None:
        """Wait until the device has done all that it was asked for."""

    def timer(self) -> "Timer":
        """``with backend.timer() as timer: …``, then ``timer.seconds`` of the device."""
        return Timer()

    def memory(self) -> dict[str, int]:
        """Bytes of the device, as far as they are known: "used", "held" for later, "free" and "total"."""
        try:
            page = os.sysconf("SC_PAGE_SIZE")
            return {"free": page * os.sysconf("SC_AVPHYS_PAGES"), "total": page * os.sysconf("SC_PHYS_PAGES")}
        except (AttributeError, OSError, ValueError):
            return {}

    def sequence(
        self, calls: Sequence[tuple[Any, Callable[[], Any]]], written: Sequence[Array]
    ) -> Callable[[], None]:
        """A function of no arguments that makes the calls in their order; on a GPU they are one graph.

        calls    (name, function of no arguments) each, which allocate nothing that outlives them
        written  the arrays that they write into; making the sequence leaves them as they are
        """
        functions = [function for _, function in calls]

        def run() -> None:
            for function in functions:
                function()

        return run

    def describe(self) -> str:
        """What runs the kernels, as text for logs."""
        return f"NumPy {numpy.__version__} on the CPU"

    def facts(self) -> dict[str, Any]:
        """What runs the kernels, as JSON for results."""
        return {"backend": self.name, "device": "CPU", "numpy": numpy.__version__}

    def __repr__(self) -> str:
        return f"<backend {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return get, (self.name,)  # there is one of each


class Timer:
    """Seconds spent inside ``with``."""

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start


numpy_backend = Backend()
# glibc returns freed memory to the system, and each step of large arrays would fault its pages in anew.
# It keeps them once a block of nearly 32 MB, which is never touched, has come and gone (mallopt(3),
# M_MMAP_THRESHOLD); other allocators do not notice.
numpy.empty(2**25 - 2**13, "uint8")
_BY_TYPE = {numpy_backend.array_type: numpy_backend}  # filled at import and by `get`, never by `of`
_REGISTERED: dict[
    str, Callable[[], Backend]
] = {}  # backends of other rooms: minigan/__init__.py adds "strict"


def of(array: Array) -> Backend:
    """The backend on which ``array`` lives, read off its type.

    Raises:  TypeError – if it is an array of no loaded backend
    """
    try:
        return _BY_TYPE[type(array)]
    except KeyError:
        loaded = ", ".join(backend.name for backend in _BY_TYPE.values())
        advice = "of numbers, lists and NumPy's arrays minigan.constant(values) makes a Tensor"
        if hasattr(array, "to_numpy"):
            advice = "the numbers of a table, a data frame among them, are its to_numpy()"
        raise TypeError(
            f"{type(array).__name__} is not an array of a loaded backend ({loaded}); {advice}"
        ) from None


def get(name: str = "auto") -> Backend:
    """The backend called ``name``: the one switch between CPU and GPU.

    "numpy" computes on the CPU; "cupy" on an NVIDIA GPU; "strict" is a device made of NumPy that refuses
    implicit transfers, for finding GPU bugs without a GPU; "auto" takes the GPU where one can be used, NumPy
    otherwise.

    Raises:  ValueError – for another name;  BackendError – if the backend cannot be used here

    >>> numpy = mg.get_backend("numpy")
    >>> numpy.name, float(numpy.array([1.0, 2.0]).sum())
    ('numpy', 3.0)
    """
    if name == "numpy":
        return numpy_backend
    if name == "cupy":
        try:
            return _cupy()
        except BackendError as error:
            raise BackendError(f"{error}; or use --backend numpy") from None
    if name in _REGISTERED:
        backend = _REGISTERED[name]()
        return _BY_TYPE.setdefault(backend.array_type, backend)
    if name == "auto":
        return automatic()[0]
    raise ValueError(f"backend must be one of {', '.join(NAMES)}; received {name!r}")


def register(name: str, load: Callable[[], Backend]) -> None:
    """Let `get` know another backend, which ``load()`` gives."""
    _REGISTERED[name] = load


@cache
def _cupy() -> Backend:
    from minigan.backend import cuda

    backend = cuda.load()
    return _BY_TYPE.setdefault(backend.array_type, backend)


@cache
def automatic() -> tuple[Backend, str | None]:
    """(backend, why): what "auto" takes, and the reason; None without CuPy, where there is no choice."""
    from importlib.util import find_spec

    if find_spec("cupy") is None:
        return numpy_backend, None
    try:
        return _cupy(), "there is a GPU that CuPy can use"
    except BackendError as error:
        return numpy_backend, str(error)


def owner(array: Array) -> Array:
    """The array that owns the memory which ``array`` looks at: itself, or the one it is a view of."""
    base = array.base
    return base if type(base) is type(array) else array
