"""The figure of a sweep: how often each setting succeeded, and how far each run was from the target."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from minigan.reports.style import CHANCE, DPI, GENERATED, format_text, save, style
from minigan.sweeps.sweep import Rate, Results, Sweep

SETTINGS = 40  # of a sweep that are shown, the most successful ones


def draw_sweep(plan: Sweep, found: Results) -> Figure:
    """The runs of a sweep by setting: how often they succeeded, and how far each was from the target."""
    names = [name for name in plan.varied if name != "seed"]
    rates = sorted(found.rates, key=lambda rate: -rate.share)[:SETTINGS]
    with style():
        figure = Figure(figsize=(11.0, 1.9 + 0.34 * max(len(rates), 2)), dpi=DPI)
        shares, distances = figure.subplots(1, 2, sharey=True)
        figure.subplots_adjust(left=0.3, right=0.975, top=1 - 0.85 / figure.get_figheight(),
                               bottom=0.6 / figure.get_figheight(), wspace=0.08)  # fmt: skip
        labels = [", ".join(f"{name} {rate.settings[name]}" for name in names) or plan.name for rate in rates]
        shares.set(yticks=range(len(rates)), yticklabels=[format_text(label, 60) for label in labels])
        _draw_shares(shares, rates, format_text(plan.success, 46))
        _draw_distances(distances, rates, found, names)
        if rates:
            shares.set_ylim(len(rates) - 0.5, -0.5)
        missing = f", {len(found.missing)} missing" if found.missing else ""
        hidden = len(found.rates) - len(rates)
        more = f", the best {len(rates)} of {len(found.rates)} settings" if hidden else ""
        title = format_text(f"{plan.name}: {len(found.rows)} runs{missing}{more}", 120)
        figure.suptitle(title, x=0.02, ha="left", fontsize=13)
    return figure


def save_sweep(path: Path, plan: Sweep, found: Results) -> Path:
    """Write sweep.png into the directory of a sweep.

    Raises:  StorageError – if it cannot be written
    """
    save(draw_sweep(plan, found), path / "sweep.png")
    return path / "sweep.png"


def _draw_shares(ax: Axes, rates: list[Rate], title: str) -> None:
    share = np.array([rate.share for rate in rates])
    bounds = np.array([[rate.share - rate.low, rate.high - rate.share] for rate in rates]).reshape(-1, 2)
    errors, height = np.maximum(bounds.T, 0), np.arange(len(rates))
    ax.errorbar(share, height, xerr=errors, fmt="o", color=GENERATED, capsize=3)
    ax.set(xlim=(-0.02, 1.02), title=title, xlabel="share of runs, with Wilson's 95 % interval")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))


def _draw_distances(ax: Axes, rates: list[Rate], found: Results, names: list[str]) -> None:
    for y, rate in enumerate(rates):
        own = [row for row in found.rows if all(row[name] == rate.settings[name] for name in names)]
        ks = np.array([row["ks"] for row in own if row["ks"] is not None and row["ks"] > 0])
        spread = np.linspace(-0.22, 0.22, len(ks)) if len(ks) > 1 else np.zeros(len(ks))
        ax.scatter(ks, y + spread, s=9, color=CHANCE, linewidths=0, alpha=0.8)
        if rate.median_ks:
            ax.plot(rate.median_ks, y, "|", color=GENERATED, markersize=16, markeredgewidth=2)
    ax.set(xscale="log", title="KS of each run, and their median", xlabel="KS")
    for formatter in (ax.xaxis.set_major_formatter, ax.xaxis.set_minor_formatter):
        formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "125" else ""))
