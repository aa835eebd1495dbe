"""What a sample misses of its target: named where it is planted, and nothing where the fit holds."""

import numpy as np
import pytest

from minigan.evaluation.shortfalls import MEANINGS, Shortfall, _peaks, map_of, shortfall_of
from minigan.evaluation.verdict import explained, judge, judge_two_sample
from minigan.probability.empirical import Empirical
from minigan.probability.text_form import parse

MODES = parse("0.2*normal(-5, 0.3) + 0.5*normal(0, 0.3) + 0.3*normal(5, 0.3)")
WALLS = parse("0.5*uniform(0, 1) + 0.5*uniform(2, 3)")
NORMAL, UNIFORM, PARETO = parse("normal(0, 1)"), parse("uniform(0, 1)"), parse("pareto(3)")
N = 4000


def draws(target, n=N, seed=0):
    return target.sample(np.random.default_rng(seed), (n,))


Z = draws(NORMAL, seed=1)
WHOLE = np.round(3 * draws(NORMAL, seed=2))
DATA = Empirical(draws(MODES, seed=3))
PLANTED = {  # what is wrong: (its name, what the evidence says, sample, target)
    "weights": ("modes", "28", np.append(draws(MODES, N - 400), -5 + 0.3 * Z[:400]), MODES),
    "a lost mode": ("modes", "-5 is missing", draws(MODES)[draws(MODES) > -2], MODES),
    "values in a gap": ("gap", "of 0.5 %", np.append(draws(WALLS), 1 + np.linspace(0, 1, 120)), WALLS),
    "a soft edge": ("edge", "", draws(UNIFORM) + 0.02 * Z, UNIFORM),
    "short tails": ("tail", "too short: above", np.minimum(Z, 2.0), NORMAL),
    "a long tail": ("tail", "too long", np.where(np.abs(Z) > 2, 2 * Z, Z), NORMAL),
    "a tail with an edge": ("tail", "too short", np.minimum(draws(PARETO), 3.5), PARETO),
    "a shift": ("shape", "Below", Z + 0.1, NORMAL),
    "whole numbers": ("ties", "come more than once", 3 * Z, Empirical(WHOLE)),
    "some zeros": ("ties", "are 0;", Z, Empirical(np.where(Z < -1, 0.0, Z))),
    "data with a gap": ("modes", "", np.append(draws(MODES, N - 400), 5 + Z[:400] / 3), DATA),
}  # fmt: skip


@pytest.mark.rows("what", PLANTED)
def test_what_is_planted_is_named(what):
    name, says, sample, target = PLANTED[what]
    found = shortfall_of(sample, target)
    assert found.name == name and says in found.evidence and name in MEANINGS
    assert found.lines == [f"What it misses: {MEANINGS[name]}. {found.evidence}"]


def test_nothing_is_said_of_a_fit_that_holds_or_of_too_few_values():
    for sample, target in ((draws(NORMAL, 500), NORMAL), (draws(MODES, 500), MODES), (Z[:3], NORMAL)):
        assert explained(judge(sample, target, np.random.default_rng(0)), sample, target).shortfall is None
    assert explained(judge(Z + 0.2, NORMAL, np.random.default_rng(0)), Z + 0.2, NORMAL).shortfall is not None


def test_ties_are_named_only_where_nothing_continuous_can_pass():
    tenths = np.round(draws(NORMAL, 800, seed=2), 1)  # a value has 4 % at most, KS of so few more
    assert shortfall_of(Z + 0.3, Empirical(tenths)).name == "shape"
    assert shortfall_of(Z, Empirical(np.round(tenths))).name == "ties"


def test_few_values_have_no_map():
    assert map_of(Empirical(draws(MODES, 82))) == map_of(Empirical(np.zeros(50)))
    assert len(map_of(Empirical(draws(MODES))).gaps) == 2 and not map_of(NORMAL).valleys


def test_of_several_features_the_worst_is_named_or_none_alone():
    rng = np.random.default_rng(5)
    real = rng.standard_normal((1000, 2))
    names = ("height", "weight")
    shifted = rng.standard_normal((1000, 2)) + [0, 0.5]
    found = explained(judge_two_sample(shifted, real, rng, names=names), shifted, real, names).shortfall
    assert found.name == "shape" and found.evidence.startswith("Of weight: ")
    x = rng.standard_normal(1000)
    tied = np.stack([x, x], axis=1)
    found = explained(judge_two_sample(tied, real, rng, names=names), tied, real, names).shortfall
    assert found == Shortfall("together", "Each feature alone is as it should be, and together they are not.")


@pytest.mark.rows(
    ("heights", "prominence", "peaks"),
    [
        ([0, 1, 0], 1, [1]),
        ([0, 1, 0], 1.5, []),
        ([2, 1, 2], 0, []),  # ends are none
        ([0, 3, 3, 3, 3, 0], 1, [2]),  # the middle of a plateau, rounded down
        ([0, 5, 2, 4, 1, 5, 0], 2, [1, 3, 5]),
        ([0, 5, 2, 4, 1, 5, 0], 3, [1, 5]),
        ([3, 4, 0, 2, 1, 9], 2, []),
        ([1, 1, 1], 0, []),
    ],
)
def test_peaks_are_those_that_scipy_finds(heights, prominence, peaks):
    """scipy.signal.find_peaks gives the same, also of 20 000 random rows."""
    assert _peaks(np.array(heights, float), prominence) == peaks
