"""CONTRIBUTING.md: the additions that it shows are executed, and do what the text says."""

import importlib
import importlib.util
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import click.testing
import numpy as np
import pytest
from scipy import stats

from minigan.backend import numpy_backend
from minigan.engine.autodiff import grad
from minigan.engine.tensor import Tensor, constant, variable
from minigan.testing.gradcheck import check_grads

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```python\n# ([\w/.]+\.py)(?:, in (\w+))?\n(.*?)```", re.DOTALL)
BLOCKS = {(path, table): code for path, table, code in BLOCK.findall(TEXT)}


def module(path):
    if not (ROOT / path).exists():  # a block that is a whole new file
        return types.ModuleType(path)
    if path.startswith("minigan/"):
        return importlib.import_module(path.removesuffix(".py").replace("/", "."))
    spec = importlib.util.spec_from_file_location(Path(path).stem + "_of_contributing", ROOT / path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def added(path, table="", brackets="{}", also=None):
    """The names of a module with what a block adds to it; of a table's block the row or rows alone.

    The module itself stays as it is; ``also`` are names of another block that the rows use.
    """
    names = {**vars(module(path)), **(also or {})}
    if (path, "") in BLOCKS:
        exec(BLOCKS[path, ""], names)
    if not table:
        return names
    assert table in names, f"{path} has no {table}"
    return eval(brackets[0] + BLOCKS[path, table] + brackets[1], names)


def test_all_blocks_are_executed_here():
    assert len(BLOCKS) == TEXT.count("```python") == len(set(BLOCKS))
    assert {path for path, _ in BLOCKS} == {
        "minigan/engine/primitives.py", "minigan/testing/cases.py", "minigan/gan/objectives.py",
        "minigan/gan/penalties.py", "minigan/nn/optim.py",
        "minigan/probability/distributions.py", "minigan/probability/families.py",
        "minigan/training/presets.py", "minigan/cli/moments.py",
        "tests/engine/test_primitives.py", "tests/gan/test_objectives.py",
        "tests/gan/test_penalties.py",
    }  # fmt: skip


def test_nothing_of_it_is_there_already():
    """Or the text would show how to add what is known."""
    for (path, table), code in BLOCKS.items():
        if table:
            (name,) = re.findall(r'^(?:Objective\()?"(\w+)"', code, re.MULTILINE)
            assert name not in getattr(module(path), table), (path, table)
        else:
            found = re.search(r"^(?:(?:class|def) (\w+)|(\w+) +=)", code, re.MULTILINE)
            name = found[1] or found[2]
            assert not hasattr(module(path), name), (path, name)


# ── each addition
def test_the_primitive():
    log1p = added("minigan/engine/primitives.py")["log1p"]
    (case,) = added("minigan/testing/cases.py", "CASES").values()
    for seed in range(3):
        for xs in case.inputs(np.random.default_rng(seed)):
            np.testing.assert_array_equal(log1p(*map(constant, xs)).numpy(), np.log1p(*xs))
            check_grads(log1p, *xs, order=2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_its_special_values(dtype):
    path = "tests/engine/test_primitives.py"
    log1p, tiny = added("minigan/engine/primitives.py")["log1p"], np.finfo(dtype).smallest_subnormal
    x = variable(np.array([0.0, 1e3, -1e3, tiny, np.inf, -np.inf, np.nan], dtype))
    with np.errstate(all="ignore"):
        y = log1p(x)
        (slope,) = grad(y, [x])
    rows = {"VALUES": y, "SLOPES": slope}
    for table, found in rows.items():
        (row,) = added(path, table).values()
        np.testing.assert_allclose(found.numpy(), row(tiny), rtol=1e-6)


def test_the_objective():
    (o,) = added("minigan/gan/objectives.py", "OBJECTIVES", "()")
    p, q = np.exp(np.random.default_rng(0).uniform(-5.0, 2.0, (2, 100, 1)))
    a = variable(o.optimum(p, q))
    loss = constant(p) * o.real(a) + constant(q) * o.fake(a)
    np.testing.assert_allclose(grad(loss, [a])[0].numpy(), 0.0, atol=1e-13)
    np.testing.assert_allclose(loss.numpy(), o.value(p, q), rtol=1e-12)
    np.testing.assert_allclose(o.probability(o.optimum(p, q)), p / (p + q), rtol=1e-9)


def test_its_rows():
    (o,) = added("minigan/gan/objectives.py", "OBJECTIVES", "()")
    path = "tests/gan/test_objectives.py"
    divergence, edges, highest = (added(path, table) for table in ("DIVERGENCES", "EDGES", "HIGHEST"))
    assert divergence.keys() == edges.keys() == highest.keys() == {o.name}
    real, fake = stats.norm(0.0, 1.0), stats.norm(0.5, 1.2)
    x = np.linspace(-18.0, 18.0, 20_001)
    integral = np.trapezoid(o.value(real.pdf(x), fake.pdf(x), x), x)
    assert integral == pytest.approx(divergence[o.name](real, fake), abs=1e-9)
    p, q = np.array([2.0, 0.0, 0.0, 1.0]), np.array([0.0, 3.0, 0.0, 1.0])
    np.testing.assert_array_equal(o.optimum(p, q), edges[o.name][0])
    np.testing.assert_allclose(o.value(p, q), edges[o.name][1], atol=1e-15)


def test_the_distribution(monkeypatch):
    path = "minigan/probability/distributions.py"
    names = added(path)
    families = "minigan/probability/families.py"
    rows = added(families, "FAMILIES", also=names)
    distributions, text_form = module(path), module("minigan/probability/text_form.py")
    for name, family in rows.items():
        monkeypatch.setitem(module(families).FAMILIES, name, family)
    made, exact = text_form.parse("gumbel(1, 0.5)"), stats.gumbel_r(1.0, 0.5)
    assert isinstance(made, distributions.Distribution) and text_form.parse(str(made)) == made
    assert str(made) == str(names["Gumbel"](1, 0.5))
    u = np.array([1e-9, 0.01, 0.5, 0.99])
    x = exact.ppf(u)
    np.testing.assert_allclose(made.log_density(x), exact.logpdf(x), rtol=1e-10)
    np.testing.assert_allclose(made.cdf(x), u, rtol=1e-9)
    np.testing.assert_allclose(made.quantile(u), x, rtol=1e-7)
    assert (made.mean, made.sd) == pytest.approx((exact.mean(), exact.std()))
    assert made.entropy() == pytest.approx(float(exact.entropy())) == distributions.entropy_quadrature(made)
    assert stats.kstest(made.sample(np.random.default_rng(0), 10_000), exact.cdf).pvalue > 1e-6


def test_the_optimiser():
    from minigan.nn.parameters import Parameters

    path = "minigan/nn/optim.py"
    (cls,) = added(path, "OPTIMIZERS").values()
    rng = np.random.default_rng(1)
    parameters = Parameters({"W": (2, 3)}, numpy_backend, "float64")
    start, gradients = rng.standard_normal(6), rng.standard_normal((10, 6))
    parameters.update(Tensor(start.copy()))
    optimizer = cls(parameters, 0.03)
    θ, v = start, 0.0
    for g in gradients:
        optimizer.step([Tensor(view) for view in parameters.views_of(g)])
        v = v + g**2
        θ = θ - 0.03 * g / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(parameters.flat.numpy(), θ, rtol=1e-12)
    assert "v" in optimizer.state


def test_the_penalty():
    from minigan.gan.penalties import Penalty

    path = "minigan/gan/penalties.py"
    ((name, row),) = added(path, "PENALTIES").items()
    (value,) = added("tests/gan/test_penalties.py", "VALUES").values()
    a = np.random.default_rng(2).standard_normal((3, 8, 1))
    found = row(0.5)(constant(a), None)
    assert issubclass(row, Penalty) and row.name == name and found.shape == (3, 1, 1)
    np.testing.assert_allclose(found.numpy(), 0.5 * value(None, a), rtol=1e-12)


ADDING = """
import json, sys
from minigan.gan import penalties
from minigan.nn import optim

tables = (optim, "OPTIMIZERS"), (penalties, "PENALTIES")
for (module, table), (code, row) in zip(tables, json.load(sys.stdin)):
    exec(code, vars(module))
    getattr(module, table).update(eval("{" + row + "}", vars(module)))

from minigan.training.experiment import Experiment
from minigan.training.settings import resolve

optimiser = "generator_optimizer.name=adagrad", "generator_optimizer.epsilon=0.1"
experiment = Experiment(resolve(sets=("steps=3", "batch=8", "drift=0.5", *optimiser), environ={}))
experiment.advance(3)
assert [penalty.name for penalty in experiment.game.penalties] == ["r1", "r2", "drift"]
assert experiment.game.generator_optimizer.epsilon == 0.1 and "generator_optimizer.v" in experiment.arrays()
"""


def test_a_row_is_a_setting():
    """In a process of its own, where a class and a row of each table are all that was added."""
    rows = (("minigan/nn/optim.py", "OPTIMIZERS"), ("minigan/gan/penalties.py", "PENALTIES"))
    blocks = json.dumps([(BLOCKS[path, ""], BLOCKS[path, table]) for path, table in rows])
    run = subprocess.run(
        [sys.executable, "-c", ADDING], input=blocks, cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_the_preset(monkeypatch):
    from minigan.training.settings import resolve

    presets = module("minigan/training/presets.py")
    rows = added("minigan/training/presets.py", "PRESETS")
    for name, value in rows.items():
        monkeypatch.setitem(presets.PRESETS, name, value)
        config = resolve(preset=name, environ={})
        assert config.name == name and config.target == "triangular(-1, 0, 1)"


def test_the_command():
    command = added("minigan/cli/moments.py")["moments"]
    run = click.testing.CliRunner().invoke(command, ["normal(4, 1.25)"])
    assert (run.exit_code, run.output) == (0, "mean 4, sd 1.25\n")
    run = click.testing.CliRunner().invoke(command, ["normal(4, 1.25)", "--json"])
    assert run.exit_code == 0 and '"mean":4.0,"sd":1.25' in run.output


# ── what else the text names
def test_the_tests_and_files_that_it_names_exist():
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for name in re.findall(r"`(test_\w+)`", TEXT):
        assert f"def {name}(" in written, name
    for path in re.findall(r"`((?:minigan|tests|bench)/[\w/.]+)`", TEXT):
        assert (ROOT / path).exists() or "NAME" in path, path


def test_the_tables_that_it_names_exist():
    assert isinstance(module("tests/test_architecture.py").ENGINE_BUDGET, int)
    objectives = module("tests/gan/test_objectives.py")
    assert objectives.EXPONENTIAL <= objectives.EDGES.keys()


def test_the_table_of_rooms_is_the_package_and_points_downwards():
    floors = module("tests/test_architecture.py").FLOORS
    rows = re.findall(r"^\| (`[a-z_]+(?:/|\.py)`(?:, `\w+\.py`)*) \|", TEXT, re.MULTILINE)
    rooms = [room for row in rows for room in re.findall(r"`([a-z_]+)", row)]
    assert set(rooms) == floors.keys() - {"_version"} and len(rooms) == len(set(rooms))
    place = {room: k for k, room in enumerate([*rooms, "_version"])}
    for room, lower in floors.items():
        assert all(place[room] < place[other] for other in lower), room
