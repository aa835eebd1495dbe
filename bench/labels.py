"""Conditional GANs over seeds: is each class right, what leaks, and what is the classifier in it worth.

    python -m bench.labels                      20 seeds of two-classes, iris and ring8-classes
    python -m bench.labels --only iris --write  one of them, in its place among the stored ones

Of targets every class is judged by a one-sample Kolmogorov-Smirnov test of 10 000 values, of the plane by its
worst feature, and what leaks is the share of rows whose Bayes class is another than the one asked for: in how
many seeds is it within the range of 95 % of perfect samplers? Of irises a third of each species is held out
at random and trains nothing. A judge that never met the generator is asked to tell as many generated rows
from them (accuracy ½: it cannot); and what the generator knows of p(x | C_k) is by Bayes' rule a classifier,
beside a Gaussian [T8, T9] and a softmax one [T11] that were fitted to the rows that trained the generator.

Seeds from 1000 on: no choice was made on them.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from bench.common import RESULTS, table, wilson, write
from minigan.evaluation.by_class import LEAKAGE, bayes_classes, leakage_of
from minigan.evaluation.classifier_test import classifier_two_sample_test
from minigan.evaluation.rows import LEVEL
from minigan.evaluation.two_sample import ks_one_sample
from minigan.front.density import log_densities_of
from minigan.models import GaussianClassifier, SoftmaxRegression
from minigan.probability.distributions import Normal
from minigan.training.by_class import draw_of_class
from minigan.training.data import Data, read_configured
from minigan.training.experiment import Experiment
from minigan.training.labels import kept_out
from minigan.training.metrics import LAST
from minigan.training.settings import resolve

PRESETS = ("two-classes", "iris", "ring8-classes")
COUNT = 10_000  # generated values a class
HELD = 1 / 3  # of the irises of a species
TARGETS = ("two-classes", "ring8-classes")
HEADER = (
    "preset", "class KS p > 0.05", "95 % interval", "median KS of a class", "worst", "leaks", "leaks within",
    "s per seed",
)  # fmt: skip
CLASSIFIERS = ("generator, Bayes' rule", "Gaussian, shared covariance", "softmax")


def measure(task):
    """What one seed of a preset comes to."""
    from threadpoolctl import threadpool_limits

    name, sets, seed = task
    config = resolve(name, environ={}, sets=(*sets, f"seed={seed}"))
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        if config.data is None:
            return of_target(config)
        return of_data(config, read_configured(config))


def trained(config, data=None):
    """An experiment at its end, and the seconds of a processor that it took."""
    experiment, used = Experiment(config, data=data), time.process_time()
    experiment.advance(config.steps)
    return experiment, round(time.process_time() - used, 2)


def of_target(config):
    """KS of each class, and the leakage, beside those of perfect samplers."""
    experiment, seconds = trained(config)
    labels, ks = experiment.labels, []
    for k, (name, part) in enumerate(zip(labels.classes, labels.conditionals, strict=True)):
        rows = experiment.sample(COUNT, LAST + draw_of_class(k), condition=name)
        margins = [part] if experiment.features == 1 else [*map(Normal, part.mean, part.sd)]
        found = [ks_one_sample(x, margin) for x, margin in zip(rows.T, margins, strict=True)]
        worst = min(found, key=lambda one: one.pvalue)
        ks.append([worst.statistic, min(1.0, len(found) * worst.pvalue)])  # Bonferroni's
    rows, asked = experiment.sample(COUNT, LAST), experiment.classes_of(COUNT, LAST)
    real = labels.codes(np.random.default_rng(0), 10**6)
    perfect = float(np.mean(bayes(labels, labels.rows(np.random.default_rng(1), real)) != real))
    leak = leakage_of(bayes(labels, rows), asked, perfect, 10**6)
    return {
        "seed": config.seed,
        "ks": ks,
        LEAKAGE: leak.value,
        "perfect": perfect,
        "within": leak.row(LEVEL).within,
        "seconds": seconds,
    }


def bayes(labels, rows):
    """The most probable class of each row, by the true densities."""
    x = rows[:, 0] if rows.shape[1] == 1 else rows
    logs = np.stack([part.log_density(x) for part in labels.conditionals], axis=-1)
    return bayes_classes(logs, labels.priors)


def of_data(config, data):
    """Accuracies on rows that trained nothing."""
    rng, marks = np.random.default_rng([config.seed, 1]), data.marks
    test = kept_out(rng, HELD, marks.codes, len(data.values))
    part = Data(data.values[~test], data.names, (), data.source, marks._replace(codes=marks.codes[~test]))
    experiment, seconds = trained(config, part)
    X, y, new, codes = part.values, part.marks.codes, data.values[test], marks.codes[test]
    judged = classifier_two_sample_test(experiment.sample(len(new), LAST), new, rng)
    logs = log_densities_of(experiment.sampler(), new)
    guesses = (
        bayes_classes(logs, experiment.labels.priors),
        GaussianClassifier().fit(X, y).predict(new),
        SoftmaxRegression(weight_decay=1e-3).fit(X, y).predict(new),
    )
    return {
        "seed": config.seed,
        "told": round(judged.accuracy * judged.n_test),
        "n_test": judged.n_test,
        "right": {
            name: int((guess == codes).sum()) for name, guess in zip(CLASSIFIERS, guesses, strict=True)
        },
        "held": len(new),
        "seconds": seconds,
    }


def target_table(results):
    """A line per preset of a target."""
    body = []
    for name in (name for name in TARGETS if name in results):
        rows = results[name]
        ks = np.array([row["ks"] for row in rows])
        passed, count = int((ks[..., 1] > LEVEL).sum()), ks[..., 1].size
        low, high = wilson(passed, count)
        leaks = np.median([row[LEAKAGE] for row in rows])
        seconds = np.median([row["seconds"] for row in rows])
        within = sum(row["within"] for row in rows)
        body.append((
            f"`{name}`", f"{passed} of {count}", f"{low:.0%} to {high:.0%}", f"{np.median(ks[..., 0]):.4f}",
            f"{ks[..., 0].max():.4f}", f"{leaks:.2%}, perfect {rows[0]['perfect']:.2%}",
            f"{within} of {len(rows)}", f"{seconds:.1f}",
        ))  # fmt: skip
    return table(HEADER, body)


def data_table(results):
    """Accuracies on held-out irises, over all seeds."""
    rows = results["iris"]
    held, body = sum(row["held"] for row in rows), []
    for name in CLASSIFIERS:
        right = sum(row["right"][name] for row in rows)
        body.append((name, f"{right / held:.1%}", f"{right} of {held}"))
    told, of = (sum(row[key] for row in rows) for key in ("told", "n_test"))
    body.append(("*generated or held out?* (½: it cannot be told)", f"{told / of:.1%}", f"{told} of {of}"))
    return table(("classifier", "accuracy, held out", "rows"), body)


def show(record):
    """Both tables, of what was measured."""
    results = record["results"]
    made = [data_table(results)] if "iris" in results else []
    return "\n\n".join([target_table(results), *made])


def main(arguments=None):
    """Print the tables; with --write also bench/results/labels.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", choices=PRESETS, help="measure this one; repeatable")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="change the presets"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="seeds at once, each on one core")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    path, results = RESULTS / "labels.json", {}
    if options.write and path.exists():
        results = json.loads(path.read_text())["results"]
    with ProcessPoolExecutor(options.jobs) as pool:
        for name in options.only or PRESETS:
            seeds = range(options.first, options.first + options.seeds)
            results[name] = list(pool.map(measure, [(name, options.sets, seed) for seed in seeds]))
            if options.write:
                settings = {"count": COUNT, "held": HELD, "first": options.first, "sets": options.sets}
                write("labels", {"settings": settings, "results": results})
    print(show({"results": results}))


if __name__ == "__main__":
    sys.exit(main())
