"""A tensor and its history for a notebook: a line per tensor, and an arc from each to what was made of it."""

import math
from html import escape

import numpy as np

from minigan.engine.show import as_text, history
from minigan.engine.tensor import Tensor
from minigan.markup.html import box, lines_of_code

__all__ = ["history_as_svg", "tensor_as_html"]

SHOWN = 40  # tensors of a history, the newest
WIDTH = 110  # characters of a line
HEIGHT, LETTER = 18, 7.3  # pixels of a line and of a letter
_COLOURS = {"variable": "#2E86C1", "constant": "#8C8C8C"}  # on white and on black; others as text


def tensor_as_html(t: Tensor) -> str:
    """What a notebook shows of a Tensor: its type, its values, and how they came about.

    Raises:  CaptureError – while capturing, as ``t.numpy()``
    """
    values = np.array2string(t.numpy(), threshold=100, edgeitems=3, separator=", ")
    made = "a constant" if t.call is None else f"a {t.call.primitive}"
    parts = [lines_of_code(values)]
    if t.call is not None and t.call.inputs:
        made = f"made by {t.call.primitive}"
        parts.append(history_as_svg(t))
    return box(f"Tensor {t.dtype}{list(t.shape)}, {made}", *parts)


def history_as_svg(t: Tensor) -> str:
    """The lines of ``as_text`` under each other, the newest ``SHOWN``, and the arcs between them."""
    tensors, lines = history(t), as_text(t).splitlines()
    hidden = max(0, len(tensors) - SHOWN)
    row = {tensor: k for k, tensor in enumerate(tensors[hidden:])}
    arcs = [
        (row[x], k)
        for tensor, k in row.items()
        for x in (tensor.call.inputs if tensor.call is not None else ())
        if isinstance(x, Tensor) and x in row
    ]
    left = 14 + max((_reach(b - a) for a, b in arcs), default=0)
    head = [f"… {hidden} older tensors"] if hidden else []
    first = len(head)
    texts = [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in head + lines[hidden:]]
    width, height = left + LETTER * max(map(len, texts)) + 8, HEIGHT * len(texts) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" role="img" aria-label="the history of a tensor" font-size="12" '
        'font-family="ui-monospace,monospace" fill="currentColor" stroke="none">'
    ]
    for a, b in sorted(set(arcs)):
        y0, y1, x = _middle(a + first), _middle(b + first), left - 8
        parts.append(
            f'<path d="M{x} {y0}C{x - 4 * _reach(b - a) / 3:.1f} {y0} {x - 4 * _reach(b - a) / 3:.1f} {y1} '
            f'{x} {y1}" fill="none" stroke="currentColor" stroke-opacity=".45"/>'
            f'<path d="M{x + 4} {y1}l-6 -2.5v5z" fill-opacity=".6"/>'
        )
    for k, text in enumerate(texts):
        colour = _COLOURS.get(text.rpartition(" = ")[2], "currentColor")
        place = f'x="{left}" y="{_middle(k) + 4}" fill="{colour}"'
        parts.append(f'<text {place} xml:space="preserve">{escape(text)}</text>')
    return "".join([*parts, "</svg>"])


def _middle(k: int) -> int:
    return HEIGHT * k + HEIGHT // 2 + 4


def _reach(span: int) -> float:
    """How far to the left an arc over so many lines goes: a long one further, but not in proportion."""
    return 10 + 14 * math.log2(span)
