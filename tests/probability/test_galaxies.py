"""Galaxies: profiles against quadrature, images against photons shot one by one, text forms."""

import math

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import ndtr

from minigan.probability.galaxies import (
    GalaxyImages,
    Light,
    render,
    sersic_b,
    sersic_enclosed,
    sersic_intensity,
)
from minigan.probability.text_form import parse

# ── the profile


def test_b_of_graham_and_driver_and_of_mpmath():
    assert sersic_b([1, 4]) == pytest.approx([1.67834699, 7.66924944], abs=1e-8)
    for n in (0.5, 0.8, 2.5, 8.0):
        b = mpmath.findroot(
            lambda b, n=n: mpmath.gammainc(2 * n, 0, b, regularized=True) - 0.5, 2 * n - 1 / 3
        )
        assert float(sersic_b(n)) == pytest.approx(float(b), rel=1e-12)
    assert sersic_b(0.5) == pytest.approx(math.log(2))  # a Gaussian's half-light radius is √(2 ln 2) sd


@pytest.mark.rows("index", [0.5, 1, 2.3, 4, 6])
def test_enclosed_flux_is_the_integral_of_the_intensity(index):
    def ring(r):
        return 2 * math.pi * r * float(sersic_intensity(r, 30.0, 2.5, index))

    for r in (0.3, 2.5, 10):
        direct, _ = integrate.quad(ring, 0, r, epsabs=1e-11, epsrel=1e-11, limit=500)
        assert sersic_enclosed(r, 30.0, 2.5, index) == pytest.approx(direct, rel=1e-8)
    assert sersic_enclosed(2.5, 30.0, 2.5, index) == pytest.approx(15)
    assert sersic_enclosed(1e6, 30.0, 2.5, index) == pytest.approx(30)


# ── images


def gaussian_image(size, flux, sd_x, sd_y, x, y):
    """A normal distribution integrated over the pixels: exact."""
    edges = np.arange(size + 1) - size / 2
    columns, rows = np.diff(ndtr((edges - x) / sd_x)), np.diff(ndtr((edges - y) / sd_y))
    return flux * rows[:, None] * columns


@pytest.mark.parametrize(("angle", "swap"), [(0.0, False), (math.pi / 2, True)])
def test_a_gaussian_galaxy_is_known_exactly(angle, swap):
    sd, ratio, psf = 2.0, 0.4, 0.9
    light = Light(50.0, sd * math.sqrt(2 * math.log(2)), 0.5, ratio, angle, 0.3, -0.7)
    wide, narrow = math.hypot(sd, psf), math.hypot(ratio * sd, psf)
    expected = gaussian_image(16, 50.0, *((narrow, wide) if swap else (wide, narrow)), 0.3, -0.7)
    assert np.abs(render(light, 16, psf)[0] - expected).max() < 1e-5 * expected.max()


def photons(rng, count, light, psf):
    """Photons of one galaxy: the enclosed flux says that b (r/radius)^{1/n} is Gamma(2n)."""
    n = light.index[0]
    r = light.radius[0] * (rng.gamma(2 * n, size=count) / sersic_b(n)) ** n
    turn = 2 * np.pi * rng.random(count)
    along, across = r * np.cos(turn), r * np.sin(turn) * light.ratio[0]
    cos, sin = np.cos(light.angle[0]), np.sin(light.angle[0])
    x, y = light.x[0] + cos * along - sin * across, light.y[0] + sin * along + cos * across
    return x + psf * rng.standard_normal(count), y + psf * rng.standard_normal(count)


@pytest.mark.parametrize(("index", "ratio", "radius"), [(4.0, 0.6, 2.4), (1.0, 0.2, 3.5), (6.0, 1.0, 1.5)])
def test_images_agree_with_photons_shot_one_by_one(index, ratio, radius):
    """False alarms: 256 counts, each beyond 6.5 sd in 1e-10 of all runs; 1e-7 for the three."""
    rng, count, size = np.random.default_rng(3), 1_000_000, 16
    light = Light(float(count), radius, index, ratio, 0.6, 0.3, -0.2)
    x, y = photons(rng, count, light, 0.8)
    edges = np.arange(size + 1) - size / 2
    seen, _, _ = np.histogram2d(y, x, bins=(edges, edges))
    expected = render(light, size, 0.8)[0]
    z = (seen - expected) / np.sqrt(expected)
    assert np.abs(z[expected > 50]).max() < 6.5
    mirrored = render(Light(float(count), radius, index, ratio, -0.6, 0.3, -0.2), size, 0.8)[0]
    if ratio < 1:  # the test can fail: the other way round is seen at once
        assert np.abs((seen - mirrored) / np.sqrt(mirrored)).max() > 20


def test_more_nodes_change_little():
    light = GalaxyImages(16).parameters(np.random.default_rng(5), 60)
    images, finer = render(light, 16), render(light, 16, density=6)
    assert (np.abs(images - finer).max((1, 2)) < 3e-4 * finer.max((1, 2))).all()
    assert np.abs(render(light, 16, dtype="float32") - images).max() < 1e-5


def test_a_galaxy_does_not_depend_on_its_company():
    light = GalaxyImages(16).parameters(np.random.default_rng(6), 400)
    together, alone = render(light, 16), render(light[7:8], 16)
    assert alone[0] == pytest.approx(together[7], abs=3e-4 * alone.max())


def spiral(**changes):
    given = {"flux": 100.0, "radius": 8.0, "index": 1.0, "ratio": 1.0, "angle": 0.0, "x": 0.0, "y": 0.0,
             "arms": 2.0, "contrast": 0.8, "pitch": 0.35, "phase": 0.0}  # fmt: skip
    return Light(**(given | changes))


def wave(image, arms, r, width=0.6):
    """The phase of the wave around the circle of radius r."""
    u = np.arange(len(image)) - (len(image) - 1) / 2
    turn, d = np.arctan2(u[:, None], u), np.hypot(u[:, None], u)
    ring = np.exp(-0.5 * ((d - r) / width) ** 2)
    return np.angle((image * ring * np.exp(1j * arms * turn)).sum())


@pytest.mark.rows("arms", [2, 3])
@pytest.mark.rows("pitch", [0.35, -0.5])
def test_arms_are_logarithmic_spirals(arms, pitch):
    """θ = phase/arms + ln(r/radius)/tan(pitch) along an arm."""
    image = render(spiral(arms=arms, pitch=pitch, phase=1.0), 64)[0]
    for r in (7, 8, 10):
        expected = 1.0 + arms * math.log(r / 8.0) / math.tan(pitch)
        assert abs(np.angle(np.exp(1j * (wave(image, arms, r) - expected)))) < 0.12


def test_arms_take_no_light_and_leave_the_half_light_ellipse():
    with_arms, without = (render(spiral(contrast=c, radius=3.0), 48)[0] for c in (0.9, 0.0))
    assert with_arms.sum() == pytest.approx(without.sum(), rel=1e-5)
    u = np.arange(48) - 23.5
    inside = np.hypot(u[:, None], u) < 4
    assert with_arms[inside].sum() == pytest.approx(without[inside].sum(), rel=2e-3)
    assert np.abs(with_arms - without).max() > 0.05 * without.max()


def test_the_sense_of_winding_is_a_mirror():
    left, right = (render(spiral(pitch=p), 32)[0] for p in (0.4, -0.4))
    assert left == pytest.approx(right[::-1], abs=1e-9)
    assert np.abs(left - right).max() > 0.01 * left.max()


@pytest.mark.rows("bad", [{"radius": 0.0}, {"index": -1.0}, {"ratio": 0.0}, {"ratio": 1.2}])
def test_impossible_light_is_refused(bad):
    with pytest.raises(ValueError, match="radius > 0, index > 0 and 0 < ratio"):
        spiral(**bad)


def test_impossible_images_are_refused():
    for arguments in ((0, 1.0), (16, 0.0)):
        with pytest.raises(ValueError, match="size ≥ 1, psf > 0"):
            render(spiral(), *arguments)


# ── the distribution


def test_samples_have_the_shape_that_is_asked_for():
    distribution, rng = GalaxyImages(8), np.random.default_rng(0)
    assert distribution.features == 64
    assert distribution.sample(rng).shape == (64,)
    assert (
        distribution.sample(rng, (3, 5)).shape == (3, 5, 64)
        and distribution.sample(rng, 4).dtype == np.float64
    )
    assert distribution.fresh(rng, 3).shape == (3, 64)
    again = [GalaxyImages(8).sample(np.random.default_rng(2), (4,)) for _ in range(2)]
    assert (again[0] == again[1]).all()


def test_the_noise_is_the_sky_alone():
    """False alarm below 1e-6: 64 000 normal numbers, KS at the level 1e-7, sd within 6.5 of its own."""
    quiet, noisy = (GalaxyImages(16, sd).sample(np.random.default_rng(1), (250,)) for sd in (0.0, 0.2))
    noise = (noisy - quiet).ravel()
    assert abs(noise.std() / 0.2 - 1) < 6.5 / math.sqrt(2 * noise.size)
    assert stats.kstest(noise / 0.2, "norm").pvalue > 1e-7
    assert quiet.min() >= 0


def test_the_bank_is_the_distribution():
    """Samples from the bank and new galaxies: KS of flux and of the peak at the level 1e-7 each."""
    distribution, rng = GalaxyImages(16), np.random.default_rng(8)
    a, b = distribution.sample(rng, (3000,)), distribution.fresh(rng, 3000)
    for statistic in (lambda x: x.sum(1), lambda x: x.max(1), lambda x: x[:, 8 * 16 + 9]):
        assert stats.ks_2samp(statistic(a), statistic(b)).pvalue > 1e-7


def test_mean_and_sd_are_those_of_the_samples():
    """Within 6.5 standard errors of 20 000 samples in each of 256 pixels (sd: with room for kurtosis)."""
    distribution = GalaxyImages(16)
    x = distribution.sample(np.random.default_rng(9), (20_000,))
    assert (np.abs(x.mean(0) - distribution.mean) < 6.5 * distribution.sd / math.sqrt(len(x))).all()
    fourth = np.mean((x - distribution.mean) ** 4, axis=0)
    error = np.sqrt(fourth / distribution.sd**4 - 1) / (2 * math.sqrt(len(x)))
    assert (np.abs(x.std(0) / distribution.sd - 1) < 7 * error).all()
    square = distribution.mean.reshape(16, 16)
    assert square == pytest.approx(square.T) and square == pytest.approx(square[::-1])


def test_parameters_follow_their_distributions():
    """KS at the level 1e-7 of each."""
    light = GalaxyImages(16).parameters(np.random.default_rng(10), 5000)
    thickness = np.clip(0.15 * light.index, 0.15, 0.8)
    cos_i = np.sqrt((light.ratio**2 - thickness**2) / (1 - thickness**2))
    late = light.index < 1  # all of these have arms
    samples = {
        "flux": (np.log(light.flux / 20) / 0.3, stats.norm),
        "radius": (np.log(light.radius / (0.17 * 16)) / 0.2, stats.norm),
        "index": (np.log(light.index / 1.3) / 0.45, stats.norm),
        "inclination": (cos_i, stats.uniform),
        "angle": (light.angle, stats.uniform(0, math.pi)),
        "x": (light.x, stats.uniform(-0.5, 1)),
        "y": (light.y, stats.uniform(-0.5, 1)),
        "pitch": (np.degrees(np.abs(light.pitch)), stats.uniform(12, 23)),
        "contrast": (light.contrast[late], stats.uniform(0.4, 0.6)),
        "phase": (light.phase, stats.uniform(0, 2 * math.pi)),
    }
    for name, (values, distribution) in samples.items():
        assert stats.kstest(values, distribution.cdf).pvalue > 1e-7, name
    assert (light.contrast[light.index > 2] == 0).all()
    for share, expected in (((light.arms == 2).mean(), 0.75), ((light.pitch > 0).mean(), 0.5)):
        assert abs(share - expected) < 6 * math.sqrt(0.25 / 5000)


def test_larger_images_show_the_same_galaxies_finer():
    small, large = (GalaxyImages(s).parameters(np.random.default_rng(4), 50) for s in (16, 32))
    assert large.radius == pytest.approx(2 * small.radius) and large.flux == pytest.approx(4 * small.flux)
    assert (large.index == small.index).all()


@pytest.mark.parametrize("text", ["galaxies(16)", "galaxies(8, 0.05)", "galaxies(32, 0)"])
def test_the_text_form_reads_back(text):
    distribution = parse(text)
    assert isinstance(distribution, GalaxyImages) and parse(str(distribution)) == distribution
    assert str(distribution).startswith(text.rstrip(")"))


@pytest.mark.rows(("text", "complaint"), [
    ("galaxies(3)", "size from 4 to 128"), ("galaxies(16.5)", "whole number"),
    ("galaxies(16, -1)", "noise ≥ 0"),
    ("0.5*galaxies(16) + 0.5*normal(0, 1)", "stands alone"),
])  # fmt: skip
def test_a_wrong_text_is_refused(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse(text)


@pytest.mark.rows("size", [3, 129, 4.5, math.inf, -math.inf, math.nan])
def test_an_image_has_a_whole_number_of_pixels(size):
    with pytest.raises(ValueError, match="a size from 4 to 128 pixels, a whole number; received"):
        GalaxyImages(size)
