"""A run as a moving picture: a frame for each of those that it kept, as GIF or MP4."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from minigan.errors import DataError, UnavailableError, quoted
from minigan.evaluation.two_sample import perfect_ks_band
from minigan.gan.objectives import objective as objective_called
from minigan.gan.theory.diagnostics import optimal_discriminator
from minigan.reports.finished_run import FinishedRun
from minigan.reports.one_feature import centres, visible_range
from minigan.reports.orbit import draw_orbit_beneath
from minigan.reports.several_features import field_colours
from minigan.reports.style import (
    CHANCE,
    GENERATED,
    TARGET,
    THEORY,
    D,
    format_count,
    format_text,
    set_ticks,
    style,
)
from minigan.reports.two_numbers import is_dirac, recorded

SIZE, DPI = (8.0, 4.5), 100  # inches, dots per inch: even numbers of pixels, as MP4 wants them
REST = 1.5  # s that the last frame stays
TOP = 1.6  # heights of the target that are shown
WRITERS = {".gif": PillowWriter, ".mp4": FFMpegWriter}
Update = Callable[[int], None]  # shows the frame of that number


def animate(
    run: FinishedRun, path: Path, fps: int, on_frame: Callable[[int], object] = lambda k: None
) -> bytes:
    """The moving picture as a file of the kind that the suffix of ``path`` says.

    on_frame  is told how many frames are drawn

    Raises:  DataError – for a run without frames;  UnavailableError – for MP4 where there is no ffmpeg
    """
    require_writer(path)
    if not np.size(run.frames.get("step", ())):
        raise DataError(
            "this run kept no frames along the way, as those of images do not, nor older ones of several "
            "features; train it anew"
        )
    count = len(run.frames["step"])
    with style(), TemporaryDirectory() as folder:
        figure = Figure(figsize=SIZE, dpi=DPI)
        update, file = draw(figure, run), Path(folder) / f"run{path.suffix}"
        writer = WRITERS[path.suffix](fps=fps)
        with _saving(writer, figure, file):
            for k in [*range(count), *[count - 1] * round(REST * fps)]:
                update(k)
                writer.grab_frame()
                on_frame(k + 1)
        return file.read_bytes()


@contextmanager
def _saving(writer: Any, figure: Figure, file: Path) -> Iterator[None]:
    """matplotlib's own, whose error of a program that failed is a sentence here."""
    from subprocess import CalledProcessError

    try:
        with writer.saving(figure, str(file), DPI):
            yield
    except CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        raise UnavailableError(f"ffmpeg failed: {said[-1][:200] if said else error}") from None


def require_writer(path: Path) -> None:
    """Raises:  UnavailableError – for what ffmpeg makes, where there is none"""
    if path.suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise UnavailableError(
            f"{quoted(path.name)} needs the program ffmpeg (Debian: apt install ffmpeg); "
            "-o FILE.gif works without it"
        )


def draw(figure: Figure, run: FinishedRun) -> Update:
    """Draw what stays, and return what shows a frame."""
    grid = figure.add_gridspec(
        2, 2, left=0.075, right=0.965, top=0.815, bottom=0.115, wspace=0.2, hspace=0.5, width_ratios=(1.25, 1)
    )
    head = figure.text(0.075, 0.975, "", va="top", fontsize=11.5, fontweight="bold")
    figure.text(0.075, 0.915, _legend(run), va="top", fontsize=8.5, color="#444444")
    if run.several:
        updates = [_draw_rows(figure.add_subplot(grid[:, 0]), run)]
    else:
        updates = [
            _draw_densities(figure.add_subplot(grid[0, 0]), run),
            _draw_judgement(figure.add_subplot(grid[1, 0]), run),
        ]
    if is_dirac(run):
        updates.append(_draw_orbit(figure.add_subplot(grid[:, 1]), run))
    else:
        updates.append(_draw_course(figure.add_subplot(grid[0, 1]), run, "ks"))
        updates.append(_draw_course(figure.add_subplot(grid[1, 1]), run, _second(run)))
    name, last = format_text(run.config.name, 40), format_count(run.frames["step"][-1])

    def update(k: int) -> None:
        head.set_text(f"{name}: step {format_count(run.frames['step'][k])} of {last}")
        for each in updates:
            each(k)

    return update


def _legend(run: FinishedRun) -> str:
    what = "D's field: blue where it says real" if "field" in run.frames else ""
    parts = [f"blue: {run.target}", "orange: generated"]
    if not run.several:
        parts.append("green: D" if not _is_critic(run) else "green: σ of the critic")
        parts.append("dashed: the best D" if not _is_critic(run) else "")
    return "   ·   ".join(part for part in [*parts, what] if part)


def _is_critic(run: FinishedRun) -> bool:
    return not objective_called(run.config.objective).says_probability


def _second(run: FinishedRun) -> str:
    return "modes" if run.several and np.isfinite(run.metrics["modes"]).any() else "g_loss"


def _draw_densities(ax: Axes, run: FinishedRun) -> Update:
    f = run.frames
    x, low_high = centres(f["edges"]), visible_range(f["edges"], f["p"], f["average"][-1])
    top = TOP * f["p"].max()
    ax.fill_between(x, f["p"], color=TARGET, alpha=0.3, linewidth=0)
    ax.plot(x, f["p"], color=TARGET, linewidth=1.1)
    (q,) = ax.plot(x, f["q"][0], color=GENERATED, linewidth=1.8)
    (average,) = ax.plot(x, f["average"][0], color=GENERATED, linewidth=1, linestyle=(0, (4, 2)))
    ax.set(xlim=low_high, ylim=(0, top), ylabel="density")
    set_ticks(ax.xaxis, 5)
    set_ticks(ax.yaxis, 3)

    def update(k: int) -> None:
        q.set_ydata(f["q"][k])
        average.set_ydata(f["average"][k])

    return update


def _draw_judgement(ax: Axes, run: FinishedRun) -> Update:
    f, critic = run.frames, _is_critic(run)
    x, low_high = centres(f["edges"]), visible_range(f["edges"], f["p"], f["average"][-1])
    ax.axhline(0.5, color=CHANCE, linewidth=0.8)
    (d,) = ax.plot(x, f["d"][0], color=D, linewidth=1.8)
    (best,) = ax.plot(x, np.full(len(x), np.nan), color=THEORY, linewidth=1.1, linestyle="--")
    ax.set(xlim=low_high, ylim=(-0.03, 1.03), ylabel="σ(a)" if critic else "D(x)")
    ax.set_yticks((0, 0.5, 1), ("0", "½", "1"))
    ax.set_xlabel(format_text(run.names[0], 40))
    set_ticks(ax.xaxis, 5)

    def update(k: int) -> None:
        d.set_ydata(f["d"][k])
        if not critic and run.config.packing == 1:
            best.set_ydata(optimal_discriminator(f["p"], f["q"][k]))

    return update


def _draw_rows(ax: Axes, run: FinishedRun) -> Update:
    f = run.frames
    pair = [int(j) for j in f["pair"]]
    i, j = pair
    real = run.real[:: max(1, len(run.real) // 600)][:600, pair]
    if "field" in f:
        x, y = f["field_x"], f["field_y"]
        colours = field_colours()
        image = ax.pcolormesh(x, y, f["field"][0], cmap=colours, vmin=0, vmax=1, shading="gouraud", zorder=0)
        ax.set(xlim=x[[0, -1]], ylim=y[[0, -1]])
    else:
        ends = np.quantile(np.concatenate([real, run.sample[:, pair]]), (0.002, 0.998), axis=0)
        room = 0.1 * (ends[1] - ends[0]) + 1e-12
        ax.set(xlim=(ends[0, 0] - room[0], ends[1, 0] + room[0]))
        ax.set(ylim=(ends[0, 1] - room[1], ends[1, 1] + room[1]))
    dot: dict[str, Any] = {"markersize": 3, "markeredgewidth": 0, "linestyle": "none", "marker": "o"}
    ax.plot(*real.T, color=TARGET, alpha=0.45, **dot)
    dot |= {"markersize": 3.6, "markeredgewidth": 0.4, "markeredgecolor": "white"}
    (made,) = ax.plot(*f["cloud"][0].T, color=GENERATED, **dot)
    ax.set_xlabel(format_text(run.names[i], 40))
    ax.set_ylabel(format_text(run.names[j], 30))
    set_ticks(ax.xaxis, 5)
    set_ticks(ax.yaxis, 5)

    def update(k: int) -> None:
        made.set_data(*f["cloud"][k].T)
        if "field" in f:
            image.set_array(f["field"][k])

    return update


def _draw_course(ax: Axes, run: FinishedRun, name: str) -> Update:
    titles = {"ks": f"KS to the {run.target}", "modes": "modes captured", "g_loss": "losses of D and G"}
    titles["ks"] += "; grey: perfect" * (not run.several)
    step, frames = run.metrics["step"], run.frames["step"]
    curves = {"g_loss": GENERATED, "d_loss": D} if name == "g_loss" else {name: GENERATED}
    for column, colour in curves.items():
        ax.plot(step, run.metrics[column], color=colour, linewidth=1.2, alpha=0.35)
    lines = [(ax.plot([], [], color=colour, linewidth=1.8)[0], column) for column, colour in curves.items()]
    if name == "ks" and not run.several:
        judged_by = None if run.distribution is not None else len(run.real)
        ax.axhline(perfect_ks_band(run.config.eval_samples, judged_by)[0], color=CHANCE, linewidth=0.9)
    if name == "modes":
        ax.set_ylim(0, np.nanmax(run.metrics[name]) + 0.5)
    if name == "ks" and (run.metrics["ks"] > 0).all():
        ax.set_yscale("log")
        for formatter in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
            formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "125" else ""))
    else:
        set_ticks(ax.yaxis, 4)
    if name == "modes":
        ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set(xlim=(0, max(frames[-1], 1)), title=titles[name])
    ax.title.set_fontsize(9.5)
    if name != "ks":
        ax.set_xlabel("step")
    set_ticks(ax.xaxis, 4)

    def update(k: int) -> None:
        seen = step <= frames[k]
        for line, column in lines:
            line.set_data(step[seen], run.metrics[column][seen])

    return update


def _draw_orbit(ax: Axes, run: FinishedRun) -> Update:
    _, slope, point = recorded(run)
    draw_orbit_beneath(ax, run)
    (path,) = ax.plot([], [], ".-", color=GENERATED, markersize=5, linewidth=1)
    (now,) = ax.plot([], [], "D", color=GENERATED, markeredgecolor="black")
    ax.set(xlabel="slope of D", ylabel="mean of the generated values", title="the two numbers of the game")
    ax.title.set_fontsize(9.5)
    rows = np.searchsorted(run.metrics["step"], run.frames["step"])
    if len(rows) != len(slope):
        raise DataError("the frames of this run are not those of its metrics; train it anew")
    room = 0.08 * (np.ptp(slope) + 1e-9), 0.08 * (np.ptp(point) + 1e-9)
    ax.set(xlim=(slope.min() - room[0], slope.max() + room[0]))
    low, high = min(point.min(), *ax.get_ylim()), max(point.max(), *ax.get_ylim())
    ax.set(ylim=(low - room[1], high + room[1]))
    set_ticks(ax.xaxis, 5)
    set_ticks(ax.yaxis, 5)

    def update(k: int) -> None:
        path.set_data(slope[: k + 1], point[: k + 1])
        now.set_data(slope[k : k + 1], point[k : k + 1])

    return update
