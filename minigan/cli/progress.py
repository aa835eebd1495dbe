"""What a person sees while a sweep trains, on stderr: a bar over all its runs, or a line now and then."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from minigan.errors import MiniganError, printable
from minigan.front.progress import LINE_SECONDS, is_live, make_bar
from minigan.storage.directory import RunDirectory
from minigan.sweeps.sweep import Sweep, is_done, run_path


class SweepProgress:
    """Follows a sweep by the files of its runs, wherever they train; a context manager around it."""

    def __init__(self, console: Any, path: Path, plan: Sweep, *, quiet: bool = False) -> None:
        self._console, self._path, self._plan = console, path, plan
        self._live, self._quiet = is_live(console), quiet
        self._total = sum(config.steps for config in plan.configs)
        self._left = dict(enumerate(plan.configs))  # the runs that have not ended
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def _steps(self) -> int:
        """The steps of all runs so far."""
        done = self._total - sum(config.steps for config in self._left.values())
        for number, config in list(self._left.items()):
            if is_done(self._path, number):
                del self._left[number]
                done += config.steps
            else:
                with suppress(MiniganError):
                    rows = RunDirectory(run_path(self._path, number)).read_metrics().rows
                    done += int(rows[-1]["step"]) if rows else 0
        return done

    def _follow(self) -> None:
        bar, task = make_bar(self._console, self._total) if self._live else (None, None)
        last = time.monotonic()
        while not self._ended.is_set():
            began = time.monotonic()
            steps, ended = self._steps(), len(self._plan.configs) - len(self._left)
            text = format_progress(ended, len(self._plan.configs), steps, self._total)
            if bar is not None:
                bar.update(task, completed=steps, metrics=text)
            elif time.monotonic() - last >= LINE_SECONDS:
                last = time.monotonic()
                self._console.print(text)
            # Looking at many files is work too, and at most a twentieth of all.
            self._ended.wait(max(0.5, 20 * (time.monotonic() - began)))
        if bar is not None:
            bar.stop()

    def __enter__(self) -> Self:
        if not self._quiet:
            runs = f"{len(self._plan.configs)} runs, {self._total} steps in all, into {self._path}"
            self._console.print(printable(runs), markup=False)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()


def format_progress(ended: int, runs: int, steps: int, total: int) -> str:
    """How far a sweep is: rounded down, for what is trained is still to be judged and saved."""
    if ended < runs and steps >= total:
        return f"{ended} of {runs} runs have ended, all steps are trained, the others are judged"
    return f"{ended} of {runs} runs have ended, {100 * steps // total} % of all steps"
