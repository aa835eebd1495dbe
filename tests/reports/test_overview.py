"""The overview page: drawn for every kind of run, true in its titles, and refused for what is not a run."""

import json
import math
import re
import shutil
import xml.etree.ElementTree as xml
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.pages import overlaps
from minigan.errors import CheckpointError, DataError, StorageError
from minigan.evaluation.modes import modes_of
from minigan.evaluation.verdict import Row
from minigan.gan.theory.diagnostics import optimal_discriminator
from minigan.probability.distributions import Normal
from minigan.probability.planar import ring
from minigan.probability.text_form import parse
from minigan.reports import finished_run, images, one_feature, orbit, several_features, style
from minigan.reports import overview as page
from minigan.reports.discriminator import draw_discriminator
from minigan.reports.finished_run import read_finished_run
from minigan.reports.one_feature import draw_densities
from minigan.reports.style import BAD, BESIDE, GOOD
from minigan.reports.verdict_panel import (
    _free_corner,
    _in_front,
    _without_target,
    describe_outcome,
    draw_verdict,
    format_row,
)
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory
from minigan.training.config import to_json
from minigan.training.data import read_data
from minigan.training.experiment import Experiment
from minigan.training.promises import Shown
from minigan.training.settings import resolve
from minigan.training.trainer import train

SMALL = (
    "method=plain",
    "steps=20", "eval_every=5", "eval_samples=300", "batch=16",
    "generator.widths=[4]", "discriminator.widths=[4]",
)  # fmt: skip
MIXTURE = "0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)"
ODD = "$x_{ mass \\frac$"


def trained(root, *sets, preset=None):
    config = resolve(preset, environ={}, sets=[*SMALL, *sets])
    data = None if config.data is None else read_data(config.data)
    with RunDirectory.create(root, config.name, to_json(config)) as run:
        train(Experiment(config, data=data), run)
    return run.path


@pytest.fixture(scope="module")
def runs(tmp_path_factory, briefly):
    """One finished run of each kind, by name."""
    root = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(5)
    pair = rng.multivariate_normal([3, -50], [[1, 8], [8, 100]], size=120)
    np.savetxt(root / "one.csv", pair[:, 0], header=ODD, comments="", delimiter=",")
    np.savetxt(root / "two.csv", pair, header=f"{ODD},速度", comments="", delimiter=",")
    np.savetxt(root / "six.csv", rng.normal(size=(600, 6)), header="a,b,c,d,e,f", comments="", delimiter=",")
    with briefly():
        kinds = {
            "normal": trained(root, "target=normal(4, 1.25)"),
            "mixture": trained(root, "target=0.33*normal(-1,0.25)+0.67*normal(2,1.4)", "latent.size=2"),
            "heavy": trained(root, "target=student(0.4)"),
            "tiny": trained(root, "target=normal(0, 1e-9)", "objective=minimax"),
            "short": trained(root, "steps=1", "target=normal(1e6, 1e-3)"),
            "one": trained(root, f"data={root / 'one.csv'}"),
            "two": trained(root, f"data={root / 'two.csv'}", "latent.size=2"),
            "six": trained(root, f"data={root / 'six.csv'}", "latent.size=6"),
            "ring": trained(root, "target=ring(8, 1, 0.01)"),
            "spiral": trained(root, "target=spiral(1, 0.05)", "dtype=float64"),
            "dirac": trained(
                root, "r1=0.5", "generator.widths=[]", "discriminator.widths=[]", preset="dirac-gan"
            ),
            "affine": trained(root, f"target={MIXTURE}", "generator.widths=[]", "objective=kl"),
            "images": trained(root, "target=galaxies(8, 0.1)", "latent.size=2"),
        }
    yield kinds
    made.cache_clear()


KINDS = (
    "normal",
    "mixture",
    "heavy",
    "tiny",
    "short",
    "one",
    "two",
    "six",
    "ring",
    "spiral",
    "dirac",
    "affine",
    "images",
)


@pytest.fixture
def copy(runs, tmp_path):
    """A copy of the normal run, to be damaged."""
    return RunDirectory.open(shutil.copytree(runs["normal"], tmp_path / "copy"))


def overview(runs, kind) -> Figure:
    """The page of a run, made once for all that ask; who changes the run or its page makes one of a copy."""
    return made(runs[kind])


@cache
def made(path) -> Figure:
    return page.overview(RunDirectory.open(path))


def texts(figure: Figure) -> str:
    """All that a reader can read, apart from tick labels."""
    found = [text.get_text() for text in figure.texts]
    found += [figure.get_suptitle()]
    for ax in figure.axes:
        found += [ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()]
        found += [text.get_text() for text in ax.texts]
        legend = ax.get_legend()
        found += [text.get_text() for text in legend.get_texts()] if legend else []
    return "\n".join(found).replace("\N{NO-BREAK SPACE}", " ")


def panel(figure: Figure, title):
    return next(ax for ax in figure.axes if ax.get_title(loc="left").startswith(title))


def line(ax, label: str):
    return next(line for line in ax.lines if str(line.get_label()).startswith(label))


# ── every kind of run ───────────────────────────────────────────────────────────────────────────────────────


def test_page_is_written_as_a_whole_png(runs):
    path = page.save_overview(RunDirectory.open(runs["short"]))
    assert path == runs["short"] / "plots" / "overview.png"
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    from matplotlib.image import imread

    pixels = imread(path)
    assert pixels.shape[:2] == (990, 1650)
    assert pixels[..., :3].std() > 0.05  # something is drawn
    assert [file.name for file in path.parent.iterdir()] == ["overview.png"]  # no temporary file is left


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Glyph .* missing")
def test_no_text_leaves_the_page_or_is_on_text_and_no_legend_is_on_a_curve(runs, kind):
    figure = overview(runs, kind)
    canvas = FigureCanvasAgg(figure)
    assert overlaps(canvas) == []
    width, height = canvas.get_width_height()
    ticks = [label for ax in figure.axes for label in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]
    boxes = []
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in ticks:
            box = text.get_window_extent(canvas.get_renderer())
            assert 0 <= box.x0 and box.x1 <= width and 0 <= box.y0 and box.y1 <= height, text
            if text.get_text() in titles:
                assert not any(box.overlaps(other) for other in boxes), text
                boxes.append(box)
    assert len(boxes) == 6
    if kind in ("one", "two"):  # drawing is what parses mathematics
        assert ODD.replace("$", r"\$") in texts(figure)


def test_panels_of_one_feature_say_what_to_see(runs):
    text = texts(overview(runs, "normal"))
    for promised in (
        "Densities", "target p(x)", "generated q(x), step 20", "start: q(x), step 0", "300 judged values",
        "D against D* = p/(p+q)", "early:\nstep", "end:\nstep 20", "V(G, D), loss of D", "V(G, D*)",
        "D if G stood still, after 3, 10, 30, 300 steps",
        "ln 4 (D cannot tell)", "ln 2", "95 % of perfect samplers", "verdict, on new values: KS", "Q-Q plot",
        "quantile of the target: x", "Kolmogorov-Smirnov", "this\nsample", "perfect\nsampler",
        "gaussian", "target normal(4, 1.25)", "20 steps", "seed 0",
    ):  # fmt: skip
        assert promised in text, promised


def test_what_went_wrong_is_in_the_verdict_panel(copy):
    found = [
        {"name": "collapse", "since_step": 5, "evidence": "E.", "remedy": "Let G move once: --set a=1"},
        {"name": "modes missing", "since_step": 5, "evidence": "E.", "remedy": "other"},
    ]
    path = copy.path / "run.json"
    status = json.loads(path.read_text())
    assert "Found:" not in texts(page.overview(copy))
    path.write_text(json.dumps(status | {"findings": found}))
    figure = page.overview(copy)
    text = " ".join(texts(figure).split())
    assert "Found: collapse, modes missing. Try next: Let G move once: --set a=1" in text
    assert "other" not in panel(figure, "Verdict").get_title(loc="left") and "KS" in text
    bottom = figure.get_window_extent().y0
    assert all(t.get_window_extent().y0 >= bottom for t in panel(figure, "Verdict").texts)


@pytest.mark.parametrize("found", [None, 3, "text", [1], [{}], [{"name": "x"}], {"a": 1}, []])
def test_findings_that_are_none_are_not_drawn(copy, found):
    path = copy.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"findings": found}))
    figure = Figure()
    draw_verdict(figure.add_subplot(), read_finished_run(copy))
    assert "KS" in texts(figure) and "Found" not in texts(figure)


def test_panels_of_data_name_the_data(runs):
    text = texts(overview(runs, "one"))
    for promised in ("data one.csv", "kernel estimate", "quantile of the data", "told from the data"):
        assert promised in text, promised
    assert "target" not in text


def test_panels_of_several_features_name_them(runs):
    text = texts(overview(runs, "six"))
    for promised in (
        "Rows, two of 6 features",
        "the 4 of 6 with the largest KS",
        "worst feature",
        "more rows in verdict.json",
    ):
        assert promised in text, promised
    assert "D*" not in text  # no densities, so no D* to compare with
    assert "data, 120 rows" in text  # what is held out of 600


def test_a_target_with_modes_shows_which_were_found(runs):
    figure = overview(runs, "ring")
    text, sample = texts(figure), checkpoint.load(runs["ring"] / "frames.safetensors")[0]["sample"]
    modes = modes_of(ring(8, 1, 0.01))
    seen = modes.coverage(sample)
    title = f"{seen.captured} of 8 modes captured, {100 * seen.high_quality:.3g} % of high quality"
    for promised in (
        title, "D(x, y) at the end", "target, 300 rows", "generated, 300 rows", "target ring(8, 1, 0.01)",
        "told from the target", "Modes over the run", "98.9 % of high quality",
        "95 % of perfect samplers at each",
    ):  # fmt: skip
        assert promised in text, promised
    assert "data" not in text and "Densities" not in text and "quantile" not in text
    beside = [ax for ax in figure.axes if "300 rows" in ax.get_xlabel()]
    frames = read_finished_run(RunDirectory.open(runs["ring"]))
    for ax, rows in zip(beside, (frames.real, sample), strict=True):
        assert np.array_equal(np.transpose(ax.lines[0].get_data()), rows[:300])
    bars = panel(figure, "Where the rows are").patches
    heights = np.array([bar.get_height() for bar in bars]).reshape(2, 8)
    assert np.allclose(heights.sum(axis=0), seen.counts / 300)
    assert heights[0].sum() == pytest.approx(seen.high_quality)
    course = line(panel(figure, "Modes over the run"), "rows of high quality")
    rows = RunDirectory.open(runs["ring"]).read_metrics().rows
    assert list(course.get_ydata()) == [row["hq"] for row in rows]
    spiral = texts(overview(runs, "spiral"))
    assert "Rows: orange on blue?" in spiral and "modes" not in spiral


def test_rows_on_modes_stand_in_front_and_others_where_they_are_outside():
    def row(name, value=0.0):
        return Row(name, value, 1.0, 0.5)

    rows = (
        row("energy distance"),
        row("KS, x (the largest)", 2.0),
        row("modes captured"),
        row("mean, x", 2.0),
    )
    names = [r.name for r in _in_front(rows, 3, modes=True)]
    assert names == ["modes captured", "KS, x (the largest)", "mean, x"]
    assert [r.name for r in _in_front(rows, 9, modes=False)] == [r.name for r in rows]
    assert [r.name for r in _in_front(rows, 3, modes=False)][:2] == [rows[0].name, rows[1].name]


def test_images_are_shown_as_images_and_told_by_what_is_measured_on_them(runs):
    figure, run = overview(runs, "images"), read_finished_run(RunDirectory.open(runs["images"]))
    text = texts(figure)
    for promised in ("Images of 8 × 8 pixels", "the 4 of 5 with the largest KS", "ellipticity", "x1"):
        assert (promised in text) == (promised != "x1"), promised
    real, made = ([image for image in ax.images] for ax in figure.axes if ax.images)
    for (image,), rows in ((real, run.real), (made, run.sample)):
        pixels = np.asarray(image.get_array())
        assert np.array_equal(pixels[:8, :8], rows[0].reshape(8, 8))
        assert np.array_equal(pixels[-8:, -8:], rows[images.SIDE**2 - 1].reshape(8, 8))
    table = images.statistics_of(run)
    assert table.names[0] == "flux" and np.allclose(table.real[:, 0], run.real.sum(axis=1))
    assert np.array_equal(table.sample[:, 3], run.sample.max(axis=1))
    worst = several_features.by_distance(table)
    assert [ks for ks, _ in worst] == sorted((ks for ks, _ in worst), reverse=True)
    shown = [ax.get_xlabel() for ax in figure.axes if "(KS" in ax.get_xlabel()]
    assert [label.split("  ")[0] for label in shown] == [table.names[j] for _, j in worst[:4]]
    assert not images.is_images(read_finished_run(RunDirectory.open(runs["six"])))


def test_a_dirac_gan_shows_its_orbit_beside_theory(runs):
    """One step of two numbers by hand: ψ ← ψ + h v_ψ(ψ, θ), then θ with the new ψ; R1 pulls ψ back."""
    figure, run = overview(runs, "dirac"), read_finished_run(RunDirectory.open(runs["dirac"]))
    step, slope, point = orbit.recorded(run)
    theory = orbit.theory_of(run)
    assert len(theory) == 21 and np.allclose(theory[0], [slope[0], point[0]])
    x = np.random.default_rng(0).normal(0, 0.1, 200_000)
    s = lambda t: 1 / (1 + np.exp(-t))  # noqa: E731
    ψ, θ = theory[0]
    ψ += 0.1 * (np.mean(s(-ψ * x) * x) - np.mean(s(ψ * (θ + x)) * (θ + x)) - 0.5 * ψ)
    θ += 0.1 * ψ * np.mean(s(ψ * (θ + x)))
    assert theory[1] == pytest.approx([ψ, θ], abs=1e-4)
    assert np.abs(point - theory[step, 1]).max() < 0.1 and np.abs(slope - theory[step, 0]).max() < 0.2
    drawn = line(panel(figure, "Orbit"), "theory")
    assert np.array_equal(np.transpose(drawn.get_data()), theory)
    assert "Distance" not in texts(figure) and "Q-Q" not in texts(figure)


@pytest.mark.parametrize("holds", [True, False])
def test_a_preset_is_told_by_what_it_sets_out_to_show(runs, monkeypatch, holds):
    run = read_finished_run(RunDirectory.open(runs["dirac"]))
    seen, shown = [], Shown("5 % or less of its circle is left", holds, "")
    monkeypatch.setattr(finished_run, "shown_by", lambda *about: seen.append(about) or shown)
    figure = page.draw_page(run)
    does, colour = ("shows", GOOD) if holds else ("does not show", BAD)
    (headline,) = [text for text in figure.texts if "preset" in text.get_text()]
    assert headline.get_text() == f"{does} what its preset sets out to" and headline.get_color() == colour
    assert f"5 % or less of its circle is left; it {describe_outcome(run)}" in texts(figure)
    table = panel(figure, "Verdict")  # by which this run is not judged
    assert not {text.get_color() for text in table.texts} & {GOOD, BAD}
    ((config, verdict, lines),) = seen
    means = {row["step"]: row["mean"] for row in lines}
    assert config is run.config and verdict is run.verdict
    assert means == dict(zip(run.metrics["step"], run.metrics["mean"], strict=True))


def test_a_normal_generator_is_shown_beside_the_best_normal_distribution(runs):
    """The one nearest in KL(p‖q) has the mean and sd of p."""
    target, text = parse(MIXTURE), texts(overview(runs, "affine"))
    assert f"the best normal q: mean {target.mean:.3g}, sd {target.sd:.3g}; this one" in text
    assert "the best normal" not in texts(overview(runs, "mixture"))


def test_d_over_the_plane_is_what_was_recorded(runs):
    frames, _ = checkpoint.load(runs["ring"] / "frames.safetensors")
    figure = overview(runs, "ring")
    ax = panel(figure, "D(x, y)")
    mesh = ax.collections[0]
    assert np.array_equal(np.asarray(mesh.get_array()), frames["plane_d"])
    reach = max(several_features.FAINT, abs(frames["plane_d"] - 0.5).max())
    assert mesh.get_clim() == pytest.approx((0.5 - reach, 0.5 + reach))  # ½ is white
    beside = panel(figure, tuple("012345678"))
    assert ax.get_aspect() == 1 and beside.get_aspect() == 1
    assert np.allclose(np.transpose(ax.lines[0].get_data()), ring(8, 1, 0.01).centres)
    assert beside.get_xlim() == pytest.approx((frames["plane_x"][0], frames["plane_x"][-1]))


@pytest.mark.parametrize("change", [
    lambda f: f.update(plane_d=f["plane_d"][1:]), lambda f: f.pop("plane_x"),
    lambda f: f.update(plane_y=f["plane_d"]),
    lambda f: f.update(plane_d=f["plane_d"][:1, :1], plane_x=f["plane_x"][:1], plane_y=f["plane_y"][:1]),
])  # fmt: skip
def test_a_plane_that_does_not_fit_is_refused(runs, tmp_path, change):
    path = shutil.copytree(runs["ring"], tmp_path / "copy") / "frames.safetensors"
    frames, state = checkpoint.load(path)
    change(frames)
    checkpoint.save(path, frames, state)
    with pytest.raises(DataError, match="does not fit its axes"):
        page.overview(RunDirectory.open(path.parent))


def test_bulk_of_a_distribution_without_variance_is_shown(runs):
    ax = panel(overview(runs, "heavy"), "Densities")
    low, high = ax.get_xlim()
    assert high - low < 1e4  # the values reach to 10⁷
    edges = checkpoint.load(runs["heavy"] / "frames.safetensors")[0]["edges"]
    drawn = "generated q(x)" in texts_of(ax)  # of bins that are too wide there is no curve
    assert drawn == (4 * (edges[1] - edges[0]) <= np.ptp(parse("student(0.4)").interval(0.5)))


def test_saturating_loss_is_named_with_its_sign(runs):
    text = texts(overview(runs, "tiny"))
    assert "−ln 2" in text and "ln(1 − D(G(z)))" in text
    assert "−ln D(G(z))" not in text


# ── what is drawn is what was recorded ──────────────────────────────────────────────────────────────────────


def page_of_d(run) -> Figure:
    """The panels of D alone."""
    with style.style():
        figure = Figure()
        draw_discriminator(figure, figure.add_gridspec(1, 1)[0], read_finished_run(run))
    return figure


def moments_of_d(figure):
    """The panels of D, from early to the end."""
    first = figure.axes.index(panel(figure, ("D ", "Critic", "What D")))
    return [ax for ax in figure.axes[first:] if "step" in ax.get_ylabel()]


@pytest.mark.parametrize(("kind", "count"), [("normal", 3), ("short", 1)])
def test_discriminator_panel_draws_d_and_the_optimal_one_at_several_moments(runs, kind, count):
    frames, _ = checkpoint.load(runs[kind] / "frames.safetensors")
    panels = moments_of_d(overview(runs, kind))
    assert len(panels) >= count and panels[-1].get_ylabel().startswith("end")
    steps = [int(ax.get_ylabel().split()[-1]) for ax in panels]
    assert steps == sorted(set(steps)) and steps[-1] == frames["step"][-1]
    for ax, step in zip(panels, steps, strict=True):
        k = list(frames["step"]).index(step)
        half, d, best = ax.lines[:3]
        assert list(half.get_ydata()) == [0.5, 0.5] and np.array_equal(d.get_ydata(), frames["d"][k])
        p, q = frames["p"], frames["q"][k]
        drawn, seen = np.asarray(best.get_ydata()), p + q > one_feature.VISIBLE * (p + q).max()
        assert seen.sum() > 20 and np.array_equal(np.isfinite(drawn), seen)
        assert np.allclose(drawn[seen], optimal_discriminator(p, q)[seen], rtol=0, atol=0)


def test_a_d_comes_to_the_best_one_while_g_stands_still(runs):
    """Above, the curves of a D that was trained for more and more steps, each nearer to p/(p + q)."""
    frames, _ = checkpoint.load(runs["normal"] / "frames.safetensors")
    figure = overview(runs, "normal")
    early, *_ = moments_of_d(figure)
    assert early.get_ylabel().endswith(f"step {frames['best_step'][0]}")
    curves = [line.get_ydata() for line in early.lines[3:]]
    assert np.array_equal(curves, [*frames["best_path"], frames["best_d"]])
    assert list(frames["best_after"]) == sorted(frames["best_after"]) and len(curves) == 4
    p, q = frames["p"], frames["q"][list(frames["step"]).index(frames["best_step"][0])]
    off = [np.nansum((p + q) * np.abs(d - optimal_discriminator(p, q))) for d in curves]
    assert off == sorted(off, reverse=True) and off[-1] < 0.95 * off[0]  # of four units
    points = [line for line in panel(figure, "Losses").lines if line.get_label() == "V of D if G stood still"]
    assert [list(points[0].get_xdata()), list(points[0].get_ydata())] == [
        list(frames["best_step"]),
        list(frames["best_value"]),
    ]


def test_a_run_without_such_a_d_starts_at_its_first_moment(copy):
    path = copy.path / "frames.safetensors"
    frames, state = checkpoint.load(path)
    checkpoint.save(path, {k: a for k, a in frames.items() if k not in ("best_after", "best_path")}, state)
    assert "D if G stood still\n" in texts(page_of_d(copy))  # of an older run
    checkpoint.save(path, {k: a for k, a in frames.items() if not k.startswith("best")}, state)
    assert "start:\nstep 0\n" in texts(page_of_d(copy))


def test_a_critic_is_drawn_as_what_it_says_beside_the_best_of_slope_one(copy):
    """Kantorovich's potential has slope ±1 in the units of the networks, those of the target's sd here."""
    path = copy.path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"objective": "wasserstein"}))
    frames, _ = checkpoint.load(copy.path / "frames.safetensors")
    figure = page_of_d(copy)
    last = moments_of_d(figure)[-1]
    a, best = (np.asarray(line.get_ydata()) for line in last.lines[1:3])
    logit = np.log(frames["d"][-1]) - np.log1p(-frames["d"][-1])
    assert np.ptp(a - logit) < 1e-9  # but for a constant, which means nothing
    slopes = np.abs(np.diff(best) / np.diff(last.lines[2].get_xdata()))
    low, high = last.get_ylim()
    slopes = slopes[(best[1:] > low) & (best[1:] < high) & (best[:-1] > low) & (best[:-1] < high)]
    assert np.quantile(slopes, 0.75) == pytest.approx(1 / 1.25, rel=0.03)
    text = texts(figure)
    assert "Critic and the best one" in text and "slope ≤ 1" in text and "σ(a" not in text and "½" not in text


@pytest.mark.parametrize(
    ("q", "d", "title"),
    [
        ("same", 0.5, "at the end both near ½"),
        ("same", 0.8, "at the end D is off ½"),
        ("shifted", 0.5, "at the end p and q differ"),
    ],
)
def test_title_of_the_discriminator_panel_is_true(copy, q, d, title):
    path = copy.path / "frames.safetensors"
    frames, state = checkpoint.load(path)
    frames["q"][-1] = frames["p"] if q == "same" else np.roll(frames["p"], 30)
    frames["d"][-1] = d
    checkpoint.save(path, frames, state)
    assert panel(page_of_d(copy), "D against").get_title(loc="left").endswith(title)


@pytest.mark.parametrize(
    ("value", "optimal", "title"),
    [(1.386, 1.3862, "this D cannot tell"), (1.386, 1.2, "D could do better"), (1.2, 1.2, "D can tell")],
)
def test_title_of_the_losses_is_true(copy, value, optimal, title):
    path = copy.path / "metrics.jsonl"
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    for row in rows[-3:]:  # of the last five, whose median counts
        row |= {"value_fn": value, "value_optimal": optimal}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = panel(page.overview(copy), "Losses").get_title(loc="left")
    test_can = title.endswith("cannot tell") and json.loads((copy.path / "verdict.json").read_text())
    assert said.endswith(title + (", a test can" if test_can and test_can["distinguishable"] else ""))


def test_one_evaluation_does_not_say_that_d_could_do_better(copy):
    path = copy.path / "metrics.jsonl"
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    for row in rows:
        row |= {"value_fn": 1.38, "value_optimal": 1.38}
    rows[-1]["value_fn"] = 1.5
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "could do better" not in panel(page.overview(copy), "Losses").get_title(loc="left")


def test_the_truth_beside_a_critic_is_of_the_same_step(copy):
    config = copy.path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"objective": "wasserstein"}))
    path = copy.path / "metrics.jsonl"
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    for optimal, said in ((-0.5, True), (None, False)):
        rows[-1] |= {"value_fn": -0.4, "value_optimal": optimal}
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert ("true" in panel(page.overview(copy), "Losses").get_title(loc="left")) == said


def test_losses_and_distances_are_those_of_the_metrics(runs):
    rows = RunDirectory.open(runs["normal"]).read_metrics().rows
    figure = overview(runs, "normal")
    losses, distance = panel(figure, "Losses"), panel(figure, "Distance")
    for label, key in (("V(G, D)", "value_fn"), ("V(G, D*)", "value_optimal")):
        assert list(line(losses, label).get_ydata()) == [row[key] for row in rows]
    assert list(line(losses, "V(G, D)").get_xdata()) == [row["step"] for row in rows]
    assert list(line(losses, "loss of G").get_ydata()[1:]) == [row["g_loss"] for row in rows[1:]]
    assert list(line(distance, "KS").get_ydata()) == [row["ks"] for row in rows]
    verdict = json.loads((runs["normal"] / "verdict.json").read_text())
    assert list(line(distance, "verdict").get_ydata()) == [verdict["ks"]["statistic"]]
    assert distance.get_yscale() == "log"


def test_quantile_band_holds_a_perfect_sample(copy):
    """Pointwise, 95 % of perfect samplers lie in the band: of a sample's quantiles all may, or few may not.

    The sample is the distribution's own quantiles, so every point lies on the line and inside the band.
    """
    path = copy.path / "frames.safetensors"
    frames, state = checkpoint.load(path)
    n = 300
    frames["sample"] = Normal(4, 1.25).quantile(np.arange(1, n + 1) / (n + 1))[:, None]
    checkpoint.save(path, frames, state)
    ax = panel(page.overview(copy), "Q-Q")
    points = line(ax, "generated")
    assert len(points.get_xdata()) > 200
    assert np.allclose(points.get_xdata(), points.get_ydata(), rtol=0, atol=1e-9)
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() < points.get_ydata()[0] and band[:, 1].max() > points.get_ydata()[-1]
    # the smallest of n values: 1 − (1 − u)ⁿ = 0.025 and 0.975
    ends = Normal(4, 1.25).quantile([1 - 0.975 ** (1 / n), 1 - 0.025 ** (1 / n)])
    first = band[np.isclose(band[:, 0], points.get_xdata()[0]), 1]
    assert math.isclose(first.min(), ends[0], rel_tol=1e-9) and math.isclose(
        first.max(), ends[1], rel_tol=1e-9
    )


def test_table_marks_rows_in_words_and_in_the_verdicts_digits(copy):
    path = copy.path / "verdict.json"
    verdict = json.loads(path.read_text())
    verdict["rows"] = [
        {"name": "KS", "value": 0.2, "perfect": 0.008, "bound": 0.0136, "target": None, "unit": ""},
        {"name": "mean", "value": 1000.01, "perfect": 1000.0, "bound": 0.02, "target": 1000.0, "unit": ""},
        {"name": "sd", "value": None, "perfect": 1.0, "bound": None, "target": 1.0, "unit": ""},
    ]
    path.write_text(json.dumps(verdict))
    text = texts(page.overview(copy))
    assert "✓ inside" in text and "✗ outside" in text
    for row in verdict["rows"]:
        row["bound"] = 1.0
    for no_news, said in (  # of too few values none is good news, nor of rows that were learned
        ({"indistinguishable": None}, "too few values to tell"),
        ({"judged_on_learned": True}, "cannot be told from the rows it learned"),
    ):
        path.write_text(json.dumps(verdict | {"pvalue": 0.5} | no_news))
        ax = Figure().subplots()
        draw_verdict(ax, read_finished_run(copy))
        marks = {(t.get_text(), t.get_color()) for t in ax.texts if "inside" in t.get_text()[:8]}
        assert marks == {("inside", BESIDE)} and ax.title.get_color() == BESIDE
        assert ax.get_title() == f"Verdict: {said}"
    assert "1000.010\n1000.000\n± 0.020" in text
    assert "0.2\n0.008\n≤ 0.0136" in text


@pytest.mark.rows(
    ("row", "cells"),
    [
        (Row("mean", 20828.17, 20900.0, 912.3, target=20900.0), ("20828", "20900", "± 912")),
        (Row("sd", 1.25567, 1.25, 0.0181, target=1.25), ("1.256", "1.250", "± 0.018")),
        (Row("mean", 2.345678e-9, 0.0, 1.23e-9, target=0.0), ("2.3457e-09", "0", "± 1.2e-09")),
        (Row("mean", 1.0, 1.0, 0.0, target=1.0), ("1.000", "1.000", "± 0.000")),
        (Row("modes captured", 7.0, 8.0, 0.0, target=8.0, unit="of 8"), ("7", "8", "± 0")),
        (Row("mean", 20842.3, 20831.1, math.nan, target=20831.1), ("20842", "20831", "")),
    ],
)
def test_digits_are_those_that_mean_something(row, cells):
    assert format_row(row) == cells


def test_numbers_far_from_zero_are_told_from_their_true_value(runs):
    far, near = Row("mean", 1e6 + 2e-5, 1e6, 5e-5, target=1e6), Row("mean", 4.01, 4.0, 0.02, target=4.0)
    shown = _without_target(far)
    assert (shown.name, format_row(shown)) == ("mean − 1000000", ("0.000020", "0.000000", "± 0.000050"))
    assert shown.within == far.within and _without_target(near) is near
    figure = overview(runs, "short")
    for title in ("Densities", "Q-Q"):
        ax = panel(figure, title)
        assert ax.get_xlabel().endswith("x − 1000000")
        ticks = [ax.xaxis.get_major_formatter()(t, 0) for t in ax.get_xticks()]
        assert "0" in ticks and max(map(len, ticks)) < 8
    d = moments_of_d(figure)
    assert [ax.get_xlabel() for ax in d] == [""] * (len(d) - 1) + ["x − 1000000"]


def test_the_legend_of_a_q_q_plot_is_in_the_corner_that_is_free():
    ax = Figure().add_subplot()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    assert _free_corner(ax, np.array([0.1, 0.9]), np.array([0.1, 0.9])) == "upper left"
    assert _free_corner(ax, np.array([0.1, 0.2]), np.array([0.9, 0.95])) == "lower right"


# ── names, sizes, styles ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.rows("text", ["$x_{", "\\$", "$$", "a$b$c", "\n\t$\\frac{1}{0}$", "100 % ^_^", "\x00\u202e"])
def test_no_text_is_read_as_mathematics(text, tmp_path):
    figure = Figure()
    figure.text(0.5, 0.5, style.format_text(text, 40))
    style.save(figure, tmp_path / "text.png")
    assert style.format_text(text, 40).replace(r"\$", "").count("$") == 0
    assert len(style.format_text("x" * 100, 40)) == 40


def test_page_does_not_depend_on_the_users_style_nor_change_it(runs, tmp_path, monkeypatch):
    plain, styled = tmp_path / "plain.png", tmp_path / "styled.png"
    run = RunDirectory.open(runs["normal"])
    before = dict(matplotlib.rcParams)
    monkeypatch.setattr(page, "DPI", 40)  # as telling as more dots
    style.save(page.overview(run), plain)
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context(
        {"text.usetex": True, "font.size": 30, "savefig.dpi": 20, "savefig.bbox": "tight"}
    ):
        style.save(page.overview(run), styled)
    assert plain.read_bytes() == styled.read_bytes()


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".PNG"])
def test_other_formats_and_same_bytes_again(runs, tmp_path, suffix):
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for path in (first, second):
        figure = Figure()
        draw_verdict(figure.add_subplot(1, 2, 1), read_finished_run(RunDirectory.open(runs["short"])))
        figure.add_subplot(1, 2, 2).plot([3, 1, 2], "o-", label="a line with marks, which has clips")
        style.save(figure, path)
    assert first.read_bytes() == second.read_bytes()
    if suffix == ".svg":
        assert xml.parse(first).getroot().tag.endswith("svg")
    else:
        assert first.read_bytes().startswith(b"%PDF" if suffix == ".pdf" else b"\x89PNG")


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["verdict.json", "frames.safetensors"])
def test_unfinished_run_is_refused(copy, name):
    (copy.path / name).unlink()
    with pytest.raises(DataError, match=rf"has no {name}.*train the run to its end first"):
        page.overview(copy)


def test_run_that_never_started_is_refused(tmp_path):
    config = resolve(environ={}, sets=SMALL)
    with RunDirectory.create(tmp_path, "new", to_json(config)) as run:
        with pytest.raises(DataError, match="has no verdict"):
            page.save_overview(run)
        assert not list(run.plots.iterdir())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"rows": [{"name": 1}]}', "[" * 5000, '{"rows": 3}', "\xff"]
)
def test_damaged_verdict_is_refused(copy, text):
    (copy.path / "verdict.json").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match="not a verdict"):
        page.overview(copy)


def test_damaged_frames_are_refused(copy):
    path = copy.path / "frames.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="damaged"):
        page.overview(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop("sample"), "no sample"),
        (lambda f: f.update(sample=f["sample"][:, 0]), "no sample"),
        (lambda f: f.update(sample=np.hstack([f["sample"]] * 2)), "no sample of 1 feature"),
        (lambda f: f.update(q=f["q"][:, 1:]), "do not fit"),
        (lambda f: f.update(edges=f["p"]), "do not fit"),
        (lambda f: f.pop("step"), "do not fit"),
        (lambda f: f.update(q=f["q"] * np.nan), "not finite, in 'q'"),
    ],
)
def test_frames_that_do_not_fit_are_refused(copy, change, message):
    path = copy.path / "frames.safetensors"
    frames, state = checkpoint.load(path)
    change(frames)
    checkpoint.save(path, frames, state)
    with pytest.raises(DataError, match=message):
        page.overview(copy)


@pytest.mark.parametrize("text", ["", '{"step": 0}\n', "garbage\n"])
def test_run_without_metrics_is_refused(copy, text):
    (copy.path / "metrics.jsonl").write_text(text)
    with pytest.raises(DataError, match="metrics"):
        page.overview(copy)


def test_words_among_the_metrics_are_refused(copy):
    path = copy.path / "metrics.jsonl"
    rows = [json.loads(row) | {"ks": "small"} for row in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="text where numbers belong"):
        page.overview(copy)


def test_data_that_moved_away_is_refused(runs, tmp_path):
    path = shutil.copytree(runs["two"], tmp_path / "copy")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"data": str(tmp_path / "gone.csv")}))
    with pytest.raises(DataError, match=r"gone\.csv"):
        page.overview(RunDirectory.open(path))


def test_other_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.png, \.svg or \.pdf"):
        style.save(Figure(), tmp_path / "figure.jpg")


def test_place_that_cannot_be_written_is_refused(copy):
    shutil.rmtree(copy.plots)
    copy.plots.write_text("a file where the folder belongs")
    with pytest.raises(StorageError, match="plots"):
        page.save_overview(copy)


# ── densities ───────────────────────────────────────────────────────────────────────────────────────────
def densities_panel(distribution, seed=0, sample=None):
    """The panel of densities of a perfect sampler of ``distribution``, with the frames a run would keep."""
    from minigan.training.curves import BINS, bulk

    low, high = bulk(distribution, (0.9999, 0.98, 0.95, 0.9, 0.8), BINS / 6)
    margin = 0.15 * (high - low)
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    p = np.diff(distribution.cdf(edges)) / np.diff(edges)
    frames = {"edges": edges, "p": p, "average": p[None], "q": p[None], "step": np.array([7])}
    drawn = distribution.sample(np.random.default_rng(seed), (4000,)) if sample is None else sample
    sample = np.asarray(drawn)[:, None]
    config = resolve(environ={})
    run = SimpleNamespace(
        frames=frames, sample=sample, distribution=distribution, names=("x",), config=config
    )
    ax = Figure().add_subplot()
    draw_densities(ax, run)
    return ax


@pytest.mark.rows(
    "text",
    [
        "beta(0.5, 0.5)", "gamma(0.5)", "gamma(0.3)", "weibull(0.3, 1)", "lognormal(0, 5)", "cauchy(0, 1)",
        "normal(4, 1.25)", "0.98*normal(0, 0.01) + 0.02*normal(5, 1)",
    ],
)  # fmt: skip
def test_densities_are_finite_and_their_window_shows_the_bulk(text):
    distribution = parse(text)
    ax = densities_panel(distribution)
    low, high = ax.get_xlim()
    quartiles, top = np.array(distribution.interval(0.5)), ax.get_ylim()[1]
    assert np.isfinite([low, high, top]).all() and low <= quartiles[0] < quartiles[1] <= high
    assert distribution.cdf(np.array(high)) - distribution.cdf(np.array(low)) > 0.8
    drawn = line(ax, "target p(x)")
    x, y = drawn.get_xdata(), drawn.get_ydata()
    assert np.isfinite(y).all()
    mass = np.sum(np.diff(x) * 0.5 * (y[1:] + y[:-1]))  # means keep the mass, a pole included
    held = float(distribution.cdf(np.array(high)) - distribution.cdf(np.array(low)))
    assert mass == pytest.approx(held, abs=0.03)
    pole = text.startswith(("beta", "gamma", "weibull", "lognormal"))
    assert pole or "means over the bins" not in drawn.get_label()
    if text.startswith(("beta", "gamma")):  # what is no pole is not flat beside it
        middle = distribution.density(np.array(distribution.quantile(np.array(0.5))))
        assert middle > 0.05 * top and "means over the bins" in drawn.get_label()
    if text.startswith("0.98"):
        assert high > 5.0  # a rare mode is no tail


def test_a_start_that_is_cut_says_so_and_values_outside_are_counted():
    ax = densities_panel(parse("normal(0, 1)"))
    assert "up to" not in texts_of(ax) and "outside" not in texts_of(ax)
    ax = densities_panel(parse("lognormal(0, 5)"))
    assert re.search(r"\d+ % outside", texts_of(ax))


def test_a_spike_of_the_histogram_that_a_curve_smooths_away_is_in_view():
    distribution = parse("normal(0, 1)")
    spike = np.r_[np.full(600, 0.31), distribution.sample(np.random.default_rng(0), (3400,))]
    ax = densities_panel(distribution, sample=spike)
    highest = max(patch.get_data().values.max() for patch in ax.patches if hasattr(patch, "get_data"))
    assert highest > 1.0 and (ax.get_ylim()[1] > highest or f"up to {highest:.2g}" in texts_of(ax))


def texts_of(ax):
    return " ".join(text.get_text() for text in ax.get_legend().get_texts())


# ── nothing lies on anything ────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("objective", ["least_squares", "wasserstein", "total_variation"])
def test_nor_in_the_losses_of_another_objective(copy, objective):
    path = copy.path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"objective": objective}))
    figure = page.overview(copy)
    assert overlaps(FigureCanvasAgg(figure)) == []
    losses, title = panel(figure, "Losses"), panel(figure, ("D ", "Critic", "What D"))
    low, high = losses.get_ylim()
    dots = [line for line in losses.lines if line.get_label() == "V of D if G stood still"]
    assert objective == "wasserstein" or all(low < line.get_ydata()[0] < high for line in dots)
    assert ("½" in title.get_title(loc="left")) <= (objective == "least_squares")  # others are no probability


def test_an_overlap_that_was_planted_is_found():
    figure = Figure()
    canvas = FigureCanvasAgg(figure)
    ax = figure.add_subplot()
    ax.plot([0.0, 1.0], [0.0, 1.0], label="diagonal")
    ax.legend(loc="lower right")
    assert overlaps(canvas) == []
    ax.text(0.2, 0.6, "one text")
    assert overlaps(canvas) == []
    ax.text(0.22, 0.6, "another")
    assert overlaps(canvas) == ["'one text' on 'another'"]
    ax.legend(loc="center")
    assert "legend on the curve 'diagonal' of ''" in overlaps(canvas)
    ax.set_xlim(10.0, 11.0)  # the curve leaves the panel, whatever lies on its way
    assert not [line for line in overlaps(canvas) if line.startswith("legend")]


def test_v_of_an_older_run_is_not_shown_as_that_of_another_objective(copy):
    """Older runs have the cross-entropy of σ(D) there, whatever their objective was."""
    path = copy.path / "metrics.jsonl"
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"implied_js": row.pop("implied")}) + "\n" for row in rows))
    assert np.isfinite(line(panel(page.overview(copy), "Losses"), "V(G, D)").get_ydata()).all()
    config = copy.path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"objective": "least_squares"}))
    losses = panel(page.overview(copy), "Losses")
    assert losses.get_title(loc="left").endswith("V is not known")
    assert not [line for line in losses.lines if str(line.get_label()).startswith("V(G")]
