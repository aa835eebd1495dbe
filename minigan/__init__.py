"""From-scratch NumPy/CuPy engine for generative adversarial networks, small enough to read in an evening."""

from minigan._version import __version__
from minigan.backend import get as get_backend
from minigan.backend import register as _register
from minigan.compiler.capture import capture
from minigan.engine.autodiff import assign, grad
from minigan.engine.gradcheck import check_grads
from minigan.engine.tensor import Tensor, constant, variable
from minigan.gan.game import Game
from minigan.gan.objectives import OBJECTIVES, Objective
from minigan.nn.layers import Dense
from minigan.nn.network import Network, mlp
from minigan.nn.optim import SGD, Adam, Momentum, OptimisticAdam, RMSProp
from minigan.nn.parameters import Parameters
from minigan.nn.schedules import Average, Averaging, Schedule

__all__ = [
    "OBJECTIVES", "SGD", "Adam", "Average", "Averaging", "Dense", "Game", "Momentum", "Network", "Objective",
    "OptimisticAdam", "Parameters", "RMSProp", "Schedule", "Tensor", "__version__", "assign", "capture",
    "check_grads", "constant", "get_backend", "grad", "mlp", "variable",
]  # fmt: skip


def _strict():
    from minigan.testing.strict.backend import strict

    return strict


_register("strict", _strict)
