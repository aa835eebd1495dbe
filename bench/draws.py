"""What stratified draws cost beside independent ones, and how much less a batch's mean then varies.

python -m bench.draws [--repeats 7] [--write]

CPU time of one thread, the least of the repeats, in which both take turns: of drawing the numbers of a step,
and of a captured step with them. The noise is the sd of the mean of a batch's real rows, and of their
squares, over that of independent ones.
"""

import argparse
import sys
import time

import numpy as np

from bench.common import table, write
from minigan.machine import one_thread
from minigan.training.data import Data
from minigan.training.experiment import Experiment
from minigan.training.settings import resolve

DRAWS = ("independent", "stratified")
CASES = {  # settings, and rows and features of data
    "normal(4, 1.25)": ((), None),
    "0.33 N(-1, 0.25) + 0.67 N(2, 1.4)": (("target=0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)",), None),
    "student(3)": (("target=student(3)",), None),
    "data, 12 000 values": ((), (12_000, 1)),
    "ring of 8": (("target=ring(8, 1, 0.01)",), None),
    "data, 12 000 rows of 4 features": ((), (12_000, 4)),
    "normal(4, 1.25), by Philox": (("random=philox",), None),
}
HEADER = (
    "256 rows of", "draws, µs: independent", "stratified", "a step with them, µs: independent", "stratified",
    "noise of a mean", "of squares",
)  # fmt: skip


def made(sets, shape, draws):
    """The experiment of a case, which has played a few steps."""
    data = None
    if shape is not None:
        values = np.random.default_rng(0).standard_normal(shape)
        data = Data(values, tuple(f"x{j}" for j in range(shape[1])), (), "table.csv")
    experiment = Experiment(resolve(environ={}, sets=(*sets, f"draws={draws}", "backend=numpy")), data=data)
    experiment.advance(experiment.block_length)
    return experiment


def spent(action, count):
    """CPU seconds of one of so many calls."""
    start = time.process_time()
    for k in range(count):
        action(k)
    return (time.process_time() - start) / count


def measured(sets, shape, repeats, blocks):
    """One row of the results: of each kind of draws the µs of a step's, and of a step; and the noise."""
    experiments = {draws: made(sets, shape, draws) for draws in DRAWS}
    K = next(iter(experiments.values())).block_length
    row = {draws: {"draws": [], "step": []} for draws in DRAWS}
    for _ in range(repeats):
        for draws, e in experiments.items():
            row[draws]["draws"].append(1e6 * spent(lambda k, e=e: e._draw(k), blocks) / K)
            row[draws]["step"].append(1e6 * spent(lambda k, e=e: e.advance(K), blocks) / K)
    row = {draws: {name: min(times) for name, times in found.items()} for draws, found in row.items()}
    real = {
        draws: np.concatenate([e.draw(k, K)["real"][:, 0] for k in range(blocks)])
        for draws, e in experiments.items()
    }
    for name, power in (("mean", 1), ("squares", 2)):
        sd = [np.sqrt((x.astype("float64") ** power).mean(axis=1).var(axis=0).mean()) for x in real.values()]
        row[name] = sd[1] / sd[0]
    return row


def cells(row):
    times = [f"{row[draws][what]:.1f}" for what in ("draws", "step") for draws in DRAWS]
    return (row["name"], *times, f"{row['mean']:.2g}", f"{row['squares']:.2g}")


def main(arguments=None):
    """Print the table; with --write also bench/results/draws.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--blocks", type=int, default=20, help="blocks of 50 steps in one of them")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    with one_thread():
        results = [
            {"name": name, **measured(sets, shape, options.repeats, options.blocks)}
            for name, (sets, shape) in CASES.items()
        ]
    print(table(HEADER, [cells(row) for row in results]))
    if options.write:
        print(write("draws", {"results": results}), file=sys.stderr)


if __name__ == "__main__":
    main()
