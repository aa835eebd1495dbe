"""Many replicas in groups that fit the cache, dealt to threads.

Replicas do not know each other, so a group runs many steps before the next one begins, each with the bits it
has in one piece; and threads need not wait for each other within a block of steps.
"""

import numpy as np

from minigan import backend
from minigan.compiler.passes.row_blocks import Worker, run_shared

CACHE = 2**17  # bytes of the largest value of a group, some ten of which are in use at a time


class Part:
    """A program of some of the replicas: the same instructions on slices of the same arrays.

    shared  whether inputs that all replicas are given are the same arrays too
    """

    def __init__(self, program, first, last, count, shared=False):
        # Else they have a buffer in each part: threads are not at the same step.
        common = [] if shared else [a for a in program.inputs if replica_axis(a.shape, count) is None]
        shared = {id(a): (a.copy(), a) for a in common}
        self._range, self._count, self._arrays = slice(first, last), count, dict(shared)
        self.state = {}  # it has no replicas to divide further
        self.constants = {id(self._slice(a)): self._slice(a) for a in program.constants.values()}
        self.inputs = [self._slice(a) for a in program.inputs]
        self.returned = [self._slice(a) for a in program.returned]
        self.instructions = []
        for i in program.instructions:
            inputs = [x if isinstance(x, (int, float)) else self._slice(x) for x in i.inputs]
            params = {key: self._shape(v) if key == "shape" else v for key, v in i.params.items()}
            if i.is_view and id(backend.owner(i.output)) in shared:  # of the copy
                self._arrays[id(i.output)] = i.kernel(np, *inputs, **params), i.output
            self.instructions.append(i._replace(inputs=inputs, params=params, output=self._slice(i.output)))

    def _slice(self, array):
        # With the array, which is kept alive, so that its id stays its own.
        return self._arrays.setdefault(id(array), (self.take(array), array))[0]

    def _shape(self, shape):
        axis = replica_axis(shape, self._count)
        if axis is None:
            return shape
        return (*shape[:axis], self._range.stop - self._range.start, *shape[axis + 1 :])

    def take(self, array):
        """The replicas of this part of an input."""
        axis = replica_axis(array.shape, self._count)
        return array if axis is None else array[(slice(None),) * axis + (self._range,)]


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


def run_groups(parts, runs, threads):
    """run(batches) of all groups: each thread takes its groups one after the other, through all batches."""
    workers = [Worker() for _ in range(threads - 1)]

    def share(k, batches):
        for part, run in list(zip(parts, runs, strict=True))[k::threads]:
            run([[part.take(a) for a in arrays] for arrays in batches])

    def run(batches):
        batches = list(batches)
        run_shared(workers, share, batches)

    return run
