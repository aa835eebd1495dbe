"""A network: layers, which are formulas, and parameters, which are numbers."""

import itertools

import numpy as np

from minigan import backend as backends
from minigan.nn.initializers import INITIALIZERS
from minigan.nn.layers import Dense, identity
from minigan.nn.layers import activation as activation_called
from minigan.nn.parameters import Parameters


class Network:
    """x ↦ layerₙ(… layer₁(x)).

    Shapes:  x (…, B, inputs) → (…, B, outputs), "…" being the replicas of the parameters
    """

    def __init__(self, layers, parameters):
        self.layers, self.parameters = tuple(layers), parameters
        self._bound = [
            (layer, {key: parameters[f"{i}.{key}"] for key in layer.shapes()})
            for i, layer in enumerate(self.layers)
        ]

    inputs = property(lambda self: self.layers[0].n)
    outputs = property(lambda self: self.layers[-1].m)

    def __call__(self, x):
        for layer, p in self._bound:
            x = layer(p, x)
        return x

    def with_parameters(self, parameters):
        """The same formulas with other numbers, for example with averaged ones."""
        return Network(self.layers, parameters)

    def summary(self):
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


def mlp(sizes, *, rngs, activation="tanh", initializer="glorot_uniform", backend=None, dtype="float32"):
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
    layers = [Dense(n, m, hidden) for n, m in itertools.pairwise(sizes[:-1])] + [Dense(*sizes[-2:], identity)]
    replicas = (len(rngs),) if isinstance(rngs, (list, tuple)) else ()
    shapes = {f"{i}.{key}": shape for i, layer in enumerate(layers) for key, shape in layer.shapes().items()}
    parameters = Parameters(shapes, backend or backends.numpy_backend, dtype, replicas)
    draw = INITIALIZERS[initializer]
    rows = [
        {name: draw(rng, shape) if name.endswith("W") else np.zeros(shape) for name, shape in shapes.items()}
        for rng in (rngs if replicas else [rngs])
    ]
    stacked = {name: np.stack([row[name] for row in rows]) for name in shapes} if replicas else rows[0]
    parameters.load({name: array.astype(dtype) for name, array in stacked.items()})
    return Network(layers, parameters)
