"""The built-in experiments: what each changes in the default configuration, and why one would run it."""

from dataclasses import dataclass, field
from typing import Any

from minigan.lab.errors import ConfigError, nearest


@dataclass(frozen=True)
class Preset:
    """A named experiment: one line of description, and its settings nested as in a configuration file."""

    description: str
    settings: dict[str, Any] = field(default_factory=dict)


PRESETS = {
    "gaussian": Preset("a normal law, N(4, 1.25): the first thing to run"),
    "narrow": Preset("a narrow normal law, N(4, 0.5)", {"target": "normal(4, 0.5)"}),
    "standard": Preset("a normal law beside the latent one, N(-1, 1)", {"target": "normal(-1, 1)"}),
    "wide": Preset("a wide normal law, N(0, 10)", {"target": "normal(0, 10)"}),
    "far": Preset("a normal law far from the origin, N(1000, 1)", {"target": "normal(1000, 1)"}),
    "mixture": Preset(
        "two modes of unequal weight and width: kinks in G, a wider and freer D; KS still tells most seeds",
        {
            "target": "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)",
            "generator": {"activation": "leaky_relu"},
            "discriminator": {"widths": [64, 64]},
            "r1": 0.02,
            "r2": 0.02,
            "generator_optimizer": {"rate": 0.001},
            "discriminator_optimizer": {"rate": 0.002},
            "steps": 6000,
        },
    ),
    "student": Preset(
        "tails a little heavier than normal: Student's t, 40 degrees of freedom", {"target": "student(40)"}
    ),
    "saturating": Preset(
        "the minimax loss, whose generator gradient vanishes where the discriminator is sure",
        {"objective": "minimax"},
    ),
    "simultaneous": Preset("both players move at once instead of in turn", {"order": "simultaneous"}),
}


def preset(name: str) -> Preset:
    """The preset called ``name``.

    Raises:  ConfigError – for another name
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name[:80]!r}; {nearest(name, PRESETS)}")
    return PRESETS[name]
