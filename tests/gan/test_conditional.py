"""The conditional game: what its networks compute, second derivatives, captured and in replicas, refusals."""

import numpy as np
import pytest

from minigan import backend as backends
from minigan.compiler.capture import capture
from minigan.compiler.planner import EXACT
from minigan.engine.autodiff import grad
from minigan.engine.tensor import constant
from minigan.gan.game import Game
from minigan.gan.orders import Batch
from minigan.gan.penalties import R1, R2, WGANGP, ZeroGP
from minigan.nn.layers import CONDITIONINGS, Concatenation, Projection
from minigan.nn.network import mlp
from minigan.nn.optim import Adam
from minigan.nn.schedules import Average
from tests.conftest import BOTH, METHODS
from tests.gan.test_game import assert_same_bits, snapshot

BATCH, LATENT, FEATURES, CLASSES = 8, 2, 2, 3


def game_of(conditioning, backend, dtype="float64", rngs=None, packing=1, **options):
    rngs = rngs or (np.random.default_rng(1), np.random.default_rng(2))
    made = {"backend": backend, "dtype": dtype}
    G = mlp((LATENT, 6, FEATURES), rngs=rngs[0], classes=CLASSES, **made)
    D = mlp(
        (packing * FEATURES, 6, 5, 1),
        rngs=rngs[1],
        classes=packing * CLASSES,
        conditioning=conditioning,
        **made,
    )
    players = [Adam(network.parameters, 0.02, beta1=0.5, beta2=0.9) for network in (G, D)]
    return Game(G, D, *players, **{"penalties": BOTH, "average": Average(G.parameters)} | options)


def arrays(rounds, game, replicas=(), seed=3, dtype="float64"):
    """real, latent_d, latent_g, mix and label of each round."""
    rng, shape = np.random.default_rng(seed), (*replicas, BATCH)
    k_d, k_g = game.discriminator_steps, game.generator_steps
    for _ in range(rounds):
        label = np.eye(CLASSES)[rng.integers(CLASSES, size=(k_d, *shape))]
        real = rng.standard_normal((k_d, *shape, FEATURES)) + label[..., :FEATURES]
        latents = [rng.standard_normal((k, *shape, LATENT)) for k in (k_d, k_g)]
        mix = rng.random((k_d, *replicas, BATCH // game.packing, 1))
        yield [a.astype(dtype) for a in (real, *latents, mix, label)]


def play(game, real, latent_d, latent_g, mix, label):
    return game.round(Batch(real, latent_d, latent_g, mix, label=label))


def test_what_the_layers_compute_and_how_they_start():
    k, x = np.eye(CLASSES)[[0, 2, 1]], np.random.default_rng(0).standard_normal((3, 2))
    for conditioning in CONDITIONINGS:
        D = mlp(
            (2, 4, 1), rngs=np.random.default_rng(1), classes=3, conditioning=conditioning, dtype="float64"
        )
        p, rng = D.parameters.arrays(), np.random.default_rng(5)
        D.parameters.load({name: rng.standard_normal(array.shape) for name, array in p.items()})
        p = D.parameters.arrays()
        found = D(constant(x), constant(k)).numpy()
        if conditioning == "concatenation":
            wide = np.concatenate([x, k], axis=1) @ np.concatenate([p["0.W"], p["0.V"]]) + p["0.b"]
            expected = np.tanh(wide) @ p["1.W"] + p["1.b"]
        else:
            h = np.tanh(x @ p["0.W"] + p["0.b"])
            expected = h @ p["1.W"] + p["1.b"] + (p["1.V"][[0, 2, 1]] * h).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    # as a plain network of inputs and classes side by side starts
    wide, two = (mlp((n, 4, 1), rngs=np.random.default_rng(1), classes=c) for n, c in ((5, 0), (2, 3)))
    wide, two = wide.parameters.arrays(), two.parameters.arrays()
    np.testing.assert_array_equal(wide["0.W"], np.concatenate([two["0.W"], two["0.V"]]))
    np.testing.assert_array_equal(wide["1.W"], two["1.W"])


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_second_derivatives_are_those_of_differences(conditioning):
    """Of D's loss with penalties on its slope in x, and not in the class, by the parameters of D and of G."""
    for penalties, packing, unrolled in (((R1(0.5), R2(0.3)), 1, 0), ((WGANGP(2.0), ZeroGP(0.5)), 2, 1)):
        game = game_of(
            conditioning, backends.numpy_backend, packing=packing, penalties=penalties, unrolled=unrolled
        )
        real, z, _, mix, k = (constant(a[0]) for a in next(arrays(1, game)))

        def losses(game=game, real=real, z=z, mix=mix, k=k):
            fake = game.make(z, label=k)
            return game.discriminator_loss(real, fake, mix, label=k) + game.generator_loss(
                z, real, mix=mix, label=k
            )

        rng = np.random.default_rng(7)
        for network in (game.discriminator, game.generator):
            direction, flat = rng.standard_normal(network.parameters.count), network.parameters.flat.numpy()
            slopes = grad(losses(), network.parameters)
            slope = np.concatenate([g.numpy().ravel() for g in slopes]) @ direction
            ends = []
            for s in (1e-5, -1e-5):
                network.parameters.update(constant(flat + s * direction))
                ends.append(losses().item())
            network.parameters.update(constant(flat))
            assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=2e-6)
            assert abs(slope) > 1e-3


def test_no_penalty_asks_for_the_slope_in_the_class():
    """A linear D(x, k) = w·x + v·k has slope w: R1 is ½ w² whatever v is."""
    game = game_of("concatenation", backends.numpy_backend)
    G = game.generator
    D = mlp((FEATURES, 1), rngs=np.random.default_rng(0), classes=CLASSES, dtype="float64")
    D.parameters.load(
        {"0.W": np.array([[3.0], [4.0]]), "0.V": np.full((3, 1), 100.0), "0.b": np.zeros((1, 1))}
    )
    real, z, _, _, k = (constant(a[0]) for a in next(arrays(1, game)))
    with_r1, without = (
        Game(G, D, Adam(G.parameters, 0.1), Adam(D.parameters, 0.1), objective="wasserstein", penalties=p)
        for p in ((R1(1.0),), ())
    )
    fake = with_r1.make(z, label=k)
    loss, plain = (g.discriminator_loss(real, fake, label=k).item() for g in (with_r1, without))
    assert loss - plain == pytest.approx(12.5)


@pytest.mark.parametrize(("conditioning", "name"), [
    ("concatenation", "WGAN-GP"), ("projection", "relativistic"), ("concatenation", "extragradient"),
    ("projection", "packs of 4 with WGAN-GP"), ("projection", "unrolled with zero-GP"),
    ("concatenation", "several steps"), ("projection", "all at once"), ("concatenation", "all at once"),
])  # fmt: skip
def test_captured_it_has_the_bits_of_eager_rounds(conditioning, name):
    method = METHODS[name]
    eager, captured = (game_of(conditioning, backends.numpy_backend, **method) for _ in range(2))
    first, *rest = list(arrays(3, eager))
    program = capture(
        lambda *batch: play(captured, *batch), *map(constant, first), state=captured.state, passes=EXACT
    )
    for batch in rest:
        program(*map(constant, batch))
    for batch in (first, *rest):
        play(eager, *map(constant, batch))
    assert_same_bits(snapshot(eager), snapshot(captured))


def test_every_execution_computes_the_game():
    ways = (("projection", "numpy", "native"), ("concatenation", "strict", "launches"))
    for conditioning, device, execution in ways:
        backend, found = backends.get(device), []
        games = [game_of(conditioning, on, "float32") for on in (backends.numpy_backend, backend)]
        for game, how in zip(games, ("planned", execution), strict=True):
            lift = game.generator.parameters.backend.array
            first, *rest = ([constant(lift(a)) for a in b] for b in arrays(3, game, dtype="float32"))
            program = capture(
                lambda *batch, game=game: play(game, *batch), *first, state=game.state, execution=how
            )
            assert program.execution == how
            for batch in rest:
                program(*batch)
            found.append(snapshot(game))
        for name, array in found[0].items():
            np.testing.assert_allclose(found[1][name], array, rtol=2e-3, atol=2e-5, err_msg=name)


def test_replicas_are_games_of_their_own():
    for conditioning in CONDITIONINGS:
        seeds = ((1, 2), (3, 4))
        rngs = [[np.random.default_rng(pair[k]) for pair in seeds] for k in (0, 1)]
        together = game_of(conditioning, backends.numpy_backend, rngs=rngs)
        alone = [
            game_of(conditioning, backends.numpy_backend, rngs=[np.random.default_rng(s) for s in pair])
            for pair in seeds
        ]
        for batch in arrays(2, together, replicas=(2,)):
            play(together, *map(constant, batch))
            for r, game in enumerate(alone):
                play(game, *(constant(np.ascontiguousarray(a[:, r])) for a in batch))
        for name, array in snapshot(together).items():
            for r, game in enumerate(alone):
                np.testing.assert_array_equal(array[r], snapshot(game)[name].reshape(array[r].shape))


def test_refusals():
    numpy = backends.numpy_backend
    game, rng = game_of("projection", numpy), np.random.default_rng(0)
    real, z, _, _, label = next(arrays(1, game))
    plain = [mlp(sizes, rngs=rng, dtype="float64") for sizes in ((LATENT, FEATURES), (FEATURES, 1))]
    unlabelled = Game(*plain, *(Adam(network.parameters, 0.1) for network in plain))
    for call, says in (
        (lambda: game.round(Batch(real, z, z)), "of 3 classes; received no label"),
        (lambda: unlabelled.round(Batch(real, z, z, label=label)), "told of no classes; received a label"),
        (lambda: game.round(Batch(real, z, z, label=label[..., :2])), "in 3 columns"),
        (lambda: game.round(Batch(real, z[:, :4], z, label=label)), "as many rows as are real"),
        (lambda: game.generator(constant(z[0])), "a row of 3 numbers"),
        (lambda: plain[0](constant(z[0]), constant(label[0])), "takes none"),
        (lambda: Projection(3, 2, classes=2), "with one output"),
        (lambda: Concatenation(3, 2, classes=0), "the number of classes"),
        (lambda: mlp((2, 1), rngs=rng, classes=2, conditioning="batch_norm"), "concatenation"),
    ):
        with pytest.raises((ValueError, TypeError), match=says):
            call()
    with pytest.raises(ValueError, match="G is told 3 classes and D 0"):
        G, D = game.generator, plain[1]
        Game(G, D, Adam(G.parameters, 0.1), Adam(D.parameters, 0.1))
