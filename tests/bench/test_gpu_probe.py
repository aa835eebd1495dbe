"""The first measurements on a GPU are rehearsed without one: every section runs, and no figure is kept."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest

from minigan import backend as backends

ROOT = Path(__file__).parents[2]
STRICT = {  # what the strict device does not have: each of these is measured on a GPU only
    ("C", "ElementwiseKernel"), ("E", "Generator"), ("E", "Generator differs per replay"),
    ("F", "allocation nodes"), ("I", "H = 4, attributes"), ("M", "Generator, 128"),
    ("M", "Generator, small state, 128"),
    ("L", "PyTorch"), ("L", "JAX"), ("H", "(8, 4) fused, TF32"), ("J", "TF32 product"),
}  # fmt: skip
LATER = {
    "bench.json",
    "bench-gpu.json",
    "gpu-probe.json",
}  # results that the list names before they are there


@pytest.fixture
def probe(monkeypatch):
    """bench.gpu_probe, which is not installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import gpu_probe

    return gpu_probe


def test_a_dry_run_goes_through_every_section_and_keeps_no_figure(probe, tmp_path, capsys, monkeypatch):
    """In this process; that each has one of its own is in the tests below."""
    monkeypatch.setattr(
        probe, "isolated", lambda letter, name, seconds: probe.run_section(letter, backends.get(name))
    )
    path = tmp_path / "dry.json"
    assert probe.main(["--backend", "strict", "--out", str(path)]) == 0
    record = json.loads(path.read_text())
    assert list(record["sections"]) == list(probe.SECTIONS) and "strict" in record["device"]
    failed = {(letter, name) for letter, s in record["sections"].items() for name in s["errors"]}
    assert failed <= STRICT, {k: s["errors"] for k, s in record["sections"].items() if s["errors"]}
    values = [value for s in record["sections"].values() for value in s["values"].values()]
    assert len(values) > 60 and set(values) == {"dry run"}
    table = capsys.readouterr().out.splitlines()
    assert len(table) <= 40 and not any("MISSED" in line for line in table)
    assert sum("dry run" in line for line in table) > 15


def test_a_step_that_computes_something_else_is_no_measurement(probe, monkeypatch):
    """The fused and the block kernels are compared with NumPy in the dry run too."""
    batches = probe.work.batches
    strict = backends.get("strict")
    ok = probe.run_section("H", strict)
    assert "(8, 4) fused" in ok["values"] and "(8, 4) fused" not in ok["errors"]
    draws = iter([batches(probe.SMALL, 64), *(2 * batches(probe.SMALL, 64) for _ in range(9))])
    monkeypatch.setattr(probe.work, "batches", lambda size, steps: next(draws)[:, :steps])
    wrong = probe.run_section("H", strict)
    assert (
        "computes something else" in wrong["errors"]["(8, 4) fused"] and "(8, 4) fused" not in wrong["values"]
    )


def test_what_the_strict_devices_capture_refuses_is_what_cupy_refuses(probe):
    given = probe.Probe(backends.get("strict"))
    probe.capture_matrix(given)
    missed = {name for name, outcome in probe.CAPTURED.items() if given.values.get(name) != outcome}
    absent = {"ElementwiseKernel", "ReductionKernel", "cupy.random", "Generator"}
    refused_always = {"float", "bool"}  # by the strict device: as a TypeError, captured or not
    assert missed - absent - {"fill(array)"} <= refused_always
    assert all(given.values[name] == "TypeError" for name in missed & refused_always)
    assert given.values["captured sum off by"] < 1e-5


def test_a_section_ends_when_its_time_is_up_and_a_crash_is_its_own(probe):
    assert probe.isolated("A", "strict", 0.05)["status"] == "timed out"
    lines = b'{"status": "ok", "values": {"a": 1}, "errors": {}}\n{"status": "ok", "values": {"a'
    assert probe.last(lines)["values"] == {"a": 1}  # what was found before it
    crashed = probe.isolated("A", "nonsense", 60)
    assert crashed["status"] == "crashed" and "nonsense" in crashed["errors"]["process"]
    whole = probe.isolated("A", "strict", 60)
    assert whole["status"] == "ok" and set(whole["values"].values()) == {"dry run"}


WORKER = """#!/bin/sh
echo '{{"status": "ok", "seconds": 0.1, "values": {{"a": 1}}, "errors": {{}}}}'
sleep 60 {pipes} & echo $! > {pid}
{then}
"""


def is_alive(pid):
    """Whether a process still runs; one that is dead may wait for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc")
@pytest.mark.parametrize(("pipes", "then", "seconds", "status"), [
    ("", "wait", 1.5, "timed out"), (">&- 2>&-", "exit 3", 30, "crashed"),
])  # fmt: skip
def test_what_a_section_started_ends_with_it(probe, monkeypatch, tmp_path, pipes, then, seconds, status):
    """A hung test of the suite must not go on using the GPU; what was found before it is kept."""
    worker, pid = tmp_path / "worker", tmp_path / "pid"
    worker.write_text(WORKER.format(pid=pid, pipes=pipes, then=then))
    worker.chmod(0o755)
    monkeypatch.setattr(probe.sys, "executable", str(worker))
    found = probe.isolated("B", "strict", seconds)
    assert found["status"] == status and found["values"] == {"a": 1}
    until = time.monotonic() + 20
    while is_alive(pid.read_text().strip()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_alive(pid.read_text().strip())


def test_a_suite_that_does_not_end_is_no_result(probe):
    given = probe.Probe(backends.get("strict"), budget=0.05)
    probe.correctness(given)
    assert given.errors["pytest"].startswith("not done after 0 s") and not given.values


def test_the_predicted_width_comes_first(probe, monkeypatch):
    """Each pair is a compilation: what the predictions hang on is not what the time is too short for."""
    given = probe.Probe(backends.get("strict"))
    asked = []
    monkeypatch.setattr(given, "sizes", lambda usual: usual)
    monkeypatch.setattr(given, "note", lambda name, *_: asked.append(name))
    probe.block_kernel(given)
    widths = list(dict.fromkeys(name.split(",")[0] for name in asked))
    assert widths == ["H = 32", "H = 16", "H = 64"]
    assert {p.name.split(",")[0] for p in probe.PREDICTIONS if p.section == "I"} == {widths[0]}


def test_a_failure_is_noted_and_the_section_goes_on(probe):
    given = probe.Probe(backends.get("strict"))
    assert given.note("a", lambda: 1 / 0) is None and given.note("b", lambda: 2) == 2
    assert given.errors == {"a": "ZeroDivisionError: division by zero"} and given.values == {"b": 2}
    given = probe.Probe(backends.get("strict"), budget=-1)
    given.note("c", lambda: 3)
    assert given.errors == {"c": "no time left"} and not given.values


@pytest.fixture
def gpu(probe, monkeypatch):
    """A GPU that measures nothing: the sections that were asked of it, in order."""
    asked = []

    def isolated(letter, name, seconds):
        asked.append((letter, seconds))
        status = "timed out" if letter == "B" else "ok"
        return {"status": status, "seconds": 1.0, "values": {"x": 1.0}, "errors": {}}

    monkeypatch.setattr(probe, "isolated", isolated)
    monkeypatch.setattr(probe.backends, "get", lambda name: backends.numpy_backend)
    return asked


def test_it_goes_on_where_it_stopped(probe, gpu, tmp_path, capsys):
    path = tmp_path / "probe.json"
    out = ["--out", str(path)]
    assert probe.main(["--section", "a,B", *out]) == 0
    assert probe.main([*out]) == 0
    assert [letter for letter, _ in gpu] == ["A", "B", *"BCDEFGHIJKLM"]
    assert list(json.loads(path.read_text())["sections"]) == list(probe.SECTIONS)
    assert "A facts: in the file already" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*")), "temporary files are left"


def test_the_budget_is_kept(probe, gpu, tmp_path, capsys):
    probe.main(["--budget", "40", "--out", str(tmp_path / "probe.json")])
    assert all(seconds <= 40 for _, seconds in gpu) and gpu[2][1] == probe.SECTIONS["C"].seconds
    probe.main(["--budget", "1", "--section", "B", "--out", str(tmp_path / "probe.json")])
    assert "no time left" in capsys.readouterr().err and gpu[-1][0] == "M"


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"sections": 3}'])
def test_another_file_is_not_overwritten(probe, gpu, tmp_path, content):
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(SystemExit, match="other.json"):
        probe.main(["--out", str(tmp_path / "other.json")])
    assert (tmp_path / "other.json").read_text() == content and not gpu


def test_without_a_gpu_it_says_so_and_writes_nothing(probe, monkeypatch, tmp_path, capsys):
    def absent(name):
        raise backends.BackendError("no NVIDIA driver was found")

    monkeypatch.setattr(probe.backends, "get", absent)
    assert probe.main(["--out", str(tmp_path / "x.json")]) == 6
    assert "nothing was measured: no NVIDIA driver" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_unknown_section_is_refused(probe, capsys):
    with pytest.raises(SystemExit):
        probe.main(["--section", "A,Z"])
    assert "no section Z" in capsys.readouterr().err


def test_a_prediction_holds_or_is_missed(probe):
    P = probe.Prediction
    assert (P("C", "x", 3, 5, "µs").text(), P("C", "x", 0).text()) == ("3 to 5 µs", "0")
    assert P("L", "x", 1.5, np.inf, "times").text() == "at least 1.5 times"
    assert P("C", "x", 3, 5).holds(4.0) and not P("C", "x", 3, 5).holds(6.0)
    assert P("C", "x", 0).holds(0) and not P("C", "x", 0).holds(1)
    assert P("F", "x", "yes").holds("yes") and not P("F", "x", "yes").holds("no")


def test_the_table_has_the_figures_beside_the_predictions(probe):
    sections = {
        "C": {
            "status": "ok",
            "values": {"empty kernel": 4.0, "sum": 99.0},
            "errors": {"item": "KeyError: x"},
        },
        "H": {"status": "ok", "values": {"(4096, 512) fused, TF32": 250.0}, "errors": {}},
        "L": {"status": "ok", "values": {"(4096, 512) JAX": 500.0, "(128, 32) JAX": 9.0}, "errors": {}},
    }
    said = {}
    for line in probe.report(sections).splitlines()[2:]:
        letter, name, _, value = (part.strip() for part in line.split("|")[1:-1])
        said[letter, name] = value
    assert said["C", "empty kernel"] == "4 µs" and said["C", "sum"] == "99 µs, MISSED: explain it"
    assert said["C", "item"] == "not measured KeyError:" and said["A", "import cupy"] == "not run"
    assert said["L", "(4096, 512) the best of them over our TF32"] == "2"


def test_every_prediction_is_of_a_section(probe):
    names = [(p.section, p.name) for p in probe.PREDICTIONS]
    assert {letter for letter, _ in names} <= set(probe.SECTIONS) and len(set(names)) == len(names)
    assert sum(section.seconds for section in probe.SECTIONS.values()) <= 1260


# ── the list of results


def test_the_list_of_results_names_every_file():
    text = (ROOT / "bench" / "results" / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in (ROOT / "bench" / "results").glob("*.json")}
    named = set(re.findall(r"`([\w-]+\.json)`", text))
    assert files <= named and named - files <= LATER
    for name in files:
        machine = json.loads((ROOT / "bench" / "results" / name).read_text())["environment"]
        assert machine["cpu"] in text and f"{machine['cores']} cores" in text, name


def test_no_figure_of_a_gpu_is_there_without_its_file(probe):
    folder = ROOT / "bench" / "results"
    text, path = (folder / "README.md").read_text(encoding="utf-8"), folder / "gpu-probe.json"
    sections = probe.read(path)
    assert probe.report(sections) in text
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    heads = [k for k, row in enumerate(rows) if any(cell.strip() == "measured" for cell in row)]
    assert len(heads) == 3
    if not sections:
        assert "Not run: no GPU could be had" in text
        for k in heads:
            columns = [i for i, cell in enumerate(rows[k]) if cell.strip() == "measured"]
            below = [row for row in rows[k + 2 :] if len(row) == len(rows[k])]
            assert below and {row[i].strip() for row in below for i in columns} <= {"not run", "–"}
