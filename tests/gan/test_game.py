"""The game: beside loops by hand and closed-form fields; captured, in replicas, on each backend; refusals."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from scipy import integrate, special, stats

from minigan import backend as backends
from minigan.compiler.capture import capture
from minigan.compiler.planner import EXACT, PASSES
from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean, softplus, square, sum_over
from minigan.engine.tensor import Tensor, constant, variable
from minigan.gan.game import Game, best_response
from minigan.gan.objectives import OBJECTIVES
from minigan.gan.orders import Batch, Consensus, Losses
from minigan.gan.penalties import PENALTIES, R1, R2, WGANGP, ZeroGP
from minigan.gan.theory.diagnostics import optimal_discriminator, value_at_optimum, value_function
from minigan.nn.layers import Dense, activation, identity
from minigan.nn.network import Network, mlp
from minigan.nn.optim import SGD, Adam
from minigan.nn.parameters import Parameters
from minigan.nn.schedules import Average
from minigan.probability.distributions import Normal
from minigan.probability.information import js_quadrature

BATCH, LATENT = 8, 2
BOTH = R1(0.5), R2(0.25)


def players(backend, dtype="float64", seeds=(1, 2), replicas=None, packing=1):
    """G and D. replicas: a list of pairs of seeds, one per replica."""
    pairs = replicas or [seeds]
    rngs = [[np.random.default_rng(pair[k]) for pair in pairs] for k in (0, 1)]
    G, D = (
        mlp(sizes, rngs=rng if replicas else rng[0], backend=backend, dtype=dtype)
        for sizes, rng in zip(((LATENT, 6, 1), (packing, 6, 5, 1)), rngs, strict=True)
    )
    return G, D


def adam_game(backend, dtype="float64", seeds=(1, 2), replicas=None, packing=1, **options):
    G, D = players(backend, dtype, seeds, replicas, packing)
    optimizers = (
        Adam(G.parameters, 0.02, beta1=0.5, beta2=0.9),
        Adam(D.parameters, 0.03, beta1=0.5, beta2=0.9),
    )
    return Game(G, D, *optimizers, **{"penalties": BOTH, "average": Average(G.parameters)} | options)


def host_batches(rounds, dtype="float64", replicas=(), steps=(1, 1), seed=3):
    """real (k_D, …, B, 1), latent_d (k_D, …, B, n), latent_g (k_G, …, B, n), per round."""
    rng = np.random.default_rng(seed)
    k_d, k_g = steps
    shapes = ((k_d, *replicas, BATCH, 1), (k_d, *replicas, BATCH, LATENT), (k_g, *replicas, BATCH, LATENT))
    for _ in range(rounds):
        real, *latents = (rng.standard_normal(shape) for shape in shapes)
        yield [a.astype(dtype) for a in (1.0 + 0.5 * real, *latents)]


def on(backend, arrays):
    return [None if a is None else Tensor(backend.array(a)) for a in arrays]


def batch_of(backend, arrays):
    return Batch(*on(backend, arrays))


def snapshot(game):
    return {name: tensor.numpy() for name, tensor in game.state.items()}


def assert_same_bits(ours, its):
    assert ours.keys() == its.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], its[name], err_msg=name)


# ── beside loops by hand; all objectives and methods are in test_game_autograd.py ────────────────────
BY_HAND = ("minimax", "non_saturating")


def loss_of_d_by_hand(D, x, fake, r1, r2):
    x, fake = variable(x.array), variable(fake.array)
    a, b = D(x), D(fake)
    slope_real, slope_fake = grad(a, [x], create_graph=True)[0], grad(b, [fake], create_graph=True)[0]
    return (
        mean(softplus(-a))
        + mean(softplus(b))
        + 0.5 * r1 * mean(sum_over(square(slope_real), axis=(-1,)))
        + 0.5 * r2 * mean(sum_over(square(slope_fake), axis=(-1,)))
    )


def loss_of_g_by_hand(G, D, z, objective):
    b = D(G(z))
    return mean(softplus(-b)) if objective == "non_saturating" else -mean(softplus(b))


def descend(network, gradients, rate):
    flat = network.parameters.flat.numpy() - rate * np.concatenate([g.numpy().ravel() for g in gradients])
    network.parameters.update(Tensor(network.parameters.backend.array(flat)))


def sgd_game(backend, **options):
    G, D = players(backend)
    return Game(G, D, SGD(G.parameters, 0.2), SGD(D.parameters, 0.3), **options)


def assert_equal_to_hand(game, G, D, losses, by_hand):
    np.testing.assert_allclose([losses.discriminator.item(), losses.generator.item()], by_hand, rtol=1e-12)
    for ours, its in ((game.generator, G), (game.discriminator, D)):
        np.testing.assert_allclose(
            ours.parameters.flat.numpy(), its.parameters.flat.numpy(), rtol=1e-12, atol=1e-13
        )


@pytest.mark.parametrize(  # each two of them together once
    ("objective", "steps", "r1", "r2"),
    [
        (BY_HAND[(k + n) % 2], steps, r1, r2)
        for n, (r1, r2) in enumerate([(0.0, 0.0), (0.7, 0.0), (0.7, 0.3)])
        for k, steps in enumerate([(1, 1), (3, 1), (1, 2), (3, 2)])
    ],
)
def test_alternating_rounds(backend, objective, steps, r1, r2):
    game = sgd_game(
        backend,
        objective=objective,
        penalties=(R1(r1), R2(r2)),
        discriminator_steps=steps[0],
        generator_steps=steps[1],
    )
    G, D = players(backend)
    for arrays in host_batches(3, steps=steps):
        real, latent_d, latent_g = on(backend, arrays)
        losses = game.round(Batch(real, latent_d, latent_g))
        for k in range(steps[0]):
            loss_d = loss_of_d_by_hand(D, real[k], G(latent_d[k]), r1, r2)
            descend(D, grad(loss_d, D.parameters), 0.3)
        for k in range(steps[1]):
            loss_g = loss_of_g_by_hand(G, D, latent_g[k], objective)
            descend(G, grad(loss_g, G.parameters), 0.2)
        assert_equal_to_hand(game, G, D, losses, [loss_d.item(), loss_g.item()])


@pytest.mark.rows("objective", BY_HAND)
def test_simultaneous_rounds(backend, objective):
    game = sgd_game(backend, objective=objective, penalties=(R1(0.7), R2(0.3)), order="simultaneous")
    G, D = players(backend)
    for arrays in host_batches(3):
        real, latent_d, latent_g = on(backend, arrays)
        losses = game.round(Batch(real, latent_d, latent_g))
        loss_d = loss_of_d_by_hand(D, real[0], G(latent_d[0]), 0.7, 0.3)
        loss_g = loss_of_g_by_hand(G, D, latent_g[0], objective)
        gradients_d, gradients_g = grad(loss_d, D.parameters), grad(loss_g, G.parameters)
        descend(D, gradients_d, 0.3)
        descend(G, gradients_g, 0.2)
        assert_equal_to_hand(game, G, D, losses, [loss_d.item(), loss_g.item()])


def test_the_orders_differ_in_which_d_the_generator_sees(backend):
    first = {order: sgd_game(backend, order=order) for order in ("alternating", "simultaneous")}
    batch = batch_of(backend, next(host_batches(1)))
    losses = {order: game.round(batch) for order, game in first.items()}
    a, b = first.values()
    np.testing.assert_array_equal(
        a.discriminator.parameters.flat.numpy(), b.discriminator.parameters.flat.numpy()
    )
    one_by_one, at_once = losses["alternating"], losses["simultaneous"]
    assert one_by_one.discriminator.item() == at_once.discriminator.item()
    assert one_by_one.generator.item() != at_once.generator.item()  # D has just moved
    assert not np.array_equal(a.generator.parameters.flat.numpy(), b.generator.parameters.flat.numpy())


def test_the_objectives_share_ds_gradient_and_not_gs(backend):
    real, latent_d, latent_g = on(backend, next(host_batches(1)))
    gradients = {}
    for name in BY_HAND:
        game = sgd_game(backend, objective=name, penalties=[R1(0.5)])
        loss_d = game.discriminator_loss(real[0], constant(game.generator(latent_d[0])))
        loss_g = game.generator_loss(latent_g[0])
        gradients[name] = [
            np.concatenate([g.numpy().ravel() for g in grad(loss, network.parameters)])
            for loss, network in ((loss_d, game.discriminator), (loss_g, game.generator))
        ]
    (d_minimax, g_minimax), (d_strong, g_strong) = gradients["minimax"], gradients["non_saturating"]
    np.testing.assert_array_equal(d_minimax, d_strong)
    assert np.abs(g_minimax - g_strong).max() > 1e-3 * np.abs(g_strong).max()


def test_the_players_own_their_losses(backend):
    """D's loss has no gradient for G, and a round's results hold no history."""
    game = adam_game(backend)
    real, latent_d, latent_g = on(backend, next(host_batches(1)))
    loss_d = game.discriminator_loss(real[0], constant(game.generator(latent_d[0])))
    with pytest.raises(ValueError, match="not computed from"):
        grad(loss_d, game.generator.parameters)
    losses = game.round(Batch(real, latent_d, latent_g))
    assert isinstance(losses, Losses) and losses.discriminator.call is None and losses.generator.call is None
    assert losses.discriminator.shape == losses.generator.shape == (1, 1)


def test_an_objective_of_ones_own(backend):
    game = sgd_game(backend, objective=OBJECTIVES["minimax"])
    same = sgd_game(backend, objective="minimax")
    for arrays in host_batches(2):
        game.round(batch_of(backend, arrays))
        same.round(batch_of(backend, arrays))
    assert_same_bits(snapshot(game), snapshot(same))


# ── what D learns ─────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_d_improves_while_g_is_frozen(backend, objective):
    game = adam_game(backend, objective=objective, penalties=())
    real, latent, _ = on(backend, next(host_batches(1)))
    fake = constant(game.generator(latent[0]))
    before, losses = game.generator.parameters.flat.numpy(), []
    for _ in range(40):
        loss = game.discriminator_loss(real[0], fake)
        game.discriminator_optimizer.step(grad(loss, game.discriminator.parameters))
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.15 * abs(losses[0]) and losses[-1] < min(losses[:20])
    np.testing.assert_array_equal(game.generator.parameters.flat.numpy(), before)


def test_d_learns_the_log_ratio_and_its_loss_the_divergence():
    """p = N(0, 1), q = N(1, 1): D* = σ(½ − x), a linear D can be D*; its loss becomes ln 4 − 2 JS."""
    backend = backends.numpy_backend
    D = mlp((1, 1), rngs=np.random.default_rng(4), dtype="float64")
    G = Network([Dense(1, 1)], Parameters({"0.W": (1, 1), "0.b": (1, 1)}, backend, "float64"))
    G.parameters.load({"0.W": np.ones((1, 1)), "0.b": np.ones((1, 1))})
    quantiles = special.ndtri((np.arange(2000) + 0.5) / 2000)[:, None]  # a batch without chance
    real, latent = on(backend, (quantiles, quantiles))
    optimizer = Adam(D.parameters, 0.05)
    game = Game(G, D, SGD(G.parameters, 0.1), optimizer)

    def step(real, latent):
        loss = game.discriminator_loss(real, constant(G(latent)))
        optimizer.step(grad(loss, D.parameters))
        return loss

    program = capture(step, real, latent, state=game.state)
    for _ in range(600):
        program(real, latent)
    np.testing.assert_allclose(D.parameters.flat.numpy(), [-1.0, 0.5], atol=2e-3)
    p, q = stats.norm(0, 1).pdf, stats.norm(1, 1).pdf
    js = (
        0.5
        * integrate.quad(
            lambda x: p(x) * np.log(2 * p(x) / (p(x) + q(x))) + q(x) * np.log(2 * q(x) / (p(x) + q(x))),
            -12,
            13,
        )[0]
    )
    assert program.outputs.item() == pytest.approx(math.log(4.0) - 2.0 * js, abs=1e-4)


# ── the Dirac-GAN ─────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Point:
    """G(z) = θ, whatever z."""

    n: int = 1
    m: int = 1
    activation = staticmethod(identity)

    def shapes(self):
        return {"θ": (1, 1)}

    def __call__(self, p, z):
        return p["θ"] + 0.0 * z


@dataclass(frozen=True)
class Slope:
    """D(x) = ψ x."""

    n: int = 1
    m: int = 1
    activation = staticmethod(identity)

    def shapes(self):
        return {"ψ": (1, 1)}

    def __call__(self, p, x):
        return x @ p["ψ"]


class Dirac:
    """Data at 0, one generated point θ, D(x) = ψ x: the smallest game in which plain descent circles."""

    def __init__(self, backend, **options):
        self.backend = backend
        G = Network([Point()], Parameters({"0.θ": (1, 1)}, backend, "float64"))
        D = Network([Slope()], Parameters({"0.ψ": (1, 1)}, backend, "float64"))
        options = {"order": "simultaneous"} | options
        self.game = Game(G, D, SGD(G.parameters, 0.1), SGD(D.parameters, 0.1), **options)
        self.real, self.latent = on(
            backend, (np.zeros((1, 4, 1)), np.random.default_rng(5).standard_normal((1, 4, 1)))
        )

    def place(self, θ, ψ):
        for network, value in ((self.game.generator, θ), (self.game.discriminator, ψ)):
            network.parameters.update(Tensor(self.backend.array(np.array([value]))))

    def round(self):
        self.game.round(Batch(self.real, self.latent, self.latent))

    def where(self):
        return np.array([n.parameters.flat.item() for n in (self.game.generator, self.game.discriminator)])

    def field(self, θ, ψ):
        """(dθ/dt, dψ/dt) of gradient flow, by the engine."""
        self.place(θ, ψ)
        G, D = self.game.generator, self.game.discriminator
        (of_g,) = grad(self.game.generator_loss(self.latent[0]), G.parameters)
        (of_d,) = grad(self.game.discriminator_loss(self.real[0], constant(G(self.latent[0]))), D.parameters)
        return -np.array([of_g.item(), of_d.item()])


def closed_form(objective, γ, θ, ψ):
    """Mescheder, Geiger, Nowozin 2018, section 2 and 4.1, with f(t) = −ln(1 + e⁻ᵗ), f′(t) = σ(−t).

    Their D is large on generated data, ours on real data: their ψ is our −ψ, here written back.
    """

    def f_prime(t):
        return special.expit(-t)

    ψ = -ψ
    v_θ = -f_prime(θ * ψ) * ψ if objective == "minimax" else -f_prime(-θ * ψ) * ψ
    v_ψ = f_prime(θ * ψ) * θ - γ * ψ
    return np.array([v_θ, -v_ψ])


VARIANTS = [
    ("minimax", 0.0, 0.0), ("non_saturating", 0.0, 0.0), ("minimax", 0.7, 0.0),
    ("non_saturating", 0.7, 0.0), ("non_saturating", 0.0, 0.7), ("non_saturating", 0.3, 0.4),
]  # fmt: skip


@pytest.mark.rows(("objective", "r1", "r2"), VARIANTS)
def test_the_vector_field_of_the_dirac_gan(backend, objective, r1, r2):
    dirac = Dirac(backend, objective=objective, penalties=(R1(r1), R2(r2)))
    for θ in (-3.0, -0.4, 0.0, 1.0, 2.5):
        for ψ in (-2.0, -0.1, 0.0, 0.8, 4.0):
            expected = closed_form(objective, r1 + r2, θ, ψ)
            np.testing.assert_allclose(dirac.field(θ, ψ), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.rows(("objective", "r1", "r2"), VARIANTS)
def test_a_simultaneous_round_is_one_euler_step_of_that_field(backend, objective, r1, r2):
    dirac = Dirac(backend, objective=objective, penalties=(R1(r1), R2(r2)))
    dirac.place(1.0, 0.5)
    at = np.array([1.0, 0.5])
    for _ in range(5):
        dirac.round()
        at = at + 0.1 * closed_form(objective, r1 + r2, *at)
        np.testing.assert_allclose(dirac.where(), at, rtol=1e-12, atol=1e-12)


@pytest.mark.rows(("objective", "r1", "r2"), VARIANTS)
def test_its_eigenvalues_at_the_equilibrium(backend, objective, r1, r2):
    """λ = −γ/2 ± √(γ²/4 − ¼): imaginary without a penalty, so the game circles; attracted with one."""
    dirac, h, γ = Dirac(backend, objective=objective, penalties=(R1(r1), R2(r2))), 1e-5, r1 + r2
    columns = [(dirac.field(*(h * e)) - dirac.field(*(-h * e))) / (2 * h) for e in np.eye(2)]
    eigenvalues = np.linalg.eigvals(np.array(columns).T)
    root = np.sqrt(complex(γ**2 / 4 - 0.25))
    np.testing.assert_allclose(
        sorted(eigenvalues, key=lambda λ: λ.imag),
        sorted([-γ / 2 + root, -γ / 2 - root], key=lambda λ: λ.imag),
        atol=1e-9,
    )


@pytest.mark.rows("r1", [0.0, 1.0])
def test_only_the_penalised_game_comes_to_rest(backend, r1):
    """The flow of the zero-sum game keeps θ² + ψ²; Euler's steps add to it, unless R1 takes more away."""
    dirac, radii = Dirac(backend, objective="minimax", penalties=[R1(r1)]), []
    dirac.place(1.0, 0.5)
    for _ in range(200):
        radii.append(np.linalg.norm(dirac.where()))
        dirac.round()
    assert (np.diff(radii) > 0.0).all() if r1 == 0.0 else radii[-1] < 1e-2


ROTATION = np.array([[0.0, 1.0], [-1.0, 0.0]])  # Wasserstein's field of (θ, ψ): (ψ, −θ)


def test_wasserstein_is_a_rotation(backend):
    dirac = Dirac(backend, objective="wasserstein")
    for at in ((1.0, 0.5), (-2.0, 0.3), (0.0, 0.0)):
        np.testing.assert_allclose(dirac.field(*at), ROTATION @ at, rtol=1e-14, atol=1e-15)


def test_the_extragradient_map_of_a_bilinear_game(backend):
    """w + hA(w + hAw) = (1 + hA + h²A²) w: of the rotation A = J, ((1 − h²) + hJ) w, which shrinks |w|."""
    dirac, h = Dirac(backend, objective="wasserstein", order="extragradient"), 0.1
    at, step = np.array([1.0, 0.5]), (1.0 - h**2) * np.eye(2) + h * ROTATION
    dirac.place(*at)
    for _ in range(20):
        dirac.round()
        at = step @ at
        np.testing.assert_allclose(dirac.where(), at, rtol=1e-12)
    shrinks = np.sqrt((1.0 - h**2) ** 2 + h**2)
    assert shrinks < 1.0 and np.linalg.norm(at) == pytest.approx(shrinks**20 * np.linalg.norm([1.0, 0.5]))


@pytest.mark.rows("γ", [0.25, 1.0])
def test_consensus_in_a_bilinear_game(backend, γ):
    """½|v|² = ½(θ² + ψ²), so both are pulled to 0 at γ: the field is (ψ, −θ) − γ (θ, ψ)."""
    dirac, h = Dirac(backend, objective="wasserstein", order=Consensus(γ)), 0.1
    at = np.array([1.0, 0.5])
    dirac.place(*at)
    for _ in range(20):
        dirac.round()
        at = at + h * (ROTATION @ at - γ * at)
        np.testing.assert_allclose(dirac.where(), at, rtol=1e-12)
    assert np.linalg.norm(at) < np.linalg.norm([1.0, 0.5])


@pytest.mark.rows("steps", [1, 3])
def test_unrolling_in_a_bilinear_game(backend, steps):
    """D after K steps of η is ψ − Kηθ, so G minimises −θ (ψ − Kηθ), whose slope is −ψ + 2Kηθ."""
    dirac, η = Dirac(backend, objective="wasserstein", unrolled=steps, unrolled_rate=0.3), 0.3
    dirac.place(1.0, 0.5)
    dirac.round()
    expected = [1.0 - 0.1 * (-0.5 + 2 * steps * η * 1.0), 0.5 - 0.1 * 1.0]
    np.testing.assert_allclose(dirac.where(), expected, rtol=1e-12)


def test_clipping_keeps_ds_parameters_in_their_bounds(backend):
    game = adam_game(backend, objective="wasserstein", clip=0.11, discriminator_steps=2)
    for arrays in host_batches(4, steps=(2, 1)):
        game.round(batch_of(backend, arrays))
        φ, θ = (game.state[name].numpy() for name in ("discriminator", "generator"))
        assert np.abs(φ).max() <= 0.11 and (np.abs(φ) == 0.11).any()
        assert np.abs(θ).max() > 0.11


# ── what the players see ──────────────────────────────────────────────────────────────────────────
def test_packs_are_neighbours_in_the_batch(backend):
    """D(x₂ᵢ, x₂ᵢ₊₁): of a linear D, so its logits show what it saw."""
    G, _ = players(backend)
    D = mlp((2, 1), rngs=np.random.default_rng(0), backend=backend, dtype="float64")
    D.parameters.load({"0.W": np.array([[1.0], [10.0]]), "0.b": np.zeros((1, 1))})
    game = Game(G, D, SGD(G.parameters, 0.1), SGD(D.parameters, 0.1), objective="wasserstein")
    assert game.packing == 2
    x, made = np.arange(8.0)[:, None], np.random.default_rng(1).standard_normal((8, 1))
    a, b = x[0::2] + 10.0 * x[1::2], made[0::2] + 10.0 * made[1::2]
    loss = game.discriminator_loss(*on(backend, (x, made)))
    assert loss.item() == pytest.approx(b.mean() - a.mean(), rel=1e-13)


def test_packs_of_several_features(backend):
    """m samples of p features become one row of m·p: the first sample's features first."""
    G = mlp((LATENT, 4, 3), rngs=np.random.default_rng(0), backend=backend, dtype="float64")
    D = mlp((6, 1), rngs=np.random.default_rng(0), backend=backend, dtype="float64")
    game = Game(G, D, SGD(G.parameters, 0.1), SGD(D.parameters, 0.1))
    x = np.random.default_rng(1).standard_normal((2, 4, 3))
    packed = game._packed(Tensor(backend.array(x))).numpy()
    assert packed.shape == (2, 2, 6)
    np.testing.assert_array_equal(packed[1, 1], np.concatenate([x[1, 2], x[1, 3]]))


def test_noise_is_added_where_it_is_named(backend):
    """To real data, to what D and to what G learn from: as if data and G had made it so."""
    real, latent_d, latent_g = next(host_batches(1))
    noise_x, noise_d, noise_g = np.random.default_rng(6).standard_normal((3, 1, BATCH, 1))
    noises = dict(zip(("noise_x", "noise_d", "noise_g"), (noise_x, noise_d, noise_g), strict=True))
    game, bare = (sgd_game(backend, order="simultaneous") for _ in range(2))
    made = [bare.generator(Tensor(backend.array(z))).numpy() for z in (latent_d, latent_g)]
    noises = {name: Tensor(backend.array(a)) for name, a in noises.items()}
    losses = game.round(Batch(*on(backend, (real, latent_d, latent_g)), **noises))
    loss_d = bare.discriminator_loss(*on(backend, (real[0] + noise_x[0], made[0][0] + noise_d[0])))
    b = bare.discriminator(Tensor(backend.array(made[1][0] + noise_g[0]))).numpy()
    assert losses.discriminator.item() == pytest.approx(loss_d.item(), rel=1e-13)
    assert losses.generator.item() == pytest.approx(np.logaddexp(0.0, -b).mean(), rel=1e-13)


def test_the_slope_of_an_unrolled_d_is_that_in_its_input(backend):
    """Its parameters come from the generated batch too; R2 must not look through them at it."""
    G, D = players(backend)
    game = Game(G, D, SGD(G.parameters, 0.1), SGD(D.parameters, 0.1), penalties=[R2(2.0)])
    real, latent, _ = on(backend, next(host_batches(1)))
    fake = G(latent[0])
    parameters = {name: w + 0.1 * mean(fake) for name, w in D.parameters.views.items()}
    bent = D.with_parameters(parameters)
    frozen = D.with_parameters({name: constant(w) for name, w in parameters.items()})
    loss, expected = (
        game.discriminator_loss(real[0], fake, discriminator=network).item() for network in (bent, frozen)
    )
    assert loss == pytest.approx(expected, rel=1e-14)


def test_penalties_and_pairs_ask_for_what_they_need(backend):
    batch = batch_of(backend, next(host_batches(1)))
    for penalty in (WGANGP(1.0), ZeroGP(1.0)):
        with pytest.raises(ValueError, match=f"{penalty.name} .* between real and generated data by mix"):
            adam_game(backend, penalties=[penalty]).round(batch)
    for options in ({"objective": "relativistic"}, {"unrolled": 1}):
        with pytest.raises(ValueError, match="G's loss needs real data"):
            adam_game(backend, **options).generator_loss(batch.latent_g[0])
    with pytest.raises(
        ValueError, match="judges 3 samples together, so it takes a multiple of 3; received 8"
    ):
        adam_game(backend, packing=3).round(batch)


# ── captured, in replicas, on other devices, resumed ──────────────────────────────────────────────
VARIETIES = [
    {}, {"objective": "minimax"}, {"order": "simultaneous"}, {"discriminator_steps": 3, "generator_steps": 2},
    {"penalties": ()}, {"average": None},
    {"objective": "wasserstein", "penalties": (R2(0.25), WGANGP(10.0))},
    {"objective": "hinge", "penalties": (*BOTH, ZeroGP(2.0))},
    {"objective": "wasserstein", "clip": 0.2}, {"objective": "relativistic", "discriminator_steps": 2},
    {"order": "extragradient"},
    {"order": "extragradient", "objective": "alpha_ns(0.5, 1)", "penalties": (*BOTH, WGANGP(1.0))},
    {"order": Consensus(0.3)}, {"packing": 2}, {"packing": 4, "penalties": (*BOTH, WGANGP(1.0))},
    {"unrolled": 2, "unrolled_rate": 0.2},
    {"unrolled": 1, "penalties": (*BOTH, ZeroGP(0.5)), "generator_steps": 2},
    {"order": Consensus(0.3), "packing": 2, "objective": "relativistic", "penalties": (*BOTH, ZeroGP(0.5))},
]  # fmt: skip


def inputs_of(game, k, arrays, seed=4):
    """What round k takes: a batch with mix and small noise, a falling factor, the weight of a mean."""
    real, _, latent_g = arrays
    dtype, rng = real.dtype, np.random.default_rng((seed, k))
    *front, rows, p = real.shape
    mix = rng.random((*front, rows // game.packing, 1))
    noises = [
        0.1 * rng.standard_normal(shape) for shape in (real.shape, real.shape, (*latent_g.shape[:-1], p))
    ]
    numbers = (np.array([a], dtype) for a in (1.0 - 0.1 * k, 1.0 / (k + 1)))
    return Batch(*arrays, *(a.astype(dtype) for a in (mix, *noises))), *numbers


def tensors(backend, inputs):
    batch, *numbers = inputs
    return batch_of(backend, batch), *on(backend, numbers)


def own_batches(game, rounds, dtype="float64"):
    steps = game.discriminator_steps, game.generator_steps
    return [inputs_of(game, k, a) for k, a in enumerate(host_batches(rounds, dtype, steps=steps))]


def play(game, backend, batches, captured=False, passes=PASSES, program=None):
    """Rounds with all that a round can take; the losses of each, and what was captured."""
    losses = []
    for host in batches:
        inputs = tensors(backend, host)
        if captured and program is None:
            program = capture(game.round, *inputs, state=game.state, passes=passes)
            played = program.outputs
        else:
            played = (program or game.round)(*inputs)
        losses.append([loss.numpy() for loss in played])
    return np.array(losses), program


def put_back(backend, game, saved):
    assert saved.keys() == game.state.keys()
    for name, tensor in game.state.items():
        backend.xp.copyto(tensor.memory, backend.array(saved[name]))


def turns(*choices):
    """[(options, choice)]: the choices in turn; over the varieties each comes on each device."""
    return [(options, choices[k % len(choices)]) for k, options in enumerate(VARIETIES)]


@pytest.mark.in_turn(("options", "dtype"), turns("float32", "float32", "float64"))
def test_an_exact_plan_is_eager_bit_for_bit(backend, options, dtype):
    eager, captured = (adam_game(backend, dtype, **options) for _ in range(2))
    batches = own_batches(eager, 3, dtype)
    losses, _ = play(captured, backend, batches, captured=True, passes=EXACT)
    np.testing.assert_array_equal(losses, play(eager, backend, batches)[0])
    assert_same_bits(snapshot(captured), snapshot(eager))


@pytest.mark.parametrize("options", VARIETIES, ids=str)
def test_the_strict_device_is_numpy_bit_for_bit(options):
    """Eagerly; a plan is eager on either."""
    results = []
    for name in ("numpy", "strict"):
        backend = backends.get(name)
        game = adam_game(backend, "float32", **options)
        losses, _ = play(game, backend, own_batches(game, 3, "float32"))
        results.append((losses, snapshot(game)))
    (losses, state), (strict_losses, strict_state) = results
    np.testing.assert_array_equal(strict_losses, losses)
    assert_same_bits(strict_state, state)


def row_of(inputs, r):
    """Replica r of host inputs whose batch has its replicas on the second axis."""
    batch, *numbers = inputs
    return Batch(*(None if a is None else np.ascontiguousarray(a[:, r]) for a in batch)), *numbers


@pytest.mark.in_turn(
    ("options", "how"), turns(("float32", True), ("float64", True), ("float64", False)), first=1
)
def test_row_r_of_replicas_trains_as_the_single_game(backend, options, how, same_bits):
    """Rounds with everything on: no replica notices the others, not in the last bit, whatever the plan."""
    (dtype, captured), pairs = how, [(1, 2), (3, 4)]
    together = adam_game(backend, dtype, replicas=pairs, **options)
    steps = together.discriminator_steps, together.generator_steps
    batches = [inputs_of(together, k, a) for k, a in enumerate(host_batches(2, dtype, (2,), steps))]
    all_losses, _ = play(together, backend, batches, captured)
    alone, program = adam_game(backend, dtype, **options), None
    for r, seeds in enumerate(pairs):  # one single game, captured once, which begins at either's start
        put_back(backend, alone, snapshot(adam_game(backend, dtype, seeds=seeds, **options)))
        losses, program = play(
            alone, backend, [row_of(inputs, r) for inputs in batches], captured, program=program
        )
        same_bits(backend, all_losses[:, :, r], losses)
        for name, ours in snapshot(together).items():
            same_bits(backend, ours[r], alone.state[name].numpy(), err_msg=name)


@pytest.mark.parametrize("name", PENALTIES)
def test_one_penalty_weight_per_replica(backend, name, same_bits):
    pairs, weights = [(1, 2), (1, 2), (1, 2)], [0.0, 0.5, 2.0]
    γ = Tensor(backend.array(np.array(weights).reshape(3, 1, 1)))
    together = adam_game(backend, replicas=pairs, penalties=[PENALTIES[name](γ)])
    assert together.state[name] is γ and not (set(PENALTIES) - {name}) & together.state.keys()
    batches = [inputs_of(together, k, arrays) for k, arrays in enumerate(host_batches(4))]

    def everywhere(inputs):
        batch, *numbers = inputs
        return tensors(
            backend, (Batch(*(None if a is None else np.stack([a] * 3, axis=1) for a in batch)), *numbers)
        )

    first = everywhere(batches[0])
    program = capture(together.round, *first, state=together.state.values(), passes=EXACT)
    for inputs in batches[1:]:
        program(*everywhere(inputs))
    for r, weight in enumerate(weights):
        alone = adam_game(backend, penalties=[PENALTIES[name](weight)])
        for inputs in batches:
            alone.round(*tensors(backend, inputs))
        ours = together.discriminator.parameters.flat.numpy()[r]
        same_bits(backend, ours, alone.discriminator.parameters.flat.numpy())


@pytest.mark.in_turn(("options", "captured"), turns(True, False))
def test_a_restored_state_continues_bit_for_bit(backend, options, captured):
    whole, second = (adam_game(backend, seeds=seeds, **options) for seeds in ((1, 2), (90, 91)))
    batches = own_batches(whole, 4)
    _, program = play(whole, backend, batches[:2], captured)
    put_back(backend, second, snapshot(whole))
    losses, _ = play(whole, backend, batches[2:], captured, program=program)
    np.testing.assert_array_equal(play(second, backend, batches[2:], captured)[0], losses)
    assert_same_bits(snapshot(second), snapshot(whole))


def test_the_average_follows_g(backend):
    game, mean_of = adam_game(backend), []
    for k, arrays in enumerate(host_batches(6)):
        game.round(batch_of(backend, arrays), weight=1.0 / (k + 1))
        mean_of.append(game.generator.parameters.flat.numpy())
    np.testing.assert_allclose(
        game.average.parameters.flat.numpy(), np.mean(mean_of, axis=0), rtol=1e-12, atol=1e-14
    )
    assert np.abs(np.diff(mean_of, axis=0)).max() > 1e-3


def test_the_factor_scales_both_players_steps(backend):
    """With SGD a factor ½ is half the rates."""
    half, G_D = sgd_game(backend), players(backend)
    other = Game(*G_D, SGD(G_D[0].parameters, 0.1), SGD(G_D[1].parameters, 0.15))
    batch = batch_of(backend, next(host_batches(1)))
    half.round(batch, factor=0.5)
    other.round(batch)
    for name in ("generator", "discriminator"):
        np.testing.assert_allclose(half.state[name].numpy(), other.state[name].numpy(), rtol=1e-14)


def test_a_round_that_ends_in_nan_says_so_once_at_the_callers_line():
    G, D = players(backends.get("numpy"))
    game = Game(G, D, SGD(G.parameters, 1e300), SGD(D.parameters, 1e300), objective="kl")
    batch = batch_of(backends.get("numpy"), next(host_batches(1)))
    batch = batch._replace(real=constant(batch.real.numpy() * 1e200))
    with pytest.warns(RuntimeWarning) as caught:
        game.round(batch)
    (warning,) = caught
    assert "the losses of this round are not finite (D " in str(warning.message)
    assert "minigan.detect_anomaly()" in str(warning.message) and warning.filename == __file__


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────
def built(backend, **options):
    G, D = options.pop("G", None), options.pop("D", None)
    default = players(backend)
    G, D = G or default[0], D or default[1]
    optimizers = options.pop("g", SGD(G.parameters, 0.1)), options.pop("d", SGD(D.parameters, 0.1))
    return Game(G, D, *optimizers, **options)


def test_players_of_other_replicas_or_of_the_same_parameters_are_refused(backend):
    G = players(backend, replicas=[(1, 2), (3, 4), (5, 6)])[0]
    with pytest.raises(ValueError, match=r"as many replicas each; received replicas \(3,\) and \(\)$"):
        built(backend, G=G)
    both = mlp((1, 4, 1), rngs=np.random.default_rng(0), backend=backend)
    with pytest.raises(ValueError, match="two networks.* of the same parameters"):
        built(backend, G=both, D=both)


@pytest.mark.rows("name", ["sigmoid", "tanh", "relu"])
def test_a_discriminator_that_ends_in_an_activation_is_refused(backend, name):
    """Probabilities into a loss that applies σ again: it would train, badly and silently."""
    layers = (Dense(1, 4, activation("tanh")), Dense(4, 1, activation(name)))
    D = Network(
        layers, Parameters({"0.W": (1, 4), "0.b": (1, 4), "1.W": (4, 1), "1.b": (1, 1)}, backend, "float64")
    )
    with pytest.raises(ValueError, match=rf"returns a logit.*Dense\(4 → 1, {name}\), make it linear"):
        built(backend, D=D)


@pytest.mark.rows(
    ("g_sizes", "d_sizes"), [((2, 4, 2), (1, 4, 1)), ((2, 4, 2), (3, 4, 1)), ((2, 4, 1), (1, 4, 2))]
)
def test_networks_that_do_not_fit_are_refused(backend, g_sizes, d_sizes):
    G, D = (mlp(sizes, rngs=np.random.default_rng(0), backend=backend) for sizes in (g_sizes, d_sizes))
    with pytest.raises(
        ValueError, match=f"G makes {g_sizes[-1]} features, D takes {d_sizes[0]} and returns {d_sizes[-1]}"
    ):
        built(backend, G=G, D=D)


def test_an_optimiser_of_the_other_network_is_refused(backend):
    G, D = players(backend)
    with pytest.raises(ValueError, match="optimiser of G moves other parameters"):
        Game(G, D, SGD(D.parameters, 0.1), SGD(D.parameters, 0.1))
    with pytest.raises(ValueError, match="optimiser of D moves other parameters"):
        Game(G, D, SGD(G.parameters, 0.1), SGD(D.parameters.copy(), 0.1))


def test_an_average_of_another_network_is_refused(backend):
    G, D = players(backend)
    with pytest.raises(ValueError, match="average follows other parameters than the generator's"):
        built(backend, G=G, D=D, average=Average(D.parameters))


@pytest.mark.rows(
    ("options", "says"),
    [
        (
            {"order": "sequential"},
            "order must be one of alternating, simultaneous, extragradient; received 'sequential'",
        ),
        ({"objective": "wgan"}, "objective must be one of minimax, non_saturating, .*; received 'wgan'"),
        ({"objective": "alpha(0, 1)"}, "both α are at least 0.001"),
        ({"discriminator_steps": 0}, "_steps is a whole number ≥ 1; received"),
        ({"generator_steps": -1}, "_steps is a whole number ≥ 1; received"),
        (
            {"order": "simultaneous", "discriminator_steps": 2},
            "each player moves once; use order='alternating'",
        ),
        ({"order": "simultaneous", "generator_steps": 2}, "each player moves once"),
        ({"order": "extragradient", "generator_steps": 2}, "each player moves once"),
        ({"penalties": [R1(0.5), R1(0.5)]}, "a game has each penalty once; received r1, r1"),
        ({"clip": -0.01}, "clip is a finite number ≥ 0"),
        ({"unrolled_rate": float("nan")}, "unrolled_rate is a finite number ≥ 0"),
        ({"unrolled": -1}, "unrolled is a whole number ≥ 0; received -1"),
        ({"unrolled": 1.5}, "unrolled is a whole number"),
    ],
)
def test_bad_options_are_refused(backend, options, says):
    with pytest.raises((TypeError, ValueError), match=says):
        built(backend, **options)


def test_what_is_no_penalty_is_refused(backend):
    with pytest.raises(TypeError, match=r"penalties are objects such as R1\(0.5\); received 0.5"):
        built(backend, penalties=[0.5])


@pytest.mark.rows("weight", [-0.5, float("nan"), float("inf")])
@pytest.mark.rows("name", PENALTIES)
def test_a_penalty_that_is_no_weight_is_refused(name, weight):
    with pytest.raises(ValueError, match=f"{name} is a weight, a finite number ≥ 0; received {weight}"):
        PENALTIES[name](weight)


def test_penalties_of_zero_are_not_there(backend):
    assert built(backend, penalties=[R1(0.0), R2(0.25)]).penalties == (R2(0.25),)


@pytest.mark.rows("steps", [(1, 1), (3, 2)])
@pytest.mark.rows("name", Batch._fields)
def test_a_batch_that_is_not_one_per_step_is_refused(backend, name, steps):
    """A batch of 64 without the axis of the steps would train on its first row, and say nothing."""
    game = adam_game(backend, discriminator_steps=steps[0], generator_steps=steps[1])
    batch, *_ = tensors(backend, inputs_of(game, 0, next(host_batches(1, steps=steps))))
    before = snapshot(game)
    player, k = ("G", steps[1]) if name.endswith("_g") else ("D", steps[0])
    for shape in ((64, 1, 1), (64, 1), (k, 64), (k,)):
        wrong = Tensor(backend.array(np.zeros(shape)))
        with pytest.raises(ValueError) as caught:
            game.round(batch._replace(**{name: wrong}))
        assert str(caught.value) == (
            f"{name} holds a batch for each step of {player} in a round, here {k}: its shape is "
            f"({k}, …, rows, columns); received {shape}"
        )
    assert_same_bits(snapshot(game), before)
    game.round(batch)


def test_one_penalty_alone_is_shown_how_it_is_written(backend):
    with pytest.raises(
        TypeError, match=r"write penalties=\(R1\(weight=0.5\),\)|write penalties=\(R1\(0.5\),\)"
    ):
        built(backend, penalties=R1(0.5))


def test_a_batch_may_hold_arrays(backend):
    arrays, given = adam_game(backend), adam_game(backend)
    batch = batch_of(backend, next(host_batches(1)))
    given.round(batch)
    arrays.round(Batch(*(None if part is None else part.array for part in batch)))
    assert_same_bits(snapshot(arrays), snapshot(given))


def test_what_is_no_batch_is_refused(backend):
    real, latent_d, latent_g = on(backend, next(host_batches(1)))
    with pytest.raises(TypeError, match=r"a round takes Batch\(real, .*; received Tensor"):
        adam_game(backend).round(real, latent_d, latent_g)


def test_a_batch_of_another_width_is_refused(backend):
    game = adam_game(backend)
    real, latent_d, latent_g = next(host_batches(1))
    before = snapshot(game)
    with pytest.raises(ValueError, match="takes 1 features, .* received 2 features"):
        game.round(batch_of(backend, (np.concatenate([real, real], axis=-1), latent_d, latent_g)))
    with pytest.raises(TypeError, match="float32 and float64"):
        game.round(batch_of(backend, (real.astype("float32"), latent_d, latent_g)))
    assert_same_bits(snapshot(game), before)


def test_a_discriminator_alone_comes_to_the_optimal_one(backend):
    """[T15], [T16]: against a generator that stands still D tends to D*, and V to ln 4 - 2 JS."""
    rng = np.random.default_rng(0)
    D = mlp((1, 16, 16, 1), rngs=rng, activation="leaky_relu", backend=backend, dtype="float64")
    real, fake = rng.normal(1.0, 1.0, (400, 256, 1)), rng.normal(-0.5, 0.7, (400, 256, 1))
    best_response(D, Adam(D.parameters, 0.005), *(constant(backend.array(a)) for a in (real, fake)))
    x = np.linspace(-2.5, 3.5, 200)[:, None]
    p, q = Normal(1.0, 1.0), Normal(-0.5, 0.7)
    optimal = optimal_discriminator(p.density(x), q.density(x))
    learned = 1.0 / (1.0 + np.exp(-D(constant(backend.array(x))).numpy()))
    weight = p.density(x) + q.density(x)
    assert np.average(np.abs(learned - optimal), weights=weight) < 0.03
    logits = [D(constant(backend.array(a.reshape(-1, 1)))).numpy() for a in (real, fake)]
    least = value_at_optimum(js_quadrature(p, q))
    assert least - 0.02 < value_function(*logits) < least + 0.02


def test_a_discriminator_alone_follows_the_factors_of_its_rate(backend, monkeypatch):
    """The same as steps by hand, bit for bit; at a factor of 0 nothing moves; without factors all are 1."""
    monkeypatch.setattr("minigan.gan.game.capture", partial(capture, passes=EXACT))
    rng = np.random.default_rng(0)
    real, fake = (constant(backend.array(rng.normal(m, 1.0, (4, 8, 1)))) for m in (0.5, -0.5))

    def player():
        D = mlp((1, 5, 1), rngs=np.random.default_rng(1), backend=backend, dtype="float64")
        return D, Adam(D.parameters, 0.01)

    def by_hand(factors):
        D, optimizer = player()
        for k, factor in enumerate(factors):
            loss = OBJECTIVES["non_saturating"].discriminator_loss(D(real[k]), D(fake[k]))
            optimizer.step(grad(loss, D.parameters), factor)
        return D.parameters.flat.numpy()

    def alone(factors):
        D, optimizer = player()
        best_response(D, optimizer, real, fake, factors=factors)
        return D.parameters.flat.numpy()

    for factors in ([1.0, 0.5, 0.25, 0.125], [0.0, 0.0, 0.0, 0.0]):
        np.testing.assert_array_equal(alone(factors), by_hand(factors))
    np.testing.assert_array_equal(alone([0.0] * 4), player()[0].parameters.flat.numpy())
    np.testing.assert_array_equal(alone(None), by_hand([1.0] * 4))
    one, optimizer = player()
    best_response(one, optimizer, Tensor(real.array[:1]), Tensor(fake.array[:1]), factors=[0.5])
    np.testing.assert_array_equal(one.parameters.flat.numpy(), by_hand([0.5]))
    D, optimizer = player()
    kept = best_response(D, optimizer, real, fake, after=(1, 3, 4))
    for steps, network in zip((1, 3, 4), kept, strict=True):
        np.testing.assert_array_equal(network.parameters.flat.numpy(), by_hand([1.0] * steps))
    for after in ((0, 2), (2, 1), (5,), (2, 2)):
        with pytest.raises(ValueError, match="after is some of 4 steps, ascending"):
            best_response(D, optimizer, real, fake, after=after)
    with pytest.raises(ValueError, match="4 steps need as many factors"):
        alone([1.0, 0.5])


def test_the_repr_says_what_is_played_and_who_plays():
    G, D = (mlp(sizes, rngs=np.random.default_rng(0)) for sizes in ((2, 4, 1), (1, 4, 1)))
    movers = SGD(G.parameters, 0.5), SGD(D.parameters, 0.25)
    game = Game(G, D, *movers, penalties=[R1(0.5)], order="simultaneous")
    assert repr(game).splitlines() == [
        "Game(non_saturating, Simultaneous(), R1(0.5))",
        "  G: Network(2 → 4 tanh → 1: 17 parameters, float32 on numpy), 1 × SGD(rate=0.5)",
        "  D: Network(1 → 4 tanh → 1: 13 parameters, float32 on numpy), 1 × SGD(rate=0.25)",
    ]
    assert repr(game.objective).startswith("Objective(non_saturating: G minimises")
