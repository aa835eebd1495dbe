"""A sweep: how often each setting succeeded, and how far each run was from the target."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter, Whisker

from minigan.views.look import Look, beside, panel, shortened

MOST = 40  # settings that are shown


class Setting(NamedTuple):
    """Runs that differ in their seed alone: what they share, how many succeeded, and KS of each."""

    label: str
    runs: int
    share: float
    low: float
    high: float
    median: float | None
    distances: Sequence[float]


class SweepView:
    """Left: the shares, with Wilson's 95 % intervals; right: KS of each run, and the medians."""

    def __init__(self, look: Look, settings: Sequence[Setting], success: str) -> None:
        self._look, self._settings = look, settings[:MOST]
        self._labels = self._unique()
        height = 130 + 30 * max(len(self._settings), 2)
        self.layout = beside(self._shares(success, height), self._distances(height))

    def _unique(self) -> list[str]:
        labels = [shortened(setting.label, 44) for setting in self._settings]
        return [label if labels.count(label) == 1 else f"{k + 1}: {label}" for k, label in enumerate(labels)]

    def _panel(self, title: str, unit: str, height: int, **options: Any) -> Any:
        fig = panel(self._look, title, unit, "", height=height, y_range=self._labels[::-1], **options)
        fig.ygrid.visible = False
        return fig

    def _shares(self, success: str, height: int) -> Any:
        look, settings = self._look, self._settings
        fig = self._panel(shortened(success, 60), "share of runs, with Wilson's 95 % interval", height,
                          x_range=(-0.02, 1.02))  # fmt: skip
        columns = ("runs", "share", "low", "high")
        data = {name: [getattr(setting, name) for setting in settings] for name in columns}
        source = ColumnDataSource(data | {"label": self._labels})
        ends = Whisker(base="label", lower="low", upper="high", source=source, dimension="width",
                       line_color=look.generated, line_width=1.6)  # fmt: skip
        for head in (ends.upper_head, ends.lower_head):
            head.size, head.line_color = 8, look.generated
        fig.add_layout(ends)
        dots = fig.scatter("share", "label", source=source, size=8, color=look.generated)
        tips = [
            ("", "@label"),
            ("runs", "@runs"),
            ("share", "@share{0.0 %}"),
            ("95 %", "@low{0.0 %} to @high{0.0 %}"),
        ]
        fig.add_tools(HoverTool(renderers=[dots], tooltips=tips))
        fig.xaxis.formatter = NumeralTickFormatter(format="0 %")
        return fig

    def _distances(self, height: int) -> Any:
        look = self._look
        fig = self._panel("KS of each run; orange: their median", "KS", height, x_axis_type="log")
        places, values = [], []
        for label, setting in zip(self._labels, self._settings, strict=True):
            known = [ks for ks in setting.distances if ks > 0]
            spread = np.linspace(-0.22, 0.22, len(known)) if len(known) > 1 else np.zeros(len(known))
            places += [(label, float(off)) for off in spread]
            values += known
        fig.scatter(values, places, size=4, color=look.chance, alpha=0.8)
        known = [(setting.median or np.nan) for setting in self._settings]
        fig.scatter(known, self._labels, size=16, angle=np.pi / 2, marker="dash", color=look.generated,
                    line_width=2.5)  # fmt: skip
        fig.yaxis.visible = False
        return fig
