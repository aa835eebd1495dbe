"""In what order a thread block computes the stages of a step, and where it has to wait for all its threads.

Rows of a batch do not know each other, so a warp takes some of them through all their stages alone: a chain.
After a chain all threads meet, take the sums over its rows, and meet again; what needs no rows is levels, of
which all threads do one after the other. What is made of a sum with another sum of the same chain is made
after it, with what needs no rows. A batch that is longer than what the block holds at once goes through in
slabs. What a chain alone needs has a slot, memory that is laid out in the same rows as all others
of its width: so a warp may be ahead of another, and no slot is a place that another warp still reads.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from minigan.compiler.graph import VIEWS
from minigan.compiler.memory import view_of
from minigan.compiler.places import padded
from minigan.compiler.regions import Regions
from minigan.compiler.stages import base

ROWS = 16  # that a warp takes at a time: as many as a tile of mma.sync has
FEWEST, WARPS = 4, 8  # of a block


@dataclass
class Slot:
    """Memory for as many rows as a slab has, of one value after another of the same width."""

    array: np.ndarray
    free: float = 0.0  # from which time on


@dataclass
class BlockPart:
    """Stages between two meetings of all threads; of a chain the rows, and levels of sums over them.

    chain  whether it goes through the rows of a batch
    """

    rows: list = field(default_factory=list)
    levels: list = field(default_factory=list)
    slots: list = field(default_factory=list)
    chain: bool = False
    time: int = 0


class BlockSchedule:
    """The stages of a step as parts, one after the other.

    parts   chains (with rows) and levels of what needs no rows
    late    {sum over rows: the chain in which it is taken}, of those that are concluded in a level after it
    batch   rows of the chains; 0 if there are none
    slab    rows that the block holds at once
    warps   of the block
    local   {node: its slot}
    """

    def __init__(self, stages):
        self.stages, self.regions = stages, Regions(stages)
        self.batch = self.regions.batch
        self.warps = min(WARPS, max(FEWEST, -(-self.batch // ROWS)))
        self.slab = min(-(-max(self.batch, 1) // ROWS) * ROWS, ROWS * self.warps)
        self.before = self.regions.before
        self._as_late_as_possible()
        self.parts, self.late = [], {}
        phases = self.regions.phase
        for phase in range(-1, max(phases.values(), default=-1) + 1):
            found = [s for s in self.regions.all if phases[s] == phase]
            inside = [s for s in found if self.regions.kind[s] != "plain"]
            chains = self._in_order(self._chains(inside))
            late = set().union(*map(self._conclude_late, chains))
            levels = self._levels(set(found) - set(inside) | late)
            self._join(chains, levels)
            self.parts += chains + [BlockPart(levels=[level]) for level in levels if level]
        self.part_of = {s: part for part in self.parts for s in part.rows + sum(part.levels, [])}
        for time, part in enumerate(self.parts):
            part.time = time
        self.local = {}
        for part in self.parts:
            self._give_slots(part)
        for node in stages.graph.nodes:
            if node.op in VIEWS and base(node) in self.local:
                stages.arrays[node] = self._view(node, stages.arrays[node.inputs[0]])

    @property
    def slabs(self):
        """How many there are."""
        return max(1, -(-self.batch // self.slab))

    def span(self, node):
        """The first and the last part that needs a value; of a sum that is taken before, from then on."""
        readers = [self.part_of[stage].time for stage, *_ in self.stages.reads.get(node, ())]
        first = self.part_of[self.stages.home[node]].time
        return first, max([first, *readers])

    # ── order ───────────────────────────────────────────────────────────────────────────────────────────

    def _as_late_as_possible(self):
        """What only a later region needs belongs to it: rows need no memory until then, others no level."""
        phase, kind = self.regions.phase, self.regions.kind
        after = {stage: [] for stage in self.regions.all}
        for stage, others in self.before.items():
            for other in others:
                after[other].append(stage)
        for stage in reversed(self.regions.all):
            if kind[stage] != "sums" and after[stage]:
                plain = kind[stage] == "plain"
                latest = min(phase[s] - (plain and kind[s] != "plain") for s in after[stage])
                phase[stage] = max(phase[stage], latest)

    def _conclude_late(self, chain):
        """The sums of a chain that are concluded with other sums of it: all of them are taken at once."""
        late = sum(chain.levels[1:], [])
        chain.levels = [sum(chain.levels, [])] if chain.levels else []
        self.late.update(dict.fromkeys(late, chain))
        return set(late)

    def _join(self, chains, levels):
        """What does not need the sums of the last chain is done beside them, but for sums in slabs."""
        if self.slabs == 1 and chains and chains[-1].levels and levels:
            sums = chains[-1].levels[-1]
            free = [s for s in levels[0] if s not in self.late and not self.before[s] & set(sums)]
            sums += free
            levels[0] = [s for s in levels[0] if s not in free]

    def _chains(self, found):
        """The stages of a region that meet in rows, as parts."""
        root = {stage: stage for stage in found}

        def find(stage):
            while root[stage] is not stage:
                stage = root[stage]
            return stage

        for stage in found:
            for other in self.before[stage] & root.keys():
                if self.regions.kind[other] == "rows":
                    root[find(stage)] = find(other)
        groups = {}
        for stage in found:
            groups.setdefault(find(stage), []).append(stage)
        return list(groups.values())

    def _in_order(self, groups):
        """Each group after those that it needs; as one where they need each other."""
        done, parts, left = set(), [], list(groups)
        while left:
            others = [set().union(*(g for g in left if g is not group)) for group in left]
            free = [g for g, rest in zip(left, others, strict=True) if not self._needs(g) & rest]
            if not free:
                free, left = [[s for s in self.regions.all if any(s in g for g in left)]], []
            left = [g for g in left if g is not free[0]]
            rows = [s for s in free[0] if self.regions.kind[s] == "rows"]
            parts.append(BlockPart(rows, self._levels(set(free[0]) - set(rows)), chain=True))
            done.update(free[0])
        return parts

    def _needs(self, group):
        return set().union(*(self.before[stage] for stage in group))

    def _levels(self, found):
        """Stages by the longest way to them."""
        depth = {}
        for stage in self.regions.all:
            if stage in found:
                depth[stage] = 1 + max((depth[s] for s in self.before[stage] if s in depth), default=-1)
        levels = [[] for _ in range(1 + max(depth.values(), default=-1))]
        for stage, k in depth.items():
            levels[k].append(stage)
        return levels

    # ── slots ───────────────────────────────────────────────────────────────────────────────────────────

    def _give_slots(self, part):
        """A slot for each value that only this chain needs, free again when nobody reads the last one."""
        at = {stage: k for k, stage in enumerate(part.rows)}
        for stage in part.rows:
            for node in stage.outputs:
                if node in self.stages.own and self._is_local(node, part):
                    last = max(
                        (self._until(node, *read, at) for read in self.stages.reads.get(node, ())), default=0
                    )
                    width = padded(node.shape[-1])
                    for slot in part.slots:
                        if slot.array.shape[-1] == width and slot.free <= at[stage]:
                            break
                    else:
                        slot = Slot(np.empty((self.slab, width), node.dtype))
                        part.slots.append(slot)
                    slot.free, self.local[node] = max(last, at[stage] + 0.5), slot
                    shape = (*node.shape[:-2], *slot.array.shape)
                    self.stages.arrays[node] = slot.array.reshape(shape)[..., : node.shape[-1]]

    def _until(self, node, stage, seen, summed, at):
        """Until when a reader needs a value: of its own element alone, until it writes there itself."""
        if stage not in at:
            return math.inf
        reads = [r for r in self.stages.reads[node] if r[0] is stage]
        own = all(s is node and not total for _, s, total in reads) and stage.shape == node.shape
        return at[stage] if own else at[stage] + 0.5

    def _is_local(self, node, part):
        inside = {*part.rows, *sum(part.levels, [])}
        return self.regions.is_of_rows(node) and inside.issuperset(
            s for s, *_ in self.stages.reads.get(node, ())
        )

    def _view(self, node, array):
        """A view of what a slab has."""
        if node.op == "mT":
            return view_of(node, array)
        return np.broadcast_to(array, (*node.shape[:-2], array.shape[-2], node.shape[-1]))
