"""A generator in the user's units: latent vectors in, rows out. All that sampling needs, so no data."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan.engine.tensor import constant
from minigan.nn.network import Network
from minigan.training.config import Config
from minigan.training.draws import draw_latent, stream
from minigan.training.units import Units

CHUNK = 2**16  # rows that pass a network at once outside training


@dataclass(frozen=True)
class Sampler:
    """A generator's network, and what it takes to draw from it as its run did."""

    config: Config
    backend: Any
    network: Network
    units: Units
    latent_size: int

    def latent(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Latent vectors of the configured distribution.    Shapes:  → (*shape, n)"""
        return draw_latent(self.config, self.latent_size, rng, shape)

    def generate(self, latent: np.ndarray) -> np.ndarray:
        """G(z) in the user's units, float64.    Shapes:  (…, n, latent) → (…, n, p)"""
        return self.units.to_user(apply(self.network, latent, self.config.dtype, self.backend))

    def observed(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What the instrument shows of generated rows: with its noise, if it has any."""
        sd = self.config.observation_noise
        return rows + sd * rng.standard_normal(rows.shape) if sd else rows

    def sample(self, count: int, index: int = 0) -> np.ndarray:
        """``count`` generated rows, those of draw ``index``: the same call gives the same rows.

        Shapes:  → (count, p)
        """
        rng = stream(self.config.seed, "eval", index)
        return self.observed(self.generate(self.latent(rng, (count,))), rng)


@np.errstate(invalid="ignore")  # a flag without a NaN: of OpenBLAS's AVX-512 products of five columns
def apply(network: Network, x: np.ndarray, dtype: str, backend: Any) -> np.ndarray:
    """What a network makes of rows, float64.    Shapes:  (…, n, p) → (…, n, q)"""
    parts = []
    for start in range(0, x.shape[-2], CHUNK):
        rows = np.ascontiguousarray(x[..., start : start + CHUNK, :], dtype)
        parts.append(network(constant(backend.array(rows))).numpy())
    return np.concatenate(parts, axis=-2).astype("float64")
