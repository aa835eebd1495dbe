"""Bends before the first step: as the data lie, each replica as alone, none where none are asked for."""

import numpy as np
import pytest

from minigan.training.data import Data
from minigan.training.experiment import Ensemble, Experiment
from minigan.training.settings import resolve

TINY = (
    "method=plain",
    "generator.widths=[6,5]",
    "discriminator.widths=[8]",
    "batch=8",
    "steps=4",
    "draws=stratified",
)
BENDS = ("generator.bends=data", "discriminator.bends=data")


def arrays(experiment):
    return {name: array for name, array in experiment.arrays().items() if name[-1] in "Wb"}


def table(features):
    values = np.random.default_rng(0).normal(3.0, 2.0, (200, features))
    return Data(values, tuple(f"x{j}" for j in range(features)), (), "table.csv")


def test_biases_are_zero_unless_asked_for_and_a_player_is_asked_alone():
    without = arrays(Experiment(resolve(environ={}, sets=TINY)))
    assert not any(array.any() for name, array in without.items() if name.endswith("b"))
    alone = arrays(Experiment(resolve(environ={}, sets=(*TINY, BENDS[1]))))
    for name, array in alone.items():
        assert np.array_equal(array, without[name]) == (
            name not in ("discriminator.0.W", "discriminator.0.b")
        )


@pytest.mark.parametrize("sets", [(), ("latent.distribution=uniform",), ("dtype=float64",)], ids="012")
def test_seeds_that_train_together_bend_as_alone_and_the_average_with_them(sets):
    config = resolve(environ={}, sets=(*TINY, *BENDS, "target=0.5*normal(-3, 1) + 0.5*normal(3, 1)", *sets))
    ensemble = Ensemble.of_seeds(config, (0, 1))
    ensemble.advance(3)
    for seed, together in zip((0, 1), ensemble.experiments, strict=True):
        alone = Experiment(
            resolve(environ={}, sets=(*TINY, *BENDS, f"target={config.target}", f"seed={seed}", *sets))
        )
        start = arrays(alone)
        assert all(start[f"generator.{k}.b"].any() and start["discriminator.0.b"].any() for k in (0, 1))
        assert all(
            np.array_equal(start[f"average.{k}.{n}"], start[f"generator.{k}.{n}"])
            for k in (0, 1, 2)
            for n in "Wb"
        )
        alone.advance(3)
        for name, array in arrays(alone).items():
            assert array.tobytes() == arrays(together)[name].tobytes(), name


@pytest.mark.rows(
    "features, sets", [(1, ()), (1, ("packing=2",)), (1, ("latent.size=3",)), (3, ()), (2, ("packing=2",))]
)
def test_units_of_several_features_bend_between_rows_and_g_starts_as_the_identity(features, sets):
    made = Experiment(
        resolve(
            environ={},
            sets=(*TINY, *BENDS, "data=table.csv", *sets),
        ),
        data=table(features),
    )
    D = arrays(made)
    assert np.isfinite(D["discriminator.0.b"]).all() and D["discriminator.0.b"].all()
    if made.discriminator.inputs > 1:
        rows = made.units.to_network(made.distribution.values.reshape(-1, features)).astype("float32")
        if made.config.packing == 1:
            at = rows @ D["discriminator.0.W"] + D["discriminator.0.b"]
            assert all(np.abs(at - sign).min(axis=0).max() < 1e-4 for sign in (-1, 1))
    if made.latent_size > 1:  # as near as so few units can be
        z = np.random.default_rng(1).standard_normal((500, made.latent_size))
        y = made.units.to_network(made.generate(z))
        assert all(np.corrcoef(y[:, j], z[:, j])[0, 1] > 0.7 for j in range(features))
    made.advance(2)
