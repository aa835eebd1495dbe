"""The site, as far as it can be tested without Sphinx: it lists what there is. make docs tests the rest."""

import doctest
import importlib
import inspect
import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import minigan

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs" / "site"
LAID_OUT = ("minigan.markup.layered.place", "minigan.markup.layered.history_as_picture")
MODULES = ("build", "check", "docstrings", "gallery", "lookup", "notebooks", "pages")


@pytest.fixture(scope="module")
def site():
    """The modules of docs/site, by name."""
    sys.path.insert(0, str(SITE))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(SITE))
        for name in MODULES:
            sys.modules.pop(name, None)


# ── the reference
def test_every_public_name_is_documented_once(site):
    """The names of every __all__, each where a user would import it from."""
    groups = site["pages"].groups()
    listed = [name.full for group in groups for name in group.names]
    assert len(listed) == len(set(listed)) > 150
    assert {name for name in listed if name.count(".") == 1} == {
        f"minigan.{name}" for name in minigan.__all__
    }
    documented = {site["pages"].key(name) for group in groups for name in group.names}
    for module, path in site["pages"].module_paths().items():
        for name in site["pages"].listed(path):
            value = getattr(importlib.import_module(module), name, None)
            if value is not None and not inspect.ismodule(value):
                assert site["pages"].key(site["pages"].Name(module, name, value)) in documented, (
                    module,
                    name,
                )
    assert len({group.page for group in groups}) == len(groups)


def methods(kind):
    """(name, function) of what a class calls public, less what is there to be refused."""
    for name, value in vars(kind).items():
        function = getattr(value, "fget", value)
        if inspect.isfunction(function) and name[0] != "_" and not re.match("refuse|_", function.__name__):
            yield name, function


def test_every_public_name_says_what_it_is(site):
    """Each class, function and primitive, and each method that its protocol does not tell of."""
    protocol = [minigan.Distribution, minigan.probability.MultivariateDistribution]
    told = {name for kind in protocol for name, value in methods(kind) if inspect.getdoc(value)}
    bare = []
    for group in site["pages"].groups():
        for name in group.names:
            if not site["pages"].has_docstring(name.value):
                continue
            if not site["pages"].summary(name.value):
                bare.append(name.full)
            for own, function in methods(name.value) if inspect.isclass(name.value) else ():
                if not inspect.getdoc(function) and not inspect.getdoc(getattr(name.value, own)):
                    bare += [f"{name.full}.{own}"] if own not in told else []
    assert not bare


def test_the_examples_of_public_names_run(site, tmp_path, monkeypatch):
    """Of each name one, in its docstring or in docs/site/examples.txt."""
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    kept, without, said = site["pages"].examples(), [], []
    names = [name for group in site["pages"].groups() for name in group.names]
    assert kept.keys() <= {name.full for name in names}
    for name in names:
        own = inspect.getdoc(name.value) if site["pages"].has_docstring(name.value) else ""
        text = f"{own}\n\n{kept.get(name.full, '')}"
        test = doctest.DocTestParser().get_doctest(text, {"np": np, "mg": minigan}, name.full, None, 0)
        if not test.examples:
            without.append(name.full)
        if name.full in LAID_OUT and not find_spec("fast_sugiyama"):
            continue
        runner.run(test, out=said.append)
    assert not said, "".join(said)
    assert not without
    assert runner.summarize(verbose=False).attempted > 600 and not list(tmp_path.iterdir())


def test_a_docstring_of_the_house_becomes_rest(site):
    said = """V(G, D*) with a `clip`, and [T6].    Source:  [T14], [T16]

    name   what it is, in_
           two lines
    other  |a|

        mg.fit("ring8")

    >>> 1 + 1
    2

    Shapes:  x (n, p) → (n,)
    Raises:  ValueError – for none,
             or for too many"""
    rest = "\n".join(site["docstrings"].to_rest(inspect.cleandoc(said).splitlines()))
    for part in (
        r"V(G, D\*) with a ``clip``\ ,",
        ":Source: ",
        "``name``\n    what it is, in\\_ two lines",
        "``other``\n    \\|a\\|",
        '.. code-block:: python\n\n    mg.fit("ring8")',
        ".. code-block:: pycon\n\n    >>> 1 + 1\n    2",
        ":Shapes: x (n, p) → (n,)\n:Raises: ValueError – for none, or for too many",
    ):
        assert part in rest, rest


# ── settings, commands, exit codes
def test_every_setting_and_exit_code_is_in_its_page(site):
    from minigan.training.config import fields

    lookup, page = site["lookup"], site["lookup"].settings()
    entries = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    named = [re.findall(r"`([\w.]+)`", entry.partition("\n")[0]) for entry in entries]
    assert sorted(sum(named, [])) == sorted(fields()) and lookup.SECTIONS.keys() <= fields().keys()
    for names, entry in zip(named, entries, strict=True):
        for name in names:
            field = fields()[name]
            assert json.dumps(field.default) in entry and field.rule in entry
            assert field.description[1:] in entry and f"--set {names[0]}=" in entry
    table = (ROOT / "docs" / "command-line.md").read_text("utf-8").partition("## Exit codes")[2]
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert lookup.exit_codes().keys() == told


# ── the pages
def test_every_page_has_its_place_in_the_site(site):
    """In a toctree of docs/index.md or of a section; Sphinx refuses a page that is in none."""
    docs, placed = ROOT / "docs", {"index"}
    for path in docs.rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            for line in block.splitlines():
                name = re.sub(r".*<(.*)>", r"\1", line)
                placed.add(os.path.normpath(path.parent.relative_to(docs) / name))
    found = [path.relative_to(docs) for path in docs.rglob("*") if path.suffix in (".md", ".ipynb")]
    pages = [*found, *map(Path, site["build"].TEXTS.values())]
    assert {path.with_suffix("").as_posix() for path in pages} - placed == set()


def test_the_pictures_of_the_studio_are_shown_in_both_looks(site):
    """Each that is kept, with its twin, of one size; tests/browser holds them against the page."""
    text = (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")
    kept = {path.stem: path.read_bytes() for path in (ROOT / "docs" / "studio").glob("*.png")}
    shown = re.findall(r"!\[[^\]]+\]\(studio/([\w-]+)\.png\)", text)
    assert sorted(kept) == sorted([*shown, *(f"{name}-dark" for name in shown)]) and len(shown) > 8
    for name in shown:
        light, dark = kept[name], kept[f"{name}-dark"]
        assert light[:24] == dark[:24] and light != dark  # signature, and the size
    places = {"docs/studio.md": "studio.md"} | {
        f"docs/studio/{name}.png": f"studio/{name}.png" for name in kept
    }
    made = site["build"].moved(text, "docs/studio.md", places)
    assert made.count("{.only-light}") == made.count("-dark.png){.only-dark}") == len(shown)


# ── the gallery, and links
def test_every_example_has_a_title_and_becomes_a_page(site):
    for path in sorted((ROOT / "examples").glob("*.py")):
        text, name = site["gallery"].staged(path), path.stem.partition("_")[2]
        assert "NOT as said" in text, f"{name} has nothing in docs/site/claims.py"
        assert text.splitlines()[1] == site["gallery"].title_of(path) and "\nDraws " not in text
        compile(text, path.name, "exec")


def test_links_are_moved_with_their_pages(site):
    places = {
        "docs/fit.md": "fit.md",
        "CONTRIBUTING.md": "understand/contributing.md",
        "docs/use/a.md": "use/a.md",
    }
    moved = site["build"].moved
    assert (
        moved("[a](docs/fit.md#b) [c](LICENSE)", "CONTRIBUTING.md", places)
        == "[a](../fit.md#b) c (`LICENSE`)"
    )
    assert (
        moved("[a](../../CONTRIBUTING.md)", "docs/use/a.md", places) == "[a](../understand/contributing.md)"
    )
    assert (
        moved("[a](fit.md) [b](https://c.org/fit.md)", "docs/fit.md", places)
        == "[a](fit.md) [b](https://c.org/fit.md)"
    )


# ── the tutorial in two languages
COURSE = {
    name: [
        (ROOT / "docs" / "learn" / folder / name).read_text(encoding="utf-8")
        for folder in ("tutorial", "corso")
    ]
    for name in sorted(path.name for path in (ROOT / "docs" / "learn" / "tutorial").glob("*.md"))
}
ENGLISH = re.compile(r"\b(the|of|and|is|are|what|which|with|that|not)\b", re.IGNORECASE)
ITALIAN = re.compile(r"\b(il|della|che|non|sono|con|una|è|di)\b", re.IGNORECASE)


def bare(text):
    """A page without its code, formulas and links."""
    text = re.sub(r"^```.*?^```$|\$\$.*?\$\$|^---.*?^---$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\$[^$]*\$|`[^`]*`|\]\([^)]*\)|\*[^* ]*\*", "", text)


def test_the_tutorial_is_whole_in_both_languages():
    """The same formulas, the same code but for its words, the same tags; no word of the other language."""
    folder = ROOT / "docs" / "learn"
    assert {path.name for path in (folder / "corso").glob("*.md")} == COURSE.keys()
    tags = []
    for name, (english, italian) in COURSE.items():
        for pattern in (r"\$\$.*?\$\$", r"^## (T\d+) ", r"^:::\{(\w+)\}"):
            found = [re.findall(pattern, text, re.DOTALL | re.MULTILINE) for text in (english, italian)]
            assert found[0] == found[1], (name, pattern)
        code = [
            re.findall(r"^```\{code-cell\}.*?^```$", text, re.DOTALL | re.MULTILINE)
            for text in (english, italian)
        ]
        plain = [[re.sub(r'"[^"]*"', '""', cell) for cell in cells] for cells in code]
        assert plain[0] == plain[1], name
        assert not ENGLISH.findall(bare(italian)) and not ITALIAN.findall(bare(english)), name
        assert ENGLISH.search(bare(english)) and ITALIAN.search(bare(italian))
        tags += re.findall(r"^## (T\d+) ", english, re.MULTILINE)
    assert sorted(tags, key=lambda tag: int(tag[1:])) == [f"T{k}" for k in range(1, 18)]


def test_the_notebooks_are_those_of_the_pages(site):
    """As `python docs/site/notebooks.py` writes them: without output, in words that any viewer knows."""
    made = site["notebooks"]
    for folder, name in made.NOTEBOOKS.items():
        text = (ROOT / "examples" / name).read_text(encoding="utf-8")
        assert text == made.text_of(folder), f"{name}: run python docs/site/notebooks.py"
        cells = json.loads(text)["cells"]
        assert len({cell["id"] for cell in cells}) == len(cells) > 40
        for cell in cells:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code":
                assert cell["outputs"] == [] and compile(source, name, "exec")
            else:
                assert not re.search(r"^:::|^```\{|^\(t\d|\]\((?!https)", source, re.MULTILINE), source
        assert sum("<details>" in "".join(cell["source"]) for cell in cells) == 23


def test_the_notebooks_run():
    for name in ("nbclient", "ipykernel", "nbformat"):
        pytest.importorskip(name, reason=f"notebooks are run by {name}, which is not installed")
    import nbformat
    from nbclient import NotebookClient

    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        book = nbformat.read(path, as_version=4)
        NotebookClient(book, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
        shown = [key for cell in book.cells for out in cell.get("outputs", ()) for key in out.get("data", ())]
        assert shown.count("image/png") > 8 and shown.count("text/html") >= 5


def test_what_is_wrong_with_a_site_is_found(site, tmp_path):
    (tmp_path / "b.html").write_text('<p id="there">b</p>', encoding="utf-8")
    (tmp_path / "c.css").write_text("a { background: url(https://cdn.example/d.png) }", encoding="utf-8")
    good = '<a href="b.html#there"></a><a href="https://example.org"></a><img src="c.css">'
    (tmp_path / "a.html").write_text(good, encoding="utf-8")
    assert site["check"].faults(tmp_path) == ["c.css: fetches https://cdn.example/d.png"]
    (tmp_path / "c.css").write_text("", encoding="utf-8")
    assert site["check"].faults(tmp_path) == []
    bad = '<a href="b.html#gone"></a><a href="gone.html"></a><script src="//cdn.example/x.js"></script>'
    (tmp_path / "a.html").write_text(bad, encoding="utf-8")
    said = site["check"].faults(tmp_path)
    assert [
        part in line
        for part, line in zip(("no such anchor", "not there", "fetches"), sorted(said), strict=False)
    ]
    assert len(said) == 3
    chain = ["index", "near", "next", "last", "far"]
    for name, link in zip(chain, [*chain[1:], "far"], strict=True):
        (tmp_path / f"{name}.html").write_text(f'<a href="{link}.html"></a>', encoding="utf-8")
    for name in "ab":
        (tmp_path / f"{name}.html").unlink()
    assert site["check"].faults(tmp_path) == ["far.html: is more than 3 clicks away"]
    (tmp_path / "learn" / "gallery").mkdir(parents=True)
    (tmp_path / "learn" / "gallery" / "01_x.html").write_text("<pre>", encoding="utf-8")
    assert len(site["check"].faults(tmp_path)) == 6  # far, no claim, no picture, no time, no notebook
