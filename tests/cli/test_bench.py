"""bench: the table, the file, the figure, the ratios of two results, and what is asked wrongly."""

import json
import math
from pathlib import Path

import pytest

from minigan import cli
from minigan.profiling import benchmark, results, work


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Timings of no length, of small yardsticks: what is measured here is measured by nobody."""
    monkeypatch.setattr(benchmark, "QUICK_SECONDS", 1e-4)
    monkeypatch.setattr(benchmark, "CEILING", {"numpy": (16, 64), "cupy": (16, 64)})
    monkeypatch.setattr(benchmark, "TRANSFERS", (64, 256))
    monkeypatch.setattr(work, "SAMPLES", 32)  # few steps in a block
    monkeypatch.setattr(benchmark, "WARM", {"numpy": 0.0, "cupy": 0.0})
    monkeypatch.setattr(benchmark, "starts", lambda backend, runs: [])


@pytest.fixture
def bench(capsys, tmp_path, monkeypatch):
    """A function that runs `minigan bench`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = cli.main(["bench", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_command_prints_writes_draws_and_compares(bench):
    options = ("--quick", "--only", "gemm", "--only", "step", "--sizes", "8,4", "--backend", "numpy")
    code, out, err = bench(*options, "--out", "a.json", "--figure", "a.svg")
    assert code == 0, err
    for said in (
        "gemm: x W",
        "NumPy, all threads of BLAS",
        "control: the first",
        "losses: at most",
        "ceiling",
    ):
        assert said in out, out
    assert "step (8, 4)" in err and Path("a.svg").read_text().startswith("<?xml")
    saved = json.loads(Path("a.json").read_text())
    assert saved["command"] == "bench" and saved["environment"]["cpu"] in out
    code, out, _ = bench("--compare", "a.json", "a.json")
    assert code == 0 and "gemm (8, 4)" in out and "*" in out.splitlines()[-1] and out.count(" to ") > 5
    assert "\\n" not in out and out.splitlines()[2] == "" and out.count("\n\n") == 2
    code, out, _ = bench("--compare", "a.json", "a.json", "--json")
    assert code == 0 and {ratio["ratio"] for ratio in json.loads(out)["ratios"]} == {1.0}
    for given in (("--out", "a.json"), ("--figure", "a.svg")):  # before anything is measured
        code, out, err = bench(*options, *given)
        assert (code, out) == (2, "") and "is there already" in err and "--replace" in err


@pytest.mark.rows(("arguments", "code", "said"), [
    (["--backend", "strict"], 2, "simulated device"), (["--only", "gem"], 2, "no 'gem'"),
    (["--sizes", "8"], 2, "batch,width"), (["--sizes", "0,8"], 2, "batch,width"),
    (["--sizes", "8,9999999"], 2, "batch,width"), (["--figure", "a.jpg"], 2, ".png"),
    (["--compare", "a.json", "b.json"], 3, "a.json"),
    (["--compare", "a.json", "b.json", "--quick"], 2, "times nothing"),
    (["--backend", "gpu"], 2, "numpy, cupy or auto"),
])  # fmt: skip
def test_what_is_asked_wrongly_is_refused(bench, arguments, code, said):
    found, out, err = bench(*arguments)
    assert (found, out) == (code, "") and said in err and err.count("\n") == 1


def test_results_that_are_none_are_refused(bench, monkeypatch):
    """A time of 0, no time, no cell, no number, keys that are missing; what else differs is said beside."""
    result = {
        "schema": 1, "command": "bench", "measured": "2026-11-23T00:00Z", "environment": {}, "facts": [],
        "quick": True, "turns": 1, "notes": [], "definition": results.DEFINITION,
        "cells": [{
            "what": "gemm", "batch": 8, "width": 4, "replicas": 0, "variant": "a", "backend": "numpy",
            "dtype": "float32", "tf32": False, "threads": 1, "execution": "planned", "steps": 1,
            "seconds": [1.0], "device": None, "median": 1.0, "low": 1.0, "high": 1.0, "flops": 1.0,
            "gflops": 1.0, "gbs": 1.0, "of_ceiling": 0.5,
        }],
    }  # fmt: skip
    Path("good.json").write_text(json.dumps(result))

    def compared(**change):
        cells = [cell | change.pop("cell", {}) for cell in result["cells"]]
        Path("other.json").write_text(json.dumps(result | {"cells": cells} | change))
        return bench("--compare", "good.json", "other.json")

    for cell in ({"seconds": [0.0]}, {"seconds": []}, {"median": 0}, {"seconds": [1.0, -1.0]},
                 {"median": math.nan}, {"seconds": None}, {"seconds": [None]}, {"median": None},
                 {"what": None}, {"seconds": [math.inf]}, {"seconds": [0] * 1000}):  # fmt: skip
        code, out, err = compared(cell=cell)
        assert (code, out) == (3, "") and err.startswith("error: 'other.json' ") and err.count("\n") == 1, (
            cell
        )
        assert len(err) < 400
    for change in ({"cells": []}, {"definition": 0}, {"schema": 2}, {"command": "explain"}, {"cells": None}):
        code, out, err = compared(**change)
        assert (code, out) == (3, "") and err.startswith("error: ") and err.count("\n") == 1, change
    for key in ("cells", "environment", "facts", "measured"):
        Path("less.json").write_text(json.dumps({k: v for k, v in result.items() if k != key}))
        code, out, err = bench("--compare", "less.json", "good.json")
        assert code == 3 and key in err or key == "cells"  # without cells there is nothing in common
    for environment in ({"blas": "none"}, {"blas": [1]}, {"cpu": ["a"]}, {"cpu": "x" * 9999, "cores": 1e99}):
        code, out, _ = compared(environment=environment)
        assert code == 0 and "gemm (8, 4)" in out and max(map(len, out.splitlines())) < 700
