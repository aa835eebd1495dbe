"""What one writes with Tensors: operators and a few methods; and what other libraries allow, refused."""

import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any, NoReturn, Self, TypeVar

import numpy as np

from minigan.backend import Array

__all__ = ["FUNCTIONS", "Notation"]

# {name: [function]}: what the notation stands for. An operator holds the list, and primitives.py fills it.
FUNCTIONS: defaultdict[str, list[Callable[..., Any]]] = defaultdict(list)
_INFIX = ("add", "subtract", "multiply", "divide", "matmul")
_T = TypeVar("_T", bound="Notation")
_attribute: Any = property


def _unary(name: str) -> Callable[[_T], _T]:
    held = FUNCTIONS[name]
    return lambda x: held[0](x)


def _infix(name: str) -> tuple[Callable[[_T, _T | float], _T], Callable[[_T, _T | float], _T]]:
    """a ∘ b, and b ∘ a for a number b."""
    held = FUNCTIONS[name]
    return lambda a, b: held[0](a, b), lambda a, b: held[0](b, a)


def _read(kind: Any) -> Callable[[Any], Any]:
    return lambda x, *more: kind(x.item(), *more)


def _compared(compare: Callable[[Any, Any], Any]) -> Callable[[Any, object], bool]:
    """One element with a number, by value; a Tensor is equal to itself, and not compared with others."""

    def compared(a: Any, b: object) -> bool:
        if isinstance(b, Notation) and a is not b:
            raise TypeError("Tensors are not compared; say a is b, maximum(a, b), or compare a.numpy()")
        return compare(a.item(), b) if isinstance(b, Real) else NotImplemented

    return compared


def _axes(x: Any, axis: Any, others: dict[str, Any]) -> tuple[int, ...]:
    if isinstance(x, Notation) and not others:
        if axis is None:
            return (-2, -1) if x.memory.ndim > 1 else (-2, -1)[2 - x.ndim :]
        axes = axis if isinstance(axis, Iterable) else (axis,)
        if all(hasattr(a, "__index__") and not isinstance(a, bool) for a in axes):
            return tuple(map(operator.index, axes))
    given = ({} if axis is None else {"axis": axis}) | others
    received = ", ".join([type(x).__name__, *(f"{key}={a!r}" for key, a in given.items())])
    way = "wrap values with constant(values); axis is an integer or several, kept with length one"
    raise TypeError(f"a sum or mean takes a Tensor and axis=; received {received}: {way}")


def _to_read(x: Any) -> Array:
    a = x.memory
    return np.asarray(memoryview(a.data).toreadonly()) if type(a) is np.ndarray else a.view()


def _refused(reason: str, error: type[Exception] = TypeError) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise error(reason)

    return refuse


_in_place = _refused("a Tensor is not changed in place; use assign(target, value), or x = x + y")
_ELSEWHERE = {  # what does here what attributes do elsewhere
    "minigan.grad(loss, [x, …]) returns the gradients": "backward grad requires_grad requires_grad_",
    "minigan.constant(t) is t cut from its history": "detach data clone",
    "use minigan.reshape(t, shape=…)": "reshape view flatten squeeze unsqueeze",
    "use minigan.constant(t, dtype='float64')": "astype to float double",
    "use minigan.assign(t, value)": "copy_ fill_ zero_ add_ sub_",
    "use t.numpy(), an array": "cpu cuda tolist max min std var",
}


class Notation:
    """The part of a Tensor that says what the primitives do."""

    __slots__ = ()
    memory: Array

    array: Array = _attribute(_to_read, _in_place)
    shape: tuple[int, ...] = _attribute(operator.attrgetter("memory.shape"))
    dtype: np.dtype[Any] = _attribute(operator.attrgetter("memory.dtype"))
    ndim: int = _attribute(operator.attrgetter("memory.ndim"))
    size: int = _attribute(operator.attrgetter("memory.size"))

    __add__, __radd__ = _infix("add")
    __sub__, __rsub__ = _infix("subtract")
    __mul__, __rmul__ = _infix("multiply")
    __truediv__, __rtruediv__ = _infix("divide")
    __matmul__, __rmatmul__ = _infix("matmul")
    __pow__ = _infix("power")[0]
    __neg__, __abs__ = _unary("negative"), _unary("absolute")
    __lt__, __le__ = _compared(operator.lt), _compared(operator.le)
    __gt__, __ge__ = _compared(operator.gt), _compared(operator.ge)
    __eq__, __ne__ = _compared(operator.eq), _compared(operator.ne)
    __hash__ = object.__hash__
    __float__, __int__, __bool__, __round__ = _read(float), _read(int), _read(bool), _read(round)
    __iadd__ = __isub__ = __imul__ = __itruediv__ = __imatmul__ = __ipow__ = __setitem__ = _in_place
    __ifloordiv__ = __imod__ = _in_place
    __floordiv__ = __mod__ = __and__ = __or__ = _refused("a Tensor has no //, %, & and |; take t.numpy()")
    __iter__ = __contains__ = _refused("a Tensor is no sequence; take t[0], t[1], …, or t.numpy()")
    __array__ = _refused("a Tensor does not become a NumPy array implicitly; use tensor.numpy()")
    __rpow__ = _refused("a number to the power of a Tensor is exp(log(number) * t)")

    def __format__(self, spec: str) -> str:
        return format(float(self) if spec else repr(self), spec)

    @property
    def T(self) -> Self:
        """The last two axes exchanged: every replica's matrix is transposed."""
        y: Self = FUNCTIONS["mT"][0](self)
        return y

    def __getitem__(self, key: Any) -> Self:
        y: Self = FUNCTIONS["getitem"][0](self, key)
        return y

    def __len__(self) -> int:
        return len(self.memory)

    def sum(self, axis: int | tuple[int, ...] | None = None, **others: Any) -> Self:
        """Σ over ``axis``, kept with length one; by default over batch and features, the last two axes."""
        y: Self = FUNCTIONS["sum"][0](self, axis=_axes(self, axis, others))
        return y

    def mean(self, axis: int | tuple[int, ...] | None = None, **others: Any) -> Self:
        """The mean over ``axis``, kept with length one; by default, as ``sum``, one value per replica.

        Raises:  ValueError – for an axis that is not there, or of no numbers
        """
        axes, shape = _axes(self, axis, others), self.shape
        total: Self = FUNCTIONS["sum"][0](self, axis=axes)
        if (count := math.prod([shape[a] for a in axes])) == 0:
            raise ValueError(f"the mean of no numbers was asked for: shape {shape}, axes {axes}")
        return total * (1.0 / count)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **_: object) -> Any:
        """NumPy asks here for ``np.float64(2) * x``, which is meant, and for np.exp(x), which is not."""
        if ufunc.__name__ in _INFIX and not isinstance(inputs[0], Notation):
            return FUNCTIONS[ufunc.__name__][0](*inputs)
        return self.__array_function__(ufunc)

    def __array_function__(self, function: Any, *_: object) -> NoReturn:
        name = function.__name__
        way = f"minigan.{name}" if name in FUNCTIONS else "one of minigan.PRIMITIVES, or tensor.numpy()"
        raise TypeError(f"NumPy's {name} takes arrays, no Tensors, and has no derivative; use {way}")


for _way, _names in _ELSEWHERE.items():
    for _name in _names.split():
        _refuse = _refused(f"a Tensor has no {_name!r}, and keeps no gradient; {_way}", AttributeError)
        setattr(Notation, _name, property(_refuse, _refuse))
