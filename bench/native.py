"""The same step as native code, as the NumPy plan, and in C by hand: µs of CPU time on one thread.

python -m bench.native [--turns 40] [--sizes 64,16 …] [--write]
python -m bench.native --passes                                 the NumPy plan without some of its passes

All live in one process and take turns of some ms; each figure is a lower quartile, so that other work on the
machine, which lengthens some turns, does not reach it. A ratio is a median over the turns. C by hand
(bench/peers/fused_step.c) is the limit, and the control: the step of bench.peers, checked there.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from bench.common import table, write
from bench.peers import c_by_hand, ours
from bench.peers.__main__ import MISLEADING, size, surroundings
from bench.peers.common import initial
from minigan.compiler import c_compiler, passes, planner
from minigan.training.config import replace
from minigan.training.experiment import Ensemble, Experiment
from minigan.training.settings import resolve

SIZES, REPLICAS, MANY = ((64, 16), (128, 32), (256, 64), (512, 128)), ((64, 16), (128, 32)), 64
HEADER = ("step", "C by hand, µs", "native, µs", "planned, µs", "native / C", "native / planned")
WAYS, SECONDS = ("native", "planned"), 0.012  # of a turn
FILES = {  # of passes/, and which of them
    "row_blocks": ("blocks",),
    "merge": ("batch", "layers", "stack"),
    "products": ("bias", "bias_gradients", "factors", "dots"),
}


def subjects(sizes, many):
    """(name, make(execution=…) of an object with advance(steps), GANs, the same of C by hand or None)."""
    for batch, width in sizes:
        weights = initial(width)
        by_hand = c_by_hand.variants(batch, width, 1)
        by_hand = by_hand and partial(c_by_hand.FusedStep, weights, batch)
        yield f"({batch}, {width})", partial(ours.Minigan, weights, batch), 1, by_hand
    config = resolve(environ={}, sets=["backend=numpy"])
    yield "default run", lambda execution: Experiment(replace(config, execution=execution)), 1, None
    for batch, width in REPLICAS if many else ():
        make = partial(ours.Minigan, initial(width, replicas=many), batch)
        yield f"{many} GANs of ({batch}, {width}), each", make, many, None
    if many:

        def ensemble(execution):
            return Ensemble.of_seeds(replace(config, execution=execution), range(many))

        yield f"{many} seeds of the default run, each", ensemble, many, None


def tasks(sizes, many):
    """(name, {way: object with advance(steps)}, GANs) of each row."""
    for name, make, count, by_hand in subjects(sizes, many):
        ways = {"C": by_hand()} if by_hand else {}
        yield name, {**ways, **{e: make(execution=e) for e in WAYS}}, count


def plans(sizes, many):
    """The same of plans, without the passes of one file, of all of them, and of native code."""
    for name, make, count, _ in subjects(sizes, many):
        ways = {e: make(execution=e) for e in WAYS[::-1]}
        for what, names in (*FILES.items(), ("all three", sum(FILES.values(), ()))):
            with without(names):
                ways[what] = make(execution="planned")
                ways[what].advance(2)  # is planned
        yield name, ways, count


@contextmanager
def without(names):
    """Plans are made without these passes, those of blocks of rows too."""
    kept = {name: getattr(planner, name) for name in ("Plan", *names)}
    left = tuple(p for p in planner.PASSES if p.name not in names)
    planner.Plan = lambda program, _, threads=1: kept["Plan"](program, left, threads)
    for name in names:
        setattr(planner, name, lambda graph, *_: graph)
    try:
        yield
    finally:
        for name, what in kept.items():
            setattr(planner, name, what)


def measure(name, ways, count, turns):
    """A row: quartiles in µs per GAN and step, and ratios."""
    steps = {}
    for way, task in ways.items():
        task.advance(64 if count == 1 else 16)
        started = time.process_time()
        task.advance(16)
        steps[way] = max(16, round(SECONDS / (time.process_time() - started) * 16))
    spent = {way: [] for way in ways}
    for _ in range(turns):
        for way, task in ways.items():
            started = time.process_time()
            task.advance(steps[way])
            spent[way].append((time.process_time() - started) / steps[way] / count * 1e6)
    row = {"name": name, "turns": turns, "spent": spent}
    row["quartiles"] = {way: statistics.quantiles(times, n=4)[0] for way, times in spent.items()}
    for way in ("C", "planned"):
        row[f"native / {way}"] = ratio(spent, "native", way) if {"native", way} <= spent.keys() else None
    return row


def ratio(spent, way, other):
    """Of the times of two ways in the same turn, a median."""
    return statistics.median([a / b for a, b in zip(spent[way], spent[other], strict=True)])


def cells(row):
    """One line of the table."""
    times = [row["quartiles"].get(way) for way in ("C", "native", "planned")]
    ratios = [row["native / C"], row["native / planned"]]
    shown = ["–" if t is None else f"{t:.1f}" if t < 1000 else f"{t:,.0f}".replace(",", " ") for t in times]
    return row["name"], *shown, *("–" if r is None else f"{r:.2f}" for r in ratios)


def tabulate(rows):
    """What a step takes over the whole plan's time, without the passes of a file."""
    folder, lines = Path(passes.__file__).parent, {}
    for name in FILES:
        lines[name] = len((folder / f"{name}.py").read_text(encoding="utf-8").splitlines())
    ways = [way for way in rows[0]["spent"] if way != "planned"]
    lines |= {"all three": sum(lines.values())}
    header = [f"without {way} ({lines[way]} lines)" if way in lines else way for way in ways]
    return table(
        ("over the plan's time", "planned, µs", *header),
        [
            (row["name"], f"{row['quartiles']['planned']:.1f}")
            + tuple(f"{ratio(row['spent'], way, 'planned'):.2f}" for way in ways)
            for row in rows
        ],
    )


def starts():
    """CPU seconds of the default run's first step: compiled, and with the library that is kept."""
    config = resolve(environ={}, sets=["backend=numpy", "execution=native"])
    kept, found = c_compiler.folder, {}
    with tempfile.TemporaryDirectory() as place:
        c_compiler.folder = lambda: Path(place) / "native"
        try:
            for name in ("compiled", "kept"):
                experiment, before = Experiment(config), os.times()
                experiment.advance(1)
                found[name] = sum(os.times()[:4]) - sum(before[:4])
                assert experiment.executed == "native", experiment.program.note
        finally:
            c_compiler.folder = kept
    return found


def show(record):
    """The table, and what starting costs."""
    first = record["first_step"]
    said = (
        f"The first step of the default run takes {first['compiled']:.1f} s of CPU where it is compiled, and "
        f"{first['kept']:.2f} s with the library that is kept ({record['compiler']})."
    )
    return f"{table(HEADER, map(cells, record['results']))}\n\n{said}"


def main(arguments=None):
    """Print the table; with --write also bench/results/native.json, but for --passes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", type=size, default=SIZES, metavar="B,H", help="batch and width")
    parser.add_argument("--many", type=int, default=MANY, help="GANs at once; 0 for none")
    parser.add_argument("--turns", type=int, default=40, help="of each way")
    parser.add_argument("--passes", action="store_true", help="plans without some passes instead")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    results, found = [], plans if options.passes else tasks
    with np.errstate(all="ignore"):
        for name, ways, count in found(options.sizes, options.many):
            turns = options.turns if count == 1 else max(2, options.turns // 3)
            results.append(measure(name, ways, count, turns))
            print(" | ".join(cells(results[-1])), file=sys.stderr, flush=True)
    if options.passes:
        return print(tabulate(results))
    record = {"compiler": c_compiler.find().version, "first_step": starts(), "results": results}
    print(show(record))
    if options.write:
        print(write("native", record), file=sys.stderr)
    return None


if __name__ == "__main__":
    right = surroundings(1)
    if any(name in os.environ for name in MISLEADING) or os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        os.execve(sys.executable, [sys.executable, "-m", "bench.native", *sys.argv[1:]], right)
    main()
