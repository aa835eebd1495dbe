"""The stages of a step as launches on a GPU: one per depth, repeated as a CUDA graph.

They call the functions that cuda_code.py writes. The other way to run stages, a thread block per replica, is
in cuda_block.py.
"""

import numpy as np

from minigan.compiler.cuda_code import CudaCode
from minigan.compiler.expressions import EXPRESSION
from minigan.compiler.memory import view_of
from minigan.compiler.places import arrange, bounds, names_of
from minigan.compiler.stages import Target, base

LARGE = 2**22  # multiplications of a product, above which cuBLAS is worth a launch of its own
THREADS = 128  # of a thread block of a launch
BLOCKS = 1024  # of one stage of a launch, at most
UNROLLED = 10  # steps of a CUDA graph, so that launching it costs each step little
SMALL = 2**22  # multiplications of a step, up to which one thread block is sooner done than launches are
MANY = 16  # as many replicas make up for blocks that work as many times longer


def fastest(program):
    """The execution that should be the fastest on a GPU, by the size of a replica's step and their number."""
    products = [i for i in program.instructions if i.primitive.name == "matmul"]
    count = max((i.output.shape[0] for i in products if i.output.ndim > 2), default=1)
    work = sum(i.output.size * i.inputs[0].shape[-1] for i in products) / count
    return "block" if work <= SMALL * min(count, MANY) else "launches"


def _wishes(stages, nodes):
    """Scratch memory as `arrange` takes it: in elements, rounded up to 16 bytes, small pieces first."""
    step = 16 // stages.dtype.itemsize
    sizes = {node: -(-_length(stages.arrays[node]) // step) * step for node in nodes}
    return [(node, sizes[node], *stages.spans[node]) for node in sorted(nodes, key=sizes.get)]


def _length(array):
    return (array if array.base is None else array.base).size


# ── a launch per depth ──────────────────────────────────────────────────────────────────────────────────────


class Launches:
    """A step as a CUDA graph of one launch per depth.

    stages  of all replicas
    """

    target = Target(by_replica=False, items=4096, large=LARGE, padded=False, functions=EXPRESSION.keys())
    threads = 1  # of the host

    def __init__(self, home, stages):
        self.home, self.stages = home, stages
        self.inputs = [e for e in stages.externals if e.is_input]
        self.kept = [e for e in stages.externals if not e.is_input]
        self.offsets, self.length = arrange(_wishes(stages, stages.own))
        names = names_of((*self.kept, *self.inputs))
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
        below = base(node)
        if node is not below:
            return view_of(node, self._device(node.inputs[0]))
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
