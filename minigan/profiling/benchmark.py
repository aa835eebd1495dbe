"""The fair comparison of CPU and GPU: what `minigan bench` measures, and how.

The same work on the same numbers everywhere: products, elementwise work, a layer there and back, whole steps
of one GAN and of many. Every variant is warmed, then they take turns, the first one twice: its second timing
is the control. A timing is of a block of calls with one synchronisation at its end; data and parameters stay
where they are computed with, and transfers and cold starts are measured apart. Every variant of a step, of
one GAN or of many, is asked for its losses: one whose losses are not those of the first is noted, and takes
part in no crossover. What products, elementwise work and layers compute is compared by the tests alone.

Source:  Lee et al., "Debunking the 100X GPU vs. CPU myth", ISCA 2010; Hoefler & Belli, "Scientific
         benchmarking of parallel computing systems", SC 2015
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import numpy as np

from minigan import backend as backends
from minigan.compiler import cuda_launches
from minigan.compiler.capture import CaptureError, capture
from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean
from minigan.engine.tensor import constant, variable
from minigan.errors import ConfigError, UnavailableError, shown
from minigan.gan.game import Game
from minigan.gan.orders import Batch
from minigan.machine import available_memory, environment
from minigan.nn.layers import Dense
from minigan.nn.layers import activation as activation_called
from minigan.nn.network import mlp
from minigan.nn.optim import Adam
from minigan.profiling.doctor import blas_findings, processor_flags
from minigan.profiling.timings import (
    Ceiling,
    Cell,
    Control,
    Fact,
    LeftOut,
    Loss,
    Record,
    Size,
    Start,
    Transfer,
    crossovers,
    quartiles,
)

RATE, BETA1, BETA2 = 1e-3, 0.5, 0.999
MEAN, SD = 4.0, 1.25  # of the data

TURNS, SLOW_TURNS = 7, 3  # of all variants; of those of a cell whose turns take more than CELL seconds
SECONDS, QUICK_SECONDS = 0.05, 0.02  # of one timing, at least
CELL = 10.0  # seconds
WARM = {"numpy": 0.2, "cupy": 1.5}  # seconds of real work first
CHECKED, FEWEST = 20, 2  # steps until losses are compared; of long ones: after two, both nets have moved
CHECK = 2.0  # seconds that they may take
TOLERANCE = {"float32": 1e-3, "float64": 1e-3, "tf32": 2e-2}  # between losses: what rounding adds up to
LIVE = 50  # arrays of a step, as large as a hidden layer, that are alive at most
SAMPLES, OPERATIONS = 2**21, 2**28  # in the batches, and in the products, of a block of steps, at most
TOGETHER = 16  # steps of a block of replicas, whatever their operations: so long a group stays in the cache
CEILING = {"numpy": (2048, 2**24), "cupy": (8192, 2**28)}  # n of a product, numbers copied
TRANSFERS = (2**12, 2**20, 2**26)  # bytes
STARTS = 3  # processes
MOST = 2**20  # of batch and width

SIZES = tuple(
    Size(*size)
    for size in ((64, 16), (128, 32), (256, 64), (512, 128), (2048, 256), (4096, 512), (8192, 1024))
)
QUICK_SIZES = SIZES[0], SIZES[3]
MANY = tuple(Size(B, H, R) for B, H in ((64, 16), (128, 32)) for R in (1, 16, 256, 4096))
QUICK_MANY = tuple(Size(64, 16, R) for R in (1, 64))


# ── the columns: data, not branches ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Variant:
    """One way to do a piece of work.

    threads    all cores, or one; who has them: the BLAS, or the program of a captured step
    execution  "call" of the array library; "eager", every step by Python; or as capture has it: "planned" for
               NumPy, on a GPU a graph as "recorded" or of fused "launches", or a "block" for each GAN
    most       operations of a step, beyond which it is left out: it would take minutes, and say nothing new
    """

    backend: str = "numpy"
    execution: str = "call"
    dtype: str = "float32"
    tf32: bool = False
    threads: Literal["one", "BLAS", "program"] = "one"
    most: float = math.inf

    @property
    def name(self) -> str:
        """What tables call it: the same on every machine."""
        where = {"numpy": "NumPy", "cupy": "CuPy"}.get(self.backend, self.backend)
        number = " TF32" if self.tf32 else " float64" if self.dtype == "float64" else ""
        count = {"one": "1 thread", "BLAS": "all threads of BLAS", "program": "all threads"}[self.threads]
        how = HOW[self.execution]
        return ", ".join(filter(None, (where + number, count if self.backend == "numpy" else "", how)))

    @property
    def on_gpu(self) -> bool:
        """Whether it needs one."""
        return self.backend != "numpy"


HOW = {
    "call": "", "eager": "eager", "planned": "captured", "recorded": "recorded graph",
    "launches": "fused graph", "block": "block kernel",
}  # fmt: skip
CALLS = (
    Variant(),
    Variant(threads="BLAS"),
    Variant(dtype="float64"),
    Variant("cupy"),
    Variant("cupy", tf32=True),
    Variant("cupy", dtype="float64"),
)
LAYERS = (
    Variant(execution="planned"),
    Variant(execution="planned", threads="BLAS"),
    Variant(execution="eager"),
    *(Variant("cupy", execution) for execution in ("eager", "recorded", "launches")),
    Variant("cupy", "launches", tf32=True),
)
STEPS = (
    Variant(execution="planned"),
    Variant(execution="planned", threads="BLAS"),
    Variant(execution="planned", threads="program"),
    Variant(execution="planned", dtype="float64", most=1e11),
    Variant(execution="eager", most=1e11),
    *(Variant("cupy", execution) for execution in ("eager", "recorded", "launches")),
    Variant("cupy", "block", most=1e10),  # of one multiprocessor
    Variant("cupy", "launches", tf32=True),
    Variant("cupy", "launches", dtype="float64"),
)
REPLICAS = (
    Variant(execution="planned"),
    Variant(execution="planned", threads="program"),
    *(Variant("cupy", execution) for execution in ("recorded", "launches", "block")),
)


# ── the work ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Task:
    """A piece of work made ready: ``call()`` starts ``steps`` of it and does not wait for their end."""

    backend: backends.Backend
    call: Callable[[], Any]
    steps: int = 1
    losses: Callable[[int], tuple[np.ndarray, np.ndarray]] | None = None  # after so many steps from the start
    program: Any = None  # the captured step, if it is one


@dataclass(frozen=True)
class Kind:
    """A row of what is measured: how it is made, what it costs, and which ceiling bounds it."""

    about: str
    make: Callable[[backends.Backend, Variant, Size], Task]
    variants: tuple[Variant, ...]
    sizes: tuple[Size, ...]
    quick: tuple[Size, ...]
    flops: Callable[[Size], float]
    moved: Callable[[Size], float]  # numbers read and written by a call that keeps none of them
    bound: Literal["product", "copy"] = "product"


def arrays(backend: backends.Backend, dtype: str, *shapes: tuple[int, ...]) -> list[Any]:
    """Normal numbers of these shapes, the same on every backend."""
    rng = np.random.default_rng(0)
    return [backend.array(rng.standard_normal(shape).astype(dtype)) for shape in shapes]


def make_product(backend: backends.Backend, variant: Variant, size: Size) -> Task:
    """out ← x W, the product of a hidden layer.    Shapes:  (B, H), (H, H)"""
    B, H = size.batch, size.width
    x, W = arrays(backend, variant.dtype, (B, H), (H, H))
    return Task(backend, partial(backend.xp.dot, x, W, backend.xp.empty((B, H), variant.dtype)))


def make_elementwise(backend: backends.Backend, variant: Variant, size: Size) -> Task:
    """out ← tanh(x + b), in two calls.    Shapes:  (B, H), (1, H)"""
    B, H = size.batch, size.width
    x, b = arrays(backend, variant.dtype, (B, H), (1, H))
    xp, out = backend.xp, backend.xp.empty((B, H), variant.dtype)

    def call() -> Any:
        xp.add(x, b, out=out)
        return xp.tanh(out, out=out)

    return Task(backend, call)


def make_layer(backend: backends.Backend, variant: Variant, size: Size) -> Task:
    """A dense layer of tanh, and the gradients of its mean in x, W and b."""
    B, H = size.batch, size.width
    x, W, b = map(variable, arrays(backend, variant.dtype, (B, H), (H, H), (1, H)))
    layer, parameters = Dense(H, H, activation_called("tanh")), {"W": W, "b": b}

    def step() -> Any:
        return grad(mean(layer(parameters, x)), [x, W, b])

    if variant.execution == "eager":
        return Task(backend, step)
    return Task(backend, captured(step, variant, state={"x": x, **parameters}))


def make_step(backend: backends.Backend, variant: Variant, size: Size, checked: int = CHECKED) -> Task:
    """The step of one GAN, or of R: D moves on x and G(z), then G through the new D; their draws are made.

    checked  how many steps its losses may be asked after
    """
    game, start = make_game(backend, size, variant.dtype)
    share = max(size.replicas, 1)
    few = max(TOGETHER if size.replicas else 1, OPERATIONS // (flops_of_step(size) * share))
    steps = max(1, min(64, few, SAMPLES // (size.batch * share)))
    draws = batches(size, max(steps, checked)).astype(variant.dtype)
    everything = [backend.array(block) for block in draws]
    blocks = [backend.array(block[:steps]) for block in draws]
    first, program = [block[0] for block in everything], None
    if variant.execution == "eager":

        def advance(blocks: list[Any]) -> Any:
            for k in range(blocks[0].shape[0]):
                losses = game.round(Batch(*(constant(block[k]) for block in blocks)))
            return losses
    else:
        program = captured(game.round, variant, Batch(*first), state=game.state)

        def advance(blocks: list[Any]) -> Any:
            return program.each(Batch(*blocks))

    def losses(count: int) -> tuple[np.ndarray, np.ndarray]:
        for tensor, content in zip(game.state.values(), start, strict=True):
            backend.xp.copyto(tensor.array, content)
        found = advance([block[:count] for block in everything])
        return found.discriminator.numpy(), found.generator.numpy()

    return Task(backend, partial(advance, blocks), steps, losses, program)


def make_game(backend: backends.Backend, size: Size, dtype: str) -> tuple[Game, list[Any]]:
    """The game of one latent number and two nets 1-H-H-1, and a copy of its state as it starts."""
    rngs: Any = np.random.default_rng(0)
    if size.replicas:
        rngs = [np.random.default_rng(k) for k in range(size.replicas)]
    widths = 1, size.width, size.width, 1
    G, D = (mlp(widths, rngs=rngs, activation="tanh", backend=backend, dtype=dtype) for _ in range(2))
    game = Game(G, D, *(Adam(net.parameters, RATE, BETA1, BETA2) for net in (G, D)))
    return game, [backend.xp.array(tensor.array) for tensor in game.state.values()]


def batches(size: Size, steps: int) -> np.ndarray:
    """x, z_d and z_g of so many steps, in float32.    Shapes:  (3, steps, 1, …, B, 1)"""
    lead = (size.replicas,) if size.replicas else ()
    draws = np.random.default_rng(1).standard_normal((3, steps, 1, *lead, size.batch, 1), dtype="float32")
    draws[0] = MEAN + SD * draws[0]
    return draws


def captured(step: Callable, variant: Variant, *inputs: Any, state: Any) -> Any:
    """The program of a step, executed as the variant says.

    Raises:  CaptureError – where the backend does not do that, or not with this step
    """
    threads = cores() if variant.threads == "program" else 1
    return capture(step, *inputs, state=state, threads=threads, execution=variant.execution)


def flops_of_step(size: Size) -> int:
    """Of the GAN step, per GAN: 12 products of (B, H) and (H, H), and the ends of both nets."""
    B, H, _ = size
    return 2 * B * (12 * H * H + 27 * H)


KINDS = {
    "gemm": Kind(
        "x W, (B, H) and (H, H)", make_product, CALLS, SIZES, QUICK_SIZES,
        lambda s: 2 * s.batch * s.width**2, lambda s: 2 * s.batch * s.width + s.width**2,
    ),
    "elementwise": Kind(
        "tanh(x + b), (B, H), two calls", make_elementwise, CALLS, SIZES, QUICK_SIZES,
        lambda s: 2 * s.batch * s.width, lambda s: 4 * s.batch * s.width, "copy",
    ),
    "layer": Kind(
        "tanh(x W + b) and its gradients in x, W and b", make_layer, LAYERS, SIZES, QUICK_SIZES,
        lambda s: 6 * s.batch * s.width**2, lambda s: 8 * s.batch * s.width + 3 * s.width**2,
    ),
    "step": Kind(
        "one step of a GAN, both nets 1-H-H-1", make_step, STEPS, SIZES, QUICK_SIZES,
        flops_of_step, lambda s: 49 * s.batch * s.width,
    ),
    "replicas": Kind(
        "one step of R GANs, per GAN", make_step, REPLICAS, MANY, QUICK_MANY,
        flops_of_step, lambda s: 49 * s.batch * s.width,
    ),
}  # fmt: skip


# ── measuring ───────────────────────────────────────────────────────────────────────────────────────────────


def chosen(name: str) -> tuple[list[backends.Backend], list[str]]:
    """The backends that are timed for --backend ``name``, NumPy first, and what to tell about the choice.

    Raises:  ConfigError – for strict, or another name;  UnavailableError – for cupy where it cannot be used
    """
    if name == "strict":
        raise ConfigError(
            "strict is a double of a GPU made of NumPy: its times say nothing about a GPU; "
            "choose numpy, cupy or auto"
        )
    if name not in ("numpy", "cupy", "auto"):
        raise ConfigError(f"what is timed is numpy, cupy or auto; received {shown(name)}")
    found, notes = [backends.get("numpy")], []
    if name in ("cupy", "auto"):
        try:
            found.append(backends.get("cupy"))
        except backends.BackendError as error:
            if name == "cupy":
                raise UnavailableError(str(error)) from None
            notes.append(f"no GPU was measured, this is the CPU half alone: {error}")
    return found, notes


def measure(
    backend: str = "auto",
    sizes: tuple[Size, ...] = (),
    only: tuple[str, ...] = (),
    quick: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Record:
    """Measure all kinds of work, or only those named, at the default sizes or at these.

    Raises:  ConfigError – for an unknown kind, or strict;  UnavailableError – for a GPU that is not there
    """
    for name in only:
        if name not in KINDS:
            raise ConfigError(f"there is no {shown(name)} to measure; choose from {', '.join(KINDS)}")
    homes, notes = chosen(backend)
    here = environment()
    found = blas_findings(here["blas"], processor_flags(), os.environ)
    notes += [f"{finding.name} {finding.value}: {finding.advice}" for finding in found if finding.advice]
    record = Record(
        measured=datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        environment=here,
        facts=[Fact(home.name, name, str(value)) for home in homes for name, value in home.facts().items()],
        quick=quick,
        turns=SLOW_TURNS if quick else TURNS,
        notes=notes,
    )
    with blas_control() as limit:
        bench = Bench(record, {home.name: home for home in homes}, quick, limit, say)
        for home in homes:
            say(f"warming {home.describe()}")
            warm(home, WARM[home.name] / (4 if quick else 1))
        kinds = {name: kind for name, kind in KINDS.items() if not only or name in only}
        for name, kind in kinds.items():
            for size in cell_sizes(kind, sizes, quick):
                say(f"{name} {size}")
                bench.cell(name, kind, size)
        for home in homes:
            bench.transfers(home)
    for home in homes:
        say(f"cold start of {home.name}")
        record.starts.extend(starts(home.name, 1 if quick else STARTS))
    record.crossovers.extend(crossovers(record.cells, record.losses))
    return record


def cell_sizes(kind: Kind, sizes: tuple[Size, ...], quick: bool) -> tuple[Size, ...]:
    """The sizes of a kind: its own, or those asked for, with its own numbers of replicas."""
    own = kind.quick if quick else kind.sizes
    if not sizes:
        return own
    replicas = dict.fromkeys(size.replicas for size in own)
    return tuple(Size(size.batch, size.width, R) for size in sizes for R in replicas)


@contextmanager
def blas_control() -> Iterator[Callable[[int], None]]:
    """A function that sets the number of BLAS threads; afterwards it is what it was."""
    import threadpoolctl

    controller = threadpoolctl.ThreadpoolController().select(user_api="blas")
    with controller.limit(limits=1):

        def limit(count: int) -> None:
            for library in controller.lib_controllers:
                library.set_num_threads(count)

        yield limit


def cores() -> int:
    """The processor's cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


class Bench:
    """The measurement under way: it adds to the record."""

    def __init__(
        self,
        record: Record,
        homes: dict[str, backends.Backend],
        quick: bool,
        limit: Callable[[int], None],
        say: Callable[[str], None],
    ) -> None:
        self.record, self.homes, self.quick, self.limit, self.say = record, homes, quick, limit, say
        self.seconds = QUICK_SECONDS if quick else SECONDS
        self._ceilings: dict[tuple, Ceiling] = {}

    def cell(self, what: str, kind: Kind, size: Size) -> None:
        """All variants of one kind at one size, in turns."""
        tasks = {}
        for variant in kind.variants:
            if variant.backend not in self.homes:
                continue
            try:
                refuse_what_takes_too_long(kind, size, variant)
                refuse_what_does_not_fit(size, variant)
                self._limit(variant)
                task = make(self.homes[variant.backend], kind, variant, size)
                count = calibrated(task, self.seconds)
            except (TooLong, CaptureError, backends.BackendError, MemoryError) as error:
                reason = str(error) or type(error).__name__
                self.record.left_out.append(LeftOut(what, *size, variant.name, reason))
            else:
                tasks[variant] = task, count
        if tasks:
            self._turns(what, kind, size, tasks)
            self._losses(what, size, tasks)

    def _limit(self, variant: Variant) -> None:
        self.limit(cores() if variant.threads == "BLAS" else 1)

    def _turns(self, what: str, kind: Kind, size: Size, tasks: dict[Variant, tuple[Task, int]]) -> None:
        first = next(iter(tasks))
        walls: dict[Variant, list[float]] = {variant: [] for variant in tasks}
        devices: dict[Variant, list[float]] = {variant: [] for variant in tasks if variant.on_gpu}
        controls: list[float] = []
        turns, started = self.record.turns, time.perf_counter()
        while len(controls) < turns:
            for variant, (task, count) in tasks.items():
                self._limit(variant)
                wall, device = timed(task, count)
                walls[variant].append(wall / (task.steps * count))
                if variant.on_gpu:
                    devices[variant].append(device / (task.steps * count))
            self._limit(first)
            again, _ = timed(*tasks[first])
            controls.append(again / (tasks[first][0].steps * tasks[first][1]) / walls[first][-1])
            if time.perf_counter() - started > CELL:
                turns = min(turns, max(SLOW_TURNS, len(controls)))
        self.record.controls.append(Control(what, *size, first.name, *quartiles(controls)))
        share = max(size.replicas, 1)
        for variant, (task, count) in tasks.items():
            seconds = [wall / share for wall in walls[variant]]
            clock = [device / share for device in devices.get(variant, ())] or None
            self.record.cells.append(self._row(what, kind, size, variant, task.steps * count, seconds, clock))

    def _row(
        self,
        what: str,
        kind: Kind,
        size: Size,
        variant: Variant,
        steps: int,
        seconds: list[float],
        device: list[float] | None,
    ) -> Cell:
        median, low, high = quartiles(seconds)
        gflops = kind.flops(size) / median / 1e9
        gbs = kind.moved(size) * np.dtype(variant.dtype).itemsize / median / 1e9
        ceiling = self.ceiling(variant)
        share = gflops / ceiling.gflops if kind.bound == "product" else gbs / ceiling.gbs
        threads = 1 if variant.threads == "one" else cores()
        return Cell(
            what, *size, variant.name, variant.backend, variant.dtype, variant.tf32,
            0 if variant.on_gpu else threads, variant.execution, steps, seconds, device,
            median, low, high, kind.flops(size), gflops, gbs, share,
        )  # fmt: skip

    def _losses(self, what: str, size: Size, tasks: dict[Variant, tuple[Task, int]]) -> None:
        """Every variant from the same weights on the same draws, beside the first after as many steps."""
        first, share = next(iter(tasks)), max(size.replicas, 1)
        cells = self.record.cells[-len(tasks) :]
        paces = {variant: cell.median * share for variant, cell in zip(tasks, cells, strict=True)}
        found: dict[tuple[Variant, int], np.ndarray] = {}

        def losses(variant: Variant, count: int) -> np.ndarray:
            task, _ = tasks[variant]
            if task.losses and (variant, count) not in found:
                self._limit(variant)
                both = [np.asarray(loss, "float64") for loss in task.losses(count)]
                found[variant, count] = np.stack(both)
            return found[variant, count]

        for variant, (task, _) in tasks.items():
            if task.losses is None:
                continue
            pace = max(paces[variant], paces[first])
            count = max(FEWEST, min(CHECKED, int(CHECK / pace / len(tasks))))
            both = losses(variant, count)
            difference = float(np.max(np.abs(both - losses(first, count))))
            alike = difference <= TOLERANCE["tf32" if variant.tf32 else variant.dtype]
            d, g = (float(loss.mean()) for loss in both)
            self.record.losses.append(Loss(what, *size, variant.name, count, d, g, difference, alike))
            if not alike:
                self.record.notes.append(
                    f"{what} {size}: after {count} steps the losses of {variant.name} are {difference:.2g} "
                    f"from those of {first.name}: it computes something else, "
                    "and its time means nothing"
                )

    def ceiling(self, variant: Variant) -> Ceiling:
        """What a large product and a large copy reach with these numbers and threads; measured once."""
        threads = 0 if variant.on_gpu else 1 if variant.threads == "one" else cores()
        key = variant.backend, variant.dtype, variant.tf32, threads
        if key not in self._ceilings:
            self.limit(max(threads, 1))
            home, (n, count) = self.homes[variant.backend], CEILING[variant.backend]
            if self.quick:
                n, count = n // 2, count // 4
            plain = Variant(variant.backend, dtype=variant.dtype, tf32=variant.tf32)
            product = make(home, KINDS["gemm"], plain, Size(n, n))
            rate = 2 * n**3 / best(product, 3) / 1e9
            # Ones, as all pages of untouched zeros are the same one, which stays in the cache.
            source, target = (home.xp.ones(count, variant.dtype) for _ in range(2))
            copy = Task(home, partial(home.xp.copyto, target, source))
            bytes_ = 2 * count * np.dtype(variant.dtype).itemsize
            self._ceilings[key] = Ceiling(*key, rate, bytes_ / best(copy, 5) / 1e9)
            self.record.ceilings.append(self._ceilings[key])
        return self._ceilings[key]

    def transfers(self, home: backends.Backend) -> None:
        """From the host and back, in three sizes."""
        for size in TRANSFERS[:2] if self.quick else TRANSFERS:
            values = np.ones(size // 4, "float32")  # touched, as in ceiling
            there, back = [], []
            for _ in range(self.record.turns):
                started = time.perf_counter()
                array = home.array(values)
                home.synchronize()
                middle = time.perf_counter()
                home.to_host(array)
                there.append(middle - started)
                back.append(time.perf_counter() - middle)
            medians = statistics.median(there), statistics.median(back)
            self.record.transfers.append(Transfer(home.name, size, *medians))


def make(home: backends.Backend, kind: Kind, variant: Variant, size: Size) -> Task:
    """The work of a kind, in the variant's precision.

    Raises:  BackendError – for TF32 where there is none
    """
    if not variant.tf32:
        return kind.make(home, variant, size)
    if not hasattr(home, "tf32"):
        raise backends.BackendError(f"{home.name} does not offer products in TF32")
    refuse_what_has_no_tf32(home, variant, size)

    def in_tf32(function: Callable) -> Callable:
        def call(*arguments: Any) -> Any:
            home.tf32 = True
            try:
                return function(*arguments)
            finally:
                home.tf32 = False

        return call

    task = in_tf32(kind.make)(home, variant, size)
    losses = task.losses and in_tf32(task.losses)
    return replace(task, call=in_tf32(task.call), losses=losses)


def warm(home: backends.Backend, seconds: float) -> None:
    """Real work for so long: the clocks of a processor rise with it."""
    task, until = make_product(home, Variant(home.name), Size(1024, 1024)), time.perf_counter() + seconds
    while time.perf_counter() < until:
        timed(task, 1)


class TooLong(Exception):
    """A variant is not for work of this size."""


def refuse_what_takes_too_long(kind: Kind, size: Size, variant: Variant) -> None:
    """Raises:  TooLong – if a step has more operations than the variant is measured with"""
    if kind.flops(size) * max(size.replicas, 1) > variant.most:
        raise TooLong(f"at {size} a step has more than {variant.most / 1e9:g} GFLOP")


def refuse_what_does_not_fit(size: Size, variant: Variant) -> None:
    """Raises:  MemoryError – if a step of this size may take more than half of the memory that is free"""
    if variant.on_gpu or variant.execution == "call":
        return
    need = LIVE * size.batch * size.width * max(size.replicas, 1) * np.dtype(variant.dtype).itemsize
    free = available_memory()
    if free is not None and 2 * need > free:
        raise MemoryError(
            f"it may take {need / 2**30:.1f} GiB, more than half of the {free / 2**30:.1f} free"
        )


def refuse_what_has_no_tf32(home: Any, variant: Variant, size: Size) -> None:
    """Raises:  BackendError – if no product of the variant would be in TF32 on this GPU, or at this size"""
    if home.gemm.maker != "cuBLAS":
        raise backends.BackendError(
            f"TF32 needs cuBLAS, but the products of {home.name} are by its {home.gemm.maker}"
        )
    largest = size.batch * size.width**2 * max(size.replicas, 1)
    if variant.execution == "launches" and largest < cuda_launches.LARGE:
        raise backends.BackendError(
            f"at {size} nothing is in TF32: the fused graph leaves products to cuBLAS from "
            f"{cuda_launches.LARGE} multiplications on, and the largest has {largest}"
        )


def timed(task: Task, count: int) -> tuple[float, float]:
    """Seconds of so many calls and one synchronisation; the same by the device's own clock."""
    call, home = task.call, task.backend
    home.synchronize()
    started = time.perf_counter()
    with home.timer() as timer:
        for _ in range(count):
            call()
    home.synchronize()
    return time.perf_counter() - started, timer.seconds


def calibrated(task: Task, seconds: float) -> int:
    """How many calls last so long; the first one, which may compile, does not count unless it is long."""
    wall, _ = timed(task, 1)
    if wall >= 10 * seconds:
        return 1
    count = 1
    while True:
        wall, _ = timed(task, count)
        if wall >= seconds / 8:
            return max(1, math.ceil(count * seconds / wall))
        count = max(2 * count, math.ceil(count * seconds / 4 / max(wall, 1e-7)))


def best(task: Task, trials: int) -> float:
    """Seconds of the fastest of some calls: a ceiling is what the machine can do, not what it mostly does."""
    timed(task, 1)
    return min(timed(task, 1)[0] for _ in range(trials))


COLD = """
import sys, time
started = time.perf_counter()
import {library}
imported = time.perf_counter()
from minigan.profiling.benchmark import cold
cold("{backend}", started, imported)
"""
LIBRARIES = {"numpy": "numpy", "cupy": "cupy"}


def cold(backend: str, started: float, imported: float) -> None:
    """What a fresh process prints: the seconds of each part of its start, of 1000 steps, and all of them."""
    times = {f"import {LIBRARIES[backend]}": imported - started}

    def lap(name: str, since: float) -> float:
        now = time.perf_counter()
        times[name] = now - since
        return now

    now = lap("import minigan", imported)
    home = backends.get(backend)
    home.array(np.zeros(1))
    home.synchronize()
    now = lap("device, context and probe", now)
    size = Size(128, 32)
    execution = "planned" if backend == "numpy" else "launches"
    task = make_step(home, Variant(backend, execution), size)
    home.synchronize()
    now = lap("first step at (128, 32), with what it compiles", now)
    for _ in range(-(-1000 // task.steps)):
        task.call()
    home.synchronize()
    now = lap("1000 steps and their result on the host", now)
    times["the whole process"] = now - started
    print(json.dumps(times))


def starts(backend: str, runs: int) -> list[Start]:
    """The cold start of a backend in so many processes; empty where one of them fails."""
    code = COLD.format(library=LIBRARIES[backend], backend=backend)
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            return []
        for part, seconds in json.loads(done.stdout).items():
            found.setdefault(part, []).append(seconds)
    return [Start(backend, part, seconds) for part, seconds in found.items()]
