"""The tab of networks: what is in them while they learn."""

from contextlib import suppress
from functools import partial
from typing import Any

from bokeh.layouts import column

from minigan.studio.delivery import Delivery
from minigan.studio.watch import Sight
from minigan.studio.widgets import Panel, Widgets
from minigan.views.look import beside, filling
from minigan.views.networks import PLAYERS, QUANTITIES, SHARES, NetworksView

TAKEN = 175  # pixels of the window's height that are not the figures'


class Networks(Panel):
    """Histograms of all arrays, and one array and layer that is chosen."""

    title, parts = "Networks", ("layers", "responses")

    def __init__(self, widgets: Widgets, delivery: Delivery) -> None:
        self.widgets, self.delivery = widgets, delivery
        self.view: NetworksView | None = None

    def build(self, seen: Sight) -> Any:
        self.view = None
        self.place = column([self.widgets.text("reading …")], sizing_mode="stretch_width")
        return self.place

    def show(self, seen: Sight) -> None:
        frame = seen.frame
        if frame.layers is None or frame.responses is None:
            return
        if self.view is None:
            self.view = view = NetworksView(self.widgets.look, frame)
            arrays = [f"{player} {name}" for player in ("G", "D") for name in view.names[player]]
            chosen = self.widgets.choice("array", "array", arrays, view.chosen, width=130)
            quantity = self.widgets.choice(
                "", "quantity", ["weights", "gradient"], "weights", width=130, align="end"
            )
            chosen.on_change("value", self._chosen)
            quantity.on_change("value", self._quantified)
            for quantified in QUANTITIES:
                filling([view.ridges[player, quantified] for player in PLAYERS], TAKEN)
            filling((view.matrix, view.units), TAKEN + 45)
            right = column([self.widgets.bar(chosen, quantity), view.right], sizing_mode="stretch_width")
            self.place.children = [beside(view.left, right, shares=SHARES)]
            view.deliver = self.delivery.put
            self.choice, self.quantity = chosen, quantity
            for player in PLAYERS:
                for shown in QUANTITIES:
                    selected = view.sources[f"{player}_{shown}"].selected
                    selected.on_change("indices", partial(self._tapped, player, shown))
        self._last = frame
        self.view.show(frame)

    def _chosen(self, attr: str, old: Any, new: Any) -> None:
        if self.view is not None:
            self.view.chosen = str(new)
            self.view.show(self._last)

    def _tapped(self, player: str, shown: str, attr: str, old: Any, new: Any) -> None:
        """A click on a ridge shows its array: its gradient, or of activations the weights there."""
        if self.view is None or not new or type(new[0]) is not int:
            return
        with suppress(LookupError):
            name = self.view.at(player, shown, new[0])
            self.quantity.value = "gradient" if shown == "gradient" else "weights"
            self.choice.value = name

    def _quantified(self, attr: str, old: Any, new: Any) -> None:
        if self.view is not None and new in ("weights", "gradient"):
            self.view.quantity = new
            self.view.show(self._last)
