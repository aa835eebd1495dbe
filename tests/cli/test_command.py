"""What a process that is a command sets before it imports the rest."""

import atexit
import gc
import importlib
import os
import sys

import pytest

from minigan import _command

ALL = (_command.PACE, *gc.get_threshold()[1:])


@pytest.mark.parametrize(
    ("line", "given", "pace", "threads"),
    [
        ("minigan train", None, ALL, "1"),
        ("minigan -q --no-color sweep a.toml", None, ALL, "1"),
        ("python -m minigan train --steps 5", None, ALL, "1"),
        ("minigan train", "3", ALL, "3"),
        ("minigan eval train", None, ALL, None),
        ("minigan", None, ALL, None),
        ("script.py train", None, gc.get_threshold(), None),
        ("python -m other train", None, gc.get_threshold(), None),
    ],
    ids=str,
)
def test_a_command_seldom_looks_for_garbage_and_trains_with_one_thread_of_blas(
    monkeypatch, line, given, pace, threads
):
    words, before, at_exit = line.split(), gc.get_threshold(), []
    module = words[0] == "python"
    monkeypatch.setattr(sys, "argv", ["-m", *words[3:]] if module else words)
    monkeypatch.setattr(sys, "orig_argv", words if module else ["python", *words])
    monkeypatch.setattr(atexit, "register", at_exit.append)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", given or "")  # so that what it was is put back
    if given is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    try:
        importlib.reload(_command)
        assert gc.get_threshold() == pace and at_exit == [gc.freeze] * (pace is ALL)
    finally:
        gc.set_threshold(*before)
    assert os.environ.get("OPENBLAS_NUM_THREADS") == threads
