"""The density of what a generator makes, at points that a caller gives."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.errors import ConfigError, DataError, DivergedError, quoted
from minigan.gan.theory.diagnostics import latent_cells, pushforward_density
from minigan.models.posterior import posterior
from minigan.training.labels import Labels
from minigan.training.sampler import Sampler
from minigan.training.saved import Trained

KERNELS = 5000  # rows of a class behind its kernel density …
AS_OF = 100  # … whose kernels are as wide as of so many: what a generator knows, it learned from no more
DRAWN = 2**33  # their draws: those of nothing else
CHUNK = 500  # rows at which it is asked at once


def pushed(
    trained: Trained, function: Callable[..., np.ndarray], x: Any, condition: Any = None
) -> np.ndarray:
    """``pushforward_density`` or ``pushforward_cdf`` of a generator at x, in any order; NaN at NaN.

    condition  of a conditional run: a class; None for the mean over all by their priors

    Shapes:  x (…) → (…)
    Raises:  ConfigError – where the generator has no density in a formula;  DataError – for what are no
             numbers;  DivergedError – if what it makes is not finite
    """
    if (why := _unknown(trained)) is not None:
        raise ConfigError(
            f"the generator's density is known where one latent number makes one feature, and {why} "
            "here; use sample(n)"
        )
    points, labels = _numbers(x), trained.sampler.labels
    if labels is None or condition is not None:
        if labels is None and condition is not None:
            raise ConfigError("this run learned no label, so its density has no condition; leave it out")
        return _pushed(trained, function, points, None if labels is None else labels.code(condition))
    each = [_pushed(trained, function, points, k) for k in range(labels.count)]
    mixed: np.ndarray = np.tensordot(labels.priors, np.stack(each), 1)
    return mixed


def _pushed(
    trained: Trained, function: Callable[..., np.ndarray], points: np.ndarray, k: int | None
) -> np.ndarray:
    """``pushed`` of one class, or of what has none."""
    z, mass = latent_cells(trained.config.latent.distribution)
    codes = None if k is None else np.full(len(z), k)
    made = trained.sampler.generate(z[:, None], codes=codes)[:, 0]
    # Both are constant beyond what is made; a far point would widen what counts as a width of nothing.
    low, high = made.min(), made.max()
    if not np.isfinite(high - low):
        raise DivergedError(f"what the generator returns is not finite at step {trained.step}")
    reach = (high - low) or abs(low) or 1.0
    flat, back = np.unique(points.ravel(), return_inverse=True)  # ascending, NaN once and last
    ascending = np.clip(np.where(np.isnan(flat), np.inf, flat), low - reach, high + reach)
    found = function(mass, made, ascending)
    found[np.isnan(flat)] = np.nan
    shaped: np.ndarray = found[back].reshape(points.shape)
    return shaped


def posterior_of(trained: Trained, labels: Labels, rows: np.ndarray) -> np.ndarray:
    """p(C_k | x) from what the generator makes of each class.    Shapes:  (n, p) → (n, K)"""
    if _unknown(trained) is None:
        with np.errstate(divide="ignore"):
            each = [pushed(trained, pushforward_density, rows[:, 0], name) for name in labels.classes]
            logs = np.log(np.stack(each, axis=1))
    else:
        logs = log_densities_of(trained.sampler, rows)
    with np.errstate(divide="ignore"):
        joint = logs + np.log(labels.priors)
    nowhere = ~np.isfinite(joint).any(axis=1)
    joint[nowhere] = np.log(labels.priors)  # where no class makes anything, x says nothing
    return posterior(joint)


def log_densities_of(sampler: Sampler, rows: np.ndarray) -> np.ndarray:
    """ln of a kernel estimate of what a generator makes of each class.    Shapes:  (n, p) → (n, K)"""
    classes = () if sampler.labels is None else sampler.labels.classes
    made = (sampler.sample(KERNELS, DRAWN + k, condition=name) for k, name in enumerate(classes))
    return np.stack([_log_kernel_density(sample, rows) for sample in made], axis=1)


def _log_kernel_density(made: np.ndarray, x: np.ndarray) -> np.ndarray:
    """ln of a Gaussian kernel estimate, whose kernels have the shape of the rows' covariance, and are as
    wide as Scott's rule has them for AS_OF rows.

    Shapes:  made (m, p), x (n, p) → (n,)
    Source:  Scott 1992, equation 6.42
    """
    from scipy.special import logsumexp

    m, p = made.shape
    sd = made.std(axis=0)
    scale = np.where(sd > 0, sd, 1.0)
    values, vectors = np.linalg.eigh(np.cov((made / scale).T).reshape(p, p))
    spread = np.sqrt(np.maximum(values, 1e-12 * max(values.max(), 1e-300)))
    whiten = vectors / spread / AS_OF ** (-1 / (p + 4))
    centres, points = (made / scale) @ whiten, (x / scale) @ whiten
    found = np.empty(len(x))
    for start in range(0, len(x), CHUNK):
        part = points[start : start + CHUNK]
        squares = np.square(part).sum(axis=1)[:, None] + np.square(centres).sum(axis=1) - 2 * part @ centres.T
        found[start : start + CHUNK] = logsumexp(-0.5 * squares, axis=1)
    volume = np.log(np.abs(np.linalg.det(whiten))) - np.log(scale).sum()
    level: np.ndarray = found + volume - np.log(m) - 0.5 * p * np.log(2 * np.pi)
    return level


def _numbers(x: Any) -> np.ndarray:
    try:
        points = np.asarray(x)
        if points.dtype.kind in "fiubO" and x is not None:
            return points.astype("float64")
    except (TypeError, ValueError):
        pass
    raise DataError(f"the points x are numbers, received {quoted(x)}")


def _unknown(trained: Trained) -> str | None:
    """Why the generator has no density in a formula; None where it has one."""
    c, p, m = trained.config, len(trained.names), trained.sampler.latent_size
    if p > 1 or m > 1:
        return f"{m} latent number{'s' * (m > 1)} make {p} feature{'s' * (p > 1)}"
    if c.observation_noise:
        return "noise is added to what it makes"
    return "its latent number is constant" if c.latent.distribution == "one" else None
