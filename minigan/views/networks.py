"""Networks from inside: histograms of weights, activations and gradients, a matrix as an image, units."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import BasicTicker, CustomJSTicker, CustomJSTickFormatter, LinearColorMapper, Range1d

from minigan.views.frame import Frame, Layer
from minigan.views.look import FIELD, SHORT, Columns, Look, View, beside, panel

BINS = 31
QUANTITIES = ("weights", "activations", "gradient")
TITLES = {"weights": "weights", "activations": "activations", "gradient": "last gradient"}
PLAYERS = ("G", "D")
UNITS = 64  # of a layer that are drawn
# Two round numbers, as far from each other as there is room: a figure of a hundred pixels has none for more.
TWO = """
const {start, end} = cb_data;
if (!(end > start)) return [start];
for (let power = Math.ceil(Math.log10(end - start)); ; power--) {
  for (const part of [5, 2, 1]) {
    const step = Number(`${part}e${power}`), first = Math.ceil(start / step), last = Math.floor(end / step);
    if (last > first) return [first, last].map((one) => Number((one * step).toPrecision(12)));
  }
}
"""
SHARES = (1.2, 0.8)  # of the width: histograms, and what is chosen


class NetworksView(View):
    """For each player and quantity a figure with a ridge for each array; a matrix; responses of units.

    chosen    the array whose matrix is shown, as "G 0.W"
    quantity  "weights" or "gradient" of it
    """

    def __init__(self, look: Look, first: Frame) -> None:
        super().__init__(look)
        if first.layers is None or first.responses is None:
            raise ValueError(
                "a view of networks shows frames with layers and responses; received one without"
            )
        self.names = {player: [layer.name for layer in first.layers[player]] for player in PLAYERS}
        self.ridges: dict[tuple[str, str], Any] = {}
        self.chosen, self.quantity = f"G {self.names['G'][0]}", "weights"
        self.left = beside(
            *(
                column([self._ridges(player, quantity) for player in PLAYERS], sizing_mode="stretch_width")
                for quantity in QUANTITIES
            ),
            least=150,
        )
        self.right = column([self._matrix(), self._units()], sizing_mode="stretch_width")
        self.layout = beside(self.left, self.right, shares=SHARES)
        self.show(first)

    def _shown(self, player: str, quantity: str) -> list[str]:
        """The arrays that have a ridge: activations belong to the layers, so to the weights."""
        return [name for name in self.names[player] if quantity != "activations" or name.endswith("W")]

    def _ridges(self, player: str, quantity: str) -> Any:
        look = self.look
        shown = self._shown(player, quantity)
        colour = {"weights": look.target, "activations": look.d, "gradient": look.generated}[quantity]
        rows = Range1d(-0.1, len(shown) + 0.1)
        options: dict[str, Any] = {"height": 250, "y_range": rows, "tools": "tap,reset,save"}
        fig = panel(look, f"{player}: {TITLES[quantity]}", "value", "", **options)
        self.ridges[player, quantity] = fig
        key = f"{player}_{quantity}"
        ridges = self.source(key, "xs", "ys")
        shapes = fig.patches(
            "xs", "ys", source=ridges, color=colour, alpha=0.35, line_color=colour, line_alpha=1.0
        )
        for kind in ("selection_glyph", "nonselection_glyph"):  # a click chooses, and nothing fades
            setattr(shapes, kind, shapes.glyph.clone())
        fig.yaxis.ticker = [k + 0.02 for k in range(len(shown))]
        fig.yaxis.major_label_overrides = {
            k + 0.02: (f"layer {name.split('.')[0]}" if quantity == "activations" else name)
            for k, name in enumerate(reversed(shown))
        }
        fig.xaxis.ticker = CustomJSTicker(major_code=TWO)
        fig.xaxis.formatter = CustomJSTickFormatter(code=SHORT)
        fig.ygrid.visible = False
        return fig

    def at(self, player: str, quantity: str, ridge: int) -> str:
        """The array of a ridge, as ``chosen`` says it.    Raises:  LookupError – where there is none"""
        return f"{player} {self._shown(player, quantity)[ridge]}"

    def _matrix(self) -> Any:
        look = self.look
        fig = panel(look, "The matrix, a row for each input", "unit", "input", height=250, tools="reset,save")
        low, middle, high = FIELD[look.name]
        palette = _between(low, middle, high)
        self.mapper = LinearColorMapper(palette=palette, low=-1, high=1)
        source = self.source("matrix", "image", "x", "y", "dw", "dh")
        fig.image("image", "x", "y", "dw", "dh", source=source, color_mapper=self.mapper)
        fig.grid.visible = False
        for axis in (fig.xaxis, fig.yaxis):  # units and inputs are counted
            axis.ticker = BasicTicker(min_interval=1, num_minor_ticks=0)
        self.matrix = fig
        return fig

    def _units(self) -> Any:
        look = self.look
        options: dict[str, Any] = {"height": 250, "tools": "xpan,xwheel_zoom,reset,save"}
        fig = panel(look, "Units along the input", "", "after the activation", **options)
        units = self.source("units", "xs", "ys", "colour")
        fig.multi_line("xs", "ys", source=units, color="colour", width=1.2, alpha=0.85)
        self.units = fig
        return fig

    def columns(self, frame: Frame) -> Columns:
        if frame.layers is None or frame.responses is None:
            return {}
        shown: Columns = {}
        for player in PLAYERS:
            by_name = {layer.name: layer for layer in frame.layers[player]}
            for quantity in QUANTITIES:
                names = self._shown(player, quantity)
                none = quantity == "gradient" and not _begun(frame.layers[player])
                ridges = [
                    _ridge(_values(by_name[name], quantity), len(names) - 1 - k, none)
                    for k, name in enumerate(names)
                ]
                shown[f"{player}_{quantity}"] = {"xs": [x for x, _ in ridges], "ys": [y for _, y in ridges]}
        return shown | self._of_chosen(frame)

    def _of_chosen(self, frame: Frame) -> Columns:
        player, _, name = self.chosen.partition(" ")
        layers = frame.layers or {}
        layer = next((one for one in layers.get(player, ()) if one.name == name), None)
        if layer is None or frame.responses is None:
            return {}
        values = np.atleast_2d(_values(layer, self.quantity))
        index = int(name.split(".")[0])
        response, at = frame.responses[player].layers[index], frame.responses[player].at
        kept = response[:, :UNITS]
        colours = _spread(kept.shape[1], self.look)
        return {
            "matrix": {
                "image": [np.asarray(values, "float32")],
                "x": [-0.5], "y": [-0.5], "dw": [values.shape[1]], "dh": [values.shape[0]],
            },
            "units": {"xs": [at] * kept.shape[1], "ys": list(kept.T), "colour": colours},
        }  # fmt: skip

    def show(self, frame: Frame) -> None:
        super().show(frame)
        image = self.sources["matrix"].data["image"]
        if len(image):
            most = float(np.abs(image[0]).max()) or 1.0
            self.mapper.update(low=-most, high=most)
        player, _, name = self.chosen.partition(" ")
        end = f"{float(f'{self.mapper.high:.2g}'):g}"  # 100, no 1e+02
        _entitle(self.matrix, f"{self.chosen}: −{end} (orange) to {end} (blue)")
        _entitle(self.units, f"Units of layer {name.split('.')[0]} of {player} along its input")
        for key in PLAYERS:
            title = "last gradient" if _begun((frame.layers or {}).get(key, ())) else "no gradient yet"
            _entitle(self.ridges[key, "gradient"], f"{key}: {title}")
        label = "z" if player == "G" else "x"
        if self.units.xaxis[0].axis_label != label:
            self.units.xaxis.axis_label = label


def _entitle(fig: Any, title: str) -> None:
    """Set what is other than it was: nothing else is sent."""
    if fig.title.text != title:
        fig.title.text = title


def _values(layer: Layer, quantity: str) -> np.ndarray:
    found = {"weights": layer.weights, "gradient": layer.gradient, "activations": layer.activations}[quantity]
    return np.zeros(1) if found is None else found


def _begun(layers: Sequence[Layer]) -> bool:
    """Whether a player has had a gradient; that of one array may always be 0."""
    return any(_values(layer, "gradient").any() for layer in layers)


def _ridge(values: np.ndarray, foot: int, none: bool) -> tuple[np.ndarray, np.ndarray]:
    """The outline of a histogram, 0.9 high, over a foot; of none the foot."""
    values = values[np.isfinite(values)].ravel()
    if none:
        return np.array([-1.0, 1.0], "float32"), np.array([foot, foot], "float32")
    if not len(values):
        return np.zeros(0), np.zeros(0)
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or max(abs(high), 1e-6) * 0.05
    counts, edges = np.histogram(values, BINS, (low - room, high + room))
    heights = 0.9 * counts / counts.max()
    x = np.concatenate([[edges[0]], np.repeat(edges[1:-1], 2), [edges[-1]]])
    y = np.repeat(heights, 2)
    return (
        np.concatenate([x[:1], x, x[-1:]]).astype("float32"),
        (foot + np.concatenate([[0.0], y, [0.0]])).astype("float32"),
    )


def _between(low: str, middle: str, high: str) -> list[str]:
    ends = [np.array([int(c[k : k + 2], 16) for k in (1, 3, 5)]) for c in (low, middle, high)]
    made = []
    for t in np.linspace(-1, 1, 127):
        end = ends[2] if t > 0 else ends[0]
        colour = ends[1] + (end - ends[1]) * abs(t)
        made.append("#" + "".join(f"{round(float(c)):02x}" for c in colour))
    return made


def _spread(count: int, look: Look) -> list[str]:
    """Colours of units along one scale: every kind of vision tells them apart, and the ground shows them."""
    from bokeh.palettes import Cividis256

    first, last = (150, 250) if look.name == "dark" else (30, 210)
    return [Cividis256[first + (last - first) * k // max(1, count - 1)] for k in range(count)]
