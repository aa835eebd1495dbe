"""What the tests of single commands share: a directory of their own, the command line, two runs."""

import os
from types import SimpleNamespace

import pytest

from minigan import cli
from minigan.storage.directory import RunDirectory
from minigan.training.config import resolve, to_json

TINY = (
    "generator.widths=4",
    "discriminator.widths=4",
    "batch=8",
    "steps=6",
    "eval_every=3",
    "eval_samples=100",
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Every test in a directory of its own, without settings from outside or the seconds of drawing."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MINIGAN_")]:
        monkeypatch.delenv(name)
    drawn = SimpleNamespace(save_overview=lambda run: run.plots / "overview.png")
    drawn.save_sweep = lambda path, *_: path / "sweep.png"
    monkeypatch.setattr(cli.train, "figures", lambda: drawn)
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
