"""DeZero, the framework that its book builds; it uses np.int, which NumPy no longer has."""

import numpy as np

from bench.peers.common import Variant, split
from bench.peers.eager_engines import Engine

DISTRIBUTION = "dezero"


def variants(batch, width, threads):
    """Its one way."""
    return {"eager": Variant(DeZero)}


def ensembles(batch, width, threads, replicas):
    """None: its linear layer takes matrices."""
    return {}


class DeZero(Engine):
    """Its variables look into our vectors; ln(1 + eᵃ), which it lacks, is added as a function of its kind."""

    def __init__(self, weights, batch, seed=0):
        super().__init__(weights, batch, seed)
        if not hasattr(np, "int"):
            np.int = int
        import dezero
        import dezero.functions as F

        class Softplus(dezero.Function):
            def forward(self, a):
                return np.logaddexp(np.float32(0.0), a)

            def backward(self, g):
                return g * F.sigmoid(self.inputs[0])

        self._variables = {
            name: [dezero.Parameter(array) for array in split(player.θ, player.width)]
            for name, player in (("G", self.G), ("D", self.D))
        }

        def network(name, x):
            W1, b1, W2, b2, W3, b3 = self._variables[name]
            return F.linear(F.tanh(F.linear(F.tanh(F.linear(x, W1, b1)), W2, b2)), W3, b3)

        self._network, self._no_grad = network, dezero.no_grad
        self._mean_softplus = lambda a: F.sum(Softplus()(a)) / batch

    def _gradients(self, name, loss):
        for variables in self._variables.values():
            for variable in variables:
                variable.cleargrad()
        loss.backward()
        return [variable.grad.data for variable in self._variables[name]]

    def discriminator_gradients(self, x, z):
        with self._no_grad():
            fake = self._network("G", z).data
        loss = self._mean_softplus(-self._network("D", x)) + self._mean_softplus(self._network("D", fake))
        return self._gradients("D", loss)

    def generator_gradients(self, z):
        return self._gradients("G", self._mean_softplus(-self._network("D", self._network("G", z))))
