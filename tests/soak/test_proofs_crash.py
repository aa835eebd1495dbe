"""Proofs of the tests of crashes: each finds builds that are broken in the way it is there to find."""

import os
import random

import pytest

from bench.soak import broken, harness, kills, operations, signals, writers
from bench.soak.harness import Tally

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def tally():
    return Tally(*dict.fromkeys((*operations.KINDS, *writers.KINDS, *kills.KINDS, *signals.KINDS)))


@pytest.fixture
def build(monkeypatch):
    """Break this process and those that it starts; mended at the end."""
    mends = []

    def take(breakage):
        monkeypatch.setattr(harness, "broken", breakage)
        mends.append(breakage())

    yield take
    for mend in mends:
        mend()


def failed(tally):
    """The ways in which a measurement failed."""
    return {kind for kind, count in tally.failures.items() if count}


# Operations


@pytest.fixture
def scene(tmp_path):
    """A good run, made before the build is broken, and a place to break it."""
    return operations.prepare(tmp_path / "template"), tmp_path / "work"


@pytest.mark.parametrize(
    ("breakage", "found"),
    [
        (broken.overwrite, {"damaged status"}),
        (broken.prune_first, {"no checkpoint verifies"}),
        (broken.no_sweep, {"stale temporary"}),
        (broken.best_by_name, {"best lost"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_kills_at_operations_find(scene, tally, build, breakage, found):
    build(breakage)
    operations.kill_each(*scene, tally)
    assert found <= failed(tally)


@pytest.mark.parametrize(
    ("breakage", "found"),
    [
        (broken.overwrite, {"damaged status"}),
        (broken.prune_first, {"no checkpoint verifies", "another end"}),
        (broken.bare_errors, {"another end"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_errors_at_operations_find(scene, tally, build, breakage, found, monkeypatch):
    monkeypatch.setattr(operations, "ERRORS", operations.ERRORS[:1])
    build(breakage)
    operations.refuse_each(*scene, tally)
    assert found <= failed(tally)


@pytest.mark.parametrize(
    ("breakage", "found"),
    [
        (broken.overwrite, {"damaged status"}),
        (broken.prune_first, {"no checkpoint verifies"}),
        (
            broken.no_sync,
            {"acknowledged checkpoint lost", "acknowledged status lost", "acknowledged row lost"},
        ),
        (broken.no_directory_sync, {"acknowledged checkpoint lost", "acknowledged status lost"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_power_cuts_find(scene, tally, build, breakage, found):
    build(breakage)
    operations.cut_each(*scene, tally)
    assert found <= failed(tally)


def test_power_cuts_find_that_the_name_of_a_new_run_is_not_synced(scene, tally, build, monkeypatch):
    sync, root = broken.files.sync_directory, scene[1]
    monkeypatch.setattr(broken.files, "sync_directory", lambda path: None if path == root else sync(path))
    root.mkdir()
    operations.cut_first(root, tally)
    assert "acknowledged checkpoint lost" in failed(tally)


@pytest.mark.parametrize(
    "fill", [operations.fill_small_disk, operations.fill_by_training, operations.fill_to_limit]
)
def test_full_disks_find_bare_errors(tmp_path, tally, build, fill):
    build(broken.bare_errors)
    if isinstance(reason := fill(tmp_path / "full", 1, tally), str):
        pytest.skip(reason)
    assert {"another end", "another message"} & failed(tally)


# Writers


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    return writers.endless(tmp_path_factory.mktemp("runs"))


def test_starts_at_once_find_that_there_is_no_lock(endless, tally, build):
    build(broken.no_lock)
    writers.contend(endless, 2, tally)
    assert failed(tally) == {"several write"}


def test_a_killed_writer_finds_a_lock_that_it_leaves(endless, tally, build, tmp_path):
    build(broken.kept_lock)
    writers.contend_by_training(endless, 2, tally)
    (endless / "held").unlink(missing_ok=True)
    assert "the dead keep the lock" in failed(tally) or "nobody writes" in failed(tally)


@pytest.mark.parametrize(
    ("breakage", "found"),
    [(broken.overwrite_slowly, {"false alarm", "unreadable"}), (broken.torn_lines, {"half row"})],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_readers_find(tmp_path, tally, build, breakage, found):
    path = writers.endless(tmp_path)
    build(breakage)
    writers.read(path, 300, tally)
    assert found & failed(tally)


# Kills and signals


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return kills.uninterrupted(tmp_path_factory.mktemp("runs") / "reference")


@pytest.mark.parametrize(
    ("breakage", "found"),
    [
        (broken.forget_optimizer, {"weights differ", "metrics differ", "frames differ", "verdict differs"}),
        (broken.keep_rows, {"metrics differ"}),
        (broken.unpinned_threads, {"another end"}),  # a resume is refused, since its bits would differ
        (broken.prune_first, {"acknowledged step lost"}),
        (broken.overwrite_slowly, {"unreadable checkpoint"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_kills_find(tmp_path, tally, build, reference, breakage, found):
    build(breakage)
    rng = random.Random(0)
    for _ in range(20):  # a kill has to come at a bad moment
        kills.kill_until_it_ends(tmp_path / "killed", reference, rng, tally)
        if found & failed(tally):
            break
    assert found & failed(tally)


@pytest.mark.parametrize(
    ("breakage", "found"),
    [
        (broken.leave_with_0, {"another end"}),
        (broken.ignore_signals, {"signal ignored"}),
        (broken.forget_optimizer, {"weights differ"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_signals_find(tmp_path, tally, build, reference, breakage, found):
    build(breakage)
    signals.stop_often(tmp_path / "stopped", reference, signals.NUMBERS[1], 3, random.Random(1), tally)
    assert found <= failed(tally)
