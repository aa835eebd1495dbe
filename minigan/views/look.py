"""The look of figures in Bokeh: colours, text, ticks; one colour, one meaning, as on the printed page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.layouts import row
from bokeh.models import ColumnDataSource, CustomJS, GlyphRenderer, InlineStyleSheet, Legend, LegendItem
from bokeh.plotting import figure

from minigan.views.frame import Frame

Columns = dict[str, dict[str, Any]]  # {source: {column: values}}
LIVE = "overlay"
# Bokeh clips what lies on other levels to the frame, and of this one annotations alone.
CLIPPED = (
    "Object.defineProperty(Bokeh.Models.get('GlyphRenderer').prototype.default_view.prototype, 'needs_clip', "
    "{get: () => true});"
)
# Bokeh clears its canvas from half a pixel on, so that what it draws there becomes darker with each painting.
FRESH = ".bk-glyph { clip-path: inset(1px 0 0 1px); }"
WRAPPED = (
    ":host { max-width: 100%; }"
    "div.bk-grid { display: flex; flex-wrap: wrap; justify-content: flex-end; width: auto; height: auto; }"
)
MEAGRE = 240  # pixels, the least width of a figure
HIDE = "setTimeout(() => copies.forEach((copy, k) => { moving[k].visible = copy.visible; }))"
# A mark of an axis: Bokeh's own writes 2.000e-4, and e of a nought that stands beside it.
SHORT = """
const size = Math.abs(tick), plain = size === 0 || size >= 0.001 && size < 10000;
return (plain ? String(tick) : tick.toExponential()).replaceAll('-', '−').replace('+', '');
"""
FONT = "DejaVu Sans, Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Look:
    """Blue is the target, orange is generated, green is D, the dashed line is theory, grey is chance.

    Okabe and Ito's colours, apart for every kind of colour vision, and lighter ones on a dark ground.
    """

    name: str
    ground: str
    panel: str
    ink: str
    faint: str
    target: str
    generated: str
    d: str
    theory: str
    chance: str
    start: str
    bad: str


LIGHT = Look("light", "#ffffff", "#ffffff", "#1f1f1f", "#d9d9d9", "#0072B2", "#D55E00", "#009E73", "#000000",
             "#8C8C8C", "#CC79A7", "#A50F15")  # fmt: skip
DARK = Look("dark", "#15181c", "#1b1f24", "#e6e6e6", "#3a4048", "#56B4E9", "#F0883E", "#2DC79A", "#ffffff",
            "#9aa0a6", "#E3A8CB", "#FF7B72")  # fmt: skip
LOOKS = {look.name: look for look in (LIGHT, DARK)}
# From what D takes for generated to what it takes for real; ½ is the ground.
FIELD = {
    "light": ("#D55E00", "#F7F7F7", "#0072B2"),
    "dark": ("#F0883E", "#22262c", "#56B4E9"),
}


def _set(source: ColumnDataSource, data: dict[str, Any]) -> None:
    source.data = data


class View:
    """A figure, or several, that show one frame after another.

    layout   what Bokeh draws
    sources  by name, what is drawn from
    deliver  is given a source and its new columns; as it is, sets them

    What moves lies on Bokeh's level LIVE: its canvas alone is painted then, not axes, titles and legends.
    """

    layout: Any
    deliver: Callable[[ColumnDataSource, dict[str, Any]], None] = staticmethod(_set)

    def __init__(self, look: Look) -> None:
        self.look, self.sources = look, dict[str, ColumnDataSource]()

    def source(self, name: str, *columns: str) -> ColumnDataSource:
        """An empty source of these columns."""
        self.sources[name] = made = ColumnDataSource({column: [] for column in columns}, name=name)
        return made

    def columns(self, frame: Frame) -> Columns:
        """What the sources hold at a frame; sources that are not named keep what they have."""
        raise NotImplementedError

    def show(self, frame: Frame) -> None:
        """Draw a frame."""
        for name, data in self.columns(frame).items():
            self.deliver(self.sources[name], data)


def panel(look: Look, title: str, x: str, y: str, **options: Any) -> Any:
    """An empty figure with our text and colours, without a logo, as wide as its place."""
    given: dict[str, Any] = {"height": 260, "min_height": 140, "sizing_mode": "stretch_width"}
    given |= {"tools": "xpan,xwheel_zoom,box_zoom,reset,save", "active_scroll": None, "active_drag": None}
    fig = figure(title=title, x_axis_label=x, y_axis_label=y, **(given | options))
    fig.toolbar.logo, fig.toolbar.autohide = None, True
    fig.background_fill_color = fig.border_fill_color = look.panel
    fig.outline_line_color, fig.min_border_right = look.faint, 12
    fig.title.text_color, fig.title.text_font, fig.title.text_font_size = look.ink, FONT, "13px"
    for axis in (*fig.xaxis, *fig.yaxis):
        axis.axis_label_text_color = axis.major_label_text_color = look.ink
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_size, axis.axis_label_text_font_style = "12px", "normal"
        axis.major_label_text_font_size = "11px"
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = look.faint
        axis.axis_label_standoff = 2
    fig.grid.grid_line_color, fig.grid.grid_line_alpha = look.faint, 0.5
    fig.grid.level = "image"
    return fig


def legend(
    look: Look, fig: Any, items: Sequence[tuple[str, Sequence[Any]]], columns: int | str | None = "auto"
) -> None:
    """A legend outside of the panel, so that it hides no data.

    It shows copies of glyphs that move, which have one row that lies nowhere: Bokeh makes a legend anew with
    each change of anything that its items lead to. A click hides the glyph with its copy.

    columns  None for as many as there is room for: of a figure that has none beside it, since Bokeh gives all
             figures of a row the room of the highest legend, and then lays the others on their titles
    """
    moving: list[GlyphRenderer] = []
    copies: list[GlyphRenderer] = []

    def still(glyph: GlyphRenderer) -> GlyphRenderer:
        if glyph.data_source.name is None:  # it holds what it holds
            return glyph
        known = {"colour": look.d, "marker": "circle", "xs": [np.nan], "ys": [np.nan]}
        row = {name: [known.get(name, np.nan)] for name in glyph.data_source.column_names}
        moving.append(glyph)
        copies.append(fig.add_glyph(ColumnDataSource(row), glyph.glyph.clone()))
        return copies[-1]

    made = Legend(
        items=[LegendItem(label=label, renderers=list(map(still, glyphs))) for label, glyphs in items],
        orientation="horizontal", label_text_color=look.ink, label_text_font=FONT,
        label_text_font_size="11px", background_fill_alpha=0.0, border_line_alpha=0.0, padding=0, margin=2,
        spacing=12, glyph_width=18, glyph_height=12, label_standoff=4, click_policy="hide",
        ncols=columns or "auto", stylesheets=[InlineStyleSheet(css=FRESH if columns else FRESH + WRAPPED)],
    )  # fmt: skip
    # From the legend and not from the copies, which would lead to what moves.
    made.js_on_event("legend_item_click", CustomJS(args={"moving": moving, "copies": copies}, code=HIDE))
    fig.add_layout(made, "above")


def beside(*parts: Any, shares: Sequence[float] = (), least: int = 400) -> Any:
    """A row of parts that share its width, none wider than its share; under each other where that is narrow.

    shares  of the width, equal ones if not given
    least   pixels that a part of a share of 1 asks for before it goes under the one before it
    """
    for part, share in zip(parts, shares or [1.0] * len(parts), strict=True):
        # Without a least width of its own, a part would be as wide as its longest text.
        asks = round(share * least)
        flex = {"flex": f"{share} 1 {asks}px", "min-width": f"min(100%, {min(MEAGRE, asks)}px)"}
        part.styles = {**part.styles, **flex}
    styles = {"flex-wrap": "wrap", "max-width": "100%"}
    return row(list(parts), sizing_mode="stretch_width", spacing=6, styles=styles)


def filling(figures: Sequence[Any], taken: int) -> None:
    """Make figures under each other higher where the window leaves room for it.

    taken  pixels of the window's height that other parts of the page ask for; the page adds --more to them
    """
    together = sum(fig.height for fig in figures)
    for fig in figures:
        share = f"calc((100vh - {taken}px - var(--more, 0px)) * {fig.height / together:.4f})"
        height = f"clamp({round(0.85 * fig.height)}px, {share}, {round(1.7 * fig.height)}px)"
        fig.styles = {"flex": "none", **fig.styles, "height": height}  # in a column Bokeh writes a basis


def level(look: Look, fig: Any, value: float) -> Any:
    """A line of theory across a panel; returns it, for the legend."""
    return fig.hspan(y=[value], line_color=look.theory, line_dash=[2, 3], line_width=1)


def padded(low: float, high: float, share: float = 0.05) -> tuple[float, float]:
    """A range with room at both ends, also where it is a point."""
    room = share * (high - low) or max(abs(low), 1.0) * share
    return low - room, high + room


def shortened(text: str, most: int = 60) -> str:
    """A text with an end that fits."""
    return text if len(text) <= most else text[: most - 1] + "…"
