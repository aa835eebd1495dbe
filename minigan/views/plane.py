"""Two features: samples over D as a field with its contours, and beside it the best D there could be."""

from typing import Any

import numpy as np
from bokeh.models import Arrow, LinearColorMapper, Range1d, VeeHead

from minigan.views.frame import Frame, PlaneFrame, Scene
from minigan.views.look import FIELD, LIVE, Columns, Look, View, beside, legend, panel, shortened

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)  # of D, at which contours lie
NAME = 30  # characters of a feature's name that a narrow panel has room for
FINE = 3  # points drawn for each at which D was read


class PlaneView(View):
    """Left: what is generated over D's field; right: the target over D*."""

    def __init__(self, scene: Scene, look: Look, first: Frame, height: int = 480) -> None:
        super().__init__(look)
        if first.plane is None:
            raise ValueError("a plane view shows frames with a plane; received one without")
        plane, self._modes = first.plane, scene.modes
        self._x = Range1d(float(plane.x[0]), float(plane.x[-1]))
        self._y = Range1d(float(plane.y[0]), float(plane.y[-1]))
        self._options: dict[str, Any] = {
            "x_range": self._x, "y_range": self._y, "sizing_mode": "scale_width", "aspect_ratio": 0.95,
            "height": None, "max_height": height, "max_width": height,
            "tools": "pan,wheel_zoom,box_zoom,reset,save",
        }  # fmt: skip
        shown = 1 + sum(one is not None for one in (plane.arrows, plane.lines, scene.modes))
        # Of both legends: Bokeh lays the lower one of two in a row on its title.
        self._rows = 2 if plane.best is not None and shown > 1 else 1
        left, right = self._now(scene, plane), self._best(scene, plane)
        self.layout = beside(left, right, least=280)
        self.show(first)

    def _field(self, fig: Any, name: str) -> Any:
        mapper = LinearColorMapper(palette=_palette(self.look), low=0, high=255)
        fig.image("image", "x", "y", "dw", "dh", color_mapper=mapper, level=LIVE,
                  source=self.source(name, "image", "x", "y", "dw", "dh"))  # fmt: skip
        contours = fig.multi_line("xs", "ys", line_width="width", color=self.look.ink, alpha=0.45, level=LIVE,
                       source=self.source(f"{name}_contours", "xs", "ys", "width"))  # fmt: skip
        fig.grid.visible = False
        return contours

    def _now(self, scene: Scene, plane: PlaneFrame) -> Any:
        look = self.look
        x, y = (shortened(name, NAME) for name in scene.names[:2])
        title = "σ of the critic" if scene.critic else "D"
        said = f"Generated, over {title}" if plane.d is not None else f"Generated{_two_of(scene)}"
        fig = panel(look, said, x, y, **self._options)
        self._field(fig, "d")
        grid = self.source("lines", "xs", "ys")
        lines = fig.multi_line("xs", "ys", source=grid, color=look.chance, alpha=0.7, width=0.8, level=LIVE)
        made, rim = self.source("samples", "x", "y"), {"line_color": look.panel, "line_width": 0.4}
        dots = fig.scatter("x", "y", source=made, color=look.generated, size=4, alpha=0.8, level=LIVE, **rim)
        arrows = self.source("arrows", "x0", "y0", "x1", "y1")
        pull = fig.segment("x0", "y0", "x1", "y1", source=arrows, color=look.d, width=1.5, level=LIVE)
        fig.add_layout(
            Arrow(x_start="x0", y_start="y0", x_end="x1", y_end="y1", source=arrows, line_alpha=0, level=LIVE,
                  end=VeeHead(size=6, fill_color=look.d, line_color=look.d))
        )  # fmt: skip
        items = [("samples", [dots])]
        items += [("pull of G's loss", [pull])] if plane.arrows is not None else []
        if plane.lines is not None:
            items.append(("grid of z", [lines]))
        if scene.modes is not None:
            modes = self.source("modes", "x", "y", "colour", "marker")
            rings = fig.scatter("x", "y", source=modes, marker="marker", size=15, fill_alpha=0,
                                line_color="colour", line_width=1.6, level=LIVE)  # fmt: skip
            items.append(("modes (crossed: missed)", [rings]))
        legend(look, fig, items, columns=-(-len(items) // self._rows))
        return fig

    def _best(self, scene: Scene, plane: PlaneFrame) -> Any:
        look = self.look
        said = "Target, over D* = p/(p + q)" if plane.best is not None else f"Target{_two_of(scene)}"
        fig = panel(look, said,
                    *(shortened(name, NAME) for name in scene.names[:2]), **self._options)  # fmt: skip
        contours = self._field(fig, "best")
        real = np.asarray(scene.real)
        rim = {"line_color": look.panel, "line_width": 0.4}
        dots = fig.scatter(*real.T[:2], color=look.target, size=4, alpha=0.8, level=LIVE, **rim)
        items = [(f"rows of {shortened(scene.target, 30)}", [dots])]
        items += [("D* at ½ and beyond", [contours])] if plane.best is not None else []
        legend(look, fig, items, columns=-(-len(items) // self._rows))
        return fig

    def columns(self, frame: Frame) -> Columns:
        plane = frame.plane
        if plane is None:
            return {}
        shown: Columns = {"samples": {"x": plane.samples[:, 0], "y": plane.samples[:, 1]}}
        for name, field in (("d", plane.d), ("best", plane.best)):
            if field is not None:
                shown |= _field_columns(name, plane, field)
        if plane.arrows is not None:
            shown["arrows"] = dict(zip(("x0", "y0", "x1", "y1"), plane.arrows.T, strict=True))
        if plane.lines is not None:
            shown["lines"] = {"xs": list(plane.lines[..., 0]), "ys": list(plane.lines[..., 1])}
        if self._modes is not None and "modes" in self.sources:
            caught = np.zeros(len(self._modes), bool) if plane.captured is None else plane.captured
            colours = [self.look.d if one else self.look.bad for one in caught]
            markers = ["circle" if one else "circle_x" for one in caught]
            x, y = self._modes.T[:2]
            shown["modes"] = {"x": x, "y": y, "colour": colours, "marker": markers}
        return shown


def _two_of(scene: Scene) -> str:
    """What a title adds where there are more features than can be shown."""
    return f": 2 of {len(scene.names)} features" if len(scene.names) > 2 else ""


def _field_columns(name: str, plane: PlaneFrame, field: np.ndarray) -> Columns:
    """A field as bytes, finer than it was read, and its contours."""
    from contourpy import contour_generator

    fine = _finer(field)
    width, height = plane.x[-1] - plane.x[0], plane.y[-1] - plane.y[0]
    level = np.clip(np.nan_to_num(fine, nan=0.5), 0.0, 1.0)
    image = np.round(level * 255).astype("uint8")
    found = contour_generator(plane.x, plane.y, np.nan_to_num(field, nan=0.5))
    xs, ys, widths = [], [], []
    for at in LEVELS:
        pieces: Any = found.lines(at)
        for piece in pieces:
            xs.append(piece[:, 0].astype("float32"))
            ys.append(piece[:, 1].astype("float32"))
            widths.append(1.6 if at == 0.5 else 0.7)
    return {
        name: {"image": [image], "x": [plane.x[0]], "y": [plane.y[0]], "dw": [width], "dh": [height]},
        f"{name}_contours": {"xs": xs, "ys": ys, "width": widths},
    }


def _finer(field: np.ndarray) -> np.ndarray:
    """The field at more points, linear between those where it is known."""
    n = len(field)
    at = np.linspace(0, n - 1, FINE * n)
    low = np.minimum(at.astype(int), n - 2)
    share = (at - low)[:, None]
    rows = field[low] * (1 - share) + field[low + 1] * share
    across = rows.T[low] * (1 - share) + rows.T[low + 1] * share
    return np.asarray(across.T)


def _palette(look: Look) -> list[str]:
    """256 colours from one end over the ground to the other, pale enough for dots to stand out."""
    ends = [np.array([int(c[k : k + 2], 16) for k in (1, 3, 5)]) for c in FIELD[look.name]]
    made = []
    for k in range(256):
        t = k / 127.5 - 1
        end = ends[2] if t > 0 else ends[0]
        colour = ends[1] + (end - ends[1]) * abs(t) * 0.55
        made.append("#" + "".join(f"{int(round(c)):02x}" for c in colour))
    return made
