"""The game of two networks: who moves when, on which loss."""

from typing import NamedTuple

from minigan.engine.autodiff import grad
from minigan.engine.capture import capture
from minigan.engine.primitives import mean
from minigan.engine.tensor import Tensor, constant, variable
from minigan.gan.objectives import OBJECTIVES
from minigan.gan.penalties import gradient_penalty
from minigan.nn.layers import identity

ORDERS = ("alternating", "simultaneous")


class Losses(NamedTuple):
    """What both players minimised in one round, one value per replica.    Shapes:  (…, 1, 1) each"""

    discriminator: Tensor
    generator: Tensor


class Game:
    """Generator against discriminator: one round is k_D steps of D and k_G steps of G.    Source:  [T14]

    r1, r2   γ of the gradient penalties on real and generated data: γ/2 E‖∇D‖² is added to D's loss; a
             number, or a Tensor (R, 1, 1) with one per replica
    order    "alternating": D moves first, G sees the new D; "simultaneous": both move from the same point
    average  a running average of G's parameters, kept in step, or None

    Raises:  ValueError – for a game that cannot be played: D ends in an activation, an optimiser moves the
             wrong network, the networks do not fit each other, unknown objective or order, a negative
             penalty, non-positive numbers of steps
    """

    def __init__(
        self,
        generator,
        discriminator,
        generator_optimizer,
        discriminator_optimizer,
        *,
        objective="non_saturating",
        r1=0.0,
        r2=0.0,
        order="alternating",
        discriminator_steps=1,
        generator_steps=1,
        average=None,
    ):
        self.generator, self.discriminator = generator, discriminator
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        if isinstance(objective, str) and objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)}; received {objective!r}")
        self.objective = OBJECTIVES[objective] if isinstance(objective, str) else objective
        self.r1, self.r2, self.order = r1, r2, order
        self.discriminator_steps, self.generator_steps = discriminator_steps, generator_steps
        self.average = average
        self._refuse_nonsense()

    def _refuse_nonsense(self):
        G, D = self.generator, self.discriminator
        if D.layers[-1].activation is not identity:
            raise ValueError(
                "D returns a logit, the loss applies σ itself; "
                f"its last layer is {D.layers[-1]}, make it linear"
            )
        if D.outputs != 1 or G.outputs != D.inputs:
            raise ValueError(
                f"G makes {G.outputs} features, D takes {D.inputs} and returns {D.outputs}; "
                "D must take what G makes and return one logit"
            )
        if G.parameters is D.parameters or G.parameters.replicas != D.parameters.replicas:
            raise ValueError(
                "G and D are two networks with as many replicas each; received replicas "
                f"{G.parameters.replicas} and {D.parameters.replicas}"
                + (" of the same parameters" if G.parameters is D.parameters else "")
            )
        optimizers = self.generator_optimizer, self.discriminator_optimizer
        for player, network, optimizer in zip("GD", (G, D), optimizers, strict=True):
            if optimizer.parameters is not network.parameters:
                raise ValueError(
                    f"the optimiser of {player} moves other parameters than {player}'s; "
                    f"build it on {player}.parameters"
                )
        if self.average is not None and self.average.newest is not G.parameters:
            raise ValueError(
                "the average follows other parameters than the generator's; build it as Average(G.parameters)"
            )
        for name, γ in (("r1", self.r1), ("r2", self.r2)):
            if not isinstance(γ, Tensor) and not 0.0 <= γ < float("inf"):
                raise ValueError(f"{name} is the weight of a penalty, a finite number ≥ 0; received {γ}")
        if self.order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}; received {self.order!r}")
        steps = self.discriminator_steps, self.generator_steps
        if not all(isinstance(k, int) and k >= 1 for k in steps):
            raise ValueError(
                f"both players need at least one step per round, a whole number; received {steps}"
            )
        if self.order == "simultaneous" and not self.discriminator_steps == self.generator_steps == 1:
            raise ValueError(
                "in a simultaneous round each player moves once; use order='alternating' for more steps"
            )

    @property
    def state(self):
        """{name: Tensor} of everything a round reads and writes: for capture, and for a checkpoint."""
        players = {"generator": self.generator, "discriminator": self.discriminator}
        state = {player: network.parameters.flat for player, network in players.items()}
        for player in players:
            optimizer = getattr(self, f"{player}_optimizer")
            state |= {f"{player}_optimizer.{name}": tensor for name, tensor in optimizer.state.items()}
        if self.average is not None:
            state["average"] = self.average.parameters.flat
        return state | {name: γ for name, γ in (("r1", self.r1), ("r2", self.r2)) if isinstance(γ, Tensor)}

    def discriminator_loss(self, real, fake):
        """E[real(D(x))] + E[fake(D(x̃))] + γ₁/2 E‖∇D(x)‖² + γ₂/2 E‖∇D(x̃)‖².

        Shapes:  real and fake (…, B, p) → (…, 1, 1)
        """
        loss, curves = 0.0, self.objective
        for curve, batch, γ in ((curves.real, real, self.r1), (curves.fake, fake, self.r2)):
            x = variable(batch)
            logits = self.discriminator(x)
            loss = loss + mean(curve(logits))
            if isinstance(γ, Tensor) or γ:
                loss = loss + 0.5 * γ * gradient_penalty(logits, x)
        return loss

    def generator_loss(self, latent):
        """E[generator(D(G(z)))].    Shapes:  z (…, B, n) → (…, 1, 1)"""
        return mean(self.objective.generator(self.discriminator(self.generator(latent))))

    def round(self, real, latent_d, latent_g, factor=1.0, weight=1.0):
        """Both players move. factor: of the learning rates; weight: of the newest parameters in the average.

        Shapes:  real (k_D, …, B, p), latent_d (k_D, …, B, n), latent_g (k_G, …, B, n); factor and weight
                 numbers or (1,)
        """
        G, D = self.generator, self.discriminator
        if self.order == "simultaneous":
            loss_d = self.discriminator_loss(real[0], constant(G(latent_d[0])))
            loss_g = self.generator_loss(latent_g[0])
            gradients_d, gradients_g = grad(loss_d, D.parameters), grad(loss_g, G.parameters)
            self.discriminator_optimizer.step(gradients_d, factor)
            self.generator_optimizer.step(gradients_g, factor)
        else:
            for k in range(self.discriminator_steps):
                loss_d = self.discriminator_loss(real[k], constant(G(latent_d[k])))
                self.discriminator_optimizer.step(grad(loss_d, D.parameters), factor)
            for k in range(self.generator_steps):
                loss_g = self.generator_loss(latent_g[k])
                self.generator_optimizer.step(grad(loss_g, G.parameters), factor)
        if self.average is not None:
            self.average.step(weight)
        return Losses(constant(loss_d), constant(loss_g))


def best_response(discriminator, optimizer, real, fake, *, objective="non_saturating"):
    """Train D alone, against a generator that stands still: given steps enough, D comes to D* of [T15].

    In the game D has a step or a few before G moves on, and penalties hold it flat; this shows what it
    could know.

    Shapes:  real, fake (K, …, B, p): K steps, each on the next batch
    """
    curves = OBJECTIVES[objective]

    def step(x, made):
        loss = mean(curves.real(discriminator(x))) + mean(curves.fake(discriminator(made)))
        optimizer.step(grad(loss, discriminator.parameters))
        return loss

    state = {"discriminator": discriminator.parameters.flat, **optimizer.state}
    program = capture(step, real[0], fake[0], state=state)
    for k in range(1, real.shape[0]):
        program(real[k], fake[k])
