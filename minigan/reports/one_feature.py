"""The panel of densities of a run with one feature."""

import numpy as np
from matplotlib.axes import Axes

from minigan.models.likelihood import closest_normal
from minigan.probability.distributions import Distribution, Normal
from minigan.probability.f_divergences import F_DIVERGENCES
from minigan.probability.mixture import Mixture
from minigan.reports.finished_run import FinishedRun
from minigan.reports.style import (
    GENERATED,
    START,
    TARGET,
    THEORY,
    draw_legend_below,
    format_count,
    format_text,
    set_ticks,
)
from minigan.training.curves import bulk

DIVERGENCES = {"minimax": "js", "non_saturating": "js", "hinge": "total_variation"}  # of objectives
VISIBLE = 1e-3  # share of its peak below which a density is not drawn


def draw_densities(ax: Axes, run: FinishedRun) -> None:
    """Target and generated densities, and the histogram of the values that were judged."""
    frames, x, distribution = run.frames, run.sample[:, 0], run.distribution
    middles, p, average = centres(frames["edges"]), frames["p"], frames["average"][-1]
    low, high = visible_range(frames["edges"], p, average)
    coarse = False
    if distribution is not None:
        # Bins that reach far into tails are wider than the bulk of some distributions and do not resolve it.
        coarse = 4 * (frames["edges"][1] - frames["edges"][0]) > np.ptp(distribution.interval(0.5))
        low, high = _window(low, high, x, distribution)
    bins = np.linspace(low, high, 61)
    heights = np.histogram(x, bins)[0] / (len(x) * np.diff(bins))
    grid, density, name = middles, p, "data (kernel estimate; the rows below)"
    if distribution is not None:
        grid, density, name = _target_density(distribution, bins)
    peak = heights.max() if coarse else average.max()
    top = 1.6 * min(max(density.max(), peak), 3 * density.max())  # a collapsed generator is one spike
    top = max(top, 1.08 * min(heights.max(), 4 * density.max()))
    if distribution is None:
        rows = run.real[:: max(1, len(run.real) // 300), 0]
        ax.plot(rows, np.full(len(rows), -0.02 * top), "|", color=TARGET, markersize=5, alpha=0.6)
    ax.fill_between(grid, density, color=TARGET, alpha=0.3, linewidth=0)
    ax.plot(grid, density, color=TARGET, linewidth=1.2, label=name)
    name = f"histogram of the {format_count(len(x))} judged values"
    outside = float(np.mean((x < low) | (x > high)))
    if outside > 0.02:
        name += f", {outside:.0%} outside".replace("%", " %")
    if heights.max() > top:
        name += f", up to {heights.max():.2g}"
    ax.stairs(heights, bins, color=GENERATED, alpha=0.55, linewidth=0.9, label=name)
    if not coarse:
        name = f"generated q(x), step {format_count(frames['step'][-1])}"
        ax.plot(middles, average, color=GENERATED, linewidth=1.8, label=name)
        name = f"start: q(x), step {format_count(frames['step'][0])}"
        if (highest := frames["q"][0].max()) > top:
            name += f", up to {highest:.2g}"
        ax.plot(middles, frames["q"][0], color=START, linewidth=1, linestyle=(0, (4, 1.5)), label=name)
    if (best := _best_reachable(run)) is not None:
        grid, made = np.linspace(low, high, 400), f"this one {x.mean():.3g}, {x.std():.3g}"
        name = f"the best normal q: mean {best.mean:.3g}, sd {best.sd:.3g}; {made}"
        ax.plot(grid, best.density(grid), color=THEORY, linewidth=1.4, linestyle=":", label=name)
    ax.set(xlim=(low, high), ylim=(-0.04 * top if distribution is None else 0, top))
    ax.set_xlabel(format_text(run.names[0], 60))
    ax.set_ylabel("density")
    ax.set_title("Densities: how well orange covers blue")
    set_ticks(ax.xaxis)
    set_ticks(ax.yaxis)
    draw_legend_below(ax, *ax.get_legend_handles_labels())


def _best_reachable(run: FinishedRun) -> Normal | None:
    """What a G that makes normal distributions alone can come to at best, where the target is none."""
    c, divergence = run.config, DIVERGENCES.get(run.config.objective, run.config.objective)
    normal = c.latent.distribution == "normal" and not (c.generator.widths or c.observation_noise)
    if not normal or divergence not in F_DIVERGENCES or not isinstance(run.distribution, Mixture):
        return None
    return closest_normal(divergence, run.distribution).distribution


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
    return centres(fine), heights, "target p(x)"


def centres(edges: np.ndarray) -> np.ndarray:
    """The middles of bins."""
    return 0.5 * (edges[1:] + edges[:-1])


def visible_range(edges: np.ndarray, *densities: np.ndarray) -> tuple[float, float]:
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
