"""Whether what a verdict advises helps: runs that are told from their target, before and after.

    python -m bench.advice               every line of the table, on targets and seeds that fail without it

A case trains seeds as its settings say, keeps those that the verdict tells and whose advice is this one, and
follows it: with its settings on the same seed, or, of equal values, with noise on the data and what is drawn
rounded. "Told before" counts those seeds, "pass after" the
verdicts that no longer tell. Seeds train together, each with the bits of a run alone.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from bench import common
from bench.common import table, write
from minigan.evaluation.verdict import judge_two_sample
from minigan.training.advice import ADVICE
from minigan.training.data import Data
from minigan.training.experiment import Ensemble, Experiment
from minigan.training.methods import are_even
from minigan.training.metrics import LAST, verdict
from minigan.training.settings import resolve, resolve_with_sources, with_method

FIRST, GROUP = 1000, 4
APART = "0.2*normal(-5, 0.3) + 0.5*normal(0, 0.3) + 0.3*normal(5, 0.3)"
PLAIN = ("method=plain",)
CASES = (  # (line of ADVICE, target, settings, seeds)
    ("shaped", "0.5*normal(-3, 1) + 0.5*normal(3, 1)", PLAIN, 4),
    ("shaped", "0.5*uniform(0, 1) + 0.5*uniform(2, 3)", PLAIN, 4),
    ("shaped", "uniform(0, 1)", PLAIN, 4),
    ("shaped", "exponential(1)", PLAIN, 4),
    ("shaped", "student(3)", PLAIN, 4),
    ("shaped", "0.9*normal(0, 1) + 0.1*normal(6, 0.5)", PLAIN, 4),
    ("shaped", "pareto(3)", PLAIN, 4),
    ("shaped", "moons(0.1)", PLAIN, 2),
    ("seed", APART, (), 100),
    ("ties", "whole numbers, round(normal(0, 3))", (), 4),
)
HEADER = ("misses", "target", "settings", "advice", "told before", "of", "pass after", "of ")


def run(sets, seeds):
    """Trained experiments."""
    config = resolve(environ={}, sets=sets)
    ensemble = Ensemble.of_seeds(config, seeds)
    ensemble.advance(config.steps)
    return ensemble.experiments


def followed(case):
    """(told before, [names of shortfalls], passes after, judgements after) of a group of seeds of a case."""
    from threadpoolctl import threadpool_limits

    name, target, sets, seeds, others = case
    with threadpool_limits(1), np.errstate(all="ignore"):
        if name == "ties":
            return _ties(sets + others, seeds)
        told, names, passes, judged = 0, [], 0, 0
        for experiment in run((f"target={target}", *others, *sets), seeds):
            config, count = experiment.config, experiment.config.eval_samples
            found = verdict(experiment, count)[0]
            missed, advice = found.shortfall, ADVICE[name]
            if missed is None or not (
                missed.name in advice.against and advice.applies(config, experiment.features, found)
            ):
                continue
            told += 1
            names.append(missed.name)
            changed = [s for s in (*others, *sets) if s.partition("=")[0] != "method"]
            again = (f"target={target}", *changed, f"seed={config.seed}", *advice.sets(config))
            alone = Experiment(resolve(environ={}, sets=again))
            alone.advance(alone.config.steps)
            judged += 1
            passes += not verdict(alone, count)[0].distinguishable
    return told, names, passes, judged


def _ties(sets, seeds):
    told, names, passes, judged = 0, [], 0, 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        whole = np.round(rng.normal(0, 3, (4000, 1)))
        plain = _of_rows(whole, seed, sets)
        found = verdict(plain, plain.config.eval_samples)[0]
        if found.shortfall is None or found.shortfall.name != "ties":
            continue
        told += 1
        names.append("ties")
        noisy = _of_rows(whole + rng.uniform(-0.5, 0.5, whole.shape), seed, sets)
        drawn = np.round(noisy.sample(noisy.config.eval_samples, LAST))[:, 0]
        after = judge_two_sample(drawn, np.round(noisy.held_out)[:, 0], rng)
        judged += 1
        passes += not after.distinguishable
    return told, names, passes, judged


def _of_rows(rows, seed, sets):
    config, origins = resolve_with_sources(environ={}, sets=("data=rows.csv", *sets, f"seed={seed}"))
    config, _ = with_method(config, origins, 1, are_even(rows))
    experiment = Experiment(config, data=Data(rows, ("x",), (), "rows.csv"))
    experiment.advance(experiment.config.steps)
    return experiment


def summary(case, found):
    """One line of the table, of the groups of a case."""
    name, target, sets, seeds = case
    told, names, passes, judged = (sum(parts, type(parts[0])()) for parts in zip(*found, strict=True))
    return {
        "advice": name, "target": target, "sets": list(sets), "seeds": seeds, "misses": sorted(set(names)),
        "told": told, "passes": passes, "judged": judged,
    }  # fmt: skip


def cells(r):
    """The cells of one summary."""
    settings = " ".join(r["sets"]) or "the default"
    counts = r["told"], r["seeds"], r["passes"], r["judged"]
    return ", ".join(r["misses"]), r["target"], settings, r["advice"], *counts


def merged(results):
    """The stored results with these in their places, which are those of CASES."""
    path = common.RESULTS / "advice.json"
    stored = json.loads(path.read_text())["results"] if path.exists() else []
    known = {(r["advice"], r["target"]): r for r in (*stored, *results)}
    return [known[name, target] for name, target, *_ in CASES if (name, target) in known]


def main(arguments=None):
    """Print the table; with --write also bench/results/advice.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, help="of each case")
    parser.add_argument("--only", action="append", help="cases of this line or target; repeatable")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="change all of the runs"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for name, target, sets, usual in CASES:
            if options.only and not {name, target} & set(options.only):
                continue
            count = options.seeds or usual
            seeds = list(range(FIRST, FIRST + count))
            groups = [seeds[k : k + GROUP] for k in range(0, count, GROUP)]
            tasks = [(name, target, sets, group, tuple(options.sets)) for group in groups]
            results.append(summary((name, target, sets, count), list(pool.map(followed, tasks))))
            print("  ".join(map(str, cells(results[-1]))), file=sys.stderr, flush=True)
    print(table(HEADER, [cells(result) for result in results]))
    if options.write:
        results = merged(results)
        print(write("advice", {"settings": {"sets": options.sets}, "results": results}), file=sys.stderr)


if __name__ == "__main__":
    main()
