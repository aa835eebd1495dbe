"""The loop: what a run leaves when it ends, diverges, fails or is stopped, and that it can be found again."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

import minigan
from minigan.backend import numpy_backend
from minigan.compiler import c_compiler, executions
from minigan.compiler.executions import compiler_of
from minigan.engine.primitives import PRIMITIVES
from minigan.errors import CheckpointError, ConfigError, DataError, DivergedError, StorageError
from minigan.gan.detectors import remedy
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory
from minigan.training import trainer
from minigan.training.config import flatten, to_json
from minigan.training.data import read_data
from minigan.training.experiment import Experiment
from minigan.training.metrics import LAST, next_evaluation
from minigan.training.saved import reopen
from minigan.training.settings import resolve
from minigan.training.signals import STOPPING, Interrupted, Terminated, handled, stop
from minigan.training.trainer import Session, find_failures, train

TINY = (
    "method=plain",
    "generator.widths=[5]",
    "discriminator.widths=[6,5]",
    "batch=8",
    "steps=60",
    "eval_every=30",
    "eval_samples=100",
)
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(minigan.__file__).parents[1]), "COLUMNS": "100"}
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
ENDS = [(number, 128 + number) for number in STOPPING]

# Of a step of the default experiment: those whose results are arrays of their own.
USED = (
    "add", "subtract", "multiply", "divide", "negative", "square", "sqrt", "matmul", "sigmoid", "softplus",
    "leaky_relu", "step", "sum", "broadcast_to", "getitem", "mT",
)  # fmt: skip
SIGINT_BEFORE = signal.getsignal(signal.SIGINT)  # ignored, where the tests run in the background


def start(root, *sets, data=None):
    """An experiment and the run directory that it is to fill."""
    config = resolve(environ={}, sets=(*TINY, *sets))
    table = None if config.data is None else read_data(config.data)
    return Experiment(config, data=table), RunDirectory.create(root, config.name, to_json(config))


def trained(root, *sets):
    experiment, run = start(root, *sets)
    with run:
        return train(experiment, run), experiment


def metrics(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def status(path):
    return json.loads((path / "run.json").read_text())


def resume(path, steps=None, **options):
    """Go on with the run in ``path`` to its end."""
    resumed = reopen(path, lock=True, steps=steps)
    with resumed.run:
        return train(resumed.experiment, resumed.run, resumed=resumed, **options)


def same_results(a, b):
    """Two run directories hold the same bits, apart from times and what is due to where they were stopped."""
    plain = [[{**line, "seconds": 0} for line in metrics(path)] for path in (a, b)]
    assert plain[0] == plain[1]
    for name in ("verdict.json", "config.json"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    ours, theirs = (checkpoint.latest(RunDirectory.open(path)) for path in (a, b))
    assert ours.path.name == theirs.path.name
    assert {**ours.state, "seconds": 0} == {**theirs.state, "seconds": 0}
    frames = (checkpoint.load(path / "frames.safetensors")[0] for path in (a, b))
    for mine, its in ((ours.arrays, theirs.arrays), frames):
        assert mine.keys() == its.keys()
        for name, array in mine.items():
            assert array.tobytes() == its[name].tobytes(), name


# A run that ends


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    rows, steps = [], []
    experiment, run = start(tmp_path_factory.mktemp("runs"), "seed=5")
    with run:
        outcome = train(experiment, run, rows.append, steps.append)
    return outcome, experiment, rows, steps


def test_a_run_leaves_its_documented_files(finished):
    outcome, experiment, _, _ = finished
    names = {str(p.relative_to(outcome.path)) for p in outcome.path.rglob("*") if p.is_file()}
    steps = {name for name in names if name.startswith("checkpoints/step-")}
    assert names - steps - {".lock"} == {
        "config.json",
        "run.json",
        "metrics.jsonl",
        "frames.safetensors",
        "verdict.json",
        "checkpoints/latest",
        "checkpoints/best",
    }
    assert "checkpoints/step-00000060.safetensors" in steps
    assert (outcome.path / "config.json").read_bytes() == to_json(experiment.config)
    assert (outcome.path / "plots").is_dir()
    for name in ("metrics", "frames", "verdict"):
        assert outcome.files[name].is_file()


def test_its_status_says_how_it_ended_and_on_what(finished):
    record = status(finished[0].path)
    assert record["status"] == "finished" and record["step"] == 60 and record["seed"] == 5
    assert record["backend_used"].startswith("NumPy") and record["blas"]["threads"] in (1, None)
    assert record["seconds"] > 0 and record["schema"] == 1


def test_its_metrics_begin_at_0_and_end_at_the_last_step(finished):
    outcome, _, rows, steps = finished
    lines = metrics(outcome.path)
    assert [line["step"] for line in lines] == [0, 1, 3, 6, 15, 30, 60] == [row["step"] for row in rows]
    assert all(tuple(line) == tuple(lines[0]) for line in lines)
    assert lines[0]["d_loss"] is None and lines[-1] == {**outcome.row}
    assert steps == sorted(steps) and steps[-1] == 60
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds) and seconds[0] >= 0


def test_its_verdict_is_that_of_its_checkpoint(finished):
    outcome, experiment, _, _ = finished
    assert json.loads((outcome.path / "verdict.json").read_text()) == json.loads(
        json.dumps(outcome.verdict.as_dict())
    )
    _, again, notes, *_ = reopen(outcome.path)
    assert notes == () and again.step == 60
    for name, array in experiment.arrays().items():
        assert array.tobytes() == again.arrays()[name].tobytes(), name
    arrays, state = checkpoint.load(outcome.files["frames"])
    assert arrays["sample"].tobytes() == again.sample(100, LAST).tobytes() and state == {"kind": "frames"}
    assert len(arrays["step"]) == 7


def test_the_same_seed_twice_gives_the_same_bits(finished, tmp_path):
    outcome, experiment, _, _ = finished
    again, same = trained(tmp_path, "seed=5")
    for name, array in experiment.arrays().items():
        assert array.tobytes() == same.arrays()[name].tobytes(), name
    plain = [[{**line, "seconds": 0} for line in metrics(path)] for path in (outcome.path, again.path)]
    assert plain[0] == plain[1]
    assert outcome.files["verdict"].read_bytes() == again.files["verdict"].read_bytes()
    frames = [checkpoint.load(run.files["frames"])[0] for run in (outcome, again)]
    assert all(array.tobytes() == frames[1][name].tobytes() for name, array in frames[0].items())


def test_another_seed_gives_other_bits(finished, tmp_path):
    other, _ = trained(tmp_path, "seed=6")
    assert all(
        a["ks"] != b["ks"] for a, b in zip(metrics(finished[0].path), metrics(other.path), strict=True)
    )


def test_a_reopened_run_trains_on_as_if_it_had_not_stopped(tmp_path):
    """2N steps equal N, a checkpoint on disk, and N."""
    whole, run = start(tmp_path)
    half, other = start(tmp_path)
    with run, other:
        whole.advance(60)
        half.advance(23)
        Session(half, other).save(keep=3)
    resumed = reopen(other.path).experiment
    assert resumed.step == 23
    resumed.advance(37)
    for name, array in whole.arrays().items():
        assert array.tobytes() == resumed.arrays()[name].tobytes(), name


@pytest.mark.rows(
    ("every", "last", "expected"),
    [
        (250, 1000, [5, 10, 25, 50, 125, 250, 500, 750, 1000]),
        (1, 4, [1, 2, 3, 4]),
        (10, 25, [1, 2, 5, 10, 20, 25]),
        (1000, 7, [7]),
        (3, 1, [1]),
        (200, 5, [5]),  # not at 4 as well
        (200, 8, [4, 8]),
        (200, 203, [4, 8, 20, 40, 100, 203]),
        (200, 204, [4, 8, 20, 40, 100, 200, 204]),
    ],
)
def test_metrics_are_due_early_then_regularly_and_at_the_end(every, last, expected):
    steps = [0]
    while steps[-1] < last:
        steps.append(next_evaluation(steps[-1], every, last))
    assert steps[1:] == expected


def test_a_checkpoint_is_written_while_training(tmp_path):
    outcome, _ = trained(tmp_path, "checkpoint_seconds=0")
    kept = {p.name for p in (outcome.path / "checkpoints").glob("step-*")}
    best = (outcome.path / "checkpoints" / "best").read_text().strip()
    newest = {f"step-{step:08d}.safetensors" for step in (15, 30, 60)}
    assert kept == newest | {best}


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_best_checkpoint_and_the_newest_are_kept(tmp_path, keep):
    outcome, _ = trained(tmp_path, "steps=240", f"checkpoint_keep={keep}", "checkpoint_seconds=0")
    rows = metrics(outcome.path)
    least = min(row["ks"] for row in rows)
    first = next(row["step"] for row in rows if row["ks"] == least)
    best = (outcome.path / "checkpoints" / "best").read_text().strip()
    assert best == f"step-{first:08d}.safetensors"
    kept = sorted(p.name for p in (outcome.path / "checkpoints").glob("step-*"))
    assert best in kept and "step-00000240.safetensors" in kept and keep <= len(kept) <= keep + 1
    assert reopen(outcome.path, at="best").experiment.step == first
    assert reopen(outcome.path, at="240").experiment.step == 240
    with pytest.raises(CheckpointError, match="has no checkpoint '7'; it has latest, best, "):
        reopen(outcome.path, at="7")


def test_data_train_and_reopen(tmp_path):
    path = tmp_path / "table.csv"
    np.savetxt(path, np.random.default_rng(0).normal(size=(40, 2)), delimiter=",", header="a,b", comments="")
    outcome, experiment = trained(tmp_path / "runs", f"data={path}")
    again = reopen(outcome.path).experiment
    assert again.sample(20, 1).tobytes() == experiment.sample(20, 1).tobytes() and again.names == ("a", "b")
    path.unlink()
    with pytest.raises(DataError, match="table.csv"):
        reopen(outcome.path)


def test_signal_handlers_are_as_before(finished):
    assert signal.getsignal(signal.SIGINT) is SIGINT_BEFORE
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_training_works_outside_the_main_thread(tmp_path):
    import threading

    results = []
    thread = threading.Thread(target=lambda: results.append(trained(tmp_path)[0]))
    thread.start()
    thread.join()
    assert results and status(results[0].path)["status"] == "finished"


def test_a_run_that_went_well_has_no_findings(finished):
    assert finished[0].findings == () and status(finished[0].path)["findings"] == []


def test_what_went_wrong_is_kept_and_found_again(tmp_path):
    wild = "generator_optimizer.rate=10", "discriminator_optimizer.rate=10", "steps=150"
    outcome, _ = trained(tmp_path, *wild, "generator.widths=[8]", "discriminator.widths=[8]", "batch=32")
    (finding,) = outcome.findings
    assert finding.name == "diverged"
    assert status(outcome.path)["findings"] == [finding.as_dict()]
    run, experiment, *_ = reopen(outcome.path)
    assert find_failures(run, experiment) == outcome.findings
    (outcome.path / "metrics.jsonl").unlink()
    assert find_failures(run, experiment) == ()


# A run that diverges or fails


@pytest.mark.rows(
    "sets",
    [
        ("generator_optimizer.rate=1e38",),
        ("discriminator_optimizer.rate=1e38",),
        ("steps=1", "generator_optimizer.rate=1e38"),  # no loss has seen the last update
        ("steps=1", "discriminator_optimizer.rate=1e38"),
        ("dtype=float64", "generator_optimizer.rate=1e306", "generator_optimizer.name=sgd"),
        ("r1=1e30", "discriminator_optimizer.name=sgd"),
        ("latent.size=2", "generator_optimizer.rate=1e38"),
    ],
)
def test_divergence_is_an_error_and_no_checkpoint_holds_it(tmp_path, sets):
    experiment, run = start(tmp_path, "checkpoint_seconds=0", *sets)
    advice = remedy("diverged", flatten(experiment.config))
    with run, pytest.raises(DivergedError, match="use (smaller rates|weaker penalties): --set ") as caught:
        train(experiment, run)
    message = str(caught.value)
    assert caught.value.exit_code == 4 and "\n" not in message and str(run.path) in message
    assert advice[1:] in message  # what the detectors say of a run that diverged
    assert status(run.path)["status"] == "diverged" and status(run.path)["step"] == experiment.step
    for path in run.checkpoints.glob("step-*"):
        arrays, _ = checkpoint.load(path)
        assert all(np.isfinite(array).all() for array in arrays.values())
    assert not (run.path / "verdict.json").exists()
    for line in metrics(run.path):
        assert all(value is None or np.isfinite(value) for value in line.values())


def test_a_nan_that_no_loss_shows_is_found_before_the_checkpoint(tmp_path, monkeypatch):
    experiment, run = start(tmp_path, "checkpoint_seconds=0")
    advance = experiment.advance

    def poisoned(steps):
        advance(steps)
        if experiment.step >= 15:
            experiment.averaged.parameters.flat.memory[0] = np.nan

    monkeypatch.setattr(experiment, "advance", poisoned)
    with run, pytest.raises(DivergedError, match="parameters stopped being finite before step 15"):
        train(experiment, run)
    assert sorted(p.name for p in run.checkpoints.glob("step-*"))[-1] == "step-00000006.safetensors"


@pytest.mark.parametrize("resumed", [False, True])
def test_a_watched_run_names_the_operation_the_step_and_the_line(tmp_path, resumed):
    experiment, run = start(tmp_path, "generator_optimizer.rate=1e37", "eval_every=1000")
    if resumed:
        with run, pytest.raises(DivergedError, match="--resume .* --detect-anomaly names the operation"):
            train(experiment, run)
        run, experiment, *_ = reopen(run.path, lock=True)
    experiment.watched = True
    with run, pytest.raises(DivergedError) as caught:
        train(experiment, run)
    message = str(caught.value)
    assert f"in step {experiment.step + 1}, " in message and ".py:" in message and "\n" not in message
    assert any(name in message for name in PRIMITIVES) and "--detect-anomaly" not in message
    assert status(run.path)["status"] == "diverged"


@pytest.mark.parametrize(("name", "value"), [*zip(USED, cycle([np.nan, np.inf]), strict=False)])
def test_whatever_operation_fails_it_is_named_and_the_last_good_checkpoint_kept(
    tmp_path, monkeypatch, name, value
):
    experiment, run = start(tmp_path, "steps=12", "checkpoint_seconds=0", "eval_every=1000")
    experiment.watched = True
    monkeypatch.setattr("minigan.training.trainer.PATIENCE", 0.0)  # a checkpoint after every step
    kind = numpy_backend.array_type
    kernel = PRIMITIVES[name].bind(np)

    def failing(*arrays, **options):
        made = kernel(*arrays, **options)
        if experiment.step == 8 and np.ndim(made):
            made = np.array(made)
            made[(0,) * made.ndim] = value
        return made

    monkeypatch.setitem(PRIMITIVES[name]._functions, kind, failing)
    with (
        run,
        pytest.raises(DivergedError, match=f"in step 9, {name} made 1 of .*, at .*py:[0-9]+: ") as caught,
    ):
        train(experiment, run)
    assert caught.value.exit_code == 4 and status(run.path)["status"] == "diverged"
    assert reopen(run.path, at="8").experiment.step == 8


def test_a_watched_run_that_goes_well_ends_as_others_do(tmp_path):
    experiment, run = start(tmp_path)
    experiment.watched = True
    with run:
        outcome = train(experiment, run)
    plain, _ = trained(tmp_path / "plain")
    assert experiment.program is None and outcome.row["ks"] == pytest.approx(plain.row["ks"], abs=0.1)


@pytest.mark.parametrize("watched", [(False, False), (True, False), (False, True)])
def test_a_run_says_whether_any_of_its_steps_was_watched(tmp_path, watched):
    """Also after a resume without: it is not bitwise what it was to be from then on."""
    experiment, run = start(tmp_path, "steps=12", "checkpoint_seconds=0")
    experiment.watched = watched[0]

    def interrupt(step):
        if step >= 3:
            signal.raise_signal(signal.SIGTERM)

    with run, pytest.raises(Interrupted):
        train(experiment, run, on_step=interrupt)
    assert status(run.path)["watched"] is watched[0]
    again = reopen(run.path, lock=True)
    again.experiment.watched = watched[1]
    with again.run:
        train(again.experiment, again.run, resumed=again)
    assert status(run.path)["watched"] is checkpoint.latest(run).state["watched"] is any(watched)


def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    experiment, run = start(tmp_path, "checkpoint_seconds=0")
    save = checkpoint.save_step

    def full(run, step, *rest, **more):
        if step > 10:
            raise StorageError("no space")
        save(run, step, *rest, **more)

    monkeypatch.setattr(checkpoint, "save_step", full)
    with run, pytest.raises(StorageError, match="no space"):
        train(experiment, run)
    assert status(run.path)["status"] == "failed"
    assert (run.path / "log.txt").read_text().endswith("error: no space\n")
    assert reopen(run.path).experiment.step == 6


# Signals


class Process:
    """``minigan train`` in a process of its own, stopped by a signal once it trains."""

    def __init__(self, root, *sets):
        command = [sys.executable, "-m", "minigan", "train", "--steps", "10000000", "--out", str(root)]
        own = (*TINY[:3], "eval_every=100", "eval_samples=100", "execution=planned", *sets)
        options = [part for s in own for part in ("--set", s)]
        self.process = subprocess.Popen(
            [*command, *options], env=ENVIRON, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.root, self.first = root, []

    def __enter__(self):
        for line in self.process.stderr:  # the line of step 0 comes after the handlers are in place
            self.first.append(line)
            if line.startswith("step"):
                break
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def stop(self, number):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@POSIX
@pytest.mark.parametrize(("number", "code"), ENDS)
def test_a_signal_ends_the_run_after_a_checkpoint(tmp_path, number, code):
    with Process(tmp_path) as running:
        returned, out, err = running.stop(number)
    assert returned == code, err
    assert out == "" and "Traceback" not in err
    assert err.splitlines()[-1].startswith(f"error: stopped by {number.name}")
    (path,) = tmp_path.iterdir()
    record = status(path)
    assert record["status"] == "interrupted"
    _, experiment, notes, *_ = reopen(path)
    assert experiment.step == record["step"] > 0 and notes == ()
    experiment.advance(2)
    assert all(np.isfinite(loss).all() for loss in experiment.losses())
    with RunDirectory.open(path, lock=True):  # the lock was released
        pass


@POSIX
def test_a_hangup_stays_ignored_under_nohup(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        experiment, run = start(tmp_path)
        with run:
            train(experiment, run, on_step=lambda step: step == 15 and signal.raise_signal(signal.SIGHUP))
        assert status(run.path)["status"] == "finished"
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_outside_training_a_signal_acts_at_once_and_says_which(number):
    with handled(stop), pytest.raises(Terminated) as caught:
        signal.raise_signal(number)
    assert caught.value.number == number and signal.getsignal(number) == signal.SIG_DFL


def test_a_signal_is_answered_at_the_end_of_a_block(tmp_path):
    experiment, run = start(tmp_path)
    with run, pytest.raises(Interrupted) as caught:
        train(experiment, run, on_step=lambda step: step == 15 and signal.raise_signal(signal.SIGTERM))
    assert (
        caught.value.exit_code == 143
        and experiment.step == 15
        and status(run.path)["status"] == "interrupted"
    )
    assert metrics(run.path)[-1]["step"] == 15 and reopen(run.path).experiment.step == 15


def test_a_signal_after_it_was_looked_for_waits_for_the_next_checkpoint(tmp_path, monkeypatch):
    def unwanted(runs):
        if runs.steps.step == 15:
            signal.raise_signal(signal.SIGTERM)
        return False

    experiment, run = start(tmp_path)
    monkeypatch.setattr(trainer._Runs, "want_saving", unwanted)
    with run, pytest.raises(Interrupted):
        train(experiment, run, on_step=lambda step: None)
    assert 15 < status(run.path)["step"] == reopen(run.path).experiment.step < 60


def test_a_signal_at_the_last_step_leaves_the_judging_to_a_resume(finished, tmp_path):
    experiment, run = start(tmp_path, "seed=5")
    with run, pytest.raises(Interrupted):
        train(experiment, run, on_step=lambda step: step == 60 and signal.raise_signal(signal.SIGINT))
    assert status(run.path)["status"] == "interrupted" and reopen(run.path).experiment.step == 60
    same_results(resume(run.path).path, finished[0].path)


def test_a_signal_cuts_a_long_evaluation_off_and_the_run_goes_on_bitwise(finished, tmp_path, monkeypatch):
    """As of 3000 features, which takes seconds: the step before it has a checkpoint."""
    row = trainer.Observer.row

    def endless(observer, seconds):
        if observer.experiment.step == 30:
            signal.raise_signal(signal.SIGTERM)
            while True:
                time.sleep(0.01)
        return row(observer, seconds)

    experiment, run = start(tmp_path, "seed=5")
    with monkeypatch.context() as patched, run, pytest.raises(Interrupted) as caught:
        patched.setattr(trainer, "LOOK", 0.0)  # to which every evaluation is a long one
        patched.setattr(trainer.Observer, "row", endless)
        train(experiment, run)
    assert caught.value.exit_code == 143 and status(run.path)["status"] == "interrupted"
    assert reopen(run.path).experiment.step == status(run.path)["step"] == 29
    same_results(resume(run.path).path, finished[0].path)


def test_a_signal_cuts_a_compiler_off(finished, tmp_path, monkeypatch):
    """One that hangs, say, as it works on the first step."""

    def compiling(steps, inputs):
        signal.raise_signal(signal.SIGINT)
        select.select([], [], [], 30.0)
        raise AssertionError("it was waited for")

    experiment, run = start(tmp_path, "seed=5")
    with monkeypatch.context() as patched, run, pytest.raises(Interrupted) as caught:
        patched.setattr(trainer, "LOOK", 0.0)
        patched.setattr(trainer.Experiment, "_record", compiling)
        train(experiment, run)
    assert caught.value.exit_code == 130 and status(run.path)["status"] == "interrupted"
    same_results(resume(run.path).path, finished[0].path)


def test_a_long_evaluation_does_not_begin_after_a_signal(tmp_path, monkeypatch):
    experiment, run = start(tmp_path)
    monkeypatch.setattr(trainer, "LOOK", 0.0)
    monkeypatch.setattr(trainer.threading, "Timer", lambda *_: Mock())
    advance = trainer.Experiment.advance

    def signalled(steps, count):
        if steps.step == 29:
            signal.raise_signal(signal.SIGTERM)
        advance(steps, count)

    monkeypatch.setattr(trainer.Experiment, "advance", signalled)
    with run, pytest.raises(Interrupted):
        train(experiment, run)
    assert metrics(run.path)[-1]["step"] < 30 and reopen(run.path).experiment.step == 29


def test_a_second_interrupt_acts_at_once(tmp_path):
    def twice(step):
        if step == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    experiment, run = start(tmp_path)
    with run, pytest.raises(KeyboardInterrupt):
        train(experiment, run, on_step=twice)
    assert signal.getsignal(signal.SIGINT) is SIGINT_BEFORE


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_second_signal_while_saving_leaves_the_checkpoint_before(tmp_path, monkeypatch, number, error):
    experiment, run = start(tmp_path, "checkpoint_seconds=0")
    replace = os.replace

    def twice(source, target):
        if "step-00000015" in str(target):
            signal.raise_signal(number)
            signal.raise_signal(number)
        replace(source, target)

    monkeypatch.setattr(os, "replace", twice)
    with run, pytest.raises(error):
        train(experiment, run)
    assert status(run.path)["status"] == "interrupted" and reopen(run.path).experiment.step == 6
    assert not list(run.path.rglob("*.tmp"))


# Going on

SETTINGS = [
    (),
    ("target=ring(3, 1, 0.1)", "dtype=float64"),
    ("average.name=ema", "schedule.warmup=10", "order=extragradient", "instance_noise=0.3"),
    ("target=student(3)", "generator_optimizer.name=rmsprop", "discriminator_steps=2"),
]


@pytest.mark.usefixtures("brief_judge")
@pytest.mark.parametrize("sets", SETTINGS, ids=" ".join)
def test_from_every_checkpoint_a_run_goes_on_to_the_same_bits(tmp_path, sets):
    every = 5 if sets else 1  # of all, in the plain case
    sets = (*sets, "checkpoint_seconds=0", "checkpoint_keep=100", "eval_every=20")
    whole, _ = trained(tmp_path / "whole", *sets)
    names = sorted(p.name for p in (whole.path / "checkpoints").glob("step-*"))
    assert len(names) >= 5
    for name in names[::every]:
        path = tmp_path / name
        shutil.copytree(whole.path, path)
        for later in names[names.index(name) + 1 :]:
            (path / "checkpoints" / later).unlink()
        for left in ("verdict.json", "frames.safetensors"):
            (path / left).unlink()
        outcome = resume(path)
        same_results(path, whole.path)
        assert outcome.row["ks"] == whole.row["ks"] and status(path)["status"] == "finished"


def test_a_run_stopped_before_its_first_checkpoint_begins_anew(finished, tmp_path):
    experiment, run = start(tmp_path, "seed=5")
    with run, pytest.raises(ZeroDivisionError):
        train(experiment, run, on_step=lambda step: 1 // 0)
    assert (
        status(run.path)["status"] == "failed" and "ZeroDivisionError" in (run.path / "log.txt").read_text()
    )
    same_results(resume(run.path).path, finished[0].path)


def test_a_finished_run_is_judged_again(finished, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(finished[0].path, path)
    seen = []
    resumed = reopen(path, lock=True)
    with resumed.run:
        outcome = train(resumed.experiment, resumed.run, seen.append, seen.append, resumed=resumed)
    assert seen == [] and outcome.row == finished[0].row
    assert repr(outcome.verdict) == repr(finished[0].verdict)  # NaN is no NaN in dataclasses of Python 3.13
    same_results(path, finished[0].path)


def test_a_run_of_before_goes_on_though_names_have_changed(finished, tmp_path):
    """Settings and columns of metrics have other names now; lines that were there get those."""
    experiment, run = start(tmp_path, "seed=5")
    with run, pytest.raises(Interrupted):
        train(experiment, run, on_step=lambda step: step == 6 and signal.raise_signal(signal.SIGTERM))
    for name, renamed in (
        ("config.json", {"distribution": "law"}),
        ("metrics.jsonl", {"seconds": "wall", "js": "jsd", "sd": "std"}),
    ):
        text = (run.path / name).read_text()
        for now, before in renamed.items():
            assert f'"{now}"' in text
            text = text.replace(f'"{now}"', f'"{before}"')
        (run.path / name).write_text(text)
    resume(run.path)
    (rows, skipped), (whole, _) = (RunDirectory.open(p).read_metrics() for p in (run.path, finished[0].path))
    assert skipped == 0
    assert [row | {"seconds": 0} for row in rows] == [row | {"seconds": 0} for row in whole]
    assert {tuple(line) for line in metrics(run.path)} == {tuple(metrics(finished[0].path)[0])}
    assert (run.path / "verdict.json").read_bytes() == (finished[0].path / "verdict.json").read_bytes()


def test_metrics_after_the_checkpoint_are_written_again(finished, tmp_path):
    """Rows that a killed process wrote after its last checkpoint, and the half of one."""
    experiment, run = start(tmp_path, "seed=5")
    with run, pytest.raises(Interrupted):
        train(experiment, run, on_step=lambda step: step == 6 and signal.raise_signal(signal.SIGTERM))
    with open(run.path / "metrics.jsonl", "ab") as file:
        file.write(json.dumps({**metrics(run.path)[-1], "step": 15}).encode() + b'\n{"step": 30, "wa')
    same_results(resume(run.path).path, finished[0].path)


@pytest.fixture(scope="module")
def stopped_at_15(tmp_path_factory):
    """A run that a signal has stopped after step 15; to be copied by whoever goes on with it."""
    experiment, run = start(tmp_path_factory.mktemp("stopped"))
    with run, pytest.raises(Interrupted):
        train(experiment, run, on_step=lambda step: step == 15 and signal.raise_signal(signal.SIGTERM))
    return run.path


@pytest.fixture
def stopped(stopped_at_15, tmp_path):
    """A copy of it, open for reading."""
    return RunDirectory.open(shutil.copytree(stopped_at_15, tmp_path / "stopped"))


def test_lost_metrics_are_noted_and_not_needed(stopped):
    run = stopped
    (run.path / "metrics.jsonl").unlink()
    assert [row["step"] for row in metrics(resume(run.path).path)] == [30, 60]
    assert "note: 5 lines of metrics are lost" in (run.path / "log.txt").read_text()


@pytest.mark.parametrize(
    ("name", "there", "told"),
    [
        ("numpy", "1.0", "numpy '1.0' then, '"),
        ("cpu", "another", "cpu 'another' then, "),
        ("blas", {"name": "openblas", "threads": 7}, "blas threads 7 then, "),
        ("blas", None, "blas None then, "),
    ],
)
def test_what_would_not_go_on_bitwise_is_refused_with_a_way_out(stopped, name, there, told):
    run = stopped
    newest = checkpoint.latest(run)
    state = {**newest.state, "environment": {**newest.state["environment"], name: there}}
    checkpoint.save(newest.path, newest.arrays, state)
    with pytest.raises(CheckpointError, match=f"{told}.*add --allow-drift"):
        resume(run.path)
    assert metrics(run.path)[-1]["step"] == 15
    assert resume(run.path, allow_drift=True).row["step"] == 60


@pytest.mark.filterwarnings("ignore:the step runs as planned")
@pytest.mark.skipif(compiler_of("native") == "none", reason="needs a C compiler")
@pytest.mark.parametrize("asked", ["native", "auto"])
def test_native_code_that_comes_or_goes_between_stop_and_resume_changes_no_bits(tmp_path, monkeypatch, asked):
    monkeypatch.setattr(executions, "COMPILED", 0.0)  # s, so that it pays at once

    def broken(source):
        raise c_compiler.CompilerError("it is broken")

    def stopped_run(root):
        experiment, run = start(root, f"execution={asked}")
        with run, pytest.raises(Interrupted):
            train(experiment, run, on_step=lambda step: step == 15 and signal.raise_signal(signal.SIGTERM))
        return run

    native = stopped_run(tmp_path / "native")
    with monkeypatch.context() as without:
        without.setattr(c_compiler, "load", broken)
        whole, _ = trained(tmp_path / "whole", f"execution={asked}")
        assert (whole.path / "log.txt").read_text().count("not as native code: it is broken") == 1
        planned = stopped_run(tmp_path / "planned")
        with pytest.raises(
            CheckpointError, match="go on bitwise: .* not as native code: it is broken, .*allow-drift"
        ):
            resume(native.path)
        assert metrics(native.path)[-1]["step"] == 15
        assert resume(native.path, allow_drift=True).row["step"] == 60
        assert native.read_status()["executed"] == "planned"
    same_results(resume(planned.path).path, whole.path)
    assert planned.read_status()["executed"] == "planned" and "compiler" not in planned.read_status()
    assert resume(planned.path, steps=80).row["step"] == 80
    assert planned.read_status()["executed"] == "planned"


@pytest.mark.parametrize(
    ("part", "value"),
    [("best", "x"), ("seconds", None), ("rows", {}), ("frames.q", np.zeros((2, 3))), ("frames.step", None)],
)
def test_a_checkpoint_whose_state_is_not_of_this_run_is_refused(stopped, part, value):
    run = stopped
    newest = checkpoint.latest(run)
    arrays, state = dict(newest.arrays), dict(newest.state)
    (arrays if part.startswith("frames.") else state)[part] = value
    if part == "frames.step":
        del arrays[part]
    checkpoint.save(newest.path, arrays, state)
    with pytest.raises(CheckpointError, match="use an older one"):
        resume(run.path)


def test_two_runs_train_in_two_threads_with_the_bits_of_each_alone(finished, tmp_path):
    import threading

    results = {}
    threads = [
        threading.Thread(target=lambda s=s: results.update({s: trained(tmp_path / str(s), f"seed={s}")[0]}))
        for s in (5, 6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same_results(results[5].path, finished[0].path)
    assert metrics(results[6].path)[-1]["ks"] != metrics(results[5].path)[-1]["ks"]


# Reopening


def copied(path, to, **changes):
    """A run directory with another configuration, which its checkpoints, as older ones, do not know."""
    import shutil

    shutil.copytree(path, to)
    for file in checkpoint.paths(RunDirectory.open(to)):
        arrays, state = checkpoint.load(file)
        checkpoint.save(file, arrays, {key: value for key, value in state.items() if key != "config"})
    config = json.loads((to / "config.json").read_text())
    for name, value in changes.items():
        group, _, leaf = name.rpartition("__")
        (config[group] if group else config)[leaf] = value
    (to / "config.json").write_text(json.dumps(config))
    return to


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"generator__widths": [6]}, "generator.0.W is float32 \\(1, 5\\) instead of float32 \\(1, 6\\)"),
        ({"discriminator__widths": [6, 5, 5]}, "is missing"),
        ({"generator__widths": []}, "unknown"),
        ({"dtype": "float64"}, "is float32 .* instead of float64"),
        ({"generator_optimizer__name": "sgd"}, "generator_optimizer.* unknown"),
        ({"latent__size": 2}, "instead of"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused_with_the_difference(
    finished, tmp_path, changes, difference
):
    path = copied(finished[0].path, tmp_path / "run", **changes)
    with pytest.raises(CheckpointError, match=difference) as caught:
        reopen(path)
    assert caught.value.exit_code == 3 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"target": "nonsense(1)"}, ConfigError),
        ({"target": "normal(1e30, 1)"}, ConfigError),
        ({"generator__widths": [65536] * 16}, ConfigError),  # not by an allocation
        ({"data": "absent.csv"}, DataError),
        ({"r1": -1}, ConfigError),
        ({"colour": "red"}, ConfigError),
    ],
)
def test_a_configuration_that_was_tampered_with_is_refused(finished, tmp_path, changes, error):
    path = copied(finished[0].path, tmp_path / "run", **changes)
    with pytest.raises(error) as caught:
        reopen(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "state", [{}, {"step": "3"}, {"step": -1}, {"step": True}, {"step": None}, {"step": 61}]
)
def test_a_checkpoint_without_a_step_is_refused(finished, tmp_path, state):
    path = copied(finished[0].path, tmp_path / "run")
    checkpoint.save(path / "checkpoints" / "step-00000060.safetensors", finished[1].arrays(), state)
    with pytest.raises(CheckpointError, match="no step of this run"):
        reopen(path)


@pytest.mark.parametrize("name", ["generator.0.W", "scale", "average.0.b"])
def test_a_checkpoint_with_numbers_that_are_not_finite_is_refused(finished, tmp_path, name):
    path = copied(finished[0].path, tmp_path / "run")
    arrays = finished[1].arrays()
    arrays[name][:] = np.nan
    checkpoint.save(path / "checkpoints" / "step-00000060.safetensors", arrays, {"step": 60})
    with pytest.raises(CheckpointError, match="not finite"):
        reopen(path)


def test_a_damaged_checkpoint_gives_way_to_the_one_before_with_a_note(tmp_path):
    outcome, _ = trained(tmp_path, "checkpoint_seconds=0")
    newest = outcome.path / "checkpoints" / "step-00000060.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    _, experiment, notes, *_ = reopen(outcome.path)
    assert experiment.step == 30 and len(notes) == 1 and "step-00000060" in notes[0]


def test_a_run_without_a_checkpoint_says_so(tmp_path):
    _, run = start(tmp_path)
    run.close()
    with pytest.raises(CheckpointError, match="train it first"):
        reopen(run.path)
    with reopen(run.path, lock=True).run as run:  # to go on with it from the beginning
        pass
    with pytest.raises(DataError, match="not a run directory"):
        reopen(tmp_path / "nowhere")
