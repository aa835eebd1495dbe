"""A studio in a cell of a notebook, or beside a script: its server in a thread of its own."""

import threading
from html import escape
from typing import Any, Self

from minigan.errors import ConfigError
from minigan.front.configuration import Request, request_of
from minigan.front.run import Run
from minigan.front.wording import for_scripts
from minigan.studio.opening import refuse_labels, request_of_run, require_bokeh

PATIENCE = 5.0  # s that the end is waited for


class StudioCell:
    """An open studio, whose page a notebook shows where the object ends a cell.

    url  of the page, with its token, for a browser on the machine of the kernel

    Raises:  UnavailableError – where the port cannot be taken;  as ``fit`` for what is trained
    """

    def __init__(self, request: Request, *, height: int = 1000, port: int = 0, **how: Any) -> None:
        self.height = height
        self._opened: Any = None  # the Studio, or why there is none
        self._ready = threading.Event()
        options = {"port": port, **how}
        self._thread = threading.Thread(target=self._serve, args=(request, options), daemon=True)
        self._thread.start()
        self._ready.wait()
        if isinstance(self._opened, BaseException):
            raise self._opened

    def _serve(self, request: Request, options: dict[str, Any]) -> None:
        import asyncio

        from tornado.ioloop import IOLoop

        from minigan.studio.studio import Studio

        asyncio.set_event_loop(asyncio.new_event_loop())
        try:
            self._loop = IOLoop.current()
            self._opened = Studio(request, loop=self._loop, **options)
        except BaseException as error:
            self._opened = error
            return
        finally:
            self._ready.set()
        try:
            self._opened.run()
        finally:
            self._opened.close()
            self._loop.close()

    @property
    def url(self) -> str:
        """The address of the page."""
        address: str = self._opened.url
        return address

    @property
    def step(self) -> int:
        """At which step the game is."""
        newest: int = self._opened.course.latest.step
        return newest

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """End it: what was not saved as a run is gone."""
        if not self.closed:
            self._loop.add_callback(self._loop.stop)
            self._thread.join(PATIENCE)

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
            'style="border:0" title="minigan studio"></iframe>'
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
        refuse_labels(request)
        return StudioCell(request, height=height, port=port, out=directory)
    if target_or_data.path is None:
        raise ConfigError("a run in memory is not opened by a studio; save(…) it, or give its settings")
    request, start, step = request_of_run(str(target_or_data.path), {"preset": preset, **settings})
    refuse_labels(request)
    return StudioCell(request, height=height, port=port, out=directory, start=start, step=step)
