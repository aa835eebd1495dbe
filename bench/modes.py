"""Modes of the ring of 8 and of the grid of 25, over many seeds, beside a perfect sampler.

    python -m bench.modes                    every line, 100 seeds each
    python -m bench.modes --only ring8       one preset

A mode is captured if it owns a high-quality sample, one within three of its sd; 98.89 % of perfect samples
are. Reverse KL is that of the samples' shares of the modes to equal shares. 10 000 samples of the averaged
generator each. Seeds train together on the replica axis, in groups that fit the cache, one group per core;
seconds are those of processor time of a seed's share of the training.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from bench.common import table, wilson, write
from minigan.evaluation.modes import modes_of
from minigan.probability.text_form import parse
from minigan.training.metrics import LAST
from minigan.training.settings import resolve

GROUP = 4  # seeds trained together
RING = {"high_quality": (0.95, 0.993), "reverse_kl": 0.01}  # what a seed has to reach, beside all modes
GRID = {"high_quality": (0.94, 0.993), "reverse_kl": 0.03}
SEEDS = 100  # of each line
LINES = {"ring8": RING, "ring8-saturating": RING, "ring8-plain": RING, "grid25": GRID}
FIRST = dict.fromkeys(LINES, 4000) | {"grid25": 5000}  # seed, of the seeds from which nothing was chosen
HEADER = (
    "", "seeds", "all modes, HQ and KL reached", "95 % interval",
    "all modes", "median HQ", "HQ: 5 % to 95 %", "median reverse KL", "worst", "s per seed",
)  # fmt: skip


def train_group(task):
    """Train seeds together; (seconds of all, [(seed, modes captured, HQ share, reverse KL), …])."""
    from threadpoolctl import threadpool_limits

    from minigan.training.experiment import Ensemble

    preset, sets, seeds = task
    config = resolve(preset, environ={}, sets=sets)
    ensemble = Ensemble.of_seeds(config, seeds)
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        started = time.process_time()
        ensemble.advance(config.steps)
        seconds = time.process_time() - started
        samples = ensemble.sample(config.eval_samples, index=LAST)
    return seconds, [judged(seed, x, config.target) for seed, x in zip(seeds, samples, strict=True)]


def judged(seed, x, target):
    """(seed, modes captured, HQ share, reverse KL) of one sample; nothing of one that is not finite."""
    if not np.isfinite(x).all():
        return seed, 0, 0.0, np.inf
    seen = modes_of(parse(target)).coverage(x)
    return seed, int(seen.captured), float(seen.high_quality), float(seen.reverse_kl)


def perfect(target, n, count=400):
    """The same rows for samples drawn from the target itself."""
    distribution, rng = parse(target), np.random.default_rng(0)
    return [judged(k, distribution.sample(rng, (n,)), target) for k in range(count)]


def summary(name, rows, of, bar, settings, seconds=None):
    """One line of the table."""
    captured, quality, divergence = (np.array([row[k] for row in rows]) for k in (1, 2, 3))
    low, high = bar["high_quality"]
    reached = (captured == of) & (low <= quality) & (quality <= high) & (divergence <= bar["reverse_kl"])
    return {
        "name": name,
        "seeds": len(rows),
        "bar": bar,
        "reached": int(reached.sum()),
        "interval": wilson(int(reached.sum()), len(rows)),
        "all_modes": int((captured == of).sum()),
        "high_quality": np.quantile(quality, [0.05, 0.5, 0.95]).tolist(),
        "reverse_kl": [float(np.median(divergence)), float(divergence.max())],
        "seconds_per_seed": seconds and seconds / len(rows),
        "settings": settings,
        "rows": [[float(value) for value in row] for row in rows],
    }


def cells(r):
    """The cells of one summary."""
    low, high = r["interval"]
    first, middle, last = r["high_quality"]
    return (
        r["name"],
        r["seeds"],
        f"{r['reached'] / r['seeds']:.1%}",
        f"{low:.1%} to {high:.1%}",
        f"{r['all_modes'] / r['seeds']:.1%}",
        f"{middle:.4f}",
        f"{first:.4f} to {last:.4f}",
        f"{r['reverse_kl'][0]:.4f}",
        f"{r['reverse_kl'][1]:.4f}",
        "" if r["seconds_per_seed"] is None else f"{r['seconds_per_seed']:.1f}",
    )


def main(arguments=None):
    """Print the table; with --write also bench/results/modes-NAME.json, one file for each line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of each line")
    parser.add_argument("--only", action="append", choices=LINES, help="measure this line only; repeatable")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="change the preset"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for name in options.only or LINES:
            bar, seconds = LINES[name], 0.0
            seeds = list(range(FIRST[name], FIRST[name] + options.seeds))
            config = resolve(name, environ={}, sets=options.sets)
            of = len(parse(config.target).centres)
            tasks = [(name, tuple(options.sets), seeds[k : k + GROUP]) for k in range(0, len(seeds), GROUP)]
            rows = []
            for spent, group in pool.map(train_group, tasks):
                rows += group
                seconds += spent
                print(name, *group, file=sys.stderr, flush=True)
            settings = {"sets": options.sets, "steps": config.steps, "samples": config.eval_samples}
            own = summary(name, rows, of, bar, settings, seconds)
            floor = summary(
                f"a perfect sampler of {config.target}",
                perfect(config.target, config.eval_samples),
                of,
                bar,
                {},
            )
            results += [own, floor]
            if options.write:
                path = write(f"modes-{name}", {"group": GROUP, "jobs": options.jobs, "results": [own, floor]})
                print(path, file=sys.stderr)
    print(table(HEADER, [cells(result) for result in results]))


if __name__ == "__main__":
    main()
