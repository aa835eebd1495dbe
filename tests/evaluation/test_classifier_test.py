"""The classifier two-sample test: what it must see, what it must not see, and the arithmetic of chance."""

import numpy as np
import pytest
from scipy import stats

from minigan.evaluation.classifier_test import C2ST, _against_chance, classifier_two_sample_test

CERTAIN = 1e-6  # p-values below it are a detection; equal distributions fall below it in at most so many runs


def judged(a, b, seed=0, **arguments):
    return classifier_two_sample_test(a, b, np.random.default_rng(seed), **arguments)


def images(n, rng, smoothness):
    """16 × 16 noise whose neighbouring pixels are correlated, unit variance."""
    x = rng.standard_normal((n, 16, 16))
    for axis in (1, 2):
        x = np.sqrt(1 - smoothness**2) * x + smoothness * np.roll(x, 1, axis=axis)
    return x.reshape(n, 256)


def grid(n, rng, sd):
    """25 narrow modes."""
    return 2.0 * rng.integers(-2, 3, size=(n, 2)) + sd * rng.standard_normal((n, 2))


def different(name, n, rng):
    normal = rng.standard_normal
    correlated = normal((n, 2)) @ np.linalg.cholesky([[1.0, 0.5], [0.5, 1.0]]).T
    return {
        "mean by 0.3 sd": lambda: (normal(n), normal(n) + 0.3),
        "variance by 1.3²": lambda: (normal((n, 1)), 1.3 * normal((n, 1))),
        "correlation 0.5": lambda: (normal((n, 2)), correlated),
        "width of modes": lambda: (grid(n, rng, 0.1), grid(n, rng, 0.2)),
        "3 modes of 25 missing": lambda: (grid(n, rng, 0.1), _without_a_corner(grid(2 * n, rng, 0.1))[:n]),
        "noise of images": lambda: (images(n, rng, 0.2), images(n, rng, 0.4)),
        "a faint axis": lambda: (  # 1e-4 of the other's size, and 20 % larger in one sample
            normal((n, 2)) @ [[1, 1], [1e-4, -1e-4]],
            normal((n, 2)) @ [[1, 1], [1.3e-4, -1.3e-4]],
        ),
    }[name]()


def _without_a_corner(x):
    return x[x.sum(axis=1) < 5]


@pytest.mark.parametrize(("name", "n", "least"), [
    ("mean by 0.3 sd", 6000, 0.54),
    ("variance by 1.3²", 6000, 0.54),
    ("correlation 0.5", 3000, 0.54),
    ("width of modes", 3000, 0.6),
    ("3 modes of 25 missing", 6000, 0.535),
    ("noise of images", 1500, 0.8),
    ("a faint axis", 6000, 0.54),
])  # fmt: skip
def test_a_difference_is_seen(name, n, least):
    result = judged(*different(name, n, np.random.default_rng(1)), steps=600)
    assert result.accuracy > least and not result.within and result.pvalue < CERTAIN


def test_the_accuracy_is_near_the_best_there_is():
    """Means one sd apart: no rule is right more often than Φ(½) = 0.6915; six deviations below: 1e-9."""
    rng = np.random.default_rng(2)
    n = 6000
    result = judged(rng.standard_normal(n), rng.standard_normal(n) + 1.0)
    best = stats.norm.cdf(0.5)
    sd = np.sqrt(best * (1 - best) / result.n_test)
    assert best - 0.01 - 6 * sd < result.accuracy < best + 6 * sd


@pytest.mark.rows("case", ["one number", "two", "grid", "images"])
def test_equal_distributions_are_not_told_apart(case):
    """p > 1e-6, which fails in at most one of 1e6 runs with other seeds."""
    rng = np.random.default_rng(3)
    a, b = {
        "one number": lambda: (rng.standard_t(3, 4000), rng.standard_t(3, 4000)),
        "two": lambda: (rng.standard_normal((3000, 2)), rng.standard_normal((3000, 2))),
        "grid": lambda: (grid(3000, rng, 0.1), grid(3000, rng, 0.1)),
        "images": lambda: (images(800, rng, 0.4), images(800, rng, 0.4)),
    }[case]()
    result = judged(a, b, steps=400)
    assert result.pvalue > CERTAIN and abs(result.accuracy - 0.5) < 0.1


def test_false_alarms_are_as_rare_as_promised():
    """60 tests of equal distributions at 5 %: 16 or more false alarms have a probability of 4e-8."""
    rng = np.random.default_rng(4)
    results = [judged(*rng.standard_normal((2, 60, 2)), seed=k, steps=30) for k in range(60)]
    assert stats.binom.sf(15, 60, 0.05) < 1e-6
    assert sum(result.pvalue < 0.05 for result in results) <= 15
    spread = np.std([result.accuracy for result in results]) * np.sqrt(results[0].n_test)
    assert 0.2 < spread < 1.0  # at most ½ on average: for 60 values 1 is far beyond any chance


def test_equal_samples_cannot_be_told_apart_and_copies_do_not_help():
    x = np.random.default_rng(5).standard_normal((500, 3))
    assert judged(x, x, steps=200).pvalue > CERTAIN


@pytest.mark.rows("n", [1, 2, 7, 100, 10_000])
def test_the_arithmetic_of_chance_is_the_binomial(n):
    for right in {0, n // 2, n}:
        result = _against_chance(right, n)
        assert result.pvalue == pytest.approx(stats.binom.sf(right - 1, n, 0.5), rel=1e-9)
        assert result.bound == stats.binom.ppf(0.95, n, 0.5) / n
        assert (result.accuracy, result.perfect, result.n_test) == (right / n, 0.5, n)
    assert C2ST(0.5, 0.5, 0.5, 0.52, 100).within and not C2ST(0.53, 0.01, 0.5, 0.52, 100).within


def test_the_same_generator_gives_the_same_answer(backend):
    a, b = np.random.default_rng(6).standard_normal((2, 200, 2))
    first = judged(a, b, steps=60, backend=backend)
    assert first == judged(a, b, steps=60)  # and on every backend
    assert first != judged(a, b, seed=1, steps=60)


def test_the_order_of_rows_and_units_do_not_matter_to_what_it_can_see():
    a, b = different("correlation 0.5", 3000, np.random.default_rng(7))
    scaled = judged(a * [1e-6, 1e6] + [3.0, -1e7], b * [1e-6, 1e6] + [3.0, -1e7], steps=400)
    assert scaled.pvalue < CERTAIN


def test_sizes_and_shares():
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((1000, 2)), rng.standard_normal((300, 2))
    assert judged(a, b, steps=5).n_test == 300  # half of 300 of each
    assert judged(a, b, steps=5, held_out=0.2).n_test == 120
    assert judged(a[:10], b[:10], steps=5).n_test == 10
    assert judged(a[:10], b[:10], steps=5, held_out=0.99).n_test == 16  # some are left to learn from
    result = judged(a[:, :1] * 0 + 3.0, b[:, :1] * 0 + 3.0, steps=5)  # a constant says nothing
    assert result.pvalue > CERTAIN
    many = rng.standard_normal((2, 30, 256))  # fewer rows than features
    assert judged(*many, steps=20).pvalue > CERTAIN
    assert judged(a, b, steps=5, widths=()).n_test == 300  # logistic regression on the features


@pytest.mark.rows(("a", "b", "arguments", "message"), [
    (np.zeros((20, 2)), np.zeros((20, 3)), {}, "as many features are compared; received 2 and 3"),
    (np.zeros(9), np.zeros(20), {}, r"first sample needs rows \(n, p\), at least 10"),
    (np.zeros(20), np.zeros((2, 3, 4)), {}, "second sample needs rows"),
    (np.zeros(20), np.full(20, np.nan), {}, "second sample holds 20 values that are not finite"),
    (np.zeros(20), np.zeros(20), {"held_out": 1.0}, "between 0 and 1; received 1.0"),
    (np.zeros(20), np.zeros(20), {"steps": 0}, "whole numbers ≥ 1; received 0 and 256"),
    (np.zeros(20), np.zeros(20), {"batch": 0}, "received 2000 and 0"),
])  # fmt: skip
def test_unusable_arguments_are_refused(a, b, arguments, message):
    with pytest.raises(ValueError, match=message):
        judged(a, b, **arguments)


def test_of_very_many_rows_a_part_is_drawn(monkeypatch):
    monkeypatch.setattr("minigan.evaluation.classifier_test.MOST_ROWS", 40)
    a, b = np.random.default_rng(0).normal(size=(2, 100, 2)) + [[[0.0]], [[5.0]]]
    for x, y in ((a, b), (a[:30], b), (a, b[:40])):
        found = classifier_two_sample_test(x, y, np.random.default_rng(0), steps=30)
        assert found.n_test == min(len(x), 40) and found.accuracy > 0.9
