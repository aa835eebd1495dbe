"""sample: the rows of a trained generator, their index and file; damaged runs."""

import csv
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest


def test_samples_to_stdout_csv_and_npy_are_the_same_rows(minigan_, place, trained):
    code, out, err = minigan_("sample", trained, "-n", "12")
    assert code == 0 and err == ""
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0] == ["x"] and len(rows) == 13
    values = np.array(rows[1:], float)
    for name in ("a.csv", "a.npy"):
        code, out, err = minigan_("sample", trained, "-n", 12, "-o", name)
        assert code == 0 and out == "" and "12 rows of 1 feature from" in err and "step 6" in err
    np.testing.assert_array_equal(np.load("a.npy", allow_pickle=False), values)
    np.testing.assert_array_equal(np.loadtxt("a.csv", skiprows=1), values[:, 0])
    assert sorted(p.name for p in place.iterdir()) == ["a.csv", "a.npy"]


def test_few_rows_are_the_first_of_many(minigan_, trained):
    few, many = (minigan_("sample", trained, "-n", count)[1].splitlines() for count in (10, 1000))
    assert many[:11] == few


def test_a_draw_has_an_index(minigan_, trained):
    draws = [minigan_("sample", trained, "-n", 5, *more)[1] for more in ((), ("--index", 0), ("--index", 1))]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("arguments", [("sample", "-n", "100000000"), ("eval", "-n", "10000000")])
def test_memory_is_asked_for_before_it_is_taken(minigan_, monkeypatch, trained, arguments):
    monkeypatch.setattr("minigan.machine.available_memory", lambda: 2**28)
    code, out, err = minigan_(arguments[0], trained, *arguments[1:])
    assert code == 2 and out == "" and "takes at least" in err and "only 0.25 GiB of memory is free" in err


def test_samples_have_the_names_of_the_data(minigan_, tiny, place, one_object):
    names = ["plain", "with, comma", '"quoted" first', "αβγ"]
    with open("t.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *np.random.default_rng(0).normal(size=(30, 4)).tolist()])
    run = one_object(minigan_("train", *tiny, "--data", "t.csv", "--json")[1])["run"]
    code, out, _ = minigan_("sample", run, "-n", 200, "-o", "new.csv")
    assert code == 0
    with open("new.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == names and len(rows) == 201 and {len(row) for row in rows} == {4}
    # And the file is one that minigan itself reads.
    assert minigan_("eval", "new.csv", "--data", "t.csv")[0] == 0


@pytest.mark.rows(
    ("arguments", "code"),
    [
        (["nowhere"], 3), ([""], 3), ([__file__], 3), ([os.path.dirname(__file__)], 3), (["RUN", "-o",
        "x.txt"], 2), (["RUN", "-o", "x"], 2),
        (["RUN", "-o", "absent/x.csv"], 8), (["RUN", "-o", "/dev/null/x.npy"], 8), (["RUN", "--index", "-1"],
        2), (["RUN", "-n", "1k"], 2),
        (["x" * 5000], 3),
    ],
)  # fmt: skip
def test_bad_sampling_is_refused(minigan_, place, trained, arguments, code):
    got, out, err = minigan_("sample", *[trained if a == "RUN" else a for a in arguments])
    assert got == code and out == "" and list(place.iterdir()) == []
    assert err.strip().splitlines()[-1].lower().startswith("error: ") and len(err.strip().splitlines()) <= 4


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_a_damaged_run_is_refused_with_3(minigan_, place, trained, command, sentence):
    run = Path(shutil.copytree(trained, "run"))
    newest = run / "checkpoints" / "step-00000006.safetensors"
    for older in set(newest.parent.glob("step-*")) - {newest}:
        older.unlink()
    content = newest.read_bytes()
    for damaged in (content[:-1], content[:100], b"", content[:-1] + b"\xff"):
        newest.write_bytes(damaged)
        code, out, err = minigan_(command, run)
        assert code == 3 and out == "" and "no checkpoint can be read" in sentence(err)
    newest.unlink()
    assert minigan_(command, run)[0] == 3


def test_a_damaged_newest_checkpoint_is_a_note(minigan_, place, trained):
    run = Path(shutil.copytree(trained, "run"))
    folder = run / "checkpoints"
    (folder / "step-00000009.safetensors").write_bytes(b"torn")
    code, out, err = minigan_("sample", run, "-n", 3)
    assert code == 0 and out.count("\n") == 4 and err.startswith("note: ") and "step-00000009" in err


def test_a_checkpoint_of_another_architecture_is_refused_with_the_difference(
    minigan_, place, trained, sentence
):
    run = Path(shutil.copytree(trained, "run"))
    config = json.loads((run / "config.json").read_text())
    config["generator"]["widths"] = [9]
    (run / "config.json").write_text(json.dumps(config))
    code, _, err = minigan_("sample", run)
    assert code == 3 and "generator.widths was [4], is [9]" in sentence(err)


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_a_checkpoint_is_chosen_by_its_step(minigan_, trained, command):
    assert minigan_(command, trained, "--at", "6")[0] == 0
    code, out, err = minigan_(command, trained, "--at", "5")
    assert code == 3 and out == "" and "'5'" in err


@pytest.mark.parametrize("command", [("sample",), ("eval",), ("export", "--npz", "m.npz")])
def test_a_run_that_diverged_is_refused_with_its_checkpoints(minigan_, place, sentence, command):
    sets = ("method=plain", "generator.widths=[4]", "discriminator.widths=[4]", "eval_samples=100",
            "eval_every=10", "generator_optimizer.rate=1e30")  # fmt: skip
    fields = [part for field in sets for part in ("--set", field)]
    assert minigan_("train", "--out", "diverged", "--steps", 20, *fields)[0] == 4
    (run,) = Path("diverged").iterdir()
    code, out, err = minigan_(*command, run)
    assert (
        code == 4 and out == "" and "name one of its checkpoints before that: --at best or 0" in sentence(err)
    )
    assert not Path("m.npz").exists()
