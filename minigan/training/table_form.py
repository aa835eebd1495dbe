"""The form of a text file of numbers, by its first lines: marks, header, names. Rules: docs/data.md."""

import csv
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minigan.errors import DataError, quoted

MISSING = frozenset(("", "na", "n/a", "<na>", "null", "none", "?", "."))  # besides what float() reads as NaN
MARKS = "\t;|,"  # between the columns, tried in this order; else blanks
WITH_COMMA = "\t;|"  # those beside which a comma may be the decimal mark
COMMENT = re.compile(r"#|%|!|//")  # what a comment begins with
# What a spreadsheet writes for an error, in any language: #N/A, #NV, #¡VALOR!, Err:502; no names, as #id.
SPREADSHEET = re.compile(r"#(?=\S*[^\W\d_a-z])[^\sa-z\d]+(0!?)?|Err:\d+")
UNLIKE = 10  # rows below the first line from which it can be said to be unlike them

_CELL = re.compile(r"#(#+|¡?[^\W\d_]\S*)")  # beside numbers a cell with an error; ##### is one too wide
_QUOTED = re.compile(r'"[^"]*"')
_PAIR = re.compile(r"[-+]?(\d+,\d+|\d{1,3}( \d{3})+)")
_APART = re.compile(
    r"(^| )[-+]?\d{1,3}([\u00a0\u2007\u2009\u202f]\d{3})+([.,]\d+)?( |$)"
)  # as text sets thousands
_SIMPLE = re.compile(r"[^\W\d][\w.-]*")  # a name that a shell and --set leave alone


_Line = tuple[int, str]  # with its number from 1


class Opening(NamedTuple):
    """The first lines of a file, as far as its form is read off them."""

    above: list[_Line]  # comments before the first line of content
    lines: list[_Line]  # of content
    mark: str | None = None  # between the columns, where the file says it


def _mark(lines: list[str]) -> str | None:
    """The mark between the columns: the first that is as often in every row, and in the line above."""
    first, *below = [_QUOTED.sub("q", line) for line in lines]
    rows = [line for line in below if not line.startswith("#")] or [first]
    for fewer in (0, 1):  # R writes no name above its names of rows
        for mark in MARKS:
            count = rows[0].count(mark)
            if count and first.count(mark) == count - fewer and all(r.count(mark) == count for r in rows):
                return mark
    for mark in MARKS:  # the rows are ragged, which the reader will say
        if mark in rows[0] or mark in first and None not in map(number_of, first.split(mark)):
            return mark
    return None


def number_of(field: str) -> float | None:
    """The number that ``field`` writes, NaN if it says that there is none, None if it is something else."""
    field = field.strip()
    if field.lower() in MISSING:
        return float("nan")
    try:
        return None if "_" in field else float(field)  # float() reads 1_000, which no other program writes
    except ValueError:
        return None


class Form:
    """How the rows of one text file are read: the mark between columns, how many there are, their names.

    own        of each column whether the file names it
    header_row the number of the line that names them, None where none does
    first_row  the number of the line that is the first row
    """

    def __init__(self, what: str, opening: Opening, header: bool | None) -> None:
        self.what, lines = what, [line for _, line in opening.lines]
        self.mark = opening.mark or _mark(lines[:20])
        body = _QUOTED.sub("q", lines[min(1, len(lines) - 1)])
        self.blanks = self.mark is None and len(body.split()) > 1
        self._refuse_thousands(opening.lines)
        self.width = len(self.split(*opening.lines[0]))
        comments, self._opening = self._with_cells_above(opening, header)
        number, line = self._opening[0]
        first = self.split(number, line)
        above = self._names_above(comments, number, first)
        self.notes, self.first_row, taken = list[str](), number, None
        self.header_row: int | None = None
        if header is not False and above is not None:
            taken, self.header_row = above, number - 1
        elif header or header is None and self._is_header(number, first):
            self.header_row, self._opening = number, self._opening[1:]
            self.first_row = self._opening[0][0] if self._opening else number + 1
            taken = self._with_row_names(first)
            self.width = len(taken)
        if taken is not None and self.header_row is not None:
            self._note_header(self.header_row, taken)
        if skipped := len(comments) - (taken is above and above is not None):
            lines_were = "1 line of comment was" if skipped == 1 else f"{skipped} lines of comment were"
            self.notes.append(f"{lines_were} skipped before the first row")
        self.has_header = taken is not None
        given = [label(field.strip()) for field in taken or [""] * self.width]
        self.own = [bool(name) for name in given]
        self._note_pairs()
        names = default_names(self.width)
        self.names = tuple(name or other for name, other in zip(given, names, strict=True))

    def split(self, number: int, line: str) -> list[str]:
        """The fields of a line."""
        if '"' in line:
            try:
                return next(csv.reader([line], delimiter=self.delimiter, skipinitialspace=True, strict=True))
            except (csv.Error, StopIteration) as error:
                raise DataError(
                    f"{self.what}, line {number}: {quoted(line)} cannot be split at its quotes ({error}); "
                    "write one row a line, with quotes in pairs around whole fields"
                ) from None
        if self.mark:
            return line.split(self.mark)
        return line.split() if self.blanks else [line]

    @property
    def delimiter(self) -> str:
        """What parts columns beside quotes."""
        return self.mark or (" " if self.blanks else ",")

    def number(self, field: str) -> float | None:
        """As ``number_of``, with a decimal comma where there may be one."""
        return number_of(field.replace(",", ".") if (self.mark or ",") in WITH_COMMA else field)

    def is_text(self, field: str) -> bool:
        """Whether a field can only be a name: no number, not missing, no error of a spreadsheet."""
        return self.number(field) is None and not SPREADSHEET.match(field.strip())

    def rows(self) -> list[list[str]]:
        """The fields of the rows among the first lines, as far as they are whole."""
        found = []
        for number, line in self._opening:
            try:
                fields = self.split(number, line)
            except DataError:
                continue
            if len(fields) == self.width:
                found.append(fields)
        return found

    def _with_cells_above(self, opening: Opening, header: bool | None) -> tuple[list[_Line], list[_Line]]:
        """The comments, and the lines of content with those that only look like comments, as ``#NV,7``."""
        for k, (number, line) in enumerate(opening.above):
            if header is not True and self._is_cells(number, line):
                return opening.above[:k], opening.above[k:] + opening.lines
        return opening.above, opening.lines

    def _is_cells(self, number: int, line: str) -> bool:
        """Whether a line that begins with # has numbers and words like #NV alone, one in each column."""
        try:
            fields = self.split(number, line)
        except DataError:
            return False
        if len(fields) == 1:  # #x may be a name
            return self.width == 1 and bool(SPREADSHEET.fullmatch(line) and re.search("[!?/]", line))
        return len(fields) == self.width and not any(map(self._is_name, fields))

    def _is_name(self, field: str) -> bool:
        return self.is_text(field) and not _CELL.fullmatch(field.strip())

    def _names_above(self, comments: list[_Line], first_row: int, first: list[str]) -> list[str] | None:
        """The names in the comment above the first row, as ``# x, y`` over rows of two numbers."""
        if not comments or comments[-1][0] != first_row - 1 or all(map(self.is_text, first)):
            return None
        number, comment = comments[-1]
        try:
            # % and ! may begin a name, if no blank follows
            fields = self.split(number, re.sub(r"^(#|(%|!|//)(?=\s))", "", comment).strip())
        except DataError:
            return None
        fields[0] = fields[0] or "#"  # the name of a column of numbers of rows
        named = len(fields) == len(first) and any(map(self.is_text, fields))
        return fields if named and (len(first) > 1 or len(comment.split()) <= 2) else None

    def _is_header(self, number: int, first: list[str]) -> bool:
        """Whether the first line names the columns: it has text, or counts, unlike the rows below it."""
        rows = [row for row in self.rows()[1:] if len(row) == len(first)]
        if any(map(self._is_name, first)):
            alike = all(
                self.is_text(f) == self.is_text(r) for row in rows for f, r in zip(first, row, strict=True)
            )
            if alike and rows and not all(map(self.is_text, first)):
                self.notes.append(
                    f"line {number} looks like the lines below it; --set header=false makes it a row"
                )
            return True
        if not rows:
            return False
        start = int(len(first) > 1 and not first[0].strip())  # pandas has no name for its index
        cells, columns = first[start:], list(zip(*rows, strict=True))[start:]
        values = np.array(list(map(self._finite, cells)))
        far = np.array([self._is_far(value, column) for value, column in zip(values, columns, strict=True)])
        fractions = [all(re.search(r"[.,eE]", field) for field in column) for column in columns]
        counts = all(re.fullmatch(r"\d+(\.0)?", cell.strip()) for cell in cells) and bool(
            (np.diff(values) == 1).all()
        )
        whole = not any("." in cell for cell in cells)  # names may be 0.0 and 1.0, but so may a row be
        counts = counts and (len(first) > 1 or values[0] == 0)
        unlike = far | fractions
        enough = len(rows) >= UNLIKE
        if enough and counts and whole and (unlike.all() if len(first) > 1 else far.all()):
            self.notes.append(
                f"the numbers in line {number} count, unlike those below; --set header=false makes it a row"
            )
            return True
        shown = quoted(" ".join(first) if self.mark is None else self.mark.join(first))
        which = f"line {number}, {shown}, "
        if enough and (far.any() or counts and unlike.all()):
            which += "is unlike the lines below it, and"
        elif counts and values[0] in (0, 1) and (len(first) > 1 or unlike.all()):
            which += "counts as names of columns may,"
        else:
            return False
        self.notes.append(f"{which} was read as a row; --set header=true makes it the names of the columns")
        return False

    def _is_far(self, value: float, column: tuple[str, ...]) -> bool:
        """Whether a number is farther from those of a column than their range, or stands above text."""
        below = np.array([number for number in map(self._finite, column) if np.isfinite(number)])
        if not below.size:
            return all(map(self.is_text, column))
        low, high = below.min(), below.max()
        with np.errstate(over="ignore"):
            return bool(value < low - (high - low) or value > high + (high - low))

    def _finite(self, field: str) -> float:
        value = self.number(field)
        return np.nan if value is None or not np.isfinite(value) else value

    def _with_row_names(self, header: list[str]) -> list[str]:
        """The header with a field for what rows have more: R's names of rows, or an end after a mark."""
        row = next((self.split(*line) for line in self._opening[:1]), header)
        header = self._parted_otherwise(header, len(row))
        if len(row) != len(header) + 1:
            return header
        if not row[-1].strip():
            return [*header, ""]
        raw = self._opening[0][1]
        # Beside commas a number may be a decimal comma's first half: R writes its names of rows in quotes.
        named = self.mark != "," or raw.startswith('"') or self.is_text(row[0])
        return ["", *header] if named else header

    def _parted_otherwise(self, header: list[str], width: int) -> list[str]:
        """The header parted by another mark than the rows, where that gives a name for each column."""
        line = (self.mark or " ").join(header)
        if len(header) == width and not (self.blanks and all(name[-1] in ",;|" for name in header[:-1])):
            return header
        ways = [line.split(mark) for mark in MARKS if mark != self.mark]  # a title has blanks too
        return next((names for names in ways if len(names) == width > 1), header)

    def _refuse_thousands(self, lines: list[_Line]) -> None:
        for number, line in lines if self.blanks else ():
            if _APART.search(line):
                raise DataError(
                    f"{self.what}, line {number}: {quoted(line)} has a blank that parts thousands and no "
                    "columns; write no marks for thousands"
                )

    def _note_pairs(self) -> None:
        """A note where every line may be one number: 12,345 of thousands, or of decimals, or 12 345."""
        pairs = [line for _, line in self._opening] if self.blanks or self.mark == "," else []
        if pairs and not all(self.own) and all(_PAIR.fullmatch(line) for line in pairs):
            self.notes.append(
                f"each line, as {pairs[0]}, was read as {self.width} columns; if it is one number, write it "
                "with a decimal point and no mark for thousands"
            )

    def _note_header(self, number: int, names: list[str]) -> None:
        shown = ", ".join(label(name.strip()) or "(no name)" for name in names[:5])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        self.notes.insert(0, f"line {number} was taken as a header: {shown}{more}")


def label(name: str) -> str:
    """A name as it may be printed."""
    return name if name.isprintable() and len(name) <= 80 else quoted(name)[1:-1]


def folded(name: str) -> str:
    """A name without what people do not tell names apart by: its case, and blanks around it."""
    return name.strip().casefold()


def default_names(count: int) -> tuple[str, ...]:
    """The names of columns that have none."""
    return ("x",) if count == 1 else tuple(f"x{i}" for i in range(count))


def shell_word(name: str) -> str:
    """A name as an argument on a command line, in quotes where it needs them."""
    return name if _SIMPLE.fullmatch(name) else shlex.quote(name)


def columns_setting(names: Sequence[str], chosen: Sequence[int], code: bool = False) -> str:
    """The setting that selects some columns: by name where these are plain and unique, else by index.

    code  whether as an argument in Python
    """
    if code:
        by_name = all(list(names).count(names[i]) == 1 for i in chosen)
        return f"columns={quoted([names[i] for i in chosen] if by_name else list(chosen))}"
    plain = all(_SIMPLE.fullmatch(names[i]) and list(names).count(names[i]) == 1 for i in chosen)
    texts = [names[i] if plain else str(i) for i in chosen]
    shown = texts[: max(1, sum(1 for k in range(len(texts)) if sum(map(len, texts[: k + 1])) < 150))]
    return f"--set columns={','.join(shown)}" + ",…" * (len(shown) < len(texts))
