"""Captured steps: an exact plan replays the eager step bitwise; a program is data that can be read."""

import inspect
import pydoc
import threading
from typing import NamedTuple

import numpy as np
import pytest

from minigan import backend as backends
from minigan.compiler.capture import Instruction, Program, capture
from minigan.compiler.planner import EXACT, PASSES
from minigan.engine import primitives as P
from minigan.engine.autodiff import assign, filled, grad
from minigan.engine.tensor import (
    CaptureError,
    StaleTensorError,
    Tensor,
    constant,
    is_tracked,
    observer,
    variable,
)
from minigan.gan.game import Game
from minigan.gan.orders import Batch
from minigan.gan.penalties import R1, R2
from minigan.nn.network import mlp
from minigan.nn.optim import OPTIMIZERS
from minigan.nn.schedules import Average
from minigan.testing.cases import CASES


def lift(backend, values, dtype="float64"):
    return constant(backend.array(np.asarray(values, dtype)))


def bits(tensor):
    return tensor.numpy().tobytes()


# ── replay = eager
@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("name", sorted(P.PRIMITIVES))
def test_every_primitive_replays_with_its_gradient(backend, name, dtype):
    """Values, first and second derivatives of new inputs, through the program that other inputs recorded."""
    case = CASES[name]

    def step(*xs):
        xs = [variable(x) for x in xs]
        y = P.PRIMITIVES[name](*xs, *case.literals, **case.params)
        first = grad(P.square(y), xs, create_graph=True)
        return y * 1.0, first, grad(first[0] * first[0], xs, unreached="zeros")

    for old, new in zip(
        case.inputs(np.random.default_rng(0)), case.inputs(np.random.default_rng(1)), strict=True
    ):
        program = capture(step, *(lift(backend, x, dtype) for x in old), passes=EXACT)
        fresh = [lift(backend, x, dtype) for x in new]
        y, first, second = program(*fresh)
        z, expected_first, expected_second = step(*fresh)
        for a, b in zip((y, *first, *second), (z, *expected_first, *expected_second), strict=True):
            assert a.dtype == dtype and bits(a) == bits(b)


def game_of(backend, dtype, optimizer, **options):
    rng = np.random.default_rng(3)
    G, D = (mlp((2, 6, 6, out), rngs=rng, backend=backend, dtype=dtype) for out in (2, 1))
    move_G, move_D = (OPTIMIZERS[optimizer](net.parameters, 0.01) for net in (G, D))
    return Game(G, D, move_G, move_D, average=Average(G.parameters), **options)


def batches(backend, dtype, rounds, discriminator_steps=1):
    rng = np.random.default_rng(4)
    for t in range(rounds):
        sizes = (discriminator_steps, discriminator_steps, 1)
        noise = [lift(backend, rng.standard_normal((k, 8, 2)), dtype) for k in sizes]
        yield Batch(*noise), *(lift(backend, [c / (t + 1)], dtype) for c in (1.0, 0.5))


GAMES = {
    "R1": {"penalties": [R1(1.0)]}, "both penalties": {"penalties": [R1(0.5), R2(0.5)]},
    "saturating": {"objective": "minimax"}, "simultaneous": {"order": "simultaneous", "penalties": [R1(1.0)]},
    "two steps of D": {"discriminator_steps": 2, "penalties": [R1(1.0)]},
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", GAMES.values(), ids=GAMES)
def test_a_captured_game_is_the_eager_game_bit_for_bit(backend, dtype, options):
    """Second-order penalty, Adam's running averages, schedules and averaged weights included."""
    eager, captured = (game_of(backend, dtype, "adam", **options) for _ in range(2))
    program = None
    for inputs in batches(backend, dtype, 4, options.get("discriminator_steps", 1)):
        expected = eager.round(*inputs)
        if program is None:
            program = capture(captured.round, *inputs, state=captured.state.values(), passes=EXACT)
            losses = program.outputs
        else:
            losses = program(*inputs)
        assert [bits(a) for a in losses] == [bits(a) for a in expected]
        assert {k: bits(a) for k, a in captured.state.items()} == {k: bits(a) for k, a in eager.state.items()}
    assert np.isfinite(captured.generator.parameters.flat.numpy()).all()


@pytest.mark.rows("optimizer", sorted(OPTIMIZERS))
def test_every_optimiser_replays(backend, optimizer):
    eager, captured = (game_of(backend, "float32", optimizer) for _ in range(2))
    (first, *rest) = batches(backend, "float32", 5)
    program = capture(captured.round, *first, state=captured.state.values(), passes=EXACT)
    eager.round(*first)
    for inputs in rest:
        eager.round(*inputs)
        program(*inputs)
    assert {k: bits(a) for k, a in captured.state.items()} == {k: bits(a) for k, a in eager.state.items()}


def test_the_strict_device_replays_numpys_bits():
    results = []
    for name in ("numpy", "strict"):
        device = backends.get(name)
        game = game_of(device, "float32", "adam", penalties=[R1(1.0)])
        (first, *rest) = batches(device, "float32", 4)
        program = capture(game.round, *first, state=game.state, passes=EXACT)
        for inputs in rest:
            program(*inputs)
        results.append({k: bits(a) for k, a in game.state.items()})
    assert results[0] == results[1]


def test_replicas_in_one_program_are_separate_runs(backend, same_bits):
    """Three at once equal three alone; small sizes, where BLAS sums each product in the same order."""

    def train(rngs, rows):
        D = mlp((2, 4, 1), rngs=rngs, backend=backend)
        optimizer = OPTIMIZERS["adam"](D.parameters, 0.01)

        def step(x):
            x = variable(x)
            logits = D(x)
            (slope,) = grad(logits, [x], create_graph=True)
            loss = P.mean(P.softplus(-logits)) + P.mean(P.sum_over(P.square(slope), axis=(-1,)))
            optimizer.step(grad(loss, D.parameters))
            return loss

        x = np.random.default_rng(5).standard_normal((3, 6, 2))
        program = capture(
            step, lift(backend, x[rows], "float32"), state=[D.parameters.flat, *optimizer.state.values()]
        )
        for k in range(4):
            program(lift(backend, x[rows] + k, "float32"))
        return D.parameters.flat.numpy()

    together = train([np.random.default_rng(r) for r in range(3)], slice(None))
    for r in range(3):
        same_bits(backend, together[r], train(np.random.default_rng(r), r))


def test_capture_records_twice_and_moves_the_state_by_one_step(backend):
    ran, w = [], lift(backend, [1.0])

    def step(x):
        ran.append(1)
        assign(w, w + x)
        return w * 1.0

    program = capture(step, lift(backend, [2.0]), state=[w])
    assert len(ran) == 2 and w.item() == 3.0 and program.outputs.item() == 3.0
    program(lift(backend, [10.0]))
    assert len(ran) == 2 and w.item() == 13.0 and program.outputs.item() == 13.0


def test_a_counter_in_the_state_counts(backend):
    t = lift(backend, [0.0])

    def step(x):
        assign(t, t + 1.0)
        return x * t

    program = capture(step, lift(backend, [1.0]), state=[t])
    for _ in range(5):
        program(lift(backend, [1.0]))
    assert t.item() == 6.0


def test_state_that_is_replaced_by_assign_is_read_anew(backend):
    """A resumed checkpoint or a changed learning rate enters a program through its state."""
    rate = lift(backend, [2.0])
    program = capture(lambda x: x * rate, lift(backend, [3.0]), state=[rate])
    assign(rate, lift(backend, [10.0]))
    assert program(lift(backend, [3.0])).item() == 30.0


def test_copies_and_elements_are_made_anew(backend):
    """What is usually a view, but not always: a reshape that must copy, and a single element."""

    def step(x):
        return P.reshape(P.mT(x), shape=(6,)) * 1.0, x[0, 0] * 1.0, P.reshape(P.mT(x), shape=(3, 2)), x[1, 2]

    program = capture(step, lift(backend, np.arange(6.0).reshape(2, 3)))
    fresh = lift(backend, 10.0 + np.arange(6.0).reshape(2, 3))
    for a, b in zip(program(fresh), step(fresh), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_variable_stays_a_variable(backend):
    """A step that differentiates in its own argument does the same when captured."""

    def step(x):
        return grad(x * x, [x])[0]

    program = capture(step, variable(backend.array([3.0])))
    assert program.outputs.item() == 6.0
    assert program(lift(backend, [5.0])).item() == 10.0
    with pytest.raises(TypeError, match="no gradient can be asked through"):
        capture(step, lift(backend, [3.0]))


def test_inputs_may_be_arrays(backend):
    program = capture(lambda x: x * 2.0, backend.array([1.0]))
    assert program(backend.array([4.0])).item() == 8.0


class Pair(NamedTuple):
    a: Tensor
    b: Tensor


def test_outputs_keep_their_structure_and_lose_their_history(backend):
    x = variable(backend.array([2.0]))

    def step(z):
        y = x * z
        return {"pair": Pair(y, y + 1.0), "list": [y * 2.0, (y * 3.0,)], "number": 7, "nothing": None}

    out = capture(step, lift(backend, [5.0]), state=[x]).outputs
    assert isinstance(out["pair"], Pair) and out["pair"].b.item() == 11.0
    assert out["list"][1][0].item() == 30.0 and out["number"] == 7 and out["nothing"] is None
    assert not any(map(is_tracked, (*out["pair"], out["list"][0], out["list"][1][0])))


def test_no_outputs_are_fine(backend):
    w = lift(backend, [1.0])
    program = capture(lambda x: assign(w, w * x), lift(backend, [3.0]), state=[w])
    assert program.outputs is None and program(lift(backend, [4.0])) is None and w.item() == 12.0


def test_a_program_may_have_no_inputs(backend):
    w = lift(backend, [1.0])
    program = capture(lambda: assign(w, w * 2.0), state=[w])
    program()
    assert w.item() == 4.0


# ── many steps at once
@pytest.mark.rows("passes", [(), EXACT, PASSES])
def test_each_is_a_loop_over_the_first_axis(backend, passes):
    """Bitwise, whatever the plan; from tensors or arrays, of one step or many, in parts or at once."""
    looped, at_once = (game_of(backend, "float32", "adam", penalties=[R1(1.0)]) for _ in range(2))
    host = [
        [backend.to_host(x.array) for x in (*batch[:3], *rates)]
        for batch, *rates in batches(backend, "float32", 7)
    ]

    def on_device(arrays):
        return Batch(*map(backend.array, arrays[:3])), *map(backend.array, arrays[3:])

    programs = [
        capture(game.round, *on_device(host[0]), state=game.state, passes=passes)
        for game in (looped, at_once)
    ]
    for inputs in host[1:]:
        last = programs[0](*on_device(inputs))
    blocks = [backend.array(np.stack(arrays)) for arrays in zip(*host[1:], strict=True)]
    for part in (slice(0, 1), slice(1, 4), slice(4, None)):
        parts = [Tensor(block[part]) if part.start else block[part] for block in blocks]
        outputs = programs[1].each(Batch(*parts[:3]), *parts[3:])
    assert [bits(a) for a in outputs] == [bits(a) for a in programs[1].outputs]
    assert [bits(a) for a in outputs] == [bits(a) for a in last]
    ours, its = ({k: bits(a) for k, a in game.state.items()} for game in (at_once, looped))
    assert ours == its


class Parts(NamedTuple):
    first: object
    second: object = None
    third: object = None


def test_inputs_come_in_tuples(backend):
    """The step sees the tuples it was given, nested and with what is missing; so does each replay."""
    seen = []

    def step(pair, x):
        seen.append(pair)
        return pair.first + 2.0 * pair.third[0] + 4.0 * x

    def given(*values):
        a, b, c = (lift(backend, value) for value in values)
        return Parts(a, third=(b, None)), c

    program = capture(step, *given([1.0], [2.0], [3.0]))
    assert type(seen[0]) is Parts and seen[0].second is None and seen[0].third[1] is None
    assert program.outputs.item() == 17.0 and len(program.inputs) == 3
    assert program(*given([4.0], [5.0], [6.0])).item() == 38.0
    assert program.each(*given([[0.0], [1.0]], [[0.0], [1.0]], [[0.0], [1.0]])).item() == 7.0


def test_inputs_in_other_places_are_refused(backend):
    x = lift(backend, [1.0])
    program = capture(lambda pair: pair.first + pair.second, Parts(x, x))
    for pair, says in (
        (Parts(x, third=x), "captured with 2 inputs, called with 2 in other places"),
        (Parts(x, x, x), "captured with 2 inputs, called with 3"),
        (Parts(x), "captured with 2 inputs, called with 1"),
    ):
        with pytest.raises(CaptureError, match=f"{says}; call"):
            program(pair)


def test_each_takes_blocks_that_are_views(backend):
    w = lift(backend, [0.0, 0.0])
    program = capture(lambda x: assign(w, 2.0 * w + x), lift(backend, [0.0, 0.0]), state=[w])
    block = np.arange(12.0).reshape(6, 2)
    program.each(backend.array(block)[::-2])
    np.testing.assert_array_equal(w.numpy(), 4.0 * block[5] + 2.0 * block[3] + block[1])


def test_each_takes_numbers(backend):
    """An input without axes has blocks of one."""
    w = lift(backend, 0.0)
    program = capture(lambda x: assign(w, 2.0 * w + x), lift(backend, 0.0), state=[w])
    program.each(backend.array(np.array([1.0, 10.0, 100.0])))
    assert w.item() == 124.0


def test_each_makes_older_values_stale(backend):
    w = variable(backend.array([3.0]))
    program = capture(lambda x: assign(w, w + x), lift(backend, [0.0]), state=[w])
    y = w * w
    program.each(lift(backend, [[1.0], [2.0]]))
    with pytest.raises(StaleTensorError):
        grad(y, [w])
    assert w.item() == 6.0


@pytest.mark.rows(("blocks", "says"), [
    (([[1.0, 2.0]],), "captured with 2 inputs, called with 1"),
    (([[1.0, 2.0]], [[3.0]], [[4.0]]), "captured with 2 inputs, called with 3"),
    (([1.0, 2.0], [[3.0]]), r"captured for \w+ float64\[K, 2\], called with \w+ float64\[2\]"),
    (([[1.0, 2.0, 3.0]], [[3.0]]), r"float64\[K, 2\], called with \w+ float64\[1, 3\]"),
    (([[[1.0, 2.0]]], [[3.0]]), r"float64\[K, 2\], called with \w+ float64\[1, 1, 2\]"),
    (([[1.0, 2.0]], [[3.0], [4.0]]), r"blocks of one length, at least 1; received \[1, 2\]"),
    ((np.zeros((0, 2)), np.zeros((0, 1))), r"at least 1; received \[0\]"),
])  # fmt: skip
def test_each_refuses_other_blocks(backend, blocks, says):
    w = lift(backend, [0.0])
    program = capture(
        lambda x, y: assign(w, w + y + 0.0 * x[0]), lift(backend, [0.0, 0.0]), lift(backend, [1.0]), state=[w]
    )
    with pytest.raises(CaptureError, match=says):
        program.each(*(lift(backend, block) for block in blocks))
    with pytest.raises(CaptureError, match=r"float64\[K, 2\], called with \w+ float32\[1, 2\]"):
        program.each(lift(backend, [[1.0, 2.0]], "float32"), lift(backend, [[1.0]], "float32"))
    with pytest.raises(CaptureError, match="called with list"):
        program.each([[1.0, 2.0]], [[1.0]])
    assert w.item() == 1.0


def test_each_of_a_program_without_inputs(backend):
    """There is nothing to go through: how often is not said."""
    w = lift(backend, [1.0])
    program = capture(lambda: assign(w, w * 2.0), state=[w])
    with pytest.raises(CaptureError, match="at least 1; received"):
        program.each()
    assert w.item() == 2.0


def test_each_is_refused_while_capturing(backend):
    w = lift(backend, [1.0])
    inner = capture(lambda x: assign(w, w + x), lift(backend, [1.0]), state=[w])
    with pytest.raises(CaptureError, match="a program was run during capture"):
        capture(lambda x: inner.each(x), lift(backend, [[1.0]]), state=[w])


def test_each_of_another_device():
    program = capture(lambda x: x * 2.0, constant(np.ones(2)))
    with pytest.raises(CaptureError, match="captured for ndarray .* called with DeviceArray"):
        program.each(backends.get("strict").array(np.ones((3, 2))))


# ── a program is data
def test_a_program_prints_as_numbered_lines(backend):
    w = lift(backend, [[1.0, 2.0]], "float32")

    def step(x):
        assign(w, w - 0.5 * P.mean(x @ P.mT(w)) * filled(w, 3.0))
        return P.mT(w)

    program = capture(step, lift(backend, np.ones((4, 2)), "float32"), state=[w])
    assert str(program).splitlines() == [
        "input0: float32[4, 2]",
        "state0: float32[1, 2]",
        "%2: float32[2, 1] = mT(state0)",
        "%3: float32[4, 1] = matmul(input0, %2)",
        "%4: float32[1, 1] = sum(%3, axis=(-2, -1))",
        "%5: float32[1, 1] = multiply(%4, 0.25)",
        "%6: float32[1, 1] = multiply(0.5, %5)",
        "%7: float32[1, 2] = constant [3.]",
        "%8: float32[1, 2] = multiply(%6, %7)",
        "%9: float32[1, 2] = subtract(state0, %8)",
        "state0: float32[1, 2] = assign(%9)",
        "%10: float32[2, 1] = mT(state0)",
    ]


def test_every_name_of_a_printed_program_is_defined_before_it_is_used(backend):
    game = game_of(backend, "float32", "adam", penalties=[R1(1.0)])
    program = capture(game.round, *next(batches(backend, "float32", 1)), state=game.state)
    defined = set()
    lines = str(program).splitlines()
    for line in lines:
        name, _, rest = line.partition(": ")
        used = {word.strip("(),") for word in rest.split() for word in word.replace("(", " ").split()}
        assert {word for word in used if word.startswith("%")} <= defined
        defined.add(name)
    assert any(line.endswith("= view of generator") for line in lines)
    assert not any("0x" in line for line in lines)


def test_a_program_counts_its_instructions_and_skips_views(backend):
    program = capture(lambda x: P.mT(x) * 2.0, lift(backend, [[1.0, 2.0]]))
    assert len(program) == 2 and isinstance(program, Program)
    view, work = program.instructions
    assert isinstance(view, Instruction) and view.is_view and not work.is_view
    assert work.primitive is P.multiply and work.kernel is P.multiply.kernel and work.inputs[1] == 2.0


def test_a_program_and_the_passes_say_what_they_are(backend):
    """One line each, and no address in the help of capture."""
    w = lift(backend, [1.0])
    program = capture(lambda x: assign(w, w * x + 1.0), lift(backend, [1.0]), state=[w], execution="recorded")
    assert repr(program) == "Program(1 input, 1 array of state, 3 instructions, recorded)"
    program = capture(lambda x: (x * 2.0 + 1.0, x - 1.0), constant(np.ones(3)))
    assert repr(program) == "Program(1 input, 0 arrays of state, 3 instructions, planned in 3 lines)"
    assert len(program.plan) == 3 and repr(PASSES[:2]) == "(fold, columns)"
    assert "0x" not in pydoc.render_doc(capture) + repr(inspect.signature(capture))


def test_no_python_runs_in_a_replay(backend, monkeypatch):
    game = game_of(backend, "float32", "adam", penalties=[R1(1.0)])
    inputs = next(batches(backend, "float32", 1))
    program = capture(game.round, *inputs, state=game.state)

    def refuse(*_, **__):
        raise AssertionError("a primitive was dispatched in a replay")

    monkeypatch.setattr(P.Primitive, "__call__", refuse)
    program(*inputs)


# ── stale values
def test_a_replay_that_updates_parameters_makes_older_values_stale(backend):
    game = game_of(backend, "float32", "sgd")
    inputs = next(batches(backend, "float32", 1))
    program = capture(game.round, *inputs, state=game.state)
    loss = game.generator_loss(inputs[0].latent_g[0])
    program(*inputs)
    with pytest.raises(StaleTensorError, match="take all gradients before updating"):
        grad(loss, game.generator.parameters)
    grad(game.generator_loss(inputs[0].latent_g[0]), game.generator.parameters)


def test_an_output_that_a_replay_overwrote_is_stale(backend):
    program = capture(lambda x: (x * 2.0, {"row": P.mT(x)[0] * 1.0}), lift(backend, [[1.0]]))
    for read in (lambda out: out[0], lambda out: out[1]["row"]):
        w = variable(backend.array([[1.0]]))
        y = w * read(program.outputs)
        program(lift(backend, [[9.0]]))
        with pytest.raises(StaleTensorError):
            grad(y, [w])


def test_state_that_a_replay_only_reads_stays_fresh(backend):
    w = variable(backend.array([3.0]))
    program = capture(lambda x: x * w, lift(backend, [1.0]), state=[w])
    y = w * w
    program(lift(backend, [2.0]))
    assert grad(y, [w])[0].item() == 6.0


# ── cleanliness
class Stop(Exception):
    pass


def test_an_exception_during_capture_leaves_no_capture_behind(backend):
    x = lift(backend, [1.0])

    def broken(z):
        y = z * 2.0
        raise Stop(y.shape)

    for bad in (broken, lambda z: z * 2.0 + x, lambda z: z @ z, lambda z: (z * 2.0).numpy()):
        with pytest.raises((Stop, CaptureError, ValueError)):
            capture(bad, x)
        assert observer.get() is None
    assert (x * 2.0).numpy()[0] == 2.0
    assert capture(lambda z: z * 3.0, x)(x).item() == 3.0


def test_a_refused_assign_has_written_nothing(backend):
    other, x = lift(backend, [1.0]), lift(backend, [5.0])
    with pytest.raises(CaptureError, match=r"an array of shape \(1,\) enters assign from nowhere"):
        capture(lambda z: assign(other, z), x)
    assert other.item() == 1.0


def test_capturing_in_one_thread_leaves_another_alone(backend):
    """The capture belongs to the thread: eager work beside it is neither recorded nor refused."""
    inside, done, results, errors = threading.Event(), threading.Event(), [], []

    def eager():
        try:
            inside.wait(30)
            x = variable(backend.array([3.0]))
            results.append(grad(x * x, [x])[0].numpy()[0])
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    def step(z):
        y = z * 2.0
        inside.set()
        done.wait(30)
        return y + 1.0

    thread = threading.Thread(target=eager)
    thread.start()
    program = capture(step, lift(backend, [1.0]))
    thread.join()
    assert not errors and results == [6.0]
    assert [i.primitive.name for i in program.instructions] == ["multiply", "add"]


def test_two_threads_capture_and_replay_at_once():
    device, results = backends.numpy_backend, {}

    def train(key):
        game = game_of(device, "float32", "adam", penalties=[R1(1.0)])
        (first, *rest) = batches(device, "float32", 20)
        program = capture(game.round, *first, state=game.state)
        for inputs in rest:
            program(*inputs)
        results[key] = {k: bits(a) for k, a in game.state.items()}

    threads = [threading.Thread(target=train, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    train("alone")
    assert results[0] == results[1] == results["alone"]
