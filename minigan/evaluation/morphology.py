"""What an image of a galaxy shows: flux, half-light radius, ellipticity, and the Sérsic profile that fits it.

All images at once, the sky taken as zero. The field's own are photutils and galight; HSM (Hirata & Seljak
2003) for the moments.
"""

import math
from dataclasses import dataclass

import numpy as np

from minigan.probability._numerics import host
from minigan.probability.galaxies import PSF, Light, render

SHARPEST = 0.3  # sd in pixels: no moments are taken through a window narrower than this
APERTURES = 4  # radii per pixel at which the curve of growth is known
STEP = 1e-4  # of the differences that make the Jacobian of a fit
CHUNK = 2**12  # images at once
INDEX, RATIO = (0.2, 8.0), 0.1  # where a fit may look for the index, and the thinnest ellipse

# ── without a model ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Morphology:
    """What was measured, one array (n,) each.

    flux         sum of all pixels, in counts
    radius       half-light radius by the curve of growth, in pixels: of the image, as the telescope blurs it
    ellipticity  1 − minor/major axis of the adaptive moments
    angle        of the major axis, counted from the x axis, in (−π/2, π/2]
    x, y         of the centre, from the middle of the image, in pixels
    """

    flux: np.ndarray
    radius: np.ndarray
    ellipticity: np.ndarray
    angle: np.ndarray
    x: np.ndarray
    y: np.ndarray


def measure(images) -> Morphology:
    """Flux, half-light radius, ellipticity, angle and centre, without a model of the light.

    Centre and shape are moments under a Gaussian window that takes their form, iterated until it fits, so
    that the far sky does not count. Around the centre, the light within growing circles is compared with that
    within the largest circle in the image.

    Shapes:  images (n, size²) or (n, size, size)
    Source:  Bernstein & Jarvis 2002, section 3; Hirata & Seljak 2003 (adaptive moments)
    """
    images = _squares(images)
    parts = [_measure(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
    return Morphology(*np.concatenate(parts, axis=1))


def _measure(images):
    x, y, xx, xy, yy = adaptive_moments(images).T
    mean, half = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    ellipticity = 1 - np.sqrt((mean - half) / (mean + half))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    return np.stack([images.sum((1, 2)), half_light_radius(images, x, y), ellipticity, angle, x, y])


def adaptive_moments(images, iterations: int = 60) -> np.ndarray:
    """Centre and second moments (x, y, xx, xy, yy) of the Gaussian window that has the moments it measures.

    The fixed point of M = 2 Σ w I (r − c)(r − c)ᵀ / Σ w I with w = exp(−½ (r − c)ᵀ M⁻¹ (r − c)): for a
    Gaussian image its own moments. The window stays within the image and above 0.3 pixels, also where there
    is nothing but noise.

    Shapes:  images (n, size, size) → (n, 5)
    Units:   pixels, from the middle of the image
    """
    images = _squares(images)
    n, size, _ = images.shape
    u = _axis(size)
    centre, moments = np.zeros((n, 2)), np.tile([[size / 8, 0.0], [0.0, size / 8]], (n, 1, 1))
    for _ in range(iterations):
        dx, dy = u - centre[:, :1], u - centre[:, 1:]
        inverse = np.linalg.inv(moments)
        a, b, c = inverse[:, 0, 0], inverse[:, 0, 1], inverse[:, 1, 1]
        exponent = (c[:, None] * dy * dy)[:, :, None] + (a[:, None] * dx * dx)[:, None, :]
        exponent += 2 * b[:, None, None] * dy[:, :, None] * dx[:, None, :]
        light = images * np.exp(-0.5 * exponent)
        columns, rows = light.sum(1), light.sum(2)
        total = np.maximum(columns.sum(1), 1e-300)
        shift = np.stack([(columns * dx).sum(1), (rows * dy).sum(1)], 1) / total[:, None]
        xy = np.einsum("nij,ni,nj->n", light, dy, dx)
        second = np.stack([(columns * dx * dx).sum(1), xy, xy, (rows * dy * dy).sum(1)], 1) / total[:, None]
        centre = np.clip(centre + 2 * shift, -size / 4, size / 4)
        moments = _within(2 * second.reshape(n, 2, 2), SHARPEST**2, (size / 2) ** 2)
    return np.column_stack([centre, moments[:, 0, 0], moments[:, 0, 1], moments[:, 1, 1]])


def _within(moments, least, most):
    """Symmetric matrices with eigenvalues clipped."""
    values, vectors = np.linalg.eigh(np.nan_to_num(moments, nan=1.0, posinf=most, neginf=least))
    return (vectors * np.clip(values, least, most)[:, None, :]) @ vectors.swapaxes(-1, -2)


def half_light_radius(images, x, y) -> np.ndarray:
    """The radius of the circle around (x, y) with half of the light of the largest circle in the image.

    A pixel whose centre is at distance d is in a circle of radius r by the share clip(r − d + ½, 0, 1).

    Shapes:  images (n, size, size), x and y (n,) → (n,)
    """
    images = _squares(images)
    n, size, _ = images.shape
    u = _axis(size)
    d = np.hypot(u[None, :, None] - np.reshape(y, (-1, 1, 1)), u - np.reshape(x, (-1, 1, 1))).reshape(n, -1)
    radii = np.arange(0, APERTURES * size // 2 + 1) / APERTURES
    light = images.reshape(n, -1)
    growth = np.stack([(light * np.clip(r - d + 0.5, 0, 1)).sum(1) for r in radii[1:]], axis=1)
    growth = np.column_stack([np.zeros(n), growth])
    half = 0.5 * growth[:, -1:]
    k = np.argmax(growth >= half, axis=1).clip(1)
    before, after = (np.take_along_axis(growth, i[:, None], 1)[:, 0] for i in (k - 1, k))
    share = (half[:, 0] - before) / np.where(after > before, after - before, 1.0)
    # Light grows like the circle's area, not like its radius.
    low, high = radii[k - 1] ** 2, radii[k] ** 2
    return np.sqrt(low + np.clip(share, 0, 1) * (high - low))


# ── with a model ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Fit:
    """The best Sérsic profiles: their light before the telescope, and the sum of squares that is left."""

    light: Light
    residual: np.ndarray


def fit_sersic(images, psf: float = PSF, iterations: int = 40, tolerance: float = 1e-7) -> Fit:
    """The Sérsic profile, blurred by the telescope, that leaves the least squares in each image.

    Levenberg–Marquardt over (ln flux, ln radius, ln index, two of shape, centre), all images at once, each
    with its own damping and finished by itself when a step gains less than ``tolerance`` of the squares. The
    index stays in 0.2 … 8, the axis ratio above 0.1.

    Shapes:  images (n, size²) or (n, size, size)
    Source:  Moré 1978; Peng et al. 2002 (GALFIT) for the model
    """
    images = _squares(images)
    parts = [
        _fit(images[start : start + CHUNK], psf, iterations, tolerance)
        for start in range(0, len(images), CHUNK)
    ]
    p, residual = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Fit(_light(p), residual)


def _fit(images, psf, iterations, tolerance):
    n, size, _ = images.shape
    seen = _measure(images)
    p = _start(seen, psf, size)

    def model(p):
        return render(_light(p), size, psf, density=1.7).reshape(len(p), -1)

    data = images.reshape(n, -1)
    residual = np.square(model(p) - data).sum(1)
    damping, active = np.full(n, 1e-2), np.arange(n)
    for _ in range(iterations):
        here = p[active]
        at = model(here)
        slopes = [(model(here + STEP * unit) - at) / STEP for unit in np.eye(7)]
        jacobian = np.stack(slopes, axis=2)
        normal = jacobian.swapaxes(1, 2) @ jacobian
        downhill = jacobian.swapaxes(1, 2) @ (data[active] - at)[:, :, None]
        scale = np.einsum("nii->ni", normal) + 1e-12
        weights = damping[active][:, None] * scale
        step = np.linalg.solve(normal + weights[:, :, None] * np.eye(7), downhill)[:, :, 0]
        there = _bounded(here + np.clip(step, -0.7, 0.7), size)
        new = np.square(model(there) - data[active]).sum(1)
        better = new < residual[active]
        gain = residual[active] - new
        done = (better & (gain < tolerance * residual[active])) | (damping[active] > 1e6)
        p[active[better]], residual[active[better]] = there[better], new[better]
        damping[active] *= np.where(better, 0.2, 8.0)
        active = active[~done]
        if not len(active):
            break
    return p, residual


def _start(seen, psf, size):
    flux, radius, ellipticity, angle, x, y = seen
    radius = np.sqrt(np.maximum(radius**2 - 1.4 * psf**2, 0.25))  # 1.18 psf holds half of the blur
    shape = ellipticity / (2 - ellipticity)
    logs = [np.log(np.maximum(flux, 1e-3)), np.log(radius), np.full(len(flux), math.log(1.5))]
    p = np.stack([*logs, shape * np.cos(2 * angle), shape * np.sin(2 * angle), x, y], axis=1)
    return _bounded(p, size)


def _bounded(p, size):
    p = p.copy()
    p[:, 1] = np.clip(p[:, 1], math.log(0.1), math.log(2.0 * size))
    p[:, 2] = np.clip(p[:, 2], *np.log(INDEX))
    shape, most = np.hypot(p[:, 3], p[:, 4]), (1 - RATIO) / (1 + RATIO)
    p[:, 3:5] *= np.minimum(1.0, most / np.maximum(shape, 1e-12))[:, None]
    p[:, 5:] = np.clip(p[:, 5:], -size / 4, size / 4)
    return p


def _light(p):
    """Light of the fit's parameters; its shape is (a − b)/(a + b) along twice the angle."""
    shape = np.hypot(p[:, 3], p[:, 4])
    angle = 0.5 * np.arctan2(p[:, 4], p[:, 3])
    ratio = np.maximum((1 - shape) / (1 + shape), 1e-3)
    return Light(*np.exp(p[:, :3]).T, ratio, angle, p[:, 5], p[:, 6])


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────


def _squares(images):
    """Images as (n, size, size)."""
    images = host(images, "set of images", finite=True)
    if images.ndim == 2 and math.isqrt(images.shape[1]) ** 2 == images.shape[1]:
        images = images.reshape(len(images), math.isqrt(images.shape[1]), -1)
    if images.ndim != 3 or images.shape[1] != images.shape[2] or images.shape[1] < 4:
        raise ValueError(
            "images have shape (n, size²) or (n, size, size), of at least 4 × 4 pixels; "
            f"received {images.shape}"
        )
    return images


def _axis(size):
    """The middles of the pixels along one axis, from the middle of the image."""
    return np.arange(size) - 0.5 * (size - 1)
