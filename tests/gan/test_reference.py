"""Ten rounds of a small GAN beside PyTorch's: every loss, every gradient and the final weights.

The values are in tests/reference/small_gan.npz; tests/reference/README.md says how they were made.
"""

from pathlib import Path

import numpy as np
import pytest

from minigan.compiler.capture import capture
from minigan.engine.autodiff import grad
from minigan.engine.tensor import Tensor, constant
from minigan.gan.game import Game
from minigan.gan.orders import Batch
from minigan.gan.penalties import R1, R2
from minigan.nn.network import mlp
from minigan.nn.optim import Adam

PLAYERS = ("generator", "discriminator")


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parents[1] / "reference" / "small_gan.npz", allow_pickle=False) as file:
        return dict(file)


def game_of(reference, backend, γ=0.5):
    networks = []
    for player in PLAYERS:
        network = mlp((1, 8, 8, 1), rngs=np.random.default_rng(0), backend=backend, dtype="float64")
        network.parameters.load(
            {name: reference[f"initial.{player}.{name}"] for name in network.parameters.shapes}
        )
        networks.append(network)
    optimizers = [Adam(network.parameters, 1e-2, beta1=0.5, beta2=0.9, epsilon=1e-8) for network in networks]
    return Game(*networks, *optimizers, penalties=(R1(γ), R2(0.5)))


def batches_of(reference, backend):
    """One (1, 16, 1) batch per round: of real data, of D's latents, of G's."""
    for rows in zip(*(reference[name] for name in ("real", "latent_d", "latent_g")), strict=True):
        yield Batch(*(Tensor(backend.array(row[None])) for row in rows))


def assert_close(ours, its, what):
    """Relative to the largest entry of the array, within 1e-9."""
    assert np.abs(ours - its).max() <= 1e-9 * np.abs(its).max(), what


def assert_final_weights(game, reference):
    for player in PLAYERS:
        for name, array in getattr(game, player).parameters.arrays().items():
            its = reference[f"final.{player}.{name}"]
            assert_close(array, its, f"final weights {player} {name}")
            assert np.abs(its - reference[f"initial.{player}.{name}"]).max() > 1e-3  # they did move


def test_losses_gradients_and_final_weights(backend, reference):
    game = game_of(reference, backend)

    def move(k, player, loss):
        network = getattr(game, player)
        gradients = grad(loss, network.parameters)
        assert_close(
            loss.numpy().ravel(), reference[f"loss.{player}"][k : k + 1], f"loss of {player}, round {k}"
        )
        for name, g in zip(network.parameters.shapes, gradients, strict=True):
            assert_close(
                g.numpy(), reference[f"gradient.{player}.{name}"][k], f"∂/∂{player} {name}, round {k}"
            )
        getattr(game, f"{player}_optimizer").step(gradients)

    for k, (real, latent_d, latent_g, *_) in enumerate(batches_of(reference, backend)):
        move(k, "discriminator", game.discriminator_loss(real[0], constant(game.generator(latent_d[0]))))
        move(k, "generator", game.generator_loss(latent_g[0]))
    assert k == 9
    assert_final_weights(game, reference)


@pytest.mark.parametrize("captured", [False, True])
def test_rounds_of_the_game(backend, reference, captured):
    game, run = game_of(reference, backend), None
    for k, batch in enumerate(batches_of(reference, backend)):
        if run is None and captured:
            run = capture(game.round, batch, state=game.state)
            losses = run.outputs
        else:
            losses = (run or game.round)(batch)
        assert_close(losses.discriminator.item(), reference["loss.discriminator"][k], f"loss of D, round {k}")
        assert_close(losses.generator.item(), reference["loss.generator"][k], f"loss of G, round {k}")
    assert_final_weights(game, reference)


def test_the_comparison_can_fail(backend, reference):
    """One part in 10⁶ of a penalty's weight is seen in the first loss."""
    game = game_of(reference, backend, γ=0.5 * (1 + 1e-6))
    real, latent_d, *_ = next(batches_of(reference, backend))
    loss = game.discriminator_loss(real[0], constant(game.generator(latent_d[0])))
    with pytest.raises(AssertionError):
        assert_close(loss.item(), reference["loss.discriminator"][0], "loss")
