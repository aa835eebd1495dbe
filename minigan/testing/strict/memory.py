"""Memory of the strict device: pools, and what freed and unwritten memory holds."""

import threading
from functools import partial

import numpy as np

LARGE, ALIGNMENT, UNIT = 2**20, 256, 512  # bytes; a pool gives memory by the unit
TOTAL = 80 << 30  # of the device, for what asks for a part of it


class OutOfMemoryError(MemoryError):
    """As CuPy's: the device has no room."""


def rounded(size):
    """What an array of so many bytes takes of a pool."""
    return -(-size // UNIT) * UNIT


def root_of(a):
    """The NumPy array that owns the memory of a."""
    return a if a.base is None else a.base


def by_address(roots):
    """Their first addresses in order, and they in that order."""
    pairs = sorted((root.__array_interface__["data"][0], k) for k, root in enumerate(roots) if root.size)
    return [first for first, _ in pairs], [roots[k] for _, k in pairs]


def poison(a):
    """Make every byte of a 255: NaN, -1 or true, also to whoever reads the memory as another type."""
    a = a.view(np.uint8) if a.dtype == bool else a  # of which NumPy would fill 1
    a.fill(np.frombuffer(b"\xff" * a.itemsize, a.dtype)[0])


def aligned(shape, dtype, order):
    """Large memory begins as on a GPU, where cuBLAS asks that of its workspace."""
    made = np.empty(shape, dtype, order)
    if made.nbytes < LARGE or not made.flags.c_contiguous:
        return made
    memory = np.empty(made.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + made.nbytes].view(made.dtype).reshape(made.shape)


class Ownership:
    """What an array that is no view holds; its pool hears when it is freed.

    queue  the work of the stream that was current when it was made, to which it goes back
    """

    __slots__ = ("pool", "queue", "root", "size")

    def __init__(self, root, pool, queue):
        self.root, self.pool, self.queue, self.size = root, pool, queue, rounded(root.nbytes)
        pool._count(self.size)
        pool._live[id(root)] = root

    def __del__(self):
        self.pool._count(-self.size)
        self.pool._take_back(self.root, self.queue)


class MemoryPointer:
    """Where an array begins on the device."""

    __slots__ = ("mem", "ptr")

    def __init__(self, mem, ptr):
        self.mem, self.ptr = mem, ptr

    def __int__(self):
        return self.ptr


class MemoryPool:
    """Memory by streams.

    What a graph knows is poisoned when it is freed, and then given to the next array that it is large enough
    for, the smallest first; what is left over of it stays with that array. So a graph that leans on a value
    of a temporary meets NaN, and one whose temporaries went back to a pool that others use spoils their
    arrays, as on a GPU.
    """

    _device = None

    def __init__(self, allocator=None):
        self._used, self._limit, self._live, self._free = 0, 0, {}, {}
        self._lock = threading.RLock()  # as CuPy's has one: no block goes to two threads
        self._device.pools.add(self)

    def _place(self, made, capture):
        """A device array with this content, and the memory that a free block or NumPy gave it."""
        size, queue = made.nbytes, self._device.thread.queue
        if self._limit and self._used + rounded(size) > self._limit:
            raise OutOfMemoryError(
                f"Out of memory allocating {rounded(size):,} bytes (allocated so far: {self._used:,} bytes, "
                f"limit set to: {self._limit:,} bytes)."
            )
        root = root_of(made)
        whole = made.flags.c_contiguous or made.flags.f_contiguous
        if queue in self._free and whole and (block := self._free_block(queue, size)) is not None:
            root = block
            order = "C" if made.flags.c_contiguous else "F"
            placed = np.ndarray(made.shape, made.dtype, root.reshape(-1).view(np.uint8), order=order)
            placed[...] = made
            made = placed
        if capture is not None:
            poison(made)  # nothing ran
        return self._device.ndarray(made, None, Ownership(root, self, queue))

    def _free_block(self, queue, size):
        """The smallest free block that is large enough, which is free no more; None if there is none."""
        with self._lock:
            free = self._free.get(queue, [])
            enough = [(root.nbytes, k) for k, root in enumerate(free) if root.nbytes >= size > 0]
            return free.pop(min(enough)[1]) if enough else None

    def _count(self, size):
        """So much more is in use."""
        with self._lock:
            self._used += size

    def _take_back(self, root, queue):
        self._live.pop(id(root), None)
        if id(root) in self._device.known and root.flags.writeable:
            capture = self._device.thread.queue.capture
            if capture is not None and id(root) in capture.roots:
                capture.steps.append(partial(poison, root))
            poison(root)
            if root.flags.c_contiguous and root.size:
                self._free.setdefault(queue, []).append(root)

    def malloc(self, size):
        """A pointer to that many new bytes."""
        made = self._place(np.full(size, 255, np.uint8), None)
        return MemoryPointer(made, made._a.ctypes.data)

    def used_bytes(self):
        """Bytes in use by arrays."""
        return self._used

    def free_bytes(self):
        """Bytes held for later."""
        return sum(rounded(root.nbytes) for roots in self._free.values() for root in roots)

    def total_bytes(self):
        """Bytes taken from the device."""
        return self._used + self.free_bytes()

    def free_all_blocks(self, stream=None):
        """Give back what is held for later, by one stream or by all."""
        for queue in list(self._free):
            if stream is None or queue is stream._queue:
                del self._free[queue]

    def set_limit(self, size=None, fraction=None):
        """The most bytes that arrays may have together, or part of the device's; 0 for no limit."""
        if fraction is not None:
            if size is not None:
                raise ValueError("size and fraction cannot be specified at one time")
            if not 0 <= fraction <= 1:
                raise ValueError(f"memory limit fraction out of range: {fraction}")
            size = int(fraction * TOTAL)
        size = size or 0
        if size < 0:
            raise ValueError(f"memory limit size out of range: {size}")
        self._limit = size

    def get_limit(self):
        """That limit."""
        return self._limit
