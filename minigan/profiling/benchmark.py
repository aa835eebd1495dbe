"""The fair comparison of CPU and GPU: what `minigan bench` measures, and how.

Every variant of a piece of work (work.py) is warmed, then they take turns (timing.py), the first one twice:
its second timing is the control. Data and parameters stay where they are computed with; transfers and cold
starts are measured apart. Every variant of a step, of one GAN or of many, is asked for its losses: one whose
losses are not those of the first is noted, and takes part in no crossover. What products, elementwise work
and layers compute is compared by the tests alone.

Source:  Lee et al., "Debunking the 100X GPU vs. CPU myth", ISCA 2010
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import numpy as np

from minigan import backend as backends
from minigan.compiler.capture import CaptureError
from minigan.errors import ConfigError, UnavailableError, quoted
from minigan.machine import cores, environment
from minigan.profiling.cold import starts
from minigan.profiling.doctor import blas_findings, processor_flags
from minigan.profiling.results import (
    Ceiling,
    Cell,
    Control,
    Fact,
    LeftOut,
    Loss,
    Record,
    Size,
    Transfer,
    crossovers,
    disturbances,
)
from minigan.profiling.timing import calibrated, fastest, in_turns, quartiles
from minigan.profiling.work import (
    CHECKED,
    KINDS,
    Kind,
    Task,
    TooLong,
    Variant,
    make,
    make_product,
    refuse_what_does_not_fit,
    refuse_what_takes_too_long,
)

TURNS, SLOW_TURNS = 7, 3  # of all variants; of those of a cell whose turns take more than CELL seconds
SECONDS, QUICK_SECONDS = 0.05, 0.02  # of one timing, at least
CELL = 10.0  # seconds
WARM = {"numpy": 0.2, "cupy": 1.5}  # seconds of real work first
FEWEST = 2  # steps until losses are compared, of long ones: after two, both nets have moved
CHECK = 2.0  # seconds that they may take
TOLERANCE = {"float32": 1e-3, "float64": 1e-3, "tf32": 2e-2}  # between losses: what rounding adds up to
CEILING = {"numpy": (2048, 2**24), "cupy": (8192, 2**28)}  # n of a product, numbers copied
TRANSFERS = (2**12, 2**20, 2**26)  # bytes
STARTS = 3  # processes


def choose_backends(name: str) -> tuple[list[backends.Backend], list[str]]:
    """The backends that are timed for --backend ``name``, NumPy first, and what to tell about the choice.

    Raises:  ConfigError – for strict, or another name;  UnavailableError – for cupy where it cannot be used
    """
    if name == "strict":
        raise ConfigError(
            "strict is a simulated device made of NumPy: its times say nothing about a GPU; "
            "choose numpy, cupy or auto"
        )
    if name not in ("numpy", "cupy", "auto"):
        raise ConfigError(f"what is timed is numpy, cupy or auto; received {quoted(name)}")
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
            raise ConfigError(f"there is no {quoted(name)} to measure; choose from {', '.join(KINDS)}")
    homes, notes = choose_backends(backend)
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
    record.notes.extend(
        f"disturbed, repeat when the machine is idle: {what} {disturbed[0]}{describe_more(disturbed)}"
        for what in kinds
        if (disturbed := disturbances(record, what))
    )
    return record


def describe_more(found: list[str]) -> str:
    """How many are not told."""
    return f", and {len(found) - 1} more" if len(found) > 1 else ""


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
                count = calibrated(task.wall, self.seconds)
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
        timings = [partial(self._timing, variant, *tasks[variant]) for variant in tasks]
        found, again = in_turns(timings, self.record.turns, control=True, patience=CELL, fewest=SLOW_TURNS)
        controls = [wall / before for (wall, _), (before, _) in zip(again, found[0], strict=True)]
        self.record.controls.append(Control(what, *size, first.name, *quartiles(controls)))
        share = max(size.replicas, 1)
        for (variant, (task, count)), pairs in zip(tasks.items(), found, strict=True):
            seconds = [wall / share for wall, _ in pairs]
            clock = [device / share for _, device in pairs] if variant.on_gpu else None
            self.record.cells.append(self._row(what, kind, size, variant, task.steps * count, seconds, clock))

    def _timing(self, variant: Variant, task: Task, count: int) -> tuple[float, float]:
        """Seconds per step, by the host's clock and by the device's."""
        self._limit(variant)
        wall, device = task.timed(count)
        return wall / (task.steps * count), device / (task.steps * count)

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
            rate = 2 * n**3 / fastest(product.wall, 3) / 1e9
            # Ones, as all pages of untouched zeros are the same one, which stays in the cache.
            source, target = (home.xp.ones(count, variant.dtype) for _ in range(2))
            copy = Task(home, partial(home.xp.copyto, target, source))
            bytes_ = 2 * count * np.dtype(variant.dtype).itemsize
            self._ceilings[key] = Ceiling(*key, rate, bytes_ / fastest(copy.wall, 5) / 1e9)
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


def warm(home: backends.Backend, seconds: float) -> None:
    """Real work for so long: the clocks of a processor rise with it."""
    task, until = make_product(home, Variant(home.name), Size(1024, 1024)), time.perf_counter() + seconds
    while time.perf_counter() < until:
        task.wall(1)
