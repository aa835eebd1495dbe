"""The course of a run: losses, V, distances beside those of perfect samples, gradients, updates, findings."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import (
    BoxAnnotation,
    CustomJSTicker,
    CustomJSTickFormatter,
    DataRange1d,
    Label,
    Node,
    Range1d,
)

from minigan.views.frame import Frame, Scene
from minigan.views.look import FONT, SHORT, Columns, Look, View, beside, legend, level, panel

COLUMNS = (
    "step", "d_loss", "g_loss", "value_fn", "value_optimal", "ks", "w1", "js", "grad_norm_d", "grad_norm_g",
    "update_ratio_d", "update_ratio_g",
)  # fmt: skip
FEW = 30  # points of a line that are marked, so that one alone is seen
NOT_YET, UNKNOWN = "drawn from the first round on", "not known of this game"
PANELS = ("losses", "value", "ks", "distances", "gradients", "motion")
# Bokeh's own marks whole powers of ten only, of which a narrow range has one or none, or crowds the others.
DECADES = """
const {start, end} = cb_data, low = Math.floor(Math.log10(start)), high = Math.ceil(Math.log10(end));
const wide = Math.log10(end / start), every = Math.max(1, Math.ceil(wide / 5));
const parts = wide > 2.2 ? [1] : wide > 0.5 ? [1, 2, 5] : [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9];
const marks = [];
for (let power = low; power <= high; power++) {
  for (const part of parts) {
    const mark = Number(`${part}e${power}`);
    if (power % every === 0 && mark >= start && mark <= end) marks.push(mark);
  }
}
return marks;
"""
PULSES = ("step", "d_loss", "g_loss")
Rows = Sequence[Mapping[str, Any]]


class CurvesView(View):
    """Panels over the steps, with a line at the step that is shown and one where each finding begins.

    only  which of PANELS, in this order
    """

    def __init__(
        self, scene: Scene, look: Look, height: int = 210, columns: int = 3, only: Sequence[str] = PANELS
    ) -> None:
        super().__init__(look)
        self._scene, self._height = scene, height
        self._steps = DataRange1d(start=0, range_padding=0.02, min_interval=10)
        for name in ("rows", "few_rows"):
            self.source(name, *COLUMNS)
        for name in ("pulses", "few_pulses"):
            self.source(name, *PULSES)
        self._words: list[tuple[str, tuple[str, ...], Label]] = []
        self._cursor, self._findings = self.source("cursor", "x"), self.source("findings", "x", "name")
        self._heights: list[tuple[tuple[str, ...], Range1d]] = []
        self._bands: list[tuple[str, BoxAnnotation]] = []
        made: dict[str, Callable[[], Any]] = {
            "losses": self._losses,
            "value": self._value,
            "ks": partial(self._distance, "ks", "KS: the gap of the two CDFs", "KS"),
            "distances": self._distances,
            "gradients": partial(self._pair, "Norms of the gradients", "grad_norm", "norm"),
            "motion": partial(self._pair, "Updates relative to weights", "update_ratio", "ratio"),
        }
        self.panels = panels = [made[name]() for name in only]
        for each in panels:
            each.vspan(x="x", source=self._cursor, color=look.chance, line_width=1, line_alpha=0.8)
            each.vspan(x="x", source=self._findings, color=look.bad, line_width=1.4, line_dash=[2, 3])
        for each in panels:
            each.toolbar_location = None
        rows = [panels[k : k + columns] for k in range(0, len(panels), columns)]
        lines = [beside(*some, least=280) if columns > 1 else some[0] for some in rows]
        self.layout = column(lines, sizing_mode="stretch_width", spacing=4)
        self.take_bands(scene)

    def _panel(self, title: str, unit: str, **options: Any) -> Any:
        fig = panel(self.look, title, "step", unit, x_range=self._steps, height=self._height, **options)
        fig.yaxis.ticker.desired_num_ticks, fig.yaxis.ticker.num_minor_ticks = 4, 0
        fig.xaxis.ticker.desired_num_ticks, fig.xaxis.ticker.num_minor_ticks = 5, 0
        return fig

    def _lines(self, fig: Any, source: str, **colours: str) -> list[Any]:
        """A line of each column, marked at its points while they are few."""
        middle = {"x": Node(target="frame", symbol="center"), "y": Node(target="frame", symbol="center")}
        word = Label(text=NOT_YET, text_color=self.look.ink, text_font=FONT, text_font_size="12px",
                     text_align="center", text_baseline="middle", padding=4,
                     background_fill_color=self.look.panel, **middle)  # fmt: skip
        fig.add_layout(word)
        self._words.append((source, tuple(colours), word))
        for name, colour in colours.items():
            fig.scatter("step", name, source=self.sources[f"few_{source}"], color=colour, size=4)
        return [
            fig.line("step", name, source=self.sources[source], color=colour, width=1.7)
            for name, colour in colours.items()
        ]

    def _logarithmic(self, title: str, unit: str, *names: str) -> Any:
        """A panel with a range of its own: what Bokeh finds for no values yet is none."""
        self._heights.append((names, Range1d(0.1, 1.0)))
        fig = self._panel(title, unit, y_axis_type="log", y_range=self._heights[-1][1])
        fig.yaxis.ticker = CustomJSTicker(major_code=DECADES)
        fig.yaxis.formatter = CustomJSTickFormatter(code=SHORT)
        return fig

    def _fit(self, table: Mapping[str, np.ndarray]) -> None:
        """Whole ranges of what is drawn and of the bands, a little wider."""
        for names, span in self._heights:
            values = np.concatenate([table[name] for name in names])
            ends = [end for name in names if name in self._scene.bands for end in self._scene.bands[name]]
            values = np.concatenate([values[np.isfinite(values)], ends])
            values = values[values > 0]
            if len(values):
                low, high = float(values.min()) / 1.3, float(values.max()) * 1.3
                if (low, high) != (span.start, span.end):
                    span.update(start=low, end=high)

    def _losses(self) -> Any:
        look, scene = self.look, self._scene
        fig = self._panel("What D and G minimise", "loss")
        lines = self._lines(fig, "pulses", d_loss=look.d, g_loss=look.generated)
        items = [("D", [lines[0]]), ("G", [lines[1]])]
        known = [value for value in (scene.level, scene.rest) if value is not None and math.isfinite(value)]
        if known:
            items.append(("where p = q", [level(look, fig, value) for value in known]))
        legend(look, fig, items)
        return fig

    def _value(self) -> Any:
        look, scene = self.look, self._scene
        fig = self._panel("D's loss without penalties", "V")
        (now,) = self._lines(fig, "rows", value_fn=look.d)
        rows = self.sources["rows"]
        best = fig.line("step", "value_optimal", source=rows, color=look.theory, dash=[5, 4], width=1.4)
        items = [("this D", [now])]
        if scene.features == 1 and scene.packing == 1:  # of others it is not known
            items.append(("the best D", [best]))
        if scene.level is not None:
            text = f"p = q: {scene.level_text.split(' = ')[0]}"
            items.append((text, [level(look, fig, scene.level)]))
        legend(look, fig, items)
        return fig

    def _distance(self, name: str, title: str, unit: str) -> Any:
        fig = self._logarithmic(title, unit, name)
        lines = self._lines(fig, "rows", **{name: self.look.generated})
        legend(self.look, fig, [("the averaged G; grey: perfect samples", lines)])
        self._band(fig, name, self.look.chance)
        return fig

    def _distances(self) -> Any:
        look = self.look
        fig = self._logarithmic("W₁ in sd, JS in nats", "distance", "w1", "js")
        lines = self._lines(fig, "rows", w1=look.generated, js=look.target)
        for name, colour in (("w1", look.generated), ("js", look.target)):
            self._band(fig, name, colour)
        legend(look, fig, [("W₁", lines[:1]), ("JS", lines[1:])])
        return fig

    def _band(self, fig: Any, name: str, colour: str) -> None:
        band = BoxAnnotation(
            bottom=0, top=0, fill_color=colour, fill_alpha=0.18, visible=False, level="underlay"
        )
        fig.add_layout(band)
        self._bands.append((name, band))

    def _pair(self, title: str, name: str, unit: str) -> Any:
        look = self.look
        fig = self._logarithmic(title, unit, f"{name}_d", f"{name}_g")
        lines = self._lines(fig, "rows", **{f"{name}_d": look.d, f"{name}_g": look.generated})
        legend(look, fig, [("D", [lines[0]]), ("G", [lines[1]])])
        return fig

    def take_bands(self, scene: Scene) -> None:
        """Show where 95 % of perfect samples lie, once that is known."""
        self._scene = scene
        for name, band in self._bands:
            if name in scene.bands:
                low, high = scene.bands[name]
                if (band.bottom, band.top) != (low, high):
                    band.update(bottom=low, top=high, visible=True)

    def history(self, rows: Rows, pulses: Rows = (), findings: Sequence[tuple[int, str]] = ()) -> Columns:
        """What the sources hold of a run: rows of metrics, losses between them, where findings begin."""
        table = {name: _floats(row.get(name) for row in rows) for name in COLUMNS}
        for name in ("ks", "w1", "js", "grad_norm_d", "grad_norm_g", "update_ratio_d", "update_ratio_g"):
            with np.errstate(invalid="ignore"):
                table[name] = np.where(table[name] > 0, table[name], np.nan)
        losses = {name: _floats(row.get(name) for row in pulses or rows) for name in PULSES}
        began = {"x": [float(step) for step, _ in findings], "name": [name for _, name in findings]}
        few = {
            f"few_{name}": columns if len(columns["step"]) <= FEW else {key: np.zeros(0) for key in columns}
            for name, columns in (("rows", table), ("pulses", losses))
        }
        return {"rows": table, "pulses": losses, "findings": began, **few}

    def show_history(self, rows: Rows, pulses: Rows = (), findings: Sequence[tuple[int, str]] = ()) -> None:
        """Draw a whole run."""
        history = self.history(rows, pulses, findings)
        for name, data in history.items():
            self.sources[name].data = data
        self._fit(history["rows"])
        for source, names, word in self._words:
            columns = history[source]
            text = UNKNOWN if len(columns["step"]) else NOT_YET
            empty = not any(np.isfinite(columns[name]).any() for name in names)
            if (text, empty) != (word.text, word.visible):
                word.update(text=text, visible=empty)

    def columns(self, frame: Frame) -> Columns:
        return {"cursor": {"x": [float(frame.step)]}}


def _floats(values: Any) -> np.ndarray:
    return np.array([math.nan if value is None else float(value) for value in values], "float64")
