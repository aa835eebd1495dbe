"""CuPy's functions on the strict device: NumPy's, bound against CuPy's signatures, on device arrays."""

import inspect
from functools import partial

import numpy as np

from minigan.testing.strict.api import API, BLAS, IN_PLACE, ON_HOST, SYNCING, UFUNC_KEYWORDS


class Ufunc:
    """An elementwise function."""

    __slots__ = ("_device", "_f", "name", "nargs", "nin", "nout", "types")

    def __init__(self, device, f, nin, nout):
        self._device, self._f, self.nin, self.nout, self.types = device, f, nin, nout, f.types
        self.name, self.nargs = f"cupy_{f.__name__}", nin + nout

    def __call__(self, *args, out=None, **kwargs):
        if kwargs and not kwargs.keys() <= UFUNC_KEYWORDS:
            raise TypeError(f"Wrong arguments {kwargs}")
        nin = self.nin
        if len(args) != nin:
            if len(args) != self.nargs or out is not None:
                raise TypeError(
                    f"Wrong number of arguments for {self.name!r}. It must be either {nin} or {self.nargs} "
                    f"(with outputs), but given {len(args)}."
                )
            args, out = args[:nin], args[nin] if self.nout == 1 else args[nin:]
        return self._device.elementwise(self._f, args, out, kwargs)

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        """The sum or product over axes."""
        if self.name not in ("cupy_add", "cupy_multiply"):
            raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")
        options = {"axis": axis, "dtype": dtype, "keepdims": keepdims}
        return self._device.elementwise(self._f.reduce, (array,), out, options)

    def __repr__(self):
        return f"<ufunc {self.name!r}>"


class Generator:
    """Random numbers by NumPy, under the names that CuPy's Generator has; its numbers are others."""

    def __init__(self, device, seed):
        self._device, self._rng = device, np.random.default_rng(seed)

    def __getattr__(self, name):
        if name not in API["classes"]["Generator"]:
            raise AttributeError(f"cupy.random.Generator has no attribute {name!r}")
        return lambda *args, **kwargs: self._device.general(getattr(self._rng, name), args, kwargs)


def on_device(device, name, f, parameters, bound=0):
    """NumPy's f as CuPy's function of that name, under CuPy's signature.

    parameters  of the signature, as the API has them; None if it is not known
    bound       how many leading arguments are bound already: 1 for a method
    """
    signature, known = None, set()
    if parameters is not None:
        empty = inspect.Parameter.empty
        signature = inspect.Signature(
            [inspect.Parameter(n, kind, default=None if d else empty) for n, kind, d in parameters]
        )
    positional = [n for n, kind, _ in parameters or () if kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD]
    out = positional.index("out") + bound if "out" in positional else None
    plain = name.removeprefix("ndarray.")

    def function(*args, **kwargs):
        call = len(args), *kwargs  # what binds depends on no value
        if signature is not None and call not in known:
            signature.bind(*args[bound:], **kwargs)
            known.add(call)
        if out is not None and len(args) > out:
            kwargs = dict(zip(positional[out - bound :], args[out:], strict=False)) | kwargs
            args = args[:out]
        if plain in BLAS:
            device.refuse_capture(
                NotImplementedError, "calls to cuBLAS during stream capture are unsupported; use xp.matmul"
            )
        if plain in SYNCING or (name == "where" and len(args) == 1):
            device.wait(name)
        if name in IN_PLACE:
            target, *rest = args
            device.write(target, partial(_called, f, kwargs), [device.unwrapped(x) for x in rest])
            return None
        if name in ON_HOST:
            return f(*map(device.unwrapped, args), **kwargs)
        return device.general(f, args, kwargs)

    function.__name__ = name
    return function


def _called(f, kwargs, *args):
    f(*args, **kwargs)
