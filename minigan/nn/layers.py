"""Layers are frozen formulas; their numbers live in Parameters."""

from __future__ import annotations  # or np.random would be imported for its name

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minigan.arguments import named, shown, whole
from minigan.engine.primitives import elu, leaky_relu, relu, sigmoid, silu, softplus, sum_over, tanh
from minigan.engine.tensor import Tensor
from minigan.nn.initializers import Matrix

__all__ = [
    "ACTIVATIONS", "CONDITIONINGS", "Concatenation", "Conditioned", "Dense", "Projection", "activation",
    "identity", "leaky",
]  # fmt: skip


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

    >>> mg.Dense(2, 3, mg.tanh).shapes()
    {'W': (2, 3), 'b': (1, 3)}
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

    def start(self, draw: Callable[..., Matrix], rng: np.random.Generator) -> dict[str, Matrix]:
        """The parameters before the first step: W as an initialiser draws it, b zero."""
        return {"W": draw(rng, (self.n, self.m)), "b": np.zeros((1, self.m))}

    def __call__(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return self.activation(x @ p["W"] + p["b"])

    @property
    def activation_name(self) -> str:
        """What the table calls φ, or what a function of one's own calls itself."""
        known = [name for name, f in ACTIVATIONS.items() if f is self.activation]
        return known[0] if known else str(getattr(self.activation, "__name__", self.activation))

    def __repr__(self) -> str:
        return f"Dense({self.n} → {self.m}, {self.activation_name})"


@dataclass(frozen=True, repr=False)
class Conditioned(Dense):
    """A layer that is told the class of each row, as rows k that are 1 in its column and 0 in the others.

    classes  how many columns k has: K, and of a D that judges m samples together m K
    place    of the layer in its network, for which it is made

    Shapes:  x (…, B, n), k (…, B, classes), V as ``shapes`` has it → (…, B, m)
    Raises:  as Dense
    """

    classes: int = 1
    place: ClassVar[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "classes", whole("the number of classes of a layer", self.classes))

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, k: Any = None) -> Tensor:
        raise NotImplementedError

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.n} and {self.classes} classes → {self.m}, {self.activation_name})"
        )


class Concatenation(Conditioned):
    """y = φ(x W + k V + b): a dense layer of x and k side by side, whose matrix is W above V.

    Source:  Mirza & Osindero 2014, section 3.2
    """

    place = 0

    def shapes(self) -> dict[str, tuple[int, int]]:
        return {"W": (self.n, self.m), "V": (self.classes, self.m), "b": (1, self.m)}

    def start(self, draw: Callable[..., Matrix], rng: np.random.Generator) -> dict[str, Matrix]:
        both = draw(rng, (self.n + self.classes, self.m))
        return {"W": both[: self.n], "V": both[self.n :], "b": np.zeros((1, self.m))}

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, k: Any = None) -> Tensor:
        return self.activation(x @ p["W"] + k @ p["V"] + p["b"])


class Projection(Conditioned):
    """y = φ(x W + b + (k V) · x): the class turns the direction in which the last features x are read.

    Source:  Miyato & Koyama 2018, equation 8
    """

    place = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.m != 1:
            raise ValueError(f"a projection is the last layer of D, with one output; received {self.m}")

    def shapes(self) -> dict[str, tuple[int, int]]:
        return {"W": (self.n, self.m), "V": (self.classes, self.n), "b": (1, self.m)}

    def start(self, draw: Callable[..., Matrix], rng: np.random.Generator) -> dict[str, Matrix]:
        return {**super().start(draw, rng), "V": draw(rng, (self.classes, self.n))}

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, k: Any = None) -> Tensor:
        turned = sum_over((k @ p["V"]) * x, axis=(-1,))
        return self.activation(x @ p["W"] + turned + p["b"])


CONDITIONINGS: dict[str, type[Conditioned]] = {"concatenation": Concatenation, "projection": Projection}
