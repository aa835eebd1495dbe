"""The table of unkindness: what of CuPy a program could lean on wrongly, and that the strict device has it.

A row is a behaviour, where CuPy 14.2.0 shows or tests it (file and line of its source), and a check against
the strict device: of streams, captures and graphs, events, memory pools, copies, and modules of CUDA C.
"""

import gc
import re
import shutil
import threading
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytest

from minigan.testing.strict.api import API
from minigan.testing.strict.backend import StrictBackend
from minigan.testing.strict.memory import UNIT, OutOfMemoryError
from minigan.testing.strict.raw_kernels import CompileException, CUDADriverError
from minigan.testing.strict.streams import STATUS, CUDARuntimeError, UnorderedWorkError

TESTS = "tests/cupy_tests/cuda_tests/"
SOURCE = 'extern "C" __global__ void one(float* y, int n) { if (threadIdx.x < n) y[threadIdx.x] = 1; }'
ROWS = {}  # name of the check: Row


class Row(NamedTuple):
    """What a GPU does, who says so, and the check."""

    behaviour: str
    source: str
    check: object


def row(behaviour, *sources):
    """The function is the check of a row; it is given CuPy, as the strict device has it."""

    def add(check):
        ROWS[check.__name__] = Row(behaviour, " ".join(sources), check)
        return check

    return add


@contextmanager
def raises(name):
    """An error of CUDA of this name, with the status that CUDA has for it."""
    with pytest.raises(CUDARuntimeError, match=name) as raised:
        yield
    assert STATUS[raised.value.status].startswith(f"cudaError{name}:")


def stream_of(cp, **options):
    return cp.cuda.Stream(**{"non_blocking": True} | options)


def current(cp):
    return cp.cuda.get_current_stream()


def ones(cp, n=4):
    return cp.ones((n,), "float32")


# ── streams
@row("`with` does not give back a stream that `use()` made current: the null stream is current after it",
     TESTS + "test_stream.py:180", TESTS + "test_stream.py:130", "cupy/cuda/stream.pyx:52")  # fmt: skip
def with_forgets_use(cp):
    used, entered = stream_of(cp).use(), stream_of(cp)
    with entered as given:
        assert given is entered and current(cp) is entered is not used
    assert current(cp) is cp.cuda.Stream.null


@row("inside a `with`, the end of an inner one gives back the outer stream, not one that was used in between",
     TESTS + "test_stream.py:180")  # fmt: skip
def with_gives_back_what_was_entered(cp):
    outer, used, inner = (stream_of(cp) for _ in range(3))
    with outer:
        used.use()
        with inner:
            assert current(cp) is inner
        assert current(cp) is outer
    assert current(cp) == cp.cuda.Stream.null


@row("streams are equal by their pointers: every `Stream(null=True)` is the null stream",
     TESTS + "test_stream.py:34", TESTS + "test_stream.py:55")  # fmt: skip
def equal_by_pointer(cp):
    null, other = cp.cuda.Stream(True), stream_of(cp)
    assert null == cp.cuda.Stream.null and hash(null) == hash(cp.cuda.Stream.null) and null.ptr == 0
    assert other != null != cp.cuda.Stream(ptds=True) == cp.cuda.Stream.ptds and other != stream_of(cp)
    other.begin_capture()
    assert not null.is_capturing() and len({other, null, cp.cuda.Stream.null}) == 2


@row("a stream that is current lives on when the program drops it", TESTS + "test_stream.py:82")
def a_current_stream_lives(cp):
    pointer = stream_of(cp).use().ptr
    gc.collect()
    assert current(cp).ptr == pointer and ones(cp) is not None


@row("each thread has a current stream of its own, the null stream at first",
     TESTS + "test_stream.py:200")  # fmt: skip
def current_by_thread(cp):
    stream_of(cp).use()
    seen = []
    thread = threading.Thread(target=lambda: seen.append(current(cp)))
    thread.start()
    thread.join(60)
    assert seen == [cp.cuda.Stream.null]


@row("flags and priority are as asked for", TESTS + "test_stream.py:250", TESTS + "test_stream.py:256")
def flags(cp):
    assert not cp.cuda.Stream().is_non_blocking and stream_of(cp).is_non_blocking
    assert (cp.cuda.Stream(priority=-1).priority, cp.cuda.Stream().priority) == (-1, 0)


@row("work on two streams is unordered, also to the null stream if they do not block; an event or a wait of "
     "the host orders it (on a GPU a race, here an error)",
     TESTS + "test_graph.py:110", TESTS + "test_graph.py:50", "cupy/cuda/stream.pyx:348")  # fmt: skip
def unordered_work(cp):
    a, b = stream_of(cp), stream_of(cp)
    with a:
        x = ones(cp)
        for other in (b, cp.cuda.Stream.null):
            with other, pytest.raises(UnorderedWorkError, match="nothing orders them"):
                cp.add(x, x)
            with other, pytest.raises(UnorderedWorkError):
                x.get()
        b.wait_event(a.record())
    with b:
        assert cp.add(x, x, out=x) is x
        with a, pytest.raises(UnorderedWorkError):  # the event was of the other direction
            cp.add(x, x)
        b.synchronize()
        with a:
            assert cp.add(x, x).get()[0] == 4.0


@row("an event orders what came before it, not what came after", "cupy/cuda/stream.pyx:336")
def events_order_the_past(cp):
    a, b = stream_of(cp), stream_of(cp)
    with a:
        x = ones(cp)
        event = a.record()
        x += 1.0
    b.wait_event(event)
    with b, pytest.raises(UnorderedWorkError):
        x.get()
    a.synchronize()
    with b:
        assert x.get()[0] == 2.0


@row("the null stream and streams that block wait for each other",
     TESTS + "test_graph.py:177", "cupy/cuda/stream.pyx:479")  # fmt: skip
def blocking_streams_are_ordered(cp):
    blocking = cp.cuda.Stream()
    x = ones(cp)
    with blocking:
        x += 1.0
    assert x.get()[0] == 2.0
    with blocking:
        x += 1.0
        with cp.cuda.Stream(), pytest.raises(UnorderedWorkError):  # two of them do not
            x.get()


@row(
    "`done` says nothing that one could lean on before the stream was waited for", "cupy/cuda/stream.pyx:268"
)
def done_is_late(cp):
    stream = stream_of(cp)
    with stream:
        ones(cp)
        assert not stream.done and stream.done  # who asks again and again comes to an end
        ones(cp)
        stream.synchronize()
        assert stream.done


# ── captures and graphs
@row("what is captured runs at the launch, with the numbers of that moment", TESTS + "test_graph.py:47")
def nothing_runs_in_a_capture(cp):
    with stream_of(cp) as stream:
        x, y = ones(cp), ones(cp)
        stream.begin_capture()
        z = x * 7.0
        cp.add(x, 1.0, out=y)
        graph = stream.end_capture()
        assert np.isnan(z.get()).all() and (y.get() == 1.0).all()
        x += 1.0
        graph.upload()
        graph.launch()
        assert (z.get() == 14.0).all() and (y.get() == 3.0).all()


@row("a graph may be launched on any stream; without one, on the current one",
     TESTS + "test_graph.py:70", "cupy/cuda/graph.pyx:44")  # fmt: skip
def a_graph_runs_where_it_is_launched(cp):
    a, b = stream_of(cp), stream_of(cp)
    with a:
        x = ones(cp)
        a.begin_capture()
        x += 1.0
        graph = a.end_capture()
        a.synchronize()
    with b:
        graph.launch()
        with pytest.raises(UnorderedWorkError):
            graph.launch(a)
        assert x.get()[0] == 2.0


@row("only a capture makes a graph", "cupy/cuda/graph.pyx:32")
def graphs_are_captured(cp):
    with pytest.raises(NotImplementedError):
        cp.cuda.Graph()


@row("the null stream captures nothing", "cupy/cuda/stream.pyx:394")
def the_null_stream_captures_nothing(cp):
    for stream in (cp.cuda.Stream.null, cp.cuda.Stream(null=True)):
        with pytest.raises(RuntimeError, match="cannot capture on the default"):
            stream.begin_capture()


@row("a stream that captures says so, and no other does", TESTS + "test_graph.py:93")
def capturing_is_of_one_stream(cp):
    stream = stream_of(cp)
    stream.begin_capture()
    assert stream.is_capturing() and not cp.cuda.Stream.null.is_capturing()
    stream.end_capture()
    assert not stream.is_capturing()


@row(
    "while a stream that blocks captures, the null stream may not even be asked", TESTS + "test_graph.py:176"
)
def implicit_dependencies(cp):
    stream, x = cp.cuda.Stream(), ones(cp)
    stream.begin_capture()
    for touch in (cp.cuda.Stream.null.is_capturing, lambda: cp.add(x, x)):
        with raises("StreamCaptureImplicit"):
            touch()
    stream.end_capture()
    assert not cp.cuda.Stream.null.is_capturing() and cp.add(x, x).get()[0] == 2.0


@row("to wait for a stream that captures is an error, and the capture is lost; then the stream is as before",
     TESTS + "test_graph.py:201", "cupy_backends/cuda/api/runtime.pyx:1041")  # fmt: skip
def waiting_spoils_a_capture(cp):
    with stream_of(cp) as stream:
        x = ones(cp)
        stream.begin_capture()
        with raises("StreamCaptureUnsupported"):
            stream.synchronize()
        with pytest.raises(RuntimeError, match="invalidated the capture"):
            stream.is_capturing()
        with raises("StreamCaptureInvalidated"):
            x += 1.0
        with raises("StreamCaptureInvalidated"):
            stream.end_capture()
        assert not stream.is_capturing() and x.get()[0] == 1.0


@row("to ask whether a stream that captures is done says no, and the capture is lost",
     TESTS + "test_graph.py:274")  # fmt: skip
def asking_spoils_a_capture(cp):
    stream = stream_of(cp)
    stream.begin_capture()
    assert not stream.done
    with raises("StreamCaptureInvalidated"):
        stream.end_capture()
    stream.synchronize()


@row("to wait for the whole device is an error while any stream captures, and its capture is lost",
     "cupy_backends/cuda/api/runtime.pyx:421", "cupy/cuda/device.pyx:199")  # fmt: skip
def waiting_for_all_spoils_every_capture(cp):
    stream, x = stream_of(cp), ones(cp)
    with stream_of(cp) as other, pytest.raises(UnorderedWorkError):
        x += 1.0
    cp.cuda.Device().synchronize()
    with other:
        x += 1.0
    stream.begin_capture()
    with raises("StreamCaptureUnsupported"):
        cp.cuda.runtime.deviceSynchronize()
    with raises("StreamCaptureInvalidated"):
        stream.end_capture()
    cp.cuda.runtime.deviceSynchronize()
    assert x.get()[0] == 2.0


@row("a capture takes in other streams by events, and has to be joined by them", TESTS + "test_graph.py:142")
def captures_fork_and_join(cp):
    a, b = stream_of(cp), stream_of(cp)
    with a:
        x, y = ones(cp), ones(cp)
        a.begin_capture()
        x += 1.0
        b.wait_event(a.record())
        assert b.is_capturing()
        with b:
            cp.multiply(x, 3.0, out=y)
            joined = b.record()
        a.wait_event(joined)
        graph = a.end_capture()
        assert not a.is_capturing() and not b.is_capturing() and y.get()[0] == 1.0
        graph.launch()
        assert y.get()[0] == 6.0


@row("a capture ends in the stream in which it began, or is lost; nothing ends where none began",
     TESTS + "test_graph.py:218")  # fmt: skip
def captures_end_where_they_began(cp):
    a, b = stream_of(cp), stream_of(cp)
    a.begin_capture()
    with raises("IllegalState"):
        b.end_capture()
    b.wait_event(a.record())
    with raises("StreamCaptureUnmatched"):
        b.end_capture()
    with raises("StreamCaptureInvalidated"):
        a.end_capture()
    assert not a.is_capturing() and not b.is_capturing()


@row("a capture whose branches were not joined is lost, also one whose event came too early",
     TESTS + "test_graph.py:247")  # fmt: skip
def unjoined_branches(cp):
    for early in (False, True):
        a, b, x = stream_of(cp), stream_of(cp), cp.empty((4,))
        a.begin_capture()
        b.wait_event(a.record())
        event = b.record()
        with b:
            cp.add(x, x, out=x)
        if early:
            a.wait_event(event)
        with raises("StreamCaptureUnjoined"):
            a.end_capture()
        assert not a.is_capturing() and not b.is_capturing()


@row("the guards of CuPy itself leave a capture as it was: it can still be ended well",
     TESTS + "test_graph.py:289", "cupy/cuda/memory.pyx:691")  # fmt: skip
def guards_leave_the_capture(cp):
    with stream_of(cp) as stream:
        x = ones(cp)
        stream.begin_capture()
        for read in (x.get, x.sum().item, lambda: cp.where(x > 0), lambda: cp.array([1.0])):
            with pytest.raises(RuntimeError, match="is capturing"):
                read()
        x += 1.0
        stream.end_capture().launch()
        assert x.get()[0] == 2.0


@row("cuBLAS of CuPy refuses a capture, which goes on", TESTS + "test_graph.py:326")
def cublas_refuses_a_capture(cp):
    with stream_of(cp) as stream:
        x = cp.ones((2, 2))
        stream.begin_capture()
        for product in (cp.matmul, cp.dot, cp.tensordot, lambda x, y: x @ y):
            with pytest.raises(NotImplementedError, match="cuBLAS"):
                product(x, x)
        stream.end_capture()


@row("linear algebra and random numbers of the host refuse a capture; the strict device has neither",
     TESTS + "test_graph.py:344", TESTS + "test_graph.py:360")  # fmt: skip
def what_is_left_out_is_refused(cp):
    for name in ("linalg", "fft", "ElementwiseKernel", "fuse"):
        with pytest.raises(AttributeError, match="not part of the strict device"):
            getattr(cp, name)
    with pytest.raises(NotImplementedError, match="per-thread default stream"):
        cp.cuda.Stream.ptds.use()
    assert not hasattr(cp.random, "standard_normal") and not hasattr(cp.cuda, "ExternalStream")
    for name in ("add_callback", "launch_host_func", "from_external"):
        assert name in API["classes"]["Stream"] and not hasattr(cp.cuda.Stream, name)


@row("a graph keeps no array alive: what it used and was freed is the next one's", "cupy/cuda/graph.pyx:23")
def graphs_keep_nothing(cp):
    with stream_of(cp) as stream:
        out, used = ones(cp), [ones(cp)]
        stream.begin_capture()
        cp.add(used[0], 1.0, out=out)
        graph = stream.end_capture()
        used.clear()
        graph.launch()
        assert np.isnan(out.get()).all()


@row("numbers of the host are captured by value", TESTS + "test_graph.py:21")
def host_numbers_are_frozen(cp):
    with stream_of(cp) as stream:
        x, rate = ones(cp), [2.0]
        stream.begin_capture()
        x *= rate[0]
        graph = stream.end_capture()
        rate[0] = 100.0
        graph.launch()
        assert x.get()[0] == 2.0


@row("a capture takes in what other threads do on the same stream", "cupy/cuda/stream.pyx:404")
def a_capture_swallows_other_threads(cp):
    stream, x = stream_of(cp), cp.empty((4,))

    def work():
        stream.use()
        cp.add(x, x, out=x)

    stream.begin_capture()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    graph = stream.end_capture()
    assert graph._kernels == 1


# ── events
@row("an event between processes has no time", "cupy/cuda/stream.pyx:125")
def interprocess_events(cp):
    with pytest.raises(ValueError, match="Timing must be disabled"):
        cp.cuda.Event(interprocess=True)


@row("times are of events that were recorded, with timing, and are over", "cupy/cuda/stream.pyx:179",
     "cupyx/profiler/_time.py:189")  # fmt: skip
def times_of_events(cp):
    elapsed, Event = cp.cuda.get_elapsed_time, cp.cuda.Event
    with stream_of(cp):
        first, last, untimed = Event(), Event(), Event(disable_timing=True)
        with raises("InvalidResourceHandle"):
            elapsed(first, last)
        first.record()
        ones(cp)
        last.record()
        untimed.record()
        with raises("NotReady"):
            elapsed(first, last)
        assert not last.done
        last.synchronize()
        assert elapsed(first, last) >= 0.0 and last.done
        with raises("InvalidResourceHandle"):
            elapsed(first, untimed)


@row("without a stream an event is recorded in the current one", "cupy/cuda/stream.pyx:153")
def events_of_the_current_stream(cp):
    with stream_of(cp):
        x, event = ones(cp), cp.cuda.Event()
        event.record()
    with stream_of(cp) as other:
        other.wait_event(event)
        assert x.get()[0] == 1.0


@row("an event that was recorded in a capture cannot be waited for by the host", "cupy/cuda/stream.pyx:165")
def captured_events(cp):
    stream = stream_of(cp)
    stream.begin_capture()
    event = stream.record()
    stream.end_capture()
    with raises("CapturedEvent"):
        event.synchronize()
    with raises("CapturedEvent"):
        cp.cuda.get_elapsed_time(event, event)


@row("a capture cannot wait for an event from outside", "cupy/cuda/stream.pyx:348")
def captures_are_isolated(cp):
    a, b = stream_of(cp), stream_of(cp)
    with a:
        ones(cp)
    event = a.record()
    b.begin_capture()
    with raises("StreamCaptureIsolation"):
        b.wait_event(event)


# ── memory
@row("memory is given by 512 bytes", TESTS + "test_memory.py:299", TESTS + "test_memory.py:545")
def memory_by_the_unit(cp):
    pool = cp.get_default_memory_pool()
    a, b = cp.ones((1,)), cp.ones((UNIT // 8 + 1,))
    assert UNIT == 512 and pool.used_bytes() == 3 * UNIT
    del a, b
    assert pool.used_bytes() == 0 == pool.total_bytes() - pool.free_bytes()


def _known_to_a_graph(cp, stream, size=100):
    """An array that a graph knows, so that its memory stays with the pool when it is freed; and the graph."""
    x = cp.ones((size,))
    stream.begin_capture()
    x += 1.0
    return x, stream.end_capture()


@row("of a freed block that is larger an array gets the head; the smallest that will do is taken",
     TESTS + "test_memory.py:403", "cupy/cuda/memory.pyx:1367")  # fmt: skip
def larger_blocks_are_given_too(cp):
    with stream_of(cp) as stream:
        (x, first), (y, second) = (_known_to_a_graph(cp, stream, size) for size in (100, 300))
        places = x.data.ptr, y.data.ptr
        del x, y
        small, next_small, too_large = cp.ones((40,)), cp.ones((10,), "float32"), cp.ones((400,))
        assert (small.data.ptr, next_small.data.ptr) == places and too_large.data.ptr not in places
        second.launch()  # adds to 300 numbers, where others lie now
        assert not (next_small.get() == 1.0).all() and (small.get() == 1.0).all() and first is not None


@row("a freed block is given to the next array of its size", TESTS + "test_memory.py:433")
def blocks_are_given_again(cp):
    with stream_of(cp) as stream:
        x, graph = _known_to_a_graph(cp, stream)
        pointer = x.data.ptr
        del x
        assert cp.get_default_memory_pool().free_bytes() == 2 * UNIT
        assert cp.ones((100,)).data.ptr == pointer and graph is not None


@row("a block goes back to the stream that was current when it was made, and to no other",
     TESTS + "test_memory.py:440", TESTS + "test_memory.py:502")  # fmt: skip
def blocks_are_by_stream(cp):
    with stream_of(cp) as stream:
        x, graph = _known_to_a_graph(cp, stream)
        pointer = x.data.ptr
        del x
        stream.synchronize()
        pool = cp.get_default_memory_pool()
        with stream_of(cp) as other:
            assert cp.empty((100,)).data.ptr != pointer
            pool.free_all_blocks(stream=other)
        assert pool.free_bytes() == 2 * UNIT and cp.empty((100,)).data.ptr == pointer
        pool.free_all_blocks()
        assert pool.free_bytes() == 0 and graph is not None


@row("a limit counts units, is a MemoryError, and is taken back when arrays are freed",
     TESTS + "test_memory.py:412", "cupy/cuda/memory.pyx:64")  # fmt: skip
def limits(cp):
    pool = cp.get_default_memory_pool()
    pool.set_limit(size=2 * UNIT)
    a = cp.ones((1,))
    b = cp.ones((1,))
    with pytest.raises(
        OutOfMemoryError, match="allocating 512 bytes .allocated so far: 1,024 bytes"
    ) as raised:
        cp.ones((1,))
    assert isinstance(raised.value, MemoryError) and a is not None
    del b
    assert cp.ones((1,)).get()[0] == 1.0


@row("a limit is a size or a part of the device's memory, never both, and none by default",
     TESTS + "test_memory.py:619", TESTS + "test_memory.py:632", "cupy/cuda/memory.pyx:1507")  # fmt: skip
def limits_by_size_and_fraction(cp):
    pool, (free, total) = cp.get_default_memory_pool(), cp.cuda.runtime.memGetInfo()
    assert pool.get_limit() == 0 < free <= total
    for size, fraction, found in (
        (1024, None, 1024),
        (None, 0.5, total * 0.5),
        (None, 1.0, total),
        (0, None, 0),
    ):
        pool.set_limit(size, fraction)
        assert pool.get_limit() == found
    for options in ({"size": -1}, {"fraction": -0.1}, {"fraction": 1.1}, {"size": 1, "fraction": 0.5}):
        with pytest.raises(ValueError):
            pool.set_limit(**options)


@row("an allocator is of one thread, within its `with`, which may be nested",
     TESTS + "test_memory.py:823", TESTS + "test_memory.py:834")  # fmt: skip
def allocators(cp):
    first, second, seen = cp.cuda.MemoryPool(), cp.cuda.MemoryPool(), []
    default = cp.get_default_memory_pool()
    with cp.cuda.using_allocator(first.malloc):
        with cp.cuda.using_allocator(second.malloc):
            x = ones(cp)
        assert cp.cuda.get_allocator() == first.malloc
        thread = threading.Thread(target=lambda: seen.append(cp.cuda.get_allocator() == default.malloc))
        thread.start()
        thread.join(60)
    assert seen == [True] and cp.cuda.get_allocator() == default.malloc
    assert (first.used_bytes(), second.used_bytes(), x.nbytes) == (0, UNIT, 16)


@row("threads share the blocks of one stream, and none of two", TESTS + "test_memory.py:904",
     TESTS + "test_memory.py:916")  # fmt: skip
def blocks_between_threads(cp):
    pool, streams, places, kept = cp.cuda.MemoryPool(), [stream_of(cp), stream_of(cp)], [], []

    def job(stream):
        with cp.cuda.using_allocator(pool.malloc), stream:
            x, graph = _known_to_a_graph(cp, stream)
            places.append(x.data.ptr)
            kept.append(graph)

    for stream in (streams[0], streams[0], streams[1]):
        thread = threading.Thread(target=job, args=(stream,))
        thread.start()
        thread.join(60)
        stream.synchronize()
    assert places[0] == places[1] != places[2]


@row("an array outlives the `with` of its allocator, and keeps the pool", TESTS + "test_memory.py:863")
def arrays_keep_their_pool(cp):
    with cp.cuda.using_allocator(cp.cuda.MemoryPool().malloc):
        x = ones(cp)
        x += 1.0
    gc.collect()
    assert (cp.ones((4,)) + x).get().tolist() == [3.0] * 4


# ── copies
@row("`get` of an array that is not contiguous makes the null stream current",
     "cupy/_core/core.pyx:2184", TESTS + "test_stream.py:196")  # fmt: skip
def get_forgets_the_stream(cp):
    stream = stream_of(cp).use()
    x = cp.ones((2, 3))
    assert x.get().shape == (2, 3) and current(cp) is stream
    assert x.T.get().shape == (3, 2) and current(cp) is cp.cuda.Stream.null


@row("`get` goes to the stream that it is given, not to the current one", "cupy/_core/core.pyx:2098")
def get_takes_a_stream(cp):
    a, b = stream_of(cp), stream_of(cp)
    with a:
        x = ones(cp)
        with pytest.raises(UnorderedWorkError):
            x.get(b)
        with b:
            assert x.get(a)[0] == 1.0


@row("`get` and `set` take arrays of the same dtype, shape and order, and cast nothing",
     "tests/cupy_tests/core_tests/test_ndarray_get.py:112", "cupy/_core/core.pyx:2131")  # fmt: skip
def copies_cast_nothing(cp):
    x = cp.ones((2, 3))
    for out, error in ((np.ones((2, 3), "f4"), TypeError), (np.ones((3, 2)), ValueError), ([1.0], TypeError),
                       (np.ones((2, 6))[:, ::2], RuntimeError)):  # fmt: skip
        with pytest.raises(error):
            x.get(out=out)
    for array, error in ((np.ones((2, 3), "f4"), TypeError), (np.ones((3, 2)), ValueError), (1.0, TypeError)):
        with pytest.raises(error):
            x.set(array)
    with pytest.raises(RuntimeError, match="non-contiguous"):
        x[:, 1:].set(np.ones((2, 2)))
    with pytest.raises(NotImplementedError):
        x.get(blocking=False)  # what came back would hold nothing yet


# ── modules of CUDA C
@row("a module is made of a source or of a file, by keyword, and its options are a tuple",
     "tests/cupy_tests/core_tests/test_raw.py:700", "tests/cupy_tests/core_tests/test_raw.py:704",
     "cupy/_core/raw.pyx:364")  # fmt: skip
def modules_are_made_by_keyword(cp):
    for options in ({}, {"code": SOURCE, "path": "x.cubin"}, {"code": SOURCE, "options": ["-DA"]}):
        with pytest.raises(TypeError):
            cp.RawModule(**options)
    with pytest.raises(TypeError):
        cp.RawModule(SOURCE)


@row("a source is compiled when its first kernel is asked for; that error is no RuntimeError",
     "tests/cupy_tests/core_tests/test_raw.py:559")  # fmt: skip
def compilation_is_late(cp):
    module = cp.RawModule(code="no CUDA at all")
    with pytest.raises(cp.cuda.compiler.CompileException):
        module.get_function("f")
    assert (
        not issubclass(CompileException, RuntimeError)
        and cp.cuda.compiler.CompileException is CompileException
    )


@row("a kernel that is not there is an error of the driver", "tests/cupy_tests/core_tests/test_raw.py:710")
def missing_kernels(cp):
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="CUDA_ERROR_NOT_FOUND"):
        cp.RawModule(code=SOURCE).get_function("two")
    assert issubclass(CUDADriverError, RuntimeError)


@row("a kernel runs on the current stream; sizes are tuples, Python's numbers 64 bits wide; a host array of "
     "more than one number is refused",
     "cupy/cuda/function.pyx:142", "cupy/cuda/function.pyx:76", "cupy/cuda/function.pyx:82")  # fmt: skip
def kernels_are_launched_as_they_are_told(cp):
    kernel = cp.RawModule(code=SOURCE).get_function("one")
    stream = stream_of(cp)
    with stream:
        y = cp.zeros((4,), "float32")
        arguments = y, np.int32(4)
        kernel((1,), (4,), arguments)
    with pytest.raises(UnorderedWorkError):
        kernel((1,), (4,), arguments)
    stream.synchronize()
    for sizes in ((1, (4,)), ((1,), [4])):
        with pytest.raises(TypeError):
            kernel(*sizes, arguments)
    for wrong in ((y, 4), (np.ones(4, "f4"), np.int32(4)), ("y", np.int32(4))):
        with pytest.raises((TypeError, RuntimeError)):
            kernel((1,), (4,), wrong)
    assert y.get().tolist() == [1.0] * 4


@row("a kernel sees where an array begins, and no strides", "cupy/_core/raw.pyx:48")
def kernels_see_no_strides(cp):
    kernel = cp.RawModule(code=SOURCE).get_function("one")
    x = cp.zeros((2, 4), "float32")
    kernel((1,), (4,), (x[:, 1], np.int32(2)))
    assert x.get().tolist() == [[0.0, 1.0, 1.0, 0.0], [0.0] * 4]


@row("a block has at most 1024 threads, and more shared memory than 48 KiB only if it was asked for",
     "tests/cupy_tests/core_tests/test_raw.py:515", "cupy/_core/raw.pyx:269")  # fmt: skip
def launch_limits(cp):
    kernel = cp.RawModule(code=SOURCE).get_function("one")
    arguments = cp.zeros((4,), "float32"), np.int32(4)
    for sizes, options in ((((1,), (1025,)), {}), (((1,), (4,)), {"shared_mem": 49 * 1024}),
                           (((1, 65536), (4,)), {}), (((1,), (1, 1, 65)), {})):  # fmt: skip
        with pytest.raises(RuntimeError):
            kernel(*sizes, arguments, **options)
    kernel.max_dynamic_shared_size_bytes = 49 * 1024
    kernel((1,), (4,), arguments, shared_mem=49 * 1024)
    with pytest.raises(CUDADriverError):
        kernel.max_dynamic_shared_size_bytes = 228 * 1024


# ── the table
@pytest.mark.parametrize("name", ROWS)
def test_the_strict_device_is_as_unkind(name):
    if "module" in name or "kernel" in name or name in ("compilation_is_late", "launch_limits"):
        if shutil.which("g++") is None:
            pytest.skip("needs g++ to run CUDA C on the CPU")
    ROWS[name].check(StrictBackend().cp)


def test_every_row_has_a_source_in_cupys_own_files():
    for found in ROWS.values():
        assert found.behaviour and found.source
        for source in found.source.split():
            assert re.fullmatch(r"(cupy|cupyx|cupy_backends|tests/cupy_tests)/[\w/]+\.pyx?:\d+", source), (
                source
            )
    assert len({found.behaviour for found in ROWS.values()}) == len(ROWS) > 40
