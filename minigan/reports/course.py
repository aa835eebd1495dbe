"""Panels of the course of a run: the losses, and the distance to the target."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minigan.gan.theory.diagnostics import LN4, implied_js
from minigan.reports.finished_run import FinishedRun
from minigan.reports.style import CHANCE, GENERATED, NEAR, THEORY, D, format_count, set_ticks

LOSS_OF_G = {  # of the cross-entropy's two games: its value at D = ½, and what it is
    "non_saturating": (LN4 / 2, "ln 2", "loss of G: E[−ln D(G(z))]"),
    "minimax": (-LN4 / 2, "−ln 2", "loss of G: E[ln(1 − D(G(z)))]"),
}


def draw_losses(ax: Axes, run: FinishedRun) -> None:
    """The losses, with the levels that mean something: ln 4, and V at the best D there is."""
    m = run.metrics
    objective = run.config.objective
    half, at_half, of_g = LOSS_OF_G.get(objective, (np.nan, "", f"loss of G ({objective})"))
    best = m["value_optimal"][np.isfinite(m["value_optimal"])]
    for level, name, above in (
        (LN4, "ln 4 (D cannot tell)", 3),
        (half, at_half, -12),
    ):
        if not np.isfinite(level):
            continue
        ax.axhline(level, color=CHANCE, linewidth=0.9)
        ax.annotate(
            name, (0.99, level), xycoords=ax.get_yaxis_transform(), xytext=(0, above), ha="right",
            textcoords="offset points", fontsize=8.5, color="#444444",
        )  # fmt: skip
    implied = f"implied JS (ln 4 − V)/2: {implied_js(m['value_fn'][-1]):.4f}"
    of_d = "loss of D" if objective in LOSS_OF_G else "the cross-entropy of σ(D)"
    curves: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("value_fn", f"V(G, D), {of_d}; {implied}", {"color": D, "linewidth": 2.2}),
        ("value_optimal", "ln 4 − 2 JS(p, q): V at D*, its least", {"color": THEORY, "linestyle": "--"}),
        ("g_loss", f"{of_g}, last batch", {"color": GENERATED}),
    )
    if objective not in LOSS_OF_G:
        curves += (("d_loss", f"loss of D ({objective}), last batch", {"color": D, "linestyle": ":"}),)
    for key, label, style in curves:
        if np.isfinite(m[key]).any():
            ax.plot(m["step"], m[key], marker=".", markersize=5, label=label, **{"linewidth": 1.3, **style})
    if "best_value" in run.frames:
        at, value = run.frames["best_step"], run.frames["best_value"]
        ax.plot(at, value, "o", color=D, markeredgecolor=THEORY, zorder=5, label="V of D if G stood still")
    levels = np.concatenate([m[key][np.isfinite(m[key])] for key, *_ in curves])
    low, high = levels.min(initial=np.nan_to_num(half) - 0.2), levels.max(initial=LN4 + 0.1)
    ax.set(ylim=(low - 0.05 * (high - low), high + 0.42 * (high - low)), ylabel="nats")
    _set_steps(ax, m["step"])
    last = m["value_fn"][-1]
    if len(best) and last - best[-1] > NEAR:
        ax.set_title("Losses: V above its least, D could do better")
    elif LN4 - last > NEAR:
        ax.set_title("Losses: V below ln 4, D can tell")
    else:
        ax.set_title("Losses: V at ln 4, D cannot tell")
    set_ticks(ax.yaxis)
    ax.legend(loc="upper right", framealpha=0.85, borderpad=0.3)


def draw_distance(ax: Axes, run: FinishedRun) -> None:
    """KS of the averaged generator over the run, beside what chance alone would show."""
    m, final = run.metrics, run.verdict.ks.statistic
    ks = np.where(m["ks"] > 0, m["ks"], np.nan)
    row = next((row for row in run.verdict.rows if row.name.startswith("KS") and row.bound > 0), None)
    seen = [v for v in (*ks, final, *((row.perfect, row.bound) if row else ())) if v > 0] or [1e-3]
    low, high = min(seen) / 1.6, max(seen) * 1.2
    if row is not None:
        name = f"within the verdict's range: below {row.bound:.3g}"
        ax.axhspan(low, row.bound, color=CHANCE, alpha=0.25, linewidth=0, label=name)
        ax.axhline(row.perfect, color=CHANCE, linewidth=1.2, label=f"their median: {row.perfect:.2g}")
    name = "KS of the averaged generator" + (", worst feature" if run.several else "")
    ax.plot(m["step"], ks, color=GENERATED, linewidth=1.6, marker=".", markersize=5, label=name)
    ax.plot(m["step"][-1], final, "D", color=GENERATED, markeredgecolor="black", clip_on=False, zorder=5,
            label=f"verdict, on new values: KS {final:.2g}")  # fmt: skip
    ax.set_yscale("log")
    ax.set(ylim=(low, high * (high / low) ** 0.5), ylabel="KS")  # a third of the height is the legend's
    ticks = [
        v * 10.0**k
        for k in range(-9, 1)
        for v in (1, 2, 5)
        if low <= v * 10.0**k <= min(1.0, ax.get_ylim()[1])
    ]
    ax.set_yticks(ticks, [f"{v:.12g}" for v in ticks])
    ax.set_yticks([], minor=True)
    _set_steps(ax, m["step"])
    ax.set_title(f"Distance to the {run.target}: grey is as good as it gets")
    ax.legend(loc="upper right", framealpha=0.85, borderpad=0.3)


def _set_steps(ax: Axes, steps: np.ndarray) -> None:
    """Steps on a root scale, on which the beginning of the run shows."""
    last = max(int(steps[-1]), 1)
    ax.set_xscale("function", functions=(lambda t: np.sqrt(np.maximum(t, 0.0)), np.square))
    ax.set_xlim(0, last)
    ticks = sorted({0, last, *(round(float(f"{last * (k / 5) ** 2:.0e}")) for k in range(1, 5))})
    ax.set_xticks(ticks, [format_count(t) if last < 1e5 else f"{t:.3g}" for t in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("step (root scale)")
