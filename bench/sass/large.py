"""Steps of large networks as launches: what each kind of stage issues and asks of memory, element by element.

Of the blocks of a stage that have as much to do as each other one is executed, and counts for all of them.
"""

import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from bench.sass import compiled
from bench.sass.warps import Warps
from minigan.backend import kernels
from minigan.compiler.cuda_launches import THREADS, _blocks
from minigan.testing import cuda_on_cpu

PIECES = ("a number of a row", "sums over rows", "elementwise")  # stages by what they make
DRAWS = 2**16  # normal numbers


class Piece(NamedTuple):
    """What some stages of a step do: elements that are read for sums, or made."""

    elements: int
    instructions: int  # of warps
    requests: int  # of global memory
    sectors: int  # of 32 bytes, that these ask for


def piece_of(stage, batch, large):
    """Which of the PIECES a stage is, and the elements that it counts: of sums those that are read."""
    total = stage.total
    if total is None or total in large:
        return "elementwise", math.prod(stage.shape)
    of, x = total.params.get("of", total.op), total.inputs[0]
    elements = x.size * (total.shape[-1] if of == "matmul" else 1)
    kind = "a number of a row" if stage.shape[-2:] == (batch, 1) else "sums over rows"
    return kind, 0 if total.op == "total" else elements


def samples(items, blocks):
    """{block: for how many it counts}: blocks with as many items as each other."""
    found = {}
    for block in range(blocks):
        found.setdefault(tuple(_rounds(block, items, blocks)), []).append(block)
    return {same[len(same) // 2]: len(same) for same in found.values()}


def _rounds(block, items, blocks):
    """How many items a block has in each round of its loop."""
    for start in range(block * THREADS, items, blocks * THREADS):
        yield min(THREADS, items - start)


def count(plan, architecture, tools, batch):
    """({piece: Piece}, how far the model is from the CPU) of a step."""
    found = compiled.kernels(plan.source, architecture, tools)
    module = cuda_on_cpu.HostModule(plan.source, ("-O1",))
    rng = np.random.default_rng(0)
    shapes = [e.host.shape for e in plan.kept] + [(1, *e.host.shape) for e in plan.inputs]
    arrays = [rng.uniform(0.1, 0.9, s).astype("float32") for s in (*shapes, (max(plan.length, 1),))]
    arrays.append(np.zeros(1, np.int32))
    counts, off = Counter(), 0.0
    for k, level in enumerate(plan.stages.levels):
        kernel, first, chosen = found[f"level{k}"], 0, []
        for stage in level:
            items = plan.code.calls[stage][1]
            blocks = _blocks(items)
            chosen += [(first + b, n, stage) for b, n in samples(items, blocks).items()]
            first += blocks
        numbers = [block for block, *_ in chosen]
        warps = Warps(kernel.code, architecture, THREADS, arrays, blocks=numbers, constants=kernel.constants)
        warps.run()
        before = [a.copy() for a in arrays]
        module.kernel(f"level{k}")((first,), (THREADS,), arrays)
        off = max(off, _off(warps.results(), before, arrays))
        for figures in zip(chosen, warps.issued, warps.asked, warps.pieces, strict=True):
            (_, n, stage), *figures = figures
            kind, _ = piece_of(stage, batch, plan.stages.large)
            for name, figure in zip(Piece._fields[1:], figures, strict=True):
                counts[kind, name] += n * int(figure)
        for stage in level:
            kind, elements = piece_of(stage, batch, plan.stages.large)
            counts[kind, "elements"] += elements
    return {p: Piece(*(counts[p, name] for name in Piece._fields)) for p in PIECES}, off


def rows_of(name, batch, plan, architecture, tools):
    """The rows of a step, as they are kept."""
    pieces, off = count(plan, architecture, tools, batch)
    head = {"step": name, "architecture": architecture, "launches": len(plan.stages.levels), "off": off}
    return [{**head, "piece": piece, **figures._asdict()} for piece, figures in pieces.items()]


def row_of_draws(architecture, tools):
    """The same of the kernel that draws."""
    head = {"step": "draws", "architecture": architecture, "launches": 1, "off": None}
    return {**head, "piece": "normal numbers", **count_draws(architecture, tools)._asdict()}


def _off(made, before, host):
    """How far what was changed is from what the CPU made of it."""
    off = 0.0
    for a, old, b in zip(made, before, host, strict=True):
        changed = a != old
        if changed.any():
            off = max(off, float(np.abs(a - b)[changed].max() / (np.abs(b[changed]).max() + 1e-6)))
    return off


def count_draws(architecture, tools):
    """Piece of the kernel that draws normal numbers by counters, a number an element."""
    kernel = compiled.kernels(kernels.source("philox"), architecture, tools)["philox_normal_float32"]
    long = [np.uint64(7), np.uint32(3), *(np.int64(n) for n in (1, 1, DRAWS, DRAWS))]
    arguments = [np.zeros(DRAWS, np.float32), np.arange(2, dtype=np.uint32), *long]
    numbers = [0, DRAWS // 4 // 256 - 1]
    warps = Warps(kernel.code, architecture, 256, arguments, blocks=numbers, constants=kernel.constants).run()
    times = DRAWS // 4 // 256 // len(numbers)
    figures = (times * int(x.sum()) for x in (warps.issued, warps.asked, warps.pieces))
    return Piece(DRAWS, *figures)
