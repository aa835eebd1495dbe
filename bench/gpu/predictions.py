"""What the figures of bench.gpu were expected to be, written down before anything ran on a GPU."""

import math
from typing import NamedTuple


class Prediction(NamedTuple):
    """A figure of a section: between low and high, or exactly this text.

    guess    what was expected first, from data sheets and other people's figures
    goal     the bar, for those that have one
    """

    section: str
    name: str
    low: float | str
    high: float | None = None
    unit: str = ""
    guess: str = ""
    goal: str = ""

    def text(self):
        if isinstance(self.low, str):
            return self.low
        if self.high == math.inf:
            return f"at least {self.low:g} {self.unit}".strip()
        return f"{self.low:g}{'' if self.high is None else f' to {self.high:g}'} {self.unit}".strip()

    def holds(self, value):
        """Whether a measured value is within, None for one that is not there."""
        if value is None:
            return None
        if isinstance(self.low, str):
            return value == self.low
        return self.low <= value <= (self.low if self.high is None else self.high)


P = Prediction
# Of an H200. Where there is a guess, low and high were counted from machine code afterwards. Those of the
# block kernels are the issue bounds of bench.sass (instructions of a step / 4 schedulers / 1.98 GHz, as many
# blocks at once as fit) times what the estimates of the kernels before were above theirs.
PREDICTIONS = (
    P("S", "our stream is current after a graph", "yes"),
    P("S", "graphs and calls are in order", "yes"),
    P("A", "import cupy", 0.2, 0.5, "s"),
    P("A", "device, context and probe", 0.5, 2.0, "s"),
    P("C", "empty kernel", 3, 5, "µs"),
    P("C", "ufunc with out", 6, 12, "µs"),
    P("C", "sum", 10, 30, "µs"),
    P("C", "cupy.matmul (128, 32) (32, 32)", 10, 20, "µs"),
    P("C", "item", 8, 16, "µs"),
    P("D", "the block kernel", 0.5, 2.0, "s"),
    P("E", "rows as predicted", "all"),
    P("F", "captured", "yes"),
    P("F", "bits of matmul", "yes"),
    P("F", "allocation nodes", 0),
    P("G", "launch, 100 nodes", 3, 15, "µs"),
    P("G", "per node", 0.6, 1.3, "µs"),
    P("G", "replay after others allocated", "the same"),
    P("H", "(128, 32) eager", 1900, 2800, "µs", guess="900 to 1500"),
    P("H", "(128, 32) recorded", 230, 320, "µs", guess="150 to 250"),
    P("H", "(128, 32) fused", 38, 55, "µs", guess="45 to 80", goal="at most 35"),
    P("H", "default game, launches", 45, 65, "µs"),
    P("H", "default game, block", 38, 57, "µs", guess="80 to 120", goal="at most 40"),
    P("H", "(512, 128) fused", 60, 100, "µs"),
    P("H", "(4096, 512) fused", 700, 900, "µs", guess="500 to 650", goal="at most 450"),
    P("H", "(4096, 512) fused, TF32", 350, 480, "µs", guess="200 to 300", goal="at most 220"),
    P("H", "(8192, 1024) fused, TF32", 1100, 1400, "µs"),
    P("I", "(128, 32) block, 1 GAN", 16, 23, "µs", guess="12 to 20, 30 to 42", goal="at most 15"),
    P(
        "I",
        "(128, 32) block, best rate",
        6.7,
        10,
        "M GAN-steps/s",
        guess="6 to 12, 3 to 4.3",
        goal="at least 10",
    ),
    P("I", "(64, 16) block, 1 GAN", 5, 8, "µs", guess="9 to 14", goal="at most 6"),
    P("I", "(64, 16) block, best rate", 25, 36, "M GAN-steps/s", guess="14 to 20"),
    P("J", "copy", 3.9e3, 4.6e3, "GB/s"),
    P("J", "float32 product", 50e3, 55e3, "GFLOP/s"),
    P("J", "TF32 product", 350e3, 400e3, "GFLOP/s"),
    P("L", "(128, 32) PyTorch, CUDA graph", 60, 300, "µs"),
    P("L", "(128, 32) JAX, lax.scan", 60, 150, "µs"),
    P("L", "(4096, 512) the best of them over our TF32", 1.5, math.inf, goal="at least 1.5"),
    P("M", "own Philox, 128", 2, 4, "µs"),
    P("B", "failed", 0, unit="tests"),
)
