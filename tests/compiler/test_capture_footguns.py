"""What goes wrong, mostly silently, with recorded steps elsewhere: one test per trap, and the answer."""

import math
import random
import threading

import numpy as np
import pytest

from minigan import backend as backends
from minigan.compiler.capture import capture
from minigan.engine import primitives as P
from minigan.engine.autodiff import assign, filled, grad
from minigan.engine.tensor import CaptureError, constant, observer, variable
from minigan.nn.network import mlp


def lift(backend, values, dtype="float64"):
    return constant(backend.array(np.asarray(values, dtype)))


def test_results_of_an_earlier_replay(backend):
    """One might expect a kept result to change with the next replay. The only way to read one copies."""
    program = capture(lambda x: x * 2.0, lift(backend, [1.0]))
    first = program(lift(backend, [5.0])).numpy()
    second = program(lift(backend, [7.0])).numpy()
    assert (first[0], second[0]) == (10.0, 14.0)


def test_python_numbers_that_stay_are_frozen_and_visible(backend):
    """One might expect a changed rate to take effect. It is frozen, and the printed program shows it.

    This is what remains: nobody can see of a number that is the same in both recordings that it will change.
    """
    config = {"rate": 0.125}
    program = capture(lambda x: x * config["rate"], lift(backend, [8.0]))
    config["rate"] = 100.0
    assert program(lift(backend, [8.0])).item() == 1.0
    assert "multiply(input0, 0.125)" in str(program)


def test_numbers_that_move_are_tensors(backend):
    """The way out of the trap above: a rate in the state."""
    rate = lift(backend, [0.125])
    program = capture(lambda x: x * rate, lift(backend, [8.0]), state=[rate])
    assign(rate, lift(backend, [2.0]))
    assert program(lift(backend, [8.0])).item() == 16.0


@pytest.mark.rows("branch", [
    lambda x: x if x else -x, lambda x: x * 1.0 if float(x) > 0 else -x, lambda x: max(x.item(), 0.0),
    lambda x: x and x,
    lambda x: not x, lambda x: x * x.numpy()[0],
])  # fmt: skip
def test_branches_on_values(backend, branch):
    """One might expect the branch to follow the value. It would be frozen, so reading a value is refused."""
    with pytest.raises(
        CaptureError, match="a value was read during capture; return the tensor from the step"
    ):
        capture(branch, lift(backend, [1.0]))


class Counter:
    """A number from outside that is another each time it is asked for."""

    def __init__(self, *values):
        self.values = list(values)

    def __call__(self):
        return self.values.pop(0)


CHANGES = {  # what a step takes from outside, another thing in the second recording: the step, what is said
    "a number": (lambda x, now: x * now(), r"multiply takes 1\.0, and 2\.0 the second time"),
    "the sign of zero": (lambda x, now: x * math.copysign(0.0, 1.5 - now()),
                         r"multiply takes 0\.0, and -0\.0 the second time"),
    "NumPy's number": (lambda x, now: x + np.float64(now()), r"add takes 1\.0, and 2\.0 the second time"),
    "a branch": (lambda x, now: P.exp(x) if now() > 1 else P.tanh(x),
                 "exp is called, where it was tanh the first time"),
    "one call more": (lambda x, now: P.exp(x * 2.0) if now() > 1 else x * 2.0,
                      "exp is called only the second time"),
    "one call less": (lambda x, now: P.exp(x * 2.0) if now() < 2 else x * 2.0,
                      "exp is called only the first time"),
    "a loop": (lambda x, now: [x := x * 2.0 for _ in range(int(now()))], "multiply is called only the sec"),
    "another tensor": (lambda x, now: (x * 2.0, x * 3.0)[int(now()) - 1] * 4.0,
                       "multiply takes another array the second time"),
    "another part": (lambda x, now: x[int(now()) - 1] * 4.0, r"getitem\(key=0\) gives .* getitem\(key=1\)"),
    "an axis": (lambda x, now: P.sum_over(x, axis=(int(now()) - 1,)), r"sum.*\(axis=\(0,\).*axis=\(1,\)"),
    "the number of a constant": (lambda x, now: x * filled(x, now()),
                                 "a constant has another number, or another shape"),
    "the shape of a constant": (lambda x, now: x * filled(x[: int(now())], 1.0)[:1],
                                "getitem.*gives|a constant has another number, or another shape"),
    "what it returns": (lambda x, now: (x * 2.0, x * 3.0)[int(now()) - 1], "it returns something else"),
    "a number it returns": (lambda x, now: (x * 2.0, now()), "it returns something else"),
    "how much it returns": (lambda x, now: [x * 2.0] * int(now()), "it returns something else"),
}  # fmt: skip


@pytest.mark.rows("what", CHANGES)
def test_what_changes_between_two_recordings_is_refused(backend, what):
    """One might expect a counter to count on. It would freeze, so it is refused where it shows."""
    step, said = CHANGES[what]
    now, w = Counter(1.0, 2.0), lift(backend, [[5.0, 6.0], [7.0, 8.0]])

    def moving(x):
        assign(w, w + x)
        return step(w * 1.0, now)

    with pytest.raises(CaptureError, match=f"the step, recorded twice, differs.*{said}") as caught:
        capture(moving, lift(backend, np.ones((2, 2))), state=[w])
    assert "is to be a Tensor, an input or in state=" in str(caught.value)
    assert w.numpy().tolist() == [[5.0, 6.0], [7.0, 8.0]] and now.values == []


def test_the_refusal_names_the_line(backend):
    now = Counter(0.1, 0.2)

    def step(x):
        y = x * 2.0
        return y * now()  # this one

    with pytest.raises(CaptureError, match=r"test_capture_footguns\.py:\d+: return y \* now\(\)  # this one"):
        capture(step, lift(backend, [1.0]))

    def branch(x):
        if now():
            return P.exp(x)  # the second
        return P.log(x)  # the first

    now.values += [0, 1]
    places = r"differs at \S+: return P\.exp\(x\)  # the second: .* at \S+: return P\.log\(x\)  # the first"
    with pytest.raises(CaptureError, match=places):
        capture(branch, lift(backend, [1.0]))


def test_the_line_of_a_step_of_the_package_is_named():
    """Where no line of the user's is in between, it is the innermost one above the engine."""
    net, turns = mlp((2, 1), rngs=np.random.default_rng(0)), []
    (layer, views), *_ = net._bound

    class Turning(type(layer)):
        activation = property(lambda self: turns.pop(0) if turns else P.tanh, lambda self, value: None)

    net._bound = [(Turning(2, 1), views)]
    turns += [P.exp, P.tanh, P.exp, P.tanh]
    x, state = constant(np.ones((3, 2), "float32")), [net.parameters.flat]
    with pytest.raises(CaptureError, match=r"differs at \S+layers\.py:\d+: return self\.activation"):
        capture(net, x, state=state)
    with pytest.raises(CaptureError, match=r"differs at \S+footguns\.py:\d+: capture\(lambda z: net\(z\)"):
        capture(lambda z: net(z), x, state=state)


def test_a_branch_on_state_that_moves_is_refused(backend):
    """The second recording sees the state as the first left it, as the next step would."""
    count = lift(backend, [0.0])

    def step(x):
        assign(count, count + 1.0)
        return P.exp(x) if backend.to_host(count.array)[0] > 1.0 else P.tanh(x)

    with pytest.raises(CaptureError, match="exp is called, where it was tanh the first time"):
        capture(step, lift(backend, [1.0]), state=[count])
    assert count.item() == 0.0


def test_a_branch_on_an_input_is_frozen(backend):
    """What remains: inputs are the same both times, so what is read past the Tensor is not noticed."""
    program = capture(
        lambda x: P.exp(x) if backend.to_host(x.array)[0] > 0.0 else P.tanh(x), lift(backend, [1.0])
    )
    assert program(lift(backend, [-1.0])).item() == pytest.approx(np.exp(-1.0))


@pytest.mark.rows("draw", [
    lambda rng: random.random(), lambda rng: float(rng.normal()), lambda rng: np.float32(rng.random()),
    lambda rng: rng.integers(2**40),
])  # fmt: skip
def test_random_numbers_of_python_and_numpy_are_refused(backend, draw):
    """One might expect fresh noise in every replay. It is another number the second time: refused."""
    rng = np.random.default_rng(0)
    with pytest.raises(CaptureError, match="add takes .* the second time"):
        capture(lambda x: x + draw(rng), lift(backend, [1.0]))


def test_what_is_done_once_only_is_done_before_capture(backend):
    """A table that a step makes when it is first asked: one recording has it, the next has not."""
    kept = []

    def step(x):
        if not kept:
            kept.append(x * 2.0)
        return x + 1.0

    with pytest.raises(CaptureError, match="differs.*what is done once only is to be done before capture"):
        capture(step, lift(backend, [1.0]))
    assert capture(step, lift(backend, [1.0]))(lift(backend, [2.0])).item() == 3.0


def test_a_step_that_fails_leaves_everything_as_it_was(backend):
    """In the first recording and in the second."""
    w = lift(backend, [1.0])
    for calls in (1, 2):
        left = iter(range(calls))

        def step(x, left=left, calls=calls):
            assign(w, w + x)
            if next(left) == calls - 1:
                raise KeyError("mine")
            return w * 1.0

        with pytest.raises(KeyError, match="mine"):
            capture(step, lift(backend, [2.0]), state=[w])
        assert w.item() == 1.0 and observer.get() is None


def test_branches_on_configuration_are_fine(backend):
    """They are frozen as they should be."""
    programs = [
        capture(lambda x, p=p: x * 2.0 if p else x * 3.0, lift(backend, [1.0])) for p in (True, False)
    ]
    assert [p(lift(backend, [1.0])).item() for p in programs] == [2.0, 3.0]


def test_arrays_computed_aside(backend):
    """One might expect what the array library computed directly to be computed anew.

    It would be frozen, so the line that uses it is refused.
    """
    xp = backend.xp
    with pytest.raises(
        CaptureError, match=r"an array of shape \(2,\) enters multiply from nowhere: .* pass it to capture"
    ):
        capture(lambda x: x * constant(xp.exp(x.array)), lift(backend, [1.0, 2.0]))


def test_arrays_from_a_closure(backend):
    """One might expect a global tensor to be followed. It has to be named as state, and is then followed."""
    scale = lift(backend, [3.0])
    with pytest.raises(CaptureError, match="neither an input, nor state"):
        capture(lambda x: x * scale, lift(backend, [1.0]))
    assert (
        capture(lambda x: x * scale, lift(backend, [1.0]), state=[scale])(lift(backend, [2.0])).item() == 6.0
    )


def test_parameters_that_were_forgotten_in_state(backend):
    """State hidden in closures: the update of a parameter that is not declared is refused, not lost."""
    w = variable(backend.array([1.0]))
    with pytest.raises(CaptureError, match="from nowhere"):
        capture(lambda x: assign(w, w - grad(w * x, [w])[0]), lift(backend, [1.0]))


def test_a_variable_made_of_an_input_is_known(backend):
    """It shares the input's memory, so it follows the input."""

    def step(x):
        v = variable(x)
        return grad(v * v, [v])[0]

    assert capture(step, lift(backend, [1.0]))(lift(backend, [4.0])).item() == 8.0


def test_random_numbers_drawn_inside(backend):
    """One might expect fresh noise in every replay. It is passed in; drawn inside it is refused."""
    rng = np.random.default_rng(0)
    with pytest.raises(CaptureError, match="from nowhere"):
        capture(lambda x: x + constant(backend.array(rng.standard_normal(1))), lift(backend, [1.0]))


@pytest.mark.rows(("values", "dtype", "words"), [
    ([1.0, 2.0, 3.0], "float64", r"captured for \w+ float64\[2\], called with \w+ float64\[3\]"),
    ([[1.0, 2.0]], "float64", r"called with \w+ float64\[1, 2\]"), ([1.0], "float64", r"float64\[1\]"),
    ([1.0, 2.0], "float32", r"called with \w+ float32\[2\]"),
    ([1, 2], "int64", r"called with \w+ int64\[2\]"),
])  # fmt: skip
def test_other_shapes_and_dtypes(backend, values, dtype, words):
    """One might expect a retrace, or a broadcast. Neither: the message has both shapes."""
    program = capture(lambda x: x * 2.0, lift(backend, [1.0, 2.0]))
    with pytest.raises(CaptureError, match=words):
        program(backend.array(values, dtype))
    assert program(lift(backend, [5.0, 6.0])).numpy().tolist() == [10.0, 12.0]


@pytest.mark.rows(("value", "said"), [(1.0, "float"), ([1.0, 2.0], "list"), (None, "0")])
def test_what_is_no_array(backend, value, said):
    program = capture(lambda x: x * 2.0, lift(backend, [1.0, 2.0]))
    with pytest.raises(CaptureError, match=f"called with {said}"):
        program(value)


def test_another_device():
    """One might expect a transfer. There are no implicit ones."""
    program = capture(lambda x: x * 2.0, constant(np.ones(2)))
    with pytest.raises(CaptureError, match="captured for ndarray .* called with DeviceArray"):
        program(backends.get("strict").array(np.ones(2)))


@pytest.mark.rows("count", [0, 1, 3])
def test_another_number_of_inputs(backend, count):
    program = capture(lambda x, y: x * y, lift(backend, [1.0]), lift(backend, [1.0]))
    with pytest.raises(CaptureError, match=f"captured with 2 inputs, called with {count}"):
        program(*[lift(backend, [1.0])] * count)


def test_a_view_where_a_whole_array_was(backend):
    """One might expect recorded strides to meet other memory. Inputs are copied, so layout is free."""
    program = capture(lambda x: x @ x, lift(backend, np.eye(2)))
    x = backend.array(np.arange(8.0).reshape(2, 4))[:, ::2]
    y = backend.xp.swapaxes(backend.array(np.arange(4.0).reshape(2, 2)), 0, 1)
    for a in (x, y):
        host = backend.to_host(a)
        np.testing.assert_array_equal(program(a).numpy(), host @ host)


def test_the_same_array_given_twice(backend):
    """Without private buffers the two inputs would be one for ever."""
    x = lift(backend, [3.0])
    program = capture(lambda a, b: a * b + b, x, x)
    assert program(lift(backend, [2.0]), lift(backend, [10.0])).item() == 30.0
    assert program(x, x).item() == 12.0


def test_the_callers_arrays_are_never_written(backend):
    """One might fear that the first batch is the buffer of all later ones."""
    first, second = lift(backend, [3.0]), lift(backend, [4.0])
    program = capture(lambda a: a * 2.0, first)
    program(second)
    assert (first.item(), second.item()) == (3.0, 4.0)


def test_an_output_fed_back_as_input(backend):
    """xₙ₊₁ = 2 xₙ, each output the next input."""
    program = capture(lambda a: a * 2.0, lift(backend, [1.0]))
    x = program.outputs
    for _ in range(5):
        x = program(x)
    assert x.item() == 64.0


def test_outputs_fed_back_in_another_order(backend):
    """Fibonacci: an input that is also an output, fed back while the other input is written."""
    program = capture(lambda a, b: (b, a + b), lift(backend, [0.0]), lift(backend, [1.0]))
    x = program.outputs
    for _ in range(9):
        x = program(*x)
    assert (x[0].item(), x[1].item()) == (55.0, 89.0)
    swap = capture(lambda a, b: (b, a, a * b), lift(backend, [1.0]), lift(backend, [2.0]))
    x = swap(lift(backend, [1.0]), lift(backend, [2.0]))
    x = swap(x[0], x[1])
    assert (x[0].item(), x[1].item(), x[2].item()) == (1.0, 2.0, 2.0)


def test_state_given_as_an_input(backend):
    """The input is a copy, the state is the original."""
    w = lift(backend, [2.0])
    program = capture(lambda x: assign(w, w * x), w, state=[w])
    assert w.item() == 4.0
    program(w)
    assert w.item() == 16.0


def test_two_objects_share_no_program(backend):
    """One might expect a recorded method to be shared by all instances. One step of one object is bound."""

    class Scale:
        def __init__(self, factor):
            self.factor = lift(backend, [factor])

        def step(self, x):
            return x * self.factor

    programs = [capture(s.step, lift(backend, [1.0]), state=[s.factor]) for s in (Scale(2.0), Scale(3.0))]
    assert [p(lift(backend, [10.0])).item() for p in programs] == [20.0, 30.0]


def test_captures_do_not_nest(backend):
    """Refused at once, not when it is too late; the outer capture is given up cleanly."""
    x = lift(backend, [1.0])
    with pytest.raises(CaptureError, match="captures do not nest; capture the outer step"):
        capture(lambda z: capture(lambda y: y * 2.0, z).outputs, x)
    assert capture(lambda z: z * 2.0, x).outputs.item() == 2.0


def test_a_program_run_inside_a_capture(backend):
    """One might expect its work to be recorded. It passes no dispatch, so it is refused instead of lost."""
    w = lift(backend, [1.0])
    inner = capture(lambda x: assign(w, w + x), lift(backend, [1.0]), state=[w])
    with pytest.raises(CaptureError, match="a program was run during capture; call the step"):
        capture(lambda x: inner(x), lift(backend, [1.0]), state=[w])
    assert w.item() == 2.0


def test_a_step_that_computes_nothing(backend):
    with pytest.raises(CaptureError, match="the step computed nothing"):
        capture(lambda x: x, lift(backend, [1.0]))
    with pytest.raises(CaptureError, match="the step computed nothing"):
        capture(lambda x: P.mT(x), lift(backend, [[1.0]]))


def test_state_with_names(backend):
    """A dict's values are the state, and a printed program calls them by its keys."""
    w = lift(backend, [1.0])
    program = capture(lambda x: x * w, lift(backend, [1.0]), state={"weights": w})
    assert "weights: " in str(program) and "multiply(input0, weights)" in str(program)
    with pytest.raises(TypeError, match="a Tensor or an array.* received str"):
        capture(lambda x: x * w, lift(backend, [1.0]), state=["w"])


def test_an_accumulator_made_during_capture(backend):
    """One might expect it to start anew in each replay; nothing would fill it again, so it is refused."""

    def step(a):
        total = filled(a, 0.0)
        assign(total, total + a)
        return total

    with pytest.raises(CaptureError, match="constant .* filled during capture"):
        capture(step, lift(backend, [1.0]))


def test_an_output_from_outside_the_step(backend):
    """One might expect it to be drawn again; it would stay what it was, so it is refused."""
    aside = lift(backend, [3.0])
    with pytest.raises(CaptureError, match="the outputs from nowhere"):
        capture(lambda a: (a * 2.0, aside), lift(backend, [1.0]))


def test_printing_a_tensor_while_capturing_is_allowed(backend):
    """Looking is not reading into the program."""
    seen = []
    capture(lambda x: seen.append(repr(x * 2.0)), lift(backend, [4.0]))
    assert "8." in seen[0]


def test_a_capture_in_a_generator_does_not_leak(backend):
    """A mode that outlives its block is the classic leak: here it is reset in a `finally`."""

    def step(x):
        yield x * 2.0

    with pytest.raises(CaptureError, match="computed nothing"):
        capture(step, lift(backend, [1.0]))
    assert next(step(lift(backend, [1.0]))).item() == 2.0


def test_a_thread_started_during_capture_records_nothing(backend):
    """Work of another thread is not part of the step; using its result is refused."""
    made = []

    def step(x):
        thread = threading.Thread(target=lambda: made.append(x * 2.0))
        thread.start()
        thread.join()
        return made[0] + x

    with pytest.raises(CaptureError, match="enters add from nowhere"):
        capture(step, lift(backend, [1.0]))
