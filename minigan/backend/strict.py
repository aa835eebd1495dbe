"""A device made of NumPy that behaves like a GPU: it finds GPU bugs on a machine without one.

Its memory cannot be seen by the host: no implicit conversion, no scalar, no truth value, no mixing with NumPy
arrays. Results are NumPy's own, bit for bit, so any difference to the ``numpy`` backend is a bug of the
caller.
"""

import operator

import numpy as np

from minigan.backend import Backend


class DeviceArray:
    """An array in memory that the host cannot see."""

    __slots__ = ("data", "base", "__weakref__")
    __array_ufunc__ = None  # NumPy must not touch it

    def __init__(self, data, base=None):
        self.data, self.base = np.asarray(data), base

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    nbytes = property(lambda self: self.data.nbytes)
    flags = property(lambda self: self.data.flags)

    def _refuse_value(self, *_):
        raise TypeError(
            "a device value was read by the host implicitly; bring it over with backend.to_host(array)"
        )

    __bool__ = __float__ = __int__ = __index__ = __iter__ = _refuse_value

    def __array__(self, *_, **__):
        raise TypeError("implicit copy from device to host; use backend.to_host(array)")

    def __array_function__(self, *_, **__):
        raise TypeError("a NumPy function was called on a device array; call it through backend.of(array).xp")

    def _view(self, data):
        return DeviceArray(data, self if self.base is None else self.base)

    def reshape(self, *shape):
        data = self.data.reshape(*shape)
        return self._view(data) if np.shares_memory(data, self.data) else DeviceArray(data)

    def swapaxes(self, i, j):
        return self._view(self.data.swapaxes(i, j))

    def __getitem__(self, key):
        data = self.data[_unwrap(key)]
        return self._view(data) if np.shares_memory(data, self.data) else DeviceArray(data)

    def __setitem__(self, key, value):
        self.data[_unwrap(key)] = _unwrap(value)

    def __repr__(self):
        return f"<device array {self.dtype}{list(self.shape)}>"


def _unwrap(x):
    """The NumPy array inside a device array; refuses arrays of the host."""
    if isinstance(x, DeviceArray):
        return x.data
    if isinstance(x, np.ndarray):
        raise TypeError("implicit copy from host to device; bring host values in with backend.array(values)")
    if isinstance(x, (tuple, list)):
        return type(x)(map(_unwrap, x))
    return x


def _operator(name, reflected):
    f = getattr(operator, name)

    def apply(a, *b):
        operands = map(_unwrap, (*b, a) if reflected else (a, *b))
        return DeviceArray(f(*operands))

    return apply


for _name in ("add", "sub", "mul", "truediv", "ge", "le", "gt", "lt", "eq", "ne", "neg", "abs"):
    setattr(DeviceArray, f"__{_name}__", _operator(_name, reflected=False))
for _name in ("add", "sub", "mul", "truediv"):
    setattr(DeviceArray, f"__r{_name}__", _operator(_name, reflected=True))


class Namespace:
    """NumPy's functions on device arrays. What is named here makes or views arrays; the rest is forwarded."""

    def array(self, values, dtype=None):
        return DeviceArray(np.array(values.data if isinstance(values, DeviceArray) else values, dtype))

    def asarray(self, values):
        return values if isinstance(values, DeviceArray) else DeviceArray(_unwrap(values))

    def empty(self, shape, dtype):
        return DeviceArray(np.full(shape, np.nan, dtype))  # what is read before it is written shows

    def empty_like(self, x):
        return self.empty(x.shape, x.dtype)

    def zeros(self, shape, dtype):
        return DeviceArray(np.zeros(shape, dtype))

    def full(self, shape, value, dtype):
        return DeviceArray(np.full(shape, value, dtype))

    def swapaxes(self, x, i, j):
        return x.swapaxes(i, j)

    def broadcast_to(self, x, shape):
        return x._view(np.broadcast_to(x.data, shape))

    def copyto(self, target, value):
        np.copyto(target.data, _unwrap(value))

    def __getattr__(self, name):
        function = getattr(np, name)
        if not callable(function) or isinstance(function, type):
            return function

        on_device = _forwarded(function)
        if isinstance(function, np.ufunc):
            on_device.reduce = _forwarded(function.reduce)
        return on_device


def _forwarded(function):
    def on_device(*args, out=None, **kwargs):
        kwargs = {key: _unwrap(value) for key, value in kwargs.items()}
        if out is None:
            return DeviceArray(function(*map(_unwrap, args), **kwargs))
        function(*map(_unwrap, args), out=out.data, **kwargs)
        return out

    on_device.__name__ = function.__name__
    return on_device


class StrictBackend(Backend):
    """The switch's ``strict`` position."""

    name, xp, array_type = "strict", Namespace(), DeviceArray

    def array(self, values, dtype=None):
        return DeviceArray(np.array(values.data if isinstance(values, DeviceArray) else values, dtype))

    def to_host(self, array):
        return array.data.copy()

    def describe(self):
        return "the strict device: NumPy that refuses implicit transfers"


strict = StrictBackend()
