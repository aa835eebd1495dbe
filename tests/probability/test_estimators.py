"""Entropy and divergences from samples, against formulas and by hand."""

import math

import numpy as np
import pytest

from minigan import backend
from minigan.probability import (
    Normal,
    StudentT,
    Uniform,
    differential_entropy,
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
    kl_normal,
    kl_quadrature,
    parse,
)

LN2 = math.log(2)
MODES = parse("0.33*normal(-1,0.25)+0.67*normal(2,1.4)")


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
        with pytest.raises(
            ValueError,
            match="a histogram needs|number of bins is|high end of a histogram",
        ):
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


@pytest.mark.parametrize("scale", [1e160, 1e-200, 1e300])
def test_estimates_do_not_depend_on_the_unit(scale):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=300), rng.normal(0.5, 1, 300)
    assert kl_knn(x * scale, y * scale) == pytest.approx(kl_knn(x, y), rel=1e-9)
    assert js_histogram(x * scale, y * scale) == pytest.approx(js_histogram(x, y), abs=1e-9)


@pytest.mark.rows(
    ("estimate", "says"),
    [
        (lambda x: kl_knn(x, x + 0.1, k=1.5), "k is a whole number ≥ 1; received 1.5"),
        (lambda x: js_histogram(x, x, bins=2.5), "the number of bins is a whole number ≥ 2; received 2.5"),
        (
            lambda x: js_histogram(x, x, low="a"),
            "the low end of a histogram is a finite number; received 'a'",
        ),
        (
            lambda x: js_histogram(x, x, high=math.nan),
            "the high end of a histogram is a finite number; received nan",
        ),
        (
            lambda x: entropy_monte_carlo(lambda t: t * math.nan, x),
            "the log-density of 9 among 9 samples is NaN",
        ),
        (
            lambda x: kl_monte_carlo(Normal(), lambda t: t[:3], x),
            r"a number for each sample; \(9,\) gave shape \(3,\)",
        ),
        (
            lambda x: kl_monte_carlo(3, Normal(), x),
            "a log-density is a distribution or a function; received 3",
        ),
    ],
)
def test_what_is_no_estimate_is_refused(estimate, says):
    with pytest.raises((TypeError, ValueError), match=says):
        estimate(np.linspace(-1, 1, 9))
