"""What the peers that only differentiate share: draws ahead, Adam in place on one vector by NumPy."""

import numpy as np

from bench.peers.common import MEAN, SD, schedule, split
from bench.peers.numpy_by_hand import AHEAD, Peer


class Engine(Peer):
    """Subclasses return the six gradients of a player's loss, in the order of its parameters.

    The optimiser is kinder than their own: the hand-written one. Both would otherwise pay for it alike.
    """

    def __init__(self, weights, batch, seed=0):
        super().__init__(weights, batch)
        self._rng, self.block = np.random.default_rng(seed), max(1, min(64, AHEAD // batch))
        self._draws = np.empty((3, self.block, batch, 1), "float32")
        self._next = self.block
        self._players = [
            (player, player.adam(), split(player.gradient[0], player.width)) for player in (self.D, self.G)
        ]

    def discriminator_gradients(self, x, z):
        """Of mean softplus(−D(x)) + mean softplus(D(G(z)))."""
        raise NotImplementedError

    def generator_gradients(self, z):
        """Of mean softplus(−D(G(z)))."""
        raise NotImplementedError

    def advance(self, steps):
        while steps:
            if self._next == self.block:
                self._rng.standard_normal(dtype="float32", out=self._draws)
                self._draws[0] *= SD
                self._draws[0] += MEAN
                self._next = 0
            part = self._draws[:, self._next : self._next + steps]
            self.follow(*part)
            self._next += part.shape[1]
            steps -= part.shape[1]

    def follow(self, x, z_d, z_g):
        numbers = np.array(schedule(self.time + 1, len(x), 1.0), "float32")
        for real, latent_d, latent_g, step, epsilon in zip(x, z_d, z_g, *numbers, strict=True):
            gradients = (
                lambda real=real, z=latent_d: self.discriminator_gradients(real, z),
                lambda z=latent_g: self.generator_gradients(z),
            )
            for (_, move, slots), ask in zip(self._players, gradients, strict=True):
                for slot, g in zip(slots, ask(), strict=True):
                    slot[...] = g
                move(step, epsilon)
        self.time += len(x)

    def gradients(self):
        return {"G": self.G.gradient[0].copy(), "D": self.D.gradient[0].copy()}
