"""An experiment ready to run: data, networks and game made from a config; alone, or many as one program.

One that trains among others draws, computes and ends with the bits of the same one alone.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Self, cast

import numpy as np

from minigan import backend as backends
from minigan.backend.writes import mark_written
from minigan.compiler.executions import refused
from minigan.engine.tensor import Tensor, constant
from minigan.errors import ConfigError, UnavailableError
from minigan.gan.game import Game, best_response
from minigan.gan.orders import Losses
from minigan.gan.orders import order as order_called
from minigan.gan.penalties import PENALTIES
from minigan.nn.network import Network, mlp
from minigan.nn.optim import OPTIMIZERS, Optimizer
from minigan.nn.parameters import Parameters
from minigan.nn.schedules import Average, Averaging, Schedule
from minigan.training.bends import spread_bends, spread_bends_of
from minigan.training.config import Config, NetworkConfig, OptimizerConfig, replace, to_json
from minigan.training.data import Data
from minigan.training.draws import Draws, block_length, block_together, draw_latent, stream
from minigan.training.labels import stored
from minigan.training.material import read_material
from minigan.training.sampler import Sampler, apply
from minigan.training.steps import Steps
from minigan.training.units import (
    Units,
    standard_units,
    user_units,
)

REPLICATED = (  # what may differ between experiments that train together
    "seed", "generator_optimizer.rate", "discriminator_optimizer.rate", *PENALTIES,
)  # fmt: skip


def numbers_of(config: OptimizerConfig) -> dict[str, float]:
    """The numbers that an optimiser takes beside its rate, by its own names for them."""
    return {name: getattr(config, {"rho": "beta2"}.get(name, name)) for name in _arguments_of(config.name)}


@cache
def _arguments_of(optimizer: str) -> list[str]:
    return list(inspect.signature(OPTIMIZERS[optimizer]).parameters)[2:]


class Experiment(Steps):
    """Data, networks and game of a config, with a step counter.

    data    the user's data set, if the config names one

    distribution        what real data are drawn from: the target, or the training rows
    labels, names, held_out, held_classes, digest, judged_on_learned   as Material has them
    """

    def __init__(self, config: Config, *, data: Data | None = None) -> None:
        self.config, self.backend = config, get_backend(config.backend)
        refuse_execution(config, self.backend)
        learned = read_material(config, data)
        self.distribution, self.labels = learned.distribution, learned.labels
        self.names, self.features = learned.names, len(learned.names)
        self.held_out, self.held_classes = learned.held_out, learned.held_classes
        self.digest, self.judged_on_learned = learned.digest, learned.judged_on_learned
        self.notes = (*learned.notes, *backend_notes(config.backend))
        self.latent_size = config.latent.size or self.features
        units = (
            standard_units(self.distribution, stream(config.seed, "scale"))
            if config.standardise
            else user_units(self.features)
        )
        classes = 0 if self.labels is None else self.labels.count
        self.game = _game([config], self.backend, self.latent_size, self.features, classes)
        parts = () if self.labels is None else self.labels.conditionals
        spread_bends(self.game, config, self.distribution, units, self.latent_size, parts)
        self.generator, self.discriminator = self.game.generator, self.game.discriminator
        self.averaged = self.generator.with_parameters(cast(Average, self.game.average).parameters)
        self.schedule, self.averaging = course(config)
        plan = self.schedule, self.averaging
        self.draws = Draws(config, self.distribution, units, self.latent_size, *plan, self.labels)
        super().__init__(block_length(config, self.features))

    # ── training ────────────────────────────────────────────────────────────────────────────────────────

    def draw(self, block: int, K: int) -> dict[str, Any]:
        return self.draws.block(self.backend, block, K)

    @property
    def units(self) -> Units:
        """Between the user's units and the networks'."""
        return self.draws.units

    @property
    def shift(self) -> np.ndarray:
        """What is 0 to the networks, in the user's units.    Shapes:  (1, p)"""
        return self.units.shift

    @property
    def scale(self) -> np.ndarray:
        """What is 1 to the networks, in the user's units.    Shapes:  (1, p)"""
        return self.units.scale

    def draw_latent(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Latent vectors of the configured distribution.    Shapes:  → (*shape, n)"""
        return draw_latent(self.config, self.latent_size, rng, shape)

    # ── looking at it ───────────────────────────────────────────────────────────────────────────────────

    def sampler(self, averaged: bool = True) -> Sampler:
        """The averaged generator, or the one in training."""
        network = self.averaged if averaged else self.generator
        return Sampler(self.config, self.backend, network, self.units, self.latent_size, self.labels)

    def generate(
        self, latent: np.ndarray, *, averaged: bool = True, codes: np.ndarray | None = None
    ) -> np.ndarray:
        """G(z) or G(z, k) in the user's units, float64.    Shapes:  (…, n, latent), (…, n) → (…, n, p)"""
        return self.sampler(averaged).generate(latent, codes=codes)

    def logits(self, x: np.ndarray, *, packs: bool = False, codes: np.ndarray | None = None) -> np.ndarray:
        """D's raw output at x in the user's units, float64, of rows of these classes, if it is told them.

        A D that packs m samples sees each row m times, or with ``packs`` m rows at once, one after another.

        Shapes:  (…, n, p), codes (…, n) → (…, n, 1), with packs (…, n // m, 1)
        """
        m, told = self.config.packing, self.sampler().told(codes)

        def packed(rows: np.ndarray) -> np.ndarray:
            if not packs:
                return np.concatenate([rows] * m, axis=-1)
            *front, n, p = rows.shape
            return rows[..., : n - n % m, :].reshape(*front, n // m, m * p)

        rows = packed(self.units.to_network(x))
        k = None if told is None else packed(told)
        return apply(self.discriminator, rows, self.config.dtype, self.backend, told=k)

    def best_response(
        self, after: Sequence[int] = (300,), batch: int = 256
    ) -> list[Callable[[np.ndarray], np.ndarray]]:
        """The logits of a new D after so many steps, without penalties, against the generator as it stands.

        The game goes on as if nothing had been asked.    Shapes:  each (n, p) → (n, 1)
        """
        steps = after[-1]
        rng, count = stream(self.config.seed, "best", self.step), steps * batch
        rows, sampler = self.draws.real(rng, (steps, batch)), self.sampler(averaged=False)
        latent = self.draws.latent(rng, (steps, batch)).reshape(count, self.latent_size)
        made = self.units.to_network(sampler.observed(sampler.generate(latent), rng))
        made = made.reshape(rows.shape).astype(self.config.dtype)
        batches = [self.backend.array(a) for a in (rows, made)]
        D = make_network(self.config, self.config.discriminator, self.backend, rng, self.features, 1)
        spread_bends_of("discriminator", D, rng, self.config, self.distribution, self.units, self.latent_size)
        # One layer has to be as steep as ln p/q is, where others begin with units as steep as the data want.
        optimizer = OPTIMIZERS["adam"](D.parameters, 0.3 if len(D.layers) == 1 else 0.005)
        kept = best_response(D, optimizer, *map(constant, batches), after=after)

        def logits(network: Network, x: np.ndarray) -> np.ndarray:
            return self._apply(network, self.units.to_network(x))

        return [partial(logits, network) for network in kept]

    def sample(
        self, count: int, index: int = 0, *, averaged: bool = True, condition: Any = None
    ) -> np.ndarray:
        """``count`` generated rows, those of draw ``index``: the same call gives the same rows.

        condition  of a conditional run: a class, or one for each row; None for classes by their priors

        Shapes:  → (count, p)
        """
        return self.sampler(averaged).sample(count, index, condition=condition)

    def classes_of(self, count: int, index: int = 0) -> np.ndarray | None:
        """The numbers of the classes of the rows of ``sample``; None without.    Shapes:  → (count,)"""
        return self.sampler().codes(count, index)

    def real(self, count: int, index: int = 0) -> np.ndarray:
        """``count`` real rows that training does not see in this order, of the classes of ``sample``.

        Shapes:  → (count, p)
        """
        rng = stream(self.config.seed, "verdict", index)
        if self.labels is not None:
            return self.labels.rows(rng, np.asarray(self.classes_of(count, index)))
        rows: np.ndarray = self.distribution.sample(rng, (count,))
        return rows.reshape(count, self.features)

    def _apply(self, network: Network, x: np.ndarray) -> np.ndarray:
        return apply(network, x, self.config.dtype, self.backend)

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
                self.backend.xp.copyto(tensor.memory, self.backend.array(arrays[name]))
        self.draws = dataclasses.replace(self.draws, units=Units(arrays["shift"], arrays["scale"]))
        self.step = step

    @property
    def learned(self) -> dict[str, Any]:
        """What a checkpoint says of its data: names of features, digest, classes."""
        return {"names": self.names, "data": self.digest, **stored(self.labels)}

    def __repr__(self) -> str:
        c = self.config
        where = f"{c.dtype} on {self.backend.name}"
        return (
            f"<experiment: {c.objective} game for {self.distribution}, seed {c.seed}, step {self.step} of "
            f"{c.steps}, {where}>"
        )


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
        first, self._of = experiments[0], _kind(experiments)
        self.backend = first.backend
        sizes = first.latent_size, first.features, first.generator.classes
        self.game = _game(configs, self.backend, *sizes, replicated=True)
        super().__init__(first.block_length)
        self._take(experiments)

    def _take(self, experiments: Sequence[Experiment]) -> None:
        self._experiments, self.config, self.step = (
            list(experiments),
            experiments[0].config,
            experiments[0].step,
        )
        self._block, self._losses = None, None
        states = [experiment.game.state for experiment in experiments]
        for name, tensor in self.game.state.items():
            rows = [state[name].memory for state in states]
            self.backend.xp.copyto(tensor.memory, self.backend.xp.stack(rows))
            mark_written(tensor.memory)

    def take(self, experiments: Sequence[Experiment]) -> bool:
        """Train others from here on, with the step that was recorded; False where it is not theirs."""
        if _kind(experiments) != self._of:
            return False
        self._take(experiments)
        return True

    def leave(self) -> None:
        """Forget the experiments, and keep the recorded step for those that ``take`` is given."""
        self._experiments, self._numbers = [], {}

    @classmethod
    def of_seeds(cls, config: Config, seeds: Sequence[int], *, data: Data | None = None) -> Self:
        """One experiment per seed."""
        return cls([Experiment(replace(config, seed=seed), data=data) for seed in seeds])

    def draw(self, block: int, K: int) -> dict[str, Any]:
        return block_together([experiment.draws for experiment in self._experiments], self.backend, block, K)

    @property
    def experiments(self) -> list[Experiment]:
        """Each as it stands now, to be looked at; they are not trained one by one."""
        self.settle()
        return self._experiments

    def settle(self) -> None:
        ours = self.game.state
        for k, experiment in enumerate(self._experiments):
            if experiment.step != self.step:
                for name, tensor in experiment.game.state.items():
                    if name not in PENALTIES:
                        self.backend.xp.copyto(tensor.memory, ours[name].memory[k])
                        mark_written(tensor.memory)
                experiment.step, experiment.executed = self.step, self.executed
                if self._losses is not None:
                    experiment._losses = Losses(*(constant(loss.memory[k]) for loss in self._losses))

    def sample(self, count: int, index: int = 0, *, averaged: bool = True) -> np.ndarray:
        """``count`` generated rows of each experiment.    Shapes:  → (R, count, p)"""
        return np.stack([e.sample(count, index, averaged=averaged) for e in self.experiments])

    def __repr__(self) -> str:
        count, last = len(self._experiments), self.config.steps
        return f"<{count} experiments as one program, step {self.step} of {last}>"


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


def _kind(experiments: Sequence[Experiment]) -> tuple[Any, ...] | None:
    """What a recorded step depends on; None where the experiments do not train together."""
    kinds = {
        (structure(e.config), e.step, e.features, e.latent_size, e.generator.classes) for e in experiments
    }
    if len(kinds) != 1:
        return None
    of, _, *sizes = kinds.pop()
    return of, len(experiments), *sizes


def rehearse(config: Config) -> None:
    """Make the game of ``config`` with the least networks there are.

    Raises:  ConfigError – for what its experiment would refuse, whatever its sizes, its data and its machine
    """
    if config.backend in ("numpy", "strict"):
        refuse_execution(config, get_backend(config.backend))
    course(config)
    least = {name: replace(getattr(config, name), widths=()) for name in ("generator", "discriminator")}
    _game([replace(config, packing=1, **least)], backends.numpy_backend, 1, 1, 2 * (config.label is not None))


def refuse_execution(config: Config, backend: Any) -> None:
    """Refuse an execution that the backend does not have.

    Raises:  ConfigError – with those that it has
    """
    if refusal := refused(config.execution, backend):
        raise ConfigError(refusal)


def course(config: Config) -> tuple[Schedule, Averaging]:
    """How rates and average change over the steps."""
    s, a = config.schedule, config.average
    try:
        return (
            Schedule(s.name, config.steps, s.hold, s.final, s.warmup),
            Averaging(a.name, config.steps, a.decay, a.start),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def make_network(
    config: Config, net: NetworkConfig, backend: Any, rngs: Any, inputs: int, outputs: int, classes: int = 0
) -> Network:
    """A network that the configuration describes, with new parameters; told so many columns of classes.

    D alone has one output and is told in a way of its choice; G is told beside its latent vector.
    """
    sizes, options = (inputs, *net.widths, outputs), {"backend": backend, "dtype": config.dtype}
    how = config.conditioning if net is config.discriminator else "concatenation"
    options |= {"classes": classes, "conditioning": how}
    return mlp(sizes, rngs=rngs, activation=net.activation, initializer=net.initializer, **options)


def _game(
    configs: Sequence[Config],
    backend: Any,
    latent: int,
    features: int,
    classes: int = 0,
    *,
    replicated: bool = False,
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

    def optimizer(parameters: Parameters, of: str) -> Optimizer:
        o: OptimizerConfig = getattr(c, of)
        rates = numbers("a rate", [getattr(config, of).rate for config in configs], 0.001)
        options = numbers_of(o)
        if "epsilon" in options:
            numbers("epsilon", [o.epsilon] * len(configs), 1e-8)
        return OPTIMIZERS[o.name](parameters, rates, **options)

    def weight(name: str) -> Tensor | float:
        """A tensor also where there is one experiment: folded into literals it would round differently."""
        if not getattr(c, name):
            return 0.0
        weights = numbers(name, [getattr(config, name) for config in configs], 1.0)
        return constant(backend.array(weights.reshape(*weights.shape, 1, 1)))

    try:
        m = c.packing
        generator = make_network(c, c.generator, backend, rngs, latent, features, classes)
        discriminator = make_network(c, c.discriminator, backend, rngs, features * m, 1, classes * m)
        return Game(
            generator, discriminator,
            optimizer(generator.parameters, "generator_optimizer"),
            optimizer(discriminator.parameters, "discriminator_optimizer"),
            objective=c.objective, penalties=[row(weight(name)) for name, row in PENALTIES.items()],
            clip=c.clip, order=order_called(c.order, c.consensus), average=Average(generator.parameters),
            unrolled=c.unrolled, unrolled_rate=c.unrolled_rate,
            discriminator_steps=c.discriminator_steps, generator_steps=c.generator_steps,
        )  # fmt: skip
    except ValueError as error:
        raise ConfigError(str(error)) from None


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
