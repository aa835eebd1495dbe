"""The tab of the tape: the calls of a step as a graph, a node's values and rule, the backward pass."""

from typing import Any

import numpy as np
from bokeh.layouts import column

from minigan.studio.watch import Sight, Watch
from minigan.studio.widgets import Panel, Widgets, safe
from minigan.views.look import filling
from minigan.views.tape import Tape, Value, evaluated, tape_of
from minigan.views.tape_view import TapeView

TAKEN = 370  # pixels of the window's height that are not the graph's
SHOWN = 6  # rows and columns of a value that are shown


class TapePanel(Panel):
    """The tape of D or of G in the round that is next, read when it is asked for."""

    title = "Tape"

    def __init__(self, widgets: Widgets, watch: Watch) -> None:
        self.widgets, self.watch, self.course = widgets, watch, watch.course
        self.view: TapeView | None = None
        self._waiting = False

    def build(self, seen: Sight) -> Any:
        w = self.widgets
        self.view = None
        self.player = w.choice("", "tape_player", ["D", "G"], "D", width=64)
        self.player.on_change("value", self._another)
        self.where = w.text(name="tape_where", width=330, align="center")
        bar = w.bar(
            self.player,
            w.button("the round that is next", "tape_read", self.read, main=True),
            w.button("|◀", "tape_first", lambda: self._go(-(10**6))),
            w.button("◀ back", "tape_back", lambda: self._go(-1)),
            w.button("next rule ▶", "tape_next", lambda: self._go(1)),
            w.button("▶|", "tape_last", lambda: self._go(10**6)),
            self.where,
        )
        self.place = column([w.text("reading …")], sizing_mode="stretch_width")
        self.detail = w.text(name="tape_detail", sizing_mode="stretch_width")
        self.read()
        return column([bar, self.place, self.detail], sizing_mode="stretch_width")

    def _another(self, attr: str, old: Any, new: Any) -> None:
        self.read()

    def read(self) -> None:
        """Ask for the tape as it is now."""
        player = "G" if self.player.value == "G" else "D"
        self._key = f"tape {id(self)}"
        self._waiting = True
        self.watch.ask(self._key, lambda reader, latest: tape_of(reader.experiment, player))

    def refresh(self) -> None:
        """Take the tape when it was read."""
        if not self._waiting or self._key not in self.watch.answers:
            return
        self._waiting = False
        found = self.watch.answers.pop(self._key)
        if not isinstance(found, Tape):
            self.place.children = [self.widgets.text(safe(found))]
            return
        self.view = TapeView(found, self.widgets.look)
        self.view.boxes.selected.on_change("indices", self._tapped)
        filling([self.view.layout], TAKEN + 90)  # with the values below
        self.place.children = [self.view.layout]
        self._describe()

    def show(self, seen: Sight) -> None:
        """The tape follows a game that is not played, until its rules are stepped through."""
        if self.view is None or self._waiting or self.view.done or self.course.status.playing:
            return
        if self.view.tape.step != self.course.latest.step:
            self.read()

    def _tapped(self, attr: str, old: Any, new: Any) -> None:
        if self.view is not None and new and 0 <= int(new[0]) < len(self.view.tape.nodes):
            self.view.chosen = int(new[0])
            self.view.redraw()
            self._describe()

    def _go(self, by: int) -> None:
        """So many rules on, or back."""
        view = self.view
        if view is None:
            return
        view.done = max(0, min(view.done + by, len(view.tape.back)))
        if view.done:
            view.chosen = view.tape.back[view.done - 1].into
        view.redraw()
        self._describe()

    def _describe(self) -> None:
        view = self.view
        if view is None:
            return
        tape, look = view.tape, self.widgets.look
        node = tape.nodes[view.chosen]
        self.where.text = f"{view.done} of {len(tape.back)} rules have run; {len(tape.nodes)} values"
        parts = [f"<b>{_called(node)}</b> · {node.value.dtype}{list(node.value.shape)}{_line(node.line)}"]
        tables = [_table("value", node.value, look.ink)]
        there = tape.cotangents(view.done)
        if view.chosen in there:
            tables.append(_table("cotangent ∂loss/∂value", there[view.chosen], look.d))
        rules = [rule for rule in node.rules if rule]
        if rules:
            letters = ("x",) if len(node.inputs) == 1 else ("a", "b")
            shown = "; ".join(
                f"∂/∂{letter}: <code>{safe(rule)}</code>"
                for letter, rule in zip(letters, node.rules, strict=False)
                if rule
            )
            parts.append(f"its rule, g being the cotangent: {shown}")
        for one in tape.back[: view.done]:
            if one.into == view.chosen:
                source, rule = tape.nodes[one.node], evaluated(tape, one)
                of = ";" if ", where " in rule else ", for the first element;"
                parts.append(
                    f"+ from {_called(source)}{_line(source.line)}: <code>{safe(rule)}</code>{of} "
                    f"all of it sums to {_number(one.added.sum())}"
                )
        if view.chosen not in there and node.parameter:
            parts.append("no rule has reached it yet")
        self.detail.text = (
            "<div style='display:flex;gap:26px;flex-wrap:wrap'><div style='max-width:620px'>"
            + "<br>".join(parts) + "</div>" + "".join(tables) + "</div>"
        )  # fmt: skip


def _called(node: Value) -> str:
    """A value's name and the call that made it."""
    return safe(node.name if node.call == node.name else f"{node.name} = {node.call}")


def _line(line: int) -> str:
    return f" · primitives.py, line {line}" if line else ""


def _number(value: Any) -> str:
    """With the sign that axes have."""
    return f"{float(value):.4g}".replace("-", "−")


def _table(title: str, array: np.ndarray, colour: str) -> str:
    """The corner of an array, with what all of it is."""
    values = np.atleast_2d(array)
    values = values.reshape(-1, values.shape[-1])
    cell = "<td style='padding:0 6px;text-align:right'>"
    cells = "".join(
        "<tr>" + "".join(f"{cell}{_number(v)}</td>" for v in line[:SHOWN])
        + ("<td>…</td>" if len(line) > SHOWN else "") + "</tr>"
        for line in values[:SHOWN]
    )  # fmt: skip
    mean, low, high = map(_number, (values.mean(), values.min(), values.max()))
    about = f"mean {mean}, from {low} to {high}"
    return (
        f"<div style='font-size:12px'><b style='color:{colour}'>{safe(title)}</b> "
        f"{list(array.shape)}: {about}"
        f"<table style='border-collapse:collapse;font-size:11px'>{cells}</table></div>"
    )
