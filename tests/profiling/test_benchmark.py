"""The comparison of CPU and GPU is fair: one mathematics, turns, controls, waits; and says what it lacks."""

import importlib
import json
import math
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.text import Text

import minigan as mg
from minigan import backend as backends
from minigan import cli
from minigan.engine.tensor import CaptureError
from minigan.errors import ConfigError, DataError, UnavailableError
from minigan.profiling import benchmark, timings
from minigan.profiling.benchmark import KINDS, STEPS, Task, Variant
from minigan.profiling.figure import draw_bench
from minigan.profiling.timings import Ceiling, Cell, Record, Size
from minigan.reports import style

ROOT = Path(__file__).parents[2]
TINY = Size(8, 4)
CAPTURED = Variant(execution="planned")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Timings of no length, of small yardsticks: what is measured here is measured by nobody."""
    monkeypatch.setattr(benchmark, "QUICK_SECONDS", 1e-4)
    monkeypatch.setattr(benchmark, "CEILING", {"numpy": (16, 64), "cupy": (16, 64)})
    monkeypatch.setattr(benchmark, "TRANSFERS", (64, 256))
    monkeypatch.setattr(benchmark, "SAMPLES", 32)  # few steps in a block
    monkeypatch.setattr(benchmark, "WARM", {"numpy": 0.0, "cupy": 0.0})
    monkeypatch.setattr(benchmark, "starts", lambda backend, runs: [])


def cell(variant="a", median=1.0, size=TINY, what="step", **fields):
    """A row of a result."""
    fields = {"backend": "numpy", "dtype": "float32", "tf32": False, "seconds": [median] * 7} | fields
    return Cell(
        what, *size, variant, threads=1, execution="planned", steps=1, device=None, median=median,
        low=median, high=median, flops=KINDS[what].flops(size), gflops=1.0, gbs=1.0, of_ceiling=0.5, **fields,
    )  # fmt: skip


def record(*cells, **fields):
    """A result."""
    fields = {"measured": "2026-11-23T00:00Z", "environment": {}, "facts": [], "notes": []} | fields
    return Record(quick=True, turns=7, cells=list(cells), **fields)


# ── one mathematics


def test_the_game_is_the_one_of_the_peers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    reference = importlib.import_module("bench.peers.ours").reference
    game, _ = benchmark.make_game(backends.numpy_backend, TINY, "float64")
    weights = {
        "G": game.generator.parameters.flat.numpy(),
        "D": game.discriminator.parameters.flat.numpy(),
    }
    draws = benchmark.batches(TINY, 5).astype("float64")
    expected, gradients = reference(weights, *draws[:, :, 0])
    for batch in zip(*draws, strict=True):
        game.round(mg.Batch(*map(mg.constant, batch)))
    np.testing.assert_allclose(game.generator.parameters.flat.numpy(), expected["G"], rtol=1e-12)
    np.testing.assert_allclose(game.discriminator_optimizer.state["g"].numpy(), gradients["D"], rtol=1e-9)


def test_the_data_are_those_of_the_peers():
    x, z_d, z_g = benchmark.batches(Size(4096, 1), 8)
    assert abs(x.mean() - 4) < 0.05 and abs(x.std() - 1.25) < 0.05
    assert all(abs(z.mean()) < 0.05 and abs(z.std() - 1) < 0.05 for z in (z_d, z_g))


@pytest.mark.parametrize(("home", "execution"), [
    ("numpy", "planned"), ("numpy", "recorded"), ("strict", "eager"), ("strict", "recorded"),
])  # fmt: skip
def test_every_execution_has_the_losses_of_numpy(home, execution):
    """From the same weights on the same draws, also after it was timed; test_gpu_probe has the others."""
    size = Size(8, 4, 3)
    expected = np.array(
        benchmark.make_step(backends.numpy_backend, Variant(execution="eager"), size).losses(9)
    )
    task = benchmark.make_step(backends.get(home), Variant(home, execution), size)
    task.call()
    for steps, alike in ((9, True), (9, True), (8, False)):
        assert bool(np.max(np.abs(np.array(task.losses(steps)) - expected)) < 1e-5) is alike


@pytest.mark.parametrize(("what", "where", "how"), [
    ("gemm", "numpy", "call"), ("gemm", "strict", "call"), ("elementwise", "numpy", "call"),
    ("elementwise", "strict", "call"), ("layer", "numpy", "planned"), ("layer", "strict", "eager"),
    ("layer", "strict", "recorded"), ("layer", "strict", "launches"),
])  # fmt: skip
def test_the_other_kinds_compute_what_they_say(what, where, how):
    (B, H, _), home, rng = TINY, backends.get(where), np.random.default_rng(0)
    task = KINDS[what].make(home, Variant(where, how), TINY)
    shapes = {"gemm": [(B, H), (H, H)], "elementwise": [(B, H), (1, H)], "layer": [(B, H), (H, H), (1, H)]}
    x, *rest = (rng.standard_normal(shape).astype("float32") for shape in shapes[what])
    found = task.call()
    if what == "layer":
        W, b = rest
        slope = (1 - np.tanh(x @ W + b) ** 2) / (B * H)
        expected = slope @ W.T, x.T @ slope, slope.sum(0, keepdims=True)
        found = [home.to_host(g.array) for g in found]
    else:
        expected = [x @ rest[0] if what == "gemm" else np.tanh(x + rest[0])]
        found = [home.to_host(found)]
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-7)


def test_a_variant_that_computes_something_else_is_told(monkeypatch):
    def wrong(backend, variant, size):
        task = benchmark.make_step(backend, variant, size)
        if variant.execution == "eager":
            return replace(task, losses=lambda steps: tuple(1.01 * loss for loss in task.losses(steps)))
        return task

    monkeypatch.setitem(KINDS, "step", replace(KINDS["step"], make=wrong))
    found = benchmark.measure("numpy", (TINY,), ("step",), quick=True)
    assert {loss.variant for loss in found.losses if not loss.alike} == {"NumPy, 1 thread, eager"}
    assert [note for note in found.notes if "computes something else" in note and "eager" in note]
    assert sum("computes something else" in note for note in found.notes) == 1


@pytest.fixture
def compared(monkeypatch):
    """A function: the losses of variants that take so many seconds a step, and what each was asked for."""

    def compare(**seconds):
        asked, found = [], record()
        tasks = {}
        for name, pace in seconds.items():
            variant = Variant(name)

            def losses(count, name=name):
                asked.append((name, count))
                return np.full(1, count), np.full(1, -count)

            tasks[variant] = Task(None, None, losses=losses), 1
            found.cells.append(cell(variant.name, pace))
        benchmark.Bench(found, {}, True, lambda count: None, lambda text: None)._losses("step", TINY, tasks)
        return found.losses, asked

    return compare


def test_a_slow_variant_is_compared_after_fewer_steps_and_the_others_after_all(compared):
    losses, asked = compared(a=1e-3, slow=0.1, b=1e-4, stuck=50.0)
    assert [loss.step for loss in losses] == [20, 5, 20, benchmark.FEWEST]
    assert all(loss.alike for loss in losses)  # each beside the first after as many steps
    assert sorted(asked) == [("a", 2), ("a", 5), ("a", 20), ("b", 20), ("slow", 5), ("stuck", 2)]
    losses, _ = compared(a=50.0, b=1e-4)
    assert [loss.step for loss in losses] == [benchmark.FEWEST] * 2


def test_after_the_fewest_steps_both_moves_show(monkeypatch):
    """Losses after one step have not seen G's move; those after the fewest have."""
    start = benchmark.make_step(backends.numpy_backend, Variant(execution="eager"), TINY)
    before, expected = np.array(start.losses(1)), np.array(start.losses(benchmark.FEWEST))
    made = benchmark.make_game

    def still(*arguments):
        game, state = made(*arguments)
        game.generator_optimizer.step = lambda *_: None
        return game, state

    monkeypatch.setattr(benchmark, "make_game", still)
    task = benchmark.make_step(backends.numpy_backend, Variant(execution="eager"), TINY)
    np.testing.assert_array_equal(task.losses(1), before)
    assert np.max(np.abs(np.array(task.losses(benchmark.FEWEST)) - expected)) > 1e-4


# ── timing


class Clock:
    """A time that passes only where somebody works: a call queues a second, waiting spends it."""

    def __init__(self):
        self.now, self.queued, self.waits = 0.0, 0.0, 0

    def call(self):
        self.queued += 1.0

    def synchronize(self):
        self.now, self.queued, self.waits = self.now + self.queued, 0.0, self.waits + 1

    def timer(self):
        return nullcontext(SimpleNamespace(seconds=0.25))


def test_a_timing_waits_for_the_work_and_not_for_what_came_before(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("minigan.profiling.benchmark.time", SimpleNamespace(perf_counter=lambda: clock.now))
    clock.queued = 5.0
    assert benchmark.timed(Task(clock, clock.call), 3) == (3.0, 0.25)
    assert clock.waits == 2  # once for many calls


def test_a_block_lasts_as_long_as_asked(monkeypatch):
    clock = Clock()
    clock.call = lambda: setattr(clock, "queued", clock.queued + 1e-3)
    monkeypatch.setattr("minigan.profiling.benchmark.time", SimpleNamespace(perf_counter=lambda: clock.now))
    assert benchmark.calibrated(Task(clock, clock.call), 0.5) == pytest.approx(500, abs=1)
    clock.call = lambda: setattr(clock, "queued", clock.queued + 2.0)
    assert benchmark.calibrated(Task(clock, clock.call), 0.5) == 1


def test_variants_take_turns_and_the_first_is_its_own_control(monkeypatch):
    order, names = [], {}
    for k, letter in enumerate("abc"):
        names[Variant(dtype=letter)] = float(k + 1)
    monkeypatch.setattr(benchmark, "timed", lambda task, count: (order.append(task) or task * count, 0.0))
    found = record()
    bench = benchmark.Bench(found, {}, True, lambda count: None, lambda text: None)
    monkeypatch.setattr(bench, "_row", lambda what, kind, size, variant, steps, seconds, device: seconds)
    tasks = {variant: (TaskLike(seconds), 2) for variant, seconds in names.items()}
    bench._turns("replicas", KINDS["replicas"], Size(8, 4, 2), tasks)
    assert [task.seconds for task in order] == [1.0, 2.0, 3.0, 1.0] * 7
    assert found.cells == [[0.5] * 7, [1.0] * 7, [1.5] * 7]  # of one of two GANs
    assert (found.controls[0].median, found.controls[0].low) == (1.0, 1.0)


class TaskLike:
    """A task of so many seconds a call."""

    def __init__(self, seconds):
        self.seconds, self.steps = seconds, 1

    def __mul__(self, count):
        return self.seconds * count


def test_the_double_of_a_gpu_is_never_timed():
    with pytest.raises(ConfigError, match="say nothing about a GPU"):
        benchmark.measure("strict")


@pytest.fixture
def double(monkeypatch):
    """The double where a GPU would be, so that the GPU's half runs; the figures mean nothing."""
    strict = backends.get("strict")
    monkeypatch.setattr(type(strict), "name", "cupy")
    monkeypatch.setattr(benchmark, "chosen", lambda name: ([backends.numpy_backend, strict], []))
    return strict


def test_the_half_of_the_gpu_runs_on_its_double(double, monkeypatch):
    ways = Variant(), Variant(execution="eager"), Variant("cupy", "eager"), Variant("cupy", "recorded")
    more = Variant("cupy", "planned"), Variant("cupy", "eager", tf32=True)
    monkeypatch.setitem(KINDS, "step", replace(KINDS["step"], variants=(*ways[1:], *more)))
    monkeypatch.setattr(benchmark, "blas_findings", lambda *facts: [])  # what this machine's BLAS is advised
    found = benchmark.measure("auto", (TINY,), ("gemm", "step"), quick=True)
    timed = {(c.what, c.variant) for c in found.cells}
    assert {("gemm", "CuPy"), ("gemm", "CuPy float64"), ("step", "CuPy, eager")} <= timed
    gpu = [c for c in found.cells if c.backend == "cupy"]
    assert all(len(c.device) == found.turns and c.threads == 0 for c in gpu)
    assert all(loss.alike for loss in found.losses) and not found.notes
    assert {c.what for c in found.crossovers} == {"gemm", "step"}
    variants = {(what, v.name) for what in ("gemm", "step") for v in KINDS[what].variants}
    assert variants == timed | {(left.what, left.variant) for left in found.left_out}
    assert ("step", "CuPy, captured") in {(left.what, left.variant) for left in found.left_out}
    assert {t.backend for t in found.transfers} == {"numpy", "cupy"}


def test_memory_that_is_copied_was_touched(double, monkeypatch):
    """Untouched zeros are one page, which stays in the cache: a copy of them is no copy from memory."""
    calls, read = [], []
    monkeypatch.setattr(benchmark, "best", lambda task, trials: calls.append(task.call) or 1.0)
    for home in (backends.numpy_backend, double):
        bench = benchmark.Bench(record(), {home.name: home}, True, lambda count: None, lambda text: None)
        bench.ceiling(Variant(home.name))
        _, source = calls[-1].args
        read.append(home.to_host(source))
        array = type(home).array
        with monkeypatch.context() as patched:
            patched.setattr(type(home), "array", lambda h, x, array=array: (read.append(x), array(h, x))[1])
            bench.transfers(home)
    assert len(read) == 2 * (1 + 2 * record().turns) and all(x.size and x.all() for x in read)


def test_products_in_tf32_are_switched_on_only_while_they_run(double, monkeypatch):
    monkeypatch.setattr(type(double), "tf32", False, raising=False)
    seen = []
    kind = replace(KINDS["gemm"], make=lambda home, *_: Task(home, lambda: seen.append(home.tf32)))
    for tf32 in (True, False):
        benchmark.make(double, kind, Variant("cupy", tf32=tf32), TINY).call()
    assert seen == [True, False] and double.tf32 is False
    with pytest.raises(backends.BackendError, match="TF32"):
        benchmark.make(backends.numpy_backend, kind, Variant(tf32=True), TINY)


@pytest.mark.parametrize("least", [128, 129])
def test_a_fused_step_without_a_product_by_cublas_is_not_one_in_tf32(double, monkeypatch, least):
    """(8, 4) has products of 128 multiplications: at that bound they are by cuBLAS, above it none is."""
    monkeypatch.setattr(benchmark.cuda_code, "LARGE", least)
    monkeypatch.setattr(benchmark.cuda_code.Launches, "large", least)
    task = benchmark.make_step(double, Variant("cupy", "launches"), TINY)
    assert bool(task.program.plan.stages.large) is (least == 128)
    ways = Variant(execution="planned"), Variant("cupy", "launches", tf32=True)
    monkeypatch.setitem(KINDS, "step", replace(KINDS["step"], variants=ways))
    monkeypatch.setattr(benchmark, "timed", lambda task, count: (1.0, 1.0))
    monkeypatch.setattr(benchmark.Bench, "_losses", lambda *_: None)
    monkeypatch.setattr(benchmark.Bench, "transfers", lambda *_: None)
    found = benchmark.measure("auto", (TINY,), ("step",), quick=True)
    reasons = [left.why for left in found.left_out if left.variant == ways[1].name]
    if least == 128:
        assert not reasons and ways[1].name in {c.variant for c in found.cells}
    else:
        assert reasons == [
            "at (8, 4) nothing is in TF32: the fused graph leaves products to cuBLAS from 129 "
            "multiplications on, and the largest has 128"
        ]


def test_tf32_is_refused_where_products_are_by_our_own_kernel(double, monkeypatch):
    facts = type(double).facts
    name = property(lambda gemm: "own kernel")
    monkeypatch.setattr(type(double.gemm), "maker", name, raising=False)
    monkeypatch.setattr(type(double), "facts", lambda home: facts(home) | {"products": home.gemm.maker})
    found = benchmark.measure("auto", (TINY,), ("gemm",), quick=True)
    assert [(left.variant, left.why) for left in found.left_out] == [
        ("CuPy TF32", "TF32 needs cuBLAS, but the products of cupy are by its own kernel")
    ]
    assert timings.Fact("cupy", "products", "own kernel") in found.facts


def test_what_a_backend_cannot_do_is_left_out_with_a_reason():
    with pytest.raises(CaptureError, match="'block'"):
        benchmark.make_step(backends.numpy_backend, Variant(execution="block"), TINY)


def test_a_machine_without_a_gpu_measures_its_half_and_says_so(monkeypatch):
    def absent(name):
        if name == "cupy":
            raise backends.BackendError("there is no GPU here")
        return backends.numpy_backend

    monkeypatch.setattr(benchmark.backends, "get", absent)
    found = benchmark.measure("auto", (TINY,), quick=True)
    assert found.notes[0] == "no GPU was measured, this is the CPU half alone: there is no GPU here"
    assert {c.what for c in found.cells} == set(KINDS) and not found.crossovers
    for c in found.cells:
        assert len(c.seconds) == found.turns and min(c.seconds) <= c.median <= max(c.seconds)
        share = max(c.replicas, 1)
        assert c.gflops == pytest.approx(c.work / share / c.median / 1e9)
    assert {(c.what, c.size) for c in found.cells} == {
        (c.what, Size(c.batch, c.width, c.replicas)) for c in found.controls
    }
    assert all(loss.alike for loss in found.losses)
    with pytest.raises(UnavailableError, match="there is no GPU here"):
        benchmark.measure("cupy")


def test_what_would_not_fit_is_not_tried(monkeypatch):
    monkeypatch.setattr(benchmark, "available_memory", lambda: 10**6)
    found = benchmark.measure("numpy", (Size(4096, 64),), ("step",), quick=True)
    assert not found.cells and {left.variant for left in found.left_out} == {
        v.name for v in KINDS["step"].variants if not v.on_gpu
    }
    assert all("GiB" in left.why for left in found.left_out)


def test_what_takes_minutes_is_left_out(monkeypatch):
    ways = Variant(execution="planned"), Variant(execution="eager", most=1e3)
    monkeypatch.setitem(KINDS, "step", replace(KINDS["step"], variants=ways))
    found = benchmark.measure("numpy", (TINY,), ("step",), quick=True)
    assert [c.variant for c in found.cells] == [ways[0].name]
    assert [(left.variant, left.why) for left in found.left_out] == [
        (ways[1].name, "at (8, 4) a step has more than 1e-06 GFLOP")
    ]
    slow = [v for v in STEPS if v.most < benchmark.flops_of_step(Size(8192, 1024))]
    assert {(v.backend, v.execution, v.dtype) for v in slow} == {
        ("numpy", "planned", "float64"), ("numpy", "eager", "float32"), ("cupy", "block", "float32"),
    }  # fmt: skip
    (block,) = (v for v in STEPS if v.execution == "block")
    flops = benchmark.flops_of_step
    assert flops(Size(2048, 256)) < block.most < flops(Size(4096, 512))  # it is one multiprocessor's work


def test_threads_of_blas_are_set_and_put_back():
    from threadpoolctl import threadpool_info

    def threads():
        return [entry["num_threads"] for entry in threadpool_info() if entry["user_api"] == "blas"]

    before = threads()
    with benchmark.blas_control() as limit:
        assert set(threads()) == {1}
        limit(2)
        assert set(threads()) == {2}
    assert threads() == before


def test_the_cold_start_of_a_process(monkeypatch):
    monkeypatch.undo()
    parts = {start.part: start.seconds[0] for start in benchmark.starts("numpy", 1)}
    assert "import numpy" in parts and min(parts.values()) >= 0
    assert parts.pop("the whole process") == pytest.approx(sum(parts.values()), rel=1e-6)
    assert benchmark.starts("cupy", 1) == [] or backends.get("cupy")


def test_a_step_at_the_bars_size_has_its_operations():
    """3.37 and 25 900 MFLOP: what the predictions divide by."""
    assert benchmark.flops_of_step(Size(128, 32)) == 3_366_912
    assert benchmark.flops_of_step(Size(4096, 512)) == pytest.approx(25.9e9, rel=0.01)


# ── what is made of it


def test_the_interval_of_a_median():
    assert timings.interval_of_median([3.0, 1.0, 2.0]) == (1.0, 3.0)
    assert timings.interval_of_median(list(range(1, 8))) == (1, 7)  # 1 − 2/2⁷ = 98 %
    assert timings.interval_of_median(list(range(1, 18))) == (5, 13)  # tables of the sign test


def test_quartiles():
    assert timings.quartiles([5.0]) == (5.0, 5.0, 5.0)
    assert timings.quartiles([4.0, 1.0, 2.0, 3.0, 5.0]) == (3.0, 2.0, 4.0)


def lines(ratios, what="step", **of_gpu):
    """Cells of growing work: NumPy takes 1 s, CuPy so much."""
    sizes = [Size(2**k, 4) for k in range(1, len(ratios) + 1)]
    for size, ratio in zip(sizes, ratios, strict=True):
        yield cell("cpu", 1.0, size, what)
        yield cell("slower cpu", 3.0, size, what)
        yield cell("gpu", ratio, size, what, **{"backend": "cupy"} | of_gpu)


def test_where_the_gpu_overtakes():
    (found,) = timings.crossovers(list(lines([4.0, 2.0, 0.5, 0.1])))
    a, b = (benchmark.flops_of_step(Size(B, 4)) for B in (4, 8))
    assert found.work == pytest.approx(math.sqrt(a * b))  # 2 and ½: half way on log axes
    assert "NumPy is faster up to (4, 4), the GPU from (8, 4)" in found.sentence


@pytest.mark.parametrize(("ratios", "said"), [
    ([2.0, 1.5], "NumPy is faster at every size"), ([0.5, 0.1], "the GPU is faster at every size"),
    ([0.5, 2.0], "the GPU is faster at the smaller sizes"), ([2.0, 0.5, 1.2], "and again beyond"),
])  # fmt: skip
def test_one_that_always_wins_is_named(ratios, said):
    (found,) = timings.crossovers(list(lines(ratios)))
    assert said in found.sentence and (found.work is None) == ("beyond" not in said)


def test_only_like_is_compared_with_like():
    assert not timings.crossovers(list(lines([2.0, 0.5], tf32=True)))
    assert not timings.crossovers(list(lines([2.0, 0.5], dtype="float64")))


def test_what_computes_something_else_crosses_nothing():
    """The fastest of the GPU does not win by another computation; the next one counts."""
    cells = [
        *lines([4.0, 2.0, 0.5, 0.1]),
        *(cell("wrong", 1e-3, Size(2**k, 4), backend="cupy") for k in (1, 2)),
    ]
    losses = [
        timings.Loss("step", 2**k, 4, 0, name, 20, 0.0, 0.0, 0.0, name != "wrong")
        for k in (1, 2, 3, 4) for name in ("cpu", "slower cpu", "gpu", "wrong")
    ]  # fmt: skip
    assert timings.crossovers(cells, losses) == timings.crossovers(list(lines([4.0, 2.0, 0.5, 0.1])))
    assert timings.crossovers(cells) != timings.crossovers(cells, losses)


def test_replicas_cross_for_each_net():
    cells = [
        cell(name, t, Size(8, H, R), "replicas", backend=backend)
        for H, cross in ((4, 4.0), (8, 16.0))
        for R in (1, 64)
        for name, backend, t in (("cpu", "numpy", 1.0), ("gpu", "cupy", cross / R))
    ]
    for found, (H, cross) in zip(timings.crossovers(cells), ((4, 4.0), (8, 16.0)), strict=True):
        assert (found.batch, found.width) == (8, H)
        assert found.work / benchmark.flops_of_step(Size(8, H)) == pytest.approx(cross)


def test_two_results_are_divided():
    a, b = record(cell(median=2.0), cell("only a")), record(cell(median=3.0, seconds=[2.5] + [3.0] * 6))
    (ratio,) = timings.compare(a, b)
    assert (ratio.ratio, ratio.low, ratio.high, ratio.differs) == (1.5, 1.25, 1.5, True)
    (back,) = timings.compare(b, a)
    assert (back.low, back.high) == pytest.approx((1 / 1.5, 1 / 1.25))
    assert not timings.compare(a, a)[0].differs


def test_results_that_are_not_comparable_are_refused():
    with pytest.raises(DataError, match=r"no cell in common: step at \(8, 4\) against gemm at \(8, 4\)"):
        timings.compare(record(cell()), record(cell(what="gemm")))
    with pytest.raises(DataError, match="timed different things"):
        timings.compare(record(cell()), record(cell(), definition=2))


def test_a_result_is_written_and_read(tmp_path):
    found = record(cell(), ceilings=[Ceiling("numpy", "float32", False, 1, 2.0, 3.0)], notes=["π"])
    (tmp_path / "a.json").write_bytes(timings.encode(found))
    assert timings.read(tmp_path / "a.json") == found


@pytest.mark.parametrize("change", [
    lambda text: "", lambda text: text[:-40], lambda text: "[1]", lambda text: "9" * 2**25,
    lambda text: text.replace('"bench"', '"doctor"'), lambda text: text.replace('"schema": 1', '"schema": 2'),
    lambda text: text.replace('"steps": 1', '"steps": "1"'), lambda text: text.replace('"measured"', '"m"'),
])  # fmt: skip
def test_what_is_no_result_is_refused_in_a_sentence(tmp_path, change):
    path = tmp_path / "a.json"
    path.write_text(change(timings.encode(record(cell())).decode()))
    with pytest.raises(DataError, match="a.json"):
        timings.read(path)


# ── the picture, the command


def texts(figure):
    """Everything that is written on a figure."""
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_the_picture_marks_the_crossover(tmp_path):
    cells = list(lines([4.0, 2.0, 0.5, 0.1]))
    cells += [cell("cpu", 1.0, Size(8, 4, R), "replicas") for R in (1, 8)]
    cells += [cell("gpu", 4.0 / R, Size(8, 4, R), "replicas", backend="cupy") for R in (1, 8)]
    ceilings = [Ceiling(name, "float32", False, 0, 1.0, 1.0) for name in ("numpy", "cupy")]
    found = record(*cells, ceilings=ceilings, crossovers=timings.crossovers(cells))
    figure = draw_bench(found)
    assert "MFLOP" in texts(figure) and "R = 4" in texts(figure) and "alone" not in texts(figure)
    steps, _ = (ax for ax in figure.axes if ax.get_title(loc="left"))
    (place,) = {x for line in steps.lines for x in line.get_xdata() if line.get_color() == style.CHANCE}
    assert place == pytest.approx(found.crossovers[0].work)
    style.save(figure, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes()[:4] == b"\x89PNG"


def test_the_picture_of_a_cpu_says_what_it_is():
    figure = draw_bench(record(cell()))
    assert "The CPU half alone" in texts(figure) and "crossover" not in texts(figure)
    draw_bench(record())


@pytest.fixture
def bench(capsys, tmp_path, monkeypatch):
    """A function that runs `minigan bench`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = cli.main(["bench", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_command_prints_writes_draws_and_compares(bench):
    options = ("--quick", "--only", "gemm", "--only", "step", "--sizes", "8,4", "--backend", "numpy")
    code, out, err = bench(*options, "--out", "a.json", "--figure", "a.svg")
    assert code == 0, err
    for said in (
        "gemm: x W",
        "NumPy, all threads of BLAS",
        "control: the first",
        "losses: at most",
        "ceiling",
    ):
        assert said in out, out
    assert "step (8, 4)" in err and Path("a.svg").read_text().startswith("<?xml")
    saved = json.loads(Path("a.json").read_text())
    assert saved["command"] == "bench" and saved["environment"]["cpu"] in out
    code, out, _ = bench("--compare", "a.json", "a.json")
    assert code == 0 and "gemm (8, 4)" in out and "*" in out.splitlines()[-1] and out.count(" to ") > 5
    code, out, _ = bench("--compare", "a.json", "a.json", "--json")
    assert code == 0 and {ratio["ratio"] for ratio in json.loads(out)["ratios"]} == {1.0}


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["--backend", "strict"], 2, "double of a GPU"), (["--only", "gem"], 2, "no 'gem'"),
    (["--sizes", "8"], 2, "batch,width"), (["--sizes", "0,8"], 2, "batch,width"),
    (["--sizes", "8,9999999"], 2, "batch,width"), (["--figure", "a.jpg"], 2, ".png"),
    (["--compare", "a.json", "b.json"], 3, "a.json"),
    (["--compare", "a.json", "b.json", "--quick"], 2, "times nothing"),
    (["--backend", "gpu"], 2, "numpy, cupy or auto"),
])  # fmt: skip
def test_what_is_asked_wrongly_is_refused(bench, arguments, code, said):
    found, out, err = bench(*arguments)
    assert (found, out) == (code, "") and said in err and err.count("\n") == 1


def test_the_pieces_run_under_pytest_benchmark(tmp_path):
    pytest.importorskip("pytest_benchmark", reason="needs pytest-benchmark")
    path = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "pytest", "bench/bench_gpu.py", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--benchmark-json={path}", "-k", "64x16 and (gemm or step) and not BLAS and not eager"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-2000:]
    found = {run["extra_info"]["variant"]: run for run in json.loads(path.read_text())["benchmarks"]}
    assert {"NumPy, 1 thread", "NumPy, 1 thread, captured", "NumPy, all threads, captured"} <= found.keys()
    for run in found.values():
        info = run["extra_info"]
        assert (info["batch"], info["width"], info["replicas"]) == (64, 16, 0) and info["computes"]
        assert info["microseconds"] == pytest.approx(1e6 * run["stats"]["median"] / info["steps"])
