"""A value, the call that made it, and the primitives that calls are made of.

Array work passes through one place, the dispatch ``Primitive.__call__``. It has one hook, ``observer``: what
is set there sees every call, and fills and `assign` report to it themselves. So the compiler records a step
and anomalies are found; the engine imports neither.
"""

import inspect
import math
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np

from minigan import backend
from minigan.backend.writes import clock
from minigan.engine.notation import Notation

__all__ = ["VJP", "Call", "CaptureError", "Operand", "Primitive", "StaleTensorError", "Tensor", "constant",
           "cut", "flat", "is_tracked", "leaf", "observer", "refusal", "taping", "variable"]  # fmt: skip

# What the dispatch shows every call to: the Program under capture, or a detect_anomaly. One per thread.
observer: ContextVar[Any] = ContextVar("observer", default=None)
taping = ContextVar("taping", default=True)  # whether calls are kept for gradients


class CaptureError(RuntimeError):
    """A step cannot be recorded, or replayed as it was recorded."""


class StaleTensorError(RuntimeError):
    """A value that the backward pass needs was overwritten after it was used."""


def refusal(what: str) -> str | None:
    """Why the observer allows no "read", "capture", "replay" or "watch" here; None where it does."""
    refuses: dict[str, str] = getattr(observer.get(), "refuses", {})
    return refuses.get(what)


class Call:
    """One application of a primitive. The tape keeps calls; a program replays them."""

    __slots__ = ("primitive", "inputs", "params", "age", "line")
    line: str  # of the caller, where anomalies are detected

    def __init__(self, primitive: "Primitive", inputs: "tuple[Operand, ...]", params: dict[str, Any]) -> None:
        self.primitive, self.inputs, self.params = primitive, inputs, params
        self.age = next(clock)  # inputs are older than outputs: age is a topological order


class Tensor(Notation):
    """An array and, when a gradient may be asked through it, the call that made it.

    variable(values) and constant(values) make one of anything; Tensor(memory) takes an array as it is.

    memory  the array itself, for `assign` and what loads values to write; ``array`` is to read
    """

    __slots__ = ("memory", "call")

    def __init__(self, memory: backend.Array, call: "Call | None" = None) -> None:
        self.memory, self.call = memory, call

    def numpy(self) -> np.ndarray[Any, Any]:
        """A copy on the host, as a NumPy array.

        Raises:  CaptureError – while capturing: the value would freeze into the program
        """
        if reason := refusal("read"):
            raise CaptureError(reason)
        return backend.of(self.memory).to_host(self.memory)

    def item(self) -> float:
        """The value of a tensor of one element, as a Python float; so read float, int, bool and ``t < 1``."""
        if self.size != 1:
            way = "use tensor.numpy(), or reduce it first, as mean(t) does"
            raise ValueError(f"a number is read from one element; this one has shape {self.shape}, {way}")
        return float(self.numpy().reshape(()))

    def __reduce__(self) -> tuple[Any, ...]:
        """For copy and pickle: views of one memory are so again."""
        array, memory = self.memory, backend.owner(self.memory)
        if type(array) is not np.ndarray or (self.call is not None and self.call.inputs):
            way = "of a computed Tensor take constant(t), of a network on a GPU network.parameters.copy()"
            raise TypeError(f"variables and constants on the host are copied; {way}")
        if not memory.flags.c_contiguous:
            array = memory = array.copy()
        start = array.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
        return _again, (is_tracked(self), array.shape, memory.dtype, memory, start, array.strides)

    def __repr__(self) -> str:
        made_by = "" if self.call is None else f", {'made by ' * bool(self.call.inputs)}{self.call.primitive}"
        return f"Tensor({backend.of(self.memory).to_host(self.memory)!r}{made_by})"


def _again(history: bool, *view: Any) -> Tensor:
    return (variable if history else constant)(Tensor(np.ndarray(*view)))


_new = object.__new__
Operand = Tensor | float  # and int, and NumPy's scalars: what stands beside a Tensor
VJP = Callable[..., Tensor] | None  # a rule; None where the derivative is zero


class Primitive:
    """A named kernel on arrays, and one vector-Jacobian product per input.

    kernel(xp, *arrays, out=None, **params) → y
    vjps[i](g, y, *inputs, **params)        → g · ∂y/∂inputs[i], in primitives, so that it can be
                                              differentiated again; None where the derivative is zero wherever
                                              it exists
    view: y shares the memory of its input, so a replay has nothing to do for it
    usage: how it is called, as "leaky_relu(x, slope=…)"; what ``help`` shows first
    """

    plain = False  # whether the kernel is the array library's function of that name

    def __init__(self, name: str, kernel: Callable[..., Any], *vjps: VJP, view: bool = False) -> None:
        self.name, self.kernel, self.vjps, self.view = name, kernel, vjps, view
        xs = [x for x in list(inspect.signature(kernel).parameters.values())[1:] if x.name != "out"]
        self.usage = f"{name}({', '.join(x.name + '=…' * (x.kind == x.KEYWORD_ONLY) for x in xs)})"
        self.most = math.inf if any(x.kind == x.VAR_POSITIONAL for x in xs) else len(xs)
        self.__doc__ = f"{self.usage} of Tensors, a primitive: a row of minigan/engine/primitives.py."
        self._functions: dict[type, Callable[..., backend.Array]] = {}  # what `bind` gave, by type of array

    def bind(self, xp: Any) -> Callable[..., backend.Array]:
        """The kernel as a function of arrays of one library."""
        return getattr(xp, self.name) if self.plain else partial(self.kernel, xp)

    def __call__(self, *inputs: Operand, **params: Any) -> Tensor:
        arrays: list[backend.Array] = []
        first = history = None
        for x in inputs:
            if type(x) is Tensor:
                a = x.memory
                if first is None:
                    first = a
                elif (type(a) is not type(first) or a.dtype is not first.dtype or len(arrays) >= self.most
                      or a.ndim != first.ndim and (a.ndim == 1 or first.ndim == 1)):  # fmt: skip
                    _refuse_mixture(self, inputs, first, a)
                if x.call is not None and (history is None or history is cut):
                    history = x.call
            elif type(x) is float or type(x) is int:
                a = x
            else:
                literals = [_literal(self, x) for x in inputs]  # tape and program hold the same ones
                return self(*literals, **params)
            arrays.append(a)
        if first is None:
            raise TypeError(f"{self} needs at least one Tensor; received {', '.join(map(repr, inputs))}")
        if (function := self._functions.get(type(first))) is None:
            function = self._functions[type(first)] = self.bind(backend.of(first).xp)
        try:
            if params and (self.plain or "out" in params):
                raise TypeError("it takes no more than that")
            array = function(*arrays, **params) if params else function(*arrays)  # sooner so
        except (TypeError, ValueError, OverflowError) as error:
            shapes = ", ".join(str(getattr(a, "shape", a)) for a in arrays)
            kind, name = (TypeError, self.usage) if isinstance(error, TypeError) else (ValueError, self.name)
            why = str(error).removeprefix(f"{self.kernel.__qualname__}() ")
            raise kind(f"{name} cannot take {shapes}: {why}") from (None if kind is ValueError else error)
        if type(array) is not type(first):
            array = backend.of(first).xp.asarray(array)  # a full reduction, which NumPy makes a scalar
        y = _new(Tensor)  # sooner than by __init__
        y.memory = array
        y.call = history and (Call(self, inputs, params) if history is not cut and taping.get() else cut)
        if (watching := observer.get()) is not None:
            watching.record(self, arrays, params, y)
        return y

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        return self.name  # of what is made once: its name in __module__


def _literal(primitive: Primitive, x: object) -> Operand:
    """A Python number stays one; NumPy's scalars become one: they would promote float32 to float64."""
    if isinstance(x, (Tensor, float, int)) and type(x) in (Tensor, float, int):
        return x
    if isinstance(x, Real) and not isinstance(x, bool):
        return float(x)
    received = f"{primitive} takes Tensors and Python numbers; received {type(x).__name__}"
    way = f"Wrap arrays with constant(array) or variable(array); the call is {primitive.usage}"
    raise TypeError(f"{received}. {way}")


def _refuse_mixture(primitive: Primitive, inputs: tuple[Operand, ...], a: Any, b: Any) -> None:
    """Of devices, dtypes, and of (n,) with (n, 1), whose n² pairs are a forgotten axis and no result."""
    if len(inputs) > primitive.most:  # NumPy would write into an excess one
        raise TypeError(f"{primitive.usage} cannot take {len(inputs)} inputs: it takes no more than that")
    if type(a) is not type(b) or a.dtype != b.dtype:
        kinds, way = f"{a.dtype} and {b.dtype}", "the engine never casts, make them one dtype"
        if type(a) is not type(b):
            kinds, way = f"{type(a).__name__} and {type(b).__name__}", "bring both to one by backend.array(…)"
        raise TypeError(f"{primitive} received {kinds}; {way}")
    row, column = (a, b.shape) if a.ndim == 1 else (b, a.shape)
    if len(column) > 1 == column[-1] != row.size == column[-2]:
        way = f"bring both to one shape, as by reshape(t, shape={column})"
        raise ValueError(f"{primitive} of {a.shape} and {b.shape} would pair each row with each; {way}")


# Of what no call made: variables, gradients that depend on nothing, what comes of gradients without history
leaf, flat, cut = (Call(Primitive(name, abs), (), {}) for name in ("variable", "gradient", "gradient"))


def _array(values: Any, dtype: Any) -> backend.Array:
    array, to = values.memory if type(values) is Tensor else values, dtype
    if array is not values and dtype is None:
        return array
    if isinstance(values, (Real, list, tuple)):
        to = dtype or "float32"
        try:
            array = np.array(values if isinstance(values, (Integral, list, tuple)) else float(values))
        except (ValueError, OverflowError):
            what = f"the rows of a Tensor have one length; received {type(values).__name__}"
            raise ValueError(f"{what}, or more than float64 can hold") from None
    home, to = backend.of(array), np.dtype(to or array.dtype)
    if array.dtype.kind not in "fiub" or to.kind != "f":
        what = f"tensors are floating point; received {array.dtype if to.kind == 'f' else to}"
        raise TypeError(f"{what}, give real numbers within float64, whole ones by dtype='float32'")
    if to == array.dtype:
        return array if type(values) is Tensor else array.astype(to)
    with np.errstate(all="ignore"):
        made = array.astype(to)
        lost = home.xp.isfinite(made) != home.xp.isfinite(array)
        if dtype is None and array.dtype.kind in "iu":  # a dtype that was asked for may round
            lost = made.astype(array.dtype) != array
    if (lost := home.to_host(lost)).any():
        number = home.to_host(array)[lost][0]
        raise ValueError(f"{to} cannot hold {number}; give dtype='float64', or scale the numbers")
    return made


def variable(values: Any, dtype: Any = None) -> Tensor:
    """A tensor to take gradients with respect to: a call with no inputs.

    values  a Tensor, whose memory is shared; an array of floating-point numbers of any backend, or numbers,
            whole or not, and lists of them, which become float32: these are copied
    dtype   another type than that

    Raises:  TypeError – for whole numbers in an array, which are data as often as a mistake: say which dtype
             ValueError – for numbers that the dtype cannot hold
    """
    return Tensor(_array(values, dtype), leaf)


def constant(values: Any, dtype: Any = None) -> Tensor:
    """The same without a history, so without gradients: of numbers, or of a Tensor, which is cut from it."""
    return Tensor(_array(values, dtype))


def is_tracked(x: object) -> bool:
    """Whether gradients may be asked through x."""
    return type(x) is Tensor and x.call is not None and x.call is not cut
