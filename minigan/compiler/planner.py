"""Turn the instructions of a program into fewer and cheaper ones: small passes over a graph of values.

A recorded program says what the eager step did; a plan says what has to be done. Each pass takes a Graph and
returns one that computes the same: bit for bit (EXACT), or with sums in another order (ROUNDING), which is a
few units in the last place. ``print(program)`` shows the first and ``print(program.plan)`` the second.
simplify.py, products.py and merging.py are the passes, blocks.py and groups.py cut large work for caches and
threads, memory.py says where each value lives, and compiler/numpy_code.py writes the code that computes it.
"""

from minigan.compiler import numpy_code
from minigan.compiler.graph import build, owner_of
from minigan.compiler.memory import Memory
from minigan.compiler.passes.merge import batch, layers, stack
from minigan.compiler.passes.products import bias, bias_gradients, dots, factors
from minigan.compiler.passes.replica_groups import Part, run_groups, sizes
from minigan.compiler.passes.row_blocks import cut
from minigan.compiler.passes.simplify import columns, fold


def blocks(graph):
    """A large batch goes through in blocks of rows that fit the cache, dealt to threads: see blocks.py."""

    def compile_part(part, inputs):
        for rewrite in (batch, bias_gradients, layers, dots):
            part = rewrite(part)
        memory = Memory(part.schedule(), inputs)
        return numpy_code.write(memory).compile([memory.inputs.get(id(a), a) for a in inputs])

    return cut(graph, compile_part)


EXACT = (fold, stack)  # and layers, which has nothing to do before `bias`
ROUNDING = (columns, bias, blocks, batch, bias_gradients, factors, dots)
PASSES = (fold, columns, bias, blocks, batch, bias_gradients, layers, stack, factors, dots)


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
            parts = [Part(program, first, last, count) for first, last in ranges]
            self.groups = [Plan(part, passes) for part in parts]
            self.graph, self.memory, self.code = (
                self.groups[0].graph,
                self.groups[0].memory,
                self.groups[0].code,
            )
            self.run = run_groups(parts, [plan.run for plan in self.groups], threads)
            return
        self.graph = build(program)
        self.graph.threads = threads
        for rewrite in passes:
            self.graph = rewrite(self.graph)
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
        return len(self.code.lines)

    def __str__(self):
        return str(self.graph)
