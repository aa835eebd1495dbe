"""The benchmark of dynamics runs in a tiny form, and its tables say what theory says."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """bench.dynamics, which is not installed; afterwards no result may have been written."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(importlib.import_module("bench.common"), "RESULTS", tmp_path / "results")
    module = importlib.import_module("bench.dynamics")
    monkeypatch.setattr(module, "STEPS", 20)
    yield module
    assert not (tmp_path / "results").exists()


def test_both_tables_are_printed(bench, capsys):
    bench.main(["--starts", "5", "--steps", "40"])
    rows = [
        line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("| ")
    ]
    assert rows == ["Dirac-GAN", *bench.DIRAC, "two Gaussians, two intervals", *bench.DYNAMICS]


def test_the_engine_and_the_closed_forms_agree_in_the_table(bench):
    rows = bench.dirac_rows(0.1)
    assert all(row["flow"] == row["theory"] for row in rows)
    assert all(row["error"] < 1e-6 for row in rows if row["closed_form"]) and len(rows) == len(bench.DIRAC)
    assert [row["name"] for row in rows if row["error"] is None] == ["WGAN-GP"]


def test_eigenvalues_as_text(bench):
    assert bench.complex_text([0.5j, -0.5j]) == "± 0.5000 i"
    assert bench.complex_text([-0.25 + 0.5j, -0.25 - 0.5j]) == "-0.2500 ± 0.5000 i"
    assert bench.complex_text([0j, -1.5 + 0j]) == "0.0000, -1.5000"
