"""Measurements of galaxies give back what was put in, and stay finite where there is nothing."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from minigan.evaluation.morphology import adaptive_moments, fit_sersic, half_light_radius, measure
from minigan.probability.galaxies import GalaxyImages, Light, render, sersic_enclosed

HALF = math.sqrt(2 * math.log(2))  # half-light radius of a round Gaussian over its sd


def gaussian(size=32, sd=3.0, ratio=0.5, angle=0.4, x=0.3, y=-0.6, flux=50.0, psf=0.9):
    return render(Light(flux, sd * HALF, 0.5, ratio, angle, x, y), size, psf)


def test_moments_of_a_gaussian_are_its_own():
    """M = R diag(sd², (ratio sd)²) Rᵀ + psf² + 1/12, the last being the pixel's."""
    x, y, xx, xy, yy = adaptive_moments(gaussian())[0]
    cos, sin = math.cos(0.4), math.sin(0.4)
    turn = np.array([[cos, -sin], [sin, cos]])
    expected = turn @ np.diag([9.0, 2.25]) @ turn.T + (0.81 + 1 / 12) * np.eye(2)
    assert [x, y] == pytest.approx([0.3, -0.6], abs=1e-4)
    assert [xx, xy, yy] == pytest.approx([expected[0, 0], expected[0, 1], expected[1, 1]], rel=2e-3)


def test_ellipticity_and_angle_of_a_gaussian():
    seen = measure(np.concatenate([gaussian(angle=a) for a in (0.0, 0.7, math.pi / 2, -1.2)]))
    axes = np.sqrt(np.array([2.25, 9.0]) + 0.81 + 1 / 12)
    assert seen.ellipticity == pytest.approx(np.full(4, 1 - axes[0] / axes[1]), rel=3e-3)
    turned = np.angle(np.exp(2j * (seen.angle - np.array([0.0, 0.7, math.pi / 2, -1.2]))))
    assert turned == pytest.approx(np.zeros(4), abs=1e-3)
    assert seen.flux == pytest.approx(np.full(4, 50.0), rel=1e-3)


def test_half_light_radius_of_a_gaussian():
    image = gaussian(size=48, sd=4.0, ratio=1.0)
    expected = HALF * math.sqrt(16 + 0.81 + 1 / 12)
    assert half_light_radius(image, [0.3], [-0.6])[0] == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("index", [1.0, 2.0])
def test_half_light_radius_of_a_sersic_profile_within_the_largest_circle(index):
    """The blur of 0.8 pixels adds little to a radius of 6."""
    image = render(Light(100.0, 6.0, index), 64, 0.8)
    whole = sersic_enclosed(32.0, 100.0, 6.0, index)
    expected = brentq(lambda r: sersic_enclosed(r, 100.0, 6.0, index) - whole / 2, 1, 20)
    assert measure(image).radius[0] == pytest.approx(expected, rel=0.03)


def test_measurements_turn_with_the_image():
    images = GalaxyImages(16).fresh(np.random.default_rng(0), 50).reshape(-1, 16, 16)
    seen, turned = measure(images), measure(images.transpose(0, 2, 1))
    for name in ("flux", "radius", "ellipticity"):
        assert getattr(seen, name) == pytest.approx(getattr(turned, name), rel=1e-6)
    assert seen.x == pytest.approx(turned.y, abs=1e-6)


def test_measurements_of_noise_are_finite():
    rng = np.random.default_rng(1)
    images = np.concatenate([rng.standard_normal((50, 16, 16)), np.zeros((1, 16, 16)), -np.ones((1, 16, 16))])
    for values in vars(measure(images)).values():
        assert np.isfinite(values).all()
    fit = fit_sersic(images[:10], iterations=5)
    assert np.isfinite(fit.residual).all() and (fit.light.ratio > 0).all()


def test_a_fit_gives_back_the_parameters_without_noise():
    light = GalaxyImages(16).parameters(np.random.default_rng(2), 60)
    light = Light(light.flux, light.radius, light.index, light.ratio, light.angle, light.x, light.y)
    fit = fit_sersic(render(light, 16).reshape(60, 256))
    for name in ("flux", "radius", "index", "ratio"):
        assert getattr(fit.light, name) == pytest.approx(getattr(light, name), rel=3e-3), name
    assert fit.light.x == pytest.approx(light.x, abs=1e-3)
    elongated = light.ratio < 0.9
    turned = np.angle(np.exp(2j * (fit.light.angle - light.angle)))
    assert np.abs(turned[elongated]).max() < 5e-3


def test_a_fit_of_noisy_images_is_as_good_as_the_noise_allows():
    """Residuals are χ² of 256 − 7 degrees of freedom: their mean over 100 images within 6.5 of its errors."""
    rng, count, noise = np.random.default_rng(3), 100, 0.05
    light = Light(*(np.full(count, v) for v in (25.0, 2.8, 1.0, 0.6, 0.3, 0.2, -0.1)))
    images = render(light, 16) + noise * rng.standard_normal((count, 16, 16))
    fit = fit_sersic(images)
    chi2 = fit.residual / noise**2
    assert abs(chi2.mean() - 249) < 6.5 * math.sqrt(2 * 249 / count)
    for name, true in (("flux", 25.0), ("radius", 2.8), ("index", 1.0), ("ratio", 0.6)):
        values = getattr(fit.light, name)
        assert abs(np.median(values) - true) < 6.5 * 1.2533 * values.std() / math.sqrt(count), name
        assert values.std() < 0.15 * true, name


def test_a_fit_tells_discs_from_ellipticals():
    images = GalaxyImages(16).fresh(np.random.default_rng(4), 200)
    true = GalaxyImages(16).parameters(np.random.default_rng(4), 200).index  # of the same galaxies
    index = fit_sersic(images, tolerance=1e-4).light.index
    assert np.median(index[true < 1]) < 1.1 and np.median(index[true > 2]) > 1.8
    assert np.corrcoef(np.argsort(np.argsort(true)), np.argsort(np.argsort(index)))[0, 1] > 0.6


@pytest.mark.rows("shape", [(5, 255), (5, 4, 6), (5, 3, 3), (256,)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="images have shape"):
        measure(np.zeros(shape))
