"""Say where each value of a scheduled graph lives: in place, where it is stored, beside others, or reused.

Values never move: an elementwise step overwrites an input that nobody reads again, the value of a store is
computed where it is stored, halves are computed in the whole, a dead buffer is taken by the next value.
"""

import math

import numpy as np

from minigan import backend as backends
from minigan.compiler.graph import VIEWS, Node, is_ufunc, owner_of, same_memory

SCALAR = {"add", "subtract", "multiply", "divide", "negative", "square", "sqrt"}  # exact as NumPy scalars too
CONTAINERS = ("pack", "stack", "ones")


class Buffer:
    """A piece of memory and the position after which nobody reads it."""

    __slots__ = ("end", "key", "memory")

    def __init__(self, memory, key, end):
        self.memory, self.key, self.end = memory, key, end


class Memory:
    """The array of every node of a scheduled graph.

    arrays   {node: array}; scalars have one where an elementwise step on an array needs them
    scalars  the nodes of one number, computed as NumPy scalars
    copies   {container or store: [(from, to)]}, what could not be computed where it belongs
    inputs   {id of an input buffer: the array that takes its place}
    """

    def __init__(self, graph, inputs=()):
        self.graph, self.nodes, self.users = graph, graph.nodes, graph.users()
        self.at = {node: k for k, node in enumerate(self.nodes)}
        self.arrays, self.copies, self.inputs, self.buffers = {}, {}, {}, []
        self.scalars = set()
        for node in self.nodes:
            xs = [x for x in node.inputs if isinstance(x, Node)]
            if node.op in SCALAR and node.size == 1 and all(x.size == 1 for x in xs):
                self.scalars.add(node)
        self.home, self.moved = {}, {}
        self._settle({id(buffer): buffer for buffer in inputs})
        self.last = {}
        for node in reversed(self.nodes):
            ends = [self.at[node]]
            for user in self.users[node]:
                inside = user.op in VIEWS or self.home.get(node) == user
                ends.append(self.last[user] if inside else self.at[user])
            self.last[node] = max(ends)
        self.storage = {}
        self.direct = {store.inputs[0]: store for store in graph.stores if self._may_be_computed_in(store)}
        for node in self.nodes:
            self._place(node)

    @property
    def work(self):
        """The nodes that something has to be done for, in order."""
        idle = VIEWS | {"load", "constant", "result"}
        return [node for node in self.nodes if node.op not in idle or node in self.copies]

    # ── who lives with whom ─────────────────────────────────────────────────────────────────────────────

    def _settle(self, inputs):
        loads = {}
        for node in self.nodes:
            if node.op == "load":
                loads.setdefault(id(owner_of(node.array)), []).append(node)
        for node in self.nodes:
            if node.op in CONTAINERS:
                for x in node.inputs:
                    if x in self.home or x in self.scalars or node.op != "stack" and x.ndim < 2:
                        continue
                    if x.op == "load":
                        buffer = inputs.get(id(owner_of(x.array)))
                        whole = (
                            buffer is not None and buffer.size == x.size and buffer.shape[-2:] == x.shape[-2:]
                        )
                        alone = whole and x.array.flags.c_contiguous and loads[id(buffer)] == [x]
                        if alone and not self.graph.overlapping(buffer):
                            self.home[x], self.moved[x] = node, buffer
                    elif x.op not in VIEWS and x.op != "constant":
                        self.home[x] = node

    def _tree(self, root):
        """The node and all that lives in it."""
        found = [root]
        for x in root.inputs if root.op in CONTAINERS else ():
            if self.home.get(x) is root:
                found += self._tree(x)
        return found

    def _may_be_computed_in(self, store):
        """Whether nobody needs the old content from the moment the value is computed, nor the value later."""
        value, here = store.inputs[0], self.at[store]
        if value in self.home or value in self.scalars or value.op in VIEWS | {"load", "constant", "result"}:
            return False
        if value.op == "segment":  # it wrote there
            return True
        if "add" in store.params:
            return False
        if sum(user.op == "store" for user in self.users[value]) > 1 or value.op in CONTAINERS:
            return False
        there = self.at[value]
        for other in self.graph.overlapping(store.span):
            if other is not store and there < self.at[other] <= max(here, self.last[value]):
                return False
        for node in self.nodes:
            if node.op != "load" or node.time >= store.time:
                continue
            if node.span[1] <= store.span[0] or store.span[1] <= node.span[0]:
                continue
            for reader in self.users[node]:
                if reader is value and is_ufunc(value.op) and same_memory(node.array, store.array):
                    continue
                if self.last[reader] >= there if reader.op in VIEWS else self.at[reader] >= there:
                    return False
        return True

    # ── placing ─────────────────────────────────────────────────────────────────────────────────────────

    def _place(self, node):
        if node.op == "store":
            if self.direct.get(node.inputs[0]) is not node and node.inputs[0].op != "segment":
                self.copies[node] = [(node.inputs[0], node.array)]
        elif node.op == "load":
            if node in self.moved:
                self._reside(node)
                buffer = self.moved[node]
                self.inputs[id(buffer)] = self.arrays[node].reshape(buffer.shape)
            else:
                self.arrays[node] = node.array
        elif node.op == "result":
            self.arrays[node] = node.array
        elif node.op == "segment":
            pass
        elif node.op == "constant":
            self.arrays[node] = np.full(node.shape, node.params["value"], node.dtype)
        elif node.op in VIEWS:
            array = self.arrays[node.inputs[0]]
            try:
                self.arrays[node] = view_of(node, array)
            except ValueError:  # another shape of columns is no view: they are copied
                self._own(node)
                self.copies[node] = [(node.inputs[0], self.arrays[node].reshape(array.shape))]
        elif node in self.scalars:
            self.arrays[node] = np.zeros(node.shape, node.dtype)
        elif node in self.home:
            self._reside(node)
        elif node in self.direct:
            self.arrays[node] = self.direct[node].array
        elif not self._overwrite(node):
            self._own(node)
        if node.op in CONTAINERS:
            parts = _parts(node, self.arrays[node])
            self.copies[node] = [
                (x, part) for x, part in zip(node.inputs, parts, strict=False) if self.home.get(x) is not node
            ]

    def _reside(self, node, now=None):
        """The place of a node in the one it lives in, which it takes when it is computed."""
        if node not in self.arrays:
            now, whole = self.at[node] if now is None else now, self.home[node]
            if whole not in self.arrays:
                if whole in self.home:
                    self._reside(whole, now)
                else:
                    self._own(whole, now)
            parts = _parts(whole, self.arrays[whole])
            for x, part in zip(whole.inputs, parts, strict=False):
                if self.home.get(x) is whole:
                    self.arrays[x] = part

    def _own(self, node, now=None):
        if node in self.arrays:
            return
        tree = self._tree(node)
        has_ones = any(x.op == "ones" for x in tree)
        end = math.inf if any(x in self.moved for x in tree) else max(self.last[x] for x in tree)
        turned = node.ndim > 1 and node.order == "F"  # the last two axes change places in memory
        shape = (*node.shape[:-2], node.shape[-1], node.shape[-2]) if turned else node.shape
        nbytes = math.prod(shape) * node.dtype.itemsize
        buffer = self._take(nbytes, shape if has_ones else None, self.at[node] if now is None else now, end)
        array = buffer.memory[:nbytes].view(node.dtype).reshape(shape)
        if has_ones:
            array[..., -1, :] = 1.0
        self.arrays[node] = array.swapaxes(-1, -2) if turned else array
        for x in tree:
            self.storage[x] = buffer

    def _take(self, nbytes, key, now, end):
        """A buffer that is free now, or a new one."""
        best = None
        for buffer in self.buffers:
            fits = buffer.key == key and nbytes <= buffer.memory.nbytes <= 2 * nbytes
            if buffer.end < now and fits and (best is None or buffer.memory.nbytes < best.memory.nbytes):
                best = buffer
        if best is None:
            best = Buffer(_aligned(nbytes, len(self.buffers)), key, end)
            self.buffers.append(best)
        best.end = end
        return best

    def _overwrite(self, node):
        """Live where an input of an elementwise step dies."""
        if not is_ufunc(node.op):
            return False
        here = self.at[node]
        for x in node.inputs:
            if not isinstance(x, Node) or x not in self.storage or x.op in VIEWS | {"load"}:
                continue
            buffer = self.storage[x]
            if buffer.key is not None and x.op in CONTAINERS:
                continue  # its ones have to stay
            others = [
                y for y in node.inputs if isinstance(y, Node) and y is not x and self.storage_of(y) is buffer
            ]
            if (
                buffer.end == here
                and x.shape == node.shape
                and x.dtype == node.dtype
                and not others
                and (x.order == node.order or node.ndim < 2)
            ):
                self.arrays[node], self.storage[node] = self.arrays[x], buffer
                buffer.end = self.last[node]
                return True
        return False

    def storage_of(self, node):
        """The buffer whose memory a node looks at, if it is one of ours."""
        while node.op in VIEWS and node not in self.storage:
            node = node.inputs[0]
        return self.storage.get(node)


def _aligned(nbytes, k):
    """Bytes that start at a cache line, each buffer at another place of its page.

    Reads that follow writes at the same place of another page wait for them.
    """
    memory = np.zeros(nbytes + 4096, "uint8")
    start = (64 * (5 * k % 63) - memory.ctypes.data) % 4096
    return memory[start : start + nbytes]


def view_of(node, array):
    """What a view of a value is, where the value is this array."""
    params = node.params
    if node.op == "part":
        k = params["index"]
        if params["axis"] == 0:
            return array[k]
        rows = array.shape[-2] // 2
        return array[..., k * rows : (k + 1) * rows, :]
    if node.op == "head":
        return array[..., :-1]
    if node.op == "mT":
        return array.swapaxes(-1, -2)
    if node.op == "broadcast_to":
        return np.broadcast_to(array, params["shape"])
    if node.op == "getitem":
        return array[params["key"]]
    seen = array.reshape(params["shape"])
    if not backends.of(array).xp.may_share_memory(seen, array):
        raise ValueError(f"the memory of {array.shape} cannot be seen as {params['shape']} without a copy")
    return seen


def _parts(node, array):
    """Where the inputs of a container lie in it."""
    if node.op == "ones":
        return [array[..., :-1]]
    if node.op == "stack":
        return [array[0], array[1]]
    rows = array.shape[-2] // 2
    return [array[..., :rows, :], array[..., rows:, :]]
