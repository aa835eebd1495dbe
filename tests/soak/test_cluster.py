"""Sweeps in several processes and on a Dask cluster: kills, signals, a lost scheduler, a cut cable. 30 s."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.soak import cluster as soak
from bench.soak.cluster import (
    Cluster,
    Loopback,
    certificates,
    trained_by,
    wait,
    write_sweep,
)
from bench.soak.harness import ROOT, TIMEOUT, Tally
from minigan.cli import main
from minigan.errors import ConfigError, UnavailableError
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory
from minigan.sweeps import job, workers
from minigan.sweeps.job import run_job
from minigan.sweeps.sweep import create, is_done, load, read_sweep, run_path, write_results
from minigan.sweeps.workers import local, run_sweep

pytestmark = [
    pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="finds workers by /proc"),
    pytest.mark.skipif(
        importlib.util.find_spec("distributed") is None,
        reason="needs dask.distributed",
    ),
]
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make certificates")
LONG = 1800  # steps: time to be disturbed in


@pytest.fixture
def loopback(tmp_path):
    """A cluster on this machine without encryption, and no worker yet."""
    with Cluster(tmp_path, Loopback()) as made:
        yield made


def sweep_path(root):
    """The directory of the only sweep below ``root``, once it is there."""
    return wait(lambda: next(root.glob("*/runs"), None), "the sweep").parent


def steps(path):
    """The last step of each run that metrics tell of."""
    found = {}
    for run in sorted((path / "runs").iterdir()):
        rows = RunDirectory(run).read_metrics().rows
        found[run.name] = int(rows[-1]["step"]) if rows else 0
    return found


def told(folder, name="driver"):
    """What a process wrote: a sentence where it failed, never a traceback."""
    text = (folder / f"{name}.log").read_text()
    assert "Traceback" not in text and "distributed" not in text and "Warning" not in text, text
    return text


def assert_complete(path, count):
    tally = Tally(*soak.KINDS)
    assert soak.same_as_alone(path, count - 1, tally), tally.examples
    assert all(is_done(path, number) for number in range(count))
    assert len((path / "results.jsonl").read_text().splitlines()) == count


# Killed workers


@needs_openssl
def test_a_cluster_with_a_killed_worker_gives_every_result_and_lets_nobody_in():
    """The short form of bench/soak/cluster.py, with a cable that is pulled where there can be one."""
    result = soak.measure(4)
    assert not any(result["failures"].values()), result["examples"]
    assert result["results"] == result["equal_to_the_run_alone"] == 4 and len(result["refused"]) == 3
    assert result["runs_of_the_killed_worker"] == 2
    if soak.why_no_namespaces() is None:
        assert result["of_them_equal_to_the_run_alone"] == result["runs_of_the_cut"] == 2


def test_the_measurement_finds_another_bit_a_missing_verdict_and_an_open_port(tmp_path):
    path = create(tmp_path, read_sweep(write_sweep(tmp_path / "s.toml", 2, 60)))
    run_sweep(path, local())
    tally = Tally(*soak.KINDS)
    assert soak.same_as_alone(path, 1, tally)
    file = run_path(path, 1) / "metrics.jsonl"
    file.write_text(file.read_text().replace('"ks": 0.', '"ks": 0.0', 1))
    assert not soak.same_as_alone(path, 1, tally) and tally.failures["other bits than alone"] == 1
    (run_path(path, 0) / "verdict.json").unlink()
    assert not soak.same_as_alone(path, 0, tally) and tally.failures["missing result"] == 1
    here = SimpleNamespace(pid=os.getpid())
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen()
        assert ("0.0.0.0", everywhere.getsockname()[1]) in soak.sockets(here)


def start(folder, *arguments, log="driver"):
    """``minigan sweep`` in a process group of its own, as a terminal starts it."""
    with open(folder / f"{log}.log", "ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "minigan", "sweep", *map(str, arguments)], stdout=file, stderr=file,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )  # fmt: skip


def children(process):
    """The processes that a process has started."""
    found = []
    for listed in Path(f"/proc/{process.pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [SimpleNamespace(pid=int(pid)) for pid in listed.read_text().split()]
    return found


def halt(process):
    """Nothing of it happens until ``go_on``, however fast the machine is."""
    os.kill(process.pid, signal.SIGSTOP)


def go_on(*processes):
    """Let them go on; jobs look at once who drives their sweep."""
    time.sleep(job.LOOK_SECONDS)
    for process in processes:
        os.kill(process.pid, signal.SIGCONT)


def driven_by(path):
    """What the directory of a sweep says of its driver."""
    return (path / workers.DRIVER).read_bytes()


def halt_trainers(process, path, but=()):
    """The two processes of a driver that train, ``but`` for those, each halted as it had saved."""
    training = {}

    def halted():
        for child in children(process):
            if child.pid not in {*training, *but} and trained_by(child, path):
                halt(child)
                training[child.pid] = child
        return len(training) == 2

    wait(halted, "two processes that train")
    return list(training.values())


@pytest.fixture
def drivers(tmp_path):
    """Drivers that the test appends; killed at the end with what they started."""
    started = []
    yield started
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(TIMEOUT)


@pytest.fixture
def driver(tmp_path, drivers):
    """A sweep of 4 runs in 2 processes, which are halted."""
    if not list(Path("/proc/self/task").glob("*/children")):
        pytest.skip("finds the processes of a driver by /proc/PID/task/*/children")
    file = write_sweep(tmp_path / "s.toml", 4, LONG)
    process = start(tmp_path, file, "--out", tmp_path / "out", "--jobs", 2, "-q")
    drivers.append(process)
    process.path = sweep_path(tmp_path / "out")
    process.training = halt_trainers(process, process.path)
    return process


def assert_stopped_and_goes_on(path, number, text):
    """That a driver has told of the signal, its runs have ended, and a resume completes them."""
    assert text.count("\n") == 1 and text.startswith(f"error: stopped by {number.name}")
    assert "--resume" in text
    assert_interrupted(path)
    assert main(["sweep", "--resume", str(path), "-q"]) == 0
    assert_complete(path, 4)


def assert_interrupted(path):
    status = [json.loads((run / "run.json").read_text()) for run in (path / "runs").iterdir()]
    assert {s["status"] for s in status} == {"interrupted"} and all(0 < s["step"] < LONG for s in status)


def test_killed_processes_are_replaced_go_on_and_end_with_their_driver(driver, tmp_path):
    first, second = driver.training
    go_on(first)
    wait(lambda: max(steps(driver.path).values()) >= LONG // 6, "a sixth of the way")
    for process in (first, second):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    ahead = [driver.path / "runs" / run for run, step in steps(driver.path).items() if step >= LONG // 6]
    kept = min(max(map(checkpoint.step_of, checkpoint.paths(RunDirectory.open(run)))) for run in ahead)
    others = halt_trainers(driver, driver.path, but=(first.pid, second.pid))
    driver.send_signal(signal.SIGTERM)
    wait(lambda: driven_by(driver.path) == workers.STOPPED, "the signal to be noted")
    go_on(*others)
    assert driver.wait(TIMEOUT) == 128 + signal.SIGTERM
    assert all(json.loads((run / "run.json").read_text())["step"] >= kept > 0 for run in ahead)
    assert_stopped_and_goes_on(driver.path, signal.SIGTERM, told(tmp_path))


def test_jobs_of_a_killed_driver_make_room_for_the_next_which_is_interrupted(driver, drivers, tmp_path):
    before = driven_by(driver.path)
    driver.kill()
    driver.wait(TIMEOUT)
    again = start(tmp_path, "--resume", driver.path, "--jobs", 2, "-q", log="again")
    drivers.append(again)
    wait(lambda: driven_by(driver.path) != before, "another driver")
    go_on(*driver.training)  # they train on, until they see it
    others = halt_trainers(again, driver.path)
    os.killpg(again.pid, signal.SIGINT)  # as Ctrl-C
    wait(lambda: driven_by(driver.path) == workers.STOPPED, "the signal to be noted")
    go_on(*others)
    assert again.wait(TIMEOUT) == 128 + signal.SIGINT
    assert_stopped_and_goes_on(driver.path, signal.SIGINT, told(tmp_path, "again"))


def test_runs_of_a_process_that_is_killed_each_time_are_given_up(tmp_path, monkeypatch):
    path = create(tmp_path, read_sweep(write_sweep(tmp_path / "s.toml", 3, 60)))
    asked = []

    def own_workers(where, groups, drift):
        asked.append(groups)
        return iter(())  # what a killed worker gives, Dask's when it has died too often

    found, failures = run_sweep(path, own_workers)
    assert len(asked) == 3 and failures == [] and found.missing == (0, 1, 2)

    def one_at_a_time(where, groups, drift):
        asked.append(groups)
        yield run_job(where, groups[0][:1], drift)

    asked.clear()
    found, failures = run_sweep(path, one_at_a_time)
    assert len(asked) == 3 and not found.missing  # each time one more: no reason to give up


def test_a_worker_that_was_cut_off_is_waited_for(tmp_path, monkeypatch):
    """Dask gives its job to another while it still trains: neither may touch what the other writes."""
    path = create(tmp_path, read_sweep(write_sweep(tmp_path / "s.toml", 2, 600)))
    versions = workers._versions()
    told = []
    first = threading.Thread(target=lambda: told.append(run_job(str(path), [0, 1])))
    first.start()
    wait(lambda: (run_path(path, 1) / "metrics.jsonl").exists(), "a run that trains")
    assert workers.run_job_elsewhere(str(path), [0, 1], False, versions) is None
    assert first.is_alive() is False or is_done(path, 1)
    first.join()
    write_results(path, load(path))
    assert told == [None]
    assert_complete(path, 2)


def test_a_run_that_stays_busy_fails_with_a_sentence(tmp_path, monkeypatch):
    path = create(tmp_path, read_sweep(write_sweep(tmp_path / "s.toml", 2, 60)))
    monkeypatch.setattr(workers, "BUSY_SECONDS", 0.2)
    monkeypatch.setattr(job, "LOOK_SECONDS", 0.05)
    with RunDirectory.create_at(run_path(path, 1), b"{}"):
        said = workers.run_job_elsewhere(str(path), [0, 1], False, workers._versions())
        assert said.startswith("runs 0 to 1: another process writes to")
        with RunDirectory.open(run_path(path, 0), lock=True):
            pass  # the lock of the other run was given back
    shutil.rmtree(run_path(path, 1))
    assert workers.run_job_elsewhere(str(path), [0, 1], False, workers._versions()) is None


def test_a_worker_of_another_kind_is_named(tmp_path):
    path = create(tmp_path, read_sweep(write_sweep(tmp_path / "s.toml", 1, 60)))
    said = workers.run_job_elsewhere(str(path), [0], False, workers._versions() | {"numpy": "1.0"})
    assert "a worker has numpy" in said and "not 1.0" in said and "--allow-drift" in said
    assert workers.run_job_elsewhere(str(path), [0], True, workers._versions() | {"numpy": "1.0"}) is None
    said = workers.run_job_elsewhere(str(tmp_path / "x"), [0], False, {})
    assert said.startswith("a worker does not see") and "share the directory" in said


def test_a_sweep_that_was_stopped_starts_no_job(tmp_path):
    path = create(tmp_path, read_sweep(write_sweep(tmp_path / "s.toml", 1, 60)))
    (path / workers.DRIVER).write_bytes(workers.STOPPED)
    assert run_job(str(path), [0]) is None and not run_path(path, 0).exists()
    assert run_sweep(path, local())[0].missing == ()  # a new driver


def test_a_job_ends_when_another_drives_the_sweep_and_not_for_a_disk_that_is_away(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "LOOK_SECONDS", 0)
    file = tmp_path / workers.DRIVER
    alone = job.stop_of(tmp_path)
    assert not alone()
    file.write_bytes(b"a")
    of_a = job.stop_of(tmp_path)
    assert alone() and not of_a()
    file.unlink()
    file.mkdir()  # it cannot be read
    assert not of_a()
    file.rmdir()
    file.write_bytes(b"b")
    assert of_a() and not job.stop_of(tmp_path)()
    file.write_bytes(workers.STOPPED)
    assert job.stop_of(tmp_path)()


# A cluster on this machine


def test_a_cluster_without_workers_then_stopped_then_lost(loopback, tmp_path, monkeypatch, capfd):
    """Three ends of a sweep on one cluster, each told in a sentence; nothing of it is lost."""
    there = ("--workers", "dask", "--scheduler", loopback.url)

    # Without a worker.
    wait(lambda: "Scheduler at" in (tmp_path / "scheduler.log").read_text(), "the scheduler")
    file = write_sweep(tmp_path / "s.toml", 4, LONG)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "ALONE_SECONDS", 0.5)
        assert main(["sweep", str(file), *there, "--out", str(tmp_path / "none"), "-q"]) == 1
    err = capfd.readouterr().err
    assert "4 of 4 runs are missing (0, 1, 2, 3): the scheduler" in err
    assert "has no workers; start some" in err

    # A signal to the driver. One worker, two threads: two jobs of one process, neither in its main thread.
    worker = loopback.worker(0, threads=2)
    driver = loopback.sweep(file, "--out", tmp_path / "out", "-q")
    path = sweep_path(tmp_path / "out")
    saved = (path / "runs").glob
    wait(lambda: driver.poll() or len(list(saved("*/checkpoints/latest"))) == 4, "runs that train")
    assert driver.poll() is None, told(tmp_path)
    halt(worker)
    urls = {f"tcp://{host}:{port}" for host, port in soak.sockets(worker)}
    driver.terminate()
    wait(lambda: driven_by(path) == workers.STOPPED, "the signal to be noted")
    go_on(worker)
    assert driver.wait(TIMEOUT) == 143
    assert told(tmp_path).startswith("error: stopped by SIGTERM")
    assert_interrupted(path)
    # The soak's client without certificates gets in where there are none.
    assert soak.accepted(loopback, urls) and urls

    # The scheduler is lost.
    before = steps(path)

    def kill():
        wait(lambda: sum(steps(path).values()) > sum(before.values()), "runs that train")
        halt(worker)
        monkeypatch.setattr(workers, "CONNECT_SECONDS", 2)
        loopback.scheduler.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    assert main(["sweep", "--resume", str(path), *there, "-q"]) == 1
    killer.join()
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "4 of 4 runs are missing (0, 1, 2, 3): the scheduler" in err
    assert "does not answer" in err and f"minigan sweep --resume {path}" in err
    go_on(worker)  # whoever drives the sweep next waits for it

    def here(where, groups, drift):
        return (workers.run_job_elsewhere(where, group, drift, workers._versions()) for group in groups)

    found, failures = run_sweep(path, here)
    assert not found.missing and not failures
    assert_complete(path, 4)


# What is refused


@pytest.mark.parametrize(
    "url",
    [
        "tcp://10.0.0.1:8786", "tcp://127.example.org:8786", "tcp://example.org:8786", "tcp://0.0.0.0:8786",
        "tcp://[::]:8786", "127.0.0.1:8786", "tcp://127.0.0.1", "ws://127.0.0.1:8786", "inproc://x", "",
        "tcp://127.0.0.1:1@evil.org:2", "tls://:8786", "tls://a b:1",
    ],
)  # fmt: skip
def test_a_scheduler_that_cannot_be_trusted_is_refused(url, tmp_path, capsys):
    file = write_sweep(tmp_path / "s.toml", 2)
    out = tmp_path / "out"
    assert main(["sweep", str(file), "--workers", "dask", "--scheduler", url, "--out", str(out)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "tls://HOST:PORT" in err and not out.exists()


@pytest.mark.parametrize(
    "url", ["tls://10.0.0.1:1", "tcp://127.8.8.8:1", "tcp://[::1]:1", "tcp://localhost:1"]
)
def test_a_scheduler_that_can_be_trusted_is_not(url):
    assert workers._require_trust(url)[0] == url[:3]


@pytest.mark.parametrize("silent", [False, True], ids=["nobody listens", "silence"])
def test_a_scheduler_that_does_not_answer_is_named_in_time(tmp_path, capfd, monkeypatch, silent):
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.3)
    file = write_sweep(tmp_path / "s.toml", 2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if silent:
            listener.listen()
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        out = tmp_path / "out"
        assert main(["sweep", str(file), "--workers", "dask", "--scheduler", url, "--out", str(out)]) == 6
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and f"the scheduler '{url}' does not answer" in err and not out.exists()


@needs_openssl
def test_tls_files_that_are_none_are_refused(tmp_path):
    files = {key: str(value) for key, value in certificates(tmp_path / "tls").items()}
    absent, text = str(tmp_path / "absent.pem"), tmp_path / "text.pem"
    text.write_text("no certificate")
    for key in files:
        for wrong in (absent, str(text)):
            with pytest.raises(ConfigError, match="the TLS files are refused") as caught:
                workers.dask("tls://127.0.0.1:1", files | {key: wrong})
            assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="certificates are for tls"):
        workers.dask("tcp://127.0.0.1:1", files)


def test_a_missing_extra_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UnavailableError, match=r"needs distributed; install .* 'minigan\[cluster\]'"):
        workers.dask("tcp://127.0.0.1:1", {})
    file = write_sweep(tmp_path / "s.toml", 2)
    arguments = ("sweep", str(file), "--out", str(tmp_path / "out"))
    assert main([*arguments, "--workers", "dask", "--scheduler", "tcp://127.0.0.1:1"]) == 6
    (said,) = capsys.readouterr().err.splitlines()
    assert "pip install 'minigan[cluster]'" in said
