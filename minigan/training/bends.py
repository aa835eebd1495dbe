"""Where the units of both networks bend before the first step, for ``bends = data``.

It is only a start: the bends move in training as all parameters do.
"""

from typing import Any

import numpy as np

from minigan.gan.game import Game
from minigan.nn.initializers import (
    bends_at_data,
    bends_at_latents,
    bends_through,
    rising_layer,
    spread_biases,
)
from minigan.nn.network import Network
from minigan.training.config import Config
from minigan.training.draws import LATENT, draw_latent, stream
from minigan.training.units import Units

LEVELS = 4096  # of probability, at which a distribution is asked where its data are


def spread_bends(game: Game, config: Config, distribution: Any, units: Units, latent_size: int) -> None:
    """Biases and first layers of the players that ask for it, with bends where data and latents are."""
    players = {"generator": (game.generator, 1), "discriminator": (game.discriminator, 2)}
    for player, (network, index) in players.items():
        rng = stream(config.seed, "init", index)
        spread_bends_of(player, network, rng, config, distribution, units, latent_size)
    if game.average is not None:
        game.average.parameters.load(game.generator.parameters.arrays())


def spread_bends_of(
    player: str, network: Network, rng: np.random.Generator, config: Config, distribution: Any, units: Units,
    latent_size: int,
) -> None:  # fmt: skip
    """Those of one network that plays as ``player``, if its settings ask for it.

    Of one feature a unit of D bends at a quantile of the data, and one of G at a latent where the way to the
    data is steep; and G starts as a rising function, since one that turns back has to lose a wall between
    modes before it can fit, and may keep it. Of several features a unit bends at a random row, and at a
    random latent vector.
    """
    if getattr(config, player).bends == "zero" or len(network.layers) < 2:
        return
    arrays, last = dict(network.parameters.arrays()), len(network.layers) - 1
    one_input = network.inputs == distribution.features == 1 and config.latent.distribution in LATENT
    if one_input:
        arrays["0.W"], arrays["0.b"] = _of_one_input(player, rng, network, config, distribution, units)
    else:
        rows = _rows(player, rng, network, config, distribution, units, latent_size)
        arrays["0.b"] = bends_through(arrays["0.W"], rows)
    for k in range(1, last + 1):
        shape = arrays[f"{k}.W"].shape
        if one_input and player == "generator":
            arrays[f"{k}.W"], b = rising_layer(rng, shape)
        else:
            b = spread_biases(rng, shape)
        if k < last:
            arrays[f"{k}.b"] = b
    network.parameters.load({name: array.astype(config.dtype) for name, array in arrays.items()})


def _of_one_input(
    player: str, rng: np.random.Generator, network: Network, config: Config, distribution: Any, units: Units
) -> tuple[np.ndarray, np.ndarray]:
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    quantiles = units.to_network(distribution.quantile(levels)[:, None])[:, 0]
    if player == "discriminator":
        return bends_at_data(rng, network.layers[0].m, quantiles)
    latent: Any = LATENT[config.latent.distribution]
    return bends_at_latents(rng, network.layers[0].m, quantiles, latent.quantile)


def _rows(
    player: str, rng: np.random.Generator, network: Network, config: Config, distribution: Any, units: Units,
    latent_size: int,
) -> np.ndarray:  # fmt: skip
    """As many random inputs of a network as its first layer has units.    Shapes:  → (units, inputs)"""
    count = network.layers[0].m
    if player == "generator":
        return draw_latent(config, latent_size, rng, (count,))
    many = count * (network.inputs // distribution.features)  # a D may pack several into a row
    rows = distribution.sample(rng, (many,)).reshape(-1, distribution.features)
    return units.to_network(rows).reshape(count, network.inputs)
