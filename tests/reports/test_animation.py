"""Moving pictures of runs: each frame shows the curves and rows of its step."""

import io

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure
from PIL import Image

import minigan as mg
from minigan.errors import DataError, UnavailableError
from minigan.gan.theory.diagnostics import optimal_discriminator
from minigan.reports import animation
from minigan.reports.finished_run import finished_in_memory
from minigan.reports.style import GENERATED, THEORY, D

KINDS = {
    "one feature": {"target": "normal(4, 1.25)"},
    "a critic": {"target": "normal(4, 1.25)", "objective": "wasserstein"},
    "the plane": {"target": "ring(8, 1, 0.01)"},
    "three features": {"data": np.random.default_rng(0).normal(size=(40, 3))},
    "two numbers": {"preset": "dirac-gan"},
}


@pytest.fixture(params=KINDS, scope="module")
def drawn(request, briefly):
    """Its name, the run, its figure and what shows a frame."""
    given = {"steps": 4, "eval_every": 2, "eval_samples": 100, "progress": False, **KINDS[request.param]}
    with briefly():
        run = mg.fit(given.pop("data", None), **given)
        finished = finished_in_memory(run.directory, run._opened(), run.verdict)
    figure = Figure(figsize=animation.SIZE, dpi=animation.DPI)
    return request.param, finished, figure, animation.draw(figure, finished)


def lines(ax, colour):
    return [line for line in ax.lines if line.get_color() == colour]


def test_a_frame_shows_its_step(drawn):
    name, run, figure, update = drawn
    frames = run.frames
    for k in (1, len(frames["step"]) - 1):
        update(k)
        assert f"step {frames['step'][k]} of {frames['step'][-1]}" in figure.texts[0].get_text()
        left = figure.axes[0]
        if run.several:
            assert np.array_equal(lines(left, GENERATED)[0].get_xydata(), frames["cloud"][k])
            if name == "the plane":
                assert np.array_equal(left.collections[0].get_array(), frames["field"][k])
            else:
                assert (left.get_xlabel(), left.get_ylabel()) == ("x0", "x1")
        else:
            assert np.array_equal(lines(left, GENERATED)[0].get_ydata(), frames["q"][k])
            assert np.array_equal(lines(figure.axes[1], D)[0].get_ydata(), frames["d"][k])
            best, known = lines(figure.axes[1], THEORY)[0].get_ydata(), name != "a critic"
            expected = optimal_discriminator(frames["p"], frames["q"][k]) if known else np.full(240, np.nan)
            assert np.array_equal(best, expected, equal_nan=True)
        course = lines(figure.axes[-1], GENERATED)[-2 if name == "two numbers" else -1]
        assert len(course.get_xdata()) == k + 1


def test_the_file_is_a_moving_picture_that_rests_at_its_end(drawn, tmp_path):
    name, run, _, _ = drawn
    if name != "the plane":
        return  # one file is enough
    told = []
    data = animation.animate(run, tmp_path / "a.gif", 2, told.append)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.n_frames == len(run.frames["step"]) and picture.size == (800, 450)
    assert told == [*range(1, len(told) - 2), *[len(told) - 3] * 3]


def test_without_frames_or_ffmpeg_it_says_so(drawn, tmp_path, monkeypatch):
    _, run, _, _ = drawn
    monkeypatch.setattr(animation.FFMpegWriter, "isAvailable", lambda: False)
    with pytest.raises(UnavailableError, match="ffmpeg"):
        animation.animate(run, tmp_path / "a.mp4", 8)
    bare = run.__class__(**{**vars(run), "frames": {}})
    with pytest.raises(DataError, match="no frames"):
        animation.animate(bare, tmp_path / "a.gif", 8)
