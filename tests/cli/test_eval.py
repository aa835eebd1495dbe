"""eval: the verdict on runs and files, and what cannot be judged."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from minigan.cli.common import print_verdict
from minigan.evaluation.verdict import judge
from minigan.probability.distributions import Normal


def test_eval_of_a_run_is_its_verdict(minigan_, trained, one_object):
    code, out, err = minigan_("eval", trained, "--json")
    verdict = json.loads((trained / "verdict.json").read_text())
    assert code == 0 and err == "" and one_object(out)["verdict"] == verdict
    code, out, _ = minigan_("eval", trained, "-n", 150)
    assert code == 0 and "these 150 values" in " ".join(out.split())


def test_eval_of_a_file(minigan_, files, one_object):
    code, out, _ = minigan_("eval", files / "one.csv", "--target", "normal(0,1)")
    assert code == 0 and "cannot tell" in " ".join(out.split())
    code, out, _ = minigan_("eval", files / "one.csv", "--target", "normal(5,1)", "--json")
    assert code == 0 and one_object(out)["verdict"]["distinguishable"] is True
    code, out, _ = minigan_("eval", files / "three.csv", "--data", files / "three.csv")
    assert code == 0 and "3 features" in " ".join(out.split())


def test_a_distribution_of_the_plane_from_training_to_evaluation(minigan_, tiny, place, sentence, one_object):
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
    code, out, err = minigan_("eval", "rows.csv", "--target", "ring")
    assert code == 2 and "ring(modes = 8, radius = 1, sd = 0.01)" in sentence(err)


def test_several_draws_say_how_much_is_chance(minigan_, trained, files, one_object, sentence):
    code, out, _ = minigan_("eval", trained, "--draws", 4, "--json")
    found = one_object(out)
    draws = found["draws"]
    assert code == 0 and draws["draws"] == 4 and len(draws["pvalues"]) == 4
    assert draws["pvalues"][0] == found["verdict"]["pvalue"] and len(set(draws["pvalues"])) > 1
    assert draws["passed"] == sum(p >= 0.05 for p in draws["pvalues"])
    assert found["verdict"] == json.loads((trained / "verdict.json").read_text())
    code, out, _ = minigan_("eval", trained, "--draws", 4)
    assert code == 0 and f"Of 4 draws {draws['passed']} cannot be told apart" in " ".join(out.split())
    code, _, err = minigan_("eval", files / "one.csv", "--target", "normal(0,1)", "--draws", 2)
    assert code == 2 and "a file is one draw" in sentence(err)


def test_three_rows_are_too_few(minigan_, place, one_object):
    Path("few.csv").write_text("1\n2\n3\n")
    code, out, _ = minigan_("eval", "few.csv", "--target", "normal(2,1)", "--json")
    verdict = one_object(out)["verdict"]
    assert (
        code == 0 and verdict["indistinguishable"] is None and verdict["headline"] == "too few values to tell"
    )
    assert verdict["distinguishable"] is None and verdict["judged_on_learned"] is False
    code, out, _ = minigan_("eval", "few.csv", "--target", "normal(2,1)")
    assert code == 0 and "Too few values to tell. " in " ".join(out.split()) and "from 53 values" in out
    code, out, _ = minigan_("eval", "few.csv", "--data", "few.csv", "--json")
    assert one_object(out)["verdict"]["indistinguishable"] is None


def test_eval_with_a_bar_to_pass(minigan_, files, trained, sentence):
    code, out, err = minigan_("eval", files / "one.csv", "--target", "normal(5,1)", "--require-ks", "0.05")
    assert code == 5 and "perfect sampler" in out and "p-value" in sentence(err)
    assert minigan_("eval", files / "one.csv", "--target", "normal(0,1)", "--require-ks", "0.05")[0] == 0
    assert minigan_("eval", trained, "--require-ks", "0.9999")[0] == 5


@pytest.mark.rows(
    ("arguments", "code"),
    [
        (["one.csv"], 2), (["absent.csv"], 2), (["absent.csv", "--target", "normal(0,1)"], 3), (["three.csv",
        "--target", "normal(0,1)"], 3), (["one.csv", "--target", "ring(8)"], 3), (["three.csv", "--target",
        "ring(8)"], 3),
        (["three.csv", "--data", "one.csv"], 3), (["one.csv", "--data", "three.csv"], 3), (["one.csv",
        "--data", "absent.csv"], 3),
        (["one.csv", "--data", "one.csv", "--target", "normal(0,1)"], 2), (["one.csv", "--target",
        "normal(0"], 2),
        (["RUN", "--target", "ring(8)"], 3), (["RUN", "--data", "three.csv"], 3),
        (["RUN", "--label", "x"], 2),
        (["one.csv", "--data", "constant.npy"], 3), (["x" * 5000, "--target", "normal(0,1)"], 3), (["."], 3),
        (["huge.npy", "--data", "one.csv"], 3), (["one.csv", "--data", "huge.npy"], 3),
    ],
)  # fmt: skip
def test_bad_evaluations_are_refused(minigan_, files, trained, arguments, code, sentence):
    named = [trained if a == "RUN" else files / a if a.endswith((".csv", ".npy")) else a for a in arguments]
    got, out, err = minigan_("eval", *named)
    assert got == code and out == "", err
    sentence(err)


def test_a_collapsed_sample_is_judged(minigan_, files, one_object):
    code, out, _ = minigan_("eval", files / "constant.npy", "--target", "normal(0,1)", "--json")
    assert code == 0 and one_object(out)["verdict"]["distinguishable"]


def test_a_run_beside_something_else_is_its_sample(minigan_, trained, files, one_object):
    code, out, _ = minigan_("sample", trained, "-n", 150, "--index", 1, "-o", files / "made.csv")
    assert code == 0
    for option in (("--target", "normal(5,1)"), ("--data", files / "one.csv")):
        code, out, _ = minigan_("eval", trained, *option, "-n", 150, "--draws", 2, "--json")
        found = one_object(out)
        assert code == 0 and found["draws"]["draws"] == 2
        code, out, _ = minigan_("eval", files / "made.csv", *option, "--json")
        assert code == 0 and one_object(out)["verdict"]["pvalue"] == found["draws"]["pvalues"][1]


def test_files_with_a_label_are_judged_by_class(minigan_, place, one_object, sentence):
    rng = np.random.default_rng(0)
    for name, classes in (("made", "ab"), ("real", "ab"), ("turned", "ba"), ("three", "abc")):
        kinds = [classes[k % len(classes)] for k in range(300)]
        x = rng.normal(size=300) + np.array([4 * (k % len(classes)) for k in range(300)])
        lines = (f"{kind},{value!r}" for kind, value in zip(kinds, x.tolist(), strict=True))
        Path(f"{name}.csv").write_text("kind,x\n" + "\n".join(lines))
    code, out, _ = minigan_("eval", "made.csv", "--data", "real.csv", "--label", "kind", "--json")
    found = one_object(out)["verdict"]
    assert (
        code == 0
        and found["distinguishable"] is False
        and [c["name"] for c in found["classes"]] == ["a", "b"]
    )
    code, out, _ = minigan_("eval", "turned.csv", "--data", "real.csv", "--label", "0")
    assert code == 0 and "class leakage" in out and "told apart" in out and "together at" not in out
    code, out, _ = minigan_(
        "eval", "turned.csv", "--target", "0.5*normal(0,1)+0.5*normal(4,1)", "--label", "kind"
    )
    assert code == 3 and out == ""
    for arguments, says in (
        (
            ("three.csv", "--data", "real.csv", "--label", "kind"),
            "three.csv has the class 'c', and real.csv has",
        ),
        (
            ("made.csv", "--data", "three.csv", "--label", "kind"),
            "three.csv has the class 'c', and made.csv has",
        ),
        (("made.csv", "--data", "real.csv", "--label", "kin"), "no column 'kin'; did you mean 'kind'"),
        (("made.csv", "--data", "real.csv"), "name it as the class of each row with --label kind"),
        (("made.csv", "--target", "normal(0,1)", "--label", "kind"), "normal(0, 1) is none"),
    ):
        code, out, err = minigan_("eval", *arguments)
        assert code in (2, 3) and out == "" and says in sentence(err), err


def test_data_that_changed_since_the_run_are_refused(minigan_, tiny, tmp_path, sentence, one_object):
    table = tmp_path / "table.csv"
    table.write_text("x\n" + "\n".join(str(k % 7 + 0.5 * (k % 3)) for k in range(60)))
    code, out, _ = minigan_("train", "--data", table, *tiny, "--json")
    run = one_object(out)["run"]
    assert code == 0 and minigan_("eval", run)[0] == 0
    table.write_text("x\n" + "\n".join(str(k % 5) for k in range(60)))
    code, _, err = minigan_("eval", run)
    assert code == 3 and "trained on" in sentence(err)


def table(out):
    """The lines of a table, split at its gaps."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]


def test_a_file_has_no_checkpoints_to_choose_from(minigan_):
    code, _, err = minigan_("eval", "a.csv", "--target", "normal(0,1)", "--at", "best")
    assert code == 2 and "--at" in err


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two samples of one distribution, in which y is not x, under several heads."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    for name, head, columns in (
        ("xy", "x,y\n", (0, 1)), ("yx", "y,x\n", (1, 0)), ("index", ",y,x\n", (2, 1, 0)),
        ("text", "y,of,x\n", (1, 3, 0)), ("YX", "Y, X\n", (1, 0)),
        ("ab", "a,b\n", (0, 1)), ("xz", "x,z\n", (0, 1)), ("bare", "", (0, 1)), ("twice", "x,x\n", (0, 1)),
    ):  # fmt: skip
        rows = zip(rng.normal(0, 1, 300), rng.normal(5, 2, 300), range(300), ["Ford"] * 300, strict=True)
        lines = [",".join(str(row[j]) for j in columns) for row in rows]
        (folder / f"{name}.csv").write_text(head + "\n".join(lines))
    return folder


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("yx", "by name: x, y"), ("YX", "by name: x, y"), ("index", "by name: x, y"),
        ("text", "of is in one of the files alone"),
        ("ab", "a with x, b with y"), ("bare", "'bare.csv' has no names"), ("twice", "x with x, x with y"),
    ],
)  # fmt: skip
def test_columns_are_paired_by_name_or_the_pairs_are_noted(
    minigan_, pairs, monkeypatch, one_object, name, says
):
    monkeypatch.chdir(pairs)
    code, out, err = minigan_("eval", f"{name}.csv", "--data", "xy.csv", "--json")
    verdict = one_object(out)["verdict"]
    assert code == 0 and says in " ".join(err.split()) and not verdict["distinguishable"]
    assert name not in ("yx", "YX", "index", "text") or "KS, x" in out or "KS, y" in out


def test_columns_that_agree_in_part_are_refused(minigan_, pairs, monkeypatch, sentence):
    monkeypatch.chdir(pairs)
    code, out, err = minigan_("eval", "xz.csv", "--data", "xy.csv")
    assert code == 3 and out == "" and "share the columns x" in sentence(err) and "(z, y)" in sentence(err)


def test_columns_of_a_target_of_the_plane_are_its_own(minigan_, tmp_path, one_object):
    from minigan.probability import parse

    rows = parse("spiral()").sample(np.random.default_rng(1), (400,))
    for head, part in (("x,y", rows), ("Y,X", rows[:, ::-1])):
        np.savetxt(tmp_path / "a.csv", part, delimiter=",", header=head)
        code, out, _ = minigan_("eval", tmp_path / "a.csv", "--target", "spiral()", "--json")
        assert code == 0 and not one_object(out)["verdict"]["distinguishable"], head


def test_of_too_few_values_no_row_is_green():
    target, rng = Normal(2, 1), np.random.default_rng(0)
    for count, green in ((3, False), (300, True)):
        console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=200)
        print_verdict(console, judge(target.quantile((np.arange(count) + 0.5) / count), target, rng))
        shown = console.file.getvalue()
        assert "within" in shown and ("\x1b[32m" in shown) == green, shown
