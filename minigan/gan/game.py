"""The game of two networks: who moves when, on which loss [T13, T14]."""

from typing import NamedTuple

import numpy as np

from minigan.compiler.capture import capture
from minigan.engine.autodiff import assign, filled, grad
from minigan.engine.primitives import maximum, minimum, reshape, square, sum_over
from minigan.engine.tensor import Tensor, constant, is_tracked, variable
from minigan.gan.objectives import objective as objective_called
from minigan.gan.penalties import gradient_penalty, interpolate
from minigan.nn.layers import identity

ORDERS = ("alternating", "simultaneous", "extragradient")
PENALTIES = ("r1", "r2", "wgan_gp", "zero_gp")


class Losses(NamedTuple):
    """What both players minimised in one round, one value per replica.    Shapes:  (…, 1, 1) each"""

    discriminator: Tensor
    generator: Tensor


class Game:
    """Generator against discriminator: one round is k_D steps of D and k_G steps of G.    Source:  [T14]

    objective  a row of OBJECTIVES by name, or an Objective
    r1, r2     γ of the gradient penalties on real and generated data: γ/2 E‖∇D‖² is added to D's loss; a
               number, or a Tensor (R, 1, 1) with one per replica, as are the next two
    wgan_gp    λ of E(‖∇D‖ − 1)² between real and generated data
    zero_gp    λ of E‖∇D‖² between real and generated data
    clip       D's parameters stay within ±clip; 0 for no bound (Arjovsky et al. 2017, algorithm 1)
    order      "alternating": D moves first, G sees the new D; "simultaneous": both move from the same point;
               "extragradient": both look one simultaneous step ahead, return, and move along what they saw
               there, on the same batch (Korpelevich 1976; with Adam: Gidel et al. 2019, algorithm 4)
    consensus  γ of the γ/2 ‖v‖² that both players minimise beside their losses, v being both gradients
               (Mescheder, Nowozin, Geiger 2017, algorithm 2); in simultaneous rounds
    unrolled   G is judged by D as it would be after so many more gradient steps of size unrolled_rate, and
               G's gradient goes through them (Metz et al. 2017)
    average    a running average of G's parameters, kept in step, or None
    packing    a D with m times as many inputs as G has outputs judges m samples together (PacGAN,
               Lin et al. 2018)

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
        wgan_gp=0.0,
        zero_gp=0.0,
        clip=0.0,
        order="alternating",
        consensus=0.0,
        unrolled=0,
        unrolled_rate=0.1,
        discriminator_steps=1,
        generator_steps=1,
        average=None,
    ):
        self.generator, self.discriminator = generator, discriminator
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        self.objective = objective_called(objective)
        self.r1, self.r2, self.wgan_gp, self.zero_gp, self.clip = r1, r2, wgan_gp, zero_gp, clip
        self.order, self.consensus = order, consensus
        self.unrolled, self.unrolled_rate = unrolled, unrolled_rate
        self.discriminator_steps, self.generator_steps = discriminator_steps, generator_steps
        self.average = average
        self._refuse_nonsense()
        self.packing = discriminator.inputs // generator.outputs
        players = (discriminator, generator) if order == "extragradient" else ()
        self._departure = [filled(player.parameters.flat, 0.0) for player in players]

    def _refuse_nonsense(self):
        G, D = self.generator, self.discriminator
        if D.layers[-1].activation is not identity:
            raise ValueError(
                "D returns a logit, the loss applies σ itself; "
                f"its last layer is {D.layers[-1]}, make it linear"
            )
        if D.outputs != 1 or D.inputs % G.outputs:
            raise ValueError(
                f"G makes {G.outputs} features, D takes {D.inputs} and returns {D.outputs}; "
                "D must take what G makes, once or several times, and return one logit"
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
        for name in (*PENALTIES, "clip", "consensus", "unrolled_rate"):
            γ = getattr(self, name)
            if not (isinstance(γ, Tensor) and name in PENALTIES) and not 0.0 <= γ < float("inf"):
                raise ValueError(f"{name} is a weight, a finite number ≥ 0; received {γ}")
        if not isinstance(self.unrolled, int) or self.unrolled < 0:
            raise ValueError(f"unrolled is a number of steps, 0 for none; received {self.unrolled!r}")
        if self.consensus and self.order != "simultaneous":
            raise ValueError(
                "consensus needs the gradients of both players at one point; use it with order='simultaneous'"
            )
        if self.order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}; received {self.order!r}")
        steps = self.discriminator_steps, self.generator_steps
        if not all(isinstance(k, int) and k >= 1 for k in steps):
            raise ValueError(
                f"both players need at least one step per round, a whole number; received {steps}"
            )
        if self.order != "alternating" and not self.discriminator_steps == self.generator_steps == 1:
            raise ValueError(
                f"in a round of order {self.order!r} each player moves once; "
                "use order='alternating' for more steps"
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
        state |= {f"departure{k}": θ for k, θ in enumerate(self._departure)}
        return state | {name: γ for name in PENALTIES if isinstance(γ := getattr(self, name), Tensor)}

    def make(self, latent, noise=None):
        """G(z), with the noise of the instrument or of the method.    Shapes:  z (…, B, n) → (…, B, p)"""
        fake = self.generator(latent)
        return fake if noise is None else fake + noise

    def discriminator_loss(self, real, fake, mix=None, *, discriminator=None):
        """The objective's loss of D, and γ₁/2 E‖∇D(x)‖² + γ₂/2 E‖∇D(x̃)‖² + λ E(‖∇D(x̂)‖ − 1 or 0)².

        mix            uniform numbers that choose the points x̂ between x and x̃, where a penalty needs them
        discriminator  another D than the game's own

        Shapes:  real and fake (…, B, p), mix (…, B/m, 1), m being the packing → (…, 1, 1)
        Raises:  ValueError – for a batch that packs of m do not divide, a penalty that needs mix without it
        """
        D = discriminator or self.discriminator
        x, made = (_point(self._packed(batch)) for batch in (real, fake))
        logits, penalties = [], []
        for γ, point in ((self.r1, x), (self.r2, made)):
            logits.append(D(point))
            if isinstance(γ, Tensor) or γ:
                penalties.append(γ * (0.5 * gradient_penalty(logits[-1], point)))
        for λ, norm in ((self.wgan_gp, 1.0), (self.zero_gp, 0.0)):
            if isinstance(λ, Tensor) or λ:
                if mix is None:
                    raise ValueError(
                        "wgan_gp and zero_gp choose points between real and generated data by mix, uniform "
                        "numbers, one per row that D judges; received none"
                    )
                between = interpolate(x, made, mix)
                between = between if is_tracked(fake) else variable(between)
                penalties.append(λ * gradient_penalty(D(between), between, norm))
        loss = self.objective.discriminator_loss(*logits)
        for penalty in penalties:
            loss = loss + penalty
        return loss

    def generator_loss(self, latent, real=None, noise=None, mix=None):
        """E[generator(D(G(z)))]; the real data are for objectives that compare pairs, and for an unrolled D.

        Shapes:  z (…, B, n), real and noise (…, B, p) → (…, 1, 1)
        Raises:  ValueError – without the real data where they are needed
        """
        if real is None and (self.unrolled or self.objective.paired):
            raise ValueError(
                f"G's loss needs real data for the objective {self.objective.name!r} with {self.unrolled} "
                "unrolled steps; received none"
            )
        fake = self.make(latent, noise)
        D = self._unroll(real, fake, mix) if self.unrolled else self.discriminator
        partner = D(self._packed(real)) if self.objective.paired else None
        return self.objective.generator_loss(D(self._packed(fake)), partner)

    def _packed(self, batch):
        m = self.packing
        if m == 1:
            return batch
        *front, B, p = batch.shape
        if B % m:
            raise ValueError(f"D judges {m} samples together, so it takes a multiple of {m}; received {B}")
        return reshape(batch, shape=(*front, B // m, m * p))

    def _unroll(self, real, fake, mix):
        """D some gradient steps later, as a function of G: its parameters keep their history."""
        D = self.discriminator
        for _ in range(self.unrolled):
            loss = self.discriminator_loss(real, fake, mix, discriminator=D)
            names = list(self.discriminator.parameters.views)
            θ = [D.parameters[name] for name in names]
            steps = grad(loss, θ, create_graph=True)
            D = D.with_parameters(
                {name: w - self.unrolled_rate * g for name, w, g in zip(names, θ, steps, strict=True)}
            )
        return D

    # ── a round ─────────────────────────────────────────────────────────────────────────────────────────

    def round(
        self,
        real,
        latent_d,
        latent_g,
        factor=1.0,
        weight=1.0,
        *,
        mix=None,
        noise_x=None,
        noise_d=None,
        noise_g=None,
    ):
        """Both players move. factor: of the learning rates; weight: of the newest parameters in the average.

        mix      uniform numbers, for penalties between real and generated data
        noise_…  what is added to the real data, to the generated data that D learns from, and to those that G
                 learns from

        Shapes:  real, noise_x, noise_d (k_D, …, B, p), latent_d (k_D, …, B, n), mix (k_D, …, B/m, 1),
                 latent_g (k_G, …, B, n), noise_g (k_G, …, B, p); factor and weight numbers or (1,)
        """
        if noise_x is not None:
            real = real + noise_x
        batches = real, latent_d, latent_g, mix, noise_d, noise_g
        if self.order == "alternating":
            losses = self._alternating(*batches, factor)
        else:
            first = [None if batch is None else batch[0] for batch in batches]
            losses = getattr(self, f"_{self.order}")(*first, factor)
        if self.average is not None:
            self.average.step(weight)
        return Losses(*map(constant, losses))

    def _alternating(self, real, latent_d, latent_g, mix, noise_d, noise_g, factor):
        def of(batch, k):
            return None if batch is None else batch[k]

        for k in range(self.discriminator_steps):
            fake = constant(self.make(latent_d[k], of(noise_d, k)))
            loss_d = self.discriminator_loss(real[k], fake, of(mix, k))
            self._move_discriminator(grad(loss_d, self.discriminator.parameters), factor)
        last = self.discriminator_steps - 1  # what D saw last, for an objective or a method that asks
        for k in range(self.generator_steps):
            loss_g = self.generator_loss(latent_g[k], real[last], of(noise_g, k), of(mix, last))
            self.generator_optimizer.step(grad(loss_g, self.generator.parameters), factor)
        return loss_d, loss_g

    def _simultaneous(self, real, latent_d, latent_g, mix, noise_d, noise_g, factor):
        losses, gradients_d, gradients_g = self._gradients(real, latent_d, latent_g, mix, noise_d, noise_g)
        self._move_discriminator(gradients_d, factor)
        self.generator_optimizer.step(gradients_g, factor)
        return losses

    def _extragradient(self, *batches):
        *batches, factor = batches
        players = self.discriminator.parameters, self.generator.parameters
        for departure, parameters in zip(self._departure, players, strict=True):
            assign(departure, parameters.flat)
        self._simultaneous(*batches, factor)
        losses, gradients_d, gradients_g = self._gradients(*batches)
        for departure, parameters in zip(self._departure, players, strict=True):
            parameters.update(departure)
        self._move_discriminator(gradients_d, factor)
        self.generator_optimizer.step(gradients_g, factor)
        return losses

    def _gradients(self, real, latent_d, latent_g, mix, noise_d, noise_g):
        """Both losses at the same point, and the gradient of each in its player's parameters."""
        D, G = list(self.discriminator.parameters), list(self.generator.parameters)
        fake = self.make(latent_d, noise_d)
        loss_d = self.discriminator_loss(real, fake if self.consensus else constant(fake), mix)
        loss_g = self.generator_loss(latent_g, real, noise_g, mix)
        v_d = grad(loss_d, D, create_graph=bool(self.consensus))
        v_g = grad(loss_g, G, create_graph=bool(self.consensus))
        if self.consensus:
            length = 0.0
            for g in (*v_d, *v_g):
                length = length + sum_over(square(g), axis=(-2, -1))
            pull = grad(0.5 * self.consensus * length, D + G)
            v_d = [g + h for g, h in zip(v_d, pull[: len(D)], strict=True)]
            v_g = [g + h for g, h in zip(v_g, pull[len(D) :], strict=True)]
        return (loss_d, loss_g), v_d, v_g

    def _move_discriminator(self, gradients, factor):
        self.discriminator_optimizer.step(gradients, factor)
        if self.clip:
            parameters = self.discriminator.parameters
            parameters.update(minimum(maximum(parameters.flat, -self.clip), self.clip))


def _point(batch):
    """The batch as a tensor of its own that gradients can be asked through; its history goes on.

    Of its own, because the parameters of an unrolled D are made from the batch too, which no slope of D
    in its input is to notice.
    """
    return reshape(batch, shape=batch.shape) if is_tracked(batch) else variable(batch)


def best_response(discriminator, optimizer, real, fake, *, objective="non_saturating", factors=None):
    """Train D alone, against a generator that stands still: given steps enough, D comes to D* of [T15].

    In the game D has a step or a few before G moves on, and penalties hold it flat; this shows what it
    could know.

    factors  of the learning rate at each step, as a Schedule gives them; None for a constant rate, at which D
             only comes near D* and circles there

    Shapes:  real, fake (K, …, B, p): K steps, each on the next batch; factors (K,)
    Raises:  ValueError – unless there is one factor per step
    """
    curves = objective_called(objective)

    def step(x, made, factor):
        loss = curves.discriminator_loss(discriminator(x), discriminator(made))
        optimizer.step(grad(loss, discriminator.parameters), factor)
        return loss

    parameters, count = discriminator.parameters, real.shape[0]
    factors = np.ones(count) if factors is None else np.asarray(factors)
    if factors.shape != (count,):
        raise ValueError(f"{count} steps need as many factors; received shape {factors.shape}")
    factors = parameters.backend.array(factors.astype(parameters.flat.dtype)[:, None])
    state = {"discriminator": parameters.flat, **optimizer.state}
    program = capture(step, real[0], fake[0], constant(factors[0]), state=state)
    if count > 1:
        program.each(real[1:], fake[1:], factors[1:])
