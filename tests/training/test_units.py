"""Between the user's numbers and the networks': what scales them, and what float64 cannot judge."""

import numpy as np
import pytest

from minigan.errors import ConfigError, DataError, MiniganError
from minigan.training.config import Config
from minigan.training.data import Data
from minigan.training.draws import stream
from minigan.training.experiment import Ensemble, Experiment
from minigan.training.presets import PRESETS
from minigan.training.settings import resolve
from minigan.training.units import notes_on_spread, read_distribution

TINY = ("method=plain", "generator.widths=[5]", "discriminator.widths=[6,5]", "batch=8", "steps=120")


def configured(*sets):
    return resolve(environ={}, sets=(*TINY, *sets))


def experiment(*sets, **options):
    return Experiment(configured(*sets), **options)


def ensemble(*sets, seeds, **options):
    return Ensemble.of_seeds(configured(*sets), seeds, **options)


def table(rows, features=1, seed=0, source="table.csv"):
    values = np.random.default_rng(seed).normal(3.0, 2.0, (rows, features))
    return Data(values, tuple(f"x{j}" for j in range(features)), (), source)


# Scale


@pytest.mark.rows(
    ("target", "shift", "scale"),
    [
        ("normal(4, 1.25)", 4, 1.25),
        ("normal(1000, 1)", 1000, 1),
        ("normal(0, 1e-20)", 0, 1e-20),
        ("normal(0, 1e30)", 0, 1e30),
        ("uniform(-1, 3)", 1, 4 / np.sqrt(12)),
        ("0.33*normal(-1,0.25)+0.67*normal(2,1.4)", 1.01, None),
        ("student(40)", 0, np.sqrt(40 / 38)),
        ("student(1.5)", 0, 1.294),  # no finite sd: the quartiles decide
        ("student(0.5)", 0, 2.304),  # no mean either
    ],
)
def test_a_target_is_scaled_by_what_was_seen_of_it(target, shift, scale):
    """10 000 values give location and scale to 6 % in all but 1e-8 of seeds; 10 % for quartiles too."""
    e = experiment(f"target={target}")
    true = e.distribution.sd if scale is None else scale
    assert abs(e.shift.item() - shift) < 0.1 * true
    assert e.scale.item() == pytest.approx(true, rel=0.1)
    assert e.held_out is None and e.notes == () and e.names == ("x",)


def test_a_target_whose_sd_is_that_of_a_few_far_draws_is_noted():
    for target in ("lognormal(0, 3)", "lognormal(0, 5)", "0.999*normal(0,0.001)+0.001*normal(10,0.001)"):
        (note,) = notes_on_spread(read_distribution(target))
        assert "99 % of the draws of" in note and ("logarithm" in note) == target.startswith("log")
    assert "one spike" in experiment("target=lognormal(0,5)").notes[0]
    for preset in PRESETS.values():
        assert notes_on_spread(read_distribution(preset.settings.get("target", Config().target))) == ()
    for target in ("cauchy(0, 1)", "student(2.5)", "lognormal(0, 1.5)", "spiral(2, 0.02)"):
        assert notes_on_spread(read_distribution(target)) == ()


@pytest.mark.parametrize("target", ["pareto(0.1)", "student(0.2)", "lognormal(0, 30)"])
def test_tails_that_the_networks_numbers_do_not_hold_are_refused(target):
    with pytest.raises(ConfigError, match=r"one draw in a million of .* which float32 does not hold"):
        configured(f"target={target}")
    read_distribution(target)  # a file of samples can be judged by it


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("ring8", "a target is a distribution, received the preset 'ring8'; write minigan train ring8, or "
                  'its distribution, "ring(8, 1, 0.01)"'),
        ("gaussian", 'or its distribution, "normal(4, 1.25)"'), (" Spiral ", "write minigan train spiral"),
        ("galaxies", "or its file as data"),
        ("rows.csv", "received the file 'rows.csv'; give it as data, --data rows.csv"),
        ("here", "received the file 'here'"),
        ("a.toml", "received the configuration 'a.toml'; write minigan train"),
        ("ring9", "target: cannot read the distribution 'ring9'"),
        ("", "expected the name"), ("\0", "no meaning"),
        ("pareto(0.01,1e300)", "a mean beyond 1.8e308, the largest number of float64"),
        ("lognormal(1000,1)", "e^(mu ± sigma) is to be within float64"),
    ],
)  # fmt: skip
def test_what_stands_elsewhere_is_no_target(target, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(ConfigError) as refusal:
        read_distribution(target)
    assert sentence in str(refusal.value)


def test_a_target_of_the_plane_is_scaled_per_feature_and_judged_by_rows_of_its_own():
    e = experiment("target=spiral(2,0.02)", "eval_samples=700")
    distribution = e.distribution
    assert (e.features, e.latent_size, e.names, e.notes) == (2, 2, ("x", "y"), ())
    assert e.shift.shape == e.scale.shape == (1, 2)
    assert (
        abs(e.shift[0] - distribution.mean) < 0.06 * distribution.sd
    ).all()  # 10 000 rows: 6 standard errors
    assert (abs(e.scale[0] / distribution.sd - 1) < 0.06).all()
    assert (
        e.held_out.shape == (700, 2)
        and e.held_out.tobytes() == distribution.sample(stream(0, "held"), 700).tobytes()
    )
    assert not {row.tobytes() for row in e.held_out} & {row.tobytes() for row in e.real(5000)}
    assert (
        experiment("target=spiral(2,0.02)", "eval_samples=700", "seed=1").held_out[0, 0] != e.held_out[0, 0]
    )
    assert e.sample(3).shape == e.real(3).shape == (3, 2)
    plain = experiment("target=ring()", "standardise=false")
    assert plain.shift.tolist() == [[0, 0]] and plain.scale.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    "setting", ["generator_optimizer.epsilon=1e300", "discriminator_optimizer.epsilon=1e-60", "r1=1e300"]
)
def test_a_number_that_the_dtype_does_not_hold_is_refused(setting):
    with pytest.raises(ConfigError, match="is 0 or infinite in float32; choose one nearer to"):
        experiment(setting)
    experiment(setting, "dtype=float64")


@pytest.mark.parametrize("target", ["ring(8,1e120,1)", "grid(5,1e-120,1e-121)"])
def test_targets_of_the_plane_beyond_float64_are_refused(target):
    with pytest.raises(ConfigError, match="beyond what float64 can judge"):
        experiment(f"target={target}")


def test_seeds_estimate_the_scale_each_for_itself():
    shifts = [e.shift.item() for e in ensemble(seeds=[0, 1, 2]).experiments]
    assert len(set(shifts)) == 3


def test_training_data_are_standardised_and_samples_are_not():
    e = experiment("target=normal(1000, 3)", "batch=4096")
    rows = e._draw(0)["real"]
    assert abs(rows.mean()) < 0.02 and abs(rows.std() - 1) < 0.02  # 200 000 values
    assert 900 < e.sample(100).mean() < 1100 and 990 < e.real(100).mean() < 1010


def test_nothing_is_scaled_where_that_was_asked_for():
    e = experiment("standardise=false", "target=normal(10, 3)")
    assert e.shift.item() == 0 and e.scale.item() == 1
    assert experiment("standardise=false", data=table(20, 3)).scale.tolist() == [[1, 1, 1]]


def test_logits_are_asked_for_in_the_units_of_the_user():
    e = experiment("target=normal(1000, 3)")
    z = np.array([[-1.0], [0.0], [2.0]])
    inside = e._apply(e.discriminator, z)
    np.testing.assert_allclose(e.logits(z * e.scale + e.shift), inside, rtol=1e-4, atol=1e-6)


# Refusals


@pytest.mark.rows("factor", [1e300, 1e-310])
@pytest.mark.rows("features", [1, 2])
def test_data_beyond_the_digits_of_float64_are_refused(factor, features):
    data = table(30, features)
    data.values[:, -1] *= factor
    with pytest.raises(DataError, match=f"'x{features - 1}' of 'table.csv'.*another unit"):
        experiment(data=data)


def test_data_far_from_the_origin_are_refused_where_their_digits_are_used_up():
    data = table(30)
    near, far = (Data(data.values + offset, data.names, (), "f.csv") for offset in (1e9, 1e14))
    experiment(data=near).advance(2)
    with pytest.raises(MiniganError, match="another origin"):
        experiment(data=far)
