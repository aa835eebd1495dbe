"""Random steps, planned and eager: replays on changing inputs give the same outputs and the same state.

A step is a list of lines drawn from a seeded generator: layers and losses of a network whose parameters are
views of one buffer, gradients of first and second order, Adam's update, elementwise functions, sums,
products, views, assignments to all kinds of state between uses of it, and outputs that may be inputs, state
or views. What is reused too early shows on a later replay.
"""

import shutil

import numpy as np
import pytest

from minigan import backend as backends
from minigan.backend import numpy_backend
from minigan.compiler import native, stages
from minigan.compiler.capture import capture
from minigan.compiler.cuda_launches import Launches
from minigan.compiler.planner import EXACT, PASSES
from minigan.engine import primitives as P
from minigan.engine.autodiff import assign, filled, grad
from minigan.engine.tensor import Tensor, constant, variable
from minigan.nn.parameters import Parameters

REPLAYS, TOLERANCE = 4, 1e-11
FUSED = (2, 6, 8, 9, 15, 16, 25, 32, 34, 40)  # steps with nothing that only an array library can do

# Continuous, so that an error of rounding stays one.
UNARY = (
    P.tanh, P.sigmoid, P.softplus, P.elu, P.silu, abs, lambda x: -x, lambda x: x * 0.5, lambda x: 1.0 - x,
    lambda x: P.square(P.tanh(x)), lambda x: P.leaky_relu(x, slope=0.2), lambda x: P.exp(-P.square(x)),
    lambda x: P.sqrt(P.square(x) + 0.1), lambda x: P.log(P.square(x) + 0.5), lambda x: 0.3 / (x * x + 1.0),
    lambda x: (P.square(x) + 0.2) ** 1.5, lambda x: x * -2.0 * 0.25, lambda x: 3.0 * (-x) / 1.0 - 0.0,
    lambda x: 0.3 * (1.0 / (1.0 + abs(x))), lambda x: x * filled(x, 2.0) + filled(x, 0.5),
)  # fmt: skip
BINARY = (
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a + (-b), P.maximum, P.minimum,
    lambda a, b: a / (P.square(b) + 0.5), lambda a, b: (0.5 * a) * (0.25 * b),
)  # fmt: skip
ACTIVATIONS = (P.tanh, P.sigmoid, P.silu, P.elu, lambda x: x)
LINES = (
    *("layer",) * 3, *("binary",) * 3, "unary", "unary", "view", "view", "assign", "assign", "sum", "product",
    "loss", "adam",
)  # fmt: skip


class RandomStep:
    """A step of a seed, its state and its inputs; two of one seed are equal and share nothing."""

    def __init__(self, seed, dtype="float64", backend=numpy_backend):
        self.seed, self.dtype, self.backend, rng = seed, dtype, backend, np.random.default_rng((1, seed))
        self.replicas = () if rng.random() < 0.6 else (int(rng.integers(1, 4)),)
        self.rows, self.features = int(rng.choice([1, 2, 3, 4, 6])), int(rng.integers(1, 4))
        a = int(rng.integers(1, 5))
        b = a if rng.random() < 0.6 else int(rng.integers(1, 5))
        self.shapes = {}
        for k, (n, m) in enumerate(((self.features, a), (a, b), (b, 1))):
            self.shapes |= {f"W{k}": (n, m), f"b{k}": (1, m)}
        self.length = int(rng.integers(4, 26))
        self._make_state(np.random.default_rng((2, seed)))

    def _make_state(self, rng):
        self.p = Parameters(self.shapes, self.backend, self.dtype, self.replicas)
        flat = self.p.flat.shape
        self.p.update(self._constant(0.7 * rng.standard_normal(flat)))
        m, v = map(self._constant, 0.5 * rng.standard_normal((2, *flat)))
        self.state = {"flat": self.p.flat, "m": m, "v": v, "g": filled(self.p.flat, 0.0)}
        self.state["t"] = self._constant(np.ones((*self.replicas, 1)))
        self.slots = [Tensor(view) for view in self.p.views_of(self.state["g"].memory)]

    def _constant(self, values):
        return constant(self.backend.array(values.astype(self.dtype)))

    def inputs(self, k):
        rng, batch = np.random.default_rng((3, self.seed, k)), (*self.replicas, self.rows, self.features)
        shapes = ((2, *batch), batch, batch, (1,), (*self.replicas, 1, 1))
        return [self._constant(rng.standard_normal(shape)) for shape in shapes]

    def __call__(self, *inputs):
        self.rng = np.random.default_rng((4, self.seed))
        self.pool = [inputs[0][0], inputs[0][1], *inputs[1:]]
        self.batches = [x for x in self.pool if x.shape[-2:] == (self.rows, self.features)]
        self.memory = [*self.p, *self.state.values(), *self.slots]
        for _ in range(self.length):
            made = getattr(self, f"_{self._pick(LINES)}")()
            if made is not None and made.size <= 400:
                self.pool.append(constant(P.tanh(made) if self.rng.random() < 0.5 else made))
        assign(self.state["t"], self.state["t"] * 0.9)
        return [self._pick(self.pool), self._pick(self.pool), self._pick(self.memory), self.pool[-1]]

    # ── a line of each kind; None where nothing fits
    def _pick(self, choices):
        return choices[self.rng.integers(len(choices))] if choices else None

    def _any(self):
        return self._pick(self.pool if self.rng.random() < 0.6 else self.pool + self.memory)

    def _partner(self, rule, shape, more=()):
        return self._pick([b for b in (*self.pool, *more) if _fits(rule, shape, b.shape)])

    def _layer(self):
        k = int(self.rng.integers(3))
        w, b = self.p[f"W{k}"], self.p[f"b{k}"]
        x = self._pick([x for x in self.pool if _fits(_product, x.shape, w.shape)])
        if x is None:
            return None
        y = x @ w
        return self._pick(ACTIVATIONS)(y + b if self.rng.random() < 0.8 else y)

    def _unary(self):
        return self._pick(UNARY)(self._any())

    def _binary(self):
        a = self._pick(self.pool)
        b = self._partner(np.broadcast_shapes, a.shape, self.memory)
        return self._pick(BINARY)(*((a, b) if self.rng.random() < 0.5 else (b, a)))

    def _sum(self):
        x = self._pick([x for x in (*self.pool, *self.memory) if x.ndim])
        axes = tuple(map(int, np.flatnonzero(self.rng.random(x.ndim) < 0.5) - x.ndim)) or (-1,)
        return P.mean(x, axis=axes) if self.rng.random() < 0.7 else 0.3 * P.sum_over(x, axis=axes)

    def _product(self):
        x = self._pick([x for x in (*self.pool, *self.memory) if x.ndim > 1])
        if self.rng.random() < 0.5:
            return x @ P.mT(x) if self.rng.random() < 0.5 else P.mT(x) @ x
        y = self._partner(_product, x.shape, self.memory)
        return None if y is None else x @ y

    def _view(self):
        x = self._pick([x for x in (*self.pool, *self.memory) if x.ndim])
        keys = (0, -1, slice(None, None, 2), slice(None, None, -1), (Ellipsis, slice(None, 1)), (Ellipsis, 0))
        views = [
            lambda: P.reshape(x, shape=(x.size,)),
            lambda: P.reshape(x, shape=(1, *x.shape)),
            lambda: P.broadcast_to(x, shape=tuple(3 if n == 1 else n for n in x.shape)),
            lambda: x[self._pick(keys)],
            lambda: P.embed(x, shape=(x.shape[0] + 1, *x.shape[1:]), key=(slice(1, None),)),
            lambda: P.mT(x) if x.ndim > 1 else x,
        ]
        return self._pick(views)()

    def _assign(self):
        target = self._pick(self.memory)
        fitting = [v for v in (*self.pool, *self.memory) if _fits(np.broadcast_shapes, v.shape, target.shape)]
        v = self._pick([v for v in fitting if np.broadcast_shapes(v.shape, target.shape) == target.shape])
        value = P.broadcast_to(P.tanh(v), shape=target.shape)
        mixtures = (
            lambda: 0.5 * target + 0.25 * value,
            lambda: target - 0.1 * value,
            lambda: value * 0.5,
            lambda: value,
        )
        assign(target, self._pick(mixtures)())
        if self.rng.random() < 0.3:
            self.pool.append(target)

    def _loss(self):
        """A loss of two batches with a penalty, and its gradients, in the slots."""
        inner = self._pick(ACTIVATIONS)
        x, y = (self._pick(self.batches) for _ in range(2))
        x = variable(x)

        def network(z):
            h = P.tanh(z @ self.p["W0"] + self.p["b0"])
            return inner(h @ self.p["W1"] + self.p["b1"]) @ self.p["W2"] + self.p["b2"]

        logits = network(x)
        loss = P.mean(P.softplus(-logits))
        if self.rng.random() < 0.6:
            loss = loss + P.mean(P.softplus(network(y)))
        if self.rng.random() < 0.6:
            (slope,) = grad(logits, [x], create_graph=True)
            loss = loss + 0.5 * P.mean(P.sum_over(P.square(slope), axis=(-1,)))
        for slot, g in zip(self.slots, grad(loss, list(self.p)), strict=True):
            assign(slot, g)
        return loss

    def _adam(self):
        m, v, t, g = (self.state[name] for name in ("m", "v", "t", "g"))
        assign(m, 0.9 * m + 0.1 * g)
        assign(v, 0.99 * v + 0.01 * P.square(g))
        assign(t, 0.9 * t + 1.0)
        root = P.sqrt(P.square(t) + 0.1)
        self.p.update(self.p.flat - (0.01 * root) * m / (P.sqrt(abs(v)) + 0.1 * root))


def _fits(rule, *shapes):
    try:
        rule(*shapes)
    except ValueError:
        return False
    return True


def _product(a, b):
    if min(len(a), len(b)) < 2 or a[-1] != b[-2]:
        raise ValueError
    return np.broadcast_shapes(a[:-2], b[:-2])


def contents(step, outputs):
    return [t.numpy() for t in (*step.state.values(), *outputs)]


def eager_and_planned(seed, passes=PASSES, dtype="float64", backend=numpy_backend, execution="auto"):
    """For every replay what the eager and what the planned step left behind, and the program."""
    eager, planned = RandomStep(seed, dtype), RandomStep(seed, dtype, backend)
    expected = [contents(eager, eager(*eager.inputs(k))) for k in range(REPLAYS)]
    inputs = planned.inputs(0)
    program = capture(planned, *inputs, state=planned.state, passes=passes, execution=execution)
    received = [contents(planned, program.outputs)]
    for k in range(1, REPLAYS):
        received.append(contents(planned, program(*planned.inputs(k))))
    return expected, received, program


def disagreement(expected, received):
    return max(
        np.max(np.abs(a - b), initial=0.0) / max(1.0, np.max(np.abs(a), initial=0.0))
        for before, after in zip(expected, received, strict=True)
        for a, b in zip(before, after, strict=True)
    )


@pytest.mark.parametrize("chunk", range(3))
def test_all_passes_agree_to_rounding(chunk):
    for seed in range(25 * chunk, 25 * chunk + 25):
        expected, received, program = eager_and_planned(seed, PASSES)
        worst = disagreement(expected, received)
        assert worst <= TOLERANCE, f"seed {seed}: {worst:.3g}\n{program}\n\n{program.plan}"


@pytest.mark.parametrize("passes", [(), EXACT, EXACT[:1], EXACT[1:]], ids=["none", "exact", "fold", "stack"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_passes_keep_every_bit(passes, dtype):
    for seed in range(5000, 5008):
        expected, received, program = eager_and_planned(seed, passes, dtype)
        for before, after in zip(expected, received, strict=True):
            for a, b in zip(before, after, strict=True):
                assert np.array_equal(a, b), f"seed {seed}\n{program}\n\n{program.plan}"


@pytest.mark.parametrize("length", range(1, len(PASSES)))
def test_every_prefix_of_the_passes_agrees(length):
    for seed in range(8000, 8006):
        expected, received, _ = eager_and_planned(seed, PASSES[:length])
        assert disagreement(expected, received) <= TOLERANCE, seed


def test_the_steps_are_what_they_are_to_be():
    """Most are planned, most of their plans are shorter, and they contain what plans are made of."""
    programs = [eager_and_planned(seed, PASSES)[2] for seed in range(25)]
    plans = [program.plan for program in programs if program.plan is not None]
    assert len(plans) >= 0.9 * len(programs)
    operations = {node.op for plan in plans for node in plan.graph.nodes}
    assert {"pack", "stack", "ones", "part", "head", "dot", "sum", "primitive", "store", "load"} <= operations
    assert np.mean([len(plan) < len(program) for plan, program in zip(plans, programs, strict=False)]) > 0.5


@pytest.mark.rows("broken", ["fold", "batch", "bias_gradients", "stack", "factors"])
def test_an_error_of_one_in_a_billion_in_a_pass_is_found(broken):
    """The first number that a pass leaves in the graph is made a little wrong."""

    def careless(rewrite):
        def run(graph):
            graph = rewrite(graph)
            for node in graph.nodes:
                if node.op == "multiply" and any(isinstance(x, float) for x in node.inputs):
                    node.inputs = tuple(x * (1 + 1e-9) if isinstance(x, float) else x for x in node.inputs)
                    break
            return graph

        return run

    passes = tuple(careless(p) if p.name == broken else p for p in PASSES)
    assert any(disagreement(*eager_and_planned(seed, passes)[:2]) > TOLERANCE for seed in range(25))


@pytest.mark.parametrize("execution", ["launches", "block"])
@pytest.mark.parametrize("large", [False, True])
def test_fused_steps_agree_to_rounding(monkeypatch, execution, large):
    """The CUDA sources of a GPU, simulated, with sums of three terms in parts and little memory."""
    strict = backends.get("strict")
    monkeypatch.setattr(strict, "shared_memory", 0 if large else 2**16)
    for name, value in {"LONG": 3, "PART": 1}.items():
        monkeypatch.setattr(stages, name, value)
    if large:
        monkeypatch.setattr(Launches, "target", Launches.target._replace(large=1))
    for seed in FUSED[2 * (execution == "block") + large :: 4]:
        expected, received, program = eager_and_planned(seed, backend=strict, execution=execution)
        worst = disagreement(expected, received)
        assert worst <= TOLERANCE, f"seed {seed}: {worst:.3g}\n{program}\n\n{program.plan.stages}"


def test_native_steps_agree_to_rounding(monkeypatch):
    """In blocks of eight rows."""
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("needs a C compiler for native code")
    monkeypatch.setattr(native, "CACHE", 8)
    for seed in FUSED:
        expected, received, program = eager_and_planned(seed, execution="native")
        worst = disagreement(expected, received)
        assert program.execution == "native" and worst <= TOLERANCE, f"seed {seed}: {worst:.3g}\n{program}"
