"""Runs in every execution: an experiment as recorded, as launches and as a block, alone and together."""

import shutil

import numpy as np
import pytest

from minigan.errors import ConfigError
from minigan.training.config import Config, NetworkConfig, replace
from minigan.training.experiment import Ensemble, Experiment

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None, reason="needs g++ to run CUDA sources on the CPU"
)
SMALL = replace(
    Config(),
    generator=NetworkConfig(widths=(4, 4), activation="silu"),
    discriminator=NetworkConfig(widths=(4,), activation="leaky_relu"),
    batch=8, steps=60, r2=0.0,
)  # fmt: skip


def state(experiment):
    return {name: tensor.numpy() for name, tensor in experiment.game.state.items()}


@pytest.mark.parametrize("execution", ["recorded", "launches", "block"])
def test_a_run_has_the_numbers_of_the_processor_to_rounding(device, execution):
    here = Experiment(replace(SMALL, backend="numpy"))
    there = Experiment(replace(SMALL, backend=device.name, execution=execution))
    for steps in (1, 30, 29):  # across the end of a block of random numbers
        here.advance(steps)
        there.advance(steps)
    assert there.program.execution == execution
    ours, its = state(there), state(here)
    for name in its:
        np.testing.assert_allclose(ours[name], its[name], rtol=1e-3, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(there.losses()[0], here.losses()[0], rtol=1e-4)


def test_seeds_together_are_one_launch_for_a_block_and_each_has_its_own_bits():
    config = replace(SMALL, backend="strict", execution="block")
    together, alone = Ensemble.of_seeds(config, (3, 5)), Experiment(replace(config, seed=5))
    together.advance(1)
    counters = together.backend.counters
    counters.reset()
    together.advance(49)
    assert counters.launches == 1
    assert counters.syncs == counters.to_host == 0
    alone.advance(50)
    ours, its = state(together.experiments[1]), state(alone)
    assert all(np.array_equal(ours[name], its[name]) for name in its)


@pytest.mark.parametrize(("name", "execution"), [("numpy", "block"), ("strict", "planned")])
def test_an_execution_of_another_backend_is_refused(name, execution):
    with pytest.raises(ConfigError, match=f"on {name}; received '{execution}'"):
        Experiment(replace(SMALL, backend=name, execution=execution))
