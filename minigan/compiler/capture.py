"""Record a step as a straight line of instructions; replay it without the Python in between.

Capture is closed-world: an array that is neither an input, nor state, nor the output of a recorded primitive
is refused at the line that uses it. The step is recorded twice, and refused at the line where it differs.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minigan import backend
from minigan.backend import writes
from minigan.compiler.planner import PASSES, Pass
from minigan.compiler.program import Program, copy_of
from minigan.compiler.structures import leaves, mapped
from minigan.compiler.trace import Instruction, Trace
from minigan.engine.tensor import CaptureError, Tensor, constant, is_tracked, refusal, variable

__all__ = ["CaptureError", "Instruction", "Program", "capture"]


def capture(
    step: Callable[..., Any],
    *inputs: Any,
    state: Mapping[str, Any] | Iterable[Any] = (),
    passes: tuple[Pass, ...] = PASSES,
    threads: int = 1,
    execution: str = "auto",
    repeats: int = 0,
) -> Program:
    """Record step(*inputs), run it once, and return the Program that runs it again without its Python.

    inputs  Tensors or arrays, or tuples of them such as a Batch, with None for what is not there; each gets
            a private buffer, so the caller's arrays are never written, and passing one array twice or feeding
            an output back is fine; a Tensor with a history is a variable of the step
    state   the arrays or Tensors that the step reads and assigns, a list or {name: …}: parameters, optimiser
            state (the checkpoint's list); a printed program calls them by these names
    execution  how it is run again: "recorded", one call or launch per instruction; "planned" (NumPy), by
            ``passes`` on ``threads``; "native", C code made by the machine's compiler, replicas on
            ``threads``; on a GPU "launches", a graph of one fused launch per depth, or "block", one launch
            for many steps, a thread block per replica; "auto" takes what should be fastest. Native code is
            compared with the eager step first; where there is no compiler, or it differs, the step is
            planned, and its note says why, a RuntimeWarning too, but of a compiler that "auto" lacks
    repeats  how often it is going to be run, as far as is known: for "auto", which takes native code where it
            saves more than its compiling takes

    Bits: every run, the first one too, has the same bits for the same inputs and state. They are the eager
    step's when "recorded", and when "planned" with ``passes=EXACT`` of planner.py. All passes, native and
    fused executions take sums in another order, so that results differ from the eager step's by rounding: in
    the default step by up to about 6e-8 of the value in float32, more where terms cancel.

    What freezes: Python runs while recording and never again. The step is called twice, the second time on
    the state that the first left, and where a number, the order of calls or the arrays differ it is refused;
    inputs and state are put back, so that they have moved by exactly one step in the end, or by none where it
    is refused. What is the same both times is frozen without a word: a Python number from outside that did
    not change in between, a branch on the values of an input's ``.array``. What the step does in Python
    besides, it does twice: counting, printing, appending to a list.

    Tensors made inside the step belong to the program, and a replay overwrites them; what the program returns
    are copies, constants.

    Raises:  CaptureError – if captures nest, an array enters from nowhere, a value is read during the step,
             the second recording differs from the first, or it cannot be executed so
             TypeError – for inputs or state that are no Tensors or arrays

    >>> w = mg.variable([0.0])
    >>> def step(x):
    ...     mg.assign(w, w + 0.5 * (x - w))
    ...     return w
    ...
    >>> program = mg.capture(step, np.array([8.0], "float32"), state={"w": w})
    >>> [program(np.array([8.0], "float32")).item() for _ in range(3)]
    [6.0, 7.0, 7.5]
    """
    if reason := refusal("capture"):
        raise CaptureError(reason)
    if not callable(step):
        raise TypeError(
            f"capture(step, *inputs) takes a function of the inputs; received {type(step).__name__}"
        )
    if not isinstance(state, Iterable) or isinstance(state, Tensor):
        raise TypeError(f"state= is a list or {{name: Tensor}}, {_STATE}; received {type(state).__name__}")
    own = mapped(_own, inputs, tuple)
    named = state if isinstance(state, Mapping) else {f"state{k}": x for k, x in enumerate(state)}
    buffers = [x.memory for x in leaves(own, tuple) if x is not None]
    lasting = {name: _array(x, f"state[{name!r}]", _STATE) for name, x in named.items()}
    outside = [*buffers, *lasting.values()]
    before, undone = [(array, copy_of(array)) for array in outside], writes.undone(outside)
    try:
        first = Trace(outside).run(step, own)
        between = [(array, copy_of(array)) for array in outside] if execution == "native" or repeats else []
        _put_back(before[: len(buffers)])
        with np.errstate(all="ignore"):  # its values are not asked for
            second = Trace(outside, earlier=first).run(step, own)
        program = Program(own, lasting, second, passes, threads, execution, repeats)
        aloud = execution != "auto"
        if program.execution == "native":
            from minigan.compiler.self_check import refusal_of

            if why := refusal_of(program, second, between):
                program = Program(own, lasting, second, passes, threads, "planned")
                program.note, aloud = f"the step runs as {program.execution}, not as native code: {why}", True
        _put_back(before)
        program(*own)
    except BaseException:
        _put_back(before)
        undone()
        raise
    if program.note and aloud:
        warnings.warn(program.note, RuntimeWarning, stacklevel=2)
    return program


_STATE = "as game.state, or [net.parameters.flat, *optimizer.state.values()]"


def _put_back(contents: list[tuple[Any, Any]]) -> None:
    for array, content in contents:
        backend.of(array).xp.copyto(array, content)


def _own(x: Any) -> Tensor:
    values = copy_of(_array(x, "an input of the step", "as constant(values)"))
    return (variable if is_tracked(x) else constant)(Tensor(values))


def _array(x: Any, what: str, way: str) -> Any:
    array = x.memory if type(x) is Tensor else x
    try:
        backend.of(array)
    except TypeError:
        raise TypeError(f"{what} is a Tensor or an array, {way}; received {type(x).__name__}") from None
    if type(array) is np.ndarray and not array.flags.writeable and what.startswith("state"):
        raise TypeError(f"{what} is a read-only array, as tensor.array is; give the Tensor itself")
    return array
