"""Inputs on which every primitive of the table is checked: its derivatives, its kernels, its anomalies."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigan.backend import Backend
from minigan.engine import primitives as P
from minigan.engine.tensor import Tensor
from minigan.testing.gradcheck import check_grads

__all__ = ["CASES", "Case", "check_primitive"]


def _anywhere(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.standard_normal(shape)


def _positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.uniform(0.5, 2.0, shape)


def _off_kink(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Away from 0, where the piecewise functions have no derivative: a quotient across it means nothing."""
    return rng.uniform(0.2, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def _apart(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Values of which no two are near each other, across calls too: maximum has a kink where inputs meet."""
    return np.round(rng.standard_normal(shape), 1) + rng.uniform(0.0, 0.01, shape) + 0.03 * rng.integers(0, 3)


@dataclass(frozen=True)
class Case:
    """Inputs for one primitive: where to draw them, which shapes, which parameters."""

    sample: Callable[[np.random.Generator, tuple[int, ...]], Any]
    shapes: tuple[Any, ...]  # one tuple of input shapes per example
    params: dict[str, Any] = field(default_factory=dict)
    literals: tuple[float, ...] = ()  # Python numbers that follow the arrays

    def inputs(self, rng: np.random.Generator) -> list[list[Any]]:
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


def check_primitive(name: str, *, order: int = 2, seed: int = 0, on: Backend | None = None) -> int:
    """Check one primitive of the table on all its cases; returns how many derivatives were compared.

    Raises:  KeyError – for a name without a case;  GradientError – as check_grads
    """
    primitive, case = P.PRIMITIVES[name], CASES[name]

    def f(*xs: Tensor) -> Tensor:
        return primitive(*xs, *case.literals, **case.params)

    f.__name__ = name
    examples = case.inputs(np.random.default_rng(seed))
    for xs in examples:
        check_grads(f, *xs, order=order, seed=seed, on=on)
    return sum(len(xs) if order == 1 else len(xs) * (1 + len(xs)) for xs in examples)
