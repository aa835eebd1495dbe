"""How well the default run reproduces its target, over many seeds, beside a perfect sampler.

    python -m bench.quality               the default run, 100 seeds, and other targets, 20 seeds each
    python -m bench.quality --pieces      what each piece of the method is worth, on three targets
    python -m bench.quality --ablation    what each choice of the textbook's method is worth, 20 seeds each

KS, its p-value and W1 judge 10 000 generated values; "fresh" is the share of 20 further samples of 10 000
that the test does not tell, over all seeds; "model error" is sup |F_θ − F| of the generator's own
distribution, computed without sampling, so that it shows what 10 000 values cannot. Seeds train together on
the replica axis, in groups that fit the cache, one group per processor core; a replica's result is bit for
bit that of `minigan train --seed S` in the same execution. Seconds are those of processor time of a seed's
share of the training.
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
FIRST = 1000  # seed, of the seeds from which nothing was chosen
TARGETS = (  # of other shapes: standardised, another mean and sd are the same run
    "student(40)",
    "uniform(0, 1)",
    "gamma(2)",
    "student(3)",
    "laplace(0, 1)",
    "exponential(1)",
    "lognormal(0, 0.5)",
    "beta(2, 5)",
    "0.5*normal(-3, 1) + 0.5*normal(3, 1)",
    "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)",
    "0.9*normal(0, 1) + 0.1*normal(6, 0.5)",
    "0.3*normal(-3, 0.2) + 0.4*normal(0, 1) + 0.3*normal(4, 0.5)",
    "0.2*normal(-5, 0.3) + 0.5*normal(0, 0.3) + 0.3*normal(5, 0.3)",
    "0.5*uniform(0, 1) + 0.5*uniform(2, 3)",
)
TARGET_SEEDS, PIECE_SEEDS, FRESH = 20, 4, 20
PERFECT = "a perfect sampler"

PIECE_TARGETS = (
    "laplace(0, 1)",
    "0.5*normal(-3, 1) + 0.5*normal(3, 1)",
    "0.2*normal(-5, 0.3) + 0.5*normal(0, 0.3) + 0.3*normal(5, 0.3)",
)
PIECES = {  # the method less one piece
    "the method": (),
    "draws independent": ("draws=independent",),
    "G's bends at 0": ("generator.bends=zero",),
    "D's bends at 0": ("discriminator.bends=zero",),
    "G SiLU": ("generator.activation=silu",),
    "D of 32-32": ("discriminator.widths=[32,32]",),
    "D leaky ReLU": ("discriminator.activation=leaky_relu",),
    "two steps of D": ("discriminator_steps=2",),
    "G at D's rate": ("generator_optimizer.rate=0.005",),
    "R1 and R2 0.05": ("r1=0.05", "r2=0.05"),
    "R1 and R2 0.005": ("r1=0.005", "r2=0.005"),
    "batches of 128": ("batch=128",),
    "no penalties": ("r1=0", "r2=0"),
    "beta2 0.999": ("generator_optimizer.beta2=0.999", "discriminator_optimizer.beta2=0.999"),
    "average over the last half": ("average.start=0.5",),
    "5000 steps": ("steps=5000",),
    "plain": ("method=plain",),
}

BASE = (
    "method=plain", "generator_optimizer.rate=0.001", "discriminator_optimizer.rate=0.002", "steps=4000",
)  # fmt: skip
ABLATION = {  # each changes one thing of the base; the rates of method=plain are five times those of its G
    "the base": (),
    "method=plain": ("generator_optimizer.rate=0.005", "discriminator_optimizer.rate=0.005", "steps=5000"),
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
    """Train seeds together; (seconds of all, [(seed, KS, p, W1/sd, model error, fresh), …])."""
    from threadpoolctl import threadpool_limits

    from minigan.training.experiment import Ensemble

    preset, sets, seeds = task
    config = resolve(preset, environ={}, sets=sets)
    ensemble, distribution = Ensemble.of_seeds(config, seeds), parse(config.target)
    with threadpool_limits(1, user_api="blas"):
        started = time.process_time()
        ensemble.advance(config.steps)
        seconds = time.process_time() - started
        samples = ensemble.sample(config.eval_samples, index=LAST)[..., 0]
        z, mass = latent_cells(config.latent.distribution)
        images = [experiment.generate(z[:, None])[:, 0] for experiment in ensemble.experiments]
        fresh = [share_of_fresh(experiment, distribution) for experiment in ensemble.experiments]
    points = distribution.quantile(np.linspace(0.0005, 0.9995, 1000))
    return seconds, [
        judged(
            seed,
            x,
            distribution,
            np.abs(pushforward_cdf(mass, image, points) - distribution.cdf(points)).max(),
            share,
        )
        for seed, x, image, share in zip(seeds, samples, images, fresh, strict=True)
    ]


def share_of_fresh(experiment, distribution):
    """How many of FRESH samples, which no line of metrics and no verdict has, are not told at 5 %."""
    samples = (experiment.sample(experiment.config.eval_samples, LAST + 1 + k)[:, 0] for k in range(FRESH))
    return sum(np.isfinite(x).all() and ks_one_sample(x, distribution).pvalue > 0.05 for x in samples) / FRESH


def judged(seed, x, distribution, model_error, fresh=None):
    """(seed, KS, p, W1/sd, model error, fresh) of one sample."""
    if not np.isfinite(x).all():
        return seed, 1.0, 0.0, np.inf, 1.0, 0.0
    ks = ks_one_sample(x, distribution)
    fresh = float(ks.pvalue > 0.05) if fresh is None else fresh
    return (
        seed,
        ks.statistic,
        ks.pvalue,
        wasserstein1_to(x, distribution) / distribution.sd,
        model_error,
        fresh,
    )


def measure(pool, sets, count, first=0, preset=None):
    """(Rows, seconds) of ``count`` seeds."""
    seeds = list(range(first, first + count))
    tasks = [(preset, tuple(sets), seeds[k : k + GROUP]) for k in range(0, count, GROUP)]
    found = list(pool.map(train_group, tasks))
    return [row for _, rows in found for row in rows], sum(seconds for seconds, _ in found)


def perfect(target, n, count=400):
    """The same rows for samples drawn from the target itself."""
    distribution, rng = parse(target), np.random.default_rng(0)
    return [judged(k, distribution.sample(rng, (n,)), distribution, 0.0) for k in range(count)]


def summary(name, rows, seconds=None):
    """One line of the table."""
    ks, p, w1, error, fresh = (np.array([row[k] for row in rows]) for k in (1, 2, 3, 4, 5))
    passed = int((p > 0.05).sum())
    return {
        "name": name,
        "seeds": len(rows),
        "passed": passed,
        "interval": wilson(passed, len(rows)),
        "ks_median": float(np.median(ks)),
        "fresh": float(fresh.mean()),
        "w1_median": float(np.median(w1)),
        "error_median": float(np.median(error)),
        "error_worst": float(error.max()),
        "seconds_per_seed": seconds and seconds / len(rows),
        "rows": [[float(value) for value in row] for row in rows],
    }


HEADER = (
    "", "seeds", "KS p > 0.05", "95 % interval", "fresh",
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
        f"{r['fresh']:.0%}" if "fresh" in r else "",
        f"{r['ks_median']:.4f}",
        f"{r['w1_median']:.4f}",
        f"{r['error_median']:.4f}",
        f"{r['error_worst']:.4f}",
        "" if r["seconds_per_seed"] is None else f"{r['seconds_per_seed']:.1f}",
    )


def pieces_table(record):
    """A line for each piece, a column for each target: model error, median and worst."""
    found = {row["name"]: row for row in record["results"]}
    lines = []
    for piece in PIECES:
        rows = [found.get(f"{target}: {piece}") for target in PIECE_TARGETS]
        if not any(rows):  # not measured yet
            continue
        cells = ("" if r is None else f"{r['error_median']:.4f} ({r['error_worst']:.4f})" for r in rows)
        lines.append((piece if piece == "the method" else f"… with {piece}", *cells))
    return table(("", *PIECE_TARGETS), lines)


def merged(name, order, results):
    """The stored results with these in their places, which are those of ``order``."""
    path = RESULTS / f"{name}.json"
    stored = json.loads(path.read_text())["results"] if path.exists() else []
    known = {result["name"]: result for result in (*stored, *results)}
    return [known[line] for line in (*order, PERFECT) if line in known]


def main(arguments=None):
    """Print the table; with --write also bench/results/quality.json, pieces.json or ablation.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, help="of each line, instead of 100 and 20")
    parser.add_argument("--pieces", action="store_true", help="leave out one piece of the method at a time")
    parser.add_argument("--ablation", action="store_true", help="vary the textbook's method instead")
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
    elif options.pieces:
        plan = [
            (f"{target}: {name}", None, (f"target={target}", *sets), options.seeds or PIECE_SEEDS, FIRST)
            for target in PIECE_TARGETS
            for name, sets in PIECES.items()
        ]
    else:
        plan = [(default.target, None, (), options.seeds or 100, FIRST)]
        plan += [(name, None, (f"target={name}",), count, FIRST) for name in TARGETS]
    order = [name for name, *_ in plan]
    plan = [line for line in plan if line[0] in (options.only or order)]
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for name, preset, sets, count, first in plan:
            results.append(summary(name, *measure(pool, (*options.sets, *sets), count, first, preset)))
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
        name = "ablation" if options.ablation else "pieces" if options.pieces else "quality"
        if options.only:
            results = merged(name, order, results)
        print(write(name, {"settings": settings, "results": results}), file=sys.stderr)


if __name__ == "__main__":
    main()
