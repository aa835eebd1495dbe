"""Comparisons of runs: which directories, which numbers, and what happens while a run is written."""

import json
import os
import threading

import pytest

from minigan.errors import ConfigError
from minigan.storage.directory import RunDirectory
from minigan.sweeps.compare import RESULTS, compare, run_directories
from minigan.training.config import to_json
from minigan.training.settings import resolve

ROW = {
    "step": 10,
    "seconds": 1.5,
    "ks": 0.1,
    "ks_p": 0.2,
    "w1": 0.3,
    "mean": 4.0,
    "sd": 1.0,
    "modes": 7,
    "hq": 0.5,
}
OF_ROW = dict.fromkeys(RESULTS) | {  # what a comparison says of it
    "ks": 0.1, "ks_p": 0.2, "w1": 0.3, "mean": 4.0, "sd": 1.0, "modes": 7, "hq": 0.5, "seconds": 1.5,
}  # fmt: skip
VERDICT = {
    "rows": [{"name": name, "value": value} for name, value in (("W1", 0.03), ("mean", 4.5), ("sd", 1.25))],
    "ks": {"statistic": 0.01},
    "pvalue": 0.02,
}


def make(root, name="a", status="finished", rows=(ROW,), verdict=VERDICT, sets=(), **fields):
    """A run directory as training leaves it, without the training."""
    config = resolve(environ={}, sets=[f"name={name}", *sets])
    with RunDirectory.create_at(root / name, to_json(config)) as run:
        for row in rows:
            run.append_metrics(row)
        if status is not None:
            run.write_status(status, **fields)
    if verdict is not None:
        (root / name / "verdict.json").write_text(json.dumps(verdict))
    return root / name


def only(path):
    """The one row of a comparison, and its notes."""
    compared = compare([path])
    (row,) = compared.rows
    return row, compared.notes


def test_a_finished_run_has_the_numbers_of_its_verdict(tmp_path):
    row, notes = only(make(tmp_path, step=10, seconds=2.5))
    assert notes == () and (row.status, row.step) == ("finished", 10)
    assert row.results == OF_ROW | {
        "ks": 0.01, "ks_p": 0.02, "w1": 0.03, "mean": 4.5, "sd": 1.25, "seconds": 2.5,
    }  # fmt: skip


def test_a_run_of_before_has_its_columns_under_their_names_of_now(tmp_path):
    old = {"std": "sd", "wall": "seconds"}
    rows = [{{new: name for name, new in old.items()}.get(key, key): value for key, value in ROW.items()}]
    row, notes = only(make(tmp_path, status="running", rows=rows))
    assert notes == () and row.results == OF_ROW


@pytest.mark.parametrize("status", ["running", "interrupted", "diverged", "failed"])
def test_another_run_has_those_of_its_last_metrics(tmp_path, status):
    row, notes = only(make(tmp_path, status=status, rows=(ROW, ROW | {"step": 20, "ks": 0.09}), step=15))
    said = "stopped" if status == "running" else status  # its process is gone
    assert notes == () and (row.status, row.step) == (said, 20)
    assert row.results == OF_ROW | {"ks": 0.09}


def test_a_run_that_has_written_nothing_yet_is_a_row(tmp_path):
    row, notes = only(make(tmp_path, status=None, rows=(), verdict=None))
    assert notes == () and row.status == "stopped" and row.step is None
    assert set(row.results) == set(RESULTS) and set(row.results.values()) == {None}


def test_only_settings_that_differ_are_columns(tmp_path):
    paths = [
        make(tmp_path, "a", sets=["seed=1", "batch=64"]),
        make(tmp_path, "b", sets=["seed=2", "batch=64"]),
    ]
    compared = compare(paths)
    assert compared.settings == ("seed",) and compared.columns[:5] == ("run", "status", "step", "seed", "ks")
    assert compare(paths[:1]).settings == () and compare([]).columns[:4] == ("run", "status", "step", "ks")


def test_runs_are_found_in_a_directory_once_and_in_order(tmp_path):
    made = [make(tmp_path, name) for name in "bac"]
    (tmp_path / "no-run").mkdir()
    (tmp_path / "file").write_text("")
    assert run_directories(tmp_path) == sorted(made)
    assert [row.run for row in compare([tmp_path, made[0]]).rows] == [str(path) for path in sorted(made)]
    assert run_directories(tmp_path / "absent") == [] and run_directories("a\0b") == []


@pytest.mark.parametrize("descending", [False, True])
def test_rows_without_a_value_are_last(tmp_path, descending):
    for name, ks in (("a", 0.2), ("b", None), ("c", 0.1)):
        make(tmp_path, name, status="running", rows=(ROW | {"ks": ks},))
    order = [row["ks"] for row in compare([tmp_path]).sorted_by("ks", descending=descending).rows]
    assert order == [0.2, 0.1, None] if descending else order == [0.1, 0.2, None]


def test_columns_of_mixed_kinds_have_an_order(tmp_path):
    make(tmp_path, "a", sets=["generator.widths=[9]", "columns=null"])
    make(tmp_path, "b", sets=["generator.widths=[4,4]", "data=x.csv", "columns=[1,0]"])
    make(tmp_path, "c", sets=["generator.widths=[4]", "data=x.csv", "columns=[a]"])
    for column in compare([tmp_path]).columns:
        assert len(compare([tmp_path]).sorted_by(column).rows) == 3
    rows = compare([tmp_path]).sorted_by("generator.widths").rows
    assert [row.settings["generator.widths"] for row in rows] == [(4, 4), (4,), (9,)]


def test_an_unknown_column_is_refused_with_the_nearest(tmp_path):
    make(tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'seconds'"):
        compare([tmp_path]).sorted_by("second")
    with pytest.raises(ConfigError, match="the column pvalue is called ks_p now"):
        compare([tmp_path]).sorted_by("pvalue")


@pytest.mark.parametrize(
    ("file", "content", "kept"),
    [
        ("run.json", b"{", "ks_p"), ("run.json", b"[]", "ks_p"), ("verdict.json", b"{", "ks"),
        ("verdict.json", b'{"rows": 3}', "ks"), ("verdict.json", b"\xff" * 10, "ks"),
        ("verdict.json", b"[" * 100000, "ks"), ("verdict.json", b" " * (2**20 + 1), "ks"),
        ("metrics.jsonl", b'{"step": 1}\ngarbage\n', "ks"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_a_note_and_the_rest_is_kept(tmp_path, file, content, kept):
    path = make(tmp_path)
    (path / file).write_bytes(content)
    row, notes = only(path)
    assert len(notes) == 1 and file in notes[0] and row.results[kept] is not None


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
@pytest.mark.parametrize("file", ["metrics.jsonl", "run.json", "verdict.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path, file):
    path = make(tmp_path)
    (path / file).unlink()
    os.mkfifo(path / file)
    row, notes = only(path)
    assert len(notes) == 1 and file in notes[0] and row.run == str(path)


def test_numbers_that_no_run_writes_are_not_believed(tmp_path):
    path = make(tmp_path, step=10, seconds=2.5)
    rows = [{"name": "W1", "value": "x"}, {"name": "mean", "value": [1]}, {"name": "sd", "value": True}]
    wild = {"rows": ["row", *rows], "ks": {"statistic": float("nan")}, "pvalue": 10**400}
    (path / "verdict.json").write_text(json.dumps(wild))
    status = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(status | {"seconds": "long", "step": "9"}))
    row, notes = only(path)
    assert notes == () and row.step == 10 and row.results["seconds"] == 1.5
    assert {row.results[name] for name in ("ks", "ks_p", "w1", "mean", "sd")} == {None}


def test_a_run_without_a_configuration_is_left_out(tmp_path):
    good, bad = make(tmp_path, "a"), make(tmp_path, "b")
    (bad / "config.json").write_text('{"unknown": 1}')
    compared = compare([tmp_path, tmp_path / "absent"])
    assert [row.run for row in compared.rows] == [str(good)]
    assert any(str(bad) in note for note in compared.notes)
    assert len(compared.notes) == 2 and any("absent" in note for note in compared.notes)


def test_a_run_can_be_written_meanwhile(tmp_path):
    """200 comparisons beside a writer: never an error, a note or half a line."""
    done = threading.Event()

    def write():
        config = to_json(resolve(environ={}))
        with RunDirectory.create_at(tmp_path / "a", config) as run:
            step = 0
            while not done.wait(0.001):  # a breath, or the file outgrows whoever reads it
                run.append_metrics(ROW | {"step": step, "ks": step / 10})
                if step % 10 == 0:
                    run.write_status("running", step=step)
                step += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = []
        while len(seen) < 200:
            compared = compare([tmp_path]) if run_directories(tmp_path) else None
            if compared is not None:
                assert compared.notes == () and len(compared.rows) == 1
                seen.append(compared.rows[0].step)
                if compared.rows[0].results["ks"] is not None:
                    assert round(10 * compared.rows[0].results["ks"]) <= compared.rows[0].step
    finally:
        done.set()
        writer.join(60)
    steps = [step for step in seen if step is not None]
    assert steps == sorted(steps) and steps[-1] > 0
