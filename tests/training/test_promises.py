"""Promises: bounds, words, circles, and what a finished run says of its preset."""

import math

import numpy as np
import pytest

from minigan.evaluation import judge
from minigan.probability import Normal
from minigan.training.promises import Condition, circle_left, find_shown, found_in
from minigan.training.settings import describe_shown, resolve


def test_a_condition_holds_within_its_bounds_and_never_of_what_is_not_there():
    for low, high, holds in ((2, None, "234"), (None, 2, "12"), (2, 3, "23"), (None, None, "1234")):
        condition = Condition("x", low, high)
        assert "".join(str(k) for k in (1, 2, 3, 4) if condition.holds({"x": k})) == holds
        assert not condition.holds({"x": math.nan}) and not condition.holds({"y": 2.0})


@pytest.mark.rows(("condition", "words"), [
    (Condition("p", 0.05), "cannot be told from its target"),
    (Condition("KS", high=0.03), "KS 0.03 or less"),
    (Condition("KS", low=0.2), "KS 0.2 or more"),
    (Condition("mean", 0.91, 1.11, 1.01), "mean 1.01 ± 0.1"),
    (Condition("modes captured", low=8), "8 modes"),
    (Condition("high-quality share", low=0.95), "95 % or more of high quality"),
    (Condition("classifier accuracy", high=0.55), "a classifier is right in 55 % of cases at most"),
    (Condition("circle left", high=0.05), "5 % or less of its circle is left"),
])  # fmt: skip
def test_a_condition_in_words(condition, words):
    assert condition.describe() == words


def test_what_is_left_of_a_circle_and_of_a_spiral():
    steps = np.arange(0, 1001, 20)
    for decay in (0.0, 0.002):  # a turn is 160 steps long: the last starts further in by 800 steps
        means = 3 * np.exp(-decay * steps) * np.cos(2 * np.pi * steps / 160)
        assert circle_left(steps.tolist(), means.tolist()) == pytest.approx(math.exp(-800 * decay), rel=1e-9)
    assert math.isnan(circle_left([0, 1], [0.0, 0.0]))


def test_a_run_says_whether_it_shows_what_its_preset_sets_out_to_show():
    verdict = judge(Normal(0.001, 0.1).sample(np.random.default_rng(0), (500,)), Normal(0, 0.1), None)
    rows = [{"step": 0, "mean": 1.0}, {"step": 900, "mean": 0.5}, {"step": 1000, "mean": -0.02}]
    found = found_in(verdict, rows)
    assert found["circle left"] == 0.5 and found["KS"] == verdict.ks.statistic and "mean" in found
    assert "circle left" not in found_in(verdict) | found_in(verdict, [{"step": 0, "mean": None}])
    config = resolve("dirac-r1", environ={})
    assert describe_shown(config, verdict, rows) == (
        "The preset dirac-r1 sets out to show: 5 % or less of its circle is left. "
        "This run does not: circle left 0.5."
    )
    assert "This run does: circle left 0.02." in describe_shown(config, verdict, [rows[0], rows[2]])
    assert describe_shown(resolve("dirac-r1", environ={}, sets=["r1=0.4"]), verdict, rows) == ""
    assert find_shown([Condition("p", 0.05)], found) is None  # the verdict itself says it
