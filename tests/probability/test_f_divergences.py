"""f-divergences against SciPy's quadrature, closed forms and each other."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize

from minigan.probability import (
    Empirical,
    Laplace,
    Normal,
    StudentT,
    Uniform,
    js_quadrature,
    kl_normal,
    kl_quadrature,
    parse,
)
from minigan.probability.f_divergences import F_DIVERGENCES, f_divergence

LN2 = math.log(2)
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


@pytest.mark.rows("p, q", OVERLAPPING)
@pytest.mark.rows("name", F)
def test_an_f_divergence_is_the_integral_of_q_f_of_p_over_q(name, p, q):
    def term(x):
        return float(q.density(x) * F[name](p.density(x) / q.density(x)))

    edges = [-32, -16, -8, *np.arange(-4, 4.1, 0.5), 0.2, 8, 16, 32]  # kinks and peaks are edges
    edges = sorted({*edges, *crossings(p, q)})
    direct = sum(integrate.quad(term, a, b, epsabs=1e-13)[0] for a, b in zip(edges, edges[1:], strict=False))
    assert f_divergence(name, p, q) == pytest.approx(direct, rel=1e-8)
    assert f_divergence(F[name], p, q) == pytest.approx(direct, rel=1e-8)


@pytest.mark.rows(
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


@pytest.mark.rows("p, q", DIFFERENT)
def test_f_divergences_meet_the_other_routes(p, q):
    assert f_divergence("kl", p, q) == pytest.approx(kl_quadrature(p, q), rel=1e-10, abs=1e-12)
    assert f_divergence("reverse_kl", p, q) == pytest.approx(kl_quadrature(q, p), rel=1e-10, abs=1e-12)
    assert f_divergence("js", p, q) == pytest.approx(2 * js_quadrature(p, q), rel=1e-10, abs=1e-12)
    for name in ("js", "jeffrey", "squared_hellinger", "total_variation"):
        assert f_divergence(name, p, q) == pytest.approx(f_divergence(name, q, p), rel=1e-9), name


@pytest.mark.rows("name", F)
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


def test_what_is_no_f_of_an_f_divergence_is_refused():
    """Each integrated to a number without a word: another divergence, 0 for a negative one, a real part."""
    for f, words in (
        (lambda u: u * np.log(u) + 1, r"convex with f\(1\) = 0; received f\(1\) = 1$"),
        (lambda u: -u * np.log(u), "slopes that fall"),
        (lambda u: np.tanh(u - 1), "slopes that fall"),
        (lambda u: 1j * (u - 1) ** 2, "real values; received values of type complex128"),
        (lambda u: "x", "real values"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            f_divergence(f, Normal(), Normal(1, 1))
    assert f_divergence(lambda u: 0.0 * u, Normal(), Normal(1, 1)) == 0


def test_a_data_set_has_no_density_to_integrate():
    with pytest.raises(ValueError, match="no density"):
        js_quadrature(Empirical([1.0, 2.0]), Normal(0, 1))
