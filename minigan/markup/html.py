"""Tables, boxes and lines of code as HTML that a notebook shows, in the colours of the page around it."""

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["box", "code_table", "lines_of_code", "paragraph", "picture", "table"]

LINES = 400  # of code that are shown
_CELL = "padding:.15em .8em .15em 0;border:0;background:none;vertical-align:top;"
_MONO = "font-family:ui-monospace,monospace;white-space:pre;"
_RULE = "border-bottom:1px solid color-mix(in srgb, currentColor 35%, transparent);"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Columns of texts, the first ``left`` of them flush left, the others right."""
    return _table(header, rows, left, "")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int, style: str) -> str:
    def row(tag: str, cells: Sequence[str], more: str) -> str:
        sides = ["left" if k < left else "right" for k in range(len(cells))]
        parts = [
            f'<{tag} style="{_CELL}{more}text-align:{side}">{escape(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        ]
        return f'<tr style="background:none">{"".join(parts)}</tr>'

    body = "".join(row("td", cells, style) for cells in rows)
    start = '<table style="border-collapse:collapse;font-size:.9em;margin:.4em 0;color:inherit">'
    return f"{start}<thead>{row('th', header, _RULE)}</thead><tbody>{body}</tbody></table>"


def box(title: str, *parts: str) -> str:
    """A title over parts, each HTML already."""
    return f'<div style="overflow-x:auto"><div><b>{escape(title)}</b></div>{"".join(parts)}</div>'


def paragraph(text: str) -> str:
    """Text as a paragraph."""
    return f'<div style="margin:.3em 0">{escape(text)}</div>'


def lines_of_code(text: str) -> str:
    """Text as it stands, in a face of one width."""
    return f'<pre style="{_MONO}margin:.3em 0;background:none;color:inherit">{escape(text)}</pre>'


def code_table(lines: Sequence[str]) -> str:
    """Lines as ``%2: float32[3, 2] = multiply(x, %1)`` in columns; the first ``LINES`` of them."""
    rows = []
    for line in lines[:LINES]:
        name, colon, rest = line.partition(": ")
        kind, _, made = rest.partition(" = ") if colon else (line, "", "")
        rows.append((name, kind, made) if colon else ("", "", line))
    more = len(lines) - len(rows)
    if more > 0:
        rows.append(("…", "", f"{more} lines more"))
    shown = _table(("value", "what it is", "how it is made"), rows, 3, _MONO)
    return f'<div style="max-height:30em;overflow:auto">{shown}</div>'


def picture(address: str, about: str) -> str:
    """A picture as wide as the page lets it be; its address may be a data: URL."""
    return f'<img src="{escape(address)}" alt="{escape(about)}" style="max-width:100%;height:auto">'
