"""Judging a sample: each number beside the value that a perfect sampler of the same size would reach.

A KS of 0.009 is excellent at 10 000 values and bad at 100 000; no distance means anything without that floor.
"""

import math
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from minigan.evaluation.modes import ModeCoverage, Modes, modes_of
from minigan.evaluation.two_sample import (
    EnergyResult,
    KSResult,
    MMDResult,
    energy_test,
    inner_quantiles,
    ks_one_sample,
    ks_statistic,
    ks_two_sample,
    mmd_test,
    perfect_ks_band,
    wasserstein1_of_rows,
)
from minigan.probability._numerics import host, host_sample
from minigan.probability.distributions import NORMAL_IQR, Distribution, location_scale
from minigan.probability.empirical import Empirical
from minigan.probability.estimators import histogram_edges
from minigan.probability.information import js_rows
from minigan.probability.long_calls import MANY, interruptible
from minigan.probability.multivariate import MultivariateDistribution

LEVEL = 0.05  # of the test behind the verdict
_TOGETHER = ", together at the 5 % level, "  # between the tests of a sentence and what they say
_FEATURES_SHOWN = 16  # with more features, mean and sd are shown for the feature of the largest KS only
_CHUNK = 10**6  # values of replicates held at once


@dataclass(frozen=True)
class Row:
    """One measure of a sample, beside what a perfect sampler of the same size would show.

    A distance (``target`` None) has the perfect sampler's median and its 95 % value, both above zero by
    chance alone. A moment has its true value as ``target`` and ``perfect``, and in ``bound`` how far a
    perfect sampler's may miss it in 95 % of cases.
    """

    name: str
    value: float
    perfect: float
    bound: float
    target: float | None = None
    unit: str = ""

    @property
    def within(self) -> bool:
        """Whether the value lies where 95 % of perfect samplers' values lie."""
        return (self.value if self.target is None else abs(self.value - self.target)) <= self.bound


@dataclass(frozen=True)
class Verdict:
    """What the numbers say of a sample: a table, a test at the 5 % level, and a sentence in plain words.

    ``pvalue`` decides; ``ks`` is the Kolmogorov–Smirnov test (that of the worst feature, where there are
    several), ``energy`` the energy test of rows of several features, else None.
    """

    rows: tuple[Row, ...]
    ks: KSResult
    pvalue: float
    sentence: str
    energy: EnergyResult | None = None

    @property
    def distinguishable(self) -> bool:
        """Whether the sample can be told from its target at the 5 % level."""
        return self.pvalue < LEVEL

    def joined_by(self, name: str, row: Row, pvalue: float) -> "Verdict":
        """The verdict on rows of several features with a third test, that decides as energy and KS do.

        Its ``row`` stands behind theirs, and the p-value becomes three times the least of theirs
        (Bonferroni).

        Raises:  ValueError – for a verdict without an energy test
        """
        if self.energy is None:
            raise ValueError("a third test joins an energy test and KS; received a verdict on one feature")
        together = min(1.0, 3 * min(self.energy.pvalue, self.ks.pvalue, pvalue))
        tests, _, rest = self.sentence.partition(_TOGETHER)
        rest = rest.removeprefix("cannot ").removeprefix("tell ").removesuffix(".")
        return replace(
            self,
            rows=(*self.rows[:3], row, *self.rows[3:]),
            pvalue=together,
            sentence=(
                f"{tests.replace(' and ', ', ')} and a {name}{_TOGETHER}{_outcome(together)} {rest}; "
                f"{row.name} {row.value:.3g}, {_format_p(pvalue)} (a perfect sampler: {row.perfect:.3g}, "
                f"below {row.bound:.3g} in 95 % of cases)."
            ),
        )

    def as_dict(self) -> dict:
        """Plain values for JSON; what is not finite becomes None."""
        return _plain({**asdict(self), "distinguishable": self.distinguishable})


def wilson(successes: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share.    Source:  Wilson 1927"""
    share, centre = successes / count, successes / count + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half) / (1 + z * z / count), min(1.0, (centre + half) / (1 + z * z / count))


def judge(
    sample,
    target: Distribution | MultivariateDistribution,
    rng: np.random.Generator,
    replicates: int = 200,
    names: tuple[str, ...] | None = None,
) -> Verdict:
    """Judge a sample against a known distribution: KS with its p-value, W1, JS over 100 bins, mean and sd.

    The perfect sampler's values come from ``replicates`` samples of the same size drawn from the target,
    those of KS from its known distribution. W1 is in units of the target's sd. A distribution without finite
    sd is measured by median and interquartile range/1.349 instead, and one without a mean has no W1. A
    mixture of round normal distributions also has its modes counted (``modes_of``): modes captured, share of
    high quality, reverse KL.

    A distribution of several features is compared as ``judge_two_sample`` does, with as many rows of its own;
    mean, sd and modes are compared with the distribution itself. An ``Empirical`` target is a data set, for
    ``judge_two_sample``.

    Shapes:  sample (n,), or (n, p) for a distribution of p features
    Raises:  ValueError – for fewer than two values, values that are not finite, or other features
    """
    if isinstance(target, Empirical):
        return judge_two_sample(sample, target.values, rng, replicates, names)
    judge_distribution = (
        _judge_distribution_of_one_feature if hasattr(target, "cdf") else _judge_distribution_of_features
    )
    return judge_distribution(sample, target, rng, replicates, names)


def judge_two_sample(
    sample, real, rng: np.random.Generator, replicates: int = 200, names: tuple[str, ...] | None = None
) -> Verdict:
    """Judge a sample against a data set, where a perfect sampler draws from the distribution behind it.

    Its values come from random splits of the pooled rows into the two sizes (a permutation test). One
    feature: KS, W1 in sd of the data, JS over 100 bins, mean and sd. Several: an energy test and the MMD on
    features divided by their sd, the largest KS of any feature (its p-value times the number of features:
    Bonferroni), and mean and sd of each (of the feature with the largest KS only, beyond 16); the verdict's
    p-value is twice the lesser of those of energy and KS (a third test can join them: ``joined_by``).
    ``names`` are those of the features.

    Shapes:  sample (n,) or (n, p), real (m,) or (m, p)
    Raises:  ValueError – for fewer than two rows, unequal features, or data of one feature without spread
    """
    sample = _column(host(sample, "sample", finite=True))
    real = _column(host(real, "real data", finite=True))
    if sample.shape[1:] != real.shape[1:] or sample.ndim > 2:
        raise ValueError(
            "sample and real data need shapes (n, p) and (m, p) with the same features; "
            f"received {sample.shape} and {real.shape}"
        )
    _check_sizes(replicates, len(sample), len(real))
    if sample.ndim == 1:
        return _judge_one_feature(sample, real, rng, replicates)
    return _judge_features(sample, real, rng, replicates, names, f"the {_format_count(len(real))} real ones")


def _judge_one_feature(sample, real, rng, replicates):
    n, m, sd = len(sample), len(real), real.std(ddof=1)
    if real.min() == real.max():
        raise ValueError(f"the real data are constant ({real[0]:.6g}); nothing can be compared with them")
    edges = histogram_edges(real)
    pooled = np.concatenate([sample, real])
    order = interruptible(partial(np.argsort, kind="stable"), pooled, MANY)
    pooled, mine = pooled[order], order < n
    last_of_ties = np.append(np.diff(pooled) > 0, True)
    at_edges = np.searchsorted(pooled, edges, side="right")
    gaps, z = np.diff(pooled), pooled - real.mean()

    def measure(mine):
        """KS, W1, JS, differences of mean and sd for each choice of n pooled values: (R, n + m) → (R, 5)."""
        counts = np.pad(np.cumsum(mine, axis=1), ((0, 0), (1, 0)))
        first, second = counts / n, (np.arange(n + m + 1) - counts) / m
        apart = np.abs(first - second)[:, 1:]
        js = js_rows(*(np.diff(f[:, at_edges], prepend=0, append=1) for f in (first, second)))
        mean, spread = _split_moments(mine, z[:, None])
        return np.stack(
            [
                apart[:, last_of_ties].max(axis=1),
                apart[:, :-1] @ gaps / sd,
                js,
                np.abs(mean[:, 0]),
                np.abs(spread[:, 0]),
            ],
            axis=1,
        )

    observed = measure(mine[None])[0]
    perfect = np.concatenate([measure(_permuted(mine, r, rng)) for r in _chunks(replicates, n + m)])
    ks = ks_two_sample(sample, real)
    rows = (
        _distance("KS", observed[0], perfect[:, 0]),
        _distance("W1", observed[1], perfect[:, 1], "sd of the data"),
        _distance("JS", observed[2], perfect[:, 2], "nats"),
        _moment("mean", sample.mean(), real.mean(), perfect[:, 3]),
        _moment("sd", sample.std(ddof=1), sd, perfect[:, 4]),
    )
    return Verdict(
        rows=rows,
        ks=ks,
        pvalue=ks.pvalue,
        sentence=_describe_ks(n, f"the {_format_count(m)} real ones", ks, rows[0].perfect, rows[0].bound),
    )


def _judge_features(sample, real, rng, replicates, names, target):
    names = _feature_names(names, sample.shape[1])
    sd = _sd_of(real)
    n, m = len(sample), len(real)
    tests = _test_features(sample, real, sd, rng, replicates)
    shown = tests.shown
    pooled = (np.concatenate([sample, real]) - real.mean(axis=0))[:, shown]
    mine = np.arange(n + m) < n
    splits = [_split_moments(_permuted(mine, r, rng), pooled) for r in _chunks(replicates, n + m)]
    errors = [np.abs(np.concatenate(s)) for s in zip(*splits, strict=True)]
    moments = _moment_rows(sample, real.mean(axis=0), sd, names, shown, *errors)
    return tests.verdict(names, target, n, m, "sd of the data", moments)


def _judge_distribution_of_one_feature(sample, target, rng, replicates, names):
    x = host_sample(_column(host(sample)))
    n = len(x)
    _check_sizes(replicates, n)
    centre, scale, scale_name = location_scale(target)
    edges = histogram_edges(target)
    shares = np.diff(target.cdf(edges), prepend=0, append=1)
    has_mean = math.isfinite(target.mean)
    quantiles = inner_quantiles(n, target) if has_mean else None
    modes, coverages = modes_of(target), []

    def measure(x):
        """W1, JS, location and scale of each ordered row: (R, n) → (R, 4); its modes are kept."""
        w1 = wasserstein1_of_rows(x, target, quantiles) / scale if has_mean else np.full(len(x), np.nan)
        below = np.stack([np.searchsorted(row, edges, side="right") for row in x]) / n
        js = js_rows(np.diff(below, prepend=0, append=1), shares)
        if modes is not None:
            coverages.append(modes.coverage(x[..., None]))
        return np.stack([w1, js, *_location_scale_of(x, scale_name)], axis=1)

    observed = measure(x[None])[0]
    perfect = np.concatenate([measure(np.sort(target.sample(rng, (r, n)))) for r in _chunks(replicates, n)])
    perfect[:, 2:] = np.abs(perfect[:, 2:] - [centre, scale])

    ks = ks_one_sample(x, target)
    median, bound = perfect_ks_band(n)
    rows = [
        Row("KS", ks.statistic, median, bound),
        _distance("W1", observed[0], perfect[:, 0], f"target {scale_name}"),
        _distance("JS", observed[1], perfect[:, 1], "nats"),
        _moment("mean" if scale_name == "sd" else "median", observed[2], centre, perfect[:, 2]),
        _moment(scale_name, observed[3], scale, perfect[:, 3]),
        *_mode_rows(modes, coverages),
    ]
    return Verdict(
        rows=tuple(row for row in rows if has_mean or row.name != "W1"),
        ks=ks,
        pvalue=ks.pvalue,
        sentence=_describe_ks(n, str(target), ks, median, bound),
    )


def _judge_distribution_of_features(sample, distribution, rng, replicates, names):
    sample, p = host(sample, "sample", finite=True), distribution.features
    if sample.ndim != 2 or sample.shape[1] != p:
        raise ValueError(
            f"{distribution} judges rows of {p} features, (n, {p}); received shape {sample.shape}"
        )
    names, n = _feature_names(names, p), len(sample)
    _check_sizes(replicates, n)
    real = distribution.sample(rng, (n,))
    if p > _FEATURES_SHOWN:  # images: many samples of them would take long, for the moments of one pixel
        return _judge_features(sample, real, rng, replicates, names, str(distribution))
    tests = _test_features(sample, real, distribution.sd, rng, replicates)
    modes, shown = modes_of(distribution), tests.shown
    coverages = [] if modes is None else [modes.coverage(sample)]
    means, sds = [], []
    for r in _chunks(replicates, n * p):
        x = distribution.sample(rng, (r, n))
        means.append(np.abs(x.mean(axis=1) - distribution.mean)[:, shown])
        sds.append(np.abs(x.std(axis=1, ddof=1) - distribution.sd)[:, shown])
        if modes is not None:
            coverages.append(modes.coverage(x))
    errors = np.concatenate(means), np.concatenate(sds)
    moments = _moment_rows(sample, distribution.mean, distribution.sd, names, shown, *errors)
    return tests.verdict(
        names, str(distribution), n, n, "target sd", [*_mode_rows(modes, coverages), *moments]
    )


@dataclass(frozen=True)
class _FeatureTests:
    """What two samples of several features are told apart by; ``worst`` is the feature of the largest KS."""

    energy: EnergyResult
    ks: KSResult
    mmd: MMDResult
    worst: int
    features: int

    @property
    def shown(self):
        """The features whose moments are shown."""
        return list(range(self.features)) if self.features <= _FEATURES_SHOWN else [self.worst]

    def verdict(self, names, target, n, m, unit, rows):
        """The verdict on n rows beside m real ones, with the rows of the tests before the given ones."""
        energy, ks, mmd, p, worst = self.energy, self.ks, self.mmd, self.features, names[self.worst]
        pvalue = min(1.0, 2 * min(energy.pvalue, ks.pvalue))
        # the largest of p KS statistics, as if independent
        median, bound = (perfect_ks_band(n, m, level ** (1 / p))[1] for level in (0.5, 0.95))
        return Verdict(
            rows=(
                Row("energy distance", energy.statistic, energy.median, energy.bound, unit=unit),
                Row(f"KS, {worst} (the largest)", ks.statistic, median, bound),
                Row("MMD²", mmd.statistic, mmd.median, mmd.bound),
                *rows,
            ),
            ks=ks,
            pvalue=pvalue,
            energy=energy,
            sentence=(
                f"An energy test and {p} Kolmogorov-Smirnov tests{_TOGETHER}{_outcome(pvalue)} these "
                f"{_format_count(n)} rows of {p} features from {target}: energy distance "
                f"{energy.statistic:.2g}, {_format_p(energy.pvalue)} (a perfect sampler: median "
                f"{energy.median:.2g}, below {energy.bound:.2g} in 95 % of cases); largest KS "
                f"{ks.statistic:.2g} at {worst}, {_format_p(ks.pvalue)} after Bonferroni."
            ),
        )


def _test_features(sample, real, sd, rng, replicates):
    p = sample.shape[1]
    scale = np.where(sd > 0, sd, 1.0)  # a constant feature, as a dark corner of every image, has no scale
    energy = energy_test(sample / scale, real / scale, rng, replicates)
    mmd = mmd_test(sample / scale, real / scale, rng, replicates)
    statistics = [ks_statistic(sample[:, j], real[:, j]) for j in range(p)]
    worst = int(np.argmax(statistics))
    ks = ks_two_sample(sample[:, worst], real[:, worst])
    ks = KSResult(ks.statistic, min(1.0, p * ks.pvalue), ks.location)
    return _FeatureTests(energy, ks, mmd, worst, p)


def _moment_rows(sample, mean, sd, names, shown, mean_errors, sd_errors):
    """Mean and sd of each shown feature beside the true ones, and how far perfect samplers' miss them."""
    rows = []
    for i, j in enumerate(shown):
        values = sample[:, j]
        rows.append(_moment(f"mean, {names[j]}", values.mean(), mean[j], mean_errors[:, i]))
        rows.append(_moment(f"sd, {names[j]}", values.std(ddof=1), sd[j], sd_errors[:, i]))
    return rows


def _mode_rows(modes: Modes | None, coverages: list[ModeCoverage]) -> list[Row]:
    """Three rows on the modes, from the coverage of the sample and then those of perfect ones."""
    if modes is None:
        return []
    seen, of = coverages[0], coverages[0].of
    captured, quality, divergence = (
        np.concatenate([np.atleast_1d(getattr(c, name)) for c in coverages[1:]])
        for name in ("captured", "high_quality", "reverse_kl")
    )
    first = [np.ravel(v)[0] for v in (seen.captured, seen.high_quality, seen.reverse_kl)]
    return [
        _moment("modes captured", first[0], of, of - captured, f"of {of}"),
        _moment("high-quality share", first[1], modes.high_quality, np.abs(quality - modes.high_quality)),
        _distance("reverse KL, modes", first[2], divergence, "nats"),
    ]


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _describe_ks(n, target, ks, median, bound):
    verb = "tells" if ks.pvalue < LEVEL else "cannot tell"
    return (
        f"A Kolmogorov-Smirnov test at the 5 % level {verb} these {_format_count(n)} values from {target}: "
        f"KS {ks.statistic:.2g}, {_format_p(ks.pvalue)} (a perfect sampler: median {median:.2g}, "
        f"below {bound:.3g} in 95 % of cases)."
    )


def _outcome(pvalue):
    return "tell" if pvalue < LEVEL else "cannot tell"


def _format_count(count):
    return f"{count:,}".replace(",", " ")


def _format_p(p):
    return "p < 1e-15" if p < 1e-15 else f"p = {p:.2g}"


def _column(x):
    """(n, 1) as (n,)."""
    return x[:, 0] if x.ndim == 2 and x.shape[1] == 1 else x


def _check_sizes(replicates, *sizes):
    if min(sizes) < 2:
        raise ValueError(f"a verdict needs at least 2 values a side; received {', '.join(map(str, sizes))}")
    if replicates < 1:
        raise ValueError(
            f"a verdict needs at least 1 replicate of the perfect sampler; received {replicates}"
        )


def _chunks(replicates, width):
    """Numbers of replicates to hold at once, so that their values stay within _CHUNK."""
    step = max(1, _CHUNK // width)
    return [min(step, replicates - start) for start in range(0, replicates, step)]


def _location_scale_of(ordered, scale_name):
    """Mean and sd of each ordered row, or its median and interquartile range/1.349."""
    if scale_name == "sd":
        return ordered.mean(axis=1), ordered.std(axis=1, ddof=1)
    low, middle, high = np.quantile(ordered, [0.25, 0.5, 0.75], axis=1)
    return middle, (high - low) / NORMAL_IQR


def _permuted(mine, replicates, rng):
    return rng.permuted(np.tile(mine, (replicates, 1)), axis=1)


def _split_moments(mine, z):
    """Differences of mean and sd between chosen and other rows of z: (R, N), (N, p) → twice (R, p)."""
    N, n = len(z), int(mine[0].sum())
    chosen = mine.astype(float)
    sums, squares = chosen @ z, chosen @ (z * z)
    parts = ((n, sums, squares), (N - n, z.sum(axis=0) - sums, (z * z).sum(axis=0) - squares))
    (mean, sd), (other_mean, other_sd) = (
        (s / k, np.sqrt(np.maximum(q - s * s / k, 0) / (k - 1))) for k, s, q in parts
    )
    return mean - other_mean, sd - other_sd


def _distance(name, value, perfect, unit=""):
    median, bound = np.quantile(perfect, [0.5, 0.95])
    return Row(name, float(value), float(median), float(bound), unit=unit)


def _moment(name, value, true, errors, unit=""):
    bound = float(np.quantile(errors, 0.95))
    return Row(name, float(value), float(true), bound, target=float(true), unit=unit)


def _feature_names(names, p):
    names = tuple(names or (f"feature {j + 1}" for j in range(p)))
    if len(names) != p:
        raise ValueError(f"one name is needed for each of the {p} features; received {len(names)}")
    return names


def _sd_of(real):
    """The sd of each feature, exactly zero where it is constant."""
    return np.where(real.max(axis=0) > real.min(axis=0), real.std(axis=0, ddof=1), 0.0)


def _plain(value):
    """Dataclasses-as-dicts with every float finite or None, tuples as lists."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
