"""Kills of trainings that go on: the short form of bench/soak/kills.py. 5 s."""

import json
import os
import shutil

import pytest

from bench.soak import kills
from bench.soak.harness import Tally
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture(scope="module")
def result():
    """One measurement, about which the tests ask."""
    return kills.measure(5, stride=50)


@pytest.mark.parametrize("kind", kills.KINDS)
def test_no_kill_leads_to(result, kind):
    assert result["failures"][kind] == 0, result["examples"][kind]


def test_the_kills_came_at_all_moments(result):
    assert result["kills"] >= 5 and 0 < result["before_the_first_checkpoint"] < result["kills"]
    assert result["at_operations"] > 2


# The comparison


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    return kills.uninterrupted(tmp_path_factory.mktemp("runs") / "reference").path


def differences(path, reference):
    tally = Tally(*kills.KINDS)
    kills.compare(path, reference, "case", tally)
    return {kind for kind, count in tally.failures.items() if count}


def one_bit(path, name):
    """The file of arrays at ``path`` with the last bit of one number changed."""
    arrays, state = checkpoint.load(path)
    arrays[name].view("uint8").reshape(-1)[0] ^= 1
    checkpoint.save(path, arrays, state)


def test_the_comparison_sees_a_bit_of_each_file(ended, tmp_path):
    path = shutil.copytree(ended, tmp_path / "run")
    assert not differences(path, ended)
    one_bit(path / "frames.safetensors", "sample")
    assert differences(path, ended) == {"frames differ"}
    newest = checkpoint.latest(RunDirectory.open(path))
    one_bit(newest.path, "generator.0.W")
    one_bit(checkpoint.find(RunDirectory.open(path), "best").path, "discriminator.0.W")
    (path / "verdict.json").write_text("{}")
    rows = (path / "metrics.jsonl").read_text().splitlines(keepends=True)
    changed = json.loads(rows[3])
    (path / "metrics.jsonl").write_text(
        "".join(rows[:3] + [json.dumps(changed | {"seconds": -1.0}) + "\n"] + rows[4:])
    )
    assert differences(path, ended) == {
        "frames differ", "weights differ", "best differs", "verdict differs"
    }  # fmt: skip
    (path / "metrics.jsonl").write_text("".join(rows + rows[-1:]))  # a row twice
    assert "metrics differ" in differences(path, ended)
    (path / "metrics.jsonl").write_text("".join(rows[:2] + rows[3:]))  # a row that is missing
    assert "metrics differ" in differences(path, ended)


def test_the_check_sees_what_was_acknowledged_and_is_gone(ended, tmp_path):
    path, told = shutil.copytree(ended, tmp_path / "run"), tmp_path / "told"
    tally = Tally(*kills.KINDS)
    told.write_text(f"{kills.STEPS - 50}\n{kills.STEPS}\n")
    assert kills.check(path, told, "case", tally) and not any(tally.failures.values())
    newest = checkpoint.latest(RunDirectory.open(path)).path
    newest.write_bytes(newest.read_bytes()[:-1])
    assert kills.check(path, told, "case", tally)
    assert {k for k, n in tally.failures.items() if n} == {"unreadable checkpoint", "acknowledged step lost"}
    assert not kills.check(None, told, "case", tally)
    assert tally.failures["acknowledged step lost"] == 2
