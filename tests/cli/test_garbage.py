"""How often a command looks for garbage."""

import gc

from minigan import cli
from minigan.cli.garbage import PACE


def test_a_command_seldom_looks_for_garbage_and_leaves_pythons_pace_as_it_was(monkeypatch):
    before, within = gc.get_threshold(), []
    monkeypatch.setattr(cli, "_run", lambda arguments: within.append(gc.get_threshold()) or 0)
    assert cli.main(["presets"]) == 0
    assert within == [(PACE, *before[1:])] and gc.get_threshold() == before
