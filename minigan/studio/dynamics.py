"""The tab of games of two numbers: their field, their trajectory in it, their eigenvalues."""

from typing import Any

import numpy as np
from bokeh.layouts import column

from minigan.studio.mirror import Steered
from minigan.studio.watch import Sight
from minigan.studio.widgets import Panel, Widgets, safe
from minigan.views.orbit import OrbitView

NONE = (
    "This game has more than two numbers. With a G of one point and a linear D, as the presets that "
    "begin with dirac have, here are the vector field of both players, the trajectory and the eigenvalues."
)


class Dynamics(Panel):
    """The orbit of a Dirac-GAN; of other games a word."""

    title, parts = "Two numbers", ("point",)

    def __init__(self, widgets: Widgets, course: Steered) -> None:
        self.widgets, self.course = widgets, course
        self.view: OrbitView | None = None

    def build(self, seen: Sight) -> Any:
        self.view = None
        self._config: Any = None
        self.place = column([self.widgets.text(NONE)], sizing_mode="stretch_width")
        self.said = self.widgets.text(sizing_mode="stretch_width")
        return column([self.place, self.said], sizing_mode="stretch_width")

    def show(self, seen: Sight) -> None:
        frame = seen.frame
        if frame.point is None:
            return
        if self.view is None or self._config != self.course.config:
            self._config = self.course.config
            goal = float(np.mean(seen.scene.real)) if seen.scene.real is not None else 0.0
            scale = float(self.course.latest.arrays["scale"].reshape(-1)[0])
            shift = float(self.course.latest.arrays["shift"].reshape(-1)[0])
            self.view = OrbitView(self.course.config, self.widgets.look, (goal - shift) / scale)
            self.place.children = [self.view.layout]
        self.view.show_way(self._way())
        self.view.show(frame)
        sentence = safe(self.view.sentence).replace("-", "−")
        if self.said.text != sentence:
            self.said.text = sentence

    def _way(self) -> np.ndarray:
        """ψ and θ of the snapshots that are kept."""
        points = [kept.point for kept in self.course.record if kept.point is not None]
        return np.array(points).reshape(-1, 2)
