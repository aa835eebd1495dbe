"""The page on a finished run that a person understands at a glance."""

from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec

from minigan.errors import ConfigError, nearest, quoted
from minigan.evaluation.rows import format_target
from minigan.reports.classes import (
    draw_class_densities,
    draw_class_discriminators,
    draw_class_distances,
    draw_class_features,
    draw_class_planes,
)
from minigan.reports.course import draw_distance, draw_losses
from minigan.reports.discriminator import draw_discriminator
from minigan.reports.finished_run import FinishedRun, read_finished_run
from minigan.reports.images import draw_images, is_images, statistics_of
from minigan.reports.modes_found import draw_beside, draw_mode_course, draw_mode_shares
from minigan.reports.one_feature import draw_densities
from minigan.reports.orbit import draw_mean, draw_orbit
from minigan.reports.several_features import draw_features, draw_plane, draw_scatter
from minigan.reports.style import BAD, DPI, GOOD, SIZE, Page, format_count, format_text, save, style
from minigan.reports.two_numbers import is_dirac
from minigan.reports.verdict_panel import describe_outcome, draw_quantiles, draw_verdict, outcome_colour
from minigan.storage.directory import RunDirectory
from minigan.storage.files import storage_error

LINE = 185  # characters that a line below the title has room for


def overview(run: RunDirectory) -> Figure:
    """One page on a finished run: densities, D beside D*, losses, KS, quantiles, the verdict in plain words.

    Raises:  DataError – if the run is not finished, or its files do not fit each other
    """
    return draw_page(read_finished_run(run))


def draw_page(finished: FinishedRun) -> Figure:
    """``overview`` of what was read."""
    with style():
        figure = Page(figsize=SIZE, dpi=DPI)
        # under the lower panels as well
        legends = finished.modes is not None or is_dirac(finished) or finished.told is not None
        upper, lower, between = 2.83, 1.97 if legends else 2.83, 1.41  # inches
        grid = figure.add_gridspec(
            2, 3, left=0.05, right=0.98, top=0.85, bottom=0.85 - (upper + between + lower) / SIZE[1],
            wspace=0.2, hspace=2 * between / (upper + lower), height_ratios=(upper, lower),
        )  # fmt: skip
        _draw_heading(figure, finished)
        draw_losses(figure.add_subplot(grid[0, 2]), finished)
        if finished.told is not None:
            _draw_classes(figure, grid, finished)
        elif not finished.several:
            _draw_one_feature(figure, grid, finished)
        elif finished.modes is not None:
            _draw_modes(figure, grid, finished)
        else:
            _draw_rows(figure, grid, finished)
        draw_verdict(figure.add_subplot(grid[1, 2]), finished)
    return figure


def draw_panel(name: str, run: FinishedRun, ax: Axes | None = None) -> Axes:
    """One panel of the page, on axes of the user's or of a figure of its own, which some part into several.

    Raises:  ConfigError – for a name that is none, or that the run has not
    """
    whole, parted = _panels(run)
    if not isinstance(name, str) or name not in {*whole, *parted}:
        raise ConfigError(
            f"there is no panel {quoted(name)} of this run; {nearest(str(name), [*whole, *parted])}"
        )
    if not isinstance(ax, (Axes, NoneType)):
        raise ConfigError(f"ax is one Axes of matplotlib, received {type(ax).__name__}")
    with style():
        if ax is None:
            page = Page(figsize=(6.0, 5.0), dpi=DPI, layout="constrained")
            ax = page.add_subplot()
            ax._repr_png_ = page._repr_png_  # type: ignore[attr-defined]  # what a notebook asks of what is returned
        if name in whole:
            whole[name](ax, run)
            return ax
        figure, cell = ax.figure, ax.get_subplotspec()
        if cell is None or not isinstance(figure, Figure):
            raise ConfigError(
                f"the panel {name!r} parts its axes, which have to be those of a grid, as subplots"
            )
        ax.set_axis_off()
        parted[name](figure, cell, run)
    return ax


def _panels(
    run: FinishedRun,
) -> tuple[
    dict[str, Callable[[Axes, FinishedRun], None]],
    dict[str, Callable[[Figure, SubplotSpec, FinishedRun], None]],
]:
    """The panels that the page of a run has, by name: those on one pair of axes, and those on several."""
    whole: dict[str, Callable[[Axes, FinishedRun], None]] = {
        "losses": draw_losses,
        "distance": draw_distance,
        "quantiles": lambda ax, run: draw_quantiles(ax, run, run.rows),
        "verdict": draw_verdict,
    }
    parted: dict[str, Callable[[Figure, SubplotSpec, FinishedRun], None]] = {}
    if run.told is not None:
        _add_classes(run, whole, parted)
    if not run.several:
        whole["densities"], parted["discriminator"] = draw_densities, draw_discriminator
        if is_dirac(run):
            whole |= {"orbit": draw_orbit, "mean": draw_mean}
        return whole, parted
    whole["scatter"] = draw_scatter
    parted["features"] = lambda figure, cell, run: draw_features(figure, cell, run.rows, run.target)
    if "plane_d" in run.frames:
        whole["plane"] = draw_plane
    if run.modes is not None:
        whole["shares"], parted["modes"] = draw_mode_shares, draw_mode_course
    if is_images(run):
        parted["images"] = draw_images
    return whole, parted


def _add_classes(run: FinishedRun, whole: dict[str, Any], parted: dict[str, Any]) -> None:
    """The panels that only a conditional run has."""
    whole["classes"] = draw_class_distances
    if not run.several:
        parted |= {"class densities": draw_class_densities, "class D": draw_class_discriminators}
        return
    parted["class densities"] = draw_class_features
    if "class_plane" in run.frames:
        parted["class D"] = draw_class_planes


def _draw_classes(figure: Figure, grid: GridSpec, run: FinishedRun) -> None:
    """Of a conditional run: each class, real and made, what D says of it, and its verdict."""
    if not run.several:
        draw_class_densities(figure, grid[0, 0], run)
        draw_class_discriminators(figure, grid[0, 1], run)
    else:
        draw_scatter(figure.add_subplot(grid[0, 0]), run)
        if "class_plane" in run.frames:
            draw_class_planes(figure, grid[0, 1], run)
        else:
            draw_class_features(figure, grid[0, 1], run)
    draw_distance(figure.add_subplot(grid[1, 0]), run)
    draw_class_distances(figure.add_subplot(grid[1, 1]), run)


def _draw_one_feature(figure: Figure, grid: GridSpec, run: FinishedRun) -> None:
    draw_densities(figure.add_subplot(grid[0, 0]), run)
    draw_discriminator(figure, grid[0, 1], run)
    if is_dirac(run):
        draw_orbit(figure.add_subplot(grid[1, 0]), run)
        draw_mean(figure.add_subplot(grid[1, 1]), run)
        return
    draw_distance(figure.add_subplot(grid[1, 0]), run)
    draw_quantiles(figure.add_subplot(grid[1, 1]), run, run.rows)


def _draw_modes(figure: Figure, grid: GridSpec, run: FinishedRun) -> None:
    """Of a target with modes: which were found, with which shares; margins say little of it."""
    if "plane_d" in run.frames:
        draw_beside(figure, grid[0, 0], run)
        draw_plane(figure.add_subplot(grid[0, 1]), run)
    else:
        draw_scatter(figure.add_subplot(grid[0, 0]), run)
        draw_features(figure, grid[0, 1], run.rows, run.target)
    draw_mode_course(figure, grid[1, 0], run)
    draw_mode_shares(figure.add_subplot(grid[1, 1]), run)


def _draw_rows(figure: Figure, grid: GridSpec, run: FinishedRun) -> None:
    """Of several features, or of images: then what is measured on them takes the place of their pixels."""
    images = is_images(run)
    table = statistics_of(run) if images else run.rows
    if images:
        draw_images(figure, grid[0, 0], run)
    else:
        draw_scatter(figure.add_subplot(grid[0, 0]), run)
    if "plane_d" in run.frames:
        draw_plane(figure.add_subplot(grid[0, 1]), run)
    else:
        draw_features(figure, grid[0, 1], table, run.target)
    draw_distance(figure.add_subplot(grid[1, 0]), run)
    draw_quantiles(figure.add_subplot(grid[1, 1]), run, table)


def save_overview(run: RunDirectory) -> Path:
    """Write plots/overview.png of a finished run.

    Raises:  DataError – as ``overview``;  StorageError – if it cannot be written
    """
    path = run.plots / "overview.png"
    figure = overview(run)
    try:
        run.plots.mkdir(exist_ok=True)  # copies of a run lose empty folders
    except OSError as error:
        raise storage_error(error, run.plots) from None
    save(figure, path)
    return path


def _label_of(run: FinishedRun) -> list[str]:
    """How many classes a conditional run has, and by what."""
    if run.told is None:
        return []
    return [format_text(f"{len(run.told.classes)} classes by {run.told.label}", 40)]


def _draw_heading(figure: Figure, run: FinishedRun) -> None:
    c = run.config
    what = f"data {Path(c.data).name}" if c.data is not None else f"target {format_target(c.target)}"
    facts = [
        format_text(what, 90),
        *_label_of(run),
        f"{format_count(run.metrics['step'][-1])} steps",
        f"seed {c.seed}",
    ]
    seconds = run.status.get("seconds")
    if isinstance(seconds, int | float):
        facts.append(f"{seconds:.3g} s")
    top: dict[str, Any] = {"va": "top", "fontweight": "bold"}
    figure.suptitle(format_text(c.name, 64), x=0.05, y=0.975, ha="left", fontsize=17, **top)
    line = "   ·   ".join(facts)
    figure.text(0.05, 0.93, line, ha="left", va="top", fontsize=11, color="#333333")
    outcome, colour, more = describe_outcome(run), outcome_colour(run), ""
    if (shown := run.shown) is not None:
        wanted = format_text(shown.wanted, 90)
        beside = len(line) + len(wanted) + len(outcome) < LINE
        more = f"{wanted};{' ' if beside else chr(10)}it {outcome}"
        outcome = f"{'shows' if shown.holds else 'does not show'} what its preset sets out to"
        colour = GOOD if shown.holds else BAD
    figure.text(0.98, 0.965, outcome, ha="right", fontsize=14, color=colour, **top)
    figure.text(0.98, 0.93, more, ha="right", va="top", fontsize=11, color="#333333")
