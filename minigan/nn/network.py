"""A network: layers, which are formulas, and parameters, which are numbers."""

from __future__ import annotations  # or np.random would be imported for its name

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from minigan import backend as backends
from minigan.arguments import floating, instance, listed, named, shown, whole
from minigan.engine.tensor import Tensor
from minigan.nn.initializers import INITIALIZERS
from minigan.nn.layers import CONDITIONINGS, Conditioned, Dense, identity
from minigan.nn.layers import activation as activation_called
from minigan.nn.parameters import Kept, Parameters, refuse_names, require_room

__all__ = ["Network", "layers_of", "mlp"]


class Network(Kept):
    """x ↦ layerₙ(… layer₁(x)), and with a layer that is told the class of a row (x, k) ↦ the same.

    Shapes:  x (…, B, inputs) → (…, B, outputs), "…" being the replicas of the parameters; k (…, B, classes)
    Raises:  TypeError – for what is no layer, no Parameters, or called with no Tensor
             ValueError – for layers or parameters that do not fit each other, or called with rows of another
             width

    >>> net = mg.mlp((2, 8, 1), rngs=np.random.default_rng(0))
    >>> net(mg.constant(np.zeros((5, 2), "float32"))).shape
    (5, 1)
    >>> print(net.summary())
    layer                   parameters          count
    Dense(2 → 8, tanh)      W [2, 8]  b [1, 8]     24
    Dense(8 → 1, identity)  W [8, 1]  b [1, 1]      9
    total                   float32                33
    """

    kept = ("layers", "parameters")

    def __init__(self, layers: Iterable[Dense], parameters: Parameters | Mapping[str, Tensor]) -> None:
        self.layers: tuple[Dense, ...] = tuple(listed("layers", layers, "Dense layers"))
        _require_fit(self.layers, parameters)
        # how many columns say of which class a row is
        self.classes = next((layer.classes for layer in self.layers if isinstance(layer, Conditioned)), 0)
        self.parameters = cast(Parameters, parameters)  # a mapping in an unrolled D, which is only called
        self._takes = self.layers[0].n
        self._bound = [
            (layer, {key: parameters[f"{i}.{key}"] for key in layer.shapes()})
            for i, layer in enumerate(self.layers)
        ]

    @property
    def inputs(self) -> int:
        """How many features a sample has on its way in."""
        return self.layers[0].n

    @property
    def outputs(self) -> int:
        """And on its way out."""
        return self.layers[-1].m

    def __call__(self, x: Tensor, k: Tensor | None = None) -> Tensor:
        shape: tuple[int, ...] = x.memory.shape if type(x) is Tensor else ()
        if len(shape) < 2 or shape[-1] != self._takes:
            raise self._refusal(x)
        if k is not None or self.classes:
            return self._conditional(x, k)
        for layer, p in self._bound:
            x = layer(p, x)
        return x

    def _conditional(self, x: Tensor, k: Tensor | None) -> Tensor:
        """As ``__call__``, of rows whose classes are told."""
        wanted = (*x.shape[:-1], self.classes)
        if type(k) is not Tensor or not self.classes or k.shape != wanted:
            takes = f"a row of {self.classes} numbers for each, the class of it" if self.classes else "none"
            received = f"shape {k.shape}" if type(k) is Tensor else shown(k)
            raise (ValueError if type(k) is Tensor else TypeError)(
                f"of the classes of {x.shape[-2]} rows this network takes {takes}; received {received}"
            )
        for layer, p in self._bound:
            x = layer(p, x, k) if isinstance(layer, Conditioned) else layer(p, x)
        return x

    def _refusal(self, x: object) -> Exception:
        takes = f"this network takes {self.inputs} features, a Tensor of shape (…, rows, {self.inputs})"
        if type(x) is not Tensor:
            return TypeError(f"{takes}; received {shown(x)}, make it constant(array)")
        width = f"{x.shape[-1]} features, " if x.ndim > 1 else ""
        return ValueError(f"{takes}; received {width}shape {x.shape}")

    def with_parameters(self, parameters: Parameters | Mapping[str, Tensor]) -> Network:
        """The same formulas with other numbers, for example with averaged ones."""
        return Network(self.layers, parameters)

    def __repr__(self) -> str:
        widths = [str(self.inputs), *(f"{layer.m} {layer.activation_name}" for layer in self.layers)]
        own = isinstance(self.parameters, Parameters)
        numbers = self.parameters.describe() if own else "parameters with a history"
        return f"Network({' → '.join(widths).removesuffix(' identity')}: {numbers})"

    def summary(self) -> str:
        """A table of layers, parameter shapes and counts, as text."""
        rows = self._rows()
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows)

    def _rows(self) -> list[tuple[str, str, str]]:
        rows = [("layer", "parameters", "count")]
        for layer in self.layers:
            shapes = layer.shapes()
            text = "  ".join(f"{key} {list(shape)}" for key, shape in shapes.items())
            rows.append((str(layer), text, f"{sum(a * b for a, b in shapes.values()):,}"))
        rows.append(("total", f"{self.parameters.flat.dtype}", f"{self.parameters.count:,}"))
        if self.parameters.replicas:
            rows.append(("replicas", " × ".join(map(str, self.parameters.replicas)), ""))
        return rows

    def _repr_html_(self) -> str:
        from minigan.markup.html import box, table

        header, *rows = self._rows() if isinstance(self.parameters, Parameters) else [(repr(self), "", "")]
        return box(f"Network {self.inputs} → {self.outputs}", table(header, rows, 2))


refuse_names(
    Network,
    {
        "parameters.arrays() has its numbers, parameters.load takes them": "state_dict load_state_dict",
        "it computes the same in training and after": "train eval",
        "mlp(…, backend=get_backend('cupy'), dtype=…) makes one there": "to cuda cpu double half",
        "call it, net(x)": "forward predict",
        "grad(loss, net.parameters) returns the gradients, none are kept": "zero_grad backward",
    },
)


def mlp(
    sizes: Sequence[int],
    *,
    rngs: np.random.Generator | Sequence[np.random.Generator],
    activation: str = "tanh",
    initializer: str = "glorot_uniform",
    backend: backends.Backend | None = None,
    dtype: Any = "float32",
    classes: int = 0,
    conditioning: str = "concatenation",
) -> Network:
    """Dense layers of the given sizes, ``activation`` between them, a linear output; biases start at zero.

    sizes         (inputs, hidden…, outputs)
    rngs          a NumPy Generator, or a list of them, one per replica: replica r then starts as a single
                  network with rngs[r] would
    classes       how many columns say of which class a row is; 0 for a network that is told of none
    conditioning  how it is told, a row of CONDITIONINGS: "concatenation" to the inputs, or "projection" of
                  the last features

    Raises:  ValueError – for fewer than two sizes, or an unknown activation or initialiser
             TypeError – for sizes that are no whole numbers, what is no Generator, another dtype
             MemoryError – for more numbers than there is room for, before any is made

    >>> net = mg.mlp((2, 8, 1), activation="tanh", rngs=np.random.default_rng(0))
    >>> net(mg.constant([[0.5, -1.0]])).shape
    (1, 1)
    """
    draw, dtype = named("initializer", initializer, INITIALIZERS), floating("dtype", dtype)
    layers = layers_of(sizes, activation, classes, conditioning)
    several = _generators(rngs)
    replicas = () if isinstance(rngs, np.random.Generator) else (len(several),)
    shapes = {f"{i}.{key}": shape for i, layer in enumerate(layers) for key, shape in layer.shapes().items()}
    count = len(several) * sum(n * m for n, m in shapes.values())
    require_room(backends.numpy_backend, 16 * count, f"drawing {count:,} parameters")
    parameters = Parameters(shapes, backend or backends.numpy_backend, dtype, replicas)
    rows = [
        {f"{i}.{key}": a for i, layer in enumerate(layers) for key, a in layer.start(draw, rng).items()}
        for rng in several
    ]
    stacked = {name: np.stack([row[name] for row in rows]) for name in shapes} if replicas else rows[0]
    parameters.load({name: array.astype(dtype) for name, array in stacked.items()})
    return Network(layers, parameters)


def layers_of(
    sizes: Sequence[int], activation: str = "tanh", classes: int = 0, conditioning: str = "concatenation"
) -> list[Dense]:
    """The layers of ``mlp``.    Raises:  as ``mlp``"""
    widths = [whole("the size of a layer", size) for size in listed("sizes", sizes, "whole numbers")]
    if len(widths) < 2:
        raise ValueError(f"a network needs the sizes of its input and its output; received {tuple(widths)}")
    hidden, kind = activation_called(activation), named("conditioning", conditioning, CONDITIONINGS)
    layers = [Dense(n, m, hidden) for n, m in itertools.pairwise(widths[:-1])]
    layers.append(Dense(widths[-2], widths[-1], identity))
    if whole("classes", classes, 0):
        plain = layers[kind.place]
        layers[kind.place] = kind(plain.n, plain.m, plain.activation, classes)
    return layers


def _generators(rngs: object) -> list[np.random.Generator]:
    several: list[Any] = list(rngs) if isinstance(rngs, (list, tuple)) else [rngs]
    says = "rngs is a NumPy Generator, or a list of them, one per replica"
    if not several:
        raise ValueError(f"{says}; received an empty list, give one Generator at least")
    for rng in several:
        advice = f"give np.random.default_rng({rng if type(rng) is int else 'seed'})"
        instance(says, rng, np.random.Generator, advice)
    return several


def _require_fit(layers: Sequence[Dense], parameters: object) -> None:
    """Refuse layers that do not follow each other, and parameters that are not theirs."""
    if not layers:
        raise ValueError("a network needs at least one layer; received none")
    for layer in layers:
        if isinstance(layer, type) or not all(hasattr(layer, part) for part in ("n", "m", "shapes")):
            raise TypeError(f"layers are made as Dense(inputs, outputs, activation); received {shown(layer)}")
    for before, after in itertools.pairwise(layers):
        if before.m != after.n:
            raise ValueError(f"{after} cannot follow {before}: it takes {after.n}, and is given {before.m}")
    if not isinstance(parameters, (Parameters, Mapping)):
        raise TypeError(
            f"the numbers of a network are its Parameters; received {shown(parameters)}, "
            "give it network.parameters"
        )
    for i, layer in enumerate(layers):
        for key, shape in layer.shapes().items():
            found = parameters[f"{i}.{key}"].shape
            if found[-2:] != shape:
                raise ValueError(
                    f"these parameters belong to another network; {i}.{key}: expected {shape}, "
                    f"received {found}"
                )
