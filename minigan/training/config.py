"""The configuration of a run as typed data: every field with its default, its meaning and its bounds.

A choice from a table names the table, and what the tables say is not said again here: an optimiser, an
activation, an order or a penalty that is added to its table is a setting. Where values come from is in
settings.py, what they may not be together in limits.py.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from minigan import backend
from minigan.compiler.executions import EXECUTIONS
from minigan.gan.objectives import OBJECTIVES
from minigan.gan.orders import ORDERS
from minigan.gan.penalties import PENALTIES
from minigan.nn.initializers import INITIALIZERS
from minigan.nn.layers import ACTIVATIONS, CONDITIONINGS
from minigan.nn.optim import OPTIMIZERS
from minigan.nn.schedules import AVERAGES, SCHEDULES

MAX_BYTES = 16 * 1024  # of a file, since tomllib's time is quadratic in the parts of a dotted key
HIDDEN = [name for name in ACTIVATIONS if name != "identity"]  # a hidden layer without one is no layer
*_SOME, _LAST = OBJECTIVES
BACKENDS = ("auto", *(name for name in backend.NAMES if name != "auto"))

S = TypeVar("S", bound=Struct)
Width = Annotated[int, Meta(ge=1, le=65536)]
Share = Annotated[float, Meta(ge=0, le=1)]  # of the steps, or of the data
Factor = Annotated[float, Meta(ge=0, lt=1)]  # a factor of a geometric memory
Positive = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(ge=0)]
Updates = Annotated[int, Meta(ge=1, le=100)]


def one_of(names: Iterable[str], description: str) -> Meta:
    """What makes a text one of these names: those of a table."""
    names = tuple(sorted(names))
    pattern = "|".join(map(re.escape, names))
    return Meta(pattern=rf"\A({pattern})\Z", description=description, extra={"choices": names})


def _ways(device: str) -> str:
    return ", ".join(name for name, row in EXECUTIONS.items() if device in row.devices)


class LatentConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The noise z that the generator turns into data."""

    size: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        Meta(description="numbers in one latent vector z; null for as many as the data have features"),
    ] = None
    distribution: Annotated[
        str,
        one_of(
            ("normal", "uniform", "one"),
            "distribution of each: N(0, 1), uniform on (-1, 1), or the constant 1: G is a point",
        ),
    ] = "normal"


class NetworkConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A multilayer perceptron: its hidden layers; what is at its ends follows from data and latent."""

    widths: Annotated[
        tuple[Width, ...], Meta(max_length=16, description="units of each hidden layer; [] for none")
    ] = (32, 32)
    activation: Annotated[str, one_of(HIDDEN, "nonlinearity of the hidden layers")] = "tanh"
    initializer: Annotated[str, one_of(INITIALIZERS, "distribution of the initial weights")] = (
        "glorot_uniform"
    )
    bends: Annotated[
        str,
        one_of(("zero", "data"), "where units bend at first: all at 0, or spread as the data ask for"),
    ] = "zero"


class OptimizerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one player moves; each rule reads only the numbers it has."""

    name: Annotated[str, one_of(OPTIMIZERS, "update rule")] = "adam"
    rate: Annotated[Positive, Meta(description="step size, in units of the parameters")] = 1e-3
    beta1: Annotated[Factor, Meta(description="memory of the mean gradient, per step (Adam)")] = 0.0
    beta2: Annotated[Factor, Meta(description="memory of the squared gradient, per step (Adam, RMSprop)")] = (
        0.999
    )
    epsilon: Annotated[Positive, Meta(description="added to the root of the squared gradient")] = 1e-8
    momentum: Annotated[Factor, Meta(description="memory of the velocity, per step (momentum)")] = 0.9


class ScheduleConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the step sizes change over the run."""

    name: Annotated[str, one_of(SCHEDULES, "shape of the decay")] = "cosine"
    hold: Annotated[Share, Meta(description="share of the steps at the full rate before the decay")] = 0.0
    final: Annotated[Share, Meta(description="factor on the rate at the last step")] = 0.0
    warmup: Annotated[int, Meta(ge=0, le=10**9, description="steps of linear rise to the full rate")] = 0


class AverageConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The average of the generator's parameters over the steps, from which the final samples are drawn."""

    name: Annotated[str, one_of(AVERAGES, "none, exponential, or uniform over the tail")] = "tail"
    decay: Annotated[Factor, Meta(description="memory of the average, per step (ema)")] = 0.999
    start: Annotated[Share, Meta(description="share of the steps after which averaging begins")] = 0.5


class TaskConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is learnt, by which networks, on which losses."""

    name: Annotated[
        str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z", description="of the run, and in its directory's name")
    ] = "gaussian"
    target: Annotated[str, Meta(max_length=1000, description="the distribution to learn, in units of x")] = (
        "normal(4, 1.25)"
    )
    data: Annotated[
        Annotated[str, Meta(min_length=1, max_length=4096)] | None,
        Meta(description="path of a CSV or NPY file to learn instead of the target"),
    ] = None
    columns: Annotated[
        Annotated[tuple[int | str, ...], Meta(min_length=1)] | None,
        Meta(description="columns of the data to learn, by index from 0 or by header name; null for all"),
    ] = None
    header: Annotated[
        bool | None,
        Meta(description="whether the first line of the data names its columns; null: as it looks"),
    ] = None
    label: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200)] | int | None,
        Meta(
            description="column of the data, by header name or index, with the class of each row, which both "
            "networks are told; component for those of a target that is a mixture; null for none"
        ),
    ] = None
    conditioning: Annotated[
        str,
        one_of(
            CONDITIONINGS,
            "how D is told the class: as inputs beside x, or by projection of its last features",
        ),
    ] = "concatenation"
    drop_nonfinite: Annotated[bool, Meta(description="drop the rows of the data with NaN or infinity")] = (
        False
    )
    standardise: Annotated[bool, Meta(description="train on (x - mean) / sd of each feature")] = True
    holdout: Annotated[
        float, Meta(ge=0, le=0.9, description="share of the data kept from training, to judge the samples by")
    ] = 0.2
    holdout_least: Annotated[
        int,
        Meta(ge=2, description="of fewer than 500 rows none are kept unless so many are: 80 see half an sd"),
    ] = 80

    latent: LatentConfig = LatentConfig()
    generator: NetworkConfig = NetworkConfig(activation="silu")
    discriminator: NetworkConfig = NetworkConfig(activation="leaky_relu")
    objective: Annotated[
        str,
        Meta(
            max_length=100,
            description=f"losses of the two players: {', '.join(_SOME)} or {_LAST}",
        ),
    ] = "non_saturating"


if TYPE_CHECKING:
    Penalised = TaskConfig  # a type checker reads no table: a weight is getattr(config, name)
else:
    Penalised = msgspec.defstruct(
        "Penalised",
        [
            (name, Annotated[Weight, Meta(description=f"weight of {row.about}")], row.default)
            for name, row in PENALTIES.items()
        ],
        bases=(TaskConfig,), module=__name__, frozen=True, kw_only=True, forbid_unknown_fields=True,
    )  # fmt: skip


class Config(Penalised, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides a run, apart from the machine: a task, its penalties, and how to train."""

    method: Annotated[
        str,
        one_of(
            ("auto", "plain", "shaped"),
            "what holds where nothing else is said: plain, as textbooks have it, or shaped to the data; auto "
            "is shaped",
        ),
    ] = "auto"
    clip: Annotated[Weight, Meta(description="bound on each parameter of D after a step; 0 for none")] = 0.0
    consensus: Annotated[
        Weight, Meta(description="weight of the squared gradients of both players; order simultaneous")
    ] = 0.0
    unrolled: Annotated[
        int, Meta(ge=0, le=20, description="steps that D is imagined to go on when G asks for its judgement")
    ] = 0
    unrolled_rate: Annotated[Positive, Meta(description="size of the imagined gradient steps")] = 0.1
    packing: Annotated[int, Meta(ge=1, le=64, description="samples that D judges together (PacGAN)")] = 1
    instance_noise: Annotated[
        Weight,
        Meta(description="sd, in scaled data, of noise on all that D sees; falls linearly to 0 over the run"),
    ] = 0.0
    observation_noise: Annotated[
        Weight,
        Meta(description="sd, in units of x, of the instrument's noise, added to what G makes (AmbientGAN)"),
    ] = 0.0

    generator_optimizer: OptimizerConfig = OptimizerConfig(rate=5e-3)
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(rate=5e-3)
    schedule: ScheduleConfig = ScheduleConfig()
    average: AverageConfig = AverageConfig()
    order: Annotated[
        str, one_of(ORDERS, "whether the players move in turn, at once, or after a look ahead")
    ] = "alternating"
    discriminator_steps: Annotated[Updates, Meta(description="updates of D in one step")] = 1
    generator_steps: Annotated[Updates, Meta(description="updates of G in one step")] = 1
    batch: Annotated[int, Meta(ge=2, le=2**24, description="samples of each kind in one update")] = 256
    draws: Annotated[
        str,
        one_of(
            ("independent", "stratified"),
            "rows and latents of a batch: independent, or one from each of as many slices of probability",
        ),
    ] = "independent"
    steps: Annotated[int, Meta(ge=1, le=10**9, description="length of the run, in steps")] = 5000

    dtype: Annotated[str, one_of(("float32", "float64"), "number format of parameters and data")] = "float32"
    backend: Annotated[str, one_of(BACKENDS, "what computes; auto is a GPU where one works")] = "auto"
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1, description="root of all randomness")] = 0
    random: Annotated[
        str,
        one_of(("numpy", "philox"), "what draws for a step: NumPy on the CPU, or Philox where the step runs"),
    ] = "numpy"
    eval_every: Annotated[int, Meta(ge=1, le=10**9, description="steps between two lines of metrics")] = 200
    eval_samples: Annotated[
        int, Meta(ge=100, le=10**7, description="generated samples each is made from")
    ] = 10000
    execution: Annotated[
        str,
        one_of(
            ("auto", *EXECUTIONS),
            f"how a step is run again: {_ways('cpu')} (numpy); {_ways('gpu')} (on a GPU)",
        ),
    ] = "auto"
    threads: Annotated[int, Meta(ge=1, le=1024, description="threads for large batches, many replicas")] = 1
    checkpoint_seconds: Annotated[
        float, Meta(ge=0, description="time between two checkpoints; 0 for one after every block of steps")
    ] = 10.0
    checkpoint_keep: Annotated[
        int, Meta(ge=1, le=1000, description="how many of the newest checkpoints are kept, beside the best")
    ] = 3


class Field(NamedTuple):
    """One setting: its default, the rule its value must follow, what it means, and its type."""

    default: Any
    rule: str
    description: str
    type: Any


@cache
def fields() -> dict[str, Field]:
    """Every setting by its dotted name, in declared order."""
    return dict(_fields(msgspec.inspect.type_info(Config), Config(), ""))


def _fields(struct: Any, default: Struct, prefix: str) -> Iterator[tuple[str, Field]]:
    for field in struct.fields:
        kind, description = field.type, ""
        if isinstance(kind, msgspec.inspect.Metadata):
            description = (kind.extra_json_schema or {}).get("description", "")
            choices = (kind.extra or {}).get("choices")
            kind = msgspec.inspect.LiteralType(choices) if choices else kind.type
        value = getattr(default, field.name)
        if isinstance(kind, msgspec.inspect.StructType):
            yield from _fields(kind, value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, Field(value, _rule(kind), description, kind)


def _rule(kind: Any) -> str:
    match kind:
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType():
            return "an integer" + _bounds(kind)
        case msgspec.inspect.FloatType():
            return "a finite number" + _bounds(kind)
        case msgspec.inspect.LiteralType(values=values):
            return "one of " + ", ".join(map(str, values))
        case msgspec.inspect.StrType(pattern=str()):
            return "text of 1 to 64 letters, digits, - or _"
        case msgspec.inspect.StrType(max_length=None):
            return "text"
        case msgspec.inspect.StrType(max_length=length):
            return f"text of at most {length} characters"
        case msgspec.inspect.VarTupleType(item_type=item, max_length=length):
            most = "" if length is None else f"at most {length} of "
            return f"a list of {most}which each is {_rule(item)}"
        case msgspec.inspect.UnionType(types=types):
            return " or ".join(_rule(t) for t in types)
    return "null"


def _bounds(kind: Any) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge} to {kind.le}"
    if kind.ge is not None and kind.lt is not None:
        return f" from {kind.ge} to below {kind.lt}"
    if kind.gt is not None:
        return f" above {kind.gt}"
    return "" if kind.ge is None else f" of at least {kind.ge}"


def flatten(config: Config) -> dict[str, Any]:
    """The settings of ``config`` by their dotted names."""
    flat = {}
    for name in fields():
        value: Any = config
        for part in name.split("."):
            value = getattr(value, part)
        flat[name] = value
    return flat


def replace(config: S, **changes: Any) -> S:
    """The same configuration, or group of it, with other values."""
    return msgspec.structs.replace(config, **changes)


def indented(content: Mapping[str, Any], indent: int = 2) -> bytes:
    """``json.dumps(content, indent=…)`` in a line of its own, several times as fast."""
    return msgspec.json.format(json.dumps(content).encode(), indent=indent) + b"\n"


def to_json(config: Config) -> bytes:
    """``config`` as indented JSON, which ``from_json`` reads back to an equal object."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"
