"""Turn the instructions of a program into fewer and cheaper ones: small passes over a graph of values.

A recorded program says what the eager step did; a plan says what has to be done. Each pass takes a Graph and
returns one that computes the same: bit for bit (EXACT), or with sums in another order (ROUNDING), which is a
few units in the last place. ``print(program)`` shows the first and ``print(program.plan)`` the second;
memory.py then says where each value lives, and backend/executor.py runs it.
"""

import math

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.lib.stride_tricks import as_strided

from minigan.backend import executor
from minigan.engine.blocks import cut
from minigan.engine.graph import VIEWS, Node, build, constant, is_ufunc, owner_of
from minigan.engine.memory import Memory


# ── exact passes ────────────────────────────────────────────────────────────────────────────────────────────


def fold(graph):
    """Compute once what is equal or never changes; views, signs and factors of one cost nothing.

    Exact: a factor moves only where nothing is rounded, by signs and by powers of two.
    """
    known, new = {}, {}
    for node in graph.nodes:
        node.inputs = tuple(new[x] if isinstance(x, Node) else x for x in node.inputs)
        if node.op == "store":
            new[node] = node
            continue
        simple = _simplified(node)
        new[node] = known.setdefault(_key(simple), simple)
    return graph.refresh()


def _key(node):
    if node.op == "load":
        return "load", node.array.ctypes.data, node.shape, node.array.strides, node.time
    inputs = tuple(id(x) if isinstance(x, Node) else x for x in node.inputs)
    return node.op, inputs, repr(sorted(node.params.items(), key=str)), node.shape


def _simplified(node):
    """The node, or a simpler one of the same value."""
    if node.op in VIEWS:
        return _simplified_view(node)
    if not is_ufunc(node.op):
        return node
    inputs = list(node.inputs)
    for k, x in enumerate(inputs):
        if isinstance(x, Node) and x.op in ("broadcast_to", "constant"):
            base = x.inputs[0] if x.op == "broadcast_to" else x.params["value"]
            others = [y.shape for y in (*inputs[:k], base, *inputs[k + 1 :]) if isinstance(y, Node)]
            if others and np.broadcast_shapes(*others) == node.shape:
                inputs[k] = base
    node.inputs = tuple(inputs)
    values = [x.params["value"] if isinstance(x, Node) and x.op == "constant" else x for x in inputs]
    if not any(isinstance(x, Node) for x in values):
        with np.errstate(all="ignore"):
            return constant(getattr(np, node.op)(*map(node.dtype.type, values)), node.shape, node.dtype)
    if node.op in ("multiply", "add") and not isinstance(inputs[0], Node):
        inputs.reverse()  # literals last
        node.inputs = tuple(inputs)
    x, y = inputs[0], inputs[-1]
    if node.op == "negative":
        if x.op == "negative":
            return x.inputs[0]
        return _scaled(x, -1.0, node)
    if node.op == "multiply" and not isinstance(y, Node):
        return x if y == 1.0 else _scaled(x, y, node)
    if (node.op, y) in (("divide", 1.0), ("subtract", 0.0)):
        return x
    if node.op in ("add", "subtract") and isinstance(y, Node) and y.op == "negative":
        opposite = {"add": "subtract", "subtract": "add"}[node.op]
        return _like(node, opposite, x, y.inputs[0])
    return node


def _scaled(x, factor, node):
    """node = x · factor, without a step of its own where x has a factor that can take it up exactly."""
    if x.op == "negative" and x.shape == node.shape:
        return _like(node, "multiply", x.inputs[0], -factor)
    for k, c in enumerate(x.inputs):
        if x.op in ("multiply", "divide") and not isinstance(c, Node) and (x.op == "multiply" or k == 0):
            powers = (factor,) if x.op == "divide" else (factor, c)  # (1 / y) · 0.3 rounds twice, 0.3 / y once
            if any(math.frexp(abs(p))[0] == 0.5 for p in powers):
                other = x.inputs[1 - k]
                product = float(node.dtype.type(c) * node.dtype.type(factor))
                return _like(node, x.op, *((other, product) if x.op == "multiply" else (product, other)))
    return node


def _like(node, op, *inputs):
    return Node(op, inputs, shape=node.shape, dtype=node.dtype, time=node.time, rows=node.rows, order=node.order)


def _simplified_view(node):
    x = node.inputs[0]
    if x.op == "constant":
        return constant(x.params["value"], node.shape, node.dtype)
    if node.op == "mT" and x.op == "mT":
        return x.inputs[0]
    if node.op in ("reshape", "broadcast_to") and x.shape == node.shape:
        return x
    return node


def columns(graph):
    """Keep the features of a batch one after the other, (n, B) in memory: a row of ones can follow them."""
    for node in graph.nodes:
        if node.rows and node.op not in VIEWS | {"load"}:
            node.order = "F"
    return graph


# ── passes that sum in another order ────────────────────────────────────────────────────────────────────────


def bias(graph):
    """x W + b = [x 1] [W; b], where b follows W in memory: a product less one call."""
    users, matrices = graph.users(), {}
    for node in graph.nodes:
        if node.op == "add" and all(isinstance(x, Node) for x in node.inputs):
            product, b = node.inputs
            if product.op != "matmul" or len(users[product]) > 1 or not product.inputs[0].rows:
                continue
            x, w = product.inputs
            if w.op == b.op == "load" and w.time == b.time:
                if (w, b) not in matrices:
                    matrix = _with_next_row(w.array, b.array)
                    matrices[w, b] = None if matrix is None else graph.load(matrix, w.time)
                if matrices[w, b] is not None:
                    node.become("matmul", with_ones(graph, x), matrices[w, b])
    return graph.refresh()


def _with_next_row(w, b):
    """The matrix of W and the row after it in memory, if b is that row; else None."""
    *front, n, m = w.shape
    if b.shape != (*front, 1, m) or w.strides[:-2] != b.strides[:-2]:
        return None
    if w.strides[-2:] != (m * w.itemsize, w.itemsize) or b.ctypes.data != w.ctypes.data + n * m * w.itemsize:
        return None
    return as_strided(w, (*front, n + 1, m), w.strides)


def with_ones(graph, x):
    """[x 1]: one node per value; that of a half is a half of the whole's."""
    if x not in graph.extended:
        shape = (*x.shape[:-1], x.shape[-1] + 1)
        like = {"shape": shape, "dtype": x.dtype, "rows": x.rows, "order": "F", "time": x.time}
        if x.op == "part" and x.params["axis"] == -2:
            graph.extended[x] = Node("part", [with_ones(graph, x.inputs[0])], x.params, **like)
        else:
            graph.extended[x] = Node("ones", [x], **like)
    return graph.extended[x]


def batch(graph):
    """Two batches through one matrix are one batch: D on real and on generated data, G on both its draws.

    Rows do not know each other, so products with the same right side, and the elementwise steps after them,
    run once on both; and a sum of two products over rows is one product over all rows.
    """
    merge, products = _Merge(graph, -2), {}
    for node in graph.nodes:
        if node.op == "matmul" and node.inputs[0].rows and node.shape[-2] > 1:
            products.setdefault((node.inputs[1], node.inputs[0].shape), []).append(node)
    for group in products.values():
        while group:
            first = group.pop(0)
            for second in group:
                if first.op == second.op == "matmul" and merge.merge(first, second):
                    break
    for node in graph.refresh().nodes:
        node.inputs = tuple(_unpacked(graph, x) for x in node.inputs)
    return sums(graph.refresh())


def _unpacked(graph, x):
    """The value itself where its halves were taken and put together again."""
    again = isinstance(x, Node) and x.op == "pack"
    return (again and _whole(graph, *x.inputs, -2)) or x


def stack(graph):
    """Elementwise steps on neighbours in memory are one step: both moments of Adam. Exact."""
    merge, steps = _Merge(graph, 0), {}
    for node in graph.nodes:
        x = node.inputs[0] if is_ufunc(node.op) else None
        if isinstance(x, Node) and x.op == "load" and x.shape == node.shape:
            steps[node.op, x.array.ctypes.data] = node
    for (op, address), first in steps.items():
        second = steps.get((op, address + first.size * first.dtype.itemsize))
        if second is not None and first.op == second.op == op:
            merge.merge(first, second)
    graph.refresh()
    stores = {store.inputs[0]: store for store in graph.stores}
    for part, second in list(stores.items()):
        first = next((s for x, s in stores.items() if _whole(graph, x, part, 0)), None)
        both = first and _adjacent(first.array, second.array)
        if both is not None and first:
            _store_once(graph, first, second, both, part.inputs[0])
    return graph.refresh()


class _Merge:
    """Pairs of nodes become one node on both, and the pair its parts: halves of its rows, or of axis 0."""

    def __init__(self, graph, axis):
        self.graph, self.axis, self.users = graph, axis, graph.users()
        self.before = {n: [s for s in graph.overlapping(n.array) if s.time <= n.time] for n in graph.nodes if n.op == "load"}

    def merge(self, a, b):
        """Merge a and b, then what follows from each alike; whether they could be merged."""
        if not self._alike(a, b):
            return False
        queue = [(a, b)]
        while queue:
            a, b = queue.pop()
            if a.op == "part" or not self._alike(a, b):
                continue
            inputs = [self._join(x, y, a) for x, y in zip(a.inputs, b.inputs, strict=True)]
            whole = self._whole_of(a, b, a.op, inputs, a.params)
            for k, node in enumerate((a, b)):
                self._remake(node, "part", whole, index=k, axis=self.axis)
            queue += self._followers(a, b)
        return True

    def _whole_of(self, a, b, op, inputs, params=None):
        shape = (2, *a.shape) if self.axis == 0 else (*a.shape[:-2], 2 * a.shape[-2], a.shape[-1])
        order = "F" if op in ("pack", "ones") else a.order
        like = {"dtype": a.dtype, "rows": a.rows, "order": order, "time": min(a.time, b.time)}
        return self._add(Node(op, inputs, params, shape=shape, **like))

    def _add(self, node):
        self.users[node] = []
        for x in node.inputs:
            if isinstance(x, Node):
                self.users[x].append(node)
        return node

    def _remake(self, node, op, *inputs, **params):
        for x in node.inputs:
            if isinstance(x, Node):
                self.users[x].remove(node)
        node.become(op, *inputs, **params)
        for x in inputs:
            if isinstance(x, Node):
                self.users[x].append(node)

    def _followers(self, a, b):
        """Pairs of users that do the same with a and with b, or with one and the opposite of the other."""
        pairs, taken = [], set()
        for u in dict.fromkeys(self.users[a]):
            for w in dict.fromkeys(self.users[b]):
                if w not in taken and self._alike(u, w, (a, b)):
                    taken.add(w)
                    pairs.append((u, w))
                    break
        if self.axis == -2:
            for negative in (n for n in (*self.users[a], *self.users[b]) if n.op == "negative"):
                x, y = (negative, b) if negative in self.users[a] else (a, negative)
                for u in self.users[x]:
                    w = next((w for w in self.users[y] if self._alike(u, w, (x, y))), None)
                    if w is not None:
                        pairs += self._followers(*self._signed(a, b, negative))
                        return pairs
        return pairs

    def _signed(self, a, b, negative):
        """±a beside ∓b, as one product with signs: exact."""
        signs = np.ones((2 * a.shape[-2], 1), a.dtype)
        minus = 0 if negative in self.users[a] else 1
        signs[minus * a.shape[-2] :][: a.shape[-2]] = -1.0
        whole = self._whole_of(a, b, "multiply", [a.inputs[0], self._add(self.graph.load(signs, -1))])
        other = (b, a)[minus]
        users = [u for u in self.users[other] if u.op not in VIEWS and any(u.op == w.op for w in self.users[negative])]
        plus = self._add(Node("part", [whole], {"index": 1 - minus, "axis": -2}, shape=a.shape, dtype=a.dtype, time=a.time, rows=True))
        for u in users:
            self._remake(u, u.op, *(plus if x is other else x for x in u.inputs), **u.params)
        self._remake(negative, "part", whole, index=minus, axis=-2)
        return (negative, plus) if minus == 0 else (plus, negative)

    def _alike(self, u, w, given=None):
        """Whether u and w are one step on two values that can lie together."""
        if u is w or u.op != w.op or u.shape != w.shape or u.params != w.params:
            return False
        if self.axis == -2 and not (u.rows and w.rows and (is_ufunc(u.op) or u.op == "matmul")):
            return False
        if self.axis == 0 and not is_ufunc(u.op):
            return False
        pairs = list(zip(u.inputs, w.inputs, strict=True))
        if not all(given == (x, y) or self._joinable(x, y, u) for x, y in pairs):
            return False
        return not (self.needs(u, w) or self.needs(w, u))

    def needs(self, node, other):
        """Whether the node cannot be computed before the other."""
        stack, done = [node], set()
        while stack:
            node = stack.pop()
            if node is other:
                return True
            if node not in done:
                done.add(node)
                stack += [x for x in node.inputs if isinstance(x, Node)]
                stack += self.before.get(node, ())
        return False

    def _shared(self, x, u):
        """Whether x is the same for both parts: it does not vary along the axis."""
        return x.ndim < 2 or x.shape[-2] == 1 or u.op == "matmul" and x is u.inputs[1] if self.axis == -2 else False

    def _joinable(self, x, y, u):
        if not (isinstance(x, Node) and isinstance(y, Node)):
            return not isinstance(x, Node) and not isinstance(y, Node)
        if x is y:
            return self._shared(x, u)
        if x.shape != y.shape or x.ndim < 1 or self._shared(x, u) or (self.axis == 0 and x.shape != u.shape):
            return False
        if _whole(self.graph, x, y, self.axis) is not None:
            return True
        if self.axis == 0 and x.op == y.op == "load":
            return x.time == y.time and _adjacent(x.array, y.array) is not None
        fixed = {"load"} if self.axis == 0 and x.op != y.op else set()  # one of them is copied beside the other
        return u.op == "matmul" or all(
            z.op in fixed
            or (z.op not in VIEWS | {"load", "constant", "ones"} and len(self.users[z]) == 1 and z.size > 1)
            for z in (x, y)
        )

    def _join(self, x, y, u):
        """The value of which x is the first and y the second part."""
        if not isinstance(x, Node):
            return x if x == y else self._add(self.graph.load(self._numbers(x, y, u), -1))
        if x is y and self._shared(x, u):
            return x
        whole = _whole(self.graph, x, y, self.axis)
        if whole is None:
            if x.op == y.op == "load" and self.axis == 0:
                whole = self._add(self.graph.load(_adjacent(x.array, y.array), x.time))
            elif x.op == y.op == "ones":
                whole = self._whole_of(x, y, "ones", [self._join(x.inputs[0], y.inputs[0], u)])
                self.graph.extended[whole.inputs[0]] = whole
                for k, node in enumerate((x, y)):
                    self._remake(node, "part", whole, index=k, axis=-2)
            else:
                whole = self._whole_of(x, y, "stack" if self.axis == 0 else "pack", [x, y])
            self.graph.wholes[x, y] = whole
        return whole

    def _numbers(self, x, y, u):
        if self.axis == 0:
            array = np.empty((2, *u.shape), u.dtype)
            array[0], array[1] = x, y
        else:
            array = np.repeat(np.array([[x], [y]], u.dtype), u.shape[-2], axis=0)
        return array


def _whole(graph, x, y, axis):
    """The value of which x is the first and y the second part, if there is one."""
    if x.op == y.op == "part" and x.inputs == y.inputs and x.params["axis"] == y.params["axis"] == axis:
        if (x.params["index"], y.params["index"]) == (0, 1):
            return x.inputs[0]
    return graph.wholes.get((x, y)) if axis == -2 else None


def _adjacent(a, b):
    """Two arrays as one of shape (2, …), if b follows a in memory; else None."""
    if a.shape != b.shape or not (a.flags.c_contiguous and b.flags.c_contiguous):
        return None
    if b.ctypes.data != a.ctypes.data + a.nbytes:
        return None
    return as_strided(a, (2, *a.shape), (a.nbytes, *a.strides))


SMALL = 2**18  # bytes: below, a call costs more than its work


def layers(graph):
    """The slopes 1 − h² of two hidden layers of one width in one step, where the layers are small. Exact.

    The layers then lie one after the other in memory, their columns of ones among them. Of one half of a
    batch they are copied out first: elementwise steps are slow on rows with gaps.
    """
    users, merge, chains = graph.users(), _Merge(graph, 0), {}
    for node in graph.nodes:
        x = graph.extended.get(_only_input(node))
        if x in users and 2 * x.size * x.dtype.itemsize <= SMALL:
            chain = [node]
            while len(users[chain[-1]]) == 1 and _only_input(users[chain[-1]][0]) is not None:
                chain.append(users[chain[-1]][0])
            steps = tuple((n.op, *(y for y in n.inputs if not isinstance(y, Node))) for n in chain)
            half = x.params["index"] if x.op == "part" else None
            chains.setdefault((steps, x.shape, half), []).append((x, chain))
    for (_, shape, half), group in chains.items():
        for (x, one), (y, two) in zip(group[::2], group[1::2], strict=False):
            if merge.needs(y, one[-1]) or merge.needs(x, two[-1]):
                continue
            like = {"shape": (2, *shape), "dtype": x.dtype, "rows": True, "order": "F"}
            if half is None:
                both = Node("stack", [x, y], time=max(x.time, y.time), **like)
            else:
                whole = Node("stack", [x.inputs[0], y.inputs[0]], **like | {"shape": (2, *x.inputs[0].shape)})
                both = Node("copy", [Node("part", [whole], {"index": half, "axis": -2}, **like)], **like)
                for k, z in enumerate((x, y)):
                    z.become("part", both, index=k, axis=0)
            for n in one:
                both = Node(n.op, [both if isinstance(z, Node) else z for z in n.inputs], time=n.time, **like)
            for k, chain in enumerate((one, two)):
                part = Node("part", [both], {"index": k, "axis": 0}, shape=shape, dtype=x.dtype, rows=True)
                chain[-1].become("head", part)
    return graph.refresh()


def _only_input(node):
    """The one value that an elementwise step reads besides numbers; None if there are others."""
    values = [x for x in node.inputs if isinstance(x, Node)]
    return values[0] if is_ufunc(node.op) and len(values) == 1 and values[0].shape == node.shape else None


def sums(graph):
    """The sum of two products over rows, or of two sums, is one over both rows."""
    users = graph.users()
    for node in graph.nodes:
        if node.op != "add" or (len(users[node]) == 1 and users[node][0].op == "add"):
            continue
        terms = _terms(node, users)
        for k in range(len(terms) - 1, -1, -1):
            for j in range(k):
                one = _together(graph, terms[j], terms[k])
                if one is not None:
                    terms[j] = one
                    del terms[k]
                    break
        if len(terms) == 1:
            node.become(terms[0].op, *terms[0].inputs, **terms[0].params)
        else:
            total = terms[0]
            for term in terms[1:-1]:
                total = Node("add", [total, term], shape=node.shape, dtype=node.dtype, time=node.time, rows=node.rows, order=node.order)
            node.become("add", total, terms[-1])
    return graph.refresh()


def _terms(node, users):
    found = []
    for x in node.inputs:
        inner = isinstance(x, Node) and x.op == "add" and len(users[x]) == 1 and x.shape == node.shape
        found += _terms(x, users) if inner else [x]
    return found


def _together(graph, a, b):
    """One node for the sum of a and b, if they are products or sums over two halves of the same rows."""
    if not (isinstance(a, Node) and isinstance(b, Node)) or a.op != b.op or a.params != b.params:
        return None
    for x, y in ((a, b), (b, a)):
        pairs = list(zip(x.inputs, y.inputs, strict=True))
        like = {"shape": a.shape, "dtype": a.dtype, "time": max(a.time, b.time)}
        if a.op == "matmul" and all(z.inputs[0].op == "mT" for z in (x, y)):
            left = _whole(graph, *(z.inputs[0].inputs[0] for z in (x, y)), -2)
            right = _whole(graph, *pairs[1], -2)
            if left is not None and right is not None:
                shape = (*left.shape[:-2], left.shape[-1], left.shape[-2])
                return Node("matmul", [Node("mT", [left], shape=shape, dtype=a.dtype, time=left.time), right], **like)
        if a.op == "sum" and a.inputs[0].ndim - 2 in a.params["axis"]:
            whole = _whole(graph, *pairs[0], -2)
            if whole is not None:
                return Node("sum", [whole], a.params, **like)
    return None


def bias_gradients(graph):
    """[∂W; ∂b] = [x 1]ᵀ g, where they are stored one after the other: a sum less."""
    users, stores = graph.users(), {s.array.ctypes.data: s for s in graph.stores}
    for first in list(graph.stores):
        w = first.inputs[0]
        second = stores.get(first.array.ctypes.data + math.prod(first.shape[-2:]) * first.dtype.itemsize) if first.array.ndim > 1 else None
        if second is None or w.op != "matmul" or w.inputs[0].op != "mT" or not isinstance(second.inputs[0], Node):
            continue
        b, g = second.inputs[0], w.inputs[1]
        if b.op != "sum" or b.inputs[0] is not g or b.params["axis"] != (g.ndim - 2,):
            continue
        matrix = _with_next_row(first.array, second.array)
        if matrix is None or len(users[w]) > 1 or len(users[b]) > 1:
            continue
        x = with_ones(graph, w.inputs[0].inputs[0])
        shape = (*x.shape[:-2], x.shape[-1], x.shape[-2])
        transposed = Node("mT", [x], shape=shape, dtype=x.dtype, time=x.time)
        product = Node("matmul", [transposed, g], shape=matrix.shape, dtype=w.dtype, time=max(w.time, b.time))
        _store_once(graph, first, second, matrix, product)
    return graph.refresh()


def _store_once(graph, first, second, array, value):
    """One store in place of two, unless someone reads between them."""
    early, late = sorted((first, second), key=lambda store: store.time)
    low, high = byte_bounds(late.array)
    for node in graph.nodes:
        if node.op == "load" and early.time <= node.time < late.time:
            start, stop = byte_bounds(node.array)
            if start < high and low < stop:
                return
    like = {"shape": array.shape, "dtype": array.dtype, "time": early.time}
    store = Node("store", [value], first.params, array=array, **like)
    graph.stores = [s for s in graph.stores if s is not first and s is not second] + [store]


def factors(graph):
    """Factors of one number meet before they meet an array: s · (t · x / y) = (s · t) · x / y."""
    users = graph.users()
    for node in graph.nodes:
        if node.op == "multiply" and node.size > 1:
            for s, y in (node.inputs, node.inputs[::-1]):
                if isinstance(y, Node) and y.op == "divide" and len(users[y]) == 1 and _small(s, node):
                    top, bottom = y.inputs
                    if isinstance(top, Node) and top.op == "multiply" and len(users[top]) == 1:
                        t, x = top.inputs if _small(top.inputs[0], node) else top.inputs[::-1]
                        if _small(t, node) and isinstance(t, Node) and isinstance(s, Node):
                            both = Node("multiply", [s, t], shape=np.broadcast_shapes(s.shape, t.shape), dtype=node.dtype, time=node.time)
                            scaled = Node("multiply", [x, both], shape=node.shape, dtype=node.dtype, time=node.time, rows=node.rows, order=node.order)
                            node.become("divide", scaled, bottom)
                            break
    return graph.refresh()


def _small(x, node):
    return not isinstance(x, Node) or x.size < node.size


def dots(graph):
    """Products by np.dot, outer ones too; of half a small batch it is copied out: rows with gaps are slow.

    Exact but for the sign of a zero.
    """
    copied = {}
    for node in graph.nodes:
        if node.op == "matmul" and node.ndim == 2:
            node.op = "dot"
            node.inputs = tuple(_without_gaps(x, copied) for x in node.inputs)
    return graph.refresh()


def _without_gaps(x, copied):
    if x.op == "mT":
        inner = _without_gaps(x.inputs[0], copied)
        return x if inner is x.inputs[0] else Node("mT", [inner], shape=x.shape, dtype=x.dtype, time=x.time)
    gaps = x.op == "part" and x.params["axis"] == -2 and x.shape[-1] > 1
    if not gaps or 2 * x.size * x.dtype.itemsize > SMALL:
        return x
    if x not in copied:
        copied[x] = Node("copy", [x], shape=x.shape, dtype=x.dtype, time=x.time, rows=x.rows, order="F")
    return copied[x]


def blocks(graph):
    """A large batch goes through in blocks of rows that fit the cache, dealt to threads: see blocks.py."""

    def compile_part(part, inputs):
        for rewrite in (batch, bias_gradients, layers, dots):
            part = rewrite(part)
        memory = Memory(part.schedule(), inputs)
        return executor.write(memory).compile([memory.inputs.get(id(a), a) for a in inputs])

    return cut(graph, compile_part)


EXACT = (fold, stack)
ROUNDING = (columns, bias, blocks, batch, bias_gradients, factors, dots)
PASSES = (fold, columns, bias, blocks, batch, bias_gradients, layers, stack, factors, dots)


class Plan:
    """What a program comes down to: a graph, where its values live, and the code that computes them."""

    def __init__(self, program, passes=PASSES, threads=1):
        """Raises:  UnplannableError – if the step assigns to a value that it computed"""
        self.graph = build(program)
        self.graph.threads = threads
        for rewrite in passes:
            self.graph = rewrite(self.graph)
        seen = {id(owner_of(a)) for a in program.returned}  # by whoever holds the outputs
        movable = [buffer for buffer in program.inputs if id(buffer) not in seen]
        self.memory = Memory(self.graph.schedule(), movable)
        self.code = executor.write(self.memory)
        self.run = self.code.compile([self.memory.inputs.get(id(a), a) for a in program.inputs])

    def __len__(self):
        return len(self.code.lines)

    def __str__(self):
        return str(self.graph)
