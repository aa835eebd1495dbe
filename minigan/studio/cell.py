"""A studio in a cell of a notebook, or beside a script: its server in a process of its own."""

from html import escape
from typing import Any, Self

from minigan.errors import ConfigError
from minigan.front.configuration import Request, request_of
from minigan.front.run import Run
from minigan.front.wording import for_scripts
from minigan.studio.opening import request_of_run
from minigan.studio.process import require_bokeh


class StudioCell:
    """An open studio, whose page a notebook shows where the object ends a cell.

    url  of the page, with its token, for a browser on the machine of the kernel

    Raises:  UnavailableError – where the port cannot be taken;  as ``fit`` for what is trained
    """

    def __init__(self, request: Request, *, height: int = 1000, port: int = 0, **how: Any) -> None:
        from minigan.studio.studio import Studio

        self.height, self._opened = height, Studio(request, port=port, **how)

    @property
    def url(self) -> str:
        """The address of the page."""
        return self._opened.url

    @property
    def step(self) -> int:
        """At which step the game is."""
        return self._opened.course.latest.step

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._opened.closed

    def close(self) -> None:
        """End it: what was not saved as a run is gone."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<studio {'closed' if self.closed else f'at step {self.step}, {self.url}'}>"

    def _repr_html_(self) -> str:
        if self.closed:
            return f"<p>{escape(repr(self))}</p>"
        return (
            f'<iframe src="{escape(self.url)}" width="100%" height="{self.height}" '
            'style="border:0" allow="clipboard-write" title="minigan studio"></iframe>'
        )


@for_scripts
def studio(
    target_or_data: Any = None,
    *,
    preset: Any = None,
    height: int = 1000,
    port: int = 0,
    directory: str = "runs",
    **settings: Any,
) -> StudioCell:
    """Open a live page on a game that trains: in a cell of a notebook, else at the ``url`` that comes back.

    target_or_data  as in ``fit``; or a run of a directory, which goes on from its newest checkpoint unchanged
    preset, settings  as in ``fit``
    height     of the cell, in pixels
    directory  where `save as run` makes run directories

    The page is served on 127.0.0.1 of the kernel's machine alone, for who has the address. It ends with the
    kernel, or with ``close()``.

    Raises:  UnavailableError – without Bokeh, or where the port cannot be taken;  ConfigError, DataError – as
             ``fit``
    """
    require_bokeh()
    if not isinstance(target_or_data, Run):
        request = request_of(target_or_data, preset, settings)
        return StudioCell(request, height=height, port=port, out=directory)
    if target_or_data.path is None:
        raise ConfigError("a run in memory is not opened by a studio; save(…) it, or give its settings")
    request, start, step = request_of_run(str(target_or_data.path), {"preset": preset, **settings})
    return StudioCell(request, height=height, port=port, out=directory, start=start, step=step)
