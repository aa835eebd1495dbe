"""A studio: a course and the process of its page, as one thing that is opened and closed."""

from collections.abc import Mapping
from typing import Self

import numpy as np

from minigan.errors import UnavailableError
from minigan.front.configuration import Request
from minigan.studio.course import Course
from minigan.studio.process import ServerProcess


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
        server: ServerProcess | None = None,
    ) -> None:
        self._server = server or ServerProcess(port)  # first: it gets ready while the game is built
        try:
            self.course = Course(request, start=start, step=step, out=out)
            self._server.show(self.course)
        except BaseException:
            self._server.close()
            raise
        self.course.start()

    @property
    def url(self) -> str:
        """The address of the page, with the token."""
        return self._server.url

    @property
    def closed(self) -> bool:
        """Whether the page is served no more."""
        return self._server.ended.is_set()

    def run(self) -> None:
        """Wait for Ctrl-C.    Raises:  UnavailableError – where the page's process ends by itself"""
        self._server.ended.wait()
        raise UnavailableError("the process of the page has ended, and with it the studio; open it again")

    def close(self) -> None:
        """End the page and the game."""
        self._server.close()
        self.course.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
