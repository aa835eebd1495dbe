"""Whole rounds, planned and eager: every method, optimiser, activation and shape agrees to rounding.

Three rounds with all passes equal eager ones to 1e-9 of the largest entry, a few with every prefix of the
passes; a replica of a planned game is the planned single game bit for bit.
"""

import numpy as np
import pytest

from minigan.backend import numpy_backend
from minigan.compiler.capture import capture
from minigan.compiler.passes import replica_groups, row_blocks
from minigan.compiler.planner import PASSES
from minigan.engine.tensor import Tensor
from minigan.gan.game import Game
from minigan.gan.objectives import OBJECTIVES
from minigan.gan.orders import Batch
from minigan.gan.penalties import PENALTIES, R1, R2
from minigan.nn.layers import ACTIVATIONS
from minigan.nn.network import mlp
from minigan.nn.optim import OPTIMIZERS
from minigan.nn.schedules import Average

NAMES = ("real", "latent_d", "latent_g", "factor", "weight", "mix", "noise_x", "noise_d", "noise_g")
ROUNDS, TOLERANCE, BOTH = 3, 1e-9, (R1(0.5), R2(0.25))


def game_of(
    sizes=((2, 6, 6, 1), (6, 6, 1)),
    activation=("tanh", "tanh"),
    optimizer="adam",
    replicas=0,
    row=None,
    packing=1,
    dtype="float64",
    **options,
):
    """sizes: all of G, then those of D without its inputs. row: the single game of that replica."""
    features = sizes[0][-1] * packing
    rngs = [[np.random.default_rng((k, r)) for r in range(replicas or 1)] for k in (1, 2)]
    rngs = rngs if replicas else [rng[0] for rng in rngs]
    rngs = rngs if row is None else [rng[row] for rng in rngs]
    G, D = (
        mlp(widths, rngs=rng, activation=name, dtype=dtype)
        for widths, rng, name in zip((sizes[0], (features, *sizes[1])), rngs, activation, strict=True)
    )
    moves = [OPTIMIZERS[optimizer](network.parameters, 0.01) for network in (G, D)]
    return Game(G, D, *moves, **{"penalties": BOTH, "average": Average(G.parameters)} | options)


def batches(game, rows=8, replicas=0, noisy=False, row=None, rounds=ROUNDS):
    """What each round takes, by name; with noise or, as most games are played, without."""
    G, front, dtype = game.generator, (replicas,) if replicas else (), game.generator.parameters.flat.dtype
    k_d, k_g = game.discriminator_steps, game.generator_steps
    for k in range(rounds):
        rng = np.random.default_rng((3, k))
        real = 1.0 + 0.5 * rng.standard_normal((k_d, *front, rows, G.outputs))
        latent_d, latent_g = (rng.standard_normal((n, *front, rows, G.inputs)) for n in (k_d, k_g))
        mix = rng.random((k_d, *front, rows // game.packing, 1))
        noise = [0.1 * rng.standard_normal((n, *front, rows, G.outputs)) for n in (k_d, k_d, k_g)]
        arrays = [real, latent_d, latent_g, np.array([1.0 - 0.1 * k]), np.array([1.0 / (k + 1)]), mix]
        arrays = [a.astype(dtype) for a in (*arrays, *noise[: 3 * noisy])]
        if row is not None:
            arrays = [np.ascontiguousarray(a[:, row]) if a.ndim > 1 else a for a in arrays]
        yield dict(zip(NAMES, arrays, strict=False))


def play_round(game, named):
    """A round on inputs by name; factor and weight are no part of the batch."""
    rates = {name: named[name] for name in ("factor", "weight")}
    return game.round(Batch(**{name: a for name, a in named.items() if name not in rates}), **rates)


def play(game, inputs, passes=None, threads=1, program=None):
    """What every round leaves behind, as {name: array}, eager where there are no passes; and the program."""
    left = []
    for named in inputs:
        tensors = [Tensor(numpy_backend.array(a)) for a in named.values()]

        def step(*xs, names=tuple(named)):
            return play_round(game, dict(zip(names, xs, strict=True)))

        if passes is None:
            losses = step(*tensors)
        elif program is None:
            program = capture(step, *tensors, state=game.state, passes=passes, threads=threads)
            losses = program.outputs
        else:
            losses = program(*tensors)
        everything = game.state | {"loss of D": losses.discriminator, "loss of G": losses.generator}
        left.append({name: tensor.numpy() for name, tensor in everything.items()})
    return left, program


def assert_agree(planned, eager):
    for k, (ours, its) in enumerate(zip(planned, eager, strict=True)):
        for name in its:
            assert np.isfinite(its[name]).all(), (k, name)
            scale = max(1e-3, np.abs(its[name]).max())
            np.testing.assert_allclose(
                ours[name], its[name], rtol=0, atol=TOLERANCE * scale, err_msg=f"round {k}: {name}"
            )


def check(passes=PASSES, threads=1, rows=8, noisy=False, **options):
    """Planned rounds beside eager ones; the program."""
    packing, replicas = options.get("packing", 1), options.get("replicas", 0)
    games = [game_of(**options) for _ in range(2)]
    assert games[0].packing == packing
    inputs = list(batches(games[0], rows, replicas, noisy))
    planned, program = play(games[0], inputs, passes, threads)
    assert program.plan is not None
    assert_agree(planned, play(games[1], inputs)[0])
    return program


@pytest.mark.methods("replicas", (0, 2))
def test_every_method(method, replicas):
    """Single games with noise, replicas without, in turn; all of both are in blocks and groups below."""
    check(noisy=not replicas, replicas=replicas, sizes=((2, 6, 1), (6, 6, 1)), **method)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective(objective):
    check(objective=objective, rows=12)


@pytest.mark.rows("name", PENALTIES)
def test_every_penalty(name):
    check(penalties=[PENALTIES[name](0.5)])


@pytest.mark.rows("optimizer", OPTIMIZERS)
@pytest.mark.rows("replicas", [0, 2])
def test_every_optimiser(optimizer, replicas):
    check(optimizer=optimizer, replicas=replicas)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name):
    check(activation=("silu", name))
    check(activation=(name, "leaky_relu"), rows=6, order="simultaneous")


@pytest.mark.parametrize(("latent", "features"), [(1, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("hidden", [(), (5,), (5, 5), (6, 4), (5, 5, 5), (4, 6, 6), (1, 1)], ids=str)
def test_every_shape(latent, features, hidden):
    """Both players so, or D alone and in replicas, in turn."""
    if (latent + len(hidden)) % 2:
        check(sizes=((latent, *hidden, features), (*hidden, 1)), packing=features, rows=6)
    else:
        options = {"replicas": 2, "activation": ("silu", "leaky_relu")}
        check(sizes=((latent, 4, features), (*hidden, 1)), rows=6, **options)


@pytest.mark.rows("rows", [1, 2, 3, 7])
def test_every_size_of_a_batch(rows):
    check(rows=rows)
    check(rows=rows, replicas=2, activation=("silu", "elu"))


@pytest.mark.parametrize(
    ("method", "length"),
    [(("WGAN-GP", "extragradient")[length % 2], length) for length in range(len(PASSES))],
    indirect=["method"],
)
def test_every_prefix_of_the_passes(method, length):
    check(passes=PASSES[:length], **method)


@pytest.fixture
def small_blocks(monkeypatch):
    """Every batch counts as large, so that the work on rows is cut in blocks wherever it can be."""
    for name, value in {"CACHE": 0, "SHARED": 0, "ROWS": 4}.items():
        monkeypatch.setattr(row_blocks, name, value)


def test_blocks_of_rows(method, small_blocks):
    check(rows=16, sizes=((2, 6, 1), (6, 6, 1)), **method)


@pytest.mark.parametrize(
    "method", ["alternating", "packs of 2", "extragradient", "all at once", "unrolled with zero-GP"],
    indirect=True,
)  # fmt: skip
def test_blocks_of_rows_on_two_threads(method, small_blocks):
    linear = {"sizes": ((1, 4, 1), (1,)), "activation": ("silu", "leaky_relu")}
    check(rows=16, threads=2, **linear, **method)


def test_blocks_are_cut_where_they_can_be(small_blocks):
    program = check(rows=16, penalties=())
    assert any(node.op == "segment" for node in program.plan.graph.nodes)


def test_a_replica_in_a_group_is_the_single_game_bit_for_bit(method, monkeypatch):
    """Groups of one or two replicas on two threads; replicas all at once are in test_game.py."""
    monkeypatch.setattr(replica_groups, "CACHE", 64)
    options = {"replicas": 3, "dtype": "float32", "sizes": ((2, 6, 1), (6, 1)), **method}
    options["activation"] = "silu", "leaky_relu"
    game = game_of(**options)
    together, program = play(game, batches(game, replicas=3, rounds=2), PASSES, threads=2)
    assert len(program.plan.groups) > 1
    single, one = game_of(row=0, **options), None
    for r in range(3):  # the single game is captured once, and begins at the start of each
        for name, tensor in game_of(row=r, **options).state.items():
            single.state[name].memory[...] = tensor.numpy()
        alone, one = play(single, batches(single, replicas=3, row=r, rounds=2), PASSES, program=one)
        for ours, its in zip(together, alone, strict=True):
            for name in its:
                np.testing.assert_array_equal(ours[name][r], its[name], err_msg=f"replica {r}: {name}")
