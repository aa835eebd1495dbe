"""Small images of galaxies [T17] from a physical light-profile model: a distribution of many features.

A galaxy's light is a Sérsic profile, seen under an inclination, on a disc wound into logarithmic spiral arms;
it is blurred by the telescope (a Gaussian point-spread function), integrated over the pixels, and measured on
a noisy sky. ``morphology`` measures such images. The field's own renderer is GalSim (Rowe et al. 2015).
"""

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from minigan.probability.distributions import as_number

BANK, BANK_PIXELS = 2**14, 2**24  # galaxies that are rendered once; fewer of many pixels
HELD = 2**19  # quadrature nodes at once, so that they stay in the cache
PSF = 0.8  # sd of the point-spread function in pixels: FWHM 1.9, just sampled
BULGE = 0.15  # square of the radius, in half-light radii, within which a disc has no arms
NOISE = 0.1  # sd of the sky in a pixel, in counts: the galaxies' median S/N is 28


@dataclass(frozen=True)
class Light:
    """The parameters of galaxies, one array (n,) each, or numbers: what is there before telescope and sky.

    flux      total, in counts
    radius    of the ellipse that holds half of it: its semi-major axis, in pixels
    index     Sérsic's n: 1 for an exponential disc, 4 for de Vaucouleurs' elliptical
    ratio     minor over major axis of that ellipse
    angle     of the major axis, counted from the x axis, in radians
    x, y      of the centre, from the middle of the image, in pixels
    arms      number of spiral arms
    contrast  of the arms to the disc between them, 0 for none to 1
    pitch     angle between arm and circle, in radians; its sign is the sense of winding
    phase     of the wave: an arm crosses the half-light ellipse at the angle phase/arms from the major axis
    """

    flux: Any
    radius: Any
    index: Any
    ratio: Any = 1.0
    angle: Any = 0.0
    x: Any = 0.0
    y: Any = 0.0
    arms: Any = 2.0
    contrast: Any = 0.0
    pitch: Any = 0.35
    phase: Any = 0.0

    def __post_init__(self):
        values = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, "float64")) for v in self._values()))
        for name, value in zip(self._names(), values, strict=True):
            object.__setattr__(self, name, value)
        bad = ~((self.radius > 0) & (self.index > 0) & (self.ratio > 0) & (self.ratio <= 1))
        if bad.any():
            raise ValueError(
                "light needs radius > 0, index > 0 and 0 < ratio ≤ 1; received "
                f"{self.radius[bad][0]}, {self.index[bad][0]} and {self.ratio[bad][0]}"
            )

    def __len__(self) -> int:
        return len(self.flux)

    def __getitem__(self, rows) -> "Light":
        return Light(*(value[rows] for value in self._values()))

    def _names(self):
        return [f.name for f in fields(self)]

    def _values(self):
        return [getattr(self, name) for name in self._names()]


# ── the profile ─────────────────────────────────────────────────────────────────────────────────────────────


def sersic_b(index) -> np.ndarray:
    """b_n of a Sérsic profile: γ(2n, b)/Γ(2n) = ½, so that its radius holds half of the light.

    Source:  Sérsic 1963; Ciotti 1991; Graham & Driver 2005, eq. 1 to 4
    """
    from scipy.special import gammaincinv

    return gammaincinv(2 * np.asarray(index, "float64"), 0.5)


def sersic_intensity(r, flux, radius, index) -> np.ndarray:
    """I(r) = flux b²ⁿ / (2π n Γ(2n) radius²) · exp(−b (r/radius)^{1/n}) of a face-on galaxy.

    Shapes:  all broadcast
    Units:   counts per area
    Source:  Graham & Driver 2005, eq. 1 and 2
    """
    b, top = _central(flux, radius, index)
    return top * np.exp(-b * (np.asarray(r) / radius) ** (1 / np.asarray(index)))


def sersic_enclosed(r, flux, radius, index) -> np.ndarray:
    """flux · γ(2n, b (r/radius)^{1/n}) / Γ(2n): the light within r of the centre.

    Source:  Graham & Driver 2005, eq. 2
    """
    from scipy.special import gammainc

    n = np.asarray(index, "float64")
    return flux * gammainc(2 * n, sersic_b(n) * (np.asarray(r) / radius) ** (1 / n))


def _central(flux, radius, index):
    """b_n, and the brightness that the face-on profile has at its centre."""
    from scipy.special import gammaln

    n, b = np.asarray(index, "float64"), sersic_b(index)
    return b, flux * np.exp(2 * n * np.log(b) - gammaln(2 * n)) / (2 * np.pi * n * np.square(radius))


# ── images ──────────────────────────────────────────────────────────────────────────────────────────────────


def render(light: Light, size: int, psf: float = PSF, *, density: float = 2.0, dtype="float64") -> np.ndarray:
    """Images without noise: light ∗ Gaussian of sd ``psf``, integrated over each pixel.

    Light is summed at nodes around each galaxy's own centre, ever denser towards it, since a Sérsic profile
    of high index has a cusp there; what of a node falls into a pixel, through the point-spread function, is
    known exactly, a difference of two normal CDFs on each axis. With two nodes for each sd of the blur, the
    default ``density``, the galaxies of the distribution come out within 3e-4 of their brightest pixel.

    Shapes:  → (n, size, size), y before x
    Units:   pixels; counts
    """
    if size < 1 or not psf > 0 or not density > 0:
        raise ValueError(
            f"images need size ≥ 1, psf > 0 and density > 0; received {size}, {psf} and {density}"
        )
    half = 0.5 * size + float(max(np.abs(light.x).max(), np.abs(light.y).max())) + 4 * psf
    u, weights = _nodes(half, 2 * math.ceil(density * half / psf))
    images = np.empty((len(light), size, size), dtype)
    step = max(1, HELD // len(u) ** 2)
    for start in range(0, len(light), step):
        part = light[start : start + step]
        down, across = (_reach(c, u, weights, size, psf).astype(dtype) for c in (part.y, part.x))
        images[start : start + step] = down @ _brightness(part, u, dtype) @ across.swapaxes(-1, -2)
    return images


def _nodes(half, count):
    """Points u = half · t³, t evenly spaced on (−1, 1), and their weights."""
    t = (2 * np.arange(count) + 1) / count - 1
    return half * t**3, half * 6 * t**2 / count


def _reach(centre, u, weights, size, psf):
    """weights times the share of the light at u that falls into each pixel of a row.

    Shapes:  → (n, size, nodes)
    """
    from scipy.special import ndtr

    edges = np.arange(size + 1) - 0.5 * size
    below = ndtr((edges[:, None] - (centre[:, None, None] + u)) / psf)
    return weights * np.diff(below, axis=1)


def _brightness(light, u, dtype):
    """Surface brightness at the nodes.    Shapes:  u (m,) → (n, m, m), y before x"""
    u = u.astype(dtype)

    def column(values):
        return np.asarray(values).astype(dtype)[:, None, None]

    b, top = _central(light.flux, light.radius, light.index)
    cos, sin = np.cos(light.angle), np.sin(light.angle)
    ux, uy = u[None, None, :], u[None, :, None]
    along = (column(cos) * ux + column(sin) * uy) * column(1 / light.radius)
    across = (column(cos) * uy - column(sin) * ux) * column(1 / (light.radius * light.ratio))
    square = along * along + across * across
    log_r = 0.5 * np.log(square)
    values = np.exp(-column(b) * np.exp(log_r * column(1 / light.index)))
    values *= column(top / light.ratio)
    armed = light.contrast > 0
    if armed.any():  # a wave around each circle of the disc: its mean there, and so all fluxes, stay
        arms, pitch = column(light.arms[armed]), light.pitch[armed]
        turn = arms * (np.arctan2(across[armed], along[armed]) - log_r[armed] * column(1 / np.tan(pitch)))
        fade = square[armed] / (square[armed] + BULGE)
        values[armed] *= 1 + column(light.contrast[armed]) * fade * np.cos(turn - column(light.phase[armed]))
    return values


# ── the distribution ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class GalaxyImages:
    """Images of size × size pixels: from late spirals to ellipticals, seen from any side.

    ===========  =====================================================================================
    index        lognormal, median 1.3, sd of the logarithm 0.45: what the next lines call n
    flux         lognormal, median 20 counts on 16 × 16 pixels (∝ size²), sd of the logarithm 0.3
    radius       lognormal, median 0.17 size, sd of the logarithm 0.2
    ratio        √(q₀² + (1 − q₀²) cos² i) of an oblate body of thickness q₀, with cos i uniform; q₀ = 0.15 n,
                 within 0.15 and 0.8
    contrast     uniform on (0.4, 1) times 2 − n, within 0 and 1: ellipticals have no arms
    arms         2, in a quarter of the galaxies 3; pitch from 12° to 35°, uniform, of either sense
    angle        uniform, as the phase of the arms
    x, y         uniform within half a pixel of the middle
    ===========  =====================================================================================

    The telescope has a Gaussian point-spread function of sd 0.8 pixels, the sky a normal noise of sd
    ``noise`` counts in each pixel, independent; the galaxy's own photon noise is neglected.

    Samples are drawn from a bank of galaxies (16 384 of up to 32 × 32 pixels), which is rendered when first
    needed, the same for all: each row is one of them, turned and mirrored at random in one of the 8 ways that
    keep the grid, under which the distribution is invariant, with fresh noise. ``fresh`` renders new galaxies
    instead, twenty times slower.

    Raises:  ValueError – unless size is a whole number from 4 to 128 and noise ≥ 0

    >>> from minigan.probability import GalaxyImages
    >>> GalaxyImages(8).fresh(np.random.default_rng(0), 2).shape
    (2, 64)
    """

    size: int = 16
    noise: float = NOISE

    def __post_init__(self):
        size, noise = as_number("galaxies", "size", self.size), as_number("galaxies", "noise", self.noise)
        if not 4 <= size <= 128 or not size.is_integer():
            raise ValueError(
                f"galaxies need a size from 4 to 128 pixels, a whole number; received {self.size}"
            )
        if not 0 <= noise < math.inf:
            raise ValueError(f"galaxies need a finite noise ≥ 0; received {self.noise}")
        object.__setattr__(self, "size", int(size))
        object.__setattr__(self, "noise", noise)

    @property
    def features(self) -> int:
        """Pixels of an image."""
        return self.size**2

    @property
    def mean(self) -> np.ndarray:
        """The mean of each pixel."""
        return _moments(self.size)[0]

    @property
    def sd(self) -> np.ndarray:
        """The standard deviation of each pixel, the sky's noise in it."""
        return np.hypot(_moments(self.size)[1], self.noise)

    def parameters(self, rng: np.random.Generator, count: int) -> Light:
        """The light of new galaxies."""
        normal, uniform = rng.standard_normal((3, count)), rng.random((8, count))
        index = 1.3 * np.exp(0.45 * normal[0])
        thickness = np.clip(0.15 * index, 0.15, 0.8)
        winding = np.where(uniform[7] < 0.5, -1.0, 1.0)
        return Light(
            flux=20 * (self.size / 16) ** 2 * np.exp(0.3 * normal[1]),
            radius=0.17 * self.size * np.exp(0.2 * normal[2]),
            index=index,
            ratio=np.sqrt(thickness**2 + (1 - thickness**2) * uniform[0] ** 2),
            angle=np.pi * uniform[1],
            x=uniform[2] - 0.5,
            y=uniform[3] - 0.5,
            arms=np.where(uniform[4] < 0.75, 2.0, 3.0),
            contrast=(0.4 + 0.6 * uniform[5]) * np.clip(2 - index, 0, 1),
            pitch=winding * np.radians(12 + 23 * rng.random(count)),
            phase=2 * np.pi * uniform[6],
        )

    def sample(self, rng: np.random.Generator, shape=()) -> np.ndarray:
        """Images as rows of pixels, galaxies from the bank.    Shapes:  → (*shape, size²)"""
        shape = tuple(np.atleast_1d(np.array(shape, int)))
        count, bank = math.prod(shape), _bank(self.size)
        which, way = rng.integers(len(bank), size=count), rng.integers(8, size=count)
        images = bank[which[:, None], _symmetries(self.size)[way]]
        return self._measured(rng, images).reshape(*shape, self.features)

    def fresh(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Images of galaxies that nobody has seen.    Shapes:  → (count, size²)"""
        images = render(self.parameters(rng, count), self.size, dtype="float32")
        return self._measured(rng, images.reshape(count, self.features))

    def _measured(self, rng, images):
        noise = rng.standard_normal(images.shape, dtype="float32")
        noise *= np.float32(self.noise)
        return np.add(images, noise, dtype="float64")

    def __str__(self):
        return f"galaxies({self.size}, {self.noise!r})".replace(".0)", ")")


@lru_cache(maxsize=2)
def _bank(size):
    """Noise-free images, float32.    Shapes:  → (n, size²)"""
    count = min(BANK, BANK_PIXELS // size**2)
    light = GalaxyImages(size).parameters(np.random.default_rng(size), count)
    bank = render(light, size, dtype="float32").reshape(count, size**2)
    bank.flags.writeable = False
    return bank


@lru_cache(maxsize=2)
def _moments(size):
    """Mean and sd of the pixels of the bank, over all symmetries.    Shapes:  → twice (size²,)"""
    bank, ways = _bank(size), _symmetries(size)
    mean = bank.mean(0, dtype="float64")
    variance = bank.var(0, dtype="float64") + np.square(mean)
    mean, square = (a[ways].mean(0) for a in (mean, variance))
    sd = np.sqrt(square - np.square(mean))
    mean.flags.writeable = sd.flags.writeable = False
    return mean, sd


@lru_cache(maxsize=2)
def _symmetries(size):
    """The 8 ways to turn and mirror a square, as indices into its pixels.    Shapes:  → (8, size²)"""
    pixels = np.arange(size**2).reshape(size, size)
    turns = [np.rot90(square, k).ravel() for square in (pixels, pixels.T) for k in range(4)]
    return np.stack(turns)
