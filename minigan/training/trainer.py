"""The training loop: blocks of steps, metrics, checkpoints, signals; for one run, or for many as one program.

A run that was interrupted or killed goes on from its newest good checkpoint with the bits that it would have
had: random numbers are found by the step's index, and all else that a step reads is in the checkpoint.
"""

import json
import math
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigan.compiler.executions import compiler_of
from minigan.errors import CheckpointError, DivergedError, MiniganError, quoted
from minigan.evaluation.verdict import Verdict
from minigan.gan.detectors import Finding, diagnose, remedy
from minigan.machine import environment, pinned
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory
from minigan.training.config import flatten, to_json
from minigan.training.experiment import Experiment
from minigan.training.metrics import Observer, expected_modes, next_evaluation, verdict, with_classes
from minigan.training.saved import BITS, FRAMES, Reopened, describe_drift, not_finite, read_verdict
from minigan.training.savings import Moment, Savings
from minigan.training.signals import Interrupted, Terminated, noted, signal_main
from minigan.training.steps import Steps

PATIENCE = 0.5  # s of training between two looks at what a signal asked for
LOOK = 0.5  # s that an evaluation has left when a signal asks for the end


@dataclass(frozen=True)
class Outcome:
    """A finished run: its directory, the last metrics, the verdict, what went wrong, the files that a person
    wants to open.
    """

    path: Path
    row: dict[str, Any]
    verdict: Verdict
    findings: tuple[Finding, ...]
    files: dict[str, Path]
    seconds: float
    new: bool = True  # else it was there before, and is read back


class Session:
    """One run while it trains: its experiment, its directory, and what a checkpoint has to remember.

    best    whether the run's page will show a D that was trained to the end
    on_row  is given each line of metrics, and ends the run with what it has by returning "stop"
    """

    def __init__(
        self,
        experiment: Experiment,
        run: RunDirectory,
        on_row: Callable[[dict[str, Any]], object] = lambda row: None,
        *,
        best: bool = True,
    ) -> None:
        self.experiment, self.run, self._on_row = experiment, run, on_row
        self.observer = Observer(experiment, best=best)
        self._config: dict[str, Any] = json.loads(to_json(experiment.config))
        self._rows, self._row = 0, dict[str, Any]()
        self.savings = Savings(run, math.inf, None)
        self._finished: Outcome | None = None  # of a run that was before this process
        self._judged: Verdict
        self._resumed = False  # whether from a checkpoint
        self._lengths: list[list[int]] = []  # that the run had before it was made longer
        self._trained, self._started = 0.0, time.perf_counter()  # seconds before this process
        self._bits: dict[str, Any] = {}
        self.ending = False  # whether whoever was given the last line of metrics ends the run with it
        self._watched = False  # whether any step so far was, and so is not bitwise what it is unwatched

    def start(self, resumed: Reopened | None, allow_drift: bool) -> None:
        """Begin, or go on with what was reopened; BLAS has its threads by now.

        Raises:  CheckpointError – if that was made with other versions, processor or threads
        """
        if resumed is not None and self.run.previous == "finished":
            self._finished = self._read_outcome(resumed)
            if self._finished is not None:
                return
        here, backend = environment(), self.experiment.backend.describe()
        more = self._compiler(None if resumed is None else resumed.state.get("executed"))
        self._bits = {name: here[name] for name in BITS} | {"device": backend}
        if resumed is not None:
            drift = describe_drift(resumed.state, self._bits | more, self._config)
            if drift and not allow_drift:
                raise CheckpointError(
                    f"the run would not go on bitwise: {drift}; go on where it began, or add --allow-drift"
                )
            self.resume(resumed.arrays, resumed.state)
            self._watched = resumed.state.get("watched") is True
        self._watched |= self.experiment.watched
        self.run.write_status("running", backend_used=backend, watched=self._watched)

    def _compiler(self, executed: str | None) -> dict[str, str]:
        """What compiles steps that are executed so, or as the configuration asks."""
        compiler = compiler_of(executed or self.experiment.config.execution)
        return {} if compiler is None else {"compiler": compiler}

    def _read_outcome(self, resumed: Reopened) -> Outcome | None:
        """What a run has come to that is at its end, as its files say; None where that is to be made."""
        run, experiment = self.run, self.experiment
        if experiment.step < experiment.config.steps:
            return None
        paths = self._paths()
        try:
            judged, rows = read_verdict(paths["verdict"]), run.read_metrics().rows
            frames, _ = checkpoint.load(paths["frames"])
        except MiniganError:
            return None
        if not_finite(frames):
            return None
        seconds: Any = run.read_status().get("seconds", resumed.state.get("seconds"))
        needed = [
            seconds,
            *(rows[-1].get(name) if rows else None for name in ("ks", "value_fn", "implied")),
        ]
        if not all(isinstance(number, (int, float)) for number in needed):
            return None
        found = find_failures(run, experiment)
        return Outcome(run.path, rows[-1], judged, found, paths, float(seconds), new=False)

    def resume(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
        """Go on from a checkpoint, whose arrays the experiment has; from the beginning where there is none.

        Raises:  CheckpointError – if arrays or state are not those of this experiment
        """
        self.observer.restore(arrays)
        best, seconds, rows = (state.get(key, 0) for key in ("best", "seconds", "rows"))
        numbers = (0 if best is None else best, seconds, rows)
        if not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers):
            raise CheckpointError(
                f"the state of the checkpoint of {quoted(str(self.run.path))} has no numbers where it must; "
                "use an older one"
            )
        self._resumed = bool(state)
        if state:
            self._trained, self._lengths = float(seconds), state.get("lengths", [])
            file = checkpoint.best_of(self.run, state)
            if file is not None:
                least = math.inf if best is None else float(best)
                self.savings = Savings(self.run, least, checkpoint.step_of(file))
            elif best is not None:
                self.run.log("note: the best checkpoint is not there; from here on the best is sought anew")
        kept = self.run.cut_metrics(self.experiment.step if state else -1)
        self._rows, self._row = len(kept.rows), dict(kept.rows[-1]) if kept.rows else {}
        if self._rows != rows or kept.skipped:
            lost = max(rows - self._rows, kept.skipped)
            self.run.log(f"note: {lost} lines of metrics are lost; training does not need them")

    @property
    def seconds(self) -> float:
        """Trained so far, by this process and those before it."""
        return self._trained + time.perf_counter() - self._started

    def begin(self) -> None:
        """The first line of metrics, where it is not there."""
        if not self._resumed:
            self.evaluate()

    def evaluate(self) -> None:
        """Write a line of metrics.

        Raises:  DivergedError – if what the networks return is not finite
        """
        self._row = self.observer.row(self.seconds)
        self.run.append_metrics(self._row)
        self._rows += 1
        self.savings.offer(self._row["ks"], self.experiment.step, self.moment)
        self.ending = self._on_row(self._row) == "stop"

    def moment(self) -> Moment:
        """What a checkpoint holds of this moment.

        Raises:  DivergedError – if one of its numbers is not finite, as of an optimiser that overflowed
        """
        experiment = self.experiment
        arrays = experiment.arrays()
        arrays |= {f"{FRAMES}{name}": array for name, array in self.observer.memory().items()}
        if (name := not_finite(arrays)) is not None:
            raise DivergedError(f"{name} stopped being finite before step {experiment.step}")
        best, best_step = self.savings.best, self.savings.best_step
        state = {
            "config": self._config,
            "lengths": self._lengths,
            **experiment.learned,
            "rows": self._rows,
            "seconds": round(self.seconds, 3),
            "best": best if math.isfinite(best) else None,
            "environment": self._bits | self._compiler(experiment.executed),
            "executed": experiment.executed,
            "watched": self._watched,
        }
        return Moment(experiment.step, arrays, state, best_step)

    def save(self, keep: int) -> None:
        """Write a checkpoint of this moment, and of the best.    Raises:  DivergedError – as ``moment``"""
        self.savings.save(self.moment(), keep)

    def refuse_divergence(self) -> None:
        """Raises:  DivergedError – if the last losses, or the parameters, are not finite"""
        experiment = self.experiment
        d, g = (loss.item() for loss in experiment.losses())
        if not (math.isfinite(d) and math.isfinite(g)):
            step = experiment.step
            raise DivergedError(f"the losses stopped being finite before step {step} (D {d:.3g}, G {g:.3g})")
        for network in (experiment.generator, experiment.discriminator, experiment.averaged):
            θ = network.parameters.flat.numpy()
            if not np.isfinite(θ).all():  # the last update's doing, which no loss has seen
                raise DivergedError(f"the parameters stopped being finite before step {experiment.step}")

    def judge(self) -> None:
        """Judge the generator, and write down what its status then says is there.

        Raises:  DivergedError – if its samples are not finite
        """
        if self._finished is None:
            self._judged, sample = verdict(self.experiment, self.experiment.config.eval_samples)
            checkpoint.save_frames(
                self.run, {**self.observer.frames, **with_classes(self.experiment, sample)}
            )
            self.run.write_verdict(self._judged.as_dict())

    def finish(self) -> Outcome:
        """What a run that was judged has come to; its status says so."""
        if self._finished is not None:
            return self._finished
        run, experiment = self.run, self.experiment
        seconds, findings = self.seconds, find_failures(run, experiment)
        run.write_status(
            "finished",
            step=experiment.step,
            seconds=round(seconds, 3),
            program_threads=experiment.program_threads,
            executed=experiment.executed,
            **self._compiler(experiment.executed),
            findings=[finding.as_dict() for finding in findings],
        )
        return Outcome(run.path, self._row, self._judged, findings, self._paths(), seconds)

    def _paths(self) -> dict[str, Path]:
        run = self.run
        return {
            "metrics": run.path / "metrics.jsonl",
            "frames": run.path / "frames.safetensors",
            "verdict": run.path / "verdict.json",
            "figure": run.plots / "overview.png",
        }

    def diverge(self, error: DivergedError, keep: int) -> DivergedError:
        """Write down that the run diverged, and what was good; the error with what to do about it."""
        self.savings.end(keep)
        self.run.sync()
        self.savings.tidy()
        self.run.write_status("diverged", step=self.experiment.step)
        advice = remedy("diverged", flatten(self.experiment.config))
        found = f"the run so far is in {self.run.path}"
        if not self.experiment.watched:
            found += f", and {self.run.resuming} --detect-anomaly names the operation"
        advised = DivergedError(f"{error}; {advice[0].lower()}{advice[1:]}; {found}")
        self.run.log(f"error: {advised}")
        return advised

    def abandon(self, status: str, error: BaseException, keep: int) -> None:
        """Write down, where it can be written, why the run ends here, and what it would lose."""
        ours = isinstance(error, (MiniganError, Interrupted))
        why = f"error: {error}" if ours else "".join(traceback.format_exception(error))
        step = self.experiment.step
        with suppress(MiniganError):
            self.savings.end(keep)
            step = self.savings.newest(step) if status == "interrupted" else step
        with suppress(MiniganError):
            self.run.log(why)
            self.run.write_status(status, step=step)


def train(
    experiment: Experiment,
    run: RunDirectory,
    on_row: Callable[[dict[str, Any]], object] = lambda row: None,
    on_step: Callable[[int], None] = lambda step: None,
    *,
    resumed: Reopened | None = None,
    allow_drift: bool = False,
) -> Outcome:
    """Train to the config's last step; report each row of metrics and each block of steps.

    on_row       may return "stop": the run ends with what it has, a checkpoint and the verdict
    resumed      what ``reopen`` gave, to go on with
    allow_drift  go on although this machine does not compute bitwise as the one before

    Raises:  DivergedError – when losses, parameters or samples are no longer finite
             Interrupted – after SIGINT, SIGTERM or SIGHUP, with a checkpoint
             CheckpointError – for a checkpoint of another machine, or versions
    """
    session = Session(experiment, run, on_row)
    past = None if resumed is None else [resumed]
    (outcome,) = train_together(experiment, [session], on_step, resumed=past, allow_drift=allow_drift)
    if isinstance(outcome, DivergedError):
        raise outcome
    return outcome


def train_together(
    steps: Steps,
    sessions: Sequence[Session],
    on_step: Callable[[int], None] = lambda step: None,
    *,
    resumed: Sequence[Reopened] | None = None,
    allow_drift: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> list[Outcome | DivergedError]:
    """Train the experiments of ``steps``, one session each; what became of each, in order.

    stop  asked at every block whether to end as after SIGTERM, which reaches the main thread alone

    Raises:  Interrupted, CheckpointError – as ``train``
    """
    config, runs = steps.config, _Runs(steps, sessions)
    try:
        # Numbers may overflow without a warning each: after every block we look for what is not finite.
        with pinned(config.threads), np.errstate(all="ignore"):
            runs.start(resumed, allow_drift)
            with noted(runs.hurry) as caught:
                runs.begin()
                while runs.alive and steps.step < config.steps and not runs.ending:
                    due = next_evaluation(steps.step, config.eval_every, config.steps)
                    runs.advance(due)
                    runs.each(Session.refuse_divergence)
                    on_step(steps.step)
                    if steps.step == due:
                        runs.evaluate(Session.evaluate, caught)
                    if not caught and stop():
                        caught.append(signal.SIGTERM)
                    if caught or runs.want_saving():
                        runs.save()
                        if caught and runs.alive:  # not of a signal since, which finds no checkpoint
                            raise runs.interrupted(caught[0])
                if runs.ending and steps.step < config.steps:
                    runs.save()
            return runs.finish()
    except BaseException as error:
        if runs.evaluating and isinstance(error, KeyboardInterrupt):
            error = runs.interrupted(error.number if isinstance(error, Terminated) else signal.SIGINT)
        runs.abandon(error)
        raise error


class _Runs:
    """The runs that train together, and what becomes of them.

    alive    those that have not diverged, by their number
    outcomes of the others, and of all in the end
    """

    def __init__(self, steps: Steps, sessions: Sequence[Session]) -> None:
        self.steps, self.config, self.alive = steps, steps.config, dict(enumerate(sessions))
        self._first = sessions[0]
        self.outcomes: dict[int, Outcome | DivergedError] = {}
        # A kill between the checkpoints of several runs leaves the step before as the last that all have.
        keep = self.config.checkpoint_keep
        self._keep = keep if len(sessions) == 1 else max(keep, 2)
        self._pace, self._saved = 1.0, 0.0  # steps between two looks at a signal; when all were saved last
        self.evaluating, self._looked = False, 0.0  # whether they are evaluated; the s that it took last

    def each(self, action: Callable[[Session], Any]) -> dict[int, Any]:
        """What the action gives for every run; one that turns out to have diverged is left behind."""
        self.steps.settle()
        given = {}
        for k, session in list(self.alive.items()):
            try:
                given[k] = action(session)
            except DivergedError as error:
                self._leave(k, error)
        return given

    def _leave(self, k: int, error: DivergedError) -> None:
        self.outcomes[k] = self.alive.pop(k).diverge(error, self._keep)

    def start(self, resumed: Sequence[Reopened] | None, allow_drift: bool) -> None:
        """Begin or go on, with BLAS as it will be."""
        for k, session in self.alive.items():
            session.start(None if resumed is None else resumed[k], allow_drift)
        kept = resumed[0].state.get("executed") if resumed and not allow_drift else None
        self.steps.go_on_as(kept)

    def begin(self) -> None:
        """The first line of metrics, before any step, and the clock of their checkpoints."""
        if self.steps.step == 0:
            self.evaluate(Session.begin)
        self._saved = time.perf_counter()

    def evaluate(self, action: Callable[[Session], None], caught: Sequence[int] = ()) -> None:
        """Let each write a line of metrics; after ``LOOK`` a signal cuts that off.

        Raises:  Interrupted, KeyboardInterrupt – then; the step before gets a checkpoint
        """
        if caught and self._looked > LOOK:
            raise self.interrupted(caught[0])
        self.evaluating, began = True, time.perf_counter()
        self.each(action)
        self.evaluating, self._looked = False, time.perf_counter() - began
        self.each(lambda session: session.savings.release())

    def hurry(self, number: int) -> None:
        """Have a signal that was noted act soon, if an evaluation goes on by then, or a compiler works."""

        def act() -> None:
            if self.evaluating:
                signal_main(number)

        timer = threading.Timer(LOOK, act)
        timer.daemon = True
        timer.start()

    def interrupted(self, number: int) -> Interrupted:
        """What ends them after a signal."""
        return Interrupted(number, str(self._first.run.path), self._first.run.resuming)

    def advance(self, due: int) -> None:
        """Train to the step that is ``due``, or as far as a signal and the block of numbers let it."""
        left = due - self.steps.step
        count = min(self.steps.block_length, left, max(1, int(self._pace)))
        began, executed = time.perf_counter(), self.steps.executed
        self.evaluating = executed is None  # what is compiled may be cut off as well
        try:
            if count == left:  # the last step before an evaluation is measured alone
                self.steps.advance(count - 1)
                if self._looked > LOOK and self.steps.step:  # what a signal may cut off
                    self.each(lambda session: session.savings.hold(session.moment()))
                self.each(lambda session: session.observer.remember())
                self.steps.advance(1)
            else:
                self.steps.advance(count)
        except DivergedError as error:  # of a run that is watched, and so alone
            self._leave(0, error)
        self.evaluating, program = False, self.steps.program
        if program is not None and program.note and self.steps.executed != executed:
            self.each(lambda session: session.run.log(f"note: {program.note}"))
        self._pace = PATIENCE * count / max(time.perf_counter() - began, 1e-9)

    @property
    def ending(self) -> bool:
        """Whether each is to end where it is."""
        return all(session.ending for session in self.alive.values())

    def want_saving(self) -> bool:
        """Whether a checkpoint is due: by the clock, or as the last."""
        late = time.perf_counter() - self._saved >= self.config.checkpoint_seconds
        return late or self.steps.step == self.config.steps

    def sync(self) -> None:
        """Make what was written so far last, where each did not do so by itself."""
        self._first.run.sync()  # they are on one file system

    def save(self) -> None:
        """A checkpoint of each, after the lines of metrics that it counts, and before it is missed."""
        self.sync()
        self.each(lambda session: session.save(self._keep))
        crowded = any(session.savings.crowded for session in self.alive.values())
        if crowded or self.steps.step < self.config.steps:  # else ``finish`` does, and nothing is removed
            self.sync()
            self.each(lambda session: session.savings.tidy())
        self._saved = time.perf_counter()

    def finish(self) -> list[Outcome | DivergedError]:
        """Judge those that have come to the end; what became of each, in order."""
        self.each(Session.judge)
        self.sync()  # a status of "finished" says that all else is there
        self.outcomes |= self.each(Session.finish)
        self.sync()
        return [self.outcomes[k] for k in sorted(self.outcomes)]

    def abandon(self, error: BaseException) -> None:
        """Write down of each why it ends here."""
        stopped = isinstance(error, KeyboardInterrupt)
        for session in self.alive.values():
            session.abandon("interrupted" if stopped else "failed", error, self._keep)
        with suppress(MiniganError):
            self.sync()
            for session in self.alive.values():
                session.savings.tidy()


def find_failures(run: RunDirectory, experiment: Experiment) -> tuple[Finding, ...]:
    """What went wrong, by the metrics that the run has written so far."""
    return diagnose(run.read_metrics().rows, flatten(experiment.config), expected_modes(experiment))
