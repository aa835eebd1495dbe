"""The page that a person understands at a glance, drawn from a run directory; the only import of matplotlib.

One colour, one meaning, in every panel: blue is the target, orange is generated, green is D, dashed black is
what theory says, and grey is chance: what a perfect sampler of the same size would show.
"""

import io
import json
import math
import os
import re
import textwrap
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from minigan.errors import DataError, shown
from minigan.evaluation.modes import Modes, modes_of
from minigan.evaluation.two_sample import KSResult, ks_statistic
from minigan.evaluation.verdict import Row, Verdict
from minigan.gan.objectives import objective as objective_called
from minigan.gan.theory.diagnostics import LN4, implied_js, optimal_discriminator
from minigan.probability.distributions import Distribution, location_scale
from minigan.probability.text_form import parse
from minigan.profiling import benchmark
from minigan.profiling.timings import Cell, machine
from minigan.profiling.timings import Record as Timings
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory, storage_error, write_atomic
from minigan.sweeps.sweep import Results, Sweep
from minigan.training.config import Config, NetworkConfig, from_json
from minigan.training.experiment import Experiment

TARGET, GENERATED, D = "#0072B2", "#D55E00", "#009E73"  # Okabe & Ito's, apart for every kind of colour vision
THEORY, CHANCE, START = "black", "#8C8C8C", "#E69F00"
GOOD, BAD = "#1B6E3C", "#A50F15"

SIZE, DPI = (15.0, 9.0), 110  # inches, dots per inch
MAX_VERDICT = 2**20  # bytes of verdict.json
FEATURES = 4  # shown side by side
SETTINGS = 40  # of a sweep that are shown, the most successful ones
POINTS = 1500  # of a scatter plot: more hide each other
DOTS = 4000  # of one whose modes are much smaller than the panel
LEVELS = 300  # of a Q-Q plot between its tails
TAIL = 30  # values at each end that a Q-Q plot shows one by one
HEIGHT = 248  # points that sentence and table may take
COLUMNS = (0.43, 0.59, 0.79)  # right ends, as shares of the width
VISIBLE = 1e-3  # share of its peak below which a density is not drawn
FAINT = 0.02  # the least distance of D from ½ that has full colour
NEAR = 0.03  # how far from ½ D and D* may be on average to be called near

ABOVE: dict[str, Any] = {  # a legend between panel and title
    "loc": "lower left", "bbox_to_anchor": (-0.01, 0.98), "frameon": False, "borderpad": 0,
    "columnspacing": 1.2, "handlelength": 1.6, "handletextpad": 0.5,
}  # fmt: skip
PREFIXES = {0: "", 3: " k", 6: " M", 9: " G", 12: " T"}  # of powers of ten
MARKERS = "os^Dv<>p"  # of the lines of one colour
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# The same run gives the same bytes.
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}


@dataclass(frozen=True)
class _Record:
    """What a finished run left behind; its target is ``distribution``, or where None the one behind ``real``.

    ``modes`` are those of a target of several features, where it has any.
    """

    config: Config
    status: dict[str, Any]
    metrics: dict[str, np.ndarray]
    frames: dict[str, np.ndarray]
    sample: np.ndarray
    verdict: Verdict
    distribution: Distribution | None
    real: np.ndarray
    names: tuple[str, ...]
    modes: Modes | None

    @property
    def several(self) -> bool:
        return self.sample.shape[1] > 1

    @property
    def target(self) -> str:
        return "data" if self.config.data is not None else "target"


def overview(run: RunDirectory) -> Figure:
    """One page on a finished run: densities, D beside D*, losses, KS, quantiles, the verdict in plain words.

    Raises:  DataError – if the run is not finished, or its files do not fit each other
    """
    record = _read(run)
    with style():
        figure = Figure(figsize=SIZE, dpi=DPI)
        grid = figure.add_gridspec(
            2, 3, left=0.05, right=0.98, top=0.85, bottom=0.065, wspace=0.2, hspace=0.36
        )
        _heading(figure, record)
        if record.several:
            _scatter(figure.add_subplot(grid[0, 0]), record)
            if "plane_d" in record.frames:
                _plane(figure.add_subplot(grid[0, 1]), record)
            else:
                _features(figure, grid[0, 1], record)
        else:
            _densities(figure.add_subplot(grid[0, 0]), record)
            _discriminator(figure, grid[0, 1], record)
        _losses(figure.add_subplot(grid[0, 2]), record)
        _distance(figure.add_subplot(grid[1, 0]), record)
        _quantiles(figure.add_subplot(grid[1, 1]), record)
        _verdict(figure.add_subplot(grid[1, 2]), record)
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write ``figure`` to a .png, .svg or .pdf file, whole or not at all.

    Raises:  ValueError – for another suffix;  StorageError – if it cannot be written
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in METADATA:
        raise ValueError(f"a figure is written as .png, .svg or .pdf; received {shown(str(path))}")
    buffer = io.BytesIO()
    with style(), warnings.catch_warnings():
        # A column may be named in a script that the font lacks: boxes in a label are no reason to alarm
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format=kind, metadata=METADATA[kind])
    write_atomic(path, buffer.getvalue())


def save_overview(run: RunDirectory) -> Path:
    """Write plots/overview.png of a finished run.

    Raises:  DataError – as ``overview``;  StorageError – if it cannot be written
    """
    path = run.plots / "overview.png"
    figure = overview(run)
    try:
        run.plots.mkdir(mode=0o700, exist_ok=True)  # copies of a run lose empty folders
    except OSError as error:
        raise storage_error(error, run.plots) from None
    save(figure, path)
    return path


def sweep(plan: Sweep, found: Results) -> Figure:
    """The runs of a sweep by setting: how often they succeeded, and how far each was from the target."""
    names = [name for name in plan.varied if name != "seed"]
    rates = sorted(found.rates, key=lambda rate: -rate.share)[:SETTINGS]
    height = np.arange(len(rates))
    labels = [
        _text(", ".join(f"{name} {rate.settings[name]}" for name in names) or plan.name, 60) for rate in rates
    ]
    with style():
        figure = Figure(figsize=(11.0, 1.9 + 0.34 * max(len(rates), 2)), dpi=DPI)
        rows = figure.subplots(1, 2, sharey=True)
        figure.subplots_adjust(left=0.3, right=0.975, top=1 - 0.85 / figure.get_figheight(),
                               bottom=0.6 / figure.get_figheight(), wspace=0.08)  # fmt: skip
        share = np.array([rate.share for rate in rates])
        bounds = np.array([[rate.share - rate.low, rate.high - rate.share] for rate in rates]).reshape(-1, 2)
        rows[0].errorbar(share, height, xerr=np.maximum(bounds.T, 0), fmt="o", color=GENERATED, capsize=3)
        rows[0].set(xlim=(-0.02, 1.02), title=_text(plan.success, 46), yticks=height, yticklabels=labels)
        rows[0].set_xlabel("share of runs, with Wilson's 95 % interval")
        rows[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        for y, rate in zip(height, rates, strict=True):
            own = [row for row in found.rows if all(row[name] == rate.settings[name] for name in names)]
            ks = np.array([row["ks"] for row in own if row["ks"] is not None and row["ks"] > 0])
            spread = np.linspace(-0.22, 0.22, len(ks)) if len(ks) > 1 else np.zeros(len(ks))
            rows[1].scatter(ks, y + spread, s=9, color=CHANCE, linewidths=0, alpha=0.8)
            if rate.median_ks:
                rows[1].plot(rate.median_ks, y, "|", color=GENERATED, markersize=16, markeredgewidth=2)
        rows[1].set(xscale="log", title="KS of each run, and their median", xlabel="KS")
        for formatter in (rows[1].xaxis.set_major_formatter, rows[1].xaxis.set_minor_formatter):
            formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "125" else ""))
        if len(rates):
            rows[0].set_ylim(len(rates) - 0.5, -0.5)
        missing = f", {len(found.missing)} missing" if found.missing else ""
        hidden = len(found.rates) - len(rates)
        more = f", the best {len(rates)} of {len(found.rates)} settings" if hidden else ""
        figure.suptitle(
            _text(f"{plan.name}: {len(found.rows)} runs{missing}{more}", 120), x=0.02, ha="left", fontsize=13
        )
    return figure


def save_sweep(path: Path, plan: Sweep, found: Results) -> Path:
    """Write sweep.png into the directory of a sweep.

    Raises:  StorageError – if it cannot be written
    """
    save(sweep(plan, found), path / "sweep.png")
    return path / "sweep.png"


def bench(record: Timings) -> Figure:
    """What `minigan bench` measured: µs per step against its operations, and where a GPU overtakes the CPU.

    Blue is the CPU, orange a GPU, dashed what the best product or copy that was measured would allow; the
    grey line is where the fastest of both cross.
    """
    kinds = [name for name in benchmark.KINDS if any(cell.what == name for cell in record.cells)]
    rows = -(-max(len(kinds), 1) // 3)
    with style():
        figure = Figure(figsize=(SIZE[0], 1.65 + 3.9 * rows), dpi=DPI)
        height = figure.get_figheight()
        panels = figure.subplots(rows, min(max(len(kinds), 1), 3), squeeze=False).ravel()
        figure.subplots_adjust(
            left=0.05, right=0.985, top=1 - 1.2 / height, bottom=0.55 / height, wspace=0.2, hspace=0.42
        )
        figure.suptitle(_text("The same work on CPU and GPU", 120), x=0.02, y=1 - 0.12 / height, ha="left",
                        va="top", fontsize=13)  # fmt: skip
        half = "" if any(cell.backend != "numpy" for cell in record.cells) else " The CPU half alone."
        key = "Blue: CPU. Orange: GPU. Dashed: as fast as a large product, or a large copy. Bars: quartiles."
        figure.text(0.02, 1 - 0.42 / height, _text(machine(record) + "." + half, 220), va="top")
        figure.text(0.02, 1 - 0.62 / height, key, va="top", color=CHANCE)
        for ax, name in zip(panels, kinds, strict=False):
            _timings(ax, record, name)
        for ax in panels[len(kinds) :]:
            ax.set_axis_off()
    return figure


def _timings(ax: Axes, record: Timings, what: str) -> None:
    """One kind of work, log-log: a line per variant, and per size where there are replicas."""
    cells = [cell for cell in record.cells if cell.what == what and cell.dtype == "float32"]
    many = any(cell.replicas for cell in cells)
    lines: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        net = f"({cell.batch}, {cell.width}), " if many else ""
        lines.setdefault((cell.backend, net + cell.variant), []).append(cell)
    seen = {"numpy": 0, "gpu": 0}
    for (backend, name), line in lines.items():
        side = "numpy" if backend == "numpy" else "gpu"
        line.sort(key=lambda cell: cell.work)
        x = [cell.replicas if many else cell.work for cell in line]
        y = np.array([[1e6 * value for value in (cell.median, cell.low, cell.high)] for cell in line])
        ax.errorbar(
            x, y[:, 0], yerr=np.maximum(np.abs(y[:, 1:].T - y[:, 0]), 0), label=name, markersize=4,
            color=TARGET if side == "numpy" else GENERATED, capsize=2, linewidth=1.2,
            marker=MARKERS[seen[side] % len(MARKERS)], markerfacecolor="white" if seen[side] else None,
        )  # fmt: skip
        seen[side] += 1
    if not many:
        _floor(ax, record, what)
    for found in record.crossovers:
        if found.what == what and found.work is not None:
            alike = (c.flops for c in cells if (c.batch, c.width) == (found.batch, found.width))
            one = next(alike) if many else 1.0
            text = f"R = {found.work / one:.3g}" if many else f"{found.work / 1e6:.3g} MFLOP"
            ax.axvline(found.work / one, color=CHANCE, linewidth=1.0, zorder=0)
            ax.annotate(f"crossover\n{text}", (found.work / one, 0.02), (3, 0), va="bottom", color=CHANCE,
                        xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
    per = "GAN and step" if many else "step" if what == "step" else "call"
    ax.set(xscale="log", yscale="log", title=_text(f"{what}: {benchmark.KINDS[what].about}", 60))
    ax.set(xlabel="GANs at once" if many else f"operations of a {per}", ylabel=f"µs per {per}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: _si(value)))
        axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    ax.legend(frameon=False, fontsize=7.5, loc="upper right" if many else "upper left")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** (0.05 * len(lines)))  # room for the legend


def _si(value: float) -> str:
    """100, 1 k, 10 M."""
    power = max((p for p in PREFIXES if 10.0**p <= value * 1.0001), default=0)
    return f"{value / 10.0**power:g}{PREFIXES[power]}"


def _floor(ax: Axes, record: Timings, what: str) -> None:
    """What the fastest ceiling of each side would allow, dashed."""
    kind = benchmark.KINDS[what]
    sizes = sorted({c.size for c in record.cells if c.what == what}, key=kind.flops)
    for side in ("numpy", "gpu"):
        ceilings = [c for c in record.ceilings if c.dtype == "float32" and not c.tf32]
        ceilings = [c for c in ceilings if (c.backend == "numpy") == (side == "numpy")]
        if ceilings and sizes:
            if kind.bound == "product":
                best = max(c.gflops for c in ceilings)
                floor = [kind.flops(size) / best / 1e3 for size in sizes]
            else:
                best = max(c.gbs for c in ceilings)
                floor = [4 * kind.moved(size) / best / 1e3 for size in sizes]
            ax.plot([kind.flops(size) for size in sizes], floor, "--", linewidth=1.0,
                    color=THEORY if side == "numpy" else GENERATED, zorder=0)  # fmt: skip


def style() -> AbstractContextManager[None]:
    """The look of the page, whatever the user's matplotlibrc says; nothing global stays changed."""
    return matplotlib.rc_context(
        {
            "text.usetex": False,
            "font.family": ["DejaVu Sans"],
            "font.size": 9.0,
            "axes.titlesize": 10.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.labelsize": 9.0,
            "legend.fontsize": 8.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.unicode_minus": True,
            "savefig.bbox": None,
            "savefig.dpi": "figure",
            "figure.facecolor": "white",
            "savefig.facecolor": "auto",
            "svg.hashsalt": "minigan",
        }  # fmt: skip
    )


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────


def _read(run: RunDirectory) -> _Record:
    status, config = run.read_status(), from_json(run.read_config())
    for name in ("verdict.json", "frames.safetensors"):
        if not (run.path / name).is_file():
            raise DataError(
                f"{shown(str(run.path))} has no {name}, which a figure needs (its status is "
                f"{shown(status.get('status', 'unknown'))}); train the run to its end first"
            )
    verdict = _read_verdict(run.path / "verdict.json")
    rows = run.read_metrics().rows
    wanted = ("step", "value_fn", "value_optimal", "d_loss", "g_loss", "ks")
    if not rows or any(name not in rows[0] for name in wanted):
        raise DataError(f"{shown(str(run.path))} holds no metrics of a training run in metrics.jsonl")
    try:
        metrics = {name: np.array([row[name] for row in rows], "float64") for name in wanted}  # null: NaN
    except ValueError:
        raise DataError(f"{shown(str(run.path / 'metrics.jsonl'))} holds text where numbers belong") from None
    frames, _ = checkpoint.load(run.path / "frames.safetensors")
    distribution, modes, real, names = _read_target(config)
    if (
        frames.get("sample", np.empty(0)).ndim != 2
        or len(frames["sample"]) < 2
        or frames["sample"].shape[1] != len(names)
    ):
        raise DataError(
            f"{shown(str(run.path))} holds no sample of {len(names)} features, as its target has; "
            "if the data file was changed since, restore it"
        )
    sample = frames.pop("sample")
    if sample.shape[1] == 1:
        count, bins = np.size(frames.get("step", ())), np.size(frames.get("p", ()))
        curves = dict.fromkeys(("q", "average", "d"), (count, bins))
        best = {"best_step": (1,), "best_d": (bins,), "best_value": (1,)} if "best_step" in frames else {}
        shapes = {"step": (count,), "edges": (bins + 1,), "p": (bins,), **curves, **best}
        if count < 1 or bins < 2 or {name: array.shape for name, array in frames.items()} != shapes:
            raise DataError(
                f"the curves in {shown(str(run.path / 'frames.safetensors'))} do not fit each other"
            )
    if "plane_d" in frames:
        width, height = (np.shape(frames.get(name, ())) for name in ("plane_x", "plane_y"))
        if frames["plane_d"].shape != height + width or len(height) != 1 or min(*width, *height) < 2:
            raise DataError(
                f"D over the plane in {shown(str(run.path / 'frames.safetensors'))} does not fit its axes"
            )
    return _Record(config, status, metrics, frames, sample, verdict, distribution, real, names, modes)


def _read_verdict(path: Path) -> Verdict:
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read(MAX_VERDICT))
        rows = []
        for row in value["rows"]:
            numbers = {key: _number(row[key]) for key in ("value", "perfect", "bound")}
            target = None if row["target"] is None else _number(row["target"])
            rows.append(Row(name=str(row["name"]), unit=str(row["unit"]), target=target, **numbers))
        ks = KSResult(**{key: _number(value["ks"][key]) for key in ("statistic", "pvalue", "location")})
        return Verdict(tuple(rows), ks, _number(value["pvalue"]), str(value["sentence"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{shown(str(path))} is damaged: it is not a verdict; judge the run again") from None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _read_target(
    config: Config,
) -> tuple[Distribution | None, Modes | None, np.ndarray, tuple[str, ...]]:
    """The distribution of one feature, or the modes and rows that judge several, and the features' names."""
    distribution = None if config.data is not None else parse(config.target)
    if isinstance(distribution, Distribution):
        return distribution, None, np.empty((0, 1)), ("x",)
    import msgspec

    from minigan.training.data import read_data

    data = None
    if config.data is not None:
        data = read_data(config.data, columns=config.columns, drop_nonfinite=config.drop_nonfinite)
    # Only the rows that judge are wanted: the smallest networks will do, on the backend that is everywhere.
    bare = NetworkConfig(widths=())
    config = msgspec.structs.replace(config, backend="numpy", generator=bare, discriminator=bare)
    experiment = Experiment(config, data=data)
    return None, modes_of(distribution), np.asarray(experiment.held_out), experiment.names


# ── one feature ─────────────────────────────────────────────────────────────────────────────────────────────


def _densities(ax: Axes, record: _Record) -> None:
    frames, x, distribution = record.frames, record.sample[:, 0], record.distribution
    centres, p, average = _centres(frames["edges"]), frames["p"], frames["average"][-1]
    low, high = _visible(frames["edges"], p, average)
    # Bins that reach into the tails of a distribution without variance are wider than its bulk and do not
    # resolve it.
    coarse = distribution is not None and np.diff(frames["edges"][:2])[0] > location_scale(distribution)[1]
    if distribution is not None and coarse:
        low, high = distribution.interval(0.9)
    if distribution is None:
        grid, density, name = centres, p, "data (kernel estimate; the rows below)"
    else:
        grid, name = np.linspace(low, high, 600), "target p(x)"
        density = distribution.density(grid)
    bins = np.linspace(low, high, 61)
    heights = np.histogram(x, bins)[0] / (len(x) * np.diff(bins))
    peak = heights.max() if coarse else average.max()
    top = 1.6 * min(max(density.max(), peak), 3 * density.max())  # a collapsed generator is one spike
    if distribution is None:
        rows = record.real[:: max(1, len(record.real) // 300), 0]
        ax.plot(rows, np.full(len(rows), -0.02 * top), "|", color=TARGET, markersize=5, alpha=0.6)
    ax.fill_between(grid, density, color=TARGET, alpha=0.3, linewidth=0)
    ax.plot(grid, density, color=TARGET, linewidth=1.2, label=name)
    name = f"histogram of the {_grouped(len(x))} judged values"
    ax.stairs(heights, bins, color=GENERATED, alpha=0.55, linewidth=0.9, label=name)
    if not coarse:
        name = f"generated q(x), step {_grouped(frames['step'][-1])}"
        ax.plot(centres, average, color=GENERATED, linewidth=1.8, label=name)
        name = f"start: q(x), step {_grouped(frames['step'][0])}"
        ax.plot(centres, frames["q"][0], color=START, linewidth=1, linestyle=(0, (4, 1.5)), label=name)
    ax.set(xlim=(low, high), ylim=(-0.04 * top if distribution is None else 0, top))
    ax.set_xlabel(_text(record.names[0], 60))
    ax.set_ylabel("density")
    ax.set_title("Densities: how well orange covers blue")
    _ticks(ax.xaxis)
    _ticks(ax.yaxis)
    ax.legend(loc="upper right", framealpha=0.85, borderpad=0.3)


LOSS_OF_G = {  # of the cross-entropy's two games: its value at D = ½, and what it is
    "non_saturating": (LN4 / 2, "ln 2", "loss of G: E[−ln D(G(z))]"),
    "minimax": (-LN4 / 2, "−ln 2", "loss of G: E[ln(1 − D(G(z)))]"),
}


def _discriminator(figure: Figure, cell: SubplotSpec, record: _Record) -> None:
    """D and D* over p and q, at an early moment above and at the last one below.

    Above stands also what D could know there: a discriminator trained to the end against that generator.
    """
    frames = record.frames
    early = np.searchsorted(frames["step"], frames.get("best_step", [0])[0])
    moments = (min(int(early), len(frames["step"]) - 1), len(frames["step"]) - 1)
    low, high = _visible(frames["edges"], frames["p"], *(frames["q"][k] for k in moments))
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
        ax.set_ylabel(
            f"{'end' if k == moments[1] else 'early' if step else 'start'}: step {_grouped(step)}\nD(x)"
        )
    upper.tick_params(labelbottom=False)
    lower.set_xlabel(_text(record.names[0], 60))
    _ticks(lower.xaxis)
    handles = [line_d, line_best, *(_patch(colour) for colour in (TARGET, GENERATED))]
    tells = objective_called(record.config.objective).log_ratio is not None
    names = ["D" if tells else "σ(a)", "D* = p/(p+q)", "p", "q in training"]
    if "best_d" in frames:
        (line,) = upper.plot(x, frames["best_d"], color=D, linewidth=1.4, linestyle=(0, (1, 1)))
        handles.insert(1, line)
        names.insert(1, "D if G stood still")
    upper.legend(handles, names, ncol=5, **{**ABOVE, "fontsize": 8})
    upper.set_title(f"D against D* = p/(p+q): {_told(record)}", pad=19)


def _off_half(record: _Record, k: int, d: np.ndarray) -> float:
    """Mean of |d − ½| over (p + q)/2 at frame k."""
    weight = (record.frames["p"] + record.frames["q"][k]) * np.diff(record.frames["edges"])
    return float(np.nansum(weight * np.abs(d - 0.5)) / weight.sum()) if weight.sum() > 0 else 0.0


def _told(record: _Record) -> str:
    """What the last frame shows, in words."""
    d, best = record.frames["d"][-1], optimal_discriminator(record.frames["p"], record.frames["q"][-1])
    if _off_half(record, -1, best) > NEAR:
        return "at the end p and q differ"
    return "at the end both near ½" if _off_half(record, -1, d) <= NEAR else "at the end D is off ½"


# ── several features ────────────────────────────────────────────────────────────────────────────────────────


def _scatter(ax: Axes, record: _Record) -> None:
    """The first two features that vary, as many generated rows as real ones."""
    varying = np.flatnonzero(np.ptp(record.real, axis=0) > 0).tolist()
    i, j = varying[:2] if len(varying) > 1 else (0, 1)
    plane = (
        "plane_d" in record.frames
    )  # a distribution, whose curves or modes are thinner than circles and crosses
    count = min(len(record.real), len(record.sample), DOTS if plane else POINTS)
    dot: dict[str, Any] = {"markersize": 3, "markeredgewidth": 0.7, "alpha": 0.6, "markerfacecolor": "none"}
    dot = {"markersize": 2.5, "markeredgewidth": 0, "alpha": 0.5} if plane else dot
    for rows, colour, marker, name in (
        (record.real, TARGET, "o", record.target), (record.sample, GENERATED, "x", "generated")
    ):  # fmt: skip
        rows = rows[:: max(1, len(rows) // count)][:count]
        ax.plot(
            rows[:, i], rows[:, j], "." if plane else marker, color=colour,
            label=f"{name}, {_grouped(len(rows))} rows", **dot,
        )  # fmt: skip
    if plane:  # the window of the panel beside it
        ax.set_xlim(*record.frames["plane_x"][[0, -1]])
        ax.set_ylim(*record.frames["plane_y"][[0, -1]])
        ax.set_aspect("equal", adjustable="box", anchor="W")
        ax.legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, markerscale=3, handletextpad=0.1
        )
    else:
        ax.set_xlim(_range(record.real[:, i], record.sample[:, i]))
        ax.set_ylim(_range(record.real[:, j], record.sample[:, j]))
        ax.legend(loc="best", framealpha=0.85, markerscale=1.8)
    ax.set_xlabel(_text(record.names[i], 60))
    ax.set_ylabel(_text(record.names[j], 40))
    more = "" if len(record.names) == 2 else f", two of {len(record.names)} features"
    found = "orange on blue?"
    if record.modes is not None:
        seen = record.modes.coverage(record.sample)
        found = f"{seen.captured} of {seen.of} modes captured"
    ax.set_title(f"Rows{more}: {found}")
    _ticks(ax.xaxis)
    _ticks(ax.yaxis)


def _plane(ax: Axes, record: _Record) -> None:
    """The last σ(D) at every point of the plane, in the colour of what D takes it for."""
    x, y, d = (record.frames[name] for name in ("plane_x", "plane_y", "plane_d"))
    colours = LinearSegmentedColormap.from_list("verdict of D", [GENERATED, "white", TARGET])
    reach = min(0.5, max(FAINT, float(np.abs(d - 0.5).max())))  # near ½ all would be white
    image = ax.pcolormesh(
        x, y, d, cmap=colours, vmin=0.5 - reach, vmax=0.5 + reach, shading="nearest", rasterized=True
    )
    if record.modes is not None:
        ax.plot(*record.modes.centres.T, "o", markerfacecolor="none", markeredgecolor=THEORY,
                markersize=5, markeredgewidth=0.7)  # fmt: skip
    ax.set_aspect("equal", adjustable="box", anchor="W")
    ax.set_xlabel(_text(record.names[0], 60))
    ax.set_ylabel(_text(record.names[1], 40))
    ends = [0.5 - reach, 0.5, 0.5 + reach]
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.04, 0.0, 0.05, 1.0)), ticks=ends)
    names = (f"{ends[0]:.2g}: generated?", "½: cannot tell", f"{ends[2]:.2g}: real?")
    bar.ax.set_yticklabels(names, fontsize=8.5)
    ax.set_title("D(x, y) at the end, in the colour it sees")
    _ticks(ax.xaxis)
    _ticks(ax.yaxis)


def _features(figure: Figure, cell: SubplotSpec, record: _Record) -> None:
    """Histograms of the features, those with the largest KS first."""
    worst = _by_distance(record)[:FEATURES]
    columns = 1 if len(worst) < 3 else 2
    grid = cell.subgridspec(2, columns, hspace=0.62, wspace=0.16)
    axes = [figure.add_subplot(grid[k // columns, k % columns]) for k in range(len(worst))]
    for ax, (ks, j) in zip(axes, worst, strict=True):
        real, generated = record.real[:, j], record.sample[:, j]
        low, high = _range(real, generated)
        bins = np.linspace(low, high, 41)
        for x, style in (
            (real, {"fill": True, "alpha": 0.3, "color": TARGET}),
            (generated, {"color": GENERATED}),
        ):
            ax.stairs(np.histogram(x, bins)[0] / (len(x) * np.diff(bins)), bins, linewidth=1.4, **style)
        ax.set(xlim=(low, high), yticks=())
        ax.set_xlabel(f"{_text(record.names[j], 50 // columns)}  (KS {ks:.2g})", labelpad=2, fontsize=8.5)
        _ticks(ax.xaxis, 6 // columns + 1)
        ax.tick_params(labelsize=8)
    more = "" if len(worst) == len(record.names) else f", the {len(worst)} worst of {len(record.names)}"
    axes[0].set_title(f"Densities of the features{more}", pad=19)
    handles = [_patch(TARGET), Line2D([], [], color=GENERATED)]
    axes[0].legend(handles, [record.target, "generated"], ncol=2, **ABOVE)


def _by_distance(record: _Record) -> list[tuple[float, int]]:
    """(KS, feature) of every feature, the largest first."""
    pairs = enumerate(zip(record.sample.T, record.real.T, strict=True))
    return sorted(((ks_statistic(a, b), j) for j, (a, b) in pairs), key=lambda pair: -pair[0])


# ── the course of the run ───────────────────────────────────────────────────────────────────────────────────


def _losses(ax: Axes, record: _Record) -> None:
    m = record.metrics
    objective = record.config.objective
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
    if "best_value" in record.frames:
        at, value = record.frames["best_step"], record.frames["best_value"]
        ax.plot(at, value, "o", color=D, markeredgecolor=THEORY, zorder=5, label="V of D if G stood still")
    levels = np.concatenate([m[key][np.isfinite(m[key])] for key, *_ in curves])
    low, high = levels.min(initial=np.nan_to_num(half) - 0.2), levels.max(initial=LN4 + 0.1)
    ax.set(ylim=(low - 0.05 * (high - low), high + 0.42 * (high - low)), ylabel="nats")
    _steps(ax, m["step"])
    last = m["value_fn"][-1]
    if len(best) and last - best[-1] > NEAR:
        ax.set_title("Losses: V above its least, D could do better")
    elif LN4 - last > NEAR:
        ax.set_title("Losses: V below ln 4, D can tell")
    else:
        ax.set_title("Losses: V at ln 4, D cannot tell")
    _ticks(ax.yaxis)
    ax.legend(loc="upper right", framealpha=0.85, borderpad=0.3)


def _distance(ax: Axes, record: _Record) -> None:
    m, final = record.metrics, record.verdict.ks.statistic
    ks = np.where(m["ks"] > 0, m["ks"], np.nan)
    row = next((row for row in record.verdict.rows if row.name.startswith("KS") and row.bound > 0), None)
    seen = [v for v in (*ks, final, *((row.perfect, row.bound) if row else ())) if v > 0] or [1e-3]
    low, high = min(seen) / 1.6, max(seen) * 1.2
    if row is not None:
        name = f"95 % of perfect samplers: below {row.bound:.3g}"
        ax.axhspan(low, row.bound, color=CHANCE, alpha=0.25, linewidth=0, label=name)
        ax.axhline(row.perfect, color=CHANCE, linewidth=1.2, label=f"their median: {row.perfect:.2g}")
    name = "KS of the averaged generator" + (", worst feature" if record.several else "")
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
    _steps(ax, m["step"])
    ax.set_title(f"Distance to the {record.target}: grey is as good as it gets")
    ax.legend(loc="upper right", framealpha=0.85, borderpad=0.3)


def _steps(ax: Axes, steps: np.ndarray) -> None:
    """Steps on a root scale, on which the beginning of the run shows."""
    last = max(int(steps[-1]), 1)
    ax.set_xscale("function", functions=(lambda t: np.sqrt(np.maximum(t, 0.0)), np.square))
    ax.set_xlim(0, last)
    ticks = sorted({0, last, *(round(float(f"{last * (k / 5) ** 2:.0e}")) for k in range(1, 5))})
    ax.set_xticks(ticks, [_grouped(t) if last < 1e5 else f"{t:.3g}" for t in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("step (root scale)")


# ── quantiles ───────────────────────────────────────────────────────────────────────────────────────────────


def _quantiles(ax: Axes, record: _Record) -> None:
    """Quantiles of the sample against those of its target, and where 95 % of perfect samplers have each."""
    from scipy.special import betaincinv

    feature = _by_distance(record)[0][1] if record.several else 0
    x, rows = record.sample[:, feature], record.real[:, feature]
    quantile: Callable[[np.ndarray], np.ndarray]
    if record.distribution is not None:
        count, size, quantile = len(x), float(len(x)), record.distribution.quantile
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
    ax.set_xlabel(f"quantile of the {record.target}: {_text(record.names[feature], 40)}")
    ax.set_ylabel("quantile of the generated values")
    ax.set_title(
        "Q-Q plot" + (" of the worst feature" if record.several else "") + ": on the line, tails too?"
    )
    _ticks(ax.xaxis)
    _ticks(ax.yaxis)
    ax.legend(loc="best", framealpha=0.85, borderpad=0.3)


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────


def _heading(figure: Figure, record: _Record) -> None:
    c, status = record.config, record.status
    what = f"data {Path(c.data).name}" if c.data is not None else f"target {c.target}"
    facts = [_text(what, 90), f"{_grouped(record.metrics['step'][-1])} steps", f"seed {c.seed}"]
    if isinstance(status.get("seconds"), int | float):
        facts.append(f"{status['seconds']:.3g} s")
    verdict = _word(record)
    figure.suptitle(_text(c.name, 64), x=0.05, y=0.975, ha="left", va="top", fontsize=17, fontweight="bold")
    figure.text(0.05, 0.93, "   ·   ".join(facts), ha="left", va="top", fontsize=11, color="#333333")
    figure.text(
        0.98, 0.965, verdict, ha="right", va="top", fontsize=14, fontweight="bold", color=_mood(record)
    )


def _word(record: _Record) -> str:
    return f"{'can' if record.verdict.distinguishable else 'cannot'} be told from the {record.target}"


def _mood(record: _Record) -> str:
    return BAD if record.verdict.distinguishable else GOOD


def _verdict(ax: Axes, record: _Record) -> None:
    """The sentence, and the numbers behind it, laid out in points from the top of the panel."""
    v = record.verdict
    ax.set_axis_off()
    ax.set_title(f"Verdict: {_word(record)}", color=_mood(record))

    def write(x: float, y: float, text: str, **style: Any) -> None:
        style = {"fontsize": 8.5, "va": "top", **style}
        ax.annotate(
            text, (x, 1.0), xycoords="axes fraction", xytext=(0, -y), textcoords="offset points", **style
        )

    # No line ends within "10 000" or before "%".
    sentence = v.sentence if len(v.sentence) <= 480 else f"{v.sentence[:240]} … {v.sentence[-240:]}"
    sentence = re.sub(r"(?<=\d) (?=\d{3}\b|%)", "\N{NO-BREAK SPACE}", _text(sentence, 500))
    lines = textwrap.wrap(sentence, 60)
    write(0.0, 4, "\n".join(lines), fontsize=9, linespacing=1.3)
    y = 16 + 13 * len(lines)
    if failure := _failure(record):
        lines = textwrap.wrap(_text(failure, 300), 64)
        write(0.0, y - 4, "\n".join(lines), color=BAD, linespacing=1.3)
        y += 5 + 13 * len(lines)
    heads = ("this\nsample", "perfect\nsampler", "95 % of\nthese")
    for x, text in zip(COLUMNS, heads, strict=True):
        write(x, y, text, ha="right", color="#444444")
    y += 27
    distances, moments = v.rows[:2], v.rows[2:]
    room = max(2, int(HEIGHT - y - 40) // 14)
    if len(v.rows) > room:
        moments = tuple(sorted(moments, key=lambda row: row.within))
    rows = (*distances, *moments)[:room]
    for row in rows:
        name, unit = row.name.removesuffix(" (the largest)"), f" ({row.unit})" if row.unit else ""
        write(0.0, y, _text(name + unit if len(name + unit) < 20 else name, 22))
        for x, text in zip(COLUMNS, _cells(row), strict=True):
            write(x, y, text.replace("-", "−"), ha="right")
        mark, colour = ("✓ inside", GOOD) if row.within else ("✗ outside", BAD)
        write(0.83, y, mark, color=colour, fontweight="bold")
        y += 14
    hidden = len(v.rows) - len(rows)
    notes = [
        *([f"and {hidden} more rows in verdict.json"] if hidden else []),
        "distances: median and 95 % value; moments: true value and 95 % range",
        "one row in twenty is outside by chance: the test above decides",
    ]
    write(0.0, y + 5, "\n".join(notes), fontsize=8, color="#555555", linespacing=1.3)


def _failure(record: _Record) -> str:
    """What went wrong in one line, and the next thing to try; nothing where nothing did.

    run.json may come from anyone, so what is no list of findings is as if there were none.
    """
    found = record.status.get("findings")
    try:
        pairs = [(str(finding["name"]), str(finding["remedy"])) for finding in found or ()]
    except (TypeError, LookupError):
        return ""
    names = ", ".join(name for name, _ in pairs)
    return f"Found: {names}. Try next: {pairs[0][1]}" if pairs else ""


def _cells(row: Row) -> tuple[str, str, str]:
    """Value, perfect sampler's value and 95 % range, with the digits that the range makes meaningful."""
    if row.target is None:
        return f"{row.value:.3g}", f"{row.perfect:.2g}", f"≤ {row.bound:.3g}"
    if row.unit.startswith("of "):  # a count
        return f"{row.value:.0f}", f"{row.perfect:.0f}", f"± {row.bound:.0f}"
    digits = 1 - math.floor(math.log10(row.bound)) if math.isfinite(row.bound) and row.bound > 0 else 3
    if digits > 6 or abs(row.target) >= 1e9:
        return f"{row.value:.5g}", f"{row.perfect:.5g}", f"± {row.bound:.2g}"
    digits = max(0, digits)
    return f"{row.value:.{digits}f}", f"{row.perfect:.{digits}f}", f"± {row.bound:.{digits}f}"


# ── small things ────────────────────────────────────────────────────────────────────────────────────────────


def _centres(edges: np.ndarray) -> np.ndarray:
    return 0.5 * (edges[1:] + edges[:-1])


def _visible(edges: np.ndarray, *densities: np.ndarray) -> tuple[float, float]:
    """The range in which one of the densities is more than a trace of its peak."""
    seen = np.flatnonzero(np.any([density > VISIBLE * density.max() for density in densities], axis=0))
    return (
        (float(edges[seen[0]]), float(edges[seen[-1] + 1]))
        if len(seen)
        else (float(edges[0]), float(edges[-1]))
    )


def _range(*samples: np.ndarray) -> tuple[float, float]:
    """The range of all but the outermost values, with a margin."""
    ends = [np.quantile(sample, (0.002, 0.998)) for sample in samples]
    low, high = min(float(low) for low, _ in ends), max(float(high) for _, high in ends)
    margin = 0.06 * (high - low) or 0.5 * max(abs(low), 1.0)
    return low - margin, high + margin


def _ticks(axis: Axis, count: int = 6) -> None:
    """Few ticks, each written out; a power of ten goes to the label, since an offset is easily overlooked."""
    power = math.floor(math.log10(max(*map(abs, axis.get_view_interval()), 1e-300)))
    power = 0 if -4 < power < 6 else power
    if power:
        axis.set_label_text(f"{axis.get_label_text()} / 10{str(power).translate(SUPERSCRIPTS)}")
    unit = 10.0**power
    axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:.10g}".replace("-", "−")))


def _patch(colour: str) -> Patch:
    return Patch(facecolor=colour, alpha=0.35, linewidth=0)


def _text(text: str, width: int) -> str:
    """``text`` on one line, shortened, and not read as mathematics: a column may well be called "$x_{"."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return (line if len(line) <= width else line[: width - 1] + "…").replace("$", r"\$")


def _grouped(count: float) -> str:
    return f"{count:,.0f}".replace(",", " ")
