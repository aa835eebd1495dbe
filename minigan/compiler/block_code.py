"""The stages of a step as functions in CUDA C that a warp executes together: some rows, or some results.

What belongs here: the text of these functions. When they are called is in block_schedule.py, where values
live in cuda_block.py; what they call is in kernels/tiles.cuh and lanes.cuh.
"""

import math
import re
from contextlib import contextmanager, nullcontext

from minigan.compiler.block_schedule import ROWS
from minigan.compiler.cuda_code import CudaCode
from minigan.compiler.expressions import Lines
from minigan.compiler.stages import COST, LANES, TILE, base, is_tiled

DEAR = 12  # as COST has it, of a term: from where on loops over terms are hardly unrolled
GAP = 8  # elements: lanes that read a column of weights then ask other banks than their neighbours


class BlockCode(CudaCode):
    """The functions of all stages of a step, each called with the warp's lane and what its warp is to do.

    schedule  of the stages
    sums      {stage: where a sum over several slabs is kept, in CUDA C}
    gaps      [(first byte, one after the last, pointer in CUDA C, period)] of memory that is not dense: after
              as many elements as the period says comes a gap

    calls     {stage: (name, how many units of work there are; None of a stage whose unit is a tile of rows)}
    ends      the same of what concludes the sums that the schedule calls late
    """

    headers = ("elementwise", "lanes", "tiles")

    def __init__(self, stages, schedule, regions, sums, gaps):
        self.schedule, self.sums, self.gaps, self.slots = schedule, sums, gaps, {}
        for slot in {id(s): s for s in schedule.local.values()}.values():
            first = slot.array.__array_interface__["data"][0]
            self.slots[first] = slot.array.strides[-2] // slot.array.itemsize
        if schedule.slabs > 1:
            self.members = " int slab;"
        super().__init__(stages, regions)

        self.ends = {stage: self._end(stage) for stage in schedule.late}

    def function(self, stage, name):
        return WarpFunction(self, stage, name)

    def _end(self, stage):
        end = WarpFunction(self, stage, f"end{len(self.functions)}", ends=True)
        self.functions.append(end.text)
        return end.name, end.units

    def element(self, array, at):
        """As everywhere; rows of a slot are counted from the slab's first, and gaps are left out."""
        first = array.__array_interface__["data"][0]
        if found := self.gap(array):
            low, _, pointer, period = found
            return f"{pointer}[{apart(*terms_of(array, at, first - low), period)}]"
        row = self.slots.get(first) if self.schedule.slabs > 1 else None
        if row:
            at = list(at[len(at) - array.ndim :])
            for k, (n, step) in enumerate(zip(array.shape, array.strides, strict=True)):
                if n > 1 and step == row * array.itemsize:
                    at[k] = f"({at[k]} - m.slab)"
        return super().element(array, at)

    def gap(self, array):
        """Where there are gaps in the memory of an array, as `gaps` has it; None of what is dense."""
        first = array.__array_interface__["data"][0]
        return next((found for found in self.gaps if found[0] <= first < found[1]), None)


def terms_of(array, at, start):
    """The place of an element as a number and [(index, its stride, its greatest value)], in elements."""
    size, found = array.itemsize, []
    for n, stride, i in zip(array.shape[::-1], array.strides[::-1], at[::-1], strict=False):
        if n > 1 and stride and i != "0":
            found.append((i, stride // size, n - 1))
    return start // size, found


def apart(start, terms, period):
    """The place of an element where there is a gap after each period, in CUDA C."""
    inner = start % period + sum(step * most for _, step, most in terms if step % period)
    if inner >= period:  # it is not known between which gaps
        place = _summed(start, [(i, step) for i, step, _ in terms])
        return f"{place} + ({place}) / {period} * {GAP}"
    return _summed(widened(start, period), [(i, widened(step, period)) for i, step, _ in terms])


def _summed(start, terms):
    parts = [i if step == 1 else f"{i} * {step}" for i, step in terms]
    return " + ".join([str(start)] * bool(start or not parts) + parts)


def widened(step, period):
    """How far apart elements are, between which there are periods and perhaps a rest."""
    return step // period * (period + GAP) + step % period


class WarpFunction(Lines):
    """One stage as a function of a warp.

    units  of work, each for one warp; None where that is the tile of rows that begins with `first`
    ends   whether it concludes a sum that was taken before
    """

    def __init__(self, code, stage, name, ends=False):
        super().__init__(code, stage, name)
        self.schedule, self._changing, total = code.schedule, None, stage.total
        kind = self.schedule.regions.kind[stage]
        self.in_slabs = kind == "sums" and self.schedule.slabs > 1
        self.units = None
        if ends:
            self.registers[total] = f"{code.sums[stage]}[i]"
            self._map()
        elif kind == "rows":
            self._rows(total)
        elif total is None:
            self._map()
        elif kind == "sums" and self._is_tiled_sum(total):
            self._tiles_of_sums(total)
        elif is_tiled(total) and math.prod(stage.shape[:-2]) == 1:
            self.units = -(-self._squares(stage.shape[-2]) // LANES)
            self._lane_tiles(total, f"unit * {LANES} + lane")
        else:
            count = math.prod(stage.shape)
            columns = lanes_of(count)
            self.units = -(-count // columns)
            at = self._coordinates("i", stage.shape)
            self._sum(total, f"unit * {columns}", columns, count, at)
        given = "first" if self.units is None else "unit"
        what = "a tile of rows" if self.units is None else f"units: {self.units}"
        parameters = f"const Memory& m, const int {given}, const int lane"
        head = f"static __device__ __forceinline__ void {name}({parameters})"
        about = f"// {'end of ' * ends}{total.op if total else 'map'} {list(stage.shape)}, {what}"
        self.text = "\n".join([about, head, "{", *self.lines, "}\n"])

    @staticmethod
    def _coordinates(item, shape):
        """An item as integers that count each axis of a shape; "0" for axes of one element."""
        at, left, outermost = [], math.prod(shape), True
        for n in shape:
            left //= n
            value = f"{item} / {left}" if left > 1 else item
            at.append("0" if n == 1 else value if outermost else f"{value} % {n}")
            outermost &= n == 1
        return at

    def _named(self, at):
        return [i if i == "0" else self.new(i, "int") for i in at]

    # ── maps ────────────────────────────────────────────────────────────────────────────────────────────

    def _map(self):
        count = math.prod(self.stage.shape)
        self.units = -(-count // LANES)
        self.add(f"const int i = unit * {LANES} + lane;")
        if count % LANES:
            self.add(f"if (i >= {count}) return;")
        self.results(self._named(self._coordinates("i", self.stage.shape)))

    def _rows(self, total):
        *front, n, m = self.stage.shape
        lead = ["0"] * len(front)
        if total is not None and total.op == "matmul" and self._is_tiled(total):
            return self._tiles_of_rows(total, lead, n, m)
        if total is not None and is_tiled(total):
            with self.loop(f"for (int i = lane; i < {self._squares(ROWS)}; i += {LANES})"):
                return self._lane_tiles(total, "i", "first + ", n)
        if total is not None:
            row, column = "first + i" if m == 1 else f"first + i / {m}", f"i % {m}" if m > 1 else "0"
            return self._sum(total, None, lanes_of(ROWS * m), ROWS * m, [*lead, row, column], n)
        across = min(m, LANES)
        if LANES % across or m % across:
            return self._rows_one_by_one(lead, n, m)
        at_once = min(ROWS, LANES // across)  # rows
        if m == 1:
            self.add(f"if (lane >= {ROWS}) return;")
        column = "lane" if across == LANES else f"lane % {across}" if m > 1 else "0"
        with self.loop(f"for (int left = 0; left < {m}; left += {across})") if m > across else nullcontext():
            column = self.new(f"left + {column}" if m > across else column, "int") if m > 1 else "0"
            with self._hoisting(f"for (int r = 0; r < {ROWS}; r += {at_once})", "r"):
                more = "" if across == LANES else " + lane" if m == 1 else f" + lane / {across}"
                row = self.new(f"first + r{more}", "int")
                self._leave_beyond(row, n, "break")
                self.results([*lead, row, column])
        return None

    def _rows_one_by_one(self, lead, n, m):
        """Elements of a tile of rows, of which no number fills a warp."""
        with self.loop(f"for (int i = lane; i < {ROWS * m}; i += {LANES})"):
            row, column = self._named([f"first + i / {m}", f"i % {m}"])
            self._leave_beyond(row, n, "break")
            self.results([*lead, row, column])

    @contextmanager
    def _hoisting(self, head, counter):
        """A loop, before which stands what does not change in it: of memory a compiler cannot know that."""
        lines, place = self.lines, len(self.lines)
        self._changing, self._hoisted = {counter}, []
        self.add("#pragma unroll 4")
        with self.loop(head):
            yield
        lines[place:place] = self._hoisted
        self._changing = None

    def new(self, value, kind="T"):
        """A variable of this value, before the loop if it does not change there."""
        if self._changing is None:
            return super().new(value, kind)
        changes = self._changing & set(re.findall(r"\b[A-Za-z_]\w*", value))
        kept = self.lines
        if not changes:
            self.lines = self._hoisted
        name = super().new(value, kind)
        self.lines = kept
        if changes:
            self._changing.add(name)
        return name

    def _leave_beyond(self, row, n, how):
        if n % ROWS:
            self.add(f"if ({row} >= {n}) {how};")

    # ── sums ────────────────────────────────────────────────────────────────────────────────────────────

    def _sum(self, total, start, columns, count, at, n=0):
        """Results side by side on some lanes, each the sum of what lanes make of its terms.

        start    the first item of a unit; None where a tile has several of them, one after the other
        columns  results at a time; all `count` of them are items
        at       the coordinates of an item i
        """
        if start is None:
            with self.loop(f"for (int start = 0; start < {count}; start += {columns})"):
                self._sum(total, "start", columns, count, at, n)
            return
        self.add(f"const int i = {start} + {'lane' if columns == LANES else f'lane % {columns}'};")
        at, conditions = self._named(at), []
        if count % columns:
            conditions.append(f"i < {count}")
        if n % ROWS:
            conditions.append(f"{at[-2]} < {n}")
        self.add("T sum = 0;")
        with self.loop(f"if ({' && '.join(conditions)})") if conditions else nullcontext():
            self._terms(total, at, columns)
        if columns < LANES:
            self.add(f"sum = sum_over_lanes(sum, {columns});")
            conditions.append(f"lane < {columns}")
        self.registers[total] = "sum"
        with self.loop(f"if ({' && '.join(conditions)})") if conditions else nullcontext():
            self._conclude("i", "sum", at)

    def _conclude(self, index, value, at):
        """Results of a complete sum; of one over more slabs, or concluded later, what is kept until then."""
        late = self.stage in self.schedule.late
        if not self.in_slabs and not late:
            return self.results(at)
        place = f"{self.code.sums[self.stage]}[{index}]"
        if self.in_slabs:
            self.add(f"if (m.slab) {value} += {place};")
        if late:
            return self.add(f"{place} = {value};")
        with self.loop(f"if (m.slab + {self.schedule.slab} < {self.schedule.batch})"):
            self.add(f"{place} = {value};")
        with self.loop("else"):
            self.results(at)
        return None

    def _terms(self, node, at, columns):
        """sum += this lane's share of the terms: every 32 / columns of the longest axis."""
        x, rows = node.inputs[0], -1
        if node.op == "matmul":
            loops, sites = {-1: x.shape[-1]}, [[*at[:-1], -1], [*at[:-2], -1, at[-1]]]
        else:
            rows = x.ndim - 2
            axes = sorted((i for i in node.params["axis"] if x.shape[i] > 1), key=lambda i: -x.shape[i])
            loops, sites = {i: x.shape[i] for i in axes}, [list(at)]
            for i in axes:
                sites[0][i] = i
        self._nest(node, loops, sites, columns, rows if self.in_slabs else None)

    def _nest(self, node, loops, sites, columns, rows):
        """Loops within loops, and in the innermost one a term; integers in the sites stand for loops.

        rows  the loop that goes over the rows of a slab, if one does
        """
        if not loops:
            terms = [self.value(x, site) for x, site in zip(node.inputs, sites, strict=True)]
            self.add(f"sum += {' * '.join(terms)};")
            return
        (mark, length), *inner = loops.items()
        self.count += 1
        k, first, last, step = f"k{self.count}", "0", str(length), LANES // columns
        if mark == rows:
            first, last = "m.slab", self._end_of_slab()
            length = self.schedule.slab if length % self.schedule.slab == 0 else length
        if step > 1 and length % step:
            first = f"{first} + lane / {columns}" if first != "0" else f"lane / {columns}"
        elif step > 1:  # as many turns for each lane
            k = f"({k} + lane / {columns})"
        filled = [[k if name == mark else name for name in site] for site in sites]
        count, place = k.strip("()").split(" ")[0], len(self.lines)
        with self.loop(f"for (int {count} = {first}; {count} < {last}; {count} += {step})"):
            self._nest(node, dict(inner), filled, LANES, rows)
        if not inner:
            self.lines.insert(place, f"    #pragma unroll {self._turns(self.lines[place:])}")

    @staticmethod
    def _turns(lines):
        """How many turns of a loop follow each other in code: of dear ones few, for their code is long."""
        called = re.findall(r"\b([a-z]\w*)\(", " ".join(lines))
        return 2 if sum(COST.get(name, 0) for name in called) >= DEAR else 8

    # ── products in tiles ───────────────────────────────────────────────────────────────────────────────

    def _squares(self, rows):
        """How many tiles of lanes so many rows of a product have."""
        return -(-rows // TILE) * -(-self.stage.shape[-1] // TILE)

    def _lane_tiles(self, total, item, first="", n=0):
        """A product in small tiles, one for each lane: of float64, or of sizes that are no tensor core's."""
        (a, b), shape = total.inputs, self.stage.shape
        (rows, m), lead = shape[-2:], ["0"] * (len(shape) - 2)
        across = -(-m // TILE)
        item = self.new(item, "int")
        if not n:
            self.add(f"if ({item} >= {self._squares(rows)}) return;")
        top = self.new(f"{first}{item} / {across} * {TILE}", "int")
        left = self.new(f"{item} % {across} * {TILE}", "int")
        edges = [rows % (ROWS if n else TILE), m % TILE]  # the last tile looks beyond them
        at = [
            f"min({x} + {{0}}, {most - 1})" if edge else f"({x} + {{0}})"
            for x, most, edge in zip((top, left), (rows, m), edges, strict=True)
        ]
        self.add(f"T c[{TILE}][{TILE}] = {{}};")
        start, stop = ("m.slab", self._end_of_slab()) if self.in_slabs else ("0", a.shape[-1])
        with self.loop(f"for (int k = {start}; k < {stop}; ++k)"):
            self.add(f"T a[{TILE}], b[{TILE}];")
            for r in range(TILE):
                self.add(f"a[{r}] = {self.leaf(a, [*lead, at[0].format(r), 'k'])};")
                self.add(f"b[{r}] = {self.leaf(b, [*lead, 'k', at[1].format(r)])};")
            with self._unrolled(f"for (int r = 0; r < {TILE}; ++r)"):
                self.add("#pragma unroll")
                self.add(f"for (int q = 0; q < {TILE}; ++q) c[r][q] += a[r] * b[q];")
        self.registers[total] = "c[r][q]"
        heads = (f"for (int {x} = 0; {x} < {TILE}; ++{x})" for x in "rq")
        with self._unrolled(next(heads)), self._unrolled(next(heads)):
            row, column = self._named([f"{top} + r", f"{left} + q"])
            if any(edges):
                self.add(f"if ({row} >= {rows} || {column} >= {m}) continue;")
            self._conclude(f"{row} * {m} + {column}", "c[r][q]", [*lead, row, column])

    def _end_of_slab(self):
        """The row after a slab's last, in CUDA C."""
        slab, batch = self.schedule.slab, self.schedule.batch
        return f"m.slab + {slab}" if batch % slab == 0 else f"min({batch}, m.slab + {slab})"

    def _is_tiled(self, total):
        """Whether tensor cores can make the product of some rows."""
        a, b = total.inputs
        m, terms = self.stage.shape[-1], a.shape[-1]
        whole = m % 8 == 0 and terms % 8 == 0 and self.stages.dtype == "float32"
        return whole and not any(base(x).op == "constant" for x in (a, b)) and self.stage.shape[-2] > 1

    def _is_tiled_sum(self, total):
        """Whether they can make a product over rows."""
        if total.op != "matmul" or not self._is_tiled(total):
            return False
        return self.stage.shape[-2] % ROWS == 0 and self.schedule.batch % 8 == 0

    def _product(self, total, n, lead, row, term, column, terms, last):
        """c = the tile of the product whose first row and column these are."""
        a, b = total.inputs
        (a_row, a_term), (b_term, b_column) = (self._strides(x) for x in (a, b))
        self.add(f"float c[{n}][4] = {{}};")
        self.add(f"tile_product<{n}, {a_row}, {a_term}, {b_term}, {b_column}>(")
        self.add(f"    c, &{self.leaf(a, [*lead, row, term])},")
        self.add(f"    &{self.leaf(b, [*lead, term, column])}, {terms}, {last}, lane);")

    def _strides(self, x):
        """Of a row and of a column, in elements."""
        array = self.stages.arrays[x]
        pairs, gap = list(zip(array.shape, array.strides, strict=True))[-2:], self.code.gap(array)
        steps = [0 if n == 1 else stride // array.itemsize for n, stride in pairs]
        return [widened(step, gap[-1]) for step in steps] if gap else steps

    def _tiles_of_rows(self, total, lead, n, m):
        wide = next(k for k in (4, 3, 2, 1) if m // 8 % k == 0)
        last = f"{n - 1} - first" if n % ROWS else str(ROWS - 1)
        left = "left" if m > 8 * wide else "0"
        head = f"for (int left = 0; left < {m}; left += {8 * wide})"
        with self.loop(head) if m > 8 * wide else nullcontext():
            self._product(total, wide, lead, "first", "0", left, total.inputs[0].shape[-1], last)
            self.registers[total] = "c[j][q]"
            at = ["first + lane / 4 + q / 2 * 8", f"{'left + ' * (left != '0')}j * 8 + lane % 4 * 2 + q % 2"]
            with self._unrolled(f"for (int j = 0; j < {wide}; ++j)"):
                if n % ROWS:
                    with self._unrolled("for (int q = 0; q < 4; ++q)"):
                        at = self._named(at)
                        self._leave_beyond(at[0], n, "continue")
                        self.results([*lead, *at])
                else:
                    self._read_then_write(lead, at)

    def _tiles_of_sums(self, total):
        *front, n, m = self.stage.shape
        s, lead, wide = self.schedule, ["0"] * len(front), 2 if m % 16 == 0 else 1
        self.units = n // ROWS * (m // (8 * wide))
        top = self.new(f"unit / {m // (8 * wide)} * {ROWS}", "int")
        left = self.new(f"unit % {m // (8 * wide)} * {8 * wide}", "int")
        terms = min(s.slab, s.batch)
        if s.batch % terms:
            terms = f"min({s.slab}, {s.batch} - m.slab)"
        self._product(total, wide, lead, top, "m.slab" if s.slabs > 1 else "0", left, terms, ROWS - 1)
        self.registers[total] = "c[j][q]"
        at = [f"{top} + lane / 4 + q / 2 * 8", f"{left} + j * 8 + lane % 4 * 2 + q % 2"]
        columns, elements = f"for (int j = 0; j < {wide}; ++j)", "for (int q = 0; q < 4; ++q)"
        with self._unrolled(columns), self._unrolled(elements):
            row, column = self._named(at)
            self._conclude(f"{row} * {m} + {column}", "c[j][q]", [*lead, row, column])

    def _read_then_write(self, lead, at):
        """Four elements of a tile: all that is read for them, then all that is written, side by side."""
        self.add(f"T made[{len(self.stage.outputs)}][4];")
        with self._unrolled("for (int q = 0; q < 4; ++q)"):
            found = self.computed([*lead, *self._named(at)])
            for k, (_, value) in enumerate(found):
                self.add(f"made[{k}][q] = {value};")
        with self._unrolled("for (int q = 0; q < 4; ++q)"):
            at = [*lead, *self._named(at)]
            for k, (array, _) in enumerate(found):
                self.add(f"{self.code.element(array, at)} = made[{k}][q];")

    def _unrolled(self, head):
        """A loop that the compiler unrolls, so that what it counts stays in registers."""
        self.add("#pragma unroll")
        return self.loop(head)


def lanes_of(count):
    """How many results are side by side in a warp: a power of two."""
    return min(LANES, 1 << (count - 1).bit_length())
