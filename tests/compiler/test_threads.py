"""Threads, tasks, generators and processes beside each other: each has the bits that it has alone."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import minigan
from minigan.backend import numpy_backend
from minigan.compiler.capture import capture
from minigan.engine import primitives as P
from minigan.engine.anomaly import AnomalyError, detect_anomaly
from minigan.engine.autodiff import grad
from minigan.engine.tensor import CaptureError, Tensor, constant, observer, variable
from minigan.gan.game import Game
from minigan.gan.orders import Batch, Consensus
from minigan.gan.penalties import R1, WGANGP
from minigan.nn.network import mlp
from minigan.nn.optim import OPTIMIZERS
from minigan.nn.schedules import Average

GAMES = {
    "non-saturating": {"penalties": [R1(0.5)], "average": True},
    "WGAN-GP": {"objective": "wasserstein", "penalties": [WGANGP(10.0)], "discriminator_steps": 2,
                "optimizer": "sgd"},
    "extragradient": {"order": "extragradient", "widths": (1, 5, 5, 1), "activation": "silu"},
    "consensus": {"order": Consensus(0.3), "dtype": "float64"},
}  # fmt: skip
PATIENCE = 120  # seconds after which a thread that waits for another gives up


def in_threads(*functions):
    """What each returns, run in a thread of its own; they start together, and an exception is raised here."""
    ready = threading.Barrier(len(functions))

    def run(function):
        ready.wait(PATIENCE)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(PATIENCE) for future in [pool.submit(run, f) for f in functions]]


def train(name, steps, captured=False, seed=0, home=numpy_backend, **how):
    """The bits of everything after so many rounds of a game."""
    options = dict(GAMES[name])
    widths, dtype = options.pop("widths", (2, 8, 1)), options.pop("dtype", "float32")
    activation, optimizer = options.pop("activation", "tanh"), options.pop("optimizer", "adam")
    rng = np.random.default_rng(seed)
    G, D = (
        mlp(w, rngs=rng, activation=activation, dtype=dtype, backend=home) for w in (widths, (1, *widths[1:]))
    )
    moves = [OPTIMIZERS[optimizer](network.parameters, 0.01) for network in (G, D)]
    average = Average(G.parameters) if options.pop("average", False) else None
    game, program, k = (
        Game(G, D, *moves, average=average, **options),
        None,
        options.get("discriminator_steps", 1),
    )
    for t in range(steps):
        drawn = (rng.standard_normal((n, 8, size)) for n, size in ((k, 1), (k, widths[0]), (1, widths[0])))
        drawn = (*drawn, np.array([1.0]), np.array([1.0 / (t + 1)]), rng.random((k, 8, 1)))
        inputs = [Tensor(home.array(a.astype(dtype))) for a in drawn]
        if not captured:
            losses = step(game)(*inputs)
        elif program is None:
            program = capture(step(game), *inputs, state=game.state, **how)
            losses = program.outputs
        else:
            losses = program(*inputs)
    return [t.numpy().tobytes() for t in (*game.state.values(), *losses)]


def step(game):
    return lambda x, z_d, z_g, factor, weight, mix: game.round(Batch(x, z_d, z_g, mix), factor, weight)


@pytest.mark.parametrize("captured", [True, False], ids=["captured", "eager"])
def test_two_games_in_two_threads(captured):
    jobs = [(name, 100, captured) for name in ("non-saturating", "WGAN-GP")]
    alone = [train(*job) for job in jobs]
    assert in_threads(*(lambda job=job: train(*job) for job in jobs)) == alone
    assert alone[0] != alone[1]


def test_eight_games_in_eight_threads():
    jobs = [(name, 25, captured, seed) for name in GAMES for seed, captured in enumerate((False, True))]
    alone = [train(*job) for job in jobs]
    assert in_threads(*(lambda job=job: train(*job) for job in jobs)) == alone
    assert len({tuple(bits) for bits in alone}) == 8


def test_games_in_threads_on_one_device(device):
    """They share its stream: what one records holds nothing of what the other computes meanwhile."""
    jobs = [("non-saturating", 4, captured, 0, device) for captured in (True, False)]
    alone = [train(*job, execution="recorded") for job in jobs]
    recorded = threading.Event()

    def records():
        try:
            return [train(*jobs[0], execution="recorded") for _ in range(2)]
        finally:
            recorded.set()

    def computes():
        found = []
        while not found or not recorded.is_set():
            found.append(train(*jobs[1]))
        return found

    interval = sys.getswitchinterval()
    sys.setswitchinterval(2e-4)  # a recording lasts a few ms, and is to be interrupted
    try:
        together = in_threads(records, computes)
    finally:
        sys.setswitchinterval(interval)
    assert all(bits == its for found, its in zip(together, alone, strict=True) for bits in found)


# ── one program
def pausing():
    """A program whose kernel waits where it is told to, and the events of its beginning and its end."""
    entered, leave, waits = threading.Event(), threading.Event(), []

    def kernel(xp, x, out=None):
        if waits:
            entered.set()
            assert leave.wait(PATIENCE)
        out = xp.empty_like(x) if out is None else out
        out[...] = 2.0 * x
        return out

    program = capture(lambda x: P.Primitive("slow", kernel)(x) + 1.0, constant(np.zeros(1)))
    waits.append(True)
    return program, entered, leave


@pytest.mark.parametrize("call", [
    lambda program: program(np.full(1, 50.0)), lambda program: program.each(np.full((3, 1), 50.0)),
], ids=["one step", "each"])  # fmt: skip
def test_a_program_called_while_another_thread_runs_it_is_refused(call):
    """Both would write the same buffers: the second call is refused, the first keeps its result."""
    program, entered, leave = pausing()

    def second():
        assert entered.wait(PATIENCE / 10)
        try:
            with pytest.raises(CaptureError, match="in one thread at a time.* a program of its own for each"):
                call(program)
        finally:
            leave.set()

    result, _ = in_threads(lambda: program(np.full(1, 3.0)).item(), second)
    assert result == 7.0 and program(np.full(1, 5.0)).item() == 11.0


def test_a_program_that_failed_can_run_again():
    program, _, leave = pausing()
    leave.wait = lambda _: False
    with pytest.raises(AssertionError):
        program(np.ones(1))
    leave.wait = lambda _: True
    assert program(np.ones(1)).item() == 3.0


# ── what one thread observes is not what another does
def test_capture_beside_eager_work_records_its_own(backend):
    """A step that is recorded waits in its midst while another thread computes and differentiates."""
    both, waited = threading.Barrier(2), []

    def recorder():
        def slow(z):
            y = z * 2.0
            if not waited:
                both.wait(PATIENCE)  # the other starts
                both.wait(PATIENCE)  # and has ended
                waited.append(True)
            return y + 1.0

        return [i.primitive.name for i in capture(slow, variable(backend.array([1.0]))).instructions]

    def eager():
        both.wait(PATIENCE)
        x = variable(backend.array([3.0]))
        (slope,) = grad(P.exp(x) * x, [x])
        value = slope.item(), observer.get()
        both.wait(PATIENCE)
        return value

    names, (slope, seen) = in_threads(recorder, eager)
    assert names == ["multiply", "add"] and seen is None
    assert slope == pytest.approx(4.0 * np.exp(3.0))


def test_a_detection_in_one_thread_does_not_watch_another(backend):
    both = threading.Barrier(2)

    def log_of_zero():
        return P.log(variable(backend.array([0.0]))).item()

    def watched():
        with detect_anomaly():
            both.wait(PATIENCE)
            both.wait(PATIENCE)
            with pytest.raises(AnomalyError):
                log_of_zero()

    def free():
        both.wait(PATIENCE)
        with np.errstate(divide="ignore"):
            value = log_of_zero()
        program = capture(P.exp, variable(backend.array([0.0])))  # is not refused
        both.wait(PATIENCE)
        return value, program(variable(backend.array([1.0]))).item()

    assert in_threads(watched, free)[1] == (-np.inf, np.exp(1.0))


def test_a_thread_started_inside_a_detection_is_not_watched():
    with detect_anomaly(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(observer.get).result(PATIENCE) is None
        inherited = contextvars.copy_context()  # who asks for the context has it
        assert pool.submit(inherited.run, observer.get).result(PATIENCE) is not None


def test_two_thousand_switches_in_eight_threads():
    """Detections that are opened, nested and left by exceptions in all threads at once: none leaks."""

    def switch():
        zero = variable(np.zeros(3))
        for k in range(250):
            assert observer.get() is None
            with detect_anomaly():
                if k % 3 == 0:
                    with detect_anomaly(), pytest.raises(AnomalyError):
                        P.log(zero)
                    assert observer.get() is not None
                else:
                    grad(P.exp(zero), [zero])
            with np.errstate(divide="ignore"):
                assert P.log(zero).numpy()[0] == -np.inf
        return True

    assert all(in_threads(*[switch] * 8))


# ── generators and tasks
def test_a_generator_may_not_pause_inside_a_detection():
    """A context variable that a generator sets is its caller's too: refused before anything is set."""

    def paused():
        with detect_anomaly():
            yield 1

    async def paused_too():
        with detect_anomaly():
            yield 1

    with pytest.raises(RuntimeError, match="in a generator would watch its caller; open it around that"):
        next(paused())
    with pytest.raises(RuntimeError, match="in a generator would watch its caller"):
        asyncio.run(paused_too().__anext__())
    assert observer.get() is None


def test_a_generator_is_watched_by_whoever_iterates_it():
    def slopes(x):
        for n in (2, -1):
            y = x**n
            yield grad(y, [x])[0].item()

    zero = variable(np.zeros(1))
    values = slopes(zero)
    with detect_anomaly():
        assert next(values) == 0.0
        with pytest.raises(AnomalyError, match="power made 1 of 1"):
            next(values)
    assert observer.get() is None


def test_a_function_of_the_generator_may_detect():
    def check(x):
        with detect_anomaly():
            return P.log(x).item()

    def logs():
        for value in (1.0, 0.0):
            yield check(variable(np.full(1, value)))

    values = logs()
    assert next(values) == 0.0 and observer.get() is None
    with pytest.raises(AnomalyError):
        next(values)
    assert observer.get() is None


def test_tasks_of_one_loop_have_contexts_of_their_own():
    """200 tasks take turns within detections; the others, between them, see nothing of it."""
    zero = variable(np.zeros(1))

    async def watched():
        with detect_anomaly():
            for _ in range(3):
                await asyncio.sleep(0)
                with pytest.raises(AnomalyError):
                    P.log(zero)
        return observer.get()

    async def free():
        for _ in range(3):
            await asyncio.sleep(0)
            with np.errstate(divide="ignore"):
                assert P.log(zero).item() == -np.inf
        return observer.get()

    async def all_of_them():
        return await asyncio.gather(*(watched() if k % 2 else free() for k in range(200)))

    assert asyncio.run(all_of_them()) == [None] * 200


def test_a_task_started_inside_a_detection_inherits_it():
    async def child():
        with pytest.raises(CaptureError):
            capture(P.exp, constant(np.zeros(1)))
        return observer.get()

    async def parent():
        with detect_anomaly():
            task = asyncio.create_task(child())
            assert await task is observer.get()

    asyncio.run(parent())
    assert observer.get() is None


# ── processes
PROCESSES = """
import importlib.util, multiprocessing, sys, warnings
sys.path.insert(0, {root!r})
spec = importlib.util.spec_from_file_location("threads", {file!r})
threads = importlib.util.module_from_spec(spec)
spec.loader.exec_module(threads)

def train(job):
    return threads.train(*job)

if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # fork where threads were: none is alive here
    jobs = [(name, 10, captured) for name in threads.GAMES for captured in (False, True)]
    alone = [train(job) for job in jobs]
    for method in ("fork", "spawn"):
        if method in multiprocessing.get_all_start_methods():
            with multiprocessing.get_context(method).Pool(2) as pool:
                print(method, pool.map(train, jobs) == alone)
"""


def test_forked_and_spawned_processes_have_the_same_bits(tmp_path):
    script = tmp_path / "processes.py"
    script.write_text(PROCESSES.format(root=str(Path(minigan.__file__).parents[1]), file=__file__))
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=200, check=False)
    assert run.returncode == 0, run.stderr
    assert "spawn True" in run.stdout and "False" not in run.stdout, run.stdout
