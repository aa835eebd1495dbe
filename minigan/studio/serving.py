"""The process that serves the page: it reads snapshots and draws them, so that the one that trains does not.

``python -m minigan.studio.serving`` is begun by ``process.ServerProcess`` and by nobody else: what it is told
comes from its standard input, what it answers goes to its standard output, and it ends where that ends.
"""

import os
import signal
import sys
import threading

from minigan.errors import UnavailableError
from minigan.studio.mirror import Mirror
from minigan.studio.wire import packed, received


def main() -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other process's, which ends the input
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints is no answer
    from minigan.studio.page import builder
    from minigan.studio.server import PageServer
    from minigan.studio.watch import Watch

    line = sys.stdin.buffer
    first, told = received(line), received(line)
    if first is None or told is None:
        return

    def write(message: bytes) -> None:
        answers.write(message)
        answers.flush()

    mirror = Mirror(write)
    mirror.take(told)
    watch = Watch(mirror)
    try:
        server = PageServer(builder(mirror, watch), first[0]["port"])
    except UnavailableError as error:
        write(packed({"refused": str(error)}))
        return

    def follow() -> None:
        try:
            while (message := received(line)) is not None:
                mirror.take(message)
        finally:
            server.loop.add_callback(server.loop.stop)

    threading.Thread(target=follow, daemon=True).start()
    watch.start()
    write(packed({"url": server.url}))
    server.run()
    os._exit(0)  # the threads have nothing to put in order, and a browser may hold a line open


if __name__ == "__main__":
    main()
