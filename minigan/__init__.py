"""From-scratch NumPy/CuPy engine for generative adversarial networks, small enough to read in an evening.

What a user's script needs has its name here: ``import minigan as mg``. The rooms below hold the rest.
"""

import typing as _typing

import minigan._command  # noqa: F401  before what takes its time, after minigan._interrupt
from minigan._version import __version__
from minigan.backend import BackendError
from minigan.backend import get as get_backend
from minigan.backend import register as _register
from minigan.compiler.capture import Program, capture
from minigan.engine.anomaly import AnomalyError, detect_anomaly
from minigan.engine.autodiff import assign, grad
from minigan.engine.primitives import (
    PRIMITIVES,
    absolute,
    add,
    broadcast_to,
    divide,
    elu,
    exp,
    leaky_relu,
    log,
    matmul,
    maximum,
    mean,
    minimum,
    mT,
    multiply,
    negative,
    power,
    relu,
    reshape,
    sigmoid,
    sign,
    silu,
    softplus,
    sqrt,
    square,
    step,
    subtract,
    sum,
    tanh,
)
from minigan.engine.tensor import CaptureError, Primitive, StaleTensorError, Tensor, constant, variable
from minigan.errors import MiniganError
from minigan.gan.game import Game, best_response
from minigan.gan.objectives import OBJECTIVES, Objective
from minigan.gan.orders import ORDERS, Batch, Consensus, Losses, Order
from minigan.gan.penalties import PENALTIES, R1, R2, WGANGP, Penalty, ZeroGP
from minigan.nn.layers import Dense
from minigan.nn.network import Network, mlp
from minigan.nn.optim import SGD, Adam, Momentum, OptimisticAdam, OptimisticSGD, RMSProp
from minigan.nn.parameters import Parameters
from minigan.nn.schedules import Average, Averaging, Schedule
from minigan.testing.gradcheck import GradientError, check_grads

if _typing.TYPE_CHECKING:
    from minigan.front.fitting import fit, load
    from minigan.front.judging import evaluate as eval
    from minigan.front.run import Run
    from minigan.front.tensorboard import TensorBoard
    from minigan.probability import (
        Distribution,
        Empirical,
        Laplace,
        Mixture,
        MultivariateMixture,
        MultivariateNormal,
        Normal,
        StudentT,
        Uniform,
        cross_entropy,
        differential_entropy,
        entropy,
        js,
        js_quadrature,
        kl,
        kl_normal,
        kl_quadrature,
        parse,
        self_information,
    )
    from minigan.training.signals import Interrupted

__all__ = [
    # a GAN in three lines, which is imported with its first use
    "Interrupted", "Run", "TensorBoard", "eval", "fit", "load",
    # tensors, their gradients, and steps that are recorded
    "PRIMITIVES", "Primitive", "Program", "Tensor", "assign", "capture", "check_grads", "constant",
    "detect_anomaly", "get_backend", "grad", "variable",
    # primitives
    "absolute", "add", "broadcast_to", "divide", "elu", "exp", "leaky_relu", "log", "mT", "matmul",
    "maximum", "mean", "minimum", "multiply", "negative", "power", "relu", "reshape", "sigmoid", "sign",
    "silu", "softplus", "sqrt", "square", "step", "subtract", "sum", "tanh",
    # networks and what moves them
    "SGD", "Adam", "Average", "Averaging", "Dense", "Momentum", "Network", "OptimisticAdam",
    "OptimisticSGD", "Parameters", "RMSProp", "Schedule", "mlp",
    # the game
    "Batch", "Consensus", "Game", "Losses", "OBJECTIVES", "ORDERS", "Objective", "Order", "PENALTIES",
    "Penalty", "R1", "R2", "WGANGP", "ZeroGP", "best_response",
    # errors
    "AnomalyError", "BackendError", "CaptureError", "GradientError", "MiniganError", "StaleTensorError",
    # probability, which is imported with its first use
    "Distribution", "Empirical", "Laplace", "Mixture", "MultivariateMixture", "MultivariateNormal",
    "Normal", "StudentT", "Uniform", "cross_entropy", "differential_entropy", "entropy", "js",
    "js_quadrature", "kl", "kl_normal", "kl_quadrature", "parse", "self_information", "__version__",
]  # fmt: skip


def _strict() -> _typing.Any:
    from minigan.testing.strict.backend import strict

    return strict


def _tensor_as_html(t: Tensor) -> str:
    from minigan.markup.tape import tensor_as_html

    return tensor_as_html(t)


_register("strict", _strict)
# The engine knows of no notebooks; other rooms say in their own classes how these are shown.
Tensor._repr_html_ = _tensor_as_html  # type: ignore[attr-defined]
_LATER = {  # names that bring what takes its time to import, and where they are
    "Interrupted": ("minigan.training.signals", "Interrupted"),
    "Run": ("minigan.front.run", "Run"),
    "TensorBoard": ("minigan.front.tensorboard", "TensorBoard"),
    "eval": ("minigan.front.judging", "evaluate"),
    "fit": ("minigan.front.fitting", "fit"),
    "load": ("minigan.front.fitting", "load"),
}

if not _typing.TYPE_CHECKING:  # or every name would be there for a type checker

    def __getattr__(name):
        from importlib import import_module

        if name == "studio":  # a room that can be called
            return import_module("minigan.studio")
        if name not in __all__:
            raise AttributeError(f"module 'minigan' has no attribute {name!r}")
        module, own = _LATER.get(name, ("minigan.probability", name))
        return getattr(import_module(module), own)

    def __dir__():
        return sorted({*globals(), *__all__})
