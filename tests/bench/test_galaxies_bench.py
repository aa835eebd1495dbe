"""The benchmark of the galaxies in a tiny form: a line for each seed and one for a perfect sampler."""

import importlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
TINY = (
    "method=plain",
    "target=galaxies(8)",
    "generator.widths=[8]",
    "discriminator.widths=[8]",
    "batch=8",
    "steps=3",
)


@pytest.fixture
def galaxies(monkeypatch, tmp_path):
    """The module, from bench/, which is not installed; afterwards no result may have been written."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(importlib.import_module("bench.common"), "RESULTS", tmp_path / "results")
    yield importlib.import_module("bench.galaxies")
    assert not (tmp_path / "results").exists()


def test_it_prints_a_line_for_each_seed_and_a_perfect_sampler(galaxies, capsys, monkeypatch):
    brief = partial(galaxies.classifier_two_sample_test, steps=200)
    monkeypatch.setattr(galaxies, "classifier_two_sample_test", brief)
    sets = [part for s in TINY for part in ("--set", s)]
    galaxies.main(["--seeds", "2", "--count", "300", "--jobs", "1", *sets])
    out = capsys.readouterr().out
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in out.splitlines() if row.startswith("| ")
    ]
    assert [row[0] for row in rows[1:]] == ["seed 0", "seed 1", "a perfect sampler"]
    accuracy = [float(row[1]) for row in rows[1:]]
    assert min(accuracy[:2]) > accuracy[2] + 0.1  # three steps are no galaxies
    assert "95 % of perfect samplers" in out


def test_statistics_tell_larger_galaxies(galaxies):
    from minigan.probability.galaxies import Light, render

    rng = np.random.default_rng(0)
    small, large = (
        render(Light(np.full(30, 20.0), r, 1.0, 0.7), 16).reshape(30, 256) + 0.02 * rng.normal(size=(30, 256))
        for r in (2.0, 3.0)
    )
    small, large = galaxies.statistics(small), galaxies.statistics(large)
    for name in ("half-light radius", "Sérsic radius"):
        assert np.median(large[name]) > 1.2 * np.median(small[name])
    assert set(small) == set(galaxies.STATISTICS)
