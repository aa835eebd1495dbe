"""The cold start of a process, by its parts."""

import pytest

from minigan import backend as backends
from minigan.profiling import cold


def test_the_cold_start_of_a_process(monkeypatch):
    monkeypatch.undo()
    parts = {start.part: start.seconds[0] for start in cold.starts("numpy", 1)}
    assert "import numpy" in parts and min(parts.values()) >= 0
    assert parts.pop("the whole process") == pytest.approx(sum(parts.values()), rel=1e-6)
    assert cold.starts("cupy", 1) == [] or backends.get("cupy")
