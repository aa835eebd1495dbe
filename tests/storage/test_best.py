"""Which checkpoint is the best, told by the checkpoints alone: after a kill anywhere, and in older runs."""

import numpy as np
import pytest

from minigan.errors import CheckpointError
from minigan.reports.inspection import inspect_run
from minigan.storage import checkpoint, files
from minigan.storage.directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    with RunDirectory.create(tmp_path, "a", b"{}") as run:
        yield run


def save(run, step, best, keep=1):
    return checkpoint.save_step(run, step, {"w": np.full(3, float(step))}, {}, keep, best=best)


@pytest.mark.parametrize("name", ["latest", "best"])
def test_a_kill_before_a_name_is_written_loses_no_best(run, monkeypatch, name):
    save(run, 300, 300)
    write = files.write_atomic

    def killed(path, content, **options):
        if path.name == name:
            raise KeyboardInterrupt
        write(path, content, **options)

    monkeypatch.setattr(files, "write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        save(run, 1100, 1100)
    monkeypatch.undo()
    for _ in range(2):  # as it was left, and after a save that is no better
        found = checkpoint.find(run, "best")
        assert found.state["step"] == 1100 and (found.arrays["w"] == 1100).all()
        assert inspect_run(run.path)["best"] == "step-00001100.safetensors"
        save(run, 1200, 1100)
    assert (run.checkpoints / "best").read_text() == "step-00001100.safetensors\n"
    assert [checkpoint.step_of(path) for path in checkpoint.paths(run)] == [1100, 1200]


def test_the_names_are_repaired_from_what_the_checkpoint_says(run):
    save(run, 1, 1, keep=5)
    newest = save(run, 2, 2, keep=5)
    for name in ("latest", "best"):
        (run.checkpoints / name).write_text("step-00000001.safetensors\n")
    checkpoint.write_names(run, newest, checkpoint.latest(run).state)
    assert checkpoint.pointed(run, "latest") == checkpoint.pointed(run, "best") == newest


def test_a_name_that_leads_nowhere_is_not_believed(run):
    save(run, 1, 1)
    for text in ("step-00000009.safetensors", "", "../../x"):
        for name in ("latest", "best"):
            (run.checkpoints / name).write_text(text)
            assert checkpoint.find(run, name).state["step"] == 1


def test_of_an_older_run_the_file_names_the_best(run):
    for step in (1, 2):
        checkpoint.save(checkpoint.path_of(run, step), {}, {"step": step})
    with pytest.raises(CheckpointError, match="has no checkpoint 'best'"):
        checkpoint.find(run, "best")
    (run.checkpoints / "best").write_text("step-00000001.safetensors\n")
    assert checkpoint.find(run, "best").state["step"] == 1
    assert inspect_run(run.path)["best"] == "step-00000001.safetensors"


@pytest.mark.rows("step", ["1", -1, 10**12, 1.5, True, None, {}])
def test_a_state_may_say_anything(run, step):
    save(run, 1, 1)
    assert checkpoint.best_of(run, {"best_step": step}) is None


def test_a_best_that_was_removed_is_not_there(run):
    path = save(run, 1, 1, keep=2)
    save(run, 2, 1, keep=2)
    path.unlink()
    with pytest.raises(CheckpointError, match="has no checkpoint 'best'; it has latest, 2"):
        checkpoint.find(run, "best")
    assert inspect_run(run.path)["best"] is None
