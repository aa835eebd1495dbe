"""Initialisers: distributions, bounds, variances and orthogonality.

Statistical tests here: 5 distributions by Kolmogorov-Smirnov (p > 1e-8), 10 z-tests (|z| < 6: 2e-9 each), 3
of the distribution of orthogonal matrices (p > 1e-8): a false alarm has probability below 2e-7 per run.
"""

import math

import numpy as np
import pytest
from scipy import stats

from minigan.nn.initializers import (
    INITIALIZERS,
    bends_at_data,
    bends_at_latents,
    bends_at_random,
    bends_between,
    least_squares,
    orthogonal,
    rising_layer,
    spread_biases,
)

FAN_IN, FAN_OUT = 150, 400  # unequal, so that a confusion of the two shows
VARIANCE = {
    "glorot_uniform": 2.0 / (FAN_IN + FAN_OUT), "glorot_normal": 2.0 / (FAN_IN + FAN_OUT),
    "he_uniform": 2.0 / FAN_IN, "he_normal": 2.0 / FAN_IN, "lecun_normal": 1.0 / FAN_IN,
}  # fmt: skip
ALPHA = 1e-8


def test_every_initializer_is_tested():
    assert set(VARIANCE) | {"orthogonal"} == set(INITIALIZERS)


@pytest.mark.rows("name", VARIANCE)
def test_distribution_mean_and_variance(name):
    w = INITIALIZERS[name](np.random.default_rng(11), (FAN_IN, FAN_OUT))
    assert w.shape == (FAN_IN, FAN_OUT) and w.dtype == "float64"
    w, sd = w.ravel(), math.sqrt(VARIANCE[name])
    if name.endswith("uniform"):
        distribution, excess = stats.uniform(-math.sqrt(3.0) * sd, 2.0 * math.sqrt(3.0) * sd), 9.0 / 5.0
        assert np.abs(w).max() <= math.sqrt(3.0) * sd
        assert np.abs(w).max() > 0.999 * math.sqrt(3.0) * sd  # fails for 60 000 draws with probability e⁻⁶⁰
    else:
        distribution, excess = stats.norm(0.0, sd), 3.0
    assert stats.kstest(w, distribution.cdf).pvalue > ALPHA
    assert abs(w.mean()) * math.sqrt(w.size) / sd < 6.0
    z = (np.mean((w / sd) ** 2) - 1.0) * math.sqrt(w.size / (excess - 1.0))  # Var(x²) = (kurtosis − 1) σ⁴
    assert abs(z) < 6.0


@pytest.mark.rows("shape", [(5, 5), (9, 4), (4, 9), (1, 6), (6, 1), (1, 1)])
def test_orthogonal_rows_or_columns(shape):
    w = orthogonal(np.random.default_rng(12), shape)
    assert w.shape == shape
    gram = w.T @ w if shape[0] >= shape[1] else w @ w.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-14)


def test_orthogonal_is_uniform_over_rotations_and_reflections():
    """In three dimensions every entry of a Haar matrix is U(−1, 1) (Archimedes), and half are reflections."""
    rng = np.random.default_rng(13)
    draws = np.array([orthogonal(rng, (3, 3)) for _ in range(2000)])
    assert stats.kstest(draws[:, 0, 0], stats.uniform(-1.0, 2.0).cdf).pvalue > ALPHA
    assert stats.kstest(draws[:, 2, 2], stats.uniform(-1.0, 2.0).cdf).pvalue > ALPHA
    reflections = int((np.linalg.det(draws) < 0).sum())
    assert stats.binomtest(reflections, len(draws)).pvalue > ALPHA


def test_the_distribution_of_orthogonal_is_wrong_without_the_sign():
    """The test above can fail: plain QR has one sign on the diagonal."""
    rng = np.random.default_rng(14)
    draws = np.array([np.linalg.qr(rng.standard_normal((3, 3)))[0][0, 0] for _ in range(2000)])
    assert stats.kstest(draws, stats.uniform(-1.0, 2.0).cdf).pvalue < ALPHA


@pytest.mark.rows("name", INITIALIZERS)
def test_the_generator_decides(name):
    draw = INITIALIZERS[name]
    first, again, other = (draw(np.random.default_rng(seed), (3, 4)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


# Where the units of a first layer bend: at −b/W, as wide as 1/|W|

QUANTILES = np.concatenate([stats.norm(at, 0.1).ppf((np.arange(500) + 0.5) / 500) for at in (-1.0, 1.0)])


def bends_and_widths(W, b):
    assert W.shape == b.shape and len(W) == 1 and np.isfinite(W).all() and set(np.sign(W[0])) <= {-1.0, 1.0}
    return (-b / W)[0], 1 / np.abs(W[0])


def test_units_of_d_bend_at_quantiles_narrowly_in_narrow_modes_and_the_others_over_the_gap():
    at, width = bends_and_widths(*bends_at_data(np.random.default_rng(14), 64, QUANTILES))
    np.testing.assert_allclose(
        np.interp(at[:32], QUANTILES, np.arange(1000) / 1000), np.arange(0.5, 32) / 32, atol=0.02
    )
    inner = np.abs(np.abs(at[:32]) - 1) < 0.15
    assert inner.sum() > 24 and width[:32][inner].max() < 0.15  # twice the way to a neighbour of 1/32
    assert (np.abs(at[32:]) < 0.7).sum() > 10 and width[32:].min() >= 0.1  # none of the data are there


def test_units_of_g_bend_steeply_where_the_data_have_a_gap():
    at, width = bends_and_widths(*bends_at_latents(np.random.default_rng(15), 64, QUANTILES, stats.norm.ppf))
    walls = width < 0.05
    assert 12 < walls.sum() < 30 and np.abs(at[walls]).max() < 0.1  # half the mass lies on either side
    assert width.max() == 1.0 and (np.abs(at[32:]) > 1).any()


def test_a_g_of_rising_layers_rises():
    rng, h = np.random.default_rng(18), np.linspace(-4, 4, 1000)[:, None]
    for W, b in (bends_at_latents(rng, 16, QUANTILES, stats.norm.ppf), rising_layer(rng, (16, 8))):
        h = np.tanh(h @ W + b)
    assert (np.diff(h @ rising_layer(rng, (8, 1))[0], axis=0) > 0).all()


@pytest.mark.parametrize("units", [1, 2, 3])
def test_few_units_and_data_of_one_value_have_bends_too(units):
    for quantiles in (QUANTILES, np.zeros(50)):
        at, width = bends_and_widths(*bends_at_data(np.random.default_rng(16), units, quantiles))
        assert len(at) == units and width.min() >= 0.01
        at, width = bends_and_widths(
            *bends_at_latents(np.random.default_rng(16), units, quantiles, stats.norm.ppf)
        )
        assert len(at) == units and width.min() >= 0.01


def test_units_of_d_bend_between_neighbours_among_rows_of_several_features():
    rng = np.random.default_rng(17)
    rows = np.concatenate([rng.normal(0, 0.1, (300, 2)), rng.normal(3, 1, (300, 2))])
    W, b = bends_between(np.random.default_rng(18), 64, rows)
    at = rows @ W + b
    for sign in (-1, 1):  # both neighbours are rows
        assert (np.abs(at - sign).min(axis=0) < 1e-9).sum() > 50  # but those nearer than what is steepest
    steep = np.sqrt((W * W).sum(axis=0))
    assert steep.max() <= 2 / 0.05 + 1e-9 and steep.min() < 2 and np.median(steep) > 4
    W, b = bends_between(np.random.default_rng(18), 3, np.ones((5, 2)))  # no two rows differ
    assert np.isfinite(W).all() and np.isfinite(b).all() and W.any(axis=0).all()


def test_a_last_layer_of_least_squares_returns_what_is_wanted():
    rng = np.random.default_rng(19)
    latents = rng.standard_normal((500, 3))
    W, b = bends_at_random(rng, 40, latents[:40])
    np.testing.assert_allclose(np.diag(latents[:40] @ W + b), 0.0, atol=1e-12)
    hidden = np.tanh(latents @ W + b)
    W, b = least_squares(hidden, latents)
    assert np.abs(hidden @ W + b - latents).mean() < 0.05 and (W.shape, b.shape) == ((40, 3), (1, 3))
    flat = least_squares(np.ones((9, 2)), np.ones((9, 1)))  # what cannot be told apart is no error
    assert np.allclose(np.ones((9, 2)) @ flat[0] + flat[1], 1, atol=0.05)


def test_biases_behind_the_first_layer_are_spread():
    biases = spread_biases(np.random.default_rng(17), (100, 4000))
    assert biases.shape == (1, 4000) and 0.0999 < np.abs(biases).max() <= 0.1
