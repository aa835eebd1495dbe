"""The map of the chapter in docs/theory.md: every tag has functions, a test file, an example."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import minigan

ROOT = Path(__file__).parents[1]
MODULES = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(minigan.__path__, "minigan.")
    # but what needs an extra
    if module.name.split(".")[1] not in ("__main__", "sklearn", "views", "studio")
]


def rows():
    """{tag: the other cells} of the map."""
    found = {}
    for line in (ROOT / "docs" / "theory.md").read_text(encoding="utf-8").splitlines():
        if re.match(r"\| T\d+ \|", line):
            tag, *cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found[tag] = cells
    return found


ROWS = rows()


def test_every_tag_of_the_chapter_has_a_row():
    assert list(ROWS) == [f"T{k}" for k in range(1, 18)]


def places(name):
    """Every object of the package with that name, dotted or not: module.function, Class.method, function."""
    *path, last = name.split(".")
    for module in MODULES:
        owner = module
        if path and not module.__name__.endswith("." + ".".join(path)):
            *front, kind = path
            owner = (
                getattr(module, kind, None)
                if not front or module.__name__.endswith(".".join(front))
                else None
            )
        if owner is not None and hasattr(owner, last):
            yield getattr(owner, last)


@pytest.mark.rows("tag", ROWS)
def test_a_row_names_what_exists(tag):
    terms, _, functions, tests, examples = ROWS[tag]
    assert " · " in terms  # English and Italian
    presets = importlib.import_module("minigan.training.presets").PRESETS
    names = re.findall(r"`([\w.-]+)`", functions)
    for name in names:
        module = f"minigan.{name}" in {module.__name__ for module in MODULES}
        assert module or name in presets or list(places(name)), name
    assert names
    assert tests == "same" or all((ROOT / path).is_file() for path in re.findall(r"`([^`]+)`", tests))
    numbers = re.findall(r"\d\d", examples)
    assert numbers and all(list((ROOT / "examples").glob(f"{number}_*.py")) for number in numbers)


@pytest.mark.rows("tag", ROWS)
def test_the_source_and_an_example_cite_the_tag(tag):
    def cites(path):
        text = path.read_text(encoding="utf-8")
        ends = re.findall(r"T(\d+)\]?\s*(?:[-–]|to)\s*\[?T(\d+)", text)
        spans = [range(int(first), int(last) + 1) for first, last in ends]
        return bool(re.search(rf"\b{tag}\b", text)) or any(int(tag[1:]) in span for span in spans)

    assert any(cites(path) for path in (ROOT / "minigan").rglob("*.py")), f"no docstring cites [{tag}]"
    assert any(cites(path) for path in (ROOT / "examples").glob("*.py")), f"no example cites [{tag}]"
