"""Why plain GANs circle, and what stops them: the smallest GAN, its eigenvalues, its phase portraits.

All data are 0, G makes θ, D's logit is ψ x. `minigan.gan.theory.dirac` plays this game with the engine and
takes the exact Jacobian at rest: imaginary eigenvalues circle, a negative real part arrives. That is said of
the flow close to rest; beside it stands how far from rest steps from (ψ, θ) = (0, 1) still go in the end.
The two need not agree: without a penalty alternating steps circle and simultaneous ones leave; curvature
draws some inwards; WGAN-GP, whose D is never flat, orbits. Takes about half a minute.

Draws dirac.png into the directory in which it is started.
"""

import numpy as np

from minigan.gan.theory.dirac import DIRAC
from minigan.gan.theory.dynamics import portrait

SHOWN = ("GAN", "non-saturating", "WGAN", "WGAN-GP", "R1", "R1 + R2", "consensus", "instance noise")
START, RATE, STEPS, REACH = (0.0, 1.0), 0.2, 600, 2.0  # (ψ, θ) at the start
DRAWN, LAP = 150, 100  # of the steps; more than a turn of every method
COLOURS = {"simultaneous": "#CC79A7", "alternating": "#009E73"}


def text(values):
    """A pair of eigenvalues as text."""
    a, b = np.round(values, 3) + 0.0  # no −0
    if a.imag == 0.0:
        return f"{a.real:g}, {b.real:g}".replace("-", "−")
    real = f"{a.real:g} " if a.real else ""
    return f"{real}± {a.imag:g}i".replace("-", "−")


def fate(path):
    """What a path (steps, 2) comes to, in a word, and how far from rest its last lap went."""
    distances = np.hypot(*path.T)
    before, last = distances[: -3 * LAP][-LAP:].max(initial=0.0), distances[-LAP:].max()
    if last < 0.01:
        return "arrives", last
    if abs(last - before) < 0.01 * before:
        return ("orbits" if np.ptp(path[-LAP:], axis=0).min() > 0.01 else "rests"), last
    return ("leaves" if last > before else "nears"), last


def draw(figure, paths):
    """Vector fields with the paths of simultaneous and of alternating steps."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(13.0, 7.2), layout="constrained")
    axes = page.subplots(2, len(SHOWN) // 2, sharex=True, sharey=True)
    line = np.linspace(-REACH, REACH, 31)
    for panel, name in zip(axes.flat, SHOWN, strict=True):
        row = DIRAC[name]
        game = row.game(row.γ)
        ψ, θ, v_ψ, v_θ = portrait(game, line, line)
        panel.streamplot(θ[0], ψ[:, 0], v_θ, v_ψ, color="#C8C8C8", linewidth=0.7, density=0.8, arrowsize=0.7)
        for order, colour in COLOURS.items():
            path = paths[name, order][: DRAWN + 1]
            panel.plot(path[:, 1], path[:, 0], ".-", color=colour, linewidth=0.8, markersize=2.5, label=order)
        panel.plot(START[1], START[0], "o", color="black", markersize=5, label="start")
        panel.plot(0, 0, "k+", markersize=11, markeredgewidth=1.6, label="G makes the data, D is flat")
        λ = text(game.stability([0, 0], RATE).eigenvalues)
        said = f"λ = {λ}" if row.eigenvalues else "no λ: a kink at ψ = 0"
        panel.set_title(f"{name}{f', γ = {row.γ:g}' if row.γ else ''}\n{said}", fontsize=10)
        panel.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
        panel.label_outer()
    page.supxlabel("θ, what G makes")
    page.supylabel("ψ, the slope of D")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    page.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    page.savefig(figure, dpi=110)


def main(steps=STEPS, figure="dirac.png"):
    """Print the table and draw the portraits, unless ``figure`` is None; returns {(method, order): fate}."""
    paths, found = {}, {}
    print(
        f"steps of {RATE} from ψ = {START[0]:g}, θ = {START[1]:g}; after {steps}, their distance from rest:"
    )
    print(f"{'method':<17} {'γ':>4}  {'eigenvalues':<16} {'flow':<11}", *(f"{o:>18}" for o in COLOURS))
    for name, row in DIRAC.items():
        game = row.game(row.γ)
        for order in COLOURS:
            paths[name, order] = game.trajectory(START, RATE, steps, order)
            found[name, order] = fate(paths[name, order])
        λ, flow = "none", ""
        if row.eigenvalues:
            λ, flow = text(game.stability([0, 0], RATE).eigenvalues), row.flow
        ends = (f"{word} {distance:10.2g}" for word, distance in (found[name, order] for order in COLOURS))
        print(f"{name:<17} {row.γ or '':>4}  {λ:<16} {flow:<11}", *(f"{end:>18}" for end in ends), flush=True)
    if figure:
        draw(figure, paths)
        print(f"phase portraits: {figure}")
    return found


if __name__ == "__main__":
    main()
