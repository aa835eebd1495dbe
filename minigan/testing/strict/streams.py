"""Streams, events and graphs of the strict device: what is captured runs at its launch, not before.

Work on one stream is unordered to work on another, as on a GPU, unless an event or the host stands between,
or one of them is the null stream and the other waits for it. The device refuses what comes unordered after
its last work, whatever memory it touches.
"""

import time

import numpy as np

from minigan.testing.strict.memory import root_of

STATUS = {  # of CUDA
    400: "cudaErrorInvalidResourceHandle: invalid resource handle",
    401: "cudaErrorIllegalState: the operation cannot be performed in the present state",
    600: "cudaErrorNotReady: device not ready",
    900: "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing",
    901: "cudaErrorStreamCaptureInvalidated: operation failed due to a previous error during capture",
    903: "cudaErrorStreamCaptureUnmatched: the capture was not initiated in this stream",
    904: "cudaErrorStreamCaptureUnjoined: capturing stream has unjoined work",
    905: "cudaErrorStreamCaptureIsolation: dependency created on uncaptured work in another stream",
    906: "cudaErrorStreamCaptureImplicit: operation would make the legacy stream depend on a capturing one",
    907: "cudaErrorCapturedEvent: operation not permitted on an event last recorded in a capturing stream",
}
ILLEGAL, UNREADY, UNSUPPORTED, INVALIDATED, UNMATCHED = 401, 600, 900, 901, 903
INVALID, UNJOINED, ISOLATION, IMPLICIT, CAPTURED = 400, 904, 905, 906, 907
PER_THREAD = 2  # CUDA's pointer of the per-thread default stream


class CUDARuntimeError(RuntimeError):
    """As CuPy's: a call of the CUDA runtime failed with this status."""

    def __init__(self, status, text=""):
        super().__init__(STATUS.get(status, "") + (f" ({text})" if text else ""))
        self.status = status


class UnorderedWorkError(RuntimeError):
    """Work that nothing orders after the device's last, on another stream: on a GPU a race, and no error."""


class Queue:
    """The work of one stream, which all Stream objects of one pointer share.

    reach    the last turn of the device that its next work comes after
    capture  what it records instead of running, if it captures
    """

    __slots__ = ("__weakref__", "blocking", "capture", "null", "reach")

    def __init__(self, *, null=False, blocking=True):
        self.null, self.blocking, self.reach, self.capture = null, blocking, 0, None


class StreamCapture:
    """A graph that is being captured: its steps, how many of them are kernels, and the memory they know.

    origin    the queue in which it began
    unjoined  {a queue that joined it by an event: the steps there were at its last work}
    """

    def __init__(self, origin=None):
        self.steps, self.kernels, self.roots, self.invalid = [], 0, {}, None
        self.firsts, self.owners = [], []  # memory by its address, as far as it was looked for
        self.origin, self.unjoined = origin, {}

    def add(self, step, arrays, known, queue=None):
        """One more kernel, on these arrays; ``known`` counts, of each memory, the graphs that know it."""
        if self.invalid:
            raise CUDARuntimeError(INVALIDATED, f"{self.invalid} came before")
        self.steps.append(step)
        self.kernels += 1
        if queue in self.unjoined:
            self.unjoined[queue] = len(self.steps)
        for a in arrays:
            if isinstance(a, np.ndarray):
                root = root_of(a)
                if id(root) not in self.roots:
                    self.roots[id(root)] = root
                    known[id(root)] = known.get(id(root), 0) + 1


class CapturedGraph:
    """``cupy.cuda.Graph``: captured steps, which write into the buffers that the capture gave them."""

    _device, _roots = None, ()

    def __init__(self, *_, **__):
        raise NotImplementedError("graphs are made by stream capture only")

    @classmethod
    def _of(cls, capture):
        graph = cls.__new__(cls)
        graph._steps, graph._kernels, graph._roots = capture.steps, capture.kernels, capture.roots
        return graph

    def launch(self, stream=None):
        """Run all steps on the stream, or on the current one."""
        queue = self._device.thread.queue if stream is None else stream._queue
        if queue.capture is not None:
            queue.capture.add(self._run, (), {}, queue)
            return
        self._device.take_turn(queue)
        self._device.counters.graphs += 1
        self._device.counters.nodes += self._kernels
        self._run()

    def _run(self):
        with np.errstate(all="ignore"):
            for step in self._steps:
                step()

    def upload(self, stream=None):
        """Bring it to the device before its first launch."""

    def __del__(self):
        known = self._device.known
        for key in self._roots:
            known[key] -= 1
            if not known[key]:
                del known[key]


class Stream:
    """An order of work."""

    _device = null = ptds = None

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        queues, known = self._device.queues, 0 if null else PER_THREAD if ptds else None
        self._queue = queues.get(known) or Queue(null=null, blocking=null or ptds or not non_blocking)
        self.ptr = id(self._queue) if known is None else known
        queues[self.ptr] = self._queue
        self.is_non_blocking, self.priority = not self._queue.blocking, priority or 0

    def __eq__(self, other):
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self):
        return self.ptr

    def use(self):
        """Make it the current stream of this thread."""
        if self.ptr == PER_THREAD:  # of which there would be as many as threads
            raise NotImplementedError("the per-thread default stream is not part of the strict device")
        thread = self._device.thread
        thread.stream, thread.queue = self, self._queue
        return self

    def __enter__(self):
        self._device.thread.entered.append(self)
        return self.use()

    def __exit__(self, *_):
        """Current is now what was entered before, or the null stream: what ``use`` made so is forgotten."""
        entered = self._device.thread.entered
        entered.pop()
        (entered[-1] if entered else self._device.Stream.null).use()

    def begin_capture(self, mode=None):
        """Record from now on instead of running."""
        if self.ptr in (0, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self._queue.capture is not None:
            raise CUDARuntimeError(ILLEGAL, "it is capturing already")
        self._queue.capture = StreamCapture(self._queue)
        self._device.capturing.append(self._queue)
        self._device.last = None

    def end_capture(self):
        """The graph of what was recorded."""
        capture, device = self._queue.capture, self._device
        if capture is None:
            raise CUDARuntimeError(ILLEGAL, "the stream is not capturing")
        if capture.origin is not self._queue:
            capture.invalid = "the end of a capture that began in another stream"
            raise CUDARuntimeError(UNMATCHED)
        for queue in (self._queue, *capture.unjoined):
            queue.capture = None
        device.capturing.remove(self._queue)
        graph = device.Graph._of(capture)
        if capture.invalid:
            raise CUDARuntimeError(INVALIDATED, f"{capture.invalid} came between")
        if any(last is not None for last in capture.unjoined.values()):
            raise CUDARuntimeError(UNJOINED)
        return graph

    def is_capturing(self):
        """Whether it records."""
        capture = self._queue.capture
        if not self.ptr and any(queue.blocking for queue in self._device.capturing):
            raise CUDARuntimeError(IMPLICIT)
        if capture is not None and capture.invalid:
            raise RuntimeError("the stream was capturing, but an error has invalidated the capture sequence")
        return capture is not None

    def synchronize(self):
        """Wait until all its work is done."""
        if self._queue.capture is not None:
            self._queue.capture.invalid = "synchronize"
            raise CUDARuntimeError(UNSUPPORTED)
        self._device.counters.syncs += 1
        self._device.waited_until(self._device.reach(self._queue))

    @property
    def done(self):
        """Whether all its work is done; what was not waited for is not the first time that it is asked."""
        if self._queue.capture is not None:
            self._queue.capture.invalid = "a query"
            return False
        return self._device.is_done(self, self._device.reach(self._queue))

    def record(self, event=None):
        """An event that happens when the work so far is done."""
        event = self._device.Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        """Do nothing more before the event."""
        queue, capture = self._queue, event._capture
        if capture is None:
            if queue.capture is not None and event._at:
                queue.capture.invalid = "an event from outside"
                raise CUDARuntimeError(ISOLATION)
            queue.reach = max(queue.reach, event._at)
            self._device.last = None
            return
        if queue.capture is None:  # it joins
            queue.capture = capture
            capture.unjoined[queue] = len(capture.steps)
        elif queue.capture is not capture:
            raise CUDARuntimeError(ISOLATION)
        if event._queue in capture.unjoined and capture.unjoined[event._queue] == event._at:
            capture.unjoined[event._queue] = None


class Event:
    """A point in the work of a stream."""

    _device = None

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        if interprocess and not disable_timing:
            raise ValueError("Timing must be disabled for interprocess events")
        self._timed, self._time, self._at = not disable_timing, None, 0
        self._queue = self._capture = None

    def record(self, stream=None):
        """Let it happen when the work of the stream so far is done."""
        device = self._device
        self._queue = device.thread.queue if stream is None else stream._queue
        self._capture = self._queue.capture
        if self._capture is None:
            self._at, self._time = device.reach(self._queue), time.perf_counter()
        elif self._queue in self._capture.unjoined:
            self._at = self._capture.unjoined[self._queue] = len(self._capture.steps)
        else:
            self._at = len(self._capture.steps)

    def synchronize(self):
        """Wait for it."""
        if self._capture is not None:
            raise CUDARuntimeError(CAPTURED, "it was recorded while its stream was capturing")
        device = self._device
        device.refuse_capture(RuntimeError, "the current stream is capturing: no event can be waited for")
        device.counters.syncs += 1
        device.waited_until(self._at)

    @property
    def done(self):
        """Whether it happened; as ``Stream.done``."""
        return self._capture is None and self._device.is_done(self, self._at)


def elapsed(start, end):
    """Milliseconds between two events that have happened."""
    for event in (start, end):
        if event._capture is not None:
            raise CUDARuntimeError(CAPTURED)
        if event._time is None or not event._timed:
            raise CUDARuntimeError(INVALID, "an event that was not recorded, or is without time")
        if event._at > event._device.finished:
            raise CUDARuntimeError(UNREADY, "the event was not waited for")
    return 1e3 * (end._time - start._time)
