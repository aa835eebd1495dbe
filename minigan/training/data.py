"""Data sets from CSV and NPY files: read under stated bounds into one float64 table, or refused.

What is read is untrusted: no pickle, no allocation that the file's own length does not back, and in the end
every number is finite.
"""

import csv
import io
import os
import stat
import warnings
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from minigan.errors import DataError, nearest, quoted

MAX_BYTES = 2 * 2**30  # of a file
MAX_LINE = 2**20  # characters of one line of text
MISSING = frozenset(("", "na", "n/a", "null", "none"))  # besides what float() reads as NaN
HUGE = 1e100  # beyond this squares overflow in float64, and values in float32 long before
OUTLYING = 1e6  # range over interquartile range at which a few values decide mean and sd
SAMPLED = 10**5  # rows looked at for duplicates and quartiles, so that notes cost nothing beside reading


@dataclass(frozen=True)
class Data:
    """A data set: ``values`` (n, p) in float64, the names of its p features, and notes for its user."""

    values: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...]
    source: str


def read_data(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[int | str] | None = None,
    drop_nonfinite: bool = False,
    allow_constant: bool = False,
) -> Data:
    """The table in a .csv, .tsv, .txt or .npy file.

    ``columns`` selects by index from 0 or by header name (None: all). Text may separate by comma, semicolon,
    tab or blanks, start with a header, use a decimal comma beside semicolons or tabs, be UTF-8 or UTF-16;
    blank lines and lines that start with # are skipped. A 1-D array is one column. Reading takes at most 4
    times the memory of the table.

    Raises:  DataError – if the file cannot be read, is not a table of numbers, has fewer than 2 rows, a
        constant column (unless ``allow_constant``), or values that are not finite (unless ``drop_nonfinite``)
    """
    path = Path(path)
    what = f"the data file {quoted(str(path))}"
    readers: dict[str, Callable[..., tuple[np.ndarray, tuple[str, ...], list[str]]]] = {
        ".csv": _read_text,
        ".tsv": _read_text,
        ".txt": _read_text,
        ".npy": _read_npy,
    }
    if path.suffix.lower() not in readers:
        raise DataError(f"{what} has the ending {quoted(path.suffix)}; give a {', '.join(readers)} file")
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise DataError(f"{what} is {kind}; give a {', '.join(readers)} file")
        if status.st_size > MAX_BYTES:
            raise DataError(
                f"{what} has {status.st_size} bytes, more than the {MAX_BYTES} that are read; thin it out"
            )
        with open(path, "rb") as file:
            values, names, notes = readers[path.suffix.lower()](file, what, columns)
    except OSError as error:
        raise DataError(f"{what} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a NUL in the name
        raise DataError(f"{what} cannot be read: {error}") from None
    except MemoryError:
        raise DataError(f"{what} does not fit into the free memory; thin it out") from None
    values, more = _vetted(values, names, what, drop_nonfinite, allow_constant)
    return Data(values, names, (*notes, *more), str(path))


def _read_text(
    file: BinaryIO, what: str, columns: Sequence[int | str] | None
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    # An undecodable byte becomes text like \xe9, and so is reported with its line, as any other non-number.
    with io.TextIOWrapper(file, encoding=_encoding(file), errors="backslashreplace") as text:
        sample = list(islice(_content(text, what), 2))
        if not sample:
            raise DataError(f"{what} is empty; give at least 2 rows of numbers")
        table = _Table(what, sample)
        names = table.names
        selected = _selection(columns, names, what, table.has_header)
        every = selected == list(range(len(names)))
        text.seek(0)
        numbers = array("d")
        for number, line in islice(_content(text, what), int(table.has_header), None):
            row = table.row(number, line)
            numbers.extend(row if every else [row[i] for i in selected])
    values = np.frombuffer(numbers, np.float64) if numbers else np.empty(0)
    notes = []
    if table.has_header:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        notes.append(f"line {sample[0][0]} was taken as a header: {', '.join(names[:5])}{more}")
    return values.reshape(-1, len(selected)), tuple(names[i] for i in selected), notes


def _encoding(file: BinaryIO) -> str:
    start = file.read(4)
    file.seek(0)
    for mark, encoding in (
        (b"\xff\xfe\0\0", "utf-32"),
        (b"\0\0\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if start.startswith(mark):
            return encoding
    return "utf-8-sig"


def _content(text: TextIO, what: str) -> Iterator[tuple[int, str]]:
    """The lines that are neither blank nor comments, with their numbers from 1."""
    number = 0
    while line := text.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise DataError(
                f"{what} has in line {number} more than {MAX_LINE} characters; give one row a line"
            )
        stripped = line.strip(" \r\n\v\f")  # a tab may be an empty last field
        if stripped and not stripped.isspace() and not stripped.startswith("#"):
            yield number, stripped


def _delimiter(sample: list[str]) -> str | None:
    """The mark between the columns, by the second line: the first may be a header with commas in names."""
    for line in reversed(sample):
        for mark in "\t;,":
            if mark in line and (line is sample[-1] or None not in map(_number, line.split(mark))):
                return mark
    return None


def _number(field: str) -> float | None:
    """The number that ``field`` writes, NaN if it says that there is none, None if it is something else."""
    field = field.strip()
    if field.lower() in MISSING:
        return float("nan")
    try:
        return None if "_" in field else float(field)  # float() reads 1_000, which no other program writes
    except ValueError:
        return None


def _label(name: str) -> str:
    return name if name.isprintable() and len(name) <= 80 else quoted(name)[1:-1]


class _Table:
    """How the lines of one text file are read: its delimiter, its decimal mark, its number of columns."""

    def __init__(self, what: str, sample: list[tuple[int, str]]) -> None:
        self.what = what
        self.delimiter = _delimiter([line for _, line in sample])
        self.blanks = self.delimiter is None and len(sample[-1][1].split()) > 1
        self.decimal = None if self.delimiter in ("\t", ";") else "."
        fields = [field.strip() for field in self.split(*sample[0])]
        self.width, self.has_header = len(fields), self.is_header(sample[0][0], fields)
        self.names = _default_names(self.width)
        if self.has_header:
            self.names = tuple(_label(f) or d for f, d in zip(fields, self.names, strict=True))

    def split(self, number: int, line: str) -> list[str]:
        if '"' in line:
            try:
                return next(csv.reader([line], delimiter=self.delimiter or (" " if self.blanks else ",")))
            except (csv.Error, StopIteration) as error:
                raise DataError(f"{self.what}, line {number}: cannot be split: {error}") from None
        if self.delimiter:
            return line.split(self.delimiter)
        return line.split() if self.blanks else [line]

    def is_header(self, number: int, fields: list[str]) -> bool:
        """Whether the first line of content names the columns: some field is text, and none is a number."""
        read = [_number(field.replace(",", ".")) for field in fields]
        numbers = [field for field, value in zip(fields, read, strict=True) if field and value is not None]
        if numbers and None in read:
            raise DataError(
                f"{self.what}, line {number}: {quoted(fields[read.index(None)])} is not a number, but "
                f"{quoted(numbers[0])} beside it is; write a header of names only, or a row of numbers"
            )
        return None in read

    def row(self, number: int, line: str) -> list[float]:
        fields = self.split(number, line)
        if len(fields) != self.width:
            hint = "; a decimal comma needs ';' or a tab between columns" if self.delimiter == "," else ""
            raise DataError(
                f"{self.what}, line {number}: has {len(fields)} fields where {self.width} are expected: "
                f"{quoted(line)}{hint}"
            )
        if self.decimal != ".":
            fields = self.with_decimal_point(number, line, fields)
        try:
            if "_" not in line:
                return list(map(float, fields))
        except ValueError:
            pass
        values = [_number(field) for field in fields]
        if None in values:
            wrong = fields[values.index(None)]
            raise DataError(
                f"{self.what}, line {number}: {quoted(wrong.strip())} is not a number; correct or remove it"
            )
        return values  # type: ignore[return-value]

    def with_decimal_point(self, number: int, line: str, fields: list[str]) -> list[str]:
        """The fields with a decimal point; mixed marks are refused, since one may stand for thousands."""
        for mark in ".,":
            if any(mark in field for field in fields):
                self.decimal = self.decimal or mark
                if mark != self.decimal:
                    raise DataError(
                        f"{self.what}, line {number}: {quoted(line)} has '{mark}' where '{self.decimal}' was "
                        "the decimal mark before; write all numbers with one mark, and none for thousands"
                    )
        return [field.replace(",", ".") for field in fields] if self.decimal == "," else fields


def _default_names(count: int) -> tuple[str, ...]:
    return ("x",) if count == 1 else tuple(f"x{i}" for i in range(count))


def _selection(
    columns: Sequence[int | str] | None, names: tuple[str, ...], what: str, has_header: bool
) -> list[int]:
    """The indices of the selected columns."""
    if columns is None:
        return list(range(len(names)))
    selected = []
    for column in columns:
        if isinstance(column, str):
            if not has_header:
                raise DataError(
                    f"{what} has no header, so column {quoted(column)} has no name there; select by index"
                )
            if names.count(column) > 1:
                raise DataError(
                    f"{what} has {names.count(column)} columns named {quoted(column)}; select by index"
                )
            if column not in names:
                known = nearest(column, names[:20])
                raise DataError(f"{what} has no column {quoted(column)}; {known}")
            selected.append(names.index(column))
        elif not 0 <= column < len(names):
            raise DataError(f"{what} has {len(names)} columns, received index {quoted(column)}; count from 0")
        else:
            selected.append(int(column))
    if len(set(selected)) < len(selected) or not selected:
        raise DataError(
            f"columns must select each column once and at least one, received {quoted(list(columns))}"
        )
    return selected


def _read_npy(
    file: BinaryIO, what: str, columns: Sequence[int | str] | None
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    shape, dtype = _npy_header(file, what)
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        kinds = {"O": "Python objects", "U": "text", "S": "text", "c": "complex numbers", "b": "truth values"}
        kind = kinds.get(dtype.kind, "this type")
        raise DataError(
            f"{what} has dtype {quoted(str(dtype))}, and {kind} cannot be learned; save it as float64"
        )
    if not 1 <= len(shape) <= 2:
        raise DataError(f"{what} has shape {quoted(shape)}; give one axis of values, or rows by columns")
    count = 1
    for size in shape:
        count *= size
    if count == 0:
        raise DataError(f"{what} is empty: its shape is {quoted(shape)}; give at least 2 rows of numbers")
    length = os.fstat(file.fileno()).st_size - file.tell()
    if count * dtype.itemsize != length:
        raise DataError(
            f"{what} is damaged: shape {quoted(shape)} of {dtype} takes {count * dtype.itemsize} bytes, and "
            f"{length} are there"
        )
    raw = np.load(file.name, mmap_mode="r", allow_pickle=False)
    raw = raw.reshape(-1, 1) if raw.ndim == 1 else raw
    names = _default_names(raw.shape[1])
    selected = _selection(columns, names, what, has_header=False)
    _require_memory(raw.shape[0] * len(selected) * 8, what)
    every = selected == list(range(len(names)))
    with np.errstate(invalid="ignore"):  # of a signalling NaN, which is refused or dropped with all others
        values = np.array(raw if every else raw[:, selected], np.float64, order="C")
    notes = []
    if dtype.kind in "iu":
        exact = dtype.itemsize < 8 or max(abs(float(values.min())), abs(float(values.max()))) <= 2**53
        loss = "" if exact else ", and those beyond 2^53 were rounded"
        notes.append(f"{dtype.name} values were converted to float64{loss}")
    return values, tuple(names[i] for i in selected), notes


def _npy_header(file: BinaryIO, what: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype, from a header that is read but not believed."""
    from numpy.lib import format as npy

    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers written by Python 2, and of escapes in garbage
            version = npy.read_magic(file)
            if version not in readers:
                raise ValueError(f"format version {version} is not of plain numbers")
            shape, _, dtype = readers[version](file)
    except Exception as error:  # on garbage the parser underneath leaks whatever its parts raise
        raise DataError(f"{what} is not a NPY file of numbers: {quoted(str(error))[1:-1]}") from None
    if any(size < 0 for size in shape):
        raise DataError(f"{what} is damaged: its shape is {quoted(shape)}")
    return shape, dtype


def _require_memory(size: int, what: str) -> None:
    from minigan.machine import available_memory

    available = available_memory()
    if available is not None and size > available:
        raise DataError(
            f"{what} takes {size / 2**30:.3g} GiB as float64, but {available / 2**30:.3g} GiB of memory is "
            "free; select columns or thin it out"
        )


def _vetted(
    values: np.ndarray, names: tuple[str, ...], what: str, drop_nonfinite: bool, allow_constant: bool
) -> tuple[np.ndarray, list[str]]:
    """The rows that can be learned, and notes about them."""
    notes = []
    finite = np.isfinite(values).all(axis=1)
    bad = len(values) - int(np.count_nonzero(finite))
    if bad and not drop_nonfinite:
        first = int(np.argmin(finite))
        raise DataError(
            f"{what} has {bad} row{'s' * (bad > 1)} with values that are missing, NaN or infinite, the first "
            f"is row {first + 1} of {len(values)}; correct them, or drop them with --set drop_nonfinite=true"
        )
    if bad:
        notes.append(f"{bad} of {len(values)} rows with values that are not finite were dropped")
        values = values[finite]
    if len(values) < 2:
        left = " left" if bad else ""
        raise DataError(
            f"{what} has {len(values)} row{'s' * (len(values) != 1)} of numbers{left}; give at least 2"
        )
    low, high = values.min(axis=0), values.max(axis=0)
    for name, least, most in zip(names, low, high, strict=True):
        if least == most and not allow_constant:
            raise DataError(
                f"{what}: column {quoted(name)} is constant ({least:.6g}): variance 0, the target has no "
                "density; select other columns"
            )
    return values, notes + _scale_notes(values, names, low, high) + _duplicate_notes(values)


def _scale_notes(values: np.ndarray, names: tuple[str, ...], low: np.ndarray, high: np.ndarray) -> list[str]:
    notes = []
    some = values[:: -(-len(values) // SAMPLED)]
    for i, name in enumerate(names):
        largest = max(abs(low[i]), abs(high[i]))
        # In units of the largest value, since 1e308 - (-1e308) overflows.
        span = high[i] / largest - low[i] / largest
        first, third = np.quantile(some[:, i] / largest, (0.25, 0.75))
        if largest > HUGE:
            notes.append(
                f"column {quoted(name)} reaches {largest:.3g}; give it in a unit that keeps it nearer to 1"
            )
        if span > OUTLYING * (third - first) > 0:
            with np.errstate(over="ignore"):
                times = span / (third - first)
            notes.append(
                f"column {quoted(name)} spans {times:.1g} times its interquartile range; a few values will "
                "decide its mean and standard deviation"
            )
    return notes


def _duplicate_notes(values: np.ndarray) -> list[str]:
    some = values[:SAMPLED]
    distinct = len(np.unique(some, axis=0))
    if 2 * distinct > len(some):
        return []
    which = "rows" if len(some) == len(values) else f"first {len(some)} rows"
    return [
        f"of the {which}, {len(some) - distinct} of {len(some)} repeat another: "
        "the distribution may be discrete"
    ]


def location_scale(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature, without overflow at 1e300 or underflow at 1e-300.

    Shapes:  values (n, p) → (p,), (p,)
    """
    unit = np.abs(values).max(axis=0)
    unit = np.where(unit > 0, unit, 1.0)
    scaled = values / unit
    return scaled.mean(axis=0) * unit, scaled.std(axis=0) * unit
