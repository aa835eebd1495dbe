"""Data sets from CSV and NPY files: read under stated bounds into one float64 table, or refused.

What is read is untrusted: no pickle, no allocation that the file's own length does not back, and in the end
every number is finite. How text is read is in text_table.py.
"""

import os
import stat
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minigan.errors import DataError, quoted
from minigan.training.config import Config
from minigan.training.marks import MISSED, Marks, marks_of, refuse_missed
from minigan.training.table_form import columns_setting, default_names, folded
from minigan.training.text_table import Table, features_beside, read_header, read_text

MAX_BYTES = 2 * 2**30  # of a file
HUGE = 1e100  # beyond this squares overflow in float64, and values in float32 long before
OUTLYING = 1e6  # range over interquartile range at which a few values decide mean and sd
EVEN = 10  # rows from which equal steps are no chance
SAMPLED = 10**5  # rows looked at for duplicates and quartiles, so that notes cost nothing beside reading

NPY = b"\x93NUMPY"
FORMATS = {  # what a file begins with that is no text and no array
    b"\x1f\x8b": "compressed (gzip)", b"BZh": "compressed (bzip2)", b"\xfd7zXZ": "compressed (xz)",
    b"\x28\xb5\x2f\xfd": "compressed (zstd)", b"PK\x03\x04": "a ZIP archive, as .xlsx, .ods and .npz are,",
    b"\xd0\xcf\x11\xe0": "an Excel file", b"PAR1": "a Parquet file", b"ARROW1": "an Arrow file",
    b"\x89HDF": "an HDF5 file", b"MATLAB 5.0": "a MATLAB file", b"RDX": "an R file", b"SQLite": "a database",
    b"%PDF": "a PDF", b"<!doctype": "a web page", b"<html": "a web page", b"<?xml": "an XML file",
    b"version https://": "a pointer of Git LFS, not the file,", b"\x80\x04\x95": "a pickle",
    NPY: "a NumPy array, whose name ends in .npy,",
}  # fmt: skip
DTYPES = {  # by NumPy's kinds: what cannot be learned, and what to do
    "O": ("Python objects", "save it as float64"), "U": ("text", "save it as float64"),
    "S": ("text", "save it as float64"), "c": ("complex numbers", "save real and imaginary parts as columns"),
    "b": ("truth values", "save it as float64"), "M": ("dates", "save them as numbers"),
    "m": ("durations", "save them as numbers"), "V": ("records", "save their fields as columns of float64"),
}  # fmt: skip


@dataclass(frozen=True)
class Data:
    """A data set: ``values`` (n, p) in float64, the names of its p features, and notes for its user.

    marks  the class of each row, where a label was read with them
    """

    values: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...]
    source: str
    marks: Marks | None = None


def read_configured(config: Config) -> Any:
    """The data set that a configuration names, or None.    Raises:  DataError – as ``read_data``"""
    if config.data is None:
        return None
    return read_data(
        config.data,
        columns=config.columns,
        drop_nonfinite=config.drop_nonfinite,
        header=config.header,
        label=config.label,
    )


def names_in(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The names that a data file gives its columns; () for one without, or one that ``read_data`` refuses."""
    if Path(path).suffix.lower() == ".npy":
        return ()
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return ()
        with open(path, "rb") as file:
            return read_header(file, str(path))
    except (OSError, ValueError, DataError):
        return ()


def pairing(
    file: str, names: Sequence[str], other: str, others: Sequence[str]
) -> tuple[list[str] | None, list[str] | None, tuple[str, ...]]:
    """Which columns of two data files belong together: what to read of each (None: all), and notes.

    Those of one name belong together, in any order and case, and what only one of them has is left out;
    columns stand for each other by position where a file has no names, or no name is in both.

    Raises:  DataError – if the files share some of their names, and each has others
    """
    if not names or not others:
        which = file if not names else other
        note = f"columns are compared by their position, since {quoted(which)} has no names for them"
        return None, None, (note,)
    own, theirs = _by_key(names, others)
    if not set(own) & set(theirs):
        if len(names) == len(others) and list(names) != list(others):
            pairs = ", ".join(f"{a} with {b}" for a, b in list(zip(names, others, strict=True))[:5])
            return None, None, (f"columns are compared by their position: {pairs}",)
        return None, None, ()
    common = [key for key in theirs if key in own]
    left = [name for key, name in (*own.items(), *theirs.items()) if key not in common]
    if len(common) < min(len(names), len(others)):
        raise DataError(
            f"{quoted(file)} and {quoted(other)} share the columns {_few(theirs[key] for key in common)}, "
            f"and each has others ({_few(left)}); give both the same columns"
        )
    if not left and list(names) == list(others):
        return [*names], [*others], ()
    notes = [f"columns are compared by name: {_few(theirs[key] for key in common)}"]
    if left:
        is_, was = ("is", "was") if len(left) == 1 else ("are", "were")
        notes.append(f"{_few(left)} {is_} in one of the files alone, and {was} left out")
    return [own[key] for key in common], [theirs[key] for key in common], tuple(notes)


def _by_key(*files: Sequence[str]) -> list[dict[str, str]]:
    """The names of each file by what tells them apart: in any case, unless two differ in that alone.

    Nothing where two are equal.
    """
    for key in (folded, str):
        found = [{key(name): name for name in names} for names in files]
        if [len(names) for names in files] == [len(names) for names in found]:
            return found
    return [{} for _ in files]


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + " …" * (len(names) > 5)


def read_data(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[int | str] | None = None,
    drop_nonfinite: bool = False,
    allow_constant: bool = False,
    header: bool | None = None,
    label: int | str | None = None,
) -> Data:
    """The table in a .csv, .tsv, .txt or .npy file; docs/data.md says how text is read.

    ``columns`` selects by index from 0 or by header name (None: all); ``header`` says whether the first line
    of a text names the columns (None: see); ``label`` is the column, of any values, with the class of each
    row, which is no feature. A 1-D array is one column. Reading takes at most 4 times the memory of the
    table.

    Raises:  DataError – if the file cannot be read, is not a table of numbers, has fewer than 2 rows, a
        constant column (unless ``allow_constant``), or values that are not finite (unless ``drop_nonfinite``)
    """
    path = Path(path)
    what = f"the data file {quoted(str(path))}"
    readers: dict[str, Callable[..., Table]] = {
        ".csv": read_text,
        ".tsv": read_text,
        ".txt": read_text,
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
            _refuse_format(file, path.suffix.lower(), what)
            table = readers[path.suffix.lower()](file, what, columns, header, label)
    except OSError as error:
        home = "; write the directory that ~ stands for" if path.parts[:1] == ("~",) else ""
        raise DataError(f"{what} cannot be read: {error.strerror or error}{home}") from None
    except ValueError as error:  # a NUL in the name
        raise DataError(f"{what} cannot be read: {error}") from None
    except MemoryError:
        raise DataError(f"{what} does not fit into the free memory; thin it out") from None
    return as_data(table, what, str(path), drop_nonfinite, allow_constant)


def as_data(table: Table, what: str, source: str, drop_nonfinite: bool, allow_constant: bool) -> Data:
    """The data set of a table that was read.    Raises:  DataError – as ``read_data``"""
    if table.label is None:
        values, more = vetted(table, what, drop_nonfinite, allow_constant)
        return Data(values, table.names, (*table.notes, *more), source)
    marks = marks_of(table.label, table.labels, what)
    if not drop_nonfinite:
        drop = "drop_nonfinite=True" if table.code else "--set drop_nonfinite=true"
        refuse_missed(marks, table.labels, what, f"drop the rows with {drop}")
    codes = np.where(marks.codes == MISSED, np.nan, marks.codes)  # vetted with the rows, as a column of them
    beside = table._replace(
        values=np.column_stack([table.values, codes]), names=(*table.names, f"{marks.name}, the label")
    )
    values, more = vetted(beside, what, drop_nonfinite, allow_constant)
    features, left = np.ascontiguousarray(values[:, :-1]), values[:, -1].astype(int)
    names = [marks.classes[code] for code in left] if len(left) < len(codes) else ()
    marks = marks_of(marks.name, names, what) if names else marks._replace(codes=left)
    return Data(features, table.names, (*table.notes, *more), source, marks)


def _refuse_format(file: BinaryIO, suffix: str, what: str) -> None:
    """Refuse what begins as a file of another format does, under whatever name it was saved."""
    start = file.read(16)
    file.seek(0)
    for begin, kind in FORMATS.items():
        if start.lower().startswith(begin.lower()) and (begin, suffix) != (NPY, ".npy"):
            raise DataError(
                f"{what} is {kind} by its first bytes; save the table as CSV, or as one array (.npy)"
            )


def _read_npy(
    file: BinaryIO,
    what: str,
    columns: Sequence[int | str] | None,
    header: bool | None,
    label: int | str | None = None,
) -> Table:
    shape, dtype = _npy_header(file, what)
    if header:
        raise DataError(f"{what} is an array, which has no header; leave header=true out")
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        kind, advice = DTYPES.get(dtype.kind, ("this type", "save it as float64"))
        raise DataError(f"{what} has dtype {quoted(str(dtype))}, and {kind} cannot be learned; {advice}")
    if not 1 <= len(shape) <= 2:
        flat = f", as reshape({shape[0]}, -1) makes it" if len(shape) > 2 else ""
        raise DataError(
            f"{what} has shape {quoted(shape)}; give one axis of values, or rows by columns{flat}"
        )
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
    names = default_names(raw.shape[1])
    selected, mark = features_beside(columns, label, names, what, has_header=False)
    require_memory(raw.shape[0] * len(selected) * 8, what)
    every = selected == list(range(len(names)))
    with np.errstate(invalid="ignore"):  # of a signalling NaN, which is refused or dropped with all others
        values = np.array(raw if every else raw[:, selected], np.float64, order="C")
    notes = []
    if dtype.kind in "iu":
        exact = dtype.itemsize < 8 or max(abs(float(values.min())), abs(float(values.max()))) <= 2**53
        loss = "" if exact else ", and those beyond 2^53 were rounded"
        notes.append(f"{dtype.name} values were converted to float64{loss}")
    labels = () if mark is None else raw[:, mark].tolist()
    name = None if mark is None else names[mark]
    return Table(values, tuple(names[i] for i in selected), notes, label=name, labels=labels)


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


def require_memory(size: int, what: str) -> None:
    """Refuse a table of so many bytes that the free memory does not hold.    Raises:  DataError"""
    from minigan.machine import available_memory

    available = available_memory()
    if available is not None and size > available:
        raise DataError(
            f"{what} takes {size / 2**30:.3g} GiB as float64, but {available / 2**30:.3g} GiB of memory is "
            "free; select columns or thin it out"
        )


def vetted(
    table: Table, what: str, drop_nonfinite: bool, allow_constant: bool
) -> tuple[np.ndarray, list[str]]:
    """The rows that can be learned, and notes about them.    Raises:  DataError – as ``read_data``"""
    notes, values, names = list[str](), table.values, table.names
    empty = np.isnan(values).all(axis=0) if len(values) else np.zeros(len(names), bool)
    if empty.any():
        j, filled = int(np.argmax(empty)), [int(k) for k in np.flatnonzero(~empty)]
        raise DataError(
            f"{what}: column {quoted(names[j])} (number {j} from 0) has no value in {len(values)} rows"
            + (
                f"; leave it out with {columns_setting(names, filled, table.code)}"
                if filled
                else ", nor has any other"
            )
        )
    finite = np.isfinite(values).all(axis=1)
    bad = len(values) - int(np.count_nonzero(finite))
    if bad and not drop_nonfinite:
        first = int(np.argmin(finite))
        where = [quoted(names[j]) for j in np.flatnonzero(~np.isfinite(values[first]))[:3]]
        raise DataError(
            f"{what} has {bad} row{'s' * (bad > 1)} with values that are missing, NaN or infinite, the first "
            f"is row {first + 1} of {len(values)} ({', '.join(where)}); correct them, or drop them with "
            + ("drop_nonfinite=True" if table.code else "--set drop_nonfinite=true")
        )
    if bad:
        notes.append(f"{bad} of {len(values)} rows with values that are not finite were dropped")
        values = values[finite]
    if len(values) < 2:
        left = " left" if bad else "".join(f", where {note}" for note in table.notes if "as a header" in note)
        turn = "; a row is a sample, so transpose the array" if len(values) == 1 and len(names) > 9 else ""
        count = f"{len(values)} row{'s' * (len(values) != 1)}"
        raise DataError(f"{what} has {count} of numbers{left}; give at least 2{turn}")
    low, high = values.min(axis=0), values.max(axis=0)
    for name, least, most in zip(names, low, high, strict=True):
        if least == most and not allow_constant:
            raise DataError(
                f"{what}: column {quoted(name)} is constant ({least:.6g}): variance 0, the target has no "
                "density; select other columns"
            )
    notes += _index_notes(table)
    return values, notes + _scale_notes(values, names, low, high) + _duplicate_notes(values)


def _index_notes(table: Table) -> list[str]:
    """Columns beside others that count the rows, or are named as the index that pandas and R write."""
    values, names = table.values, table.names  # before rows are dropped, which leaves gaps
    if len(values) < 3 or len(names) < 2:
        return []
    notes = []
    for j, name in enumerate(names):
        column, what = values[:, j], ""
        with np.errstate(invalid="ignore"):  # inf - inf
            counts = (np.diff(column[:3]) == 1).all() and (np.diff(column) == 1).all()
        if counts:
            what = f"counts the rows from {column[0]:.0f} on"
        elif _is_even(column):
            what = f"rises in equal steps from {column[0]:.6g} on"
        elif j in table.unnamed:
            known = column[np.isfinite(column)]
            what = "has no name and whole numbers" if (known == np.floor(known)).all() else ""
        if what:
            others = columns_setting(names, [k for k in range(len(names)) if k != j], table.code)
            notes.append(
                f"column {quoted(name)} (number {j} from 0) {what}, as an index does, and is learned as a "
                f"feature; {others} leaves it out"
            )
    return notes


def _is_even(column: np.ndarray) -> bool:
    """Whether values rise in equal steps, but for their last digits, as times do."""
    if len(column) < EVEN or not np.isfinite(column[[0, -1]]).all():
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        step = (column[-1] - column[0]) / (len(column) - 1)
        for some in (column[:EVEN], column):  # of most columns the first tell
            if not (step > 0 and np.abs(some - column[0] - step * np.arange(len(some))).max() < step / 20):
                return False
    return True


def _scale_notes(values: np.ndarray, names: tuple[str, ...], low: np.ndarray, high: np.ndarray) -> list[str]:
    notes = []
    some = values[:: -(-len(values) // SAMPLED)]
    for i, name in enumerate(names):
        largest = max(abs(low[i]), abs(high[i])) or 1.0
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
