"""The first measurements on a GPU in one script: time on one is scarce, so all of it is prepared before.

    python -m bench.gpu_probe --budget 900       every section; writes bench/results/gpu-probe.json
    python -m bench.gpu_probe --section C,G      these alone; what the file already has is not run again
    python -m bench.gpu_probe --backend strict   a dry run on the strict device: no figure is kept

Each section is a process of its own with its own time limit, so a crash or a hung kernel costs that section
alone; the file is replaced whole after each. At the end stands a table of what was predicted beside what was
measured. Predictions are written down before a run, and every miss is explained.
"""

import argparse
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench import common
from bench.common import table
from bench.peers.__main__ import installed
from minigan import backend as backends
from minigan.machine import environment
from minigan.profiling import benchmark, work
from minigan.profiling.cold import starts
from minigan.profiling.results import Size
from minigan.profiling.timing import calibrated, fastest
from minigan.profiling.work import Variant
from minigan.storage.files import write_atomic

ROOT = Path(__file__).parents[1]
SIZES = Size(128, 32), Size(512, 128), Size(4096, 512), Size(8192, 1024)
WIDTHS = 32, 16, 64  # of the block kernel; first the one that predictions are of
MANY = 1, 132, 264, 1056, 4096  # GANs at once
SMALL = Size(8, 4)  # of a dry run
OFF = {False: 1e-3, True: 5e-2}  # how far gradients may be from the reference: in float32, in TF32
PLAYED = 200, 5  # steps until losses are compared: of small games, of large ones
GRACE = 10.0  # seconds until a killed process is given up
EMPTY = 'extern "C" __global__ void nothing() {}'
PLUS = """extern "C" __global__ void plus(float* x, int n) {{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] += {}f;
}}"""


class Prediction(NamedTuple):
    """What a figure was expected to be, before anything ran: between low and high, or exactly this text."""

    section: str
    name: str
    low: float | str
    high: float | None = None
    unit: str = ""

    def text(self):
        if isinstance(self.low, str):
            return self.low
        if self.high == math.inf:
            return f"at least {self.low:g} {self.unit}".strip()
        return f"{self.low:g}{'' if self.high is None else f' to {self.high:g}'} {self.unit}".strip()

    def holds(self, value):
        """Whether a measured value is within, None for one that is not there."""
        if value is None:
            return None
        if isinstance(self.low, str):
            return value == self.low
        return self.low <= value <= (self.low if self.high is None else self.high)


PREDICTIONS = (
    Prediction("A", "import cupy", 0.2, 0.5, "s"),
    Prediction("A", "device, context and probe", 0.5, 2.0, "s"),
    Prediction("B", "failed", 0, unit="tests"),
    Prediction("C", "empty kernel", 3, 5, "µs"),
    Prediction("C", "ElementwiseKernel", 5, 8, "µs"),
    Prediction("C", "ufunc with out", 6, 12, "µs"),
    Prediction("C", "ufunc with a Python number", 8, 14, "µs"),
    Prediction("C", "sum", 10, 30, "µs"),
    Prediction("C", "cupy.matmul (128, 32) (32, 32)", 10, 20, "µs"),
    Prediction("C", "item", 8, 16, "µs"),
    Prediction("D", "a small kernel", 0.02, 0.1, "s"),
    Prediction("D", "all() for the first time", 3, 5, "s"),
    Prediction("D", "the block kernel", 0.5, 2.0, "s"),
    Prediction("E", "rows as predicted", "all"),
    Prediction("E", "Generator differs per replay", "yes"),
    Prediction("F", "captured", "yes"),
    Prediction("F", "bits of matmul", "yes"),
    Prediction("F", "allocation nodes", 0),
    Prediction("G", "launch, 100 nodes", 3, 15, "µs"),
    Prediction("G", "per node", 0.6, 1.3, "µs"),
    Prediction("G", "replay after others allocated", "the same"),
    Prediction("H", "(128, 32) eager", 900, 1500, "µs"),
    Prediction("H", "(128, 32) recorded", 150, 250, "µs"),
    Prediction("H", "(128, 32) fused", 45, 80, "µs"),
    Prediction("H", "(512, 128) fused", 60, 100, "µs"),
    Prediction("H", "(4096, 512) fused", 500, 650, "µs"),
    Prediction("H", "(4096, 512) fused, TF32", 200, 300, "µs"),
    Prediction("H", "(8192, 1024) fused", 3900, 4400, "µs"),
    Prediction("H", "(8192, 1024) fused, TF32", 1100, 1400, "µs"),
    Prediction("I", "H = 32, 1 GAN", 12, 20, "µs"),
    Prediction("I", "H = 32, best rate", 6, 12, "M GAN-steps/s"),
    Prediction("J", "copy", 3.9e3, 4.6e3, "GB/s"),
    Prediction("J", "float32 product", 50e3, 55e3, "GFLOP/s"),
    Prediction("J", "TF32 product", 350e3, 400e3, "GFLOP/s"),
    Prediction("L", "(128, 32) PyTorch, CUDA graph", 60, 300, "µs"),
    Prediction("L", "(128, 32) JAX, lax.scan", 60, 150, "µs"),
    Prediction("L", "(4096, 512) the best of them over our TF32", 1.5, math.inf),
    Prediction("M", "own Philox, 128", 2, 4, "µs"),
)


class Probe:
    """What a section is given: the backend, its CuPy, and a way to note figures and failures one by one."""

    def __init__(self, backend, budget=600.0, on_note=lambda probe: None):
        self.backend, self.cp, self.dry = backend, backend.cp, backend.name == "strict"
        self.values, self.errors, self.until = {}, {}, time.monotonic() + budget
        self._on_note = on_note

    def note(self, name, call, *arguments):
        """values[name] = call(); what fails is noted too, and the section goes on."""
        if time.monotonic() > self.until:
            self.errors[name] = "no time left"
            return None
        try:
            found = call(*arguments)
        except Exception as error:  # whatever a device does is a finding
            text = " ".join(str(error).split())[:300]
            self.errors[name] = f"{type(error).__name__}: {text}"
            return None
        self.values[name] = found
        self._on_note(self)
        return found

    def count(self, usual):
        """How often: a dry run does all once or twice."""
        return min(usual, 2) if self.dry else usual

    def microseconds(self, call, count=2000):
        """Of one of so many calls, with a synchronisation at the end of all."""
        for _ in range(self.count(20)):
            call()
        self.backend.synchronize()
        count = self.count(count)
        started = time.perf_counter()
        for _ in range(count):
            call()
        self.backend.synchronize()
        return 1e6 * (time.perf_counter() - started) / count

    def array(self, *shape):
        """Normal numbers on the device."""
        return self.backend.array(np.random.default_rng(0).standard_normal(shape, dtype="float32"))

    def sizes(self, usual):
        """Those of the measurement; a dry run has one small one instead."""
        return (SMALL,) if self.dry else usual

    def variant(self, execution, **options):
        """A column of minigan bench, on this backend."""
        return Variant(self.backend.name, execution, **options)

    def step(self, size, variant):
        """A step of the GAN that minigan bench times, made ready."""
        made = partial(work.make_step, checked=self.count(PLAYED[size.width > 256]))
        return work.make(self.backend, replace(work.KINDS["step"], make=made), variant, size)

    def step_time(self, task):
        """µs per step of a task, and by the device's clock; medians of seven."""
        count = 1 if self.dry else calibrated(task.wall, 0.1)
        found = [task.timed(count) for _ in range(1 if self.dry else 7)]
        scale = 1e6 / (task.steps * count)
        return tuple(scale * statistics.median(column) for column in zip(*found, strict=True))


# ── the sections ────────────────────────────────────────────────────────────────────────────────────────────


def facts(probe):
    """The machine, the driver and the libraries; what a cold start costs."""
    for name, value in probe.backend.facts().items():
        probe.values[name] = str(value)
    probe.note("memory", lambda: str(probe.backend.memory()))
    if not probe.dry:
        for start in starts("cupy", 1):
            probe.values[start.part] = start.seconds[0]


def correctness(probe):
    """The suite on this backend."""
    folders = ["tests/backend", "tests/engine", "tests/nn", "tests/gan"]
    only = ["--collect-only", "tests/backend/test_switch.py"] if probe.dry else ["--require-gpu", *folders]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--backend",
        probe.backend.name,
    ]
    left = max(probe.until - time.monotonic(), 0.0)
    try:
        done = subprocess.run(
            [*command, *only], cwd=ROOT, capture_output=True, text=True, timeout=left, check=False
        )
    except subprocess.TimeoutExpired as late:  # no values, so that the section is run again
        lines = (late.stdout or b"").decode(errors="replace").splitlines() or [""]
        probe.errors["pytest"] = f"not done after {left:.0f} s: {lines[-1][-200:]}"
        return
    tail = done.stdout.strip().splitlines()[-1:]
    for word in ("passed", "failed", "error", "skipped"):
        found = re.search(rf"(\d+) {word}", " ".join(tail))
        probe.values[word] = int(found[1]) if found else 0
    failures = [line[:200] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    probe.values["failures"] = failures[:20]
    if not tail or (done.returncode and not failures):
        probe.errors["pytest"] = (done.stderr or done.stdout)[-300:]


def host_cost(probe):
    """µs that the host spends on a call, which is what a step of small arrays costs."""
    cp, backend = probe.cp, probe.backend
    x, W, y = probe.array(128, 32), probe.array(32, 32), probe.array(128, 32)

    def empty():
        kernel = backend.module(EMPTY).kernel("nothing")
        return probe.microseconds(lambda: kernel((1,), (1,), ()))

    def elementwise():
        plus = cp.ElementwiseKernel("float32 x", "float32 y", "y = x + 1.0f", "mg_plus")
        return probe.microseconds(lambda: plus(x, y))

    probe.note("empty kernel", empty)
    probe.note("ElementwiseKernel", elementwise)
    probe.note("ufunc with out", lambda: probe.microseconds(lambda: cp.add(x, x, out=y)))
    probe.note("ufunc with a Python number", lambda: probe.microseconds(lambda: x * 2.0))
    probe.note("sum", lambda: probe.microseconds(lambda: cp.sum(x)))
    probe.note("cupy.matmul (128, 32) (32, 32)", lambda: probe.microseconds(lambda: cp.matmul(x, W, out=y)))
    probe.note("our product (128, 32) (32, 32)", lambda: probe.microseconds(lambda: backend.xp.dot(x, W, y)))
    total = cp.sum(x)
    probe.note("item", lambda: probe.microseconds(lambda: total.item()))


def compilation(probe):
    """Seconds until a kernel that was never seen can run; the cache of kernels is empty."""
    cp, backend, seed = probe.cp, probe.backend, time.time_ns()

    def several():
        started, count = time.perf_counter(), 1 if probe.dry else 20
        for k in range(count):
            backend.module(PLUS.format(f"{1 if probe.dry else seed % 10**6 + k}.0")).kernel("plus")
        return (time.perf_counter() - started) / count

    def seconds(call):
        started = time.perf_counter()
        call()
        backend.synchronize()
        return time.perf_counter() - started

    probe.note("a small kernel", several)
    x = probe.array(4096)
    probe.note("all() for the first time", seconds, lambda: cp.isfinite(x).all())
    (size,) = probe.sizes(SIZES[:1])
    probe.note("a fused step", seconds, lambda: probe.step(size, probe.variant("launches")))
    one = size._replace(replicas=3 if probe.dry else 1)
    probe.note("the block kernel", seconds, lambda: probe.step(one, probe.variant("block")))


CAPTURED = {  # of what CuPy 14 does while a stream captures: "works", or the name of its error
    "ufunc with out": "works", "in place": "works", "ElementwiseKernel": "works", "ReductionKernel": "works",
    "RawKernel": "works", "sum": "works", "copyto": "works", "fill(0)": "works", "fill(2)": "works",
    "zeros": "works", "matmul": "NotImplementedError", "dot": "NotImplementedError",
    "einsum": "NotImplementedError", "tensordot": "NotImplementedError", "our product": "works",
    "cupy.random": "NotImplementedError", "Generator": "works", "asarray(list)": "RuntimeError",
    "get": "RuntimeError", "item": "RuntimeError", "float": "RuntimeError", "bool": "RuntimeError",
    "nonzero": "RuntimeError", "boolean mask": "RuntimeError", "fill(array)": "RuntimeError",
}  # fmt: skip


def capture_matrix(probe):
    """What may stand in a captured step."""
    cp, backend = probe.cp, probe.backend
    x, W, y = probe.array(64, 64), probe.array(64, 64), probe.array(64, 64)
    one, mask = cp.sum(x), x > 0
    try:
        rng = cp.random.Generator(cp.random.Philox4x3210(0, size=256))
    except Exception as error:  # its row then fails by itself
        rng, probe.errors["Generator"] = None, str(error)
    kernel = backend.module(PLUS.format("1.0")).kernel("plus")
    rows = {
        "ufunc with out": lambda: cp.add(x, W, out=y),
        "in place": lambda: y.__iadd__(x),
        "ElementwiseKernel": lambda: cp.ElementwiseKernel("float32 x", "float32 y", "y = x", "mg_copy")(x, y),
        "ReductionKernel": lambda: cp.ReductionKernel(
            "float32 x", "float32 y", "x", "a + b", "y = a", "0", "mg_sum"
        )(x, axis=0),
        "RawKernel": lambda: kernel((32,), (128,), (y, np.int32(4096))),
        "sum": lambda: cp.sum(x, axis=0),
        "copyto": lambda: cp.copyto(y, x),
        "fill(0)": lambda: y.fill(0),
        "fill(2)": lambda: y.fill(2.0),
        "zeros": lambda: cp.zeros((64, 64), "float32"),
        "matmul": lambda: cp.matmul(x, W),
        "dot": lambda: cp.dot(x, W),
        "einsum": lambda: cp.einsum("ij,jk->ik", x, W),
        "tensordot": lambda: cp.tensordot(x, W, axes=1),
        "our product": lambda: backend.xp.dot(x, W, y),
        "cupy.random": lambda: cp.random.standard_normal((64,), "float32"),
        "Generator": lambda: rng.standard_normal(64, "float32"),
        "asarray(list)": lambda: cp.asarray([1.0, 2.0]),
        "get": lambda: x.get(),
        "item": lambda: one.item(),
        "float": lambda: float(one),
        "bool": lambda: bool(one > 0),
        "nonzero": lambda: cp.nonzero(mask),
        "boolean mask": lambda: x[mask],
        "fill(array)": lambda: y.fill(one),
    }
    found = {name: outcome(probe, row) for name, row in rows.items()}
    for name, value in found.items():
        probe.values[name] = value
    missed = [name for name, value in found.items() if value != CAPTURED[name]]
    probe.values["rows as predicted"] = "all" if not missed else f"not {', '.join(missed)}"

    def differs():
        numbers = cp.zeros((64,), "float32")
        drawn = []
        graph = recorded(probe, lambda: rng.standard_normal(64, "float32", out=numbers))
        for _ in range(2):
            graph.launch(backend.stream)
            drawn.append(numbers.get())
        return "yes" if not np.array_equal(*drawn) else "no"

    def sums():
        column = cp.zeros((64,), "float32")
        recorded(probe, lambda: cp.sum(x, axis=0, out=column)).launch(backend.stream)
        return float(np.max(np.abs(column.get() - x.get().sum(0))))

    probe.note("Generator differs per replay", differs)
    probe.note("captured sum off by", sums)


def outcome(probe, call):
    """ "works", or the name of the error that this raises while the stream captures."""
    stream = probe.backend.stream
    with suppress(Exception):
        call()  # compiles; what fails here fails below too
    probe.backend.synchronize()
    error = None
    stream.begin_capture()
    try:
        call()
    except Exception as caught:
        error = caught
    try:
        graph = stream.end_capture()
        if error is None:
            graph.launch(stream)
            probe.backend.synchronize()
    except Exception as caught:
        error = error or caught
    return "works" if error is None else type(error).__name__


def recorded(probe, call):
    """The graph of one call, warmed before."""
    stream = probe.backend.stream
    call()
    probe.backend.synchronize()
    stream.begin_capture()
    try:
        call()
    finally:
        graph = stream.end_capture()
    return graph


def own_products(probe):
    """cuBLAS through our own handle: captured, the same bits as CuPy's, no allocation inside a graph."""
    cp, backend = probe.cp, probe.backend
    x, W, y = probe.array(512, 128), probe.array(128, 128), probe.array(512, 128)
    kept = []

    def captured():
        kept.append(recorded(probe, lambda: backend.xp.dot(x, W, y)))
        kept[-1].launch(backend.stream)
        backend.synchronize()
        return "yes" if np.allclose(y.get(), x.get() @ W.get(), rtol=1e-4, atol=1e-4) else "no: wrong numbers"

    def nodes():
        verbose = 1
        return len(re.findall("MEM_ALLOC", kept[-1].debug_dot_str(verbose), re.IGNORECASE))

    probe.note("captured", captured)
    probe.note("bits of matmul", lambda: "yes" if np.array_equal(y.get(), cp.matmul(x, W).get()) else "no")
    probe.note("allocation nodes", nodes)


def graphs(probe):
    """What launching a graph costs, how much a node adds, and that its memory is its own."""
    backend = probe.backend
    x = probe.array(1024)
    kernel = backend.module(PLUS.format("1.0")).kernel("plus")
    device = {}
    for nodes in (1, 10, 100, 1000):

        def call(nodes=nodes):
            for _ in range(probe.count(nodes)):
                kernel((8,), (128,), (x, np.int32(1024)))

        def both(call=call, nodes=nodes):
            graph = recorded(probe, call)
            launch = partial(graph.launch, backend.stream)
            task = work.Task(backend, launch)
            count = probe.count(200)
            task.wall(count)
            started = time.perf_counter()
            for _ in range(count):
                launch()
            host = 1e6 * (time.perf_counter() - started) / count
            backend.synchronize()
            device[nodes] = 1e6 * task.timed(count)[1] / count
            return host

        probe.note(f"launch, {nodes} node{'s' * (nodes > 1)}", both)
    probe.values |= {f"device, {nodes} nodes": value for nodes, value in device.items()}
    if len(device) == 4:
        probe.values["per node"] = (device[1000] - device[10]) / 990

    def private():
        task = probe.step(Size(64, 16), probe.variant("recorded"))
        expected = [loss.copy() for loss in task.losses(2)]
        litter = [probe.cp.full((256, 256), 7.0, "float32") for _ in range(probe.count(64))]
        task.call()
        del litter
        found = task.losses(2)
        return "the same" if all(map(np.array_equal, expected, found)) else "other numbers"

    probe.note("replay after others allocated", private)


def steps(probe):
    """µs per step of one GAN, and its losses after many steps beside NumPy's."""
    numpy = backends.get("numpy")
    ways = {
        "eager": probe.variant("eager"),
        "recorded": probe.variant("recorded"),
        "fused": probe.variant("launches"),
        "fused, TF32": probe.variant("launches", tf32=True),
    }
    for size in probe.sizes(SIZES):
        played = probe.count(PLAYED[size.width > 256])
        made = work.make_step(numpy, Variant(execution="planned"), size, checked=played)
        expected = made.losses(played)
        for name, variant in ways.items():
            key = f"{size} {name}"

            def time_it(variant=variant, key=key, size=size, expected=expected, played=played):
                task = probe.step(size, variant)
                wall, device = probe.step_time(task)
                probe.values[f"{key}, by events"] = device
                probe.values[f"{key}, losses off by"] = off(task.losses(played), expected, variant)
                return wall

            probe.note(key, time_it)


def block_kernel(probe):
    """One thread block, one GAN: µs per step of one, and GAN-steps per second of many; each pair compiles."""
    numpy, way = backends.get("numpy"), probe.variant("block")
    for size in probe.sizes([Size(128, width) for width in WIDTHS]):
        width, rates = size.width, []
        for count in (3,) if probe.dry else MANY:

            def time_it(count=count, size=size, rates=rates):
                wall, _ = probe.step_time(probe.step(size._replace(replicas=count), way))
                rates.append(count / wall)
                return wall

            probe.note(f"H = {width}, {count} GAN{'s' * (count > 1)}", time_it)
        if rates:
            probe.values[f"H = {width}, best rate"] = max(
                rates
            )  # GANs per µs: millions of GAN-steps a second

        def attributes(size=size):
            plan = probe.step(size._replace(replicas=3), way).program.plan
            return {key: int(value) for key, value in plan._kernel._function.attributes.items()}

        probe.note(f"H = {width}, attributes", attributes)

        def agrees(size=size):
            three, steps = size._replace(replicas=3), probe.count(20)
            expected = work.make_step(numpy, Variant(execution="planned"), three).losses(steps)
            return off(probe.step(three, way).losses(steps), expected, way)

        probe.note(f"H = {width}, losses of 3 GANs off by", agrees)


def off(found, expected, variant):
    """How far losses are from NumPy's.    Raises:  ValueError – if that is more than rounding"""
    difference = float(max(np.max(np.abs(a - b)) for a, b in zip(found, expected, strict=True)))
    if not difference <= 20 * benchmark.TOLERANCE["tf32" if variant.tf32 else variant.dtype]:
        raise ValueError(f"its losses are {difference:.2g} from NumPy's: it computes something else")
    return difference


def ceilings(probe):
    """What a large product and a large copy reach."""
    backend, cp = probe.backend, probe.cp
    n, count = (64, 2**10) if probe.dry else benchmark.CEILING["cupy"]
    gemm, size = work.KINDS["gemm"], Size(n, n)

    def product(variant):
        return 2e-9 * n**3 / fastest(work.make(backend, gemm, variant, size).wall, probe.count(5))

    def half():
        a = cp.ones((n, n), "float16")
        out = cp.empty((n, n), "float16")
        task = work.Task(backend, partial(cp.matmul, a, a, out=out))
        return 2e-9 * n**3 / fastest(task.wall, probe.count(5))

    def copy():
        a, b = (cp.zeros((count,), "float32") for _ in range(2))
        task = work.Task(backend, partial(cp.copyto, b, a))
        return 8e-9 * count / fastest(task.wall, probe.count(5))

    probe.note("float32 product", product, probe.variant("call"))
    probe.note("TF32 product", product, probe.variant("call", tf32=True))
    probe.note("float64 product", product, probe.variant("call", dtype="float64"))
    probe.note("float16 product, CuPy's", half)
    probe.note("copy", copy)


def processor(probe):
    """The CPU beside the GPU, with one thread and with all."""
    numpy = backends.get("numpy")
    ways = [Variant(execution="planned", threads=t) for t in ("one", "BLAS", "program")]
    with benchmark.blas_control() as limit:
        for size in probe.sizes(SIZES):
            for variant in ways:

                def time_it(size=size, variant=variant):
                    limit(work.cores() if variant.threads == "BLAS" else 1)
                    task = work.make_step(numpy, variant, size)
                    count = 1 if probe.dry else calibrated(task.wall, 0.1)
                    found = [task.wall(count) for _ in range(probe.count(3))]
                    return 1e6 * statistics.median(found) / (task.steps * count)

                probe.note(f"{size} {variant.name}", time_it)


COMPETITORS = {"jax_peer": "JAX", "torch_peer": "PyTorch"}
OTHERS = SIZES[0], SIZES[2], Size(128, 32, 1024)  # sizes of the competitors


def competitors(probe):
    """PyTorch and JAX on the same GPU and the same mathematics, where they are installed."""
    from bench.peers import process

    for peer, called in COMPETITORS.items():
        module = import_module(f"bench.peers.{peer}")
        missing = installed(peer) is None
        if missing:
            probe.errors[called] = "not installed"
        for size in OTHERS:
            for name in module.on_gpu(*size):

                def time_it(peer=peer, name=name, size=size):
                    server = process.Server(peer, name, size.batch, size.width, 1, size.replicas)
                    found = server.check()
                    if not max(found["gradients"], found["parameters"]) < OFF["TF32" in name]:
                        raise ValueError(f"it computes something else: {found}")
                    return 1e6 * statistics.median(server.burst(0.2)["seconds"] for _ in range(7))

                if not (missing or probe.dry):
                    probe.note(f"{size} {called}, {name}", time_it)


def randomness(probe):
    """µs for so many normal numbers: our own Philox, CuPy's Generator, and one with a small state."""
    from minigan.backend import philox

    cp, backend = probe.cp, probe.backend
    makers = {
        "Generator": lambda: cp.random.Generator(cp.random.Philox4x3210(0)),
        "Generator, small state": lambda: cp.random.Generator(cp.random.Philox4x3210(0, size=256)),
    }
    for count in (128,) if probe.dry else (128, 4096, 10**6):

        def own(count=count):
            return probe.microseconds(
                lambda: philox.normal(backend, (count,), seed=0, stream=0, steps=range(1), dtype="float32"),
                500,
            )

        probe.note(f"own Philox, {count}", own)
        for name, maker in makers.items():

            def theirs(maker=maker, count=count):
                rng, out = maker(), cp.empty((count,), "float32")
                return probe.microseconds(lambda: rng.standard_normal(count, "float32", out=out), 500)

            probe.note(f"{name}, {count}", theirs)


class Section(NamedTuple):
    """One of the measurements: what runs, and how many seconds it may take."""

    title: str
    run: Callable
    seconds: float


SECTIONS = {
    "A": Section("facts", facts, 60),
    "B": Section("correctness", correctness, 300),
    "C": Section("host cost per call", host_cost, 30),
    "D": Section("compilation", compilation, 60),
    "E": Section("capture matrix", capture_matrix, 45),
    "F": Section("our own cuBLAS", own_products, 30),
    "G": Section("graphs", graphs, 45),
    "H": Section("step times", steps, 120),
    "I": Section("block kernel", block_kernel, 150),
    "J": Section("ceilings", ceilings, 30),
    "K": Section("the CPU beside it", processor, 120),
    "L": Section("competitors", competitors, 240),
    "M": Section("random numbers", randomness, 30),
}


TIMED = "CGHIJLM"  # those before which the clocks of the GPU are brought up


# ── running them ────────────────────────────────────────────────────────────────────────────────────────────


def run_section(letter, backend, budget=600.0, told=lambda found: None):
    """What one section found, in this process; ``told`` is given what it has after each figure."""
    started = time.monotonic()

    def found(probe):
        values = {name: "dry run" for name in probe.values} if probe.dry else dict(probe.values)
        status = "failed" if probe.errors and not values else "ok"
        return {
            "status": status,
            "seconds": time.monotonic() - started,
            "values": values,
            "errors": probe.errors,
        }

    probe = Probe(backend, budget, lambda probe: told(found(probe)))
    try:
        if letter in TIMED and not probe.dry:
            benchmark.warm(backend, benchmark.WARM["cupy"])
        SECTIONS[letter].run(probe)
    except Exception as error:  # as in a note
        probe.errors["the section"] = f"{type(error).__name__}: {error}"[:300]
    return found(probe)


def isolated(letter, name, seconds):
    """What one section found, in a process of its own, or had found when its time was up."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "bench.gpu_probe", "--worker", letter, "--backend", name]
        environ = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # JAX else takes all memory
        environ |= {"CUPY_CACHE_DIR": cache} if letter == "D" else {}
        started, late = time.monotonic(), False
        # In a session of its own, so that what it started, which may still use the GPU, ends with it.
        worker = subprocess.Popen(
            [*command, "--budget", f"{0.9 * seconds:.0f}"],
            cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            printed, complaints = worker.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
        if late:
            try:
                printed, _ = worker.communicate(timeout=GRACE)  # all of it, not only what came since
            except subprocess.TimeoutExpired as stuck:
                printed = stuck.stdout or b""
            return last(printed) | {"status": "timed out", "seconds": seconds}
    found = last(printed)
    if worker.returncode == 0:
        return found
    lines = complaints.decode(errors="replace").strip().splitlines()
    errors = found["errors"] | {"process": (lines or [f"exit code {worker.returncode}"])[-1][:300]}
    return found | {"status": "crashed", "seconds": time.monotonic() - started, "errors": errors}


def last(output):
    """The last whole line that a worker printed."""
    for line in reversed(output.decode(errors="replace").splitlines()):
        with suppress(ValueError):
            return json.loads(line)
    return {"status": "crashed", "seconds": 0.0, "values": {}, "errors": {}}


def read(path):
    """The sections that a file already has; none where there is no file."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path} cannot be read ({error}); name another --out") from None
    if not isinstance(record, dict) or not isinstance(record.get("sections"), dict):
        raise SystemExit(f"{path} is no result of bench.gpu_probe; name another --out")
    return record["sections"]


def write(path, backend, sections):
    """Replace the file by all sections so far."""
    record = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "environment": environment(),
        "device": backend.describe(),
        "sections": sections,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(record, indent=1).encode() + b"\n")


def report(sections):
    """The prediction beside the measurement: at most 40 lines."""
    rows = []
    for p in PREDICTIONS:
        found = sections.get(p.section)
        value = None if found is None else beside(sections, p)
        if found is None:
            text = "not run"
        elif value == "dry run":
            text = value
        elif value is None:
            text = " ".join(["not measured", *found["errors"].get(p.name, "").split()[:1]])
        else:
            text = value if isinstance(value, str) else f"{value:.4g} {p.unit}".strip()
            text += "" if p.holds(value) else ", MISSED: explain it"
        rows.append((p.section, p.name, p.text(), text))
    return table(("", "", "predicted", "measured"), rows)


def beside(sections, prediction):
    """The figure that a prediction is of; one of them is a ratio of two sections."""
    if prediction.high != math.inf:
        return sections[prediction.section]["values"].get(prediction.name)
    ours = sections.get("H", {"values": {}})["values"].get("(4096, 512) fused, TF32")
    others = [v for name, v in sections["L"]["values"].items() if name.startswith("(4096, 512) ")]
    return min(others) / ours if others and isinstance(ours, float) else None


def letters(text):
    """The sections of "all", or of "A,C"."""
    asked = tuple(SECTIONS) if text == "all" else tuple(text.upper().split(","))
    unknown = [letter for letter in asked if letter not in SECTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no section {', '.join(unknown)}; choose from {', '.join(SECTIONS)}"
        )
    return asked


def main(arguments=None):
    """Run the sections that the file does not have yet; 6 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--section", type=letters, default=tuple(SECTIONS), metavar="A,B…|all")
    parser.add_argument("--budget", type=float, default=900.0, metavar="SECONDS", help="for all of them")
    parser.add_argument("--backend", choices=("cupy", "strict"), default="cupy", help="strict: a dry run")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="default: bench/results/gpu-probe.json")
    parser.add_argument("--worker", metavar="LETTER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        backend = backends.get(options.backend)
    except backends.BackendError as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return 6
    if options.worker:
        told = partial(print, flush=True)
        told(json.dumps(run_section(options.worker, backend, options.budget, lambda f: told(json.dumps(f)))))
        return 0
    dry = options.backend == "strict"
    path = options.out or (None if dry else common.RESULTS / "gpu-probe.json")
    sections = {} if path is None else read(path)
    until = time.monotonic() + options.budget
    for letter in options.section:
        section, left = SECTIONS[letter], until - time.monotonic()
        if sections.get(letter, {}).get("status") == "ok" and not dry:
            print(f"{letter} {section.title}: in the file already", file=sys.stderr)
            continue
        if left < 5:
            print(f"{letter} {section.title}: no time left; run it again to go on", file=sys.stderr)
            break
        seconds = min(section.seconds, left)
        found = run_section(letter, backend, seconds) if dry else isolated(letter, options.backend, seconds)
        sections[letter] = {"title": section.title, **found}
        if path is not None:
            write(path, backend, sections)
        print(f"{letter} {section.title}: {found['status']}, {found['seconds']:.1f} s", file=sys.stderr)
        for name, error in found["errors"].items():
            print(f"  {name}: {error}", file=sys.stderr)
    print(report(sections))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
