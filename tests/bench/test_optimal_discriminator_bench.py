"""The benchmark of D against D* in a tiny form: a line for each pair, and errors that theory allows."""

import importlib
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
    bench.main(["--seeds", "2", "--steps", "3", "--batch", "8", "--count", "50"])
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
