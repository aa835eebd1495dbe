"""Opens a studio for a command or a script: what is needed for it, what it begins with, and its end."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigan.errors import ConfigError
from minigan.front.configuration import Request
from minigan.studio.process import ServerProcess, require_bokeh
from minigan.training.config import fields


def request_of_run(
    path: str, others: Mapping[str, Any] | None = None
) -> tuple[Request, Mapping[str, np.ndarray], int]:
    """The game of a run's directory, as of its newest checkpoint: what is trained, its arrays, its step.

    others  what was asked for besides, which a run does not take

    Raises:  ConfigError – for settings beside a run;  DataError, CheckpointError – for a run that is refused
    """
    from minigan.training.saved import reopen

    if others and any(others.values()):
        raise ConfigError(
            "a run has its own settings, received others with it; change them on the page, or begin with its "
            "config.json"
        )
    found = reopen(path)
    experiment = found.experiment
    data = None
    if experiment.config.data is not None:
        from minigan.training.data import read_configured

        data = read_configured(experiment.config)
    found.run.close()
    origins = dict.fromkeys(fields(), "the run")
    return Request(experiment.config, data, origins), experiment.arrays(), experiment.step


def serve(
    request: Request,
    *,
    start: Mapping[str, np.ndarray] | None = None,
    step: int = 0,
    out: str = "runs",
    port: int = 0,
    browser: bool = True,
    server: ServerProcess | None = None,
    tell: Callable[[str], None] = print,
) -> int:
    """Open a studio and serve its page until Ctrl-C; returns the step at which it was left.

    server  a process of the page that was begun before, on its port
    tell    is given the address, once the page can be opened

    Raises:  UnavailableError – without Bokeh, or where the port cannot be taken
    """
    require_bokeh()
    from minigan.studio.studio import Studio

    with Studio(request, port=port, out=out, start=start, step=step, server=server) as studio:
        tell(studio.url)
        if browser:
            import webbrowser

            threading.Thread(target=webbrowser.open, args=(studio.url,), daemon=True).start()
        studio.run()
    return studio.course.latest.step
