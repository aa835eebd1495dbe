"""Many processes, one run directory: of those that would write exactly one does, and those that read can."""

import json
import multiprocessing.connection
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.soak.harness import CONTEXT, TIMEOUT, Tally, minigan, started
from minigan.errors import MiniganError
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory
from minigan.training.saved import reopen

PROCESSES = 8
TINY = ("batch=16", "generator.widths=[8]", "discriminator.widths=[8]", "eval_samples=200", "eval_every=20")
KINDS = (
    "nobody writes", "several write", "another end", "the dead keep the lock", "unreadable",
    "false alarm", "half row", "row missing", "reader goes back", "sample not finite",
)  # fmt: skip


def measure(count):
    """``count`` rounds of starts at once, a tenth of them by whole trainings, and 20 reads a round."""
    tally = Tally(*KINDS)
    with tempfile.TemporaryDirectory() as root:
        path = endless(Path(root))
        locked, slowest = contend(path, count, tally)
        trained, latest = contend_by_training(path, max(count // 10, 1), tally)
        figures = {
            "starts": locked,
            "slowest_refusal_seconds": slowest,
            "trainings_started": trained,
            "slowest_refused_training_seconds": latest,
        }
        figures["reads"], figures["steps_meanwhile"] = read(path, 20 * count, tally)
    return figures | tally.as_dict()


def endless(root):
    """A run directory whose training goes on for ever, with a checkpoint after every block."""
    sets = [part for field in (*TINY, "checkpoint_seconds=0.001") for part in ("--set", field)]
    arguments = ("train", "--out", root, "--steps", 2 * 10**6, *sets)
    with started(minigan, *arguments):
        limit = time.monotonic() + TIMEOUT
        while not list(root.glob("*/checkpoints/latest")):
            if time.monotonic() > limit:
                raise TimeoutError("training does not begin")
            time.sleep(0.005)
    return next(root.iterdir())


# ── writers


def contend(path, rounds, tally):
    """In each round 8 processes open the run at once; the number of starts, and the slowest refusal."""
    told = path.with_name("told")
    barrier = CONTEXT.Barrier(PROCESSES)
    codes = _together(PROCESSES, _open_often, path, rounds, barrier, told)
    outcomes = [json.loads(line) for line in told.read_text().splitlines()]
    told.unlink()
    if any(codes):
        tally.add("another end", f"exit codes {codes}")
    for number in range(rounds):
        ends = sorted(code for now, code, _ in outcomes if now == number)
        if ends.count(0) != 1:
            tally.add("several write" if ends.count(0) else "nobody writes", f"round {number}: {ends}")
        elif ends != [0] + [7] * (PROCESSES - 1):
            tally.add("another end", f"round {number}: exit codes {ends}")
    refused = [seconds for _, code, seconds in outcomes if code]
    return len(outcomes), round(max(refused, default=0.0), 4)


def _together(count, function, *arguments):
    """The exit codes of ``count`` processes that run ``function``."""
    if count == 0:
        return []
    with started(function, *arguments) as process:
        others = _together(count - 1, function, *arguments)
        process.join(TIMEOUT)
        return [process.exitcode, *others]


def _open_often(path, rounds, barrier, told):
    file = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in range(rounds):
        run, code = None, 0
        barrier.wait(TIMEOUT)
        began = time.perf_counter()
        try:
            run = RunDirectory.open(path, lock=True)
        except MiniganError as error:
            code = error.exit_code
        seconds = time.perf_counter() - began
        os.write(file, json.dumps([number, code, seconds]).encode() + b"\n")
        barrier.wait(TIMEOUT)  # the one that writes does so until all have tried
        if run is not None:
            run.close()


def contend_by_training(path, rounds, tally):
    """In each round 8 trainings resume the run at once, and the one that can is killed.

    Returns the number of starts, and the seconds from the first of a round to the last refusal.
    """
    slowest = 0.0
    for number in range(rounds):
        slowest = max(slowest, _one_of(PROCESSES, path, number, [], time.monotonic(), tally))
        try:
            RunDirectory.open(path, lock=True).close()
        except MiniganError as error:
            tally.add("the dead keep the lock", f"round {number}: {error}")
    return rounds * PROCESSES, round(slowest, 3)


def _one_of(count, path, number, processes, began, tally):
    """Start ``count`` trainings, then see who is left."""
    if count:
        with started(minigan, "train", "--resume", path) as process:
            return _one_of(count - 1, path, number, [*processes, process], began, tally)
    alive, slowest = list(processes), 0.0
    while len(alive) > 1 and time.monotonic() - began < TIMEOUT:
        multiprocessing.connection.wait([process.sentinel for process in alive], TIMEOUT)
        alive = [process for process in alive if process.is_alive()]
        slowest = time.monotonic() - began
    for process in processes:
        if process not in alive and process.exitcode != 7:
            tally.add("another end", f"round {number}: exit code {process.exitcode}")
    if len(alive) != 1:
        tally.add("several write" if alive else "nobody writes", f"round {number}: {len(alive)} trainings")
    for process in alive:
        process.kill()
        process.join(TIMEOUT)
    return slowest


# ── readers


def read(path, count, tally):
    """Read a run while it is trained, in four ways in turn; the reads, and the steps trained meanwhile."""
    run = RunDirectory.open(path)
    before = checkpoint.latest(run).state["step"]
    with started(minigan, "train", "--resume", path):
        before = _later(run, before)
        seen = {"step": before}
        for number in range(count):
            try:
                (_status, _metrics, _latest, _sample)[number % 4](run, seen, tally)
            except Exception as error:  # whatever it is, a reader must not meet it
                tally.add("unreadable", f"read {number}: {type(error).__name__}: {error}")
        after = _later(run, before)  # so it was trained until now
    return count, after - before


def _later(run, step):
    """The step of the newest checkpoint, once it is later than ``step``."""
    limit = time.monotonic() + TIMEOUT
    while time.monotonic() < limit:
        try:
            newest = checkpoint.latest(run).state["step"]
        except MiniganError:  # of a build that is broken
            continue
        if newest > step:
            return newest
        time.sleep(0.005)
    raise TimeoutError(f"no checkpoint after step {step}")


def _status(run, seen, tally):
    status = run.read_status()
    if status.get("schema") != 1 or "updated" not in status:
        tally.add("unreadable", f"status {status}")


def _metrics(run, seen, tally):
    rows, skipped = run.read_metrics()
    steps = [row["step"] for row in rows]
    if skipped:
        tally.add("half row", f"{skipped} lines after step {steps[-1]}")
    due = [step for step in range(20, steps[-1] + 1, 20)] if steps else []
    if [step for step in steps if step % 20 == 0 and step] != due or len(set(steps)) != len(steps):
        tally.add("row missing", f"{len(steps)} rows up to step {steps[-1]}")


def _latest(run, seen, tally):
    newest = checkpoint.latest(run)
    if newest.warnings:
        tally.add("false alarm", newest.warnings[0])
    if newest.state["step"] < seen["step"]:
        tally.add("reader goes back", f"from step {seen['step']} to {newest.state['step']}")
    seen["step"] = newest.state["step"]


def _sample(run, seen, tally):
    _, experiment, notes, *_ = reopen(run.path)
    if notes:
        tally.add("false alarm", notes[0])
    if not np.isfinite(experiment.sample(100)).all():
        tally.add("sample not finite", f"step {experiment.step}")
