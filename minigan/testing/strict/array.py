"""Arrays of the strict device: views and operators as CuPy has them, and no implicit copy."""

from functools import partial

import numpy as np

from minigan.testing.strict.api import API, COMPARISONS, OPERATORS, SCALARS, UNARY
from minigan.testing.strict.functions import on_device
from minigan.testing.strict.memory import MemoryPointer, root_of


class DeviceArray:
    """An array in memory that the host cannot see."""

    __slots__ = ("_a", "_memory", "base", "__weakref__")
    __array_ufunc__ = None  # NumPy must not touch it
    __hash__ = None  # type: ignore[assignment]
    _cp = _device = None  # the StrictNamespace and the StrictDevice whose array it is

    def __init__(self, data, base=None, memory=None):
        self._a, self.base, self._memory = data, base, memory

    shape = property(lambda self: self._a.shape)
    strides = property(lambda self: self._a.strides)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    flags = property(lambda self: Flags(self._a.flags))
    T = property(lambda self: self._view(self._a.T))
    mT = property(lambda self: self._view(self._a.mT))
    device = property(lambda self: self._cp.cuda.Device(0))
    data = property(lambda self: MemoryPointer(self, self._a.__array_interface__["data"][0]))

    def _refuse_value(self, *_):
        raise TypeError(
            "a device value was read by the host implicitly; bring it over with backend.to_host(array)"
        )

    __bool__ = __float__ = __int__ = __index__ = __complex__ = _refuse_value

    def __array__(self, *_, **__):
        raise TypeError("implicit copy from device to host; use backend.to_host(array)")

    def __array_function__(self, *_, **__):
        raise TypeError("a NumPy function was called on a device array; call it through backend.of(array).xp")

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        return (self[k] for k in range(len(self._a)))

    def _view(self, data):
        return type(self)(data, self if self.base is None else self.base)

    def reshape(self, *shape, order="C", copy=None):
        data = self._a.reshape(*shape, order=order)
        return (
            self._view(data)
            if root_of(data) is root_of(self._a)
            else self._device.made(np.reshape, (self, data.shape))
        )

    def swapaxes(self, axis1, axis2):
        return self._view(self._a.swapaxes(axis1, axis2))

    def transpose(self, *axes):
        return self._view(self._a.transpose(*axes))

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and self.dtype == dtype:
            return self
        return self._device.made(partial(np.array, dtype=dtype, order=order), (self,))

    def copy(self, order="C"):
        return self._device.made(partial(np.array, order=order), (self,))

    def fill(self, value):
        if isinstance(value, DeviceArray):
            self._device.wait("fill with a value of the device", to_host=1)  # it asks whether that is 0
        self[...] = value

    def get(self, stream=None, order="C", out=None, blocking=True):
        """What does not lie as it is wanted is copied before, and that leaves the null stream current."""
        if not blocking:
            raise NotImplementedError("the strict device does not copy while the host goes on")
        if out is not None and (not isinstance(out, np.ndarray) or out.dtype != self.dtype):
            raise TypeError(f"a NumPy array of {self.dtype} is needed; received {out!r:.60}")
        if out is not None and out.shape != self.shape:
            raise ValueError(f"Shape mismatch. Expected shape: {self.shape}, actual shape: {out.shape}")
        stream, ours = stream or self._device.thread.stream, self._a.flags
        if out is None:
            out = np.empty_like(self._a, order=order)
        asked = out.flags
        if not (asked.c_contiguous and ours.c_contiguous or asked.f_contiguous and ours.f_contiguous):
            if not asked.forc:
                raise RuntimeError("`out` cannot be specified when copying to non-contiguous ndarray")
            with stream:
                self._device.made(partial(np.array, order="C" if asked.c_contiguous else "F"), (self,))
        self._device.wait("get", to_host=1, queue=stream._queue)
        out[...] = self._a
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray) or arr.dtype != self.dtype:
            raise TypeError(f"a NumPy array of {self.dtype} is needed; received {arr!r:.60}")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not self._a.flags.forc:
            raise RuntimeError("Cannot set to non-contiguous array")
        self._device.upload(None if stream is None else stream._queue)
        self._a[...] = arr

    def item(self):
        self._device.wait("item", to_host=1)
        return self._a.item()

    def tolist(self):
        self._device.wait("tolist", to_host=1)
        return self._a.tolist()

    def tobytes(self, order="C"):
        self._device.wait("tobytes", to_host=1)
        return self._a.tobytes(order)

    def __getitem__(self, key):
        key, masked = self._key(key)
        data = self._a[key]
        if root_of(data) is root_of(self._a):
            return self._view(data)
        if masked:
            self._device.wait("a boolean mask")
        return self._device.made(lambda a: a[key], (self,))

    def __setitem__(self, key, value):
        device = self._device
        if isinstance(value, np.ndarray):
            if value.ndim:
                raise ValueError(
                    "non-scalar numpy.ndarray cannot be used for fill: implicit copy from host to device; "
                    "bring host values in with backend.array(values)"
                )
            value = value[()]
        elif not isinstance(value, (type(self), *SCALARS)):
            raise TypeError(
                f"Unsupported type {type(value)}; bring host values in with backend.array(values)"
            )
        key, masked = self._key(key)
        if masked and isinstance(value, type(self)) and value.size > 1:
            device.wait("a boolean mask")
        device.write(self, lambda a, x: a.__setitem__(key, x), (device.host(value),))

    def _key(self, key):
        """An index as NumPy takes it, so that one element is a view too; whether it is a mask."""
        parts, masked = [], False
        for part in key if type(key) is tuple else (key,):
            if isinstance(part, DeviceArray):
                masked |= part._a.dtype == bool
                part = part._a
            elif not (
                part is None or part is Ellipsis or type(part) in (int, slice) or isinstance(part, np.integer)
            ):
                raise TypeError(
                    f"an index of type {type(part).__name__}: implicit copy from host to device; "
                    "bring host values in with backend.array(values)"
                )
            parts.append(part)
        if not any(part is Ellipsis for part in parts):
            parts.append(Ellipsis)
        return tuple(parts), masked

    def __getattr__(self, name):
        parameters = API["ndarray"].get(name)
        if parameters is None:
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}, as CuPy {API['version']} has it")
        if parameters == "attribute":
            return self._device.general(lambda a: getattr(a, name), (self,), {})
        method = on_device(self._device, f"ndarray.{name}", getattr(np.ndarray, name), parameters, bound=1)
        return partial(method, self)

    def __repr__(self):
        return f"<device array {self.dtype}{list(self.shape)}>"


class Flags:
    """How an array lies in memory, in the five words that CuPy has for it."""

    __slots__ = ("_flags",)

    def __init__(self, flags):
        self._flags = flags

    c_contiguous = property(lambda self: self._flags.c_contiguous)
    f_contiguous = property(lambda self: self._flags.f_contiguous)
    forc = property(lambda self: self._flags.forc)
    fnc = property(lambda self: self._flags.fnc)
    owndata = property(lambda self: self._flags.owndata)


def _operator(symbol, name):
    def plain(a, b):
        return getattr(a._cp, name)(a, b)

    def reflected(a, b):
        return getattr(a._cp, name)(b, a)

    def in_place(a, b):
        return getattr(a._cp, name)(a, b, out=a)

    for prefix, f in (("", plain), ("r", reflected), ("i", in_place)):
        if f"__{prefix}{symbol}__" in API["operators"]:
            setattr(DeviceArray, f"__{prefix}{symbol}__", f)


for _symbol, _name in OPERATORS.items():
    _operator(_symbol, _name)
for _symbol, _name in COMPARISONS.items():
    setattr(DeviceArray, f"__{_symbol}__", lambda a, b, _name=_name: getattr(a._cp, _name)(a, b))
for _symbol, _name in UNARY.items():
    setattr(DeviceArray, f"__{_symbol}__", lambda a, _name=_name: getattr(a._cp, _name)(a))
