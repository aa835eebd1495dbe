"""The univariate f-GAN: how near the game comes to the closest normal distribution, for each divergence.

    python -m bench.fgan                       20 seeds of every mixture and divergence
    python -m bench.fgan --only "paper, kl"    this line anew; repeatable

G is μ + σz and the target a mixture of two normal distributions, so no G is perfect and each divergence has a
best one of its own, which direct minimisation finds (``minigan.models.likelihood.closest_normal``). The
excess is how much farther than that the trained distribution is, D_f(p‖N(μ, σ²))/min D_f − 1 by quadrature:
nothing in it is estimated from samples, or by D. The seeds of a line train together on the replica axis, on
one core; each equals a run of its own. Seconds are those of the processor.

What makes it exact: draws are stratified, the B numbers of a batch falling one into each of B intervals of
equal mass, of the data as of z; real batches are four times as large, because e⁻ᵃ makes their tails loud; D
is a wide layer whose bends are spread over the data from the start; rates decay to 0, and G is averaged at
the end. Each seed starts at another μ and σ. No penalty: R1 and R2 would move the optimum.

Source:  Nowozin, Cseke, Tomioka 2016, section 2.4 and table 3
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import minigan as mg
from bench.common import RESULTS, table, write
from minigan.models.likelihood import closest_normal
from minigan.probability.distributions import Normal
from minigan.probability.f_divergences import f_divergence
from minigan.probability.text_form import parse

MIXTURES = {
    "paper": "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4142135623730951)",
    "two modes": "0.5*normal(-1.5, 1) + 0.5*normal(1.5, 1)",
    "spike": "0.8*normal(0, 2) + 0.2*normal(1, 0.3)",
}
BARS = {"kl": 0.05, "reverse_kl": 0.05, "js": 0.05, "jeffrey": 0.3, "pearson": 0.05}  # per cent of excess
LINES = [f"{mixture}, {name}" for mixture in MIXTURES for name in BARS]
SEEDS, STEPS, BATCH = 20, 4500, 128
REAL = 4 * BATCH
WIDTH = 64
UNIT = 0.25  # of the networks, in sd of the target: so a bend of D is as sharp as the mixtures' narrow parts
SPREAD = 4.0  # D's biases
START = 0.3  # how far μ/sd and ln σ/sd may be from the target's moments at the start
BLOCK = 50  # steps whose numbers are drawn at once
SCORES = np.linspace(-6.5, 6.5, 20_001)


def players(seeds):
    """G = μ + σz and a D of one layer, one replica per seed."""
    rngs = [np.random.default_rng([seed, 0]) for seed in seeds]
    G = mg.mlp((1, 1), rngs=rngs)
    D = mg.mlp((1, WIDTH, 1), rngs=rngs)
    μ, log_σ = np.array([rng.uniform(-START, START, 2) for rng in rngs]).T[..., None, None]
    G.parameters.load({"0.W": (np.exp(log_σ) / UNIT).astype("float32"), "0.b": (μ / UNIT).astype("float32")})
    biases = np.stack([rng.uniform(-SPREAD, SPREAD, (1, WIDTH)) for rng in rngs])
    D.parameters.load(D.parameters.arrays() | {"0.b": biases.astype("float32")})
    return G, D


def draws(distribution, seeds, steps):
    """Real batches and two of latents for every step, stratified, from each seed's own generator.

    Shapes:  (1, R, REAL, 1), (1, R, BATCH, 1) twice, a step
    """
    from scipy.special import ndtr, ndtri

    values = (distribution.quantile(ndtr(SCORES)) - distribution.mean) / (distribution.sd * UNIT)
    rngs = [np.random.default_rng([seed, 1]) for seed in seeds]

    def normal(size):
        u = np.stack([rng.random((BLOCK, size)) for rng in rngs], axis=1)
        return ndtri((np.arange(size) + u) / size)[:, None, ..., None]  # (BLOCK, 1, R, size, 1)

    for _ in range(0, steps, BLOCK):
        real = np.interp(normal(REAL), SCORES, values)
        yield from zip(*(a.astype("float32") for a in (real, normal(BATCH), normal(BATCH))), strict=True)


def train(distribution, name, seeds, steps=STEPS):
    """μ and σ of the trained generators.    Shapes:  (seeds,) each"""
    G, D = players(seeds)
    average = mg.Average(G.parameters)
    game = mg.Game(
        G,
        D,
        mg.Adam(G.parameters, 1e-2, 0.9, 0.99),
        mg.Adam(D.parameters, 2e-2, 0.9, 0.99),
        objective=name,
        average=average,
    )
    factor, weight = mg.Schedule("cosine", steps, hold=0.1), mg.Averaging("tail", steps, start=0.8)
    program = None
    for t, batches in zip(range(steps), draws(distribution, seeds, steps), strict=False):
        inputs = mg.Batch(*batches), *(np.array([f(t)], "float32") for f in (factor, weight))
        if program is None:
            program = mg.capture(game.round, *inputs, state=game.state)
        else:
            program(*inputs)
    μ, σ = (average.parameters[key].numpy()[:, 0, 0].astype("float64") for key in ("0.b", "0.W"))
    return distribution.mean + distribution.sd * UNIT * μ, distribution.sd * UNIT * np.abs(σ)


def measure(task):
    """One line: the trained distributions of all seeds beside the best one."""
    from threadpoolctl import threadpool_limits

    line, seeds, steps = task
    mixture, name = line.split(", ")
    distribution = parse(MIXTURES[mixture])
    with threadpool_limits(1, user_api="blas"):
        started = time.process_time()
        μ, σ = train(distribution, name, seeds, steps)
        seconds = time.process_time() - started
    best = closest_normal(name, distribution)
    finite = np.isfinite(μ) & np.isfinite(σ) & (σ > 0)
    reached = [
        f_divergence(name, distribution, Normal(m, s)) if ok else np.inf
        for m, s, ok in zip(μ, σ, finite, strict=True)
    ]
    excess = 100 * (np.array(reached) / best.divergence - 1)
    return {
        "name": line,
        "target": MIXTURES[mixture],
        "optimum": {
            "mean": best.distribution.mean,
            "sd": best.distribution.sd,
            "divergence": best.divergence,
        },
        "bar_per_cent": BARS[name],
        "seeds": len(seeds),
        "within": int((excess <= BARS[name]).sum()),
        "mean_median": float(np.median(μ)),
        "sd_median": float(np.median(σ)),
        "excess_median": float(np.median(excess)),
        "excess_worst": float(excess.max()),
        "seconds": seconds,
        "rows": [[seed, *map(float, row)] for seed, *row in zip(seeds, μ, σ, excess, strict=True)],
    }


HEADER = ("", "D_f", "best μ, σ", "learned, median", "bar", "within", "excess: median", "worst", "s")


def cells(r):
    """The cells of one line."""
    best = r["optimum"]
    return (
        r["name"],
        f"{best['divergence']:.4f}",
        f"{best['mean']:.4f}, {best['sd']:.4f}",
        f"{r['mean_median']:.4f}, {r['sd_median']:.4f}",
        f"{r['bar_per_cent']:g}%",
        f"{r['within']} of {r['seeds']}",
        f"{r['excess_median']:.4f}%",
        f"{r['excess_worst']:.4f}%",
        f"{r['seconds']:.0f}",
    )


def merged(results):
    """The stored results with these in their places."""
    path = RESULTS / "fgan.json"
    stored = json.loads(path.read_text())["results"] if path.exists() else []
    known = {result["name"]: result for result in (*stored, *results)}
    return [known[line] for line in LINES if line in known]


def main(arguments=None):
    """Print the table; with --write also bench/results/fgan.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument(
        "--only", action="append", choices=LINES, metavar="LINE", help="measure this line anew"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args(arguments)
    lines = [line for line in LINES if line in (options.only or LINES)]
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for result in pool.map(
            measure, [(line, list(range(options.seeds)), options.steps) for line in lines]
        ):
            results.append(result)
            print("  ".join(map(str, cells(result))), file=sys.stderr, flush=True)
    print(table(HEADER, [cells(result) for result in results]))
    if options.write:
        settings = {
            "steps": options.steps,
            "batch": BATCH,
            "real_batch": REAL,
            "width": WIDTH,
            "jobs": options.jobs,
        }
        print(write("fgan", {"settings": settings, "results": merged(results)}), file=sys.stderr)


if __name__ == "__main__":
    main()
