"""The labels of a data set: read as texts, whatever their column holds, and put in order.

Text, whole numbers, truth values: what a class is called is its text, and 1, 1.0 and "1" are one class.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigan.errors import DataError, quoted
from minigan.training.table_form import MISSING, label, number_of

MOST = 256  # classes: a network has an input for each
LEAST = 2  # rows of a class
MISSED = -1  # the code of a row without a label


class Marks(NamedTuple):
    """The labels of a data set: the name of their column, what they are, and which of them each row has.

    Shapes:  codes (n,), whole numbers from 0
    """

    name: str
    classes: tuple[str, ...]
    codes: np.ndarray


def text_of(value: Any) -> str | None:
    """What a label is called; None where it says that there is none. Of 1, 1.0 and "1" it is one text."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if value is None or isinstance(value, float) and value != value:
        return None
    text = str(value).strip()
    if text.lower() in MISSING | {"nan", "nat"} or text.startswith("<NA"):
        return None
    number = None if isinstance(value, bool) else number_of(text)
    if number is not None and abs(number) < 2**53 and number == int(number):
        return str(int(number))
    return label(text)


def refuse_missed(marks: Marks, values: Sequence[Any], what: str, advice: str) -> None:
    """Refuse labels that are missing.    Raises:  DataError – with the first of them"""
    missed = np.flatnonzero(marks.codes == MISSED)
    if missed.size:
        value, rows = values[missed[0]], len(values)
        said = (
            f"{quoted(value)}, which says that there is none; call the class by another word"
            if isinstance(value, str) and value.strip()
            else "no value; correct them"
        )
        raise DataError(
            f"{what}: the label {quoted(marks.name)} is missing in {missed.size} of {rows} rows, the first "
            f"is row {missed[0] + 1}, with {said}, or {advice}"
        )


def marks_of(name: str, values: Iterable[Any], what: str) -> Marks:
    """The labels that values are, −1 where one is missing: in the order of numbers, or of the alphabet.

    Raises:  DataError – for one class alone, for more than there may be, or nearly as many as rows, and for
             a class of one row
    """
    texts = [text_of(value) for value in values]
    known = [text for text in texts if text is not None]
    found = set(known)
    of = f"{what}: the label {quoted(name)}"
    if len(found) < 2:
        every = "row" if len(known) == len(texts) else f"one of the {len(known)} rows that have one"
        says = f"is {quoted(next(iter(found)))} in every {every}" if found else "has no value"
        raise DataError(f"{of} {says}; give one of at least two classes, or leave the label out")
    if len(found) > MOST or len(found) > 10 and 2 * len(found) > len(known):
        raise DataError(
            f"{of} has {len(found)} different values in {len(known)} rows, and a network is told one of at "
            f"most {MOST} classes, each of some rows; give a column of classes"
        )
    numbers = [number_of(text) for text in found]
    key: Callable[[str], Any] = (lambda t: float(t)) if None not in numbers else (lambda t: t)
    classes = tuple(sorted(found, key=key))
    place = {text: k for k, text in enumerate(classes)}
    codes = np.array([MISSED if text is None else place[text] for text in texts])
    counts = np.bincount(codes[codes >= 0], minlength=len(classes))
    if counts.min() < LEAST:
        rare = classes[int(counts.argmin())]
        raise DataError(
            f"{of} is {quoted(rare)} in 1 row, and a distribution of a class is learned from {LEAST} or "
            "more; leave the row out, or give its class more"
        )
    return Marks(name, classes, codes)
