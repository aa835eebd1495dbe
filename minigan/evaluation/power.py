"""What a judgement could have found: the deviations that 9 of 10 samples of that size would have shown."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from minigan.evaluation.joint import REACHES
from minigan.probability.distributions import location_scale

ANYWHERE = "a missing part of {} wherever it lies"
OF_A_FEATURE = "a missing part of {} of one feature's range wherever it lies"
MODE = "a missing mode of {}"
STATED = 0.5  # a shift, in sd: a judgement that would miss it more often than 1 in 10 has too few values
GRID = 1000  # levels at which a distribution is looked at
CUTS, SHARES = 100, 15  # equally likely values of where a part is cut, and of the real values in it


@dataclass(frozen=True)
class Power:
    """The deviations found in at least 9 of 10 cases by one row alone, so in more by all of them.

    shift    of the whole distribution, in sd; scale: a factor of the sd. None where no row is for it.
    missing  the share of a part without any values, wherever it lies (``missing_part``), or of a mode
    needed   values from which on a shift of half an sd is found: of the smaller side beside the larger one
    part     what is missing, in words with a gap for the share; of: what the needed values are
    """

    shift: float | None = None
    scale: float | None = None
    missing: float | None = None
    needed: int = 2
    part: str = ANYWHERE
    of: str = "values on"

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
            *([f"a scale of {format_factor(self.scale)}"] if self.scale is not None else []),
            *([self.part.format(f"{100 * self.missing:.2g} %")] if self.missing is not None else []),
        ]
        return f"In 9 of 10 cases they would have found {', '.join(found)}." if found else ""

    def describe_need(self) -> str:
        """How many values a stated difference needs, as a sentence."""
        shift = "" if self.shift is None else f"; with so few, one of {self.shift:.2g}"
        number = f"{self.needed} {self.of}"
        return f"a shift of half a standard deviation shows in 9 of 10 cases from {number}{shift}."

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


def needed_beside(least: int, n: int, m: int, noun: str = "values") -> tuple[int, str]:
    """How many values a sample of n, or data of m, have to be for nm/(n + m) to be at least ``least``.

    Of the smaller side beside the larger one; of both where the larger one has too few itself. Also the words
    for what is counted.
    """
    larger = max(n, m)
    if larger < 2 * least:
        return 2 * least, f"{noun} on each side"
    beside = f"{larger:,}".replace(",", " ")
    real, sample = f"real {noun} on, beside {beside} of the sample", f"{noun} on, beside {beside} real ones"
    return math.ceil(least * larger / (larger - least)), real if n > m else sample


@lru_cache(maxsize=64)  # samples of one size have one bound
def missing_part(bound: float, n: float, m: float = math.inf) -> float | None:
    """The share of a part that a sample of n lacks and KS finds in 9 of 10 cases, wherever the part lies.

    KS finds what is above ``bound``. None where no part is found so often; m = ∞ stands for a known
    distribution. Hardest to find is a part in the middle, where KS gets half of the share on either side;
    near an end it gets more on one. Where a part of share c begins and ends, the CDFs are e₁ = (s + d)/2 and
    e₂ = (s − d)/2 apart: s is the share of real values in it, of variance c(1 − c)/m, and d has the variance
    1/n + (1 − c)/m and no correlation with s. Given these, what is between an end of the line and the part is
    a Brownian bridge of variance τ = 1/2n + (1 − c)/2m, which exceeds h with probability exp(−2h(h − e)/τ).

    Source:  Doob 1949, for the bridges; Vrbik 2018, for the correction of h at finite sizes
    """
    from scipy.special import ndtri

    d, s = (ndtri((np.arange(count) + 0.5) / count) for count in (CUTS, SHARES))
    h = bound + (1 / n + 1 / m) / 6

    def share_found(c: float) -> float:
        total, apart = c + s[:, None] * math.sqrt(c * (1 - c) / m), d * math.sqrt(1 / n + (1 - c) / m)
        over = -2 * h / (0.5 / n + 0.5 * (1 - c) / m)
        missed = 1.0
        for end in (0.5 * (total + apart), 0.5 * (total - apart)):
            missed = missed * -np.expm1(over * np.maximum(h - end, 0.0))
        return 1 - float(np.mean(missed))

    low, high = 0.0, 1.0
    if share_found(high) < REACHES:
        return None
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if share_found(middle) >= REACHES else (middle, high)
    return high


def format_factor(factor: float) -> str:
    """A factor with two digits of what it is above 1, which it never reads like."""
    over = abs(factor - 1)
    if not math.isfinite(over) or over == 0:
        return f"{factor:g}"
    return f"{factor:.{max(1, 1 - math.floor(math.log10(over)))}f}"


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
