"""What a preset promises: quantities of a finished run, where they lie, and in how many seeds they did.

A promise is stated in the verdict's own quantities; where a preset sets out to show something else, in that:
how near a fit is to the best that its generator can reach, or what is left of a circle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from minigan.evaluation.rows import Verdict

SEEDS = 20  # of every promise: 0 to 19
TURN = 200  # steps, more than the slowest turn of the presets dirac-…
SHOWN = 16  # rows of a verdict that are kept: of images there are hundreds
WORDS = {  # of a quantity with a lower bound, and with an upper one; of others it is the name with the bounds
    "p": ("cannot be told from its target", ""),
    "modes captured": ("{:g} modes", ""),
    "high-quality share": ("{:.0%} or more of high quality", ""),
    "classifier accuracy": ("", "a classifier is right in {:.0%} of cases at most"),
    "radius kept": ("{:.0%} or more of its circle is left", "{:.0%} or less of its circle is left"),
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """A quantity of a finished run, and the bounds that it has.

    quantity  a row of the verdict by its name; "p", that of the verdict; "radius kept", of ``radius_kept``
    best      the best that can be reached, where the target itself cannot
    """

    quantity: str
    low: float | None = None
    high: float | None = None
    best: float | None = None

    def holds(self, found: Mapping[str, float]) -> bool:
        """Whether the quantity is there and within its bounds."""
        value = found.get(self.quantity, np.nan)
        low, high = (-np.inf if self.low is None else self.low), (np.inf if self.high is None else self.high)
        return bool(low <= value <= high)

    def describe(self) -> str:
        """In words, with the best value where there is one."""
        words = WORDS.get(
            self.quantity, (f"{self.quantity} {{:g}} or more", f"{self.quantity} {{:g}} or less")
        )
        if self.low is not None and self.high is not None:
            text = f"{self.quantity} {self.low:g} to {self.high:g}"
        else:
            text = words[0].format(self.low) if self.high is None else words[1].format(self.high)
        return text if self.best is None else f"{text} (best {self.best:.3g})"


def quantities(verdict: Verdict) -> dict[str, float]:
    """What conditions ask of a verdict: its first rows by their names, and its p."""
    return {"p": verdict.pvalue, **{row.name: row.value for row in verdict.rows[:SHOWN]}}


def radius_kept(steps: ArrayLike, means: ArrayLike, turn: int = TURN) -> float:
    """How far out the mean of the generated values came in the last ``turn`` steps, over that in the first.

    Of data around 0, as the Dirac-GAN's: about 1 where the generator circles, about 0 where it arrives.

    Shapes:  steps (n,), means (n,)
    """
    steps, out = np.asarray(steps), np.abs(np.asarray(means, "float64"))
    first, last = out[steps <= steps[0] + turn].max(), out[steps >= steps[-1] - turn].max()
    return float(last / first) if first > 0 else float("nan")


def describe(conditions: Sequence[Condition], held: int) -> str:
    """A promise as a sentence: what, and in how many seeds it was so."""
    return f"{', '.join(condition.describe() for condition in conditions)}: {held} of {SEEDS} seeds"
