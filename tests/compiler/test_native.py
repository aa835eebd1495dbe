"""Native code: what is planted in it is found, what the compiler or the cache does wrong is survived.

That it computes what the eager engine does is tested beside CUDA code, in test_cuda_code.py and
test_random_steps.py.
"""

import os
import shutil
import stat
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from minigan import backend as backends
from minigan.compiler import c_compiler, executions, expressions, native, self_check
from minigan.compiler.capture import capture
from minigan.compiler.native import Native
from minigan.compiler.planner import EXACT
from minigan.engine.autodiff import assign
from minigan.engine.primitives import embed, exp, log, mean, mT, sum_over, tanh
from minigan.engine.tensor import Tensor
from minigan.errors import ConfigError
from minigan.training.config import Config, NetworkConfig, replace
from minigan.training.experiment import Ensemble, Experiment

FOLDER, COMPILED = c_compiler.folder, executions.COMPILED  # before the session has its own
pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="needs a C compiler for native code"
)
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


class Step:
    """A layer, its product with a transposed matrix, and an update by sums over rows."""

    def __init__(self, rows=24, dtype="float64", rate=0.125):
        rng = np.random.default_rng(5)
        self.rate = rate
        self.W = Tensor(rng.standard_normal((6, 17)).astype(dtype))
        self.x = rng.standard_normal((4, rows, 6)).astype(dtype)

    def __call__(self, x):
        h = tanh(x @ self.W)
        back = h @ mT(self.W)
        slope = h * tanh(0.3 * sum_over(back * back, axis=(1,)))
        assign(self.W, 0.7 * self.W - self.rate * (mT(x) @ slope) / len(x.array))
        return mean(h, axis=(0,))

    def run(self, execution="native", rounds=4):
        program = capture(self, self.x[0], state={"W": self.W}, execution=execution)
        for x in self.x[1:rounds]:
            out = program(x)
        return program, self.W.numpy(), out.numpy()


@pytest.fixture(scope="module")
def right():
    """What the eager engine makes of the step."""
    step = Step()
    for x in step.x:
        out = step(Tensor(x))
    return step.W.numpy(), out.numpy()


@pytest.fixture(autouse=True)
def nothing_failed():
    """Before a test, whatever failed in the last one."""
    c_compiler._failed.clear()
    c_compiler._own.clear()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own."""
    place = tmp_path / "cache"
    monkeypatch.setattr(c_compiler, "folder", lambda: place)
    return place


@pytest.fixture
def calls(monkeypatch):
    """The sources that were compiled so far."""
    made, make = [], c_compiler._make
    monkeypatch.setattr(c_compiler, "_make", lambda source, *a: made.append(source) or make(source, *a))
    return made


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A function: CC is a shell script of these lines."""
    c_compiler._find.cache_clear()

    def become(lines, says="gcc (Test) 12.2.0"):
        script = tmp_path / "cc.sh"
        version = f'if [ "$1" = --version ]; then echo "{says}"; exit 0; fi'
        script.write_text(f"#!/bin/sh\n{version}\n{lines}\n")
        script.chmod(0o755)
        monkeypatch.setenv("CC", str(script))
        c_compiler._find.cache_clear()

    yield become
    c_compiler._find.cache_clear()


def assert_right(found, right):
    for ours, its in zip(found, right, strict=True):
        np.testing.assert_allclose(ours, its, rtol=0, atol=1e-12)


def refused(match, right):
    """Native code is refused in a sentence, and the step goes on in NumPy with the right numbers."""
    with pytest.warns(RuntimeWarning, match=match) as said:
        program, *found = Step().run()
    assert program.execution == "planned" and len(said) == 1 and str(said[0].message) == program.note
    assert program.note.startswith("the step runs as planned, not as native code: ")
    assert_right(found, right)


# ── what is right


def test_native_code_has_the_numbers_of_the_eager_step_in_any_blocks(monkeypatch, right):
    monkeypatch.setattr(native, "CACHE", 8)  # blocks of eight rows
    program, *found = Step().run()
    assert program.execution == "native" and program.note == "" and program.plan.rows == 8
    assert_right(found, right)
    assert f"{len(program.plan)} stages" in repr(program)


@pytest.mark.parametrize(("rows", "width"), [(24, 5), (21, 32)])
def test_sums_over_rows_are_taken_where_their_terms_are_made(monkeypatch, rows, width):
    monkeypatch.setattr(native, "CACHE", 8)
    rng = np.random.default_rng(1)
    x, t, W = (rng.standard_normal(shape) for shape in ((rows, width), (rows, 1), (width, width)))
    weights = Tensor(W)

    def step(x, t):
        d = (x @ weights) * x
        return sum_over(d, axis=(0,)), mT(t) @ d, mT(d) @ t, mT(tanh(x)) @ t

    program = capture(step, Tensor(x), Tensor(t), state={"W": weights}, execution="native")
    plan, kinds = program.plan, list(program.plan.regions.kind.values())
    assert kinds.count("sums") == len(plan.host) == 4 and len(plan.unread) == 2
    d = (2 * x @ W) * (2 * x)
    right = d.sum(0, keepdims=True), t.T @ d, d.T @ t, np.tanh(2 * x).T @ t
    assert_right([found.numpy() for found in program(Tensor(2 * x), Tensor(t))], right)


def test_the_source_is_a_line_per_stage_with_the_names_of_the_state():
    program, *_ = Step().run()
    main = program.plan.source.partition("static void step(")[2].partition("\n}")[0]
    assert all(f"{f.name}(m" in main or f"{f.name}_end(m" in main for f in program.plan.functions.values())
    assert "W__0[" in program.plan.source and "#pragma omp simd" in program.plan.source


@pytest.mark.parametrize("rows", [1, 7, 70])
def test_rows_that_fill_no_block(monkeypatch, rows):
    monkeypatch.setattr(native, "CACHE", 8)
    _, *found = Step(rows).run()
    step = Step(rows)
    for x in step.x:
        out = step(Tensor(x))
    assert_right(found, (step.W.numpy(), out.numpy()))


def test_other_numbers_compile_nothing(cache, calls):
    """Rates and weights are a table beside the text."""
    first, *_ = Step(rate=0.3).run()
    second, W, out = Step(rate=0.07).run()
    assert len(calls) == 1 and first.plan.source == second.plan.source
    assert first.plan.numbers != second.plan.numbers
    step = Step(rate=0.07)
    for x in step.x:
        its = step(Tensor(x))
    assert_right((W, out), (step.W.numpy(), its.numpy()))


SMALL = replace(
    Config(),
    generator=NetworkConfig(widths=(4, 4), activation="silu"),
    discriminator=NetworkConfig(widths=(4,), activation="leaky_relu"),
    batch=8, steps=60, backend="numpy", execution="native", dtype="float64",
)  # fmt: skip


def state(experiment):
    return {name: tensor.numpy() for name, tensor in experiment.game.state.items()}


def test_an_experiment_with_another_penalty_or_rate_compiles_nothing(cache, calls):
    for changed in ({}, {"r1": 0.1, "r2": 0.7}, {"seed": 3}):
        here, there = (Experiment(replace(SMALL, execution=e, **changed)) for e in ("native", "planned"))
        for experiment in (here, there):
            for steps in (1, 30, 9):  # across the end of a block of random numbers
                experiment.advance(steps)
        assert here.program.execution == "native"
        for name, its in state(there).items():
            np.testing.assert_allclose(state(here)[name], its, rtol=1e-9, atol=1e-11, err_msg=name)
    assert len(calls) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_seeds_together_have_the_bits_that_each_has_alone(threads):
    config = replace(SMALL, dtype="float32")
    together = Ensemble.of_seeds(replace(config, threads=threads), (3, 5, 8))
    alone = Experiment(replace(config, seed=5))
    for steps in (1, 20):
        together.advance(steps)
    for steps in (1, 3, 17):
        alone.advance(steps)
    assert together.program.plan.threads == threads
    ours, its = state(together.experiments[1]), state(alone)
    assert all(np.array_equal(ours[name], its[name]) for name in its)


def test_a_value_that_is_returned_twice_is_kept_once():
    """Twice stored, it would wait for itself."""
    x, W = np.random.default_rng(0).standard_normal((5, 2)), Tensor(np.ones((2, 3)))

    def step(x):
        h, t = tanh(x @ W), tanh(exp(x))
        assign(W, 0.9 * W + mean(h * h))
        return h, h, t, t

    program = capture(step, x, state=[W], execution="native")
    W.memory[:] = 1.0
    ours, again, *_ = program(x)
    assert program.execution == "native"
    np.testing.assert_allclose(ours.numpy(), np.tanh(x @ np.ones((2, 3))), rtol=1e-12)
    np.testing.assert_array_equal(ours.numpy(), again.numpy())


@pytest.mark.parametrize("x", [np.zeros((0, 3)), np.arange(6).reshape(2, 3)], ids=["no rows", "integers"])
def test_arrays_without_elements_or_of_integers_are_numpys(x):
    with pytest.warns(RuntimeWarning, match="not as native code: it does what only NumPy can"):
        program = capture(lambda x: x + x, x, execution="native")
    np.testing.assert_array_equal(program(x).numpy(), x + x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_nearly_zero_has_a_logarithm(dtype):
    least = np.finfo(dtype).smallest_subnormal
    x = np.array(
        [[least, 5 * least, 1e6 * least, np.finfo(dtype).tiny, 1.0, np.inf, 0.0, -0.0, -least]], dtype
    )
    program = capture(lambda x: (log(x), x**-0.5), np.ones_like(x), execution="native")
    with np.errstate(all="ignore"):
        for ours, its in zip(program(x), (np.log(x), x**-0.5), strict=True):
            np.testing.assert_allclose(ours.numpy(), its, rtol=4 * np.finfo(dtype).eps)
    assert program.execution == "native"


def test_a_step_that_only_numpy_can_do_says_so():
    x = Tensor(np.arange(6.0).reshape(3, 2))
    with pytest.warns(RuntimeWarning, match="not as native code: it does what only NumPy can"):
        program = capture(lambda x: embed(x, shape=(3, 3), key=(..., slice(1, None))), x, execution="native")
    assert program.execution in ("planned", "recorded")


def test_long_arrays_stay_off_the_stack(monkeypatch):
    monkeypatch.setattr("minigan.compiler.native_code.STACK", 16)
    with pytest.warns(RuntimeWarning, match="not as native code"):
        assert Step().run()[0].execution == "planned"


# ── what is planted in the code


def test_a_wrong_constant_is_found(monkeypatch, right):
    monkeypatch.setitem(expressions.EXPRESSION, "tanh", "tanh({}) * (T)1.00000001")
    refused(r"its (W|output 0) is not the eager step's: \d+ of \d+ numbers are wrong", right)


@pytest.mark.parametrize(("good", "bad"), [
    ("out[q * n + r] = a[r * an + q * am]", "out[q * n + r] = a[r * an + (q ? q - 1 : 0) * am]"),
    ("row[q] = *(const V*)(b + k * bk", "row[q] = *(const V*)(b + (k ? k - 1 : 0) * bk"),
    ("for (Index lo = 0, hi;", "for (Index lo = 8, hi;"),
])  # fmt: skip
def test_a_wrong_index_is_found(monkeypatch, right, good, bad):
    load = c_compiler.load

    def planted(source):
        assert good in source
        return load(source.replace(good, bad))

    monkeypatch.setattr(c_compiler, "load", planted)
    refused("is not the eager step's", right)


def test_sums_whose_terms_cancel_are_not_taken_for_wrong():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((8, 64)), rng.standard_normal((64, 4))
    w -= np.linalg.pinv(x) @ (x @ w)  # so that x @ w is 0 but for rounding
    x, w = x.astype("float32"), w.astype("float32")
    assert capture(lambda x, w: x @ w, x, w, execution="native").execution == "native"


def test_what_rounding_alone_can_do_is_no_fault():
    """Two equal means, taken in another order: the sign of their difference is that of a rounding."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 6)).astype("float32")
    W = Tensor(np.zeros((1, 6), "float32"))

    def step(x):
        g = sum_over(x, axis=(0,)) - sum_over(x * 0.3, axis=(0,)) / 0.3
        assign(W, W + g / (abs(g) + 1e-20))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert capture(step, x, state=[W], execution="native").execution == "native"


def test_the_check_itself_tells_rounding_from_faults():
    one = np.array([1.0, 1e-9, np.nan, np.inf])

    def beyond(other, reach=None):
        with np.errstate(invalid="ignore"):
            return self_check._beyond(one, np.array(other), reach).tolist()

    assert beyond(one) == [False, False, False, False]
    assert beyond([1 + 1e-9, 1e-9, np.nan, np.inf]) == [True, False, False, False]
    assert beyond([1.0, 1e-9 + 1e-10, np.nan, np.inf]) == [False, True, False, False]
    assert beyond([1.0, 1e-9 + 1e-10, np.nan, np.inf], np.full(4, 1e-11)) == [False, False, False, False]
    assert beyond([1.0, 1e-9, 0.0, 1.0]) == [False, False, True, True]


# ── what the compiler does wrong


@pytest.mark.parametrize(("lines", "match"), [
    ("echo 'step.c:1: error: no such thing' >&2; exit 1", "failed: step.c:1: error: no such thing"),
    ("exit 0", "said that it was done, and made nothing"),
    ("echo not a library > step.so", "made is no library that can be loaded"),
    ("cc -shared -x c /dev/null -o step.so", "made is no library that can be loaded"),  # without the function
    ("kill -9 $$", "failed"),
])  # fmt: skip
@POSIX
def test_a_compiler_that_fails_or_lies_is_survived(cache, compiler, right, lines, match):
    compiler(lines)
    refused(match, right)
    assert not list(cache.iterdir())


@POSIX
def test_a_compiler_that_hangs_is_survived(cache, compiler, right, monkeypatch):
    monkeypatch.setattr(c_compiler, "SECONDS", 0.2)
    compiler("exec sleep 30")
    refused("did not end within 0.2 s", right)
    monkeypatch.setattr(c_compiler, "_make", None)  # nothing is tried again, of whatever source
    with pytest.raises(c_compiler.CompilerError, match="did not end within 0.2 s"):
        c_compiler.load("another")


@POSIX
def test_what_failed_is_tried_again_after_a_while_or_with_another_compiler(
    cache, compiler, calls, monkeypatch
):
    compiler("exit 1")
    for _ in range(2):
        with pytest.raises(c_compiler.CompilerError, match="failed: it does not say why"):
            c_compiler.load("x")
    with pytest.raises(c_compiler.CompilerError):
        c_compiler.load("y")
    assert calls == ["x", "y"]
    monkeypatch.setattr(c_compiler, "AGAIN", 0.0)
    with pytest.raises(c_compiler.CompilerError):
        c_compiler.load("x")
    monkeypatch.setattr(c_compiler, "AGAIN", 600.0)
    compiler("exit 1", "gcc (Test) 13.1.0")
    with pytest.raises(c_compiler.CompilerError):
        c_compiler.load("x")
    assert calls == ["x", "y", "x", "x"]


@POSIX
def test_a_compiler_that_is_not_there_is_looked_for_once(compiler, monkeypatch):
    compiler("", "hello")
    asked, ask = [], c_compiler._asked
    monkeypatch.setattr(c_compiler, "_asked", lambda command: asked.append(command) or ask(command))
    for _ in range(2):
        with pytest.raises(c_compiler.CompilerError, match="does not say which version"):
            c_compiler.find()
    assert len(asked) == 1


@POSIX
def test_what_a_compiler_began_ends_with_it(tmp_path):
    place = tmp_path / "pid"
    with pytest.raises(c_compiler.CompilerError, match="did not end"):
        c_compiler._run(("sh", "-c", f"sleep 30 & echo $! > {place}; wait"), "sh", 0.3)
    if Path("/proc/self/stat").exists():
        child = Path(f"/proc/{place.read_text().strip()}/stat")
        for _ in range(200):  # a signal is delivered when the system comes to it
            if not child.exists() or child.read_text().rpartition(")")[2].split()[0] in "ZX":
                break
            time.sleep(0.05)
        else:
            pytest.fail(f"what the compiler began goes on: {child.read_text()[:40]}")


@POSIX
def test_a_compiler_beside_us_is_called_from_elsewhere(compiler, tmp_path, monkeypatch):
    compiler("exit 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CC", "./cc.sh")
    assert c_compiler.find().command == (str(tmp_path / "cc.sh"),)


@POSIX
def test_a_folder_of_caches_has_to_be_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, expected in (("here", "home/.cache"), (str(tmp_path), "")):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert FOLDER() == tmp_path / expected / "minigan" / "native"


@POSIX
def test_a_library_that_is_cut_short_by_the_compiler_does_not_end_the_process(cache, compiler, right):
    compiler('cc "$@"; head -c 9000 step.so > short; mv short step.so')
    refused("made is no library that can be loaded", right)


@POSIX
@pytest.mark.parametrize(("says", "match"), [
    ("gcc (Debian 4.9.2) 4.9.2", "gcc is wanted from version 9 on"),
    ("Debian clang version 14.0.6", "clang is wanted from version 15 on"),
    ("hello", "does not say which version"),
])  # fmt: skip
def test_a_compiler_that_is_too_old_is_not_used(compiler, right, says, match):
    compiler("exit 0", says)
    refused(match, right)


@pytest.mark.parametrize(("chosen", "match"), [
    ("no-such-compiler", "cannot be run: No such file"), ("'", "CC is .* which is no command"),
])  # fmt: skip
def test_a_compiler_that_is_not_there(monkeypatch, compiler, right, chosen, match):
    monkeypatch.setenv("CC", chosen)
    refused(match, right)


@POSIX
def test_a_machine_without_a_compiler(monkeypatch, compiler, right, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(c_compiler.importlib.util, "find_spec", lambda name: None)
    refused("there is no C compiler for native code .none of cc, gcc and clang is on the PATH.", right)


def test_versions_are_read_from_what_compilers_say(monkeypatch):
    for said, kind in {
        "gcc (Debian 12.2.0-14+deb12u1) 12.2.0": "gcc",
        "cc (Ubuntu 13.3.0-6ubuntu2~24.04) 13.3.0": "gcc",
        "gcc (GCC) 14.2.1 20240912 (Red Hat 14.2.1-3)": "gcc",
        "x86_64-w64-mingw32-gcc.exe (MinGW-W64) 13.1.0": "gcc",
        "Ubuntu clang version 18.1.3 (1ubuntu1)": "clang",
        "Apple clang version 15.0.0 (clang-1500.3.9.4)": "clang",
    }.items():
        monkeypatch.setattr(c_compiler, "_run", lambda *_, said=said, **__: f"{said}\nmore\n")
        assert c_compiler._asked(("cc",)) == (("cc",), kind, said)


# ── what the cache does wrong


def test_the_cache_is_the_users_alone_and_is_used(cache, calls, right):
    for _ in range(2):
        program, *found = Step().run()
        assert program.execution == "native"
        assert_right(found, right)
    assert len(calls) == 1
    (library,) = cache.iterdir()
    if os.name == "posix":
        assert stat.S_IMODE(cache.stat().st_mode) == 0o700 and stat.S_IMODE(library.stat().st_mode) == 0o700


def test_who_adds_nothing_reads_the_cache_and_compiles_once_in_a_process(cache, calls, right):
    for number in (1, 1, 2, 2):
        if number == 2:
            Step().run()  # another run leaves it there
            c_compiler._own.clear()
        with c_compiler.adding_nothing():
            program, *found = Step().run()
        assert program.execution == "native" and len(calls) == number
        assert_right(found, right)
        assert cache.exists() == (number == 2)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty", "a directory", "a link"])
def test_a_damaged_library_is_made_again(cache, calls, right, damage):
    Step().run()
    (library,) = cache.iterdir()
    content = library.read_bytes()
    library.unlink()
    if damage == "a directory":
        library.mkdir()
    elif damage == "a link":
        other = cache.parent / "other.so"
        other.write_bytes(content)
        library.symlink_to(other)
    else:
        changed = content[:100] + bytes([content[100] ^ 1]) + content[101:]
        library.write_bytes({"truncated": content[:5000], "changed": changed, "empty": b""}[damage])
    program, *found = Step().run()
    assert program.execution == "native" and len(calls) == 2
    assert_right(found, right)


def test_a_cache_without_room_is_no_reason_to_do_without(cache, calls, right, monkeypatch):
    monkeypatch.setattr(c_compiler.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
    for _ in range(2):
        program, *found = Step().run()
        assert program.execution == "native"
        assert_right(found, right)
    assert len(calls) == 2 and not list(cache.iterdir())


def test_a_library_that_goes_before_it_is_loaded_is_made_again(cache, calls, right, monkeypatch):
    monkeypatch.setattr(c_compiler, "_kept", lambda *_: cache / "gone.so")
    program, *found = Step().run()
    assert program.execution == "native" and len(calls) == 1
    assert_right(found, right)


def test_temporary_folders_that_cannot_be_used_are_not_needed(cache, right, monkeypatch):
    """Full, not there, or mounted so that nothing in them may be loaded."""
    folder = c_compiler.tempfile.TemporaryDirectory

    def refusing(dir=None, **options):
        if dir is None:
            raise OSError(28, "No space left on device")
        return folder(dir=dir, **options)

    monkeypatch.setattr(c_compiler.tempfile, "TemporaryDirectory", refusing)
    program, *found = Step().run()
    assert program.execution == "native" and len(list(cache.iterdir())) == 1
    assert_right(found, right)
    monkeypatch.setattr(c_compiler, "folder", lambda: cache / "file" / "cache")  # nor can the cache
    (cache / "file").write_text("")
    refused("native code cannot be made in TMPDIR: No space left on device", right)
    with pytest.raises(c_compiler.CompilerError, match="No space left"):
        c_compiler.trial.__wrapped__()


def test_threads_that_keep_one_library_do_not_share_a_file(cache, monkeypatch):
    made, parts, copy = cache.parent / "made.so", [], shutil.copyfile
    made.write_bytes(b"a library")
    cache.mkdir(mode=0o700)
    old = cache / "left.part"
    old.write_bytes(b"")
    os.utime(old, (1, 1))

    def copying(source, part):
        parts.append(part)
        if len(parts) == 1:  # the other thread comes in between
            c_compiler._keep(made, cache, "key")
        return copy(source, part)

    monkeypatch.setattr(c_compiler.shutil, "copyfile", copying)
    c_compiler._keep(made, cache, "key")
    assert len(set(parts)) == 2
    (kept,) = cache.iterdir()  # and what a process that was ended had left is gone
    assert kept.read_bytes() == b"a library" and c_compiler._kept(cache, "key") == kept


@POSIX
@pytest.mark.parametrize("fault", ["open to others", "of another user", "a file", "a link", "not to be made"])
def test_a_cache_that_cannot_be_trusted_is_not_used(cache, calls, right, fault, monkeypatch):
    if fault == "open to others":
        cache.mkdir(mode=0o755)
    elif fault == "of another user":
        cache.mkdir(mode=0o700)
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    elif fault == "a file":
        cache.write_text("")
    elif fault == "a link":
        (cache.parent / "elsewhere").mkdir(mode=0o700)
        cache.symlink_to(cache.parent / "elsewhere")
    else:
        (cache.parent / "file").write_text("")
        monkeypatch.setattr(c_compiler, "folder", lambda: cache.parent / "file" / "cache")
    with pytest.raises(c_compiler.CompilerError, match="the cache of native code"):
        c_compiler.cache_folder()
    for _ in range(2):
        program, *found = Step().run()
        assert program.execution == "native"
        assert_right(found, right)
    assert len(calls) == 2  # each for itself
    assert not cache.is_dir() or not list(cache.iterdir())


def test_the_key_knows_all_that_the_library_depends_on(monkeypatch):
    gcc = c_compiler.Compiler(("gcc",), "gcc", "gcc 12")
    keys = {c_compiler.key_of("a", gcc), c_compiler.key_of("b", gcc)}
    keys.add(c_compiler.key_of("a", gcc._replace(version="gcc 13")))
    keys.add(c_compiler.key_of("a", gcc._replace(command=("clang",))))
    monkeypatch.setattr(c_compiler, "_processor", lambda: "another")
    keys.add(c_compiler.key_of("a", gcc))
    monkeypatch.setattr(c_compiler, "FLAGS", ("-O3",))
    keys.add(c_compiler.key_of("a", gcc))
    assert len(keys) == 6


def test_the_oldest_libraries_go(cache, monkeypatch):
    monkeypatch.setattr(c_compiler, "KEPT", 2)
    cache.mkdir()
    for k in range(4):
        (cache / f"{k}.so").write_text("")
        os.utime(cache / f"{k}.so", (k, k))
    c_compiler._clean(cache)
    assert sorted(path.name for path in cache.iterdir()) == ["2.so", "3.so"]


# ── where it is taken unasked


@pytest.fixture
def shipped(monkeypatch):
    """What it has to save, as anywhere but in tests."""
    monkeypatch.setattr(executions, "COMPILED", COMPILED)


def test_auto_takes_native_code_where_it_saves_more_than_compiling(monkeypatch, shipped):
    def taken(repeats, width=2, copies=(), **options):
        x, w = np.ones((*copies, 8, width)), np.ones((*copies, width, 2))
        return capture(lambda x, w: tanh(x @ w), x, w, repeats=repeats, **options).execution

    a_call, an_element, a_multiplication = (
        executions.SAVED_BY_CALL, executions.SAVED_BY_ELEMENT, executions.SAVED_BY_MULTIPLICATION
    )  # fmt: skip
    enough = round(1.01 * executions.COMPILED / (2 * a_call + 16 * an_element + 32 * a_multiplication))
    assert [taken(n) for n in (0, 1, 0.95 * enough, enough)] == ["planned"] * 3 + ["native"]
    assert taken(enough, copies=(3,)) == "native" and taken(0.95 * enough, copies=(3,)) == "planned"
    assert taken(enough, passes=EXACT) == "planned" and taken(enough, execution="recorded") == "recorded"
    assert taken(1e12, execution="planned") == "planned"
    monkeypatch.setattr(executions, "SHARED", 1)  # large enough for the threads of a plan
    assert taken(enough, threads=2) == "planned" and taken(enough, threads=2, copies=(3,)) == "native"
    monkeypatch.setattr(executions, "WIDE", 4)
    assert taken(1e12) == "planned"


@POSIX
def test_auto_goes_without_a_compiler_and_says_so_once_where_it_is_asked(compiler, shipped):
    compiler("exit 1")
    x = np.ones((8, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program = capture(lambda x: (log(x), x**-0.5), x, repeats=10**9)
        other = capture(lambda x: embed(x, shape=(9, 3), key=(slice(1, None),)), x, repeats=10**9)
    assert program.execution == "planned" and "not as native code: " in program.note
    assert other.execution != "native" and other.note == ""


def test_a_seed_is_executed_in_a_group_as_it_is_alone(shipped):
    for steps, expected in ((60, "planned"), (10**6, "native")):
        config = replace(SMALL, execution="auto", steps=steps)
        alone, group = Experiment(config), Ensemble.of_seeds(config, (0, 1))
        for trained in (alone, group):
            trained.advance(1)
        assert alone.executed == group.executed == group.experiments[1].executed == expected


# ── where it may be asked for


def test_native_code_is_of_the_cpu():
    strict = backends.get("strict")
    with pytest.raises(ConfigError, match="on strict; received 'native'"):
        Experiment(replace(SMALL, backend=strict.name))


def test_the_flags_that_ship_keep_nan_and_infinity(monkeypatch):
    flags = tuple("-O3" if f == "-O0" else f for f in c_compiler.FLAGS)
    monkeypatch.setattr(c_compiler, "FLAGS", flags)
    assert not {"-ffast-math", "-Ofast", "-funsafe-math-optimizations"} & set(c_compiler.flags())
    x = np.array([[np.nan, np.inf, -np.inf, 1e300, -0.0, 0.0, 3.0]] * 9)

    def step(x):
        return tanh(x), x - x, mean(x * 0.0, axis=(0,))

    with np.errstate(all="ignore"):
        program = capture(step, x, execution="native")
        expected = [t.numpy() for t in step(Tensor(x))]
    assert program.execution == "native" and isinstance(program.plan, Native)
    for ours, its in zip(program.outputs, expected, strict=True):
        np.testing.assert_array_equal(ours.numpy(), its)


def test_a_run_knows_its_compiler_and_goes_on_with_the_same_alone(tmp_path, monkeypatch):
    from minigan.errors import CheckpointError
    from minigan.storage.directory import RunDirectory
    from minigan.training.config import to_json
    from minigan.training.saved import reopen
    from minigan.training.trainer import train

    config = replace(SMALL, steps=8, eval_every=4, eval_samples=100, dtype="float32")
    run = RunDirectory.create(tmp_path, config.name, to_json(config))
    with run:
        train(Experiment(config), run)
    record = run.read_status()
    assert record["executed"] == "native" and record["compiler"] == c_compiler.find().version
    monkeypatch.setattr(c_compiler, "find", lambda: c_compiler.Compiler(("cc",), "gcc", "gcc of tomorrow"))
    resumed = reopen(run.path, lock=True, steps=12)
    with resumed.run, pytest.raises(CheckpointError, match="compiler .* then, 'gcc of tomorrow' now"):
        train(resumed.experiment, resumed.run, resumed=resumed)


def test_the_source_can_be_printed_without_a_compiler(monkeypatch, capsys):
    from minigan import cli

    monkeypatch.setenv("CC", "no-such-compiler")
    sets = [x for name in ("generator.widths=[4]", "discriminator.widths=[4]") for x in ("--set", name)]
    assert cli.main(["graph", "--c", *sets]) == 0
    printed = capsys.readouterr().out
    assert "EXPORT void train(" in printed and "generator__0[" in printed and "// numbers" in printed
    assert cli.main(["graph", "--c", "--program"]) == 2
    assert "--c prints a source to stdout" in capsys.readouterr().err


def test_no_call_of_a_stage_is_left_out(cache, monkeypatch):
    """gcc 12 takes a function for one without effects whose loops all become vectors; at -O1 it stays one."""
    monkeypatch.setattr(c_compiler, "FLAGS", tuple("-O1" if f == "-O3" else f for f in c_compiler.FLAGS))
    layers = NetworkConfig(widths=(2, 5), activation="relu")
    game = {
        "objective": "relativistic",
        "discriminator": layers,
        "discriminator_steps": 2,
        "r1": 0.0,
        "r2": 0.0,
    }
    config = replace(Config(), batch=36, steps=60, dtype="float64", **game)
    found = {}
    for execution in ("native", "planned"):
        experiment = Experiment(replace(config, execution=execution))
        experiment.advance(2)
        assert experiment.program.execution == execution
        found[execution] = experiment.discriminator.parameters.flat.numpy()
    np.testing.assert_allclose(found["native"], found["planned"], rtol=0, atol=1e-9)
