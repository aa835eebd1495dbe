"""The chapter as two notebooks, made of the pages of the tutorial: python docs/site/notebooks.py.

A page is Markdown with blocks of code; a notebook is the same in cells, without output, in the words that
any viewer of notebooks knows: an exercise is a quotation, its answer unfolds. tests/test_site.py holds the
notebooks against the pages.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LEARN = Path(__file__).resolve().parents[1] / "learn"
EXAMPLES = LEARN.parents[1] / "examples"
NOTEBOOKS = {"tutorial": "chapter.ipynb", "corso": "capitolo.ipynb"}  # folder of pages: notebook
PAGES = ("information", "models", "adversarial", "latent", "classes", "notebook")
CODE = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOTE = re.compile(
    r"^:::\{admonition\} ([^\n]*)\n(:collapsible: closed\n+)?(.*?)^:::$", re.DOTALL | re.MULTILINE
)
SAID = {  # of a page that was run when it was built, and of cells that are not run yet
    r"What is written here can be run: .*?drew\. ": "Run the cells in their order. ",
    r"Quello che è scritto qui si può eseguire: .*?disegnato\. ": "Le celle si eseguono nel loro ordine. ",
    r" Each of the five pages before .*?ipynb`\.": "",
    r" Le cinque pagine precedenti sono fatte così; .*?ipynb`\.": "",
}


def noted(match: re.Match[str]) -> str:
    """An admonition as a quotation, or, where it is closed, as what unfolds."""
    title, closed, text = match.groups()
    if closed:
        return f"<details><summary>{title}</summary>\n\n{text.strip()}\n\n</details>"
    return f"> **{title}**  \n> " + text.strip().replace("\n", "\n> ")


def plain(text: str) -> str:
    """Markdown without what only the site knows: labels, admonitions, links to its pages."""
    text = re.sub(r"^---\n.*?^---\n", "", text, count=1, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.MULTILINE)
    text = NOTE.sub(noted, text)
    for page, cell in SAID.items():
        text = re.sub(page, cell, text, flags=re.DOTALL)
    text = re.sub(r"\[([^\]]+)\]\((?![a-z]+:)[^)]+\)", r"\1", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def cells(text: str) -> Iterator[tuple[str, str]]:
    """(kind, source) of the parts of a page."""
    for k, part in enumerate(CODE.split(text)):
        source = part.strip() if k % 2 else plain(part)
        if source:
            yield ("code" if k % 2 else "markdown"), source


def notebook(folder: str) -> dict[str, Any]:
    """The pages of a folder as one notebook of format 4.5."""
    title, *_ = (LEARN / folder / "index.md").read_text("utf-8").splitlines()
    parts = [("markdown", title)]
    for page in PAGES:
        parts += cells((LEARN / folder / f"{page}.md").read_text("utf-8"))
    made = []
    for k, (kind, source) in enumerate(parts):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{k}", "metadata": {}}
        cell["source"] = source.splitlines(keepends=True)
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def text_of(folder: str) -> str:
    """The notebook as its file has it."""
    return json.dumps(notebook(folder), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for folder, name in NOTEBOOKS.items():
        (EXAMPLES / name).write_text(text_of(folder), encoding="utf-8")
        print(EXAMPLES / name)
