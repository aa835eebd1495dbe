"""The game of two networks: their losses, their steps, and a round of both [T13, T14].

What is a choice stands in a table beside it: objectives.py, penalties.py, orders.py.
"""

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigan.arguments import NOT_NEGATIVE, instance, listed, named, number, shown, whole
from minigan.backend import Array
from minigan.compiler.capture import capture
from minigan.engine.autodiff import grad
from minigan.engine.primitives import maximum, minimum, reshape
from minigan.engine.tensor import Tensor, constant, is_tracked, observer, variable
from minigan.gan.objectives import Objective
from minigan.gan.objectives import objective as objective_called
from minigan.gan.orders import ALTERNATING, Batch, Losses, Order
from minigan.gan.orders import order as order_called
from minigan.gan.penalties import Penalty, interpolate
from minigan.nn.layers import identity
from minigan.nn.network import Network
from minigan.nn.optim import Optimizer
from minigan.nn.parameters import Kept
from minigan.nn.schedules import Average

__all__ = ["Game", "best_response"]


def _is_finite(values: np.ndarray[Any, Any]) -> bool:
    """Whether all are; Σx² tells it in one pass, without a warning, unless it overflows."""
    return math.isfinite(np.vdot(values, values)) or bool(np.isfinite(values).all())


def _warn_of_nan(losses: Losses) -> None:
    """Warn of a round whose losses are not finite; on NumPy alone, where a look at them waits for nothing."""
    values = [loss.memory for loss in losses if type(loss.memory) is np.ndarray]
    if all(map(_is_finite, values)):
        return
    worst = [float(value.flat[np.argmin(np.isfinite(value))]) for value in values]
    said = ", ".join(f"{player} {loss:.3g}" for player, loss in zip("DG", worst, strict=True))
    warnings.warn(
        f"the losses of this round are not finite ({said}); use smaller rates or weaker penalties, and "
        "minigan.detect_anomaly() to learn which operation it was",
        RuntimeWarning,
        stacklevel=3,
    )


class Game(Kept):
    """Generator against discriminator: one round is k_D steps of D and k_G steps of G.    Source:  [T14]

    objective  a row of OBJECTIVES by name, or an Objective
    penalties  what is added to D's loss, as in ``(R1(0.5), R2(0.5))``: see penalties.py
    clip       D's parameters stay within ±clip; 0 for no bound (Arjovsky et al. 2017, algorithm 1)
    order      a row of ORDERS by name, "alternating", "simultaneous" or "extragradient"; or an Order, as
               ``Consensus(0.3)``
    unrolled   G is judged by D as it would be after so many more gradient steps of size unrolled_rate, and
               G's gradient goes through them (Metz et al. 2017)
    average    a running average of G's parameters, kept in step, or None
    discriminator_steps, generator_steps  k_D and k_G

    A D with m times as many inputs as G has outputs judges m samples together: packing is that m (PacGAN,
    Lin et al. 2018). Networks that are told classes play the conditional game: G makes a sample of the class
    that it is asked for, and D says whether a sample is a real one of its class (Mirza & Osindero 2014).

    Raises:  ValueError – for a game that cannot be played: D ends in an activation, an optimiser moves the
             wrong network, the networks do not fit each other, unknown objective or order, one penalty
             twice, non-positive numbers of steps
             TypeError – for an argument of another kind
    """

    kept = (
        "generator",
        "discriminator",
        "generator_optimizer",
        "discriminator_optimizer",
        "objective",
        "order",
    )

    def __init__(
        self,
        generator: Network,
        discriminator: Network,
        generator_optimizer: Optimizer,
        discriminator_optimizer: Optimizer,
        *,
        objective: str | Objective = "non_saturating",
        penalties: Iterable[Penalty] = (),
        clip: float = 0.0,
        order: str | Order = "alternating",
        unrolled: int = 0,
        unrolled_rate: float = 0.1,
        discriminator_steps: int = 1,
        generator_steps: int = 1,
        average: Average | None = None,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        self.objective, self.order = objective_called(objective), order_called(order)
        self.penalties = _present(penalties)
        self.clip = number("clip", clip, NOT_NEGATIVE)
        self.unrolled, self.unrolled_rate = (
            whole("unrolled", unrolled, 0),
            number("unrolled_rate", unrolled_rate, NOT_NEGATIVE),
        )
        self.discriminator_steps = whole("discriminator_steps", discriminator_steps)
        self.generator_steps = whole("generator_steps", generator_steps)
        self.average = average
        self._refuse_nonsense()
        self.packing = discriminator.inputs // generator.outputs
        self.memory = self.order.memory(self)

    def __repr__(self) -> str:
        """What is played, and a line for each player."""
        added = ", ".join([self.objective.name, repr(self.order), *map(repr, self.penalties)])
        G, D = self.generator_optimizer, self.discriminator_optimizer
        return (
            f"Game({added})\n"
            f"  G: {self.generator!r}, {self.generator_steps} × {G.describe()}\n"
            f"  D: {self.discriminator!r}, {self.discriminator_steps} × {D.describe()}"
        )

    def _refuse_nonsense(self) -> None:
        G, D = self.generator, self.discriminator
        players = (
            ("generator", G, self.generator_optimizer),
            ("discriminator", D, self.discriminator_optimizer),
        )
        for player, network, optimizer in players:
            instance(f"the {player} is a Network", network, Network, "make one with mlp(…)")
            instance(
                f"the {player} has an optimiser",
                optimizer,
                Optimizer,
                f"give Adam({player}.parameters, rate)",
            )
        if self.average is not None:
            instance(
                "the average is an Average",
                self.average,
                Average,
                "give Average(generator.parameters) or None",
            )
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
        if G.classes * (D.inputs // G.outputs) != D.classes:
            raise ValueError(
                f"G is told {G.classes} classes and D {D.classes}; make both with mlp(…, classes=K), and a D "
                "that judges m samples together with m K"
            )
        if G.parameters is D.parameters or G.parameters.replicas != D.parameters.replicas:
            raise ValueError(
                "G and D are two networks with as many replicas each; received replicas "
                f"{G.parameters.replicas} and {D.parameters.replicas}"
                + (" of the same parameters" if G.parameters is D.parameters else "")
            )
        of_g, of_d = ((p.flat.dtype, p.backend.name) for p in (G.parameters, D.parameters))
        if of_g != of_d:
            raise ValueError(
                "G and D compute in one dtype on one backend; "
                f"received {of_g[0]} on {of_g[1]} and {of_d[0]} on {of_d[1]}, make both networks alike"
            )
        for player, network, optimizer in (("G", *players[0][1:]), ("D", *players[1][1:])):
            if optimizer.parameters is not network.parameters:
                other = G if network is D else D
                swapped = optimizer.parameters is other.parameters
                advice = "swap the two" if swapped else f"build it on {player}.parameters"
                raise ValueError(
                    f"the optimiser of {player} moves other parameters than {player}'s; {advice}"
                )
        if self.average is not None and self.average.newest is not G.parameters:
            raise ValueError(
                "the average follows other parameters than the generator's; build it as Average(G.parameters)"
            )
        if not self.order.several_steps and not self.discriminator_steps == self.generator_steps == 1:
            raise ValueError(
                f"in a round of order {self.order.name!r} each player moves once; "
                "use order='alternating' for more steps"
            )

    @property
    def state(self) -> dict[str, Tensor]:
        """{name: Tensor} of everything a round reads and writes: for capture, and for a checkpoint."""
        players = {"generator": self.generator, "discriminator": self.discriminator}
        state = {player: network.parameters.flat for player, network in players.items()}
        for player in players:
            optimizer = getattr(self, f"{player}_optimizer")
            state |= {f"{player}_optimizer.{name}": tensor for name, tensor in optimizer.state.items()}
        if self.average is not None:
            state["average"] = self.average.parameters.flat
        weights = {p.name: p.weight for p in self.penalties if isinstance(p.weight, Tensor)}
        return state | self.memory | weights

    def make(self, latent: Tensor, noise: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        """G(z), or G(z, k), with the noise of the instrument or of the method.

        Shapes:  z (…, B, n), k (…, B, K) → (…, B, p)
        """
        fake = self.generator(latent, label)
        return fake if noise is None else fake + noise

    def discriminator_loss(
        self,
        real: Tensor,
        fake: Tensor,
        mix: Tensor | None = None,
        *,
        label: Tensor | None = None,
        discriminator: Network | None = None,
    ) -> Tensor:
        """The objective's loss of D, and the penalties on D.

        mix            uniform numbers that choose the points between real and generated data, where a
                       penalty needs them
        label          the classes of real and generated rows, where D is told them; no slope is taken in them
        discriminator  another D than the game's own

        Shapes:  real and fake (…, B, p), label (…, B, K), mix (…, B/m, 1), m being the packing → (…, 1, 1)
        Raises:  ValueError – for a batch that packs of m do not divide, a penalty that needs mix without it
        """
        D = discriminator or self.discriminator
        at = {penalty.at for penalty in self.penalties}
        if (self.objective.paired or "between" in at) and real.shape[-2] != fake.shape[-2]:
            raise ValueError(
                "pairs of real and generated data need as many rows of both; "
                f"received {real.shape[-2]} and {fake.shape[-2]}"
            )
        x, made, k = _point(self._packed(real)), _point(self._packed(fake)), self._packed_label(label)
        logits, added = [], []
        for place, points in (("real", x), ("generated", made)):
            logits.append(D(points, k))
            if place in at:
                added += [penalty(logits[-1], points) for penalty in self.penalties if penalty.at == place]
        for penalty in self.penalties:
            if penalty.at == "between":
                if mix is None:
                    raise ValueError(
                        f"{penalty.name} chooses points between real and generated data by mix, uniform "
                        "numbers, one per row that D judges; received none"
                    )
                between = interpolate(x, made, mix)
                between = between if is_tracked(fake) else variable(between)
                added.append(penalty(D(between, k), between))
        loss = self.objective.discriminator_loss(*logits)
        for term in added:
            loss = loss + term
        return loss

    def generator_loss(
        self,
        latent: Tensor,
        real: Tensor | None = None,
        noise: Tensor | None = None,
        mix: Tensor | None = None,
        *,
        label: Tensor | None = None,
    ) -> Tensor:
        """E[generator(D(G(z)))]; the real data are for objectives that compare pairs, and for an unrolled D.

        label  the classes that G is asked for, where it is told them: those of the real data

        Shapes:  z (…, B, n), real and noise (…, B, p), label (…, B, K) → (…, 1, 1)
        Raises:  ValueError – without the real data where they are needed
        """
        fake, k = self.make(latent, noise, label), self._packed_label(label)
        if not (self.unrolled or self.objective.paired):
            return self.objective.generator_loss(self.discriminator(self._packed(fake), k))
        if real is None:
            raise ValueError(
                f"G's loss needs real data for the objective {self.objective.name!r} with {self.unrolled} "
                "unrolled steps; received none"
            )
        D = self._unroll(real, fake, mix, label) if self.unrolled else self.discriminator
        partner = D(self._packed(real), k) if self.objective.paired else None
        return self.objective.generator_loss(D(self._packed(fake), k), partner)

    def _packed(self, batch: Tensor) -> Tensor:
        m = self.packing
        if m == 1:
            return batch
        *front, B, p = batch.shape
        if B % m:
            raise ValueError(f"D judges {m} samples together, so it takes a multiple of {m}; received {B}")
        return reshape(batch, shape=(*front, B // m, m * p))

    def _packed_label(self, label: Tensor | None) -> Tensor | None:
        return None if label is None else self._packed(label)

    def _unroll(self, real: Tensor, fake: Tensor, mix: Tensor | None, label: Tensor | None) -> Network:
        """D some gradient steps later, as a function of G: its parameters keep their history."""
        D = self.discriminator
        for _ in range(self.unrolled):
            loss = self.discriminator_loss(real, fake, mix, label=label, discriminator=D)
            names = list(self.discriminator.parameters.views)
            θ = [D.parameters[name] for name in names]
            steps = grad(loss, θ, create_graph=True)
            D = D.with_parameters(
                {name: w - self.unrolled_rate * g for name, w, g in zip(names, θ, steps, strict=True)}
            )
        return D

    # ── a round ─────────────────────────────────────────────────────────────────────────────────────────

    def round(self, batch: Batch, factor: float | Tensor = 1.0, weight: float | Tensor = 1.0) -> Losses:
        """Both players move. factor: of the learning rates; weight: of the newest parameters in the average.

        Shapes:  factor and weight numbers or (1,); a Batch as it says
        Raises:  TypeError – for what is no Batch
                 ValueError – for a batch that is not one for each step of its player
        """
        batch = self._checked(batch)
        with np.errstate(all="ignore"):  # NumPy would warn of the engine's lines, which are not the caller's
            losses = self.order.play(self, batch, factor)
        if self.average is not None:
            self.average.step(weight)
        if observer.get() is None:  # not while a program is recorded, or every operation watched
            _warn_of_nan(losses)
        return Losses(*map(constant, losses))

    def move(
        self, player: str, batch: Batch, factor: float | Tensor = 1.0, weight: float | Tensor = 1.0
    ) -> Tensor:
        """One player alone has its part of a round, "D" or "G", as in order alternating; returns its loss.

        In that order a D and then a G on one batch are a round.

        Raises:  as ``round``; ValueError – for another player
        """
        parts = {"D": ALTERNATING.of_discriminator, "G": ALTERNATING.of_generator}
        loss = named("player", player, parts)(self, self._checked(batch), factor)
        if player == "G" and self.average is not None:
            self.average.step(weight)
        return constant(loss)

    def _checked(self, batch: Batch) -> Batch:
        """The batch in Tensors, one for each step."""
        if not isinstance(batch, Batch):
            raise TypeError(
                "a round takes Batch(real, latent_d, latent_g, …), then factor and weight; "
                f"received {type(batch).__name__}"
            )
        batch = Batch(*map(_from_outside, batch, Batch._fields))
        parts = {name: part for name, part in zip(Batch._fields, batch, strict=True) if part is not None}
        for name in ("real", "latent_d", "latent_g"):
            if name not in parts:
                raise ValueError(f"a round needs {name}; received None")
        for name, part in parts.items():
            player, steps = "D", self.discriminator_steps
            if name.endswith("_g"):
                player, steps = "G", self.generator_steps
            shape = part.shape
            if len(shape) < 3 or shape[0] != steps:
                raise ValueError(
                    f"{name} holds a batch for each step of {player} in a round, here {steps}: its shape is "
                    f"({steps}, …, rows, columns); received {part.shape}"
                )
        B, p = parts["real"].shape[-2], self.generator.outputs
        if "label" in parts or self.generator.classes:
            self._check_label(batch, B)
        for name, shape in (
            ("mix", (B // self.packing, 1)),
            ("noise_x", (B, p)),
            ("noise_d", (batch.latent_d.shape[-2], p)),
            ("noise_g", (batch.latent_g.shape[-2], p)),
        ):
            if name in parts and parts[name].shape[-2:] != shape:
                raise ValueError(
                    f"{name} has numbers for each row on its own, here (…, {shape[0]}, {shape[1]}); "
                    f"received {parts[name].shape}"
                )
        if batch.noise_x is not None:
            batch = batch._replace(real=batch.real + batch.noise_x, noise_x=None)
        return batch

    def _check_label(self, batch: Batch, rows: int) -> None:
        """Refuse labels for networks that are told no classes, and what is not one for each row."""
        K, label = self.generator.classes, batch.label
        if label is None or not K:
            why = f"these networks are told of {K} classes" if K else "these networks are told of no classes"
            raise ValueError(f"{why}; received {'no label' if label is None else 'a label'} in the batch")
        made = {batch.latent_d.shape[-2], batch.latent_g.shape[-2]}
        if label.shape[-2:] != (rows, K) or made != {rows}:
            raise ValueError(
                f"label has the class of each row in {K} columns, and G makes as many rows as are real; "
                f"received label {label.shape}, {rows} real rows and {sorted(made)} latent vectors"
            )

    def move_discriminator(self, gradients: Iterable[Tensor], factor: float | Tensor = 1.0) -> None:
        """One step of D against the gradients of its parameters, and back within ±clip."""
        self.discriminator_optimizer.step(gradients, factor)
        if self.clip:
            parameters = self.discriminator.parameters
            parameters.update(minimum(maximum(parameters.flat, -self.clip), self.clip))

    def move_generator(self, gradients: Iterable[Tensor], factor: float | Tensor = 1.0) -> None:
        """One step of G against the gradients of its parameters."""
        self.generator_optimizer.step(gradients, factor)


def _present(penalties: Iterable[Penalty]) -> tuple[Penalty, ...]:
    """The penalties that are not 0, in their order."""
    if isinstance(penalties, Penalty):
        raise TypeError(f"penalties are several: write penalties=({penalties!r},)")
    penalties = tuple(listed("penalties", penalties, "objects such as R1(0.5)"))
    for penalty in penalties:
        if not isinstance(penalty, Penalty):
            raise TypeError(f"penalties are objects such as R1(0.5); received {shown(penalty)}")
    names = [penalty.name for penalty in penalties]
    if len(set(names)) < len(names):
        raise ValueError(f"a game has each penalty once; received {', '.join(names)}")
    return tuple(p for p in penalties if isinstance(p.weight, Tensor) or p.weight)


def _point(batch: Tensor) -> Tensor:
    """The batch as a tensor of its own that gradients can be asked through; its history goes on.

    Of its own, because the parameters of an unrolled D are made from the batch too, which no slope of D
    in its input is to notice.
    """
    return reshape(batch, shape=batch.shape) if is_tracked(batch) else variable(batch)


def _from_outside(x: Tensor | Array | None, name: str) -> Tensor | None:
    """A part of a batch as a Tensor; of what comes from the host, whether all of it is finite."""
    if x is None or type(x) is Tensor:
        return x
    if isinstance(x, np.ndarray) and x.dtype.kind == "f" and not _is_finite(x):
        bad = int(x.size - np.isfinite(x).sum())
        raise ValueError(f"{name} of a batch holds {bad} of {x.size} values that are not finite; remove them")
    return constant(x)


def best_response(
    discriminator: Network,
    optimizer: Optimizer,
    real: Array,
    fake: Array,
    *,
    objective: str | Objective = "non_saturating",
    factors: Any = None,
    after: Sequence[int] = (),
) -> list[Network]:
    """Train D alone, against a generator that stands still: given steps enough, D comes to D* of [T15].

    In the game D has a step or a few before G moves on, and penalties hold it flat; this shows what it
    could know.

    factors  of the learning rate at each step, as a Schedule gives them; None for a constant rate, at which D
             only comes near D* and circles there
    after    so many steps D is kept as it stands, ascending: what is returned

    Shapes:  real, fake (K, …, B, p): K steps, each on the next batch; factors (K,)
    Raises:  ValueError – unless there are as many batches of generated data and factors as steps, ``after``
             are some of them, and the optimiser is D's;  TypeError – for an argument of another kind
    """
    curves = objective_called(objective)
    instance("D is a Network", discriminator, Network, "make one with mlp(…)")
    instance("D has an optimiser", optimizer, Optimizer, "give Adam(D.parameters, rate)")
    if optimizer.parameters is not discriminator.parameters:
        raise ValueError("the optimiser moves other parameters than D's; build it on D.parameters")
    (count, *rest), (also, *_) = ((*getattr(given, "shape", ()), 0) for given in (real, fake))
    if len(rest) < 3 or count != also or not count:
        raise ValueError(
            "real and fake are arrays of shape (steps, rows, features), a batch for each step; "
            f"received {shown(real)} and {shown(fake)}"
        )

    def step(x: Tensor, made: Tensor, factor: Tensor) -> Tensor:
        loss = curves.discriminator_loss(discriminator(x), discriminator(made))
        optimizer.step(grad(loss, discriminator.parameters), factor)
        return loss

    parameters = discriminator.parameters
    factors = np.ones(count) if factors is None else np.asarray(factors)
    if factors.shape != (count,) or factors.dtype.kind not in "fiu" or not np.isfinite(factors).all():
        raise ValueError(f"{count} steps need as many factors, finite numbers; received {shown(factors)}")
    factors = parameters.backend.array(factors.astype(parameters.flat.dtype)[:, None])
    state = {"discriminator": parameters.flat, **optimizer.state}
    if [*after] != sorted({*after} & {*range(1, count + 1)}):
        raise ValueError(f"after is some of {count} steps, ascending; received {shown([*after])}")
    program, done, kept = capture(step, real[0], fake[0], constant(factors[0]), state=state), 1, []
    for stop in (*after, count):
        if stop > done:
            program.each(*(given[done:stop] for given in (real, fake, factors)))
        done = stop
        kept.append(discriminator.with_parameters(parameters.copy()))
    return kept[:-1]
