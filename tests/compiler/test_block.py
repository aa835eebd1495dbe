"""A step as a thread block: rows by warps, in slabs; products by tensor cores; shared memory in slots."""

import numpy as np
import pytest

from minigan.backend import kernels, numpy_backend
from minigan.compiler import block_schedule
from minigan.compiler.capture import capture
from minigan.compiler.cuda_block import BOTH
from minigan.compiler.executions import fuse
from minigan.engine.autodiff import assign
from minigan.engine.primitives import mean, square, tanh
from minigan.engine.tensor import constant, variable
from minigan.profiling import work
from minigan.profiling.results import Size
from minigan.testing.cuda_on_cpu import HostModule
from minigan.testing.strict.backend import strict
from minigan.training.config import Config, replace
from minigan.training.experiment import Experiment

PRODUCT = """
extern "C" __global__ void product(float* out, const float* a, const float* b) {
    const int lane = threadIdx.x;
    float c[2][4] = {};
    tile_product<2, 24, 1, 16, 1>(c, a, b, 24, 15, lane);
    for (int j = 0; j < 2; ++j)
        for (int q = 0; q < 4; ++q) out[(lane / 4 + q / 2 * 8) * 16 + j * 8 + lane % 4 * 2 + q % 2] = c[j][q];
}
"""


def plan_of(batch, width):
    task = work.make_step(numpy_backend, work.Variant("numpy", "recorded"), Size(batch, width), checked=2)
    return fuse(task.program, "block", numpy_backend, strict)


@pytest.fixture(scope="module")
def plans():
    """The step of `minigan bench` at two sizes, and of the default run, whose batch is two slabs."""
    experiment = Experiment(replace(Config(), backend="numpy", execution="recorded"))
    experiment.advance(1)
    default = fuse(experiment.program, "block", numpy_backend, strict)
    return {"small": plan_of(64, 16), "main": plan_of(128, 32), "default": default}


def barriers(plan):
    """How often all threads of a block meet in a step."""
    levels = ((len(part.levels) + bool(part.rows), part.chain) for part in plan.schedule.parts)
    return sum(count * (plan.schedule.slabs if chain else 1) for count, chain in levels)


def test_a_step_waits_seldom_and_leaves_room_for_a_second_block(plans):
    assert [barriers(plan) for plan in plans.values()] == [8, 8, 15]
    assert [plan.size for plan in plans.values()] == [128, 256, 256]
    assert 4 * plans["main"].shared_length <= BOTH and plans["main"].length == 0
    assert [plan.source.count(" tile_product<") for plan in plans.values()] == [12, 12, 18]


def test_a_slot_has_one_value_at_a_time(plans):
    """What a stage or a sum reads is the last that was written there; of two outputs each has its own."""
    shared = 0
    for plan in plans.values():
        schedule, reads = plan.schedule, plan.stages.reads
        for part in schedule.parts:
            content, written = {}, []
            ends = set() if part.chain else schedule.late.keys()  # of sums that were taken in a chain
            for stage in [*part.rows, *(s for level in part.levels for s in level if s not in ends)]:
                for node, slot in schedule.local.items():
                    if any(reader is stage for reader, *_ in reads.get(node, ())):
                        assert content[id(slot)] is node
                here = [n for n in stage.outputs if n in schedule.local]
                content |= {id(schedule.local[n]): n for n in here}
                written += [id(schedule.local[n]) for n in here]
                assert len({id(schedule.local[n]) for n in here}) == len(here)
            shared += len(written) - len(set(written))
    assert shared > 5


def test_a_value_waits_where_it_is_added_to(plans):
    """The gradient at data lies in the optimiser's memory until that at generated values is added."""
    for plan in plans.values():
        memory = {id(array) for node, array in plan.stages.arrays.items() if node.op == "store"}
        waiting = [n for n in plan.stages.own if id(plan.stages.arrays[n]) in memory]
        assert any(n.shape[-2:] in ((16, 16), (32, 32)) for n in waiting)
        assert not set(waiting) & plan.shared.keys()


def test_products_of_tensor_cores_have_the_precision_of_float32():
    """Within 2⁻²¹ of the sum of the terms' sizes; factors of TF32 alone would be within 2⁻¹⁰."""
    rng = np.random.default_rng(0)
    a, b = (
        rng.standard_normal(s).astype("float32") * 10.0 ** rng.integers(-3, 3, s)
        for s in ((16, 24), (24, 16))
    )
    a, b, out = a.astype("float32"), b.astype("float32"), np.empty((16, 16), "float32")
    HostModule(kernels.source("tiles") + PRODUCT).kernel("product")((1,), (32,), [out, a, b])
    wide, size = a.astype("float64") @ b.astype("float64"), np.abs(a).astype("float64") @ np.abs(b)
    off = np.abs(out - wide) / size
    assert 0 < off.max() < 2.0**-21
    short = [(x.view("uint32") & 0xFFFFE000).view("float32").astype("float64") for x in (a, b)]
    assert (np.abs(short[0] @ short[1] - wide) / size).max() > 2.0**-13


def test_sums_of_sums_over_rows_are_taken_when_those_are_complete(monkeypatch, device):
    """Of deviations from a mean that is also added; of rows that need D as it has moved, without a chain."""
    monkeypatch.setattr(block_schedule, "FEWEST", 1)
    monkeypatch.setattr(block_schedule, "WARPS", 1)
    xs = np.random.default_rng(0).standard_normal((3, 40, 3))

    def left(backend, execution):
        w, u = (variable(constant(backend.array(np.full((1, n), 0.5)))) for n in (3, 1))

        def step(x):
            y = tanh(x * w)
            m = mean(y, axis=(-2,))
            z = mean(square(y - m), axis=(-2,)) + m
            assign(u, u * 0.9 + 1.0)
            assign(w, w - 0.1 * (mean(y * y * y, axis=(-2,)) * z) / u)
            return mean(x * w, axis=(-2,)) + m

        inputs = [constant(backend.array(x)) for x in xs]
        program = capture(step, inputs[0], state=[w, u], execution=execution)
        for x in inputs[1:]:
            program(x)
        return np.concatenate([t.numpy() for t in (w, u, program.outputs)], axis=1)

    expected = left(numpy_backend, "recorded")
    for home, execution in ((device, "block"), (numpy_backend, "native")):
        np.testing.assert_allclose(left(home, execution), expected, rtol=0, atol=1e-14, err_msg=execution)
