"""How the verdict judges perfect samplers and slightly wrong ones: the share that passes, at each size.

    python -m bench.verdict                  5000 draws of each perfect sampler, 1000 of each wrong one
    python -m bench.verdict --draws 500      fewer
    python -m bench.verdict --only "82 real values" --write
                                             one line, in its place among the stored ones

A perfect sampler passes in 95 % of cases by definition. The wrong ones are those that the verdict's own
sentence speaks of: a shift, a scale, a part or a mode that is missing. In every draw rows and headline are
compared: one is outside exactly where the headline is red.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from bench.common import RESULTS, table, wilson, write
from minigan.evaluation.verdict import judge, judge_two_sample
from minigan.probability import MultivariateNormal, Normal
from minigan.probability.text_form import parse

SIZES = (100, 1000, 10_000)
MIXTURE = "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)"
ROWS = 82  # of the galaxies, the smallest data set here
FEATURES = 5
CORRELATION = 0.5 * np.eye(FEATURES) + 0.5
FIVE = MultivariateNormal(np.zeros(FEATURES), CORRELATION)
SMALL_MODE = "0.49*normal(-2, 0.3) + 0.49*normal(2, 0.3) + 0.02*normal(0, 0.2)"
DEAR = "5 features, as many real rows"  # a fifth of the draws: each has splits of its own
PART = 250  # draws of a task


def _known(target):
    return lambda n, rng: judge(target.sample(rng, (n,)), target, rng)


def _thrown(n, rng):
    """Judge throws of a die, of which a sixth tie, against ``ROWS`` of them."""
    sample, real = (rng.integers(1, 7, count).astype(float) for count in (n, ROWS))
    return judge_two_sample(sample, real, rng)


def _data(target, rows):
    return lambda n, rng: judge_two_sample(target.sample(rng, (n,)), target.sample(rng, (rows or n,)), rng)


PERFECT = {
    "normal(4, 1.25)": _known(Normal(4, 1.25)),
    "laplace(0, 1)": _known(parse("laplace(0, 1)")),
    "student(3)": _known(parse("student(3)")),
    "a mixture of two": _known(parse(MIXTURE)),
    "ring(8, 1, 0.01)": _known(parse("ring(8, 1, 0.01)")),
    "5 features": _known(FIVE),
    DEAR: _data(FIVE, None),
    "82 real values": _data(Normal(0, 1), ROWS),
    "20 real values": _data(Normal(0, 1), 20),
    "82 throws of a die": _thrown,
}


def _without(weights, target):
    """Judge the target's mixture without one mode, whose share the others take."""
    full, lacking = parse(target), parse(weights)
    return lambda n, rng: judge(lacking.sample(rng, (n,)), full, rng)


def _wrong(shift=0.0, scale=1.0, cut=0.0):
    """Judge values of a normal distribution that is shifted, scaled, or without its lowest part."""

    def verdict(n, rng):
        target = Normal(0, 1)
        x = target.quantile(cut + (1 - cut) * rng.random(n)) if cut else target.sample(rng, (n,))
        return judge(shift + scale * x, target, rng)

    return verdict


def _at_the_limit(kind):
    """The deviation that the verdict says it finds in 9 of 10 cases."""

    def verdict(n, rng):
        power = judge(Normal(0, 1).sample(rng, (n,)), Normal(0, 1), rng).power
        return _wrong(**{"cut" if kind == "missing" else kind: getattr(power, kind)})(n, rng)

    return verdict


WRONG = {
    "a shift of 0.05 sd": _wrong(shift=0.05),
    "a scale of 1.05": _wrong(scale=1.05),
    "the lowest 2 % missing": _wrong(cut=0.02),
    "a middle mode of 2 % missing": _without("0.5*normal(-2, 0.3) + 0.5*normal(2, 0.3)", SMALL_MODE),
    "the shift it states": _at_the_limit("shift"),
    "the scale it states": _at_the_limit("scale"),
    "the missing part it states": _at_the_limit("missing"),
}


def draw(task):
    """(passed, disagreements) of a part of the draws of one line at one size."""
    from threadpoolctl import threadpool_limits

    name, n, first, count = task
    verdict, passed, disagreed = {**PERFECT, **WRONG}[name], 0, 0
    with threadpool_limits(1, user_api="blas"):
        for k in range(first, first + count):
            found = verdict(n, np.random.default_rng([n, k]))
            passed += not found.distinguishable
            disagreed += found.distinguishable != any(not row.within for row in found.rows)
    return passed, disagreed


def merged(results):
    """The stored lines with these in their places."""
    path = RESULTS / "verdict.json"
    stored = json.loads(path.read_text())["results"] if path.exists() else []
    known = {(r["name"], r["n"]): r for r in (*stored, *results)}
    names = [*PERFECT, *WRONG]
    lines = [r for r in known.values() if r["name"] in names]
    return sorted(lines, key=lambda r: (names.index(r["name"]), r["n"]))


def measure(pool, name, n, draws):
    """One line: how many of ``draws`` passed."""
    tasks = [(name, n, k, min(PART, draws - k)) for k in range(0, draws, PART)]
    passed, disagreed = np.sum(list(pool.map(draw, tasks)), axis=0).tolist()
    return {
        "name": name, "n": n, "draws": draws, "passed": passed, "interval": wilson(passed, draws),
        "disagreed": disagreed,
    }  # fmt: skip


HEADER = ("", "values", "draws", "passes", "95 % interval", "headline against rows")


def cells(r):
    """The cells of one line."""
    low, high = r["interval"]
    return (
        r["name"], r["n"], r["draws"], f"{r['passed'] / r['draws']:.1%}", f"{low:.1%} to {high:.1%}",
        r["disagreed"],
    )  # fmt: skip


def main(arguments=None):
    """Print the table; with --write also bench/results/verdict.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=5000, help="of each perfect sampler")
    parser.add_argument("--wrong", type=int, default=1000, help="of each wrong one")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--only", action="append", help="this line; repeatable")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    plan = [(name, n, options.draws // (5 if name == DEAR else 1)) for name in PERFECT for n in options.sizes]
    plan += [(name, max(options.sizes), options.wrong) for name in WRONG]
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for name, n, draws in plan:
            if not options.only or name in options.only:
                results.append(measure(pool, name, n, draws))
                print("  ".join(map(str, cells(results[-1]))), file=sys.stderr, flush=True)
                if options.write:
                    path = write("verdict", {"results": merged(results)})
    print(table(HEADER, [cells(result) for result in results]))
    if options.write:
        print(path, file=sys.stderr)


if __name__ == "__main__":
    main()
