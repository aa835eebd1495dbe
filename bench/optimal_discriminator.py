"""How near a discriminator comes to D* = p/(p + q) when its generator stands still [T15, T16].

    python -m bench.optimal_discriminator                      both tables
    python -m bench.optimal_discriminator --only objectives    this one anew

p and q are normal distributions, from near to far; q is that of a frozen G(z) = mean + sd·z. D is trained on
their samples alone, without penalties, several seeds together on the replica axis. Its distance from D* is
the mean of |D − D*| under (p + q)/2. Its implied JS, (ln 4 − V)/2, is taken twice: with V by quadrature, the
exact expectation, which no D can push above JS(p, q); and with V from fresh samples, as a user would see it,
whose own noise is then most of the error.

The second table is of all objectives: V of a trained D, by quadrature, beside the V that its theorem says,
once for two distributions apart and once for p = q, and the divergence that V implies. Batches are
stratified, so that what is left is D's error and not the draw's. A critic is held to slope 1 by WGAN-GP,
whose weight rises to 1000: at its optimum V is too low by about 0.4/weight here, and a large weight from the
start would keep the sign of the slope that D was born with.
"""

import argparse
import json
import sys
import time

import numpy as np

from bench import common
from bench.common import table, write
from minigan.compiler.capture import capture
from minigan.engine.autodiff import grad
from minigan.engine.tensor import constant, variable
from minigan.gan.game import best_response
from minigan.gan.objectives import OBJECTIVES
from minigan.gan.penalties import WGANGP, interpolate
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
APART = Normal(0.0, 1.0), Normal(0.8, 1.2)  # p and q of the table of objectives
PARTS = "pairs", "objectives"
WITHIN = 1e-3  # of theory: V, V where p = q, and the divergence that V implies
TRAINED = {
    "seeds": 3,
    "steps": 6000,
    "batch": 512,
    "widths": (32, 32),
    "rate": 0.01,
    "weights": (0.1, 1000.0),
}
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


# ── every objective


def stratified(distribution, rngs, steps, batch):
    """Batches whose values fall one into each of as many intervals of equal mass, in any order.

    Shapes:  (R,) → (steps, R, batch, 1)
    """
    shape = steps, batch
    u = np.stack([(rng.random(shape).argsort(axis=-1) + rng.random(shape)) / batch for rng in rngs], axis=1)
    return distribution.quantile(u)[..., None].astype("float32")


def trained_critic(D, optimizer, real, fake, factors, weights, rngs):
    """As ``best_response``, and held to slope 1 between real and generated data."""
    wasserstein, made = OBJECTIVES["wasserstein"], None
    steps, R, batch, _ = real.shape
    course = np.geomspace(*weights, steps).astype("float32")[:, None, None]

    def step(x, generated, mix, weight, factor):
        between = variable(interpolate(x, generated, mix))
        loss = wasserstein.discriminator_loss(D(x), D(generated)) + WGANGP(weight)(D(between), between)
        optimizer.step(grad(loss, D.parameters), factor)
        return loss

    for k in range(steps):
        mix = np.stack([rng.random((batch, 1)) for rng in rngs]).astype("float32")
        inputs = real[k], fake[k], mix, course[k], factors[k : k + 1]
        if made is None:
            made = capture(step, *inputs, state={"discriminator": D.parameters.flat, **optimizer.state})
        else:
            made(*inputs)


def value_of(objective, p, q, *, seeds, steps, batch, widths, rate, weights):
    """V of each seed's trained D and of the best one, both by quadrature.

    Shapes:  → (seeds,), a number
    """
    rngs = [np.random.default_rng([seed, 2]) for seed in range(seeds)]
    real, fake = (stratified(distribution, rngs, steps, batch) for distribution in (p, q))
    D = mlp((1, *widths, 1), rngs=rngs, activation="tanh")
    optimizer, factors = Adam(D.parameters, rate), Schedule("cosine", steps)(np.arange(steps))
    if objective.critic:
        trained_critic(D, optimizer, real, fake, factors.astype("float32"), weights, rngs)
    else:
        best_response(D, optimizer, constant(real), constant(fake), objective=objective, factors=factors)
    ends = [d.mean + side * REACH * d.sd for d in (p, q) for side in (-1, 1)]
    x = np.linspace(min(ends), max(ends), POINTS // 2)
    width, at_p, at_q = x[1] - x[0], p.density(x), q.density(x)
    every = np.broadcast_to(x.astype("float32")[:, None], (seeds, len(x), 1))
    best, values = float(np.sum(objective.value(at_p, at_q, x)) * width), []
    for a in D(constant(every.copy())).numpy()[..., 0].astype("float64"):
        if objective.paired:  # over all pairs of a real and a generated value
            apart = constant(a[:, None] - a)
            loss = at_p @ (objective.real(apart).numpy() + objective.fake(-apart).numpy()) @ at_q * width**2
        else:
            a = constant(a)
            loss = (at_p @ objective.real(a).numpy() + at_q @ objective.fake(a).numpy()) * width
        values.append(float(loss))
    return values, best


def compare(objective, **settings):
    """One line of the table of objectives: trained beside exact, apart and at rest, and what that implies."""
    p, q = APART
    started, says = time.process_time(), objective.divergence
    (values, best), (rest, at_rest) = (
        value_of(objective, p, q, **settings),
        value_of(objective, p, p, **settings),
    )
    return {
        "objective": objective.name,
        "trained": values,
        "optimum": best,
        "rest": rest,
        "at_rest": at_rest,
        "name": says.name,
        "implied": [says.implied(value) for value in values],
        "divergence": says.implied(best),
        "cpu_seconds": time.process_time() - started,
    }


def farthest(row):
    """The largest difference from theory of a line's three figures, with its sign."""
    pairs = (("trained", "optimum"), ("rest", "at_rest"), ("implied", "divergence"))
    return [max((value - row[exact] for value in row[name]), key=abs) for name, exact in pairs]


OBJECTIVES_HEADER = (
    "objective", "V, trained", "exact", "worst difference",
    "V at p = q, trained", "exact", "worst difference",
    "divergence", "implied by V", "exact", "worst difference",
)  # fmt: skip


def objective_cells(row):
    """The cells of one objective: medians over the seeds, and the seed that is farthest from theory."""
    off = [f"{difference:+.5f}" for difference in farthest(row)]
    numbers = [
        (f"{np.median(row[name]):.5f}", f"{row[exact]:.5f}")
        for name, exact in (("trained", "optimum"), ("rest", "at_rest"), ("implied", "divergence"))
    ]
    return (
        f"`{row['objective']}`", *numbers[0], off[0], *numbers[1], off[1], row["name"], *numbers[2], off[2],
    )  # fmt: skip


def objectives_table(record):
    """The table of the objectives of a record, and how many are within the bar."""
    rows, settings = record["objectives"]["results"], record["objectives"]["settings"]
    met_by = sum(max(map(abs, farthest(row))) <= WITHIN for row in rows)
    return (
        table(OBJECTIVES_HEADER, [objective_cells(row) for row in rows])
        + f"\n\n{met_by} of {len(rows)} objectives are within {WITHIN:g} of theory with all of "
        f"{settings['seeds']} seeds: p = {APART[0]}, q = {APART[1]}."
    )


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


def measure_pairs(settings):
    """Print the table of the pairs; what of it is kept."""
    rows = []
    for p, q in PAIRS:
        rows.append(measure(p, q, **settings))
        print("  ".join(map(str, cells(rows[-1]))), file=sys.stderr, flush=True)
    print(table(HEADER, [cells(row) for row in rows]))
    within = sum(map(met, rows))
    print(
        f"\n{within} of {settings['seeds'] * len(rows)} seeds: |D − D*| ≤ {BAR['distance']} on average, "
        f"and the implied JS within {BAR['js']:.0%}"
    )
    settings |= {"widths": WIDTHS, "activation": "tanh", "rate": RATE, "schedule": "cosine", "bar": BAR}
    return {"settings": settings, "results": rows}


def measure_objectives(settings):
    """Print the table of the objectives; what of it is kept."""
    content = {"settings": settings, "results": []}
    for objective in OBJECTIVES.values():
        content["results"].append(compare(objective, **settings))
        print("  ".join(objective_cells(content["results"][-1])), file=sys.stderr, flush=True)
    print(f"\n{objectives_table({'objectives': content})}")
    return {"objectives": content}


def main(arguments=None):
    """Print the tables; with --write also bench/results/optimal_discriminator.json."""
    from threadpoolctl import threadpool_limits

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=512, help="samples of each distribution in one step")
    parser.add_argument(
        "--count", type=int, default=100_000, help="samples of each distribution for the sampled JS"
    )
    parser.add_argument(
        "--objective-steps", type=int, default=TRAINED["steps"], help="of the table of objectives"
    )
    parser.add_argument("--only", choices=PARTS, help="measure this table anew, and keep the other")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    names = ("seeds", "steps", "batch", "count")
    settings = {name: getattr(options, name) for name in names}
    content = {}
    with threadpool_limits(1, user_api="blas"):
        if options.only != "objectives":
            content |= measure_pairs(settings)
        if options.only != "pairs":
            content |= measure_objectives(TRAINED | {"steps": options.objective_steps})
    if options.write:
        stored = common.RESULTS / "optimal_discriminator.json"
        kept = json.loads(stored.read_text()) if options.only and stored.exists() else {}
        kept = {name: kept[name] for name in ("settings", "results", "objectives") if name in kept}
        print(write("optimal_discriminator", kept | content), file=sys.stderr)


if __name__ == "__main__":
    main()
