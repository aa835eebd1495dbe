"""The rules of the house, read off the source: floors, imports, what is never written, docstrings, sizes."""

import ast
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

import pytest

import minigan

PACKAGE = Path(minigan.__file__).parent
FLOORS = {  # of a room, the rooms that it may import, with all below them; __init__.py may import everything
    "_interrupt": (),
    "_command": ("_interrupt",),
    "_version": (),
    "errors": (),
    "machine": ("_version", "errors"),
    "words": (),
    "arguments": ("errors", "words"),
    "backend": (),
    "engine": ("backend",),
    "markup": ("engine", "errors"),
    "compiler": ("markup",),
    "testing": ("backend", "compiler"),
    "nn": ("arguments", "machine", "markup"),
    "probability": ("arguments", "backend"),
    "models": ("compiler", "nn", "probability"),
    "evaluation": ("compiler", "nn", "probability"),
    "gan": ("compiler", "nn", "probability"),
    "storage": ("errors", "machine"),
    "training": ("gan", "evaluation", "models", "storage"),
    "sweeps": ("training",),
    "reports": ("training", "sweeps", "views"),
    "views": ("training",),
    "front": ("reports",),
    "profiling": ("training", "testing", "reports"),
    "sklearn": ("front",),
    "studio": ("front", "views", "profiling"),
    "cli": ("studio", "profiling"),
}


def stands_on(room):
    """The rooms below a room, all the way down."""
    return {lower for floor in FLOORS[room] for lower in (floor, *stands_on(floor))}


BELOW = {room: stands_on(room) for room in FLOORS}
APPLICATION = {
    "cli",
    "front",
    "machine",
    "profiling",
    "reports",
    "sklearn",
    "storage",
    "sweeps",
    "studio",
    "training",
    "views",
}  # the rest: a library
APPLICATION_ONLY = {
    "click", "rich", "msgspec", "safetensors", "matplotlib", "bokeh", "dask", "distributed",
    "filelock",
}  # fmt: skip
AT_TOP_LEVEL = {"numpy"}  # besides the standard library and minigan itself
DRAWS = {
    *(f"reports/{name}.py" for name in ("style", "overview", "one_feature", "several_features", "course")),
    *(f"reports/{name}.py" for name in ("discriminator", "images", "modes_found", "orbit", "verdict_panel")),
    *("reports/animation.py", "reports/classes.py"),
    *("reports/sweep_figure.py", "profiling/figure.py"),
}  # what imports matplotlib at the top, and is itself imported where it is used, or by another that draws
VIEWS = ("look", "line", "plane", "curves", "networks", "orbit", "tape_view", "file", "sweep")
STUDIO = (
    *("delivery", "dynamics", "inside", "page", "programs", "server", "settings", "taping", "targets"),
    *("watching", "widgets"),
)
SHOWS = {f"views/{name}.py" for name in VIEWS} | {f"studio/{name}.py" for name in STUDIO}  # of Bokeh
ALSO_AT_TOP_LEVEL = {
    "training/config.py": {"msgspec"},
    "training/settings.py": {"msgspec"},
    "training/spellings.py": {"msgspec"},
    "training/text_table.py": {"msgspec"},
    **{f"cli/{path.name}": {"click"} for path in (PACKAGE / "cli").glob("*.py")},
    **{path: {"matplotlib"} for path in DRAWS},
    **{path: {"bokeh", "tornado"} for path in SHOWS},
    **{f"sklearn/{path.name}": {"sklearn"} for path in (PACKAGE / "sklearn").glob("*.py")},
}
LAZY = {"minigan." + path.removesuffix(".py").replace("/", ".") for path in DRAWS | SHOWS}
ONE_ROOM = {  # a library, and where alone it is imported
    "cupy": "backend/cuda.py",
    "fast_sugiyama": "markup/layered.py",
    "sklearn": "sklearn/",
    "matplotlib": ("reports/", "profiling/figure.py"),
    "bokeh": ("views/", "studio/"),
    "contourpy": "views/",
}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
# May exec and compile: its source is written from a graph, never from data.
CODE_WRITER = "compiler/numpy_code.py"
ENGINE_BUDGET, ENGINE_FILE = 900, 260  # lines of the engine, what a student reads in an evening; of each file
FILE_BUDGET = 500  # lines of any file

FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def trees():
    """{path below the package: its syntax tree}, parsed by the process of tests that asks."""
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in FILES}


@cache  # each file is walked once for all rules
def nodes(tree):
    return list(ast.walk(tree))


def dotted(node):
    """ "a.b.c" as it is written; "" of what is more than names."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def classes_of(tree):
    return [node for node in nodes(tree) if isinstance(node, ast.ClassDef)]


@cache
def classes():
    """{name: [(path, class)]}, of one each: test_a_name_is_one_class."""
    found = {}
    for path, tree in trees().items():
        for node in classes_of(tree):
            found.setdefault(node.name, []).append((path, node))
    return found


def floor_of(path):
    return None if path in ("__init__.py", "__main__.py") else path.split("/")[0].removesuffix(".py")


def imports(tree):
    """(module, line) of every import, wherever it stands; `from a import b` counts as a and a.b."""
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ".", node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def top_level_imports(tree):
    """The imports that run when the module is imported: all that stand in no function."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from imports(node)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            stack.extend(ast.iter_child_nodes(node))


def violations(rule):
    """Every "file:line: what" that ``rule(path, tree)`` yields, over the whole package."""
    return [f"{path}:{line}: {what}" for path, tree in trees().items() for line, what in rule(path, tree)]


# ── the rules, as functions of one file; each yields (line, what)
def upward_imports(path, tree):
    floor = floor_of(path)
    if floor in BELOW:
        for module, line in imports(tree):
            target = module.split(".")[1:2] if module.startswith("minigan.") else []
            if target and target[0] in BELOW and target[0] not in BELOW[floor] | {floor}:
                yield line, f"{floor} imports {module}"


def relative_imports(path, tree):
    for node in nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "relative import"


def libraries_on_the_wrong_floor(path, tree):
    for module, line in imports(tree):
        library = module.split(".")[0]
        if library in APPLICATION_ONLY and floor_of(path) not in APPLICATION:
            yield line, f"{library} in {floor_of(path)}, a library"
        if library in ONE_ROOM and not path.startswith(ONE_ROOM[library]):
            yield line, f"{library} outside {ONE_ROOM[library]}"


def heavy_imports(path, tree):
    allowed = set(sys.stdlib_module_names) | AT_TOP_LEVEL | {"minigan"} | ALSO_AT_TOP_LEVEL.get(path, set())
    for module, line in top_level_imports(tree):
        if module.split(".")[0] not in allowed:
            yield line, f"{module} is imported at top level"
        if module in LAZY and path not in DRAWS | SHOWS:
            yield line, f"{module}, which imports a large library, is imported at top level"


def code_from_data(path, tree):
    for module, line in imports(tree):
        if module.split(".")[0] in FORBIDDEN_MODULES:
            yield line, f"imports {module}"
    for node in nodes(tree):
        if isinstance(node, ast.Call):
            allowed = {"exec", "compile"} if path == CODE_WRITER else set()
            if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS - allowed:
                yield node.lineno, f"calls {node.func.id}"
            for keyword in node.keywords:
                if keyword.arg in ("shell", "allow_pickle") and not (
                    isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                ):
                    yield node.lineno, f"{keyword.arg} is not False"
            called = dotted(node.func)
            if called in (
                "os.system",
                "os.popen",
                "joblib.load",
                "yaml.load",
                "yaml.unsafe_load",
                "torch.load",
            ):
                yield node.lineno, f"calls {called}"


def printing(path, tree):
    for node in nodes(tree):
        if floor_of(path) not in {*APPLICATION, None} and isinstance(node, ast.Call):
            if dotted(node.func) in ("print", "sys.stdout.write", "sys.stderr.write"):
                yield node.lineno, "prints"


def bare_asserts(path, tree):
    yield from ((node.lineno, "assert") for node in nodes(tree) if isinstance(node, ast.Assert))


def bases_of(node):
    return {ast.unparse(base).split(".")[-1] for base in node.bases}


def documented_in(node):
    """The methods of a class that have a docstring there."""
    return {n.name for n in node.body if isinstance(n, ast.FunctionDef) and ast.get_docstring(n)}


def protocols_of(tree):
    """The names of the protocols of a file."""
    return {node.name for node in classes_of(tree) if "Protocol" in bases_of(node)}


@cache
def documented_by(name):
    """The methods that a class of the package documents, or any of its bases, or a protocol beside one."""
    found = set()
    for path, node in classes().get(name, ()):
        above = bases_of(node) | protocols_of(trees()[path])
        found |= documented_in(node).union(*map(documented_by, above - {name}))
    return found


NUMPYS_OWN_NAMES = {"CudaNamespace", "DeviceArray", "StrictNamespace"}  # NumPy documents what they keep


def missing_docstrings(path, tree):
    """A method that a base class or a protocol of the same file documents needs no second docstring."""
    if not ast.get_docstring(tree) and tree.body and path != "_version.py":
        yield 1, "the file does not say what it is"
    protocols = protocols_of(tree)

    def visit(body, inside, inherited):
        for node in body:
            named = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            if not named or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node) and node.name not in inherited:
                yield node.lineno, f"{inside}{node.name} has no docstring"
            if isinstance(node, ast.ClassDef) and node.name not in NUMPYS_OWN_NAMES:
                above = bases_of(node) | protocols
                yield from visit(node.body, f"{node.name}.", set().union(*map(documented_by, above)))

    yield from visit(tree.body, "", set())


def missing_first_lines(path, tree):
    doc = ast.get_docstring(tree)
    if doc and not doc.splitlines()[0].rstrip().endswith((".", ":", "?")):
        yield 1, "the first line is no sentence"


def long_files(path, tree):
    """A longer one says in its docstring why it has so many lines."""
    lines = tree.body[-1].end_lineno if tree.body else 0
    if lines > FILE_BUDGET and " lines" not in (ast.get_docstring(tree) or ""):
        yield lines, f"{lines} lines, and no word why"


def unexplained_folders(path, tree):
    """After the sentence that says what a folder is comes what belongs there, and what does not."""
    if path.endswith("/__init__.py") and len((ast.get_docstring(tree) or "").splitlines()) < 3:
        yield 1, "the folder does not say what belongs there"


RULES = (upward_imports, relative_imports, libraries_on_the_wrong_floor, heavy_imports, code_from_data,
         printing, bare_asserts, missing_docstrings, missing_first_lines, long_files,
         unexplained_folders)  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_file_has(rule):
    found = violations(rule)
    assert not found, "\n" + "\n".join(found)


def planted(path, source, rule):
    return list(rule(path, ast.parse(source)))


@pytest.mark.rows(("rule", "path", "source"), [
    (upward_imports, "engine/a.py", "def f():\n    from minigan.nn import layers"),
    (upward_imports, "engine/a.py", "from minigan import gan"),
    (upward_imports, "nn/a.py", "import minigan.probability"),
    (upward_imports, "probability/a.py", "from minigan.engine.tensor import Tensor"),
    (upward_imports, "backend/a.py", "import minigan.engine"),
    (relative_imports, "nn/a.py", "from . import layers"),
    (libraries_on_the_wrong_floor, "gan/a.py", "import click"),
    (libraries_on_the_wrong_floor, "storage/directory.py", "def f():\n    import matplotlib.pyplot as plt"),
    (libraries_on_the_wrong_floor, "engine/a.py", "def f():\n    import cupy"),
    (heavy_imports, "probability/a.py", "import scipy.special"),
    (heavy_imports, "storage/directory.py", "try:\n    import msgspec\nexcept ImportError:\n    pass"),
    (heavy_imports, "cli/train.py", "from minigan.reports.overview import save_overview"),
    (heavy_imports, "cli/train.py", "from minigan.reports import overview"),
    (heavy_imports, "storage/directory.py", "class A:\n    from rich import table"),
    (code_from_data, "training/a.py", "import pickle"),
    (code_from_data, "training/a.py", "from pickle import load"),
    (code_from_data, "training/a.py", "x = eval('1')"), (code_from_data, "training/a.py", "exec(s)"),
    (code_from_data, "compiler/planner.py", "exec(s)"),
    (code_from_data, "engine/a.py", "compile(s, '', mode)"),
    (code_from_data, CODE_WRITER, "eval(s)"), (code_from_data, CODE_WRITER, "__import__(s)"),
    (code_from_data, "training/a.py", "subprocess.run(s, shell=True)"),
    (code_from_data, "training/a.py", "np.load(f, allow_pickle=flag)"),
    (printing, "engine/a.py", "print(1)"), (bare_asserts, "training/a.py", "assert x"),
    (missing_docstrings, "nn/a.py", "x = 1"), (missing_docstrings, "nn/a.py", "'''A.'''\ndef f(): pass"),
    (missing_docstrings, "nn/a.py", "'''A.'''\nclass A:\n    '''B.'''\n    def f(self): pass"),
    (missing_first_lines, "nn/a.py", "'''A file'''"),
    (long_files, "nn/a.py", "'''A file.'''\n" * 501),
    (unexplained_folders, "nn/__init__.py", "'''A folder.'''"),
])  # fmt: skip
def test_each_rule_can_fail(rule, path, source):
    assert planted(path, source, rule)


@pytest.mark.rows(("rule", "path", "source"), [
    (upward_imports, "gan/a.py", "from minigan.nn import layers\nimport minigan.probability.information"),
    (upward_imports, "training/a.py", "import minigan.backend\nfrom minigan.gan import game"),
    (upward_imports, "engine/a.py", "from minigan.engine import tensor"),
    (heavy_imports, "storage/directory.py", "import os\nimport numpy as np\ndef f():\n    import msgspec"),
    (heavy_imports, "training/config.py", "import msgspec"),
    (code_from_data, "training/a.py", "np.load(f, allow_pickle=False)\nre.compile('a')\nmodel.eval()"),
    (code_from_data, CODE_WRITER, "exec(compile(source, '<plan>', 'exec'), space)"),
    (long_files, "nn/a.py", "'''A.\n\n501 lines, for a table is read whole.'''\n" + "1\n" * 501),
    (long_files, "nn/a.py", "'''A.'''\n" * 500),
    (unexplained_folders, "nn/__init__.py", "'''A folder.\n\nWhat belongs there.'''"),
    (unexplained_folders, "nn/a.py", "'''A file.'''"),
    (missing_docstrings, "nn/a.py", "'''A.'''\ndef _f(): 1\nclass B:\n '''B.'''\n def __call__(self): 2"),
])  # fmt: skip
def test_no_rule_fails_for_nothing(rule, path, source):
    assert not planted(path, source, rule)


def test_a_name_is_one_class():
    """Who reads a name need not ask which one is meant; an estimator has the name of the model that it is."""
    places = {name: [path for path, _ in found if "sklearn" not in path] for name, found in classes().items()}
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_every_folder_is_a_floor():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert folders <= set(BELOW)


def test_no_cycles_between_modules():
    """Top-level imports only: one inside a function waits until it is needed."""
    graph = {}
    for path, tree in trees().items():
        name = "minigan." + path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        graph[name.removesuffix(".")] = {
            module for module, _ in top_level_imports(tree) if module.startswith("minigan.")
        }
    done, active = set(), []

    def visit(name):
        assert name not in active, f"cycle: {' → '.join([*active[active.index(name) :], name])}"
        if name in graph and name not in done:
            active.append(name)
            for target in graph[name] - {name}:
                visit(target)
            done.add(active.pop())

    for name in graph:
        visit(name)


def lines_of(path):
    return len((PACKAGE / path).read_text(encoding="utf-8").splitlines())


def test_the_engine_can_be_read_in_an_evening():
    lines = {path: lines_of(path) for path in trees() if floor_of(path) == "engine"}
    assert sum(lines.values()) <= ENGINE_BUDGET and max(lines.values()) <= ENGINE_FILE, lines


def test_files_are_plain_text():
    for path in FILES:
        with tokenize.open(path) as file:
            text = file.read()
        assert "\t" not in text and "\r" not in text and (not text or text.endswith("\n")), path


def loaded_by(statement):
    """The top-level names of all modules in memory after a statement ran in a fresh interpreter."""
    names = "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    code = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); {statement}; {names}"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


HEAVY = {"scipy", "matplotlib", "click", "rich", "msgspec", "safetensors", "autograd", "torch", "cupy",
         "bokeh", "dask", "joblib", "mpmath", "pytest", "hypothesis"}  # fmt: skip


def test_the_library_floors_cost_numpy_only():
    """All that is no application, in one process."""
    modules = [f"minigan.{p.removesuffix('.py').replace('/', '.').removesuffix('.__init__')}"
               for p in trees() if floor_of(p) in set(BELOW) - APPLICATION
               and p != ONE_ROOM["cupy"]]  # fmt: skip
    assert loaded_by("import " + ", ".join(modules)) & HEAVY == set()
    assert {"scipy"} <= loaded_by("import scipy.special")  # the probe sees what is there
