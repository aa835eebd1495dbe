"""Example 01: the derivatives by hand are the engine's, to 1e-12 of the largest, and its training works."""

import ast
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from minigan.engine.autodiff import grad
from minigan.engine.tensor import Tensor, constant, variable
from minigan.gan.game import Game
from minigan.nn.network import mlp
from minigan.nn.optim import SGD, Adam

PATH = Path(__file__).parents[2] / "examples" / "05_backprop_by_hand.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("backprop_by_hand", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def problem(example, hidden, batch, size):
    """G, D and data; size: a factor on the weights, for bent networks and large logits."""
    rng = np.random.default_rng(hidden)
    G, D = (
        [size * a + 0.1 * rng.standard_normal(a.shape) for a in example.initial(rng, hidden)]
        for _ in range(2)
    )
    return G, D, rng.normal(4.0, 1.25, (batch, 1)), rng.standard_normal((batch, 1))


def game_of(backend, G, D, objective):
    networks = []
    for θ in (G, D):
        network = mlp(
            (1, θ[0].shape[1], θ[2].shape[1], 1),
            rngs=np.random.default_rng(0),
            backend=backend,
            dtype="float64",
        )
        network.parameters.load(dict(zip(network.parameters.shapes, θ, strict=True)))
        networks.append(network)
    return Game(*networks, *(SGD(network.parameters, 0.1) for network in networks), objective=objective)


def assert_equal(by_hand, gradients):
    largest = max(np.abs(g.numpy()).max() for g in gradients)
    for ours, its in zip(by_hand, gradients, strict=True):
        assert ours.shape == its.shape
        np.testing.assert_allclose(ours, its.numpy(), rtol=0.0, atol=1e-12 * largest)


PROBLEMS = pytest.mark.parametrize(
    ("hidden", "batch", "size"), [(16, 128, 1.0), (1, 1, 1.0), (5, 7, 2.0), (8, 32, 6.0)]
)


@PROBLEMS
def test_the_discriminators_gradients_are_the_engines(example, backend, hidden, batch, size):
    G, D, real, z = problem(example, hidden, batch, size)
    fake, _ = example.forward(G, z)
    loss, by_hand = example.discriminator_gradients(D, real, fake)
    game = game_of(backend, G, D, "non_saturating")
    theirs = game.discriminator_loss(
        Tensor(backend.array(real)), constant(game.generator(Tensor(backend.array(z))))
    )
    assert loss == pytest.approx(theirs.item(), rel=1e-12)
    assert_equal(by_hand, grad(theirs, game.discriminator.parameters))


@PROBLEMS
@pytest.mark.parametrize("minimax", [False, True])
def test_the_generators_gradients_are_the_engines(example, backend, hidden, batch, size, minimax):
    G, D, _, z = problem(example, hidden, batch, size)
    loss, by_hand = example.generator_gradients(G, D, z, minimax)
    game = game_of(backend, G, D, "minimax" if minimax else "non_saturating")
    theirs = game.generator_loss(Tensor(backend.array(z)))
    assert loss == pytest.approx(theirs.item(), rel=1e-12)
    assert_equal(by_hand, grad(theirs, game.generator.parameters))


def test_forward_and_the_derivative_in_x(example, backend):
    _, D, real, _ = problem(example, 16, 32, 2.0)
    game = game_of(backend, D, D, "minimax")
    x = variable(backend.array(real))
    logits = game.discriminator(x)
    a, cache = example.forward(D, real)
    np.testing.assert_allclose(a, logits.numpy(), rtol=1e-13, atol=1e-14)
    _, slope = example.backward(D, cache, np.ones_like(a))
    assert_equal([slope], grad(logits, [x]))


def test_its_adam_is_the_engines(example):
    rng = np.random.default_rng(3)
    θ = example.initial(rng, 4)
    network = mlp((1, 4, 4, 1), rngs=rng, dtype="float64")
    network.parameters.load({name: a.copy() for name, a in zip(network.parameters.shapes, θ, strict=True)})
    optimizer, memory = Adam(network.parameters, 0.01, beta1=0.0, beta2=0.99), {}
    for _ in range(10):
        gradients = [rng.standard_normal(a.shape) for a in θ]
        example.adam(θ, gradients, memory, 0.01)
        optimizer.step([Tensor(g) for g in gradients])
    for ours, its in zip(θ, network.parameters.arrays().values(), strict=True):
        np.testing.assert_allclose(ours, its, rtol=1e-12, atol=1e-14)


def test_nothing_of_minigan_is_imported():
    roots = set()
    for node in ast.walk(ast.parse(PATH.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "minigan").split(".")[0])  # a relative import would be ours
    assert roots == {"argparse", "numpy", "matplotlib"}


def test_a_short_run_prints_and_draws(example, capsys, tmp_path):
    picture = tmp_path / "figure.png"
    example.main(["--steps", "40", "--figure", str(picture)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9 and "ln 4 = 1.386" in lines[0] and lines[-1].startswith("10 000 generated: mean ")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_it_learns_the_gaussian(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generated = example.main(["--steps", "1500", "--no-figure"])
    assert abs(generated.mean() - 4.0) < 0.5 and abs(generated.std() - 1.25) < 0.5
    assert not list(tmp_path.iterdir())
