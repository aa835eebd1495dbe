"""How well the default run reproduces its target, over many seeds, beside a perfect sampler.

    python -m bench.quality               the default run, 100 seeds, and other targets, 20 seeds each
    python -m bench.quality --ablation    what each choice of the method is worth, 20 seeds each

KS, its p-value and W1 judge 10 000 generated values; "model error" is sup |F_θ − F| of the generator's own
distribution, computed without sampling, so that it shows what 10 000 values cannot. Seeds train together on
the replica axis, in groups that fit the cache, one group per processor core; a replica's result is bit for
bit that of `minigan train --seed S`.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from bench.common import RESULTS, table, wilson, write
from minigan.evaluation.two_sample import ks_one_sample, wasserstein1_to
from minigan.gan.theory.diagnostics import latent_cells, pushforward_cdf
from minigan.probability.text_form import parse
from minigan.training.metrics import LAST
from minigan.training.settings import resolve

GROUP = 5  # seeds trained together
TARGETS = {  # of other shapes: standardised, another mean and sd are the same run; and each one's first seed
    "student(40)": 5000,
    "laplace(0, 1)": 6000,
    "gamma(4)": 7000,
    "uniform(0, 1)": 8000,
    "0.5*normal(-1.5, 1) + 0.5*normal(1.5, 1)": 9000,
}
TARGET_SEEDS = 20
MIXTURE, PERFECT = "the preset mixture", "a perfect sampler"

BASE = ("generator_optimizer.rate=0.001", "discriminator_optimizer.rate=0.002", "steps=4000")
ABLATION = {  # each changes one thing of the base; the default's rates are five times those of its G
    "the base": (),
    "the default": ("generator_optimizer.rate=0.005", "discriminator_optimizer.rate=0.005", "steps=5000"),
    "no penalties": ("r1=0", "r2=0"),
    "R1 alone, 0.5": ("r2=0",),
    "penalties 0.1": ("r1=0.1", "r2=0.1"),
    "penalties 2": ("r1=2", "r2=2"),
    "no average": ("average.name=none",),
    "EMA, 0.999": ("average.name=ema", "average.decay=0.999"),
    "rates constant": ("schedule.name=constant",),
    "rates constant, no average": ("schedule.name=constant", "average.name=none"),
    "both rates 0.002": ("generator_optimizer.rate=0.002",),
    "both rates 0.001": ("discriminator_optimizer.rate=0.001",),
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
    "uniform latent": ("latent.distribution=uniform",),
    "beta2 0.9": ("generator_optimizer.beta2=0.9", "discriminator_optimizer.beta2=0.9"),
    "1000 steps": ("steps=1000",),
    "12 000 steps": ("steps=12000",),
}


def train_group(task):
    """Train a group of seeds together; (seed, KS, p, W1/sd, model error) of each."""
    from threadpoolctl import threadpool_limits

    from minigan.training.experiment import Ensemble

    preset, sets, seeds = task
    config = resolve(preset, environ={}, sets=sets)
    ensemble, distribution = Ensemble.of_seeds(config, seeds), parse(config.target)
    with threadpool_limits(1, user_api="blas"):
        ensemble.advance(config.steps)
        samples = ensemble.sample(config.eval_samples, index=LAST)[..., 0]
        z, mass = latent_cells(config.latent.distribution)
        images = [experiment.generate(z[:, None])[:, 0] for experiment in ensemble.experiments]
    points = distribution.quantile(np.linspace(0.0005, 0.9995, 1000))
    return [
        judged(
            seed,
            x,
            distribution,
            np.abs(pushforward_cdf(mass, image, points) - distribution.cdf(points)).max(),
        )
        for seed, x, image in zip(seeds, samples, images, strict=True)
    ]


def judged(seed, x, distribution, model_error):
    """(seed, KS, p, W1/sd, model error) of one sample."""
    if not np.isfinite(x).all():
        return seed, 1.0, 0.0, np.inf, 1.0
    ks = ks_one_sample(x, distribution)
    return seed, ks.statistic, ks.pvalue, wasserstein1_to(x, distribution) / distribution.sd, model_error


def measure(pool, sets, count, first=0, preset=None):
    """Rows of ``count`` seeds."""
    seeds = list(range(first, first + count))
    tasks = [(preset, tuple(sets), seeds[k : k + GROUP]) for k in range(0, count, GROUP)]
    return [row for rows in pool.map(train_group, tasks) for row in rows]


def perfect(target, n, count=400):
    """The same rows for samples drawn from the target itself."""
    distribution, rng = parse(target), np.random.default_rng(0)
    return [judged(k, distribution.sample(rng, (n,)), distribution, 0.0) for k in range(count)]


def summary(name, rows, seconds=None):
    """One line of the table."""
    ks, p, w1, error = (np.array([row[k] for row in rows]) for k in (1, 2, 3, 4))
    passed = int((p > 0.05).sum())
    return {
        "name": name,
        "seeds": len(rows),
        "passed": passed,
        "interval": wilson(passed, len(rows)),
        "ks_median": float(np.median(ks)),
        "w1_median": float(np.median(w1)),
        "error_median": float(np.median(error)),
        "error_worst": float(error.max()),
        "seconds_per_seed": seconds and seconds / len(rows),
        "rows": [[float(value) for value in row] for row in rows],
    }


HEADER = (
    "", "seeds", "KS p > 0.05", "95 % interval",
    "median KS", "median W1/sd", "model error", "worst", "s per seed",
)  # fmt: skip


def cells(r):
    """The cells of one summary."""
    low, high = r["interval"]
    return (
        r["name"],
        r["seeds"],
        f"{r['passed'] / r['seeds']:.0%}",
        f"{low:.0%} to {high:.0%}",
        f"{r['ks_median']:.4f}",
        f"{r['w1_median']:.4f}",
        f"{r['error_median']:.4f}",
        f"{r['error_worst']:.4f}",
        "" if r["seconds_per_seed"] is None else f"{r['seconds_per_seed']:.1f}",
    )


def merged(name, order, results):
    """The stored results with these in their places, which are those of ``order``."""
    path = RESULTS / f"{name}.json"
    stored = json.loads(path.read_text())["results"] if path.exists() else []
    known = {result["name"]: result for result in (*stored, *results)}
    return [known[line] for line in (*order, PERFECT) if line in known]


def main(arguments=None):
    """Print the table; with --write also bench/results/quality.json or ablation.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, help="of each line, instead of 100 and 20")
    parser.add_argument("--ablation", action="store_true", help="vary the method instead of the target")
    parser.add_argument("--only", action="append", help="measure this line anew; repeatable")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="change the default"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    default = resolve(environ={}, sets=options.sets)
    count = options.seeds or TARGET_SEEDS
    if options.ablation:
        plan = [(name, None, (*BASE, *sets), count, 0) for name, sets in ABLATION.items()]
    else:
        plan = [(default.target, None, (), options.seeds or 100, 0)]
        plan += [(name, None, (f"target={name}",), count, first) for name, first in TARGETS.items()]
        plan.append((MIXTURE, "mixture", (), count, 0))
    order = [name for name, *_ in plan]
    plan = [line for line in plan if line[0] in (options.only or order)]
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for name, preset, sets, count, first in plan:
            started = time.perf_counter()
            rows = measure(pool, (*options.sets, *sets), count, first, preset)
            results.append(summary(name, rows, time.perf_counter() - started))
            print("  ".join(map(str, cells(results[-1]))), file=sys.stderr, flush=True)
    results.append(summary(PERFECT, perfect(default.target, default.eval_samples)))
    print(table(HEADER, [cells(result) for result in results]))
    if options.write:
        settings = {
            "sets": options.sets,
            "eval_samples": default.eval_samples,
            "group": GROUP,
            "jobs": options.jobs,
        }
        name = "ablation" if options.ablation else "quality"
        if options.only:
            results = merged(name, order, results)
        print(write(name, {"settings": settings, "results": results}), file=sys.stderr)


if __name__ == "__main__":
    main()
