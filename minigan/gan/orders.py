"""A round of the game: what it takes, what it gives, and in which order the players move, as a table.

v_D(ψ, θ) and v_G(ψ, θ) are the gradients of the two losses, each in its own player's parameters: ψ of D, θ of
G. A step is written as plain descent; in a game it is whatever the player's optimiser makes of its gradient.
"""

from typing import Any, ClassVar, NamedTuple

from minigan.arguments import WEIGHT, named, number
from minigan.backend import Array
from minigan.engine.autodiff import assign, filled, grad
from minigan.engine.primitives import square, sum_over
from minigan.engine.tensor import Tensor, constant

__all__ = [
    "ALTERNATING", "ORDERS", "Alternating", "Batch", "Consensus", "Extragradient", "Losses", "Order",
    "Simultaneous", "order",
]  # fmt: skip


class Batch(NamedTuple):
    """What both players see in one round: k_D steps of D and k_G of G, each step on a batch of its own.

    real      data, for D
    latent_…  what G makes its data from, those that D learns from and those that G learns from
    mix       uniform numbers, for penalties between real and generated data
    noise_…   what is added to the real data, and to the data that G makes for D and for itself
    label     of networks that are told the class of a row, that of each real row and of what is made beside
              it, 1 in its column; G is asked for those that D saw last

    Shapes:  real, noise_x, noise_d (k_D, …, B, p), latent_d (k_D, …, B, n), mix (k_D, …, B/m, 1), latent_g
             (k_G, …, B, n), noise_g (k_G, …, B, p), label (k_D, …, B, K); "…" being the replicas, m the
             packing

    >>> real, latent = np.zeros((1, 4, 1), "float32"), np.ones((1, 4, 2), "float32")
    >>> batch = mg.Batch(real, latent, latent)
    >>> batch._fields
    ('real', 'latent_d', 'latent_g', 'mix', 'noise_x', 'noise_d', 'noise_g', 'label')
    """

    real: Tensor | Array
    latent_d: Tensor | Array
    latent_g: Tensor | Array
    mix: Tensor | Array | None = None
    noise_x: Tensor | Array | None = None
    noise_d: Tensor | Array | None = None
    noise_g: Tensor | Array | None = None
    label: Tensor | Array | None = None


class Losses(NamedTuple):
    """What both players minimised in one round, one value per replica.    Shapes:  (…, 1, 1) each

    >>> mg.Losses._fields
    ('discriminator', 'generator')
    """

    discriminator: Tensor
    generator: Tensor


class Order:
    """One way to play a round; ``game`` is a Game.

    name           what ``Game(order=…)`` calls it
    several_steps  whether a player can have more than one step in a round
    consensus      the weight of Consensus, 0 for all others

    >>> sorted(mg.ORDERS)
    ['alternating', 'extragradient', 'simultaneous']
    """

    name: ClassVar[str]
    several_steps: ClassVar[bool] = False
    consensus: float = 0.0

    def memory(self, game: Any) -> dict[str, Tensor]:
        """By name, what a round writes besides players, optimisers and average: part of Game.state."""
        return {}

    def play(self, game: Any, batch: Batch, factor: float | Tensor) -> Losses:
        """Move both players; factor: of their learning rates."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Alternating(Order):
    """ψ ← ψ − α v_D(ψ, θ), k_D times; then θ ← θ − α v_G(ψ, θ), k_G times: G sees the new D.

    Source:  Goodfellow et al. 2014, algorithm 1
    """

    name, several_steps = "alternating", True

    def play(self, game: Any, batch: Batch, factor: float | Tensor) -> Losses:
        return Losses(self.of_discriminator(game, batch, factor), self.of_generator(game, batch, factor))

    def of_discriminator(self, game: Any, batch: Batch, factor: float | Tensor) -> Tensor:
        """D's part of a round; returns its last loss."""
        for k in range(game.discriminator_steps):
            label = _of_step(batch.label, k)
            fake = constant(game.make(batch.latent_d[k], _of_step(batch.noise_d, k), label))
            loss: Tensor = game.discriminator_loss(batch.real[k], fake, _of_step(batch.mix, k), label=label)
            game.move_discriminator(grad(loss, game.discriminator.parameters), factor)
        return loss

    def of_generator(self, game: Any, batch: Batch, factor: float | Tensor) -> Tensor:
        """G's part; returns its last loss."""
        last = game.discriminator_steps - 1  # what D saw last, for an objective or a method that asks
        for k in range(game.generator_steps):
            loss: Tensor = game.generator_loss(
                batch.latent_g[k],
                batch.real[last],
                _of_step(batch.noise_g, k),
                _of_step(batch.mix, last),
                label=_of_step(batch.label, last),
            )
            game.move_generator(grad(loss, game.generator.parameters), factor)
        return loss


class Simultaneous(Order):
    """(ψ, θ) ← (ψ, θ) − α (v_D, v_G)(ψ, θ): both move from the same point.

    Source:  Mescheder, Nowozin, Geiger 2017, section 2
    """

    name = "simultaneous"

    def play(self, game: Any, batch: Batch, factor: float | Tensor) -> Losses:
        return self._move(game, _first_step(batch), factor)

    def _move(self, game: Any, batch: Batch, factor: float | Tensor) -> Losses:
        losses, v_d, v_g = self._gradients(game, batch)
        game.move_discriminator(v_d, factor)
        game.move_generator(v_g, factor)
        return losses

    def _gradients(self, game: Any, batch: Batch) -> tuple[Losses, list[Tensor], list[Tensor]]:
        """Both losses at one point, v_D and v_G there."""
        losses = _losses(game, batch, constant(game.make(batch.latent_d, batch.noise_d, batch.label)))
        v_d = grad(losses.discriminator, game.discriminator.parameters)
        return losses, v_d, grad(losses.generator, game.generator.parameters)


class Consensus(Simultaneous):
    """(ψ, θ) ← (ψ, θ) − α (v + γ ∇ ½‖v‖²), v = (v_D, v_G): both players also try to bring the game to rest.

    Raises:  ValueError – for a γ that is no weight;  TypeError – for what is no number
    Source:  Mescheder, Nowozin, Geiger 2017, algorithm 2

    >>> rng = np.random.default_rng(0)
    >>> G, D = mg.mlp((1, 4, 1), rngs=rng), mg.mlp((1, 4, 1), rngs=rng)
    >>> game = mg.Game(G, D, mg.SGD(G.parameters, 0.1), mg.SGD(D.parameters, 0.1), order=mg.Consensus(0.3))
    >>> game.order
    Consensus(0.3)
    """

    name = "consensus"

    def __init__(self, weight: float) -> None:
        self.consensus = number("consensus", weight, WEIGHT)

    def _gradients(self, game: Any, batch: Batch) -> tuple[Losses, list[Tensor], list[Tensor]]:
        D, G = list(game.discriminator.parameters), list(game.generator.parameters)
        losses = _losses(game, batch, game.make(batch.latent_d, batch.noise_d, batch.label))
        v_d = grad(losses.discriminator, D, create_graph=True)
        v_g = grad(losses.generator, G, create_graph=True)
        length: Any = 0.0
        for v in (*v_d, *v_g):
            length = length + sum_over(square(v), axis=(-2, -1))
        pull = grad(
            0.5 * self.consensus * length, D + G, unreached="zeros"
        )  # as D's last bias is, of a critic
        pulled = [v + h for v, h in zip((*v_d, *v_g), pull, strict=True)]
        return losses, pulled[: len(D)], pulled[len(D) :]

    def __repr__(self) -> str:
        return f"Consensus({self.consensus})"


class Extragradient(Simultaneous):
    """w̃ ← w − α v(w), w ← w − α v(w̃), w = (ψ, θ): both look a step ahead, return, and move as they saw there.

    Both steps are on the same batch, and both move the memories of the optimisers.

    Source:  Korpelevich 1976; with Adam: Gidel et al. 2019, algorithm 4
    """

    name = "extragradient"

    def memory(self, game: Any) -> dict[str, Tensor]:
        return {f"departure{k}": filled(player.flat, 0.0) for k, player in enumerate(_players(game))}

    def play(self, game: Any, batch: Batch, factor: float | Tensor) -> Losses:
        batch = _first_step(batch)
        players, departures = _players(game), game.memory.values()
        for departure, player in zip(departures, players, strict=True):
            assign(departure, player.flat)
        self._move(game, batch, factor)
        losses, v_d, v_g = self._gradients(game, batch)
        for departure, player in zip(departures, players, strict=True):
            player.update(departure)
        game.move_discriminator(v_d, factor)
        game.move_generator(v_g, factor)
        return losses


ALTERNATING = Alternating()
ORDERS = {order.name: order for order in (ALTERNATING, Simultaneous(), Extragradient())}


def order(name: str | Order, consensus: float = 0.0) -> Order:
    """The order called ``name``; with a weight ``consensus``, simultaneous rounds become Consensus(weight).

    Raises:  ValueError – for an unknown name, with the known ones; for consensus in another order
             TypeError – for what is neither a name nor an Order
    """
    found = name if isinstance(name, Order) else named("order", name, ORDERS)
    if not number("consensus", consensus, WEIGHT):
        return found
    if type(found) is not Simultaneous:
        raise ValueError(
            "consensus needs the gradients of both players at one point; use it with order='simultaneous'"
        )
    return Consensus(consensus)


def _losses(game: Any, batch: Batch, fake: Tensor) -> Losses:
    """Both losses at one point, D's on these generated data."""
    label = batch.label
    loss_d = game.discriminator_loss(batch.real, fake, batch.mix, label=label)
    parts = batch.latent_g, batch.real, batch.noise_g, batch.mix
    return Losses(loss_d, game.generator_loss(*parts, label=label))


def _players(game: Any) -> tuple[Any, Any]:
    return game.discriminator.parameters, game.generator.parameters


def _of_step(batch: Tensor | None, k: int) -> Tensor | None:
    return None if batch is None else batch[k]


def _first_step(batch: Batch) -> Batch:
    real, latent_d, latent_g, *others = batch
    return Batch(real[0], latent_d[0], latent_g[0], *(_of_step(part, 0) for part in others))
