"""Saves killed, refused, cut off from power, or out of space: the short form of bench/soak/operations.py."""

import errno
import os
import signal

import pytest

from bench.soak import operations
from bench.soak.harness import CONTEXT, Tally, finished
from bench.soak.operations import KILL, Disk, states
from minigan.storage.directory import RunDirectory
from minigan.storage.files import write_atomic

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def tally():
    return Tally(*operations.KINDS)


@pytest.fixture
def template(tmp_path):
    return operations.prepare(tmp_path / "template")


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


def nothing_failed(tally):
    assert not any(tally.failures.values()), tally.examples
    return True


def test_a_save_has_the_operations_that_are_to_be_broken(template, work):
    events = operations.operations(template, work)
    names = [event[0] for event in events]
    assert len(events) > 30 and {"open", "write", "fsync", "close", "replace", "unlink"} <= set(names)
    for pointer in ("latest", "best", "run.json", "step-00000002.safetensors"):
        assert [e for e in events if e[0] == "replace" and e[2].endswith(f"/{pointer}")], pointer


def test_a_kill_at_each_operation_leaves_the_previous_state_or_the_new_one(template, work, tally):
    assert operations.kill_each(template, work, tally) == len(operations.operations(template, work))
    assert nothing_failed(tally)


def test_an_error_at_each_operation_is_a_storage_error_and_leaves_the_previous_state(
    template, work, tally, monkeypatch
):
    """ENOSPC for all that are told, once and from then on; EINTR, after which the call is tried again."""
    monkeypatch.setattr(operations, "ERRORS", (errno.ENOSPC, errno.EINTR))
    assert operations.refuse_each(template, work, tally) == 3 * len(operations.operations(template, work))
    assert nothing_failed(tally)


def test_a_power_cut_after_each_operation_leaves_the_previous_state_or_the_new_one(template, work, tally):
    assert operations.cut_each(template, work, tally) > len(operations.operations(template, work))
    assert nothing_failed(tally)


@pytest.mark.parametrize("fill", [operations.fill_small_disk, operations.fill_by_training])
def test_a_small_disk_that_fills_up(tmp_path, tally, fill):
    filled = fill(tmp_path / "small", 1, tally)
    if isinstance(filled, str):
        pytest.skip(filled)
    assert filled == 1 and nothing_failed(tally)


def test_a_limit_on_the_size_of_files(tmp_path, tally):
    assert operations.fill_to_limit(tmp_path / "runs", 1, tally) == 1 and nothing_failed(tally)


def test_an_output_that_is_always_full(tmp_path, tally):
    assert operations.fill_output(tmp_path, 4, tally) == 4 and nothing_failed(tally)


# The instruments


def test_a_disk_does_what_it_counts_and_leaves_no_trace(tmp_path):
    before = (os.open, os.write, os.fsync, os.replace, open)
    with Disk() as disk:
        write_atomic(tmp_path / "a", b"x" * 10_000)
        (tmp_path / "b").write_text("text")
    assert (os.open, os.write, os.fsync, os.replace, open) == before
    assert (tmp_path / "a").read_bytes() == b"x" * 10_000 and (tmp_path / "b").read_text() == "text"
    names = [event[0] for event in disk.events]
    assert names == ["open", "write", "fsync", "close", "replace", "open", "fsync", "close",
                     "open", "write", "close"]  # fmt: skip
    assert disk.number == len(names)


def test_a_write_that_fails_has_written_half(tmp_path):
    with Disk(lambda name, number: OSError(5, "no") if name == "write" else None):
        with pytest.raises(OSError, match="no"):
            (tmp_path / "a").write_bytes(b"12345678")
    assert (tmp_path / "a").read_bytes() == b"1234"


def _killed(path):
    with Disk(lambda name, number: KILL if name == "write" else None):
        path.write_bytes(b"12345678")


def test_a_kill_is_one(tmp_path):
    assert finished(_killed, tmp_path / "a") == -signal.SIGKILL
    assert (tmp_path / "a").read_bytes() == b"1234"
    assert CONTEXT.get_start_method() == "forkserver"


def _left(events, before=()):
    return {frozenset(tree.items()) for tree in states(dict(before), events)}


def test_what_is_not_synced_may_be_lost_and_what_is_may_not():
    write = [("open", "/d/a", True, False), ("write", "/d/a", 0, b"12")]
    contents = [b"", b"12", b"1", b"\0\0"]
    assert _left(write) == {frozenset()} | {frozenset({("/d/a", content)}) for content in contents}
    assert _left([*write, ("fsync", "/d/a")]) == {frozenset(), frozenset({("/d/a", b"12")})}
    assert _left([*write, ("fsync", "/d/a"), ("fsync", "/d")]) == {frozenset({("/d/a", b"12")})}


def test_a_rename_may_be_lost_until_its_directory_is_synced():
    events = [("replace", "/d/new", "/d/a")]
    before = {"/d/a": b"old", "/d/new": b"new"}.items()
    renamed = frozenset({("/d/a", b"new")})
    assert _left(events, before) == {frozenset(before), renamed}
    assert _left([*events, ("fsync", "/d")], before) == {renamed}


def test_a_file_is_lost_with_its_directory():
    events = [("mkdir", "/d/e"), ("open", "/d/e/a", True, False), ("fsync", "/d/e")]
    assert _left(events) == {frozenset(), frozenset({("/d/e/a", b"")})}
    assert _left([*events, ("fsync", "/d")]) == {frozenset({("/d/e/a", b"")})}


def test_the_check_sees_every_kind_of_loss(template, work, tally):
    def check(*acknowledged):
        operations.check(work, acknowledged, tally, "planted")
        operations.check_restart(work, tally, "planted")

    operations.fresh(template, work)
    with RunDirectory.open(work, lock=True) as run:
        run.append_metrics({"step": 1, "loss": 0})
    (run.checkpoints / "step-00000001.safetensors").write_bytes(b"")
    (work / "run.json").write_bytes(b"{")
    check("checkpoint")
    operations.fresh(template, work)
    check("checkpoint", "status")
    run.path.joinpath("config.json").unlink()
    check("checkpoint")
    seen = {kind for kind, count in tally.failures.items() if count}
    assert seen == {
        "no checkpoint verifies", "damaged status", "half row", "acknowledged row lost",
        "acknowledged checkpoint lost", "acknowledged status lost", "cannot go on",
    }  # fmt: skip
