"""Cross-fitting in a tiny form: rows are taken to the scores of the run that has not seen them, and judge."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The module, from bench/, which is not installed; what it writes lies elsewhere."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(importlib.import_module("bench.common"), "RESULTS", tmp_path)
    return importlib.import_module("bench.crossfit")


def test_scores_are_those_of_the_run_that_has_not_seen_the_row(bench, monkeypatch):
    rng = np.random.default_rng(0)
    fold = bench.folds_of(rng, 82, 5)
    assert sorted(np.bincount(fold)) == [16, 16, 16, 17, 17]
    x = rng.normal(size=4000)
    z = bench.scores(x, rng.normal(size=100_000), rng)
    assert np.abs(z - x).max() < 0.3 and np.abs(z - x).mean() < 0.01
    assert np.isfinite(bench.scores(np.array([-9.0, 9.0]), x, rng)).all()  # beyond all generated values
    judged = []
    monkeypatch.setattr(bench, "judge", lambda z, *_: judged.append(z))
    generated = np.array([np.full(99, -10.0), np.full(99, 10.0)])  # fold 0 lies above all, fold 1 below
    bench.crossfitted(np.zeros(4), generated, np.array([0, 1, 1, 0]), rng)
    assert (np.sign(judged[0]) == [1, -1, -1, 1]).all()


def test_only_cross_fitting_has_the_power_of_all_rows_and_sees_repetition(bench):
    repeats, wide = (
        bench.told(bench.SAMPLERS[name], 82, draws)
        for name, draws in (("repeats its rows", 8), ("1.4 times as wide", 4))
    )
    assert repeats["learned"][0] == 0 < repeats["crossfit"][0]
    assert wide["held_out"][0] < 0.6 < wide["crossfit"][0]
    assert wide["held_out"][1] > 0  # sixteen rows are too few to tell


def test_it_prints_both_tables_and_keeps_them(bench, capsys, tmp_path):
    sets = ("method=plain", "generator.widths=[4]", "discriminator.widths=[4]", "batch=8", "steps=3",
            "eval_every=3", "eval_samples=500")  # fmt: skip
    sets = [part for s in sets for part in ("--set", s)]
    bench.main(["--draws", "0", "--seeds", "2", "--folds", "3", "--write", *sets])
    lines = json.loads((tmp_path / "crossfit.json").read_text())["results"]
    assert [(line["seed"], line["rows"]) for line in lines] == [(0, 82), (1, 82)]
    assert all(line["headlines"][1] == "can be told apart" for line in lines)  # three steps are no training
    rows = [row for row in capsys.readouterr().out.splitlines() if row.startswith("| ")]
    assert len(rows) == 1 + 1 + 2


def test_what_cannot_be_cross_fitted_is_refused_in_a_sentence(bench, capsys, tmp_path):
    (tmp_path / "two.csv").write_text("a,b\n" + "1,2\n3,5\n4,4\n" * 3)
    for asked, said in (
        (("--data", "two.csv"), "scores are of one feature, and the data have 2"),
        (("--data", "two.csv", "--set", "columns=a", "--folds", "5"), "9 rows make from 2 to 4 folds"),
        (("--data", "none.csv"), "none.csv"),
    ):
        given = [str(tmp_path / part) if part.endswith(".csv") else part for part in asked]
        with pytest.raises(SystemExit):
            bench.main(["--draws", "0", *given])
        assert said in capsys.readouterr().err
