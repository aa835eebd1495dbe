"""The studio: a live page on a game that trains, on this machine alone.

One thread owns the experiment (``course.py``) and takes commands from a queue (``commands.py``); after them,
and some twelve times a second while somebody looks, it leaves a snapshot. The page has a process of its own:
``process.py`` begins it, ``serving.py`` is it. That is told of snapshots (``mirror.py``, ``wire.py``), reads
frames off them with an experiment of its own (``watch.py``) and shows the newest to each tab (``page.py`` and
the panels beside it), all of a frame in one message (``delivery.py``). Commands go the other way; no tab can
make the training wait. ``server.py`` lets in who has the token.

What a frame holds and how it is drawn belongs to ``views``; what a finished run shows to ``reports``.
"""

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """This room, which can be called: ``minigan.studio(…)`` opens a studio in a cell."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from minigan.studio.cell import studio

        return studio(*args, **kwargs)


# A function of the room's name would be gone as soon as a part of the room is imported.
sys.modules[__name__].__class__ = _Room
