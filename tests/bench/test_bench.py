"""The benchmarks run in a tiny form, write only when asked, and measure what they say."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = (
    "method=plain",
    "generator.widths=[3]",
    "discriminator.widths=[3]",
    "batch=4",
    "steps=3",
    "eval_samples=100",
)


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """Import a module of bench/, which is not installed; afterwards no result may have been written."""
    monkeypatch.syspath_prepend(str(ROOT))
    for name in [name for name in os.environ if name.startswith("MINIGAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(importlib.import_module("bench.common"), "RESULTS", tmp_path / "results")
    yield lambda name: importlib.import_module(f"bench.{name}")
    assert not (tmp_path / "results").exists()


def lines(text):
    """The cells of the rows of a table."""
    return [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


def test_quality_prints_a_line_for_every_target_and_a_perfect_sampler(bench, capsys):
    quality = bench("quality")
    quality.main(["--seeds", "1", "--jobs", "1", *(part for s in TINY for part in ("--set", s))])
    rows = lines(capsys.readouterr().out)
    names = [row[0] for row in rows]
    assert names == ["", "normal(4, 1.25)", *quality.TARGETS, "a perfect sampler"]
    assert [row[1] for row in rows[1:]] == ["1"] * 15 + ["400"]
    column = rows[0].index("median KS")
    assert float(rows[1][column]) > float(rows[-1][column])  # three steps are no fit


def test_quality_of_chosen_lines_of_the_method(bench, capsys):
    sets = [part for s in TINY for part in ("--set", s)]
    bench("quality").main(["--ablation", "--only", "G tanh", "--seeds", "1", "--jobs", "1", *sets])
    assert [row[0] for row in lines(capsys.readouterr().out)] == ["", "G tanh", "a perfect sampler"]


def test_every_line_of_the_ablation_is_a_configuration(bench):
    from minigan.training.settings import resolve

    quality = bench("quality")
    configs = {
        name: resolve(environ={}, sets=(*quality.BASE, *sets)) for name, sets in quality.ABLATION.items()
    }
    assert len(set(configs.values())) == len(configs)
    assert configs["method=plain"] == resolve(environ={}, sets=("method=plain",))
    pieces = {name: resolve(environ={}, sets=sets) for name, sets in quality.PIECES.items()}
    assert len(set(pieces.values())) == len(pieces) and pieces["the method"] == resolve(environ={})


def test_a_replica_is_judged_as_the_single_run_is(bench):
    """The table speaks of `minigan train --seed S`: same samples, same KS, bit for bit."""
    from minigan.training.experiment import Experiment
    from minigan.training.metrics import verdict
    from minigan.training.settings import resolve

    rows = bench("quality").train_group((None, TINY, [4, 7]))[1]
    for seed, row in zip((4, 7), rows, strict=True):
        alone = Experiment(resolve(environ={}, sets=(*TINY, f"seed={seed}")))
        alone.advance(3)
        judged, _ = verdict(alone, 100)
        assert row[:3] == (seed, judged.ks.statistic, judged.ks.pvalue)


def test_a_diverged_seed_fails_and_spoils_no_other(bench):
    import numpy as np

    with np.errstate(all="ignore"):
        rows = bench("quality").train_group((None, (*TINY, "generator_optimizer.rate=1e38"), [0, 1]))[1]
    assert all(row[1:3] == (1.0, 0.0) for row in rows)
    summary = bench("quality").summary("x", rows)
    assert summary["passed"] == 0 and summary["interval"][0] == pytest.approx(0, abs=1e-12)


def test_a_perfect_sampler_passes_at_its_rate(bench):
    """400 tests at 5 %: 380 should pass; fewer than 350, or all, with a probability below 1e-6."""
    rows = bench("quality").perfect("normal(4, 1.25)", 200)
    passed = bench("quality").summary("perfect", rows)["passed"]
    assert 350 <= passed <= 399


def test_draws_prints_a_line_for_every_case(bench, capsys, monkeypatch):
    draws = bench("draws")
    some = {name: draws.CASES[name] for name in ("normal(4, 1.25)", "data, 12 000 rows of 4 features")}
    monkeypatch.setattr(draws, "CASES", some)
    draws.main(["--repeats", "1", "--blocks", "1"])
    header, *rows = lines(capsys.readouterr().out)
    assert tuple(header) == draws.HEADER and [row[0] for row in rows] == list(some)
    assert all(0 < float(cell) < 1 for row in rows for cell in row[5:])


def test_startup_times_every_command(bench, capsys, monkeypatch):
    startup = bench("startup")
    assert startup.seconds(["-c", "pass"]) > 0
    monkeypatch.setattr(startup, "seconds", lambda arguments: 0.5)
    monkeypatch.setattr(startup, "told", lambda code: 0.5)
    monkeypatch.setattr(startup, "compiled", lambda: dict(os.environ))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name, value in {"STEPS": "3", "EVAL_SAMPLES": "100", "BATCH": "4"}.items():
        monkeypatch.setenv(f"MINIGAN_{name}", value)
    startup.main(["--repeats", "1", "--runs", "1"])
    out = capsys.readouterr().out
    names = [row[0] for row in lines(out)]
    assert names[:-9] == ["", *startup.COMMANDS, *startup.RUN, *startup.CALLS]
    assert names[-9] == "parts of minigan train" and names[-1] == "all else"
    assert "import minigan beyond NumPy:" in out


def test_startup_without_runs_still_prints_the_rest(bench, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    startup = bench("startup")
    monkeypatch.setattr(startup, "seconds", lambda arguments: 0.5)
    monkeypatch.setattr(startup, "told", lambda code: 0.5)
    startup.main(["--repeats", "2", "--runs", "0"])
    names = [row[0] for row in lines(capsys.readouterr().out)]
    assert names == ["", *startup.COMMANDS, *startup.CALLS, "parts of minigan train"]


def test_sweeps_tells_what_a_run_costs_beside_its_steps(bench, capsys, monkeypatch):
    for name, value in {"BATCH": "4", "GENERATOR__WIDTHS": "[2]", "DISCRIMINATOR__WIDTHS": "[2]"}.items():
        monkeypatch.setenv(f"MINIGAN_{name}", value)
    monkeypatch.setattr(bench("sweeps"), "typed", lambda runs, size, folder: 0.5)
    bench("sweeps").main(["--runs", "2", "--eval-samples", "100", "200"])
    _, *rows = lines(capsys.readouterr().out)
    assert [row[0] for row in rows] == ["100", "200"] and all(float(ms) > 0 for row in rows for ms in row[1:])


def steps(*arguments):
    """Run bench_step.py as a process; its output."""
    pytest.importorskip("pytest_benchmark", reason="needs pytest-benchmark")
    command = [sys.executable, "-m", "pytest", "bench/bench_step.py", "-v", "-p", "no:cacheprovider"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout and "skipped" not in done.stdout
    return done.stdout


def test_steps_run_once_each():
    """At the small sizes; the others are the same functions."""
    small = "not 512x128 and not 2048x256 and not R64 and not R256 and not R1024"
    out = steps("--benchmark-disable", "-k", small)
    for name in (
        "control", "dispatch[tanh-NumPy]", "dispatch[matmul-engine, variable]", "round[64x16-eager]",
        "round[256x64-all passes]", "replicas[64x16-R16]", "replicas[128x32-R4]", "threads[256x64-2]",
    ):  # fmt: skip
        assert f"test_{name} PASSED" in out


def test_steps_say_what_one_costs(tmp_path):
    """Beside the seconds of a block: how many steps and replicas that is, and the microseconds of each."""
    path = tmp_path / "steps.json"
    chosen = "replicas and 64x16-R4 or round and 64x16-all"
    steps(f"--benchmark-json={path}", "--benchmark-max-time=0.001", "--benchmark-warmup=off", "-k", chosen)
    found = {b["name"]: b for b in json.loads(path.read_text())["benchmarks"]}
    expected = {"test_replicas[64x16-R4]": (16, 4), "test_round[64x16-all passes]": (64, 1)}
    assert found.keys() == expected.keys()
    for name, (count, replicas) in expected.items():
        seen = found[name]["extra_info"]
        assert (seen["batch"], seen["width"], seen["steps"], seen["replicas"]) == (64, 16, count, replicas)
        each = 1e6 * found[name]["stats"]["median"] / (count * replicas)
        assert seen["microseconds"] == pytest.approx(each)


@pytest.mark.parametrize("replicas", [None, 3])
def test_steps_of_every_kind_are_the_same_steps(bench, replicas):
    """From the same weights and inputs to the same weights: bit for bit unless sums are in another order."""
    import numpy as np

    import minigan as mg

    pytest.importorskip("pytest_benchmark", reason="needs pytest-benchmark")
    module = bench("bench_step")

    def after(run_of, *given, first=False):
        game, blocks = module.make_game(64, 16, replicas)
        run = run_of(game, blocks, *given)
        if first:  # that which capture runs
            game.round(mg.Batch(*(mg.constant(block[0]) for block in blocks)))
        run()
        return np.concatenate([p.parameters.flat.numpy() for p in (game.generator, game.discriminator)], -1)

    expected = after(module.eager, first=True)
    for how, passes in module.HOW.items():
        seen = after(module.captured, passes)
        if how == "all passes":
            np.testing.assert_allclose(seen, expected, atol=2e-4)  # in 65 steps of up to 1e-3
        else:
            np.testing.assert_array_equal(seen, expected)


def test_a_result_is_a_file_with_the_machine_that_measured_it(bench, tmp_path, monkeypatch):
    common = bench("common")
    monkeypatch.setattr(common, "RESULTS", tmp_path / "elsewhere")
    path = common.write("x", {"seconds": [1.0]})
    record = json.loads(path.read_text())
    assert (
        record["seconds"] == [1.0]
        and {"numpy", "cpu", "cores", "blas"} <= record["environment"].keys()
        and record["measured"]
    )


@pytest.mark.rows("successes", [0, 1, 47, 99, 100])
def test_intervals_are_those_of_wilson(bench, successes):
    from scipy.stats import binomtest

    expected = binomtest(successes, 100).proportion_ci(method="wilson")
    assert bench("common").wilson(successes, 100) == pytest.approx(tuple(expected), abs=1e-4)


def test_tables_are_markdown(bench):
    text = bench("common").table(("", "b"), [("long name", 1), ("x", "22")])
    assert text.splitlines() == [
        "|           | b  |",
        "|-----------|----|",
        "| long name | 1  |",
        "| x         | 22 |",
    ]


def test_native_code_is_timed_beside_c_by_hand(bench):
    module, ours, common = bench("native"), bench("peers.ours"), bench("peers.common")
    if ours.compiler() is None:
        pytest.skip("needs a C compiler")
    ways = {e: ours.Minigan(common.initial(3), 4, execution=e) for e in module.WAYS}
    row = module.measure("(4, 3)", ways, 1, 2)
    assert row["native / C"] is None and row["native / planned"] > 0
    assert module.cells(row)[1] == "–" and len(module.cells(row)) == len(module.HEADER)


def test_plans_without_some_passes_are_timed(bench):
    module, ours, common = bench("native"), bench("peers.ours"), bench("peers.common")
    weights, ways = common.initial(2), {}
    for way, names in {"planned": (), **module.FILES}.items():
        with module.without(names):
            ways[way] = ours.Minigan(weights, 4)
            ways[way].advance(2)
    lines = {way: len(task._program.plan) for way, task in ways.items()}
    assert lines["merge"] > lines["planned"] == lines["row_blocks"] < lines["products"]
    assert "without merge" in module.tabulate([module.measure("step", ways, 1, turns=2)])


def test_separation_has_a_column_for_each_way_to_train_g(bench, capsys):
    separation = bench("separation")
    tiny = ("generator.widths=[3]", "discriminator.widths=[3]", "batch=8", "steps=3")
    separation.main(["--seeds", "1", *(part for s in tiny for part in ("--set", s))])
    header, *rows = lines(capsys.readouterr().out)
    assert header == ["target", "method", "start", "fitted", "perfect D", "game"]
    assert [row[:2] for row in rows] == [[t, m] for t in separation.TARGETS for m in separation.METHODS]


def test_labels_of_the_figure_of_separation_are_apart(bench):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    separation, overlaps = bench("separation"), bench("pages").overlaps
    rows = [
        {"name": f"{t}, {m}", "target": t, "method": m, "curves": {"fitted": "2 0.01 0 -0.3 -2"}}
        for t in separation.TARGETS
        for m in separation.METHODS
    ]
    figure = separation.drawn(rows)
    canvas = FigureCanvasAgg(figure)
    assert not overlaps(canvas)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["−1", "−0.1", "0", "0.1", "1"]
    for axis in figure.axes:
        axis.set_yscale("symlog", linthresh=separation.LINEAR)  # with matplotlib's own ticks they are not
    assert overlaps(canvas)


def test_a_perfect_d_is_the_best_there_is(bench):
    """Where all real values lie at one point and all made ones at another it is a problem of two numbers."""
    import numpy as np
    from scipy.optimize import minimize

    slopes, D = bench("separation").perfect_slopes(np.zeros(4), np.full(4, 0.5), 0.1, 0.2)

    def loss(d):
        slope = 0.5 * (0.1 + 0.2) * ((d[1] - d[0]) / 0.5) ** 2
        return np.logaddexp(0, -d[0]) + np.logaddexp(0, d[1]) + slope

    real, made = minimize(loss, [0.0, 0.0]).x
    np.testing.assert_allclose(D, made, rtol=1e-4)
    np.testing.assert_allclose(slopes, (made - real) / 0.5, rtol=1e-4)
