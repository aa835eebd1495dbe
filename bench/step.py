"""What the engine costs: a primitive over bare NumPy; a round, planned more and more; replicas; threads.

    python -m bench.step [--json FILE]
    python -m bench.step --only round --sizes 64,16

A timing of a game is of a block of steps, without their draws and through program.each where there is a
program; µs are per step of one game, with the 95 % interval of their median, and beside their ratio to the
first case of the group. The cases of a group take turns, the first of them twice: its second timing is the
control, and if it moves, the machine did. BLAS has one thread, so that a second one is the program's own.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

import minigan as mg
from bench.common import table
from minigan.compiler.planner import EXACT, PASSES
from minigan.engine.primitives import add, matmul, tanh
from minigan.profiling.timing import calibrated, in_turns, interval_of_median, quartiles, timed

STEPS = {(64, 16): 64, (128, 32): 32, (256, 64): 16, (512, 128): 4, (2048, 256): 1}  # of a block
STEPS_OF_REPLICAS = 16  # enough for groups to stay in the cache while they take turns
HOW = {"as recorded": (), "exact passes": EXACT, "all passes": PASSES}
REPLICAS = [(64, 16, R) for R in (1, 4, 16, 64, 256, 1024)] + [(128, 32, R) for R in (1, 4, 16, 64)]
THREADED = [(256, 64, None), (512, 128, None), (2048, 256, None), (64, 16, 256), (128, 32, 64)]
PRIMITIVES = {"tanh": (np.tanh, tanh), "add": (np.add, add), "matmul": (np.matmul, matmul)}
SHAPES = {"tanh": [(64, 16)], "add": [(64, 16)] * 2, "matmul": [(64, 16), (16, 16)]}
KINDS = ("dispatch", "round", "replicas", "threads")
TURNS, SECONDS = 7, 0.05  # of a case; of one timing, at least


class Case(NamedTuple):
    """``make()`` returns what is timed; one call of that is so many steps of so many games."""

    name: str
    make: object
    steps: int = 1
    replicas: int = 1


def make_game(batch, width, replicas=None):
    """A game and the inputs of a block of its rounds.    Shapes:  x, z_d, z_g (steps, 1[, R], B, 1)"""
    rng = np.random.default_rng(0)
    rngs = rng if replicas is None else [np.random.default_rng(k) for k in range(replicas)]
    networks = [mg.mlp((1, width, width, 1), rngs=rngs, activation="tanh") for _ in range(2)]
    game = mg.Game(*networks, *(mg.Adam(network.parameters, 1e-3, 0.5, 0.999) for network in networks))
    lead = (STEPS[batch, width],) if replicas is None else (STEPS_OF_REPLICAS, replicas)
    shape = (lead[0], 1, *lead[1:], batch, 1)
    return game, [rng.standard_normal(shape, dtype="float32") for _ in range(3)]


def eager(game, blocks):
    """A function that runs a block of rounds by Python."""

    def run():
        for batches in zip(*blocks, strict=True):
            game.round(mg.Batch(*map(mg.constant, batches)))

    return run


def captured(game, blocks, passes=PASSES, threads=1):
    """A function that replays a block of rounds."""
    first = mg.Batch(*(block[0] for block in blocks))
    program = mg.capture(game.round, first, state=game.state, passes=passes, threads=threads)
    return lambda: program.each(mg.Batch(*blocks))


def primitive(name, how):
    """A function that calls a primitive, or NumPy's function of its name."""
    rng, (function, engine) = np.random.default_rng(0), PRIMITIVES[name]
    arrays = [rng.standard_normal(shape, dtype="float32") for shape in SHAPES[name]]
    if how == "NumPy":
        return partial(function, *arrays)
    return partial(engine, *map(mg.constant if how == "constant" else mg.variable, arrays))


def block(run_of, size, *given, name, **options):
    """The case of a block of a game of this size."""
    batch, width, replicas = size
    steps = STEPS[batch, width] if replicas is None else STEPS_OF_REPLICAS

    def make():
        return run_of(*make_game(batch, width, replicas), *given, **options)

    return Case(name, make, steps, replicas or 1)


def groups(kind, sizes):
    """{group: its cases} of a kind of measurement, at these sizes where it has sizes."""
    if kind == "dispatch":
        return {
            f"{name}, (64, 16)": [
                Case(how, partial(primitive, name, how)) for how in ("NumPy", "constant", "variable")
            ]
            for name in PRIMITIVES
        }
    if kind == "round":
        return {
            f"({B}, {H})": [
                block(eager, (B, H, None), name="eager"),
                *(block(captured, (B, H, None), passes, name=how) for how, passes in HOW.items()),
            ]
            for B, H in sizes
        }
    if kind == "replicas":
        return {
            f"({B}, {H})": [
                block(captured, (b, h, R), name=f"R = {R}") for b, h, R in REPLICAS if (b, h) == (B, H)
            ]
            for B, H in dict.fromkeys(size[:2] for size in REPLICAS)
            if (B, H) in sizes
        }
    return {
        f"({B}, {H})" + (f", R = {R}" if R else ""): [
            block(captured, (B, H, R), name=f"{count} of the program", threads=count) for count in (1, 2)
        ]
        for B, H, R in THREADED
        if (B, H) in sizes
    }


def measure(kind, group, cases, turns, seconds):
    """A row per case, with every single timing, and the control beside the first of them."""
    timings = []
    for case in cases:
        run = case.make()
        count = calibrated(lambda count, run=run: timed(run, count)[0], seconds)
        each = count * case.steps * case.replicas
        timings.append(lambda run=run, count=count, each=each: timed(run, count)[0] / each)
    found, again = in_turns(timings, turns, control=True)
    first = quartiles(found[0])[0]
    control = quartiles([b / a for a, b in zip(found[0], again, strict=True)])[0]
    rows = []
    for case, times in zip(cases, found, strict=True):
        median, (low, high) = quartiles(times)[0], interval_of_median(times)
        rows.append(
            {"kind": kind, "group": group, "case": case.name, "steps": case.steps, "replicas": case.replicas,
             "microseconds": 1e6 * median, "interval": [1e6 * low, 1e6 * high], "ratio": median / first,
             "control": control, "timings": [1e6 * t for t in times]}
        )  # fmt: skip
    return rows


def size(text):
    """(batch, width) of "64,16"."""
    batch, width = map(int, text.split(","))
    if (batch, width) not in STEPS:
        raise ValueError
    return batch, width


def main(arguments=None):
    """Print a table per kind; write every timing where --json says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--sizes", nargs="+", type=size, default=list(STEPS), metavar="B,H")
    parser.add_argument("--quick", action="store_true", help="one turn of no length: to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every timing")
    options = parser.parse_args(arguments)
    turns, seconds = (1, 0.0) if options.quick else (TURNS, SECONDS)
    everything = []
    with threadpool_limits(1, user_api="blas"):
        for kind in options.only:
            rows = [
                row
                for group, cases in groups(kind, options.sizes).items()
                for row in measure(kind, group, cases, turns, seconds)
            ]
            everything += rows
            cells = [
                (r["group"], r["case"], f"{r['microseconds']:.4g}", "{:.4g} to {:.4g}".format(*r["interval"]),
                 f"{r['ratio']:.3g}", f"{r['control']:.2f}")
                for r in rows
            ]  # fmt: skip
            print(table((kind, "", "µs", "95 %", "to the first", "control"), cells), end="\n\n")
    if options.json is not None:
        options.json.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
