"""Sweeps: plans that are read or refused, runs with the bits of each alone, restarts, tables and rates."""

import csv
import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from minigan import machine
from minigan.cli import main
from minigan.cli.progress import format_progress
from minigan.errors import BusyError, ConfigError, DataError, MiniganError
from minigan.storage import checkpoint, files
from minigan.storage.directory import RunDirectory
from minigan.storage.files import acquire
from minigan.sweeps import processes, programs, sweep, workers
from minigan.sweeps.processes import Processes, likely_count
from minigan.sweeps.sweep import Rate, conditions, create, is_done, load, read_sweep, run_path
from minigan.sweeps.workers import jobs, local, memory_of, run_sweep, usual_count
from minigan.training.config import to_json
from minigan.training.experiment import Ensemble, Experiment, structure
from minigan.training.settings import resolve
from minigan.training.signals import Interrupted
from minigan.training.trainer import Session, train

TINY = """
[set]
method = "plain"
steps = 60
eval_every = 30
eval_samples = 200
batch = 8
checkpoint_seconds = 0
generator = {widths = [5]}
discriminator = {widths = [6]}
"""
SMALL = TINY + '[vary]\nseed = "0:3"\nr1 = [0.1, 0.5]\n'


def plan(tmp_path, text, name="tiny.toml", sets=()):
    path = tmp_path / name
    path.write_text(text)
    return read_sweep(path, sets)


def swept(tmp_path, text=SMALL, **options):
    path = create(tmp_path / "sweeps", plan(tmp_path, text))
    found, failures = run_sweep(path, local(), **options)
    return path, found, failures


def metrics(path):
    return [{**json.loads(line), "seconds": 0} for line in (path / "metrics.jsonl").read_text().splitlines()]


def same_bits(a, b):
    assert metrics(a) == metrics(b)
    for name in ("verdict.json", "config.json"):
        assert (a / name).read_bytes() == (b / name).read_bytes()
    ours, theirs = (checkpoint.latest(RunDirectory.open(path)) for path in (a, b))
    picture = {
        name for name in theirs.arrays if name.startswith("frames.best_")
    }  # of a page, which none draws
    assert ours.path.name == theirs.path.name and ours.arrays.keys() == theirs.arrays.keys() - picture
    for name, array in ours.arrays.items():
        assert array.tobytes() == theirs.arrays[name].tobytes(), name


def alone(tmp_path, config):
    experiment = Experiment(config)
    with RunDirectory.create(tmp_path / "alone", config.name, to_json(config)) as run:
        train(experiment, run)
    return run.path


# ── the plan


def test_a_plan_is_every_combination_in_order(tmp_path):
    made = plan(tmp_path, SMALL + '"generator_optimizer.rate" = [1e-3]\n')
    assert made.name == "tiny" and made.varied == ("seed", "r1", "generator_optimizer.rate")
    assert [(s["seed"], s["r1"]) for s in made.settings] == [(n, r) for n in range(3) for r in (0.1, 0.5)]
    for config, own in zip(made.configs, made.settings, strict=True):
        assert (config.seed, config.r1, config.steps) == (own["seed"], own["r1"], 60)
        assert config.generator_optimizer.rate == 1e-3 and config.discriminator_optimizer.rate == 5e-3
    assert [config.name for config in made.configs] == [f"tiny-{k:04d}" for k in range(6)]


def test_preset_set_and_command_line_come_in_this_order(tmp_path):
    text = 'preset = "ring8"\nname = "mine"\n[set]\nbatch = 32\nsteps = 9\n[vary]\nseed = [4, 2]\n'
    made = plan(tmp_path, text, sets=["steps=7"])
    assert made.name == "mine" and [config.seed for config in made.configs] == [4, 2]
    (first, _) = made.configs
    assert first.target == "ring(8, 1, 0.01)" and (first.batch, first.steps) == (32, 7)


def test_lists_and_nested_tables_vary_too(tmp_path):
    text = TINY + "[vary]\nobjective = ['hinge', 'minimax']\n[vary.generator]\nwidths = [[3], [4, 4]]\n"
    made = plan(tmp_path, text)
    assert [(c.objective, c.generator.widths) for c in made.configs] == [
        ("hinge", (3,)), ("hinge", (4, 4)), ("minimax", (3,)), ("minimax", (4, 4)),
    ]  # fmt: skip


@pytest.mark.rows(
    ("text", "told"),
    [
        ("", "varies at least one setting"),
        ("[vary]\n", "varies at least one setting"),
        ("[vary]\nseed = 3\n", "vary.seed is a list of values, .* received 3"),
        ("[vary]\nseed = []\n", "vary.seed is a list"),
        ("[vary]\nseed = [1, 1]\n", "has a value twice"),
        ("[vary]\nseed = '5:5'\n", "from a number to a larger one, received '5:5'"),
        ("[vary]\nseed = '0:999999999'\n", "from a number to a larger one"),
        ("[vary]\nr1 = '0:5'\n", "vary.r1 is a list"),
        ("[vary]\nseed = '0:101'\nbatch = '2:102'\n", "10000 runs, received 2 settings and 10100 runs"),
        ("[vary]\nsede = [1]\n", "no setting 'sede'; did you mean 'seed'"),
        ("[vary]\nr1 = [0.1, -1]\n", "r1 must be .* received -1 from vary"),
        ("[set]\nbatch = 1\n[vary]\nseed = [1]\n", "batch must be .* from set"),
        ("seed = 3\n[vary]\nseed = [1]\n", "a sweep has no 'seed'; settings stand in its tables set"),
        ("preset = 'rnig8'\n[vary]\nseed = [1]\n", "no preset 'rnig8'"),
        ("preset = 3\n[vary]\nseed = [1]\n", "preset of a sweep is a name, received 3"),
        ("name = 3\n[vary]\nseed = [1]\n", "are text, received 3"),
        ("name = '../x'\n[vary]\nseed = [1]\n", "name must be"),
        ("set = 3\n[vary]\nseed = [1]\n", "set of a sweep is a table"),
        ("vary = 3\n", "vary of a sweep is a table"),
        ("success = 'good'\n[vary]\nseed = [1]\n", "success is one or more of"),
        ("success = 'kss < 0.1'\n[vary]\nseed = [1]\n", "no column 'kss'; did you mean 'ks'"),
        ("success = 'ks < 1 and pvalue > 0.1'\n[vary]\nseed = [1]\n", "column pvalue is called ks_p now"),
        ("[set.latent]\nlaw = 'one'\n[vary]\nseed = [1]\n", "latent.law is called latent.distribution now"),
        ("success = 'ks < 1.2.3'\n[vary]\nseed = [1]\n", "success is one or more of"),
        ("[set]\ndata = 'absent.csv'\n[vary]\nseed = [1]\n", "absent.csv"),
        ("[vary]\ntarget = ['normal(0,1)', 'nonsense(1)']\n", "target"),
        ("[vary\n", "not valid TOML"),
    ],
)
def test_a_file_that_is_no_plan_is_refused_with_a_sentence(tmp_path, text, told):
    with pytest.raises(MiniganError, match=told) as caught:
        plan(tmp_path, text)
    assert "\n" not in str(caught.value) and caught.value.exit_code in (2, 3)


def test_conditions_are_read():
    assert conditions("ks_p >= 0.05 and modes == 8") == [("ks_p", ">=", 0.05), ("modes", "==", 8)]
    for relation, holds in (
        ("<", (1, 0, 0)),
        ("<=", (1, 1, 0)),
        (">", (0, 0, 1)),
        (">=", (0, 1, 1)),
        ("==", (0, 1, 0)),
    ):
        assert [sweep.COMPARE[relation](value, 2.0) for value in (1, 2, 3)] == [bool(h) for h in holds]


def test_a_plan_comes_back_from_its_file(tmp_path):
    made = plan(tmp_path, SMALL)
    path = create(tmp_path / "sweeps", made)
    assert load(path) == made


def test_a_plan_of_before_is_read_with_the_names_of_now(tmp_path):
    success = 'success = "ks_p >= 0.05 and sd < 2"\n'
    made = plan(tmp_path, success + TINY + '[vary]\n"latent.distribution" = ["normal", "one"]\n')
    path = create(tmp_path / "sweeps", made)
    old = made.to_json().replace(b"ks_p", b"pvalue").replace(b"sd <", b"std <")
    old = old.replace(b"latent.distribution", b"latent.law").replace(b'"distribution":', b'"law":')
    assert old.count(b'"law"') == old.count(b'"latent.law"') == 2
    (path / "sweep.json").write_bytes(old)
    assert load(path) == made


@pytest.mark.rows(
    "content",
    [
        b"", b"[]", b"{}", b'{"schema": 2}', b"\xff", b"[" * 10_000,
        b'{"schema":1,"name":"a","success":"ks < 1","runs":[]}',
        b'{"schema":1,"name":"a","success":"ks < 1","runs":[3]}',
        b'{"schema":1,"name":"a","success":"ks < 1","runs":[{"settings":{"x":1},"config":{}}]}',
        b'{"schema":1,"name":"a","success":"ks < 1","runs":[{"settings":{"seed":1},"config":{"seed":-1}}]}',
        b'{"schema":1,"name":"a","success":"bad","runs":[{"settings":{"seed":1},"config":{}}]}',
    ],
)  # fmt: skip
def test_a_damaged_plan_is_refused(tmp_path, content):
    (tmp_path / "sweep.json").write_bytes(content)
    with pytest.raises((DataError, ConfigError)) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError):
        load(tmp_path / "nowhere")


# ── groups


def test_numbers_train_together_and_structure_apart(tmp_path):
    text = TINY + (
        "[vary]\nseed = [1, 2]\nr1 = [0.0, 0.1, 0.5]\nbatch = [8, 16]\n"
        "'discriminator_optimizer.rate' = [1e-3, 1e-2]\n"
    )
    made = plan(tmp_path, text)
    groups = jobs(made, range(len(made.configs)))
    assert sorted(number for group in groups for number in group) == list(range(24))
    assert sorted(map(len, groups)) == [4, 4, 8, 8]  # two batches; with and without R1
    for group in groups:
        assert len({structure(made.configs[n]) for n in group}) == 1


def test_a_large_group_is_split_among_workers_and_by_memory(tmp_path, monkeypatch):
    made = plan(tmp_path, TINY + '[vary]\nseed = "0:150"\n')
    assert [len(group) for group in jobs(made, range(150))] == [50] * 3
    assert [len(group) for group in jobs(made, range(150), 5)] == [30] * 5
    assert [len(group) for group in jobs(made, [3, 5, 7], 2)] == [2, 1]
    monkeypatch.setattr("minigan.machine.available_memory", lambda: 2**20)
    sizes = [len(group) for group in jobs(made, range(150))]
    assert sum(sizes) == 150 and max(sizes) < 30


@pytest.fixture(scope="module")
def imported():
    """What a first program imports is not counted."""
    for execution in ("planned", "native"):
        config = resolve(environ={}, sets=("batch=8", "latent.distribution=one", f"execution={execution}"))
        Ensemble.of_seeds(config, range(2)).advance(2)


@pytest.mark.parametrize(
    "sets",
    [
        (), ("dtype=float64", "batch=2000", "r1=0", "r2=0"), ("discriminator_steps=3", "instance_noise=0.1"),
        ("generator_steps=4", "latent.size=50"), ("unrolled=2",),
        ("target=ring(8,1,0.1)", "eval_samples=200000"),
        ("data=wide.csv", "latent.size=100", "wgan_gp=1"),
    ],
    ids=", ".join,
)  # fmt: skip
def test_runs_that_train_together_take_the_memory_that_was_estimated(tmp_path, monkeypatch, imported, sets):
    monkeypatch.chdir(tmp_path)
    np.savetxt("wide.csv", np.random.default_rng(0).standard_normal((600, 30)), delimiter=",")
    config = resolve(environ={}, sets=sets)
    data = sweep.data_of(config)
    tracemalloc.start()
    try:
        Ensemble.of_seeds(config, range(2), data=data).advance(1)
        taken = tracemalloc.get_traced_memory()[1] / 2
    finally:
        tracemalloc.stop()
    assert taken <= memory_of(config) <= 4 * taken


def test_groups_are_the_smaller_the_more_features_and_rows_to_judge_by_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr("minigan.machine.available_memory", lambda: 2**22)
    sizes = []
    for target, rows in (("normal(0,1)", 200), ("ring(8,1,0.1)", 200), ("ring(8,1,0.1)", 20_000)):
        text = TINY.replace("eval_samples = 200", f"target = '{target}'\neval_samples = {rows}")
        sizes.append(len(jobs(plan(tmp_path, text + '[vary]\nseed = "0:64"\n'), range(64))[0]))
    assert sizes[0] > sizes[1] > 2 * sizes[2] > 2


def test_runs_of_several_threads_train_alone(tmp_path):
    """Alone they share a run's rows among threads, which together they would not."""
    made = plan(tmp_path, TINY + "[vary]\nseed = [1, 2]\nthreads = [1, 2]\n")
    groups = jobs(made, range(4))
    assert sorted(map(len, groups)) == [1, 1, 2]
    assert {made.configs[n].threads for group in groups if len(group) == 1 for n in group} == {2}


# ── running


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    text = SMALL.replace(
        "[0.1, 0.5]", "[0.1, 0.5]\n'generator_optimizer.rate' = [1e-3, 5e-3]\nbatch = [8, 9]"
    )
    path, found, failures = swept(folder, text)
    return path, found, failures, load(path)


def test_every_run_has_the_bits_of_the_same_run_alone(done, tmp_path):
    path, found, failures, made = done
    assert failures == [] and found.missing == () and len(found.rows) == 24
    for number in range(0, 24, 5):
        same_bits(run_path(path, number), alone(tmp_path, made.configs[number]))


def test_the_table_is_the_same_in_every_form(done):
    path, found, _, made = done
    lines = [json.loads(line) for line in (path / "results.jsonl").read_text().splitlines()]
    assert lines == list(found.rows)
    with open(path / "results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [int(row["run"]) for row in table] == list(range(24))
    for row, line, own in zip(table, lines, made.settings, strict=True):
        assert {name: line[name] for name in made.varied} == own and line["status"] == "finished"
        assert float(row["ks"]) == line["ks"] and row["success"] == str(line["success"])
        verdict = json.loads((path / line["path"] / "verdict.json").read_text())
        assert line["ks"] == verdict["ks"]["statistic"] and line["ks_p"] == verdict["pvalue"]
        assert line["success"] == (verdict["pvalue"] >= 0.05)


def test_rates_are_of_runs_that_differ_in_the_seed_alone(done):
    from scipy.stats import binomtest

    path, found, _, _ = done
    assert len(found.rates) == 8 and all(
        rate.runs == 3 and "seed" not in rate.settings for rate in found.rates
    )
    for rate in found.rates:
        own = [row for row in found.rows if all(row[name] == rate.settings[name] for name in rate.settings)]
        assert rate.successes == sum(row["success"] for row in own)
        expected = binomtest(rate.successes, rate.runs).proportion_ci(method="wilson")
        assert (rate.low, rate.high) == pytest.approx(tuple(expected), abs=1e-4)
        assert rate.median_ks == np.median([row["ks"] for row in own])
    stored = json.loads((path / "rates.json").read_text())
    assert stored["success"] == "ks_p >= 0.05" and len(stored["rates"]) == 8


def test_a_finished_sweep_has_nothing_left_to_do(done):
    path, found, _, _ = done
    before = {file: file.stat().st_mtime_ns for file in (path / "runs").rglob("*") if file.is_file()}

    def own_workers(*_):
        raise AssertionError("a run is trained again")

    assert run_sweep(path, own_workers) == (found, [])
    assert before == {file: file.stat().st_mtime_ns for file in before}


def test_a_restart_runs_what_is_missing_and_nothing_else(done, tmp_path):
    path = tmp_path / "sweep"
    shutil.copytree(done[0], path)
    shutil.rmtree(run_path(path, 4))  # never begun
    (run_path(path, 7) / "config.json").unlink()  # killed while its directory was made
    asked = []

    def own_workers(where, groups, drift):
        asked.extend(groups)
        return local()(where, groups, drift)

    found, failures = run_sweep(path, own_workers)
    assert sorted(n for group in asked for n in group) == [4, 7] and failures == [] and not found.missing
    for number in (4, 7):
        same_bits(run_path(path, number), run_path(done[0], number))
    assert [r | {"seconds": 0} for r in found.rows] == [r | {"seconds": 0} for r in done[1].rows]


def interrupted_at(monkeypatch, step):
    """A signal comes when the runs have a checkpoint of this step."""
    save = checkpoint.save_step

    def saved(run, now, *rest, **more):
        path = save(run, now, *rest, **more)
        if now == step and run.path.name == "0002":
            signal.raise_signal(signal.SIGTERM)
        return path

    monkeypatch.setattr(checkpoint, "save_step", saved)


def test_an_interrupted_sweep_goes_on_from_the_step_that_all_have(tmp_path, monkeypatch):
    path = create(tmp_path / "sweeps", plan(tmp_path, SMALL))
    interrupted_at(monkeypatch, 15)
    with pytest.raises(Interrupted, match=f"--resume {path}") as caught:
        run_sweep(path, local())
    assert caught.value.exit_code == 143
    monkeypatch.undo()
    statuses = [json.loads((run_path(path, n) / "run.json").read_text())["status"] for n in range(6)]
    assert statuses == ["interrupted"] * 6
    # one is a step behind, as after a kill between two checkpoints, and one has a damaged file
    newest = checkpoint.paths(RunDirectory.open(run_path(path, 1)))[-1]
    newest.unlink()
    damaged = checkpoint.paths(RunDirectory.open(run_path(path, 3)))[-1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    went_on = []
    resume = Session.resume

    def noted(session, *rest):
        went_on.append(session.experiment.step)
        resume(session, *rest)

    monkeypatch.setattr(Session, "resume", noted)
    found, failures = run_sweep(path, local())
    assert failures == [] and not found.missing and len(set(went_on)) == 1 and 0 < went_on[0] < 15
    for number in (0, 1, 3):
        same_bits(run_path(path, number), alone(tmp_path, load(path).configs[number]))


def test_runs_that_share_no_checkpoint_begin_anew(tmp_path, monkeypatch):
    path = create(tmp_path / "sweeps", plan(tmp_path, SMALL))
    interrupted_at(monkeypatch, 15)
    with pytest.raises(Interrupted):
        run_sweep(path, local())
    monkeypatch.undo()
    for file in checkpoint.paths(RunDirectory.open(run_path(path, 5))):
        file.unlink()
    found, failures = run_sweep(path, local())
    assert failures == [] and not found.missing
    for number in (0, 5):
        same_bits(run_path(path, number), alone(tmp_path, load(path).configs[number]))


def test_a_run_that_diverges_is_a_result_and_stops_no_other(tmp_path):
    path, found, failures = swept(
        tmp_path, TINY + "[vary]\nseed = [0]\n'discriminator_optimizer.rate' = [1e-3, 1e37, 5e-3]\n"
    )
    assert failures == [] and not found.missing
    assert [row["status"] for row in found.rows] == ["finished", "diverged", "finished"]
    assert found.rows[1]["success"] is False and found.rows[1]["step"] < 60
    assert [rate.successes for rate in found.rates][1] == 0
    for number in (0, 2):
        same_bits(run_path(path, number), alone(tmp_path, load(path).configs[number]))
    run_sweep(path, lambda *_: pytest.fail("what diverged would diverge again"))


def test_all_may_diverge(tmp_path):
    _, found, failures = swept(
        tmp_path, TINY + "[vary]\nseed = [0, 1]\n'generator_optimizer.rate' = [1e38]\n"
    )
    assert failures == [] and not found.missing and {row["status"] for row in found.rows} == {"diverged"}
    (rate,) = found.rates
    assert (rate.successes, rate.share) == (0, 0.0)


def test_a_failure_is_told_and_not_tried_again_and_again(tmp_path, monkeypatch):
    path = create(tmp_path / "sweeps", plan(tmp_path, SMALL))
    with RunDirectory.create_at(run_path(path, 2), to_json(load(path).configs[2])):
        found, failures = run_sweep(path, local())
    assert len(failures) == 1 and "another process writes" in failures[0]
    assert 2 in found.missing and found.rows[2]["status"] == "missing"
    found, failures = run_sweep(path, local())
    assert failures == [] and not found.missing


@pytest.mark.parametrize("linked", [False, True])
def test_another_run_in_the_place_of_one_is_no_result(done, tmp_path, linked):
    path = shutil.copytree(done[0], tmp_path / "sweep")
    shutil.rmtree(run_path(path, 0))
    if linked:
        run_path(path, 0).symlink_to(run_path(path, 1).resolve())
    else:
        run_path(path, 1).rename(run_path(path, 0))
    with pytest.raises(DataError, match="0000.* holds another run than run 0 of the sweep; move it away"):
        run_sweep(path, local())


def test_a_sweep_has_one_driver(tmp_path):
    path = create(tmp_path / "sweeps", plan(tmp_path, SMALL))
    lock = acquire(path)
    try:
        with pytest.raises(BusyError):
            run_sweep(path, local())
    finally:
        lock.release()


def test_data_are_read_once_and_split_by_each_seed(tmp_path, monkeypatch, brief_judge):
    data = tmp_path / "table.csv"
    np.savetxt(data, np.random.default_rng(0).normal(size=(600, 2)), delimiter=",")
    reads = []
    import minigan.training.data as module

    read = module.read_data
    monkeypatch.setattr(module, "read_data", lambda *a, **k: reads.append(a) or read(*a, **k))
    text = TINY.replace("[set]", f"[set]\ndata = '{data}'") + '[vary]\nseed = "0:3"\n'
    path, found, failures = swept(tmp_path, text)
    assert failures == [] and not found.missing and len(reads) == 1
    for number in range(3):
        config = load(path).configs[number]
        experiment = Experiment(config, data=read(data))
        with RunDirectory.create(tmp_path / "alone", "x", to_json(config)) as run:
            train(experiment, run)
        same_bits(run_path(path, number), run.path)


def test_what_a_run_of_a_sweep_costs_besides_its_steps(tmp_path, monkeypatch):
    """No D is trained for a page that nobody draws, the machine is asked once, the plan is read once."""

    def never(*_, **__):
        raise AssertionError("a D is trained to the end")

    machine.version.cache_clear()
    path = create(tmp_path / "sweeps", plan(tmp_path, SMALL))
    asked, reads = [], []
    find, read = metadata.version, files.read_bounded
    monkeypatch.setattr(Experiment, "best_response", never)
    monkeypatch.setattr(metadata, "version", lambda name: asked.append(name) or find(name))
    monkeypatch.setattr(files, "read_bounded", lambda file, *a: reads.append(file.name) or read(file, *a))
    found, failures = run_sweep(path, local())
    assert failures == [] and not found.missing
    assert sorted(asked) == ["numpy", "scipy"] and reads.count("sweep.json") == 1
    _, state = checkpoint.load(run_path(path, 0) / "frames.safetensors")
    assert state == {"kind": "frames"}


def test_a_step_is_recorded_once_for_all_groups_of_one_structure(tmp_path, monkeypatch):
    """Nothing of a group is left for the next, its losses no more than its data; others record anew."""
    monkeypatch.setattr(workers, "TOGETHER", 3)
    monkeypatch.setattr(programs, "_IDLE", [])
    recorded, record = [], Ensemble._record

    def noted(ensemble, inputs):
        recorded.append(len(ensemble.experiments))
        record(ensemble, inputs)

    monkeypatch.setattr(Ensemble, "_record", noted)
    path, found, failures = swept(tmp_path, TINY + "r1 = 0.5\n[vary]\nseed = '0:11'\n")
    assert failures == [] and not found.missing and recorded == [3, 2]
    for number in (0, 4, 7):
        same_bits(run_path(path, number), alone(tmp_path, load(path).configs[number]))
    (idle,) = programs._IDLE
    assert idle.experiments == []


@pytest.mark.rows(
    ("ended", "steps", "says"),
    [
        (0, 0, "0 of 16 runs have ended, 0 % of all steps"),
        (9, 799, "9 of 16 runs have ended, 99 % of all steps"),
        (9, 800, "9 of 16 runs have ended, all steps are trained, the others are judged"),
        (16, 800, "16 of 16 runs have ended, 100 % of all steps"),
    ],
)
def test_progress_never_says_all_before_all_have_ended(ended, steps, says):
    assert format_progress(ended, 16, steps, 800) == says


@pytest.mark.rows(
    ("option", "meant"),
    [("--engine", "--workers"), ("--executor", "--workers"), ("--dask", "--workers"), ("--cores", "--jobs"),
     ("-j", "--jobs"), ("--resume-from", "--resume"), ("--seeds", "--set seed")],
)  # fmt: skip
def test_other_names_of_options_lead_to_the_right_one(option, meant, capsys):
    assert main(["sweep", "tiny.toml", option, "2"]) == 2
    assert f"did you mean {meant}" in capsys.readouterr().err


def test_success_may_be_more_than_a_p_value(tmp_path, brief_judge):
    text = 'success = "modes >= 3 and hq >= 0"\n' + TINY.replace("[set]", "[set]\ntarget = 'ring(3, 1, 0.5)'")
    _, found, _ = swept(tmp_path, text + "[vary]\nseed = [0, 1]\n")
    assert [row["success"] for row in found.rows] == [row["modes"] >= 3 for row in found.rows]
    _, found, _ = swept(tmp_path, 'success = "modes >= 0"\n' + TINY + "[vary]\nseed = [0]\n")
    assert (
        found.rows[0]["modes"] is None and found.rows[0]["success"] is False
    )  # a distribution without modes


# ── workers, figure, command line


def test_processes_give_the_same_bits(done, tmp_path):
    path = create(tmp_path, done[3])
    found, failures = run_sweep(path, local(2), 2)
    assert failures == [] and not found.missing
    for number in range(0, 24, 7):
        same_bits(run_path(path, number), run_path(done[0], number))


def test_many_runs_have_a_process_for_each_processor(tmp_path, monkeypatch):
    many, few = (plan(tmp_path, TINY + f'[vary]\nseed = "0:{count}"\n') for count in (64, 63))
    threads = plan(tmp_path, TINY + 'threads = 2\n[vary]\nseed = "0:64"\n')
    monkeypatch.setattr("minigan.machine.cores", lambda: 3)
    assert [usual_count(made) for made in (many, few, threads)] == [3, 1, 1]
    text = {"0:64": 3, "0:63": 0, "64:0": 0, "x": 0}
    for seeds, count in text.items():
        (tmp_path / "glance.toml").write_text(f'[vary]\nseed = "{seeds}"\n')
        assert likely_count(str(tmp_path / "glance.toml")) == count
    (tmp_path / "glance.toml").write_text('[vary]\nseed = "0:32"\nr1 = [0.1, 0.5]\n')
    assert likely_count(str(tmp_path / "glance.toml")) == 3
    for content in (b"[vary", b"\xff", b"vary = 3", b"[vary]\nseed = 3", b"[vary]\ngenerator = {widths = 3}"):
        (tmp_path / "glance.toml").write_bytes(content)
        assert likely_count(str(tmp_path / "glance.toml")) == 0
    assert likely_count(None) == likely_count(str(tmp_path)) == 0


ECHO = """
import json, sys
for line in sys.stdin:
    numbers = json.loads(line)["numbers"]
    if numbers == [1]:
        break
    print(json.dumps(f"had {numbers}" if numbers[0] else None), flush=True)
"""


def test_a_process_that_ends_is_replaced_and_its_job_is_missing(monkeypatch):
    begun = []

    def echo():
        pipes = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "bufsize": 0,
            "stderr": subprocess.DEVNULL,
        }
        begun.append(subprocess.Popen([sys.executable, "-S", "-c", ECHO], **pipes))
        return begun[-1]

    monkeypatch.setattr(processes, "_begun", echo)
    with Processes(1).begin() as workers:
        assert list(workers("anywhere", [[0, 7], [1], [2], [3, 4]], False)) == [None, "had [2]", "had [3, 4]"]
        assert len(begun) == 2 and not any(process.poll() is None for process in begun)
        workers.begin()
    assert len(begun) == 3 and begun[2].returncode == -signal.SIGKILL  # nobody had told it anything
    answers = Processes(2)("anywhere", [[2], [3]], False)
    assert next(answers).startswith("had")
    answers.close()  # as a second signal does
    assert len(begun) == 5 and all(process.wait(30) is not None for process in begun)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
def test_ctrl_c_does_not_reach_a_process_that_begins():
    with Processes(1).begin() as workers:
        (process,) = workers._idle
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        blocked = int(next(line for line in lines if line.startswith("SigBlk")).split()[1], 16)
    assert blocked >> (signal.SIGINT - 1) & 1
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_large_programs_are_made_of_fewer_runs_and_leave_no_few_over(tmp_path, monkeypatch):
    made = plan(tmp_path, TINY + '[vary]\nseed = "0:60"\n')
    each = memory_of(made.configs[0])
    for room, size in ((64, 60), (31, 30), (25, 20), (1, 1)):
        monkeypatch.setattr(workers, "ROOM", room * each)
        assert [len(job) for job in jobs(made, range(60))] == [size] * (60 // size)
    monkeypatch.setattr(workers, "ROOM", 7 * each)
    assert [len(job) for job in jobs(made, range(59))] == [7] * 8 + [3]  # a prime


def test_the_figure_shows_every_setting(done):
    from minigan.reports import sweep_figure

    _, found, _, made = done
    figure = sweep_figure.draw_sweep(made, found)
    shares, ks = figure.axes
    labels = [label.get_text() for label in shares.get_yticklabels()]
    assert len(labels) == 8 and all("generator_optimizer.rate" in label.replace("\n", "") for label in labels)
    assert shares.get_title(loc="left") == made.success and ks.get_xscale() == "log"
    (points,) = (line for line in shares.get_lines() if line.get_marker() == "o")
    assert sorted(points.get_xdata()) == sorted(rate.share for rate in found.rates)
    many = [Rate({"r1": k / 100}, 3, 1, 1 / 3, 0.1, 0.7, None) for k in range(99)]
    made = sweep.Sweep("many", made.configs[:1], ({"r1": 0.0},))
    figure = sweep_figure.draw_sweep(made, sweep.Results(found.rows[:1], tuple(many), (3,)))
    assert len(figure.axes[0].get_yticks()) == sweep_figure.SETTINGS
    assert "best 40 of 99 settings" in figure.get_suptitle() and "1 missing" in figure.get_suptitle()


def test_the_command_line_trains_a_sweep_and_goes_on_with_it(tmp_path, capsys):
    (tmp_path / "rates.toml").write_text(SMALL)
    assert main(["sweep", str(tmp_path / "rates.toml"), "--out", str(tmp_path / "out"), "--json"]) == 0
    told, err = capsys.readouterr()
    content = json.loads(told)
    assert (
        content["runs"] == content["finished"] == 6 and content["failed"] == 0 and len(content["rows"]) == 6
    )
    assert "6 runs, 360 steps in all" in err and all(math.isfinite(row["ks"]) for row in content["rows"])
    path = content["sweep"]
    assert (tmp_path / "out" / path.split("/")[-1] / "sweep.png").stat().st_size > 10_000
    shutil.rmtree(run_path(path, 3))
    assert main(["sweep", "--resume", path]) == 0
    out, _ = capsys.readouterr()
    assert "success: ks_p >= 0.05" in out and out.count("% to ") == 2 and is_done(path, 3)


def test_missing_runs_make_the_command_fail_with_the_way_on(tmp_path, capsys):
    path = create(tmp_path / "sweeps", plan(tmp_path, SMALL))
    with RunDirectory.create_at(run_path(path, 2), to_json(load(path).configs[2])):
        assert main(["sweep", "--resume", str(path), "-q"]) == 1
    _, err = capsys.readouterr()
    assert "runs are missing (0, 1, 2, 3, 4, 5)" in err and f"minigan sweep --resume {path}" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give a SWEEP.toml to begin with, or --resume"),
        (("a.toml", "--resume", "b"), "give a SWEEP.toml to begin with, or --resume"),
        (("--resume", "b", "--set", "steps=3"), "leave --set out"),
        (("a.toml", "--workers", "dask"), "belong together"),
        (("a.toml", "--scheduler", "tcp://127.0.0.1:1"), "belong together"),
        (("absent.toml",), "absent.toml"),
        (("a\0b.toml",), "embedded null"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_the_default_of_a_plan_is_the_default_experiment(tmp_path):
    (config,) = plan(tmp_path, "[vary]\nseed = [7]\n").configs
    assert config == resolve(environ={}, sets=["seed=7", "name=tiny-0000"])


def test_the_plan_in_the_docs_is_one(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    block = text.split("```toml\n")[1].split("```")[0]
    made = plan(tmp_path, block)
    assert len(made.configs) == 256 and made.varied == ("seed", "r1", "generator.widths")
    assert "trains the 256 runs" in text
    assert {len(group) for group in jobs(made, range(256))} <= {8, 16, 32, 64}


def test_a_name_that_no_file_can_have_is_refused(capsys):
    assert main(["sweep", "--resume", "a\0b"]) == 3
    assert "embedded null" in capsys.readouterr().err


def test_a_run_without_a_readable_configuration_is_given_it_again(done, tmp_path):
    """A power cut leaves files without content of what was not synced yet."""
    path = tmp_path / "sweep"
    shutil.copytree(done[0], path)
    for number, name in itertools.product((2, 5), ("config.json", "run.json")):
        (run_path(path, number) / name).write_bytes(b"")
    shutil.rmtree(run_path(path, 5) / "checkpoints")
    found, failures = run_sweep(path, local())
    assert failures == [] and not found.missing
    for number in (2, 5):
        same_bits(run_path(path, number), run_path(done[0], number))
