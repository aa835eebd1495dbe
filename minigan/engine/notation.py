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


def _unary(name: str) -> Callable[[_T], _T]:
    held = FUNCTIONS[name]
    return lambda x: held[0](x)


def _infix(name: str) -> tuple[Callable[[_T, _T | float], _T], Callable[[_T, _T | float], _T]]:
    """a ∘ b, and b ∘ a for a number b."""
    held = FUNCTIONS[name]
    return lambda a, b: held[0](a, b), lambda a, b: held[0](b, a)


def _compared(compare: Callable[[Any, Any], Any], most: float = math.inf) -> Callable[[Any, object], bool]:
    """One element with a number, by value. All else is equal if it is one Tensor, and has no order."""
    return lambda a, b: compare(a.item(), b) if isinstance(b, Real) and a.size <= most else NotImplemented


def _axes(x: Any, axis: Any) -> tuple[int, ...]:
    if not isinstance(x, Notation):
        raise TypeError(
            f"a sum or mean takes a Tensor; received {type(x).__name__}, wrap it with constant(values)"
        )
    if axis is None:
        return (-2, -1)[max(0, 2 - x.ndim) :]
    return tuple(axis) if isinstance(axis, Iterable) else (operator.index(axis),)


def _attribute(get: Callable[[Any], object]) -> Any:
    return property(get)


def _in_place(x: object, *_: object) -> NoReturn:
    raise TypeError("a Tensor is not changed in place; use assign(target, value), or x = x + y for a new one")


class Notation:
    """The part of a Tensor that says what the primitives do."""

    __slots__ = ()
    __iter__ = None
    array: Array

    shape: tuple[int, ...] = _attribute(operator.attrgetter("array.shape"))
    dtype: np.dtype[Any] = _attribute(operator.attrgetter("array.dtype"))
    ndim: int = _attribute(operator.attrgetter("array.ndim"))
    size: int = _attribute(operator.attrgetter("array.size"))

    __add__, __radd__ = _infix("add")
    __sub__, __rsub__ = _infix("subtract")
    __mul__, __rmul__ = _infix("multiply")
    __truediv__, __rtruediv__ = _infix("divide")
    __matmul__, __rmatmul__ = _infix("matmul")
    __pow__ = _infix("power")[0]
    __neg__, __abs__ = _unary("negative"), _unary("absolute")
    __lt__, __le__ = _compared(operator.lt), _compared(operator.le)
    __gt__, __ge__ = _compared(operator.gt), _compared(operator.ge)
    __eq__, __ne__ = _compared(operator.eq, 1), _compared(operator.ne, 1)
    __hash__ = object.__hash__
    __iadd__ = __isub__ = __imul__ = __itruediv__ = __imatmul__ = __ipow__ = __setitem__ = _in_place

    @property
    def T(self) -> Self:
        """The last two axes exchanged: every replica's matrix is transposed."""
        y: Self = FUNCTIONS["mT"][0](self)
        return y

    def __getitem__(self, key: Any) -> Self:
        y: Self = FUNCTIONS["getitem"][0](self, key)
        return y

    def __len__(self) -> int:
        return len(self.array)

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Self:
        """Σ over ``axis``, kept with length one; by default over batch and features, the last two axes."""
        y: Self = FUNCTIONS["sum"][0](self, axis=_axes(self, axis))
        return y

    def mean(self, axis: int | tuple[int, ...] | None = None) -> Self:
        """The mean over ``axis``, kept with length one; by default, as ``sum``, one value per replica.

        Raises:  ValueError – for an axis that is not there, or of no numbers
        """
        axes, shape = _axes(self, axis), self.shape
        total: Self = FUNCTIONS["sum"][0](self, axis=axes)
        if (count := math.prod([shape[a] for a in axes])) == 0:
            raise ValueError(f"the mean of no numbers was asked for: shape {shape}, axes {axes}")
        return total * (1.0 / count)

    def __array__(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a Tensor does not become a NumPy array implicitly; use tensor.numpy()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **_: object) -> Any:
        """NumPy asks here for ``np.float64(2) * x``, which is meant, and for np.exp(x), which is not."""
        if ufunc.__name__ in _INFIX and not isinstance(inputs[0], Notation):
            return FUNCTIONS[ufunc.__name__][0](*inputs)
        return self.__array_function__(ufunc)

    def __array_function__(self, function: Any, *_: object) -> NoReturn:
        name = function.__name__
        way = f"minigan.{name}" if name in FUNCTIONS else "one of minigan.PRIMITIVES, or tensor.numpy()"
        raise TypeError(f"NumPy's {name} takes arrays, no Tensors, and has no derivative; use {way}")

    @property
    def grad(self) -> NoReturn:
        """Refused, as ``backward`` is: gradients are values."""
        raise AttributeError("a Tensor keeps no gradient; minigan.grad(loss, [x, …]) returns the gradients")

    backward = grad
