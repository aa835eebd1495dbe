"""Which modes of a mixture a sample has found: modes captured, high-quality share, reverse KL over modes.

High quality is within 3 standard deviations of the nearest centre. A perfect sampler has 98.89 % of it in the
plane and 99.73 % on the line: more is not better, it is a sample that is too narrow.
"""

import math
from dataclasses import dataclass

import numpy as np

from minigan.probability._numerics import host
from minigan.probability.distributions import SUM_TOLERANCE, Normal
from minigan.probability.mixture import Mixture
from minigan.probability.multivariate import MultivariateMixture

BLOCK = 256  # points that are compared with all centres at once
REACH = 3.0  # standard deviations within which a value is of high quality


@dataclass(frozen=True, eq=False)
class ModeCoverage:
    """What samples found of ``of`` modes; arrays have one entry per replica, plain numbers stand for one.

    captured      modes that own a high-quality value
    high_quality  the share of values within 3 sd of their nearest centre
    reverse_kl    KL(q̂‖w) of the shares q̂ of all values at their nearest centres, in nats
    counts        values at each mode, of any quality; good: those of high quality
    perfect_high_quality  the expected ``high_quality`` of a perfect sampler

    >>> from minigan.evaluation import mode_coverage
    >>> found = mode_coverage([[0.0], [0.1], [5.0]], centres=[[0.0], [5.0], [9.0]], sd=0.2)
    >>> found.captured, found.high_quality
    (2, 1.0)
    """

    captured: int | np.ndarray
    high_quality: float | np.ndarray
    reverse_kl: float | np.ndarray
    counts: np.ndarray
    good: np.ndarray
    of: int
    perfect_high_quality: float


@dataclass(frozen=True, eq=False)
class Modes:
    """The modes of a distribution: centres, their sd, and what a perfect sampler shows of them.

    ``shares`` are of values whose nearest centre each is, ``high_quality`` is of values within 3 sd.

    Shapes:  centres (k, p), sd (k,), shares (k,)

    >>> from minigan.evaluation import modes_of
    >>> from minigan.probability import ring
    >>> modes_of(ring(8)).centres.shape
    (8, 2)
    """

    centres: np.ndarray
    sd: np.ndarray
    shares: np.ndarray
    high_quality: float

    def coverage(self, sample) -> ModeCoverage:
        """What a sample found of these modes.

        Shapes:  sample (…, n, p), or (n,) where p = 1
        """
        return mode_coverage(sample, self.centres, self.sd, self.shares, self.high_quality)


def modes_of(distribution) -> Modes | None:
    """The modes of a mixture of round normal distributions; None of any other, and where they are no modes.

    They are where every two centres lie farther apart than the sum of their sd: two equal normal
    distributions nearer than that have one peak. On the line shares and high quality are exact integrals of
    the distribution; in more features they are the weights and the χ² distribution of one mode, which holds
    where modes do not overlap.

    >>> from minigan.evaluation import modes_of
    >>> modes_of(mg.parse("0.5*normal(-2, 0.3) + 0.5*normal(2, 0.3)")).centres.ravel()
    array([-2.,  2.])
    """
    if isinstance(distribution, Mixture):
        parts = [(w, c) for w, c in zip(distribution.weights, distribution.components, strict=True) if w > 0]
        if not all(isinstance(c, Normal) for _, c in parts):
            return None
        weights = np.array([w for w, _ in parts])
        centres, sd = np.array([[c.mean] for _, c in parts]), np.array([c.sd for _, c in parts])
    elif isinstance(distribution, MultivariateMixture) and distribution.mode_sd is not None:
        kept = np.array(distribution.weights) > 0
        weights, centres, sd = (
            np.array(distribution.weights)[kept],
            distribution.centres[kept],
            distribution.mode_sd[kept],
        )
    else:
        return None
    if len(weights) < 2 or not _apart(centres, sd):
        return None
    if isinstance(distribution, Mixture):
        shares, good = _on_the_line(distribution, centres[:, 0], sd)
        return Modes(centres, sd, shares, good)
    return Modes(centres, sd, weights / weights.sum(), _within_reach(centres.shape[1]))


def mode_coverage(
    sample, centres, sd, weights=None, perfect_high_quality: float | None = None
) -> ModeCoverage:
    """Modes captured, share of high quality and reverse KL over modes of a sample, or of one per replica.

    A value belongs to the centre that is nearest in units of that centre's sd, and is of high quality within
    3 of them. A mode is captured if it owns a value of high quality. The reverse KL, Σ q̂ₖ ln(q̂ₖ/wₖ), counts
    *all* values, as PacGAN's text does (the code of its toy examples drops those of low quality): so it is
    defined for a sample without any, and tells the balance of modes alone. ``weights`` are the shares that a
    perfect sampler has at the centres, equal ones if None; its high quality is by default that of modes that
    do not overlap, P(χ²ₚ ≤ 9).

    Shapes:  sample (…, n, p), or (n,) where p = 1; centres (k, p), or (k,); sd a number or (k,); weights (k,)
             → captured, high_quality, reverse_kl (…), counts and good (…, k)
    Units:   nats
    Raises:  ValueError – for shapes that do not fit, sd ≤ 0, or weights that are not positive with sum one
    Source:  Srivastava et al. 2017 (VEEGAN), section 5.1; Lin et al. 2018 (PacGAN), section 4.1

    >>> from minigan.evaluation import mode_coverage
    >>> mode_coverage([[0.0], [0.1], [5.0]], centres=[[0.0], [5.0], [9.0]], sd=0.2).captured
    2
    """
    x, centres = host(sample, finite=True), host(centres, "centres", finite=True)
    centres = centres[:, None] if centres.ndim == 1 else centres
    if centres.ndim != 2:
        raise ValueError(f"centres have shape (k, p); received {centres.shape}")
    k, p = centres.shape
    x = x[:, None] if x.ndim == 1 and p == 1 else x
    if x.ndim < 2 or x.shape[-1] != p:
        raise ValueError(f"a sample beside centres of {p} features has shape (…, n, {p}); received {x.shape}")
    sd = host(sd, "sd", finite=True)
    if sd.shape not in ((), (k,)) or (sd <= 0).any():
        raise ValueError(
            f"sd is one positive number, or one for each of the {k} modes; received shape {sd.shape} with "
            f"least value {sd.min():.3g}"
        )
    sd = np.broadcast_to(sd, (k,))
    shares = np.full(k, 1 / k) if weights is None else host(weights, "weights", finite=True)
    if shares.shape != (k,) or (shares <= 0).any() or abs(math.fsum(shares) - 1) > SUM_TOLERANCE:
        raise ValueError(
            f"weights are {k} positive numbers of sum one; received shape {shares.shape}, "
            f"sum {shares.sum():.10g}"
        )
    counts, good = _counts(x, centres, sd)
    n = x.shape[-2]
    q = counts / n
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(counts > 0, q * np.log(q / shares), 0.0)
    captured, quality = (good > 0).sum(axis=-1), good.sum(axis=-1) / n
    divergence = np.maximum(terms.sum(axis=-1), 0.0)
    if x.ndim == 2:
        captured, quality, divergence = int(captured), float(quality), float(divergence)
    perfect = _within_reach(p) if perfect_high_quality is None else perfect_high_quality
    return ModeCoverage(captured, quality, divergence, counts, good, k, perfect)


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _counts(x, centres, sd):
    """Values at each nearest centre, and those of them within reach: (…, n, p) → twice (…, k)."""
    lead, k = x.shape[:-2], len(centres)
    nearest, least = np.zeros(x.shape[:-1], np.intp), np.full(x.shape[:-1], np.inf)
    for j, (centre, s) in enumerate(zip(centres, sd, strict=True)):
        distance = sum(((x[..., i] - c) / s) ** 2 for i, c in enumerate(centre))
        closer = distance < least
        nearest[closer], least[closer] = j, distance[closer]
    # one histogram for all replicas: each has k cells of its own
    cells = nearest.reshape(-1, nearest.shape[-1])
    cells = cells + k * np.arange(len(cells))[:, None]
    inside = cells[least.reshape(cells.shape) <= REACH**2]
    size = k * len(cells)
    return tuple(np.bincount(c.ravel(), minlength=size).reshape(*lead, k) for c in (cells, inside))


def _apart(centres, sd):
    """Whether every two centres are farther apart than the sum of their sd."""
    for start in range(0, len(centres), BLOCK):  # of thousands not all pairs at once
        some = slice(start, start + BLOCK)
        distances = np.sqrt(((centres[some, None] - centres) ** 2).sum(axis=-1))
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf
        if not (distances > sd[some, None] + sd).all():
            return False
    return True


def _within_reach(features):
    """P(χ² ≤ 9) with so many degrees of freedom."""
    from scipy.special import chdtr

    return float(chdtr(features, REACH**2))


def _on_the_line(distribution, centres, sd):
    """Shares and high quality of a distribution on the line: its mass between points where one changes."""
    j, k = np.triu_indices(len(centres), 1)
    between = (centres[j] * sd[k] + centres[k] * sd[j]) / (sd[j] + sd[k])
    with np.errstate(divide="ignore", invalid="ignore"):  # equal sd meet once only
        beyond = (centres[j] * sd[k] - centres[k] * sd[j]) / (sd[k] - sd[j])
    points = np.concatenate([between, beyond, centres - REACH * sd, centres + REACH * sd])
    points = np.unique(points[np.isfinite(points)])
    mass = np.diff(distribution.cdf(points), prepend=0, append=1)
    inner = 0.5 * (points[1:] + points[:-1])
    inside = np.concatenate([[points[0] - sd.max()], inner, [points[-1] + sd.max()]])
    nearest, within = np.empty(len(inside), np.intp), np.empty(len(inside), bool)
    for start in range(0, len(inside), BLOCK):
        some = slice(start, start + BLOCK)
        z = np.abs(inside[some, None] - centres) / sd
        nearest[some], within[some] = z.argmin(axis=1), z.min(axis=1) <= REACH
    shares = np.bincount(nearest, weights=mass, minlength=len(centres))
    return shares / shares.sum(), float(mass[within].sum())
