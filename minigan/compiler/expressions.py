"""What an element of a stage is, in the C that GPUs and CPUs share: one table of functions, numbers, names.

What belongs here: the text of a value at some coordinates, and of the lines around it. Which loops or threads
go over the coordinates is in cuda_code.py, block_code.py and native_code.py.
"""

import math
from contextlib import contextmanager

import numpy as np

from minigan.compiler.stages import base

EXPRESSION = {  # of a function of the array library, in CUDA C and in C
    "add": "{} + {}", "subtract": "{} - {}", "multiply": "{} * {}", "divide": "{} / {}",
    "maximum": "maximum({}, {})", "minimum": "minimum({}, {})", "power": "pow({}, {})",
    "negative": "-{}", "exp": "exp({})", "expm1": "expm1({})", "log": "log({})", "sqrt": "sqrt({})",
    "square": "square({})", "tanh": "tanh({})", "absolute": "fabs({})", "sign": "sign({})",
    "greater": "(T)({} > {})", "positive": "{}", "logaddexp": "logaddexp({}, {})",
}  # fmt: skip
C_TYPE = {"float32": "float", "float64": "double"}


class Lines:
    """The body of a function that computes what a stage writes; `code` says where values live.

    A subclass makes the coordinates, and the sum that a stage may begin with.
    """

    def __init__(self, code, stage, name):
        self.code, self.stage, self.stages, self.name = code, stage, code.stages, name
        self.begin()

    def begin(self):
        """Nothing is written or known yet."""
        self.lines, self.known, self.count, self.registers = [], {}, 0, {}

    def add(self, line):
        """One more line."""
        self.lines.append(f"    {line}")

    def new(self, value, kind="T"):
        """A variable of this value."""
        self.count += 1
        self.add(f"const {kind} v{self.count} = {value};")
        return f"v{self.count}"

    @contextmanager
    def loop(self, head):
        """A block of lines, whose variables end with it."""
        lines, known = self.lines, self.known
        self.lines, self.known = [], dict(known)
        yield
        lines += [f"    {head} {{", *(f"    {line}" for line in self.lines), "    }"]
        self.lines, self.known = lines, known

    def results(self, at):
        """Compute all results at these coordinates, then write them: all is read before."""
        for array, value in self.computed(at):
            self.add(f"{self.code.element(array, at)} = {value};")

    def computed(self, at):
        """The results at these coordinates, to be written: [(array, name)]."""
        writes = []
        for node in self.stage.outputs:
            if node in self.registers:
                value = self.registers[node]
            elif node in self.stages.large:
                continue
            elif node.op == "store":
                value = self.value(node.inputs[0], at)
            else:
                value = self.registers[node] = self.step(node, at)
            writes.append((self.stages.arrays[node], value))
        return writes

    def step(self, node, at):
        """A variable of an elementwise function of what it takes at these coordinates."""
        values = [
            self.code.number(x, node.dtype, (node, k)) if isinstance(x, float) else self.value(x, at)
            for k, x in enumerate(node.inputs)
        ]
        return self.new(EXPRESSION[node.op].format(*values))

    def value(self, x, at):
        """A name or a number for a value at these coordinates."""
        register = self.stages.register(x, self.stage)
        if register in self.registers:
            return self.registers[register]
        if base(x).op == "constant":
            return self.leaf(x, at)
        key = x, tuple(at)
        if key not in self.known:
            if x in self.stages.arrays:
                name = self.new(self.leaf(x, at))
            elif x.op == "broadcast_to":
                name = self.value(x.inputs[0], at)
            else:
                name = self.step(x, at)
            self.remember(key, name)
        return self.known[key]

    def remember(self, key, name):
        """A value has a name, as long as the block of lines lasts."""
        self.known[key] = name

    def leaf(self, x, at):
        """What is read from memory, or a constant."""
        below = base(x)
        if below.op == "constant":
            return self.code.number(below.params["value"], x.dtype, (below, 0))
        return self.code.element(self.stages.arrays[x], at)


def literal(value, dtype):
    """A number in C."""
    with np.errstate(over="ignore"):
        value = float(np.dtype(dtype).type(value))
    if not math.isfinite(value):  # written so that NVRTC needs no header for it
        infinity = "-1e300 * 1e300" if value < 0 else "1e300 * 1e300"
        return f"(T)(0 * ({infinity}))" if math.isnan(value) else f"(T)({infinity})"
    text = f"{np.float32(value)}f" if dtype == np.float32 else repr(float(value))
    return f"({text})" if value < 0 else text
