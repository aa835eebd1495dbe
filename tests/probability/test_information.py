"""Entropy and divergences: every route against closed forms, SciPy, quadrature and each other."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, optimize, spatial, stats

from minigan import backend
from minigan.probability import (
    Empirical,
    Laplace,
    Mixture,
    MultivariateNormal,
    Normal,
    StudentT,
    Uniform,
    cross_entropy,
    differential_entropy,
    entropy,
    entropy_monte_carlo,
    histogram_edges,
    js,
    js_histogram,
    js_monte_carlo,
    js_quadrature,
    kl,
    kl_histogram,
    kl_knn,
    kl_monte_carlo,
    kl_multivariate_normal,
    kl_normal,
    kl_quadrature,
    parse,
    self_information,
)
from minigan.probability.f_divergences import F_DIVERGENCES, f_divergence

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


@pytest.mark.parametrize(
    "f", [entropy, lambda p: kl(p, p), lambda p: js(p, p), lambda p: cross_entropy(p, p)]
)
@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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
@pytest.mark.parametrize(
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
]


@pytest.mark.parametrize("p, q", DIFFERENT, ids=str)
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


@pytest.mark.parametrize(
    "p, q",
    [
        (Uniform(-1, 2), Uniform(0, 1)),
        (Normal(0, 1), Uniform(-50, 50)),
        (StudentT(2), Normal(0, 1)),  # E X² is infinite
        (StudentT(1), Normal(5, 3)),
        (StudentT(1), Laplace(0, 1)),
        (StudentT(1.5), Normal(0, 1e-3)),
        (Uniform(0, 3), Mixture((0.5, 0.5), (Uniform(0, 1), Uniform(2, 3)))),  # a gap inside the support
    ],
    ids=str,
)
def test_infinite_divergences_are_infinite_without_a_warning(p, q):
    assert kl_quadrature(p, q) == math.inf
    assert 0 < js_quadrature(p, q) < LN2


def test_uniforms_in_closed_form():
    assert kl_quadrature(Uniform(0, 1), Uniform(-1, 2)) == pytest.approx(math.log(3), abs=1e-12)
    assert js_quadrature(Uniform(0, 1), Uniform(2, 3)) == pytest.approx(LN2, abs=1e-15)
    # half of each overlaps: on it p = q, elsewhere ln 2
    assert js_quadrature(Uniform(0, 2), Uniform(1, 3)) == pytest.approx(0.5 * LN2, abs=1e-12)


@pytest.mark.parametrize("p, q", DIFFERENT, ids=str)
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


# ── f-divergences ───────────────────────────────────────────────────────────────────────────────────────────
F = {
    "kl": lambda u: u * np.log(u),
    "reverse_kl": lambda u: -np.log(u),
    "js": lambda u: u * np.log(u) - (u + 1) * np.log((u + 1) / 2),
    "jeffrey": lambda u: (u - 1) * np.log(u),
    "pearson": lambda u: (u - 1) ** 2,
    "squared_hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    "total_variation": lambda u: np.abs(u - 1) / 2,
}
OVERLAPPING = [
    (Normal(0, 1), Normal(0.5, 1.5)),
    (Normal(0, 1), Normal(3, 2)),
    (parse("0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)"), Normal(1, 2)),
    (Normal(0, 1), StudentT(30, 0.2)),
]


def crossings(p, q):
    """Where p = q, the kinks of the total variation's integrand."""
    x = np.linspace(-8, 8, 2001)
    r = p.log_density(x) - q.log_density(x)
    return [
        optimize.brentq(lambda t: p.log_density(t) - q.log_density(t), x[i], x[i + 1], xtol=1e-14)
        for i in np.flatnonzero(r[1:] * r[:-1] < 0)
    ]


def test_every_named_f_divergence_is_tested():
    assert F.keys() == F_DIVERGENCES.keys()


@pytest.mark.parametrize("p, q", OVERLAPPING, ids=str)
@pytest.mark.parametrize("name", F)
def test_an_f_divergence_is_the_integral_of_q_f_of_p_over_q(name, p, q):
    def term(x):
        return float(q.density(x) * F[name](p.density(x) / q.density(x)))

    edges = [-32, -16, -8, *np.arange(-4, 4.1, 0.5), 0.2, 8, 16, 32]  # kinks and peaks are edges
    edges = sorted({*edges, *crossings(p, q)})
    direct = sum(integrate.quad(term, a, b, epsabs=1e-13)[0] for a, b in zip(edges, edges[1:], strict=False))
    assert f_divergence(name, p, q) == pytest.approx(direct, rel=1e-8)
    assert f_divergence(F[name], p, q) == pytest.approx(direct, rel=1e-8)


@pytest.mark.parametrize(
    "m, s, t", [(0.0, 1.0, 1.0), (1.0, 1.0, 2.0), (2.0, 1.0, 0.8), (-7.0, 1.0, 1.0), (0.1, 3.0, 4.0)]
)
def test_f_divergences_of_normals_in_closed_form(m, s, t):
    """N(0, s²) against N(m, t²); Pearson's: ∫ p²/q − 1, a Gaussian integral while 2t² > s²."""
    p, q, d = Normal(0, s), Normal(m, t), 2 * t * t - s * s
    forth, back = kl_normal(0, s, m, t), kl_normal(m, t, 0, s)
    overlap = math.sqrt(2 * s * t / (s * s + t * t)) * math.exp(-m * m / (4 * (s * s + t * t)))
    chi = t * t / (s * math.sqrt(d)) * math.exp(m * m / d) - 1
    expected = {
        "kl": forth,
        "reverse_kl": back,
        "jeffrey": forth + back,
        "squared_hellinger": 2 - 2 * overlap,
        "pearson": chi,
    }
    for name, value in expected.items():
        assert f_divergence(name, p, q) == pytest.approx(value, rel=1e-9, abs=1e-13), name
    if s == t:
        assert f_divergence("total_variation", p, q) == pytest.approx(
            math.erf(abs(m) / (2 * math.sqrt(2) * s)), rel=1e-10, abs=1e-13
        )


@pytest.mark.parametrize("p, q", DIFFERENT, ids=str)
def test_f_divergences_meet_the_other_routes(p, q):
    assert f_divergence("kl", p, q) == pytest.approx(kl_quadrature(p, q), rel=1e-10, abs=1e-12)
    assert f_divergence("reverse_kl", p, q) == pytest.approx(kl_quadrature(q, p), rel=1e-10, abs=1e-12)
    assert f_divergence("js", p, q) == pytest.approx(2 * js_quadrature(p, q), rel=1e-10, abs=1e-12)
    for name in ("js", "jeffrey", "squared_hellinger", "total_variation"):
        assert f_divergence(name, p, q) == pytest.approx(f_divergence(name, q, p), rel=1e-9), name


@pytest.mark.parametrize("name", F)
def test_an_f_divergence_is_0_only_between_equal_distributions(name):
    p = parse("0.3*normal(-1, 0.5) + 0.7*laplace(2, 1.4)")
    assert 0 <= f_divergence(name, p, p) < 1e-30
    near = f_divergence(name, Normal(0, 1), Normal(1e-7, 1))  # f″(1)/2 · 10⁻¹⁴, which 1 − 1 would have lost
    second = {"kl": 1, "reverse_kl": 1, "js": 0.5, "jeffrey": 2, "pearson": 2, "squared_hellinger": 0.5}
    if name in second:
        assert near == pytest.approx(0.5 * second[name] * 1e-14, rel=1e-6)


def test_f_divergences_where_only_one_distribution_has_mass():
    p, q = Uniform(0, 1), Uniform(0.5, 2)  # p/q = 3/2 on half of p and a third of q
    third, half = 1 / 3, 1 / 2
    assert f_divergence("total_variation", p, q) == pytest.approx(2 / 3, abs=1e-13)
    assert f_divergence("squared_hellinger", p, q) == pytest.approx(
        half + 2 * third + third * (math.sqrt(1.5) - 1) ** 2, abs=1e-13
    )
    assert f_divergence("js", p, q) == pytest.approx(2 * js_quadrature(p, q), abs=1e-13)
    for name in ("kl", "reverse_kl", "jeffrey", "pearson"):
        assert f_divergence(name, p, q) == f_divergence(F[name], p, q) == math.inf
    inside = Uniform(0, 0.5), Uniform(0, 1)  # p/q is 2 or 0
    assert f_divergence("kl", *inside) == pytest.approx(LN2, abs=1e-13)
    assert f_divergence("pearson", *inside) == pytest.approx(1, abs=1e-13)
    assert f_divergence("reverse_kl", *inside) == f_divergence("jeffrey", *inside) == math.inf
    for name in ("js", "squared_hellinger", "total_variation", "kl", "pearson"):
        assert f_divergence(F[name], *inside) == pytest.approx(f_divergence(name, *inside), abs=1e-12)


def test_pearson_is_infinite_where_the_second_distribution_falls_off_twice_as_fast():
    assert f_divergence("pearson", Normal(0, 1), Normal(0, 0.7)) == math.inf  # 2 · 0.49 < 1
    assert f_divergence("pearson", Normal(0, 1), Normal(0, 0.72)) == pytest.approx(
        0.72**2 / math.sqrt(2 * 0.72**2 - 1) - 1, rel=1e-9
    )  # p²/q reaches far beyond both distributions
    assert f_divergence("pearson", Laplace(0, 1), Normal(0, 9)) == math.inf
    assert f_divergence("pearson", StudentT(2), Normal(0, 9)) == math.inf
    assert f_divergence("pearson", Normal(0, 9), StudentT(2)) < math.inf


def test_ratios_that_a_function_cannot_see_are_refused_not_guessed():
    p, q = Normal(0, 1), Normal(40, 1)
    assert f_divergence("kl", p, q) == pytest.approx(800, rel=1e-12)
    with pytest.raises(ValueError, match="too far for a function of p/q"):
        f_divergence(F["kl"], p, q)
    assert f_divergence(F["js"], p, q) == pytest.approx(2 * LN2, rel=1e-12)
    with pytest.raises(ValueError, match="one of kl, reverse_kl.*received 'hellinger'"):
        f_divergence("hellinger", p, q)


def test_a_data_set_has_no_density_to_integrate():
    with pytest.raises(ValueError, match="no density"):
        js_quadrature(Empirical([1.0, 2.0]), Normal(0, 1))


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_differential_entropy_by_three_routes():
    p, x = MODES, MODES.sample(np.random.default_rng(0), 20_000)
    estimate = entropy_monte_carlo(p, x)
    assert abs(estimate.value - differential_entropy(p)) < 6 * estimate.standard_error  # false alarm 2e-9
    assert differential_entropy(p.log_density, x) == differential_entropy(p, x) == estimate.value
    assert differential_entropy(Uniform(0, 0.5)) == -LN2


def test_monte_carlo_divergences():
    p, q, rng = MODES, Normal(1, 2), np.random.default_rng(1)
    x, y = p.sample(rng, 20_000), q.sample(rng, 10_000)
    estimate = kl_monte_carlo(p, q.log_density, backend.get("strict").array(x))
    assert abs(estimate.value - kl_quadrature(p, q)) < 6 * estimate.standard_error  # false alarm 2e-9
    estimate = js_monte_carlo(p, q, x, y)
    assert abs(estimate.value - js_quadrature(p, q)) < 6 * estimate.standard_error
    assert estimate.standard_error < 0.01
    assert kl_monte_carlo(p, p, x) == (0, 0) and js_monte_carlo(p, p, x, y).value == 0


def test_monte_carlo_at_the_edges():
    p, q = Uniform(0, 2), Uniform(0, 1)
    assert kl_monte_carlo(p, q, [0.5, 1.5]) == (math.inf, math.inf)
    assert kl_monte_carlo(q, p, [0.5]) == (pytest.approx(LN2), math.inf)  # one value has no error estimate
    assert js_monte_carlo(Uniform(0, 1), Uniform(2, 3), [0.5, 0.6], [2.5, 2.6]).value == LN2
    far = js_monte_carlo(Normal(0, 1), Normal(1e6, 1), [0.0, 1.0], [1e6, 1e6 + 1])
    assert far.value == pytest.approx(LN2, abs=1e-15) and far.value <= LN2
    with pytest.raises(ValueError, match="1 samples of p have no density under p"):
        kl_monte_carlo(q, p, [0.5, 1.5])
    with pytest.raises(ValueError, match="samples of q have no density under q"):
        js_monte_carlo(p, q, [0.5], [1.5])
    with pytest.raises(ValueError, match="empty"):
        kl_monte_carlo(p, q, [])


def test_histograms_on_bins_done_by_hand():
    sample = [-9.0, 0.5, 0.5, 1.5]  # bins (−∞, 1], (1, 2], (2, ∞)
    assert histogram_edges(Uniform(0, 3), 3, 0, 3).tolist() == [1, 2]
    distribution = Uniform(0, 3)
    p, q = [0.75, 0.25, 0], [1 / 3] * 3
    assert kl_histogram(sample, distribution, 3, 0, 3) == pytest.approx(kl(p, q))
    assert js_histogram(sample, distribution, 3, 0, 3) == pytest.approx(js(p, q))
    assert js_histogram(sample, [0.0, 1.0, 2.0, 99.0], 3, 0, 3) == pytest.approx(js(p, [0.5, 0.25, 0.25]))
    assert kl_histogram(sample, [1.5, 2.5], 3, 0, 3) == math.inf  # the reference's empty bin
    # The sample's own add nothing.
    assert kl_histogram([1.5, 1.5], sample, 3, 0, 3) == pytest.approx(math.log(4))
    assert js_histogram([0.5], [2.5], 3, 0, 3) == LN2


def test_default_bins_span_five_sd_with_open_tails():
    edges = histogram_edges(Normal(4, 1.25))
    assert (
        len(edges) == 99
        and edges[0] == pytest.approx(4 - 6.25 + 0.125)
        and edges[-1] == pytest.approx(10.125)
    )
    data = np.array([0.0, 2.0])
    assert histogram_edges(data, 10)[[0, -1]] == pytest.approx([1 - 4, 1 + 4])
    edges = histogram_edges(StudentT(1), 2)  # no sd: median ± 5 IQR/1.349
    assert edges == pytest.approx([0])
    assert histogram_edges(StudentT(1), 10)[-1] == pytest.approx(4 * 2 / 1.3489795)
    assert js_histogram([1e300, -1e300], Normal(0, 1)) <= LN2
    for bad in (dict(bins=1), dict(low=1, high=1), dict(low=0, high=math.inf)):
        with pytest.raises(ValueError, match="a histogram needs"):
            histogram_edges(Normal(0, 1), **bad)
    with pytest.raises(ValueError, match="low < high"):
        js_histogram([1.0, 2.0], [3.0, 3.0])


def test_the_histograms_bias_is_as_documented():
    # 60 replicates: the mean is known to 2 %, the tolerance is more than 6 of its standard errors
    rng, distribution, n = np.random.default_rng(0), Uniform(0, 1), 2000
    samples = distribution.sample(rng, (60, 2, n))
    js_one = np.mean([js_histogram(x, distribution, 20, 0, 1) for x, _ in samples])
    js_two = np.mean([js_histogram(x, y, 20, 0, 1) for x, y in samples])
    kl_one = np.mean([kl_histogram(x, distribution, 20, 0, 1) for x, _ in samples])
    assert js_one == pytest.approx(19 / (8 * n), rel=0.3)
    assert js_two == pytest.approx(19 / (8 * n) * 2, rel=0.3)
    assert kl_one == pytest.approx(19 / (2 * n), rel=0.3)


def test_nearest_neighbours_estimate_kl():
    # sd of the estimate is 0.02 at n = 3000, so six of them
    rng = np.random.default_rng(0)
    x, same, other = rng.normal(size=3000), rng.normal(size=3000), rng.normal(1, 1, 3000)
    assert kl_knn(x, same) == pytest.approx(0, abs=0.12)
    assert kl_knn(x, other) == pytest.approx(0.5, abs=0.15)
    X, Y = rng.normal(size=(3000, 2)), rng.normal(size=(2000, 2)) * 2
    assert kl_knn(X, Y) == pytest.approx(2 * kl_normal(0, 1, 0, 2), abs=0.2)
    assert kl_knn(x.astype("float32"), backend.get("strict").array(other)) == pytest.approx(0.5, abs=0.15)


def test_nearest_neighbours_by_hand():
    # x = 0, 1, 3 and y = 0.5, 10: ρ = 1, 1, 2; ν = ½, ½, 2½
    expected = (math.log(0.5) * 2 + math.log(1.25)) / 3 + math.log(2 / 2)
    assert kl_knn([0.0, 1.0, 3.0], [0.5, 10.0], k=1) == pytest.approx(expected)


def test_coinciding_rows_are_refused():
    with pytest.raises(ValueError, match="2 rows of the first sample coincide"):
        kl_knn([0.0, 0.0, 1.0, 2.0], [0.5, 3.0], k=1)
    with pytest.raises(ValueError, match="1 rows of the first sample coincide"):
        kl_knn([0.0, 1.0, 2.0], [0.0, 3.0], k=1)
    assert math.isfinite(kl_knn([0.0, 0.0, 1.0, 2.0], [0.5, 3.0], k=2))
    with pytest.raises(ValueError, match="rows of 1 and 2"):
        kl_knn([0.0, 1.0], [[0.0, 1.0]], k=1)
    with pytest.raises(ValueError, match="k = 5 needs"):
        kl_knn([0.0, 1.0], [0.0, 1.0])


def test_samples_of_three_axes_are_refused():
    x = np.random.default_rng(0).normal(size=(20, 2))
    for samples, which in (((x[:, :, None], x), "first"), ((x, x[None]), "second")):
        with pytest.raises(ValueError, match=rf"the {which} sample must have shape \(n,\) or \(n, p\)"):
            kl_knn(*samples)
