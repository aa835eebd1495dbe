"""A report's page: sections and tables as HTML, and the one file that holds them with figures and scripts."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "page"


def section(title: str, *parts: str) -> str:
    """A part of the page."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of texts."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td{_kind(cell)}>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _kind(cell: str) -> str:
    return {"within": ' class="good"', "outside": ' class="bad"'}.get(cell, "")


def pairs(values: Mapping[str, Any]) -> str:
    """Names beside values."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(text_of(value))}</td></tr>" for name, value in values.items()
    )
    return f'<div class="pair"><table class="pairs">{rows}</table></div>'


def whole(
    name: str, facts: Sequence[str], outcome: str, sections: Sequence[str], data: Mapping[str, Any]
) -> str:
    """The file: texts, data and scripts in one.

    data  for page/report.js: "documents" and "frames" by look, "labels", "sources", "table", None without
    """
    from minigan._version import __version__
    from minigan.views.file import script

    style, own = ((PAGE / f"report.{kind}").read_text("utf-8") for kind in ("css", "js"))
    text = (
        json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        .replace("</", "<\\/")
        .replace("<!--", "<\\!--")
    )
    drawing = script() if data["documents"] is not None else ""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(name)}: minigan</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Of this file only: nothing that is in it can ask for anything elsewhere.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; font-src data:\">"
        f'<link rel="icon" href="data:,"><style>{style}</style></head><body><main><header><div>'
        f'<h1>{escape(name)}</h1><p class="facts">{escape(" · ".join(facts))}</p>{outcome}</div>'
        '<button id="look" type="button">Light / dark</button></header>'
        f"{''.join(sections)}<footer>Made by minigan {__version__}; "
        "this file asks nothing of any server.</footer>"
        f'</main><script type="application/json" id="report-data">{text}</script>'
        f"<script>{drawing}</script><script>{own}</script></body></html>\n"
    )


def text_of(value: Any) -> str:
    """A value of a table."""
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value)


def repeat(command: Any, how: str, again: str, key: str, text: str) -> list[str]:
    """How to make it once more: the command that did, if known, and the file that it takes elsewhere.

    how    what to do with the file, as HTML;  again  the command then
    key    what the file's text is called on the page, "config" or "plan"
    """
    name = {"config": "config.json", "plan": "sweep.json"}[key]
    parts = []
    if isinstance(command, str):
        parts.append(f'<p>The command that made it:</p><pre id="command">{escape(command)}</pre>')
    parts.append(
        f'<p>The same on any machine: {how}</p><pre id="again">{again}</pre>'
        f'<details><summary>{name}</summary><button type="button" data-copies="{key}">Copy</button>'
        f'<pre id="{key}">{escape(text)}</pre></details>'
    )
    return parts
