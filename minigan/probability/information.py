"""Information in nats: entropy, Kullback–Leibler and Jensen–Shannon divergences of known distributions.

The name says the route: no suffix for discrete distributions given as probability vectors, ``_normal`` and
``_multivariate_normal`` for closed forms, ``_quadrature`` for two densities. Estimates from samples are in
``estimators``, other divergences in ``f_divergences``. A Jensen–Shannon divergence is the divergence itself,
not its square root, and lies in [0, ln 2].
"""

import math
from typing import Any

import numpy as np

from minigan.arguments import shown
from minigan.backend import Array
from minigan.probability._numerics import epsilon, host, integrate
from minigan.probability.distributions import SUM_TOLERANCE, entropy_quadrature
from minigan.probability.multivariate import checked_moments

LN2 = math.log(2)
DIVERGENT = 1e-6  # where the outermost panel still holds this share, an integral is taken for divergent


# ── discrete distributions ──────────────────────────────────────────────────────────────────────────────────


def self_information(p: Array) -> np.ndarray:
    """h = −ln p of each probability: additive over independent events, h(0) = ∞, h(1) = 0.

    Shapes:  p (…) → (…)
    Units:   nats
    Raises:  ValueError – for a probability outside [0, 1]
    Source:  [T1]

    >>> mg.self_information([1.0, 0.5, 0.0]).round(4)
    array([0.    , 0.6931,    inf])
    """
    rounding, p = _rounding(p), host(p, "probability")
    if p.min() < 0 or p.max() > 1 + rounding:
        raise ValueError(f"a probability lies in [0, 1]; received values from {p.min()} to {p.max()}")
    with np.errstate(divide="ignore"):
        return 0.0 - np.log(np.minimum(p, 1.0))  # not −ln p, which would make h(1) a negative zero


def entropy(p: Array) -> float:
    """H[p] = −Σ p ln p with 0 ln 0 = 0: at most ln n, for the uniform distribution over n outcomes alone.

    Shapes:  p (…): all its entries together are one distribution
    Units:   nats
    Raises:  ValueError – if the probabilities are negative or do not sum to one; they are never renormalised
    Source:  [T2]

    >>> round(mg.entropy([0.5, 0.5]), 4), mg.entropy([1.0, 0.0])
    (0.6931, 0.0)
    """
    p = _probabilities(p, "p")
    return min(_cross(p, p), math.log(p.size))  # which rounded probabilities may exceed


def cross_entropy(p: Array, q: Array) -> float:
    """H[p, q] = −Σ p ln q = H[p] + KL(p‖q); ∞ where q has no mass and p has.

    Shapes:  p, q of one shape (…)
    Units:   nats
    Raises:  ValueError – as ``entropy``, and for unequal shapes
    Source:  [T3], [T12]

    >>> round(mg.cross_entropy([0.5, 0.5], [0.9, 0.1]), 4)
    1.204
    """
    return _cross(*_pair(p, q))


def kl(p: Array, q: Array) -> float:
    """KL(p‖q) = Σ p ln(p/q) ≥ 0; ∞ where q has no mass and p has.

    Shapes:  p, q of one shape (…)
    Units:   nats
    Raises:  ValueError – as ``cross_entropy``
    Source:  [T3]

    >>> mg.kl([0.5, 0.5], [1.0, 0.0]), round(mg.kl([1.0, 0.0], [0.5, 0.5]), 4)
    (inf, 0.6931)
    """
    return kl_of_shares(*_pair(p, q))


def js(p: Array, q: Array) -> float:
    """JS(p, q) = ½ KL(p‖m) + ½ KL(q‖m), m = (p + q)/2: symmetric, 0 ≤ JS ≤ ln 2.

    Shapes:  p, q of one shape (…)
    Units:   nats
    Raises:  ValueError – as ``cross_entropy``
    Source:  [T6]

    >>> round(mg.js([1.0, 0.0], [0.0, 1.0]), 4), mg.js([0.5, 0.5], [0.5, 0.5])
    (0.6931, 0.0)
    """
    p, q = _pair(p, q)
    return float(js_rows(p.ravel(), q.ravel()))


# ── closed forms ────────────────────────────────────────────────────────────────────────────────────────────


def kl_normal(mean_p: Array, sd_p: Array, mean_q: Array, sd_q: Array) -> np.ndarray:
    """KL of two normal distributions, ln(σ_q/σ_p) + [(μ_q − μ_p)² + σ_p² − σ_q²]/(2σ_q²), elementwise.

    Shapes:  four arrays that broadcast to one shape (…) → (…)
    Units:   nats
    Raises:  ValueError – unless all are finite and both standard deviations positive
    Source:  [T4]

    >>> round(float(mg.kl_normal(0, 1, 1, 2)), 4)
    0.4431
    """
    mean_p, mean_q = host(mean_p, "mean of p", finite=True), host(mean_q, "mean of q", finite=True)
    sd_p, sd_q = host(sd_p, "sd of p", finite=True), host(sd_q, "sd of q", finite=True)
    if sd_p.min() <= 0 or sd_q.min() <= 0:
        raise ValueError(
            f"a standard deviation must be positive; the least received is {min(sd_p.min(), sd_q.min())}"
        )
    with np.errstate(over="ignore"):
        # ½(r² − 1) − ln r with r = 1 + t keeps its digits when the distributions almost agree
        t = (sd_p - sd_q) / sd_q
    near = np.abs(t) < 0.5
    log_ratio = np.where(near, np.log1p(np.where(near, t, 0.0)), np.log(sd_p) - np.log(sd_q))
    with np.errstate(over="ignore"):  # ∞ where the divergence itself is too large
        far = ((mean_q - mean_p) / sd_q) ** 2
        return np.asarray(np.maximum(t + 0.5 * t * t - log_ratio, 0.0) + 0.5 * far)[()]


def kl_multivariate_normal(mean_p: Array, covariance_p: Array, mean_q: Array, covariance_q: Array) -> float:
    """KL = ½[tr(Σ_q⁻¹Σ_p) − p + (μ_q − μ_p)ᵀΣ_q⁻¹(μ_q − μ_p) + ln(det Σ_q/det Σ_p)].

    Shapes:  means (p,), covariances (p, p)
    Units:   nats
    Raises:  ValueError – unless both covariances are symmetric and positive definite, of one size
    Source:  [T4]

    >>> from minigan.probability import kl_multivariate_normal
    >>> round(kl_multivariate_normal([0, 0], np.eye(2), [1, 0], np.eye(2)), 4)
    0.5
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


def kl_quadrature(p: Array, q: Array) -> float:
    """KL(p‖q) = ∫ p ln(p/q) dx of two distributions, to about 1e-10 of its size plus 1e-12.

    ∞ where p has mass and q has none, and where the integral diverges: heavy tails are followed to 2³⁴⁰
    scales, and a tail that still counts there is taken for divergent. Student distributions need dof ≥ 0.1 or
    so to end before.

    Units:   nats
    Source:  [T3]

    >>> round(mg.kl_quadrature(mg.Normal(0, 1), mg.Laplace(0, 1)), 4)
    0.0721
    """
    require_densities("kl_quadrature", p, q)
    (p_low, p_high), (q_low, q_high) = p.support, q.support
    if p_low < q_low or p_high > q_high:
        return math.inf
    emptied = False

    def integrand(x: Array) -> np.ndarray:
        nonlocal emptied
        log_p, log_q = p.log_density(x), q.log_density(x)
        emptied = emptied or bool(((log_p > -np.inf) & (log_q == -np.inf)).any())
        return np.zeros_like(x) if emptied else kl_integrand(log_p, log_q)

    edges = np.union1d(p.knots(), q.knots())
    with np.errstate(invalid="ignore"):
        value = integrate(integrand, edges)
        tails = [edges[:2]] * (p_low == -math.inf) + [edges[-2:]] * (p_high == math.inf)
        divergent = any(integrate(integrand, tail) > DIVERGENT * (1 + value) for tail in tails)
    return math.inf if emptied or divergent else max(0.0, value)


def js_quadrature(p: Array, q: Array) -> float:
    """JS(p, q) = ½ KL(p‖m) + ½ KL(q‖m), m = (p + q)/2, of two distributions, to about 1e-12.

    Units:   nats
    Source:  [T6]

    >>> round(mg.js_quadrature(mg.Normal(0, 1), mg.Normal(1, 1)), 4)
    0.1114
    """

    require_densities("js_quadrature", p, q)

    def integrand(x: Array) -> np.ndarray:
        log_p, log_q = p.log_density(x), q.log_density(x)
        log_m = np.logaddexp(log_p, log_q) - LN2
        return 0.5 * (kl_integrand(log_p, log_m) + kl_integrand(log_q, log_m))

    return float(_clip_js(integrate(integrand, np.union1d(p.knots(), q.knots()))))


# ── the terms of the sums ───────────────────────────────────────────────────────────────────────────────────


def require_densities(what: str, *given: Any) -> None:
    """Refuse what is no distribution, its class and its text among it.    Raises:  TypeError – naming both"""
    for distribution in given:
        if isinstance(distribution, type) or not hasattr(distribution, "log_density"):
            raise TypeError(
                f"{what} compares two distributions, as Normal(0, 1) or parse(text) makes them; "
                f"received {shown(distribution)}"
            )


def _probabilities(p: Array, name: str) -> np.ndarray:
    if hasattr(p, "log_density"):
        raise TypeError(
            f"{name} is an array of probabilities; received {shown(p)}, for which there are entropy(), "
            "kl_quadrature and js_quadrature"
        )
    tolerance, p = max(_rounding(p), SUM_TOLERANCE), host(p, name)
    total = math.fsum(p.ravel())
    if p.min() < 0:
        raise ValueError(f"probabilities must be nonnegative; the least of {name} is {p.min()}")
    if abs(total - 1) > tolerance:
        raise ValueError(
            f"probabilities must sum to one; those of {name} sum to {total:.10g}; normalise them first"
        )
    return p


def _rounding(p: Array) -> float:
    """How far a softmax of the dtype of ``p`` may be from one."""
    eps = epsilon(p)
    return 8 * eps if eps > np.finfo(np.float64).eps else 0.0


def _pair(p: Array, q: Array) -> tuple[np.ndarray, np.ndarray]:
    p, q = _probabilities(p, "p"), _probabilities(q, "q")
    if p.shape != q.shape:
        raise ValueError(
            f"p and q must be distributions over the same outcomes; received shapes {p.shape} and {q.shape}"
        )
    return p, q


def _cross(p: Array, q: Array) -> float:
    with np.errstate(divide="ignore"):
        return float(-(p[p > 0] * np.log(q[p > 0])).sum() + 0.0)


def kl_of_shares(p: Array, q: Array) -> float:
    """KL of two probability vectors, unchecked."""
    if (q[p > 0] == 0).any():
        return math.inf
    return float(kl_integrand(*_logs(p, q)).sum())


def js_rows(p: Array, q: Array) -> np.ndarray:
    """JS of probability vectors along the last axis, unchecked."""
    log_p, log_q = _logs(p, q)
    log_m = np.logaddexp(log_p, log_q) - LN2
    return _clip_js(0.5 * (kl_integrand(log_p, log_m) + kl_integrand(log_q, log_m)).sum(axis=-1))


def _logs(p: Array, q: Array) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(divide="ignore"):
        return np.log(p), np.log(q)


def kl_integrand(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """p ln(p/q) − p + q ≥ 0, which integrates to KL(p‖q): never negative, exact when p and q almost agree."""
    p, q = np.exp(log_p), np.exp(log_q)
    with np.errstate(invalid="ignore"):
        r = np.where(log_p > -np.inf, log_p - log_q, 0.0)
    near = np.abs(r) < 1
    close = np.where(near, r, 0.0)
    far = p * np.where(near | (p == 0), 0.0, r) - p + q
    return np.where(near & (log_p > -np.inf), p * (close + np.expm1(-close)), far)


def _clip_js(value: Any) -> np.ndarray:
    return np.clip(value, 0.0, LN2)


__all__ = [
    "cross_entropy",
    "entropy",
    "entropy_quadrature",
    "js",
    "js_quadrature",
    "kl",
    "kl_multivariate_normal",
    "kl_normal",
    "kl_quadrature",
    "self_information",
]
