"""What a person sees while a run trains, on stderr: a bar with live numbers, or a line now and then.

Where stderr is no terminal there is no bar. The same lines go to the run's log.
"""

import builtins
import os
import sys
import time
from importlib.util import find_spec
from typing import Any, Self

from minigan.errors import ConfigError, printable
from minigan.evaluation.rows import format_target
from minigan.evaluation.two_sample import perfect_ks_band
from minigan.probability.empirical import Empirical
from minigan.storage.directory import RunDirectory
from minigan.training.experiment import Experiment

LINE_SECONDS = 5.0  # between two lines where there is no bar


class Progress:
    """Announces a run, then follows it by ``on_row`` and ``on_step``; a context manager around training."""

    def __init__(
        self, console: Any, run: RunDirectory, experiment: Experiment, *, logged: bool = True
    ) -> None:
        """console  rich's, or None to say nothing

        logged  whether what is said goes to the run's log too, as all but of a run that is over
        """
        self._console, self._run, self._experiment = console, run, experiment
        self._logged = logged
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
        if self._console is not None:
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
        if self._console is not None and is_live(self._console):
            self._bar, self._task = make_bar(self._console, self._experiment.config.steps)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def refuse_deaf(on_evaluation: object) -> None:
    """Raises:  ConfigError – for what cannot be called with a row of metrics"""
    if on_evaluation is not None and not callable(on_evaluation):
        raise ConfigError(f"on_evaluation is a function of a row of metrics, received {on_evaluation!r:.80}")


def person(wanted: bool | None) -> Any:
    """rich's console for whoever watches a program; None where nobody is to, or by default nobody does.

    Raises:  ConfigError – for what says neither
    """
    if wanted not in (True, False, None):
        raise ConfigError(f"progress is True, False or None, received {wanted!r:.80}")
    if wanted is False or wanted is None and not (_in_notebook() or _is_terminal(sys.stderr)):
        return None
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _is_terminal(stream: Any) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _in_notebook() -> bool:
    """Whether a kernel of Jupyter runs this, which shows what rich prints."""
    shell = getattr(builtins, "get_ipython", None)
    return shell is not None and type(shell()).__name__ == "ZMQInteractiveShell"


def is_live(console: Any) -> bool:
    """Whether there is a terminal to draw a bar on, or a notebook with what rich's bar needs there."""
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None
    # The file is asked too: FORCE_COLOR makes a terminal of anything.
    seen = console.is_terminal and console.file.isatty()
    return bool(seen and not os.environ.get("CI") and os.environ.get("TERM") != "dumb")


def make_bar(console: Any, total: int) -> tuple[Any, Any]:
    """A running bar of so many steps, and its task."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    done, metrics = TextColumn("{task.completed}/{task.total}"), TextColumn("{task.fields[metrics]}")
    bar = Progress(done, BarColumn(12), TimeRemainingColumn(compact=True), metrics, console=console)
    task = bar.add_task("", total=total, metrics="")
    bar.start()
    return bar, task
