"""The Dirac-GAN: fields, eigenvalues and paths against their closed forms."""

import mpmath
import numpy as np
import pytest
from scipy import integrate

from minigan.gan.theory.dirac import DIRAC, dirac
from minigan.gan.theory.dynamics import (
    ORDERS,
    eigenvalues,
    portrait,
)

REST = np.zeros(2)


def closed(name, γ=None):
    """λ of a row in closed form, in the order of `eigenvalues`."""
    row = DIRAC[name]
    return eigenvalues(np.diag(row.eigenvalues(row.γ if γ is None else γ)))


def differences(f, w, h=1e-5):
    """The Jacobian of f at w by central differences."""
    columns = [(f(w + h * e) - f(w - h * e)) / (2 * h) for e in np.eye(len(w))]
    return np.stack(columns, axis=-1)


@pytest.mark.rows("name", DIRAC)
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


@pytest.mark.rows("name", [name for name, row in DIRAC.items() if row.eigenvalues])
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


@pytest.mark.rows(("name", "simultaneous", "alternating"), [
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


@pytest.mark.rows("h", [0.01, 0.1, 1.0])
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


def test_the_flow_by_an_ode_solver_follows_the_eigenvalues():
    """e^(λt): a solution of the differential equation near rest shrinks by e^(−γt/2)."""
    game = DIRAC["R1"].game(0.4)
    end = integrate.solve_ivp(lambda _, w: game.field(w), (0.0, 20.0), [1e-4, 2e-4], rtol=1e-9, atol=1e-13).y[
        :, -1
    ]
    λ, vectors = np.linalg.eig(game.jacobian(REST))
    expected = (vectors * np.exp(20.0 * λ)) @ np.linalg.solve(vectors, [1e-4, 2e-4])
    np.testing.assert_allclose(end, expected.real, rtol=1e-5)
