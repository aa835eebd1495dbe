"""What SECURITY.md says: no code from files, its table of bounds, no network, no process, modes of files."""

import ast
import importlib
import inspect
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import minigan

ROOT = Path(__file__).parents[1]
PACKAGE = Path(minigan.__file__).parent
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
TINY = ["--set", "steps=6", "--set", "eval_every=3", "--set", "eval_samples=100", "--set", "batch=8"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


# ── code from data: the syntax tree, not the text
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "yaml", "code", "pty"}
BUILTINS = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
METHODS = {  # by their last two names
    "joblib.load", "torch.load", "yaml.load", "os.system", "os.popen", "np.fromfile", "numpy.fromfile",
    "np.load", "numpy.load", "builtins.eval", "builtins.exec", "subprocess.getoutput", "subprocess.run",
    "subprocess.Popen", "subprocess.call", "subprocess.check_output",
}  # fmt: skip

NAMES = {method.split(".")[-1] for method in METHODS}


def dangers(tree):
    """(what, line) of every call or import that could make code of data, or run a program."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((f"import {a.name}", node.lineno) for a in node.names if a.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield f"import {node.module}", node.lineno
        elif isinstance(node, ast.Name) and node.id in BUILTINS and isinstance(node.ctx, ast.Load):
            yield node.id, node.lineno  # called, or handed on to be called
        elif isinstance(node, ast.Attribute) and node.attr in NAMES:
            if (found := ".".join(ast.unparse(node).split(".")[-2:])) in METHODS:
                yield found, node.lineno
        elif isinstance(node, ast.keyword) and node.arg in ("shell", "allow_pickle", "executable"):
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                yield f"{node.arg} is not False", node.lineno


def test_nothing_makes_code_of_data_but_the_one_exec(syntax_trees):
    found = {
        (path.relative_to(PACKAGE).as_posix(), what)
        for path, tree in syntax_trees.items()
        for what, _ in dangers(tree)
    }
    assert found == {
        ("compiler/numpy_code.py", "exec"), ("compiler/numpy_code.py", "compile"),
        ("training/data.py", "np.load"),  # with allow_pickle=False, or the keyword would be here too
        ("cli/graph.py", "subprocess.run"),  # Graphviz's dot, for a picture that was asked for
        ("compiler/c_compiler.py", "subprocess.Popen"),  # a C compiler, for native code that was asked for
        ("testing/cuda_on_cpu.py", "subprocess.run"),  # g++, for CUDA C on the CPU
        ("studio/process.py", "subprocess.Popen"),  # Python itself, here and below
        ("sweeps/processes.py", "subprocess.Popen"),
        ("profiling/doctor.py", "subprocess.run"),
        ("profiling/cold.py", "subprocess.run"),
    }  # fmt: skip


@pytest.mark.rows("source", [
    "import pickle", "from pickle import loads", "from yaml import load", "eval(x)", "run = exec",
    "map(eval, xs)", "np.load(f, allow_pickle=flag)", "joblib.load(f)", "subprocess.run(x, shell=True)",
    "os.system(x)",
])  # fmt: skip
def test_the_search_can_find(source):
    assert list(dangers(ast.parse(source)))


def test_the_one_np_load_allows_no_pickle():
    (call,) = (
        node
        for node in ast.walk(ast.parse((PACKAGE / "training" / "data.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load"
    )
    assert {k.arg: ast.literal_eval(k.value) for k in call.keywords}["allow_pickle"] is False


# ── the table of bounds
def bounds():
    """(what, value, code spans of the place) of each row."""
    table = TEXT.partition("## Bounds")[2]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and re.fullmatch(r"\d+", cells[1]):
            yield cells[0], int(cells[1]), re.findall(r"`([^`]+)`", cells[2])


def named(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def value_of(spans):
    """The value in the code of the bound that a row's place names."""
    if len(spans) == 1:
        return named(spans[0])
    what, where = spans
    if where.endswith(".py"):  # a number in an expression, or the value of one
        source = (ROOT / where).read_text(encoding="utf-8")
        assert what in source, f"{what} is not in {where}"
        numbers = what.replace("MAX_RUNS", str(named("minigan.sweeps.sweep.MAX_RUNS")))
        factors = re.findall(r"(\d+)\*\*(\d+)|(\d+)", numbers)
        product = 1
        for base, power, plain in factors:
            product *= int(plain) if plain else int(base) ** int(power)
        return product
    found = named(where)
    if where.endswith("config.fields"):
        return int(re.search(r"at most (\d+)", found()[what].rule)[1])
    return inspect.signature(found).parameters[what].default


ROWS = list(bounds())


@pytest.mark.rows(("what", "value", "spans"), ROWS)
def test_a_bound_is_the_one_in_the_code(what, value, spans):
    assert value_of(spans) == value


def test_every_bound_of_the_code_is_in_the_table(syntax_trees):
    """Each upper-case name with MAX in it, at the top of a module of the package."""
    constants = set()
    for path, tree in syntax_trees.items():
        module = ".".join(("minigan", *path.relative_to(PACKAGE).with_suffix("").parts))
        for node in tree.body:
            for target in node.targets if isinstance(node, ast.Assign) else ():
                if isinstance(target, ast.Name) and re.fullmatch(r"_?MAX_[A-Z]+", target.id):
                    constants.add(f"{module}.{target.id}")
    assert len(constants) > 8
    assert constants <= {spans[0] for _, _, spans in ROWS}


def test_every_file_that_is_named_exists():
    for path in re.findall(r"`((?:minigan|tests)/[\w/.]+\.py)`", TEXT):
        assert (ROOT / path).is_file(), path


# ── what a run does: sockets, processes, files, compiled code
WATCH = """
import ast, json, os, sys
report, commands = sys.argv[1], json.loads(sys.argv[2])
seen = {"network": [], "programs": [], "written": [], "plans": [], "heavy": []}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PATHS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate")

def text(path):
    return os.path.abspath(os.fsdecode(path))

def hook(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__" or event.startswith(("urllib.", "http.")):
        seen["network"].append(event)
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"):
        seen["programs"].append(os.path.basename(str(arguments[0])) if arguments else event)
    elif event == "open" and not isinstance(arguments[0], int):
        flags, mode = arguments[2] or 0, arguments[1] or ""
        if flags & WRITING or set(mode) & set("wax+"):
            seen["written"].append(text(arguments[0]))
    elif event in PATHS and not isinstance(arguments[0], int):
        seen["written"] += [text(a) for a in arguments[:2] if isinstance(a, (str, bytes))]
    elif event == "compile" and arguments[1] == "<plan>":
        seen["plans"].append(arguments[0] if isinstance(arguments[0], str) else bytes(arguments[0]).decode())

sys.addaudithook(hook)
import minigan
from minigan import cli
if os.environ.get("FIGURES") != "1":
    from minigan.errors import UnavailableError
    def none(*_):
        raise UnavailableError("not drawn here")
    from minigan.front import figures
    figures.save_overview = figures.save_sweep = none
NEEDLESS = ("matplotlib.pyplot", "scipy.stats", "tkinter")
codes = [cli.main(arguments) for arguments in commands]
seen["heavy"] = [name for name in NEEDLESS if name in sys.modules]
print(json.dumps(seen), file=open(report, "w"))
sys.exit(any(codes))
"""


def watched(place, *commands, **environ):
    """What command lines did, in a process whose home, working and temporary directory is each empty."""
    folders = {name: place / name for name in ("home", "cwd", "tmp")}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    report = place / "report.json"
    foreign = ("MINIGAN_", "MPL", "XDG_", "COV", "DISPLAY", "WAYLAND")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCH, report, json.dumps([[str(a) for a in c] for c in commands])],
        cwd=folders["cwd"], capture_output=True, text=True, timeout=240, check=False,
        env=inherited | {"HOME": str(folders["home"]), "TMPDIR": str(folders["tmp"]), "PYTHONPATH": str(ROOT),
                         "CI": "1", **environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    left = [str(path) for folder in folders.values() for path in folder.rglob("*")]
    seen = json.loads(report.read_text())
    seen["written"] = [path for path in seen["written"] if path not in (str(report), os.devnull)]
    return seen, left


def outside(seen, *allowed):
    """What was written elsewhere than in the allowed places."""
    return [p for p in seen["written"] if not any(Path(p).is_relative_to(place) for place in allowed)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, what making it did, and what it left elsewhere."""
    place = tmp_path_factory.mktemp("watched")
    seen, left = watched(place, ("train", *TINY, "--out", place / "runs"))
    (run,) = (place / "runs").iterdir()
    return run, seen, left


def test_training_opens_no_socket_and_starts_no_program(trained):
    _, seen, _ = trained
    assert seen["network"] == [] and seen["programs"] == []


def test_training_writes_in_the_run_directory_alone(trained):
    run, seen, left = trained
    assert len(seen["written"]) > 20 and left == []
    assert set(outside(seen, run)) <= {
        str(run.parent)
    }  # the directory of all runs is made where it is missing


def test_sample_and_eval_write_what_was_asked_for_alone(trained, tmp_path):
    run, _, _ = trained
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    output = tmp_path / "out" / "new.csv"
    output.parent.mkdir()
    seen, left = watched(tmp_path, ("sample", run, "-n", 5, "-o", output), ("eval", run))
    assert outside(seen, output.parent) == [] and left == [] and output.is_file()
    assert seen["network"] == [] and seen["programs"] == []
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


def test_a_figure_needs_no_display_and_writes_nothing_but_matplotlibs_own_cache(tmp_path):
    pytest.importorskip("matplotlib")
    cache = tmp_path / "cache"
    cache.mkdir()
    seen, left = watched(
        tmp_path, ("train", *TINY, "--out", tmp_path / "runs"), FIGURES="1", MPLCONFIGDIR=str(cache)
    )
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "plots" / "overview.png").is_file()
    assert set(outside(seen, run, cache)) <= {str(run.parent)} and left == []
    assert seen["network"] == [] and set(seen["programs"]) <= {"fc-list"} and seen["heavy"] == []


@POSIX
def test_permissions_of_a_sweep_are_those_that_the_umask_leaves(tmp_path):
    from minigan.sweeps.sweep import create, read_sweep

    (tmp_path / "s.toml").write_text('vary = {seed = "0:2"}')
    before = os.umask(0o027)
    try:
        path = create(tmp_path / "sweeps", read_sweep(tmp_path / "s.toml"))
    finally:
        os.umask(before)
    modes = {found.name: oct(stat.S_IMODE(found.stat().st_mode)) for found in (path, *path.rglob("*"))}
    assert modes == {path.name: "0o750", "runs": "0o750", "sweep.json": "0o640"}


# ── the one exec
ALLOWED = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.For, ast.Return, ast.Assign, ast.Expr,
    ast.Call, ast.keyword, ast.Name, ast.Load, ast.Store, ast.Tuple, ast.Subscript, ast.Constant,
    ast.BinOp, ast.UnaryOp, ast.USub, ast.Add, ast.Sub, ast.Mult, ast.Div,
)  # fmt: skip
OWN = re.compile(r"(a|x|s|kernel|segment)\d+|bind|run|batches|reduce|_")


def strange(source):
    """What of a plan's source is more than calls, names, subscripts, arithmetic and integers."""
    import numpy as np

    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ALLOWED):
            yield type(node).__name__
        elif isinstance(node, ast.Constant) and not (
            node.value in (None, True, False, Ellipsis) or type(node.value) is int
        ):
            yield repr(node.value)
        elif isinstance(node, ast.Name) and not OWN.fullmatch(node.id):
            if not isinstance(getattr(np, node.id, None), np.ufunc) and node.id not in ("dot", "reduce"):
                yield node.id


def test_what_is_executed_is_names_and_calls_alone(trained):
    _, seen, _ = trained
    assert seen["plans"] and sum(source.count("\n") for source in seen["plans"]) > 50
    assert [found for source in seen["plans"] for found in strange(source)] == []


@pytest.mark.rows(
    "line", ["a0.b", "__import__('os')", "a1[...] = 'x'", "import os", "open(a0)", "[a for a in a0]"]
)
def test_a_strange_line_is_found(line):
    assert list(strange(f"def bind(a0):\n    def run(batches):\n        {line}\n    return run\n"))
