"""What a run directory holds, read back and vetted: the experiment to go on with, or the generator alone.

A run directory may come from anyone. A checkpoint holds the configuration it was made with, and is not read
as that of another.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergedError,
    MiniganError,
    UnavailableError,
    quoted,
)
from minigan.evaluation.two_sample import KSResult
from minigan.evaluation.verdict import LEVEL, OfClass, Power, Row, Shortfall, Verdict
from minigan.nn.network import layers_of
from minigan.storage import checkpoint, files
from minigan.storage.directory import STOPPED, RunDirectory
from minigan.storage.memory import MemoryRun
from minigan.training.config import Config, flatten, replace, to_json
from minigan.training.data import Data, read_configured
from minigan.training.draws import stream
from minigan.training.experiment import Experiment, course, get_backend, make_network
from minigan.training.labels import restored
from minigan.training.limits import check
from minigan.training.sampler import Sampler, apply, probability
from minigan.training.settings import from_json
from minigan.training.units import Units, numbered

OWN_DATA = "data.npy", "data.csv"  # what a run in a directory calls data from memory, which it holds itself
FRAMES = "frames."  # what the names of the observer's arrays begin with in a checkpoint
FREE = ("name", "data", "checkpoint_seconds", "checkpoint_keep")  # settings on which no result depends; of
# the data the digest decides, wherever they are
ROUNDING = ("backend", "execution", "threads")  # settings that change how results round
BITS = ("minigan", "numpy", "scipy", "platform", "cpu", "blas")  # of the environment: what bits depend on
TRIED = 1000  # rows by which a generator is found to return finite numbers


class NotFiniteError(CheckpointError):
    """A checkpoint whose digest is right and whose numbers are not finite."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(what)
        self.step = step


class Reopened(NamedTuple):
    """What a run directory holds: the experiment as of a checkpoint, and notes about it.

    arrays  the observer's, by name; state what else the checkpoint says, empty where there is none yet
    """

    run: RunDirectory
    experiment: Experiment
    notes: tuple[str, ...]
    arrays: dict[str, np.ndarray]
    state: dict[str, Any]


class Trained(NamedTuple):
    """A generator as a checkpoint holds it; the data that it learned are not needed.

    arrays  of the three networks, shift and scale, by name
    sizes   of the layers of each network
    """

    run: RunDirectory
    config: Config
    step: int
    names: tuple[str, ...]
    sizes: dict[str, tuple[int, ...]]
    arrays: dict[str, np.ndarray]
    sampler: Sampler
    notes: tuple[str, ...]

    def sample(self, count: int, index: int = 0, block: int = 0, condition: Any = None) -> np.ndarray:
        """``count`` generated rows, those of draw ``index``, in blocks of so many if not 0; of a class, or of
        one for each row.

        Shapes:  → (count, p)

        Raises:  DivergedError – if they are not finite, with the newest checkpoint whose rows are
                 ConfigError – for a class that is none
        """
        with np.errstate(all="ignore"):
            rows = self.sampler.sample(count, index, block, condition)
        if not np.isfinite(rows).all():
            raise DivergedError(
                f"what the generator returns is not finite at step {self.step}; "
                f"{offer(self.run, self.config, self.step)}"
            )
        return rows

    def judge(self, rows: np.ndarray, condition: Any = None) -> np.ndarray:
        """D at rows in the user's units: the share given to real as the objective has it, else σ.

        condition  of a conditional run: the class of all rows, or of each

        Shapes:  (n, p) → (n,)
        Raises:  ConfigError – for a class that is none, or where D has to be told one
        """
        c, sampler = self.config, self.sampler
        if sampler.labels is not None and condition is None:
            raise ConfigError("this D judges a row as one of a class; say which, by condition=…")
        backend, sizes = sampler.backend, self.sizes["discriminator"]
        told = sampler.told(sampler.codes(len(rows), 0, condition))
        classes = 0 if told is None else told.shape[1] * c.packing
        network = make_network(c, c.discriminator, backend, stream(0, "init"), sizes[0], 1, classes)
        network.parameters.load(_of("discriminator", self.arrays))
        scaled = np.concatenate([sampler.units.to_network(rows)] * c.packing, axis=-1)
        k = None if told is None else np.concatenate([told] * c.packing, axis=-1)
        return probability(c.objective, apply(network, scaled, c.dtype, backend, told=k)[:, 0])


def reopen(
    path: str | os.PathLike[str] | MemoryRun,
    *,
    at: str | None = "latest",
    lock: bool = False,
    data: Data | None = None,
    steps: int | None = None,
) -> Reopened:
    """The experiment that a run holds, as of its newest good checkpoint, "best", a step, or unused.

    lock   to go on with it: it may be without checkpoints, and begins anew then
    data   the data set that its configuration names, if it was read already
    steps  with lock, a new length, which its config.json then has

    Raises:  DataError, CheckpointError, ConfigError – where directory, checkpoint or configuration is refused
             BusyError – with lock, if another process writes to it
    """
    run = path.reopened() if isinstance(path, MemoryRun) else RunDirectory.open(path, lock=lock)
    try:
        if not lock:
            _refuse_diverged(run, at)
        stored = config_of(run)
        config = stored if steps is None else _longer(stored, steps)
        unused = at is None or lock and not checkpoint.paths(run)
        found = None if unused else checkpoint.find(run, str(at))
        notes, lengths = ((), ()) if found is None else _compared(run, found, stored, config)
        data = read_configured(config) if data is None else data
        check(config, features=None if data is None else data.values.shape[1])  # it may come from anyone
        experiment, frames, state = Experiment(config, data=data), dict[str, np.ndarray](), dict[str, Any]()
        if found is not None:
            frames = _load(experiment, found)
            state = found.state | {"lengths": lengths}
        if lock:
            if config != stored:
                run.write_config(to_json(config))
            if found is not None:  # a kill between the renames of a save has left them behind
                checkpoint.write_names(run, found.path, found.state)
        warnings = () if found is None else found.warnings
        if run.previous == "finished" and experiment.step == config.steps:
            notes = ("the run is finished, and nothing is trained; --steps makes it longer",)
        if run.previous == STOPPED:
            notes = (f"its process is gone without a word; it goes on from step {experiment.step}", *notes)
        return Reopened(run, experiment, (*warnings, *(notes if lock else ())), frames, state)
    except NotFiniteError as error:
        run.close()
        further = "; remove the file to go on from there" if lock else ""
        raise CheckpointError(f"{error}; {offer(run, config, error.step)}{further}") from None
    except BaseException:
        run.close()
        raise


def read_generator(path: str | os.PathLike[str] | RunDirectory, at: str = "latest") -> Trained:
    """The generator of a run, as of its newest good checkpoint, "best" or a step.

    Raises:  DataError, CheckpointError, ConfigError – where directory, checkpoint or configuration is refused
    """
    run = path if isinstance(path, RunDirectory) else RunDirectory.open(path)
    _refuse_diverged(run, at)
    config, found = config_of(run), checkpoint.find(run, at)
    _compared(run, found, config, config)
    try:
        trained = _trained(run, config, found)
    except NotFiniteError as error:
        raise CheckpointError(f"{error}; {offer(run, config, error.step)}") from None
    return trained._replace(notes=(*found.warnings, *trained.notes))


def _refuse_diverged(run: RunDirectory, at: str | None) -> None:
    """Of a run that diverged a checkpoint before that is read, and only if it is asked for.

    Raises:  DivergedError – with those that there are
    """
    status = run.read_status()
    if at != "latest" or status.get("status") != "diverged":
        return
    newest = checkpoint.latest(run)
    there = [] if checkpoint.best_of(run, newest.state) is None else ["best"]
    there += [str(checkpoint.step_of(path)) for path in checkpoint.paths(run)[-3:]]
    raise DivergedError(
        f"the run {quoted(str(run.path))} diverged at step {quoted(status.get('step'))}; name one of its "
        f"checkpoints before that: --at {' or '.join(there)}"
    )


def read_verdict(path: Path) -> Verdict:
    """What verdict.json says.    Raises:  DataError – if it is not a verdict"""
    try:
        return _verdict(json.loads(files.read_bounded(path)))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{quoted(str(path))} is damaged: it is not a verdict; judge the run again") from None


def _verdict(value: Any) -> Verdict:
    """What ``Verdict.as_dict`` made.    Raises:  what is caught above"""
    rows = []
    for row in value["rows"]:
        numbers = {key: _number(row[key]) for key in ("value", "perfect", "bound")}
        target = None if row["target"] is None else _number(row["target"])
        rows.append(Row(name=str(row["name"]), unit=str(row["unit"]), target=target, **numbers))
    ks = KSResult(**{key: _number(value["ks"][key]) for key in ("statistic", "pvalue", "location")})
    p, power, missed = _number(value["pvalue"]), value.get("power"), value.get("shortfall")
    against = str(value.get("against", "the target"))
    return Verdict(
        tuple(rows),
        ks,
        p,
        str(value["sentence"]),
        # older verdicts did not ask whether there were enough values, nor say against what
        enough=p < LEVEL or value.get("indistinguishable", True) is not None,
        power=None if power is None else Power.read(power),
        against=against,
        # which older ones say in words alone
        judged_on_learned=bool(value.get("judged_on_learned", "rows that it learned" in against)),
        shortfall=missed and Shortfall(**{key: str(missed[key]) for key in ("name", "evidence", "advice")}),
        classes=tuple(
            OfClass(str(part["name"]), _verdict(part["verdict"])) for part in value.get("classes", ())
        ),
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def not_finite(arrays: Mapping[str, np.ndarray]) -> str | None:
    """The name of an array with NaN or infinity; None where all numbers are finite."""
    flat = [np.zeros(0), *map(np.ravel, arrays.values())]
    if np.isfinite(np.concatenate(flat)).all():  # sooner than each
        return None
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def offer(run: RunDirectory, config: Config, step: int) -> str:
    """What to do instead of reading the checkpoint of ``step``: the newest older one that is good."""
    for path in reversed(checkpoint.paths(run)):
        older = checkpoint.step_of(path)
        if older < step:
            try:
                found = checkpoint.find(run, str(older))
                with np.errstate(all="ignore"):
                    rows = _trained(run, config, found).sampler.sample(TRIED)
            except MiniganError:
                continue
            if np.isfinite(rows).all():
                return f"the newest good checkpoint before it is of step {older} (--at {older})"
    return "it has no good checkpoint before; train anew with other settings"


# ── configurations


def config_of(run: RunDirectory) -> Config:
    """The configuration of a run; data that it holds itself are where it is now, also after it was moved.

    Raises:  ConfigError – with the name of the run
    """
    try:
        config = from_json(run.read_config())
        if config.data is not None and not isinstance(run, MemoryRun):
            own = run.path / Path(config.data).name
            if own.name in OWN_DATA and own.is_file():
                return replace(config, data=str(own.resolve()))
        return config
    except ConfigError as error:
        raise ConfigError(f"{quoted(str(run.path))} has no readable config.json: {error}") from None


def _longer(stored: Config, steps: int) -> Config:
    """The configuration with more steps.    Raises:  ConfigError – if they are fewer"""
    if steps < stored.steps:
        raise ConfigError(
            f"a run that goes on can be made longer than its {stored.steps} steps, received {steps}; give "
            "more, or start a new run"
        )
    return replace(stored, steps=steps)


def _compared(
    run: RunDirectory, found: checkpoint.Latest, stored: Config, config: Config
) -> tuple[tuple[str, ...], list[list[int]]]:
    """What to note of the configuration beside that of the checkpoint, and the lengths the run had before.

    stored  what config.json has; config that with a new length

    Raises:  CheckpointError – if it was made with other settings, with their names
    """
    step, lengths = found.state.get("step"), _lengths(found.state)
    text = found.state.get("config")  # of older versions none
    try:
        before = stored if text is None else from_json(json.dumps(text).encode())
    except ConfigError as error:
        raise CheckpointError(
            f"the checkpoint {found.path} has a configuration that is refused: {error}"
        ) from None
    then, now = flatten(before), flatten(config)
    free = {*FREE, *ROUNDING, *(("steps",) if before.steps <= config.steps else ())}
    changed = [
        f"{name} was {_shown(then[name])}, is {_shown(now[name])}"
        for name in then
        if name not in free and then[name] != now[name]
    ]
    if changed:
        more = f"; and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise CheckpointError(
            f"the config.json of {quoted(str(run.path))} is not that of its checkpoint of step {step}: "
            f"{'; '.join(changed[:5])}{more}; restore it, or start a new run with the changed settings"
        )
    if before.steps == config.steps or type(step) is not int:
        return (), lengths
    lengths = [pair for pair in lengths if pair[1] <= step]
    lengths.append([before.steps, step])
    executed = found.state.get("executed") if config.execution == "auto" else None
    return (_describe_length(lengths, config, executed),), lengths


def _shown(value: Any) -> str:
    return quoted(list(value) if isinstance(value, tuple) else value)


def _lengths(state: Mapping[str, Any]) -> list[list[int]]:
    """The lengths that a run was trained for before, each with the step at which it got another."""
    match state.get("lengths"):
        case [*pairs] if all(isinstance(p, list) and [type(n) for n in p] == [int, int] for p in pairs):
            return [[length, until] for length, until in pairs if 0 < length and 0 <= until <= 10**10]
    return []


def _describe_length(lengths: Sequence[Sequence[int]], config: Config, executed: str | None) -> str:
    """How a run that was made longer differs from one that was long from the start."""
    old, step = lengths[-1]
    made = f"the run had {old} steps, has {config.steps} now"
    began = 0
    for length, until in lengths:
        for t in range(began, until, 2**16):
            steps = np.arange(t, min(t + 2**16, until))
            (rates, weights), (new_rates, new_weights) = course(replace(config, steps=length)), course(config)
            for what, apart in (
                ("learning rates", rates(steps) != new_rates(steps)),
                ("average", weights(steps) != new_weights(steps)),
            ):
                if apart.any():
                    since = int(steps[apart.argmax()])
                    return (
                        f"{made}: from step {since} to {step} its {what} followed the shorter plan, so it is "
                        f"not bitwise a run that was begun with {config.steps} steps"
                    )
        began = until
    so = " and --set execution=planned" if executed == "planned" else ""  # by itself that may be native
    return (
        f"{made}: nothing so far depends on the length, and parameters, samples and verdict will be bitwise "
        f"those of a run that was begun with {config.steps} steps{so}"
    )


# ── checkpoints


def describe_drift(state: dict[str, Any], bits: dict[str, Any], config: dict[str, Any]) -> str:
    """What rounds otherwise here than where the checkpoint with ``state`` was made; "" for nothing."""
    before, settings = state.get("environment"), state.get("config")
    then, here = dict[str, Any](), dict[str, Any]()
    for stored, now, names in ((before, bits, BITS), (settings, config, ROUNDING)):
        if isinstance(stored, dict):  # else of an older version
            then |= {name: stored.get(name) for name in names}
            here |= {name: now[name] for name in names}
    for name in ("device", "compiler"):  # which not every run has
        if isinstance(before, dict) and name in before and name in bits:
            then, here = then | {name: before[name]}, here | {name: bits[name]}
    differences = []
    for name, now in here.items():
        old = then[name]
        if isinstance(now, dict) and isinstance(old, dict):
            pairs = [(f"{name} {key}", old.get(key), value) for key, value in now.items()]
        else:
            pairs = [(name, old, now)]
        differences += [
            f"{what} {quoted(old)} then, {quoted(new)} now" for what, old, new in pairs if old != new
        ]
    return "; ".join(differences)


def _load(experiment: Experiment, found: checkpoint.Latest) -> dict[str, np.ndarray]:
    """Let the experiment be as of a checkpoint; the observer's arrays in it."""
    config = experiment.config
    if found.state.get("data") != experiment.digest:
        raise DataError(f"the data in {config.data} are not those the run was trained on; restore them")
    frames = {
        name.removeprefix(FRAMES): array for name, array in found.arrays.items() if name.startswith(FRAMES)
    }
    arrays = {name: array for name, array in found.arrays.items() if not name.startswith(FRAMES)}
    expected = {name: (array.shape, array.dtype) for name, array in experiment.arrays().items()}
    checkpoint.require(arrays, expected)
    experiment.load(arrays, _vetted_step(config, found))
    return frames


def _vetted_step(config: Config, found: checkpoint.Latest) -> int:
    """The step of a checkpoint all of whose numbers are finite.

    Raises:  CheckpointError – if it has no such step;  NotFiniteError – for NaN or infinity
    """
    step = found.state.get("step")
    if type(step) is not int or not 0 <= step <= config.steps:
        raise CheckpointError(f"the checkpoint {found.path} holds no step of this run; use an older one")
    bad = not_finite(found.arrays)
    if bad is not None:
        what = f"the checkpoint {found.path} holds numbers that are not finite, in {quoted(bad)}"
        raise NotFiniteError(what, step)
    return step


def _trained(run: RunDirectory, config: Config, found: checkpoint.Latest) -> Trained:
    features = found.arrays["shift"].size if "shift" in found.arrays else 1
    latent = config.latent.size or features
    check(config, features=features)
    try:
        labels = restored(found.state)
    except ValueError as error:
        raise CheckpointError(f"the checkpoint {found.path} is damaged: {error}; use an older one") from None
    if (labels is None) != (config.label is None):
        raise CheckpointError(
            f"the checkpoint {found.path} does not fit config.json, whose label is {_shown(config.label)}; "
            "restore it"
        )
    classes = 0 if labels is None else labels.count
    sizes = {
        "generator": (latent, *config.generator.widths, features),
        "average": (latent, *config.generator.widths, features),
        "discriminator": (features * config.packing, *config.discriminator.widths, 1),
    }
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        "shift": ((1, features), "float64"),
        "scale": ((1, features), "float64"),
    }
    for player, widths in sizes.items():
        told = (classes * config.packing, config.conditioning) if widths[-1] == 1 and player[0] == "d" else ()
        for i, layer in enumerate(layers_of(widths, "tanh", *(told or (classes,)))):
            shapes = layer.shapes().items()
            expected |= {f"{player}.{i}.{name}": (shape, config.dtype) for name, shape in shapes}
    own = (*(f"{player}." for player in sizes), "shift", "scale")
    arrays = {name: array for name, array in found.arrays.items() if name.startswith(own)}
    checkpoint.require(arrays, expected)
    step, notes = _vetted_step(config, found), list[str]()
    try:
        backend = get_backend(config.backend)
    except UnavailableError as error:
        backend = get_backend("numpy")
        notes.append(
            f"it is sampled with NumPy, which may round otherwise than where it was trained: {error}"
        )
    network = make_network(config, config.generator, backend, stream(0, "init"), latent, features, classes)
    network.parameters.load(_of("average", arrays))
    sampler = Sampler(config, backend, network, Units(arrays["shift"], arrays["scale"]), latent, labels)
    names = _names(config, found.state.get("names"), features)
    ordered = {name: arrays[name] for name in expected}
    return Trained(run, config, step, names, sizes, ordered, sampler, tuple(notes))


def _of(player: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of one network, as its parameters call them."""
    own = f"{player}."
    return {name.removeprefix(own): array for name, array in arrays.items() if name.startswith(own)}


def _names(config: Config, stored: Any, features: int) -> tuple[str, ...]:
    """What the features are called; older checkpoints do not say, their data may."""
    if stored is None and config.data is not None:
        try:
            stored = read_configured(config).names
        except MiniganError:
            stored = config.columns
    if isinstance(stored, (list, tuple)) and len(names := tuple(map(str, stored))) == features:
        return names
    return ("x",) if features == 1 else ("x", "y") if features == 2 else numbered("x", features)
