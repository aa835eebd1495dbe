"""Every example runs in a short form, says something and draws its picture; none is left out."""

import ast
import importlib.util
import os
import re
import runpy
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minigan
from minigan.evaluation.classifier_test import classifier_two_sample_test

ROOT = Path(__file__).parents[2]
EXAMPLES = {re.sub(r"^[0-9]+_", "", p.stem): p for p in sorted((ROOT / "examples").glob("*.py"))}
SHORT = {  # arguments of main that make it short
    "information_and_entropy": {"n": 100, "figure": None},
    "kl_js_ks": {"n": 100, "figure": None},
    "generative_and_discriminative": {"n": 60, "figure": None},
    "maximum_likelihood": {"steps": 4, "figure": None},
    "backprop_by_hand": {"arguments": ["--steps", "3", "--no-figure"]},
    "gan_in_thirty_lines": {"steps": 4, "batch": 8},
    "d_against_d_star": {"steps": 6, "batch": 8, "looks": 3, "figure": None},
    "v_and_js": {"lengths": (1, 2, 3), "batch": 8, "figure": None},
    "divergence_zoo": {"steps": 2, "moves": 3, "figure": None},
    "mode_collapse": {"steps": 4, "seeds": (0, 1), "looks": 2, "count": 50, "figure": None},
    "dirac_dynamics": {"steps": 20, "figure": None},
    "galaxies": {"steps": 2, "count": 120, "fitted": 20, "figure": None},
    "open_in_pytorch": {"steps": 4},
    "classes": {"n": 60, "steps": 4, "fresh": 100, "figure": None},
    "latent_space": {"steps": 2, "count": 50, "figure": None},
}


SMALLER = {  # names of the module that make it short
    "dirac_dynamics": {"SHOWN": ("GAN", "R1")},  # each portrait takes a third of a second
    "galaxies": {"classifier_two_sample_test": partial(classifier_two_sample_test, steps=50)},
    "latent_space": {
        "TARGETS": {"student": minigan.StudentT(3)},
        "LATENTS": {"normal": (minigan.Normal(0, 1), 1), "many": (minigan.Normal(0, 1), 8)},
    },
}
PLAIN = ("gan_in_thirty_lines", "open_in_pytorch")  # those that draw nothing


def load(path):
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_a_short_form():
    assert EXAMPLES and EXAMPLES.keys() == SHORT.keys()
    numbers = [p.name[:2] for p in EXAMPLES.values() if p.name[0].isdigit()]
    assert numbers == [f"{k + 1:02}" for k in range(len(numbers))]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_says_something_and_draws_its_picture(name, capsys, tmp_path, monkeypatch):
    """A PNG of at least 800 by 300 pixels that is not empty, where it was asked for and nowhere else."""
    monkeypatch.chdir(tmp_path)
    example = load(EXAMPLES[name])
    path, main = tmp_path / "picture.png", example.main
    for own, value in SMALLER.get(name, {}).items():
        monkeypatch.setattr(example, own, value)
    if name == "backprop_by_hand":
        found = main(["--steps", "3", "--figure", str(path)])
    else:
        found = main(**SHORT[name] | ({} if name in PLAIN else {"figure": str(path)}))
    out = capsys.readouterr().out
    assert found is not None and out.strip()
    rows = {"divergence_zoo": minigan.OBJECTIVES, "mode_collapse": getattr(example, "METHODS", ())}.get(name)
    assert rows is None or found.keys() == rows.keys() and all(row in out for row in rows)
    assert list(tmp_path.iterdir()) == ([] if name in PLAIN else [path])
    if name not in PLAIN:
        content = path.read_bytes()
        width, height = struct.unpack(">II", content[16:24])  # of the header chunk
        assert content.startswith(b"\x89PNG") and width >= 800 and height >= 300
        assert len(content) > 20_000


@pytest.mark.parametrize("name", ["information_and_entropy", "backprop_by_hand"])
def test_without_a_picture_nothing_is_left(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(EXAMPLES[name]).main(**SHORT[name]) is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.rows("name", EXAMPLES)
def test_an_example_does_nothing_when_it_is_read(name, capsys):
    runpy.run_path(str(EXAMPLES[name]))
    assert capsys.readouterr().out == ""


@pytest.mark.rows("name", EXAMPLES)
def test_an_example_says_how_long_it_takes(name):
    said = ast.get_docstring(ast.parse(EXAMPLES[name].read_text(encoding="utf-8")))
    assert re.search(r"^(.* )?Takes [\w ]*(seconds?|minutes?)\b", said, re.MULTILINE), said


def test_what_the_example_of_collapse_says_is_held_against_its_numbers():
    collapse = load(EXAMPLES["mode_collapse"])

    def ends(captured, quality):
        return SimpleNamespace(captured=np.array(captured), high_quality=np.array(quality))

    bad, good = ends([3, 0, 8], [0.2, 0.0, 0.8]), ends([8, 8, 8], [0.95, 0.96, 0.97])
    assert [holds for _, holds in collapse.claims({"minimax": bad, "R1 + R2": good})] == [True, True]
    assert [holds for _, holds in collapse.claims({"minimax": good, "R1 + R2": good})] == [True, False]
    assert [holds for _, holds in collapse.claims({"minimax": bad, "R1 + R2": bad})] == [False, True]
    assert [holds for _, holds in collapse.claims({"R1 + R2": ends([8, 8], [0.95, 0.7])})] == [False]


@pytest.mark.rows("name", [name for name in EXAMPLES if name not in PLAIN])
def test_an_example_says_where_its_picture_goes(name):
    """The last line of its docstring names the file that the script writes."""
    source = EXAMPLES[name].read_text(encoding="utf-8")
    (picture,) = set(re.findall(r'(?:figure|default)="([\w.]+\.png)"', source))
    said = ast.get_docstring(ast.parse(source)).splitlines()[-1]
    assert said == f"Draws {picture} into the directory in which it is started."


def test_an_example_is_a_script_whose_picture_is_where_the_docstring_says(tmp_path):
    environ = {**os.environ, "PYTHONPATH": str(Path(minigan.__file__).parents[1])}
    command = [sys.executable, EXAMPLES["backprop_by_hand"], "--steps", "2"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "10 000 generated" in done.stdout, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["backprop_by_hand.png"]


def test_thirty_lines_learn():
    """KS ends near that of a perfect sampler, whose highest of a thousand is about 0.02."""
    example = load(EXAMPLES["gan_in_thirty_lines"])
    fresh, learned = example.main(steps=1), example.main()
    assert learned.ks.statistic < 0.03 < 0.2 < fresh.ks.statistic
    rows = {row.name: row for row in learned.rows}
    assert abs(rows["mean"].value - 4) < 0.1 and abs(rows["sd"].value - 1.25) < 0.1


def test_the_divergence_zoo_ends_near_theory():
    zoo = load(EXAMPLES["divergence_zoo"])
    theory = zoo.in_theory(minigan.OBJECTIVES["kl"], minigan.parse(zoo.TARGET), 400)
    np.testing.assert_allclose(zoo.trained("kl", 6000), theory, atol=0.08)
    assert abs(zoo.trained("kl", 300)[1] - theory[1]) > 0.08  # and a short game does not


@pytest.mark.parametrize(("name", "order", "word"), [
    ("GAN", "simultaneous", "leaves"), ("GAN", "alternating", "orbits"), ("WGAN-GP", "alternating", "orbits"),
    ("R1", "simultaneous", "arrives"),
])  # fmt: skip
def test_the_smallest_gan_does_what_the_table_says(name, order, word):
    example = load(EXAMPLES["dirac_dynamics"])
    row = example.DIRAC[name]
    path = row.game(row.γ).trajectory(example.START, example.RATE, example.STEPS, order)
    assert example.fate(path)[0] == word


def test_thirty_lines_are_found_again_bit_for_bit():
    example = load(EXAMPLES["gan_in_thirty_lines"])
    assert example.main(steps=3, batch=8) == example.main(steps=3, batch=8)


def test_the_shipped_galaxies_are_a_table():
    from minigan.training.data import read_data

    data = read_data(ROOT / "minigan" / "training" / "datasets" / "galaxies.csv")
    assert data.values.shape == (82, 1) and np.isfinite(data.values).all()
    assert (ROOT / "minigan" / "training" / "datasets" / "README.md").is_file()  # where they come from


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-6), ("float64", 1e-12)])
def test_a_checkpoint_opens_in_pytorch_with_equal_outputs(dtype, bound, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.chdir(tmp_path)
    found = load(EXAMPLES["open_in_pytorch"]).main(steps=60, dtype=dtype)
    assert found.keys() == {"generator", "average", "discriminator"}
    # Beside the scale of the data, 4 ± 1.25, and of the logits.
    assert max(found.values()) < 10 * bound
