"""A program as stages: few depths, and no two stages of one depth at the same bytes."""

import numpy as np
import pytest

from minigan.backend import numpy_backend
from minigan.compiler.capture import capture
from minigan.compiler.cuda_block import Block
from minigan.compiler.cuda_launches import Launches, arrange
from minigan.compiler.expressions import EXPRESSION
from minigan.compiler.graph import Node, UnplannableError, is_ufunc
from minigan.compiler.passes.replica_groups import replicas_of
from minigan.compiler.shadow import stages_of
from minigan.compiler.stages import Target, base, is_long_row
from minigan.engine import primitives as P
from minigan.engine.autodiff import assign, filled
from minigan.engine.tensor import Tensor, constant
from minigan.training.config import Config
from minigan.training.experiment import Ensemble, Experiment

ANY = Target(by_replica=False, items=64, large=10**9, padded=False, functions=EXPRESSION.keys())


def recorded(step, *inputs, state=()):
    return capture(step, *inputs, state=state, execution="recorded")


def program_of(experiment):
    game, numbers = experiment.game, experiment._draw(0)
    experiment._numbers = numbers
    return recorded(experiment._round, *(a[0] for a in numbers.values()), state=game.state)


@pytest.fixture(scope="module")
def default():
    return program_of(Experiment(Config()))


def numbers(*shape):
    return constant(np.random.default_rng(1).standard_normal(shape))


def test_the_default_step_has_few_depths(default):
    stages = stages_of(default, numpy_backend, Launches.target)
    assert len(default) > 300 and len(stages) <= 25
    assert "matmul[256, 32]" in str(stages)


def test_a_chain_of_steps_is_one_stage_and_joins_the_product_before_it():
    state = {"y": filled(numbers(8, 8), 0.0)}

    def step(a, b):
        assign(state["y"], P.tanh(0.5 * (a @ b) + 1.0) - a)

    program = recorded(step, numbers(8, 8), numbers(8, 8), state=state)
    stages = stages_of(program, numpy_backend, ANY)
    ((stage,),) = stages.levels
    assert stage.total.op == "matmul" and stage.outputs == [program_value(stages)] and not stages.own


def program_value(stages):
    (store,) = stages.graph.stores
    return store.inputs[0]


def test_independent_sums_share_a_depth_and_what_follows_them_too():
    state = {name: filled(numbers(1, 1), 0.0) for name in "abc"}

    def step(x, y):
        a, b = (P.sum_over(P.square(z), axis=(0, 1)) for z in (x, y))
        assign(state["a"], a)
        assign(state["b"], b)
        assign(state["c"], a * b)

    program = recorded(step, numbers(8, 3), numbers(8, 3), state=state)
    assert [len(level) for level in stages_of(program, numpy_backend, ANY).levels] == [2, 1]


def test_memory_that_is_still_needed_is_not_overwritten():
    """Both halves of a swap: one value waits until the other has read what it overwrites."""
    state = {"a": numbers(5), "b": numbers(5)}

    def step():
        a = state["a"] * 1.0 + 0.0 * state["b"]
        b = state["b"] + 1.0
        assign(state["a"], b)
        assign(state["b"], a)

    stages = stages_of(recorded(step, state=state), numpy_backend, ANY)
    assert_disjoint(stages)


def test_outer_products_are_elementwise_and_long_sums_of_few_results_taken_in_parts():
    x, w = numbers(100, 1), numbers(1, 4)
    out = {"y": filled(numbers(100, 4), 0.0), "s": filled(numbers(1, 4), 0.0)}

    def step(x, w):
        assign(out["y"], x @ w)
        assign(out["s"], P.sum_over(P.square(x) * w, axis=(0,)))

    stages = stages_of(recorded(step, x, w, state=out), numpy_backend, ANY)
    operations = {stage.total.op for stage in stages.stages if stage.total}
    assert operations == {"partial", "total"}
    (partial,) = (stage for stage in stages.stages if stage.total and stage.total.op == "partial")
    assert partial.shape == (6, 1, 4)


def test_long_rows_are_not_taken_in_parts():
    """A warp sums each; along columns, and where there is one thread, nothing changes."""
    x, out = numbers(8, 80), {n: filled(numbers(n, 1), 0.0) for n in (8, 80)}

    def step(x, w):
        assign(out[8], x @ w + P.mean(x, axis=(-1,)))
        assign(out[80], P.mT(x) @ out[8])

    program = recorded(step, x, numbers(80, 1), state={str(n): t for n, t in out.items()})
    found = stages_of(program, numpy_backend, ANY)
    assert [stage.total.op for stage in found.stages if stage.total] == ["matmul", "sum", "matmul"]
    assert [is_long_row(stage.total) for stage in found.stages if stage.total] == [True, True, False]


@pytest.mark.parametrize(
    "step",
    [
        lambda x: assign(x, x * 2.0),  # an input is read where the caller has it
        lambda x: P.embed(x, shape=(9, 8), key=(slice(1, None),)),
    ],
)
def test_what_cannot_be_stages_is_refused(step):
    with pytest.raises(UnplannableError):
        stages_of(recorded(step, numbers(8, 8)), numpy_backend, ANY)


@pytest.mark.parametrize("views", [
    lambda a: {"x": a.T},  # nobody says where its columns lie
    lambda a: {"x": a[:5], "y": a[3:]},  # neither holds the other
])  # fmt: skip
def test_state_that_lies_otherwise_in_memory_is_refused(views):
    state = {name: Tensor(a) for name, a in views(np.ones((8, 8))).items()}

    def step(x):
        return x + sum(P.sum_over(t, axis=(0, 1)) for t in state.values())

    with pytest.raises(UnplannableError):
        stages_of(recorded(step, numbers(8, 8), state=state), numpy_backend, ANY)


def test_what_has_a_replica_in_several_pieces_is_refused():
    """As an output that repeats all replicas; of an input each piece is a step."""
    state = {"w": Tensor(np.ones((3, 4, 4)))}

    def step(x):
        assign(state["w"], state["w"] + x)
        return P.broadcast_to(x, shape=(2, 3, 4, 4)) * 2.0

    program = recorded(step, numbers(3, 4, 4), state=state)
    assert replicas_of(program) == 3
    with pytest.raises(UnplannableError):
        stages_of(program, numpy_backend, Block.target)
    assert stages_of(program, numpy_backend, ANY).replicas == 1


def test_replicas_are_one_replica_and_a_stride():
    together = program_of(Ensemble.of_seeds(Config(), range(3)))
    stages = stages_of(together, numpy_backend, Block.target)
    alone = stages_of(program_of(Experiment(Config())), numpy_backend, Block.target)
    assert stages.replicas == 3 and len(stages) == len(alone)
    strides = {e.stride for e in stages.externals}
    parameters = together.state["discriminator"].shape[-1]
    assert {0, 1, 256, parameters} == strides


# ── memory


def reads_of(stages, stage):
    """The arrays that a stage reads, found by walking down from what it writes."""
    arrays, seen = [], set()

    def visit(x, top=False):
        if not isinstance(x, Node) or x in seen:
            return
        seen.add(x)
        here = stages.register(x, stage)
        if not top and here is not None and here in stage.outputs:
            return
        if x in stages.arrays and not top and x is not stage.total:
            if base(x).op != "constant":
                arrays.append(stages.arrays[x])
        elif is_ufunc(x.op) or x.op in ("broadcast_to", "store") or x is stage.total:
            for y in x.inputs:
                visit(y)

    for node in stage.outputs:
        visit(node, top=True)
    if stage.total is not None:
        visit(stage.total, top=True)
    return arrays


def assert_disjoint(stages):
    """Within a depth nobody reads or writes what another stage writes."""
    for level in stages.levels:
        writes = [[stages.arrays[node] for node in stage.outputs] for stage in level]
        for i, stage in enumerate(level):
            touched = reads_of(stages, stage) + writes[i]
            others = [a for j, arrays in enumerate(writes) if j != i for a in arrays]
            assert not any(np.shares_memory(a, b) for a in touched for b in others), f"{stages}"


def test_the_check_sees_stages_in_each_others_memory(default):
    stages = stages_of(default, numpy_backend, Launches.target)
    first, second = stages.levels[0][:2]
    stages.arrays[second.outputs[0]] = stages.arrays[first.outputs[0]][:1, :1]
    with pytest.raises(AssertionError):
        assert_disjoint(stages)


def test_stages_of_one_depth_do_not_touch_each_others_memory(default):
    assert_disjoint(stages_of(default, numpy_backend, Launches.target))
    assert_disjoint(stages_of(default, numpy_backend, Block.target))


@pytest.mark.rows("seed", range(20))
def test_pieces_of_memory_that_live_at_one_time_lie_apart(seed):
    rng = np.random.default_rng(seed)
    wishes = [(k, int(rng.integers(1, 50)), *sorted(map(int, rng.integers(0, 12, 2)))) for k in range(40)]
    limit = 200 if seed % 2 else np.inf
    offsets, length = arrange(wishes, limit)
    placed = [(offsets[k], offsets[k] + n, first, last) for k, n, first, last in wishes if k in offsets]
    assert length == max(high for _, high, _, _ in placed) <= limit
    assert (len(placed) < len(wishes)) == bool(seed % 2)
    for i, (low, high, first, last) in enumerate(placed):
        for a, b, begin, end in placed[:i]:
            assert high <= a or b <= low or last < begin or end < first
