"""Every preset over 20 seeds: whether it shows what it promises, how long a run takes, what else comes of it.

    python -m bench.presets                        all of them, the quickest first
    python -m bench.presets --only hinge --write   one, in its place among the stored ones
    python -m bench.presets --missing --write      those that are not stored with all their seeds

What is measured are the quantities of the verdict at the end of the run, and for the Dirac-GANs what is left
of the circle, beside what theory says of the same start ("best"). Seeds train together on the replica axis,
each bitwise as `minigan train NAME --seed S`; seconds are those of one run of that command, on one processor.
With --write each preset is stored as soon as it is measured.

The promise of a preset is its line here: what it shows, and in how many of 20 seeds. Measured elsewhere, with
other bits, it is kept where the share is not below the interval's lower end; else the exit code is 1.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from bench.common import RESULTS, table, wilson, write
from minigan.errors import DivergedError
from minigan.gan.theory.dirac import dirac
from minigan.storage.directory import RunDirectory
from minigan.training.config import to_json
from minigan.training.data import read_configured
from minigan.training.experiment import Ensemble, Experiment
from minigan.training.metrics import verdict
from minigan.training.presets import PRESETS
from minigan.training.promises import RADIUS, SEEDS, circle_left, describe_conditions, found_in
from minigan.training.settings import resolve
from minigan.training.trainer import train

GROUP = 5  # seeds trained together
ALONE = 50  # features: with so many a group gains nothing
HEADER = ("preset", "s", "sets out to show", "in", "95 % interval", "median", "best", "verdict passes")


def measure(task):
    """(seed, headline, quantities) of each seed of a group; nothing of one that diverged."""
    from threadpoolctl import threadpool_limits

    name, sets, seeds = task
    config = resolve(name, environ={}, sets=sets)
    ensemble = Ensemble.of_seeds(config, seeds, data=read_configured(config))
    circles = name.startswith("dirac-")
    starts = [_point(experiment) for experiment in ensemble.experiments] if circles else []
    steps, means = [0], [[θ for _, θ in starts]]
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        while circles and ensemble.step < config.steps:
            ensemble.advance(min(ensemble.step + config.eval_every, config.steps) - ensemble.step)
            steps.append(ensemble.step)
            means.append([_point(experiment)[1] for experiment in ensemble.experiments])
        ensemble.advance(config.steps - ensemble.step)
        rows = [_judged(experiment) for experiment in ensemble.experiments]
    for k, start in enumerate(starts):
        rows[k]["values"][RADIUS] = circle_left(steps, [row[k] for row in means])
        rows[k]["theory"] = circle_left(range(config.steps + 1), theory(config, start))
    return rows


def _judged(experiment):
    seed = experiment.config.seed
    try:
        judged, _ = verdict(experiment, experiment.config.eval_samples)
    except DivergedError:
        return {"seed": seed, "headline": "diverged", "values": {}}
    return {"seed": seed, "headline": judged.headline, "values": found_in(judged)}


def _point(experiment):
    """(ψ, θ) of a Dirac-GAN: the slope of D, and the point that G makes."""
    ψ = experiment.discriminator.parameters.arrays()["0.W"].item()
    return ψ, experiment.generate(np.ones((1, 1)), averaged=False).item()


def theory(config, start):
    """θ at each step of the Dirac-GAN that a preset plays, by ``minigan.gan.theory.dirac``.

    D's bias, which stays near 0, is left out; G's two parameters move the point together, as one of twice the
    rate. Instance noise fades, so that each step has a game of its own.
    """
    rate, path = config.discriminator_optimizer.rate, [np.array(start)]
    same = math.isclose(rate, 2 * config.generator_optimizer.rate)
    if not same:
        raise ValueError("the point has the rate of D where that is twice the rate of G")
    games = {}
    for t in range(config.steps):
        fading = config.instance_noise * (1 - t / config.steps)
        noise = round(math.hypot(config.observation_noise, fading), 2)
        if noise not in games:
            games[noise] = dirac(
                config.objective, r1=config.r1, r2=config.r2, consensus=config.consensus, noise=noise
            )
        path.append(games[noise].step(path[-1], rate, config.order))
    return [θ for _, θ in path]


def seconds_of(name, sets=()):
    """Seconds of processor time of one run, as `minigan train NAME` makes it, in a directory thrown away."""
    from threadpoolctl import threadpool_limits

    config = resolve(name, environ={}, sets=sets)
    data, started = read_configured(config), time.process_time()
    with tempfile.TemporaryDirectory() as place, threadpool_limits(1, user_api="blas"):
        try:
            with RunDirectory.create(place, name, to_json(config)) as directory:
                train(Experiment(config, data=data), directory)
        except DivergedError:
            pass
    return round(time.process_time() - started, 1)


def features(name):
    """How many features the rows of a preset have, at most: those of a data file are few."""
    from minigan.probability.text_form import parse

    config = resolve(name, environ={})
    return 1 if config.data else parse(config.target).features


def held(name, rows):
    """In how many of the rows all conditions of the preset hold."""
    return sum(all(c.holds(row["values"]) for c in PRESETS[name].shows) for row in rows)


def kept(result):
    """Whether as many seeds show what the preset promises as its own interval allows."""
    promised = PRESETS[result["name"]].held
    least = 0.0 if promised is None else wilson(promised, SEEDS)[0]
    return held(result["name"], result["rows"]) >= least * len(result["rows"])


def cells(result):
    """The cells of one preset."""
    rows, name = result["rows"], result["name"]
    shows, count = PRESETS[name].shows, held(name, rows)
    low, high = wilson(count, len(rows))
    medians = [np.nanmedian([row["values"].get(c.quantity, math.nan) for row in rows]) for c in shows]
    best = [c.best for c in shows if c.best is not None]
    if "theory" in rows[0]:
        best = [np.median([row["theory"] for row in rows])]
    passed = sum(row["headline"] == "cannot be told apart" for row in rows)
    return (
        f"`{name}`", f"{result['seconds']:.0f}", describe_conditions(shows), f"{count} of {len(rows)}",
        f"{low:.0%} to {high:.0%}", _numbers(medians), _numbers(best), f"{passed} of {len(rows)}",
    )  # fmt: skip


def _numbers(values):
    return ", ".join(f"{value:.3g}" if value >= 0.0005 else "0" for value in values)


def merged(results):
    """The stored presets with these in their places."""
    known = {**stored(), **{result["name"]: result for result in results}}
    return [known[name] for name in PRESETS if name in known]


def stored():
    """{name: result} of the presets in the file."""
    path = RESULTS / "presets.json"
    results = json.loads(path.read_text())["results"] if path.exists() else []
    return {result["name"]: result for result in results if "rows" in result}


def main(arguments=None):
    """Print the table; with --write also bench/results/presets.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", choices=PRESETS, help="measure this one; repeatable")
    parser.add_argument("--missing", action="store_true", help="leave out those that are stored")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="change the presets"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    names = sorted(options.only or PRESETS, key=lambda name: PRESETS[name].seconds)
    if options.missing:
        known = stored()
        names = [name for name in names if len(known.get(name, {"rows": ()})["rows"]) < options.seeds]
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for name in names:
            size, seeds = 1 if features(name) > ALONE else GROUP, range(options.seeds)
            groups = [list(seeds[k : k + size]) for k in range(0, len(seeds), size)]
            time_ = pool.submit(seconds_of, name, options.sets)
            rows = [
                row for group in pool.map(measure, [(name, options.sets, g) for g in groups]) for row in group
            ]
            results.append({"name": name, "seconds": time_.result(), "sets": options.sets, "rows": rows})
            print("  ".join(map(str, cells(results[-1]))), file=sys.stderr, flush=True)
            if options.write:
                path = write("presets", {"group": GROUP, "results": merged(results)})
    print(table(HEADER, [cells(result) for result in results]))
    if results and options.write:
        print(path, file=sys.stderr)
    broken = [result["name"] for result in results if not kept(result)]
    if broken:
        print(f"promises not kept: {', '.join(broken)}", file=sys.stderr)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
