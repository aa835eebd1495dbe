"""What a finished run left on disk, read and checked: all that its page shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from minigan.errors import DataError, quoted
from minigan.evaluation.modes import Modes, modes_of
from minigan.evaluation.verdict import Verdict
from minigan.probability.distributions import Distribution
from minigan.probability.text_form import parse
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory
from minigan.storage.memory import MemoryRun
from minigan.training.config import Config, NetworkConfig
from minigan.training.draws import stream
from minigan.training.experiment import Experiment
from minigan.training.promises import Shown
from minigan.training.saved import config_of, not_finite, read_verdict
from minigan.training.scatter import SIDE
from minigan.training.settings import shown_by
from minigan.training.units import Units, standard_units, user_units

OTHERS = ("modes", "hq", "reverse_kl", "mean")  # that only some targets have
METRICS = ("step", "value_fn", "value_optimal", "d_loss", "g_loss", "ks")  # that are shown


@dataclass(frozen=True)
class Columns:
    """Named columns of a sample and of the real rows beside it.    Shapes:  sample (n, k), real (m, k)"""

    names: tuple[str, ...]
    sample: np.ndarray
    real: np.ndarray


class Labelled(NamedTuple):
    """The label of a conditional run, its classes, and the numbers of those of its rows, real and made.

    Shapes:  real (m,), made (n,)
    """

    label: str

    classes: tuple[str, ...]
    real: np.ndarray
    made: np.ndarray


class Learned(NamedTuple):
    """The distribution of one feature, or the modes and rows that judge several; names of features; units."""

    distribution: Distribution | None
    modes: Modes | None
    real: np.ndarray
    names: tuple[str, ...]
    units: Units
    label: str = ""
    classes: tuple[str, ...] = ()  # of a conditional run
    codes: np.ndarray | None = None  # of the real rows


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run left behind; its target is ``distribution``, or where None the one behind ``real``.

    ``modes`` are those of a target of several features, where it has any; ``units`` those of the networks.
    """

    config: Config
    status: dict[str, Any]
    metrics: dict[str, np.ndarray]
    frames: dict[str, np.ndarray]
    sample: np.ndarray
    verdict: Verdict
    distribution: Distribution | None
    real: np.ndarray
    names: tuple[str, ...]
    modes: Modes | None
    units: Units
    told: Labelled | None = None

    @property
    def labelled(self) -> Labelled:
        """The classes of a conditional run.    Raises:  ValueError – of another"""
        if self.told is None:
            raise ValueError("this run learned no label")
        return self.told

    @cached_property
    def shown(self) -> Shown | None:
        """What its preset sets out to show, where that is more than the verdict, and whether it does."""
        return shown_by(self.config, self.verdict, self.lines)

    @property
    def several(self) -> bool:
        """Whether it has more than one feature."""
        return self.sample.shape[1] > 1

    @property
    def lines(self) -> Iterator[dict[str, float]]:
        """The lines of its metrics, NaN where there was nothing."""
        for values in zip(*self.metrics.values(), strict=True):
            yield dict(zip(self.metrics, map(float, values), strict=True))

    @property
    def rows(self) -> Columns:
        """The rows as they are."""
        return Columns(self.names, self.sample, self.real)

    @property
    def target(self) -> str:
        """What the target is called."""
        return "data" if self.config.data is not None else "target"


def read_finished_run(run: RunDirectory) -> FinishedRun:
    """All of a finished run.

    Raises:  DataError – if it is not finished, or its files do not fit each other;  CheckpointError – if its
             frames are damaged
    """
    status, config = run.read_status(), config_of(run)
    for name in ("verdict.json", "frames.safetensors"):
        if not (run.path / name).is_file():
            raise DataError(
                f"{quoted(str(run.path))} has no {name}, which a figure needs (its status is "
                f"{quoted(status.get('status', 'unknown'))}); train the run to its end first"
            )
    verdict = read_verdict(run.path / "verdict.json")
    frames, _ = checkpoint.load(run.path / "frames.safetensors")
    if bad := not_finite(frames):
        raise DataError(
            f"{quoted(str(run.path / 'frames.safetensors'))} holds numbers that are not finite, in "
            f"{quoted(bad)}; make it anew with `minigan train --resume`"
        )
    return _finished(run, status, config, frames, verdict, _read_target(config))


def finished_in_memory(run: MemoryRun, experiment: Experiment, verdict: Verdict) -> FinishedRun:
    """The same of a run that no file has.

    Raises:  DataError – if it is not finished
    """
    status = run.read_status()
    if not run.frames:
        raise DataError(f"a figure needs a finished run, and this one is {status.get('status')}; resume() it")
    frames, target = dict(run.frames), _target_of(experiment)
    return _finished(run, status, experiment.config, frames, verdict, target)


def _finished(
    run: RunDirectory,
    status: dict[str, Any],
    config: Config,
    frames: dict[str, np.ndarray],
    verdict: Verdict,
    target: Learned,
) -> FinishedRun:
    """What was found of a run, its parts held against each other."""
    metrics, sample = _read_metrics(run, config.objective), _take_sample(frames, run, len(target.names))
    told = _take_classes(frames, run, target, len(sample))
    if sample.shape[1] == 1:
        _check_curves(frames, run)
    if "plane_d" in frames:
        _check_plane(frames, run)
    if "cloud" in frames:
        _check_scatter(frames, run, len(target.names))
    return FinishedRun(
        config, status, metrics, frames, sample, verdict, target.distribution, target.real, target.names,
        target.modes, target.units, told,
    )  # fmt: skip


def _read_metrics(run: RunDirectory, objective: str) -> dict[str, np.ndarray]:
    rows = run.read_metrics().rows
    if not rows or any(name not in rows[0] for name in METRICS):
        raise DataError(f"{quoted(str(run.path))} holds no metrics of a training run in metrics.jsonl")
    try:
        metrics = {name: np.array([row[name] for row in rows], "float64") for name in METRICS}  # null: NaN
    except ValueError:
        raise DataError(
            f"{quoted(str(run.path / 'metrics.jsonl'))} holds text where numbers belong"
        ) from None
    for name in OTHERS:
        metrics[name] = np.array([np.nan if row.get(name) is None else row[name] for row in rows], "float64")
    if "implied" not in rows[-1] and objective not in ("minimax", "non_saturating"):
        for name in ("value_fn", "value_optimal"):  # of older runs: the cross-entropy, whatever the objective
            metrics[name][:] = np.nan
    return metrics


def _take_sample(frames: dict[str, np.ndarray], run: RunDirectory, features: int) -> np.ndarray:
    sample = frames.pop("sample", np.empty(0))
    if sample.ndim != 2 or len(sample) < 2 or sample.shape[1] != features:
        raise DataError(
            f"{quoted(str(run.path))} holds no sample of {features} features, as its target has; "
            "if the data file was changed since, restore it"
        )
    return sample


def _take_classes(
    frames: dict[str, np.ndarray], run: RunDirectory, target: Learned, count: int
) -> Labelled | None:
    """The classes of the rows of a conditional run; None of another."""
    made, K = frames.pop("sample_class", None), len(target.classes)
    if not K:
        return None
    if made is None or made.shape != (count,) or not np.isin(made, np.arange(K)).all():
        raise DataError(f"{quoted(str(run.path))} holds no sample of the {K} classes that its target has")
    real = np.empty(0, int) if target.codes is None else target.codes
    shapes = {
        name: frames[name].shape
        for name in ("class_p", "class_q", "class_d", "class_plane", "class_axes")
        if name in frames
    }
    side = np.shape(frames.get("class_axes", ()))[-1:]
    inner = {"class_plane": (*side, *side), "class_axes": (2, *side)}
    bins = np.shape(frames.get("p", ()))
    for name, (classes, *size) in shapes.items():
        if tuple(size) != inner.get(name, bins) or not 0 < classes <= K:
            raise DataError(f"the curves of classes in {quoted(str(run.path))} do not fit each other")
    return Labelled(target.label, target.classes, real, made.astype(int))


def _check_curves(frames: dict[str, np.ndarray], run: RunDirectory) -> None:
    """p, q and D of one feature at the recorded steps, and what D could know at one, if that is there."""
    count, bins = np.size(frames.get("step", ())), np.size(frames.get("p", ()))
    curves = dict.fromkeys(("q", "average", "d"), (count, bins))
    looks = np.size(frames.get("best_after", ())) - 1
    sizes = {  # of any or none of them
        "best_step": (1,), "best_d": (bins,), "best_value": (1,),
        "best_after": (looks + 1,), "best_path": (looks, bins),
    }  # fmt: skip
    best = {name: shape for name, shape in sizes.items() if name in frames}
    frames = {name: array for name, array in frames.items() if not name.startswith("class_")}
    shapes = {"step": (count,), "edges": (bins + 1,), "p": (bins,), **curves, **best}
    if count < 1 or bins < 2 or {name: array.shape for name, array in frames.items()} != shapes:
        raise DataError(f"the curves in {quoted(str(run.path / 'frames.safetensors'))} do not fit each other")


def _check_scatter(frames: dict[str, np.ndarray], run: RunDirectory, features: int) -> None:
    """Rows of two features at the recorded steps, and of two features D over their plane."""
    count, rows = np.size(frames.get("step", ())), np.shape(frames["cloud"])
    pair = np.array(frames.get("pair", ()))
    fits = len(rows) == 3 and rows[::2] == (count, 2) and min(rows) > 0
    fits = fits and pair.shape == (2,) and set(pair.tolist()) <= set(range(features))
    if features == 2:
        shapes = {"field": (count, SIDE, SIDE), "field_x": (SIDE,), "field_y": (SIDE,)}
        fits = fits and all(np.shape(frames.get(name, ())) == shape for name, shape in shapes.items())
    if not fits:
        raise DataError(f"the rows in {quoted(str(run.path / 'frames.safetensors'))} do not fit each other")


def _check_plane(frames: dict[str, np.ndarray], run: RunDirectory) -> None:
    width, height = (np.shape(frames.get(name, ())) for name in ("plane_x", "plane_y"))
    if frames["plane_d"].shape != height + width or len(height) != 1 or min(*width, *height) < 2:
        raise DataError(
            f"D over the plane in {quoted(str(run.path / 'frames.safetensors'))} does not fit its axes"
        )


def _read_target(config: Config) -> Learned:
    """What a configuration has its run learn."""
    distribution = None if config.data is not None or config.label is not None else parse(config.target)
    if isinstance(distribution, Distribution):
        standard = standard_units(distribution, stream(config.seed, "scale")) if config.standardise else None
        return Learned(distribution, None, np.empty((0, 1)), ("x",), standard or user_units(1))
    import msgspec

    from minigan.training.data import read_configured

    data = read_configured(config)  # None for a target
    # Only the rows that judge are wanted: the smallest networks will do, on the backend that is everywhere.
    bare = NetworkConfig(widths=())
    config = msgspec.structs.replace(config, backend="numpy", generator=bare, discriminator=bare)
    return _target_of(Experiment(config, data=data))


def _target_of(experiment: Experiment) -> Learned:
    """What an experiment learns."""
    known = None if experiment.config.data is not None else experiment.distribution
    one = known if isinstance(known, Distribution) else None
    real = np.empty((0, 1)) if one is not None else np.asarray(experiment.held_out)
    modes = None if one is not None or known is None else modes_of(known)
    found = Learned(one, modes, real, experiment.names, experiment.units)
    if experiment.labels is None:
        return found
    labels = experiment.labels
    return found._replace(label=labels.name, classes=labels.classes, codes=experiment.held_classes)
