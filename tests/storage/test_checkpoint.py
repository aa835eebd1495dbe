"""Checkpoints: exact round trips, refusal of every damage, and what a run keeps of them."""

import errno
import hashlib
import json
import os
import random
import struct
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load as plain_load
from safetensors.numpy import save as plain_save

from minigan.errors import CheckpointError, StorageError
from minigan.storage import checkpoint as checkpoint_module
from minigan.storage.checkpoint import find, inspect, latest, load, path_of, pointed, require, save, save_step
from minigan.storage.directory import RunDirectory

STATE = {"seed": 3, "counters": [1, 2], "best": 0.1, "text": "é\n\"'", "none": None}


def arrays():
    rng = np.random.default_rng(0)
    return {
        "generator.flat": rng.normal(size=(1, 7)).astype(np.float32),
        "discriminator.flat": rng.normal(size=(2, 3)),
        "step": np.array(2**62, np.int64),
        "bytes": np.arange(5, dtype=np.uint8),
        "empty": np.zeros((0, 3), np.float32),
    }


@pytest.fixture
def file(tmp_path):
    save(tmp_path / "c.safetensors", arrays(), STATE)
    return tmp_path / "c.safetensors"


@pytest.fixture
def run(tmp_path):
    with RunDirectory.create(tmp_path / "runs", "x", b"{}") as run:
        yield run


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        load(path)
    message = str(caught.value)
    assert caught.value.exit_code == 3 and "\n" not in message and len(message) < 600, message
    return message


def equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array)
        assert found[name].tobytes() == array.tobytes()  # also the signs of zeros and the bits of NaN


# Round trips


def test_round_trip_is_exact_and_writeable(file):
    found, state = load(file)
    equal(found, arrays())
    assert state == STATE
    for array in found.values():
        array[...] = 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values_keep_their_bits(tmp_path, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    special = {"x": np.array([0.0, -0.0, np.inf, -np.inf, np.nan, tiny, np.finfo(dtype).max], dtype)}
    save(tmp_path / "c", special, {})
    equal(load(tmp_path / "c")[0], special)


def test_layout_and_byte_order_do_not_matter(tmp_path):
    base = np.arange(24.0).reshape(4, 6)
    odd = {"view": base[::2, ::-2], "fortran": np.asfortranarray(base), "big": base.astype(">f8")}
    save(tmp_path / "c", odd, {})
    equal(load(tmp_path / "c")[0], {name: np.ascontiguousarray(a, "<f8") for name, a in odd.items()})


def test_no_arrays_and_no_state(tmp_path):
    save(tmp_path / "c", {}, {})
    assert load(tmp_path / "c") == ({}, {})


def test_other_readers_of_safetensors_read_it(file):
    equal({name: a for name, a in plain_load(file.read_bytes()).items()}, arrays())


def test_inspect_reads_the_header_alone(tmp_path):
    save(tmp_path / "c", {"x": np.zeros((1000, 1000))}, STATE)
    inspect(tmp_path / "c")
    tracemalloc.start()
    try:
        header = inspect(tmp_path / "c")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert header.arrays == {"x": ((1000, 1000), "float64")} and header.state == STATE


def test_loading_stays_within_four_times_the_file(tmp_path):
    save(tmp_path / "c", {"x": np.zeros((1000, 1000)), "y": np.zeros(10**6)}, {})
    load(tmp_path / "c")
    tracemalloc.start()
    try:
        load(tmp_path / "c")
        assert tracemalloc.get_traced_memory()[1] <= 4 * (tmp_path / "c").stat().st_size
    finally:
        tracemalloc.stop()


# What save refuses


@pytest.mark.rows("dtype", ["f2", "c8", "?", "i4", "O", "U1", "M8[D]"])
def test_other_dtypes_are_refused(tmp_path, dtype):
    with pytest.raises(TypeError, match="received"):
        save(tmp_path / "c", {"x": np.zeros(2, dtype)}, {})
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "state", [{"x": float("nan")}, {"x": float("inf")}, {"x": "y" * checkpoint_module.MAX_HEADER}]
)
def test_a_state_that_is_not_json_or_too_long_is_refused(tmp_path, state):
    with pytest.raises(ValueError):
        save(tmp_path / "c", {}, state)
    with pytest.raises(TypeError):
        save(tmp_path / "c", {}, {"x": object()})


def test_arrays_too_large_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at most"):
        save(tmp_path / "c", {"x": np.broadcast_to(np.zeros(1), (2**27,))}, {})


@pytest.mark.parametrize("name", ["", "__metadata__", "a\nb"])
def test_impossible_names_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="names"):
        save(tmp_path / "c", {name: np.zeros(1)}, {})


def test_a_full_disk_keeps_the_old_file(file, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StorageError):
            save(file, {"x": np.zeros(3)}, {})
    equal(load(file)[0], arrays())
    assert list(file.parent.iterdir()) == [file]


# What load refuses: damage


def test_every_truncation_is_refused(file):
    whole = file.read_bytes()
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        refused(file)
    file.write_bytes(whole + b"\0")
    refused(file)


def test_500_random_bit_flips_are_refused(file):
    whole, rng = file.read_bytes(), random.Random(5)
    for _ in range(500):
        bit = rng.randrange(8 * len(whole))
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        refused(file)


def test_every_bit_of_arrays_and_state_matters(tmp_path):
    save(tmp_path / "c", {"x": np.arange(2.0)}, {"s": 1})
    whole = (tmp_path / "c").read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / "c").write_bytes(flipped)
        refused(tmp_path / "c")


def rewritten(content, change_header=None, change_metadata=None):
    """The checkpoint with its header or metadata changed, otherwise well formed."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    if change_metadata:
        change_metadata(header["__metadata__"])
    if change_header:
        change_header(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def test_a_rewritten_header_of_equal_meaning_is_accepted(file):
    file.write_bytes(rewritten(file.read_bytes()))
    equal(load(file)[0], arrays())


@pytest.mark.parametrize("schema", ["2", "10", "99999999999999999999"])
def test_a_newer_schema_is_refused_with_the_way_out(file, schema):
    file.write_bytes(rewritten(file.read_bytes(), change_metadata=lambda m: m.update(schema=schema)))
    message = refused(file)
    assert "schema" in message and "newer minigan" in message


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(schema="0"),
        lambda m: m.update(schema="-1"),
        lambda m: m.update(schema="²"),
        lambda m: m.pop("schema"),
        lambda m: m.pop("digest"),
        lambda m: m.pop("state"),
        lambda m: m.update(extra="x"),
        lambda m: m.update(state="[1]"),
        lambda m: m.update(state="[" * 5000),
        lambda m: m.update(state='{"seed": 4}'),
        lambda m: m.update(state="{} "),
        lambda m: m.update(format="pt"),
        lambda m: m.update(digest=m["digest"].upper()),
        lambda m: m.update(digest=hashlib.blake2b(b"", digest_size=32).hexdigest()),
    ],
)
def test_changed_metadata_is_refused(file, change):
    file.write_bytes(rewritten(file.read_bytes(), change_metadata=change))
    refused(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["generator.flat"].update(dtype="I32"),
        lambda h: h["generator.flat"].update(dtype="BF16"),
        lambda h: h["generator.flat"].update(dtype="F8_E4M3"),
        lambda h: h["generator.flat"].update(shape=[7, 1]),
        lambda h: h["generator.flat"].update(shape=[7]),
        lambda h: h["generator.flat"].update(shape=[True, 7]),
        lambda h: h["generator.flat"].update(shape=[-1, -7]),
        lambda h: h["generator.flat"].update(shape=["7"]),
        lambda h: h["generator.flat"].update(shape=7),
        lambda h: h["generator.flat"].update(extra=1),
        lambda h: h["generator.flat"].pop("shape"),
        lambda h: h["generator.flat"].update(data_offsets=[0, 2**70]),
        lambda h: h["generator.flat"].update(data_offsets=[-28, 0]),
        lambda h: h.update({"generator.flat": 3}),
        lambda h: h["empty"].update(shape=[0, 2**40]),
        lambda h: h["empty"].update(shape=[0, 10**400]),
        lambda h: h.pop("bytes"),
        lambda h: h.update({"more": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}),
        lambda h: h.update({"renamed": h.pop("bytes")}),
        lambda h: h.update({"\ud800": h.pop("bytes")}),
        lambda h: h.pop("__metadata__"),
        lambda h: h.update({"__metadata__": []}),
    ],
)
def test_a_changed_header_is_refused(file, change):
    file.write_bytes(rewritten(file.read_bytes(), change))
    refused(file)


def test_a_header_that_the_library_reads_otherwise_is_refused(file, monkeypatch):
    """The header is vetted here and read again by the library: both have to mean the same arrays."""
    wide = {name: array.astype(np.float64) for name, array in arrays().items()}
    monkeypatch.setattr("safetensors.numpy.load", lambda content: wide)
    assert "its header can be read in two ways" in refused(file)


def test_a_file_of_another_program_is_refused(tmp_path):
    (tmp_path / "c").write_bytes(plain_save({"x": np.zeros(3)}))
    assert "not written by minigan" in refused(tmp_path / "c")


@pytest.mark.rows(
    "content",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 2**63),
        struct.pack("<Q", checkpoint_module.MAX_HEADER + 1) + b" " * (checkpoint_module.MAX_HEADER + 1),
        struct.pack("<Q", 5000) + b"[" * 5000,
        struct.pack("<Q", 5000) + b'{"a":' * 1000,
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 4) + b"null",
        b"PK\x03\x04" + bytes(100),
    ],
)
def test_rubbish_is_refused_without_memory_for_it(tmp_path, content):
    (tmp_path / "c").write_bytes(content)
    tracemalloc.start()
    try:
        refused(tmp_path / "c")
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_file_faults_are_refused(tmp_path):
    (tmp_path / "d").mkdir()
    with open(tmp_path / "big", "wb") as big:
        big.truncate(checkpoint_module.MAX_FILE + 1)
    for path, what in (
        (tmp_path / "none", "No such file"),
        (tmp_path / "d", "not a regular file"),
        (tmp_path / "big", "more than the"),
        ("a\0b", "cannot be read"),
    ):
        assert what in refused(path)


# Another network


def test_a_file_of_the_largest_size_is_read_and_no_larger_one(file, monkeypatch):
    size = file.stat().st_size
    monkeypatch.setattr(checkpoint_module, "MAX_FILE", size)
    equal(load(file)[0], arrays())
    monkeypatch.setattr(checkpoint_module, "MAX_FILE", size - 1)
    assert f"has {size} bytes, more than the {size - 1} that are read" in refused(file)


def test_require_accepts_what_was_saved_and_lists_each_difference():
    have = {"w": np.zeros((2, 3), np.float32), "b": np.zeros(3, np.float32)}
    require(have, {"w": ((2, 3), "float32"), "b": ((3,), np.float32)})
    with pytest.raises(CheckpointError) as caught:
        require(have, {"w": ((2, 4), "float32"), "b": ((3,), "float64"), "c": ((), "float32")})
    message = str(caught.value)
    assert "c is missing" in message
    assert "w is float32 (2, 3) instead of float32 (2, 4)" in message
    assert "b is float32 (3,) instead of float64 (3,)" in message
    with pytest.raises(CheckpointError, match="'b' is unknown"):
        require(have, {"w": ((2, 3), "float32")})
    with pytest.raises(CheckpointError, match="and 95 more"):
        require({}, {f"w{i}": ((), "float32") for i in range(100)})


# The checkpoints of a run


def steps(run):
    return sorted(p.name for p in run.checkpoints.glob("step-*"))


def test_save_step_names_points_and_prunes(run):
    for step in (10, 20, 30, 40, 50):
        path = save_step(run, step, {"x": np.full(2, float(step))}, {"seed": 1}, keep=3)
        assert (
            (run.checkpoints / "latest").read_text() == f"step-{step:08d}.safetensors\n" == path.name + "\n"
        )
    assert steps(run) == [f"step-{step:08d}.safetensors" for step in (30, 40, 50)]
    found = latest(run)
    assert (
        found.path == path
        and found.state == {"seed": 1, "step": 50, "best_step": None}
        and found.warnings == ()
    )
    np.testing.assert_array_equal(found.arrays["x"], [50, 50])


def test_steps_are_ordered_as_numbers(run):
    for step in (99999999, 100000000):
        save_step(run, step, {}, {})
    assert latest(run).state["step"] == 100000000


def test_a_step_written_again_replaces_it(run):
    for value in (1.0, 2.0):
        save_step(run, 10, {"x": np.array([value])}, {}, keep=1)
    assert latest(run).arrays["x"] == 2 and len(steps(run)) == 1


def test_a_damaged_newest_is_reported_and_the_one_before_is_taken(run):
    for step in (1, 2, 3):
        save_step(run, step, {"x": np.zeros(3)}, {})
    newest, second = (
        run.checkpoints / "step-00000003.safetensors",
        run.checkpoints / "step-00000002.safetensors",
    )
    newest.write_bytes(newest.read_bytes()[:-1])
    second.write_bytes(b"")
    found = latest(run)
    assert found.state["step"] == 1
    assert (
        len(found.warnings) == 2 and "step-00000003" in found.warnings[0] and "damaged" in found.warnings[0]
    )
    assert newest.exists() and second.exists()


def test_what_cannot_be_read_is_never_removed(run):
    save_step(run, 1, {}, {})
    damaged = run.checkpoints / "step-00000001.safetensors"
    damaged.write_bytes(b"damaged")
    mine = run.checkpoints / "notes.txt"
    mine.write_text("x")
    for step in (2, 3, 4):
        save_step(run, step, {}, {}, keep=1)
    assert steps(run) == ["step-00000001.safetensors", "step-00000004.safetensors"]
    assert damaged.read_bytes() == b"damaged" and mine.exists()


def test_a_save_behind_newer_steps_is_kept(run):
    for step in (10, 20, 30):
        save_step(run, step, {}, {}, keep=3)
    save_step(run, 5, {}, {}, keep=3)
    assert "step-00000005.safetensors" in steps(run)


def test_a_pointer_that_is_missing_or_wrong_does_not_hide_the_checkpoints(run):
    save_step(run, 1, {}, {})
    (run.checkpoints / "latest").write_text("../../etc/passwd\n")
    assert latest(run).state["step"] == 1
    (run.checkpoints / "latest").unlink()
    assert latest(run).state["step"] == 1


def test_a_run_without_a_good_checkpoint_is_refused(run):
    with pytest.raises(CheckpointError, match="it has none"):
        latest(run)
    (run.checkpoints / "step-00000001.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="none of its 1 verifies"):
        latest(run)


@pytest.mark.parametrize(("step", "keep"), [(-1, 3), (10**10, 3), (1, 0)])
def test_impossible_steps_are_refused(run, step, keep):
    with pytest.raises(ValueError, match="step"):
        save_step(run, step, {}, {}, keep=keep)


def test_an_old_checkpoint_that_cannot_be_removed_is_a_storage_error(run, monkeypatch):
    save_step(run, 1, {}, {}, keep=1)

    def unlink(self, missing_ok=False):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(checkpoint_module.Path, "unlink", unlink)
    with pytest.raises(StorageError, match=r"step-00000001.*Permission denied"):
        save_step(run, 2, {}, {}, keep=1)
    assert latest(run).state["step"] == 2  # the new one and its pointer were there before


def test_a_pointer_names_only_a_checkpoint_that_is_there(run):
    assert pointed(run, "latest") is None
    path = save_step(run, 1, {}, {}, best=1)
    assert pointed(run, "latest") == pointed(run, "best") == path
    for name in ("step-00000009.safetensors", "../config.json", "latest", ""):
        (run.checkpoints / "latest").write_text(name)
        assert pointed(run, "latest") is None


def test_a_run_without_its_folder_of_checkpoints_has_none(run):
    run.checkpoints.rmdir()
    assert checkpoint_module.paths(run) == []
    with pytest.raises(CheckpointError, match="it has none; train it first"):
        latest(run)


# By name


def test_a_checkpoint_is_found_by_what_names_it(run):
    for step in (10, 20, 30):
        save_step(run, step, {"x": np.full(2, float(step))}, {}, best=20 if step >= 20 else None)
    for which, step in (("latest", 30), ("best", 20), ("10", 10), ("30", 30)):
        found = find(run, which)
        assert found.state["step"] == step and found.path.name == f"step-{step:08d}.safetensors"
        np.testing.assert_array_equal(found.arrays["x"], [step, step])


@pytest.mark.rows(
    ("best", "which", "there"),
    [
        (True, "15", "has no checkpoint '15'; it has latest, best, 10, 20"),
        (True, "00000010", "it has latest, best, 10, 20"),
        (True, "../x\n", r"has no checkpoint '../x\n'"),
        (False, "best", "has no checkpoint 'best'; it has latest, 10, 20"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_refused_with_those_that_are(run, best, which, there):
    for step in (10, 20):
        save_step(run, step, {}, {}, best=step if best else None)
    with pytest.raises(CheckpointError) as caught:
        find(run, which)
    assert there in str(caught.value)


def test_a_damaged_checkpoint_is_refused_where_it_was_named(run):
    """Only ``latest`` may take another one; who names a step or the best means that one."""
    for step in (10, 20, 30):
        save_step(run, step, {}, {}, best=10 if step < 30 else 20)
    path_of(run, 20).write_bytes(b"x")
    for which in ("20", "best"):
        with pytest.raises(CheckpointError, match=r"step-00000020.*damaged"):
            find(run, which)
    path_of(run, 30).write_bytes(b"x")
    for which in ("latest", "best"):  # the newest that verifies says which is the best
        found = find(run, which)
        assert found.state["step"] == 10 and "step-00000030" in found.warnings[0]


@pytest.mark.parametrize("which", ["latest", "best"])
def test_a_reader_overtaken_by_a_writer_takes_the_newer_one(run, which, monkeypatch):
    """Between the reader's look at the folder and its read the writer saves, and prunes what was seen."""
    save_step(run, 1, {}, {}, keep=1, best=1)
    writers_turn = iter([True])

    def load_after_a_save(path):
        if next(writers_turn, False):
            save_step(run, 2, {}, {}, keep=1, best=2)
        return load(path)

    monkeypatch.setattr(checkpoint_module, "load", load_after_a_save)
    found = find(run, which)
    assert found.state["step"] == 2 and found.warnings == ()
    assert steps(run) == ["step-00000002.safetensors"]


@pytest.mark.rows("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_a_header_in_another_encoding_is_no_header(tmp_path, encoding):
    """Python's json would guess it, and read what safetensors reads otherwise."""
    path = tmp_path / "a.safetensors"
    save(path, {"a": np.arange(3.0)}, {})
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].decode().encode(encoding)
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
    for read in (load, inspect):
        with pytest.raises(CheckpointError, match="its header is not a JSON object"):
            read(path)
