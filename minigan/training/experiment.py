"""An experiment ready to run: data, networks and game made from a config; alone, or many as one program.

Randomness is a function of (seed, stream, block), so any step can be drawn again from its index alone, and
an experiment that trains among others draws, computes and ends with the bits of the same one alone.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from minigan import backend as backends
from minigan.backend import philox
from minigan.compiler.capture import Program, capture
from minigan.compiler.executions import available
from minigan.engine.tensor import CaptureError, constant, mark_written
from minigan.errors import ConfigError, DataError, DivergedError, UnavailableError, shown
from minigan.gan.game import PENALTIES, Game, Losses, best_response
from minigan.machine import set_threads
from minigan.nn.network import Network, mlp
from minigan.nn.optim import OPTIMIZERS
from minigan.nn.schedules import Average, Averaging, Schedule
from minigan.probability.distributions import (
    Distribution,
    Empirical,
    MultivariateDistribution,
    Normal,
    location_scale,
    parse,
)
from minigan.training.config import Config, NetworkConfig, OptimizerConfig, replace, to_json
from minigan.training.data import Data
from minigan.training.data import location_scale as scale_of_rows

STREAMS = ("init", "data", "latent", "eval", "scale", "split", "verdict", "best", "noise", "held")
COUNTED = ("real", "latent_d", "latent_g", "mix", "noise_x", "noise_d", "noise_g")  # the streams of Philox
BLOCK = 50  # steps whose random numbers are drawn at once, fewer if they are large
BLOCK_NUMBERS = 2**23
CHUNK = 2**16  # rows that pass a network at once outside training
SCALE_SAMPLE = (
    10_000  # values from which mean and sd of a distribution are estimated, as a user would do it with data
)
SMALL = 500  # data sets with fewer rows are not split: a tenth of them would judge nothing
EXTREME = 1e100  # of a scale, up or down: beyond, squares overflow or vanish in float64
OFFSET = 1e12  # of a location over its scale: beyond, float64 has too few digits left to judge a shape by
REPLICATED = (  # what may differ between experiments that train together
    "seed", "generator_optimizer.rate", "discriminator_optimizer.rate", *PENALTIES,
)  # fmt: skip
OPTIONS = {  # of each optimiser: its own name of a number, and the configuration's
    "sgd": {},
    "optimistic_sgd": {},
    "momentum": {"momentum": "momentum"},
    "rmsprop": {"rho": "beta2", "epsilon": "epsilon"},
    "adam": {"beta1": "beta1", "beta2": "beta2", "epsilon": "epsilon"},
    "optimistic_adam": {"beta1": "beta1", "beta2": "beta2", "epsilon": "epsilon"},
}


def stream(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """The random generator of one purpose: independent of all others, and found again from its indices."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(name), index)))


class Steps:
    """A game that is played step by step: the numbers of a block are drawn at once, the step is recorded.

    step     how many were played
    watched  whether every operation is checked: slow, and with the last bits of steps that are not planned
    """

    config: Config
    backend: backends.Backend
    game: Game

    def __init__(self, block_length: int) -> None:
        self.step, self.block_length, self.watched = 0, block_length, False
        self._block: int | None = None
        self._numbers: dict[str, Any] = {}  # of this block, on the backend
        self._program: Program | None = None
        self._losses: Losses | None = None

    def draw(self, block: int, K: int) -> dict[str, Any]:
        """The inputs of a block of K steps by the names that Game.round has for them.

        NumPy's are on the host; what Philox draws is on the backend.
        """
        raise NotImplementedError

    def settle(self) -> None:
        """Make each experiment that trains here show where it stands now."""

    def _draw(self, block: int) -> dict[str, Any]:
        drawn = self.draw(block, self.block_length)
        return {
            name: self.backend.array(array) if type(array) is np.ndarray else array
            for name, array in drawn.items()
        }

    def advance(self, steps: int) -> None:
        """Train for so many steps; nothing is read from the device."""
        while steps > 0:
            block, k = divmod(self.step, self.block_length)
            if block != self._block:
                self._block, self._numbers = block, self._draw(block)
            count = min(steps, self.block_length - k)
            if self.watched:
                count = 1
                self._watched([constant(numbers[k]) for numbers in self._numbers.values()])
            elif self._program is None:
                count, inputs = 1, [constant(numbers[k]) for numbers in self._numbers.values()]
                how = {"threads": self.config.threads, "execution": self.config.execution}
                self._program = self._capture(inputs, **how)
                self._losses = self._program.outputs
                if self.program_threads > 1:
                    set_threads(1)  # each of the program's own threads calls it
            else:
                self._program.each(*(numbers[k : k + count] for numbers in self._numbers.values()))
            self.step += count
            steps -= count

    def _capture(self, inputs: list[Any], **how: Any) -> Program:
        try:
            return capture(self._round, *inputs, state=self.game.state, **how)
        except CaptureError as error:  # of a step that is recorded, but cannot be executed so
            if self.config.execution == "auto":
                raise
            raise ConfigError(f"{error}; --set execution=auto takes what is possible") from None

    def _watched(self, batches: list[Any]) -> None:
        """One step as Python runs it, every call looked at."""
        from minigan.engine.anomaly import AnomalyError, detect_anomaly

        try:
            with detect_anomaly():
                self._losses = self._round(*batches)
        except AnomalyError as error:
            raise DivergedError(f"in step {self.step + 1}, {error}") from None

    def _round(self, *batches: Any) -> Losses:
        """One round of the game on batches in the order of this block's numbers."""
        return self.game.round(**dict(zip(self._numbers, batches, strict=True)))

    @property
    def program(self) -> Program | None:
        """The recorded step, once there was one."""
        return self._program

    @property
    def program_threads(self) -> int:
        """How many threads share a step beside those of BLAS: more than one where the work is large."""
        plan = None if self._program is None else self._program.plan
        return 1 if plan is None else plan.threads

    def losses(self) -> tuple[np.ndarray, np.ndarray]:
        """What D and G minimised in the last step, one value per replica; NaN before the first.

        Shapes:  → (…, 1, 1) twice
        """
        if self._losses is None:
            return np.full((1, 1), np.nan), np.full((1, 1), np.nan)
        return self._losses.discriminator.numpy(), self._losses.generator.numpy()


class Experiment(Steps):
    """Data, networks and game of a config, with a step counter.

    data    the user's data set, if the config names one

    distribution        what real data are drawn from: the target, or the training rows
    held_out   the rows that judge (all of them, where they are too few to split); of a target distribution of
               several features as many as are generated to be judged, of one feature None: the distribution
               itself judges
    """

    def __init__(self, config: Config, *, data: Data | None = None) -> None:
        self.config, self.backend = config, get_backend(config.backend)
        names = available(self.backend)
        if config.execution not in ("auto", *names):
            raise ConfigError(
                f"execution is auto, {' or '.join(names)} on {self.backend.name}; received "
                f"{config.execution!r}"
            )
        self._read(data)
        self.notes += backend_notes(config.backend)
        self.latent_size = config.latent.size or self.features
        self._scale()
        self.game = _game([config], self.backend, self.latent_size, self.features)
        self.generator, self.discriminator = self.game.generator, self.game.discriminator
        self.averaged = self.generator.with_parameters(self.game.average.parameters)
        s, a = config.schedule, config.average
        try:
            self.schedule = Schedule(s.name, config.steps, s.hold, s.final, s.warmup)
            self.averaging = Averaging(a.name, config.steps, a.decay, a.start)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        super().__init__(block_length(config, self.features))

    # ── data ────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, data: Data | None) -> None:
        self.names: tuple[str, ...] = ("x",)
        self.notes: tuple[str, ...] = ()
        self.held_out: np.ndarray | None = None
        self.digest: str | None = None  # of the data set, if there is one
        if data is None:
            self.distribution: Any = read_distribution(self.config.target)  # of one feature or of several
            self.features = self.distribution.features
            if self.features > 1:
                self.names = ("x", "y") if self.features == 2 else numbered("x", self.features)
                self.held_out = self.distribution.sample(
                    stream(self.config.seed, "held"), (self.config.eval_samples,)
                )
            return
        rows, self.names, self.features = data.values, data.names, data.values.shape[1]
        refuse_extremes(data)
        self.digest = hashlib.blake2b(np.ascontiguousarray(rows).tobytes(), digest_size=16).hexdigest()
        held = int(self.config.holdout * len(rows)) if len(rows) >= SMALL else 0
        held = held if held > 1 else 0
        order = stream(self.config.seed, "split").permutation(len(rows))
        train, self.held_out = rows[np.sort(order[held:])], rows[np.sort(order[:held])] if held else rows
        for part, purpose in ((train, "learn"), (self.held_out, "judge by")):
            if (part == part[0]).all():  # an almost constant data set, after the split
                raise DataError(
                    f"all of the {len(part)} rows of {shown(data.source)} to {purpose} are "
                    f"{shown(part[0].tolist())}, a distribution without a density; give more varied data, "
                    "or keep them together with --set holdout=0"
                )
        self.distribution = Empirical(train[:, 0] if self.features == 1 else train)
        note = f"{held} of {len(rows)} rows are held out to judge the generator"
        if not held:
            why = f"holdout is {self.config.holdout:g}" if len(rows) >= SMALL else f"fewer than {SMALL}"
            note = (
                f"none of the {len(rows)} rows are held out ({why}): the same ones train and judge, "
                "and a generator that repeats them would pass"
            )
        self.notes = (*data.notes, note)

    def _scale(self) -> None:
        """Shift and scale between the user's units and the network's: mean and sd of the data."""
        seen = stream(self.config.seed, "scale")
        if not self.config.standardise:
            shift, scale = np.zeros(self.features), np.ones(self.features)
        elif isinstance(self.distribution, Empirical) or self.features > 1:
            empirical = isinstance(self.distribution, Empirical)
            rows = self.distribution.values if empirical else self.distribution.sample(seen, (SCALE_SAMPLE,))
            shift, scale = scale_of_rows(rows.reshape(-1, self.features))
            scale = np.where(scale > 0, scale, 1.0)
        else:
            sample = Empirical(self.distribution.sample(seen, (SCALE_SAMPLE,)))
            finite = location_scale(self.distribution)[2] == "sd"  # else a sample's sd says nothing
            low, middle, high = sample.quantile([0.25, 0.5, 0.75])
            shift, scale = (sample.mean, sample.sd) if finite else (middle, (high - low) / 1.349)
        self.shift, self.scale = (np.reshape(a, (1, self.features)) for a in (shift, scale))

    # ── training ────────────────────────────────────────────────────────────────────────────────────────

    def draw(self, block: int, K: int) -> dict[str, Any]:
        if self.config.random == "philox":
            return self.drawn_by_numpy(block, K) | _drawn_by_philox([self], block, K)
        return self.drawn_by_numpy(block, K)

    def drawn_by_numpy(self, block: int, K: int) -> dict[str, np.ndarray]:
        """What NumPy draws of a block: all, or what Philox cannot; and what follows from the steps alone."""
        c = self.config
        t = block * K + np.arange(K)
        numbers: dict[str, np.ndarray] = {}
        if c.random == "numpy" or not self.normal_target:
            rows = self.distribution.sample(
                stream(c.seed, "data", block), (K, c.discriminator_steps, c.batch)
            )
            scaled = (rows.reshape(*rows.shape[:3], self.features) - self.shift) / self.scale
            numbers["real"] = scaled.astype(c.dtype)
        if c.random == "numpy" or c.latent.distribution == "one":
            latent = stream(c.seed, "latent", block)
            numbers["latent_d"] = self.draw_latent(latent, (K, c.discriminator_steps, c.batch))
            numbers["latent_g"] = self.draw_latent(latent, (K, c.generator_steps, c.batch))
        if c.random == "numpy":
            numbers |= self._draw_noise(stream(c.seed, "noise", block), t)
        numbers["factor"] = self.schedule(t).astype(c.dtype)[:, None]
        numbers["weight"] = self.averaging(t).astype(c.dtype)[:, None]
        return numbers

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
            name: np.hypot(fading, sd / self.scale) for name, sd in own.items() if c.instance_noise or sd
        }

    def _draw_noise(self, rng: np.random.Generator, t: np.ndarray) -> dict[str, np.ndarray]:
        """What penalties between the data, instance and observation noise need at the steps t, if any."""
        c, dtype = self.config, np.dtype(self.config.dtype)
        numbers: dict[str, np.ndarray] = {}
        if c.wgan_gp or c.zero_gp:
            numbers["mix"] = rng.random((len(t), c.discriminator_steps, c.batch // c.packing, 1), dtype=dtype)
        for name, sd in self.noise_sd(t).items():
            shape = (len(t), updates_of(c, name), c.batch, self.features)
            numbers[name] = (sd * rng.standard_normal(shape, dtype=dtype)).astype(dtype)
        return numbers

    def draw_latent(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Latent vectors of the configured distribution.    Shapes:  → (*shape, n)"""
        shape, dtype = (*shape, self.latent_size), np.dtype(self.config.dtype)
        if self.config.latent.distribution == "normal":
            return rng.standard_normal(shape, dtype=dtype)
        if self.config.latent.distribution == "one":
            return np.ones(shape, dtype)
        return 2 * rng.random(shape, dtype=dtype) - 1

    # ── looking at it ───────────────────────────────────────────────────────────────────────────────────

    def generate(self, latent: np.ndarray, *, averaged: bool = True) -> np.ndarray:
        """G(z) in the user's units, float64.    Shapes:  (…, n, latent) → (…, n, p)"""
        network = self.averaged if averaged else self.generator
        return self._apply(network, latent) * self.scale + self.shift

    def logits(self, x: np.ndarray, *, packs: bool = False) -> np.ndarray:
        """D's raw output at x in the user's units, float64.

        A D that packs m samples sees each row m times, or with ``packs`` m rows at once, one after another.

        Shapes:  (…, n, p) → (…, n, 1), with packs (…, n // m, 1)
        """
        m, scaled = self.config.packing, (x - self.shift) / self.scale
        if packs:
            *front, n, p = scaled.shape
            rows = scaled[..., : n - n % m, :].reshape(*front, n // m, m * p)
        else:
            rows = np.concatenate([scaled] * m, axis=-1)
        return self._apply(self.discriminator, rows)

    def best_response(self, x: np.ndarray, steps: int = 300, batch: int = 256) -> np.ndarray:
        """Logits at x of a new D, trained without penalties against the generator as it stands.

        The game goes on as if nothing had been asked.    Shapes:  (n, p) → (n, 1)
        """
        rng, count = stream(self.config.seed, "best", self.step), steps * batch
        rows = self.distribution.sample(rng, (count,)).reshape(count, self.features)
        made = self._observed(self.generate(self.draw_latent(rng, (count,)), averaged=False), rng)
        scaled = [((a - self.shift) / self.scale).astype(self.config.dtype) for a in (rows, made)]
        batches = [constant(self.backend.array(a.reshape(steps, batch, self.features))) for a in scaled]
        D = _network(self.config, self.config.discriminator, self.backend, rng, self.features, 1)
        best_response(D, OPTIMIZERS["adam"](D.parameters, 0.005), *batches)
        return self._apply(D, (x - self.shift) / self.scale)

    def sample(self, count: int, index: int = 0, *, averaged: bool = True) -> np.ndarray:
        """``count`` generated rows, those of draw ``index``: the same call gives the same rows.

        Shapes:  → (count, p)
        """
        rng = stream(self.config.seed, "eval", index)
        return self._observed(self.generate(self.draw_latent(rng, (count,)), averaged=averaged), rng)

    def _observed(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What the instrument shows of generated rows: with its noise, if it has any."""
        sd = self.config.observation_noise
        return rows + sd * rng.standard_normal(rows.shape) if sd else rows

    def real(self, count: int, index: int = 0) -> np.ndarray:
        """``count`` real rows that training does not see in this order.    Shapes:  → (count, p)"""
        rows = self.distribution.sample(stream(self.config.seed, "verdict", index), (count,))
        return rows.reshape(count, self.features)

    @np.errstate(invalid="ignore")  # a flag without a NaN: of OpenBLAS's AVX-512 products of five columns
    def _apply(self, network, x: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, x.shape[-2], CHUNK):
            rows = np.ascontiguousarray(x[..., start : start + CHUNK, :], self.config.dtype)
            parts.append(network(constant(self.backend.array(rows))).numpy())
        return np.concatenate(parts, axis=-2).astype("float64")

    # ── what a checkpoint holds ─────────────────────────────────────────────────────────────────────────

    def _networks(self) -> dict[str, Network]:
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.averaged}

    def arrays(self) -> dict[str, np.ndarray]:
        """All that training made, by name: networks layer by layer, optimisers as flat buffers, scaling."""
        arrays = {
            f"{player}.{key}": array
            for player, network in self._networks().items()
            for key, array in network.parameters.arrays().items()
        }
        arrays |= {name: tensor.numpy() for name, tensor in self.game.state.items() if "." in name}
        return arrays | {"shift": self.shift, "scale": self.scale}

    def load(self, arrays: dict[str, np.ndarray], step: int) -> None:
        """Take over what ``arrays`` made, with the step count it belongs to.

        Raises:  ValueError – if the arrays are not those of this experiment
        """
        for player, network in self._networks().items():
            own = [key for key in arrays if key.startswith(f"{player}.")]
            network.parameters.load({key.removeprefix(f"{player}."): arrays[key] for key in own})
        for name, tensor in self.game.state.items():
            if "." in name:
                if name not in arrays or arrays[name].shape != tensor.shape:
                    raise ValueError(f"{name} is missing or has another shape than {tensor.shape}")
                self.backend.xp.copyto(tensor.array, self.backend.array(arrays[name]))
        self.shift, self.scale, self.step = arrays["shift"], arrays["scale"], step


class Ensemble(Steps):
    """Experiments that differ in numbers alone, trained together as one program with a replica axis.

    Each has the bits that it has alone with one thread, whatever the number of threads here; on a GPU where
    both run in the same execution, which many small replicas may choose otherwise than one.

    They go on from where they are, all at one step: just made, or loaded from checkpoints.

    Raises:  ConfigError – if they differ in more than REPLICATED, or in whether a penalty is 0
             ValueError – if they are not at one step
    """

    def __init__(self, experiments: Sequence[Experiment]) -> None:
        configs = [experiment.config for experiment in experiments]
        if len({structure(config) for config in configs}) != 1:
            raise ConfigError(
                f"experiments train together if they differ in {', '.join(REPLICATED)} alone and agree in "
                f"which penalties are 0; received {len(configs)} that do not"
            )
        steps = {experiment.step for experiment in experiments}
        if len(steps) != 1:
            raise ValueError(f"experiments train together from one step on; received {sorted(steps)}")
        self._experiments, first = list(experiments), experiments[0]
        self.config, self.backend = first.config, first.backend
        self.game = _game(configs, self.backend, first.latent_size, first.features, replicated=True)
        super().__init__(first.block_length)
        for name, tensor in self.game.state.items():
            rows = [experiment.game.state[name].array for experiment in experiments]
            self.backend.xp.copyto(tensor.array, self.backend.xp.stack(rows))
            mark_written(tensor.array)
        self.step = first.step

    @classmethod
    def of_seeds(cls, config: Config, seeds: Sequence[int], *, data: Data | None = None) -> Self:
        """One experiment per seed."""
        return cls([Experiment(replace(config, seed=seed), data=data) for seed in seeds])

    def draw(self, block: int, K: int) -> dict[str, Any]:
        parts = [experiment.drawn_by_numpy(block, K) for experiment in self._experiments]
        shared = ("factor", "weight")  # functions of the step alone
        numbers: dict[str, Any] = {
            name: array if name in shared else np.stack([part[name] for part in parts], axis=2)
            for name, array in parts[0].items()
        }
        if self.config.random == "philox":
            numbers |= _drawn_by_philox(self._experiments, block, K, replicated=True)
        return numbers

    @property
    def experiments(self) -> list[Experiment]:
        """Each as it stands now, to be looked at; they are not trained one by one."""
        self.settle()
        return self._experiments

    def settle(self) -> None:
        for k, experiment in enumerate(self._experiments):
            if experiment.step != self.step:
                for name, tensor in experiment.game.state.items():
                    if name not in PENALTIES:
                        self.backend.xp.copyto(tensor.array, self.game.state[name].array[k])
                        mark_written(tensor.array)
                experiment.step = self.step
                if self._losses is not None:
                    experiment._losses = Losses(*(constant(loss.array[k]) for loss in self._losses))

    def sample(self, count: int, index: int = 0, *, averaged: bool = True) -> np.ndarray:
        """``count`` generated rows of each experiment.    Shapes:  → (R, count, p)"""
        return np.stack([e.sample(count, index, averaged=averaged) for e in self.experiments])


def updates_of(config: Config, name: str) -> int:
    """How many updates of a step take the input of that name: those of G, or of D."""
    return config.generator_steps if name.endswith("_g") else config.discriminator_steps


def _drawn_by_philox(
    experiments: Sequence[Experiment], block: int, K: int, *, replicated: bool = False
) -> dict[str, Any]:
    """The random inputs of a block of K steps on the backend, but those that only NumPy draws.

    Each experiment's numbers are functions of its seed, the step and the input, with the same bits on every
    backend, in blocks of any length, and alone or together.

    Shapes:  → (K, updates, batch, n), replicated (K, updates, R, batch, n)
    """
    first, steps = experiments[0], range(block * K, (block + 1) * K)
    c, backend, features = first.config, first.backend, first.features
    xp, seeds = backend.xp, [experiment.config.seed for experiment in experiments]

    def draw(distribution: Any, name: str, rows: int, n: int) -> Any:
        return distribution(
            backend, (updates_of(c, name), rows, n), seed=seeds if replicated else seeds[0],
            stream=COUNTED.index(name), steps=steps, axis=1, dtype=c.dtype,
        )  # fmt: skip

    def numbers(own: list[np.ndarray]) -> Any:
        return backend.array((np.stack(own, axis=2) if replicated else own[0]).astype(c.dtype))

    drawn = {}
    if first.normal_target:
        sd = numbers([np.reshape(e.distribution.sd / e.scale, (1, 1, 1, 1)) for e in experiments])
        mean = numbers(
            [np.reshape((e.distribution.mean - e.shift) / e.scale, (1, 1, 1, 1)) for e in experiments]
        )
        drawn["real"] = xp.add(xp.multiply(draw(philox.normal, "real", c.batch, 1), sd), mean)
    for name in ("latent_d", "latent_g"):
        if c.latent.distribution == "normal":
            drawn[name] = draw(philox.normal, name, c.batch, first.latent_size)
        elif c.latent.distribution == "uniform":
            twice = xp.multiply(draw(philox.uniform, name, c.batch, first.latent_size), 2.0)
            drawn[name] = xp.subtract(twice, 1.0)
    if c.wgan_gp or c.zero_gp:
        drawn["mix"] = draw(philox.uniform, "mix", c.batch // c.packing, 1)
    noises = [experiment.noise_sd(np.arange(steps.start, steps.stop)) for experiment in experiments]
    for name in noises[0]:
        sd = numbers([own[name] for own in noises])
        drawn[name] = xp.multiply(draw(philox.normal, name, c.batch, features), sd)
    return drawn


def structure(config: Config) -> bytes:
    """What experiments that train together have in common: all but REPLICATED and the name.

    A penalty of 0 is not computed, so whether it is 0 belongs to the structure.
    """
    common: dict[str, Any] = {name: float(getattr(config, name) > 0) for name in PENALTIES}
    common |= {
        name: replace(getattr(config, name), rate=1.0)
        for name in ("generator_optimizer", "discriminator_optimizer")
    }
    return to_json(replace(config, name="", seed=0, **common))


def _network(
    config: Config, net: NetworkConfig, backend: Any, rngs: Any, inputs: int, outputs: int
) -> Network:
    sizes, options = (inputs, *net.widths, outputs), {"backend": backend, "dtype": config.dtype}
    return mlp(sizes, rngs=rngs, activation=net.activation, initializer=net.initializer, **options)


def _game(
    configs: Sequence[Config], backend: Any, latent: int, features: int, *, replicated: bool = False
) -> Game:
    """The game of one config, or of several with a replica axis."""
    c = configs[0]
    starts = [stream(config.seed, "init") for config in configs]
    rngs = starts if replicated else starts[0]

    def numbers(name: str, values: list[float], usual: float) -> np.ndarray:
        with np.errstate(over="ignore", under="ignore"):
            there = np.array(values).astype(c.dtype)
        for value, rounded in zip(values, there, strict=True):
            if not 0 < rounded < np.inf:
                raise ValueError(
                    f"{name} of {value:g} is 0 or infinite in {c.dtype}; choose one nearer to {usual:g}"
                )
        return there if replicated else there[0]

    def optimizer(parameters, of: str):
        o: OptimizerConfig = getattr(c, of)
        rates = numbers("a rate", [getattr(config, of).rate for config in configs], 0.001)
        options = {name: getattr(o, field) for name, field in OPTIONS[o.name].items()}
        if "epsilon" in options:
            numbers("epsilon", [o.epsilon] * len(configs), 1e-8)
        return OPTIMIZERS[o.name](parameters, rates, **options)

    def penalty(name: str):
        """A tensor also where there is one experiment: folded into literals it would round differently."""
        if not getattr(c, name):
            return 0.0
        weights = numbers(name, [getattr(config, name) for config in configs], 1.0)
        return constant(backend.array(weights.reshape(*weights.shape, 1, 1)))

    try:
        generator = _network(c, c.generator, backend, rngs, latent, features)
        discriminator = _network(c, c.discriminator, backend, rngs, features * c.packing, 1)
        return Game(
            generator, discriminator,
            optimizer(generator.parameters, "generator_optimizer"),
            optimizer(discriminator.parameters, "discriminator_optimizer"),
            objective=c.objective, **{name: penalty(name) for name in PENALTIES}, clip=c.clip,
            order=c.order, consensus=c.consensus, average=Average(generator.parameters),
            unrolled=c.unrolled, unrolled_rate=c.unrolled_rate,
            discriminator_steps=c.discriminator_steps, generator_steps=c.generator_steps,
        )  # fmt: skip
    except ValueError as error:
        raise ConfigError(str(error)) from None


def block_length(config: Config, features: int) -> int:
    """The steps whose random numbers are drawn at once, for data of so many ``features``."""
    return max(1, min(BLOCK, BLOCK_NUMBERS // step_numbers(config, features)))


def step_numbers(config: Config, features: int) -> int:
    """At most how many random numbers a step takes: real rows, latent vectors, noise."""
    c, latent = config, config.latent.size or features
    noise = features if c.instance_noise or c.observation_noise else 0
    mix = 1 if c.wgan_gp or c.zero_gp else 0
    of_d, of_g = features + latent + 2 * noise + mix, latent + noise
    return (c.discriminator_steps * of_d + c.generator_steps * of_g) * c.batch


def numbered(name: str, count: int) -> tuple[str, ...]:
    """Names of features that have none of their own: x1, x2 …"""
    return tuple(f"{name}{j + 1}" for j in range(count))


def read_distribution(text: str) -> Distribution | MultivariateDistribution:
    """The distribution that ``text`` names.

    Raises:  ConfigError – if it names none, or one beyond the digits of float64
    """
    try:
        distribution = parse(text)
    except ValueError as error:
        raise ConfigError(f"target: {error}") from None
    moments: Any = (
        location_scale(distribution)[:2]
        if isinstance(distribution, Distribution)
        else (distribution.mean, distribution.sd)
    )
    for location, scale in zip(*np.atleast_1d(*moments), strict=True):
        if _extreme(location, scale):
            raise ConfigError(
                f"the target {distribution} has location {location:.3g} and scale {scale:.3g}, "
                "beyond what float64 can judge; choose another unit or origin"
            )
    return distribution


def refuse_extremes(data: Data) -> None:
    """Refuse values whose squares overflow or vanish, or that differ in the last digits alone.

    Later a NaN would tell it, without a name.

    Raises:  DataError – with the name of the column
    """
    for name, location, scale in zip(data.names, *scale_of_rows(data.values), strict=True):
        # A constant feature, as a dark corner of every image, has no scale.
        if scale > 0 and _extreme(location, scale):
            raise DataError(
                f"column {shown(name)} of {shown(data.source)} has mean {location:.3g} and sd {scale:.3g}, "
                "beyond what float64 can judge; give it in another unit or from another origin"
            )


def _extreme(location: float, scale: float) -> bool:
    return not (1 / EXTREME <= scale <= EXTREME and abs(location) <= OFFSET * scale)


def get_backend(name: str) -> backends.Backend:
    """The backend of that name.

    Raises:  UnavailableError – if it cannot be used here
    """
    try:
        return backends.get(name)
    except backends.BackendError as error:
        raise UnavailableError(str(error)) from None


def backend_notes(name: str) -> tuple[str, ...]:
    """What "auto" chose and why, wherever it had a choice."""
    chosen, why = backends.automatic() if name == "auto" else (None, None)
    return () if chosen is None or why is None else (f"--backend auto took {chosen.name}: {why}",)
