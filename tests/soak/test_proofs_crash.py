"""Proofs of the tests of crashes: each finds builds that are broken in the way it is there to find."""

import os
import random

import pytest

from bench.soak import broken, harness, kills, operations, signals, writers
from bench.soak.harness import Tally

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


class Found(BaseException):
    """All that was to be found has been."""


class Search(Tally):
    """A tally that ends a measurement as soon as all of some kinds have failed."""

    def __init__(self):
        self.wanted, self.enough = set(), bool
        kinds = (*operations.KINDS, *writers.KINDS, *kills.KINDS, *signals.KINDS)
        super().__init__(*dict.fromkeys(kinds))

    def add(self, kind, example):
        super().add(kind, example)
        if self.enough(self.wanted & failed(self)):
            raise Found

    def until(self, wanted, measurement, *arguments, some=False):
        """Measure until all of that, or some, is found; it is an error if it never is."""
        self.wanted, self.enough = wanted, bool if some else wanted.__eq__
        with pytest.raises(Found):
            measurement(*arguments, self)


@pytest.fixture
def tally():
    return Search()


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
    tally.until(found, operations.kill_each, *scene)


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
    tally.until(found, operations.refuse_each, *scene)


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
    tally.until(found, operations.cut_each, *scene)


def test_power_cuts_find_that_the_name_of_a_new_run_is_not_synced(scene, tally, build, monkeypatch):
    sync, root = broken.files.sync_directory, scene[1]
    monkeypatch.setattr(broken.files, "sync_directory", lambda path: None if path == root else sync(path))
    root.mkdir()
    tally.until({"acknowledged checkpoint lost"}, operations.cut_first, root)


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
    tally.until({"several write"}, writers.contend, endless, 1)


def test_a_killed_writer_finds_a_lock_that_it_leaves(endless, tally, build, monkeypatch):
    build(broken.kept_lock)
    monkeypatch.setattr(writers, "PROCESSES", 2)
    tally.until({"the dead keep the lock"}, writers.contend_by_training, endless, 1)
    (endless / "held").unlink()


@pytest.mark.parametrize(
    ("breakage", "found"),
    [(broken.overwrite_slowly, {"false alarm", "unreadable"}), (broken.torn_lines, {"half row"})],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_readers_find(tmp_path, tally, build, breakage, found):
    path = writers.endless(tmp_path)
    build(breakage)
    tally.until(found, writers.read, path, 300, some=True)


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
def test_kills_find(tmp_path, tally, build, reference, monkeypatch, breakage, found):
    build(breakage)
    if breakage is broken.keep_rows:  # there have to be rows after a checkpoint
        monkeypatch.setattr(kills, "FIELDS", (*kills.FIELDS, "checkpoint_seconds=0.05"))
    rng = random.Random(0)

    def kill(tally):
        for _ in range(20):  # a kill has to come at a bad moment
            kills.kill_until_it_ends(tmp_path / "killed", reference, rng, tally)

    tally.until(found, kill, some=True)


@pytest.mark.parametrize(
    ("breakage", "found", "count"),
    [
        (broken.leave_with_0, {"another end"}, 3),
        (broken.ignore_signals, {"signal ignored"}, 1),
        (broken.forget_optimizer, {"weights differ"}, 3),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_signals_find(tmp_path, tally, build, reference, breakage, found, count):
    build(breakage)
    arguments = tmp_path / "stopped", reference, signals.NUMBERS[1], count, random.Random(1)
    tally.until(found, signals.stop_often, *arguments)
