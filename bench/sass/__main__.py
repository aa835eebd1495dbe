"""What a training step costs in machine code, counted without a GPU: code, warp instructions, levels.

python -m bench.sass [--only "(128, 32)" …] [--architectures sm_90 …] [--write] [--before]

The kernels that a step becomes are compiled by NVRTC, disassembled, and executed by a model of one
multiprocessor (bench/sass/warps.py) for one step and for two, on random data: the difference is a step's.
What the model computed is held against the same source compiled for the CPU. Counts are exact; they are no
times. `requests` is what shared memory is asked for at least: in one cycle it answers one.
"""

import argparse
import json
import math
import sys
from collections import Counter
from copy import copy

import numpy as np

from bench.common import RESULTS, write
from bench.sass import compiled, large, show
from bench.sass.warps import KINDS, Warps
from minigan.backend import numpy_backend
from minigan.compiler.executions import fuse
from minigan.profiling import work
from minigan.profiling.results import Size
from minigan.testing import cuda_on_cpu
from minigan.testing.strict.backend import strict
from minigan.training.config import Config, replace
from minigan.training.experiment import Experiment

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
SHARED, REGISTERS, WARPS = {"sm_80": 164, "sm_90": 228, "sm_100": 228}, 65536, 64  # of a multiprocessor
NOW, BEFORE = ("results", "large"), ("before", "large_before")  # where rows are kept
OFF = 1e-4  # how far the model may be from the CPU after two steps, relative to an array's largest value


def benchmark_step(batch, width, replicas=0):
    """The program of a step as `minigan bench` has it: tanh, logistic loss, two Adams."""
    variant = work.Variant("numpy", "recorded")
    return work.make_step(numpy_backend, variant, Size(batch, width, replicas), checked=2).program


def default_step():
    """The program of the default run's step."""
    experiment = Experiment(replace(Config(), backend="numpy", execution="recorded"))
    experiment.advance(1)
    return experiment.program


STEPS = {  # name: (execution, what makes the program)
    "(64, 16)": ("block", lambda: benchmark_step(64, 16)),
    "(128, 32)": ("block", lambda: benchmark_step(128, 32)),
    "default run": ("block", default_step),
    "132 of (128, 32)": ("block", lambda: benchmark_step(128, 32, 132)),
    "(128, 32), launches": ("launches", lambda: benchmark_step(128, 32)),
}
LARGE = {"(512, 128)": (512, 128), "(4096, 512)": (4096, 512)}  # as launches, by kinds of stages
DRAWS = "draws"


def device_of(architecture):
    """The strict device with as much shared memory as a block has there."""
    device = copy(strict)
    device.shared_memory = (SHARED[architecture] - 1) * 1024
    return device


def arguments_of(plan, steps):
    """Arrays for so many steps: what the program has now, and random inputs."""
    rng, count = np.random.default_rng(0), max(plan.stages.replicas, 1)
    kept = [np.array(e.device, dtype=plan.stages.dtype) for e in plan.kept]
    inputs = []
    for e in plan.inputs:
        draws = rng.standard_normal((steps, *e.host.shape)) if e.size > 1 else np.ones((steps, *e.host.shape))
        inputs.append(draws.astype(plan.stages.dtype))
    scratch = np.zeros(max(plan.length * count, 1), plan.stages.dtype)
    return kept, inputs, scratch


class Counted:
    """What the kernels of a step issue, per step."""

    def __init__(self):
        self.kinds, self.waves, self.barriers = Counter(), Counter(), 0

    def add(self, warps, sign=1):
        """Add (or take away) what a run counted."""
        for mine, its in ((self.kinds, warps.kinds), (self.waves, warps.waves)):
            for key, value in its.items():
                mine[key] += sign * value
        self.barriers += sign * warps.barriers


def count_block(plan, kernel, architecture):
    """(Counted of a step, how far the model's results are from the CPU's)."""
    counted, shared = Counted(), plan.shared_length * plan.stages.dtype.itemsize
    for steps, sign in ((1, -1), (2, 1)):
        kept, inputs, scratch = arguments_of(plan, steps)
        given, banks = [*kept, *inputs, scratch, np.int32(steps)], kernel.constants
        warps = Warps(kernel.code, architecture, plan.size, given, shared, constants=banks)
        counted.add(warps.run(), sign)
    host = cuda_on_cpu.HostModule(plan.source).kernel("train")
    host.max_dynamic_shared_size_bytes = cuda_on_cpu.MOST_SHARED
    host((1,), (plan.size,), [*kept, *inputs, scratch, np.int32(2)], shared=shared)
    pairs = zip(warps.results(), kept, strict=False)
    return counted, max(float(np.abs(a - b).max() / (np.abs(b).max() + 1e-6)) for a, b in pairs if a.size)


def count_launches(plan, found, architecture):
    """The same of a step that is a launch per level."""
    from minigan.compiler.cuda_launches import THREADS, _blocks

    counted, module = Counted(), cuda_on_cpu.HostModule(plan.source)
    kept, inputs, scratch = arguments_of(plan, 1)
    arrays = [*kept, *inputs, scratch, np.zeros(1, np.int32)]
    theirs = [a.copy() for a in arrays]
    for k, level in enumerate(plan.stages.levels):
        blocks, kernel = sum(_blocks(plan.code.calls[s][1]) for s in level), found[f"level{k}"]
        warps = Warps(kernel.code, architecture, THREADS, arrays, blocks=blocks, constants=kernel.constants)
        counted.add(warps.run())
        counted.barriers += 1
        arrays = warps.results()
        module.kernel(f"level{k}")((blocks,), (THREADS,), theirs)
    pairs = zip(arrays, theirs[: len(kept)], strict=False)
    return counted, max(float(np.abs(a - b).max() / (np.abs(b).max() + 1e-6)) for a, b in pairs if a.size)


def row_of(name, architecture, plan, tools):
    """One row of the table, as it is kept."""
    found = compiled.kernels(plan.source, architecture, tools)
    found = {k: kernel for k, kernel in found.items() if k != "tick"}
    if "train" in found:
        counted, off = count_block(plan, found["train"], architecture)
        threads, shared = plan.size, plan.shared_length * plan.stages.dtype.itemsize
    else:
        counted, off = count_launches(plan, found, architecture)
        threads, shared = 128, 0
    if off > OFF:
        raise SystemExit(f"{name} for {architecture}: the model is {off:.1e} from the same source on the CPU")
    registers = max(kernel.registers for kernel in found.values())
    kinds = {kind: counted.kinds[kind] for kind in (*KINDS, "integer")}
    return {
        "step": name, "architecture": architecture, "levels": counted.barriers,
        "warp_instructions": sum(kinds.values()), "kinds": kinds,
        "requests": counted.waves["LDS"] + counted.waves["STS"],
        "sectors": counted.waves["LDG"] + counted.waves["STG"],
        "code": sum(kernel.size for kernel in found.values()), "registers": registers,
        "spilled": sum(kernel.spilled for kernel in found.values()), "shared": shared, "threads": threads,
        "blocks": resident(architecture, threads, registers, shared),
        "off": off,
    }  # fmt: skip


def resident(architecture, threads, registers, shared):
    """How many blocks a multiprocessor holds: by registers, warps and shared memory."""
    warps = -(-threads // 32)
    by_registers = REGISTERS // (math.ceil(registers / 8) * 8 * 32 * warps)
    return min(by_registers, WARPS // warps, int(SHARED[architecture] * 1024 // (shared + 1024)), 32)


def merged(kept, results):
    """Rows that were kept, but for those that are there anew; in the order of STEPS."""
    order = [*STEPS, *LARGE, DRAWS]
    found = {(row["step"], row["architecture"], row.get("piece")): row for row in (*kept, *results)}
    return sorted(found.values(), key=lambda row: order.index(row["step"]))


def rows_of_large(name, architecture, tools):
    """The rows of a large step, or of draws."""
    if name == DRAWS:
        return [large.row_of_draws(architecture, tools)]
    plan = fuse(benchmark_step(*LARGE[name]), "launches", numpy_backend, device_of(architecture))
    rows = large.rows_of(name, LARGE[name][0], plan, architecture, tools)
    if rows[0]["off"] > OFF:
        raise SystemExit(f"{name} for {architecture}: the model is {rows[0]['off']:.1e} from the CPU")
    return rows


def main(arguments=None):
    """Print the table; with --write also bench/results/sass.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [*STEPS, *LARGE, DRAWS]
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="STEP")
    parser.add_argument("--architectures", nargs="+", default=ARCHITECTURES, choices=ARCHITECTURES)
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    parser.add_argument("--before", action="store_true", help="keep them as what was before a change")
    options = parser.parse_args(arguments)
    tools, results, of_large = compiled.find(), [], []
    for name in options.only:
        for architecture in options.architectures:
            if name not in STEPS:
                of_large += rows_of_large(name, architecture, tools)
                print(*show.of_pieces(of_large[-3:]), sep="\n", file=sys.stderr, flush=True)
                continue
            execution, make = STEPS[name]
            plan = fuse(make(), execution, numpy_backend, device_of(architecture))
            results.append(row_of(name, architecture, plan, tools))
            print(" | ".join(map(str, show.cells(results[-1]))), file=sys.stderr, flush=True)
    file, record = RESULTS / "sass.json", {"compiler": compiled.version(tools[0])}
    kept = json.loads(file.read_text()) if file.exists() else {}
    record |= {name: kept.get(name, []) for name in ("results", "before", "large", "large_before")}
    for which, rows in zip(BEFORE if options.before else NOW, (results, of_large), strict=True):
        record[which] = merged(record[which], rows)
    print(show.show(record))
    if options.write:
        print(write("sass", record), file=sys.stderr)


if __name__ == "__main__":
    main()
