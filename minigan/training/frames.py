"""Tables in memory as data: arrays, lists and data frames, by what they can do, whoever made them.

No library of data frames is imported here: a frame names its columns (``columns``, or pyarrow's
``column_names``), hands them out one by one, and each becomes an array by its own ``to_numpy()``. The rules
are those of files, docs/data.md: what is missing is NaN, what is no number is refused with its column.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from minigan import backend
from minigan.errors import DataError, quoted
from minigan.training.data import DTYPES, Data, as_data, require_memory
from minigan.training.table_form import MISSING, columns_setting, default_names, folded, number_of
from minigan.training.table_form import label as label_text
from minigan.training.text_table import Table, features_beside

EXACT = 2**53  # whole numbers beyond it are not all in float64
TO_NUMBERS = {  # how a column is made numbers in the library that it is of
    **dict.fromkeys(("numpy", "pandas"), ", as .astype(float)"),
    "polars": ", as .cast(float)", "pyarrow": ", as .cast('float64')",
}  # fmt: skip
CATEGORIES = ("category", "categorical", "enum", "dictionary")  # of which a column is, by its type's name
PROTOCOLS = ("__array__", "to_numpy", "numpy", "__arrow_c_stream__", "collect", "compute")
HELD = {kind: held for kind, (held, _) in DTYPES.items()}
GIVE = "give the column as numbers"
TIMES = "give the time since a moment as numbers"


class _Frame(NamedTuple):
    """A table before its numbers are read: the columns in order, and the names of those that have one."""

    columns: list[Any]
    names: list[str]


def read_frame(
    data: Any,
    *,
    columns: Sequence[int | str] | None = None,
    drop_nonfinite: bool = False,
    allow_constant: bool = False,
    label: int | str | None = None,
    y: Any = None,
) -> Data:
    """A table in memory, with the names of its columns: what ``read_data`` is for a file.

    data  an array (n,) or (n, p), a list of numbers or of rows, a dictionary of columns, a data frame or
          series of pandas, polars, pyarrow or whatever has their methods, a Tensor, an array on a GPU; a
          Data that was read before is returned as it is, unless columns of it are asked for
    label the column, of any values, with the class of each row
    y     or that column on its own: an array, a list or a series of as many labels

    Columns without names are called as those of a file. Only those that are asked for have to be numbers.

    Raises:  DataError – if it is no table of numbers, or as ``read_data``
    """
    if isinstance(data, Data) and columns is None and y is None:
        return data
    what = _called(data)
    try:
        table = _read(data, what, columns, label)
    except MemoryError:
        raise DataError(f"{what} does not fit into the free memory as float64; thin it out") from None
    if y is not None:
        called = named_label(y)
        if called in table.names:
            raise DataError(
                f"the labels are called {quoted(called)}, and so is a feature of {what}; rename that, or "
                "give y another name"
            )
        table = table._replace(label=called, labels=_labels_in(y, len(table.values), what))
    return as_data(table, what, _kind(data), drop_nonfinite, allow_constant)


def named_label(y: Any) -> str:
    """What labels that come on their own are called: as their series, or label."""
    name = getattr(y, "name", None)
    if name is None and len(names := names_in_frame(y) if hasattr(y, "shape") else ()) == 1:
        name = names[0]
    return label_text(name) if isinstance(name, str) and name.strip() else "label"


def _labels_in(y: Any, rows: int, what: str) -> list[Any]:
    """As many labels as there are rows.    Raises:  DataError – for another number, or what is no column"""
    if isinstance(y, (str, bytes, Mapping, Set)) or not hasattr(y, "__len__"):
        raise DataError(
            f"y has a label for each row, received {quoted(y)}; label=… names a column of the data"
        )
    values = _plain(y)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.ndim != 1 or len(values) != rows:
        given = f"shape {values.shape}" if values.ndim != 1 else f"{len(values)} labels"
        raise DataError(f"y has a label for each of the {rows} rows of {what}; received {given}")
    found: list[Any] = values.tolist()
    return found


def read_rows(data: Any, names: Sequence[str]) -> np.ndarray:
    """Rows of the features ``names``, in their order: by name where the data name them, else by position.

    Where two have one name, all names in their order are as good as none.

    Shapes:  → (n, p), finite
    Raises:  DataError – if a feature is not there, there are more or fewer without names, or values are
             missing
    """
    what = _called(data)
    _refuse_unreadable(data, what)
    known, wanted = ([folded(name) for name in some] for some in (names_in_frame(data), names))
    by_name = bool({*known} & {*wanted}) and not (known == wanted and len({*known}) < len(known))
    table = _read(data, what, list(names) if by_name else None)
    if len(table.names) != len(names):
        raise DataError(
            f"{what} has {len(table.names)} column{'s' * (len(table.names) != 1)}, where {len(names)} "
            f"{'is' if len(names) == 1 else 'are'} needed: {', '.join(names[:5])}{' …' * (len(names) > 5)}"
        )
    finite = np.isfinite(table.values).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{what} has values that are missing, NaN or infinite, the first in row "
            f"{int(finite.argmin()) + 1} of {len(finite)}; correct or remove them"
        )
    if not len(finite):
        raise DataError(f"{what} has no rows; give at least 1")
    return table.values


def names_in_frame(data: Any) -> tuple[str, ...]:
    """The names that a table gives its columns; () for one without."""
    frame = _frame(data)
    return () if frame is None else tuple(frame.names)


def _called(data: Any) -> str:
    return f"the {_kind(data)}"


def _kind(data: Any) -> str:
    """What a table is called in a sentence: by its type."""
    name = type(data).__name__
    return "array" if name == "ndarray" else label_text(name)


def _read(data: Any, what: str, columns: Sequence[int | str] | None, label: int | str | None = None) -> Table:
    _refuse_unreadable(data, what)
    frame = _frame(data)
    if frame is None:
        frame = _array(data, what)
    if not frame.columns:
        raise DataError(f"{what} has no columns; give at least one of numbers")
    names = tuple(frame.names) or default_names(len(frame.columns))
    chosen, mark = features_beside(columns, label, names, what, has_header=bool(frame.names))
    arrays = [_plain(frame.columns[i]) for i in chosen]
    for i, array in zip(chosen, arrays, strict=True):
        if array.ndim != 1 or len(array) != len(arrays[0]):
            raise DataError(
                f"{what}: column {quoted(names[i])} has shape {array.shape}; give columns of one axis and "
                "one length, each number of a row in a column of its own"
            )
    require_memory(len(arrays[0]) * len(arrays) * 8, what)
    values, notes = np.empty((len(arrays[0]), len(arrays))), list[str]()
    for k, (i, array) in enumerate(zip(chosen, arrays, strict=True)):
        try:
            values[:, k] = _numbers(frame.columns[i], array)
        except _NoNumber as no:
            classes = columns is None and len(names) > 1 and _may_be_classes(array)
            raise DataError(
                f"{what}{no.row}{'' if len(names) == 1 else ', column ' + quoted(names[i])}: {no}"
                + f", name it as the class of each row with label={quoted(names[i])}" * classes
                + _numeric_columns(frame, names, i)
            ) from None
        if array.dtype.kind in "iu" and len(array) and max(-int(array.min()), int(array.max())) > EXACT:
            notes.append(f"whole numbers of column {quoted(names[i])} beyond 2^53 were rounded")
    labels = [] if mark is None else _labels_in(frame.columns[mark], len(values), what)
    name = None if mark is None else names[mark]
    return Table(values, tuple(names[i] for i in chosen), notes, code=True, label=name, labels=labels)


def _may_be_classes(column: np.ndarray) -> bool:
    """Whether a column has texts, each in two rows and more on average."""
    held = {value for value in column.tolist()[:1000] if isinstance(value, str)}
    return 1 < len(held) <= min(len(column), 1000) // 2


class _NoNumber(Exception):
    """A column holds something else; ``row`` says where, as text."""

    def __init__(self, says: str, row: int | None = None) -> None:
        super().__init__(says)
        self.row = "" if row is None else f", row {row + 1}"


def _numbers(column: Any, array: np.ndarray) -> np.ndarray:
    """The numbers of a column, NaN where one is missing.    Raises:  _NoNumber – with what it holds"""
    of_type = str(getattr(column, "dtype", getattr(column, "type", ""))).lower()
    if of_type.startswith(CATEGORIES):
        raise _NoNumber(f"categories cannot be learned; {GIVE}")
    kind, convert = array.dtype.kind, TO_NUMBERS.get(type(column).__module__.partition(".")[0], "")
    if kind in "fiu":
        return array
    if kind in "OUST":
        return np.array([_number(value, row, convert) for row, value in enumerate(array)], float)
    advice = {"b": f"write them as 1 and 0{convert}", "c": "give real and imaginary parts as columns"}
    held = HELD.get(kind, f"values of type {array.dtype}")
    raise _NoNumber(f"{held} cannot be learned; {advice.get(kind, TIMES if kind in 'Mm' else GIVE)}")


def _number(value: Any, row: int, convert: str) -> float:
    """One value of a column of Python objects: a number, or NaN where it says that there is none."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (str, bytes)):
        numbers = isinstance(value, str) and number_of(value) is not None
        advice = f"make the column numbers{convert}" if numbers else GIVE
        raise _NoNumber(f"{quoted(value)} is text, which cannot be learned; {advice}", row)
    if isinstance(value, bool):
        raise _NoNumber(f"truth values cannot be learned; write them as 1 and 0{convert}", row)
    if isinstance(value, (int, float)):
        return _float(value)
    if value is None or str(value).lower() in MISSING | {"nan", "nat", "snan"}:
        return float("nan")
    if hasattr(value, "__float__") and not isinstance(value, np.ndarray):
        with suppress(TypeError):
            return _float(value)
    advice = TIMES if hasattr(value, "isoformat") or hasattr(value, "total_seconds") else GIVE
    raise _NoNumber(f"values of type {type(value).__name__} cannot be learned; {advice}", row)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _numeric_columns(frame: _Frame, names: tuple[str, ...], wrong: int) -> str:
    """The end of a refusal: the columns that can be taken."""
    fine = []
    for i, column in enumerate(frame.columns):
        if i != wrong:
            with suppress(_NoNumber, DataError):
                array = _plain(column)
                if array.ndim == 1 and np.isfinite(_numbers(column, array)).any():
                    fine.append(i)
    return (
        f", or take the columns that are numbers: {columns_setting(names, fine, code=True)}" if fine else ""
    )


# ── what each kind of table is made of ──────────────────────────────────────────────────────────────────────


def _frame(data: Any) -> _Frame | None:
    """The columns of what has columns; None for what is one array."""
    if isinstance(data, Data):
        return _Frame(list(data.values.T), list(data.names))
    if isinstance(data, np.ndarray):
        fields = data.dtype.names
        return (
            None if fields is None else _Frame([data[name] for name in fields], list(map(label_text, fields)))
        )
    if _is_sparse(data):
        return None
    labels = list(data) if isinstance(data, Mapping) else getattr(data, "column_names", None)
    if labels is None:  # unless pyarrow's, whose columns are the arrays themselves
        labels = getattr(data, "columns", None)
    if labels is None or callable(labels):
        return None
    labels, columns = list(labels), list(_columns(data))
    if labels == list(range(len(labels))):  # pandas has numbered what had no names
        labels = []
    return _Frame(columns, [_name(each, k) for k, each in enumerate(labels)])


def _is_sparse(data: Any) -> bool:
    """Whether it is one of SciPy's, of which some are dictionaries."""
    return hasattr(data, "toarray") and hasattr(data, "nnz")


def _columns(data: Any) -> Iterator[Any]:
    """The columns in order, also where two have one name."""
    if hasattr(data, "items"):  # a dictionary, pandas
        return (column for _, column in data.items())
    for way in ("itercolumns", "iter_columns"):  # pyarrow, polars
        if hasattr(data, way):
            found: Iterator[Any] = getattr(data, way)()
            return found
    return (data[name] for name in data.columns)


def _name(given: Any, position: int) -> str:
    """The name of a column: of one that has levels, these with points between them."""
    parts = given if isinstance(given, tuple) else (given,)
    text = ".".join(str(part) for part in parts if part is not None and part == part)  # NaN is none
    return label_text(text.strip(". ")) or f"x{position}"


def _array(data: Any, what: str) -> _Frame:
    """What is one array: a column, or rows by columns."""
    array = _plain(data)
    name = getattr(data, "name", None)
    if array.ndim == 2:
        return _Frame(list(array.T), [])
    if array.ndim != 1:
        flat = f", as reshape({array.shape[0]}, -1) makes it" if array.ndim > 2 else ""
        raise DataError(
            f"{what} has shape {quoted(array.shape)}; give one axis of values, or rows by columns{flat}"
        )
    named = [_name(name, 0)] if isinstance(name, str) and name else []
    return _Frame([data if hasattr(data, "to_numpy") else array], named)


def _plain(column: Any) -> np.ndarray:
    """A column or an array as NumPy's, on the host; what is masked there is NaN."""
    if isinstance(column, np.ma.MaskedArray) and column.dtype.kind in "fiu":
        return np.ma.filled(column.astype(float), np.nan)
    if hasattr(column, "to_numpy") and not hasattr(column, "__array__"):
        return np.asarray(column.to_numpy())
    with suppress(TypeError):
        column = backend.of(column).to_host(column)
    column = column.numpy() if hasattr(column, "numpy") else column
    try:
        return np.asarray(column)
    except ValueError:
        what = _called(column)
        raise DataError(f"{what} has rows of different lengths; give each as many numbers") from None


def _length(part: Any) -> int:
    """Of a part of a table; 0 of a number."""
    return len(part) if hasattr(part, "__len__") and np.ndim(part) else 0


def _refuse_unreadable(data: Any, what: str) -> None:
    """Refuse what holds no numbers, or holds them in another form, with what to give instead."""
    if _is_sparse(data):
        raise DataError(f"{what} is sparse, which networks do not take; give its toarray()")
    if isinstance(data, (Sequence, Mapping)) and not isinstance(data, (str, bytes)):
        if not isinstance(data, Mapping) and len(data) and isinstance(data[0], Mapping):
            raise DataError(f"{what} holds dictionaries of a row each; give a dictionary of columns")
        if isinstance(data, tuple) and 1 < len(data) < min(map(_length, data)):
            raise DataError(
                f"{what} holds {len(data)} arrays of {_length(data[0])} values, which could be columns or "
                "rows; give np.column_stack(…) of columns, or np.stack(…) of rows"
            )
        return
    has = {name for name in PROTOCOLS if hasattr(data, name)} if not isinstance(data, type) else set()
    for computes in ("collect", "compute"):  # polars, dask
        if computes in has and "__array__" not in has:
            raise DataError(f"{what} has not been computed yet; give its {computes}()")
    if isinstance(data, Data) or has & {"__array__", "to_numpy", "numpy"}:
        return
    if "__arrow_c_stream__" in has:
        raise DataError(f"{what} is read by pyarrow; give pyarrow.table(data)")
    if hasattr(data, "columns") and not isinstance(data, type):
        return
    with suppress(TypeError):  # an array on a device
        backend.of(data)
        return
    raise DataError(f"{what} is no table; give an array, a list of numbers or of rows, or a data frame")
