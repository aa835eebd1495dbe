"""compare, inspect and export as commands: what they print, exit codes, and text from untrusted files."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from minigan.cli.common import say
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory
from minigan.sweeps.compare import RESULTS

NAME = "step-00000006.safetensors"  # the newest of a tiny run
EVIL = "normal(4, 1.25)\x1b[31m[red]\x07\r\n\x9b1m\u202e"


@pytest.fixture
def copied(runs, place):
    """Both runs, in ./runs, to be spoilt."""
    return Path(shutil.copytree(runs, "runs"))


def first_of(folder):
    return min(folder.iterdir(), key=lambda path: path.name.split("-")[2])


def table(out):
    """The lines of a table, split at its gaps."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]


# compare


def test_runs_stand_side_by_side_with_the_settings_in_which_they_differ(minigan_, copied):
    code, out, err = minigan_("compare", "runs")
    header, *rows = table(out)
    assert code == 0 and err == ""
    assert header == ["run", "status", "step", "seed", *RESULTS]
    assert sorted(row[3] for row in rows) == ["1", "2"] and {row[1] for row in rows} == {"finished"}
    verdict = json.loads((Path(rows[0][0]) / "verdict.json").read_text())
    assert rows[0][4] == f"{verdict['ks']['statistic']:.4g}" and rows[0][9] == "–"
    assert "\x1b" not in out


def test_the_order_is_that_of_a_column(minigan_, copied):
    def seeds(*arguments):
        return [
            row["settings"]["seed"]
            for row in json.loads(minigan_("compare", "runs", "--json", *arguments)[1])["rows"]
        ]

    assert seeds("--sort", "seed") == [1, 2] and seeds("--sort", "seed", "--descending") == [2, 1]
    rows = json.loads(minigan_("compare", "runs", "--json", "--sort", "ks")[1])["rows"]
    assert rows[0]["ks"] <= rows[1]["ks"]


def test_csv_holds_the_whole_numbers(minigan_, copied):
    code, out, err = minigan_("compare", "runs", "--csv", "--sort", "seed")
    rows = list(csv.DictReader(io.StringIO(out)))
    verdict = json.loads((Path(rows[0]["run"]) / "verdict.json").read_text())
    assert code == 0 and err == "" and [row["seed"] for row in rows] == ["1", "2"]
    assert float(rows[0]["ks"]) == verdict["ks"]["statistic"] and rows[0]["modes"] == ""


def test_what_cannot_be_read_is_a_note(minigan_, copied):
    first = first_of(copied)
    (first / "config.json").write_text("{")
    code, out, err = minigan_("compare", "runs", "absent")
    assert code == 0 and len(out.splitlines()) == 2
    assert err.count("note: ") == 2 and "config.json" in err and "'absent' is no directory" in err
    assert minigan_("compare", "runs", "-q")[2] == ""
    code, out, err = minigan_("compare", first, "absent")
    assert code == 3 and out == "" and err.startswith("error: no run could be read") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["runs", "--sort", "kss"], 2, "did you mean 'ks'?"),
        (["runs", "--sort", "batch"], 2, "there is no column 'batch'"),
        (["runs", "--csv", "--json"], 2, "not both"),
        (["runs", "--descending"], 2, "--sort COLUMN"),
        ([], 2, "RUN"),
        (["."], 0, ""),
        ([""], 3, "is no directory"),
        (["x" * 5000], 3, "is no directory"),
        (["a\0b"], 3, "is no directory"),
    ],
)
def test_bad_comparisons_are_refused(minigan_, copied, arguments, code, says):
    if arguments == ["."]:
        arguments, code, says = [copied.parent], 3, "holds no run directory"
    got, out, err = minigan_("compare", *arguments)
    assert got == code and out == "" and says in err and len(err.splitlines()) <= 4


def test_nothing_of_a_run_reaches_the_terminal_raw(minigan_, copied):
    first = first_of(copied)
    config = json.loads((first / "config.json").read_text())
    config["target"] = EVIL
    (first / "config.json").write_text(json.dumps(config))
    status = json.loads((first / "run.json").read_text())
    (first / "run.json").write_text(json.dumps(status | {"status": "fin\x1b[2Jished[/]"}))
    moved = first.rename(first.with_name("run-\x1b[31m-[red]"))
    for arguments in ((), ("--csv",), ("--json",)):
        code, out, err = minigan_("compare", "runs", *arguments)
        assert code == 0 and err == "" and "[red]" in out
        assert all(character.isprintable() or character == "\n" for character in out)
    assert "\\x1b[31m[red]" in minigan_("compare", "runs")[1]
    (moved / "config.json").write_text("{")
    _, _, err = minigan_("compare", "runs")
    assert "\x1b" not in err and "\\x1b" in err


# inspect


def test_a_checkpoint_is_shown_by_its_header(minigan_, trained, monkeypatch):
    path = trained / "checkpoints" / NAME
    monkeypatch.setattr(checkpoint, "load", None)  # no array is read
    code, out, err = minigan_("inspect", path)
    rows = table(out)
    assert code == 0 and err == "" and rows[0] == ["array", "dtype", "shape", "bytes"]
    assert ["generator.0.W", "float32", "1 × 4", "16"] in rows and "\n  step = 6\n" in out
    assert "agree with their digest" not in out and out.rstrip().endswith("schema 1")


def test_a_verified_checkpoint_says_so_and_a_damaged_one_is_refused(minigan_, place, trained):
    path = trained / "checkpoints" / NAME
    assert "agree with their digest" in minigan_("inspect", path, "--verify")[1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    Path("flipped.safetensors").write_bytes(content)
    assert minigan_("inspect", "flipped.safetensors")[0] == 0  # its header is whole
    for name, damaged in {
        "flipped": content,
        "short": content[:-1],
        "empty": b"",
        "text": b"x" * 100,
    }.items():
        Path(f"{name}.safetensors").write_bytes(damaged)
        code, out, err = minigan_("inspect", f"{name}.safetensors", "--verify")
        assert code == 3 and out == "" and err.startswith("error: ") and err.count("\n") == 1


@pytest.mark.parametrize(("flags", "said"), [((), "false"), (("--detect-anomaly",), "true")])
def test_a_checkpoint_says_whether_its_steps_were_watched(minigan_, place, tiny, flags, said):
    assert minigan_("train", *tiny, *flags, "--out", "runs", "-q")[0] == 0
    (file,) = place.glob(f"runs/*/checkpoints/{NAME}")
    code, out, _ = minigan_("inspect", file)
    assert code == 0 and f"  watched = {said}\n" in out


def test_a_run_lists_its_checkpoints_and_what_names_them(minigan_, place, trained):
    run = Path(shutil.copytree(trained, "run"))
    folder = run / "checkpoints"
    for old in folder.glob("step-0000000[0-5]*"):
        old.unlink()
    for pointer in ("latest", "best"):
        (folder / pointer).write_text(f"{NAME}\n")
    shutil.copy(folder / NAME, folder / "step-00000009.safetensors")
    code, out, err = minigan_("inspect", run)
    assert code == 0 and err == ""
    assert [row[:3] for row in table(out)[1:]] == [
        [NAME, "header read", "latest, best"], ["step-00000009.safetensors", "header read", "9"],
    ]  # fmt: skip
    assert "verified" in minigan_("inspect", run, "--verify")[1]
    (folder / "step-00000009.safetensors").write_bytes(b"torn")
    code, out, err = minigan_("inspect", run)
    assert code == 3 and "damaged" in out and NAME in out and "step-00000009" in err
    code, out, _ = minigan_("inspect", run, "--json")
    assert code == 3 and json.loads(out)["checkpoints"][1]["error"]


@pytest.mark.parametrize("text", ["step-00000099.safetensors", "../../etc/passwd", "\x1b[31m", ""])
def test_a_name_that_leads_nowhere_is_damage(minigan_, place, trained, text):
    run = Path(shutil.copytree(trained, "run"))
    (run / "checkpoints" / "best").write_text(text)
    code, out, err = minigan_("inspect", run)
    assert code == 3 and "header read" in out and "names no checkpoint of this run" in err
    assert "\x1b" not in out + err


@pytest.mark.parametrize("subject", ["absent", "", "a\0b", ".", "x" * 5000, __file__])
def test_what_is_no_checkpoint_is_refused(minigan_, subject):
    code, out, err = minigan_("inspect", subject)
    assert code == 3 and out == "" and err.startswith("error: ") and err.count("\n") == 1


def test_nothing_of_a_checkpoint_reaches_the_terminal_raw(minigan_, place):
    state = {"step": 3, EVIL: EVIL, "list": [EVIL], "long": EVIL * 1000}
    checkpoint.save("a.safetensors", {"w[red]": np.ones(3)}, state)
    for arguments in ((), ("--json",)):
        code, out, err = minigan_("inspect", "a.safetensors", *arguments)
        assert code == 0 and err == "" and "w[red]" in out
        assert all(character.isprintable() or character == "\n" for character in out)
    assert len(minigan_("inspect", "a.safetensors")[1]) < 5000


# train, eval: names come from data


def test_names_in_data_reach_the_terminal_and_the_log_as_text(minigan_, place, tiny):
    name = "a\x1b[31m.csv"
    rows = np.random.default_rng(0).normal(size=(60, 2))
    np.savetxt(name, rows, delimiter=",", header="\x1b[31mx,[red]y", comments="")
    for arguments in (("train", *tiny, "--data", name), ("eval", name, "--data", name)):
        code, out, err = minigan_(*arguments)
        assert code == 0 and "\x1b" not in out.replace(name, "") + err and "\\x1b[31m" in out + err
        assert "[red]y" in out
    (log,) = (place / "runs").glob("*/log.txt")
    assert "\x1b" not in log.read_text()


def test_a_message_is_text_line_by_line(capsys):
    assert say("error: a\x1b[31m[red]\nb\r", 3) == 3
    assert capsys.readouterr().err == "error: a\\x1b[31m[red]\nb\\r\n"


# export


def test_an_export_is_opened_by_numpy_alone(minigan_, place, trained):
    code, out, err = minigan_("export", trained, "--npz", "model.npz")
    assert code == 0 and out == "" and "arrays of" in err and "(step 6) in model.npz" in err
    with np.load("model.npz", allow_pickle=False) as file:
        assert json.loads(str(file["architecture"]))["generator"]["sizes"] == [1, 4, 1]
        assert file["average.0.W"].dtype == "float32" and file["shift"].shape == (1, 1)
    assert [path.name for path in place.iterdir()] == ["model.npz"]
    assert minigan_("export", trained, "--npz", "model.npz", "-q") == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["RUN"], 2), (["RUN", "--npz", "a.csv"], 2), (["--npz", "a.npz"], 2),
        (["RUN", "--npz", "absent/a.npz"], 8),
        (["absent", "--npz", "a.npz"], 3), (["RUN", "--npz", "a.npz", "--at", "5"], 3),
        (["RUN", "--npz", "a.npz", "--at", "x"], 3), (["RUN", "--npz", "/dev/null/a.npz"], 8),
    ],
)  # fmt: skip
def test_bad_exports_are_refused_and_leave_nothing(minigan_, place, trained, arguments, code):
    got, out, err = minigan_("export", *[trained if word == "RUN" else word for word in arguments])
    assert got == code and out == "" and len(err.splitlines()) <= 4 and list(place.iterdir()) == []


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_a_checkpoint_is_chosen_by_its_step(minigan_, trained, command):
    assert minigan_(command, trained, "--at", "6")[0] == 0
    code, out, err = minigan_(command, trained, "--at", "5")
    assert code == 3 and out == "" and "'5'" in err


def test_a_file_has_no_checkpoints_to_choose_from(minigan_):
    code, _, err = minigan_("eval", "a.csv", "--target", "normal(0,1)", "--at", "best")
    assert code == 2 and "--at" in err


def test_a_live_run_is_compared_and_inspected(minigan_, place, trained):
    config = (trained / "config.json").read_bytes()
    with RunDirectory.create("runs", "young", config) as run:
        assert minigan_("compare", "runs")[0] == 0  # it has written nothing but its configuration
        run.write_status("running")
        code, out, _ = minigan_("compare", run.path, "--json")
        (row,) = json.loads(out)["rows"]
        assert code == 0 and row["status"] == "running" and row["ks"] is None
        code, out, _ = minigan_("inspect", run.path)
        assert code == 0 and len(out.splitlines()) == 1
