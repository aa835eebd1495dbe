"""A generator in the user's units: latent vectors in, rows out. All that sampling needs, so no data."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan.engine.tensor import Tensor, constant
from minigan.gan.objectives import objective as objective_called
from minigan.nn.network import Network
from minigan.training.config import Config
from minigan.training.draws import draw_latent, stream
from minigan.training.units import Units

CHUNK = 2**16  # rows that pass a network at once outside training
BLOCK = 1024  # and where a row is not to depend on how many there are


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

    def generate(self, latent: np.ndarray, block: int = 0) -> np.ndarray:
        """G(z) in the user's units, float64; block as in ``apply``.    Shapes:  (…, n, latent) → (…, n, p)"""
        return self.units.to_user(apply(self.network, latent, self.config.dtype, self.backend, block))

    def observed(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What the instrument shows of generated rows: with its noise, if it has any."""
        sd = self.config.observation_noise
        return rows + sd * rng.standard_normal(rows.shape) if sd else rows

    def sample(self, count: int, index: int = 0, block: int = 0) -> np.ndarray:
        """``count`` generated rows, those of draw ``index``: the same call gives the same rows.

        With a block the first of many rows are bitwise those of few; with observation noise, which is drawn
        after all latents, they are not the same rows.

        Shapes:  → (count, p)
        """
        rng = stream(self.config.seed, "eval", index)
        return self.observed(self.generate(self.latent(rng, (count,)), block), rng)


@np.errstate(invalid="ignore")  # a flag without a NaN: of OpenBLAS's AVX-512 products of five columns
def apply(network: Network, x: np.ndarray, dtype: str, backend: Any, block: int = 0) -> np.ndarray:
    """What a network makes of rows, float64.    Shapes:  (…, n, p) → (…, n, q)

    block  0, or how many rows pass at once, the last ones filled up with zeros: a product of matrices rounds
           a row as its number of rows wants it, so that a row then does not depend on how many there are
    """
    parts, count = [], x.shape[-2]
    for start in range(0, count, block or CHUNK):
        rows = np.ascontiguousarray(x[..., start : start + (block or CHUNK), :], dtype)
        if block and rows.shape[-2] < block:
            rows = np.concatenate(
                [rows, np.zeros((*x.shape[:-2], block - rows.shape[-2], x.shape[-1]), dtype)], -2
            )
        if backend.xp is np and rows.ndim == 2:
            parts.append(_in_long_rows(network, rows))
        else:
            parts.append(network(constant(backend.array(rows))).numpy())
    return np.concatenate(parts, axis=-2)[..., :count, :].astype("float64")


def _in_long_rows(network: Network, x: np.ndarray) -> np.ndarray:
    """What a network makes of rows, twice as soon: NumPy is slow at short rows.

    One input and its bias are one product, [x 1] [W; b], and a bias is added to many rows as to one. The bits
    are the network's own where BLAS adds in the order of the columns, as OpenBLAS does.
    """
    for i, layer in enumerate(network.layers):
        W, b = (network.parameters[f"{i}.{name}"].memory for name in ("W", "b"))
        if layer.n == 1 < min(len(x), layer.m):
            x = np.dot(np.concatenate([x, np.ones_like(x)], axis=1), np.concatenate([W, b]))
        else:
            x = np.dot(x, W) if layer.n > 1 else x * W
            several = math.gcd(len(x), 64)
            wide = x.reshape(len(x) // several, several * layer.m)
            wide += np.tile(b, several)
        x = layer.activation(Tensor(x)).memory
    return x


def probability(objective: str, logits: np.ndarray) -> np.ndarray:
    """D(x) = p/(p+q) as an objective's logits say it; σ(a), a mere picture of a, where they know no p/q."""
    d = objective_called(objective).probability(logits)
    return np.exp(-np.logaddexp(0.0, -logits)) if d is None else d
