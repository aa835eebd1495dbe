"""`minigan explain`: counts add up, shares sum to one, text and JSON tell the same."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from minigan.compiler import planner
from minigan.compiler.capture import capture
from minigan.compiler.graph import Node, UnplannableError
from minigan.compiler.numpy_code import COPY, PUT, SUM, NumpyCode, Scalar, Statement
from minigan.compiler.passes import replica_groups, row_blocks
from minigan.compiler.passes.row_blocks import Segment
from minigan.engine.tensor import constant
from minigan.errors import ConfigError
from minigan.profiling import explain as module
from minigan.profiling import line_costs
from minigan.profiling.explain import explain
from minigan.profiling.line_costs import KINDS, Line, PlanLine, clocked, plan_lines
from minigan.training.experiment import Ensemble, Experiment
from minigan.training.settings import resolve

SMALL = ("method=plain", "generator.widths=[8, 8]", "discriminator.widths=[8, 8]", "batch=16")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What is timed is run as often as it must be, and no more."""
    monkeypatch.setattr(module, "SECONDS", 0.002)
    monkeypatch.setattr(line_costs, "STEPS", 2)
    monkeypatch.setattr(line_costs, "ROUNDS", 2)


def config_of(preset=None, *sets):
    return resolve(environ={}, preset=preset, sets=[*SMALL, *sets])


def program_of(config, seeds=None, **options):
    experiment = Ensemble.of_seeds(config, seeds) if seeds else Experiment(config)
    blocks = experiment._draw(0)
    first = [constant(block[0]) for block in blocks.values()]

    def step(*batches):
        return experiment.play(dict(zip(blocks, batches, strict=True)))

    return capture(step, *first, state=experiment.game.state, **options)


@pytest.fixture(scope="module")
def explained():
    """The default experiment, taken apart once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SECONDS", 0.05)
        return explain(config_of())


# ── what is counted


def test_instructions_passes_and_lines_are_those_of_the_program(explained):
    program = program_of(config_of())
    assert explained.recorded == len(program) and explained.note is None and explained.groups == 1
    assert [stage.name for stage in explained.stages] == [
        "as recorded",
        *(rewrite.name for rewrite in planner.PASSES),
    ]
    assert explained.stages[-1].lines == len(program.plan) and explained.stages[-1].nodes == len(
        program.plan.graph
    )
    assert explained.stages[0].lines > explained.stages[-1].lines
    numbers = [line.number for line in explained.lines]
    assert numbers == [0] * len(program.inputs) + list(range(1, len(program.plan) + 1))
    buffers = program.plan.memory.buffers
    assert explained.buffers == len(buffers)
    assert explained.buffer_bytes == sum(b.memory.nbytes for b in buffers)


def test_each_stage_is_the_plan_of_the_passes_so_far(explained):
    program = program_of(config_of())
    for k in (0, 1, 4):
        plan = planner.Plan(program, planner.PASSES[:k])
        assert (explained.stages[k].nodes, explained.stages[k].lines) == (len(plan.graph), len(plan))
    said = {stage.name: stage for stage in explained.stages}
    assert said["fold"].exact and not said["bias"].exact
    assert said["fold"].about == planner.fold.__doc__.splitlines()[0]


@pytest.mark.parametrize(("passes", "names"), [("none", []), ("exact", ["fold", "stack"])])
def test_the_passes_can_be_chosen(passes, names):
    found = explain(config_of(), passes=passes)
    assert found.passes == passes and [stage.name for stage in found.stages] == ["as recorded", *names]
    assert max(line.number for line in found.lines) == found.stages[-1].lines


def test_the_kinds_add_up(explained):
    totals = [explained.total(kind) for kind in KINDS]
    everything = explained.total()
    assert sum(total.lines for total in totals) == everything.lines == len(explained.lines)
    assert sum(total.share for total in totals) == pytest.approx(1.0, abs=1e-12)
    for name in ("time", "dispatch", "work", "bytes", "flops"):
        assert sum(getattr(total, name) for total in totals) == pytest.approx(
            getattr(everything, name), rel=1e-12
        )
    assert everything.time == pytest.approx(everything.dispatch + everything.work, rel=1e-12)
    assert explained.rest == explained.step - explained.time
    for kind in ("products", "elementwise", "sums", "copies", "scalars"):
        assert explained.total(kind).lines, kind
    assert explained.total("other").lines == 0


def test_time_is_dispatch_and_work(explained):
    for line in explained.lines:
        assert line.kind in KINDS and 0.0 <= line.dispatch <= line.time and line.work >= 0.0


def test_flops_are_those_of_the_recorded_products():
    """Without passes a line is an instruction: 2 n k m for each matmul; outer ones are not BLAS's."""
    config = config_of()
    program = program_of(config, passes=())
    expected = 0
    for i in program.instructions:
        if i.primitive.name == "matmul":
            n, k, m = i.inputs[0].shape[-2], i.inputs[0].shape[-1], i.inputs[1].shape[-1]
            expected += 2 * n * k * m if k > 1 else 0
    found = explain(config, passes="none")
    assert found.total().flops == expected == found.total("products").flops


def test_gflops_are_flops_over_time():
    lines = (
        Line(1, 1, "a", "products", 8, 6000, 2.0, 1.0),
        Line(2, 1, "b", "elementwise", 8, 0, 6.0, None),
    )
    found = replace(explain(config_of("dirac-gan")), lines=lines, step=10.0)
    assert found.gflops == 3.0 and found.rest == 2.0 and found.total("products").share == 0.25
    assert found.total().dispatch == 1.0 and found.total().work == 7.0
    assert replace(found, lines=lines[1:]).gflops == 0.0


# ── lines


def written(function, *arguments, node=None):
    """The line that the code writer makes of a call."""
    code = NumpyCode()
    code.call(node, function, *arguments)
    return PlanLine(code.statements[0])


def test_what_a_line_says_and_moves():
    a, b, out = np.ones((3, 4), "float32"), np.ones((4, 5), "float32"), np.ones((3, 5), "float32")
    line = written(np.dot, a, b, out)
    assert (line.kind, line.describe()) == ("products", "dot (3, 5) ← (3, 4)·(4, 5)")
    assert line.flops == 2 * 3 * 4 * 5 and line.bytes == 4 * (12 + 20 + 15) and not line.overwrites
    line = written(SUM, a, np.ones((1, 1)))
    assert (line.kind, line.describe(), line.flops) == ("sums", "sum (1, 1) ← (3, 4)", 0)
    line = PlanLine(Statement(None, None, COPY, (np.broadcast_to(np.float32(1), (3, 4)),), a))
    assert (line.kind, line.describe(), line.bytes) == ("copies", "copy (input) (3, 4) ← (3, 4)", 4 * 12 + 4)
    one = Node("square", [], shape=(1,), dtype=a.dtype)
    line = PlanLine(Statement(one, None, "{target} = {0} * {0}", (np.float32(2),), Scalar(1)))
    assert (line.kind, line.describe(), line.bytes) == ("scalars", "square () ← 2", 0)
    line = PlanLine(Statement(one, None, PUT, (Scalar(1),), np.ones(())))
    assert (line.kind, line.describe(), line.bytes) == ("scalars", "store () ← ()", 8)
    unknown = written(lambda: None)
    facts = unknown.kind, unknown.bytes, unknown.flops, unknown.on_one_element()
    assert facts == ("other", None, 0, None)


def test_a_line_that_overwrites_what_it_reads_is_known():
    a, b = np.ones(8), np.ones(8)
    assert not written(np.add, a, b, np.ones(8)).overwrites
    assert written(np.add, a, b, b).overwrites
    assert written(np.add, a[:4], b, a).overwrites
    assert not PlanLine(Statement(None, None, COPY, (b,), a)).overwrites
    assert not PlanLine(Statement(None, None, "{target} = {0} * {0}", (a[:1],), Scalar(1))).overwrites


def test_each_step_of_the_timing_computes_what_the_plan_does():
    """Rounds leave no trace: as many clocked steps as plain ones end in the same bits."""
    config, steps = config_of(), 3
    one, two = program_of(config), program_of(config)
    one.each(*(np.repeat(buffer[None], steps, 0) for buffer in one.inputs))
    batch = [np.array(buffer) for buffer in two.inputs]
    with np.errstate(over="ignore"):
        clocked(plan_lines(two, batch), steps, rounds=4)
    for name, array in one.state.items():
        assert np.array_equal(array, two.state[name]), name


def test_the_empty_call_is_the_same_on_one_element():
    a, b = np.ones((3, 4), "float32"), np.ones((3, 4), "float32")
    small = written(np.add, a, b, b).on_one_element()
    assert small.kind == "elementwise" and small.statement.function is np.add
    assert [x.shape for x in small.arrays] == [(1, 1)] * 3 and not small.overwrites
    assert {x.dtype for x in small.arrays} == {np.dtype("float32")}
    clocked([small], 2, 2)


# ── text and JSON


def numbers_of(row):
    """The numbers at the end of a row of the table of lines, – as None and missing flops as 0."""
    found = re.match(
        r" *(?P<number>in|\d+)  (?P<what>.*?)  +(?P<bytes>\d+|–)  +((?P<flops>\d+)  +)?"
        r"(?P<time>\d+\.\d\d)  +(?P<dispatch>\d+\.\d\d|–)  +(?P<work>\d+\.\d\d)  +(?P<share>\d+\.\d)%$",
        row,
    )
    assert found, row
    return found.groupdict()


def test_text_and_json_tell_the_same(explained):
    text, told = explained.as_text().splitlines(), json.loads(json.dumps(explained.as_dict()))
    start = next(k for k, row in enumerate(text) if row.startswith("line "))
    for row, line in zip(text[start + 1 :], told["lines"], strict=False):
        seen = numbers_of(row)
        assert seen["number"] == str(line["number"] or "in")
        assert seen["what"].rstrip() == line["what"] and line["times"] == 1
        assert int(seen["bytes"]) == line["bytes"] and int(seen["flops"] or 0) == line["flops"]
        for name in ("time", "dispatch", "work"):
            assert float(seen[name]) == pytest.approx(line[name], abs=0.0051)
        assert float(seen["share"]) == pytest.approx(100 * line["share"], abs=0.051)
    for stage in told["stages"]:
        row = next(r for r in text if r.startswith(f"{stage['name']} "))
        assert f"  {stage['nodes']:5}  {stage['lines']:5}  {stage['about']}" in row
        assert ("rounds differently" in row) != stage["exact"]
    for kind, name in KINDS.items():
        rows = [row for row in text if row.startswith(name + " ")]
        assert len(rows) == bool(told["kinds"][kind]["lines"])
        for row in rows:
            assert row.split("  ")[-1].strip() == f"{told['kinds'][kind]['work']:.1f}"
    whole = "\n".join(text)
    assert f"{told['recorded']} instructions" in whole and f"{told['gflops']:.1f} GFLOP/s" in whole
    assert f"{told['total']['time']:.1f} µs, the whole step {told['step']:.1f} µs" in whole
    assert f"eagerly, takes {told['eager']:.1f} µs" in whole
    assert sum(line["share"] for line in told["lines"]) == pytest.approx(1.0, abs=1e-12)


def test_a_whole_step_shorter_than_its_lines_is_told(explained):
    assert "the machine was slower" in replace(explained, step=explained.time / 2).as_text()
    assert "µs between are" in replace(explained, step=explained.time * 2).as_text()


# ── experiments of every family


@pytest.mark.parametrize(
    ("preset", "seeds", "passes"),
    [("wgan-gp", 1, "exact"), ("unrolled", 1, "none"), ("extragradient", 2, "all"), ("consensus", 1, "exact"),
     ("packing", 1, "none"), ("ring8", 3, "exact"), ("dirac-noise", 1, "all"), ("fgan-tv", 1, "exact"),
     ("galaxies", 1, "all")],
)  # fmt: skip
def test_presets(preset, seeds, passes):
    sets = () if preset.startswith("dirac") else (*SMALL, "generator.widths=[6]")
    found = explain(resolve(environ={}, preset=preset, sets=sets), seeds=seeds, passes=passes)
    assert found.seeds == seeds and found.experiment == preset
    assert found.total().share == pytest.approx(1.0, abs=1e-12)
    assert max(line.number for line in found.lines) == found.stages[-1].lines
    assert json.dumps(found.as_dict(), allow_nan=False) and found.as_text()


def test_float64():
    found, narrow = (
        explain(config_of(None, f"dtype={name}"), passes="none") for name in ("float64", "float32")
    )
    assert found.dtype == "float64" and found.total().bytes > narrow.total().bytes


# ── blocks of a batch, groups of replicas, other backends


@pytest.fixture
def small_blocks(monkeypatch):
    """Every batch counts as large."""
    for name, value in {"CACHE": 0, "SHARED": 0, "ROWS": 4}.items():
        monkeypatch.setattr(row_blocks, name, value)


def test_lines_inside_a_segment_count_once_per_block(small_blocks):
    config = config_of("plain")
    plan = program_of(config).plan
    segments = [s.function for s in plan.code.statements if s.node.op == "segment"]
    assert segments and all(isinstance(segment, Segment) for segment in segments)
    found = explain(config)
    inside = [line for line in found.lines if line.times > 1]
    assert len(inside) == sum(len(segment.runs[0].code.statements) for segment in segments)
    assert {line.times for line in inside} == {len(segment.blocks[0]) for segment in segments}
    assert f"{inside[0].times} × {inside[0].what}" in found.as_text()
    assert found.total().share == pytest.approx(1.0, abs=1e-12)
    # All products are in the segments: of the whole batch in parts, and some with a row for a bias.
    unblocked = explain(config, passes="none")
    assert found.total().flops == pytest.approx(unblocked.total().flops, rel=0.3)


def test_threads_share_the_blocks(small_blocks):
    config = config_of("plain", "threads=2")
    plan = program_of(config, threads=2).plan
    found = explain(config)
    assert found.threads == plan.threads == 2 and "2 threads share the work" in found.as_text()
    assert found.stages[-1].lines == len(plan) and found.total().share == pytest.approx(1.0, abs=1e-12)


def test_a_call_that_hides_what_it_does_is_one_line(small_blocks):
    found = explain(config_of("plain"))
    hidden = [line for line in found.lines if line.kind == "other"]
    assert hidden and all(line.bytes is None and line.dispatch is None for line in hidden)
    assert "–" in found.as_text() and "other calls" in found.as_text()


def test_lines_of_a_group_of_replicas_count_once_per_group(monkeypatch):
    monkeypatch.setattr(replica_groups, "CACHE", 2**10)
    config, seeds = config_of(), 4
    plan = program_of(config, list(range(seeds))).plan
    assert len(plan.groups) > 1
    found = explain(config, seeds=seeds)
    assert found.groups == len(plan.groups) and found.stages[-1].lines == len(plan)
    assert {line.times for line in found.lines if line.number} == {len(plan.groups)}
    assert f"{found.groups} groups" in found.as_text()
    assert found.buffers == sum(len(group.memory.buffers) for group in plan.groups)


def test_on_another_backend_the_recorded_instructions_are_shown():
    found = explain(config_of(None, "backend=strict"))
    text = found.as_text()
    assert found.recorded == len(found.instructions) == len(program_of(config_of()))
    assert found.lines == found.stages == () and "only recorded instructions can be shown" in text
    assert all(what in text for what in found.instructions) and "matmul (16, 8) ← (16, 1), (1, 8)" in text
    told = found.as_dict()
    assert "kinds" not in told and len(told["instructions"]) == found.recorded


def test_a_step_without_a_plan_is_shown_as_recorded(monkeypatch):
    def unplannable(*arguments):
        raise UnplannableError

    monkeypatch.setattr("minigan.compiler.planner.Plan", unplannable)
    found = explain(config_of())
    assert "has no plan" in found.as_text() and len(found.instructions) == found.recorded


def test_more_seeds_than_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda: 2**20)
    with pytest.raises(ConfigError, match="1000 seeds needs about .* reduce --seeds"):
        explain(config_of(), seeds=1000)
    explain(config_of())  # a single one was checked with the configuration


def test_native_code_is_taken_apart_into_its_functions():
    config = config_of(None, "backend=numpy", "execution=native")
    found = explain(config)
    if found.note is not None or found.execution != "native":
        pytest.skip("needs a C compiler for native code")
    program = program_of(config, execution="native")
    names = [line.what.partition(":")[0] for line in found.lines]
    functions = {function.name for function in program.plan.functions.values()}
    assert {name.removesuffix("_end") for name in names if not name.startswith("turn")} == functions
    assert all(line.time > 0 for line in found.lines) and found.gflops > 0 and found.step > 0
    text = found.as_text()
    assert f"the native code has {len(found.lines)} lines" in text and all(name in text for name in names)
    assert found.as_dict()["execution"] == "native"
