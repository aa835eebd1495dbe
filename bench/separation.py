"""What limits a fit of one feature: what G can be, what a perfect D makes of it, and what the game loses.

    python -m bench.separation            the table
    python -m bench.separation --write    also bench/results/separation.json and docs/separation.png
    python -m bench.separation --draw     docs/separation.png anew, from bench/results/separation.json

The same G from the same "start" by the same optimiser, three times. "fitted": to the exact quantiles by
squared error, with no D. "perfect D": in each step against the best D there is for the values of a large
batch, which minimises the game's loss with its penalties (a convex problem of D's values at these points,
solved by Newton steps). "game": the run. What the first leaves G cannot be, or Adam does not find; what the
second adds is due to the game; what the third adds is due to a D that is a network and lags behind.
"""

import argparse
import json
import sys

import numpy as np

from bench.common import RESULTS, table, write
from minigan.compiler.capture import capture
from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean, square
from minigan.gan.theory.diagnostics import latent_cells, pushforward_cdf
from minigan.training.draws import LATENT, stream
from minigan.training.experiment import Experiment
from minigan.training.sampler import apply
from minigan.training.settings import resolve

TARGETS = {
    "normal": "normal(4, 1.25)",
    "even": "0.5*normal(-3, 1) + 0.5*normal(3, 1)",
    "uneven": "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)",
    "apart": "0.2*normal(-5, 0.3) + 0.5*normal(0, 0.3) + 0.3*normal(5, 0.3)",
}
METHODS = ("plain", "shaped")
KINDS = ("start", "fitted", "perfect D", "game")
NEWTON = 8
LEVELS = 500  # of a curve
LINEAR = 0.05  # the axis of the figure is linear below, and has these labels
TICKS = (-10, -1, -0.1, 0, 0.1, 1, 10)
HEADER = ("target", "method", *KINDS)


def strata(rng, count):
    """One level in each of so many equal slices."""
    return (np.arange(count) + rng.random(count)) / count


def perfect_slopes(x, y, r1, r2):
    """D's slope and D at the generated values y, of the best D against x in the game with R1 and R2.

    D is linear between neighbours of both samples, and its squared slope in a gap is weighed by half the
    masses at both ends: E_x ln(1 + e^−D) + E_y ln(1 + e^D) + r1 E_x D'² + r2 E_y D'² is convex in D's values.

    Shapes:  x (n,), y (n,) → (n,) twice
    """
    from scipy.linalg import solveh_banded

    points, inverse = np.unique(np.concatenate([x, y]), return_inverse=True)
    n = len(points)
    real, fake = (
        np.bincount(part, minlength=n) / len(part) for part in (inverse[: len(x)], inverse[len(x) :])
    )
    width = np.maximum(np.diff(points), 1e-6)
    weight = r1 * real + r2 * fake
    stiffness = 2 * 0.5 * (weight[1:] + weight[:-1]) / width**2
    D, bands = np.zeros(n), np.zeros((2, n))
    for _ in range(NEWTON):
        s = 1 / (1 + np.exp(-np.clip(D, -30, 30)))
        pull = stiffness * np.diff(D)
        gradient = s * fake - (1 - s) * real
        gradient[1:] += pull
        gradient[:-1] -= pull
        bands[1] = s * (1 - s) * (real + fake) + 1e-9
        bands[1, 1:] += stiffness
        bands[1, :-1] += stiffness
        bands[0, 1:] = -stiffness
        D -= np.clip(solveh_banded(bands, gradient), -4, 4)
    slope = np.diff(D) / width
    slopes = 0.5 * (np.append(slope, slope[-1]) + np.append(slope[0], slope))
    at = inverse[len(x) :]
    return slopes[at], D[at]


def trained_alone(config, kind):
    """An experiment whose G was trained without the game's D: "fitted", or against a "perfect D"."""
    e = Experiment(config)
    G, optimizer, average = e.generator, e.game.generator_optimizer, e.game.average
    latent, count = LATENT["normal"], config.batch * (1 if kind == "fitted" else 2)
    rng = stream(config.seed, "data")

    def fit(z, y, factor, weight):
        optimizer.step(grad(mean(square(G(z) - y)), G.parameters), factor)
        average.step(weight)
        return mean(z)

    def follow(z, slope, factor, weight):
        optimizer.step(grad(mean(G(z) * slope), G.parameters), factor)
        average.step(weight)
        return mean(z)

    step = fit if kind == "fitted" else follow
    state = {k: v for k, v in e.game.state.items() if not k.startswith("discriminator")}
    program = None
    factors = e.schedule(np.arange(config.steps)).astype(config.dtype)
    weights = e.averaging(np.arange(config.steps)).astype(config.dtype)
    levels = levels_of(2**14)
    quantiles = e.units.to_network(e.distribution.quantile(levels)[:, None])[:, 0]
    for t in range(config.steps):
        u = strata(rng, count)
        z = latent.quantile(u).astype(config.dtype)[:, None]
        if kind == "fitted":
            given = np.interp(u, levels, quantiles)
        else:
            real = np.interp(strata(rng, count), levels, quantiles)
            made = apply(G, z, config.dtype, e.backend)[:, 0]
            slopes, D = perfect_slopes(real, made, config.r1, config.r2)
            given = -slopes / (1 + np.exp(np.clip(D, -30, 30)))
        inputs = (z, given.astype(config.dtype)[:, None], factors[t : t + 1], weights[t : t + 1])
        if program is None:
            program = capture(step, *inputs, state=state)
        else:
            program(*inputs)
    return e


def model_error(experiment):
    """sup |F_θ − F| of the averaged generator."""
    distribution = experiment.distribution
    points = distribution.quantile(np.linspace(0.0005, 0.9995, 1000))
    z, mass = latent_cells("normal")
    image = experiment.generate(z[:, None])[:, 0]
    return float(np.abs(pushforward_cdf(mass, image, points) - distribution.cdf(points)).max())


def measure(target, method, kind, seed, sets=()):
    """The model error, and G at 2000 latents beside the quantiles there."""
    config = resolve(environ={}, sets=(f"target={target}", f"method={method}", f"seed={seed}", *sets))
    if kind in ("start", "game"):
        experiment = Experiment(config)
        experiment.advance(config.steps if kind == "game" else 0)
    else:
        experiment = trained_alone(config, kind)
    return model_error(experiment), experiment


def levels_of(count):
    """The middles of so many equal slices of the levels."""
    return (np.arange(count) + 0.5) / count


def curve(experiment):
    """G less the quantile at LEVELS levels, as text of three digits: nothing else is so short in a file."""
    u = levels_of(LEVELS)
    x = experiment.generate(LATENT["normal"].quantile(u)[:, None])[:, 0]
    return " ".join(f"{value:.3g}" for value in x - experiment.distribution.quantile(u))


def drawn(rows):
    """G beside the quantiles of the target: a panel for each target, a line for each method and kind."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(len(METHODS), len(TARGETS), sharex=True)
    for row in rows:
        axis = axes[METHODS.index(row["method"])][list(TARGETS).index(row["target"])]
        axis.set_title(row["name"], fontsize=10)
        axis.axhline(0, color="0.6", linewidth=0.8)
        for kind, text in row["curves"].items():
            gaps = np.array(text.split(), float)
            axis.plot(levels_of(len(gaps)), gaps, label=kind, linewidth=1)
        axis.set_yscale("symlog", linthresh=LINEAR)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}".replace("-", "−")))
        low, high = axis.get_ylim()
        low, high = min(low, -2.4 * LINEAR), max(high, 2.4 * LINEAR)
        axis.set_ylim(low, high)
        # within the linear part only 0 has a label: the decades there are too near it
        axis.set_yticks([y for y in TICKS if low <= y <= high])
        axis.minorticks_off()
    axes[0][0].legend(fontsize=8)
    figure.supxlabel("level u", fontsize=10)
    figure.supylabel("G − Q(u), in units of the target", fontsize=10)
    return figure


def cells(row):
    """The cells of one line: median and worst model error of each kind."""
    errors = (f"{np.median(row[kind]):.4f} ({max(row[kind]):.4f})" for kind in KINDS)
    return (row["target"], row["method"], *errors)


def main(arguments=None):
    """Print the table; with --write also the file and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results and docs")
    parser.add_argument("--draw", action="store_true", help="only draw what bench/results has")
    options = parser.parse_args(arguments)
    picture = RESULTS.parents[1] / "docs" / "separation.png"
    if options.draw:
        drawn(json.loads((RESULTS / "separation.json").read_text())["results"]).savefig(picture, dpi=110)
        return
    rows = []
    for name, target in TARGETS.items():
        for method in METHODS:
            row = {"name": f"{name}, {method}", "target": name, "method": method, "curves": {}}
            for kind in KINDS:
                found = [measure(target, method, kind, seed, options.sets) for seed in range(options.seeds)]
                row[kind] = [error for error, _ in found]
                if kind != "start":
                    row["curves"][kind] = curve(found[0][1])
            rows.append(row)
            print("  ".join(cells(row)), file=sys.stderr, flush=True)
    print(table(HEADER, [cells(row) for row in rows]))
    if options.write:
        settings = {"sets": options.sets, "seeds": options.seeds, "targets": TARGETS}
        print(write("separation", {"settings": settings, "results": rows}), file=sys.stderr)
        drawn(rows).savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
