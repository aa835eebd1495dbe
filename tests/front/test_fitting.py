"""``mg.fit`` and what it returns: the command line's bits, everything a run can be asked, nothing on disk."""

import inspect
import json
import os
import pickle
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import minigan as mg
from minigan import cli
from minigan.errors import CheckpointError, ConfigError, DataError, DivergedError, UnavailableError
from minigan.front.fitting import fit
from minigan.front.frames import as_frame
from minigan.storage import checkpoint
from minigan.training.config import fields

TINY = {
    "generator": {"widths": [4]}, "discriminator__widths": (4,), "batch": 8, "steps": 6, "eval_every": 3,
    "eval_samples": np.int64(100), "method": "plain",
}  # fmt: skip
SETS = (
    "method=plain",
    "generator.widths=4", "discriminator.widths=4", "batch=8", "steps=6", "eval_every=3", "eval_samples=100",
)  # fmt: skip
TARGET = "normal(4, 1.25)"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, brief_judge):
    """Each test in an empty directory, without outside settings or the second of drawing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minigan.front.figures.save_overview", lambda run: (run.plots / "a.png").touch())
    for name in [name for name in os.environ if name.startswith("MINIGAN_")]:
        monkeypatch.delenv(name)
    return tmp_path


def train(*arguments):
    """The only run that a command line makes below runs/."""
    assert cli.main(["-q", "train", *arguments, *(part for text in SETS for part in ("--set", text))]) == 0
    (path,) = Path("runs").iterdir()
    return path


def rows_of(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": 0} for line in lines]


@pytest.fixture(scope="module")
def run():
    """A finished run in memory, not to be changed."""
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("MINIGAN_")]:
            patched.delenv(name)
        return fit(TARGET, seed=1, **TINY)


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(60, 2)) * [1, 5] + [0, 10]


def test_fit_has_the_bits_of_the_command_line_and_leaves_no_file(place, capsys):
    here = fit("normal(4,1.25)", seed=3, **TINY)
    assert list(place.iterdir()) == [] and capsys.readouterr() == ("", "")
    path = train("--target", "normal(4,1.25)", "--seed", "3")
    there = mg.load(path)
    assert here.config == there.config and here.path is None and there.path == path
    for name, array in checkpoint.latest(there.directory).arrays.items():
        assert array.tobytes() == here.directory.moments[6][0][name].tobytes(), name
    assert [{**row, "seconds": 0} for row in here.directory.read_metrics().rows] == rows_of(path)
    assert here.verdict.as_dict() == json.loads((path / "verdict.json").read_text())
    with threadpool_limits(4):
        kept = here.save(place / "kept")  # with the threads that trained it
    assert mg.load(kept).directory.read_status()["blas"] == there.directory.read_status()["blas"]
    capsys.readouterr()
    assert cli.main(["-q", "sample", str(path), "-n", "7", "--index", "2"]) == 0
    printed = np.array([[float(line)] for line in capsys.readouterr().out.splitlines()[1:]])
    assert (here.sample(7, seed=2) == printed).all() and (there.sample(7, seed=2) == printed).all()
    assert here.sample(3).shape == (3, 1) and (here.sample(3) == here.sample(7)[:3]).all()


def test_data_have_the_bits_of_their_file(place, rows):
    np.save("rows.npy", rows)
    path = train("--data", "rows.npy")
    for what in (rows, rows.tolist(), Path("rows.npy")):
        run = fit(what, **TINY)
        for name, array in checkpoint.latest(mg.load(path).directory).arrays.items():
            assert array.tobytes() == run.directory.moments[6][0][name].tobytes(), name
    single = fit(rows.astype("float32").tolist(), **TINY)
    assert single.sample(2).tobytes() == fit(rows.astype("float32"), **TINY).sample(2).tobytes()
    assert sorted(file.name for file in place.iterdir()) == ["rows.npy", "runs"]


@pytest.mark.rows(
    ("what", "settings", "target", "start"),
    [
        (None, {}, TARGET, None),
        ("peaked", {}, "laplace(0, 1)", "peaked"),
        ("peaked", {"target": "normal(0, 1)"}, "normal(0, 1)", "peaked"),
        ("student", {}, "student(40)", "student"),
        ("student(7)", {}, "student(7)", None),
        (mg.Laplace(0.1, 2.0), {}, "laplace(0.1, 2)", None),
        (None, {"target": mg.Normal(1, 2)}, "normal(1, 2)", None),
        ("own.toml", {}, "uniform(0, 1)", None),
        (Path("own.toml"), {}, "uniform(0, 1)", None),
        ("normal(0, 1)", {"preset": "hinge"}, "normal(0, 1)", "hinge"),
    ],
)
def test_what_is_meant_is_found_out(place, what, settings, target, start):
    from minigan.front.configuration import request_of

    (place / "own.toml").write_text('target = "uniform(0, 1)"\n')
    preset = settings.pop("preset", None) if "preset" in (settings := dict(settings)) else None
    request = request_of(what, preset, settings)
    assert request.config.target == target and request.data is None
    assert (
        (start in request.origins.values()) or f"preset {start}" in request.origins.values() or start is None
    )


def test_a_file_of_numbers_is_data_and_a_preset_of_data_can_have_a_target(place):
    from minigan.front.configuration import request_of

    (place / "peaked").write_text("1\n2\n4\n")
    assert request_of("peaked", None, {}).config.name == "peaked"  # the preset
    with pytest.raises(DataError, match="has the ending ''"):
        request_of(Path("peaked"), None, {})
    assert request_of("galaxies", None, {"target": TARGET}).config.data is None
    for own in (
        request_of([1.0, 2.0, 4.0], "galaxies", {"columns": [0]}),
        request_of(None, "galaxies", {"data": [1.0, 2.0, 4.0]}),
    ):
        assert own.config.data == "list" and own.data.values.tolist() == [[1], [2], [4]] and own.ours


@pytest.mark.rows(
    ("arguments", "settings", "error", "said"),
    [
        (("norml(0, 1)",), {}, ConfigError, "did you mean"),
        (
            (TARGET,),
            {"target": TARGET},
            ConfigError,
            "one target or data, received the first argument, target",
        ),
        ((), {"batches": 3}, ConfigError, "did you mean 'batch'"),
        ((), {"batch": "x"}, ConfigError, "received 'x' from the argument batch"),
        ((), {"generator__widths": [0]}, ConfigError, "from the argument generator__widths"),
        ((), {"preset": "normal(0, 1)"}, ConfigError, "preset is a preset or a configuration file"),
        (("ring8",), {"preset": "ring8"}, ConfigError, "begins with one preset"),
        (("absent.csv",), {}, DataError, "cannot be read"),
        ((".",), {}, DataError, "is a directory"),
        (([1.0, None],), {}, DataError, "drop_nonfinite=True"),
        (([1.0, 2.0],), {"header": True}, ConfigError, "no file"),
        ((mg.MultivariateNormal([0, 0], [[1, 0], [0, 1]]),), {}, ConfigError, "give draws of it as data"),
        ((object(),), {}, DataError, "is no table"),
        ((TARGET,), {"on_evaluation": "stop"}, ConfigError, "a function of a row"),
        (("gausian",), {}, ConfigError, "did you mean the preset 'gaussian'"),
        (("",), {}, ConfigError, "expected the name of a distribution"),
        ((TARGET,), {"progress": "yes"}, ConfigError, "progress is True, False or None"),
        ((TARGET,), {"directory": 3}, ConfigError, "directory is a path, received 3"),
        ((TARGET,), {"data": [1.0, 2.0]}, ConfigError, "received the first argument, data"),
        ((TARGET,), {"device": "tpu"}, ConfigError, "device is one of"),
    ],
)
def test_what_is_refused_is_said_in_a_sentence(place, arguments, settings, error, said):
    with pytest.raises(error) as caught:
        fit(*arguments, **{**TINY, **settings})
    assert said in str(caught.value) and "\n" not in str(caught.value) and list(place.iterdir()) == []


def test_a_device_is_what_the_option_means(place):
    from minigan.front.configuration import request_of

    config = request_of(mg.Empirical(np.arange(9.0)), None, {"device": "cpu", "lr": 0.01}).config
    assert (config.backend, config.execution, config.generator_optimizer.rate) == ("numpy", "auto", 0.01)
    with pytest.raises(ConfigError, match="execution"):
        request_of(TARGET, None, {"execution": "cuda"})


def test_a_run_can_be_asked(run):
    assert repr(run).startswith("<Run of normal(4, 1.25), seed 1: finished at step 6 of 6; ")
    assert (run.status, run.step, run.names, run.path) == ("finished", 6, ("x",), None)
    assert run.settings["generator.widths"] == (4,) and run.verdict.rows and run.findings == ()
    metrics = run.metrics
    assert metrics["step"].tolist() == [0, 1, 3, 6] and metrics["ks"].dtype == float and len(metrics) > 20
    assert np.isnan(metrics["d_loss"][0]) and "ks" in metrics and "evaluations up to step 6" in repr(metrics)
    with pytest.raises(KeyError, match="did you mean 'ks'"):
        metrics["kss"]
    made = np.sort(run.sample(5_000)[:, 0])
    density, cdf = run.density(made.reshape(50, 100)), run.cdf(made)
    assert density.shape == (50, 100) and (np.diff(cdf) >= 0).all()
    assert np.abs((np.arange(5000) + 0.5) / 5000 - cdf).max() < 0.038  # KS, p < 1e-6
    slopes = (run.cdf(made + 1e-9) - run.cdf(made - 1e-9)) / 2e-9  # within a piece, as nearly all are
    assert np.median(np.abs(slopes / density.ravel() - 1)) < 1e-4 and run.density(-1e9) == 0 == run.cdf(-1e9)
    assert -0.01 < run.score(made) <= 0 and run.score(made + 1) < -0.1 and run.score(made) == run.score(made)
    told = run.discriminator([4.0, 5.0])
    assert told.shape == (2,) and ((told > 0) & (told < 1)).all()
    experiment = run._opened()
    expected = experiment.game.objective.probability(experiment.logits(np.array([[4.0], [5.0]])))
    assert (told == expected[:, 0]).all()


def test_density_and_cdf_are_functions_of_each_point_alone(run):
    x = np.sort(run.sample(50)[:, 0])
    mixed = np.concatenate([[np.inf], x[::-1], [np.nan, 1e300, -np.inf, x[7], -1e300]])
    for function, below, above in ((run.cdf, 0, 1), (run.density, 0, 0)):
        expected = np.concatenate([[above], function(x)[::-1], [np.nan, above, below, function(x[7]), below]])
        np.testing.assert_allclose(function(mixed), expected, atol=1e-9)
    for bad in (None, "4", np.array(["2020"], "M8[Y]"), [1j]):
        with pytest.raises(DataError):
            run.density(bad)


def test_a_score_is_by_rows_that_no_sample_has(run):
    assert all(run.score(run.sample(2000, seed=seed)) < 0 for seed in (0, 1))


def test_what_is_asked_wrongly_is_refused_in_a_sentence(run, place):
    path, bad = run.save("kept"), (0, -1, 1.5, "x", True)
    asked = [lambda n=n: run.judge(n) for n in (1, *bad)] + [lambda k=k: run.judge(draw=k) for k in bad[1:]]
    asked += [lambda: run.resume(9, on_evaluation="x"), lambda: run.resume(9, progress="x")]
    asked += [lambda: run.frame(library=[1]), lambda: fit(device=["cpu"]), lambda: run.plot(["losses"])]
    asked += [lambda: run.plot("losses", ax=3), lambda: mg.load(path, at=None), lambda: mg.load(path, at=1.5)]
    for ask in asked:
        with pytest.raises(ConfigError):
            ask()
    assert run.step == 6 and mg.load(path, at=np.int64(6)).step == 6
    for no_data in (lambda: fit(run), lambda: mg.eval(run, TARGET)):
        with pytest.raises(DataError, match="run.verdict"):
            no_data()
    with pytest.raises(ConfigError, match="give its target, 'ring"):
        mg.eval([[1.0, 2.0]], "ring8")
    for at in ("bset", 5):
        with pytest.raises(CheckpointError, match="it has latest, best"):
            mg.load(path, at=at)


def test_what_a_generator_does_not_allow_is_refused(run, rows):
    plane = fit(rows, **TINY)
    for refused in (plane, fit(TARGET, latent={"size": 2}, **TINY), fit("dirac-gan", **TINY)):
        with pytest.raises(ConfigError, match="one latent number makes one feature, and .* use sample"):
            refused.density([0.0])
    assert -10 < plane.score(rows) < 0 and plane.discriminator(rows).shape == (60,)
    for bad in ([[1.0, 2.0]], [np.nan], []):
        with pytest.raises(DataError):
            run.discriminator(bad)
        with pytest.raises(DataError):
            run.score(bad or [1.0])
    with pytest.raises(DataError):
        run.cdf(["x"])
    for n, seed in ((0, 0), (2.5, 0), (5, -1), (10**15, 0)):
        with pytest.raises(ConfigError):
            run.sample(n, seed=seed)


def test_a_run_goes_on_with_the_bits_of_one_that_never_stopped(place):
    straight = fit(TARGET, **{**TINY, "steps": 12}, schedule__name="constant", average__name="none")
    seen = []

    def stop(row):
        seen.append(row["step"])
        row.clear()  # it is a copy
        return "stop" if seen[-1] == 3 else "go on"

    first = fit(
        TARGET, **{**TINY, "steps": 12}, schedule__name="constant", average__name="none", on_evaluation=stop
    )
    assert seen == [0, 1, 3] and (first.step, first.status) == (3, "finished") and first.verdict.rows
    assert (
        first.resume() is first and first.step == 12 and first.metrics["step"].tolist() == [0, 1, 3, 6, 9, 12]
    )
    assert first.sample(9).tobytes() == straight.sample(9).tobytes() and first.verdict == straight.verdict
    again = fit(TARGET, **TINY, schedule__name="constant", average__name="none").resume(12)
    assert again.sample(9).tobytes() == straight.sample(9).tobytes()
    assert again.resume(15).step == 15
    for steps, said in ((3, "longer than its 15 steps"), ("x", "an integer")):
        with pytest.raises(ConfigError, match=said):
            again.resume(steps)
    assert fit(TARGET, **TINY, on_evaluation=lambda row: "stop").step == 0 and list(place.iterdir()) == []


def test_a_directory_that_holds_its_data_can_be_moved(place, rows):
    for k, table in enumerate((rows, dict(zip(("#a", "b"), rows.T, strict=True)))):
        made = fit(table, **TINY)
        made.save(f"first{k}").rename(f"moved{k}")
        there = mg.load(f"moved{k}")
        assert there.judge().as_dict() == made.verdict.as_dict() and there.plot("losses").lines
        assert there.resume(9).names == made.names and Path(there.config.data).parent == place / f"moved{k}"


def test_a_saved_run_is_a_run_of_the_command_line(place, run, rows, capsys):
    path = run.save("kept")
    assert (
        path == Path("kept") and mg.load(path).verdict == run.verdict and mg.load(path).status == "finished"
    )
    assert (mg.load(path).sample(5) == run.sample(5)).all() and (path / "plots/a.png").exists()
    assert mg.load(path).metrics["ks"].tolist() == run.metrics["ks"].tolist()
    assert cli.main(["-q", "train", "--resume", str(path), "--steps", "9"]) == 0
    assert mg.load(path).step == 9 and mg.load(path, at=6).sample(5).tobytes() == run.sample(5).tobytes()
    with pytest.raises(mg.MiniganError, match="cannot be written: File exists"):
        run.save(path)
    loaded = mg.load(path)
    assert loaded.notes == () and len(list(loaded.densities())) == len(loaded.metrics["step"])
    assert "laplace" not in repr(loaded) and "in kept>" in repr(loaded) and loaded.plot("losses").lines
    copy = loaded.save("copy")
    assert (mg.load(copy).resume(12).sample(3) == mg.load(path).resume(12).sample(3)).all()
    shutil.rmtree(Path(copy, "checkpoints"))
    assert "no checkpoint can be read" in repr(mg.load(copy)) and mg.load(path, at="best").verdict.rows
    with pytest.raises(ValueError, match="not trained here"):
        _ = loaded.ended
    with pytest.raises(ConfigError, match="newest checkpoint"):
        mg.load(path, at="best").resume()
    with pytest.raises(CheckpointError, match="no checkpoint '7'"):
        mg.load(path, at=7).sample(1)


@pytest.mark.parametrize("named", [False, True])
def test_data_from_memory_are_kept_with_the_run(place, rows, named):
    odd = np.concatenate([rows, [[-0.0, 1e-300], [1 / 3, 0.1 + 0.2]]])
    table = {"2024": odd[:, 0], 'a "b", c': odd[:, 1]} if named else odd
    memory, disk = fit(table, **TINY), fit(table, directory="runs", **TINY)
    names = ("2024", 'a "b", c') if named else ("x0", "x1")
    saved = mg.load(memory.save("kept"))
    for each in (memory, disk, saved, mg.load(disk.path)):
        assert each.names == names and (each.sample(4) == memory.sample(4)).all()
    assert saved.judge() == memory.verdict and saved.resume(9).names == names
    assert mg.load(disk.path).resume(9).sample(4).tobytes() == memory.resume(9).sample(4).tobytes()
    assert (disk.path / ("data.csv" if named else "data.npy")).exists()
    (disk.path / "verdict.json").unlink()
    assert mg.load(disk.path).verdict.rows


def test_what_stops_a_run_keeps_it(place):
    def interrupt(row):
        if row["step"] == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(mg.Interrupted) as stopped:
        fit(TARGET, on_evaluation=interrupt, **TINY)
    run = stopped.value.run
    assert isinstance(stopped.value, KeyboardInterrupt) and not isinstance(stopped.value, Exception)
    assert "Run.resume()" in str(stopped.value) and (run.status, run.step) == ("interrupted", 1)
    assert run.sample(2).shape == (2, 1) and run.verdict.rows and "interrupted at step 1 of 6" in repr(run)
    with pytest.raises(DataError, match="a finished run"):
        run.plot()
    assert run.resume().sample(5).tobytes() == fit(TARGET, **TINY).sample(5).tobytes()
    with pytest.raises(DivergedError, match="smaller rates.*Run.resume") as diverged:
        fit(TARGET, lr=1e38, **TINY)
    assert diverged.value.run.status == "diverged" and len(diverged.value.run.metrics["step"])
    for step in (0, 3):  # what was trained outlives a mistake in the caller's function
        with pytest.raises(ZeroDivisionError) as mistaken:
            fit(TARGET, on_evaluation=lambda row, step=step: 1 // (row["step"] - step), **TINY)
        run = mistaken.value.run
        assert (run.status, run.step) == ("interrupted", step)
        assert run.resume().sample(5).tobytes() == fit(TARGET, **TINY).sample(5).tobytes()
    assert list(place.iterdir()) == []


def test_a_run_can_be_copied_and_sent_to_another_process(run, rows):
    for each in (run, fit(rows, **TINY)):
        there = pickle.loads(pickle.dumps(each))
        assert (there.sample(4) == each.sample(4)).all() and there.resume(9).step == 9 and each.step == 6
    assert pickle.loads(pickle.dumps(run)).judge().as_dict() == run.verdict.as_dict()


def test_columns_and_rows_become_data_frames_where_libraries_are(run, monkeypatch):
    monkeypatch.setattr("minigan.front.frames.find_spec", lambda name: None)
    for ask in (run.metrics.to_pandas, lambda: run.frame(2)):
        with pytest.raises(UnavailableError, match="pip install pandas"):
            ask()
    with pytest.raises(ConfigError, match="one of pandas, polars, received 'excel'"):
        run.frame(2, library="excel")
    monkeypatch.setattr("minigan.front.frames.find_spec", lambda name: True)
    for name in ("pandas", "polars"):
        library = SimpleNamespace(DataFrame=lambda *given, **how: (given, how))
        monkeypatch.setitem(sys.modules, name, library)
        ((rows,), how) = run.frame(2, library=name)
        assert (rows == run.sample(2)).all() and ["x"] in how.values()
    assert list(run.metrics.to_pandas()[0][0]) == list(run.metrics)
    assert as_frame("pandas", np.ones((1, 2)), ("a", "a"))
    with pytest.raises(ConfigError, match="different names"):
        as_frame("polars", np.ones((1, 2)), ("a", "a"))


def test_names_go_in_and_come_out(rows):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows, columns=["b", "a"])
    each = fit(frame, **TINY)
    assert list(each.frame(3).columns) == ["b", "a"] == list(each.names)
    assert (each.discriminator(frame[["a", "b"]]) == each.discriminator(frame)).all()  # by name
    assert each.score(frame[["a", "b"]]) == each.score(rows)
    assert fit(frame, columns=frame.columns[:1], **TINY).names == ("b",)
    assert each.metrics.to_pandas()["ks"].tolist() == each.metrics["ks"].tolist()
    with pytest.raises(DataError, match=r"'c'.*text.*columns=\['b', 'a'\]"):
        fit(frame.assign(c="x"), **TINY)


def test_a_run_is_drawn(place, run, rows):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    page = run.plot()
    assert isinstance(page, Figure) and page._repr_png_().startswith(b"\x89PNG")
    ax = Figure().add_subplot()
    assert run.plot("losses", ax=ax) is ax and ax.lines
    plane = fit(rows, **TINY)
    for each, names in (
        (run, ("densities", "distance", "quantiles", "verdict")),
        (plane, ("scatter", "losses")),
    ):
        assert all(isinstance(each.plot(name), Axes) for name in names)
    with pytest.raises(ConfigError, match="no panel 'loss' of this run; did you mean 'losses'"):
        run.plot("loss")
    with pytest.raises(ConfigError, match="axes of its own"):
        run.plot(ax=ax)


def test_progress_is_for_people(place, capsys, monkeypatch):
    fit(TARGET, progress=True, **TINY)
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Learning normal(4, 1.25)") and "step      6" in err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fit(TARGET, **TINY)
    assert "Learning" in capsys.readouterr().err
    fit(TARGET, progress=False, **TINY)
    assert capsys.readouterr() == ("", "")


def test_the_command_line_has_no_setting_of_its_own():
    """What an option of `train` says, fit takes under its name, or is a setting, or belongs to a terminal."""
    terminal = set("out fast_dev_run resume allow_drift require_ks print_config as_json".split())
    terminal |= {"sets", "tensorboard"}  # any setting; an on_evaluation
    signature = inspect.signature(fit).parameters
    assert {"allow_drift", "steps", "detect_anomaly"} <= set(inspect.signature(mg.Run.resume).parameters)
    for option in cli.train.train.params:
        name = {"source": "preset"}.get(option.name, option.name)
        known = name in signature or name in fields() or name in ("lr", "device")
        assert known or name in terminal, name
        assert name in terminal or name in inspect.getdoc(fit) or name in fields()
    ours = {  # of other commands: what their options are called here
        cli.sample.sample: ((mg.load, mg.Run.draw), {"run": "path", "output": None}),
        cli.evaluation.evaluate: (
            (mg.load, mg.Run.judge, mg.eval),
            {"subject": "samples", "target": "target_or_data", "data": "target_or_data", "count": "n",
             "draws": "draw", "require_ks": None, "as_json": None},
        ),
    }  # fmt: skip
    for command, (functions, names) in ours.items():
        taken = {name for function in functions for name in inspect.signature(function).parameters}
        assert {names.get(option.name, option.name) for option in command.params} - {None} <= taken
    for name, field in fields().items():
        from minigan.front.configuration import settings_in

        ((source, layer),) = settings_in({name.replace(".", "__"): field.default})
        assert source == f"the argument {name.replace('.', '__')}" and layer


def test_native_code_of_a_run_in_memory_leaves_no_file(place, monkeypatch):
    kept = place / "cache"
    monkeypatch.setattr("minigan.compiler.c_compiler.folder", lambda: kept)
    run = fit(TARGET, **TINY, execution="native")
    assert run.directory.read_status()["executed"] == "native" and not list(place.iterdir())
    run.resume(8)
    assert not list(place.iterdir())
    fit(TARGET, **TINY, execution="native", directory="runs")
    assert len(list(kept.iterdir())) == 1
