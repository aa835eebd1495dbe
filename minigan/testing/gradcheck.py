"""Derivatives of any function of Tensors against differences: public, because whoever adds one needs it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan import backend
from minigan.engine.autodiff import grad
from minigan.engine.tensor import Tensor, constant, variable

__all__ = ["GradientError", "check_grads"]

# Without it the directions are the x that the caller drew with the same seed, and errors cancel.
_OWN_STREAM = 1406_2661


class GradientError(AssertionError):
    """A derivative differs from the difference quotient.

    >>> issubclass(mg.GradientError, AssertionError)
    True
    """


def check_grads(f: Callable[..., Tensor], *xs: Any, order: int = 2, eps: float = 1e-5, tol: float = 1e-6,
                seed: int = 0, on: backend.Backend | None = None) -> None:  # fmt: skip
    """Gradients of f at the float64 arrays xs against central differences along one random direction.

    With ``order`` above 1 the gradients are checked too, and so on up to that order.
    The loss is Σ w·f(x) with random weights w, so a wrong element, sign, factor or transpose cannot hide; an
    error e of the rule is found unless |e| ≤ tol (1 + |derivative|).  on: the backend to compute on, NumPy if
    not given.

    Raises:  GradientError – where they differ, with both values;  TypeError – unless every x is float64
    Source:  the recursive one-direction check of HIPS autograd and JAX

    >>> mg.check_grads(mg.sigmoid, np.linspace(-3, 3, 5))
    """
    xs = tuple(np.asarray(x) for x in xs)
    if any(x.dtype != np.float64 for x in xs):
        raise TypeError(f"check_grads needs float64 arrays; received {', '.join(str(x.dtype) for x in xs)}")
    on = on or backend.numpy_backend
    name, shapes = getattr(f, "__name__", f), [x.shape for x in xs]
    rng = np.random.default_rng((seed, _OWN_STREAM))

    def lift(x: Any) -> Tensor:
        return variable(on.array(x))

    w = rng.standard_normal(f(*map(lift, xs)).shape)
    directions = [rng.standard_normal(shape) for shape in shapes]

    def loss(*ts: Tensor) -> Tensor:
        y = f(*ts) * constant(on.array(w))
        return y.sum(tuple(range(y.ndim)))

    def along(s: int) -> float:
        moved = [lift(x + s * eps * v) for x, v in zip(xs, directions, strict=True)]
        return float(loss(*moved).numpy().sum())

    numeric = (along(+1) - along(-1)) / (2 * eps)
    ts = [lift(x) for x in xs]
    gradients = [g.numpy() for g in grad(loss(*ts), ts, unreached="zeros")]
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

            def kth(*ts: Tensor, k: int = k) -> Tensor:
                return grad(loss(*ts), ts, create_graph=True, unreached="zeros")[k]

            kth.__name__ = f"∂{name}/∂x{k}"
            check_grads(kth, *xs, order=order - 1, eps=eps, tol=tol, seed=seed + 1, on=on)
