"""Where a training step's time goes: what was recorded, what each pass made of it, and what each line costs.

A line is timed alone, within a step and on the values it has there: several times in a row, what it
overwrites put back before each. Beside it stands a call of the same kind on arrays of one element, which is
all dispatch: time = dispatch + work.
"""

import math
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from minigan.compiler import planner
from minigan.compiler.capture import Program, capture
from minigan.compiler.numpy_code import NumpyCode
from minigan.compiler.passes.replica_groups import Part, sizes
from minigan.compiler.passes.row_blocks import Segment
from minigan.engine.tensor import constant
from minigan.errors import ConfigError
from minigan.machine import available_memory, limited, set_threads
from minigan.training.config import Config
from minigan.training.data import Data
from minigan.training.experiment import Ensemble, Experiment
from minigan.training.steps import Steps

PASSES: dict[str, tuple[planner.Pass, ...]] = {"all": planner.PASSES, "exact": planner.EXACT, "none": ()}
KINDS = {  # of lines, as the report calls them
    "products": "products (BLAS)",
    "elementwise": "elementwise",
    "sums": "sums",
    "copies": "copies",
    "scalars": "scalars",
    "other": "other calls",
}
SECONDS = 2.0  # for all timings together; a long step takes what two of it take
ROUNDS = 5  # of a line in one step; the shortest counts, and of all steps the median
STEPS = 100  # in which lines are timed, fewer if they are long


# ── what is found ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class PassEffect:
    """The plan after a pass: how many values it computes, and in how many lines."""

    name: str
    about: str
    exact: bool
    nodes: int
    lines: int


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


@dataclass(frozen=True)
class Total:
    """The lines of one kind together; times in µs."""

    lines: int
    time: float
    share: float
    dispatch: float
    work: float
    bytes: int
    flops: int


@dataclass(frozen=True)
class Explanation:
    """A step taken apart.

    groups        of replicas, one after the other: the passes and the numbers of lines are those of the first
    threads       that share blocks or groups: times, bytes and flops of the lines are those of the first
    note          why there is no plan, and then instructions, the recorded ones; else None
    capture, plan how long recording, planning and the first step took, and planning alone; µs
    step, eager   one whole step, replayed and as Python runs it; µs
    """

    experiment: str
    backend: str
    dtype: str
    batch: int
    seeds: int
    passes: str
    groups: int
    threads: int
    recorded: int
    capture: float
    plan: float
    buffers: int
    buffer_bytes: int
    step: float
    eager: float
    stages: tuple[PassEffect, ...] = ()
    lines: tuple[Line, ...] = ()
    note: str | None = None
    instructions: tuple[str, ...] = ()

    @property
    def time(self) -> float:
        """The sum of all lines, each alone, µs."""
        return sum(line.time for line in self.lines)

    @property
    def rest(self) -> float:
        """What the whole step takes besides, µs: code and data cold when their turn comes, and the loop."""
        return self.step - self.time

    @property
    def gflops(self) -> float:
        """10⁹ floating point operations per second in the products; 0 where there are none."""
        products = self.total("products")
        return products.flops / products.time / 1e3 if products.time else 0.0

    def total(self, *kinds: str) -> Total:
        """All lines of these kinds, or of all."""
        lines = [line for line in self.lines if not kinds or line.kind in kinds]
        spent = sum(line.time for line in lines)
        return Total(
            len(lines),
            spent,
            spent / (self.time or 1.0),
            sum(line.dispatch or 0.0 for line in lines),
            sum(line.work for line in lines),
            sum(line.bytes or 0 for line in lines),
            sum(line.flops for line in lines),
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything that the text says, as JSON has it; times in µs."""
        content = asdict(self)
        for row, line in zip(content["lines"], self.lines, strict=True):
            row |= {"work": line.work, "share": line.time / (self.time or 1.0)}
        if self.lines:
            kinds = {kind: asdict(self.total(kind)) for kind in KINDS}
            content |= {
                "kinds": kinds,
                "total": asdict(self.total()),
                "rest": self.rest,
                "gflops": self.gflops,
            }
        return content

    def as_text(self) -> str:
        """The report: tables of passes, of lines and of kinds, and what they come to."""
        return "\n".join(self._report())

    def _report(self) -> Iterator[str]:
        many = f", {self.seeds} seeds at once" if self.seeds > 1 else ""
        yield f"{self.experiment}: one step on a batch of {self.batch}, {self.dtype}, {self.backend}{many}"
        if self.note is not None:
            yield f"{self.recorded} instructions were recorded in {1e-3 * self.capture:.0f} ms. {self.note}"
            yield ""
            yield from (f"{k:4}  {what}" for k, what in enumerate(self.instructions, 1))
            yield ""
            yield self._compared()
            return
        yield (
            f"{self.recorded} instructions were recorded; the plan has {self.stages[-1].lines} lines and "
            f"{self.buffer_bytes} bytes in {self.buffers} buffers. Recording, planning and a first step took "
            f"{1e-3 * self.capture:.0f} ms, of which the plan {1e-3 * self.plan:.0f} ms."
        )
        if self.groups > 1:
            yield f"The seeds go in {self.groups} groups, each with such a plan."
        if self.threads > 1:
            yield f"{self.threads} threads share the work; the lines below are what the first one does."
        yield ""
        width = max(len(stage.name) for stage in self.stages)
        yield f"{'after the pass':{width}}  nodes  lines"
        for stage in self.stages:
            rounds = "" if stage.exact else " (rounds differently)"
            yield f"{stage.name:{width}}  {stage.nodes:5}  {stage.lines:5}  {stage.about}{rounds}"
        yield ""
        named = [f"{line.times} × {line.what}" if line.times > 1 else line.what for line in self.lines]
        width = max(map(len, named))
        yield f"line  {'':{width}}  {'bytes':>9}  {'flops':>10}  {'µs':>9}  dispatch  {'work':>9}  share"
        for line, what in zip(self.lines, named, strict=True):
            number = f"{line.number:4}" if line.number else "  in"
            moved = "–" if line.bytes is None else f"{line.bytes}"
            flops = f"{line.flops or ''}"
            dispatch = "–" if line.dispatch is None else f"{line.dispatch:.2f}"
            yield (
                f"{number}  {what:{width}}  {moved:>9}  {flops:>10}  {line.time:9.2f}  {dispatch:>8}  "
                f"{line.work:9.2f}  {100 * line.time / (self.time or 1.0):4.1f}%"
            )
        yield ""
        width = max(map(len, KINDS.values()))
        yield f"{'':{width}}  lines  {'µs':>9}  {'share':>6}  {'dispatch':>9}  {'work':>9}"
        rows = [(name, self.total(kind)) for kind, name in KINDS.items()]
        for name, total in [*((name, total) for name, total in rows if total.lines), ("all", self.total())]:
            yield (
                f"{name:{width}}  {total.lines:5}  {total.time:9.1f}  {100 * total.share:5.1f}%  "
                f"{total.dispatch:9.1f}  {total.work:9.1f}"
            )
        yield ""
        total = self.total()
        calls = 100 * total.dispatch / (total.time or 1.0)
        if self.gflops:
            yield f"The products run at {self.gflops:.1f} GFLOP/s."
        yield (
            f"Dispatch, the time of as many calls on one element, is {calls:.0f}% of the lines' time; "
            "the rest is work."
        )
        cold = "code and data that are cold when their turn comes, and the loop"
        yield f"The lines alone and warm take {self.time:.1f} µs, the whole step {self.step:.1f} µs" + (
            f": the {self.rest:.1f} µs between are {cold}."
            if self.rest > 0
            else ", less than that: the machine was slower while the lines were timed."
        )
        yield self._compared()

    def _compared(self) -> str:
        return (
            f"The same step without capture, eagerly, takes {self.eager:.1f} µs: "
            f"{self.eager / self.step:.1f} times as long as the replay, {self.step:.1f} µs."
        )


def explain(config: Config, *, data: Data | None = None, seeds: int = 1, passes: str = "all") -> Explanation:
    """Build an experiment, capture its step and time it, line by line; the experiment is thrown away.

    seeds   how many train at once, on the replica axis; 1 for none
    passes  of the planner: "all", the "exact" ones, or "none"

    Raises:  ConfigError – if so many seeds do not fit into memory
    """
    with limited(config.threads), np.errstate(all="ignore"):
        if seeds > 1:
            _refuse_sizes(_Captured(config, data, 1, "none").program, seeds)
        recording = _Captured(config, data, seeds, passes)
        program, blocks = recording.program, recording.blocks
        known: dict[str, Any] = {
            "experiment": config.name,
            "backend": recording.backend,
            "dtype": config.dtype,
            "batch": config.batch,
            "seeds": seeds,
            "passes": passes,
            "recorded": len(program),
            "capture": recording.took,
        }
        plan = program.plan if program.execution == "planned" else None
        if plan is not None and plan.threads > 1:
            set_threads(1)  # each of the plan's own threads calls it, as in training
        known |= {
            "step": _time_of_a_step(program, blocks),
            "eager": _typical(recording.step, SECONDS / 8),
        }
        if plan is None:
            why = (
                "Here only recorded instructions can be shown: the plan is NumPy's."
                if recording.backend != "numpy"
                else "Only these can be shown: a step that assigns to a value it computed has no plan."
            )
            nothing: dict[str, Any] = {
                "plan": 0.0,
                "groups": 0,
                "threads": 1,
                "buffers": 0,
                "buffer_bytes": 0,
            }
            return Explanation(**known, **nothing, note=why, instructions=_instructions(program))
        stages, planned = _stages(program, PASSES[passes], config.threads)
        buffers = [buffer for group in plan.groups or [plan] for buffer in group.memory.buffers]
        return Explanation(
            **known,
            plan=planned,
            groups=max(1, len(plan.groups)),
            threads=plan.threads,
            buffers=len(buffers),
            buffer_bytes=sum(buffer.memory.nbytes for buffer in buffers),
            stages=stages,
            lines=_lines(program, [block[0] for block in blocks], known["step"]),
        )


class _Captured:
    """A step captured, its batches, and how long that took, in µs."""

    def __init__(self, config: Config, data: Data | None, seeds: int, passes: str) -> None:
        several: Steps
        if seeds > 1:
            several = Ensemble.of_seeds(config, range(config.seed, config.seed + seeds), data=data)
        else:
            several = Experiment(config, data=data)
        named = several.draw(0, max(1, several.block_length // seeds))

        def step(*batches: Any) -> Any:
            return several.play(dict(zip(named, batches, strict=True)))

        self.backend = several.backend.name
        self.blocks = [several.backend.array(block) for block in named.values()]
        first = [constant(block[0]) for block in self.blocks]
        self.step = partial(step, *first)  # as Python runs it
        started = time.perf_counter()
        options: dict[str, Any] = {"passes": PASSES[passes], "threads": config.threads}
        self.program = capture(step, *first, state=several.game.state, **options)
        self.took = 1e6 * (time.perf_counter() - started)


def _refuse_sizes(one: Program, seeds: int) -> None:
    """A program keeps what each instruction made, for every seed, and so does the eager step."""
    made = sum(i.output.nbytes for i in one.instructions if not i.is_view)
    need, free = 2 * seeds * made, available_memory()
    if free is not None and need > free:
        raise ConfigError(
            f"the recorded step of {seeds} seeds needs about {need / 2**30:.3g} GiB, but only "
            f"{free / 2**30:.3g} GiB of memory is free; reduce --seeds, the widths or the batch"
        )


def _stages(
    program: Program, passes: tuple[planner.Pass, ...], threads: int
) -> tuple[tuple[PassEffect, ...], float]:
    """The plan without passes, and after each of them in turn; with the time of planning with all, in µs."""
    ranges, count = sizes(program, threads) if passes else ([(0, 1)], 1)
    low, high = ranges[0]
    first = Part(program, low, high, count) if len(ranges) > 1 else program
    stages, took, shared = [], 0.0, threads if first is program else 1
    for k in range(len(passes) + 1):
        started = time.perf_counter()
        plan, rewrite = planner.Plan(first, passes[:k], shared), passes[k - 1] if k else None
        took = 1e6 * (time.perf_counter() - started)
        name, about = "as recorded", "One line for every step that computes."
        if rewrite is not None:
            name, about = rewrite.name, rewrite.about
        exact = rewrite is None or rewrite.exact
        stages.append(PassEffect(name, about, exact, len(plan.graph), len(plan)))
    return tuple(stages), took if first is program else _typical(
        lambda: planner.Plan(program, passes, threads), 0.0
    )


def _instructions(program: Program) -> tuple[str, ...]:
    return tuple(
        f"{i.primitive.name} {i.output.shape} ← "
        + ", ".join(f"{x:g}" if isinstance(x, (int, float)) else str(x.shape) for x in i.inputs)
        for i in program.instructions
    )


# ── lines, taken apart ──────────────────────────────────────────────────────────────────────────────────────

WORD = re.compile(r"\b[A-Za-z_]\w*")
SCALAR = re.compile(r"s\d+(_\d+)?")  # what the executor calls a NumPy scalar


class _Statement:
    """A line of a plan's code, and the arrays and functions that its names stand for.

    inside  the lines of a segment, which run for each of its blocks
    """

    def __init__(
        self, text: str, names: dict[str, Any], node: Any = None, number: int = 0, times: int = 1
    ) -> None:
        self.text, self.node, self.number, self.times = text, node, number, times
        self.inside: list[_Statement] = []
        self.names = {word: names[word] for word in WORD.findall(text) if word in names}
        self.arrays = [x for word in WORD.findall(text) if isinstance(x := names.get(word), np.ndarray)]
        called = re.match(r"(\w+)\(.*\)$", text)
        self.function = self.names.get(called[1]) if called else None
        self.kind = self._kind()

    def _kind(self) -> str:
        function = self.function
        if function in (np.dot, np.matmul):
            return "products"
        if isinstance(function, np.ufunc) or re.match(r"\w+\[\.\.\.\] \W+= \w+$", self.text):
            return "elementwise"
        if isinstance(getattr(function, "__self__", None), np.ufunc):
            return "sums"
        if re.match(r"\w+\[\.\.\.\] = \w+$", self.text):
            return "copies"
        return "scalars" if re.match(r"\w+(\[\(\)\])? = .*$", self.text) else "other"

    @property
    def overwrites(self) -> bool:
        """Whether it may write what it reads, so that a second run would see other values."""
        if " = " in self.text:
            return False
        pairs = combinations(self.arrays, 2)
        return re.search(r" \W+= ", self.text) is not None or any(np.may_share_memory(a, b) for a, b in pairs)

    @property
    def bytes(self) -> int | None:
        """Of the arrays it names; what is broadcast counts once."""
        return None if self.kind == "other" else sum(map(_extent, self.arrays))

    @property
    def flops(self) -> int:
        return 2 * self.arrays[2].size * self.arrays[0].shape[-1] if self.kind == "products" else 0

    @property
    def what(self) -> str:
        """op (shape of the result) ← (shapes of what it reads); numbers as such."""
        op = getattr(self.function, "__name__", "")
        shapes = [str(a.shape) for a in self.arrays]
        if self.kind == "products":
            return f"{op} {shapes[2]} ← {shapes[0]}·{shapes[1]}"
        if self.kind == "scalars":
            target, _, value = self.text.partition(" = ")
            words = [word for word in WORD.findall(value) if not callable(self.names.get(word))]
            read = [f"{x:g}" if isinstance(x := self.names.get(w), np.generic) else "()" for w in words]
            return f"{self.node.op if SCALAR.match(target) else 'store'} () ← {', '.join(read)}"
        if self.kind == "copies":
            reason = self.node.op if self.node else "input"
            return f"copy{'' if reason == 'copy' else f' ({reason})'} {shapes[0]} ← {shapes[1]}"
        if self.kind == "other":
            op = str(self.node.params.get("primitive", self.node.op)) if self.node else op
            return f"{op}, besides its {len(self.inside)} lines" if self.inside else op
        if self.kind == "sums":
            return f"sum {shapes[-1]} ← {shapes[0]}"
        if " " in self.text.partition("(")[0]:  # a += b
            return f"{self.node.op if self.node else 'add'} {shapes[0]} ← {', '.join(shapes)}"
        inputs = self.node.inputs
        for k, x in enumerate(inputs if len(inputs) == len(shapes) - 1 else ()):
            if isinstance(x, float) and self.arrays[k].ndim == 0:
                shapes[k] = f"{x:g}"
        return f"{op} {shapes[-1]} ← {', '.join(shapes[:-1])}"

    def renamed(self, k: int) -> tuple[str, dict[str, Any]]:
        """The text, and what its names stand for, with names that no other statement has."""
        text = WORD.sub(lambda word: f"{word[0]}_of_{k}" if word[0] in self.names else word[0], self.text)
        return text, {f"{name}_of_{k}": x for name, x in self.names.items()}

    @property
    def sort(self) -> tuple:
        """What is the same for statements that cost the same on arrays of one element."""
        return self.text, *((type(x), getattr(x, "dtype", x), np.ndim(x)) for x in self.names.values())

    def empty(self) -> "_Statement | None":
        """The same on arrays of one element; None for a call that would not be the same then."""
        if self.kind == "other":
            return None
        names: dict[str, Any] = {}

        def swap(match: re.Match[str]) -> str:
            word, x = match[0], self.names.get(match[0])
            if x is None and SCALAR.fullmatch(word):
                if match.start() == 0:
                    return "value"
                x = self.node.dtype.type(1)
            if x is None or callable(x):
                names.update({} if x is None else {word: x})
                return word
            word = f"x{len(names)}"  # an array for each place: NumPy is slow in place on one element alone
            names[word] = np.ones((1,) * x.ndim, x.dtype) if isinstance(x, np.ndarray) else x
            return word

        return _Statement(WORD.sub(swap, self.text), names, self.node)


def _extent(a: np.ndarray) -> int:
    return a.itemsize * math.prod(n for n, stride in zip(a.shape, a.strides, strict=True) if stride)


def _statements(program: Program, batch: list[np.ndarray]) -> list[_Statement]:
    """The copies of the inputs, and the lines of the plan; what is indented belongs to the line above."""
    plan, found = program.plan, []
    for k, (buffer, array) in enumerate(zip(program.inputs, batch, strict=True)):
        names = {f"input{k}": plan.memory.inputs.get(id(buffer), buffer), f"batch{k}": array}
        found.append(_Statement(f"input{k}[...] = batch{k}", names))
    return found + _of_code(plan.code, times=max(1, len(plan.groups[:: plan.threads])))


def _of_code(code: NumpyCode, number: int = 0, times: int = 1) -> list[_Statement]:
    """The statements of a plan, or of a segment, which all have its number."""

    def own(match: re.Match[str]) -> str:  # a segment's scalars are not the plan's
        word = match[0]
        return f"{word}_{number}" if number and word not in code.names and SCALAR.fullmatch(word) else word

    texts: list[list[str]] = []
    nodes = []
    for text, node in zip(code.lines, code.nodes, strict=True):
        if text.startswith(" "):
            texts[-1].append(text)
        else:
            texts.append([text])
            nodes.append(node)
    found = []
    for k, (lines, node) in enumerate(zip(texts, nodes, strict=True), 1):
        statement = _Statement(WORD.sub(own, "\n".join(lines)), code.names, node, number or k, times)
        segment = next((x for x in statement.names.values() if isinstance(x, Segment)), None)
        inner = getattr(segment.runs[0], "code", None) if segment else None
        if segment and inner:
            statement.inside = _of_code(inner, k, times * len(segment.blocks[0]))
        found += [statement, *statement.inside]
    return found


# ── timing ──────────────────────────────────────────────────────────────────────────────────────────────────


def _typical(run: Callable[[], Any], seconds: float) -> float:
    """The time of a call in µs, as that of a line: the least of a few in a row, of those the median.

    As many calls as fit into so many seconds, one at least.
    """
    times: list[float] = []
    while not times or sum(times) < seconds:
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return 1e6 * statistics.median(min(times[k : k + ROUNDS]) for k in range(0, len(times), ROUNDS))


def _time_of_a_step(program: Program, blocks: list[Any]) -> float:
    once = _typical(lambda: program.each(*(block[:1] for block in blocks)), 0.0)
    # Short, that one of a few in a row is undisturbed; but a group of replicas is warm only after its first.
    seconds = SECONDS / (2 if program.plan and program.plan.groups else 400)
    count = int(np.clip(seconds * 1e6 / once, 1, blocks[0].shape[0]))
    return _typical(lambda: program.each(*(block[:count] for block in blocks)), SECONDS / 4) / count


def _lines(program: Program, batch: list[np.ndarray], step: float) -> tuple[Line, ...]:
    statements = _statements(program, batch)
    rounds = int(np.clip(SECONDS * 1e6 / 8 / step, 1, ROUNDS))
    steps = int(np.clip(SECONDS * 1e6 / 2 / (2 * rounds * step), 1, STEPS))
    alone = dict(zip(statements, _clocked(statements, steps, rounds), strict=True))
    empty = {statement: statement.empty() for statement in statements}
    sorts = {small.sort: small for small in empty.values() if small is not None}
    calls = dict(zip(sorts, _clocked(list(sorts.values()), STEPS, ROUNDS), strict=True))
    lines = []
    for statement, many in ((statement, statement.times) for statement in statements):
        small = empty[statement]
        dispatch = None if small is None else many * min(calls[small.sort], alone[statement])
        spent = many * alone[statement] - sum(inner.times * alone[inner] for inner in statement.inside)
        moved = None if statement.bytes is None else many * statement.bytes
        facts = statement.what, statement.kind, moved, many * statement.flops
        lines.append(Line(statement.number, many, *facts, max(spent, 0.0), dispatch))
    return tuple(lines)


def _clocked(statements: list[_Statement], steps: int, rounds: int) -> list[float]:
    """The time of each statement in µs: of so many steps the median, of the rounds in one step the least.

    Every step runs all statements in order. What one overwrites is put back before each of its rounds; a call
    that does not show what it writes has one round.
    """
    code = NumpyCode()
    notes: list[list[int]] = [[] for _ in range(len(statements) + 1)]
    code.names = {"clock": time.perf_counter_ns, "once": (0,), "rounds": range(rounds)}
    for k, statement in enumerate([*statements, _Statement("pass", {})]):
        text, names = statement.renamed(k)
        code.names |= names | {f"note{k}": notes[k].append}
        body = text.split("\n")
        lines = ["started = clock()", *body, f"note{k}(clock() - started)"]
        before: list[str] = []
        after: list[str] = []
        if statement.overwrites:
            code.names[f"keep{k}"], code.names[f"back{k}"] = _keeper(statement.arrays)
            before, after = [f"keep{k}()"], [f"back{k}()", *body]
            lines = [*after, *lines]  # once untimed: what puts back leaves the code cold
        hidden = statement.kind == "other" and k < len(statements)
        loop = f"for _ in {'once' if hidden else 'rounds'}:"
        code.lines += [*before, loop, *(f"    {line}" for line in lines), *after]
    code.compile([])(range(steps))
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
