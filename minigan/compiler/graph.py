"""A program as a graph of values: what the passes of planner.py rewrite."""

import math
from heapq import heappop, heappush

import numpy as np
from numpy.lib.array_utils import byte_bounds

# The memory of their input, seen otherwise.
VIEWS = {"mT", "reshape", "broadcast_to", "getitem", "part", "head"}


class UnplannableError(Exception):
    """A step that assigns to a value it computed; it is replayed as it was recorded."""


class Node:
    """A value, and how it is made: op(*inputs, **params).

    op      the name of a ufunc; matmul, dot, sum; a view; load (of memory that outlives the step) and store
            (to it); constant; pack (the rows of two values, one below the other), stack (two values on a new
            first axis), ones (a column of ones after a value), part (of a pack or a stack), head (all but the
            last column), copy; segment (see passes/row_blocks.py) and result (what it filled); primitive
    array   the memory of a load or of a store
    time    of a load: of the last store before it; of others: when the recorded step came here
    rows    whether axis −2 is a batch, whose rows do not know each other
    order   "F" where the memory has the features of a batch one after the other
    """

    __slots__ = ("_span", "array", "dtype", "inputs", "op", "order", "params", "rows", "shape", "time")

    def __init__(
        self, op, inputs=(), params=None, *, shape, dtype, array=None, time=-1, rows=False, order="C"
    ):
        self.op, self.inputs, self.params = op, tuple(inputs), params or {}
        self.shape, self.dtype, self.array = tuple(shape), dtype, array
        self.time, self.rows, self.order, self._span = time, rows, order, None

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))

    @property
    def span(self):
        """The first byte of the memory of a load or a store, and the one after its last."""
        if self._span is None:
            self._span = byte_bounds(self.array)
        return self._span

    def __rmul__(self, x):  # a kernel may write 0.2 * x
        return elementwise("multiply", x, self)

    def become(self, op, *inputs, **params):
        """Be made in another way from now on; those who use the value need not know."""
        self.op, self.inputs, self.params = op, inputs, params


def elementwise(name, *inputs, time=-1):
    """A node of a ufunc, with the shape that broadcasting gives."""
    nodes = [x for x in inputs if isinstance(x, Node)]
    shape = np.broadcast_shapes(*(x.shape for x in nodes))
    rows = any(x.rows and x.shape[-2] == shape[-2] for x in nodes if x.ndim > 1)
    inputs = [x if isinstance(x, Node) else float(x) for x in inputs]
    return Node(name, inputs, shape=shape, dtype=nodes[0].dtype, rows=rows, time=time)


def constant(value, shape, dtype):
    """A node of one number everywhere."""
    return Node("constant", params={"value": float(dtype.type(value))}, shape=shape, dtype=dtype)


def like(node, op, *inputs):
    """A node of the shape and kind of another."""
    kind = {"dtype": node.dtype, "time": node.time, "rows": node.rows, "order": node.order}
    return Node(op, inputs, shape=node.shape, **kind)


def transposed(x):
    """A view of x with its last two axes exchanged."""
    return Node("mT", [x], shape=(*x.shape[:-2], x.shape[-1], x.shape[-2]), dtype=x.dtype, time=x.time)


def is_ufunc(name):
    """Whether NumPy has an elementwise function of this name."""
    return isinstance(getattr(np, name, None), np.ufunc) and name not in ("matmul", "vecdot")


class Graph:
    """The stores for whose sake a step is run, and the nodes they need, each after its inputs."""

    def __init__(self, stores):
        self.stores, self.nodes, self.threads = stores, [], 1
        self.wholes = {}  # (upper, lower) → the value of which they are the halves
        self.extended = {}  # x → [x 1]

    def refresh(self):
        """List the nodes anew: what no store needs is gone."""
        self.nodes, done, stack = [], set(), [(node, False) for node in reversed(self.stores)]
        while stack:
            node, ready = stack.pop()
            if ready:
                self.nodes.append(node)
            elif node not in done:
                done.add(node)
                stack.append((node, True))
                stack += [(x, False) for x in reversed(node.inputs) if isinstance(x, Node) and x not in done]
        return self

    def users(self):
        """{node: the nodes that take it as an input}, once per time they do."""
        users = {node: [] for node in self.nodes}
        for node in self.nodes:
            for x in node.inputs:
                if isinstance(x, Node):
                    users[x].append(node)
        return users

    def overlapping(self, array):
        """The stores to any of the bytes of an array, or of a span."""
        low, high = array if isinstance(array, tuple) else byte_bounds(array)
        return [s for s in self.stores if s.span[0] < high and low < s.span[1]]

    def version(self, array, time=math.inf):
        """The time of the last store before ``time`` to any of these bytes; −1 if there is none."""
        return max((s.time for s in self.overlapping(array) if s.time < time), default=-1)

    def load(self, array, time, rows=False):
        """A node of memory as it is after the stores up to ``time``."""
        return Node("load", array=array, shape=array.shape, dtype=array.dtype, time=time, rows=rows)

    def schedule(self):
        """The nodes in an order that reads memory before it is overwritten, the recorded order if it can be.

        Raises:  UnplannableError – if there is none
        """
        users, before = self.users(), {node: set() for node in self.nodes}
        for node in self.nodes:
            before[node].update(x for x in node.inputs if isinstance(x, Node))
            if node.op == "load":
                for store in self.overlapping(node.span):
                    if store.time <= node.time:
                        before[node].add(store)
                    else:
                        before[store].update({node, *_readers(node, users)} - {store})
            elif node.op == "store":
                before[node].update(s for s in self.overlapping(node.span) if s.time < node.time)
        after = {node: [] for node in self.nodes}
        for node, earlier in before.items():
            for x in earlier:
                after[x].append(node)
        place = {node: k for k, node in enumerate(self.nodes)}
        left, ready, order = {node: len(before[node]) for node in self.nodes}, [], []
        for node in self.nodes:
            if not left[node]:
                heappush(ready, (node.time, place[node], node))
        while ready:
            node = heappop(ready)[2]
            order.append(node)
            for x in after[node]:
                left[x] -= 1
                if not left[x]:
                    heappush(ready, (x.time, place[x], x))
        if len(order) != len(self.nodes):
            raise UnplannableError
        self.nodes = order
        return self

    def __len__(self):
        return sum(node.op not in VIEWS | {"load", "constant"} for node in self.nodes)

    def __str__(self):
        names, lines = {}, []
        for node in self.nodes:
            names[node] = f"%{len(names)}"
            inputs = [names[x] if isinstance(x, Node) else repr(x) for x in node.inputs]
            params = [f"{key}={value}" for key, value in node.params.items()]
            what = f"{node.op}({', '.join(inputs + params)})"
            lines.append(f"{names[node]}: {node.dtype}{list(node.shape)} = {what}")
        return "\n".join(lines)


def _readers(node, users):
    """Who reads the memory of a node, itself or through views."""
    found = []
    for user in users[node]:
        found.append(user)
        if user.op in VIEWS:
            found += _readers(user, users)
    return found


def with_ones(graph, x):
    """[x 1]: one node per value; that of a half is a half of the whole's."""
    if x not in graph.extended:
        shape = (*x.shape[:-1], x.shape[-1] + 1)
        kind = {"shape": shape, "dtype": x.dtype, "rows": x.rows, "order": "F", "time": x.time}
        if x.op == "part" and x.params["axis"] == -2:
            graph.extended[x] = Node("part", [with_ones(graph, x.inputs[0])], x.params, **kind)
        else:
            graph.extended[x] = Node("ones", [x], **kind)
    return graph.extended[x]


# ── from a program to a graph ───────────────────────────────────────────────────────────────────────────────


def build(program):
    """The graph of a program: what it assigns, and what it returns.

    Raises:  UnplannableError – if the step assigns to a value that it computed
    """
    instructions, constants = program.instructions, program.constants
    inputs = {id(owner_of(buffer)) for buffer in program.inputs}
    maker = {id(i.output): i for i in instructions if i.primitive.name != "assign"}
    computed = {id(i.output) for i in maker.values() if not i.is_view}
    graph, stores, nodes = Graph([]), [], {}
    for time, i in enumerate(instructions):
        if i.primitive.name == "assign":
            if id(owner_of(i.output)) in computed:
                raise UnplannableError
            stores.append(_store(i.output, time))
    graph.stores = list(stores)

    def load(array, time):
        if id(array) in constants:
            return constant(array.flat[0] if array.size else 0.0, array.shape, array.dtype)
        rows = id(owner_of(array)) in inputs and array.ndim > 1
        return graph.load(array, graph.version(array, time), rows)

    at = iter(stores)
    for time, i in enumerate(instructions):
        xs = [x if isinstance(x, (int, float)) else nodes.get(id(x)) or load(x, time) for x in i.inputs]
        if i.primitive.name == "assign":
            next(at).inputs = tuple(xs)
        elif i.is_view and xs[0].op == "load" and not (i.primitive.name == "mT" and _stays(xs[0], graph)):
            pass  # it is loaded where it is used, with what the memory holds then
        else:
            nodes[id(i.output)] = _node(i, xs, time)
    returned = {}
    for array in program.returned:
        while id(array) in maker and maker[id(array)].is_view:
            array = maker[id(array)].inputs[0]
        returned[id(array)] = array  # once, though it may be returned twice, or in parts
    for array in returned.values():
        if id(array) in computed:
            store = _store(array, len(instructions))
            store.inputs = (nodes[id(array)],)
            graph.stores.append(store)
    return graph.refresh()


def order_of(array):
    """F if the memory of an array has its last two axes turned, else C."""
    if not hasattr(array, "flags"):
        return array.order  # it is remembered
    turned = array.ndim > 1 and array.swapaxes(-1, -2).flags.c_contiguous
    return "F" if turned and not array.flags.c_contiguous else "C"


def owner_of(array):
    """The array whose memory this one looks at."""
    return array if array.base is None else array.base


def same_memory(a, b):
    """Whether two arrays are one view of the same bytes."""
    return a.ctypes.data == b.ctypes.data and a.shape == b.shape and a.strides == b.strides


def _stays(load, graph):
    return load.rows and not graph.overlapping(load.array)


def _store(array, time):
    return Node("store", array=array, time=time, shape=array.shape, dtype=array.dtype)


def _node(i, inputs, time):
    """The node of an instruction; a composed kernel becomes the ufuncs that it calls."""
    name, x, kind = (
        i.primitive.name,
        inputs[0],
        {"shape": i.output.shape, "dtype": i.output.dtype, "time": time},
    )
    if name == "matmul":
        return Node(name, inputs, rows=x.rows and i.output.shape[-2] == x.shape[-2], **kind)
    if name == "sum":
        axes = tuple(sorted(a % x.ndim for a in i.params["axis"]))
        return Node(name, inputs, {"axis": axes}, rows=x.rows and x.ndim - 2 not in axes, **kind)
    if i.is_view:
        rows = (
            x.rows and name in ("getitem", "reshape", "broadcast_to") and i.output.shape[-2:] == x.shape[-2:]
        )
        return Node(name, inputs, i.params, rows=rows, **kind)
    order = order_of(i.output)
    if not i.primitive.view and name != "embed":
        made = _Ufuncs(time, order)
        try:
            if i.kernel(made, *inputs, **i.params) is made.last and made.last.shape == i.output.shape:
                return made.last
        except (TypeError, AttributeError):
            pass  # it does more than call ufuncs, so it stays whole
    rows = any(isinstance(x, Node) and x.rows and x.shape == i.output.shape for x in inputs)
    return Node(
        "primitive", inputs, {"primitive": i.primitive, "params": i.params}, rows=rows, order=order, **kind
    )


class _Ufuncs:
    """A stand-in for the array library that notes which of its functions a kernel calls."""

    def __init__(self, time, order):
        self.time, self.order, self.last = time, order, None

    def __getattr__(self, name):
        if not is_ufunc(name):
            raise AttributeError(name)

        def note(*inputs, out=None):
            self.last = elementwise(name, *inputs, time=self.time)
            self.last.order = self.order
            return self.last

        return note

    def empty_like(self, x):
        """No memory is needed to take notes."""
