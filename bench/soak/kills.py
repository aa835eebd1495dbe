"""Trainings killed at random moments, and at each file operation, and resumed: no loss, and no bit other.

A run that was never stopped is the reference. What was acknowledged, each checkpoint when its save returned,
is told through a file that outlives the process.
"""

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.soak.harness import TIMEOUT, Tally, finished, minigan, started
from minigan.errors import CheckpointError, MiniganError
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory

STEPS = 600
FIELDS = (
    f"steps={STEPS}", "batch=16", "generator.widths=[8]", "discriminator.widths=[8]", "eval_every=50",
    "eval_samples=100", "checkpoint_seconds=0.005",
)  # fmt: skip
SHORT = ("steps=80", "eval_every=40", "checkpoint_seconds=0.0001")  # one after every block
KINDS = (
    "unreadable checkpoint", "acknowledged step lost", "another end", "weights differ", "metrics differ",
    "frames differ", "verdict differs", "best differs", "does not end",
)  # fmt: skip


class Reference(NamedTuple):
    """A run that nothing stops: its directory, and the seconds until its end, its first save, and a next."""

    path: Path
    seconds: float
    first: float
    pause: float


def measure(count, stride=1):
    """``count`` kills or more, and one at each ``stride``-th operation of a short run."""
    tally, rng = Tally(*KINDS), random.Random(count)
    with tempfile.TemporaryDirectory() as root:
        reference = uninterrupted(Path(root) / "reference")
        kills = runs = before_the_first = 0
        while kills < count:
            fallen, early = kill_until_it_ends(Path(root) / "killed", reference, rng, tally)
            kills, runs, before_the_first = kills + fallen, runs + 1, before_the_first + early
        at_operations = kill_at_operations(Path(root) / "short", stride, tally)
    figures = {
        "kills": kills,
        "before_the_first_checkpoint": before_the_first,
        "runs": runs,
        "seconds_of_a_run": round(reference.seconds, 3),
        "at_operations": at_operations,
    }
    return figures | tally.as_dict()


def train(told, *arguments, disk=None):
    """``minigan train``, in a process of ``started``; each save that returned is told in a file."""
    from minigan.reports import overview

    save_step, file = checkpoint.save_step, os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def save_and_tell(run, step, *rest, **options):
        path = save_step(run, step, *rest, **options)
        os.write(file, b"%d\n" % step)
        return path

    checkpoint.save_step = save_and_tell
    overview.save_overview = lambda run: run.plots / "overview.png"  # made of the rest, and takes longest
    with disk or contextlib.nullcontext():
        return minigan("train", *arguments)


def new(root, *fields):
    """The arguments of a new run under ``root``."""
    return ("--out", root, *(part for field in (*FIELDS, *fields) for part in ("--set", field)))


def made(root):
    """The run directory under ``root``; None while there is none that a run can go on in."""
    found = [path for path in root.iterdir() if (path / "config.json").exists()] if root.is_dir() else []
    return found[0] if found else None


def uninterrupted(root):
    """A run that nothing stops, measured."""
    told, errors = root.with_name("told"), root.with_name("errors")
    told.write_bytes(b"")
    finished(int)  # the first process waits for the imports of its server
    began = time.perf_counter()
    with started(train, told, *new(root), errors=errors) as process:
        wait(process, told, 1)
        first = time.perf_counter() - began
        process.join(TIMEOUT)
        seconds, code = time.perf_counter() - began, process.exitcode
    if code != 0:
        raise RuntimeError(f"the reference run left with {code}: {errors.read_text()}")
    return Reference(made(root), seconds, first, (seconds - first) / len(acknowledged(told)))


def acknowledged(told):
    """The steps of the saves that returned."""
    return [int(line) for line in told.read_text().split()]


def moment(reference, share, rng, since=0, starting=0.3):
    """A random moment, as a step to be acknowledged and seconds after that: what ``wait`` waits for.

    With the probability ``starting`` it is while the process starts, else on the ``share`` of the way that
    follows the step ``since``, however fast the machine is by now.
    """
    if rng.random() < starting:
        return 0, rng.uniform(0, reference.first)
    return since + rng.uniform(1, share * STEPS), rng.uniform(0, 2 * reference.pause)


def wait(process, told, step, seconds=0.0):
    """Wait for a save of ``step`` or a later one, and so many seconds, or for the end of the process."""
    limit = time.monotonic() + TIMEOUT
    while process.is_alive() and max(acknowledged(told), default=0) < step:
        if time.monotonic() > limit:
            raise TimeoutError(f"no save of step {step:.0f} or a later one")
        process.join(0.001)
    process.join(seconds)


def kill_until_it_ends(root, reference, rng, tally):
    """Start, kill and resume one run until it ends; the kills, and how many of them before a checkpoint."""
    shutil.rmtree(root, ignore_errors=True)
    told, errors = root.with_name("told"), root.with_name("errors")
    told.write_bytes(b"")
    kills = early = 0
    while kills < 1000:
        path = made(root)
        arguments = new(root) if path is None else ("--resume", path)
        errors.write_bytes(b"")
        since = max(acknowledged(told), default=0)
        with started(train, told, *arguments, errors=errors) as process:
            if kills == 0:  # each run loses a process before its first checkpoint too
                wait(process, told, 0, rng.uniform(0, reference.first / 2))
            else:
                wait(process, told, *moment(reference, 0.4, rng, since, starting=0.5))
            process.kill()
            process.join(TIMEOUT)
            code = process.exitcode
        if code == 0:
            compare(made(root), reference.path, f"after {kills} kills", tally)
            return kills, early
        if code != -signal.SIGKILL:
            tally.add("another end", f"kill {kills}: exit code {code}, {errors.read_text()}")
            return kills, early
        kills += 1
        early += not check(made(root), told, f"kill {kills}", tally)
    tally.add("does not end", f"{kills} kills")
    return kills, early


def kill_at_operations(root, stride, tally):
    """A short training killed at every ``stride``-th of its file operations, then resumed; the kills."""
    told, errors, counted = (root.with_name(name) for name in ("told", "errors", "counted"))
    counted.write_bytes(b"")
    code = finished(_train_and_die, 0, told, *new(root / "whole", *SHORT), output=counted, errors=errors)
    if code != 0:
        raise RuntimeError(f"the reference run left with {code}: {errors.read_text()}")
    operations = int(counted.read_text().split()[-1])
    numbers = range(1, operations + 1, stride)
    for number in numbers:
        shutil.rmtree(root / "killed", ignore_errors=True)
        told.write_bytes(b"")
        errors.write_bytes(b"")
        case = f"killed at operation {number} of {operations}"
        code = finished(_train_and_die, number, told, *new(root / "killed", *SHORT), errors=errors)
        path = made(root / "killed")
        if code not in (-signal.SIGKILL, 0):  # 0: how many blocks there are depends on their speed
            tally.add("another end", f"{case}: exit code {code}, {errors.read_text()}")
        check(path, told, case, tally)
        if path is not None:
            code = finished(train, told, "--resume", path, errors=errors)
            if code == 0:
                compare(path, made(root / "whole"), case, tally)
            else:
                tally.add("another end", f"{case}: resumed, exit code {code}, {errors.read_text()}")
    return len(numbers)


def _train_and_die(number, told, *arguments):
    from bench.soak.operations import KILL, Disk

    disk = Disk(lambda name, now: KILL if now == number else None)
    code = train(told, *arguments, disk=disk)
    os.write(1, f"\n{disk.number}\n".encode())
    return code


def check(path, told, case, tally):
    """Count what a kill did to the checkpoints; whether there is one."""
    steps, newest = acknowledged(told), None
    if path is not None:
        run = RunDirectory.open(path)
        for file in checkpoint.paths(run):
            try:
                checkpoint.load(file)
            except CheckpointError as error:
                tally.add("unreadable checkpoint", f"{case}: {error}")
        try:
            newest = checkpoint.latest(run).state["step"]
        except MiniganError:
            pass
    if steps and (newest is None or newest < steps[-1]):
        tally.add("acknowledged step lost", f"{case}: {newest} instead of {steps[-1]}")
    return newest is not None


def compare(path, reference, case, tally):
    """Count in what a run that ended differs from the reference, by a bit."""
    (a, b), (rows, wanted) = zip(*((_end(p), _rows(p)) for p in (path, reference)), strict=True)
    for kind, file in (
        ("weights differ", "weights"),
        ("frames differ", "frames"),
        ("best differs", "best"),
    ):
        names = [name for name in a[file] | b[file] if not _same(a[file].get(name), b[file].get(name))]
        if names:
            tally.add(kind, f"{case}: {', '.join(names)}")
    if rows != wanted:
        lines = [f"{x} instead of {y}" for x, y in zip(rows, wanted, strict=False) if x != y]
        tally.add("metrics differ", f"{case}: {len(rows)} rows, {len(wanted)} wanted; {''.join(lines[:1])}")
    if a["verdict"] != b["verdict"]:
        tally.add("verdict differs", f"{case}: {a['verdict']} instead of {b['verdict']}")


def _end(path):
    newest = checkpoint.latest(RunDirectory.open(path))
    return {
        "weights": newest.arrays | {"step": np.array(newest.state["step"])},
        "best": _best(RunDirectory.open(path)),
        "frames": checkpoint.load(path / "frames.safetensors")[0],
        "verdict": (path / "verdict.json").read_bytes(),
    }


def _best(run):
    """The best checkpoint, and what other programs read of it."""
    try:
        found, ks = checkpoint.find(run, "best"), checkpoint.latest(run).state["best"]
    except CheckpointError:
        return {}
    named = checkpoint.pointed(run, "best") == found.path
    return found.arrays | {"step": np.array([found.state["step"], named, ks])}


def _rows(path):
    rows, skipped = RunDirectory.open(path).read_metrics()
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows] + [skipped]


def _same(a, b):
    return (
        a is not None and b is not None and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    )
