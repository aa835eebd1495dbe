"""A job of a sweep: runs that train together in one process, from where they are to their end.

Whoever drives a sweep writes its name into a file of the sweep's directory, and jobs look at it: those of a
driver that was stopped, killed or cut off end with checkpoints, and make room.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from minigan.errors import BusyError, CheckpointError, MiniganError
from minigan.sweeps.sweep import Sweep, data_of, features_of, is_done, load, run_path
from minigan.training.config import Config, to_json

DRIVER = ".driver"  # in a sweep's directory: who drives it, or STOPPED
STOPPED = b"stopped\n"
LOOK_SECONDS = 0.5  # between two looks at that file, and at a run directory that another process writes


def run_job(
    path: str, numbers: Sequence[int], allow_drift: bool = False, patience: float = 0.0
) -> str | None:
    """Train these runs of the sweep in ``path`` together, from the newest step that all have a checkpoint of.

    Returns None, or a sentence on what failed. Called in the process that does the work. Ends early, with
    checkpoints, when the sweep's driver does or another one takes over.

    patience  s to wait for runs that another process writes

    Raises:  Interrupted – after a signal, with checkpoints
    """
    from minigan.sweeps.programs import together
    from minigan.training.signals import Interrupted
    from minigan.training.trainer import Session, train_together

    stop = stop_of(path)
    try:
        sweep = load(path)
        with ExitStack() as stack:
            opened = _wait_for(path, sweep, numbers, stack, stop, patience)
            if not opened:
                return None
            # A sweep draws no page of a run: a D that is trained for it would take longer than all else.
            sessions = [Session(reopened.experiment, reopened.run, best=False) for reopened in opened]
            experiments = [reopened.experiment for reopened in opened]
            steps = stack.enter_context(together(experiments))
            for outcome, session in zip(
                train_together(steps, sessions, resumed=opened, allow_drift=allow_drift, stop=stop),
                sessions,
                strict=True,
            ):
                if not isinstance(outcome, MiniganError):
                    session.run.log(outcome.verdict.sentence)
    except Interrupted as error:
        if stop():
            return None
        raise Interrupted(error.number, str(path)) from None
    except MiniganError as error:
        return f"runs {numbers[0]} to {numbers[-1]}: {error}"
    return None


def driver_of(path: str | Path, unreadable: bytes = b"") -> bytes:
    """Who drives the sweep."""
    try:
        with open(Path(path) / DRIVER, "rb") as file:
            return file.read(100)
    except FileNotFoundError:
        return b""
    except OSError:  # a file system that is cut off for a moment
        return unreadable


def stop_of(path: str | Path) -> Callable[[], bool]:
    """A function that says whether those who drive the sweep now have stopped it, or left it to others."""
    begun, looked, stopped = driver_of(path), time.monotonic(), False
    stopped = begun == STOPPED

    def stop() -> bool:
        nonlocal looked, stopped
        if not stopped and time.monotonic() - looked >= LOOK_SECONDS:
            looked, stopped = time.monotonic(), driver_of(path, begun) != begun
        return stopped

    return stop


def _wait_for(
    path: str,
    sweep: Sweep,
    numbers: Sequence[int],
    stack: ExitStack,
    stop: Callable[[], bool],
    patience: float,
) -> list[Any]:
    """Those of the runs that have not ended, with their locks, as soon as nobody else writes to them."""
    deadline = time.monotonic() + patience
    while True:
        # A job that is tried again may hold runs that have ended by now.
        numbers = [number for number in numbers if not is_done(path, number)]
        if not numbers or stop():
            return []
        try:
            with ExitStack() as attempt:
                opened = _open_all(path, sweep, numbers, attempt)
                if not any(is_done(path, number) for number in numbers):
                    stack.push(attempt.pop_all())
                    return opened
        except BusyError:
            # Whoever was cut off from the cluster with this job ends it, or is told that it is another's.
            if time.monotonic() >= deadline:
                raise
            time.sleep(LOOK_SECONDS)


def _open_all(path: str, sweep: Sweep, numbers: Sequence[int], stack: ExitStack) -> list[Any]:
    """The runs with their locks, at the newest step of which all have a good checkpoint, or at none."""
    from minigan.storage import checkpoint
    from minigan.storage.directory import RunDirectory

    configs = [sweep.configs[number] for number in numbers]
    with ExitStack() as attempt:
        made = _make_directories(path, dict(zip(numbers, configs, strict=True)), attempt)
        if len(made) == len(numbers):
            opened = _begin(configs, made)
            stack.push(attempt.pop_all())
            return opened
    runs = [RunDirectory.open(run_path(path, number)) for number in numbers]
    steps = [{str(checkpoint.step_of(file)) for file in checkpoint.paths(run)} for run in runs]
    for step in sorted(set.intersection(*steps), key=int, reverse=True):
        with suppress(CheckpointError):  # one of them is damaged: the step before
            return _open_at(step, configs, runs, stack)
    return _open_at(None, configs, runs, stack)


def _make_directories(path: str, configs: Mapping[int, Config], stack: ExitStack) -> list[Any]:
    """The directories, with their locks, of those runs that have none yet."""
    from minigan.storage.directory import RunDirectory
    from minigan.storage.files import acquire, write_atomic

    made = []
    for number, config in configs.items():
        where = run_path(path, number)
        if not where.exists():
            made.append(stack.enter_context(RunDirectory.create_at(where, to_json(config), lasting=False)))
        elif not _has_config(where, config):  # its process was killed, or the power cut, while it was made
            lock = acquire(where)
            write_atomic(where / "config.json", to_json(config))
            lock.release()
    return made


def _has_config(where: Path, config: Config) -> bool:
    """Whether a configuration can be read there, that of the run or another, which is refused later."""
    from minigan.storage.files import read_bounded
    from minigan.training.settings import from_json

    try:
        text = read_bounded(where / "config.json")
        return text == to_json(config) or from_json(text) is not None
    except MiniganError:
        return False


def _begin(configs: Sequence[Config], runs: Sequence[Any]) -> list[Any]:
    """New runs, with nothing to go on from.    Raises:  ConfigError – if the memory does not hold them"""
    from minigan.training.experiment import Experiment
    from minigan.training.limits import check
    from minigan.training.saved import Reopened

    check(
        configs[0], features=features_of(configs[0])
    )  # the machine may be another than where it was planned
    return [
        Reopened(run, Experiment(config, data=data_of(config)), (), {}, {})
        for config, run in zip(configs, runs, strict=True)
    ]


def _open_at(step: str | None, configs: Sequence[Config], runs: Sequence[Any], stack: ExitStack) -> list[Any]:
    """The runs with their locks, at one step; none of the locks if it fails."""
    from minigan.training.saved import reopen

    opened = []
    with ExitStack() as attempt:
        for config, run in zip(configs, runs, strict=True):
            opened.append(reopen(run.path, at=step, lock=True, data=data_of(config)))
            attempt.enter_context(opened[-1].run).lasting = False  # as those that begin with it
        stack.push(attempt.pop_all())
    return opened
