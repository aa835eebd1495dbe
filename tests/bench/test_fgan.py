"""The f-GAN benchmark in a short form: it learns, each seed alone as among others, and writes when asked."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fgan(monkeypatch, tmp_path):
    """bench.fgan, which is not installed, with its results elsewhere."""
    monkeypatch.syspath_prepend(str(ROOT))
    for name in ("bench.common", "bench.fgan"):
        monkeypatch.setattr(importlib.import_module(name), "RESULTS", tmp_path)
    return importlib.import_module("bench.fgan")


def test_a_short_game_comes_near_the_closest_distribution(fgan):
    """A seventh of the steps and a looser bar than the table's; every seed starts 10 to 300 times farther."""
    from minigan.probability.distributions import Normal
    from minigan.probability.f_divergences import f_divergence
    from minigan.probability.text_form import parse

    result = fgan.measure(("spike, js", [0, 1, 2], 600))
    assert result["excess_worst"] < 1.0 and result["seeds"] == len(result["rows"]) == 3
    distribution, best = parse(result["target"]), result["optimum"]
    seed, mean, sd, excess = result["rows"][1]
    reached = f_divergence("js", distribution, Normal(mean, sd))
    assert seed == 1 and excess == pytest.approx(100 * (reached / best["divergence"] - 1), abs=1e-9)
    G, _ = fgan.players([0, 1, 2])
    unit = distribution.sd * fgan.UNIT
    starts = [
        (distribution.mean + unit * b, unit * w)
        for b, w in zip(*(G.parameters[k].numpy().ravel() for k in ("0.b", "0.W")), strict=True)
    ]
    before = [f_divergence("js", distribution, Normal(*start)) for start in starts]
    assert min(before) > 1.1 * best["divergence"]
    assert [mean for _, mean, _, _ in result["rows"]] == pytest.approx([best["mean"]] * 3, abs=0.05)


def test_a_seed_among_others_is_that_seed_alone(fgan):
    from minigan.probability.text_form import parse

    distribution = parse(fgan.MIXTURES["paper"])
    together, alone = (
        fgan.train(distribution, "kl", [5, 8], steps=3),
        fgan.train(distribution, "kl", [8], steps=3),
    )
    np.testing.assert_array_equal(np.array(together)[:, 1], np.array(alone)[:, 0])


def test_batches_are_stratified_draws_of_both_distributions(fgan):
    """One number in each interval of equal mass: so the distribution function is met to 1/B everywhere."""
    from scipy.special import ndtr

    from minigan.probability.text_form import parse

    distribution = parse(fgan.MIXTURES["two modes"])
    batches = list(fgan.draws(distribution, [0, 1], 60))
    assert len(batches) == 100 and [a.shape[2] for a in batches[0]] == [fgan.REAL, fgan.BATCH, fgan.BATCH]
    real, latent, other = (a[0, :, :, 0].astype("float64") for a in batches[-1])
    assert np.abs(latent - other).max() > 0 and np.abs(real[0] - real[1]).max() > 0
    u = np.sort(distribution.cdf(distribution.mean + distribution.sd * fgan.UNIT * real), axis=1)
    assert np.array_equal(
        np.floor(u * fgan.REAL + 1e-3 * (0.5 - (u * fgan.REAL) % 1)), np.tile(np.arange(fgan.REAL), (2, 1))
    )
    assert np.array_equal(np.floor(ndtr(latent) * fgan.BATCH), np.tile(np.arange(fgan.BATCH), (2, 1)))


def test_a_seed_that_diverged_is_infinitely_far(fgan, monkeypatch):
    monkeypatch.setattr(
        fgan,
        "train",
        lambda distribution, name, seeds, steps: (np.array([0.2, np.nan]), np.array([1.8, 1.0])),
    )
    result = fgan.measure(("spike, kl", [0, 1], 1))
    assert result["excess_worst"] == np.inf and result["rows"][0][3] < 1 and result["within"] == 0


def test_the_command_prints_its_lines_and_keeps_the_others(fgan, capsys, tmp_path, monkeypatch):
    class Here:
        """A pool of this process."""

        def __init__(self, jobs):
            self.map = map

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(fgan, "ProcessPoolExecutor", Here)
    arguments = ["--seeds", "1", "--steps", "2"]
    fgan.main([*arguments, "--only", "spike, kl"])
    assert not list(tmp_path.iterdir())
    fgan.main([*arguments, "--write", "--only", "spike, kl"])
    fgan.main([*arguments, "--write", "--only", "paper, js", "--only", "paper, kl"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert sum(row.startswith("| paper, kl") for row in rows) == 1
    record = json.loads((tmp_path / "fgan.json").read_text())
    assert [result["name"] for result in record["results"]] == ["paper, kl", "paper, js", "spike, kl"]
    with pytest.raises(SystemExit):
        fgan.main(["--only", "paper"])
