"""Packaging: metadata in one file each, a wheel with everything in it, cheap imports, commands that exist."""

import ast
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import click
import pytest

import minigan

ROOT = Path(__file__).parents[1]
DYNAMIC = {
    "version": "version",
    "dependencies": "install_requires",
    "optional-dependencies": "extras_require",
    "scripts": "entry_points",
}
HEAVY = {
    "scipy",
    "matplotlib",
    "rich",
    "msgspec",
    "safetensors",
    "filelock",
    "threadpoolctl",
    "cupy",
    "fast_sugiyama",
    "bokeh",
    "dask",
    "distributed",
    "joblib",
    "sklearn",
    "torch",
}


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def setup_arguments():
    """The keywords of the call of setup() in setup.py, and their values where they are literals."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    names = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
            items = []
            for item in node.value.elts:
                items += names[item.value.id] if isinstance(item, ast.Starred) else [item.value]
            names[node.targets[0].id] = items
    (call,) = (
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "setup"
    )

    def value(node):
        if isinstance(node, ast.Name):
            return names.get(node.id)
        if isinstance(node, ast.Dict):
            return {key.value: value(item) for key, item in zip(node.keys, node.values, strict=True)}
        return None if isinstance(node, ast.Call) else ast.literal_eval(node)

    return {keyword.arg: value(keyword.value) for keyword in call.keywords}


def environ():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments], env=environ(), capture_output=True, text=True, timeout=120, **options
    )


# Metadata


def test_no_field_lives_in_both_files():
    """Where both name one, pyproject wins and the value of setup.py is dropped without an error."""
    project, arguments = pyproject()["project"], setup_arguments()
    assert set(project["dynamic"]) == DYNAMIC.keys()
    assert not set(project["dynamic"]) & (project.keys() - {"dynamic"})
    assert {DYNAMIC[name] for name in project["dynamic"]} <= arguments.keys()
    same = {
        "python_requires": "requires-python",
        "long_description": "readme",
        "author": "authors",
        "url": "urls",
    }
    static = {same.get(name, name) for name in arguments.keys() - set(DYNAMIC.values())}
    assert not static & project.keys()


def test_the_version_is_written_once():
    assert re.fullmatch(r"\d+\.\d+\.\d+", minigan.__version__)
    assert setup_arguments()["version"] is None  # computed: from _version.py
    text = (ROOT / "setup.py").read_text() + (ROOT / "pyproject.toml").read_text()
    assert minigan.__version__ not in re.findall(r'"([\d.]+)"', text)


def test_every_import_is_a_dependency_or_an_extra(syntax_trees):
    arguments = setup_arguments()
    listed = [
        *arguments["install_requires"],
        *(r for extra in arguments["extras_require"].values() for r in extra),
    ]
    known = {name.replace("-", "_") for r in listed for name in re.findall(r"^[\w-]+|(?<=\[)[\w-]+", r)} | {
        "cuda",  # cuda-pathfinder, which CuPy needs itself
        "cupy",
        "minigan",
        "sklearn",  # scikit-learn
    }
    for path, tree in syntax_trees.items():
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names:
                assert name in known, f"{path.name} imports {name}, which setup.py does not list"


def test_every_requirement_has_a_lower_bound():
    arguments = setup_arguments()
    for requirement in [
        *arguments["install_requires"],
        *(r for extra in arguments["extras_require"].values() for r in extra),
    ]:
        assert ">=" in requirement, requirement


def test_the_entry_point_exists():
    (entry,) = setup_arguments()["entry_points"]["console_scripts"]
    name, _, place = entry.partition(" = ")
    module, _, function = place.partition(":")
    assert name == "minigan" and callable(getattr(importlib.import_module(module), function))


def test_what_is_installed_has_the_metadata_of_the_files():
    try:
        installed = importlib.metadata.metadata("minigan")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("minigan is not installed here, it runs from its source")
    assert (
        installed["Version"] == minigan.__version__
        and installed["Requires-Python"] == pyproject()["project"]["requires-python"]
    )


def test_shipped_data_have_their_source_and_licence_beside_them():
    """In a file that setuptools puts among the licences, too; and who cites minigan finds how."""
    folder = "minigan/training/datasets"
    said = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    assert f"{folder}/README.md" in pyproject()["project"]["license-files"] and "## Licence" in said
    for path in (ROOT / folder).iterdir():
        assert path.name == "README.md" or f"- `{path.name}`: " in said, path
    cited = dict(re.findall(r"^([\w-]+): (\S.*)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE))
    assert cited["title"] == pyproject()["project"]["name"] and cited["license"] == "MIT"


# A wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built from a copy without network."""
    setuptools = pytest.importorskip("setuptools", reason="building a wheel needs setuptools")
    if int(setuptools.__version__.partition(".")[0]) < 77:
        pytest.skip(f"building a wheel needs setuptools >= 77, here is {setuptools.__version__}")
    if python("-m", "pip", "--version").returncode:
        pytest.skip("building a wheel needs pip")
    place = tmp_path_factory.mktemp("wheel")
    for name in ("minigan", "tests", "bench", "examples"):
        shutil.copytree(
            ROOT / name,
            place / "source" / name,
            ignore=shutil.ignore_patterns("__pycache__", "results", "*.npz"),
        )
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "source")
    done = python(
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--quiet",
        "-w",
        place,
        place / "source",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = place.glob("*.whl")
    with zipfile.ZipFile(path) as file:
        yield file


def test_the_wheel_holds_every_module_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "minigan").rglob("*.py")}
    data = {
        str(path.relative_to(ROOT))
        for pattern in (
            "training/datasets/*",
            "testing/strict/*.json",
            "backend/kernels/*.cuh",
            "compiler/*.h",
            "testing/*.h",
            "reports/page/*",
        )
        for path in (ROOT / "minigan").glob(pattern)
    }
    assert names == modules | data | {"minigan/py.typed", "minigan/cli/schema.json"}


def test_the_wheel_names_what_it_needs(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    text = wheel.read(name).decode()
    fields = [line for line in text.partition("\n\n")[0].splitlines()]
    assert (
        "Name: minigan" in fields
        and f"Version: {minigan.__version__}" in fields
        and "License-Expression: MIT" in fields
    )
    assert "Requires-Python: >=3.11" in fields
    needed = [field for field in fields if field.startswith("Requires-Dist:") and "extra ==" not in field]
    arguments = setup_arguments()
    assert len(needed) == len(arguments["install_requires"])
    assert {field.split()[1] for field in fields if field.startswith("Provides-Extra")} == set(
        arguments["extras_require"]
    )
    assert text.count("# minigan")  # the README is its description
    assert (
        wheel.read(name.replace("METADATA", "entry_points.txt")).decode().split("\n")[1]
        == "minigan = minigan.cli:main"
    )
    assert any(n.endswith("LICENSE") for n in wheel.namelist())


def test_the_wheel_runs_where_nothing_else_is(wheel, tmp_path):
    wheel.extractall(tmp_path)
    alone = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "minigan", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"minigan {minigan.__version__}\n"


def test_a_source_archive_holds_the_package_and_what_is_read_first(tmp_path):
    """setuptools takes the top of tests/ along, which does not run alone, and no Markdown but the README."""
    pytest.importorskip("setuptools", reason="building an archive needs setuptools")
    source = tmp_path / "source"
    shutil.copytree(ROOT / "minigan", source / "minigan", ignore=shutil.ignore_patterns("__pycache__"))
    (source / "tests").mkdir()
    for name in ("test_packaging.py", "conftest.py"):
        shutil.copy(ROOT / "tests" / name, source / "tests")
    texts = ("README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", *texts):
        shutil.copy(ROOT / name, source)
    done = python("-c", "from setuptools import build_meta; build_meta.build_sdist('out')", cwd=source)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = (source / "out").iterdir()
    with tarfile.open(path) as archive:
        files = {m.name.partition("/")[2] for m in archive if m.isfile() and "egg-info" not in m.name}
    package = {str(p.relative_to(source)) for p in (source / "minigan").rglob("*") if p.is_file()}
    assert files == package | {"setup.py", "setup.cfg", "pyproject.toml", "PKG-INFO", "MANIFEST.in", *texts}


# Imports


def loaded(statement):
    """The top-level packages that a statement loads beyond what Python and NumPy load themselves."""
    code = (
        "import sys, numpy; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before}, file=sys.stderr)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    names = set(done.stderr.split()) - sys.stdlib_module_names
    return {name for name in names if not name.startswith(("_cython_", "cython_runtime"))}  # NumPy's own


def test_import_minigan_loads_numpy_only():
    assert loaded("import minigan") <= {"minigan", "numpy"}


def test_help_loads_nothing_heavy():
    asked = [["--help"], ["--version"], ["train", "--help"], ["eval", "--help"]]
    assert not loaded(f"from minigan.cli import main; assert not any(main(a) for a in {asked!r})") & HEAVY


def test_the_check_of_imports_can_fail():
    assert loaded("import minigan, scipy") & HEAVY == {"scipy"}


def test_the_module_runs_as_a_program():
    done = python("-m", "minigan", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"minigan {minigan.__version__}\n", "")


def test_the_package_is_typed():
    assert (ROOT / "minigan" / "py.typed").is_file()


# README, pages and Makefile


def targets():
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_makefile_has_what_the_readme_and_ci_ask_for():
    wanted = {"run", "test"}
    for name in ("README.md", ".ci/run"):
        wanted |= set(re.findall(r"^\s*make ([\w-]+)", (ROOT / name).read_text(), re.MULTILINE))
    assert wanted <= targets()


def test_the_makefile_installs_extras_that_exist():
    used = set(re.findall(r"\.venv/installed-(\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert used and used <= setup_arguments()["extras_require"].keys()


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands_of_the_docs():
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    lines = re.findall(r"`minigan ([^`\n]*)`", text) + re.findall(
        r"^ {4,}(?:\.venv/bin/)?minigan (\S.*)$", text.replace("\\\n", ""), re.MULTILINE
    )
    return sorted({re.sub(r"\s+#.*", "", line).strip() for line in lines if not re.search("…|--help", line)})


@pytest.mark.rows("line", commands_of_the_docs())
def test_a_command_of_the_docs_is_understood(line):
    """Parsed, not run: the command, its options and their values exist."""
    from minigan.cli import GLOBAL_FLAGS, cli

    name, *rest = [word for word in shlex.split(line) if word not in GLOBAL_FLAGS]
    rest = ["1" if word in ("S", "P") else word for word in rest]
    parent = click.Context(cli, **cli.context_settings)  # or click remembers help options without -h
    with cli.commands[name].make_context(name, rest, parent=parent) as context:
        source = context.params.get("source")
        if source is not None and not source.endswith(".toml"):
            from minigan.training.presets import preset

            preset(source)
        for setting in context.params.get("sets", ()):
            from minigan.training.settings import resolve

            resolve(environ={}, sets=[setting])


def test_the_page_of_the_command_line_has_every_command():
    from minigan.cli import cli

    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `minigan (\w+)", text, re.MULTILINE)) == cli.commands.keys()


def test_the_readme_has_five_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| `minigan (\w+)", text, re.MULTILINE)
    assert len(lines) == 5 and {"train", "sample"} <= set(lines)
