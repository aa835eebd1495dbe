"""Processes of this machine that train the jobs of a sweep, and are told them one by one in JSON.

One that is killed is replaced; what it had to do is missing. They begin with what every job imports, so that
those that are begun ahead are ready once there is a plan.
"""

import json
import math
import os
import re
import select
import signal
import subprocess
import sys
import tomllib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import minigan

MANY = 64  # runs that are worth a process for each processor
RANGE = re.compile(r"(\d{1,18}):(\d{1,18})")  # of integers, as a plan varies them
LEAVE_SECONDS = 1.0  # for a process that is told that there is no more
SAVE_SECONDS = 10.0  # for one that has to save runs first


class Processes:
    """So many processes, begun when there are jobs, or before; a context manager, at whose end they end."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._idle, self._busy = list[Any](), dict[int, Any]()  # those by their answers' descriptor

    def begin(self) -> Self:
        """Begin them now, where the jobs are still to come."""
        while len(self._idle) < self._count:
            self._idle.append(_begun())
        return self

    def __call__(self, path: str, jobs: Sequence[Sequence[int]], drift: bool) -> Iterator[str | None]:
        """What each job of the sweep in ``path`` returned, as they end; nothing of those that were killed."""
        left = deque(jobs)
        try:
            while left or self._busy:
                while left and len(self._busy) < self._count:
                    self._tell({"path": path, "numbers": left.popleft(), "allow_drift": drift})
                for descriptor in select.select(list(self._busy), [], [])[0]:
                    process = self._busy.pop(descriptor)
                    answer = process.stdout.readline()
                    if answer.endswith(b"\n"):
                        self._idle.append(process)
                        yield json.loads(answer)
                    else:
                        _ended(process)
        except BaseException:  # a second signal: those at work were told by the first, and end by themselves
            for process in self._busy.values():
                process.stdin.close()
                process.stdout.close()
            self._busy.clear()
            raise
        finally:
            self.close()

    def _tell(self, job: dict[str, Any]) -> None:
        process = self._idle.pop() if self._idle else _begun()
        self._busy[process.stdout.fileno()] = process
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
        except OSError:  # it was killed, and its answer is empty
            return

    def close(self) -> None:
        """End them; those in whose work runs still are save these first."""
        idle, busy, self._idle, self._busy = self._idle, [*self._busy.values()], [], {}
        for process in idle:
            process.kill()
        for process in busy:
            process.stdin.close()
        for process in (*idle, *busy):
            _ended(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def likely_count(file: str | None) -> int:
    """How many processes the plan in a file will want, at a glance that takes no time; 0 where few runs or
    none are seen there.
    """
    from minigan.machine import cores

    try:
        vary = tomllib.loads(Path(file or "").read_text())["vary"]
        spans = [RANGE.fullmatch(v) if isinstance(v, str) else None for v in vary.values()]
        pairs = zip(vary.values(), spans, strict=True)
        lengths = [len(v) if s is None else int(s[2]) - int(s[1]) for v, s in pairs]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return 0  # who reads it says what is wrong
    return cores() if math.prod(lengths) >= MANY else 0


def _begun() -> Any:
    package = str(Path(minigan.__file__).parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    # Ctrl-C reaches all processes of a terminal: blocked from before the first instruction, ignored later on.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "minigan.sweeps.processes"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ended(process: Any) -> None:
    """Wait for its end, and see to it."""
    process.stdin.close()
    for seconds, urge in ((LEAVE_SECONDS, process.terminate), (SAVE_SECONDS, process.kill)):
        try:
            process.wait(seconds)
            break
        except subprocess.TimeoutExpired:
            urge()
    process.wait()
    process.stdout.close()


def serve() -> None:
    """Run the jobs that come in, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # idle ones leave it to the driver, others note it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    answers = os.dup(1)
    os.dup2(2, 1)  # what else is printed is no answer
    import safetensors.numpy  # noqa: F401

    from minigan.sweeps.workers import run_job_elsewhere

    for line in sys.stdin.buffer:
        try:
            said = run_job_elsewhere(**json.loads(line), versions={})
        except Exception as error:  # a bug, with its traceback in the runs' logs
            said = f"{type(error).__name__}: {error}"
        try:
            os.write(answers, json.dumps(said).encode() + b"\n")
        except OSError:  # nobody waits for it any more
            return


if __name__ == "__main__":
    serve()
