"""Objectives: the theorem each one claims, its divergence by quadrature, the cross-entropy in both tails."""

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

from minigan.engine.autodiff import grad
from minigan.engine.capture import capture
from minigan.engine.gradcheck import check_grads
from minigan.engine.primitives import softplus, square
from minigan.engine.tensor import Tensor, constant, variable
from minigan.gan.objectives import OBJECTIVES, Objective, bce_with_logits


# ── the theorem ───────────────────────────────────────────────────────────────────────────────────
def check_theorem(o, backend):
    """At a* the pointwise loss p·real(a) + q·fake(a) is stationary, not beaten nearby, and as claimed."""
    rng = np.random.default_rng(0)
    p, q = np.exp(rng.uniform(math.log(1e-3), math.log(10.0), (2, 100, 1)))

    def loss(a):
        return constant(backend.array(p)) * o.real(a) + constant(backend.array(q)) * o.fake(a)

    best = o.optimum(p, q)
    a = variable(backend.array(best))
    (slope,) = grad(loss(a), [a])
    np.testing.assert_allclose(slope.numpy(), 0.0, atol=1e-13)
    np.testing.assert_allclose(loss(a).numpy(), o.value(p, q), rtol=1e-12)
    for shift in (-3.0, -0.1, 0.1, 3.0):
        assert (loss(constant(backend.array(best + shift))).numpy() > loss(a).numpy()).all(), (
            f"a* + {shift} is better"
        )


LEAST_SQUARES = Objective(  # another family, to show that the test is not about logarithms
    "least_squares", lambda a: square(a - 1.0), square, lambda a: square(a - 1.0),
    optimum=lambda p, q: p / (p + q), value=lambda p, q: p * q / (p + q),
    formula="", source="Mao et al. 2017, section 3.2",
)  # fmt: skip


@pytest.mark.parametrize("o", [*OBJECTIVES.values(), LEAST_SQUARES], ids=lambda o: o.name)
def test_theorem(o, backend):
    check_theorem(o, backend)


MINIMAX = OBJECTIVES["minimax"]
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
}


@pytest.mark.parametrize("name", WRONG)
def test_the_theorem_rejects(name, backend):
    with pytest.raises(AssertionError):
        check_theorem(WRONG[name], backend)


# ── the divergence ────────────────────────────────────────────────────────────────────────────────
def jensen_shannon(p, q, low, high):
    """JS by adaptive quadrature, in nats."""

    def integrand(x):
        a, b = p.pdf(x), q.pdf(x)
        m = 0.5 * (a + b)
        return 0.5 * ((a * math.log(a / m) if a > 0 else 0.0) + (b * math.log(b / m) if b > 0 else 0.0))

    return integrate.quad(integrand, low, high, limit=500, epsabs=1e-13, epsrel=1e-12)[0]


@pytest.mark.parametrize("o", OBJECTIVES.values(), ids=lambda o: o.name)
@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (1.5, 0.7), (4.0, 1.25), (-6.0, 0.3)])
def test_the_integral_of_the_value_is_ln_4_minus_2_js(o, mean, sd):
    p, q = stats.norm(0.0, 1.0), stats.norm(mean, sd)
    x = np.linspace(-60.0, 60.0, 120_001)  # so far out that both densities are 0 in float64
    integral = np.trapezoid(o.value(p.pdf(x), q.pdf(x)), x)
    assert integral == pytest.approx(math.log(4.0) - 2.0 * jensen_shannon(p, q, -12.0, 12.0), abs=1e-10)


def test_disjoint_laws_have_value_zero_and_undecided_points_none():
    """JS = ln 2 there, so ln 4 − 2 JS = 0."""
    p, q = np.array([2.0, 0.0, 0.0, 1.0]), np.array([0.0, 3.0, 0.0, 1.0])
    np.testing.assert_allclose(MINIMAX.value(p, q), [0.0, 0.0, 0.0, math.log(4.0)], atol=1e-15)
    np.testing.assert_array_equal(MINIMAX.optimum(p, q), [math.inf, -math.inf, math.nan, 0.0])


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


@pytest.mark.parametrize("o", OBJECTIVES.values(), ids=lambda o: o.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_curves_are_finite_at_any_logit_and_keep_dtype(o, dtype, backend):
    a = variable(backend.array(np.array([-1e4, -100.0, 0.0, 100.0, 1e4], dtype)))
    for curve in (o.real, o.fake, o.generator):
        y = curve(a)
        (slope,) = grad(y, [a], create_graph=True)
        (curvature,) = grad(slope, [a])
        for t in (y, slope, curvature):
            assert t.dtype == dtype and np.isfinite(t.numpy()).all()


@pytest.mark.parametrize("o", OBJECTIVES.values(), ids=lambda o: o.name)
def test_every_objective_names_itself(o):
    assert OBJECTIVES[o.name] is o
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


@pytest.mark.parametrize("label", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_bce_against_mpmath(backend, exact, label, as_tensor):
    """Relative, in both tails: at a = 100 and t = 1 it is e⁻¹⁰⁰, not 0."""
    a = variable(backend.array(np.array(LOGITS)))
    t = Tensor(backend.array(np.full(len(LOGITS), label))) if as_tensor else label
    loss = bce_with_logits(a, t)
    value, slope = exact[label]
    np.testing.assert_allclose(loss.numpy(), value, rtol=1e-14, atol=1e-307)
    np.testing.assert_allclose(grad(loss, [a])[0].numpy(), slope, rtol=1e-14, atol=1e-307)


@pytest.mark.parametrize("label", [0.0, 0.3, 1.0])
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


@pytest.mark.parametrize("label", [-1e-9, 1.0 + 1e-9, 2, -1, float("nan"), float("inf")])
def test_labels_outside_0_and_1_are_refused(backend, label):
    a = Tensor(backend.array(np.zeros((3, 1))))
    with pytest.raises(ValueError, match=r"a label is a probability in \[0, 1\]; received"):
        bce_with_logits(a, label)
    with pytest.raises(ValueError, match=r"labels are probabilities in \[0, 1\]; received values from"):
        bce_with_logits(a, Tensor(backend.array(np.array([[0.0], [label], [1.0]]))))


@pytest.mark.parametrize("shape", [(3,), (1, 3), (1, 1), (2, 3, 1)])
def test_labels_of_another_shape_are_refused(backend, shape):
    """Broadcasting (B, 1) with (B,) would average B² wrong pairs without a word."""
    with pytest.raises(ValueError, match=r"logits of shape \(3, 1\) need labels of the same shape"):
        bce_with_logits(Tensor(backend.array(np.zeros((3, 1)))), Tensor(backend.array(np.zeros(shape))))
