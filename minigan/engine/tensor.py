"""A value, the call that made it, and the primitives that calls are made of.

Array work passes through one place, the dispatch ``Primitive.__call__``. It has one hook, ``observer``: what
is set there sees every call, and fills and `assign` report to it themselves. So the compiler records a step
and anomalies are found; the engine imports neither.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from numbers import Real
from typing import Any

import numpy as np

from minigan import backend
from minigan.backend.writes import clock
from minigan.engine.notation import Notation

__all__ = [
    "VJP", "Call", "CaptureError", "Operand", "Primitive", "StaleTensorError", "Tensor", "constant",
    "is_tracked", "leaf", "observer", "refusal", "variable",
]  # fmt: skip

# What the dispatch shows every call to: the Program under capture, or a detect_anomaly. One per thread.
observer: ContextVar[Any] = ContextVar("observer", default=None)


class CaptureError(RuntimeError):
    """A step cannot be recorded, or replayed as it was recorded."""


class StaleTensorError(RuntimeError):
    """A value that the backward pass needs was overwritten after it was used."""


def refusal(what: str) -> str | None:
    """Why the observer allows no "read", "capture", "replay" or "watch" here; None where it does."""
    watching = observer.get()
    reason: str | None = None if watching is None else watching.refuses.get(what)
    return reason


class Call:
    """One application of a primitive. The tape keeps calls; a program replays them."""

    __slots__ = ("primitive", "inputs", "params", "age", "line")
    line: str  # of the caller, where anomalies are detected

    def __init__(self, primitive: "Primitive", inputs: "tuple[Operand, ...]", params: dict[str, Any]) -> None:
        self.primitive, self.inputs, self.params = primitive, inputs, params
        self.age = next(clock)  # inputs are older than outputs: age is a topological order


class Tensor(Notation):
    """An array and, when a gradient may be asked through it, the call that made it.

    variable(values) and constant(values) make one of anything; Tensor(array) takes an array as it is.
    """

    __slots__ = ("array", "call")

    def __init__(self, array: backend.Array, call: "Call | None" = None) -> None:
        self.array, self.call = array, call

    def numpy(self) -> np.ndarray[Any, Any]:
        """A copy on the host, as a NumPy array.

        Raises:  CaptureError – while capturing: the value would freeze into the program
        """
        if reason := refusal("read"):
            raise CaptureError(reason)
        return backend.of(self.array).to_host(self.array)

    def item(self) -> float:
        """The value of a tensor of one element, as a Python float."""
        if self.size != 1:
            raise ValueError(f"item() reads a tensor of one element; this one has shape {self.shape}")
        return float(self.numpy().reshape(()))

    def __float__(self) -> float:
        return self.item()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __repr__(self) -> str:
        made_by = "" if self.call is None else f", made by {self.call.primitive}"
        return f"Tensor({backend.of(self.array).to_host(self.array)!r}{made_by})"


Operand = Tensor | float  # and int, and NumPy's scalars: what stands beside a Tensor
VJP = Callable[..., Tensor] | None  # a rule; None where the derivative is zero


class Primitive:
    """A named kernel on arrays, and one vector-Jacobian product per input.

    kernel(xp, *arrays, out=None, **params) → y
    vjps[i](g, y, *inputs, **params)        → g · ∂y/∂inputs[i], in primitives, so that it can be
                                              differentiated again; None where the derivative is zero wherever
                                              it exists
    view: y shares the memory of its input, so a replay has nothing to do for it
    """

    __slots__ = ("name", "kernel", "vjps", "view", "_functions")

    def __init__(self, name: str, kernel: Callable[..., Any], *vjps: VJP, view: bool = False) -> None:
        self.name, self.kernel, self.vjps, self.view = name, kernel, vjps, view
        self._functions: dict[type, Callable[..., backend.Array]] = {}  # what `bind` gave, by type of array

    def bind(self, xp: Any) -> Callable[..., backend.Array]:
        """The kernel as a function of arrays of one library."""
        return partial(self.kernel, xp)

    def __call__(self, *inputs: Operand, **params: Any) -> Tensor:
        arrays: list[backend.Array] = []
        first, tracked = None, False
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

    def __repr__(self) -> str:
        return self.name


def _literal(primitive: Primitive, x: object) -> Operand:
    """A Python number stays one; NumPy's scalars become one: they would promote float32 to float64."""
    if isinstance(x, (Tensor, float, int)) and type(x) in (Tensor, float, int):
        return x
    if isinstance(x, Real) and not isinstance(x, bool):
        return float(x)
    raise TypeError(
        f"{primitive} takes Tensors and Python numbers; received {type(x).__name__}. "
        "Wrap arrays with constant(array) or variable(array)"
    )


def _mixture(primitive: Primitive, a: backend.Array, b: backend.Array) -> TypeError:
    if type(a) is not type(b):
        return TypeError(
            f"{primitive} received arrays of two devices, {type(a).__name__} and {type(b).__name__}; "
            "bring both to one with backend.array(values)"
        )
    return TypeError(
        f"{primitive} received {a.dtype} and {b.dtype}; the engine never casts, make them one dtype"
    )


leaf = Primitive("leaf", type(None))  # of variables: no replay runs it


def _array(values: Any, dtype: Any) -> backend.Array:
    array = values.array if isinstance(values, Tensor) else values
    try:
        backend.of(array)
    except TypeError:
        if not isinstance(values, (Real, list, tuple)):
            raise
        array = np.asarray(float(values) if isinstance(values, Real) else values)
        dtype = dtype or ("float32" if array.dtype.kind in "fiub" else None)
    if dtype is not None:
        array = array.astype(dtype, copy=False)
    if array.dtype.kind != "f":
        raise TypeError(f"tensors are floating point; received {array.dtype}, convert by dtype='float32'")
    return array


def variable(values: Any, dtype: Any = None) -> Tensor:
    """A tensor to take gradients with respect to: a call with no inputs.

    values  an array of floating-point numbers of any backend, whose memory is shared, or a Tensor; numbers
            and lists of them, whole or not, become a new NumPy array of float32
    dtype   another type than that, for which the array is copied

    Raises:  TypeError – for whole numbers in an array, which are data as often as a mistake: say which dtype
    """
    return Tensor(_array(values, dtype), Call(leaf, (), {}))


def constant(values: Any, dtype: Any = None) -> Tensor:
    """The same without a history, so without gradients: of numbers, or of a Tensor, which is cut from it."""
    return Tensor(_array(values, dtype))


def is_tracked(x: object) -> bool:
    """Whether gradients may be asked through x."""
    return type(x) is Tensor and x.call is not None
