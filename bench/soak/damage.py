"""Damaged and hostile checkpoints: every truncation, every bit, and a million mutants of one real file.

Each is loaded, many are inspected, under an audit hook: it is refused with one sentence, or holds what was
saved; nothing may be imported, run or opened besides it, and no more memory taken than 4 of it and 64 MiB.
A file that was made by ``save`` with other content is no damage: the digest is a checksum, not a signature.
"""

import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import minigan
from bench.soak import harness
from minigan.errors import CheckpointError
from minigan.storage import checkpoint

CHUNK = 5000  # cases of one task
TRACED = 100  # of so many cases one is loaded under tracemalloc, which takes ten times as long
ALLOWED = 64 * 2**20  # bytes beyond 4 files
MESSAGE = 600  # characters of a refusal
FAILURES = (
    "code was run or another file opened",
    "another exception than CheckpointError",
    "an altered file was accepted",
    "memory beyond 4 files and 64 MiB",
    "not one sentence",
)
NUMBERS = (0, 1, -1, 2, 7, 8, 255, 2**20, 2**31, 2**32 - 1, 2**40, 2**53 + 1, 2**63, 2**64, 10**400, 10**4299)
VALUES = (
    *NUMBERS, None, True, False, 0.0, 1.0, 1.5, -0.0, 1e308, "", "F32", "U8", "BF16", "O", "\0", "\ud800",
    [], [[]], {}, {"a": 1}, "7", float("nan"), float("inf"),
)  # fmt: skip


# ── watching


_watched: list[tuple] = []  # (path, thread, events) while a file is loaded
_hooked = False


def _hook(event, arguments):
    if _watched and threading.get_ident() == _watched[0][1]:
        path, _, events = _watched[0]
        if event == "open" and arguments[0] == path and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        events.append(f"{event} {arguments!r}"[:200])


@contextlib.contextmanager
def watched(path):
    """Yields the audit events of the block that are no reading of ``path``."""
    global _hooked
    if not _hooked:  # once: a hook cannot be taken back
        sys.addaudithook(_hook)
        _hooked = True
    events = []
    with harness.uncollected():
        _watched.append((str(path), threading.get_ident(), events))
        try:
            yield events
        finally:
            _watched.clear()


# ── the original


class Original(NamedTuple):
    """A checkpoint as bytes, what it holds, and two others: of another state, of other numbers."""

    content: bytes
    arrays: dict
    state: dict
    others: tuple[bytes, bytes]


def original():
    """The checkpoint of a short training, of about 20 kB."""
    from minigan.training.experiment import Experiment
    from minigan.training.settings import resolve

    sets = ["generator.widths=20,20", "discriminator.widths=20,20", "batch=16"]
    experiment = Experiment(resolve(environ={}, sets=sets))
    experiment.advance(20)
    arrays, state = experiment.arrays(), {"step": 20, "data": None, "best": 0.125}
    name = max(arrays, key=lambda name: arrays[name].nbytes)
    changed = {**arrays, name: arrays[name] + 1}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c"
        contents = []
        for a, s in ((arrays, state), (arrays, {**state, "step": 21}), (changed, state)):
            checkpoint.save(path, a, s)
            contents.append(path.read_bytes())
        contents = [canonical(content) for content in contents]
        path.write_bytes(contents[0])
        return Original(contents[0], *checkpoint.load(path), tuple(contents[1:]))


def split(content):
    """(length of the header, header, bytes of the arrays)"""
    length = struct.unpack("<Q", content[:8])[0]
    return length, json.loads(content[8 : 8 + length]), content[8 + length :]


def canonical(content):
    """The same checkpoint with its metadata in order, which varies, so that a mutant is found again."""
    _, header, rest = split(content)
    return joined({**header, "__metadata__": dict(sorted(header["__metadata__"].items()))}, rest)


def joined(header, rest):
    """The file with this header, a dictionary or text."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + rest


# ── mutants: each a function of (rng, original) that returns a file


def flips(rng, o):
    """1 to 8 bits."""
    content = bytearray(o.content)
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def run(rng, o):
    """A run of bytes overwritten, by noise or by one byte."""
    start = rng.randrange(len(o.content))
    length = min(rng.choice((1, 4, 8, 64, 512, 4096)), len(o.content) - start)
    filling = rng.choice((bytes([rng.choice(b'\0\xff 0[{"')]) * length, rng.randbytes(length)))
    return o.content[:start] + filling + o.content[start + length :]


def splice(rng, o):
    """A piece removed, repeated, moved, or put in."""
    a, b, c = sorted(rng.randrange(len(o.content) + 1) for _ in range(3))
    x, y, z, w = o.content[:a], o.content[a:b], o.content[b:c], o.content[c:]
    return rng.choice(
        (x + z + w, x + y + y + z + w, x + z + y + w, x + rng.randbytes(rng.randint(1, 64)) + y + z + w)
    )


def places(value, path=()):
    """The paths to everything in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def placed(header, path, value):
    """Put ``value`` at ``path``."""
    for key in path[:-1]:
        header = header[key]
    header[path[-1]] = value


def values(rng, o):
    """1 to 3 values of the header replaced: it stays JSON."""
    _, header, rest = split(o.content)
    for _ in range(rng.randint(1, 3)):
        path = rng.choice([path for path in places(header) if path])
        placed(header, path, rng.choice(VALUES))
    return joined(header, rest)


def names(rng, o):
    """Arrays renamed, removed, added, exchanged or only written in another order."""
    _, header, rest = split(o.content)
    a, b = rng.sample([name for name in header if name != "__metadata__"], 2)
    match rng.randrange(6):
        case 0:
            header[rng.choice(("", "x", a + "\0", a.upper(), "../../x", "\ud800", "__metadata__ "))] = (
                header.pop(a)
            )
        case 1:
            del header[rng.choice((a, "__metadata__"))]
        case 2:
            header["x"] = {
                "dtype": "F32",
                "shape": [rng.choice((0, 1))],
                "data_offsets": [0, rng.choice((0, 4))],
            }
        case 3:
            header[a], header[b] = header[b], header[a]
        case 4:
            key = rng.choice(("dtype", "shape", "data_offsets"))
            header[a][key], header[b][key] = header[b][key], header[a][key]
        case 5:
            items = list(header.items())
            rng.shuffle(items)
            return joined(json.dumps(dict(items), indent=rng.choice((None, 1))).encode(), rest)
    return joined(header, rest)


def twice(rng, o):
    """A key given twice, with the same or with another value, before or after the first."""
    _, header, rest = split(o.content)
    name = rng.choice(list(header))
    value = rng.choice((header[name], header[rng.choice(list(header))], rng.choice(VALUES)))
    text, more = json.dumps(header), f"{json.dumps(name)}:{json.dumps(value)}"
    text = f"{{{more},{text[1:]}" if rng.random() < 0.5 else f"{text[:-1]},{more}}}"
    if rng.random() < 0.3:
        entry = header[rng.choice([name for name in header if name != "__metadata__"])]
        key = rng.choice(list(entry))
        old = json.dumps(entry)
        text = text.replace(old, f"{old[:-1]}, {json.dumps(key)}: {json.dumps(rng.choice(VALUES))}}}", 1)
    return joined(text.encode(), rest)


def offsets(rng, o):
    """Arrays moved: overlapping, apart, backwards, out of the file, or two exchanged of one size."""
    _, header, rest = split(o.content)
    arrays = [name for name in header if name != "__metadata__"]
    entry = header[rng.choice(arrays)]
    begin, end = entry["data_offsets"]
    by = rng.choice((1, 4, 8, -4, -8, end - begin, begin - end, len(rest), 2**31, 2**63, 2**64 - begin))
    other = header[rng.choice([n for n in arrays if header[n]["shape"] == entry["shape"]])]
    entry["data_offsets"], other["data_offsets"] = rng.choice(
        (
            ([begin + by, end + by], other["data_offsets"]),
            ([end, begin], other["data_offsets"]),
            ([begin, end + by], other["data_offsets"]),
            (other["data_offsets"], entry["data_offsets"]),
            (entry["data_offsets"], entry["data_offsets"]),
            ([0, len(rest)], other["data_offsets"]),
        )
    )
    return joined(header, rest)


def shapes(rng, o):
    """Huge, empty, negative and many-dimensional shapes, with offsets that may fit them."""
    _, header, rest = split(o.content)
    entry = header[rng.choice([name for name in header if name != "__metadata__"])]
    begin, end = entry["data_offsets"]
    count = (end - begin) // 4
    entry["shape"] = shape = rng.choice(
        (
            [0, rng.choice(NUMBERS)], [rng.choice(NUMBERS), rng.choice(NUMBERS)], [count, 1],
            [1] * 40 + [count], [-1, -count], [count // 2, 2], [1] * rng.choice((65, 1000)),
            [rng.choice(NUMBERS)] * rng.choice((1, 8, 64)), [float(count)], [str(count)], [[count]],
            [True, count], [], count,
        )
    )  # fmt: skip
    if rng.random() < 0.5 and isinstance(shape, list) and all(type(n) is int and n < 2**70 for n in shape):
        size = 4
        for n in shape[:64]:
            size *= n
        entry["data_offsets"] = [begin, begin + size]
    return joined(header, rest)


def deep(rng, o):
    """Nesting of 2 to 10^5 levels, in the header or in the state."""
    _, header, rest = split(o.content)
    levels, opening, closing = (
        rng.choice((2, 50, 900, 1100, 5000, 10**5)),
        *rng.choice((("[", "]"), ('{"a":', "}"))),
    )
    nest = opening * levels + rng.choice(("", "0" + closing * levels))
    match rng.randrange(4):
        case 0:
            return joined(nest.encode(), rest)
        case 1:
            header["__metadata__"]["state"] = nest
            return joined(header, rest)
        case 2:
            header["__metadata__"]["state"] = f'{{"step": {nest}}}'
            return joined(header, rest)
        case _:
            place = rng.choice([path for path in places(header) if path])
            placed(header, place, "NEST")
            return joined(json.dumps(header).replace('"NEST"', nest, 1).encode(), rest)


def length(rng, o):
    """The length of the header at every border, and headers that are padded or cut to it."""
    n, _, rest = split(o.content)
    size, text = len(o.content), o.content[8 : 8 + n]
    new = rng.choice(
        (
            0, 1, 2, 7, 8, n - 1, n + 1, size, size - 7, size - 8, size - 9, 2**20 - 1, 2**20, 2**20 + 1,
            2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, rng.randrange(2**64),
        )
    )  # fmt: skip
    padded = text.ljust(new)[:new] if new <= 2**20 + 1 and rng.random() < 0.5 else text
    return struct.pack("<Q", new) + padded + rest


def digests(rng, o):
    """Digests of something else: of another state, of other arrays, of the file, or written otherwise."""
    _, header, rest = split(o.content)
    metadata, donor = header["__metadata__"], rng.choice(o.others)
    _, its_header, its_rest = split(donor)
    match rng.randrange(6):
        case 0:
            metadata["digest"] = its_header["__metadata__"]["digest"]
        case 1 if its_header["__metadata__"]["state"] != metadata["state"]:
            metadata["state"] = its_header["__metadata__"]["state"]
        case 2 if its_rest != rest:
            rest = its_rest
        case 3:
            text = rng.choice((o.content, rest, metadata["state"].encode(), b""))
            size = rng.choice((32, 64))
            metadata["digest"] = hashlib.blake2b(text, digest_size=size).hexdigest()
        case 4:
            digest = metadata["digest"]
            metadata["digest"] = rng.choice(
                (digest.upper() + " ", digest[:-1], digest + "0", digest[::-1], "")
            )
        case _:
            state = json.loads(metadata["state"])
            state[rng.choice((*state, "x"))] = rng.choice(VALUES)
            metadata["state"] = json.dumps(state)
            if rng.random() < 0.5:
                metadata["digest"] = hashlib.blake2b(
                    rest + metadata["state"].encode(), digest_size=32
                ).hexdigest()
    return joined(header, rest)


MUTATIONS = (flips, run, splice, values, names, twice, offsets, shapes, deep, length, digests)


def mutant(number, o):
    """(kind, file) of that number: the same number, the same file."""
    rng = random.Random(number)
    kind = MUTATIONS[number % len(MUTATIONS)]
    return kind.__name__, kind(rng, o)


def hostile(o):
    """Files that ask for memory or time: (name, content)."""
    _, header, rest = split(o.content)
    first = next(name for name in header if name != "__metadata__")

    def with_shape(shape, end=8):
        return joined({**header, first: {"dtype": "F64", "shape": shape, "data_offsets": [0, end]}}, rest)

    objects = b"[" + b"{}," * (4 * 2**20 // 3) + b"{}]"
    small = b"[" + b"[]," * ((2**20 - 100) // 3) + b"[]]"
    state = {"__metadata__": {**header["__metadata__"], "state": "[" + "[]," * 150_000 + "[]]"}}
    empty = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    return {
        "4 MiB of empty objects": joined(objects, rest),
        "1 MiB of empty lists": joined(small, rest),
        "a state of empty lists": joined({**header, **state}, rest),
        "a shape of 2^60": with_shape([2**60], 2**63),
        "a shape of 0 by 2^62": with_shape([0, 2**62], 0),
        "a shape of 10^4000": with_shape([10**4000], 8 * 10**4000),
        "a shape of many long numbers": with_shape([10**4000] * 200),
        "a shape of 10^5 ones": with_shape([1] * 10**5),
        "2000 empty arrays": joined({**header, **{f"x{k}": empty for k in range(2000)}}, rest),
        "a length of 2^63": struct.pack("<Q", 2**63) + rest,
        "10^5 levels": joined(b"[" * 10**5, rest),
    }


# ── loading and judging


class Tally:
    """What was seen over many files, ready for JSON."""

    def __init__(self):
        self.counts, self.failures, self.examples = Counter(), Counter(), {}
        self.slowest, self.traced, self.growth = (0.0, ""), 0, 0.0

    def fail(self, kind, example):
        """Count a failure; the first of each kind is kept."""
        self.failures[kind] += 1
        self.examples.setdefault(kind, str(example)[:500])

    def add(self, other):
        """Take over what another process has seen."""
        self.counts += other.counts
        self.failures += other.failures
        self.examples = other.examples | self.examples
        self.slowest, self.traced = max(self.slowest, other.slowest), max(self.traced, other.traced)
        self.growth = max(self.growth, other.growth)


def judge(path, size, o, tally, what, trace=False, reads=("load", "inspect")):
    """Load and inspect the file at ``path``; count what happens.

    An inspected file may be an altered one, since the digest needs the arrays.
    """
    for read in (getattr(checkpoint, name) for name in reads):
        found, error = None, None
        if trace:
            tracemalloc.start()
        started = time.perf_counter()
        with watched(path) as events:
            try:
                found = read(path)
            except Exception as caught:
                error = caught
        elapsed = time.perf_counter() - started
        if trace:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            tally.traced = max(tally.traced, peak)
            if peak > 4 * size + ALLOWED:
                tally.fail(FAILURES[3], f"{what}: {peak} bytes for a file of {size}")
        elif read is checkpoint.load:
            tally.slowest = max(tally.slowest, (elapsed, what))
        if events:
            tally.fail(FAILURES[0], f"{what}: {events[0]}")
        if error is not None and not isinstance(error, CheckpointError):
            tally.fail(FAILURES[1], f"{what}, {read.__name__}: {type(error).__name__}: {error}")
        elif error is not None and ("\n" in str(error) or not 20 < len(str(error)) < MESSAGE):
            tally.fail(FAILURES[4], f"{what}: {str(error)[:100]} … of {len(str(error))} characters")
        if read is checkpoint.load:
            same = error is None and equal(found, o)
            tally.counts["refused" if error else "held what was saved" if same else "accepted altered"] += 1
            if error is None and not same:
                tally.fail(FAILURES[2], what)


def equal(found, o):
    """Whether a loaded checkpoint is the original, bit for bit."""
    arrays, state = found
    return (
        repr(state) == repr(o.state)
        and arrays.keys() == o.arrays.keys()
        and all(
            (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
            for a, b in ((arrays[name], o.arrays[name]) for name in arrays)
        )
    )


def cases(o, count, every):
    """Tasks of at most CHUNK cases: (kind, range)."""
    header = 8 * (8 + split(o.content)[0])
    for kind, numbers in (
        ("truncation", range(len(o.content))),
        ("bit of the header", range(header)),
        ("bit of the arrays", range(header, 8 * len(o.content))),
        ("mutant", range(count)),
    ):
        numbers = numbers[:: every.get(kind, 1)]
        yield from ((kind, numbers[k : k + CHUNK]) for k in range(0, len(numbers), CHUNK))


def work(task):
    """The tally of one task, on a file of its own."""
    o, kind, numbers = task
    tally, before = Tally(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.safetensors"
        path.write_bytes(o.content)
        checkpoint.load(path)  # what loading imports is imported now
        with open(path, "r+b", buffering=0) as file:
            for number in numbers if kind != "truncation" else reversed(numbers):
                what, size = f"{kind} {number}", len(o.content)
                if kind == "truncation":
                    size = file.truncate(number)
                elif kind == "mutant":
                    name, content = mutant(number, o)
                    what, size = f"{kind} {number} ({name})", len(content)
                    file.seek(0)
                    file.write(content)
                    file.truncate()
                else:
                    at, changed = number // 8, o.content[number // 8] ^ 1 << number % 8
                    os.pwrite(file.fileno(), bytes([changed]), at)
                reads = ("load", "inspect") if kind == "mutant" and number % 3 == 0 else ("load",)
                judge(path, size, o, tally, what, trace=number % TRACED == 0, reads=reads)
                tally.counts[kind] += 1
                if kind.startswith("bit"):
                    os.pwrite(file.fileno(), o.content[at : at + 1], at)
    # In kB, as Linux counts; the mutants built here are in it too.
    tally.growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if tally.growth * 2**20 > 4 * len(o.content) + ALLOWED:
        tally.fail(FAILURES[3], f"{kind} {numbers}: the process grew by {tally.growth:.0f} MiB")
    return tally


LIMITED = """
import os, resource, sys
from minigan.storage import checkpoint
from minigan.errors import CheckpointError
checkpoint.load(sys.argv[1])
for path in sys.argv[2:]:
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + 4 * os.path.getsize(path) + 64 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        checkpoint.load(path)
    except CheckpointError:
        print("refused", flush=True)
    except BaseException as error:
        print(type(error).__name__, flush=True)
    else:
        print("accepted", flush=True)
"""


def limited(o):
    """{hostile file: "refused" or what else happened}, in a process that cannot take more memory."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"original": o.content, **hostile(o)}
        paths = [Path(folder) / f"{k}" for k in range(len(files))]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        root = str(Path(minigan.__file__).parents[1])
        command = [sys.executable, "-c", LIMITED, *map(str, paths)]
        environ = {**os.environ, "PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300)
        answers = done.stdout.split()
    answers += [f"exit {done.returncode}: {done.stderr[-200:]}"] * (len(files) - 1 - len(answers))
    return dict(zip(list(files)[1:], answers, strict=True))


def measure(count, *, every=MappingProxyType({}), jobs=None, with_limit=True):
    """``count`` mutants, all truncations, and all bits of the header and of the arrays.

    every       {kind of case: n} where only each n-th is tried
    jobs        processes (None: one per core); 1 is this one
    with_limit  whether the hostile files are loaded once more by a process that cannot take more memory
    """
    o, tally = original(), Tally()
    tasks = [(o, *case) for case in cases(o, count, every)]
    jobs = os.cpu_count() if jobs is None else jobs
    if jobs == 1:
        tallies = map(work, tasks)
        for part in tallies:
            tally.add(part)
    else:
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            for part in pool.imap_unordered(work, tasks):
                tally.add(part)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.safetensors"
        for name, content in hostile(o).items():
            path.write_bytes(content)
            for trace in (False, True):
                judge(path, len(content), o, tally, name, trace=trace)
                tally.counts["hostile"] += 1
    for name, answer in limited(o).items() if with_limit else ():
        if answer != "refused":
            tally.fail(FAILURES[3], f"{name}, in a process without more memory: {answer}")
    seconds, slowest = tally.slowest
    return {
        "file_bytes": len(o.content),
        **{name.replace(" ", "_"): number for name, number in sorted(tally.counts.items())},
        "slowest_ms": round(1000 * seconds, 1),
        "slowest": slowest,
        "peak_traced_mib": round(tally.traced / 2**20, 2),
        "growth_of_a_process_mib": round(tally.growth, 1),
        "failures": {kind: tally.failures[kind] for kind in FAILURES},
        "examples": tally.examples,
    }
