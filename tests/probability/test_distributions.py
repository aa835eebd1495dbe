"""Density, CDF, quantile, samples and entropy agree with each other, SciPy and closed forms."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from minigan import backend
from minigan.evaluation import ks_one_sample
from minigan.probability import (
    Distribution,
    Empirical,
    Laplace,
    Mixture,
    MultivariateNormal,
    Normal,
    StudentT,
    Uniform,
    entropy_quadrature,
    parse,
)

TWO_MODES = Mixture((0.33, 0.67), (Normal(-1, 0.25), Normal(2, 1.4)))
DISTRIBUTIONS = [
    (Normal(4, 1.25), stats.norm(4, 1.25)),
    (Uniform(-2, 3), stats.uniform(-2, 5)),
    (Laplace(1, 0.5), stats.laplace(1, 0.5)),
    (StudentT(2.5), stats.t(2.5)),
    (StudentT(40, 1, 2), stats.t(40, 1, 2)),
    (TWO_MODES, None),
    (Mixture((0.5, 0.3, 0.2), (Uniform(0, 1), Laplace(5, 0.1), StudentT(3, -4, 2))), None),
]
IDS = [str(distribution) for distribution, _ in DISTRIBUTIONS]
every_distribution = pytest.mark.parametrize("distribution, scipy_distribution", DISTRIBUTIONS, ids=IDS)
LEVELS = np.array([1e-12, 1e-6, 0.01, 0.2, 0.33, 0.5, 0.77, 0.99, 1 - 1e-9])


@every_distribution
def test_each_distribution_keeps_the_protocol(distribution, scipy_distribution):
    assert isinstance(distribution, Distribution)
    assert dataclasses.is_dataclass(distribution)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(distribution, dataclasses.fields(distribution)[0].name, 3)


@every_distribution
def test_the_density_integrates_to_one_and_to_the_cdf(distribution, scipy_distribution):
    points = np.unique(
        np.concatenate([distribution.quantile(LEVELS), distribution.interval(0.999), [0.0, 1.0, 5.0]])
    )
    pieces = [
        integrate.quad(distribution.density, a, b, epsabs=1e-11)[0]
        for a, b in zip(points, points[1:], strict=False)
    ]
    assert np.cumsum(pieces) == pytest.approx(
        distribution.cdf(points[1:]) - distribution.cdf(points[0]), abs=1e-8
    )
    assert sum(pieces) + distribution.cdf(points[0]) + (1 - distribution.cdf(points[-1])) == pytest.approx(
        1, abs=1e-8
    )


@pytest.mark.parametrize(
    "distribution, scipy_distribution", DISTRIBUTIONS[:5], ids=IDS[:5]
)  # SciPy's mixtures have no quantile
def test_values_equal_scipys(distribution, scipy_distribution):
    x = np.concatenate([scipy_distribution.ppf(LEVELS), [-30.0, 0.1, 30.0]])
    assert distribution.log_density(x) == pytest.approx(scipy_distribution.logpdf(x), rel=1e-10, abs=1e-12)
    assert distribution.density(x) == pytest.approx(scipy_distribution.pdf(x), rel=1e-10)
    assert distribution.cdf(x) == pytest.approx(scipy_distribution.cdf(x), rel=1e-9)
    assert distribution.quantile(LEVELS) == pytest.approx(scipy_distribution.ppf(LEVELS), rel=1e-7)
    assert (distribution.mean, distribution.sd) == pytest.approx(
        (scipy_distribution.mean(), scipy_distribution.std())
    )
    assert distribution.entropy() == pytest.approx(float(scipy_distribution.entropy()), abs=1e-9)
    assert distribution.support == scipy_distribution.support()


@every_distribution
def test_quantile_inverts_cdf(distribution, scipy_distribution):
    x = distribution.quantile(LEVELS)
    assert distribution.cdf(x) == pytest.approx(LEVELS, rel=1e-9)
    inside = np.linspace(*distribution.interval(0.98), 41)
    inside = inside[distribution.density(inside) > 1e-3]
    assert distribution.quantile(distribution.cdf(inside)) == pytest.approx(inside, abs=1e-8)
    low, high = distribution.support
    assert (distribution.quantile(0), distribution.quantile(1)) == (low, high)
    assert distribution.quantile([0, 0.5, 1]).tolist() == [low, distribution.quantile(0.5), high]
    assert (distribution.cdf(-math.inf), distribution.cdf(math.inf)) == (0, pytest.approx(1))


@every_distribution
def test_the_integrated_cdf_is_the_integral_of_the_cdf(distribution, scipy_distribution):
    a, b, c = distribution.quantile([0.02, 0.5, 0.97])
    for low, high in ((a, b), (b, c)):
        middle = np.linspace(low, high, 9)
        area = sum(
            integrate.quad(distribution.cdf, s, t, epsabs=1e-12)[0]
            for s, t in zip(middle, middle[1:], strict=False)
        )
        assert distribution.integrated_cdf(high) - distribution.integrated_cdf(low) == pytest.approx(
            area, abs=1e-8
        )
    far = distribution.quantile(0.5) + 1e6 * distribution.sd  # E max(x − X, 0) → x − E X
    assert distribution.integrated_cdf(far) == pytest.approx(far - distribution.mean, rel=1e-9)
    assert distribution.integrated_cdf(-math.inf) == 0


@every_distribution
def test_moments_and_entropy_equal_quadrature(distribution, scipy_distribution):
    assert entropy_quadrature(distribution) == pytest.approx(distribution.entropy(), abs=1e-8)
    edges = distribution.quantile([1e-9, 0.01, 0.3, 0.4, 0.6, 0.8, 0.99])
    if "student" not in str(distribution):  # bounded tails only: the rest is < 1e-6
        edges = np.append(edges, distribution.quantile(1 - 1e-9))
        pairs = list(zip(edges, edges[1:], strict=False))
        mean = sum(integrate.quad(lambda x: x * distribution.density(x), a, b)[0] for a, b in pairs)
        square = sum(integrate.quad(lambda x: x * x * distribution.density(x), a, b)[0] for a, b in pairs)
        assert distribution.mean == pytest.approx(mean, abs=1e-6)
        assert distribution.sd == pytest.approx(math.sqrt(square - mean**2), abs=1e-6)


@every_distribution
def test_samples_follow_the_own_cdf_and_not_another(distribution, scipy_distribution):
    # seven distributions at 1e-7 each: false alarms below 1e-6 over seeds
    x = distribution.sample(np.random.default_rng(1), 4000)
    assert ks_one_sample(x, distribution).pvalue > 1e-7
    low, high = distribution.interval(0.5)
    wrong = Normal(distribution.mean + 0.3 * (high - low), high - low)
    assert ks_one_sample(x, wrong).pvalue < 1e-7


@every_distribution
def test_sample_shapes_and_seeds(distribution, scipy_distribution):
    assert distribution.sample(np.random.default_rng(0), (2, 3)).shape == (2, 3)
    assert distribution.sample(np.random.default_rng(0), (2, 3)).dtype == np.float64
    assert np.ndim(distribution.sample(np.random.default_rng(0))) == 0
    assert np.array_equal(
        distribution.sample(np.random.default_rng(5), 9), distribution.sample(np.random.default_rng(5), 9)
    )


@every_distribution
def test_shapes_follow_the_argument_on_any_backend(distribution, scipy_distribution):
    x = np.array([[0.1, 0.5, 4.0], [0.3, -1.0, 2.0]])
    on_device = backend.get("strict").array(x, "float32")
    for f in (
        distribution.density,
        distribution.log_density,
        distribution.cdf,
        distribution.cdf_left,
        distribution.integrated_cdf,
    ):
        assert f(x).shape == x.shape and np.shape(f(0.3)) == ()
        assert f(on_device) == pytest.approx(f(np.float32(x)))
        with pytest.raises(ValueError, match="NaN"):
            f([math.nan])
    for level in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError):
            distribution.quantile(level)


@every_distribution
def test_intervals_hold_their_mass(distribution, scipy_distribution):
    low, high = distribution.interval(0.9)
    assert distribution.cdf(high) - distribution.cdf(low) == pytest.approx(0.9, abs=1e-9)
    assert distribution.interval(1) == distribution.support
    for mass in (0, 1.5, math.nan):
        with pytest.raises(ValueError, match="interval"):
            distribution.interval(mass)


# ── far tails and extreme parameters ────────────────────────────────────────────────────────────────────────
def test_log_densities_are_exact_where_densities_underflow():
    assert Normal(0, 1).log_density(1e5) == pytest.approx(-0.5e10 - 0.5 * math.log(2 * math.pi), rel=1e-15)
    assert Normal(0, 1).log_density([math.inf, 1e200]).tolist() == [-math.inf, -math.inf]
    assert Laplace(0, 2).log_density(-3000) == pytest.approx(-1500 - math.log(4))
    far = 1e4  # both components underflow there; the wider one decides
    assert TWO_MODES.density(far) == 0
    assert TWO_MODES.log_density(far) == pytest.approx(
        math.log(0.67) + Normal(2, 1.4).log_density(far), rel=1e-14
    )


def test_student_at_the_ends_of_its_range():
    x = np.array([-3.0, 0.0, 0.5])
    assert StudentT(1e10).log_density(x) == pytest.approx(Normal().log_density(x), abs=1e-8)
    assert StudentT(1e10).entropy() == pytest.approx(Normal().entropy(), abs=1e-9)
    below, above = StudentT(9999.0).entropy(), StudentT(10001.0).entropy()  # where the two forms meet
    assert below - above == pytest.approx(2e-8, rel=1e-2)
    assert StudentT(1).log_density(1e300) == pytest.approx(-math.log(math.pi) - 2 * math.log(1e300))
    assert math.isnan(StudentT(1).mean) and math.isnan(StudentT(1).sd)
    assert StudentT(1.5).mean == 0 and StudentT(1.5).sd == math.inf
    assert StudentT(1).integrated_cdf([0.0]).tolist() == [math.inf]
    mixed = Mixture((0.5, 0.5), (Normal(), StudentT(2)))
    assert mixed.mean == 0 and mixed.sd == math.inf
    assert math.isnan(Mixture((0.5, 0.5), (Normal(), StudentT(1))).mean)


@pytest.mark.parametrize("dof", [0.3, 0.5, 1, 2, 2.5, 10, 1e3])
def test_student_quantiles_down_to_the_smallest_levels(dof):
    distribution, u = StudentT(dof), 10.0 ** -np.array([1, 3, 10, 15, 20, 50, 80])
    assert distribution.cdf(distribution.quantile(u)) == pytest.approx(u, rel=1e-9)
    assert (np.diff(distribution.quantile(u)) < 0).all()
    assert distribution.quantile(1 - 2.0**-20) == pytest.approx(-distribution.quantile(2.0**-20))


def test_the_cauchy_quantile_in_closed_form():
    u = np.array([1e-300, 1e-100, 1e-5, 0.3])
    assert StudentT(1).quantile(u) == pytest.approx(-1 / np.tan(np.pi * u), rel=1e-12)


def test_the_cauchy_entropy():
    assert StudentT(1, 3, 2).entropy() == pytest.approx(math.log(8 * math.pi), abs=1e-12)
    assert entropy_quadrature(StudentT(1, 3, 2)) == pytest.approx(math.log(8 * math.pi), abs=1e-10)


def test_mixture_of_disjoint_uniforms():
    distribution = Mixture((0.5, 0.5), (Uniform(0, 1), Uniform(2, 3)))
    assert distribution.log_density([0.5, 1.5, 2.5]) == pytest.approx([-math.log(2), -math.inf, -math.log(2)])
    assert distribution.quantile([0.25, 0.5, 0.75]) == pytest.approx(
        [0.5, 1.0, 2.5]
    )  # the smallest x with F(x) ≥ u
    assert distribution.entropy() == pytest.approx(math.log(2), abs=1e-12)
    assert distribution.support == (0, 3)


def test_components_of_no_weight_do_not_count():
    distribution = Mixture((0, 1), (StudentT(1), Uniform(0, 1)))
    assert (
        distribution.support == (0, 1)
        and distribution.mean == 0.5
        and distribution.sd == pytest.approx(12**-0.5)
    )
    assert distribution.log_density(2.0) == -math.inf
    assert ks_one_sample(distribution.sample(np.random.default_rng(0), 100), Uniform(0, 1)).pvalue > 1e-7


def test_mixtures_of_very_different_scales_have_exact_quantiles():
    distribution = Mixture((0.5, 0.5), (Normal(0, 1e-6), Normal(1e3, 1e3)))
    u = np.array([1e-9, 0.2, 0.4, 0.6, 0.999])
    assert distribution.cdf(distribution.quantile(u)) == pytest.approx(u, rel=1e-9)


def test_nested_mixtures_are_flattened():
    inner = Mixture((0.5, 0.5), (Normal(0, 1), Normal(4, 1)))
    outer = Mixture((0.5, 0.5), (inner, Uniform(0, 1)))
    assert outer.weights == (0.25, 0.25, 0.5) and outer.components[1] == Normal(4, 1)
    assert outer.density(0.5) == pytest.approx(0.5 * inner.density(0.5) + 0.5)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: Normal(0, 0), ValueError, "sd > 0"),
        (lambda: Normal(0, -1), ValueError, "sd > 0"),
        (lambda: Normal(math.nan, 1), ValueError, "finite mean"),
        (lambda: Normal(0, math.inf), ValueError, "finite sd"),
        (lambda: Normal("a", 1), TypeError, "number for mean"),
        (lambda: Uniform(1, 1), ValueError, "low < high"),
        (lambda: Uniform(-1e308, 1e308), ValueError, "finitely apart"),
        (lambda: Laplace(0, 0), ValueError, "scale > 0"),
        (lambda: StudentT(0), ValueError, "dof > 0"),
        (lambda: Mixture((0.5, 0.6), (Normal(), Normal())), ValueError, "sum is 1.1"),
        (lambda: Mixture((1.5, -0.5), (Normal(), Normal())), ValueError, "nonnegative"),
        (lambda: Mixture((1,), (Normal(), Normal())), ValueError, "1 weights and 2 components"),
        (lambda: Mixture((), ()), ValueError, "empty"),
        (lambda: Mixture((1,), (3,)), TypeError, "components with a density"),
        (lambda: Mixture((1,), (Empirical([1, 2]),)), TypeError, "components with a density"),
        (lambda: Empirical([]), ValueError, "empty"),
        (lambda: Empirical([1, math.inf]), ValueError, "not finite"),
        (lambda: Empirical(np.zeros((2, 2, 2))), ValueError, "shape"),
    ],
)
def test_bad_parameters_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ── data sets and several features ──────────────────────────────────────────────────────────────────────────
def test_an_empirical_distribution_is_an_exact_step_function():
    distribution = Empirical([3.0, 1.0, 3.0, 2.0])
    x = np.array([0.0, 1.0, 1.5, 2.0, 3.0, 9.0])
    assert distribution.cdf(x).tolist() == [0, 0.25, 0.25, 0.5, 1, 1]
    assert distribution.cdf_left(x).tolist() == [0, 0, 0.25, 0.25, 0.5, 1]
    assert distribution.quantile([0, 0.25, 0.26, 0.5, 0.51, 1]).tolist() == [1, 1, 2, 2, 3, 3]
    assert distribution.integrated_cdf(x) == pytest.approx([0, 0, 0.125, 0.25, 0.75, 6.75])
    assert (distribution.mean, distribution.sd) == pytest.approx((2.25, np.std([3, 1, 3, 2])))
    assert distribution.support == (1, 3) and distribution.interval(0.5) == (1, 3)
    for refused in (distribution.density, distribution.log_density):
        with pytest.raises(ValueError, match="no density"):
            refused(1.0)
    with pytest.raises(ValueError, match="no density"):
        distribution.entropy()


@given(n=st.integers(1, 60), k=st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_empirical_quantiles_invert_at_every_step(n, k):
    distribution, u = Empirical(np.arange(n)), min(k, n) / n
    assert distribution.quantile(u) == max(min(k, n) - 1, 0)
    x = distribution.quantile(u)
    assert distribution.cdf(x) >= u and distribution.cdf_left(x) <= u


def test_an_empirical_distribution_samples_its_rows_and_only_those():
    rows = np.arange(12.0).reshape(4, 3)
    distribution = Empirical(rows)
    drawn = distribution.sample(np.random.default_rng(0), (50, 2))
    assert drawn.shape == (50, 2, 3)
    assert {tuple(r) for r in drawn.reshape(-1, 3)} == {tuple(r) for r in rows}
    assert distribution.mean.tolist() == rows.mean(axis=0).tolist() and distribution.sd.shape == (3,)
    with pytest.raises(ValueError, match="one feature"):
        distribution.cdf(0.0)
    rows[:] = 0  # the distribution keeps its own copy, and guards it
    assert distribution.values.max() == 11
    with pytest.raises(ValueError, match="read-only"):
        distribution.values[0] = 1
    assert Empirical(rows[:, :1]).values.shape == (4,)
    assert (
        str(distribution) == "a data set of 4 rows of 3 features"
        and str(Empirical([1, 2])) == "a data set of 2 values"
    )


def test_the_multivariate_normal_equals_scipys():
    mean, covariance = [1.0, -2.0, 0.5], np.array([[2.0, 0.3, 0], [0.3, 1, -0.4], [0, -0.4, 0.7]])
    distribution, reference = (
        MultivariateNormal(mean, covariance),
        stats.multivariate_normal(mean, covariance),
    )
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    assert distribution.log_density(x) == pytest.approx(reference.logpdf(x), abs=1e-12)
    assert distribution.density(x[0, 0]) == pytest.approx(reference.pdf(x[0, 0]))
    assert distribution.entropy() == pytest.approx(reference.entropy())
    drawn = distribution.sample(np.random.default_rng(0), (100, 200))
    assert drawn.shape == (100, 200, 3)
    flat = drawn.reshape(-1, 3)  # 6 sd of each entry's sampling error, at most 2·√2/√20000
    assert np.abs(np.cov(flat.T) - covariance).max() < 6 * 2 * math.sqrt(2 / 20000)
    assert np.abs(flat.mean(axis=0) - mean).max() < 6 * math.sqrt(2 / 20000)
    assert distribution.sample(np.random.default_rng(0)).shape == (3,)
    assert distribution.sd == pytest.approx(np.sqrt([2, 1, 0.7]))


def test_one_feature_of_the_multivariate_normal_is_the_normal():
    x = np.linspace(-3, 3, 7)
    distribution = MultivariateNormal([0.5], [[4.0]])
    assert distribution.log_density(x[:, None]) == pytest.approx(Normal(0.5, 2).log_density(x))
    assert distribution.entropy() == pytest.approx(Normal(0.5, 2).entropy())


@pytest.mark.parametrize(
    "mean, covariance, message",
    [
        ([0, 0], [[1, 0.5], [0, 1]], "symmetric"),
        ([0, 0], [[1, 2], [2, 1]], "positive definite; the least eigenvalue of the one received is -1"),
        ([0, 0], [[1]], "needs a covariance"),
        ([0, math.nan], np.eye(2), "not finite"),
    ],
)
def test_bad_covariances_are_refused(mean, covariance, message):
    with pytest.raises(ValueError, match=message):
        MultivariateNormal(mean, covariance)


def test_features_must_match_the_distribution():
    with pytest.raises(ValueError, match="2 features"):
        MultivariateNormal([0, 0], np.eye(2)).log_density([1.0, 2.0, 3.0])


@every_distribution
def test_text_reads_back_to_an_equal_distribution(distribution, scipy_distribution):
    assert parse(str(distribution)) == distribution
