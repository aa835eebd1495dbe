"""Panels of the course of a run: the losses, and the distance to the target."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minigan.gan.objectives import LEVELS
from minigan.gan.objectives import objective as objective_called
from minigan.gan.theory.diagnostics import generator_at_rest, near_rest
from minigan.reports.finished_run import FinishedRun
from minigan.reports.style import (
    CHANCE,
    GENERATED,
    NEAR,
    THEORY,
    D,
    draw_legend_below,
    format_count,
    set_ticks,
)

LAST = 5  # evaluations at the end of a run, of which V is taken together
OF_G = {  # what G minimises, where that has a name of its own
    "non_saturating": "loss of G: E[−ln D(G(z))]",
    "minimax": "loss of G: E[ln(1 − D(G(z)))]",
}


def draw_losses(ax: Axes, run: FinishedRun) -> None:
    """The losses, with the levels that mean something: V where D cannot tell, and V of the best D."""
    m, objective = run.metrics, objective_called(run.config.objective)
    rest, player = objective.divergence, "the critic" if objective.critic else "D"
    half = generator_at_rest(objective)
    levels = {rest.at_rest: f"{rest.level} ({player} cannot tell)"}
    if np.isfinite(half):
        levels.setdefault(half, f"{LEVELS.get(half, f'{half:.3g}'.replace('-', '−'))} (G then)")
    sign, of = ("≈" if objective.critic else "≥"), " of packs" if run.config.packing > 1 else ""
    implied = f"{rest.name}{of} {sign} {rest.implied(m['value_fn'][-1]):z.4f}, by this sample"
    curves: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("value_fn", f"V(G, D), loss of {player}; {implied}", {"color": D, "linewidth": 2.2}),
        (
            "value_optimal",
            _name_least(run),
            {"color": THEORY, "linestyle": "--"},
        ),
        ("g_loss", OF_G.get(objective.name, "loss of G") + ", last batch", {"color": GENERATED}),
    )
    for key, label, style in curves:
        if np.isfinite(m[key]).any():
            ax.plot(m["step"], m[key], marker=".", markersize=5, label=label, **{"linewidth": 1.3, **style})
    low, high = _losses_range(run, *levels)
    if "best_value" in run.frames:
        at, value = run.frames["best_step"], run.frames["best_value"]
        stood = "V of D if G stood still" + (
            "" if low < value[0] < high else f": {value[0]:.2g}, not in view"
        )
        ax.plot(at, value, "o", color=D, markeredgecolor=THEORY, zorder=5, label=stood.replace("-", "−"))
    for level in levels:  # named below: a name beside its line is on a curve sooner or later
        name = ", ".join(levels.values()) if level == rest.at_rest else None
        ax.axhline(level, color=CHANCE, linewidth=0.9, zorder=0, label=name)
    ax.set(ylim=(low, high), ylabel=rest.unit or "loss")
    set_steps(ax, m["step"])
    ax.set_title(f"Losses: {_describe_losses(run)}")
    set_ticks(ax.yaxis)
    draw_legend_below(ax, *ax.get_legend_handles_labels())


def _losses_range(run: FinishedRun, *levels: float) -> tuple[float, float]:
    """What the losses take but for their outermost values, and the levels; the best V where it has an end."""
    m, rest = run.metrics, objective_called(run.config.objective).divergence
    seen = [np.quantile(x, (0.02, 0.98)) for key in ("value_fn", "g_loss") if len(x := _finite(m[key]))]
    ends = np.concatenate([*seen, _finite(np.array(levels))])
    span = np.ptp(ends) or 1.0
    best = _finite(np.append(m["value_optimal"], run.frames.get("best_value", ())))
    bounded = np.isfinite(rest.largest)  # what has no end would leave all else no room
    ends = np.append(ends, best[bounded | (best > ends.min() - span)])
    low, high = float(ends.min()), float(ends.max())
    margin = 0.08 * ((high - low) or 1.0)
    return low - margin, high + margin


def _finite(x: np.ndarray) -> np.ndarray:
    return x[np.isfinite(x)]


def _name_least(run: FinishedRun) -> str:
    """Whose V the dashed line is: of data p and q are smoothed, and no D saw the labels."""
    best = "critic of slope ≤ 1" if objective_called(run.config.objective).critic else "D"
    if run.distribution is None and not run.several:
        return f"V of the best {best} for p and q as smoothed"
    if run.told is not None:
        return f"V(G, D*), of the best {best} that knows no class"
    return f"V(G, D*), of the best {best}: its least"


def _describe_losses(run: FinishedRun) -> str:
    """What V says at the end, beside what a test says of the same generator.

    One evaluation is a sample's, so that of D it is the median of the last few that says something.
    """
    objective, m = objective_called(run.config.objective), run.metrics
    rest, best, value = objective.divergence, m["value_optimal"], m["value_fn"][-1]
    if not np.isfinite(value):
        return "V is not known"
    if objective.critic:
        true = f", true {rest.implied(best[-1]):.2g}" if np.isfinite(best[-1]) else ""
        return f"critic says W₁ ≈ {rest.implied(value):.2g}{true}"
    value = np.median(_finite(m["value_fn"][-LAST:]))
    above = _finite(m["value_fn"] - best)[-LAST:]
    known = run.distribution is not None and run.told is None  # else V* is not that of the best D
    if known and len(above) and not near_rest(objective, np.median(above), NEAR):
        return "V above its least, D could do better"
    if not near_rest(objective, rest.at_rest - value, NEAR):
        return f"V below {rest.level}, D can tell"
    test = ", a test can" if run.verdict.distinguishable else ""
    return f"V at {rest.level}, this D cannot tell{test}"


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
    set_steps(ax, m["step"])
    ax.set_title(f"Distance to the {run.target}: grey is as good as it gets")
    ax.legend(loc="upper right", framealpha=0.85, borderpad=0.3)


def set_steps(ax: Axes, steps: np.ndarray) -> None:
    """Steps on a root scale, on which the beginning of the run shows."""
    last = max(int(steps[-1]), 1)
    ax.set_xscale("function", functions=(lambda t: np.sqrt(np.maximum(t, 0.0)), np.square))
    ax.set_xlim(0, last)
    ticks = [0]  # round numbers, each a fifth of the width or so from the one before
    for k in range(1, 5):
        tick = round(float(f"{last * (k / 5) ** 2:.0e}"))
        if min(np.sqrt(tick) - np.sqrt(ticks[-1]), np.sqrt(last) - np.sqrt(tick)) > 0.12 * np.sqrt(last):
            ticks.append(tick)
    ticks.append(last)
    ax.set_xticks(ticks, [format_count(t) if last < 1e5 else f"{t:.3g}" for t in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("step (root scale)")
