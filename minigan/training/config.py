"""The configuration of a run as typed data: every field with its default, its meaning and its bounds.

One precedence: defaults < preset < file < ``MINIGAN_*`` < ``--set key=value``. An unknown name, a value out
of bounds, and a size that the memory cannot hold are refused before any work.
"""

import difflib
import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from minigan.errors import ConfigError, nearest, shown
from minigan.machine import available_memory, require_memory
from minigan.storage.directory import MAX_ROWS
from minigan.training.presets import preset as get_preset

MAX_BYTES = 16 * 1024  # of a file, since tomllib's time is quadratic in the parts of a dotted key

RENAMED = {"latent.law": "latent.distribution"}  # settings that configurations of older runs have
S = TypeVar("S", bound=Struct)
Distribution = Literal["normal", "uniform", "one"]
Activation = Literal["tanh", "relu", "leaky_relu", "sigmoid", "softplus", "elu", "silu"]
Initializer = Literal[
    "glorot_uniform", "glorot_normal", "he_normal", "he_uniform", "lecun_normal", "orthogonal"
]
OptimizerName = Literal["adam", "optimistic_adam", "rmsprop", "momentum", "optimistic_sgd", "sgd"]
ScheduleName = Literal["constant", "linear", "cosine", "exponential"]
AverageName = Literal["none", "ema", "tail"]
Order = Literal["alternating", "simultaneous", "extragradient"]
DType = Literal["float32", "float64"]
ExecutionName = Literal["auto", "planned", "recorded", "launches", "block"]
BackendName = Literal["auto", "numpy", "cupy", "strict"]
RandomName = Literal["numpy", "philox"]

Width = Annotated[int, Meta(ge=1, le=65536)]
Share = Annotated[float, Meta(ge=0, le=1)]  # of the steps, or of the data
Factor = Annotated[float, Meta(ge=0, lt=1)]  # a factor of a geometric memory
Positive = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(ge=0)]
Updates = Annotated[int, Meta(ge=1, le=100)]


class LatentConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The noise z that the generator turns into data."""

    size: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        Meta(description="numbers in one latent vector z; null for as many as the data have features"),
    ] = None
    distribution: Annotated[
        Distribution,
        Meta(
            description="distribution of each: N(0, 1), uniform on (-1, 1), or the constant 1: G is a point"
        ),
    ] = "normal"


class NetworkConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A multilayer perceptron: its hidden layers; what is at its ends follows from data and latent."""

    widths: Annotated[
        tuple[Width, ...], Meta(max_length=16, description="units of each hidden layer; [] for none")
    ] = (32, 32)
    activation: Annotated[Activation, Meta(description="nonlinearity of the hidden layers")] = "tanh"
    initializer: Annotated[Initializer, Meta(description="distribution of the initial weights")] = (
        "glorot_uniform"
    )


class OptimizerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one player moves; each rule reads only the numbers it has."""

    name: Annotated[OptimizerName, Meta(description="update rule")] = "adam"
    rate: Annotated[Positive, Meta(description="step size, in units of the parameters")] = 1e-3
    beta1: Annotated[Factor, Meta(description="memory of the mean gradient, per step (Adam)")] = 0.0
    beta2: Annotated[Factor, Meta(description="memory of the squared gradient, per step (Adam, RMSprop)")] = (
        0.999
    )
    epsilon: Annotated[Positive, Meta(description="added to the root of the squared gradient")] = 1e-8
    momentum: Annotated[Factor, Meta(description="memory of the velocity, per step (momentum)")] = 0.9


class ScheduleConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the step sizes change over the run."""

    name: Annotated[ScheduleName, Meta(description="shape of the decay")] = "cosine"
    hold: Annotated[Share, Meta(description="share of the steps at the full rate before the decay")] = 0.0
    final: Annotated[Share, Meta(description="factor on the rate at the last step")] = 0.0
    warmup: Annotated[int, Meta(ge=0, le=10**9, description="steps of linear rise to the full rate")] = 0


class AverageConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The average of the generator's parameters over the steps, from which the final samples are drawn."""

    name: Annotated[AverageName, Meta(description="none, exponential, or uniform over the tail")] = "tail"
    decay: Annotated[Factor, Meta(description="memory of the average, per step (ema)")] = 0.999
    start: Annotated[Share, Meta(description="share of the steps after which averaging begins")] = 0.5


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides a run, apart from the machine it runs on."""

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
    drop_nonfinite: Annotated[bool, Meta(description="drop the rows of the data with NaN or infinity")] = (
        False
    )
    standardise: Annotated[bool, Meta(description="train on (x - mean) / sd of each feature")] = True
    holdout: Annotated[
        float, Meta(ge=0, le=0.9, description="share of the data kept from training, to judge the samples by")
    ] = 0.2

    latent: LatentConfig = LatentConfig()
    generator: NetworkConfig = NetworkConfig(activation="silu")
    discriminator: NetworkConfig = NetworkConfig(activation="leaky_relu")
    objective: Annotated[
        str,
        Meta(
            max_length=100,
            description="losses of the two players: minimax, non_saturating, least_squares, hinge, "
            "wasserstein, relativistic, kl, reverse_kl, js, jeffrey, pearson, squared_hellinger, "
            "total_variation, alpha(0.5, 1) or alpha_ns(0.5, 1)",
        ),
    ] = "non_saturating"
    r1: Annotated[Weight, Meta(description="weight of the mean squared slope of D at real data")] = 0.5
    r2: Annotated[Weight, Meta(description="weight of the mean squared slope of D at generated data")] = 0.5

    wgan_gp: Annotated[
        Weight, Meta(description="weight of the squared (slope - 1) of D between real and generated data")
    ] = 0.0
    zero_gp: Annotated[
        Weight, Meta(description="weight of the squared slope of D between real and generated data")
    ] = 0.0
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
        Order, Meta(description="whether the players move in turn, at once, or after a look ahead")
    ] = "alternating"
    discriminator_steps: Annotated[Updates, Meta(description="updates of D in one step")] = 1
    generator_steps: Annotated[Updates, Meta(description="updates of G in one step")] = 1
    batch: Annotated[int, Meta(ge=2, le=2**24, description="samples of each kind in one update")] = 256
    steps: Annotated[int, Meta(ge=1, le=10**9, description="length of the run, in steps")] = 5000

    dtype: Annotated[DType, Meta(description="number format of parameters and data")] = "float32"
    backend: Annotated[BackendName, Meta(description="what computes; auto is a GPU where one works")] = "auto"
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1, description="root of all randomness")] = 0
    random: Annotated[
        RandomName,
        Meta(description="what draws for a step: NumPy on the CPU, or Philox where the step runs"),
    ] = "numpy"
    eval_every: Annotated[int, Meta(ge=1, le=10**9, description="steps between two lines of metrics")] = 200
    eval_samples: Annotated[
        int, Meta(ge=100, le=10**7, description="generated samples each is made from")
    ] = 10000
    execution: Annotated[
        ExecutionName,
        Meta(description="how a step is run again: planned, recorded (numpy); recorded, launches, block"),
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


@cache
def _groups() -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.rpartition(".")[0] for name in fields() if "." in name))


def _fields(struct: Any, default: Struct, prefix: str) -> Iterator[tuple[str, Field]]:
    for field in struct.fields:
        kind, description = field.type, ""
        if isinstance(kind, msgspec.inspect.Metadata):
            description = (kind.extra_json_schema or {}).get("description", "")
            kind = kind.type
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


def to_json(config: Config) -> bytes:
    """``config`` as indented JSON, which ``from_json`` reads back to an equal object."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def from_json(text: bytes) -> Config:
    """The configuration that ``to_json`` wrote: every value is vetted, its target and its size are not.

    Raises:  ConfigError – if it is not a valid configuration
    """
    stored = named(_parse(text, ".json", "the file"), stored=True)
    return build({name: (value, "the file") for name, value in stored})


def resolve(
    preset: str | None = None,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    sets: Iterable[str] = (),
) -> Config:
    """The configuration that preset, file, environment (``os.environ`` if None) and ``key=value`` texts make.

    Raises:  ConfigError – for an unknown name, a refused value, or sizes beyond the memory
    """
    return resolve_with_sources(preset, file, environ, sets)[0]


def resolve_with_sources(
    preset: str | None = None,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    sets: Iterable[str] = (),
) -> tuple[Config, dict[str, str]]:
    """As ``resolve``, and for every dotted name which layer set it: "default", "preset far", "--set" …

    Raises:  ConfigError – as ``resolve``
    """
    given = layers(preset, file, os.environ if environ is None else environ, sets)
    settings = {name: (value, source) for source, layer in given for name, value in named(layer)}
    config = build(settings)
    check(config)
    return config, {name: settings[name][1] if name in settings else "default" for name in fields()}


def layers(
    preset: str | None = None,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    sets: Iterable[str] = (),
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The layers that were given, weakest first, each a source and its nested settings."""
    if preset is not None:
        yield f"preset {preset}", {"name": preset, **get_preset(preset).settings}
    if file is not None:
        yield f"file {shown(os.fspath(file))}", read_file(Path(file))
    environ = environ or {}
    for variable in sorted(environ):
        name = variable.removeprefix("MINIGAN_").lower().replace("__", ".")
        # minigan's own switches share the prefix, so an unknown variable is not an error; and an empty one is
        # what scripts leave where none was meant.
        if variable.startswith("MINIGAN_") and (name in fields() or name in _groups()) and environ[variable]:
            yield variable, _nested(name, _literal(name, environ[variable]))
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(
                f"--set takes key=value, received {shown(text)}; write for example --set steps=1000"
            )
        yield "--set", _nested(name.strip(), _literal(name.strip(), value.strip()))


def _nested(name: str, value: Any) -> dict[str, Any]:
    # A name of very many parts is unknown anyway, and must not build a dictionary too deep to walk.
    parts = name.split(".", maxsplit=4)
    nested = {parts[-1]: value}
    for part in reversed(parts[:-1]):
        nested = {part: nested}
    return nested


def named(layer: Mapping[str, Any], prefix: str = "", *, stored: bool = False) -> Iterator[tuple[str, Any]]:
    """The dotted names and values of a nested layer; of a ``stored`` one also names of older versions.

    Raises:  ConfigError – for a name that is not a setting's
    """
    for key, value in layer.items():
        name = prefix + key
        if name in fields():
            yield name, value
        elif name in _groups():
            if not isinstance(value, Mapping):
                inner = ", ".join(known for known in fields() if known.startswith(name + "."))
                raise ConfigError(f"{name} is a group of settings ({inner}), received {shown(value)}")
            yield from named(value, name + ".", stored=stored)
        elif name in RENAMED and stored:
            yield RENAMED[name], value
        elif name in RENAMED:
            raise ConfigError(f"the setting {name} is called {RENAMED[name]} now; write that")
        else:
            raise ConfigError(f"there is no setting {shown(name)}; {_nearest_setting(name, prefix)}")


def _nearest_setting(name: str, prefix: str) -> str:
    leaf = name.rpartition(".")[2]
    # The last part alone is often right where the group was left out: "widths" for "generator.widths".
    same = [known for known in fields() if known.rpartition(".")[2] == leaf]
    if same:
        return f"did you mean {' or '.join(map(repr, same))}?"
    inside = [known for known in (*fields(), *_groups()) if known.startswith(prefix)]
    if difflib.get_close_matches(name[:100], inside, n=1, cutoff=0.5):
        return nearest(name, inside)
    return nearest(name, dict.fromkeys(prefix + known[len(prefix) :].partition(".")[0] for known in inside))


def build(settings: Mapping[str, tuple[Any, str]]) -> Config:
    """The configuration of values by dotted name, each with the source that a refusal names.

    Raises:  ConfigError – for a value that breaks its rule
    """
    # All defaults are written out, since those of a group in Config may differ from those of its type.
    values = {name: field.default for name, field in fields().items()}
    values |= {name: value for name, (value, _) in settings.items()}
    nested: dict[str, Any] = {}
    for name, value in values.items():
        group, _, leaf = name.rpartition(".")
        (nested.setdefault(group, {}) if group else nested)[leaf] = value
    try:
        config = msgspec.convert(nested, Config)
    except UnicodeEncodeError as error:  # msgspec asks even what is no text whether it is a number
        raise ConfigError(
            f"the configuration holds {shown(error.object)}, which is no text: a surrogate stands alone; "
            "write it as UTF-8"
        ) from None
    except msgspec.ValidationError as error:
        place = re.search(r"`\$\.([\w.]+)(?:\[(\d+)\])?", str(error))
        if place is None:
            raise ConfigError(f"the configuration was refused: {error}") from None
        index = None if place[2] is None else int(place[2])
        raise _refusal(place[1], index, settings) from None
    for name, value in flatten(config).items():
        items = value if isinstance(value, tuple) else (value,)
        for item in items:
            if isinstance(item, float) and not math.isfinite(item):
                raise _refusal(name, None, settings)
            if isinstance(item, str) and not _is_text(item):
                raise _refusal(name, None, settings)
    return config


def _is_text(value: str) -> bool:
    """Whether a file name or a JSON file can hold ``value``: no NUL, no lone surrogate."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _refusal(name: str, index: int | None, settings: Mapping[str, tuple[Any, str]]) -> ConfigError:
    (value, source), rule = settings[name], fields()[name].rule
    if index is not None:
        value, rule, place = value[index], rule.partition("which each is ")[2], f"{name}[{index}]"
    else:
        place = name
    units = ""
    if name.endswith("widths") and isinstance(value, int) and value > 0:
        memory = value * fields()["batch"].default * 4
        units = f" ({min(memory, 10**39) / 2**30:.3g} GiB for one float32 array of a default batch of them)"
    return ConfigError(f"{place} must be {rule}, received {shown(value)}{units} from {source}")


def read_file(path: Path) -> dict[str, Any]:
    """The nested values of a .toml or .json file of at most MAX_BYTES.

    Raises:  ConfigError – if it cannot be read
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError(
                f"the configuration file {shown(str(path))} is not a regular file; give a .toml or .json"
            )
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"the configuration file {shown(str(path))} cannot be read: {reason}") from None
    return _parse(text, path.suffix.lower(), f"the configuration file {shown(str(path))}")


def _parse(text: bytes, suffix: str, what: str) -> dict[str, Any]:
    if suffix not in (".toml", ".json"):
        raise ConfigError(f"{what} has the ending {shown(suffix)}; name it .toml or .json")
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{what} is longer than the {MAX_BYTES} bytes a configuration may have")
    try:
        decoded = text.decode("utf-8-sig")
        if suffix == ".toml":
            values = tomllib.loads(decoded)
        else:
            values = json.loads(decoded, object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{what} is not UTF-8 text: byte {error.start} is 0x{text[error.start]:02x}"
        ) from None
    except RecursionError:
        raise ConfigError(f"{what} is nested too deeply; a configuration has two levels") from None
    except ValueError as error:  # also an integer of too many digits
        reason = shown(str(error))[1:-1]
        raise ConfigError(f"{what} is not valid {suffix[1:].upper()}: {reason}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{what} must hold one table of settings, received {shown(values)}")
    return values


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} is given twice")
    return values


def _literal(name: str, text: str) -> Any:
    """The value that ``text`` writes for the setting ``name``: JSON, else TOML, else the text itself."""
    if len(text) > MAX_BYTES:
        raise ConfigError(f"the value of {shown(name)} is longer than {MAX_BYTES} characters")
    value = _scalar(text)
    kind = fields()[name].type if name in fields() else None
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)

    def takes(*types: type) -> bool:
        return any(isinstance(k, types) for k in kinds)

    if takes(msgspec.inspect.NoneType) and text.lower() in ("null", "none"):
        return None
    if takes(msgspec.inspect.VarTupleType) and not isinstance(value, list):
        quoted = isinstance(value, str) and value != text
        return [value] if quoted else [_scalar(part.strip()) for part in text.split(",")]
    if takes(msgspec.inspect.StrType, msgspec.inspect.LiteralType) and not isinstance(value, str):
        return text  # a run may be named 2024
    if takes(msgspec.inspect.IntType) and isinstance(value, float) and value.is_integer():
        return int(value)  # steps=1e4
    return value


def _scalar(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return text if "\n" in text else tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def check(config: Config, features: int | None = None, available: int | None = None) -> None:
    """Refuse what the fields allow one by one but not together, for data of so many ``features``.

    Without them they are those of the target, or one for data that were not read yet.

    Raises:  ConfigError – for a target that does not parse, sizes beyond the ``available`` bytes (None: what
        is free now), a warm-up longer than the run, or columns without data
    """
    from minigan.gan.objectives import objective
    from minigan.probability.text_form import parse

    for name, read in (("target", parse), ("objective", objective)):
        try:
            read(getattr(config, name))
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None
    if config.batch % config.packing:
        raise ConfigError(
            f"packing {config.packing} must divide the batch of {config.batch}; choose a multiple as batch"
        )
    if config.columns is not None and config.data is None:
        raise ConfigError(
            f"columns selects {shown(list(config.columns))} of data, but data is null; set data"
        )
    if config.steps // config.eval_every > MAX_ROWS - 100:  # a few early ones come on top
        raise ConfigError(
            f"{config.steps} steps with a line of metrics every {config.eval_every} make more than "
            f"{MAX_ROWS} lines; raise eval_every"
        )
    if config.schedule.warmup > config.steps:
        raise ConfigError(
            f"schedule.warmup is {config.schedule.warmup}, more than the {config.steps} steps of the run"
        )
    if len(to_json(config)) > MAX_BYTES:
        raise ConfigError(f"the configuration takes more than {MAX_BYTES} bytes as JSON; name fewer columns")
    if features is None:
        features = 1 if config.data is not None else parse(config.target).features
    available = available_memory() if available is None else available
    training = f"training the networks on batches of {config.batch}"
    advice = "reduce generator.widths, discriminator.widths or batch"
    require_memory(memory_estimate(config, features), training, advice, available)
    judging = f"judging {config.eval_samples} samples of {features} features"
    # Real and generated rows in float64, and a copy of each.
    require_memory(32 * config.eval_samples * features, judging, "reduce eval_samples", available)


def memory_estimate(config: Config, features: int = 1) -> int:
    """The bytes that training will hold at least.

    4 numbers for each parameter (value, gradient, two moments), one more for its average, and for each unit
    and sample, in D both for real and for generated data, what the recorded first step computes: some 12
    numbers, twice as many with penalties on gradients, as measured.
    """
    copies = 4 + (config.average.name != "none")
    values = 24 if config.r1 or config.r2 or config.wgan_gp or config.zero_gp else 12
    total = 0
    for net, first, last, passes in (
        (config.generator, config.latent.size or features, features, 1),
        (config.discriminator, features * config.packing, 1, 2),
    ):
        sizes = (first, *net.widths, last)
        parameters = sum((n + 1) * m for n, m in pairwise(sizes))
        total += copies * parameters + values * passes * config.batch * sum(sizes)
    return total * (4 if config.dtype == "float32" else 8)
