"""All objectives side by side: three curves, what they cost as distributions part, and what they train to.

A generator that can make every distribution ends at p = q under each of them. One that cannot shows their
taste: here G is linear, so it makes normal distributions, and the data have two modes. "In theory" lets G
move by small gradient steps against the exact best D of each objective; "trained" is a GAN, whose D is small
and always somewhat late: it ends near theory, mean and sd within 0.1 of it. Two end beside it, as their D is
not the best one: Wasserstein's is clipped, and total variation's best is a step, which R1 and R2 forbid.

Takes half a minute, with a line as each objective is done.

Draws divergence_zoo.png into the directory in which it is started.
"""

import numpy as np

import minigan as mg
from minigan.training.experiment import Experiment
from minigan.training.settings import resolve

TARGET = "0.33*normal(-1,0.25) + 0.67*normal(2,1.4)"
SETTINGS = ("generator.widths=[]", "discriminator.activation=tanh", "r1=0", "r2=0",
            "generator_optimizer.rate=0.002", "discriminator_optimizer.rate=0.01")  # fmt: skip
OWN = {"wasserstein": ("clip=0.1",), "total_variation": ("r1=0.02", "r2=0.02")}  # it saturates without
SHIFTS, RATE = np.geomspace(0.05, 6.0, 40), 0.2
UNBOUNDED = ("kl", "jeffrey", "pearson", "wasserstein")
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C", "#000000", "#882255",
           "#999933")  # fmt: skip


def cost(objective, d):
    """What the best D gains on N(0, 1) against N(d, 1) over no knowledge: a divergence."""
    x = np.linspace(-9.0, 9.0 + d, 501)
    p, q = mg.Normal(0.0, 1.0).density(x), mg.Normal(d, 1.0).density(x)
    return np.trapezoid(objective.value(p, p, x) - objective.value(p, q, x), x)


def in_theory(objective, distribution, moves):
    """(mean, sd) of a normal generator after gradient steps, each against D* as it then is."""
    x = np.linspace(distribution.mean - 6 * distribution.sd, distribution.mean + 6 * distribution.sd, 241)
    p, dx, mean, log_sd = distribution.density(x), x[1] - x[0], distribution.mean, np.log(distribution.sd)
    for t in range(moves):
        sd = np.exp(log_sd)
        q, z = mg.Normal(mean, sd).density(x), (x - mean) / sd
        a = objective.optimum(p, q, x)
        at = a - a[:, None] if objective.paired else a  # beside each real partner
        judged = objective.generator(mg.constant(at)).numpy()
        slopes = q * (p * dx @ judged if objective.paired else judged) * dx
        rate = RATE * min(1.0, 2.0 * (1.0 - t / moves))
        mean -= np.clip(rate * sd * (z @ slopes), -0.05, 0.05)  # sd²: in units of q, as is ln sd
        log_sd -= np.clip(rate * ((z * z - 1.0) @ slopes), -0.05, 0.05)
    return mean, np.exp(log_sd)


def trained(name, steps):
    """(mean, sd) of what a linear G makes after training."""
    sets = (f"target={TARGET}", f"objective={name}", f"steps={steps}", *SETTINGS, *OWN.get(name, ()))
    experiment = Experiment(resolve(environ={}, sets=sets))
    experiment.advance(steps)
    mean, shifted = experiment.generate(np.array([[0.0], [1.0]]))[:, 0]
    return mean, abs(shifted - mean)


def main(steps=6000, moves=1000, figure="divergence_zoo.png"):
    """Print the table, draw; returns {name: ((mean, sd) in theory, (mean, sd) trained)}."""
    distribution, found = mg.parse(TARGET), {}
    print(f"{'':24}between N(0,1) and N(d,1)    normal distribution that G comes to, mean and sd")
    print(f"{'objective':<20}{'d = 1':>12}{'d = 3':>14}{'in theory':>20}{'trained':>17}")
    for name, objective in mg.OBJECTIVES.items():
        found[name] = in_theory(objective, distribution, moves), trained(name, steps)
        costs = f"{cost(objective, 1.0):12.4f}{cost(objective, 3.0):14.4f}"
        print(f"{name:<20}{costs}", *(f"{mean:12.2f}{sd:5.2f}" for mean, sd in found[name]), flush=True)
    off = {name: np.abs(np.subtract(*ends)).max() for name, ends in found.items() if name not in OWN}
    worst = max(off, key=off.get)
    held = "as said" if off[worst] < 0.1 else "NOT as said"
    print(
        f"{held}: but for {' and '.join(OWN)} within 0.1 of theory; farthest is {worst} by {off[worst]:.2f}"
    )
    if figure:
        draw(figure, found)
        print(f"drawn into {figure}")
    return found


def draw(path, found):
    """The curves of each objective; below, costs over distance, and where a normal generator ends."""
    from matplotlib.figure import Figure

    page, a = Figure(figsize=(13.5, 13.0), layout="constrained"), np.linspace(-4.0, 4.0, 201)
    above, below = page.subfigures(2, 1, height_ratios=(1.25, 1))
    panels = above.subplots(-(-len(found) // 5), 5, sharex=True, sharey=True).flat
    for ax, o in zip(panels, map(mg.OBJECTIVES.get, found), strict=False):
        for curve, colour in (("real", "#0072B2"), ("fake", "#D55E00"), ("generator", "k")):
            style = "--" if curve == "generator" else "-"
            ax.plot(a, getattr(o, curve)(mg.constant(a)).numpy(), style, color=colour, label=curve)
        ax.grid(color="#E4E4E4", linewidth=0.6)
        ax.set(ylim=(-4, 4), xlim=(-4, 4))
        ax.set_title(o.name + (" (of a − ã)" if o.paired else ""), fontsize=10, loc="left")
    panels[0].legend(frameon=False, fontsize=8, loc="lower left")
    above.supxlabel("logit a = D(x), large where D believes x is real", fontsize=10)
    above.supylabel("loss: D's at real and at generated data, G's", fontsize=10)
    left, right = below.subplots(1, 2)
    curves = {}  # objectives of one divergence share a curve
    for name in found:
        costs = tuple(cost(mg.OBJECTIVES[name], d) for d in SHIFTS)
        curves.setdefault(np.round(costs, 6).tobytes(), [costs]).append(name)
    for (costs, *names), colour in zip(curves.values(), 2 * COLOURS, strict=False):
        style = "--" if names[0] in UNBOUNDED else "-"
        left.loglog(SHIFTS, costs, style, color=colour, label=",\n".join(names))
    left.set(xlabel="d of N(0, 1) and N(d, 1)", ylabel="divergence", ylim=(1e-4, 100), xlim=(0.05, 6))
    left.set_title("What D can gain; broken lines: without bound", loc="left", fontsize=10)
    left.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
    rows = np.arange(len(found))[::-1]
    for (mean, sd), (m, s), y in zip(*zip(*found.values(), strict=True), rows, strict=True):
        right.barh(y, 2 * sd, 0.3, mean - sd, color="#C8C8C8")
        right.plot(mean, y, "k|", markersize=13, markeredgewidth=1.6)
        right.errorbar(m, y, xerr=s, fmt="o", color="#D55E00", markersize=4, linewidth=1.2, capsize=3)
    right.set_yticks(rows, list(found), fontsize=8)
    right.set(xlabel="x", xlim=(-2.5, 5.5), ylim=(-0.9, len(found) - 0.3))
    right.set_title("Mean ± sd of a normal G: grey in theory, orange trained", loc="left", fontsize=10)
    page.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
