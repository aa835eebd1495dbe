"""A finished run as one HTML file: figures with a slider over its frames, verdict, settings, the command."""

import base64
from collections import ChainMap
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from minigan.errors import UnavailableError
from minigan.evaluation.rows import HEADER, OF_CLASSES, Verdict, format_target
from minigan.gan.objectives import objective as objective_called
from minigan.gan.theory.diagnostics import optimal_discriminator
from minigan.reports.finished_run import FinishedRun, read_finished_run
from minigan.reports.html_page import pairs, repeat, section, table, text_of, whole
from minigan.reports.two_numbers import goal_of, is_dirac, recorded
from minigan.storage.directory import RunDirectory
from minigan.training.config import Config, flatten, to_json
from minigan.training.data import read_configured
from minigan.training.settings import describe_shown
from minigan.views.frame import Frame, LineFrame, PlaneFrame, Scene

ROWS = 400  # of the target, and of a last sample, in a scatter
LOOKS = ("light", "dark")
MOST = 4_900_000  # bytes up to which the printed page has a place in the file as well
WIDE = 630  # pixels of a panel of the plane, of which two stand beside each other
ENVIRONMENT = (
    "minigan", "python", "numpy", "scipy", "platform", "cpu", "cores", "backend_used", "executed",
    "program_threads", "compiler", "dtype", "started", "seconds",
)  # fmt: skip


def run_as_page(run: RunDirectory) -> str:
    """The report on a finished run: HTML that asks for nothing from anywhere.

    Raises:  UnavailableError – without Bokeh;  DataError – for a run that is not finished, or whose data file
             is not there
    """
    require_bokeh()
    finished, rows = read_finished_run(run), run.read_metrics().rows
    c = finished.config
    what = f"data {Path(c.data).name}" if c.data is not None else f"target {format_target(c.target)}"
    facts = [what, f"{finished.metrics['step'][-1]:,.0f} steps".replace(",", " "), f"seed {c.seed}"]
    good = {True: "good", False: "bad", None: ""}[finished.verdict.good_news]
    figures, data = _figures(finished, rows)
    page = run.plots / "overview.png"
    sections = [
        section("From the first step to the last", figures),
        section("Verdict", _verdict(finished.verdict), *_findings(finished.status)),
        section("How to repeat it", *_repeat(finished)),
        section("Settings", _settings(c)),
        section("Environment", pairs(environment_of(finished.status))),
    ]
    outcome = f'<p class="outcome {good}">{escape(finished.verdict.headline.capitalize())}</p>'
    if shown := describe_shown(c, finished.verdict, rows):
        outcome += f'<p class="facts">{escape(shown)}</p>'
    text = whole(c.name, facts, outcome, sections, data)
    if page.is_file() and len(text) + 4 * page.stat().st_size // 3 < MOST:
        text = whole(c.name, facts, outcome, [*sections, section("The page", _png(page))], data)
    return text


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────


def require_bokeh() -> None:
    """Raises:  UnavailableError – where there is nothing to draw with"""
    try:
        import minigan.views.look  # noqa: F401
    except ImportError:
        raise UnavailableError("reports need Bokeh; install it with: pip install 'minigan[ui]'") from None


def _figures(run: FinishedRun, rows: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """The place of the figures with its slider, and what the page's script draws there."""
    from minigan.views.curves import CurvesView
    from minigan.views.file import Store, document, sources_of, stacked
    from minigan.views.line import LineView
    from minigan.views.look import LOOKS as KNOWN
    from minigan.views.plane import PlaneView

    scene, frames = _scene(run), frames_of(run)
    if not frames:
        return "<p>This run kept no frames along the way.</p>", NOTHING
    table, documents, shown = Store(), dict[str, Any](), dict[str, list[Any]]()
    named: set[str] = set()
    line = frames[0].line is not None
    for name in LOOKS:
        look = KNOWN[name]
        view: Any = LineView(scene, look, frames[0]) if line else PlaneView(scene, look, frames[0], WIDE)
        orbit = _orbit(run, look, frames)
        curves = CurvesView(scene, look)
        curves.show_history(rows, findings=_begun(run.status))
        curves.show(frames[0])
        views = [view, curves] if orbit is None else [view, orbit, curves]
        documents[name] = document(stacked(look, *(each.layout for each in views)))
        columns = [dict(ChainMap(*(each.columns(frame) for each in views))) for frame in frames]
        named |= sources_of(columns)
        shown[name] = [table.add(each) for each in columns]
    at = {row["step"]: row for row in rows}
    labels = [_label(frame.step, at.get(frame.step, {})) for frame in frames]
    last = len(frames) - 1
    place = (
        '<div class="transport"><button id="play" type="button">Play</button>'
        f'<input id="frame" type="range" min="0" max="{last}" value="{last}" aria-label="frame">'
        f'<output id="frame-label">{labels[-1]}</output></div><div class="figures" id="figures"></div>'
    )
    data = {"documents": documents, "frames": shown, "labels": labels, "sources": sorted(named)}
    return place, data | {"table": table.packed()}


def _orbit(run: FinishedRun, look: Any, frames: Sequence[Frame]) -> Any:
    """The field and the way of a game of two numbers; None for others."""
    if not is_dirac(run) or run.config.standardise:
        return None
    from minigan.views.orbit import OrbitView

    view = OrbitView(run.config, look, goal_of(run))
    view.show_way(np.array([frame.point for frame in frames]))
    view.show(frames[0])
    return view


NOTHING: dict[str, Any] = {"documents": None, "frames": None, "labels": [], "sources": [], "table": None}


def _label(step: int, row: Mapping[str, Any]) -> str:
    """What stands beside the slider: the step, and the distances measured there."""
    told = [f"step {step:,}".replace(",", " ")]
    told += [
        f"{text} {row[name]:.3g}" for name, text in (("ks", "KS"), ("w1", "W₁")) if row.get(name) is not None
    ]
    told += [f"{row['modes']:g} modes"] if row.get("modes") is not None else []
    return " · ".join(told)


def _scene(run: FinishedRun) -> Scene:
    """What stays the same, measured as the studio does; of several features the pair that the frames show."""
    from dataclasses import replace

    from minigan.views.reader import Reader

    reader = Reader(run.config, read_configured(run.config))
    reader.measure_bands()
    scene = reader.scene
    if run.config.data is not None:  # whoever is given the file need not know where the data are
        scene = replace(scene, target=Path(run.config.data).name)
    if not run.several:
        return scene
    pair = _pair(run)
    return replace(
        scene,
        names=tuple(run.names[j] for j in pair),
        real=run.real[:: max(1, len(run.real) // ROWS)][:ROWS, pair],
        modes=None if run.modes is None else run.modes.centres,
    )


def _pair(run: FinishedRun) -> list[int]:
    if "pair" in run.frames:
        return [int(j) for j in run.frames["pair"]]
    varying = np.flatnonzero(np.ptp(run.real, axis=0) > 0)
    return [int(j) for j in varying[:2]] if len(varying) > 1 else [0, 1]


def frames_of(run: FinishedRun) -> list[Frame]:
    """The frames that a run has kept; of one that kept none the rows of its end."""
    f, c = run.frames, run.config
    if not run.several:
        points = list(zip(*recorded(run)[1:], strict=True)) if is_dirac(run) else [None] * len(f["step"])
        best = c.packing == 1 and objective_called(c.objective).says_probability
        return [
            Frame(
                int(step),
                point=point,
                line=LineFrame(
                    f["edges"], f["p"], q, average, d, optimal_discriminator(f["p"], q) if best else None
                ),
            )
            for step, q, average, d, point in zip(
                f["step"], f["q"], f["average"], f["d"], points, strict=True
            )
        ]
    pair = _pair(run)
    x, y = _window(run, pair)
    if "cloud" not in f:
        d, last = f.get("plane_d"), int(run.metrics["step"][-1])
        return [Frame(last, plane=_plane(run, x, y, run.sample[:ROWS, pair], d))]
    fields = f.get("field", [None] * len(f["step"]))
    return [
        Frame(int(step), plane=_plane(run, x, y, cloud, d))
        for step, cloud, d in zip(f["step"], f["cloud"], fields, strict=True)
    ]


def _plane(run: FinishedRun, x: np.ndarray, y: np.ndarray, rows: np.ndarray, d: Any) -> PlaneFrame:
    captured = None if run.modes is None else run.modes.coverage(rows).good > 0
    return PlaneFrame(x, y, rows, d, captured=captured)


def _window(run: FinishedRun, pair: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The points at which D was read, or the ends of what holds nearly all rows."""
    for names in (("field_x", "field_y"), ("plane_x", "plane_y")):
        if names[0] in run.frames:
            return run.frames[names[0]], run.frames[names[1]]
    rows = np.concatenate([run.real[:, pair], run.sample[:, pair]])
    low, high = np.quantile(rows, (0.002, 0.998), axis=0)
    room = 0.1 * (high - low) + 1e-12
    return np.array([low[0] - room[0], high[0] + room[0]]), np.array([low[1] - room[1], high[1] + room[1]])


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────


def _verdict(verdict: Verdict) -> str:
    rows = table(HEADER, [row.texts for row in verdict.rows])
    classes = table(OF_CLASSES, [part.texts for part in verdict.classes]) if verdict.classes else ""
    return f"{rows}<p>{escape(verdict.sentence)}</p>{classes}"


def _told(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The findings of run.json, which may come from anyone."""
    found = status.get("findings")
    whole = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [one for one in whole if {"name", "since_step", "evidence", "remedy"} <= one.keys()]


def _begun(status: Mapping[str, Any]) -> list[tuple[int, str]]:
    return [
        (one["since_step"], str(one["name"])) for one in _told(status) if isinstance(one["since_step"], int)
    ]


def _findings(status: Mapping[str, Any]) -> list[str]:
    return [
        f'<p class="finding"><b>{escape(str(one["name"]))}</b>, since step {escape(str(one["since_step"]))}: '
        f"{escape(str(one['evidence']))} {escape(str(one['remedy']))}</p>"
        for one in _told(status)
    ]


def _repeat(run: FinishedRun) -> list[str]:
    text = to_json(run.config).decode()
    how = "save the settings below as <code>config.json</code>, then"
    return repeat(run.status.get("command"), how, "minigan train config.json", "config", text)


def _settings(config: Config) -> str:
    """Every setting, bold where it is not the default."""
    usual, rows = flatten(Config()), []
    own = {"target": None} if config.data is not None else {}  # which is not what was learnt
    for name, value in (flatten(config) | own).items():
        kind = "" if value == usual.get(name) or name in ("name", *own) else ' class="set"'
        rows.append(f"<tr{kind}><td>{escape(name)}</td><td>{escape(text_of(value))}</td></tr>")
    return (
        f'<div class="pair"><table class="pairs">{"".join(rows)}</table></div><p>Bold: not the default.</p>'
    )


def environment_of(status: Mapping[str, Any]) -> dict[str, Any]:
    """What a run says that it ran on."""
    found = {name: status[name] for name in ENVIRONMENT if status.get(name) is not None}
    blas = status.get("blas")
    if isinstance(blas, dict):
        found["blas"] = ", ".join(f"{key} {value}" for key, value in blas.items())
    return found


def _png(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="the page on the run" src="data:image/png;base64,{data}">'
