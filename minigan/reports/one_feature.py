"""Panels of a run with one feature: the densities, and D beside the best D there is."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from minigan.gan.objectives import objective as objective_called
from minigan.gan.theory.diagnostics import optimal_discriminator
from minigan.probability.distributions import Distribution
from minigan.reports.finished_run import FinishedRun
from minigan.reports.style import (
    ABOVE,
    BELOW,
    CHANCE,
    GENERATED,
    NEAR,
    START,
    TARGET,
    THEORY,
    D,
    format_count,
    format_text,
    patch,
    set_ticks,
)
from minigan.training.metrics import bulk

VISIBLE = 1e-3  # share of its peak below which a density is not drawn


def draw_densities(ax: Axes, run: FinishedRun) -> None:
    """Target and generated densities, and the histogram of the values that were judged."""
    frames, x, distribution = run.frames, run.sample[:, 0], run.distribution
    centres, p, average = _centres(frames["edges"]), frames["p"], frames["average"][-1]
    low, high = _visible_range(frames["edges"], p, average)
    coarse = False
    if distribution is not None:
        # Bins that reach far into tails are wider than the bulk of some distributions and do not resolve it.
        coarse = 4 * (frames["edges"][1] - frames["edges"][0]) > np.ptp(distribution.interval(0.5))
        low, high = _window(low, high, x, distribution)
    bins = np.linspace(low, high, 61)
    heights = np.histogram(x, bins)[0] / (len(x) * np.diff(bins))
    grid, density, name = centres, p, "data (kernel estimate; the rows below)"
    if distribution is not None:
        grid, density, name = _target_density(distribution, bins)
    peak = heights.max() if coarse else average.max()
    top = 1.6 * min(max(density.max(), peak), 3 * density.max())  # a collapsed generator is one spike
    if distribution is None:
        rows = run.real[:: max(1, len(run.real) // 300), 0]
        ax.plot(rows, np.full(len(rows), -0.02 * top), "|", color=TARGET, markersize=5, alpha=0.6)
    ax.fill_between(grid, density, color=TARGET, alpha=0.3, linewidth=0)
    ax.plot(grid, density, color=TARGET, linewidth=1.2, label=name)
    name = f"histogram of the {format_count(len(x))} judged values"
    outside = float(np.mean((x < low) | (x > high)))
    if outside > 0.02:
        name += f", {outside:.0%} outside".replace("%", " %")
    ax.stairs(heights, bins, color=GENERATED, alpha=0.55, linewidth=0.9, label=name)
    if not coarse:
        name = f"generated q(x), step {format_count(frames['step'][-1])}"
        ax.plot(centres, average, color=GENERATED, linewidth=1.8, label=name)
        name = f"start: q(x), step {format_count(frames['step'][0])}"
        if (highest := frames["q"][0].max()) > top:
            name += f", up to {highest:.2g}"
        ax.plot(centres, frames["q"][0], color=START, linewidth=1, linestyle=(0, (4, 1.5)), label=name)
    ax.set(xlim=(low, high), ylim=(-0.04 * top if distribution is None else 0, top))
    ax.set_xlabel(format_text(run.names[0], 60))
    ax.set_ylabel("density")
    ax.set_title("Densities: how well orange covers blue")
    set_ticks(ax.xaxis)
    set_ticks(ax.yaxis)
    ax.legend(**BELOW)


def _window(low: float, high: float, x: np.ndarray, distribution: Distribution) -> tuple[float, float]:
    """Of what can be seen what holds the bulk of target and sample: a far tail leaves it no room."""
    ends = bulk(distribution, (0.9999, 0.99, 0.98, 0.95, 0.9, 0.8), 15.0)
    sample = np.quantile(x, (0.05, 0.95))
    margin = 0.05 * (ends[1] - ends[0])
    low, high = max(low, min(ends[0], sample[0]) - margin), min(high, max(ends[1], sample[1]) + margin)
    return (low, high) if low < high else (ends[0] - margin, ends[1] + margin)


def _target_density(distribution: Distribution, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Points and heights of the target's density, and a name; means over the bins where it has a pole."""

    def means(edges: np.ndarray) -> np.ndarray:
        heights: np.ndarray = np.diff(distribution.cdf(edges)) / np.diff(edges)
        return heights

    fine = np.linspace(bins[0], bins[-1], 601)
    heights = means(fine)
    if means(np.linspace(bins[0], bins[-1], 6001)).max() > 1.5 * heights.max():  # and so on without end
        return np.repeat(bins, 2)[1:-1], np.repeat(means(bins), 2), "target p(x), means over the bins"
    return _centres(fine), heights, "target p(x)"


def draw_discriminator(figure: Figure, cell: SubplotSpec, run: FinishedRun) -> None:
    """D and D* over p and q, at an early moment above and at the last one below.

    Above stands also what D could know there: a discriminator trained to the end against that generator.
    """
    frames = run.frames
    early = np.searchsorted(frames["step"], frames.get("best_step", [0])[0])
    moments = (min(int(early), len(frames["step"]) - 1), len(frames["step"]) - 1)
    low, high = _visible_range(frames["edges"], frames["p"], *(frames["q"][k] for k in moments))
    objective = objective_called(run.config.objective)
    tells = objective.says_probability
    rows = cell.subgridspec(2, 1, hspace=0.12)
    upper = figure.add_subplot(rows[0])
    lower = figure.add_subplot(rows[1], sharex=upper)
    x, p = _centres(frames["edges"]), frames["p"]
    for ax, k in zip((upper, lower), moments, strict=True):
        q, d = frames["q"][k], frames["d"][k]
        seen = (p + q) > VISIBLE * (p + q).max()
        peak = 1.1 * max(p.max(), min(q.max(), 2 * p.max()))
        for density, colour in ((p, TARGET), (q, GENERATED)):
            ax.fill_between(
                x, np.minimum(density / peak, 1.0), color=colour, alpha=0.22, linewidth=0, zorder=0
            )
        ax.axhline(0.5, color=CHANCE, linewidth=0.8)
        (line_d,) = ax.plot(x, d, color=D, linewidth=2)
        best = np.where(seen, optimal_discriminator(p, q), np.nan)
        (line_best,) = ax.plot(x, best, color=THEORY, linewidth=1.2, linestyle="--")
        ax.set(xlim=(low, high), ylim=(0, 1.06), yticks=(0, 0.5, 1), yticklabels=("0", "½", "1"))
        step = int(frames["step"][k])
        when = "end" if k == moments[1] else "early" if step else "start"
        ax.set_ylabel(f"{when}: step {format_count(step)}\n{'D(x)' if tells else 'σ(a(x))'}")
    upper.tick_params(labelbottom=False)
    lower.set_xlabel(format_text(run.names[0], 60))
    set_ticks(lower.xaxis)
    handles = [line_d, line_best, *(patch(colour) for colour in (TARGET, GENERATED))]
    names = ["D" if tells else "σ(a)", "D* = p/(p+q)" if tells else "p/(p+q)", "p", "q in training"]
    if "best_d" in frames:
        (line,) = upper.plot(x, frames["best_d"], color=D, linewidth=1.4, linestyle=(0, (1, 1)))
        handles.insert(1, line)
        names.insert(1, "D if G stood still" if tells else "a D if G stood still")
    upper.legend(handles, names, ncol=5, **{**ABOVE, "fontsize": 8})
    what = "D against D* = p/(p+q)" if tells else f"{'Critic' if objective.critic else 'D'}, drawn as σ(a)"
    upper.set_title(f"{what}: {_describe_ending(run, tells)}", pad=19)


def _off_half(run: FinishedRun, k: int, d: np.ndarray) -> float:
    """Mean of |d − ½| over (p + q)/2 at frame k."""
    weight = (run.frames["p"] + run.frames["q"][k]) * np.diff(run.frames["edges"])
    return float(np.nansum(weight * np.abs(d - 0.5)) / weight.sum()) if weight.sum() > 0 else 0.0


def _describe_ending(run: FinishedRun, tells: bool) -> str:
    """What the last frame shows, in words; of D only where it is a probability that ought to be ½."""
    d, best = run.frames["d"][-1], optimal_discriminator(run.frames["p"], run.frames["q"][-1])
    if _off_half(run, -1, best) > NEAR:
        return "at the end p and q differ"
    if not tells:
        return "at the end p and q are near"
    return "at the end both near ½" if _off_half(run, -1, d) <= NEAR else "at the end D is off ½"


def _centres(edges: np.ndarray) -> np.ndarray:
    return 0.5 * (edges[1:] + edges[:-1])


def _visible_range(edges: np.ndarray, *densities: np.ndarray) -> tuple[float, float]:
    """The range in which one of the densities is more than a trace of its peak, or has a part of its mass."""
    parts = []
    for density in densities:
        below = np.cumsum(density)
        parts += [density > VISIBLE * density.max(), (below > 5e-3 * below[-1]) & (below < 0.995 * below[-1])]
    seen = np.flatnonzero(np.any(parts, axis=0))
    return (
        (float(edges[seen[0]]), float(edges[seen[-1] + 1]))
        if len(seen)
        else (float(edges[0]), float(edges[-1]))
    )
