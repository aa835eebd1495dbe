"""Verdicts: a perfect sampler passes, a wrong one fails, and the floors are those that simulation gives."""

import json
import math

import numpy as np
import pytest
from scipy.stats import binomtest

from minigan import backend
from minigan.evaluation import Row, judge, judge_two_sample, ks_two_sample, wasserstein1, wasserstein1_to
from minigan.evaluation.verdict import wilson
from minigan.probability import (
    Empirical,
    Laplace,
    MultivariateNormal,
    Normal,
    StudentT,
    Uniform,
    parse,
    ring,
    spiral,
)

TARGET = Normal(4, 1.25)


def rows_of(verdict):
    return {row.name: row for row in verdict.rows}


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_floors_at_10_000_values_are_those_of_the_simulated_table():
    # medians and 95 % values over 4000 replicates; with 200 their sampling error is about 3 % and 5 %
    rows = rows_of(judge(TARGET.sample(rng(1), 10_000), TARGET, rng(2)))
    assert rows["KS"].perfect == pytest.approx(0.00826, rel=0.01) and rows["KS"].bound == pytest.approx(
        0.01358, rel=0.01
    )
    assert rows["W1"].perfect == pytest.approx(0.01195, rel=0.15) and rows["W1"].bound == pytest.approx(
        0.02148, rel=0.25
    )
    assert rows["JS"].perfect == pytest.approx(0.001051, rel=0.1) and rows["JS"].bound == pytest.approx(
        0.001332, rel=0.15
    )
    assert rows["mean"].bound == pytest.approx(1.96 * 1.25 / 100, rel=0.3)
    assert rows["sd"].bound == pytest.approx(1.96 * 1.25 / math.sqrt(20_000), rel=0.3)


def test_the_floors_of_two_samples_are_those_of_the_simulated_table():
    x, real = TARGET.sample(rng(3), (2, 10_000))
    rows = rows_of(judge_two_sample(x, real, rng(4)))
    assert rows["KS"].perfect == pytest.approx(0.0115, rel=0.1) and rows["KS"].bound == pytest.approx(
        0.0190, rel=0.15
    )
    assert rows["W1"].perfect == pytest.approx(0.01675, rel=0.15) and rows["W1"].bound == pytest.approx(
        0.03037, rel=0.25
    )
    assert rows["JS"].perfect == pytest.approx(0.001977, rel=0.1) and rows["JS"].bound == pytest.approx(
        0.002535, rel=0.15
    )


DISTRIBUTIONS = [
    TARGET,
    Uniform(0, 1),
    Laplace(0, 1),
    StudentT(3),
    StudentT(1.5),
    StudentT(1),
    parse("0.33*normal(-1,0.25)+0.67*normal(2,1.4)"),
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=str)
def test_a_perfect_sampler_passes_and_a_shifted_one_does_not(distribution):
    x = distribution.sample(rng(5), 3000)
    verdict = judge(x, distribution, rng(6), replicates=60)
    assert verdict.pvalue > 1e-7  # seven distributions
    assert verdict.pvalue == verdict.ks.pvalue and verdict.rows[0].value == verdict.ks.statistic
    low, high = distribution.interval(0.5)
    wrong = judge(x + 0.4 * (high - low), distribution, rng(6), replicates=60)
    assert wrong.distinguishable and wrong.pvalue < 1e-7
    rows = rows_of(wrong)
    location = rows.get("mean", rows.get("median"))
    assert not location.within and not rows["KS"].within and not rows["JS"].within
    json.dumps(wrong.as_dict(), allow_nan=False)


def test_values_are_those_of_the_single_measures():
    x = TARGET.sample(rng(), 500)
    rows = rows_of(judge(x, TARGET, rng(), replicates=5))
    assert rows["W1"].value == pytest.approx(wasserstein1_to(x, TARGET) / 1.25)
    assert rows["W1"].unit == "target sd" and rows["JS"].unit == "nats"
    assert rows["mean"].value == pytest.approx(x.mean()) and rows["sd"].value == pytest.approx(x.std(ddof=1))
    assert (rows["mean"].target, rows["sd"].target, rows["KS"].target) == (4, 1.25, None)
    real = TARGET.sample(rng(1), 700)
    verdict = judge_two_sample(x, real, rng(), replicates=5)
    rows = rows_of(verdict)
    assert rows["KS"].value == pytest.approx(
        ks_two_sample(x, real).statistic
    ) and verdict.ks == ks_two_sample(x, real)
    assert rows["W1"].value == pytest.approx(wasserstein1(x, real) / real.std(ddof=1))
    assert rows["mean"].target == pytest.approx(real.mean()) and rows["sd"].target == pytest.approx(
        real.std(ddof=1)
    )


def test_heavy_tails_are_measured_without_moments_that_do_not_exist():
    assert set(rows_of(judge(StudentT(3).sample(rng(), 50), StudentT(3), rng(), 5))) == {
        "KS",
        "W1",
        "JS",
        "mean",
        "sd",
    }
    rows = rows_of(judge(StudentT(1.5).sample(rng(), 50), StudentT(1.5), rng(), 5))
    assert set(rows) == {"KS", "W1", "JS", "median", "IQR/1.349"} and rows["W1"].unit == "target IQR/1.349"
    rows = rows_of(judge(StudentT(1).sample(rng(), 50), StudentT(1), rng(), 5))
    assert set(rows) == {"KS", "JS", "median", "IQR/1.349"}


def test_the_sentence_says_it_plainly():
    x = TARGET.quantile((np.arange(10_000) + 0.5) / 10_000)
    verdict = judge(x, TARGET, rng(), replicates=10)
    assert verdict.sentence == (
        "A Kolmogorov-Smirnov test at the 5 % level cannot tell these 10 000 values from normal(4, 1.25): "
        "KS 5e-05, p = 1 (a perfect sampler: median 0.0083, below 0.0136 in 95 % of cases)."
    )
    assert not verdict.distinguishable
    assert "level tells these 10 000 values" in judge(x + 1, TARGET, rng(), replicates=10).sentence
    assert "p < 1e-15" in judge(x + 1, TARGET, rng(), replicates=10).sentence
    assert "from the 3 real ones" in judge_two_sample([1.0, 2.0], [1.0, 2.0, 3.0], rng(), 5).sentence


def test_rows_know_whether_they_are_within():
    assert Row("KS", 0.01, 0.008, 0.0135).within and not Row("KS", 0.014, 0.008, 0.0135).within
    assert (
        Row("mean", 3.99, 4.0, 0.02, target=4.0).within and not Row("mean", 3.9, 4.0, 0.02, target=4.0).within
    )


def test_dictionaries_are_json_without_nan():
    verdict = judge([0.0, 1.0, 2.0], TARGET, rng(), replicates=5)
    text = json.dumps(verdict.as_dict(), allow_nan=False)
    assert json.loads(text)["rows"][0]["name"] == "KS"
    assert set(verdict.as_dict()) == {"rows", "ks", "pvalue", "sentence", "energy", "distinguishable"}
    infinite = type(verdict)((Row("W1", math.inf, math.nan, 1.0),), verdict.ks, 1.0, "")
    assert infinite.as_dict()["rows"][0]["value"] is None and infinite.as_dict()["rows"][0]["perfect"] is None


def test_a_data_set_as_target_is_a_second_sample():
    x, real = TARGET.sample(rng(), (2, 300))
    assert judge(x, Empirical(real), rng(9), 20) == judge_two_sample(x, real, rng(9), 20)
    assert judge_two_sample(x[:, None], real[:, None], rng(9), 20) == judge_two_sample(x, real, rng(9), 20)


def test_verdicts_repeat_and_take_arrays_of_any_backend():
    x = TARGET.sample(rng(), 200).astype("float32")
    device = backend.get("strict").array(x)
    assert judge(x, TARGET, rng(1), 20) == judge(device, TARGET, rng(1), 20)
    assert judge_two_sample(x, x[:100], rng(1), 20) == judge_two_sample(
        device, backend.get("strict").array(x[:100]), rng(1), 20
    )


def test_the_replicates_do_not_depend_on_how_they_are_held(monkeypatch):
    from minigan.evaluation import verdict

    x, real = TARGET.sample(rng(), (2, 100))
    whole, whole_two = judge(x, TARGET, rng(1), 50), judge_two_sample(x, real, rng(1), 50)
    monkeypatch.setattr(verdict, "_CHUNK", 350)
    assert judge(x, TARGET, rng(1), 50).rows == whole.rows
    for a, b in zip(judge_two_sample(x, real, rng(1), 50).rows, whole_two.rows, strict=True):
        assert (a.name, a.value) == (b.name, pytest.approx(b.value))
        assert (a.perfect, a.bound) == pytest.approx((b.perfect, b.bound))


def test_ties_and_collapse_are_judged():
    collapsed = judge(np.full(500, 4.0), TARGET, rng(), 20)
    assert collapsed.distinguishable and rows_of(collapsed)["sd"].value == 0
    counts = rng().poisson(3, (2, 400)).astype(float)
    verdict = judge_two_sample(*counts, rng(), 100)
    assert verdict.pvalue > 1e-7 and rows_of(verdict)["KS"].value == pytest.approx(
        ks_two_sample(*counts).statistic
    )
    assert rows_of(verdict)["KS"].bound > rows_of(verdict)["KS"].perfect > 0


# ── several features ────────────────────────────────────────────────────────────────────────────────────────
def test_several_features_from_one_distribution_pass():
    x, real = rng(7).normal(size=(600, 3)), rng(8).normal(size=(400, 3))
    verdict = judge_two_sample(x, real, rng(9), 999)
    assert verdict.pvalue > 0.001  # a fixed seed; p of the verdict is at least 0.002 by construction
    assert verdict.pvalue == min(1, 2 * min(verdict.energy.pvalue, verdict.ks.pvalue))
    assert [row.name for row in verdict.rows[2:5]] == ["MMD²", "mean, feature 1", "sd, feature 1"]
    assert len(verdict.rows) == 9 and "600 rows of 3 features from the 400 real ones" in verdict.sentence
    json.dumps(verdict.as_dict(), allow_nan=False)


def test_one_wrong_feature_is_found_and_named():
    x, real = rng(1).normal(size=(600, 3)), rng(2).normal(size=(400, 3))
    x[:, 1] += 1
    verdict = judge_two_sample(x, real, rng(), names=("mass", "size", "colour"))
    assert verdict.distinguishable and "size" in verdict.rows[1].name and "largest KS" in verdict.sentence
    rows = rows_of(verdict)
    assert not rows["mean, size"].within and not verdict.rows[0].within and not verdict.rows[1].within
    assert verdict.ks.pvalue == pytest.approx(3 * ks_two_sample(x[:, 1], real[:, 1]).pvalue)


def test_a_wrong_correlation_is_found_though_every_feature_is_right():
    z = rng(3).normal(size=(500, 2))
    x = np.stack([z[:, 0], 0.95 * z[:, 0] + math.sqrt(1 - 0.95**2) * z[:, 1]], axis=1)
    verdict = judge_two_sample(x, rng(4).normal(size=(500, 2)), rng())
    assert verdict.energy.pvalue < 0.01 and verdict.distinguishable and verdict.ks.pvalue > 1e-3


def test_many_features_show_the_worst_and_dark_corners_do_no_harm():
    x, real = rng(1).normal(size=(80, 20)), rng(2).normal(size=(90, 20))
    x[:, 7] += 3
    x[:, 0] = real[:, 0] = 0.1  # constant, and not a binary number
    verdict = judge_two_sample(x, real, rng(), 50)
    assert [row.name for row in verdict.rows] == [
        "energy distance",
        "KS, feature 8 (the largest)",
        "MMD²",
        "mean, feature 8",
        "sd, feature 8",
    ]
    assert verdict.distinguishable


# ── distributions of several features, and modes ────────────────────────────────────────────────────────────
def on_modes(distribution, x, factor):
    """x with its distances to the centres of a ring multiplied."""
    angle = np.arctan2(x[:, 1], x[:, 0])
    nearest = distribution.centres[np.round(angle / (np.pi / 4)).astype(int) % 8]
    return nearest + factor * (x - nearest)


def test_a_perfect_sampler_of_a_ring_passes():
    distribution = ring()
    verdict = judge(distribution.sample(rng(1), 2000), distribution, rng(2), 999)
    assert verdict.pvalue > 0.001  # a fixed seed; p of the verdict is at least 0.002 by construction
    assert verdict.pvalue == min(1, 2 * min(verdict.energy.pvalue, verdict.ks.pvalue))
    names = [
        "energy distance",
        "KS, feature",
        "MMD²",
        "modes captured",
        "high-quality share",
        "reverse KL, modes",
    ]
    assert [row.name[: len(name)] for row, name in zip(verdict.rows, names, strict=False)] == names
    rows = rows_of(verdict)
    assert (rows["modes captured"].value, rows["modes captured"].target, rows["modes captured"].bound) == (
        8,
        8,
        0,
    )
    quality = rows["high-quality share"]
    assert quality.perfect == quality.target == pytest.approx(0.98889, abs=1e-5)
    # binomial: 1.96 sd; of 999 replicates known to some 5 %
    assert quality.bound == pytest.approx(1.96 * math.sqrt(0.98889 * 0.01111 / 2000), rel=0.2)
    # 2n KL is χ² with 7 degrees of freedom
    assert rows["reverse KL, modes"].perfect == pytest.approx(6.346 / 4000, rel=0.15)
    assert rows["reverse KL, modes"].bound == pytest.approx(14.067 / 4000, rel=0.15)
    assert rows["mean, feature 1"].target == 0
    assert rows["mean, feature 1"].bound == pytest.approx(1.96 * math.sqrt(0.5 / 2000), rel=0.15)
    assert rows["sd, feature 2"].target == pytest.approx(math.sqrt(0.5001))
    assert "these 2 000 rows of 2 features from ring(8, 1, 0.01): energy" in verdict.sentence
    json.dumps(verdict.as_dict(), allow_nan=False)


def test_failures_on_a_ring_are_found_by_the_row_that_is_for_them():
    distribution = ring()
    x = distribution.sample(rng(3), 4000)
    narrow = rows_of(judge(on_modes(distribution, x, 0.3), distribution, rng(4), 100))
    assert (
        not narrow["high-quality share"].within and narrow["high-quality share"].value == 1
    )  # more is not better
    assert narrow["modes captured"].within and narrow["reverse KL, modes"].within
    wide = rows_of(judge(on_modes(distribution, x, 2), distribution, rng(4), 100))
    assert not wide["high-quality share"].within and wide["modes captured"].within
    lost = judge(x[x[:, 0] < 0.9], distribution, rng(4), 100)
    rows = rows_of(lost)
    assert lost.distinguishable and not rows["modes captured"].within and rows["modes captured"].value == 7
    assert not rows["reverse KL, modes"].within and rows["high-quality share"].within


def test_distributions_without_modes_have_no_such_rows():
    distribution = spiral(1, 0.1)
    verdict = judge(distribution.sample(rng(), 300), distribution, rng(1), 50, names=("x", "y"))
    assert [row.name for row in verdict.rows][2:] == ["MMD²", "mean, x", "sd, x", "mean, y", "sd, y"]
    assert verdict.rows[3].target == pytest.approx(distribution.mean[0])
    normal = MultivariateNormal(np.zeros(3), np.eye(3))
    assert len(judge(normal.sample(rng(), 50), normal, rng(), 20).rows) == 9


def test_distributions_of_many_features_are_judged_as_data_are():
    distribution = MultivariateNormal(np.zeros(20), np.eye(20))
    verdict = judge(distribution.sample(rng(), 60) + 1, distribution, rng(), 50)
    assert (
        len(verdict.rows) == 5
        and verdict.distinguishable
        and "a normal distribution of 20 features" in verdict.sentence
    )


def test_mixtures_on_the_line_have_their_modes_counted():
    distribution = parse("0.33*normal(-1,0.25)+0.67*normal(2,1.4)")
    x = distribution.sample(rng(1), 3000)
    rows = rows_of(judge(x, distribution, rng(2), 200))
    assert list(rows) == [
        "KS",
        "W1",
        "JS",
        "mean",
        "sd",
        "modes captured",
        "high-quality share",
        "reverse KL, modes",
    ]
    assert rows["modes captured"].value == 2 and rows["modes captured"].unit == "of 2"
    assert rows["high-quality share"].target == pytest.approx(distribution.cdf(6.2) - distribution.cdf(-2.2))
    assert rows["reverse KL, modes"].bound == pytest.approx(
        3.84 / 6000, rel=0.4
    )  # χ² with 1 degree of freedom
    one = rows_of(judge(x[x > 0], distribution, rng(2), 50))
    assert one["modes captured"].value == 1 and not one["modes captured"].within
    assert "modes captured" not in rows_of(judge(x, parse("0.5*normal(0,1)+0.5*normal(1,1)"), rng(), 5))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: judge([1.0, 2.0], ring(), rng()), r"rows of 2 features, \(n, 2\); received shape \(2,\)"),
        (lambda: judge(np.zeros((5, 3)), ring(), rng()), "judges rows of 2 features"),
        (lambda: judge(np.zeros((1, 2)), ring(), rng()), "at least 2 values"),
        (lambda: judge(np.zeros((5, 2)), ring(), rng(), names=("a",)), "one name"),
        (lambda: judge([[1.0, math.nan]] * 2, ring(), rng()), "not finite"),
        (lambda: judge([1.0], TARGET, rng()), "at least 2 values"),
        (lambda: judge([], TARGET, rng()), "empty"),
        (lambda: judge([1.0, math.nan], TARGET, rng()), "1 NaN among 2, the first at index 1"),
        (lambda: judge([1.0, math.inf], TARGET, rng()), "not finite"),
        (lambda: judge(np.zeros((3, 2)), TARGET, rng()), "one-dimensional"),
        (lambda: judge([1.0, 2.0], TARGET, rng(), replicates=0), "at least 1 replicate"),
        (lambda: judge_two_sample([1.0, 2.0], [0.1, 0.1, 0.1], rng()), "constant"),
        (lambda: judge_two_sample(np.zeros((3, 2)), np.zeros((3, 3)), rng()), "same features"),
        (lambda: judge_two_sample(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), rng()), "shapes"),
        (lambda: judge_two_sample(np.zeros((3, 2)), np.zeros((3, 2)), rng(), names=("a",)), "one name"),
    ],
)
def test_what_cannot_be_judged_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_third_test_joins_those_of_features_by_bonferroni():
    rng = np.random.default_rng(11)
    a, b = rng.normal(size=(2, 300, 2))
    two = judge_two_sample(a, b, rng, 100)
    row = Row("made-up accuracy", 0.5, 0.5, 0.52)
    assert two.pvalue == min(1.0, 2 * min(two.energy.pvalue, two.ks.pvalue)) > 0.05
    for p in (1e-9, 0.03, 0.9):
        three = two.joined_by("judge", row, p)
        assert three.pvalue == min(1.0, 3 * min(two.energy.pvalue, two.ks.pvalue, p))
        assert three.rows == (*two.rows[:3], row, *two.rows[3:]) and three.energy == two.energy
        verb = "tell" if p == 1e-9 else "cannot tell"
        start = f"An energy test, 2 Kolmogorov-Smirnov tests and a judge, together at the 5 % level, {verb} "
        assert three.sentence.startswith(start) and three.sentence.count("tell") == 1
        assert three.sentence.endswith("(a perfect sampler: 0.5, below 0.52 in 95 % of cases).")
        assert "Bonferroni; made-up accuracy 0.5, p = " in three.sentence
    apart = judge_two_sample(a + 9, b, rng, 100).joined_by("judge", row, 0.9)
    assert apart.distinguishable and "level, tell these" in apart.sentence
    with pytest.raises(ValueError, match="one feature"):
        judge_two_sample(a[:, 0], b[:, 0], rng, 10).joined_by("judge", row, 0.5)


@pytest.mark.parametrize(("successes", "count"), [(0, 1), (1, 1), (0, 40), (3, 10), (40, 40), (17, 23)])
def test_the_interval_of_a_share_is_wilsons(successes, count):
    expected = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert wilson(successes, count) == pytest.approx(expected, abs=1e-5)  # z is 1.96, not 1.959964
    low, high = wilson(successes, count)
    assert 0.0 <= low <= successes / count <= high <= 1.0
