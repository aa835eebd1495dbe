"""compare: columns, order, CSV, and text from untrusted runs."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from minigan.storage.directory import RunDirectory
from minigan.sweeps.compare import RESULTS

EVIL = "normal(4, 1.25)\x1b[31m[red]\x07\r\n\x9b1m\u202e"


@pytest.fixture
def copied(runs, place, monkeypatch):
    """Both runs, in ./runs, to be spoilt; and a width, whatever the terminal of the suite has."""
    monkeypatch.setenv("COLUMNS", "110")
    return Path(shutil.copytree(runs, "runs"))


def first_of(folder):
    return min(folder.iterdir(), key=lambda path: path.name.split("-")[2])


def table(out):
    """The lines of a table, split at its gaps."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]


def test_runs_stand_side_by_side_with_the_settings_in_which_they_differ(minigan_, copied, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
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
        (["empty"], 3, "holds no run directory"),
        ([""], 3, "is no directory"),
        (["x" * 5000], 3, "is no directory"),
        (["a\0b"], 3, "is no directory"),
    ],
)
def test_bad_comparisons_are_refused(minigan_, copied, arguments, code, says):
    Path("empty/in/it").mkdir(parents=True)
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


def test_directories_of_directories_are_looked_into(minigan_, copied):
    """As of a sweep, or of several projects; a run is shown once, however it is named."""
    deep = Path("projects/one/runs")
    deep.parent.mkdir(parents=True)
    copied.rename(deep)
    shutil.copytree(first_of(deep), "projects/two/sweep/runs/0000")
    shutil.copytree(first_of(deep), "projects/.trash/0000")
    Path("projects/loop").symlink_to(Path("projects").resolve())
    out = minigan_("compare", "projects", "--csv")[1]
    assert len(out.splitlines()) == 1 + 3 and "projects/two/sweep/runs/0000" in out and ".trash" not in out
    again = (first_of(deep), deep, deep.resolve(), "projects", "projects/../projects/one")
    assert len(minigan_("compare", *again, "--csv")[1].splitlines()) == 1 + 3


def test_directories_are_counted(minigan_, copied, monkeypatch):
    monkeypatch.setattr("minigan.sweeps.compare.MAX_FOLDERS", 2)
    for name in "abc":
        Path("many", name).mkdir(parents=True)
    copied.rename("many/a/runs")
    code, _, err = minigan_("compare", "many")
    assert code == 3 and "more than 2 directories" in err


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_a_table_fits_the_width(minigan_, copied, monkeypatch, columns):
    """With what makes it wide: runs of long names elsewhere, which differ in much, and a long target."""
    monkeypatch.setenv("COLUMNS", str(columns))
    changes = {
        "seed": 3,
        "target": "+".join(["0.125*normal(1, 2)"] * 8),
        "batch": 16,
        "r1": 0.25,
        "dtype": "float64",
    }
    for k, (name, value) in enumerate(changes.items()):
        made = Path(shutil.copytree(first_of(copied), copied / f"20261129-00000{k}-{'x' * 64}-abcdef"))
        config = json.loads((made / "config.json").read_text())
        (made / "config.json").write_text(json.dumps(config | {name: value}))
    code, out, err = minigan_("compare", copied.resolve())
    assert code == 0 and err == "" and f"in {copied.resolve()}:" in out
    widest = max(len(line) for line in out.splitlines()[1:])
    assert widest <= max(columns, 36 + 2 + 36)  # a run and one value
    for name in changes:
        assert sum(name in line.split() for line in out.splitlines()) == 1
    assert " hq" not in out  # which none of them has
    assert out.index(" ks") < out.index(" seed")  # what came of them comes first
    rows = list(csv.DictReader(io.StringIO(minigan_("compare", copied, "--csv")[1])))
    assert changes["target"] in {row["target"] for row in rows} and "hq" in rows[0]


def test_runs_of_every_kind_stand_side_by_side(minigan_, copied):
    """Diverged, stopped, damaged, of another target, without metrics; and one alone."""
    first = first_of(copied)
    for name, change in {
        "a": {"status": "diverged"}, "b": {"status": "interrupted", "step": 3}, "c": {}, "d": {"status": 1},
    }.items():  # fmt: skip
        made = Path(shutil.copytree(first, copied / name))
        status = json.loads((made / "run.json").read_text())
        (made / "run.json").write_text(json.dumps(status | change))
        if name == "c":
            (made / "verdict.json").write_text("[]")
            (made / "metrics.jsonl").write_bytes(b"\0\xff")
    code, out, err = minigan_("compare", copied, "--json")
    rows = {Path(row["run"]).name: row for row in json.loads(out)["rows"]}
    assert code == 0 and len(rows) == 6 and err.count("note: ") == 1 and "c/verdict.json" in err
    assert rows["a"]["status"] == "diverged" and rows["d"]["status"] is None and rows["c"]["ks"] is None
    code, out, _ = minigan_("compare", first)
    assert code == 0 and len(out.splitlines()) == 2 and "in " not in out


def test_a_live_run_is_compared_and_inspected(minigan_, place, trained):
    config = (trained / "config.json").read_bytes()
    with RunDirectory.create("runs", "young", config) as run:
        assert minigan_("compare", "runs")[0] == 0  # it has written nothing but its configuration
        run.write_status("running")
        code, out, _ = minigan_("compare", run.path, "--json")
        (row,) = json.loads(out)["rows"]
        assert code == 0 and row["status"] == "running" and row["ks"] is None
        code, out, _ = minigan_("inspect", run.path)
        assert code == 0 and out.splitlines()[1:] == ["", "The run is running."]
