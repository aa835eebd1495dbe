"""The pages of commands, exit codes and settings, from the command line and the schema of a configuration."""

import inspect
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minigan import errors
from minigan.training.config import Field, fields
from minigan.training.methods import BEYOND, METHODS, SEVERAL
from minigan.training.signals import STOPPING
from minigan.training.spellings import OPTIONS
from minigan.training.synonyms import NAMES

SECTIONS = {  # the first setting of each
    "name": "What is learnt",
    "latent.size": "Latent numbers and networks",
    "objective": "Losses and penalties",
    "method": "Method and variants",
    "generator_optimizer.name": "Optimisers, schedule and average",
    "order": "Steps and batches",
    "dtype": "Numbers, device and seed",
    "eval_every": "Evaluations",
    "execution": "How it is run, and kept",
}
ABOUT = """\
Every key of a configuration, as `minigan train --print-config` and `mg.fit(KEY=VALUE)` have it, in the order
of the schema. Where values come from, and which wins, is told in
[The command line](../command-line.md#settings); a whole file of them is the `config.json` of any run. A
default that depends on the data is that of the [method](../runs.md#the-method-of-a-run) shaped, the one in
force unless `method=plain` is set; most presets are plain.
"""


# ── commands
def signals() -> dict[int, str]:
    """{exit code: meaning} of what stops a process from outside."""
    said = {signal.SIGHUP: "the terminal was closed", signal.SIGINT: "Ctrl-C"}
    return {128 + s: f"Stopped by {s.name}" + (f": {said[s]}." if s in said else ".") for s in STOPPING}


def exit_codes() -> dict[int, list[tuple[str, str]]]:
    """{exit code: [(what is raised, what it says of itself)]}; the first one is no error."""
    found: dict[int, list[tuple[str, str]]] = {0: [("", "All is well.")]}
    for kind in errors.MiniganError.__subclasses__():
        if kind.__module__ == errors.__name__:
            said = inspect.getdoc(kind) or ""
            found.setdefault(kind.exit_code, []).append((kind.__name__, said.partition("\n\n")[0]))
    found[1] = [*found.get(1, []), ("", "What nobody expected: a bug, of which `--debug` shows the place.")]
    found |= {code: [("Interrupted", text)] for code, text in signals().items()}
    return dict(sorted(found.items()))


def commands() -> str:
    """Every command with its arguments, options and examples, and what a process leaves with."""
    import click

    from minigan.cli import cli

    context = click.Context(cli, info_name="minigan")
    lines = ["# Commands and exit codes", ""]
    lines += ["As `minigan COMMAND --help` says it; what they are for is told in"]
    lines += ["[The command line](../command-line.md).", "", "## Exit codes", ""]
    lines += ["| code | meaning | in Python |", "|---|---|---|"]
    for code, kinds in exit_codes().items():
        said = " ".join(" ".join(text for _, text in kinds).split())
        lines.append(f"| {code} | {said} | {', '.join(f'`{name}`' for name, _ in kinds if name)} |")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        own = click.Context(command, info_name=name, parent=context, max_content_width=100)
        lines += ["", f"## minigan {name}", "", "```text", command.get_help(own), "```"]
    return "\n".join(lines) + "\n"


# ── settings
def code(value: Any) -> str:
    """A value as a configuration file has it."""
    return f"`{json.dumps(value)}`"


def defaults(name: str, default: Any) -> str:
    """What a setting is where nothing is said, by the method and the number of features."""
    shaped = METHODS["shaped"].get(name, default)
    several = (METHODS["shaped"] | SEVERAL["shaped"]).get(name, default)
    if name == "latent.size":
        return f"{code(default)}, of several features {BEYOND} numbers more than there are features"
    if default == shaped == several:
        return code(default)
    if shaped == several:
        return f"{code(shaped)}, with `method=plain` {code(default)}"
    return f"{code(shaped)} of one feature, {code(several)} of several, with `method=plain` {code(default)}"


def grouped() -> Iterator[tuple[list[str], Field]]:
    """([name], field), those of both players that have one rule and one meaning together."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, field in fields().items():
        part = name.removeprefix("generator").removeprefix("discriminator")
        found.setdefault((part, field.rule, field.description), []).append(name)
    return ((names, fields()[names[0]]) for names in found.values())


def said_elsewhere() -> dict[str, list[str]]:
    """{setting: words of other programs that lead to it alone, or to it for either player}."""
    found: dict[str, list[str]] = {}
    for row in NAMES:
        leads = row.ours.split()
        if len({name.partition(".")[2] or name for name in leads}) == 1:
            for name in leads:
                found.setdefault(name, []).extend(word for word in row.words.split() if word != name)
    return found


def entry(names: list[str], field: Field) -> list[str]:
    """One setting, or the same one of both players."""
    first, words = names[0], said_elsewhere().get(names[0], [])[:8]
    own = {name: defaults(name, fields()[name].default) for name in names}
    default = own[first] if len(set(own.values())) == 1 else "; ".join(f"`{n}` {d}" for n, d in own.items())
    options = [f"`--{option} …`" for option, settings in OPTIONS.items() if first in settings]
    options += [f"`--set {first}=…`", f"`MINIGAN_{first.upper().replace('.', '__')}=…`"]
    lines = [f"### {', '.join(f'`{name}`' for name in names)}", ""]
    lines += [f"{field.description[:1].upper()}{field.description[1:]}.", ""]
    lines += [f"- **Default:** {default}", f"- **Bound:** {field.rule}"]
    lines.append(f"- **Set by:** {', '.join(options)}")
    if words:
        lines.append(f"- **Elsewhere called:** {', '.join(words)}")
    return [*lines, ""]


def settings() -> str:
    """Every key of a configuration: default, bound, meaning, how it is set, and what others call it."""
    lines = ["# Settings", "", ABOUT]
    for names, field in grouped():
        if names[0] in SECTIONS:
            lines += [f"## {SECTIONS[names[0]]}", ""]
        lines += entry(names, field)
    return "\n".join(lines)


def write(into: Path) -> None:
    """Both pages."""
    (into / "commands.md").write_text(commands(), encoding="utf-8")
    (into / "settings.md").write_text(settings(), encoding="utf-8")
