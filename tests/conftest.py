"""What all tests share: the backends and the methods with which one body runs, and a header of the former."""

import ast
import gc
import inspect
import itertools
import math
import os
import shutil
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import minigan
from minigan import backend as backends
from minigan.compiler import c_compiler, executions
from minigan.evaluation.classifier_test import classifier_two_sample_test
from minigan.gan.orders import Consensus
from minigan.gan.penalties import R1, R2, WGANGP, ZeroGP
from minigan.machine import limited

BACKENDS = ("numpy", "strict", "cupy")
BOTH = R1(0.5), R2(0.25)
METHODS = {  # options of a Game beside BOTH: as in test_game.py, and what their combinations add
    "alternating": {}, "minimax": {"objective": "minimax"}, "simultaneous": {"order": "simultaneous"},
    "several steps": {"discriminator_steps": 3, "generator_steps": 2}, "no penalties": {"penalties": ()},
    "R1 alone": {"penalties": BOTH[:1]}, "R2 alone": {"penalties": BOTH[1:]}, "no average": {"average": None},
    "WGAN-GP": {"objective": "wasserstein", "penalties": (R2(0.25), WGANGP(10.0)), "discriminator_steps": 2},
    "zero-GP": {"objective": "hinge", "penalties": (*BOTH, ZeroGP(2.0))},
    "clip": {"objective": "wasserstein", "clip": 0.2},
    "relativistic": {"objective": "relativistic", "discriminator_steps": 2},
    "extragradient": {"order": "extragradient"},
    "extragradient with WGAN-GP": {"order": "extragradient", "objective": "alpha_ns(0.5, 1)",
                                   "penalties": (*BOTH, WGANGP(1.0))},
    "consensus": {"order": Consensus(0.3)}, "packs of 2": {"packing": 2},
    "packs of 4 with WGAN-GP": {"packing": 4, "penalties": (*BOTH, WGANGP(1.0))},
    "unrolled": {"unrolled": 2, "unrolled_rate": 0.2},
    "unrolled with zero-GP": {"unrolled": 1, "penalties": (*BOTH, ZeroGP(0.5)), "generator_steps": 2},
    "all at once": {"order": Consensus(0.3), "packing": 2, "objective": "relativistic",
                    "penalties": (*BOTH, ZeroGP(0.5))},
}  # fmt: skip


TURNED = pytest.StashKey[bool]()  # whether a worker begins to collect elsewhere than at the first file


@cache
def unavailable(name):
    """Why the backend cannot be used here; None if it can."""
    try:
        backends.get(name)
    except backends.BackendError as error:
        return str(error)


def pytest_addoption(parser):
    parser.addoption("--backend", choices=BACKENDS, help="run the tests of the engine on this backend only")
    parser.addoption("--require-gpu", action="store_true", help="fail where a test of the GPU cannot run")


def begin_elsewhere(config):
    """A worker reads the whole suite from a file of its own on, and finds compiled what others began with.

    In a fresh checkout each would compile everything, which takes longer than to collect all tests.
    """
    worker, here = getattr(config, "workerinput", None), Path(__file__).parent
    if worker and [Path(arg).resolve() for arg in config.args] == [here]:
        files = sorted(map(str, here.rglob("test_*.py")))
        at = len(files) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
        config.args, config.stash[TURNED] = files[at:] + files[:at], True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """In one order for all workers."""
    if TURNED in config.stash:
        items.sort(key=lambda item: item.path.parts)


def pytest_collection_finish():
    """What was collected stays to the end: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_configure(config):
    config.addinivalue_line("markers", "gpu: needs a GPU, and is skipped where there is none")
    config.addinivalue_line(
        "markers", "in_turn(names, rows, first=0): as parametrize, on the two devices of this machine in turn"
    )
    config.addinivalue_line(
        "markers", "rows(names, rows): as parametrize, in one test; for rows of a millisecond"
    )
    config.addinivalue_line("markers", "methods(name, values): the methods, with one of the values in turn")
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        del os.environ[name]  # a pytest that a test starts is nobody's worker
    begin_elsewhere(config)
    if config.getoption("--require-gpu") and unavailable("cupy"):
        raise pytest.UsageError(f"--require-gpu: {unavailable('cupy')}")
    wanted = config.getoption("--backend")
    reason = wanted and unavailable(wanted)
    if reason:  # a skipped test would look like a passed one to whoever asked for this backend
        raise pytest.UsageError(f"--backend {wanted}: {reason}")


@pytest.fixture(scope="session", autouse=True)
def one_thread_of_blas():
    """As in a run: more than one may sum in another order."""
    with limited(1):
        yield


@pytest.fixture(scope="session", autouse=True)
def native_code():
    """It is kept in a folder of the session, and compiled in a hurry where the flags are not the subject.

    What was compiled so is slow, so that no step takes it unasked.
    """
    # not pytest's: tests/soak has folders of its own, which do not last as long
    with TemporaryDirectory(prefix="minigan-native-") as place, pytest.MonkeyPatch.context() as patched:
        patched.setattr(c_compiler, "folder", lambda: Path(place))
        patched.setattr(executions, "COMPILED", math.inf)
        patched.setattr(c_compiler, "FLAGS", ("-O0", *(f for f in c_compiler.FLAGS if f != "-O3")))
        yield


@pytest.fixture(scope="session")
def syntax_trees():
    """{path: syntax tree} of every module of the package, parsed once for all that read it."""
    files = sorted(Path(minigan.__file__).parent.rglob("*.py"))
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}


@pytest.fixture(scope="session")
def briefly():
    """Within it judgements of several features or modes, which take a second, are quick and less exact."""
    from minigan.evaluation import features, one_feature

    places = ((features, "_drawn"), (one_feature, "_remembered"))
    remembered = [lru_cache(getattr(*place).__wrapped__) for place in places]  # not to be found elsewhere

    @contextmanager
    def within():
        with pytest.MonkeyPatch.context() as patched:
            brief = partial(classifier_two_sample_test, steps=20)
            patched.setattr("minigan.training.metrics.classifier_two_sample_test", brief)
            patched.setattr(features, "DRAWN", 500)
            patched.setattr(one_feature, "REPLICATES", 1000)
            for (module, name), own in zip(places, remembered, strict=True):
                patched.setattr(module, name, own)
            yield

    return within


@pytest.fixture
def brief_judge(briefly):
    """For a test that is not about the judgement of several features or modes in which its runs end."""
    with briefly():
        yield


def selected(config):
    """{name: reason for skipping, or None} of the backends that this run asks for."""
    wanted = config.getoption("--backend")
    return {name: unavailable(name) for name in ((wanted,) if wanted else BACKENDS)}


def pytest_report_header(config):
    chosen = selected(config)
    running = [name for name, reason in chosen.items() if reason is None]
    skipped = [f"{name} skipped: {reason}" for name, reason in chosen.items() if reason]
    gpu = "no (strict device and host-compiled kernels)"
    if "cupy" in running:
        gpu = f"yes, {backends.get('cupy').describe()}"
    return [
        f"backends: {', '.join(running)}" + "".join(f" ({s})" for s in skipped),
        f"GPU kernels executed: {gpu}",
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and item.get_closest_marker("gpu") and item.config.getoption("--require-gpu"):
        report.outcome, report.longrepr = "failed", f"skipped, but --require-gpu was given: {report.longrepr}"
    return report


def pytest_generate_tests(metafunc):
    # An absent device is named once, in the header and by test_switch, not per test.
    running = [name for name, reason in selected(metafunc.config).items() if reason is None]
    turns = metafunc.definition.get_closest_marker("in_turn")
    if turns:  # two rows each: what alternates among the rows meets both
        here, first = [name for name in running if name != "cupy"], turns.kwargs.get("first", 0)
        rows = [(here[(k // 2 + first) % len(here)], *row) for k, row in enumerate(turns.args[1]) if here]
        rows += [("cupy", *row) for row in turns.args[1] if "cupy" in running]
        metafunc.parametrize(("backend", *turns.args[0]), rows, indirect=["backend"], ids=str)
    elif "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", running, indirect=True)
    for table in metafunc.definition.iter_markers("rows"):
        names = names_of(table)
        metafunc.parametrize(names, [(None,) * len(names)], ids=[f"{len(table.args[1])} rows"])
    if "device" in metafunc.fixturenames:
        metafunc.parametrize(
            "device", [name for name in running if name != "numpy"] or ["strict"], indirect=True
        )
    marks = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    chosen = [name for names in marks for name in ((names,) if isinstance(names, str) else names)]
    given = metafunc.definition.get_closest_marker("methods")
    if given:
        name, values = given.args
        pairs = [(method, values[k % len(values)]) for k, method in enumerate(METHODS)]
        metafunc.parametrize(("method", name), pairs, indirect=["method"])
    elif "method" in metafunc.fixturenames and "method" not in chosen:
        metafunc.parametrize("method", METHODS, indirect=True)


def names_of(table):
    names = table.args[0]
    return names.replace(" ", "").split(",") if isinstance(names, str) else list(names)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """All rows of a test, and which of them fail: a test of its own costs more than most of them compute."""
    tables = list(pyfuncitem.iter_markers("rows"))
    if not tables:
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    given = {name: pyfuncitem.funcargs[name] for name in wanted}
    columns, failures, count = [names_of(table) for table in tables], [], 0
    for rows in itertools.product(*(table.args[1] for table in tables)):
        count += 1
        for names, row in zip(columns, rows, strict=True):
            given |= zip(names, row if len(names) > 1 else (row,), strict=True)
        try:
            pyfuncitem.obj(**given)
        except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # nor is a row skipped
            failures.append((repr(rows if len(rows) > 1 else rows[0])[:300], error))
    assert count
    if failures:
        first = failures[0][1]
        first.add_note(f"in {len(failures)} of {count} rows: " + "; ".join(row for row, _ in failures[:20]))
        if isinstance(first, pytest.skip.Exception):
            raise AssertionError("a row cannot be skipped; parametrize") from first
        raise first
    return True


@pytest.fixture
def method(request):
    """The options of a game; the test runs once for each."""
    return METHODS[request.param]


@pytest.fixture
def backend(request):
    """A backend; the test runs once on each."""
    return backends.get(request.param)


@pytest.fixture
def device(request):
    """A GPU, and what stands in for one; the test runs once on each, whatever else is asked for."""
    if request.param == "strict" and shutil.which("g++") is None:
        pytest.skip("needs g++ to run CUDA C on the CPU")
    return backends.get(request.param)


ALONE = {"float32": 2e-4, "float64": 1e-10}  # how near, of the largest number, after some steps of training


@pytest.fixture
def same_bits():
    """same_bits(backend, ours, its): where both are computed alike, together and alone, and so on.

    A GPU computes them otherwise: cuBLAS and CuPy may take the terms of a sum in another order where there
    are several at once. There the numbers agree to ``ALONE``.
    """

    def check(backend, ours, its, err_msg=""):
        ours, its = np.asarray(ours), np.asarray(its)
        if backend.name != "cupy" or ours.dtype.name not in ALONE:
            np.testing.assert_array_equal(ours, its, err_msg)
        else:
            atol = ALONE[ours.dtype.name] * np.abs(its).max(initial=0.0)
            np.testing.assert_allclose(ours, its, rtol=0, atol=atol, err_msg=err_msg)

    return check
