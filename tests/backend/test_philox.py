"""Numbers by counter: known answers, the same bits from NumPy and CUDA C, distributions, independence."""

import math

import mpmath
import numpy as np
import pytest
from scipy import special, stats

from minigan import backend as backends
from minigan.backend import philox
from minigan.backend.kernels import source
from minigan.testing.cuda_on_cpu import HostModule

HERE = backends.numpy_backend
ONES = 2**32 - 1
MANY = 4_000_000


def draw(distribution="normal", shape=(6,), steps=range(3), on=HERE, **options):
    options = {"seed": 1, "stream": 2} | options
    return getattr(philox, distribution)(on, shape, steps=steps, **options)


def bits(array):
    return array.view(f"u{array.itemsize}")


@pytest.fixture(scope="module")
def large():
    return {
        distribution: draw(distribution, (MANY,), range(1), seed=20)[0]
        for distribution in ("uniform", "normal")
    }


# The words


@pytest.mark.parametrize(("counter", "key", "words"), [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((ONES,) * 4, (ONES,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
])  # fmt: skip
def test_known_answers(counter, key, words):
    """Those of Random123's kat_vectors."""
    assert " ".join(f"{int(x):08x}" for x in philox.philox(counter, key)) == words


def test_words_are_made_one_by_one_or_together():
    rng = np.random.default_rng(0)
    counter, key = rng.integers(0, 2**32, (4, 5, 7), np.uint64), rng.integers(0, 2**32, (2, 5, 1), np.uint64)
    together = philox.philox(counter, key)
    for i, j in np.ndindex(5, 7):
        alone = philox.philox(counter[:, i, j], key[:, i, 0])
        assert [int(x) for x in alone] == [int(x[i, j]) for x in together]


def test_a_number_can_be_drawn_again_from_its_indices():
    step, element = 2**32 + 5, 5
    numbers = draw("uniform", (3, 4), range(step - 2, step + 2), replicas=[7, 9], axis=1, seed=3, stream=4)
    words = philox.philox((element // 4, 4, 5, 1), philox.key(3, 9))
    expected = ((int(words[element % 4]) >> 9) + 0.5) * 2.0**-23
    assert numbers[2].swapaxes(0, 1)[1].reshape(-1)[element] == expected


def test_float64_takes_two_words():
    numbers = draw("uniform", (3,), range(1), dtype="float64")[0]
    w = [int(x) for x in philox.philox((0, 2, 0, 0), philox.key(1))]
    assert numbers[1] == ((w[3] << 32 | w[2]) >> 12) * 2.0**-52 + 2.0**-53


def test_keys():
    assert philox.key(5, 3) == (5, 3)
    large = [
        philox.key(seed, replica) for seed in (5, 5 + 2**32, 5 + 2**33, 5 + 2**62) for replica in range(50)
    ]
    assert len(set(large)) == len(large)
    assert all(0 <= word <= ONES for word in philox.key(2**63 - 1, 2**31))


# What a number depends on, and what not


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("distribution", ["uniform", "normal"])
def test_numbers_do_not_depend_on_what_is_drawn_beside_them(distribution, dtype):
    every = draw(distribution, (3, 5), range(10, 30), replicas=4, dtype=dtype)
    for part in (range(10, 11), range(13, 20), range(29, 30)):
        some = draw(distribution, (3, 5), part, replicas=[2, 0], dtype=dtype)
        np.testing.assert_array_equal(some, every[part.start - 10 : part.stop - 10, [2, 0]])
    longer = draw(distribution, (7, 5), range(10, 30), replicas=4, dtype=dtype)
    np.testing.assert_array_equal(longer[:, :, :3], every)


def test_chunks_leave_no_trace(monkeypatch):
    expected = [draw(shape=shape, steps=range(9), replicas=5) for shape in ((3,), (50,), (7, 3, 5))]
    monkeypatch.setattr(philox, "CHUNK", 7)
    for numbers, shape in zip(expected, ((3,), (50,), (7, 3, 5)), strict=True):
        np.testing.assert_array_equal(draw(shape=shape, steps=range(9), replicas=5), numbers)


def test_every_index_matters():
    base = draw()
    for change in ({"seed": 2}, {"seed": 1 + 2**32}, {"stream": 3}, {"steps": range(3, 6)},
                   {"steps": range(2**32, 2**32 + 3)}, {"replicas": [1]}):  # fmt: skip
        other = draw(**change).reshape(base.shape)
        assert not (other == base).any()


def test_seeds_beside_each_other_are_each_alone():
    together = draw(shape=(2, 3), seed=[4, 2**40, 4], axis=1)
    assert together.shape == (3, 2, 3, 3)
    for k, seed in enumerate((4, 2**40, 4)):
        np.testing.assert_array_equal(together[:, :, k], draw(shape=(2, 3), seed=seed))


@pytest.mark.rows("axis", [0, 1, 2, 3])
def test_the_replica_axis_stands_where_it_is_wanted(axis):
    numbers, shape = draw(shape=(2, 3, 5), replicas=4, axis=axis), (2, 3, 5)
    assert numbers.shape == (3, *shape[:axis], 4, *shape[axis:]) and numbers.flags.c_contiguous
    np.testing.assert_array_equal(np.moveaxis(numbers, axis + 1, 1), draw(shape=shape, replicas=4))


@pytest.mark.rows("shape", [(), (0,), (2, 0, 3), (1,)])
def test_shapes_without_elements_and_with_one(shape):
    assert draw(shape=shape).shape == (3, *shape)
    assert draw(shape=shape, replicas=2).shape == (3, 2, *shape)
    assert draw(shape=shape, steps=range(5, 5)).shape == (0, *shape)


@pytest.mark.rows(("options", "words"), [
    ({"dtype": "float16"}, "float32 or float64"), ({"steps": range(0, 4, 2)}, "without gaps"),
    ({"steps": range(-1, 3)}, "below 2⁶⁴"), ({"stream": -1}, "below 2³²"), ({"stream": 2**32}, "below 2³²"),
    ({"seed": [1, 2], "replicas": 3}, "2 seeds for 3 replicas"), ({"columns": 4}, "4 columns must divide 6"),
    ({"columns": 2, "stream": 2**16}, "below 2¹⁶"),
])  # fmt: skip
def test_refusals(options, words):
    with pytest.raises(ValueError, match=words):
        draw(**options)


# The same bits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_every_backend_draws_the_same_bits(backend, distribution, dtype):
    for shape, options in (
        ((250_003,), {}), ((2, 3, 5), {"replicas": 7, "axis": 1}), ((3,), {"seed": [4, 2**50]}),
        ((0, 3), {"replicas": 2}), ((), {"replicas": [5, 3]}),
    ):  # fmt: skip
        options = {"shape": shape, "steps": range(2**32 - 2, 2**32 + 2), "dtype": dtype} | options
        numbers = draw(distribution, on=backend, **options)
        assert type(numbers) is backend.array_type
        np.testing.assert_array_equal(bits(backend.to_host(numbers)), bits(draw(distribution, **options)))


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("distribution", ["uniform", "normal"])
def test_stratified_numbers_have_the_same_bits_alone_together_and_everywhere(backend, distribution, dtype):
    for shape, columns in (
        ((2, 256, 1), 1),
        ((1, 12, 3), 6),
        ((3, 5, 1), 1),
        ((2, 12, 1), 12),
        ((1, 300), 1),
    ):
        options = {
            "shape": shape, "columns": columns, "axis": 1, "dtype": dtype, "seed": [3, 2**40 + 1],
            "steps": range(2**32 - 1, 2**32 + 2),
        }  # fmt: skip
        every = draw(distribution, **options)
        there = backend.to_host(draw(distribution, on=backend, **options))
        np.testing.assert_array_equal(bits(there), bits(every))
        alone = draw(distribution, **options | {"seed": 2**40 + 1, "steps": range(2**32, 2**32 + 1)})
        np.testing.assert_array_equal(bits(alone[0]), bits(every[1, :, 1]))


ENDS = r"""
extern "C" __global__ void ends(const unsigned* words, float* single, double* wide) {
    const uint4 w = make_uint4(words[0], words[1], words[2], words[3]);
    Philox<float>::normals(w, single), Philox<float>::uniforms(w, single + 4);
    Philox<double>::normals(w, wide), Philox<double>::uniforms(w, wide + 2);
}
"""


def test_the_ends_of_the_range_have_the_same_bits():
    """Words that no draw of a million meets: the first and last numbers, and those about sqrt(1/2)."""
    kernel = HostModule(source("philox") + ENDS).kernel("ends")
    root = int(math.sqrt(0.5) * 2**32)
    words = [0, 1, 2, 255, 256, 511, 512, 2**31 - 1, 2**31, 2**30, 2**32 - 257, 2**32 - 128, ONES - 1, ONES,
             root - 300, root - 100, root, root + 100, root + 300]  # fmt: skip
    rng = np.random.default_rng(1)
    for _ in range(500):
        w = rng.choice(words, 4).astype(np.uint32)
        single, wide = np.empty(8, np.float32), np.empty(4, np.float64)
        kernel((1,), (1,), (w, single, wide))
        for out, dtype in ((single, np.dtype("float32")), (wide, np.dtype("float64"))):
            integers, n = philox._integers(list(w.astype(np.uint64).reshape(4, 1)), dtype), len(out) // 2
            expected = np.empty((2, 1, n), dtype)
            philox._normals(integers, expected[0])
            philox._uniforms(integers, expected[1])
            np.testing.assert_array_equal(bits(out), bits(expected.reshape(-1)))
            assert np.isfinite(out).all() and (out[n:] > 0).all() and (out[n:] < 1).all()


# How good the functions are


def ulps(found, exact):
    """The greatest error in units of the last place of the exact values, which are wider."""
    return float(np.max(np.abs(found - exact) / np.spacing(np.abs(exact).astype(found.dtype))))


def test_the_sine_of_every_third_angle():
    a = ((np.arange(0, 2**23, 3) + 0.5) * 2.0**-23).astype(np.float32)
    assert ulps(philox._sine(a), np.sin(np.pi / 2 * a.astype(np.float64))) < 2.0


def test_the_radius():
    x = np.random.default_rng(2).integers(0, 2**32, 1_000_000, np.uint32)
    x[:1000], x[-1000:] = np.arange(1000), ONES - 400 - np.arange(1000)  # both ends; the last are exactly 0
    u = x.astype(np.float32).astype(np.float64) * 2.0**-32 + 2.0**-33
    u = u.astype(np.float32).astype(np.float64)
    found = philox._radius(x, np.dtype("float32"))
    assert ulps(found, np.sqrt(-2 * np.log(u))) < 2.5
    assert 6.75 < found.max() < 6.8


def test_in_float64_against_mpmath():
    rng = np.random.default_rng(3)
    a, x = (rng.integers(0, 2**53, 1500) | 1) * 2.0**-53, rng.integers(0, 2**64, 1500, np.uint64)
    x[:100], x[-100:] = np.arange(100), np.uint64(2**64 - 10**6) - np.arange(100, dtype=np.uint64) ** 3
    radius, sine = philox._radius(x, np.dtype("float64")), philox._sine(a)
    u = x.astype(np.float64) * 2.0**-64 + 2.0**-65
    with mpmath.workdps(40):
        for found, exact in (
            (sine, [mpmath.sin(mpmath.pi / 2 * mpmath.mpf(float(t))) for t in a]),
            (radius, [mpmath.sqrt(-2 * mpmath.log(mpmath.mpf(float(t)))) for t in u]),
        ):
            worst = max(abs(mpmath.mpf(float(f)) - e) / mpmath.mpf(float(np.spacing(float(e)))) for f, e in
                        zip(found, exact, strict=True) if e)  # fmt: skip
            assert worst < 2.5


@pytest.mark.parametrize(("dtype", "worst"), [("float32", 6), ("float64", 8)])
def test_normal_quantiles(dtype, worst):
    """Against SciPy's; its own error in float64 counts with ours."""
    levels = np.concatenate(
        [np.linspace(0, 1, 40_001)[1:-1], 2.0 ** -np.arange(1, 52), [0.075, 0.925, 1e-12]]
    )
    found, exact = philox._quantiles(levels, np.dtype(dtype)), special.ndtri(levels)
    away = np.abs(exact) > 1e-3
    assert ulps(found[away], exact[away]) < worst and np.abs(found - exact)[~away].max() < 1e-9
    upper = philox._quantiles(1 - levels[levels > 1e-9], np.dtype(dtype))
    np.testing.assert_allclose(upper, -special.ndtri(1 - (1 - levels[levels > 1e-9])), rtol=1e-5, atol=1e-9)


# Strata


@pytest.mark.rows("n", [1, 2, 3, 5, 8, 100, 256])
def test_a_shuffle_is_one_and_its_places_and_pairs_are_uniform(n):
    """8000 shuffles; chi-squared of a few places, and of how far two rows end apart, 1e-7 each."""
    words = np.random.default_rng(n).integers(0, 2**32, (4, 8000, 1, 1), np.uint32)
    x = philox._shuffled(n, list(words))[..., 0].astype(int)
    assert (np.sort(x, axis=1) == np.arange(n)).all()
    for i in {0, n // 2, n - 1}:
        assert n == 1 or stats.chisquare(np.bincount(x[:, i], minlength=n)).pvalue > 1e-7
        j = (i + 1) % n
        apart = np.bincount((x[:, j] - x[:, i]) % n, minlength=n)
        assert n < 3 or (apart[0] == 0 and stats.chisquare(apart[1:]).pvalue > 1e-7)


@pytest.mark.parametrize(("distribution", "cdf"), [("uniform", lambda u: u), ("normal", special.ndtr)])
def test_stratified_numbers_have_one_in_each_slice_and_each_its_distribution(distribution, cdf):
    levels = cdf(draw(distribution, (2, 16, 3), range(500), axis=1, columns=3, dtype="float64"))
    assert (np.sort((levels * 16 - 1e-11).astype(int), axis=2) == np.arange(16)[:, None]).all()
    for place in (levels.ravel(), levels[:, 0, 3, 0], levels[:, 1, 11, 2]):
        assert stats.kstest(place, "uniform").pvalue > 1e-7
    r = np.corrcoef(levels.reshape(-1, 3).T)[np.triu_indices(3, 1)]
    assert abs(r).max() < 6 / np.sqrt(16_000)
    orders = levels.argsort(axis=2).transpose(0, 1, 3, 2).reshape(-1, 16)
    assert len(np.unique(orders, axis=0)) == len(orders)
    alone = draw(distribution, (900, 1, 1), range(1), axis=1, columns=1)  # a slice of all
    assert stats.kstest(cdf(alone.ravel()), "uniform").pvalue > 1e-7


# The distributions


def test_uniform_numbers_are_uniform(large):
    x = np.sort(large["uniform"]).astype(np.float64)
    assert 0 < x[0] and x[-1] < 1
    assert abs(x.mean() - 0.5) < 4 / math.sqrt(12 * MANY)
    assert abs(x.var() - 1 / 12) < 4 / math.sqrt(180 * MANY)
    assert kolmogorov(x) > 0.001


def test_normal_numbers_are_normal(large):
    x = np.sort(large["normal"]).astype(np.float64)
    power = np.ones_like(x)
    for k, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):  # of xᵏ
        power *= x
        assert abs(power.mean() - moment) < 4 * math.sqrt(variance / MANY), k
    assert kolmogorov(special.ndtr(x)) > 0.001
    for level in (3, 4, 5):  # the tails, where Box and Muller's radius decides
        expected = MANY * 2 * special.ndtr(-level)
        assert abs((np.abs(x) > level).sum() - expected) < 4 * math.sqrt(expected), level


def kolmogorov(ordered):
    """The p value of ordered values of a distribution's own distribution function."""
    steps = np.arange(len(ordered) + 1) / len(ordered)
    distance = max((ordered - steps[:-1]).max(), (steps[1:] - ordered).max())
    return stats.kstwobign.sf(distance * math.sqrt(len(ordered)))


def test_in_float64_too():
    x = draw("normal", (300_000,), range(1), dtype="float64", seed=21)[0]
    u = draw("uniform", (300_000,), range(1), dtype="float64", seed=22)[0]
    assert kolmogorov(np.sort(special.ndtr(x))) > 0.001 and kolmogorov(np.sort(u)) > 0.001


def test_directions_have_no_preference(large):
    x, y = large["normal"][:2_000_000].reshape(-1, 2).T
    angle = np.sort((np.arctan2(y, x).astype(np.float64) / (2 * np.pi)) % 1.0)
    assert kolmogorov(angle) > 0.001
    octants = np.bincount(4 * (x > 0) + 2 * (y > 0) + (np.abs(x) > np.abs(y)), minlength=8)
    assert stats.chisquare(octants).pvalue > 0.001


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_numbers_are_independent(distribution):
    n, common = 200_000, {"seed": 30, "stream": 0}
    base = draw(distribution, (n,), range(1), **common)[0]
    others = {
        "streams": draw(distribution, (n,), range(1), **common | {"stream": 1})[0],
        "replicas": draw(distribution, (n,), range(1), replicas=[1], **common)[0, 0],
        "seeds": draw(distribution, (n,), range(1), **common | {"seed": 31})[0],
        "steps": draw(distribution, (n,), range(1, 2), **common)[0],
        "large steps": draw(distribution, (n,), range(2**32, 2**32 + 1), **common)[0],
        "elements": np.roll(base, 1), "counters": np.roll(base, 4),
        "in a pair": base.reshape(-1, 2)[:, ::-1].ravel(),
    }  # fmt: skip
    for name, other in others.items():
        for f in (np.asarray, np.square, np.abs):
            r = np.corrcoef(f(base.astype(np.float64)), f(other.astype(np.float64)))[0, 1]
            assert abs(r) < 4.5 * math.sqrt(2 / n), (name, f)


def test_no_counter_is_used_twice():
    """Blocks of steps, streams, replicas: all of their words differ."""
    words = [
        philox.philox((np.arange(40)[:, None], stream, np.arange(k, k + 25), 0), philox.key(1, replica))
        for stream in (0, 1, 2) for k in (0, 25, 50) for replica in (0, 1)
    ]  # fmt: skip
    columns = np.concatenate([np.reshape(w, (4, -1)) for w in words], axis=1)
    assert np.unique(columns, axis=1).shape[1] == columns.shape[1] == 18_000
