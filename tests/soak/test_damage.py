"""Damaged checkpoints: the short form of bench/soak/damage.py, and the limits of a checksum. 4 s."""

import gc
import pickle
import random

import numpy as np
import pytest

from bench.soak import damage
from minigan.errors import CheckpointError
from minigan.storage import checkpoint

MUTANTS = 1_100
# 15: of every second byte of the header one bit, and all bits in turn; make soak tries all of all.
EVERY = {"truncation": 29, "bit of the header": 15, "bit of the arrays": 997}


@pytest.fixture(scope="module")
def o():
    return damage.original()


@pytest.fixture(scope="module")
def result():
    """One measurement, about which the tests ask."""
    return damage.measure(MUTANTS, every=EVERY, jobs=1)


@pytest.mark.parametrize("kind", damage.FAILURES)
def test_no_damage_leads_to(result, kind):
    assert result["failures"][kind] == 0, result["examples"][kind]


def test_truncations_and_bits_of_everywhere_were_tried_and_refused(result, o):
    header = 8 * (8 + damage.split(o.content)[0])
    assert 18_000 < len(o.content) < 30_000
    assert result["truncation"] == len(range(0, len(o.content), EVERY["truncation"]))
    assert result["bit_of_the_header"] == len(range(0, header, EVERY["bit of the header"]))
    assert result["bit_of_the_arrays"] == len(range(header, 8 * len(o.content), EVERY["bit of the arrays"]))
    tried = sum(
        result[k] for k in ("truncation", "bit_of_the_header", "bit_of_the_arrays", "mutant", "hostile")
    )
    assert result["refused"] + result["held_what_was_saved"] == tried
    assert result["mutant"] == MUTANTS


def test_a_mutant_is_accepted_only_where_nothing_was_changed_in_meaning(result):
    """Keys in another order, a value replaced by itself: some mutants are the original."""
    assert 0 < result["held_what_was_saved"] < 0.15 * MUTANTS


def test_memory_was_watched(result):
    """The largest refusal that is traced is not nothing, and far from the 64 MiB beyond 4 files."""
    assert 0.5 < result["peak_traced_mib"] < 64


def test_a_destructor_that_a_collection_would_run_is_not_taken_for_the_file_s_doing(tmp_path):
    """And collections go on afterwards."""

    class Loud:
        def __init__(self):
            self.itself = self

        def __del__(self):
            (tmp_path / "other").touch()

    before = gc.get_threshold()
    try:
        gc.set_threshold(1)
        with damage.watched(tmp_path / "c") as events:
            Loud()
            kept = [[] for _ in range(1000)]  # each allocation asks the collector
        assert events == [] and len(kept) == 1000 and gc.isenabled()
        kept = [[] for _ in range(1000)]
        assert (tmp_path / "other").exists()
    finally:
        gc.set_threshold(*before)


@pytest.mark.rows("mutation", damage.MUTATIONS)
def test_every_mutation_changes_files_and_the_same_number_gives_the_same_file(o, mutation):
    made = [mutation(random.Random(k), o) for k in range(30)]
    assert made == [mutation(random.Random(k), o) for k in range(30)]
    assert sum(content != o.content for content in made) > 20 and len(set(made)) > 8


def test_the_long_form_tries_every_truncation_and_every_bit(o):
    tried = {}
    for kind, numbers in damage.cases(o, 3, {}):
        tried.setdefault(kind, []).extend(numbers)
    assert tried["truncation"] == [*range(len(o.content))]
    assert tried["bit of the header"] + tried["bit of the arrays"] == [*range(8 * len(o.content))]
    assert tried["mutant"] == [0, 1, 2]


def test_the_long_form_shares_its_work_among_processes():
    """A task and what it counts survive the way to another process and back."""
    tasks = [(damage.original(), kind, range(40)) for kind in ("mutant", "truncation")]
    parts = pickle.loads(pickle.dumps([damage.work(task) for task in pickle.loads(pickle.dumps(tasks))]))
    assert sum(part.counts["refused"] + part.counts["held what was saved"] for part in parts) == 80
    assert not any(part.failures for part in parts)


def test_what_save_wrote_with_other_content_is_another_checkpoint(o, tmp_path):
    """The digest notices damage; whoever can write a file can also write its digest."""
    for k, content in enumerate(o.others):
        (tmp_path / "c").write_bytes(content)
        arrays, state = checkpoint.load(tmp_path / "c")
        assert not damage.equal((arrays, state), o)
        assert (state["step"] == 21) == (k == 0)


def test_arrays_and_digest_of_two_files_do_not_mix(o, tmp_path):
    _, header, rest = damage.split(o.content)
    _, its_header, its_rest = damage.split(o.others[1])
    header["__metadata__"]["digest"] = its_header["__metadata__"]["digest"]
    for content in (damage.joined(header, rest), damage.joined(damage.split(o.content)[1], its_rest)):
        (tmp_path / "c").write_bytes(content)
        with pytest.raises(CheckpointError, match="digest"):
            checkpoint.load(tmp_path / "c")
    (tmp_path / "c").write_bytes(damage.joined(header, its_rest))  # both: the other file, whole
    assert not damage.equal(checkpoint.load(tmp_path / "c"), o)


# Cases that were found, kept


@pytest.mark.rows(
    "shape",
    [[10**400], [10**4299], [10**4000] * 200, [0, 10**4299], [2**62, 4], [-1, -1]],
)
@pytest.mark.rows("end", [8, 10**4299])
def test_a_size_of_thousands_of_digits_is_refused_in_one_sentence(o, tmp_path, shape, end):
    _, header, rest = damage.split(o.content)
    name = next(name for name in header if name != "__metadata__")
    header[name] = {"dtype": "F64", "shape": shape, "data_offsets": [0, end]}
    (tmp_path / "c").write_bytes(damage.joined(header, rest))
    for read in (checkpoint.load, checkpoint.inspect):
        with pytest.raises(CheckpointError) as caught:
            read(tmp_path / "c")
        assert "\n" not in str(caught.value) and len(str(caught.value)) < damage.MESSAGE


@pytest.mark.parametrize("number", [1228])
def test_mutants_that_once_failed(o, tmp_path, number):
    """1228: a message with 400 digits of an offset."""
    name, content = damage.mutant(number, o)
    (tmp_path / "c").write_bytes(content)
    tally = damage.Tally()
    damage.judge(tmp_path / "c", len(content), o, tally, name)
    assert not tally.failures, tally.examples


def test_numbers_that_no_array_has_are_not_asked_for(o, tmp_path):
    """A process that cannot take more memory than 4 files and 64 MiB refuses every hostile file too."""
    answers = damage.limited(o)
    assert set(answers.values()) == {"refused"} and len(answers) == len(damage.hostile(o)), answers


def test_the_bits_of_a_number_are_compared_not_its_value(o):
    arrays = {name: array.copy() for name, array in o.arrays.items()}
    name = next(iter(arrays))
    assert damage.equal((arrays, o.state), o)
    arrays[name].flat[0] = np.nextafter(arrays[name].flat[0], np.inf)
    assert not damage.equal((arrays, o.state), o)
    assert not damage.equal((o.arrays, {**o.state, "step": 20.0}), o)
