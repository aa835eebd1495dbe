"""Optimisers: each is its paper's formula, applied once to one flat buffer. Their schedules: schedules.py."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minigan.arguments import FRACTION, NOT_NEGATIVE, POSITIVE, instance, listed, number, shown
from minigan.engine.autodiff import assign, filled
from minigan.engine.primitives import sqrt, square
from minigan.engine.tensor import Tensor
from minigan.nn.parameters import Kept, Parameters, refuse_names

__all__ = [
    "OPTIMIZERS", "SGD", "Adam", "Momentum", "OptimisticAdam", "OptimisticSGD", "Optimizer", "RMSProp",
    "Rate",
]  # fmt: skip

Rate: TypeAlias = float | Sequence[float] | np.ndarray[Any, Any]  # one number, or one per replica


class Optimizer(Kept):
    """θ ← θ − rate · factor · direction(g); subclasses say which direction.

    rate    a number, or one per replica as a list: a tensor of shape (…, 1), so that a captured step can
            follow its changes
    state   the tensors that a step reads and writes besides the parameters: what capture and a checkpoint
            need
    """

    kept = ("parameters", "rate", "g", "state")

    def __init__(self, parameters: Parameters, rate: Rate) -> None:
        instance(
            "an optimiser moves a network's parameters", parameters, Parameters, "give it network.parameters"
        )
        θ = parameters.flat
        self.parameters, xp = parameters, parameters.backend.xp
        self.rate = Tensor(xp.zeros((*parameters.replicas, 1), θ.dtype))
        self.set_rate(rate)
        self.g = filled(θ, 0.0)
        self._slots = [Tensor(view) for view in parameters.views_of(self.g.memory)]
        self.state = {"rate": self.rate, "g": self.g}

    def describe(self) -> str:
        """The rule and its numbers: "Adam(rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08)"."""
        rates = self.parameters.backend.to_host(self.rate.memory).ravel()
        rate = f"{rates.min():.6g}" + (f" … {rates.max():.6g}" if np.ptp(rates) else "")
        numbers = [f"rate={rate}"] + [f"{k}={x}" for k, x in vars(self).items() if isinstance(x, float)]
        return f"{type(self).__name__}({', '.join(numbers)})"

    def __repr__(self) -> str:
        return f"{self.describe()[:-1]}: {self.parameters.describe()})"

    def set_rate(self, rate: Rate) -> None:
        """Change the learning rate: a positive number, or one per replica.

        Raises:  TypeError – for what is no number;  ValueError – unless it is positive and finite, also in
                 the parameters' dtype; for another count than that of the replicas
        """
        given = np.asarray(rate, object).ravel().tolist()
        if len(given) not in (1, self.rate.size):
            raise ValueError(
                f"a learning rate is one number or one per replica, here {self.rate.size}; "
                f"received {len(given)}"
            )
        rates = np.array([[self._in_dtype("a learning rate", each)] for each in given])
        values = np.broadcast_to(rates, (self.rate.size, 1)).astype(self.rate.dtype)
        assign(self.rate, Tensor(self.parameters.backend.array(values.reshape(self.rate.shape))))

    def _in_dtype(self, what: str, value: object) -> float:
        """A positive number that stays one in the parameters' dtype."""
        found, of = number(what, value, POSITIVE), np.finfo(self.rate.dtype)
        if not float(of.smallest_subnormal) <= found <= float(of.max):
            raise ValueError(f"{what} is {POSITIVE.says}; received {value}, which {of.dtype} cannot hold")
        return found

    def remember(self, *names: str) -> list[Tensor]:
        """Zero buffers shaped like the parameters, neighbours in memory, kept in the state."""
        θ = self.parameters.flat
        buffers = self.parameters.backend.xp.zeros((len(names), *θ.shape), θ.dtype)
        self.state |= {name: Tensor(buffers[k]) for k, name in enumerate(names)}
        return [self.state[name] for name in names]

    def step(self, gradients: Iterable[Tensor], factor: Tensor | float = 1.0) -> None:
        """Move the parameters once.

        gradients  one per parameter, in order
        factor     a schedule's value, number or tensor
        """
        if not isinstance(factor, Tensor):
            number("the factor of the rate", factor, NOT_NEGATIVE)
        elif factor.shape[-1:] not in ((), (1,)):
            raise ValueError(f"a factor of the rate is one number, or (…, 1); received shape {factor.shape}")
        gradients = listed("gradients", gradients, "Tensors")
        if len(gradients) != len(self._slots):
            raise ValueError(
                f"step takes one gradient per parameter, {len(self._slots)}; received {len(gradients)}"
            )
        for slot, g in zip(self._slots, gradients, strict=True):
            assign(slot, g)
        direction, θ = self.direction(self.g), self.parameters.flat
        if type(direction) is not Tensor or direction.shape != θ.shape:
            raise ValueError(
                f"the direction of an optimiser is a Tensor of shape {θ.shape}, a number per parameter; "
                f"received {shown(direction)}"
            )
        self.parameters.update(θ - (self.rate * factor) * direction)

    def direction(self, g: Tensor) -> Tensor:
        """The step for a rate of 1."""
        raise NotImplementedError


refuse_names(
    Optimizer,
    {
        "set_rate(rate) changes its rate": "lr learning_rate param_groups",
        "grad(loss, net.parameters) returns the gradients, none are kept": "zero_grad minimize",
        "state holds its tensors, for capture and to assign to": "state_dict load_state_dict",
    },
)


class SGD(Optimizer):
    """θ ← θ − α g.    Source:  Robbins & Monro 1951

    >>> net = mg.mlp((1, 1), rngs=np.random.default_rng(0))
    >>> before, sgd = net.parameters.flat.numpy(), mg.SGD(net.parameters, 0.1)
    >>> sgd.step([mg.constant(np.ones(shape, "float32")) for shape in net.parameters.shapes.values()])
    >>> (net.parameters.flat.numpy() - before).round(6)
    array([-0.1, -0.1], dtype=float32)
    """

    def direction(self, g: Tensor) -> Tensor:
        return g


class Momentum(Optimizer):
    """u ← μ u + g;  θ ← θ − α u.    Source:  Polyak 1964; Sutskever et al. 2013

    >>> net = mg.mlp((1, 1), rngs=np.random.default_rng(0))
    >>> list(mg.Momentum(net.parameters, 0.1, momentum=0.9).state)
    ['rate', 'g', 'u']
    """

    def __init__(self, parameters: Parameters, rate: Rate, momentum: float = 0.9) -> None:
        super().__init__(parameters, rate)
        self.momentum, (self.u,) = number("momentum", momentum, FRACTION), self.remember("u")

    def direction(self, g: Tensor) -> Tensor:
        assign(self.u, self.momentum * self.u + g)
        return self.u


class OptimisticSGD(Optimizer):
    """θ ← θ − 2α g_t + α g_{t−1}: a step against the gradient expected next, g_t + (g_t − g_{t−1}).

    Source:  Popov 1980; Daskalakis et al. 2018

    >>> net = mg.mlp((1, 1), rngs=np.random.default_rng(0))
    >>> list(mg.OptimisticSGD(net.parameters, 0.1).state)
    ['rate', 'g', 'previous']
    """

    def __init__(self, parameters: Parameters, rate: Rate) -> None:
        super().__init__(parameters, rate)
        (self.previous,) = self.remember("previous")

    def direction(self, g: Tensor) -> Tensor:
        optimistic = 2.0 * g - self.previous
        assign(self.previous, g)
        return optimistic


class RMSProp(Optimizer):
    """v ← ρ v + (1−ρ) g²;  θ ← θ − α g / (√v + ε).    Source:  Tieleman & Hinton 2012, lecture 6.5

    >>> net = mg.mlp((1, 1), rngs=np.random.default_rng(0))
    >>> list(mg.RMSProp(net.parameters, 1e-3).state)
    ['rate', 'g', 'v']
    """

    def __init__(self, parameters: Parameters, rate: Rate, rho: float = 0.99, epsilon: float = 1e-8) -> None:
        super().__init__(parameters, rate)
        self.rho, self.epsilon = number("rho", rho, FRACTION), self._in_dtype("epsilon", epsilon)
        (self.v,) = self.remember("v")

    def direction(self, g: Tensor) -> Tensor:
        assign(self.v, self.rho * self.v + (1.0 - self.rho) * square(g))
        return g / (sqrt(self.v) + self.epsilon)


class Adam(Optimizer):
    """θ ← θ − α m̂ / (√v̂ + ε), m̂ and v̂ the means of g and g² with weights β₁ᵏ and β₂ᵏ for k steps ago.

    m ← β₁ m + g, w₁ ← β₁ w₁ + 1, m̂ = m/w₁; v ← β₂ v + g², w₂ ← β₂ w₂ + 1, v̂ = v/w₂. The paper's m and v are
    (1−β₁) and (1−β₂) times ours, and its bias correction is the division by the weights. The weights are
    tensors, so that a captured step still counts time; they meet before they meet an array:
    α m̂ / (√v̂ + ε) = α √w₂/w₁ · m / (√v + ε√w₂).

    Source:  Kingma & Ba 2015, algorithm 1, in the order of computation that section 2 recommends

    >>> net = mg.mlp((1, 1), rngs=np.random.default_rng(0))
    >>> before, adam = net.parameters.flat.numpy(), mg.Adam(net.parameters, 1e-3)
    >>> adam.step([mg.constant(np.full(shape, 9, "float32")) for shape in net.parameters.shapes.values()])
    >>> (net.parameters.flat.numpy() - before).round(6)
    array([-0.001, -0.001], dtype=float32)
    """

    def __init__(
        self,
        parameters: Parameters,
        rate: Rate,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, rate)
        self.beta1, self.beta2 = number("beta1", beta1, FRACTION), number("beta2", beta2, FRACTION)
        self.epsilon = self._in_dtype("epsilon", epsilon)
        self.m, self.v = self.remember("m", "v")
        self.weight1, self.weight2 = filled(self.rate, 0.0), filled(self.rate, 0.0)
        self.state |= {"weight1": self.weight1, "weight2": self.weight2}

    def direction(self, g: Tensor) -> Tensor:
        assign(self.m, self.beta1 * self.m + g)
        assign(self.v, self.beta2 * self.v + square(g))
        assign(self.weight1, self.beta1 * self.weight1 + 1.0)
        assign(self.weight2, self.beta2 * self.weight2 + 1.0)
        root = sqrt(self.weight2)
        return (root / self.weight1) * self.m / (sqrt(self.v) + self.epsilon * root)


class OptimisticAdam(Adam):
    """θ ← θ − 2α u_t + α u_{t−1}, u being Adam's direction: a step against the gradient expected next.

    Source:  Daskalakis et al. 2018, algorithm 1

    >>> net = mg.mlp((1, 1), rngs=np.random.default_rng(0))
    >>> list(mg.OptimisticAdam(net.parameters, 1e-3).state)
    ['rate', 'g', 'm', 'v', 'weight1', 'weight2', 'previous']
    """

    def __init__(
        self,
        parameters: Parameters,
        rate: Rate,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, rate, beta1, beta2, epsilon)
        (self.previous,) = self.remember("previous")

    def direction(self, g: Tensor) -> Tensor:
        u = super().direction(g)
        optimistic = 2.0 * u - self.previous
        assign(self.previous, u)
        return optimistic


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "optimistic_sgd": OptimisticSGD,
    "momentum": Momentum,
    "rmsprop": RMSProp,
    "adam": Adam,
    "optimistic_adam": OptimisticAdam,
}
