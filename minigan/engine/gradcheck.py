"""Derivatives against differences: public, because whoever adds a primitive needs it.

`check_grads` tests any function of Tensors; CASES holds, for every primitive of the table, the inputs on
which it is tested.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from minigan import backend
from minigan.engine import primitives as P
from minigan.engine.autodiff import grad
from minigan.engine.tensor import constant, variable

# Without it the directions are the x that the caller drew with the same seed, and errors cancel.
_OWN_STREAM = 1406_2661


class GradientError(AssertionError):
    """A derivative differs from the difference quotient."""


def check_grads(f, *xs, order=2, eps=1e-5, tol=1e-6, seed=0, on=None):
    """Gradients of f at the float64 arrays xs against central differences along one random direction.

    With ``order`` above 1 the gradients are checked too, and so on up to that order.
    The loss is Σ w·f(x) with random weights w, so a wrong element, sign, factor or transpose cannot hide; an
    error e of the rule is found unless |e| ≤ tol (1 + |derivative|).  on: the backend to compute on, NumPy if
    not given.

    Raises:  GradientError – where they differ, with both values;  TypeError – unless every x is float64
    Source:  the recursive one-direction check of HIPS autograd and JAX
    """
    xs = [np.asarray(x) for x in xs]
    if any(x.dtype != np.float64 for x in xs):
        raise TypeError(f"check_grads needs float64 arrays; received {', '.join(str(x.dtype) for x in xs)}")
    on = on or backend.numpy_backend
    name, shapes = getattr(f, "__name__", f), [x.shape for x in xs]
    rng = np.random.default_rng((seed, _OWN_STREAM))

    def lift(x):
        return variable(on.array(x))

    w = rng.standard_normal(f(*map(lift, xs)).shape)
    directions = [rng.standard_normal(shape) for shape in shapes]

    def loss(*ts):
        y = f(*ts) * constant(on.array(w))
        return P.sum_over(y, axis=tuple(range(y.ndim)))

    def along(s):
        moved = [lift(x + s * eps * v) for x, v in zip(xs, directions, strict=True)]
        return float(loss(*moved).numpy().sum())

    numeric = (along(+1) - along(-1)) / (2 * eps)
    ts = [lift(x) for x in xs]
    gradients = [g.numpy() for g in grad(loss(*ts), ts)]
    received = [g.shape for g in gradients]
    if received != shapes:
        raise GradientError(f"{name}: gradients of shapes {received} for inputs of shapes {shapes}")
    exact = sum(np.vdot(g, v) for g, v in zip(gradients, directions, strict=True))
    if not abs(exact - numeric) <= tol * (1 + abs(numeric)):  # also catches NaN
        raise GradientError(
            f"{name}: derivative {exact:.12g}, difference quotient {numeric:.12g}, at shapes {shapes}, "
            f"{order} order{'s' if order > 1 else ''} to go"
        )
    if order > 1:
        for k in range(len(xs)):

            def kth(*ts, k=k):
                return grad(loss(*ts), ts, create_graph=True)[k]

            kth.__name__ = f"∂{name}/∂x{k}"
            check_grads(kth, *xs, order=order - 1, eps=eps, tol=tol, seed=seed + 1, on=on)


def _anywhere(rng, shape):
    return rng.standard_normal(shape)


def _positive(rng, shape):
    return rng.uniform(0.5, 2.0, shape)


def _off_kink(rng, shape):
    """Away from 0, where the piecewise functions have no derivative: a quotient across it means nothing."""
    return rng.uniform(0.2, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def _apart(rng, shape):
    """Values of which no two are near each other, across calls too: maximum has a kink where inputs meet."""
    return np.round(rng.standard_normal(shape), 1) + rng.uniform(0.0, 0.01, shape) + 0.03 * rng.integers(0, 3)


@dataclass(frozen=True)
class Case:
    """Inputs for one primitive: where to draw them, which shapes, which parameters."""

    sample: Callable
    shapes: tuple  # one tuple of input shapes per example
    params: dict = field(default_factory=dict)
    literals: tuple = ()  # Python numbers that follow the arrays

    def inputs(self, rng):
        """One list of float64 arrays per example."""
        return [[self.sample(rng, shape) for shape in shapes] for shapes in self.shapes]


_UNARY = (((3, 2),), ((2, 3, 2),), ((),), ((1,),))
_BINARY = (  # equal shapes, and every way of broadcasting: stretched, prepended, both sides, replicas
    ((3, 2), (3, 2)),
    ((3, 2), (1, 2)),
    ((3, 1), (1, 2)),
    ((2,), (3, 2)),
    ((4, 3, 2), (3, 1)),
    ((4, 1, 2), (1, 3, 1)),
    ((), (2, 2)),
)
_PRODUCT = (
    ((3, 2), (2, 4)),
    ((5, 3, 2), (5, 2, 4)),
    ((5, 3, 2), (2, 4)),
    ((3, 2), (5, 2, 4)),
    ((3, 1), (1, 4)),
    ((2, 1, 3, 2), (5, 2, 4)),
)
_MEETING = (_BINARY[0], *_BINARY[3:5])

CASES = {
    "add": Case(_anywhere, _BINARY), "subtract": Case(_anywhere, _BINARY),
    "multiply": Case(_anywhere, _BINARY), "divide": Case(_positive, _BINARY),
    "maximum": Case(_apart, _MEETING), "minimum": Case(_apart, _MEETING), "matmul": Case(_anywhere, _PRODUCT),
    "power": Case(_positive, _UNARY, literals=(2.5,)), "negative": Case(_anywhere, _UNARY),
    "exp": Case(_anywhere, _UNARY), "log": Case(_positive, _UNARY), "sqrt": Case(_positive, _UNARY),
    "square": Case(_anywhere, _UNARY), "tanh": Case(_anywhere, _UNARY), "absolute": Case(_off_kink, _UNARY),
    "sign": Case(_off_kink, _UNARY), "step": Case(_off_kink, _UNARY), "relu": Case(_off_kink, _UNARY),
    "leaky_relu": Case(_off_kink, _UNARY, {"slope": 0.2}), "elu": Case(_off_kink, _UNARY),
    "sigmoid": Case(_anywhere, _UNARY), "softplus": Case(_anywhere, _UNARY),
    "sum": Case(_anywhere, (((3, 2),), ((2, 3, 2),)), {"axis": (-2, -1)}),
    "mT": Case(_anywhere, (((3, 2),), ((4, 3, 2),))),
    "reshape": Case(_anywhere, (((3, 2),), ((2, 3),), ((6,),)), {"shape": (2, 3)}),
    "broadcast_to": Case(_anywhere, (((3, 2),), ((1, 2),), ((2,),), ((4, 3, 1),)), {"shape": (4, 3, 2)}),
    "getitem": Case(_anywhere, (((4, 3, 2),), ((4, 2),)), {"key": (slice(1, 3), Ellipsis)}),
    "embed": Case(_anywhere, (((2, 2),),), {"shape": (4, 2), "key": (slice(1, 3), Ellipsis)}),
}  # fmt: skip


def check_primitive(name, *, order=2, seed=0, on=None):
    """Check one primitive of the table on all its cases; returns how many derivatives were compared.

    Raises:  KeyError – for a name without a case;  GradientError – as check_grads
    """
    primitive, case = P.PRIMITIVES[name], CASES[name]

    def f(*xs):
        return primitive(*xs, *case.literals, **case.params)

    f.__name__ = name
    examples = case.inputs(np.random.default_rng(seed))
    for xs in examples:
        check_grads(f, *xs, order=order, seed=seed, on=on)
    return sum(len(xs) if order == 1 else len(xs) * (1 + len(xs)) for xs in examples)
