"""The look of every figure: colours, text, ticks, and the file that is written.

One colour, one meaning, in every panel: blue is the target, orange is generated, green is D, dashed black is
what theory says, and grey is chance: what a perfect sampler of the same size would show.
"""

import io
import math
import os
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from minigan.errors import quoted
from minigan.storage.files import write_atomic

TARGET, GENERATED, D = "#0072B2", "#D55E00", "#009E73"  # Okabe & Ito's, apart for every kind of colour vision
THEORY, CHANCE, START = "black", "#8C8C8C", "#E69F00"
GOOD, BAD = "#1B6E3C", "#A50F15"
BESIDE = "#555555"  # the colour of what is no judgement

SIZE, DPI = (15.0, 9.0), 110  # inches, dots per inch
NARROW = 1e4  # times a panel's range, from which on its middle is taken off the ticks
NEAR = 0.03  # how far D may be from ½ on average, or V from its levels in nats, to be called near

ABOVE: dict[str, Any] = {  # a legend between panel and title
    "loc": "lower left", "bbox_to_anchor": (-0.01, 0.98), "frameon": False, "borderpad": 0,
    "columnspacing": 1.2, "handlelength": 1.6, "handletextpad": 0.5,
}  # fmt: skip
DROP = 0.41  # inches under a panel, where its labels end
BELOW: dict[str, Any] = {  # a legend there
    "loc": "upper left", "frameon": False, "borderpad": 0,
    "handlelength": 1.6, "handletextpad": 0.5, "labelspacing": 0.2, "fontsize": 8,
}  # fmt: skip
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# The same run gives the same bytes; a png is at level 3 as small as at 6, which takes half as long again.
WRITING: dict[str, dict[str, Any]] = {
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 3}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}


def style() -> AbstractContextManager[None]:
    """The look of the page, whatever the user's matplotlibrc says; nothing global stays changed."""
    return matplotlib.rc_context(
        {
            "text.usetex": False,
            "text.hinting": "none",  # letters keep their distances, and a page takes a seventh less
            "font.family": ["DejaVu Sans"],
            "font.size": 9.0,
            "axes.titlesize": 10.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.titley": 1.0,  # where it is put too after all ticks on top were looked for
            "axes.labelsize": 9.0,
            "legend.fontsize": 8.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.unicode_minus": True,
            "savefig.bbox": None,
            "savefig.dpi": "figure",
            "figure.facecolor": "white",
            "savefig.facecolor": "auto",
            "svg.hashsalt": "minigan",
        }  # fmt: skip
    )


class Page(Figure):
    """A figure that a notebook shows by itself, whether or not pyplot is there."""

    def _repr_png_(self) -> bytes:
        return as_bytes(self, "png")


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write ``figure`` to a .png, .svg or .pdf file, whole or not at all.

    Raises:  ValueError – for another suffix;  StorageError – if it cannot be written
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in WRITING:
        raise ValueError(f"a figure is written as .png, .svg or .pdf; received {quoted(str(path))}")
    write_atomic(path, as_bytes(figure, kind))


def as_bytes(figure: Figure, kind: str) -> bytes:
    """``figure`` as a png, svg or pdf file has it."""
    buffer = io.BytesIO()
    with style(), warnings.catch_warnings():
        # A column may be named in a script that the font lacks: boxes in a label are no reason to alarm
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format=kind, **WRITING[kind])
    return buffer.getvalue()


def pixels(figure: Figure) -> np.ndarray:
    """``figure`` as an image.    Shapes:  → (height, width, 3), bytes"""
    canvas = FigureCanvasAgg(figure)
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas.draw()
    image: np.ndarray = np.asarray(canvas.buffer_rgba())[..., :3]
    return image


def draw_legend_below(ax: Axes, handles: Sequence[Any], names: Sequence[str], columns: int = 1) -> None:
    """A legend under the panel and its labels, where it hides no curve."""
    height = ax.get_window_extent().height / ax.figure.dpi
    ax.legend(handles, names, ncol=columns, bbox_to_anchor=(-0.02, -DROP / height), **BELOW)


def set_ticks(axis: Axis, count: int = 6) -> None:
    """Few ticks, each written out; a power of ten, or what all numbers have in common, goes to the label."""
    low, high = sorted(axis.get_view_interval())
    middle, step = 0.5 * (low + high), 10.0 ** math.floor(math.log10(max(high - low, 1e-300)))
    common = round(middle / step) * step if abs(middle) > NARROW * (high - low) else 0.0
    power = math.floor(math.log10(max(abs(low - common), abs(high - common), 1e-300)))
    power = 0 if -4 < power < 6 else power
    if common:
        axis.set_label_text(f"{axis.get_label_text()} − {common:.12g}".replace("− -", "+ "))
    if power:
        text = axis.get_label_text()
        axis.set_label_text(f"{f'({text})' if common else text} / 10{str(power).translate(SUPERSCRIPTS)}")
    unit = 10.0**power
    axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{round((value - common) / unit, 9):.10g}".replace("-", "−"))
    )


def patch(colour: str) -> Patch:
    """What a legend shows of a filled density."""
    return Patch(facecolor=colour, alpha=0.35, linewidth=0)


def format_text(text: str, width: int) -> str:
    """``text`` on one line, shortened, and not read as mathematics: a column may well be called "$x_{"."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return (line if len(line) <= width else line[: width - 1] + "…").replace("$", r"\$")


def format_count(count: float) -> str:
    """10 000: a whole number in groups of three digits."""
    return f"{count:,.0f}".replace(",", " ")
