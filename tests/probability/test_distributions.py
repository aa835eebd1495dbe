"""Density, CDF, quantile, samples and entropy agree with each other, SciPy and closed forms."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from scipy import integrate, stats

from minigan import backend
from minigan.evaluation import ks_one_sample
from minigan.probability import (
    Beta,
    Cauchy,
    Distribution,
    Empirical,
    Exponential,
    Gamma,
    Laplace,
    Logistic,
    LogNormal,
    Mixture,
    MultivariateNormal,
    Normal,
    Pareto,
    StudentT,
    Triangular,
    Uniform,
    Weibull,
    entropy_quadrature,
    parse,
)
from minigan.probability.distributions import location_scale

TWO_MODES = Mixture((0.33, 0.67), (Normal(-1, 0.25), Normal(2, 1.4)))
DISTRIBUTIONS = [
    (Normal(4, 1.25), stats.norm(4, 1.25)),
    (Uniform(-2, 3), stats.uniform(-2, 5)),
    (Laplace(1, 0.5), stats.laplace(1, 0.5)),
    (StudentT(2.5), stats.t(2.5)),
    (StudentT(40, 1, 2), stats.t(40, 1, 2)),
    (Logistic(-3, 0.5), stats.logistic(-3, 0.5)),
    (Exponential(2), stats.expon(0, 2)),
    (Gamma(2, 0.5), stats.gamma(2, 0, 0.5)),
    (Gamma(0.5, 3), stats.gamma(0.5, 0, 3)),
    (LogNormal(0.3, 0.5), stats.lognorm(0.5, 0, math.exp(0.3))),
    (Weibull(1.5, 2), stats.weibull_min(1.5, 0, 2)),
    (Pareto(3, 2), stats.pareto(3, 0, 2)),
    (Beta(2, 5), stats.beta(2, 5)),
    (Beta(0.7, 2), stats.beta(0.7, 2)),
    (Triangular(-1, 0.5, 4), stats.triang(0.3, -1, 5)),
    (TWO_MODES, None),
    (Mixture((0.5, 0.3, 0.2), (Uniform(0, 1), Laplace(5, 0.1), StudentT(3, -4, 2))), None),
]
SIMPLE = [pair for pair in DISTRIBUTIONS if pair[1] is not None]  # SciPy's mixtures have no quantile
every_distribution = pytest.mark.rows("distribution, scipy_distribution", DISTRIBUTIONS)
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


@pytest.mark.rows("distribution, scipy_distribution", SIMPLE)
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
    median = pytest.approx(distribution.quantile(0.5))
    assert distribution.quantile([0, 0.5, 1]).tolist() == [low, median, high]
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
    if not any(heavy in str(distribution) for heavy in ("student", "pareto")):  # beyond, less than 1e-6
        edges = np.append(edges, distribution.quantile(1 - 1e-9))
        pairs = list(zip(edges, edges[1:], strict=False))
        mean = sum(integrate.quad(lambda x: x * distribution.density(x), a, b)[0] for a, b in pairs)
        square = sum(integrate.quad(lambda x: x * x * distribution.density(x), a, b)[0] for a, b in pairs)
        assert distribution.mean == pytest.approx(mean, abs=1e-6)
        assert distribution.sd == pytest.approx(math.sqrt(square - mean**2), abs=1e-6)


@every_distribution
def test_samples_follow_the_own_cdf_and_not_another(distribution, scipy_distribution):
    # 17 distributions at 5e-8 each: false alarms below 1e-6 over seeds
    x = distribution.sample(np.random.default_rng(1), 4000)
    assert ks_one_sample(x, distribution).pvalue > 5e-8
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


@pytest.mark.rows("dof", [0.3, 0.5, 1, 2, 2.5, 10, 1e3])
def test_student_quantiles_down_to_the_smallest_levels(dof):
    distribution, u = StudentT(dof), 10.0 ** -np.array([1, 3, 10, 15, 20, 50, 80])
    assert distribution.cdf(distribution.quantile(u)) == pytest.approx(u, rel=1e-9)
    assert (np.diff(distribution.quantile(u)) < 0).all()
    assert distribution.quantile(1 - 2.0**-20) == pytest.approx(-distribution.quantile(2.0**-20))


EXACT = {  # ln p, F, 1 − F and the entropy in mpmath's arithmetic
    "gamma": (
        lambda k, s: (
            lambda x: (k - 1) * mp.log(x / s) - x / s - mp.loggamma(k) - mp.log(s),
            lambda x: mp.gammainc(k, 0, x / s, regularized=True),
            lambda x: mp.gammainc(k, x / s, mp.inf, regularized=True),
            k + mp.loggamma(k) + (1 - k) * mp.digamma(k) + mp.log(s),
        )
    ),
    "beta": (
        lambda a, b: (
            lambda x: (a - 1) * mp.log(x) + (b - 1) * mp.log(1 - x) - mp.log(mp.beta(a, b)),
            lambda x: mp.betainc(a, b, 0, x, regularized=True),
            lambda x: mp.betainc(b, a, 0, 1 - x, regularized=True),
            mp.log(mp.beta(a, b)) - (a - 1) * mp.digamma(a) - (b - 1) * mp.digamma(b)
            + (a + b - 2) * mp.digamma(a + b),
        )
    ),
    "lognormal": (
        lambda m, s: (
            lambda x: -(((mp.log(x) - m) / s) ** 2) / 2 - mp.log(s * x) - mp.log(2 * mp.pi) / 2,
            lambda x: mp.ncdf((mp.log(x) - m) / s),
            lambda x: mp.ncdf((m - mp.log(x)) / s),
            m + (1 + mp.log(2 * mp.pi)) / 2 + mp.log(s),
        )
    ),
    "weibull": (
        lambda k, s: (
            lambda x: mp.log(k / s) + (k - 1) * mp.log(x / s) - (x / s) ** k,
            lambda x: -mp.expm1(-((x / s) ** k)),
            lambda x: mp.exp(-((x / s) ** k)),
            mp.euler * (1 - 1 / k) + mp.log(s / k) + 1,
        )
    ),
    "pareto": (
        lambda a, s: (
            lambda x: mp.log(a / s) - (a + 1) * mp.log(x / s),
            lambda x: -mp.expm1(-a * mp.log(x / s)),
            lambda x: (x / s) ** -a,
            mp.log(s / a) + 1 / a + 1,
        )
    ),
    "exponential": (
        lambda s: (
            lambda x: -x / s - mp.log(s),
            lambda x: -mp.expm1(-x / s),
            lambda x: mp.exp(-x / s),
            1 + mp.log(s),
        )
    ),
    "cauchy": (
        lambda m, s: (
            lambda x: -mp.log(mp.pi * s * (1 + ((x - m) / s) ** 2)),
            lambda x: mp.acot((m - x) / s) / mp.pi if x < m else 1 - mp.acot((x - m) / s) / mp.pi,
            lambda x: mp.acot((x - m) / s) / mp.pi if x > m else 1 - mp.acot((m - x) / s) / mp.pi,
            mp.log(4 * mp.pi * s),
        )
    ),
    "logistic": (
        lambda m, s: (
            lambda x: (m - x) / s - 2 * mp.log1p(mp.exp((m - x) / s)) - mp.log(s),
            lambda x: 1 / (1 + mp.exp((m - x) / s)),
            lambda x: 1 / (1 + mp.exp((x - m) / s)),
            2 + mp.log(s),
        )
    ),
}  # fmt: skip


@pytest.mark.rows("text", [
    "gamma(2, 1)", "gamma(0.02, 1)", "gamma(0.5, 1e-20)", "gamma(1.0000001, 3)", "gamma(17, 1)",
    "gamma(1e4, 1)",
    "beta(2, 5)", "beta(0.2, 3)", "beta(0.5, 0.5)", "beta(20, 30)", "beta(1, 1)", "beta(1e3, 2)",
    "lognormal(0, 0.5)", "lognormal(-5, 10)", "lognormal(0, 26)",
    "weibull(1.5, 2)", "weibull(0.02, 1)", "weibull(101, 2)", "pareto(0.5, 1)", "pareto(100, 3)",
    "exponential(1)", "exponential(1e-20)", "cauchy(0, 1)", "cauchy(3, 1e-3)", "logistic(-3, 0.1)",
])  # fmt: skip
def test_far_tails_and_extreme_parameters_are_exact(text):
    """Twelve digits from level 1e-250 up to 1 − 1e-15; F and 1 − F as far as the rounding of x allows."""
    name, _, numbers = text.removesuffix(")").partition("(")
    distribution = parse(text)
    with mp.workdps(50):
        numbers = [mp.mpf(float(number)) for number in numbers.split(",")]
        log_density, cdf, survival, entropy = EXACT[name](*numbers)
        assert distribution.entropy() == pytest.approx(float(entropy), rel=1e-13, abs=1e-13)
        u = np.array([1e-250, 1e-100, 1e-20, 1e-6, 0.3, 0.9, 1 - 1e-9, 1 - 1e-15])
        x = np.append(distribution.quantile(u), 40 * distribution.quantile(0.5))
        inside = (x > distribution.support[0]) & (x < distribution.support[1]) & np.isfinite(x)
        assert inside.sum() >= 5
        for value in x[inside]:
            t = mp.mpf(float(value))
            log_p = log_density(t)
            assert distribution.log_density(value) == pytest.approx(float(log_p), rel=1e-12, abs=1e-12)
            for f, exact in ((distribution.cdf, cdf(t)), (distribution.survival, survival(t))):
                if exact > 1e-290:
                    rounding = float(abs(t) * mp.exp(log_p) / exact) * 2.0**-52
                    assert f(value) == pytest.approx(float(exact), rel=1e-12 + 2 * rounding)


def test_edges_of_the_support():
    for text, ends in [("exponential(2)", (0.5, 0)), ("gamma(0.5)", (math.inf, 0)), ("gamma(1, 2)", (0.5, 0)),
                       ("gamma(3)", (0, 0)), ("weibull(0.5)", (math.inf, 0)), ("weibull(1)", (1, 0)),
                       ("beta(1, 7)", (7, 0)), ("beta(7, 1)", (0, 7)),
                       ("beta(0.5, 0.5)", (math.inf, math.inf)),
                       ("triangular(0, 0, 1)", (2, 0)), ("triangular(0, 1, 1)", (0, 2)),
                       ("pareto(3, 2)", (1.5, 0)), ("lognormal(0, 1)", (0, 0))]:  # fmt: skip
        distribution = parse(text)
        low, high = distribution.support
        assert distribution.density([low, high]) == pytest.approx(ends), text
        assert distribution.density(low - 1) == 0 == distribution.cdf(low - 1)
        assert distribution.survival(low - 1) == 1 and distribution.survival(math.inf) == 0
        assert distribution.integrated_cdf(low - 1) == 0


def test_survival_is_exact_where_the_cdf_rounds_to_one():
    assert Normal().survival(10) == pytest.approx(7.619853024160527e-24, rel=1e-13)
    assert Laplace().survival(100) == pytest.approx(0.5 * math.exp(-100), rel=1e-13)
    assert StudentT(1).survival(1e20) == pytest.approx(1e-20 / math.pi, rel=1e-12)
    assert Uniform(0, 3).survival([-1, 1, 4]) == pytest.approx([1, 2 / 3, 0])
    assert Triangular(0, 1, 2).survival(2 - 1e-9) == pytest.approx(0.5e-18, rel=1e-6)
    assert Mixture((0.5, 0.5), (Normal(), Normal(1, 1))).survival(11) == pytest.approx(
        0.5 * Normal().survival(11) + 0.5 * Normal().survival(10), rel=1e-13
    )


def test_moments_that_are_missing_or_beyond_float64():
    assert math.isnan(Cauchy().mean) and math.isnan(Cauchy().sd)
    assert (Pareto(1).mean, Pareto(1.5).mean, Pareto(1.5).sd) == (math.inf, 3, math.inf)
    assert LogNormal(0, 40).mean == LogNormal(0, 40).sd == math.inf
    assert Weibull(0.02).mean == pytest.approx(math.factorial(50)) and Weibull(0.02).sd < math.inf
    mixed = Mixture((0.5, 0.5), (Cauchy(), Exponential()))
    assert math.isnan(mixed.mean) and math.isfinite(mixed.entropy())
    for text in ("lognormal(2, 700)", "pareto(0.01, 1e300)", "student(1e308)", "logistic(4, 1e308)"):
        for distribution in (parse(text), parse(f"1*{text}")):  # without a warning
            assert not location_scale(distribution)[1] < 1e100 or "1e308" in text
    assert entropy_quadrature(Cauchy(3, 2)) == pytest.approx(math.log(8 * math.pi), abs=1e-10)
    assert entropy_quadrature(Beta(0.5, 0.5)) == pytest.approx(Beta(0.5, 0.5).entropy(), abs=1e-6)


def test_the_cauchy_quantile_in_closed_form():
    assert Cauchy().quantile([0, 0.25, 0.5, 0.75, 1]) == pytest.approx([-math.inf, -1, 0, 1, math.inf])
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


@pytest.mark.rows(
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
        (lambda: StudentT(0), ValueError, "student needs a finite dof of at least 0.01; received 0"),
        (lambda: Exponential(0), ValueError, "exponential needs a finite scale > 0; received 0"),
        (
            lambda: Gamma(1e-3),
            ValueError,
            "gamma needs a finite shape of at least 0.02 and at most 100000; received 0.001",
        ),
        (lambda: Gamma(2, -1), ValueError, "scale > 0"),
        (lambda: LogNormal(0, 0), ValueError, "sigma > 0"),
        (
            lambda: LogNormal(1000, 1),
            ValueError,
            r"within float64; received mu 1000 and sigma 1, from inf to inf",
        ),
        (lambda: LogNormal(-800, 1), ValueError, "from 0 to 0"),
        (lambda: Gamma(1e5, 1e304), ValueError, "gamma needs a mean, shape · scale, within float64"),
        (lambda: Normal("0", 1), TypeError, "normal needs a number for mean; received '0'"),
        (lambda: Normal(0, np.True_), TypeError, "number for sd; received"),
        (lambda: Exponential(b"1"), TypeError, "number for scale"),
        (lambda: Uniform(-(10**400), 0), ValueError, "finite low"),
        (lambda: Weibull(math.nan), ValueError, "finite shape"),
        (lambda: Pareto(0), ValueError, "shape of at least 0.01"),
        (lambda: Cauchy(0, -1), ValueError, "scale > 0"),
        (lambda: Beta(0.1, 1), ValueError, "beta needs a finite a of at least 0.2 and at most 100000"),
        (lambda: Triangular(0, 2, 1), ValueError, "low ≤ mode ≤ high"),
        (lambda: Triangular(1, 1, 1), ValueError, "low < high"),
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


@pytest.mark.rows(
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
