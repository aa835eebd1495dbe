"""The machine's C compiler: which one there is, what it is told, and what it made before.

A library that was made is kept in the user's cache, under a name made of its source, the compiler and its
version, the flags and the processor, and of the library's own bytes: what is not as it was written is made
anew. Nothing here is run that `find` did not find, and nothing of data or of files reaches the text.
"""

import ctypes
import hashlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.compiler.graph import UnplannableError

# Meaning is IEEE's: NaN, infinities and the order of sums are kept, products and sums may be fused.
FLAGS = (
    "-std=gnu11", "-O3", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast",
    "-fPIC", "-shared", "-w",
)  # fmt: skip
PROCESSOR = {"x86_64": ("-march=native", "-mprefer-vector-width=512"), "amd64": ("-march=native",)}
OLDEST = {"gcc": 9, "clang": 15}  # gcc 12 was measured; clang 14 makes code of half the speed
SECONDS = 120.0  # for one source; a second is usual
AGAIN = 600.0  # s until what failed is tried again, since it may have been mended
ENTRY = "train"
KEPT = 200  # libraries in the cache; the oldest ones go


class CompilerError(UnplannableError):
    """Why there is no native code, in a sentence."""


class PlaceError(CompilerError):
    """Why there is none in some folder, though there may be in another."""


class HangError(CompilerError):
    """What did not end."""


class Compiler(NamedTuple):
    """A C compiler.

    command  how it is called
    kind     "gcc" or "clang"
    version  the first line of what it says
    """

    command: tuple[str, ...]
    kind: str
    version: str

    def __str__(self) -> str:
        return f"{' '.join(self.command)}: {self.version}"


# ── which one


def find() -> Compiler:
    """The first that works and is new enough: of CC, cc, gcc, clang, and zig, as the extra `native` has it.

    Raises:  CompilerError – if there is none, with what there is
    """
    asked = os.environ.get("CC", ""), os.environ.get("PATH", "")
    with _remembered(asked):
        return _find(*asked)


_failed: dict[Any, tuple[float, CompilerError]] = {}  # {what was tried: when, and why it failed}


@contextmanager
def _remembered(tried: Any, compiler: Compiler | None = None) -> Iterator[None]:
    """Fail at once in what failed in this process a short time ago; where it hung, with every source."""
    for key in (tried, compiler):
        since, error = _failed.get(key, (-AGAIN, None))
        if error is not None and time.monotonic() < since + AGAIN:
            raise type(error)(str(error))
    try:
        yield
    except CompilerError as error:
        hung = compiler is not None and isinstance(error, HangError)
        _failed[compiler if hung else tried] = time.monotonic(), error.with_traceback(None)
        raise


@cache
def _find(chosen: str, path: str) -> Compiler:
    reasons = []
    for command in _candidates(chosen):
        try:
            return _asked(command)
        except CompilerError as error:
            reasons.append(str(error))
    why = "; ".join(reasons) or "none of cc, gcc and clang is on the PATH"
    raise CompilerError(
        f"there is no C compiler for native code ({why}); install gcc, or pip install 'minigan[native]'"
    )


def _candidates(chosen: str) -> list[tuple[str, ...]]:
    try:
        own = tuple(shlex.split(chosen))
    except ValueError:
        raise CompilerError(f"CC is {chosen[:60]!r}, which is no command; set it as CC=gcc") from None
    if own:
        called = os.path.abspath(own[0]) if os.path.dirname(own[0]) else own[0]  # it works in another folder
        return [(called, *own[1:])]
    found: list[tuple[str, ...]] = [(name,) for name in ("cc", "gcc", "clang") if shutil.which(name)]
    if importlib.util.find_spec("ziglang") is not None:
        found.append((sys.executable, "-m", "ziglang", "cc"))
    return found


def _asked(command: tuple[str, ...]) -> Compiler:
    """Raises:  CompilerError – if it does not say that it is a compiler which is new enough"""
    name = " ".join(command)[-60:]
    said = _run((*command, "--version"), name, seconds=20.0).splitlines()[:1]
    first = said[0] if said else ""
    kind = "clang" if "clang" in first else "gcc"
    found = re.search(r"version (\d+)" if kind == "clang" else r"\) (\d+)\.\d|\b(\d+)\.\d+\.\d+", first)
    if found is None:
        raise CompilerError(f"{name} does not say which version it is of")
    if int(found[1] or found[2]) < OLDEST[kind]:
        raise CompilerError(f"{name} is {first[:60]}, and {kind} is wanted from version {OLDEST[kind]} on")
    return Compiler(command, kind, first)


def _run(command: tuple[str, ...], name: str, seconds: float, folder: str | None = None) -> str:
    """What a command says.    Raises:  CompilerError – if it cannot be run, fails, or does not end"""
    options: dict[str, Any] = {"text": True, "errors": "replace", "stdin": subprocess.DEVNULL, "cwd": folder}
    options["start_new_session"] = os.name == "posix"  # Ctrl-C is Python's to answer
    try:
        process = subprocess.Popen(list(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    except OSError as error:
        raise CompilerError(f"{name} cannot be run: {error.strerror}") from None
    with process:
        try:
            out, complaints = process.communicate(timeout=seconds)
        except BaseException as error:
            _end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise HangError(f"{name} did not end within {seconds:g} s") from None
            raise
    if process.returncode:
        said = [line for line in complaints.splitlines() if line.strip()]
        wrong = next((line for line in said if "error" in line), said[0] if said else "it does not say why")
        raise CompilerError(f"{name} failed: {wrong.strip()[:200]}")
    return str(out)


def _end(process: Any) -> None:
    """End a process and those that it began."""
    if os.name == "posix":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


# ── what was made before


def flags() -> tuple[str, ...]:
    """What a compiler is told beside the source, on this processor."""
    return (*FLAGS, *PROCESSOR.get(platform.machine().lower(), ("-mcpu=native",)))


def key_of(source: str, compiler: Compiler) -> str:
    """The name under which what a compiler makes of a source is kept: -march=native is not in the text."""
    parts = [source, *compiler.command, compiler.version, *flags(), _processor()]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


@cache
def _processor() -> str:
    """What the machine says of its processor: the model, and what it can."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    lines = re.findall(r"^(?:model name|flags|Features|CPU part)\s*:.*$", text, re.MULTILINE)
    return "\n".join(sorted(set(lines))) or platform.machine()


def folder() -> Path:
    """Where libraries are kept: `minigan/native` in the user's cache."""
    if os.name == "nt":
        root = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        given = os.environ.get("XDG_CACHE_HOME", "")
        root = given if os.path.isabs(given) else Path.home() / ".cache"  # as its specification has it
    return Path(root) / "minigan" / "native"


def cache_folder(make: bool = True) -> Path:
    """The folder, made if it is not there.    Raises:  CompilerError – if it may not be trusted or used"""
    try:
        place = folder()
        if make:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = place.lstat()
    except (OSError, RuntimeError) as error:
        raise CompilerError(f"the cache of native code cannot be made: {error}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise CompilerError(f"the cache of native code, {place}, is no directory")
    if os.name == "posix" and (found.st_uid != os.geteuid() or found.st_mode & 0o077):
        raise CompilerError(f"the cache of native code, {place}, is open to others: chmod 700, or remove it")
    if not os.access(place, os.W_OK | os.X_OK):
        raise CompilerError(f"the cache of native code, {place}, cannot be written")
    return place


def _kept(place: Path, key: str) -> Path | None:
    """The library of this key, if all of its bytes are those that were written."""
    for path in sorted(place.glob(f"{key}-*.so")):
        try:
            if stat.S_ISREG(path.lstat().st_mode) and path.stem == f"{key}-{_digest(path)}":
                os.utime(path)
                return path
            path.unlink()
        except OSError:
            continue
    return None


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _keep(made: Path, place: Path, key: str) -> None:
    """Keep a copy of a library; where there is no room or no right, it is made again the next time."""
    try:
        handle, part = tempfile.mkstemp(".part", f"{key}-", place)  # two threads may be at it
        os.close(handle)
        try:
            shutil.copyfile(made, part)
            os.chmod(part, 0o700)
            os.replace(part, place / f"{key}-{_digest(made)}.so")
        except BaseException:
            os.unlink(part)
            raise
    except OSError:
        pass
    _clean(place)


def _clean(place: Path) -> None:
    """Forget the libraries that were not used for the longest time, and what was never finished."""
    try:
        for path in place.glob("*.part"):
            if path.stat().st_mtime < time.time() - 3600:
                path.unlink()
        found = sorted(place.glob("*.so"), key=lambda path: path.stat().st_mtime)
        for path in found[:-KEPT]:
            path.unlink()
    except OSError:
        pass  # another process was faster


# ── compiling


_adding: ContextVar[bool] = ContextVar("_adding", default=True)  # whether what is made is kept in the cache
_own: dict[str, Any] = {}  # {key: the function that this process made, and no file has}


@contextmanager
def adding_nothing() -> Iterator[None]:
    """Within it the cache is read, and nothing is kept there; each source is compiled once in the process."""
    before = _adding.set(False)
    try:
        yield
    finally:
        _adding.reset(before)


def load(source: str):
    """The function `train` of a source, from the cache or made now.

    Raises:  CompilerError – if there is no compiler, or it fails, with its first complaint
    """
    compiler, place, adding = find(), None, _adding.get()
    key = key_of(source, compiler)
    try:
        place = cache_folder(make=adding)
        if (path := _kept(place, key)) is not None:
            return _entry(path)
    except CompilerError:
        pass  # there is no cache, or another process emptied it, or nothing may be loaded from there
    if not adding and key in _own:
        return _own[key]
    with _remembered(key, compiler):
        kept = place if adding else None
        try:
            function = _made(source, compiler, None, kept, key)
        except PlaceError:  # some machines let nothing be loaded from temporary folders
            if place is None:
                raise
            function = _made(source, compiler, place, kept, key)
    if not adding:
        _own[key] = function
    return function


def _made(source: str, compiler: Compiler, work: Path | None, place: Path | None, key: str):
    """The function of a library made below a folder, and kept in another if there is one."""
    with _folder(work) as own:
        made = _make(source, compiler, own)
        function = _entry(made)
        if place is not None:
            _keep(made, place, key)
    return function  # what is loaded is kept by the system


@contextmanager
def _folder(below: Path | None = None) -> Iterator[str]:
    """A folder to work in, which goes.    Raises:  PlaceError – if there is no room for it"""
    try:
        with tempfile.TemporaryDirectory(
            prefix="minigan-native-", dir=below, ignore_cleanup_errors=True
        ) as own:
            yield own
    except OSError as error:
        raise PlaceError(f"native code cannot be made in {below or 'TMPDIR'}: {error.strerror}") from None


def _make(source: str, compiler: Compiler, work: str) -> Path:
    """A library that a process of its own could load.    Raises:  CompilerError"""
    (Path(work) / "step.c").write_text(source, encoding="utf-8")
    name, made = compiler.command[0], Path(work) / "step.so"
    _run((*compiler.command, *flags(), "step.c", "-o", "step.so", "-lm"), name, SECONDS, work)
    if not made.is_file():
        raise CompilerError(f"{name} said that it was done, and made nothing")
    test = f"import ctypes, sys; ctypes.CDLL(sys.argv[1]).{ENTRY}"
    try:  # elsewhere, since what is cut short ends the process that looks into it
        _run((sys.executable, "-I", "-S", "-c", test, str(made)), name, SECONDS)
    except CompilerError:
        raise PlaceError(f"what {name} made is no library that can be loaded") from None
    return made


HEADER = Path(__file__).with_name("native.h")  # what every source begins with, after the type of its numbers
TRIAL = """typedef float T;
{header}
EXPORT void train(T* const* arrays, const T* numbers, T* scratch, T* own, T* copies,
                  long long first, long long last, long long steps)
{{
    for (long long step = 0; step < steps; ++step)
        for (Index i = 0; i + HIGH <= 64; i += HIGH)
            product(0, HIGH, 64, 64, arrays[0] + i * 64, 64, 1, arrays[1], 64, arrays[2] + i * 64);
}}
"""


@cache
def trial() -> tuple[str, float, float]:
    """(compiler, seconds that it takes for a small source, 10⁹ operations per second of its products).

    Raises:  CompilerError – if there is no native code here
    """
    compiler, source = find(), TRIAL.format(header=HEADER.read_text(encoding="utf-8"))
    with _folder() as work:
        started = time.perf_counter()
        made = _make(source, compiler, work)
        took = time.perf_counter() - started
        multiply, operations = _entry(made), 2 * 64**3
    memory = [(ctypes.c_float * 64**2)() for _ in range(3)]
    pointers = (ctypes.c_void_p * 3)(*map(ctypes.addressof, memory))
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        multiply(pointers, None, None, None, None, 0, 1, 1000)
        rates.append(1000 * operations / (time.perf_counter() - started) / 1e9)
    return compiler.version, took, max(rates)


def _entry(path: Path):
    """The function of a library.    Raises:  CompilerError – if it cannot be loaded"""
    try:
        loaded = ctypes.CDLL(str(path))
        function = getattr(loaded, ENTRY)
    except (OSError, AttributeError):
        raise PlaceError(f"the native code in {path} cannot be loaded") from None
    pointer, number = ctypes.c_void_p, ctypes.c_longlong
    function.argtypes, function.restype = [pointer] * 5 + [number] * 3, None
    function.loaded = loaded  # for table_of
    return function


def table_of(function: Any, name: str, length: int) -> np.ndarray:
    """The 64-bit integers that another function of the same library points to."""
    other = getattr(function.loaded, name)
    other.restype = ctypes.POINTER(ctypes.c_longlong)
    return np.ctypeslib.as_array(other(), (length,))
