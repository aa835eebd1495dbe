"""Passes that make two steps one: batches through one matrix, layers of one width, neighbours in memory."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigan.compiler.graph import VIEWS, Node, is_ufunc, like, transposed

SMALL = 2**20  # bytes: below, a call costs more than its work


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
            store_once(graph, first, second, both, part.inputs[0])
    return graph.refresh()


class _Merge:
    """Pairs of nodes become one node on both, and the pair its parts: halves of its rows, or of axis 0."""

    def __init__(self, graph, axis):
        self.graph, self.axis, self.users = graph, axis, graph.users()
        self.before = {
            n: [s for s in graph.overlapping(n.span) if s.time <= n.time]
            for n in graph.nodes
            if n.op == "load"
        }

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
        kind = {"dtype": a.dtype, "rows": a.rows, "order": order, "time": min(a.time, b.time)}
        return self._add(Node(op, inputs, params, shape=shape, **kind))

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
            paired = {node for pair in pairs for node in pair}
            both = (*self.users[a], *self.users[b])
            for negative in (n for n in both if n.op == "negative" and n not in paired):
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
        users = [
            u
            for u in self.users[other]
            if u.op not in VIEWS and any(u.op == w.op for w in self.users[negative])
        ]
        plus = self._add(
            Node(
                "part",
                [whole],
                {"index": 1 - minus, "axis": -2},
                shape=a.shape,
                dtype=a.dtype,
                time=a.time,
                rows=True,
            )
        )
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
        return (
            x.ndim < 2 or x.shape[-2] == 1 or u.op == "matmul" and x is u.inputs[1]
            if self.axis == -2
            else False
        )

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
        fixed = (
            {"load"} if self.axis == 0 and x.op != y.op else set()
        )  # one of them is copied beside the other
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
            steps = tuple((n.op, *(None if isinstance(y, Node) else y for y in n.inputs)) for n in chain)
            half = x.params["index"] if x.op == "part" else None
            chains.setdefault((steps, x.shape, half), []).append((x, chain))
    for (_, shape, half), group in chains.items():
        for (x, one), (y, two) in zip(group[::2], group[1::2], strict=False):
            if merge.needs(y, one[-1]) or merge.needs(x, two[-1]):
                continue
            kind = {"shape": (2, *shape), "dtype": x.dtype, "rows": True, "order": "F"}
            if half is None:
                both = Node("stack", [x, y], time=max(x.time, y.time), **kind)
            else:
                whole = Node("stack", [x.inputs[0], y.inputs[0]], **kind | {"shape": (2, *x.inputs[0].shape)})
                both = Node("copy", [Node("part", [whole], {"index": half, "axis": -2}, **kind)], **kind)
                for k, z in enumerate((x, y)):
                    z.become("part", both, index=k, axis=0)
            for n in one:
                both = Node(n.op, [both if isinstance(z, Node) else z for z in n.inputs], time=n.time, **kind)
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
        if node.op == "mT" and node.inputs[0].op == "matmul" and len(users[node.inputs[0]]) == 1:
            a, g = node.inputs[0].inputs
            if a.op == "mT" and a.inputs[0].rows and g.rows:  # (aᵀ g)ᵀ = gᵀ a
                node.become("matmul", transposed(g), a.inputs[0])
    users = graph.refresh().users()
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
                total = like(node, "add", total, term)
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
        kind = {"shape": a.shape, "dtype": a.dtype, "time": max(a.time, b.time)}
        if a.op == "matmul" and all(z.inputs[0].op == "mT" for z in (x, y)):
            left = _whole(graph, *(z.inputs[0].inputs[0] for z in (x, y)), -2)
            right = _whole(graph, *pairs[1], -2)
            if left is not None and right is not None:
                return Node("matmul", [transposed(left), right], **kind)
        if a.op == "sum" and a.inputs[0].ndim - 2 in a.params["axis"]:
            whole = _whole(graph, *pairs[0], -2)
            if whole is not None:
                return Node("sum", [whole], a.params, **kind)
    return None


def store_once(graph, first, second, array, value):
    """One store in place of two, unless someone reads between them."""
    early, late = sorted((first, second), key=lambda store: store.time)
    low, high = late.span
    for node in graph.nodes:
        if node.op == "load" and early.time <= node.time < late.time:
            if node.span[0] < high and low < node.span[1]:
                return
    kind = {"shape": array.shape, "dtype": array.dtype, "time": early.time}
    store = Node("store", [value], first.params, array=array, **kind)
    graph.stores = [s for s in graph.stores if s is not first and s is not second] + [store]
