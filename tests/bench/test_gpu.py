"""The first quarter of an hour on a GPU is rehearsed without one: all of it runs, and no figure is kept."""

import json
import re
import shutil
import subprocess
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minigan import backend as backends
from minigan.training.config import Config, NetworkConfig, replace

ROOT = Path(__file__).parents[2]
STRICT = {  # what the strict device does not have: each of these is measured on a GPU only
    ("C", "ElementwiseKernel"), ("E", "Generator"), ("E", "Generator differs per replay"),
    ("F", "allocation nodes"), ("I", "(8, 4) block, attributes"), ("M", "Generator, 128"),
    ("M", "Generator, small state, 128"),
    ("L", "PyTorch"), ("L", "JAX"), ("H", "(8, 4) fused, TF32"), ("J", "TF32 product"),
}  # fmt: skip
LATER = {
    "bench.json",
    "bench-gpu.json",
    "gpu-probe.json",
}  # results that the list names before they are there


@pytest.fixture
def gpu(monkeypatch):
    """The modules of bench.gpu, which is not installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    names = "one", "predictions", "probe", "report", "sections", "smoke"
    return SimpleNamespace(**{name: import_module(f"bench.gpu.{name}") for name in names})


@pytest.fixture
def probe(gpu):
    return gpu.probe


@pytest.fixture
def sections(gpu):
    return gpu.sections


def test_a_dry_run_goes_through_every_section_and_keeps_no_figure(probe, tmp_path, capsys):
    path = tmp_path / "dry.json"
    assert probe.main(["--backend", "strict", "--out", str(path)]) == 0
    record = json.loads(path.read_text())
    assert list(record["sections"]) == list(probe.SECTIONS) and "strict" in record["device"]
    failed = {(letter, name) for letter, s in record["sections"].items() for name in s["errors"]}
    assert failed <= STRICT, {k: s["errors"] for k, s in record["sections"].items() if s["errors"]}
    values = [value for s in record["sections"].values() for value in s["values"].values()]
    assert len(values) > 60 and set(values) == {"dry run"}
    assert {"default game, launches", "default game, block"} <= record["sections"]["H"]["values"].keys()
    assert "(8, 4) launches, 2 GANs" in record["sections"]["I"]["values"]
    table = capsys.readouterr().out.splitlines()
    assert len(table) <= 42 and not any("MISSED" in line for line in table)
    assert sum("dry run" in line for line in table) > 15


def test_a_step_that_computes_something_else_is_no_measurement(probe, sections, monkeypatch):
    """The fused and the block kernels are compared with NumPy in the dry run too."""
    batches = sections.work.batches
    strict = backends.get("strict")
    ok = probe.run_section("H", strict)
    assert "(8, 4) fused" in ok["values"] and "(8, 4) fused" not in ok["errors"]
    draws = iter([batches(sections.SMALL, 64), *(2 * batches(sections.SMALL, 64) for _ in range(9))])
    monkeypatch.setattr(sections.work, "batches", lambda size, steps: next(draws)[:, :steps])
    wrong = probe.run_section("H", strict)
    assert (
        "computes something else" in wrong["errors"]["(8, 4) fused"] and "(8, 4) fused" not in wrong["values"]
    )


def test_what_the_strict_devices_capture_refuses_is_what_cupy_refuses(sections):
    given = sections.Probe(backends.get("strict"))
    sections.capture_matrix(given)
    missed = {name for name, outcome in sections.CAPTURED.items() if given.values.get(name) != outcome}
    absent = {"ElementwiseKernel", "ReductionKernel", "cupy.random", "Generator"}
    refused_always = {"float", "bool"}  # by the strict device: as a TypeError, captured or not
    assert missed - absent - {"fill(array)"} <= refused_always
    assert all(given.values[name] == "TypeError" for name in missed & refused_always)
    assert given.values["captured sum off by"] < 1e-5


def test_a_section_ends_when_its_time_is_up_and_a_crash_is_its_own(probe):
    assert probe.isolated("A", "strict", 0.05)["status"] == "not finished"
    crashed = probe.isolated("A", "nonsense", 60)
    assert crashed["status"] == "crashed" and "nonsense" in crashed["errors"]["process"]
    told = []
    whole = probe.isolated("A", "strict", 60, told.append, {"known": 1.0})
    assert whole["status"] == "ok" and set(whole["values"].values()) == {"dry run"}
    assert "known" in whole["values"] and [found["status"] for found in told] == ["not finished", "ok"]


WORKER = """#!/bin/sh
echo '{{"status": "not finished", "seconds": 0.1, "values": {{"a": 1}}, "errors": {{}}}}'
echo '{{"status": "not finished", "values": {{"a'
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
    ("", "wait", 1.5, "not finished"), (">&- 2>&-", "exit 3", 30, "crashed"),
])  # fmt: skip
def test_what_a_section_started_ends_with_it(probe, monkeypatch, tmp_path, pipes, then, seconds, status):
    """A hung test of the suite must not go on using the GPU; what was found before it is kept."""
    worker, pid = tmp_path / "worker", tmp_path / "pid"
    worker.write_text(WORKER.format(pid=pid, pipes=pipes, then=then))
    worker.chmod(0o755)
    monkeypatch.setattr(probe.sys, "executable", str(worker))
    told = []
    found = probe.isolated("B", "strict", seconds, told.append)
    assert found["status"] == status and found["values"] == {"a": 1} == told[0]["values"]
    until = time.monotonic() + 20
    while is_alive(pid.read_text().strip()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_alive(pid.read_text().strip())


def test_tests_are_counted_as_they_end_and_a_suite_that_does_not_is_not_finished(probe, sections):
    tally = sections.Tally()
    lines = [f"[gw{k % 3}] [ {k}%] PASSED tests/a.py::test_a[{k}]" for k in range(50)]
    assert [tally.read(line + "\n") for line in lines] == [False] * 49 + [True]
    lines = [
        "tests/a.py::test_b ",
        "[gw1] [100%] FAILED tests/a.py::test_b ",
        "[gw0] [100%] SKIPPED tests/a.py::c",
    ]
    assert not any(map(tally.read, lines)) and tally.values()["failures"] == ["tests/a.py::test_b"]
    tally.read("FAILED tests/a.py::test_b - AssertionError: 1e-3\n")
    assert tally.values() == {"passed": 50, "failed": 1, "error": 0, "skipped": 1,
                              "failures": ["FAILED tests/a.py::test_b - AssertionError: 1e-3"]}  # fmt: skip
    found = probe.run_section("B", backends.get("strict"), budget=0.05)
    assert found["status"] == "not finished" and found["errors"]["pytest"].startswith("not done")


def test_what_is_predicted_comes_first(sections, gpu, monkeypatch):
    """Each pair is a compilation: what the predictions hang on is not what the time is too short for."""
    given, asked = sections.Probe(backends.get("strict")), []
    given.dry = False
    monkeypatch.setattr(given, "note", lambda name, *_: asked.append(name))
    sections.block_kernel(given)
    sizes = list(dict.fromkeys(name.partition(" block")[0] for name in asked))
    assert sizes[:3] == ["(128, 32)", "(64, 16)", "(128, 64)"]
    assert asked[:2] == ["(128, 32) block, 1 GAN", "(128, 32) block, 1056 GANs"]
    asked.clear()
    sections.steps(given)
    assert asked[0] == "(128, 32) fused" and asked[4:6] == ["default game, launches", "default game, block"]
    assert {p.name for p in gpu.predictions.PREDICTIONS if p.section == "H"} <= set(asked)


def test_a_failure_is_noted_and_the_section_goes_on(sections):
    given = sections.Probe(backends.get("strict"))
    assert given.note("a", lambda: 1 / 0) is None and given.note("b", lambda: 2) == 2
    assert given.errors == {"a": "ZeroDivisionError: division by zero"} and given.values == {"b": 2}
    assert not given.late
    given = sections.Probe(backends.get("strict"), budget=-1, known={"b": 5})
    given.note("c", lambda: 3)
    assert given.note("b", lambda: 2) == 5  # what is known is not measured again
    assert given.errors == {"c": "no time left"} and given.values == {"b": 5} and given.late


def test_a_section_that_ran_out_of_time_is_not_finished(probe):
    late = probe.run_section("C", backends.get("strict"), budget=-1)
    assert late["status"] == "not finished" and late["errors"]["sum"] == "no time left"


@pytest.fixture
def fake(probe, monkeypatch):
    """A GPU that measures nothing: the sections that were asked of it, in order, and what was known."""
    asked = []

    def isolated(letter, name, seconds, told, known):
        asked.append((letter, seconds, dict(known)))
        told({"status": "not finished", "seconds": 0.5, "values": {"first": 1.0}, "errors": {}})
        if letter == "C" and len(asked) == 4:
            raise KeyboardInterrupt
        status = "not finished" if letter == "B" and not known else "ok"
        return {"status": status, "seconds": 1.0, "values": {"first": 1.0, "x": 1.0}, "errors": {}}

    monkeypatch.setattr(probe, "isolated", isolated)
    monkeypatch.setattr(probe.backends, "get", lambda name: backends.numpy_backend)
    return asked


def test_it_goes_on_where_it_stopped(probe, fake, tmp_path, capsys):
    path = tmp_path / "probe.json"
    out = ["--out", str(path)]
    assert probe.main(["--section", "a,B", *out]) == 0
    assert probe.main(["--section", "b", *out]) == 0
    assert probe.main(["--section", "b", *out]) == 0  # finished now
    with pytest.raises(KeyboardInterrupt):  # whatever ends it
        probe.main(["--section", "C", *out])
    found = json.loads(path.read_text())["sections"]
    assert found["C"]["status"] == "not finished" and found["C"]["values"] == {"first": 1.0}
    assert probe.main([*out]) == 0
    again = [letter for letter in probe.SECTIONS if letter not in "AB"]
    assert [letter for letter, _, _ in fake] == ["A", "B", "B", "C", *again]
    assert fake[2][2] == {"first": 1.0, "x": 1.0}
    assert set(json.loads(path.read_text())["sections"]) == set(probe.SECTIONS)
    assert "A facts: in the file already" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*")), "temporary files are left"


def test_the_budget_is_kept_and_the_two_commands_fit_theirs(probe, sections, fake, tmp_path, capsys):
    probe.main(["--budget", "40", "--out", str(tmp_path / "probe.json")])
    assert all(seconds <= 40 for _, seconds, _ in fake) and fake[1][1] == probe.SECTIONS["F"].seconds
    probe.main(["--budget", "1", "--section", "B", "--out", str(tmp_path / "other.json")])
    assert "no time left" in capsys.readouterr().err and fake[-1][0] == "K"
    for letters, seconds in ((sections.FIRST, 265), (sections.SECOND, 75), (probe.SECTIONS, 800)):
        assert sum(probe.SECTIONS[letter].seconds for letter in letters) <= seconds
    assert list(probe.SECTIONS)[: len(sections.FIRST)] == list(sections.FIRST)


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"sections": 3}'])
def test_another_file_is_not_overwritten(probe, fake, tmp_path, content):
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(SystemExit, match="other.json"):
        probe.main(["--out", str(tmp_path / "other.json")])
    assert (tmp_path / "other.json").read_text() == content and not fake


def test_without_a_gpu_it_says_so_and_writes_nothing(gpu, probe, monkeypatch, tmp_path, capsys):
    def absent(name):
        raise backends.BackendError("no NVIDIA driver was found")

    monkeypatch.setattr(probe.backends, "get", absent)
    assert probe.main(["--out", str(tmp_path / "x.json")]) == 6
    assert gpu.smoke.main("cupy", tmp_path / "x.json") == 6
    assert capsys.readouterr().err.count("nothing was measured: no NVIDIA driver") == 2
    assert not list(tmp_path.iterdir())


def test_an_unknown_section_is_refused(probe, capsys):
    with pytest.raises(SystemExit):
        probe.main(["--section", "A,Z"])
    assert "no section Z" in capsys.readouterr().err


# ── smoke, one step, and the two commands


@pytest.fixture
def tiny():
    """A configuration whose kernels are compiled in a moment."""
    net = NetworkConfig(widths=(3,))
    return replace(Config(), generator=net, discriminator=net, batch=4, r1=0.0, r2=0.0)


def test_smoke_finds_the_strict_device_right_and_writes_as_it_goes(gpu, tiny, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu.smoke, "GAMES", {"default": {}})
    path, written = tmp_path / "smoke.json", []
    write = gpu.smoke.write
    monkeypatch.setattr(gpu.smoke, "write", lambda *a: (write(*a), written.append(path.read_text())))
    assert gpu.smoke.main("strict", path, base=tiny, steps=3, size=16) == 0
    found = json.loads(path.read_text())["sections"]["S"]
    assert len(set(written)) == len(found["values"]) + 1 and found["status"] == "ok" and not found["errors"]
    games = [v for v in found["values"].values() if isinstance(v, dict)]
    assert len(games) == 3 and all(v["off"] < 1e-4 and v["same bits again"] == "yes" for v in games)
    assert [v for v in found["values"].values() if v not in games] == ["yes"] * 4
    assert gpu.report.main([path]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| S")]
    assert len(lines) == 2 and all(re.search(r"\| yes +\|$", line) for line in lines)


def test_smoke_notes_what_fails_and_says_if_the_stream_is_lost(gpu, tiny, monkeypatch, tmp_path):
    """Both of a GPU that is broken: games raise, and CuPy's current stream is another one."""
    strict = backends.get("strict")
    monkeypatch.setattr(gpu.smoke, "game", lambda *_: 1 / 0)
    monkeypatch.setattr(gpu.smoke, "GAMES", {"default": {}})
    monkeypatch.setattr(strict.cp.cuda, "get_current_stream", lambda: strict.cp.cuda.Stream.null)
    path = tmp_path / "smoke.json"
    assert gpu.smoke.main("strict", path, base=tiny, steps=1, size=16) == 3
    found = json.loads(path.read_text())["sections"]["S"]
    assert found["values"]["our stream is current after a graph"] == "no"
    assert found["errors"]["default, block"].startswith("ZeroDivisionError") and len(found["errors"]) == 3


def test_one_step_in_a_block(gpu, tiny, capsys):
    for what in ("8,4,3", "default"):
        gpu.one.main("strict", what, tiny)
    assert capsys.readouterr().out == "done strict 8,4,3\ndone strict default\n"


PYTHON = """#!/bin/sh
case "$*" in *minigan.training.config*) exit 0;; esac
printf '%s\\n' "$*" >> "$CALLS"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_two_commands_call_what_there_is(gpu, tmp_path, monkeypatch):
    """Run with a Python, a profiler and a sanitizer that only note how they are called."""
    folder, calls = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    for name in ("python3", "ncu", "compute-sanitizer", "nvidia-smi"):
        (folder / name).write_text(PYTHON)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    for script in ("first", "second"):
        done = subprocess.run(["bash", f"bench/gpu/{script}.sh"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode in (0, 1) and not done.stderr, done.stderr  # 1: nothing for grep
    called = calls.read_text().splitlines()
    modules = re.findall(r"-m bench\.gpu\.(\w+)", calls.read_text())
    assert modules == ["smoke", "probe", "probe", "report", "one", "one", "one", "probe"]
    asked = [gpu.probe.parsed(line.split()[2:]) for line in called if line.startswith("-m bench.gpu.probe")]
    assert ["".join(options.section) for options in asked] == [gpu.sections.FIRST, "B", gpu.sections.SECOND]
    assert [options.budget for options in asked] == [265, 160, 75]


# ── predictions


def test_a_prediction_holds_or_is_missed(gpu):
    P = gpu.predictions.Prediction
    assert (P("C", "x", 3, 5, "µs").text(), P("C", "x", 0).text()) == ("3 to 5 µs", "0")
    assert P("L", "x", 1.5, np.inf, "times").text() == "at least 1.5 times"
    assert P("C", "x", 3, 5).holds(4.0) and not P("C", "x", 3, 5).holds(6.0)
    assert P("C", "x", 0).holds(0) and not P("C", "x", 0).holds(1)
    assert P("F", "x", "yes").holds("yes") and not P("F", "x", "yes").holds("no")


def test_the_table_has_the_figures_beside_the_predictions(gpu):
    found = {
        "C": {"values": {"empty kernel": 4.0, "sum": 99.0}, "errors": {"item": "KeyError: x"}},
        "H": {"values": {"(4096, 512) fused, TF32": 250.0, "(128, 32) fused": 40.0}, "errors": {}},
        "L": {"values": {"(4096, 512) JAX": 500.0, "(128, 32) JAX": 9.0}, "errors": {}},
    }
    said = {}
    for line in gpu.report.report(found).splitlines()[2:]:
        letter, name, *cells = (part.strip() for part in line.split("|")[1:-1])
        said[letter, name] = cells
    assert said["C", "empty kernel"][-1] == "4 µs" and said["C", "sum"][-1] == "99 µs, MISSED: explain it"
    assert said["C", "item"][-1] == "not measured KeyError:" and said["A", "import cupy"][-1] == "not run"
    assert said["L", "(4096, 512) the best of them over our TF32"][-1] == "2"
    assert said["H", "(128, 32) fused"] == ["45 to 80", "38 to 55 µs", "at most 35", "40 µs"]


def test_every_prediction_is_of_a_section(gpu):
    names = [(p.section, p.name) for p in gpu.predictions.PREDICTIONS]
    assert {letter for letter, _ in names} <= {"S", *gpu.probe.SECTIONS} and len(set(names)) == len(names)


# ── the list of results


def test_the_list_of_results_names_every_file():
    text = (ROOT / "bench" / "results" / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in (ROOT / "bench" / "results").glob("*.json")}
    named = set(re.findall(r"`([\w-]+\.json)`", text))
    assert files <= named and named - files <= LATER
    for name in files:
        machine = json.loads((ROOT / "bench" / "results" / name).read_text())["environment"]
        assert machine["cpu"] in text and f"{machine['cores']} cores" in text, name


def test_no_figure_of_a_gpu_is_there_without_its_file(gpu):
    folder = ROOT / "bench" / "results"
    text, path = (folder / "README.md").read_text(encoding="utf-8"), folder / "gpu-probe.json"
    sections = gpu.report.read(path)
    assert gpu.report.report(sections) in text
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    heads = [k for k, row in enumerate(rows) if any(cell.strip() == "measured" for cell in row)]
    assert len(heads) == 2
    if not sections:
        assert "Not run: no GPU could be had" in text
        for k in heads:
            columns = [i for i, cell in enumerate(rows[k]) if cell.strip() == "measured"]
            below = [row for row in rows[k + 2 :] if len(row) == len(rows[k])]
            assert below and {row[i].strip() for row in below for i in columns} <= {"not run", "–"}
