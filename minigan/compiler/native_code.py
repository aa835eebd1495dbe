"""The stages of a step as functions in C for a CPU: loops that a C compiler turns into vector instructions.

What belongs here: the text of these functions. Where values live and who calls the functions is in native.py;
what they call (tile products, exp, tanh) is in native.h.
"""

import math
import re
from contextlib import contextmanager

from minigan.compiler.expressions import Lines
from minigan.compiler.graph import Node, UnplannableError
from minigan.compiler.stages import base

STACK = 2**14  # elements of an array within a function, at most
TILE_ROWS = 8  # the most that HIGH of native.h is, of which each value is a divisor
INNER = ("c", "i", "sum", "all")  # what is declared by a line of its own, where the line stands
POWERS = {
    0.5: "sqrt({0})",
    1.0: "{0}",
    1.5: "{0} * sqrt({0})",
    2.0: "square({0})",
    3.0: "{0} * {0} * {0}",
    -1.0: "1 / {0}",
    -0.5: "1 / sqrt({0} + 0)",  # of −0 it is ∞ as well
}


class Loops(Lines):
    """One stage as loops, over the rows from lo to hi where it is of a region.

    text  its function; of a sum over rows two: what a block adds to it, and (…_end) what is made of it
    """

    def __init__(self, code, stage, name):
        super().__init__(code, stage, name)
        self.kind, total, texts = code.regions.kind[stage], stage.total, []
        self.by_row = self.kind != "plain"
        self.guests = [guest.total for guest in code.guests.get(stage, ())]
        if self.kind == "sums":
            if stage not in code.host:
                self._accumulate(total)
                texts.append(self._function("", "const Index lo, const Index hi, T* restrict sum"))
                self.begin()
            self.by_row = False
            self._ended(total)
            texts.append(self._function("_end"))
        else:
            if total is None:
                self._map()
            elif total.op == "matmul":
                self._matmul(total)
            else:
                self._sums(total)
            parameters = ["const Index lo, const Index hi"] if self.by_row else []
            parameters += [f"T* restrict sum{k}" for k in range(len(self.guests))]
            texts.append(self._function("", ", ".join(parameters)))
        self.text = "".join(texts)

    def _function(self, suffix, parameters=""):
        body, head = "\n".join(self.lines), f"static void {self.name}{suffix}(const Memory* restrict m"
        head += f"{', ' * bool(parameters)}{parameters})"
        lines = [f"// {self._about()}", head, "{", *self.code.pointers(body), body, "    WRITTEN;", "}\n\n"]
        return "\n".join(lines)

    def _about(self):
        stage = self.stage
        what = f"{stage.total.op if stage.total else 'map'} {list(stage.shape)}"
        how = {"rows": "a block of rows", "sums": "over a block of rows", "plain": "whole"}[self.kind]
        return f"{what}, {how}"

    # ── lines ───────────────────────────────────────────────────────────────────────────────────────────

    def begin(self):
        super().begin()
        self._blocks, self._depth = [(self.lines, self.known)], {}

    @contextmanager
    def loop(self, head, pragma=""):
        """As everywhere, but what does not depend on the loop is written before it."""
        (outer, known), block = self._blocks[-1], []
        self._blocks.append((block, dict(known)))
        self.lines, self.known = self._blocks[-1]
        self._depth[head.split()[2]] = len(self._blocks) - 1  # of what it counts
        yield
        self._blocks.pop()
        self.lines, self.known = outer, known
        outer += [f"    {pragma}"] * bool(pragma)
        outer += [f"    {head} {{", *(f"    {line}" for line in block), "    }"]

    def new(self, value, kind="T"):
        """A variable of this value, in the outermost block that has all that the value is made of."""
        here = len(self._blocks) - 1
        names = re.findall(r"\b[A-Za-z_]\w*\b(?!\()", value)
        depth = max((self._depth.get(x, here if x in INNER else 0) for x in names), default=0)
        self.count += 1
        name = f"v{self.count}"
        self._depth[name] = depth
        self._blocks[depth][0].append(f"    const {kind} {name} = {value};")
        return name

    def remember(self, key, name):
        for _, known in self._blocks[self._depth.get(name, len(self._blocks) - 1) :]:
            known[key] = name

    # ── loops ───────────────────────────────────────────────────────────────────────────────────────────

    def _edges(self, axis, ndim, n):
        row = self.by_row and axis == ndim - 2 and n == self.code.regions.batch
        return ("lo", "hi") if row else (0, n)

    def _nest(self, shape, body, at=(), simd=True):
        """Loops over the axes of a shape, the innermost in vectors; body(coordinates) is inside."""
        long = [axis for axis, n in enumerate(shape) if n > 1]

        def enter(axis, at):
            if axis == len(shape):
                return body(at)
            if shape[axis] == 1:
                return enter(axis + 1, [*at, "0"])
            self.count += 1
            i, edges = f"i{self.count}", self._edges(axis, len(self.stage.shape), shape[axis])
            return self._loop(i, *edges, lambda: enter(axis + 1, [*at, i]), simd and axis == long[-1])

        enter(0, list(at))

    def _loop(self, i, first, last, body, simd=False, sums=""):
        """One loop; in vectors, or those of a sum into a variable."""
        pragma = f"#pragma omp simd{f' reduction(+:{sums})' * bool(sums)}" if simd or sums else ""
        with self.loop(f"for (Index {i} = {first}; {i} < {last}; ++{i})", pragma):
            body()

    def _vector(self, i, first, last, body):
        self._loop(i, first, last, body, simd=True)

    def _local(self, name, length, zero=False):
        """An array within the function.    Raises:  UnplannableError – if it is long"""
        if length > STACK:
            raise UnplannableError
        self.add(f"T {name}[{length}]{' = {}' * zero};")

    # ── sums over rows that are taken along the way ─────────────────────────────────────────────────────

    def _map(self):
        """Every element; where they are added up, of some rows at a time."""
        if not self.guests:
            return self._nest(self.stage.shape, self.results)
        self.add("Index i = lo;")
        for rows, head in _row_loops("hi", self.code.even):
            with self.loop(head):
                self.registers = {}
                self._tile(["0"] * (len(self.stage.shape) - 2), rows, self.stage.shape[-1])
        return None

    def _tile(self, at, rows, m):
        """What is made of some rows, column by column where they are added up."""
        place, row = [*at, "(i + r)", "j"], f"for (Index r = 0; r < {rows}; ++r)"

        def column():
            for k in range(len(self.guests)):
                self.add(f"T part{k} = 0;")
            with self.loop(row):
                self.results(place)
                for k, total in enumerate(self.guests):
                    self.add(f"part{k} += {self._term(total, place)};")
            for k in range(len(self.guests)):
                self.add(f"sum{k}[j] += part{k};")

        if self.guests:
            return self._vector("j", 0, m, column)
        with self.loop(row):
            self._vector("j", 0, m, lambda: self.results(place))
        return None

    def computed(self, at):
        """As everywhere, but for what nobody will read."""
        unread = [self.stages.arrays[n] for n in self.code.unread]
        return [pair for pair in super().computed(at) if not any(pair[0] is array for array in unread)]

    def _term(self, total, at):
        """What a row adds to a column of a sum over rows."""
        x, (i, j) = total.inputs[0], at[-2:]
        if total.op != "matmul":
            return self.value(x, [*["0"] * (x.ndim - 2), i, j])
        left, right = ("0", j) if total.shape[-1] > 1 else (j, "0")
        a, b = self._factor(x, left, i), self._factor(total.inputs[1], i, right)
        return f"{a} * {b}"

    def _factor(self, x, i, j):
        """An element of a factor, or of what it is the transpose of."""
        if isinstance(x, Node) and x.op == "mT":
            return self._factor(x.inputs[0], j, i)
        return self.value(x, [*["0"] * (x.ndim - 2), i, j])

    # ── products ────────────────────────────────────────────────────────────────────────────────────────

    def _strides(self, x):
        array = self.stages.arrays[x]
        return [0 if n == 1 else s // array.itemsize for n, s in zip(array.shape, array.strides, strict=True)]

    def _at(self, x, at):
        return f"&{self.code.element(self.stages.arrays[x], at)}"

    def _matmul(self, total):
        a, b = total.inputs
        *front, n, m = self.stage.shape
        terms, rows = a.shape[-1], self.code.rows if self.by_row else n
        if any(base(x).op == "constant" for x in (a, b)) or m == n == 1 or m == 1 and rows > STACK:
            self._nest(self.stage.shape, lambda at: self._one(total, at, terms), simd=False)
        elif m == 1:
            self._nest(front, lambda at: self._column(total, at, n, terms), simd=False)
        else:
            self._nest(front, lambda at: self._tiles(a, b, at, n, m, terms), simd=False)

    def _one(self, total, at, terms):
        """One element."""
        self._dot(total, at, terms)
        self.registers = {total: "sum"}
        self.results(at)

    def _dot(self, total, at, terms):
        a, b = total.inputs
        self.add("T sum = 0;")
        self._loop("k", 0, terms, lambda: self.add(
            f"sum += {self.value(a, [*at[:-1], 'k'])} * {self.value(b, [*at[:-2], 'k', at[-1]])};"
        ), sums="sum")  # fmt: skip

    def _column(self, total, at, n, terms):
        """A column of results, then what is made of them in vectors."""
        first, last = self._edges(len(at), len(at) + 2, n)
        self._local("c", self.code.rows if self.by_row else n)
        place = "c[i - lo]" if first == "lo" else "c[i]"
        (a, b), (an, ak) = total.inputs, self._strides(total.inputs[0])[-2:]

        def element():
            self._dot(total, [*at, "i", "0"], terms)
            self.add(f"{place} = sum;")

        if ak == self._strides(b)[-2] == 1:
            pointers = f"{self._at(a, [*at, str(first), '0'])}, {self._at(b, [*at, '0', '0'])}"
            self.add(f"{self.code.dots(terms, an)}({last} - {first}, {pointers}, c);")
        else:
            self._loop("i", first, last, element)
        self.registers = {total: place}
        self._vector("i", first, last, lambda: self.results([*at, "i", "0"]))

    def _contiguous(self, b, at, m, terms):
        """(pointer, stride) of a factor whose rows are contiguous, or of a copy, made once a region."""
        k, j = self._strides(b)[-2:]
        if j == 1:
            return self._at(b, [*at, "0", "0"]), k
        turn = f"transpose({m}, {terms}, {self._at(b, [*at, '0', '0'])}, {j}, {k}, "
        if self.by_row:
            return self.code.turned(self.stage, b, turn, terms * m), m
        copy = self.code.copy(terms * m)
        self.add(f"{turn}&{copy});")
        return f"&{copy}", m

    def _tiles(self, a, b, at, n, m, terms):
        """Rows of a product, tile by tile in registers, each followed by what is made of it."""
        pointer, bk = self._contiguous(b, at, m, terms)
        (an, ak), (first, last) = self._strides(a)[-2:], self._edges(len(at), len(at) + 2, n)
        whole = self.code.even if self.by_row else n % TILE_ROWS == 0
        self.add(f"Index i = {first};")
        for rows, head in _row_loops(last, whole):
            with self.loop(head):
                self._local("c", TILE_ROWS * m)
                kernel = self.code.kernel(rows, m, terms, an, ak, bk)
                self.add(f"{kernel}({terms}, {self._at(a, [*at, 'i', '0'])}, {pointer}, c);")
                self.registers = {self.stage.total: f"c[r * {m} + j]"}
                self._tile(at, rows, m)

    # ── sums ────────────────────────────────────────────────────────────────────────────────────────────

    def _sums(self, total):
        x, axes = total.inputs[0], [i for i in total.params["axis"] if total.inputs[0].shape[i] > 1]
        long = [i for i, n in enumerate(x.shape) if n > 1]
        if not long or long[-1] in axes:  # the innermost is summed: in a register

            def element(at):
                self.add("T sum = 0;")
                self._terms(x, axes, list(at), "sum", True)
                self.registers = {total: "sum"}
                self.results(at)

            return self._nest(self.stage.shape, element, simd=False)
        j = long[-1]
        first, last = self._edges(j, x.ndim, x.shape[j])
        place = "c[j - lo]" if first == "lo" else "c[j]"

        def row(at):
            at = [*at, *["0"] * (x.ndim - j)]
            self._local("c", self.code.rows if first == "lo" else x.shape[j], zero=True)
            self._terms(x, axes, at, place, False, j)
            self.registers = {total: place}
            self._vector("j", first, last, lambda: self.results([*at[:j], "j", *at[j + 1 :]]))

        return self._nest(self.stage.shape[:j], row, simd=False)

    def _terms(self, x, axes, at, target, reduced, j=None):
        """target += x, over the axes; j: the axis that is not summed and runs in vectors."""
        if not axes:
            if reduced:
                return self.add(f"{target} += {self.value(x, at)};")
            edges, site = self._edges(j, x.ndim, x.shape[j]), [*at[:j], "j", *at[j + 1 :]]
            return self._vector("j", *edges, lambda: self.add(f"{target} += {self.value(x, site)};"))
        i, *axes = axes
        k, site = f"k{i}", [*at[:i], f"k{i}", *at[i + 1 :]]
        return self._loop(
            k,
            *self._edges(i, x.ndim, x.shape[i]),
            lambda: self._terms(x, axes, site, target, reduced, j),
            sums=target if reduced and not axes else "",
        )

    def _accumulate(self, total):
        """What a block adds to a sum over rows."""
        x, shape = total.inputs[0], self.stage.shape
        at = ["0"] * (len(shape) - 2)
        if total.op != "matmul":
            axes = [i for i in total.params["axis"] if x.shape[i] > 1]
            if shape[-1] > 1:
                return self._terms(x, axes, ["0"] * x.ndim, "sum[j]", False, x.ndim - 1)
            self.add("T all = 0;")
            self._terms(x, axes, ["0"] * x.ndim, "all", True)
            return self.add("sum[0] += all;")
        (a, b), (n, m) = total.inputs, shape[-2:]
        if base(a).op == "constant":
            return self._loop("k", "lo", "hi", lambda: self._vector("j", 0, m, lambda: self.add(
                f"sum[j] += {self.value(a, [*at, '0', 'k'])} * {self.value(b, [*at, 'k', 'j'])};"
            )))  # fmt: skip
        (an, ak), (bk, bj) = self._strides(a)[-2:], self._strides(b)[-2:]
        if m == n == 1 or (bj if m > 1 else an) != 1:
            return self._accumulate_one_by_one(a, b, at, n, m)
        right = self._at(b, [*at, "lo", "0"])
        if m == 1:
            kernel = self.code.kernel("1", n, None, 0, bk, ak)
            return self.add(f"{kernel}(hi - lo, {right}, {self._at(a, [*at, '0', 'lo'])}, sum);")
        self.add("Index i = 0;")
        for rows, head in _row_loops(n, n % TILE_ROWS == 0):
            with self.loop(head):
                kernel = self.code.kernel(rows, m, None, an, ak, bk)
                self.add(f"{kernel}(hi - lo, {self._at(a, [*at, 'i', 'lo'])}, {right}, &sum[i * {m}]);")
        return None

    def _accumulate_one_by_one(self, a, b, at, n, m):
        i, j = "i" if n > 1 else "0", "j" if m > 1 else "0"

        def element():
            self.add("T all = 0;")
            self._loop("k", "lo", "hi", lambda: self.add(
                f"all += {self.value(a, [*at, i, 'k'])} * {self.value(b, [*at, 'k', j])};"
            ), sums="all")  # fmt: skip
            self.add(f"sum[i * {m} + j] += all;")

        self._loop("i", 0, n, lambda: self._loop("j", 0, m, element))

    def _ended(self, total):
        """What is made of a finished sum over rows."""
        shape = self.stage.shape
        strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]

        def element(at):
            index = " + ".join(f"{i} * {s}" for i, s in zip(at, strides, strict=True) if i != "0") or "0"
            self.registers = {total: self.new(self.code.scratch(self.code.shared[self.stage], index))}
            self.results(at)

        self._nest(shape, element)

    def step(self, node, at):
        if node.op == "power" and node.inputs[1] in POWERS:
            return self.new(POWERS[node.inputs[1]].format(self.value(node.inputs[0], at)))
        return super().step(node, at)


def _row_loops(last, whole):
    """(rows at a time, head of the loop): whole tiles, then the rows that are left."""
    yield "HIGH", f"for (; i + HIGH <= {last}; i += HIGH)"
    if not whole:
        yield "1", f"for (; i < {last}; ++i)"
