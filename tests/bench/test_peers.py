"""The peers compute one and the same step, and the driver times only those that do."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
BATCH, WIDTH, STEPS = 12, 5, 5


@pytest.fixture
def peers(monkeypatch, tmp_path):
    """Import a module of bench/peers, which is not installed; afterwards no result may have been written."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(importlib.import_module("bench.common"), "RESULTS", tmp_path / "results")
    yield lambda name: importlib.import_module(f"bench.peers.{name}")
    assert not (tmp_path / "results").exists()


def check(peers, made, replicas=None, batch=BATCH, width=WIDTH):
    """Gradients of the first step and parameters after five, against minigan in float64, per entry."""
    common, reference = peers("common"), peers("ours").reference
    weights, data = common.initial(width, replicas=replicas), common.batches(STEPS, batch, replicas=replicas)
    peer = made(weights, batch)
    peer.follow(*(x[:1] for x in data))
    seen, (_, gradients) = peer.gradients(), reference(weights, *(x[:1] for x in data))
    peer.follow(*(x[1:] for x in data))
    moved, (parameters, _) = peer.parameters(), reference(weights, *data)
    for player in "GD":
        scale = np.abs(gradients[player]).max()
        np.testing.assert_allclose(seen[player], gradients[player], rtol=0, atol=2e-5 * scale)
        # Adam divides by √v: where a gradient is next to nothing, its rounding alone moves the parameter.
        step = np.abs(moved[player] - parameters[player])
        assert np.median(step) < 2e-7 and np.linalg.norm(step) < 1e-3 * np.linalg.norm(
            parameters[player] - weights[player]
        )
    return peer


def ways(peers, name, threads=2, replicas=0, batch=BATCH, width=WIDTH):
    """The functions that make each variant of a peer."""
    module = peers(name)
    found = (
        module.ensembles(batch, width, threads, replicas)
        if replicas
        else module.variants(batch, width, threads)
    )
    return {name: variant.make for name, variant in found.items()}


@pytest.mark.parametrize("name", ["captured", "native", "eager"])
def test_minigan_in_float32_is_minigan_in_float64(peers, name):
    if name == "native" and peers("ours").compiler() is None:
        pytest.skip("needs a C compiler")
    check(peers, ways(peers, "ours")[name])


def test_the_reference_is_the_textbook(peers):
    """One step with derivatives by differences, in float64: so the reference leans on no autograd."""
    common, ours = peers("common"), peers("ours")
    weights = common.initial(3, seed=4)
    weights = {player: flat + 0.1 for player, flat in weights.items()}  # biases, too
    x, z_d, z_g = (batch.astype("float64") for batch in common.batches(1, 6))
    parameters, gradients = ours.reference(weights, x, z_d, z_g)

    def D(θ, x):
        return common.generate(θ, x)

    def loss_d(θ):
        fake = common.generate(weights["G"], z_d[0])
        return np.logaddexp(0.0, -D(θ, x[0])).mean() + np.logaddexp(0.0, D(θ, fake)).mean()

    def loss_g(θ):
        return np.logaddexp(0.0, -D(parameters["D"], common.generate(θ, z_g[0]))).mean()

    for player, loss in (("D", loss_d), ("G", loss_g)):
        θ, h = weights[player], 1e-5
        slopes = [(loss(θ + h * e) - loss(θ - h * e)) / (2 * h) for e in np.eye(len(θ))]
        np.testing.assert_allclose(gradients[player], slopes, atol=1e-9)
        moved = -common.RATE * gradients[player] / (np.abs(gradients[player]) + common.EPSILON)
        np.testing.assert_allclose(parameters[player] - θ, moved, rtol=1e-9)


def test_c_by_hand(peers):
    module = peers("c_by_hand")
    if peers("ours").compiler() is None:
        pytest.skip("needs a C compiler")
    assert module.variants(BATCH, WIDTH, 1) == {}  # no whole vectors
    peer = check(peers, module.variants(32, 16, 1)["fused step"].make, batch=32, width=16)
    peer.advance(300)
    mean = peers("common").generate(peer.parameters()["G"], np.linspace(-2.0, 2.0, 41)[:, None]).mean()
    assert 2.0 < mean < 6.0  # as every peer's, on draws of its own


@pytest.mark.parametrize(("batch", "width"), [(BATCH, WIDTH), (64, 16), (7, 1), (1, 3)])
def test_numpy_by_hand(peers, batch, width):
    check(peers, peers("numpy_by_hand").WholeBatch, batch=batch, width=width)


@pytest.mark.parametrize(("workers", "chunk"), [(1, 12), (1, 4), (2, 6), (2, 2), (3, 2)])
def test_columns_by_hand(peers, workers, chunk):
    Columns = peers("numpy_by_hand").Columns
    peer = check(peers, lambda weights, batch: Columns(weights, batch, workers=workers, chunk=chunk))
    assert peer.chunk == min(chunk, BATCH // workers)
    peer.advance(3)
    assert np.isfinite(peer.parameters()["G"]).all()


def test_a_failure_in_one_thread_ends_all(peers, monkeypatch):
    hand = peers("numpy_by_hand")
    with pytest.raises(ZeroDivisionError):
        hand._together(lambda k: 1 // (1 - k), 2)
    monkeypatch.setattr(hand, "PATIENCE", 0.05)
    columns = hand.Columns(peers("common").initial(3), 4, workers=2)
    monkeypatch.setattr(columns._parts[1], "generator", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        columns.advance(2)


@pytest.mark.parametrize(("workers", "group"), [(1, 5), (1, 2), (2, None), (2, 1), (3, 2)])
def test_ensembles_by_hand_are_their_single_runs(peers, workers, group):
    common, hand = peers("common"), peers("numpy_by_hand")
    peer = check(peers, lambda weights, batch: hand.Ensemble(weights, batch, 0, workers, group), replicas=5)
    weights, data = common.initial(WIDTH, replicas=5), common.batches(STEPS, BATCH, replicas=5)
    for r in range(5):
        single = hand.WholeBatch({player: flat[r] for player, flat in weights.items()}, BATCH)
        single.follow(*(x[:, r] for x in data))
        for player, flat in single.parameters().items():
            np.testing.assert_allclose(peer.parameters()[player][r], flat, atol=2e-6)


def test_an_ensemble_one_by_one(peers):
    check(peers, ways(peers, "numpy_by_hand", replicas=3)["one by one"], replicas=3)


def test_replicas_of_minigan_are_its_single_runs(peers):
    check(peers, ways(peers, "ours", replicas=4)["replicas"], replicas=4)


def test_variants_by_hand_follow_size_and_threads(peers):
    hand = peers("numpy_by_hand")
    assert list(hand.variants(64, 16, 1)) == ["whole batch"]
    assert list(hand.variants(512, 128, 1)) == ["whole batch", "chunks of columns"]
    assert {name: v.blas_threads for name, v in hand.variants(512, 128, 2).items()} == {
        "whole batch, BLAS threads": None, "chunks of columns": None, "Python threads × chunks": 1,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["numpy_by_hand", "ours"])
@pytest.mark.parametrize("replicas", [0, 3])
def test_draws_of_ones_own_are_those_of_the_step(peers, name, replicas):
    """After 300 steps G's mean has left 0 for the data's 4, and circles it; other data lead elsewhere."""
    common = peers("common")
    for make in ways(peers, name, batch=64, width=16, replicas=replicas).values():
        peer = make(common.initial(16, replicas=replicas or None), 64)
        peer.advance(300)
        θ = peer.parameters()["G"].reshape(-1, 321)
        means = [common.generate(flat, np.linspace(-2.0, 2.0, 41)[:, None]).mean() for flat in θ]
        assert all(2.0 < mean < 6.0 for mean in means)
        again = make(common.initial(16, replicas=replicas or None), 64)
        again.advance(170)
        again.advance(130)  # in other pieces, the same draws
        np.testing.assert_array_equal(again.parameters()["G"], peer.parameters()["G"])


def test_normals_by_box_and_muller(peers):
    """4e5 numbers: their moments, and the distribution function, lie within 6 standard errors."""
    from scipy.special import ndtr

    n = 400_001
    values = peers("numpy_by_hand").Normals(0, n).draw().astype("float64")
    assert values.shape == (n,) and np.isfinite(values).all()
    for power, (mean, variance) in {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96)}.items():
        assert abs((values**power).mean() - mean) < 6 * np.sqrt(variance / n)
    empirical = np.arange(1, n + 1) / n
    assert np.abs(ndtr(np.sort(values)) - empirical).max() < 2.8 / np.sqrt(n)  # P = 2 exp(−2 · 2.8²) = 3e-7
    first, second = values[: n // 2], values[n // 2 + 1 :]  # cosines and sines of the same angles
    assert abs(np.corrcoef(first, second)[0, 1]) < 6 / np.sqrt(n // 2)


def test_adams_schedule_is_its_formula(peers):
    common = peers("common")
    rng = np.random.default_rng(0)
    m = v = kept_m = kept_v = 0.0
    steps, epsilons = common.schedule(1, 9, 7.0)
    for t, (step, epsilon) in enumerate(zip(steps, epsilons, strict=True), start=1):
        g = rng.normal()
        m, v = 0.5 * m + 0.5 * g, 0.999 * v + 0.001 * g * g
        kept_m, kept_v = 0.5 * kept_m + 7 * g, 0.999 * kept_v + (7 * g) ** 2
        expected = 1e-3 * (m / (1 - 0.5**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        assert step * kept_m / (np.sqrt(kept_v) + epsilon) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["autograd_peer", "dezero_peer", "torch_peer", "jax_peer"])
def test_other_libraries(peers, name):
    module = peers(name)
    driver = peers("__main__")
    if driver.installed(name) is None or name == "dezero_peer" and not importlib.util.find_spec("matplotlib"):
        pytest.skip(f"{module.DISTRIBUTION} is not installed")
    for way, make in ways(peers, name).items():
        if "compile" not in way:  # half a minute each; the driver checks them before it times them
            peer = check(peers, make)
            peer.advance(3)
            assert np.isfinite(peer.parameters()["G"]).all()
    for way, make in ways(peers, name, replicas=3).items():
        if "compile" not in way:
            check(peers, make, replicas=3)


# ── the driver
@pytest.fixture
def run(peers, capsys, monkeypatch, tmp_path):
    """A function: what the driver prints, whose peers are processes of their own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    driver = peers("__main__")

    def run(*arguments):
        driver.main(["--quick", *arguments])
        return capsys.readouterr().out

    return run


def native(peers, name="native"):
    """The row of native code, where there is a compiler."""
    return [f"ours, {name}"] if peers("ours").compiler() else []


def rows(text):
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]


def test_the_driver_times_what_is_asked(peers, run):
    before = sorted((ROOT / "bench" / "results").iterdir())
    printed = run("--sizes", "16,4", "--peers", "ours,autograd_peer")
    expected = ["numpy_by_hand, whole batch", "ours, captured", *native(peers), "ours, eager"]
    if peers("__main__").installed("autograd_peer"):
        expected.append("autograd_peer, eager")
    else:
        assert "autograd_peer: not installed" in printed
    assert rows(printed)[1:] == expected and "failed" not in printed
    assert sorted((ROOT / "bench" / "results").iterdir()) == before


def test_the_driver_times_ensembles(peers, run):
    assert rows(run("--sizes", "16,4", "--peers", "ours", "--replicas", "3", "--threads", "2"))[1:] == [
        "numpy_by_hand, one by one", "numpy_by_hand, groups", "numpy_by_hand, groups, Python threads",
        "ours, replicas", *native(peers, "replicas, native"),
    ]  # fmt: skip


def test_the_driver_times_whole_processes(peers, run, monkeypatch):
    driver, asked = peers("__main__"), []
    trained, grown = (driver.train_once(task, "ours", "captured", 64, 16, 50) for task in ("train", "grow"))
    assert trained["seconds"] > 0.05 and trained["peak"] > 10 * 1024 and abs(grown["growth"]) < 64 * 1024
    with pytest.raises(driver.Failed, match="KeyError"):
        driver.train_once("train", "ours", "no such variant", 64, 16, 1)
    monkeypatch.setattr(
        driver, "train_once", lambda task, *_: asked.append(task) or (trained if task == "train" else grown)
    )
    printed = rows(run("--whole", "--peers", "ours"))
    more = native(peers)
    assert printed[1:] == ["numpy_by_hand, whole batch", "ours, captured", *more, "ours, eager"]
    assert asked == ["train", "train"] * 2 + ["grow"] + ["train", "train"] * (1 + len(more))


def test_a_peer_that_computes_something_else_is_not_timed(peers, capsys, monkeypatch):
    driver = peers("__main__")

    class Process:
        """Answers that need no process."""

        def __init__(self, peer, variant, *_):
            self.peer, self.variant, self.controls, self.bursts, self.disturbed = peer, variant, [1.0], [], 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def ask(self, command, *_):
            wrong = {"captured": {"mean": 5.0}, "eager": {"gradients": float("nan")}}.get(self.variant, {})
            return {"gradients": 1e-6, "parameters": 1e-5, "mean": 4.0} | wrong

        def burst(self, seconds):
            self.bursts.append(2e-5)

    monkeypatch.setattr(driver, "Process", Process)
    driver.main(["--sizes", "16,4", "--peers", "ours", "--bursts", "2"])
    out = capsys.readouterr().out
    assert rows(out)[1:] == ["numpy_by_hand, whole batch", *native(peers)]
    assert "failed: (16, 4), ours, captured, its generator's mean is 5.000" in out
    assert "failed: (16, 4), ours, eager, its gradients are nan" in out


def test_a_process_that_dies_says_why(peers):
    driver = peers("__main__")
    with driver.Process("ours", "no such variant", 16, 4, 1) as process:
        with pytest.raises(driver.Failed, match="KeyError"):
            process.ask("check")


def test_a_disturbed_burst_is_repeated(peers):
    driver = peers("__main__")
    answers = [
        {"seconds": 1.0, "steps": 1, "control": 1.0, "interrupted": 0},
        {"seconds": 9.0, "steps": 1, "control": 3.0, "interrupted": 0},  # slow
        {"seconds": 8.0, "steps": 1, "control": 1.0, "interrupted": 1000},  # interrupted
        {"seconds": 2.0, "steps": 1, "control": 1.1, "interrupted": 3},
    ]
    process = object.__new__(driver.Process)
    process.controls, process.bursts, process.disturbed = [], [], 0
    process.ask = lambda *_: answers.pop(0)
    process.burst(0.2)
    process.burst(0.2)
    assert process.bursts == [1.0, 2.0] and process.disturbed == 0
    answers += [{"seconds": 7.0, "steps": 1, "control": 5.0, "interrupted": 0}] * driver.REPEATS
    process.controls = [1.0] * 100
    process.burst(0.2)
    assert process.bursts[-1] == 7.0 and process.disturbed == 1


@pytest.mark.parametrize("n", [1, 5, 6, 15, 25, 100])
def test_the_interval_of_a_median_covers_it(peers, n):
    """By the binomial distribution: at least 95 %, and less if it were one number narrower on each side."""
    from scipy.stats import binom

    low, high = peers("__main__").interval_of_median(list(range(n))[::-1])
    k = low  # the (k + 1)-th smallest
    assert high == n - 1 - k
    assert n < 6 and k == 0 or 1 - 2 * binom.cdf(k, n, 0.5) >= 0.95 > 1 - 2 * binom.cdf(k + 1, n, 0.5)


def test_ratios_are_paired(peers):
    driver = peers("__main__")
    base, other = (object.__new__(driver.Process) for _ in range(2))
    for process, bursts in ((base, [1.0, 2.0, 4.0]), (other, [2.0, 4.2, 7.6])):
        process.peer, process.variant, process.controls, process.disturbed = "x", "y", [1.0], 0
        process.bursts, process.found = bursts, {}
    row = driver.result(other, base)
    assert row["ratio"] == 2.0 and row["interval"] == [1.9, 2.1]
    assert json.loads(json.dumps(row)) == row


def test_timed_processes_see_the_same_threads_and_no_foreign_kernels(peers, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "512")
    environ = peers("__main__").surroundings(2)
    assert not {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"} & environ.keys()
    assert {environ[f"{name}_NUM_THREADS"] for name in ("OPENBLAS", "OMP", "MKL")} == {"2"}
