"""What a page may ask of the course, as data: each command with its arguments, held to their rules."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from minigan.errors import quoted

MOST_ROUNDS, MOST_SPEED = 10**7, 1000.0  # rounds that are asked for at once; rounds a second, 0 for full
MOST_POINTS, MOST_TEXT, MOST_TABLE = 2000, 4096, 4 * 2**20
LIMIT = 1e9  # of a coordinate that is drawn by hand


class CommandError(ValueError):
    """A command that is none: a sentence on what was asked, what was received and what to do."""


@dataclass(frozen=True)
class Command:
    """One thing to do, and with what; made by ``command_from`` alone."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def rule(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise CommandError(f"a whole number from {least} to {most}")
        return value

    return rule


def _number(least: float, most: float) -> Callable[[Any], float]:
    def rule(value: Any) -> float:
        if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
            raise CommandError(f"a number from {least:g} to {most:g}")
        return float(value)

    return rule


def _turn(value: Any) -> str:
    if value not in ("D", "G"):
        raise CommandError("D or G")
    return str(value)


def _name(value: Any) -> str:
    if type(value) is not str or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
        raise CommandError("1 to 64 letters, digits, - or _")
    return value


def _table(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MOST_TABLE:
        raise CommandError(f"a text of at most {MOST_TABLE} characters")
    return value


def _settings(value: Any) -> Mapping[str, Any]:
    """Settings by dotted name, each as text or as a plain value: what they may be the configuration knows."""
    if type(value) is not dict or not 0 < len(value) <= 100:
        raise CommandError("1 to 100 settings by name")
    for name, given in value.items():
        plain = given is None or type(given) in (str, int, float, bool) or _is_short(given)
        if type(name) is not str or len(name) > 100 or not plain:
            raise CommandError("settings that are text, numbers, truth values or short lists of them")
        if type(given) is str and len(given) > MOST_TEXT:
            raise CommandError(f"settings of at most {MOST_TEXT} characters")
    return MappingProxyType(dict(value))


def _is_short(value: Any) -> bool:
    return type(value) is list and len(value) <= 64 and all(type(one) in (str, int, float) for one in value)


def _rows(columns: int, least: int) -> Callable[[Any], tuple[tuple[float, ...], ...]]:
    number = _number(-LIMIT, LIMIT)

    def rule(value: Any) -> tuple[tuple[float, ...], ...]:
        says = f"{least} to {MOST_POINTS} rows of {columns} numbers"
        if type(value) is not list or not least <= len(value) <= MOST_POINTS:
            raise CommandError(says)
        if any(type(row) is not list or len(row) != columns for row in value):
            raise CommandError(says)
        return tuple(tuple(number(one) for one in row) for row in value)

    return rule


RULES: Mapping[str, Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        "play": {},
        "pause": {},
        "step_d": {},
        "step_g": {},
        "rounds": {"count": _whole(1, MOST_ROUNDS)},
        "speed": {"per_second": _number(0.0, MOST_SPEED)},
        "restart": {"seed": _whole(-1, 2**63 - 1)},  # −1: one that has not been
        "rewind": {"step": _whole(0, 10**9), "turn": _turn},
        "set": {"settings": _settings},
        "preset": {"name": _name},
        "learn_table": {"text": _table},
        "learn_points": {"points": _rows(2, 2)},
        "learn_density": {"heights": _rows(2, 2)},
        "save": {"name": _name},
    }
)


def command_from(value: Any) -> Command:
    """The command that a page sent: {"do": name, …} with exactly the arguments of that name.

    Raises:  CommandError – for anything else
    """
    if type(value) is not dict or type(value.get("do")) is not str:
        raise CommandError(f"a command is {{'do': name, …}}; received {quoted(value)}")
    name = value["do"]
    if name not in RULES:
        raise CommandError(f"a command is one of {', '.join(RULES)}; received {quoted(name)}")
    rules, given = RULES[name], {key: one for key, one in value.items() if key != "do"}
    if given.keys() != rules.keys():
        takes = ", ".join(rules) or "no arguments"
        raise CommandError(f"{name} takes {takes}; received {quoted(sorted(map(str, given)))}")
    arguments = {}
    for key, rule in rules.items():
        try:
            arguments[key] = rule(given[key])
        except CommandError as error:
            raise CommandError(f"{key} of {name} is {error}; received {quoted(given[key])}") from None
    return Command(name, MappingProxyType(arguments))
