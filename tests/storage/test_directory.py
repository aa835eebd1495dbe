"""Run directories: their layout, their lock, whole files and whole lines under every fault provoked."""

import errno
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minigan
from minigan.errors import BusyError, ConfigError, DataError, StorageError
from minigan.storage import directory, files
from minigan.storage.directory import RunDirectory
from minigan.storage.files import write_atomic

CONFIG = b'{"name": "gaussian", "seed": 3, "dtype": "float32", "backend": "auto"}'
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def run(tmp_path):
    with RunDirectory.create(tmp_path / "runs", "gaussian", CONFIG) as run:
        yield run


def sentence(caught, exit_code):
    message = str(caught.value)
    assert caught.value.exit_code == exit_code
    assert "\n" not in message and len(message) < 600, message
    return message


def temporaries(path):
    return [p for p in Path(path).rglob("*") if p.name.endswith(".tmp")]


# Layout


def test_create_makes_the_documented_directory(tmp_path):
    with RunDirectory.create(tmp_path / "a" / "runs", "my-run_1", CONFIG) as run:
        assert re.fullmatch(r"\d{8}-\d{6}-my-run_1-[0-9a-f]{6}", run.path.name)
        assert run.path.parent == tmp_path / "a" / "runs"
        assert run.read_config() == CONFIG
        assert run.checkpoints.is_dir() and run.plots.is_dir()


@POSIX
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_permissions_are_those_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        with RunDirectory.create(tmp_path / "runs", "x", CONFIG) as run:
            run.write_status("running")
            run.append_metrics({"step": 1})
            run.log("x")
    finally:
        os.umask(before)
    for path in (run.path.parent, run.path, *run.path.rglob("*")):
        usual = (0o777 if path.is_dir() else 0o666) & ~umask
        assert oct(path.stat().st_mode & 0o777) == oct(usual), path


@POSIX
def test_a_file_that_is_replaced_keeps_its_permissions(run):
    run.write_status("running")
    (run.path / "run.json").chmod(0o640)
    run.write_status("finished")
    assert (run.path / "run.json").stat().st_mode & 0o777 == 0o640


def test_a_run_whose_process_is_gone_is_stopped(tmp_path):
    with RunDirectory.create(tmp_path, "x", CONFIG) as run:
        assert RunDirectory.open(run.path).read_status() == {}
        run.write_status("running", step=3)
        assert RunDirectory.open(run.path).read_status()["status"] == "running"
    assert json.loads((run.path / "run.json").read_text())["status"] == "running"
    status = RunDirectory.open(run.path).read_status()
    assert (status["status"], status["step"]) == ("stopped", 3)
    with RunDirectory.open(run.path, lock=True) as again:
        assert again.previous == "stopped" and again.read_status()["status"] == "running"
        again.write_status("finished")
    assert RunDirectory.open(run.path).read_status()["status"] == "finished"
    (run.path / "run.json").unlink()  # killed before it was written
    assert RunDirectory.open(run.path).read_status() == {"status": "stopped"}
    shutil.copytree(run.path, tmp_path / "copy", ignore=shutil.ignore_patterns(".lock"))
    assert RunDirectory.open(tmp_path / "copy").read_status() == {"status": "stopped"}


def test_its_last_words_count_also_where_they_came_between_two_looks(tmp_path, monkeypatch):
    with RunDirectory.create(tmp_path, "x", CONFIG) as run:
        run.write_status("running")

        def ends(path):
            run.write_status("finished")
            return False

        monkeypatch.setattr(files, "is_held", ends)
        assert RunDirectory.open(run.path).read_status()["status"] == "finished"


def test_who_looks_whether_a_run_is_alive_does_not_keep_a_writer_out(tmp_path):
    with RunDirectory.create(tmp_path, "x", CONFIG) as run:
        pass
    stop = threading.Event()

    def look():
        while not stop.wait(0.0002):
            files.is_held(run.path)

    looking = [threading.Thread(target=look) for _ in range(2)]
    for thread in looking:
        thread.start()
    try:
        for _ in range(50):
            RunDirectory.open(run.path, lock=True).close()
    finally:
        stop.set()
        for thread in looking:
            thread.join()


# What is no file


@POSIX
@pytest.mark.parametrize("kind", ["FIFO", "socket", "directory", "link"])
@pytest.mark.parametrize(
    "name",
    [
        "log.txt",
        "metrics.jsonl",
        "run.json",
        "verdict.json",
        "checkpoints/best",
        "plots/overview.png",
        ".lock",
    ],
)
def test_what_is_no_file_is_refused_before_anything_is_written(run, kind, name, tmp_path, monkeypatch):
    run.close()
    path = run.path / name
    path.unlink(missing_ok=True)
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(path.parent)  # the path of a socket is short
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError) as caught:
        RunDirectory.open(run.path, lock=True)
    assert path.name in sentence(caught, 3) and "remove it" in str(caught.value)
    RunDirectory.open(run.path).read_status() if name != "run.json" else None  # reading it hangs nowhere
    RunDirectory.open(run.path).read_metrics() if name != "metrics.jsonl" else None


@pytest.mark.parametrize("name", ["checkpoints", "plots"])
def test_a_file_in_the_place_of_a_folder_is_refused(run, name):
    run.close()
    (run.path / name).rmdir()
    (run.path / name).write_text("x")
    with pytest.raises(DataError, match=f"{name}.* is a file where a directory belongs"):
        RunDirectory.open(run.path, lock=True)


@POSIX
@pytest.mark.parametrize("write", [lambda run: run.log("x"), lambda run: run.append_metrics({"step": 1})])
def test_a_fifo_that_appears_while_a_run_writes_is_one_sentence(run, write):
    for name in ("log.txt", "metrics.jsonl"):
        os.mkfifo(run.path / name)
    with pytest.raises(DataError, match="is not a regular file; re(move|store) it"):
        write(run)


def test_temporaries_are_swept_from_all_folders(run):
    run.close()
    left = [run.path / folder / ".f.0123abcd.tmp" for folder in ("", "checkpoints", "plots")]
    for path in left:
        path.write_bytes(b"torn")
    with RunDirectory.open(run.path, lock=True):
        assert not any(path.exists() for path in left)


# Metrics of older versions


def test_lines_of_an_older_version_are_written_with_the_names_of_now(run):
    old = [{"step": 1, "wall": 0.5, "jsd": 0.1}, {"step": 2, "wall": 0.7, "jsd": 0.2}]
    text = "".join(json.dumps(row) + "\n" for row in old)
    # As a version between has left it: two kinds of lines in one file.
    text += json.dumps({"step": 3, "seconds": 0.9, "js": 0.3}) + "\n"
    (run.path / "metrics.jsonl").write_text(text)
    run.append_metrics({"step": 4, "seconds": 1.0, "js": 0.4, "d_auc": 0.5})
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [["step", "seconds", "js", "d_auc"]] * 4
    assert [line["seconds"] for line in lines] == [0.5, 0.7, 0.9, 1.0]
    assert [line["d_auc"] for line in lines] == [None, None, None, 0.5]
    assert run.read_metrics().skipped == 0


def test_runs_of_one_second_do_not_collide(tmp_path):
    runs = [RunDirectory.create(tmp_path, "x", CONFIG) for _ in range(20)]
    assert len({run.path for run in runs}) == 20
    for run in runs:
        run.close()


def test_nothing_is_written_outside_the_run_directory(tmp_path):
    (tmp_path / "runs").mkdir()
    with RunDirectory.create(tmp_path / "runs", "x", CONFIG) as run:
        run.write_status("running")
        run.append_metrics({"step": 1})
        run.log("hello")
    assert list(tmp_path.iterdir()) == [tmp_path / "runs"]
    assert list((tmp_path / "runs").iterdir()) == [run.path]


@pytest.mark.rows("name", ["", "..", "a/b", "a b", "é", "a\n", "a" * 65, "a\0"])
def test_impossible_names_are_refused(tmp_path, name):
    with pytest.raises(ConfigError) as caught:
        RunDirectory.create(tmp_path, name, CONFIG)
    sentence(caught, 2)
    assert list(tmp_path.iterdir()) == []


# The root


def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "runs").write_text("x")
    with pytest.raises(StorageError) as caught:
        RunDirectory.create(tmp_path / "runs", "x", CONFIG)
    assert "is a file, and no directory" in sentence(caught, 8)


@pytest.mark.parametrize("root", ["x" * 300, "a\0b"])
def test_an_impossible_root_is_refused(tmp_path, root):
    with pytest.raises(StorageError) as caught:
        RunDirectory.create(tmp_path / root, "x", CONFIG)
    sentence(caught, 8)


def test_a_root_that_is_not_utf_8_works(tmp_path):
    with RunDirectory.create(tmp_path / "caf\udce9", "x", CONFIG) as run:
        run.write_status("running")
        assert run.read_status()["status"] == "running"


def test_a_read_only_root_is_refused(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    # Permission bits do not bind a superuser, who may be running the tests.
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match="Read-only file system") as caught:
        RunDirectory.create(tmp_path, "x", CONFIG)
    sentence(caught, 8)


@POSIX
@pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="permission bits do not bind a superuser"
)
def test_a_root_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        RunDirectory.create(tmp_path / "runs", "x", CONFIG)


def test_a_failed_create_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match="No space left.* MiB are free there"):
        RunDirectory.create(tmp_path, "x", CONFIG)
    assert list(tmp_path.iterdir()) == []


# Opening


def test_open_reads_without_the_lock(run):
    run.append_metrics({"step": 1})
    reader = RunDirectory.open(run.path)
    assert reader.read_config() == CONFIG and reader.read_metrics().rows == [{"step": 1}]
    for write in (
        lambda: reader.write_status("running"),
        lambda: reader.append_metrics({"step": 2}),
        lambda: reader.log("x"),
    ):
        with pytest.raises(ValueError, match="reading only"):
            write()


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "no such name", "nul"])
def test_what_is_not_a_run_directory_is_refused(tmp_path, kind):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "no such name" / "config.json").mkdir(parents=True)
    with pytest.raises(DataError, match="not a run directory") as caught:
        RunDirectory.open(tmp_path / (kind if kind != "nul" else "a\0b"))
    sentence(caught, 3)


def test_a_config_too_large_is_refused(run):
    (run.path / "config.json").write_bytes(b" " * (files.MAX_JSON + 1))
    with pytest.raises(DataError, match="longer than"):
        run.read_config()


def test_a_damaged_status_is_refused_by_readers_and_written_anew_by_writers(run):
    run.write_status("running")
    run.close()
    for garbage in (b"", b"[1]", b"{", b"[" * 5000, b"\xff"):
        (run.path / "run.json").write_bytes(garbage)
        with pytest.raises(DataError, match="damaged"):
            RunDirectory.open(run.path).read_status()
        with RunDirectory.open(run.path, lock=True) as again:
            again.write_status("running")
            assert again.read_status()["status"] == "running"


@POSIX
@pytest.mark.parametrize("name", ["metrics.jsonl", "log.txt", ".lock", "checkpoints", "run.json"])
def test_a_link_in_a_run_directory_is_never_written_through(run, tmp_path, name):
    run.close()
    outside = tmp_path / "outside"
    if name == "checkpoints":
        run.checkpoints.rmdir()
        outside.mkdir()
    else:
        (run.path / name).unlink(missing_ok=True)
        outside.write_text("precious\n")
    (run.path / name).symlink_to(outside)
    with pytest.raises(DataError, match="is a link"):
        RunDirectory.open(run.path, lock=True)
    assert outside.is_dir() or outside.read_text() == "precious\n"


@POSIX
def test_a_link_planted_later_is_not_followed(run, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("precious\n")
    for name, write in (
        ("metrics.jsonl", lambda: run.append_metrics({"a": 1})),
        ("log.txt", lambda: run.log("x")),
    ):
        (run.path / name).symlink_to(outside)
        with pytest.raises(StorageError):
            write()
    (run.path / "run.json").symlink_to(outside)
    run.write_status("running")  # replaces the link itself
    assert not (run.path / "run.json").is_symlink()
    assert outside.read_text() == "precious\n"


# The lock

OPEN = """
import sys
import threading
from minigan.errors import MiniganError
from minigan.storage.directory import RunDirectory
try:
    run = RunDirectory.open(sys.argv[1], lock=True)
except MiniganError as error:
    sys.stdout.write(str(error))
    sys.exit(error.exit_code)
sys.stdout.write("held\\n")
sys.stdout.flush()
sys.stdin.readline()
"""


def spawn(path, **options):
    root = str(Path(minigan.__file__).parents[1])
    environ = {**os.environ, "PYTHONPATH": root}
    return subprocess.Popen([sys.executable, "-c", OPEN, str(path)], env=environ, text=True, **options)


def test_a_second_writer_in_another_process_is_refused_and_a_reader_is_not(run):
    with spawn(run.path, stdout=subprocess.PIPE) as other:
        out, _ = other.communicate(timeout=60)
    assert other.returncode == 7 and "another process writes" in out and "\n" not in out
    assert RunDirectory.open(run.path).read_config() == CONFIG


def test_a_second_writer_in_this_process_is_refused(run):
    with pytest.raises(BusyError) as caught:
        RunDirectory.open(run.path, lock=True)
    sentence(caught, 7)


def test_the_lock_is_free_after_close_and_after_the_holder_is_killed(run):
    run.close()
    with spawn(run.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError):
            RunDirectory.open(run.path, lock=True)
        holder.kill()
        holder.wait(timeout=60)
    RunDirectory.open(run.path, lock=True).close()


def test_leftovers_of_killed_writers_are_swept_and_nothing_else(run):
    keep = run.checkpoints / "mine.tmp"
    for file in (run.path / ".run.json.0123abcd.tmp", run.checkpoints / ".latest.0123abcd.tmp", keep):
        file.write_text("x")
    run.close()
    with RunDirectory.open(run.path, lock=True):
        assert temporaries(run.path) == [keep]


# Status


def test_status_records_what_the_run_ran_on(run):
    run.write_status(
        "running", backend="numpy", parameters=np.int64(7), rate=np.float32(0.5), bad=float("nan")
    )
    status = run.read_status()
    assert (status["schema"], status["status"], status["name"]) == (directory.SCHEMA, "running", "gaussian")
    assert (status["seed"], status["dtype"], status["backend"]) == (3, "float32", "numpy")
    assert status["minigan"] == minigan.__version__ and status["numpy"] == np.__version__
    assert status["python"] == platform.python_version() and status["scipy"]
    assert set(status["blas"]) == {"name", "version", "architecture", "threads"}
    assert (status["parameters"], status["rate"], status["bad"]) == (7, 0.5, None)
    assert status["cpu"] and status["command"] and status["started"] <= status["updated"]


def test_later_status_keeps_earlier_fields(run):
    run.write_status("running", backend="numpy")
    run.write_status("finished", step=10, verdict={"ks": 0.01, "p": float("inf")})
    status = run.read_status()
    assert (status["status"], status["backend"], status["step"]) == ("finished", "numpy", 10)
    assert status["verdict"] == {"ks": 0.01, "p": None}


def test_a_resumed_run_keeps_its_start(run):
    run.write_status("interrupted", step=4)
    before = run.read_status()
    run.close()
    with RunDirectory.open(run.path, lock=True) as again:
        again.write_status("running")
        after = again.read_status()
    assert (after["started"], after["step"], after["status"]) == (before["started"], 4, "running")


def test_unknown_status_and_unknown_values_are_refused(run):
    with pytest.raises(ValueError, match="one of running, finished"):
        run.write_status("done")
    with pytest.raises(TypeError, match="weights must be a number"):
        run.write_status("running", weights=np.ones(3))


def test_the_environment_is_not_recorded(run, monkeypatch):
    monkeypatch.setenv("MINIGAN_SECRET", "hunter2")
    monkeypatch.setattr(sys, "argv", [str(Path.home() / "bin" / "minigan"), "train"])
    run.write_status("running")
    text = (run.path / "run.json").read_text()
    assert "hunter2" not in text and json.loads(text)["command"] == "minigan train"


@pytest.mark.rows(
    ("arguments", "text"),
    [
        (["/home/ada/bin/minigan", "train", "/home/ada/c.toml"], "minigan train ~/c.toml"),
        (["minigan", "--out=/home/ada"], "minigan --out=~"),
        (["minigan", "/home/ada2/x", "/data/home/ada/x"], "minigan /home/ada2/x /data/home/ada/x"),
        (["/x/minigan/__main__.py", "a b"], "python -m minigan 'a b'"),
    ],
)
def test_the_home_directory_is_shortened(arguments, text):
    assert directory.command(arguments, home="/home/ada") == text


def test_a_home_of_the_root_is_left_alone():
    assert directory.command(["minigan", "/x/y"], home="/") == "minigan /x/y"


# Metrics


def test_metrics_are_lines_that_any_json_reader_reads(run):
    run.append_metrics({"step": 1, "d_loss": np.float32(0.5), "note": None})
    run.append_metrics({"note": "x", "d_loss": float("nan"), "step": np.int64(2)})
    run.append_metrics({"step": 3, "d_loss": -np.inf, "note": True})
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 1, "d_loss": 0.5, "note": None},
        {"step": 2, "d_loss": None, "note": "x"},
        {"step": 3, "d_loss": None, "note": True},
    ]
    assert all(list(json.loads(line)) == ["step", "d_loss", "note"] for line in lines)
    assert run.read_metrics() == ([json.loads(line) for line in lines], 0)


@pytest.mark.parametrize("row", [{"step": 2}, {"step": 2, "loss": 1, "x": 1}, {"step": 2, "x": 1}, {}])
def test_metrics_have_fixed_columns(run, row):
    run.append_metrics({"step": 1, "loss": 0.5})
    with pytest.raises(ValueError, match="columns of the metrics"):
        run.append_metrics(row)
    assert len(run.read_metrics().rows) == 1


def test_columns_stay_fixed_when_a_run_goes_on(run):
    run.append_metrics({"step": 1, "loss": 0.5})
    run.close()
    with RunDirectory.open(run.path, lock=True) as again:
        with pytest.raises(ValueError, match="columns"):
            again.append_metrics({"step": 2})
        again.append_metrics({"loss": 1.0, "step": 2})
        assert again.read_metrics().rows == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 1.0}]


def test_arrays_in_metrics_are_refused(run):
    with pytest.raises(TypeError, match="loss must be a number"):
        run.append_metrics({"loss": np.ones(2)})


def test_a_torn_last_line_is_ignored_by_readers_at_every_length_and_cut_by_writers(run):
    run.append_metrics({"step": 1, "loss": 0.5})
    run.append_metrics({"step": 2, "loss": 0.25})
    run.close()
    file = run.path / "metrics.jsonl"
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        file.write_bytes(whole[:end])
        assert RunDirectory.open(run.path).read_metrics() == ([{"step": 1, "loss": 0.5}], 0)
    with RunDirectory.open(run.path, lock=True) as again:
        again.append_metrics({"step": 2, "loss": 0.25})
    assert file.read_bytes() == whole
    file.write_bytes(whole[: first - 3])
    with RunDirectory.open(run.path, lock=True) as again:
        again.append_metrics({"other": 1})
        assert again.read_metrics() == ([{"other": 1}], 0)


def test_garbage_lines_are_skipped_and_counted(run):
    run.append_metrics({"step": 1})
    garbage = [
        b"garbage",
        b"[1]",
        b"{}",
        b'{"step": NaN}',
        b'{"step": [1]}',
        b'{"other": 1}',
        b"[" * 9999,
        b"\xff",
        b"",
        b'{"step": "' + b"x" * (3 * files.MAX_LINE) + b'"}',
    ]
    with open(run.path / "metrics.jsonl", "ab") as file:
        file.write(b"\n".join(garbage) + b"\n")
    run.append_metrics({"step": 2})
    assert run.read_metrics() == ([{"step": 1}, {"step": 2}], len(garbage))


def test_no_metrics_yet(run):
    assert run.read_metrics() == ([], 0)


# Log


def test_log_appends_stamped_lines(run):
    run.log("started")
    run.log("two\nlines \udce9")
    lines = (run.path / "log.txt").read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ started", lines[0])
    assert lines[1].endswith(" two") and lines[2] == "    lines \\udce9"


# Atomic writes and full disks


def test_write_atomic_replaces(tmp_path):
    file = tmp_path / "f"
    for content in (b"one", b"", b"three" * 100000):
        write_atomic(file, content)
        assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("operation", ["open", "fsync", "replace"])
def test_a_fault_at_any_operation_leaves_the_old_file_and_no_temporary(
    tmp_path, monkeypatch, operation, code
):
    file = tmp_path / "f"
    write_atomic(file, b"old")

    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, operation, fail)
        with pytest.raises(StorageError, match=re.escape(os.strerror(code))) as caught:
            write_atomic(file, b"new")
    assert ("MiB are free" in sentence(caught, 8)) == (code == errno.ENOSPC)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_an_interrupt_while_writing_leaves_no_temporary(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "f", b"x")
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_synced_before_it_is_named_and_the_directory_after(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda f: (order.append("fsync"), fsync(f)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), replace(a, b)))
    write_atomic(tmp_path / "f", b"x")
    assert order == ["fsync", "replace", "fsync"] or os.name != "posix"


FULL = """
import resource, sys
from minigan.errors import MiniganError
from minigan.storage.directory import RunDirectory
from minigan.storage.files import write_atomic
run = RunDirectory.create(sys.argv[1], "x", b"{}")
write_atomic(run.path / "f", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
codes = []
for write in (
    lambda: write_atomic(run.path / "f", b"x" * 2000),
    lambda: [run.append_metrics({"step": i}) for i in range(200)],
    lambda: [run.log("x" * 50) for i in range(200)],
):
    try:
        write()
    except MiniganError as error:
        codes.append(error.exit_code)
        assert "free there" in str(error) and "\\n" not in str(error), error
assert codes == [8, 8, 8], codes
assert (run.path / "f").read_bytes() == b"old"
for name in ("metrics.jsonl", "log.txt"):
    content = (run.path / name).read_bytes()
    assert 900 < len(content) <= 1000 and content.endswith(b"\\n"), (name, content[-20:])
sys.stdout.write(str(len(run.read_metrics().rows)))
"""


@POSIX
def test_a_full_disk_keeps_whole_files_and_whole_lines(tmp_path):
    root = str(Path(minigan.__file__).parents[1])
    environ = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50
    assert temporaries(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_without_space_names_the_free_space():
    with open("/dev/full", "wb", buffering=0) as full:
        with pytest.raises(OSError) as caught:
            os.write(full.fileno(), b"x")
    assert "MiB are free there" in str(files.storage_error(caught.value, Path("/dev/full")))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_place_of_the_metrics_is_refused_and_not_waited_for(run):
    os.mkfifo(run.path / "metrics.jsonl")
    with pytest.raises(DataError, match="not a regular file"):
        run.read_metrics()


def test_more_lines_of_metrics_than_are_read_are_refused(run, monkeypatch):
    monkeypatch.setattr("minigan.storage.directory.MAX_ROWS", 3)
    for step in range(3):
        run.append_metrics({"step": step})
    assert len(run.read_metrics().rows) == 3
    run.append_metrics({"step": 3})
    with pytest.raises(DataError, match="more than the 3 lines that are read"):
        run.read_metrics()


def test_a_file_system_is_synced_where_it_can_be(tmp_path, monkeypatch):
    import ctypes

    files.sync_file_system(tmp_path)

    def full(descriptor):
        ctypes.set_errno(errno.ENOSPC)
        return -1

    asked, refused = [], SimpleNamespace(syncfs=full)
    monkeypatch.setattr(ctypes, "CDLL", lambda name, **_: refused)
    with pytest.raises(StorageError, match="No space left"):
        files.sync_file_system(tmp_path)
    monkeypatch.setattr(ctypes, "CDLL", lambda name, **_: SimpleNamespace())  # not Linux
    monkeypatch.setattr(os, "sync", lambda: asked.append("sync"), raising=False)
    files.sync_file_system(tmp_path)
    assert asked == ["sync"]


def test_what_lasts_later_is_synced_when_that_is_asked_for(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files, "sync_file_system", synced.append)
    monkeypatch.setattr(os, "fsync", lambda file: synced.append("a file"))
    with RunDirectory.create_at(tmp_path / "run", CONFIG, lasting=False) as run:
        run.write_status("running")
        run.append_metrics({"step": 0})
        run.sync_metrics()
        assert synced == []
        run.sync()
        assert synced == [run.path]
    with RunDirectory.open(run.path, lock=True) as run:
        run.sync()
        assert synced == [run.path]
        run.write_status("finished")
        assert synced == [run.path, "a file", "a file"]


def test_json_is_laid_out_as_the_standard_library_does():
    content = {
        "ä": [1, 2.5, 1e-300, -0.0, 1e22],
        "nothing": {},
        "none": [],
        "deep": [{"a": [None, True]}],
        "\n\u2028": "\ud800",
    }
    assert files.indented(content) == json.dumps(content, indent=2).encode() + b"\n"
    with pytest.raises(ValueError):
        files.indented({"x": float("nan")})
