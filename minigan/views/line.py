"""One feature: the densities, D beside the best D there could be, and the map from z to G(z)."""

from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import Arrow, Range1d, VeeHead

from minigan.views.frame import Frame, LineFrame, Scene
from minigan.views.look import LIVE, Columns, Look, View, legend, level, padded, panel

RUG, ARROW = -0.05, -0.11  # where samples and arrows lie, in heights of the panel
TOP = 1.55  # heights of the target that are shown
STEPS = (1.0, 1.5, 2.0, 3.0)  # times as high where q asks for it; beyond, q is cut


class LineView(View):
    """p, q and samples with arrows; D and D*; z over G(z).

    heights  of the three panels; the third is left out where nothing is known of z
    """

    def __init__(
        self, scene: Scene, look: Look, first: Frame, heights: tuple[int, int, int] = (300, 170, 150)
    ) -> None:
        super().__init__(look)
        if first.line is None:
            raise ValueError("a line view shows frames with a line; received one without")
        line = first.line
        self._least = self._top = TOP * (float(np.max(line.p)) or float(np.max(line.q)) or 1.0)
        self._y = Range1d(-0.16 * self._top, self._top)
        self._x = Range1d(float(line.edges[0]), float(line.edges[-1]))
        self.panels = panels = [self._densities(scene, line, heights[0]), self._judgement(scene, heights[1])]
        if line.z is not None:
            panels.append(self._map(scene, line.z, heights[2]))
        for upper in panels[:-1]:
            upper.xaxis.axis_label = None
        self.layout = column(panels, sizing_mode="stretch_width", spacing=2)
        self.show(first)

    def _densities(self, scene: Scene, line: LineFrame, height: int) -> Any:
        look = self.look
        fig = panel(look, "Target and generated", scene.names[0], "density",
                    x_range=self._x, y_range=self._y, height=height)  # fmt: skip
        still, curves, rug, arrows = (
            self.source("target", "x", "p"),
            self.source("densities", "x", "q", "average"),
            self.source("rug", "x", "y"),
            self.source("arrows", "x0", "x1", "y"),
        )
        live: dict[str, Any] = {"source": curves, "color": look.generated, "level": LIVE}
        p = fig.varea("x", 0, "p", source=still, color=look.target, alpha=0.3)
        edge = fig.line("x", "p", source=still, color=look.target, width=1.4)
        q = fig.line("x", "q", width=2.2, **live)
        average = fig.line("x", "average", width=1.2, dash=[4, 3], **live)
        values = fig.scatter("x", "y", source=rug, marker="dash", angle=np.pi / 2, size=7,
                             color=look.generated, alpha=0.55, level=LIVE)  # fmt: skip
        pull = fig.segment(
            "x0", "y", "x1", "y", source=arrows, color=look.d, width=1.4, alpha=0.9, level=LIVE
        )
        fig.add_layout(
            Arrow(x_start="x0", x_end="x1", y_start="y", y_end="y", source=arrows, line_alpha=0, level=LIVE,
                  end=VeeHead(size=6, fill_color=look.d, line_color=look.d))
        )  # fmt: skip
        items = [("target p", [p, edge]), ("generated q", [q]), ("q of the average", [average])]
        items += [("samples", [values])] if line.samples is not None else []
        items += [("pull of G's loss", [pull])] if line.arrows is not None else []
        legend(look, fig, items, columns=None)
        fig.yaxis.bounds = (0, STEPS[-1] * self._least)
        return fig

    def _judgement(self, scene: Scene, height: int) -> Any:
        look = self.look
        title = (
            "σ of the critic's output: no probability"
            if scene.critic
            else "D(x) beside the best D*(x) = p/(p + q)"
        )
        fig = panel(look, title, scene.names[0], "σ(a)" if scene.critic else "D", x_range=self._x,
                    y_range=Range1d(-0.04, 1.04), height=height)  # fmt: skip
        source = self.source("judgement", "x", "d", "best")
        d = fig.line("x", "d", source=source, color=look.d, width=2.2, level=LIVE)
        best = fig.line("x", "best", source=source, color=look.theory, width=1.4, dash=[5, 4], level=LIVE)
        best.visible = not scene.critic  # to which p/(p + q) is nothing
        items = [("critic", [d])] if scene.critic else [("D", [d]), ("D*", [best])]
        legend(look, fig, items)
        level(look, fig, 0.5)
        return fig

    def _map(self, scene: Scene, z: np.ndarray, height: int) -> Any:
        look = self.look
        low, high = padded(float(z[0]), float(z[-1]))
        fig = panel(look, "The generator: z upwards, G(z) along", scene.names[0], "z",
                    x_range=self._x, y_range=Range1d(low, high), height=height)  # fmt: skip
        fig.line("x", "z", source=self.source("map", "z", "x"), color=look.generated, width=2, level=LIVE)
        return fig

    def show(self, frame: Frame) -> None:
        """Draw a frame, and make room where q is higher, or most of the samples lie elsewhere."""
        line = frame.line
        if line is not None:
            peak = float(np.max(line.q, initial=0.0, where=np.isfinite(line.q))) / self._least
            self._top = self._least * next((step for step in STEPS if peak <= 0.97 * step), STEPS[-1])
            if self._top != self._y.end:
                self._y.update(start=-0.16 * self._top, end=self._top)
        super().show(frame)
        if line is None or line.samples is None:
            return
        low, high = float(line.edges[0]), float(line.edges[-1])
        ends = np.quantile(line.samples, [0.1, 0.9]) if np.isfinite(line.samples).all() else (low, high)
        reach = 10 * (high - low)
        start, end = max(min(low, float(ends[0])), low - reach), min(max(high, float(ends[1])), high + reach)
        if (start, end) != (low, high):
            start, end = padded(start, end)
        if (start, end) != (self._x.start, self._x.end):
            self._x.update(start=start, end=end)

    def columns(self, frame: Frame) -> Columns:
        line = frame.line
        if line is None:
            return {}
        x = 0.5 * (line.edges[1:] + line.edges[:-1])
        nothing = np.full(len(x), np.nan)
        most = 2 * STEPS[-1] * self._least
        curves = {"q": np.minimum(line.q, most)}
        curves["average"] = nothing if line.average is None else np.minimum(line.average, most)
        shown: Columns = {
            "target": {"x": x, "p": _light(line.p)},
            "densities": {"x": x} | {name: _light(values) for name, values in curves.items()},
            "judgement": {
                "x": x,
                "d": _light(nothing if line.d is None else line.d),
                "best": _light(
                    nothing if line.best is None or not np.any(line.best == line.best) else line.best
                ),
            },
        }
        if line.samples is not None:
            shown["rug"] = {"x": line.samples, "y": np.full(len(line.samples), RUG * self._top)}
        if line.arrows is not None:
            start, end = line.arrows.T
            # Three rows, so that neighbours do not lie on each other.
            rows = (ARROW + 0.02 * (np.arange(len(start)) % 3 - 1)) * self._top
            shown["arrows"] = {"x0": start, "x1": end, "y": rows}
        if "map" in self.sources and line.z is not None and line.x is not None:
            shown["map"] = {"z": line.z, "x": line.x}
        return shown


def _light(values: np.ndarray) -> np.ndarray:
    """Numbers that are looked at need no more digits."""
    return np.asarray(values, "float32")
