"""How the verdict judges perfect samplers and slightly wrong ones: the share that passes, at each size.

    python -m bench.verdict                  5000 draws of each perfect sampler, 1000 of each wrong one
    python -m bench.verdict --draws 500      fewer
    python -m bench.verdict --only "82 real values" --write
                                             one line, in its place among the stored ones
    python -m bench.verdict --parts --write  the lines on missing parts alone, in theirs
    python -m bench.verdict --together       those on rows whose every feature is right

A perfect sampler passes in 95 % of cases by definition. The wrong ones are those that the verdict's own
sentence speaks of: a shift, a scale, a part or a mode that is missing; the part where it is hardest to find,
in the middle, and at other places. Others are right in every feature, or nearly, and wrong in how features
hang together: of them it is counted which rows of the verdict are outside. In every draw rows and headline
are compared: one is outside exactly where the headline is red.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache

import numpy as np
from scipy.special import ndtri
from scipy.stats import t as student_t

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


def _judged(x, rows, rng):
    """Judge values against a normal distribution, or against so many of its values."""
    target = Normal(0, 1)
    return judge(x, target, rng) if rows is None else judge_two_sample(x, target.sample(rng, (rows,)), rng)


def _wrong(shift=0.0, scale=1.0, cut=0.0, place=0.0, rows=None):
    """Judge values of a normal distribution that is shifted, scaled, or without a part.

    ``cut`` is the share that is missing, ``place`` the share of the rest that is below it.
    """

    def verdict(n, rng):
        target = Normal(0, 1)
        u = (1 - cut) * rng.random(n)
        x = target.quantile(np.where(u < (1 - cut) * place, u, u + cut)) if cut else target.sample(rng, (n,))
        return _judged(shift + scale * x, rows, rng)

    return verdict


@cache
def _power(n, rows):
    """What the verdict says that it finds in 9 of 10 cases."""
    rng = np.random.default_rng(n)
    return _judged(Normal(0, 1).sample(rng, (n,)), rows, rng).power


def _at_the_limit(kind, place=0.0, rows=None):
    """The deviation that the verdict says it finds in 9 of 10 cases."""

    def verdict(n, rng):
        stated = {"cut" if kind == "missing" else kind: getattr(_power(n, rows), kind)}
        return _wrong(**stated, place=place, rows=rows)(n, rng)

    return verdict


WRONG = {
    "a shift of 0.05 sd": _wrong(shift=0.05),
    "a scale of 1.05": _wrong(scale=1.05),
    "the lowest 2 % missing": _wrong(cut=0.02),
    "a middle mode of 2 % missing": _without("0.5*normal(-2, 0.3) + 0.5*normal(2, 0.3)", SMALL_MODE),
    "the shift it states": _at_the_limit("shift"),
    "the scale it states": _at_the_limit("scale"),
}
PARTS = {
    "the missing part it states, in the middle": _at_the_limit("missing", 0.5),
    "the same with 0.4 of the rest below": _at_the_limit("missing", 0.4),
    "the same at the lower end": _at_the_limit("missing", 0.0),
    "in the middle, beside 82 real values": _at_the_limit("missing", 0.5, ROWS),
    "in the middle, beside 10 000 real values": _at_the_limit("missing", 0.5, 10_000),
}


# ── right in every feature, and wrong together ──────────────────────────────────────────────────────────────


def _correlated(r):
    return MultivariateNormal(np.zeros(FEATURES), (1 - r) * np.eye(FEATURES) + r)


def _shared_tails(n, rng):
    """Five features that are large together: each is normal, divided by what they share, and made normal."""
    t = student_t(5)
    x = rng.normal(size=(n, FEATURES)) / np.sqrt(rng.chisquare(5, (n, 1)) / 5)
    return ndtri(np.clip(t.cdf(x), 1e-15, 1 - 1e-15))


def _three_signs(share):
    """Three normal features, any two independent; in a share of the rows their product is positive."""

    def sample(n, rng):
        x = rng.normal(size=(n, 3))
        x[:, 0] *= np.where((x.prod(axis=1) < 0) & (rng.random(n) < share), -1, 1)
        return x

    return sample


def _squares(blurred):
    """Points in every second square of 4 × 4; in a share of the rows in any square."""

    def sample(n, rng):
        i, j = rng.integers(4, size=(2, n))
        j = np.where(rng.random(n) < blurred, j, 2 * (j // 2) + i % 2)
        return np.stack([i, j], axis=1) + rng.random((n, 2))

    return sample


def _image(noise):
    """64 pixels made of 4 numbers, and noise."""
    maps = np.random.default_rng(0).normal(size=(4, 64))
    return lambda n, rng: np.tanh(rng.normal(size=(n, 4)) @ maps) + noise * rng.normal(size=(n, 64))


def _against(wrong, right):
    return lambda n, rng: judge_two_sample(wrong(n, rng), right(n, rng), rng)


def _rows(distribution):
    return lambda n, rng: distribution.sample(rng, (n,))


TOGETHER = {  # name: (judgement, values)
    "5 features correlated by 0.4 instead of 0.5": (_against(_rows(_correlated(0.4)), _rows(FIVE)), 1000),
    "5 features that are large together": (_against(_shared_tails, _rows(_correlated(0.0))), 1000),
    "3 features, of which no two depend": (_against(_three_signs(0.4), _three_signs(0.0)), 1000),
    "a checkerboard, a fifth of the points in any square": (_against(_squares(0.2), _squares(0.0)), 10_000),
    "images of 64 pixels with twice the noise": (_against(_image(0.2), _image(0.1)), 1000),
}
PART_SIZES = (50, 100, 1000, 10_000, 100_000, 1_000_000)  # of these against the distribution itself
LONG = 10**5  # values, from which on there is a tenth of the draws
ALL = {**PERFECT, **WRONG, **PARTS, **{name: verdict for name, (verdict, _) in TOGETHER.items()}}
KINDS = ("energy distance", "MMD²")  # of rows, whose share is counted; all others are one


def draw(task):
    """(passed, disagreements, …) of a part of the draws of one line at one size, and how many were told by
    the rows of each of ``KINDS``, and by all others.
    """
    from threadpoolctl import threadpool_limits

    name, n, first, count = task
    verdict, passed, disagreed, told_by = ALL[name], 0, 0, np.zeros(len(KINDS) + 1, int)
    with threadpool_limits(1, user_api="blas"):
        for k in range(first, first + count):
            found = verdict(n, np.random.default_rng([n, k]))
            passed += not found.distinguishable
            outside = [row.name for row in found.rows if not row.within]
            disagreed += bool(found.distinguishable) != bool(outside)
            told_by += [*(kind in outside for kind in KINDS), not {*KINDS} >= {*outside}]
    return passed, disagreed, *told_by.tolist()


def merged(results):
    """The stored lines with these in their places."""
    path = RESULTS / "verdict.json"
    stored = json.loads(path.read_text())["results"] if path.exists() else []
    known = {(r["name"], r["n"]): r for r in (*stored, *results)}
    names = list(ALL)
    lines = [r for r in known.values() if r["name"] in names]
    return sorted(lines, key=lambda r: (names.index(r["name"]), r["n"]))


def planned(options):
    """(name, values, draws) of each line that is asked for."""
    perfect = [
        (name, n, options.draws // (5 if name == DEAR else 1)) for name in PERFECT for n in options.sizes
    ]
    wrong = [(name, max(options.sizes), options.wrong) for name in WRONG]
    parts = [
        (name, n, options.wrong // (10 if n >= LONG else 1))
        for name in PARTS
        for n in ((10_000,) if "real" in name else PART_SIZES)
    ]
    together = [(name, n, options.wrong) for name, (_, n) in TOGETHER.items()]
    if options.parts or options.together:
        plan = parts * options.parts + together * options.together
    else:
        plan = [*perfect, *wrong, *parts, *together]
    return [line for line in plan if not options.only or line[0] in options.only]


def measure(pool, name, n, draws):
    """One line: how many of ``draws`` passed."""
    tasks = [(name, n, k, min(PART, draws - k)) for k in range(0, draws, PART)]
    passed, disagreed, *told_by = np.sum(list(pool.map(draw, tasks)), axis=0).tolist()
    by = {"told_by": dict(zip((*KINDS, "others"), told_by, strict=True))} if name in TOGETHER else {}
    return {
        "name": name, "n": n, "draws": draws, "passed": passed, "interval": wilson(passed, draws),
        "disagreed": disagreed, **by,
    }  # fmt: skip


def lines_of(results):
    """The results whose table is that of ``HEADER``."""
    return [r for r in results if r["name"] not in TOGETHER]


def together_table(found):
    """A line for each of ``TOGETHER``: the share that is told, and by which rows."""
    header = ("", "rows", "draws", "told", "95 % interval", "by the energy distance", "by MMD²", "by others")
    body = []
    for r in found["results"]:
        if r["name"] in TOGETHER:
            low, high = (1 - end for end in reversed(r["interval"]))
            told = f"{1 - r['passed'] / r['draws']:.1%}", f"{low:.1%} to {high:.1%}"
            by = (f"{count / r['draws']:.1%}" for count in r["told_by"].values())
            body.append((r["name"], r["n"], r["draws"], *told, *by))
    return table(header, body)


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
    parser.add_argument("--parts", action="store_true", help="only the lines on missing parts")
    parser.add_argument("--together", action="store_true", help="only those that are wrong together")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for line in planned(options):
            results.append(measure(pool, *line))
            print("  ".join(map(str, cells(results[-1]))), file=sys.stderr, flush=True)
            if options.write:
                path = write("verdict", {"results": merged(results)})
    if lines := lines_of(results):
        print(table(HEADER, [cells(line) for line in lines]))
    if len(lines) < len(results):
        print(together_table({"results": results}))
    if options.write:
        print(path, file=sys.stderr)


if __name__ == "__main__":
    main()
