"""What the loss of a discriminator says about its generator: V(G, D*) = ln 4 − 2 JS(p, q) [T16].

With the signs of [T14], V = E[−ln D(x)] + E[−ln(1 − D(G(z)))]: D minimises it, and the least it can reach
falls as p and q part. G's best is JS = 0, where V = ln 4. With the opposite signs D maximises, G minimises,
and the same statement reads 2 JS − ln 4. Any other D has a larger V: (ln 4 − V)/2 never overstates JS.

Takes five seconds.

Draws v_and_js.png into the directory in which it is started.
"""

import numpy as np

import minigan as mg
from minigan.gan.theory.diagnostics import LN4, implied_js, value_at_optimum

P, X = mg.Normal(0.0, 1.0), np.linspace(-14.0, 20.0, 3401)
SHIFTS = np.linspace(0.0, 6.0, 13)  # G makes N(d, 1), one d per replica
FIXED = (0.5, 1.5, 3.0)  # generators whose D* is shown against all others
GREENS = ("#B8E0D2", "#5CBFA0", "#009E73")


def value(a, q):
    """V of the logits a on X, by quadrature."""
    return np.trapezoid(P.density(X) * np.logaddexp(0.0, -a) + q.density(X) * np.logaddexp(0.0, a), X)


def trained(steps, batch):
    """V of one D per generator, after ``steps`` steps."""
    rngs = [np.random.default_rng(0) for _ in SHIFTS]  # all begin alike
    D = mg.mlp((1, 16, 16, 1), activation="tanh", rngs=rngs)
    real, fake = (
        np.stack(
            [
                distribution.sample(rng, (steps, batch, 1))
                for distribution, rng in zip(distributions, rngs, strict=True)
            ],
            1,
        )
        for distributions in ([P] * len(rngs), [mg.Normal(d, 1.0) for d in SHIFTS])
    )
    batches = (mg.constant((0.5 * x).astype("float32")) for x in (real, fake))
    factors = mg.Schedule("cosine", steps)(np.arange(steps))
    mg.best_response(D, mg.Adam(D.parameters, 0.02), *batches, factors=factors)
    a = D(mg.constant((0.5 * X[:, None]).astype("float32"))).numpy()[..., 0].astype("float64")
    return np.array([value(a[k], mg.Normal(d, 1.0)) for k, d in enumerate(SHIFTS)])


def main(lengths=(5, 20, 1000), batch=512, figure="v_and_js.png"):
    """Print V of the best D and of trained ones, draw; returns the implied JS after each length, and JS."""
    distributions = [mg.Normal(d, 1.0) for d in SHIFTS]
    js = np.array([mg.js_quadrature(P, distribution) for distribution in distributions])
    best = np.array(
        [
            value(P.log_density(X) - distribution.log_density(X), distribution)
            for distribution in distributions
        ]
    )
    reached = np.array([trained(steps, batch) for steps in lengths])
    print(f"p = {P}, G makes N(d, 1). V of D* by quadrature, and what trained D say of JS = (ln 4 − V)/2:")
    print(f"{'d':>5} {'V(G, D*)':>10} {'ln 4 − 2 JS':>12} {'JS':>8} "
          + "".join(f"{f'{n} steps':>12}" for n in lengths))  # fmt: skip
    for k in range(0, len(SHIFTS), 2):
        said = "".join(f"{j:12.4f}" for j in np.maximum(implied_js(reached[:, k]).round(4), 0.0))  # a bound
        print(f"{SHIFTS[k]:5.1f} {best[k]:10.6f} {value_at_optimum(js[k]):12.6f} {js[k]:8.4f} {said}")
    if figure:
        draw(figure, lengths, reached, js)
        print(f"drawn into {figure}")
    return implied_js(reached), js


def draw(path, lengths, reached, js):
    """V over generators, for the best D, for fixed ones and for trained ones; their implied JS beside JS."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(12, 4.8), layout="constrained")
    left, right = page.subplots(1, 2, width_ratios=(1.25, 1))
    d = np.linspace(-1.0, 6.0, 71)
    distributions = [mg.Normal(shift, 1.0) for shift in d]
    left.axhline(LN4, color="#8C8C8C", linewidth=1)
    left.text(5.95, LN4 + 0.02, "ln 4: G makes the data, or D tosses a coin", ha="right", fontsize=9)
    for at in FIXED:
        a = P.log_density(X) - mg.Normal(at, 1.0).log_density(X)
        name = "V(G, D) of three fixed D, each the best for one G" if at == FIXED[0] else None
        left.plot(
            d,
            [value(a, distribution) for distribution in distributions],
            color="#CC79A7",
            linewidth=1,
            label=name,
        )
        left.plot(at, value(a, mg.Normal(at, 1.0)), "o", color="#CC79A7", markersize=5)
    least = [value_at_optimum(mg.js_quadrature(P, distribution)) for distribution in distributions]
    left.plot(d, least, "k--", linewidth=2, label="V(G, D*) = ln 4 − 2 JS: the least of all D")
    for values, steps, colour in zip(reached, lengths, GREENS, strict=True):
        left.plot(SHIFTS, values, "o", color=colour, markersize=5, label=f"V after {steps} steps of D")
        right.plot(js, implied_js(values), "o-", color=colour, markersize=5, label=f"{steps} steps")
    left.set(xlabel="d, where G = N(d, 1) and data = N(0, 1)", ylabel="V [nats]", xlim=(-1, 6), ylim=(0, 2.6))
    right.plot([0, np.log(2)], [0, np.log(2)], "k--", label="tight: D = D*")
    right.axvline(np.log(2), color="#8C8C8C", linewidth=1)
    right.text(np.log(2) - 0.01, 0.02, "ln 2", ha="right", fontsize=9)
    right.set(xlabel="JS(p, q) [nats]", ylabel="implied JS = (ln 4 − V)/2 [nats]")
    for ax, title in ((left, "D minimises V; G raises that minimum"), (right, "A lower bound for any D")):
        ax.set_title(title, loc="left")
        ax.legend(frameon=False, fontsize=9, loc="upper left" if ax is right else "upper right")
    page.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
