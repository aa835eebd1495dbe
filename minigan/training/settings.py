"""Where settings come from: read, by name, merged into a configuration; refused with their source.

One precedence: defaults < preset < file < ``MINIGAN_*`` < options < ``--set key=value``. An unknown name, a
value out of bounds, and a size that the memory cannot hold are refused before any work.
"""

import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from minigan.errors import ConfigError, printable, quoted
from minigan.training.config import MAX_BYTES, Config, fields, flatten, replace
from minigan.training.limits import check
from minigan.training.methods import is_even, method_of, settings_of
from minigan.training.presets import PRESETS, Preset
from minigan.training.presets import preset as get_preset
from minigan.training.promises import Shown, find_shown, found_in
from minigan.training.spellings import (
    advice_on_file,
    advice_on_group,
    advice_on_name,
    advice_on_value,
    elsewhere,
    meant,
    plain,
    read_value,
)


class Option(NamedTuple):
    """A setting that an option of the command line sets: the option as the source, a name, a text."""

    source: str
    name: str
    text: str


OWN = (  # of a run, whatever its preset
    "seed", "random", "steps", "eval_every", "eval_samples", "dtype", "backend", "execution", "threads",
    "checkpoint_seconds", "checkpoint_keep",
)  # fmt: skip
RENAMED = {"latent.law": "latent.distribution"}  # settings that configurations of older runs have
BEFORE = {
    "draws": "independent",
    "method": "plain",
    "holdout_least": 500,
}  # what runs did that are older than a setting
STORED = {"target", "seed", "steps", "schedule", "average"}  # what no configuration of a run leaves out


@cache
def _groups() -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.rpartition(".")[0] for name in fields() if "." in name))


def from_json(text: bytes) -> Config:
    """The configuration that ``to_json`` wrote: every value is vetted, its target and its size are not.

    Raises:  ConfigError – if it is not a valid configuration
    """
    stored = BEFORE | dict(named(_parse(text, ".json", "the file"), stored=True))
    return build({name: (value, "the file") for name, value in stored.items()})


def resolve(
    preset: str | None = None,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    sets: Iterable[str] = (),
) -> Config:
    """The configuration that preset, file, environment (``os.environ`` if None) and ``key=value`` texts make.

    Raises:  ConfigError – for an unknown name, a refused value, or sizes beyond the memory
    """
    return resolve_with_sources(preset, file, environ, sets)[0]


def preset_of(config: Config) -> Preset | None:
    """The preset that a configuration is; its seed, its length, and how it is computed may be its own."""
    if config.name not in PRESETS:
        return None
    preset, same = PRESETS[config.name], resolve(config.name, environ={})
    return preset if replace(config, **{name: getattr(same, name) for name in OWN}) == same else None


def shown_by(config: Config, verdict: Any, metrics: Iterable[Mapping[str, Any]] = ()) -> Shown | None:
    """What the preset of a finished run sets out to show, and whether the run does; None for others, and
    where that is the verdict itself.

    metrics  the lines of its metrics.jsonl
    """
    preset = preset_of(config)
    return None if preset is None else find_shown(preset.shows, found_in(verdict, metrics))


def describe_shown(config: Config, verdict: Any, metrics: Iterable[Mapping[str, Any]] = ()) -> str:
    """``shown_by`` in a sentence; empty where it is None."""
    shown = shown_by(config, verdict, metrics)
    if shown is None:
        return ""
    does = "does" if shown.holds else "does not"
    return f"The preset {config.name} sets out to show: {shown.wanted}. This run {does}: {shown.values}."


def resolve_with_sources(
    preset: str | None = None,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    sets: Iterable[str] = (),
    options: Iterable[Option] = (),
    given: Iterable[tuple[str, dict[str, Any]]] = (),
) -> tuple[Config, dict[str, str]]:
    """As ``resolve``, and for every dotted name which layer set it: "default", "preset ring8", "--set" …

    options  what other options of a command line set
    given    nested settings of a program, each with its source, above all others

    Raises:  ConfigError – as ``resolve``
    """
    given = (*layers(preset, file, os.environ if environ is None else environ, sets, options), *given)
    older = "" if file is None else f"file {quoted(os.fspath(file))}" * str(file).endswith(".json")
    settings = {
        name: (value, source)
        for source, layer in given
        for name, value in named(layer, stored=source == older)  # a JSON file may be an older run's
    }
    config = build(settings)
    origins = {name: settings[name][1] if name in settings else "default" for name in fields()}
    if config.data is None:
        from minigan.training.units import read_distribution  # with all distributions

        distribution = read_distribution(config.target)
        config, origins = with_method(config, origins, distribution.features, is_even(distribution))
    check(config)
    return config, origins


def with_method(
    config: Config, origins: Mapping[str, str], features: int, even: bool = False
) -> tuple[Config, dict[str, str]]:
    """The configuration for data of so many features: its method named, and what no layer set taken from it.

    even     of one feature: whether its density is about the same between two ends
    origins  which layer set each setting, as ``resolve_with_sources`` returns them
    """
    method = method_of(config)
    wanted = settings_of(config, features, even)
    own = {name: value for name, value in wanted.items() if origins[name] == "default"}
    source = f"method {method}"
    found = build(
        {name: (value, source) for name, value in (flatten(config) | own | {"method": method}).items()}
    )
    return found, {**origins, **dict.fromkeys(own, source)}


def layers(
    preset: str | None = None,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    sets: Iterable[str] = (),
    options: Iterable[Option] = (),
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The layers that were given, weakest first, each a source and its nested settings."""
    if preset is not None:
        yield f"preset {preset}", {"name": preset, **get_preset(preset).layer}
    if file is not None:
        read = read_file(Path(file))
        # The configuration of a run is whole, and of an older one does not know of methods.
        yield f"file {quoted(os.fspath(file))}", (BEFORE if read.keys() >= STORED else {}) | read
    environ = environ or {}
    for variable in sorted(environ):
        name = _setting_of(variable)
        # An unknown variable may be someone else's, so it is not an error (``notes_on``); and an empty one is
        # what scripts leave where none was meant.
        known = name in fields() or name in _groups() or name in RENAMED
        if known and environ[variable]:
            yield variable, _nested(name, _literal(name, environ[variable]))
    for option in options:
        yield option.source, _nested(option.name, _literal(option.name, option.text))
    for text in sets:
        name, value = key_and_value(text)
        yield "--set", _nested(name, _literal(name, value))


def notes_on(environ: Mapping[str, str]) -> list[str]:
    """Notes on variables that look like settings and are none, each with what is meant."""
    notes = []
    for variable in sorted(environ):
        name = _setting_of(variable)
        if name and not (name in (*_ELSEWHERE, *RENAMED, *fields(), *_groups()) or _OF_SERVICES.search(name)):
            advice = advice_on_name(name, _groups())
            if advice.startswith("choose"):
                advice = "minigan train --print-config lists those there are"
            spelled = re.sub(r"'([a-z_\d.]+)'", lambda one: _variable_of(one[1]), advice)
            notes.append(f"{printable(variable[:100])} in the environment is no setting; {spelled}")
    return notes


_ELSEWHERE = ("runs", "complete")  # MINIGAN_RUNS is an option's
_OF_SERVICES = re.compile(r"_(service|port)(_|$)|^port(_|$)|^service_")  # as Kubernetes makes for a service


def _setting_of(variable: str) -> str:
    """The name of the setting that a variable of the environment would set, or ""."""
    is_ours = variable.startswith("MINIGAN_")
    return variable.removeprefix("MINIGAN_").lower().replace("__", ".") if is_ours else ""


def _variable_of(name: str) -> str:
    return "MINIGAN_" + name.upper().replace(".", "__")


def key_and_value(text: str) -> tuple[str, str]:
    """The two sides of the = of a --set.

    Raises:  ConfigError – if it is not of that form
    """
    name, equals, value = text.partition("=")
    if equals and name.strip():
        return name.strip().removeprefix("--"), value.strip()
    # "batch 4" and "batch:4" are near, and of "batch" alone the name is worth keeping
    name, _, value = re.sub(r"[\s:]+", "=", text.strip(" -=:\t\n")[:100]).partition("=")
    known = name if name in fields() else (meant(name)[0] or ("",))[0]
    usual = fields()[known].default if known else None
    value = value or (usual if isinstance(usual, str) else json.dumps(usual))
    example = f"{known}={value}" if known and value.isprintable() else "steps=1000"
    raise ConfigError(f"--set takes key=value, received {quoted(text)}; write for example --set {example}")


def _literal(name: str, text: str) -> Any:
    if len(text) > MAX_BYTES:
        raise ConfigError(f"the value of {quoted(name)} is longer than {MAX_BYTES} characters")
    return read_value(name, text)


def _nested(name: str, value: Any) -> dict[str, Any]:
    # A name of very many parts is unknown anyway, and must not build a dictionary too deep to walk.
    parts = name.split(".", maxsplit=4)
    nested = {parts[-1]: value}
    for part in reversed(parts[:-1]):
        nested = {part: nested}
    return nested


def named(layer: Mapping[str, Any], prefix: str = "", *, stored: bool = False) -> Iterator[tuple[str, Any]]:
    """The dotted names and values of a nested layer; of a ``stored`` one also names of older versions.

    Raises:  ConfigError – for a name that is not a setting's
    """
    for key, value in layer.items():
        name = prefix + key
        if name in fields():
            yield name, value
        elif name in _groups():
            if not isinstance(value, Mapping):
                inner = ", ".join(known for known in fields() if known.startswith(name + "."))
                advice = advice_on_group(name, value)
                received = f"{quoted(value)}{advice and f'; {advice}'}"
                raise ConfigError(f"{name} is a group of settings ({inner}), received {received}")
            yield from named(value, name + ".", stored=stored)
        elif name in RENAMED and stored:
            yield RENAMED[name], value
        elif name in RENAMED:
            raise ConfigError(f"the setting {name} is called {RENAMED[name]} now; write that")
        else:
            # Of [optimizer] with lr = 0.1 in it the first setting tells more.
            if isinstance(value, Mapping) and value and not elsewhere(name):
                inner, within = next(iter(value.items()))
                name += f".{inner}" * (not isinstance(within, Mapping))
            raise ConfigError(f"there is no setting {quoted(name)}; {advice_on_name(name, _groups())}")


def build(settings: Mapping[str, tuple[Any, str]]) -> Config:
    """The configuration of values by dotted name, each with the source that a refusal names.

    Raises:  ConfigError – for a value that breaks its rule
    """
    # All defaults are written out, since those of a group in Config may differ from those of its type.
    values = {name: field.default for name, field in fields().items()}
    for name, (value, _) in settings.items():
        if value != values[name] or type(value) is not type(values[name]):
            values[name] = plain(name, value)
    nested: dict[str, Any] = {}
    for name, value in values.items():
        group, _, leaf = name.rpartition(".")
        (nested.setdefault(group, {}) if group else nested)[leaf] = value
    try:
        config = msgspec.convert(nested, Config)
    except UnicodeEncodeError as error:  # msgspec asks even what is no text whether it is a number
        raise ConfigError(
            f"the configuration holds {quoted(error.object)}, which is no text: a surrogate stands alone; "
            "write it as UTF-8"
        ) from None
    except msgspec.ValidationError as error:
        place = re.search(r"`\$\.([\w.]+)(?:\[(\d+)\])?", str(error))
        if place is None:
            raise ConfigError(f"the configuration was refused: {error}") from None
        index = None if place[2] is None else int(place[2])
        raise _refusal(place[1], index, settings) from None
    for name, value in flatten(config).items():
        items = value if isinstance(value, tuple) else (value,)
        for item in items:
            if isinstance(item, float) and not math.isfinite(item):
                raise _refusal(name, None, settings)
            if isinstance(item, str) and not _is_text(item):
                raise _refusal(name, None, settings)
    return config


def _is_text(value: str) -> bool:
    """Whether a file name or a JSON file can hold ``value``: no NUL, no lone surrogate."""
    plainly = value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    return plainly and "\0" not in value


def _refusal(name: str, index: int | None, settings: Mapping[str, tuple[Any, str]]) -> ConfigError:
    (value, source), rule, place = settings[name], fields()[name].rule, name
    advice = advice_on_value(name, value if index is None else value[index])
    if index is not None:
        value, rule, place = value[index], rule.partition("which each is ")[2], f"{name}[{index}]"
    units = ""
    if name.endswith("widths") and isinstance(value, int) and value > 65536:
        memory = value * fields()["batch"].default * 4
        units = f" ({min(memory, 10**39) / 2**30:.3g} GiB for one float32 array of a default batch of them)"
    return ConfigError(
        f"{place} must be {rule}, received {quoted(value)}{units} from {source}{advice and f'; {advice}'}"
    )


def read_file(path: Path) -> dict[str, Any]:
    """The nested values of a .toml or .json file of at most MAX_BYTES.

    Raises:  ConfigError – if it cannot be read
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError(
                f"the configuration file {quoted(str(path))} is not a regular file; give a .toml or .json"
            )
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"the configuration file {quoted(str(path))} cannot be read: {reason}") from None
    return _parse(text, path.suffix.lower(), f"the configuration file {quoted(str(path))}")


def _parse(text: bytes, suffix: str, what: str) -> dict[str, Any]:
    if suffix not in (".toml", ".json"):
        raise ConfigError(
            f"{what} has the ending {quoted(suffix)}; write a configuration as TOML or JSON, and name it "
            ".toml or .json"
        )
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{what} is longer than the {MAX_BYTES} bytes a configuration may have")
    try:
        decoded = text.decode("utf-8-sig")
        if suffix == ".toml":
            values = tomllib.loads(decoded)
        else:
            values = json.loads(decoded, object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{what} is not UTF-8 text: byte {error.start} is 0x{text[error.start]:02x}; save it as UTF-8"
        ) from None
    except RecursionError:
        raise ConfigError(f"{what} is nested too deeply; a configuration has two levels") from None
    except ValueError as error:  # also an integer of too many digits
        reason, advice = quoted(str(error))[1:-1], advice_on_file(decoded, suffix, str(error))
        raise ConfigError(
            f"{what} is not valid {suffix[1:].upper()}: {reason}{advice and f'; {advice}'}"
        ) from None
    if not isinstance(values, dict):
        raise ConfigError(f"{what} must hold one table of settings, received {quoted(values)}")
    return values


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} is given twice")
    return values
