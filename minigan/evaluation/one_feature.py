"""What is measured on values of one feature, against a known distribution or against a second sample."""

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from minigan.evaluation.joint import (
    LEVEL,
    GammaTail,
    Joint,
    KolmogorovTail,
    NormalTail,
    RareTail,
    ShareTail,
    ZolotarevTail,
    pit_joint,
    pit_statistics,
    pit_tails,
    scores,
)
from minigan.evaluation.modes import Modes, modes_of
from minigan.evaluation.power import MODE, Power, found, missing_part, needed, needed_beside, slopes
from minigan.evaluation.ranks import AD_MEDIAN, anderson_two_sample, rank_scores, ranks_joint, ties_of
from minigan.evaluation.rows import Evidence, Measure, format_count, format_target
from minigan.evaluation.two_sample import (
    inner_quantiles,
    ks_one_sample,
    ks_two_sample,
    wasserstein1,
    wasserstein1_of_rows,
)
from minigan.probability.distributions import NORMAL_IQR, Normal, location_scale
from minigan.probability.estimators import histogram_edges
from minigan.probability.information import js_rows
from minigan.probability.long_calls import ordered

SIMULATED = 400  # values of a perfect sampler with modes: how its tails hang together changes little beyond
REPLICATES = 10_000  # of it
FEW = 50  # values: about as many as a stated difference needs
FLOORS = 100  # replicates behind the medians that are shown for information, of at most …
AT_ONCE = 5  # of them at a time, which stay in the cache
LARGEST = 10_000  # … so many values
FLOOR_ROWS = 10**6  # of real values behind the median of W1
TESTS = "Kolmogorov-Smirnov, Anderson-Darling"
LOCATION, SPREAD = "location, normal scores", "spread, normal scores"


def evidence_on_distribution(x: np.ndarray, target: Any) -> Evidence:
    """KS, Anderson-Darling, mean and sd of normal scores; the modes, where there are some.

    The scores z = Φ⁻¹(F(x)) of a perfect sampler are standard normal whatever the target; of a normal target
    their mean and sd are those of the values, in its units. W1, JS and the moments of other targets are for
    information.

    Shapes:  x (n,), ordered
    """
    n, normal = len(x), isinstance(target, Normal)
    centre, scale, scale_name = location_scale(target)
    u = target.cdf(x)
    z = (x - centre) / scale if normal else scores(u)
    _, anderson, z_mean, z_sd = (float(v) for v in pit_statistics(u, z))
    ks, modes, tails = ks_one_sample(x, target), modes_of(target), pit_tails(n)
    (w1,), (js,), ((location,), (spread,)) = _for_information(x[None], target)
    w1_floor, js_floor = _cached(_floors, target, min(n, LARGEST))
    fewer = min(1.0, LARGEST / n)
    named = ("mean" if scale_name == "sd" else "median"), scale_name
    if normal:  # the scores are those of the values
        judged = [
            Measure(named[0], location, centre, NormalTail(scale * tails[2].sd), centre),
            Measure(named[1], spread, scale, NormalTail(scale * tails[3].sd), scale),
        ]
    else:
        judged = [
            Measure(LOCATION, z_mean, 0.0, tails[2], 0.0), Measure(SPREAD, z_sd, 1.0, tails[3], 1.0)
        ]  # fmt: skip
    shown = [Measure("JS", js, js_floor * fewer, unit="nats")]
    if math.isfinite(target.mean):
        shown.insert(0, Measure("W1", w1, w1_floor * math.sqrt(fewer), unit=f"target {scale_name}"))
    if not normal:
        shown.append(Measure(named[0], location, centre, target=centre))
        shown.append(Measure(named[1], spread, scale, target=scale))
    if modes is None:
        joint, found_modes, last = pit_joint(n), [], "mean and sd" if normal else "location and spread"
    else:
        joint = _cached(_joint_with_modes, target, min(n, SIMULATED))
        found_modes, last = mode_measures(modes, n, modes.coverage(x[:, None])), "location, spread and modes"
    critical = joint.critical(LEVEL)
    apart = pit_joint(FEW).critical(LEVEL) if modes is None else LEVEL / (4 + len(found_modes))
    moves = (1.0, 1.0) if normal else _cached(_slopes, target, 0)
    wider = found(tails[3].inverse(critical), tails[3].sd)
    power = _power(tails, critical, apart, moves, wider, n)
    if modes is not None:
        missing = -math.expm1(-mode_tails(modes, n)[1].inverse(critical))
        power = replace(power, missing=missing, part=MODE)
    measures = (
        Measure("KS", ks.statistic, tails[0].inverse(0.5), tails[0]),
        Measure("Anderson-Darling", anderson, AD_MEDIAN, tails[1]),
        *judged, *found_modes, *shown,
    )  # fmt: skip
    return Evidence(
        measures, joint, ks, f"{TESTS}, {last}", f"{format_count(n)} values", format_target(str(target)),
        power, enough=n >= power.needed, lacks=_describe_lacking(target),
    )  # fmt: skip


def _describe_lacking(target: Any) -> str:
    """The moments that a distribution does not have, and what stands for them; "" where it has both."""
    instead = "its median and its interquartile range/1.349 stand for mean and sd"
    if not math.isfinite(target.mean):
        return f"{target} has no mean, so no sd and no W1 to it: {instead}."
    return "" if math.isfinite(target.sd) else f"{target} has no finite sd: {instead}."


def mode_measures(modes: Modes, n: int, seen: Any) -> list[Measure]:
    """Modes captured, share of high quality, reverse KL over modes, of one sample."""
    quality, divergence, missing = mode_tails(modes, n)
    of = len(modes.shares)
    captured, high, kl = (np.ravel(v)[0] for v in (seen.captured, seen.high_quality, seen.reverse_kl))
    return [
        Measure("modes captured", captured, of, missing, of, f"of {of}"),
        Measure("high-quality share", high, modes.high_quality, quality, modes.high_quality),
        Measure("reverse KL, modes", kl, divergence.inverse(0.5), divergence, unit="nats"),
    ]


def mode_tails(modes: Modes, n: int) -> tuple[ShareTail, GammaTail, RareTail]:
    """Of the share of high quality, the reverse KL, and missing modes, of n values of a perfect sampler."""
    k, q = len(modes.shares), modes.high_quality
    none = float(np.sum((1 - modes.shares * q) ** n))
    return (
        ShareTail(n, q),
        GammaTail(0.5 * (k - 1), 1 / n),  # 2n KL is χ² with k − 1 degrees of freedom
        RareTail(min(none, 1.0), k),
    )


def mode_deviations(modes: Modes, seen: Any, spread: np.ndarray | float = 0.0) -> list[np.ndarray]:
    """In the order of ``mode_tails``, for many samples at once; ``spread`` is added to the shares.

    It is uniform over a step of the share where few values stand for many, of which the steps are finer.
    """
    quality = np.abs(seen.high_quality + spread - modes.high_quality)
    return [quality, seen.reverse_kl, len(modes.shares) - seen.captured]


def evidence_on_sample(
    sample: np.ndarray, real: np.ndarray, rng: np.random.Generator, replicates: int, against: str
) -> Evidence:
    """Two-sample KS and Anderson-Darling, and normal scores of the ranks, which no unit and no tail disturbs.

    How they hang together between samples of n and m values is as of nm/(n + m) values and a known
    distribution, unless many of them tie. W1, JS, mean and sd are for information.

    Shapes:  sample (n,), real (m,)
    """
    n, m, sd = len(sample), len(real), real.std(ddof=1)
    if real.min() == real.max():
        raise ValueError(f"the real data are constant ({real[0]:.6g}); nothing can be compared with them")
    a, b = ordered(sample), ordered(real)  # once for all that asks for ranks
    size, ks = n * m / (n + m), ks_two_sample(a, b)
    joint = ranks_joint(ties_of(a, b), n, pit_joint(size))
    location, spread, location_tail, spread_tail = rank_scores(sample, real)
    edges = histogram_edges(b)
    js, js_floor = _js_of_two(a, b, edges, rng, replicates)
    kolmogorov = KolmogorovTail(size)
    tails = kolmogorov, ZolotarevTail(), location_tail, spread_tail
    measures = (
        Measure("KS", ks.statistic, kolmogorov.inverse(0.5), kolmogorov),
        Measure("Anderson-Darling", anderson_two_sample(a, b), AD_MEDIAN, tails[1]),
        Measure(LOCATION, location, 0.0, tails[2], 0.0),
        Measure(SPREAD, spread, 1.0, tails[3], 1.0),
        Measure("W1", wasserstein1(a, b) / sd, _w1_floor(real, n, rng) / sd, unit="sd of the data"),
        Measure("JS", js, js_floor, unit="nats"),
        Measure("mean", sample.mean(), real.mean(), None, real.mean()),
        Measure("sd", sample.std(ddof=1), sd, None, sd),
    )
    critical, apart = joint.critical(LEVEL), pit_joint(FEW).critical(LEVEL)
    wider = None if spread_tail is None else math.log(spread_tail.found(critical))
    power = _power(tails, critical, apart, (1.0, 1.0), wider, n, m)
    least, (count, of) = power.needed, needed_beside(power.needed, n, m)
    return Evidence(
        measures, joint, ks, f"{TESTS}, location and spread", f"{format_count(n)} values", against,
        replace(power, needed=count, of=of), enough=size >= least,
    )  # fmt: skip


def location_scale_of(ordered: np.ndarray, scale_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of each ordered row, or its median and interquartile range/1.349."""
    if scale_name == "sd":
        return ordered.mean(axis=-1), ordered.std(axis=-1, ddof=1)
    low, middle, high = np.quantile(ordered, [0.25, 0.5, 0.75], axis=-1)
    return middle, (high - low) / NORMAL_IQR


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _power(tails, critical, apart, moves, wider, n, m=math.inf):
    """``apart`` is the tail that tells where values are few; ``moves`` are those of mean and sd of the scores
    with a shift in sd, and with the logarithm of a factor; ``wider`` is how much of the latter is found.
    """
    slope_location, slope_spread = moves
    location = found(tails[2].inverse(critical), tails[2].sd)
    reach = found(NormalTail(1.0).inverse(apart), 1.0)
    return Power(
        shift=location / slope_location,
        scale=None if wider is None else math.exp(wider / slope_spread),
        missing=missing_part(tails[0].inverse(critical), n, m),
        needed=needed(reach, slope_location),
    )


def _slopes(target, _):
    return slopes(target)


def _for_information(x, target):
    """W1 in units of the scale, JS, and location and scale, of ordered rows: (R, n)."""
    _, scale, scale_name = location_scale(target)
    n = x.shape[-1]
    edges = histogram_edges(target)
    w1 = np.full(len(x), np.nan)
    if math.isfinite(target.mean):
        w1 = wasserstein1_of_rows(x, target, inner_quantiles(n, target)) / scale
    below = np.stack([np.searchsorted(row, edges, side="right") for row in x]) / n
    shares = np.diff(target.cdf(edges), prepend=0, append=1)
    return w1, js_rows(np.diff(below, prepend=0, append=1), shares), location_scale_of(x, scale_name)


# ``_simulated_floors(Normal(0, 1), LARGEST)``: in units of the scale one normal distribution is as another
_NORMAL_FLOORS = 0.012243322404478557, 0.0010540741194794844


def _floors(target, n):
    """Medians of W1 and JS of perfect samplers."""
    if n == LARGEST and isinstance(target, Normal):
        return _NORMAL_FLOORS
    return _simulated_floors(target, n)


def _simulated_floors(target, n):
    x = target.sample(np.random.default_rng(n), (FLOORS, n))
    parts = [_for_information(np.sort(x[k : k + AT_ONCE]), target)[:2] for k in range(0, FLOORS, AT_ONCE)]
    return np.median(np.concatenate(parts, axis=1), axis=1)


def _joint_with_modes(target, n):
    """The least tail of perfect samplers of n values whose modes are judged too."""
    rng, modes, parts = np.random.default_rng(n), modes_of(target), []
    tails = *pit_tails(n), *mode_tails(modes, n)
    step = 1 / n if n == SIMULATED else 0.0
    for _ in range(0, REPLICATES, 1000):
        x = np.sort(target.sample(rng, (1000, n)))
        u = target.cdf(x)
        ks, ad, mean, sd = pit_statistics(u, scores(u))
        deviations = (
            ks,
            ad,
            np.abs(mean),
            np.abs(sd - 1),
            *mode_deviations(modes, modes.coverage(x[..., None]), step * (rng.random(1000) - 0.5)),
        )
        parts.append(np.stack([t.p(d) for t, d in zip(tails, deviations, strict=True)], axis=1))
    return Joint.of(np.concatenate(parts))


@lru_cache(maxsize=64)
def _remembered(function, target, n):
    return function(target, n)


def _cached(function, target, n):
    """``function(target, n)``, once per process where the target can be remembered."""
    try:
        return _remembered(function, target, n)
    except TypeError:  # not hashable
        return function(target, n)


def _js_of_two(a, b, edges, rng, replicates):
    """JS of two ordered samples over the bins, and its median between random splits of the pooled counts."""
    n, m = len(a), len(b)
    counts = [np.diff(np.searchsorted(s, edges, side="right"), prepend=0, append=len(s)) for s in (a, b)]
    splits = rng.multivariate_hypergeometric(counts[0] + counts[1], n, size=replicates, method="marginals")
    js = js_rows(splits / n, (counts[0] + counts[1] - splits) / m)
    return float(js_rows(counts[0] / n, counts[1] / m)), float(np.median(js))


def _w1_floor(real, n, rng):
    """The median W1 of a resample of the data of m values, widened to what two samples of n and m show.

    Of very many values, of so many of them drawn at random.
    """
    m = len(real)
    size = min(m, LARGEST)
    some = real if m <= FLOOR_ROWS else rng.choice(real, FLOOR_ROWS)
    whole = ordered(some)
    distances = [wasserstein1(rng.choice(some, size), whole) for _ in range(20)]
    return float(np.median(distances)) * math.sqrt(size * (1 / n + 1 / m))
