"""The first value that is not finite: which call made it, in which direction, at which line."""

import linecache
import sys
from typing import Any

import numpy as np

from minigan import backend
from minigan.engine.autodiff import _pass_back
from minigan.engine.tensor import CaptureError, Primitive, Tensor, observer, refusal

__all__ = ["AnomalyError", "detect_anomaly"]

_ENGINE = __file__.removesuffix("anomaly.py")


class AnomalyError(RuntimeError):
    """A NaN or an infinity was made, or came in: a sentence, and its parts as attributes."""

    primitive: str  # what was called
    line: str  # "file:number: text" of the line outside the engine
    input: int | None  # the place of an input that was not finite before; None if all were finite
    direction: str = "forward"  # or "backward"
    derivative_of: str | None = None  # in which derivative
    forward_line: str | None = None  # and where that was called, if it was watched


class detect_anomaly:
    """A context in which the first call that makes a NaN or an infinity raises, within grad too.

    Only outputs count: a kernel may overflow on the way to a finite one, and NumPy's warnings are silenced.
    What comes from elsewhere, a batch or a parameter, is named by the first use that makes more of the kind.
    A thread started inside is not watched; an asyncio task is, it inherits the context.

    Raises:  AnomalyError – at the call;  CaptureError – during capture, and inside for a capture or a replay
             RuntimeError – in a generator: whenever it paused, its caller would be watched
    """

    refuses = dict.fromkeys(("capture", "replay"), "detect_anomaly sees no replay; run the step uncaptured")

    def __init__(self) -> None:
        self._outside: list[Any] = []

    def __enter__(self) -> None:
        if sys._getframe(1).f_code.co_flags & 0x220:  # CO_GENERATOR or CO_ASYNC_GENERATOR
            raise RuntimeError("detect_anomaly in a generator would watch its caller; open it around that")
        if reason := refusal("watch"):
            raise CaptureError(reason)
        errors = np.seterr(divide="ignore", over="ignore", invalid="ignore")
        self._outside.append((observer.set(self), errors))

    def __exit__(self, *_: object) -> None:
        token, errors = self._outside.pop()
        observer.reset(token)
        np.seterr(**errors)

    def declare(self, array: backend.Array) -> None:
        """A fill is no call."""

    def record(self, primitive: Primitive, inputs: list[Any], params: dict[str, Any], output: Tensor) -> None:
        """Check one call, and note its line for the derivative. Called by the dispatch, never by users."""
        made = inputs[0] if primitive.name == "assign" else output.memory  # assign has not written yet
        if _not_finite(made):
            raise _anomaly(primitive, inputs, made)
        if output.call is not None:
            output.call.line = _calling_line()


def _not_finite(x: Any) -> int:
    xp = np if isinstance(x, (int, float)) else backend.of(x).xp
    count = xp.count_nonzero(xp.logical_not(xp.isfinite(x)))
    return int(count if xp is np else backend.of(count).to_host(count))


def _calling_line() -> str:
    frame = sys._getframe()
    while frame.f_code.co_filename.startswith(_ENGINE) and frame.f_back is not None:
        frame = frame.f_back
    place = frame.f_code.co_filename, frame.f_lineno
    return f"{place[0]}:{place[1]}: {linecache.getline(*place).strip()}"


def _anomaly(primitive: Primitive, inputs: list[Any], made: Any) -> AnomalyError:
    e, where = AnomalyError(), "in the forward pass"
    frame: Any = sys._getframe()
    e.primitive, e.line = primitive.name, _calling_line()
    e.input = k = next((k for k, x in enumerate(inputs) if _not_finite(x)), None)
    x = made if k is None else inputs[k]
    what = f"{primitive} made" if k is None else f"input {k} of {primitive} was already not finite:"
    while frame is not None and frame.f_code is not _pass_back.__code__:
        frame = frame.f_back
    if frame is not None:
        call = frame.f_locals["call"]  # whose derivative is being taken
        e.direction, e.derivative_of = "backward", call.primitive.name
        e.forward_line = getattr(call, "line", None)
        where = f"in the derivative of {call.primitive}, called at {e.forward_line or 'a line not watched'}"
    count, given = _not_finite(x), " and ".join(str(getattr(x, "shape", x)) for x in inputs)
    what = f"{what} {count} of {getattr(x, 'size', 1)} elements NaN or infinite"
    e.args = (f"{what}, given {given}, at {e.line}, {where}",)
    return e
