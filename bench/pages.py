"""Whether text lies on text, or a legend on its curve, on the page of any preset, of data and of classes.

    python -m bench.pages                          every preset and other cases, in a hundred steps
    python -m bench.pages --steps 0                as long as each trains, half an hour in all
    python -m bench.pages --only ring8 --keep DIR  one of them; its page is left there, to be looked at

It prints a line for each thing that lies on another, and then exits with 1. A planted overlap is found by
`tests/reports/test_overview.py`, which looks so at a page of each kind.
"""

import argparse
import shutil
import sys
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from minigan.reports.overview import overview
from minigan.reports.style import save
from minigan.storage.directory import RunDirectory
from minigan.training.config import to_json
from minigan.training.data import read_configured
from minigan.training.experiment import Experiment
from minigan.training.presets import PRESETS
from minigan.training.settings import resolve
from minigan.training.trainer import train

STEPS = 100
CASES = {  # pages that no preset has: (rows, features) of data, or settings
    "3 rows": (3, 1), "60 rows": (60, 1), "300 rows of two": (300, 2), "900 rows of five": (900, 5),
    "classes": ["target=0.3*normal(-1, 0.5) + 0.7*laplace(2, 1)", "label=component"],
    "gap": ["target=0.5*uniform(-3, -1) + 0.5*uniform(1, 3)", "method=plain"],
    "tails": ["target=cauchy(0, 1)"],
}  # fmt: skip
SLACK = 1.5  # pixels that boxes may share: they are a little larger than the ink


def overlaps(canvas) -> list[str]:
    """One line for each pair of texts that overlap, and for each legend that lies on a curve of its axes."""
    figure, renderer = canvas.figure, canvas.get_renderer()
    figure.draw_without_rendering()
    hidden = set(_not_shown(figure))
    boxes = [
        (text.get_text(), _shrunk(text.get_window_extent(renderer)))
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and text not in hidden
    ]
    found = [
        f"{a!r} on {b!r}"
        for (a, one), (b, other) in combinations(boxes, 2)
        if one.width > 0 and other.width > 0 and one.overlaps(other)
    ]
    for ax in figure.axes:
        if (legend := ax.get_legend()) is None:
            continue
        box = _shrunk(legend.get_window_extent(renderer))
        for name, points in _curves(ax):
            if _touches(box, points, ax.bbox):
                found.append(f"legend on the curve {name!r} of {ax.get_title(loc='left')!r}")
    return found


def _not_shown(figure):
    """Labels that are there and are not drawn: of ticks beyond the view, and of axes that are off."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            if not ax.axison:
                yield axis.label
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not (ax.axison and tick.get_visible() and low <= tick.get_loc() <= high):
                    yield from (tick.label1, tick.label2)


def _curves(ax):
    """The lines and steps of a panel as points on the screen; lines of dots as their dots."""
    for line in ax.lines:
        path = line.get_transform().transform_path(line.get_path())
        yield line.get_label(), (path.vertices, line.get_linestyle() not in ("None", "", " "))
    for artist in ax.patches:
        if artist.get_visible() and type(artist).__name__ == "StepPatch":
            path = artist.get_transform().transform_path(artist.get_path())
            yield artist.get_label(), (path.vertices, True)


def _touches(box, curve, panel) -> bool:
    """Whether the part of a curve within its panel has a point in the box."""
    vertices, joined = curve
    vertices = vertices[np.isfinite(vertices).all(axis=1)]
    if joined and len(vertices) > 1:  # points along each piece, as close as a few pixels
        far = np.clip(vertices, -1e5, 1e5)
        share = np.linspace(0.0, 1.0, 200)[:, None, None]
        vertices = (far[:-1] + share * (far[1:] - far[:-1])).reshape(-1, 2)
    seen = Bbox.intersection(box, panel)
    if seen is None or not len(vertices):
        return False
    x, y = vertices.T
    return bool(((x > seen.x0) & (x < seen.x1) & (y > seen.y0) & (y < seen.y1)).any())


def _shrunk(box) -> Bbox:
    return Bbox.from_extents(box.x0 + SLACK, box.y0 + SLACK, box.x1 - SLACK, box.y1 - SLACK)


def settings(name, root):
    """(preset or None, settings) of a page: of a preset, or of one of ``CASES``."""
    if name in PRESETS:
        return name, []
    given = CASES[name]
    if isinstance(given, tuple):  # rows of data
        place = Path(root) / f"{name.replace(' ', '-')}.csv"
        names = ",".join("xyzuvw"[: given[1]])
        np.savetxt(
            place, np.random.default_rng(0).gamma(2.0, size=given), "%.4f", ",", header=names, comments=""
        )
        given = [f"data={place}"]
    return None, given


def look(name, steps, root, keep=None):
    """The overlaps on the page of a preset, or a case, that trained for so many steps, or its own where 0."""
    short = [f"steps={steps}", f"eval_every={max(steps // 10, 1)}"] if steps else []
    preset, sets = settings(name, root)
    config = resolve(preset, environ={}, sets=[*sets, *short])
    data = read_configured(config)
    with RunDirectory.create(Path(root), config.name, to_json(config)) as run:
        train(Experiment(config, data=data), run)
    figure = overview(RunDirectory.open(run.path))
    found = overlaps(FigureCanvasAgg(figure))
    if keep is not None:
        save(figure, Path(keep) / f"{name}.png")
    shutil.rmtree(run.path)
    return found


def main(arguments=None):
    """Print what lies on what; 1 if anything does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=STEPS, help="of each run; 0 for as many as it has")
    parser.add_argument(
        "--only", action="append", choices=[*PRESETS, *CASES], metavar="PAGE", help="repeatable"
    )
    parser.add_argument("--keep", metavar="DIR", help="leave the pages there")
    options = parser.parse_args(arguments)
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        for name in options.only or [*PRESETS, *CASES]:
            found = look(name, options.steps, root, options.keep)
            failed += bool(found)
            print(f"{name}: {'; '.join(found) or 'nothing on anything'}", flush=True)
    print(f"{failed} pages with overlaps" if failed else "no overlaps", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
