"""What is read off a run: fixed columns, numbers that agree with their definitions, frames of densities."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from minigan.errors import CheckpointError, DivergedError
from minigan.evaluation.classifier_test import classifier_two_sample_test
from minigan.evaluation.modes import modes_of
from minigan.evaluation.two_sample import ks_one_sample, ks_two_sample, wasserstein1_to
from minigan.evaluation.verdict import judge_two_sample
from minigan.gan.theory.diagnostics import LN4, implied_js, value_function
from minigan.probability import Normal, StudentT
from minigan.training import metrics
from minigan.training.curves import BINS, PLANE
from minigan.training.data import Data
from minigan.training.experiment import Experiment
from minigan.training.metrics import (
    LAST,
    MAX_FRAMES,
    Observer,
    expected_modes,
    verdict,
    with_classifier,
)
from minigan.training.saved import read_verdict
from minigan.training.settings import resolve

TINY = (
    "method=plain",
    "generator.widths=[5]",
    "discriminator.widths=[6,5]",
    "batch=8",
    "steps=60",
    "eval_samples=200",
)
COLUMNS = (
    "step", "seconds", "d_loss", "g_loss", "value_fn", "implied", "value_optimal", "d_real", "d_fake",
    "d_auc", "ks", "ks_p", "w1", "js", "mean", "sd", "spread", "modes", "hq", "reverse_kl", "grad_norm_d",
    "update_ratio_d", "grad_norm_g", "update_ratio_g", "rate_factor",
)  # fmt: skip


def table(rows, features=1):
    values = np.random.default_rng(0).normal(3.0, 2.0, (rows, features))
    return Data(values, tuple(f"x{j}" for j in range(features)), (), "table.csv")


def observer(*sets, data=None):
    return Observer(Experiment(resolve(environ={}, sets=(*TINY, *sets)), data=data))


def advance(ours, steps):
    """Train as the trainer does: the parameters before the last step are remembered."""
    ours.experiment.advance(steps - 1)
    ours.remember()
    ours.experiment.advance(1)


CASES = {
    "a distribution": ((), None),
    "two latent numbers": (("latent.size=2",), None),
    "a distribution without sd": (("target=student(1.5)",), None),
    "a distribution without mean": (("target=student(0.5)",), None),
    "bounded": (("target=uniform(0,1)", "dtype=float64"), None),
    "another unit": (("target=normal(0, 1e-20)",), None),
    "small data": ((), table(30)),
    "two rows": ((), table(2)),
    "split data": ((), table(700)),
    "features": ((), table(700, 3)),
    "a mixture": (("target=0.5*normal(-2,1)+0.5*normal(2,1)",), None),
    "a ring": (("target=ring(8,1,0.01)",), None),
    "a spiral": (("target=spiral(1,0.1)",), None),
}
PLANAR = ("a ring", "a spiral")


@pytest.fixture(params=CASES, scope="module")
def watched(request):
    """An observer after 12 steps, with its rows at 0, 5 and 12."""
    sets, data = CASES[request.param]
    ours = observer(*sets, data=data)
    rows = [ours.row(0.0)]
    for steps in (5, 7):
        advance(ours, steps)
        rows.append(ours.row(1.23456))
    return request.param, ours, rows


def test_columns_are_fixed_and_their_values_finite(watched):
    case, _, rows = watched
    several = {"value_optimal", "mean", "sd"}
    absent = {"a distribution without mean": {"w1"}}.get(
        case, several if case in ("features", *PLANAR) else set()
    )
    if case not in ("a mixture", "a ring"):
        absent = absent | {"modes", "hq", "reverse_kl"}
    for row in rows:
        assert tuple(row) == COLUMNS
        for name, value in row.items():
            if name in absent:
                assert value is None, name
            elif row["step"] == 0 and name in ("d_loss", "g_loss"):
                assert math.isnan(value)  # nothing was minimised yet
            else:
                assert type(value) in (int, float) and math.isfinite(value), name
    assert [row["step"] for row in rows] == [0, 5, 12] and rows[1]["seconds"] == 1.235


def test_values_are_in_their_ranges(watched):
    _, _, rows = watched
    for row in rows:
        assert 0 < row["d_real"] < 1 and 0 < row["d_fake"] < 1 and row["value_fn"] > 0
        assert 0 <= row["ks"] <= 1 and 0 <= row["ks_p"] <= 1 and 0 <= row["js"] <= math.log(2)
        assert row["w1"] is None or row["w1"] > 0
        assert 0 <= row["d_auc"] <= 1 and row["spread"] > 0
        assert row["implied"] == max(0.0, implied_js(row["value_fn"])) <= math.log(2)
        assert row["value_optimal"] is None or -1e-12 <= row["value_optimal"] <= LN4
        assert 0 < row["rate_factor"] <= 1


def test_no_motion_before_the_first_step_and_some_after(watched):
    _, _, rows = watched
    for name in ("grad_norm_d", "grad_norm_g", "update_ratio_d", "update_ratio_g"):
        assert rows[0][name] == 0 and rows[1][name] > 0


def test_frames_are_densities_beside_d(watched):
    case, ours, rows = watched
    frames = ours.frames
    if case in (*PLANAR, "features"):
        e, sample = ours.experiment, ours.experiment.sample(1000, ours.experiment.step)
        assert frames["step"].tolist() == [0, 5, 12] and frames["pair"].tolist() == [0, 1]
        assert frames["cloud"].shape == (3, 200, 2) and len(set(frames["cloud"][:, 0, 0])) == 3
        assert np.array_equal(frames["cloud"][2], sample[:200, :2])
    if case == "features":
        assert frames.keys() == {"step", "pair", "cloud"}
        return
    if case in PLANAR:
        x, y, d = (frames.pop(f"plane_{name}") for name in "xyd")
        assert frames["field"].shape == (3, 32, 32) and frames["field"][2, 0, 0] == pytest.approx(d[0, 0])
        assert d.shape == (PLANE, PLANE) and (0 < d).all() and (d < 1).all()
        for i, j in ((0, 0), (5, 70), (119, 3)):  # a row for each y
            assert d[i, j] == pytest.approx(1 / (1 + math.exp(-e.logits(np.array([[x[j], y[i]]])).item())))
        inside = (e.held_out > [x[0], y[0]]) & (e.held_out < [x[-1], y[-1]])
        assert inside.all() and x[-1] - x[0] == pytest.approx(y[-1] - y[0])
        return
    assert frames["edges"].shape == (BINS + 1,) and frames["p"].shape == (BINS,)
    for name in ("q", "average", "d"):
        assert frames[name].shape == (len(rows), BINS)
    assert frames["step"].dtype == np.int64 and frames["step"].tolist() == [0, 5, 12]
    width = np.diff(frames["edges"])
    assert (width > 0).all()
    mass = {"a distribution without sd": 0.97, "a distribution without mean": 0.75}.get(case, 0.999)
    if case not in ("small data", "two rows"):  # a kernel density of few rows has tails beyond the bins
        assert mass < frames["p"] @ width < 1 + 1e-3
    for name in ("q", "average"):
        assert (frames[name] >= 0).all() and (frames[name] @ width < 1 + 1e-3).all()
        near = (
            0.5 if case == "two rows" else 0.9
        )  # a fresh generator stays near the data, if they have a width
        assert (frames[name] @ width > near).all()
    assert ((frames["d"] > 0) & (frames["d"] < 1)).all()


def test_frames_of_several_features_go_on_from_a_checkpoint():
    sets, data = CASES["a ring"]
    ours, again = observer(*sets, data=data), observer(*sets, data=data)
    ours.row(0.0)
    memory = ours.memory()
    again.restore(memory)
    assert all(np.array_equal(again.frames[name], array) for name, array in ours.frames.items())
    for bad in (memory | {"cloud": memory["cloud"][:, 1:]}, {"step": memory["step"]}):
        with pytest.raises(CheckpointError, match="not those of this experiment"):
            again.restore(bad)


def test_distances_are_those_of_the_averaged_generator():
    ours = observer("average.name=ema", "average.start=0")
    advance(ours, 20)
    row, e = ours.row(0.0), ours.experiment
    x = e.sample(200, 20)[:, 0]
    assert (
        row["ks"] == ks_one_sample(x, e.distribution).statistic
        and row["ks_p"] == ks_one_sample(x, e.distribution).pvalue
    )
    assert row["w1"] == wasserstein1_to(x, e.distribution) / 1.25
    assert row["mean"] == x.mean() and row["sd"] == x.std(ddof=1)
    newest = e.sample(200, 20, averaged=False)
    assert not np.array_equal(newest[:, 0], x)
    assert row["value_fn"] == value_function(e.logits(e.real(200, 20)), e.logits(newest))


def test_distances_of_data_are_those_of_the_worst_feature():
    ours = observer(data=table(700, 3))
    advance(ours, 3)
    row, e = ours.row(0.0), ours.experiment
    tests = [ks_two_sample(e.sample(200, 3)[:, j], e.held_out[:, j]) for j in range(3)]
    assert row["ks"] == max(test.statistic for test in tests)
    assert row["ks_p"] == min(1.0, 3 * min(test.pvalue for test in tests))


@pytest.mark.parametrize("target", ["ring(8,1,0.01)", "0.33*normal(-1,0.25)+0.67*normal(2,1.4)"])
def test_modes_are_those_of_the_averaged_generator(target):
    ours = observer(f"target={target}")
    advance(ours, 3)
    row, e = ours.row(0.0), ours.experiment
    seen = modes_of(e.distribution).coverage(e.sample(200, 3))
    assert (row["modes"], row["hq"], row["reverse_kl"]) == (seen.captured, seen.high_quality, seen.reverse_kl)
    assert type(row["modes"]) is int and 0 <= row["modes"] <= seen.of


@pytest.mark.parametrize(
    ("sets", "distribution"),
    [((), Normal(4.0, 1.25)), (("target=student(1.5)",), StudentT(1.5))],
    ids=["in sd", "in interquartile ranges"],
)
def test_spread_is_in_units_of_the_distribution(sets, distribution):
    ours = observer(*sets)
    advance(ours, 3)
    row, x = ours.row(0.0), ours.experiment.sample(200, 3)[:, 0]
    if math.isfinite(distribution.sd):
        assert row["spread"] == pytest.approx(x.std() / distribution.sd, rel=1e-12)
    else:
        low, high = distribution.quantile(np.array([0.25, 0.75]))
        assert row["spread"] == pytest.approx(
            np.subtract(*np.quantile(x, [0.75, 0.25])) / (high - low), rel=1e-9
        )


def test_spread_of_features_is_the_least_in_any_direction():
    """The least singular value of the sample in coordinates in which the data are white, found by search."""
    ours = observer(data=table(700, 2))
    advance(ours, 3)
    e, angles = ours.experiment, np.linspace(0, np.pi, 2001)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    made, real = ((rows @ directions).std(axis=0) for rows in (e.sample(200, 3), e.held_out))
    assert ours.row(0.0)["spread"] == pytest.approx((made / real).min(), rel=1e-5)


def test_ranks_are_those_of_d_on_the_generator_in_training():
    ours = observer("packing=2")
    advance(ours, 3)
    e = ours.experiment
    real, fake = (e.logits(x, packs=True) for x in (e.real(200, 3), e.sample(200, 3, averaged=False)))
    assert real.shape == (100, 1)
    pairs = ((real > fake.T).mean() + (real >= fake.T).mean()) / 2
    assert ours.row(0.0)["d_auc"] == pytest.approx(pairs, rel=1e-12) and abs(pairs - 0.5) > 0.01


def test_modes_too_rare_to_be_seen_are_not_expected():
    rare = "target=0.01*normal(-9,1)+0.49*normal(0,1)+0.5*normal(9,1)"
    for count, expected in (("100", 2), ("10000", 3)):
        ours = observer(rare, f"eval_samples={count}")
        assert expected_modes(ours.experiment) == expected
    assert expected_modes(observer().experiment) is None


def test_motion_is_that_of_the_last_step():
    ours = observer()
    advance(ours, 4)
    before = {p: flat.numpy() for p, flat in ours._parameters.items()}
    advance(ours, 1)
    row = ours.row(0.0)
    for player, flat in ours._parameters.items():
        now = flat.numpy()
        ratio = np.linalg.norm(now - before[player]) / np.linalg.norm(now)
        assert row[f"update_ratio_{player}"] == pytest.approx(ratio, rel=1e-6)
    gradient = ours.experiment.game.generator_optimizer.g.numpy()
    assert row["grad_norm_g"] == pytest.approx(np.linalg.norm(gradient), rel=1e-6)
    assert row["rate_factor"] == ours.experiment.schedule(4)


def test_looking_does_not_change_the_run():
    ours, alone = observer(), observer().experiment
    for steps in (1, 3, 20):
        ours.row(0.0)
        advance(ours, steps)
        ours.row(0.0)
        alone.advance(steps)
    for name, array in alone.arrays().items():
        assert array.tobytes() == ours.experiment.arrays()[name].tobytes(), name


def test_many_frames_are_thinned_and_the_first_and_newest_kept(monkeypatch):
    monkeypatch.setattr(metrics, "MAX_FRAMES", 8)
    assert MAX_FRAMES == 200
    ours = observer()
    for step in range(30):
        ours.row(0.0)
        steps = ours.frames["step"].tolist()
        assert len(steps) <= 8 and steps[0] == 0 and steps[-1] == step and steps == sorted(set(steps))
        advance(ours, 1)
    gaps = np.diff(ours.frames["step"])
    assert gaps.max() <= 4 * gaps.min()


def test_no_frame_before_the_first_row():
    assert observer().frames == {}


def test_a_density_of_one_latent_number_is_that_of_many_samples():
    """600 000 samples in 240 bins; beyond 6 standard errors and the discretisation: 5e-7 of fixed seeds."""
    ours = observer("generator.widths=[]", "target=normal(1, 2)")
    ours.row(0.0)
    frames = ours.frames
    mass = frames["q"][0] * np.diff(frames["edges"])
    x = ours.experiment.sample(600_000, 9, averaged=False)[:, 0]
    share = np.histogram(x, frames["edges"])[0] / x.size
    assert (abs(share - mass) < 6 * np.sqrt(mass / x.size) + 1e-3 * mass.max() + 2e-5).all()


def test_value_optimal_falls_below_ln_4_by_twice_the_divergence():
    """A fresh generator is far from its target; with G equal to it, only ln 4 is left."""
    ours = observer("generator.widths=[]", "latent.distribution=normal", "target=normal(4, 1.25)")
    far = ours.row(0.0)["value_optimal"]
    e = ours.experiment
    arrays = e.arrays()
    for player in ("generator", "average"):
        arrays[f"{player}.0.W"][:], arrays[f"{player}.0.b"][:] = 1.0, 0.0
    arrays["shift"][:], arrays["scale"][:] = 4.0, 1.25
    e.load(arrays, 0)
    near = ours.row(0.0)
    assert far < near["value_optimal"] == pytest.approx(LN4, abs=1e-5)
    assert near["ks"] < 0.15  # 200 values: p = 3e-4 at 0.15


def test_a_discriminator_trained_long_approaches_the_optimum():
    """D against a fixed G: V falls to ln 4 − 2 JS of [T16], not below it by more than sampling noise."""
    rates = "generator_optimizer.rate=1e-30", "discriminator_optimizer.rate=0.01", "schedule.hold=1"
    sizes = "discriminator.widths=[16,16]", "batch=256", "steps=300", "eval_samples=20000"
    ours = observer(*rates, *sizes, "r1=0", "r2=0", "dtype=float64")
    first = ours.row(0.0)
    advance(ours, 300)
    last = ours.row(0.0)
    assert last["value_optimal"] == pytest.approx(first["value_optimal"], abs=1e-9)  # G has not moved
    assert last["value_fn"] < first["value_fn"]
    assert -0.03 < last["value_fn"] - last["value_optimal"] < 0.1


def test_a_verdict_is_found_again_and_is_not_of_rows_seen_before():
    e = observer().experiment
    e.advance(5)
    judged, sample = verdict(e, 150)
    again, same = verdict(e, 150)
    assert repr(judged) == repr(again) and sample.tobytes() == same.tobytes() and sample.shape == (150, 1)
    assert sample.tobytes() == e.sample(150, LAST).tobytes()
    assert not np.isin(sample, e.sample(150, 5)).any()


@pytest.mark.parametrize("features", [1, 2])
def test_a_verdict_of_data_is_by_the_held_out_rows(features, brief_judge):
    e = observer(data=table(700, features)).experiment
    judged, _ = verdict(e, 150)
    assert "150" in judged.sentence and judged.against == "the 140 rows that were held out"
    assert judged.as_dict()["judged_on_learned"] is False
    assert judged.against in judged.sentence
    assert 0 <= judged.pvalue <= 1


def test_rows_that_were_learned_are_named_where_they_judge(tmp_path):
    e = observer(data=table(82, 1)).experiment
    judged, _ = verdict(e, 150)
    assert judged.against == "the 82 rows that it learned (one that repeats them would pass)"
    assert judged.as_dict()["against"] == judged.against and judged.against in judged.sentence
    assert judged.judged_on_learned and judged.as_dict()["judged_on_learned"] is True
    p = {True: 0.5, False: 1e-9}
    assert [replace(judged, pvalue=p[key], enough=True).good_news for key in p] == [None, False]
    for gone in ("", "judged_on_learned"):  # an older file says so in words alone
        kept = {key: value for key, value in judged.as_dict().items() if key != gone}
        (tmp_path / "verdict.json").write_text(json.dumps(kept))
        assert read_verdict(tmp_path / "verdict.json").judged_on_learned


def test_another_draw_is_another_sample_of_the_same_generator():
    e = observer().experiment
    (first, a), (second, b), (again, c) = (verdict(e, 150, draw) for draw in (0, 1, 1))
    assert (a != b).all() and (b == c).all() and repr(second) == repr(again) != repr(first)


def test_a_verdict_of_a_distribution_of_the_plane_is_by_the_distribution(brief_judge):
    e = observer("target=ring(8,1,0.01)").experiment
    judged, sample = verdict(e, 150)
    assert sample.shape == (150, 2) and "150 rows of 2 features from ring(8, 1, 0.01)" in judged.sentence
    names = [row.name for row in judged.rows]
    assert names[1:3] == ["MMD²", "classifier accuracy"]
    assert names[4:7] == ["modes captured", "high-quality share", "reverse KL, modes"]
    assert names[-4:] == ["mean, x", "sd, x", "mean, y", "sd, y"] and repr(judged) == repr(verdict(e, 150)[0])


def test_a_classifier_looks_at_rows_of_several_features():
    rng = np.random.default_rng(0)
    real, same, other = rng.normal(size=(3, 400, 2))
    other[:, 1] = np.where(other[:, 0] > 0, 1, -1) * np.abs(other[:, 1])  # features right, dependence wrong
    tests = []
    for sample in (same, other):
        judged = judge_two_sample(sample, real, rng, 50)
        more = with_classifier(judged, sample, real, rng)
        p = classifier_two_sample_test(sample, real, np.random.default_rng(1)).pvalue
        again = with_classifier(judged, sample, real, np.random.default_rng(1))
        assert again.pvalue == pytest.approx(1 - (1 - min(judged.pvalue, p)) ** 2)
        assert again.distinguishable == ("classifier, together at the 5 % level, tell " in again.sentence)
        rest = [row for row in more.rows if row.name != "classifier accuracy"]
        assert [(row.name, row.value) for row in rest] == [(row.name, row.value) for row in judged.rows]
        tests.append(more.rows[2])
    assert (tests[0].perfect, tests[0].target) == (0.5, None)
    assert tests[0].value < 0.62 < tests[1].value  # 400 held-out rows: 0.62 by guessing in 1e-6 of seeds
    assert not tests[1].within
    # KS sees nothing
    assert judged.ks.pvalue > 0.01 and more.distinguishable and more.pvalue < 1e-6
    few = judge_two_sample(same[:9], real, rng, 5)
    assert with_classifier(few, same[:9], real, rng) is few
    line = judge_two_sample(same[:, 0], real[:, 0], rng, 5)
    assert with_classifier(line, same[:, :1], real[:, :1], rng) is line


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_numbers_that_are_not_finite_are_refused_where_they_are_read(player):
    ours = observer()
    ours.experiment.step = 3
    networks = {"generator": ours.experiment.generator, "discriminator": ours.experiment.discriminator}
    for network in (networks[player], *[ours.experiment.averaged] * (player == "generator")):
        network.parameters.update(network.parameters.flat * np.nan)
    with pytest.raises(DivergedError, match="not finite at step 3"):
        ours.row(0.0)
    if player == "generator":
        with pytest.raises(DivergedError):
            verdict(ours.experiment, 100)
    assert ours.frames == {}
