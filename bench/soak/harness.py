"""What the injections of faults share: processes to kill, cheap to start, and a tally of what failed."""

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
from multiprocessing import forkserver
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT = 120  # seconds after which a process hangs

# A process forked from a server that has imported all of this starts in 10 ms instead of 600.
CONTEXT = multiprocessing.get_context("forkserver")
IMPORTED = ("minigan.cli", "minigan.training.trainer", "minigan.reports.overview", "minigan.front.progress",
            "minigan.evaluation.verdict", "safetensors.numpy", "filelock", "threadpoolctl", "rich.console",
            "scipy.special", "bench.soak.operations", "bench.soak.writers", "bench.soak.kills",
            "bench.soak.signals", "bench.soak.broken")  # fmt: skip


broken = None  # a function of bench/soak/broken.py that processes call first, to prove that a fault is found


class Tally:
    """A count for each way to fail, and an example of each that happened."""

    def __init__(self, *kinds):
        self.failures, self.examples = dict.fromkeys(kinds, 0), {}

    def add(self, kind, example):
        """Count one failure."""
        self.failures[kind] += 1
        text = str(example)
        self.examples.setdefault(kind, text if len(text) <= 500 else f"{text[:100]} … {text[-400:]}")

    def as_dict(self):
        """The two as a measurement reports them."""
        return {"failures": dict(self.failures), "examples": dict(self.examples)}


@contextlib.contextmanager
def uncollected():
    """A block without garbage collection, which would run destructors of other objects in its thread."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def started(function, *arguments, output=os.devnull, errors=os.devnull):
    """A process that runs ``function`` and leaves with what it returns; killed at the end, if it still runs.

    Its stdout and stderr are appended to the files ``output`` and ``errors``.
    """
    process = CONTEXT.Process(target=_run, args=(broken, function, arguments, str(output), str(errors)))
    _serve()
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join(TIMEOUT)
        process.close()


def finished(function, *arguments, **options):
    """The exit code of a process that runs ``function``: negative for the signal that killed it."""
    with started(function, *arguments, **options) as process:
        process.join(TIMEOUT)
        return process.exitcode


def minigan(*arguments):
    """The command line, in a process of ``started``."""
    from minigan.cli import main

    return main(list(map(str, arguments)))


def _serve():
    """Start the server, which finds its modules by PYTHONPATH alone."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), before)))
    try:
        CONTEXT.set_forkserver_preload(list(IMPORTED))
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _run(broken, function, arguments, output, errors):
    gc.freeze()  # what the server has imported need not be looked at, and copied for that
    # A shell starts what it runs in the background with SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ended_by in (signal.SIGTERM, signal.SIGHUP):  # the last is ignored by what nohup starts
        signal.signal(ended_by, signal.SIG_DFL)
    for number, path in ((1, output), (2, errors)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    if broken is not None:
        broken()
    sys.exit(function(*arguments))
