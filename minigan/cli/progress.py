"""What a person sees while runs train, on stderr: a bar with live numbers, or a line now and then.

Where stderr is no terminal there is no bar. The same lines go to the run's log.txt.
"""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from minigan.errors import MiniganError, printable
from minigan.evaluation.rows import format_target
from minigan.evaluation.two_sample import perfect_ks_band
from minigan.probability.empirical import Empirical
from minigan.storage.directory import RunDirectory
from minigan.sweeps.sweep import Sweep, is_done, run_path
from minigan.training.experiment import Experiment

LINE_SECONDS = 5.0  # between two lines where there is no bar


class Progress:
    """Announces a run, then follows it by ``on_row`` and ``on_step``; a context manager around training."""

    def __init__(
        self,
        console: Any,
        run: RunDirectory,
        experiment: Experiment,
        *,
        quiet: bool = False,
        logged: bool = True,
    ) -> None:
        """logged  whether what is said goes to the run's log too, as all but of a run that is over"""
        self._console, self._run, self._experiment, self._quiet = console, run, experiment, quiet
        self._logged = logged
        self._live = _is_live(console)
        self._bar: Any = None
        self._task: Any = None
        self._last_line = -LINE_SECONDS
        judged_by = None if experiment.held_out is None else len(experiment.held_out)
        self._floor = perfect_ks_band(experiment.config.eval_samples, judged_by)[0]
        for line in self._announcement():
            self.note(line)

    def _announcement(self) -> list[str]:
        e, c = self._experiment, self._experiment.config
        if isinstance(e.distribution, Empirical) and e.held_out is not None:
            what = f"{c.data} ({len(e.distribution.values)} rows to learn, {len(e.held_out)} to judge)"
        else:
            what = format_target(str(e.distribution))
        G = "-".join(map(str, (e.latent_size, *c.generator.widths, e.features)))
        D = "-".join(map(str, (e.features, *c.discriminator.widths, 1)))
        networks = f"G {G} {c.generator.activation}, D {D} {c.discriminator.activation}"
        where = f"{e.backend.describe()}, {c.dtype}, seed {c.seed}, into {self._run.path}"
        curves = e.game.objective
        without = " without penalties" if curves.critic else ""  # which ask for a slope of 1
        rest, player = curves.divergence, "the critic" if curves.critic else "D"
        r1, r2 = (getattr(c, name) for name in ("r1", "r2"))
        return [
            f"Learning {what}: {networks}, {c.objective}, R1 {r1:g}, R2 {r2:g}",
            f"{c.steps} steps of {c.batch} on {where}",
            f"When {player} can no longer tell, its loss{without} is {rest.level_in_full}, "
            "and KS is that of a perfect sampler.",
            *(f"note: {note}" for note in e.notes),
        ]

    def note(self, text: str) -> None:
        """One line, to the screen and to the log; the names in it may come from anyone."""
        text = printable(text)
        if self._logged:
            self._run.log(text)
        if not self._quiet:
            self._console.print(text, markup=False)

    def on_row(self, row: dict[str, Any]) -> None:
        """Show the newest metrics."""
        losses = "  ".join(f"{player.upper()} {row[f'{player}_loss']:z.4f}" for player in "dg")
        text = f"loss {losses}  KS {row['ks']:.4f} (perfect {self._floor:.4f})".replace("nan", "  –   ")
        if self._bar is not None:
            self._bar.update(self._task, metrics=text)
            return
        last = row["step"] == self._experiment.config.steps
        if last or time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            self.note(f"step {row['step']:>6}  {text}  {row['seconds']:.1f} s")

    def on_step(self, step: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def __enter__(self) -> Self:
        if self._live and not self._quiet:
            self._bar, self._task = _bar(self._console, self._experiment.config.steps)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


class SweepProgress:
    """Follows a sweep by the files of its runs, wherever they train; a context manager around it."""

    def __init__(self, console: Any, path: Path, plan: Sweep, *, quiet: bool = False) -> None:
        self._console, self._path, self._plan = console, path, plan
        self._live, self._quiet = _is_live(console), quiet
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
        bar, task = _bar(self._console, self._total) if self._live else (None, None)
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


def _is_live(console: Any) -> bool:
    """Whether there is a terminal to draw a bar on."""
    # The file is asked too: FORCE_COLOR makes a terminal of anything.
    seen = console.is_terminal and console.file.isatty()
    return bool(seen and not os.environ.get("CI") and os.environ.get("TERM") != "dumb")


def _bar(console: Any, total: int) -> tuple[Any, Any]:
    """A running bar of so many steps, and its task."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    done, metrics = TextColumn("{task.completed}/{task.total}"), TextColumn("{task.fields[metrics]}")
    bar = Progress(done, BarColumn(12), TimeRemainingColumn(compact=True), metrics, console=console)
    task = bar.add_task("", total=total, metrics="")
    bar.start()
    return bar, task
