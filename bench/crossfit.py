"""How data of few rows are judged: rows that were learned, a part held out, or all of them by cross-fitting.

    python -m bench.crossfit                    both tables
    python -m bench.crossfit --data FILE.csv    your own data of one feature, in place of the galaxies

Cross-fitting: the rows are parted in k folds, and k runs learn all folds but one each. A row of the fold left
out is then taken to its normal score under the run that has not seen it, z = Φ⁻¹(rank among that run's 10 000
generated values), and all n scores together are judged against N(0, 1), in one judgement at the 5 % level.
Of perfect samplers the scores are independent and normal, so 95 % of these pass.

The first table is of samplers whose faults are known, without any training: what share each way of judging
tells from n rows of N(0, 1). The second one trains the preset ``galaxies``, all folds of a seed as one
program, and beside them a run on all rows, judged by these as `minigan train` does.
"""

import argparse
import dataclasses
import sys
import time

import numpy as np
from scipy.special import ndtri

from bench.common import table, write
from minigan.errors import MiniganError
from minigan.evaluation.verdict import judge, judge_two_sample
from minigan.probability.distributions import Normal
from minigan.training.config import replace
from minigan.training.data import read_configured
from minigan.training.experiment import Ensemble, Experiment
from minigan.training.metrics import LAST
from minigan.training.settings import resolve

FOLDS, HOLDOUT, GENERATED = 5, 0.2, 10_000
ROWS = (82, 300)
WAYS = ("learned", "held_out", "crossfit")


def fitted(rows, rng, count):
    """The best of its kind: a normal distribution with mean and sd of the rows."""
    return rng.normal(rows.mean(), rows.std(ddof=1), count)


SAMPLERS = {  # what it makes of the rows that it learned
    "a perfect sampler": lambda rows, rng, count: rng.normal(0, 1, count),
    "mean and sd of its rows": fitted,
    "repeats its rows": lambda rows, rng, count: rng.choice(rows, count),
    "a quarter of an sd to the side": lambda rows, rng, count: fitted(rows, rng, count) + 0.25,
    "1.4 times as wide": lambda rows, rng, count: (
        rows.mean() + 1.4 * (fitted(rows, rng, count) - rows.mean())
    ),
}


def folds_of(rng, n, folds):
    """The fold of each row.    Shapes:  → (n,)"""
    return rng.permutation(n) % folds


def scores(rows, generated, rng):
    """Normal scores of rows under what generated values are drawn from; ties are parted at random.

    Shapes:  (n,), (N,) → (n,)
    """
    ordered = np.sort(generated)
    low, high = (np.searchsorted(ordered, rows, side) for side in ("left", "right"))
    rank = low + (high - low + 1) * rng.random(len(rows))
    return ndtri(rank / (len(ordered) + 1))


def crossfitted(rows, generated, fold, rng):
    """The verdict on all rows, each beside the values of the run that has not seen it.

    Shapes:  rows (n,), generated (k, N), fold (n,)
    """
    z = np.empty(len(rows))
    for k, values in enumerate(generated):
        z[fold == k] = scores(rows[fold == k], values, rng)
    return judge(z, Normal(0.0, 1.0), rng)


def told(sampler, n, draws):
    """{way: [shares told, and too few to tell]} of a sampler that learned n rows of N(0, 1)."""
    found = {way: [] for way in WAYS}
    for draw in range(draws):
        rng = np.random.default_rng([n, draw])
        rows, held = rng.normal(0, 1, n), int(HOLDOUT * n)
        learned = sampler(rows, rng, GENERATED), sampler(rows[held:], rng, GENERATED)
        found["learned"].append(judge_two_sample(learned[0], rows, rng, 1))
        found["held_out"].append(judge_two_sample(learned[1], rows[:held], rng, 1))
        fold = folds_of(rng, n, FOLDS)
        made = [sampler(rows[fold != k], rng, GENERATED) for k in range(FOLDS)]
        found["crossfit"].append(crossfitted(rows, made, fold, rng))
    shares = {}
    for way, verdicts in found.items():
        each = [verdict.indistinguishable for verdict in verdicts]
        shares[way] = [each.count(False) / draws, each.count(None) / draws]
    return shares


SMALL_HEADER = ("sampler", "rows", "told by learned rows", "by a held-out fifth", "by cross-fitting")


def small_cells(row):
    """The cells of one sampler at one size."""
    few = " (too few)"
    ways = (f"{row[way][0]:.1%}{few if row[way][1] > 0 else ''}" for way in WAYS)
    return row["sampler"], row["rows"], *ways


def crossfit(config, seeds, folds=FOLDS):
    """A line per seed: a run on all rows, judged by them, and one without each fold, all trained together."""
    data, lines = read_configured(config), []
    rows = data.values[:, 0]
    for seed in seeds:
        started, rng = time.process_time(), np.random.default_rng([seed, 0])
        fold, own = folds_of(rng, len(rows), folds), replace(config, seed=seed, holdout=0.0)
        kept = [np.ones(len(rows), bool), *(fold != k for k in range(folds))]
        together = Ensemble(
            [Experiment(own, data=dataclasses.replace(data, values=rows[k, None])) for k in kept]
        )
        together.advance(own.steps)
        whole, *made = (e.sample(own.eval_samples, index=LAST)[:, 0] for e in together.experiments)
        verdicts = judge_two_sample(whole, rows, rng, 1), crossfitted(rows, made, fold, rng)
        lines.append(
            {
                "seed": seed,
                "rows": len(rows),
                "folds": folds,
                "headlines": [verdict.headline for verdict in verdicts],
                "pvalues": [verdict.pvalue for verdict in verdicts],
                "measures": {row.name: [row.value, row.bound] for row in verdicts[1].rows if row.judges},
                "cpu_seconds": time.process_time() - started,
            }
        )
        print("  ".join(map(str, cells(lines[-1]))), file=sys.stderr, flush=True)
    return lines


HEADER = (
    "seed", "rows", "by the rows it learned", "p-value", "cross-fitted", "p-value", "KS of the scores",
    "their mean", "their sd",
)  # fmt: skip


def cells(row):
    """The cells of one seed: the two verdicts, and the scores that the second one judged."""
    both = zip(row["headlines"], row["pvalues"], strict=True)
    measures = (f"{row['measures'][name][0]:.3f}" for name in ("KS", "mean", "sd"))
    return row["seed"], row["rows"], *(cell for head, p in both for cell in (head, f"{p:.3f}")), *measures


def show(record):
    """Both tables of a record."""
    small = table(SMALL_HEADER, [small_cells(row) for row in record["samplers"]])
    return f"{small}\n\n{table(HEADER, [cells(row) for row in record['results']])}"


def main(arguments=None):
    """Print the tables; with --write also bench/results/crossfit.json."""
    from threadpoolctl import threadpool_limits

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", metavar="FILE", help="data of one feature instead of the preset galaxies")
    parser.add_argument("--draws", type=int, default=150, help="of each sampler whose faults are known")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="change the runs"
    )
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    source = (f"data={options.data}",) if options.data else ()
    try:
        config = resolve(None if source else "galaxies", environ={}, sets=(*source, *options.sets))
        n, p = read_configured(config).values.shape
    except MiniganError as error:
        parser.error(str(error))
    if p > 1:
        parser.error(f"scores are of one feature, and the data have {p}; choose one with --set columns=NAME")
    if not 2 <= options.folds <= n // 2:
        parser.error(f"{n} rows make from 2 to {n // 2} folds of two rows or more; received {options.folds}")
    record = {
        "settings": {name: getattr(options, name) for name in ("draws", "folds", "sets")},
        "samplers": [],
    }
    with threadpool_limits(1, user_api="blas"):
        for n in ROWS if options.draws else ():
            for name, sampler in SAMPLERS.items():
                row = {"sampler": name, "rows": n, **told(sampler, n, options.draws)}
                record["samplers"].append(row)
                print("  ".join(map(str, small_cells(row))), file=sys.stderr, flush=True)
        record["results"] = crossfit(config, range(options.seeds), options.folds)
    print(show(record))
    if options.write:
        print(write("crossfit", record), file=sys.stderr)


if __name__ == "__main__":
    main()
