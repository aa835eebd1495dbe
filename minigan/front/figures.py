"""The figures that commands draw, where matplotlib is installed.

Each function raises UnavailableError without it; what draws is imported only then.
"""

import importlib
import logging
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minigan.errors import UnavailableError
from minigan.storage.files import write_atomic


def require_matplotlib() -> None:
    """Refuse to draw where there is nothing to draw with.

    Raises:  UnavailableError
    """
    if find_spec("matplotlib") is None:
        raise UnavailableError("figures need matplotlib; install it with: pip install 'minigan[plot]'")
    # Where the home cannot be written it makes a folder elsewhere, which concerns nobody.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        importlib.import_module("matplotlib")
    except (ImportError, OSError) as error:
        raise UnavailableError(f"matplotlib cannot be imported: {error}") from None


def prepare() -> None:
    """Import what draws, where it can be; what is in the way is said by who draws."""
    with suppress(Exception):
        require_matplotlib()
        importlib.import_module("minigan.reports.sweep_figure")


def save_overview(run: Any) -> Path:
    """The page on a finished run, in its directory; returns the file."""
    require_matplotlib()
    from minigan.reports import overview

    return overview.save_overview(run)


def save_animation(finished: Any, path: Path, fps: int, on_frame: Callable[[int], object]) -> None:
    """The frames of a finished run as a moving picture at ``path``, a .gif or an .mp4."""
    require_matplotlib()
    from minigan.reports import animation

    write_atomic(path, animation.animate(finished, path, fps, on_frame))


def require_writer(path: Path) -> None:
    """Raises:  UnavailableError – where nothing writes such a file"""
    require_matplotlib()
    from minigan.reports import animation

    animation.require_writer(path)


def page_in_pixels(run: Any) -> Any:
    """The page on a run as an image.    Shapes:  → (height, width, 3), bytes"""
    require_matplotlib()
    from minigan.reports.style import pixels

    return pixels(run.plot())


def save_sweep(path: Path, plan: Any, found: Any) -> Path:
    """The figure of a sweep, in its directory ``path``; returns the file."""
    require_matplotlib()
    from minigan.reports import sweep_figure

    return sweep_figure.save_sweep(path, plan, found)
