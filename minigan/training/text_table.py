"""Text files of numbers, read row by row. docs/data.md has the rules for users.

The first lines decide how the file is read; every row then has as many fields, and what is asked of it is
numbers, or the file is refused with the line. Nothing is guessed that could mean two things.
"""

import csv
import io
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, BinaryIO, NamedTuple, TextIO

import msgspec
import numpy as np

from minigan.errors import DataError, nearest, quoted
from minigan.training.table_form import (
    COMMENT,
    MARKS,
    SPREADSHEET,
    WITH_COMMA,
    Form,
    Opening,
    columns_setting,
    folded,
    number_of,
    shell_word,
)

MAX_LINE = 2**20  # characters of one line of text
BLOCK = 2**18  # characters that are read at once
SAMPLE, SAMPLE_LINES = 2**20, 1000  # characters and lines by which the form of a file is known

_decoder = msgspec.json.Decoder(list[float])
_DIGITS = re.compile(r"[-+]?[\d.,]+([eE][-+]?\d+)?")
_GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}([.,]\d{3})+")
_INDEX = re.compile(r"Unnamed: \d+")  # what pandas calls a column without a name
_ADVICE = (  # what to do about a field that is no number, by its form
    (re.compile(r"[-+]?\d{1,3}([,.'’ \u00a0\u202f]\d{3})+([.,]\d+)?"), "write no marks for thousands"),
    (re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?"), "write a decimal point, or part columns by ';' or a tab"),
    (re.compile(r"[−–—]\s*[\d.,]+.*"), "write '-' for minus"),
    (re.compile(r"[-+]?[\d.,]+\s*[%$€£¥°].*|[-+]?[$€£¥]\s*[-+]?[\d.,]+"), "write numbers without a unit"),
    (re.compile(r"[-+]?[\d.]+[dD][-+]?\d+"), "write the exponent with e"),
    (re.compile(r"[-+]?[\d.,]+([eE][-+]?\d+)?\s+[^\W\d].*"), "write numbers without a unit"),
    (re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}.*|\d{1,2}:\d\d.*"), "write times as numbers"),
    (re.compile(r"[<>≤≥~≈]\s*[-+]?[\d.,]+.*|.*\d\s*(±|\+/-)\s*\d.*"), "write the value alone"),
    (re.compile(r"[\[({]+[-+\d.].*|.*\d[])}]+"), "write rows without brackets"),
    (re.compile(r"[=@].*"), "save the values, not the formulas"),
    (re.compile(r"[-+]?\d+(_\d+)+(\.\d+)?"), "write numbers without '_'"),
    (re.compile(r"true|false", re.IGNORECASE), "write truth values as 1 and 0"),
    (SPREADSHEET, "an error of a spreadsheet is no number: correct or remove it"),
    (re.compile(r"'.*'"), "quotes are \""),
    (re.compile(r"[-–—_*:.]+|n\.?a\.?|nil|missing|unknown", re.IGNORECASE), "leave empty what is missing"),
    (re.compile(r".*\0.*", re.DOTALL), "there is a NUL in it: save the file as text in UTF-8"),
)  # fmt: skip


class Table(NamedTuple):
    """What a file holds: values (n, p), column names, notes, and which columns its header does not name.

    code    whether it is no file but came from a program, so that advice is written in Python
    label   the name of the column with the class of each row, if one was asked for, and what it holds
    """

    values: np.ndarray
    names: tuple[str, ...]
    notes: list[str]
    unnamed: tuple[int, ...] = ()
    code: bool = False
    label: str | None = None
    labels: Sequence[Any] = ()


def read_text(
    file: BinaryIO,
    what: str,
    columns: Sequence[int | str] | None,
    header: bool | None,
    label: int | str | None = None,
) -> Table:
    """The table in a text file, NaN where a value is missing; ``header`` None: see whether there is one.

    Raises:  DataError – with the line, if it is no table, or not of numbers in the columns asked for
    """
    encoding, notes = _encoding(file)
    with io.TextIOWrapper(file, encoding=encoding, errors="backslashreplace") as text:
        form = Form(what, _opening(text, what), header)
        selected, mark = features_beside(columns, label, form.names, what, form.has_header)
        rows, numbers, labels = _Rows(form, selected), array("d"), list[str]()
        text.seek(0)
        for _ in range(form.first_row - 1):
            text.readline()
        for number, block in _blocks(text, what, form.first_row):
            numbers.fromlist(rows.read(number, block))
            if mark is not None:
                labels += _fields_of(form, mark, number, block)
        rows.decimals.refuse_doubt(what)
    values = (np.frombuffer(numbers, np.float64) if numbers else np.empty(0)).reshape(-1, len(selected))
    names, notes = tuple(form.names[i] for i in selected), notes + form.notes
    index = [form.has_header and (not form.own[i] or bool(_INDEX.fullmatch(form.names[i]))) for i in selected]
    nameless = [k for k, i in enumerate(selected) if not form.own[i] and np.isnan(values[:, k]).all()]
    if columns is None and len(values) and 0 < len(nameless) < len(names):
        which, one = ", ".join(map(str, nameless)), len(nameless) == 1
        notes.append(
            f"column{'s' * (not one)} {which}, counted from 0, {'has' if one else 'have'} neither a name "
            f"nor a value and {'was' if one else 'were'} left out"
        )
        kept = [k for k in range(len(names)) if k not in nameless]
        values, names = np.ascontiguousarray(values[:, kept]), tuple(names[k] for k in kept)
        index = [index[k] for k in kept]
    unnamed = tuple(k for k, named in enumerate(index) if named)
    return Table(values, names, notes, unnamed, False, None if mark is None else form.names[mark], labels)


def _fields_of(form: Form, column: int, number: int, block: str) -> list[str]:
    """One column of a block of lines, as text."""
    lines = [
        (number + k, line) for k, content in enumerate(block.split("\n")) if (line := _stripped(content))
    ]
    return [form.split(*line)[column] for line in lines]


def features_beside(
    columns: Sequence[int | str] | None,
    label: int | str | None,
    names: tuple[str, ...],
    what: str,
    has_header: bool,
) -> tuple[list[int], int | None]:
    """The indices of the selected columns without that of the label, and that one.

    Raises:  DataError – as ``select``, and where the label is all there is
    """
    selected = select(columns, names, what, has_header)
    if label is None:
        return selected, None
    (mark,) = select([label], names, what, has_header)
    if selected == [mark]:
        raise DataError(
            f"{what} has no column beside the label {quoted(names[mark])} to learn; give one of numbers"
        )
    return [i for i in selected if i != mark], mark


def read_header(file: BinaryIO, what: str) -> tuple[str, ...]:
    """The names that a text file gives its columns, without those that have none; () without a header.

    Raises:  DataError – if its first lines are no text with rows
    """
    with io.TextIOWrapper(file, encoding=_encoding(file)[0], errors="backslashreplace") as text:
        form = Form(what, _opening(text, what), None)
    return tuple(name for name, own in zip(form.names, form.own, strict=True) if own and form.has_header)


def _encoding(file: BinaryIO) -> tuple[str, list[str]]:
    start = file.read(2**16)
    file.seek(0)
    for mark, encoding in (
        (b"\xff\xfe\0\0", "utf-32"),
        (b"\0\0\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if start.startswith(mark):
            return encoding, []
    try:
        start.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":  # a letter that the 64 KiB cut
            return "cp1252", ["the text is not UTF-8, and was read as Latin-1 (Windows-1252)"]
    return "utf-8-sig", []


def _opening(text: TextIO, what: str) -> Opening:
    """The first lines of a file; there alone are comments."""
    number = length = 0
    above, lines, mark = list[tuple[int, str]](), list[tuple[int, str]](), None
    while len(lines) < 2 or len(lines) < SAMPLE_LINES and length < SAMPLE:
        line = text.readline(MAX_LINE)
        if not line:
            break
        number, length = number + 1, length + len(line)
        _refuse_overlong(len(line), number, what)
        content = _stripped(line)
        if not content:
            continue
        if number == 1 and (said := re.fullmatch(r'"?sep=(.?)"?', line.strip("\r\n"))):
            mark = said[1] if said[1] and said[1] in MARKS else None
        elif not lines and "\0" in line:
            raise DataError(
                f"{what}, line {number}: {quoted(content)} has a NUL in it; save the file as text in UTF-8"
            )
        elif lines or not COMMENT.match(content):
            lines.append((number, content))
        else:
            above.append((number, content))
            length -= len(line)
    if not lines:
        but = " but for comments" if above else ""
        raise DataError(f"{what} is empty{but}; give at least 2 rows of numbers")
    return Opening(above, lines, mark)


def _blocks(text: TextIO, what: str, number: int) -> Iterator[tuple[int, str]]:
    """The rest of a text in blocks of whole lines, each with the number of its first."""
    while block := text.read(BLOCK):
        if not block.endswith("\n"):
            block += text.readline(MAX_LINE)
        last = block.rfind("\n", 0, -1) + 1
        _refuse_overlong(len(block) - last, number + block.count("\n", 0, last), what)
        yield number, block
        number += block.count("\n")


def _refuse_overlong(length: int, number: int, what: str) -> None:
    if length >= MAX_LINE:
        raise DataError(f"{what} has in line {number} more than {MAX_LINE} characters; give one row a line")


def _stripped(line: str) -> str:
    content = line.strip(" \r\n\v\f")  # a tab may be an empty last field
    return "" if content.isspace() else content


class _Decimals:
    """Which of . and , is the decimal mark of a file, where it may be either.

    A column with a comma that may be one for thousands (12,345) is refused in the end, unless a number in
    that column shows that it is none (0,123 or 1,5); so is one with such a point beside semicolons, as German
    thousands, if there are numbers without a mark (999).
    """

    def __init__(self, mark: str | None, width: int) -> None:
        self.free = mark is not None and mark in WITH_COMMA
        self.mark = None if self.free else "."
        self.open = (
            set(range(width)) if self.free else set[int]()
        )  # columns that may have marks for thousands
        self._width, self._semicolons = width, mark == ";"
        self._grouped, self._plain = dict[int, str](), set[int]()  # columns with 12,345; and with 999

    def with_point(self, number: int, fields: list[str], what: str) -> list[str]:
        """The fields with a decimal point; mixed marks are refused, since one may stand for thousands."""
        if self.open or any(("." if self.mark == "," else ",") in field for field in fields):
            for k, field in enumerate(fields):
                if _DIGITS.fullmatch(field.strip()):
                    self._look(number, k, field.strip(), what)
        return [field.replace(",", ".") for field in fields] if self.mark == "," else fields

    def _look(self, number: int, column: int, field: str, what: str) -> None:
        for mark in ".,":
            if mark in field:
                self.mark = self.mark or mark
                if mark != self.mark:
                    raise DataError(
                        f"{what}, line {number}: {quoted(field)} has '{mark}' where '{self.mark}' was the "
                        "decimal mark before; write all numbers with one mark, and none for thousands"
                    )
        if self.mark is None or self.mark not in field:
            self._plain.add(column)
        elif self.mark == "." and not self._semicolons:
            self.open.clear()
        elif _GROUPED.fullmatch(field):
            self._grouped.setdefault(column, f"line {number}: {quoted(field)}")
        else:
            self.open.discard(column)

    def are_plain(self, fields: list[str]) -> bool:
        """Whether no number has a mark in the columns that are open, of fields row by row."""
        return not any(mark in "\n".join(fields[k :: self._width]) for k in self.open for mark in ",.")

    def look_at_plain(self) -> None:
        """Remember that the columns that are open have numbers without marks."""
        self._plain |= self.open

    def refuse_doubt(self, what: str) -> None:
        """Raises:  DataError – if what was read may have had marks for thousands"""
        known = len(self.open) < self._width
        for column, where in self._grouped.items():
            plain = column in self._plain or self._plain and not known
            if column in self.open and (self.mark == "," or plain):
                raise DataError(
                    f"{what}, {where} may be a number of thousands or of decimals; write numbers without "
                    "marks for thousands, and with a decimal point"
                )


class _Rows:
    """The numbers in the rows of a text file, in the columns that were asked for."""

    def __init__(self, form: Form, selected: list[int]) -> None:
        self.form, self.selected, self.decimals = form, selected, _Decimals(form.mark, len(selected))
        self._every = selected == list(range(form.width))
        first = selected[0]
        self._pick = itemgetter(*selected) if len(selected) > 1 else itemgetter(slice(first, first + 1))

    def read(self, number: int, block: str) -> list[float]:
        """The numbers of a block of lines, the first of which has that number."""
        quick = self._quickly(block)
        return self._carefully(number, block) if quick is None else quick

    def _quickly(self, block: str) -> list[float] | None:
        """The numbers of plain rows by a parser of JSON, in a quarter of the time; None for others."""
        whole = self._every and not self.form.blanks and '"' not in block
        fields = self._plain(block) if whole else self._parted(block)
        if fields is None:
            return None
        (text, count), decimals = fields, self.decimals
        wrong = ",." if decimals.mark is None else "." if decimals.mark == "," else ","
        if any(mark in text for mark in wrong):
            return None
        if decimals.open and decimals.mark is not None and not decimals.are_plain(text.split("\n")):
            return None
        text = text.replace(",", ".") if decimals.mark == "," else text
        text = f"[{text.replace(chr(10), ',')}]"
        if "-0," in text or text.endswith("-0]"):  # an integer to JSON, whose 0 has no sign
            return None
        try:
            numbers = _decoder.decode(text)
        except msgspec.DecodeError:
            return None
        if len(numbers) != count:
            return None
        decimals.look_at_plain()
        return numbers

    def _plain(self, block: str) -> tuple[str, int] | None:
        """All fields of a block without quotes, one a line, and how many they are; None if it is ragged."""
        mark, width = self.form.mark, self.form.width
        block = block if block.endswith("\n") else block + "\n"
        if mark is None:
            return block[:-1], block.count("\n")
        try:
            characters = np.frombuffer(block.encode("ascii"), np.uint8)
        except UnicodeEncodeError:
            return None
        ends = characters == ord("\n")
        at, count = np.flatnonzero(ends | (characters == ord(mark))), int(np.count_nonzero(ends)) * width
        if len(at) != count or not ends[at[width - 1 :: width]].all():
            return None
        return block[:-1].replace(mark, "\n"), count

    def _parted(self, block: str) -> tuple[str, int] | None:
        """As ``_plain`` of the fields that were asked for, of lines that are parted one by one."""
        lines, mark = block.removesuffix("\n").split("\n"), self.form.mark
        rows: Iterable[list[str]] = (line.split(mark) for line in lines)
        if '"' in block:
            rows = csv.reader(lines, delimiter=self.form.delimiter, skipinitialspace=True, strict=True)
        try:
            whole = [row for row in rows if len(row) == self.form.width]
        except csv.Error:
            return None
        if len(whole) != len(lines):  # one is ragged, or a quote goes on in the next
            return None
        return "\n".join(chain.from_iterable(map(self._pick, whole))), len(lines) * len(self.selected)

    def _carefully(self, number: int, block: str) -> list[float]:
        """The numbers of rows of any form, or the refusal of the first line that is wrong."""
        form, numbers = self.form, list[float]()
        for number, line in enumerate(block.split("\n"), number):  # noqa: B020  # from the first on
            line = _stripped(line)
            if not line:
                continue
            fields = form.split(number, line)
            if len(fields) != form.width:
                self._refuse_ragged(number, line, fields)
            if not self._every:
                fields = list(self._pick(fields))
            if self.decimals.free:
                fields = self.decimals.with_point(number, fields, form.what)
            try:
                if "_" not in line:
                    numbers += list(map(float, fields))
                    continue
            except ValueError:
                pass
            for k, field in enumerate(fields):
                value = number_of(field)
                if value is None:
                    self._refuse_text(number, self.selected[k], field.strip())
                else:
                    numbers.append(value)
        return numbers

    def _refuse_ragged(self, number: int, line: str, fields: list[str]) -> None:
        form, count, hint = self.form, len(fields), ""
        if COMMENT.match(line):
            hint = "; comments stand above the first row only"
        elif form.mark == "," and None not in map(number_of, fields):
            hint = "; a decimal comma needs ';' or a tab between columns, and none may stand for thousands"
        elif form.blanks and None not in map(number_of, fields):
            hint = "; if a line is one number, write no blank for thousands into it"
        elif form.mark == "," and count > form.width:
            hint = "; a text with a comma needs quotes"
        if number == form.first_row and form.has_header:
            hint += f"; if line {form.header_row} is no header, remove it or begin it with '#'"
        raise DataError(
            f"{form.what}, line {number}: has {count} field{'s' * (count != 1)} where {form.width} "
            f"{'is' if form.width == 1 else 'are'} expected: {quoted(line)}{hint}"
        )

    def _refuse_text(self, number: int, column: int, field: str) -> None:
        form, rows = self.form, self.form.rows()
        known = next((advice for what, advice in _ADVICE if what.fullmatch(field)), "")
        advice = known or "correct or remove it"
        line, below = (*rows, [], [])[:2] if number == form.first_row else ([], [])
        if field.startswith("#") and line and not form.has_header:
            advice += f"; if line {number} has the names of the columns, --set header=true"
        elif (
            not known
            and form.has_header
            and line
            and set(map(form.is_text, line)) == {True} != set(map(form.is_text, below))
        ):
            advice = (
                f"remove line {number} if it has units or comments, line {form.header_row} if that is a title"
            )
        kinds = [[form.is_text(row[j]) for row in rows] for j in range(form.width)]
        if 2 * sum(kinds[column]) > len(rows):
            numeric = [
                j for j, kind in enumerate(kinds) if not any(kind) and any(row[j].strip() for row in rows)
            ]
            held = {row[column] for row in rows}
            if 1 < len(held) <= len(rows) // 2 and form.width > 1:  # as classes do
                name = form.names[column] if form.own[column] else str(column)
                advice += f", name it as the class of each row with --label {shell_word(name)}"
            advice += (
                f", or take the columns that are numbers: {columns_setting(form.names, numeric)}"
                * bool(numeric)
            )
        where = f", in column {quoted(form.names[column])}" if form.width > 1 else ""
        raise DataError(f"{form.what}, line {number}{where}: {quoted(field)} is not a number; {advice}")


def select(
    columns: Sequence[int | str] | None, names: tuple[str, ...], what: str, has_header: bool
) -> list[int]:
    """The indices of the selected columns."""
    if columns is None:
        return list(range(len(names)))
    selected = [_index_of(column, names, what, has_header) for column in columns]
    if len(set(selected)) < len(selected) or not selected:
        raise DataError(
            f"columns must select each column once and at least one, received {quoted(list(columns))}"
        )
    return selected


def _index_of(column: int | str, names: tuple[str, ...], what: str, has_header: bool) -> int:
    """The index of a column that is asked for by index or, in any case if that leaves one, by name."""
    if isinstance(column, int):
        named = [i for i, name in enumerate(names) if name == str(column)] if has_header else []
        inside = 0 <= column < len(names)
        if not inside and len(named) != 1:
            count = f"{len(names)} column{'s' * (len(names) != 1)}"
            raise DataError(f"{what} has {count}, received index {quoted(column)}; count from 0")
        if inside and named and named != [column]:
            raise DataError(
                f"{what} has the columns {quoted(names[column])}, number {column} from 0, and {column}, "
                f"number {named[0]}; write the name in quotes, --set 'columns=[\"{column}\"]', or that of "
                "the other"
            )
        return column if inside else named[0]  # a header of years
    if not has_header:
        raise DataError(
            f"{what} has no header, so column {quoted(column)} has no name there; select by index"
        )
    alike = [i for i, name in enumerate(names) if name == column]
    alike = alike or [i for i, name in enumerate(names) if folded(name) == folded(column)]
    if len(alike) > 1:
        raise DataError(f"{what} has {len(alike)} columns named {quoted(column)}; select by index")
    if not alike:
        advice = nearest(column, names[:20])
        if re.fullmatch(r"-\d+", column):
            advice = "columns are counted from 0, from the left"
        elif re.fullmatch(r"\d*\s*(:|-|\.\.)\s*\d*", column):
            advice = "write the indices one by one, as columns=0,1,2"
        elif column.startswith("["):
            advice = "write the names without brackets, as columns=x,y"
        elif column.lower() in ("*", "all", ":"):
            advice = "leave columns out to have all"
        raise DataError(f"{what} has no column {quoted(column)}; {advice}")
    return alike[0]
