"""Passes on one value at a time: what is constant, equal or only seen otherwise costs nothing."""

import math

import numpy as np

from minigan.compiler.graph import VIEWS, Node, constant, is_ufunc, like


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
    inputs = tuple(id(x) if isinstance(x, Node) else repr(x) for x in node.inputs)  # 0.0 == -0.0
    return node.op, inputs, repr(sorted(node.params.items(), key=str)), node.shape


def _simplified(node):
    """The node, or a simpler one of the same value."""
    if node.op in VIEWS:
        return _simplified_view(node)
    if node.op == "sum" and all(node.inputs[0].shape[a] == 1 for a in node.params["axis"]):
        return node.inputs[0]
    if not is_ufunc(node.op):
        return node
    inputs = list(node.inputs)
    for k, x in enumerate(inputs):
        if isinstance(x, Node) and x.op in ("broadcast_to", "constant"):
            base = x.inputs[0] if x.op == "broadcast_to" else x
            base = base.params["value"] if base.op == "constant" else base
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
        return like(node, opposite, x, y.inputs[0])
    return node


def _scaled(x, factor, node):
    """node = x · factor, without a step of its own where x has a factor that can take it up exactly."""
    if x.op == "negative" and x.shape == node.shape:
        return like(node, "multiply", x.inputs[0], -factor)
    for k, c in enumerate(x.inputs):
        if x.op in ("multiply", "divide") and not isinstance(c, Node) and (x.op == "multiply" or k == 0):
            powers = (factor,) if x.op == "divide" else (factor, c)  # (1/y) · 0.3 rounds twice, 0.3/y once
            if any(math.frexp(abs(p))[0] == 0.5 for p in powers):
                other = x.inputs[1 - k]
                product = float(node.dtype.type(c) * node.dtype.type(factor))
                return like(node, x.op, *((other, product) if x.op == "multiply" else (product, other)))
    return node


def _simplified_view(node):
    x = node.inputs[0]
    if x.op == "constant" and node.op != "broadcast_to":  # NumPy multiplies strideless matrices on its own
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
        if node.op == "broadcast_to" and node.inputs[0].op == "constant":
            node.become("constant", value=node.inputs[0].params["value"])
        if node.op == "matmul" and node.inputs[0].op == "constant" and node.inputs[0].shape[-1] == 1:
            _repeat(node, *node.inputs)
    return fold(graph.refresh())


def _repeat(node, column, row):
    """A product of a column of one number and a row is that row everywhere."""
    value = column.params["value"]
    if value != 1.0:
        row = Node("multiply", [row, value], shape=row.shape, dtype=node.dtype, time=node.time)
    node.become("broadcast_to", row, shape=node.shape)
    node.rows = False
