"""A step as native code of the CPU: one C function per stage, a main loop of one line per stage, one call.

Work on the rows of a batch goes through in blocks that stay in the cache. The text depends on shapes and
types alone: the numbers in it, rates and weights, are a table that each call is given. Replicas are dealt to
threads; one GAN has one thread. Sums are taken in an order that depends on shapes alone, so that bits depend
neither on threads nor on how many replicas there are, nor on how many steps a call makes.
"""

import ctypes
import math
import re

import numpy as np

from minigan.compiler import c_compiler
from minigan.compiler.expressions import C_TYPE, EXPRESSION, literal
from minigan.compiler.graph import VIEWS
from minigan.compiler.memory import view_of
from minigan.compiler.native_code import Loops
from minigan.compiler.passes.row_blocks import Worker, run_shared
from minigan.compiler.places import arrange, bounds, names_of
from minigan.compiler.regions import Regions
from minigan.compiler.stages import Target, base

CACHE, LINE = 2**15, 64  # bytes of a block's widest value, and of a line of the cache
WEIGHTS, CACHE_OF_HEAVY = 2**19, 2**18  # factors that do not stay in the cache are read for more rows at once
WRITTEN = (0.0, 1.0, -1.0, 0.5, 2.0)  # numbers that stay in the text, since they are the formula's

CLOCK = """#include <time.h>
static long long spent[{}];
static long long now(void)
{{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}}
#define TIMED(k, call) {{ const long long begin = now(); call spent[k] += now() - begin; }}
EXPORT long long* times(void) {{ return spent; }}
"""


class Native:
    """A step as one call for many steps of some replicas.

    source   what is compiled
    numbers  what the source calls m->numbers
    """

    target = Target(
        by_replica=True, items=1, large=math.inf, padded=False, functions=EXPRESSION.keys(), recompute=3,
        spread=2,
    )  # fmt: skip

    def __init__(self, home, stages, threads=1):
        self.stages, self.threads = stages, min(threads, stages.replicas)
        self.line = LINE // stages.dtype.itemsize
        self.regions = Regions(stages)
        self._find_guests()
        self._inputs = [e for e in stages.externals if e.is_input]
        self._names = names_of((*(e for e in stages.externals if not e.is_input), *self._inputs))
        self._divide()
        self._places = [(*e.bounds, name, 0, 0) for e, name in self._names.items()]
        self._arrange()
        self.numbers, self._number_of = [], {}
        self._turned, self._makers, self._copies_length = {}, [], 0
        self._kernels, self._products = {}, []
        self.functions = {
            stage: Loops(self, stage, self._title(k, stage)) for k, stage in enumerate(self.regions.all)
        }
        self.source = self._text()

    def _title(self, k, stage):
        return f"stage{k}_{stage.total.op if stage.total else 'map'}"

    # ── which sums are taken along the way ──────────────────────────────────────────────────────────────

    def _find_guests(self):
        """Sums over rows that another stage takes, which makes or reads what they add up: guest and host."""
        self.guests, self.host = {}, {}
        r, at = self.regions, {stage: k for k, stage in enumerate(self.regions.all)}
        terms = {stage: set() for stage in r.all}
        for leaf, readers in self.stages.reads.items():
            for stage, _, summed in readers:
                if summed == (r.kind[stage] == "sums"):
                    terms[stage].add(leaf)
        for x in r.all:
            width = max(x.shape[-2:], default=0)
            if r.kind[x] != "sums" or width == 1 or x.total.op == "matmul" and min(x.shape[-2:]) > 1:
                continue
            wide = {leaf for leaf in terms[x] if leaf.rows and leaf.shape[-2:] == (r.batch, width)}
            made = [at[home] for leaf in terms[x] if (home := self.stages.home.get(leaf))]
            for host in r.all[max(made, default=0) :]:
                near = wide & {*terms[host], *host.outputs}
                if near and r.phase[host] == r.phase[x] and self._may_have_guests(host, width):
                    self.guests.setdefault(host, []).append(x)
                    self.host[x] = host
                    break
        self.unread = {n for n in r.local if self._is_unread(n)}

    def _is_unread(self, node):
        """Whether nobody but sums that are taken where a value is made reads it."""
        home, readers = self.stages.home[node], self.stages.reads.get(node, ())
        seen = (x.inputs[0] if x.op == "mT" else x for _, x, _ in readers)
        return all(self.host.get(x) is home for x, *_ in readers) and all(x is node for x in seen)

    def _may_have_guests(self, stage, width):
        """Whether its loops go over rows and, in vectors, over so many columns."""
        total = stage.total
        if self.regions.kind[stage] != "rows" or stage.shape[-1] != width:
            return False
        return total is None or total.op == "matmul" and all(base(x).op != "constant" for x in total.inputs)

    # ── where values live ───────────────────────────────────────────────────────────────────────────────

    def _divide(self):
        """The rows of a block."""
        batch = max(self.regions.batch, 1)
        widest = max((n.shape[-1] for n in self.regions.local), default=1) * self.stages.dtype.itemsize
        factors = [x.total.inputs[1] for x in self.regions.all if x.total and x.total.op == "matmul"]
        heavy = max((x.size * x.dtype.itemsize for x in factors if not base(x).rows), default=0) > WEIGHTS
        self.rows = min(batch, max(8, (CACHE_OF_HEAVY if heavy else CACHE) // widest // 8 * 8))
        self.even = batch % 8 == self.rows % 8 == 0  # blocks are whole tiles

    def _arrange(self):
        """Scratch memory of a whole step, and what blocks of rows keep to themselves."""
        s, r = self.stages, self.regions
        wishes = [
            (x, self._lines(math.prod(x.shape)), r.phase[x], r.phase[x]) for x in r.all if r.kind[x] == "sums"
        ]
        local = set(r.local)
        for n in s.own:
            if n not in local:
                ends = [r.phase[stage] for stage, *_ in s.reads.get(n, ())]
                first = r.phase[s.home[n]]
                wishes.append((n, self._lines(n.size), first, max([first, *ends])))
        self.shared, self._shared_length = arrange(sorted(wishes, key=lambda wish: wish[1]))
        for n, at in self.shared.items():
            if n in s.spans:
                self._places.append((*bounds(s.arrays[n]), "scratch", at, 0))
        wishes, at = [], {stage: k for k, stage in enumerate(r.all)}
        at |= {stage: at[host] for stage, host in self.host.items()}
        for n in (n for n in r.local if n not in self.unread):
            rows = max(2, self.rows)  # of one row there would be no stride
            s.arrays[n] = np.empty((*n.shape[:-2], rows, n.shape[-1]), n.dtype)
            last = max([at[s.home[n]], *(at[stage] for stage, *_ in s.reads.get(n, ()))])
            wishes.append((n, self._lines(s.arrays[n].size), at[s.home[n]], last))
        for n in s.graph.nodes:
            if n.op in VIEWS and base(n) in local:
                s.arrays[n] = self._view(n, s.arrays[n.inputs[0]])
        own, self._own_length = arrange(sorted(wishes, key=lambda wish: wish[1]))
        for n, at in own.items():
            self._places.append((*bounds(s.arrays[n]), "own", at, n.shape[-1]))

    def _view(self, node, array):
        """A view of what a block has."""
        if node.op == "mT":
            return view_of(node, array)
        return np.broadcast_to(array, (*node.shape[:-2], array.shape[-2], node.shape[-1]))

    def _lines(self, length):
        """Elements for so many, in whole lines of the cache."""
        return -(-length // self.line) * self.line

    # ── what the functions ask for ──────────────────────────────────────────────────────────────────────

    def element(self, array, at):
        """An array's element at these coordinates, by a pointer to its first."""
        first = array.__array_interface__["data"][0]
        low, _, name, start, width = next(r for r in self._places if r[0] <= first < r[1])
        terms = []
        for n, stride, i in zip(array.shape[::-1], array.strides[::-1], at[::-1], strict=False):
            if n > 1 and stride and i != "0":
                step = stride // array.itemsize
                if width and step == width:  # the rows of a block
                    if i == "lo":
                        continue
                    i = f"({i} - lo)"
                terms.append(i if step == 1 else f"{i} * {step}")
        return f"{name}_{start + (first - low) // array.itemsize}[{' + '.join(terms) or 0}]"

    def scratch(self, at, index):
        """An element of scratch memory."""
        return f"scratch_{at}[{index}]"

    def number(self, value, dtype, key):
        """A number of the step: of the formula, as it stands; else from the table."""
        if value in WRITTEN:
            return literal(value, dtype)
        if key not in self._number_of:
            self._number_of[key] = len(self.numbers)
            self.numbers.append(value)
        return f"number_{self._number_of[key]}"

    def copy(self, length):
        """A place for a matrix that is copied."""
        at, self._copies_length = self._copies_length, self._copies_length + self._lines(length)
        return f"copies_{at}[0]"

    def kernel(self, rows, m, terms, an, ak, bk):
        """The name of a function that makes so many rows of a product; written once for all stages.

        Of so many terms; of as many as a call says if they are None, and then added to what is there.
        """
        key = rows, m, terms, an, ak, bk
        if key not in self._kernels:
            name = self._kernels[key] = f"product{len(self._kernels)}"
            head = f"static NOINLINE void {name}(const Index K, const T* a, const T* b, T* restrict c)"
            more = int(terms is None)
            body = f"product({more}, {rows}, {m}, {terms or 'K'}, a, {an}, {ak}, b, {bk}, c);"
            self._products.append(f"{head}\n{{\n    {body}\n    WRITTEN;\n}}\n")
        return self._kernels[key]

    def dots(self, terms, an):
        """The name of a function that makes products of rows with one column."""
        key = terms, an
        if key not in self._kernels:
            name = self._kernels[key] = f"product{len(self._kernels)}"
            head = f"static NOINLINE void {name}(const Index n, const T* a, const T* b, T* restrict c)"
            self._products.append(f"{head}\n{{\n    dots(n, {terms}, a, {an}, b, c);\n    WRITTEN;\n}}\n")
        return self._kernels[key]

    def turned(self, stage, node, turn, length):
        """A pointer to a transposed factor, which is copied once, before the region of the stage."""
        key = self.regions.phase[stage], node
        if key not in self._turned:
            self._turned[key] = self.copy(length)
            name, place = f"turn{len(self._makers)}", self._turned[key]
            body = f"    {turn}&{place});"
            head = f"static void {name}(const Memory* restrict m)"
            lines = [head, "{", *self.pointers(body), body, "    WRITTEN;", "}\n"]
            self._makers.append((key[0], name, "\n".join(lines)))
        return f"&{self._turned[key]}"

    def pointers(self, body):
        """The declarations of what a function's body reads and writes."""
        found = set(re.findall(r"\b([A-Za-z_]\w*)_(\d+)\[", body))
        known = {*self._names.values(), "scratch", "own", "copies"}
        lines = [
            f"    T* const {name}_{at} = m->{name} + {at};"
            for name, at in sorted(found, key=lambda x: (x[0], int(x[1])))
            if name in known
        ]
        numbers = sorted({int(k) for k in re.findall(r"\bnumber_(\d+)\b", body)})
        return lines + [f"    const T number_{k} = m->numbers[{k}];" for k in numbers]

    # ── the main loop ───────────────────────────────────────────────────────────────────────────────────

    def _text(self, timed=False):
        names = self._names
        members = "".join(f" T* {name};" for name in (*names.values(), "scratch", "own", "copies"))
        head = [
            "#define DOUBLE\n" * (self.stages.dtype == np.float64)
            + f"typedef {C_TYPE[self.stages.dtype.name]} T;",
            c_compiler.HEADER.read_text(encoding="utf-8"),
            f"typedef struct {{{members} const T* numbers; }} Memory;\n",
        ]
        steps = list(self._step())
        if timed:
            places = (k for k, line in enumerate(steps) if "(m" in line and "memset" not in line)
            for number, k in enumerate(places):
                steps[k] = f"    TIMED({number}, {steps[k].strip()})"
            head.append(CLOCK.format(len(steps)))
        lines = ["static void step(const Memory* restrict m)", "{", *steps, "}\n"]
        lines += [
            "EXPORT void train(T* const* arrays, const T* numbers, T* scratch, T* own, T* copies,",
            "                  long long first, long long last, long long steps)",
            "{",
            "    for (long long replica = first; replica < last; ++replica)",
            "        for (long long k = 0; k < steps; ++k) {",
            "            const Memory memory = {",
        ]
        for k, e in enumerate(names):
            move = f" + k * {e.length}LL" if e.is_input else ""
            lines.append(f"                arrays[{k}]{move} + replica * {e.stride}LL,  // {names[e]}")
        lines += [
            "                scratch, own, copies, numbers};",
            "            step(&memory);",
            "        }",
            "}",
        ]
        makers = [text for _, _, text in self._makers]
        return "\n".join(
            [*head, *self._products, *makers, *(f.text for f in self.functions.values()), *lines, ""]
        )

    def timed(self):
        """The source with a clock around each line of the step, which adds to times(); their functions."""
        lines = [line.strip() for line in self._step() if "(m" in line and "memset" not in line]
        return self._text(timed=True), [line.partition("(")[0] for line in lines]

    def _step(self):
        """The lines of a step."""
        for phase in range(-1, max(self.regions.phase.values(), default=-1) + 1):
            yield from self._phase(phase)

    def _phase(self, phase):
        """A region, block by block, then what comes after it; a line per stage."""
        r = self.regions
        stages = [x for x in r.all if r.phase[x] == phase]
        for at, name, _ in self._makers:
            if at == phase:
                yield f"    {name}(m);"
        inside = [x for x in stages if r.kind[x] != "plain"]
        for x in inside:
            if r.kind[x] == "sums":
                yield f"    memset({self._sum(x)}, 0, {math.prod(x.shape)} * sizeof(T));"
        if inside:
            yield f"    for (Index lo = 0, hi; lo < {r.batch}; lo = hi) {{"
            yield f"        hi = lo + {self.rows} < {r.batch} ? lo + {self.rows} : {r.batch};"
            for x in inside:
                if x not in self.host:
                    sums = [x] if r.kind[x] == "sums" else self.guests.get(x, ())
                    more = "".join(f", {self._sum(total)}" for total in sums)
                    yield f"        {self.functions[x].name}(m, lo, hi{more});"
            yield "    }"
        for x in stages:
            if r.kind[x] != "rows":
                yield f"    {self.functions[x].name}{'_end' * (r.kind[x] == 'sums')}(m);"

    def _sum(self, stage):
        return f"m->scratch + {self.shared[stage]}"

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────

    def load(self):
        """Compile, or take what was compiled before.    Raises:  CompilerError – with why neither works"""
        self._train = c_compiler.load(self.source)
        size = self.stages.dtype.itemsize
        lengths = self._shared_length, self._own_length, self._copies_length
        memory = [[_aligned(n * size) for n in lengths] for _ in range(self.threads)]
        numbers = np.array(self.numbers, self.stages.dtype)
        self._memory = numbers, memory  # whose addresses alone are handed over
        self._own = [[_address(a) for a in (numbers, *pieces)] for pieces in memory]
        self._lasting = {e: _address(e.device) for e in self._names if not e.is_input}
        self._bounds = [(at, at + e.device.nbytes) for e, at in self._lasting.items()]
        self._workers = [Worker() for _ in range(self.threads - 1)]
        self.stages.devices = {}  # the arrays of the first step are free
        return self

    def _apart(self, block):
        """A block of inputs in one piece, which no step overwrites while it is read, and its address."""
        block = np.ascontiguousarray(block)
        first = _address(block)
        last = first + block.nbytes
        if any(begin < last and first < end for begin, end in self._bounds):
            block = block.copy()
            first = _address(block)
        return block, first

    def each(self, blocks, count):
        """The step for every first index of the inputs' blocks."""
        given = [self._apart(block) for block in blocks]
        found = self._lasting | {e: at for e, (_, at) in zip(self._inputs, given, strict=True)}
        pointers = (ctypes.c_void_p * len(found))(*(found[e] for e in self._names))
        replicas, threads = self.stages.replicas, self.threads

        def share(k):
            edges = k * replicas // threads, (k + 1) * replicas // threads
            self._train(pointers, *self._own[k], *edges, count)

        if threads == 1:
            share(0)
        else:
            run_shared(self._workers, share)

    def __len__(self):
        return len(self.functions)

    def __str__(self):
        return str(self.stages)

    def _repr_html_(self) -> str:
        from minigan.markup.html import box, lines_of_code

        return box(
            f"Plan: {len(self)} stages of C code, depth: a stage → what it writes", lines_of_code(str(self))
        )


def _address(array):
    """Of its first element; an array's own `ctypes` takes longer."""
    return array.__array_interface__["data"][0]


def _aligned(nbytes):
    """Bytes that begin with a line of the cache."""
    memory = np.zeros(nbytes + LINE, np.uint8)
    return memory[-memory.ctypes.data % LINE :]
