"""The loop: blocks of captured steps, metrics, checkpoints, signals; what a run leaves in its directory."""

import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigan.gan.detectors import Finding, diagnose, remedy
from minigan.lab import checkpoint
from minigan.lab.config import flatten
from minigan.lab.data import Data
from minigan.lab.errors import DivergedError, LabError
from minigan.lab.experiment import Experiment
from minigan.lab.metrics import Observer, expected_modes, verdict
from minigan.lab.run import RunDirectory, write_atomic
from minigan.probability.verdict import Verdict

EARLY = (50, 25, 10, 5, 2)  # the first evaluations, as parts of the usual interval
CHECKPOINT_SECONDS = 10.0  # between two checkpoints while training


class Interrupted(LabError):
    """A signal asked the run to end; its exit code is 128 plus the signal's number."""

    def __init__(self, number: int, where: Path) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; what was trained so far is in {where}")
        self.exit_code = 128 + number


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


def train(
    experiment: Experiment,
    run: RunDirectory,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
    on_step: Callable[[int], None] = lambda step: None,
) -> Outcome:
    """Train to the config's last step; report each row of metrics and each block of steps.

    Raises:  DivergedError – when losses, parameters or samples are no longer finite
             Interrupted – after SIGINT or SIGTERM, with a checkpoint
    """
    from threadpoolctl import threadpool_limits

    config, started, saved = experiment.config, time.perf_counter(), time.perf_counter()
    observer = Observer(experiment)
    threads = threadpool_limits(config.threads, user_api="blas")
    with threads, _signals() as caught, _divergence(experiment, run):
        run.write_status("running", backend_used=experiment.backend.describe())
        row = observer.row(0.0)
        run.append_metrics(row)
        on_row(row)
        while experiment.step < config.steps:
            due = next_evaluation(experiment.step, config.eval_every, config.steps)
            observer.advance(min(experiment.block_length, due - experiment.step))
            _refuse_divergence(experiment)
            on_step(experiment.step)
            if experiment.step == due:
                row = observer.row(time.perf_counter() - started)
                run.append_metrics(row)
                on_row(row)
            stopped = caught and experiment.step < config.steps
            if stopped or time.perf_counter() - saved > CHECKPOINT_SECONDS or experiment.step == config.steps:
                save(experiment, run)
                saved = time.perf_counter()
            if stopped:
                run.write_status("interrupted", step=experiment.step)
                raise Interrupted(caught[0], run.path)
        return _finish(experiment, run, observer, row, started)


def next_evaluation(step: int, every: int, last: int) -> int:
    """The next step with an evaluation: a few early ones, when most happens, then every ``every`` steps."""
    early = [every // part for part in EARLY if every // part > step]
    return min([*early, (step // every + 1) * every, last])


def save(experiment: Experiment, run: RunDirectory) -> None:
    """Write a checkpoint of this moment."""
    checkpoint.save_step(
        run, experiment.step, experiment.arrays(), {"step": experiment.step, "data": experiment.digest}
    )


@contextmanager
def _divergence(experiment: Experiment, run: RunDirectory) -> Iterator[None]:
    """Numbers may overflow here without a warning each: after every block we look for what is not finite."""
    try:
        with np.errstate(all="ignore"):
            yield
    except DivergedError as error:
        run.write_status("diverged", step=experiment.step)
        advice = remedy("diverged", flatten(experiment.config))
        raise DivergedError(
            f"{error}; {advice[0].lower()}{advice[1:]}; the run so far is in {run.path}"
        ) from None


def _refuse_divergence(experiment: Experiment) -> None:
    d, g = (loss.item() for loss in experiment.losses())
    if not (math.isfinite(d) and math.isfinite(g)):
        step = experiment.step
        raise DivergedError(f"the losses stopped being finite before step {step} (D {d:.3g}, G {g:.3g})")
    for network in (experiment.generator, experiment.discriminator, experiment.averaged):
        θ = network.parameters.flat.numpy()
        if not np.isfinite(θ).all():  # the last update's doing, which no loss has seen
            raise DivergedError(f"the parameters stopped being finite before step {experiment.step}")


def _finish(
    experiment: Experiment, run: RunDirectory, observer: Observer, row: dict[str, Any], started: float
) -> Outcome:
    judged, sample = verdict(experiment, experiment.config.eval_samples)
    files = {
        "metrics": run.path / "metrics.jsonl",
        "frames": run.path / "frames.safetensors",
        "verdict": run.path / "verdict.json",
        "figure": run.plots / "overview.png",
    }
    checkpoint.save(files["frames"], {**observer.frames, "sample": sample}, {"kind": "frames"})
    write_atomic(files["verdict"], json.dumps(judged.as_dict(), indent=2).encode() + b"\n")
    seconds = time.perf_counter() - started
    findings = find_failures(run, experiment)
    run.write_status(
        "finished",
        step=experiment.step,
        seconds=round(seconds, 3),
        program_threads=experiment.program_threads,
        findings=[finding.as_dict() for finding in findings],
    )
    return Outcome(run.path, row, judged, findings, files, seconds)


def find_failures(run: RunDirectory, experiment: Experiment) -> tuple[Finding, ...]:
    """What went wrong, by the metrics that the run has written so far."""
    return diagnose(run.read_metrics().rows, flatten(experiment.config), expected_modes(experiment))


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM is noted and the loop ends at the next block; a second one acts at once."""
    caught: list[int] = []

    def note(number: int, _frame: Any) -> None:
        caught.append(number)
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:  # not the main thread: its owner handles signals
        before = {}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def reopen(path: str | Path) -> tuple[RunDirectory, Experiment, list[str]]:
    """The experiment that a run directory holds, as of its newest good checkpoint; notes about damaged ones.

    Raises:  DataError, CheckpointError, ConfigError – where directory, checkpoint or configuration is refused
    """
    from minigan.lab.config import check, from_json
    from minigan.lab.data import read_data
    from minigan.lab.errors import CheckpointError, DataError

    run = RunDirectory.open(path)
    config = from_json(run.read_config())
    data: Data | None = None
    if config.data is not None:
        data = read_data(config.data, columns=config.columns, drop_nonfinite=config.drop_nonfinite)
    check(config, features=None if data is None else data.values.shape[1])  # it may come from anyone
    experiment = Experiment(config, data=data)
    newest = checkpoint.latest(run)
    if newest.state.get("data") != experiment.digest:
        raise DataError(f"the data in {config.data} are not those the run was trained on; restore them")
    expected = {name: (array.shape, array.dtype) for name, array in experiment.arrays().items()}
    checkpoint.require(newest.arrays, expected)
    step, finite = newest.state.get("step"), all(np.isfinite(array).all() for array in newest.arrays.values())
    if type(step) is not int or step < 0 or not finite:
        raise CheckpointError(
            f"the checkpoint {newest.path} holds no step count, or numbers that are not finite; "
            "use an older one"
        )
    experiment.load(newest.arrays, step)
    return run, experiment, list(newest.warnings)
