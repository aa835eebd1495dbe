"""What a built site must be: links and anchors resolve, nothing is fetched from elsewhere, no page is far.

An example has its picture, its time and its notebook, and what it says is what its numbers show.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {  # tag: attributes whose address a browser fetches by itself
    "script": ("src",), "img": ("src",), "iframe": ("src",), "link": ("href",), "source": ("src",),
    "video": ("src", "poster"), "audio": ("src",), "embed": ("src",), "object": ("data",), "input": ("src",),
}  # fmt: skip
PASSIVE = {"canonical", "author", "license", "next", "prev", "search", "index", "help", "copyright"}
CLICKS = 3  # from the front page to any other, but for what the search opens
ASIDE = {"search.html", "genindex.html"}
PRINTED = re.compile(r'<div class="sphx-glr-script-out.*?</pre>', re.DOTALL)  # by an example
OUTSIDE = re.compile(r"""(?:@import\s+|url\()\s*["']?((?:https?:)?//[^"')\s]+)""")


class Page(HTMLParser):
    """The anchors of a page, its links, and what it fetches."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and set(given.get("rel", "").split()) <= PASSIVE:
            return
        self.fetched += [given[name] for name in FETCHED.get(tag, ()) if name in given]
        self.fetched += OUTSIDE.findall(given.get("style", ""))

    def handle_data(self, data: str) -> None:
        self.fetched += OUTSIDE.findall(data) if "url(" in data or "@import" in data else []


def pages(html: Path) -> dict[Path, Page]:
    """Every page of a site; what the theme keeps in _static is no page."""
    found = (path for path in sorted(html.rglob("*.html")) if "_static" not in path.parts)
    return {path: Page(path.read_text(encoding="utf-8")) for path in found}


def elsewhere(address: str) -> bool:
    """Whether an address is on another machine."""
    return bool(urlsplit(address).netloc)


def dangling(html: Path, found: dict[Path, Page]) -> Iterator[str]:
    """What links to a page, a file or an anchor that is not there."""
    for path, page in found.items():
        for link in [*page.links, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield f"{path.relative_to(html)}: {link} is not there"
            elif parts.fragment and target in found and unquote(parts.fragment) not in found[target].anchors:
                yield f"{path.relative_to(html)}: {link} has no such anchor"


def requests(html: Path, found: dict[Path, Page]) -> Iterator[str]:
    """What a browser would fetch from elsewhere while it shows a page."""
    for path, page in found.items():
        yield from (f"{path.relative_to(html)}: fetches {link}" for link in page.fetched if elsewhere(link))
    for path in sorted(html.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        yield from (f"{path.relative_to(html)}: fetches {link}" for link in OUTSIDE.findall(text))


def far(html: Path, found: dict[Path, Page]) -> Iterator[str]:
    """Pages that are more than ``CLICKS`` from the front page."""
    seen = here = {html / "index.html"} & found.keys()
    for _ in range(CLICKS):
        links = ((path, urlsplit(link)) for path in here for link in found[path].links)
        to = {
            (path.parent / unquote(link.path)).resolve()
            for path, link in links
            if not link.netloc and link.path
        }
        here = (to & found.keys()) - seen
        seen = seen | here
    if seen:
        away = sorted(path for path in found.keys() - seen if path.name not in ASIDE)
        yield from (f"{path.relative_to(html)}: is more than {CLICKS} clicks away" for path in away)


def examples(html: Path) -> Iterator[str]:
    """What an example lacks, or prints that it does not hold."""
    for path in sorted(html.glob("learn/gallery/[0-9]*.html")):
        text = path.read_text(encoding="utf-8")
        if any("NOT as said" in said for said in PRINTED.findall(text)):
            yield f"{path.relative_to(html)}: what it says is not what its numbers show"
        if not any("as said" in said for said in PRINTED.findall(text)):
            yield f"{path.relative_to(html)}: does not hold what it says against its numbers"
        for part in ("sphx-glr-single-img", "Total running time", f"{path.stem}.ipynb"):
            if part not in text:
                yield f"{path.relative_to(html)}: has no {part}"


def faults(html: Path) -> list[str]:
    """Every fault of a built site, a line each."""
    html = html.resolve()
    found = pages(html)
    return sorted({*dangling(html, found), *requests(html, found), *far(html, found), *examples(html)})


def count(html: Path) -> str:
    """How much was checked."""
    found = pages(html)
    return f"{len(found)} pages, {sum(len(page.links) for page in found.values())} links"
