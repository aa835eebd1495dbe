"""What bench.gpu.probe measures: sections of figures, each noted by itself."""

import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.peers.__main__ import installed
from minigan import backend as backends
from minigan.profiling import benchmark, work
from minigan.profiling.cold import starts
from minigan.profiling.results import Size
from minigan.profiling.timing import calibrated, fastest
from minigan.profiling.work import Variant

ROOT = Path(__file__).parents[2]
SIZES = Size(128, 32), Size(512, 128), Size(4096, 512), Size(8192, 1024)
BLOCKS = Size(128, 32), Size(64, 16), Size(128, 64)  # of the block kernel; first those of predictions
MANY = 1, 1056, 132, 4096  # GANs at once
SMALL = Size(8, 4)  # of a dry run
OFF = {False: 1e-3, True: 5e-2}  # how far gradients may be from the reference: in float32, in TF32
PLAYED = 200, 5  # steps until losses are compared: of small games, of large ones
EMPTY = 'extern "C" __global__ void nothing() {}'
PLUS = """extern "C" __global__ void plus(float* x, int n) {{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] += {}f;
}}"""


class Probe:
    """What a section is given: the backend, its CuPy, and a way to note figures and failures one by one."""

    late = False  # whether time ran out

    def __init__(self, backend, budget=600.0, on_note=lambda probe: None, known=None):
        self.backend, self.cp, self.dry = backend, backend.cp, backend.name == "strict"
        self.values, self.errors, self.until = dict(known or {}), {}, time.monotonic() + budget
        self._on_note = on_note

    def note(self, name, call, *arguments):
        """values[name] = call(), unless it is known; what fails is noted too, and the section goes on."""
        if name in self.values:
            return self.values[name]
        if time.monotonic() > self.until:
            self.errors[name], self.late = "no time left", True
            return None
        try:
            found = call(*arguments)
        except Exception as error:  # whatever a device does is a finding
            text = " ".join(str(error).split())[:300]
            self.errors[name] = f"{type(error).__name__}: {text}"
            return None
        self.tell({name: found})
        return found

    def tell(self, values):
        """Add figures, and let them be written."""
        self.values |= values
        self._on_note(self)

    def count(self, usual):
        """How often: a dry run does all once or twice."""
        return min(usual, 2) if self.dry else usual

    def microseconds(self, call, count=2000):
        """Of one of so many calls, with a synchronisation at the end of all."""
        self.backend.enter()  # what is called may be CuPy's own
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


OUTCOME = re.compile(r"^\[gw\d+\] \[ *\d+%\] (PASSED|FAILED|ERROR|SKIPPED) (\S.*)")  # of pytest-xdist


class Tally:
    """What the tests have come to, line by line of ``pytest -v -n``."""

    def __init__(self):
        self.counted, self.names, self.messages, self.last = Counter(), [], [], ""

    def read(self, line):
        """One more line; whether it is a good moment to note the values."""
        self.last = line.strip() or self.last
        if line.startswith(("FAILED ", "ERROR ")):  # the summary at the end has what was wrong too
            self.messages.append(line.strip()[:200])
        found = OUTCOME.match(line)
        if found is None:
            return False
        self.counted[found[1].lower()] += 1
        if found[1] in ("FAILED", "ERROR"):
            self.names.append(found[2].strip()[:200])
        return sum(self.counted.values()) % 50 == 0

    def values(self):
        """Counts, and the first failures."""
        words = ("passed", "failed", "error", "skipped")
        return {w: self.counted[w] for w in words} | {"failures": (self.messages or self.names)[:20]}


def correctness(probe):
    """The tests that touch the device, in as many processes as there are processors, counted as they end."""
    folders = ["tests/engine", "tests/nn", "tests/gan", "tests/backend", "tests/compiler", "tests/training"]
    several = ["-n", str(min(12, work.cores())), "--dist", "worksteal", "--require-gpu", *folders]
    command = [sys.executable, "-m", "pytest", "-v", "--tb=line", "-p", "no:cacheprovider", "-W", "default"]
    command += ["--backend", probe.backend.name, "-k", probe.backend.name]
    command += ["--collect-only", "tests/backend/test_switch.py"] if probe.dry else several
    tally, options = Tally(), {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=ROOT, errors="replace", **options) as tests:
        timer = threading.Timer(max(probe.until - time.monotonic(), 0.0), tests.kill)
        timer.start()
        for line in tests.stdout:
            if tally.read(line):
                probe.tell(tally.values())
        timer.cancel()
    probe.tell(tally.values())
    if tests.returncode < 0:
        probe.late, probe.errors["pytest"] = True, f"not done: {tally.last[-200:]}"
    elif tests.returncode and not tally.names:
        probe.errors["pytest"] = tally.last[-300:]


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
            probe.values[f"device, {nodes} nodes"] = 1e6 * task.timed(count)[1] / count
            return host

        probe.note(f"launch, {nodes} node{'s' * (nodes > 1)}", both)
    few, many = (probe.values.get(f"device, {nodes} nodes") for nodes in (10, 1000))
    if few is not None and many is not None:
        probe.tell({"per node": (many - few) / 990})

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
    """µs per step of one GAN, and its losses after many steps beside NumPy's; of the default game too."""
    ways = {
        "fused": probe.variant("launches"),
        "recorded": probe.variant("recorded"),
        "eager": probe.variant("eager"),
        "fused, TF32": probe.variant("launches", tf32=True),
    }
    small, *others = probe.sizes(SIZES)
    for size in (small, None, *others):
        if size is None:
            for execution in ("launches", "block"):
                probe.note(f"default game, {execution}", default_game, probe, execution)
            continue
        expected, played = [], probe.count(PLAYED[size.width > 256])
        for name, variant in ways.items():
            key = f"{size} {name}"

            def time_it(variant=variant, key=key, size=size, expected=expected, played=played):
                if not expected:
                    numpy = backends.get("numpy")
                    made = work.make_step(numpy, Variant(execution="planned"), size, checked=played)
                    expected.append(made.losses(played))
                task = probe.step(size, variant)
                wall, device = probe.step_time(task)
                probe.values[f"{key}, by events"] = device
                probe.values[f"{key}, losses off by"] = off(task.losses(played), expected[0], variant)
                return wall

            probe.note(key, time_it)


def default_game(probe, execution):
    """µs per step of what ``minigan train`` trains, its draws with it."""
    from minigan.training.config import Config, NetworkConfig, replace
    from minigan.training.experiment import Experiment

    config = replace(Config(), backend=probe.backend.name, execution=execution)
    if probe.dry:
        tiny = NetworkConfig(widths=(3,))
        config = replace(config, generator=tiny, discriminator=tiny, batch=4)
    experiment, count = Experiment(config), 2 if probe.dry else 4096
    experiment.advance(2 if probe.dry else 512)
    probe.backend.synchronize()
    started = time.perf_counter()
    experiment.advance(count)
    probe.backend.synchronize()
    return 1e6 * (time.perf_counter() - started) / count


def block_kernel(probe):
    """One thread block, one GAN: µs per step of one, and GAN-steps per second of many, also as launches."""
    way = probe.variant("block")
    sizes = probe.sizes(BLOCKS)
    for size in sizes:
        counts = (3,) if probe.dry else MANY
        for count in counts:
            probe.note(f"{size} block, {gans(count)}", time_of, probe, size, count, way)
        rates = [n / probe.values[name] for n in counts if isinstance(
            probe.values.get(name := f"{size} block, {gans(n)}"), float)]  # fmt: skip
        if rates:  # GANs per µs: millions of GAN-steps a second
            probe.tell({f"{size} block, best rate": max(rates)})

        def attributes(size=size):
            plan = probe.step(size._replace(replicas=3), way).program.plan
            return {key: int(value) for key, value in plan._kernel._function.attributes.items()}

        probe.note(f"{size} block, attributes", attributes)

        def agrees(size=size):
            three, steps = size._replace(replicas=3), probe.count(20)
            numpy = backends.get("numpy")
            expected = work.make_step(numpy, Variant(execution="planned"), three).losses(steps)
            return off(probe.step(three, way).losses(steps), expected, way)

        probe.note(f"{size} block, losses of 3 GANs off by", agrees)
    for count in (2,) if probe.dry else (132, 1056):
        probe.note(
            f"{sizes[0]} launches, {gans(count)}", time_of, probe, sizes[0], count, probe.variant("launches")
        )


def gans(count):
    """ "1 GAN", "132 GANs"."""
    return f"{count} GAN{'s' * (count > 1)}"


def time_of(probe, size, count, way):
    """µs per step of so many GANs together."""
    return probe.step_time(probe.step(size._replace(replicas=count), way))[0]


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


SECTIONS = {  # in the order of their worth; A to E fit into 265 s, J to L into 75 s
    "A": Section("facts", facts, 20),
    "F": Section("our own cuBLAS", own_products, 15),
    "G": Section("graphs", graphs, 20),
    "H": Section("step times", steps, 95),
    "I": Section("block kernel", block_kernel, 90),
    "E": Section("capture matrix", capture_matrix, 25),
    "B": Section("correctness", correctness, 160),
    "J": Section("ceilings", ceilings, 15),
    "C": Section("host cost per call", host_cost, 15),
    "L": Section("competitors", competitors, 45),
    "D": Section("compilation", compilation, 40),
    "M": Section("random numbers", randomness, 20),
    "K": Section("the CPU beside it", processor, 90),
}
FIRST, SECOND = "AFGHIE", "JCL"  # of the two commands, beside the tests
TIMED = "CGHIJLM"  # those before which the clocks of the GPU are brought up
