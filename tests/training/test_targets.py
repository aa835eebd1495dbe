"""Every family of distributions as a target: it trains, is measured, judged and drawn by its own numbers."""

import math

import numpy as np
import pytest

from minigan.probability.families import FAMILIES
from minigan.training import metrics
from minigan.training.experiment import Ensemble, Experiment
from minigan.training.metrics import Observer
from minigan.training.settings import resolve

TARGETS = {
    "normal": "0, 1", "uniform": "0, 1", "laplace": "0, 1", "logistic": "0, 1", "student": "1.5",
    "cauchy": "0, 1", "exponential": "2", "gamma": "0.5",
    "lognormal": "0, 1", "weibull": "0.5", "pareto": "0.8",
    "beta": "0.2, 0.3", "triangular": "0, 0, 1",
}  # fmt: skip
TEXTS = [f"{name}({TARGETS.get(name, '')})" for name in FAMILIES if name != "galaxies"] + [
    "normal([0, 1], [1, 2], 0.8)",
    "0.5*normal([0, 0, 0, 0, 0], 1) + 0.5*normal([3, 3, 3, 3, 3], 0.5)",
    "0.5*cauchy(0, 1) + 0.5*exponential(1)",
    "0.5*moons(0.2) + 0.5*ring(4, 2, 0.1)",
]


pytestmark = pytest.mark.usefixtures("brief_judge")


def configured(target, *sets):
    tiny = (
        "method=plain",
        "generator.widths=[5]",
        "discriminator.widths=[6]",
        "batch=8",
        "steps=3",
        "eval_samples=100",
    )
    return resolve(environ={}, sets=(*tiny, f"target={target}", *sets))


@pytest.mark.parametrize("target", TEXTS)
def test_a_target_is_trained_on_measured_and_judged(target):
    experiment = Experiment(configured(target))
    observer = Observer(experiment)
    experiment.advance(2)
    observer.remember()
    experiment.advance(1)
    row = observer.row(0.0)
    numbers = [value for value in row.values() if value is not None]
    assert np.isfinite(numbers).all()
    one = experiment.features == 1
    no_mean = one and not math.isfinite(experiment.distribution.mean)
    assert (row["w1"] is None) == no_mean
    assert all(np.isfinite(array).all() for array in observer.frames.values())
    verdict, sample = metrics.verdict(experiment, 100)
    assert np.isfinite(sample).all() and "nan" not in str(verdict.as_dict())


@pytest.mark.parametrize("target", ["gamma(0.5)", "cauchy(0, 1)", "checkerboard()"])
def test_targets_are_drawn_alike_alone_together_and_for_a_device(target):
    for extra in ((), ("random=philox",), ("random=philox", "backend=strict")):
        alone = Experiment(configured(target, "seed=7", *extra))
        together = Ensemble.of_seeds(configured(target, *extra), [6, 7])
        alone.advance(3)
        together.advance(3)
        ours, theirs = alone.sample(50), together.sample(50)[1]
        np.testing.assert_array_equal(ours, theirs)
