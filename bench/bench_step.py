"""What the engine costs: a primitive over bare NumPy; a round, planned more and more; replicas; threads.

    python -m pytest bench/bench_step.py [--benchmark-json=FILE]
    python -m pytest bench/bench_step.py -k "round and 64x16"

A timing of a game is of a block of steps, without their draws and through program.each where there is a
program; divide it by the steps and replicas that its group names. extra_info has both, and ``microseconds``,
the median per step of one game. BLAS has one thread, so that a second one is the program's own. The control
is a matrix product by NumPy alone: if it moves between two runs, the machine did, not the code.
"""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import minigan as mg
from minigan.compiler.planner import EXACT, PASSES
from minigan.engine.primitives import add, matmul, tanh

STEPS = {(64, 16): 64, (128, 32): 32, (256, 64): 16, (512, 128): 4, (2048, 256): 1}  # of a block
SIZES = list(STEPS)  # batch, width
STEPS_OF_REPLICAS = 16  # enough for groups to stay in the cache while they take turns
LARGE = 2**27  # batch × width² of a block from which few rounds do
HOW = {"as recorded": (), "exact passes": EXACT, "all passes": PASSES}
REPLICAS = [(64, 16, R) for R in (1, 4, 16, 64, 256, 1024)] + [(128, 32, R) for R in (1, 4, 16, 64)]
THREADED = [(256, 64, None), (512, 128, None), (2048, 256, None), (64, 16, 256), (128, 32, 64)]
PRIMITIVES = {"tanh": (np.tanh, tanh), "add": (np.add, add), "matmul": (np.matmul, matmul)}


def name(value):
    """64x16, or 64x16-R4, of a size."""
    if not isinstance(value, tuple):
        return None
    batch, width, *replicas = value
    return f"{batch}x{width}" + (f"-R{replicas[0]}" if any(replicas) else "")


@pytest.fixture(autouse=True, scope="module")
def one_thread_of_blas():
    with threadpool_limits(1, user_api="blas"):
        yield


def make_game(batch, width, replicas=None):
    """A game and the inputs of a block of its rounds.    Shapes:  x, z_d, z_g (steps, 1[, R], B, 1)"""
    rng = np.random.default_rng(0)
    rngs = rng if replicas is None else [np.random.default_rng(k) for k in range(replicas)]
    networks = [mg.mlp((1, width, width, 1), rngs=rngs, activation="tanh") for _ in range(2)]
    game = mg.Game(*networks, *(mg.Adam(network.parameters, 1e-3, 0.5, 0.999) for network in networks))
    lead = (STEPS[batch, width],) if replicas is None else (STEPS_OF_REPLICAS, replicas)
    shape = (lead[0], 1, *lead[1:], batch, 1)
    return game, [rng.standard_normal(shape, dtype="float32") for _ in range(3)]


def eager(game, blocks):
    """A function that runs a block of rounds by Python."""

    def run():
        for batches in zip(*blocks, strict=True):
            game.round(mg.Batch(*map(mg.constant, batches)))

    return run


def captured(game, blocks, passes=PASSES, threads=1):
    """A function that replays a block of rounds."""
    first = mg.Batch(*(block[0] for block in blocks))
    program = mg.capture(game.round, first, state=game.state, passes=passes, threads=threads)
    return lambda: program.each(mg.Batch(*blocks))


def time_block(benchmark, what, run, batch, width, steps, replicas=None):
    """Time run(), which takes so many steps of so many games."""
    per = f"{steps} steps" + (" of R replicas" if replicas else "")
    benchmark.group = f"{what}, batch {batch}, width {width}: {per}"
    benchmark.extra_info.update(batch=batch, width=width, steps=steps, replicas=replicas or 1)
    if batch * width**2 * steps * (replicas or 1) >= LARGE:
        benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    else:
        benchmark(run)
    if benchmark.stats is not None:  # it is under --benchmark-disable
        seconds = benchmark.stats.stats.median / (steps * (replicas or 1))
        benchmark.extra_info["microseconds"] = 1e6 * seconds


@pytest.mark.benchmark(group="control")
def test_control(benchmark):
    a = np.random.default_rng(0).standard_normal((256, 256), dtype="float32")
    benchmark(np.matmul, a, a, out=np.empty_like(a))


@pytest.mark.parametrize("how", ["NumPy", "engine, constant", "engine, variable"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_dispatch(benchmark, primitive, how):
    benchmark.group = f"dispatch: {primitive}, batch 64, width 16"
    rng, (function, engine) = np.random.default_rng(0), PRIMITIVES[primitive]
    shapes = {"tanh": [(64, 16)], "add": [(64, 16)] * 2, "matmul": [(64, 16), (16, 16)]}[primitive]
    arrays = [rng.standard_normal(shape, dtype="float32") for shape in shapes]
    if how == "NumPy":
        benchmark(function, *arrays)
    else:
        benchmark(engine, *map(mg.constant if how == "engine, constant" else mg.variable, arrays))


@pytest.mark.parametrize("how", ["eager", *HOW])
@pytest.mark.parametrize("size", SIZES, ids=name)
def test_round(benchmark, size, how):
    game, blocks = make_game(*size)
    run = eager(game, blocks) if how == "eager" else captured(game, blocks, HOW[how])
    time_block(benchmark, "round", run, *size, len(blocks[0]))


@pytest.mark.parametrize("size", REPLICAS, ids=name)
def test_replicas(benchmark, size):
    batch, width, replicas = size
    game, blocks = make_game(*size)
    run = captured(game, blocks)
    time_block(benchmark, "replicas", run, batch, width, len(blocks[0]), replicas)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", THREADED, ids=name)
def test_threads(benchmark, size, threads):
    batch, width, replicas = size
    game, blocks = make_game(*size)
    benchmark.extra_info["threads"] = threads
    run = captured(game, blocks, threads=threads)
    time_block(benchmark, "threads", run, batch, width, len(blocks[0]), replicas)
