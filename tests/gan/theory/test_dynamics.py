"""The dynamics of small games: Jacobians against differences, the Dirac-GAN against its closed forms."""

import numpy as np
import pytest

from minigan.engine.primitives import square, sum_over, tanh
from minigan.engine.tensor import Tensor
from minigan.gan.game import Game
from minigan.gan.orders import Batch, Consensus
from minigan.gan.penalties import R1, R2, WGANGP
from minigan.gan.theory.dirac import dirac
from minigan.gan.theory.dynamics import (
    ORDERS,
    SmallGame,
    eigenvalues,
    of_game,
    portrait,
    regularised,
    spectral_radius,
)
from minigan.nn.network import mlp
from minigan.nn.optim import SGD

REST = np.zeros(2)


def differences(f, w, h=1e-5):
    """The Jacobian of f at w by central differences."""
    columns = [(f(w + h * e) - f(w - h * e)) / (2 * h) for e in np.eye(len(w))]
    return np.stack(columns, axis=-1)


def crooked(backend, consensus=0.0):
    """A game of 2 + 3 numbers, of no symmetry at all."""
    rng = np.random.default_rng(0)
    A, B = (rng.standard_normal(shape) for shape in ((2, 3), (5, 4)))

    def losses(ψ, θ):
        a, b = (Tensor(backend.array(x)) for x in (A, B))
        bent = tanh(ψ @ a @ b[:3, :] + 0.3 * (θ @ b[:3, :]) * (θ @ b[2:, :]))
        loss_d = sum_over(square(bent) * bent + bent, axis=(-1,)) + 0.2 * sum_over(square(ψ), axis=(-1,))
        return loss_d, sum_over(tanh(bent * bent - 0.5 * bent), axis=(-1,)) + 0.1 * sum_over(
            θ * θ * θ, axis=(-1,)
        )

    return SmallGame(regularised(losses, consensus) if consensus else losses, (2, 3), backend=backend)


# ── any small game
@pytest.mark.rows("consensus", [0.0, 0.7])
def test_the_field_and_its_jacobian_against_differences(backend, consensus):
    game, w = crooked(backend, consensus), np.random.default_rng(1).uniform(-0.8, 0.8, 5)

    def losses(w):
        _, _, *_ = game.slopes(w)
        ψ, θ = (Tensor(backend.array(part[None])) for part in (w[:2], w[2:]))
        return np.array([loss.item() for loss in crooked(backend).losses(ψ, θ)])

    slopes = differences(losses, w)
    if not consensus:
        np.testing.assert_allclose(game.field(w), -np.concatenate([slopes[0, :2], slopes[1, 2:]]), atol=1e-8)
    jacobian = game.jacobian(w)
    np.testing.assert_allclose(jacobian, differences(game.field, w), atol=1e-7)
    assert np.abs(jacobian - jacobian.T).max() > 0.1  # no potential


def test_consensus_is_the_slope_of_half_the_squared_speed(backend):
    plain, w = crooked(backend), np.random.default_rng(2).uniform(-0.8, 0.8, 5)
    pull = plain.jacobian(w).T @ plain.field(w)
    np.testing.assert_allclose(crooked(backend, 0.7).field(w), plain.field(w) - 0.7 * pull, atol=1e-12)


def test_many_points_at_once_are_each_alone(backend):
    game, w = crooked(backend, 0.5), np.random.default_rng(3).uniform(-1.0, 1.0, (3, 2, 5))
    field, jacobian = game.field(w), game.jacobian(w)
    matrix = game.step_matrix(w, 0.1, "alternating")
    assert field.shape == (3, 2, 5) and jacobian.shape == matrix.shape == (3, 2, 5, 5)
    assert game.step_matrix(w, 0.1, "optimistic").shape == (3, 2, 10, 10)
    for k in np.ndindex(3, 2):
        np.testing.assert_allclose(field[k], game.field(w[k]), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(jacobian[k], game.jacobian(w[k]), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(
            matrix[k], game.step_matrix(w[k], 0.1, "alternating"), rtol=1e-12, atol=1e-13
        )


@pytest.mark.rows("order", ORDERS)
def test_the_matrix_of_a_step_is_the_jacobian_of_the_step(backend, order):
    """Away from rest too, where the parts of a step are taken at different points."""
    game, w, h = crooked(backend), np.random.default_rng(4).uniform(-0.8, 0.8, 5), 0.2

    def step(pair):
        return np.concatenate([game.step(pair[:5], h, order, previous=pair[5:]), pair[:5]])

    expected = differences(step, np.concatenate([w, w]))
    matrix = game.step_matrix(w, h, order)
    n = len(matrix)
    np.testing.assert_allclose(matrix, expected[:n, :n], atol=1e-7)
    assert n == (10 if order == "optimistic" else 5)


def test_a_trajectory_is_its_steps(backend):
    game, w = crooked(backend), np.random.default_rng(5).uniform(-0.5, 0.5, (4, 5))
    for order in ORDERS:
        path = game.trajectory(w, 0.05, 3, order)
        assert path.shape == (4, 4, 5)
        np.testing.assert_array_equal(path[0], w)
        np.testing.assert_array_equal(path[1], game.step(w, 0.05, order))
        for t in (1, 2):
            np.testing.assert_array_equal(path[t + 1], game.step(path[t], 0.05, order, previous=path[t - 1]))
    d = game.trajectory(w, 0.05, 1, "alternating")[1]
    np.testing.assert_array_equal(d[:, :2], game.trajectory(w, 0.05, 1)[1][:, :2])  # D moves first, as ever


def test_eigenvalues_and_radius():
    matrix = np.array([[0.0, -2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.5]])
    np.testing.assert_allclose(eigenvalues(matrix), [0.5, 2.0j, -2.0j], atol=1e-15)
    assert spectral_radius(matrix) == pytest.approx(2.0)
    assert spectral_radius(np.stack([matrix, 3 * matrix])) == pytest.approx([2.0, 6.0])


def linear(matrix, backend):
    """A game of 1 + 1 numbers whose field is matrix @ w."""
    (a, b), (c, d) = np.asarray(matrix, "float64").tolist()

    def losses(ψ, θ):
        return -0.5 * a * ψ * ψ - b * ψ * θ, -c * ψ * θ - 0.5 * d * θ * θ

    return SmallGame(losses, (1, 1), backend=backend)


@pytest.mark.rows(("matrix", "flow", "step"), [
    ([[-1.0, 0.0], [0.0, -2.0]], "converges", "converges"),
    ([[-1.0, 0.0], [0.0, -21.0]], "converges", "diverges"),
    ([[-1.0, 0.0], [0.0, -20.0]], "converges", "circles"),
    ([[-2.0, 20.0], [-20.0, -2.0]], "converges", "diverges"),
    ([[1.0, 0.0], [0.0, -2.0]], "diverges", "diverges"),
    ([[0.0, 3.0], [-3.0, 0.0]], "circles", "diverges"),
    ([[0.0, 0.0], [0.0, -1.0]], "undecided", "undecided"),
    ([[0.0, 1.0], [0.0, 0.0]], "undecided", "undecided"),
])  # fmt: skip
def test_verdicts(backend, matrix, flow, step):
    game = linear(matrix, backend)
    np.testing.assert_array_equal(game.jacobian(REST), matrix)
    stability = game.stability(REST, 0.1)
    assert (stability.flow, stability.step) == (flow, step), stability.sentence
    assert f"gradient flow {flow}" in stability.sentence and "at rest" not in stability.sentence
    assert stability.growth == pytest.approx(np.linalg.eigvals(matrix).real.max(), abs=1e-12)
    assert "not at rest" in game.stability([1.0, 1.0], 0.1).sentence


def test_the_largest_rate_is_where_simultaneous_steps_turn_over(backend):
    game = linear([[-0.3, 2.0], [-1.0, -0.1]], backend)
    largest = game.stability(REST, 0.1).largest_rate
    assert game.stability(REST, 0.999 * largest).step == "converges"
    assert game.stability(REST, 1.001 * largest).step == "diverges"
    assert linear([[0.0, 1.0], [-1.0, 0.0]], backend).stability(REST, 0.1).largest_rate == 0.0


def test_refusals(backend):
    game = crooked(backend)
    with pytest.raises(ValueError, match=r"2 \+ 3 numbers in its last axis"):
        game.field(np.zeros(4))
    with pytest.raises(ValueError, match="order must be one of simultaneous, alternating"):
        game.step(np.zeros(5), 0.1, "both")
    with pytest.raises(ValueError, match="order must be one of"):
        game.step_matrix(np.zeros(5), 0.1, "both")
    with pytest.raises(ValueError, match="one number per player"):
        portrait(game, [0.0], [0.0])
    summed = SmallGame(lambda ψ, θ: (sum_over(ψ * θ, axis=(0, 1, 2)),) * 2, (1, 1), backend=backend)
    with pytest.raises(ValueError, match="one value per point"):
        summed.field(np.zeros((7, 2)))
    with pytest.raises(ValueError, match="compares pairs"):
        dirac("relativistic", noise=1.0, backend=backend)


# ── the game of two networks
def players(backend, dtype="float64", hidden=(3,), **options):
    rng = np.random.default_rng(8)
    G = mlp((2, *hidden, 1), rngs=rng, activation="silu", backend=backend, dtype=dtype)
    D = mlp(
        (options.pop("packing", 1), *hidden, 1), rngs=rng, activation="tanh", backend=backend, dtype=dtype
    )
    return Game(G, D, SGD(G.parameters, 0.1), SGD(D.parameters, 0.1), **options)


BATCH = [
    np.random.default_rng(9).standard_normal((8, 1)) + 1.0,
    np.random.default_rng(10).standard_normal((8, 2)),
]
MIX = np.random.default_rng(11).uniform(size=(8, 1))
GAMES = {
    "plain": {}, "minimax": {"objective": "minimax"}, "R1 and R2": {"penalties": (R1(0.5), R2(0.3))},
    "WGAN-GP": {"objective": "wasserstein", "penalties": (WGANGP(2.0),)},
    "relativistic": {"objective": "relativistic", "penalties": (R1(1.0),)}, "packed": {"packing": 2},
    "consensus": {"order": Consensus(0.4), "penalties": (R1(0.1),)},
    "unrolled": {"unrolled": 2, "unrolled_rate": 0.3},
}  # fmt: skip


@pytest.mark.rows("options", GAMES.values())
def test_a_game_of_networks_moves_as_the_game_itself_does(backend, options):
    """A simultaneous round of plain gradient steps is a step of the small game, whatever the loss."""
    game = players(backend, **{"order": "simultaneous"} | options)
    mix = MIX if options.get("objective") == "wasserstein" else None
    small, w = of_game(game, *BATCH, mix=mix)
    expected = small.step(w, 0.1)
    real, latent = (Tensor(backend.array(a[None])) for a in BATCH)
    game.round(Batch(real, latent, latent, None if mix is None else Tensor(backend.array(mix[None]))))
    moved = np.concatenate(
        [network.parameters.flat.numpy() for network in (game.discriminator, game.generator)]
    )
    np.testing.assert_allclose(expected, moved, rtol=0.0, atol=1e-13)
    assert np.abs(moved - w).max() > 1e-3


@pytest.mark.rows("options", GAMES.values())
def test_the_jacobian_of_a_game_of_networks_against_differences(options):
    game = players(None, **options)
    small, w = of_game(game, *BATCH, mix=MIX if options.get("objective") == "wasserstein" else None)
    jacobian = small.jacobian(w)
    assert jacobian.shape == (len(w), len(w)) == (10 + 3 * (options.get("packing", 1) - 1) + 13,) * 2
    np.testing.assert_allclose(jacobian, differences(small.field, w), atol=2e-7)
    n = small.sizes[0]
    assert np.abs(jacobian[:n, n:]).max() > 1e-3  # D's slope feels G: its samples were not cut off


def test_a_game_in_float32_is_read_in_float64(backend):
    γ = Tensor(backend.array(np.full((1, 1, 1), 0.5, "float32")))
    game = players(backend, "float32", penalties=[R1(γ)])
    small, w = of_game(game, *BATCH)
    assert w.dtype == "float64" and small.jacobian(w).dtype == "float64"
    before = game.discriminator.parameters.flat.numpy().copy()
    small.trajectory(w, 0.1, 2, "alternating")
    np.testing.assert_array_equal(
        game.discriminator.parameters.flat.numpy(), before
    )  # the game itself stands still


def test_many_points_of_a_game_of_networks_at_once(backend):
    small, w = of_game(players(backend, penalties=(R1(0.5), R2(0.5))), *BATCH)
    near = w + 0.1 * np.random.default_rng(12).standard_normal((3, len(w)))
    for k in range(3):
        np.testing.assert_allclose(small.field(near)[k], small.field(near[k]), atol=1e-13)
        np.testing.assert_allclose(small.jacobian(near)[k], small.jacobian(near[k]), atol=1e-12)


def test_the_clip_of_a_game_is_kept(backend):
    small, w = of_game(players(backend, objective="wasserstein", clip=0.05), *BATCH)
    n = small.sizes[0]
    moved = small.step(w, 0.1)
    assert np.abs(moved[:n]).max() == 0.05 and np.abs(moved[n:]).max() > 0.05


def test_replicas_are_refused(backend):
    rngs = [np.random.default_rng(k) for k in (0, 1)]
    G, D = (mlp((1, 2, 1), rngs=rngs, backend=backend, dtype="float64") for _ in range(2))
    game = Game(G, D, SGD(G.parameters, 0.1), SGD(D.parameters, 0.1))
    with pytest.raises(ValueError, match="replicas"):
        of_game(game, *BATCH)


def test_a_linear_gan_on_samples_is_the_dirac_gan_of_their_means(backend):
    """G(z) = θ + w z and D(x) = ψ x + b: at rest the Jacobian is known from the moments of the batch."""
    G, D = (mlp((1, 1), rngs=np.random.default_rng(k), backend=backend, dtype="float64") for k in (0, 1))
    x = np.array([[-1.0], [0.5], [0.5], [2.0]])
    game = Game(G, D, SGD(G.parameters, 0.1), SGD(D.parameters, 0.1), objective="minimax")
    small, _ = of_game(game, x, x)
    J = small.jacobian(np.array([0.0, 0.0, 1.0, 0.0]))  # ψ, b, w, θ: p = q and D = ½
    second = (x**2).mean()
    np.testing.assert_allclose(J[:2, :2], -0.5 * np.array([[second, x.mean()], [x.mean(), 1.0]]), atol=1e-14)
    np.testing.assert_allclose(J[0, 2:], [-0.5 * x.mean(), -0.5], atol=1e-14)
    np.testing.assert_allclose(J[2:, 0], [0.5 * x.mean(), 0.5], atol=1e-14)
    np.testing.assert_allclose(J[2:, 2:], 0.0, atol=1e-14)
