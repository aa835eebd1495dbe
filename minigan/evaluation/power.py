"""What a judgement could have found: the deviations that 9 of 10 samples of that size would have shown."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan.evaluation.joint import REACHES
from minigan.probability.distributions import location_scale

STATED = 0.5  # a shift, in sd: a judgement that would miss it more often than 1 in 10 has too few values
GRID = 1000  # levels at which a distribution is looked at


@dataclass(frozen=True)
class Power:
    """The deviations found in at least 9 of 10 cases by one row alone, so in more by all of them.

    shift    of the whole distribution, in sd; scale: a factor of the sd; missing: the share of a part that is
             missing at an end, or of a mode. None where no row is for it.
    needed   values from which on a shift of half an sd is found
    """

    shift: float | None = None
    scale: float | None = None
    missing: float | None = None
    needed: int = 2
    sides: int = 1
    part: str = "part"

    @classmethod
    def read(cls, numbers: dict[str, Any]) -> "Power":
        """What ``as_dict`` gave."""
        values = (numbers[name] for name in ("shift", "scale", "missing"))
        shift, scale, missing = (None if value is None else float(value) for value in values)
        return cls(shift, scale, missing, needed=int(numbers["values_needed"]))

    def describe(self) -> str:
        """What would have been found, as a sentence."""
        found = [
            *([f"a shift of {self.shift:.2g} sd"] if self.shift is not None else []),
            *([f"a scale of {self.scale:.3g}"] if self.scale is not None else []),
            *([f"a missing {self.part} of {100 * self.missing:.2g} %"] if self.missing is not None else []),
        ]
        return f"In 9 of 10 cases they would have found {', '.join(found)}." if found else ""

    def describe_need(self) -> str:
        """How many values a stated difference needs, as a sentence."""
        side = " on each side" if self.sides == 2 else ""
        shift = "" if self.shift is None else f"; with so few, one of {self.shift:.2g}"
        return (
            f"a shift of half a standard deviation shows in 9 of 10 cases from {self.needed} values{side} "
            f"on{shift}."
        )

    def as_dict(self) -> dict[str, Any]:
        """The numbers, by name."""
        found = {"shift": self.shift, "scale": self.scale, "missing": self.missing}
        plain = {name: None if value is None else float(value) for name, value in found.items()}
        return {"share": REACHES, **plain, "values_needed": self.needed}


def found(critical: float, sd: float) -> float:
    """The mean at which a normal quantity of this sd exceeds ``critical`` in 9 of 10 cases."""
    from scipy.special import ndtri

    return float(critical + ndtri(REACHES) * sd)


def needed(reach: float, slope: float = 1.0) -> int:
    """Values at which a shift of half an sd is found by a mean that finds ``reach``/√n."""
    return max(2, math.ceil((reach / (STATED * slope)) ** 2)) if slope > 0 else 2


def slopes(distribution: Any) -> tuple[float, float]:
    """How fast mean and sd of the normal scores move with a shift in sd, and with the logarithm of a factor.

    Both are 1 for a normal distribution: the means of (dz/dx) sd and of z (dz/dx)(x − centre).
    """
    from scipy.special import ndtri

    u = (np.arange(GRID) + 0.5) / GRID
    x, z = distribution.quantile(u), ndtri(u)
    centre, scale, _ = location_scale(distribution)
    steep = np.exp(distribution.log_density(x) + 0.5 * z * z + 0.5 * math.log(2 * math.pi))
    return float(np.mean(steep) * scale), float(np.mean(z * steep * (x - centre)))
