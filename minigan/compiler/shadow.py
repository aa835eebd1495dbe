"""A device's program, mirrored on the host: the passes look at its arrays as at any others.

What belongs here: what stands for a device's arrays, and what of them outlives a step. The stages that are
then made of the graph are in stages.py.
"""

import math
import mmap

import numpy as np
from numpy.lib.array_utils import byte_bounds

from minigan import backend
from minigan.compiler.graph import VIEWS, UnplannableError, build
from minigan.compiler.passes.replica_groups import Part, Replicas, replica_axis, replicas_of
from minigan.compiler.passes.simplify import fold
from minigan.compiler.stages import Stages

LARGE = 2**15  # bytes, some pages


class Shadow:
    """A program whose arrays are stood in for by NumPy's of the same layout, which nobody reads or writes.

    So the passes can look at a device's arrays as at any others.
    """

    def __init__(self, program, home):
        self._home, self._blocks, self._arrays, self.devices = home, {}, {}, {}
        self.inputs = [self._host(a) for a in program.inputs]
        self.state = {name: self._host(a) for name, a in program.state.items()}
        self.returned = [self._host(a) for a in program.returned]
        self.constants = {}
        for array in program.constants.values():
            host = self._host(array)
            host[...] = home.to_host(array)
            self.constants[id(host)] = host
        self.instructions = [
            i._replace(
                inputs=[x if isinstance(x, (int, float)) else self._host(x) for x in i.inputs],
                output=self._host(i.output),
            )
            for i in program.instructions
        ]

    def owner(self, host):
        """What stands for the array that owns the memory which a host array looks at."""
        return self._host(backend.owner(self.devices[id(host)]))

    def _host(self, array):
        if id(array) not in self._arrays:
            owner = backend.owner(array)
            low, high = self._home.span(owner)
            if id(owner) not in self._blocks:
                self._blocks[id(owner)] = _untouched(high - low), owner
            backwards = sum(s * (n - 1) for n, s in zip(array.shape, array.strides, strict=True) if s < 0)
            memory, start = self._blocks[id(owner)][0], self._home.span(array)[0] - low - backwards
            host = np.ndarray(array.shape, array.dtype, memory, start, array.strides)
            self._arrays[id(array)], self.devices[id(host)] = (host, array), array
        return self._arrays[id(array)][0]


def _untouched(nbytes):
    """Bytes that have addresses, and where they are many take no memory until they are written."""
    return np.frombuffer(mmap.mmap(-1, nbytes), "uint8") if nbytes > LARGE else np.empty(nbytes, "uint8")


class External:
    """An array that outlives the step, as one replica sees it.

    name      of the state, or input0, output0 …
    device    the array; of an input its buffer, though it is given anew for each block of steps
    host      what stands for it
    stride    from one replica to the next, in elements; 0 of what all share
    length    of an input: from one step to the next
    """

    def __init__(self, name, device, host, count, is_input):
        self.name, self.device, self.is_input, self.is_written = name, device, is_input, False
        self.length, axis = math.prod(host.shape), replica_axis(host.shape, count) if count > 1 else None
        if axis and not is_input:  # a replica is in several pieces
            raise UnplannableError
        self.stride = 0 if axis is None else host.strides[axis] // host.itemsize
        self.size = self.length if axis is None else self.length // count
        self.host, self.bounds = host, byte_bounds(host)

    def meets(self, other):
        """Whether they share memory."""
        return self.bounds[0] < other.bounds[1] and other.bounds[0] < self.bounds[1]

    def holds(self, other):
        """Whether all memory of the other is here."""
        return self.bounds[0] <= other.bounds[0] and other.bounds[1] <= self.bounds[1]


def _externals(shadow, count):
    """What outlives the step: the inputs, the state, and what is returned of neither."""
    made = {f"output{k}": shadow.owner(a) for k, a in enumerate(shadow.returned)}
    lasting = sorted([*shadow.state.items(), *made.items()], key=lambda named: -named[1].nbytes)
    inputs = {f"input{k}": a for k, a in enumerate(shadow.inputs)}
    externals = []
    for name, array in (*inputs.items(), *lasting):
        external = External(name, shadow.devices[id(array)], array, count, name in inputs)
        if any(e.holds(external) and not e.is_input for e in externals):
            continue
        if not array.flags.c_contiguous or any(e.meets(external) for e in externals):
            raise UnplannableError
        externals.append(external)
    return externals


def stages_of(program, home, target):
    """The stages of a recorded program for a Target; they know of the program

    externals   the arrays that outlive the step
    replicas    how many replicas the stages stand for
    devices     {id of a host array of a load or a store: the device's array}

    Raises:  UnplannableError – if the step assigns to a value that it computed or to an input, if arrays that
             outlive it share memory, or if it has steps that only an array library can do
    """
    shadow = Shadow(program, home)
    count = replicas_of(shadow) if target.by_replica else 1
    externals = _externals(shadow, count)
    part = Part(shadow, Replicas(0, 1, count), shared=True) if count > 1 else shadow
    graph = fold(build(part))
    known = VIEWS | {"load", "store", "constant", "matmul", "sum"} | set(target.functions)
    if not {node.op for node in graph.nodes} <= known:
        raise UnplannableError
    for external in externals:
        external.is_written = bool(graph.overlapping(external.bounds))
        if external.is_written and (external.is_input or count > 1 and not external.stride):
            raise UnplannableError
    return Stages(graph, target, externals, count, shadow.devices)
