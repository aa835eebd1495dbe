"""The table of primitives: on each line a function, then its partial derivatives.

g is the cotangent of y. Rules ignore broadcasting: `grad` sums each cotangent to the shape of its input, in one place.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.backend import Array
from minigan.engine.notation import FUNCTIONS
from minigan.engine.tensor import VJP, Primitive, Tensor

__all__ = [
    "PRIMITIVES", "Elementwise", "absolute", "add", "broadcast_to", "divide", "elu", "embed", "exp", "getitem",
    "leaky_relu", "log", "mT", "matmul", "maximum", "mean", "minimum", "multiply", "negative", "power", "relu", "reshape",
    "sigmoid", "sign", "silu", "softplus", "sqrt", "square", "step", "subtract", "sum", "sum_over", "sum_to", "tanh"]


class Elementwise(Primitive):
    """A primitive whose kernel is the array library's function of the same name."""

    plain = True

    def __init__(self, name: str, *vjps: VJP) -> None:
        super().__init__(name, lambda xp, *xs, out=None: getattr(xp, name)(*xs, out=out), *vjps)
        self.most, about = getattr(np, name).nin, getattr(np, name).__doc__.split("\n\n")[1]
        self.usage = f"{name}({'x' if self.most == 1 else 'a, b'})"
        self.__doc__ = f"{self.usage} of Tensors, a primitive. {about}"


# ── arithmetic                             ∂/∂a                                ∂/∂b
add      = Elementwise("add",      lambda g, y, a, b: g,             lambda g, y, a, b: g)
subtract = Elementwise("subtract", lambda g, y, a, b: g,             lambda g, y, a, b: -g)
multiply = Elementwise("multiply", lambda g, y, a, b: g * b,         lambda g, y, a, b: g * a)
divide   = Elementwise("divide",   lambda g, y, a, b: g / b,         lambda g, y, a, b: -g * y / b)
maximum  = Elementwise("maximum",  lambda g, y, a, b: g * _share(a - b), lambda g, y, a, b: g * _share(b - a))
minimum  = Elementwise("minimum",  lambda g, y, a, b: g * _share(b - a), lambda g, y, a, b: g * _share(a - b))
power    = Elementwise("power",    lambda g, y, x, n: g * (n * power(x, n - 1)) if n else g * 0.0)   # n is a Python number

# ── elementary functions                   ∂/∂x
negative = Elementwise("negative", lambda g, y, x: -g)
exp      = Elementwise("exp",      lambda g, y, x: g * y)
log      = Elementwise("log",      lambda g, y, x: g / x)
sqrt     = Elementwise("sqrt",     lambda g, y, x: g * (0.5 / y))
square   = Elementwise("square",   lambda g, y, x: g * (2.0 * x))
tanh     = Elementwise("tanh",     lambda g, y, x: g * (1.0 - square(y)))
absolute = Elementwise("absolute", lambda g, y, x: g * sign(x))
sign     = Elementwise("sign",     None)


# ── piecewise; at the kink the derivative is 0 (step, relu), the slope (leaky_relu) or shared (maximum, minimum)
def _leaky_relu(xp: Any, x: Array, *, slope: float, out: Array = None) -> Array:
    if not 0.0 <= slope <= 1.0:
        raise ValueError(f"the slope lies in [0, 1]; received {slope}")
    return xp.maximum(x, float(slope) * x, out=out)            # a NumPy scalar would promote float32

def _share(difference: Tensor) -> Tensor:
    """1 where the difference is positive, 0 where it is negative, ½ at a tie."""
    return 0.5 + 0.5 * sign(difference)

step       = Primitive("step",       lambda xp, x, out=None: xp.greater(x, 0.0, out=xp.empty_like(x) if out is None else out), None)
relu       = Primitive("relu",       lambda xp, x, out=None: xp.maximum(x, 0.0, out=out), lambda g, y, x: g * step(x))
leaky_relu = Primitive("leaky_relu", _leaky_relu, lambda g, y, x, slope: g * (slope + (1.0 - slope) * step(x)))
elu        = Primitive("elu",        lambda xp, x, out=None: xp.add(xp.maximum(x, 0.0), xp.expm1(xp.minimum(x, 0.0)), out=out),
                       lambda g, y, x: g * exp(minimum(x, 0.0)))


# ── the logistic family; both tails exact, because a saturating generator lives in them
def _sigmoid(xp: Any, x: Array, out: Array = None) -> Array:
    y = xp.negative(x, out=xp.empty_like(x) if out is None else out)
    with np.errstate(over="ignore"):                          # e⁻ˣ = ∞ gives 0, where the value is below the smallest normal
        y = xp.exp(y, out=y)
    y = xp.add(y, 1.0, out=y)
    return xp.divide(1.0, y, out=y)

sigmoid  = Primitive("sigmoid",  _sigmoid,  lambda g, y, x: g * (y * sigmoid(-x)))       # not y(1 - y): float32 makes that 0 from x = 17
softplus = Primitive("softplus", lambda xp, x, out=None: xp.logaddexp(x, x.dtype.type(0), out=out), lambda g, y, x: g * sigmoid(x))


# ── products of matrices                   ∂/∂a                                ∂/∂b
def _matmul(xp: Any, a: Array, b: Array, out: Array = None) -> Array:
    nk, km = getattr(a, "shape", []), getattr(b, "shape", [])
    if len(nk) < 2 or len(km) < 2:
        raise ValueError("a product of matrices needs (…, n, k) and (…, k, m)")
    if nk[-1] == 1 == km[-2]:                                  # an outer product, which BLAS is slow at: the same bits
        return xp.multiply(a, b, out=out)
    if len(nk) == 2 == len(km) and a.flags.forc and b.flags.forc:  # the same bits, sooner; of strided memory they are not
        return a.dot(b) if xp is np and out is None else xp.dot(a, b, out=out)
    return xp.matmul(a, b, out=out)

matmul = Primitive("matmul", _matmul, lambda g, y, a, b: g @ mT(b), lambda g, y, a, b: mT(a) @ g)


# ── sums and shapes; views cost nothing on replay
def _sum(xp: Any, x: Array, *, axis: tuple[int, ...], out: Array = None) -> Array:
    if type(axis) is not tuple:
        raise TypeError("axis is a tuple; minigan.sum and minigan.mean take an integer too")
    return xp.add.reduce(x, axis=axis, keepdims=True, out=out)  # what sum ends in, sooner

def _embed(xp: Any, x: Array, *, shape: tuple[int, ...], key: Any, out: Array = None) -> Array:
    y = xp.zeros(shape, x.dtype) if out is None else out
    y[...] = 0.0
    y[key] = x
    return y

sum_over     = Primitive("sum", _sum, lambda g, y, x, axis: broadcast_to(g, shape=x.shape))
mT           = Primitive("mT", lambda xp, x, *, out=None: x.swapaxes(-1, -2), lambda g, y, x: mT(g), view=True)
reshape      = Primitive("reshape", lambda xp, x, *, shape, out=None: x.reshape(shape) if out is None else xp.copyto(out, x.reshape(shape)),
                         lambda g, y, x, shape: reshape(g, shape=x.shape), view=True)
broadcast_to = Primitive("broadcast_to", lambda xp, x, *, shape, out=None: xp.broadcast_to(x, shape), lambda g, y, x, shape: g, view=True)
getitem      = Primitive("getitem", lambda xp, x, *, key, out=None: x[key] if out is None else xp.copyto(out, x[key]),
                         lambda g, y, x, key: embed(g, shape=x.shape, key=key), view=True)
embed        = Primitive("embed", _embed, lambda g, y, x, shape, key: getitem(g, key=key))

PRIMITIVES = {p.name: p for p in (
    add, subtract, multiply, divide, maximum, minimum, power, negative, exp, log, sqrt, square, tanh, absolute, sign,
    step, relu, leaky_relu, elu, sigmoid, softplus, matmul, sum_over, mT, reshape, broadcast_to, getitem, embed)}


# ── composed of primitives
sum, mean = Tensor.sum, Tensor.mean

def silu(x: Tensor) -> Tensor:
    """x σ(x).    Source:  Elfwing, Uchibe, Doya 2018"""
    return x * sigmoid(x)

def sum_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The adjoint of broadcasting from ``shape``: sum over every axis that broadcasting added or stretched."""
    given = x.shape
    if given == shape:
        return x
    lead = len(given) - len(shape)
    stretched = [lead + i for i, n in enumerate(shape) if n == 1 != given[lead + i]]
    y = sum_over(x, axis=(*range(lead), *stretched))
    return reshape(y, shape=shape) if lead else y


# ── what the notation of Tensor stands for
def _power(x: Tensor, n: float) -> Tensor:
    if isinstance(n, Tensor):
        raise TypeError("x ** n takes a Python number n; write exp(n * log(x)) for a tensor exponent")
    return power(x, n)

_INDICES = {int, slice, type(...)}
def _index(x: Tensor, key: Any) -> Tensor:
    parts = key if isinstance(key, tuple) else (key,)
    if not _INDICES.issuperset(map(type, parts)):  # True would be a mask
        raise TypeError(f"a Tensor is indexed by integers, slices and ...; received {key!r}")
    return getitem(x, key=(*parts, ...) if len(parts) == x.ndim and ... not in parts else key)  # one element too is a view

_functions: dict[str, Callable[..., Tensor]] = {**PRIMITIVES, "power": _power, "getitem": _index, "mean": mean}
for _name, _function in _functions.items():
    FUNCTIONS[_name].append(_function.__call__ if isinstance(_function, Primitive) else _function)  # called sooner so
    _function.__module__ = __name__  # where pickle finds it
