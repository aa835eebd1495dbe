"""A trained model for other programs: the arrays of its networks by name, and how they are to be used.

A format is a function from a Model to the bytes of a file.
"""

import io
import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan._version import __version__

SCHEMA = 1  # of the architecture
FORMULAS = {  # of the activations, for programs that have others of the same name
    "tanh": "tanh(x)",
    "relu": "max(x, 0)",
    "leaky_relu": "max(x, 0.2 x)",
    "sigmoid": "1 / (1 + exp(-x))",
    "softplus": "ln(1 + exp(x))",
    "elu": "x if x > 0 else exp(x) - 1",
    "silu": "x / (1 + exp(-x))",
}
TOLD = {  # how D is told the class
    "concatenation": "D too",
    "projection": "D by ((k @ V) * x).sum(-1) in its last",
}


@dataclass(frozen=True)
class Model:
    """The arrays of generator, discriminator and averaged generator, shift and scale; and the architecture.

    step          how many were trained
    architecture  as JSON has it: sizes and activations of the networks, the distribution of the latent
                  vector, the formulas between the user's units and the networks', the whole configuration
    """

    step: int
    arrays: dict[str, np.ndarray]
    architecture: dict[str, Any]


def read_model(path: str | os.PathLike[str], at: str = "latest") -> tuple[Model, tuple[str, ...]]:
    """The model in a run directory, of its newest good checkpoint or another, and notes about damaged ones.

    The data set it was trained on is not needed.

    Raises:  DataError, ConfigError, CheckpointError – where directory, configuration or checkpoint is refused
             DivergedError – where the generator's rows are not finite
    """
    from minigan.training.config import to_json
    from minigan.training.saved import TRIED, read_generator

    trained = read_generator(path, at)
    trained.sample(TRIED)  # which is refused where the generator's rows are not finite
    config, step, sizes = trained.config, trained.step, trained.sizes

    def network(player: str, activation: str) -> dict[str, Any]:
        return {"sizes": list(sizes[player]), "activation": activation, "formula": FORMULAS[activation]}

    architecture = {
        "format": "minigan model",
        "schema": SCHEMA,
        "minigan": __version__,
        "step": step,
        "features": len(trained.names),
        "latent": {"size": trained.sampler.latent_size, "distribution": config.latent.distribution},
        "generator": network("generator", config.generator.activation),
        "average": network("average", config.generator.activation),
        "discriminator": network("discriminator", config.discriminator.activation),
        "packing": config.packing,
        "layer": "x @ W + b, then the activation, which the last layer lacks",
        "sample": "average(z) * scale + shift",
        "judge": "discriminator((x - shift) / scale), a logit where the objective has a probability",
        "config": json.loads(to_json(config)),
    }
    if (labels := trained.sampler.labels) is not None:
        architecture["label"] = {
            "name": labels.name,
            "classes": list(labels.classes),
            "priors": labels.priors.tolist(),
            "told": "k, 1 in the place of the class, by k @ V in the first layer of G, "
            + TOLD[config.conditioning],
        }
    return Model(step, trained.arrays, architecture), trained.notes


def as_npz(model: Model) -> bytes:
    """The arrays and, as the text ``architecture``, the JSON; for ``numpy.load(…, allow_pickle=False)``."""
    buffer, text = io.BytesIO(), json.dumps(model.architecture)
    np.savez(buffer, allow_pickle=False, **model.arrays, architecture=np.array(text))
    return buffer.getvalue()
