"""What a conditional experiment makes of each class: its verdict, what leaks, and curves for the page."""

from collections.abc import Callable, Iterator

import numpy as np

from minigan.evaluation import by_class
from minigan.evaluation.rows import Evidence, Measure, Verdict
from minigan.evaluation.verdict import judge, judge_two_sample
from minigan.models.generative import GaussianClassifier
from minigan.probability.empirical import Empirical
from minigan.training.draws import stream
from minigan.training.experiment import Experiment
from minigan.training.labels import Labels

APART = 2**48  # between the draws of two classes: more than any index of a step or a verdict
CLASSES_SHOWN = 12  # whose curves and planes the page may show
REAL = 200_000  # rows by which the share is counted that leaks from a perfect sampler


def draw_of_class(k: int) -> int:
    """What the index of a draw is moved by, so that each class has latent vectors of its own."""
    return (k + 1) * APART


def judge_classes(
    experiment: Experiment, labels: Labels, whole: Evidence, sample: np.ndarray, index: int
) -> Verdict:
    """The verdict on as many new rows of each class as all together have, and on all together."""
    parts = list(_each(experiment, labels, len(sample), index))
    return by_class.conclude(whole, parts, _leakage(experiment, labels, sample, index))


def _each(experiment: Experiment, labels: Labels, count: int, index: int) -> Iterator[tuple[str, Evidence]]:
    """The evidence on each class of which there are two rows to judge by."""
    for k, name in enumerate(labels.classes):
        at = index + draw_of_class(k)
        rng, target = stream(experiment.config.seed, "verdict", at), labels.conditionals[k]
        rows = experiment.sample(count, at, condition=name)
        if not isinstance(target, Empirical):
            one = experiment.features == 1
            judged = judge(rows[:, 0] if one else rows, target, rng, names=None if one else experiment.names)
        else:
            real = held_of(experiment, k)
            if len(real) < 2 or (real == real[0]).all():
                continue
            against = f"the {len(real)} of this class"
            judged = judge_two_sample(
                rows, real, rng, names=experiment.names, against=against,
                learned=experiment.judged_on_learned,
            )  # fmt: skip
        if judged.evidence is not None:
            yield name, judged.evidence


def held_of(experiment: Experiment, k: int) -> np.ndarray:
    """The rows of a class that judge.    Shapes:  → (n, p)"""
    rows, codes = experiment.held_out, experiment.held_classes
    return np.empty((0, experiment.features)) if rows is None or codes is None else rows[codes == k]


def bayes_rule(experiment: Experiment, labels: Labels) -> Callable[[np.ndarray], np.ndarray] | None:
    """Rows to their most probable class: by the true densities, or by Gaussians fitted to the training rows.

    None where no Gaussian can be fitted.    Shapes:  (n, p) → (n,)
    """
    if not isinstance(labels.conditionals[0], Empirical):

        def by_densities(rows: np.ndarray) -> np.ndarray:
            x = rows[:, 0] if experiment.features == 1 else rows
            logs = np.stack([known.log_density(x) for known in labels.conditionals], axis=-1)
            return by_class.bayes_classes(logs, labels.priors)

        return by_densities
    groups = [np.reshape(known.values, (-1, experiment.features)) for known in labels.conditionals]
    codes = np.repeat(np.arange(labels.count), [len(rows) for rows in groups])
    try:
        fitted = GaussianClassifier().fit(np.concatenate(groups), codes)
    except ValueError:  # a singular covariance
        return None
    return lambda rows: np.asarray(fitted.predict(rows))


def _leakage(experiment: Experiment, labels: Labels, sample: np.ndarray, index: int) -> Measure | None:
    """The share of generated rows in another class's place, beside that of real ones."""
    rule, asked = bayes_rule(experiment, labels), experiment.classes_of(len(sample), index)
    if rule is None or asked is None:
        return None
    if isinstance(labels.conditionals[0], Empirical):
        real, codes = experiment.held_out, experiment.held_classes
    else:
        rng = stream(experiment.config.seed, "verdict", index + APART // 2)
        codes = labels.codes(rng, REAL)
        real = labels.rows(rng, codes)
    if real is None or codes is None:
        return None
    perfect = float(np.mean(rule(real) != codes))
    return by_class.leakage_of(rule(sample), asked, perfect, len(real))


def beside_classes(labels: Labels, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Rows with their classes as further columns, for a judge of both.

    Shapes:  (n, p), (n,) → (n, p + K)
    """
    return np.concatenate([rows, labels.one_hot(codes, "float64")], axis=1)


def shown_classes(labels: Labels) -> range:
    """The classes whose curves the page may show: the first ones."""
    return range(min(labels.count, CLASSES_SHOWN))
