"""Distances of two known distributions: closed forms, and SciPy's quadrature of quantiles from above."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from minigan.evaluation import (
    ks_between,
    wasserstein1_between,
    wasserstein1_to,
    wasserstein2_between,
)
from minigan.probability import Cauchy, Empirical, Laplace, Normal, StudentT, Uniform, parse

HALF_NORMAL = math.sqrt(2 / math.pi)
# p, q, KS, W1, W2 in closed form, or None
CLOSED = [
    ("normal(0, 1)", "normal(0.5, 1)", 2 * stats.norm.cdf(0.25) - 1, 0.5, 0.5),
    ("normal(0, 1)", "normal(0, 3)", None, 2 * HALF_NORMAL, 2.0),
    ("normal(1e9, 1)", "normal(1e9, 3)", None, 2 * HALF_NORMAL, 2.0),
    ("normal(0, 1e-160)", "normal(0, 3e-160)", None, 2e-160 * HALF_NORMAL, 2e-160),
    ("normal(3, 2)", "normal(3, 2)", 0.0, 0.0, 0.0),
    ("exponential(2)", "exponential(1)", 0.25, 1.0, math.sqrt(2)),  # e^−x − e^−x/2 at x = ln 4
    ("uniform(0, 1)", "uniform(2, 4)", 1.0, 2.5, math.sqrt(2.5**2 + 1 / 12)),
    ("uniform(0, 1)", "uniform(0, 4)", 0.75, 1.5, math.sqrt(3)),
]  # fmt: skip


@pytest.mark.rows(("p", "q", "ks", "w1", "w2"), CLOSED)
def test_distances_are_those_in_closed_form(p, q, ks, w1, w2):
    p, q = parse(p), parse(q)
    for a, b in ((p, q), (q, p)):
        assert wasserstein1_between(a, b) == pytest.approx(w1, rel=3e-7 if p.mean > 1e6 else 1e-10, abs=0)
        assert wasserstein2_between(a, b) == pytest.approx(w2, rel=1e-6 if p.mean > 1e6 else 1e-9, abs=0)
        if ks is not None:
            assert ks_between(a, b) == pytest.approx(ks, abs=1e-12)


PAIRS = [
    (StudentT(3), stats.t(3), Laplace(0, 1), stats.laplace()),
    (Normal(0, 1), stats.norm(), StudentT(2.5), stats.t(2.5)),
    (parse("lognormal(0, 1)"), stats.lognorm(1), parse("gamma(3, 0.5)"), stats.gamma(3, scale=0.5)),
    (parse("pareto(2.5, 1)"), stats.pareto(2.5), Normal(1, 2), stats.norm(1, 2)),
]


@pytest.mark.parametrize(("p", "scipy_p", "q", "scipy_q"), PAIRS)
def test_distances_are_scipys_integrals_over_levels(p, scipy_p, q, scipy_q):
    def integral(power):
        def f(s, of):  # u = e^−s, from both ends
            u = math.exp(-s)
            return abs(getattr(scipy_p, of)(u) - getattr(scipy_q, of)(u)) ** power * u

        ends = [math.log(2), 2, 5, 15, 60, 300]
        parts = zip(ends[:-1], ends[1:], strict=True)
        return sum(quad(f, a, b, args=(of,), limit=200)[0] for a, b in parts for of in ("ppf", "isf"))

    assert wasserstein1_between(p, q) == pytest.approx(integral(1), rel=1e-6)
    assert wasserstein2_between(p, q) == pytest.approx(math.sqrt(integral(2)), rel=1e-6)
    x = np.linspace(min(d.interval(0.999)[0] for d in (p, q)), 10, 200_001)
    seen = np.abs(scipy_p.cdf(x) - scipy_q.cdf(x)).max()
    assert seen - 1e-12 <= ks_between(p, q) <= seen + 1e-4


def test_many_values_of_one_are_as_far_from_the_other():
    p, q = parse("0.33*normal(-1, 0.25) + 0.67*normal(2, 1.4)"), Normal(1, 1.8)
    x = p.quantile((np.arange(20_000) + 0.5) / 20_000)
    assert wasserstein1_between(p, q) == pytest.approx(wasserstein1_to(x, q), rel=1e-4)


def test_what_has_no_moment_is_infinitely_far_or_refused():
    assert wasserstein1_between(Cauchy(0, 1), Normal(0, 1)) == math.inf
    assert wasserstein2_between(Normal(0, 1), StudentT(2)) == math.inf
    assert ks_between(Cauchy(0, 1), Cauchy(1, 1)) == pytest.approx(2 * math.atan(0.5) / math.pi, abs=1e-12)
    assert ks_between(Normal(1e300, 1), Normal(-1e300, 1)) == 1.0  # whose sd x has no digits for
    with pytest.raises(ValueError, match="W1 needs a mean of one distribution at least"):
        wasserstein1_between(Cauchy(0, 1), Cauchy(1, 1))
    with pytest.raises(ValueError, match="W2 needs a finite sd"):
        wasserstein2_between(StudentT(2), StudentT(1.5))
    for distance in (ks_between, wasserstein1_between, wasserstein2_between):
        with pytest.raises(ValueError, match="no density"):
            distance(Empirical(np.arange(5.0)), Uniform(0, 1))
        with pytest.raises(TypeError, match="two distributions"):
            distance(Normal(0, 1), "normal(0, 1)")


def test_distributions_of_several_features_are_refused_in_a_sentence():
    for distance in (ks_between, wasserstein1_between, wasserstein2_between):
        with pytest.raises(
            ValueError, match=f"{distance.__name__} compares distributions of one feature.*of 2"
        ):
            distance(Normal(0.0, 1.0), parse("ring(8, 1, 0.1)"))
