"""The work that is timed: one mathematics everywhere, and the operations that it says it has."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import backend as backends
from minigan.engine.tensor import CaptureError
from minigan.profiling import benchmark, work
from minigan.profiling.results import Size
from minigan.profiling.work import KINDS, Task, Variant

ROOT = Path(__file__).parents[2]

TINY = Size(8, 4)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Timings of no length, of small yardsticks: what is measured here is measured by nobody."""
    monkeypatch.setattr(benchmark, "QUICK_SECONDS", 1e-4)
    monkeypatch.setattr(benchmark, "CEILING", {"numpy": (16, 64), "cupy": (16, 64)})
    monkeypatch.setattr(benchmark, "TRANSFERS", (64, 256))
    monkeypatch.setattr(work, "SAMPLES", 32)  # few steps in a block
    monkeypatch.setattr(benchmark, "WARM", {"numpy": 0.0, "cupy": 0.0})
    monkeypatch.setattr(benchmark, "starts", lambda backend, runs: [])


def test_the_game_is_the_one_of_the_peers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    reference = importlib.import_module("bench.peers.ours").reference
    game, _ = work.make_game(backends.numpy_backend, TINY, "float64")
    weights = {
        "G": game.generator.parameters.flat.numpy(),
        "D": game.discriminator.parameters.flat.numpy(),
    }
    draws = work.batches(TINY, 5).astype("float64")
    expected, gradients = reference(weights, *draws[:, :, 0])
    for batch in zip(*draws, strict=True):
        game.round(mg.Batch(*map(mg.constant, batch)))
    np.testing.assert_allclose(game.generator.parameters.flat.numpy(), expected["G"], rtol=1e-12)
    np.testing.assert_allclose(game.discriminator_optimizer.state["g"].numpy(), gradients["D"], rtol=1e-9)


def test_the_data_are_those_of_the_peers():
    x, z_d, z_g = work.batches(Size(4096, 1), 8)
    assert abs(x.mean() - 4) < 0.05 and abs(x.std() - 1.25) < 0.05
    assert all(abs(z.mean()) < 0.05 and abs(z.std() - 1) < 0.05 for z in (z_d, z_g))


@pytest.mark.rows(("home", "execution"), [
    ("numpy", "planned"), ("numpy", "recorded"), ("strict", "eager"), ("strict", "recorded"),
])  # fmt: skip
def test_every_execution_has_the_losses_of_numpy(home, execution):
    """From the same weights on the same draws, also after it was timed; bench/test_gpu has the others."""
    size = Size(8, 4, 3)
    expected = np.array(work.make_step(backends.numpy_backend, Variant(execution="eager"), size).losses(9))
    task = work.make_step(backends.get(home), Variant(home, execution), size)
    task.call()
    for steps, alike in ((9, True), (9, True), (8, False)):
        assert bool(np.max(np.abs(np.array(task.losses(steps)) - expected)) < 1e-5) is alike


@pytest.mark.rows(("what", "where", "how"), [
    ("gemm", "numpy", "call"), ("gemm", "strict", "call"), ("elementwise", "numpy", "call"),
    ("elementwise", "strict", "call"), ("layer", "numpy", "planned"), ("layer", "strict", "eager"),
    ("layer", "strict", "recorded"), ("layer", "strict", "launches"),
])  # fmt: skip
def test_the_other_kinds_compute_what_they_say(what, where, how):
    (B, H, _), home, rng = TINY, backends.get(where), np.random.default_rng(0)
    task = KINDS[what].make(home, Variant(where, how), TINY)
    shapes = {"gemm": [(B, H), (H, H)], "elementwise": [(B, H), (1, H)], "layer": [(B, H), (H, H), (1, H)]}
    x, *rest = (rng.standard_normal(shape).astype("float32") for shape in shapes[what])
    found = task.call()
    if what == "layer":
        W, b = rest
        slope = (1 - np.tanh(x @ W + b) ** 2) / (B * H)
        expected = slope @ W.T, x.T @ slope, slope.sum(0, keepdims=True)
        found = [home.to_host(g.array) for g in found]
    else:
        expected = [x @ rest[0] if what == "gemm" else np.tanh(x + rest[0])]
        found = [home.to_host(found)]
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-7)


@pytest.fixture
def simulated(monkeypatch):
    """The simulated where a GPU would be, so that the GPU's half runs; the figures mean nothing."""
    strict = backends.get("strict")
    monkeypatch.setattr(type(strict), "name", "cupy")
    monkeypatch.setattr(benchmark, "choose_backends", lambda name: ([backends.numpy_backend, strict], []))
    return strict


def test_products_in_tf32_are_switched_on_only_while_they_run(simulated, monkeypatch):
    monkeypatch.setattr(type(simulated), "tf32", False, raising=False)
    seen = []
    kind = replace(KINDS["gemm"], make=lambda home, *_: Task(home, lambda: seen.append(home.tf32)))
    for tf32 in (True, False):
        work.make(simulated, kind, Variant("cupy", tf32=tf32), TINY).call()
    assert seen == [True, False] and simulated.tf32 is False
    with pytest.raises(backends.BackendError, match="TF32"):
        work.make(backends.numpy_backend, kind, Variant(tf32=True), TINY)


def test_what_a_backend_cannot_do_is_left_out_with_a_reason():
    with pytest.raises(CaptureError, match="'block'"):
        work.make_step(backends.numpy_backend, Variant(execution="block"), TINY)


def test_a_step_at_the_bars_size_has_its_operations():
    """3.37 and 25 900 MFLOP: what the predictions divide by."""
    assert work.flops_of_step(Size(128, 32)) == 3_366_912
    assert work.flops_of_step(Size(4096, 512)) == pytest.approx(25.9e9, rel=0.01)
