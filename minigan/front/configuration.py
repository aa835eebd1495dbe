"""What a caller wants to learn, and the configuration that follows from it and from settings.

A text is, in this order: the name of a preset; a configuration by its ending, .toml or .json; data by its
ending, or since a file is there; else a distribution. Anything else that is no distribution is a table.
"""

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from minigan.arguments import whole
from minigan.errors import ConfigError, DataError, quoted
from minigan.probability.distributions import Distribution
from minigan.probability.empirical import Empirical
from minigan.probability.multivariate import MultivariateDistribution
from minigan.probability.text_form import ALIASES, FAMILIES, parse
from minigan.training.config import Config, replace
from minigan.training.data import Data
from minigan.training.methods import are_even
from minigan.training.presets import PRESETS
from minigan.training.settings import resolve_with_sources, with_method
from minigan.training.spellings import DEVICES, RATES
from minigan.words import TABLES

CONFIGURATIONS = (".toml", ".json")
Layer = tuple[str, dict[str, Any]]


class Subject(NamedTuple):
    """What is to be learned: one of these, or none, the default's target."""

    preset: str | None = None
    file: str | None = None  # a configuration
    target: str | None = None  # the text of a distribution
    path: str | None = None  # of data
    table: Any = None


class Request(NamedTuple):
    """A run that can begin: its configuration, its data if it has some, and who set each field.

    ours  whether the data came from the caller's memory, so that no file has them
    """

    config: Config
    data: Data | None
    origins: dict[str, str]
    ours: bool = False


def subject_of(what: Any) -> Subject:
    """What of all this ``what`` is.

    Raises:  DataError – for a directory, or an object that is no table;  ConfigError – for a distribution
             that has no text
    """
    if what is None:
        return Subject()
    if isinstance(what, Empirical):
        return Subject(table=what.values)
    if isinstance(what, (Distribution, MultivariateDistribution)):
        return Subject(target=text_of(what))
    if hasattr(what, "verdict") and hasattr(what, "resume"):
        raise DataError(
            "a Run is no data: run.verdict judges it, run.resume() goes on, run.sample(n) are rows"
        )
    if not isinstance(what, (str, os.PathLike)):
        return Subject(table=what)
    text = os.fspath(what)
    if isinstance(what, str) and text in PRESETS:
        return Subject(preset=text)
    suffix = Path(text).suffix.lower()
    if os.path.isdir(text):
        run = os.path.exists(os.path.join(text, "config.json"))
        advice = "mg.load reads a run, and its resume() goes on" if run else "give a file of data in it"
        raise DataError(f"{quoted(text)} is a directory; {advice}")
    if suffix in CONFIGURATIONS:
        return Subject(file=text)
    if not isinstance(what, str) or suffix in TABLES or os.path.isfile(text):
        return Subject(path=text)
    near = [] if "(" in text else get_close_matches(text.lower(), PRESETS, n=1, cutoff=0.7)
    if near and text.lower() not in {*FAMILIES, *ALIASES}:
        raise ConfigError(
            f"{quoted(text)} is no preset, no file and no distribution; did you mean the preset {near[0]!r}?"
        )
    return Subject(target=text)


def path_of(name: str, path: Any) -> str:
    """An argument that is to be a path.    Raises:  ConfigError – for what is none"""
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigError(f"{name} is a path, received {quoted(path)}; write it as text")
    return os.fspath(path)


def whole_of(name: str, value: Any, least: int) -> int:
    """An argument that is to be a whole number of ``least`` or more.    Raises:  ConfigError – for another"""
    try:
        return whole(name, value, least)
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from None


def text_of(distribution: Distribution | MultivariateDistribution) -> str:
    """The text that a configuration has for a distribution.

    Raises:  ConfigError – for one that no text names, which can be learned by its draws
    """
    text = str(distribution)
    try:
        same = str(parse(text)) == text
    except ValueError:
        same = False
    if not same:
        raise ConfigError(
            f"{quoted(text)} has no text by which a configuration could name it; give draws of it as data, "
            "sample(rng, (10000,))"
        )
    return text


def settings_in(settings: Mapping[str, Any]) -> Iterator[Layer]:
    """The layers of settings given as arguments: ``batch=64``, ``generator={"widths": [64]}``, or with two
    lines for the point, ``generator__widths=[64]``; and lr and device as on the command line.
    """
    for key, given in settings.items():
        name, value, source = key.replace("__", "."), _plain(given), f"the argument {key}"
        if name == "lr":
            for rate in RATES:
                yield source, _nested(rate, value)
        elif name == "device":
            if not isinstance(value, str) or value not in DEVICES:
                raise ConfigError(f"device is one of {', '.join(DEVICES)}, received {quoted(value)}")
            yield source, {"execution": "auto"}  # what another device runs may not run here
            yield source, {"backend": DEVICES[value]}
        elif name == "target" and isinstance(given, (Distribution, MultivariateDistribution)):
            yield source, {"target": text_of(given)}
        else:
            yield source, _nested(name, value)


def steps_of(steps: object) -> int:
    """A number of steps, held to the rule of the setting.    Raises:  ConfigError – for what breaks it"""
    given = [("the argument steps", {"steps": _plain(steps)})]
    return resolve_with_sources(environ={}, given=given)[0].steps


def request_of(
    what: Any,
    preset: str | os.PathLike[str] | None,
    settings: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    y: Any = None,
) -> Request:
    """The run that a call of ``fit`` asks for; preset and file as the command line's argument.

    y  the labels of the rows of a table, on their own

    Raises:  ConfigError – for settings that are refused, or that say two things;  DataError – for data that
             are
    """
    settings = dict(settings)
    if what is None and not isinstance(settings.get("data"), (str, os.PathLike, NoneType)):
        what = settings.pop("data")
    subject, start = subject_of(what), subject_of(preset)
    if preset is not None and start.preset is None and start.file is None:
        raise ConfigError(
            f"preset is a preset or a configuration file, received {quoted(preset)}; give what is to be "
            "learned as the first argument"
        )
    if start != Subject() and (subject.preset or subject.file):
        raise ConfigError(f"a run begins with one preset, received {quoted(what)} and {quoted(preset)}")
    start = start if start != Subject() else subject
    names = subject.target, subject.path, None if subject.table is None else _called(subject.table)
    own = next((name for name in names if name is not None), None)
    layers = list(settings_in(settings))
    given = [*layers] if own is None else [("the first argument", _learn(subject, own)), *layers]
    named = [name for _, layer in layers for name in ("target", "data") if layer.get(name) is not None]
    if len(named) + (own is not None) > 1:
        received = ", ".join(["the first argument"] * (own is not None) + named)
        raise ConfigError(f"a run learns one target or data, received {received}; leave one out")
    if y is not None:
        given += _labelled(subject, y, layers)
    if named == ["target"]:
        given.insert(
            0, ("the argument target", {"data": None, "columns": None, "header": None, "label": None})
        )
    config, origins = resolve_with_sources(start.preset, start.file, environ, given=given)
    return settled(config, origins, subject.table, y)


def _labelled(subject: Subject, y: Any, layers: list[Layer]) -> list[Layer]:
    """The setting by which a run knows that its rows have labels of their own.

    Raises:  ConfigError – for labels of what is no table in memory, or beside the name of a column
    """
    from minigan.training.frames import named_label

    if subject.table is None:
        raise ConfigError(
            "y are the labels of rows in memory, and the first argument is none; of a file label names the "
            'column, and label="component" those of a mixture'
        )
    if any(layer.get("label") is not None for _, layer in layers):
        raise ConfigError("y and label both say of which class a row is; leave one out")
    return [("the argument y", {"label": named_label(y)})]


def settled(config: Config, origins: dict[str, str], table: Any = None, y: Any = None) -> Request:
    """The request of a resolved configuration: held against this machine, its data read, its run named.

    Raises:  ConfigError, DataError, UnavailableError – for what cannot be here
    """
    if config.backend == "auto" and config.execution not in ("auto", "recorded"):  # as this machine has it
        from minigan.training.experiment import get_backend, refuse_execution

        refuse_execution(config, get_backend("auto"))
    data = None
    if config.data is not None:
        from minigan.training.data import read_configured
        from minigan.training.limits import check

        data = read_configured(config) if table is None else _read(table, config, y)
        config, origins = with_method(config, origins, data.values.shape[1], are_even(data.values))
        check(config, features=data.values.shape[1])
        if table is None:  # the run is read again from elsewhere
            config = replace(config, data=str(Path(str(config.data)).resolve()))
    if origins["name"] == "default" and {origins["target"], origins["data"]} != {"default"}:
        subject = config.target if config.data is None else Path(config.data).stem
        name = re.sub(r"[^A-Za-z0-9]+", "-", subject).strip("-")[:64]
        config = replace(config, name=name or config.name)
    return Request(config, data, origins, table is not None)


def _read(table: Any, config: Config, y: Any) -> Data:
    from minigan.training.frames import read_frame

    if config.header is not None:
        raise ConfigError("header says how a file is read, and the data are no file; leave it out")
    label = {"label": config.label} if y is None else {"y": y}
    return read_frame(table, columns=config.columns, drop_nonfinite=config.drop_nonfinite, **label)


def _learn(subject: Subject, own: str) -> dict[str, Any]:
    """The settings by which a run learns this and nothing else."""
    if subject.target is not None:
        return {"target": own, "data": None, "columns": None, "header": None, "label": None}
    return {"data": own}


def _called(table: Any) -> str:
    """What a table is called where a file would have its path."""
    return {"ndarray": "array"}.get(type(table).__name__, type(table).__name__)


def _nested(name: str, value: Any) -> dict[str, Any]:
    *groups, leaf = name.split(".", maxsplit=4)
    nested = {leaf: value}
    for group in reversed(groups):
        nested = {group: nested}
    return nested


def _plain(value: Any) -> Any:
    """A setting's value as a file would give it: without NumPy's kinds of numbers, tuples and paths."""
    if isinstance(value, (np.generic, np.ndarray)) or hasattr(value, "tolist"):  # as the columns of pandas
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
