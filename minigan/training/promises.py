"""What a preset promises: quantities of a finished run, where they lie, and in how many seeds they did.

A promise is stated in the verdict's own quantities; where a preset sets out to show something else, in that:
how near a fit is to the best that its generator can reach, or what is left of a circle.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

SEEDS = 20  # of every promise: 0 to 19
TURN = 200  # steps, more than the slowest turn of the presets dirac-…
SHOWN = 16  # rows of a verdict that are kept: of images there are hundreds
RADIUS = "circle left"
WORDS = {  # of a quantity with a lower bound, and with an upper one; of others it is the name with the bounds
    "p": ("cannot be told from its target", ""),
    "modes captured": ("{:g} modes", ""),
    "high-quality share": ("{:.0f} % or more of high quality", ""),
    "class leakage": ("", "{:g} % or less leak between classes"),
    "classifier accuracy": ("", "a classifier is right in {:.0f} % of cases at most"),
    RADIUS: ("{:.0f} % or more of its circle is left", "{:.0f} % or less of its circle is left"),
}
PER_CENT = ("high-quality share", "class leakage", "classifier accuracy", RADIUS)


@dataclass(frozen=True)
class Condition:
    """A quantity of a finished run, and the bounds that it has.

    quantity  a row of the verdict by its name; "p" and "KS" of the verdict; "circle left", ``circle_left``
    best      the best that can be reached, where that is not the target
    """

    quantity: str
    low: float | None = None
    high: float | None = None
    best: float | None = None

    def holds(self, found: Mapping[str, float]) -> bool:
        """Whether the quantity is there and within its bounds."""
        value = found.get(self.quantity, math.nan)
        low = -math.inf if self.low is None else self.low
        return low <= value <= (math.inf if self.high is None else self.high)

    def describe(self) -> str:
        """In words: "mean 1.01 ± 0.1", "KS 0.03 or less"."""
        if self.low is not None and self.high is not None:
            middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
            return f"{self.quantity} {middle:.3g} ± {half:.2g}"
        words = WORDS.get(
            self.quantity, (f"{self.quantity} {{:g}} or more", f"{self.quantity} {{:g}} or less")
        )
        above, bound = (0, self.low) if self.high is None else (1, self.high)
        return words[above].format((bound or 0.0) * (100 if self.quantity in PER_CENT else 1))


def found_in(verdict: Any, metrics: Iterable[Mapping[str, Any]] = ()) -> dict[str, float]:
    """What conditions ask of a finished run: its verdict's p and rows by their names, and what is left of the
    circle, if there are lines of ``metrics`` with means.
    """
    found = {row.name: row.value for row in verdict.rows[:SHOWN]}
    found |= {"p": verdict.pvalue, "KS": verdict.ks.statistic}  # of several features the largest
    rows = [row for row in metrics if row.get("mean") is not None and not math.isnan(row["mean"])]
    circle = (
        {RADIUS: circle_left([row["step"] for row in rows], [row["mean"] for row in rows])} if rows else {}
    )
    return found | circle


def circle_left(steps: Sequence[int], means: Sequence[float], turn: int = TURN) -> float:
    """How far out the mean of the generated values came in the last ``turn`` steps, over that in the first.

    Of data around 0, as the Dirac-GAN's: about 1 where the generator circles, about 0 where it arrives.

    Shapes:  steps (n,), means (n,)
    """
    out = [(step, abs(mean)) for step, mean in zip(steps, means, strict=True)]
    first = max(radius for step, radius in out if step <= steps[0] + turn)
    last = max(radius for step, radius in out if step >= steps[-1] - turn)
    return last / first if first > 0 else math.nan


def describe_conditions(conditions: Iterable[Condition]) -> str:
    """What a preset sets out to show, in words."""
    return ", ".join(condition.describe() for condition in conditions)


class Shown(NamedTuple):
    """What a preset sets out to show, whether a run shows it, and the run's own quantities."""

    wanted: str
    holds: bool
    values: str


def find_shown(conditions: Sequence[Condition], found: Mapping[str, float]) -> Shown | None:
    """Whether a run shows what its preset sets out to show; None where that is the verdict itself."""
    if all(condition.quantity == "p" for condition in conditions):
        return None
    holds = all(condition.holds(found) for condition in conditions)
    values = ", ".join(f"{c.quantity} {found.get(c.quantity, math.nan):.4g}" for c in conditions)
    return Shown(describe_conditions(conditions), holds, values)
