"""Many replicas in groups that fit the cache, dealt to threads.

Replicas do not know each other, so a group runs many steps before the next one begins, each with the bits it
has in one piece; and threads need not wait for each other within a block of steps.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from minigan import backend
from minigan.compiler.numpy_code import SUM, Scalar
from minigan.compiler.passes.row_blocks import Worker, run_shared

CACHE = 2**17  # bytes of the largest value of a group, some ten of which are in use at a time


class Replicas:
    """Some neighbours among so many replicas: the first, and the one after the last."""

    def __init__(self, first, last, count):
        self.first, self.last, self.count = first, last, count

    def __len__(self):
        return self.last - self.first

    def take(self, array):
        """These replicas of an array; all of one that does not know of replicas."""
        axis = replica_axis(array.shape, self.count)
        return array if axis is None else array[(slice(None),) * axis + (slice(self.first, self.last),)]

    def shape(self, shape):
        """The shape of ``take`` of an array of that shape."""
        axis = replica_axis(shape, self.count)
        return shape if axis is None else (*shape[:axis], len(self), *shape[axis + 1 :])


class Part:
    """A program of some of the replicas: the same instructions on slices of the same arrays.

    shared  whether inputs that all replicas are given are the same arrays too
    """

    def __init__(self, program, replicas, shared=False):
        # Else they have a buffer in each part: threads are not at the same step.
        common = (
            [] if shared else [a for a in program.inputs if replica_axis(a.shape, replicas.count) is None]
        )
        shared = {id(a): (a.copy(), a) for a in common}
        self._replicas, self._arrays = replicas, dict(shared)
        self.state = {}  # it has no replicas to divide further
        self.constants = {id(self._slice(a)): self._slice(a) for a in program.constants.values()}
        self.inputs = [self._slice(a) for a in program.inputs]
        self.returned = [self._slice(a) for a in program.returned]
        self.instructions = []
        for i in program.instructions:
            inputs = [x if isinstance(x, (int, float)) else self._slice(x) for x in i.inputs]
            params = {key: replicas.shape(v) if key == "shape" else v for key, v in i.params.items()}
            if i.is_view and id(backend.owner(i.output)) in shared:  # of the copy
                self._arrays[id(i.output)] = i.kernel(np, *inputs, **params), i.output
            self.instructions.append(i._replace(inputs=inputs, params=params, output=self._slice(i.output)))

    def _slice(self, array):
        # With the array, which is kept alive, so that its id stays its own.
        return self._arrays.setdefault(id(array), (self._replicas.take(array), array))[0]


class Moved:
    """The plan of a group as another group of as many replicas has it: the same lines on its own memory.

    memory  of the group that was planned: as large, at another place
    """

    def __init__(self, plan, run):
        self.graph, self.memory, self.code, self.run = plan.graph, plan.memory, plan.code, run

    def __str__(self):
        return str(self.graph)


class Place(NamedTuple):
    """Where an array of a plan lies: so many bytes after the start of some memory.

    own   whether that is the plan's own, and not the program's
    step  bytes to the same of the next replica
    """

    memory: np.ndarray
    own: bool
    start: int
    step: int


class Mould:
    """What makes plans like one of a group, for groups of as many replicas: planning would take far longer.

    What lies in memory of the program that has an axis of replicas lies so many of its steps farther on; what
    the lines name beside the program's memory is the plan's own, and copied.

    Raises:  LookupError – where that is not sure: of lines that hide what they use, as those of threads
    """

    def __init__(self, program, plan, count):
        self.plan, self._places, memories = plan, {}, _memories(program, count)
        for name, x in plan.code.names.items():
            if isinstance(x, np.ndarray):
                self._places[name] = _place(x, memories)
            elif not isinstance(x, (np.ufunc, np.generic, Scalar)) and x not in (np.dot, SUM):
                raise LookupError

    def moved(self, by):
        """The plan of the group so many replicas farther on."""
        bytes_of, names = {}, dict(self.plan.code.names)
        for name, (memory, own, start, step) in self._places.items():
            a = names[name]
            if id(memory) not in bytes_of:
                seen = memory.reshape(-1).view("uint8")
                bytes_of[id(memory)] = _copy(seen) if own else seen
            names[name] = np.ndarray(a.shape, a.dtype, bytes_of[id(memory)], start + by * step, a.strides)
            names[name].flags.writeable = a.flags.writeable
        return Moved(self.plan, self.plan.code.bind(names))


def _memories(program, count):
    """(first byte, byte after the last, memory, {steps from one replica to the next}) of what it names."""
    found = {}
    called = (a for i in program.instructions for a in (i.output, *i.inputs))
    for a in (*program.inputs, *program.returned, *called):
        if isinstance(a, np.ndarray):
            owner, axis = backend.owner(a), replica_axis(a.shape, count)
            steps = found.setdefault(id(owner), (*byte_bounds(owner), owner, set()))[3]
            steps |= set() if axis is None else {a.strides[axis]}
    return list(found.values())


def _place(a, memories):
    """Where an array lies.    Raises:  LookupError – where that is not sure"""
    low, high = byte_bounds(a)
    memory, own, step = backend.owner(a), True, 0
    for first, last, owner, steps in memories:
        if first < high and low < last:
            if not (first <= low and high <= last and len(steps) <= 1):
                raise LookupError
            memory, own, step = owner, False, max(steps, default=0)
    if not memory.flags.c_contiguous:
        raise LookupError
    start = a.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
    return Place(memory, own, start, step)


def _copy(memory):
    """A copy at the same place of its page."""
    space = np.empty(memory.nbytes + 4096, "uint8")
    start = (memory.ctypes.data - space.ctypes.data) % 4096
    copy = space[start : start + memory.nbytes]
    copy[...] = memory
    return copy


def replica_axis(shape, count):
    """Where an array of this shape has the replicas: (R, n) of an optimiser, (…, R, B, n) of a batch."""
    axis = len(shape) - 3 if len(shape) > 2 else 0
    return axis if len(shape) > 1 and shape[axis] == count else None


def replicas_of(program):
    """How many replicas a program trains; 1 if it cannot be said that they are independent."""
    counts = {a.shape[0] if a.ndim > 1 else 1 for a in program.state.values()}
    if len(counts) != 1:
        return 1
    (count,) = counts
    for i in program.instructions:
        shapes = [i.output.shape, *(x.shape for x in i.inputs if not isinstance(x, (int, float)))]
        if len({min(len(shape), 3) for shape in shapes if len(shape) > 1 and shape[0] != 1}) > 1:
            return 1  # rows that all replicas share
        for shape in shapes:
            if len(shape) > 1 and replica_axis(shape, count) is None and shape[max(len(shape) - 3, 0)] != 1:
                return 1
        if i.primitive.name in ("matmul", "mT", "reshape") and min(i.output.ndim, i.inputs[0].ndim) < 3:
            return 1
        if i.primitive.name in ("getitem", "embed") and not isinstance(i.params["key"], int):
            return 1
        if i.primitive.name == "sum" and replica_axis(i.inputs[0].shape, count) in {
            a % i.inputs[0].ndim for a in i.params["axis"]
        }:
            return 1
    return count


def sizes(program, threads):
    """The (first, last) replica of each group; one group if there is nothing to gain."""
    count = replicas_of(program)
    if count == 1:
        return [(0, 1)], 1
    sized = (i.output.nbytes for i in program.instructions if not i.is_view and i.output.ndim > 2)
    largest = max(sized, default=0)
    groups = min(count, -(-largest // CACHE))
    if groups >= threads:  # smaller ones are not worth a thread
        groups = -(-groups // threads) * threads  # as many for each
    edges = np.linspace(0, count, min(groups, count) + 1).round().astype(int).tolist()
    return list(zip(edges[:-1], edges[1:], strict=True)), count


def run_groups(shares, runs, threads):
    """run(batches) of all groups: each thread takes its groups one after the other, through all batches."""
    workers = [Worker() for _ in range(threads - 1)]

    def share(k, batches):
        for replicas, run in list(zip(shares, runs, strict=True))[k::threads]:
            run([[replicas.take(a) for a in arrays] for arrays in batches])

    def run(batches):
        batches = list(batches)
        run_shared(workers, share, batches)

    return run
