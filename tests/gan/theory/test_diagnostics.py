"""Diagnostics: D* [T15], V and its divergence [T14, T16], densities pushed through G, beside closed forms."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, special, stats

from minigan.gan.theory.diagnostics import (
    LN4,
    generated_density,
    implied_js,
    latent_cells,
    optimal_discriminator,
    optimal_discriminator_of_logs,
    pushforward_cdf,
    value_at_optimum,
    value_function,
)
from minigan.probability.distributions import Normal
from minigan.probability.information import js_quadrature

GAUSSIANS = [
    ((0.0, 1.0), (0.0, 1.0)),
    ((0.0, 1.0), (1.0, 1.0)),
    ((4.0, 1.25), (3.0, 0.5)),
    ((0.0, 1.0), (12.0, 1.0)),
]


def value(p, q, logit):
    """V(G, D) for densities and the logit of D, by quadrature to 12 sd on both sides of both means."""
    edges = sorted({m + k * s for m, s in ((p.mean, p.sd), (q.mean, q.sd)) for k in (-12, -4, 0, 4, 12)})

    def loss(x):
        a = logit(x)
        return float(p.density(x) * np.logaddexp(0, -a) + q.density(x) * np.logaddexp(0, a))

    return sum(integrate.quad(loss, a, b, epsabs=1e-12)[0] for a, b in pairwise(edges))


# D* and V


def test_optimal_discriminator_is_the_share_of_real_data():
    d = optimal_discriminator([1.0, 0.0, 2.0, 0.3, 5e-324, 0.0], [0.0, 1.0, 2.0, 0.1, 0.0, 0.0])
    np.testing.assert_array_equal(d[:3], [1.0, 0.0, 0.5])
    assert d[3] == pytest.approx(0.75, rel=1e-15)
    assert d[4] == 1.0  # the smallest density still counts
    assert np.isnan(d[5])  # where neither lives there is nothing to decide


def test_optimal_discriminator_is_one_half_where_the_densities_agree():
    p = np.random.default_rng(0).exponential(size=1000)
    np.testing.assert_array_equal(optimal_discriminator(p, p), 0.5)


def test_optimal_discriminator_is_the_best_answer_at_every_point():
    p, q = np.random.default_rng(1).exponential(size=(2, 200))
    best = optimal_discriminator(p, q)

    def loss(d):
        return -p * np.log(d) - q * np.log1p(-d)

    for other in (best + 1e-3 * (1 - best), best * (1 - 1e-3), np.full(200, 0.5)):
        assert (loss(other) >= loss(best)).all()


def test_optimal_discriminator_refuses_what_is_not_a_pair_of_densities():
    with pytest.raises(ValueError, match="not negative"):
        optimal_discriminator([-0.1], [1.0])
    with pytest.raises(ValueError, match="not negative"):
        optimal_discriminator([0.1], [-1.0])
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):  # broadcasting them would be silent nonsense
        optimal_discriminator(np.ones(2), np.ones(3))


def test_value_is_the_cross_entropy_of_d():
    rng = np.random.default_rng(2)
    real, fake = rng.normal(size=(50, 1)), rng.normal(size=(70, 1))
    direct = -np.log(special.expit(real)).mean() - np.log(1 - special.expit(fake)).mean()
    assert value_function(real, fake) == pytest.approx(direct, rel=1e-14)
    assert value_function(np.zeros(3), np.zeros(5)) == pytest.approx(LN4, rel=1e-15)


@pytest.mark.rows("a", [20.0, 50.0, 800.0, 1e4, 1e300])
def test_value_is_exact_at_extreme_logits(a):
    half_wrong = pytest.approx(a + 2 * math.exp(-a), rel=1e-15)
    assert value_function([a], [a]) == half_wrong  # about the generated one
    assert value_function([-a], [-a]) == half_wrong  # about the real one
    # Right about both: what is left is e^-a twice, which 1 − σ(a) would have cancelled to 0.
    assert value_function([a], [-a]) == pytest.approx(2 * math.log1p(math.exp(-a)), rel=1e-15, abs=0)


def test_densities_of_any_size_have_their_share():
    """1e308 beside 1e308 gave 0, with an overflow warning."""
    with np.errstate(all="raise", invalid="ignore", under="ignore"):
        huge = optimal_discriminator([1e308, 1.7e308, 1e308, math.inf], [1e308, 1.7e308, 0.0, 1.0])
        tiny = optimal_discriminator([5e-324, 0.0, 1e-300], [5e-324, 5e-324, 1e300])
    np.testing.assert_array_equal(huge, [0.5, 0.5, 1.0, 1.0])
    np.testing.assert_array_equal(tiny, [0.5, 0.0, 0.0])
    logs = optimal_discriminator_of_logs([-1e4, -1e4, -math.inf, 800.0], [-1e4, -1e4 + 1, -1e4, 800.0])
    np.testing.assert_allclose(logs, [0.5, 1 / (1 + math.e), 0.0, 0.5], rtol=1e-12)
    p, q = np.random.default_rng(0).uniform(0.01, 3, (2, 50))
    np.testing.assert_allclose(
        optimal_discriminator_of_logs(np.log(p), np.log(q)), optimal_discriminator(p, q), rtol=1e-12
    )
    assert np.isnan(optimal_discriminator_of_logs([-math.inf], [-math.inf])).all()
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        optimal_discriminator_of_logs(np.ones(2), np.ones(3))


@pytest.mark.rows(
    ("call", "says"),
    [
        (lambda: optimal_discriminator([math.nan], [1.0]), "density p holds 1 NaN"),
        (lambda: value_function([math.nan], [0.0]), "real logits holds 1 NaN"),
        (lambda: value_function([0.0], [0.0, math.nan]), "generated logits holds 1 NaN among 2"),
        (lambda: value_at_optimum(1.0), r"JS is a number in \[0, ln 2\]; received 1.0"),
        (lambda: value_at_optimum(-0.1), r"JS is a number in \[0, ln 2\]; received -0.1"),
        (lambda: value_at_optimum(math.nan), r"JS is a number in \[0, ln 2\]; received nan"),
        (lambda: value_at_optimum("a"), "JS is a number .* which is text"),
        (lambda: implied_js(math.nan), "V is a finite number ≥ 0; received nan"),
        (lambda: implied_js(-1.0), "V is a finite number ≥ 0; received -1.0"),
    ],
)
def test_numbers_that_no_game_has_are_refused(call, says):
    with pytest.raises((TypeError, ValueError), match=says):
        call()


def test_ends_of_the_value():
    assert value_function([-1e308, -1e308], [1e308, 1e308]) == math.inf and implied_js(math.inf) == -math.inf
    assert value_function([math.inf], [-math.inf]) == 0.0
    assert value_at_optimum(np.float32(math.log(2))) == 0.0 == value_at_optimum(math.log(2))


def test_value_refuses_nothing_to_average():
    for real, fake in (([], [0.0]), ([0.0], [])):
        with pytest.raises(ValueError, match="empty"):
            value_function(real, fake)


@pytest.mark.rows(("p", "q"), GAUSSIANS)
def test_theorem_of_the_optimum(p, q):
    """[T16]: V(G, D*) = ln 4 − 2 JS, the sign of a sum of minus logarithms."""
    p, q = Normal(*p), Normal(*q)
    js = js_quadrature(p, q)
    best = value(p, q, lambda x: p.log_density(x) - q.log_density(x))
    assert best == pytest.approx(value_at_optimum(js), abs=1e-9)
    assert implied_js(best) == pytest.approx(js, abs=1e-9)
    # The same D* as a share of densities.
    x = np.linspace(-2.0, 6.0, 41)
    ratio = optimal_discriminator(p.density(x), q.density(x))
    np.testing.assert_allclose(
        ratio, special.expit(p.log_density(x) - q.log_density(x)), rtol=1e-12, atol=1e-300
    )


def test_signs_at_the_two_ends():
    assert value_at_optimum(0.0) == LN4 == pytest.approx(math.log(4), rel=1e-16)  # D can only guess
    assert value_at_optimum(math.log(2)) == pytest.approx(0.0, abs=1e-15)  # D is always right
    assert implied_js(value_at_optimum(0.3)) == pytest.approx(0.3, rel=1e-15)
    assert implied_js(2.0) < 0  # worse than a coin
    assert implied_js(1.0) > implied_js(1.2)


@pytest.mark.rows("seed", range(6))
def test_any_other_discriminator_implies_less(seed):
    """(ln 4 − V)/2 ≤ JS for every D: here D* bent by a random smooth function, and D's that know nothing."""
    p, q = Normal(4.0, 1.25), Normal(3.0, 1.0)
    js, a = js_quadrature(p, q), np.random.default_rng(seed).normal(size=4)

    def bend(x):
        return 0.5 * (a[0] + a[1] * np.sin(x + a[2]) + a[3] * np.tanh(x - 3))

    for logit in (lambda x: p.log_density(x) - q.log_density(x) + bend(x), bend, lambda x: 0.0 * x):
        implied = implied_js(value(p, q, logit))
        assert implied < js
    assert implied == pytest.approx(0.0, abs=1e-10)  # D = ½ everywhere


def test_value_from_samples_meets_the_integral():
    """200 000 logits of D* a side; 6 standard errors, a false alarm in 5e8 fixed seeds."""
    p, q, rng = Normal(4.0, 1.25), Normal(3.0, 0.8), np.random.default_rng(3)
    logits = [
        p.log_density(x) - q.log_density(x) for x in (p.sample(rng, (200_000,)), q.sample(rng, (200_000,)))
    ]
    spreads = [np.logaddexp(0, sign * a).std() for sign, a in zip((-1, 1), logits, strict=True)]
    error = math.hypot(*spreads) / math.sqrt(200_000)
    assert abs(value_function(*logits) - value_at_optimum(js_quadrature(p, q))) < 6 * error


# Pushed forward densities


def density(generate, distribution, edges):
    return generated_density(lambda z: generate(z), distribution, edges)


def bins(cdf, edges):
    return np.diff(cdf(edges)) / np.diff(edges)


@pytest.mark.rows(
    ("distribution", "generate", "edges", "cdf"),
    [
        ("normal", lambda z: 1.25 * z + 4, np.linspace(-2, 10, 101), stats.norm(4, 1.25).cdf),
        ("normal", lambda z: -0.5 * z - 1, np.linspace(-4, 2, 101), stats.norm(-1, 0.5).cdf),
        ("uniform", lambda z: 3 * z, np.linspace(-4, 4, 81), stats.uniform(-3, 6).cdf),
        ("normal", lambda z: np.exp(0.5 * z), np.linspace(0.0, 8.0, 201), stats.lognorm(0.5).cdf),
        ("normal", lambda z: np.sinh(z), np.linspace(-20, 20, 201), lambda x: stats.norm.cdf(np.arcsinh(x))),
        ("uniform", lambda z: z**3, np.linspace(-1, 1, 41), lambda x: 0.5 + 0.5 * np.cbrt(x)),
        ("normal", lambda z: np.abs(z), np.linspace(0, 5, 51), stats.halfnorm.cdf),  # folded
        ("normal", lambda z: z * z, np.linspace(0.0, 20.0, 101), stats.chi2(1).cdf),
        ("uniform", lambda z: z * z, np.linspace(0.0, 1.0, 21), np.sqrt),
        (
            "normal",
            lambda z: np.maximum(z, 0),
            np.linspace(-1, 4, 50),
            lambda x: np.where(x < 0, 0, stats.norm.cdf(x)),
        ),
    ],
)
def test_density_is_the_change_of_variables(distribution, generate, edges, cdf):
    # Each cell's mass is spread evenly, so a bin is wrong by parts of the cells at its edges.
    got = density(generate, distribution, edges)
    np.testing.assert_allclose(got * np.diff(edges), bins(cdf, edges) * np.diff(edges), atol=6e-4)
    assert (got >= 0).all()


@pytest.mark.rows("scale", [1e-30, 1e-12, 1.0, 1e12, 1e30])
@pytest.mark.rows("shift", [0.0, 100.0])
def test_density_does_not_depend_on_the_unit(scale, shift):
    edges = np.linspace(-5, 5, 41)
    unit = density(lambda z: z, "normal", edges)
    other = density(lambda z: scale * (z + shift), "normal", scale * (edges + shift))
    np.testing.assert_allclose(other * scale, unit, rtol=1e-9, atol=1e-12)


@pytest.mark.rows("distribution", ["normal", "uniform"])
@pytest.mark.rows("generate", [lambda z: z, lambda z: z * z, lambda z: np.sin(3 * z), np.zeros_like])
def test_masses_sum_to_one_where_the_bins_cover_everything(distribution, generate):
    edges = np.linspace(-50, 50, 1001)
    assert density(generate, distribution, edges) @ np.diff(edges) == pytest.approx(1.0, abs=1e-12)


def test_a_collapsed_generator_has_all_mass_in_one_bin():
    edges = np.linspace(0, 1, 11)
    mass = density(lambda z: 0 * z + 0.34, "normal", edges) * np.diff(edges)
    np.testing.assert_allclose(mass, np.eye(10)[3], atol=1e-9)


def test_mass_outside_the_bins_is_missing_not_moved():
    edges = np.linspace(0.0, 1.0, 11)
    mass = density(lambda z: z, "normal", edges) * np.diff(edges)
    assert mass.sum() == pytest.approx(stats.norm.cdf(1) - 0.5, abs=1e-4)


def test_pushforward_cdf_is_one_beyond_and_zero_before():
    z, mass = latent_cells("normal")
    cdf = pushforward_cdf(mass, z, np.array([-100.0, -6.0, 0.0, 6.0, 100.0]))
    np.testing.assert_allclose(cdf, [0, 0, 0.5, 1, 1], atol=1e-12)
    assert pushforward_cdf(mass, 0 * z, np.array([0.0])).shape == (1,)  # a point, looked at in a point


def test_pushforward_cdf_equals_its_definition_and_does_not_depend_on_the_chunks():
    rng = np.random.default_rng(4)
    mass, x, at = rng.dirichlet(np.ones(3000)), np.cumsum(rng.normal(size=3001)), np.linspace(-60, 60, 1500)
    low, high = np.minimum(x[:-1], x[1:]), np.maximum(x[:-1], x[1:])
    direct = [float((mass * np.clip((t - low) / (high - low), 0, 1)).sum()) for t in at[::100]]
    found = pushforward_cdf(mass, x, at)
    np.testing.assert_allclose(found[::100], direct, atol=1e-12)
    assert (np.diff(found) >= 0).all()
    # each cell over all points: 2.25 million pairs, two chunks
    wide = pushforward_cdf(np.full(1500, 1 / 1500), 60.0 * (-1.0) ** np.arange(1501), at)
    np.testing.assert_allclose(wide, np.clip((at + 60) / 120, 0, 1), atol=1e-13)


def test_pushforward_cdf_of_points_steps_and_numbers_that_are_not_finite():
    at, mass = np.array([-1.0, 0.0, 1.0, 2.0]), np.array([0.25, 0.75])
    np.testing.assert_allclose(pushforward_cdf(mass, np.array([1.0, 1.0, 1.0]), at), [0, 0, 0, 1])
    np.testing.assert_allclose(pushforward_cdf(mass, np.array([-1.0, 1.0, 1.0]), at), [0, 0.125, 0.25, 1])
    large = pushforward_cdf(mass, np.array([1e6, 1e6, 1e6]), 1e6 + at)  # a step below the last digit of at
    np.testing.assert_allclose(large, [0, 0, 1, 1])
    for bad in (np.nan, np.inf, -np.inf):
        assert np.isnan(pushforward_cdf(mass, np.array([0.0, bad, 1.0]), at)).all()


@pytest.mark.rows(
    ("distribution", "cdf"), [("normal", stats.norm.cdf), ("uniform", stats.uniform(-1, 2).cdf)]
)
@pytest.mark.rows("count", [1, 10, 2000])
def test_latent_cells_have_the_masses_of_their_distribution(distribution, cdf, count):
    edges, mass = latent_cells(distribution, count)
    assert len(edges) == count + 1 and len(mass) == count and mass.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(
        mass, np.diff(cdf(edges)), atol=3e-9
    )  # a normal distribution goes on beyond ±6


def test_latent_cells_refuse_another_distribution():
    with pytest.raises(ValueError, match="'normal' or 'uniform'; received 'cauchy'"):
        latent_cells("cauchy")
