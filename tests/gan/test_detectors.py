"""Detectors: measures against closed forms, rules on made-up rows, and a real run that fails in each way."""

import math
import re

import numpy as np
import pytest

from minigan.gan import detectors
from minigan.gan.detectors import (
    ASSUMED,
    DETECTORS,
    REMEDIES,
    Finding,
    diagnose,
    remedy,
    separation,
    spread,
    spread_axes,
)
from minigan.gan.objectives import OBJECTIVES
from minigan.training.config import Config, fields, flatten
from minigan.training.experiment import Experiment
from minigan.training.metrics import Observer, expected_modes, next_evaluation
from minigan.training.settings import resolve

# ── measures ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.rows(
    ("real", "fake", "expected"),
    [
        ([1, 2], [-1, 0], 1.0),
        ([-1, 0], [1, 2], 0.0),
        ([3, 3, 3], [3], 0.5),
        ([0, 2], [1], 0.5),
        ([[1.0], [2.0]], [[1.0], [0.0], [5.0]], (1 / 3 + 0.5 / 3 + 2 / 3) / 2),
    ],
)
def test_separation_counts_pairs(real, fake, expected):
    assert separation(np.array(real), np.array(fake)) == pytest.approx(expected, abs=1e-15)


def test_separation_is_mann_and_whitneys_u():
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(0)
    for n, m in ((5, 9), (200, 30)):
        real, fake = rng.integers(0, 7, n) / 2, rng.integers(0, 6, m) / 2  # with ties
        assert separation(real, fake) == pytest.approx(
            mannwhitneyu(real, fake).statistic / (n * m), rel=1e-12
        )


def test_separation_of_two_normal_distributions_is_known():
    """P(x > y) = Φ(δ/√2) for N(δ, 1) and N(0, 1); 6 standard errors of at most ½/√n: 2e-9."""
    rng, n = np.random.default_rng(1), 40_000
    for shift in (0.0, 1.0, -2.0):
        found = separation(rng.normal(shift, 1, n), rng.normal(0, 1, n))
        assert found == pytest.approx(0.5 * math.erfc(-shift / 2), abs=6 * 0.5 / math.sqrt(n))


def test_separation_does_not_ask_what_a_logit_is():
    rng = np.random.default_rng(2)
    real, fake = rng.normal(0.3, 1, 500), rng.normal(0, 1, 400)
    for bend in (np.tanh, np.exp, lambda a: 1e9 * a - 7):
        assert separation(bend(real), bend(fake)) == pytest.approx(separation(real, fake), abs=1e-15)


def test_nothing_to_rank_is_refused():
    with pytest.raises(ValueError, match="empty"):
        separation(np.empty(0), np.ones(3))


def test_spread_is_the_least_ratio_of_deviations():
    """Of Gaussians with a common rotation it is the least ratio; of 10⁵ values known to 1/√(2n) = 0.2 %."""
    rng, angle = np.random.default_rng(3), 0.7
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    real = rng.normal(size=(100_000, 2)) * [3.0, 1.0] @ turn + [50, -9]
    made = rng.normal(size=(100_000, 2)) * [3.3, 0.2] @ turn
    assert spread(made, spread_axes(real)) == pytest.approx(0.2, rel=0.02)
    assert spread(real, spread_axes(real)) == pytest.approx(1.0, rel=1e-9)


def test_spread_sees_a_thin_line_in_any_direction():
    rng = np.random.default_rng(4)
    real = rng.normal(size=(5000, 2))
    axes = spread_axes(real)
    for angle in np.linspace(0, math.pi, 7):
        line = rng.normal(size=(1000, 1)) * [[math.cos(angle), math.sin(angle)]]
        assert spread(line, axes) < 1e-6
    assert spread(np.ones((100, 2)), axes) == 0 and spread(1e200 * real, axes) == math.inf


def test_spread_ignores_units_faint_axes_and_constant_features():
    rng = np.random.default_rng(5)
    real = np.column_stack([1e6 * rng.normal(size=1000), 1e-6 * rng.normal(size=1000), np.full(1000, 3.0)])
    real = np.column_stack([real, real[:, 0] + 1e3 * rng.normal(size=1000)])  # twice the same, but for noise
    axes = spread_axes(real)
    assert axes.shape == (4, 2)
    assert spread(real, axes) == pytest.approx(1, rel=1e-9)
    half = real.mean(axis=0) + 0.5 * (real - real.mean(axis=0))
    assert spread(half + [0, 0, 5, 0], axes) == pytest.approx(0.5, rel=1e-9)


@pytest.mark.rows("rows", [np.ones((5, 2)), np.ones(5), np.ones((1, 2)), np.empty((0, 1))])
def test_spread_of_nothing_is_refused(rows):
    with pytest.raises(ValueError, match="two rows"):
        spread_axes(rows)


# ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────

GOOD = {
    "d_loss": 1.386, "g_loss": 0.693, "w1": 0.02, "ks_p": 0.4, "spread": 1.0, "d_auc": 0.5, "modes": 8,
    "grad_norm_g": 0.05,
}  # fmt: skip
STEPS = (0, 4, 20, 100, 200, 400, 600, 700, 800, 900, 1000)
TOLD = {"ks_p": 1e-9}
FAILING = {  # what the rows of each failure say
    "diverged": {**TOLD, "d_loss": math.nan},
    "D saturated": {"d_auc": 0.999},
    "vanishing G gradient": {"d_auc": 0.999, "grad_norm_g": 1e-5},
    "collapse": {**TOLD, "spread": 0.1},
    "modes missing": {**TOLD, "modes": 5},
    "not arrived": {**TOLD, "w1": 3.0},
}


def course(since=None, changes=None, until=None, **first):
    """A good run, with other numbers between two steps."""
    rows = [{"step": step, **GOOD} for step in STEPS]
    rows[0] |= {
        "d_loss": None,
        "g_loss": None,
        "grad_norm_g": 0.0,
        "w1": 0.8,
        "ks_p": 0.0,
        "spread": 0.1,
    } | first
    rows[1] |= {"grad_norm_g": 0.5}
    for row in rows:
        if since is not None and since <= row["step"] <= (until or 1000):
            row |= changes
    return rows


def names(rows, modes=8, **settings):
    return [finding.name for finding in diagnose(rows, settings, modes)]


def test_a_good_run_has_no_findings():
    assert diagnose(course()) == () and names(course()) == []


@pytest.mark.rows("name", FAILING)
def test_each_failure_is_named_with_its_step_its_numbers_and_a_remedy(name):
    found = diagnose(course(200, FAILING[name]), modes=8)
    finding = found[-1]
    assert finding.name == name and finding.since_step == 200
    assert finding.evidence.endswith(".") and finding.evidence[0].isupper() and "nan" not in finding.evidence
    assert "--set " in finding.remedy and finding.remedy == remedy(name)
    assert [f.name for f in found[:-1]] == (["D saturated"] if name.startswith("vanishing") else [])
    assert finding.as_dict() == {
        "name": name, "since_step": 200, "evidence": finding.evidence, "remedy": finding.remedy,
    }  # fmt: skip


@pytest.mark.rows("name", FAILING)
def test_a_passing_phase_is_no_failure(name):
    if name != "diverged":
        assert names(course(0, FAILING[name], until=700)) == []  # it got better
    assert names(course(900, FAILING[name])) == []  # two evaluations are not yet a finding
    once = course(200, FAILING[name])
    once[-2] |= GOOD
    assert names(once) == []


@pytest.mark.rows("name", FAILING)
def test_what_is_missing_shows_nothing(name):
    rows = course(200, FAILING[name])
    for gone in (None, math.nan, "text", [1]):
        quiet = [{key: gone if key not in ("step", "d_loss", "g_loss") else v for key, v in row.items()}
                 for row in rows]  # fmt: skip
        assert names(quiet) == (["diverged"] if name == "diverged" else [])
    assert names([{"step": row["step"], "d_loss": 1.0, "g_loss": 1.0} for row in rows]) == []


@pytest.mark.parametrize("name", ["collapse", "modes missing", "not arrived"])
def test_a_sample_that_no_test_tells_is_not_a_failure(name):
    assert names(course(200, FAILING[name] | {"ks_p": 0.01})) == []


def test_short_runs_and_odd_rows_are_not_diagnosed():
    assert diagnose([]) == () and diagnose([{}]) == ()
    assert names([{**row, "step": row["step"] / 11} for row in course(0, FAILING["collapse"])]) == []
    assert names(course(0, FAILING["collapse"])[-2:]) == []
    assert names([{**row, "step": None} for row in course(0, FAILING["collapse"])]) == []


def test_thresholds_are_where_they_are_said_to_be():
    for name, column, inside, outside in (
        ("collapse", "spread", 0.249, 0.251),
        ("D saturated", "d_auc", 0.9901, 0.9899),
        ("not arrived", "w1", 1.01, 0.99),
        ("modes missing", "modes", 7, 8),
    ):
        assert names(course(200, {**TOLD, column: inside})) == [name]
        assert names(course(200, {**TOLD, column: outside})) == []
    assert "vanishing G gradient" in names(course(200, {"d_auc": 1.0, "grad_norm_g": 0.0049}))
    assert "vanishing G gradient" not in names(course(200, {"d_auc": 1.0, "grad_norm_g": 0.0051}))
    assert names(course(200, FAILING["modes missing"]), modes=None) == []


def test_thrown_far_and_not_back_is_diverged_and_the_rest_is_not_said():
    rows = course(200, {**TOLD, "w1": 1.5, "spread": 0.1, "d_auc": 1.0})
    assert names(rows) == ["D saturated", "collapse"]
    rows[1]["w1"] = 11.0
    assert names(rows) == ["diverged"]
    assert names([{**row, "w1": min(row["w1"], 0.9) if row["step"] > 4 else row["w1"]} for row in rows])[
        0
    ] != ("diverged")  # it came back
    far = course(0, {**TOLD, "w1": 30.0})  # it was there from the start, and never left
    assert names(far) == ["not arrived"]
    heavy = course(200, {**TOLD, "spread": 50.0})
    assert names([{**row, "w1": None} for row in heavy]) == ["diverged"]  # a distribution without a mean


def test_players_that_pass_each_other_circle():
    def swinging(*aucs):
        rows = course(200, {**TOLD, "w1": 0.5})
        for row, auc in zip(rows[::-1], [aucs[k % len(aucs)] for k in range(len(rows))], strict=True):
            row["d_auc"] = auc
        return names(rows)

    assert swinging(0.1, 0.9) == ["G and D circle"] == swinging(0.9, 0.1) == swinging(0.5, 0.6, 0.2, 0.7)
    assert swinging(0.45, 0.6) == []
    assert swinging(0.1) == []  # D has never seen what G makes: it is slow, not circling
    assert swinging(0.9) == []


def test_the_consequence_does_not_hide_its_cause():
    rows = course(200, FAILING["vanishing G gradient"] | FAILING["collapse"] | {"w1": 9.0})
    assert names(rows) == ["D saturated", "vanishing G gradient", "collapse"]  # "not arrived" says no more


# ── remedies ────────────────────────────────────────────────────────────────────────────────────────────────


def settings_of(text):
    return re.findall(r"--set (\S+)", text)


def test_every_detector_has_remedies_and_the_last_always_applies():
    assert list(REMEDIES) == list(DETECTORS)
    for chain in REMEDIES.values():
        assert chain[-1].applies(ASSUMED)


@pytest.mark.rows("name", REMEDIES)
@pytest.mark.rows("sets", [
    (), ("objective=minimax",), ("standardise=false", "r1=0", "r2=0"), ("generator_steps=5",),
    ("objective=wasserstein", "r1=0", "r2=0"), ("discriminator_steps=5",), ("r1=1e30",), ("batch=7",),
    ("generator_optimizer.rate=10",), ("discriminator_optimizer.rate=1", "instance_noise=1", "packing=2"),
    ("schedule.name=constant", "average.name=none", "generator_optimizer.beta1=0.9"),
    ("discriminator.widths=[]", "generator.widths=[]"), ("instance_noise=1e30", "wgan_gp=1e38"),
])  # fmt: skip
def test_every_remedy_can_be_typed_and_changes_something(name, sets):
    config = resolve(environ={}, sets=sets)
    seen = []
    for _ in range(12):
        text = remedy(name, flatten(config))
        changes = settings_of(text)
        assert changes and text.count("--set") == len(changes) and re.match(r"[A-Z][^:]+: --set", text)
        changed = resolve(environ={}, sets=(*sets, *changes))
        if flatten(changed) == flatten(config):
            break
        sets, config = (*sets, *changes), changed
        seen.append(text)
    assert seen, "the first remedy changes nothing"


def test_remedies_follow_the_settings():
    extreme = {"instance_noise": 1e30, "unrolled_rate": 1e9, "wgan_gp": 5.0}
    assert settings_of(remedy("diverged", extreme)) == ["instance_noise=0.5", "unrolled_rate=0.1"]
    assert settings_of(remedy("vanishing G gradient", {"objective": "minimax"})) == [
        "objective=non_saturating"
    ]
    assert settings_of(remedy("D saturated", {"standardise": False})) == ["standardise=true"]
    assert settings_of(remedy("D saturated", {"discriminator_steps": 5})) == ["discriminator_steps=1"]
    assert settings_of(remedy("D saturated", {})) == ["r1=0.5", "r2=0.5"]
    assert settings_of(remedy("D saturated", {"r1": 1.0})) == ["instance_noise=0.5"]
    assert settings_of(remedy("collapse", {"generator_steps": 20})) == ["generator_steps=1"]
    assert settings_of(remedy("diverged", {"objective": "wasserstein"})) == ["wgan_gp=10"]
    assert settings_of(remedy("diverged", {"r1": 1e300})) == ["r1=0.5", "r2=0.5"]
    rates = {"generator_optimizer.rate": 10.0, "discriminator_optimizer.rate": 0.001, "r1": 1.0}
    assert settings_of(remedy("diverged", rates)) == [
        "generator_optimizer.rate=0.005", "discriminator_optimizer.rate=0.001",
    ]  # fmt: skip
    assert settings_of(remedy("not arrived", {"r1": 1.0, "steps": 300})) == ["steps=600"]
    with pytest.raises(ValueError, match="received 'bad luck'"):
        remedy("bad luck")


def test_a_saturating_objective_is_known_by_its_curve():
    """G's loss is flat at a = −20 for those that say ln(1 − D) or exp(a); reverse KL's is straight."""
    flat = {name for name in OBJECTIVES if detectors._saturates({"objective": name})}
    assert flat == {
        "minimax", "kl", "js", "squared_hellinger", "total_variation", "alpha(0.5, 1)",
    }  # fmt: skip
    assert not detectors._saturates({"objective": "unheard of"})


def test_what_is_assumed_has_the_configurations_names_and_types():
    assert ASSUMED.keys() <= fields().keys()
    known = flatten(Config())
    assert all(type(known[name]) is type(value) for name, value in ASSUMED.items())


# ── real runs ───────────────────────────────────────────────────────────────────────────────────────────────

SMALL = ("method=plain", "batch=32", "generator.widths=[8]", "discriminator.widths=[8]", "eval_samples=500")
SHORT = (*SMALL, "steps=180", "eval_every=20")
FREE = ("r1=0", "r2=0")
RAW = ("schedule.name=constant", "average.name=none")
FAR = ("target=normal(30,1)", "standardise=false", "discriminator_steps=3", *FREE)
DIRAC = (*SMALL, "steps=240", "eval_every=20", *RAW)
RUNS = {  # (preset, settings) that make each failure
    "diverged": (None, (*SHORT, "generator_optimizer.rate=10", "discriminator_optimizer.rate=10")),
    "D saturated": (None, (*SHORT, *FAR)),
    "vanishing G gradient": (
        None, (*SMALL, "steps=240", "eval_every=30", *FAR, "objective=minimax", "seed=1")
    ),
    "collapse": (
        None,
        (*SHORT, *FREE, *RAW, "target=0.5*normal(-3,0.3)+0.5*normal(3,0.3)", "generator_steps=15"),
    ),
    "modes missing": (None, (*SHORT, "target=ring(8,1,0.01)")),
    "G and D circle": ("dirac-gan", (*DIRAC, "generator.widths=[]", "discriminator.widths=[]")),
    "not arrived": (
        None,
        (*SHORT, "target=normal(30,1)", "standardise=false", "generator_optimizer.rate=0.001",
         "discriminator_optimizer.rate=0.001", "seed=3"),
    ),
}  # fmt: skip


def findings(preset, *sets):
    """Train as the command line does, and diagnose."""
    experiment = Experiment(resolve(preset, environ={}, sets=sets))
    observer, c = Observer(experiment), experiment.config
    with np.errstate(all="ignore"):
        rows = [observer.row(0.0)]
        while experiment.step < c.steps:
            experiment.advance(next_evaluation(experiment.step, c.eval_every, c.steps) - experiment.step - 1)
            observer.remember()
            experiment.advance(1)
            rows.append(observer.row(0.0))
    return diagnose(rows, flatten(c), expected_modes(experiment))


@pytest.fixture(scope="module")
def failed():
    """The findings of each failing run; which seeds collapse hangs on the last bits, so one is sought."""
    found = {name: findings(preset, *sets) for name, (preset, sets) in RUNS.items() if name != "collapse"}
    preset, sets = RUNS["collapse"]
    for seed in (5, *range(20)):
        found["collapse"] = findings(preset, *sets, f"seed={seed}")
        if "collapse" in {finding.name for finding in found["collapse"]}:
            RUNS["collapse"] = preset, (*sets, f"seed={seed}")
            break
    return found


@pytest.mark.parametrize("name", DETECTORS)
def test_a_real_run_fails_in_each_way_and_is_told_so(failed, name):
    found = {finding.name: finding for finding in failed[name]}
    assert name in found, found
    assert isinstance(found[name], Finding) and 0 <= found[name].since_step <= 140


@pytest.mark.parametrize(
    "name", ["diverged", "D saturated", "vanishing G gradient", "collapse", "G and D circle"]
)
def test_the_first_remedy_tried_once_ends_the_failure(failed, name):
    preset, sets = RUNS[name]
    assert findings(preset, *sets, *settings_of(failed[name][0].remedy)) == ()


@pytest.mark.parametrize("seed", range(2))
def test_the_default_is_silent(seed):
    assert findings(None, *SMALL, "steps=240", "eval_every=30", f"seed={seed}") == ()


@pytest.mark.parametrize("preset", ["saturating", "hinge", "wgan-clip", "packing", "dirac-r1"])
def test_other_objectives_are_not_misread(preset):
    """Their logits are no log-odds, or D judges several at once."""
    size = DIRAC if preset == "dirac-r1" else (*SMALL, "steps=240", "eval_every=30")
    widths = ("generator.widths=[]", "discriminator.widths=[]") if preset == "dirac-r1" else ()
    assert findings(preset, *size, *widths) == ()
