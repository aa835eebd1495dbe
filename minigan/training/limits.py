"""What the settings allow one by one but not together, and the memory that they take."""

from functools import lru_cache
from itertools import pairwise

from minigan.errors import ConfigError, quoted
from minigan.gan.objectives import OBJECTIVES, objective
from minigan.gan.penalties import PENALTIES
from minigan.machine import available_memory, require_memory
from minigan.storage.directory import MAX_ROWS
from minigan.training.config import MAX_BYTES, Config, replace, to_json
from minigan.training.spellings import advice_on_choice


def check(config: Config, features: int | None = None, available: int | None = None) -> None:
    """Refuse what the fields allow one by one but not together, for data of so many ``features``.

    Without them they are those of the target, or one for data that were not read yet.

    Raises:  ConfigError – for a target that does not parse, what no game can be played with, sizes beyond
             the ``available`` bytes (None: what is free now), a warm-up longer than the run, or columns or
             a header without data
    """
    from minigan.training.units import read_distribution, refuse_overflow  # with all distributions

    target = read_distribution(config.target)
    if config.data is None:
        refuse_overflow(target, config.dtype)
    try:
        objective(config.objective)
    except ValueError as error:
        advice = advice_on_choice("objective", config.objective, tuple(OBJECTIVES))
        said = str(error).partition(", did you mean")[0] if advice else error
        raise ConfigError(f"{said}{advice and f'; {advice}'}") from None
    _rehearse(replace(config, seed=0, name=""))
    if config.batch % config.packing:
        raise ConfigError(
            f"packing {config.packing} must divide the batch of {config.batch}; choose a multiple as batch"
        )
    if config.columns is not None and config.data is None:
        raise ConfigError(
            f"columns selects {quoted(list(config.columns))} of data, but data is null; set data"
        )
    if config.header is not None and config.data is None:
        raise ConfigError("header says how data are read, but data is null; set data")
    if config.data is None and config.label is not None:
        from minigan.training.labels import of_mixture

        of_mixture(config.label, target)
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
        features = 1 if config.data is not None else target.features
    available = available_memory() if available is None else available
    networks = " and ".join(
        f"{player} {'-'.join(map(str, sizes))}" for player, sizes, _ in _networks(config, features)
    )
    training = f"training {networks} on batches of {config.batch}"
    advice = "reduce generator.widths, discriminator.widths or batch"
    require_memory(memory_estimate(config, features), training, advice, available)
    judging = f"judging {config.eval_samples} samples of {features} features"
    # Real and generated rows in float64, and a copy of each.
    require_memory(32 * config.eval_samples * features, judging, "reduce eval_samples", available)


@lru_cache(maxsize=64)  # the runs of a sweep differ little
def _rehearse(config: Config) -> None:
    from minigan.training.experiment import rehearse  # not imported by what only reads settings

    rehearse(config)


def memory_estimate(config: Config, features: int = 1) -> int:
    """The bytes that training will hold at least.

    4 numbers for each parameter (value, gradient, two moments), one more for its average, and for each unit
    and sample, in D both for real and for generated data, what the recorded first step computes: some 12
    numbers, twice as many with penalties on gradients, as measured.
    """
    copies = 4 + (config.average.name != "none")
    values = 24 if any(getattr(config, name) for name in PENALTIES) else 12
    total = 0
    for _, sizes, passes in _networks(config, features):
        parameters = sum((n + 1) * m for n, m in pairwise(sizes))
        total += copies * parameters + values * passes * config.batch * sum(sizes)
    return total * (4 if config.dtype == "float32" else 8)


def _networks(config: Config, features: int) -> tuple[tuple[str, tuple[int, ...], int], ...]:
    """(player, sizes of its layers, batches that pass in an update) of each."""
    return (
        ("G", (config.latent.size or features, *config.generator.widths, features), 1),
        ("D", (features * config.packing, *config.discriminator.widths, 1), 2),
    )
