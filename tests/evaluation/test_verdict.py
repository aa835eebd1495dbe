"""Verdicts: a perfect sampler passes, a wrong one fails, and the floors are those that simulation gives."""

import itertools
import json
import math
import warnings

import numpy as np
import pytest
from scipy.stats import anderson_ksamp, binom, binomtest, chi2, f, hypergeom, kstwo, norm

from minigan import backend
from minigan.evaluation import (
    Row,
    features,
    judge,
    judge_two_sample,
    ks_two_sample,
    one_feature,
    pairs,
    verdict,
    wasserstein1,
    wasserstein1_to,
)
from minigan.evaluation.joint import (
    GammaTail,
    GuessTail,
    Joint,
    KolmogorovTail,
    NormalTail,
    RatioTail,
    ShareTail,
    ZolotarevTail,
    pit_joint,
    pit_statistics,
    pit_tails,
    simulate_pit,
)
from minigan.evaluation.power import format_factor, missing_part
from minigan.evaluation.ranks import (
    AD_VARIANCE,
    anderson_two_sample,
    rank_scores,
    ranks_joint,
    ties_of,
)
from minigan.evaluation.rows import Measure, format_target
from minigan.evaluation.verdict import Power, share_that_passes, wilson
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
MIXTURE = parse("0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)")


def rows_of(verdict):
    return {row.name: row for row in verdict.rows}


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_floors_at_10_000_values_are_those_of_the_simulated_table():
    # medians over 4000 replicates; of 100 their sampling error is about 4 %
    rows = rows_of(judge(TARGET.sample(rng(1), 10_000), TARGET, rng(2)))
    assert rows["KS"].perfect == pytest.approx(0.00826, rel=0.01)
    assert rows["W1"].perfect == pytest.approx(0.01195, rel=0.15)
    assert rows["JS"].perfect == pytest.approx(0.001051, rel=0.1)
    # four rows together are as three independent ones: each is held to 1.93 % instead of 5 %
    assert rows["KS"].bound == pytest.approx(kstwo.isf(0.0193, 10_000), rel=0.003)
    assert rows["Anderson-Darling"].bound == pytest.approx(3.25, rel=0.03)
    z = norm.isf(0.0193 / 2)
    assert rows["mean"].bound == pytest.approx(z * 1.25 / 100, rel=0.003)
    assert rows["sd"].bound == pytest.approx(z * 1.25 / math.sqrt(20_000), rel=0.003)


def test_the_floors_that_every_normal_target_has_are_those_that_it_would_simulate():
    assert one_feature._floors(TARGET, 10_000) == pytest.approx(
        one_feature._simulated_floors(TARGET, 10_000), rel=1e-9
    )


def test_the_floors_of_two_samples_are_those_of_the_simulated_table():
    x, real = TARGET.sample(rng(3), (2, 10_000))
    rows = rows_of(judge_two_sample(x, real, rng(4)))
    assert rows["KS"].perfect == pytest.approx(0.0115, rel=0.03)
    assert rows["KS"].bound == pytest.approx(math.sqrt(2) * kstwo.isf(0.0193, 10_000), rel=0.01)
    assert rows["W1"].perfect == pytest.approx(0.01675, rel=0.3)  # of 20 resamples
    assert rows["JS"].perfect == pytest.approx(0.001977, rel=0.1)


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
    assert verdict.rows[0].value == verdict.ks.statistic
    low, high = distribution.interval(0.5)
    wrong = judge(x + 0.4 * (high - low), distribution, rng(6), replicates=60)
    assert wrong.distinguishable and wrong.pvalue < 1e-7
    rows = rows_of(wrong)
    location = rows.get("location, normal scores", rows.get("mean"))
    assert not location.within and not rows["KS"].within and not rows["JS"].judges
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
    judged = {"KS", "Anderson-Darling", "location, normal scores", "spread, normal scores"}
    for target, others in (
        (StudentT(3), {"W1", "JS", "mean", "sd"}),
        (StudentT(1.5), {"W1", "JS", "median", "IQR/1.349"}),
        (StudentT(1), {"JS", "median", "IQR/1.349"}),
    ):
        verdict = judge(target.sample(rng(), 50), target, rng(), 5)
        rows = rows_of(verdict)
        assert set(rows) == judged | others
        assert ("has no mean, so no sd and no W1 to it: its median" in verdict.sentence) == (
            "W1" not in others
        )
        assert ("has no finite sd: its median" in verdict.sentence) == ({"W1", "median"} <= others)
        assert {name for name, row in rows.items() if row.judges} == judged
    assert (
        rows_of(judge(StudentT(1.5).sample(rng(), 50), StudentT(1.5), rng()))["W1"].unit == "target IQR/1.349"
    )


def test_the_sentence_says_it_plainly():
    x = TARGET.quantile((np.arange(10_000) + 0.5) / 10_000)
    verdict = judge(x, TARGET, rng())
    assert verdict.sentence == (
        "Kolmogorov-Smirnov, Anderson-Darling, mean and sd, together at the 5 % level, cannot tell these "
        "10 000 values from normal(4, 1.25): p = 1. In 9 of 10 cases they would have found a shift of "
        "0.036 sd, a scale of 1.026, a missing part of 2.7 % wherever it lies."
    )
    assert verdict.headline == "cannot be told apart" and verdict.against == "normal(4, 1.25)"
    wrong = judge(x + 1, TARGET, rng())
    assert (
        wrong.headline == "can be told apart" and "p < 1e-15; outside are KS 0.311, above" in wrong.sentence
    )
    assert "mean 5 instead of 4 ± 0.029" in wrong.sentence
    few = judge_two_sample([1.0, 2.0], [1.0, 2.0, 3.0], rng(), 5)
    assert (
        few.headline == "too few values to tell" and "from the 3 real ones: a shift of half" in few.sentence
    )
    assert judge_two_sample([1.0, 2.0], [1.0, 2.0, 3.0], rng(), 5, against="made up").against == "made up"


def test_rows_know_whether_they_are_within():
    assert Row("KS", 0.01, 0.008, 0.0135).within and not Row("KS", 0.014, 0.008, 0.0135).within
    assert (
        Row("mean", 3.99, 4.0, 0.02, target=4.0).within and not Row("mean", 3.9, 4.0, 0.02, target=4.0).within
    )


def test_dictionaries_are_json_without_nan():
    verdict = judge([0.0, 1.0, 2.0], TARGET, rng(), replicates=5)
    text = json.dumps(verdict.as_dict(), allow_nan=False)
    assert json.loads(text)["rows"][0]["name"] == "KS"
    assert set(verdict.as_dict()) == {
        "rows", "ks", "pvalue", "level", "headline", "sentence", "against", "judged_on_learned", "energy",
        "power", "shortfall", "distinguishable", "indistinguishable",
    }  # fmt: skip
    infinite = type(verdict)((Row("W1", math.inf, math.nan, 1.0),), verdict.ks, 1.0, "")
    assert infinite.as_dict()["rows"][0]["value"] is None and infinite.as_dict()["rows"][0]["perfect"] is None


# ── one judgement ───────────────────────────────────────────────────────────────────────────────────────────
def test_rows_and_headline_are_one_judgement():
    """The seen case: KS passes at its own level, and rows of the same table are outside."""
    told = 0
    for seed in range(40):
        x = rng(seed).normal(4 + 0.02 * (seed % 4), 1.25 * (1 + 0.01 * (seed % 5)), 2000)
        verdict = judge(x, TARGET, rng())
        assert verdict.distinguishable == any(not row.within for row in verdict.rows)
        assert verdict.indistinguishable is not None and verdict.distinguishable == (verdict.pvalue < 0.05)
        told += verdict.distinguishable
    assert 0 < told < 40
    wide = judge(4 + 1.295 * norm.ppf((np.arange(10_000) + 0.5) / 10_000), TARGET, rng())
    assert wide.ks.pvalue > 0.05 and not rows_of(wide)["sd"].within and wide.distinguishable


CALIBRATED = {
    "normal": (lambda r: judge(TARGET.sample(r, 100), TARGET, r), 400),
    "student": (lambda r: judge(StudentT(3).sample(r, 20), StudentT(3), r), 200),
    "data": (lambda r: judge_two_sample(r.normal(size=300), r.normal(size=82), r, 10), 200),
    "rounded data": (
        lambda r: judge_two_sample(r.poisson(4, 300) + 0.0, r.poisson(4, 90) + 0.0, r, 10),
        80,
    ),
    "mixture": (lambda r: judge(MIXTURE.sample(r, 200), MIXTURE, r), 200),
    "ring": (lambda r: judge(ring().sample(r, (150,)), ring(), r), 100),
    "features": (lambda r: judge_two_sample(r.normal(size=(60, 3)), r.normal(size=(80, 3)), r), 80),
}


@pytest.mark.parametrize("kind", CALIBRATED)
def test_perfect_samplers_pass_in_95_of_100_cases(kind):
    verdict, draws = CALIBRATED[kind]
    passed = sum(not verdict(rng([len(kind), k])).distinguishable for k in range(draws))
    # beyond this band by chance with 10⁻⁷ either way, even at a level that is wrong by 1 %
    low, high = binom.ppf(1e-7, draws, 0.94), binom.isf(1e-7, draws, 0.96)
    assert low <= passed <= high


def lacking(u, share, place=0.5):
    """Levels of which so large a share is missing, with the rest below and above in proportion."""
    u = (1 - share) * u
    return np.where(u < place * (1 - share), u, u + share)


@pytest.mark.parametrize("kind", ["shift", "scale", "missing"])
def test_what_is_said_to_be_found_is_found(kind):
    target, n, draws = Normal(0, 1), 1000, 150
    power = judge(target.sample(rng(), n), target, rng()).power
    found = 0
    for k in range(draws):
        u = rng([k]).random(n)
        x = target.quantile(lacking(u, power.missing) if kind == "missing" else u)
        x = x + power.shift if kind == "shift" else x * power.scale if kind == "scale" else x
        found += judge(x, target, rng()).distinguishable
    assert found >= binom.ppf(1e-7, draws, 0.9)
    half = judge(target.sample(rng(), n), target, rng()).power.shift / 3
    assert (
        sum(judge(target.sample(rng([k, 1]), n) + half, target, rng()).distinguishable for k in range(50))
        < 40
    )


def test_a_missing_part_is_found_wherever_it_lies():
    """Levels alone, at the bounds of all rows; beside data KS has to find it by itself."""
    draws, generator = 200, rng()
    for n, m in ((50, math.inf), (1000, math.inf), (100, 300)):
        size = n if m == math.inf else n * m / (n + m)
        bounds = [tail.inverse(pit_joint(size).critical(0.05)) for tail in pit_tails(size)]
        share = missing_part(bounds[0], n, m)
        for place in (0.5, 0.0):
            u = np.sort(lacking(generator.random((draws, n)), share, place))
            if m == math.inf:
                ks, ad, mean, sd = pit_statistics(u, norm.ppf(u))
                rows = zip((ks, ad, abs(mean), abs(sd - 1)), bounds, strict=True)
                found = np.any([deviation > bound for deviation, bound in rows], axis=0)
            else:
                steps = np.repeat([1 / n, -1 / m], [n, m])
                order = np.argsort(np.hstack([u, generator.random((draws, m))]))
                found = np.abs(np.cumsum(steps[order], axis=1)).max(axis=1) > bounds[0]
            assert found.sum() >= binom.ppf(1e-7, draws, 0.9), (n, m, place)
            assert place == 0.0 or found.mean() < 0.99  # no more is claimed than has to be
    assert missing_part(0.95, 2) is None


def test_a_factor_never_reads_one():
    for factor, text in (
        (1.00424, "1.0042"), (1.000424, "1.00042"), (1.0262, "1.026"), (1.44, "1.44"), (2.371, "2.4"),
        (12.3, "12.3"), (1.0, "1"), (math.inf, "inf"),
    ):  # fmt: skip
        assert format_factor(factor) == text
    flat = judge(Uniform(0, 1).quantile((np.arange(10_000) + 0.5) / 10_000), Uniform(0, 1), rng())
    assert "a scale of 1.0042, " in flat.sentence


def test_what_is_needed_is_said_beside_the_other_side():
    """As many as are said are enough, and one less is not."""

    def judged(n, m, several):
        x, real = rng(1).normal(size=(n, *several)), rng(2).normal(size=(m, *several))
        return judge_two_sample(x, real, rng(), 1)

    for n, m, words, sizes in (
        (3000, 20, "real {} on, beside 3 000 of the sample", lambda k: (3000, k)),
        (20, 3000, "{} on, beside 3 000 real ones", lambda k: (k, 3000)),
        (20, 30, "{} on each side", lambda k: (k, k)),
    ):
        for several, noun in (((), "values"), ((2,), "rows"))[: 1 + (m == 20)]:
            power = judged(n, m, several).power
            assert f"from {power.needed} {words.format(noun)}; with so few" in power.describe_need()
            assert judged(*sizes(power.needed), several).enough
            assert not judged(*sizes(power.needed - 1), several).enough


def test_too_few_values_are_a_third_state():
    few = judge([1.0, 2.0, 3.0], Normal(2, 1), rng())
    assert (
        few.indistinguishable is None
        and few.distinguishable is None
        and few.as_dict()["indistinguishable"] is few.as_dict()["distinguishable"] is None
    )
    needed = few.power.needed
    x = Normal(2, 1).quantile((np.arange(needed) + 0.5) / needed)
    enough = judge(x, Normal(2, 1), rng())
    assert enough.indistinguishable is True and enough.power.shift <= 0.5
    assert judge(x[:-10], Normal(2, 1), rng()).indistinguishable is None
    assert (
        judge([100.0, 200.0, 300.0], Normal(2, 1), rng()).indistinguishable is False
    )  # that is told from three
    assert judge_two_sample(x, x[::3], rng()).indistinguishable is None
    assert judge(ring().sample(rng(), (10,)), ring(), rng()).indistinguishable is None


def test_power_can_be_read_back():
    power = judge(TARGET.sample(rng(), 200), TARGET, rng()).power
    assert Power.read(power.as_dict()) == power
    assert Power.read(Power().as_dict()) == Power()


def test_the_share_that_passes_counts_what_was_judged():
    good, bad = (judge(TARGET.sample(rng(), 200) + shift, TARGET, rng()) for shift in (0, 9))
    few = judge([4.0, 5.0], TARGET, rng())
    spread = share_that_passes([good, good, bad, few])
    assert (spread["draws"], spread["too_few"], spread["passed"]) == (4, 1, 2)
    assert spread["share"] == pytest.approx(2 / 3) and spread["interval"] == list(wilson(2, 3))
    assert share_that_passes([few])["share"] is None and share_that_passes([few])["interval"] is None


def test_anderson_darling_of_two_samples_is_scipys():
    for a, b in (
        (rng(1).normal(size=30), rng(2).normal(size=50)),
        (rng(1).poisson(3, 40), rng(2).poisson(3, 90)),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = anderson_ksamp([a, b]).statistic
        ours = (anderson_two_sample(a.astype(float), b.astype(float)) - 1) / math.sqrt(AD_VARIANCE)
        assert ours == pytest.approx(expected)


TAILS = [
    KolmogorovTail(100), KolmogorovTail(40, 5), ZolotarevTail(), NormalTail(0.3), GammaTail(3.5, 0.01),
    ShareTail(400, 0.9889), ShareTail(60, 0.5),
    RatioTail(1000, 20, 0.01, True), RatioTail(90, 500, 0.02, False),
]  # fmt: skip


@pytest.mark.rows("tail", TAILS)
def test_tails_and_their_inverses_agree(tail):
    for p in (0.3, 0.05, 0.01, 1e-3, 1e-5):
        bound = tail.inverse(p)
        # a share cannot leave [0, 1]: there its tail jumps
        assert tail.p(bound * (1 + 1e-6)) <= p * (1 + 1e-9) and tail.p(bound * (1 - 1e-6)) >= p * (1 - 1e-9)


def test_shares_and_guesses_are_binomial():
    share, k = ShareTail(400, 0.9), np.arange(0, 41)
    expected = [binom.cdf(360 - d, 400, 0.9) + binom.sf(359 + d, 400, 0.9) for d in k]
    assert share.p(k / 400) == pytest.approx(expected, abs=1e-9)
    guess = GuessTail(100)
    assert guess.p(0.6) == pytest.approx(binom.sf(59, 100, 0.5))
    assert guess.spent(0.0253) == pytest.approx(binom.sf(round(100 * guess.inverse(0.0253)), 100, 0.5))
    assert guess.spent(0.0253) <= 0.0253


def test_ratios_of_independent_normal_scores_have_fishers_distribution():
    n, m = 200, 20
    sd = math.sqrt(2 * n * m / (n + m + 2)) / (n + m)  # of a beta distribution with n/2 and m/2
    for r in (0.6, 0.9, 1.1, 1.7):
        expected = 2 * (f.sf if r > 1 else f.cdf)(r * r, n, m)
        assert RatioTail(n, m, sd, r > 1).p(abs(r - 1)) == pytest.approx(min(expected, 1.0))
    wider = RatioTail(n, m, sd, True)
    assert f.sf(((1 + wider.inverse(0.02)) / wider.found(0.02)) ** 2, n, m) == pytest.approx(0.9)


@pytest.mark.parametrize(("n", "m"), [(300, 8), (12, 200)])
def test_the_spread_of_few_values_is_as_often_far_as_its_tail_says(n, m):
    """Each way: 1/r of few values is far from normal, and was outside seven times as often above as below."""
    r, draws, far = rng(n), 2000, {True: 0, False: 0}
    for _ in range(draws):
        _, ratio, _, tail = rank_scores(*np.split(r.random(n + m), [n]))
        far[ratio > 1] += abs(ratio - 1) > tail.inverse(0.1)
    for count in far.values():  # 10⁻⁷ each way, about the 5 % of each side, even if it is wrong by a tenth
        assert binom.ppf(1e-7, draws, 0.045) <= count <= binom.isf(1e-7, draws, 0.055)


@pytest.mark.parametrize(("n", "m", "ones"), [(100, 82, 91), (300, 60, 38)])
def test_zeros_and_ones_are_told_as_rarely_as_their_steps_allow(n, m, ones):
    """Exactly: of such data only the count of ones in the sample matters, which is hypergeometric."""
    rejected, told = 0.0, []
    for count in range(max(1, ones - m + 1), min(n, ones)):
        p = hypergeom.pmf(count, n + m, ones, n)
        if p > 1e-4:
            a, b = (np.arange(k) < c for k, c in ((n, count), (m, ones - count)))
            told.append(bool(judge_two_sample(a + 0.0, b + 0.0, rng(), 1).distinguishable))
            rejected += p * told[-1]
    assert 0.015 < rejected < 0.055 and told[0] and told[-1]  # 4000 splits: 0.05 ± 0.0035
    assert told == sorted(told[: len(told) // 2], reverse=True) + sorted(told[len(told) // 2 :])


def test_equal_shares_of_zeros_and_ones_are_not_told_apart():
    """All squares of scores are equal but for rounding, which the spread took for a difference."""
    for n, m in ((30, 90), (100, 50), (100, 100)):
        equal = judge_two_sample(np.arange(n) % 2.0, np.arange(m) % 2.0, rng())
        assert not equal.distinguishable and equal.pvalue > 0.5 and equal.power.scale is None
        assert not rows_of(equal)["spread, normal scores"].judges
        json.dumps(equal.as_dict(), allow_nan=False)


def test_few_ties_change_nothing_and_many_have_splits_of_their_own():
    usual, x = pit_joint(50), np.round(np.sort(rng().normal(size=(2, 100))), 2)
    assert ranks_joint(ties_of(*x), 100, usual) is usual
    a, b = (np.sort(np.where(rng(k).random(500) < 0.5, 0.0, rng(k).random(500))) for k in (1, 2))
    ties = ties_of(a, b)
    assert ties.sum() == 1000 and len(ties) == len(np.unique(np.concatenate([a, b])))
    joint = ranks_joint(ties, 500, usual)
    assert joint == ranks_joint(ties, 500, usual) and joint.critical(0.05) < usual.critical(0.05)


def test_the_remembered_table_is_what_simulation_gives():
    for n in (5, 50):
        found = Joint.of(simulate_pit(n, 20_000, rng(1)))
        # of 20 000 the share below a point at 5 % is known to 0.15 %
        assert found.pvalue(pit_joint(n).critical(0.05)) == pytest.approx(0.05, abs=0.008)


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
    verdict = judge_two_sample(x, real, rng(9))
    assert verdict.pvalue > 1e-4  # a fixed seed
    assert [row.name for row in verdict.rows[3:5]] == ["mean, feature 1", "sd, feature 1"]
    assert len(verdict.rows) == 9 and "600 rows of 3 features from the 400 real ones" in verdict.sentence
    json.dumps(verdict.as_dict(), allow_nan=False)


def test_one_wrong_feature_is_found_and_named():
    x, real = rng(1).normal(size=(600, 3)), rng(2).normal(size=(400, 3))
    x[:, 1] += 1
    verdict = judge_two_sample(x, real, rng(), names=("mass", "size", "colour"))
    assert (
        verdict.distinguishable
        and "size" in verdict.rows[2].name
        and "KS, size (the largest)" in verdict.sentence
    )
    rows = rows_of(verdict)
    assert not rows["mean, size"].within and not any(row.within for row in verdict.rows[:3])
    alone = ks_two_sample(x[:, 1], real[:, 1])
    assert (verdict.ks.statistic, verdict.ks.location) == pytest.approx((alone.statistic, alone.location))
    same = judge_two_sample(rng(1).normal(size=(600, 3)), real, rng())
    worst = max(
        (ks_two_sample(rng(1).normal(size=(600, 3))[:, j], real[:, j]) for j in range(3)),
        key=lambda k: k.statistic,
    )
    assert same.ks.pvalue == pytest.approx(min(1, 3 * worst.pvalue), rel=0.1)


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
        "MMD²",
        "KS, feature 8 (the largest)",
        "mean, feature 8",
        "sd, feature 8",
    ]
    assert verdict.distinguishable


def test_a_constant_feature_of_few_decides_nothing():
    """Its mean is exact, also where it is no binary number."""
    x, real = (np.column_stack([rng(k).normal(size=300), np.full(300, 0.1)]) for k in (1, 2))
    verdict = judge_two_sample(x, real, rng())
    assert verdict.pvalue > 1e-3 and rows_of(verdict)["sd, feature 2"].value == 0  # a fixed seed
    assert judge_two_sample(x + [0, 0.1], real, rng()).distinguishable


# ── distributions of several features, and modes ────────────────────────────────────────────────────────────
def on_modes(distribution, x, factor):
    """x with its distances to the centres of a ring multiplied."""
    angle = np.arctan2(x[:, 1], x[:, 0])
    nearest = distribution.centres[np.round(angle / (np.pi / 4)).astype(int) % 8]
    return nearest + factor * (x - nearest)


def test_a_perfect_sampler_of_a_ring_passes():
    distribution = ring()
    verdict = judge(distribution.sample(rng(1), 2000), distribution, rng(2))
    assert verdict.pvalue > 1e-4  # a fixed seed
    names = [
        "energy distance",
        "MMD²",
        "KS, feature",
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
    # nine rows together: each is held to about 0.8 %, which is 2.65 sd
    assert quality.bound == pytest.approx(2.65 * math.sqrt(0.98889 * 0.01111 / 2000), rel=0.1)
    # 2n KL is χ² with 7 degrees of freedom
    assert rows["reverse KL, modes"].perfect == pytest.approx(6.346 / 4000, rel=1e-3)
    assert rows["reverse KL, modes"].bound == pytest.approx(chi2.isf(0.008, 7) / 4000, rel=0.07)
    assert rows["mean, feature 1"].target == 0
    assert rows["mean, feature 1"].bound == pytest.approx(2.65 * math.sqrt(0.5 / 2000), rel=0.07)
    assert rows["sd, feature 2"].target == pytest.approx(math.sqrt(0.5001))
    assert "these 2 000 rows of 2 features from ring(8, 1, 0.01)" in verdict.sentence
    json.dumps(verdict.as_dict(), allow_nan=False)


@pytest.mark.parametrize("n", [3, 6])
def test_the_sd_of_few_rows_varies_as_all_samples_of_two_values_do(n):
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=n)))  # kurtosis 1: the leading term is zero
    exact = signs.var(axis=1, ddof=1).std()
    _, (one,) = features.moment_tails(n, n, np.ones(1), np.ones(1), known=True)
    _, (two,) = features.moment_tails(n, n, np.ones(1), np.ones(1), known=False)
    assert one.sd == pytest.approx(exact / 2) and two.sd == pytest.approx(exact / math.sqrt(2))


def test_pairs_of_some_of_many_rows_are_judged_as_those_of_so_many(monkeypatch):
    """Few of the rows of small perfect samplers stand for them, whose distances vary some percent less."""
    monkeypatch.setattr(features, "DRAWN", 300)
    monkeypatch.setattr(pairs, "SECONDS", 0.0)  # so that 1000 a side are looked at
    distribution = MultivariateNormal(np.array([0.3, 0, 0]), np.eye(3))
    perfect = [
        rows_of(judge(distribution.sample(rng(), (n,)), distribution, rng()))["energy distance"].perfect
        for n in (1000, 3000)
    ]
    assert perfect[0] == perfect[1]


def test_energy_and_mmd_by_pairs_are_those_of_all_rows():
    """In parts and in float32, of sets and of splits, against the sums over all pairs in float64."""
    x, y = (np.float32(s) for s in (rng(1).normal(size=(300, 3)), rng(2).normal(size=(280, 3)) + 0.1))
    widths = (2.0, 1.0)
    found = pairs.contrasts(x, y, widths)
    both, weights = np.concatenate([x, y]).astype(float), np.repeat([1 / 300, -1 / 280], [300, 280])
    apart = np.linalg.norm(both[:, None] - both, axis=-1)
    kernels = [-apart, *(np.exp(-0.5 * (apart / width) ** 2) for width in widths)]
    np.testing.assert_allclose(found, [weights @ k @ weights for k in kernels], rtol=1e-3)
    split = pairs.contrasts_of_splits(np.float32(both), np.float32(weights)[None], widths)[0]
    np.testing.assert_allclose(split, found, rtol=1e-3)
    np.testing.assert_allclose(pairs.contrasts(x, x, widths), 0, atol=2e-6)
    one, nine = (pairs.kernel_widths(np.float32(rng(3).normal(size=(300, p)))) for p in (1, 9))
    assert len(one) == pairs.KERNELS > len(nine)
    assert pairs.kernel_widths(np.zeros((4, 2), np.float32))[0] == 1


def test_what_features_share_is_found_by_mmd():
    """Each is right, and no two depend: all the distances hardly change, those to neighbours do."""
    x, real = rng(1).normal(size=(700, 3)), rng(2).normal(size=(700, 3))
    x[:, 0] *= np.where((x.prod(axis=1) < 0) & (rng(3).random(700) < 0.7), -1, 1)
    verdict = judge_two_sample(x, real, rng())
    assert [row.name for row in verdict.rows if not row.within] == ["MMD²"]
    assert verdict.rows[1].unit.startswith("a kernel of 0.") and "outside are MMD²" in verdict.sentence


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
    assert [row.name for row in verdict.rows][3:] == ["mean, x", "sd, x", "mean, y", "sd, y"]
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
    assert list(rows)[:4] == ["KS", "Anderson-Darling", "location, normal scores", "spread, normal scores"]
    assert list(rows)[4:7] == ["modes captured", "high-quality share", "reverse KL, modes"]
    assert list(rows)[7:] == ["W1", "JS", "mean", "sd"]
    assert rows["modes captured"].value == 2 and rows["modes captured"].unit == "of 2"
    assert rows["high-quality share"].target == pytest.approx(distribution.cdf(6.2) - distribution.cdf(-2.2))
    # χ² with 1 degree of freedom, at about 1 %
    assert rows["reverse KL, modes"].bound == pytest.approx(chi2.isf(0.01, 1) / 6000, rel=0.2)
    one = rows_of(judge(x[x > 0], distribution, rng(2), 50))
    assert one["modes captured"].value == 1 and not one["modes captured"].within
    assert "modes captured" not in rows_of(judge(x, parse("0.5*normal(0,1)+0.5*normal(1,1)"), rng(), 5))


@pytest.mark.rows(
    "call, message",
    [
        (lambda: judge([1.0, 2.0], ring(), rng()), r"rows of 2 features, \(n, 2\); received shape \(2,\)"),
        (lambda: judge(np.zeros((5, 3)), ring(), rng()), "judges rows of 2 features"),
        (lambda: judge(np.zeros((1, 2)), ring(), rng()), "at least 2 values"),
        (lambda: judge(np.zeros((5, 2)), ring(), rng(), names=("a",)), "one name"),
        (lambda: judge([[1.0, math.nan]] * 2, ring(), rng()), "not finite"),
        (lambda: judge([1.0], TARGET, rng()), "at least 2 values"),
        (lambda: judge([[1e200, 1.0]] * 2, ring(), rng()), "holds values of 1e.200, whose square float64"),
        (lambda: judge_two_sample(np.eye(2), 1e-200 * np.eye(2), rng()), "real data holds values of 1e-200"),
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


def test_a_third_test_joins_those_of_features_with_half_of_the_level():
    rng = np.random.default_rng(11)
    a, b = rng.normal(size=(2, 300, 2))
    two = judge_two_sample(a, b, rng)
    assert two.pvalue > 0.05
    for accuracy in (0.5, 0.54, 0.58, 0.7):
        three = two.joined_by(Measure("judge accuracy", accuracy, 0.5, GuessTail(300)))
        own = binom.sf(round(300 * accuracy) - 1, 300, 0.5)
        assert three.distinguishable == (own < 0.025) == any(not row.within for row in three.rows)
        assert three.rows[2].name == "judge accuracy" and three.energy == two.energy
        assert [row.value for row in three.rows[3:]] == [row.value for row in two.rows[2:]]
        # what the third test may take, the others give: their bounds grow
        assert all(new.bound > old.bound for new, old in zip(three.rows[3:], two.rows[2:], strict=True))
        if own < 0.02:
            assert three.pvalue == pytest.approx(1 - (1 - own) ** 2)
    assert "moments and judge, together at the 5 % level, tell" in three.sentence
    apart = judge_two_sample(a + 9, b, rng).joined_by(Measure("judge", 0.5, 0.5, GuessTail(300)))
    assert apart.distinguishable
    with pytest.raises(ValueError, match="one feature"):
        judge_two_sample(a[:, 0], b[:, 0], rng, 10).joined_by(Measure("judge", 0.5, 0.5, GuessTail(300)))


@pytest.mark.rows(("successes", "count"), [(0, 1), (1, 1), (0, 40), (3, 10), (40, 40), (17, 23)])
def test_the_interval_of_a_share_is_wilsons(successes, count):
    expected = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert wilson(successes, count) == pytest.approx(expected, abs=1e-5)  # z is 1.96, not 1.959964
    low, high = wilson(successes, count)
    assert 0.0 <= low <= successes / count <= high <= 1.0


def test_very_many_values_are_judged_within_reach_of_signals(monkeypatch):
    """Not by the main thread, which waits; the median of W1 then is of a random part of the real values."""
    rng, sizes, answer = np.random.default_rng(0), [], verdict.answering

    def counted(judged, size):
        sizes.append(size)
        return answer(judged, size, least=1)

    monkeypatch.setattr(verdict, "answering", counted)
    a, b = rng.normal(size=(2, 300))
    usual = judge_two_sample(a, b, np.random.default_rng(1))
    rows = rng.normal(size=(2, 40, 2))
    judge(a, Normal(), rng)
    judge_two_sample(*rows, rng)
    assert sizes == [600, 300, 160]
    monkeypatch.setattr(one_feature, "FLOOR_ROWS", 200)
    fewer = judge_two_sample(a, b, np.random.default_rng(1))
    differ = {row.name for row, other in zip(usual.rows, fewer.rows, strict=True) if repr(row) != repr(other)}
    assert differ == {"W1"} and fewer.rows[4].perfect == pytest.approx(usual.rows[4].perfect, rel=0.5)
    with pytest.raises(ValueError, match="constant"):
        judge_two_sample(a, np.ones(300), rng)


def test_a_distribution_is_told_with_seven_digits_of_long_numbers():
    assert format_target("0.5*normal(-1, 2.25) + 0.5*normal(2, 1.4142135623730951)") == (
        "0.5*normal(-1, 2.25) + 0.5*normal(2, 1.414214)"
    )
    assert format_target("normal(0, 1.23456789e-09)") == "normal(0, 1.234568e-09)"
    for text in ("normal(0, 0.123456)", "normal(1234567.12345678, 1)"):
        assert format_target(text) == text


def test_rows_are_equal_whatever_nan_they_hold():
    ours, its = (Row("W1", 0.1, 0.2, float(nan)) for nan in ("nan", "-nan"))
    assert ours == its and hash(ours) == hash(its)
    assert (
        ours != Row("W1", 0.1, 0.2, 0.3)
        and ours != Row("W1", 0.1, 0.2, float("nan"), target=0.0)
        and ours != "W1"
    )
