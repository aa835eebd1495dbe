"""A network: layers, which are formulas, and parameters, which are numbers."""

from __future__ import annotations  # or np.random would be imported for its name

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from minigan import backend as backends
from minigan.engine.tensor import Tensor
from minigan.nn.initializers import INITIALIZERS
from minigan.nn.layers import Dense, identity
from minigan.nn.layers import activation as activation_called
from minigan.nn.parameters import Parameters

__all__ = ["Network", "mlp"]


class Network:
    """x ↦ layerₙ(… layer₁(x)).

    Shapes:  x (…, B, inputs) → (…, B, outputs), "…" being the replicas of the parameters
    """

    def __init__(self, layers: Iterable[Dense], parameters: Parameters | Mapping[str, Tensor]) -> None:
        self.layers = tuple(layers)
        self.parameters = cast(Parameters, parameters)  # a mapping in an unrolled D, which is only called
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

    def __call__(self, x: Tensor) -> Tensor:
        for layer, p in self._bound:
            x = layer(p, x)
        return x

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
        rows = [("layer", "parameters", "count")]
        for layer in self.layers:
            shapes = layer.shapes()
            text = "  ".join(f"{key} {list(shape)}" for key, shape in shapes.items())
            rows.append((str(layer), text, f"{sum(a * b for a, b in shapes.values()):,}"))
        rows.append(("total", f"{self.parameters.flat.dtype}", f"{self.parameters.count:,}"))
        if self.parameters.replicas:
            rows.append(("replicas", " × ".join(map(str, self.parameters.replicas)), ""))
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows)


def mlp(
    sizes: Sequence[int],
    *,
    rngs: np.random.Generator | Sequence[np.random.Generator],
    activation: str = "tanh",
    initializer: str = "glorot_uniform",
    backend: backends.Backend | None = None,
    dtype: Any = "float32",
) -> Network:
    """Dense layers of the given sizes, ``activation`` between them, a linear output; biases start at zero.

    sizes  (inputs, hidden…, outputs)
    rngs   a NumPy Generator, or a list of them, one per replica: replica r then starts as a single network
           with rngs[r] would

    Raises:  ValueError – for fewer than two sizes, or an unknown activation or initialiser
    """
    if len(sizes) < 2:
        raise ValueError(f"a network needs the sizes of its input and its output; received {tuple(sizes)}")
    if initializer not in INITIALIZERS:
        raise ValueError(f"initializer must be one of {', '.join(INITIALIZERS)}; received {initializer!r}")
    hidden = activation_called(activation)
    layers = [Dense(n, m, hidden) for n, m in itertools.pairwise(sizes[:-1])]
    layers.append(Dense(sizes[-2], sizes[-1], identity))
    several = [rngs] if isinstance(rngs, np.random.Generator) else list(rngs)
    replicas = () if isinstance(rngs, np.random.Generator) else (len(several),)
    shapes = {f"{i}.{key}": shape for i, layer in enumerate(layers) for key, shape in layer.shapes().items()}
    parameters = Parameters(shapes, backend or backends.numpy_backend, dtype, replicas)
    draw = INITIALIZERS[initializer]
    rows = [
        {name: draw(rng, shape) if name.endswith("W") else np.zeros(shape) for name, shape in shapes.items()}
        for rng in several
    ]
    stacked = {name: np.stack([row[name] for row in rows]) for name in shapes} if replicas else rows[0]
    parameters.load({name: array.astype(dtype) for name, array in stacked.items()})
    return Network(layers, parameters)
