"""The density of what a generator makes, at points that a caller gives."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.errors import ConfigError, DataError, DivergedError, quoted
from minigan.gan.theory.diagnostics import latent_cells
from minigan.training.saved import Trained


def pushed(trained: Trained, function: Callable[..., np.ndarray], x: Any) -> np.ndarray:
    """``pushforward_density`` or ``pushforward_cdf`` of a generator at x, in any order; NaN at NaN.

    Shapes:  x (…) → (…)
    Raises:  ConfigError – where the generator has no density in a formula;  DataError – for what are no
             numbers;  DivergedError – if what it makes is not finite
    """
    if (why := _unknown(trained)) is not None:
        raise ConfigError(
            f"the generator's density is known where one latent number makes one feature, and {why} "
            "here; use sample(n)"
        )
    points = _numbers(x)
    z, mass = latent_cells(trained.config.latent.distribution)
    made = trained.sampler.generate(z[:, None])[:, 0]
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
