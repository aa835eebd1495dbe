"""What a change of settings means for a game that goes on: at once, or anew; and how one becomes a run."""

import io
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.errors import ConfigError, quoted
from minigan.front.configuration import Request, settled
from minigan.front.keeping import with_data_in, write_data
from minigan.gan.penalties import PENALTIES
from minigan.storage.directory import RunDirectory, unique_path
from minigan.training.config import fields, flatten, replace, to_json
from minigan.training.data import Data, vetted
from minigan.training.experiment import Experiment
from minigan.training.settings import resolve_with_sources
from minigan.training.text_table import read_text
from minigan.training.trainer import Session

# What leaves the networks, the optimisers' memories and the data as they are.
AT_ONCE = frozenset({
    *PENALTIES, "objective", "clip", "consensus", "unrolled", "unrolled_rate", "instance_noise", "order",
    "discriminator_steps", "generator_steps", "batch", "steps", "eval_every", "eval_samples", "name",
    *(f"{player}_optimizer.{name}" for player in ("generator", "discriminator")
      for name in ("rate", "beta1", "beta2", "epsilon", "momentum")),
    *(f"schedule.{name}" for name in ("name", "hold", "final", "warmup")),
    *(f"average.{name}" for name in ("name", "decay", "start")),
    "checkpoint_seconds", "checkpoint_keep",
})  # fmt: skip
PLACES = ("data", "columns", "header")  # where data are
LABEL = ("label", "conditioning")
SAVE_FIRST = "# no file has these data: press 'save as run', and put its directory for RUN\n"


class Changed(NamedTuple):
    """What is to be trained, and the settings that are other than before."""

    request: Request
    names: tuple[str, ...]


def at_once(names: Collection[str]) -> bool:
    """Whether a game goes on under these changes; else it begins anew."""
    return set(names) <= AT_ONCE


def changed(request: Request, settings: Mapping[str, Any], table: Any = None) -> Changed:
    """What is trained, with other settings, or with a table to learn.

    What nobody has set follows its defaults again, so another target may bring others.

    settings  by dotted name, as text or as values

    Raises:  ConfigError, DataError – for what a run would refuse, and for paths of data
    """
    own = {
        name: value
        for name, value in flatten(request.config).items()
        if not request.origins[name].startswith(("default", "method "))
    }
    for name in settings:
        if name in ("data", "columns", "header"):
            raise ConfigError(
                f"the page opens no files of this machine, received {name}; upload the data, or begin with "
                "minigan studio --data FILE"
            )
        if name == "label" and request.data is not None:
            raise ConfigError(
                "of data the label is said where they are read; begin with minigan studio --data FILE --set "
                "label=COLUMN"
            )
        if name not in fields():
            raise ConfigError(f"there is no setting {quoted(name)}; minigan train --print-config lists them")
    same_data = table is None and "target" not in settings and request.data is not None
    if table is not None or "target" in settings:
        for name in ("target", "name", *LABEL, *PLACES):
            own.pop(name, None)
    table = request.data if same_data else table
    if table is not None:
        own = {name: value for name, value in own.items() if name not in ("target", "label", *PLACES)}
        own["data"] = "table"
    asked = {**own, **settings}
    sets = [
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in asked.items()
    ]
    try:
        config, origins = resolve_with_sources(environ={}, sets=sets)
    except ConfigError as error:  # on the page nothing is called so
        raise ConfigError(str(error).replace(" from --set", "")) from None
    new = settled(config, origins, table)
    if same_data:
        kept = ["label", *PLACES] + ["name"] * ("name" not in settings)
        there = {name: getattr(request.config, name) for name in kept}
        origins = {**new.origins, **{name: request.origins[name] for name in kept}}
        new = Request(replace(new.config, **there), request.data, origins, request.ours)
    before, after = flatten(request.config), flatten(new.config)
    return Changed(new, tuple(name for name in after if after[name] != before[name]))


def preset_called(name: str) -> Request:
    """A built-in experiment.    Raises:  ConfigError – for an unknown one"""
    return settled(*resolve_with_sources(preset=name, environ={}))


def table_of(text: str) -> Data:
    """The table in a text that was uploaded.    Raises:  DataError – as for a file"""
    what = "the file that was uploaded"
    table = read_text(io.BytesIO(text.encode()), what, None, None)
    values, notes = vetted(table, what, False, False)
    return Data(values, table.names, (*table.notes, *notes), "upload")


def draws_of(heights: np.ndarray, count: int = 4000) -> np.ndarray:
    """Draws of a density that is joined by lines through (x, height), by its quantiles.

    Shapes:  heights (k, 2) → (count, 1)
    Raises:  ConfigError – for one without height or width
    """
    x, order = np.unique(heights[:, 0], return_index=True)
    height = np.maximum(heights[order, 1], 0.0)
    at = np.linspace(x[0], x[-1], 2001)
    mass = np.concatenate([[0.0], np.cumsum(np.diff(at) * np.interp(0.5 * (at[1:] + at[:-1]), x, height))])
    if not mass[-1] > 0:
        raise ConfigError("a density that is drawn has a height somewhere; draw above the axis")
    u = (np.arange(count) + 0.5) / count
    drawn = np.interp(u * mass[-1], mass, at)
    return np.asarray(drawn[:, None])


def saved(request: Request, experiment: Experiment, root: str, name: str, changes: Sequence[str]) -> Path:
    """Write the game as it stands as a run, which commands read and training goes on with.

    Raises:  ConfigError – for no name of a run, and for a game whose numbers are not finite
             StorageError – where it cannot be written
    """
    arrays = experiment.arrays()
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ConfigError("a game whose numbers are not finite is no run; rewind, and save it then")
    config = changed(request, {"name": name}).request.config
    path = unique_path(root, name)
    if request.ours and request.data is not None:
        config = with_data_in(path, config, request.data)
    named = Experiment(config, data=request.data)
    named.load(arrays, experiment.step)
    with RunDirectory.create_at(path, to_json(config)) as run:
        if request.ours and request.data is not None:
            write_data(run.path, request.data)
        session = Session(named, run, best=False)
        session.start(None, False)
        session.evaluate()
        session.save(1)
        session.savings.tidy()
        run.write_status("interrupted", step=named.step)
        for change in changes:
            run.log(f"note: changed by hand: {change}")
        return run.path


def as_command(request: Request) -> str:
    """The command line that begins this game; of data that no file has, after what makes one."""
    import shlex

    if unwritten(request):
        return f"{SAVE_FIRST}minigan train RUN/config.json"
    words = ["minigan", "train", *_preset(request)]
    for key, value in _own(request).items():
        words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)


def as_python(request: Request) -> str:
    """The call of ``fit`` that begins this game; of data that no file has, after what makes one."""
    given = [f"preset={name!r}" for name in _preset(request)]
    for key, value in _own(request).items():
        shown = list(value) if isinstance(value, tuple) else value
        given.append(f"{key.replace('.', '__')}={shown!r}")
    if unwritten(request):
        return f'{SAVE_FIRST}import minigan as mg\n\nrun = mg.fit("RUN/config.json")'
    return f"import minigan as mg\n\nrun = mg.fit({', '.join(given)})"


def unwritten(request: Request) -> bool:
    """Whether no file has the data that are learnt: drawn, uploaded, or of a script."""
    return request.ours and request.data is not None


def _preset(request: Request) -> list[str]:
    """The name of the preset that it began with, if it did."""
    origins = request.origins.values()
    return [o.removeprefix("preset ") for o in origins if o.startswith("preset ")][:1]


def _own(request: Request) -> dict[str, Any]:
    """What is neither a default nor of a preset."""
    others = ("default", "method ", "preset ")
    own = flatten(request.config).items()
    return {k: v for k, v in own if v is not None and not request.origins[k].startswith(others)}
