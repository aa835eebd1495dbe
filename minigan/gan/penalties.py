"""Penalties on D beside its loss: each a weight, a formula and the points at which D is asked; one table.

A Game takes them as it takes an objective: ``penalties=(R1(0.5), R2(0.5))``. One more is a class here and a
row of PENALTIES; one of your own is a class anywhere.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from minigan.arguments import WEIGHT, number
from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean, sqrt, square, sum_over
from minigan.engine.tensor import Tensor

__all__ = ["PENALTIES", "Penalty", "R1", "R2", "TINY", "WGANGP", "ZeroGP", "gradient_penalty", "interpolate"]

TINY = 1e-12  # under the root of a norm, whose slope is infinite at 0


def gradient_penalty(logits: Tensor, x: Tensor, norm: float = 0.0) -> Tensor:
    """E (‖∂a/∂x‖ − norm)², a = D(x) being the logits at x: the slope of D against what it should be.

    Zero-centred on real data it is R1, on generated data R2, between them (``interpolate``) the zero-centred
    GP: D is made flat where the two distributions meet, so the game comes to rest there instead of circling.
    Between them with norm 1 it is WGAN-GP's: a critic of slope one has found the earth mover's distance.

    Shapes:  logits (…, B, 1), computed from x (…, B, p), a tensor with a history → (…, 1, 1)
    Source:  Mescheder, Geiger, Nowozin 2018, equations 9 and 10 (without their γ/2); Gulrajani et al. 2017,
             equation 3 (without λ); Thanh-Tung, Tran, Venkatesh 2019 (zero-centred, between them)
    """
    (slope,) = grad(logits, [x], create_graph=True)  # rows do not interact: of the sum, each row has its own
    squared = sum_over(square(slope), axis=(-1,))
    return mean(squared if norm == 0.0 else square(sqrt(squared + TINY) - norm))


def interpolate(real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """mix·x + (1−mix)·x̃: points on the lines between real and generated data.

    Shapes:  real, fake (…, B, p), mix (…, B, 1) uniform on [0, 1] → (…, B, p)
    Source:  Gulrajani et al. 2017, algorithm 1
    """
    return mix * real + (1.0 - mix) * fake


@dataclass(frozen=True, repr=False)
class Penalty:
    """weight · value(D(x), x), added to D's loss; a weight of 0 is no penalty.

    weight   a number ≥ 0, or a Tensor of one per replica
    name     in the configuration and in Game.state
    at       the points x: "real" or "generated" data, or "between" them, which takes a batch with mix
    default  the weight in a run of the command line
    about    what the weight weighs, for help texts

    Shapes:  a weight that is a Tensor (…, 1, 1)
    Raises:  ValueError – for a number that is no weight;  TypeError – for what is no number

    >>> sorted(mg.PENALTIES)
    ['r1', 'r2', 'wgan_gp', 'zero_gp']
    """

    weight: float | Tensor

    name: ClassVar[str]
    at: ClassVar[Literal["real", "generated", "between"]]
    default: ClassVar[float] = 0.0
    about: ClassVar[str]

    def __post_init__(self) -> None:
        if not isinstance(self.weight, Tensor):
            object.__setattr__(self, "weight", number(self.name, self.weight, WEIGHT))

    def __call__(self, logits: Tensor, x: Tensor) -> Tensor:
        return self.weight * self.value(logits, x)

    def __repr__(self) -> str:
        weight = "one per replica" if isinstance(self.weight, Tensor) else self.weight
        return f"{type(self).__name__}({weight})"

    def value(self, logits: Tensor, x: Tensor) -> Tensor:
        """What is weighed.    Shapes:  logits (…, B, 1) at x (…, B, p) → (…, 1, 1)"""
        raise NotImplementedError


class R1(Penalty):
    """γ/2 E‖∇D(x)‖² at real data.    Source:  Mescheder, Geiger, Nowozin 2018, equation 9

    >>> rng = np.random.default_rng(0)
    >>> G, D = mg.mlp((1, 4, 1), rngs=rng), mg.mlp((1, 4, 1), rngs=rng)
    >>> mg.Game(G, D, mg.SGD(G.parameters, 0.1), mg.SGD(D.parameters, 0.1), penalties=[mg.R1(0.5)]).penalties
    (R1(0.5),)
    """

    name, at, default = "r1", "real", 0.5
    about = "the mean squared slope of D at real data"

    def value(self, logits: Tensor, x: Tensor) -> Tensor:
        return 0.5 * gradient_penalty(logits, x)


class R2(Penalty):
    """γ/2 E‖∇D(x̃)‖² at generated data.    Source:  Mescheder, Geiger, Nowozin 2018, equation 10

    >>> mg.R2(0.5).at, mg.R2(0.5).about
    ('generated', 'the mean squared slope of D at generated data')
    """

    name, at, default = "r2", "generated", 0.5
    about = "the mean squared slope of D at generated data"

    def value(self, logits: Tensor, x: Tensor) -> Tensor:
        return 0.5 * gradient_penalty(logits, x)


class WGANGP(Penalty):
    """λ E(‖∇D(x̂)‖ − 1)² between real and generated data.    Source:  Gulrajani et al. 2017, equation 3

    >>> mg.WGANGP(10.0).at, mg.WGANGP(10.0).about
    ('between', 'the squared (slope - 1) of D between real and generated data')
    """

    name, at = "wgan_gp", "between"
    about = "the squared (slope - 1) of D between real and generated data"

    def value(self, logits: Tensor, x: Tensor) -> Tensor:
        return gradient_penalty(logits, x, 1.0)


class ZeroGP(Penalty):
    """λ E‖∇D(x̂)‖² between real and generated data.    Source:  Thanh-Tung, Tran, Venkatesh 2019

    >>> mg.ZeroGP(10.0).at, mg.ZeroGP(10.0).about
    ('between', 'the squared slope of D between real and generated data')
    """

    name, at = "zero_gp", "between"
    about = "the squared slope of D between real and generated data"

    def value(self, logits: Tensor, x: Tensor) -> Tensor:
        return gradient_penalty(logits, x)


PENALTIES = {"r1": R1, "r2": R2, "wgan_gp": WGANGP, "zero_gp": ZeroGP}
