"""Record one run of a step as a straight line of instructions; replay it without the Python in between.

Capture is closed-world: an array that is neither an input, nor state, nor the output of a recorded primitive
is refused at the line that uses it, so nothing computed aside can freeze into a program silently.
"""

import math
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from minigan import backend
from minigan.backend.writes import mark_replayed, written_memory
from minigan.compiler import executions
from minigan.compiler.graph import order_of
from minigan.compiler.planner import PASSES
from minigan.engine.tensor import (
    CaptureError,
    Primitive,
    Tensor,
    constant,
    is_tracked,
    observer,
    refusal,
    variable,
)

CONTAINERS = (dict, tuple, list)  # in which a step may return its tensors


class Instruction(NamedTuple):
    """One line of a program: output ← primitive(inputs; params)."""

    primitive: Primitive
    inputs: list  # arrays and Python numbers
    params: dict
    output: Any  # the array that the first run allocated; every replay writes into it

    @property
    def kernel(self):
        """The function that computes the output: kernel(xp, *inputs, out=output, **params)."""
        return self.primitive.kernel

    @property
    def is_view(self):
        """Whether the output is the memory of the input, so that there is nothing to run."""
        return self.primitive.view and backend.owner(self.output) is backend.owner(self.inputs[0])


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
    outputs       what the step returned, as tensors that every replay writes anew
    instructions  the recorded calls, in order
    execution     how it is run: "recorded", "planned", "launches" or "block"
    plan          what the execution made of the instructions, printable; None where it runs them as recorded
    """

    refuses = {
        "read": "a value was read during capture; return the tensor from the step and read it after the run",
        "capture": "captures do not nest; capture the outer step, it records the inner one too",
        "replay": "a program was run during capture; call the step it was captured from, it is recorded too",
        "watch": "detect_anomaly was opened during capture; open it around a step that is run eagerly",
    }

    def __init__(self, inputs, state):
        leaves = _leaves(inputs, tuple)
        self._absent = [x is None for x in leaves]
        self.inputs, self.state = [x.array for x in leaves if x is not None], dict(state)
        self.instructions, self.outputs = [], None
        self.execution, self.plan = "being recorded", None
        self._known = {id(backend.owner(a)): a for a in (*self.inputs, *self.state.values())}
        self.constants, self._running = {}, Lock()

    def declare(self, array):
        """Admit an array that was filled with a number, once: no replay fills it again."""
        self._known[id(array)] = self.constants[id(array)] = array

    def _require_known(self, array, where):
        if id(backend.owner(array)) not in self._known:
            raise CaptureError(
                f"an array of shape {array.shape} enters {where} from nowhere: it is neither an input, "
                "nor state, nor the output of a recorded primitive; "
                "pass it to capture as an input or in state="
            )

    def record(self, primitive, inputs, params, output):
        """Note one call. Called by the door, never by users."""
        output = output.array
        for a in inputs:
            if not isinstance(a, (int, float)):
                self._require_known(a, primitive)
        if primitive.name == "assign":
            self._require_known(output, primitive)
            if id(backend.owner(output)) in self.constants:
                raise CaptureError(
                    f"assign would change a constant of shape {output.shape} that was filled during capture, "
                    "and a replay would not fill it again; make it before capture and pass it in state="
                )
        self._known[id(backend.owner(output))] = output
        self.instructions.append(Instruction(primitive, inputs, params, output))

    def _compile(self, passes, threads, execution):
        """Make what runs the step, planned if it can be, else as recorded."""
        work = [i for i in self.instructions if not i.is_view]
        if not work:
            raise CaptureError("the step computed nothing, so there is nothing to replay")
        self.returned = [t.array for t in _leaves(self.outputs, CONTAINERS) if type(t) is Tensor]
        for array in self.returned:
            self._require_known(array, "the outputs")
        overwritten = [i.output for i in work if i.primitive.name == "assign"] + self.returned
        self._overwrites = set(map(written_memory, overwritten))
        home = backend.of(next(iter((*self.inputs, *self.state.values())), work[0].output))
        self.execution, runner = executions.make(self, home, execution, passes, threads, passes != PASSES)
        self.plan = None if self.execution == "recorded" else runner
        self._run = runner.each
        if self.plan is not None:
            self._forget()

    def _forget(self):
        """Free what the first run computed: the plan has buffers of its own, and needs only the shapes."""
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
        self._known = {}

    def __call__(self, *inputs):
        """Run the step once more on Tensors or arrays of the captured shapes; returns the outputs.

        inputs  as capture had them, tuples where it had tuples

        Raises:  CaptureError – if a shape, dtype, device or the number of inputs is not the captured one
        """
        arrays = self._arrays(inputs)
        for buffer, a in zip(self.inputs, arrays, strict=True):
            if type(a) is not type(buffer) or a.shape != buffer.shape or a.dtype != buffer.dtype:
                raise _not_as_captured(buffer, a)
        own = {id(buffer) for buffer in self.inputs}  # one may be returned by the step, and fed back
        arrays = [_copy(a) if id(backend.owner(a)) in own else a for a in arrays]
        return self._replay([a[None] for a in arrays], 1)

    def each(self, *blocks):
        """Run the step for every first index of these Tensors or arrays: on block[0], on block[1] …

        A loop over short steps costs more than the steps; here it is part of the program.

        Shapes:  (K, *shape) for each input of that shape; returns the outputs of the last step
        Raises:  CaptureError – as program(…) does; also for no inputs, or blocks of several lengths
        """
        arrays = self._arrays(blocks)
        for buffer, a in zip(self.inputs, arrays, strict=True):
            if type(a) is not type(buffer) or a.shape[1:] != buffer.shape or a.dtype != buffer.dtype:
                raise _not_as_captured(buffer, a, "K, ")
        lengths = {a.shape[0] for a in arrays}
        if len(lengths) != 1 or not min(lengths):
            raise CaptureError(f"each takes blocks of one length, at least 1; received {sorted(lengths)}")
        return self._replay(arrays, lengths.pop())

    def _arrays(self, inputs):
        if reason := refusal("replay"):
            raise CaptureError(reason)
        leaves = _leaves(inputs, tuple)
        if [x is None for x in leaves] != self._absent:
            present = sum(x is not None for x in leaves)
            where = " in other places" if present == len(self.inputs) else ""
            raise CaptureError(f"captured with {len(self.inputs)} inputs, called with {present}{where}")
        return [x.array if type(x) is Tensor else x for x in leaves if x is not None]

    def _replay(self, blocks, count):
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
        return self.outputs

    def __len__(self):
        return len(self.instructions)

    def __repr__(self):
        size = ""
        if self.plan is not None:
            size = f" in {_counted(len(self.plan), executions.EXECUTIONS[self.execution].unit)}"
        inputs, state = _counted(len(self.inputs), "input"), _counted(len(self.state), "array")
        instructions = _counted(len(self), "instruction")
        return f"<Program: {inputs}, {state} of state, {instructions}, {self.execution}{size}>"

    def __str__(self):
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


def capture(step, *inputs, state=(), passes=PASSES, threads=1, execution="auto"):
    """Run step(*inputs) once, for real, and return the Program that runs it again, bit for bit.

    inputs  Tensors or arrays, or tuples of them such as a Batch, with None for what is not there; each gets
            a private buffer, so the caller's arrays are never written, and passing one array twice or feeding
            an output back is fine; a Tensor with a history is a variable of the step
    state   the arrays or Tensors that the step reads and assigns, a list or {name: …}: parameters, optimiser
            state (the checkpoint's list); a printed program calls them by these names
    execution  how it is run again: "recorded", one call or launch per instruction, with the eager step's
            bits; "planned" (NumPy) by ``passes`` on ``threads``; on a GPU "launches", a graph of one fused
            launch per depth, or "block", one launch for many steps, a thread block per replica; the last
            three sum in another order, and "auto" takes what should be fastest

    Tensors made inside the step belong to the program: a replay overwrites them; keep only what it returns.

    Raises:  CaptureError – if captures nest, an array enters from nowhere, a value is read during the step,
             or it cannot be executed so
    """
    if reason := refusal("capture"):
        raise CaptureError(reason)
    inputs = _mapped(lambda x: (variable if is_tracked(x) else constant)(_copy(_array(x))), inputs, tuple)
    named = state if isinstance(state, dict) else {f"state{k}": x for k, x in enumerate(state)}
    program = Program(inputs, {name: _array(x) for name, x in named.items()})
    before = [_copy(array) for array in (*program.inputs, *program.state.values())]
    token = observer.set(program)
    try:
        outputs = step(*inputs)
    finally:
        observer.reset(token)
    # Cut from the tape, which would otherwise live as long as the program.
    program.outputs = _mapped(lambda x: constant(x) if type(x) is Tensor else x, outputs, CONTAINERS)
    program._compile(passes, threads, execution)
    if program.plan is not None:  # the first step too has the plan's bits, so that a resumed run has them
        for array, content in zip((*program.inputs, *program.state.values()), before, strict=True):
            backend.of(array).xp.copyto(array, content)
        program(*inputs)
    return program


def _counted(count, noun):
    return f"{count} {noun if count == 1 else noun + ('es' if noun.endswith('ch') else 's')}"


def _not_as_captured(buffer, a, more=""):
    return CaptureError(
        f"captured for {type(buffer).__name__} {buffer.dtype}[{more}{str(list(buffer.shape))[1:]}, "
        f"called with {type(a).__name__} {getattr(a, 'dtype', '')}{list(getattr(a, 'shape', ()))}"
    )


def _array(x):
    array = x.array if type(x) is Tensor else x
    backend.of(array)  # raises if it is not an array of a backend
    return array


def _copy(array):
    return backend.of(array).xp.array(array)


def _leaves(structure, kinds):
    """What containers of these kinds hold, in order; None too."""
    if not isinstance(structure, kinds):
        return [structure]
    parts = structure.values() if isinstance(structure, dict) else structure
    return [leaf for part in parts for leaf in _leaves(part, kinds)]


def _mapped(f, structure, kinds):
    """The same containers of these kinds with f of what they hold; None stays."""
    if not isinstance(structure, kinds):
        return None if structure is None else f(structure)
    if isinstance(structure, dict):
        return {key: _mapped(f, part, kinds) for key, part in structure.items()}
    parts = [_mapped(f, part, kinds) for part in structure]
    return type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)
