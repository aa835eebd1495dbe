"""The page on a finished run that a person understands at a glance."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from minigan.reports.course import draw_distance, draw_losses
from minigan.reports.discriminator import draw_discriminator
from minigan.reports.finished_run import FinishedRun, read_finished_run
from minigan.reports.one_feature import draw_densities
from minigan.reports.several_features import draw_features, draw_plane, draw_scatter
from minigan.reports.style import DPI, SIZE, format_count, format_text, save, style
from minigan.reports.verdict_panel import describe_outcome, draw_quantiles, draw_verdict, outcome_colour
from minigan.storage.directory import RunDirectory
from minigan.storage.files import storage_error


def overview(run: RunDirectory) -> Figure:
    """One page on a finished run: densities, D beside D*, losses, KS, quantiles, the verdict in plain words.

    Raises:  DataError – if the run is not finished, or its files do not fit each other
    """
    finished = read_finished_run(run)
    with style():
        figure = Figure(figsize=SIZE, dpi=DPI)
        grid = figure.add_gridspec(
            2, 3, left=0.05, right=0.98, top=0.85, bottom=0.065, wspace=0.2, hspace=0.5
        )
        _draw_heading(figure, finished)
        if finished.several:
            draw_scatter(figure.add_subplot(grid[0, 0]), finished)
            if "plane_d" in finished.frames:
                draw_plane(figure.add_subplot(grid[0, 1]), finished)
            else:
                draw_features(figure, grid[0, 1], finished)
        else:
            draw_densities(figure.add_subplot(grid[0, 0]), finished)
            draw_discriminator(figure, grid[0, 1], finished)
        draw_losses(figure.add_subplot(grid[0, 2]), finished)
        draw_distance(figure.add_subplot(grid[1, 0]), finished)
        draw_quantiles(figure.add_subplot(grid[1, 1]), finished)
        draw_verdict(figure.add_subplot(grid[1, 2]), finished)
    return figure


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


def _draw_heading(figure: Figure, run: FinishedRun) -> None:
    c = run.config
    what = f"data {Path(c.data).name}" if c.data is not None else f"target {c.target}"
    facts = [format_text(what, 90), f"{format_count(run.metrics['step'][-1])} steps", f"seed {c.seed}"]
    seconds = run.status.get("seconds")
    if isinstance(seconds, int | float):
        facts.append(f"{seconds:.3g} s")
    top: dict[str, Any] = {"va": "top", "fontweight": "bold"}
    figure.suptitle(format_text(c.name, 64), x=0.05, y=0.975, ha="left", fontsize=17, **top)
    figure.text(0.05, 0.93, "   ·   ".join(facts), ha="left", va="top", fontsize=11, color="#333333")
    outcome, colour = describe_outcome(run), outcome_colour(run)
    figure.text(0.98, 0.965, outcome, ha="right", fontsize=14, color=colour, **top)
