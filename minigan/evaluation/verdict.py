"""Judging a sample: each number beside the value that a perfect sampler of the same size would reach.

A KS of 0.009 is excellent at 10 000 values and bad at 100 000; no distance means anything without that floor.
What is measured is in ``one_feature`` and ``features``, how it becomes one judgement in ``joint`` and
``rows``.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from minigan.evaluation.features import FEATURES_SHOWN, evidence_on_rows
from minigan.evaluation.joint import LEVEL
from minigan.evaluation.one_feature import evidence_on_distribution, evidence_on_sample
from minigan.evaluation.power import Power
from minigan.evaluation.rows import OfClass, Row, Verdict, format_count, format_target
from minigan.evaluation.shortfalls import Shortfall, shortfall_of, shortfall_of_rows
from minigan.probability._numerics import host, host_sample
from minigan.probability.distributions import Distribution
from minigan.probability.empirical import Empirical
from minigan.probability.long_calls import answering
from minigan.probability.multivariate import MultivariateDistribution

__all__ = [
    "LEVEL", "OfClass", "Power", "Row", "Shortfall", "Verdict", "explained", "judge", "judge_two_sample",
    "share_that_passes", "wilson",
]  # fmt: skip


def wilson(successes: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share.    Source:  Wilson 1927"""
    share, centre = successes / count, successes / count + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half) / (1 + z * z / count), min(1.0, (centre + half) / (1 + z * z / count))


def share_that_passes(verdicts: Sequence[Verdict]) -> dict[str, float | int | list[float] | None]:
    """How many of several verdicts do not tell the sample from its target, with the 95 % interval.

    It is what a promise of many seeds, or the spread of many draws, is stated in; verdicts on too few values
    count in neither, and without any other the share is None. A perfect sampler's is 0.95.
    """
    told = [v.distinguishable for v in verdicts if v.distinguishable is not None]
    passed = len(told) - sum(told)
    return {
        "draws": len(verdicts),
        "too_few": len(verdicts) - len(told),
        "passed": passed,
        "share": passed / len(told) if told else None,
        "interval": list(wilson(passed, len(told))) if told else None,
        "perfect": 1 - LEVEL,
    }


def judge(
    sample,
    target: Distribution | MultivariateDistribution,
    rng: np.random.Generator,
    replicates: int = 200,
    names: tuple[str, ...] | None = None,
) -> Verdict:
    """Judge a sample against a known distribution, in one judgement at the 5 % level.

    Of one feature: KS, Anderson-Darling, and mean and sd, of the values for a normal target and of their
    normal scores Φ⁻¹(F(x)) for any other. What perfect samplers show of these is the same for every
    continuous distribution and was simulated once. A mixture of round normal distributions also has its
    modes judged (``modes_of``): modes captured, share of high quality, reverse KL. W1 in units of the
    target's sd, JS over 100 bins, and the moments of other targets are for information. A distribution
    without finite sd has median and interquartile range/1.349 instead, and one without a mean has no W1.

    A distribution of several features is compared as ``judge_two_sample`` does, with as many rows of its own;
    mean, sd and modes are compared with the distribution itself. An ``Empirical`` target is a data set, for
    ``judge_two_sample``, which alone uses ``replicates``.

    Shapes:  sample (n,), or (n, p) for a distribution of p features
    Raises:  ValueError – for fewer than two values, values that are not finite, or other features

    >>> from minigan.evaluation import judge
    >>> rng = np.random.default_rng(0)
    >>> judge(rng.normal(0, 1, 1000), mg.Normal(0, 1), rng).indistinguishable
    True
    """
    if isinstance(target, Empirical):
        return judge_two_sample(sample, target.values, rng, replicates, names)
    if hasattr(target, "cdf"):
        x = host_sample(_column(host(sample)))
        _check_sizes(replicates, len(x))
        return answering(partial(evidence_on_distribution, x, target), x.size).conclude()
    rows, p = host(sample, "sample", finite=True), target.features
    if rows.ndim != 2 or rows.shape[1] != p:
        raise ValueError(f"{target} judges rows of {p} features, (n, {p}); received shape {rows.shape}")
    names = _feature_names(names, p)
    _check_sizes(replicates, len(rows))
    _require_squares(rows, "sample")
    real = target.sample(rng, (len(rows),))
    # of images many samples would take long: they are compared as data are
    known = target if p <= FEATURES_SHOWN else None
    made = partial(evidence_on_rows, rows, real, rng, names, format_target(str(target)), known)
    return answering(made, rows.size).conclude()


def judge_two_sample(
    sample,
    real,
    rng: np.random.Generator,
    replicates: int = 200,
    names: tuple[str, ...] | None = None,
    against: str | None = None,
    learned: bool = False,
) -> Verdict:
    """Judge a sample against a data set, where a perfect sampler draws from the distribution behind it.

    One feature: KS, Anderson-Darling, and location and spread by the normal scores of the pooled ranks; W1 in
    sd of the data, JS over 100 bins with a median of ``replicates`` splits, mean and sd are for information.
    Several: energy distance and MMD² of features divided by their sd, the latter with Gaussian kernels of
    several widths (``pairs``), the largest KS of any feature, mean and sd of each (beyond 16 of that feature
    only, for information), all together one judgement, that a further test can join: ``joined_by``.
    ``names`` are those of the features, ``against`` what the real rows are called, and ``learned`` says that
    they are those that the sample's generator learned.

    Shapes:  sample (n,) or (n, p), real (m,) or (m, p)
    Raises:  ValueError – for fewer than two rows, unequal features, or data of one feature without spread

    >>> from minigan.evaluation import judge_two_sample
    >>> rng = np.random.default_rng(0)
    >>> judge_two_sample(rng.normal(0, 1, 1000), rng.normal(1, 1, 1000), rng).indistinguishable
    False
    """
    sample = _column(host(sample, "sample", finite=True))
    real = _column(host(real, "real data", finite=True))
    if sample.shape[1:] != real.shape[1:] or sample.ndim > 2:
        raise ValueError(
            "sample and real data need shapes (n, p) and (m, p) with the same features; "
            f"received {sample.shape} and {real.shape}"
        )
    _check_sizes(replicates, len(sample), len(real))
    against = against or f"the {format_count(len(real))} real ones"
    if sample.ndim == 1:
        made = partial(evidence_on_sample, sample, real, rng, replicates, against)
    else:
        _require_squares(sample, "sample")
        _require_squares(real, "real data")
        names = _feature_names(names, sample.shape[1])
        made = partial(evidence_on_rows, sample, real, rng, names, against)
    return replace(answering(made, sample.size + real.size), judged_on_learned=learned).conclude()


def explained(judged: Verdict, sample, against, names: tuple[str, ...] = ()) -> Verdict:
    """The verdict with what the sample misses, where it is told from what it was judged against.

    against  the distribution of one feature, or the real rows

    Shapes:  sample (n,) or (n, p), real rows the same
    """
    if not judged.distinguishable:
        return judged
    x = _column(host(sample))
    real = against if hasattr(against, "cdf") else _column(host(against))
    if x.ndim > 1:
        found = shortfall_of_rows(x, real, _feature_names(names, x.shape[1]))
    else:
        found = shortfall_of(x, real if hasattr(real, "cdf") else Empirical(real))
    return replace(judged, shortfall=found)


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _column(x):
    """(n, 1) as (n,)."""
    return x[:, 0] if x.ndim == 2 and x.shape[1] == 1 else x


def _require_squares(rows, what):
    """Refuse what has no variance in float64, and would seem to be as anything else."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    size = np.maximum(np.abs(low), np.abs(high))
    tiny = (high > low) & (size < 1e-150)
    if (far := size > 1e150).any() or tiny.any():
        value = float(size[far].max() if far.any() else size[tiny].min())
        raise ValueError(
            f"the {what} holds values of {value:.3g}, whose square float64 cannot hold; give them in other "
            "units"
        )


def _check_sizes(replicates, *sizes):
    if min(sizes) < 2:
        raise ValueError(f"a verdict needs at least 2 values a side; received {', '.join(map(str, sizes))}")
    if replicates < 1:
        raise ValueError(
            f"a verdict needs at least 1 replicate of the perfect sampler; received {replicates}"
        )


def _feature_names(names, p):
    names = tuple(names or (f"feature {j + 1}" for j in range(p)))
    if len(names) != p:
        raise ValueError(f"one name is needed for each of the {p} features; received {len(names)}")
    return names
