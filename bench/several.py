"""How well the default run reproduces targets of several features, beside a perfect sampler.

    python -m bench.several               the default run on ten targets, 2 seeds each
    python -m bench.several --pieces      what each piece of the method is worth, on two of them, one seed

The judge is a classifier of boosted trees (scikit-learn's HistGradientBoostingClassifier as it comes): its
accuracy on generated rows and as many real ones, fresh on both sides, by 5 folds, so that each row is judged
by trees that have not seen it. A perfect sampler's is ½. "KS" is the largest of any feature. Seeds train
together on the replica axis; a replica's result is bit for bit that of `minigan train --seed S` in the same
execution. Seconds are those of a seed's share of the training, on one core.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from bench.common import table, write
from minigan.evaluation.two_sample import ks_two_sample
from minigan.probability.text_form import parse
from minigan.training.metrics import LAST
from minigan.training.settings import resolve

FIRST = 1000  # seed, of the seeds from which nothing was chosen
ROWS, FOLDS, SEEDS, PIECE_SEEDS = 6000, 5, 2, 1
PERFECT = "a perfect sampler"
TARGETS = {
    "moons": "moons(0.1)",
    "circles": "circles(0.5, 0.05)",
    "checkerboard": "checkerboard(4, 2)",
    "pinwheel": "pinwheel(5, 0.25, 0.1)",
    "swiss roll": "swiss_roll(0.5)",
    "spiral": "spiral(2, 0.02)",
    "correlated normal": "normal([0, 1], [1, 2], 0.8)",
    "three modes": "0.5*normal([0, 0], 0.5) + 0.3*normal([3, 1], [1, 0.3], 0.5) + 0.2*normal([-2, 3], 0.4)",
    "five features": "0.5*normal([0, 0, 0, 0, 0], 1, 0.5)"
    " + 0.3*normal([4, -4, 2, 0, 3], [0.5, 1, 0.5, 1, 0.5])"
    " + 0.2*normal([-4, 3, 0, 5, -2], [1, 0.5, 1, 0.5, 1], 0.3)",
    "ten features": "normal([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.5)",
}
PIECE_TARGETS = ("circles", "checkerboard")
PIECES = {  # the method less one piece
    "the method": (),
    "draws independent": ("draws=independent",),
    "no more latents than features": ("latent.size=null",),
    "G's start random": ("generator.bends=zero",),
    "D's bends at 0": ("discriminator.bends=zero",),
    "one step of D": ("discriminator_steps=1",),
    "D of 64-64": ("discriminator.widths=[64,64]",),
    "R1 and R2 0.5": ("r1=0.5", "r2=0.5"),
    "plain": ("method=plain",),
}
HEADER = ("", "features", "seeds", "accuracy of boosted trees", "worst", "median KS", "s per seed")


def accuracy(a, b):
    """The share of rows that boosted trees put down to the right side, by folds."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from threadpoolctl import threadpool_limits

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    X, y, trees = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)]), HistGradientBoostingClassifier
    with threadpool_limits(1):  # its threads would wait for each other, beside other work
        return float(cross_val_score(trees(random_state=0), X, y, cv=folds).mean())


def judged(seed, x, distribution):
    """(seed, accuracy, largest KS) of rows; those of one that is not finite are all told."""
    if not np.isfinite(x).all():
        return seed, 1.0, 1.0
    real = distribution.sample(np.random.default_rng([seed, 1]), (len(x),))
    ks = max(ks_two_sample(x[:, j], real[:, j]).statistic for j in range(x.shape[1]))
    return seed, accuracy(x, real), ks


def train_group(task):
    """Train seeds together; (seconds of each, [(seed, accuracy, KS), …])."""
    from threadpoolctl import threadpool_limits

    from minigan.training.experiment import Ensemble

    sets, seeds, rows = task
    config = resolve(environ={}, sets=sets)
    with threadpool_limits(1), np.errstate(all="ignore"):
        ensemble = Ensemble.of_seeds(config, seeds)
        started = time.process_time()
        ensemble.advance(config.steps)
        seconds = (time.process_time() - started) / len(seeds)
        samples = ensemble.sample(rows, index=LAST)
        distribution = parse(config.target)
        return seconds, [judged(seed, x, distribution) for seed, x in zip(seeds, samples, strict=True)]


def perfect(target, rows, count=1):
    """The same rows for samples drawn from the target itself."""
    distribution, rng = parse(target), np.random.default_rng(0)
    return [judged(k, distribution.sample(rng, (rows,)), distribution) for k in range(count)]


def summary(name, target, rows, seconds=None):
    """One line of the table."""
    _, found, ks = np.array(rows).T
    return {
        "name": name, "target": target, "features": parse(target).features, "seeds": len(rows),
        "accuracy": [float(np.median(found)), float(found.max())], "ks_median": float(np.median(ks)),
        "seconds_per_seed": seconds, "rows": [[float(value) for value in row] for row in rows],
    }  # fmt: skip


def cells(r):
    """The cells of one summary."""
    seconds = "" if r["seconds_per_seed"] is None else f"{r['seconds_per_seed']:.0f}"
    middle, worst = r["accuracy"]
    return (
        r["name"],
        r["features"],
        r["seeds"],
        f"{middle:.3f}",
        f"{worst:.3f}",
        f"{r['ks_median']:.3f}",
        seconds,
    )


def pieces_table(record):
    """A line for each piece, a column for each target: accuracy of trees."""
    found = {row["name"]: row["accuracy"][0] for row in record["results"]}
    lines = [
        (piece if piece == "the method" else f"… with {piece}",
         *(f"{found[f'{target}: {piece}']:.3f}" for target in PIECE_TARGETS))
        for piece in PIECES
    ]  # fmt: skip
    return table(("", *PIECE_TARGETS), lines)


def main(arguments=None):
    """Print the table; with --write also bench/results/several.json or several-pieces.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, help="of each line, instead of 2, or 1 of a piece")
    parser.add_argument("--pieces", action="store_true", help="leave out one piece of the method at a time")
    parser.add_argument(
        "--only", action="append", choices=TARGETS, help="measure this target only; repeatable"
    )
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="change the default"
    )
    parser.add_argument("--rows", type=int, default=ROWS, help="of each side")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    targets = options.only or (PIECE_TARGETS if options.pieces else TARGETS)
    count = options.seeds or (PIECE_SEEDS if options.pieces else SEEDS)
    seeds = list(range(FIRST, FIRST + count))
    pieces = PIECES if options.pieces else {"": ()}
    plan = {
        f"{target}: {piece}" if piece else target: (target, sets)
        for target in targets for piece, sets in pieces.items()
    }  # fmt: skip
    tasks = [
        ((*options.sets, f"target={TARGETS[target]}", *sets), seeds, options.rows)
        for target, sets in plan.values()
    ]
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for (name, (target, _)), (seconds, rows) in zip(
            plan.items(), pool.map(train_group, tasks), strict=True
        ):
            results.append(summary(name, TARGETS[target], rows, seconds))
            print("  ".join(map(str, cells(results[-1]))), file=sys.stderr, flush=True)
    for target in () if options.pieces else targets:
        results.append(
            summary(f"{target}, {PERFECT}", TARGETS[target], perfect(TARGETS[target], options.rows))
        )
    print(table(HEADER, [cells(result) for result in results]))
    if options.write:
        name = "several-pieces" if options.pieces else "several"
        content = {"settings": {"sets": options.sets, "rows": options.rows}, "results": results}
        print(write(name, content), file=sys.stderr)


if __name__ == "__main__":
    main()
