"""The process of the page, as the one that trains sees it: begun, told what is new, asked to end.

Drawing pages takes as much of Python as training does, and two threads of one process share one core: so the
page has a process of its own, and the training only copies its parameters when somebody looks.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import minigan
from minigan.errors import UnavailableError
from minigan.studio.course import Course
from minigan.studio.mirror import Teller
from minigan.studio.wire import packed, received

PATIENCE = 5.0  # s that its end is waited for
THREADS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class ServerProcess:
    """Serves the page of a course that is shown to it.

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
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._asked, self._closing, self.ended = False, False, threading.Event()
        self._port, self._teller = port, Teller()
        self.url = ""

    def show(self, course: Course) -> None:
        """Serve a page on this course.    Raises:  UnavailableError – where it cannot be served"""
        self._course = course
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
        """End it."""
        self._closing = True
        if hasattr(self, "_threads"):
            self._course.news.set()
            self._threads[1].join(1.0)  # which may be writing
            if self._threads[1].is_alive():
                self._process.kill()
        self._in.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if hasattr(self, "_threads"):
            self._threads[0].join(PATIENCE)
        self._out.close()
