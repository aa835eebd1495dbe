"""Turn the instructions of a program into fewer and cheaper ones: small passes over a graph of values.

A recorded program says what the eager step did; a plan says what has to be done. Each pass takes a Graph and
returns one that computes the same: bitwise (EXACT), or with sums in another order (ROUNDING), which is a few
units in the last place. ``print(program)`` shows the first and ``print(program.plan)`` the second. The passes
are in passes/; memory.py says where each value lives, and numpy_code.py writes the code that computes it.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from minigan.compiler import numpy_code
from minigan.compiler.graph import Graph, build, owner_of
from minigan.compiler.memory import Memory
from minigan.compiler.passes.merge import batch, layers, stack
from minigan.compiler.passes.products import bias, bias_gradients, dots, factors
from minigan.compiler.passes.replica_groups import Mould, Part, Replicas, run_groups, sizes
from minigan.compiler.passes.row_blocks import cut
from minigan.compiler.passes.simplify import columns, fold


def blocks(graph):
    """A large batch goes through in blocks of rows that fit the cache, dealt to threads."""

    def compile_part(part, inputs):
        for rewrite in (batch, bias_gradients, layers, dots):
            part = rewrite(part)
        memory = Memory(part.schedule(), inputs)
        return numpy_code.write(memory).compile([memory.inputs.get(id(a), a) for a in inputs])

    return cut(graph, compile_part)


class Pass(NamedTuple):
    """A rewrite of the graph that computes the same.

    rewrite  a function from one graph to another, in one of the files of passes/
    exact    whether every result keeps its bits; else sums are taken in another order, or a factor earlier
    after    the name of the pass without which it has nothing to do, if there is one
    """

    rewrite: Callable[[Graph], Graph]
    exact: bool
    after: str | None = None

    @property
    def name(self) -> str:
        """What it is called, in reports and where it is printed."""
        return self.rewrite.__name__

    @property
    def about(self) -> str:
        """What it does, one line for people."""
        return (self.rewrite.__doc__ or "").strip().partition("\n")[0]

    def __call__(self, graph: Graph) -> Graph:
        return self.rewrite(graph)

    def __repr__(self) -> str:
        return self.name


PASSES = (  # in the order in which they are applied
    Pass(fold, exact=True),
    Pass(columns, exact=False),
    Pass(bias, exact=False),
    Pass(blocks, exact=False),
    Pass(batch, exact=False),
    Pass(bias_gradients, exact=False),
    Pass(layers, exact=True, after="bias"),
    Pass(stack, exact=True),
    Pass(factors, exact=False),
    Pass(dots, exact=False),
)
ROUNDING = tuple(p for p in PASSES if not p.exact)
EXACT = tuple(p for p in PASSES if p.exact and p.after not in {rounding.name for rounding in ROUNDING})


class Plan:
    """What a program comes down to: a graph, where its values live, and the code that computes them.

    groups   plans of some replicas each, if there are many; graph, memory and code are then the first group's
    threads  how many threads share the work; with more than one, BLAS is to have one for each of them
    """

    def __init__(self, program, passes=PASSES, threads=1):
        """Raises:  UnplannableError – if the step assigns to a value that it computed"""
        ranges, count = sizes(program, threads) if passes else ([(0, 1)], 1)
        self.groups, self.threads = [], 1
        if len(ranges) > 1:
            self.threads = threads
            shares = [Replicas(first, last, count) for first, last in ranges]
            self.groups = _groups(program, shares, passes)
            self.graph, self.memory, self.code = (
                self.groups[0].graph,
                self.groups[0].memory,
                self.groups[0].code,
            )
            self.run = run_groups(shares, [plan.run for plan in self.groups], threads)
            return
        self.graph = build(program)
        self.graph.threads = threads
        for each in passes:
            self.graph = each(self.graph)
        if any(node.op == "segment" for node in self.graph.nodes):
            self.threads = threads
        seen = {id(owner_of(a)) for a in program.returned}  # by whoever holds the outputs
        movable = [buffer for buffer in program.inputs if id(buffer) not in seen]
        self.memory = Memory(self.graph.schedule(), movable)
        self.code = numpy_code.write(self.memory)
        self.run = self.code.compile([self.memory.inputs.get(id(a), a) for a in program.inputs])

    def each(self, blocks, count):
        """The step for every first index of the inputs' blocks."""
        self.run(zip(*blocks, strict=True) if blocks else [()] * count)

    def __len__(self):
        return len(self.code.statements)

    def __str__(self):
        return str(self.graph)

    def _repr_html_(self) -> str:
        from minigan.markup.html import box, code_table

        groups = f", the first of {len(self.groups)} groups of replicas" if self.groups else ""
        return box(f"Plan: {len(self)} lines of NumPy code{groups}", code_table(str(self).splitlines()))


def _groups(program, shares, passes):
    """The plans of all groups of replicas: one is made of each size, if the others can be moulded like it."""
    groups, moulds = [], {}
    for share in shares:
        first, mould = moulds.get(len(share), (0, None))
        if mould is not None:
            groups.append(mould.moved(share.first - first))
            continue
        groups.append(Plan(Part(program, share), passes))
        with suppress(LookupError):
            moulds[len(share)] = share.first, Mould(program, groups[-1], share.count)
    return groups
