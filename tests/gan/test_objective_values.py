"""What is said of V: its value where p = q, its divergence, and the sentence, by quadrature."""

import math
import re

import numpy as np
import pytest
from scipy import stats

from minigan.engine.tensor import constant
from minigan.gan.objectives import OBJECTIVES, Divergence, alpha
from minigan.gan.theory.diagnostics import (
    best_value,
    describe_value,
    generator_at_rest,
    near_rest,
    value_function,
)

ALL = [*OBJECTIVES.values(), *(alpha(α, 1.0) for α in (0.2, 1.0, 3.0, math.inf))]
X = np.linspace(-14.0, 14.0, 1401)
STEP = X[1] - X[0]
P, Q = stats.norm(0.0, 1.0), stats.norm(0.5, 1.2)


def js(p, q):
    m = 0.5 * (p + q)
    return 0.5 * (kl(p, m) + kl(q, m))


def kl(p, q):
    return np.sum(p * np.log(p / q)) * STEP


def pairs(p, q):
    """JS(p×q, q×p) over the plane, where the grid is not fine: the integrand is smooth."""
    p, q, step = p[::5], q[::5], 5 * STEP
    right, wrong = np.outer(p, q), np.outer(q, p)
    m = 0.5 * (right + wrong)
    return 0.5 * np.sum(right * np.log(right / m) + wrong * np.log(wrong / m)) * step * step


def arimoto(α):
    def distance(p, q):
        return α / (α - 1) * (np.sum((p**α + q**α) ** (1 / α)) * STEP - 2 ** (1 / α))

    return distance


TRUE = {  # divergences by their names, from their definitions
    "JS(p, q)": js,
    "∫(p − q)²/(p + q)": lambda p, q: np.sum((p - q) ** 2 / (p + q)) * STEP,
    "TV(p, q)": lambda p, q: 0.5 * np.sum(abs(p - q)) * STEP,
    "W₁(p, q)": lambda p, q: np.sum(abs(P.cdf(X) - Q.cdf(X))) * STEP,
    "JS(p×q, q×p)": pairs,
    "KL(p‖q)": kl,
    "KL(q‖p)": lambda p, q: kl(q, p),
    "KL(p‖q) + KL(q‖p)": lambda p, q: kl(p, q) + kl(q, p),
    "χ²(p‖q)": lambda p, q: np.sum((p - q) ** 2 / q) * STEP,
    "∫(√p − √q)²": lambda p, q: np.sum((np.sqrt(p) - np.sqrt(q)) ** 2) * STEP,
    "Arimoto's divergence of order 0.2": arimoto(0.2),
    "Arimoto's divergence of order 3": arimoto(3.0),
}


def loss_of(o, p, q, a):
    """V of a D that says a at X, by quadrature: of pairs over the plane."""
    if not o.paired:
        a = constant(a)
        return float(np.sum(p * o.real(a).numpy() + q * o.fake(a).numpy()) * STEP)
    p, q, a, step = p[::5], q[::5], a[::5], 5 * STEP
    difference = constant(a[:, None] - a)
    cost = o.real(difference).numpy() + o.fake(-difference).numpy()
    return float(np.sum(np.outer(p, q) * cost) * step * step)


@pytest.mark.rows("o", ALL)
def test_what_is_said_of_a_d_trained_to_the_end_is_what_theory_says(o):
    p, q = P.pdf(X), Q.pdf(X)
    v, true = loss_of(o, p, q, o.optimum(p, q, X)), TRUE[o.divergence.name](p, q)
    assert o.divergence.implied(v) == pytest.approx(true, abs=1e-3)
    masses = [np.append(density * STEP, 0.0) for density in (p, q)]
    assert best_value(o, *masses, X) == pytest.approx(v, abs=1e-3)
    said = describe_value(o, v)
    assert o.divergence.name in said and ("critic" in said) == o.critic
    (number,) = re.findall(r"= (\d+\.\d{4}), the", said)  # JS(p, q) ≥ (ln 4 − V)/2 = 0.0412, the bound
    assert float(number) == pytest.approx(true, abs=1e-3)
    formula = o.divergence.formula.replace("¼", "0.25").replace("−", "-").replace("8 (", "8*(")
    formula = re.sub(r"ln (\d)", lambda found: repr(math.log(int(found[1]))), formula)
    assert eval(formula, {"V": v}) == pytest.approx(true, abs=1e-3)


@pytest.mark.rows("o", ALL)
def test_where_p_is_q_v_has_the_value_that_is_said(o):
    p, d = P.pdf(X), o.divergence
    v = loss_of(o, p, p, o.optimum(p, p, X))
    assert v == pytest.approx(d.at_rest, abs=1e-3) and near_rest(o, d.at_rest - v, 1e-3)
    masses = np.append(p * STEP, 0.0)
    assert best_value(o, masses, masses, X) == pytest.approx(d.at_rest, abs=1e-3)
    assert d.implied(d.at_rest) == 0.0 == d.implied(d.at_rest + 0.1)  # worse than a coin
    assert math.copysign(1.0, d.implied(d.at_rest + 0.1)) == 1.0
    for slip in (-1e-6, 1e-6, 0.1):
        assert not re.search(r"[-−]0\.0000", describe_value(o, d.at_rest + slip))
    assert f"({d.level_in_full} when it cannot tell)" in describe_value(o, v)
    if o.theorem == "stationary":  # one best D, so G too has one value
        a = constant(np.array([[0.5 if o.name == "least_squares" else 0.0]]))
        assert generator_at_rest(o) == pytest.approx(o.generator(a).item(), abs=1e-12)


@pytest.mark.rows("o", ALL)
def test_apart_the_divergence_is_the_largest_there_is(o):
    x = np.linspace(-5.0, 5.0, 1001)
    p, q = np.zeros(1002), np.zeros(1002)
    p[100:200], q[700:800] = 0.01, 0.01  # 6 apart
    v, d = best_value(o, p, q, x), o.divergence
    if math.isfinite(d.largest):
        assert d.implied(v) == pytest.approx(d.largest, abs=0.01 if o.paired else 1e-9)
        assert d.implied(v - 1.0) == d.largest  # a sample's V may go beyond
    elif o.critic:
        assert d.implied(v) == pytest.approx(6.0, abs=1e-3)
    else:
        assert v is None  # no lower bound


@pytest.mark.rows("o", ALL)
def test_v_of_logits_is_the_objectives_own_loss(o):
    u = (np.arange(40_000) + 0.5) / 40_000
    a, b = (0.3 * distribution.ppf(u) for distribution in (P, Q))
    b = np.random.default_rng(0).permutation(b)
    assert value_function(a, b, o) == pytest.approx(
        loss_of(o, P.pdf(X), Q.pdf(X), 0.3 * X), rel=2e-4, abs=5e-3 if o.paired else 1e-3
    )


def test_pairs_need_as_many_of_both():
    with pytest.raises(ValueError, match="compares pairs; received 3 real and 2 generated"):
        value_function(np.zeros(3), np.zeros(2), "relativistic")


def test_what_lies_outside_the_bins_leaves_the_best_critic_unknown():
    p, q = np.array([0.5, 0.4, 0.1]), np.array([0.5, 0.5, 0.0])
    assert best_value("wasserstein", p, q, np.array([0.0, 1.0])) is None
    assert best_value("minimax", p, q, np.array([0.0, 1.0])) < 2 * math.log(2)


def test_a_bound_on_packs_says_so():
    assert "JS(p, q) of packs of 2 rows ≥" in describe_value("minimax", 1.0, packing=2)


def test_near_is_a_share_of_the_range_an_objective_has():
    assert near_rest("minimax", 0.03, 0.03) and not near_rest("minimax", 0.031, 0.03)
    assert near_rest("least_squares", 0.005, 0.03) and not near_rest("least_squares", 0.006, 0.03)
    assert near_rest("kl", 0.03, 0.03) and not near_rest("wasserstein", 0.031, 0.03)


def test_formulas_are_short():
    assert Divergence("", 2 * math.log(2), 2.0).formula == "(ln 4 − V)/2"
    assert [OBJECTIVES[name].divergence.formula for name in ("least_squares", "js", "kl")] == [
        "8 (¼ − V)", "−V/2", "−V",
    ]  # fmt: skip
