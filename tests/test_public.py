"""The public names: what `import minigan as mg` offers, and that every `__all__` is true."""

import ast
import importlib
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import minigan
from minigan import probability
from minigan.engine import primitives as P

PACKAGE = Path(minigan.__file__).parent
ROOMS = [  # whose every module has an __all__
    "engine",
    "nn",
    "gan",
    "gan",
]
MODULES = [
    path for room in ROOMS for path in sorted((PACKAGE / room).glob("*.py")) if path.name != "__init__.py"
]


def named(path, tree=None):
    """(what a module calls public, what it defines without an underscore), read off its source."""
    tree = tree or ast.parse(path.read_text(encoding="utf-8"))
    defined, public = set(), None
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            for name in ast.walk(target) if target is not None else ():
                if isinstance(name, ast.Name):
                    defined.add(name.id)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            public = ast.literal_eval(node.value)
    return public, {name for name in defined if not name.startswith("_")}


@pytest.mark.rows("path", MODULES)
def test_what_a_module_calls_public_is_what_it_defines(path):
    public, defined = named(path)
    assert public is not None, "no __all__"
    assert len(public) == len(set(public)) and set(public) == defined


def test_every_name_of_an_all_is_there(syntax_trees):
    for path, tree in syntax_trees.items():
        public, _ = named(path, tree)
        if public:
            name = ".".join(("minigan", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
                ".__init__"
            )
            if name == "minigan.sklearn" and not find_spec("sklearn"):
                continue
            module = importlib.import_module(name)
            missing = [name for name in public if not hasattr(module, name)]
            if path.name == "__init__.py":  # of a room, its modules
                missing = [name for name in missing if not any(path.parent.glob(f"{name}*"))]
            assert not missing, path


def test_a_star_import_brings_all_and_nothing_else():
    names = {}
    exec("from minigan import *", names)
    assert set(names) - {"__builtins__"} == set(minigan.__all__)
    assert set(minigan.__all__) <= set(dir(minigan))


def test_the_primitives_are_there_under_their_names():
    for name, primitive in P.PRIMITIVES.items():
        if name not in ("getitem", "embed", "sum"):  # x[…], its derivative, and sum(x), which takes any axis
            assert getattr(minigan, name) is primitive
    assert (minigan.sum, minigan.mean, minigan.silu) == (P.sum, P.mean, P.silu)


def test_probability_comes_with_its_first_use():
    code = (
        "import sys, minigan as mg; import minigan.training.settings; "  # which reads text alone
        "assert not {'minigan.probability', 'minigan.training.experiment'} & set(sys.modules); "
        "print(mg.kl_normal(0, 1, 1, 1), mg.Normal(0, 1))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split()[0] == "0.5"
    assert minigan.entropy is probability.entropy and minigan.parse is probability.parse


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'minigan' has no attribute 'Sigmoid'"):
        minigan.Sigmoid  # noqa: B018


# ── types
SCRIPT = """
import numpy as np

import minigan as mg

x = mg.variable([[1.0, 2.0, 3.0]])
y = (2 * mg.exp(-x) @ x.T - abs(x).mean()) ** 2
(slope,) = mg.grad(y, [x])
print(slope.numpy(), len(x), x.shape[0] + 1, y < 3.0)

rng = np.random.default_rng(0)
G, D = mg.mlp((2, 32, 1), rngs=rng), mg.mlp((1, 32, 1), rngs=rng)
optimizers = mg.Adam(G.parameters, 1e-3), mg.Adam(D.parameters, 1e-3)
game = mg.Game(G, D, *optimizers, penalties=(mg.R1(0.5),), average=mg.Average(G.parameters))
real = mg.constant(mg.Normal(4.0, 0.5).sample(rng, (1, 64, 1)), dtype="float32")
latent = mg.constant(rng.standard_normal((1, 64, 2)), dtype="float32")
batch = mg.Batch(real, latent, latent)
with mg.detect_anomaly():
    game.round(batch)
try:
    step = mg.capture(game.round, batch, state=game.state)
    print(step(batch).generator.item(), step, len(step))
except (mg.CaptureError, mg.MiniganError) as error:
    print(error)
print(mg.kl_normal(4.0, 0.5, 0.0, 1.0), mg.entropy([0.5, 0.5]))


def on_evaluation(row: dict[str, float]) -> str | None:
    return "stop" if row["step"] > 1 else None


run = mg.fit("normal(4, 1.25)", seed=1, steps=3, batch=4, eval_samples=100, on_evaluation=on_evaluation)
run = run.resume(4, progress=False)
made, told = run.sample(10, seed=1), mg.eval([[1.0], [2.0], [4.0]], mg.Normal(2, 1)).indistinguishable
print(run, run.verdict.pvalue < 0.5, told, run.names[0], run.config.steps, run.settings["batch"])
print(made.shape, run.score(made), run.density(made), run.cdf(4.0), run.discriminator(made).mean())
print(run.metrics["ks"][-1], *run.metrics, [finding.name for finding in run.findings], run.path)
try:
    mg.load("absent", at="best")
except mg.MiniganError as error:
    stopped: mg.Run = error.run
mg.check_grads(mg.tanh, np.ones((2, 1)))
"""
WRONG = """
import minigan as mg

x = mg.variable(1.0)
mg.Sigmoid
x.backprop()
x + "1"
mg.mlp((1, 1), seed=0)
mg.fit(seed="one")
mg.fit().sample(4).verdict
reveal_type(2 * mg.exp(x).T[0] - x)
"""


def test_a_users_script_has_types(tmp_path):
    """As mypy --strict reads it, which finds the package as an installed one, by its py.typed."""
    readme = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
    scripts = {
        "script": SCRIPT,
        "wrong": WRONG,
        "readme": "\n".join(re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)),
    }
    for name, source in scripts.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache"]
    command += [f"{name}.py" for name in scripts]
    where = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(PACKAGE.parent)}}
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, **where).stdout
    elsewhere = [line for line in said.splitlines()[:-1] if not line.startswith("wrong.py")]
    assert [line for line in elsewhere if ": note: " not in line] == [], said
    for words in (
        'Module has no attribute "Sigmoid"',
        '"Tensor" has no attribute "backprop"',
        'incompatible type "str"',
        'Unexpected keyword argument "seed"',
        'Argument "seed" to "fit" has incompatible type "str"',
        'has no attribute "verdict"',
        'Revealed type is "minigan.engine.tensor.Tensor"',
    ):
        assert words in said
    exec(compile(SCRIPT, "<script>", "exec"), {})


@pytest.mark.rows("room", ROOMS)
def test_a_room_names_its_modules(room):
    public, _ = named(PACKAGE / room / "__init__.py")
    files = {
        path.stem for path in (PACKAGE / room).iterdir() if path.suffix == ".py" or any(path.glob("*.py"))
    }
    assert set(public) == files - {"__init__"}
