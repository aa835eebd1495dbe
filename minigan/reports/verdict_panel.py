"""Panels of how a run ended: quantiles beside those of the target, and the verdict in words and numbers."""

import math
import re
import textwrap
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from minigan.evaluation.verdict import Row
from minigan.reports.finished_run import Columns, FinishedRun
from minigan.reports.several_features import by_distance
from minigan.reports.style import (
    BAD,
    BESIDE,
    CHANCE,
    GENERATED,
    GOOD,
    THEORY,
    format_text,
    set_ticks,
)

LEVELS = 300  # of a Q-Q plot between its tails
TAIL = 30  # values at each end that a Q-Q plot shows one by one
LEGEND = (0.65, 0.25)  # shares of a panel that the legend of a Q-Q plot takes
FAR = 1e8  # times its range, from which on a true value is taken off the numbers of its row
HEIGHT = 248  # points that sentence and table may take
MODES = ("modes captured", "high-quality share", "reverse KL, modes")  # rows of the verdict
COLUMNS = (0.43, 0.59, 0.79)  # right ends, as shares of the width


def draw_quantiles(ax: Axes, run: FinishedRun, table: Columns) -> None:
    """Quantiles of the sample against those of its target, and where 95 % of perfect samplers have each.

    Of several columns of the table that with the largest KS.
    """
    from scipy.special import betaincinv

    column = by_distance(table)[0][1] if run.several else 0
    x, rows = table.sample[:, column], table.real[:, column]
    quantile: Callable[[np.ndarray], np.ndarray]
    if run.distribution is not None:
        count, size, quantile = len(x), float(len(x)), run.distribution.quantile
    else:
        count, size = min(len(x), len(rows)), len(x) * len(rows) / (len(x) + len(rows))
        quantile = partial(np.quantile, rows, method="weibull")
    ends = np.arange(1, TAIL + 1)
    ranks = np.concatenate([ends, np.linspace(1, count, LEVELS).round(), count + 1 - ends])
    u = np.unique(ranks[(ranks >= 1) & (ranks <= count)]) / (count + 1)
    target, generated = quantile(u), np.quantile(x, u, method="weibull")
    # Order statistics of uniform values follow beta distributions; two samples scatter like one of nm/(n + m)
    # values.
    low, high = (quantile(betaincinv(u * (size + 1), (1 - u) * (size + 1), v)) for v in (0.025, 0.975))
    ax.fill_between(
        target, low, high, color=CHANCE, alpha=0.35, linewidth=0, label="95 % of perfect samplers, pointwise"
    )
    first, last = float(target[0]), float(target[-1])
    ax.plot([first, last], [first, last], color=THEORY, linestyle="--", linewidth=1, label="equal quantiles")
    ax.plot(target, generated, ".", color=GENERATED, markersize=4, label="generated")
    span = (last - first) or 1.0
    # One generated value far outside, or a band of a heavy tail, must not hide all else.
    bottom, top = max(min(first, generated[0]), first - span), min(max(last, generated[-1]), last + span)
    ax.set(xlim=(first - 0.04 * span, last + 0.04 * span), ylim=(bottom - 0.04 * span, top + 0.04 * span))
    ax.set_xlabel(f"quantile of the {run.target}: {format_text(table.names[column], 40)}")
    ax.set_ylabel("quantile of the generated values")
    ax.set_title("Q-Q plot" + (" of the largest KS" if run.several else "") + ": on the line, tails too?")
    set_ticks(ax.xaxis)
    set_ticks(ax.yaxis)
    line = np.linspace(first, last, LEVELS)
    corner = _free_corner(ax, np.append(target, line), np.append(generated, line))
    ax.legend(loc=corner, framealpha=0.85, borderpad=0.3)


def _free_corner(ax: Axes, x: np.ndarray, y: np.ndarray) -> Literal["upper left", "lower right"]:
    """The corner in which the legend of a Q-Q plot covers the fewest of these points."""
    across, up = ax.transAxes.inverted().transform(ax.transData.transform(np.column_stack([x, y]))).T
    upper = np.sum((across < LEGEND[0]) & (up > 1 - LEGEND[1]))
    lower = np.sum((across > 1 - LEGEND[0]) & (up < LEGEND[1]))
    return "lower right" if lower < upper else "upper left"


def draw_verdict(ax: Axes, run: FinishedRun) -> None:
    """The sentence, and the numbers behind it, laid out in points from the top of the panel."""
    v = run.verdict
    ax.set_axis_off()
    ax.set_title(f"Verdict: {describe_outcome(run)}", color=outcome_colour(run))

    def write(x: float, y: float, text: str, **style: Any) -> None:
        style = {"fontsize": 8.5, "va": "top", **style}
        ax.annotate(
            text, (x, 1.0), xycoords="axes fraction", xytext=(0, -y), textcoords="offset points", **style
        )

    # No line ends within "10 000" or before "%".
    sentence = v.sentence if len(v.sentence) <= 480 else f"{v.sentence[:240]} … {v.sentence[-240:]}"
    sentence = re.sub(r"(?<=\d) (?=\d{3}\b|%)", "\N{NO-BREAK SPACE}", format_text(sentence, 500))
    lines = textwrap.wrap(sentence, 60)
    write(0.0, 4, "\n".join(lines), fontsize=9, linespacing=1.3)
    y = 16 + 13 * len(lines)
    missed = "" if v.shortfall is None or run.shown is not None else " ".join(v.shortfall.lines)
    if failure := _describe_failure(run) or missed:
        lines = textwrap.wrap(format_text(failure, 400), 64)
        write(0.0, y - 4, "\n".join(lines), color=BAD if run.shown is None else BESIDE, linespacing=1.3)
        y += 5 + 13 * len(lines)
    heads = ("this\nsample", "perfect\nsampler", "95 %,\ntogether")
    for x, text in zip(COLUMNS, heads, strict=True):
        write(x, y, text, ha="right", color="#444444")
    y += 27
    rows = _in_front(v.rows, max(2, int(HEIGHT - y - 40) // 14), modes=run.modes is not None)
    for row in map(_without_target, rows):
        name, unit = row.name.removesuffix(" (the largest)"), f" ({row.unit})" if row.unit else ""
        write(
            0.0, y, format_text(name + unit if len(name + unit) < 20 else name.replace("normal s", "s"), 20)
        )
        for x, text in zip(COLUMNS, format_row(row), strict=True):
            write(x, y, text.replace("-", "−"), ha="right")
        if row.judges:
            decided = v.good_news is not None
            mark, colour = format_mark(row, decided=decided)
            if decided and run.shown is None:
                write(0.83, y, mark, color=colour, fontweight="bold")
            else:
                write(0.83, y, mark, color=BESIDE)
        y += 14
    hidden = len(v.rows) - len(rows)
    notes = [
        *([f"and {hidden} more row{'s' * (hidden > 1)} in verdict.json"] if hidden else []),
        "distances: median and highest value; moments: true value and range",
        "95 % of perfect samplers are inside in all rows with a range",
    ]
    write(0.0, y + 5, "\n".join(notes), fontsize=8, color="#555555", linespacing=1.3)


def format_mark(row: Row, *, decided: bool) -> tuple[str, str]:
    """Whether a row is inside its range, and the colour; of too few values to decide neither good nor bad."""
    if not decided:
        return "inside" if row.within else "outside", BESIDE
    return ("✓ inside", GOOD) if row.within else ("✗ outside", BAD)


def _without_target(row: Row) -> Row:
    """A row whose true value has more digits than there is room for, as the difference from it."""
    if row.target is None or not row.judges or abs(row.target) < FAR * row.bound or row.bound <= 0:
        return row
    name, value = f"{row.name} − {row.target:.7g}", row.value - row.target
    return Row(name, value, row.perfect - row.target, row.bound, 0.0, row.unit)


def _in_front(rows: tuple[Row, ...], room: int, *, modes: bool) -> tuple[Row, ...]:
    """As many rows as there is room for: what the target is about, then those that are outside."""
    first = [row for row in rows if row.name in MODES] if modes else list(rows[:2])
    others = [row for row in rows if row not in first]
    if len(rows) > room:
        others.sort(key=lambda row: row.within)
    return (*first, *others)[:room]


def describe_outcome(run: FinishedRun) -> str:
    """The verdict in five words."""
    if run.verdict.indistinguishable is None:
        return run.verdict.headline
    if run.verdict.distinguishable:
        return f"can be told from the {run.target}"
    return f"cannot be told from the {'rows it learned' if run.verdict.judged_on_learned else run.target}"


def outcome_colour(run: FinishedRun) -> str:
    """Green where the sample cannot be told from its target, red where it can; grey where too few tell, or
    the rows that it learned cannot, and of a preset that is judged by something else.
    """
    return BESIDE if run.shown is not None else {True: GOOD, False: BAD, None: BESIDE}[run.verdict.good_news]


def _describe_failure(run: FinishedRun) -> str:
    """What went wrong in one line, and the next thing to try; nothing where nothing did.

    run.json may come from anyone, so what is no list of findings is as if there were none.
    """
    found = run.status.get("findings")
    try:
        pairs = [(str(finding["name"]), str(finding["remedy"])) for finding in found or ()]
    except (TypeError, LookupError):
        return ""
    names = ", ".join(name for name, _ in pairs)
    if run.shown is not None and run.shown.holds:
        return f"Found, in what this preset sets out to show: {names}." if pairs else ""
    return f"Found: {names}. Try next: {pairs[0][1]}" if pairs else ""


def format_row(row: Row) -> tuple[str, str, str]:
    """Value, perfect sampler's value and 95 % range, with the digits that the range makes meaningful."""
    if row.target is None:
        return f"{row.value:.3g}", f"{row.perfect:.2g}", f"≤ {row.bound:.3g}" if row.judges else ""
    if not row.judges:
        return format_plain(row.value), format_plain(row.perfect), ""
    if row.unit.startswith("of "):  # a count
        return f"{row.value:.0f}", f"{row.perfect:.0f}", f"± {row.bound:.0f}"
    digits = 1 - math.floor(math.log10(row.bound)) if math.isfinite(row.bound) and row.bound > 0 else 3
    if digits > 6 or abs(row.target) >= 1e9:
        return f"{row.value:.5g}", f"{row.perfect:.5g}", f"± {row.bound:.2g}"
    digits = max(0, digits)
    return f"{row.value:z.{digits}f}", f"{row.perfect:z.{digits}f}", f"± {row.bound:.{digits}f}"


def format_plain(value: float) -> str:
    """Four digits, and all before the point of a number that is not very large."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
