"""The tape as a graph laid out forward: calls are boxes, and cotangents appear as rules run."""

from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.models import Range1d

from minigan.markup.layered import place
from minigan.views.frame import Frame
from minigan.views.look import FONT, Columns, Look, View, panel
from minigan.views.tape import Tape

WIDTH = 0.86  # of a box, in layers
SIGNS = {
    "add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "negative": "−·", "leaky_relu": "leaky",
    "absolute": "|·|", "square": "·²", "sum": "Σ", "mT": "·ᵀ", "matmul": "@", "broadcast_to": "spread",
    "softplus": "soft+", "sigmoid": "σ",
    "maximum": "max", "minimum": "min", "reshape": "shape", "getitem": "[·]",
}  # fmt: skip


class TapeView(View):
    """Boxes in layers; those that are on the way back have a cotangent once their rule ran.

    done    how many rules of the backward pass have run
    chosen  the number of the node that is looked at
    """

    def __init__(self, tape: Tape, look: Look, height: int = 430) -> None:
        super().__init__(look)
        self.tape, self.done, self.chosen = tape, 0, len(tape.nodes) - 1
        self._places = place(tape.edges, range(len(tape.nodes)))
        at = self._places.nodes
        self._x = np.array([at[k][0] for k in range(len(tape.nodes))], float)
        self._y = -np.array([at[k][1] for k in range(len(tape.nodes))], float)
        rows = Range1d(float(self._y.min()) - 0.8, float(self._y.max()) + 0.8)
        layers = Range1d(-0.6, float(self._x.max()) + 0.6)
        title = f"The loss of {tape.player} in round {tape.step + 1}, forward →"
        fig = panel(look, title, "", "", height=height, x_range=layers, y_range=rows,
                    tools="pan,wheel_zoom,box_zoom,tap,reset,save")  # fmt: skip
        fig.axis.visible = fig.grid.visible = False
        edges = self.source("edges", "xs", "ys", "colour", "width")
        fig.multi_line("xs", "ys", source=edges, color="colour", line_width="width", alpha=0.8)
        self.boxes = self.source("boxes", "x", "y", "fill", "line", "width", "label", "ink")
        outline = {"line_color": "line", "line_width": "width", "border_radius": 4}
        self.glyphs = fig.rect("x", "y", WIDTH, 0.62, source=self.boxes, fill_color="fill", **outline)
        style = {
            "text_align": "center",
            "text_baseline": "middle",
            "text_font_size": "8px" if len(tape.nodes) >= 90 else "9px" if self._x.max() > 18 else "10px",
            "text_color": "ink",
        }
        labels = fig.text("x", "y", "label", source=self.boxes, text_font=value(FONT), **style)
        for drawn in (self.glyphs, labels):  # what is chosen says its line: nothing else fades
            drawn.selection_glyph, drawn.nonselection_glyph = drawn.glyph.clone(), drawn.glyph.clone()
        self.layout = fig
        self.redraw()

    def columns(self, frame: Frame) -> Columns:
        return {}

    def redraw(self) -> None:
        """Draw the graph after ``done`` rules, with the chosen node."""
        tape, look = self.tape, self.look
        there = tape.cotangents(self.done)
        now = tape.back[self.done - 1] if 0 < self.done <= len(tape.back) else None
        fills, lines, widths = [], [], []
        for k, node in enumerate(tape.nodes):
            fills.append(_fill(look, node, k in there))
            lines.append(look.bad if k == self.chosen else look.d if k in there else look.chance)
            widths.append(2.6 if k == self.chosen else 1.8 if k in there else 0.8)
        labels = [_label(node) for node in tape.nodes]
        inks = [look.ink] * len(labels)
        self.boxes.data = {"x": self._x, "y": self._y, "fill": fills, "line": lines, "width": widths,
                           "label": labels, "ink": inks}  # fmt: skip
        xs, ys, colours, thick = [], [], [], []
        for (a, b), route in zip(tape.edges, self._places.routes, strict=True):
            ways = [(float(layer), -row) for layer, row in route]
            ways[0], ways[-1] = (ways[0][0] + WIDTH / 2, ways[0][1]), (ways[-1][0] - WIDTH / 2, ways[-1][1])
            xs.append([float(x) for x, _ in ways])
            ys.append([float(y) for _, y in ways])
            runs = now is not None and (a, b) == (now.into, now.node)
            colours.append(look.d if runs else look.chance)
            thick.append(3.0 if runs else 1.0)
        self.sources["edges"].data = {"xs": xs, "ys": ys, "colour": colours, "width": thick}


def _fill(look: Look, node: Any, back: bool) -> str:
    if back:
        return "#cfeee3" if look.name == "light" else "#12493a"
    if node.parameter or node.primitive == "variable":
        return "#cfe3f7" if look.name == "light" else "#173a5a"
    if node.primitive == "constant":
        return "#ececec" if look.name == "light" else "#30353b"
    return look.panel


def _label(node: Any) -> str:
    kind = node.primitive if node.primitive not in ("constant", "variable") else node.name
    return SIGNS.get(kind, str(kind)[:10])
