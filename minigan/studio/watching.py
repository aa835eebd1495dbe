"""The tabs that show what is generated: distributions beside the losses, and all curves."""

import time
from typing import Any

from bokeh.layouts import column

from minigan.studio.delivery import Delivery
from minigan.studio.mirror import Steered
from minigan.studio.watch import Sight, Watch
from minigan.studio.widgets import Panel, Widgets, safe
from minigan.views.curves import CurvesView
from minigan.views.line import LineView
from minigan.views.look import View, beside, filling
from minigan.views.plane import PlaneView

TAKEN = 165  # pixels of the window's height that are not the figures'
CALM = 1.0  # s between two drawings of the curves of a game that is played: their axes move, which is dear


class _WithCurves(Panel):
    """What has curves: they are drawn anew with each line of metrics."""

    curves: CurvesView

    def __init__(self, widgets: Widgets, course: Steered, delivery: Delivery) -> None:
        self.widgets, self.course, self.delivery = widgets, course, delivery
        self._drawn: Any = None
        self._drawn_at, self._run = 0.0, -1

    def draw_curves(self, seen: Sight) -> None:
        """The whole course so far."""
        now = time.monotonic()
        if now - self._drawn_at < CALM and seen.run == self._run and self.course.status.playing:
            return
        kept: list[Any] = list(self.course.record)
        state = (seen.run, len(seen.rows), len(kept), kept[-1].step if kept else -1, seen.findings)
        if state != self._drawn:
            self._drawn, self._drawn_at, self._run = state, now, seen.run
            pulses = [
                {"step": one.step, "d_loss": one.losses[0], "g_loss": one.losses[1]}
                for one in kept
                if one.step and one.turn == "D"
            ]
            rows = [row for row in seen.rows if row["step"]]
            self.curves.show_history(rows, pulses, [(step, name) for step, name, _ in seen.findings])
        self.curves.take_bands(seen.scene)
        self.curves.show(seen.frame)


class Distributions(_WithCurves):
    """The line or the plane, with losses and KS beside it."""

    title, parts = "Distributions", ("distribution", "row")
    view: View | None = None

    def __init__(self, widgets: Widgets, course: Steered, delivery: Delivery, watch: Watch) -> None:
        super().__init__(widgets, course, delivery)
        self.watch = watch

    def _classes(self, seen: Sight) -> list[Any]:
        """What chooses the class that is shown; nothing where there are none."""
        classes = list(dict.fromkeys(seen.scene.classes))
        if not classes:
            return []
        chosen = self.widgets.choice(
            "", "class", [(str(k), f"class {name}") for k, name in enumerate(classes)],
            str(min(self.watch.chosen, len(classes) - 1)), width=220,
        )  # fmt: skip
        chosen.on_change("value", self._chosen)
        return [chosen]

    def _chosen(self, attr: str, old: Any, new: Any) -> None:
        if isinstance(new, str) and new.isascii() and new.isdigit():
            self.watch.choose(int(new[:4]))

    def build(self, seen: Sight) -> Any:
        self.view = None
        self.place = column([self.widgets.text("reading …")], sizing_mode="stretch_width")
        self.show(seen)
        return self.place

    def _built(self, seen: Sight) -> View:
        look, frame = self.widgets.look, seen.frame
        self._drawn, self._drawn_at = None, 0.0
        view = LineView(seen.scene, look, frame) if frame.line else PlaneView(seen.scene, look, frame)
        self.curves = CurvesView(seen.scene, look, height=205, only=("losses", "ks", "motion"), columns=1)
        filling(self.curves.panels, TAKEN)
        if isinstance(view, LineView):
            filling(view.panels, TAKEN + 40 * bool(seen.scene.classes))
        left = column([*self._classes(seen), view.layout], sizing_mode="stretch_width")
        right = column([self.curves.layout], sizing_mode="stretch_width")
        self.place.children = [beside(left, right, shares=(1.27, 0.73))]
        view.deliver = self.delivery.put
        return view

    def show(self, seen: Sight) -> None:
        if seen.frame.line is None and seen.frame.plane is None:
            return  # what is newest was read for another tab
        if self.view is None:
            self.view = self._built(seen)
        self.view.show(seen.frame)
        self.draw_curves(seen)


class Curves(_WithCurves):
    """Six panels, and what the detectors say."""

    title, parts = "Curves", ("row",)

    def build(self, seen: Sight) -> Any:
        self._drawn, self._drawn_at = None, 0.0
        self.curves = CurvesView(seen.scene, self.widgets.look, height=235)
        for k in range(3):
            filling(self.curves.panels[k::3], TAKEN + 50)
        self._said = self.widgets.text(name="findings", sizing_mode="stretch_width")
        return column([self.curves.layout, self._said], sizing_mode="stretch_width")

    def show(self, seen: Sight) -> None:
        self.draw_curves(seen)
        bad = self.widgets.look.bad
        said = [
            f"<b style='color:{bad}'>{safe(name)}</b> since step {step}: {safe(text)}"
            for step, name, text in seen.findings
        ]
        early = "; some need 100 steps and more" if seen.frame.step < 100 else ""
        text = "<br>".join(said) or f"The detectors find nothing wrong so far{early}."
        if self._said.text != text:
            self._said.text = text
