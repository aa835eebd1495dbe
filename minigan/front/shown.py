"""A run as a line of text, and as what a notebook shows of it: its figure and the table of its verdict."""

from base64 import b64encode
from pathlib import Path
from typing import Any

from minigan.errors import MiniganError
from minigan.evaluation.verdict import Verdict
from minigan.front.wording import as_python
from minigan.markup.html import box, paragraph, picture, table

MEASURES = ("step", "seconds", "d_loss", "g_loss", "ks", "w1", "modes")  # of a run that goes on


def describe_run(run: Any, judged: Verdict | None) -> str:
    """What it learns, how it stands, and where it is."""
    c = run.config
    what = c.target if c.data is None else f"data {Path(c.data).name}"
    try:
        how = f"{run.status} at step {run.step} of {c.steps}"
    except MiniganError as error:
        how = f"{run.status}; {as_python(str(error))}"
    told = "" if judged is None else f"; {judged.headline} (p = {judged.pvalue:.2g})"
    where = "" if run.path is None else f", in {run.path}"
    return f"Run of {what}, seed {c.seed}: {how}{told}{where}"


def run_as_html(run: Any) -> str:
    """The page and the verdict of a finished run, the last metrics of another.

    Raises:  nothing that a user can cause: what cannot be shown says why
    """
    if run.status != "finished":
        last = [(name, f"{column[-1]:.6g}") for name, column in run.metrics.items() if name in MEASURES]
        return box(describe_run(run, None), table(("measure", "last"), last))
    parts = []
    for part in (_page, lambda run: run.verdict._repr_html_()):
        try:
            parts.append(part(run))
        except MiniganError as error:
            parts.append(paragraph(str(error)))
    return box(describe_run(run, None), *parts)


def _page(run: Any) -> str:
    from minigan.front.figures import require_matplotlib

    drawn = None if run.path is None else run.path / "plots" / "overview.png"
    if drawn is not None and drawn.is_file():
        data = drawn.read_bytes()
    else:
        require_matplotlib()
        from minigan.reports.style import as_bytes

        data = as_bytes(run.plot(), "png")
    return picture(f"data:image/png;base64,{b64encode(data).decode()}", "the page on the run")
