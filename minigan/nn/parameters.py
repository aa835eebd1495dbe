"""The numbers of a network: named variables that are views of one flat buffer."""

import math
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

import numpy as np

from minigan.arguments import closest, floating, shown, whole
from minigan.backend import Array, Backend
from minigan.engine.autodiff import assign
from minigan.engine.tensor import Tensor, variable

__all__ = ["ROOM_FOR", "Kept", "Parameters", "refuse_names", "require_room"]

ROOM_FOR = 2**26  # bytes that are taken without asking whether they are free


class Kept:
    """What keeps its parts: a captured step, or what else was made of them, would not notice others.

    Private parts and new names can be set; in a class of one's own, all but what ``kept`` names.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        old = vars(self).get(name, value)
        own = not type(self).__module__.startswith("minigan.") and name not in self.kept
        if old is not value and not name.startswith("_") and not own:
            kind = type(self).__name__
            raise TypeError(
                f"{kind} keeps its {name}, for what was made of it would not notice another; write values by "
                f"assign, parameters.update(flat) or set_rate(rate), or make another {kind}"
            )
        object.__setattr__(self, name, value)


def refuse_names(kind: type, ways: Mapping[str, str]) -> None:
    """Let what other libraries call so say what to write here.

    ways  {what to write: "names that are asked for"}
    """
    for way, names in ways.items():
        for name in names.split():

            def refuse(*_: object, says: str = f"{kind.__name__} has no {name!r}; {way}") -> NoReturn:
                raise AttributeError(says)

            setattr(kind, name, property(refuse, refuse))


class Parameters(Kept):
    """Named variables that are views of one flat buffer, one row per replica.

    An optimiser works on ``flat`` with a handful of calls, whatever the number of layers; a gradient is asked
    for the views.

    Shapes:  flat (…, P);  self[name] (…, *shape), sharing flat's memory, in declared order
    Raises:  TypeError – for shapes that are no {name: whole numbers}, no backend, a dtype that is not float32
             or float64
             MemoryError – for more numbers than there is room for

    >>> net = mg.mlp((2, 3, 1), rngs=np.random.default_rng(0))
    >>> net.parameters.shapes, net.parameters.flat.shape
    ({'0.W': (2, 3), '0.b': (1, 3), '1.W': (3, 1), '1.b': (1, 1)}, (13,))
    """

    kept = ("shapes", "replicas", "backend", "count", "flat")

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        backend: Backend,
        dtype: Any = "float32",
        replicas: Iterable[int] = (),
    ) -> None:
        if not isinstance(backend, Backend):
            raise TypeError(f"a backend is what get_backend(name) returns; received {shown(backend)}")
        self.shapes, self.replicas, self.backend = _checked(shapes), tuple(replicas), backend
        self.count = sum(math.prod(shape) for shape in self.shapes.values())
        if self.count == 0:
            raise ValueError("a network without parameters cannot be trained; give it at least one layer")
        dtype, numbers = floating("dtype", dtype), math.prod(self.replicas) * self.count
        require_room(backend, np.dtype(dtype).itemsize * numbers, f"{numbers:,} parameters in {dtype}")
        self.flat = Tensor(backend.xp.zeros((*self.replicas, self.count), dtype))
        views = map(Tensor, self.views_of(self.flat.memory))
        self._views = dict(zip(self.shapes, map(variable, views), strict=True))

    @property
    def views(self) -> Mapping[str, Tensor]:
        """{name: variable} in declared order."""
        return MappingProxyType(self._views)

    def views_of(self, flat: Array) -> list[Array]:
        """Arrays in the shapes of the parameters that look into ``flat``, an array shaped like ours."""
        views, start = [], 0
        for shape in self.shapes.values():
            stop = start + math.prod(shape)
            views.append(flat[..., start:stop].reshape(*self.replicas, *shape))
            start = stop
        return views

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.views.values())

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self.views[name]
        except (KeyError, TypeError):
            hint = closest(name, self.views) if isinstance(name, str) else ""
            raise KeyError(
                f"parameters are called {', '.join(self.views)}; received {shown(name, text=True)}{hint}"
            ) from None

    def __len__(self) -> int:
        return len(self.views)

    def describe(self) -> str:
        """How many numbers of which type, and where: "337 parameters, float32 on numpy"."""
        replicas = f"{' × '.join(map(str, self.replicas))} replicas of " if self.replicas else ""
        return f"{replicas}{self.count:,} parameters, {self.flat.dtype} on {self.backend.name}"

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}{list(shape)}" for name, shape in self.shapes.items())
        return f"Parameters({shapes}: {self.describe()})"

    def update(self, flat: Tensor) -> None:
        """θ ← flat, for all parameters at once."""
        assign(self.flat, flat)

    def copy(self) -> "Parameters":
        """The same names and values in a buffer of their own."""
        other = Parameters(self.shapes, self.backend, self.flat.dtype, self.replicas)
        assign(other.flat, self.flat)
        return other

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """{name: NumPy array}, copies on the host: what a checkpoint stores."""
        return {name: view.numpy() for name, view in self.views.items()}

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Take the values of ``arrays``, host arrays under our names.

        Raises:  TypeError – for what is no {name: array}
                 ValueError – for a missing or unknown name, another shape or dtype, listing all differences;
                 for values that are not finite
        """
        if not isinstance(arrays, Mapping):
            raise TypeError(f"load takes {{name: array}} as arrays() returns it; received {shown(arrays)}")
        expected = {name: (view.shape, view.dtype) for name, view in self.views.items()}
        received = {name: (np.shape(a), np.asarray(a).dtype) for name, a in arrays.items()}
        if expected != received:
            differences = [
                f"{name}: expected {_described(expected, name)}, received {_described(received, name)}"
                for name in dict.fromkeys((*expected, *received))
                if expected.get(name) != received.get(name)
            ]
            raise ValueError("these arrays belong to another network; " + "; ".join(differences))
        for name, array in arrays.items():
            if bad := int(np.size(array) - np.isfinite(array).sum()):
                raise ValueError(
                    f"{name} holds {bad} of {np.size(array)} values that are not finite; nothing was loaded"
                )
        for name, view in self.views.items():
            assign(view, Tensor(self.backend.array(np.asarray(arrays[name]))))


def _described(
    of: Mapping[str, tuple[tuple[int, ...], Any]], name: str
) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype of an array as they are shown; None where it is missing."""
    return (of[name][0], str(of[name][1])) if name in of else None


def _checked(shapes: object) -> dict[str, tuple[int, ...]]:
    if not isinstance(shapes, Mapping) or not all(isinstance(shape, Iterable) for shape in shapes.values()):
        raise TypeError(
            f"shapes are {{name: (rows, columns)}} as layer.shapes() has them; received {shown(shapes)}"
        )
    return {name: tuple(whole(f"a size of {name}", n, 0) for n in shape) for name, shape in shapes.items()}


def require_room(backend: Backend, size: int, what: str) -> None:
    """Refuse an allocation of so many bytes before it is tried: a system may promise memory it does not have.

    Raises:  MemoryError – if they are known to be more than is free
    """
    if size <= ROOM_FOR:
        return
    from minigan.machine import available_memory  # a tenth of the time that importing minigan takes

    free = available_memory() if backend.device == "cpu" else backend.memory().get("free")
    if free is not None and size > free:
        raise MemoryError(
            f"no room for {what}: that takes {size / 2**30:.3g} GiB, and {free / 2**30:.3g} GiB are free; "
            "make the layers narrower"
        )
