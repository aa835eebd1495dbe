"""Schedules of the learning rate, averages of the parameters: end points, shapes, the mean they promise."""

import numpy as np
import pytest

from minigan.engine.tensor import Tensor
from minigan.nn.parameters import Parameters
from minigan.nn.schedules import AVERAGES, SCHEDULES, Average, Averaging, Schedule

STEPS = 1000
T = np.arange(STEPS)


@pytest.mark.rows("name", SCHEDULES)
@pytest.mark.rows("hold", [0.0, 0.5, 1.0])
@pytest.mark.rows("final", [0.01, 1.0])
def test_full_rate_until_the_decay_begins_and_final_at_the_end(name, hold, final):
    schedule = Schedule(name, STEPS, hold=hold, final=final)
    factors = schedule(T)
    assert factors.shape == T.shape and factors.dtype == "float64"
    np.testing.assert_array_equal(factors[: int(hold * STEPS)], 1.0)
    assert schedule(0) == 1.0
    if hold < 1.0 and name != "constant":
        np.testing.assert_allclose(schedule(np.array([STEPS, 2 * STEPS])), final, rtol=1e-12)
    assert (
        (np.diff(factors) <= 0.0).all() and (factors >= final * (1 - 1e-12)).all() and (factors <= 1.0).all()
    )
    if name != "constant" and hold < 1.0 and final < 1.0:
        assert (np.diff(factors)[int(hold * STEPS) + 1 :] < 0.0).all()


def test_the_decays_are_the_formulas():
    u = T / STEPS
    np.testing.assert_array_equal(Schedule("constant", STEPS, final=0.3)(T), 1.0)
    np.testing.assert_allclose(Schedule("linear", STEPS, final=0.2)(T), 1.0 - 0.8 * u, rtol=1e-12)
    np.testing.assert_allclose(
        Schedule("cosine", STEPS, final=0.2)(T), 0.2 + 0.8 * np.cos(np.pi * u / 2) ** 2, rtol=1e-12
    )
    np.testing.assert_allclose(
        Schedule("exponential", STEPS, final=0.01)(T), np.exp(np.log(0.01) * u), rtol=1e-12
    )
    np.testing.assert_allclose(
        Schedule("cosine", STEPS, hold=0.5)(np.array([500, 750, 1000])), [1.0, 0.5, 0.0], atol=1e-12
    )


def test_exponential_multiplies_by_a_constant():
    factors = Schedule("exponential", STEPS, final=1e-3)(T)
    np.testing.assert_allclose(factors[1:] / factors[:-1], 1e-3 ** (1 / STEPS), rtol=1e-12)


@pytest.mark.rows("name", SCHEDULES)
def test_warm_up_grows_on_a_line_and_is_a_factor(name):
    plain, warm = Schedule(name, STEPS, final=0.1)(T), Schedule(name, STEPS, final=0.1, warmup=10)(T)
    np.testing.assert_allclose(warm[:10] / plain[:10], np.arange(1, 11) / 10, rtol=1e-12)
    np.testing.assert_array_equal(warm[10:], plain[10:])
    assert (warm > 0.0).all()


@pytest.mark.rows("name", SCHEDULES)
def test_a_block_of_steps_is_a_slice_of_all(name):
    schedule = Schedule(name, STEPS, hold=0.3, final=0.1, warmup=50)
    np.testing.assert_array_equal(schedule(np.arange(400, 500)), schedule(T)[400:500])


@pytest.mark.parametrize("final", [0.0, -0.0])
def test_an_exponential_to_zero_is_refused(final):
    with pytest.raises(ValueError, match="never reaches.*give final > 0"):
        Schedule("exponential", STEPS, final=final)


@pytest.mark.rows(
    ("options", "says"),
    [
        ({"name": "step"}, "one of constant, linear, cosine, exponential; received 'step'"),
        ({"steps": 0}, "steps of an? .* is a whole number ≥ 1; received 0"),
        ({"hold": 1.1}, "received 1.1"),
        ({"hold": -0.1}, r"is a number in \[0, 1\]; received"),
        ({"final": -0.1}, r"is a number in \[0, 1\]; received"),
        ({"final": float("nan")}, r"is a number in \[0, 1\]; received"),
        ({"warmup": -1}, "warmup of a schedule is a whole number ≥ 0; received -1"),
    ],
)
def test_impossible_schedules_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Schedule(**{"name": "linear", "steps": STEPS} | options)


# ── averages ──────────────────────────────────────────────────────────────────────────────────────
def averaged(backend, weights, iterates, replicas=(), as_tensor=False):
    parameters = Parameters({"W": (2, 2), "b": (1, 2)}, backend, iterates.dtype, replicas)
    average, path = Average(parameters), []
    for w, θ in zip(weights, iterates, strict=True):
        parameters.update(Tensor(backend.array(θ)))
        average.step(Tensor(backend.array(np.array([w], iterates.dtype))) if as_tensor else float(w))
        path.append(average.parameters.flat.numpy())
    return np.array(path)


def iterates(dtype="float64", replicas=(), steps=STEPS):
    rng = np.random.default_rng(1)
    return (5.0 + np.cumsum(rng.standard_normal((steps, *replicas, 6)), axis=0) * 0.1).astype(dtype)


@pytest.mark.rows("start", [0.0, 0.5, 0.999])
@pytest.mark.rows("replicas", [(), (2,)])
def test_tail_is_the_mean_of_the_iterates_since_the_start(backend, start, replicas):
    θ = iterates(replicas=replicas)
    path = averaged(backend, Averaging("tail", STEPS, start=start)(T), θ, replicas)
    first = int(start * STEPS)
    np.testing.assert_allclose(path[-1], θ[first:].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(path[first], θ[first], rtol=1e-15)


def test_tail_in_float32(backend):
    θ = iterates("float32")
    path = averaged(backend, Averaging("tail", STEPS)(T), θ, as_tensor=True)
    np.testing.assert_allclose(path[-1], θ[STEPS // 2 :].astype("float64").mean(axis=0), rtol=1e-6)


def test_ema_forgets_where_it_started_and_then_how(backend):
    """A plain mean for the first 1/(1−β) steps, θ̄ ← β θ̄ + (1−β) θ from there on, whatever came before."""
    decay, start = 0.95, 100
    θ = iterates(steps=300)
    weights = Averaging("ema", 300, decay=decay, start=start / 300)(np.arange(300))
    path = averaged(backend, weights, θ)
    np.testing.assert_allclose(path[start + 19], θ[start : start + 20].mean(axis=0), rtol=1e-12)
    expected = θ[start : start + 20].mean(axis=0)
    for x in θ[start + 20 :]:
        expected = decay * expected + (1 - decay) * x
    np.testing.assert_allclose(path[-1], expected, rtol=1e-12)
    elsewhere = np.concatenate([θ[:start] + 1e3, θ[start:]])
    np.testing.assert_allclose(averaged(backend, weights, elsewhere)[-1], path[-1], rtol=1e-12)


def test_ema_of_a_constant_is_that_constant(backend):
    θ = np.full((50, 6), 7.0)
    path = averaged(backend, Averaging("ema", 50, decay=0.9, start=0.0)(np.arange(50)), θ)
    np.testing.assert_allclose(path, 7.0, rtol=1e-15)


@pytest.mark.rows("dtype", ["float32", "float64"])
def test_none_is_the_newest(backend, dtype):
    θ = iterates(dtype, steps=50)
    path = averaged(backend, Averaging("none", 50)(np.arange(50)), θ)
    np.testing.assert_allclose(path, θ, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", AVERAGES)
def test_weights_lie_between_0_and_1_and_are_1_before_the_start(name):
    weights = Averaging(name, STEPS, decay=0.99, start=0.3)(T)
    assert ((weights > 0.0) & (weights <= 1.0)).all()
    np.testing.assert_array_equal(weights[: int(0.3 * STEPS) + 1], 1.0)
    assert (np.diff(weights) <= 0.0).all()
    assert name == "none" or weights[-1] == {"ema": 1 - 0.99, "tail": 1 / 700}[name]


def test_the_average_starts_as_a_copy_and_leaves_the_newest_alone(backend):
    parameters = Parameters({"W": (1, 2)}, backend, "float64")
    parameters.update(Tensor(backend.array(np.array([1.0, 2.0]))))
    average = Average(parameters)
    np.testing.assert_array_equal(average.parameters.flat.numpy(), [1.0, 2.0])
    parameters.update(Tensor(backend.array(np.array([3.0, 6.0]))))
    average.step(0.5)
    np.testing.assert_array_equal(average.parameters.flat.numpy(), [2.0, 4.0])
    np.testing.assert_array_equal(parameters.flat.numpy(), [3.0, 6.0])


@pytest.mark.rows(
    ("options", "says"),
    [
        ({"name": "mean"}, "one of none, ema, tail; received 'mean'"),
        ({"steps": 0}, "steps of an? .* is a whole number ≥ 1; received 0"),
        ({"decay": 1.0}, r"decay of an average is a number in \[0, 1\)"),
        ({"decay": -0.1}, r"decay of an average is a number in \[0, 1\)"),
        ({"start": 1.5}, "start of an average is .*; received 1.5"),
    ],
)
def test_impossible_averages_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Averaging(**{"name": "ema", "steps": STEPS} | options)
