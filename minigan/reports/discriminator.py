"""Panels of D for one feature: at several moments, beside the best D there is."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D

from minigan.gan.objectives import objective as objective_called
from minigan.gan.theory.diagnostics import optimal_discriminator
from minigan.reports.finished_run import FinishedRun
from minigan.reports.one_feature import VISIBLE, centres, visible_range
from minigan.reports.style import (
    CHANCE,
    GENERATED,
    NEAR,
    TARGET,
    THEORY,
    D,
    draw_legend_below,
    format_count,
    format_text,
    patch,
    set_ticks,
)

WITHIN = 0.02  # share of the peak of p + q below which what a critic says does not set the scale


def draw_discriminator(figure: Figure, cell: SubplotSpec, run: FinishedRun) -> None:
    """D and the best D over p and q: at an early moment, between, and at the end.

    On top stands also how a D comes to p/(p+q): one that was trained while that generator stood still, after
    more and more steps. A D that says no probability, such as a critic, is drawn as the numbers that it says.
    """
    frames, moments = run.frames, _moments(run)
    tells = objective_called(run.config.objective).says_probability
    low, high = visible_range(frames["edges"], frames["p"], *(frames["q"][k] for k in moments))
    heights = (1.6, *(1.0 for _ in moments[1:]))  # on top there is most to see
    rows = cell.subgridspec(len(moments), 1, hspace=0.16, height_ratios=heights)
    axes = [figure.add_subplot(rows[row]) for row in range(len(moments))]
    pairs = [(_said(run, frames["d"][k], k), _best(run, k)) for k in moments]
    limits = (0.0, 1.06) if tells else _limits(run, moments, pairs)
    x = centres(frames["edges"])
    for ax, k, (d, best) in zip(axes, moments, pairs, strict=True):
        _draw_masses(ax, run, k)
        ax.axhline(0.5 if tells else 0.0, color=CHANCE, linewidth=0.8)
        ax.plot(x, d, color=D, linewidth=2)
        ax.plot(x, np.clip(best, *limits), color=THEORY, linewidth=1.2, linestyle="--")
        ax.set(xlim=(low, high), ylim=limits)
        step = int(frames["step"][k])
        when = "end" if k == moments[-1] else "then" if k != moments[0] else "early" if step else "start"
        ax.set_ylabel(f"{when}:\nstep {format_count(step)}", fontsize=8.5)
        if ax is axes[-1]:
            ax.set_xlabel(format_text(run.names[0], 60))
        set_ticks(ax.xaxis)
        if ax is not axes[-1]:
            ax.tick_params(labelbottom=False)
            ax.set_xlabel("")
        if tells:
            ax.set_yticks((0, 0.5, 1), ("0", "½", "1"))
        else:
            set_ticks(ax.yaxis, 3)
    learned = _draw_learning(axes[0], run) if tells else []
    said = {Line2D([], [], color=D, linewidth=2): "D(x) of the game" if tells else "a(x), what D says"}
    best_of = {Line2D([], [], color=THEORY, linewidth=1.2, linestyle="--"): _name_best(run)}
    masses = {patch(TARGET): "p", patch(GENERATED): "q in training"}
    handles = said | dict(learned) | best_of | masses
    draw_legend_below(axes[-1], list(handles), list(handles.values()), columns=2)
    axes[0].set_title(_describe(run, tells))


def _moments(run: FinishedRun) -> list[int]:
    """Frames to show: the one where a D was trained to the end, or the first; one halfway; the last.

    Halfway is where D* is first half as far from ½ as early, or in the middle.
    """
    frames = run.frames
    last = len(frames["step"]) - 1
    early = min(int(np.searchsorted(frames["step"], frames.get("best_step", [0])[0])), last)
    off = np.array(
        [_off_half(run, optimal_discriminator(frames["p"], q), k) for k, q in enumerate(frames["q"])]
    )
    halved = np.flatnonzero(off[early:last] <= 0.5 * off[early])
    between = early + int(halved[0]) if len(halved) else (early + last) // 2
    return sorted({early, between, last})


def _draw_masses(ax: Axes, run: FinishedRun, k: int) -> None:
    """p and q of frame k, as filled shapes behind the curves."""
    p, q = run.frames["p"], run.frames["q"][k]
    peak = 1.1 * max(p.max(), min(q.max(), 2 * p.max()))
    for density, colour in ((p, TARGET), (q, GENERATED)):
        ax.fill_between(
            centres(run.frames["edges"]), np.minimum(density / peak, 1.0), color=colour, alpha=0.22,
            linewidth=0, zorder=0, transform=ax.get_xaxis_transform(),
        )  # fmt: skip


def _draw_learning(ax: Axes, run: FinishedRun) -> list[tuple[Line2D, str]]:
    """How D comes to p/(p+q) while G stands still, each curve stronger than the one before."""
    frames = run.frames
    if "best_d" not in frames:
        return []
    curves = [*frames.get("best_path", ()), frames["best_d"]]
    for curve, alpha in zip(curves, np.linspace(0.25, 1.0, len(curves) + 1)[1:], strict=True):
        ax.plot(centres(frames["edges"]), curve, color=D, linewidth=1.3, linestyle=(0, (1, 1)), alpha=alpha)
    after = [format_count(count) for count in frames.get("best_after", ())]
    steps = f", after {', '.join(after)} steps" if after else ""
    return [(Line2D([], [], color=D, linewidth=1.4, linestyle=(0, (1, 1))), f"D if G stood still{steps}")]


def _said(run: FinishedRun, d: np.ndarray, k: int) -> np.ndarray:
    """D as the frame has it, or what it says as a number, less what means nothing in it."""
    objective = objective_called(run.config.objective)
    if objective.says_probability:
        return d
    with np.errstate(divide="ignore"):
        a: np.ndarray = np.log(d) - np.log1p(-d)
    return a - _level(run, a, k)


def _best(run: FinishedRun, k: int) -> np.ndarray:
    """The best that D could say at frame k; NaN where neither p nor q is to be seen."""
    objective, frames = objective_called(run.config.objective), run.frames
    p, q = frames["p"], frames["q"][k]
    seen = (p + q) > VISIBLE * (p + q).max()
    if objective.says_probability:
        return np.where(seen, optimal_discriminator(p, q), np.nan)
    scale = float(np.squeeze(run.units.scale))
    best = objective.optimum(p * scale, q * scale, centres(frames["edges"]) / scale)
    return np.where(seen, best - _level(run, best, k), np.nan)


def _level(run: FinishedRun, a: np.ndarray, k: int) -> float:
    """The mean of a under p and q, which says nothing where only differences of a count; else 0."""
    objective = objective_called(run.config.objective)
    if not (objective.critic or objective.paired):
        return 0.0
    weight = (run.frames["p"] + run.frames["q"][k]) * np.diff(run.frames["edges"]) * np.isfinite(a)
    return float(np.sum(weight * np.where(np.isfinite(a), a, 0.0)) / weight.sum()) if weight.sum() else 0.0


def _limits(
    run: FinishedRun, moments: list[int], pairs: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[float, float]:
    """What D says, and could say, where p or q has weight."""
    values = []
    for k, (d, best) in zip(moments, pairs, strict=True):
        mass = run.frames["p"] + run.frames["q"][k]
        values += [curve[mass > WITHIN * mass.max()] for curve in (d, np.clip(best, -5.0, 5.0))]
    ends = np.concatenate(values)
    ends = ends[np.isfinite(ends)]
    low, high = (float(ends.min()), float(ends.max())) if len(ends) else (-1.0, 1.0)
    margin = 0.12 * ((high - low) or 1.0)
    return low - margin, high + margin


def _name_best(run: FinishedRun) -> str:
    objective = objective_called(run.config.objective)
    if objective.says_probability:
        return "D* = p/(p+q)" + (" as smoothed" if run.distribution is None else "")
    return "the best critic of slope ≤ 1" if objective.critic else "the best a"


def _off_half(run: FinishedRun, d: np.ndarray, k: int = -1) -> float:
    """Mean of |d − ½| over (p + q)/2 at frame k."""
    weight = (run.frames["p"] + run.frames["q"][k]) * np.diff(run.frames["edges"])
    return float(np.nansum(weight * np.abs(d - 0.5)) / weight.sum()) if weight.sum() > 0 else 0.0


def _describe(run: FinishedRun, tells: bool) -> str:
    """What is shown, and what the last frame says, in words; of D only where it is a probability."""
    if run.distribution is None:  # p and q are estimates, whose difference is the smoothing's too
        return f"{'D against D* of' if tells else 'What D says, and the best for'} p and q as smoothed"
    d, best = run.frames["d"][-1], optimal_discriminator(run.frames["p"], run.frames["q"][-1])
    apart = _off_half(run, best) > NEAR
    if not tells:
        critic = objective_called(run.config.objective).critic
        what = "Critic and the best one" if critic else "What D says, and the best"
        return f"{what}: at the end p and q {'differ' if apart else 'are near'}"
    if apart:
        return "D against D* = p/(p+q): at the end p and q differ"
    near = _off_half(run, d) <= NEAR
    return f"D against D* = p/(p+q): at the end {'both near ½' if near else 'D is off ½'}"
