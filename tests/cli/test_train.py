"""train: what it prints and leaves, and which settings, files and data it refuses."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigan
from minigan.errors import UnavailableError
from minigan.storage.directory import RunDirectory
from minigan.training.config import fields
from minigan.training.settings import resolve

ENVIRON = {key: value for key, value in os.environ.items() if not key.startswith("MINIGAN_")} | {
    "PYTHONPATH": str(Path(minigan.__file__).parents[1]), "COLUMNS": "100", "PYTHONWARNINGS": "error",
}  # fmt: skip


def finite(token):
    raise AssertionError(f"{token} is not JSON")


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


@pytest.mark.rows("setting", BAD_SETTINGS)
def test_a_bad_value_is_refused_before_any_work(minigan_, place, setting, sentence):
    code, out, err = minigan_("train", "--set", setting)
    assert code == 2 and out == ""
    sentence(err)
    assert list(place.iterdir()) == []


def test_values_that_exclude_each_other_are_refused(minigan_, place, sentence):
    code, _, err = minigan_("train", "--set", "order=simultaneous", "--set", "discriminator_steps=2")
    assert code == 2 and "once" in sentence(err) and list(place.iterdir()) == []


@pytest.mark.rows(
    ("name", "text"),
    [
        ("absent.toml", None), ("a.toml", "steps = "), ("a.toml", "steps = 'x'"), ("a.json", "{"), ("a.json",
        "[" * 20000),
        ("a.json", '{"steps": 1, "steps": 2}'), ("a.toml", "[generator]\nwidth = 3"), ("a.toml",
        "x" * 20000), ("a.json", "\xff"),
        ("dir/a.yaml", "steps: 3"), ("a.toml", "\0"),
    ],
)  # fmt: skip
def test_a_bad_configuration_file_is_refused(minigan_, place, name, text, sentence):
    path = place / name
    if text is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
    before = sorted(place.rglob("*"))
    code, out, err = minigan_("train", path)
    assert code == 2 and out == "" and sorted(place.rglob("*")) == before
    sentence(err)


def test_a_backend_that_is_absent_leaves_with_6(minigan_, place, sentence):
    code, out, err = minigan_("train", "--backend", "cupy")
    assert code == 6 and out == "" and "--backend numpy" in sentence(err) and list(place.iterdir()) == []


def test_train_reports_on_stdout_and_talks_on_stderr(minigan_, tiny, place):
    code, out, err = minigan_("train", *tiny)
    assert code == 0
    (path,) = (place / "runs").iterdir()
    assert "perfect sampler" in out and "KS" in out and "Kolmogorov-Smirnov" in " ".join(out.split())
    assert f"runs/{path.name}/verdict.json" in out and "verdict.json" not in err
    assert err.startswith("Learning normal(4, 1.25): G 1-4-1 silu") and "into runs" in err
    assert "\nstep" in err and "KS" in err and "ln 4" in err and "\nstep" not in out
    assert "\x1b" not in out + err  # no terminal, no colours


def test_train_without_arguments_is_the_default_experiment(monkeypatch, minigan_):
    seen = {}

    def stop(config, data=None):
        seen["config"] = config
        raise UnavailableError("seen")

    monkeypatch.setattr("minigan.front.fitting.Experiment", stop)
    assert minigan_("train")[0] == 6
    assert seen["config"] == resolve(environ={}) and seen["config"].target == "normal(4, 1.25)"


def test_json_is_one_object_and_nothing_else(minigan_, tiny, one_object):
    code, out, err = minigan_("train", *tiny, "--json")
    result = one_object(out)
    assert code == 0 and {"run", "seconds", "verdict", "metrics", "files"} <= result.keys() and err
    assert Path(result["run"], "metrics.jsonl").samefile(result["files"]["metrics"])
    assert result["verdict"]["rows"][0]["name"] == "KS" and 0 <= result["verdict"]["pvalue"] <= 1
    json.loads(out, parse_constant=finite)


def test_numbers_that_are_not_finite_are_null_in_json(minigan_, tiny):
    _, out, _ = minigan_("train", *tiny, "--json", "--target", "student(0.5)")
    json.loads(out, parse_constant=finite)


def test_fast_dev_run_goes_through_everything(minigan_, place, one_object):
    code, out, _ = minigan_("train", "--fast-dev-run", "--json")
    run = Path(one_object(out)["run"])
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert code == 0 and steps[0] == 0 and steps[-1] == 20
    assert (run / "checkpoints" / "step-00000020.safetensors").is_file()
    # What the user asks for besides has the last word.
    _, out, _ = minigan_("train", "--fast-dev-run", "--steps", "3", "--json")
    assert one_object(out)["metrics"]["step"] == 3


@pytest.mark.rows(
    "target",
    [
        "N(-1, 1)",
        "0.33*normal(-1,0.25)+0.67*normal(2,1.4)",
        "student(1.5)",
        "ring(8, 1, 0.01)",
        "spiral(2,0.02)",
    ],
)
def test_targets_by_text(minigan_, tiny, target):
    code, out, err = minigan_("train", *tiny, "--target", target)
    assert code == 0 and "Learning " in err and "perfect sampler" in out


@pytest.mark.parametrize(("name", "features"), [("one.csv", 1), ("three.csv", 3), ("two.npy", 2)])
def test_data_files(minigan_, tiny, files, name, features, one_object):
    code, out, err = minigan_("train", *tiny, "--data", files / name, "--json")
    result = one_object(out)
    assert code == 0 and f"G {features}-4-{features}" in err and "would pass" in err and "60 to judge" in err
    assert (result["verdict"]["energy"] is not None) == (features > 1)


def test_the_shipped_galaxies(minigan_, tiny):
    path = Path(minigan.__file__).parent / "training" / "datasets" / "galaxies.csv"
    code, out, err = minigan_("train", *tiny, "--data", path)
    assert code == 0 and "82 rows" in err and "82 rows that it learned" in " ".join(out.split())


def test_columns_of_data(minigan_, tiny, files, sentence):
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


@pytest.mark.rows("name", BAD_DATA)
def test_bad_data_are_refused(minigan_, tiny, files, place, name, sentence):
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
def test_divergence_leaves_with_4_in_one_sentence(minigan_, tiny, place, rate, steps, sentence):
    code, out, err = minigan_("train", *tiny, "--set", rate, "--set", f"steps={steps}", "-q")
    assert code == 4 and out == "" and "smaller rates" in sentence(err)
    (path,) = (place / "runs").iterdir()
    assert json.loads((path / "run.json").read_text())["status"] == "diverged"


def test_a_missed_quality_leaves_with_5_after_the_report(minigan_, tiny, sentence, one_object):
    code, out, err = minigan_("train", *tiny, "--require-ks", "0.9999", "--json", "-q")
    assert code == 5 and one_object(out)["verdict"]["pvalue"] < 0.9999
    assert "below the required 0.9999" in sentence(err)
    assert minigan_("train", *tiny, "--require-ks", "0")[0] == 0


def test_where_nothing_can_be_written_the_exit_code_is_8(minigan_, tiny, place, sentence):
    (place / "file").write_text("x")
    for out_ in ("file", "file/below", "/dev/null/runs", "x" * 300):
        code, out, err = minigan_("train", *tiny, "--out", out_)
        assert code == 8 and out == ""
        sentence(err)
    assert [p.name for p in place.iterdir()] == ["file"]


def test_runs_go_where_the_environment_says(minigan_, tiny, place, monkeypatch, one_object):
    monkeypatch.setenv("MINIGAN_RUNS", "elsewhere")
    monkeypatch.setenv("MINIGAN_STEPS", "4")
    _, out, _ = minigan_("train", *tiny[:6], "--set", "eval_samples=100", "--json")
    assert one_object(out)["metrics"]["step"] == 4 and [p.name for p in place.iterdir()] == ["elsewhere"]


def test_a_runs_config_can_be_given_back(minigan_, trained, one_object):
    code, out, _ = minigan_("train", trained / "config.json", "--json")
    first = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    second = one_object(out)["metrics"]
    assert code == 0 and {**first, "seconds": 0} == {**second, "seconds": 0}


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


def test_print_config_shows_every_setting_and_who_set_it(minigan_, place, monkeypatch, one_object):
    monkeypatch.setenv("MINIGAN_SEED", "9")
    monkeypatch.setenv("MINIGAN_LR", "9")
    code, out, err = minigan_("train", "peaked", "--steps", "7", "--set", "r1=0.1", "--print-config")
    lines = dict(line.split(" = ", 1) for line in out.splitlines())
    assert code == 0 and err.count("\n") == 1 and "MINIGAN_LR in the environment is no setting" in err
    assert list(lines) == list(fields())
    assert lines["target"] == '"laplace(0, 1)"    # preset peaked' and lines["seed"] == "9    # MINIGAN_SEED"
    assert (
        lines["steps"] == "7    # --steps"
        and lines["r1"] == "0.1    # --set"
        and "#" not in lines["objective"]
    )
    assert lines["r2"] == "0.01    # method shaped" and lines["method"] == '"shaped"    # preset peaked'
    assert list(place.iterdir()) == []
    _, out, _ = minigan_("train", "peaked", "--print-config", "--json")
    result = one_object(out)
    assert result["config"]["target"] == "laplace(0, 1)" and result["origins"]["target"] == "preset peaked"


def test_print_config_shows_the_file(minigan_, place):
    (place / "a.toml").write_text("steps = 5\n[generator]\nwidths = [3]\n")
    _, out, _ = minigan_("train", "a.toml", "--print-config")
    assert "steps = 5    # file 'a.toml'" in out and "generator.widths = [3]    # file 'a.toml'" in out


WILD = (
    "--set", "generator_optimizer.rate=10", "--set", "discriminator_optimizer.rate=10", "--set", "steps=150",
    "--set", "generator.widths=8", "--set", "discriminator.widths=8", "--set", "batch=32",
    "--set", "eval_every=30",
)  # fmt: skip


def test_what_went_wrong_is_named_with_the_next_thing_to_try(minigan_, tiny, place, one_object):
    code, out, _ = minigan_("train", *tiny, *WILD)
    assert code == 0
    after = out[out.index("What went wrong, and what to try next:") :]
    assert out.index("Can be told apart. ") < out.index(after)
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


def test_nothing_is_said_where_nothing_went_wrong(minigan_, tiny, trained, one_object):
    code, out, _ = minigan_("train", *tiny, "--json")
    assert code == 0 and one_object(out)["findings"] == []
    assert "wrong" not in minigan_("train", *tiny)[1] + minigan_("eval", trained)[1]


def test_a_run_is_named_after_what_it_learns(minigan_, tiny, files, one_object):
    for arguments, name in (
        (("--target", "student(40)"), "student-40"),
        (("--data", files / "one.csv"), "one"),
        (("--target", "student(40)", "--set", "name=mine"), "mine"),
        (("student",), "student"),
    ):
        code, out, _ = minigan_("train", *arguments, *tiny, "--json")
        assert code == 0 and f"-{name}-" in Path(one_object(out)["run"]).name


def test_a_target_and_data_together_are_refused(minigan_, tiny, files, sentence):
    code, _, err = minigan_("train", "--target", "normal(0,1)", "--data", files / "one.csv", *tiny)
    assert code == 2 and "not both" in sentence(err)


def test_the_report_says_what_the_loss_of_d_means(minigan_, tiny):
    code, out, _ = minigan_("train", *tiny)
    assert code == 0 and "ln 4 = 1.3863" in out and re.search(r"JS\(p, q\) ≥ (\(ln 4 − V\)/2 = )?0\.", out)


@pytest.mark.parametrize(
    ("objective", "level", "said"),
    [
        ("hinge", "2", "TV(p, q) ≥"),
        ("wasserstein", "0", "W₁(p, q) ≈"),
        ("least_squares", "¼ = 0.25", "∫(p − q)²/(p + q) ≥"),
        ("alpha(0.5, 1)", "2", "∫(√p − √q)² ≥"),
    ],
)
def test_a_run_with_another_objective_is_drawn_and_reported(minigan_, tiny, tmp_path, objective, level, said):
    code, out, err = minigan_("train", "--out", str(tmp_path), "--set", f"objective={objective}", *tiny)
    assert code == 0, err
    player = "critic" if objective == "wasserstein" else "D"
    assert f"The loss of {'the ' * (player != 'D')}{player} is V" in out and said in out
    assert f"({level} when it cannot tell)" in out and f"is {level}, and KS" in err
    assert not re.search(r"[-−]0\.0000", out) and "ln 4" not in out + err
    if objective == "wasserstein":  # whose D has no ratio of densities in it; others in test_overview.py
        from minigan.reports.overview import save_overview

        (run,) = tmp_path.iterdir()
        assert save_overview(RunDirectory.open(run)).is_file()


def test_a_preset_is_judged_by_what_it_sets_out_to_show(minigan_, place, monkeypatch):
    monkeypatch.setattr("minigan.front.figures.save_overview", lambda *_: Path("figure.png"))
    short = ("--steps", "4", "--set", "eval_every=2", "--set", "eval_samples=200")
    said = (
        "The preset dirac-r1 sets out to show: 5 % or less of its circle is left. This run does not: circle"
    )
    assert said in minigan_("train", "dirac-r1", *short)[1]
    (run,) = (place / "runs").iterdir()
    assert said in minigan_("eval", str(run))[1] and said not in minigan_("eval", str(run), "--at", "best")[1]
    assert "sets out" not in minigan_("train", "dirac-r1", *short, "--set", "r1=0.4")[1]


def test_names_in_data_reach_the_terminal_and_the_log_as_text(minigan_, place, tiny):
    name = "a\x1b[31m.csv"
    rows = np.random.default_rng(0).normal(size=(60, 2))
    np.savetxt(name, rows, delimiter=",", header="\x1b[31mx,[red]y", comments="")
    for arguments in (("train", *tiny, "--data", name), ("eval", name, "--data", name)):
        code, out, err = minigan_(*arguments)
        assert code == 0 and "\x1b" not in out.replace(name, "") + err and "\\x1b[31m" in out + err
        assert "[red]y" in out
    (log,) = (place / "runs").glob("*/log.txt")
    assert "\x1b" not in log.read_text()


def test_a_finished_run_that_is_shown_again_is_left_as_it_is(minigan_, place, trained):
    run = Path(shutil.copytree(trained, place / "run"))
    (run / "plots/overview.png").touch()
    files = [file for file in run.rglob("*.*") if file.name != ".lock"]  # which older filelocks open to write
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}
    code, out, err = minigan_("train", "--resume", run)
    assert code == 0 and "Trained in" in out and "nothing is trained" in err
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in before} == before
    (run / "verdict.json").unlink()
    assert minigan_("train", "--resume", run)[0] == 0 and (run / "verdict.json").exists()
