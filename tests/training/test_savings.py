"""When checkpoints are written: the best waits in memory, and no end that is noticed loses it."""

import signal
from pathlib import Path

import numpy as np
import pytest

from minigan.errors import DivergedError
from minigan.storage import checkpoint, files
from minigan.storage.directory import RunDirectory
from minigan.training import trainer
from minigan.training.config import to_json
from minigan.training.experiment import Experiment
from minigan.training.saved import reopen
from minigan.training.savings import Moment, Savings
from minigan.training.settings import resolve
from minigan.training.signals import Interrupted, stop
from minigan.training.trainer import Session, train

TINY = (
    "method=plain",
    "generator.widths=[5]", "discriminator.widths=[6,5]", "batch=8", "steps=60", "eval_every=30",
    "eval_samples=100", "checkpoint_seconds=1e6", "seed=5",
)  # fmt: skip


@pytest.fixture
def run(tmp_path):
    with RunDirectory.create(tmp_path, "a", b"{}") as run:
        yield run


def moment(savings, step):
    return Moment(step, {"w": np.full(2, float(step))}, {}, savings.best_step)


def offer(savings, ks, step):
    savings.offer(ks, step, lambda: moment(savings, step))


def there(run):
    """The steps that have files, what the names say, and the step of the best as the newest has it."""
    names = [checkpoint.step_of(checkpoint.pointed(run, name)) for name in ("latest", "best")]
    best = checkpoint.find(run, "best")
    assert (best.arrays["w"] == best.state["step"]).all()
    return [checkpoint.step_of(path) for path in checkpoint.paths(run)], names, best.state["step"]


def test_the_best_is_written_when_a_checkpoint_is_due(run):
    savings = Savings(run, np.inf, None)
    for ks, step in ((0.5, 0), (0.2, 10), (0.3, 20)):
        offer(savings, ks, step)
        assert checkpoint.paths(run) == []
    savings.save(moment(savings, 25), 3)
    assert there(run) == ([10, 25], [25, 10], 10)
    savings.save(moment(savings, 30), 3)
    assert there(run) == ([10, 25, 30], [30, 10], 10)
    offer(savings, 0.1, 40)
    savings.save(moment(savings, 40), 3)
    assert there(run) == ([10, 25, 30, 40], [40, 40], 40)  # until it lasts
    savings.tidy()
    assert there(run) == ([25, 30, 40], [40, 40], 40)


def test_the_checkpoint_before_stays_beside_a_best_that_is_written_late(run):
    """Of runs that train together it is the last that all have, while the others write theirs."""
    savings = Savings(run, np.inf, None)
    offer(savings, 0.5, 0)
    savings.save(moment(savings, 10), 2)
    offer(savings, 0.4, 15)
    savings.save(moment(savings, 20), 2)
    savings.tidy()
    assert there(run) == ([10, 15, 20], [20, 15], 15)


@pytest.mark.parametrize(
    ("held", "files", "best"),
    [(None, [10], 10), (8, [4, 8], 4), (4, [4], 4)],
    ids=["nothing held", "a moment held", "the best held"],
)
def test_an_end_writes_what_would_be_lost(run, held, files, best):
    """What was measured after the moment that is held is measured again, so it is not the best there."""
    savings = Savings(run, np.inf, None)
    offer(savings, 0.5, 4)
    if held is not None:
        savings.hold(moment(savings, held))
    offer(savings, 0.4, 10)
    savings.end(3)
    assert there(run) == (files, [files[-1], best], best)
    before = [path.stat().st_mtime_ns for path in checkpoint.paths(run)]
    savings.end(3)
    assert [path.stat().st_mtime_ns for path in checkpoint.paths(run)] == before


def test_a_moment_that_was_let_go_is_not_written(run):
    savings = Savings(run, np.inf, None)
    savings.hold(moment(savings, 4))
    savings.release()
    savings.end(3)
    assert checkpoint.paths(run) == []


# Whole runs


def test_what_lasts_together_is_in_order_at_any_power_cut(tmp_path, monkeypatch):
    """What lasts is what was there when the file system was synced; what came since may be lost, or not."""
    config, states = resolve(sets=[*TINY, "checkpoint_seconds=0", "checkpoint_keep=1"], environ={}), []

    def look(path):
        here = {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}
        newest = max((file for file in here if file.name.startswith("step-")), default=None)
        if states:
            assert states[-1][1] is None or states[-1][1] in here  # the last that is sure to be there
        if b'"finished"' in here[Path("run.json")]:
            for name, now in here.items():
                if name.name != "run.json":
                    assert states[-1][0][name] == now, name
        states.append((here, newest))

    monkeypatch.setattr(files, "sync_file_system", look)
    monkeypatch.setattr(files.os, "fsync", lambda file: pytest.fail("a file was synced alone"))
    with RunDirectory.create_at(tmp_path / "run", to_json(config), lasting=False) as run:
        train(Experiment(config), run)
    assert len({newest for _, newest in states}) > 3 and b'"finished"' in states[-1][0][Path("run.json")]


def start(root, *sets):
    config = resolve(environ={}, sets=(*TINY, *sets))
    return Experiment(config), RunDirectory.create(root, config.name, to_json(config))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    experiment, run = start(tmp_path_factory.mktemp("runs"))
    with run:
        train(experiment, run)
    return run


def ended(path):
    """What a run has come to, but for its times: its newest and best checkpoints, metrics and verdict."""
    run = RunDirectory.open(path)
    found = [checkpoint.find(run, which) for which in ("latest", "best")]
    arrays = [{name: array.tobytes() for name, array in each.arrays.items()} for each in found]
    states = [each.state | {"seconds": 0} for each in found]
    rows = [row | {"seconds": 0} for row in run.read_metrics().rows]
    return states, arrays, rows, (path / "verdict.json").read_bytes()


def end_as(whole, run):
    """Go on with a run: it comes to the same, to the bit."""
    again = reopen(run.path, lock=True)
    with again.run:
        train(again.experiment, again.run, resumed=again)
    for mine, its in zip(ended(run.path), ended(whole.path), strict=True):
        assert mine == its


def test_a_run_that_is_never_due_has_the_best_and_the_last(whole):
    least = min(whole.read_metrics().rows, key=lambda row: row["ks"])["step"]
    assert 0 < least < 60 and [checkpoint.step_of(path) for path in checkpoint.paths(whole)] == [least, 60]
    best, last = (checkpoint.find(whole, which) for which in ("best", "latest"))
    assert best.state["step"] == least and best.state["rows"] < last.state["rows"]
    assert (best.arrays["generator.0.W"] != last.arrays["generator.0.W"]).any()
    assert len(best.arrays["frames.q"]) == best.state["rows"]


@pytest.mark.parametrize("at", [1, 20, 59])
@pytest.mark.parametrize("killed", [True, False])
def test_the_best_is_the_same_after_a_stop(whole, tmp_path, monkeypatch, at, killed):
    """A kill, of which nothing is written, and a signal: the same best, to the bit."""
    experiment, run = start(tmp_path)

    def end(step):
        if step >= at:
            if killed:
                monkeypatch.setattr(Session, "abandon", lambda *_: None)
                raise MemoryError
            signal.raise_signal(signal.SIGTERM)

    with run, pytest.raises(MemoryError if killed else Interrupted):
        train(experiment, run, on_step=end)
    monkeypatch.undo()
    assert bool(checkpoint.paths(run)) is not killed
    end_as(whole, run)


def test_an_evaluation_that_is_cut_off_loses_no_best(whole, tmp_path, monkeypatch):
    """The step before is written then, with the best of before."""
    experiment, run = start(tmp_path)
    monkeypatch.setattr(trainer, "LOOK", -1.0)  # as if every evaluation took long
    evaluate = Session.evaluate

    def cut_off(session):
        evaluate(session)
        if session.experiment.step == 30:
            stop(signal.SIGTERM, None)

    monkeypatch.setattr(Session, "evaluate", cut_off)
    with run, pytest.raises(Interrupted):
        train(experiment, run)
    monkeypatch.undo()
    assert checkpoint.step_of(checkpoint.paths(run)[-1]) == 29
    end_as(whole, run)


def test_a_run_that_diverges_keeps_the_best(tmp_path):
    experiment, run = start(tmp_path, "generator_optimizer.rate=1e30")
    with run, pytest.raises(DivergedError):
        train(experiment, run)
    assert checkpoint.find(run, "best").state["step"] == 0
