"""A studio: a course, its watch and the server of its page, as one thing that is opened and closed."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from minigan.front.configuration import Request
from minigan.studio.course import Course
from minigan.studio.page import builder
from minigan.studio.server import PageServer
from minigan.studio.watch import Watch


class Studio:
    """A game with a page on it.

    url  of the page, with the token

    Raises:  UnavailableError – where the port cannot be taken;  as ``fit`` for what is trained
    """

    def __init__(
        self,
        request: Request,
        *,
        port: int = 0,
        out: str = "runs",
        start: Mapping[str, np.ndarray] | None = None,
        step: int = 0,
        loop: Any = None,
    ) -> None:
        self.course = Course(request, start=start, step=step, out=out)
        self.watch = Watch(self.course)
        self.server = PageServer(builder(self.course, self.watch), port, loop)
        self.course.start()
        self.watch.start()

    @property
    def url(self) -> str:
        """The address of the page, with the token."""
        return self.server.url

    def run(self) -> None:
        """Serve until Ctrl-C."""
        self.server.run()

    def close(self) -> None:
        """End server and threads."""
        self.server.stop()
        self.watch.close()
        self.course.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
