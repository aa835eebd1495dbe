"""Run a placed graph on NumPy: straight-line code, each line one call of a bound function on bound arrays.

The code is written from the graph alone, never from data or files; Python compiles it once. Each line is a
record, of which the text is made; who wants to know what a line does (minigan explain) reads the record.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

SCALAR = {
    "add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}",
    "negative": "-{0}", "square": "{0} * {0}", "sqrt": "{function}({0})",
}  # fmt: skip
COPY = "{target}[...] = {0}"  # half the cost of np.copyto
PUT = "{target}[()] = {0}"  # of a number, where an array is needed
SUM = np.add.reduce


class Scalar:
    """A number that the code computes as NumPy's scalar, in a variable of its own."""

    __slots__ = ("number",)

    def __init__(self, number):
        self.number = number


class Statement(NamedTuple):
    """One line of the code: target ← function(inputs).

    node      of the graph, whose value it computes; None of the copy of an input
    function  what is called, or None where the text is a copy or an operator
    form      the text, with {function}, {target}, and {0}, {1} … for the inputs
    inputs    what it reads: arrays, numbers, Scalars; nothing of a call that does not show it
    target    where it writes: an array or a Scalar; None of a call that does not show it
    """

    node: Any
    function: Callable[..., Any] | None
    form: str
    inputs: tuple[Any, ...]
    target: Any


class NumpyCode:
    """Statements, and the names that the objects in them have in the text."""

    def __init__(self):
        self.statements, self.names, self._known, self._numbers = [], {}, {}, {}

    def name(self, x):
        """What an object is called in the code; equal views of one memory are one object."""
        key = id(x)
        if isinstance(x, np.ndarray):
            key = x.__array_interface__["data"][0], x.shape, x.strides, x.dtype, x.flags.writeable
        if key in self._known:
            return self._known[key]
        if isinstance(x, Scalar):
            wanted = f"s{x.number}"
        elif callable(x):
            wanted = getattr(x, "__name__", type(x).__name__.lower())
        else:
            wanted = f"a{len(self.names)}"
        name = wanted
        while name in self.names:
            name = f"{wanted}_{len(self.names)}"
        self._known[key], self.names[name] = name, x
        return name

    def number(self, value, dtype, make):
        """A literal, one object for each.

        make is np.array, which an elementwise step reads at half the cost of a Python number, or the dtype's
        scalar type.
        """
        key = repr(value), dtype, make  # repr, as 0.0 == -0.0
        if key not in self._numbers:
            self._numbers[key] = make(dtype.type(value))
        return self._numbers[key]

    def add(self, node, form, inputs=(), target=None, function=None):
        """One more statement."""
        self.statements.append(Statement(node, function, form, tuple(inputs), target))

    def call(self, node, function, *arguments):
        """One more statement: function(arguments), of which the last one is written."""
        places = [f"{{{k}}}" for k in range(len(arguments) - 1)] + ["{target}"] * bool(arguments)
        self.add(
            node, f"{{function}}({', '.join(places)})", arguments[:-1], *arguments[-1:], function=function
        )

    def text(self, statement):
        """The line of a statement; arrays of one number are read as such where a Scalar is computed."""
        names = [self.name(x) for x in statement.inputs]
        if isinstance(statement.target, Scalar):
            arrays = (isinstance(x, np.ndarray) for x in statement.inputs)
            names = [f"{name}[()]" if array else name for name, array in zip(names, arrays, strict=True)]
        target = "" if statement.target is None else self.name(statement.target)
        function = "" if statement.function is None else self.name(statement.function)
        return statement.form.format(*names, target=target, function=function)

    @property
    def lines(self):
        """The text of all statements."""
        return [self.text(statement) for statement in self.statements]

    def compile(self, inputs):
        """run(batches): for the arrays of every batch, copy them to the inputs and run all lines."""
        return self.compile_lines([(a, f"x{k}") for k, a in enumerate(inputs)], self.lines)

    def compile_lines(self, inputs, lines):
        """The same of these lines, with names for the arrays of a batch: inputs are pairs (array, name)."""
        values = [value for _, value in inputs]
        copies = [COPY.format(value, target=self.name(a)) for a, value in inputs]
        body = "\n".join(f"            {line}" for line in [*copies, *lines])
        bound = [name for name, x in self.names.items() if not isinstance(x, Scalar)]
        head = f"        for {', '.join(values) or '_'}{',' * (len(values) == 1)} in batches:"
        source = f"def bind({', '.join(bound)}):\n    def run(batches):\n{head}\n{body}\n    return run\n"
        space = {}
        exec(compile(source, "<plan>", "exec"), space)
        self._bind = space["bind"]
        return self.bind(self.names)

    def bind(self, names):
        """The lines that were compiled last, with these objects under their names."""
        run = self._bind(**{name: x for name, x in names.items() if not isinstance(x, Scalar)})
        run.code = self  # for those who look inside: minigan explain
        return run


def write(memory):
    """The code of the nodes of a memory, in their order."""
    code, arrays = NumpyCode(), memory.arrays
    scalars = {node: Scalar(memory.at[node]) for node in memory.scalars}
    for node in memory.work:
        if node in scalars:
            _write_scalar(code, node, memory, scalars)
        elif node.op == "segment":
            code.call(node, node.params["call"])
        else:
            for source, target in memory.copies.get(node, ()):
                _write_transfer(code, node, target, arrays[source], scalars.get(source))
            if node.op not in ("store", "pack", "stack", "ones", "reshape"):
                _write_step(code, node, memory)
    return code


def _write_transfer(code, node, target, source, scalar):
    """What could not be computed where it belongs is copied there, or added to what is there."""
    if "add" in node.params:
        total, part = _flat([target, source])
        code.call(node, np.add, total, part, total)
    elif scalar is not None:
        code.add(node, PUT, [scalar], target.reshape(()))
    else:
        _write_copy(code, node, target, source)


def _write_step(code, node, memory):
    """One step on arrays."""
    arrays, out = memory.arrays, memory.arrays[node]
    inputs = [
        code.number(x, node.dtype, np.array) if isinstance(x, float) else arrays[x] for x in node.inputs
    ]
    if node.op in ("matmul", "dot"):
        _write_product(code, node, *inputs, out)
    elif node.op == "sum":
        form = f"{{function}}({{0}}, {node.params['axis']!r}, None, {{target}}, True)"
        code.add(node, form, inputs[:1], out, SUM)
    elif node.op == "copy":
        _write_copy(code, node, out, inputs[0])
    elif node.op == "primitive":
        kernel, params = node.params["primitive"].kernel, node.params["params"]
        code.call(node, partial(kernel, np, *inputs, out=out, **params))
    elif node.op in ("maximum", "minimum"):  # they do not take their target by position any more
        *seen, target = _flat([*inputs, out])
        code.add(node, "{function}({0}, {1}, out={target})", seen, target, getattr(np, node.op))
    else:
        code.call(node, getattr(np, node.op), *_flat([*inputs, out]))


def _write_product(code, node, a, b, out):
    if not out.flags.c_contiguous:  # yᵀ = bᵀ aᵀ
        a, b, out = b.swapaxes(-1, -2), a.swapaxes(-1, -2), out.swapaxes(-1, -2)
    # As the eager product: np.dot asks less than np.matmul before it calls the BLAS, but sums rows with gaps
    # in another order: replicas would not be the single run. Outer products are no sums.
    plain = a.ndim == b.ndim == 2 and a.flags.forc and b.flags.forc and out.flags.c_contiguous
    outer = a.shape[-1] == 1 and not (plain and node.op == "dot")
    code.call(node, np.multiply if outer else np.dot if plain else np.matmul, a, b, out)


def _write_copy(code, node, target, source):
    target, source = _flat([target, source])
    code.add(node, COPY, [source], target)


def _write_scalar(code, node, memory, scalars):
    """A number computed as NumPy's scalar: the same bits as an array of one, at a fifth of the cost."""

    def read(x):
        if isinstance(x, float):
            return code.number(x, node.dtype, node.dtype.type)
        return scalars[x] if x in scalars else memory.arrays[x].reshape(())

    target, function = scalars[node], np.sqrt if node.op == "sqrt" else None
    code.add(node, f"{{target}} = {SCALAR[node.op]}", map(read, node.inputs), target, function)
    users = [user for user in memory.users[node] if user not in scalars]
    if any(user.op != "store" or "add" in user.params for user in users):
        code.add(node, PUT, [target], memory.arrays[node].reshape(()))


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
