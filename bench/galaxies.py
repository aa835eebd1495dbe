"""How far generated images of galaxies can be told from real ones, over seeds, beside a perfect sampler.

    python -m bench.galaxies            three seeds of `minigan train galaxy-images`

Real are newly rendered galaxies, which no training has seen. A judge that never met the generator is trained
on half of the images and asked about the other half (``minigan.evaluation.classifier_test``); and what
astronomers measure is compared by two-sample Kolmogorov–Smirnov distances: flux, half-light radius,
ellipticity, and the Sérsic index and radius by a fit. A perfect sampler's line is the same for as many real
images against other real ones. Times of training are processor times: those of one undisturbed core.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from bench.common import table, write
from minigan.evaluation.classifier_test import classifier_two_sample_test
from minigan.evaluation.morphology import fit_sersic, measure
from minigan.evaluation.two_sample import ks_two_sample, perfect_ks_band
from minigan.probability.text_form import parse
from minigan.training.experiment import Experiment
from minigan.training.metrics import LAST
from minigan.training.settings import resolve

PRESET = "galaxy-images"
STATISTICS = ("flux", "half-light radius", "ellipticity", "Sérsic index", "Sérsic radius")
HEADER = ("", "accuracy of a classifier", *(f"KS {name}" for name in STATISTICS), "training, s on one core")
FITTED = 0.1  # of the images: a fit takes ten times as long as all other measurements


def statistics(images):
    """{name: values} of what is measured on images, those of a fit on the first tenth."""
    seen, fit = measure(images), fit_sersic(images[: max(2, int(FITTED * len(images)))], tolerance=1e-4)
    values = (seen.flux, seen.radius, seen.ellipticity, fit.light.index, fit.light.radius)
    return dict(zip(STATISTICS, values, strict=True))


def compared(images, real, measured, rng):
    """Accuracy of the judge, and KS of each statistic, of images against real ones and their statistics."""
    judged = classifier_two_sample_test(real, images, rng)
    own = statistics(images)
    ks = {name: ks_two_sample(own[name], measured[name]).statistic for name in STATISTICS}
    return {"accuracy": judged.accuracy, "bound": judged.bound, "n_test": judged.n_test, "ks": ks}


def line(task):
    """Train one seed and compare ``count`` of its images."""
    from threadpoolctl import threadpool_limits

    seed, sets, count, real, measured = task
    config = resolve(PRESET, environ={}, sets=(*sets, f"seed={seed}"))
    with threadpool_limits(1, user_api="blas"):
        experiment = Experiment(config)
        started, used = time.perf_counter(), time.process_time()
        experiment.advance(config.steps)
        seconds = {"wall": time.perf_counter() - started, "cpu": time.process_time() - used}
        rng = np.random.default_rng([seed, 1])
        result = compared(experiment.sample(count, index=LAST), real, measured, rng)
    return {"name": f"seed {seed}", "seconds": seconds, **result}


def cells(r):
    """The cells of one line of the table."""
    seconds = r["seconds"]
    return (
        r["name"],
        f"{r['accuracy']:.3f}",
        *(f"{r['ks'][name]:.3f}" for name in STATISTICS),
        "" if seconds is None else f"{seconds['cpu']:.0f}",
    )


def main(arguments=None):
    """Print the table; with --write also bench/results/galaxies.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--count", type=int, default=20_000, help="images of each kind; half of them train the judge"
    )
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="change the preset"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="seeds at once, each on one core")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    config = resolve(PRESET, environ={}, sets=options.sets)
    distribution, rng = parse(config.target), np.random.default_rng(0)
    real = distribution.fresh(rng, options.count)
    measured, results = statistics(real), []
    seeds = range(options.first, options.first + options.seeds)
    with ProcessPoolExecutor(options.jobs) as pool:
        tasks = [(seed, options.sets, options.count, real, measured) for seed in seeds]
        for result in pool.map(line, tasks):
            results.append(result)
            print("  ".join(map(str, cells(result))), file=sys.stderr, flush=True)
    perfect = compared(distribution.fresh(rng, options.count), real, measured, rng)
    results.append({"name": "a perfect sampler", "seconds": None, **perfect})
    print(table(HEADER, [cells(result) for result in results]))
    fitted = len(measured["Sérsic index"])
    bands = [perfect_ks_band(n, n)[1] for n in (options.count, fitted)]
    print(f"95 % of perfect samplers: accuracy below {perfect['bound']:.3f}, "
          f"KS below {bands[0]:.3f}, of the fitted ones below {bands[1]:.3f}")  # fmt: skip
    if options.write:
        settings = {"preset": PRESET, "sets": options.sets, "count": options.count, "fitted": fitted,
                    "jobs": options.jobs, "steps": config.steps, "target": config.target}  # fmt: skip
        print(write("galaxies", {"settings": settings, "results": results}), file=sys.stderr)


if __name__ == "__main__":
    main()
