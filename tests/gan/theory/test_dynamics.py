"""The dynamics of small games: Jacobians against differences, the Dirac-GAN against its closed forms."""

import mpmath
import numpy as np
import pytest
from scipy import integrate

from minigan.engine.primitives import square, sum_over, tanh
from minigan.engine.tensor import Tensor
from minigan.gan.game import Game
from minigan.gan.orders import Batch, Consensus
from minigan.gan.penalties import R1, R2, WGANGP
from minigan.gan.theory.dirac import DIRAC, dirac
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


def closed(name, γ=None):
    """λ of a row in closed form, in the order of `eigenvalues`."""
    row = DIRAC[name]
    return eigenvalues(np.diag(row.eigenvalues(row.γ if γ is None else γ)))


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
@pytest.mark.parametrize("consensus", [0.0, 0.7])
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


@pytest.mark.parametrize("order", ORDERS)
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


@pytest.mark.parametrize(("matrix", "flow", "step"), [
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


# ── the Dirac-GAN
@pytest.mark.parametrize("name", DIRAC)
def test_the_field_of_each_method_is_its_closed_form(backend, name):
    """To 1e-12 at random points, and at other values of its parameter."""
    row, rng = DIRAC[name], np.random.default_rng(6)
    for γ in (row.γ, 0.3 * row.γ):
        ψ, θ = rng.uniform(-1.5, 1.5, (2, 40))
        if name == "WGAN-GP":  # the root in the penalty's norm has 1e-12 under it
            ψ = np.sign(ψ) * (1.0 + np.abs(ψ))
        expected = np.stack(np.broadcast_arrays(*row.field(ψ, θ, γ)), axis=-1)
        received = row.game(γ, backend=backend).field(np.stack([ψ, θ], axis=-1))
        np.testing.assert_allclose(received, expected, rtol=0.0, atol=1e-12)
        assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("name", [name for name, row in DIRAC.items() if row.eigenvalues])
def test_the_eigenvalues_of_each_method_are_their_closed_form(backend, name):
    row = DIRAC[name]
    for γ in (row.γ, 0.3 * row.γ, 3.0 * row.γ):  # oscillating and overdamped
        game = row.game(γ, backend=backend)
        np.testing.assert_array_equal(game.field(REST), 0.0)
        np.testing.assert_allclose(eigenvalues(game.jacobian(REST)), closed(name, γ), atol=1e-6)
    assert row.game(row.γ, backend=backend).stability(REST, 0.1).flow == row.flow


def test_closed_forms_against_symbols_worked_by_hand():
    """Independent of the code's own: λ² − tr λ + det with every entry of the Jacobian written out."""
    a = 0.5  # f′(0)
    for γ in (0.2, 1.0, 3.0):
        for name, matrix in {
            "GAN": [[0, -a], [a, 0]], "non-saturating": [[0, -a], [a, 0]], "WGAN": [[0, -1], [1, 0]],
            "R1": [[-γ, -a], [a, 0]], "R2": [[-γ, -a], [a, 0]], "R1 + R2": [[-2 * γ, -a], [a, 0]],
            "consensus": [[-γ * a * a, -a], [a, -γ * a * a]],
            "instance noise": [[-γ * γ / 2, -a], [a, 0]],
        }.items():  # fmt: skip
            np.testing.assert_allclose(closed(name, γ), eigenvalues(np.array(matrix, float)), atol=1e-7)
    γ = 0.5
    pair = -γ / 2 + np.sqrt(complex(γ * γ / 4 - a * a)), -γ / 2 - np.sqrt(complex(γ * γ / 4 - a * a))
    np.testing.assert_allclose(closed("R1", γ), pair, atol=1e-15)
    np.testing.assert_allclose(closed("consensus", γ), [-γ / 4 + 0.5j, -γ / 4 - 0.5j], atol=1e-15)


def test_instance_noise_against_integrals_of_high_precision(backend):
    def σ(t):
        return 1 / (1 + mpmath.exp(-t))

    def expected(ψ, θ, s):
        def over(f):
            density = lambda x: mpmath.exp(-x * x / (2 * s * s)) / (s * mpmath.sqrt(2 * mpmath.pi))  # noqa: E731
            return mpmath.quad(lambda x: f(x) * density(x), mpmath.linspace(-12 * s, 12 * s, 9))

        to_ψ = over(lambda x: σ(-ψ * x) * x) - over(lambda x: σ(ψ * (θ + x)) * (θ + x))
        return float(to_ψ), float(ψ * over(lambda x: σ(ψ * (θ + x))))

    for ψ, θ, s in ((0.7, -1.2, 1.0), (-1.9, 0.4, 1.0), (1.0, 2.0, 0.5)):
        game = dirac("minimax", noise=s, backend=backend)
        np.testing.assert_allclose(game.field([ψ, θ]), expected(ψ, θ, s), atol=1e-12)
    w = np.array([0.6, -0.9])
    np.testing.assert_allclose(game.jacobian(w), differences(game.field, w), atol=1e-9)


@pytest.mark.parametrize(("name", "simultaneous", "alternating"), [
    ("GAN", "diverges", "circles"), ("non-saturating", "diverges", "circles"),
    ("WGAN", "diverges", "circles"), ("R1", "converges", "converges"),
    ("R2", "converges", "converges"), ("R1 + R2", "converges", "converges"),
    ("consensus", "converges", "converges"), ("instance noise", "converges", "converges"),
    ("relativistic, R1", "converges", "converges"),
])  # fmt: skip
def test_the_verdicts_on_small_steps(backend, name, simultaneous, alternating):
    game = DIRAC[name].game(DIRAC[name].γ, backend=backend)
    for h in (0.3, 0.03):
        assert game.stability(REST, h).step == simultaneous
        assert game.stability(REST, h, "alternating").step == alternating


@pytest.mark.parametrize("h", [0.01, 0.1, 1.0])
def test_the_radii_of_the_unregularised_game(backend, h):
    """|1 ± ih/2| = √(1 + h²/4) for simultaneous steps, 1 for alternating ones, less where they look ahead."""
    game, s = dirac(backend=backend), 0.5 * h
    radius = {order: game.stability(REST, h, order).radius for order in ORDERS}
    assert radius["simultaneous"] == pytest.approx(np.hypot(1.0, s), abs=1e-14)
    assert radius["alternating"] == pytest.approx(1.0, abs=1e-14)
    assert radius["extragradient"] == pytest.approx(np.hypot(1.0 - s * s, s), abs=1e-14)
    roots = np.roots([1.0, -1.0 - 2.0j * s, 1.0j * s])
    assert radius["optimistic"] == pytest.approx(np.abs(roots).max(), abs=1e-8)  # a double root at h = 1


def test_where_the_methods_that_look_ahead_turn_over(backend):
    """Extragradient at h|λ| = 1, optimistic steps at h|λ| = 1/√3; alternating steps circle until h|λ| = 2."""
    game = dirac("wasserstein", backend=backend)
    for order, limit in (("extragradient", 1.0), ("optimistic", 1.0 / np.sqrt(3.0))):
        assert game.stability(REST, 0.999 * limit, order).step == "converges"
        assert game.stability(REST, 1.001 * limit, order).step == "diverges"
    assert game.stability(REST, 1.999, "alternating").step == "circles"
    assert game.stability(REST, 2.001, "alternating").step == "diverges"


def test_the_flow_of_the_unregularised_game_stays_on_its_circle(backend):
    """v ⟂ w everywhere, and simultaneous steps grow at every one of them, from every start."""
    game, w = dirac(backend=backend), np.random.default_rng(7).uniform(-2.0, 2.0, (30, 2))
    np.testing.assert_allclose((game.field(w) * w).sum(axis=-1), 0.0, atol=1e-15)
    radius = np.linalg.norm(game.trajectory(w, 0.2, 100), axis=-1)
    assert (np.diff(radius, axis=0) > 0).all()


def test_what_the_linearisation_does_not_see_of_the_non_saturating_game(backend):
    """v · w = −ψθ tanh(ψθ/2): the flow comes inwards, but at rest only to fourth order."""
    game, w = dirac("non_saturating", backend=backend), np.random.default_rng(7).uniform(-2.0, 2.0, (30, 2))
    t = w.prod(axis=-1)
    np.testing.assert_allclose((game.field(w) * w).sum(axis=-1), -t * np.tanh(0.5 * t), atol=1e-14)


@pytest.mark.parametrize("name", [name for name, row in DIRAC.items() if row.flow == "converges"])
def test_what_converges_arrives_at_the_rate_of_its_radius(name):
    game, h = DIRAC[name].game(DIRAC[name].γ), 0.2
    path = np.linalg.norm(game.trajectory([0.02, 0.03], h, 200, "alternating"), axis=-1)
    assert path[-1] < 0.05 * path[0]
    slope = np.polyfit(np.arange(100, 201), np.log(path[100:]), 1)[0]
    assert slope == pytest.approx(np.log(game.stability(REST, h, "alternating").radius), rel=0.1)


@pytest.mark.parametrize("γ", [0.5, 1.0])
def test_wgan_gp_ends_on_its_cycle(γ):
    """On each side of ψ = 0 the flow is a damped oscillator about θ = ±γ; joined, they leave from θ = A and
    come back at −A, A = γ coth(πγ/(4ω)), ω = √(1 − γ²/4)."""
    height = γ / np.tanh(np.pi * γ / (4.0 * np.sqrt(1.0 - γ * γ / 4.0)))
    game = dirac("wasserstein", gp=γ)
    path = game.trajectory([[0.1, 0.1], [3.0, 3.0]], 0.04, 750, "alternating")[500:]
    np.testing.assert_allclose(np.abs(path[..., 1]).max(axis=0), height, rtol=0.03)
    assert np.linalg.norm(path, axis=-1).min() > 0.3  # never near rest
    assert game.stability(REST, 0.01).flow == "diverges"


def test_clipping_bounds_the_critic_and_ends_on_the_circle_it_allows():
    game = DIRAC["WGAN, clipped"].game(0.3)
    path = game.trajectory([0.0, 1.0], 0.02, 700)
    assert np.abs(path[..., 0]).max() == 0.3
    np.testing.assert_allclose(np.linalg.norm(path[400:], axis=-1), 0.3, rtol=0.05)
    for order in ORDERS:
        assert np.abs(game.trajectory([0.0, 1.0], 0.5, 50, order)[..., 0]).max() == 0.3


def test_least_squares_without_a_bias_stops_short():
    game = dirac("least_squares")
    np.testing.assert_array_equal(game.field(np.stack([np.zeros(5), np.linspace(-2, 2, 5)], axis=-1)), 0.0)
    end = game.trajectory([1.0, 1.0], 0.05, 300)[-1]
    assert abs(end[0]) < 1e-3 and abs(end[1]) > 0.5  # D has gone flat, G stands wherever it was


def test_a_portrait_is_the_field_on_a_grid(backend):
    game, ψ, θ = dirac(backend=backend), np.linspace(-1, 1, 4), np.linspace(-2, 2, 5)
    seen = portrait(game, ψ, θ)
    assert all(part.shape == (4, 5) for part in seen)
    np.testing.assert_array_equal(seen.ψ[:, 0], ψ)
    np.testing.assert_array_equal(seen.θ[0], θ)
    np.testing.assert_array_equal([seen.v_ψ[1, 3], seen.v_θ[1, 3]], game.field([ψ[1], θ[3]]))


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


@pytest.mark.parametrize("options", GAMES.values(), ids=GAMES)
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


@pytest.mark.parametrize("options", GAMES.values(), ids=GAMES)
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


def test_the_flow_by_an_ode_solver_follows_the_eigenvalues():
    """e^(λt): a solution of the differential equation near rest shrinks by e^(−γt/2)."""
    game = DIRAC["R1"].game(0.4)
    end = integrate.solve_ivp(lambda _, w: game.field(w), (0.0, 20.0), [1e-4, 2e-4], rtol=1e-9, atol=1e-13).y[
        :, -1
    ]
    λ, vectors = np.linalg.eig(game.jacobian(REST))
    expected = (vectors * np.exp(20.0 * λ)) @ np.linalg.solve(vectors, [1e-4, 2e-4])
    np.testing.assert_allclose(end, expected.real, rtol=1e-5)
