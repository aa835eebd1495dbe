"""Information in nats: entropy, Kullback–Leibler and Jensen–Shannon divergences by formula and sample.

The name says the route: no suffix for discrete distributions given as probability vectors, ``_normal`` and
``_multivariate_normal`` for closed forms, ``_quadrature`` for two densities, and for samples ``_monte_carlo``
(both log-densities known), ``_histogram`` (the sample binned) and ``_knn`` (neither density known). A
Jensen–Shannon divergence is the divergence itself, not its square root, and lies in [0, ln 2].
"""

import math
from typing import NamedTuple

import numpy as np

from minigan.probability._numerics import host, host_sample, integrate
from minigan.probability.distributions import (
    SUM_TOLERANCE,
    checked_moments,
    entropy_quadrature,
    location_scale,
)

LN2 = math.log(2)
_DIVERGENT = 1e-6  # where the outermost panel still holds this share, an integral is taken for divergent


class Estimate(NamedTuple):
    """A mean over a sample, and its standard error."""

    value: float
    standard_error: float


# ── discrete distributions ──────────────────────────────────────────────────────────────────────────────────


def self_information(p) -> np.ndarray:
    """h = −ln p of each probability: additive over independent events, h(0) = ∞, h(1) = 0.

    Shapes:  p (…) → (…)
    Units:   nats
    Raises:  ValueError – for a probability outside [0, 1]
    Source:  [T1]
    """
    p = host(p, "probability")
    if p.min() < 0 or p.max() > 1:
        raise ValueError(f"a probability lies in [0, 1]; received values from {p.min()} to {p.max()}")
    with np.errstate(divide="ignore"):
        return 0.0 - np.log(p)  # not −ln p, which would make h(1) a negative zero


def entropy(p) -> float:
    """H[p] = −Σ p ln p with 0 ln 0 = 0: at most ln n, for the uniform distribution over n outcomes alone.

    Shapes:  p (…): all its entries together are one distribution
    Units:   nats
    Raises:  ValueError – if the probabilities are negative or do not sum to one; they are never renormalised
    Source:  [T2]
    """
    return _cross(*2 * [_probabilities(p, "p")])


def cross_entropy(p, q) -> float:
    """H[p, q] = −Σ p ln q = H[p] + KL(p‖q); ∞ where q has no mass and p has.

    Shapes:  p, q of one shape (…)
    Units:   nats
    Raises:  ValueError – as ``entropy``, and for unequal shapes
    Source:  [T3], [T12]
    """
    return _cross(*_pair(p, q))


def kl(p, q) -> float:
    """KL(p‖q) = Σ p ln(p/q) ≥ 0; ∞ where q has no mass and p has.

    Shapes:  p, q of one shape (…)
    Units:   nats
    Raises:  ValueError – as ``cross_entropy``
    Source:  [T3]
    """
    return _kl(*_pair(p, q))


def js(p, q) -> float:
    """JS(p, q) = ½ KL(p‖m) + ½ KL(q‖m), m = (p + q)/2: symmetric, 0 ≤ JS ≤ ln 2.

    Shapes:  p, q of one shape (…)
    Units:   nats
    Raises:  ValueError – as ``cross_entropy``
    Source:  [T6]
    """
    p, q = _pair(p, q)
    return float(js_rows(p.ravel(), q.ravel()))


# ── closed forms ────────────────────────────────────────────────────────────────────────────────────────────


def kl_normal(mean_p, sd_p, mean_q, sd_q):
    """KL of two normal distributions, ln(σ_q/σ_p) + [(μ_q − μ_p)² + σ_p² − σ_q²]/(2σ_q²), elementwise.

    Shapes:  four arrays that broadcast to one shape (…) → (…)
    Units:   nats
    Raises:  ValueError – unless all are finite and both standard deviations positive
    Source:  [T4]
    """
    mean_p, mean_q = host(mean_p, "mean of p", finite=True), host(mean_q, "mean of q", finite=True)
    sd_p, sd_q = host(sd_p, "sd of p", finite=True), host(sd_q, "sd of q", finite=True)
    if sd_p.min() <= 0 or sd_q.min() <= 0:
        raise ValueError(
            f"a standard deviation must be positive; the least received is {min(sd_p.min(), sd_q.min())}"
        )
    t = (
        sd_p - sd_q
    ) / sd_q  # ½(r² − 1) − ln r with r = 1 + t keeps its digits when the distributions almost agree
    near = np.abs(t) < 0.5
    log_ratio = np.where(near, np.log1p(np.where(near, t, 0.0)), np.log(sd_p) - np.log(sd_q))
    return (np.maximum(t + 0.5 * t * t - log_ratio, 0.0) + 0.5 * ((mean_q - mean_p) / sd_q) ** 2)[()]


def kl_multivariate_normal(mean_p, covariance_p, mean_q, covariance_q) -> float:
    """KL = ½[tr(Σ_q⁻¹Σ_p) − p + (μ_q − μ_p)ᵀΣ_q⁻¹(μ_q − μ_p) + ln(det Σ_q/det Σ_p)].

    Shapes:  means (p,), covariances (p, p)
    Units:   nats
    Raises:  ValueError – unless both covariances are symmetric and positive definite, of one size
    Source:  [T4]
    """
    mean_p, _, factor_p = checked_moments(mean_p, covariance_p)
    mean_q, _, factor_q = checked_moments(mean_q, covariance_q)
    if mean_p.shape != mean_q.shape:
        raise ValueError(
            f"both distributions need the same number of features; received {len(mean_p)} and {len(mean_q)}"
        )
    ratio = np.linalg.solve(factor_q, factor_p)
    z = np.linalg.solve(factor_q, mean_q - mean_p)
    log_det = np.log(np.diag(factor_q)).sum() - np.log(np.diag(factor_p)).sum()
    return max(0.0, float(0.5 * ((ratio**2).sum() - len(z) + z @ z) + log_det))


# ── two densities, by quadrature ────────────────────────────────────────────────────────────────────────────


def differential_entropy(distribution, samples=None) -> float:
    """H[p] = −∫ p ln p dx, which may be negative: a distribution's own, or the mean of −ln p.

    ``distribution`` is a distribution (closed form where it has one, else quadrature) or, with samples, also
    the function ln p. The mean is unbiased; ``entropy_monte_carlo`` gives it with its standard error.

    Units:   nats
    Source:  [T2]
    """
    return distribution.entropy() if samples is None else entropy_monte_carlo(distribution, samples).value


def kl_quadrature(p, q) -> float:
    """KL(p‖q) = ∫ p ln(p/q) dx of two distributions, to about 1e-10 of its size plus 1e-12.

    ∞ where p has mass and q has none, and where the integral diverges: heavy tails are followed to 2³⁴⁰
    scales, and a tail that still counts there is taken for divergent. Student distributions need dof ≥ 0.1 or
    so to end before.

    Units:   nats
    Source:  [T3]
    """
    (p_low, p_high), (q_low, q_high) = p.support, q.support
    if p_low < q_low or p_high > q_high:
        return math.inf
    emptied = False

    def integrand(x):
        nonlocal emptied
        log_p, log_q = p.log_density(x), q.log_density(x)
        emptied = emptied or bool(((log_p > -np.inf) & (log_q == -np.inf)).any())
        return np.zeros_like(x) if emptied else _excess(log_p, log_q)

    edges = np.union1d(p.knots(), q.knots())
    with np.errstate(invalid="ignore"):
        value = integrate(integrand, edges)
        tails = [edges[:2]] * (p_low == -math.inf) + [edges[-2:]] * (p_high == math.inf)
        divergent = any(integrate(integrand, tail) > _DIVERGENT * (1 + value) for tail in tails)
    return math.inf if emptied or divergent else max(0.0, value)


def js_quadrature(p, q) -> float:
    """JS(p, q) = ½ KL(p‖m) + ½ KL(q‖m), m = (p + q)/2, of two distributions, to about 1e-12.

    Units:   nats
    Source:  [T6]
    """

    def integrand(x):
        log_p, log_q = p.log_density(x), q.log_density(x)
        log_m = np.logaddexp(log_p, log_q) - LN2
        return 0.5 * (_excess(log_p, log_m) + _excess(log_q, log_m))

    return float(_clip_js(integrate(integrand, np.union1d(p.knots(), q.knots()))))


def f_divergence(f, p, q) -> float:
    """D_f(p‖q) = ∫ q f(p/q) dx of two distributions, f convex with f(1) = 0, to about 1e-10 of its size.

    f is a function of arrays of u = p/q > 0, or one of F_DIVERGENCES: the divergences that GAN objectives of
    the same names minimise. ∞ where the integral diverges: Pearson's already where q falls off twice as fast
    as p.

    kl  u ln u                   js  u ln u − (u + 1) ln((u + 1)/2), which makes 2 JS
    reverse_kl  −ln u            pearson  (u − 1)²
    jeffrey  (u − 1) ln u        squared_hellinger  (√u − 1)²        total_variation  ½|u − 1|

    Raises:  ValueError – for an unknown name; if ratios beyond e^±300 count, which only the names can follow
    Source:  Csiszár 1967; Nowozin, Cseke, Tomioka 2016, table 1; [T3], [T6]
    """
    if not callable(f) and f not in F_DIVERGENCES:
        raise ValueError(
            f"an f-divergence is a function of p/q or one of {', '.join(F_DIVERGENCES)}; received {f!r}"
        )
    term, at_zero, slope = _term_of(f) if callable(f) else F_DIVERGENCES[f]
    infinite = False

    def integrand(x):
        nonlocal infinite
        log_p, log_q = p.log_density(x), q.log_density(x)
        p_x, q_x = np.exp(log_p), np.exp(log_q)
        no_p, no_q = log_p == -np.inf, log_q == -np.inf
        alone = np.where(no_p & (q_x > 0), at_zero * q_x, np.where(no_q & (p_x > 0), slope * p_x, 0.0))
        value = np.where(no_p | no_q, alone, term(log_p, log_q))
        infinite = infinite or bool((value == np.inf).any())
        return np.zeros_like(x) if infinite else value

    def beyond(x):
        r = p.log_density(x) - q.log_density(x)
        unseen = ((r > 300) & (slope == math.inf)) | ((r < -300) & (at_zero == math.inf))
        return np.where(unseen, np.abs(integrand(x)), 0.0)

    low, high = min(p.support[0], q.support[0]), max(p.support[1], q.support[1])
    edges = _outward(np.union1d(p.knots(), q.knots()), low, high)
    tails = [edges[:2]] * (low == -math.inf) + [edges[-2:]] * (high == math.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        value = integrate(integrand, edges)
        divergent = any(integrate(integrand, tail) > _DIVERGENT * (1 + value) for tail in tails)
        if callable(f) and not infinite and integrate(beyond, edges) > 1e-9 * (1 + value):
            raise ValueError(
                "p and q differ by factors beyond e^±300 where it counts, too far for a function of p/q; "
                f"give the name of the divergence if it is one of {', '.join(F_DIVERGENCES)}"
            )
    return math.inf if infinite or divergent else max(0.0, value)


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────────────


def entropy_monte_carlo(log_p, x_from_p) -> Estimate:
    """H[p] ≈ mean of −ln p(x) over samples of p; unbiased.

    Shapes:  x_from_p (n,), or (n, p) where ``log_p`` takes rows; ``log_p`` a function or a distribution
    Units:   nats
    Source:  [T2]
    """
    return _mean(-_log_density(log_p)(host(x_from_p, "sample of p")))


def kl_monte_carlo(log_p, log_q, x_from_p) -> Estimate:
    """KL(p‖q) ≈ mean of ln p(x) − ln q(x) over samples of p, with its standard error.

    Unbiased, but of finite samples: where p/q has heavy tails the error is underestimated, and single
    estimates may be negative. ∞ (with an infinite error) if a sample of p fell where q has no mass.

    Shapes:  x_from_p (n,), or (n, p) where the log-densities take rows
    Units:   nats
    Raises:  ValueError – if a sample has no density under p, its own distribution
    Source:  [T5]
    """
    x = host(x_from_p, "sample of p")
    return _mean(_own(log_p, x, "p") - _log_density(log_q)(x))


def js_monte_carlo(log_p, log_q, x_from_p, y_from_q) -> Estimate:
    """JS(p, q) ≈ ½⟨ln 2 − H_b(D*)⟩_p + ½⟨ln 2 − H_b(D*)⟩_q, D* = p/(p + q), H_b the coin's entropy.

    This is [T6] written over m = (p + q)/2, so that every term lies in [0, ln 2], and hence the estimate;
    unbiased.

    Shapes:  samples (n,), (m,), or (n, p), (m, p) where the log-densities take rows
    Units:   nats
    Raises:  ValueError – if a sample has no density under its own distribution
    Source:  [T5], [T6], [T15]
    """
    x, y = host(x_from_p, "sample of p"), host(y_from_q, "sample of q")
    f = _mean(_js_term(_own(log_p, x, "p"), _log_density(log_q)(x)))
    g = _mean(_js_term(_log_density(log_p)(y), _own(log_q, y, "q")))
    return Estimate(0.5 * (f.value + g.value), 0.5 * math.hypot(f.standard_error, g.standard_error))


def kl_histogram(sample, reference, bins=100, low=None, high=None) -> float:
    """KL(sample‖reference) over bins, with a bias of about +(bins − 1)/(2n).

    Binning itself only loses information. The bins split [low, high], by default the reference's mean ± 5 sd,
    evenly; the outermost are open. The reference is a distribution (exact bin probabilities) or a second
    sample. Bins without samples add nothing (0 ln 0 = 0); one where only the reference is empty makes the
    result ∞: with a second sample that is common, so prefer ``js_histogram`` or ``kl_knn`` there.

    Shapes:  sample (n,)
    Units:   nats
    Source:  [T5]
    """
    return _kl(*_binned(sample, reference, bins, low, high))


def js_histogram(sample, reference, bins=100, low=None, high=None) -> float:
    """JS(sample, reference) over bins: finite always, empty bins add nothing; binned as in ``kl_histogram``.

    Bias about +(bins − 1)/(8n) against a distribution, (bins − 1)/8 · (1/n + 1/m) against a second sample: a
    perfect sampler of 10 000 values shows 0.00106 in 100 bins.

    Shapes:  sample (n,)
    Units:   nats
    Source:  [T5], [T6]
    """
    return float(js_rows(*_binned(sample, reference, bins, low, high)))


def histogram_edges(reference, bins=100, low=None, high=None) -> np.ndarray:
    """The inner edges of ``bins`` bins over [low, high], the outermost of which are open.

    By default [low, high] is the reference's mean ± 5 sd, or for infinite sd its median ± 5 interquartile
    ranges/1.349.

    Shapes:  → (bins − 1,)
    Raises:  ValueError – for fewer than two bins or an empty interval, as of a reference without spread
    """
    if bins < 2:
        raise ValueError(f"a histogram needs at least 2 bins; received {bins}")
    if low is None or high is None:
        if hasattr(reference, "quantile"):
            centre, scale, _ = location_scale(reference)
        else:
            x = host_sample(reference, "reference")
            centre, scale = x.mean(), x.std()
        low = centre - 5 * scale if low is None else low
        high = centre + 5 * scale if high is None else high
    if not (low < high and math.isfinite(high - low)):
        raise ValueError(f"a histogram needs low < high, both finite; received [{low}, {high}]")
    return np.linspace(low, high, bins + 1)[1:-1]


def kl_knn(x, y, k=5) -> float:
    """KL(p‖q) from samples x of p and y of q: (p/n) Σ ln(νₖ(i)/ρₖ(i)) + ln(m/(n − 1)).

    ρₖ(i) is the distance from xᵢ to its k-th neighbour among the other x, νₖ(i) that to its k-th in y, for
    rows of p features. Neither density is needed. Consistent for every k; at finite n biased towards zero,
    the more the farther apart the distributions are and the more features there are; it may be negative. For
    equal normal distributions and n = m = 10 000, k = 5, its standard deviation is 0.01.

    Shapes:  x (n,) or (n, p), y (m,) or (m, p)
    Units:   nats
    Raises:  ValueError – if k rows coincide, which no density allows
    Source:  [T5]; Wang, Kulkarni & Verdú 2009, equation 5; Pérez-Cruz 2008
    """
    from scipy.spatial import cKDTree

    x, y = _rows(x, "first sample"), _rows(y, "second sample")
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"both samples need the same features; received rows of {x.shape[1]} and {y.shape[1]}"
        )
    if k < 1 or len(x) < k + 1 or len(y) < k:
        raise ValueError(
            f"kl_knn with k = {k} needs k ≥ 1, more than k rows of x and at least k of y; "
            f"received {len(x)} and {len(y)}"
        )
    rho = cKDTree(x).query(x, [k + 1])[0][:, 0]
    nu = cKDTree(y).query(x, [k])[0][:, 0]
    tied = int(((rho == 0) | (nu == 0)).sum())
    if tied:
        raise ValueError(
            f"{tied} rows of the first sample coincide with {k} others, where no density exists; "
            "remove duplicates, raise k, or add noise below the last digit of the data"
        )
    return float(x.shape[1] * np.log(nu / rho).mean() + math.log(len(y) / (len(x) - 1)))


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _probabilities(p, name):
    single = getattr(p, "dtype", None) is not None and str(p.dtype) in ("float32", "float16")
    p = host(p, name)
    # As float32 rounds a softmax.
    tolerance = 8 * float(np.finfo(np.float32).eps) if single else SUM_TOLERANCE
    total = math.fsum(p.ravel())
    if p.min() < 0:
        raise ValueError(f"probabilities must be nonnegative; the least of {name} is {p.min()}")
    if abs(total - 1) > tolerance:
        raise ValueError(
            f"probabilities must sum to one; those of {name} sum to {total:.10g}; normalise them first"
        )
    return p


def _pair(p, q):
    p, q = _probabilities(p, "p"), _probabilities(q, "q")
    if p.shape != q.shape:
        raise ValueError(
            f"p and q must be distributions over the same outcomes; received shapes {p.shape} and {q.shape}"
        )
    return p, q


def _cross(p, q):
    with np.errstate(divide="ignore"):
        return float(-(p[p > 0] * np.log(q[p > 0])).sum() + 0.0)


def _kl(p, q):
    if (q[p > 0] == 0).any():
        return math.inf
    return float(_excess(*_logs(p, q)).sum())


def js_rows(p, q):
    """JS of probability vectors along the last axis, unchecked."""
    log_p, log_q = _logs(p, q)
    log_m = np.logaddexp(log_p, log_q) - LN2
    return _clip_js(0.5 * (_excess(log_p, log_m) + _excess(log_q, log_m)).sum(axis=-1))


def _logs(p, q):
    with np.errstate(divide="ignore"):
        return np.log(p), np.log(q)


def _excess(log_p, log_q):
    """p ln(p/q) − p + q ≥ 0, which integrates to KL(p‖q): never negative, exact when p and q almost agree."""
    p, q = np.exp(log_p), np.exp(log_q)
    with np.errstate(invalid="ignore"):
        r = np.where(log_p > -np.inf, log_p - log_q, 0.0)
    near = np.abs(r) < 1
    close = np.where(near, r, 0.0)
    far = p * np.where(near | (p == 0), 0.0, r) - p + q
    return np.where(near & (log_p > -np.inf), p * (close + np.expm1(-close)), far)


def _twice_js(log_p, log_q):
    log_m = np.logaddexp(log_p, log_q) - LN2
    return _excess(log_p, log_m) + _excess(log_q, log_m)


def _pearson(log_p, log_q):
    """(p − q)²/q, also where p²/q is all that does not underflow."""
    r = np.clip(log_p - log_q, -1.0, 1.0)
    far = np.exp(2 * log_p - log_q) - 2 * np.exp(log_p) + np.exp(log_q)
    return np.where(np.abs(log_p - log_q) < 1, np.exp(log_q) * np.expm1(r) ** 2, far)


# Each with q f(p/q) as a function of ln p and ln q, f made ≥ 0 by a multiple of u − 1, which integrates to
# nothing; f(0), what counts per q where p = 0; and lim f(u)/u at ∞, what counts per p where q = 0.
F_DIVERGENCES = {
    "kl": (_excess, 1.0, math.inf),
    "reverse_kl": (lambda log_p, log_q: _excess(log_q, log_p), math.inf, 1.0),
    "js": (_twice_js, LN2, LN2),
    "jeffrey": (lambda log_p, log_q: (np.exp(log_p) - np.exp(log_q)) * (log_p - log_q), math.inf, math.inf),
    "pearson": (_pearson, 1.0, math.inf),
    "squared_hellinger": (lambda log_p, log_q: (np.exp(log_p / 2) - np.exp(log_q / 2)) ** 2, 1.0, 1.0),
    "total_variation": (lambda log_p, log_q: 0.5 * np.abs(np.exp(log_p) - np.exp(log_q)), 0.5, 0.5),
}


def _term_of(f):
    """The same three of a function: a limit that still changes from e^±300 to e^±600 is infinite."""

    def at(log_u):
        return np.asarray(f(np.exp(log_u)), np.float64)

    def limit(near, far):
        return float(near) if abs(far - near) <= 1e-9 * (1 + abs(near)) else math.inf

    def term(log_p, log_q):
        r = np.clip(log_p - log_q, -300.0, 300.0)
        return np.where(r < 0, np.exp(log_q) * at(r), np.exp(log_p) * (at(r) / np.exp(r)))

    u = np.array([300.0, 600.0])
    with np.errstate(over="ignore", invalid="ignore"):
        return term, limit(*at(-u)), limit(*(at(u) / np.exp(u)))


def _outward(edges, low, high):
    """The edges, and further ones four times as far out each towards the infinite ends of the support."""
    reach = (edges[-1] - edges[0]) * 4.0 ** np.arange(20)
    with np.errstate(over="ignore"):
        parts = [edges] + [edges[0] - reach] * (low == -math.inf) + [edges[-1] + reach] * (high == math.inf)
    further = np.unique(np.concatenate(parts))
    return further[np.isfinite(further)]


def _js_term(log_p, log_q):
    """ln 2 − H_b(D*) with D* = σ(ln p − ln q), in [0, ln 2]."""
    a = np.abs(log_p - log_q)
    tail = np.exp(-a)
    entropy_of_coin = np.log1p(tail) + np.minimum(a, 800) * tail / (1 + tail)  # no ∞·0
    return np.clip(LN2 - entropy_of_coin, 0, LN2)


def _clip_js(value):
    return np.clip(value, 0.0, LN2)


def _log_density(distribution):
    return getattr(distribution, "log_density", distribution)


def _own(distribution, x, name):
    log_density = np.asarray(_log_density(distribution)(x))
    outside = int(np.isneginf(log_density).sum())
    if outside:
        raise ValueError(
            f"{outside} samples of {name} have no density under {name}; draw them from {name} itself"
        )
    return log_density


def _mean(terms):
    if np.isinf(terms).any():
        return Estimate(math.inf, math.inf)
    n = terms.size
    return Estimate(float(terms.mean()), float(terms.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf)


def _binned(sample, reference, bins, low, high):
    sample = host_sample(sample)
    is_distribution = hasattr(reference, "cdf")
    reference = reference if is_distribution else host_sample(reference, "reference")
    edges = histogram_edges(reference, bins, low, high)
    of_reference = (
        np.diff(reference.cdf(edges), prepend=0, append=1) if is_distribution else _shares(reference, edges)
    )
    return _shares(sample, edges), of_reference


def _shares(ordered, edges):
    """The share of an ordered sample in each bin (edge, next edge]."""
    return np.diff(np.searchsorted(ordered, edges, side="right") / len(ordered), prepend=0, append=1)


def _rows(x, what):
    x = host(x, what, finite=True)
    if x.ndim not in (1, 2):
        raise ValueError(f"the {what} must have shape (n,) or (n, p); received {x.shape}")
    return x.reshape(len(x), -1)


__all__ = [
    "F_DIVERGENCES",
    "Estimate",
    "cross_entropy",
    "differential_entropy",
    "entropy",
    "entropy_monte_carlo",
    "entropy_quadrature",
    "f_divergence",
    "histogram_edges",
    "js",
    "js_histogram",
    "js_monte_carlo",
    "js_quadrature",
    "kl",
    "kl_histogram",
    "kl_knn",
    "kl_monte_carlo",
    "kl_multivariate_normal",
    "kl_normal",
    "kl_quadrature",
    "self_information",
]
