"""The stages of a step as functions in CUDA C, each of one item: an element of a stage's result, or a tile.

What belongs here: the text of these functions. Where values live and who calls the functions is in
cuda_launches.py.
"""

import math
from contextlib import contextmanager

import numpy as np

from minigan.backend import kernels
from minigan.compiler.stages import TILE, base, is_tiled

EXPRESSION = {  # of a function of the array library, in CUDA C
    "add": "{} + {}", "subtract": "{} - {}", "multiply": "{} * {}", "divide": "{} / {}",
    "maximum": "maximum({}, {})", "minimum": "minimum({}, {})", "power": "pow({}, {})",
    "negative": "-{}", "exp": "exp({})", "expm1": "expm1({})", "log": "log({})", "sqrt": "sqrt({})",
    "square": "square({})", "tanh": "tanh({})", "absolute": "fabs({})", "sign": "sign({})",
    "greater": "T({} > {})", "positive": "{}", "logaddexp": "logaddexp({}, {})",
}  # fmt: skip
FAR = 2**30  # elements from a pointer, from where on 32 bits may not do
C_TYPE = {"float32": "float", "float64": "double"}


class CudaCode:
    """The functions of all stages of a step.

    stages   what `stages_of` in shadow.py makes of a program
    regions  [(first byte, one after the last, pointer in CUDA C, its offset in elements)] of the memory that
             the arrays of the stages look into
    """

    def __init__(self, stages, regions):
        self.stages, self.regions = stages, regions
        self.kind = C_TYPE[stages.dtype.name]
        self.functions, self.calls = [], {}
        for level in stages.levels:
            for stage in level:
                function = _Function(self, stage, f"stage{len(self.functions)}")
                self.functions.append(function.text)
                self.calls[stage] = function.name, function.items

    def element(self, array, at):
        """An array's element at these coordinates, in CUDA C; its shape is stretched as broadcasting does."""
        first = array.__array_interface__["data"][0]
        low, _, pointer, start = next(r for r in self.regions if r[0] <= first < r[1])
        offset = start + (first - low) // array.itemsize
        if offset >= FAR:
            pointer, offset = f"({pointer} + {offset}LL)", 0
        terms = [str(offset)] if offset else []
        for n, stride, i in zip(array.shape[::-1], array.strides[::-1], at[::-1], strict=False):
            if n > 1 and stride and i != "0":
                step = stride // array.itemsize
                terms.append(i if step == 1 else f"{i} * {step}")
        return f"{pointer}[{' + '.join(terms) or 0}]"

    def text(self, pointers, *rest):
        """The whole source: the functions, and what calls them."""
        members = "".join(f" T* {name};" for name in pointers)
        head = [f"typedef {self.kind} T;", f"struct Memory {{{members} }};\n"]
        return "\n".join([kernels.source("elementwise"), *head, *self.functions, *rest])


class _Function:
    """One stage as a function of an item."""

    def __init__(self, code, stage, name):
        self.code, self.stage, self.stages, self.name = code, stage, code.stages, name
        self.lines, self.known, self.count, self.registers = [], {}, 0, {}
        total = stage.total
        if total is None or total in self.stages.large:
            self.items = self._elements(None)
        elif is_tiled(total):
            self.items = self._tiles()
        else:
            self.items = self._elements(total)
        head = f"static __device__ __forceinline__ void {name}(const Memory& m, const int item)"
        self.text = "\n".join([head, "{", *self.lines, "}\n"])

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

    def _coordinates(self, shape):
        """The item as integers that count each axis of a shape; "0" for axes of one element."""
        names, left, outermost = [], math.prod(shape), True
        for n in shape:
            left //= n
            value = f"item / {left}" if left > 1 else "item"
            names.append("0" if n == 1 else self.new(value if outermost else f"{value} % {n}", "int"))
            outermost &= n == 1
        return names

    # ── sums ────────────────────────────────────────────────────────────────────────────────────────────

    def _elements(self, total):
        at = self._coordinates(self.stage.shape)
        if total is not None:
            self.registers[total] = self._sum(total, at)
        self._results(at)
        return math.prod(self.stage.shape)

    def _sum(self, node, at):
        """One element of the sum that a stage begins with."""
        self.count += 1
        result, of, x = f"v{self.count}", node.params.get("of", node.op), node.inputs[0]
        self.add(f"T {result} = 0;")
        part, at = (at[0], at[1:]) if node.op == "partial" else (None, at)
        if node.op == "total":
            loops, sites = {0: x.shape[0]}, [[0, *at]]
        elif of == "matmul":
            loops, sites = {-1: x.shape[-1]}, [[*at[:-1], -1], [*at[:-2], -1, at[-1]]]
        else:
            axes = sorted((i for i in node.params["axis"] if x.shape[i] > 1), key=lambda i: -x.shape[i])
            loops, sites = {i: x.shape[i] for i in axes}, [list(at)]
            for i in axes:
                sites[0][i] = i
        self._terms(node, result, loops, sites, part)
        return result

    def _terms(self, node, result, loops, sites, part=None):
        """Loops within loops, and in the innermost one a term; integers in the sites stand for loops."""
        if not loops:
            terms = [self._value(x, site) for x, site in zip(node.inputs, sites, strict=True)]
            self.add(f"{result} += {' * '.join(terms)};")
            return
        (mark, length), *inner = loops.items()
        self.count += 1
        k, first, last = f"k{self.count}", "0", str(length)
        if part is not None:
            first, last = self._range(part, length)
        filled = [[k if name == mark else name for name in site] for site in sites]
        with self.loop(f"for (int {k} = {first}; {k} < {last}; ++{k})"):
            self._terms(node, result, dict(inner), filled)

    def _tiles(self):
        """A product, or a part of its terms, tile by tile in registers; the number of tiles."""
        total, tile = self.stage.total, TILE
        a, b = total.inputs
        *front, n, m = self.stage.shape
        rows, columns, length = -(-n // tile), -(-m // tile), a.shape[-1]
        *lead, i, j = self._coordinates([*front, rows, columns])
        first, last, inner = "0", str(length), lead
        if total.op == "partial":
            part, *inner = lead
            first, last = self._range(part, length)
        self.add(f"T c[{tile}][{tile}] = {{}};")
        with self.loop(f"for (int k = {first}; k < {last}; ++k)"):
            self.add(f"T a[{tile}], b[{tile}];")
            for r in range(tile):
                row, column = f"({i} * {tile} + {r})", f"({j} * {tile} + {r})"
                row = f"min({row}, {n - 1})" if n % tile else row  # the last tile looks beyond the edge
                column = f"min({column}, {m - 1})" if m % tile else column
                self.add(f"a[{r}] = {self._leaf(a, [*inner, row, 'k'])};")
                self.add(f"b[{r}] = {self._leaf(b, [*inner, 'k', column])};")
            with self.loop(f"for (int r = 0; r < {tile}; ++r)"):
                self.add(f"for (int q = 0; q < {tile}; ++q) c[r][q] += a[r] * b[q];")
        with (
            self.loop(f"for (int r = 0; r < {tile}; ++r)"),
            self.loop(f"for (int q = 0; q < {tile}; ++q)"),
        ):
            row, column = self.new(f"{i} * {tile} + r", "int"), self.new(f"{j} * {tile} + q", "int")
            if n % tile or m % tile:
                self.add(f"if ({row} >= {n} || {column} >= {m}) continue;")
            self.registers[total] = "c[r][q]"
            self._results([*lead, row, column])
        return math.prod(front) * rows * columns

    def _range(self, part, length):
        """The first term of a part, and the one after its last."""
        size = -(-length // self.stage.total.params["parts"])
        return f"{part} * {size}", f"min({length}, ({part} + 1) * {size})"

    # ── elements ────────────────────────────────────────────────────────────────────────────────────────

    def _results(self, at):
        """Compute all results at these coordinates, then write them: all is read before."""
        writes = []
        for node in self.stage.outputs:
            if node in self.registers:
                value = self.registers[node]
            elif node in self.stages.large:
                continue
            elif node.op == "store":
                value = self._value(node.inputs[0], at)
            else:
                value = self.registers[node] = self._step(node, at)
            writes.append((self.stages.arrays[node], value))
        for array, value in writes:
            self.add(f"{self.code.element(array, at)} = {value};")

    def _step(self, node, at):
        values = [literal(x, node.dtype) if isinstance(x, float) else self._value(x, at) for x in node.inputs]
        return self.new(EXPRESSION[node.op].format(*values))

    def _value(self, x, at):
        """A name or a literal for a value at these coordinates."""
        register = self.stages.register(x, self.stage)
        if register in self.registers:
            return self.registers[register]
        if base(x).op == "constant":
            return literal(base(x).params["value"], x.dtype)
        key = x, tuple(at)
        if key not in self.known:
            if x in self.stages.arrays:
                self.known[key] = self.new(self._leaf(x, at))
            elif x.op == "broadcast_to":
                self.known[key] = self._value(x.inputs[0], at)
            else:
                self.known[key] = self._step(x, at)
        return self.known[key]

    def _leaf(self, x, at):
        below = base(x)
        if below.op == "constant":
            return literal(below.params["value"], x.dtype)
        return self.code.element(self.stages.arrays[x], at)


def literal(value, dtype):
    """A number in CUDA C."""
    with np.errstate(over="ignore"):
        value = float(np.dtype(dtype).type(value))
    if not math.isfinite(value):  # written so that NVRTC needs no header for it
        infinity = "-1e300 * 1e300" if value < 0 else "1e300 * 1e300"
        return f"T(0 * ({infinity}))" if math.isnan(value) else f"T({infinity})"
    text = f"{np.float32(value)}f" if dtype == np.float32 else repr(float(value))
    return f"({text})" if value < 0 else text
