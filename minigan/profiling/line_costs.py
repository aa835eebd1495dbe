"""The lines of a plan, taken apart: what each computes and moves, and its time beside a call on one element.

What belongs here: reading the records that the code writer keeps, and timing them. The report that is made of
it is in explain.py.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from minigan.compiler.numpy_code import COPY, SUM, NumpyCode, Scalar, Statement
from minigan.compiler.passes.row_blocks import Segment
from minigan.compiler.program import Program
from minigan.profiling import timing

KINDS = {  # of lines, as the report calls them
    "products": "products (BLAS)",
    "elementwise": "elementwise",
    "sums": "sums",
    "copies": "copies",
    "scalars": "scalars",
    "other": "other calls",
}
ROUNDS = 5  # of a line in one step; the shortest counts, and of all steps the median
STEPS = 100  # in which lines are timed, fewer if they are long


@dataclass(frozen=True)
class Line:
    """A line of the plan: what it computes, and what that costs a step, all times together.

    number    in the plan, from 1, also of the lines inside it; 0 for the copy of an input
    times     how often a step runs it: in each block of a batch, in each group of replicas
    bytes     of the arrays it reads and writes; None where a call does not show them
    flops     of a product, 2 n k m; else 0
    time      µs, alone and warm
    dispatch  µs of it that a call on one element takes too; None where there is no such call
    """

    number: int
    times: int
    what: str
    kind: str
    bytes: int | None
    flops: int
    time: float
    dispatch: float | None

    @property
    def work(self) -> float:
        """What is left without the dispatch, µs."""
        return self.time - (self.dispatch or 0.0)


class PlanLine:
    """A statement of a plan, where it stands and how often it runs.

    inside  the statements of a segment, which run for each of its blocks
    """

    def __init__(self, statement: Statement, number: int = 0, times: int = 1) -> None:
        self.statement, self.number, self.times = statement, number, times
        self.inside: list[PlanLine] = []
        places = (*statement.inputs, statement.target)
        self.arrays: list[np.ndarray] = [x for x in places if isinstance(x, np.ndarray)]

    @property
    def kind(self) -> str:
        """One of KINDS."""
        function, target = self.statement.function, self.statement.target
        if isinstance(target, Scalar) or any(isinstance(x, Scalar) for x in self.statement.inputs):
            return "scalars"
        if function is None:
            return "copies"
        if function in (np.dot, np.matmul):
            return "products"
        if isinstance(function, np.ufunc):
            return "elementwise"
        return "sums" if function == SUM else "other"

    @property
    def overwrites(self) -> bool:
        """Whether it may write what it reads, so that a second run would see other values."""
        called = self.statement.function is not None and not isinstance(self.statement.target, Scalar)
        return called and any(np.may_share_memory(a, b) for a, b in combinations(self.arrays, 2))

    @property
    def bytes(self) -> int | None:
        """Of the arrays it reads and writes; what is broadcast counts once."""
        return None if self.kind == "other" else sum(map(_extent, self.arrays))

    @property
    def flops(self) -> int:
        """Of a product; else 0."""
        if self.kind != "products":
            return 0
        return 2 * self.statement.target.size * self.statement.inputs[0].shape[-1]

    def describe(self) -> str:
        """op (shape of the result) ← (shapes of what it reads); numbers as such."""
        node, function, _, inputs, target = self.statement
        name, read = getattr(function, "__name__", ""), [_shape(x) for x in inputs]
        if self.kind == "products":
            return f"{name} {_shape(target)} ← {read[0]}·{read[1]}"
        if self.kind == "scalars":
            return f"{node.op if isinstance(target, Scalar) else 'store'} () ← {', '.join(read)}"
        if self.kind == "copies":
            reason = node.op if node else "input"
            return f"copy{'' if reason == 'copy' else f' ({reason})'} {_shape(target)} ← {read[0]}"
        if self.kind == "sums":
            return f"sum {_shape(target)} ← {read[0]}"
        if self.kind == "other":
            name = str(node.params.get("primitive", node.op)) if node else name
            return f"{name}, besides its {len(self.inside)} lines" if self.inside else name
        if len(node.inputs) == len(inputs):
            read = [
                f"{x:g}" if isinstance(x, float) else shape
                for x, shape in zip(node.inputs, read, strict=True)
            ]
        return f"{name} {_shape(target)} ← {', '.join(read)}"

    @property
    def sort(self) -> tuple[Any, ...]:
        """What is the same for statements that cost the same on arrays of one element."""
        _, function, form, inputs, target = self.statement
        return form, function, *((type(x), getattr(x, "dtype", None), np.ndim(x)) for x in (*inputs, target))

    def on_one_element(self) -> "PlanLine | None":
        """The same on arrays of one element; None for a call that would not be the same then."""
        if self.kind == "other":
            return None
        node, function, form, inputs, target = self.statement

        def small(x: Any) -> Any:  # an array for each place: NumPy is slow in place on one element alone
            if isinstance(x, Scalar):
                return node.dtype.type(1)
            return np.ones((1,) * x.ndim, x.dtype) if isinstance(x, np.ndarray) else x

        there = Scalar(0) if isinstance(target, Scalar) else small(target)
        return PlanLine(Statement(node, function, form, tuple(map(small, inputs)), there))


def _shape(x: Any) -> str:
    return f"{x:g}" if isinstance(x, np.generic) else str(getattr(x, "shape", ()))


def _extent(a: np.ndarray) -> int:
    return a.itemsize * math.prod(n for n, stride in zip(a.shape, a.strides, strict=True) if stride)


def plan_lines(program: Program, batch: list[np.ndarray]) -> list[PlanLine]:
    """The copies of the inputs, and the statements of the plan."""
    plan, found = program.plan, []
    for buffer, array in zip(program.inputs, batch, strict=True):
        target = plan.memory.inputs.get(id(buffer), buffer)
        found.append(PlanLine(Statement(None, None, COPY, (array,), target)))
    return found + _of_code(plan.code, times=max(1, len(plan.groups[:: plan.threads])))


def _of_code(code: NumpyCode, number: int = 0, times: int = 1) -> list[PlanLine]:
    """The lines of a plan, or of a segment, which all have its number."""
    found = []
    for k, statement in enumerate(code.statements, 1):
        line = PlanLine(statement, number or k, times)
        if isinstance(segment := statement.function, Segment):
            line.inside = _of_code(segment.runs[0].code, k, times * len(segment.blocks[0]))
        found += [line, *line.inside]
    return found


# ── timing ──────────────────────────────────────────────────────────────────────────────────────────────────


def typical(run: Callable[[], Any], seconds: float) -> float:
    """The time of a call in µs, as that of a line: the least of a few in a row, of those the median."""
    return 1e6 * timing.typical(run, seconds, ROUNDS)


def time_of_a_step(program: Program, blocks: list[Any], budget: float) -> float:
    """A step of a program on these blocks, µs, measured in so many seconds."""
    once = typical(lambda: program.each(*(block[:1] for block in blocks)), 0.0)
    # Short, that one of a few in a row is undisturbed; but a group of replicas is warm only after its first.
    seconds = budget / (2 if getattr(program.plan, "groups", None) else 400)
    count = int(np.clip(seconds * 1e6 / once, 1, blocks[0].shape[0]))
    return typical(lambda: program.each(*(block[:count] for block in blocks)), budget / 4) / count


def lines_of(program: Program, batch: list[np.ndarray], step: float, budget: float) -> tuple[Line, ...]:
    """The lines of a plan whose step takes so many µs, timed in so many seconds."""
    lines = plan_lines(program, batch)
    rounds = int(np.clip(budget * 1e6 / 8 / step, 1, ROUNDS))
    steps = int(np.clip(budget * 1e6 / 2 / (2 * rounds * step), 1, STEPS))
    alone = dict(zip(lines, clocked(lines, steps, rounds), strict=True))
    empty = {line: line.on_one_element() for line in lines}
    sorts = {small.sort: small for small in empty.values() if small is not None}
    calls = dict(zip(sorts, clocked(list(sorts.values()), STEPS, ROUNDS), strict=True))
    costs = []
    for line in lines:
        many = line.times
        small = empty[line]
        dispatch = None if small is None else many * min(calls[small.sort], alone[line])
        spent = many * alone[line] - sum(inner.times * alone[inner] for inner in line.inside)
        moved = None if line.bytes is None else many * line.bytes
        facts = line.describe(), line.kind, moved, many * line.flops
        costs.append(Line(line.number, many, *facts, max(spent, 0.0), dispatch))
    return tuple(costs)


def clocked(plan: list[PlanLine], steps: int, rounds: int) -> list[float]:
    """The time of each statement in µs: of so many steps the median, of the rounds in one step the least.

    Every step runs all statements in order. What one overwrites is put back before each of its rounds; a call
    that does not show what it writes has one round.
    """
    code, lines = NumpyCode(), []
    notes: list[list[int]] = [[] for _ in range(len(plan) + 1)]
    code.names |= {"clock": time.perf_counter_ns, "once": (0,), "rounds": range(rounds)}
    for k, line in enumerate([*plan, PlanLine(Statement(None, None, "pass", (), None))]):
        code.names[f"note{k}"] = notes[k].append
        text = code.text(line.statement)
        body = ["started = clock()", text, f"note{k}(clock() - started)"]
        before: list[str] = []
        after: list[str] = []
        if line.overwrites:
            code.names[f"keep{k}"], code.names[f"back{k}"] = _keeper(line.arrays)
            before, after = [f"keep{k}()"], [f"back{k}()", text]
            body = [*after, *body]  # once untimed: what puts back leaves the code cold
        loop = f"for _ in {'once' if line.kind == 'other' else 'rounds'}:"
        lines += [*before, loop, *(f"    {each}" for each in body), *after]
    code.compile_lines([], lines)(range(steps))
    *times, nothing = (np.median(np.reshape(spent, (steps, -1)).min(axis=1)) for spent in notes)
    return [max(1e-3 * float(spent - nothing), 0.0) for spent in times]


def _keeper(arrays: list[np.ndarray]) -> tuple[Callable[[], None], Callable[[], None]]:
    """A function that keeps what is in the arrays, and one that puts it back."""
    pairs = [(a, np.empty_like(a)) for a in arrays if a.flags.writeable]

    def keep() -> None:
        for array, copy in pairs:
            np.copyto(copy, array)

    def back() -> None:
        for array, copy in pairs:
            np.copyto(array, copy)

    return keep, back
