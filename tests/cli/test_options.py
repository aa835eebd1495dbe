"""Options that are spellings of --set, what stands in another's place, options that a command lacks."""

import json
import shutil

import pytest

from minigan.training.config import fields
from minigan.training.presets import PRESETS
from minigan.training.spellings import DEVICES, OPTIONS
from minigan.training.synonyms import FLAGS


@pytest.fixture
def printed(minigan_, one_object):
    """What ``train --print-config`` makes of arguments: {setting: (value, origin)}."""

    def run(*arguments):
        code, out, err = minigan_("train", *arguments, "--print-config", "--json")
        assert code == 0, err
        result = one_object(out)
        flat = {}
        for name in fields():
            value = result["config"]
            for part in name.split("."):
                value = value[part]
            flat[name] = value, result["origins"][name]
        return flat

    return run


@pytest.fixture
def said(minigan_, place):
    """The refusal of arguments, with code 2 and in one line behind the usage."""

    def run(*arguments):
        code, out, err = minigan_(*arguments)
        assert code == 2 and out == "" and len(err.splitlines()) <= 4, err
        return " ".join(err.split())

    return run


# ── spellings of --set


@pytest.mark.rows(
    ("option", "value", "settings"),
    [
        ("--batch", "64", {"batch": 64}), ("--objective", "Hinge", {"objective": "hinge"}),
        ("--steps", "1e3", {"steps": 1000}),
        ("--lr", ".01", {"generator_optimizer.rate": 0.01, "discriminator_optimizer.rate": 0.01}),
        ("--seed", "7", {"seed": 7}),
        ("--device", "cpu", {"backend": "numpy", "execution": "auto"}),
        ("--device", "CUDA:0", {"backend": "cupy", "execution": "auto"}),
        ("--device", "gpu", {"backend": "cupy"}), ("--device", "auto", {"backend": "auto"}),
        ("--dtype", "float64", {"dtype": "float64"}),
        ("--backend", "strict", {"backend": "strict"}),
        ("--target", "N(1,2)", {"target": "N(1,2)", "data": None, "header": None, "label": None}),
    ],
)  # fmt: skip
def test_an_option_is_a_spelling_of_set_and_names_itself(printed, option, value, settings):
    found, usual = printed(option, value), printed()
    assert {name: found[name] for name in settings} == {n: (v, option) for n, v in settings.items()}
    changed = {name for name in found if found[name] != usual[name]}
    assert changed - {"name", "execution", "columns", "header"} <= settings.keys()
    same = printed(*(part for n, v in settings.items() for part in ("--set", f"{n}={json.dumps(v)}")))
    assert {n: v for n, (v, _) in same.items() if n != "name"} == {
        n: v for n, (v, _) in found.items() if n != "name"
    }


def test_each_has_an_option_and_sets_what_exists(minigan_):
    from minigan.cli.train import train

    options = {opt for parameter in train.params for opt in parameter.opts}
    for key, names in {**OPTIONS, "device": ("backend",)}.items():
        assert f"--{key}" in options and set(names) <= fields().keys()


@pytest.mark.rows(("arguments", "source"), [
    (("--seed", "x"), "from --seed"), (("--lr", "0"), "from --lr"), (("--batch", "1"), "from --batch"),
    (("--steps", "1k"), "from --steps; write 1e3"),
    (("--dtype", "half"), "from --dtype; did you mean 'float32'"),
    (("--set", "seed=x"), "from --set"), (("--objective", "wgan"), "did you mean 'wasserstein'"),
    (("--device", "tpu"), "--device takes one of auto, cpu, cuda, gpu"),
    (("--device", "cuda:1"), "CUDA_VISIBLE_DEVICES=1"),
])  # fmt: skip
def test_a_refusal_blames_the_option_that_was_given(said, arguments, source):
    assert source in said("train", *arguments)


@pytest.mark.rows("arguments", [
    ("--seed", "2", "--set", "seed=3"), ("--device", "cuda", "--backend", "numpy"),
    ("--device", "cpu", "--set", "backend=cupy"),
    ("--target", "N(0,1)", "--set", "target=N(1,1)"), ("--batch", "8", "--set", "batch=16"),
])  # fmt: skip
def test_two_values_for_one_setting_are_refused(said, arguments):
    assert "is given twice, by --" in said("train", *arguments)


def test_what_agrees_or_refines_is_taken(printed):
    assert printed("--seed", "3", "--set", "seed=3")["seed"][0] == 3
    found = printed("--lr", "0.1", "--set", "generator_optimizer.rate=0.2")
    assert [found[f"{player}_optimizer.rate"][0] for player in ("generator", "discriminator")] == [0.2, 0.1]
    assert printed("--set", "seed=1", "--set", "seed=2")["seed"] == (2, "--set")
    assert printed("--fast-dev-run", "--steps", "3")["steps"] == (3, "--steps")
    assert printed("--fast-dev-run")["steps"] == (20, "--fast-dev-run")


def test_a_target_is_learnt_instead_of_the_data_of_a_file(printed, place, files, said):
    (place / "a.toml").write_text(f'data = {json.dumps(str(files / "three.csv"))}\ncolumns = ["a"]\n')
    assert printed("a.toml")["data"][0] is not None
    found = printed("a.toml", "--target", "normal(0, 1)")
    assert found["data"] == (None, "--target") and found["target"][0] == "normal(0, 1)"
    for other in (("--data", "x.csv"), ("--set", "data=x.csv")):
        assert "not both" in said("train", "--target", "normal(0,1)", *other)


# ── what stands in another's place


@pytest.mark.parametrize(("source", "place_of_it"), [
    ("d.csv", "--data d.csv"), ("absent.csv", "--data absent.csv"),
    ("sub/absent.npy", "--data sub/absent.npy"),
    ("a b.csv", "--data 'a b.csv'"), ("rows", "--data rows"),
    ("normal(4,1.25)", "--target 'normal(4,1.25)'"),
    ("N(4,1.25)", "--target 'N(4,1.25)'"), ("0.5*normal(0,1)+0.5*N(1,1)", "--target '0.5*normal"),
    ("laplace", "--target 'laplace(location"),
    ("gaussian2(0", "--target"), ("batch=64", "--set batch=64"), ("--lr=3"[2:], "--set lr=3"),
    ("64", "--set batch=64"), (".5", "--steps 1000"),
    ("wgan", "--objective wasserstein"), ("wasserstein", "--objective wasserstein"),
    ("folder", "this is a directory"), (".", "this is a directory"),
    ("c.safetensors", "minigan inspect"), ("data.parquet", "--data data.parquet"),
])  # fmt: skip
def test_what_is_no_preset_is_shown_its_place(said, place, source, place_of_it):
    (place / "d.csv").write_text("1\n2\n")
    (place / "rows").write_text("1\n2\n")
    (place / "folder").mkdir()
    message = said("train", source)
    assert "there is no preset" in message and place_of_it in message


def test_a_run_as_the_preset_is_shown_its_place(said, place, trained, one_object, minigan_):
    shutil.copytree(trained, "run")
    message = said("train", "run")
    assert "run/config.json" in message and "--resume run" in message
    assert "--resume" not in said("graph", "run")
    assert minigan_("train", "run/config.json", "--print-config")[0] == 0


def test_a_command_without_the_option_is_shown_the_set(said):
    assert "--set data=d.csv" in said("graph", "d.csv")
    assert "--set 'target=normal(0,1)'" in said("explain", "normal(0,1)")


@pytest.mark.rows(("arguments", "says"), [
    (("--target", "d.csv"), "write --data d.csv"), (("--set", "target=d.csv"), "write --data d.csv"),
    (("--target", "ring8"), "write minigan train ring8"),
    (("--data", "normal(0,1)"), "write --target 'normal(0,1)'"),
    (("--set", "data=N(0,1)"), "write --target 'N(0,1)'"), (("a.yaml",), "cannot be read"),
    (("no/dir/",), "cannot be read"),
])  # fmt: skip
def test_a_target_and_data_in_each_others_place(said, arguments, says):
    assert says in said("train", *arguments)


def test_a_name_is_still_the_nearest_preset(said):
    for name in ("ring", "gausian", "hinges", "mixtur"):
        assert "did you mean" in said("train", name)
    assert "choose one of gaussian" in said("train", "qqqq")
    assert not {"laplace", "wgan", "normal"} & PRESETS.keys()  # what the cases above stand for


# ── options that a command does not have


@pytest.mark.rows(("arguments", "offer"), [
    ("train --gpu", "--device cuda?"), ("train --cuda", "--device cuda?"),
    ("train --cpu", "--device cpu?"), ("train --no-cuda", "--device cpu?"),
    ("train --epochs 3", "--steps?"), ("train --iterations=3", "--steps?"),
    ("train --batch-size 4", "--batch?"), ("train --bs 4", "--batch?"),
    ("train -b 4", "--batch?"), ("train --learning-rate 1", "--lr?"), ("train --learning_rate=1", "--lr?"),
    ("train -lr 1", "--lr?"),
    ("train --no-plots", "a run draws one figure"), ("train --plots=false", "a run draws one figure"),
    ("train --no-gpu", "--device cpu?"), ("train --wandb", "metrics.jsonl"),
    ("train --no-ema", "average.name=…"),
    ("train --loss wgan", "--objective?"),
    ("train --hidden 8", "--set generator.widths=… or --set discriminator.widths=…"),
    ("train --latent-dim 8", "--set latent.size=…"), ("train --n-critic 5", "--set discriminator_steps=…"),
    ("train --threads 2", "--set threads=…"),
    ("train --eval-every 3", "--set eval_every=…"),
    ("train --generator.widths=3", "--set generator.widths=…"), ("train --output x", "--out?"),
    ("train --law x", "--target?"), ("train --csv x", "--data?"), ("train --continue x", "--resume?"),
    ("train --dry-run", "--fast-dev-run?"),
    ("train --verbose", "--debug?"), ("train --config a", "minigan train [PRESET|CONFIG]"),
    ("train --sed 3", "--seed?"), ("train --zzz", "--help lists"),
    ("explain --lr 3", "--set generator_optimizer.rate=…"), ("graph --batch 3", "--set batch=…"),
    ("sweep --epochs 3", "--set steps=…"),
    ("sample x --number 3", "-n?"), ("sample x --seed 3", "--index"), ("sample x --out y", "--output?"),
    ("eval x --dist y", "--target?"),
    ("export x --out y", "--npz?"), ("sample --run x", "minigan sample RUN"),
    ("--verbose presets", "--debug?"), ("presets --quite", "--quiet?"),
])  # fmt: skip
def test_an_unknown_option_is_answered_with_the_one_that_is_meant(said, arguments, offer):
    message = said(*arguments.split())
    assert "No such option '-" in message and offer in message


def test_an_option_never_leads_to_another_by_its_letters(said):
    """--lr was once taken for --help."""
    for option in ("--lr", "--batch", "--hue", "--jobs", "--qqq", "--x"):
        assert "did you mean" not in said("presets", option)


def test_every_offered_option_exists():
    from minigan import cli

    commands = [cli.cli, *cli.cli.commands.values()]
    options = {opt for command in commands for parameter in command.params for opt in parameter.opts} | {
        "--help"
    }
    for row in FLAGS:
        assert row.ours in options, row


# ── numbers and choices of options, and what else is written


@pytest.mark.rows(("arguments", "says"), [
    ("sample RUN -n 10k", "'10k' is no whole number; write 10e3"),
    ("sample RUN -n 1.000", "write 1000 without marks"),
    ("sample RUN -n x", "'x' is no whole number"), ("sample RUN -n true", "'true' is no whole number"),
    ("sample RUN -n 1.5", "'1.5' is no whole number"), ("sample RUN --index 1,000", "write 1000"),
    ("sample RUN -n 0", "1<=x"), ("eval RUN --require-ks 0,5", "write 0.5 with a point"),
    ("eval RUN --require-ks .05%", "write 0.0005 for the share"), ("explain --seeds 1/2", "write its value"),
    ("graph --player x", "'D', 'G'"), ("gradcheck --order two", "no whole number"),
])  # fmt: skip
def test_a_number_of_an_option_is_refused_with_how_to_write_it(said, arguments, says):
    assert says in said(*arguments.split()) and "without quotes" not in said(*arguments.split())


def test_a_number_of_an_option_is_taken_in_every_usual_form(minigan_, trained):
    first = minigan_("sample", trained, "-n", "100")
    for text in ("1e2", "1E+2", "1_00", "100.", "0100", "+100"):
        assert minigan_("sample", trained, "-n", text) == first
    assert minigan_("sample", trained, "-n", "1e2", "--index", "0")[0] == 0
    assert minigan_("eval", trained, "--require-ks", ".0")[0] == 0


def test_a_choice_of_an_option_is_taken_in_any_case(minigan_):
    assert minigan_("completion", "BASH") == minigan_("completion", "bash")
    assert minigan_("graph", "--player", "d", "--set", "batch=2")[0] == 0


@pytest.mark.rows(("arguments", "says"), [
    (("help",), "minigan --help"), (("run",), "write minigan train"), (("generate",), "write minigan sample"),
    (("evaluate",), "write minigan eval"), (("list",), "write minigan compare"),
    (("plots",), "choose one of animate"),
    (("--seed", "3", "train"), "it stands behind its command, as minigan train --seed"),
    (("train", "--set", "generator.widths=[64,", "32]"), "--set 'generator.widths=[64, 32]'"),
    (("train", "--set", "generator.widths=64,", "32"), "write it in quotes"),
    (("train", "--set", "batch", "=64"), "--set batch=64"),
    (("train", "--set", "batch", "=", "64"), "write KEY=VALUE without spaces"),
    (("train", "--set", "batch", "64"), "--set batch=256"),
    (("train", "a", "b"), "unexpected extra argument"),
    (("sweep", "ring8"), "a .toml or .json file with a table vary"),
    (("sweep", "d.csv"), "a .toml or .json file with a table vary"), (("sweep", "."), "a table vary"),
    (("export", "RUN"), "received no --npz"), (("eval", "d.csv", "--target", "e.csv"), "write --data e.csv"),
    (("eval", "d.csv", "--data", "N(0,1)"), "write --target 'N(0,1)'"),
    (("eval", "d.csv", "--data", "d.csv", "-n", "100"), "-n says how many"),
    (("eval", "d.csv", "--target", "ring8"), "write --target 'ring(8, 1, 0.01)'"),
])  # fmt: skip
def test_what_a_newcomer_writes_is_answered(said, arguments, says):
    assert says in said(*arguments)


def test_every_command_that_is_offered_exists():
    from minigan import cli
    from minigan.training.synonyms import COMMANDS

    for row in COMMANDS:
        assert row.ours.split()[0] in {*cli.cli.commands, "--help", "--version"}
        assert not set(row.words.split()) & cli.cli.commands.keys()


def test_a_file_for_another_command_says_so(said, place):
    (place / "s.toml").write_text('[vary]\nseed = "0:3"\n')
    assert "minigan sweep FILE" in said("train", "s.toml")
    (place / "c.toml").write_text("steps = 5\n")
    assert "settings stand in its tables set" in said("sweep", "c.toml")
    (place / "begun").mkdir()
    (place / "begun" / "sweep.json").write_text("{}")
    assert "--resume begun" in said("sweep", "begun") and "minigan sweep --resume begun" in said(
        "train", "begun"
    )


def test_the_values_of_options_are_completed():
    from tests.cli.test_completion import values

    assert values("train", "--device", "") == list(DEVICES) and values("train", "--objective", "hi") == [
        "hinge"
    ]
    assert values("train", "--set", "dtype=") == ["dtype=float32", "dtype=float64"]
    assert values("train", "--set", "order=s") == ["order=simultaneous"]
