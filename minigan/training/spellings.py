"""How people write settings: what is meant by a name or a value, and what a text is as a value.

Numbers are taken in every usual form, true and false in every usual word, a choice in any case. A word of
other programs is refused with what means it here, and so is a slip of the hand.
"""

import difflib
import json
import re
import tomllib
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from minigan.errors import quoted
from minigan.gan.objectives import OBJECTIVES
from minigan.training.config import fields
from minigan.training.synonyms import COMMANDS, ELSEWHERE, FLAGS, NAMES, PLAYERS, VALUES, Synonyms

RATES = ("generator_optimizer.rate", "discriminator_optimizer.rate")
OPTIONS = {  # options of `train`, each a spelling of --set: the settings that it sets
    "target": ("target",), "data": ("data",), "label": ("label",), "objective": ("objective",),
    "batch": ("batch",), "steps": ("steps",), "lr": RATES, "seed": ("seed",), "backend": ("backend",),
    "dtype": ("dtype",),
}  # fmt: skip
DEVICES = {"auto": "auto", "cpu": "numpy", "cuda": "cupy", "gpu": "cupy"}  # of --device: the backend
YES, NO = ("true", "yes", "on", "y", "t", "1"), ("false", "no", "off", "n", "f", "0")
NO_SEED = ("random", "auto", "time", "now", "none", "null", -1)  # what asks others for another at each run
NONE = ("none", "null", "false", "off", "no")  # of what has a size, and is off at 0
SHARES = ("a finite number from 0 to 1", "a finite number from 0 to 0.", "a finite number from 0 to below 1")
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
THOUSANDS = re.compile(r"[+-]?\d{1,3}\.\d{3}", re.ASCII)  # 1.000 is a thousand to some, and 1 to others


# ── names


def _words(name: str) -> list[str]:
    """The words of a name: of camelCase, with hyphens, dots or lines between them."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name[:100])
    return [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]


@cache
def _table(rows: tuple[Synonyms, ...]) -> dict[str, list[Synonyms]]:
    table: dict[str, list[Synonyms]] = {}
    for row in rows:
        for word in row.words.split():
            table.setdefault(word.replace("_", ""), []).append(row)
    return table


def meant(name: str) -> tuple[tuple[str, ...], str]:
    """The settings that people mean by ``name``, and a note on them; ((), "") where that is not known."""
    leaf = _words(name.rpartition(".")[2])
    ways: list[list[str]] = []
    for words in (_words(name), leaf):
        ways += [words, [word for word in words if word not in PLAYERS]]
    player = next((PLAYERS[word] for word in _words(name) if word in PLAYERS), "")
    if exact := [known for known in fields() if "".join(_words(known)) == "".join(ways[0]) != ""]:
        return tuple(exact), ""  # Batch, eval-every, generatorWidths
    for number, words in enumerate(ways):
        for row in _table(NAMES).get("".join(words), ()):
            settings = tuple(row.ours.split())
            own = tuple(known for known in settings if player and known.startswith(player))
            if not player or own or number % 2 == 0:
                return own or settings, row.note
        same = [known for known in fields() if _words(known.rpartition(".")[2]) == words]
        if number >= 1 and same:  # "widths" for "generator.widths": the group was left out
            return tuple(known for known in same if known.startswith(player)) or tuple(same), ""
    return (), ""


def advice_on_name(name: str, groups: Iterable[str]) -> str:
    """What to do about the unknown setting ``name``: what is meant, the nearest one, or all there are."""
    group, dot, leaf = name[:200].rpartition(".")
    near = _close(group, groups) if dot else None
    if near and f"{near}.{leaf}" in fields():
        return _offer((f"{near}.{leaf}",))
    settings, note = meant(name)
    if settings:
        return _offer(settings, note)
    if place := elsewhere(name):
        return place
    names = list(fields())
    if near is not None:  # the group is right, or nearly
        inside = [known for known in names if known.startswith(near + ".")]
        found = _close(leaf, [known.rpartition(".")[2] for known in inside])
        return _offer((f"{near}.{found}",)) if found else f"choose one of {', '.join(inside)}"
    if found := _close(name, names) or _close(name, groups):
        return _offer((found,))
    if found := _close(leaf, [known.rpartition(".")[2] for known in names]):
        return _offer(tuple(known for known in names if known.rpartition(".")[2] == found))
    return f"choose one of {', '.join(dict.fromkeys(known.partition('.')[0] for known in names))}"


def meant_options(word: str) -> list[Synonyms]:
    """The options that people mean by another one's name, whatever command has them."""
    return _table(FLAGS).get("".join(_words(word)), [])


def meant_command(word: str) -> str:
    """What to do about a command of another name, or ""."""
    rows = _table(COMMANDS).get("".join(_words(word)))
    return f"write minigan {rows[0].ours}{rows[0].note and f', or {rows[0].note}'}" if rows else ""


def elsewhere(name: str) -> str:
    """Where what is no setting has its place, or ""."""
    rows = _table(ELSEWHERE).get("".join(_words(name)))
    return rows[0].ours if rows else ""


def _offer(names: Iterable[str], note: str = "") -> str:
    return f"did you mean {' or '.join(map(repr, names))}{note and f' ({note})'}?"


def _close(name: str, names: Iterable[str]) -> str | None:
    """The name of which this is a slip of the hand: nearly all of it is there, and its beginning."""
    names = list(names)
    if name in names:
        return name
    close = difflib.get_close_matches(name[:100].lower(), names, n=3, cutoff=0.7)
    return next((known for known in close if known[:1] == name[:1].lower()), None)


# ── values


def choices(name: str) -> tuple[str, ...]:
    """The names that the setting ``name`` takes, where it takes names."""
    if name == "objective":
        return tuple(OBJECTIVES)
    kind = fields()[name].type
    return tuple(map(str, kind.values)) if isinstance(kind, msgspec.inspect.LiteralType) else ()


def plain(name: str, value: Any) -> Any:
    """``value`` as the setting ``name`` has it: ReLU is relu, and 1e3 a whole number."""
    if isinstance(value, str):
        folded = _folded(value)
        return next((choice for choice in choices(name) if _folded(choice) == folded), value)
    if isinstance(value, list):
        return [_as_whole(item) for item in value]
    return _as_whole(value) if _takes(name, msgspec.inspect.IntType) else value


def _as_whole(value: Any) -> Any:
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole else value


def _folded(value: str) -> str:
    return value.lower().replace("-", "").replace("_", "")


def _takes(name: str, *types: type) -> bool:
    kind = fields()[name].type if name in fields() else None
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return any(isinstance(one, types) for one in kinds)


def read_value(name: str, text: str) -> Any:
    """The value that ``text`` writes for the setting ``name``, or the text where it writes none."""
    types = msgspec.inspect
    if _takes(name, types.NoneType) and text.lower() in ("null", "none"):
        return None
    if _takes(name, types.BoolType) and text.lower() in YES + NO:
        return text.lower() in YES
    if _takes(name, types.IntType, types.FloatType):
        number = _number(text)
        # 1.000 is a thousand to some, and 1 to others.
        return text if _takes(name, types.IntType) and THOUSANDS.fullmatch(text) else number
    value = _structured(text)
    if _takes(name, types.VarTupleType) and not isinstance(value, list):
        is_text = isinstance(value, str) and value != text
        item = _whole if name == "columns" else _number
        return [value] if is_text else [item(part.strip()) for part in text.split(",")]
    if _takes(name, types.StrType, types.LiteralType) and not isinstance(value, str):
        return text  # a run may be named 2024
    return value


def read_number(text: str, *, whole: bool) -> Any:
    """The number that ``text`` writes in a usual form, a ``whole`` one, or None."""
    number = None if whole and THOUSANDS.fullmatch(text) else _number(text.strip())
    number = _as_whole(number) if whole else number
    kinds = (int,) if whole else (int, float)
    return number if isinstance(number, kinds) and not isinstance(number, bool) else None


def _whole(text: str) -> Any:
    """A whole number, or the text: a header may be named 1e3."""
    return _number(text) if WHOLE.fullmatch(text) else text


def _number(text: str) -> Any:
    """A number in any usual form, else what JSON or TOML make of the text."""
    if NUMBER.fullmatch(text):
        try:
            return float(text) if set(text) & set(".eE") else int(text)
        except ValueError:  # more digits than Python reads, or lines that part none
            return text
    return _structured(text)


def _structured(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return text if "\n" in text else tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def advice_on_value(name: str, value: Any) -> str:
    """What to write instead of a refused value, or "": what is meant by a word, or wrong with a number."""
    if value is not None and not isinstance(value, (str, int, float)):
        return ""
    types = msgspec.inspect
    if known := choices(name):
        return advice_on_choice(name, str(value)[:100], known)
    if _takes(name, types.VarTupleType):
        return f"write for example {name}=32,32, or [] for none" if name.endswith("widths") else ""
    if _takes(name, types.FloatType) and str(value)[:9].lower() in (*NONE, *YES[:3]):
        none = "0 is none" if "at least 0" in fields()[name].rule else ""
        return none if str(value).lower() in NONE else "write how much"
    if value is None or isinstance(value, bool):
        return ""
    if _takes(name, types.BoolType):
        read = read_value(name, str(value)[:100])
        return f"write {str(read).lower()}" if isinstance(read, bool) else ""
    if name == "seed" and (value.lower() if isinstance(value, str) else value) in NO_SEED:
        return "a run can be made again, so its seed is a number; the default is 0"
    if isinstance(value, str) and _takes(name, types.IntType, types.FloatType):
        return advice_on_number(value[:200], whole=_takes(name, types.IntType))
    if not isinstance(value, str) and 1 < value <= 100 and fields()[name].rule.startswith(SHARES):
        return f"write {value / 100:g} for {value:g} %"
    return ""


def advice_on_group(name: str, value: Any) -> str:
    """The setting of a group that is meant where the group itself is given a value, or ""."""
    types = msgspec.inspect
    kinds = {str: (types.LiteralType,), int: (types.IntType, types.VarTupleType), list: (types.VarTupleType,)}
    kind = kinds.get(type(value), ())
    found = next((one for one in fields() if kind and one.startswith(f"{name}.") and _takes(one, *kind)), "")
    return (
        f"write {found}={value if isinstance(value, str) and value.isidentifier() else quoted(value)}"[:100]
        if found
        else ""
    )


def advice_on_choice(name: str, value: str, known: tuple[str, ...]) -> str:
    """What of the ``known`` choices of a setting is meant by another ``value``, or ""."""
    group, _, leaf = name.rpartition(".")
    about = group.rpartition("_")[2] if leaf == "name" else leaf
    rows = _table(VALUES.get(about, ())).get("".join(_words(value)))
    if rows:
        return _offer(rows[0].ours.split(), rows[0].note)
    close = difflib.get_close_matches(value.lower(), known, n=1, cutoff=0.7)
    return _offer(close) if close else ""


ODD_NUMBERS = (  # how people write numbers, and how to say each
    (r"([+-]?\d{1,3})((?:[,'’_ \u00a0\u202f]\d{3})+|(?:\.\d{3})+)", lambda m: (
        f"write {re.sub(r'[^0-9+-]', '', m[0])} without marks for thousands")),
    (r"([+-]?\d*),(\d+)", lambda m: f"write {m[1] or '0'}.{m[2]} with a point"),
    (r"([+-]?\d+(?:\.\d+)?) ?([kKmM])", lambda m: f"write {m[1]}e{3 if m[2] in 'kK' else 6}"),
    (r"(\d{0,9}\.?\d{1,9}) ?%", lambda m: f"write {float(m[1]) / 100:g} for the share"),
    (r"(\d{1,9}) ?(s|secs?|m|mins?|h|hours?)", lambda m: (
        f"write {int(m[1]) * {'s': 1, 'm': 60, 'h': 3600}[m[2][0]]}, in seconds")),
    (r"[½¼¾⅓⅔⅕⅛]", lambda m: f"write {unicodedata.numeric(m[0]):.4g}"),
    (r"([+-]?\d*\.?\d+)[fFdDL]", lambda m: f"write {m[1]}"),
    (r"10(?:\^|\*\*)([+-]?\d{1,3})", lambda m: f"write 1e{m[1]}"),
    (r"[\d.]+ ?(?:[*/^]|\*\*) ?[\d.]+", lambda m: "write its value; nothing is calculated"),
)  # fmt: skip


def advice_on_number(text: str, *, whole: bool) -> str:
    """How to write the number, a ``whole`` one, that ``text`` seems to mean, or ""."""
    inner = text.strip().strip("\"'")
    if not inner:
        return "nothing stands behind the ="
    if inner.startswith("="):
        return "one = is enough"
    if re.search(r"[\s,;]\S+=", inner):
        return "give each setting a --set of its own"
    plainer = "".join("-" if unicodedata.category(c) == "Pd" or c == "−" else c for c in inner)
    if plainer != inner:
        return f"its minus is another character; write {plainer}"
    if len(inner) <= 40 and read_number(inner, whole=whole) is not None:
        return f"write {inner} without quotes"
    if not whole and re.fullmatch(r"[+-]?\d{1,3},\d{3}", inner):
        return f"write {inner.replace(',', '')}, or {inner.replace(',', '.')} if its comma is a point"
    if whole and inner.endswith("%"):
        return "a share is not taken here; write a whole number"
    return next((say(match) for form, say in ODD_NUMBERS if (match := re.fullmatch(form, inner))), "")


# ── files

SLIPS = {  # by the ending of a file: what a line or what follows a place looks like, and what to write
    ".json": (
        (r"\s*(//|/\*|#)", "JSON has no comments; leave them out, or write TOML"),
        (r"\s*,?\s*[}\]]", "leave out the comma before the closing bracket"),
        (r"\s*'", 'JSON has its texts in "double quotes"'),
        (r"\s*(True|False|None)\b", "JSON writes true, false and null"),
        (r"\s*[-+]?\.|\s*\+\d", "a number of JSON has no +, and digits around its point"),
        (r"\s*[\w.\[-]+\s*[=\]]", "this looks like TOML; name the file .toml"),
        (r"\s*[A-Za-z_]\w*", 'JSON has its names and texts in "double quotes"'),
    ),
    ".toml": (
        (r"\s*[{]", "this looks like JSON; name the file .json"),
        (r"\s*(//|/\*)", "comments of TOML begin with #"),
        (r"\s*[\w.-]+\s*:", "TOML writes name = value"),
        (r".*=\s*(True|False)\b", "TOML writes true and false"),
        (r".*=\s*([Nn]one|null|~)\b", "TOML has no null; leave the setting out"),
        (r".*=\s*[-+]?(\.\d|\d+\.(?!\d))", "a number of TOML has digits around its point"),
        (r".*=\s*\d+,\d+\s*$", "a number has a point, and a list is in [ ]"),
        (r".*=\s*[A-Za-z_]", 'TOML has its texts in "quotes"'),
        (r"\s*[\w.-]+\s*=\s*(#|$)", "nothing stands behind the ="),
    ),
}  # fmt: skip


def advice_on_file(text: str, suffix: str, error: str) -> str:
    """What to write instead, where a parser's ``error`` names a place of a file's ``text``, or ""."""
    if "overwrite" in error or "twice" in error and "(" in error:  # as TOML says it
        return "it was given before; write it once"
    place = re.search(r"line (\d+),? column (\d+)", error)
    if place is None:
        return ""
    lines = text.replace("\r", "").split("\n")
    line = lines[min(int(place[1]), len(lines)) - 1][:1000]
    if suffix == ".json":  # its parser stops where the matter begins, or one behind a comma
        at = sum(len(before) + 1 for before in lines[: int(place[1]) - 1]) + int(place[2]) - 1
        line = text.replace("\r", "")[max(at, 0) :][:1000]
    return next((advice for form, advice in SLIPS[suffix] if re.match(form, line)), "")
