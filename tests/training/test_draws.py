"""Random numbers are found by their index, independent, and counted; on every backend, alone and together."""

import numpy as np
import pytest
from scipy.special import ndtr

from minigan.training.data import Data
from minigan.training.draws import BLOCK, BLOCK_NUMBERS, STREAMS, step_numbers, stream
from minigan.training.experiment import Ensemble, Experiment
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


def equal_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
        assert a[name].tobytes() == b[name].tobytes(), name


# Streams


def test_a_stream_is_found_again_and_every_other_is_another():
    first = stream(7, "data", 3).bit_generator.state
    assert stream(7, "data", 3).bit_generator.state == first
    others = [
        stream(seed, name, index) for seed in (7, 8) for name in STREAMS for index in (0, 3, 2**31, 2**32 + 5)
    ]
    draws = {other.bytes(16) for other in others}
    assert len(draws) == len(others)


def test_streams_are_uncorrelated():
    """66 correlations of 20 000 normals; |r| > 6/√n by chance in 1e-7 of all fixed seeds."""
    draws = [
        stream(0, name, index).standard_normal(20_000)
        for name in ("data", "latent", "eval")
        for index in range(4)
    ]
    correlations = np.corrcoef(draws)[np.triu_indices(len(draws), 1)]
    assert abs(correlations).max() < 6 / np.sqrt(20_000)


def test_an_unknown_stream_is_an_error():
    with pytest.raises(ValueError):
        stream(0, "dta")


# Blocks


def test_large_batches_make_short_blocks():
    assert experiment().block_length == BLOCK
    assert experiment("batch=1000000").block_length == 2  # 3 numbers a sample, 2^23 a block
    assert experiment("batch=16777216", "generator.widths=[1]", "discriminator.widths=[1]").block_length == 1
    for sets in (("batch=100000",), ("batch=100000", "discriminator_steps=3", "latent.size=4")):
        e = experiment(*sets)
        c = e.config
        step = (c.discriminator_steps * (1 + e.latent_size) + c.generator_steps * e.latent_size) * c.batch
        assert e.block_length * step <= BLOCK_NUMBERS < (e.block_length + 1) * step


@pytest.mark.rows(
    "sets",
    [
        (), ("target=ring(8,1,0.1)", "generator_steps=2"), ("discriminator_steps=3", "zero_gp=1"),
        ("wgan_gp=1", "instance_noise=0.1", "latent.size=3"),
    ],
)  # fmt: skip
def test_a_step_takes_the_numbers_that_are_counted(sets):
    e = experiment(*sets)
    drawn = e.draw(0, 5)
    assert 5 * step_numbers(e.config, e.features) == sum(
        array.size for name, array in drawn.items() if name not in ("factor", "weight")
    )


def test_each_step_sees_fresh_numbers_and_no_block_repeats_another():
    e = experiment()
    drawn = [e._draw(block)[name] for block in (0, 1) for name in BATCHES]
    seen = [number.tobytes() for numbers in drawn for number in numbers]
    assert len(set(seen)) == len(seen) == 2 * 3 * BLOCK
    assert e._draw(1)["real"].tobytes() == e._draw(1)["real"].tobytes()


def test_every_step_of_every_block_has_its_own_factor_and_weight():
    e = experiment("schedule.hold=0", "average.start=0", "dtype=float64")
    for block in (0, 1):
        t = block * BLOCK + np.arange(BLOCK)
        numbers = e._draw(block)
        np.testing.assert_array_equal(numbers["factor"][:, 0], e.schedule(t))
        np.testing.assert_array_equal(numbers["weight"][:, 0], e.averaging(t))


def test_data_and_both_latents_are_independent():
    """3 correlations of 51 200 normals in 2 blocks; |r| > 6/√n in 2e-8 of all fixed seeds."""
    e = experiment("dtype=float64", "batch=1024")
    for block in (0, 1):
        numbers = e._draw(block)
        correlations = np.corrcoef([numbers[name].ravel() for name in BATCHES])[np.triu_indices(3, 1)]
        assert abs(correlations).max() < 6 / np.sqrt(51_200)


def test_instance_noise_fades_to_zero():
    """Its sd falls in a straight line; of 51 200 normals 2 % are 6.4 sd: a false alarm in 1e-8 of seeds."""
    e = experiment("instance_noise=0.8", "steps=80", "batch=51200", "dtype=float64")
    assert e.block_length < 80
    for block in (0, 1):
        numbers = e._draw(block)
        for k in range(0, e.block_length, 7):
            t = block * e.block_length + k
            for name in ("noise_x", "noise_d", "noise_g"):
                noise = numbers[name][k]
                assert noise.std() == pytest.approx(0.8 * max(0.0, 1 - t / 80), rel=0.02, abs=1e-12)
                assert abs(noise.mean()) <= 6 * 0.8 / np.sqrt(noise.size)
    assert (e._draw(80 // e.block_length + 1)["noise_x"] == 0.0).all()  # beyond the end


def test_the_noises_are_independent():
    """Of each other and of the data: 15 correlations of 51 200 normals; |r| > 6/√n in 6e-8 of fixed seeds."""
    e = experiment("instance_noise=1", "observation_noise=1", "dtype=float64", "batch=1024")
    numbers = e._draw(0)
    rows = [numbers[name].ravel() for name in (*BATCHES, "noise_x", "noise_d", "noise_g")]
    assert abs(np.corrcoef(rows)[np.triu_indices(6, 1)]).max() < 6 / np.sqrt(51_200)


def test_mix_is_uniform_and_one_per_pack():
    e = experiment("wgan_gp=1", "packing=4", "discriminator_steps=2", "batch=400")
    mix = e._draw(0)["mix"]
    assert mix.shape == (BLOCK, 2, 100, 1) and mix.min() >= 0 and mix.max() < 1
    assert abs(mix.mean() - 0.5) < 6 / np.sqrt(12 * mix.size)  # six sd


@pytest.mark.parametrize("seed", [0, 5])
def test_observation_noise_is_that_of_the_instrument_in_units_of_x(seed):
    """Added to what G makes, in training and in samples; bounds are 6 sd and more: 1e-7 false alarms."""
    sets = "target=normal(1000, 4)", "batch=20000", "dtype=float64"
    clean, noisy = (experiment(*sets, f"observation_noise={sd}", f"seed={seed}") for sd in (0, 0.5))
    scale = np.squeeze(noisy.scale)
    numbers = noisy._draw(0)
    assert "noise_x" not in numbers  # real data have it already
    for name in ("noise_d", "noise_g"):
        sd = numbers[name].std(axis=(0, 1, -2, -1))
        np.testing.assert_allclose(sd * scale, 0.5, rtol=0.01)
    for averaged in (True, False):
        added = noisy.sample(20_000, 3, averaged=averaged) - clean.sample(20_000, 3, averaged=averaged)
        np.testing.assert_allclose(added.std(axis=-2), 0.5, rtol=0.03)
        assert abs(added.mean(axis=-2)).max() < 6 * 0.5 / np.sqrt(20_000)
    assert noisy.sample(9, 3).tobytes() == noisy.sample(9, 3).tobytes()
    assert (noisy.sample(9, 3) != noisy.sample(9, 4)).all()


def test_both_noises_add_as_squares():
    e = experiment("instance_noise=0.3", "observation_noise=0.4", "standardise=false", "batch=100000")
    numbers = e._draw(0)
    assert numbers["noise_x"][0].std() == pytest.approx(0.3, rel=0.02)
    assert numbers["noise_d"][0].std() == pytest.approx(0.5, rel=0.02)


# Strata


STRATIFIED = [
    (), ("discriminator_steps=2", "generator_steps=2", "latent.distribution=uniform"),
    ("target=0.5*normal(-3, 1) + 0.5*normal(3, 1)", "objective=relativistic", "standardise=false"),
    ("packing=2", "latent.size=3", "dtype=float64", "wgan_gp=1"), ("target=ring(8,1,0.1)",),
    ("latent.distribution=one", "target=cauchy(0, 1)"),
]  # fmt: skip


def in_slices(levels, n):
    """Whether each of n slices holds one level of each column."""
    return (np.sort(np.clip(np.floor(levels * n + 1e-5), 0, n - 1), axis=-2) == np.arange(n)[:, None]).all()


@pytest.mark.rows("sets", [*STRATIFIED, *(("random=philox", *sets) for sets in STRATIFIED)])
def test_stratified_batches_have_one_row_and_one_latent_in_each_slice(sets):
    plain, e = experiment(*sets), experiment("draws=stratified", *sets)
    for block in (0, 3):
        drawn, independent = e.draw(block, 5), plain.draw(block, 5)
        assert {name: (a.shape, a.dtype) for name, a in drawn.items()} == {
            name: (a.shape, a.dtype) for name, a in independent.items()
        }
        packs = (e.config.batch // e.config.packing, -1)
        latents = {"normal": ndtr, "uniform": lambda z: (z + 1) / 2}.get(e.config.latent.distribution)
        for name in BATCHES:
            x = drawn[name].astype("float64")
            levels = e.distribution.cdf(e.units.to_user(x)) if name == "real" and e.features == 1 else None
            levels = latents(x) if latents and name != "real" else levels
            if levels is not None:
                assert in_slices(levels.reshape(*x.shape[:2], *packs), packs[0]), name
                # of each pair of updates the order is another
                orders = levels.reshape(-1, e.config.batch, x.shape[-1])[..., 0].argsort(axis=-1)
                assert len({order.tobytes() for order in orders}) == len(orders), name


@pytest.mark.parametrize("sets", [*STRATIFIED[2:4], ("random=philox", *STRATIFIED[1])], ids=" ".join)
def test_of_stratified_draws_a_replica_is_the_single_run_and_resumes_bit_for_bit(sets):
    seeds = [3, 0]
    together = ensemble("draws=stratified", *sets, seeds=seeds)
    together.advance(BLOCK + 3)
    for seed, replica in zip(seeds, together.experiments, strict=True):
        alone, resumed = (experiment("draws=stratified", *sets, f"seed={seed}") for _ in range(2))
        alone.advance(BLOCK - 2)
        resumed.load(alone.arrays(), BLOCK - 2)
        for e in (alone, resumed):
            e.advance(5)
            equal_bits(replica.arrays(), e.arrays())


def test_stratified_draws_of_data_are_of_the_training_rows():
    e = experiment("draws=stratified", "batch=50", data=table(600))
    rows = e.units.to_user(e.draw(0, 40)["real"].astype("float64"))
    ordered = np.sort(e.distribution.values)
    near = np.abs(rows.reshape(-1, 1) - ordered)
    assert near.min(axis=1).max() < 1e-5 and len(set(near.argmin(axis=1))) > 450
    means = rows.mean(axis=(1, 2, 3))  # of 50 independent ones the sd would be 0.14 sd
    assert means.std() < 0.03 * ordered.std()


def test_stratified_draws_of_data_of_several_features_and_its_replicas():
    data = table(600, 2)
    together = ensemble("draws=stratified", "batch=60", seeds=[4, 5], data=data)
    together.advance(3)
    for seed, replica in zip((4, 5), together.experiments, strict=True):
        alone, plain = (
            experiment(*sets, "batch=60", f"seed={seed}", data=data) for sets in (("draws=stratified",), ())
        )
        alone.advance(3)
        equal_bits(replica.arrays(), alone.arrays())
        means = [e.draw(0, 40)["real"].mean(axis=(1, 2)).var(axis=0) for e in (alone, plain)]
        assert (means[0] < 0.2 * means[1]).all()


def test_a_best_response_has_stratified_draws_too():
    at = np.linspace(-2, 8, 9)[:, None]
    plain, e = experiment(), experiment("draws=stratified")
    found = [logits(at) for one in (plain, e, e) for logits in one.best_response((20,), batch=8)]
    assert found[1].tobytes() == found[2].tobytes() != found[0].tobytes()


# Philox


PHILOX = [
    (), ("latent.distribution=uniform", "latent.size=3", "zero_gp=1", "generator_steps=2", "dtype=float64"),
    ("standardise=false", "packing=2", "observation_noise=0.4", "instance_noise=0.3"),
    ("target=laplace(0,1)", "latent.distribution=one", "wgan_gp=1", "discriminator_steps=2",
     "observation_noise=0.1"),
    ("target=ring(8,1,0.1)", "instance_noise=0.2"),
    ("draws=stratified", "packing=2", "latent.size=2"),
    ("draws=stratified", "latent.distribution=uniform", "dtype=float64", "discriminator_steps=2"),
]  # fmt: skip


def by_philox(*sets):
    return experiment("random=philox", *sets)


@pytest.mark.parametrize("sets", PHILOX, ids=" ".join)
def test_philox_draws_the_same_bits_on_every_backend(backend, sets):
    there, here = by_philox(f"backend={backend.name}", *sets), by_philox("backend=numpy", *sets)
    for block in (0, 7):
        drawn = {name: backend.to_host(array) for name, array in there._draw(block).items()}
        equal_bits(drawn, here._draw(block))


@pytest.mark.rows("sets", PHILOX)
def test_philox_draws_what_numpy_draws_in_other_numbers(sets):
    plain, counted = experiment(*sets).draw(1, 9), by_philox(*sets).draw(1, 9)
    assert plain.keys() == counted.keys()
    for name, array in plain.items():
        assert counted[name].shape == array.shape and counted[name].dtype == array.dtype, name
    kept = {"factor", "weight"} | ({"real"} if "target" in str(sets) else set())
    kept |= {"latent_d", "latent_g"} if "latent.distribution=one" in sets else set()
    assert {name for name in plain if plain[name].tobytes() == counted[name].tobytes()} == kept


@pytest.mark.rows("sets", PHILOX)
def test_what_philox_draws_depends_on_the_step_alone_and_not_on_its_block(sets):
    e = by_philox(*sets)
    long, short = e.draw(1, 12), [e.draw(block, 4) for block in (3, 4, 5)]
    for name in long.keys() - ({"real"} if "target" in str(sets) else set()):
        assert long[name].tobytes() == b"".join(part[name].tobytes() for part in short), name


@pytest.mark.parametrize("sets", PHILOX, ids=" ".join)
def test_by_philox_a_replica_is_the_single_run_of_its_seed(sets):
    seeds = [3, 0, 2**40 + 3]
    together = ensemble("random=philox", *sets, seeds=seeds)
    together.advance(BLOCK + 3)
    for seed, replica in zip(seeds, together.experiments, strict=True):
        alone = by_philox(*sets, f"seed={seed}")
        alone.advance(BLOCK + 3)
        equal_bits(replica.arrays(), alone.arrays())


def test_by_philox_loading_continues_bit_for_bit():
    straight, resumed = (by_philox("zero_gp=1", "instance_noise=0.1") for _ in range(2))
    straight.advance(57)
    arrays = straight.arrays()
    straight.advance(30)
    resumed.load(arrays, 57)
    resumed.advance(30)
    equal_bits(resumed.arrays(), straight.arrays())


def test_numbers_by_philox_follow_their_distributions():
    """Means and sds of 409 600 numbers each; 5 sd of their errors."""
    sets = "target=normal(4,1.25)", "standardise=false", "batch=4096", "dtype=float64", "zero_gp=1"
    e = by_philox(
        *sets, "latent.distribution=uniform", "instance_noise=0.5", "steps=100000000", "eval_every=1000000"
    )
    numbers = [e.draw(block, 50) for block in (0, 1)]
    for name, mean, sd in (
        ("real", 4, 1.25), ("latent_d", 0, 3**-0.5), ("latent_g", 0, 3**-0.5), ("mix", 0.5, 12**-0.5),
        ("noise_x", 0, 0.5), ("noise_d", 0, 0.5), ("noise_g", 0, 0.5),
    ):  # fmt: skip
        values = np.concatenate([drawn[name].ravel() for drawn in numbers])
        assert abs(values.mean() - mean) < 5 * sd / np.sqrt(values.size), name
        assert abs(values.std() / sd - 1) < 5 / np.sqrt(values.size), name
    columns = np.array(
        [numbers[0][name].ravel() for name in ("real", "latent_d", "latent_g", "mix", "noise_x")]
    )
    assert abs(np.corrcoef(columns)[np.triu_indices(5, 1)]).max() < 6 / np.sqrt(columns.shape[1])
