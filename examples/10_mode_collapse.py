"""Mode collapse and what helps: eight small clusters on a ring, and generators that find some or all of them.

The first four methods share a game that is made to collapse, as G learns ten times as fast as D: G runs to
where D looks away, D follows, G leaves. Which clusters it has found when it ends is a matter of the seed, and
no seed is safe; judging several samples together (packing) or a D that is imagined some steps ahead
(unrolled) does not mend a game so uneven. One that is held flat by R1 and R2 and learns as fast as G leaves
no slope to run down: it finds all eight in every seed. The last lines hold this against the numbers.

Takes about a minute; a line says what is being trained.

Draws mode_collapse.png into the directory in which it is started.
"""

import sys

import numpy as np

from minigan.evaluation import modes_of
from minigan.probability import ring
from minigan.training.experiment import Ensemble
from minigan.training.settings import resolve

RING = ring(8)
FAST = ("r1=0", "r2=0", "generator_optimizer.rate=0.003", "discriminator_optimizer.rate=0.0003",
        "generator_optimizer.beta1=0.5", "discriminator_optimizer.beta1=0.5",
        "generator_optimizer.beta2=0.999", "discriminator_optimizer.beta2=0.999",
        "schedule.name=constant", "average.name=none")  # fmt: skip
METHODS = {  # what each changes in the preset ring8
    "minimax": (*FAST, "objective=minimax"),
    "non-saturating": FAST,
    "packing 4": (*FAST, "packing=4"),
    "unrolled 5": (*FAST, "unrolled=5", "unrolled_rate=0.3"),
    "R1 + R2": (),
}
COLOURS = ("#882255", "#E69F00", "#CC79A7", "#56B4E9", "#009E73")  # of methods; what is generated is orange


def main(steps=4000, seeds=(0, 1, 2), looks=12, count=2500, methods=METHODS, figure="mode_collapse.png"):
    """Train each method, print, draw; returns {method: ModeCoverage of all seeds at the end}."""
    told, found = modes_of(RING), {}
    perfect = told.coverage(RING.sample(np.random.default_rng(0), (count,)))
    print(f"{RING}, {steps} steps, seeds {', '.join(map(str, seeds))}; high quality: within 3 sd of a centre")
    print(f"{'':<16}{'modes found':>12}{'high quality':>22}{'reverse KL (nats)':>24}")
    for name in methods:
        print(f"training {name}, {len(seeds)} seeds together …", file=sys.stderr, flush=True)
        config = resolve("ring8", environ={}, sets=(f"steps={steps}", *METHODS[name]))
        ensemble = Ensemble.of_seeds(config, seeds)
        path = []
        for k in range(looks):
            ensemble.advance((k + 1) * steps // looks - ensemble.step)
            sample = ensemble.sample(count)
            path.append((ensemble.step, told.coverage(sample)))
        found[name] = path, sample
        print(line(name, path[-1][1]), flush=True)
    print(line("a perfect sampler", perfect))
    ends = {name: path[-1][1] for name, (path, _) in found.items()}
    for said, holds in claims(ends):
        print(f"{'as said' if holds else 'NOT as said'}: {said}")
    if figure:
        draw(figure, found)
        print(f"drawn into {figure}")
    return ends


def claims(ends):
    """(what the first lines of this file say, whether these ends bear it out), of the methods given."""
    captured = {name: np.atleast_1d(coverage.captured) for name, coverage in ends.items()}
    quality = {name: np.atleast_1d(coverage.high_quality) for name, coverage in ends.items()}
    found = []
    if last := [name for name in ends if name == "R1 + R2"]:
        complete = bool((captured[last[0]] == 8).all() and (quality[last[0]] > 0.8).all())
        found.append(("R1 + R2 finds all eight in every seed, 80 % or more of high quality", complete))
    if uneven := [name for name in ends if name != "R1 + R2"]:
        good = [bool(((captured[name] == 8) & (quality[name] > 0.8)).all()) for name in uneven]
        found.append((f"{', '.join(uneven)}: none does in every seed", not any(good)))
    return found


def line(name, coverage):
    """One line of the table: all seeds."""
    modes, quality, kl = (
        np.atleast_1d(v) for v in (coverage.captured, coverage.high_quality, coverage.reverse_kl)
    )
    return (f"{name:<17}{' '.join(map(str, modes)):>11}{' '.join(f'{v:.0%}' for v in quality):>22}"
            f"{' '.join(f'{v:.3f}' for v in kl):>24}")  # fmt: skip


def draw(path, found):
    """What the first seed of each method makes; below, quality and balance on the way, each seed a line."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(13.5, 6.4), layout="constrained")
    above, below = page.subfigures(2, 1, height_ratios=(1, 1.1))
    panels, (left, right) = above.subplots(1, len(found), sharex=True, sharey=True), below.subplots(1, 2)
    for k, (name, (looks, sample)) in enumerate(found.items()):
        panel, colour = np.atleast_1d(panels)[k], COLOURS[k]
        panel.plot(
            *RING.centres.T, "o", color="#0072B2", fillstyle="none", markersize=13, markeredgewidth=0.7
        )
        panel.plot(*sample[0].T, ".", color="#D55E00", markersize=2, alpha=0.5)
        panel.set_title(name, color=colour, fontweight="bold")
        panel.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", xticks=(), yticks=())
        steps, coverage = zip(*looks, strict=True)
        for ax, key in ((left, "high_quality"), (right, "reverse_kl")):
            curves = np.array([getattr(c, key) for c in coverage])
            ax.plot(steps, curves, color=colour, linewidth=0.7, alpha=0.6)
            ax.plot(steps, np.median(curves, axis=1), ".-", color=colour, linewidth=2, label=name)
    best = modes_of(RING).high_quality
    left.axhline(best, color="k", linestyle="--", linewidth=1, label="a perfect sampler")
    left.set(xlabel="step", ylabel="share within 3 sd of a centre", ylim=(0, 1.03))
    right.axhline(np.log(8), color="k", linestyle=":", linewidth=1, label="ln 8: all at one centre")
    right.set(xlabel="step", ylabel="reverse KL over the modes [nats]", yscale="log", ylim=(3e-4, 4))
    for ax, title in ((left, "High quality"), (right, "Balance: 0 where all modes are as frequent")):
        ax.set_title(title + "; bold: median of the seeds", loc="left", fontsize=10)
    handles, labels = (
        a + b[-1:] for a, b in zip(*(x.get_legend_handles_labels() for x in (left, right)), strict=True)
    )
    below.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    page.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
