"""What a discriminator learns when its generator stands still: D*(x) = p(x)/(p(x) + q(x)) [T15].

Three generators at once, on the replica axis: one far from the data, one near, one that makes the data.

Takes three seconds.

Draws d_against_d_star.png into the directory in which it is started.
"""

import numpy as np

import minigan as mg
from minigan.gan.theory.diagnostics import implied_js, optimal_discriminator

P = mg.Normal(4.0, 1.25)
GENERATED = {"far": mg.Normal(0.0, 1.0), "near": mg.Normal(3.0, 1.0), "equal": mg.Normal(4.0, 1.25)}
X = np.linspace(-8.0, 14.0, 2201)


def learned(D):
    """σ(D), its mean distance from D* and its implied JS, for each generator."""
    a = D(mg.constant((X[:, None] - 4.0).astype("float32"))).numpy()[..., 0].astype("float64")
    p, q = P.density(X), np.stack([distribution.density(X) for distribution in GENERATED.values()])
    d, best = np.exp(-np.logaddexp(0.0, -a)), optimal_discriminator(np.broadcast_to(p, q.shape), q)
    distance = np.trapezoid(0.5 * (p + q) * np.abs(d - best), X)
    value = np.trapezoid(p * np.logaddexp(0.0, -a) + q * np.logaddexp(0.0, a), X)  # V, without sampling
    return d, distance, implied_js(value)


def main(steps=3000, batch=512, looks=30, figure="d_against_d_star.png"):
    """Train three D, print, draw; returns their distances from D* after each look, (looks, 3)."""
    rngs = [np.random.default_rng(k) for k in range(len(GENERATED))]
    D = mg.mlp((1, 16, 16, 1), activation="tanh", rngs=rngs)
    optimizer, factors = mg.Adam(D.parameters, 0.02), mg.Schedule("cosine", steps)(np.arange(steps))
    ends = np.unique(np.geomspace(1, steps, looks).astype(int))
    distances = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        shape = (end - start, batch, 1)
        real = np.stack([P.sample(rng, shape) for rng in rngs], axis=1)
        pairs = zip(GENERATED.values(), rngs, strict=True)
        fake = np.stack([q.sample(rng, shape) for q, rng in pairs], axis=1)
        batches = (mg.constant((x - 4.0).astype("float32")) for x in (real, fake))  # about 0, where D starts
        mg.best_response(D, optimizer, *batches, factors=factors[start:end])
        distances.append(learned(D)[1])
    d, distance, implied = learned(D)
    print(f"p = {P}, D trained for {steps} steps on {batch} values of p and q each:")
    print(f"{'q':<16} {'mean |D − D*|':>14} {'JS':>9} {'implied by D':>13}")
    for k, q in enumerate(GENERATED.values()):
        print(
            f"{q!s:<16} {distance[k]:14.5f} {mg.js_quadrature(P, q):9.5f} {implied[k].round(5) + 0.0:13.5f}"
        )
    print("Where neither distribution lives nothing teaches D, and there it may be anything.")
    if figure:
        draw(figure, d, ends, np.array(distances))
        print(f"drawn into {figure}")
    return np.array(distances)


def draw(path, d, ends, distances):
    """D and D* over the two densities, for each generator; below, how D came there."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(13.5, 6.6), layout="constrained")
    grid = page.add_gridspec(2, len(GENERATED), height_ratios=(1.25, 1))
    for k, (name, distribution) in enumerate(GENERATED.items()):
        ax, p, q = page.add_subplot(grid[0, k]), P.density(X), distribution.density(X)
        for density, colour, label in ((p, "#0072B2", "data p"), (q, "#D55E00", "generated q")):
            ax.fill_between(X, density, color=colour, alpha=0.3, linewidth=0, label=label)
        ax.plot(X, d[k], color="#009E73", linewidth=3, label="D, learned")
        ax.plot(X, optimal_discriminator(p, q), "k--", linewidth=1.2, label="D* = p/(p + q)")
        ax.set(xlabel="x", xlim=(-4, 9), ylim=(0, 1.02), title=f"{name}: q = {distribution}")
        if k == 0:
            ax.set_ylabel("probability that x is real; densities")
            ax.legend(frameon=False, fontsize=9, loc="center right")
    below = page.add_subplot(grid[1, :])
    for curve, name, colour in zip(distances.T, GENERATED, ("#D55E00", "#CC79A7", "#0072B2"), strict=True):
        below.loglog(ends, curve, ".-", color=colour, label=f"q {name}")
    below.set(xlabel="steps of D; their rate falls to 0 at the end", ylabel="mean |D − D*| under (p + q)/2")
    below.set_title("How D comes there", loc="left")
    below.legend(frameon=False, fontsize=9)
    page.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
