"""The two recordings of a step: what they hold, what they compare, and what is the same in both."""

import gc
from weakref import ref

import numpy as np
import pytest

from minigan.compiler.capture import capture
from minigan.compiler.trace import Trace
from minigan.engine import primitives as P
from minigan.engine.autodiff import assign, filled, grad
from minigan.engine.tensor import CaptureError, Tensor, constant, variable


def lift(backend, values):
    return constant(backend.array(np.asarray(values, "float64")))


def test_the_first_recording_holds_no_array(backend):
    """A recording for comparison remembers where arrays came from; they are free when the next one begins."""
    alive = []

    def step(x):
        gc.collect()
        before = [array for array in alive if array() is not None]
        assert not before, "arrays of the first recording are alive in the second"
        y = P.exp(x * 2.0)
        alive.append(ref(y.memory))
        return P.tanh(y) + y

    x = lift(backend, np.ones(8))
    program = capture(step, x, execution="recorded")
    assert len(alive) == 2 and alive[0]() is None and alive[1]() is not None
    assert program(x).numpy()[0] == pytest.approx(np.tanh(np.e**2) + np.e**2)


def test_views_that_no_call_made_are_the_same_in_both(backend):
    """Python gives their ids to others when they are gone; what they look at is compared, not the id."""
    w = lift(backend, np.arange(12.0).reshape(4, 3))

    def step(x):
        total = x * 0.0
        for k in (0, 1, 2, 3) * 25:
            y = P.exp(Tensor(w.memory[k]) * 1e-3)  # gone in the next round
            total = total + y * Tensor(y.memory[::-1])
        return total

    for _ in range(5):
        program = capture(step, lift(backend, np.ones(3)), state=[w])
        w_host = w.numpy()
        expected = 25 * sum(np.exp(row * 1e-3) * np.exp(row * 1e-3)[::-1] for row in w_host)
        np.testing.assert_allclose(program(lift(backend, np.ones(3))).numpy(), expected, rtol=1e-13)


def test_another_view_of_the_same_memory_is_another_array(backend):
    w, turns = lift(backend, np.arange(6.0)), iter([slice(0, 3), slice(3, 6), slice(0, 3), slice(5, 2, -1)])
    for _ in range(2):
        with pytest.raises(CaptureError, match="multiply takes another array the second time"):
            capture(lambda x: x * Tensor(w.memory[next(turns)]), lift(backend, np.ones(3)), state=[w])


def test_where_arrays_come_from(backend):
    """Of a call, of memory that outlives the step, of a fill, and of views of them."""
    w = lift(backend, np.ones((2, 3)))
    x = lift(backend, np.ones(3))

    def step(x):
        y = x * Tensor(w.memory[1])
        assign(w, w + filled(w, 1.0))
        return y + y[1:2], y * Tensor(y.memory[::2])[:1]

    trace = Trace([x.memory, w.memory]).run(step, (x,))
    origins = [call.inputs for call in trace.calls]
    kinds = [[o[0] if isinstance(o, tuple) else o for o in row] for row in origins]
    names = [call.primitive.name for call in trace.calls]
    assert names == ["multiply", "add", "assign", "getitem", "add", "getitem", "multiply"]
    assert kinds == [
        ["lasting", "view"], ["lasting", "fill"], ["call"], ["call"], ["call", "view"], ["view"],
        ["call", "view"],
    ]  # fmt: skip
    assert origins[0][1][1] == origins[1][0] and origins[2] == [("call", 1)]
    assert trace.instructions == [] and trace.outputs is None  # these are a program's


def test_gradients_of_steps_that_are_equal_are_equal(backend):
    """Leaves, tapes and second derivatives are made anew in each recording."""
    w = variable(backend.array(np.ones((3, 3))))

    def step(x):
        loss = P.mean(P.softplus(x @ w))
        (slope,) = grad(loss, [w], create_graph=True)
        (again,) = grad(P.sum_over(P.square(slope), axis=(0, 1)), [w])
        assign(w, w - 0.1 * slope - 0.1 * again)
        return loss

    program = capture(step, lift(backend, np.eye(3)), state=[w])
    assert isinstance(program.outputs, Tensor) and len(program) > 10


@pytest.mark.rows("made", [
    lambda n, y: (y, np.float32(n)), lambda n, y: (y, np.full(2, n)), lambda n, y: {f"k{n}": y},
    lambda n, y: (y, (y,)) if n == 1 else ((y, y),),
])  # fmt: skip
def test_what_a_step_returns_is_compared_with_its_structure(backend, made):
    calls = []

    def step(x):
        calls.append(x)
        return made(len(calls), x * 2.0)

    with pytest.raises(CaptureError, match="returns something else the second time"):
        capture(step, backend.array(np.ones((2, 2))))
