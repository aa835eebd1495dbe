"""Which stages of a step go through the rows of a batch block by block, and when.

Rows do not know each other, so what a block of them needs can stay in the cache. A region ends where a row
needs a sum over all rows that is finished then: D has moved before G is judged.
"""

import math

from minigan.compiler.graph import VIEWS
from minigan.compiler.stages import base


class Regions:
    """The stages in phases: in each first a region, block by block, then what needs no rows.

    batch    the rows of the regions; 0 if there are none
    kind     {stage: "rows", "sums" (over rows, whose results are there when the region ends) or "plain"}
    phase    {stage: the region it is in, or that has to end before it; −1 for none}
    local    the values that a block of rows keeps to itself
    before   {stage: the stages that it has to come after}
    """

    def __init__(self, stages):
        self.stages, self.all = stages, [stage for level in stages.levels for stage in level]
        heights = [s.shape[-2] for s in self.all if len(s.shape) > 1 and any(n.rows for n in s.outputs)]
        self.batch = max(heights, default=0)
        self._views, self._late = {stage: [] for stage in self.all}, {stage: set() for stage in self.all}
        for leaf, readers in stages.reads.items():
            in_terms = {stage for stage, _, summed in readers if summed}
            for stage, seen, _ in readers:
                self._views[stage].append((leaf, seen))
                if stage not in in_terms and leaf in stages.home:  # only once a sum is complete
                    self._late[stage].add(stages.home[leaf])
        self.kind = {stage: self._kind(stage) for stage in self.all}
        self.phase, self.before = {}, self._before()
        for stage in self.all:
            row, least = self.kind[stage] != "plain", -1
            for other in self.before[stage]:
                both = self.kind[stage] == self.kind[other] == "sums" and other in self._late[stage]
                ended = row and self.kind[other] != "rows" and not both
                least = max(least, self.phase[other] + ended)
            self.phase[stage] = max(least, 0) if row else least
        self.local = [node for node in stages.own if self._is_local(node)]

    def _rows(self, x):
        return x.rows and x.ndim > 1 and x.shape[-2] == self.batch

    def _kind(self, stage):
        total = stage.total
        if not self.batch or math.prod(stage.shape[:-2]) > 1:
            return "plain"
        seen = [view for leaf, view in self._views[stage] if leaf.rows]
        if total is not None and self._over_rows(total):
            turned = [x for x in seen if x.op == "mT" and self._rows(x.inputs[0])]
            return "sums" if all(self._rows(x) or x in turned for x in seen) else "plain"
        row = all(map(self._rows, stage.outputs)) and all(map(self._rows, seen))
        memory = any(n.op == "store" or n in self.stages.direct for n in stage.outputs)
        if total is not None and total.op == "matmul":
            row = row and not base(total.inputs[1]).rows
        return "rows" if row and not memory else "plain"

    def _over_rows(self, total):
        x = total.inputs[0]
        if self._rows(total):
            return False
        if total.op == "matmul":
            return x.shape[-1] == self.batch and self._rows(total.inputs[1])
        return self._rows(x) and x.ndim - 2 in total.params["axis"]

    def _before(self):
        """{stage: those that it has to come after}."""
        s, before = self.stages, {stage: set() for stage in self.all}
        writer = {store: s.home[value] for value, store in s.direct.items()}
        writer |= {store: s.home[store] for store in s.graph.stores if store not in writer}
        for store, stage in writer.items():
            before[stage] |= {writer[o] for o in s.graph.overlapping(store.span) if o.time < store.time}
        for stage, views in self._views.items():
            for leaf, _ in views:
                if leaf.op != "load":
                    before[stage].add(s.home[leaf])
                    if leaf in s.direct:  # it is read from the store's memory, before that is overwritten
                        self._ordered(before, writer, stage, s.direct[leaf], s.direct[leaf].time)
                else:
                    self._ordered(before, writer, stage, leaf, leaf.time)
        return {stage: others - {stage} for stage, others in before.items()}

    def _ordered(self, before, writer, stage, memory, time):
        """A stage reads memory as it was at a time: after the stores until then, before later ones."""
        for store in self.stages.graph.overlapping(memory.span):
            first, then = (writer[store], stage) if store.time <= time else (stage, writer[store])
            before[then].add(first)

    def is_of_rows(self, node):
        """Whether a value may be kept in blocks of rows."""
        return self.kind[self.stages.home[node]] == "rows" and self._views_of(node) <= {"mT", "broadcast_to"}

    def _is_local(self, node):
        readers = [stage for stage, *_ in self.stages.reads.get(node, ())]
        inside = all(
            self.kind[s] != "plain" and self.phase[s] == self.phase[self.stages.home[node]] for s in readers
        )
        return inside and self.is_of_rows(node)

    def _views_of(self, node):
        """The operations by which a value is looked at, also views of views."""
        found = set()
        for user in self.stages.users[node]:
            if user.op in VIEWS:
                found |= {user.op, *self._views_of(user)}
        return found
