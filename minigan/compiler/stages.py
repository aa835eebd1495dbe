"""A graph as stages for a GPU: at one depth, work that needs nothing of each other and can be one launch.

A stage computes every element of its shape alone: a sum over some axes, or nothing, then a chain of
elementwise steps in registers. What other stages need of it goes to memory; cheap values are computed again
where they are used. Depths are barriers: between launches on a whole GPU, within a thread block otherwise.
"""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from minigan.compiler.graph import VIEWS, Node, UnplannableError, is_ufunc, same_memory
from minigan.compiler.memory import view_of
from minigan.compiler.places import padded

COST = {"exp": 8, "expm1": 10, "log": 8, "logaddexp": 20, "tanh": 12, "divide": 6, "sqrt": 6, "power": 20}
LONG, PART = 64, 16  # a sum of more terms than this may be taken in parts, none of fewer terms than that
LONG_ROW = (
    64  # terms, from where on a warp sums a row: threads with a row each read far from their neighbours
)
LANES = 32  # of a warp
MOST = 2**30  # elements of a value: kernels count them by 32 bits
TILE = 4  # rows and columns of a product that one thread computes
SUMS = ("matmul", "sum", "partial", "total")


class Target(NamedTuple):
    """What a kind of execution wants of its stages.

    by_replica  whether they are of one of the program's replicas, where these are independent
    items       how many threads there are to be given work
    large       from how many multiplications on a product is made by a library
    padded      whether rows begin in different banks of shared memory
    functions   the elementwise functions that its code writer knows
    recompute   up to this cost a value that several stages need is computed in each of them
    spread      from how many elements on a dearer value is computed once, though many of one stage need it
    apart       whether rows that nothing has in common are stages of their own
    """

    by_replica: bool
    items: int
    large: float
    padded: bool
    functions: Collection[str]
    recompute: int = 30
    spread: float = math.inf
    apart: bool = False


def base(x):
    """The value whose memory a view looks at."""
    while isinstance(x, Node) and x.op in VIEWS:
        x = x.inputs[0]
    return x


def is_tiled(node):
    """Whether a thread computes a tile of a product, and not one element of a sum."""
    product = node.op == "matmul" or node.op == "partial" and node.params["of"] == "matmul"
    return product and min(node.shape[-2:]) >= TILE


class Stage:
    """Work on every element of a shape, at one depth.

    total    the node of the sum that comes first, if there is one
    outputs  the nodes that are written to memory
    """

    def __init__(self, depth, shape, total=None):
        self.depth, self.shape, self.total, self.outputs = depth, shape, total, []


class Stages:
    """The stages of a graph, and where their results live.

    levels  the stages of each depth, in order
    arrays  {node: array}: of loads their own, of what is stored directly the store's, else a new one
    own     the nodes of new arrays: scratch memory
    spans   {node of scratch: (first, last depth at which it is needed)}
    large   the products that a library makes, just before the stage that begins with them

    home    {node: the stage that computes it}, of sums and of what goes to memory (saved, kept)
    reads   {node: [(stage, view of it, whether in a sum)]}: who reads it from memory
    direct  {node: the store in whose memory it is computed}

    externals, replicas and devices are what `stages_of` in shadow.py says of the program.
    """

    def __init__(self, graph, target, externals=(), replicas=1, devices=None):
        self.externals, self.replicas, self.devices = externals, replicas, devices or {}
        graph = apart(outer(graph))
        self.large = [node for node in graph.nodes if _is_large(node, target.large)]
        for node in self.large:
            node.inputs = tuple(_at_one_place(x) for x in node.inputs)
        self.graph = split(graph.refresh(), target.items, self.large).schedule()
        kinds = {node.dtype for node in self.graph.nodes}
        sizes = [node.size for node in self.graph.nodes]
        if len(kinds) != 1 or not 1 <= min(sizes) <= max(sizes) < MOST:
            raise UnplannableError
        (self.dtype,), self.padded, self.apart = kinds, target.padded, target.apart
        if self.dtype not in (np.float32, np.float64):
            raise UnplannableError
        self.users, self.at = self.graph.users(), {node: k for k, node in enumerate(self.graph.nodes)}
        self.saved = self._saved(target)
        self.home, self.reads, self.stages = {}, {}, []
        self.depth_of_store, self.direct, self.kept = {}, {}, set()
        for node in self.graph.nodes:
            if node.op == "store":
                self._place_store(node)
            elif node.op in SUMS:
                self._place_sum(node)
            elif node in self.saved:
                self._place(node)
        self.levels = [[] for _ in range(max((s.depth for s in self.stages), default=-1) + 1)]
        for stage in self.stages:
            self.levels[stage.depth].append(stage)
        for product in self.large:
            if product not in self.kept:
                self.kept.add(product)
                self.home[product].outputs.append(product)
        self.levels = [level for level in self.levels if level]
        self._allocate()

    # ── what is computed where ──────────────────────────────────────────────────────────────────────────

    def _saved(self, target):
        """The elementwise nodes that go to memory: operands, stored values, bases of views, dear ones."""
        saved, cost, loads, overwritten = set(), {}, {}, {}
        for node in self.graph.nodes:
            if node.op == "load":
                later = [self.at[s] for s in self.graph.overlapping(node.span) if s.time > node.time]
                overwritten[node] = min(later, default=math.inf)
        for node in self.graph.nodes:
            if node.op == "store":
                saved.add(node.inputs[0])
            elif node.op in ("matmul", "partial", "total") and _factors(node):
                saved.update(base(x) for x in _factors(node))
            elif node.op in VIEWS and node.op != "broadcast_to":
                saved.add(base(node))
        for node in self.graph.nodes:
            if not is_ufunc(node.op):
                continue
            xs = [base(x) for x in node.inputs if isinstance(x, Node)]
            inner = [x for x in xs if is_ufunc(x.op) and x not in saved]
            cost[node] = COST.get(node.op, 1) + sum(cost[x] for x in inner)
            loads[node] = {x for x in xs if x.op == "load"}.union(*(loads[x] for x in inner))
            users = self._readers(node)
            gone = min((overwritten[x] for x in loads[node]), default=math.inf)
            spread = node.size >= target.spread and any(u.size > node.size for u in users)
            dear = cost[node] > target.recompute and (len(users) > 1 or spread)
            if dear or any(self.at[u] > gone for u in users):
                saved.add(node)
        return {node for node in saved if is_ufunc(node.op)}

    def _readers(self, node):
        """Who uses the value, itself or a view of it."""
        found = set()
        for user in self.users[node]:
            found |= self._readers(user) if user.op in VIEWS else {user}
        return found

    def _last_use(self, node):
        uses = [self.at[node]]
        for user in self._readers(node):
            inlined = is_ufunc(user.op) and user not in self.saved
            uses.append(self._last_use(user) if inlined else self.at[user])
        return max(uses)

    def leaves(self, node):
        """What the expression of a node reads: [(node, view of it or itself)], through what is inlined."""
        found, seen = [], set()

        def visit(x):
            if not isinstance(x, Node) or x in seen:
                return
            seen.add(x)
            below = x.inputs[0] if x.op == "broadcast_to" else None
            if below is not None and is_ufunc(below.op) and below not in self.saved:
                visit(below)
            elif is_ufunc(x.op) and x not in self.saved:
                for y in x.inputs:
                    visit(y)
            elif base(x).op != "constant":
                found.append((base(x), x))

        for x in node.inputs:
            visit(x)
        return found

    def _need(self, leaf):
        """The depth from which on a leaf can be read from memory."""
        if leaf.op != "load":
            return self.home[leaf].depth + 1
        stores = [s for s in self.graph.overlapping(leaf.span) if s.time <= leaf.time]
        return max((self.depth_of_store[s] + 1 for s in stores), default=0)

    def _in_register(self, leaf, seen, stage):
        """The node of a stage that has the value of a leaf at the same index, if there is one."""
        if seen.shape != stage.shape or seen is not leaf:
            return None
        if leaf.op == "load":
            for value, store in self.direct.items():
                if (
                    store.time == leaf.time
                    and same_memory(store.array, leaf.array)
                    and self.home[value] is stage
                ):
                    return value
            return None
        return leaf if self.home[leaf] is stage else None

    def _read(self, stage, leaves, summed=False):
        for leaf, seen in leaves:
            if self._in_register(leaf, seen, stage) is None:
                if leaf.op != "load" and leaf not in self.kept:
                    self.kept.add(leaf)
                    self.home[leaf].outputs.append(leaf)
                self.reads.setdefault(leaf, []).append((stage, seen, summed))

    def _place_sum(self, node):
        leaves = self.leaves(node)
        depth = max((self._need(leaf) for leaf, _ in leaves), default=0)
        stage = self.home[node] = Stage(depth, node.shape, node)
        self.stages.append(stage)
        self._read(stage, leaves, summed=True)

    def _place(self, node):
        leaves = self.leaves(node)
        depth = max((self._need(leaf) for leaf, _ in leaves), default=0)
        latest = [(leaf, seen) for leaf, seen in leaves if self._need(leaf) == depth]
        for stage in reversed(self.stages):
            if stage.depth == depth - 1 and stage.shape == node.shape:
                if latest and all(self._in_register(*pair, stage) is not None for pair in latest):
                    break
        else:
            stage = self._map(depth, node.shape, leaves)
        self.home[node] = stage
        stage.outputs.append(node)
        self.kept.add(node)
        self._read(stage, leaves)

    def _map(self, depth, shape, leaves):
        """A stage of elementwise steps alone."""
        rows = {leaf for leaf, _ in leaves if leaf.rows and self.apart}
        for stage in self.stages:
            if stage.depth == depth and stage.shape == shape and stage.total is None:
                its = {leaf for n in stage.outputs for leaf, _ in self.leaves(n) if leaf.rows and self.apart}
                if not (rows and its) or rows & its:
                    return stage
        self.stages.append(Stage(depth, shape))
        return self.stages[-1]

    def _place_store(self, store):
        """Write the value where it is stored when it is computed, if nobody needs the old content then."""
        value = store.inputs[0]
        overlapping = self.graph.overlapping(store.span)
        older = [s for s in overlapping if s.time < store.time]
        readers = [  # (stage, whether each of its threads reads what that thread alone overwrites)
            (
                stage,
                not summed and seen is leaf and leaf.op == "load" and same_memory(leaf.array, store.array),
            )
            for leaf, found in self.reads.items()
            for stage, seen, summed in found
            if self._lives_in(leaf, store)
        ]
        free = max((self.depth_of_store[s] + 1 for s in older), default=0)
        if value in self.home:
            stage = self.home[value]
            later = min((self.at[s] for s in overlapping if s.time > store.time), default=math.inf)
            alone = value not in self.large  # else it is there before the stage reads
            done = all(r.depth < stage.depth or r is stage and aligned and alone for r, aligned in readers)
            if done and free <= stage.depth and value not in self.direct and self._last_use(value) < later:
                if value not in self.kept:
                    self.kept.add(value)
                    stage.outputs.append(value)
                self.direct[value], self.depth_of_store[store] = store, stage.depth
                return
        leaves = self.leaves(store)
        depths = [self._need(leaf) for leaf, _ in leaves] + [r.depth + 1 for r, _ in readers]
        stage = self._map(max([free, *depths]), store.shape, leaves)
        stage.outputs.append(store)
        self.home[store], self.depth_of_store[store] = stage, stage.depth
        self._read(stage, leaves)

    def _lives_in(self, leaf, store):
        """Whether a leaf that was read shares memory with a store, and is older."""
        if leaf.op == "load":
            span, time = leaf.span, leaf.time
        elif leaf in self.direct:
            span, time = self.direct[leaf].span, self.direct[leaf].time
        else:
            return False
        return span[0] < store.span[1] and store.span[0] < span[1] and time < store.time

    # ── where it lives ──────────────────────────────────────────────────────────────────────────────────

    def _allocate(self):
        self.arrays, self.own, self.spans = {}, [], {}
        for node in self.graph.nodes:
            if node.op in ("load", "store"):
                self.arrays[node] = node.array
            elif node in self.direct:
                self.arrays[node] = self.direct[node].array
            elif node in self.kept:
                self.arrays[node] = self._scratch(node)
                self.own.append(node)
                ends = [stage.depth for stage, *_ in self.reads.get(node, ())]
                self.spans[node] = self.home[node].depth, max([self.home[node].depth, *ends])
        for node in self.graph.nodes:
            if node.op in VIEWS and base(node) in self.arrays:
                self.arrays[node] = view_of(node, self.arrays[node.inputs[0]])

    def _scratch(self, node):
        """An array for a value; padded, its rows begin in different banks of shared memory."""
        shape, factor = node.shape, any(summed for *_, summed in self.reads.get(node, ()))
        if not self.padded or not factor or self._is_reshaped(node) or len(shape) < 2 or shape[-2] == 1:
            return np.empty(shape, node.dtype)
        return np.empty((*shape[:-1], padded(shape[-1])), node.dtype)[..., : shape[-1]]

    def _is_reshaped(self, node):
        views = [user for user in self.users[node] if user.op in VIEWS]
        return any(view.op == "reshape" or self._is_reshaped(view) for view in views)

    def register(self, node, stage):
        """The node that a stage has in a register for this one; None if it is read from memory."""
        if node.op in VIEWS or node.shape != stage.shape:
            return None
        return self._in_register(node, node, stage) if node.op == "load" or node in self.home else None

    def __len__(self):
        return len(self.levels)

    def __str__(self):
        lines = []
        for depth, level in enumerate(self.levels):
            for stage in level:
                what = stage.total.op if stage.total else "map"
                names = ", ".join(f"{x.op}{list(x.shape)}" for x in stage.outputs)
                lines.append(f"{depth}: {what}{list(stage.shape)} → {names}")
        return "\n".join(lines)


def _factors(node):
    """The matrices of a product, or of a part of one; nothing of a sum, whose terms may be computed in it."""
    if node.op == "matmul" or node.op == "partial" and node.params["of"] == "matmul":
        return node.inputs
    return node.inputs if node.op == "total" else ()


def _is_large(node, least):
    """Whether a product of two arrays has so many multiplications."""
    if node.op != "matmul" or any(base(x).op == "constant" or _is_stretched(x) for x in node.inputs):
        return False
    return node.size * node.inputs[0].shape[-1] >= least


def _is_stretched(x):
    return x.op == "broadcast_to" or x.op in VIEWS and _is_stretched(x.inputs[0])


def _at_one_place(x):
    """A factor for a library: a batch lies elsewhere in every step, and is copied."""
    below = base(x)
    if below.op != "load" or not below.rows:
        return x
    seen = [x]
    while seen[-1] is not below:
        seen.append(seen[-1].inputs[0])
    copy = Node("positive", [below], shape=below.shape, dtype=x.dtype, time=below.time, rows=True)
    for view in seen[-2::-1]:
        copy = Node(view.op, [copy], view.params, shape=view.shape, dtype=view.dtype, time=view.time)
    return copy


def outer(graph):
    """Products over one term are elementwise, exactly."""
    for node in graph.nodes:
        if node.op == "matmul" and node.inputs[0].shape[-1] == 1:
            node.op = "multiply"
    return graph


def apart(graph):
    """A value that is memory, and goes to the same memory laid out otherwise, is a copy of it first."""
    for store in graph.stores:
        (value,) = store.inputs
        below = base(value)
        if below.op == "load" and below.span[0] < store.span[1] and store.span[0] < below.span[1]:
            kind = {"shape": value.shape, "dtype": value.dtype, "time": store.time}
            store.inputs = (Node("positive", [value], **kind),)
    return graph.refresh()


def split(graph, items, whole=()):
    """A long sum of few results is taken in parts, each by other threads, then over the parts.

    items  how many threads there are to be given work
    whole  sums to leave alone
    """
    for node in graph.nodes:
        if node.op not in ("matmul", "sum") or node in whole or items > 1 and is_long_row(node):
            continue
        x = node.inputs[0]
        length = x.shape[-1] if node.op == "matmul" else x.shape[_reduced(node)[0]] if _reduced(node) else 1
        many = items // count_of(node)
        if items > 1 and not is_tiled(node):  # parts and their sum are as long then
            many = max(many, math.isqrt(length))
        parts = min(length // PART, many)
        if parts > 1 and length >= LONG:
            params = {"of": node.op, "parts": parts, **node.params}
            kind = {"shape": (parts, *node.shape), "dtype": node.dtype, "time": node.time}
            node.become("total", Node("partial", node.inputs, params, **kind))
    return graph.refresh()


def is_long_row(node):
    """Whether each element is a sum along a row, which the lanes of a warp read side by side."""
    x = node.inputs[0]
    row = node.op == "matmul" and node.shape[-1] == 1 and (x.op != "mT" or x.shape[-2] == 1)
    row = row or node.op == "sum" and [a for a in node.params["axis"] if x.shape[a] > 1] == [x.ndim - 1]
    return row and x.shape[-1] >= LONG_ROW and node.size * LANES < MOST


def count_of(node):
    """How many threads have work with a sum."""
    if not is_tiled(node):
        return max(node.size, 1)
    *front, n, m = node.shape
    return math.prod(front) * -(-n // TILE) * -(-m // TILE)


def _reduced(node):
    """The axes of a sum that are longer than one, the longest first."""
    shape = node.inputs[0].shape
    return sorted((a for a in node.params["axis"] if shape[a] > 1), key=lambda a: -shape[a])
