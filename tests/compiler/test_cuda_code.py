"""Fused steps: every method, as launches, as a block and as native code, against the eager engine.

The CUDA sources are compiled as C++ and run on the strict device, the C runs on NumPy's arrays.
"""

import shutil

import numpy as np
import pytest

from minigan import backend as backends
from minigan.compiler import block_schedule, cuda_code, executions, expressions, stages
from minigan.compiler.capture import CaptureError, capture
from minigan.compiler.cuda_launches import Launches, fastest
from minigan.engine.autodiff import assign
from minigan.engine.primitives import PRIMITIVES, broadcast_to, embed, mT, reshape, sum_over
from minigan.engine.tensor import Tensor
from minigan.gan.game import Game
from minigan.gan.objectives import OBJECTIVES
from minigan.gan.orders import Batch
from minigan.gan.penalties import R1, R2
from minigan.nn.layers import ACTIVATIONS
from minigan.nn.network import mlp
from minigan.nn.optim import OPTIMIZERS
from minigan.nn.schedules import Average
from minigan.testing import cuda_on_cpu

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
NAMES = ("real", "latent_d", "latent_g", "factor", "weight", "mix", "noise_x", "noise_d", "noise_g")
FUSED = ("launches", "block", "native")
TOLERANCE = {"strict": 1e-11, "cupy": 1e-9}  # a GPU contracts a product and a sum, and has its own exp
BOTH = R1(0.5), R2(0.25)
SHALLOW = (2, 5, 1), (5, 1)  # one hidden layer: half as much to compile


@pytest.fixture(autouse=True)
def small_scale(monkeypatch):
    """Sums of eight terms are long, and taken in uneven parts; compiling would be most of the time."""
    monkeypatch.setattr(stages, "LONG", 5)
    monkeypatch.setattr(stages, "PART", 3)


def home(device, execution):
    """The backend of an execution: of native code NumPy's, of CUDA code a GPU, or what stands in for one."""
    if execution == "native" and shutil.which("g++") is None:
        pytest.skip("needs a C compiler")
    return backends.numpy_backend if execution == "native" else device


def game_of(backend, sizes=((2, 5, 6, 1), (6, 5, 1)), activation="tanh", optimizer="adam", replicas=0,
            row=None, packing=1, dtype="float64", **options):  # fmt: skip
    """A game of networks of the same numbers on any backend; row: that replica's alone."""
    rngs = [[np.random.default_rng((k, r)) for r in range(replicas or 1)] for k in (1, 2)]
    rngs = rngs if replicas else [rng[0] for rng in rngs]
    rngs = rngs if row is None else [rng[row] for rng in rngs]
    widths = sizes[0], (sizes[0][-1] * packing, *sizes[1])
    G, D = (
        mlp(w, rngs=rng, activation=activation, dtype=dtype, backend=backend)
        for w, rng in zip(widths, rngs, strict=True)
    )
    moves = [OPTIMIZERS[optimizer](network.parameters, 0.01) for network in (G, D)]
    return Game(G, D, *moves, **{"penalties": BOTH, "average": Average(G.parameters)} | options)


def numbers(game, K=3, rows=8, replicas=0, noisy=False, row=None):
    """{name: (K, …)}: what K rounds take, on the host."""
    rng, front, G = np.random.default_rng(3), (replicas,) if replicas else (), game.generator
    k_d, k_g = game.discriminator_steps, game.generator_steps
    real = 1.0 + 0.5 * rng.standard_normal((K, k_d, *front, rows, G.outputs))
    latents = (rng.standard_normal((K, n, *front, rows, G.inputs)) for n in (k_d, k_g))
    rates = np.linspace(1.0, 0.5, K)[:, None], 1.0 / np.arange(1.0, K + 1)[:, None]
    mix = rng.random((K, k_d, *front, rows // game.packing, 1))
    noise = [0.1 * rng.standard_normal((K, n, *front, rows, G.outputs)) for n in (k_d, k_d, k_g)]
    arrays = [real, *latents, *rates, mix, *noise[: 3 * noisy]]
    if row is not None:
        arrays = [a[:, :, row] if a.ndim > 3 else a for a in arrays]
    return {name: a.astype(G.parameters.flat.dtype) for name, a in zip(NAMES, arrays, strict=False)}


def everything(game, losses):
    left = game.state | {"loss of D": losses.discriminator, "loss of G": losses.generator}
    return {name: tensor.numpy() for name, tensor in left.items()}


def play_round(game, named):
    """A round on inputs by name; factor and weight are no part of the batch."""
    rates = {name: named[name] for name in ("factor", "weight")}
    return game.round(Batch(**{name: a for name, a in named.items() if name not in rates}), **rates)


def eager(named, **options):
    game = game_of(backends.numpy_backend, **options)
    for k in range(len(named["real"])):
        losses = play_round(game, {name: Tensor(a[k].copy()) for name, a in named.items()})
    return everything(game, losses)


def replayed(named, device, execution, **options):
    """What the same rounds leave behind, the first by capture, the second alone, the others as a block."""
    backend = home(device, execution)
    game, blocks = game_of(backend, **options), [backend.array(a) for a in named.values()]

    def step(*xs):
        return play_round(game, dict(zip(named, xs, strict=True)))

    program = capture(step, *(b[0] for b in blocks), state=game.state, execution=execution)
    program(*(b[1] for b in blocks))
    program.each(*(b[2:] for b in blocks))
    return everything(game, program.outputs), program


def assert_agree(ours, its, tolerance):
    for name in its:
        assert np.isfinite(its[name]).all(), name
        scale = max(1e-3, np.abs(its[name]).max())
        np.testing.assert_allclose(ours[name], its[name], rtol=0, atol=tolerance * scale, err_msg=name)


def check(device, execution, rows=8, replicas=0, noisy=False, **options):
    options |= {"replicas": replicas}
    named = numbers(game_of(backends.numpy_backend, **options), rows=rows, replicas=replicas, noisy=noisy)
    ours, program = replayed(named, device, execution, **options)
    assert program.execution == execution
    assert_agree(ours, eager(named, **options), TOLERANCE[device.name])
    return program


@pytest.mark.methods("execution", ("block", "native"))
def test_every_method_as_a_block(device, method, execution):
    """Either has the same stages and expressions; the next test is about all that methods bring, in both."""
    check(device, execution, replicas=2, sizes=SHALLOW, **method)


@pytest.mark.parametrize(
    ("method", "execution"),
    [("unrolled with zero-GP", "native"), ("extragradient with WGAN-GP", "block"), ("all at once", "block")],
    indirect=["method"],
)
def test_the_largest_methods_as_the_other(device, method, execution):
    check(device, execution, replicas=2, sizes=SHALLOW, **method)


@pytest.mark.parametrize("method", ["alternating", "WGAN-GP", "unrolled", "consensus"], indirect=True)
def test_methods_as_launches(device, method):
    check(device, "launches", noisy=True, sizes=((2, 5, 1), (5, 6, 1)), **method)


CASES = [  # every objective, activation and optimiser once at least, without penalties: less to compile
    (
        objective,
        list(ACTIVATIONS)[k % len(ACTIVATIONS)],
        list(OPTIMIZERS)[k % len(OPTIMIZERS)],
        "launches" if objective == "minimax" else ("block", "native")[(k + k // len(ACTIVATIONS)) % 2],
    )
    for k, objective in enumerate(OBJECTIVES)
]


@pytest.mark.parametrize(("objective", "activation", "optimizer", "execution"), CASES)
def test_every_objective_activation_and_optimiser(device, objective, activation, optimizer, execution):
    """As a block and as native code in turn; elementwise primitives have their values in either, below."""
    options = {"objective": objective, "activation": activation, "optimizer": optimizer}
    check(device, execution, penalties=(), sizes=SHALLOW, **options)


@pytest.mark.parametrize("execution", FUSED)
def test_replicas_one_row_and_one_unit(device, execution):
    check(device, execution, replicas=3, rows=1, sizes=((1, 1, 1), (1, 1)), penalties=BOTH[:1])


@pytest.mark.parametrize("large", [0, 100])
def test_large_products_by_the_library(device, monkeypatch, large):
    """Of activations, of inputs (which lie elsewhere in every step) and into the gradient's own memory."""
    monkeypatch.setattr(Launches, "target", Launches.target._replace(large=large))
    program = check(device, "launches", replicas=2, penalties=BOTH[:1], sizes=((3, 5, 6, 2), (6, 5, 1)))
    products = sum(i.primitive.name == "matmul" for i in program.instructions)
    assert 0 < len(program.plan.stages.large) <= products


@pytest.mark.parametrize("shared", [0, 4096])
def test_what_does_not_fit_in_shared_memory_lies_in_global_memory(device, monkeypatch, shared):
    monkeypatch.setattr(device, "shared_memory", shared)
    program = check(device, "block", replicas=2, penalties=BOTH[:1])
    assert program.plan.length and 8 * program.plan.shared_length <= shared


@pytest.mark.parametrize("execution", ["block", "native"])
def test_a_replica_has_the_bits_it_has_alone(device, execution):
    options = {"dtype": "float32", "penalties": BOTH[:1]}
    named = numbers(game_of(backends.numpy_backend, replicas=3, **options), replicas=3)
    together, _ = replayed(named, device, execution, replicas=3, **options)
    again, _ = replayed(named, device, execution, replicas=3, **options)
    assert all(np.array_equal(together[name], again[name]) for name in together)
    for row in range(3):
        one = {name: a[:, :, row] if a.ndim > 3 else a for name, a in named.items()}
        alone, _ = replayed(one, device, execution, replicas=3, row=row, **options)
        assert all(np.array_equal(together[name][row], alone[name]) for name in alone)


SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    1e3,
    -1e3,
    1e-300,
    -1e-300,
    np.inf,
    -np.inf,
    np.nan,
    3.0,
    20.0,
    -20.0,
]
UNARY = {
    name: p for name, p in PRIMITIVES.items()
    if len(p.vjps) == 1 and not p.view and name not in ("sum", "embed", "power", "leaky_relu")
}  # fmt: skip


def elementwise_step(x, y):
    """Every elementwise primitive, of every pair of special values where it takes two."""
    found = {name: p(x) for name, p in UNARY.items()}
    found |= {
        name: PRIMITIVES[name](x, y)
        for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum")
    }
    found |= {
        "leaky_relu": PRIMITIVES["leaky_relu"](x, slope=0.2),
        "cube": x**3,
        "root": PRIMITIVES["absolute"](x) ** 0.5,
        "one over": 1.0 / x,
    }
    return found


@pytest.mark.parametrize("execution", ["block", "native"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.filterwarnings("ignore:(invalid|divide|overflow|underflow):RuntimeWarning")
def test_every_elementwise_primitive_has_numpys_values_in_cuda(device, dtype, execution):
    x, y = (np.ascontiguousarray(a).astype(dtype) for a in np.meshgrid(SPECIAL, SPECIAL))
    device = home(device, execution)
    with np.errstate(all="ignore"):
        expected = {name: t.numpy() for name, t in elementwise_step(Tensor(x), Tensor(y)).items()}
        program = capture(elementwise_step, device.array(x), device.array(y), execution=execution)
    assert len(expected) >= 23
    for name, values in expected.items():
        ours, bound = program.outputs[name].numpy(), 8 * np.finfo(dtype).eps
        np.testing.assert_allclose(ours, values, rtol=bound, atol=0, err_msg=name)


def test_an_elementwise_primitive_without_cuda_is_recorded_or_refused(device, monkeypatch):
    """It is no silent fall-back: the table is asked before anything is written."""
    monkeypatch.delitem(expressions.EXPRESSION, "tanh")
    x = device.array(np.ones((2, 2)))
    with pytest.raises(CaptureError, match="cannot be block"):
        capture(lambda x: PRIMITIVES["tanh"](x), x, execution="block")


@pytest.mark.parametrize("execution", ["block", "native"])
def test_names_of_states_become_names_of_c(device, execution):
    strict = home(device, execution)
    arrays = [strict.array(np.full((2, 2), float(k))) for k in range(4)]
    state = dict(zip(["0.W", "0 W", "θ); int x(", "T"], arrays, strict=True))

    def step():
        for k, array in enumerate(state.values()):
            assign(Tensor(array), Tensor(array) * 2.0 + float(k))

    program = capture(step, state=state, execution=execution)
    program()
    assert [float(strict.to_host(a)[0, 0]) for a in arrays] == [0.0, 4.0 + 3.0, 8.0 + 6.0, 12.0 + 9.0]
    assert "int x" not in program.plan.source


# ── memory that is read and written in one step
def matrices(*shapes, seed=7):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


IN_PLACE = {
    "A ← A B": lambda A, B: assign(A, A @ B),
    "A ← A B + 1": lambda A, B: assign(A, A @ B + 1.0),
    "A ← B A / 2": lambda A, B: assign(A, (B @ A) * 0.5),
    "A ← A + A B": lambda A, B: assign(A, A + A @ B),
    "A ← sums of A": lambda A, B: assign(A, broadcast_to(sum_over(A * B, axis=(0,)), shape=A.shape)),
    "A ← Aᵀ": lambda A, B: assign(A, mT(A)),
    "A ← A + Aᵀ": lambda A, B: assign(A, A + mT(A)),
    "A ← A upside down": lambda A, B: assign(A, A[::-1]),
    "rows change places": lambda A, B: assign(A[1:], A[:-1]),
    "A, B ← B, A": lambda A, B: (lambda old: (assign(A, B * 1.0), assign(B, old)))(A + 0.0),
}


@pytest.mark.parametrize("execution", FUSED)
@pytest.mark.parametrize("case", IN_PLACE)
def test_a_step_may_overwrite_what_it_reads(device, monkeypatch, execution, case):
    monkeypatch.setattr(stages, "LONG", 100)  # a sum in parts is written after all of it was read

    def run(backend, rounds, **how):
        A, B = (Tensor(backend.array(a)) for a in matrices((6, 6), (6, 6)))

        def step():
            IN_PLACE[case](A, B)

        if how:
            program = capture(step, state=[A, B], **how)
            for _ in range(rounds - 1):
                program()
        else:
            for _ in range(rounds):
                step()
        return A.numpy(), B.numpy()

    ours = run(home(device, execution), 3, execution=execution)
    for a, b in zip(ours, run(backends.numpy_backend, 3), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("execution", FUSED)
@pytest.mark.parametrize("shared", [0, 2**16])
def test_outputs_and_state_may_be_fed_back(device, monkeypatch, execution, shared):
    device = home(device, execution)
    if execution != "native":
        monkeypatch.setattr(device, "shared_memory", shared)
    x, W = matrices((6, 6), (6, 6))
    W = 0.4 * W

    def step_on(weights):
        def step(x):
            y = (x @ weights) * 0.5 + mT(x)
            assign(weights, weights + 0.1 * mT(y))
            return y

        return step

    w, v = Tensor(W.copy()), Tensor(device.array(W))
    y = step_on(w)(Tensor(x))
    program = capture(step_on(v), device.array(x), state=[v], execution=execution)
    z = program.outputs
    for _ in range(3):
        y, z = step_on(w)(Tensor(y.numpy())), program(z)
    y, z = step_on(w)(Tensor(w.numpy())), program(v)
    np.testing.assert_allclose(z.numpy(), y.numpy(), rtol=1e-12)
    np.testing.assert_allclose(v.numpy(), w.numpy(), rtol=1e-12)


@pytest.mark.parametrize("execution", FUSED)
def test_views_of_values_and_numbers_beyond_float32(device, execution):
    x = np.ones((2, 4, 6), "float32")

    def step(x):
        return reshape(PRIMITIVES["tanh"](x)[0], shape=(24,)) * 2.0, x * 1e39, x * -1e39

    with np.errstate(over="ignore"):
        program = capture(step, home(device, execution).array(x), execution=execution)
    y, high, low = (t.numpy() for t in program.outputs)
    np.testing.assert_allclose(y, 2 * np.tanh(np.ones(24)), rtol=1e-6)
    assert np.isposinf(high).all() and np.isneginf(low).all()


@pytest.mark.parametrize("execution", ["launches", "block"])
def test_memory_far_from_its_pointer_is_reached_by_64_bits(device, monkeypatch, execution):
    monkeypatch.setattr(cuda_code, "FAR", 0)
    assert "LL)[" in check(device, execution, penalties=(), sizes=SHALLOW).plan.source


def test_values_too_large_for_32_bits_are_recorded(device, monkeypatch):
    monkeypatch.setattr(stages, "MOST", 30)
    x = device.array(np.ones((6, 6)))
    with pytest.raises(CaptureError, match="cannot be launches"):
        capture(lambda x: x + 1.0, x, execution="launches")


def test_the_arrays_of_the_first_step_are_freed(device):
    assert check(device, "launches", penalties=(), sizes=SHALLOW).plan.stages.devices == {}


def test_long_rows_of_launches_are_summed_by_warps(device, monkeypatch):
    monkeypatch.setattr(stages, "LONG_ROW", 4)
    program = check(device, "launches", penalties=(), sizes=((1, 5, 1), (5, 1)))
    assert "sum_over_lanes(sum, 1);" in program.plan.source


# ── rows by warps


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_long_batch_goes_through_in_slabs(device, monkeypatch, dtype):
    """Two slabs of 16 rows and one of 8, by one warp; products by tensor cores where they are float32."""
    monkeypatch.setattr(block_schedule, "FEWEST", 1)
    monkeypatch.setattr(block_schedule, "WARPS", 1)
    options = {"sizes": ((2, 16, 8, 1), (8, 16, 1)), "dtype": dtype}
    named = numbers(game_of(backends.numpy_backend, **options), rows=40)
    ours, program = replayed(named, device, "block", **options)
    assert_agree(ours, eager(named, **options), TOLERANCE[device.name] if dtype == "float64" else 2e-4)
    assert program.plan.schedule.slabs == 3
    assert ("tile_product<" in program.plan.source.split("struct Memory")[1]) == (dtype == "float32")


@pytest.mark.parametrize(("rows", "width"), [(21, 8), (16, 6)])
def test_rows_and_columns_that_fill_no_tile(device, rows, width):
    options = {"sizes": ((2, width, width, 1), (width, width, 1)), "dtype": "float32", "penalties": ()}
    named = numbers(game_of(backends.numpy_backend, **options), rows=rows)
    ours, program = replayed(named, device, "block", **options)
    written = program.plan.source.split("struct Memory")[1]
    assert ("tile_product<" in written, "T c[4][4]" in written) == (width == 8, True)
    assert_agree(ours, eager(named, **options), 2e-4)


# ── races


@pytest.fixture(scope="module")
def tiny():
    """The block kernel of a game with R1, its source and its arguments on the host."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    options = {"sizes": ((1, 4, 1), (4, 1)), "penalties": BOTH[:1], "dtype": "float32"}
    named = numbers(game_of(backends.numpy_backend, **options))
    _, program = replayed(named, backends.get("strict"), "block", **options)
    return program.plan


def run_watched(plan, source):
    sizes = [e.host.shape for e in plan.kept] + [(2, *e.host.shape) for e in plan.inputs]
    arrays = [np.full(shape, 0.1, "float32") for shape in sizes]
    scratch = np.zeros(plan.scratch.shape, "float32")
    kernel = cuda_on_cpu.HostModule(source, sanitizer="thread").kernel("train")
    kernel.max_dynamic_shared_size_bytes = 227 * 1024
    kernel((1,), (plan.size,), [*arrays, scratch, np.int32(2)], shared=4 * plan.shared_length)


def test_no_thread_of_a_block_races(tiny):
    run_watched(tiny, tiny.source)


@pytest.mark.parametrize(
    ("barrier", "which"),
    [("__syncthreads();", 3), ("__syncthreads();", 5), ("__syncthreads();", -2), ("__syncwarp();", 3)],
)
def test_a_missing_barrier_is_found(tiny, barrier, which):
    """Of the block's threads, or of a warp's; some others are not needed in so small a game."""
    before, after = tiny.source.split(barrier)[:which], tiny.source.split(barrier)[which:]
    broken = barrier.join(before) + barrier.join(after)
    assert broken.count(barrier) == tiny.source.count(barrier) - 1
    with pytest.raises(cuda_on_cpu.SanitizerError, match="data race"):
        run_watched(tiny, broken)


# ── what it costs, and how near it is


@needs_compiler
@pytest.mark.parametrize(("execution", "bound"), [("launches", 22), ("block", 0.02)])
def test_a_block_of_steps_needs_few_launches_and_no_transfer(monkeypatch, execution, bound):
    """Of the main job with R1: 22 launches a step in a graph, or one for all steps."""
    monkeypatch.undo()
    strict, options = backends.get("strict"), {"sizes": ((1, 8, 8, 1), (8, 8, 1)), "penalties": BOTH[:1]}
    game = game_of(strict, **options)
    named = numbers(game, K=50, rows=16)
    blocks = [strict.array(a) for a in named.values()]

    def step(*xs):
        return play_round(game, dict(zip(named, xs, strict=True)))

    program = capture(step, *(b[0] for b in blocks), state=game.state, execution=execution)
    counters = strict.counters
    counters.reset()
    program.each(*blocks)
    assert counters.syncs == counters.to_host == counters.to_device == 0
    assert counters.nodes + counters.launches <= 50 * bound + len(blocks) + 1


@needs_compiler
def test_executions_are_refused_where_they_are_not(monkeypatch):
    strict = backends.get("strict")
    x = strict.array(np.ones((2, 2)))
    with pytest.raises(
        CaptureError,
        match="execution is one of auto, launches, block, recorded on strict; received 'planned'",
    ):
        capture(lambda x: x + 1.0, x, execution="planned")
    with pytest.raises(CaptureError, match="cannot be block"):
        capture(lambda x: embed(x, shape=(3, 2), key=(slice(1, None),)), x, execution="block")
    monkeypatch.setattr(executions, "fastest", lambda *_: "block")
    assert capture(lambda x: embed(x, shape=(3, 2), key=(slice(1, None),)), x).execution == "recorded"
    assert capture(lambda x: x + 1.0, x).execution == "block"
    assert capture(lambda x: x + 1.0, x, passes=()).execution == "recorded"


@pytest.mark.rows(
    ("replicas", "batch", "width", "expected"),
    [(0, 64, 16, "block"), (0, 512, 64, "launches"), (16, 512, 32, "block"), (2, 512, 64, "launches")],
)
def test_small_steps_and_many_replicas_go_to_blocks(replicas, batch, width, expected):
    options = {
        "replicas": replicas,
        "sizes": ((1, width, width, 1), (width, width, 1)),
        "penalties": BOTH[:1],
    }
    game = game_of(backends.numpy_backend, **options)
    named = numbers(game, K=1, rows=batch, replicas=replicas)

    def step(*xs):
        return play_round(game, dict(zip(named, xs, strict=True)))

    program = capture(step, *(a[0] for a in named.values()), state=game.state, execution="recorded")
    assert fastest(program) == expected


@pytest.mark.parametrize(("H", "execution"), [(16, "block"), (32, "block"), (64, "launches")])
def test_twenty_steps_in_float32_stay_near_those_in_float64(device, monkeypatch, H, execution):
    """The main job's networks: weights within 1e-6, relative, of the float64 reference."""
    monkeypatch.undo()
    options = {"sizes": ((1, H, H, 1), (H, H, 1)), "penalties": (R1(0.1),)}
    reference = game_of(backends.numpy_backend, **options)
    named = numbers(reference, K=20, rows=128)
    its = eager(named, **options)
    narrow = {name: a.astype("float32") for name, a in named.items()}
    ours, _ = replayed(narrow, device, execution, dtype="float32", **options)
    for name in ("generator", "discriminator"):
        error = np.linalg.norm(ours[name] - its[name]) / np.linalg.norm(its[name])
        assert error < 1e-6, (name, error)
