"""Reports of one file: what stands in them is escaped, true and whole; tests/browser/ draws them."""

import base64
import dataclasses
import json
import re
import sys
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

import minigan as mg
from minigan.errors import UnavailableError
from minigan.gan.theory.diagnostics import optimal_discriminator
from minigan.reports import report
from minigan.reports.finished_run import read_finished_run
from minigan.reports.html_page import pairs, section, table
from minigan.reports.sweep_report import sweep_as_page
from minigan.sweeps import sweep as sweeps
from minigan.sweeps.workers import local, run_sweep

BAD = '</script><img src=x onerror="alert(1)"> & \u2028'
SMALL = {"steps": 4, "eval_every": 2, "eval_samples": 100, "progress": False}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, briefly):
    """Finished runs with hostile names, by what they learn."""
    root, rng = tmp_path_factory.mktemp("runs"), np.random.default_rng(0)
    data = {f"a{BAD}": rng.normal(size=60), "c": rng.normal(size=60), "d": rng.normal(size=60)}
    with briefly(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("minigan.front.figures.save_overview", lambda run: run.plots / "overview.png")
        return {
            "line": mg.fit("normal(4, 1.25)", directory=root / "line", **SMALL).directory,
            "plane": mg.fit("ring(4, 1, 0.1)", directory=root / "plane", **SMALL).directory,
            "data": mg.fit(data, directory=root / "data", **SMALL).directory,
        }


def test_frames_are_those_that_the_run_kept(runs):
    finished = read_finished_run(runs["line"])
    f, frames = finished.frames, report.frames_of(finished)
    assert [frame.step for frame in frames] == f["step"].tolist()
    assert frames[-1].line.q is not None and np.array_equal(frames[-1].line.d, f["d"][-1])
    assert np.array_equal(frames[1].line.best, optimal_discriminator(f["p"], f["q"][1]))

    finished = read_finished_run(runs["plane"])
    frames = report.frames_of(finished)
    assert np.array_equal(frames[1].plane.samples, finished.frames["cloud"][1])
    assert frames[0].plane.captured.shape == (4,) and frames[0].plane.d.shape == (32, 32)
    old = {name: array for name, array in finished.frames.items() if name.startswith("plane_")}
    (last,) = report.frames_of(dataclasses.replace(finished, frames=old))  # as runs of before
    assert len(last.plane.samples) == 100 and last.plane.d is old["plane_d"]


class Reader(HTMLParser):
    """Tags and attributes of a page, and the texts of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.scripts and self.cdata_elem == "script":
            self.scripts[-1] += data


def test_parts_are_escaped():
    for text in (section(BAD), table([BAD], [[BAD]]), pairs({BAD: BAD})):
        assert not {"img", "script"} & {tag for tag, _ in Reader(text).tags}


def test_a_report_is_one_file_and_says_what_the_run_says(runs):
    pytest.importorskip("bokeh", reason="reports need bokeh, the extra ui")
    page = report.run_as_page(runs["data"])
    read = Reader(page)
    assert not [tag for tag, attrs in read.tags if tag == "img" or "onerror" in attrs]
    links = [attrs.get("src") or attrs.get("href") for _, attrs in read.tags]
    assert [link for link in links if link and not link.startswith("data:")] == []
    data = json.loads(read.scripts[0])
    assert data["labels"][0].startswith("step 0 · KS") and len(data["frames"]["dark"]) == len(data["labels"])
    assert "minigan train config.json" in page and "seed 0" in page and "numpy" in page
    assert "perfect sampler" in page and "<b>" not in page.split("<section>")[1]
    assert (
        json.loads(re.search(r'id="config">(.*?)</pre>', page, re.S)[1].replace("&quot;", '"'))["steps"] == 4
    )


def test_a_table_gives_each_array_back_once():
    pytest.importorskip("bokeh", reason="reports need bokeh, the extra ui")
    from minigan.views.file import Store

    rng = np.random.default_rng(0)
    image = np.arange(6, dtype="uint8").reshape(2, 3)
    arrays = [rng.normal(size=5), rng.normal(size=5) + 1e9, image, np.empty(0)]
    made = Store()
    specs = [made.add({"s": {"a": array, "l": [array], "t": ["x", 1]}})["s"] for array in arrays * 2]
    packed = made.packed()
    data = zlib.decompress(base64.b64decode(packed["bytes"]))
    assert len(packed["arrays"]) == 4 and specs[:4] == specs[4:] and specs[0]["t"] == {"plain": ["x", 1]}
    for array, spec in zip(arrays, specs, strict=False):
        assert spec["l"] == {"list": [spec["a"]]}
        entry = packed["arrays"][spec["a"]]
        count = int(np.prod(entry["shape"]))
        back = np.frombuffer(data, entry["type"], count, entry["at"]).reshape(entry["shape"])
        assert back.shape == array.shape and np.abs(back - array).max(initial=0) <= 1e-5 * 4
        assert entry["at"] % 8 == 0
    assert [entry["type"] for entry in packed["arrays"]] == ["float32", "float64", "uint8", "float32"]


def test_a_sweep_has_its_rates_and_runs(tmp_path, brief_judge):
    pytest.importorskip("bokeh", reason="reports need bokeh, the extra ui")
    (tmp_path / "s.toml").write_text(
        'name = "few"\n[set]\nsteps = 2\neval_every = 2\neval_samples = 100\nbatch = 4\n'
        '[vary]\nseed = "0:2"\nr1 = [0.0625, 0.5]\n'
    )
    path = sweeps.create(tmp_path, sweeps.read_sweep(tmp_path / "s.toml"))
    assert "No run has ended yet" in sweep_as_page(path)
    run_sweep(path, local(1), 1)
    page = sweep_as_page(path)
    assert page.count("<td>0.0625</td>") == 1 + 2 and "4 runs" in page  # rates, runs
    assert "minigan sweep --resume FOLDER" in page
    assert json.loads(Reader(page).scripts[0])["documents"].keys() == {"light", "dark"}


def test_without_bokeh_it_says_what_to_install(runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    monkeypatch.setitem(sys.modules, "minigan.views.look", None)
    with pytest.raises(UnavailableError, match=r"pip install 'minigan\[ui\]'"):
        report.run_as_page(runs["line"])
