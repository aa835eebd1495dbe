"""Which GANs come to rest: the Dirac-GAN beside its closed forms, and two Gaussians against two intervals.

    python -m bench.dynamics

The first table takes each method's game from the engine, its exact Jacobian at rest by second-order
differentiation, and sets the eigenvalues beside the closed form, then the spectral radius of one step of each
order, and what is left of the distance of (1, 1) after STEPS of them. The second plays the game of Li et al.
2018 from random starts, by gradient steps and against the best discriminator of all.
"""

import argparse
import sys

import numpy as np

from bench.common import table, wilson, write
from minigan.gan.theory import two_gaussians
from minigan.gan.theory.dirac import DIRAC
from minigan.gan.theory.dynamics import ORDERS, eigenvalues

DYNAMICS = {  # of the two Gaussians: what G moves against
    "1 gradient step of D, simultaneous": {},
    "1 gradient step of D, alternating": {"order": "alternating"},
    "5 gradient steps of D": {"order": "alternating", "discriminator_steps": 5},
    "25 gradient steps of D": {"order": "alternating", "discriminator_steps": 25},
    "1 step of D, G looks 5 ahead": {"lookahead": 5},
    "the optimal D": None,
}
STEPS = 500  # of the Dirac-GAN, alternating
LAST = 10  # a start succeeds if both means are found throughout the last tenth of the steps


def complex_text(values):
    """Eigenvalues as text: conjugates as a ± b i."""
    a, b = values
    if abs(a.imag) < 5e-10:
        return ", ".join(f"{value.real + 0.0:.4f}" for value in values)
    real = f"{a.real:.4f} " if abs(a.real) >= 5e-10 else ""
    return f"{real}± {abs(b.imag):.4f} i"


def dirac_rows(rate):
    """One dictionary per method of the Dirac-GAN."""
    rows = []
    for name, row in DIRAC.items():
        game = row.game(row.γ)
        steps = {order: game.stability([0.0, 0.0], rate, order) for order in ORDERS}
        smooth = row.eigenvalues is not None
        received = steps["simultaneous"].eigenvalues
        expected = eigenvalues(np.diag(row.eigenvalues(row.γ))) if smooth else None
        path = np.linalg.norm(game.trajectory([1.0, 1.0], rate, STEPS, "alternating"), axis=-1)
        rows.append({
            "name": name, "parameter": row.γ, "formula": row.formula, "source": row.source,
            "engine": _pairs(received) if smooth else None,
            "closed_form": _pairs(expected) if smooth else None,
            "error": float(np.abs(received - expected).max()) if smooth else None,
            "flow": steps["simultaneous"].flow, "theory": row.flow,
            "radius": {order: stability.radius if smooth else None for order, stability in steps.items()},
            "step": {order: stability.step for order, stability in steps.items()},
            "left": float(path[-1] / path[0]),
        })  # fmt: skip
    return rows


def _pairs(values):
    return [[float(value.real), float(value.imag)] for value in values]


def dirac_table(rows):
    """The rows as Markdown."""
    header = ("Dirac-GAN", "γ", "λ, engine", "λ, closed form", "error", "gradient flow",
              *(f"{order} step" for order in ORDERS), "left")  # fmt: skip

    def λ(pairs):
        return "none" if pairs is None else complex_text([complex(*pair) for pair in pairs])

    def step(r, order):
        return "none" if r["radius"][order] is None else f"{r['radius'][order]:.5f}, {r['step'][order]}"

    return table(header, [
        (r["name"], r["parameter"] or "", λ(r["engine"]), λ(r["closed_form"]),
         "" if r["error"] is None else f"{r['error']:.0e}", r["flow"], *(step(r, order) for order in ORDERS),
         f"{r['left']:.2g}")
        for r in rows
    ])  # fmt: skip


def interval_rows(starts, rate, steps, tolerance, seed):
    """One dictionary per kind of dynamics of the two Gaussians."""
    means, edges = two_gaussians.random_starts(np.random.default_rng(seed), starts)
    rows = []
    for name, options in DYNAMICS.items():
        every = max(1, steps // 200)
        if options is None:
            path = two_gaussians.optimal(means, rate, steps, every=every)
        else:
            path = two_gaussians.first_order(means, edges, rate, steps, every=every, **options)
        last = path.means[-max(1, len(path.means) // LAST) :]
        found = two_gaussians.error(last).max(axis=0) < tolerance
        lost = two_gaussians.collapsed(path.edges[-1]) & ~found
        successes, collapses = int(found.sum()), int(lost.sum())
        tv = two_gaussians.total_variation(path.means[-1])
        rows.append({
            "name": name, "starts": starts, "found": successes, "interval": wilson(successes, starts),
            "collapsed": collapses, "collapsed_interval": wilson(collapses, starts),
            "tv_median": float(np.median(tv)), "tv_worst": float(tv.max()),
        })  # fmt: skip
        print(f"{name}: {successes} of {starts}", file=sys.stderr, flush=True)
    return rows


def interval_table(rows):
    """The rows as Markdown."""
    header = (
        "two Gaussians, two intervals", "starts", "both means found", "95 % interval",
        "D collapsed", "95 % interval", "median TV at the end", "worst",
    )  # fmt: skip

    def share(count, interval, starts):
        return f"{count / starts:.0%}", f"{interval[0]:.0%} to {interval[1]:.0%}"

    return table(header, [
        (r["name"], r["starts"], *share(r["found"], r["interval"], r["starts"]),
         *share(r["collapsed"], r["collapsed_interval"], r["starts"]),
         f"{r['tv_median']:.4f}", f"{r['tv_worst']:.4f}")
        for r in rows
    ])  # fmt: skip


def main(arguments=None):
    """Print both tables; with --write also bench/results/dynamics.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--starts", type=int, default=500)
    parser.add_argument("--steps", type=int, default=3000, help="of the generator, per start")
    parser.add_argument("--rate", type=float, default=0.1, help="of both players, in both tables")
    parser.add_argument("--tolerance", type=float, default=0.1, help="for each mean, in standard deviations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    dirac = dirac_rows(options.rate)
    print(dirac_table(dirac), end="\n\n", flush=True)
    settings = {name: getattr(options, name) for name in ("starts", "rate", "steps", "tolerance", "seed")}
    intervals = interval_rows(**settings)
    print(interval_table(intervals))
    if options.write:
        settings |= {"truth": two_gaussians.TRUTH, "means": "uniform on ±1", "edges": "uniform on ±2, sorted"}
        print(
            write("dynamics", {"settings": settings, "dirac": dirac, "intervals": intervals}), file=sys.stderr
        )


if __name__ == "__main__":
    main()
