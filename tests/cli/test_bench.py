"""bench: the table, the file, the figure, the ratios of two results, and what is asked wrongly."""

import json
from pathlib import Path

import pytest

from minigan import cli
from minigan.profiling import benchmark, work


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
    code, out, _ = bench("--compare", "a.json", "a.json", "--json")
    assert code == 0 and {ratio["ratio"] for ratio in json.loads(out)["ratios"]} == {1.0}


@pytest.mark.parametrize(("arguments", "code", "said"), [
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
