"""Inspection of checkpoint files: the header alone, or all of it; what names the checkpoints of a run."""

import numpy as np
import pytest

from minigan.errors import CheckpointError, DataError
from minigan.reports.inspection import inspect_file, inspect_run
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    with RunDirectory.create(tmp_path, "a", b"{}") as run:
        for step in (1, 2):
            checkpoint.save_step(run, step, {"w": np.ones((2, 3), "float32")}, {"data": None})
        yield run


def test_a_file_tells_names_shapes_sizes_and_state(run):
    content = inspect_file(run.checkpoints / "step-00000002.safetensors")
    assert content["arrays"] == [{"name": "w", "dtype": "float32", "shape": [2, 3], "bytes": 24}]
    assert (
        content["state"] == {"data": None, "step": 2, "best_step": None}
        and content["bytes"] == 24
        and not content["verified"]
    )


def test_no_array_is_read_unless_asked(run):
    path = run.checkpoints / "step-00000002.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert inspect_file(path)["bytes"] == 24
    with pytest.raises(CheckpointError, match="digest"):
        inspect_file(path, verify=True)


def test_a_run_tells_which_is_which(run):
    content = inspect_run(run.path, verify=True)
    assert [(c["file"], c["step"], c["arrays"], c["error"]) for c in content["checkpoints"]] == [
        ("step-00000001.safetensors", 1, 1, None), ("step-00000002.safetensors", 2, 1, None),
    ]  # fmt: skip
    assert (content["latest"], content["best"], content["errors"]) == ("step-00000002.safetensors", None, [])
    checkpoint.save_step(run, 3, {"w": np.ones(1)}, {}, best=3)
    assert inspect_run(run.path)["best"] == "step-00000003.safetensors"


def test_a_damaged_checkpoint_and_a_name_for_none_are_told(run):
    (run.checkpoints / "step-00000001.safetensors").write_bytes(b"torn")
    (run.checkpoints / "best").mkdir()
    content = inspect_run(run.path)
    assert "damaged" in content["checkpoints"][0]["error"] and content["checkpoints"][1]["error"] is None
    assert content["best"] is None and "best" in content["errors"][0]


def test_one_that_the_run_removes_meanwhile_is_left_out(run, monkeypatch):
    gone = run.checkpoints / "step-00000001.safetensors"
    listed = checkpoint.paths(run)
    monkeypatch.setattr(checkpoint, "paths", lambda run: listed)
    gone.unlink()
    assert [c["step"] for c in inspect_run(run.path)["checkpoints"]] == [2]


def test_only_a_run_is_a_run(tmp_path):
    with pytest.raises(DataError):
        inspect_run(tmp_path)
