"""Passes on products of matrices: biases inside them, both their gradients at once, what BLAS is given."""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigan.compiler.graph import Node, is_ufunc, like, transposed, with_ones
from minigan.compiler.passes.merge import SMALL, store_once


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


def bias_gradients(graph):
    """[∂W; ∂b] = [x 1]ᵀ g, where they are stored one after the other: a sum less."""
    users, stores = graph.users(), {s.array.ctypes.data: s for s in graph.stores}
    for first in list(graph.stores):
        w, bytes_of_w = first.inputs[0], math.prod(first.shape[-2:]) * first.dtype.itemsize
        second = stores.get(first.array.ctypes.data + bytes_of_w)
        if second is None or first.array.ndim < 2 or w.op != "matmul" or w.inputs[0].op != "mT":
            continue
        b, g = second.inputs[0], w.inputs[1]
        if b.op != "sum" or b.inputs[0] is not g or b.params["axis"] != (g.ndim - 2,):
            continue
        matrix = _with_next_row(first.array, second.array)
        if matrix is None or len(users[w]) > 1 or len(users[b]) > 1:
            continue
        x, time = with_ones(graph, w.inputs[0].inputs[0]), max(w.time, b.time)
        product = Node("matmul", [transposed(x), g], shape=matrix.shape, dtype=w.dtype, time=time)
        store_once(graph, first, second, matrix, product)
    return graph.refresh()


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
                            shape = np.broadcast_shapes(s.shape, t.shape)
                            both = Node("multiply", [s, t], shape=shape, dtype=node.dtype, time=node.time)
                            node.become("divide", like(node, "multiply", x, both), bottom)
                            break
    return graph.refresh()


def _small(x, node):
    return not isinstance(x, Node) or x.size < node.size


def dots(graph):
    """Products by np.dot, outer ones too, and no step on rows with gaps: half a small batch is copied out.

    Exact but for the sign of a zero, and for a product whose rows had gaps.
    """
    copied = {}
    for node in graph.nodes:
        if node.op == "matmul" or is_ufunc(node.op):
            node.op = "dot" if node.op == "matmul" else node.op
            node.inputs = tuple(_without_gaps(x, copied) for x in node.inputs)
    return graph.refresh()


def _without_gaps(x, copied):
    if not isinstance(x, Node):
        return x
    if x.op == "mT":
        inner = _without_gaps(x.inputs[0], copied)
        return x if inner is x.inputs[0] else transposed(inner)
    if x.op != "part" or x.params["axis"] != -2 or x.shape[-1] == 1:
        return x
    if 2 * math.prod(x.shape[-2:]) * x.dtype.itemsize > SMALL:  # of replicas as of one: the same bits
        return x
    if x not in copied:
        copied[x] = Node("copy", [x], shape=x.shape, dtype=x.dtype, time=x.time, rows=x.rows, order="F")
    return copied[x]
