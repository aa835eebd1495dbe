"""Layers are frozen formulas; their numbers live in Parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from minigan.arguments import named, shown, whole
from minigan.engine.primitives import elu, leaky_relu, relu, sigmoid, silu, softplus, tanh
from minigan.engine.tensor import Tensor

__all__ = ["ACTIVATIONS", "Dense", "activation", "identity", "leaky"]


def identity(x: Tensor) -> Tensor:
    """x itself: the activation of an output layer, so that D returns a logit and G any real number."""
    return x


def leaky(x: Tensor) -> Tensor:
    """max(x, x/5): ReLU that still passes a gradient on the negative side.    Source:  Maas et al. 2013"""
    return leaky_relu(x, slope=0.2)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": identity, "tanh": tanh, "relu": relu, "leaky_relu": leaky,
    "sigmoid": sigmoid, "softplus": softplus, "elu": elu, "silu": silu,
}  # fmt: skip


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The activation called ``name``.

    Raises:  ValueError – for an unknown name, with the known ones;  TypeError – for what is no text
    """
    return named("activation", name, ACTIVATIONS)


@dataclass(frozen=True, repr=False)
class Dense:
    """y = φ(x W + b).

    Shapes:  x (…, B, n), W (…, n, m), b (…, 1, m) → y (…, B, m)
    Raises:  TypeError – for sizes that are no whole numbers, or no function φ;  ValueError – below 1
    """

    n: int
    m: int
    activation: Callable[[Tensor], Tensor] = identity

    def __post_init__(self) -> None:
        for name, says in (("n", "the number of inputs"), ("m", "the number of outputs")):
            object.__setattr__(self, name, whole(f"{says} of a dense layer", getattr(self, name)))
        if not callable(self.activation):
            raise TypeError(
                f"φ of a dense layer is a function of a Tensor; received {shown(self.activation)}, "
                "take it from ACTIVATIONS"
            )

    def shapes(self) -> dict[str, tuple[int, int]]:
        """{name: shape} of the parameters that the formula needs."""
        return {"W": (self.n, self.m), "b": (1, self.m)}

    def __call__(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return self.activation(x @ p["W"] + p["b"])

    @property
    def activation_name(self) -> str:
        """What the table calls φ, or what a function of one's own calls itself."""
        known = [name for name, f in ACTIVATIONS.items() if f is self.activation]
        return known[0] if known else str(getattr(self.activation, "__name__", self.activation))

    def __repr__(self) -> str:
        return f"Dense({self.n} → {self.m}, {self.activation_name})"
