"""What a run is advised to try: a line of a table, each measured to help, and nothing where none applies."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minigan.evaluation.shortfalls import MEANINGS
from minigan.evaluation.verdict import Shortfall, judge
from minigan.probability.distributions import Normal
from minigan.training.advice import ADVICE, advised
from minigan.training.saved import read_verdict
from minigan.training.settings import resolve

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "advice.json"
X = np.random.default_rng(0).standard_normal(1000)


def told(name):
    found = judge(X + 0.5, Normal(0, 1), np.random.default_rng(0))
    return replace(found, shortfall=Shortfall(name, "Evidence."))


def advice(found, *sets, features=1):
    run = SimpleNamespace(config=resolve(environ={}, sets=sets), features=features)
    return advised(found, run).shortfall.advice


def test_the_advice_is_the_first_line_that_applies_and_may_be_none():
    assert (
        advice(told("gap"), "method=plain")
        == "Use the method that is shaped to what is learned: --set method=shaped"
    )
    assert advice(told("modes"), "seed=7") == "Begin elsewhere: --set seed=8"
    assert advice(told("modes"), f"seed={2**63 - 1}").endswith("seed=0")
    assert advice(told("tail")) == "" and advice(told("modes"), "target=moons()", features=2) == ""
    assert "uniform noise" in advice(told("ties")) and "--set" not in advice(told("ties"))
    assert advice(told("together"), "method=plain", features=2000) == ""
    longer = "Train longer, it had 1249 of the usual 5000 steps: --set steps=5000"
    assert advice(told("gap"), "method=plain", "steps=1249") == longer
    assert advice(told("tail"), "steps=5").endswith("of the usual 8000 steps: --set steps=8000")
    assert "shaped" in advice(told("gap"), "method=plain", "steps=1250")
    assert "uniform noise" in advice(told("ties"), "steps=5")


def test_a_fit_that_holds_is_advised_nothing():
    held = judge(X, Normal(0, 1), np.random.default_rng(0))
    assert held.shortfall is None and advised(held, None) is held


@pytest.mark.parametrize("name", ADVICE)
def test_every_line_was_measured_to_help(name):
    assert set(ADVICE[name].against) <= set(MEANINGS)
    cases = [r for r in json.loads(RESULTS.read_text())["results"] if r["advice"] == name]
    told, passes, judged = (sum(r[key] for r in cases) for key in ("told", "passes", "judged"))
    assert {missed for r in cases for missed in r["misses"]} == set(ADVICE[name].against)
    assert told >= 2 and passes >= 0.5 * judged > 0


def test_what_is_missed_is_read_back_from_a_file(tmp_path):
    found = replace(told("gap"), shortfall=Shortfall("gap", "Evidence.", "Try this: --set a=1"))
    (tmp_path / "verdict.json").write_text(json.dumps(found.as_dict()))
    assert read_verdict(tmp_path / "verdict.json").shortfall == found.shortfall
    older = {k: v for k, v in found.as_dict().items() if k != "shortfall"}
    (tmp_path / "verdict.json").write_text(json.dumps(older))
    assert read_verdict(tmp_path / "verdict.json").shortfall is None
