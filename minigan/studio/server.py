"""The server of the page: on 127.0.0.1 alone, for who has the token, with no request to anywhere else.

The token is the first part of every path, of scripts and of the websocket too: so nothing depends on cookies,
and the page can stand in a notebook. What lacks it, names another host, or comes from a page of another
origin is answered 403 before Bokeh sees it.
"""

import logging
import secrets
import socket
import sys
from collections.abc import Callable
from hmac import compare_digest
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler

from minigan.errors import UnavailableError

HOST = "127.0.0.1"
MESSAGE = 8 * 2**20  # bytes of the largest message that a page may send: an uploaded table


class Forbidden(RequestHandler):
    """The answer to who has no token."""

    def prepare(self) -> None:
        """Whatever is asked."""
        raise HTTPError(403)

    def write_error(self, status_code: int, **_: Any) -> None:
        """One sentence, without a word on what is here."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("403: this address needs the token that minigan studio printed\n")


class Guarded(BokehTornado):
    """Bokeh's application behind a token, for one host and its own origin."""

    def __init__(self, application: Application, token: str, hosts: tuple[str, ...]) -> None:
        self._token, self._hosts = token, hosts
        super().__init__(
            {"/": application},
            prefix=token,
            extra_websocket_origins=list(hosts),
            use_index=False,
            websocket_max_message_size_bytes=MESSAGE,
            # The parts of a document that a closed tab leaves are of no use.
            check_unused_sessions_milliseconds=2000,
            unused_session_lifetime_milliseconds=4000,
        )

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Where a request goes."""
        if not self.lets_in(request):
            return self.get_handler_delegate(request, Forbidden)
        return super().find_handler(request, **kwargs)

    def lets_in(self, request: HTTPServerRequest) -> bool:
        """Whether a request has the token, names this host, and is of this origin if it says one."""
        given = request.path.split("/")[1] if request.path.startswith("/") else ""
        origin = request.headers.get("Origin")
        here = request.host.lower() in self._hosts
        own = origin is None or origin.lower() in {f"http://{host}" for host in self._hosts}
        return compare_digest(given.encode(), self._token.encode()) and here and own


class PageServer:
    """A server of one page.

    url  with the token, for a browser on this machine
    """

    def __init__(self, build: Callable[[Any], None], port: int = 0, loop: IOLoop | None = None) -> None:
        # Of requests nothing, of mistakes in a page all.
        logging.getLogger("bokeh").setLevel(logging.ERROR)
        logging.getLogger("tornado.application").setLevel(logging.ERROR)
        logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
        logging.getLogger("tornado.general").setLevel(logging.CRITICAL)
        line = self._bound(port)
        self.port: int = line.getsockname()[1]
        self.token = secrets.token_urlsafe(24)
        hosts = (f"{HOST}:{self.port}", f"localhost:{self.port}")
        application = Application(FunctionHandler(build))
        tornado = Guarded(application, self.token, hosts)
        http = HTTPServer(tornado, max_buffer_size=2 * MESSAGE, max_body_size=2**16)
        self.loop = loop or IOLoop.current()
        self._server = BaseServer(self.loop, tornado, http)
        http.add_sockets([line])
        self._server.start()

    @staticmethod
    def _bound(port: int) -> socket.socket:
        line = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if sys.platform != "win32":
                line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            line.setblocking(False)
            line.bind((HOST, port))
            line.listen(128)
        except OSError as error:
            line.close()
            raise UnavailableError(
                f"port {port} of {HOST} cannot be taken ({error.strerror or error}); choose another with "
                "--port, or 0 for any that is free"
            ) from None
        return line

    @property
    def url(self) -> str:
        """The address, with the token."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def run(self) -> None:
        """Serve until the loop is stopped, or Ctrl-C."""
        self.loop.start()

    def stop(self) -> None:
        """Let nobody in any more."""
        self._server.unlisten()
        self._server.stop(wait=False)
