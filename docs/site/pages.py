"""The pages that are written from the package itself: every public name; the rest in lookup.py.

Nothing here needs Sphinx, so tests compare what is listed with what is public.
"""

import ast
import importlib
import importlib.util
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import lookup
from docstrings import inline, to_rest

import minigan
from minigan.engine.tensor import Primitive

BUILT_IN = (
    "object, Exception, BaseException, RuntimeError, tuple, dict"  # whose members nobody looks for here
)
PACKAGE = Path(minigan.__file__).parent


class Name(NamedTuple):
    """A public name: where it is to be imported from, and what it is."""

    module: str
    name: str
    value: Any

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}"


class Group(NamedTuple):
    """A page of the reference: the names that it documents, and those that are documented elsewhere."""

    title: str
    page: str
    about: str
    names: list[Name]
    elsewhere: list[Name]


def listed(path: Path) -> list[str]:
    """What the ``__all__`` of a file names, nothing where it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def headings(path: Path) -> Iterator[tuple[str, list[str]]]:
    """(comment, names under it) of an ``__all__`` whose lines have comments between them."""
    text = path.read_text(encoding="utf-8").partition("__all__ = [")[2].partition("]")[0]
    for part in re.split(r"^\s*# ", text, flags=re.MULTILINE)[1:]:
        comment, _, names = part.partition("\n")
        yield comment, re.findall(r'"(\w+)"', names)


@cache
def module_paths() -> dict[str, Path]:
    """Every module with an ``__all__``: the package, then its rooms, then their files."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda path: (len(path.parts), path)):
        name = ".".join(("minigan", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        if listed(path) and not (
            name.startswith("minigan.sklearn") and not importlib.util.find_spec("sklearn")
        ):
            found[name] = path
    return dict(
        sorted(found.items(), key=lambda item: (item[1].name != "__init__.py", item[0].count("."), item[0]))
    )


@cache
def groups() -> list[Group]:
    """Every page of the reference; a name is documented once, where a user would import it from."""
    found, seen = [], set()
    for comment, names in headings(PACKAGE / "__init__.py"):
        here = [Name("minigan", name, getattr(minigan, name)) for name in names]
        seen |= {key(name) for name in here}
        title = comment.partition(", which")[0]
        found.append(Group(title[0].upper() + title[1:], "mg-" + re.sub(r"\W+", "-", title), "", here, []))
    for module, path in module_paths().items():
        if module == "minigan":
            continue
        source = importlib.import_module(module)
        names = [Name(module, name, getattr(source, name, None)) for name in listed(path)]
        names = [name for name in names if name.value is not None and not inspect.ismodule(name.value)]
        here = [name for name in names if key(name) not in seen]
        seen |= {key(name) for name in here}
        if names:
            elsewhere = [name for name in names if name not in here]
            found.append(
                Group(module, module.removeprefix("minigan."), inspect.getdoc(source) or "", here, elsewhere)
            )
    return found


def key(name: Name) -> Any:
    """What tells two names of one thing from names of two: itself, or its name where it is a mere value."""
    return id(name.value) if has_docstring(name.value) else (name.name, id(name.value))


def has_docstring(value: Any) -> bool:
    """Whether a value can have a docstring of its own."""
    return inspect.isclass(value) or inspect.isroutine(value) or isinstance(value, Primitive)


def summary(value: Any) -> str:
    """The first sentence of what is said of a value."""
    said = (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ")
    said = re.split(r"\s{2,}", said)[0]
    return re.split(r"(?<=[a-z)`\]])[.:;] ", said)[0].rstrip(".:")


@cache
def comments() -> dict[str, str]:
    """{name of a constant: the comment behind its assignment or above it}, by module."""
    found = {}
    for module, path in module_paths().items():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.parse("\n".join(lines)).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                for part in ast.walk(target) if target is not None else ():
                    if isinstance(part, ast.Name):
                        found[f"{module}.{part.id}"] = comment_of(lines, node)
    return found


def comment_of(lines: list[str], node: ast.stmt) -> str:
    """The comment behind a statement's first line or its last."""
    for number in (node.lineno, node.end_lineno or node.lineno):
        _, mark, said = lines[number - 1].partition("  # ")
        if mark:
            return said
    return ""


def shown(value: Any) -> str:
    """A constant in a few words."""
    if isinstance(value, dict):
        return "a table of " + ", ".join(f"``{name}``" for name in value)
    text = re.sub(r" at 0x\w+", "", repr(value))
    return f"``{text}``" if len(text) <= 200 else f"a {type(value).__name__}"


def hidden_bases(value: type) -> bool:
    """Whether a class has methods of another of the package's that the reference does not document itself."""
    documented = {id(name.value) for group in groups() for name in group.names}
    ours = [base for base in value.__mro__[1:] if base.__module__.startswith("minigan.")]
    return any(id(base) not in documented for base in ours)


def signature(value: type) -> str:
    """What a class is called with, where Sphinx has to be told it: where its settings are arguments."""
    try:
        if len(inspect.signature(value).parameters) < 30:
            return ""
    except (TypeError, ValueError):
        return ""
    _, *own = inspect.signature(value.__init__).parameters.values()
    return str(inspect.Signature([one.replace(annotation=inspect.Parameter.empty) for one in own]))


def described(name: Name) -> list[str]:
    """What the reference says of one name, as reST."""
    value = name.value
    if isinstance(value, Primitive):
        usage = value.usage if value.usage.startswith(name.name) else f"{name.name}(…)"
        about = to_rest((inspect.getdoc(value) or "").splitlines())
        return [
            f".. py:function:: {usage}",
            f"   :module: {name.module}",
            "",
            *(f"   {line}" for line in about),
            "",
        ]
    if inspect.isclass(value):
        given = signature(value)
        lines = [f".. autoclass:: {name.full}{given}", "   :members:", "   :show-inheritance:"]
        return [*lines, *([f"   :inherited-members: {BUILT_IN}"] if hidden_bases(value) else []), ""]
    if inspect.isroutine(value):
        return [f".. autofunction:: {name.full}", ""]
    about = comments().get(name.full, "")
    about = f"{inline(about[:1].upper() + about[1:])}: {shown(value)}" if about else shown(value)
    return [f".. py:data:: {name.name}", f"   :module: {name.module}", "", f"   {about}", ""]


@cache
def examples() -> dict[str, str]:
    """{full name: its example}, of names whose docstrings have no room for one."""
    text = Path(__file__).with_name("examples.txt").read_text(encoding="utf-8")
    return {
        name: textwrap.dedent(body)
        for name, body in re.findall(r"^(minigan\S+)\n\n((?: .*\n|\n)+)", text, re.M)
    }


def entry(name: Name) -> list[str]:
    """What the reference says of one name, with its example where that is kept apart."""
    lines, example = described(name), examples().get(name.full, "").strip()
    shown = [f"      {line}".rstrip() for line in example.splitlines()]
    return [*lines, "   .. code-block:: pycon", "", *shown, ""] if shown else lines


def heading(text: str, mark: str = "=") -> list[str]:
    """A title in reST."""
    return [text, mark * max(len(text), 3), ""]


def page_of(group: Group) -> str:
    """A page of the reference."""
    lines = heading(group.title) + to_rest(group.about.splitlines())
    if group.elsewhere:
        links = ", ".join(f":py:obj:`~{where(name)}`" for name in group.elsewhere)
        lines += [f"Documented with ``import minigan as mg``, or with its room: {links}.", ""]
    for name in group.names:
        lines += [*heading(name.name, "-"), *entry(name)]
    return "\n".join(lines) + "\n"


def where(name: Name) -> str:
    """The full name under which something is documented."""
    for group in groups():
        for other in group.names:
            if key(other) == key(name):
                return other.full
    return name.full


def reference(into: Path) -> None:
    """The pages of all names, and the table of them."""
    into.mkdir(parents=True, exist_ok=True)
    for group in groups():
        (into / f"{group.page}.rst").write_text(page_of(group), encoding="utf-8")
    public = [group for group in groups() if not group.about]
    rooms = [group for group in groups() if group.about and "." not in group.page]
    modules = [group for group in groups() if group.about and "." in group.page]
    lines = heading("Names")
    parts = (
        ("import minigan as mg", "What a script needs, ``mg.`` before each.", public),
        ("Rooms", "What is imported from a room: ``from minigan.evaluation import judge``.", rooms),
        ("Modules", "What the engine, the networks and the game are made of.", modules),
    )
    for title, about, part in parts:
        lines += [*heading(title, "-"), about, ""]
        lines += [".. toctree::", "   :maxdepth: 1", "", *(f"   {group.page}" for group in part), ""]
        for group in part:
            if group.names:
                lines += [f".. rubric:: {group.title}", "", ".. list-table::", "   :widths: 30 70", ""]
                for name in group.names:
                    said = summary(name.value) if has_docstring(name.value) else comments().get(name.full, "")
                    lines += [f"   * - :py:obj:`{name.name} <{name.full}>`", f"     - {inline(said)}"]
                lines.append("")
    (into / "index.rst").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write(source: Path) -> None:
    """All pages that come from the package."""
    reference(source / "reference" / "api")
    lookup.write(source / "reference")
