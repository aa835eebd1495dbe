"""Several features: densities against SciPy and direct integrals, centres and samples, text forms."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from minigan import backend
from minigan.evaluation import ks_one_sample
from minigan.probability import (
    Checkerboard,
    Empirical,
    Laplace,
    MultivariateDistribution,
    MultivariateMixture,
    MultivariateNormal,
    Normal,
    circles,
    correlated_normal,
    grid,
    moons,
    parse,
    pinwheel,
    ring,
    spiral,
    swiss_roll,
)

TILTED = MultivariateMixture(
    (0.2, 0.5, 0.3),
    (
        MultivariateNormal([0, 0], [[1, 0.8], [0.8, 2]]),
        MultivariateNormal([3, -1], [[0.5, 0], [0, 0.1]]),
        MultivariateNormal([-2, 2], np.eye(2)),
    ),
)
LINE = MultivariateNormal([2.0], [[9.0]])
DISTRIBUTIONS = [
    ring(), ring(3, 2, 0.5), grid(), grid(2, 1, 0.4), spiral(), spiral(0.5, 0.1, 3), TILTED,
    moons(), circles(), pinwheel(3), swiss_roll(1),
]  # fmt: skip
every_distribution = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=str)


def rng(seed=0):
    return np.random.default_rng(seed)


def scipys(distribution):
    """ln p by SciPy's multivariate normal distributions."""
    parts = list(zip(distribution.weights, distribution.components, strict=True))

    def log_density(x):
        terms = [math.log(w) + stats.multivariate_normal(c.mean, c.covariance).logpdf(x) for w, c in parts]
        return np.logaddexp.reduce(terms, axis=0)

    return log_density


# ── the ring's trap ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.rows("modes", [1, 2, 3, 7, 8, 25])
def test_a_ring_has_distinct_centres_of_equal_weight_at_equal_distances(modes):
    distribution = ring(modes, 2, 0.02)
    assert distribution.centres.shape == (modes, 2) and distribution.weights == (1 / modes,) * modes
    assert len(np.unique(distribution.centres.round(9), axis=0)) == modes
    assert np.hypot(*distribution.centres.T) == pytest.approx(np.full(modes, 2.0))
    closed = np.append(distribution.centres, distribution.centres[:1], axis=0)
    assert np.hypot(*np.diff(closed, axis=0).T) == pytest.approx(
        np.full(modes, 4 * math.sin(math.pi / modes))
    )


def test_the_trap_would_be_seen():
    """Angles up to 2π inclusive: seven places, one of them twice."""
    angles = np.linspace(0, 2 * np.pi, 8)
    wrong = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert len(np.unique(wrong.round(9), axis=0)) == 7


def test_samples_of_a_ring_fall_on_its_modes_equally():
    """χ² of 8 counts, 7 degrees of freedom: beyond 46 in 1e-7 of seeds. The radial spread is one sd."""
    distribution = ring()
    x = distribution.sample(rng(), 80_000)
    angle = np.arctan2(x[:, 1], x[:, 0])
    counts = np.bincount(np.round(angle / (2 * np.pi / 8)).astype(int) % 8, minlength=8)
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 46
    # a standard deviation where a variance was meant would give 0.1
    assert (np.hypot(*x.T) - 1).std() == pytest.approx(0.01, rel=0.02)  # 8 standard errors


def test_a_grid_is_the_lattice_about_the_origin():
    distribution = grid()
    ticks = {-4.0, -2.0, 0.0, 2.0, 4.0}
    assert {tuple(c) for c in distribution.centres} == {(a, b) for a in ticks for b in ticks}
    assert distribution.weights == (0.04,) * 25 and (distribution.mode_sd == 0.05).all()
    assert set(grid(2, 3, 1).centres.ravel()) == {-1.5, 1.5}


def test_a_spiral_winds_as_often_as_it_says():
    distribution = spiral(2, 0.02)
    radius = np.hypot(*distribution.centres.T)
    assert (np.diff(radius) > 0).all() and radius[-1] == pytest.approx(1, abs=1e-3)
    turns = np.unwrap(np.arctan2(distribution.centres[:, 1], distribution.centres[:, 0]))[-1] / (2 * np.pi)
    assert turns == pytest.approx(2, abs=1e-3)
    assert sum(distribution.weights) == pytest.approx(1, abs=1e-12)
    # v² is uniform: half of the mass is nearer than √½
    assert np.array(distribution.weights)[radius < math.sqrt(0.5)].sum() == pytest.approx(0.5, abs=0.01)


def test_the_density_of_a_spiral_is_the_integral_along_its_curve():
    distribution, sd = spiral(1, 0.1, 2), 0.1

    def density(x):
        def along(v):
            cx, cy = 2 * v * math.cos(2 * np.pi * v), 2 * v * math.sin(2 * np.pi * v)
            distance = (x[0] - cx) ** 2 + (x[1] - cy) ** 2
            return 2 * v * math.exp(-distance / (2 * sd * sd)) / (2 * np.pi * sd * sd)

        return integrate.quad(along, 0, 1, limit=500, points=np.linspace(0.05, 0.95, 19))[0]

    points = [*distribution.sample(rng(1), 12), [0.0, 0.0], [2.0, 0.1], [-1.0, 0.2]]
    assert distribution.density(points) == pytest.approx([density(x) for x in points], rel=1e-4)


@pytest.mark.rows(
    "distribution, draw",
    [
        (
            moons(0.1),
            lambda t, k, r: (1 - 2 * k) * np.array([np.cos(np.pi * t), np.sin(np.pi * t)]) + k * MOON,
        ),
        (circles(0.5, 0.05), lambda t, k, r: (1 - 0.5 * k) * turn(2 * np.pi * t)),
        (swiss_roll(0.5), lambda t, k, r: np.pi * (1.5 + 3 * t) * turn(np.pi * (1.5 + 3 * t))),
        (
            pinwheel(2, 0.25, 0.1),
            lambda t, k, r: (1 + 0.3 * r) * turn(np.pi * k + 0.25 * np.exp(1 + 0.3 * r)),
        ),
    ],
)
def test_the_density_of_a_figure_is_that_of_its_definition(distribution, draw):
    """E of the noise's density about 400 000 points of the curve: 1 % of error at three points with mass."""
    n, sd = 400_000, distribution.mode_sd[0]
    t, k, r = rng(3).random(n), rng(4).integers(2, size=n), rng(5).standard_normal(n)
    curve = draw(t, k, r).T
    for x in distribution.sample(rng(6), 3):
        kernel = np.exp(-((x - curve) ** 2).sum(axis=1) / (2 * sd * sd)) / (2 * np.pi * sd * sd)
        error = kernel.std() / math.sqrt(n)
        assert distribution.density(x) == pytest.approx(kernel.mean(), abs=6 * error)
        assert error < 0.05 * kernel.mean()


MOON = np.array([[1.0], [0.5]])


def turn(angle):
    return np.array([np.cos(angle), np.sin(angle)])


@pytest.mark.parametrize("board", [Checkerboard(), Checkerboard(3, 0.5), Checkerboard(1, 2)], ids=str)
def test_a_checkerboard_is_uniform_on_its_squares(board):
    assert isinstance(board, MultivariateDistribution) and parse(str(board)) == board
    x = board.sample(rng(7), (100, 200))
    assert x.shape == (100, 200, 2) and np.allclose(board.log_density(x), -board.entropy())
    assert board.sample(rng(7)).shape == (2,)
    half = 0.5 * board.side * board.width
    ticks = np.linspace(-half, half, 60 * board.side + 1)[:-1] + half / (60 * board.side)
    grid_points = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    mass = board.density(grid_points) * (ticks[1] - ticks[0]) ** 2
    assert mass.sum() == pytest.approx(1) and (mass > 0).mean() == pytest.approx(
        (board.side**2 + board.side % 2) / 2 / board.side**2
    )
    assert board.mean == pytest.approx([0, 0])
    assert np.sqrt((mass[..., None] * grid_points**2).sum(axis=(0, 1))) == pytest.approx(board.sd, rel=1e-3)
    assert x.reshape(-1, 2).std(axis=0) == pytest.approx(board.sd, rel=0.03)  # 20 000 draws: 6 errors
    corner = 0.5 * board.width - half
    assert board.density([corner, corner]) > 0 == board.density([half + 1, 0]) == board.density([0, math.inf])
    with pytest.raises(ValueError, match="2 features"):
        board.log_density([1.0])


def test_correlated_normals():
    distribution = correlated_normal([1, -1], [0.5, 2], 0.8)
    assert distribution.covariance == pytest.approx(np.array([[0.25, 0.8], [0.8, 4]]))
    assert str(distribution) == "normal([1, -1], [0.5, 2], 0.8)" and distribution != correlated_normal(
        [1, -1], 1
    )
    assert str(correlated_normal(0, [1, 1])) == "normal([0, 0], 1)"


# ── every distribution ──────────────────────────────────────────────────────────────────────────────────────
@every_distribution
def test_each_distribution_keeps_the_protocol(distribution):
    assert isinstance(distribution, MultivariateDistribution) and distribution.features == 2
    assert distribution.mean.shape == distribution.sd.shape == (2,) and distribution.covariance.shape == (
        2,
        2,
    )
    assert distribution.sample(rng(), (2, 3)).shape == (2, 3, 2) and distribution.sample(rng()).shape == (2,)
    assert np.array_equal(distribution.sample(rng(4), 9), distribution.sample(rng(4), (9,)))
    with pytest.raises(AttributeError):
        distribution.weights = ()


@every_distribution
def test_log_densities_equal_scipys(distribution):
    x = np.concatenate([distribution.sample(rng(2), 40), distribution.mean + 3 * rng(3).normal(size=(10, 2))])
    ours = distribution.log_density(x)
    assert ours == pytest.approx(scipys(distribution)(x), rel=1e-9, abs=1e-9)
    assert distribution.density(x) == pytest.approx(np.exp(ours))
    assert distribution.log_density(x.reshape(5, 10, 2)) == pytest.approx(ours.reshape(5, 10))
    assert np.ndim(distribution.log_density(x[0])) == 0
    device = backend.get("strict").array(x, "float32")
    assert distribution.log_density(device) == pytest.approx(distribution.log_density(np.float32(x)))


@pytest.mark.rows("distribution", [ring(3, 2, 0.5), grid(2, 1, 0.4), spiral(0.3, 0.3), TILTED])
def test_the_density_integrates_to_one_and_to_the_moments(distribution):
    """The trapezoidal rule, exact for smooth functions that vanish at the ends."""
    axes = [
        np.linspace(m - 9 * s, m + 9 * s, 300)
        for m, s in zip(distribution.mean, distribution.sd, strict=True)
    ]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    mass = distribution.density(x) * np.prod([a[1] - a[0] for a in axes])
    assert mass.sum() == pytest.approx(1, abs=1e-9)
    assert np.einsum("ij,ijk->k", mass, x) == pytest.approx(distribution.mean, abs=1e-9)
    second = np.einsum("ij,ijk,ijl->kl", mass, x - distribution.mean, x - distribution.mean)
    assert second == pytest.approx(distribution.covariance, abs=1e-8)
    assert np.sqrt(np.diag(second)) == pytest.approx(distribution.sd)
    entropy = -(mass * distribution.log_density(x)).sum()
    assert distribution.entropy() == pytest.approx(
        entropy, abs=0.03
    )  # 2¹⁶ draws, sd of ln p below 1.2: 6 errors
    assert distribution.entropy(rng(8), 10**6) == pytest.approx(entropy, abs=0.008)


@every_distribution
def test_samples_have_the_marginals_of_the_distribution(distribution):
    """Each feature against its own CDF: 22 tests at 4e-8 each."""
    x = distribution.sample(rng(5), 5000)
    parts = list(zip(distribution.weights, distribution.components, strict=True))
    for j in range(2):

        def cdf(t, j=j):
            terms = (w * Normal(c.mean[j], math.sqrt(c.covariance[j, j])).cdf(t) for w, c in parts)
            return np.clip(sum(terms), 0, 1)

        assert ks_one_sample(x[:, j], cdf).pvalue > 4e-8
        assert ks_one_sample(x[:, j] + 0.4 * distribution.sd[j], cdf).pvalue < 4e-8


def test_samples_of_full_covariances_have_them():
    x = TILTED.sample(rng(6), 200_000)
    assert np.cov(x.T) == pytest.approx(TILTED.covariance, abs=0.06)
    near = x[np.abs(x - [3, -1]).max(axis=1) < 1]  # most of the second component
    assert near[:, 1].std() < 0.7 * near[:, 0].std()


def test_closed_forms():
    distribution = ring(8, 1, 0.01)
    assert distribution.mean.tolist() == [0, 0] and distribution.sd == pytest.approx(
        np.full(2, math.sqrt(0.5 + 1e-4))
    )
    separate = math.log(8) + 1 + math.log(2 * np.pi) + 2 * math.log(0.01)  # modes that do not overlap
    assert distribution.entropy() == pytest.approx(
        separate, abs=0.025
    )  # 2¹⁶ draws, sd of ln p is 1: 6 errors
    assert grid().covariance == pytest.approx(np.diag([8.0025, 8.0025]))
    assert distribution.log_density([1.0, 0.0]) == pytest.approx(-math.log(8 * 2 * np.pi * 1e-4))
    assert distribution.log_density([0.0, 0.0]) == pytest.approx(
        -5000 - math.log(2 * np.pi * 1e-4)
    )  # p underflows
    assert distribution.log_density([1e300, 0.0]) == -math.inf and distribution.density([1e300, 0.0]) == 0


def test_mixtures_of_any_number_of_features():
    distribution = MultivariateMixture((0.3, 0.7), (MultivariateNormal(np.zeros(5), np.eye(5)),
                                           MultivariateNormal(np.ones(5), 4 * np.eye(5))))  # fmt: skip
    x = distribution.sample(rng(), 200)
    assert x.shape == (200, 5) and distribution.features == 5 and distribution.mode_sd.tolist() == [1, 2]
    assert distribution.log_density(x) == pytest.approx(scipys(distribution)(x))
    line = MultivariateMixture((1.0,), (LINE,))
    assert line.log_density([[3.0]]) == pytest.approx(Normal(2, 3).log_density([3.0]))
    assert (line.features, str(line)) == (1, "a mixture of 1 normal distributions of 1 feature")
    assert TILTED.mode_sd is None and "3 normal distributions of 2 features" in str(TILTED)


def test_components_of_no_weight_do_no_harm():
    distribution = MultivariateMixture(
        (0.0, 1.0), (MultivariateNormal([9, 9], np.eye(2)), TILTED.components[0])
    )
    assert distribution.log_density([0.0, 0.0]) == pytest.approx(TILTED.components[0].log_density([0.0, 0.0]))
    assert np.abs(distribution.sample(rng(), 500)).max() < 9


def test_distributions_say_how_many_features_they_have():
    for distribution in (Normal(0, 1), Laplace(0, 1), parse("0.5*normal(0,1)+0.5*normal(1,1)")):
        assert distribution.features == 1
    assert MultivariateNormal([0, 0, 0], np.eye(3)).features == 3
    assert (Empirical([1, 2]).features, Empirical([[1, 2, 3]]).features) == (1, 3)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.rows("make, message", [
    (lambda: MultivariateMixture((0.5,), TILTED.components), "1 weights and 3 components"),
    (lambda: MultivariateMixture((0.5, 0.6, -0.1), TILTED.components), "least weight of -0.1"),
    (lambda: MultivariateMixture((0.5, 0.5, 0.1), TILTED.components), "sum of 1.1"),
    (lambda: MultivariateMixture((), ()), "empty"),
    (lambda: MultivariateMixture((0.5, 0.5), (LINE, TILTED.components[0])), r"\[1, 2\]"),
    (lambda: ring(8).log_density([1.0, 2.0, 3.0]), "2 features in its last axis"),
    (lambda: ring(8).log_density([math.nan, 0.0]), "NaN"),
    (lambda: ring("8"), "ring needs a number for modes"),
    (lambda: moons(0), "moons needs a finite sd > 0"),
    (lambda: circles(0.5, 1e-4), "give sd of at least 0.0047"),
    (lambda: pinwheel(0), "arms to be a whole number from 1 to 64"), (lambda: swiss_roll(1e-3), "at least"),
    (lambda: ring(True), "number for modes; received True"), (lambda: moons("0.1"), "number for sd"),
    (lambda: Checkerboard(0), "side to be a whole number"), (lambda: Checkerboard(4, -1), "width > 0"),
    (lambda: correlated_normal([0, 0], 1, 1), "lies between -1 and 1; received 1"),
])  # fmt: skip
def test_what_is_no_distribution_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_components_of_another_kind_are_refused():
    with pytest.raises(TypeError, match="multivariate normal components"):
        MultivariateMixture((1.0,), (Normal(0, 1),))
