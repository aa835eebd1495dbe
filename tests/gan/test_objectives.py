"""Objectives: the theorem each one claims, its divergence by quadrature, the cross-entropy in both tails."""

import itertools
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from minigan.compiler.capture import capture
from minigan.engine.autodiff import grad
from minigan.engine.primitives import exp, mT, relu, softplus, square, sum_over
from minigan.engine.tensor import Tensor, constant, variable
from minigan.gan.objectives import OBJECTIVES, alpha, bce_with_logits, objective
from minigan.testing.gradcheck import check_grads


# ── the theorem ───────────────────────────────────────────────────────────────────────────────────
def loss_at(o, backend, p, q, a):
    """p·real(a) + q·fake(a) at each point, by the engine."""
    p, q = (constant(backend.array(density)) for density in (p, q))
    return p * o.real(a) + q * o.fake(a)


def random_densities():
    return np.exp(np.random.default_rng(0).uniform(math.log(1e-3), math.log(10.0), (2, 100, 1)))


def check_stationary(o, backend):
    """At a* the pointwise loss is stationary, has the value claimed, and is beaten neither near nor far."""
    p, q = random_densities()
    best = o.optimum(p, q)
    a = variable(backend.array(best))
    loss = loss_at(o, backend, p, q, a)
    (slope,) = grad(loss, [a])
    np.testing.assert_allclose(slope.numpy(), 0.0, atol=1e-13)
    np.testing.assert_allclose(loss.numpy(), o.value(p, q), rtol=1e-12, atol=1e-13)
    for shift in (-20.0, -3.0, -0.1, 0.1, 3.0, 20.0):
        other = loss_at(o, backend, p, q, constant(backend.array(best + shift))).numpy()
        assert (other > loss.numpy()).all(), f"a* + {shift} is better"


def check_extreme(o, backend):
    """a*, which may be infinite, has the value claimed, and no a whatever is better."""
    p, q = random_densities()
    best = loss_at(o, backend, p, q, constant(backend.array(o.optimum(p, q)))).numpy()
    np.testing.assert_allclose(best, o.value(p, q), rtol=1e-12, atol=1e-13)
    for a in (*np.linspace(-5.0, 5.0, 101), -1e4, -30.0, 30.0, 1e4):
        other = loss_at(o, backend, p, q, constant(backend.array(np.full_like(p, a)))).numpy()
        assert (other >= best - 1e-13).all(), f"{a} is better"


LINE = np.linspace(-12.0, 14.0, 20_001)
DISTRIBUTIONS = [  # real and generated
    (stats.norm(0.0, 1.0), stats.norm(1.5, 0.7)), (stats.norm(2.0, 0.5), stats.norm(-1.0, 1.5)),
    (stats.norm(0.0, 1.0), stats.norm(0.0, 2.0)), (stats.uniform(0.0, 1.0), stats.uniform(4.0, 2.0)),
    (stats.norm(1.0, 1.0), stats.norm(1.0, 1.0)),
]  # fmt: skip


def check_lipschitz(o, backend):
    """−∫ value = W₁ = ∫ |F − G|, by a potential of slope ≤ 1, and no other of slope ≤ 1 is better."""
    rng = np.random.default_rng(1)
    steps = np.diff(LINE)
    for real, fake in DISTRIBUTIONS:
        p, q = real.pdf(LINE), fake.pdf(LINE)
        a = o.optimum(p, q, LINE)
        assert (np.abs(np.diff(a)) <= steps * (1.0 + 1e-9)).all()
        loss = loss_at(o, backend, p, q, constant(backend.array(a))).numpy()
        np.testing.assert_allclose(loss, o.value(p, q, LINE), rtol=1e-12, atol=1e-13)
        best = np.trapezoid(loss, LINE)
        w1 = np.trapezoid(np.abs(real.cdf(LINE) - fake.cdf(LINE)), LINE)
        np.testing.assert_allclose(
            best, -w1, atol=5e-3 if isinstance(real.dist, type(stats.uniform)) else 1e-6
        )
        slopes = [rng.uniform(-1.0, 1.0, len(steps)) for _ in range(5)]
        slopes += [np.sign(np.sin(ω * LINE[1:] + φ)) for ω, φ in rng.uniform(0.0, 3.0, (20, 2))]
        slopes += [np.ones_like(steps), -np.ones_like(steps), 0.0 * steps]
        for slope in slopes:
            other = np.concatenate([[rng.standard_normal()], slope * steps]).cumsum()
            loss = loss_at(o, backend, p, q, constant(backend.array(other))).numpy()
            assert np.trapezoid(loss, LINE) >= best - 1e-9


def check_paired(o, backend):
    """As a functional of the whole a, on a grid: stationary at a*, not beaten, of the value claimed."""
    x = np.linspace(-11.0, 12.0, 240)
    width = x[1] - x[0]
    p, q = stats.norm(0.0, 1.0).pdf(x), stats.norm(1.0, 1.3).pdf(x)
    weights = constant(backend.array(p[:, None] * q * width**2))  # of the pairs (x real, y generated)

    def functional(a):
        difference = a - mT(a)
        return sum_over(weights * (o.real(difference) + o.fake(-difference)), axis=(-2, -1))

    best = o.optimum(p, q, x)[:, None]
    a = variable(backend.array(best))
    loss = functional(a)
    (slope,) = grad(loss, [a])
    np.testing.assert_allclose(slope.numpy(), 0.0, atol=1e-15)
    np.testing.assert_allclose(loss.item(), np.trapezoid(o.value(p, q, x), x), rtol=1e-9)
    rng = np.random.default_rng(2)
    moved = [size * rng.standard_normal(best.shape) for size in (0.01, 0.1, 1.0, 3.0) for _ in range(5)]
    for shift in (*moved, 0.1 * x[:, None], -0.5 * best, 0.5 * best, -2.0 * best):
        assert functional(constant(backend.array(best + shift))).item() > loss.item()
    same = functional(constant(backend.array(best + 7.0))).item()  # only differences count
    assert same == pytest.approx(loss.item(), rel=1e-12)


THEOREMS = {
    "stationary": check_stationary,
    "extreme": check_extreme,
    "lipschitz": check_lipschitz,
    "paired": check_paired,
}
MORE_ALPHAS = [alpha(α, 1.0) for α in (0.2, 0.9, 1.0, 1.5, 3.0, math.inf)]


def check_theorem(o, backend):
    THEOREMS[o.theorem](o, backend)


@pytest.mark.rows("o", [*OBJECTIVES.values(), *MORE_ALPHAS])
def test_theorem(o, backend):
    check_theorem(o, backend)


def test_every_theorem_is_claimed_by_a_row():
    assert {o.theorem for o in OBJECTIVES.values()} == set(THEOREMS)


MINIMAX = OBJECTIVES["minimax"]
ROW = SimpleNamespace(**OBJECTIVES)
WRONG = {
    # E ln σ(D(x)) − E ln σ(D(G(z))): the GAN example of HIPS autograd, which cites Goodfellow et al.
    "autograd example": replace(MINIMAX, fake=lambda a: -softplus(-a)),
    "labels exchanged": replace(MINIMAX, real=softplus, fake=lambda a: softplus(-a)),
    "ratio inverted": replace(MINIMAX, optimum=lambda p, q: np.log(q / p)),
    "a factor in one curve": replace(MINIMAX, real=lambda a: 1.001 * softplus(-a)),
    "value of JS, not of V": replace(
        MINIMAX, value=lambda p, q: p * np.log(p / (p + q)) + q * np.log(q / (p + q))
    ),
    "maximised": replace(MINIMAX, real=lambda a: -softplus(-a), fake=lambda a: -softplus(a)),
    "least squares without its half": replace(ROW.least_squares, real=lambda a: square(a - 1.0)),
    "the KL conjugate in T, with T = a": replace(ROW.kl, fake=lambda a: exp(a - 1.0)),
    "reverse KL exchanged with KL": replace(ROW.reverse_kl, value=ROW.kl.value),
    "Pearson without its quarter": replace(ROW.pearson, fake=lambda a: square(a) + a),
    "Hellinger's a* of the full log-ratio": replace(ROW.squared_hellinger, optimum=MINIMAX.optimum),
    "α forgotten in a*": replace(alpha(0.5, 1.0), optimum=MINIMAX.optimum),
    "a margin of 2 on one side": replace(ROW.hinge, fake=lambda a: relu(2.0 + a)),
    "hinge that wants the other side": replace(ROW.hinge, optimum=lambda p, q, x=None: np.sign(q - p)),
    "TV without its half": replace(ROW.total_variation, value=lambda p, q, x=None: -np.abs(p - q)),
    "a certain D of the wrong sign": replace(
        ROW.total_variation, optimum=lambda p, q, x=None: -ROW.total_variation.optimum(p, q)
    ),
    "a critic of slope 2": replace(ROW.wasserstein, optimum=lambda *at: 2.0 * ROW.wasserstein.optimum(*at)),
    "a critic upside down": replace(ROW.wasserstein, optimum=lambda *at: -ROW.wasserstein.optimum(*at)),
    "a critic of straight lines": replace(ROW.wasserstein, optimum=lambda p, q, x: x),
    "pairs in one order only": replace(ROW.relativistic, fake=lambda a: 0.5 * softplus(-a)),
    "pairs without the half": replace(ROW.relativistic, real=lambda a: softplus(-a)),
    "half the log-ratio for pairs": replace(
        ROW.relativistic, optimum=lambda p, q, x: 0.5 * ROW.relativistic.optimum(p, q, x)
    ),
}  # fmt: skip


@pytest.mark.rows("name", WRONG)
def test_the_theorem_rejects(name, backend):
    with pytest.raises(AssertionError):
        check_theorem(WRONG[name], backend)


LN2 = math.log(2.0)


# ── the divergence ────────────────────────────────────────────────────────────────────────────────
def expectation(f, distribution):
    """E f(X) by Gauss and Legendre's quadrature, in pieces."""
    pieces = itertools.pairwise(np.linspace(-25.0, 25.0, 51))
    return math.fsum(
        integrate.fixed_quad(lambda x: distribution.pdf(x) * f(x), *piece, n=20)[0] for piece in pieces
    )


def kullback_leibler(p, q):
    return expectation(lambda x: p.logpdf(x) - q.logpdf(x), p)


def jensen_shannon(p, q):
    def to_mixture(a, b):
        return expectation(lambda x: LN2 - np.logaddexp(0.0, b.logpdf(x) - a.logpdf(x)), a)

    return 0.5 * to_mixture(p, q) + 0.5 * to_mixture(q, p)


def chi_square(p, q):
    return expectation(lambda x: np.expm1(p.logpdf(x) - q.logpdf(x)) ** 2, q)


def squared_hellinger(p, q):
    return expectation(lambda x: np.expm1(0.5 * (p.logpdf(x) - q.logpdf(x))) ** 2, q)


def total_variation(p, q):
    """½ E_q |p/q − 1|, cut where the densities cross."""
    a, b = p.kwds, q.kwds
    (m, s), (n, r) = (a["loc"], a["scale"]), (b["loc"], b["scale"])
    roots = np.roots(
        [1 / r**2 - 1 / s**2, 2 * (m / s**2 - n / r**2), n**2 / r**2 - m**2 / s**2 + 2 * math.log(r / s)]
    )
    edges = np.sort(np.concatenate([[-np.inf, np.inf], roots[np.isreal(roots)].real]))
    return 0.5 * sum(abs(np.diff(p.cdf(e)) - np.diff(q.cdf(e))).item() for e in itertools.pairwise(edges))


def triangular(p, q):
    """∫ (p − q)²/(p + q) = E_p tanh²(½ ln p/q) + the same of q."""
    return sum(
        expectation(lambda x: np.tanh(0.5 * (p.logpdf(x) - q.logpdf(x))) ** 2, distribution)
        for distribution in (p, q)
    )


def wasserstein_1(p, q):
    edges = np.linspace(-25.0, 25.0, 51)
    return math.fsum(
        integrate.quad(lambda x: abs(p.cdf(x) - q.cdf(x)), *piece, epsabs=1e-13, limit=200)[0]
        for piece in itertools.pairwise(edges)
    )


def of_pairs(p, q):
    """ln 2 − JS(p×q, q×p), the JS as an integral over the plane."""

    def integrand(y, x):
        u = (p.logpdf(x) - q.logpdf(x)) - (p.logpdf(y) - q.logpdf(y))
        right, wrong = p.pdf(x) * q.pdf(y), q.pdf(x) * p.pdf(y)
        return 0.5 * (right * (LN2 - np.logaddexp(0, -u)) + wrong * (LN2 - np.logaddexp(0, u)))

    nodes, weights = np.polynomial.legendre.leggauss(240)
    x, weight = 18.0 * nodes, 18.0 * weights
    return LN2 - float(weight @ integrand(x[:, None], x[None, :]) @ weight)


DIVERGENCES = {  # what the integral of the value is
    "minimax": lambda p, q: 2 * LN2 - 2 * jensen_shannon(p, q),
    "non_saturating": lambda p, q: 2 * LN2 - 2 * jensen_shannon(p, q),
    "least_squares": lambda p, q: 0.25 - triangular(p, q) / 8,
    "hinge": lambda p, q: 2 - 2 * total_variation(p, q),
    "wasserstein": lambda p, q: -wasserstein_1(p, q),
    "relativistic": of_pairs,
    "kl": lambda p, q: -kullback_leibler(p, q),
    "reverse_kl": lambda p, q: -kullback_leibler(q, p),
    "js": lambda p, q: -2 * jensen_shannon(p, q),
    "jeffrey": lambda p, q: -kullback_leibler(p, q) - kullback_leibler(q, p),
    "pearson": lambda p, q: -chi_square(p, q),
    "squared_hellinger": lambda p, q: -squared_hellinger(p, q),
    "total_variation": lambda p, q: -total_variation(p, q),
    "alpha(0.5, 1)": lambda p, q: 2 - squared_hellinger(p, q),
    "alpha_ns(0.5, 1)": lambda p, q: 2 - squared_hellinger(p, q),
}
PAIRS = [(0.5, 1.2), (1.5, 0.9), (-3.0, 1.6), (0.0, 1.0)]  # χ² needs tails of q not too thin


@pytest.mark.rows(("mean", "sd"), PAIRS)
@pytest.mark.rows("name", OBJECTIVES)
def test_the_integral_of_the_value_is_a_constant_minus_the_divergence(name, mean, sd):
    p, q = stats.norm(loc=0.0, scale=1.0), stats.norm(loc=mean, scale=sd)
    o, n = OBJECTIVES[name], 1001 if OBJECTIVES[name].paired else 50_001
    x = np.linspace(-18.0, 18.0, n)
    integral = np.trapezoid(o.value(p.pdf(x), q.pdf(x), x), x)
    smooth = name not in ("hinge", "wasserstein", "total_variation")
    assert integral == pytest.approx(DIVERGENCES[name](p, q), abs=1e-9 if smooth else 1e-6)


@pytest.mark.rows("α", [0.3, 2.0, 7.0, math.inf])
def test_the_value_of_alpha_is_the_least_loss(α):
    """Beside a search for the minimum, point by point."""
    o = alpha(α, 1.0)
    p, q = random_densities()[:, :20, 0]

    def loss(D, p, q):
        if math.isinf(α):
            return p * (1 - D) + q * D
        return α / (α - 1) * (p * (1 - D ** ((α - 1) / α)) + q * (1 - (1 - D) ** ((α - 1) / α)))

    grid = special.expit(np.linspace(-30.0, 30.0, 60_001))
    least = [loss(grid, *pair).min() for pair in zip(p, q, strict=True)]
    np.testing.assert_allclose(o.value(p, q), least, rtol=1e-6)


def test_alpha_of_unequal_densities_keeps_its_digits():
    """p^α of a small density is 0 in float64, the norm is not: for α → ∞ the value tends to min(p, q)."""
    p, q = np.array([1e-5, 1e-5, 0.0]), np.array([3e-6, 1e-5, 0.0])
    np.testing.assert_allclose(alpha(200.0, 1.0).value(p, q), np.minimum(p, q) * [1.005, 1.0, 1.0], rtol=0.01)


INF, NAN = math.inf, math.nan
EDGES = {  # a* and value at (p, q) = (2, 0), (0, 3), (0, 0), (1, 1)
    "minimax": ([INF, -INF, NAN, 0], [0, 0, 0, 2 * LN2]),
    "non_saturating": ([INF, -INF, NAN, 0], [0, 0, 0, 2 * LN2]),
    "least_squares": ([1, 0, NAN, 0.5], [0, 0, 0, 0.25]),
    "hinge": ([1, -1, 0, 0], [0, 0, 0, 2]),
    "kl": ([INF, -INF, NAN, 0], [-INF, 0, 0, 0]),
    "reverse_kl": ([INF, -INF, NAN, 0], [0, -INF, 0, 0]),
    "js": ([INF, -INF, NAN, 0], [-2 * LN2, -3 * LN2, 0, 0]),
    "jeffrey": ([INF, -INF, NAN, 0], [-INF, -INF, 0, 0]),
    "pearson": ([INF, -2, NAN, 0], [-INF, -3, 0, 0]),
    "squared_hellinger": ([INF, -INF, NAN, 0], [-2, -3, 0, 0]),
    "total_variation": ([INF, -INF, 0, 0], [-1, -1.5, 0, 0]),
    "alpha(0.5, 1)": ([INF, -INF, NAN, 0], [0, 0, 0, 2]),
    "alpha_ns(0.5, 1)": ([INF, -INF, NAN, 0], [0, 0, 0, 2]),
    "alpha(2, 1)": ([INF, -INF, NAN, 0], [0, 0, 0, 2 * (2 - math.sqrt(2))]),
    "alpha(inf, 1)": ([INF, -INF, 0, 0], [0, 0, 0, 1]),
}


@pytest.mark.rows("name", EDGES)
def test_where_a_density_is_zero(name):
    """Without a warning: certain where one of them is 0; undecided and of value 0 where both are."""
    p, q = np.array([2.0, 0.0, 0.0, 1.0]), np.array([0.0, 3.0, 0.0, 1.0])
    optimum, value = EDGES[name]
    np.testing.assert_array_equal(objective(name).optimum(p, q), optimum)
    np.testing.assert_allclose(objective(name).value(p, q), value, atol=1e-15)


def test_edges_cover_the_table():
    assert set(EDGES) | {"wasserstein", "relativistic"} >= set(OBJECTIVES)


def test_disjoint_distributions_on_a_line():
    """W₁ is the distance of the intervals; of pairs the order is certain, so their loss is 0."""
    x = np.linspace(-1.0, 8.0, 9001)
    p, q = stats.uniform(0.0, 1.0).pdf(x), stats.uniform(5.0, 1.0).pdf(x)
    assert np.trapezoid(OBJECTIVES["wasserstein"].value(p, q, x), x) == pytest.approx(-5.0, abs=0.02)
    few = slice(None, None, 10)
    assert np.trapezoid(OBJECTIVES["relativistic"].value(p[few], q[few], x[few]), x[few]) == 0.0


def test_equal_distributions_have_no_distance():
    x = np.linspace(-8.0, 8.0, 801)
    p = stats.norm().pdf(x)
    np.testing.assert_array_equal(OBJECTIVES["wasserstein"].value(p, p, x), 0.0)
    assert np.trapezoid(OBJECTIVES["relativistic"].value(p, p, x), x) == pytest.approx(LN2, rel=1e-12)


# ── f-divergences ─────────────────────────────────────────────────────────────────────────────────
GENERATORS = {  # f(u) as Nowozin et al. print it
    "kl": lambda u: u * math.log(u),
    "reverse_kl": lambda u: -math.log(u),
    "js": lambda u: u * math.log(u) - (u + 1) * math.log((u + 1) / 2),
    "jeffrey": lambda u: (u - 1) * math.log(u),
    "pearson": lambda u: (u - 1) ** 2,
    "squared_hellinger": lambda u: (math.sqrt(u) - 1) ** 2,
    "total_variation": lambda u: 0.5 * abs(u - 1),
}
LOGITS_OF = {"pearson": np.linspace(-1.9, 6.0, 12), "squared_hellinger": np.linspace(-2.0, 1.5, 12)}


def curve(f, a):
    return f(constant(np.asarray(a, "float64"))).numpy()


@pytest.mark.rows("name", GENERATORS)
def test_the_curves_are_minus_t_and_its_convex_conjugate(name):
    """real = −T, fake = f*(T) = sup_u (u T − f(u)), found by a search over u."""
    o, f = OBJECTIVES[name], GENERATORS[name]
    for a in LOGITS_OF.get(name, np.linspace(-3.0, 3.0, 12)):
        T = -curve(o.real, [a]).item()
        found = optimize.minimize_scalar(
            lambda s, T=T: f(math.exp(s)) - math.exp(s) * T, bounds=(-12.0, 12.0), method="bounded",
            options={"xatol": 1e-11},
        )  # fmt: skip
        assert curve(o.fake, [a]).item() == pytest.approx(-found.fun, rel=1e-9, abs=1e-9)


@pytest.mark.rows("name", sorted(set(GENERATORS) - {"total_variation"}))
def test_at_the_best_t_is_the_slope_of_f(name):
    o = OBJECTIVES[name]
    p, q = random_densities()[:, :20, 0]
    T = -curve(o.real, o.optimum(p, q))
    slopes = [float(mpmath.diff(mpf_generator(name), u)) for u in p / q]
    np.testing.assert_allclose(T, slopes, rtol=1e-9, atol=1e-12)


def mpf_generator(name):
    """The same f, for mpmath to differentiate."""
    log, sqrt = mpmath.log, mpmath.sqrt
    return {
        "kl": lambda u: u * log(u),
        "reverse_kl": lambda u: -log(u),
        "js": lambda u: u * log(u) - (u + 1) * log((u + 1) / 2),
        "jeffrey": lambda u: (u - 1) * log(u),
        "pearson": lambda u: (u - 1) ** 2,
        "squared_hellinger": lambda u: (sqrt(u) - 1) ** 2,
    }[name]


@pytest.mark.rows("name", GENERATORS)
def test_the_value_is_minus_q_f_of_the_ratio(name):
    p, q = random_densities()[:, :, 0]
    expected = [-b * GENERATORS[name](a / b) for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(OBJECTIVES[name].value(p, q), expected, rtol=1e-11, atol=1e-13)


# ── α ─────────────────────────────────────────────────────────────────────────────────────────────
def exact_alpha_loss(a, α):
    with mpmath.workdps(40):
        σ, α = 1 / (1 + mpmath.exp(-mpmath.mpf(a))), mpmath.mpf(α)
        return float(α / (α - 1) * (1 - σ ** ((α - 1) / α)))


@pytest.mark.rows("α", [0.25, 0.5, 0.75, 2.0, 10.0])
def test_the_alpha_loss_against_mpmath(α):
    a = np.linspace(-15.0, 15.0, 31)
    expected = [exact_alpha_loss(each, α) for each in a]
    np.testing.assert_allclose(curve(alpha(α, 1.0).real, a), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(curve(alpha(α, 1.0).fake, -a), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        curve(alpha(1.0, α).generator, -a), np.negative(expected), rtol=1e-12, atol=1e-15
    )
    np.testing.assert_allclose(
        curve(alpha(1.0, α, saturating=False).generator, a), expected, rtol=1e-12, atol=1e-15
    )


def test_its_named_members():
    a = np.linspace(-20.0, 20.0, 41)
    for side, sign in (("real", -1.0), ("fake", 1.0)):

        def loss(α, side=side):
            return curve(getattr(alpha(α, 1.0), side), a)

        np.testing.assert_allclose(loss(0.5), np.exp(sign * a), rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(loss(1.0), curve(getattr(MINIMAX, side), a))
        np.testing.assert_allclose(loss(math.inf), special.expit(sign * a), rtol=1e-14)
        for near in (1.0 - 1e-6, 1.0 + 1e-6):  # continuous at the cross-entropy …
            np.testing.assert_allclose(loss(near), loss(1.0), rtol=2e-5, atol=1e-9)
        np.testing.assert_allclose(loss(1e9), loss(math.inf), atol=1e-7)  # … and at the soft 0-1 loss
    p, q = random_densities()
    np.testing.assert_allclose(alpha(1 + 1e-6, 1.0).value(p, q), MINIMAX.value(p, q), rtol=1e-4)
    np.testing.assert_allclose(alpha(1e6, 1.0).value(p, q), np.minimum(p, q), rtol=1e-4)


def test_alpha_of_one_and_one_is_the_gan_in_all_curves():
    a = np.linspace(-30.0, 30.0, 61)
    for ours, its in ((alpha(1, 1), MINIMAX), (alpha(1, 1, saturating=False), OBJECTIVES["non_saturating"])):
        for side in ("real", "fake", "generator"):
            np.testing.assert_array_equal(curve(getattr(ours, side), a), curve(getattr(its, side), a))


@pytest.mark.rows(
    ("d", "g"), [(0.0, 1.0), (1e-300, 1.0), (1.0, -2.0), (-math.inf, 1.0), (math.nan, 1.0), (1.0, math.nan)]
)
def test_alphas_that_are_not_positive_are_refused(d, g):
    with pytest.raises(ValueError, match="both α are at least 0.001, infinity included; received"):
        alpha(d, g)


# ── by name ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.rows(
    ("text", "name"),
    [
        ("hinge", "hinge"),
        ("alpha(0.5, 1)", "alpha(0.5, 1)"),
        ("alpha(.5,1e0)", "alpha(0.5, 1)"),
        ("alpha_ns( 2 , inf )", "alpha_ns(2, inf)"),
        ("alpha(0.123456789, 3)", "alpha(0.123456789, 3)"),
        ("alpha(1e-3,100)", "alpha(0.001, 100)"),
    ],
)
def test_an_objective_is_found_by_its_name(text, name):
    found = objective(text)
    assert found.name == name and objective(name).name == name and objective(found) is found
    if name in OBJECTIVES:
        assert found.theorem == OBJECTIVES[name].theorem


def test_numbers_of_alpha_arrive_where_they_belong():
    a = np.linspace(-3.0, 3.0, 7)
    for text, saturating in (("alpha(0.5, 3)", True), ("alpha_ns(0.5, 3)", False)):
        found, made = objective(text), alpha(0.5, 3.0, saturating=saturating)
        for side in ("real", "fake", "generator"):
            np.testing.assert_array_equal(curve(getattr(found, side), a), curve(getattr(made, side), a))


@pytest.mark.rows(
    "name",
    [
        "wgan",
        "",
        "Minimax",
        "alpha",
        "alpha()",
        "alpha(1)",
        "alpha(1, 2, 3)",
        "alpha(a, b)",
        "alpha(1, 2)x",
        3,
        None,
    ],
)
def test_an_unknown_objective_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError if isinstance(name, str) else TypeError) as caught:
        objective(name)
    message = str(caught.value)
    assert message.startswith("objective must be one of minimax, non_saturating, ")
    assert f"received {name!r}" in message
    assert all(known in message for known in OBJECTIVES) and "\n" not in message


@pytest.mark.rows(
    ("name", "reason"),
    [
        ("alpha(0, 1)", "both α are at least 0.001"), ("alpha_ns(1, -2)", "both α are at least 0.001"),
        ("alpha(1e, 1)", "could not convert"), ("alpha(1, 1.2.3)", "could not convert"),
    ],
)  # fmt: skip
def test_bad_numbers_of_alpha_are_refused_with_the_reason(name, reason):
    with pytest.raises(ValueError, match=rf"received '{re.escape(name)}': {reason}"):
        objective(name)


# ── the curves ────────────────────────────────────────────────────────────────────────────────────
def test_equal_for_d_and_different_for_g(backend):
    a = variable(backend.array(np.linspace(-40.0, 40.0, 81)))
    minimax, other = OBJECTIVES["minimax"], OBJECTIVES["non_saturating"]
    for curve in ("real", "fake"):
        np.testing.assert_array_equal(getattr(minimax, curve)(a).numpy(), getattr(other, curve)(a).numpy())
    (saturating,), (strong,) = (grad(o.generator(a), [a]) for o in (minimax, other))
    x = a.numpy()
    np.testing.assert_allclose(saturating.numpy(), -1.0 / (1.0 + np.exp(-x)), rtol=1e-14)
    np.testing.assert_allclose(strong.numpy(), -1.0 / (1.0 + np.exp(x)), rtol=1e-14)
    assert saturating.numpy()[0] == pytest.approx(-math.exp(-40.0), rel=1e-14)  # tiny where D wins, yet not 0
    assert strong.numpy()[0] == pytest.approx(-1.0, rel=1e-15)


def test_minimax_is_zero_sum(backend):
    a = Tensor(backend.array(np.linspace(-40.0, 40.0, 81)))
    np.testing.assert_array_equal(MINIMAX.generator(a).numpy(), -MINIMAX.fake(a).numpy())


EXPONENTIAL = {"kl", "reverse_kl", "jeffrey", "squared_hellinger", "alpha(0.5, 1)", "alpha_ns(0.5, 1)"}


@pytest.mark.rows("o", OBJECTIVES.values())
@pytest.mark.rows("dtype", ["float32", "float64"])
def test_curves_are_finite_and_keep_dtype(o, dtype, backend):
    """At any logit, but for those with an eᵃ or e⁻ᵃ in them, which float32 holds up to a = 88."""
    far = 80.0 if o.name in EXPONENTIAL else 1e4
    a = variable(backend.array(np.array([-far, -10.0, -1.0, 0.0, 1.0, 10.0, far], dtype)))
    for f in (o.real, o.fake, o.generator):
        y = f(a)
        (slope,) = grad(y, [a], create_graph=True)
        (curvature,) = grad(slope, [a], unreached="zeros")
        for t in (y, slope, curvature):
            assert t.dtype == dtype and np.isfinite(t.numpy()).all()


HIGHEST = {"least_squares": 0.99}  # where G takes a sample for real already, it is not to go on
LOWEST = {"pearson": -1.99}  # a D that knows all does not go below: a* = 2 (p/q − 1)


@pytest.mark.rows("o", [*OBJECTIVES.values(), *MORE_ALPHAS, alpha(1, 0.5), alpha(1, 4)])
def test_g_wants_a_larger_logit(o, backend):
    """Each G curve falls, wherever the best D can be."""
    span = np.linspace(LOWEST.get(o.name, -8.0), HIGHEST.get(o.name, 8.0), 60)
    a = variable(backend.array(span))
    assert (grad(o.generator(a), [a])[0].numpy() < 0.0).all()


@pytest.mark.rows("o", OBJECTIVES.values())
def test_d_wants_real_data_above_generated_ones(o, backend):
    """Where D tells nothing yet, a larger logit costs less on real data and more on generated ones."""
    a = variable(backend.array(np.full(1, 0.5)))
    assert grad(o.real(a), [a])[0].item() < 0.0 < grad(o.fake(a), [a])[0].item()


ZERO_SUM = ("minimax", "wasserstein", *GENERATORS)


@pytest.mark.rows("o", [*(OBJECTIVES[name] for name in ZERO_SUM), alpha(0.5, 0.5), alpha(3, 3)])
def test_in_a_game_of_its_own_g_wants_the_opposite_of_d(o):
    a = np.linspace(-10.0, 10.0, 41)
    np.testing.assert_allclose(curve(o.generator, a), -curve(o.fake, a), rtol=1e-15, atol=0)


def test_the_losses_are_means_of_the_curves(backend):
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((2, 3, 8, 1))  # three replicas
    real, fake = (constant(backend.array(x)) for x in (a, b))
    for o in OBJECTIVES.values():
        if o.paired:
            continue
        losses = o.discriminator_loss(real, fake), o.generator_loss(fake)
        expected = (
            curve(o.real, a).mean(axis=(1, 2)) + curve(o.fake, b).mean(axis=(1, 2)),
            curve(o.generator, b).mean(axis=(1, 2)),
        )
        for loss, mean in zip(losses, expected, strict=True):
            assert loss.shape == (3, 1, 1)
            np.testing.assert_allclose(loss.numpy()[:, 0, 0], mean, rtol=1e-13)


def test_the_relativistic_losses_are_of_differences(backend):
    """E ln(1 + e^−(D(x) − D(x̃))) for D, the same with both exchanged for G."""
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((2, 3, 8, 1))
    real, fake = (constant(backend.array(x)) for x in (a, b))
    o = OBJECTIVES["relativistic"]
    np.testing.assert_allclose(
        o.discriminator_loss(real, fake).numpy()[:, 0, 0],
        np.logaddexp(0, b - a).mean(axis=(1, 2)),
        rtol=1e-14,
    )
    np.testing.assert_allclose(
        o.generator_loss(fake, real).numpy()[:, 0, 0], np.logaddexp(0, a - b).mean(axis=(1, 2)), rtol=1e-14
    )


@pytest.mark.rows("o", OBJECTIVES.values())
def test_every_objective_names_itself(o):
    assert OBJECTIVES[o.name] is o is objective(o.name)
    assert o.formula and o.source


# ── binary cross-entropy ──────────────────────────────────────────────────────────────────────────
LOGITS = [
    s * a for a in (1e4, 745.0, 700.0, 100.0, 37.0, 17.0, 5.0, 1.0, 1e-3, 1e-8) for s in (-1.0, 1.0)
] + [0.0]


def exact_bce(a, t):
    """−t ln σ(a) − (1−t) ln(1−σ(a)) and its derivative σ(a) − t, with digits enough for 1 − σ(10⁴)."""
    with mpmath.workdps(40 + int(abs(a) / 2)):
        σ = 1 / (1 + mpmath.exp(-mpmath.mpf(a)))
        t = mpmath.mpf(t)
        return float(-t * mpmath.log(σ) - (1 - t) * mpmath.log(1 - σ)), float(σ - t)


@pytest.fixture(scope="module")
def exact():
    return {t: np.array([exact_bce(a, t) for a in LOGITS]).T for t in (0.0, 0.3, 1.0)}


@pytest.mark.rows("label", [0.0, 0.3, 1.0])
@pytest.mark.rows("as_tensor", [False, True])
def test_bce_against_mpmath(backend, exact, label, as_tensor):
    """Relative, in both tails: at a = 100 and t = 1 it is e⁻¹⁰⁰, not 0."""
    a = variable(backend.array(np.array(LOGITS)))
    t = Tensor(backend.array(np.full(len(LOGITS), label))) if as_tensor else label
    loss = bce_with_logits(a, t)
    value, slope = exact[label]
    np.testing.assert_allclose(loss.numpy(), value, rtol=1e-14, atol=1e-307)
    np.testing.assert_allclose(grad(loss, [a])[0].numpy(), slope, rtol=1e-14, atol=1e-307)


@pytest.mark.rows("label", [0.0, 0.3, 1.0])
def test_bce_in_float32(backend, exact, label):
    keep = [i for i, a in enumerate(LOGITS) if np.float32(a) == a]
    a = variable(backend.array(np.array(LOGITS, "float32")[keep]))
    loss = bce_with_logits(a, label)
    (slope,) = grad(loss, [a])
    assert loss.dtype == slope.dtype == "float32"
    np.testing.assert_allclose(loss.numpy(), exact[label][0][keep], rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(slope.numpy(), exact[label][1][keep], rtol=1e-6, atol=1e-37)


def test_bce_is_what_the_curves_of_d_are(backend):
    a = Tensor(backend.array(np.linspace(-30.0, 30.0, 61)))
    np.testing.assert_array_equal(bce_with_logits(a, 1.0).numpy(), MINIMAX.real(a).numpy())
    np.testing.assert_array_equal(bce_with_logits(a, 0).numpy(), MINIMAX.fake(a).numpy())


def test_bce_derivatives_to_second_order(backend):
    rng = np.random.default_rng(3)
    a, t = rng.standard_normal((5, 1)), rng.uniform(0.1, 0.9, (5, 1))
    check_grads(lambda a: bce_with_logits(a, Tensor(backend.array(t))), a, on=backend)
    check_grads(lambda a: bce_with_logits(a, 0.25), a, on=backend)


def test_bce_with_a_number_can_be_captured(backend):
    a = Tensor(backend.array(np.array([[1.0], [-2.0]])))
    program = capture(lambda a: bce_with_logits(a, 0.9), a)
    np.testing.assert_array_equal(program(a).numpy(), bce_with_logits(a, 0.9).numpy())


def test_bce_with_labels_can_be_captured_as_the_first_thing_of_a_step(backend):
    a, t = (constant(backend.array(np.full((2, 1), v))) for v in (1.0, 0.5))
    program = capture(bce_with_logits, a, t)
    np.testing.assert_array_equal(program(a, t).numpy(), bce_with_logits(a, t).numpy())


@pytest.mark.rows("label", [-1e-9, 1.0 + 1e-9, 2, -1, float("nan"), float("inf")])
def test_labels_outside_0_and_1_are_refused(backend, label):
    a = Tensor(backend.array(np.zeros((3, 1))))
    with pytest.raises(ValueError, match=r"a label is a probability in \[0, 1\]; received"):
        bce_with_logits(a, label)
    with pytest.raises(ValueError, match=r"labels are probabilities in \[0, 1\]; received values from"):
        bce_with_logits(a, Tensor(backend.array(np.array([[0.0], [label], [1.0]]))))


@pytest.mark.rows("shape", [(3,), (1, 3), (1, 1), (2, 3, 1)])
def test_labels_of_another_shape_are_refused(backend, shape):
    """Broadcasting (B, 1) with (B,) would average B² wrong pairs without a word."""
    with pytest.raises(ValueError, match=r"logits of shape \(3, 1\) need labels of the same shape"):
        bce_with_logits(Tensor(backend.array(np.zeros((3, 1)))), Tensor(backend.array(np.zeros(shape))))


# ── D as a probability, read off the logits ─────────────────────────────────────────────────────────
@pytest.mark.rows("o", OBJECTIVES.values())
def test_the_probability_at_the_best_logit_is_the_best_discriminator(o):
    """σ(ln p/q) at a*(p, q) is p/(p+q), for every row whose logit knows the densities."""
    p, q = np.exp(np.random.default_rng(0).uniform(-4.0, 4.0, (2, 50)))
    if o.log_ratio is None:
        assert o.name in ("hinge", "wasserstein", "total_variation") and o.probability(p) is None
    else:
        np.testing.assert_allclose(o.probability(o.optimum(p, q)), p / (p + q), rtol=1e-12)


def test_the_probability_ends_at_0_and_1():
    for name, a in (("least_squares", [-0.5, 0.0, 1.0, 2.0]), ("minimax", [-1e4, -1e3, 1e3, 1e4])):
        np.testing.assert_array_equal(OBJECTIVES[name].probability(np.array(a)), [0, 0, 1, 1])
    np.testing.assert_array_equal(OBJECTIVES["pearson"].probability(np.array([-3.0, -2.0])), [0, 0])
