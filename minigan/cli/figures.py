"""The figures that commands draw, where matplotlib is installed.

Each function raises UnavailableError without it; what draws is imported only then.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minigan.errors import UnavailableError


def require_matplotlib() -> None:
    """Refuse to draw where there is nothing to draw with.

    Raises:  UnavailableError
    """
    if find_spec("matplotlib") is None:
        raise UnavailableError("figures need matplotlib; install it with: pip install 'minigan[plot]'")


def save_overview(run: Any) -> Path:
    """The page on a finished run, in its directory; returns the file."""
    require_matplotlib()
    from minigan.reports import overview

    return overview.save_overview(run)


def save_sweep(path: Path, plan: Any, found: Any) -> Path:
    """The figure of a sweep, in its directory ``path``; returns the file."""
    require_matplotlib()
    from minigan.reports import sweep_figure

    return sweep_figure.save_sweep(path, plan, found)


def save_bench(record: Any, path: str) -> None:
    """The figure of a result of ``minigan bench``, in the file ``path``."""
    require_matplotlib()
    from minigan.profiling.figure import draw_bench
    from minigan.reports.style import save

    save(draw_bench(record), path)
