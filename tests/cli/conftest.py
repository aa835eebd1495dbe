"""What the tests of single commands share: a directory of their own, the command line, two runs."""

import json
import os

import numpy as np
import pytest

from minigan import cli
from minigan.storage.directory import RunDirectory
from minigan.training.config import to_json
from minigan.training.settings import resolve

TINY = (
    "method=plain",
    "generator.widths=4",
    "discriminator.widths=4",
    "batch=8",
    "steps=6",
    "eval_every=3",
    "eval_samples=100",
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, brief_judge):
    """Each test in a directory of its own, without outside settings or the seconds of drawing and judging."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MINIGAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("minigan.front.figures.save_overview", lambda run: run.plots / "overview.png")
    monkeypatch.setattr("minigan.front.figures.save_sweep", lambda path, *_: path / "sweep.png")
    return tmp_path


@pytest.fixture
def minigan_(capsys):
    """A function that runs the command line in this process: exit code, stdout, stderr."""

    def run(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def tiny():
    """What follows `train` for a run of milliseconds."""
    return tuple(part for setting in TINY for part in ("--set", setting))


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A directory with two finished runs, of seeds 1 and 2; to be copied by whoever changes it."""
    from minigan.training.experiment import Experiment
    from minigan.training.trainer import train

    root = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        config = resolve(environ={}, sets=(*TINY, f"seed={seed}"))
        with RunDirectory.create(root, f"seed{seed}", to_json(config)) as run:
            train(Experiment(config), run)
    return root


@pytest.fixture(scope="session")
def trained(runs):
    """The first of the two runs."""
    return min(runs.iterdir(), key=lambda path: path.name.split("-")[2])


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Data files, good and bad, by name."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    np.savetxt(root / "one.csv", rng.normal(size=(60, 1)))
    np.savetxt(root / "three.csv", rng.normal(size=(60, 3)), delimiter=",", header="a,b,c", comments="")
    np.save(root / "two.npy", rng.normal(size=(60, 2)).astype("float32"))
    np.save(root / "constant.npy", np.ones((60, 1)))
    np.save(root / "object.npy", np.array([1, None], object), allow_pickle=True)
    np.save(root / "complex.npy", np.ones(60) * 1j)
    np.save(root / "bool.npy", np.arange(60) > 5)
    np.save(root / "cube.npy", np.ones((3, 4, 5)))
    np.save(root / "text.npy", np.array(["a", "b"]))
    np.save(root / "huge.npy", rng.normal(size=60) * 1e300)
    for name, text in {
        "nan.csv": "1\n2\nnan\n4\n", "inf.csv": "1\n2\ninf\n", "empty.csv": "", "row.csv": "1.5\n",
        "word.csv": "1\nfoo\n3\n",
        "ragged.csv": "1,2\n3\n", "blank.csv": "\n\n", "binary.npy": "not an array", "header.csv": "a,b\n",
        "image.png": "x",
    }.items():  # fmt: skip
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="session")
def sentence():
    """A function: the one message of an error, which is one line, said once, at the end."""

    def only(err):
        lines = err.strip().splitlines()
        assert lines and lines[-1].startswith("error: ") and len(lines) == 1, err
        assert 20 < len(lines[0]) < 600
        return lines[0]

    return only


@pytest.fixture(scope="session")
def one_object():
    """A function: what --json printed, which is one object on one line."""

    def read(out):
        value = json.loads(out)
        assert out.count("\n") == 1 and value["schema"] == 1
        return value

    return read
