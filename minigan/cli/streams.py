"""The two streams of the command line: how a text looks where it cannot be shown, and what a loss means.

stdout has the results: where they cannot be written the command ends with an exit code that is not 0, quietly
if their reader has left, as `head` does, else with a sentence. stderr has progress and messages: what of them
cannot be written is lost, and nothing else changes. Files are UTF-8 and have nothing to do with this.
"""

import errno
import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

from minigan.errors import MiniganError, ReaderLeftError, StorageError

# ── a text in the characters of a stream

_GREEK = (
    "α alpha β beta γ gamma δ delta ε epsilon η eta θ theta κ kappa λ lambda μ mu ν nu ξ xi π pi ρ rho "
    "σ sigma τ tau φ phi χ chi ψ psi ω omega Γ Gamma Δ Delta Θ Theta Λ Lambda Σ Sigma Φ Phi Ψ Psi Ω Omega"
).split()
PLAIN = {  # one for one where tables have them; what is not here is written as in a Python literal
    **dict(zip(_GREEK[::2], _GREEK[1::2], strict=True)),
    **dict(zip("–−‐‑─━│┃╸╺·×′‹›“”‘’∗∘•", "------||--*x'<>\"\"''*o*", strict=True)),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯", "+"),
    **dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True)),
    "—": "--", "…": "...", "→": "->", "←": "<-", "↦": "|->", "↑": "^", "↓": "v", "≤": "<=", "≥": ">=",
    "≈": "~", "≠": "!=", "±": "+-", "∓": "-+", "µ": "u", "∞": "inf", "√": "sqrt ", "∫": "integral ",
    "∂": "d", "∇": "grad ", "‖": "||", "″": "''", "⟨": "<", "⟩": ">", "∝": "~", "∪": " or ", "∈": " in ",
    "½": "1/2", "¼": "1/4", "¾": "3/4", "⅛": "1/8", "°": " degrees", "ℓ": "l", "ı": "i", "⌈": "ceil(",
    "⌉": ")", "✓": "ok", "✗": "x", "▶": ">", "◀": "<", "❚": "|", "⌫": "backspace",
    "\u0302": "^", "\u0303": "~", "\u0304": "-", "\u00a0": " ", "\u202f": " ",
    "\u2009": " ",
}  # fmt: skip
_HIGH = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿᵏᵃᵇʲˣᵀᵢ", "0123456789+-()nkabjxTi", strict=True))
_LOW = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₖᵢⱼₙₚ", "0123456789+-()kijnp", strict=True))
_RUNS = re.compile(f"[{''.join(_HIGH)}]+|[{''.join(_LOW)}]+")  # a power or an index is replaced as a whole


@lru_cache(maxsize=4096)
def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def plain(text: str, encoding: str) -> str:
    """``text`` in characters that ``encoding`` has: minus for −, >= for ≥, mu for μ, \\u6e29 for others."""
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        text = _RUNS.sub(lambda run: _plain_run(run[0], encoding), text)
    return "".join(
        c if _fits(c, encoding) else PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode()
        for c in text
    )


def _plain_run(run: str, encoding: str) -> str:
    if _fits(run, encoding):
        return run
    high = run[0] in _HIGH
    return ("^" if high else "_") + "".join((_HIGH if high else _LOW)[c] for c in run)


def shown(text: str) -> str:
    """``text`` as stdout shows it: what is aligned with others is made plain before it is measured."""
    return plain(text, getattr(sys.stdout, "shows", None) or "utf-8")


# ── the streams


def _unwritten(error: OSError) -> MiniganError:
    if isinstance(error, BrokenPipeError):
        return ReaderLeftError("the reader of the output has left")
    return StorageError(
        f"the output cannot be written: {error.strerror or error}; make room or write it elsewhere"
    )


def _write(stream: Any, text: str) -> None:
    raw = getattr(stream, "buffer", None)
    if not isinstance(raw, io.RawIOBase):
        stream.write(text)
        return
    # PYTHONUNBUFFERED: what a pipe did not take at once Python's own stream would drop without a word.
    rest = memoryview(text.replace("\n", os.linesep).encode(stream.encoding))
    while rest:
        taken = raw.write(rest)
        if taken is None:  # a pipe that does not wait, and is full
            time.sleep(0.01)
        else:
            rest = rest[taken:]


class ShownStream:
    """A text stream that takes any text, shows what it can of it, and says or forgets what was not written.

    stream  what is behind it; None where the process was started without one
    lost    what becomes of an OSError: an error of ours to raise, or None where nothing does
    shows   the encoding of what is behind
    """

    # That of what may be given, not of what comes out. click and rich would go around an ASCII one.
    encoding, errors = "utf-8", "strict"

    def __init__(self, stream: Any, lost: Callable[[OSError], MiniganError] | None) -> None:
        self._stream, self._lost = stream, lost
        self.shows = str(getattr(stream, "encoding", None) or "utf-8")

    def write(self, text: str) -> int:
        """Show ``text``.    Raises:  ReaderLeftError, StorageError – where a loss is an error"""
        if not isinstance(text, str):
            raise TypeError(f"a text stream takes str, received {type(text).__name__}")
        self._attempt(lambda: _write(self._stream, plain(text, self.shows)))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written.    Raises:  as ``write``"""
        if self._stream is not None:
            self._attempt(lambda: self._stream.flush())

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            if self._stream is None or getattr(self._stream, "closed", False):
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            action()
        except OSError as error:
            if self._lost is not None:
                raise self._lost(error) from None

    def release(self) -> None:
        """Nothing more is written: what is left and cannot be, the interpreter's end shall not try again."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except ValueError:  # closed
            pass
        except OSError:
            with suppress(OSError, ValueError, io.UnsupportedOperation):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_stream"], name)


@contextmanager
def standard() -> Iterator[None]:
    """``sys.stdout`` and ``sys.stderr`` are such streams in the block."""
    with suppress(OSError):  # a file that is opened later must not be what the process has as its stderr
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)
    before = sys.stdout, sys.stderr
    ours = ShownStream(sys.stdout, _unwritten), ShownStream(sys.stderr, None)
    sys.stdout, sys.stderr = ours  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in ours:
            stream.release()
