"""What the examples show of the theory, beside closed forms and independent routes."""

import importlib.util
import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import minigan as mg

ROOT = Path(__file__).parents[2]
PATHS = {re.sub(r"^[0-9]+_", "", p.stem): p for p in (ROOT / "examples").glob("*.py")}


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", PATHS[name])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_entropies_by_formula_integral_and_values_agree():
    """[T1], [T2]. 27 estimates of fixed seeds within 6.5 standard errors: false alarm below 1e-8."""
    seen = load("information_and_entropy").main(n=20_000, figure=None)
    for (distribution, sd), (formula, integral, (mean, error)) in seen.items():
        oracle = {"normal": stats.norm(0, sd), "Laplace": stats.laplace(0, sd / math.sqrt(2)),
                  "uniform": stats.uniform(0, sd * math.sqrt(12))}[distribution]  # fmt: skip
        assert formula == pytest.approx(float(oracle.entropy()), abs=1e-12)
        assert integral == pytest.approx(formula, abs=1e-9)
        assert abs(mean - formula) <= 6.5 * error + 1e-9


def test_divergences_are_those_of_the_formulas():
    """[T3] to [T7]; KS of 10 000 values within the DKW bound 2 · sqrt(ln(2 · 10⁷)/2n) of the exact one."""
    found = load("kl_js_ks").main(figure=None)
    assert found["KL(p‖q)"] == pytest.approx(math.log(2) + (1 + 1 - 4) / 8, abs=1e-10)
    assert found["KL(q‖p)"] == pytest.approx(-math.log(2) + (1 + 4 - 1) / 2, abs=1e-10)
    assert 0 < found["JS(p, q)"] < math.log(2)
    x = np.linspace(-15, 15, 100_001)
    exact = np.abs(stats.norm(0, 1).cdf(x) - stats.norm(1, 2).cdf(x)).max()
    assert abs(found["KS"] - exact) < 2 * math.sqrt(math.log(2e7) / 20_000)


def test_a_discriminator_learns_d_star():
    """[T15]: from about a tenth away to a hundredth, for generators far, near and equal."""
    distances = load("d_against_d_star").main(steps=400, batch=256, looks=4, figure=None)
    assert distances.shape == (4, 3)
    assert (distances[-1] < 0.02).all() and (distances[0] > 2 * distances[-1]).all()


def test_the_implied_js_is_a_lower_bound_that_training_tightens():
    """[T16]: V by quadrature is never below its minimum, whatever D."""
    implied, js = load("v_and_js").main(lengths=(2, 30, 300), batch=256, figure=None)
    assert (implied <= js + 1e-9).all()
    gaps = (js - implied).mean(axis=1)
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.005


@pytest.mark.rows(("name", "exact"), [
    ("kl", lambda d: d * d / 2), ("reverse_kl", lambda d: d * d / 2), ("jeffrey", lambda d: d * d),
    ("pearson", lambda d: math.expm1(d * d)), ("wasserstein", lambda d: d),
    ("squared_hellinger", lambda d: 2 - 2 * math.exp(-d * d / 8)),
    ("total_variation", lambda d: math.erf(d / math.sqrt(8))),
    ("hinge", lambda d: 2 * math.erf(d / math.sqrt(8))),
])  # fmt: skip
def test_costs_of_parting_are_known(name, exact):
    """Closed forms for N(0, 1) and N(d, 1); curves with kinks to what a grid can resolve."""
    zoo = load("divergence_zoo")
    for d in (0.1, 1.0, 2.5):
        assert zoo.cost(mg.OBJECTIVES[name], d) == pytest.approx(exact(d), rel=2e-3)


@pytest.mark.parametrize("name", ["kl", "reverse_kl", "js"])
def test_a_generator_against_d_star_comes_to_the_closest_distribution(name):
    """Steps against D* end where a direct search for the least divergence ends."""
    from minigan.models.likelihood import closest_normal

    zoo = load("divergence_zoo")
    distribution = mg.parse(zoo.TARGET)
    found, expected = (
        zoo.in_theory(mg.OBJECTIVES[name], distribution, 1000),
        closest_normal(name, distribution).distribution,
    )
    np.testing.assert_allclose(found, (expected.mean, expected.sd), atol=1e-4)
    if name == "kl":  # [T12]: the moments of the data
        np.testing.assert_allclose(found, (distribution.mean, distribution.sd), atol=1e-6)


def test_two_models_of_the_same_rows_end_at_the_exact_log_odds(capsys):
    """[T10], [T11]: accuracies as printed, those of two fits beside that of the exact line."""
    load("generative_and_discriminative").main(figure=None)
    out = capsys.readouterr().out
    exact, *fitted = (float(share) for share in re.findall(r"accuracy ([\d.]+)%$", out, re.MULTILINE))
    assert len(fitted) == 2 and all(abs(share - exact) < 1 for share in fitted)
    (rows,) = re.findall(r"makes new rows: (.*)", out)
    assert len(re.findall(r"\[[^]]+\]", rows)) == 3
    (log_p,) = re.findall(r"ln p\(x\) = (-\d+)", out)
    assert float(log_p) < -1000


def test_three_ways_to_the_most_likely_normal_distribution():
    """[T12], [T13]: formula, gradients and a game end at the mean and sd of the data; KL(q‖p) at a mode."""
    found = load("maximum_likelihood").main(steps=1200)
    fit = found["maximum likelihood, closed form"]
    assert -2 < fit.mean < 2 and fit.sd > 1.8  # between the modes, over both
    for name, bound in {
        "maximum likelihood, by the engine": 1e-3, "a GAN that plays for the KL": 0.2,
        "least KL(p‖q), exactly": 0.1,
    }.items():  # fmt: skip
        assert abs(found[name].mean - fit.mean) < bound and abs(found[name].sd - fit.sd) < bound, name
    mode = found["least KL(q‖p), exactly"]
    assert abs(mode.mean - 2) < 0.1 and abs(mode.sd - 0.8) < 0.1
