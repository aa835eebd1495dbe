"""What is measured on rows of several features: energy distance, margins, moments, modes.

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
ENERGY_ROWS = 1000  # of each side, between which all distances are taken
MOMENT_ROWS = 100_000  # of each side, whose fourth moments are taken
FEATURES_SHOWN = 16  # with more features, mean and sd are for information, and of one feature only


def evidence_on_rows(
    sample: np.ndarray, real: np.ndarray, rng: np.random.Generator, names: tuple[str, ...], against: str,
    distribution: Any = None,
) -> Evidence:  # fmt: skip
    """An energy test, the largest KS of any feature, mean and sd of each, and the modes, if there are some.

    Mean, sd and modes are compared with those of ``distribution``, where it is given, and perfect samplers
    are drawn from it; else they are random splits of the pooled rows.

    Shapes:  sample (n, p), real (m, p)
    """
    n, m, p = len(sample), len(real), sample.shape[1]
    few = p <= FEATURES_SHOWN
    known = distribution is not None and few
    mean, sd = (distribution.mean, distribution.sd) if known else (real.mean(axis=0), sd_of(real))
    scale = np.where(sd > 0, sd, 1.0)  # a constant feature, as a dark corner of every image, has no scale
    modes = modes_of(distribution) if known else None
    gaps = [_gap(sample[:, j], real[:, j]) for j in range(p)]
    worst = int(np.argmax([statistic for statistic, _ in gaps]))
    shown = list(range(p)) if few else []
    if known:
        null = _drawn(distribution, _Small.of(n, m, SIDE))
        spread, kurtosis = sd, kurtosis_of(distribution)
    else:
        null = _split(sample / scale, real / scale, _Small.of(n, m, ROWS), shown, rng)
        both = np.concatenate([sample[:MOMENT_ROWS], real[:MOMENT_ROWS]])  # of both alike, as splits see them
        spread = sd_of(both)
        kurtosis = _kurtosis(both, np.where(spread > 0, spread, 1.0))
    size = _harmonic(*(min(k, ENERGY_ROWS) for k in (n, m)))
    energy_tail = GammaTail(null.energy.shape, null.energy.scale / size)
    value = energy(*(_some(s / scale, ENERGY_ROWS, rng) for s in (sample, real)))
    kolmogorov = KolmogorovTail(_harmonic(n, m), p)
    ks = KSResult(gaps[worst][0], float(min(1.0, kolmogorov.p(gaps[worst][0]))), gaps[worst][1])
    median = KolmogorovTail(_harmonic(n, m)).inverse(1 - 0.5 ** (1 / p))
    tails = moment_tails(n, m, spread, kurtosis, known)
    moments = []
    for j in shown or [worst]:
        x, tail_mean, tail_sd = sample[:, j], *(t[j] if few else None for t in tails)
        moments += [
            Measure(f"mean, {names[j]}", x.mean(), mean[j], tail_mean, float(mean[j])),
            Measure(f"sd, {names[j]}", x.std(ddof=1), sd[j], tail_sd, float(sd[j])),
        ]
    judged = (
        Measure("energy distance", value, energy_tail.inverse(0.5), energy_tail, unit="sd"),
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
    energy_result = EnergyResult(
        value, float(energy_tail.p(value)), energy_tail.inverse(0.5), energy_tail.inverse(LEVEL)
    )
    tests = [
        "energy", f"{p} Kolmogorov-Smirnov", *(["modes"] if modes is not None else []),
        *(["moments"] if few else []),
    ]  # fmt: skip
    return Evidence(
        (*judged, *moments), null.joint, ks,
        ", ".join(tests), f"{format_count(n)} rows of {p} features", against,
        replace(power, needed=count, of=of), enough=(n if known else _harmonic(n, m)) >= least,
        energy=energy_result,
    )  # fmt: skip


def energy(x: np.ndarray, y: np.ndarray) -> float:
    """E = 2⟨|X − Y|⟩ − ⟨|X − X′|⟩ − ⟨|Y − Y′|⟩ of two samples.    Shapes:  (n, p), (m, p)"""
    return float(_energies(x, y))


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
    """Sizes of the small perfect samplers: rows of both sides in proportion, and those of the energy test."""

    rows: tuple[int, int]
    energy: tuple[int, int]

    @classmethod
    def of(cls, n: int, m: int, side: int) -> "_Small":
        factor = min(1.0, side / min(n, m))
        rows = [min(max(2, round(k * factor)), 4 * side) for k in (n, m)]
        energy = [
            min(r, max(10, round(r * min(1.0, ENERGY_ROWS / k)))) for r, k in zip(rows, (n, m), strict=True)
        ]
        return cls((rows[0], rows[1]), (energy[0], energy[1]))


@dataclass(frozen=True)
class _Null:
    """Of small perfect samplers: size × energy distance, mean and variance, and the least of the tails."""

    energy: GammaTail
    joint: Joint

    @classmethod
    def of(cls, energies: np.ndarray, of_all: np.ndarray, tails: np.ndarray) -> "_Null":
        """From size × energy distance of the rows of the energy test, and of all rows.

        The former hang together with the other tails as in large samples, but are of so few rows that their
        own variance is some percent less than that of more.
        """
        own, energy = (GammaTail.of(scaled.mean(), scaled.var()) for scaled in (energies, of_all))
        return cls(energy, Joint.of(np.column_stack([own.p(energies), tails])))


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


def _lengths(x, y):
    """Distances between all rows: (…, n, p), (…, m, p) → (…, n, m)."""
    squares = (x * x).sum(-1)[..., :, None] + (y * y).sum(-1)[..., None, :]
    squares -= 2 * x @ y.swapaxes(-1, -2)
    return np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares)


def _energies(x, y):
    """(…, n, p), (…, m, p) → (…)."""
    centre = x.mean(axis=-2, keepdims=True)
    x, y = x - centre, y - centre
    within = []
    for s in (x, y):
        lengths = _lengths(s, s)
        lengths[..., range(s.shape[-2]), range(s.shape[-2])] = 0.0  # rounding of a matrix product
        within.append(lengths.mean(axis=(-2, -1)))
    return np.maximum(2 * _lengths(x, y).mean(axis=(-2, -1)) - within[0] - within[1], 0.0)


def _kurtosis(rows, scale):
    """E((X − μ)/σ)⁴ of each feature."""
    return (((rows - rows.mean(axis=0)) / scale) ** 4).mean(axis=0)


def _stack(tails, deviations):
    """(R, features) of deviations → the tails of each."""
    return [tail.p(deviations[:, j]) for j, tail in enumerate(tails)]


def _draw(distribution, small):
    """Small perfect samplers that are drawn from the distribution itself."""
    rng, modes = np.random.default_rng(sum(small.rows)), modes_of(distribution)
    (n, m), p, energies, of_all, tails = small.rows, distribution.features, [], [], []
    scale = np.where(distribution.sd > 0, distribution.sd, 1.0)
    tail_mean, tail_sd = moment_tails(n, m, scale, kurtosis_of(distribution), known=True)
    kolmogorov, steps = KolmogorovTail(_harmonic(n, m), p), np.repeat([1 / n, -1 / m], [n, m])
    step = max(1, 2**20 // (max(small.rows) ** 2 + (n + m) * p))
    for start in range(0, DRAWN, step):
        r = min(step, DRAWN - start)
        x, y = distribution.sample(rng, (r, n)), distribution.sample(rng, (r, m))
        energies.append(_energies(x[:, : small.energy[0]] / scale, y[:, : small.energy[1]] / scale))
        of_all.append(energies[-1] if small.energy == small.rows else _energies(x / scale, y / scale))
        order = np.argsort(np.concatenate([x, y], axis=1), axis=1)
        parts = [kolmogorov.p(np.abs(np.cumsum(steps[order], axis=1)).max(axis=(1, 2)))]
        parts += _stack(tail_mean, np.abs(x.mean(axis=1) - distribution.mean))
        parts += _stack(tail_sd, np.abs(x.std(axis=1, ddof=1) - distribution.sd))
        if modes is not None:
            deviations = mode_deviations(modes, modes.coverage(x), (rng.random(r) - 0.5) / n)
            parts += [t.p(d) for t, d in zip(mode_tails(modes, n), deviations, strict=True)]
        tails.append(np.stack(parts, axis=1))
    sized = (np.concatenate(e) * _harmonic(*k) for e, k in ((energies, small.energy), (of_all, small.rows)))
    return _Null.of(*sized, np.concatenate(tails))


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
    pooled = pooled - pooled.mean(axis=0)
    replicates = SPLITS if p <= FEATURES_SHOWN else SPLITS // 4
    (a, b), kinds = small.energy, np.empty(n + m, np.int8)
    kinds[:n], kinds[n:], kinds[:a], kinds[n : n + b] = 1, 3, 0, 2
    kinds = rng.permuted(np.tile(kinds, (replicates, 1)), axis=1)
    steps, largest = np.array([1 / n, 1 / n, -1 / m, -1 / m])[kinds], np.zeros(replicates)
    lengths = _lengths(pooled, pooled)
    np.fill_diagonal(lengths, 0.0)
    energies, of_all = (
        _harmonic(*k) * np.maximum(-((weights @ lengths) * weights).sum(axis=1), 0.0)
        for weights, k in ((np.array([1 / a, 0, -1 / b, 0])[kinds], (a, b)), (steps, (n, m)))
    )
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
    return _Null.of(energies, of_all, np.stack(parts, axis=1))


def _moments(chosen, z, count):
    """Mean and sd of the chosen rows: (R, N), (N, p) → twice (R, p)."""
    sums, squares = chosen @ z, chosen @ (z * z)
    return sums / count, np.sqrt(np.maximum(squares - sums * sums / count, 0) / max(count - 1, 1))


def _power(size, critical, kolmogorov, n, m):
    """A shift of one feature, by its mean; a missing part, by KS."""
    shift = found(NormalTail(1.0).inverse(critical), 1.0) / math.sqrt(size)
    return Power(shift=shift, missing=missing_part(kolmogorov.inverse(critical), n, m), part=OF_A_FEATURE)
