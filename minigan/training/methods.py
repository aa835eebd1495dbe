"""The methods: what a run does where nothing else is said.

A method is a layer of settings below all others. Which pieces of "shaped" are worth what is measured by
`python -m bench.quality --ablation`.
"""

from typing import Any

from minigan.errors import ConfigError
from minigan.training.config import Config

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


def method_for(config: Config, features: int) -> str:
    """The method that "auto" is for data of so many features: "shaped" for one.

    Raises:  ConfigError – for a method of one feature, asked for with several
    """
    if config.method == "shaped" and features > 1:
        raise ConfigError(
            f"the method shaped is for one feature, and these data have {features}; choose method=plain"
        )
    if config.method != "auto":
        return config.method
    return "shaped" if features == 1 else "plain"


def settings_of(config: Config, method: str) -> dict[str, Any]:
    """What a method sets in a run that is ``config`` otherwise: only what its order of play can have."""
    several = config.order == "alternating"
    return {
        name: value for name, value in METHODS[method].items() if several or name != "discriminator_steps"
    }
