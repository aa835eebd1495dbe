"""How much a value tells, and a whole distribution: self-information and entropy, in nats [T1, T2].

By formula, by integral and as a mean over values: all three agree within what a sample of values scatters.

Takes a second.

Draws information_and_entropy.png into the directory in which it is started.
"""

import math

import numpy as np

from minigan.probability import (
    Laplace,
    Normal,
    Uniform,
    entropy,
    entropy_monte_carlo,
    entropy_quadrature,
    self_information,
)

SHAPES = {  # distributions of standard deviation s, and what their entropies are beyond ln s
    "normal": (lambda s: Normal(0.0, s), 0.5 * math.log(2 * math.pi * math.e), "#0072B2"),
    "Laplace": (lambda s: Laplace(0.0, s / math.sqrt(2)), 1 + 0.5 * math.log(2), "#009E73"),
    "uniform": (lambda s: Uniform(-s * math.sqrt(3), s * math.sqrt(3)), 0.5 * math.log(12), "#D55E00"),
}
SPREADS = np.geomspace(0.05, 4.0, 9)


def main(n=100_000, figure="information_and_entropy.png"):
    """Print both, draw; returns {(distribution, sd): (entropy by formula, by quadrature, from n values)}."""
    rng = np.random.default_rng(0)
    coin, die = np.full(2, 1 / 2), np.full(6, 1 / 6)
    print("Self-information h = −ln p adds up over independent events:")
    heads, six, both = self_information([1 / 2, 1 / 6, 1 / 12])
    print(f"  heads {heads:.3f} (ln 2) + a six {six:.3f} (ln 6) = heads and a six {both:.3f} (ln 12)")
    print("Entropy, the mean of h, is largest where all outcomes are equally probable:")
    loaded = max(entropy(rng.dirichlet(die)) for _ in range(1000))
    print(f"  coin {entropy(coin):.4f} (ln 2 = {math.log(2):.4f}), biased 9:1 {entropy([0.9, 0.1]):.4f}")
    print(f"  die  {entropy(die):.4f} (ln 6 = {math.log(6):.4f}), best of 1000 loaded ones {loaded:.4f}")
    print(f"Entropy of a density, which may be negative, and the mean of −ln p over {n} values:")
    print(
        f"  {'distribution':<9}{'sd':>6}{'formula':>10}{'quadrature':>12}{'values':>10}  ± one standard error"
    )
    seen = {}
    for name, (distribution, constant, _) in SHAPES.items():
        for s in SPREADS:
            p = distribution(s)
            estimate = entropy_monte_carlo(p, p.sample(rng, (n,)))
            seen[name, s] = constant + math.log(s), entropy_quadrature(p), estimate
            if s in (SPREADS[0], SPREADS[-1]):
                formula, integral, (mean, error) = seen[name, s]
                print(f"  {name:<9}{s:6.2f}{formula:10.4f}{integral:12.4f}{mean:10.4f}  ± {error:.4f}")
    print("  of one standard deviation, the normal distribution has the most.")
    if figure:
        draw(figure, seen)
        print(f"drawn into {figure}")
    return seen


def draw(path, seen):
    """h over p; the entropy of a coin; entropies of densities over their standard deviation."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(13.5, 4.2), layout="constrained")
    left, middle, right = page.subplots(1, 3)
    p = np.linspace(0.002, 1.0, 500)
    left.plot(p, self_information(p), color="#0072B2", label="h = −ln p: what one outcome tells")
    left.plot(p, p * self_information(p), color="#D55E00", label="p h: its share of the entropy")
    for name, at in (("heads", 1 / 2), ("a six", 1 / 6), ("heads and a six", 1 / 12)):
        left.plot(at, -math.log(at), "o", color="#0072B2", markersize=5)
        left.annotate(name, (at, -math.log(at)), (7, 4), textcoords="offset points", fontsize=9)
    left.set(xlabel="probability p of the outcome", ylabel="nats", xlim=(0, 1), ylim=(0, 5))
    middle.plot(p, [entropy([b, 1 - b]) for b in p], color="#0072B2", label="H = −Σ p ln p")
    middle.axhline(math.log(2), color="k", linestyle="--", linewidth=1, label="ln 2, of a fair coin")
    middle.set(xlabel="probability of heads", ylabel="entropy of a coin [nats]", xlim=(0, 1), ylim=(0, 0.82))
    right.axhspan(-3, 0, color="#F0F0F0")
    right.axhline(0, color="#8C8C8C", linewidth=0.8)
    for name, (_, constant, colour) in SHAPES.items():
        right.plot(SPREADS, constant + np.log(SPREADS), color=colour, linewidth=1, label=name)
        sampled = [
            estimate.value for (distribution, _), (*_, estimate) in seen.items() if distribution == name
        ]
        right.plot(SPREADS, sampled, "o", color=colour, markersize=4)
    right.set(xscale="log", xlabel="standard deviation s", ylabel="entropy H = ln s + constant [nats]")
    right.set(xlim=(0.04, 5), ylim=(-2, 3), xticks=[0.05, 0.1, 0.5, 1, 4], xticklabels=[0.05, 0.1, 0.5, 1, 4])
    right.text(4.6, -1.9, "less uncertain than uniform on (0, 1)", ha="right", fontsize=8, color="0.4")
    titles = (
        "Improbable outcomes tell much",
        "A fair coin tells most",
        "Broad distributions tell more (dots: values)",
    )
    for ax, title in zip((left, middle, right), titles, strict=True):
        ax.set_title(title, loc="left")
        ax.legend(frameon=False, fontsize=9, loc="upper left" if ax is right else "upper right")
    page.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
