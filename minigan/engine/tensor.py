"""A value, the call that made it, and the primitives that calls are made of.

All array work of the engine passes through one door, ``Primitive.__call__``. The tape (for gradients), the
recorder (for programs) and every check are observers of that door.
"""

import itertools
from contextvars import ContextVar
from functools import partial
from numbers import Real
from weakref import finalize

from minigan import backend

# glibc returns freed memory to the system, and each step of large arrays would fault its pages in anew.
# It keeps them once a block of nearly 32 MB, which is never touched, has come and gone (mallopt(3),
# M_MMAP_THRESHOLD); other allocators do not notice.
backend.numpy_backend.xp.empty(2**25 - 2**13, "uint8")

_clock = itertools.count(1)
_written: dict[int, int] = {}  # memory (id of its owner) that is alive → the time of its last `assign`
_last_write = 0
# What the door shows every call to: the Program under capture, or a detect_anomaly. One per thread.
observer: ContextVar = ContextVar("observer", default=None)


class CaptureError(RuntimeError):
    """A step cannot be recorded, or replayed as it was recorded."""


class StaleTensorError(RuntimeError):
    """A value that the backward pass needs was overwritten after it was used."""


def refusal(what):
    """Why the observer allows no "read", "capture", "replay" or "watch" here; None where it does."""
    watching = observer.get()
    return None if watching is None else watching.refuses.get(what)


class Call:
    """One application of a primitive. The tape keeps calls; a program replays them."""

    __slots__ = ("primitive", "inputs", "params", "age", "line")  # the line only where anomalies are detected

    def __init__(self, primitive, inputs, params):
        self.primitive, self.inputs, self.params = primitive, inputs, params
        self.age = next(_clock)  # inputs are older than outputs: age is a topological order


class Tensor:
    """An array and, when a gradient may be asked through it, the call that made it."""

    __slots__ = ("array", "call")
    __array_ufunc__ = None  # NumPy leaves `array * tensor` to us, and we refuse it with a sentence
    __iter__ = None

    def __init__(self, array, call=None):
        self.array, self.call = array, call

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: self.array.ndim)
    size = property(lambda self: self.array.size)

    def numpy(self):
        """A copy on the host, as a NumPy array.

        Raises:  CaptureError – while capturing: the value would freeze into the program
        """
        if reason := refusal("read"):
            raise CaptureError(reason)
        return backend.of(self.array).to_host(self.array)

    def item(self):
        """The value of a tensor of one element, as a Python float."""
        if self.size != 1:
            raise ValueError(f"item() reads a tensor of one element; this one has shape {self.shape}")
        return float(self.numpy().reshape(()))

    def __float__(self):
        return self.item()

    def __bool__(self):
        return bool(self.item())

    def __array__(self, *_, **__):
        raise TypeError("a Tensor does not become a NumPy array implicitly; use tensor.numpy()")

    def __setitem__(self, key, value):
        raise TypeError(
            "a Tensor is not changed in place, gradients would go wrong; use assign(target, value)"
        )

    def __repr__(self):
        made_by = "" if self.call is None else f", made by {self.call.primitive}"
        return f"Tensor({backend.of(self.array).to_host(self.array)!r}{made_by})"


class Primitive:
    """A named kernel on arrays, and one vector-Jacobian product per input.

    kernel(xp, *arrays, out=None, **params) → y
    vjps[i](g, y, *inputs, **params)        → g · ∂y/∂inputs[i], in primitives, so that it can be
                                              differentiated again; None where the derivative is zero wherever
                                              it exists
    view: y shares the memory of its input, so a replay has nothing to do for it
    """

    __slots__ = ("name", "kernel", "vjps", "view", "_functions")

    def __init__(self, name, kernel, *vjps, view=False):
        self.name, self.kernel, self.vjps, self.view = name, kernel, vjps, view
        self._functions = {}  # what `bind` gave, by type of array

    def bind(self, xp):
        """The kernel as a function of arrays of one library."""
        return partial(self.kernel, xp)

    def __call__(self, *inputs, **params):
        arrays, first, tracked = [], None, False
        for x in inputs:
            if type(x) is Tensor:
                a = x.array
                if first is None:
                    first = a
                elif type(a) is not type(first) or a.dtype != first.dtype:
                    raise _mixture(self, first, a)
                if x.call is not None:
                    tracked = True
            elif type(x) is float or type(x) is int:
                a = x
            else:
                literals = [_literal(self, x) for x in inputs]  # tape and program hold the same ones
                return self(*literals, **params)
            arrays.append(a)
        if first is None:
            raise TypeError(f"{self} needs at least one Tensor; received {', '.join(map(repr, inputs))}")
        function = self._functions.get(type(first))
        if function is None:
            function = self._functions[type(first)] = self.bind(backend.of(first).xp)
        try:
            array = function(*arrays, **params)
        except ValueError as error:
            shapes = ", ".join(str(getattr(a, "shape", a)) for a in arrays)
            raise ValueError(f"{self} cannot take {shapes}: {error}") from None
        if type(array) is not type(first):
            array = backend.of(first).xp.asarray(array)  # a full reduction, which NumPy makes a scalar
        y = Tensor(array, Call(self, inputs, params) if tracked else None)
        if (watching := observer.get()) is not None:
            watching.record(self, arrays, params, y)
        return y

    def __repr__(self):
        return self.name


def _literal(primitive, x):
    """A Python number stays one; NumPy's scalars become one: they would promote float32 to float64."""
    if type(x) in (Tensor, float, int):
        return x
    if isinstance(x, Real) and not isinstance(x, bool):
        return float(x)
    raise TypeError(
        f"{primitive} takes Tensors and Python numbers; received {type(x).__name__}. "
        "Wrap arrays with constant(array) or variable(array)"
    )


def _mixture(primitive, a, b):
    if type(a) is not type(b):
        return TypeError(
            f"{primitive} received arrays of two devices, {type(a).__name__} and {type(b).__name__}; "
            "bring both to one with backend.array(values)"
        )
    return TypeError(
        f"{primitive} received {a.dtype} and {b.dtype}; the engine never casts, make them one dtype"
    )


leaf = Primitive("leaf", None)


def _checked(array):
    if type(array) is Tensor:
        return array.array
    backend.of(array)  # raises if it is not an array of a backend
    if array.dtype.kind != "f":
        raise TypeError(
            f"tensors are floating point; received {array.dtype}, convert it with .astype('float32')"
        )
    return array


def variable(array):
    """A tensor to take gradients with respect to: a call with no inputs. Shares the memory of ``array``."""
    return Tensor(_checked(array), Call(leaf, (), {}))


def constant(x):
    """The same value, cut from its history; Python numbers pass through."""
    return x if isinstance(x, (int, float)) else Tensor(_checked(x))


def is_tracked(x):
    """Whether gradients may be asked through x."""
    return type(x) is Tensor and x.call is not None


def mark_written(array):
    """Note that the memory of ``array`` was overwritten now."""
    mark_replayed((written_memory(array),))


def written_memory(array):
    """The id of the owner of this memory, of which ``mark_replayed`` may be told as long as it is alive."""
    owner = backend.owner(array)
    if id(owner) not in _written:
        finalize(owner, _written.pop, id(owner), None).atexit = False
    return id(owner)


def mark_replayed(memories):
    """Note that these memories, as ``written_memory`` names them, were overwritten now."""
    global _last_write
    time = next(_clock)
    _written.update(dict.fromkeys(memories, time))
    _last_write = max(time, _last_write)  # another thread may have come first


def is_stale(t):
    """Whether memory that the call of t used or made was overwritten since."""
    age = t.call.age
    return age < _last_write and any(
        type(x) is Tensor and _written.get(id(backend.owner(x.array)), 0) > age for x in (t, *t.call.inputs)
    )
