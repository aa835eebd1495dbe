"""The command line: exit codes, streams, one JSON object, one sentence per error, nothing half written."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

import minigan
from minigan import cli
from minigan.errors import UnavailableError
from minigan.storage.directory import RunDirectory
from minigan.training.config import fields, resolve

COMMANDS = ("train", "sweep", "sample", "eval", "compare", "inspect", "export", "presets", "gradcheck",
            "graph", "explain", "bench", "doctor", "schema", "completion")  # fmt: skip
CODES = {0, 1, 2, 3, 4, 5, 6, 7, 8, 130, 143}
ENVIRON = {key: value for key, value in os.environ.items() if not key.startswith("MINIGAN_")} | {
    "PYTHONPATH": str(Path(minigan.__file__).parents[1]), "COLUMNS": "100", "PYTHONWARNINGS": "error",
}  # fmt: skip
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Data files, good and bad, by name."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    np.savetxt(root / "one.csv", rng.normal(size=(60, 1)))
    np.savetxt(root / "three.csv", rng.normal(size=(60, 3)), delimiter=",", header="a,b,c", comments="")
    np.save(root / "two.npy", rng.normal(size=(60, 2)).astype("float32"))
    np.save(root / "constant.npy", np.ones((60, 1)))
    np.save(root / "object.npy", np.array([1, None], object), allow_pickle=True)
    np.save(root / "complex.npy", np.ones(60) * 1j)
    np.save(root / "bool.npy", np.arange(60) > 5)
    np.save(root / "cube.npy", np.ones((3, 4, 5)))
    np.save(root / "text.npy", np.array(["a", "b"]))
    np.save(root / "huge.npy", rng.normal(size=60) * 1e300)
    for name, text in {
        "nan.csv": "1\n2\nnan\n4\n", "inf.csv": "1\n2\ninf\n", "empty.csv": "", "row.csv": "1.5\n",
        "word.csv": "1\nfoo\n3\n",
        "ragged.csv": "1,2\n3\n", "blank.csv": "\n\n", "binary.npy": "not an array", "header.csv": "a,b\n",
        "image.png": "x",
    }.items():  # fmt: skip
        (root / name).write_text(text)
    return root


def sentence(err):
    """The one message of an error: one line, said once, at the end."""
    lines = err.strip().splitlines()
    assert lines and lines[-1].startswith("error: ") and len(lines) == 1, err
    assert 20 < len(lines[0]) < 600
    return lines[0]


def one_object(out):
    """What --json printed."""
    value = json.loads(out)
    assert out.count("\n") == 1 and value["schema"] == 1
    return value


def finite(token):
    raise AssertionError(f"{token} is not JSON")


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(minigan_, command):
    for flag in ("--help", "-h"):
        code, out, err = minigan_(command, flag)
        assert code == 0 and err == "" and out.startswith(f"Usage: minigan {command}")
        assert max(map(len, out.splitlines())) <= 110


def test_the_group_lists_examples_first_and_every_command(minigan_):
    code, out, _ = minigan_("--help")
    assert code == 0 and out.index("minigan train --target") < out.index("Commands:")
    assert all(f"\n  {command}" in out for command in COMMANDS)
    assert set(cli.cli.commands) == set(COMMANDS)


def test_version(minigan_):
    assert minigan_("--version") == (0, f"minigan {minigan.__version__}\n", "")


def test_every_option_has_a_help_text():
    for command in cli.cli.commands.values():
        assert command.help
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, (command.name, parameter.name)


def test_nothing_asked_shows_the_help_and_is_a_usage_error(minigan_):
    code, out, err = minigan_()
    assert code == 2 and "Commands:" in out + err


# Usage and configuration: 2, with the nearest name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tran"], "train"),
        (["evaluate"], "eval"),
        (["train", "--sed", "3"], "--seed"),
        (["train", "--stpes=3"], "--steps"),
        (["sample", "x", "--number", "3"], "No such option"),
        (["train", "gausian"], "'gaussian'"),
        (["train", "--set", "step=3"], "'steps'"),
        (["train", "--set", "generator.width=3"], "generator.widths"),
        (["train", "--set", "widths=3"], "'generator.widths' or 'discriminator.widths'"),
        (["train", "--set", "generator_optimiser.rate=1"], "generator_optimizer"),
        (["train", "--set", "objective=wgan"], "minimax, non_saturating"),
        (["graph", "gausian"], "'gaussian'"),
        (["gradcheck", "tnh"], "'tanh'"),
        (["train", "--target", "norml(0, 1)"], "'normal'"),
        (["eval", "one.csv", "--target", "norml(0, 1)"], "'normal'"),
        (["graph", "--player", "d"], "'D', 'G'"),
        (["gradcheck", "--order", "4"], "1<=x<=3"),
        (["train", "--require-ks", "2"], "0<=x<=1"),
        (["sample", "x", "-n", "0"], "1<=x"),
        (["sample"], "RUN"),
        (["train", "a", "b"], "unexpected extra argument"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(minigan_, files, arguments, says):
    code, out, err = minigan_(*[files / a if a.endswith(".csv") else a for a in arguments])
    assert code == 2 and out == ""
    assert says in " ".join(err.split()), err
    assert len(err.strip().splitlines()) <= 4  # usage, where to find help, a blank line, the sentence


BAD_SETTINGS = [
    "generator_optimizer.rate=0", "generator_optimizer.rate=-1e-3", "discriminator_optimizer.rate=nan",
    "generator_optimizer.rate=inf",
    "generator_optimizer.rate=1e300", "generator_optimizer.momentum=1", "generator_optimizer.beta1=1",
    "generator_optimizer.beta2=-0.1",
    "generator_optimizer.epsilon=0", "generator.widths=0", "generator.widths=10000000",
    "generator.widths=[65536,65536,65536,65536]",
    "discriminator.widths=[4,0]", "discriminator.widths=x", "batch=1", "batch=0", "batch=1e9", "batch=2.5",
    "steps=0", "steps=-1",
    "steps=1e10", "steps=ten", "seed=-1", "seed=99999999999999999999", "seed=1.5", "eval_samples=1",
    "eval_every=0", "r1=-1", "r2=nan",
    "r1=[1]", "holdout=1", "latent.size=0", "latent.distribution=cauchy", "dtype=float16", "backend=gpu",
    "order=random", "threads=0", "name=../x",
    "name=", "generator.activation=step", "generator=4", "schedule.name=exponential", "schedule.hold=2",
    "schedule.warmup=100000",
    "average.decay=1", "columns=[0]", "steps", "=3", "target=", "target=normal(4", "target=normal(4,0)",
    "target=normal(nan,1)",
    "target=normal(1e30,1)", "target=normal(0,1e300)", "target=0.5*normal(0,1)+0.6*normal(1,1)",
    "target=uniform(1,0)",
    "target=student(0)", "discriminator_steps=0", "generator_steps=1000", "r1=1e999",
]  # fmt: skip


@pytest.mark.parametrize("setting", BAD_SETTINGS)
def test_a_bad_value_is_refused_before_any_work(minigan_, place, setting):
    code, out, err = minigan_("train", "--set", setting)
    assert code == 2 and out == ""
    sentence(err)
    assert list(place.iterdir()) == []


def test_values_that_exclude_each_other_are_refused(minigan_, place):
    code, _, err = minigan_("train", "--set", "order=simultaneous", "--set", "discriminator_steps=2")
    assert code == 2 and "once" in sentence(err) and list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("absent.toml", None), ("a.toml", "steps = "), ("a.toml", "steps = 'x'"), ("a.json", "{"), ("a.json",
        "[" * 20000),
        ("a.json", '{"steps": 1, "steps": 2}'), ("a.toml", "[generator]\nwidth = 3"), ("a.toml",
        "x" * 20000), ("a.json", "\xff"),
        ("dir/a.yaml", "steps: 3"), ("a.toml", "\0"),
    ],
)  # fmt: skip
def test_a_bad_configuration_file_is_refused(minigan_, place, name, text):
    path = place / name
    if text is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
    before = sorted(place.rglob("*"))
    code, out, err = minigan_("train", path)
    assert code == 2 and out == "" and sorted(place.rglob("*")) == before
    sentence(err)


def test_a_backend_that_is_absent_leaves_with_6(minigan_, place):
    code, out, err = minigan_("train", "--backend", "cupy")
    assert code == 6 and out == "" and "--backend numpy" in sentence(err) and list(place.iterdir()) == []


# train


def test_train_reports_on_stdout_and_talks_on_stderr(minigan_, tiny, place):
    code, out, err = minigan_("train", *tiny)
    assert code == 0
    (path,) = (place / "runs").iterdir()
    assert "perfect sampler" in out and "KS" in out and "Kolmogorov-Smirnov" in " ".join(out.split())
    assert f"runs/{path.name}/verdict.json" in out and "verdict.json" not in err
    assert err.startswith("Learning normal(4, 1.25): G 1-4-1 silu") and "into runs" in err
    assert "\nstep" in err and "KS" in err and "ln 4" in err and "step" not in out
    assert "\x1b" not in out + err  # no terminal, no colours


def test_train_without_arguments_is_the_default_experiment(monkeypatch, minigan_):
    seen = {}

    def stop(config, data=None):
        seen["config"] = config
        raise UnavailableError("seen")

    monkeypatch.setattr("minigan.training.experiment.Experiment", stop)
    assert minigan_("train")[0] == 6
    assert seen["config"] == resolve(environ={}) and seen["config"].target == "normal(4, 1.25)"


def test_json_is_one_object_and_nothing_else(minigan_, tiny):
    code, out, err = minigan_("train", *tiny, "--json")
    result = one_object(out)
    assert code == 0 and {"run", "seconds", "verdict", "metrics", "files"} <= result.keys() and err
    assert Path(result["run"], "metrics.jsonl").samefile(result["files"]["metrics"])
    assert result["verdict"]["rows"][0]["name"] == "KS" and 0 <= result["verdict"]["pvalue"] <= 1
    json.loads(out, parse_constant=finite)


def test_numbers_that_are_not_finite_are_null_in_json(minigan_, tiny):
    _, out, _ = minigan_("train", *tiny, "--json", "--target", "student(0.5)")
    json.loads(out, parse_constant=finite)


@pytest.mark.parametrize("where", [0, 1, -1])
def test_quiet_is_understood_anywhere(minigan_, tiny, where):
    arguments = ["train", *tiny]
    arguments.insert(where if where >= 0 else len(arguments), "-q")
    code, out, err = minigan_(*arguments)
    assert code == 0 and err == "" and "perfect sampler" in out


def test_fast_dev_run_goes_through_everything(minigan_, place):
    code, out, _ = minigan_("train", "--fast-dev-run", "--json")
    run = Path(one_object(out)["run"])
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert code == 0 and steps[0] == 0 and steps[-1] == 20
    assert (run / "checkpoints" / "step-00000020.safetensors").is_file()
    # What the user asks for besides has the last word.
    _, out, _ = minigan_("train", "--fast-dev-run", "--steps", "3", "--json")
    assert one_object(out)["metrics"]["step"] == 3


@pytest.mark.parametrize(
    "target",
    [
        "normal(0,1)",
        "N(-1, 1)",
        "0.33*normal(-1,0.25)+0.67*normal(2,1.4)",
        "student(40)",
        "student(1.5)",
        "uniform(0,1)",
        "laplace(2,3)",
        "ring(8, 1, 0.01)",
        "grid(5,2,0.05)",
        "spiral(2,0.02)",
    ],
)
def test_targets_by_text(minigan_, tiny, target):
    code, out, err = minigan_("train", *tiny, "--target", target)
    assert code == 0 and "Learning " in err and "perfect sampler" in out


@pytest.mark.parametrize(("name", "features"), [("one.csv", 1), ("three.csv", 3), ("two.npy", 2)])
def test_data_files(minigan_, tiny, files, name, features):
    code, out, err = minigan_("train", *tiny, "--data", files / name, "--json")
    result = one_object(out)
    assert code == 0 and f"G {features}-4-{features}" in err and "would pass" in err and "60 to judge" in err
    assert (result["verdict"]["energy"] is not None) == (features > 1)


def test_the_shipped_galaxies(minigan_, tiny):
    path = Path(minigan.__file__).parent / "training" / "datasets" / "galaxies.csv"
    code, out, err = minigan_("train", *tiny, "--data", path)
    assert code == 0 and "82 rows" in err and "82 real ones" in " ".join(out.split())


def test_columns_of_data(minigan_, tiny, files):
    code, _, err = minigan_("train", *tiny, "--data", files / "three.csv", "--set", "columns=c")
    assert code == 0 and "G 1-4-1" in err
    code, _, err = minigan_("train", *tiny, "--data", files / "three.csv", "--set", "columns=d")
    assert code == 3 and "'d'" in sentence(err)


BAD_DATA = [
    "nan.csv", "inf.csv", "empty.csv", "row.csv", "word.csv", "ragged.csv", "blank.csv", "binary.npy",
    "header.csv", "image.png",
    "constant.npy", "object.npy", "complex.npy", "bool.npy", "cube.npy", "text.npy", "huge.npy",
    "absent.csv", "",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_are_refused(minigan_, tiny, files, place, name):
    code, out, err = minigan_("train", *tiny, "--data", files / name)
    assert code == 3 and out == ""
    sentence(err)
    assert list(place.iterdir()) == []


def test_a_row_that_is_not_finite_is_named_and_can_be_dropped(minigan_, tiny, files):
    _, _, err = minigan_("train", "--data", files / "nan.csv")
    assert "row 3 of 4" in err and "drop_nonfinite=true" in err
    code, _, err = minigan_("train", *tiny, "--data", files / "nan.csv", "--set", "drop_nonfinite=true")
    assert code == 0 and "1 of 4 rows" in err


@pytest.mark.parametrize("rate", ["generator_optimizer.rate=1e38", "discriminator_optimizer.rate=1e38"])
@pytest.mark.parametrize("steps", [1, 6])
def test_divergence_leaves_with_4_in_one_sentence(minigan_, tiny, place, rate, steps):
    code, out, err = minigan_("train", *tiny, "--set", rate, "--steps", steps, "-q")
    assert code == 4 and out == "" and "smaller rates" in sentence(err)
    (path,) = (place / "runs").iterdir()
    assert json.loads((path / "run.json").read_text())["status"] == "diverged"


def test_a_missed_quality_leaves_with_5_after_the_report(minigan_, tiny):
    code, out, err = minigan_("train", *tiny, "--require-ks", "0.9999", "--json", "-q")
    assert code == 5 and one_object(out)["verdict"]["pvalue"] < 0.9999
    assert "below the required 0.9999" in sentence(err)
    assert minigan_("train", *tiny, "--require-ks", "0")[0] == 0


def test_where_nothing_can_be_written_the_exit_code_is_8(minigan_, tiny, place):
    (place / "file").write_text("x")
    for out_ in ("file", "file/below", "/dev/null/runs", "x" * 300):
        code, out, err = minigan_("train", *tiny, "--out", out_)
        assert code == 8 and out == ""
        sentence(err)
    assert [p.name for p in place.iterdir()] == ["file"]


def test_runs_go_where_the_environment_says(minigan_, tiny, place, monkeypatch):
    monkeypatch.setenv("MINIGAN_RUNS", "elsewhere")
    monkeypatch.setenv("MINIGAN_STEPS", "4")
    _, out, _ = minigan_("train", *tiny[:6], "--set", "eval_samples=100", "--json")
    assert one_object(out)["metrics"]["step"] == 4 and [p.name for p in place.iterdir()] == ["elsewhere"]


def test_a_runs_config_can_be_given_back(minigan_, trained):
    code, out, _ = minigan_("train", trained / "config.json", "--json")
    first = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    second = one_object(out)["metrics"]
    assert code == 0 and {**first, "wall": 0} == {**second, "wall": 0}


def test_a_failure_that_nobody_foresaw_is_logged_and_leaves_with_1(minigan_, tiny, place, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("minigan.training.metrics.Observer.row", fail)
    code, out, err = minigan_("train", *tiny, "-q")
    (path,) = (place / "runs").iterdir()
    assert code == 1 and out == "" and "unforeseen" in err and str(path.name) in err
    assert "RuntimeError: unforeseen" in (path / "log.txt").read_text()
    assert json.loads((path / "run.json").read_text())["status"] == "failed"


def test_out_of_memory_is_a_sentence(minigan_, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("minigan.training.experiment.Experiment", fail)
    code, _, err = minigan_("train")
    assert code == 3 and "smaller batch" in sentence(err)


def test_debug_shows_the_traceback(capsys):
    assert cli.main(["train", "gausian", "--debug"]) == 2
    captured = capsys.readouterr()
    assert "Traceback" in captured.err and captured.out == ""


def test_without_matplotlib_a_run_ends_with_a_note(minigan_, tiny, place, monkeypatch):
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from minigan.cli import main\n"
        "raise SystemExit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "train", *tiny, "--json"], env=ENVIRON, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "no figure: figures need matplotlib; install it with: pip install 'minigan[plot]'" in done.stderr
    result = json.loads(done.stdout)
    assert "figure" not in result["files"] and all(Path(path).is_file() for path in result["files"].values())


def test_print_config_shows_every_setting_and_who_set_it(minigan_, place, monkeypatch):
    monkeypatch.setenv("MINIGAN_SEED", "9")
    code, out, err = minigan_("train", "far", "--steps", "7", "--set", "r1=0.1", "--print-config")
    lines = dict(line.split(" = ", 1) for line in out.splitlines())
    assert code == 0 and err == "" and list(lines) == list(fields())
    assert lines["target"] == '"normal(1000, 1)"    # preset far' and lines["seed"] == "9    # MINIGAN_SEED"
    assert lines["steps"] == "7    # --set" and lines["r1"] == "0.1    # --set" and "#" not in lines["batch"]
    assert list(place.iterdir()) == []
    _, out, _ = minigan_("train", "far", "--print-config", "--json")
    result = one_object(out)
    assert result["config"]["target"] == "normal(1000, 1)" and result["origins"]["target"] == "preset far"


def test_print_config_shows_the_file(minigan_, place):
    (place / "a.toml").write_text("steps = 5\n[generator]\nwidths = [3]\n")
    _, out, _ = minigan_("train", "a.toml", "--print-config")
    assert "steps = 5    # file 'a.toml'" in out and "generator.widths = [3]    # file 'a.toml'" in out


# sample


def test_samples_to_stdout_csv_and_npy_are_the_same_rows(minigan_, place, trained):
    code, out, err = minigan_("sample", trained, "-n", "12")
    assert code == 0 and err == ""
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0] == ["x"] and len(rows) == 13
    values = np.array(rows[1:], float)
    for name in ("a.csv", "a.npy"):
        code, out, err = minigan_("sample", trained, "-n", 12, "-o", name)
        assert code == 0 and out == "" and "12 rows of 1 feature from" in err and "step 6" in err
    np.testing.assert_array_equal(np.load("a.npy", allow_pickle=False), values)
    np.testing.assert_array_equal(np.loadtxt("a.csv", skiprows=1), values[:, 0])
    assert sorted(p.name for p in place.iterdir()) == ["a.csv", "a.npy"]


def test_a_draw_has_an_index(minigan_, trained):
    draws = [minigan_("sample", trained, "-n", 5, *more)[1] for more in ((), ("--index", 0), ("--index", 1))]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("arguments", [("sample", "-n", "100000000"), ("eval", "-n", "10000000")])
def test_memory_is_asked_for_before_it_is_taken(minigan_, monkeypatch, trained, arguments):
    monkeypatch.setattr("minigan.machine.available_memory", lambda: 2**28)
    code, out, err = minigan_(arguments[0], trained, *arguments[1:])
    assert code == 2 and out == "" and "takes at least" in err and "only 0.25 GiB of memory is free" in err


def test_samples_have_the_names_of_the_data(minigan_, tiny, place):
    names = ["plain", "with, comma", '"quoted" first', "αβγ"]
    with open("t.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *np.random.default_rng(0).normal(size=(30, 4)).tolist()])
    run = one_object(minigan_("train", *tiny, "--data", "t.csv", "--json")[1])["run"]
    code, out, _ = minigan_("sample", run, "-n", 200, "-o", "new.csv")
    assert code == 0
    with open("new.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == names and len(rows) == 201 and {len(row) for row in rows} == {4}
    # And the file is one that minigan itself reads.
    assert minigan_("eval", "new.csv", "--data", "t.csv")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere"], 3), ([""], 3), ([__file__], 3), ([os.path.dirname(__file__)], 3), (["RUN", "-o",
        "x.txt"], 2), (["RUN", "-o", "x"], 2),
        (["RUN", "-o", "absent/x.csv"], 8), (["RUN", "-o", "/dev/null/x.npy"], 8), (["RUN", "--index", "-1"],
        2), (["RUN", "-n", "1e3"], 2),
        (["x" * 5000], 3),
    ],
)  # fmt: skip
def test_bad_sampling_is_refused(minigan_, place, trained, arguments, code):
    got, out, err = minigan_("sample", *[trained if a == "RUN" else a for a in arguments])
    assert got == code and out == "" and list(place.iterdir()) == []
    assert err.strip().splitlines()[-1].lower().startswith("error: ") and len(err.strip().splitlines()) <= 4


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_a_damaged_run_is_refused_with_3(minigan_, place, trained, command):
    run = Path(shutil.copytree(trained, "run"))
    newest = run / "checkpoints" / "step-00000006.safetensors"
    for older in set(newest.parent.glob("step-*")) - {newest}:
        older.unlink()
    content = newest.read_bytes()
    for damaged in (content[:-1], content[:100], b"", content[:-1] + b"\xff"):
        newest.write_bytes(damaged)
        code, out, err = minigan_(command, run)
        assert code == 3 and out == "" and "no checkpoint can be read" in sentence(err)
    newest.unlink()
    assert minigan_(command, run)[0] == 3


def test_a_damaged_newest_checkpoint_is_a_note(minigan_, place, trained):
    run = Path(shutil.copytree(trained, "run"))
    folder = run / "checkpoints"
    (folder / "step-00000009.safetensors").write_bytes(b"torn")
    code, out, err = minigan_("sample", run, "-n", 3)
    assert code == 0 and out.count("\n") == 4 and err.startswith("note: ") and "step-00000009" in err


def test_a_checkpoint_of_another_architecture_is_refused_with_the_difference(minigan_, place, trained):
    run = Path(shutil.copytree(trained, "run"))
    config = json.loads((run / "config.json").read_text())
    config["generator"]["widths"] = [9]
    (run / "config.json").write_text(json.dumps(config))
    code, _, err = minigan_("sample", run)
    assert code == 3 and "(1, 4)" in sentence(err) and "(1, 9)" in err


# eval


def test_eval_of_a_run_is_its_verdict(minigan_, trained):
    code, out, err = minigan_("eval", trained, "--json")
    verdict = json.loads((trained / "verdict.json").read_text())
    assert code == 0 and err == "" and one_object(out)["verdict"] == verdict
    code, out, _ = minigan_("eval", trained, "-n", 150)
    assert code == 0 and "these 150 values" in " ".join(out.split())


WILD = (
    "--set", "generator_optimizer.rate=10", "--set", "discriminator_optimizer.rate=10", "--set", "steps=150",
    "--set", "generator.widths=8", "--set", "discriminator.widths=8", "--set", "batch=32",
    "--set", "eval_every=30",
)  # fmt: skip


def test_what_went_wrong_is_named_with_the_next_thing_to_try(minigan_, tiny, place):
    code, out, _ = minigan_("train", *tiny, *WILD)
    assert code == 0
    after = out.split("95 % of cases).")[1]
    assert after.lstrip().startswith("What went wrong, and what to try next:")
    assert "diverged, since step " in after and "sd of the data away" in after
    advice = (
        "Use smaller rates: --set generator_optimizer.rate=0.005 --set discriminator_optimizer.rate=0.005"
    )
    assert f"→ {advice}" in after
    (run,) = (place / "runs").iterdir()
    assert "diverged, since step" in (run / "log.txt").read_text()
    assert "What went wrong" in minigan_("eval", run)[1]
    _, out, _ = minigan_("eval", run, "--json")
    (finding,) = one_object(out)["findings"]
    assert finding["name"] == "diverged" and finding["remedy"] == advice
    assert finding == json.loads((run / "run.json").read_text())["findings"][0]


def test_nothing_is_said_where_nothing_went_wrong(minigan_, tiny, trained):
    code, out, _ = minigan_("train", *tiny, "--json")
    assert code == 0 and one_object(out)["findings"] == []
    assert "wrong" not in minigan_("train", *tiny)[1] + minigan_("eval", trained)[1]


def test_eval_of_a_file(minigan_, files):
    code, out, _ = minigan_("eval", files / "one.csv", "--target", "normal(0,1)")
    assert code == 0 and "cannot tell" in " ".join(out.split())
    code, out, _ = minigan_("eval", files / "one.csv", "--target", "normal(5,1)", "--json")
    assert code == 0 and one_object(out)["verdict"]["distinguishable"] is True
    code, out, _ = minigan_("eval", files / "three.csv", "--data", files / "three.csv")
    assert code == 0 and "3 features" in " ".join(out.split())


def test_a_distribution_of_the_plane_from_training_to_evaluation(minigan_, tiny, place):
    code, out, err = minigan_("train", *tiny, "--target", "ring(8,1,0.01)", "--json")
    result = one_object(out)
    run = Path(result["run"])
    assert (
        code == 0
        and "G 2-4-2" in err
        and "D 2-4-1" in err
        and run.name.split("-", 2)[2].startswith("ring-8-1-0-01")
    )
    assert 0 <= result["metrics"]["modes"] <= 8 and 0 <= result["metrics"]["hq"] <= 1
    rows = {row["name"]: row for row in result["verdict"]["rows"]}
    assert rows["modes captured"]["target"] == 8 and rows["classifier accuracy"]["perfect"] == 0.5
    code, out, _ = minigan_("eval", run, "--json")
    assert code == 0 and one_object(out)["verdict"] == result["verdict"]
    code, out, _ = minigan_("sample", run, "-n", 300)
    assert code == 0 and out.splitlines()[0] == "x,y" and len(out.splitlines()) == 301
    Path("rows.csv").write_text(out)
    code, out, _ = minigan_("eval", "rows.csv", "--target", "ring(8,1,0.01)")
    assert code == 0 and "modes captured" in out and "classifier" in out and "mean, x" in out
    code, out, err = minigan_("eval", "rows.csv", "--target", "normal(0,1)")
    assert code == 3 and "2 features, and normal(0, 1) judges 1" in sentence(err)
    code, out, err = minigan_("eval", "rows.csv", "--target", "ring(8")
    assert code == 2 and "ring(modes = 8, radius = 1, sd = 0.01)" in sentence(err)


def test_eval_with_a_bar_to_pass(minigan_, files, trained):
    code, out, err = minigan_("eval", files / "one.csv", "--target", "normal(5,1)", "--require-ks", "0.05")
    assert code == 5 and "perfect sampler" in out and "p-value" in sentence(err)
    assert minigan_("eval", files / "one.csv", "--target", "normal(0,1)", "--require-ks", "0.05")[0] == 0
    assert minigan_("eval", trained, "--require-ks", "0.9999")[0] == 5


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["one.csv"], 2), (["absent.csv"], 2), (["absent.csv", "--target", "normal(0,1)"], 3), (["three.csv",
        "--target", "normal(0,1)"], 3), (["one.csv", "--target", "ring(8)"], 3), (["three.csv", "--target",
        "ring(8)"], 3),
        (["three.csv", "--data", "one.csv"], 3), (["one.csv", "--data", "three.csv"], 3), (["one.csv",
        "--data", "absent.csv"], 3),
        (["one.csv", "--data", "one.csv", "--target", "normal(0,1)"], 2), (["one.csv", "--target",
        "normal(0"], 2),
        (["RUN", "--target", "normal(0,1)"], 2), (["RUN", "--data", "one.csv"], 2),
        (["one.csv", "--data", "constant.npy"], 3), (["x" * 5000, "--target", "normal(0,1)"], 3), (["."], 3),
        (["huge.npy", "--data", "one.csv"], 3), (["one.csv", "--data", "huge.npy"], 3),
    ],
)  # fmt: skip
def test_bad_evaluations_are_refused(minigan_, files, trained, arguments, code):
    named = [trained if a == "RUN" else files / a if a.endswith((".csv", ".npy")) else a for a in arguments]
    got, out, err = minigan_("eval", *named)
    assert got == code and out == "", err
    sentence(err)


# presets, gradcheck, graph, explain, doctor


def test_presets_are_listed_and_every_one_resolves(minigan_):
    code, out, _ = minigan_("presets")
    listed = [line.split()[0] for line in out.splitlines()]
    assert (
        code == 0
        and "gaussian" in listed
        and list(one_object(minigan_("presets", "--json")[1])["presets"]) == listed
    )
    for name in listed:
        assert minigan_("train", name, "--print-config")[0] == 0


def test_gradcheck_of_everything(minigan_):
    from minigan.engine.primitives import PRIMITIVES

    code, out, err = minigan_("gradcheck")
    assert code == 0 and err == "" and "WRONG" not in out
    assert [line.split()[0] for line in out.splitlines()[:-2]] == list(PRIMITIVES)
    assert f"{len(PRIMITIVES)} of {len(PRIMITIVES)} primitives agree" in out


def test_gradcheck_of_named_ones(minigan_):
    code, out, _ = minigan_("gradcheck", "tanh", "matmul", "--order", 1, "--json")
    result = one_object(out)
    assert (
        code == 0
        and result["ok"]
        and result["order"] == 1
        and list(result["primitives"]) == ["tanh", "matmul"]
    )


def test_gradcheck_finds_a_planted_error(minigan_, monkeypatch):
    import dataclasses

    from minigan.engine.primitives import PRIMITIVES
    from minigan.engine.tensor import Primitive

    right = PRIMITIVES["tanh"]
    vjps = tuple(
        (lambda g, y, *xs, vjp=vjp, **params: 1.001 * vjp(g, y, *xs, **params)) for vjp in right.vjps
    )
    wrong = (
        dataclasses.replace(right, vjps=vjps)
        if dataclasses.is_dataclass(right)
        else Primitive(right.name, right.kernel, *vjps)
    )
    monkeypatch.setitem(PRIMITIVES, "tanh", wrong)
    code, out, _ = minigan_("gradcheck", "tanh", "exp")
    assert code == 1 and "tanh           WRONG: tanh: derivative" in out and "1 of 2 primitives agree" in out
    code, out, _ = minigan_("gradcheck", "tanh", "exp", "--json")
    assert code == 1 and not one_object(out)["ok"]


@pytest.mark.parametrize("player", ["D", "G"])
def test_graph_as_text_and_dot(minigan_, tiny, place, player):
    code, out, err = minigan_("graph", *tiny, "--player", player)
    assert (
        code == 0
        and err == ""
        and "softplus" in out
        and "D.0.W" in out
        and ("x" in out if player == "D" else "G.0.W" in out)
    )
    code, out, err = minigan_("graph", *tiny, "--player", player, "-o", "g.dot")
    assert code == 0 and out == "" and (place / "g.dot").read_text().startswith("digraph")


def test_graph_as_a_program(minigan_, tiny, place):
    code, out, _ = minigan_("graph", *tiny, "--program")
    assert code == 0 and "input0: float32[1, 8, 1]" in out and "matmul" in out and list(place.iterdir()) == []


def test_graph_of_data(minigan_, tiny, files):
    assert minigan_("graph", *tiny, "--set", f"data={files / 'three.csv'}", "--player", "D")[0] == 0


def test_graph_as_a_picture_needs_dot(minigan_, tiny, place):
    code, out, err = minigan_("graph", *tiny, "-o", "g.svg")
    if shutil.which("dot"):
        assert code == 0 and "<svg" in (place / "g.svg").read_text()
    else:
        assert code == 6 and "apt install graphviz" in sentence(err) and list(place.iterdir()) == []


@POSIX
@pytest.mark.parametrize("works", [True, False])
def test_graph_asks_dot_for_the_picture(minigan_, tiny, place, monkeypatch, works):
    program = place / "bin" / "dot"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\necho "$1"; cat\n' if works else "#!/bin/sh\necho 'cannot draw' >&2; exit 3\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    code, _, err = minigan_("graph", *tiny, "-o", "g.svg")
    if works:
        assert code == 0 and (place / "g.svg").read_text().startswith("-Tsvg\ndigraph")
    else:
        assert code == 6 and "cannot draw" in sentence(err) and not (place / "g.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["-o", "g.gif"], 2), (["-o", "g.dot", "--program"], 2), (["-o", "absent/g.dot"], 8)],
)
def test_bad_graphs_are_refused(minigan_, tiny, place, arguments, code):
    got, out, err = minigan_("graph", *tiny, *arguments)
    assert got == code and out == "" and list(place.iterdir()) == []
    sentence(err)


def test_explain_as_text_and_json(minigan_, tiny, place, files, monkeypatch):
    monkeypatch.setattr("minigan.profiling.explain.SECONDS", 0.01)
    code, out, err = minigan_("explain", *tiny, "--seeds", 2, "--set", f"data={files / 'three.csv'}")
    assert code == 0 and err == "" and "2 seeds at once" in out and "GFLOP/s" in out
    code, out, err = minigan_("explain", *tiny, "--passes", "exact", "--json")
    told = one_object(out)
    assert code == 0 and err == "" and told["passes"] == "exact" and list(place.iterdir()) == []
    assert [stage["name"] for stage in told["stages"]][0] == "as recorded"


@pytest.mark.parametrize(
    "arguments", [["--seeds", "0"], ["--passes", "some"], ["gausian"], ["--set", "batch=0"]]
)
def test_bad_explanations_are_refused(minigan_, arguments):
    code, out, err = minigan_("explain", *arguments)
    assert code == 2 and out == "" and err


def test_doctor_reports_and_leaves_nothing(minigan_, place, monkeypatch):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.delenv("OPENBLAS_L2_SIZE", raising=False)
    code, out, err = minigan_("doctor")
    assert (
        err == "" and "numpy" in out and code == (6 if "LOOK" in out else 0) and list(place.iterdir()) == []
    )
    result = one_object(minigan_("doctor", "--json")[1])
    assert result["ok"] == (code == 0) and {"name", "value", "ok", "advice"} == set(result["findings"][0])


def test_doctor_leaves_with_6_where_something_is_in_the_way(minigan_, place):
    (place / "file").write_text("x")
    code, out, _ = minigan_("doctor", "--out", "file")
    assert code == 6 and "LOOK runs" in out and "→" in out
    code, out, _ = minigan_("doctor", "--out", "file", "--json")
    assert code == 6 and one_object(out)["ok"] is False


# A terminal, and processes


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environ", "arguments", "bar", "colour"),
    [
        ({}, (), True, True),
        ({"NO_COLOR": "1"}, (), True, False),
        ({}, ("--no-color",), True, False),
        ({"CI": "true"}, (), False, None),
        ({"TERM": "dumb"}, (), False, None),
        ({}, ("-q",), False, None),
    ],
)
def test_a_bar_only_on_a_terminal(monkeypatch, environ, arguments, bar, colour, tiny):
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    err, out = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["train", *tiny, *arguments]) == 0
    text = err.getvalue()
    assert ("━" in text or "6/6" in text) == bar
    assert "\x1b" not in out.getvalue()
    if colour is not None:
        assert ("\x1b[3" in text or "\x1b[1;3" in text) == colour  # the cursor moves in any case
    if arguments == ("-q",):
        assert text == ""


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "minigan", *map(str, arguments)],
        env=ENVIRON,
        capture_output=True,
        timeout=120,
        **options,
    )


def test_a_process_leaves_with_the_same_code(place):
    done = process("train", "gausian")
    assert (
        done.returncode == 2 and done.stdout == b"" and done.stderr.startswith(b"error: there is no preset")
    )
    assert process("--version").stdout.decode().strip() == f"minigan {minigan.__version__}"


def test_a_whole_run_with_its_figure_in_a_process(place, tiny):
    done = process("train", *tiny, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert Path(result["files"]["figure"]).read_bytes().startswith(b"\x89PNG")
    assert b"Warning" not in done.stderr and len(done.stderr.splitlines()) <= 6


@POSIX
@pytest.mark.parametrize(("count", "reader", "read"), [(100_000, "head -n 2", 2), (50, "true", 0)])
def test_a_reader_that_leaves_early_is_no_error(place, trained, count, reader, read):
    """With few rows the failure comes from the last flush, which the interpreter would repeat at its end."""
    sample = f'"{sys.executable}" -m minigan sample "{trained}" -n {count}'
    command = ["bash", "-c", f'{sample} | {reader}; echo "${{PIPESTATUS[0]}}"']
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert done.stderr == "" and len(lines) == read + 1 and lines[-1] == "0"


@POSIX
def test_a_full_disk_behind_stdout_is_8(trained):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "minigan", "sample", str(trained), "-n", "10000"]
        done = subprocess.run(command, env=ENVIRON, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 8 and "No space left" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@POSIX
@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--json", "--out"],
        ["sample"],
        ["eval"],
        ["train"],
        ["train", "--data"],
        ["doctor", "--out"],
    ],
)
def test_names_that_are_not_utf_8_are_refused(place, arguments):
    done = subprocess.run(
        [sys.executable, "-m", "minigan", *arguments, b"\xff\xfe"],
        env=ENVIRON,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 2 and done.stdout == b"" and list(place.iterdir()) == []
    assert done.stderr.startswith(b"error: '\\udcff\\udcfe' is not UTF-8")


# Fuzz

WORDS = (
    *COMMANDS, "gaussian", "far", "RUN", "one.csv", "three.csv", "nan.csv", "absent", "", ".", "-", "--",
    "-1", "0", "1", "2.5", "1e9", "nan", "x" * 300,
    "\u2603", "--help", "-h", "--version", "--debug", "-q", "--no-color", "--json", "--set", "--steps",
    "--seed", "--target", "--data", "--out",
    "--backend", "--dtype", "--require-ks", "--print-config", "-n", "-o", "--index", "--order", "--player",
    "--program", "--seeds", "--passes", "exact", "D", "G", "tanh", "normal(0,1)",
    "normal(", "steps=2", "steps=0", "batch=4", "r1=-1", "generator.widths=3", "=", "x=", "a.csv", "a.npy",
    "a.dot", "a.svg", "numpy", "strict", "cupy",
    "float64", "float16", "runs", "--fast-dev-run", "--sort", "ks", "--descending", "--csv", "--verify",
    "--npz", "a.npz", "--at", "best", "bash",
)  # fmt: skip


def nothing_measured(*_):
    """Instead of five minutes of timings."""
    from minigan.profiling.timings import Record

    return Record("2026-11-23T00:00Z", {}, [], True, 0, [])


@pytest.mark.parametrize("seed", range(6))
def test_random_arguments_leave_with_a_documented_code(seed, capsys, place, files, trained, monkeypatch):
    """50 vectors a seed, most of them beginning with a command; the environment cuts runs to 2 steps."""
    for name, value in {
        "STEPS": "2",
        "BATCH": "4",
        "EVAL_SAMPLES": "100",
        "GENERATOR__WIDTHS": "3",
        "DISCRIMINATOR__WIDTHS": "3",
    }.items():
        monkeypatch.setenv(f"MINIGAN_{name}", value)
    monkeypatch.setattr("minigan.engine.gradcheck.check_primitive", lambda name, order: 1)
    monkeypatch.setattr("minigan.profiling.explain.SECONDS", 0.01)
    monkeypatch.setattr("minigan.profiling.benchmark.measure", nothing_measured)
    rng = np.random.default_rng(seed)
    for _ in range(50):
        words = list(rng.choice(WORDS, rng.integers(0, 6)))
        if rng.random() < 0.7:
            words.insert(0, str(rng.choice(COMMANDS)))
        if "--steps" in words or "1e9" in words:  # not a run of 10^9 steps
            words = [word if word != "1e9" else "3" for word in words]
        words = [
            str(trained)
            if w == "RUN"
            else str(files / w)
            if w in ("one.csv", "three.csv", "nan.csv")
            else str(w)
            for w in words
        ]
        code = cli.main(words)
        captured = capsys.readouterr()
        assert code in CODES - {1}, (words, captured.err)
        if "--debug" not in words:
            assert "Traceback" not in captured.out + captured.err, words
        if code and code != 6:
            assert captured.err.strip(), words


def test_a_collapsed_sample_is_judged(minigan_, files):
    code, out, _ = minigan_("eval", files / "constant.npy", "--target", "normal(0,1)", "--json")
    assert code == 0 and one_object(out)["verdict"]["distinguishable"]


def test_a_run_is_named_after_what_it_learns(minigan_, tiny, files):
    for arguments, name in (
        (("--target", "student(40)"), "student-40"),
        (("--data", files / "one.csv"), "one"),
        (("--target", "student(40)", "--set", "name=mine"), "mine"),
        (("student",), "student"),
    ):
        code, out, _ = minigan_("train", *arguments, *tiny, "--json")
        assert code == 0 and f"-{name}-" in Path(one_object(out)["run"]).name


def test_a_target_and_data_together_are_refused(minigan_, tiny, files):
    code, _, err = minigan_("train", "--target", "normal(0,1)", "--data", files / "one.csv", *tiny)
    assert code == 2 and "not both" in sentence(err)


def test_data_that_changed_since_the_run_are_refused(minigan_, tiny, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("x\n" + "\n".join(str(k % 7 + 0.5 * (k % 3)) for k in range(60)))
    code, out, _ = minigan_("train", "--data", table, *tiny, "--json")
    run = one_object(out)["run"]
    assert code == 0 and minigan_("eval", run)[0] == 0
    table.write_text("x\n" + "\n".join(str(k % 5) for k in range(60)))
    code, _, err = minigan_("eval", run)
    assert code == 3 and "trained on" in sentence(err)


def test_the_graph_of_a_loss_names_its_data(minigan_):
    code, out, _ = minigan_("graph", "--player", "D", "--set", "batch=8")
    assert code == 0 and "matmul(x, D.0.W)" in out


def test_the_report_says_what_the_loss_of_d_means(minigan_, tiny):
    code, out, _ = minigan_("train", *tiny)
    assert code == 0 and "ln 4 = 1.3863" in out and "JS ≥ (ln 4 − V)/2" in out


@pytest.mark.parametrize("objective", ["hinge", "wasserstein", "least_squares", "alpha(0.5, 1)"])
def test_a_run_with_another_objective_is_drawn_and_reported(minigan_, tiny, tmp_path, objective):
    code, out, err = minigan_("train", "--out", str(tmp_path), "--set", f"objective={objective}", *tiny)
    assert code == 0, err
    assert "The cross-entropy of σ(D) is V" in out and "its loss is ln 4" not in err
    if objective in ("wasserstein", "alpha(0.5, 1)"):  # without a ratio of densities in D, and with one
        from minigan.reports.overview import save_overview

        (run,) = tmp_path.iterdir()
        assert save_overview(RunDirectory.open(run)).is_file()
