"""Results as files, where a GPU overtakes the CPU, and one result over another."""

import math

import pytest

from minigan.errors import DataError
from minigan.profiling import results, work
from minigan.profiling.results import Ceiling, Cell, Record, Size
from minigan.profiling.work import KINDS

TINY = Size(8, 4)


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


def lines(ratios, what="step", **of_gpu):
    """Cells of growing work: NumPy takes 1 s, CuPy so much."""
    sizes = [Size(2**k, 4) for k in range(1, len(ratios) + 1)]
    for size, ratio in zip(sizes, ratios, strict=True):
        yield cell("cpu", 1.0, size, what)
        yield cell("slower cpu", 3.0, size, what)
        yield cell("gpu", ratio, size, what, **{"backend": "cupy"} | of_gpu)


def test_where_the_gpu_overtakes():
    (found,) = results.crossovers(list(lines([4.0, 2.0, 0.5, 0.1])))
    a, b = (work.flops_of_step(Size(B, 4)) for B in (4, 8))
    assert found.work == pytest.approx(math.sqrt(a * b))  # 2 and ½: half way on log axes
    assert "NumPy is faster up to (4, 4), the GPU from (8, 4)" in found.sentence


@pytest.mark.rows(("ratios", "said"), [
    ([2.0, 1.5], "NumPy is faster at every size"), ([0.5, 0.1], "the GPU is faster at every size"),
    ([0.5, 2.0], "the GPU is faster at the smaller sizes"), ([2.0, 0.5, 1.2], "and again beyond"),
])  # fmt: skip
def test_one_that_always_wins_is_named(ratios, said):
    (found,) = results.crossovers(list(lines(ratios)))
    assert said in found.sentence and (found.work is None) == ("beyond" not in said)


def test_only_like_is_compared_with_like():
    assert not results.crossovers(list(lines([2.0, 0.5], tf32=True)))
    assert not results.crossovers(list(lines([2.0, 0.5], dtype="float64")))


def test_what_computes_something_else_crosses_nothing():
    """The fastest of the GPU does not win by another computation; the next one counts."""
    cells = [
        *lines([4.0, 2.0, 0.5, 0.1]),
        *(cell("wrong", 1e-3, Size(2**k, 4), backend="cupy") for k in (1, 2)),
    ]
    losses = [
        results.Loss("step", 2**k, 4, 0, name, 20, 0.0, 0.0, 0.0, name != "wrong")
        for k in (1, 2, 3, 4) for name in ("cpu", "slower cpu", "gpu", "wrong")
    ]  # fmt: skip
    assert results.crossovers(cells, losses) == results.crossovers(list(lines([4.0, 2.0, 0.5, 0.1])))
    assert results.crossovers(cells) != results.crossovers(cells, losses)


def test_replicas_cross_for_each_net():
    cells = [
        cell(name, t, Size(8, H, R), "replicas", backend=backend)
        for H, cross in ((4, 4.0), (8, 16.0))
        for R in (1, 64)
        for name, backend, t in (("cpu", "numpy", 1.0), ("gpu", "cupy", cross / R))
    ]
    for found, (H, cross) in zip(results.crossovers(cells), ((4, 4.0), (8, 16.0)), strict=True):
        assert (found.batch, found.width) == (8, H)
        assert found.work / work.flops_of_step(Size(8, H)) == pytest.approx(cross)


def test_two_results_are_divided():
    a, b = record(cell(median=2.0), cell("only a")), record(cell(median=3.0, seconds=[2.5] + [3.0] * 6))
    (ratio,) = results.compare(a, b)
    assert (ratio.ratio, ratio.low, ratio.high, ratio.differs) == (1.5, 1.25, 1.5, True)
    (back,) = results.compare(b, a)
    assert (back.low, back.high) == pytest.approx((1 / 1.5, 1 / 1.25))
    assert not results.compare(a, a)[0].differs


def test_results_that_are_not_comparable_are_refused():
    with pytest.raises(DataError, match=r"no cell in common: step at \(8, 4\) against gemm at \(8, 4\)"):
        results.compare(record(cell()), record(cell(what="gemm")))
    with pytest.raises(DataError, match="timed different things"):
        results.compare(record(cell()), record(cell(), definition=2))


def test_a_result_is_written_and_read(tmp_path):
    found = record(cell(), ceilings=[Ceiling("numpy", "float32", False, 1, 2.0, 3.0)], notes=["π"])
    (tmp_path / "a.json").write_bytes(results.encode(found))
    assert results.read(tmp_path / "a.json") == found


@pytest.mark.rows("change", [
    lambda text: "", lambda text: text[:-40], lambda text: "[1]", lambda text: "9" * 2**25,
    lambda text: text.replace('"bench"', '"doctor"'), lambda text: text.replace('"schema": 1', '"schema": 2'),
    lambda text: text.replace('"steps": 1', '"steps": "1"'), lambda text: text.replace('"measured"', '"m"'),
])  # fmt: skip
def test_what_is_no_result_is_refused_in_a_sentence(tmp_path, change):
    path = tmp_path / "a.json"
    path.write_text(change(results.encode(record(cell())).decode()))
    with pytest.raises(DataError, match="a.json"):
        results.read(path)
