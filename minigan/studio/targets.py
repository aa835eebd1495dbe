"""The tab of targets: what is to be learnt as text, as a preset, as an uploaded file, or drawn by hand."""

import base64
import binascii
from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, FileInput, PointDrawTool, Range1d

from minigan.studio.commands import MOST_POINTS, MOST_TABLE
from minigan.studio.mirror import Steered
from minigan.studio.watch import Sight
from minigan.studio.widgets import Panel, Widgets
from minigan.training.presets import PRESETS
from minigan.views.look import beside, panel

EXAMPLES = (
    "normal(4, 1.25)", "0.3*normal(-1,0.5)+0.7*laplace(2,1)", "uniform(0, 1)", "student(4)", "gamma(2, 1)",
    "ring(8, 1, 0.05)", "grid(5, 1, 0.05)", "spiral(3)",
)  # fmt: skip
SMALL_CLOUD = "a normal cloud of sd 0.05"
SPREADS = {"nothing: the points are the data": 0.0, SMALL_CLOUD: 0.05, "a normal cloud of sd 0.2": 0.2}
DRAG = "Drag a corner to move it, click to add one, tap one and press ⌫ to remove it."
CLICK = "Click to add a point, drag one to move it, tap one and press ⌫ to remove it."
BUMP = np.array([(-3.0, 0.0), (-2.0, 0.15), (-1.0, 0.9), (0.0, 0.25), (1.0, 0.25), (2.0, 0.7), (3.0, 0.0)])


class Targets(Panel):
    """Four ways to say what is to be learnt; each begins a game anew."""

    title, lasting = "Target", True

    def __init__(self, widgets: Widgets, course: Steered) -> None:
        self.widgets, self.course = widgets, course
        self.said = widgets.text(name="target_said", sizing_mode="stretch_width")

    def build(self, seen: Sight) -> Any:
        w = self.widgets
        self.text = w.line("a distribution, as text", "target", str(self.course.config.target), width=330)
        self.example = w.choice("or one of these", "example", EXAMPLES, EXAMPLES[0], width=270)
        self.example.on_change("value", self._exemplified)
        self.preset = w.choice("a preset", "preset", list(PRESETS), "gaussian", width=170)
        self.file = FileInput(accept=".csv,.tsv,.txt", name="upload", stylesheets=[w.sheet], width=230)
        self.file.on_change("value", self._uploaded)
        line = w.bar(
            self.text,
            w.button("learn this", "learn_target", self._learn_text),
            self.example,
            self.preset,
            w.button("begin it", "learn_preset", self._learn_preset),
        )
        upload = w.bar(w.text("a table of numbers of yours, CSV:", align="center"), self.file, self.said)
        return column([line, upload, self._drawn()], sizing_mode="stretch_width")

    def _drawn(self) -> Any:
        w, look = self.widgets, self.widgets.look
        tools = {"tools": "reset,save", "height": 360}
        self.density = ColumnDataSource({"x": BUMP[:, 0], "h": BUMP[:, 1]}, name="drawn_density")
        fig = panel(look, "A density, by its corners",
                    "x", "height", x_range=Range1d(-4, 4), y_range=Range1d(-0.04, 1.1), **tools)  # fmt: skip
        self.outline = ColumnDataSource({"x": BUMP[:, 0], "h": BUMP[:, 1]})
        fig.varea("x", 0, "h", source=self.outline, color=look.target, alpha=0.3)
        corners = fig.scatter("x", "h", source=self.density, size=11, color=look.target)
        self._draw(fig, corners)
        self.density.on_change("data", self._outlined)
        self.points = ColumnDataSource({"x": np.zeros(0), "y": np.zeros(0)}, name="drawn_points")
        plane = panel(look, "Points of the plane, each a mode or a row",
                      "x", "y", x_range=Range1d(-2, 2), y_range=Range1d(-2, 2), **tools)  # fmt: skip
        self._draw(plane, plane.scatter("x", "y", source=self.points, size=9, color=look.target))
        self.spread = w.choice("around each point", "spread", list(SPREADS), SMALL_CLOUD, width=250)
        learn = w.button("learn this density", "learn_density", self._learn_density, main=True)
        left = column([w.text(DRAG), fig, w.bar(learn)], sizing_mode="stretch_width")
        learn = w.button("learn these points", "learn_points", self._learn_points, main=True)
        under = w.bar(self.spread, learn, w.button("clear", "clear_points", self._clear))
        return beside(left, column([w.text(CLICK), plane, under], sizing_mode="stretch_width"))

    @staticmethod
    def _draw(fig: Any, points: Any) -> None:
        tool = PointDrawTool(renderers=[points], num_objects=MOST_POINTS)
        fig.add_tools(tool)
        fig.toolbar.active_tap = tool

    def _send(self, **command: Any) -> None:
        refusal = self.course.send(command)
        self._tell(refusal or "")

    def _tell(self, text: str) -> None:
        from minigan.studio.widgets import safe

        self.said.text = f"<span style='color:{self.widgets.look.bad}'>{safe(text)}</span>" if text else ""

    def _exemplified(self, attr: str, old: Any, new: Any) -> None:
        self.text.value = new

    def _learn_text(self) -> None:
        self._send(do="set", settings={"target": self.text.value})

    def _learn_preset(self) -> None:
        self._send(do="preset", name=self.preset.value)

    def _uploaded(self, attr: str, old: Any, new: Any) -> None:
        try:
            text = base64.b64decode(new, validate=True).decode("utf-8-sig")
        except (binascii.Error, UnicodeDecodeError, TypeError, ValueError):
            return self._tell("the file is no text in UTF-8; give a CSV file of numbers")
        if len(text) > MOST_TABLE:
            return self._tell(f"the file has more than {MOST_TABLE // 2**20} MiB; begin with --data FILE")
        return self._send(do="learn_table", text=text)

    def _outlined(self, attr: str, old: Any, new: Any) -> None:
        rows = _rows(self.density, "x", "h")
        if rows is not None:
            ordered = rows[np.argsort(rows[:, 0])]
            self.outline.data = {"x": ordered[:, 0], "h": np.maximum(ordered[:, 1], 0.0)}

    def _learn_density(self) -> None:
        rows = _rows(self.density, "x", "h")
        if rows is None:
            return self._tell("the corners of the density are no numbers; draw them again")
        return self._send(do="learn_density", heights=rows.tolist())

    def _learn_points(self) -> None:
        rows = _rows(self.points, "x", "y")
        if rows is None or len(rows) < 2:
            return self._tell("draw two points at least")
        sd = SPREADS.get(self.spread.value, 0.0)
        if sd:
            rng = np.random.default_rng(0)
            copies = max(1, min(MOST_POINTS, 1500) // len(rows))
            rows = np.repeat(rows, copies, axis=0)
            rows = rows + sd * rng.standard_normal(rows.shape)
        return self._send(do="learn_points", points=rows.tolist())

    def _clear(self) -> None:
        self.points.data = {"x": [], "y": []}

    def show(self, seen: Sight) -> None:
        """Nothing here moves."""


def _rows(source: ColumnDataSource, *names: str) -> np.ndarray | None:
    """What was drawn, as rows of numbers; None where it is none."""
    try:
        columns = [np.asarray(source.data[name], "float64") for name in names]
        rows = np.stack(columns, axis=1)
    except (TypeError, ValueError, KeyError):
        return None
    return rows if np.isfinite(rows).all() else None
