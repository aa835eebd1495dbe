"""Every random number of a run by its index: a function of (seed, stream, block), whatever came before.

So any step can be drawn again, a resumed run goes on with the numbers that it would have had, and one that
trains among others has those that it has alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan.backend import Backend, philox
from minigan.gan.penalties import PENALTIES
from minigan.nn.schedules import Averaging, Schedule
from minigan.probability.distributions import Normal, Uniform
from minigan.probability.strata import stratified, stratified_rows
from minigan.training.config import Config
from minigan.training.labels import Labels, ranks
from minigan.training.units import Units

STREAMS = (
    "init", "data", "latent", "eval", "scale", "split", "verdict", "best", "noise", "held", "label", "class",
)  # fmt: skip
COUNTED = ("real", "latent_d", "latent_g", "mix", "noise_x", "noise_d", "noise_g")  # the streams of Philox
STRATIFIED = ("real", "latent_d", "latent_g")  # what draws=stratified stratifies; all else is independent
SHARED = ("factor", "weight")  # functions of the step alone
LATENT = {"normal": Normal(0, 1), "uniform": Uniform(-1, 1)}  # of each latent number that is not constant
BLOCK = 50  # steps whose random numbers are drawn at once, fewer if they are large
BLOCK_NUMBERS = 2**23


def stream(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """The random generator of one purpose: independent of all others, and found again from its indices."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(name), index)))


@dataclass(frozen=True)
class Draws:
    """What the steps of one experiment are given: real rows, latent vectors, noise, rates and weights.

    distribution  what real rows are drawn from, in the user's units
    labels        of a conditional run: the classes of its rows
    """

    config: Config
    distribution: Any
    units: Units
    latent_size: int
    schedule: Schedule
    averaging: Averaging
    labels: Labels | None = None

    def block(self, backend: Backend, block: int, K: int) -> dict[str, Any]:
        """The inputs of a block of K steps by the names that Batch and Game.round have for them.

        NumPy's are on the host; what Philox draws is on the backend.

        Shapes:  → (K, updates, batch, n) each, of factor and weight (K, 1)
        """
        if self.config.random == "philox":
            return self.by_numpy(block, K) | _by_philox([self], backend, block, K)
        return self.by_numpy(block, K)

    def by_numpy(self, block: int, K: int) -> dict[str, np.ndarray]:
        """What NumPy draws of a block: all, or what Philox cannot; and what follows from the steps alone."""
        c = self.config
        t = block * K + np.arange(K)
        shape, numbers = (K, c.discriminator_steps, c.batch), dict[str, np.ndarray]()
        codes = self._codes(block, shape)
        if c.random == "numpy" or not self.normal_target:
            rng = stream(c.seed, "data", block)
            numbers["real"] = self.real(rng, shape, c.packing, codes)
        if c.random == "numpy" or c.latent.distribution == "one":
            latent = stream(c.seed, "latent", block)
            numbers["latent_d"] = self.latent(latent, shape, c.packing, codes)
            last = None if codes is None else np.repeat(codes[:, -1:], c.generator_steps, axis=1)
            shape_g = (K, c.generator_steps, c.batch)
            numbers["latent_g"] = self.latent(latent, shape_g, c.packing, last)
        if c.random == "numpy":
            numbers |= self._noise(stream(c.seed, "noise", block), t)
        numbers["factor"] = self.schedule(t).astype(c.dtype)[:, None]
        numbers["weight"] = self.averaging(t).astype(c.dtype)[:, None]
        if self.labels is not None and codes is not None:
            numbers["label"] = self.labels.one_hot(codes, c.dtype)
        return numbers

    def _codes(self, block: int, shape: tuple[int, ...]) -> np.ndarray | None:
        """The classes of the rows of a block of batches; None where there are none.    Shapes:  → shape"""
        if self.labels is None:
            return None
        rng = stream(self.config.seed, "label", block)
        return self.labels.batches(rng, shape, self.config.packing, self.config.draws == "stratified")

    @property
    def normal_target(self) -> bool:
        """Whether real data are a shifted and scaled standard normal number."""
        return isinstance(self.distribution, Normal)

    def noise_sd(self, t: np.ndarray) -> dict[str, np.ndarray]:
        """The sd, in scaled data, of the noise on each input of D at the steps t, if any.

        Shapes:  → (len(t), 1, 1, p)
        """
        c = self.config
        fading = c.instance_noise * np.maximum(0.0, 1.0 - t / c.steps).reshape(-1, 1, 1, 1)
        own = {"noise_x": 0.0, "noise_d": c.observation_noise, "noise_g": c.observation_noise}
        return {  # two independent noises are one
            name: np.hypot(fading, sd / self.units.scale)
            for name, sd in own.items()
            if c.instance_noise or sd
        }

    def _noise(self, rng: np.random.Generator, t: np.ndarray) -> dict[str, np.ndarray]:
        """What penalties between the data, instance and observation noise need at the steps t, if any."""
        c, dtype = self.config, np.dtype(self.config.dtype)
        numbers: dict[str, np.ndarray] = {}
        if needs_mix(c):
            numbers["mix"] = rng.random((len(t), c.discriminator_steps, c.batch // c.packing, 1), dtype=dtype)
        for name, sd in self.noise_sd(t).items():
            shape = (len(t), updates_of(c, name), c.batch, self.distribution.features)
            numbers[name] = (sd * rng.standard_normal(shape, dtype=dtype)).astype(dtype)
        return numbers

    def real(
        self,
        rng: np.random.Generator,
        shape: tuple[int, ...],
        packing: int = 1,
        codes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Real rows of the batches along the last axis, in the network's units; of these classes, if any.

        Shapes:  codes shape → (*shape, p)
        """
        stratify = self.config.draws == "stratified"
        if self.labels is not None and codes is not None:
            rows = self.labels.rows(rng, codes, packing, stratify)
        elif stratify:
            rows = stratified_rows(self.distribution, rng, shape, packing)
        else:
            rows = self.distribution.sample(rng, shape)
        scaled = self.units.to_network(rows.reshape(*shape, self.distribution.features))
        return scaled.astype(self.config.dtype)

    def latent(
        self,
        rng: np.random.Generator,
        shape: tuple[int, ...],
        packing: int = 1,
        codes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Latent vectors of the batches along the last axis, for rows of these classes, if any.

        Shapes:  codes shape → (*shape, n)
        """
        c = self.config
        distribution: Any = LATENT.get(c.latent.distribution)
        if c.draws == "stratified" and distribution is not None and codes is not None:
            columns = [ranks(rng, codes, packing) for _ in range(self.latent_size)]
            own: np.ndarray = distribution.quantile(np.stack(columns, axis=-1)).astype(c.dtype)
            return own
        if c.draws == "stratified" and distribution is not None:
            return stratified(distribution, rng, shape, packing, self.latent_size, c.dtype)
        return draw_latent(c, self.latent_size, rng, shape)


def draw_latent(config: Config, size: int, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Latent vectors of so many numbers, of the configured distribution.    Shapes:  → (*shape, size)"""
    shape, dtype = (*shape, size), np.dtype(config.dtype)
    if config.latent.distribution == "normal":
        return rng.standard_normal(shape, dtype=dtype)
    if config.latent.distribution == "one":
        return np.ones(shape, dtype)
    return 2 * rng.random(shape, dtype=dtype) - 1


def block_together(draws: Sequence[Draws], backend: Backend, block: int, K: int) -> dict[str, Any]:
    """The inputs of a block of K steps of several experiments at once, as ``Draws.block``.

    Shapes:  → (K, updates, R, batch, n) each, of factor and weight (K, 1)
    """
    parts = [own.by_numpy(block, K) for own in draws]
    numbers: dict[str, Any] = {
        name: array if name in SHARED else np.stack([part[name] for part in parts], axis=2)
        for name, array in parts[0].items()
    }
    if draws[0].config.random == "philox":
        numbers |= _by_philox(draws, backend, block, K, replicated=True)
    return numbers


def _by_philox(
    draws: Sequence[Draws], backend: Backend, block: int, K: int, *, replicated: bool = False
) -> dict[str, Any]:
    """The random inputs of a block of K steps on the backend, but those that only NumPy draws.

    Each experiment's numbers are functions of its seed, the step and the input, with the same bits on every
    backend, in blocks of any length, and alone or together.

    Shapes:  → (K, updates, batch, n), replicated (K, updates, R, batch, n)
    """
    first, steps = draws[0], range(block * K, (block + 1) * K)
    c, xp, seeds = first.config, backend.xp, [own.config.seed for own in draws]

    def draw(distribution: Any, name: str, rows: int, n: int) -> Any:
        in_strata = c.draws == "stratified" and name in STRATIFIED
        return distribution(
            backend, (updates_of(c, name), rows, n), seed=seeds if replicated else seeds[0],
            stream=COUNTED.index(name), steps=steps, axis=1, dtype=c.dtype,
            columns=c.packing * n if in_strata else 0,
        )  # fmt: skip

    def numbers(own: list[np.ndarray]) -> Any:
        return backend.array((np.stack(own, axis=2) if replicated else own[0]).astype(c.dtype))

    drawn = {}
    if first.normal_target:
        sds = [own.distribution.sd / own.units.scale for own in draws]
        means = [own.units.to_network(own.distribution.mean) for own in draws]
        sd, mean = (numbers([np.reshape(one, (1, 1, 1, 1)) for one in each]) for each in (sds, means))
        drawn["real"] = xp.add(xp.multiply(draw(philox.normal, "real", c.batch, 1), sd), mean)
    for name in ("latent_d", "latent_g"):
        if c.latent.distribution == "normal":
            drawn[name] = draw(philox.normal, name, c.batch, first.latent_size)
        elif c.latent.distribution == "uniform":
            twice = xp.multiply(draw(philox.uniform, name, c.batch, first.latent_size), 2.0)
            drawn[name] = xp.subtract(twice, 1.0)
    if needs_mix(c):
        drawn["mix"] = draw(philox.uniform, "mix", c.batch // c.packing, 1)
    noises = [own.noise_sd(np.arange(steps.start, steps.stop)) for own in draws]
    for name in noises[0]:
        sd = numbers([noise[name] for noise in noises])
        drawn[name] = xp.multiply(draw(philox.normal, name, c.batch, first.distribution.features), sd)
    return drawn


def needs_mix(config: Config) -> bool:
    """Whether a penalty takes points between real and generated data."""
    return any(getattr(config, name) for name, penalty in PENALTIES.items() if penalty.at == "between")


def updates_of(config: Config, name: str) -> int:
    """How many updates of a step take the input of that name: those of G, or of D."""
    return config.generator_steps if name.endswith("_g") else config.discriminator_steps


def block_length(config: Config, features: int) -> int:
    """The steps whose random numbers are drawn at once, for data of so many ``features``."""
    return max(1, min(BLOCK, BLOCK_NUMBERS // step_numbers(config, features)))


def step_numbers(config: Config, features: int) -> int:
    """At most how many random numbers a step takes: real rows, latent vectors, noise."""
    c, latent = config, config.latent.size or features
    noise = features if c.instance_noise or c.observation_noise else 0
    mix = int(needs_mix(c))
    told = 4 * (c.label is not None)  # a column for each of a few classes
    of_d, of_g = features + latent + 2 * noise + mix + told, latent + noise
    return (c.discriminator_steps * of_d + c.generator_steps * of_g) * c.batch
