"""What to do, as a script writes it: messages of the rooms below spell it as the command line does."""

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from minigan.errors import MiniganError
from minigan.training.signals import Interrupted

P = ParamSpec("P")
R = TypeVar("R")
WORDS = {"true": "True", "false": "False", "null": "None", "none": "None"}


def _value(text: str) -> str:
    """A value of --set as Python has it."""
    if text.startswith("[") or re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", text):
        return text
    if "," in text:
        return f"[{', '.join(map(_value, text.split(',')))}]"
    return text if text == "…" else WORDS.get(text.lower(), f'"{text}"')


def _setting(found: re.Match[str]) -> str:
    return f"{found[1].replace('.', '__')}={_value(found[2])}"


def _list(found: re.Match[str]) -> str:
    return f"[{', '.join(found[0].split(','))}]"


def _group(found: re.Match[str]) -> str:
    return f"write {found[1] or ''}{found[2]}__{found[3]}="


SPELLINGS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"--set '?([a-z_][\w.]*)=((?:[^\s;'\"]|\"[^\"]*\")*[^\s;'.,:])'?", _setting),
    (r"Run\.resume\(\) --detect-anomaly", "Run.resume(detect_anomaly=True)"),
    (r"--resume ([^\s;,]+) --detect-anomaly", r'mg.load("\1").resume(detect_anomaly=True)'),
    (r"--resume ([^\s;,]+)", r'mg.load("\1").resume()'),
    (r"--allow-drift", "allow_drift=True"),
    (r"--label ('[^']*'|[^\s;,]+)", lambda found: f"label={_value(found[1].strip(chr(39)))}"),
    (r"--at (\w+)", lambda found: f"at={_value(found[1])}"),
    (r"--(backend|data) ([^\s;,)]+)", r'\1="\2"'),
    (r" \(train --\w+ [A-Z]+\)", ""),
    (r"write (for example )?([a-z_]+)\.(\w+)=", _group),
    (r"(?<=as |..=)\d+(,\d+)+", _list),
    (r"--out DIRECTORY", 'directory="…"'),
    (r"-q says less", "progress=False says nothing"),
    (r"another --index", "another seed"),
    (r"reduce -n\b", "reduce n"),
    (r"\(train --lr sets both\)", "(lr sets both)"),
    (r"minigan train --target ('[^']*')", r"mg.fit(\1)"),
    (r"write minigan train ([\w.][\w.-]*)", r'write mg.fit("\1")'),
)


def as_python(text: str) -> str:
    """``text`` with the command line's spellings of arguments as those of a function."""
    for pattern, replacement in SPELLINGS:
        text = re.sub(pattern, replacement, text)
    return text


def for_scripts(function: Callable[P, R]) -> Callable[P, R]:
    """The function, whose refusals say what to write in Python."""

    @functools.wraps(function)
    def worded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (MiniganError, Interrupted) as error:
            error.args = (as_python(str(error)),)
            raise

    return worded
