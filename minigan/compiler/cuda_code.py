"""The stages of a step as functions in CUDA C, each of one item: an element of a stage's result, or a tile.

What belongs here: the text of these functions. Where values live and who calls the functions is in
cuda_launches.py.
"""

import math

from minigan.backend import kernels
from minigan.compiler.expressions import C_TYPE, Lines, literal
from minigan.compiler.stages import LANES, TILE, is_long_row, is_tiled

FAR = 2**30  # elements from a pointer, from where on 32 bits may not do


class CudaCode:
    """The functions of all stages of a step.

    stages   what `stages_of` in shadow.py makes of a program
    regions  [(first byte, one after the last, pointer in CUDA C, its offset in elements)] of the memory that
             the arrays of the stages look into
    """

    headers: tuple[str, ...] = ("elementwise", "lanes")  # what the functions call
    members = ""  # what they are given beside pointers

    def __init__(self, stages, regions):
        self.stages, self.regions = stages, regions
        self.kind = C_TYPE[stages.dtype.name]
        self.functions, self.calls = [], {}
        for level in stages.levels:
            for stage in level:
                function = self.function(stage, f"stage{len(self.functions)}")
                self.functions.append(function.text)
                self.calls[stage] = function.name, function.units

    def function(self, stage, name):
        """The function of a stage: its text, and for how many items it is called."""
        return _Function(self, stage, name)

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

    def number(self, value, dtype, key):
        """A number that is written in the step."""
        return literal(value, dtype)

    def text(self, pointers, *rest):
        """The whole source: the functions, and what calls them."""
        members = "".join(f" T* {name};" for name in pointers) + self.members
        head = [f"typedef {self.kind} T;", f"struct Memory {{{members} }};\n"]
        return "\n".join([kernels.source(*self.headers), *head, *self.functions, *rest])


class _Function(Lines):
    """One stage as a function of an item."""

    def __init__(self, code, stage, name):
        super().__init__(code, stage, name)
        total = stage.total
        if total is None or total in self.stages.large:
            self.units = self._elements(None)
        elif is_tiled(total):
            self.units = self._tiles()
        elif is_long_row(total):
            self.units = self._elements_by_warps(total)
        else:
            self.units = self._elements(total)
        head = f"static __device__ __forceinline__ void {name}(const Memory& m, const int item)"
        self.text = "\n".join([head, "{", *self.lines, "}\n"])

    def _coordinates(self, shape, item="item"):
        """The item as integers that count each axis of a shape; "0" for axes of one element."""
        names, left, outermost = [], math.prod(shape), True
        for n in shape:
            left //= n
            value = f"{item} / {left}" if left > 1 else item
            names.append("0" if n == 1 else self.new(value if outermost else f"{value} % {n}", "int"))
            outermost &= n == 1
        return names

    # ── sums ────────────────────────────────────────────────────────────────────────────────────────────

    def _elements(self, total):
        at = self._coordinates(self.stage.shape)
        if total is not None:
            self.registers[total] = self._sum(total, at)
        self.results(at)
        return math.prod(self.stage.shape)

    def _elements_by_warps(self, total):
        """As many items for an element as a warp has lanes; the first one writes it."""
        shape = self.stage.shape
        at, x = self._coordinates(shape, f"(item / {LANES})"), total.inputs[0]
        self.add(f"const int lane = item % {LANES};")
        self.add("T sum = 0;")
        sites = (
            [[*at[:-1], "k"], [*at[:-2], "k", "0"]] if total.op == "matmul" else [[*at[: x.ndim - 1], "k"]]
        )
        with self.loop(f"for (int k = lane; k < {x.shape[-1]}; k += {LANES})"):
            terms = [self.value(y, site) for y, site in zip(total.inputs, sites, strict=True)]
            self.add(f"sum += {' * '.join(terms)};")
        self.add("sum = sum_over_lanes(sum, 1);")
        self.registers[total] = "sum"
        with self.loop("if (lane == 0)"):
            self.results(at)
        return math.prod(shape) * LANES

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
            terms = [self.value(x, site) for x, site in zip(node.inputs, sites, strict=True)]
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
                self.add(f"a[{r}] = {self.leaf(a, [*inner, row, 'k'])};")
                self.add(f"b[{r}] = {self.leaf(b, [*inner, 'k', column])};")
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
            self.results([*lead, row, column])
        return math.prod(front) * rows * columns

    def _range(self, part, length):
        """The first term of a part, and the one after its last."""
        size = -(-length // self.stage.total.params["parts"])
        return f"{part} * {size}", f"min({length}, ({part} + 1) * {size})"
