"""What a person sees while a run trains, on stderr: a bar with live numbers, or a line now and then.

Where stderr is no terminal there is no bar. The same lines go to the run's log.txt.
"""

import os
import time
from typing import Any, Self

from minigan.lab.experiment import Experiment
from minigan.lab.run import RunDirectory
from minigan.probability.distributions import Empirical
from minigan.probability.two_sample import perfect_ks_band

LINE_SECONDS = 5.0  # between two lines where there is no bar


class Progress:
    """Announces a run, then follows it by ``on_row`` and ``on_step``; a context manager around training."""

    def __init__(
        self, console: Any, run: RunDirectory, experiment: Experiment, *, quiet: bool = False
    ) -> None:
        self._console, self._run, self._experiment, self._quiet = console, run, experiment, quiet
        self._live = console.is_terminal and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
        self._bar: Any = None
        self._task: Any = None
        self._last_line = -LINE_SECONDS
        judged_by = None if experiment.held_out is None else len(experiment.held_out)
        self._floor = perfect_ks_band(experiment.config.eval_samples, judged_by)[0]
        for line in self._announcement():
            self.note(line)

    def _announcement(self) -> list[str]:
        e, c = self._experiment, self._experiment.config
        if isinstance(e.law, Empirical) and e.held_out is not None:
            what = f"{c.data} ({len(e.law.values)} rows to learn, {len(e.held_out)} to judge)"
        else:
            what = str(e.law)
        G = "-".join(map(str, (e.latent_size, *c.generator.widths, e.features)))
        D = "-".join(map(str, (e.features, *c.discriminator.widths, 1)))
        networks = f"G {G} {c.generator.activation}, D {D} {c.discriminator.activation}"
        where = f"{e.backend.describe()}, {c.dtype}, seed {c.seed}, into {self._run.path}"
        cross_entropy = c.objective in ("minimax", "non_saturating")
        level = "its loss is ln 4 = 1.3863, and " if cross_entropy else ""
        return [
            f"Learning {what}: {networks}, {c.objective}, R1 {c.r1:g}, R2 {c.r2:g}",
            f"{c.steps} steps of {c.batch} on {where}",
            f"When D can no longer tell, {level}KS is that of a perfect sampler.",
            *(f"note: {note}" for note in e.notes),
        ]

    def note(self, text: str) -> None:
        """One line, to the screen and to the log."""
        self._run.log(text)
        if not self._quiet:
            self._console.print(text, markup=False)

    def on_row(self, row: dict[str, Any]) -> None:
        """Show the newest metrics."""
        losses = "  ".join(f"{player.upper()} {row[f'{player}_loss']:.4f}" for player in "dg")
        text = f"loss {losses}  KS {row['ks']:.4f} (perfect {self._floor:.4f})".replace("nan", "  –   ")
        if self._bar is not None:
            self._bar.update(self._task, metrics=text)
            return
        last = row["step"] == self._experiment.config.steps
        if last or time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            self.note(f"step {row['step']:>6}  {text}  {row['wall']:.1f} s")

    def on_step(self, step: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def __enter__(self) -> Self:
        if self._live and not self._quiet:
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            done, metrics = TextColumn("{task.completed}/{task.total}"), TextColumn("{task.fields[metrics]}")
            left = TimeRemainingColumn(compact=True)
            self._bar = Bar(done, BarColumn(12), left, metrics, console=self._console)
            self._task = self._bar.add_task("", total=self._experiment.config.steps, metrics="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
