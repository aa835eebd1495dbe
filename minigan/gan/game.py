"""The game of two networks: who moves when, on which loss."""

from typing import NamedTuple

from minigan.engine.autodiff import grad
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

    r1, r2   γ of the gradient penalties on real and generated data: γ/2 E‖∇D‖² is added to D's loss; a number, or a
             Tensor (R, 1, 1) with one per replica
    order    "alternating": D moves first, G sees the new D; "simultaneous": both move from the same point
    average  a running average of G's parameters, kept in step, or None

    Raises:  ValueError – for a game that cannot be played: D ends in an activation, an optimiser moves the wrong network,
             the networks do not fit each other, unknown objective or order, a negative penalty, non-positive numbers
             of steps
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
                f"D returns a logit, the loss applies σ itself; its last layer is {D.layers[-1]}, make it linear"
            )
        if D.outputs != 1 or G.outputs != D.inputs:
            raise ValueError(
                f"G makes {G.outputs} features, D takes {D.inputs} and returns {D.outputs}; "
                "D must take what G makes and return one logit"
            )
        for player, network, optimizer in (
            ("G", G, self.generator_optimizer),
            ("D", D, self.discriminator_optimizer),
        ):
            if optimizer.parameters is not network.parameters:
                raise ValueError(
                    f"the optimiser of {player} moves other parameters than {player}'s; build it on {player}.parameters"
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
        if self.discriminator_steps < 1 or self.generator_steps < 1:
            raise ValueError("both players need at least one step per round")
        if self.order == "simultaneous" and not self.discriminator_steps == self.generator_steps == 1:
            raise ValueError(
                "in a simultaneous round each player moves once; use order='alternating' for more steps"
            )

    @property
    def state(self):
        """{name: Tensor} of everything a round reads and writes: for capture, and for a checkpoint."""
        state = {
            "generator": self.generator.parameters.flat,
            "discriminator": self.discriminator.parameters.flat,
        }
        for player, optimizer in (
            ("generator", self.generator_optimizer),
            ("discriminator", self.discriminator_optimizer),
        ):
            state |= {f"{player}_optimizer.{name}": tensor for name, tensor in optimizer.state.items()}
        if self.average is not None:
            state["average"] = self.average.parameters.flat
        return state | {name: γ for name, γ in (("r1", self.r1), ("r2", self.r2)) if isinstance(γ, Tensor)}

    def discriminator_loss(self, real, fake):
        """E[real(D(x))] + E[fake(D(x̃))] + γ₁/2 E‖∇D(x)‖² + γ₂/2 E‖∇D(x̃)‖².    Shapes:  (…, B, p) twice → (…, 1, 1)"""
        loss = 0.0
        for curve, x, γ in (
            (self.objective.real, variable(real), self.r1),
            (self.objective.fake, variable(fake), self.r2),
        ):
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

        Shapes:  real (k_D, …, B, p), latent_d (k_D, …, B, n), latent_g (k_G, …, B, n); factor and weight numbers or (1,)
        """
        G, D = self.generator, self.discriminator
        if self.order == "simultaneous":
            loss_d, loss_g = (
                self.discriminator_loss(real[0], constant(G(latent_d[0]))),
                self.generator_loss(latent_g[0]),
            )
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
