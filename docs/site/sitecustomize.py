"""No process that builds the site reaches another machine: Python imports this in each, by PYTHONPATH."""

import sys

LOCAL = {"", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::"}


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Raise where an address that is not this machine's is looked up or connected to."""
    if event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        return
    asked = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = asked[0] if isinstance(asked, tuple) else asked  # a text is the path of a socket of this machine
    if event != "socket.getaddrinfo" and not isinstance(asked, tuple):
        return
    if host is not None and str(host) not in LOCAL:
        raise ConnectionError(f"the site is built without a network, and {event} was asked for {host}")


sys.addaudithook(refuse)
