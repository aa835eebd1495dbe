"""Run a placed graph on NumPy: straight-line code, each line one call of a bound function on bound arrays.

The code is written from the graph alone, never from data or files; Python compiles it once.
"""

from functools import partial

import numpy as np

SCALAR = {
    "add": "{} + {}", "subtract": "{} - {}", "multiply": "{} * {}", "divide": "{} / {}",
    "negative": "-{}", "square": "{0} * {0}", "sqrt": "sqrt_of({})",
}  # fmt: skip


class NumpyCode:
    """Lines of Python, the node that each computes, and the objects that the names in them stand for."""

    def __init__(self):
        self.lines, self.nodes, self.names, self._known, self._numbers = [], [], {}, {}, {}

    def name(self, x):
        """What an object is called in the code; equal views of one memory are one object."""
        key = id(x)
        if isinstance(x, np.ndarray):
            key = x.__array_interface__["data"][0], x.shape, x.strides, x.dtype, x.flags.writeable
        if key not in self._known:
            self._known[key] = f"a{len(self.names)}"
            self.names[self._known[key]] = x
        return self._known[key]

    def number(self, value, dtype, make):
        """A literal, one object for each.

        make is np.array, which an elementwise step reads at half the cost of a Python number, or the dtype's
        scalar type.
        """
        key = repr(value), dtype, make  # repr, as 0.0 == -0.0
        if key not in self._numbers:
            self._numbers[key] = make(dtype.type(value))
        return self._numbers[key]

    def add(self, node, line):
        """One more line."""
        self.nodes.append(node)
        self.lines.append(line)

    def call(self, node, name, function, *arguments):
        """One more line: name(arguments)."""
        self.names[name] = function
        self.add(node, f"{name}({', '.join(x if isinstance(x, str) else self.name(x) for x in arguments)})")

    def compile(self, inputs):
        """run(batches): for the arrays of every batch, copy them to the inputs and run all lines."""
        values = [f"x{k}" for k in range(len(inputs))]
        copies = [f"{self.name(a)}[...] = {x}" for a, x in zip(inputs, values, strict=True)]
        body = "\n".join(f"            {line}" for line in [*copies, *self.lines])
        head = f"        for {', '.join(values) or '_'}{',' * (len(values) == 1)} in batches:"
        source = (
            f"def bind({', '.join(self.names)}):\n    def run(batches):\n{head}\n{body}\n    return run\n"
        )
        space = {}
        exec(compile(source, "<plan>", "exec"), space)
        run = space["bind"](**self.names)
        run.code = self  # for those who look inside: minigan explain
        return run


def write(memory):
    """The code of the nodes of a memory, in their order."""
    code, arrays = NumpyCode(), memory.arrays
    for node in memory.work:
        if node in memory.scalars:
            _write_scalar(code, node, memory)
            continue
        if node.op == "segment":
            code.call(node, f"segment{len(code.lines)}", node.params["call"])
            continue
        for source, target in memory.copies.get(node, ()):
            if "add" in node.params:
                total, part = map(code.name, _flat([target, arrays[source]]))
                code.call(node, "add", np.add, total, part, total)
                continue
            if source in memory.scalars:
                code.add(node, f"{code.name(target.reshape(()))}[()] = s{memory.at[source]}")
            else:
                _write_copy(code, node, target, arrays[source])
        if node.op in ("store", "pack", "stack", "ones", "reshape"):
            continue
        out = arrays[node]
        inputs = [
            code.number(x, node.dtype, np.array) if isinstance(x, float) else arrays[x] for x in node.inputs
        ]
        if node.op in ("matmul", "dot"):
            a, b = inputs
            if not out.flags.c_contiguous:  # yᵀ = bᵀ aᵀ
                a, b, out = b.swapaxes(-1, -2), a.swapaxes(-1, -2), out.swapaxes(-1, -2)
            # As the eager product: np.dot asks less than np.matmul before it calls the BLAS, but sums rows
            # with gaps in another order: replicas would not be the single run. Outer products are no sums.
            plain = a.ndim == b.ndim == 2 and a.flags.forc and b.flags.forc and out.flags.c_contiguous
            outer = a.shape[-1] == 1 and not (plain and node.op == "dot")
            function = np.multiply if outer else np.dot if plain else np.matmul
            code.call(node, function.__name__, function, a, b, out)
        elif node.op == "sum":
            code.call(node, "total", np.add.reduce, inputs[0], repr(node.params["axis"]), "None", out, "True")
        elif node.op == "copy":
            _write_copy(code, node, out, inputs[0])
        elif node.op == "primitive":
            kernel, params = node.params["primitive"].kernel, node.params["params"]
            code.call(node, f"kernel{len(code.lines)}", partial(kernel, np, *inputs, out=out, **params))
        else:
            *seen, target = map(code.name, _flat([*inputs, out]))
            if node.op in ("maximum", "minimum"):  # they do not take it by position any more
                target = f"out={target}"
            code.call(node, node.op, getattr(np, node.op), *seen, target)
    return code


def _write_copy(code, node, target, source):
    target, source = _flat([target, source])
    code.add(node, f"{code.name(target)}[...] = {code.name(source)}")  # half the cost of np.copyto


def _write_scalar(code, node, memory):
    """A number computed as NumPy's scalar: the same bits as an array of one, at a fifth of the cost."""

    def text(x):
        if isinstance(x, float):
            return code.name(code.number(x, node.dtype, node.dtype.type))
        if x in memory.scalars:
            return f"s{memory.at[x]}"
        return f"{code.name(memory.arrays[x].reshape(()))}[()]"

    xs = [text(x) for x in node.inputs]
    code.names["sqrt_of"] = np.sqrt
    code.add(node, f"s{memory.at[node]} = {SCALAR[node.op].format(*xs)}")
    users = [user for user in memory.users[node] if user not in memory.scalars]
    if any(user.op != "store" or "add" in user.params for user in users):
        code.add(node, f"{code.name(memory.arrays[node].reshape(()))}[()] = s{memory.at[node]}")


def _flat(arrays):
    """The same arrays as an elementwise step sees them best: one axis where memory allows, in its order."""
    like = max(arrays, key=lambda a: a.size)
    if all(a.size == 1 for a in arrays):
        return [a.reshape(()) for a in arrays]
    swap = like.ndim > 1 and not like.flags.c_contiguous and abs(like.strides[-1]) > abs(like.strides[-2])
    seen = []
    for a in arrays:
        if a.size == 1:
            a = a.reshape(())
        elif swap:
            a = a.reshape((1,) * (like.ndim - a.ndim) + a.shape).swapaxes(-1, -2)
        seen.append(a)
    if all(a.ndim == 0 or (a.flags.c_contiguous and a.size == like.size) for a in seen):
        return [a.reshape(-1) if a.ndim else a for a in seen]
    return seen
