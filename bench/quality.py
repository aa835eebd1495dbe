"""How well the default run reproduces its target, over many seeds: KS, W1 and the share that passes, beside a perfect sampler.

    python -m bench.quality                    the default run, 100 seeds, and four other targets, 20 seeds each
    python -m bench.quality --ablation         what each choice of the method is worth, 40 seeds each

Seeds train together on the replica axis, in groups that fit the cache, one group per processor core. A replica's result is
bit for bit that of `minigan train --seed S`.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from bench.common import table, wilson, write
from minigan.lab.config import resolve
from minigan.lab.metrics import LAST
from minigan.probability.distributions import parse
from minigan.probability.two_sample import ks_one_sample, wasserstein1_to

GROUP = 5  # seeds trained together
TARGETS = {"normal(4, 0.5)": 20, "normal(-1, 1)": 20, "normal(0, 10)": 20, "normal(1000, 1)": 20}

ABLATION = {
    "the default": (),
    "no penalties": ("r1=0", "r2=0"),
    "R1 alone, 0.5": ("r2=0",),
    "penalties 0.1": ("r1=0.1", "r2=0.1"),
    "penalties 2": ("r1=2", "r2=2"),
    "no average": ("average.name=none",),
    "EMA, 0.999": ("average.name=ema", "average.decay=0.999"),
    "rates constant": ("schedule.name=constant",),
    "both rates of D": ("generator_optimizer.rate=0.002",),
    "both rates of G": ("discriminator_optimizer.rate=0.001",),
    "G leaky ReLU": ("generator.activation=leaky_relu",),
    "G tanh": ("generator.activation=tanh",),
    "D SiLU": ("discriminator.activation=silu",),
    "D tanh": ("discriminator.activation=tanh",),
    "widths 16": ("generator.widths=[16,16]", "discriminator.widths=[16,16]"),
    "widths 64": ("generator.widths=[64,64]", "discriminator.widths=[64,64]"),
    "batch 64": ("batch=64",),
    "momentum 0.5": ("generator_optimizer.beta1=0.5", "discriminator_optimizer.beta1=0.5"),
    "minimax": ("objective=minimax",),
    "simultaneous": ("order=simultaneous",),
    "not standardised": ("standardise=false",),
    "uniform latent": ("latent.law=uniform",),
    "half the steps": ("steps=3000",),
}


def train_group(task):
    """Train a group of seeds together; one (seed, KS, p, W1/sd, mean, sd) per seed."""
    from threadpoolctl import threadpool_limits

    from minigan.lab.experiment import Experiment

    sets, seeds = task
    config = resolve(environ={}, sets=sets)
    experiment, law = Experiment(config, seeds=seeds), parse(config.target)
    with threadpool_limits(1, user_api="blas"):
        experiment.advance(config.steps)
        samples = experiment.sample(config.eval_samples, index=LAST)[..., 0]
    rows = []
    for seed, x in zip(seeds, samples, strict=True):
        if np.isfinite(x).all():
            ks = ks_one_sample(x, law)
            rows.append(
                (seed, ks.statistic, ks.pvalue, wasserstein1_to(x, law) / law.sd, x.mean(), x.std(ddof=1))
            )
        else:
            rows.append((seed, 1.0, 0.0, np.inf, np.nan, np.nan))
    return rows


def measure(pool, sets, count, first=0):
    """Rows of ``count`` seeds."""
    seeds = list(range(first, first + count))
    tasks = [(tuple(sets), seeds[k : k + GROUP]) for k in range(0, count, GROUP)]
    return [row for rows in pool.map(train_group, tasks) for row in rows]


def perfect(target, n, count=400, seed=0):
    """The same row for samples drawn from the target itself."""
    law, rng = parse(target), np.random.default_rng(seed)
    rows = []
    for k in range(count):
        x = law.sample(rng, (n,))
        ks = ks_one_sample(x, law)
        rows.append((k, ks.statistic, ks.pvalue, wasserstein1_to(x, law) / law.sd, x.mean(), x.std(ddof=1)))
    return rows


def summary(name, rows, seconds=None):
    """One line of the table."""
    ks, p, w1 = (np.array([row[k] for row in rows]) for k in (1, 2, 3))
    passed = int((p > 0.05).sum())
    low, high = wilson(passed, len(rows))
    return {"name": name, "seeds": len(rows), "passed": passed, "share": passed / len(rows), "interval": [low, high],
            "ks_median": float(np.median(ks)), "ks_90": float(np.quantile(ks, 0.9)), "w1_median": float(np.median(w1)),
            "seconds": seconds, "rows": [[float(value) for value in row] for row in rows]}  # fmt: skip


def main(arguments=None):
    """Print the table and write bench/results/quality.json or ablation.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--seeds",
        type=int,
        default=None,
        help="of the default run (100), or of each line with --ablation (40)",
    )
    parser.add_argument("--ablation", action="store_true", help="vary the method instead of the target")
    parser.add_argument("--only", action="append", help="lines of the ablation to run; repeatable")
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change the default configuration",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    default = resolve(environ={}, sets=options.sets)
    results = []

    def run(pool, name, sets, count):
        started = time.perf_counter()
        rows = measure(pool, (*options.sets, *sets), count)
        results.append(summary(name, rows, time.perf_counter() - started))
        print(show([results[-1]]).splitlines()[-1], file=sys.stderr, flush=True)

    def show(results):
        return table(
            ("", "seeds", "KS p > 0.05", "95 % interval", "median KS", "90 % KS", "median W1/sd", "s per seed"),
            [(r["name"], r["seeds"], f"{r['share']:.0%}", f"{r['interval'][0]:.0%}-{r['interval'][1]:.0%}", f"{r['ks_median']:.4f}",
              f"{r['ks_90']:.4f}", f"{r['w1_median']:.4f}", "" if r["seconds"] is None else f"{r['seconds'] / r['seeds']:.1f}")
             for r in results])  # fmt: skip

    with ProcessPoolExecutor(options.jobs) as pool:
        if options.ablation:
            for name, sets in ABLATION.items():
                if not options.only or name in options.only:
                    run(pool, name, sets, options.seeds or 40)
        else:
            run(pool, default.target, (), options.seeds or 100)
            for target, count in TARGETS.items():
                run(pool, target, (f"target={target}",), min(count, options.seeds or count))
    results.append(summary("a perfect sampler", perfect(default.target, default.eval_samples)))
    print(show(results))
    if not options.no_write:
        settings = {
            "sets": options.sets,
            "eval_samples": default.eval_samples,
            "group": GROUP,
            "jobs": options.jobs,
        }
        print(
            write("ablation" if options.ablation else "quality", {"settings": settings, "results": results}),
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
