"""The benchmarks of modes and of presets run in a tiny form, and judge a perfect sampler as perfect."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from minigan.storage.directory import RunDirectory
from minigan.training.config import to_json
from minigan.training.experiment import Experiment
from minigan.training.promises import found_in
from minigan.training.settings import resolve
from minigan.training.trainer import train

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The named module of bench/, writing into a folder of the test."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(importlib.import_module("bench.common"), "RESULTS", tmp_path / "results")

    def module(name):
        module = importlib.import_module(f"bench.{name}")
        if hasattr(module, "RESULTS"):
            monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
        return module

    return module


def test_the_verdict_is_measured_on_perfect_and_on_wrong_samplers(bench, capsys, tmp_path):
    module = bench("verdict")
    lines = ["--only", "normal(4, 1.25)", "--only", "a scale of 1.05"]
    module.main(
        ["--draws", "60", "--wrong", "4", "--sizes", "100", "10000", "--jobs", "1", "--write", *lines]
    )
    assert "| normal(4, 1.25) |" in capsys.readouterr().out
    found = json.loads((tmp_path / "results" / "verdict.json").read_text())["results"]
    assert [(r["name"], r["n"]) for r in found] == [
        ("normal(4, 1.25)", 100), ("normal(4, 1.25)", 10_000), ("a scale of 1.05", 10_000)
    ]  # fmt: skip
    assert all(r["disagreed"] == 0 for r in found)
    assert found[0]["passed"] >= 46 and found[2]["passed"] == 0  # binomial: 46 of 60 with 10⁻⁶
    module.main(["--draws", "2", "--sizes", "100", "--jobs", "1", "--write", "--only", "82 real values"])
    assert len(json.loads((tmp_path / "results" / "verdict.json").read_text())["results"]) == 4
    module.main(["--together", "--wrong", "3", "--jobs", "1", "--only", "5 features that are large together"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "large together" in line)
    assert [cell.strip() for cell in line.split("|")[2:5]] == ["1000", "3", "100.0%"]


def test_modes_are_counted_over_seeds(bench, capsys, tmp_path):
    module = bench("modes")
    sets = ["--set", "steps=2", "--set", "eval_samples=1000"]
    module.main(["--only", "ring8", "--seeds", "5", "--jobs", "1", "--write", *sets])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ring8 ")]
    assert len(lines) == 1 and " 0.0% " in lines[0]
    own, floor = json.loads((tmp_path / "results" / "modes-ring8.json").read_text())["results"]
    assert own["seeds"] == 5 and [row[0] for row in own["rows"]] == [4000, 4001, 4002, 4003, 4004]
    assert floor["all_modes"] == floor["seeds"] and 0.985 < floor["high_quality"][1] < 0.993


def test_trees_tell_a_bad_fit_of_several_features_and_no_perfect_one(bench, capsys, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    module = bench("several")
    monkeypatch.setattr(module, "FOLDS", 2)
    plane = "target=moons(0.1)"
    assert len({resolve(environ={}, sets=(plane, *p)) for p in module.PIECES.values()}) == len(module.PIECES)
    sets = [part for s in ("steps=2", "batch=8", "discriminator.widths=[4]") for part in ("--set", s)]
    module.main(["--only", "moons", "--seeds", "1", "--rows", "200", "--jobs", "1", "--write", *sets])
    own, floor = json.loads((tmp_path / "results" / "several.json").read_text())["results"]
    assert own["accuracy"][0] > 0.7 and 0.35 < floor["accuracy"][0] < 0.65
    assert "| moons, a perfect sampler |" in capsys.readouterr().out


def test_a_group_of_seeds_is_its_single_runs(bench):
    module, sets = bench("modes"), ("steps=3", "eval_samples=500")
    together = module.train_group(("ring8", sets, [0, 1]))[1]
    assert together == [module.train_group(("ring8", sets, [seed]))[1][0] for seed in (0, 1)]


def test_a_collapsed_sample_and_one_that_diverged(bench):
    module = bench("modes")
    seed, captured, quality, divergence = module.judged(
        7, np.tile([[1.0, 0.0]], (100, 1)), "ring(8, 1, 0.01)"
    )
    assert (seed, captured, quality) == (7, 1, 1.0) and divergence == pytest.approx(np.log(8))
    assert module.judged(7, np.full((100, 2), np.nan), "ring(8, 1, 0.01)") == (7, 0, 0.0, np.inf)


def test_presets_are_measured_over_seeds(bench, capsys, tmp_path):
    module = bench("presets")
    lines = ["--only", "dirac-r1", "--only", "galaxies", "--seeds", "6", "--jobs", "1"]
    tiny = ["--set", "steps=4", "--set", "eval_every=2", "--set", "eval_samples=200"]
    assert module.main([*lines, *tiny, "--write"]) == 1  # after 4 steps nothing has arrived
    out, err = capsys.readouterr()
    assert "| `galaxies`" in out and "promises not kept: dirac-r1" in err
    circle, galaxies = json.loads((tmp_path / "results" / "presets.json").read_text())["results"]
    assert (circle["name"], galaxies["name"]) == ("dirac-r1", "galaxies")
    assert [row["seed"] for row in circle["rows"]] == [*range(6)] and circle["seconds"] > 0
    assert all(row["values"]["circle left"] == row["theory"] == 1 for row in circle["rows"])
    module.main([*lines[2:], "--missing", "--only", "galaxies"])
    assert "galaxies" not in capsys.readouterr().out  # it is stored with as many seeds


def test_a_seed_of_the_presets_is_its_run(bench, tmp_path):
    """What is measured is the verdict of `minigan train NAME --seed S`, to the bit."""
    module, sets = bench("presets"), ("steps=40", "eval_every=20", "eval_samples=200")
    together = module.measure(("dirac-gan", sets, [0, 1]))
    config = resolve("dirac-gan", environ={}, sets=(*sets, "seed=1"))
    with RunDirectory.create(tmp_path, "one", to_json(config)) as run:
        outcome = train(Experiment(config), run)
    found = found_in(outcome.verdict, run.read_metrics().rows)
    circle = together[1]["values"].pop("circle left")
    assert circle == pytest.approx(found.pop("circle left"), abs=0.02)  # by means of 200 noisy values
    assert together[1]["values"] == found and together[1]["headline"] == outcome.verdict.headline
