"""Entropy and divergences: every route against closed forms, SciPy, quadrature and each other."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, spatial, stats

from minigan import backend
from minigan.probability import (
    Laplace,
    Mixture,
    MultivariateNormal,
    Normal,
    StudentT,
    Uniform,
    cross_entropy,
    entropy,
    js,
    js_quadrature,
    kl,
    kl_monte_carlo,
    kl_multivariate_normal,
    kl_normal,
    kl_quadrature,
    parse,
    self_information,
)

LN2 = math.log(2)
P, Q = np.array([0.5, 0.25, 0.25, 0.0]), np.array([0.25, 0.25, 0.25, 0.25])


@st.composite
def distributions(draw, n=None):
    """A probability vector, zeros among its entries."""
    size = draw(st.integers(1, 8)) if n is None else n
    w = draw(arrays(float, size, elements=st.sampled_from([0.0, 1e-12, 0.1, 0.5, 1.0, 3.0, 1e6])))
    return np.ones(size) / size if w.sum() == 0 else w / w.sum()


pairs = st.integers(1, 8).flatmap(lambda n: st.tuples(distributions(n), distributions(n)))


# ── discrete ────────────────────────────────────────────────────────────────────────────────────────────────
def test_self_information():
    h = self_information([1.0, 0.5, 0.0])
    assert h.tolist() == [0.0, LN2, math.inf]
    assert not np.signbit(h[0])
    for p in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError):
            self_information(p)


@given(p=st.floats(1e-150, 1), q=st.floats(1e-150, 1))
@settings(max_examples=100, deadline=None)
def test_information_adds_over_independent_events(p, q):
    assert self_information(p * q) == pytest.approx(
        self_information(p) + self_information(q), rel=1e-12, abs=1e-15
    )


@given(p=distributions(), q=distributions())
@settings(max_examples=100, deadline=None)
def test_entropy_adds_over_independent_variables(p, q):
    assert entropy(np.outer(p, q)) == pytest.approx(entropy(p) + entropy(q), abs=1e-9)


@given(p=distributions())
@settings(max_examples=100, deadline=None)
def test_the_uniform_distribution_has_most_entropy(p):
    n = len(p)
    assert 0 <= entropy(p) <= math.log(n) + 1e-12
    assert entropy(np.ones(n) / n) == pytest.approx(math.log(n), abs=1e-12)
    # the deficit is the divergence from the uniform distribution
    assert math.log(n) - entropy(p) == pytest.approx(kl(p, np.ones(n) / n), abs=1e-9)


@given(pair=pairs)
@settings(max_examples=200, deadline=None)
def test_discrete_divergences_keep_their_bounds(pair):
    p, q = pair
    assert kl(p, q) >= 0 and kl(p, p) == 0
    assert 0 <= js(p, q) <= LN2 and js(p, q) == js(q, p) and js(p, p) < 1e-30
    assert js(p, q) == pytest.approx(0.5 * kl(p, (p + q) / 2) + 0.5 * kl(q, (p + q) / 2), abs=1e-9)
    if math.isfinite(kl(p, q)):
        assert cross_entropy(p, q) == pytest.approx(entropy(p) + kl(p, q), abs=1e-8)
        assert kl(p, q) == pytest.approx(stats.entropy(p, q), abs=1e-8)
    with np.errstate(invalid="ignore"):  # SciPy takes the root, of a rounding error where p ≈ q
        root = np.nan_to_num(spatial.distance.jensenshannon(p, q))
    assert js(p, q) == pytest.approx(root**2, abs=1e-7)


def test_discrete_values_by_hand():
    assert entropy(P) == pytest.approx(1.5 * LN2, abs=1e-15)
    assert entropy([1.0]) == 0 and math.copysign(1, entropy([1.0])) == 1
    assert kl(P, Q) == pytest.approx(0.5 * LN2, abs=1e-15)
    assert cross_entropy(P, Q) == pytest.approx(2 * LN2, abs=1e-15)
    assert kl(P, Q) != kl([0.7, 0.3], [0.3, 0.7]) and kl([0.9, 0.1], [0.5, 0.5]) != kl([0.5, 0.5], [0.9, 0.1])


def test_no_mass_where_p_has_some_is_infinite_and_js_is_ln_2():
    assert kl(Q, P) == math.inf and cross_entropy(Q, P) == math.inf
    assert js([1, 0], [0, 1]) == LN2
    assert js(Q, P) < LN2


def test_nearly_equal_distributions_keep_their_digits():
    d = 1e-9  # KL = d²/(2 p) Σ … = 2 d² for ½ ± d
    assert kl([0.5 + d, 0.5 - d], [0.5, 0.5]) == pytest.approx(2 * d * d, rel=1e-6)
    assert js([0.5 + d, 0.5 - d], [0.5, 0.5]) == pytest.approx(d * d / 2, rel=1e-6)


@pytest.mark.rows("f", [entropy, lambda p: kl(p, p), lambda p: js(p, p), lambda p: cross_entropy(p, p)])
@pytest.mark.rows(
    "p, message",
    [
        ([0.5, 0.6], "sum to 1.1; normalise"),
        ([0.5, 0.5 + 1e-8], "sum to"),
        ([1.5, -0.5], "nonnegative"),
        ([0.5, math.nan], "NaN"),
        ([], "empty"),
        ([3, 4], "sum to 7"),  # counts: SciPy would renormalise without a word
    ],
)
def test_what_is_no_distribution_is_refused(f, p, message):
    with pytest.raises(ValueError, match=message):
        f(p)


def test_rounding_is_forgiven_to_1e_9_and_in_float32_as_a_softmax_rounds():
    assert entropy([0.5, 0.5 + 9e-10]) == pytest.approx(LN2, abs=1e-8)
    p = np.exp(np.random.default_rng(0).normal(size=1000)).astype("float32")
    p /= p.sum()
    assert entropy(p) == pytest.approx(entropy(p.astype(float) / p.astype(float).sum()), rel=1e-5)
    assert kl(p, p) == 0 and 0 <= js(p, p[::-1]) <= LN2
    assert entropy(backend.get("strict").array(p)) == entropy(p)


def test_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\) and \(1,\)"):
        kl([0.5, 0.5], [1.0])


# ── closed forms ────────────────────────────────────────────────────────────────────────────────────────────
def quad_kl(p, q, low, high):
    return integrate.quad(
        lambda x: p.density(x) * (p.log_density(x) - q.log_density(x)), low, high, epsabs=1e-12
    )[0]


@pytest.mark.rows(
    "a, b, c, d", [(0, 1, 0, 1), (0, 1, 1, 1), (4, 1.25, 4, 0.5), (-1, 1, 2, 3), (0, 2, 0.1, 2)]
)
def test_the_normal_form_equals_quadrature(a, b, c, d):
    value = kl_normal(a, b, c, d)
    assert value == pytest.approx(quad_kl(Normal(a, b), Normal(c, d), a - 12 * b, a + 12 * b), abs=1e-9)
    assert value == pytest.approx(kl_quadrature(Normal(a, b), Normal(c, d)), abs=1e-12)
    assert value == pytest.approx(kl_multivariate_normal([a], [[b * b]], [c], [[d * d]]), abs=1e-12)


def test_the_normal_form_is_elementwise_exact_near_equality_and_far_from_it():
    value = kl_normal(np.zeros((2, 1)), 1, [0.0, 1.0, 2.0], 1)
    assert value.tolist() == [[0, 0.5, 2], [0, 0.5, 2]]
    # t² for a small relative difference t.
    assert kl_normal(0, 1 + 1e-9, 0, 1) == pytest.approx(1e-18, rel=1e-6)
    assert kl_normal(0, 1e-200, 0, 1) == pytest.approx(200 * math.log(10) - 0.5)
    with pytest.raises(ValueError, match="positive"):
        kl_normal(0, 0, 0, 1)


def test_the_multivariate_form():
    rng = np.random.default_rng(0)
    mean_p, mean_q = rng.normal(size=(2, 3))
    A, B = rng.normal(size=(2, 3, 3))
    p = MultivariateNormal(mean_p, A @ A.T + np.eye(3))
    q = MultivariateNormal(mean_q, B @ B.T + np.eye(3))
    value = kl_multivariate_normal(p.mean, p.covariance, q.mean, q.covariance)
    estimate = kl_monte_carlo(p, q, p.sample(rng, 20_000))
    assert abs(estimate.value - value) < 6 * estimate.standard_error  # false alarm 2e-9
    assert estimate.standard_error < 0.05 * value
    independent = kl_multivariate_normal([0, 1], np.diag([1.0, 4.0]), [2, 0], np.diag([9.0, 1.0]))
    assert independent == pytest.approx(kl_normal(0, 1, 2, 3) + kl_normal(1, 2, 0, 1))
    assert kl_multivariate_normal(p.mean, p.covariance, p.mean, p.covariance) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="positive definite"):
        kl_multivariate_normal([0, 0], np.ones((2, 2)), [0, 0], np.eye(2))
    with pytest.raises(ValueError, match="2 and 1"):
        kl_multivariate_normal([0, 0], np.eye(2), [0], [[1]])


# ── quadrature ──────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.rows(
    "p, q",
    [
        ((0, 1), (1000, 1)),
        ((0, 1), (1, 1e-3)),
        ((0, 1e-6), (1, 100)),
        ((1e6, 1), (1e6 + 0.5, 1)),
        ((0, 1), (1e-5, 1)),
        ((0, 1), (0, 1)),
        ((0, 1e-8), (1e-3, 1e8)),
    ],
)
def test_quadrature_of_normals_far_near_wide_and_narrow(p, q):
    assert kl_quadrature(Normal(*p), Normal(*q)) == pytest.approx(kl_normal(*p, *q), rel=1e-10, abs=1e-12)


MODES = parse("0.33*normal(-1,0.25)+0.67*normal(2,1.4)")
DIFFERENT = [
    (MODES, Normal(1, 2)),
    (Normal(1, 2), MODES),
    (MODES, parse("0.5*normal(-1,0.25)+0.5*normal(2,0.7)")),
    (StudentT(3), Normal(0, 2)),
    (Normal(0, 2), StudentT(3)),
    (Laplace(0, 1), Normal(1, 1)),
    (Uniform(0, 1), Normal(0, 1)),
    (StudentT(5, 1, 2), Laplace(0, 3)),
    (parse("logistic(0, 1)"), Normal(0, 2)),
    (parse("gamma(2)"), parse("lognormal(0.5, 0.7)")),
    (parse("weibull(1.5, 2)"), parse("exponential(2)")),
    (parse("triangular(0, 0.5, 1)"), Uniform(0, 1)),
]


@pytest.mark.rows("p, q", DIFFERENT)
def test_quadrature_equals_scipys(p, q):
    low, high = (max(-300.0, p.support[0]), min(300.0, p.support[1]))
    edges = np.unique(np.clip([low, -30, -5, -2, -1.5, -1, -0.5, 0, 1, 2, 5, 30, high], low, high))
    pieces = [quad_kl(p, q, a, b) for a, b in zip(edges, edges[1:], strict=False)]
    # a Student tail of three degrees of freedom still holds 4e-3 of KL beyond 300 sd
    tolerance = 1e-8 if not isinstance(p, StudentT) else 1e-2
    assert kl_quadrature(p, q) == pytest.approx(sum(pieces), abs=tolerance)


def test_a_student_tail_in_closed_form():
    # KL(t‖normal) = −H[t] + ½ ln(2πσ²) + E X²/(2σ²)
    for dof in (3, 2.5, 40):
        p, q = StudentT(dof), Normal(0, 2)
        cross = 0.5 * math.log(2 * math.pi * 4) + p.sd**2 / 8
        assert kl_quadrature(p, q) == pytest.approx(cross - p.entropy(), rel=1e-9)
    # KL(Laplace‖normal) likewise
    p, q = Laplace(0, 1), Normal(0, 1)
    assert kl_quadrature(p, q) == pytest.approx(0.5 * math.log(2 * math.pi) + 1 - p.entropy(), abs=1e-11)


@pytest.mark.rows(
    "p, q",
    [
        (Uniform(-1, 2), Uniform(0, 1)),
        (Normal(0, 1), Uniform(-50, 50)),
        (StudentT(2), Normal(0, 1)),  # E X² is infinite
        (StudentT(1), Normal(5, 3)),
        (StudentT(1), Laplace(0, 1)),
        (StudentT(1.5), Normal(0, 1e-3)),
        (parse("cauchy(0, 1)"), Normal(0, 3)),
        (parse("pareto(1)"), parse("exponential(1)")),  # E X is infinite
        (parse("exponential(1)"), parse("pareto(1)")),  # no mass before 1
        (Normal(), parse("gamma(2)")),
        (Uniform(0, 3), Mixture((0.5, 0.5), (Uniform(0, 1), Uniform(2, 3)))),  # a gap inside the support
    ],
)
def test_infinite_divergences_are_infinite_without_a_warning(p, q):
    assert kl_quadrature(p, q) == math.inf
    assert 0 < js_quadrature(p, q) < LN2


def test_further_families_in_closed_form():
    kl = kl_quadrature
    assert kl(parse("exponential(1)"), parse("exponential(3)")) == pytest.approx(
        math.log(3) + 1 / 3 - 1, rel=1e-10
    )
    assert kl(parse("pareto(3)"), parse("pareto(1.5)")) == pytest.approx(math.log(2) + 0.5 - 1, rel=1e-10)
    assert kl(parse("lognormal(0, 1)"), parse("lognormal(1, 2)")) == pytest.approx(
        kl_normal(0, 1, 1, 2), rel=1e-10
    )
    cauchys = math.log(((2 + 1) ** 2 + 3**2) / (4 * 2 * 1))  # Chyzak, Nielsen 2019
    assert kl(parse("cauchy(0, 1)"), parse("cauchy(3, 2)")) == pytest.approx(cauchys, rel=1e-9)
    # gamma: (k − m) ψ(k) − ln Γ(k) + ln Γ(m)
    ψ = -2 * math.log(2) - np.euler_gamma  # of one half
    assert kl(parse("gamma(0.5)"), parse("gamma(2)")) == pytest.approx(
        -1.5 * ψ - 0.5 * math.log(math.pi), rel=1e-9
    )
    # beta(½, ½), infinite at both ends, against the uniform distribution
    assert kl(parse("beta(0.5, 0.5)"), Uniform(0, 1)) == pytest.approx(math.log(4 / math.pi), abs=1e-6)
    assert js_quadrature(parse("beta(0.5, 0.5)"), parse("gamma(0.5)")) < LN2


def test_uniforms_in_closed_form():
    assert kl_quadrature(Uniform(0, 1), Uniform(-1, 2)) == pytest.approx(math.log(3), abs=1e-12)
    assert js_quadrature(Uniform(0, 1), Uniform(2, 3)) == pytest.approx(LN2, abs=1e-15)
    # half of each overlaps: on it p = q, elsewhere ln 2
    assert js_quadrature(Uniform(0, 2), Uniform(1, 3)) == pytest.approx(0.5 * LN2, abs=1e-12)


@pytest.mark.rows("p, q", DIFFERENT)
def test_js_is_symmetric_bounded_and_defined_by_kl(p, q):
    value = js_quadrature(p, q)
    assert value == pytest.approx(js_quadrature(q, p), abs=1e-12)
    middle = Mixture((0.5, 0.5), (p, q))
    assert value == pytest.approx(0.5 * kl_quadrature(p, middle) + 0.5 * kl_quadrature(q, middle), abs=1e-10)
    assert 0 < value < LN2 and js_quadrature(p, p) < 1e-15


def test_js_reaches_ln_2_and_no_more():
    for apart in (20, 100, 1e4, 1e8):
        assert LN2 - 1e-12 < js_quadrature(Normal(0, 1), Normal(apart, 1)) <= LN2
    # the overlap of two unit normals 10 apart, by SciPy on pieces
    p, q = Normal(0, 1), Normal(10, 1)

    def missing(x):  # JS = ln 2 − ½∫[p ln(1 + q/p) + q ln(1 + p/q)]
        a, b = p.log_density(x), q.log_density(x)
        return 0.5 * (math.exp(a) * np.logaddexp(0, b - a) + math.exp(b) * np.logaddexp(0, a - b))

    lost = sum(integrate.quad(missing, k, k + 1, epsabs=1e-18)[0] for k in range(-5, 15))
    assert LN2 - js_quadrature(p, q) == pytest.approx(lost, abs=1e-12)


@given(
    a=st.floats(-5, 5), b=st.floats(0.01, 10), c=st.floats(-5, 5), d=st.floats(0.01, 10), w=st.floats(0, 1)
)
@settings(max_examples=40, deadline=None)
def test_divergences_of_any_mixture_keep_their_bounds(a, b, c, d, w):
    p, q = Mixture((w, 1 - w), (Normal(a, b), Laplace(c, d))), Normal(c, b)
    assert kl_quadrature(q, p) >= 0 and 0 <= js_quadrature(p, q) <= LN2
    if w < 1:  # joint convexity: no farther than the components
        bound = w * kl_normal(a, b, c, b) + (1 - w) * kl_quadrature(Laplace(c, d), q)
        assert kl_quadrature(p, q) <= bound * (1 + 1e-9) + 1e-9


# ── precision
@pytest.mark.rows("dtype", ["float16", "float32", "float64", "longdouble"])
def test_probabilities_are_taken_as_their_dtype_rounds_them(dtype):
    """float16 holds (0.1, 0.2, 0.7) with a sum of 1.00012, which was refused."""
    p, q = np.array([0.1, 0.2, 0.7], dtype), [0.1, 0.2, 0.7]
    eps = float(np.finfo(dtype).eps)
    for rounded in (p, list(p)):
        assert entropy(rounded) == pytest.approx(entropy(q), abs=4 * eps)
        assert 0 <= kl(rounded, q) < 4 * eps and 0 <= js(rounded, q) < 4 * eps
    for n in (3, 1000):
        uniform = np.full(n, 1 / n).astype(dtype)
        assert entropy(uniform) <= math.log(n)
        z = np.random.default_rng(n).normal(size=n)
        entropy((np.exp(z) / np.exp(z).sum()).astype(dtype))
    with pytest.raises(ValueError, match="sum to 1.1"):
        entropy(np.array([0.5, 0.6], dtype))
    assert (
        self_information(np.nextafter(np.ones((), dtype), np.array(2, dtype)) if eps > 1e-10 else p[:1]) >= 0
    )


def test_a_divergence_beyond_float64_is_infinite_without_a_warning():
    assert kl_normal(1e300, 1, 0, 1e-300) == math.inf
    assert kl_normal(0, 1e300, 0, 1e-300) == math.inf
