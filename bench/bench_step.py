"""What the engine costs: a primitive over bare NumPy, a round of the game, eager and replayed, replicas.

    python -m pytest bench/bench_step.py --benchmark-min-rounds=30 [--benchmark-json=FILE]

The control is a matrix product by NumPy alone: if it moves between two runs, the machine did, not the code.
"""

import numpy as np
import pytest

import minigan as mg
from minigan.engine.primitives import tanh

SIZES = [(64, 16), (128, 32), (256, 64), (512, 128)]  # batch, width


def make_round(batch, width, replicas=None):
    """A game and the inputs of one of its rounds."""
    rng = np.random.default_rng(0)
    rngs = rng if replicas is None else [np.random.default_rng(k) for k in range(replicas)]
    networks = [mg.mlp((1, width, width, 1), rngs=rngs, activation="tanh") for _ in range(2)]
    game = mg.Game(*networks, *(mg.Adam(network.parameters, 1e-3, 0.5, 0.999) for network in networks))
    shape = (1, batch, 1) if replicas is None else (1, replicas, batch, 1)
    return game, [mg.constant(rng.standard_normal(shape, dtype="float32")) for _ in range(3)]


@pytest.mark.benchmark(group="control")
def test_control(benchmark):
    a = np.random.default_rng(0).standard_normal((256, 256), dtype="float32")
    benchmark(np.matmul, a, a, out=np.empty_like(a))


@pytest.mark.benchmark(group="door: tanh of 64 x 16")
@pytest.mark.parametrize("how", ["NumPy", "engine, constant", "engine, variable"])
def test_door(benchmark, how):
    a = np.random.default_rng(0).standard_normal((64, 16), dtype="float32")
    if how == "NumPy":
        benchmark(np.tanh, a)
    else:
        benchmark(tanh, mg.constant(a) if how == "engine, constant" else mg.variable(a))


@pytest.mark.parametrize("how", ["eager", "replay"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"B{size[0]}-H{size[1]}")
def test_round(benchmark, size, how):
    benchmark.group = f"round, batch {size[0]}, width {size[1]}"
    game, inputs = make_round(*size)
    benchmark(game.round if how == "eager" else mg.capture(game.round, *inputs, state=game.state), *inputs)


@pytest.mark.benchmark(group="replicas, batch 64, width 16, replay; divide by R")
@pytest.mark.parametrize("replicas", [1, 4, 16, 64])
def test_replicas(benchmark, replicas):
    game, inputs = make_round(64, 16, replicas)
    benchmark.extra_info["replicas"] = replicas
    benchmark(mg.capture(game.round, *inputs, state=game.state), *inputs)
