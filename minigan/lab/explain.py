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
from itertools import combinations
from typing import Any

import numpy as np

from minigan.backend.executor import Code
from minigan.engine import planner
from minigan.engine.capture import Program, capture
from minigan.engine.tensor import constant
from minigan.lab.config import Config, available_memory, memory_estimate
from minigan.lab.data import Data
from minigan.lab.errors import ConfigError
from minigan.lab.experiment import Experiment, read_law

PASSES: dict[str, tuple[Callable, ...]] = {"all": planner.PASSES, "exact": planner.EXACT, "none": ()}
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
class Stage:
    """The plan after a pass: how many values it computes, and in how many lines."""

    name: str
    about: str
    exact: bool
    nodes: int
    lines: int


@dataclass(frozen=True)
class Line:
    """A line of the plan: what it computes, and what that costs.

    number    in the plan, from 1; 0 for the copy of an input
    bytes     of the arrays it reads and writes; None where a call does not show them
    flops     of a product, 2 n k m; else 0
    time      µs, alone and warm
    dispatch  µs of it that a call on one element takes too; None where there is no such call
    """

    number: int
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
    recorded: int
    capture: float
    plan: float
    buffers: int
    buffer_bytes: int
    step: float
    eager: float
    stages: tuple[Stage, ...] = ()
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
        yield ""
        width = max(len(stage.name) for stage in self.stages)
        yield f"{'after the pass':{width}}  nodes  lines"
        for stage in self.stages:
            rounds = "" if stage.exact else " (rounds differently)"
            yield f"{stage.name:{width}}  {stage.nodes:5}  {stage.lines:5}  {stage.about}{rounds}"
        yield ""
        width = max(len(line.what) for line in self.lines)
        yield f"line  {'':{width}}  {'bytes':>9}  {'flops':>10}  {'µs':>9}  dispatch  {'work':>9}  share"
        for line in self.lines:
            number = f"{line.number:4}" if line.number else "  in"
            moved = "–" if line.bytes is None else f"{line.bytes}"
            flops = f"{line.flops or ''}"
            dispatch = "–" if line.dispatch is None else f"{line.dispatch:.2f}"
            yield (
                f"{number}  {line.what:{width}}  {moved:>9}  {flops:>10}  {line.time:9.2f}  {dispatch:>8}  "
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
        dispatch = 100 * total.dispatch / (total.time or 1.0)
        if self.gflops:
            yield f"The products run at {self.gflops:.1f} GFLOP/s."
        yield (
            f"Dispatch, the time of as many calls on one element, is {dispatch:.0f}% of the lines' time; "
            "the rest is work."
        )
        cold = "code and data that are cold when their turn comes, and the loop"
        yield f"The lines alone and warm take {self.time:.1f} µs, the whole step {self.step:.1f} µs" + (
            f": the {self.rest:.1f} µs between are {cold}."
            if self.rest > 0
            else ", the same within the noise."
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
    from threadpoolctl import threadpool_limits

    _refuse_sizes(config, data, seeds)
    several = list(range(config.seed, config.seed + seeds)) if seeds > 1 else None
    with threadpool_limits(config.threads, user_api="blas"), np.errstate(all="ignore"):
        experiment = Experiment(config, data=data, seeds=several)
        experiment.block_length = max(1, experiment.block_length // seeds)
        blocks = experiment._draw(0)

        def step(*batches: Any) -> Any:
            return experiment.game.round(**dict(zip(blocks, batches, strict=True)))

        first = [constant(block[0]) for block in blocks.values()]
        started = time.perf_counter()
        program = capture(step, *first, state=experiment.game.state, passes=PASSES[passes])
        took = 1e6 * (time.perf_counter() - started)
        known: dict[str, Any] = {
            "experiment": config.name,
            "backend": experiment.backend.name,
            "dtype": config.dtype,
            "batch": config.batch,
            "seeds": seeds,
            "passes": passes,
            "recorded": len(program),
            "capture": took,
            "step": _time_of_a_step(program, list(blocks.values())),
            "eager": _median(lambda: step(*first), SECONDS / 8),
        }
        if program.plan is None:
            why = (
                "Here only recorded instructions can be shown: the plan is NumPy's."
                if experiment.backend.name != "numpy"
                else "Only these can be shown: a step that assigns to a value it computed has no plan."
            )
            return Explanation(
                **known, plan=0.0, buffers=0, buffer_bytes=0, note=why, instructions=_instructions(program)
            )
        buffers = program.plan.memory.buffers
        return Explanation(
            **known,
            plan=_median(lambda: planner.Plan(program, PASSES[passes]), 0.0),
            buffers=len(buffers),
            buffer_bytes=sum(buffer.memory.nbytes for buffer in buffers),
            stages=_stages(program, PASSES[passes]),
            lines=_lines(program, [block[0] for block in blocks.values()], known["step"]),
        )


def _refuse_sizes(config: Config, data: Data | None, seeds: int) -> None:
    """One seed was checked with the configuration."""
    if seeds > 1:
        features = read_law(config.target).features if data is None else data.values.shape[1]
        need, free = seeds * memory_estimate(config, features), available_memory()
        if free is not None and need > free:
            raise ConfigError(
                f"{seeds} seeds need about {need / 2**30:.3g} GiB, but only {free / 2**30:.3g} GiB of memory "
                "are free; reduce --seeds, generator.widths, discriminator.widths or batch"
            )


def _stages(program: Program, passes: tuple[Callable, ...]) -> tuple[Stage, ...]:
    """The plan without passes, and after each of them in turn."""
    stages = []
    for k in range(len(passes) + 1):
        plan, rewrite = planner.Plan(program, passes[:k]), passes[k - 1] if k else None
        name, about = "as recorded", "One line for every step that computes."
        if rewrite is not None:
            name, about = rewrite.__name__, (rewrite.__doc__ or "").strip().partition("\n")[0]
        stages.append(Stage(name, about, rewrite not in planner.ROUNDING, len(plan.graph), len(plan)))
    return tuple(stages)


def _instructions(program: Program) -> tuple[str, ...]:
    return tuple(
        f"{i.primitive.name} {i.output.shape} ← "
        + ", ".join(f"{x:g}" if isinstance(x, (int, float)) else str(x.shape) for x in i.inputs)
        for i in program.instructions
    )


# ── lines, taken apart ──────────────────────────────────────────────────────────────────────────────────────

WORD = re.compile(r"\b[A-Za-z_]\w*")
SCALAR = re.compile(r"s\d+")  # what the executor calls a NumPy scalar


class _Statement:
    """A line of a plan's code, and the arrays and functions that its names stand for."""

    def __init__(self, text: str, names: dict[str, Any], node: Any = None, number: int = 0) -> None:
        self.text, self.node, self.number = text, node, number
        self.names = {word: names[word] for word in WORD.findall(text) if word in names}
        self.arrays = [x for word in WORD.findall(text) if isinstance(x := names.get(word), np.ndarray)]
        self.kind = self._kind()

    def _kind(self) -> str:
        called = re.match(r"(\w+)\(.*\)$", self.text)
        function = self.names.get(called[1]) if called else None
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
        op = self.text.partition("(")[0]
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
            primitive = self.node.params.get("primitive") if self.node else None
            return f"{primitive or (self.node.op if self.node else op)}"
        if self.kind == "sums":
            return f"sum {shapes[-1]} ← {shapes[0]}"
        if " " in self.text.partition("(")[0]:  # a += b
            return f"{self.node.op if self.node else 'add'} {shapes[0]} ← {', '.join(shapes)}"
        inputs = self.node.inputs
        for k, x in enumerate(inputs if len(inputs) == len(shapes) - 1 else ()):
            if isinstance(x, float) and self.arrays[k].ndim == 0:
                shapes[k] = f"{x:g}"
        return f"{op} {shapes[-1]} ← {', '.join(shapes[:-1])}"

    def empty(self) -> "_Statement | None":
        """The same on arrays of one element; None for a call that would not be the same then."""
        if self.kind == "other":
            return None
        names: dict[str, Any] = {}
        renamed: dict[str, str] = {}

        def swap(match: re.Match[str]) -> str:
            word, x = match[0], self.names.get(match[0])
            if x is None and SCALAR.fullmatch(word):
                if match.start() == 0:
                    return "value"
                x = self.node.dtype.type(1)
            if x is None or callable(x):
                names.update({} if x is None else {word: x})
                return word
            word = renamed.setdefault(word, f"x{len(renamed)}")
            names[word] = np.ones((1,) * x.ndim, x.dtype) if isinstance(x, np.ndarray) else x
            return word

        return _Statement(WORD.sub(swap, self.text), names, self.node)


def _extent(a: np.ndarray) -> int:
    return a.itemsize * math.prod(n for n, stride in zip(a.shape, a.strides, strict=True) if stride)


def _statements(program: Program, batch: list[np.ndarray]) -> list[_Statement]:
    """The copies of the inputs, and the lines of the plan; what is indented belongs to the line above."""
    code, memory = program.plan.code, program.plan.memory
    found = []
    for k, (buffer, array) in enumerate(zip(program.inputs, batch, strict=True)):
        names = {f"input{k}": memory.inputs.get(id(buffer), buffer), f"batch{k}": array}
        found.append(_Statement(f"input{k}[...] = batch{k}", names))
    texts: list[list[str]] = []
    nodes = []
    for text, node in zip(code.lines, code.nodes, strict=True):
        if text.startswith(" "):
            texts[-1].append(text)
        else:
            texts.append([text])
            nodes.append(node)
    for number, (lines, node) in enumerate(zip(texts, nodes, strict=True), 1):
        found.append(_Statement("\n".join(lines), code.names, node, number))
    return found


# ── timing ──────────────────────────────────────────────────────────────────────────────────────────────────


def _median(run: Callable[[], Any], seconds: float) -> float:
    """The median time of a call, in µs, of as many as fit into so many seconds, one at least."""
    times: list[float] = []
    while not times or sum(times) < seconds:
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return 1e6 * statistics.median(times)


def _time_of_a_step(program: Program, blocks: list[Any]) -> float:
    once = _median(lambda: program.each(*(block[:1] for block in blocks)), 0.0)
    count = int(np.clip(SECONDS * 1e6 / 50 / once, 1, len(blocks[0])))
    return _median(lambda: program.each(*(block[:count] for block in blocks)), SECONDS / 4) / count


def _lines(program: Program, batch: list[np.ndarray], step: float) -> tuple[Line, ...]:
    statements, kinds = _statements(program, batch), {}
    rounds = int(np.clip(SECONDS * 1e6 / 8 / step, 1, ROUNDS))
    steps = int(np.clip(SECONDS * 1e6 / 2 / (2 * rounds * step), 1, STEPS))
    lines = []
    for statement, spent in zip(statements, _clocked(statements, steps, rounds), strict=True):
        empty, dispatch = statement.empty(), None
        if empty is not None:
            key = empty.text, *((type(x), getattr(x, "dtype", x), np.ndim(x)) for x in empty.names.values())
            if key not in kinds:
                kinds[key] = _clocked([empty], STEPS, ROUNDS)[0]
            dispatch = min(kinds[key], spent)
        facts = statement.what, statement.kind, statement.bytes, statement.flops
        lines.append(Line(statement.number, *facts, spent, dispatch))
    return tuple(lines)


def _clocked(statements: list[_Statement], steps: int, rounds: int) -> list[float]:
    """The time of each statement in µs: of so many steps the median, of the rounds in one step the least.

    Every step runs all statements in order. What one overwrites is put back before each of its rounds; a call
    that does not show what it writes has one round.
    """
    code = Code()
    notes: list[list[int]] = [[] for _ in range(len(statements) + 1)]
    code.names = {"clock": time.perf_counter_ns, "once": (0,), "rounds": range(rounds)}
    for k, statement in enumerate([*statements, _Statement("pass", {})]):
        code.names |= statement.names | {f"note{k}": notes[k].append}
        lines = ["started = clock()", *statement.text.split("\n"), f"note{k}(clock() - started)"]
        if statement.overwrites:
            code.names[f"keep{k}"], code.names[f"back{k}"] = _keeper(statement.arrays)
            code.lines.append(f"keep{k}()")
            lines.insert(0, f"back{k}()")
        hidden = statement.kind == "other" and k < len(statements)
        code.lines += [f"for _ in {'once' if hidden else 'rounds'}:", *(f"    {line}" for line in lines)]
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
