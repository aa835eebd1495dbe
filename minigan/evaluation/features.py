"""What is measured on rows of several features: energy distance, MMD, margins, moments, modes.

How these hang together is seen on small perfect samplers: each tail knows its own size, and what they have in
common hardly depends on it.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from minigan.evaluation.joint import LEVEL, GammaTail, Joint, KolmogorovTail, NormalTail
from minigan.evaluation.modes import modes_of
from minigan.evaluation.one_feature import mode_deviations, mode_measures, mode_tails
from minigan.evaluation.pairs import (
    NAMES,
    PILOT,
    contrasts,
    contrasts_of_splits,
    in_units,
    kernel_widths,
    rows_afforded,
)
from minigan.evaluation.power import (
    MODE,
    OF_A_FEATURE,
    Power,
    found,
    missing_part,
    needed,
    needed_beside,
)
from minigan.evaluation.rows import Evidence, Measure, format_count
from minigan.evaluation.two_sample import EnergyResult, KSResult
from minigan.probability.long_calls import ordered

SIDE, DRAWN = (
    64,
    10_000,
)  # rows a side of the small perfect samplers of a known distribution, and their number
ROWS, SPLITS = 200, 1000  # the same of those that are random splits of data
MOMENT_ROWS = 100_000  # of each side, whose fourth moments are taken
FEATURES_SHOWN = 16  # with more features, mean and sd are for information, and of one feature only


def evidence_on_rows(
    sample: np.ndarray, real: np.ndarray, rng: np.random.Generator, names: tuple[str, ...], against: str,
    distribution: Any = None,
) -> Evidence:  # fmt: skip
    """Energy distance and MMD, the largest KS of any feature, mean and sd of each, and modes, if it has some.

    Mean, sd and modes are compared with those of ``distribution``, where it is given, and perfect samplers
    are drawn from it; else they are random splits of the pooled rows.

    Shapes:  sample (n, p), real (m, p)
    """
    n, m, p = len(sample), len(real), sample.shape[1]
    few = p <= FEATURES_SHOWN
    known = distribution is not None and few
    mean, sd = (distribution.mean, distribution.sd) if known else (mean_of(real), sd_of(real))
    scale = np.where(sd > 0, sd, 1.0)  # a constant feature, as a dark corner of every image, has no scale
    modes = modes_of(distribution) if known else None
    gaps = [_gap(sample[:, j], real[:, j]) for j in range(p)]
    worst = int(np.argmax([statistic for statistic, _ in gaps]))
    shown = list(range(p)) if few else []
    if known:
        null = _drawn(distribution, _Small.of(n, m, SIDE, p))
        spread, kurtosis = sd, kurtosis_of(distribution)
    else:
        null = _split(sample / scale, real / scale, _Small.of(n, m, ROWS, p), shown, rng)
        both = np.concatenate([sample[:MOMENT_ROWS], real[:MOMENT_ROWS]])  # of both alike, as splits see them
        spread = sd_of(both)
        kurtosis = _kurtosis(both, np.where(spread > 0, spread, 1.0))
    of_pairs = null.measures(sample, real, scale, rng)
    kolmogorov = KolmogorovTail(_harmonic(n, m), p)
    ks = KSResult(gaps[worst][0], float(min(1.0, kolmogorov.p(gaps[worst][0]))), gaps[worst][1])
    median = KolmogorovTail(_harmonic(n, m)).inverse(1 - 0.5 ** (1 / p))
    tails = moment_tails(n, m, spread, kurtosis, known)
    moments = []
    for j in shown or [worst]:
        x, tail_mean, tail_sd = sample[:, j], *(t[j] if few else None for t in tails)
        at, spread_of_it = (x.mean(), x.std(ddof=1)) if x.max() > x.min() else (x[0], 0.0)
        moments += [
            Measure(f"mean, {names[j]}", at, mean[j], tail_mean, float(mean[j])),
            Measure(f"sd, {names[j]}", spread_of_it, sd[j], tail_sd, float(sd[j])),
        ]
    judged = (
        *of_pairs,
        Measure(f"KS, {names[worst]} (the largest)", ks.statistic, median, kolmogorov),
        *([] if modes is None else mode_measures(modes, n, modes.coverage(sample))),
    )
    power = _power(n if known else _harmonic(n, m), null.joint.critical(LEVEL), kolmogorov, n, m)
    if modes is not None:  # the reverse KL of modes without one of share w is −ln(1 − w)
        bound = mode_tails(modes, n)[1].inverse(null.joint.critical(LEVEL))
        power = replace(power, missing=-math.expm1(-bound), part=MODE)
    if few:
        relative = max(t.sd / s for t, s in zip(tails[1], scale, strict=True))
        power = replace(
            power, scale=1 + found(NormalTail(relative).inverse(null.joint.critical(LEVEL)), relative)
        )
    # at small sizes the tails themselves are few: by Bonferroni, which asks for a little more
    apart = LEVEL / (len(judged) + 2 * len(shown))
    least = needed(found(NormalTail(1.0).inverse(apart), 1.0))
    count, of = (least, "rows on") if known else needed_beside(least, n, m, "rows")
    first, tail = of_pairs[0], of_pairs[0].tail
    energy_result = EnergyResult(first.value, first.p, first.perfect, tail.inverse(LEVEL))
    tests = [
        "energy", "MMD", f"{p} Kolmogorov-Smirnov", *(["modes"] if modes is not None else []),
        *(["moments"] if few else []),
    ]  # fmt: skip
    return Evidence(
        (*judged, *moments), null.joint, ks,
        ", ".join(tests), f"{format_count(n)} rows of {p} features", against,
        replace(power, needed=count, of=of), enough=(n if known else _harmonic(n, m)) >= least,
        energy=energy_result,
    )  # fmt: skip


def mean_of(rows: np.ndarray) -> np.ndarray:
    """The mean of each feature, exactly its value where it is constant."""
    return np.where(rows.max(axis=0) > rows.min(axis=0), rows.mean(axis=0), rows[0])


def sd_of(real: np.ndarray) -> np.ndarray:
    """The sd of each feature, exactly zero where it is constant."""
    return np.where(real.max(axis=0) > real.min(axis=0), real.std(axis=0, ddof=1), 0.0)


def moment_tails(
    n: int, m: int, scale: np.ndarray, kurtosis: np.ndarray, known: bool
) -> tuple[list[NormalTail], ...]:
    """Of each feature's mean and sd, of n rows against m, or against what is known of them.

    The variance of s² is σ⁴(κ − (n − 3)/(n − 1))/n: of few rows without tails, as on a ring, more than κ − 1.

    Source:  Cramér 1946, equation 27.4.2
    """
    sides = (n,) if known else (n, m)
    root = math.sqrt(sum(1 / k for k in sides))
    least = sum(2 / (k * (k - 1)) for k in sides)
    spread = 0.5 * np.sqrt(np.maximum(kurtosis - 1, 1e-12) * root**2 + least)
    return tuple([NormalTail(float(sd)) for sd in sds] for sds in (scale * root, scale * spread))


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Small:
    """Sizes of the small perfect samplers: rows of both sides in proportion, and those compared in pairs."""

    rows: tuple[int, int]
    paired: tuple[int, int]

    @classmethod
    def of(cls, n: int, m: int, side: int, features: int) -> "_Small":
        factor, most = min(1.0, side / min(n, m)), rows_afforded(features)
        rows = [min(max(2, round(k * factor)), 4 * side) for k in (n, m)]
        paired = [min(r, max(10, round(r * min(1.0, most / k)))) for r, k in zip(rows, (n, m), strict=True)]
        return cls((rows[0], rows[1]), (paired[0], paired[1]))


@dataclass(frozen=True)
class _Null:
    """Of small perfect samplers: size × each contrast of pairs, and the least of the tails.

    widths   of the kernels of MMD²; usual: the median of the least of their tails
    """

    pairs: tuple[GammaTail, ...]
    widths: tuple[float, ...]
    usual: float
    joint: Joint

    @classmethod
    def of(
        cls, paired: np.ndarray, of_all: np.ndarray, tails: np.ndarray, widths: tuple[float, ...]
    ) -> "_Null":
        """From size × the contrasts of the rows that are compared in pairs, and of all rows.

        The former hang together with the other tails as in large samples, but are of so few rows that their
        own variance is some percent less than that of more.
        """
        own, pairs = (
            [_tail_of(column, k, len(widths)) for k, column in enumerate(s.T)] for s in (paired, of_all)
        )
        p = np.column_stack([tail.p(column) for tail, column in zip(own, paired.T, strict=True)])
        kernels = p[:, 1:].min(axis=1)
        joint = Joint.of(np.column_stack([p[:, 0], kernels, tails]))
        return cls(tuple(pairs), widths, float(np.median(kernels)), joint)

    def measures(
        self, sample: np.ndarray, real: np.ndarray, scale: np.ndarray, rng: np.random.Generator
    ) -> tuple[Measure, Measure]:
        """Energy distance and, of the MMD², the one that perfect samplers reach most rarely."""
        most, centre = rows_afforded(sample.shape[1]), real.mean(axis=0)
        x, y = (in_units(_some(s, most, rng), centre, scale) for s in (sample, real))
        values, size = contrasts(x, y, self.widths), _harmonic(len(x), len(y))
        tails = [replace(tail, scale=tail.scale / size) for tail in self.pairs]
        found = [float(tail.p(value)) for tail, value in zip(tails, values, strict=True)]
        k = 1 + int(np.argmin(found[1:]))
        energy, of_kernel = (
            Measure(name, float(values[j]), tails[j].inverse(usual), tails[j], unit=unit)
            for name, j, usual, unit in (
                (NAMES[0], 0, 0.5, "sd"),
                (NAMES[1], k, self.usual, f"a kernel of {self.widths[k - 1]:.2g} sd"),
            )
        )
        return energy, of_kernel


def _tail_of(scaled, k, kernels):
    """Of the energy distance, or of one of the kernels, of which the least tail counts."""
    count = 1 if k == 0 else kernels
    return replace(GammaTail.of(scaled.mean(), scaled.var()), count=count)


def _harmonic(n, m):
    return n * m / (n + m)


def _gap(a, b):
    """KS of two samples, and where it is: without the count of paths for its exact p-value."""
    ranked = [ordered(s) for s in (a, b)]
    x = np.concatenate(ranked)  # in two runs, of which ranks are found sooner
    below_a, below_b = (np.searchsorted(s, x, side="right") / len(s) for s in ranked)
    apart = np.abs(below_a - below_b)
    farthest = x[apart == apart.max()]
    both = np.concatenate([a, b])
    return float(apart.max()), float(both[np.isin(both, farthest).argmax()])


def _some(x, rows, rng):
    return x if len(x) <= rows else x[rng.choice(len(x), rows, replace=False)]


def _kurtosis(rows, scale):
    """E((X − μ)/σ)⁴ of each feature."""
    return (((rows - rows.mean(axis=0)) / scale) ** 4).mean(axis=0)


def _stack(tails, deviations):
    """(R, features) of deviations → the tails of each."""
    return [tail.p(deviations[:, j]) for j, tail in enumerate(tails)]


def _draw(distribution, small):
    """Small perfect samplers that are drawn from the distribution itself."""
    rng, modes = np.random.default_rng(sum(small.rows)), modes_of(distribution)
    (n, m), p, paired, of_all, tails = small.rows, distribution.features, [], [], []
    scale, centre = np.where(distribution.sd > 0, distribution.sd, 1.0), distribution.mean
    widths = kernel_widths(in_units(distribution.sample(np.random.default_rng(5), (PILOT,)), centre, scale))
    tail_mean, tail_sd = moment_tails(n, m, scale, kurtosis_of(distribution), known=True)
    kolmogorov, steps = KolmogorovTail(_harmonic(n, m), p), np.repeat([1 / n, -1 / m], [n, m])
    step = max(1, 2**20 // (max(small.rows) ** 2 + (n + m) * p))
    for start in range(0, DRAWN, step):
        r = min(step, DRAWN - start)
        x, y = distribution.sample(rng, (r, n)), distribution.sample(rng, (r, m))
        a, b = (in_units(s, centre, scale) for s in (x, y))
        paired.append(contrasts(a[:, : small.paired[0]], b[:, : small.paired[1]], widths))
        of_all.append(paired[-1] if small.paired == small.rows else contrasts(a, b, widths))
        order = np.argsort(np.concatenate([x, y], axis=1), axis=1)
        parts = [kolmogorov.p(np.abs(np.cumsum(steps[order], axis=1)).max(axis=(1, 2)))]
        parts += _stack(tail_mean, np.abs(x.mean(axis=1) - distribution.mean))
        parts += _stack(tail_sd, np.abs(x.std(axis=1, ddof=1) - distribution.sd))
        if modes is not None:
            deviations = mode_deviations(modes, modes.coverage(x), (rng.random(r) - 0.5) / n)
            parts += [t.p(d) for t, d in zip(mode_tails(modes, n), deviations, strict=True)]
        tails.append(np.stack(parts, axis=1))
    sized = (np.concatenate(e) * _harmonic(*k) for e, k in ((paired, small.paired), (of_all, small.rows)))
    return _Null.of(*sized, np.concatenate(tails), widths)


_drawn = lru_cache(maxsize=16)(_draw)


@lru_cache(maxsize=16)
def kurtosis_of(distribution: Any) -> np.ndarray:
    """E((X − μ)/σ)⁴ of each feature of a distribution, from draws of its own."""
    sd = np.where(distribution.sd > 0, distribution.sd, 1.0)
    return _kurtosis(distribution.sample(np.random.default_rng(4), (20_000,)), sd)


def _split(sample, real, small, shown, rng):
    """Small perfect samplers that are random splits of rows of both sides, which are in units of their sd."""
    (n, m), p = small.rows, sample.shape[1]
    pooled = _some(np.concatenate([sample, real]), n + m, rng)
    pooled = pooled - mean_of(pooled)
    replicates = SPLITS if p <= FEATURES_SHOWN else SPLITS // 4
    (a, b), kinds = small.paired, np.empty(n + m, np.int8)
    kinds[:n], kinds[n:], kinds[:a], kinds[n : n + b] = 1, 3, 0, 2
    kinds = rng.permuted(np.tile(kinds, (replicates, 1)), axis=1)
    steps, largest = np.array([1 / n, 1 / n, -1 / m, -1 / m])[kinds], np.zeros(replicates)
    rows = in_units(pooled, np.zeros(p), np.ones(p))
    widths = kernel_widths(rows)
    of_all = _harmonic(n, m) * contrasts_of_splits(rows, steps.astype(np.float32), widths)
    paired = of_all
    if small.paired != small.rows:
        weights = np.array([1 / a, 0, -1 / b, 0], np.float32)[kinds]
        paired = _harmonic(a, b) * contrasts_of_splits(rows, weights, widths)
    for j in range(p):
        apart = np.abs(np.cumsum(steps[:, np.argsort(pooled[:, j])], axis=1))
        largest = np.maximum(largest, apart.max(axis=1))
    parts = [KolmogorovTail(_harmonic(n, m), p).p(largest)]
    if shown:
        z, mine = pooled[:, shown], (kinds < 2).astype(float)
        tail_mean, tail_sd = moment_tails(
            n, m, sd_of(z), _kurtosis(z, np.where(sd_of(z) > 0, sd_of(z), 1)), False
        )
        (mean_x, sd_x), (mean_y, sd_y) = (_moments(w, z, k) for w, k in ((mine, n), (1 - mine, m)))
        parts += _stack(tail_mean, np.abs(mean_x - mean_y)) + _stack(tail_sd, np.abs(sd_x - sd_y))
    return _Null.of(paired, of_all, np.stack(parts, axis=1), widths)


def _moments(chosen, z, count):
    """Mean and sd of the chosen rows: (R, N), (N, p) → twice (R, p)."""
    sums, squares = chosen @ z, chosen @ (z * z)
    return sums / count, np.sqrt(np.maximum(squares - sums * sums / count, 0) / max(count - 1, 1))


def _power(size, critical, kolmogorov, n, m):
    """A shift of one feature, by its mean; a missing part, by KS."""
    shift = found(NormalTail(1.0).inverse(critical), 1.0) / math.sqrt(size)
    return Power(shift=shift, missing=missing_part(kolmogorov.inverse(critical), n, m), part=OF_A_FEATURE)
