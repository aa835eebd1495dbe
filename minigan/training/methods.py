"""The methods: what a run does where nothing else is said.

A method is a layer of settings below all others. Which pieces of "shaped" are worth what is measured by
`python -m bench.quality --pieces`, of several features by `python -m bench.planar --pieces`.
"""

from typing import Any

from minigan.training.config import Config

BEYOND = 4  # latent numbers beyond those of the data, of several features: what G folds is smeared by them

METHODS: dict[str, dict[str, Any]] = {
    "plain": {},  # the defaults of config.py: as textbooks have it
    "shaped": {  # to the shape of one feature
        "draws": "stratified",
        "generator.activation": "tanh",
        "generator.bends": "data",
        "generator_optimizer.beta2": 0.995,
        # One layer of units that each see one place: D's slope is then fitted place by place.
        "discriminator.widths": [128],
        "discriminator.activation": "tanh",
        "discriminator.bends": "data",
        "discriminator_optimizer.beta2": 0.995,
        "discriminator_steps": 2,
        "r1": 0.005,
        "r2": 0.005,
        "average.start": 0.85,
        "batch": 128,
        "steps": 8000,
    },
}
SEVERAL: dict[str, dict[str, Any]] = {  # what a method sets otherwise where there are several features
    "plain": {},
    "shaped": {
        "generator.widths": [64, 64],
        "generator_optimizer.rate": 0.003,
        "discriminator.widths": [512],
        "r1": 0.03,
        "r2": 0.03,
        "average.start": 0.8,
        "batch": 256,
    },
}


def method_of(config: Config) -> str:
    """The method that "auto" is: "shaped"."""
    return "shaped" if config.method == "auto" else config.method


def settings_of(config: Config, features: int) -> dict[str, Any]:
    """What its method sets in a run that is ``config`` otherwise: only what its order of play can have."""
    method = method_of(config)
    found = dict(METHODS[method])
    if features > 1:
        found |= SEVERAL[method]
        if method == "shaped":
            found["latent.size"] = min(features + BEYOND, 1024)
    if config.order != "alternating":
        found.pop("discriminator_steps", None)
    return found
