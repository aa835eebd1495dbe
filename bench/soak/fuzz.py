"""Everything that reads what others wrote, with damaged input: it is refused in one sentence, or it is right.

Configurations (TOML, JSON, ``--set``), data files, the records of a run, command lines, seeds, streams. A
case is found again by its target and number. The counts of the targets are shares of that of configurations.
"""

import contextlib
import errno
import io
import json
import math
import multiprocessing
import os
import random
import re
import sys
import tempfile
import threading
import tracemalloc
import warnings
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np

from bench.soak.damage import Tally
from bench.soak.harness import uncollected
from minigan.errors import ConfigError, DataError, MiniganError
from minigan.probability.families import FAMILIES
from minigan.storage.directory import RunDirectory
from minigan.training.config import fields, flatten, to_json
from minigan.training.data import read_data
from minigan.training.settings import from_json, notes_on, resolve
from minigan.training.synonyms import ELSEWHERE, FLAGS, NAMES, PLAYERS

SHARES = {
    "configurations": 1,
    "data": 0.2,
    "records": 0.1,
    "arguments": 0.1,
    "seeds": 0.001,
    "streams": 0.01,
    "spellings": 0.05,
}
CHUNK = 500  # cases of one task
CODES = {0, 2, 3, 4, 5, 6, 7, 8, 130, 143}  # the documented ones without 1, which means a bug
ENDLESS = {"studio", "bench"}  # commands that serve until they are stopped, or measure for minutes
SLOW = {"explain", "doctor"}  # commands that are asked less often
MESSAGE = 700  # characters of a refusal, beside those of names and texts it may quote
FAILURES = (
    "another exception", "not one sentence", "a wrong result", "memory", "undocumented exit code",
    "traceback", "a file outside the run directory",
)  # fmt: skip
TINY = (
    "generator.widths=3",
    "discriminator.widths=3",
    "batch=4",
    "steps=2",
    "eval_every=2",
    "eval_samples=100",
)
TOKENS = (
    b"[", b"]", b"{", b"}", b'"', b"'", b"=", b":", b",", b".", b"-", b"+", b"e", b"9" * 400, b"nan",
    b"inf", b"\n", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\\ud800", b"null", b"true", b"1e999", b"#",
    b"(", b"*", b"[" * 3000, b"a." * 2000, b'"""', b";", b"\t", b"__proto__", b"\xe2\x80\xae", b"0x10",
    b"1_000",
)  # fmt: skip
ALIENS = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.5, 1e308, 1e-320, float("nan"),
    float("inf"), "", "x", "\0", "\ud800", "normal(0,1)", [], [1], [[1]], {}, {"name": 1}, "9" * 5000,
)  # fmt: skip
NUMBERS = (
    "0", "1", "-1", "2", "0.5", "4", "1e-9", "1e9", "1e308", "-1e308", "1e-320", "nan", "inf", "", "x",
    "40", "8", "16", "100000", "2147483648", "1" + "0" * 400,
)  # fmt: skip
DISTRIBUTIONS = (*FAMILIES, "N", "gaussian", "Student-T", "log normal", "poisson", "mixture", "norml")
SLIPS = ("", *"(),.;*/-[]= \u2212\u00d7\u00b2\uff10\u00bd\u200b%'")  # typed in place of a character


def mutated(rng, content):
    """``content`` with 1 to 3 changes of bytes: flipped, put in, removed, repeated, overwritten, cut."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(content) + 1)
        match rng.randrange(6):
            case 0 if at < len(content):
                content[at] ^= 1 << rng.randrange(8)
            case 1:
                content[at:at] = rng.choice(TOKENS)
            case 2:
                del content[at : at + rng.randint(1, 20)]
            case 3:
                start = rng.randrange(len(content) + 1)
                content[at:at] = content[start : start + rng.randint(1, 80)]
            case 4:
                content[at : at + 4] = rng.randbytes(4)
            case _:
                del content[at if rng.random() < 0.2 else len(content) :]
    return bytes(content)


def put(path, content):
    """Write a file in place: to replace it would have the disk wait for each of them."""
    with open(path, "r+b" if path.exists() else "wb") as file:
        file.write(content)
        file.truncate()


def answered(tally, what, error, kinds):
    """Count a refusal, and a failure if it is not one sentence of an expected kind."""
    if not isinstance(error, kinds):
        tally.fail("another exception", f"{what}: {type(error).__name__}: {error}")
    elif "\n" in str(error) or not 10 < len(str(error)) < MESSAGE:
        tally.fail("not one sentence", f"{what}: {str(error)[:200]}")
    tally.counts["refused"] += 1


# ── configurations


def typed(rng, kind):
    """A value of that type near its bounds, on either side."""
    types = msgspec.inspect
    match kind:
        case types.Metadata(type=inner):
            return typed(rng, inner)
        case types.BoolType():
            return rng.random() < 0.5
        case types.IntType():
            low, high = kind.ge if kind.ge is not None else -5, kind.le if kind.le is not None else 2**63 - 1
            return rng.choice((low, low - 1, low + 1, high, high + 1, rng.randint(low, min(high, low + 100))))
        case types.FloatType():
            bounds = [bound for bound in (kind.ge, kind.gt, kind.le, kind.lt) if bound is not None]
            near = [math.nextafter(bound, way) for bound in bounds for way in (-math.inf, math.inf)]
            return rng.choice((*bounds, *near, rng.random(), rng.lognormvariate(0, 20), 1e308, 5e-324))
        case types.LiteralType(values=values):
            return rng.choice(values)
        case types.VarTupleType(item_type=item):
            return [typed(rng, item) for _ in range(rng.choice((0, 1, 2, 16, 17)))]
        case types.UnionType(types=options):
            return typed(rng, rng.choice(options))
        case types.StrType():
            return rng.choice(
                (distribution(rng), "run-1", f"alpha({rng.choice(NUMBERS)}, 1)", "hinge", "x" * 5000, "a b")
            )
    return None


def distribution(rng):
    """The text of a target, right or wrong."""
    count = rng.choice((1, 1, 1, 2, 30))
    parts = [
        f"{rng.choice(DISTRIBUTIONS)}({', '.join(rng.choices(NUMBERS, k=rng.randint(0, 4)))})"
        for _ in range(count)
    ]
    weights = [
        rng.choice(("", f"{1 / count}*", f"1/{count}*", f"{100 / count}%", f"{rng.choice(NUMBERS)}*"))
        for _ in parts
    ]
    if rng.random() < 0.1:  # what people write for parentheses and for a sum
        parts = [rng.choice((part.replace("(", " ").replace(")", ""), f"({part})", part)) for part in parts]
    joint = rng.choice(("+", "+", "+", "+", " + ", " ", " and ", " - "))
    text = joint.join(weight + part for weight, part in zip(weights, parts, strict=True))
    if rng.random() < 0.3:  # slips of the hand and of the keyboard
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(SLIPS) + text[at + 1 :]
    return text


def nested(settings):
    """{"a.b": 1} as {"a": {"b": 1}}."""
    tree = {}
    for name, value in settings.items():
        group, _, leaf = name.rpartition(".")
        (tree.setdefault(group, {}) if group else tree)[leaf] = value
    return tree


def some_settings(rng):
    """A few fields with values of their types, sometimes of others."""
    names = rng.sample(list(fields()), rng.randint(1, 6))
    return {
        name: rng.choice(ALIENS) if rng.random() < 0.1 else typed(rng, fields()[name].type) for name in names
    }


def whole_file(suffix):
    """Every setting, in a file."""
    config = resolve(
        environ={}, sets=["data=x.csv", "columns=0,a", "target=0.5*normal(-1,1)+0.5*laplace(2,1)"]
    )
    if suffix == ".json":
        return to_json(config)
    lines = [f"{name} = {json.dumps(value)}" for name, value in flatten(config).items() if value is not None]
    return "\n".join(lines).encode()


def configurations(numbers, tally, folder):
    """Files with changed bytes, settings drawn from the schema, and texts for ``--set``."""
    files = {suffix: whole_file(suffix) for suffix in (".json", ".toml")}
    for number in numbers:
        rng = random.Random(f"configuration {number}")
        what, preset, file, sets = f"configuration {number}", None, None, ()
        if number % 2:
            suffix = (".json", ".toml")[number // 2 % 2]
            file = folder / f"c{suffix}"
            put(file, mutated(rng, files[suffix]))
        elif number % 4:
            file = folder / "s.json"
            put(file, json.dumps(nested(some_settings(rng))).encode())
        else:
            name, value = next(iter(some_settings(rng).items()))
            name = rng.choice((name, name, name, name.partition(".")[0]))  # a group, given a value
            text = f"{name}={value if rng.random() < 0.3 else json.dumps(value)}"
            sets = [
                text
                if rng.random() < 0.5
                else mutated(rng, text.encode(errors="surrogatepass")).decode(errors="replace")
            ]
            preset = rng.choice((None, None, "ring8", "gausian"))
        started = perf_counter()
        try:
            config = resolve(preset, file, environ={}, sets=sets)
        except Exception as error:
            answered(tally, what, error, ConfigError)
        else:
            tally.counts["valid"] += 1
            if from_json(to_json(config)) != config:
                tally.fail("a wrong result", f"{what}: another configuration after a round trip")
        tally.slowest = max(tally.slowest, (perf_counter() - started, what))


# ── how people write settings


def written(rng):
    """(text, its number): in a usual form, or (text, None) in one that is not to be guessed."""
    whole, part = rng.randint(1, 9999), rng.randint(1, 999)
    point = f"{whole}.{part:03}"
    return rng.choice(
        (
            (f"{whole}", whole), (f"+{whole}", whole), (f"{whole}.", whole), (f"0{whole}", whole),
            (f".{part:03}", part / 1000), (point, float(point)), (f"{whole}e-3", float(f"{whole}e-3")),
            (f"{whole}E3", whole * 1000), (f"{whole}.e+1", whole * 10), (f"{whole}_000", whole * 1000),
            (f" {whole} ", whole), (f"{whole},{part:02}", None), (f"{whole % 999 + 1},{part:03}", None),
            (f"{whole}k", None), (f"{whole % 100}%", None), (f"1/{whole}", None), (f"10^{whole % 9}", None),
            (f"{whole % 999 + 1}'000", None), (f"\u2212{whole}", None), (f"={whole}", None),
            (f"'{whole}'", None), (f"{whole}f", None), ("½", None), ("true", None), ("none", None),
            (f"{whole} min", None),
            (f"{whole} seed=3", None),
        )
    )  # fmt: skip


def misnamed(rng):
    """(a name of other programs in one of its spellings, the settings that it means)."""
    row = rng.choice(NAMES)
    word, ours = rng.choice(row.words.split()), row.ours.split()
    player = rng.choice(("generator", "discriminator"))
    its = [name for name in ours if name.startswith(player)]
    first = next(one for one in NAMES if word in one.words.split())
    only_of_a_player = first is not row or word in fields()  # d_iters, not iters
    if only_of_a_player or len(ours) == 2 and len(its) == 1 and rng.random() < 0.5:
        short = rng.choice([name for name, whose in PLAYERS.items() if whose == player])
        return rng.choice((f"{short}_{word}", f"{word}_{short}", f"{short}.{word}")), its
    camel = "".join(part.title() if k else part for k, part in enumerate(word.split("_")))
    return rng.choice((word, word.upper(), word.replace("_", "-"), camel, word.replace("_", ""))), ours


def spellings(numbers, tally, folder):
    """Numbers as people write them, and names of other programs: read as meant, or refused with what is."""
    for number in numbers:
        rng = random.Random(f"spelling {number}")
        name, expected, ours = "r1", None, []
        if number % 2:
            text, expected = written(rng)
            setting = f"r1={text}"
        else:
            name, ours = misnamed(rng)
            setting = f"{name}=1"
            noted = notes_on({f"MINIGAN_{name.upper()}": "1"})
            if len(noted) > 1 or any(len(note) > MESSAGE or "\n" in note for note in noted):
                tally.fail("not one sentence", f"spelling {number}: {noted}")
        what, started = f"spelling {number}: {setting!r}", perf_counter()
        try:
            found = resolve(environ={}, sets=[setting]).r1
        except Exception as error:
            answered(tally, what, error, ConfigError)
            advice = str(error).partition("; ")[2]
            if expected is not None or not advice or not all(repr(name) in advice for name in ours):
                tally.fail("a wrong result", f"{what}: {error}")
        else:
            tally.counts["valid"] += 1
            if found != expected and (number % 2 or name not in fields()):
                tally.fail("a wrong result", f"{what} became {found}")
        tally.slowest = max(tally.slowest, (perf_counter() - started, what))


# ── data


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252")
MARKS = ((",", "."), (";", ","), (";", "."), ("\t", "."), ("\t", ","), ("|", "."), (" ", "."), (", ", "."))
ERRORS = "#N/A", "#NV", "#VALEUR!", "#DIV/0!", "#¡REF!", "#NAME?", "#########"
HEADS = (
    "none", "names", "names", "text and numbers", "years", "from 0", "commented", "spaced comment", "remarks",
    "sep=", "sep= alone", "comments of others", "error of a spreadsheet", "any case", "names of rows",
    "index", "trailing mark", "quoted", "letters beyond ASCII", "text column",
)  # fmt: skip


def array_file(rng):
    """A small .npy file, and what is in it."""
    rows = [[rng.choice((rng.gauss(0, 1), rng.randint(-9, 9), 1e300)) for _ in range(3)] for _ in range(5)]
    dtype, order = rng.choice(("<f8", ">f8", "<f4", "<f2", "<i8", "u1")), rng.choice("CF")
    buffer = io.BytesIO()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = np.array(rows).astype(dtype, order=order)
    np.save(buffer, array)
    return ".npy", buffer.getvalue(), array.astype("float64"), {}


def text_file(rng):
    """A small table in a form that programs write, what is in it (None: an error), and options it needs."""
    width, head = rng.choice((1, 2, 3)), rng.choice(HEADS)
    rows = [[round(rng.gauss(5000, 90), 2) for _ in range(width)] for _ in range(rng.randint(12, 20))]
    mark, decimal = rng.choice(MARKS) if width > 1 else (rng.choice(MARKS[:3])[0], ".")
    options, values, names = {}, np.array(rows), [f"x{k}" for k in range(width)]
    cells = [[str(value).replace(".", decimal) for value in row] for row in rows]
    above: list[str] = []
    match head:
        case "none":
            names = []
        case "text and numbers":
            names[-1:] = ["1e5"] if width > 1 else ["y"]
        case "years" | "from 0":
            first = 2001 if head == "years" and width > 1 else 0
            names = [str(first + k) for k in range(width)]
        case "commented" | "spaced comment":
            names[0] = ("#" if head == "commented" else "# ") + names[0]
        case "remarks":
            above = ["# made by a program", "#", ""]
        case "sep=" | "sep= alone" if mark != " ":
            above, names = [f"sep={mark.strip()}"], names if head == "sep=" else []
        case "comments of others":
            above = [
                f"{rng.choice(('%', '!', '//', '#'))} {rng.choice(('made, by; a program', '1', '-'))}"
            ] * 2
        case "error of a spreadsheet" if width > 1:  # in the first row: no header, no comment
            cells[0][rng.randrange(width)] = rng.choice(ERRORS)
            values = None
            names = []
        case "any case" if mark.strip():
            options["columns"] = [rng.choice((name, name.upper(), f" {name} ")) for name in names]
        case "names of rows" | "index" if width > 1 and mark != ", ":
            start = rng.choice((0, 1))
            cells = [[f'"{k}"', *row] for k, row in enumerate(cells, start)]
            names = names if head == "names of rows" and mark != "|" else ['""', *names]
            values = np.column_stack([np.arange(start, start + len(rows)), values])
        case "trailing mark" if width > 1 and mark.strip():
            cells = [[*row, ""] for row in cells]
            names = [*names, ""]
        case "quoted" if mark != ", ":
            names = [f'"{name}"' for name in names]
        case "letters beyond ASCII":
            names = [f"{'äöß'[k]}µ{k}" for k in range(width)]
        case "text column" if width > 1:
            other = rng.choice(("Ford", "?", "2024-01-31", "x/y", "", "1_0"))
            cells = [[*row[:1], f'"{other}"', *row[1:]] for row in cells]
            names = [names[0], "of", *names[1:]]
            options["columns"] = [0, *range(2, width + 1)]
    lines = [*above, *([mark.join(names)] if names else []), *(mark.join(row) for row in cells)]
    text = rng.choice(("\n", "\r\n", "\r")).join(lines) + rng.choice(("", "\n"))
    return rng.choice((".csv", ".txt", ".tsv")), text.encode(rng.choice(ENCODINGS)), values, options


def data(numbers, tally, folder):
    """Whole tables: what is in them. With changed bytes: refused, or finite numbers in bounded memory."""
    for number in numbers:
        rng, what = random.Random(f"data {number}"), f"data {number}"
        suffix, content, values, options = array_file(rng) if number % 4 == 3 else text_file(rng)
        whole = number % 4 == 0
        if not whole:
            content = mutated(rng, content)
            options = {
                "drop_nonfinite": rng.random() < 0.3,
                "columns": rng.choice((None, None, None, [0], ["x0"], [1, 0])),
                "header": rng.choice((None, None, None, True, False)) if suffix != ".npy" else None,
            }
        path = folder / f"d{suffix}"
        put(path, content)
        traced = number % 50 == 0
        if traced:
            tracemalloc.start()
        started = perf_counter()
        try:
            found = read_data(path, **options).values
        except Exception as error:
            answered(tally, what, error, DataError)
            if whole and (values is not None or "is not a number" not in str(error)):
                tally.fail("a wrong result", f"{what}: {content[:200]!r}: {error}")
        else:
            tally.counts["valid"] += 1
            if found.dtype != np.float64 or found.ndim != 2 or len(found) < 2 or not np.isfinite(found).all():
                tally.fail("a wrong result", f"{what}: {found.dtype} {found.shape}")
            if whole and (values is None or not np.array_equal(found, values)):
                tally.fail("a wrong result", f"{what}: {content[:200]!r} became {found[:2].tolist()}")
            if found.size > 8 * len(content):
                tally.fail("memory", f"{what}: {found.size} numbers from {len(content)} bytes")
        if traced:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            tally.traced = max(tally.traced, peak)
            if (
                peak > 64 * len(content) + 16 * 2**20
            ):  # a character may be a column of 8 bytes, times 4, with a name
                tally.fail("memory", f"{what}: {peak} bytes for {len(content)}")
        else:
            tally.slowest = max(tally.slowest, (perf_counter() - started, what))


# ── the records of a run


def is_plain(value):
    """Whether a value of a metric is what pandas reads as one cell."""
    return (
        value is None
        or isinstance(value, (bool, int, str))
        or isinstance(value, float)
        and math.isfinite(value)
    )


def edited(rng, lines):
    """Lines of metrics after edits that leave some as they were: (content, lines that are still whole)."""
    kept = list(lines)
    for _ in range(rng.randint(0, 3)):
        garbage = rng.choice(
            (
                b"garbage", b"\0" * 9, b"[1]", b"{}", b"{", b'{"step": NaN}', b"\xff" * 40, b"7",
                b"[" * 3000, b'{"other": 1}', b"x" * 70_000, b'{"step": {}}',
            )
        )  # fmt: skip
        kept.insert(rng.randint(1, len(kept)), garbage)
    torn = rng.choice((b"", lines[-1][: rng.randrange(1, len(lines[-1]))]))
    return b"".join(line + b"\n" for line in kept) + torn


def records(numbers, tally, folder):
    """metrics.jsonl, run.json, config.json: whole rows in order, the rest is counted or refused."""
    with RunDirectory.create(folder, "x", to_json(resolve(environ={}, sets=TINY))) as run:
        run.write_status("running", step=0)
        for step in range(8):
            run.append_metrics(
                {"step": step, "seconds": step / 7, "ks": None if step % 3 else 0.1, "text": 'é\n"'}
            )
    originals = {
        name: (run.path / name).read_bytes() for name in ("metrics.jsonl", "run.json", "config.json")
    }
    lines = originals["metrics.jsonl"].splitlines()
    rows = [json.loads(line) for line in lines]
    for number in numbers:
        rng, what = random.Random(f"record {number}"), f"record {number}"
        name = ("metrics.jsonl", "metrics.jsonl", "run.json", "config.json")[number % 4]
        exact = number % 4 == 0
        content = edited(rng, lines) if exact else mutated(rng, originals[name])
        put(run.path / name, content)
        again, started = RunDirectory.open(run.path), perf_counter()
        try:
            if name == "metrics.jsonl":
                found = again.read_metrics()
                right = all(map(is_plain, (value for row in found.rows for value in row.values())))
                right &= all(row.keys() == found.rows[0].keys() for row in found.rows)
                complete = content.count(b"\n")
                right &= len(found.rows) + found.skipped in (
                    complete,
                    complete + 1,
                )  # a torn line may be overlong
                if exact:
                    right &= found.rows == rows and found.skipped == complete - len(rows)
            elif name == "run.json":
                right = isinstance(again.read_status(), dict)
            else:
                config = from_json(again.read_config())
                right = from_json(to_json(config)) == config
        except Exception as error:
            answered(tally, what, error, (ConfigError, DataError))
        else:
            tally.counts["valid"] += 1
            if not right:
                tally.fail("a wrong result", f"{what}: {content[-200:]!r}")
        tally.slowest = max(tally.slowest, (perf_counter() - started, what))
        put(run.path / name, originals[name])


# ── vectors of arguments

_inside: list = []  # (folder, thread, paths) while a command line runs
_hooked = False
DEVICES = "/dev/null", "/dev/full", "/dev/tty", "/proc/"
MADE = "__pycache__", "minigan-native-", "minigan/native"  # what Python compiles, and what minigan does
WRITES = {
    "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate",
    "shutil.rmtree",
}  # fmt: skip


def _hook(event, arguments):
    if not _inside or threading.get_ident() != _inside[0][1]:
        return
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    else:
        path, writes = arguments[0] if arguments else None, event in WRITES
    if writes and isinstance(path, (str, bytes, os.PathLike)):
        folder, _, paths = _inside[0]
        absolute = os.path.realpath(os.fsdecode(path))
        if not absolute.startswith((folder, *DEVICES)) and not any(name in absolute for name in MADE):
            paths.append(f"{event} {absolute}")


@contextlib.contextmanager
def quick(folder):
    """Yields a function that runs command lines in ``folder``, in runs of two steps, without figures."""
    global _hooked
    from minigan import cli
    from minigan.profiling import explain
    from minigan.testing import cases

    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    before = dict(os.environ), os.getcwd(), cases.check_primitive, explain.SECONDS
    matplotlib = sys.modules.pop("matplotlib", None)

    def run(arguments, streams=None):
        streams = streams or [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
        paths = []
        with uncollected():
            _inside.append((os.path.realpath(folder), threading.get_ident(), paths))
            try:
                with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
                    code = cli.main(list(arguments))
            finally:
                _inside.clear()
        for stream in streams:
            with contextlib.suppress(OSError):
                stream.flush()
        texts = [stream.buffer.getvalue().decode(stream.encoding) for stream in streams]
        return code, *texts, paths

    try:
        os.chdir(folder)
        for name in [name for name in os.environ if name.startswith("MINIGAN_")]:
            del os.environ[name]
        for setting in TINY:
            name, _, value = setting.partition("=")
            os.environ["MINIGAN_" + name.upper().replace(".", "__")] = value
        cases.check_primitive = lambda name, order: 1
        explain.SECONDS = 0.001
        sys.modules["matplotlib"] = None
        yield run
    finally:
        os.environ.clear()
        os.environ.update(before[0])
        os.chdir(before[1])
        cases.check_primitive, explain.SECONDS = before[2:]
        sys.modules.pop("matplotlib")
        if matplotlib is not None:
            sys.modules["matplotlib"] = matplotlib


def words(folder):
    """What an argument may be, beside what its type suggests."""
    return (
        "gaussian", "ring8", "gausian", "RUN", "one.csv", "bad.csv", "a.toml", "absent", "", ".", "..",
        "-", "--", "-1", "0", "1", "2.5", "nan", "x" * 300, "☃", "\udcff", "a\0b", "../x", str(folder.parent),
        "/dev/null", "/dev/full", "normal(0,1)", "normal(",
        distribution(random.Random(0)), "steps=2", "steps=0",
        "r1=-1", "=", "x=", "name=../x", "new.csv", "new.npy", "new.dot", "new.svg", "new/new.csv",
        "numpy", "strict", "cupy", "float64", "float16", str(folder / "RUN"), "[bold]", "%s", "{x}",
        "--help", "tanh", "9" * 5000, "1e400", ".5", "5.", "1e2", "10k", "1,000", "N(0, 1)", "lr=0.1",
        "batch=.5", "batch", "=4", "ADAM", "objective=WGAN", "cuda:0", "cpu", "a.yaml", "[64,", "help",
    )  # fmt: skip


RIGHT = {  # values of options that are taken, so that not all lines end with the first wrong one
    "batch": ("4", "8."), "steps": ("2", "3"), "lr": (".01", "1e-3"), "objective": ("hinge", "WGAN"),
    "device": ("cpu", "cuda"), "backend": ("numpy", "cupy"), "dtype": ("float64",), "target": ("N(0, 1)",),
    "data": ("one.csv",), "source": ("ring8", "a.toml"), "run": ("RUN",), "out": ("made", "/dev/full/x"),
    "require_ks": ("0", ".999"),
}  # fmt: skip


def vector(rng, commands, pool):
    """The arguments of a command with options that it has, rarely others, and values of any kind."""
    import click

    name = rng.choice([*commands] + 5 * [name for name in commands if name not in SLOW] + ["tran"])
    arguments = [name] if rng.random() < 0.97 else []
    command = commands.get(name)
    parameters = command.params if command else []
    for parameter in rng.sample(parameters, rng.randint(0, min(4, len(parameters)))):
        option = isinstance(parameter, click.Option)
        if option:
            arguments.append(rng.choice(parameter.opts))
        if option and parameter.is_flag and rng.random() < 0.95:
            continue
        kind, choices = parameter.type, [rng.choice(pool)]
        if isinstance(kind, click.Choice):
            choices += map(str, kind.choices)
        if isinstance(kind, (click.IntRange, click.FloatRange)):
            choices += [kind.min or 0, (kind.min or 0) - 1, (kind.min or 0) + 1, (kind.max or 0) + 1]
        if parameter.name == "sets":
            choices += [f"{n}={json.dumps(v)}" for n, v in cheap(some_settings(rng)).items()]
        if parameter.name == "seed":
            choices += [seed(rng)]
        choices += 3 * RIGHT.get(parameter.name, ())
        arguments.append(str(rng.choice(choices)))
    if rng.random() < 0.1:
        arguments.insert(
            rng.randint(0, len(arguments)), rng.choice(("--debug", "-q", "--no-color", "--json", "-x"))
        )
    if rng.random() < 0.03:  # an option of other programs, or one of another command
        row = rng.choice((*FLAGS, *NAMES, *ELSEWHERE))
        arguments.append(rng.choice(("--", "-")) + rng.choice(row.words.split()).replace("_", "-"))
    if name == "train" and rng.random() < 0.6:  # most of them need not run to be answered
        arguments.append("--print-config")
    return arguments


def cheap(settings):
    """The settings without those that make a run long instead of wrong."""
    costly = {
        "batch", "generator.widths", "discriminator.widths", "steps", "eval_samples", "eval_every",
        "target", "threads", "latent.size", "unrolled", "generator_steps", "discriminator_steps",
    }  # fmt: skip
    return {name: value for name, value in settings.items() if name not in costly} or {"steps": 2}


def arguments(numbers, tally, folder):
    """Command lines from the tree of commands: a documented exit code, and nothing written elsewhere."""
    from minigan import cli

    commands = {name: command for name, command in cli.cli.commands.items() if name not in ENDLESS}
    rng = random.Random(0)
    (folder / "one.csv").write_text("".join(f"{rng.gauss(0, 1)}\n" for _ in range(60)))
    (folder / "bad.csv").write_text("1\nx\n3\n")
    (folder / "a.toml").write_text("steps = 2\n")
    with quick(folder) as run:
        code, _, err, _ = run(["train", "--out", "made", "-q"])
        if code:
            raise RuntimeError(f"the run that others are compared to ended with {code}: {err}")
        next((folder / "made").iterdir()).rename(folder / "RUN")
        pool, before = words(folder), {path.name for path in folder.iterdir()}
        for number in numbers:
            line = vector(random.Random(f"arguments {number}"), commands, pool)
            what, started = f"arguments {number}: {line!r}"[:400], perf_counter()
            try:
                code, out, err, paths = run(line)
            except BaseException as error:
                tally.fail("another exception", f"{what}: {type(error).__name__}: {error}")
                continue
            tally.slowest = max(tally.slowest, (perf_counter() - started, what))
            tally.counts[f"exit_{code}"] += 1
            named = [*line, *(word.partition("=")[2] for word in line)]
            allowed = before | {"runs"} | {os.path.normpath(word) for word in named if word}
            there = {path.name for path in folder.iterdir()}
            new, before = there - {str(name).split("/")[0] for name in allowed}, there
            if code not in CODES:
                tally.fail("undocumented exit code", f"{what}: {code}: {err[-200:]}")
            if "Traceback" in out + err and "--debug" not in line:
                tally.fail("traceback", f"{what}: {err[-300:]}")
            if code not in (0, 6) and not err.strip():  # 6 may be the report of doctor
                tally.fail("not one sentence", f"{what}: {code} and nothing said")
            outside = any(word.startswith("/") or ".." in word for word in line)  # as was asked
            new = set() if "." in map(os.path.normpath, line) else new  # --out "" is this directory
            if new or paths and not outside:
                tally.fail("a file outside the run directory", f"{what}: {[*paths, *new][:3]}")


# ── seeds


def seed(rng):
    """A seed of any kind, as text."""
    number = rng.choice(
        (0, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 2**64 - 1, 10**400, rng.getrandbits(62))
    )
    text = rng.choice(
        ("", "x", "nan", "1.5", "1e3", "0x10", "1_0", " 7", "٣", "true", "null", "[1]", "--", "1e400")
    )
    return rng.choice((str(number), str(-number), text))


def seeds(numbers, tally, folder):
    """``--seed``: an integer of the documented range as it was given, or exit 2."""
    with quick(folder) as run:
        for number in numbers:
            rng = random.Random(f"seed {number}")
            text, started = seed(rng), perf_counter()
            what = f"seed {number}: {text[:60]!r}"
            code, out, err, _ = run(["train", f"--seed={text}", "--print-config"])
            tally.slowest = max(tally.slowest, (perf_counter() - started, what))
            tally.counts[f"exit_{code}"] += 1
            found = re.search(r"^seed = (\d+)(?= |$)", out, re.MULTILINE)
            if code not in (0, 2) or "Traceback" in out + err:
                tally.fail("undocumented exit code", f"{what}: {code} {err[-200:]}")
            elif code == 2 and (out or err.count("\n") > 3):
                tally.fail("not one sentence", f"{what}: {err[:200]}")
            elif code == 0 and not (found and 0 <= int(found[1]) < 2**63):
                tally.fail("a wrong result", f"{what}: {out[:200]}")
            elif code == 0 and re.fullmatch(r"\d{1,19}", text, re.ASCII) and int(found[1]) != int(text):
                tally.fail("a wrong result", f"{what}: became {found[1]}")


# ── streams

TERMINALS = (
    "ascii", "latin1", "cp1252", "cp437", "cp850", "koi8-r", "shift_jis", "gb18030", "iso8859-7", "utf-16",
)  # fmt: skip


class Broken(io.BytesIO):
    """What is behind a stream on which nothing can be written; whether that was tried."""

    def __init__(self, code):
        super().__init__()
        self.code, self.tried = code, False

    def write(self, data):
        if len(data):
            self.tried = True
            raise OSError(self.code, os.strerror(self.code))  # of EPIPE Python makes a BrokenPipeError
        return 0


def streams(numbers, tally, folder):
    """Command lines on streams of other encodings, some broken: the usual exit code, or that of a loss."""
    from minigan import cli

    data = folder / "größe 温.csv"
    data.write_text("größe,温\n" + "".join(f"{k % 7},{k % 11}\n" for k in range(60)), encoding="utf-8")
    own, ring = ("--data", data.name), ("--target", "ring(8, 1, 0.01)")
    shapes = (
        ("train",), ("train", "--json"), ("train", *own), ("train", "--print-config"), ("presets",),
        ("train", "--set", "温=½"), ("train", "--target", "−1 ≤ 温"), ("eval", data.name, *own),
        ("eval", data.name, *own, "--json"),
        ("eval", data.name, *ring), ("compare", "runs"), ("compare", "runs", "--csv"), ("größe",),
        ("compare", "runs", "--json"), ("sample", "RUN", "-n", "5"), ("inspect", "RUN"), ("-h",),
        ("schema",), ("graph", "--program"), ("gradcheck", "tanh"),
        *((name, "--help") for name in cli.cli.commands),
    )  # fmt: skip
    with quick(folder) as run:
        run(["train", "--out", "made", "-q"])
        next((folder / "made").iterdir()).rename(folder / "RUN")
        for number in numbers:
            rng = random.Random(f"stream {number}")
            line, encoding = rng.choice(shapes), rng.choice(TERMINALS)
            broken = rng.choice((None, None, 0, 1))  # stdout, stderr
            behind = [io.BytesIO(), io.BytesIO()]
            if broken is not None:
                behind[broken] = Broken(rng.choice((errno.EPIPE, errno.ENOSPC, errno.EIO)))
            what, started = f"stream {number}: {line!r} in {encoding}, broken: {broken}", perf_counter()
            try:
                expected = run(line)[0]
                code, out, err, _ = run(line, [io.TextIOWrapper(b, encoding=encoding) for b in behind])
                if broken is None and code == 0 and "--json" in line:
                    json.loads(out)
            except Exception as error:
                tally.fail("another exception", f"{what}: {type(error).__name__}: {error}")
                continue
            tally.slowest = max(tally.slowest, (perf_counter() - started, what))
            tally.counts[f"exit_{code}"] += 1
            lost = broken == 0 and behind[0].tried
            if "Traceback" in out + err or "this is a bug" in err:
                tally.fail("traceback", f"{what}: {err[-300:]}")
            if code not in ({8, 141, expected} - {0} if lost else {expected}):
                tally.fail("a wrong result", f"{what}: {code} instead of {expected}: {err[-200:]}")


# ── all of them

TARGETS = {
    "configurations": configurations,
    "data": data,
    "records": records,
    "arguments": arguments,
    "seeds": seeds,
    "spellings": spellings,
    "streams": streams,
}


def work(task):
    """(target, its tally) of one task, in a folder of its own."""
    target, numbers = task
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            place = Path(os.path.realpath(folder)) / "here"  # so that .. is ours as well
            place.mkdir()
            TARGETS[target](numbers, tally, place)
        except MiniganError as error:
            tally.fail("another exception", f"outside of a case: {error}")
    tally.counts["cases"] += len(numbers)
    return target, tally


def measure(count, *, targets=tuple(TARGETS), shares=SHARES, jobs=None):
    """``count`` configurations, and of each target its share of it; jobs: processes (None: one a core)."""
    tallies, tasks = {target: Tally() for target in targets}, []
    for target in targets:
        numbers = range(max(1, round(count * shares[target])))
        tasks += [(target, numbers[k : k + CHUNK]) for k in range(0, len(numbers), CHUNK)]
    jobs = os.cpu_count() if jobs is None else jobs
    if jobs == 1:
        for target, part in map(work, tasks):
            tallies[target].add(part)
    else:
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            for target, part in pool.imap_unordered(work, tasks):
                tallies[target].add(part)
    return {
        **{
            target: {
                **dict(sorted(tally.counts.items())),
                "slowest_ms": round(1000 * tally.slowest[0], 1),
                "slowest": tally.slowest[1],
            }
            for target, tally in tallies.items()
        },
        "failures": {
            f"{target}: {kind}": tally.failures[kind]
            for target, tally in tallies.items()
            for kind in FAILURES
        },
        "examples": {
            f"{target}: {kind}": example
            for target, tally in tallies.items()
            for kind, example in tally.examples.items()
        },
    }
