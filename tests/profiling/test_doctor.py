"""The doctor: it runs anywhere, writes nothing that stays, and names each thing that slows or stops a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minigan
from minigan.profiling import doctor
from minigan.profiling.doctor import Diagnosis, as_dict, blas_findings, cupy_finding, diagnose, write_finding

AVX512 = frozenset(("avx", "avx2", "avx512f"))
AVX2 = frozenset(("avx", "avx2"))


def library(architecture, name="openblas", threads=2):
    return {"name": name, "version": "0.3.31", "architecture": architecture, "threads": threads}


def test_diagnose_finds_every_part_and_leaves_nothing(tmp_path):
    findings = diagnose(tmp_path / "runs", environ={})
    names = [finding.name for finding in findings]
    assert {
        "python",
        "minigan",
        "numpy",
        "scipy",
        "blas",
        "processor",
        "memory",
        "runs",
        "matplotlib",
        "scikit-learn",
        "cupy",
    } <= set(names)
    assert len(set(names)) == len(names)
    assert all(finding.value for finding in findings)
    assert all(finding.advice for finding in findings if not finding.ok)
    assert list(tmp_path.iterdir()) == []


def test_as_dict_is_json(tmp_path):
    result = json.loads(json.dumps(as_dict(diagnose(tmp_path, environ={}))))
    assert result["schema"] == 1 and isinstance(result["ok"], bool)
    assert set(result["findings"][0]) == {"name", "value", "ok", "advice"}
    assert as_dict([Diagnosis("a", "b"), Diagnosis("a", "b", False, "c")])["ok"] is False
    assert as_dict([Diagnosis("a", "b")])["ok"] is True


def test_forced_slower_kernels_are_named():
    finding, *rest = blas_findings(library("Haswell"), AVX512, {"OPENBLAS_CORETYPE": "Haswell"})
    assert not finding.ok and "AVX2 kernels on a processor with AVX-512" in finding.advice
    assert "unset" in finding.advice and rest == []


@pytest.mark.rows(
    ("architecture", "flags"),
    [
        ("SkylakeX", AVX512),
        ("Cooperlake", AVX512),
        ("SapphireRapids", AVX512),
        ("Haswell", AVX2),
        ("Zen", AVX2),
        ("Prescott", frozenset(("sse2",))),
    ],
)
def test_fitting_kernels_are_fine_even_if_forced(architecture, flags):
    for environ in ({}, {"OPENBLAS_CORETYPE": architecture}):
        (finding,) = blas_findings(library(architecture), flags, environ)
        assert finding.ok and finding.advice is None and architecture in finding.value


def test_slower_kernels_by_choice_are_mentioned_but_fine():
    (finding,) = blas_findings(library("Haswell"), AVX512, {})
    assert finding.ok and "AVX2 kernels" in finding.advice


@pytest.mark.parametrize(
    ("architecture", "flags"), [("Prescott", AVX2), ("Sandybridge", AVX2), ("Nehalem", AVX512)]
)
def test_each_step_down_is_noticed(architecture, flags):
    assert not blas_findings(library(architecture), flags, {"OPENBLAS_CORETYPE": architecture})[0].ok


def test_a_processor_that_does_not_tell_is_not_accused():
    (finding,) = blas_findings(library("armv8"), frozenset(), {"OPENBLAS_CORETYPE": "armv8"})
    assert finding.ok and finding.advice is None


def test_a_forced_cache_size_is_named():
    findings = blas_findings(library("SkylakeX"), AVX512, {"OPENBLAS_L2_SIZE": "512"})
    assert [f.name for f in findings] == ["blas", "OPENBLAS_L2_SIZE"]
    assert findings[0].ok and not findings[1].ok and "unset" in findings[1].advice


def test_an_unknown_library_is_mentioned():
    (finding,) = blas_findings(library(None, name=None), AVX512, {})
    assert finding.ok and "threads cannot be fixed" in finding.advice


def test_two_cupy_wheels_are_refused_and_one_or_none_is_not():
    finding = cupy_finding(["cupy-cuda12x 14.2.0", "cupy-cuda13x 14.2.0"])
    assert not finding.ok and "pip uninstall cupy-cuda12x cupy-cuda13x" in finding.advice
    finding = cupy_finding([])
    assert finding.ok and "runs use NumPy" in finding.advice and "minigan[cuda13]" in finding.advice


def test_a_gpu_is_named_and_one_that_cannot_be_used_comes_with_the_reason():
    wheels = ["cupy-cuda13x 14.2.0"]
    finding = cupy_finding(wheels, lambda: ("cupy", "CuPy 14.2.0 on a GPU", "because"))
    assert finding == Diagnosis("cupy", "cupy-cuda13x 14.2.0: CuPy 14.2.0 on a GPU")
    finding = cupy_finding(wheels, lambda: ("numpy", "NumPy", "no driver was found"))
    assert finding.ok and finding.advice == "runs use NumPy: no driver was found"


def test_a_gpu_is_tried_in_a_process_of_its_own():
    name, description, _ = doctor.gpu_answer()
    assert name in ("numpy", "cupy") and description


@pytest.mark.rows(("code", "reason"), [
    ("import time; time.sleep(60)", "did not end within 0.5 s"),
    ("import os; os.abort()", "trying it failed"),
    ("print('no JSON')", "trying it failed"), ("", "trying it failed"),
    ("raise SystemExit(3)", "exit status 3"),
])  # fmt: skip
def test_a_gpu_that_hangs_or_crashes_stops_no_diagnosis(code, reason):
    timeout = 0.5 if "sleep" in code else 60.0
    name, _, why = doctor.gpu_answer(code, timeout)
    assert name == "numpy" and reason in why and "nvidia-smi" in why


def test_a_missing_package_comes_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda name: None)
    extra, required = doctor._extra("plot", "matplotlib"), doctor._required("scipy")
    assert extra.ok and extra.advice == "pip install 'minigan[plot]'"
    assert not required.ok and required.advice == "pip install scipy"


def test_little_memory_is_named():
    assert not doctor._memory(2**20).ok and doctor._memory(2**34).ok and doctor._memory(None).ok


def test_runs_that_cannot_be_written_are_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    finding = write_finding(tmp_path / "file")
    assert not finding.ok and "file" in finding.advice

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    # Permission bits do not bind a superuser, who may be running the tests.
    monkeypatch.setattr(os, "open", refuse)
    finding = write_finding(tmp_path)
    assert not finding.ok and "Read-only file system" in finding.advice


def test_runs_that_do_not_exist_yet_are_tried_where_they_would_be_made(tmp_path):
    assert write_finding(tmp_path / "a" / "b").ok
    assert list(tmp_path.iterdir()) == []


def test_nothing_optional_is_imported():
    code = (
        "import sys; from minigan.profiling.doctor import diagnose; diagnose(sys.argv[1]);"
        "bad = {'cupy', 'matplotlib', 'scipy', 'rich', 'click', 'safetensors'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(minigan.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code, os.devnull], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
