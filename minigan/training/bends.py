"""Where the units of both networks bend before the first step, for ``bends = data``.

It is only a start: the bends move in training as all parameters do.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.engine.tensor import constant
from minigan.gan.game import Game
from minigan.nn.initializers import (
    bends_at_data,
    bends_at_latents,
    bends_at_random,
    bends_between,
    least_squares,
    rising_layer,
    spread_biases,
)
from minigan.nn.network import Network
from minigan.training.config import Config
from minigan.training.draws import LATENT, draw_latent, stream
from minigan.training.units import Units

LEVELS = 4096  # of probability, at which a distribution is asked where its data are
ROWS = 4096  # of several features, of which it is asked instead
LATENTS = 1024  # at which G is made the identity


def spread_bends(
    game: Game, config: Config, distribution: Any, units: Units, latent_size: int, parts: Sequence[Any] = ()
) -> None:
    """Biases and first layers of the players that ask for it, with bends where data and latents are.

    parts  the distributions of the classes of a conditional run
    """
    players = {"generator": (game.generator, 1), "discriminator": (game.discriminator, 2)}
    for player, (network, index) in players.items():
        rng = stream(config.seed, "init", index)
        spread_bends_of(player, network, rng, config, distribution, units, latent_size, parts)
    if game.average is not None:
        game.average.parameters.load(game.generator.parameters.arrays())


def spread_bends_of(
    player: str, network: Network, rng: np.random.Generator, config: Config, distribution: Any, units: Units,
    latent_size: int, parts: Sequence[Any] = (),
) -> None:  # fmt: skip
    """Those of one network that plays as ``player``, if its settings ask for it.

    Of one feature a unit of D bends at a quantile of the data, and one of G at a latent where the way to the
    data is steep; and G starts as a rising function, since one that turns back has to lose a wall between
    modes before it can fit, and may keep it; of several classes each has its share of the units. Of several
    features a unit of D bends between two neighbours among the rows, and one of G at a random latent vector;
    and G starts as the identity of its first latent numbers, which does not fold either.
    """
    if getattr(config, player).bends == "zero" or len(network.layers) < 2:
        return
    arrays, last = dict(network.parameters.arrays()), len(network.layers) - 1
    one_input = network.inputs == distribution.features == 1 and config.latent.distribution in LATENT
    if one_input:
        arrays["0.W"], arrays["0.b"] = _of_classes(
            player, rng, network.layers[0].m, config, parts or [distribution], units
        )
    elif player == "discriminator":
        rows = _rows(rng, network, distribution, units)
        arrays["0.W"], arrays["0.b"] = bends_between(rng, network.layers[0].m, rows)
    else:
        latents = draw_latent(config, latent_size, rng, (network.layers[0].m,))
        arrays["0.W"], arrays["0.b"] = bends_at_random(rng, network.layers[0].m, latents)
    for k in range(1, last + 1):
        shape = arrays[f"{k}.W"].shape
        if one_input and player == "generator":
            arrays[f"{k}.W"], b = rising_layer(rng, shape)
        else:
            b = spread_biases(rng, shape)
        if k < last:
            arrays[f"{k}.b"] = b
    if not one_input and player == "generator":
        latents = draw_latent(config, latent_size, rng, (LATENTS,))
        arrays[f"{last}.W"], arrays[f"{last}.b"] = _of_identity(network, arrays, latents)
    network.parameters.load({name: array.astype(config.dtype) for name, array in arrays.items()})


def _of_classes(
    player: str, rng: np.random.Generator, count: int, config: Config, parts: Sequence[Any], units: Units
) -> tuple[np.ndarray, np.ndarray]:
    """W and b of so many units, as even a share of them for each class as there is."""
    ends = [k * count // len(parts) for k in range(len(parts) + 1)]
    shares = [(part, end - start) for part, start, end in zip(parts, ends, ends[1:], strict=False)]
    made = [_of_one_input(player, rng, n, config, part, units) for part, n in shares if n]
    W, b = (np.concatenate(pieces, axis=1) for pieces in zip(*made, strict=True))
    return W, b


def _of_one_input(
    player: str, rng: np.random.Generator, count: int, config: Config, distribution: Any, units: Units
) -> tuple[np.ndarray, np.ndarray]:
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    quantiles = units.to_network(distribution.quantile(levels)[:, None])[:, 0]
    if player == "discriminator":
        return bends_at_data(rng, count, quantiles)
    latent: Any = LATENT[config.latent.distribution]
    return bends_at_latents(rng, count, quantiles, latent.quantile)


def _rows(rng: np.random.Generator, network: Network, distribution: Any, units: Units) -> np.ndarray:
    """Random inputs of a D, which may pack several rows into one.    Shapes:  → (ROWS, inputs)"""
    many = ROWS * (network.inputs // distribution.features)
    rows = distribution.sample(rng, (many,)).reshape(-1, distribution.features)
    return units.to_network(rows).reshape(ROWS, network.inputs)


def _of_identity(
    network: Network, arrays: dict[str, np.ndarray], latents: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """W and b of the last layer, with which a G returns its first latent numbers, as far as it can."""
    hidden = latents.astype("float64")
    for k, layer in enumerate(network.layers[:-1]):
        product = np.einsum("kn,nm->km", hidden, arrays[f"{k}.W"])  # no BLAS, as in least_squares
        hidden = layer.activation(constant(product + arrays[f"{k}.b"])).numpy()
    wanted = np.zeros((len(latents), network.outputs))
    same = min(latents.shape[1], network.outputs)
    wanted[:, :same] = latents[:, :same]
    return least_squares(hidden, wanted)
