"""Numbers that change with the step: learning-rate factors, weights of a running average of parameters.

Both are plain functions of the step index, evaluated on the host for a block of steps and given to the step
as data, so a captured step follows them and a resumed run needs nothing but the index.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from minigan.arguments import FRACTION, SHARE, Rule, instance, named, number, shown, whole
from minigan.engine.autodiff import assign
from minigan.engine.tensor import Tensor
from minigan.nn.parameters import Kept, Parameters

__all__ = ["AVERAGES", "SCHEDULES", "Average", "Averaging", "Factors", "Schedule"]

Factors: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
SCHEDULES: dict[str, Callable[[Factors, float], Factors]] = {  # where a share of the decay to final is done
    "constant": lambda done, final: np.ones_like(done),
    "linear": lambda done, final: final + (1 - final) * (1 - done),
    "cosine": lambda done, final: final + (1 - final) * 0.5 * (1 + np.cos(np.pi * done)),
    "exponential": lambda done, final: np.power(final, done),
}
AVERAGES: dict[str, Callable[[Factors, float], Factors]] = {  # the weight of the newest at the k-th step
    "none": lambda k, decay: np.ones_like(k),
    "ema": lambda k, decay: np.maximum(1 / k, 1 - decay),
    "tail": lambda k, decay: 1 / k,
}
_RULES: dict[str, Rule | int] = {  # of a field of Schedule or Averaging, an interval, or the least count
    "steps": 1, "warmup": 0, "hold": SHARE, "final": SHARE, "decay": FRACTION, "start": SHARE,
}  # fmt: skip


@dataclass(frozen=True)
class Schedule:
    """The factor of the learning rate at step t of ``steps``: warm-up, full rate, decay to ``final``.

    warmup  steps of linear growth from 0
    hold    share of the steps before the decay begins
    final   factor at the end

    linear and cosine (Loshchilov & Hutter 2017, eq. 5) reach ``final`` on a line and half a cosine;
    exponential multiplies by a constant, so it needs final > 0.

    Raises:  ValueError – for an unknown name, or a number out of its interval;  TypeError – for no number

    >>> rate = mg.Schedule("cosine", 100, hold=0.5)
    >>> [round(float(rate(t)), 3) for t in (0, 50, 75, 99)]
    [1.0, 1.0, 0.5, 0.001]
    """

    name: str
    steps: int
    hold: float = 0.0
    final: float = 0.0
    warmup: int = 0

    def __post_init__(self) -> None:
        named("a schedule", self.name, SCHEDULES)
        _set_numbers(self, "a schedule")
        if self.name == "exponential" and not self.final > 0:
            raise ValueError(
                f"an exponential schedule never reaches {self.final}; give final > 0, for example 0.01"
            )

    def __call__(self, t: Any) -> Factors:
        """Factors at the steps t, an array of indices 0 … steps − 1."""
        t = _indices(t)
        start = self.hold * self.steps
        done = np.clip((t - start) / max(self.steps - start, 1.0), 0.0, 1.0)  # share of the decay
        factors: Factors = SCHEDULES[self.name](done, self.final)
        return factors * (np.minimum(1.0, (t + 1) / self.warmup) if self.warmup else 1.0)


@dataclass(frozen=True)
class Averaging:
    """The weight w of the newest parameters in their running average, θ̄ ← θ̄ + w (θ − θ̄), at step t.

    none  w = 1: the average is the newest
    ema   w = 1 − decay
    tail  w = 1/k at the k-th step after the start: the plain mean of all since then (Polyak & Ruppert)

    Before the start w = 1; an ema begins as a plain mean, so it has no memory of where it started.

    Raises:  ValueError – for an unknown name, or a number out of its interval;  TypeError – for no number

    >>> weight = mg.Averaging("tail", 100, start=0.5)
    >>> [round(float(weight(t)), 3) for t in (0, 49, 50, 51, 99)]
    [1.0, 1.0, 1.0, 0.5, 0.02]
    """

    name: str
    steps: int
    decay: float = 0.999
    start: float = 0.5

    def __post_init__(self) -> None:
        named("an average", self.name, AVERAGES)
        _set_numbers(self, "an average")

    def __call__(self, t: Any) -> Factors:
        """Weights at the steps t, an array of indices 0 … steps − 1."""
        k = np.maximum(_indices(t) - int(self.start * self.steps) + 1, 1.0)
        return AVERAGES[self.name](k, self.decay)


class Average(Kept):
    """A running average of parameters: what is sampled from, while the newest ones are trained.

    Source:  Yazıcı et al. 2019 for averages of GAN generators

    >>> net = mg.mlp((1, 1), rngs=np.random.default_rng(0))
    >>> average = mg.Average(net.parameters)
    >>> average.parameters.flat.shape == net.parameters.flat.shape
    True
    """

    kept = ("newest", "parameters")

    def __init__(self, parameters: Parameters) -> None:
        instance(
            "an average follows a network's parameters", parameters, Parameters, "give it network.parameters"
        )
        self.newest, self.parameters = parameters, parameters.copy()

    def __repr__(self) -> str:
        return f"Average({self.parameters.describe()})"

    def step(self, weight: Tensor | float) -> None:
        """θ̄ ← θ̄ + w (θ − θ̄); weight a number in [0, 1], or a tensor of shape (1,)."""
        if not isinstance(weight, Tensor):
            number("the weight of the newest parameters", weight, SHARE)
        elif weight.shape[-1:] not in ((), (1,)):
            raise ValueError(f"a weight is one number, or (…, 1); received shape {weight.shape}")
        mean = self.parameters.flat
        assign(mean, mean + weight * (self.newest.flat - mean))


def _set_numbers(given: Schedule | Averaging, what: str) -> None:
    """Hold each number of a frozen dataclass against its rule, and keep it as a Python number."""
    for name, rule in _RULES.items():
        if hasattr(given, name):
            value, says = getattr(given, name), f"{name} of {what}"
            found = whole(says, value, rule) if isinstance(rule, int) else number(says, value, rule)
            object.__setattr__(given, name, found)


def _indices(t: Any) -> Factors:
    """Indices of steps as float64."""
    found = np.asarray(t)
    if found.dtype.kind not in "iuf":
        raise TypeError(f"a step is its index, a number or an array of them; received {shown(t)}")
    if found.size and not found.min() >= 0:
        raise ValueError(f"the index of a step is at least 0; received {found.min()}")
    return found.astype("float64", copy=False)
