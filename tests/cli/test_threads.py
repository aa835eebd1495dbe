"""With how many threads BLAS begins."""

import importlib
import os
import sys

import pytest

from minigan import _threads


@pytest.mark.parametrize(
    ("line", "given", "found"),
    [
        ("minigan train", None, "1"),
        ("minigan -q --no-color sweep a.toml", None, "1"),
        ("python -m minigan train --steps 5", None, "1"),
        ("minigan train", "3", "3"),
        ("minigan eval train", None, None),
        ("minigan", None, None),
        ("script.py train", None, None),
        ("python -m other train", None, None),
    ],
)
def test_a_command_that_trains_begins_with_one_thread_of_blas(monkeypatch, line, given, found):
    words = line.split()
    argv = ["-m", *words[3:]] if words[0] == "python" else words
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", words if words[0] == "python" else ["python", *words])
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")  # so that what it was is put back
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    if given is not None:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    importlib.reload(_threads)
    assert os.environ.get("OPENBLAS_NUM_THREADS") == found
