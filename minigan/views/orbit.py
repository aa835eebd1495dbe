"""Games of two numbers: the field of D's slope and G's point, the trajectory in it, its eigenvalues."""

import math
from typing import Any

import numpy as np
from bokeh.models import Arrow, Range1d, VeeHead

from minigan.gan.theory.dirac import dirac
from minigan.gan.theory.dynamics import SmallGame, portrait
from minigan.training.config import Config
from minigan.views.frame import Frame
from minigan.views.look import Columns, Look, View, beside, legend, panel

SIDE, CIRCLE = 17, 121
KNOWN = {"r1": "r1", "r2": "r2", "wgan_gp": "gp"}  # penalties that theory has words for


def game_of(config: Config, step: int) -> SmallGame:
    """The theory of the game at a step: its objective, penalties, consensus and the noise that is left."""
    fading = config.instance_noise * max(0.0, 1 - step / config.steps)
    weights: dict[str, float] = {argument: float(getattr(config, name)) for name, argument in KNOWN.items()}
    weights |= {"consensus": config.consensus if config.order == "simultaneous" else 0.0, "clip": config.clip}
    noise = math.hypot(config.observation_noise, fading)
    return dirac(
        config.objective, noise=0.0 if config.objective == "relativistic" else noise, nodes=20, **weights
    )


class OrbitView(View):
    """Left the field and the trajectory; right the eigenvalues of a step beside the unit circle.

    goal  the point of the data, in the networks' units
    """

    def __init__(self, config: Config, look: Look, goal: float, reach: float = 1.5, side: int = 560) -> None:
        super().__init__(look)
        self.config, self.goal, self._reach = config, goal, reach
        square: dict[str, Any] = {
            "sizing_mode": "scale_width", "aspect_ratio": 1.035, "height": None, "max_height": side,
            "max_width": side, "tools": "pan,wheel_zoom,reset,save",
        }  # fmt: skip
        self._x, self._y = Range1d(-reach, reach), Range1d(goal - reach, goal + reach)
        fig = panel(look, "Where both players want to go, and the trajectory", "ψ: the slope of D",
                    "θ: the point of G", x_range=self._x, y_range=self._y, **square)  # fmt: skip
        field = self.source("field", "x0", "y0", "x1", "y1")
        arrows = fig.segment("x0", "y0", "x1", "y1", source=field, color=look.chance, width=1)
        fig.add_layout(
            Arrow(x_start="x0", y_start="y0", x_end="x1", y_end="y1", source=field, line_alpha=0,
                  end=VeeHead(size=5, fill_color=look.chance, line_color=look.chance))
        )  # fmt: skip
        way = fig.line("x", "y", source=self.source("way", "x", "y"), color=look.generated, width=1.6)
        here = fig.scatter("x", "y", source=self.source("here", "x", "y"), color=look.generated, size=10,
                           line_color=look.ink)  # fmt: skip
        rest = fig.scatter([0.0], [goal], marker="x", size=12, line_width=2.4, color=look.target)
        legend(look, fig, [("v(ψ, θ)", [arrows]), ("trajectory", [way]), ("now", [here]), ("rest", [rest])])
        self.fig = fig
        plane = panel(look, "Eigenvalues of one step, at rest and here", "real part", "imaginary part",
                      x_range=Range1d(-1.3, 1.3), y_range=Range1d(-1.3, 1.3), **square)  # fmt: skip
        t = np.linspace(0, 2 * np.pi, CIRCLE)
        circle = plane.line(np.cos(t), np.sin(t), color=look.theory, dash=[5, 4])
        at_rest = plane.scatter("x", "y", source=self.source("rest", "x", "y"), marker="x", size=13,
                                line_width=2.4, color=look.target)  # fmt: skip
        now = plane.scatter("x", "y", source=self.source("now", "x", "y"), size=15, fill_alpha=0.0,
                            line_width=2, line_color=look.generated)  # fmt: skip
        legend(look, plane, [("|μ| = 1", [circle]), ("at rest", [at_rest]), ("here", [now])])
        self.plane = plane
        self.layout = beside(fig, plane)
        self.sentence = ""
        self._of: Any = None

    def columns(self, frame: Frame) -> Columns:
        if frame.point is None:
            return {}
        config, ψ, θ = self.config, frame.point[0], frame.point[1]
        game, goal, reach = game_of(config, frame.step), self.goal, self._reach
        axis = np.linspace(-reach, reach, SIDE)
        p = portrait(game, axis, axis)
        length = np.hypot(p.v_ψ, p.v_θ)
        longest = float(length.max()) or 1.0
        share = 0.9 * (axis[1] - axis[0]) / longest
        start = np.stack([p.ψ.ravel(), p.θ.ravel() + goal])
        end = start + share * np.stack([p.v_ψ.ravel(), p.v_θ.ravel()])
        rate = config.discriminator_optimizer.rate
        order = (
            config.order
            if config.order in ("simultaneous", "alternating", "extragradient")
            else "simultaneous"
        )
        rest = game.stability(np.zeros(2), rate, order)
        here = game.stability(np.array([ψ, θ - goal]), rate, order)
        self.sentence = rest.sentence
        return {
            "field": {"x0": start[0], "y0": start[1], "x1": end[0], "y1": end[1]},
            "here": {"x": [ψ], "y": [θ]},
            "rest": {"x": rest.multipliers.real, "y": rest.multipliers.imag},
            "now": {"x": here.multipliers.real, "y": here.multipliers.imag},
        }

    def show_way(self, points: np.ndarray) -> None:
        """Draw where the game was.    Shapes:  (k, 2)"""
        self.sources["way"].data = {"x": points[:, 0], "y": points[:, 1]}
        if len(points):
            most = float(np.abs(points - [0.0, self.goal]).max())
            if most > 0.98 * self._reach and math.isfinite(most):
                self._reach = 1.3 * most
                self._x.update(start=-self._reach, end=self._reach)
                self._y.update(start=self.goal - self._reach, end=self.goal + self._reach)
