"""Layers are frozen formulas; their numbers live in Parameters."""

from collections.abc import Callable
from dataclasses import dataclass

from minigan.engine.primitives import elu, leaky_relu, relu, sigmoid, silu, softplus, tanh


def identity(x):
    """x itself: the activation of an output layer, so that D returns a logit and G any real number."""
    return x


def leaky(x):
    """max(x, x/5): ReLU that still passes a gradient on the negative side.    Source:  Maas et al. 2013"""
    return leaky_relu(x, slope=0.2)


ACTIVATIONS = {
    "identity": identity, "tanh": tanh, "relu": relu, "leaky_relu": leaky,
    "sigmoid": sigmoid, "softplus": softplus, "elu": elu, "silu": silu,
}  # fmt: skip


def activation(name):
    """The activation called ``name``.

    Raises:  ValueError – for an unknown name, with the known ones
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}; received {name!r}")
    return ACTIVATIONS[name]


@dataclass(frozen=True)
class Dense:
    """y = φ(x W + b).

    Shapes:  x (…, B, n), W (…, n, m), b (…, 1, m) → y (…, B, m)
    """

    n: int
    m: int
    activation: Callable = identity

    def __post_init__(self):
        if self.n < 1 or self.m < 1:
            raise ValueError(
                f"a dense layer needs at least one input and one output; received {self.n} → {self.m}"
            )

    def shapes(self):
        """{name: shape} of the parameters that the formula needs."""
        return {"W": (self.n, self.m), "b": (1, self.m)}

    def __call__(self, p, x):
        return self.activation(x @ p["W"] + p["b"])

    def __str__(self):
        name = next((name for name, f in ACTIVATIONS.items() if f is self.activation), None)
        return f"Dense({self.n} → {self.m}, {name or getattr(self.activation, '__name__', self.activation)})"
