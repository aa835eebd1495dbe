"""Divergences D_f(p‖q) = ∫ q f(p/q) dx: those that GAN objectives minimise, by quadrature."""

import math

import numpy as np

from minigan.arguments import named
from minigan.probability._numerics import integrate
from minigan.probability.information import DIVERGENT, LN2, kl_integrand, require_densities


def f_divergence(f, p, q) -> float:
    """D_f(p‖q) = ∫ q f(p/q) dx of two distributions, f convex with f(1) = 0, to about 1e-10 of its size.

    f is a function of arrays of u = p/q > 0, or one of F_DIVERGENCES: the divergences that GAN objectives of
    the same names minimise. ∞ where the integral diverges: Pearson's already where q falls off twice as fast
    as p.

    kl  u ln u                   js  u ln u − (u + 1) ln((u + 1)/2), which makes 2 JS
    reverse_kl  −ln u            pearson  (u − 1)²
    jeffrey  (u − 1) ln u        squared_hellinger  (√u − 1)²        total_variation  ½|u − 1|

    Raises:  ValueError – for an unknown name; for f(1) ≠ 0, or f that is not convex between e^−3 and e^3; if
             ratios beyond e^±300 count, which only the names can follow
             TypeError – for what is no function or name, or whose values are not real
    Source:  Csiszár 1967; Nowozin, Cseke, Tomioka 2016, table 1; [T3], [T6]

    >>> from minigan.probability import f_divergence
    >>> round(f_divergence("total_variation", mg.Normal(0, 1), mg.Normal(2, 1)), 4)
    0.6827
    """
    what = "an f-divergence is a function of p/q, or"
    term, at_zero, slope = _term_of(f) if callable(f) else named(what, f, F_DIVERGENCES)
    require_densities("f_divergence", p, q)
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
        divergent = any(integrate(integrand, tail) > DIVERGENT * (1 + value) for tail in tails)
        if callable(f) and not infinite and integrate(beyond, edges) > 1e-9 * (1 + value):
            raise ValueError(
                "p and q differ by factors beyond e^±300 where it counts, too far for a function of p/q; "
                f"give the name of the divergence if it is one of {', '.join(F_DIVERGENCES)}"
            )
    return math.inf if infinite or divergent else max(0.0, value)


def _twice_js(log_p, log_q):
    log_m = np.logaddexp(log_p, log_q) - LN2
    return kl_integrand(log_p, log_m) + kl_integrand(log_q, log_m)


def _pearson(log_p, log_q):
    """(p − q)²/q, also where p²/q is all that does not underflow."""
    r = np.clip(log_p - log_q, -1.0, 1.0)
    far = np.exp(2 * log_p - log_q) - 2 * np.exp(log_p) + np.exp(log_q)
    return np.where(np.abs(log_p - log_q) < 1, np.exp(log_q) * np.expm1(r) ** 2, far)


# Each with q f(p/q) as a function of ln p and ln q, f made ≥ 0 by a multiple of u − 1, which integrates to
# nothing; f(0), what counts per q where p = 0; and lim f(u)/u at ∞, what counts per p where q = 0.
F_DIVERGENCES = {
    "kl": (kl_integrand, 1.0, math.inf),
    "reverse_kl": (lambda log_p, log_q: kl_integrand(log_q, log_p), math.inf, 1.0),
    "js": (_twice_js, LN2, LN2),
    "jeffrey": (lambda log_p, log_q: (np.exp(log_p) - np.exp(log_q)) * (log_p - log_q), math.inf, math.inf),
    "pearson": (_pearson, 1.0, math.inf),
    "squared_hellinger": (lambda log_p, log_q: (np.exp(log_p / 2) - np.exp(log_q / 2)) ** 2, 1.0, 1.0),
    "total_variation": (lambda log_p, log_q: 0.5 * np.abs(np.exp(log_p) - np.exp(log_q)), 0.5, 0.5),
}


def _term_of(f):
    """The same three of a function: a limit that still changes from e^±300 to e^±600 is infinite."""

    def at(log_u):
        values = np.asarray(f(np.exp(log_u)))
        if values.dtype.kind not in "fiu":
            raise TypeError(f"f of an f-divergence has real values; received values of type {values.dtype}")
        return np.broadcast_to(values.astype(np.float64), np.shape(log_u))

    def limit(near, far):
        return float(near) if abs(far - near) <= 1e-9 * (1 + abs(near)) else math.inf

    def term(log_p, log_q):
        r = np.clip(log_p - log_q, -300.0, 300.0)
        return np.where(r < 0, np.exp(log_q) * at(r), np.exp(log_p) * (at(r) / np.exp(r)))

    log_u = np.linspace(-3.0, 3.0, 25)
    slopes = np.diff(at(log_u)) / np.diff(np.exp(log_u))
    falls, at_one = (np.diff(slopes) < -1e-9 * (1 + np.abs(slopes[1:]))).any(), float(at(0.0)) + 0.0
    if abs(at_one) > 1e-9 or falls:
        raise ValueError(
            f"f of an f-divergence is convex with f(1) = 0; received f(1) = {at_one:.6g}"
            + " and slopes that fall, as of a concave function" * bool(falls)
        )
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
