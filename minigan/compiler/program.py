"""A step as data, what `capture` returns. trace.py says how it is recorded, executions.py how it is run."""

import math
from threading import Lock
from typing import Any

import numpy as np

from minigan import backend
from minigan.backend.writes import mark_replayed, written_memory
from minigan.compiler import executions
from minigan.compiler.graph import order_of
from minigan.compiler.planner import PASSES, Pass
from minigan.compiler.structures import leaves, mapped
from minigan.compiler.trace import Trace
from minigan.engine.tensor import CaptureError, Tensor, constant, refusal


class Made:
    """What a planned program remembers of a value that was computed: everything but the numbers."""

    __slots__ = ("base", "dtype", "order", "shape")

    def __init__(self, shape, dtype, order, base=None):
        self.shape, self.dtype, self.order, self.base = shape, dtype, order, base

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    nbytes = property(lambda self: self.size * self.dtype.itemsize)

    def __getitem__(self, key):
        """A part along some axes, seen as an array's would be."""
        shape = tuple(len(range(n)[part]) for n, part in zip(self.shape, key, strict=False))
        whole = self if self.base is None else self.base
        return Made((*shape, *self.shape[len(shape) :]), self.dtype, self.order, whole)


class Program:
    """A training step as data: print it, count it, replay it, from one thread at a time.

    inputs        private buffers, one per array that the step takes
    state         {name: array} of what outlives the step
    outputs       what the step returned: the same tensors for every replay, which overwrites them; a call
                  returns copies of them
    instructions  the recorded calls, in order
    execution     how it is run: "recorded", "planned", "native", "launches" or "block"
    note          why it is not run as was asked for; else ""
    plan          what the execution made of the instructions, printable; None where it runs them as recorded

    >>> program = mg.capture(mg.square, np.ones((2, 1), "float32"))
    >>> print(program)
    input0: float32[2, 1]
    %1: float32[2, 1] = square(input0)
    >>> program(np.full((2, 1), 3.0, "float32")).numpy().ravel()
    array([9., 9.], dtype=float32)
    """

    def __init__(
        self,
        inputs: Any,
        state: dict[str, Any],
        trace: Trace,
        passes: tuple[Pass, ...] = PASSES,
        threads: int = 1,
        execution: str = "auto",
        repeats: int = 0,
    ) -> None:
        """Make of a trace what runs the step, planned if it can be, else as recorded."""
        taken = leaves(inputs, tuple)
        self._absent = [x is None for x in taken]
        self.inputs, self.state = [x.memory for x in taken if x is not None], state
        # Cut from the tape, which would otherwise live as long as the program.
        self.outputs = mapped(lambda x: constant(x) if type(x) is Tensor else x, trace.outputs)
        self.instructions, self.constants = trace.instructions, trace.constants
        work = [i for i in self.instructions if not i.is_view]
        if not work:
            raise CaptureError("the step computed nothing, so there is nothing to replay")
        self.returned = [x.memory for x in leaves(self.outputs) if type(x) is Tensor]
        overwritten = [i.output for i in work if i.primitive.name == "assign"] + self.returned
        self._overwrites, self._running = set(map(written_memory, overwritten)), Lock()
        home = backend.of(next(iter((*self.inputs, *self.state.values())), work[0].output))
        self.execution, runner, self.note = executions.make(
            self, home, execution, passes, threads, passes != PASSES, repeats
        )
        self.plan: Any = None if self.execution == "recorded" else runner
        self._run = runner.each
        if self.plan is not None:
            self._forget()

    def _forget(self):
        """Free what the recording computed: the plan has buffers of its own, and needs only the shapes."""
        kept = {id(backend.owner(a)) for a in (*self.inputs, *self.state.values(), *self.returned)}
        kept.update(self.constants)
        made = {}

        def remember(a):
            if isinstance(a, (int, float, Made)) or id(backend.owner(a)) in kept:
                return a
            if id(a) not in made:
                owner, order = backend.owner(a), order_of(a)
                made[id(a)] = Made(a.shape, a.dtype, order, None if owner is a else remember(owner))
            return made[id(a)]

        self.instructions = [
            i._replace(inputs=[remember(x) for x in i.inputs], output=remember(i.output))
            for i in self.instructions
        ]

    def __call__(self, *inputs: Any, copy: bool = True) -> Any:
        """Run the step once more on Tensors or arrays of the captured shapes; returns the outputs.

        inputs  as capture had them, tuples where it had tuples
        copy    of the outputs; False returns the program's own, which the next run overwrites

        Raises:  CaptureError – if a shape, dtype, device or the number of inputs is not the captured one
        """
        arrays = self._arrays(inputs)
        for buffer, a in zip(self.inputs, arrays, strict=True):
            if type(a) is not type(buffer) or a.shape != buffer.shape or a.dtype != buffer.dtype:
                raise _not_as_captured(buffer, a)
        own = {id(buffer) for buffer in self.inputs}  # one may be returned by the step, and fed back
        arrays = [copy_of(a) if id(backend.owner(a)) in own else a for a in arrays]
        return self._replay([a[None] for a in arrays], 1, copy)

    def each(self, *blocks: Any, copy: bool = True) -> Any:
        """Run the step for every first index of these Tensors or arrays: on block[0], on block[1] …

        A loop over short steps costs more than the steps; here it is part of the program.

        copy  of the outputs of the last step, which are returned

        Shapes:  (K, *shape) for each input of that shape
        Raises:  CaptureError – as program(…) does; also for no inputs, or blocks of several lengths
        """
        arrays = self._arrays(blocks)
        for buffer, a in zip(self.inputs, arrays, strict=True):
            if type(a) is not type(buffer) or a.shape[1:] != buffer.shape or a.dtype != buffer.dtype:
                raise _not_as_captured(buffer, a, "K, ")
        lengths = {a.shape[0] for a in arrays}
        if len(lengths) != 1 or not min(lengths):
            raise CaptureError(f"each takes blocks of one length, at least 1; received {sorted(lengths)}")
        return self._replay(arrays, lengths.pop(), copy)

    def _arrays(self, inputs):
        if reason := refusal("replay"):
            raise CaptureError(reason)
        given = leaves(inputs, tuple)
        if [x is None for x in given] != self._absent:
            present = sum(x is not None for x in given)
            where = " in other places" if present == len(self.inputs) else ""
            raise CaptureError(
                f"captured with {_counted(len(self.inputs), 'input')}, called with {present}{where}; "
                "call the program with what the step takes"
            )
        return [x.memory if type(x) is Tensor else x for x in given if x is not None]

    def _replay(self, blocks, count, copy):
        if not self._running.acquire(blocking=False):
            raise CaptureError(
                "a program runs in one thread at a time, and another thread is running this one; "
                "capture a program of its own for each thread, or call it under a lock"
            )
        try:
            with np.errstate(over="ignore"):  # e⁻ˣ = ∞ is a sigmoid of 0, as primitives.py says
                self._run(blocks, count)
            mark_replayed(self._overwrites)
        finally:
            self._running.release()
        return mapped(_kept, self.outputs) if copy else self.outputs

    def __reduce__(self):
        raise TypeError(
            "a program is bound to the memory of its step; copy what the step moves, and capture it again"
        )

    def __len__(self) -> int:
        return len(self.instructions)

    def __repr__(self) -> str:
        size = ""
        if self.plan is not None:
            size = f" in {_counted(len(self.plan), executions.EXECUTIONS[self.execution].unit)}"
        inputs, state = _counted(len(self.inputs), "input"), _counted(len(self.state), "array")
        instructions = _counted(len(self), "instruction")
        return f"Program({inputs}, {state} of state, {instructions}, {self.execution}{size})"

    def _repr_html_(self) -> str:
        from minigan.markup.html import box, code_table, paragraph

        note = [paragraph(self.note)] if self.note else []
        return box(repr(self), *note, code_table(str(self).splitlines()))

    def __str__(self) -> str:
        names, lines = {}, []
        for name, a in {**{f"input{k}": a for k, a in enumerate(self.inputs)}, **self.state}.items():
            names[id(a)] = names[id(backend.owner(a))] = name
            lines.append(f"{name}: {a.dtype}{list(a.shape)}")

        def define(a, what):
            name = names.setdefault(id(a), f"%{len(names)}")
            lines.append(f"{name}: {a.dtype}{list(a.shape)} = {what}")

        def show(a):
            if isinstance(a, (int, float)):
                return repr(a)
            if id(a) not in names:  # made outside the recorded calls: a view of the state, or a fill
                whole = names.get(id(backend.owner(a)))
                define(a, f"view of {whole}" if whole else f"constant {backend.of(a).to_host(a).ravel()[:1]}")
            return names[id(a)]

        for i in self.instructions:
            arguments = [show(a) for a in i.inputs] + [f"{key}={value}" for key, value in i.params.items()]
            if i.primitive.name == "assign":
                show(i.output)
            define(i.output, f"{i.primitive}({', '.join(arguments)})")
        return "\n".join(lines)


def _kept(x):
    return Tensor(x.memory.copy()) if type(x) is Tensor else x


def copy_of(array: Any) -> Any:
    """A new array with what is in another, on its device."""
    return backend.of(array).xp.array(array)


def _counted(count, noun):
    return f"{count} {noun if count == 1 else noun + ('es' if noun.endswith('ch') else 's')}"


def _not_as_captured(buffer, a, more=""):
    if not hasattr(a, "dtype") or not hasattr(a, "shape"):
        return CaptureError(
            f"a program takes Tensors and arrays as it was captured with; called with {type(a).__name__}, "
            f"make it np.array(values, {str(buffer.dtype)!r})"
        )
    return CaptureError(
        f"captured for {type(buffer).__name__} {buffer.dtype}[{more}{str(list(buffer.shape))[1:]}, "
        f"called with {type(a).__name__} {getattr(a, 'dtype', '')}{list(getattr(a, 'shape', ()))}; "
        "bring the input to the first, or capture the step again for the second"
    )
