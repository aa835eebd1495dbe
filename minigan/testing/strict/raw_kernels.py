"""CUDA C on the strict device: CuPy's RawModule and RawKernel, whose sources are compiled for the CPU."""

from functools import partial

import numpy as np

from minigan.testing.cuda_on_cpu import MOST_SHARED, HostModule, SourceError


class CUDADriverError(RuntimeError):
    """As CuPy's: a call of the CUDA driver failed."""


class CompileException(Exception):
    """As CuPy's, which is no RuntimeError: a source does not compile."""


class RawModule:
    """CUDA C, compiled for the CPU."""

    _device = None

    def __init__(
        self, *, code=None, path=None, options=(), backend="nvrtc", translate_cucomplex=False,
        enable_cooperative_groups=False, name_expressions=None, jitify=None,
    ):  # fmt: skip
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if path is not None or type(options) is not tuple:
            raise TypeError("the strict device takes code, and options as a tuple")
        self.code, self.options, self.backend, self._module = code, options, backend, None

    def compile(self, log_stream=None):
        """Compile it, which is otherwise done when a function is first asked for."""
        if self._module is None:
            try:
                self._module = HostModule(self.code, self.options)
            except SourceError as error:
                raise CompileException(str(error)) from None

    def get_function(self, name):
        """One of its kernels."""
        self._device.refuse_capture(
            RuntimeError, "a kernel is compiled and loaded during stream capture; launch it once before"
        )
        self.compile()
        if name not in self._module.names:
            raise CUDADriverError("CUDA_ERROR_NOT_FOUND: named symbol not found")
        return RawKernel(self._device, self._module.kernel(name))


class RawKernel:
    """One kernel, launched as CuPy launches it."""

    def __init__(self, device, kernel):
        self._device, self._kernel, self.name = device, kernel, kernel.name

    @property
    def max_dynamic_shared_size_bytes(self):
        """How much shared memory a launch may ask for."""
        return self._kernel.max_dynamic_shared_size_bytes

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        """Ask for that much."""
        if size > MOST_SHARED:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        self._kernel.max_dynamic_shared_size_bytes = size

    def __call__(self, grid, block, args, *, shared_mem=0):
        if not type(grid) is type(block) is type(args) is tuple:
            raise TypeError("grid, block and args are tuples")
        args = tuple(self._typed(a) for a in args)
        self._device.launch(partial(self._kernel, grid, block, args, shared_mem), args)

    def _typed(self, a):
        """As CuPy passes it: a Python int as int64, a float as double."""
        if isinstance(a, self._device.ndarray):
            return a._a
        for kind, typed in (
            (bool, np.bool_),
            (int, np.int64),
            (float, np.float64),
            (np.generic, lambda x: x),
        ):
            if isinstance(a, kind):
                return typed(a)
        raise TypeError(f"Unsupported type {type(a)}")
