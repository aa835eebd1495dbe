"""The tab of the program: a step as it is recorded, after each pass of the compiler, and as C and CUDA C."""

from functools import partial
from typing import Any

import numpy as np
from bokeh.layouts import column

from minigan.compiler import planner
from minigan.profiling.explain import explain
from minigan.profiling.sources import source_of
from minigan.studio.watch import Sight, Watch
from minigan.studio.widgets import Panel, Widgets, safe
from minigan.training.config import replace
from minigan.training.experiment import Experiment
from minigan.views.look import beside
from minigan.views.reader import Reader

RECORDED, MEASURED = "as recorded", "time and bytes of each line (takes seconds)"
SOURCES = {
    "C, as native runs it": "native",
    "CUDA C, a kernel for each stage": "launches",
    "CUDA C, one kernel for the step": "block",
}
# As wide as its place, however long its lines are.
FULL = {"width": "100%", "display": "block", "contain": "inline-size"}
TAKEN = 205  # pixels of the window's height that are not the text's
MOST = 150_000  # characters that are shown


def names() -> list[str]:
    """What a side can show."""
    return [RECORDED, "as planned, without passes", *(f"after {one.name}" for one in planner.PASSES),
            MEASURED, *SOURCES]  # fmt: skip


def text_of(reader: Reader, what: str) -> str:
    """One of the forms of the step of a reader's game.

    Raises:  ConfigError – for one that this step does not have
    """
    config = replace(reader.experiment.config, backend="numpy", execution="recorded")
    data = reader.data
    if what == MEASURED:
        return explain(replace(config, execution="planned"), data=data).as_text()
    e = Experiment(config, data=data)
    with np.errstate(all="ignore"):
        e.advance(1)
    program: Any = e.program
    if what in SOURCES:
        return source_of(program, SOURCES[what])
    if what == RECORDED:
        return str(program)
    count = next((k for k, one in enumerate(planner.PASSES, 1) if what == f"after {one.name}"), 0)
    about = planner.PASSES[count - 1].about if count else "One line for every step that computes."
    plan = planner.Plan(program, planner.PASSES[:count], 1)
    return f"{about}\n{len(plan.graph)} values in {len(plan)} lines\n\n{plan}"


class Programs(Panel):
    """Two forms of the step, one beside the other."""

    title = "Program"

    def __init__(self, widgets: Widgets, watch: Watch) -> None:
        self.widgets, self.watch = widgets, watch
        self._waiting: dict[str, int] = {}

    def build(self, seen: Sight) -> Any:
        w, all_names = self.widgets, names()
        self._waiting = {}
        self.choices, self.texts = [], []
        sides = []
        for k, first in enumerate((all_names[1], all_names[2])):
            choice = w.choice("", f"program_{k}", all_names, first, width=330)
            choice.on_change("value", partial(self._chosen, k))
            text = w.text("reading …", name=f"program_text_{k}", sizing_mode="stretch_width", styles=FULL)
            self.choices.append(choice)
            self.texts.append(text)
            sides.append(column([choice, text], sizing_mode="stretch_width"))
        for k in range(2):
            self._read(k)
        return beside(*sides)

    def _chosen(self, k: int, attr: str, old: Any, new: Any) -> None:
        self._read(k)

    def _read(self, k: int) -> None:
        what = self.choices[k].value
        if what not in names():
            return
        key = f"program {id(self)} {k}"
        self._waiting[key] = k
        self.texts[k].text = "reading …"
        self.watch.ask(key, lambda reader, latest: text_of(reader, what))

    def refresh(self) -> None:
        """Take what was read."""
        look = self.widgets.look
        for key, k in tuple(self._waiting.items()):
            if key in self.watch.answers:
                del self._waiting[key]
                text = str(self.watch.answers.pop(key))
                more = f"\n… {len(text) - MOST} characters more" if len(text) > MOST else ""
                most = f"max(340px,100vh - {TAKEN}px - var(--more,0px))"
                self.texts[k].text = (
                    f"<pre style='font-size:11px;line-height:1.35;max-height:{most};overflow:auto;"
                    f"margin:4px 0;padding:8px;border:1px solid {look.faint};background:{look.panel}'>"
                    f"{safe(text[:MOST])}{more}</pre>"
                )

    def show(self, seen: Sight) -> None:
        """The form of a step stays what it is until the game is another."""
