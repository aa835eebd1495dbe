"""A large batch in blocks of rows that fit the cache, dealt to threads.

What is computed row by row, from the inputs to the gradients that sum over rows, is cut out of the graph as
segments: D's pass and G's. A segment runs block by block, each thread on its own blocks, buffers and sums.
"""

import queue
import threading
from contextvars import copy_context

import numpy as np

from minigan.compiler.graph import Graph, Node

ROWS = 128  # of a block: with as many generated ones, the activations of wide layers fit a core's L2 cache
CACHE = 2**19  # bytes of a layer's activations from which blocks pay on one thread
SHARED = 2**16  # and from which a second thread does


class Segment:
    """The work on the rows of a batch: for each thread its blocks, and where it sums.

    runs    one function per thread, of the blocks it takes
    blocks  per thread, the slices of the inputs, block by block
    sums    per thread, the arrays that collect; the first thread's are the result
    """

    def __init__(self, runs, blocks, sums):
        self.runs, self.blocks, self.sums = runs, blocks, sums
        self.workers = [Worker() for _ in runs[1:]]

    def __call__(self):
        """Run all blocks; the sums are the first thread's when it returns."""
        run_shared(self.workers, self._share)
        for sums in self.sums[1:]:
            for total, part in zip(self.sums[0], sums, strict=True):
                np.add(total, part, total)

    def _share(self, k):
        for array in self.sums[k]:
            array[...] = 0.0
        self.runs[k](self.blocks[k])


class Worker:
    """A thread that waits for work; it ends with the program that owns it."""

    def __init__(self):
        self._work, self._done = queue.SimpleQueue(), queue.SimpleQueue()
        self._thread = None

    def start(self, function, *arguments):
        """Begin to call function(*arguments)."""
        if self._thread is None:
            self._thread = threading.Thread(target=_serve, args=(self._work, self._done), daemon=True)
            self._thread.start()
        self._work.put((copy_context().run, (function, *arguments)))  # with the caller's np.errstate

    def wait(self):
        """Wait for its end; what it raised, or None."""
        return self._done.get()

    def __del__(self):
        self._work.put(None)


def run_shared(workers, share, *arguments):
    """share(0, …) here and share(k, …) on the others; returns when all have ended, also if one fails."""
    for k, worker in enumerate(workers, 1):
        worker.start(share, k, *arguments)
    try:
        share(0, *arguments)
    finally:
        errors = [worker.wait() for worker in workers]
    for error in errors:
        if error is not None:
            raise error


def _serve(work, done):
    while (task := work.get()) is not None:
        function, arguments = task
        try:
            function(*arguments)
            done.put(None)
        except BaseException as error:
            done.put(error)
        del task, function, arguments


def cut(graph, compile_part):
    """The graph with its work on rows in segments, if the batch is large and nothing stands in the way.

    compile_part(graph, inputs) makes the function that runs a part on batches of its inputs.
    """
    rows = [n for n in graph.nodes if n.rows and n.op == "load"]
    largest = max((n.size * n.dtype.itemsize for n in graph.nodes if n.rows), default=0)
    if not rows or largest < (CACHE if graph.threads == 1 else SHARED):
        return graph
    batch = max(n.shape[-2] for n in rows)
    count = next((c for c in range(-(-batch // ROWS), batch) if batch % c == 0 and c % graph.threads == 0), 0)
    if count < 2 or not all(n.shape[-2] % count == 0 for n in graph.nodes if n.rows):
        return graph
    roots = _roots(graph)
    if not roots:
        return graph
    for stage in sorted({stage for _, stage in roots}):
        _segment(graph.refresh(), [node for node, s in roots if s == stage], count, compile_part)
    return graph.refresh()


def _roots(graph):
    """(value, stage) of all that sums over rows; empty if a row is needed otherwise.

    A stage ends where memory is written that the next one reads: D moves before G is judged.
    """
    users, stage, linear, roots = graph.users(), {}, set(), []
    for node in graph.schedule().nodes:
        own = [stage[x] for x in node.inputs if isinstance(x, Node)]
        if node.op == "load":
            own += [stage[s] + 1 for s in graph.overlapping(node.span) if s.time <= node.time]
        stage[node] = max(own, default=0)
        seen = [x for x in node.inputs if isinstance(x, Node) and _has_rows(x)]
        if node.rows or (node.op == "mT" and seen):
            if any(
                not _has_rows(x) and x.op not in ("load", "constant")
                for x in node.inputs
                if isinstance(x, Node)
            ):
                return []
            continue
        inner = [x for x in node.inputs if isinstance(x, Node)]
        added = (
            node.op == "add"
            and len(inner) == 2
            and all(x in linear and len(users[x]) == 1 and x.shape == node.shape for x in inner)
        )
        if (
            (node.op == "matmul" and len(seen) == 2 and node.inputs[0].op == "mT" and node.inputs[1].rows)
            or (node.op == "sum" and seen)
            or added
        ):
            linear.add(node)
        elif seen:
            return []
    for node in graph.nodes:
        if node in linear and not all(user in linear for user in users[node]):
            roots.append((node, stage[node]))
    return roots


def _has_rows(node):
    return node.rows or (node.op == "mT" and node.inputs[0].rows)


def _segment(graph, roots, count, compile_part):
    """Cut the values out of the graph: a segment computes them, stores and results say where they are."""
    users = graph.users()
    targets, readers = [], {}
    for root in roots:
        stores = [user for user in users[root] if user.op == "store"]
        alone = len(stores) == len(users[root]) == 1
        targets.append(stores[0].array if alone else np.zeros(root.shape, root.dtype))
        readers[root] = stores[0] if alone else None
    runs, blocks, sums = [], [], []
    for thread in range(graph.threads):
        private = {}
        own = [a if thread == 0 else _elsewhere(a, private) for a in targets]
        part, slices, loads = _part(graph, roots, own, count)
        share = range(thread * count // graph.threads, (thread + 1) * count // graph.threads)
        runs.append(compile_part(part, [buffer for buffer, _ in slices]))
        blocks.append([[_block(a, k, count) for _, a in slices] for k in share])
        sums.append(own)
    segment = Node("segment", loads, {"call": Segment(runs, blocks, sums)}, shape=(), dtype=roots[0].dtype)
    segment.time = max(root.time for root in roots)
    for root, target in zip(roots, targets, strict=True):
        if readers[root] is not None:
            readers[root].inputs = (segment,)
        else:
            root.become("result", segment)
            root.array = target


def _part(graph, roots, targets, count):
    """A graph of one block: new nodes with fewer rows, that add to the targets."""
    new, slices, loads = {}, [], []

    def copy(node):
        if not isinstance(node, Node):
            return node
        if node in new:
            return new[node]
        shape = list(node.shape)
        if node.rows:
            shape[-2] //= count
        elif node.op == "mT" and node.inputs[0].rows:
            shape[-1] //= count
        like = {
            "shape": shape,
            "dtype": node.dtype,
            "rows": node.rows,
            "order": node.order,
            "time": node.time,
        }
        if node.op == "load":
            array = node.array
            if node.rows:
                array = np.zeros(shape, node.dtype)
                slices.append((array, node.array))
            else:
                loads.append(node)
            like["time"] = -1
            new[node] = Node("load", array=array, **like)
        else:
            new[node] = Node(node.op, [copy(x) for x in node.inputs], node.params, **like)
            if node.op == "ones":
                part.extended[new[node].inputs[0]] = new[node]
        return new[node]

    part = Graph([])
    for k, (root, target) in enumerate(zip(roots, targets, strict=True)):
        value = copy(root)
        store = Node(
            "store", [value], {"add": True}, shape=root.shape, dtype=root.dtype, array=target, time=k
        )
        part.stores.append(store)
    return part.refresh(), slices, loads


def _block(array, k, count):
    rows = array.shape[-2] // count
    return array[..., k * rows : (k + 1) * rows, :]


def _elsewhere(array, copies):
    """The same view of a copy of its memory, so that neighbours stay neighbours."""
    owner = array if array.base is None else array.base
    if id(owner) not in copies:
        copies[id(owner)] = np.zeros(owner.nbytes, "uint8")
    offset = array.ctypes.data - owner.ctypes.data
    return np.ndarray(array.shape, array.dtype, copies[id(owner)], offset, array.strides)
