"""A step as one launch for many steps, in which each thread block trains one replica on its own.

What a replica is made of, and as much of what it computes as fits, lies in shared memory. In what order a
block computes is in block_schedule.py, what its warps do in block_code.py.
"""

import math

import numpy as np

from minigan.backend import owner
from minigan.compiler.block_code import GAP, BlockCode
from minigan.compiler.block_schedule import ROWS, BlockSchedule
from minigan.compiler.expressions import EXPRESSION
from minigan.compiler.places import arrange, bounds, names_of
from minigan.compiler.stages import Target

BOTH = 113 * 1024  # bytes of shared memory, with which two blocks run on a multiprocessor of an H100 or H200


class Block:
    """A step as one launch of a block per replica.

    stages  of one replica
    """

    target = Target(
        by_replica=True, items=1, large=math.inf, padded=True, functions=EXPRESSION.keys(), recompute=5,
        spread=1, apart=True,
    )  # fmt: skip
    threads = 1  # of the host

    def __init__(self, home, stages):
        self.home, self.stages, self.replicas = home, stages, stages.replicas
        self.schedule = BlockSchedule(stages)
        self.size = 32 * self.schedule.warps
        self.inputs = [e for e in stages.externals if e.is_input]
        self.kept = [e for e in stages.externals if not e.is_input]
        self.periods = {e: self._period(e) for e in self.kept}
        self._arrange()
        names = names_of((*self.kept, *self.inputs))
        gapped = [e for e, period in self.periods.items() if period and e in self.shared]
        gaps = [(*e.bounds, f"m.{names[e]}", self.periods[e]) for e in gapped]
        regions = [(*e.bounds, f"m.{name}", 0) for e, name in names.items()]
        regions += [(*bounds(array), *self._place(key)) for key, array in self._arrays.items()]
        sums = {stage: "{} + {}".format(*self._place(stage)) for stage in self._sums}
        sums = {stage: f"({text})" for stage, text in sums.items()}
        self.code = BlockCode(stages, self.schedule, regions, sums, gaps)
        self.source = self._text(names)

    # ── memory ──────────────────────────────────────────────────────────────────────────────────────────

    def _arrange(self):
        """Where everything lies: in shared memory what fits there, the smallest first."""
        s, plan = self.stages, self.schedule
        step, last = 16 // s.dtype.itemsize, len(plan.parts)
        self._sums = [
            stage for stage, kind in plan.regions.kind.items()
            if kind == "sums" and (plan.slabs > 1 or stage in plan.late)
        ]  # fmt: skip
        self._arrays = {node: s.arrays[node] for node in s.own if node not in plan.local}
        for node in list(self._arrays):
            if store := self._joins(node):
                s.arrays[node] = store.array
                del self._arrays[node]
        wishes = [(node, _length(array), *plan.span(node)) for node, array in self._arrays.items()]
        for stage in self._sums:
            last_part = plan.part_of[stage]
            first_part = plan.late.get(stage, last_part)
            wishes.append((stage, math.prod(stage.shape), first_part.time, last_part.time))
        for part in plan.parts:
            for k, slot in enumerate(part.slots):
                self._arrays[part.time, k] = slot.array
                wishes.append(((part.time, k), slot.array.size, part.time, part.time))
        wishes = [(key, -(-size // step) * step, *times) for key, size, *times in wishes]
        wishes.sort(key=lambda wish: wish[1])
        wishes = [(e, self._room(e), 0, math.inf) for e in self.kept] + wishes
        for limit in (min(BOTH, self.home.shared_memory), self.home.shared_memory):
            self.shared, self.shared_length = arrange(wishes, limit // s.dtype.itemsize)
            if len(self.shared) == len(wishes):
                break
        self.scratch_places, self.length = arrange(
            [w for w in wishes if w[0] not in self.shared and w[3] <= last]
        )

    def _period(self, external):
        """The length of the rows of weights by which rows of a batch are multiplied; 0 if they are not alike.

        Rows that begin in the same bank of shared memory are read one after the other; so a gap follows each.
        """
        low, high = external.bounds
        periods, size = set(), self.stages.dtype.itemsize
        for leaf, readers in self.stages.reads.items():
            factor = (
                leaf.op == "load" and low <= leaf.span[0] < high and any(summed for *_, summed in readers)
            )
            if factor and min(leaf.shape[-2:]) >= 8:
                step, start, flags = max(leaf.array.strides[-2:]), leaf.span[0] - low, leaf.array.flags
                dense = flags.c_contiguous or flags.f_contiguous
                periods.add(step // size if dense and start % step == 0 else 0)
        return periods.pop() if len(periods) == 1 else 0

    def _room(self, external):
        """Elements of shared memory, rounded up to 16 bytes."""
        period = self.periods[external]
        length = -(-external.size // period) * (period + GAP) if period else external.size
        return -(-length // 4) * 4

    def _joins(self, node):
        """The store in whose memory a value can wait until a later stage has added to it, if there is one.

        Each element is read by the thread that overwrites it, and nobody reads what was there before.
        """
        s, readers = self.stages, self.stages.reads.get(node, ())
        if (
            len(readers) != 1
            or readers[0][1] is not node
            or readers[0][2]
            or readers[0][0].shape != node.shape
        ):
            return None
        for value in readers[0][0].outputs:
            store = s.direct.get(value)
            if store and store.shape == node.shape and len(s.graph.overlapping(store.span)) == 1:
                low, high = store.span
                early = (n for n in s.graph.nodes if n.op == "load" and n.time < store.time)
                loads = [n for n in early if n.span[0] < high and low < n.span[1]]
                others = [n for n in s.own if n is not node and s.arrays[n] is store.array]
                if not loads and not others:
                    return store
        return None

    def _place(self, key):
        """Pointer and offset of a piece of memory."""
        if key in self.shared:
            return "m.shared", self.shared[key]
        return "m.scratch", self.scratch_places[key]

    def load(self):
        """Compile."""
        self.scratch = self.home.xp.empty((max(self.length * self.replicas, 1),), self.stages.dtype)
        self._kernel = self.home.module(self.source).kernel("train")
        self.stages.devices = {}  # the arrays of the first step are free
        return self

    # ── text ────────────────────────────────────────────────────────────────────────────────────────────

    def _text(self, names):
        parameters = "".join(f"T* {name}, " for name in names.values())
        lines = [
            f'extern "C" __global__ void __launch_bounds__({self.size})',
            f"train({parameters}T* scratch, const int steps)",
            "{",
            "    DYNAMIC_SHARED(T, shared);",
            "    const int t = threadIdx.x, lane = t % 32;",
            "    const int warp = __shfl_sync(~0u, t / 32, 0);  // the compiler knows that all lanes have it",
            "    const size_t replica = blockIdx.x;",
            "    Memory m;",
            "    m.shared = shared;",
            f"    m.scratch = scratch + replica * {self.length};",
        ]
        there, back, inputs = {}, {}, []
        for e, name in names.items():
            own = f"replica * {e.stride}"
            if e.is_input:
                inputs.append(f"        m.{name} = {name} + (size_t)step * {e.length} + {own};")
            elif e not in self.shared:
                lines.append(f"    m.{name} = {name} + {own};")
            else:
                lines.append(f"    m.{name} = shared + {self.shared[e]};")
                here = f"m.{name}[i{f' + i / {self.periods[e]} * {GAP}' * bool(self.periods[e])}]"
                there.setdefault(e.size, []).append(f"{here} = {name}[{own} + i];")
                if e.is_written:
                    back.setdefault(e.size, []).append(f"{name}[{own} + i] = {here};")
        for size, moves in there.items():
            lines += self._each_element(size, moves)
        lines += ["    __syncthreads();", "    for (int step = 0; step < steps; ++step) {", *inputs]
        for part in self.schedule.parts:
            lines += [f"    {line}" for line in self._part(part)]
        pointers = [*names.values(), "shared", "scratch"]
        lines.append("    }")
        for size, moves in back.items():
            lines += self._each_element(size, moves)
        return self.code.text(pointers, *lines, "}\n")

    def _each_element(self, size, moves):
        """Lines for every element of arrays of this size, by all threads."""
        if size > self.size:
            yield "    #pragma unroll 1"
            yield f"    for (int i = t; i < {size}; i += {self.size}) {{"
        else:
            yield f"    if (const int i = t; i < {size}) {{"
        yield from (f"        {move}" for move in moves)
        yield "    }"

    def _part(self, part):
        """The lines of a chain, or of a level."""
        slabs = part.chain and self.schedule.slabs > 1
        lines = [*self._rows(part.rows)]
        for level in part.levels:
            lines += self._level(level, self.code.calls if part.chain else self.code.calls | self.code.ends)
        if not slabs:
            return [f"    {line}" for line in lines]
        head = f"    for (m.slab = 0; m.slab < {self.schedule.batch}; m.slab += {self.schedule.slab}) {{"
        return [head, *(f"        {line}" for line in lines), "    }"]

    def _rows(self, stages):
        """What each warp does with its rows."""
        plan = self.schedule
        if not stages:
            return
        start = f"m.slab + {ROWS} * warp" if plan.slabs > 1 else f"{ROWS} * warp"
        yield "{"
        yield f"    const int first = {start};"
        if plan.batch < plan.slabs * ROWS * plan.warps:
            yield f"    if (first < {plan.batch}) {{"
        for stage in stages:
            yield f"    {self.code.calls[stage][0]}(m, first, lane);"
            yield "    __syncwarp();"
        if plan.batch < plan.slabs * ROWS * plan.warps:
            yield "    }"
        yield "}"
        yield "__syncthreads();"

    def _level(self, level, calls):
        """The units of its stages one after the other, each by the next warp."""
        level = sorted(level, key=lambda stage: -calls[stage][1])
        total = sum(calls[stage][1] for stage in level)
        yield "#pragma unroll 1"
        yield f"for (int unit = warp; unit < {total}; unit += {self.schedule.warps}) {{"
        start, word = 0, "if"
        for stage in level:
            name, units = calls[stage]
            condition = (
                f"{word} (unit < {start + units}) " if start + units < total else "else " * (start > 0)
            )
            yield f"    {condition}{name}(m, unit{f' - {start}' * (start > 0)}, lane);"
            start, word = start + units, "else if"
        yield "}"
        yield "__syncthreads();"

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────

    def _apart(self, block):
        """A block of inputs that no step overwrites while it is read."""
        xp, whole = self.home.xp, owner(block)
        if any(owner(e.device) is whole for e in self.kept):
            return xp.array(block)
        return xp.ascontiguousarray(block)

    def each(self, blocks, count):
        """The step for every first index of the inputs' blocks."""
        blocks = [self._apart(block) for block in blocks]
        arguments = [*(e.device for e in self.kept), *blocks, self.scratch, np.int32(count)]
        size = self.shared_length * self.stages.dtype.itemsize
        self._kernel((self.replicas,), (self.size,), arguments, shared=size)

    def __len__(self):
        return 1


def _length(array):
    return (array if array.base is None else array.base).size
