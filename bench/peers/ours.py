"""minigan: the step as a game, captured, eager, and with R seeds on the replica axis; and the reference."""

import numpy as np

import minigan as mg
from bench.peers.common import BETA1, BETA2, EPSILON, MEAN, RATE, SD, Variant, width_of
from bench.peers.numpy_by_hand import Normals
from minigan.compiler import c_compiler

DISTRIBUTION = "minigan"
AHEAD, NATIVE_AHEAD = (
    4096,
    32768,
)  # samples drawn at once: a call costs as much as some steps


def variants(batch, width, threads):
    """A replay of the captured round as NumPy or as native code, and the round itself."""
    native = {"native": Variant(_on(threads, "native"), blas_threads=1)} if compiler() else {}
    return {"captured": Variant(_on(threads), blas_threads=1), **native, "eager": Variant(eager)}


def ensembles(batch, width, threads, replicas):
    """R seeds as one captured game."""
    native = {"replicas, native": Variant(_on(threads, "native"), blas_threads=1)} if compiler() else {}
    return {"replicas": Variant(_on(threads), blas_threads=1), **native}


def compiler():
    """The version of the C compiler that native code is made with; None where there is none."""
    try:
        return c_compiler.find().version
    except c_compiler.CompilerError:
        return None


def _on(threads, execution="planned"):
    return lambda weights, batch, seed=0: Minigan(weights, batch, seed, threads=threads, execution=execution)


def eager(weights, batch, seed=0, dtype="float32"):
    """Every round is run by Python."""
    return Minigan(weights, batch, seed, dtype=dtype, captured=False)


def reference(weights, x, z_d, z_g):
    """parameters(), gradients() after these steps, eager and in float64."""
    game = eager(weights, x.shape[-2], dtype="float64")
    game.follow(*(batch.astype("float64") for batch in (x, z_d, z_g)))
    return game.parameters(), game.gradients()


class Minigan:
    """One game; its first step is the one that is captured."""

    def __init__(
        self, weights, batch, seed=0, *, dtype="float32", captured=True, threads=1, execution="planned"
    ):
        width, lead = width_of(weights["G"]), weights["G"].shape[:-1]
        rngs = [np.random.default_rng(k) for k in range(lead[0])] if lead else np.random.default_rng(0)
        players = {p: mg.mlp((1, width, width, 1), rngs=rngs, activation="tanh", dtype=dtype) for p in "GD"}
        for name, player in players.items():
            player.parameters.update(mg.constant(weights[name].astype(dtype)))
        optimizers = [mg.Adam(p.parameters, RATE, BETA1, BETA2, EPSILON) for p in players.values()]
        self.game, self._program = mg.Game(*players.values(), *optimizers), None
        self._captured, self._threads, self._execution = captured, threads, execution
        most, samples = (256, NATIVE_AHEAD) if execution == "native" and not lead else (64, AHEAD)
        groups = 16 if lead else 1  # which take turns
        steps = max(groups, min(most, samples // (batch * (lead[0] if lead else 1))))
        self._draws = Normals(seed, 3, steps, 1, *lead, batch, 1)
        self._next = self.block = steps

    def _steps(self, *blocks):
        if self._captured:
            if self._program is None:
                first = mg.Batch(*(block[0] for block in blocks))
                how = {"threads": self._threads, "execution": self._execution}
                self._program = mg.capture(self._round, first, state=self.game.state, **how)
                if self._program.execution != self._execution:
                    raise RuntimeError(self._program.note)
                blocks = [block[1:] for block in blocks]
            if len(blocks[0]):
                self._program.each(mg.Batch(*blocks))
        else:
            for batches in zip(*blocks, strict=True):
                self.game.round(mg.Batch(*map(mg.constant, batches)))

    def _round(self, batch):
        self.game.round(batch)  # and returns nothing: no peer is asked for its losses, so none are computed

    def advance(self, steps):
        while steps:
            if self._next == self.block:
                draws = self._draws.draw()
                draws[0] *= SD
                draws[0] += MEAN
                self._next = 0
            count = min(steps, self.block - self._next)
            self._steps(*self._draws.values[:, self._next : self._next + count])
            self._next += count
            steps -= count

    def follow(self, x, z_d, z_g):
        self._steps(*(batches[:, None] for batches in (x, z_d, z_g)))

    def parameters(self):
        return {
            "G": self.game.generator.parameters.flat.numpy(),
            "D": self.game.discriminator.parameters.flat.numpy(),
        }

    def gradients(self):
        return {
            "G": self.game.generator_optimizer.state["g"].numpy(),
            "D": self.game.discriminator_optimizer.state["g"].numpy(),
        }
