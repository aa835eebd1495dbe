"""The methods: what a run does where nothing else is said.

A method is a layer of settings below all others. Which pieces of "shaped" are worth what is measured by
`python -m bench.quality --pieces`, of several features by `python -m bench.several --pieces`.
"""

from typing import Any

import numpy as np

from minigan.training.config import Config

CELLS, FEWEST = 16, 1000  # that tell whether data are even, and of so many rows
BEYOND = 4  # latent numbers beyond those of the data, of several features: what G folds is smeared by them

METHODS: dict[str, dict[str, Any]] = {
    "plain": {},  # the defaults of config.py: as textbooks have it
    "shaped": {  # to the shape of one feature
        "draws": "stratified",
        "generator.activation": "tanh",
        "generator.bends": "data",
        # At half of D's rate, and D held by penalties: else modes that lie apart get lost.
        "generator_optimizer.rate": 0.0025,
        "generator_optimizer.beta2": 0.995,
        # One layer of units that each see one place: D's slope is then fitted place by place.
        "discriminator.widths": [128],
        "discriminator.activation": "tanh",
        "discriminator.bends": "data",
        "discriminator_optimizer.beta2": 0.995,
        "r1": 0.01,
        "r2": 0.01,
        "average.start": 0.85,
        "steps": 8000,
    },
}
SEVERAL: dict[str, dict[str, Any]] = {  # what a method sets otherwise where there are several features
    "plain": {},
    "shaped": {
        "generator.widths": [64, 64],
        "generator_optimizer.rate": 0.003,
        "discriminator.widths": [512],
        "discriminator_steps": 2,
        "r1": 0.03,
        "r2": 0.03,
        "average.start": 0.8,
    },
}


def method_of(config: Config) -> str:
    """The method that "auto" is: "shaped"."""
    return "shaped" if config.method == "auto" else config.method


def is_even(distribution: Any) -> bool:
    """Whether a distribution of one feature has two ends, and between them about the same density."""
    if distribution.features != 1 or not hasattr(distribution, "support"):
        return False
    low, high = distribution.support
    if not np.isfinite(high - low):
        return False
    return _alike(np.diff(distribution.cdf(np.linspace(low, high, CELLS + 1))))


def are_even(rows: np.ndarray) -> bool:
    """As ``is_even``, of rows of data; of few rows it is not to be seen.    Shapes:  rows (n, p)"""
    if rows.shape[1] != 1 or len(rows) < FEWEST:
        return False
    x = rows[:, 0] / CELLS  # so that the way between the ends is a number
    width = x.max() - x.min()
    if not width > 0:
        return False
    cells = np.minimum((x - x.min()) / width * CELLS, CELLS - 1).astype(int)
    return _alike(np.bincount(cells, minlength=CELLS) / len(x))


def _alike(masses: np.ndarray) -> bool:
    return bool((0.5 < CELLS * masses).all() and (CELLS * masses < 2).all())


def settings_of(config: Config, features: int, even: bool = False) -> dict[str, Any]:
    """What its method sets in a run that is ``config`` otherwise: only what its order of play can have.

    even  of one feature: ``is_even``, so that a G of two ends is nearly a straight line
    """
    method = method_of(config)
    found = dict(METHODS[method])
    if features > 1:
        found |= SEVERAL[method]
        if method == "shaped":
            found["latent.size"] = min(features + BEYOND, 1024)
    elif method == "shaped" and even:
        found["latent.distribution"] = "uniform"
    if config.order != "alternating":
        found.pop("discriminator_steps", None)
    return found
