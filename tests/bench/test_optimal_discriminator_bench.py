"""The benchmark of D against D* in a tiny form: a line for each pair, and errors that theory allows."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from minigan.probability.distributions import Normal
from minigan.probability.information import js_quadrature

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The module, from bench/, which is not installed; afterwards no result may have been written."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(importlib.import_module("bench.common"), "RESULTS", tmp_path / "results")
    yield importlib.import_module("bench.optimal_discriminator")
    assert not (tmp_path / "results").exists()


def test_it_prints_a_line_for_each_pair_and_the_bar(bench, capsys):
    bench.main(["--only", "pairs", "--seeds", "2", "--steps", "3", "--batch", "8", "--count", "50"])
    out = capsys.readouterr().out
    rows = [row for row in out.splitlines() if row.startswith("| ")]
    assert len(rows) == 1 + len(bench.PAIRS) >= 7
    assert [row.split("|")[2].strip() for row in rows[1:]] == [str(q) for _, q in bench.PAIRS]
    assert f"0 of {2 * len(bench.PAIRS)} seeds" in out  # three steps are no training


def test_the_pairs_go_from_near_to_far(bench):
    js = [js_quadrature(p, q) for p, q in bench.PAIRS]
    assert js == sorted(js) and js[0] < 0.008 and js[-1] > 0.69


def test_training_meets_the_bar_and_the_implied_js_stays_a_lower_bound(bench):
    p, q = Normal(0.0, 1.0), Normal(2.0, 1.0)
    rows = [bench.measure(p, q, seeds=2, steps=steps, batch=256, count=1000) for steps in (5, 600)]
    assert [bench.met(row) for row in rows] == [0, 2]
    for row in rows:
        assert row["js"] == js_quadrature(p, q)
        assert all(implied <= row["js"] for implied in row["implied"])  # by quadrature, for any D
    assert max(rows[1]["distance"]) < 0.2 * min(rows[0]["distance"])


def test_both_implied_js_are_those_of_the_same_discriminator(bench):
    """200 000 samples; the terms of V have variances below ½, so 6 standard errors are below 0.0067."""
    row = bench.measure(Normal(0.0, 1.0), Normal(1.0, 1.0), seeds=1, steps=40, batch=64, count=200_000)
    assert row["sampled"] != row["implied"]
    np.testing.assert_allclose(row["sampled"], row["implied"], atol=0.0067)


def test_a_line_with_one_failed_seed_says_so(bench):
    row = {"js": 0.5, "distance": [0.001, 0.02, 0.001], "implied": [0.4999, 0.4999, 0.49]}
    assert bench.met(row) == 1
    np.testing.assert_allclose(bench.errors(row, "implied"), [-0.0002, -0.0002, -0.02])


def test_trained_objectives_come_near_theory_and_untrained_ones_do_not(bench):
    settings = bench.TRAINED | {"seeds": 1, "batch": 128, "widths": (16,)}
    for name, near in (("least_squares", 2e-3), ("kl", 2e-2)):
        objective = bench.OBJECTIVES[name]
        brief, longer = (bench.compare(objective, **settings | {"steps": steps}) for steps in (3, 300))
        assert max(map(abs, bench.farthest(longer))) < 8 * near
        for row in (brief, longer):  # by quadrature no D has less, and what it implies is never too much
            assert (
                row["trained"][0] >= row["optimum"] - 1e-9 and row["implied"][0] <= row["divergence"] + 1e-9
            )
        assert abs(longer["trained"][0] - longer["optimum"]) < near < brief["trained"][0] - brief["optimum"]


def test_a_critic_of_slope_one_finds_the_side_of_the_data(bench):
    """A weight that is large from the start would keep the sign of a slope; W₁ is 0.8."""
    settings = bench.TRAINED | {"seeds": 2, "steps": 150, "batch": 64, "widths": (8,), "weights": (0.1, 30.0)}
    values, best = bench.value_of(bench.OBJECTIVES["wasserstein"], *bench.APART, **settings)
    assert best == pytest.approx(-0.8, abs=1e-4)
    assert max(abs(value - best) for value in values) < 0.2


def test_every_objective_was_measured_within_the_bar(bench):
    stored = json.loads((ROOT / "bench/results/optimal_discriminator.json").read_text())["objectives"]
    assert [row["objective"] for row in stored["results"]] == list(bench.OBJECTIVES)
    far = {row["objective"]: max(map(abs, bench.farthest(row))) for row in stored["results"]}
    assert {name for name, off in far.items() if off > bench.WITHIN} == set()
    for row in stored["results"]:  # the stored exact values are those of the theorem
        says = bench.OBJECTIVES[row["objective"]].divergence
        assert row["at_rest"] == pytest.approx(says.at_rest, abs=1e-6)
        assert row["optimum"] == pytest.approx(says.at_rest - says.scale * row["divergence"], abs=1e-9)
    planted = dict(stored["results"][0], rest=[2.0])
    assert max(map(abs, bench.farthest(planted))) > bench.WITHIN
