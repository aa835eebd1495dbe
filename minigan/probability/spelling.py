"""How people write a distribution, made the text that Python's grammar reads, each character with its origin.

Typographic signs, full-width characters, "0.3normal(0, 1)", "30 %", "log-normal", quotes around the whole.
"""

import ast
import re
import unicodedata
import warnings

from minigan.probability.families import ALIASES, FAMILIES, known, squeezed

NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SIGNS = {
    **dict.fromkeys("−–—‐‑‒﹣－", "-"),
    **dict.fromkeys("×·⋅∙•∗✕", "*"),
    **dict.fromkeys("÷∕⁄", "/"),
    "\u00b5": "μ",  # the micro sign, which keyboards have
}
_SAME = {"<font>", "<wide>", "<narrow>", "<small>", "<noBreak>"}  # other looks of the same character
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "‘": "’", "«": "»", "`": "`", "”": "”", "’": "’"}
_FOREIGN = re.compile(r"[^A-Za-zα-ω0-9_ .,+*/=()\[\]-]")
_MEANINGS = {
    ";": "numbers are separated by ',' and have '.' as decimal mark",
    "^": "a power is not computed; a standard deviation is not the variance",
    "²": "a power is not computed; a standard deviation is not the variance",
    "~": "give the distribution alone",
    "%": "a percentage has its number before it, 30%",
    "{": "write '(' instead",
    "}": "write ')' instead",
    "&": "components are joined by '+'",
    "|": "components are joined by '+'",
}
_LEADING_ZEROS = re.compile(r"(?<![\w.])(?<![eE][+-])0+(?=\d)")  # people write 01, Python does not
_PARTED = re.compile(r"[A-Za-z]+(?:[ -][A-Za-z]\w*)+")
_BEFORE = re.compile(rf"(?<![\w.]){NUMBER.pattern}(?: *%)?(?= *(?:[A-Za-z]{{3}}|[A-Za-z]\w* *\(|\())")
_PERCENT = re.compile(rf"(?<![\w.])({NUMBER.pattern}) *%")
_SIDE_BY_SIDE = re.compile(rf"(?<![\w.])({NUMBER.pattern}) +(?=[\d.])")
_BARE = re.compile(r"\b([A-Za-z]\w*)(?:\s*[:=]\s*|\s+)(?=[-+]?[\d.])")  # numbers without parentheses
_UNJOINED = re.compile(r"\)\s*(?=[\w.(])")
_PAIRS = {")": "(", "]": "["}


class Unreadable(Exception):
    """What is wrong with a text, and at which of its characters (from 0; None: all of it)."""

    def __init__(self, at: int | None, reason: str) -> None:
        super().__init__(reason)
        self.at = at


class Spelled:
    """A text as ``ast`` reads it, whose every character knows where in the text it comes from."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line = "".join(map(_plain, text))  # one line, as long as the text
        self._origins = list(range(len(text)))
        self._unquote()
        self._rewrite(_LEADING_ZEROS, lambda zeros: " " * len(zeros[0]))
        self._rewrite(re.compile(r"\blambda\b"), lambda name: "λ".ljust(len(name[0])))
        self._rewrite(_PARTED, lambda name: re.sub("[ -]", "_", name[0]) if known(name[0]) else name[0])
        self._rewrite(_BEFORE, lambda number: f"{number[0]}*")
        self._rewrite(_PERCENT, lambda number: f"({number[1]}/100)")
        self._indent = len(self._line) - len(self._line.lstrip())

    def tree(self, expected: str, at_end: str) -> ast.expr:
        """The text as Python's syntax.

        Raises:  Unreadable – with what was ``expected`` there, or ``at_end`` where the text ends too early
        """
        self._refuse_bare()
        self._refuse_foreign()
        self._refuse_unbalanced()
        end = len(self._line.rstrip())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the tokeniser, on what is refused anyway
                return ast.parse(self._line.strip(), mode="eval").body
        except SyntaxError as error:  # its offset counts from 1; it is 0 where the text ends too early
            if "positional argument" in error.msg:
                expected = "numbers with a name, sd=1, stand after those without"
            at = self._indent + error.offset - 1 if error.offset else end
            if (gap := _UNJOINED.search(self._line)) and (gap.end() <= at or "comma" in error.msg):
                at, expected = gap.end(), "expected '+' between two components, or ',' between two numbers"
        except (RecursionError, MemoryError):
            at = self._indent
        if at >= end:
            raise Unreadable(len(self._text.rstrip()), at_end)
        raise Unreadable(self._origins[at], expected)

    def origin(self, offset: int) -> int:
        """Where in the text an offset of the tree lies."""
        return self._origins[self._at(offset)]

    def origin_of_end(self, node: ast.expr) -> int:
        """Where in the text the character behind a node lies."""
        return self._origins[self._at(node.end_col_offset or 1) - 1] + 1

    def plain(self, node: ast.expr) -> str:
        """A node as the tree has it."""
        return self._line[self._at(node.col_offset) : self._at(node.end_col_offset or 0)]

    def written(self, node: ast.expr) -> str:
        """A node as the text has it."""
        first, last = self.origin(node.col_offset), self.origin_of_end(node)
        return " ".join(self._text[first : max(last, first + 1)].split())

    def _at(self, offset: int) -> int:
        # ast counts bytes of UTF-8
        return self._indent + len(self._line.strip().encode()[:offset].decode(errors="ignore"))

    def _unquote(self) -> None:
        inner = self._line.strip()
        if len(inner) > 1 and _QUOTES.get(inner[0]) == inner[-1]:
            start = self._line.index(inner[0])
            end = start + len(inner) - 1
            self._line = f"{self._line[:start]} {self._line[start + 1 : end]} {self._line[end + 1 :]}"

    def _rewrite(self, pattern, replacement) -> None:
        """Replace what matches; characters beyond its length come from its last one."""
        line, origins, done = "", [], 0
        for match in pattern.finditer(self._line):
            start, end = match.span()
            new = replacement(match)
            line += self._line[done:start] + new
            own = self._origins[start:end]
            shift = 1 if new.startswith("(") else 0  # of a percentage
            of_new = [own[min(max(i - shift, 0), len(own) - 1)] for i in range(len(new))]
            origins += self._origins[done:start] + of_new
            done = end
        self._line, self._origins = line + self._line[done:], origins + self._origins[done:]

    def _refuse_bare(self) -> None:
        for found in _BARE.finditer(self._line):
            key = squeezed(found[1])
            key, before = ALIASES.get(key, key), self._line[: found.start()]
            if key in FAMILIES and before.count("(") <= before.count(")"):
                raise Unreadable(
                    self._origins[found.end(1)],
                    f"expected numbers in parentheses, {FAMILIES[key].signature(key)}",
                )

    def _refuse_foreign(self) -> None:
        foreign = _FOREIGN.search(self._line)
        if foreign:
            at = self._origins[foreign.start()]
            char = self._text[at]
            hint = _MEANINGS.get(char, "")
            if not hint and unicodedata.category(char) == "No":
                hint = f"write {unicodedata.numeric(char):.10g}, or a fraction such as 1/2"
            hint = f"; {hint}" if hint else ""
            raise Unreadable(at, f"{char!r} has no meaning in a distribution's text{hint}")
        two = _SIDE_BY_SIDE.search(self._line)
        if two:
            raise Unreadable(self._origins[two.end()], "expected ',' or an operator between two numbers")

    def _refuse_unbalanced(self) -> None:
        opened: list[int] = []
        for at, char in enumerate(self._line):
            if char in "([":
                opened.append(at)
            elif char in ")]":
                if not opened:
                    raise Unreadable(self._origins[at], f"no {_PAIRS[char]!r} stands before this {char!r}")
                if self._line[opened[-1]] != _PAIRS[char]:
                    raise Unreadable(
                        self._origins[at], f"this {char!r} cannot close a {self._line[opened[-1]]!r}"
                    )
                opened.pop()
        if opened:
            raise Unreadable(self._origins[opened[-1]], f"this {self._line[opened[-1]]!r} is never closed")


def _plain(char: str) -> str:
    """A character's plain form, one character."""
    if char in _SIGNS:
        return _SIGNS[char]
    if char.isspace() or unicodedata.category(char) == "Cf":  # Cf: zero-width, as pasted from pages
        return " "
    tag, _, same = unicodedata.decomposition(char).partition(" ")
    if tag in _SAME and " " not in same:
        return chr(int(same, 16))
    return char
