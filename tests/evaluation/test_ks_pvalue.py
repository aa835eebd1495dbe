"""p-values of the Kolmogorov–Smirnov statistic: against whole numbers, SciPy, and across each switch."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from scipy import special, stats

from minigan.evaluation import ks_pvalue, ks_two_sample


# ── one sample
@pytest.mark.parametrize("n", [1, 2, 3, 7, 20, 140, 1000, 1001, 2000, 20_000])
def test_one_sample_p_values_equal_the_exact_distribution(n):
    d = np.unique(np.concatenate([np.linspace(0.3 / n, 1, 25), np.linspace(0.3, 3, 40) / math.sqrt(n)]))
    d = d[d <= 1]
    p = np.array([ks_pvalue.one_sample(float(t), n) for t in d])
    exact = stats.kstwo.sf(d, n)
    assert np.abs(p - exact).max() < 1e-4
    small = (exact < 6e-4) & (exact > 1e-280)  # far tails are right in relative terms too
    assert p[small] == pytest.approx(exact[small], rel=1e-6)
    assert (np.diff(p) <= 1e-9).all()


def test_the_two_regimes_meet():
    n = ks_pvalue.EXACT_ONE_SAMPLE
    for d in np.array([0.5, 0.8, 1.2, 1.6, 1.99]) / math.sqrt(n):
        corrected = stats.kstwo.sf(d, n)
        assert ks_pvalue._durbin(d, n) == pytest.approx(corrected, abs=1e-6)


@pytest.mark.rows("n", [1001, 3000, 20_000])
@pytest.mark.rows("z", [2.0, 3.0, 8.0, 17.0])
def test_the_one_sided_integral_is_the_sum(n, z):
    d = z / math.sqrt(n)
    assert ks_pvalue._one_sided(d, n) == pytest.approx(float(special.smirnov(n, d)), rel=1e-12)


@pytest.mark.rows("n", [5, 50, 1000, 1001, 10**6, 10**9, 10**12])
def test_one_sample_p_values_fall_across_every_switch(n):
    switches = [1 / (2 * n), 2 / math.sqrt(n), 0.5]
    d = np.array([s * (1 + e) for s in switches for e in (-1e-2, -1e-4, -1e-6, 1e-6, 1e-4, 1e-2)])
    p = [ks_pvalue.one_sample(float(t), n) for t in np.sort(d[d < 1])]
    assert all(later <= earlier for earlier, later in pairwise(p)) and 0 <= p[-1] and p[0] == 1


def test_a_large_sample_far_away_keeps_its_digits():
    # the limit n → ∞ at n d² = 81 is 2 e^(−162), less what a finite n makes of it
    p = ks_pvalue.one_sample(9e-6, 10**12)
    assert p == pytest.approx(2 * math.exp(-162) * math.exp(-2 / 3 * 9e-6 - 4 / 9 * 81 * 81e-12), rel=1e-4)
    assert ks_pvalue.one_sample(1.0, 10**6) == 0.0


# ── two samples
def counted(reach, n, m):
    """The share of paths that touch |i·m − j·n| ≥ reach, in whole numbers."""
    row = [0] * (m + 1)
    for i in range(n + 1):
        for j in range(m + 1):
            if abs(i * m - j * n) >= reach:
                row[j] = 0
            elif i + j:
                row[j] = (row[j] if i else 0) + (row[j - 1] if j else 0)
            else:
                row[j] = 1
    return Fraction(math.comb(n + m, n) - row[m], math.comb(n + m, n))


@pytest.mark.rows("n", range(1, 9))
def test_every_p_value_of_small_samples_is_the_count(n):
    for m in range(1, 9):
        for reach in range(n * m + 1):
            exact = float(counted(reach, n, m))
            assert ks_pvalue.two_sample(reach, n, m) == pytest.approx(exact, rel=1e-13)


@pytest.mark.rows(
    ("n", "m", "d"),
    [
        (10, 5000, 0.88),
        (10, 5000, 0.89),
        (10, 5000, 1.0),
        (100, 37, 0.7),
        (60, 60, 0.5),
        (64, 96, 0.9),
        (1, 99, 0.9),
    ],
)
def test_small_p_values_keep_their_digits(n, m, d):
    reach = round(d * n * m)
    assert ks_pvalue.two_sample(reach, n, m) == pytest.approx(float(counted(reach, n, m)), rel=1e-12)


def test_two_sample_p_values_never_rise():
    """At n = 10, m = 5000 they rose from 1.3e-9 to 1.5e-7 where another formula began."""
    sizes = ((10, 5000, 42_000), (30, 30, 0), (50, 400, 0), (100, 101, 0), (20_000, 30_000, 0))
    for n, m, start in sizes:
        reaches = range(start, n * m + 1, max(1, (n * m - start) // 40))
        p = [ks_pvalue.two_sample(reach, n, m) for reach in reaches]
        assert all(later <= earlier for earlier, later in pairwise(p)) and p[-1] < 1e-10


def test_equal_sizes_by_reflection_are_the_paths():
    for n, reaches in ((7, range(1, 8)), (200, range(1, 200, 13))):
        for h in reaches:
            assert ks_pvalue.two_sample(h * n, n, n) == pytest.approx(
                ks_pvalue._paths(h * n, n, n), rel=1e-11
            )


@pytest.mark.parametrize("n, m", [(1000, 1200), (900, 3001), (40, 20_000), (3, 20_000)])
def test_beyond_what_is_counted(n, m, monkeypatch):
    for z in (0.4, 0.6, 0.9, 1.2, 1.7):
        g = math.gcd(n, m)
        reach = round(z / math.sqrt(n * m / (n + m)) * n * m / g) * g
        exact = ks_pvalue.two_sample(reach, n, m)
        with monkeypatch.context() as patch:
            patch.setattr(ks_pvalue, "EXACT_TWO_SAMPLE", (0, 0))
            assert ks_pvalue.two_sample(reach, n, m) == pytest.approx(exact, abs=1e-4 if m > 10 * n else 2e-3)


def test_ties_are_conservative():
    """With ties KS is smaller, so its p-value is larger than the share of arrangements that reach it."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, 12), rng.integers(0, 4, 9)
    observed, pooled = ks_two_sample(a, b), np.concatenate([a, b])
    shuffled = [ks_two_sample(*np.split(rng.permutation(pooled), [12])).statistic for _ in range(2000)]
    share = (np.array(shuffled) >= observed.statistic - 1e-12).mean()
    assert observed.pvalue >= share - 4 * math.sqrt(share / 2000)
    assert observed.pvalue == pytest.approx(float(counted(round(observed.statistic * 108), 12, 9)), rel=1e-12)
