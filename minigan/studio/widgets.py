"""Buttons, inputs and texts of the page, in the colours of its look."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from bokeh.layouts import row
from bokeh.models import (
    Button,
    CustomJS,
    Div,
    InlineStyleSheet,
    NumericInput,
    Row,
    Select,
    Slider,
    TextInput,
)

from minigan.views.look import FONT, Look

CSS = """
:host {{ color: {ink}; font-family: {font}; font-size: 13px; }}
.bk-input {{ background: {panel}; color: {ink}; border-color: {faint}; font-size: 13px; }}
.bk-input:focus {{ border-color: {target}; }}
.bk-btn, .bk-btn-default, .bk-btn.bk-btn-default {{ background: {panel}; color: {ink}; border-color: {faint};
  font-size: 13px; padding: 4px 10px; }}
.bk-btn.bk-btn-default:hover {{ border-color: {target}; background: {panel}; }}
.bk-btn.bk-btn-primary {{ background: {target}; border-color: {target}; color: {ground}; font-size: 13px;
  padding: 4px 10px; }}
.bk-tab {{ color: {ink}; font-size: 13px; padding: 4px 12px; }}
.bk-tab.bk-active {{ color: {target}; background: {panel}; border-color: {faint}; }}
select.bk-input.bk-input.bk-input {{ appearance: none; padding-right: 22px;
  background-size: 5px 5px; background-repeat: no-repeat;
  background-image: linear-gradient(45deg, transparent 50%, {ink} 50%),
    linear-gradient(135deg, {ink} 50%, transparent 50%);
  background-position: right 13px center, right 8px center; }}
input[type=file]::file-selector-button {{ background: {panel}; color: {ink}; border: 1px solid {faint}; }}
.bk-description .bk-icon, .bk-icon {{ background-color: {ink}; }}
.bk-clearfix {{ width: 100%; }}
.bk-header {{ border-color: {faint}; }}
div.bk-headers-wrapper {{ flex-wrap: wrap; }}
:host(.bk-Tabs.bk-above) {{ grid-template-columns: minmax(0, 1fr); }}
.bk-Column[style*="hidden"] {{ height: 0; min-height: 0; overflow: hidden; }}
.bk-slider-title {{ font-size: 12px; white-space: nowrap; }}
.bk-input-group > label, label {{ color: {ink}; font-size: 12px; }}
.noUi-target {{ background: {faint}; border: none; box-shadow: none; }}
.noUi-connect {{ background: {target}; }}
.noUi-handle {{ background: {panel}; border-color: {target}; box-shadow: none; }}
"""


class Widgets:
    """Makes widgets of one look."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.sheet = InlineStyleSheet(css=CSS.format(font=FONT, **vars(look)))

    def bar(self, *parts: Any, **options: Any) -> Row:
        """Widgets in a line, which goes on below where the window is narrow."""
        styles = {"flex-wrap": "wrap"}
        return row(list(parts), sizing_mode="stretch_width", styles=styles, **options)

    def button(self, label: str, name: str, act: Callable[[], Any] | None = None, *, main: bool = False,
               width: int | None = None) -> Button:  # fmt: skip
        """A button that calls ``act``."""
        made = Button(
            label=label, name=name, button_type="primary" if main else "default", width=width, height=30,
            align="end", stylesheets=[self.sheet], width_policy="min" if width is None else "fixed",
        )  # fmt: skip
        if act is not None:
            made.on_click(lambda _: act())
        return made

    def copying(self, label: str, name: str, text: Any) -> Button:
        """A button that copies the text of a hidden Div, also within a page that forbids the newer way."""
        made = self.button(label, name)
        code = """
            const plain = new DOMParser().parseFromString(text.text, 'text/html').body.textContent;
            const say = (done) => {
              cb_obj.origin.label = done ? 'copied' : 'not allowed';
              setTimeout(() => { cb_obj.origin.label = label; }, 1200);
            };
            const older = () => {
              const area = document.createElement('textarea');
              area.value = plain;
              document.body.append(area);
              area.select();
              say(document.execCommand('copy'));
              area.remove();
            };
            if (navigator.clipboard) {
              navigator.clipboard.writeText(plain).then(() => say(true), older);
            } else { older(); }
        """
        made.js_on_click(CustomJS(args={"text": text, "label": label}, code=code))
        return made

    def text(self, html: str = "", name: str = "", **options: Any) -> Div:
        """Text that may be styled."""
        return Div(text=html, name=name, stylesheets=[self.sheet], **options)

    def hidden(self, name: str) -> Div:
        """Text that scripts read."""
        return Div(text="", name=name, visible=False)

    def choice(self, title: str, name: str, options: Sequence[Any], value: str, **more: Any) -> Select:
        """One of several."""
        return Select(
            title=title, name=name, options=list(options), value=value, stylesheets=[self.sheet], **more
        )

    def line(self, title: str, name: str, value: str = "", **more: Any) -> TextInput:
        """A line of text."""
        return TextInput(title=title, name=name, value=value, stylesheets=[self.sheet], **more)

    def count(self, title: str, name: str, value: int, low: int, high: int, **more: Any) -> NumericInput:
        """A whole number."""
        return NumericInput(
            title=title, name=name, value=value, low=low, high=high, mode="int",
            stylesheets=[self.sheet], **more,
        )  # fmt: skip

    def slider(self, title: str, name: str, **more: Any) -> Slider:
        """A number on a line."""
        return Slider(title=title, name=name, stylesheets=[self.sheet], bar_color=self.look.target, **more)


def safe(text: object) -> str:
    """Text that is shown as it is."""
    return escape(str(text))


class Panel:
    """One tab of the page: built when it is first opened.

    title  on the tab
    parts  of a frame that it shows
    lasting  whether it stays as it is when another game begins
    """

    title = ""
    parts: tuple[str, ...] = ()
    lasting = False

    def build(self, seen: Any) -> Any:
        """What Bokeh draws, for this game."""
        raise NotImplementedError

    def show(self, seen: Any) -> None:
        """Draw what is seen."""
        raise NotImplementedError

    def refresh(self) -> None:
        """What there is to do while it is open, whether or not there is something new to be seen."""
