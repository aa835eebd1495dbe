"""What a command line says of settings, by preset, file, --set and its other spellings; and what it means."""

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from minigan.errors import ConfigError, quoted
from minigan.words import TABLES

QUICK = {"steps": "20", "eval_every": "10", "eval_samples": "1000"}  # of --fast-dev-run


# ── numbers


def _read(value: Any, *, whole: bool) -> Any:
    """A number in every usual form.    Raises:  ValueError – with how to write it"""
    from minigan.training.spellings import advice_on_number, read_number

    if not isinstance(value, str):
        return value
    number = read_number(value, whole=whole)
    if number is None:
        advice = advice_on_number(value, whole=whole)
        raise ValueError(f"{quoted(value)} is no {'whole ' * whole}number{advice and f'; {advice}'}")
    return number


class _Written:
    """What Whole and Real share: the number is read as people write it, then held against click's bounds."""

    whole = False

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, within the bounds."""
        try:
            return super().convert(_read(value, whole=self.whole), param, ctx)  # type: ignore[misc]
        except ValueError as error:
            self.fail(str(error), param, ctx)  # type: ignore[attr-defined]


class Whole(_Written, click.IntRange):
    """An option's whole number, as people write it: 1000, 1_000, 1e3."""

    whole = True


class Real(_Written, click.FloatRange):
    """An option's number, as people write it: 0.5, .5, 5e-1."""


class Named(click.Choice):
    """An option's choice, in any case."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The choice as it is written here."""
        found = next((choice for choice in self.choices if choice.lower() == str(value).lower()), value)
        return super().convert(found, param, ctx)


# ── settings


def options_of(fast: bool, given: Mapping[str, str | None], sets: Iterable[str]) -> list[Any]:
    """The settings that options other than --set ask for.

    Raises:  ConfigError – where two options, or one and a --set, ask for different values of one setting
    """
    from minigan.training.settings import Option
    from minigan.training.spellings import OPTIONS

    made = [Option("--fast-dev-run", *quick) for quick in QUICK.items()] * fast
    asked: dict[str, str] = {}
    for key, text in given.items():
        if text is None:
            continue
        own = f"--{key} {shlex.quote(text)}"
        names, text = (("backend",), _backend_of(text)) if key == "device" else (OPTIONS[key], text)
        if key == "device":  # what another device runs may not run here
            made.append(Option(f"--{key}", "execution", "auto"))
        if key == "target":  # a run learns one of them
            made += [Option(f"--{key}", other, "null") for other in ("data", "columns", "header", "label")]
        made += [Option(f"--{key}", name, _literal(name, text)) for name in names]
        for name in names if len(names) == 1 else ():  # --lr and a --set of one player's rate go together
            if name in asked:
                raise ConfigError(f"{name} is given twice, by {asked[name]} and by {own}; leave one out")
            asked[name] = own
    values = {option.name: option.text for option in made}
    for text in sets:
        name, _, value = (part.strip() for part in text.partition("="))
        if name in asked and value not in (values[name], json.loads(values[name]) if name in TEXTS else None):
            raise ConfigError(f"{name} is given twice, by {asked[name]} and by --set {text}; leave one out")
        if name in ONE_OF and value.lower() not in ("none", "null"):
            asked.setdefault(name, f"--set {text}")
    if all(name in asked for name in ONE_OF):
        raise ConfigError(
            f"give a target or data, not both: a run learns one of them; received {asked['target']} and "
            f"{asked['data']}"
        )
    return made


ONE_OF = TEXTS = ("target", "data")  # what is learnt; options whose values are texts, whatever their look


def _literal(name: str, text: str) -> str:
    return json.dumps(text) if name in TEXTS else text


def _backend_of(device: str) -> str:
    from minigan.training.spellings import DEVICES

    name = re.sub(r":0$", "", device.strip().lower())
    if re.fullmatch(r"(cuda|gpu):\d+", name):
        raise ConfigError(
            f"--device takes one of {', '.join(DEVICES)}, received {quoted(device)}; the GPU is chosen by "
            f"CUDA_VISIBLE_DEVICES={name.partition(':')[2]} in the environment"
        )
    if name not in DEVICES:
        raise ConfigError(f"--device takes one of {', '.join(DEVICES)}, received {quoted(device)}")
    return DEVICES[name]


# ── the argument, and texts in each other's places


def refuse_split(source: str | None, sets: Iterable[str]) -> None:
    """Refuse a --set whose value the shell has parted at a space.

    Raises:  ConfigError – with the quotes that hold it together
    """
    for text in sets:
        value = text.partition("=")[2]
        open_ended = value.rstrip().endswith(",") or value.count("[") > value.count("]")
        if source is not None and (open_ended or value.count("(") > value.count(")") or source[:1] == "="):
            whole = f"{text} {source}" if source[:1] != "=" else f"{text}{source}"
            raise ConfigError(
                f"the shell parts a --set at its spaces, received {quoted(text)} and {quoted(source)}; "
                f"write it in quotes or without spaces, --set {shlex.quote(whole)} …"
            )


def refuse_no_sweep(file: str | None) -> None:
    """Refuse what is no file of a sweep by its name.

    Raises:  ConfigError – with what to write
    """
    if file is None or Path(file).suffix.lower() in (".toml", ".json") and not os.path.isdir(file):
        return
    if os.path.exists(os.path.join(file, "sweep.json")):
        raise ConfigError(f"{quoted(file)} is a sweep that was begun; write --resume {shlex.quote(file)}")
    raise ConfigError(
        f"a sweep is a .toml or .json file with a table vary, received {quoted(file)}; for a preset write "
        'preset = "NAME" in it, for data set = {data = "FILE"}'
    )


def source_of(source: str | None) -> tuple[str | None, str | None]:
    """(preset, file): which of them the argument of a command is.

    Raises:  ConfigError – for what stands in another place: data, a distribution, a run, a setting
    """
    from minigan.training.presets import PRESETS

    if source is None or source in PRESETS:
        return source, None
    suffix = Path(source).suffix.lower()
    if suffix in (".toml", ".json") and not os.path.isdir(source):
        return None, source
    if advice := _place_of(source, suffix):
        raise ConfigError(f"there is no preset {quoted(source)}; {advice}")
    return (
        (None, source) if os.sep in source or suffix in (".yaml", ".yml", ".ini", ".cfg") else (source, None)
    )


def _place_of(source: str, suffix: str) -> str:
    """Where on the command line ``source`` belongs, or "" for a name."""
    from minigan.training.spellings import advice_on_choice, choices

    if os.path.isdir(source):
        path, file = shlex.quote(source), os.path.join(source, "config.json")
        if os.path.exists(os.path.join(source, "sweep.json")):
            return f"this is a sweep, which goes on with minigan sweep --resume {path}"
        if not os.path.exists(file):
            return "this is a directory; give a configuration file in it, or data with " + _spelled(
                "data", "FILE"
            )
        resume = f"; the run goes on with --resume {path}" if "--resume" in _own() else ""
        return f"this is a run, whose settings are those of {shlex.quote(file)}{resume}"
    if suffix == ".safetensors":
        return "this is a checkpoint, of which minigan inspect tells; a run goes on with train --resume RUN"
    if suffix in TABLES:
        return f"data are given as {_spelled('data', source)}"
    if _is_distribution(source) and ("(" in source or not _near_preset(source)):
        return f"what to learn is given as {_spelled('target', _with_numbers(source))}"
    if re.match(r"-*[A-Za-z_.]+\s*=", source):
        return f"a setting is given as --set {shlex.quote(source.lstrip('-'))}"
    if os.path.isfile(source):
        return f"data are given as {_spelled('data', source)}, and a configuration is a .toml or .json file"
    if re.fullmatch(r"[-+.\d][\d.,e]*", source):
        return "a number stands behind its option, as --steps 1000, or in a --set, as --set batch=64"
    objectives = choices("objective")
    meant = source if source in objectives else advice_on_choice("objective", source, objectives)
    if meant and (source in objectives or "(" in meant or not _near_preset(source)):
        name = meant if source in objectives else meant.split("'")[1]
        return f"an objective is given as {_spelled('objective', name)}"
    return ""


def _near_preset(name: str) -> bool:
    import difflib

    from minigan.training.presets import PRESETS

    return bool(difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.6))


def _is_distribution(text: str) -> bool:
    from minigan.probability.text_form import ALIASES, FAMILIES

    return "(" in text or text.lower() in {*FAMILIES, *ALIASES} or bool(re.match(r"[\d.]+\s*\*", text))


def _with_numbers(text: str) -> str:
    """The text of a distribution, and of a name alone with the numbers that it takes."""
    from minigan.probability.text_form import ALIASES, FAMILIES

    name = ALIASES.get(text.lower(), text.lower())
    return f"{name}({FAMILIES[name].parameters})" if name in FAMILIES else text


def refuse_places(target: str | None, data: str | None) -> None:
    """Refuse a file as a target, a preset as a target, and a distribution as data.

    Raises:  ConfigError – with where each belongs
    """
    from minigan.training.presets import PRESETS

    if target is not None and (os.path.isfile(target) or Path(target).suffix.lower() in TABLES):
        raise ConfigError(
            f"a target is a distribution, received the file {quoted(target)}; write "
            f"{_spelled('data', target)}"
        )
    if target in PRESETS and not _is_distribution(target):
        name, own = click.get_current_context().info_name, PRESETS[str(target)].settings
        rather = f"--target {shlex.quote(own.get('target', 'normal(4, 1.25)'))}"
        if any(parameter.name == "source" for parameter in click.get_current_context().command.params):
            rather = f"minigan {name} {target}"
        raise ConfigError(f"a target is a distribution, received the preset {quoted(target)}; write {rather}")
    if data is not None and not os.path.exists(data) and _is_distribution(data):
        raise ConfigError(
            f"data are a file, received the distribution {quoted(data)}; write {_spelled('target', data)}"
        )


def _own() -> set[str]:
    """The options of the command that runs."""
    return {name for parameter in click.get_current_context().command.params for name in parameter.opts}


def _spelled(name: str, value: str) -> str:
    """A setting as the command that runs takes it."""
    quoted_value = value if value == "FILE" else shlex.quote(value)
    return f"--{name} {quoted_value}" if f"--{name}" in _own() else f"--set {shlex.quote(f'{name}={value}')}"


# ── options that a command does not have


def meant_option(error: click.ClickException, arguments: Iterable[str]) -> click.ClickException:
    """A refusal, and where it is of an unknown option, with the option or the setting that is meant."""
    if "extra argument" in str(error) and isinstance(error, click.UsageError):
        split = any(a == "=" or re.fullmatch(r"[\w.]+=|=\S+", a) for a in arguments)
        return click.UsageError(
            f"{error}; write KEY=VALUE without spaces" if split else str(error), error.ctx
        )
    if not isinstance(error, click.NoSuchOption):
        return error
    name = error.option_name
    given = next((a for a in arguments if a.startswith(name)), name)  # of -lr click names -l
    given = given.partition("=")[0]
    advice = _advice_on_option(given, error.ctx)
    return click.UsageError(f"No such option {given!r}; {advice}", error.ctx)


def _advice_on_option(given: str, ctx: click.Context | None) -> str:
    import difflib

    from minigan.training.spellings import meant_options

    command, name = (None, "") if ctx is None else (ctx.command, ctx.info_name or "")
    parameters = command.params if command else []
    own = {opt for p in parameters if isinstance(p, click.Option) for opt in p.opts} | EVERYWHERE
    word = given.lstrip("-")
    near = difflib.get_close_matches("--" + word, own, n=1, cutoff=0.8)
    if near and near[0][2:3] == word[:1]:
        return f"did you mean {near[0]}?"
    if found := [row for row in meant_options(word) if row.ours in own]:
        return f"did you mean {found[0].ours}{found[0].note and f' ({found[0].note})'}?"
    argument = next((p for p in parameters if isinstance(p, click.Argument)), None)
    if argument is not None and (word in ARGUMENTS or word == argument.name):
        shown = argument.metavar or str(argument.name).upper()
        return f"it is an argument without a name: minigan {name} {shown}"
    if "--set" in own and (advice := _advice_by_setting(word, own)):
        return advice
    if isinstance(command, click.Group):  # --seed 3 train
        owners = [n for n, c in command.commands.items() if any(given in p.opts for p in c.params)]
        if owners:
            return f"it stands behind its command, as minigan {owners[0]} {given}"
    return f"minigan {'' if name == 'minigan' else f'{name} '}--help lists those there are"


def _advice_by_setting(word: str, own: set[str]) -> str:
    """What to do about an option by the settings there are, or ""; --no-x is read as x."""
    from minigan.training.spellings import elsewhere

    bare = re.sub(r"^(no|without|disable|with|use|enable)[-_]?", "", word)
    for name in (word, f"no_{bare}" if bare in ("gpu", "cuda") and word[0] in "nd" else bare):
        if settings := _as_setting(name, own):
            return f"did you mean {settings}?"
        if place := elsewhere(name):
            return place
    return ""


def _as_setting(word: str, own: set[str]) -> str:
    """The settings that an option of that name means, as the options of a command have them, or ""."""
    from minigan.training.spellings import OPTIONS, meant

    settings, note = meant(word)
    if settings == ("backend",) and "--device" in own:
        return f"--device {'cpu' if re.search('cpu|^no', word) else 'cuda'}"
    option = next((f"--{key}" for key, names in OPTIONS.items() if names == settings), "")
    if option in own:
        return option
    return " or ".join(f"--set {one}=…" for one in settings) + (note and f" ({note})")


EVERYWHERE = {"--debug", "--no-color", "--quiet", "--help"}  # options that every command understands
ARGUMENTS = {  # what others give by an option, and here is the argument
    "config", "cfg", "conf", "c", "preset", "run", "file", "f", "model", "path", "input", "i", "checkpoint",
    "subject", "shell", "op",
}  # fmt: skip
