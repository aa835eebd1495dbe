"""Kolmogorov–Smirnov, Wasserstein-1, energy distance, MMD: against SciPy, quadrature and hand counts."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from minigan import backend
from minigan.evaluation import (
    ecdf,
    energy_test,
    ks_one_sample,
    ks_statistic,
    ks_two_sample,
    mmd2,
    mmd_test,
    perfect_ks_band,
    two_sample,
    wasserstein1,
    wasserstein1_to,
)
from minigan.probability import Empirical, Laplace, Normal, StudentT, Uniform, parse

tied = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12)


def test_the_ecdf_is_right_continuous():
    f = ecdf([2.0, 1.0, 2.0, 4.0])
    x = [0.0, 1.0, 2.0, 3.0, 4.0]
    assert f(x).tolist() == [0, 0.25, 0.75, 0.75, 1] and f.left(x).tolist() == [0, 0, 0.25, 0.75, 0.75]
    assert f(1.5) == 0.25 and f(math.inf) == 1


# ── Kolmogorov–Smirnov ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.rows("n", [1, 2, 5, 30, 99, 500, 1001, 5000])
def test_one_sample_equals_scipy(n):
    x = Normal(4.05, 1.3).sample(np.random.default_rng(n), n)
    result, reference = ks_one_sample(x, Normal(4, 1.25)), stats.ks_1samp(x, stats.norm(4, 1.25).cdf)
    assert result.statistic == pytest.approx(reference.statistic, abs=1e-14)
    assert result.pvalue == pytest.approx(reference.pvalue, abs=1e-4)
    assert result.location == reference.statistic_location


@given(sample=tied, shift=st.integers(-2, 2))
@settings(max_examples=100, deadline=None)
def test_one_sample_with_ties_is_the_supremum(sample, shift):
    distribution = Normal(shift, 1.5)
    f = ecdf(sample)
    near = np.unique(sample)
    x = np.concatenate([near, near - 1e-9, near + 1e-9])
    assert ks_one_sample(sample, distribution).statistic == pytest.approx(
        np.abs(f(x) - distribution.cdf(x)).max(), abs=1e-8
    )
    assert ks_one_sample(sample, distribution.cdf).statistic == ks_one_sample(sample, distribution).statistic


@given(a=tied, b=tied)
@settings(max_examples=150, deadline=None)
def test_two_samples_with_ties_by_every_door(a, b):
    x = np.unique(a + b)
    statistic = np.abs(ecdf(a)(x) - ecdf(b)(x)).max()
    result = ks_two_sample(a, b)
    assert result.statistic == pytest.approx(statistic, abs=1e-15)
    assert abs(ecdf(a)(result.location) - ecdf(b)(result.location)) == pytest.approx(statistic)
    # a data set as a step-function distribution: left limits make the one-sample form equal
    assert ks_one_sample(a, Empirical(b)).statistic == pytest.approx(statistic, abs=1e-15)
    assert ks_one_sample(a, ecdf(b)).statistic == pytest.approx(statistic, abs=1e-15)
    assert ks_two_sample(b, a) == result or ks_two_sample(b, a).pvalue == pytest.approx(result.pvalue)


def test_without_left_limits_a_step_function_counts_as_continuous():
    a = [1.0, 2.0]
    assert ks_one_sample(a, Empirical(a)).statistic == 0
    assert ks_one_sample(a, lambda x: Empirical(a).cdf(x)).statistic == 0.5


@pytest.mark.rows("n, m", [(1, 1), (2, 5), (7, 7), (10, 25), (40, 30), (100, 37)])
def test_two_sample_p_values_equal_scipys_exact(n, m):
    rng = np.random.default_rng(n * m)
    for shift in (0, 0.3, 1, 3):
        a, b = rng.normal(size=n), rng.normal(shift, 1, m)
        result, reference = ks_two_sample(a, b), stats.ks_2samp(a, b, method="exact")
        assert result.statistic == pytest.approx(reference.statistic, abs=1e-15)
        assert result.pvalue == pytest.approx(min(1, reference.pvalue), rel=1e-9)


def test_two_sample_p_values_by_counting_all_arrangements():
    n, m = 4, 3
    statistics = []
    for chosen in itertools.combinations(range(n + m), n):
        a = np.array(chosen, float)
        statistics.append(ks_two_sample(a, np.setdiff1d(np.arange(n + m), chosen)).statistic)
    statistics = np.array(statistics)
    for chosen in ((0, 1, 2, 3), (0, 2, 4, 6), (1, 2, 3, 4), (0, 1, 3, 5)):
        a = np.array(chosen, float)
        result = ks_two_sample(a, np.setdiff1d(np.arange(n + m), chosen))
        assert result.pvalue == pytest.approx((statistics >= result.statistic - 1e-12).mean(), abs=1e-12)


def test_extreme_two_samples():
    assert ks_two_sample([1.0, 2.0], [1.0, 2.0]) == two_sample.KSResult(0.0, 1.0, 1.0)
    far = ks_two_sample(np.arange(500.0), np.arange(500.0) + 1e3)
    assert far.statistic == 1 and 0 <= far.pvalue < 1e-200
    assert ks_two_sample([0.0], [1.0]).pvalue == 1
    big = ks_two_sample(np.zeros(20_000), np.append(np.zeros(29_999), 1.0))
    assert big.statistic == pytest.approx(1 / 30_000) and big.pvalue == pytest.approx(1)


def test_null_p_values_are_uniform_and_wrong_targets_are_rejected():
    # 400 p-values against the uniform distribution at 1e-7
    rng = np.random.default_rng(3)
    p = [ks_one_sample(x, Normal(0, 1)).pvalue for x in rng.normal(size=(400, 200))]
    assert ks_one_sample(p, Uniform(0, 1)).pvalue > 1e-7
    assert ks_one_sample(rng.normal(size=2000), Normal(0.3, 1)).pvalue < 1e-7
    assert ks_two_sample(rng.normal(size=2000), rng.normal(0.4, 1, 2000)).pvalue < 1e-7


@pytest.mark.rows(
    "f",
    [
        lambda x: ks_one_sample(x, Normal()),
        lambda x: ks_two_sample(x, [1.0]),
        lambda x: ks_two_sample([1.0], x),
        ecdf,
        lambda x: wasserstein1(x, [1.0]),
        lambda x: wasserstein1_to(x, Normal()),
    ],
)
@pytest.mark.rows("x", [[], [1.0, math.nan], [math.inf], [[1.0], [2.0]]])
def test_bad_samples_are_refused(f, x):
    with pytest.raises(ValueError):  # SciPy's ks_2samp returns nan for the first two
        f(x)


@pytest.mark.parametrize("cdf", [lambda x: x, lambda x: 0.5, lambda x: np.full_like(x, math.nan)])
def test_what_is_no_cdf_is_refused(cdf):
    with pytest.raises(ValueError, match="CDF"):
        ks_one_sample([3.0, 4.0], cdf)


def test_arrays_of_every_backend_and_dtype_agree():
    a, b = np.random.default_rng(0).normal(size=(2, 50)).astype("float32")
    strict = backend.get("strict")
    on_device = strict.array(a), strict.array(b)
    for f in (ks_two_sample, wasserstein1):
        assert f(*on_device) == f(a, b) == f(a.astype(float), list(map(float, b)))
    for f in (ks_one_sample, wasserstein1_to):
        assert f(on_device[0], Normal()) == f(a, Normal())


def test_the_band_of_a_perfect_sampler():
    # the table of simulated floors: n = 10 000 and 100 000, one- and two-sample, median and 95 %
    assert perfect_ks_band(10_000) == pytest.approx((0.00826, 0.01358), rel=5e-3)
    assert perfect_ks_band(100_000) == pytest.approx((0.00265, 0.00415 * 1.03), rel=3.5e-2)
    assert perfect_ks_band(10_000, 10_000) == pytest.approx((0.0115, 0.0190), rel=2e-2)
    assert perfect_ks_band(10**8)[0] * 1e4 == pytest.approx(0.8276, abs=1e-3)
    for n in (20, 200, 2000):  # against the exact distribution
        median, bound = perfect_ks_band(n)
        assert stats.kstwo.sf([median, bound], n) == pytest.approx([0.5, 0.05], abs=1e-3)
    assert perfect_ks_band(100, level=0.99)[1] == pytest.approx(stats.kstwo.ppf(0.99, 100), rel=1e-3)
    for n in range(1, 20):
        assert stats.kstwo.sf(perfect_ks_band(n), n) == pytest.approx([0.5, 0.05], abs=1e-9)
    for sizes in ((1,), (1, 1), (2, 3), (1, 10**6)):  # of one value the 95 % were below 1.056
        median, bound = perfect_ks_band(*sizes)
        assert 0 < median <= bound <= 1
    for sizes in ((0,), (5, 0)):
        with pytest.raises(ValueError, match="the size of a sample is a whole number ≥ 1; received 0"):
            perfect_ks_band(*sizes)
    for level in (1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match=r"level is a number in \[0, 1\)"):
            perfect_ks_band(5, level=level)


def test_a_cdf_of_single_precision_may_round_beyond_one():
    x = np.array([0.1, 0.5, 0.9])
    for dtype in ("float32", "float16"):
        above = np.nextafter(np.ones((), dtype), np.array(2, dtype))
        result = ks_one_sample(x, lambda t, above=above: np.where(t > 0.8, above, t.astype(above.dtype)))
        assert 0 <= result.statistic <= 1
    with pytest.raises(ValueError, match="CDF"):
        ks_one_sample(x, lambda t: t + 0.11)


# ── Wasserstein-1 ───────────────────────────────────────────────────────────────────────────────────────────
@given(a=tied, b=tied)
@settings(max_examples=150, deadline=None)
def test_w1_equals_scipys_for_all_sizes_and_ties(a, b):
    assert wasserstein1(a, b) == pytest.approx(stats.wasserstein_distance(a, b), abs=1e-12)
    assert wasserstein1(a, b) == pytest.approx(wasserstein1(b, a), abs=1e-12)
    difference = 10 + np.mean(b) - np.mean(a)
    assert wasserstein1(a, np.array(b) + 10) == pytest.approx(difference)  # b lies above all of a
    assert wasserstein1_to(a, Empirical(b)) == pytest.approx(wasserstein1(a, b), abs=1e-12)


@pytest.mark.rows(
    "distribution",
    [
        Normal(4, 1.25),
        Uniform(-1, 2),
        Laplace(0, 2),
        StudentT(3),
        StudentT(1.2, 1),
        parse("0.33*normal(-1,0.25)+0.67*normal(2,1.4)"),
    ],
)
@pytest.mark.rows("n", [1, 2, 17])
def test_w1_to_a_distribution_equals_quadrature(distribution, n):
    x = np.sort(distribution.sample(np.random.default_rng(n), n)) * 1.3
    f = ecdf(x)
    edges = np.unique(
        np.concatenate(
            [x, distribution.quantile(np.arange(n + 1) / n), distribution.quantile([0.01, 0.5, 0.99])]
        )
    )
    total = 0.0
    for a, b in zip(edges, edges[1:], strict=False):
        level = f(a) if math.isfinite(a) else 0.0
        total += integrate.quad(
            lambda t, level=level: abs(distribution.cdf(t) - level), a, b, epsabs=1e-12, limit=200
        )[0]
    tolerance = 1e-8 if distribution != StudentT(1.2, 1) else 1e-2  # SciPy's own error in so slow a tail
    assert wasserstein1_to(x, distribution) == pytest.approx(total, abs=tolerance)


def test_w1_to_a_distribution_in_closed_form():
    assert wasserstein1_to([0.0], Normal(0, 1)) == pytest.approx(math.sqrt(2 / math.pi), abs=1e-15)  # E|X|
    assert wasserstein1_to([0.0], Laplace(0, 3)) == pytest.approx(3)
    assert wasserstein1_to([100.0, 100.0], Normal(0, 1)) == pytest.approx(100, abs=1e-12)
    assert wasserstein1_to([1e8 + 1.0, 1e8 + 1.0], Normal(1e8, 1)) == pytest.approx(
        wasserstein1_to([1.0], Normal())
    )
    assert wasserstein1_to([0.0, 1.0], StudentT(1)) == math.inf
    perfect = Normal(4, 1.25).quantile((np.arange(1000) + 0.5) / 1000)
    assert wasserstein1_to(perfect, Normal(4, 1.25)) < 3e-3


def test_w1_of_a_shift_is_the_shift():
    x = Normal().sample(np.random.default_rng(0), 10_000)
    assert wasserstein1(x, x + 0.7) == pytest.approx(0.7)
    # W1 of a perfect sampler is about 0.012, which bounds the difference (triangle inequality)
    assert abs(wasserstein1_to(x + 0.7, Normal()) - 0.7) <= wasserstein1_to(x, Normal()) < 0.06


def test_rows_of_samples_are_measured_at_once():
    distribution, x = Laplace(1, 2), np.sort(Laplace(1, 2).sample(np.random.default_rng(0), (3, 4, 20)))
    together = two_sample.wasserstein1_of_rows(x, distribution, two_sample.inner_quantiles(20, distribution))
    assert together.shape == (3, 4)
    assert together[1, 2] == pytest.approx(wasserstein1_to(x[1, 2], distribution), abs=1e-15)


# ── energy distance ─────────────────────────────────────────────────────────────────────────────────────────
def test_the_energy_distance_by_hand():
    x, y = np.array([0.0, 1.0]), np.array([3.0, 5.0])
    result = energy_test(x, y, np.random.default_rng(0))
    between, within_x, within_y = np.mean([3, 5, 2, 4]), 0.5, 1.0
    assert result.statistic == pytest.approx(2 * between - within_x - within_y)
    # one feature: twice the squared L2 distance of the CDFs, as SciPy has it (squared)
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=50), rng.normal(1, 1, 70)
    assert energy_test(a, b, rng).statistic == pytest.approx(stats.energy_distance(a, b) ** 2)


def test_the_energy_test_tells_distributions_apart_in_several_features():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 3))
    same, scaled = rng.normal(size=(200, 3)), rng.normal(size=(300, 3)) * 1.6
    null, other = energy_test(x, same, rng), energy_test(x, scaled, rng)
    assert other.pvalue == pytest.approx(1 / 201) and other.statistic > 2 * other.bound > 2 * other.median
    assert null.statistic < other.statistic and 0 < null.pvalue <= 1
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert energy_test(x @ turned, same @ turned, rng).statistic == pytest.approx(null.statistic, rel=1e-6)


def test_the_energy_test_keeps_its_level():
    # p ≤ 0.05 in 5 % of 100 nulls; 24 or more have probability 1e-10
    rng = np.random.default_rng(4)
    rejected = sum(
        energy_test(*rng.normal(size=(2, 20, 2)), rng, permutations=39).pvalue <= 0.05 for _ in range(100)
    )
    assert rejected < 24


def test_equal_and_constant_rows_are_not_told_apart():
    x = np.ones((5, 2))
    assert energy_test(x, x, np.random.default_rng(0)).pvalue == 1
    x = np.random.default_rng(0).normal(size=(30, 2))
    assert energy_test(x, x, np.random.default_rng(0)).pvalue == 1


def test_large_samples_are_thinned_and_seeds_repeat():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3000, 2)), rng.normal(size=(60, 2))
    first = energy_test(x, y, np.random.default_rng(5), rows=50)
    assert first == energy_test(x, y, np.random.default_rng(5), rows=50) != energy_test(x, y, rng, rows=50)


# ── MMD ─────────────────────────────────────────────────────────────────────────────────────────────────────
def mmd2_by_hand(x, y, bandwidth):
    """The unbiased estimate, one pair at a time."""

    def k(a, b):
        return math.exp(-(math.dist(a, b) ** 2) / (2 * bandwidth**2))

    n, m = len(x), len(y)
    within_x = sum(k(a, b) for a, b in itertools.permutations(x, 2)) / (n * (n - 1))
    within_y = sum(k(a, b) for a, b in itertools.permutations(y, 2)) / (m * (m - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_mmd_is_the_mean_over_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(23, 3)), rng.normal(0.5, 2, size=(31, 3))
    for bandwidth in (0.3, 1.0, 20.0):
        assert mmd2(x, y, bandwidth) == pytest.approx(mmd2_by_hand(x, y, bandwidth), abs=1e-12)
        test = mmd_test(x, y, rng, bandwidth=bandwidth)
        assert test.statistic == pytest.approx(mmd2_by_hand(x, y, bandwidth), abs=1e-12)
        assert test.bandwidth == bandwidth
    assert mmd2(x + 1e6, y + 1e6, 1.0) == pytest.approx(mmd2(x, y, 1.0), abs=1e-6)
    assert mmd2([0.0, 0.0], [9.0, 9.0], 1.0) == pytest.approx(2 - 2 * math.exp(-40.5))


def test_the_bandwidth_is_the_median_of_all_distances():
    x, y = np.array([0.0, 1.0]), np.array([3.0, 7.0])  # distances 1, 2, 3, 4, 6, 7
    assert mmd_test(x, y, np.random.default_rng(0)).bandwidth == pytest.approx(3.5)
    assert mmd2(x, y) == pytest.approx(mmd2(x, y, 3.5))
    # rows that are equal do not count: 90 · 1, 90 · 3, 1 · 2
    x, y = np.zeros(90), np.array([1.0, 3.0])
    assert mmd_test(x, y, np.random.default_rng(0)).bandwidth == pytest.approx(2.0)
    # beyond 1000 rows a side every so many; the median of |N(0, 2)| is √2 · 0.6745
    x, y = np.random.default_rng(1).normal(size=(2, 4000))
    assert mmd_test(x, y, np.random.default_rng(0)).bandwidth == pytest.approx(0.9539, abs=0.05)


def test_mmd_of_normal_distributions_is_the_known_value():
    """N(0, I), N(μ, I): 2 (h²/(h² + 2))^(p/2) (1 − exp(−|μ|²/(2(h² + 2)))), within 6 standard errors."""
    rng, n, h, p, shift = np.random.default_rng(3), 3000, 1.3, 2, 0.7
    x, y = rng.normal(size=(n, p)), rng.normal(size=(n, p)) + [shift, 0]
    known = 2 * (h * h / (h * h + 2)) ** (p / 2) * (1 - math.exp(-(shift**2) / (2 * (h * h + 2))))
    blocks = [mmd2(a, b, h) for a, b in zip(np.split(x, 30), np.split(y, 30), strict=True)]
    error = np.std(blocks, ddof=1) / math.sqrt(30)  # of their mean; unbiased, however few rows
    assert np.mean(blocks) == pytest.approx(known, abs=6 * error) and 6 * error < 0.7 * known
    assert mmd2(x, y, h) == pytest.approx(known, abs=6 * error)


def test_the_parts_of_a_large_kernel_add_up(monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(2, 100, 2))
    whole = mmd2(x, y)
    monkeypatch.setattr(two_sample, "_CHUNK", 700)
    assert mmd2(x, y) == pytest.approx(whole, abs=1e-13)


def test_the_mmd_test_tells_distributions_apart_and_keeps_its_level():
    rng = np.random.default_rng(5)
    x, ring = rng.normal(size=(300, 2)), rng.normal(size=(250, 2))
    ring *= 1.2 / np.hypot(*ring.T)[:, None]  # the same mean, nearly the same covariance
    test = mmd_test(x, ring, rng, bandwidth=0.5)
    assert test.pvalue == pytest.approx(1 / 201) and test.statistic > 2 * test.bound > 2 * test.median
    # unbiased: below zero for about half of equal distributions; 24 of 100 have p ≤ 0.05 with probability
    # 1e-10
    tests = [mmd_test(*rng.normal(size=(2, 20, 2)), rng, permutations=39) for _ in range(100)]
    assert sum(t.pvalue <= 0.05 for t in tests) < 24 and 20 < sum(t.statistic < 0 for t in tests) < 95
    assert mmd_test(x, x, rng).pvalue == 1 and mmd_test(np.ones((5, 2)), np.ones((5, 2)), rng).pvalue == 1


def test_permuted_values_are_those_of_permuted_rows():
    """Every split of 3 + 3 rows, by hand; a permutation test can only see these."""
    rows = np.random.default_rng(0).normal(size=(6, 2))
    splits = [(rows[list(c)], np.delete(rows, c, axis=0)) for c in itertools.combinations(range(6), 3)]
    by_hand = sorted(mmd2_by_hand(a, b, 1.0) for a, b in splits)
    test = mmd_test(rows[:3], rows[3:], np.random.default_rng(1), permutations=4000, bandwidth=1.0)
    assert test.median == pytest.approx(np.median(by_hand), abs=by_hand[12] - by_hand[8])
    share = np.mean(np.array(by_hand) >= mmd2_by_hand(rows[:3], rows[3:], 1.0) - 1e-12)
    assert test.pvalue == pytest.approx(share, abs=0.04)  # 5 standard errors


def test_ks_without_its_p_value_is_the_same_ks():
    for a, b in (
        np.random.default_rng(0).integers(0, 5, (2, 40)),
        np.random.default_rng(1).normal(size=(2, 30)),
    ):
        assert ks_statistic(a, b[:17]) == pytest.approx(ks_two_sample(a, b[:17]).statistic, abs=1e-15)


@pytest.mark.rows("test", [energy_test, mmd_test])
@pytest.mark.rows(
    "x, y", [([[1.0, 2.0]] * 3, [[1.0]] * 3), ([1.0], [1.0, 2.0]), ([], [1.0]), ([1.0, math.inf], [1.0, 2.0])]
)
def test_bad_rows_are_refused(test, x, y):
    with pytest.raises(ValueError):
        test(x, y, np.random.default_rng(0))


@pytest.mark.rows(
    "options, message",
    [
        ({"permutations": 1.5}, "permutations is a whole number ≥ 1; received 1.5"),
        ({"rows": None}, "rows is a whole number ≥ 2; received None"),
        ({"bandwidth": "a"}, "a bandwidth is a finite positive number; received 'a', which is text"),
        ({"bandwidth": True}, "a bandwidth is a finite positive number; received True"),
        ({"permutations": 0}, "permutations is a whole number ≥ 1"),
        ({"rows": 1}, "rows is a whole number ≥ 2"),
        ({"bandwidth": 0.0}, "a bandwidth is a finite positive number"),
        ({"bandwidth": math.nan}, "a bandwidth is a finite positive number"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mmd_test([1.0, 2.0], [2.0, 3.0], np.random.default_rng(0), **options)


@pytest.mark.rows("scale", [1e160, 1e-160, 1e300, 1e-300, 2.0**-20])
@pytest.mark.rows("shape", [(-1,), (-1, 2)])
def test_distances_of_any_scale_are_the_same(scale, shape):
    """Squares of 1e160 overflowed to NaN, and of 1e-300 vanished to a p-value of 1."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=60).reshape(shape), rng.normal(0.5, 1, 40).reshape(shape)
    here, there = (energy_test(s * x, s * y, np.random.default_rng(1)) for s in (1.0, scale))
    assert there.pvalue == here.pvalue and there.statistic / scale == pytest.approx(here.statistic, rel=1e-9)
    assert mmd2(scale * x, scale * y) == pytest.approx(mmd2(x, y), rel=1e-9)
    assert mmd2(scale * x, scale * y, 2 * scale) == pytest.approx(mmd2(x, y, 2.0), rel=1e-9)
    here, there = (mmd_test(s * x, s * y, np.random.default_rng(1)) for s in (1.0, scale))
    assert there.pvalue == here.pvalue and there.bandwidth / scale == pytest.approx(here.bandwidth, rel=1e-9)


def test_bandwidths_far_from_the_data_have_their_limits():
    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.5])
    for bandwidth in (1e-300, 1e300):  # no row resembles another; every row is like every other
        assert mmd2(x, y, bandwidth) == 0.0


def test_a_permutation_test_needs_a_generator():
    with pytest.raises(TypeError, match=r"rng is a NumPy Generator; received 0, give np.random.default_rng"):
        energy_test([1.0, 2.0], [2.0, 3.0], 0)
