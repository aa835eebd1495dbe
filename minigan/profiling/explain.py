"""Where a training step's time goes: what was recorded, what each pass made of it, and what each line costs.

A line is timed alone, within a step and on the values it has there: several times in a row, what it
overwrites put back before each. Beside it stands a call of the same kind on arrays of one element, which is
all dispatch: time = dispatch + work.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from minigan.compiler import planner
from minigan.compiler.capture import Program, capture
from minigan.compiler.passes.replica_groups import Part, Replicas, sizes
from minigan.engine.tensor import constant
from minigan.errors import ConfigError
from minigan.machine import available_memory, limited, set_threads
from minigan.profiling.line_costs import KINDS, Line, lines_of, time_of_a_step, typical
from minigan.profiling.native_costs import lines_of_native
from minigan.training.config import Config
from minigan.training.data import Data
from minigan.training.experiment import Ensemble, Experiment
from minigan.training.steps import Steps

PASSES: dict[str, tuple[planner.Pass, ...]] = {"all": planner.PASSES, "exact": planner.EXACT, "none": ()}
SECONDS = 2.0  # for all timings together; a long step takes what two of it take


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

    execution     how the step is run again; of native code, lines are its functions
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
    execution: str
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
        if self.execution == "native":
            yield from self._native()
            return
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

    def _native(self) -> Iterator[str]:
        yield (
            f"{self.recorded} instructions were recorded; the native code has {len(self.lines)} lines. "
            f"Recording, compiling and a first step took {1e-3 * self.capture:.0f} ms."
        )
        yield ""
        width = max(len(line.what) for line in self.lines)
        yield f"line  {'':{width}}  {'flops':>10}  {'µs':>9}  share"
        for line in self.lines:
            share = 100 * line.time / (self.time or 1.0)
            flops = line.flops or ""
            yield f"{line.number:4}  {line.what:{width}}  {flops:>10}  {line.time:9.2f}  {share:4.1f}%"
        yield ""
        yield f"{'':{max(map(len, KINDS))}}  lines  {'µs':>9}  {'share':>6}"
        for kind in KINDS:
            total = self.total(kind)
            if total.lines:
                width = max(map(len, KINDS))
                yield f"{kind:{width}}  {total.lines:5}  {total.time:9.1f}  {100 * total.share:5.1f}%"
        yield ""
        if self.gflops:
            yield f"The products, with what is made of them at once, run at {self.gflops:.1f} GFLOP/s."
        yield (
            f"The lines take {self.time:.1f} µs, each with two looks at the clock; the whole step "
            f"{self.step:.1f} µs without."
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
            "execution": program.execution,
            "recorded": len(program),
            "capture": recording.took,
        }
        plan = program.plan if program.execution == "planned" else None
        if plan is not None and plan.threads > 1:
            set_threads(1)  # each of the plan's own threads calls it, as in training
        known |= {
            "step": time_of_a_step(program, blocks, SECONDS),
            "eager": typical(recording.step, SECONDS / 8),
        }
        nothing: dict[str, Any] = {"plan": 0.0, "groups": 0, "threads": 1, "buffers": 0, "buffer_bytes": 0}
        if program.execution == "native":
            return Explanation(**known, **nothing, lines=lines_of_native(program, blocks))
        if plan is None:
            why = (
                "Here only recorded instructions can be shown: the plan is NumPy's."
                if recording.backend != "numpy"
                else "Only these can be shown: a step that assigns to a value it computed has no plan."
            )
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
            lines=lines_of(program, [block[0] for block in blocks], known["step"], SECONDS),
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
        options["execution"] = "native" if config.execution == "native" else "auto"
        options["repeats"] = config.steps if config.execution == "auto" else 0
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
    first = Part(program, Replicas(low, high, count)) if len(ranges) > 1 else program
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
    return tuple(stages), took if first is program else typical(
        lambda: planner.Plan(program, passes, threads), 0.0
    )


def _instructions(program: Program) -> tuple[str, ...]:
    return tuple(
        f"{i.primitive.name} {i.output.shape} ← "
        + ", ".join(f"{x:g}" if isinstance(x, (int, float)) else str(x.shape) for x in i.inputs)
        for i in program.instructions
    )
