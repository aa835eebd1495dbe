"""Streams, events and graphs of the strict device: what is captured runs at its launch, not before."""

import time

import numpy as np

from minigan.testing.strict.memory import root_of

UNSUPPORTED, INVALIDATED = 900, 901  # statuses of CUDA


class CUDARuntimeError(RuntimeError):
    """As CuPy's: a call of the CUDA runtime failed with this status."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class StreamCapture:
    """A graph that is being captured: its steps, how many of them are kernels, and the memory they know."""

    def __init__(self):
        self.steps, self.kernels, self.roots, self.invalid = [], 0, {}, None
        self.firsts, self.owners = [], []  # memory by its address, as far as it was looked for

    def add(self, step, arrays, known):
        """One more kernel, on these arrays; ``known`` counts, of each memory, the graphs that know it."""
        self.steps.append(step)
        self.kernels += 1
        for a in arrays:
            if isinstance(a, np.ndarray):
                root = root_of(a)
                if id(root) not in self.roots:
                    self.roots[id(root)] = root
                    known[id(root)] = known.get(id(root), 0) + 1


class CapturedGraph:
    """``cupy.cuda.Graph``: captured steps, which write into the buffers that the capture gave them."""

    _device = None

    def __init__(self, capture):
        self._steps, self._kernels, self._roots = capture.steps, capture.kernels, capture.roots

    def launch(self, stream=None):
        """Run all steps on the stream, or on the current one."""
        stream = self._device.thread.stream if stream is None else stream
        if stream._capture is not None:
            stream._capture.add(self._run, (), {})
            return
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

    _device = None

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.is_non_blocking, self.ptds, self.priority = non_blocking, ptds, priority or 0
        self.ptr = 0 if null else id(self)
        self._capture, self._entered = None, []

    def use(self):
        """Make it the current stream of this thread."""
        self._device.thread.stream = self
        return self

    def __enter__(self):
        self._entered.append(self._device.thread.stream)
        return self.use()

    def __exit__(self, *_):
        self._entered.pop().use()

    def begin_capture(self, mode=None):
        """Record from now on instead of running."""
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self._capture is not None:
            raise CUDARuntimeError(UNSUPPORTED, "cudaErrorStreamCaptureUnsupported: it is capturing already")
        self._capture = StreamCapture()

    def end_capture(self):
        """The graph of what was recorded."""
        capture, self._capture = self._capture, None
        if capture is None:
            raise CUDARuntimeError(401, "cudaErrorIllegalState: the stream is not capturing")
        graph = self._device.Graph(capture)
        if capture.invalid:
            raise CUDARuntimeError(
                INVALIDATED, f"cudaErrorStreamCaptureInvalidated: {capture.invalid} came between"
            )
        return graph

    def is_capturing(self):
        """Whether it records."""
        return self._capture is not None

    def synchronize(self):
        """Wait until all its work is done."""
        if self._capture is not None:
            self._capture.invalid = "synchronize"
            raise CUDARuntimeError(
                UNSUPPORTED,
                "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing",
            )
        self._device.counters.syncs += 1

    @property
    def done(self):
        """Whether all its work is done."""
        self.synchronize()
        return True

    def record(self, event=None):
        """An event that happens when the work so far is done."""
        event = self._device.Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        """Do nothing more before the event."""


class Event:
    """A point in the work of a stream."""

    _device = None

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self._time = None

    def record(self, stream=None):
        """Let it happen when the work of the stream so far is done."""
        self._time = time.perf_counter()

    def synchronize(self):
        """Wait for it."""
        self._device.wait("an event")

    @property
    def done(self):
        """Whether it happened."""
        return True
