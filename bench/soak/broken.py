"""Builds that are broken on purpose, each in the way that one of the injections of faults is there to find.

Each function breaks the process that calls it, and returns how to mend it.
"""

import contextlib
import os
import time
from pathlib import Path

import numpy as np

from minigan.errors import BusyError
from minigan.storage import checkpoint, directory, files
from minigan.training import trainer
from minigan.training.experiment import Experiment
from minigan.training.signals import Interrupted
from minigan.training.steps import Steps


def _set(*changes):
    """Set attributes, given as (owner, name, value); returns a function that sets them back."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    for change in changes:
        setattr(*change)

    def mend():
        for change in before:
            setattr(*change)

    return mend


class _NoSync:
    """The module ``os`` with an ``fsync`` that does nothing."""

    def __getattr__(self, name):
        return getattr(os, name)

    def fsync(self, descriptor):
        """Nothing."""


class _NoLock:
    def release(self):
        """Nothing."""


def overwrite():
    """Files are overwritten in place."""

    def write(path, content, **_):
        try:
            with open(path, "wb") as file:
                file.write(content)
        except OSError as error:
            raise files.storage_error(error, Path(path)) from None

    return _set((files, "write_atomic", write))


def overwrite_slowly():
    """Files are overwritten in place, large ones with a pause, which a random kill or a reader can meet."""

    def write(path, content, **_):
        with open(path, "wb", buffering=0) as file:
            file.write(content[: len(content) // 2])
            time.sleep(0.005 if len(content) > 1000 else 0)
            file.write(content[len(content) // 2 :])

    return _set((files, "write_atomic", write))


def prune_first():
    """The old checkpoints are removed before the new one is written, and a pause, which a kill can meet."""
    save_step = checkpoint.save_step

    def save(directory, *rest, **options):
        for path in checkpoint.paths(directory):
            path.unlink()
        time.sleep(0.005)
        return save_step(directory, *rest, **options)

    return _set((checkpoint, "save_step", save))


def best_by_name():
    """Which checkpoint is the best is in the file ``best`` alone, which is written after the checkpoint."""
    return _set(
        (checkpoint, "best_of", lambda run, state: checkpoint.pointed(run, "best")),
        (checkpoint, "write_names", _write_names_of_the_improved),
    )


def _write_names_of_the_improved(run, path, state):
    files.write_atomic(run.checkpoints / "latest", path.name.encode() + b"\n")
    if state["best_step"] == state["step"]:
        files.write_atomic(run.checkpoints / "best", path.name.encode() + b"\n")


def no_sync():
    """Nothing is synced."""
    return _set(*((module, "os", _NoSync()) for module in (files, directory)))


def no_directory_sync():
    """Contents are synced, names are not."""
    return _set((files, "sync_directory", lambda path: None))


def no_sweep():
    """Temporary files of killed writers stay."""
    return _set((files, "remove_temporaries", lambda folder: None))


def bare_errors():
    """Errors of the system reach the user as they are."""
    return _set((files, "storage_error", lambda error, path: error))


def no_lock():
    """Any number of processes write."""
    return _set((files, "acquire", lambda path: _NoLock()))


def kept_lock():
    """The lock is a file, which the dead leave behind."""

    def acquire(path):
        try:
            os.close(os.open(path / "held", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            raise BusyError("another process writes") from None
        lock = _NoLock()
        lock.release = lambda: os.unlink(path / "held")
        return lock

    return _set((files, "acquire", acquire))


def torn_lines():
    """Rows are written in two halves with a pause."""
    append = files.append

    def halves(file, content):
        append(file, content[: len(content) // 2] + b"\n")
        time.sleep(0.002)
        append(file, content[len(content) // 2 :])

    return _set((files, "append", halves))


def forget_optimizer():
    """A resumed run begins with new moments of its optimisers."""
    load = Experiment.load

    def forget(self, arrays, step):
        load(self, {name: 0 * a if name.endswith((".m", ".v")) else a for name, a in arrays.items()}, step)

    return _set((Experiment, "load", forget))


def keep_rows():
    """A resumed run writes the rows after its checkpoint once more."""
    return _set((directory.RunDirectory, "cut_metrics", lambda self, step: self.read_metrics()))


def unpinned_threads():
    """Each process computes with as many threads as its number says."""
    from threadpoolctl import threadpool_limits

    def unpinned(threads):
        return threadpool_limits(1 + os.getpid() % 2, user_api="blas")

    return _set((trainer, "pinned", unpinned))


def leak():
    """Each block of steps leaves 4 MiB, 4000 objects and an open file."""
    kept = []

    def keep():
        kept.append([np.ones(2**19), *([] for _ in range(4000))])
        os.open(os.devnull, os.O_RDONLY)

    return _with_each_block(keep)


def tangle():
    """Each block of steps leaves 4 MiB in a cycle, which the garbage collector alone can free."""

    def tie():
        knot = [np.ones(2**19)]
        knot.append(knot)

    return _with_each_block(tie)


def _with_each_block(action):
    draw = Steps._draw

    def drawn(self, block):
        action()
        return draw(self, block)

    return _set((Steps, "_draw", drawn))


def leave_with_0():
    """A run that was stopped reports success."""

    def init(self, number, where):
        Exception.__init__(self, "stopped by a signal")
        self.number, self.exit_code = number, 0

    return _set((Interrupted, "__init__", init))


def ignore_signals():
    """Signals are noted and never looked at."""

    @contextlib.contextmanager
    def noted(*_):
        from minigan.training.signals import handled

        with handled(lambda number, frame: None):
            yield []

    return _set((trainer, "noted", noted))
