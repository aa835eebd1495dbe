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
    assert turned.rows[0].value < 1e-9 and mg.eval({"b": b, "a": a}, np.stack([a, b], 1)).rows[0].value > 1


@pytest.mark.parametrize(
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
    ids=str,
)
def test_what_cannot_be_judged_is_refused(samples, against, error):
    with pytest.raises(error) as caught:
        mg.eval(samples, against)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)
