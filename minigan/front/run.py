"""A run, trained or read from its directory, and all that can be asked of it."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Self

import numpy as np

from minigan.compiler.c_compiler import adding_nothing
from minigan.errors import ConfigError, DataError, DivergedError, UnavailableError
from minigan.evaluation.verdict import Verdict
from minigan.front.configuration import path_of, steps_of, whole_of
from minigan.front.history import History
from minigan.front.making import Making
from minigan.front.progress import Progress, person, refuse_deaf
from minigan.front.shown import describe_run, run_as_html
from minigan.front.wording import as_python, for_scripts
from minigan.gan.detectors import Finding
from minigan.storage import checkpoint, files
from minigan.storage.directory import RunDirectory, plain_row
from minigan.storage.memory import MemoryRun
from minigan.training.config import Config, flatten
from minigan.training.data import Data
from minigan.training.experiment import Experiment
from minigan.training.saved import Reopened, Trained, config_of, offer, read_generator, read_verdict, reopen
from minigan.training.settings import describe_shown
from minigan.training.signals import Interrupted, Stopped
from minigan.training.trainer import Outcome, find_failures, train

DRAW = 2**32  # of ``sample``: neither a step's nor the verdict's has this index
SCORING = -1  # the draw of ``score``: one that no seed of ``sample`` gives
SCORED = 2000  # rows a side between which all distances are taken
OnEvaluation = Callable[[dict[str, Any]], object]


class Run(Making):
    """A GAN that was trained, or is being: what it makes, how good that is, and how it came about.

    ``mg.fit`` makes one, ``mg.load`` reads one; it has a directory, or is in memory alone.

    >>> run = mg.fit("normal(4, 1.25)", steps=20, eval_samples=100)
    >>> run.sample(1000, seed=1).shape, run.step
    ((1000, 1), 20)
    >>> run.metrics["step"]
    array([ 0,  4,  8, 20])
    """

    def __init__(
        self,
        record: RunDirectory,
        *,
        at: str = "latest",
        experiment: Experiment | None = None,
        data: Data | None = None,
        ours: bool = False,
    ) -> None:
        """What ``record`` holds, as of one of its checkpoints.

        ours  whether the data came from memory, so that no file has them but one of the run
        """
        self._record, self._at, self._data, self._ours = record, at, data, ours
        self._config = config_of(record) if experiment is None else experiment.config
        self._experiment = experiment
        self._ended: Outcome | None = None  # of training in this process
        self.files = dict[str, Path]()  # of it
        self.resumed_from: int | None = None
        self._read: Trained | None = None
        self._judged: Verdict | None = None

    # ── what it is ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def config(self) -> Config:
        """Everything that decided it."""
        return self._config

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration by dotted names, as ``minigan train --print-config`` has it."""
        return flatten(self._config)

    @property
    def path(self) -> Path | None:
        """Its directory; None where it is in memory alone."""
        return None if isinstance(self._record, MemoryRun) else self._record.path

    @property
    def directory(self) -> RunDirectory:
        """What it is kept in, on disk or in memory."""
        return self._record

    @property
    def ended(self) -> Outcome:
        """What training in this process came to.    Raises:  ValueError – where there was none"""
        if self._ended is None:
            raise ValueError("this run was not trained here; its verdict and metrics are there all the same")
        return self._ended

    @property
    def names(self) -> tuple[str, ...]:
        """What its features are called, in order."""
        return self._trained().names if self._experiment is None else self._experiment.names

    @property
    def step(self) -> int:
        """How many steps were trained."""
        return self._trained().step if self._experiment is None else self._experiment.step

    @property
    def status(self) -> str:
        """How it stands: running, finished, interrupted, diverged, failed or, of a killed one, stopped."""
        return str(self._record.read_status().get("status", "running"))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know beside the results."""
        return self._trained().notes if self._experiment is None else self._experiment.notes

    @property
    def metrics(self) -> History:
        """What was measured along the way, by columns."""
        return History(self._record.read_metrics().rows)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What went wrong, by name, with what to try next."""
        return tuple(dataclasses.replace(f, remedy=as_python(f.remedy)) for f in self.found())

    def found(self) -> tuple[Finding, ...]:
        """``findings`` in the words of the command line."""
        return find_failures(self._record, self._opened())

    # ── how good it is ──────────────────────────────────────────────────────────────────────────────────

    @property
    @for_scripts
    def verdict(self) -> Verdict:
        """The judgement at its end; of a run that was stopped, of the generator as it stands."""
        if self._judged is None:
            path = self._record.path / "verdict.json"
            there = self.path is not None and self._at == "latest" and self.status == "finished"
            self._judged = read_verdict(path) if there and path.exists() else self.judge()
        return self._judged

    @for_scripts
    def judge(self, n: int | None = None, *, draw: int = 0) -> Verdict:
        """Judge ``n`` new rows, by default as many as the settings say; other draws are as good.

        Raises:  ConfigError – for what is no whole number, n of at least 2, or rows that the memory does not
                 hold;  DivergedError – if they are not finite
        """
        return self.judge_draw(None if n is None else whole_of("n", n, 2), whole_of("draw", draw, 0))

    def judge_draw(self, n: int | None, draw: int) -> Verdict:
        """``judge`` in the words of the command line."""
        from minigan.machine import available_memory, require_memory
        from minigan.training.metrics import verdict

        experiment = self._opened()
        count = experiment.config.eval_samples if n is None else n
        size = 32 * count * experiment.features
        require_memory(size, f"judging {count} rows", "reduce -n", available_memory())
        try:
            with np.errstate(all="ignore"):
                return verdict(experiment, count, draw)[0]
        except DivergedError as error:
            instead = offer(self._record, experiment.config, experiment.step)
            raise DivergedError(f"{error}; {instead}") from None

    @for_scripts
    def score(self, X: Any) -> float:
        """Minus the energy distance between the rows X and 2000 new ones: near 0 at best, higher is better.

        Each feature is measured in the units of the networks, sd of what was learned; of more than 2000 rows
        of X so many are drawn at random, and two calls give one number. The log-likelihood of one feature is
        ``np.log(run.density(x))``.

        Raises:  DataError – for what are no such rows
        Source:  Székely & Rizzo 2004
        """
        from minigan.evaluation.two_sample import energy_test
        from minigan.training.draws import stream
        from minigan.training.frames import read_rows

        rows, units = read_rows(X, self.names), self._trained().sampler.units
        if len(rows) < 2:
            raise DataError("a score needs at least 2 rows, received 1")
        sides = units.to_network(rows), units.to_network(self.draw(max(len(rows), SCORED), SCORING))
        rng = stream(self._config.seed, "verdict")
        return -float(energy_test(*sides, rng, permutations=1, rows=SCORED).statistic)

    def describe_shown(self, verdict: Verdict | None = None) -> str:
        """Whether it shows what its preset sets out to show; empty where that is nothing but the verdict."""
        judged = self.verdict if verdict is None else verdict
        return describe_shown(self._config, judged, self._record.read_metrics().rows)

    def describe_end(self) -> tuple[str, ...]:
        """What to say of a finished run beside its verdict: what its preset shows, and what V means."""
        from minigan.gan.theory.diagnostics import describe_value

        c, shown = self._config, self.describe_shown()
        value = describe_value(c.objective, self.metrics["value_fn"][-1], c.packing)
        return (shown, value) if shown else (value,)

    # ── pictures ────────────────────────────────────────────────────────────────────────────────────────

    @for_scripts
    def plot(self, panel: str | None = None, *, ax: Any = None) -> Any:
        """The page on the run, a Figure of matplotlib; of a panel's name the Axes with it, yours or new ones.

        Every run has losses, distance, quantiles and verdict; one of one feature densities and discriminator,
        of several scatter and features, of the plane plane, of a target with modes shares and modes, of
        images images, and dirac-… orbit and mean.

        Raises:  UnavailableError – without matplotlib;  ConfigError – for another panel
                 DataError – for a run that is not finished
        """
        from minigan.front.figures import require_matplotlib

        require_matplotlib()
        from minigan.reports import finished_run, overview

        if isinstance(self._record, MemoryRun):
            finished = finished_run.finished_in_memory(self._record, self._opened(), self.verdict)
        else:
            finished = finished_run.read_finished_run(self._record)
        if panel is None:
            if ax is not None:
                raise ConfigError("the page has axes of its own; name a panel to draw on yours")
            return overview.draw_page(finished)
        return overview.draw_panel(panel, finished, ax)

    # ── going on, and keeping it ────────────────────────────────────────────────────────────────────────

    @for_scripts
    def resume(
        self,
        steps: int | None = None,
        *,
        on_evaluation: OnEvaluation | None = None,
        progress: bool | None = None,
        allow_drift: bool = False,
        detect_anomaly: bool = False,
    ) -> Self:
        """Go on where it stopped, bitwise as if it had not; with ``steps`` to that last step, a later one.

        allow_drift  although versions, processor or threads differ; else as ``mg.fit``

        Raises:  as ``mg.fit``, and CheckpointError – if it would not go on bitwise
        """
        return self.go_on(
            steps,
            console=person(progress),
            on_evaluation=on_evaluation,
            allow_drift=allow_drift,
            detect_anomaly=detect_anomaly,
        )

    def go_on(
        self,
        steps: int | None,
        *,
        console: Any,
        on_evaluation: OnEvaluation | None = None,
        allow_drift: bool = False,
        detect_anomaly: bool = False,
    ) -> Self:
        """``resume`` on a console, or none."""
        if self._at != "latest":
            raise ConfigError("a run goes on from its newest checkpoint; load it without at")
        refuse_deaf(on_evaluation)
        of = self._record if isinstance(self._record, MemoryRun) else self._record.path
        steps = None if steps is None else steps_of(steps)
        reopened = reopen(of, lock=True, steps=steps, data=self._data)
        self._record, self._experiment = reopened.run, reopened.experiment
        self._config, self.resumed_from = self._experiment.config, self._experiment.step
        self._experiment.watched = detect_anomaly
        return self.train(
            console=console, on_evaluation=on_evaluation, reopened=reopened, allow_drift=allow_drift
        )

    def train(
        self,
        *,
        console: Any,
        on_evaluation: OnEvaluation | None = None,
        reopened: Reopened | None = None,
        allow_drift: bool = False,
    ) -> Self:
        """Train what was begun or reopened to its end, and write what belongs into its directory.

        console  rich's, for whoever follows it; None for nobody
        """
        record, experiment = self._record, self._opened()
        self._read = self._judged = None
        over = record.previous == "finished" and experiment.step == experiment.config.steps
        with record:
            progress = Progress(console, record, experiment, logged=not over)
            for note in reopened.notes if reopened else ():
                progress.note(f"note: {note}")

            raised = list[Exception]()  # by the caller's function

            def on_row(row: dict[str, Any]) -> object:
                progress.on_row(row)
                try:
                    return None if on_evaluation is None else on_evaluation(plain_row(row))
                except Exception as error:
                    raised.append(error)
                    record.log(f"error: on_evaluation raised {type(error).__name__}: {error}")
                    raise Stopped from error  # as Ctrl-C, so that what was trained is kept

            # A run that keeps nothing on disk leaves no compiled code there either.
            cache = adding_nothing() if isinstance(record, MemoryRun) else nullcontext()
            try:
                with progress, cache:
                    outcome = train(
                        experiment,
                        record,
                        on_row,
                        progress.on_step,
                        resumed=reopened,
                        allow_drift=allow_drift,
                    )
            except (Interrupted, DivergedError) as error:
                ended: Any = raised[0] if raised else error
                with suppress(AttributeError):  # an exception of the caller's may have no room
                    ended.run = self
                raise ended from ended.__cause__
            self._ended, self._judged = outcome, outcome.verdict
            self.files = {} if isinstance(record, MemoryRun) else self._finish(outcome, progress)
        if on_evaluation is not None and hasattr(on_evaluation, "finish"):
            on_evaluation.finish(self)
        return self

    def _finish(self, outcome: Outcome, progress: Progress) -> dict[str, Path]:
        """Draw the page and log what the run has come to; the files of it."""
        from minigan.front import figures

        record, written = self._record, dict(outcome.files)
        try:
            if outcome.new or not written["figure"].exists():
                written["figure"] = figures.save_overview(record)
        except UnavailableError as error:
            del written["figure"]
            progress.note(f"no figure: {error}")
        if outcome.new:
            record.log(outcome.verdict.sentence)
            for finding in outcome.findings:
                said = f"{finding.name}, since step {finding.since_step}"
                record.log(f"{said}: {finding.evidence} {finding.remedy}")
        return written

    @for_scripts
    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the run to a new directory, which ``mg.load`` and the command line read; returns its path.

        Data from memory are in it, as data.npy, or data.csv with their names.

        Raises:  StorageError – if it cannot be written, or is there already
        """
        from minigan.front.keeping import write_run

        path = Path(path_of("path", path))
        if not isinstance(self._record, MemoryRun):
            try:
                shutil.copytree(self._record.path, path, ignore=shutil.ignore_patterns(".lock", ".*.tmp"))
            except (OSError, shutil.Error) as error:
                raise files.storage_error(error, path) from None
            return path
        data = self._data if self._ours else None
        return write_run(path, self._record, self._config, data, self._judged)

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────

    def _trained(self) -> Trained:
        """The generator and the discriminator as of the checkpoint; the data are not needed."""
        if self._read is None:
            self._read = read_generator(self._record, self._at)
        return self._read

    def _opened(self) -> Experiment:
        """All of the run as of the checkpoint, with its data."""
        if self._experiment is None:
            where = self._record if isinstance(self._record, MemoryRun) else self._record.path
            self._experiment = reopen(where, at=self._at, data=self._data).experiment
        return self._experiment

    def _frames(self) -> dict[str, np.ndarray]:
        """The curves along a finished run; empty of others."""
        if isinstance(self._record, MemoryRun):
            return self._record.frames
        path = self._record.path / "frames.safetensors"
        return checkpoint.load(path)[0] if path.exists() else {}

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or another process needs: all but what is made of the checkpoints again."""
        judged = None if self._judged is None else dataclasses.replace(self._judged, evidence=None)
        return self.__dict__ | {"_experiment": None, "_read": None, "_ended": None, "_judged": judged}

    def __repr__(self) -> str:
        return f"<{describe_run(self, self._judged)}>"

    def _repr_html_(self) -> str:
        return run_as_html(self)
