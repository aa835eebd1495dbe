"""The stages of a step as CUDA C: one launch per depth on a whole GPU, or one thread block per replica.

Both are the same functions, each of one item of a stage: an element of its result, or a tile of it. What
differs is where values live (global or shared memory) and what a barrier is (the next launch, or
__syncthreads).
"""

import math
import re
from contextlib import contextmanager

import numpy as np

from minigan.backend import kernels, owner

EXPRESSION = {  # of a function of the array library, in CUDA C
    "add": "{} + {}", "subtract": "{} - {}", "multiply": "{} * {}", "divide": "{} / {}",
    "maximum": "maximum({}, {})", "minimum": "minimum({}, {})", "power": "pow({}, {})",
    "negative": "-{}", "exp": "exp({})", "expm1": "expm1({})", "log": "log({})", "sqrt": "sqrt({})",
    "square": "square({})", "tanh": "tanh({})", "absolute": "fabs({})", "sign": "sign({})",
    "greater": "T({} > {})", "positive": "{}", "logaddexp": "logaddexp({}, {})",
}  # fmt: skip
LARGE = 2**22  # multiplications of a product, above which cuBLAS is worth a launch of its own
THREADS = 128  # of a thread block of a launch
BLOCKS = 1024  # of one stage of a launch, at most
UNROLLED = 10  # steps of a CUDA graph, so that launching it costs each step little
FAR = 2**30  # elements from a pointer, from where on 32 bits may not do
C_TYPE = {"float32": "float", "float64": "double"}
SMALL = 2**22  # multiplications of a step, up to which one thread block is sooner done than launches are
MANY = 16  # as many replicas make up for blocks that work as many times longer


def fastest(program):
    """The execution that should be the fastest on a GPU, by the size of a replica's step and their number."""
    products = [i for i in program.instructions if i.primitive.name == "matmul"]
    count = max((i.output.shape[0] for i in products if i.output.ndim > 2), default=1)
    work = sum(i.output.size * i.inputs[0].shape[-1] for i in products) / count
    return "block" if work <= SMALL * min(count, MANY) else "launches"


# ── the functions of a step ─────────────────────────────────────────────────────────────────────────────────


class CudaCode:
    """The functions of all stages of a step.

    stages   what engine.stages makes of a program
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
        elif self.stages.is_tiled(total):
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
        total, tile = self.stage.total, self.stages.tile
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
        if self.stages.base(x).op == "constant":
            return literal(self.stages.base(x).params["value"], x.dtype)
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
        below = self.stages.base(x)
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


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────


def bounds(array):
    """The first byte of the memory that an array looks into, and the one after its last."""
    whole = array if array.base is None else array.base
    first = whole.__array_interface__["data"][0]
    return first, first + whole.nbytes


def arrange(wishes, limit=math.inf):
    """Places for pieces of memory, each needed for some time; those that fit in no place are left out.

    wishes  [(key, length, first time, last time)], the most urgent first
    limit   the length of all the memory

    Returns {key: offset} and the length that is used.
    """
    placed, offsets = [], {}
    for key, length, first, last in wishes:
        offset = 0
        for low, high, begin, end in sorted(placed):
            if begin <= last and first <= end and low < offset + length and offset < high:
                offset = high
        if offset + length <= limit:
            placed.append((offset, offset + length, first, last))
            offsets[key] = offset
    return offsets, max((high for _, high, _, _ in placed), default=0)


def _wishes(stages, nodes):
    """Scratch memory as `arrange` takes it: in elements, rounded up to 16 bytes, small pieces first."""
    step = 16 // stages.dtype.itemsize
    sizes = {node: -(-_length(stages.arrays[node]) // step) * step for node in nodes}
    return [(node, sizes[node], *stages.spans[node]) for node in sorted(nodes, key=sizes.get)]


def _names(externals):
    """{external: its name in CUDA C}."""
    names = {}
    for e in externals:
        name = re.sub(r"^(?=\d)|[^A-Za-z0-9]", "_", e.name) + "_"
        names[e] = f"{name}{len(names)}" if name in names.values() else name
    return names


def _length(array):
    return (array if array.base is None else array.base).size


# ── a launch per depth ──────────────────────────────────────────────────────────────────────────────────────


class Launches:
    """A step as a CUDA graph of one launch per depth.

    stages  of all replicas: engine.stages.Stages
    """

    by_replica, padded, items, large = False, False, 4096, LARGE
    functions, threads = EXPRESSION.keys(), 1  # threads of the host

    def __init__(self, home, stages):
        self.home, self.stages = home, stages
        self.inputs = [e for e in stages.externals if e.is_input]
        self.kept = [e for e in stages.externals if not e.is_input]
        self.offsets, self.length = arrange(_wishes(stages, stages.own))
        names = _names((*self.kept, *self.inputs))
        regions = [(*e.bounds, f"m.{name}", 0) for e, name in names.items()]
        regions += [(*bounds(stages.arrays[node]), "m.scratch", at) for node, at in self.offsets.items()]
        self.code = CudaCode(stages, regions)
        self.source = self._text(names)

    def load(self):
        """Compile, and make the graphs. The step runs once: the caller brings back what it changed."""
        home, xp = self.home, self.home.xp
        self.scratch = xp.empty((max(self.length, 1),), self.stages.dtype)
        self.step, self._zero = (home.array(np.zeros(1, "int32")) for _ in range(2))
        size = sum(e.host.nbytes for e in self.inputs)
        self.capacity = max(UNROLLED, min(64, 2**24 // max(size, 1)))
        self.staging = [xp.empty((self.capacity, *e.host.shape), e.host.dtype) for e in self.inputs]
        module = home.module(self.source)
        self._kernels = [module.kernel(f"level{k}") for k in range(len(self.stages.levels))]
        self._tick = module.kernel("tick")
        self._arguments = [*(e.device for e in self.kept), *self.staging, self.scratch, self.step]
        self._calls = [self._products_of(level) for level in self.stages.levels]
        self.stages.devices = {}  # the arrays of the first step are free
        self._steps(1)  # loads all that a capture may not load
        self._graphs = {n: home.graph(lambda n=n: self._steps(n)) for n in (UNROLLED, 1)}
        return self

    def _text(self, names):
        pointers, lines = [*names.values(), "scratch"], []
        parameters = ", ".join(f"T* {name}" for name in pointers) + ", const int* step"
        members = [
            f"{name} + (size_t)*step * {e.length}" if e.is_input else name for e, name in names.items()
        ]
        for k, level in enumerate(self.stages.levels):
            lines += [f'extern "C" __global__ void __launch_bounds__({THREADS}) level{k}({parameters})', "{"]
            lines.append(f"    const Memory m = {{{', '.join([*members, 'scratch'])}}};")
            lines.append("    const int t = threadIdx.x;")
            first = 0
            for stage in level:
                name, items = self.code.calls[stage]
                blocks = _blocks(items)
                lines.append(f"    if (blockIdx.x >= {first} && blockIdx.x < {first + blocks})")
                start = f"(blockIdx.x - {first}) * {THREADS} + t"
                lines.append(
                    f"        for (int i = {start}; i < {items}; i += {blocks * THREADS}) {name}(m, i);"
                )
                first += blocks
            lines.append("}\n")
        lines.append('extern "C" __global__ void tick(int* step) { ++*step; }\n')
        return self.code.text(pointers, *lines)

    def _products_of(self, level):
        """The large products of a level: (a, b, out) on the device."""
        nodes = [s.total for s in level if s.total in self.stages.large]
        return [(*(self._device(x) for x in node.inputs), self._device(node)) for node in nodes]

    def _device(self, node):
        """The array of a node on the device."""
        below = self.stages.base(node)
        if node is not below:
            return self.stages.view_of(node, self._device(node.inputs[0]))
        host = self.stages.arrays[node]
        if node in self.offsets:
            start = self.offsets[node]
            return self.scratch[start : start + host.size].reshape(host.shape)
        return self.stages.devices[id(host)]

    def _steps(self, count):
        for _ in range(count):
            for level, kernel, products in zip(self.stages.levels, self._kernels, self._calls, strict=True):
                for a, b, out in products:
                    self.home.xp.matmul(a, b, out=out)
                blocks = sum(_blocks(self.code.calls[stage][1]) for stage in level)
                kernel((blocks,), (THREADS,), self._arguments)
            self._tick((1,), (1,), [self.step])

    def each(self, blocks, count):
        """The step for every first index of the inputs' blocks."""
        copy = self.home.xp.copyto
        for first in range(0, count, self.capacity):
            left = min(self.capacity, count - first)
            for staging, block in zip(self.staging, blocks, strict=True):
                copy(staging[:left], block[first : first + left])
            copy(self.step, self._zero)
            for n, graph in self._graphs.items():
                while left >= n:
                    graph.launch()
                    left -= n

    def __len__(self):
        return len(self.stages.levels) + 1 + len(self.stages.large)


def _blocks(items):
    return min(-(-items // THREADS), BLOCKS)


# ── a thread block per replica ──────────────────────────────────────────────────────────────────────────────


class Block:
    """A step as one launch for many steps, in which each thread block trains one replica on its own.

    What a replica is made of, and as much of what it computes as fits, lies in shared memory.

    stages  of one replica: engine.stages.Stages
    """

    by_replica, padded, items, large = True, True, 512, math.inf
    functions, threads = EXPRESSION.keys(), 1  # threads of the host

    def __init__(self, home, stages, size=256):
        self.home, self.stages, self.replicas, self.size = home, stages, stages.replicas, size
        self.inputs = [e for e in stages.externals if e.is_input]
        self.kept = [e for e in stages.externals if not e.is_input]
        wishes = [(e, -(-e.size // 4) * 4, 0, math.inf) for e in self.kept] + _wishes(stages, stages.own)
        limit = home.shared_memory // stages.dtype.itemsize
        self.shared, self.shared_length = arrange(wishes, limit)
        outside = [node for node in stages.own if node not in self.shared]
        self.outside, self.length = arrange(_wishes(stages, outside))
        names = _names((*self.kept, *self.inputs))
        regions = [(*e.bounds, f"m.{name}", 0) for e, name in names.items()]
        for place, name in ((self.shared, "m.shared"), (self.outside, "m.scratch")):
            nodes = [(node, offset) for node, offset in place.items() if node in stages.spans]
            regions += [(*bounds(stages.arrays[node]), name, offset) for node, offset in nodes]
        self.code = CudaCode(stages, regions)
        self.source = self._text(names)

    def load(self):
        """Compile."""
        self.scratch = self.home.xp.empty((max(self.length * self.replicas, 1),), self.stages.dtype)
        self._kernel = self.home.module(self.source).kernel("train")
        self.stages.devices = {}  # the arrays of the first step are free
        return self

    def _text(self, names):
        parameters = "".join(f"T* {name}, " for name in names.values())
        lines = [
            f'extern "C" __global__ void __launch_bounds__({self.size})',
            f"train({parameters}T* scratch, const int steps)",
            "{",
            "    DYNAMIC_SHARED(T, shared);",
            "    const int t = threadIdx.x;",
            "    const size_t replica = blockIdx.x;",
            "    Memory m;",
            "    m.shared = shared;",
            f"    m.scratch = scratch + replica * {self.length};",
        ]
        back, inputs = [], []
        for e, name in names.items():
            own = f"replica * {e.stride}"
            if e.is_input:
                inputs.append(f"        m.{name} = {name} + (size_t)step * {e.length} + {own};")
            elif e not in self.shared:
                lines.append(f"    m.{name} = {name} + {own};")
            else:
                loop = f"    for (int i = t; i < {e.size}; i += blockDim.x) "
                lines.append(f"    m.{name} = shared + {self.shared[e]};")
                lines.append(f"{loop}m.{name}[i] = {name}[{own} + i];")
                if e.is_written:
                    back.append(f"{loop}{name}[{own} + i] = m.{name}[i];")
        lines += ["    __syncthreads();", "    for (int step = 0; step < steps; ++step) {", *inputs]
        for level in self.stages.levels:
            lines += self._level(level)
        return self.code.text([*names.values(), "shared", "scratch"], *lines, "    }", *back, "}\n")

    def _level(self, level):
        """The stages of a depth: their items one after the other, each stage's from a new warp on."""
        ends, total = [], 0
        for stage in level:
            total += -(-self.code.calls[stage][1] // 32) * 32
            ends.append(total)
        yield f"        for (int i = t; i < {total}; i += blockDim.x) {{"
        start, word = 0, "if"
        for stage, end in zip(level, ends, strict=True):
            name, items = self.code.calls[stage]
            item = f"i - {start}" if start else "i"
            call = f"{name}(m, {item});"
            if end - start != items:
                call = f"{{ if ({item} < {items}) {call} }}"
            yield f"            {word} (i < {end}) {call}"
            start, word = end, "else if"
        yield "        }"
        yield "        __syncthreads();"

    def _apart(self, block):
        """A block of inputs that no step overwrites while it is read."""
        xp, whole = self.home.xp, owner(block)
        if any(owner(e.device) is whole for e in self.kept):
            return xp.array(block)
        return xp.ascontiguousarray(block)

    def each(self, blocks, count):
        """The step for every first index of the inputs' blocks."""
        blocks = [self._apart(block) for block in blocks]
        arguments = [*(e.device for e in self.kept), *blocks, self.scratch, np.int32(count)]
        size = self.shared_length * self.stages.dtype.itemsize
        self._kernel((self.replicas,), (self.size,), arguments, shared=size)

    def __len__(self):
        return 1
