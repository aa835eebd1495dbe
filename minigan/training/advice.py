"""What to try where a run's sample is told from its target: by what it misses, and by how it was set.

Every line of ADVICE was measured to help, by `python -m bench.advice`, on targets and seeds that fail without
it; what does not help is not here. Where no line applies nothing is said. None was measured on runs that were
cut short: of those it is said that they were.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from minigan.evaluation.verdict import Verdict
from minigan.training.config import Config, fields
from minigan.training.experiment import Experiment
from minigan.training.methods import settings_of

MANY = 16  # features, beyond which nothing was measured
SHORT = 4  # times fewer steps than the method has by itself: the run was cut short


@dataclass(frozen=True)
class Advice:
    """One thing to try.

    against  the shortfalls that it was measured to help against
    words    what it is; with settings, what they do
    sets     the settings that do it, in a run that is set so
    applies  whether it is for a run that is set so, of so many features, with such a verdict
    """

    against: tuple[str, ...]
    words: str
    sets: Callable[[Config], tuple[str, ...]] = lambda config: ()
    applies: Callable[[Config, int, Verdict], bool] = lambda config, features, verdict: True


ADVICE: dict[str, Advice] = {  # the first that applies is given
    "ties": Advice(
        ("ties",),
        "No setting can help: a generator of this kind makes no value twice. Add uniform noise to the data, "
        "as wide as the step between neighbouring values, and round what is drawn",
    ),
    "shaped": Advice(
        ("gap", "edge", "shape", "together"),
        "Use the method that is shaped to what is learned",
        lambda config: ("method=shaped",),
        lambda config, features, verdict: config.method == "plain" and features <= MANY,
    ),
    "seed": Advice(
        ("modes",),
        "Begin elsewhere",
        lambda config: (f"seed={(config.seed + 1) % 2**63}",),
        lambda config, features, verdict: config.method == "shaped" and features == 1,
    ),
}


def advised(judged: Verdict, experiment: Experiment) -> Verdict:
    """The verdict on a run, with what to try against what its sample misses, if anything is known to help."""
    if judged.shortfall is None:
        return judged
    config, features = experiment.config, experiment.features
    usual = settings_of(config, features).get("steps", fields()["steps"].default)
    if SHORT * config.steps < usual and judged.shortfall.name != "ties":
        text = f"Train longer, it had {config.steps} of the usual {usual} steps: --set steps={usual}"
        return replace(judged, shortfall=replace(judged.shortfall, advice=text))
    for advice in ADVICE.values():
        if judged.shortfall.name in advice.against and advice.applies(config, features, judged):
            sets = " ".join(f"--set {s}" for s in advice.sets(config))
            text = f"{advice.words}: {sets}" if sets else f"{advice.words}."
            return replace(judged, shortfall=replace(judged.shortfall, advice=text))
    return judged
