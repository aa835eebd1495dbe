"""What a caller may give: numbers, counts, names, lists and objects, each by one rule with one sentence.

What an argument is by itself is asked here, of every constructor above; how arguments fit each other, there.
A bool is no number, NumPy's scalars are; text is never read as one.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minigan.errors import quoted
from minigan.words import VALUES

T = TypeVar("T")


class Rule(NamedTuple):
    """An interval of finite numbers, as a sentence calls it; ``open`` names the ends that are outside."""

    says: str
    low: float
    high: float = math.inf
    open: str = ""

    def holds(self, x: float) -> bool:
        """Whether x, which is no NaN, lies inside."""
        above = x > self.low if "low" in self.open else x >= self.low
        return math.isfinite(x) and above and (x < self.high if "high" in self.open else x <= self.high)


POSITIVE = Rule("a finite positive number", 0.0, open="low")
NOT_NEGATIVE = Rule("a finite number ≥ 0", 0.0)
WEIGHT = Rule("a weight, a finite number ≥ 0", 0.0)
SHARE = Rule("a number in [0, 1]", 0.0, 1.0)
FRACTION = Rule("a number in [0, 1)", 0.0, 1.0, open="high")


def number(what: str, value: object, rule: Rule = POSITIVE) -> float:
    """``value`` as a float, if the rule holds.

    Raises:  TypeError – for what is no number, a bool and text among it;  ValueError – outside the interval
    """
    given = value if type(value) is float else _scalar(value)
    if type(given) is not float and (isinstance(given, bool) or not isinstance(given, Real)):
        raise TypeError(f"{what} is {rule.says}; received {shown(value)}")
    try:
        found = float(given)
    except OverflowError:
        found = math.inf
    if not rule.holds(found):
        raise ValueError(f"{what} is {rule.says}; received {shown(value)}")
    return found


def whole(what: str, value: object, least: int = 1) -> int:
    """``value`` as an int, if it is a whole number of at least ``least``.

    Raises:  TypeError – for what is no whole number, 2.0 and True among it;  ValueError – below
    """
    given = _scalar(value)
    says = "{} is a whole number ≥ {}; received {}"
    if isinstance(given, bool) or not isinstance(given, Integral):
        raise TypeError(says.format(what, least, shown(value)))
    if given < least:
        raise ValueError(says.format(what, least, shown(value)))
    return int(given)


def named(what: str, name: object, table: Mapping[str, T]) -> T:
    """The row of the table; of an unknown name, the names there are and the closest one.

    Raises:  TypeError – for what is no text;  ValueError – for an unknown name
    """
    if isinstance(name, str) and name in table:
        return table[name]
    says = f"{what} must be one of {', '.join(table)}; received {shown(name, text=True)}"
    if not isinstance(name, str):
        raise TypeError(says)
    raise ValueError(says + closest(name, table))


def closest(name: str, names: Iterable[str]) -> str:
    """The end of a refusal: ", did you mean 'tanh'?"; nothing where no name is close."""
    known = {_plain(each): each for each in names}
    asked = _plain(name[:100])
    rows = (row for rows in VALUES.values() for row in rows if asked in map(_plain, row.words.split()))
    meant = next((ours for row in rows for ours in row.ours.split() if ours in known.values()), "")
    found = difflib.get_close_matches(asked, known, n=1, cutoff=0.6)
    meant = asked not in known and meant or found and known[found[0]] or ""
    return f", did you mean {meant!r}?" if meant else ""


def instance(says: str, value: object, kind: type[T], advice: str) -> T:
    """``value``, if it is one of the class.

    Raises:  TypeError – for another: what it says, what it received, the advice
    """
    if not isinstance(value, kind):
        raise TypeError(f"{says}; received {shown(value)}, {advice}")
    return value


def listed(what: str, values: object, of: str) -> list[Any]:
    """The items in their order: of a list, a tuple or another iterable that has one.

    of  what the items are, for the sentence

    Raises:  TypeError – for text, sets, dictionaries and what has no items
    """
    if type(values) is list:  # most often, and asked sooner than whether it is of an abstract class
        return list(values)
    if isinstance(values, (str, bytes, set, frozenset, Mapping)) or not isinstance(values, Iterable):
        raise TypeError(f"{what} is a list of {of}; received {shown(values)}")
    return list(values)


def floating(what: str, dtype: Any) -> str:
    """The name of a dtype of floating-point numbers, given as np.zeros takes it.

    Raises:  TypeError – for any other, or what is no dtype
    """
    try:
        found = np.dtype(dtype) if dtype is not None else None
    except TypeError:
        found = None
    if found not in (np.float32, np.float64):
        raise TypeError(f"{what} is float32 or float64; received {shown(dtype, text=True)}")
    return str(found)


def shown(value: object, text: bool = False) -> str:
    """``value`` in a refusal: numbers and text as Python writes them, all else by its type.

    text  whether text is what was asked for, so that it need not be called so
    """
    if isinstance(value, (str, bytes)) and not text:
        return f"{quoted(value)}, which is text"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, (str, bytes, Real, complex, np.bool_)):
        return quoted(value.item() if isinstance(value, np.generic) else value)
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {shape}" if isinstance(shape, tuple) and shape else "")


def _scalar(value: object) -> object:
    return value[()] if isinstance(value, np.ndarray) and value.shape == () else value


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")
