"""Runs read back: with the configuration of their checkpoint, a generator without data, no NaN."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from minigan.errors import CheckpointError, ConfigError, DataError, DivergedError, StorageError
from minigan.storage import checkpoint, files
from minigan.storage.directory import RunDirectory
from minigan.training.config import to_json
from minigan.training.data import read_data
from minigan.training.experiment import Experiment
from minigan.training.sampler import BLOCK
from minigan.training.saved import read_generator, reopen
from minigan.training.settings import resolve
from minigan.training.trainer import train

TINY = ("method=plain", "batch=8", "generator.widths=[5]", "discriminator.widths=[6]", "eval_samples=100",
        "eval_every=20", "steps=60", "checkpoint_keep=9", "checkpoint_seconds=0")  # fmt: skip
UNPLANNED = ("schedule.name=constant", "schedule.warmup=0", "average.name=none")


def made(root, *sets):
    """A trained run."""
    config = resolve(environ={}, sets=(*TINY, *sets))
    data = None if config.data is None else read_data(config.data)
    experiment = Experiment(config, data=data)
    with RunDirectory.create(root, "a", to_json(config)) as run:
        train(experiment, run)
    return run.path


def content(path):
    """What a file says: of arrays not the order in which its header names them."""
    if path.suffix == ".json":
        return path.read_bytes()
    return {name: array.tobytes() for name, array in checkpoint.load(path)[0].items()}


def longer(path, steps):
    """The run in ``path`` made longer; its notes."""
    resumed = reopen(path, lock=True, steps=steps)
    with resumed.run as run:
        train(resumed.experiment, run, resumed=resumed)
    return resumed.notes


def changed(path, to, **settings):
    """A copy whose config.json was edited."""
    shutil.copytree(path, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(config | settings))
    return to


def altered(path, **arrays):
    """Numbers of the newest checkpoint replaced, with the right digest."""
    newest = checkpoint.latest(RunDirectory.open(path))
    for name, value in arrays.items():
        newest.arrays[name].reshape(-1)[:1] = value
    checkpoint.save(newest.path, newest.arrays, newest.state)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return made(tmp_path_factory.mktemp("runs"), "dtype=float64")


# The configuration


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("seed", 4, "seed was 0, is 4"),
        ("objective", "minimax", "objective was 'non_saturating', is 'minimax'"),
        ("batch", 16, "batch was 8, is 16"),
        ("target", "normal(0, 1)", "target was 'normal(4, 1.25)', is 'normal(0, 1)'"),
        ("generator_optimizer", {"rate": 0.5}, "generator_optimizer.rate was"),
        ("steps", 59, "steps was 60, is 59"),
        ("eval_every", 30, "eval_every was 20, is 30"),
        ("dtype", "float32", "dtype was 'float64', is 'float32'"),
    ],
)
def test_a_configuration_that_is_not_the_checkpoints_is_refused(trained, tmp_path, name, value, said):
    path = changed(trained, tmp_path / "run", **{name: value})
    for read in (reopen, read_generator, lambda path: reopen(path, lock=True)):
        with pytest.raises(CheckpointError) as caught:
            read(path)
        assert said in str(caught.value) and "of step 60" in str(caught.value)
    assert json.loads((path / "config.json").read_text())[name] == value  # nothing was written


def test_what_no_result_depends_on_may_change(trained, tmp_path):
    path = changed(trained, tmp_path / "run", name="other", checkpoint_keep=3, checkpoint_seconds=7)
    assert reopen(path).experiment.step == read_generator(path).step == 60


def test_another_way_to_round_is_read_and_not_gone_on_with(trained, tmp_path):
    path = changed(trained, tmp_path / "run", threads=2)
    assert read_generator(path).step == 60
    (path / "run.json").write_text("{}")
    resumed = reopen(path, lock=True)
    with (
        resumed.run as run,
        pytest.raises(CheckpointError, match=r"threads '?1'? then, '?2'? now.*allow-drift"),
    ):
        train(resumed.experiment, run, resumed=resumed)


def test_a_checkpoint_of_an_older_version_knows_no_configuration(trained, tmp_path):
    path = changed(trained, tmp_path / "run", seed=4)
    for file in checkpoint.paths(RunDirectory.open(path)):
        arrays, state = checkpoint.load(file)
        for key in ("config", "lengths", "names", "best_step"):
            del state[key]
        del state["environment"]["device"]
        checkpoint.save(file, arrays, state)
    resumed = reopen(path, lock=True)
    with resumed.run as run:
        assert train(resumed.experiment, run, resumed=resumed).row["step"] == 60
    assert read_generator(path).step == 60


# A longer run


def same_end(a, b):
    ours, theirs = (checkpoint.latest(RunDirectory.open(path)) for path in (a, b))
    assert (a / "verdict.json").read_bytes() == (b / "verdict.json").read_bytes()
    assert ours.arrays.keys() == theirs.arrays.keys()
    return all(array.tobytes() == theirs.arrays[name].tobytes() for name, array in ours.arrays.items())


def test_a_longer_run_is_bitwise_the_long_one_where_nothing_depends_on_the_length(tmp_path):
    path, whole = (made(tmp_path / steps, *UNPLANNED, f"steps={steps}") for steps in ("40", "100"))
    (note,) = longer(path, 100)
    assert "had 40 steps, has 100 now" in note and "will be bitwise those" in note
    assert same_end(path, whole)
    assert (path / "config.json").read_bytes() == (whole / "config.json").read_bytes()
    rows, wanted = (RunDirectory.open(p).read_metrics().rows for p in (path, whole))
    assert [{**row, "seconds": 0} for row in rows] == [{**row, "seconds": 0} for row in wanted]
    assert reopen(path, lock=False).notes == ()  # said once, where it was made longer


@pytest.mark.parametrize(
    ("sets", "what"),
    [
        ((*UNPLANNED, "schedule.name=linear", "schedule.hold=0.5"), "learning rates"),
        ((*UNPLANNED, "average.name=ema", "average.start=0.5"), "average"),
    ],
)
def test_a_longer_run_says_that_it_is_not_the_long_one(tmp_path, sets, what):
    path = made(tmp_path, *sets)
    (note,) = longer(path, 100)
    assert f"from step 31 to 60 its {what} followed the shorter plan" in note and "not bitwise" in note
    (note,) = longer(path, 200)  # and remembers it
    assert "from step 31" in note and RunDirectory.open(path).read_metrics().rows[-1]["step"] == 200


def test_a_run_is_not_made_shorter(trained):
    with pytest.raises(ConfigError, match=r"longer than its 60 steps, received 59"):
        reopen(trained, lock=True, steps=59)
    with reopen(trained, lock=True, steps=60).run:
        assert reopen(trained).notes == ()


def test_a_refused_length_leaves_the_configuration(trained, tmp_path):
    path = changed(trained, tmp_path / "run")
    (path / "checkpoints" / "step-00000060.safetensors").write_bytes(b"torn")
    with pytest.raises(ConfigError, match="lines"):
        reopen(path, lock=True, steps=10**9)
    assert json.loads((path / "config.json").read_text())["steps"] == 60


# The generator alone


def test_a_generator_needs_no_data(tmp_path):
    rows = np.random.default_rng(0).normal(3, 2, (600, 2)) * [1, 1e-3]
    np.savetxt(tmp_path / "d.csv", rows, delimiter=",", header="height,mass", comments="")
    path = made(tmp_path / "runs", f"data={json.dumps(str(tmp_path / 'd.csv'))}")
    there = reopen(path).experiment.sample(50, 7)
    (tmp_path / "d.csv").unlink()
    found = read_generator(path)
    assert found.names == ("height", "mass") and found.sample(50, 7).tobytes() == there.tobytes()
    with pytest.raises(DataError, match="cannot be read"):
        reopen(path)


@pytest.mark.parametrize(
    "sets", [("dtype=float64",), ("latent.distribution=uniform", "observation_noise=0.1")]
)
def test_it_draws_what_the_experiment_draws(tmp_path, sets):
    path = made(tmp_path, *sets)
    assert (
        read_generator(path).sample(70_000, 3).tobytes()
        == reopen(path).experiment.sample(70_000, 3).tobytes()
    )


def test_a_generator_that_was_trained_on_a_gpu_is_sampled_without(trained, tmp_path, monkeypatch):
    from minigan.backend import BackendError, get

    def without_gpu(name):
        if name == "cupy":
            raise BackendError("there is no GPU")
        return get(name)

    monkeypatch.setattr("minigan.backend.get", without_gpu)
    found = read_generator(changed(trained, tmp_path / "run", backend="cupy"))
    assert len(found.notes) == 1 and "there is no GPU" in found.notes[0]
    assert found.sample(10).tobytes() == read_generator(trained).sample(10).tobytes()


# Numbers that are not finite


@pytest.mark.parametrize(
    "name", ["average.0.W", "discriminator.0.b", "generator_optimizer.m", "frames.q", "frames.d", "shift"]
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_checkpoint_with_a_number_that_is_not_finite_is_refused(trained, tmp_path, name, value):
    path = changed(trained, tmp_path / "run")
    altered(path, **{name: value})
    for read in (reopen, read_generator, lambda path: reopen(path, lock=True)):
        with pytest.raises(
            CheckpointError, match=rf"not finite, in '{name}'; the newest good .* \(--at \d+\)"
        ):
            read(path)


def test_rows_that_are_not_finite_are_refused_with_the_last_good_checkpoint(trained, tmp_path):
    path = changed(trained, tmp_path / "run")
    altered(path, **{"average.1.W": 1e308, "average.0.b": 1e308})
    with pytest.raises(
        DivergedError, match=r"not finite at step 60; the newest good .* step (\d+) \(--at \1\)"
    ):
        read_generator(path).sample(1000)
    for file in checkpoint.paths(RunDirectory.open(path))[:-1]:
        file.unlink()
    with pytest.raises(DivergedError, match="no good checkpoint before"):
        read_generator(path).sample(1000)


def test_of_a_run_that_diverged_a_checkpoint_has_to_be_named(tmp_path):
    config = resolve(environ={}, sets=(*TINY, "generator_optimizer.rate=1e30"))
    experiment = Experiment(config)
    with RunDirectory.create(tmp_path, "a", to_json(config)) as run, pytest.raises(DivergedError):
        train(experiment, run)
    for read in (reopen, read_generator):
        with pytest.raises(DivergedError, match=r"diverged at step 2; name one of .*: --at best or 0 or 1$"):
            read(run.path)
        read(run.path, at="best")
    assert np.isfinite(read_generator(run.path, "0").sample(10)).all()


def test_no_checkpoint_is_written_that_would_be_refused(tmp_path):
    """D's second moment overflows in float32 while all parameters and losses are finite."""
    config = resolve(environ={}, sets=(*TINY, "generator_optimizer.rate=1e10"))
    experiment = Experiment(config)
    overflown = r"discriminator_optimizer.v stopped being finite"
    with RunDirectory.create(tmp_path, "a", to_json(config)) as run:
        with pytest.raises(DivergedError, match=overflown):
            train(experiment, run)
        for path in checkpoint.paths(run):
            assert all(np.isfinite(array).all() for array in checkpoint.load(path)[0].values())


# A finished run


def test_a_finished_run_is_neither_judged_nor_timed_again(trained, tmp_path, monkeypatch):
    path = Path(shutil.copytree(trained, tmp_path / "run"))
    before = {
        file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != "log.txt"
    }
    monkeypatch.setattr("minigan.training.trainer.verdict", lambda *_: pytest.fail("judged again"))
    resumed = reopen(path, lock=True)
    assert "the run is finished" in resumed.notes[0]
    with resumed.run as run:
        outcome = train(resumed.experiment, run, resumed=resumed)
    assert {file: file.read_bytes() for file in before} == before
    assert outcome.seconds == json.loads((path / "run.json").read_text())["seconds"]
    assert outcome.verdict.sentence == json.loads((path / "verdict.json").read_text())["sentence"]
    assert outcome.row == RunDirectory.open(path).read_metrics().rows[-1]


@pytest.mark.parametrize("name", ["verdict.json", "frames.safetensors", "frames.safetensors, by NaN"])
def test_what_of_a_finished_run_is_gone_is_made_again(trained, tmp_path, name):
    path = Path(shutil.copytree(trained, tmp_path / "run"))
    name, _, how = name.partition(", ")
    before = content(path / name)
    if how:
        arrays, state = checkpoint.load(path / name)
        checkpoint.save(path / name, arrays | {"sample": arrays["sample"] * np.nan}, state)
    else:
        (path / name).write_bytes(b"torn")
    resumed = reopen(path, lock=True)
    with resumed.run as run:
        train(resumed.experiment, run, resumed=resumed)
    assert content(path / name) == before


def test_a_run_whose_process_is_gone_says_so_when_it_goes_on(trained, tmp_path):
    path = Path(shutil.copytree(trained, tmp_path / "run"))
    (path / "run.json").write_text('{"status": "running"}')
    resumed = reopen(path, lock=True)
    resumed.run.close()
    assert "its process is gone" in resumed.notes[0] and "from step 60" in resumed.notes[0]


@pytest.mark.parametrize("name", ["verdict.json", "frames.safetensors"])
@pytest.mark.parametrize("error", [StorageError("the disk is full"), KeyboardInterrupt()], ids=repr)
def test_what_breaks_the_judging_is_made_good_by_a_resume(trained, tmp_path, monkeypatch, name, error):
    path = Path(shutil.copytree(trained, tmp_path / "run"))
    wanted = content(path / name)
    (path / name).unlink()
    write = files.write_atomic

    def broken(target, content, **options):
        if target.name == name:
            raise error
        write(target, content, **options)

    monkeypatch.setattr(files, "write_atomic", broken)
    resumed = reopen(path, lock=True)
    with resumed.run as run, pytest.raises(type(error)):
        train(resumed.experiment, run, resumed=resumed)
    said = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    assert RunDirectory.open(path).read_status()["status"] == said
    monkeypatch.undo()
    resumed = reopen(path, lock=True)
    with resumed.run as run:
        train(resumed.experiment, run, resumed=resumed)
    assert content(path / name) == wanted
    assert RunDirectory.open(path).read_status()["status"] == "finished"


def test_a_best_that_is_gone_is_sought_anew(trained, tmp_path):
    path = Path(shutil.copytree(trained, tmp_path / "run"))
    checkpoint.find(RunDirectory.open(path), "best").path.unlink()
    assert reopen(path).experiment.step == 60
    notes = longer(path, 80)
    assert len(notes) == 1
    assert "the best is sought anew" in (path / "log.txt").read_text()
    assert checkpoint.find(RunDirectory.open(path), "best").state["step"] == 80


def test_a_sweep_is_not_a_run_and_says_how_it_goes_on(tmp_path):
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(DataError, match="directory of a sweep; name one of its runs, or .*sweep --resume"):
        reopen(tmp_path, lock=True)


@pytest.mark.parametrize("target", ["normal(4, 1.25)", "ring(8)"])
def test_the_first_of_many_rows_are_those_of_few(tmp_path, target, brief_judge):
    """Bit for bit: a product of matrices rounds a row as its number of rows wants it."""
    path = made(tmp_path, "steps=20", "generator.widths=[32, 32]", f"target={target}")
    generator = read_generator(path)
    many = generator.sample(3000, block=BLOCK)
    for count in (1, 7, 10, 1000, 1024, 1025):
        np.testing.assert_array_equal(generator.sample(count, block=BLOCK), many[:count])
    np.testing.assert_allclose(generator.sample(3000), many, rtol=1e-5)
