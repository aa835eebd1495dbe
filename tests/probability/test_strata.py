"""Stratified draws: one value from each slice of probability, in random order, each with its distribution."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from minigan.probability import Empirical, parse
from minigan.probability.strata import GAP, Quantiles, slices, stratified, stratified_rows

TARGETS = (
    "normal(4, 1.25)", "cauchy(0, 1)", "student(3)", "exponential(1)", "beta(0.5, 0.5)", "uniform(-1, 3)",
    "laplace(0, 1)", "0.5*normal(-3, 1) + 0.5*normal(3, 1)", "0.3*uniform(0, 1) + 0.7*uniform(3, 4)",
)  # fmt: skip


def rng(seed=0):
    return np.random.default_rng(seed)


def slices_of(x, distribution, n):
    """Which of n slices each value is in, where rounding and a table put none across an end."""
    return np.clip(np.floor(distribution.cdf(x) * n + 1e-6), 0, n - 1)


def test_one_value_in_each_slice_of_each_column_in_random_order():
    k, v = slices(rng(), (400, 6, 2))
    assert (np.sort(k, axis=-2) == np.arange(6)[:, None]).all()
    assert v.dtype == "float32" and 0 <= v.min() < 1e-3 and 1 - 1e-3 < v.max() < 1
    # 12 counts of 72 cells, of a column's places, and of its neighbour's: chi-squared, 1e-7 each
    for a, b in ((k[:, :, 0], np.arange(6)), (k[:, :, 0], k[:, :, 1])):
        counts = np.histogram2d(np.ravel(a), np.ravel(b + 0 * a), bins=6)[0]
        assert stats.chi2.sf(((counts - counts.mean()) ** 2 / counts.mean()).sum(), 25) > 1e-7


@pytest.mark.rows("text", TARGETS)
def test_of_a_distribution(text):
    """Pooled and at one place of all batches; KS at 1e-7, and the mean of a batch."""
    distribution = parse(text)
    x = stratified_rows(distribution, rng(1), (500, 16))
    assert x.shape == (500, 16, 1) and np.isfinite(x.astype("float32")).all()
    for values in (x[:, 0, 0], x[:, 9, 0]):
        assert stats.kstest(values, distribution.cdf).pvalue > 1e-7
    assert (np.sort(slices_of(x[..., 0], distribution, 16)) == np.arange(16)).all()
    levels = distribution.cdf(x[..., 0])  # the mean of 16 independent ones has the variance 1/192
    assert levels.mean(axis=1).var() == pytest.approx(1 / 12 / 16**3, rel=0.5)


@pytest.mark.rows("text", TARGETS)
def test_tables_are_exact_to_rounding_and_one_cell_at_gaps(text):
    distribution = parse(text)
    for n in (1, 3, 256, 20_000):
        table = Quantiles(distribution, n)
        k, v = rng(2).integers(n, size=4000), rng(3).random(4000, np.float32)
        v[:2], k[:2] = [0, 1 - 2.0**-24], [0, n - 1]
        u = (k + v + 2.0**-25) / n
        error = np.abs(distribution.cdf(table(k, v)) - u)
        assert error.max() <= (1 / len(table.left) if " + " in text else 1e-6)
        assert np.median(error) < 1e-8 + 2.0**-24 / n
        near = np.minimum(u, 1 - u)
        tail = (1e-6 < near) & (near < 2e-3)
        assert (error[tail] < 1e-3 * near[tail]).all()  # of what is left of it


def test_no_value_is_in_a_gap():
    distribution = parse("0.5*uniform(0, 1) + 0.5*uniform(1000, 1001)")
    table = Quantiles(distribution, 100)
    assert (table.width == 0).sum() == 1 and GAP > 1
    x = table(np.full(9000, 50), np.linspace(0, 1, 9000, endpoint=False, dtype="float32"))
    assert ((x <= 1) | (x >= 1000)).all()
    rare = Quantiles(parse("0.9997*uniform(0, 1) + 0.0003*uniform(1000, 1001)"), 4)
    x = rare(np.full(9000, 3), 1 - np.linspace(0.00110, 0.00130, 9000, dtype="float32"))
    assert ((x <= 1) | (x >= 1000)).all() and 0 < (x > 1).sum() < 9000
    whole = Quantiles(parse("0.5*uniform(0, 1e-9) + 0.5*uniform(1, 1.000000001)"), 3)  # as good as two values
    x = whole(np.arange(3000) % 3, np.linspace(0.001, 0.999, 3000, dtype="float32"))
    assert set(np.round(x, 6)) == {0.0, 1.0}


def test_ends_of_heavy_tails_are_finite():
    ends = np.array([0, 1 - 2.0**-24], np.float32)
    for text in ("cauchy(0, 1)", "pareto(1, 1)", "student(1)"):
        x = Quantiles(parse(text), 2**20)(np.array([0, 2**20 - 1]), ends)
        assert np.isfinite(x.astype("float32")).all() and abs(x).max() > 1e10


@pytest.mark.rows("rows", [2, 5, 16, 37, 1000])
def test_of_data(rows):
    """Every row as often as any other, to one in a batch; slices of few and of many rows."""
    values = rng(rows).permutation(rows) * 1.0
    x = stratified_rows(Empirical(values), rng(4), (600, 16))[..., 0]
    in_order = np.sort(x, axis=1)
    assert ((in_order >= np.arange(16) * rows / 16 - 1) & (in_order < np.arange(1, 17) * rows / 16)).all()
    counts = np.bincount(x.astype(int).ravel(), minlength=rows)
    if rows <= 16:
        each = np.apply_along_axis(np.bincount, 1, x.astype(int), minlength=rows)
        assert (abs(each - 16 / rows) < 2 if 16 % rows else each == 16 / rows).all()
    expected = x.size / rows
    assert stats.chi2.sf(((counts - expected) ** 2 / expected).sum(), rows - 1) > 1e-7
    first = np.bincount(x[:, 3].astype(int), minlength=rows)  # at one place: independent draws
    assert stats.chi2.sf(((first - 600 / rows) ** 2 / (600 / rows)).sum(), rows - 1) > 1e-7


def test_of_data_with_ties():
    x = stratified_rows(Empirical(np.array([1.0, 1, 1, 2])), rng(5), (50, 8))[..., 0]
    assert (np.sort(x, axis=1) == [1, 1, 1, 1, 1, 1, 2, 2]).all()


def test_packs_are_of_independent_rows():
    """Correlations of 8 000 pairs within a pack and of the columns of a row: 6/√n, 1e-8."""
    uniform = parse("uniform(0, 1)")
    x = stratified(uniform, rng(6), (2000, 8), 2, 2).reshape(2000, 4, 4)
    assert (np.sort((x * 4).astype(int), axis=1) == np.arange(4)[:, None]).all()
    r = np.corrcoef(x.reshape(-1, 4).T)[np.triu_indices(4, 1)]
    assert abs(r).max() < 6 / np.sqrt(8000)
    same = (x[..., 0] * 4).astype(int) == (x[..., 1] * 4).astype(int)  # in one slice a quarter of the packs
    assert abs(same.mean() - 0.25) < 6 * np.sqrt(0.25 * 0.75 / 8000)
    assert stratified(uniform, rng(7), (5, 8), 8, 1).shape == (5, 8, 1)


# Several features

SEVERAL = (
    "ring(8, 1, 0.02)", "grid(3, 2, 0.05)", "checkerboard(4, 2)", "moons(0.1)", "normal([1, 2], [1, 3], 0.8)",
    "0.25*normal([0, 0, 0], 1, 0.5) + 0.75*normal([9, 0, 0], [1, 2, 1])",
)  # fmt: skip


@pytest.mark.rows("text", SEVERAL)
def test_of_several_features(text):
    """Each row has the distribution: energy at one place against independent draws; and means vary less."""
    distribution = parse(text)
    x = stratified_rows(distribution, rng(1), (600, 72))
    other = distribution.sample(rng(2), (600, 72))
    assert x.shape == other.shape == (600, 72, distribution.features)
    directions = rng(3).standard_normal((distribution.features, 6))
    for mine, theirs in (
        (x[:, 5], other[:, 5]),
        (x.reshape(-1, x.shape[-1])[::7], other[:90].reshape(-1, x.shape[-1])),
    ):
        for a, b in zip((mine @ directions).T, (theirs @ directions).T, strict=True):
            assert stats.ks_2samp(a, b).pvalue > 1e-7
    assert (x.mean(axis=1).var(axis=0) < 0.2 * other.mean(axis=1).var(axis=0)).all()


def test_every_mode_has_its_share_of_a_batch():
    ring = parse("ring(8, 1, 0.02)")
    for batch in (64, 30):
        x = stratified_rows(ring, rng(4), (40, batch))
        modes = np.round(np.arctan2(x[..., 1], x[..., 0]) / (2 * np.pi / 8)).astype(int) % 8
        counts = np.stack([(modes == k).sum(axis=1) for k in range(8)])
        assert (abs(counts - batch / 8) < (1e-9 if batch == 64 else 2)).all()


@pytest.mark.rows(("rows", "n"), [(3, 8), (64, 64), (1000, 64), (997, 40), (5, 1)])
def test_of_data_of_several_features(rows, n):
    values = rng(rows).standard_normal((rows, 3)) * [1, 100, 0] + [0, 5, 7]  # one is constant
    data = Empirical(values)
    ordered = data.in_slices(n, np.arange(rows))
    assert sorted(map(tuple, ordered)) == sorted(map(tuple, values))
    x = stratified_rows(data, rng(1), (400, n))
    number = {row.tobytes(): k for k, row in enumerate(ordered)}
    which = np.array([[number[row.tobytes()] for row in batch] for batch in x])
    low = np.arange(n) * rows / n
    assert ((np.sort(which, axis=1) >= np.floor(low)) & (np.sort(which, axis=1) < low + rows / n)).all()
    for seen in (which, which[:, n // 2]):  # every row as often, also at one place
        expected = seen.size / rows
        counts = np.bincount(seen.ravel(), minlength=rows)
        assert stats.chi2.sf(((counts - expected) ** 2 / expected).sum(), max(1, rows - 1)) > 1e-7


def test_slices_of_data_are_of_neighbours():
    """The mean of a batch of neighbours' representatives varies far less than that of independent rows."""
    data = Empirical(rng(5).standard_normal((4000, 2)) * [1, 1000])
    x, other = stratified_rows(data, rng(6), (300, 64)), data.sample(rng(7), (300, 64))
    assert (x.mean(axis=1).var(axis=0) < 0.1 * other.mean(axis=1).var(axis=0)).all()
    products = [
        (rows.prod(axis=2)).mean(axis=1).var() for rows in (x, other)
    ]  # which no single feature tells
    assert products[0] < 0.3 * products[1]
    packed = stratified_rows(data, rng(8), (50, 64), packing=4)
    assert packed.shape == (50, 64, 2)


def test_what_is_not_made_of_uniform_numbers_has_independent_draws():
    images = SimpleNamespace(features=2, sample=lambda rng, shape: rng.random((*shape, 2)))
    assert stratified_rows(images, rng(9), (4, 3)).tobytes() == rng(9).random((4, 3, 2)).tobytes()
