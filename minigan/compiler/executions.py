"""The ways in which a recorded step can be run again: one table.

NumPy plans a step, a GPU fuses it; both can also repeat it as it was recorded. How a step is captured stands
in capture.py; a plan is made in planner.py, fused code in cuda_launches.py and cuda_block.py, code for the
CPU in native.py.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from minigan.compiler.graph import UnplannableError
from minigan.engine.tensor import CaptureError

# What native code saves of a planned step, in s of a recorded call, of an element of another call's result
# than a product's, and of a multiplication in a product, as measured for batches of 16 to 1024 and widths of
# 8 to 256; and what it has to save, which is what compiling takes, once on a machine.
SAVED_BY_CALL, SAVED_BY_ELEMENT, SAVED_BY_MULTIPLICATION, COMPILED = 2e-7, 1e-10, 1e-11, 1.0
WIDE = 2**18  # elements of a factor whose products are BLAS's at least as soon
# Multiplications of a step that the threads of a plan share with profit; native code has one thread a GAN.
SHARED = 2**25


class Execution(NamedTuple):
    """One way to run a recorded step again.

    name     what `capture(…, execution=)` calls it
    devices  where there is it: "cpu", "gpu"
    unit     what len() of a plan counts
    make     make(program, home, passes, threads) → an object whose each(blocks, count) runs the step for
             every first index of the inputs' blocks; raises UnplannableError where the step cannot be run so
    about    one line for help texts
    """

    name: str
    devices: tuple[str, ...]
    unit: str
    make: Callable[..., Any]
    about: str


class Recorded:
    """The recorded calls in their order, with the eager step's bits; on a GPU as a graph of CUDA's."""

    def __init__(self, program, home, passes=(), threads=1):
        self._copy, self._buffers = home.xp.copyto, program.inputs
        lines = [i for i in program.instructions if not i.is_view]
        calls = [
            (i.primitive, partial(i.kernel, home.xp, *i.inputs, out=i.output, **i.params)) for i in lines
        ]
        self._run = home.sequence(calls, [i.output for i in lines])

    def each(self, blocks, count):
        """The step for every first index of the inputs' blocks."""
        for k in range(count):
            for buffer, block in zip(self._buffers, blocks, strict=True):
                self._copy(buffer, block[k])
            self._run()


def _planned(program, home, passes, threads):
    from minigan.compiler.planner import Plan

    return Plan(program, passes, threads)


def _fused(name):
    """Make what runs a program as "launches" or as a "block"."""
    return lambda program, home, passes, threads: fuse(program, name, home).load()


def _native(program, home, passes, threads):
    return fuse(program, "native", home, threads=threads).load()


EXECUTIONS = {row.name: row for row in (
    Execution("planned",  ("cpu",),       "line",        _planned,
              "NumPy code from a graph of the step, rewritten by passes"),
    Execution("native",   ("cpu",),       "stage",       _native,
              "C code of the step, compiled by the machine's compiler"),
    Execution("launches", ("gpu",),       "launch",      _fused("launches"),
              "a CUDA graph of one fused launch per depth of the step"),
    Execution("block",    ("gpu",),       "launch",      _fused("block"),
              "one CUDA launch for many steps, a thread block per replica"),
    Execution("recorded", ("cpu", "gpu"), "instruction", Recorded,
              "the recorded calls, with the eager step's bits"),
)}  # fmt: skip


def fuse(program: Any, name: str, home: Any, device: Any = None, **options: Any) -> Any:
    """A program as C of "native", or CUDA code of "launches" or "block"; load() compiles it.

    home    where the program's arrays are
    device  for which it is written; home if there is no other

    Raises:  UnplannableError – if the step cannot be fused so
    """
    from minigan.compiler.shadow import stages_of

    kind: Any
    if name == "native":
        from minigan.compiler.native import Native as kind
    elif name == "block":
        from minigan.compiler.cuda_block import Block as kind
    else:
        from minigan.compiler.cuda_launches import Launches as kind
    return kind(device or home, stages_of(program, home, kind.target), **options)


def available(home: Any) -> tuple[str, ...]:
    """The names of the executions that a backend has, the usual one first."""
    return tuple(name for name, row in EXECUTIONS.items() if home.device in row.devices)


def refused(execution: str, home: Any) -> str:
    """Why a backend does not have the execution of that name, with those it has; "" where it does."""
    names = ("auto", *available(home))
    known = f"execution is one of {', '.join(names)} on {home.name}; received {execution!r}"
    return "" if execution in names else known


def compiler_of(execution: str | None) -> str | None:
    """What compiles the code of an execution, on which its bits depend; None where nothing is compiled."""
    if execution != "native":
        return None
    from minigan.compiler import c_compiler

    try:
        return c_compiler.find().version
    except c_compiler.CompilerError:
        return "none"


def fastest(program: Any, home: Any, repeats: int = 0, threads: int = 1) -> str:
    """The name of the execution that should be the fastest for a program that is run so often.

    It is told by program and backend alone, not by what was compiled before, since bits depend on it.
    """
    if home.device == "cpu":
        return "native" if repeats and _pays(program, repeats, threads) else "planned"
    if not home.quick_compiler:  # a step would be written as CUDA code at every capture
        return "recorded"
    from minigan.compiler.cuda_launches import fastest

    return fastest(program)


def _pays(program: Any, repeats: int, threads: int) -> bool:
    """Whether native code saves more than it costs; of replicas as of one of them, which has their bits."""
    lines = [i for i in program.instructions if not i.is_view]
    products = [i for i in lines if i.primitive.name == "matmul"]
    multiplications = sum(math.prod(i.output.shape[-2:]) * i.inputs[0].shape[-1] for i in products)
    elements = sum(math.prod(i.output.shape[-2:]) for i in lines if i.primitive.name != "matmul")
    widest = max((math.prod(i.inputs[1].shape[-2:]) for i in products), default=0)
    saved = (
        len(lines) * SAVED_BY_CALL + elements * SAVED_BY_ELEMENT + multiplications * SAVED_BY_MULTIPLICATION
    )
    if widest >= WIDE or repeats * saved < COMPILED:
        return False
    return threads == 1 or multiplications < SHARED or max(i.output.ndim for i in products) > 2


def make(
    program: Any, home: Any, execution: str, passes: tuple[Any, ...], threads: int, exact: bool, repeats: int
) -> tuple[str, Any, str]:
    """(name, runner, note): the execution that was asked for, or the fastest, or the program as recorded.

    exact    whether the eager step's bits are wanted, which native and fused code do not have
    repeats  how often it is going to be run, as far as that is known

    A step that cannot be native, or a machine without a compiler, runs as planned, and the note says why.

    Raises:  CaptureError – if the backend has no such execution, or the step cannot be run so
    """
    if refusal := refused(execution, home):
        raise CaptureError(refusal)
    name, note = execution, ""
    if execution == "auto":
        if not exact:
            name = fastest(program, home, repeats, threads)
        else:
            name = "planned" if "planned" in available(home) else "recorded"
    try:
        return name, EXECUTIONS[name].make(program, home, passes, threads), note
    except UnplannableError as error:
        if name == "native":
            name, runner, _ = make(program, home, "planned", passes, threads, exact, repeats)
            if execution == "auto" and not str(error):
                return name, runner, ""
            why = str(error) or "it does what only NumPy can"
            return name, runner, f"the step runs as {name}, not as native code: {why}"
        if execution not in ("auto", "planned"):
            raise CaptureError(f"this step cannot be {execution}: capture it with execution='auto'") from None
    return "recorded", Recorded(program, home), note
