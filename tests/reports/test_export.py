"""Exports: what another program computes from the arrays is what minigan computes."""

import io
import json

import numpy as np
import pytest

from minigan.errors import CheckpointError
from minigan.reports.export import FORMULAS, as_npz, read_model
from minigan.storage import checkpoint
from minigan.storage.directory import RunDirectory
from minigan.training.config import Config, to_json
from minigan.training.experiment import Experiment
from minigan.training.settings import resolve
from minigan.training.trainer import train

TINY = ("method=plain", "generator.widths=[5,4]", "discriminator.widths=[3]", "batch=8", "steps=4",
        "eval_every=2", "eval_samples=100", "dtype=float64")  # fmt: skip
FUNCTIONS = {  # by their formulas, in NumPy
    "tanh(x)": np.tanh,
    "max(x, 0)": lambda x: np.maximum(x, 0),
    "max(x, 0.2 x)": lambda x: np.maximum(x, 0.2 * x),
    "1 / (1 + exp(-x))": lambda x: 1 / (1 + np.exp(-x)),
    "ln(1 + exp(x))": lambda x: np.log(1 + np.exp(x)),
    "x if x > 0 else exp(x) - 1": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "x / (1 + exp(-x))": lambda x: x / (1 + np.exp(-x)),
}


def made(root, *sets):
    """A trained experiment and its run directory."""
    config = resolve(environ={}, sets=(*TINY, *sets))
    experiment = Experiment(config)
    with RunDirectory.create(root, "a", to_json(config)) as run:
        train(experiment, run)
    return experiment, run.path


def by_hand(file, player, x):
    """The network ``player`` of an opened .npz at x."""
    network = json.loads(str(file["architecture"]))[player]
    layers = len(network["sizes"]) - 1
    for i in range(layers):
        x = x @ file[f"{player}.{i}.W"] + file[f"{player}.{i}.b"]
        x = FUNCTIONS[network["formula"]](x) if i < layers - 1 else x
    return x


@pytest.mark.parametrize(
    "sets",
    [(), ("target=ring(8, 1, 0.01)", "latent.size=3"), ("packing=2",), ("generator.widths=[]",),
     *[(f"generator.activation={name}", f"discriminator.activation={name}") for name in FORMULAS]],
    ids=str,
)  # fmt: skip
def test_numpy_alone_computes_what_minigan_computes(tmp_path, sets, brief_judge):
    experiment, path = made(tmp_path, *sets)
    model, notes = read_model(path)
    with np.load(io.BytesIO(as_npz(model)), allow_pickle=False) as file:
        told = json.loads(str(file["architecture"]))
        z = np.random.default_rng(0).normal(size=(20, told["latent"]["size"]))
        x = by_hand(file, "average", z) * file["scale"] + file["shift"]
        np.testing.assert_allclose(x, experiment.generate(z), rtol=1e-12, atol=1e-12)
        newest = by_hand(file, "generator", z) * file["scale"] + file["shift"]
        np.testing.assert_allclose(newest, experiment.generate(z, averaged=False), rtol=1e-12, atol=1e-12)
        rows = np.tile((x - file["shift"]) / file["scale"], told["packing"])
        np.testing.assert_allclose(
            by_hand(file, "discriminator", rows), experiment.logits(x), rtol=1e-12, atol=1e-12
        )
    assert notes == () and told["step"] == model.step == 4


def test_every_activation_has_its_formula():
    from minigan.training.config import fields

    assert set(FORMULAS) == set(fields()["generator.activation"].type.values)


def test_nothing_but_the_model_is_exported_and_the_bytes_are_the_same_twice(tmp_path):
    _, path = made(tmp_path)
    model, _ = read_model(path)
    assert not [name for name in model.arrays if "optimizer" in name or "frames" in name]
    assert as_npz(model) == as_npz(read_model(path)[0])
    assert Config(**{}) != model.architecture["config"]  # it is plain JSON
    assert json.loads(json.dumps(model.architecture)) == model.architecture


def test_data_are_not_needed(tmp_path):
    table = tmp_path / "t.csv"
    np.savetxt(table, np.random.default_rng(0).normal(size=(60, 3)), delimiter=",")
    from minigan.training.data import read_data

    config = resolve(environ={}, sets=(*TINY, f"data={table}"))
    with RunDirectory.create(tmp_path / "runs", "a", to_json(config)) as run:
        train(Experiment(config, data=read_data(str(table))), run)
    table.unlink()
    assert read_model(run.path)[0].architecture["features"] == 3


def test_another_network_is_refused(tmp_path):
    _, path = made(tmp_path)
    config = json.loads((path / "config.json").read_text())
    config["generator"]["widths"] = [5, 9]
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"generator.widths was \[5, 4\], is \[5, 9\]"):
        read_model(path)


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    experiment, path = made(tmp_path)
    with RunDirectory.open(path, lock=True) as run:
        arrays = {name: array.copy() for name, array in experiment.arrays().items()}
        arrays["generator.0.W"][...] = np.nan
        checkpoint.save_step(run, 3, experiment.arrays(), {})
        checkpoint.save_step(run, 4, arrays, {})
    with pytest.raises(CheckpointError, match=r"not finite, in 'generator.0.W'.* of step 3 \(--at 3\)"):
        read_model(path)
    assert read_model(path, "3")[0].step == 3
