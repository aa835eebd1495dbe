"""The recorded step of runs that train together, which the next of the same structure take over."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from minigan.training.experiment import Ensemble, Experiment
from minigan.training.steps import Steps

_IDLE: list[Ensemble] = []  # of this process, the last one


@contextmanager
def together(experiments: Sequence[Experiment]) -> Iterator[Steps]:
    """The steps of these experiments; to record and plan one anew takes as long as many.

    Raises:  ConfigError, ValueError – as ``Ensemble``
    """
    if len(experiments) == 1:
        yield experiments[0]
        return
    try:
        ensemble = _IDLE.pop()  # one operation, as threads may ask at once
    except IndexError:
        ensemble = None
    if ensemble is None or not ensemble.take(experiments):
        ensemble = Ensemble(experiments)
    yield ensemble
    ensemble.leave()
    _IDLE[:] = [ensemble]
