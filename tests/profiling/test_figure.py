"""The figure of a result: the crossover is where it was found, and a CPU says that it is alone."""

import pytest
from matplotlib.text import Text

from minigan.profiling import results
from minigan.profiling.figure import DISTURBED, draw_bench
from minigan.profiling.results import Ceiling, Cell, Control, Record, Size
from minigan.profiling.work import KINDS
from minigan.reports import style

TINY = Size(8, 4)


def cell(variant="a", median=1.0, size=TINY, what="step", **fields):
    """A row of a result."""
    fields = {"backend": "numpy", "dtype": "float32", "tf32": False, "seconds": [median] * 7} | fields
    fields = {"low": median, "high": median} | fields
    return Cell(
        what, *size, variant, threads=1, execution="planned", steps=1, device=None, median=median,
        flops=KINDS[what].flops(size), gflops=1.0, gbs=1.0, of_ceiling=0.5, **fields,
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


def texts(figure):
    """Everything that is written on a figure."""
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_the_picture_marks_the_crossover(tmp_path):
    cells = list(lines([4.0, 2.0, 0.5, 0.1]))
    cells += [cell("cpu", 1.0, Size(8, 4, R), "replicas") for R in (1, 8)]
    cells += [cell("gpu", 4.0 / R, Size(8, 4, R), "replicas", backend="cupy") for R in (1, 8)]
    ceilings = [Ceiling(name, "float32", False, 0, 1.0, 1.0) for name in ("numpy", "cupy")]
    found = record(*cells, ceilings=ceilings, crossovers=results.crossovers(cells))
    figure = draw_bench(found)
    assert "MFLOP" in texts(figure) and "R = 4" in texts(figure) and "alone" not in texts(figure)
    steps, _ = (ax for ax in figure.axes if ax.get_title(loc="left"))
    (place,) = {x for line in steps.lines for x in line.get_xdata() if line.get_color() == style.CHANCE}
    assert place == pytest.approx(found.crossovers[0].work)
    style.save(figure, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes()[:4] == b"\x89PNG"


def test_the_picture_of_a_cpu_is_the_share_of_its_ceiling():
    cells = [cell("a", 2.0, low=1.0, high=4.0), cell("b"), cell("a", what="gemm")]
    figure = draw_bench(record(*cells))
    assert "The CPU half alone" in texts(figure) and "Work of a GAN on the CPU" in texts(figure)
    assert "crossover" not in texts(figure) and "share of the ceiling" in texts(figure)
    steps = next(ax for ax in figure.axes if ax.get_title(loc="left").startswith("step"))
    assert steps.get_yscale() == "linear"
    a = next(line for line in steps.containers if line.get_label() == "a")
    assert list(a[0].get_ydata()) == [0.5]
    assert [list(piece[:, 1]) for piece in a[2][0].get_segments()] == [[0.25, 1.0]]  # twice, half as fast
    colours = {c.get_label(): c[0].get_color() for ax in figure.axes for c in ax.containers}
    assert colours["a"] != colours["b"]
    legends = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    assert [len(legend.get_texts()) for legend in legends] == [
        3
    ]  # one for all panels: a, b, and what hollow is
    draw_bench(record())


def test_a_point_timed_beside_other_work_is_hollow_and_the_legend_says_why():
    cells = [cell("a", size=Size(2, 4)), cell("a", low=0.5, high=2.0), cell("b"), cell("b", size=Size(2, 4))]

    def hollow(*controls):
        figure = draw_bench(record(*cells, controls=controls))
        points = [
            (line.get_color(), x)
            for ax in figure.axes
            for line in ax.lines
            if line.get_markerfacecolor() == "white"
            for x in line.get_xdata()
        ]
        return points, texts(figure).count(DISTURBED), figure

    (point,), said, figure = hollow()
    a = next(c for ax in figure.axes for c in ax.containers if c.get_label() == "a")[0]
    assert point == (a.get_color(), cells[1].work) and said == 1
    points, said, _ = hollow(Control("step", *Size(2, 4), "a", 3.0, 2.0, 4.0))
    assert sorted(x for _, x in points) == sorted([cells[1].work, *2 * [cells[0].work]]) and said == 1
    cells[1] = cell("a")
    assert hollow()[:2] == ([], 0)


def test_a_machine_with_other_work_is_noticed_by_the_control_and_the_quartiles():
    steady = record(cell(), controls=[Control("step", *TINY, "a", 1.1, 1.0, 1.2)])
    assert results.disturbances(steady, "step") == []
    again = record(cell(), controls=[Control("step", *TINY, "a", 3.0, 2.0, 4.0)])
    assert results.disturbances(again, "step") == ["(8, 4): a took 3 of itself when timed again"]
    assert results.disturbances(again, "gemm") == []
    apart = record(cell("b", 1.0, low=0.5, high=5.0))
    assert results.disturbances(apart, "step") == ["(8, 4): b varied by a factor of 10"]
    marked = [results.is_disturbed(r, each) for r in (steady, again, apart) for each in r.cells]
    assert marked == [False, True, True]  # every row of a size whose control is off
