"""Logs for TensorBoard: what is written, and where the extra is there, what its own reader finds."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import minigan as mg
from minigan.errors import StorageError, UnavailableError

TINY = {"generator__widths": [4], "discriminator__widths": [4], "batch": 8, "steps": 4, "eval_every": 2}
TINY |= {"eval_samples": 100, "method": "plain"}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, brief_judge):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def written(monkeypatch):
    """A stand-in for tensorboardX: [(method, tag, …)] of what was written."""
    calls = []

    class Writer:
        def __init__(self, directory):
            if directory == "refused":
                raise PermissionError(13, "Permission denied")
            calls.append(("open", directory))

        def __getattr__(self, name):
            return lambda *arguments, **_: calls.append((name, *arguments))

    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=Writer, __spec__=Writer))
    monkeypatch.setattr("minigan.front.figures.page_in_pixels", lambda run: np.zeros((2, 3, 3), "uint8"))
    return calls


def test_a_run_is_logged_as_it_trains_and_afterwards(written):
    run = mg.fit("normal(4, 1.25)", on_evaluation=mg.TensorBoard("logs"), **TINY)
    live, scalars = list(written), [call for call in written if call[0] == "add_scalar"]
    assert live[0] == ("open", "logs") and live[-1] == ("close",)
    assert [call[3] for call in scalars if call[1] == "distance/ks"] == [0, 1, 2, 4]
    assert [call[2] for call in scalars if call[1] == "distance/ks"] == run.metrics["ks"].tolist()
    assert {call[1].split("/")[0] for call in scalars} == {
        "loss",
        "discriminator",
        "distance",
        "generated",
        "training",
    }
    densities = [call for call in live if call[0] == "add_histogram_raw"]
    assert [call[-1] for call in densities] == [0, 1, 2, 4] and densities[0][1] == "generated/density"
    sums = [list(call[4:7]) for call in densities]
    assert all(0.5 < count <= 1 + 1e-9 for count, _, _ in sums)
    assert {call[1] for call in live if call[0] == "add_histogram"} >= {
        "sample/x",
        "generator/0.W",
        "average/1.b",
    }
    assert [call[1] for call in live if call[0] in ("add_image", "add_text")] == ["page", "verdict"]
    written.clear()
    mg.TensorBoard("logs").write(run)
    assert [call[:2] for call in written] == [call[:2] for call in live]
    with pytest.raises(StorageError, match="'refused' cannot be written: Permission denied"):
        mg.TensorBoard("refused").write(run)


def test_without_what_draws_the_page_is_a_sentence(written, monkeypatch):
    def absent(run):
        raise UnavailableError("figures need matplotlib")

    monkeypatch.setattr("minigan.front.figures.page_in_pixels", absent)
    rows = np.random.default_rng(0).normal(size=(40, 2))
    mg.fit(rows, on_evaluation=mg.TensorBoard("logs"), **TINY)
    assert ("add_text", "page", "figures need matplotlib", 4) in written
    assert not [call for call in written if call[0] == "add_histogram_raw"]  # of one feature alone


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr("minigan.front.tensorboard.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"pip install 'minigan\[tensorboard\]'"):
        mg.TensorBoard("logs")


def test_tensorboards_own_reader_finds_all_of_it(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra tensorboard is not installed")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = mg.fit("normal(4, 1.25)", on_evaluation=mg.TensorBoard(tmp_path / "logs"), **TINY)
    found = reader.EventAccumulator(str(tmp_path / "logs"), {"histograms": 0, "images": 0, "scalars": 0})
    found.Reload()
    tags = found.Tags()
    assert "page" in tags["images"] and {"generated/density", "sample/x"} <= set(tags["histograms"])
    read = [(event.step, event.value) for event in found.Scalars("distance/ks")]
    assert read == list(zip(run.metrics["step"], np.float32(run.metrics["ks"]), strict=True))
    assert len(found.Histograms("generated/density")) == 4 and found.Images("page")[0].width > 1000
