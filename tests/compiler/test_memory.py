"""Where the values of a plan live: never two in one place at one time, and nothing is allocated in a replay.

The first is checked by a rule of its own, on the addresses that each line reads and writes and on the order
of the lines; it knows nothing of how the places were chosen.
"""

import sys
import tracemalloc

import numpy as np
import pytest

from minigan import backend as backends
from minigan.compiler.capture import capture
from minigan.compiler.graph import VIEWS, Node, is_ufunc
from minigan.compiler.memory import Memory, view_of
from minigan.compiler.passes.products import bias
from minigan.compiler.passes.simplify import columns, fold
from minigan.compiler.planner import EXACT, PASSES, Plan
from minigan.engine import primitives as P
from minigan.engine.autodiff import assign
from minigan.engine.tensor import Tensor, constant
from minigan.gan.game import Game
from minigan.gan.orders import Batch, Consensus
from minigan.gan.penalties import R1, R2
from minigan.nn.network import mlp
from minigan.nn.optim import OPTIMIZERS
from minigan.nn.schedules import Average

CONTAINERS = {"pack", "stack", "ones"}


def normal(seed, *shape):
    return constant(np.random.default_rng(seed).standard_normal(shape))


def addresses(array):
    """The first byte of every element."""
    offsets = np.zeros(array.shape, "int64")
    for axis, (n, stride) in enumerate(zip(array.shape, array.strides, strict=True)):
        offsets += (np.arange(n) * stride).reshape((-1,) + (1,) * (array.ndim - 1 - axis))
    return np.unique(array.__array_interface__["data"][0] + offsets)


def meet(a, b):
    """Whether two sorted lists of addresses have one in common."""
    return a[0] <= b[-1] and b[0] <= a[-1] and np.isin(a, b, assume_unique=True).any()


def clobbered(memory):
    """(earlier, later, when) of all values that are overwritten while somebody still reads them.

    A value is written when it is computed, or where it is copied to; it is read by the nodes that use it, or
    a view of it, or what it is a part of. A line may write over what it reads only entry by entry.
    """
    at = {node: k for k, node in enumerate(memory.nodes)}
    where = {node: addresses(array) for node, array in memory.arrays.items() if array.size}

    def read(node):
        for user in memory.users[node]:
            inside = user.op in CONTAINERS and np.isin(where[node], where[user]).all()
            if user.op in VIEWS or inside:
                yield from read(user)
            yield at[user]

    writes = []  # (position, addresses, value, whether it goes entry by entry)
    for node in memory.nodes:
        for source, target in memory.copies.get(node, ()):
            writes.append((at[node], addresses(target), source if node.op == "store" else node, False))
        if node.op == "ones":
            writes.append((-1, addresses(memory.arrays[node][..., -1:]), node, False))  # once and for all
        computes = node.op not in VIEWS | CONTAINERS | {"load", "constant", "store"}
        if computes and node in where and node not in memory.copies and node not in memory.scalars:
            array = memory.arrays[node]
            seen = [memory.arrays[x] for x in node.inputs if isinstance(x, Node)]
            seen = [a for a in seen if a.size > 1 and meet(addresses(a), where[node])]
            even = is_ufunc(node.op) and all(_is(a, array) for a in seen)
            writes.append((at[node], where[node], node, even))
    found = []
    for node in where:
        if node.op in VIEWS | {"constant"} or node in memory.scalars:
            continue
        born, last = -1 if node.op == "load" else at[node], max(read(node), default=at[node])
        for when, target, value, even in writes:
            if value is node or not born < when <= last or (when == last and even):
                continue
            if not meet(target, where[node]):
                continue
            if not _holds(value, node) and not (node.op == "load" and _is_new_content(memory, node, when)):
                found.append((node, value, when))
    return found


def _is(a, b):
    """Whether two arrays are one view of one memory."""
    return (a.ctypes.data, a.shape, a.strides) == (b.ctypes.data, b.shape, b.strides)


def _holds(container, node):
    """Whether the node is in the container, or in one in it: what is written there is beside it."""
    inputs = container.inputs if container.op in CONTAINERS else ()
    return any(x is node or _holds(x, node) for x in inputs)


def _is_new_content(memory, load, when):
    """Whether what is written is what the load is to see, not what it is to see no more."""
    return any(when <= memory.at[s] for s in memory.graph.overlapping(load.array) if s.time <= load.time)


def game_of(optimizer="adam", activation=("silu", "leaky_relu"), replicas=(), sizes=(6, 6), **options):
    rng = np.random.default_rng(3)
    rngs = [np.random.default_rng(r) for r in range(replicas[0])] if replicas else rng
    G = mlp((2, *sizes, 2), rngs=rngs, dtype="float64", activation=activation[0])
    D = mlp((2 * options.pop("packing", 1), *sizes, 1), rngs=rngs, dtype="float64", activation=activation[1])
    moves = [OPTIMIZERS[optimizer](net.parameters, 0.01) for net in (G, D)]
    return Game(G, D, *moves, average=Average(G.parameters), **{"penalties": (R1(0.5), R2(0.5))} | options)


def batches(game, k, replicas=(), rows=8):
    rng = np.random.default_rng((4, k))
    sizes = (game.discriminator_steps, game.discriminator_steps, game.generator_steps)
    arrays = [rng.standard_normal((n, *replicas, rows, 2)) for n in sizes]
    factor, weight = (constant(np.array([a])) for a in (1.0, 1.0 / (k + 1)))
    return Batch(*map(constant, arrays)), factor, weight


GAMES = {
    "default": {}, "replicas": {"replicas": (3,)}, "other widths": {"sizes": (5, 7)}, "linear": {"sizes": ()},
    "one layer": {"sizes": (4,)}, "tanh": {"activation": ("tanh", "silu")}, "SGD": {"optimizer": "sgd"},
    "optimistic": {"optimizer": "optimistic_adam", "order": "simultaneous"}, "packs": {"packing": 2},
    "several steps": {"discriminator_steps": 2, "generator_steps": 2}, "unrolled": {"unrolled": 2},
    "extragradient": {"order": "extragradient"}, "consensus": {"order": Consensus(0.3)},
    "clip": {"objective": "wasserstein", "clip": 0.1, "optimizer": "rmsprop"},
}  # fmt: skip


def captured(options, **how):
    game, replicas = game_of(**options), options.get("replicas", ())
    return game, capture(game.round, *batches(game, 0, replicas), state=game.state, **how)


# ── nothing is overwritten too early
@pytest.mark.parametrize(("name", "turn"), [(name, k % 3) for k, name in enumerate(GAMES)])
def test_values_that_live_at_the_same_time_share_no_byte(name, turn):
    _, program = captured(GAMES[name])
    assert clobbered(program.plan.memory) == []
    fewer = ((), EXACT, (fold, columns, bias))[turn]
    assert clobbered(Plan(program, fewer).memory) == []


def test_the_check_finds_a_buffer_that_is_taken_too_early(monkeypatch):
    """Whatever fits is taken at once, also while it is needed."""
    take = Memory._take

    def greedy(self, nbytes, key, now, end):
        for buffer in self.buffers:
            buffer.end = min(buffer.end, now - 1)
        return take(self, nbytes, key, now, end)

    monkeypatch.setattr(Memory, "_take", greedy)
    _, program = captured({})
    assert clobbered(program.plan.memory)


def test_the_check_finds_a_value_computed_where_old_content_is_needed(monkeypatch):
    monkeypatch.setattr(Memory, "_may_be_computed_in", lambda self, store: store.inputs[0] not in self.home)
    w = normal(0, 4)

    def step(x):
        new = w + x
        y = P.tanh(w * 3.0)
        assign(w, new)
        return y

    program = capture(step, normal(1, 4), state=[w], passes=())
    assert clobbered(program.plan.memory)


def test_an_elementwise_step_overwrites_what_nobody_reads_again():
    program = capture(lambda x: P.exp(P.tanh(P.square(x) + 1.0)) * 1.5, normal(0, 50), passes=())
    assert len(program.plan.memory.buffers) <= 1 and len(program.plan) == 5


def test_a_value_that_is_read_again_is_kept():
    def step(x):
        h = P.square(x)
        return P.exp(-h) + h

    program = capture(step, normal(0, 50), passes=())
    for k in range(3):
        x = normal(k, 50)
        np.testing.assert_array_equal(program(x).numpy(), step(x).numpy())


def test_a_matrix_product_is_not_computed_over_its_input():
    """Also not where the shapes allow it."""
    w = normal(0, 4, 4)
    program = capture(lambda x: P.tanh(P.tanh(x) @ w) @ w, normal(1, 4, 4), state=[w])
    assert clobbered(program.plan.memory) == []
    x = normal(2, 4, 4)
    expected = np.tanh(np.tanh(x.array) @ w.array) @ w.array
    np.testing.assert_allclose(program(x).numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize(
    "view", [lambda h: P.mT(h), lambda h: h[::-1], lambda h: P.broadcast_to(h[:1], shape=h.shape)]
)
def test_a_view_of_a_value_keeps_it_from_being_overwritten(view):
    """tanh(h) + h[::-1] over h would read what it wrote."""

    def step(x):
        h = P.square(x)
        return P.tanh(h) + view(h)

    for passes in ((), EXACT, PASSES):
        program = capture(step, normal(0, 5, 5), passes=passes)
        for k in range(3):
            x = normal(k, 5, 5)
            np.testing.assert_array_equal(program(x).numpy(), step(x).numpy())


@pytest.mark.parametrize("name", ["numpy", "strict"])
def test_another_shape_of_an_array_is_a_view_or_refused(name):
    on = backends.get(name)
    array = on.array(np.arange(12.0).reshape(3, 4))
    reshape = Node("reshape", params={"shape": (2, 6)}, shape=(2, 6), dtype=array.dtype)
    assert view_of(reshape, array).shape == (2, 6)
    view_of(reshape, array)[...] = 0.0
    assert not on.to_host(array).any()
    with pytest.raises(ValueError, match="without a copy"):
        view_of(reshape, array.swapaxes(0, 1))


def test_state_that_changes_places():
    """a, b ← b, a: both are read before either is written."""
    a, b = normal(0, 6), normal(1, 6)
    before = a.numpy(), b.numpy()

    def step(x):
        p, q = a * 1.5 + x, b * 0.5 + x
        assign(a, q)
        assign(b, p)
        return p + q

    program = capture(step, constant(np.zeros(6)), state=[a, b])
    np.testing.assert_array_equal(a.numpy(), 0.5 * before[1])
    np.testing.assert_array_equal(b.numpy(), 1.5 * before[0])
    assert clobbered(program.plan.memory) == []


# ── what stays
@pytest.mark.parametrize("replicas", [(), (3,)])
def test_ones_stay_ones(replicas):
    game, program = captured({"replicas": replicas})
    memory = program.plan.memory
    columns_of_ones = [memory.arrays[node][..., -1:] for node in memory.nodes if node.op == "ones"]
    assert columns_of_ones
    for k in range(50):
        program(*batches(game, k, replicas))
        assert all((column == 1.0).all() for column in columns_of_ones)


def test_outputs_without_copies_are_the_same_tensors_with_the_values_of_the_last_replay():
    def step(x, y):
        h = P.tanh(x @ P.mT(y))
        return {"view": P.mT(h), "twice": (h, h), "input": x, "part": h[0], "sum": P.sum_over(h, axis=(0, 1))}

    program = capture(step, normal(0, 4, 3), normal(1, 4, 3))
    first = program.outputs
    for k in range(4):
        x, y = normal((k, 0), 4, 3), normal((k, 1), 4, 3)
        ours, its = program(x, y, copy=False), step(x, y)
        assert ours is first and ours["twice"][0] is first["twice"][0]
        for name in ("view", "input", "part", "sum"):
            np.testing.assert_allclose(ours[name].numpy(), its[name].numpy(), rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(ours["twice"][1].numpy(), its["twice"][1].numpy(), rtol=1e-14)


def test_an_input_that_is_returned_and_fed_back():
    """Its memory may not be taken into a pack: whoever holds the output would read another array."""
    p = mlp((3, 3), rngs=np.random.default_rng(0), dtype="float64")

    def step(x, y):
        return P.tanh(p(x)) + P.tanh(p(y)), x, y * 0.5

    program = capture(step, *(normal(k, 4, 3) for k in range(2)), state=[p.parameters.flat])
    x, y = normal(5, 4, 3), normal(6, 4, 3)
    for _ in range(4):
        expected = [t.numpy() for t in step(x, y)]
        received = program(x, y)
        for ours, its in zip(received, expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), its, rtol=1e-14, atol=1e-15)
        x, y = received[2], received[1]


# ── nothing is allocated
@pytest.fixture
def untraced():
    """Without the tracer of a measurement of coverage, whose own memory would count."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.mark.parametrize("name", ["replicas", "extragradient", "optimistic"])
def test_replays_leave_no_memory_behind(untraced, name):
    """At most Python's own small objects and the buffers of NumPy's loops come and go; no step leaves any."""
    game, program = captured(GAMES[name])
    inputs = batches(game, 1, GAMES[name].get("replicas", ()))
    for _ in range(20):
        program(*inputs)
    rounds = []  # other threads (a parallel suite has one) allocate too: the best round counts
    tracemalloc.start()
    try:
        program(*inputs)
        for _ in range(3):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            for _ in range(200):
                program(*inputs)
            after, peak = tracemalloc.get_traced_memory()
            rounds.append((after - before, peak - before))
    finally:
        tracemalloc.stop()
    assert min(left for left, _ in rounds) < 5000, rounds  # an object per step would be 6400 at least
    assert min(peak for _, peak in rounds) < 10_000, rounds


@pytest.mark.parametrize("passes", [(), PASSES], ids=["none", "all"])
def test_no_value_is_allocated_in_a_replay(passes):
    """Of 800 kB each, while NumPy's loops never buffer more than 64 kB per operand."""
    w = normal(0, 50, 50)

    def step(x):
        h = P.tanh(x @ w)
        assign(w, w - 0.001 * (P.mT(x) @ h))
        return P.sum_over(P.silu(h) * h + P.exp(-h), axis=(0, 1))

    program = capture(step, normal(1, 2000, 50), state=[w], passes=passes)
    x = normal(2, 2000, 50)
    program(x)
    tracemalloc.start()
    try:
        program(x)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(5):
            program(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 400_000, peak - before


def test_buffers_are_few():
    """Far fewer than values: what is dead makes room."""
    _, program = captured({})
    memory = program.plan.memory
    values = [
        node for node in memory.work if node.op not in CONTAINERS | {"store"} and node not in memory.scalars
    ]
    assert len(memory.buffers) < 0.5 * len(values)


def test_an_array_of_no_elements():
    program = capture(lambda x: (x * 2.0, P.sum_over(x, axis=(0,))), constant(np.zeros((0, 3))))
    assert program(Tensor(np.zeros((0, 3))))[1].numpy().tolist() == [[0.0, 0.0, 0.0]]
