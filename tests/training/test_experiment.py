"""Experiments: a seed's replica is the run of that seed, steps are found by index, refusals are clear."""

import dataclasses
from functools import partial
from statistics import NormalDist

import numpy as np
import pytest

from minigan.compiler.capture import capture
from minigan.compiler.planner import EXACT
from minigan.errors import ConfigError, DataError, UnavailableError
from minigan.evaluation.verdict import judge_two_sample
from minigan.machine import describe_blas, limited
from minigan.nn.network import Network
from minigan.training.config import Config
from minigan.training.data import Data, read_data
from minigan.training.experiment import Ensemble, Experiment, get_backend
from minigan.training.material import LARGE
from minigan.training.settings import resolve

BATCHES = ("real", "latent_d", "latent_g")
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


@pytest.fixture
def exact_plans(monkeypatch):
    """Steps have eager bits, as on the strict device, which replays them as they were recorded."""
    monkeypatch.setattr("minigan.training.steps.capture", partial(capture, passes=EXACT))


def equal_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
        assert a[name].tobytes() == b[name].tobytes(), name


# Replicas


@pytest.mark.parametrize(
    "sets",
    [
        (),
        ("dtype=float64", "latent.distribution=uniform", "latent.size=2"),
        ("discriminator_steps=2", "generator_steps=3", "average.name=ema", "r2=0"),
        ("order=simultaneous", "objective=minimax", "generator_optimizer.name=optimistic_adam"),
        ("discriminator_optimizer.name=rmsprop", "generator_optimizer.name=momentum", "standardise=false"),
        ("target=student(1.5)", "generator_optimizer.name=sgd", "schedule.warmup=4"),
        ("target=grid(3, 2, 0.05)", "discriminator_steps=2"),
    ],
)
def test_a_replica_is_the_single_run_of_its_seed(sets):
    seeds = [3, 0, 11]
    together = ensemble(*sets, seeds=seeds)
    together.advance(60)  # one block and a part of the next
    samples = together.sample(50, 2)
    for r, (seed, replica) in enumerate(zip(seeds, together.experiments, strict=True)):
        alone = experiment(*sets, f"seed={seed}")
        alone.advance(60)
        assert replica.step == together.step == 60
        equal_bits(replica.arrays(), alone.arrays())
        assert samples[r].tobytes() == alone.sample(50, 2).tobytes()
        assert replica.real(20, 1).tobytes() == alone.real(20, 1).tobytes()
        for ours, its, rows in zip(replica.losses(), alone.losses(), together.losses(), strict=True):
            assert ours.tobytes() == its.tobytes() == rows[r].tobytes()


METHODS = [
    *(
        (f"objective={name}",)
        for name in ("minimax", "least_squares", "relativistic", "kl", "total_variation")
    ),
    ("objective=wasserstein", "r1=0", "r2=0", "wgan_gp=10", "discriminator_steps=2"),
    ("objective=wasserstein", "clip=0.1", "discriminator_optimizer.name=rmsprop"),
    ("objective=hinge", "zero_gp=1", "packing=4"),
    ("objective=alpha_ns(0.4, 3)", "order=extragradient", "instance_noise=0.5"),
    ("order=extragradient", "generator_optimizer.name=sgd", "discriminator_optimizer.name=sgd"),
    ("order=simultaneous", "consensus=0.1", "generator_optimizer.name=optimistic_sgd"),
    ("unrolled=2", "unrolled_rate=0.2", "generator_steps=2"),
    ("packing=2", "observation_noise=0.4", "instance_noise=0.3"),
]


@pytest.mark.parametrize("sets", METHODS, ids=" ".join)
def test_with_every_method_a_replica_is_the_single_run_of_its_seed(sets):
    together, alone = ensemble(*sets, seeds=[3, 11]), experiment(*sets, "seed=11")
    for each in (together, alone):
        each.advance(3)
    first, second = (replica.arrays() for replica in together.experiments)
    equal_bits(second, alone.arrays())
    assert all(np.isfinite(array).all() for array in first.values())


@pytest.mark.parametrize(
    ("dtype", "varied"),
    [
        ("float32", ("generator_optimizer.rate=0.02", "discriminator_optimizer.rate=0.003", "r1=0.07")),
        ("float64", ("seed=9", "r1=2", "r2=0.3")),
        ("float32", ("wgan_gp=3", "zero_gp=0.1")),
    ],
)
def test_rates_and_penalties_differ_between_replicas(dtype, varied):
    base = (f"dtype={dtype}", "wgan_gp=1", "zero_gp=0.7", "discriminator_steps=2")
    configs = [configured(*base), configured(*base, *varied), configured(*base, "r1=0.11")]
    together = Ensemble([Experiment(config) for config in configs])
    together.advance(55)
    seen = []
    for config, replica in zip(configs, together.experiments, strict=True):
        alone = Experiment(config)
        alone.advance(55)
        equal_bits(replica.arrays(), alone.arrays())
        seen.append(alone.arrays()["generator.0.W"].tobytes())
    assert len(set(seen)) == 3


def test_experiments_of_another_structure_do_not_train_together():
    for other in ("batch=9", "r1=0", "generator.widths=[7]", "generator_optimizer.beta1=0.5", "steps=3"):
        with pytest.raises(ConfigError, match="together if they differ in seed, .*received 2 that do not"):
            Ensemble([experiment(), experiment(other)])


@pytest.mark.parametrize(
    "sets",
    [
        ("batch=2048", "generator.widths=[64,64]", "discriminator.widths=[64,64]"),
        ("batch=256", "generator.widths=[128,128]", "discriminator.widths=[128,128]", "average.name=ema"),
    ],
)
def test_threads_of_an_ensemble_change_no_bit(sets):
    """They go through a block of steps each at its own pace, with rates and averages that change."""
    found = []
    for threads in (1, 2):
        together = ensemble(*sets, f"threads={threads}", "schedule.warmup=20", seeds=[0, 1, 2])
        together.advance(2)
        assert together.program_threads == threads
        with limited(2):
            together.advance(1)
            assert describe_blas()["threads"] == 2, "its threads have taken one of BLAS each, and left it so"
        found.append([e.arrays() for e in together.experiments])
    for one, other in zip(*found, strict=True):
        equal_bits(one, other)
    alone = experiment(*sets, "schedule.warmup=20")
    alone.advance(3)
    equal_bits(alone.arrays(), found[0][0])


def test_an_ensemble_goes_on_from_where_its_experiments_are():
    seeds = [2, 5]
    whole, before = (ensemble(seeds=seeds) for _ in range(2))
    whole.advance(70)
    before.advance(47)
    loaded = [experiment(f"seed={seed}") for seed in seeds]
    for target, source in zip(loaded, before.experiments, strict=True):
        target.load(source.arrays(), source.step)
    after = Ensemble(loaded)
    after.advance(23)
    for ours, theirs in zip(after.experiments, whole.experiments, strict=True):
        equal_bits(ours.arrays(), theirs.arrays())
    loaded[0].step = 3
    with pytest.raises(ValueError, match="from one step on; received \\[3, 70\\]"):
        Ensemble(loaded)


def test_a_replica_that_diverges_leaves_the_others_alone():
    sets = ("generator_optimizer.name=sgd", "discriminator_optimizer.name=sgd")
    configs = [configured(*sets, f"discriminator_optimizer.rate={rate}") for rate in (0.01, 1e30, 0.02)]
    together = Ensemble([Experiment(config) for config in configs])
    with np.errstate(all="ignore"):
        together.advance(60)
    finite = [np.isfinite(e.arrays()["discriminator.0.W"]).all() for e in together.experiments]
    assert finite == [True, False, True]
    for k in (0, 2):
        alone = Experiment(configs[k])
        alone.advance(60)
        equal_bits(together.experiments[k].arrays(), alone.arrays())


@pytest.mark.parametrize(
    "sets", [("order=extragradient", "wgan_gp=1"), ("instance_noise=1", "packing=2"), ("unrolled=1",)]
)
def test_with_every_method_loading_continues_bit_for_bit(sets):
    whole, before, after = (experiment(*sets) for _ in range(3))
    whole.advance(60)
    before.advance(47)
    after.advance(5)
    after.load(before.arrays(), before.step)
    after.advance(13)
    equal_bits(whole.arrays(), after.arrays())


def test_strict_plays_every_method_with_the_same_bits(exact_plans):
    for sets in (("wgan_gp=1", "packing=2", "instance_noise=1"), ("order=extragradient",), ("unrolled=1",)):
        ours, theirs = experiment("backend=numpy", *sets), experiment("backend=strict", *sets)
        for e in (ours, theirs):
            e.advance(3)
        equal_bits(ours.arrays(), theirs.arrays())


def test_unused_methods_change_no_number():
    """The inputs of a step are those of a run that knows no method; and each method reads its own stream."""
    plain = experiment()._draw(0)
    assert list(plain) == [*BATCHES, "factor", "weight"]
    named = {
        "wgan_gp=1": {"mix"}, "zero_gp=1": {"mix"}, "observation_noise=1": {"noise_d", "noise_g"},
        "instance_noise=1": {"noise_x", "noise_d", "noise_g"},
        "packing=2": set(), "clip=1": set(), "unrolled=1": set(),
    }  # fmt: skip
    for text, more in named.items():
        numbers = experiment(text)._draw(0)
        assert set(numbers) == set(plain) | more, text
        for name, array in plain.items():
            assert numbers[name].tobytes() == array.tobytes()


def test_a_replica_of_data_is_the_single_run_with_its_own_split():
    data = table(600, 2)
    together = ensemble(seeds=[4, 5], data=data)
    together.advance(10)
    for seed, replica in zip((4, 5), together.experiments, strict=True):
        alone = experiment(f"seed={seed}", data=data)
        alone.advance(10)
        equal_bits(replica.arrays(), alone.arrays())
        assert replica.held_out.tobytes() == alone.held_out.tobytes()


def test_different_seeds_differ_and_the_same_seed_does_not():
    runs = [experiment(f"seed={seed}") for seed in (1, 1, 2)]
    for run in runs:
        run.advance(5)
    equal_bits(runs[0].arrays(), runs[1].arrays())
    assert (runs[0].arrays()["generator.0.W"] != runs[2].arrays()["generator.0.W"]).all()


def test_one_seed_in_a_list_keeps_the_replica_axis():
    e = ensemble(seeds=[3])
    e.advance(1)
    assert e.sample(4).shape == (1, 4, 1) and e.losses()[0].shape == (1, 1, 1)
    assert experiment().sample(4).shape == (4, 1)


def test_flags_that_blas_raises_for_nothing_are_no_warnings(monkeypatch):
    """A network whose numbers are right, and whose products leave "invalid" behind."""
    e = experiment()
    expected, network = e.sample(4), e.averaged

    def flagging(x):
        np.subtract(np.inf, np.inf)
        return x

    *hidden, last = network.layers
    layers = (*hidden, dataclasses.replace(last, activation=flagging))
    monkeypatch.setattr(e, "averaged", Network(layers, network.parameters))
    assert e.sample(4).tobytes() == expected.tobytes()


# Steps


@pytest.mark.rows("cuts", [(1, 119), (49, 1, 70), (50, 70), (60, 60), (1,) * 5 + (115,)])
def test_how_the_steps_are_cut_does_not_matter(cuts):
    whole, parts = experiment(), experiment()
    whole.advance(120)
    for steps in cuts:
        parts.advance(steps)
    assert parts.step == whole.step == 120
    equal_bits(whole.arrays(), parts.arrays())


@pytest.mark.parametrize("at", [1, 50, 73])
@pytest.mark.parametrize("started", [0, 7])
def test_loading_continues_bit_for_bit(at, started):
    whole, before, after = experiment(), experiment(), experiment()
    whole.advance(120)
    before.advance(at)
    after.advance(started)  # what it did before must leave no trace, in the recorded program neither
    after.load(before.arrays(), before.step)
    equal_bits(before.arrays(), after.arrays())
    assert after.step == at
    after.advance(120 - at)
    equal_bits(whole.arrays(), after.arrays())
    assert whole.sample(30, 1).tobytes() == after.sample(30, 1).tobytes()


def test_loading_takes_over_every_optimiser():
    for name in ("adam", "optimistic_adam", "rmsprop", "momentum", "sgd"):
        sets = f"generator_optimizer.name={name}", f"discriminator_optimizer.name={name}", "average.name=ema"
        whole, before, after = (experiment(*sets) for _ in range(3))
        whole.advance(20)
        before.advance(9)
        after.load(before.arrays(), 9)
        after.advance(11)
        equal_bits(whole.arrays(), after.arrays())


def test_arrays_are_copies_that_training_leaves_alone():
    e = experiment()
    before = e.arrays()
    kept = {name: array.copy() for name, array in before.items()}
    e.advance(3)
    equal_bits(before, kept)


def test_arrays_name_everything_that_was_trained():
    arrays = experiment().arrays()
    for player in ("generator", "discriminator", "average"):
        assert f"{player}.0.W" in arrays
    for player in ("generator_optimizer", "discriminator_optimizer"):
        assert {f"{player}.{part}" for part in ("rate", "m", "v", "weight1", "weight2")} <= arrays.keys()
    assert arrays["shift"].shape == arrays["scale"].shape == (1, 1)


@pytest.mark.rows(
    "change", ["other widths", "missing parameter", "missing moment", "moment of another shape"]
)
def test_loading_refuses_what_belongs_to_another_experiment(change):
    arrays = (
        experiment("generator.widths=[7]").arrays() if change == "other widths" else experiment().arrays()
    )
    if change == "missing parameter":
        del arrays["generator.0.W"]
    elif change == "missing moment":
        del arrays["generator_optimizer.m"]
    elif change == "moment of another shape":
        arrays["generator_optimizer.m"] = arrays["generator_optimizer.m"][:-1]
    with pytest.raises(ValueError, match="another|missing"):
        experiment().load(arrays, 5)


def test_losses_are_not_a_number_before_the_first_step():
    e = experiment()
    assert all(np.isnan(loss).all() for loss in e.losses()) and e.program is None
    e.advance(1)
    assert all(np.isfinite(loss).all() and loss.shape == (1, 1) for loss in e.losses())
    assert len(str(e.program).splitlines()) > 50


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_have_the_dtype_asked_for_and_results_are_float64(dtype):
    e = experiment(f"dtype={dtype}")
    e.advance(2)
    assert {a.dtype.name for name, a in e.arrays().items() if name not in ("shift", "scale")} == {dtype}
    assert e.sample(3).dtype == e.real(3).dtype == e.logits(np.zeros((2, 1))).dtype == np.float64


def test_single_and_double_precision_agree_at_first():
    single, double = experiment("dtype=float32"), experiment("dtype=float64")
    x = np.linspace(0, 8, 21).reshape(-1, 1)
    np.testing.assert_allclose(single.logits(x), double.logits(x), atol=1e-5)


def test_strict_trains_the_same_bits_as_numpy(exact_plans):
    """On a device that refuses implicit transfers, every line must bring and fetch its arrays."""
    for sets in ((), ("latent.size=2", "discriminator_steps=2", "r1=0")):
        ours, theirs = experiment("backend=numpy", *sets), experiment("backend=strict", *sets)
        for e in (ours, theirs):
            e.advance(55)
        equal_bits(ours.arrays(), theirs.arrays())
        assert ours.sample(40).tobytes() == theirs.sample(40).tobytes()
        again = experiment("backend=strict", *sets)
        again.load(theirs.arrays(), 55)
        for e in (ours, again):
            e.advance(5)
        equal_bits(ours.arrays(), again.arrays())


def test_a_backend_that_is_absent_is_refused():
    with pytest.raises(UnavailableError, match="cupy") as caught:
        experiment("backend=cupy")
    assert caught.value.exit_code == 6
    assert get_backend("auto").name == "numpy"


def test_a_best_discriminator_sees_what_the_instrument_shows():
    """G makes a point; with the noise of the data D cannot tell its rows from theirs, without it at once."""
    known = {}
    for sd in (1.0, 0.0):
        e = experiment(f"observation_noise={sd}", "target=normal(0, 1)", "standardise=false")
        arrays = e.arrays()
        flat = {name: np.zeros_like(a) for name, a in arrays.items() if name.startswith("generator.")}
        e.load({**arrays, **flat}, 0)
        _, logits = e.best_response((10, 300))
        a = logits(np.array([[0.0], [1.5]]))
        known[sd] = float(a[1, 0] - a[0, 0])  # the log-ratio of the distributions between 0 and 1.5
    assert abs(known[1.0]) < 0.7 and known[0.0] > 2.0


def test_a_best_discriminator_comes_near_what_theory_says():
    """p/(p + q) of a default game at its beginning, as the page shows it: much nearer than ½ is."""
    e = Experiment(resolve(environ={}))
    e.advance(4)
    edges = np.linspace(0.0, 8.0, 161)
    z = NormalDist()
    latents = np.array([[z.inv_cdf((k + 0.5) / 20000)] for k in range(20000)])
    q = np.histogram(e.generate(latents, averaged=False)[:, 0], edges)[0] / 20000
    p = np.diff([NormalDist(4.0, 1.25).cdf(x) for x in edges])
    logits = [at(0.5 * (edges[1:, None] + edges[:-1, None]))[:, 0] for at in e.best_response((30, 300))]
    said = [np.full(160, 0.5), *1.0 / (1.0 + np.exp(np.negative(logits)))]
    off = [np.sqrt(np.average((d - p / (p + q)) ** 2, weights=p + q)) for d in said]
    assert off[1] < 0.9 * off[0] and off[2] < 0.35 * off[0]


def test_a_packing_discriminator_is_asked_in_packs_or_row_by_row():
    e = experiment("packing=3", "batch=9")
    x = np.random.default_rng(0).normal(4.0, 1.0, (10, 1))
    alone, packs = e.logits(x), e.logits(x, packs=True)
    assert alone.shape == (10, 1) and packs.shape == (3, 1)
    scaled = (x - e.shift) / e.scale
    np.testing.assert_array_equal(packs, e._apply(e.discriminator, scaled[:9].reshape(3, 3)))
    np.testing.assert_array_equal(alone, e._apply(e.discriminator, np.repeat(scaled, 3, axis=1)))
    single = experiment()
    np.testing.assert_array_equal(single.logits(x, packs=True), single.logits(x))


def test_the_draw_of_a_sample_is_found_by_its_index():
    e = experiment()
    e.advance(3)
    assert e.sample(20, 5).tobytes() == e.sample(20, 5).tobytes()
    assert (e.sample(20, 5) != e.sample(20, 6)).all()
    assert (e.real(20, 5) != e.real(20, 6)).all()


def test_many_rows_pass_in_chunks_of_the_same_values():
    e = experiment()
    z = np.random.default_rng(0).standard_normal((150_000, 1)).astype("float32")
    np.testing.assert_allclose(
        e.generate(z)[[0, 70_000, -1]], e.generate(z[[0, 70_000, -1]]), rtol=1e-5, atol=1e-6
    )
    assert e.generate(z).shape == (150_000, 1)


# Data sets


ENOUGH = Config().holdout_least


def test_held_out_rows_are_never_trained_on():
    data = table(1000, 2)
    e = experiment("holdout=0.2", data=data)
    assert e.held_out.shape == (200, 2) and e.distribution.values.shape == (800, 2)
    both = np.concatenate([e.distribution.values, e.held_out])
    assert {row.tobytes() for row in both} == {row.tobytes() for row in data.values} and len(both) == 1000
    assert any("200 of 1000 rows are held out" in note for note in e.notes)
    drawn = {row.tobytes() for row in e.distribution.sample(np.random.default_rng(0), (5000,))}
    assert not drawn & {row.tobytes() for row in e.held_out}


def test_the_split_depends_on_the_seed_alone():
    data = table(1000)
    first, same, other = (
        experiment(f"seed={s}", f"steps={steps}", data=data) for s, steps in ((1, 9), (1, 120), (2, 9))
    )
    assert first.held_out.tobytes() == same.held_out.tobytes() != other.held_out.tobytes()


@pytest.mark.rows(
    ("rows", "sets"),
    [
        (5 * ENOUGH - 1, ()),
        (2, ()),
        (299, ("holdout=0.2",)),
        (LARGE, ("holdout=0",)),
        (LARGE, ("holdout=0.001",)),
    ],
)
def test_where_nothing_is_held_out_a_note_says_so(rows, sets):
    data = table(rows)
    e = experiment(*sets, data=data)
    assert e.held_out.tobytes() == data.values.tobytes() and len(e.distribution.values) == rows
    assert "would pass" in e.notes[-1]


@pytest.mark.parametrize("features", [1, 3])
def test_few_rows_are_held_out_where_they_are_enough_to_judge(features):
    """The verdict on as many rows of a perfect sampler is one, not "too few values"."""
    for rows, share, held in ((5 * ENOUGH, 0.2, ENOUGH), (2 * ENOUGH, 0.5, ENOUGH), (5 * ENOUGH - 1, 0.2, 0)):
        e = experiment(f"holdout={share}", data=table(rows, features))
        assert len(e.distribution.values) == rows - held and e.judged_on_learned == (not held)
    rng = np.random.default_rng(5)
    sample, real = (rng.normal(size=(n, features)) for n in (2000, ENOUGH))
    assert judge_two_sample(sample, real, rng, 1).indistinguishable is not None
    assert judge_two_sample(sample, real[: ENOUGH // 2], rng, 1).indistinguishable is None


def test_notes_of_the_reader_come_first():
    values = np.random.default_rng(0).normal(size=(20, 1))
    assert (
        experiment(data=Data(values, ("v",), ("a header was found",), "f.csv")).notes[0]
        == "a header was found"
    )


def test_data_are_scaled_by_the_rows_to_learn():
    e = experiment(data=table(600, 3))
    np.testing.assert_allclose(e.shift[0], e.distribution.values.mean(axis=0))
    np.testing.assert_allclose(e.scale[0], e.distribution.values.std(axis=0))


@pytest.mark.parametrize("features", [1, 3, 10])
def test_several_features_go_through_every_part(features):
    e = experiment(data=table(600, features))
    e.advance(3)
    assert e.features == features and len(e.names) == features
    assert e.sample(7).shape == (7, features) and e.real(7).shape == (7, features)
    assert e.logits(e.real(7)).shape == (7, 1)
    together = ensemble(data=table(600, features), seeds=[0, 1])
    together.advance(3)
    assert together.sample(7).shape == (2, 7, features)


def test_a_feature_constant_in_the_rows_to_learn_is_left_unscaled():
    """One of 600 values differs: the other feature makes the distribution worth learning."""
    data = table(600, 2)
    data.values[:, 1] = 5.0
    held = experiment(data=data).held_out[0]
    data.values[(data.values == held).all(axis=1).nonzero()[0], 1] = 6.0
    e = experiment(data=data)
    assert np.ptp(e.distribution.values[:, 1]) == 0 and np.ptp(e.held_out[:, 1]) == 1
    assert e.scale[0, 1] == 1 and e.shift[0, 1] == 5
    e.advance(3)
    assert np.isfinite(e.sample(5)).all()


@pytest.mark.parametrize("part", ["learn", "judge by"])
def test_a_distribution_that_the_split_makes_constant_is_refused(part):
    values = np.random.default_rng(0).permutation(600.0 + np.arange(600))[:, None]
    e = experiment(data=Data(values, ("x",), (), "f.csv"))
    odd = (e.held_out if part == "learn" else e.distribution.values).ravel()[:3]
    nearly = np.where(np.isin(values, odd), values, 1.0)
    with pytest.raises(DataError, match=f"f.csv' to {part} are .*holdout=0"):
        experiment(data=Data(nearly, ("x",), (), "f.csv"))
    experiment("holdout=0", data=Data(nearly, ("x",), (), "f.csv")).advance(2)


def test_a_file_trains(tmp_path):
    path = tmp_path / "three.csv"
    np.savetxt(path, table(50, 3).values, delimiter=",", header="a,b,c", comments="")
    e = experiment(data=read_data(path))
    e.advance(2)
    assert e.names == ("a", "b", "c") and "header" in e.notes[0]


# Refusals


@pytest.mark.rows(
    ("sets", "says"),
    [
        (("target=normal(1e30, 1)",), "beyond what float64 can judge"),
        (("target=normal(1e30, 1)", "standardise=false"), "beyond what float64 can judge"),
        (("target=normal(0, 1e300)",), "scale 1e[+]300"),
        (("target=normal(0, 1e-300)",), "scale 1e-300"),
        (("schedule.name=exponential",), "final > 0"),
        (("order=simultaneous", "discriminator_steps=2"), "each player moves once"),
        (("generator_optimizer.rate=1e300",), "infinite in float32"),
        (("discriminator_optimizer.rate=1e-300",), "0 or infinite in float32"),
        (("consensus=0.1",), "use it with order='simultaneous'"),
        (("order=extragradient", "discriminator_steps=2"), "each player moves once"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_any_work(sets, says):
    with pytest.raises(ConfigError, match=says) as caught:
        experiment(*sets)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


def test_the_latent_has_as_many_numbers_as_the_data_have_features_unless_told():
    assert experiment().latent_size == 1
    assert experiment(data=table(600, 3)).latent_size == experiment(data=table(600, 3)).generator.inputs == 3
    assert experiment("latent.size=2", data=table(600, 3)).latent_size == 2


# What a person sees of it


def test_its_repr_says_in_a_line_what_it_is():
    one, many = experiment(), ensemble(seeds=[0, 1])
    one.advance(3)
    many.advance(3)
    assert repr(one) == (
        "<experiment: non_saturating game for normal(4, 1.25), seed 0, step 3 of 120, float32 on numpy>"
    )
    assert repr(many) == "<2 experiments as one program, step 3 of 120>"
    assert "for a data set of 480 rows of 2 features, " in repr(experiment(data=table(600, 2)))
