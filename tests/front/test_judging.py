"""``mg.eval``: samples from anywhere beside a distribution or data, as ``minigan eval`` judges a file."""

import json

import numpy as np
import pytest

import minigan as mg
from minigan import cli
from minigan.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, brief_judge):
    monkeypatch.chdir(tmp_path)


def test_eval_is_what_the_command_line_says(capsys):
    rng = np.random.default_rng(0)
    one, two, real = rng.normal(size=300), rng.normal(size=(60, 2)), rng.normal(size=(80, 2))
    for name, array in {"one": one, "two": two, "real": real}.items():
        np.save(f"{name}.npy", array)
    for samples, against, option in (
        (one, "normal(0, 1)", ("one.npy", "--target", "normal(0, 1)")),
        (two, real, ("two.npy", "--data", "real.npy")),
        (two, "ring(8, 1, 0.1)", ("two.npy", "--target", "ring(8, 1, 0.1)")),
    ):
        assert cli.main(["-q", "eval", *option, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)["verdict"]
        assert json.loads(json.dumps(mg.eval(samples, against).as_dict()))["rows"] == said["rows"]
    assert mg.eval("one.npy", mg.Normal(0.0, 1.0)) == mg.eval(one, "normal(0, 1)")
    assert not mg.eval(np.zeros(99), "normal(0, 1)").indistinguishable  # without a warning
    assert mg.eval("one.npy", "normal(0, 1)").sentence == mg.eval(one.tolist(), "normal(0, 1)").sentence


def test_columns_of_one_name_belong_together():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=200), rng.normal(5, 1, size=200)
    turned = mg.eval({"b": b, "a": a}, {"a": a, "b": b})
    assert turned.rows[0].value < 1e-5 and mg.eval({"b": b, "a": a}, np.stack([a, b], 1)).rows[0].value > 1


def test_samples_with_a_label_are_judged_by_class():
    """A sample that swaps two classes is right as a whole; a perfect one passes, of data and of a mixture."""
    rng, mixture = np.random.default_rng(0), "0.5*normal(0, 1) + 0.5*normal(4, 1)"
    k = rng.integers(0, 2, 2000)
    for features in (1, 2):
        shift = np.eye(2)[0] * 4
        rows, real = (rng.normal(size=(2000, 2)) + k[:, None] * shift for _ in range(2))
        sides = [{**dict(zip("xy", part.T[:features], strict=False)), "k": k} for part in (rows, real)]
        turned = {**sides[0], "k": 1 - k}
        perfect, swapped = (mg.eval(made, sides[1], label="k") for made in (sides[0], turned))
        assert perfect.indistinguishable and [part.name for part in perfect.classes] == ["0", "1"]
        assert swapped.distinguishable and all(part.verdict.distinguishable for part in swapped.classes)
        leak = next(row for row in swapped.rows if row.name == "class leakage")
        assert leak.value > 0.9 and leak.perfect < 0.05 and not leak.within
    one = {"x": rows[:, 0], "component": k}
    judged = mg.eval(one, mixture, label="component")
    assert judged.indistinguishable and len(judged.classes) == 2
    assert mg.eval({**one, "component": 1 - k}, mixture, label=1).distinguishable
    with pytest.raises(
        DataError, match=r"label='kind', or take the columns that are numbers: columns=\['x'\]"
    ):
        mg.eval({"x": rows[:, 0], "kind": list("ab") * 1000}, mixture)


@pytest.mark.rows(
    ("samples", "against", "error"),
    [
        ([1.0, 2.0, 3.0], "ring8", ConfigError),
        ([1.0, 2.0, 3.0], None, ConfigError),
        ("normal(0, 1)", "normal(0, 1)", ConfigError),
        ([1.0, 2.0, 3.0], "ring(8, 1, 0.1)", DataError),
        ([1.0, 2.0, 3.0], [[1.0, 2.0], [2.0, 1.0]], DataError),
        ([1.0, np.nan], "normal(0, 1)", DataError),
        ("absent.csv", "normal(0, 1)", DataError),
    ],
)
def test_what_cannot_be_judged_is_refused(samples, against, error):
    with pytest.raises(error) as caught:
        mg.eval(samples, against)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)
