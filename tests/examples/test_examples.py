"""Every numbered example runs, in a short form and as it stands on the command line; none is left out."""

import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigan

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))
SHORT = {  # arguments of main that make it short
    "01_backprop_by_hand": {"arguments": ["--steps", "3", "--no-figure"]},
    "02_gan_in_thirty_lines": {"steps": 4, "batch": 8},
}


def load(path):
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_a_short_form():
    assert EXAMPLES and {path.stem for path in EXAMPLES} == SHORT.keys()
    assert [path.name[:2] for path in EXAMPLES] == [f"{k + 1:02}" for k in range(len(EXAMPLES))]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_says_something(path, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(path).main(**SHORT[path.stem]) is not None
    assert capsys.readouterr().out.strip()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_does_nothing_when_it_is_read(path, capsys):
    runpy.run_path(str(path))
    assert capsys.readouterr().out == ""


def test_the_first_example_is_a_script(tmp_path):
    environ = {**os.environ, "PYTHONPATH": str(Path(minigan.__file__).parents[1])}
    command = [sys.executable, EXAMPLES[0], "--steps", "2", "--no-figure"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "10 000 generated" in done.stdout, done.stderr


def test_thirty_lines_learn():
    """400 steps are not a good fit, but far nearer to N(4, 1.25) than none: KS and spread say so."""
    example = load(EXAMPLES[1])
    verdicts = [example.main(steps=steps, batch=64) for steps in (1, 400)]
    fresh, learned = (verdict.ks.statistic for verdict in verdicts)
    assert learned < 0.6 * fresh
    rows = {row.name: row for row in verdicts[1].rows}
    assert abs(rows["mean"].value - 4) < 0.5 and 0.6 < rows["sd"].value < 1.9


def test_thirty_lines_are_found_again_bit_for_bit():
    example = load(EXAMPLES[1])
    assert example.main(steps=3, batch=8) == example.main(steps=3, batch=8)


def test_the_shipped_galaxies_are_a_table():
    from minigan.lab.data import read_data

    data = read_data(ROOT / "examples" / "data" / "galaxies.csv")
    assert data.values.shape == (82, 1) and np.isfinite(data.values).all()
    assert (ROOT / "examples" / "data" / "README.md").is_file()  # where they come from
