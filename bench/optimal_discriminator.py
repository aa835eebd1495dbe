"""How near a discriminator comes to D* = p/(p + q) when its generator stands still [T15, T16].

    python -m bench.optimal_discriminator

p and q are normal distributions, from near to far; q is that of a frozen G(z) = mean + sd·z. D is trained on
their samples alone, without penalties, several seeds together on the replica axis. Its distance from D* is
the mean of |D − D*| under (p + q)/2. Its implied JS, (ln 4 − V)/2, is taken twice: with V by quadrature, the
exact expectation, which no D can push above JS(p, q); and with V from fresh samples, as a user would see it,
whose own noise is then most of the error.
"""

import argparse
import sys
import time

import numpy as np

from bench.common import table, write
from minigan.engine.tensor import constant
from minigan.gan.game import best_response
from minigan.gan.theory.diagnostics import implied_js, optimal_discriminator, value_function
from minigan.nn.network import mlp
from minigan.nn.optim import Adam
from minigan.nn.schedules import Schedule
from minigan.probability.distributions import Normal
from minigan.probability.information import js_quadrature

GENERATED = ((0.25, 1), (0, 2), (1, 1), (1, 0.5), (2, 1), (3, 2), (4, 1.25), (8, 1))  # from near to far
PAIRS = tuple((Normal(0.0, 1.0), Normal(*q)) for q in GENERATED)
WIDTHS, RATE = (16, 16), 0.02  # of a D with tanh; Adam, the rate falls to 0 by a cosine
BAR = {"distance": 0.01, "js": 0.01}  # of |D − D*| on average; of the implied JS, relative to the exact one
REACH = 12.0  # standard deviations, to both sides
POINTS = 4001  # the trapezoidal rule's error for functions that vanish at both ends falls exponentially


def trained(p, q, seeds, steps, batch):
    """One D per seed, trained on samples of p and q: its logits as a function of x.

    Shapes:  (n,) or (R, n) → (R, n)
    """
    middle = 0.5 * (p.mean + q.mean)
    scale = np.sqrt(0.5 * (p.sd**2 + q.sd**2) + (0.5 * (p.mean - q.mean)) ** 2)  # of (p + q)/2
    rngs = [np.random.default_rng([seed, 0]) for seed in range(seeds)]

    def scaled(x):
        return constant(((x - middle) / scale).astype("float32")[..., None])

    D = mlp((1, *WIDTHS, 1), rngs=rngs, activation="tanh")
    real, fake = (
        scaled(np.stack([distribution.sample(r, (steps, batch)) for r in rngs], axis=1))
        for distribution in (p, q)
    )
    factors = Schedule("cosine", steps)(np.arange(steps))
    best_response(D, Adam(D.parameters, RATE), real, fake, factors=factors)
    return lambda x: D(scaled(x)).numpy()[..., 0].astype("float64")


def measure(p, q, seeds=5, steps=3000, batch=512, count=100_000):
    """One line: each seed's distance from D*, its implied JS by quadrature and from ``count`` samples."""
    started = time.process_time()
    logits = trained(p, q, seeds, steps, batch)
    seconds = time.process_time() - started
    ends = [
        (distribution.mean - REACH * distribution.sd, distribution.mean + REACH * distribution.sd)
        for distribution in (p, q)
    ]
    x = np.linspace(min(low for low, _ in ends), max(high for _, high in ends), POINTS)
    a, at_p, at_q = logits(x), p.density(x), q.density(x)
    seen = at_p + at_q > 0
    gap = np.zeros_like(a)
    gap[:, seen] = np.abs(_sigmoid(a[:, seen]) - optimal_discriminator(at_p[seen], at_q[seen]))
    values = np.trapezoid(at_p * np.logaddexp(0.0, -a) + at_q * np.logaddexp(0.0, a), x)
    fresh = [np.random.default_rng([seed, 1]) for seed in range(seeds)]
    sampled = [
        logits(np.stack([distribution.sample(rng, (count,)) for rng in fresh])) for distribution in (p, q)
    ]
    return {
        "p": str(p),
        "q": str(q),
        "js": js_quadrature(p, q),
        "distance": np.trapezoid(0.5 * (at_p + at_q) * gap, x).tolist(),
        "implied": [implied_js(float(value)) for value in values],
        "sampled": [implied_js(value_function(*pair)) for pair in zip(*sampled, strict=True)],
        "cpu_seconds": seconds,
    }


def _sigmoid(a):
    return np.exp(-np.logaddexp(0.0, -a))


def errors(row, name):
    """Relative errors of one of the implied JS, per seed."""
    return np.array(row[name]) / row["js"] - 1.0


def met(row):
    """How many seeds of a line are within both bars."""
    near = np.array(row["distance"]) <= BAR["distance"]
    return int((near & (np.abs(errors(row, "implied")) <= BAR["js"])).sum())


HEADER = (
    "p", "q", "seeds", "mean |D − D*|", "worst", "JS", "implied JS", "error", "worst",
    "error from samples", "worst", "CPU s per seed",
)  # fmt: skip


def cells(row):
    """The cells of one line: medians over the seeds, and the worst seed."""
    distance, implied, sampled = row["distance"], errors(row, "implied"), errors(row, "sampled")
    worst = [e[np.abs(e).argmax()] for e in (implied, sampled)]
    return (
        row["p"],
        row["q"],
        len(distance),
        f"{np.median(distance):.4f}",
        f"{max(distance):.4f}",
        f"{row['js']:.5f}",
        f"{np.median(row['implied']):.5f}",
        f"{np.median(implied):+.2%}",
        f"{worst[0]:+.2%}",
        f"{np.median(np.abs(sampled)):.2%}",
        f"{worst[1]:+.2%}",
        f"{row['cpu_seconds'] / len(distance):.1f}",
    )


def main(arguments=None):
    """Print the table; with --write also bench/results/optimal_discriminator.json."""
    from threadpoolctl import threadpool_limits

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=512, help="samples of each distribution in one step")
    parser.add_argument(
        "--count", type=int, default=100_000, help="samples of each distribution for the sampled JS"
    )
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    settings = {name: getattr(options, name) for name in ("seeds", "steps", "batch", "count")}
    rows = []
    with threadpool_limits(1, user_api="blas"):
        for p, q in PAIRS:
            rows.append(measure(p, q, **settings))
            print("  ".join(map(str, cells(rows[-1]))), file=sys.stderr, flush=True)
    print(table(HEADER, [cells(row) for row in rows]))
    within = sum(map(met, rows))
    print(
        f"\n{within} of {options.seeds * len(rows)} seeds: |D − D*| ≤ {BAR['distance']} on average, "
        f"and the implied JS within {BAR['js']:.0%}"
    )
    if options.write:
        settings |= {"widths": WIDTHS, "activation": "tanh", "rate": RATE, "schedule": "cosine", "bar": BAR}
        print(write("optimal_discriminator", {"settings": settings, "results": rows}), file=sys.stderr)


if __name__ == "__main__":
    main()
