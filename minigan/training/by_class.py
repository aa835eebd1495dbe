"""The verdict by classes, of a conditional experiment and of rows with labels: each class, and what leaks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigan.evaluation import by_class
from minigan.evaluation.rows import Evidence, Measure, Verdict
from minigan.evaluation.verdict import judge, judge_two_sample
from minigan.models.generative import GaussianClassifier
from minigan.probability.empirical import Empirical
from minigan.training.draws import stream
from minigan.training.experiment import Experiment
from minigan.training.labels import Labels, kept_out, of_rows
from minigan.training.marks import Marks

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


def judge_labelled(
    labels: Labels,
    whole: Evidence,
    made: tuple[np.ndarray, np.ndarray],
    real: tuple[np.ndarray, np.ndarray] | None,
    rng: np.random.Generator,
    names: Sequence[str],
) -> Verdict:
    """As ``judge_classes``, of rows from elsewhere: those that are judged, and the real ones, with classes.

    real  None where the distribution of each class is known

    Shapes:  made, real: (n, p), (n,)
    """
    parts = []
    for k, name in enumerate(labels.classes):
        beside = None if real is None else real[0][real[1] == k]
        judged = _one_class(labels.conditionals[k], made[0][made[1] == k], beside, rng, names)
        if judged is not None and judged.evidence is not None:
            parts.append((name, judged.evidence))
    return by_class.conclude(whole, parts, _leakage_of(labels, made, real, rng))


def _leakage_of(
    labels: Labels,
    made: tuple[np.ndarray, np.ndarray],
    real: tuple[np.ndarray, np.ndarray] | None,
    rng: np.random.Generator,
) -> Measure | None:
    """What leaks from rows and from real ones, of which one half says where each class is, the other how many
    are elsewhere: so that it is for both an equally strange rule.
    """
    features = made[0].shape[1]
    if real is None:
        rule, codes = bayes_rule(labels, features), labels.codes(rng, REAL)
        rows = labels.rows(rng, codes)
    else:
        half = kept_out(rng, 0.5, real[1], len(real[1]))
        if np.bincount(real[1][~half], minlength=labels.count).min() < 2 or not half.any():
            return None
        learned = of_rows(Marks(labels.name, labels.classes, real[1]), real[0][~half], real[1][~half])
        rule, rows, codes = bayes_rule(learned, features), real[0][half], real[1][half]
    if rule is None:
        return None
    return by_class.leakage_of(rule(made[0]), made[1], float(np.mean(rule(rows) != codes)), len(rows))


def _each(experiment: Experiment, labels: Labels, count: int, index: int) -> Iterator[tuple[str, Evidence]]:
    """The evidence on each class of which there are two rows to judge by."""
    for k, name in enumerate(labels.classes):
        at = index + draw_of_class(k)
        rng = stream(experiment.config.seed, "verdict", at)
        rows = experiment.sample(count, at, condition=name)
        judged = _one_class(
            labels.conditionals[k], rows, held_of(experiment, k), rng, experiment.names,
            experiment.judged_on_learned,
        )  # fmt: skip
        if judged is not None and judged.evidence is not None:
            yield name, judged.evidence


def _one_class(
    target: Any,
    rows: np.ndarray,
    real: np.ndarray | None,
    rng: np.random.Generator,
    names: Sequence[str],
    learned: bool = False,
) -> Verdict | None:
    """The verdict on rows of a class beside its distribution, or its real rows; None of too few to judge."""
    if not isinstance(target, Empirical):
        one = rows.shape[1] == 1
        return judge(rows[:, 0] if one else rows, target, rng, names=None if one else tuple(names))
    if real is None or min(len(real), len(rows)) < 2 or (real == real[0]).all():
        return None
    against = f"the {len(real)} of this class"
    return judge_two_sample(rows, real, rng, names=tuple(names), against=against, learned=learned)


def held_of(experiment: Experiment, k: int) -> np.ndarray:
    """The rows of a class that judge.    Shapes:  → (n, p)"""
    rows, codes = experiment.held_out, experiment.held_classes
    return np.empty((0, experiment.features)) if rows is None or codes is None else rows[codes == k]


def bayes_rule(labels: Labels, features: int) -> Callable[[np.ndarray], np.ndarray] | None:
    """Rows to their most probable class: by the true densities, or by Gaussians fitted to the rows of each.

    None where no Gaussian can be fitted.    Shapes:  (n, p) → (n,)
    """
    if not isinstance(labels.conditionals[0], Empirical):

        def by_densities(rows: np.ndarray) -> np.ndarray:
            x = rows[:, 0] if features == 1 else rows
            logs = np.stack([known.log_density(x) for known in labels.conditionals], axis=-1)
            return by_class.bayes_classes(logs, labels.priors)

        return by_densities
    groups = [np.reshape(known.values, (-1, features)) for known in labels.conditionals]
    codes = np.repeat(np.arange(labels.count), [len(rows) for rows in groups])
    try:
        fitted = GaussianClassifier().fit(np.concatenate(groups), codes)
    except ValueError:  # a singular covariance
        return None
    return lambda rows: np.asarray(fitted.predict(rows))


def _leakage(experiment: Experiment, labels: Labels, sample: np.ndarray, index: int) -> Measure | None:
    """The share of generated rows in another class's place, beside that of real ones."""
    rule, asked = bayes_rule(labels, experiment.features), experiment.classes_of(len(sample), index)
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
