"""The tab of controls: every setting of the configuration, grouped, with its documentation as a tooltip."""

import json
from functools import partial
from typing import Any

from bokeh.layouts import column
from bokeh.models import Select, TextInput

from minigan.studio.changes import AT_ONCE
from minigan.studio.mirror import Steered
from minigan.studio.watch import Sight
from minigan.studio.widgets import Panel, Widgets
from minigan.training.config import fields, flatten

ELSEWHERE = {"data", "columns", "header", "name", "threads", "backend"}  # not here
GROUPS: dict[str, tuple[str, ...]] = {
    "What is learnt": (
        "target", "label", "conditioning", "standardise", "holdout", "holdout_least", "drop_nonfinite",
        "latent.", "method", "seed",
    ),
    "Generator": ("generator.", "generator_optimizer.", "generator_steps"),
    "Discriminator": ("discriminator.", "discriminator_optimizer.", "discriminator_steps"),
    "Losses and penalties": (
        "objective", "r1", "r2", "wgan_gp", "zero_gp", "clip", "consensus", "unrolled", "packing",
        "instance_noise", "observation_noise",
    ),
    "Course": ("order", "batch", "steps", "draws", "schedule.", "average."),
    "Machine": ("",),
}  # fmt: skip


WIDTH = 155  # pixels, the least of a group


class Settings(Panel):
    """All settings; a change is sent as it is made."""

    title, lasting = "Settings", True

    def __init__(self, widgets: Widgets, course: Steered) -> None:
        self.widgets, self.course = widgets, course
        self.inputs: dict[str, Any] = {}
        self._filling = False
        self._shown: Any = None

    def build(self, seen: Sight) -> Any:
        w = self.widgets
        about = w.text(
            "A dot • marks what takes effect at once, without losing what was learnt; all else begins "
            "the game anew. Point at the question marks to read what a setting means.",
            sizing_mode="stretch_width",
        )
        left = {name for name in fields() if name not in ELSEWHERE}
        groups = []
        for title, prefixes in GROUPS.items():
            own = [name for name in fields() if name in left and name.startswith(prefixes)]
            left -= set(own)
            inputs = [self._input(name) for name in own]
            group = column([w.text(f"<b>{title}</b>"), *inputs], spacing=0, sizing_mode="stretch_width")
            group.styles = {"flex": f"1 1 {WIDTH}px", "min-width": f"{WIDTH}px"}
            groups.append(group)
        self.fill()
        return column(
            [about, w.bar(*groups)],
            sizing_mode="stretch_width",
        )

    def _input(self, name: str) -> Any:
        field = fields()[name]
        mark = " •" if name in AT_ONCE else ""
        about = f"{name}: {field.description}; {field.rule}"
        title = f"{_called(name)}{mark}"
        choices = getattr(field.type, "values", None)
        options: dict[str, Any] = {
            "sizing_mode": "stretch_width", "description": about, "margin": (1, 5, 1, 5),
        }  # fmt: skip
        if choices is not None or field.rule.startswith("true or false"):
            names = [str(one) for one in choices] if choices is not None else ["true", "false"]
            made: Any = self.widgets.choice(title, f"set {name}", names, names[0], **options)
        else:
            made = self.widgets.line(title, f"set {name}", **options)
        made.on_change("value", partial(self._changed, name))
        self.inputs[name] = made
        return made

    def _changed(self, name: str, attr: str, old: Any, new: Any) -> None:
        if not self._filling and isinstance(new, str) and new != self._text(name):
            refusal = self.course.send({"do": "set", "settings": {name: new}})
            if refusal is not None:
                self.fill()

    def _text(self, name: str) -> str:
        if name == "target" and self.course.data is not None:
            return ""  # which is not what is learnt
        value = flatten(self.course.config)[name]
        return value if isinstance(value, str) else json.dumps(value)

    def fill(self) -> None:
        """Show the settings as they are: what was refused is put back."""
        self._filling = True
        try:
            for name, made in self.inputs.items():
                text = self._text(name)
                if isinstance(made, Select) and text not in made.options:
                    made.options = [*made.options, text]
                if isinstance(made, (Select, TextInput)) and made.value != text:
                    made.value = text
        finally:
            self._filling = False

    def show(self, seen: Sight) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Follow the course, also where nothing was drawn."""
        state = self.course.config, self.course.status.message
        if state != self._shown:
            self._shown = state
            self.fill()


def _called(name: str) -> str:
    """What a setting is called below the name of its player."""
    for player in ("generator", "discriminator"):
        name = name.removeprefix(f"{player}.").replace(f"{player}_", "")
    return name
