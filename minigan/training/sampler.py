"""A generator in the user's units: latent vectors in, rows out. All that sampling needs, so no data."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan.engine.tensor import Primitive, Tensor, constant
from minigan.gan.objectives import objective as objective_called
from minigan.nn.network import Network
from minigan.training.config import Config
from minigan.training.draws import draw_latent, stream
from minigan.training.labels import Labels, one_by_one
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
    labels: Labels | None = None

    def latent(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Latent vectors of the configured distribution.    Shapes:  → (*shape, n)"""
        return draw_latent(self.config, self.latent_size, rng, shape)

    def generate(self, latent: np.ndarray, block: int = 0, codes: np.ndarray | None = None) -> np.ndarray:
        """G(z) or G(z, k) in the user's units, float64; block as in ``apply``.

        Shapes:  (…, n, latent), codes (…, n) → (…, n, p)
        """
        told = self.told(codes)
        return self.units.to_user(apply(self.network, latent, self.config.dtype, self.backend, block, told))

    def told(self, codes: np.ndarray | None) -> np.ndarray | None:
        """What networks are told of classes.    Shapes:  (…) → (…, K)"""
        if self.labels is None or codes is None:
            return None
        return self.labels.one_hot(codes, self.config.dtype)

    def codes(self, count: int, index: int = 0, condition: Any = None) -> np.ndarray | None:
        """The classes of the rows of ``sample``: those asked for, or drawn by their priors; None without.

        Shapes:  → (count,)
        Raises:  ConfigError – for a class that is none
        """

        def drawn(labels: Labels) -> np.ndarray:
            return labels.codes(stream(self.config.seed, "class", index), count)

        return one_by_one(self.labels, condition, count, drawn)

    def observed(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What the instrument shows of generated rows: with its noise, if it has any."""
        sd = self.config.observation_noise
        return rows + sd * rng.standard_normal(rows.shape) if sd else rows

    def sample(self, count: int, index: int = 0, block: int = 0, condition: Any = None) -> np.ndarray:
        """``count`` generated rows, those of draw ``index``: the same call gives the same rows.

        condition  of a conditional run: a class, or one for each row; None for classes by their priors

        With a block the first of many rows are bitwise those of few; with observation noise, which is drawn
        after all latents, they are not the same rows.

        Shapes:  → (count, p)
        """
        rng = stream(self.config.seed, "eval", index)
        codes = self.codes(count, index, condition)
        return self.observed(self.generate(self.latent(rng, (count,)), block, codes), rng)


@np.errstate(invalid="ignore")  # a flag without a NaN: of OpenBLAS's AVX-512 products of five columns
def apply(
    network: Network, x: np.ndarray, dtype: str, backend: Any, block: int = 0, told: np.ndarray | None = None
) -> np.ndarray:
    """What a network makes of rows, and of what it is told of their classes, float64.

    block  0, or how many rows pass at once, the last ones filled up with zeros: a product of matrices rounds
           a row as its number of rows wants it, so that a row then does not depend on how many there are

    Shapes:  (…, n, p), told (…, n, K) → (…, n, q)
    """
    parts, count = [], x.shape[-2]

    def piece(of: np.ndarray, start: int) -> np.ndarray:
        rows = np.ascontiguousarray(of[..., start : start + (block or CHUNK), :], dtype)
        if block and rows.shape[-2] < block:
            rows = np.concatenate(
                [rows, np.zeros((*of.shape[:-2], block - rows.shape[-2], of.shape[-1]), dtype)], -2
            )
        return rows

    for start in range(0, count, block or CHUNK):
        rows = piece(x, start)
        if backend.xp is np and rows.ndim == 2 and told is None:
            parts.append(_in_long_rows(network, rows))
        else:
            given = (rows,) if told is None else (rows, piece(told, start))
            parts.append(network(*(constant(backend.array(part)) for part in given)).numpy())
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
        φ = layer.activation
        if isinstance(φ, Primitive) and φ.plain:  # NumPy's function of its name, which may write over x
            φ.bind(np)(x, x)
        else:
            x = φ(Tensor(x)).memory
    return x


def probability(objective: str, logits: np.ndarray) -> np.ndarray:
    """D(x) = p/(p+q) as an objective's logits say it; σ(a), a mere picture of a, where they know no p/q."""
    d = objective_called(objective).probability(logits)
    return np.exp(-np.logaddexp(0.0, -logits)) if d is None else d
