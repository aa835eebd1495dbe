"""One writer of many, readers beside it: the short form of bench/soak/writers.py."""

import os

import numpy as np
import pytest

from bench.soak import writers
from bench.soak.harness import TIMEOUT, Tally
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def tally():
    return Tally(*writers.KINDS)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return writers.endless(tmp_path_factory.mktemp("runs"))


def nothing_failed(tally):
    assert not any(tally.failures.values()), tally.examples
    return True


def test_of_8_processes_exactly_one_writes_5_times(path, tally):
    starts, slowest = writers.contend(path, 5, tally)
    assert starts == 40 and nothing_failed(tally)
    assert slowest < TIMEOUT / 2  # it did not wait for the writer


def test_of_8_trainings_exactly_one_runs_and_after_its_kill_another(path, tally):
    starts, slowest = writers.contend_by_training(path, 1, tally)
    assert starts == 8 and nothing_failed(tally)
    assert slowest < TIMEOUT / 2


def test_100_reads_during_training_see_whole_files_and_whole_rows(path, tally):
    reads, steps = writers.read(path, 100, tally)
    assert reads == 100 and nothing_failed(tally)
    assert steps > 0  # it was written meanwhile


# A reader between the two halves of what a writer does


@pytest.fixture
def slow(path, tmp_path, monkeypatch):
    """A run, and a function after which the next load of a reader comes too late."""
    with RunDirectory.create(tmp_path, "x", b"{}") as run:

        def save(step, **options):
            checkpoint.save_step(run, step, {"w": np.full(3, float(step))}, {}, keep=1, **options)

        def late(*steps, **options):
            load = checkpoint.load

            def after_saves(path):
                monkeypatch.setattr(checkpoint, "load", load)
                for step in steps:
                    save(step, **options)
                return load(path)

            monkeypatch.setattr(checkpoint, "load", after_saves)

        save(1, best=1)
        yield run, save, late


def test_a_checkpoint_that_is_replaced_after_it_was_listed_is_no_damage(slow):
    run, save, late = slow
    save(2, best=1)
    late(3, 4, best=1)  # 2 is gone; 1, the best, is still there and not the newest
    newest = checkpoint.latest(RunDirectory.open(run.path))
    assert newest.state["step"] == 4 and newest.warnings == ()


def test_the_best_may_be_replaced_while_it_is_read(slow):
    run, save, late = slow
    late(2, best=2)
    assert checkpoint.find(RunDirectory.open(run.path), "best").state["step"] == 2


def test_what_is_damaged_and_still_there_is_named(slow):
    run, save, late = slow
    save(2, best=1)
    (run.checkpoints / "step-00000002.safetensors").write_bytes(b"")
    newest = checkpoint.latest(RunDirectory.open(run.path))
    assert newest.state["step"] == 1 and len(newest.warnings) == 1
