"""Mode coverage: counts by hand, perfect shares from SciPy's χ² and by simulation, planted failures found."""

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from minigan import backend
from minigan.evaluation import mode_coverage, modes_of
from minigan.evaluation import modes as modes_module
from minigan.probability import (
    Mixture,
    MultivariateMixture,
    MultivariateNormal,
    Normal,
    grid,
    kl,
    parse,
    ring,
    spiral,
)

TWO = parse("0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)")


def rng(seed=0):
    return np.random.default_rng(seed)


def by_hand(x, centres, sd, shares):
    """The definitions, one value at a time."""
    counts, good = np.zeros(len(centres), int), np.zeros(len(centres), int)
    for row in x:
        z = [math.dist(row, c) / s for c, s in zip(centres, sd, strict=True)]
        k = int(np.argmin(z))
        counts[k] += 1
        good[k] += z[k] <= 3
    return int((good > 0).sum()), good.sum() / len(x), kl(counts / len(x), shares), counts


def test_values_are_those_of_the_definitions():
    centres, sd = rng(1).normal(size=(5, 2)) * 3, np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    shares, x = np.array([0.1, 0.2, 0.3, 0.15, 0.25]), rng(2).normal(size=(300, 2)) * 3
    seen, expected = mode_coverage(x, centres, sd, shares), by_hand(x, centres, sd, shares)
    assert (seen.captured, seen.of) == (expected[0], 5) and seen.high_quality == pytest.approx(expected[1])
    assert seen.reverse_kl == pytest.approx(expected[2]) and seen.counts.tolist() == expected[3].tolist()
    assert 0 < seen.captured and 0 < seen.high_quality < 1  # the case is none of the trivial ones


def test_a_small_case_in_numbers():
    x = [[0.0, 0.0], [0.29, 0.0], [0.31, 0.0], [1.0, 0.0]]
    seen = mode_coverage(x, [[0, 0], [1, 0], [9, 9]], 0.1)
    assert (seen.captured, seen.high_quality, seen.counts.tolist()) == (2, 0.75, [3, 1, 0])
    assert seen.reverse_kl == pytest.approx(0.75 * math.log(0.75 * 3) + 0.25 * math.log(0.25 * 3))
    far = mode_coverage([[0.5, 0.0], [8.0, 8.0]], [[0, 0], [1, 0], [9, 9]], 0.1)
    assert (far.captured, far.high_quality) == (0, 0) and math.isfinite(far.reverse_kl)


def test_replicas_are_judged_one_by_one():
    distribution = ring(8, 1, 0.01)
    x = distribution.sample(rng(), (2, 3, 500))
    x[1, 2] = [1, 0]  # collapsed
    seen = mode_coverage(x, distribution.centres, distribution.mode_sd)
    assert seen.captured.shape == seen.high_quality.shape == seen.reverse_kl.shape == (2, 3)
    assert seen.counts.shape == (2, 3, 8) and (seen.counts.sum(axis=-1) == 500).all()
    for index in np.ndindex(2, 3):
        one = mode_coverage(x[index], distribution.centres, distribution.mode_sd)
        assert (seen.captured[index], seen.high_quality[index]) == (one.captured, one.high_quality)
        assert seen.reverse_kl[index] == one.reverse_kl
        assert seen.counts[index].tolist() == one.counts.tolist()
    assert seen.captured[1, 2] == 1 and seen.high_quality[1, 2] == 1
    assert seen.reverse_kl[1, 2] == pytest.approx(math.log(8))


# ── perfect samplers ────────────────────────────────────────────────────────────────────────────────────────
def test_perfect_high_quality_is_that_of_the_literature():
    assert modes_of(ring()).high_quality == pytest.approx(0.9889, abs=5e-5)
    assert mode_coverage([[0.0]], [0.0], 1.0).perfect_high_quality == pytest.approx(0.9973, abs=5e-5)
    for p in (1, 2, 3, 10):
        seen = mode_coverage(np.zeros((1, p)), np.zeros((1, p)), 1.0)
        assert seen.perfect_high_quality == pytest.approx(stats.chi2(p).cdf(9))


@pytest.mark.rows("distribution", [ring(), grid(), ring(2, 1, 0.1), TWO,
                                 parse("0.9*normal(0,1)+0.1*normal(5,0.1)")])  # fmt: skip
def test_perfect_samplers_have_the_perfect_values(distribution):
    """2 · 10⁵ values; shares and high quality within 5.5 standard errors: 30 and 5 of them, 2e-6 of seeds."""
    modes, n = modes_of(distribution), 200_000
    x = distribution.sample(rng(3), n).reshape(n, -1)
    seen = modes.coverage(x)
    assert seen.captured == seen.of == len(modes.centres)
    error = 5.5 * math.sqrt(modes.high_quality * (1 - modes.high_quality) / n)
    assert seen.high_quality == pytest.approx(modes.high_quality, abs=error)
    errors = 5.5 * np.sqrt(modes.shares * (1 - modes.shares) / n)
    assert (np.abs(seen.counts / n - modes.shares) < errors).all()
    assert seen.reverse_kl < 40 / n  # 2n KL is χ² with at most 24 degrees of freedom: beyond 80 in 1e-7


def test_shares_on_the_line_are_of_the_nearest_centre_not_the_weights():
    modes = modes_of(TWO)
    # the narrow mode takes the wide one's values from −1.652 to −0.545, where both are as many sd away
    middle, beyond = (-1 * 1.4 + 2 * 0.25) / 1.65, (-1 * 1.4 - 2 * 0.25) / 1.15
    assert modes.shares[0] == pytest.approx(TWO.cdf(middle) - TWO.cdf(beyond))
    assert modes.shares.sum() == pytest.approx(1) and modes.shares[0] > 0.337
    good = TWO.cdf(6.2) - TWO.cdf(-2.2)
    assert modes.high_quality == pytest.approx(good)


def test_planted_failures_are_found():
    distribution, n = ring(), 8000
    x, modes = distribution.sample(rng(4), n), modes_of(distribution)
    angle = np.arctan2(x[:, 1], x[:, 0])
    lost = modes.coverage(x[np.abs(angle) > 0.4])  # without the mode at angle 0
    assert lost.captured == 7 and lost.reverse_kl == pytest.approx(math.log(8 / 7), abs=0.01)
    nearest = distribution.centres[np.round(angle / (np.pi / 4)).astype(int) % 8]
    narrow = modes.coverage(nearest + 0.3 * (x - nearest))
    wide = modes.coverage(nearest + 1.5 * (x - nearest))
    assert narrow.high_quality == 1 > modes.high_quality > 0.9 > wide.high_quality
    assert narrow.captured == wide.captured == 8


# ── which distributions have modes ──────────────────────────────────────────────────────────────────────────
def test_distributions_with_modes():
    modes = modes_of(ring(5, 2, 0.1))
    assert (
        modes.centres.shape == (5, 2)
        and modes.sd.tolist() == [0.1] * 5
        and modes.shares == pytest.approx(0.2)
    )
    modes = modes_of(TWO)
    assert modes.centres.tolist() == [[-1], [2]] and modes.sd.tolist() == [0.25, 1.4]
    weighted = MultivariateMixture((0.0, 0.25, 0.75), tuple(
        MultivariateNormal([m, 0.0], s * s * np.eye(2)) for m, s in ((50, 1), (0, 1), (9, 2))))  # fmt: skip
    modes = modes_of(weighted)
    assert modes.shares.tolist() == [0.25, 0.75] and modes.sd.tolist() == [1, 2]
    assert modes_of(Mixture((0.5, 0.0, 0.5), (Normal(0, 1), Normal(1, 1), Normal(9, 1)))).sd.tolist() == [
        1,
        1,
    ]


@pytest.mark.rows("distribution", [
    Normal(0, 1), parse("0.5*normal(0,1)+0.5*normal(1.9,1)"), parse("0.5*normal(0,1)+0.5*normal(0,3)"),
    parse("0.5*normal(0,1)+0.5*laplace(9,1)"), parse("1*normal(0,1)"), spiral(), ring(1), ring(8, 0.1, 0.05),
    MultivariateNormal([0, 0], np.eye(2)),
    MultivariateMixture((0.5, 0.5), (MultivariateNormal([0, 0], [[1, 0.5], [0.5, 1]]),
                                     MultivariateNormal([9, 9], np.eye(2)))),
])  # fmt: skip
def test_distributions_without_modes(distribution):
    assert modes_of(distribution) is None


def test_thousands_of_centres_are_compared_in_blocks_with_the_same_result(monkeypatch):
    distribution, whole = spiral(4, 0.01), [modes_of(d) for d in (TWO, grid(5), ring(8))]
    distribution.mode_sd  # noqa: B018  # made once
    tracemalloc.start()
    assert modes_of(distribution) is None
    assert tracemalloc.get_traced_memory()[1] < 64 * 2**20  # 261 MiB for all pairs of 3376
    tracemalloc.stop()
    monkeypatch.setattr(modes_module, "BLOCK", 3)
    for before, after in zip(whole, [modes_of(d) for d in (TWO, grid(5), ring(8))], strict=True):
        assert (before.shares == after.shares).all() and before.high_quality == after.high_quality
    assert modes_of(ring(8, 0.1, 0.05)) is None


def test_arrays_of_any_backend_and_lists():
    distribution = ring()
    x = distribution.sample(rng(), 50)
    device = backend.get("strict").array(x)
    assert (
        modes_of(distribution).coverage(device).counts.tolist()
        == modes_of(distribution).coverage(x).counts.tolist()
    )
    assert modes_of(TWO).coverage([-1.0, 2.0, 2.1]).counts.tolist() == [1, 2]


@pytest.mark.rows("call, message", [
    (lambda: mode_coverage([[1.0, 2.0]], [[0.0]], 1.0), "centres of 1 features"),
    (lambda: mode_coverage([1.0, 2.0], [[0.0, 0.0]], 1.0), "centres of 2 features"),
    (lambda: mode_coverage([[1.0]], [[[0.0]]], 1.0), r"shape \(k, p\)"),
    (lambda: mode_coverage([1.0], [0.0], 0.0), "one positive number"),
    (lambda: mode_coverage([1.0], [0.0, 1.0], [1.0, 1.0, 1.0]), "each of the 2 modes"),
    (lambda: mode_coverage([1.0], [0.0, 1.0], 1.0, [0.5, 0.6]), "sum 1.1"),
    (lambda: mode_coverage([1.0], [0.0, 1.0], 1.0, [1.0, 0.0]), "positive numbers of sum one"),
    (lambda: mode_coverage([math.inf], [0.0], 1.0), "not finite"),
    (lambda: mode_coverage([], [0.0], 1.0), "empty"),
])  # fmt: skip
def test_what_cannot_be_counted_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
