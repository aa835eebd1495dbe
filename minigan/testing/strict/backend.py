"""The backend on the strict device: the code of the GPU, with products by NumPy in place of cuBLAS."""

from functools import cached_property, partial

import numpy as np

from minigan.backend.cuda import CudaBackend
from minigan.testing.cuda_on_cpu import HostCublas
from minigan.testing.strict.namespace import StrictNamespace


class StrictCublas(HostCublas):
    """cuBLAS by NumPy, whose products go to the stream of their handle, so that they can be captured."""

    def __init__(self, cp):
        super().__init__()
        self._device = cp._device

    def _create(self, handle):
        self._device.refuse_capture(
            RuntimeError, "a handle is made during stream capture; make a product before"
        )
        super()._create(handle)

    def queue(self, handle):
        """The work of the stream that the handle was given, which need not be the current one."""
        return self._device.queues[self._handles[handle.value]["stream"] or 0]

    def _product(self, head, *rest):
        self._now = self._device.queues[self._handle(head[0])["stream"] or 0]
        super()._product(head, *rest)

    def _multiply(self, left, right, result, accumulate):
        queue = self._now

        def step():
            if accumulate:
                result[...] += np.matmul(left, right)
            else:
                np.matmul(left, right, out=result)

        self.calls.clear()
        memories = [self._device.memory_of(x, queue) for x in (left, right, result)]
        self._device.launch(step, memories, queue=queue)


class StrictGemm:
    """A Gemm whose numbers are NumPy's; the first product of a layout goes through StrictCublas as well.

    So what is told to cuBLAS is checked. Its numbers are not taken: where an operand is copied for cuBLAS,
    NumPy may round its product otherwise, and equal calls are to have bitwise equal results.
    """

    def __init__(self, gemm):
        self._gemm, self._cp, self._shapes = gemm, gemm.cp, {}

    def __call__(self, a, b, out=None, **options):
        x, y = a._a, b._a
        place = None if out is None else (out.shape, out.strides, out.dtype)
        layout = x.shape, x.strides, x.dtype, y.shape, y.strides, y.dtype, place
        shape = self._shapes.get(layout)
        if shape is None or any(options.values()):
            out = self._gemm(a, b, out, **options)
            if any(options.values()) or not (x.size and y.size and out._a.flags.c_contiguous):
                return out
            self._shapes[layout] = out.shape
        elif out is None:
            out = self._cp.empty(shape, x.dtype)
        products = self._gemm.products
        queue = products._cublas.queue(products.handle)
        self._cp._device.launch(partial(np.matmul, x, y, out=out._a), (x, y, out._a), queue=queue)
        return out

    def __getattr__(self, name):
        return getattr(self._gemm, name)


class StrictBackend(CudaBackend):
    """The switch's ``strict`` position: the code of the GPU on the strict device.

    counters  launches, syncs and transfers since their last ``reset()``
    """

    name, shared_memory = "strict", 227 * 1024  # as an H100 or H200 has
    quick_compiler = False  # g++ takes seconds

    def __init__(self, *, flush=False):
        cp = StrictNamespace(flush=flush)
        super().__init__(cp, StrictCublas(cp))
        self.counters = cp._device.counters

    @cached_property
    def gemm(self):
        """Products of matrices that may be captured."""
        return StrictGemm(CudaBackend.gemm.func(self))

    def memory(self):
        pool = self.cp.get_default_memory_pool()
        return {"used": pool.used_bytes(), "held": pool.total_bytes()}

    def describe(self):
        return "the strict device: NumPy that refuses implicit transfers"

    def facts(self):
        return {"backend": self.name, "device": "no GPU: simulated with NumPy", "numpy": np.__version__}


strict = StrictBackend()
