"""Classifiers: Bayes' route [T8–T11] beside SciPy, closed forms, optimality conditions and published fits."""

import importlib
import importlib.util
import math
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from minigan import backend as backends
from minigan.engine.autodiff import grad
from minigan.engine.tensor import variable
from minigan.models import (
    ConvergenceWarning,
    GaussianClassifier,
    LogisticRegression,
    NotFittedError,
    SoftmaxRegression,
    log_posterior,
    posterior,
)
from minigan.models.generative import COVARIANCES
from minigan.models.likelihood import fit_normal
from minigan.models.posterior import log_sum_exp
from minigan.testing.gradcheck import check_grads

ROOT = Path(__file__).parents[2]
SIGMAS = 6.0  # a normal number is farther out with probability 2e-9
MEANS = np.array([[0.0, 0.0], [1.5, 1.0], [-1.0, 1.5], [0.5, -1.5]])
COVARIANCE = np.array([[1.0, 0.5], [0.5, 1.5]])


def rows(n, K, seed=0, scales=None):
    """n labelled rows of K Gaussian classes; of one covariance unless each has its scale."""
    rng = np.random.default_rng(seed)
    y = rng.integers(K, size=n)
    noise = rng.standard_normal((n, 2)) @ np.linalg.cholesky(COVARIANCE).T
    return MEANS[y] + noise * (1.0 if scales is None else np.array(scales)[y][:, None]), y


def exact_posterior(X, K):
    log_joint = [stats.multivariate_normal(m, COVARIANCE).logpdf(X) for m in MEANS[:K]]
    return special.softmax(np.stack(log_joint, axis=1), axis=1)


def regression(K, **arguments):
    return (LogisticRegression if K == 2 else SoftmaxRegression)(**arguments)


# ── the posterior


def test_posterior_is_softmax():
    a = np.random.default_rng(0).normal(size=(50, 5)) * 30
    np.testing.assert_allclose(posterior(a), special.softmax(a, axis=1), rtol=1e-13)
    np.testing.assert_allclose(log_posterior(a), special.log_softmax(a, axis=1), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(posterior(a).sum(axis=1), 1.0, rtol=1e-14)


def test_posterior_of_two_classes_is_sigma_of_the_log_odds():
    """[T10] = [T11]."""
    a = np.concatenate([np.linspace(-50, 50, 41), [-700.0, 700.0]])
    both = np.stack([np.zeros_like(a), a], axis=1) - 1e3  # what both share drops out
    np.testing.assert_allclose(posterior(both)[:, 1], special.expit(a), rtol=1e-12)


@pytest.mark.rows("a", [0.0, 1.0, 20.0, 40.0, 300.0])
def test_logarithm_of_a_posterior_near_one_is_exact(a):
    with mpmath.workdps(200):
        expected = float(-mpmath.log1p(mpmath.exp(-a)))
    assert log_posterior([0.0, -a])[0] == pytest.approx(expected, rel=1e-15, abs=0)
    assert log_posterior([0.0, -a])[1] == pytest.approx(expected - a, rel=1e-15)


def test_posterior_where_densities_underflow_or_vanish():
    np.testing.assert_allclose(posterior([-1e6, -1e6 - math.log(3)]), [0.75, 0.25], rtol=1e-9)
    np.testing.assert_array_equal(posterior([-1e308, -np.inf, -1e308]), [0.5, 0.0, 0.5])
    assert np.isnan(posterior([-np.inf, -np.inf])).all()  # where nothing lives there is nothing to decide
    for bad in ([np.nan, 0.0], [np.inf, 0.0], 1.0):
        with pytest.raises(ValueError, match="log joint"):
            posterior(bad)


@pytest.mark.rows("K", [1, 2, 5])
def test_log_sum_exp_and_its_gradient(backend, K):
    a = np.random.default_rng(1).normal(size=(3, 7, K)) * 10
    x = variable(backend.array(a))
    y = log_sum_exp(x)
    np.testing.assert_allclose(y.numpy(), special.logsumexp(a, axis=-1, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(grad(y, [x])[0].numpy(), special.softmax(a, axis=-1), rtol=1e-10, atol=1e-14)


def test_log_sum_exp_does_not_overflow_and_has_a_second_derivative():
    a = np.array([[800.0, 1e4, -1e4], [-1e4, -1e4, -1e4]])
    np.testing.assert_allclose(log_sum_exp(variable(a)).numpy(), [[1e4], [math.log(3) - 1e4]], rtol=1e-14)
    assert log_sum_exp(variable(a.astype("float32"))).dtype == "float32"
    check_grads(log_sum_exp, np.random.default_rng(2).normal(size=(4, 3)))


# ── generative


@pytest.mark.parametrize("kind", COVARIANCES)
def test_estimates_are_those_of_maximum_likelihood(kind):
    X, y = rows(300, 3, scales=(1.0, 0.5, 2.0))
    model = GaussianClassifier(kind).fit(X, y)
    groups = [X[y == k] for k in range(3)]
    np.testing.assert_allclose(model.priors_, [len(g) / 300 for g in groups], rtol=1e-15)
    np.testing.assert_allclose(model.means_, [g.mean(axis=0) for g in groups], rtol=1e-13)
    own = np.array([np.cov(g.T, bias=True) for g in groups])
    expected = {
        "full": own,
        "diagonal": np.array([np.diag(c) for c in own]),
        "shared": np.einsum("k,kij->ij", model.priors_, own),
    }[kind]
    assert model.covariances_.shape == expected.shape
    np.testing.assert_allclose(model.covariances_, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", COVARIANCES)
def test_bayes_route_beside_scipy(kind):
    """[T9]: the joint density, the posterior, the marginal."""
    X, y = rows(200, 3, seed=1, scales=(1.0, 0.5, 2.0))
    model = GaussianClassifier(kind, priors=[0.2, 0.5, 0.3]).fit(X, y)
    covariances = {"shared": [model.covariances_] * 3, "diagonal": map(np.diag, model.covariances_)}
    distributions = [
        stats.multivariate_normal(m, c)
        for m, c in zip(model.means_, covariances.get(kind, model.covariances_), strict=True)
    ]
    joint = np.stack([distribution.pdf(X) for distribution in distributions], axis=1) * [0.2, 0.5, 0.3]
    np.testing.assert_allclose(model.log_joint(X), np.log(joint), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(model.density(X), joint.sum(axis=1), rtol=1e-10)
    expected = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), expected, rtol=1e-9, atol=1e-300)
    np.testing.assert_array_equal(model.predict(X), expected.argmax(axis=1))
    assert model.score(X, y) == (expected.argmax(axis=1) == y).mean()
    np.testing.assert_array_equal(model.decision_function(X), model.log_joint(X))


def test_the_marginal_is_a_density():
    X, y = rows(100, 2)
    model = GaussianClassifier("full").fit(X[:, :1], y)
    mass, _ = integrate.quad(lambda x: model.density([[x]])[0], -20, 20, points=[0, 1.5], epsabs=1e-12)
    assert mass == pytest.approx(1.0, abs=1e-10)


def test_log_odds_of_a_shared_covariance_are_linear():
    """[T10]: w = Σ⁻¹(μ₁ − μ₀), b = −½ w·(μ₁ + μ₀) + ln of the priors; positive for classes_[1]."""
    X, y = rows(400, 2, seed=2)
    model = GaussianClassifier().fit(X, y)
    joint = model.log_joint(X)
    w, b = model.log_odds()
    np.testing.assert_allclose(X @ w + b, joint[:, 1] - joint[:, 0], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(model.decision_function(X), X @ w + b, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(special.expit(X @ w + b), model.predict_proba(X)[:, 1], rtol=1e-10)
    assert ((model.decision_function(X) > 0) == (model.predict(X) == 1)).all()
    reverse, minus_b = model.log_odds(0, 1)
    np.testing.assert_allclose([*reverse, minus_b], [*-w, -b], rtol=1e-13)
    # One value by hand: Σ = I, means ±1, equal priors: a = 2x.
    line = GaussianClassifier().fit([[-2.0], [0.0], [0.0], [2.0]], [0, 0, 1, 1])
    assert line.log_odds() == (pytest.approx([2.0]), pytest.approx(0.0, abs=1e-15))


def test_a_point_where_every_density_underflows_still_has_a_posterior():
    X, y = rows(400, 2, seed=3)
    for kind in COVARIANCES:
        model = GaussianClassifier(kind).fit(X, y)
        far = np.array([[90.0, -80.0], [-70.0, 95.0]])
        assert (model.density(far) == 0).all() and (model.log_density(far) < -1e3).all()
        p = model.predict_proba(far)
        np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-14)
        with mpmath.workdps(60):
            a = [[mpmath.mpf(float(v)) for v in row] for row in model.log_joint(far)]
            expected = [float(mpmath.exp(r[1]) / (mpmath.exp(r[0]) + mpmath.exp(r[1]))) for r in a]
        np.testing.assert_allclose(p[:, 1], expected, rtol=1e-8)
    shared = GaussianClassifier().fit(X, y)
    w, b = shared.log_odds()
    along = np.array([w[1], -w[0]]) / np.linalg.norm(w)  # along a = const
    x = (np.array([[0.0, 0.0]]) - b * w / (w @ w)) + 1e9 * along
    assert shared.decision_function(x)[0] == pytest.approx(0.0, abs=1e-5)  # the squares, 1e18, would drown it


def test_samples_follow_the_model():
    """Class shares, and the mean and covariance of each class, within 6 sd: a false alarm has 1e-7."""
    X, y = rows(500, 3, seed=4, scales=(1.0, 0.5, 2.0))
    model = GaussianClassifier("full", priors=[0.2, 0.7, 0.1]).fit(X, np.array(["a", "b", "c"])[y])
    n = 30_000
    new, labels = model.sample(n, np.random.default_rng(5))
    assert new.shape == (n, 2) and set(labels) == {"a", "b", "c"}
    for k, label in enumerate("abc"):
        chosen = new[labels == label]
        p = model.priors_[k]
        assert abs(len(chosen) - n * p) < SIGMAS * math.sqrt(n * p * (1 - p))
        Σ = model.covariances_[k]
        gap = (chosen.mean(axis=0) - model.means_[k]) / np.sqrt(np.diag(Σ) / len(chosen))
        assert np.abs(gap).max() < SIGMAS
        sd = np.sqrt((np.outer(np.diag(Σ), np.diag(Σ)) + Σ**2) / len(chosen))
        assert np.abs((np.cov(chosen.T) - Σ) / sd).max() < SIGMAS
    again, _ = model.sample(n, np.random.default_rng(5))
    np.testing.assert_array_equal(again, new)


def test_shrinkage_leads_to_the_diagonal():
    X, y = rows(300, 2, seed=6)
    full, half, none = (GaussianClassifier("full", shrinkage=s).fit(X, y).covariances_ for s in (0, 0.5, 1))
    np.testing.assert_allclose(half, 0.5 * (full + none), rtol=1e-13)
    np.testing.assert_allclose(none[0], np.diag(np.diag(full[0])), rtol=1e-13)
    diagonal = GaussianClassifier("diagonal").fit(X, y)
    np.testing.assert_allclose(
        GaussianClassifier("full", shrinkage=1.0).fit(X, y).log_joint(X), diagonal.log_joint(X), rtol=1e-12
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_singular_covariance_is_refused_with_its_class(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(60, 3)), np.repeat(["here", "there"], 30)
    X[30:, 2] = X[30:, 0] + 2 * X[30:, 1]  # in one class a feature follows from the others
    with pytest.raises(ValueError, match="of class 'there' is singular.*shrinkage"):
        GaussianClassifier("full").fit(X, y)
    GaussianClassifier("full", shrinkage=0.1).fit(X, y)
    GaussianClassifier("diagonal").fit(X, y)
    GaussianClassifier("shared").fit(X, y)  # the other class makes up for it
    few = np.concatenate([X[:30], rng.normal(size=(3, 3))]), [0] * 30 + [1] * 3
    with pytest.raises(ValueError, match="of class 1 is singular: 3 rows do not span 3"):
        GaussianClassifier("full").fit(*few)


def test_a_constant_feature_is_refused_by_name():
    X, y = rows(40, 2)
    X[y == 1, 0] = 0.1
    for kind in ("full", "diagonal"):
        with pytest.raises(ValueError, match="of class 1 is singular: feature 0 does not vary"):
            GaussianClassifier(kind, shrinkage=0.5).fit(X, y)
    GaussianClassifier().fit(X, y)
    X[:, 0] = np.where(y == 1, 0.1, 0.7)
    with pytest.raises(ValueError, match="that all classes share is singular: feature 0"):
        GaussianClassifier().fit(X, y)


@pytest.mark.rows("covariance", COVARIANCES)
def test_a_feature_that_says_nothing_is_left_out(covariance):
    """Constant, or in all classes the same function of others: posteriors are those without it."""
    Z, y = rows(90, 3)
    X = np.column_stack([Z[:, 0], np.full(90, 0.1), Z[:, 1], Z @ [2.0, -1.0] + 5])
    X = X[:, :3] if covariance == "diagonal" else X  # which takes features as independent
    model, plain = (GaussianClassifier(covariance).fit(x, y) for x in (X, Z))
    assert model.left_out_.tolist() == [1, 3][: X.shape[1] - 2] and plain.left_out_.tolist() == []
    np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(Z), rtol=1e-9)
    np.testing.assert_allclose(model.log_density(X), plain.log_density(Z), rtol=1e-9)
    assert model.means_.shape == (3, X.shape[1]) and model.covariances_.shape[-1] == X.shape[1]
    if covariance == "shared":
        np.testing.assert_allclose(model.log_odds(0, 1)[0][[0, 2]], plain.log_odds(0, 1)[0], rtol=1e-9)
        assert model.log_odds(0, 1)[0][[1, 3]].tolist() == [0, 0]
        with pytest.raises(ValueError, match="that all classes share is singular: 90 rows do not span 3"):
            GaussianClassifier().fit(np.column_stack([Z, Z.sum(axis=1) + y]), y)  # it tells the classes
        near = Z.sum(axis=1) + 1e-8 * (np.random.default_rng(0).normal(size=90) + 3 * y)
        with pytest.raises(ValueError, match="that all classes share is singular: 90 rows do not span 3"):
            GaussianClassifier().fit(np.column_stack([Z, near]), y)  # so does this, by 3 sd of its own
    made, _ = model.sample(7, np.random.default_rng(0))
    assert made[:, 1].tolist() == [0.1] * 7
    if covariance != "diagonal":
        np.testing.assert_allclose(made[:, 3], made[:, [0, 2]] @ [2, -1] + 5, rtol=1e-9)
    with pytest.raises(ValueError, match="no feature of X varies"):
        GaussianClassifier(covariance).fit(np.ones((90, 2)), y)


# ── discriminative


TEMPERATURES = [66, 70, 69, 68, 67, 72, 73, 70, 57, 63, 70, 78, 67, 53, 67, 75, 70, 81, 76, 79, 75, 76, 58]
DAMAGE = [0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1]


@pytest.mark.parametrize("model", [LogisticRegression(), SoftmaxRegression()])
def test_the_published_fit_of_the_o_rings(model):
    """23 flights before the Challenger's last: logit = 15.0429 − 0.2322 °F, residual deviance 20.315.

    Source:  R's glm, on the data of Dalal, Fowlkes & Hoadley 1989, JASA 84, 945–957
    """
    X = np.array(TEMPERATURES, float)[:, None]
    w, b = model.fit(X, DAMAGE).log_odds()
    assert w[0] == pytest.approx(-0.2322, abs=5e-5) and b == pytest.approx(15.0429, abs=5e-5)
    assert 2 * len(X) * model.losses_[-1] == pytest.approx(20.315, abs=5e-4)
    assert model.predict_proba([[31.0]])[0, 1] == pytest.approx(0.9996, abs=5e-5)  # the cold morning


@pytest.mark.rows("K", [2, 3, 4])
@pytest.mark.rows("weight_decay", [0.0, 0.05])
def test_the_gradient_vanishes_at_the_fit(K, weight_decay):
    """The loss is convex, so Zᵀ(p − t)/n + λW = 0, written out by hand, is all there is to show."""
    X, y = rows(500, K, seed=7, scales=(1, 2, 0.5, 1)[:K])
    X = X * [1e-3, 50.0] + [1.0, -700.0]
    model = regression(K, weight_decay=weight_decay).fit(X, y)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    residual = model.predict_proba(X) - np.eye(K)[y]
    W = model.coef_ * X.std(axis=0)
    W = np.concatenate([np.zeros_like(W), W]) if K == 2 else W
    slope = residual.T @ Z / 500 + weight_decay * W
    np.testing.assert_allclose(slope[K == 2 :], 0.0, atol=1.1e-8)
    np.testing.assert_allclose(residual.mean(axis=0), 0.0, atol=1.1e-8)
    own = np.take_along_axis(model.predict_log_proba(X), y[:, None], axis=1)
    assert model.losses_[-1] == pytest.approx(-own.mean() + 0.5 * weight_decay * (W**2).sum(), rel=1e-10)
    assert model.losses_[0] == pytest.approx(math.log(K), rel=1e-14)  # at first it cannot tell
    assert (np.diff(model.losses_) <= 1e-15).all() and model.n_iter_ == len(model.losses_) - 1


def test_softmax_of_two_classes_is_logistic_regression():
    X, y = rows(300, 2, seed=8)
    two, one = SoftmaxRegression().fit(X, y), LogisticRegression().fit(X, y)
    np.testing.assert_allclose(two.log_odds()[0], one.log_odds()[0], rtol=1e-6)
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), rtol=1e-6)
    np.testing.assert_allclose(two.decision_function(X), one.decision_function(X), rtol=1e-5, atol=1e-6)
    assert one.coef_.shape == (1, 2) and two.coef_.shape == (2, 2) and one.intercept_.shape == (1,)
    np.testing.assert_allclose(two.coef_.sum(axis=0), 0.0, atol=1e-14)


@pytest.mark.parametrize("K", [2, 4])
def test_units_do_not_matter(K):
    X, y = rows(400, K, seed=9)
    a, b = (regression(K).fit(x, y).predict_proba(x) for x in (X, X * [1e-6, 1e5] + [3.0, 1e6]))
    np.testing.assert_allclose(a, b, atol=1e-7)


@pytest.mark.parametrize("K", [2, 3])
def test_backends_agree_bit_for_bit_and_dtypes_nearly(backend, K, same_bits):
    X, y = rows(200, K, seed=10)
    here = regression(K, backend=backend).fit(X, y)
    there = regression(K, backend=backends.get("numpy")).fit(X, y)
    same_bits(backend, here.coef_, there.coef_)
    same_bits(backend, here.losses_, there.losses_)
    single = regression(K, backend=backend, dtype="float32").fit(X, y)
    np.testing.assert_allclose(single.predict_proba(X), there.predict_proba(X), atol=2e-3)


def test_separable_classes_end_finite_with_a_warning():
    X = np.array([[0.0, 1.0], [1.0, -1.0], [2.0, 0.5], [3.0, 0.0]])
    for y, model in (([0, 0, 1, 1], LogisticRegression()), ([0, 1, 1, 2], SoftmaxRegression())):
        X_ = X if len(set(y)) == 2 else X * [1.0, 0.0] + [0.0, 7.0]
        y_ = np.array(y) if len(set(y)) == 2 else np.array([0, 0, 1, 1])
        with pytest.warns(ConvergenceWarning, match="separable.*weight_decay"):
            model.fit(X_, y_)
        assert np.isfinite(model.coef_).all() and model.score(X_, y_) == 1.0
        assert model.losses_[-1] < 1e-6
    assert model.coef_[0, 1] == 0.0  # the feature that does not vary
    unique = LogisticRegression(weight_decay=0.1).fit(X, [0, 0, 1, 1])  # no warning
    assert unique.score(X, [0, 0, 1, 1]) == 1.0


@pytest.mark.rows("model", [LogisticRegression, SoftmaxRegression])
@pytest.mark.rows("x", [[-1, 1], [-3, -1, 1, 3], [-10, -1, 1, 10], [-1e3, -1, 1, 1e3], [-3, 0, 0, 3]])
def test_separable_classes_have_one_answer_which_is_symmetric(model, x):
    """p at the centre was 0.567 for ±1 and ±3: that of the steps taken, of which no other number knew."""
    X = np.array(x, float)[:, None]
    with pytest.warns(ConvergenceWarning, match="separable.*weight_decay=1e-08"):
        fitted = model().fit(X, np.arange(len(x)) >= len(x) / 2)
    assert fitted.predict_proba([[0.0]])[0, 1] == pytest.approx(0.5, abs=1e-6)
    with pytest.warns(ConvergenceWarning):
        other = model(max_steps=500).fit(100 * X[::-1], np.arange(len(x)) < len(x) / 2)
    points = np.linspace(-2, 2, 9)[:, None]
    np.testing.assert_allclose(other.predict_proba(100 * points), fitted.predict_proba(points), atol=1e-5)


# ── scales
@pytest.mark.rows("model", [LogisticRegression, SoftmaxRegression])
@pytest.mark.rows("scale", [1e160, 1e-160, 1e300, 1e-307, [1e200, 1e-200], [1e-30, 1.0]])
def test_features_of_any_scale_are_fitted_alike(model, scale):
    """On 1e160 X a probability was wrong by 0.545, with an overflow warning of NumPy."""
    (X, y), scale = rows(80, 2), np.array(scale)
    here, there = model().fit(X, y), model().fit(X * scale, y)
    for method in ("predict_proba", "decision_function"):
        expected = getattr(here, method)(X)
        np.testing.assert_allclose(getattr(there, method)(X * scale), expected, rtol=1e-9)
    np.testing.assert_allclose(there.coef_ * scale, here.coef_, rtol=1e-9)
    np.testing.assert_allclose(there.intercept_, here.intercept_, rtol=1e-9)


@pytest.mark.parametrize("model", [LogisticRegression, SoftmaxRegression, GaussianClassifier])
def test_units_labels_and_dtypes_change_no_posterior(model):
    X, y = rows(80, 2)
    p = model().fit(X, y).predict_proba(X)
    assert np.abs(model().fit(X + 1e8, y).predict_proba(X + 1e8) - p).max() < 1e-6
    assert np.abs(model().fit(X.astype("f"), y).predict_proba(X.astype("f")) - p).max() < 1e-6
    for labels in (np.where(y, "b", "a"), y > 0, 2.0 * y - 1, y.astype(object)):
        np.testing.assert_array_equal(model().fit(X, labels).predict_proba(X), p)
    far = model().fit(X, y).predict_proba([[1e308, -1e308], [-1e200, 0.0]])
    np.testing.assert_allclose(far.sum(axis=1), 1.0)


def test_a_regression_agrees_with_a_minimum_found_otherwise():
    """BFGS on the loss in units of the data, with a constant and a repeated column beside."""
    X, y = rows(150, 2)
    sign = 2.0 * y - 1

    def loss(θ):
        return np.logaddexp(0, -sign * (X @ θ[:2] + θ[2])).mean()

    θ = optimize.minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-7}).x
    expected = special.expit(X @ θ[:2] + θ[2])
    for table in (X, np.c_[X, np.full(150, 1e160)], np.c_[X, X[:, 0]], X * [1e9, 1e-9]):
        fitted = LogisticRegression().fit(table, y).predict_proba(table)[:, 1]
        np.testing.assert_allclose(fitted, expected, atol=1e-5)


@pytest.mark.parametrize("scale", [1e160, 1e-160])
def test_squares_that_leave_float64_are_refused(scale):
    X, y = rows(50, 2)
    for fit in (lambda: GaussianClassifier().fit(X * scale, y), lambda: fit_normal(X * scale)):
        with pytest.raises(ValueError, match="whose square float64 cannot hold; give it in other units"):
            fit()


def test_too_few_steps_are_said():
    X, y = rows(200, 3)
    with pytest.warns(ConvergenceWarning, match="ended after 2 steps.*max_steps"):
        model = SoftmaxRegression(max_steps=2).fit(X, y)
    assert model.n_iter_ == 2


def test_a_discriminative_model_cannot_make_data():
    X, y = rows(50, 2)
    model = LogisticRegression(weight_decay=0.01).fit(X, y)
    for missing in ("sample", "density", "log_density", "log_joint"):
        assert hasattr(GaussianClassifier, missing) and not hasattr(model, missing)


# ── side by side


@pytest.mark.parametrize("K", [2, 4])
def test_both_routes_agree_where_the_log_odds_are_linear(K):
    """Shared covariance, n = 100 000: within 1e-2 of each other and of the exact posterior (bar of [T11]).

    The differences have a mean of about 5e-4 and 1.5e-3, so that 1e-2 is many deviations away.
    """
    X, y = rows(100_000, K, seed=11)
    points, _ = rows(5_000, K, seed=12)
    p, q = (model.fit(X, y).predict_proba(points) for model in (GaussianClassifier(), regression(K)))
    exact = exact_posterior(points, K)
    for a, b in ((p, q), (p, exact), (q, exact)):
        assert np.abs(a - b).mean() < 1e-2 and np.quantile(np.abs(a - b), 0.99) < 2e-2
    w, b = GaussianClassifier().fit(X, y).log_odds(1, 0)
    np.testing.assert_allclose(w, np.linalg.solve(COVARIANCE, MEANS[1] - MEANS[0]), atol=0.1)


def test_a_linear_model_is_wrong_where_the_covariances_differ():
    """N(0, 1) inside N(0, 16): the line cannot tell, the full model does. Six deviations apart: 1e-9."""
    rng = np.random.default_rng(13)
    y = rng.integers(2, size=4000)
    X = rng.standard_normal((4000, 2)) * np.where(y == 1, 4.0, 1.0)[:, None]
    full, line = (model.fit(X, y).score(X, y) for model in (GaussianClassifier("full"), LogisticRegression()))
    assert full > 0.85 and line < 0.6


def test_efficiency_is_that_of_efron():
    """Means 3 sd apart: the generative fit errs 0.641 times as much beyond the best (Efron 1975, table 1).

    The formula behind the table is evaluated here; 80 fits give the ratio to about 0.08, and the tolerance
    is four times that.
    """
    bench = load_bench()
    for separation, efficiency in bench.EFRON.items():
        integral, _ = integrate.quad(
            lambda x, d=separation: math.exp(-0.5 * x * x) / math.cosh(0.5 * d * x), -30, 30
        )
        formula = (1 + separation**2 / 4) * math.exp(-(separation**2) / 8) / math.sqrt(2 * math.pi) * integral
        assert efficiency == pytest.approx(formula, abs=5e-4)
    assert bench.efficiency(3.0, 1000, 80) == pytest.approx(0.641, abs=0.3)


def load_bench():
    spec = importlib.util.spec_from_file_location("bench_classifiers", ROOT / "bench" / "classifiers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _root_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))  # bench/ is not installed


def test_the_bench_prints_its_tables(capsys):
    bench = load_bench()
    bench.main(["--seeds", "1", "--efron-seeds", "3", "--sizes", "300", "3000"])
    out = capsys.readouterr().out
    assert out.count("shared to discriminative") == len(bench.PROBLEMS) and "Efron" in out


# ── use


def test_labels_of_any_kind_that_sorts():
    X, y = rows(60, 2, seed=14)
    for names in (["no", "yes"], [False, True], [-3.5, 0.25], [7, 3000]):
        labels = np.array(names)[y]
        for model in (GaussianClassifier(), LogisticRegression(weight_decay=0.01)):
            model.fit(X, labels)
            assert model.classes_.tolist() == names
            assert set(model.predict(X)) <= set(names) and model.score(X, labels) > 0.6
            w, _ = model.log_odds(names[1], names[0])
            np.testing.assert_array_equal(w, model.log_odds()[0])
            assert (model.decision_function(X) > 0).sum() == (model.predict(X) == names[1]).sum()


def test_parameters_are_scikit_learns():
    model = GaussianClassifier(covariance="full")
    assert model.get_params() == {"covariance": "full", "priors": None, "shrinkage": 0.0}
    assert model.set_params(shrinkage=0.5) is model and model.shrinkage == 0.5
    assert repr(model) == "GaussianClassifier(covariance='full', priors=None, shrinkage=0.5)"
    copy = type(model)(**model.get_params())
    assert copy.get_params() == model.get_params()
    assert SoftmaxRegression().get_params().keys() == LogisticRegression().get_params().keys()
    with pytest.raises(ValueError, match="covariance, priors, shrinkage; received 'ridge'"):
        model.set_params(ridge=1)


MODELS = [GaussianClassifier(), LogisticRegression(), SoftmaxRegression()]


@pytest.mark.rows("model", MODELS)
@pytest.mark.rows(("X", "y", "error", "message"), [
    ([[1.0], [np.nan]], [0, 1], ValueError, "data X holds 1 values that are not finite"),
    ([[1.0], [np.inf]], [0, 1], ValueError, "not finite"),
    ([1.0, 2.0], [0, 1], ValueError, r"a table \(n, p\)"),
    ([[1.0], [2.0]], [0, 1, 1], ValueError, "one label for each of the 2 rows"),
    ([[1.0], [2.0]], [[0], [1]], ValueError, "one label for each"),
    ([[1.0], [2.0]], [1, 1], ValueError, "at least two classes; all labels are 1"),
    ([[1.0], [2.0]], [0.0, np.nan], ValueError, "NaN"),
    ([["a"], ["b"]], [0, 1], TypeError, "real numbers"),
    ([[1.0], [2.0]], np.array([0, "a"], object), TypeError, "one kind that can be sorted"),
])  # fmt: skip
def test_unusable_data_are_refused(model, X, y, error, message):
    with pytest.raises(error, match=message):
        type(model)().fit(X, y)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_an_unfitted_or_otherwise_fitted_model_is_refused(model):
    X, y = rows(50, 2)
    fresh = type(model)()
    for ask in (fresh.predict, fresh.predict_proba, fresh.decision_function):
        with pytest.raises(NotFittedError, match="not fitted yet; call fit"):
            ask(X)
    with pytest.raises(NotFittedError):
        fresh.log_odds()
    fresh.fit(X, y)
    with pytest.raises(ValueError, match="rows of 2 features; received 3"):
        fresh.predict(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="one label for each of the 50"):
        fresh.score(X, y[:-1])
    with pytest.raises(ValueError, match="compares two of 0, 1; received 5, 0"):
        fresh.log_odds(5, 0)


@pytest.mark.rows(("model", "message"), [
    (GaussianClassifier("round"), "shared, diagonal, full; received 'round'"),
    (GaussianClassifier(shrinkage=1.5), r"\[0, 1\]; received 1.5"),
    (GaussianClassifier(priors=[0.5, 0.6]), "2 positive numbers that sum to one"),
    (GaussianClassifier(priors=[1.0, 0.0]), "2 positive numbers"),
    (GaussianClassifier(priors=[0.2, 0.3, 0.5]), "2 positive numbers"),
    (LogisticRegression(weight_decay=-1.0), "weight_decay is a finite number"),
    (LogisticRegression(tolerance=0.0), "tolerance is a finite positive number"),
    (SoftmaxRegression(max_steps=0), "max_steps is a whole number"),
    (SoftmaxRegression(dtype="float16"), "float32 or float64; received 'float16'"),
    (LogisticRegression(weight_decay=True), "weight_decay is a finite number ≥ 0; received True"),
    (LogisticRegression(max_steps=1.5), "max_steps is a whole number ≥ 1; received 1.5"),
    (LogisticRegression(backend="numpy"), "a backend is an object; received 'numpy'"),
    (GaussianClassifier(covariance="Full"), "did you mean 'full'"),
    (GaussianClassifier(shrinkage="a"), "shrinkage is a number"),
])  # fmt: skip
def test_unusable_arguments_are_refused_by_fit(model, message):
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(*rows(50, 2))


def test_what_only_some_can_answer():
    X, y = rows(80, 3)
    with pytest.raises(ValueError, match="two classes apart; received 3, use SoftmaxRegression"):
        LogisticRegression().fit(X, y)
    for kind in ("full", "diagonal"):
        for labels in (y, y % 2):  # with as many classes as features the shapes are those of a shared one
            with pytest.raises(ValueError, match="linear in x where the classes share"):
                GaussianClassifier(kind).fit(X, labels).log_odds(0, 1)
    model = GaussianClassifier("full").fit(X, y)
    before = model.predict_proba(X)
    np.testing.assert_array_equal(model.set_params(covariance="shared").predict_proba(X), before)
    with pytest.raises(ValueError, match="compares two of 0, 1, 2; received None, None"):
        GaussianClassifier().fit(X, y).log_odds()
