"""The process of the page, as the one that trains sees it: begun, told what is new, asked to end.

Drawing pages takes as much of Python as training does, and two threads of one process share one core: so the
page has a process of its own, and the training only copies its parameters when somebody looks.
"""

import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import minigan
from minigan.errors import UnavailableError

if TYPE_CHECKING:  # what is begun first imports little
    from minigan.studio.course import Course

PATIENCE = 5.0  # s that its end is waited for
THREADS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def require_bokeh() -> None:
    """Refuse where there is nothing to show a page with.

    Raises:  UnavailableError – with what to install
    """
    if find_spec("bokeh") is None:
        raise UnavailableError("the studio needs bokeh; install it with: pip install 'minigan[ui]'")


class ServerProcess:
    """Serves the page of a course that is shown to it; it gets ready while that is built.

    url  of the page, with the token, once ``show`` has returned
    """

    def __init__(self, port: int = 0) -> None:
        package = str(Path(minigan.__file__).parent.parent)
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "minigan.studio.serving"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
            env=os.environ | THREADS | {"PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        self._in: Any = self._process.stdin
        self._out: Any = self._process.stdout
        self._asked, self._closing, self.ended = False, False, threading.Event()
        self._port, self._threads = port, list[threading.Thread]()
        self.url = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, course: "Course") -> None:
        """Serve a page on this course.    Raises:  UnavailableError – where it cannot be served"""
        from minigan.studio.mirror import Teller
        from minigan.studio.wire import packed, received

        self._course, self._teller = course, Teller()
        self._write(packed({"port": self._port}) + self._teller.told(course.moment))
        answer = received(self._out)
        if answer is None or "url" not in answer[0]:
            self.close()
            raise UnavailableError(
                "the process of the page ended before it served; see what it said above"
                if answer is None
                else answer[0]["refused"]
            )
        self.url = answer[0]["url"]
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._listen, self._tell)]
        for thread in self._threads:
            thread.start()

    def _write(self, data: bytes) -> bool:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._in.write(rest) :]
        except (OSError, ValueError):  # it has ended
            return False
        return True

    def _listen(self) -> None:
        """Do what the page asks for."""
        from minigan.studio.wire import received

        while (message := received(self._out)) is not None:
            content, _ = message
            if "look" in content:
                self._asked = True
                self._course.look()
                self._course.news.set()
            else:
                self._course.send(content)
        self.ended.set()
        self._course.news.set()

    def _tell(self) -> None:
        """Tell what is new: the status always, a snapshot where one was asked for."""
        course, told, status = self._course, self._course.moment.latest, None
        while not (self._closing or self.ended.is_set()):
            course.news.wait()
            course.news.clear()
            moment = course.moment
            whole = moment.latest is not told and self._asked
            if not whole and moment.status is status:
                continue
            status = moment.status
            if whole:
                told, self._asked = moment.latest, False
            if not self._write(self._teller.told(moment, whole)):
                return

    def close(self) -> None:
        """End it; one that has ended is left as it is."""
        if self._closing:
            return
        self._closing = True
        if self._threads:
            self._course.news.set()
            self._threads[1].join(1.0)  # which may be writing
        if not self._threads or self._threads[1].is_alive():
            self._process.kill()
        self._in.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads[:1]:
            thread.join(PATIENCE)
        self._out.close()
