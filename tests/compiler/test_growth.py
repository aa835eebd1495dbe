"""Long loops with the garbage collector off: a step leaves no object, array, mark or file behind."""

import gc
import os
import sys
import tracemalloc
import weakref
from collections import Counter

import numpy as np
import pytest

from minigan.backend import numpy_backend, writes
from minigan.backend.writes import mark_written
from minigan.compiler.capture import capture
from minigan.engine import primitives as P
from minigan.engine.anomaly import AnomalyError, detect_anomaly
from minigan.engine.autodiff import StaleTensorError, assign, grad
from minigan.engine.tensor import Call, Tensor, constant, variable
from minigan.gan.game import Game
from minigan.gan.orders import Batch
from minigan.gan.penalties import R1, R2
from minigan.nn.network import mlp
from minigan.nn.optim import SGD, Adam
from minigan.nn.schedules import Average

BLOCKS = 60  # of any Python object: what the interpreter and NumPy keep wavers a little, not with the steps


@pytest.fixture(autouse=True)
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def tiny_game(backend, **options):
    rng = np.random.default_rng(0)
    G, D = (mlp((1, 3, 1), rngs=rng, backend=backend) for _ in range(2))
    moves = Adam(G.parameters, 0.001), SGD(D.parameters, 0.001)
    game = Game(G, D, *moves, average=Average(G.parameters), **options)
    batch = (constant(backend.array(rng.standard_normal((1, 4, 1)).astype("float32"))) for _ in range(3))
    return game, Batch(*batch)


def alive():
    """How many calls, tensors and marks of writes are alive."""
    kinds = Counter(type(o) for o in gc.get_objects())
    return kinds[Call], kinds[Tensor], len(writes._written)


def contents():
    """How many blocks of memory NumPy holds for the elements of arrays, of those that were traced."""
    of_numpy = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([of_numpy]).statistics("filename")
    return sum(s.count for s in traces)


def assert_steady(step, steps):
    """Nothing is left after so many steps that was not there after a few."""
    for _ in range(20):
        step()
    gc.collect()  # what imports and a capture left
    before, objects = alive(), sys.getallocatedblocks()
    for _ in range(steps - 40):
        step()
    assert gc.collect() == 0  # no cycles; also empties the lists of what the interpreter would use again
    assert sys.getallocatedblocks() - objects < BLOCKS
    tracemalloc.start()  # slows each step, so only the last ones
    try:
        step()
        held = contents()
        for _ in range(19):
            step()
        assert contents() == held
    finally:
        tracemalloc.stop()
    assert alive() == before


def test_eager_rounds():
    game, batch = tiny_game(numpy_backend, objective="minimax")
    assert_steady(lambda: game.round(batch), 1_000)


def test_rounds_of_second_order():
    game, batch = tiny_game(numpy_backend, penalties=(R1(0.5), R2(0.5)))
    assert_steady(lambda: game.round(batch), 500)


def test_rounds_of_third_order():
    """A gradient of a gradient penalty that keeps its own history: cycles would show here first."""
    x = variable(np.linspace(-1.0, 1.0, 6)[:, None])
    D = mlp((1, 3, 1), rngs=np.random.default_rng(0), dtype="float64")

    def step():
        (slope,) = grad(D(x), [x], create_graph=True)
        (curvature,) = grad(slope, [x], create_graph=True)
        return grad(P.mean(P.square(curvature)), D.parameters, unreached="zeros")

    assert_steady(step, 1_000)


def test_rounds_on_the_strict_device():
    from minigan import backend as backends

    game, batch = tiny_game(backends.get("strict"), penalties=[R1(0.5)])
    assert_steady(lambda: game.round(batch), 300)


def test_rounds_under_detection():
    """Each step in a context of its own, and a long one: the lines live as long as the calls."""
    game, batch = tiny_game(numpy_backend, penalties=[R1(0.5)])

    def step():
        with detect_anomaly():
            game.round(batch)

    assert_steady(step, 200)
    with detect_anomaly():
        assert_steady(lambda: game.round(batch), 200)


def test_replays():
    game, batch = tiny_game(numpy_backend, penalties=[R1(0.5)])
    program = capture(game.round, batch, state=game.state)
    assert_steady(lambda: program(batch), 5_000)


def test_steps_that_fail():
    """Each exception holds its frames until it is handled, and no longer."""
    zero, one = variable(np.zeros(3)), variable(np.ones(3))

    def step():
        with pytest.raises(AnomalyError), detect_anomaly():
            grad(P.sqrt(zero * 1.0), [zero])
        with pytest.raises(StaleTensorError):
            y = one * one
            assign(one, constant(np.ones(3)))
            grad(y, [one])
        with pytest.raises(ValueError):
            one @ one

    for _ in range(20):
        step()
    gc.collect()  # of tracebacks, which are cycles, the collector frees what is left
    before, objects = alive(), sys.getallocatedblocks()
    for _ in range(500):
        step()
    gc.collect()
    assert alive() == before and sys.getallocatedblocks() - objects < BLOCKS


# ── the marks of what was written
def test_marks_die_with_their_memory(backend):
    """Targets that live in turn at ever new addresses: as many marks as memories that are alive."""
    before = len(writes._written)
    for _ in range(5):
        held = [variable(backend.array(np.zeros(3))) for _ in range(2_000)]
        for x in held:
            assign(x, x * 1.0)
            mark_written(x.memory)
        assert len(writes._written) == before + 2_000
        del x
        held = (
            [object() for _ in range(50_000)],
            held.clear(),
        )  # takes the addresses, so that the next are new
        assert len(writes._written) == before


def test_a_mark_lives_as_long_as_any_view_of_its_memory(backend):
    before, whole = len(writes._written), backend.array(np.ones(4))
    part, death = variable(Tensor(whole[1:])), weakref.ref(whole)
    y = part * part
    assign(Tensor(whole), constant(backend.array(np.zeros(4))))
    del whole
    assert death() is not None and len(writes._written) == before + 1
    with pytest.raises(StaleTensorError):
        grad(y, [part])
    del part, y
    assert death() is None and len(writes._written) == before


def test_marks_of_programs_die_with_them(backend):
    def use():
        x, w = variable(backend.array([1.0])), variable(backend.array([2.0]))

        def step(x):
            assign(w, w * x)
            return w * 1.0

        program = capture(step, x, state={"w": w})
        return [program(x).item() for _ in range(3)]

    assert use() == [4.0 / 2, 2.0, 2.0]
    gc.collect()
    before = len(writes._written)
    for _ in range(30):
        use()
    gc.collect()
    assert len(writes._written) == before


# ── depth, and files
def test_a_chain_of_20_000_calls_of_every_shape_of_graph(backend):
    """A line, a ladder and a fan; forwards, backwards and freed without recursion."""
    x = variable(backend.array([1.0]))
    y = z = x
    for _ in range(10_000):
        y, z = y + 1.0, y * 0.0 + z
    assert grad(y + z, [x])[0].item() == 2.0
    wide = x
    for _ in range(1_000):
        wide = wide + x * 0.001
    (slope,) = grad(wide, [x], create_graph=True)
    assert slope.item() == pytest.approx(2.0)
    del y, z, wide, slope
    assert gc.collect() == 0


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no list of open files")
def test_no_file_stays_open():
    game, batch = tiny_game(numpy_backend, penalties=[R1(0.5)])

    def files():
        return len(os.listdir("/proc/self/fd"))  # of other tests some may be closed meanwhile

    game.round(batch)
    before = files()
    for _ in range(20):
        capture(game.round, batch, state=game.state, threads=2)(batch)
        with detect_anomaly():
            game.round(batch)
    assert files() <= before
