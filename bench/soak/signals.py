"""Trainings that are asked to stop, stopped again while they do, halted, or told another time: same bits.

Signals come at random moments after the run directory is there. A run that was stopped is resumed, and at its
end compared with one that nothing stopped.
"""

import itertools
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

from bench.soak import kills
from bench.soak.harness import TIMEOUT, Tally, finished, started
from bench.soak.kills import compare, made, moment, new, train, uninterrupted, wait
from minigan.errors import MiniganError
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KINDS = (
    *kills.KINDS,
    "no checkpoint",
    "another status",
    "another message",
    "stale temporary",
    "signal ignored",
    "resume refused",
)


def measure(count):
    """``count`` of each signal; a tenth as many second signals, halts of two seconds and changed clocks."""
    tally, rng = Tally(*KINDS), random.Random(count)
    few = max(count // 10, 4)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        reference = uninterrupted(root / "reference")
        figures = {}
        for number in NUMBERS:
            figures |= stop_often(root / "stopped", reference, number, count, rng, tally)
        figures["second_signals"] = stop_twice(root / "twice", reference, few, tally)
        figures["halts"] = halt(root / "halted", reference, few, 2.0, rng, tally)
        figures["clocks"] = change_clock(root / "clocks", reference, few, tally)
    return figures | tally.as_dict()


def stop_often(root, reference, number, count, rng, tally):
    """``count`` runs that are sent a signal each; how many were, while they trained, and the slowest end."""
    ends = []
    for case in range(count):
        what = f"{number.name} {case}"
        ends.append(stop(root, reference, number, moment(reference, 0.6, rng), what, tally))
    obeyed = [seconds for seconds in ends if seconds is not None]
    if len(obeyed) < count / 2:  # the others were at their end, which is rare
        tally.add("signal ignored", f"{number.name}: {count - len(obeyed)} of {count} times")
    return {
        f"{number.name}_sent": count,
        f"{number.name}_obeyed": len(obeyed),
        f"{number.name}_seconds_to_the_slowest_end": round(max(obeyed, default=0.0), 3),
    }


def stop(root, reference, number, when, case, tally):
    """One signal at the moment ``when``, of a run that has its directory, and a resume.

    Returns the seconds until the end; None if the run was finished before it noticed.
    """
    told, errors = _anew(root)
    with started(train, told, *new(root), errors=errors) as process:
        _begun(root, process)
        wait(process, told, *when)
        trains = (run := made(root)) and RunDirectory.open(run).read_status().get("status") == "running"
        began = time.perf_counter()
        if process.is_alive():
            os.kill(process.pid, number)
        process.join(TIMEOUT)
        seconds, code = time.perf_counter() - began, process.exitcode
    path, text = made(root), errors.read_text()
    # A directory that is not a run yet is removed by whoever was making it.
    status = {} if path is None else RunDirectory.open(path).read_status()
    if status.get("status") == "finished":  # whatever its code: it may have been about to leave with 0
        compare(path, reference.path, case, tally)
        return None
    *_, message = text.splitlines() or [""]
    if code != 128 + number:
        tally.add("another end", f"{case}: exit code {code}, {text}")
    if "Traceback" in text or not message.startswith(("error: stopped by", "stopped")):
        tally.add("another message", f"{case}: {text}")
    if path is None:
        if trains:
            tally.add("another status", f"{case}: the run is gone")
        return seconds
    if trains and status.get("status") != "interrupted":
        tally.add("another status", f"{case}: {status.get('status')}")
    left = [entry.name for entry in path.rglob("*") if entry.name.endswith(".tmp")]
    if left:
        tally.add("stale temporary", f"{case}: {left}")
    kills.check(path, told, case, tally)
    if message.startswith("error: stopped by"):  # noted while training, so with a checkpoint
        try:
            newest = checkpoint.latest(RunDirectory.open(path)).state["step"]
        except MiniganError as error:
            tally.add("no checkpoint", f"{case}: {error}")
        else:
            if newest != status.get("step"):
                tally.add("no checkpoint", f"{case}: of step {newest}, stopped at {status.get('step')}")
    resume(path, reference, case, tally)
    return seconds


def _anew(root):
    """Nothing of an earlier case; the empty files for what a process reports, and says on stderr."""
    shutil.rmtree(root, ignore_errors=True)
    files = root.with_name("told"), root.with_name("errors")
    for file in files:
        file.write_bytes(b"")
    return files


def resume(path, reference, case, tally):
    """Let a run go on to its end, and compare it."""
    told, errors = path.parent.with_name("told"), path.parent.with_name("errors")
    errors.write_bytes(b"")
    code = finished(train, told, "--resume", path, errors=errors)
    if code != 0:
        tally.add("resume refused", f"{case}: exit code {code}, {errors.read_text()}")
    else:
        compare(path, reference.path, case, tally)


# ── a second signal while the first is obeyed


def stop_twice(root, reference, count, tally):
    """The first signal comes as a save begins, the second at an operation of it; the number of runs."""
    for case in range(count):
        told, errors = _anew(root)
        number, at = NUMBERS[case % len(NUMBERS)], 1 + 3 * (case % 7)
        code = finished(_train_and_stop_twice, number, at, told, *new(root), errors=errors)
        text, what, path = errors.read_text(), f"second {number.name} at operation {at} of a save", made(root)
        if code != 128 + number:
            tally.add("another end", f"{what}: exit code {code}, {text}")
        if "Traceback" in text or "stopped" not in text.splitlines()[-1]:
            tally.add("another message", f"{what}: {text}")
        status = RunDirectory.open(path).read_status().get("status")
        if status != "interrupted":
            tally.add("another status", f"{what}: {status}")
        if not kills.check(path, told, what, tally):
            tally.add("no checkpoint", what)
        resume(path, reference, what, tally)
    return count


def _train_and_stop_twice(number, at, told, *arguments):
    """A training whose fifth save is interrupted as it begins and again at its operation ``at``."""
    from bench.soak.operations import Disk

    save_step, saves = checkpoint.save_step, itertools.count(1)

    def second(name, now):
        if now == at:
            signal.raise_signal(number)

    def save(run, step, *rest, **options):
        if next(saves) != 5:
            return save_step(run, step, *rest, **options)
        signal.raise_signal(number)
        with Disk(second):
            return save_step(run, step, *rest, **options)

    checkpoint.save_step = save
    return train(told, *arguments)


# ── time


def halt(root, reference, count, seconds, rng, tally):
    """SIGSTOP at a random moment and SIGCONT ``seconds`` later; the number of runs."""
    for case in range(count):
        told, errors = _anew(root)
        with started(train, told, *new(root), errors=errors) as process:
            _begun(root, process)
            wait(process, told, *moment(reference, 0.5, rng))
            if process.is_alive():
                os.kill(process.pid, signal.SIGSTOP)
                time.sleep(seconds)
                os.kill(process.pid, signal.SIGCONT)
            process.join(TIMEOUT)
            code = process.exitcode
        if code != 0:
            tally.add("another end", f"halt {case}: exit code {code}, {errors.read_text()}")
        else:
            compare(made(root), reference.path, f"halt {case}", tally)
    return count


def change_clock(root, reference, count, tally):
    """Runs by a clock that goes back, jumps ahead, stands still, or does all of it; the number of runs."""
    for case in range(count):
        shutil.rmtree(root, ignore_errors=True)
        errors = root.with_name("errors")
        errors.write_bytes(b"")
        kind = CLOCKS[case % len(CLOCKS)]
        code = finished(_train_by, kind, root.with_name("told"), *new(root), errors=errors)
        if code != 0:
            tally.add("another end", f"a clock that {kind}: exit code {code}, {errors.read_text()}")
        else:
            compare(made(root), reference.path, f"a clock that {kind}", tally)
    return count


CLOCKS = ("goes back", "jumps ahead", "stands still", "is random")


def _train_by(kind, told, *arguments):
    """A training by another clock."""
    calls, rng, start = itertools.count(), random.Random(0), time.time()

    def offset():
        return {
            "goes back": -3600.0 * (next(calls) // 50),
            "jumps ahead": 3600.0 * (next(calls) // 50),
            "stands still": 0.0,
            "is random": rng.uniform(-1e6, 1e6),
        }[kind]

    for name in ("time", "perf_counter", "monotonic"):
        real = getattr(time, name)
        base = start if name == "time" else real()
        if kind == "stands still":
            setattr(time, name, lambda base=base: base)
        else:
            setattr(time, name, lambda real=real: real() + offset())
    return train(told, *arguments)


def _begun(root, process):
    """Wait for the run directory, or for the end of the process."""
    limit = time.monotonic() + TIMEOUT
    while process.is_alive() and not made(root):
        if time.monotonic() > limit:
            raise TimeoutError("no run directory appears")
        process.join(0.001)
