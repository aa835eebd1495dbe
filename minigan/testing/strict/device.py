"""What the strict device does: it launches, captures, waits and counts, and NumPy computes.

Everything CuPy's functions come down to is one of five calls here: ``elementwise`` (a ufunc), ``made`` (a
function that returns new arrays), ``general`` (one that may return views), ``write`` (into an array), and
``launch`` (anything else that runs, or is captured, as one kernel).
"""

import threading
import weakref
from bisect import bisect
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from minigan.testing.strict.api import SCALARS
from minigan.testing.strict.array import DeviceArray
from minigan.testing.strict.memory import MemoryPool, by_address, root_of
from minigan.testing.strict.streams import (
    IMPLICIT,
    UNSUPPORTED,
    CapturedGraph,
    CUDARuntimeError,
    Event,
    Stream,
    UnorderedWorkError,
)


@dataclass
class Counters:
    """What a device was asked for, since the last ``reset()``."""

    launches: int = 0  # of single kernels
    graphs: int = 0  # launches of graphs
    nodes: int = 0  # kernels that ran inside graphs
    syncs: int = 0  # times the host waited for the device
    to_device: int = 0  # copies
    to_host: int = 0

    def reset(self):
        """Start again from zero."""
        for field in fields(self):
            setattr(self, field.name, 0)


class _Thread(threading.local):
    """What is current in each thread, and the streams whose ``with`` is not over."""

    def __init__(self, stream, pool):
        self.stream, self.queue, self.pool, self.entered = stream, stream._queue, pool, []


class StrictDevice:
    """One simulated device: its memory, its streams, and what was asked of it.

    cp        the StrictNamespace through which it is used
    flushes   float32 results below the smallest normal number become 0, as CuPy's kernels make them
    counters  how often it was asked for launches, transfers and to wait
    known     {id of memory that graphs know: how many do}
    turn      how often work came from another stream than before, or after an event; finished: how many of
              these turns the host has waited for
    last      the queue whose work may go on without a look, else None
    capturing the queues that capture; while one of them blocks, the null stream may do nothing
    """

    def __init__(self, cp, *, flushes=False):
        self.counters, self.flushes, self.known, self.pools = Counters(), flushes, {}, weakref.WeakSet()
        self.ndarray = self.own(DeviceArray, _cp=cp, __slots__=())
        self.Stream, self.Event, self.Graph = self.own(Stream), self.own(Event), self.own(CapturedGraph)
        self.MemoryPool = self.own(MemoryPool)
        self.queues, self.turning = weakref.WeakValueDictionary(), threading.Lock()
        self.turn, self.finished, self.last, self.latest, self.capturing = 0, 0, None, None, []
        self.asked = weakref.WeakKeyDictionary()
        self.pool, self.Stream.null, self.Stream.ptds = (
            self.MemoryPool(),
            self.Stream(null=True),
            self.Stream(ptds=True),
        )
        self.thread = _Thread(self.Stream.null, self.pool)

    def own(self, kind, **more):
        """A class of CuPy's, of which this device has its own."""
        return type(kind.__name__, (kind,), {"_device": self, **more})

    # ── what host and device do together
    def refuse_capture(self, error, text, queue=None):
        """Raise the error if the current stream, or another, is capturing."""
        if (queue or self.thread.queue).capture is not None:
            raise error(text)

    # ── the order of work
    def take_turn(self, queue):
        """Work of a queue comes now.

        Raises:  UnorderedWorkError – if it is not ordered after all that came before
        """
        if queue is self.last:
            return
        if queue.null and any(other.blocking for other in self.capturing):
            raise CUDARuntimeError(IMPLICIT)
        with self.turning:
            latest, known = self.latest, max(queue.reach, self.finished)
            if known < self.turn and latest is not queue and not _null_waits(queue, latest):
                raise UnorderedWorkError(
                    f"work on {_named(queue)} after work on {_named(latest)}, and nothing orders them: on a "
                    "GPU they run at once; wait for an event of the other stream, or synchronize it"
                )
            self.turn += 1
            queue.reach, self.last, self.latest = self.turn, queue, queue

    def reach(self, queue):
        """The turn up to which all is done when this queue's work is; what it does next is another turn."""
        with self.turning:
            self.last, latest = None, self.latest
            return latest.reach if queue.null and latest and latest.blocking else queue.reach

    def waited_until(self, turn):
        """The host knows that all up to this turn is done."""
        self.finished = max(self.finished, turn)

    def synchronize(self):
        """The host waits for all streams, of which none may capture, in whichever thread."""
        for queue in self.capturing:
            queue.capture.invalid = "a wait for the whole device"
        if self.capturing:
            raise CUDARuntimeError(UNSUPPORTED)
        self.counters.syncs += 1
        self.waited_until(self.turn)

    def is_done(self, asked, turn):
        """Whether all up to this turn is done: if it was waited for, or the second time that it is asked."""
        done = turn <= max(self.finished, self.asked.get(asked, 0))
        self.asked[asked] = turn
        if done:
            self.waited_until(turn)
        return done

    def wait(self, what, to_host=0, queue=None):
        """The host waits for the current stream or another, after a copy on it where there is one."""
        queue = queue or self.thread.queue
        text = f"the current stream is capturing, so synchronous API calls are disallowed ({what})"
        self.refuse_capture(RuntimeError, text, queue)
        if to_host:
            self.take_turn(queue)
        self.counters.syncs += 1
        self.counters.to_host += to_host
        self.waited_until(self.reach(queue))

    def upload(self, queue=None):
        """A copy from the host."""
        text = "the current stream is capturing, so host to device copies are disallowed"
        self.refuse_capture(RuntimeError, text, queue)
        self.take_turn(queue or self.thread.queue)
        self.counters.to_device += 1

    def place(self, made):
        """A device array with the content of a NumPy array; while a stream captures, with none yet."""
        return self.thread.pool._place(made, self.thread.queue.capture)

    # ── launches
    def host(self, x):
        """What NumPy computes with in place of x; arrays of the host are refused."""
        if type(x) is self.ndarray:
            return x._a
        if isinstance(x, SCALARS) or x is None:
            return x
        if isinstance(x, np.ndarray):
            raise TypeError(
                "Unsupported type <class 'numpy.ndarray'>: implicit copy from host to device; "
                "bring host values in with backend.array(values)"
            )
        raise TypeError(f"Unsupported type {type(x)}")

    def elementwise(self, f, args, out, kwargs):
        """f(*args, **kwargs), a ufunc or its reduction, into ``out`` or into a new array."""
        args = [x._a if type(x) is self.ndarray else self.host(x) for x in args]
        if out is None:
            thread = self.thread
            queue = thread.queue
            if self.flushes or queue.capture is not None:
                return self.made(f, args, kwargs)
            if queue is not self.last:
                self.take_turn(queue)
            with np.errstate(all="ignore"):  # what is usual, sooner than by `made`
                made = f(*args, **kwargs)
            if type(made) is tuple:
                return self.made(f, args, kwargs, made)
            self.counters.launches += 1
            return thread.pool._place(np.asarray(made), None)
        outs = out if type(out) is tuple else (out,)
        for x in outs:
            if type(x) is not self.ndarray:
                raise TypeError(f"return arrays must be of type cupy.ndarray; received {type(x).__name__}")
        target = outs[0]._a if len(outs) == 1 else tuple(x._a for x in outs)
        queue = self.thread.queue
        if queue.capture is None and not self.flushes:
            if queue is not self.last:
                self.take_turn(queue)
            self.counters.launches += 1
            with np.errstate(all="ignore"):
                f(*args, out=target, **kwargs)
            return out
        trial = target.copy() if len(outs) == 1 else tuple(x.copy() for x in target)
        self.launch(
            lambda: (f(*args, out=target, **kwargs), self._flush(target)),
            [*args, *(x._a for x in outs)],
            trial=lambda: f(*args, out=trial, **kwargs),
        )
        return out

    def launch(self, step, arrays, trial=None, queue=None):
        """Run a step, or record it after a trial that may refuse it; on the current queue, or another."""
        queue = queue or self.thread.queue
        capture = queue.capture
        with np.errstate(all="ignore"):
            if capture is None:
                self.take_turn(queue)
                self.counters.launches += 1
                step()
                return
            if trial is not None:
                trial()
        capture.add(step, arrays, self.known, queue)

    def memory_of(self, view, queue=None):
        """The memory behind a view that was made of an address."""
        capture = (queue or self.thread.queue).capture
        if capture is None:
            return view
        at = view.__array_interface__["data"][0]
        for _ in range(2):  # the second time with what was made since
            k = bisect(capture.firsts, at) - 1
            if k >= 0 and at < capture.firsts[k] + capture.owners[k].nbytes:
                return capture.owners[k]
            live = [root for pool in self.pools for root in list(pool._live.values())]
            capture.firsts, capture.owners = by_address(live)
        raise CUDARuntimeError(700, "cudaErrorIllegalAddress: a product of memory that no array owns")

    def write(self, target, change, values):
        """change(target, *values), which writes into the target."""
        a = target._a
        trial = None if self.thread.queue.capture is None else partial(change, a.copy(), *values)
        self.launch(lambda: (change(a, *values), self._flush(a)), [a, *values], trial)

    def made(self, f, args, kwargs=None, results=None):
        """The new array, or arrays, that f returns, or has returned."""
        kwargs = kwargs or {}
        args = [x._a if type(x) is self.ndarray else x for x in args]
        queue = self.thread.queue
        capture = queue.capture
        if capture is None:
            self.take_turn(queue)
        if results is None:
            with np.errstate(all="ignore"):
                results = f(*args, **kwargs)
        several = type(results) in (tuple, list)
        arrays = [np.asarray(x) for x in (results if several else (results,))]
        self._flush(*arrays)
        made = [self.thread.pool._place(x, capture) for x in arrays]
        if capture is None:
            self.counters.launches += 1
        else:
            capture.add(partial(self._again, f, args, kwargs, [x._a for x in made], several),
                      [*flat(args), *(x._a for x in made)], self.known, queue)  # fmt: skip
        return type(results)(made) if several else made[0]

    def _again(self, f, args, kwargs, targets, several):
        """What a graph does for ``made``."""
        if not several and isinstance(getattr(f, "__self__", f), np.ufunc):
            f(*args, out=targets[0], **kwargs)
        else:
            results = f(*args, **kwargs)
            for target, result in zip(targets, results if several else (results,), strict=True):
                np.copyto(target, result)
        self._flush(*targets)

    def _flush(self, *arrays):
        """Make subnormal results zero, where the device does so."""
        if self.flushes:
            for a in arrays[0] if type(arrays[0]) is tuple else arrays:
                if a.dtype == np.float32:
                    np.copyto(a, np.copysign(np.float32(0), a), where=np.abs(a) < np.finfo(np.float32).tiny)

    def general(self, f, args, kwargs):
        """Any function of arrays: what it returns are views of its arguments, or new."""
        out = kwargs.pop("out", None)
        owners = [x for x in flat((args, tuple(kwargs.values()))) if type(x) is self.ndarray]
        args = [self.unwrapped(x) for x in args]
        kwargs = {key: self.unwrapped(x) for key, x in kwargs.items()}
        if out is not None:
            return self.elementwise(lambda *_, out: f(*args, out=out, **kwargs), owners, out, {})
        roots = {id(root_of(x._a)): x for x in owners}
        with np.errstate(all="ignore"):
            results = f(*args, **kwargs)
        parts = results if type(results) in (tuple, list) else (results,)
        if parts and all(isinstance(x, np.ndarray) and id(root_of(x)) in roots for x in parts):
            views = [roots[id(root_of(x))]._view(x) for x in parts]
            return type(results)(views) if type(results) in (tuple, list) else views[0]
        return self.made(lambda *_: f(*args, **kwargs), owners, results=results)

    def unwrapped(self, x):
        """x, with the NumPy arrays of device arrays in their places, inside lists and tuples too."""
        if isinstance(x, (tuple, list)) and not isinstance(x, str):
            return type(x)(map(self.unwrapped, x))
        if isinstance(x, np.ndarray):
            return self.host(x)
        return x._a if type(x) is self.ndarray else x


def _null_waits(queue, latest):
    """The null stream and those that block wait for each other; those that do not block wait for none."""
    return queue.null and latest.blocking or latest.null and queue.blocking


def _named(queue):
    return "the null stream" if queue.null else f"stream {id(queue):#x}"


def flat(xs):
    """All that lists and tuples hold."""
    for x in xs:
        if isinstance(x, (tuple, list)):
            yield from flat(x)
        else:
            yield x
