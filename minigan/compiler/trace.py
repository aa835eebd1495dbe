"""The recording of a step: every call that passes the dispatch is checked, noted, and compared.

A program repeats what was recorded, so whatever a step takes from outside would freeze into it. An array from
outside is refused at once. A number, a branch or a tensor chosen in Python cannot be seen to come from there;
but if it changes, a second recording differs from the first, and is refused at that line.
Source: torch.jit.trace(…, check_trace=True) compares two recordings so.
"""

import linecache
import sys
from types import FrameType
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from minigan import backend
from minigan.compiler.structures import mapped
from minigan.engine.tensor import CaptureError, Primitive, Tensor, observer

_COMPILER = __file__.removesuffix("trace.py")
_PACKAGE = _COMPILER.removesuffix("compiler/")
_ENGINE = f"{_PACKAGE}engine/"
WAY_OUT = (
    "a program would keep what it was while recording; what changes from run to run is to be a Tensor, "
    "an input or in state=, and what is done once only is to be done before capture"
)


Origin = tuple[Any, ...]


class Instruction(NamedTuple):
    """One line of a program: output ← primitive(inputs; params)."""

    primitive: Primitive
    inputs: list[Any]  # arrays and Python numbers
    params: dict[str, Any]
    output: Any  # the array that was made while recording; every replay writes into it

    @property
    def kernel(self) -> Any:
        """The function that computes the output: kernel(xp, *inputs, out=output, **params)."""
        return self.primitive.kernel

    @property
    def is_view(self) -> bool:
        """Whether the output is the memory of the input, so that there is nothing to run."""
        return self.primitive.view and backend.owner(self.output) is backend.owner(self.inputs[0])


class Seen(NamedTuple):
    """What is remembered of a call without its arrays.

    inputs   numbers, and of arrays their origins (see `Trace`)
    output   its shape, and its origin
    place    file and line of the caller
    """

    primitive: Primitive
    inputs: list[Any]
    params: dict[str, Any]
    output: tuple[Any, ...]
    place: tuple[str, int] | None


class Trace:
    """One recording of a step; it observes the dispatch while the step runs.

    An array has an origin that is the same in every recording of the same step: ("lasting", id) of inputs and
    state, ("fill", k) of the kth constant, ("call", k) of what the kth call made, ("memory", k) of what that
    one is a view of, if it is, and ("view", origin, offset, shape, strides) of a view of any of these.

    lasting   the arrays that outlive the step
    earlier   the recording that this one is to equal; this one then keeps what a program needs, else nothing
    """

    refuses = {
        "read": "a value was read during capture; return the tensor from the step and read it after the run",
        "capture": "captures do not nest; capture the outer step, it records the inner one too",
        "replay": "a program was run during capture; call the step it was captured from, it is recorded too",
        "watch": "detect_anomaly was opened during capture; open it around a step that is run eagerly",
    }

    def __init__(self, lasting: Any, earlier: "Trace | None" = None) -> None:
        self.calls: list[Seen] = []
        self.fills: list[tuple[Any, ...]] = []
        self.instructions: list[Instruction] = []
        self.constants: dict[int, Any] = {}
        self.outputs: Any = None
        self.returned: Any = None  # the outputs, by their origins
        self._earlier = earlier
        self._origins: dict[int, tuple[ref[Any], Origin]] = {}
        for array in lasting:
            owner = backend.owner(array)
            self._origins[id(owner)] = ref(owner), ("lasting", id(owner))

    def run(self, step: Any, inputs: tuple[Any, ...]) -> "Trace":
        """Run the step on Tensors and record it.

        Raises:  CaptureError – for an array from nowhere, and where the two recordings differ
        """
        token = observer.set(self)
        try:
            outputs = step(*inputs)
        finally:
            observer.reset(token)
        self.returned = mapped(self._returned, outputs)
        if self._earlier is not None:
            self._compare_ends(self._earlier)
            self.outputs = outputs
        return self

    def __repr__(self) -> str:
        return f"Trace({len(self.calls)} calls recorded)"

    # ── what the dispatch calls ─────────────────────────────────────────────────────────────────────────

    def declare(self, array: Any) -> None:
        """Admit an array that was filled with a number, once: no replay fills it again."""
        k, first = len(self.fills), backend.of(array).to_host(array.ravel()[:1])
        self.fills.append((array.shape, first.tolist()))
        self._origins[id(array)] = ref(array), ("fill", k)
        if self._earlier is not None:
            self.constants[id(array)] = array
            if not _same(self._earlier.fills[k : k + 1], self.fills[k:]):
                raise _differs("a constant has another number, or another shape, the second time", _place())

    def record(self, primitive: Primitive, inputs: list[Any], params: dict[str, Any], output: Tensor) -> None:
        """Note one call. Called by the dispatch, never by users."""
        array, k = output.memory, len(self.calls)
        origins = [x if isinstance(x, (int, float)) else self._known(x, primitive) for x in inputs]
        if primitive.name == "assign":
            self._known(array, primitive)
            if self._known(backend.owner(array), primitive)[0] == "fill":
                raise CaptureError(
                    f"assign would change a constant of shape {array.shape} that was filled during capture, "
                    "and a replay would not fill it again; make it before capture and pass it in state="
                )
        elif self._origin(array) is None:
            owner = backend.owner(array)
            self._origins[id(owner)] = ref(owner), ("memory", k)
            self._origins[id(array)] = ref(array), ("call", k)
        seen = Seen(primitive, origins, params, (array.shape, self._origin(array)), _place())
        self.calls.append(seen)
        if self._earlier is not None:
            self._compare(seen, self._earlier.calls)
            self.instructions.append(Instruction(primitive, inputs, params, array))

    # ── where arrays come from ──────────────────────────────────────────────────────────────────────────

    def _origin(self, array: Any) -> Origin | None:
        """Where an array comes from; None if from nowhere."""
        found = self._origins.get(id(array))
        if found is not None and found[0]() is array:  # else another array had this id, and is gone
            return found[1]
        owner = backend.owner(array)
        if owner is array or (whole := self._origin(owner)) is None:
            return None
        home = backend.of(array)
        offset = home.span(array)[0] - home.span(owner)[0]
        origin: Origin = "view", whole, offset, array.shape, array.strides
        self._origins[id(array)] = ref(array), origin
        return origin

    def _known(self, array: Any, where: Any) -> Origin:
        origin = self._origin(array)
        if origin is None:
            raise CaptureError(
                f"an array of shape {array.shape} enters {where} from nowhere: it is neither an input, "
                "nor state, nor the output of a recorded primitive; "
                "pass it to capture as an input, or in state=, as game.state or net.parameters.flat; "
                "of an input x take constant(x), for constant(x.array) is a copy"
            )
        return origin

    def _returned(self, x: Any) -> Any:
        if type(x) is Tensor:
            return self._known(x.memory, "the outputs")
        if isinstance(x, np.ndarray):
            return x.dtype.str, x.tolist()
        return x if isinstance(x, (int, float, str, np.generic)) else type(x)

    # ── whether both recordings are one ─────────────────────────────────────────────────────────────────

    def _compare(self, here: Seen, earlier: list[Seen]) -> None:
        """Hold the latest call against that of the earlier recording."""
        if len(self.calls) > len(earlier):
            raise _differs(f"{here.primitive} is called only the second time", here.place)
        there = earlier[len(self.calls) - 1]
        if here.primitive.name != there.primitive.name or len(here.inputs) != len(there.inputs):
            before = f"{here.primitive} is called, where it was {there.primitive} the first time"
            raise _differs(before + _at(there.place) * (here.place != there.place), here.place)
        for x, y in zip(there.inputs, here.inputs, strict=True):
            if isinstance(x, (int, float)) and isinstance(y, (int, float)):
                if not _same(x, y):
                    raise _differs(f"{here.primitive} takes {x!r}, and {y!r} the second time", here.place)
            elif x != y:
                raise _differs(f"{here.primitive} takes another array the second time", here.place)
        if not _same(here.params, there.params) or here.output != there.output:
            raise _differs(f"{_format(there)}, and {_format(here)} the second time", here.place)

    def _compare_ends(self, earlier: "Trace") -> None:
        if len(self.calls) < len(earlier.calls):
            missing = earlier.calls[len(self.calls)]
            raise _differs(f"{missing.primitive} is called only the first time", missing.place)
        if not _same(self.returned, earlier.returned):
            raise _differs("it returns something else the second time", None)


def _same(a: Any, b: Any) -> bool:
    """Whether two literals, or structures of them, have the same bits: NaN is NaN, and 0.0 is not −0.0."""
    return a is b or repr(a) == repr(b)


def _format(call: Seen) -> str:
    given = ", ".join(f"{key}={value}" for key, value in call.params.items())
    return f"{call.primitive}({given}) gives {list(call.output[0])}"


def _differs(what: str, place: tuple[str, int] | None) -> CaptureError:
    return CaptureError(f"the step, recorded twice, differs{_at(place)}: {what}; {WAY_OUT}")


def _at(place: tuple[str, int] | None) -> str:
    return "" if place is None else f" at {place[0]}:{place[1]}: {linecache.getline(*place).strip()}"


def _place() -> tuple[str, int] | None:
    """The line that called: of the user's code, else the innermost one outside engine and compiler."""
    frame: FrameType | None = sys._getframe(2)
    inner = None
    while frame is not None and not frame.f_code.co_filename.startswith(_COMPILER):
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE):
            return file, frame.f_lineno
        if inner is None and not file.startswith(_ENGINE):
            inner = file, frame.f_lineno
        frame = frame.f_back
    return inner
