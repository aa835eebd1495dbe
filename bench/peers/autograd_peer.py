"""HIPS autograd: gradients of NumPy code."""

from bench.peers.common import Variant, split
from bench.peers.eager_engines import Engine

DISTRIBUTION = "autograd"


def variants(batch, width, threads):
    """Its one way."""
    return {"eager": Variant(Autograd)}


def ensembles(batch, width, threads, replicas):
    """None: its losses are one number."""
    return {}


class Autograd(Engine):
    """Both losses as functions of six arrays."""

    def __init__(self, weights, batch, seed=0):
        super().__init__(weights, batch, seed)
        import autograd
        import autograd.numpy as anp

        self._of_G, self._of_D = (split(player.θ, player.width) for player in (self.G, self.D))

        def network(W1, b1, W2, b2, W3, b3, x):
            return anp.dot(anp.tanh(anp.dot(anp.tanh(anp.dot(x, W1) + b1), W2) + b2), W3) + b3

        def loss_d(*arguments):
            *weights, x, fake = arguments
            real, made = network(*weights, x), network(*weights, fake)
            return anp.mean(anp.logaddexp(0.0, -real)) + anp.mean(anp.logaddexp(0.0, made))

        def loss_g(*arguments):
            *weights, z = arguments
            return anp.mean(anp.logaddexp(0.0, -network(*self._of_D, network(*weights, z))))

        self._make = network
        self._gradient_d, self._gradient_g = (
            autograd.grad(loss, tuple(range(6))) for loss in (loss_d, loss_g)
        )

    def discriminator_gradients(self, x, z):
        return self._gradient_d(*self._of_D, x, self._make(*self._of_G, z))

    def generator_gradients(self, z):
        return self._gradient_g(*self._of_G, z)
