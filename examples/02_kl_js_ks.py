"""How far two distributions are apart, by formula, integral and sample: KL, JS and KS [T3 to T7].

KL is not symmetric and has no bound; JS is and stays below ln 2; a sample's KS is near the exact one.

Takes two seconds.

Draws kl_js_ks.png into the directory in which it is started.
"""

import math

import numpy as np

import minigan.probability as info
from minigan.evaluation import ecdf, ks_two_sample, perfect_ks_band
from minigan.probability import Normal, Uniform

P, Q, FEW = Normal(0.0, 1.0), Normal(1.0, 2.0), 50
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"


def furthest(p, q):
    """KS of the distributions themselves, sup |F_p − F_q|."""
    x = np.linspace(-15, 15, 30_001)
    return np.abs(p.cdf(x) - q.cdf(x)).max()


def main(n=10_000, figure="kl_js_ks.png"):
    """Print every route to the three numbers, draw; returns {name: value}."""
    rng = np.random.default_rng(0)
    x, y = P.sample(rng, (n,)), Q.sample(rng, (n,))
    ks, few = ks_two_sample(x, y), ks_two_sample(x[:FEW], y[:FEW])
    forward = info.kl_monte_carlo(P, Q, x)
    backward, between = info.kl_monte_carlo(Q, P, y), info.js_monte_carlo(P, Q, x, y)
    rows = {
        "KL(p‖q)": (info.kl_normal(0, 1, 1, 2), info.kl_quadrature(P, Q), forward,
                    info.kl_histogram(x, Q), info.kl_knn(x, y)),
        "KL(q‖p)": (info.kl_normal(1, 2, 0, 1), info.kl_quadrature(Q, P), backward,
                    info.kl_histogram(y, P), info.kl_knn(y, x)),
        "JS(p, q)": (None, info.js_quadrature(P, Q), between, info.js_histogram(x, Q), None),
    }  # fmt: skip
    print(f"p = {P}, q = {Q}, and {n} values of each:")
    print(f"{'formula':>19}{'integral':>10}{'mean of log-ratios':>22}{'histogram':>11}{'neighbours':>12}")
    for name, (formula, integral, mean, histogram, neighbours) in rows.items():
        first, last = ("" if v is None else f"{v:.4f}" for v in (formula, neighbours))
        said = f"{mean.value:.4f} ± {mean.standard_error:.4f}"
        print(f"{name:10}{first:>9}{integral:10.4f}{said:>22}{histogram:11.4f}{last:>12}")
    print("Histograms with open ends and neighbours miss what lies in the tails; ± is one standard error.")
    print(f"KS of the values {ks.statistic:.4f}, of the distributions {furthest(P, Q):.4f}; "
          f"two samples of one distribution stay below {perfect_ks_band(n, n)[1]:.4f} in 95 %.")  # fmt: skip
    print(f"KS of the first {FEW} of each {few.statistic:.2f}: samples of one distribution differ as much "
          f"with probability {few.pvalue:.2g}.")  # fmt: skip
    whole, half = Uniform(0, 1), Uniform(0, 0.5)
    there, back = info.kl_quadrature(whole, half), info.kl_quadrature(half, whole)
    print(f"Uniform on (0, 1) and on (0, ½): KL {there}: one has mass where the other has none; the other "
          f"way {back:.4f} (ln 2); JS {info.js_quadrature(whole, half):.4f}, at most ln 2.")  # fmt: skip
    if figure:
        draw(figure, x[:FEW], y[:FEW], few)
        print(f"drawn into {figure}")
    return {name: row[1] for name, row in rows.items()} | {"KS": ks.statistic}


def draw(path, x, y, ks):
    """The integrands of both KL; all three as distributions part; two empirical CDFs and their gap."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(13.5, 4.2), layout="constrained")
    left, middle, right = page.subplots(1, 3)
    t = np.linspace(-6, 9, 2000)
    p, q = P.density(t), Q.density(t)
    left.plot(t, p, color=BLUE, label="p")
    left.plot(t, q, color=ORANGE, label="q")
    for distribution, (a, b), colour in (("p ln(p/q)", (p, q), BLUE), ("q ln(q/p)", (q, p), ORANGE)):
        left.fill_between(t, a * np.log(a / b), color=colour, alpha=0.25, linewidth=0, label=distribution)
    left.axhline(0, color="k", linewidth=0.6)
    left.set(xlabel="x", ylabel="density; nats per unit of x", xlim=(-6, 9))
    d = np.linspace(0, 5, 51)
    distributions = [Normal(shift, 1.0) for shift in d]
    middle.plot(d, info.kl_normal(0, 1, d, 1), color=BLUE, label="KL = d²/2")
    middle.plot(
        d, [info.js_quadrature(P, distribution) for distribution in distributions], color=GREEN, label="JS"
    )
    middle.plot(d, [furthest(P, distribution) for distribution in distributions], color="#CC79A7", label="KS")
    middle.axhline(math.log(2), color="k", linestyle="--", linewidth=1, label="ln 2")
    middle.set(xlabel="distance d of N(0, 1) and N(d, 1)", ylabel="nats; a share", xlim=(0, 5), ylim=(0, 2))
    for sample, distribution, colour, name in ((x, P, BLUE, "p"), (y, Q, ORANGE, "q")):
        right.plot(t, distribution.cdf(t), color=colour, linewidth=0.8)
        right.plot(t, ecdf(sample)(t), color=colour, label=f"F of {len(sample)} values of {name}")
    ends = ecdf(x)(ks.location), ecdf(y)(ks.location)
    right.plot([ks.location] * 2, ends, color="k", linewidth=2.5, label=f"KS = {ks.statistic:.2f}")
    right.set(xlabel="x", ylabel="share of values ≤ x", xlim=(-6, 9), ylim=(0, 1.01))
    titles = "KL weighs where its first distribution lives", "Two distributions part", "KS: the largest gap"
    for ax, title in zip((left, middle, right), titles, strict=True):
        ax.set_title(title, loc="left")
        ax.legend(frameon=False, fontsize=9)
    page.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
