"""What `minigan bench` found: timings, where a GPU overtakes the CPU, one result over another.

A result is a file of JSON; it says what timed it, and holds every single timing.
"""

import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from minigan.errors import DataError, quoted
from minigan.profiling.timing import interval_of_median
from minigan.storage.files import read_bounded

STEADY = 1.5  # factor by which a variant may differ from itself, timed again or between quartiles
DEFINITION = 1  # of what is timed: results of another one are not comparable
MAX_FILE = 2**24  # bytes of a result


class Size(NamedTuple):
    """Of one cell; replicas 0 is one GAN without a replica axis."""

    batch: int
    width: int
    replicas: int = 0

    def __str__(self) -> str:
        return f"({self.batch}, {self.width})" + (f", R = {self.replicas}" if self.replicas else "")


@dataclass(frozen=True)
class Cell:
    """One variant at one size.

    steps       in one timing
    seconds     per step (and GAN) of each turn, host wall time with the synchronisation at the end
    device      the same by the device's own clock; None on the CPU
    flops       floating point operations of one step (of one GAN)
    gflops, gbs at the median; of_ceiling: of the measured product, or of the measured copy
    """

    what: str
    batch: int
    width: int
    replicas: int
    variant: str
    backend: str
    dtype: str
    tf32: bool
    threads: int
    execution: str
    steps: int
    seconds: list[float]
    device: list[float] | None
    median: float
    low: float
    high: float
    flops: float
    gflops: float
    gbs: float
    of_ceiling: float

    @property
    def size(self) -> Size:
        """Where it stands in a table."""
        return Size(self.batch, self.width, self.replicas)

    @property
    def work(self) -> float:
        """The operations of one step of all its GANs."""
        return self.flops * max(self.replicas, 1)

    @property
    def key(self) -> tuple:
        """What the same cell of another result has too."""
        return self.what, *self.size, self.variant


@dataclass(frozen=True)
class Control:
    """The first variant of a cell, timed again at the end of each turn: its ratio to itself."""

    what: str
    batch: int
    width: int
    replicas: int
    variant: str
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Loss:
    """Both losses of a variant at a step, and how far they are from the first variant's; means over GANs."""

    what: str
    batch: int
    width: int
    replicas: int
    variant: str
    step: int
    discriminator: float
    generator: float
    difference: float
    alike: bool

    @property
    def key(self) -> tuple:
        """That of its cell."""
        return self.what, self.batch, self.width, self.replicas, self.variant


@dataclass(frozen=True)
class Ceiling:
    """What the machine gives to a large product and to a large copy: the yardstick of each column."""

    backend: str
    dtype: str
    tf32: bool
    threads: int
    gflops: float
    gbs: float


@dataclass(frozen=True)
class Transfer:
    """Seconds from the host to the backend and back, medians; on NumPy a copy."""

    backend: str
    bytes: int
    to_device: float
    to_host: float


@dataclass(frozen=True)
class Start:
    """Seconds of one part of a cold start, in processes of their own."""

    backend: str
    part: str
    seconds: list[float]


@dataclass(frozen=True)
class LeftOut:
    """A cell that was not measured, and why."""

    what: str
    batch: int
    width: int
    replicas: int
    variant: str
    why: str


@dataclass(frozen=True)
class Crossover:
    """Where a GPU overtakes the CPU: at so many operations of a step, None if one wins at every size.

    batch and width are those of the GAN where replicas grow, 0 where the sizes do.
    """

    what: str
    batch: int
    width: int
    work: float | None
    sentence: str


@dataclass(frozen=True)
class Fact:
    """One thing that a backend says of itself."""

    backend: str
    name: str
    value: str


@dataclass(frozen=True)
class Record:
    """A whole measurement, as JSON has it."""

    measured: str
    environment: dict[str, Any]
    facts: list[Fact]
    quick: bool
    turns: int
    notes: list[str]
    ceilings: list[Ceiling] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    crossovers: list[Crossover] = field(default_factory=list)
    definition: int = DEFINITION
    schema: int = 1
    command: str = "bench"

    def as_dict(self) -> dict[str, Any]:
        """The record without what every printed object has."""
        return {key: value for key, value in asdict(self).items() if key not in ("schema", "command")}


@dataclass(frozen=True)
class Ratio:
    """One cell of two results: seconds of both, and B over A with an interval."""

    what: str
    batch: int
    width: int
    replicas: int
    variant: str
    a: float
    b: float
    ratio: float
    low: float
    high: float
    differs: bool


# ── whether the machine was left alone ──────────────────────────────────────────────────────────────────────


def is_disturbed(record: Record, cell: Cell) -> bool:
    """Whether other work was timed with it: its quartiles are far apart, or a control of its size is off."""
    key = cell.what, cell.batch, cell.width, cell.replicas
    controls = [c.median for c in record.controls if (c.what, c.batch, c.width, c.replicas) == key]
    return cell.high > STEADY * cell.low or any(not 1 / STEADY <= median <= STEADY for median in controls)


def disturbances(record: Record, what: str) -> list[str]:
    """Where other work on the machine was timed as well: a sentence each, nothing where nothing was.

    A control that differs from itself by more than STEADY, or a variant whose quartiles are so far apart.
    """
    found = []
    for control in record.controls:
        ratio = max(control.median, 1 / control.median) if control.median > 0 else math.inf
        if control.what == what and ratio > STEADY:
            size = Size(control.batch, control.width, control.replicas)
            found.append(f"{size}: {control.variant} took {control.median:.2g} of itself when timed again")
    for cell in record.cells:
        if cell.what == what and cell.high > STEADY * cell.low:
            found.append(f"{cell.size}: {cell.variant} varied by a factor of {cell.high / cell.low:.2g}")
    return found


# ── where a GPU overtakes the CPU ───────────────────────────────────────────────────────────────────────────


def crossovers(cells: list[Cell], losses: Iterable[Loss] = ()) -> list[Crossover]:
    """Per kind, where the fastest float32 column of the GPU overtakes that of the CPU.

    losses  those of the cells; one whose losses are not alike computes something else, and is left out
    """
    wrong, found = {loss.key for loss in losses if not loss.alike}, []
    cells = [cell for cell in cells if cell.key not in wrong]
    for what in dict.fromkeys(cell.what for cell in cells):
        own = [cell for cell in cells if cell.what == what]
        nets = dict.fromkeys((c.batch, c.width) if c.replicas else (0, 0) for c in own)
        for net in nets:
            lines = fastest_lines([c for c in own if net in ((0, 0), (c.batch, c.width))])
            pairs = [
                (cell, lines["gpu"][size]) for size, cell in lines["cpu"].items() if size in lines["gpu"]
            ]
            if pairs:
                pairs.sort(key=lambda pair: pair[0].work)
                found.append(Crossover(what, *net, *where_they_cross(what, pairs)))
    return found


def fastest_lines(cells: list[Cell]) -> dict[str, dict[Size, Cell]]:
    """{"cpu" and "gpu": {size: the fastest float32 cell}} of a kind."""
    lines: dict[str, dict[Size, Cell]] = {"cpu": {}, "gpu": {}}
    for cell in cells:
        if cell.dtype == "float32" and not cell.tf32:
            line = lines["cpu" if cell.backend == "numpy" else "gpu"]
            if cell.size not in line or cell.median < line[cell.size].median:
                line[cell.size] = cell
    return lines


def where_they_cross(what: str, pairs: list[tuple[Cell, Cell]]) -> tuple[float | None, str]:
    """Operations and a sentence, from (CPU, GPU) of growing work; between two straight on log-log axes."""
    first, last = pairs[0][0].size, pairs[-1][0].size
    span = str(first) if len(pairs) == 1 else f"{first} to {last}"
    ratios = [gpu.median / cpu.median for cpu, gpu in pairs]
    if all(ratio < 1 for ratio in ratios):
        return None, f"{what}: the GPU is faster at every size, {span}"
    if all(ratio >= 1 for ratio in ratios):
        return None, f"{what}: NumPy is faster at every size, {span}"
    points = [(cpu.size, math.log(cpu.work), math.log(r)) for (cpu, _), r in zip(pairs, ratios, strict=True)]
    for k, ((a, x, r), (b, y, s)) in enumerate(pairwise(points)):
        if r >= 0 > s:
            place = math.exp(x + (y - x) * r / (r - s))
            text = (
                f"{what}: NumPy is faster up to {a}, the GPU from {b}; they cross at {place / 1e6:.3g} MFLOP"
            )
            return place, text + (", and again beyond" if max(ratios[k + 1 :]) >= 1 else "")
    return None, f"{what}: the GPU is faster at the smaller sizes of {span}, NumPy at the larger"


def encode(record: Record) -> bytes:
    """The record as the file that `minigan bench --out` writes; what is not finite as null."""
    import msgspec

    return (
        msgspec.json.format(
            msgspec.json.encode({"schema": 1, "command": "bench", **record.as_dict()}), indent=1
        )
        + b"\n"
    )


# ── two results ─────────────────────────────────────────────────────────────────────────────────────────────


def read(path: str | os.PathLike[str]) -> Record:
    """A result that `minigan bench --out` wrote.

    Raises:  DataError – if it cannot be read, or is none
    """
    import msgspec

    try:
        record = msgspec.json.decode(read_bounded(Path(path), MAX_FILE), type=Record)
    except msgspec.MsgspecError as error:
        raise DataError(f"{quoted(str(path))} is no result of minigan bench: {error}") from None
    if record.command != "bench" or record.schema != 1:
        raise DataError(
            f"{quoted(str(path))} is no result of minigan bench but of {quoted(record.command)}, "
            f"schema {quoted(record.schema)}; make one by minigan bench --out FILE"
        )
    for cell in record.cells:
        times = [cell.median, *cell.seconds]
        if not cell.seconds or not all(0 < time < math.inf for time in times):
            wrong = f"{cell.what} {cell.size}, {cell.variant!r}, took {quoted(cell.seconds)}"
            raise DataError(
                f"{quoted(str(path))} is damaged: {wrong}, median {quoted(cell.median)}, and a time is a "
                "number of seconds above 0; measure it again with minigan bench --out FILE"
            )
    return record


def describe_machine(record: Record) -> str:
    """The processor, the BLAS and the GPU of a result, in a line."""
    here, blas = record.environment, record.environment.get("blas")
    blas = blas if isinstance(blas, dict) else {}
    gpu = [fact.value for fact in record.facts if fact.backend != "numpy" and fact.name == "device"]
    cpu, cores, system, numpy = (str(here.get(key))[:80] for key in ("cpu", "cores", "platform", "numpy"))
    name, version, kernels = (str(blas.get(key))[:40] for key in ("name", "version", "architecture"))
    parts = (
        f"{cpu}, {cores} cores, {system}",
        f"NumPy {numpy} with {name} {version} ({kernels} kernels)",
        *(gpu or ["no GPU"]),
    )
    return "; ".join(parts)


def compare(a: Record, b: Record) -> list[Ratio]:
    """B over A, for every cell that both have.

    Raises:  DataError – if they timed different things, or nothing in common
    """
    if a.definition != b.definition:
        raise DataError(
            f"the two results timed different things (definitions {a.definition} and {b.definition}); "
            "measure both with one version of minigan"
        )
    mine = {cell.key: cell for cell in a.cells}
    ratios = [ratio_of(mine[cell.key], cell) for cell in b.cells if cell.key in mine]
    if not ratios:
        raise DataError(
            "the two results have no cell in common: "
            f"{describe_cells(a)} against {describe_cells(b)}; measure both with the same --only and --sizes"
        )
    return ratios


def describe_cells(record: Record) -> str:
    """What a result has, in short."""
    what = ", ".join(dict.fromkeys(cell.what for cell in record.cells)) or "nothing"
    sizes = dict.fromkeys(str(Size(cell.batch, cell.width)) for cell in record.cells)
    return f"{what} at {', '.join(sizes)}" if sizes else what


def ratio_of(a: Cell, b: Cell) -> Ratio:
    """The medians' ratio; its interval is that of both medians' together, so it rather says too little."""
    (low, high), (under, over) = interval_of_median(a.seconds), interval_of_median(b.seconds)
    interval = under / high, over / low
    differs = not interval[0] <= 1.0 <= interval[1]
    ratio = b.median / a.median
    return Ratio(a.what, *a.size, a.variant, a.median, b.median, ratio, *interval, differs)
