"""The comparison of CPU and GPU is fair: variants take turns, losses agree; and it says what it lacks."""

from dataclasses import replace

import numpy as np
import pytest

from minigan import backend as backends
from minigan import cli
from minigan.errors import ConfigError, UnavailableError
from minigan.profiling import benchmark, results, work
from minigan.profiling.results import Cell, Record, Size
from minigan.profiling.work import KINDS, STEPS, Task, Variant

TINY = Size(8, 4)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Timings of no length, of small yardsticks: what is measured here is measured by nobody."""
    monkeypatch.setattr(benchmark, "QUICK_SECONDS", 1e-4)
    monkeypatch.setattr(benchmark, "CEILING", {"numpy": (16, 64), "cupy": (16, 64)})
    monkeypatch.setattr(benchmark, "TRANSFERS", (64, 256))
    monkeypatch.setattr(work, "SAMPLES", 32)  # few steps in a block
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


def test_a_variant_that_computes_something_else_is_told(monkeypatch):
    def wrong(backend, variant, size):
        task = work.make_step(backend, variant, size)
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
    start = work.make_step(backends.numpy_backend, Variant(execution="eager"), TINY)
    before, expected = np.array(start.losses(1)), np.array(start.losses(benchmark.FEWEST))
    made = work.make_game

    def still(*arguments):
        game, state = made(*arguments)
        game.generator_optimizer.step = lambda *_: None
        return game, state

    monkeypatch.setattr(work, "make_game", still)
    task = work.make_step(backends.numpy_backend, Variant(execution="eager"), TINY)
    np.testing.assert_array_equal(task.losses(1), before)
    assert np.max(np.abs(np.array(task.losses(benchmark.FEWEST)) - expected)) > 1e-4


def test_variants_take_turns_and_the_first_is_its_own_control(monkeypatch):
    order, names = [], {}
    for k, letter in enumerate("abc"):
        names[Variant(dtype=letter)] = float(k + 1)
    found = record()
    bench = benchmark.Bench(found, {}, True, lambda count: None, lambda text: None)
    monkeypatch.setattr(bench, "_row", lambda what, kind, size, variant, steps, seconds, device: seconds)
    tasks = {variant: (TaskLike(seconds, order), 2) for variant, seconds in names.items()}
    bench._turns("replicas", KINDS["replicas"], Size(8, 4, 2), tasks)
    assert [task.seconds for task in order] == [1.0, 2.0, 3.0, 1.0] * 7
    assert found.cells == [[0.5] * 7, [1.0] * 7, [1.5] * 7]  # of one of two GANs
    assert (found.controls[0].median, found.controls[0].low) == (1.0, 1.0)


class TaskLike:
    """A task of so many seconds a call."""

    def __init__(self, seconds, order):
        self.seconds, self.steps, self.order = seconds, 1, order

    def timed(self, count):
        self.order.append(self)
        return self.seconds * count, 0.0


def test_a_simulated_device_is_never_timed():
    with pytest.raises(ConfigError, match="say nothing about a GPU"):
        benchmark.measure("strict")


@pytest.fixture
def simulated(monkeypatch):
    """The simulated where a GPU would be, so that the GPU's half runs; the figures mean nothing."""
    strict = backends.get("strict")
    monkeypatch.setattr(type(strict), "name", "cupy")
    monkeypatch.setattr(benchmark, "choose_backends", lambda name: ([backends.numpy_backend, strict], []))
    return strict


def test_the_half_of_the_gpu_runs_on_a_simulated_one(simulated, monkeypatch):
    ways = Variant(), Variant(execution="eager"), Variant("cupy", "eager"), Variant("cupy", "recorded")
    more = Variant("cupy", "planned"), Variant("cupy", "eager", tf32=True)
    monkeypatch.setitem(KINDS, "step", replace(KINDS["step"], variants=(*ways[1:], *more)))
    monkeypatch.setattr(benchmark, "blas_findings", lambda *facts: [])  # what this machine's BLAS is advised
    monkeypatch.setattr(benchmark, "disturbances", lambda record, what: [])  # other tests run beside this one
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


def test_memory_that_is_copied_was_touched(simulated, monkeypatch):
    """Untouched zeros are one page, which stays in the cache: a copy of them is no copy from memory."""
    calls, read = [], []
    monkeypatch.setattr(benchmark, "fastest", lambda wall, trials: calls.append(wall.__self__.call) or 1.0)
    for home in (backends.numpy_backend, simulated):
        bench = benchmark.Bench(record(), {home.name: home}, True, lambda count: None, lambda text: None)
        bench.ceiling(Variant(home.name))
        _, source = calls[-1].args
        read.append(home.to_host(source))
        array = type(home).array
        with monkeypatch.context() as patched:
            patched.setattr(type(home), "array", lambda h, x, array=array: (read.append(x), array(h, x))[1])
            bench.transfers(home)
    assert len(read) == 2 * (1 + 2 * record().turns) and all(x.size and x.all() for x in read)


@pytest.mark.parametrize("least", [128, 129])
def test_a_fused_step_without_a_product_by_cublas_is_not_one_in_tf32(simulated, monkeypatch, least):
    """(8, 4) has products of 128 multiplications: at that bound they are by cuBLAS, above it none is."""
    monkeypatch.setattr(work.cuda_launches, "LARGE", least)
    launches = work.cuda_launches.Launches
    monkeypatch.setattr(launches, "target", launches.target._replace(large=least))
    task = work.make_step(simulated, Variant("cupy", "launches"), TINY)
    assert bool(task.program.plan.stages.large) is (least == 128)
    ways = Variant(execution="planned"), Variant("cupy", "launches", tf32=True)
    monkeypatch.setitem(KINDS, "step", replace(KINDS["step"], variants=ways))
    monkeypatch.setattr(Task, "timed", lambda task, count: (1.0, 1.0))
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


def test_tf32_is_refused_where_products_are_by_our_own_kernel(simulated, monkeypatch):
    facts = type(simulated).facts
    name = property(lambda gemm: "own kernel")
    monkeypatch.setattr(type(simulated.gemm), "maker", name, raising=False)
    monkeypatch.setattr(type(simulated), "facts", lambda home: facts(home) | {"products": home.gemm.maker})
    found = benchmark.measure("auto", (TINY,), ("gemm",), quick=True)
    assert [(left.variant, left.why) for left in found.left_out] == [
        ("CuPy TF32", "TF32 needs cuBLAS, but the products of cupy are by its own kernel")
    ]
    assert results.Fact("cupy", "products", "own kernel") in found.facts


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
    monkeypatch.setattr(work, "available_memory", lambda: 10**6)
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
    slow = [v for v in STEPS if v.most < work.flops_of_step(Size(8192, 1024))]
    assert {(v.backend, v.execution, v.dtype) for v in slow} == {
        ("numpy", "planned", "float64"), ("numpy", "eager", "float32"), ("cupy", "block", "float32"),
    }  # fmt: skip
    (block,) = (v for v in STEPS if v.execution == "block")
    flops = work.flops_of_step
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


@pytest.fixture
def bench(capsys, tmp_path, monkeypatch):
    """A function that runs `minigan bench`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = cli.main(["bench", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
