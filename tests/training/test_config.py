"""The configuration: precedence, provenance, bounds, messages, round trips, and garbage only ever refused."""

import json
import random
import re
import tomllib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import backend as backends
from minigan import errors
from minigan.compiler.executions import EXECUTIONS
from minigan.errors import ConfigError
from minigan.gan.objectives import OBJECTIVES
from minigan.gan.orders import ORDERS
from minigan.gan.penalties import PENALTIES
from minigan.nn.initializers import INITIALIZERS
from minigan.nn.layers import ACTIVATIONS
from minigan.nn.network import mlp
from minigan.nn.optim import OPTIMIZERS
from minigan.nn.schedules import AVERAGES, SCHEDULES
from minigan.training import limits
from minigan.training.config import (
    MAX_BYTES,
    AverageConfig,
    Config,
    NetworkConfig,
    OptimizerConfig,
    fields,
    flatten,
    replace,
    to_json,
)
from minigan.training.experiment import numbers_of
from minigan.training.limits import check, memory_estimate
from minigan.training.methods import METHODS
from minigan.training.settings import RENAMED, build, from_json, named, resolve, resolve_with_sources


def refused(*, exit_code=2, **layers):
    with pytest.raises(ConfigError) as caught:
        resolve(**{"environ": {}, **layers})
    message = str(caught.value)
    assert caught.value.exit_code == exit_code
    assert "\n" not in message and len(message) < 1200, message
    return message


def made(*sets, **layers):
    return resolve(sets=sets, **{"environ": {}, **layers})


# The exit codes that the command line promises


@pytest.mark.rows(
    ("error", "code"),
    [
        ("MiniganError", 1),
        ("ConfigError", 2),
        ("DataError", 3),
        ("CheckpointError", 3),
        ("DivergedError", 4),
        ("QualityError", 5),
        ("UnavailableError", 6),
        ("BusyError", 7),
        ("StorageError", 8),
    ],
)
def test_exit_codes(error, code):
    kind = getattr(errors, error)
    assert issubclass(kind, errors.MiniganError) and kind("x").exit_code == code


# Precedence and provenance


def test_precedence_is_defaults_preset_file_environment_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path("c.toml")
    file.write_text('target = "normal(1, 2)"\nseed = 1\nsteps = 10\nbatch = 8\n')
    environ = {"MINIGAN_SEED": "2", "MINIGAN_STEPS": "20"}
    config, sources = resolve_with_sources("peaked", file, environ, ["steps=30"])
    assert (config.name, config.target, config.batch) == ("peaked", "normal(1, 2)", 8)
    assert (config.seed, config.steps, config.r1) == (2, 30, METHODS["shaped"]["r1"])
    assert sources["name"] == "preset peaked"
    assert sources["target"] == sources["batch"] == "file 'c.toml'"
    assert sources["seed"] == "MINIGAN_SEED"
    assert sources["steps"] == "--set"
    assert (sources["r1"], sources["objective"]) == ("method shaped", "default")
    assert list(sources) == list(fields()) == list(flatten(config))


def test_later_set_wins():
    assert made("seed=1", "seed=2").seed == 2


def test_a_layer_sets_one_field_of_a_group_and_leaves_the_others(tmp_path):
    file = tmp_path / "c.json"
    file.write_text('{"generator": {"widths": [5]}}')
    config = made("generator.activation=relu", "method=plain", file=file)
    assert config.generator == NetworkConfig(
        widths=(5,), activation="relu", initializer=Config().generator.initializer
    )
    assert config.discriminator == Config().discriminator


@pytest.mark.rows("name", fields())
def test_setting_one_field_changes_no_other(name):
    values = {**flatten(Config()), "data": "x.csv"}
    value = {"columns": [0], "data": "x.csv"}.get(name, values[name])
    config = made("data=x.csv", f"{name}={value if isinstance(value, str) else json.dumps(value)}")
    assert {k: v for k, v in flatten(config).items() if k != name} == {
        k: v for k, v in values.items() if k != name
    }


def test_environment_sets_nested_fields_and_whole_groups():
    environ = {
        "MINIGAN_GENERATOR__WIDTHS": "[64, 64]",
        "MINIGAN_DISCRIMINATOR": '{"widths": [7]}',
        "MINIGAN_DATA": "x.csv",
    }
    config = resolve(environ=environ)
    assert (config.generator.widths, config.discriminator.widths, config.data) == ((64, 64), (7,), "x.csv")


def test_environment_ignores_what_is_not_a_field():
    environ = {
        "MINIGAN_RUNS": "/x",
        "MINIGAN_DEBUG": "1",
        "MINIGAN_NOPE": "1",
        "SEED": "9",
        "MINIGAN_SEED": "",
    }
    assert resolve(environ=environ) == resolve(environ={})


def test_environment_that_is_not_text_is_refused():
    assert "MINIGAN_DATA" in refused(environ={"MINIGAN_DATA": "a\udce9"})


def test_the_process_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("MINIGAN_SEED", "77")
    assert resolve().seed == 77


# Values


@pytest.mark.rows(
    ("text", "name", "value"),
    [
        ("generator.widths=64,32", "generator.widths", (64, 32)),
        ("generator.widths=64", "generator.widths", (64,)),
        ("generator.widths=[]", "generator.widths", ()),
        ("generator={'widths': 3}", None, None),
        ('generator={"widths": [3]}', "generator.widths", (3,)),
        ("generator={widths = [3]}", "generator.widths", (3,)),
        ("steps=1e4", "steps", 10000),
        ("steps=1_000", "steps", 1000),
        ("generator_optimizer.rate=2", "generator_optimizer.rate", 2.0),
        ("name=2024", "name", "2024"),
        ('name="a-b"', "name", "a-b"),
        ("target=0.5*normal(0, 1) + 0.5*normal(3, 1)", "target", "0.5*normal(0, 1) + 0.5*normal(3, 1)"),
        ("standardise=false", "standardise", False),
        ("data=null", "data", None),
        ("data=a=b.csv", "data", "a=b.csv"),
        (" seed = 3 ", "seed", 3),
        (f"seed={2**63 - 1}", "seed", 2**63 - 1),
    ],
)
def test_set_reads_literals(text, name, value):
    if name is None:
        refused(sets=[text])
    else:
        assert flatten(made(text))[name] == value


def test_columns_are_indices_or_names():
    assert made("data=x.csv", "columns=0,b").columns == (0, "b")
    assert made("data=x.csv", 'columns=["0"]').columns == ("0",)
    assert made("data=x.csv", 'columns="a,b"').columns == ("a,b",)


BAD = [
    ("generator_optimizer.rate", "0", "above 0"),
    ("generator_optimizer.rate", "-1", "above 0"),
    ("generator_optimizer.rate", "nan", "finite number"),
    ("discriminator_optimizer.rate", "inf", "finite number"),
    ("discriminator_optimizer.rate", "1e999", "finite number"),
    ("generator_optimizer.momentum", "1", "below 1"),
    ("generator_optimizer.beta1", "1.0", "from 0 to below 1"),
    ("generator_optimizer.beta1", "-0.1", "from 0 to below 1"),
    ("discriminator_optimizer.beta2", "1.5", "from 0 to below 1"),
    ("generator_optimizer.epsilon", "0", "above 0"),
    ("generator_optimizer.name", "adamw", "one of adam"),
    ("r1", "-1", "at least 0"),
    ("r2", "nan", "at least 0"),
    ("holdout", "0.95", "from 0 to 0.9"),
    ("schedule.hold", "2", "from 0 to 1"),
    ("average.decay", "1", "below 1"),
    ("latent.size", "0", "from 1 to 1024"),
    ("latent.distribution", "cauchy", "one of normal, one, uniform"),
    ("batch", "1", "from 2 to 16777216"),
    ("steps", "0", "from 1 to 1000000000"),
    ("steps", "1.5", "an integer"),
    ("steps", "many", "an integer"),
    ("steps", "true", "an integer"),
    ("seed", "-1", "from 0 to 9223372036854775807"),
    ("seed", str(2**64), "from 0 to 9223372036854775807"),
    ("seed", "9" * 400, "from 0 to 9223372036854775807"),
    ("seed", "9" * 5000, "from 0 to 9223372036854775807"),
    ("seed", "0x" + "f" * 5000, "from 0 to 9223372036854775807"),
    ("standardise", "maybe", "true or false"),
    ("dtype", "float16", "one of float32, float64"),
    ("backend", "torch", "one of auto"),
    ("objective", "x" * 101, "at most 100"),
    ("order", "random", "one of alternating, extragradient, simultaneous"),
    ("wgan_gp", "-1", "at least 0"),
    ("zero_gp", "nan", "at least 0"),
    ("clip", "-0.01", "at least 0"),
    ("consensus", "inf", "at least 0"),
    ("unrolled", "-1", "from 0 to 20"),
    ("unrolled", "21", "from 0 to 20"),
    ("unrolled", "1.5", "an integer"),
    ("unrolled_rate", "0", "above 0"),
    ("packing", "0", "from 1 to 64"),
    ("packing", "65", "from 1 to 64"),
    ("instance_noise", "-0.1", "at least 0"),
    ("observation_noise", "-0.1", "at least 0"),
    ("discriminator_optimizer.name", "optimistic", "optimistic_sgd"),
    ("threads", "0", "from 1 to 1024"),
    ("eval_samples", "10", "from 100"),
    ("discriminator_steps", "101", "from 1 to 100"),
    ("name", "a/b", "letters, digits"),
    ("name", "..", "letters, digits"),
    ("name", "a" * 65, "letters, digits"),
    ("target", "x" * 1001, "at most 1000"),
    ("generator.activation", "step", "one of"),
    ("generator.widths", "[8, 0]", "an integer from 1 to 65536"),
    ("generator.widths", "[1.5]", "an integer from 1 to 65536"),
    ("generator.widths", "[1" + ", 1" * 16 + "]", "at most 16"),
    ("generator.widths", "{}", "an integer from 1 to 65536"),
]


@pytest.mark.rows(("name", "value", "rule"), BAD)
def test_refused_value_is_named_with_its_field_and_rule(name, value, rule):
    message = refused(sets=[f"{name}={value}"])
    assert name in message and rule in message and "received" in message and "--set" in message


def test_nonpositive_rate_shows_what_was_received():
    assert "received -3" in refused(sets=["generator_optimizer.rate=-3"])


def test_layer_width_of_zero_names_the_layer():
    assert "generator.widths[1]" in refused(sets=["generator.widths=8,0"])


def test_ten_million_units_are_refused_with_a_memory_estimate():
    message = refused(sets=["discriminator.widths=10000000"])
    assert "10000000" in message and "GiB" in message


@pytest.mark.parametrize("control", ["a\nb", "a\x1b[31mb"])
def test_control_characters_do_not_reach_the_terminal(control):
    assert control not in refused(sets=[f"name={control}"])


def test_a_value_longer_than_a_file_may_be_is_refused():
    longest = "x" * MAX_BYTES
    assert "at most 1000 characters" in refused(sets=[f"target={longest}"])
    assert f"the value of 'target' is longer than {MAX_BYTES} characters" in refused(
        sets=[f"target={longest}x"]
    )


def test_a_number_that_is_a_lone_surrogate_is_refused():
    with pytest.raises(ConfigError, match=r"holds '\\ud800', which is no text"):
        from_json(b'{"steps": "\\ud800"}')


def test_a_refusal_without_a_place_is_still_a_sentence(monkeypatch):
    """msgspec names the value it refuses in its message, whose form it does not promise."""

    def refuse(*_):
        raise msgspec.ValidationError("Expected `int`")

    monkeypatch.setattr(msgspec, "convert", refuse)
    assert refused() == "the configuration was refused: Expected `int`"


def test_every_float_is_finite_in_python_layers_too():
    for name, field in fields().items():
        if isinstance(field.default, float):
            for value in (float("nan"), float("inf"), float("-inf")):
                with pytest.raises(ConfigError, match=name):
                    build({name: (value, "a test")})


def test_every_field_has_a_description_and_its_default_obeys_its_rule():
    for name, field in fields().items():
        assert field.description and field.rule, name
    assert from_json(to_json(Config())) == Config()


# Choices follow from tables
TABLES = {
    "generator.activation": ACTIVATIONS.keys() - {"identity"}, "generator.initializer": INITIALIZERS,
    "generator_optimizer.name": OPTIMIZERS, "schedule.name": SCHEDULES, "average.name": AVERAGES,
    "order": ORDERS, "execution": {"auto", *EXECUTIONS}, "backend": set(backends.NAMES),
}  # fmt: skip


@pytest.mark.rows("name", TABLES)
def test_a_choice_is_from_its_table(name):
    for value in TABLES[name]:
        assert flatten(made(f"{name}={value}", "schedule.final=0.1"))[name] == value
    for other in ("identity", "tanhs", "x", "", "tanh tanh", next(iter(TABLES[name])) + "2"):
        if other not in TABLES[name]:
            listed = ", ".join(sorted(TABLES[name]))
            assert f"{name} must be one of {listed}, received" in refused(sets=[f"{name}={other}"])


def test_every_penalty_is_a_setting_with_its_default():
    for name, row in PENALTIES.items():
        field = fields()[name]
        assert field.default == getattr(Config(), name) == row.default
        assert field.description == f"weight of {row.about}" and field.rule == "a finite number of at least 0"
    places = [k for k, name in enumerate(fields()) if name in PENALTIES]
    assert places == list(range(places[0], places[0] + len(PENALTIES)))  # all together, after the objective


@pytest.mark.rows("name", OPTIMIZERS)
def test_the_numbers_of_every_optimiser_are_settings(name):
    """Each differs from the others, so that none is taken for another."""
    given = OptimizerConfig(name=name, beta1=0.1, beta2=0.2, epsilon=0.3, momentum=0.4)
    expected = {"beta1": 0.1, "beta2": 0.2, "rho": 0.2, "epsilon": 0.3, "momentum": 0.4}
    numbers = numbers_of(given)
    assert numbers == {own: expected[own] for own in numbers}
    network = mlp((1, 1), rngs=np.random.default_rng(0))
    made = OPTIMIZERS[name](network.parameters, 0.1, **numbers)
    assert all(getattr(made, own) == value for own, value in numbers.items())


# Names


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_renamed_setting_is_read_from_older_runs_and_refused_from_users(old, new, tmp_path):
    assert new in fields() and old not in fields()
    value = flatten(Config())[new]
    *groups, leaf = old.split(".")
    nested = {leaf: value}
    for group in reversed(groups):
        nested = {group: nested}
    stored = json.loads(to_json(Config()))
    place, now = stored, new.split(".")
    for group in now[:-1]:
        place = place[group]
    del place[now[-1]]
    for group in groups:
        stored = stored | {group: stored.get(group, {}) | nested[group]}
    assert from_json(json.dumps(stored).encode()) == Config()
    given_back = tmp_path / "config.json"  # as a run of then wrote it
    given_back.write_text(json.dumps(stored))
    assert resolve(file=given_back, environ={}) == replace(Config(), method="shaped")
    file = tmp_path / "old.toml"
    file.write_text(f"{old} = {json.dumps(value)}\n")
    variable = "MINIGAN_" + old.upper().replace(".", "__")
    says = f"the setting {old} is called {new} now; write that"
    for layers in ({"sets": [f"{old}={value}"]}, {"file": file}, {"environ": {variable: str(value)}}):
        assert refused(**layers) == says


@pytest.mark.rows(
    ("name", "answer"),
    [
        ("generator.width", "generator.widths"),
        ("widths", "'generator.widths' or 'discriminator.widths'"),
        ("stepz", "'steps'"),
        ("generator_optimizer.betta1", "generator_optimizer.beta1"),
        ("qqqq", "name, target"),
        ("generator.qqqq", "generator.widths"),
    ],
)
def test_unknown_name_is_answered_with_the_nearest(name, answer):
    message = refused(sets=[f"{name}=1"])
    assert f"no setting '{name}'" in message and answer in message


@pytest.mark.rows("text", ["seed", "=3", "", "generator=3", "generator.widths.x=1", "a." * 5000 + "b=1"])
def test_malformed_set_is_refused(text):
    refused(sets=[text])


# Files


def write(tmp_path, content, name="c.toml"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.rows(
    ("name", "content", "what"),
    [
        ("c.toml", "steps = ", "not valid TOML"),
        ("c.json", '{"steps": ', "not valid JSON"),
        ("c.json", '{"steps": 1, "steps": 2}', "steps is given twice"),
        ("c.toml", "steps = 1\nsteps = 2", "not valid TOML"),
        ("c.json", "[1]", "one table"),
        ("c.json", "[" * 10000, "nested too deeply"),
        ("c.toml", "a = " + "[" * 10000, "nested too deeply"),
        ("c.toml", "a" + ".a" * 8000 + " = 1", "no setting 'a'"),
        ("c.json", '{"generator": ' * 1000 + "1" + "}" * 1000, ""),
        ("c.toml", b"name = '\xff'", "not UTF-8 text: byte 8 is 0xff"),
        ("c.toml", "#" * (MAX_BYTES + 1), "longer than the 16384 bytes"),
        ("c.json", '{"seed": 1' + "0" * 5000 + "}", "not valid JSON"),
        ("c.toml", "generator_optimizer.rate = nan", "finite number"),
        ("c.json", '{"r1": NaN}', "finite number"),
        ("c.json", '{"r1": 1e999}', "finite number"),
        ("c.toml", "seed = 2024-01-01", "an integer"),
        ("c.json", '{"target": "\\ud800"}', "target"),
        ("c.json", '{"data": "a\\u0000b"}', "data"),
        ("c.yaml", "steps: 1", "name it .toml or .json"),
        ("c.toml", "[generator]\nwidth = 3", "generator.widths"),
        ("c.toml", "columns = []\ndata = 'x.csv'", "columns"),
    ],
)
def test_bad_file_is_refused(tmp_path, name, content, what):
    assert what in refused(file=write(tmp_path, content, name))


def test_missing_file_directory_and_impossible_name_are_refused(tmp_path):
    (tmp_path / "d.toml").mkdir()
    assert "No such file" in refused(file=tmp_path / "none.toml")
    assert "not a regular file" in refused(file=tmp_path / "d.toml")
    refused(file=tmp_path / ("x" * 5000 + ".toml"))
    refused(file="a\0b.toml")


def test_byte_order_mark_and_crlf_are_accepted(tmp_path):
    assert made(file=write(tmp_path, b"\xef\xbb\xbfseed = 5\r\nsteps = 6\r\n")).seed == 5


def test_a_runs_own_config_can_be_given_back(tmp_path):
    config = made("data=x.csv", "columns=0,a", "generator.widths=[]", "r1=0.1", preset="mixture")
    assert resolve(file=write(tmp_path, to_json(config), "config.json"), environ={}) == config


# Round trips

UNIT = st.floats(0, 1, exclude_max=True, allow_subnormal=True)
CONFIGS = st.builds(
    Config,
    name=st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z"),
    data=st.just("x.csv"),
    columns=st.none()
    | st.lists(st.integers(0, 2**40) | st.text("ab é\n\"'\\", max_size=5), min_size=1).map(tuple),
    generator=st.builds(NetworkConfig, widths=st.lists(st.integers(1, 65536), max_size=16).map(tuple)),
    generator_optimizer=st.builds(
        OptimizerConfig, rate=st.floats(0, 1e300, exclude_min=True), beta1=UNIT, beta2=UNIT, momentum=UNIT
    ),
    holdout=st.floats(0, 0.9),
    seed=st.integers(0, 2**63 - 1),
    dtype=st.sampled_from(["float32", "float64"]),
)


@settings(max_examples=100, deadline=None)
@given(CONFIGS)
def test_json_round_trip(config):
    assert from_json(to_json(config)) == config


def test_replace_changes_what_it_names_and_no_other():
    before = Config(steps=7)
    after = replace(before, seed=3, generator=replace(before.generator, widths=(5,)))
    changed = {"seed": 3, "generator.widths": (5,)}
    assert flatten(after) == flatten(before) | changed and flatten(before) == flatten(Config(steps=7))


def test_from_json_vets_values():
    for text in (b"", b"null", b'{"steps": 0}', b'{"x": 1}', b"\xff", b"[" * 5000):
        with pytest.raises(ConfigError):
            from_json(text)


# What the fields allow one by one but not together


@pytest.mark.rows("name", OBJECTIVES)
def test_every_objective_can_be_set(name):
    assert made(f"objective={name}").objective == name
    assert name in fields()["objective"].description


@pytest.mark.parametrize("name", ["alpha(0.3, 2)", "alpha_ns(2,inf)", "alpha( 1 , 1 )"])
def test_any_alpha_can_be_set(name, tmp_path):
    config = made(f"objective={name}")
    assert config.objective == name and from_json(to_json(config)) == config
    assert made(file=write(tmp_path, f"objective = {json.dumps(name)}")) == config


@pytest.mark.rows("name", ["wgan", "", "alpha(0, 1)", "alpha(1)", "minimax ", "a\nb", "\x1b[31m"])
def test_an_unknown_objective_is_refused_with_the_known_ones(name, tmp_path):
    message = refused(file=write(tmp_path, json.dumps({"objective": name}), "c.json"))
    assert message.startswith("objective must be one of minimax, non_saturating, least_squares")
    assert repr(name) in message and "\x1b" not in message


def test_packs_that_do_not_fill_the_batch_are_refused():
    message = refused(sets=["packing=3", "batch=256"])
    assert message == "packing 3 must divide the batch of 256; choose a multiple as batch"
    assert made("packing=3", "batch=258").packing == 3


def test_a_packing_discriminator_is_counted():
    alone, packed = Config(batch=8), Config(batch=8, packing=8)
    more = 7 * 32 * 5 + 24 * 2 * 8 * 7  # weights of 7 more inputs, and those of 8 real and generated rows
    assert memory_estimate(packed) - memory_estimate(alone) == 4 * more


def test_the_methods_round_trip():
    config = made(
        "objective=wasserstein", "wgan_gp=10", "zero_gp=0.5", "clip=0.01", "order=simultaneous",
        "consensus=0.1", "unrolled=5", "unrolled_rate=0.05", "packing=2", "instance_noise=0.3",
        "observation_noise=0.2", "generator_optimizer.name=optimistic_sgd",
    )  # fmt: skip
    assert from_json(to_json(config)) == config
    assert (config.wgan_gp, config.clip, config.unrolled, config.packing) == (10.0, 0.01, 5, 2)


def test_a_stored_configuration_without_a_setting_is_of_the_time_before_it(monkeypatch):
    text = to_json(Config(draws="stratified"))
    older = re.sub(rb' *"draws": "stratified",\n', b"", text)
    assert from_json(text).draws == "stratified" and len(older) < len(text)
    assert from_json(older).draws == "independent"
    fewer = from_json(re.sub(rb' *"holdout_least": \d+,\n', b"", text))
    assert fewer.holdout_least == 500 != Config().holdout_least  # which no share of fewer rows reaches
    monkeypatch.setattr("minigan.training.settings.BEFORE", {"draws": "stratified"})
    assert from_json(older).draws == "stratified"


def test_the_methods_are_off_by_default():
    config, off = Config(), ("wgan_gp", "zero_gp", "clip", "consensus", "unrolled", "instance_noise")
    assert not any(getattr(config, name) for name in (*off, "observation_noise")) and config.packing == 1


def test_target_that_does_not_parse_is_refused():
    assert "target" in refused(sets=["target=normal(4"])
    assert "target" in refused(sets=["target=normal(4, -1)"])


def test_networks_beyond_the_memory_are_refused_with_estimate_and_free_memory():
    wide = NetworkConfig(widths=(65536, 65536))
    with pytest.raises(ConfigError, match=r"takes at least [\d.]+ GiB, but only 8 GiB of memory is free"):
        check(Config(generator=wide, discriminator=wide), available=8 * 2**30)
    check(Config(generator=wide, discriminator=wide), available=2**50)


def test_batch_beyond_the_memory_is_refused():
    with pytest.raises(ConfigError, match="batch"):
        check(Config(batch=2**24), available=2**30)
    check(Config(), available=2**30)


def test_features_are_those_of_the_target_or_of_the_data():
    """A width at which a D of 2 inputs and one of 1 differ by 3 · 65536 numbers of weights and samples."""
    wide = NetworkConfig(widths=(65536,))
    need = [memory_estimate(Config(discriminator=wide), features=k) for k in (1, 2)]
    between = sum(need) // 2
    check(Config(discriminator=wide), available=between)
    with pytest.raises(ConfigError, match="memory"):
        check(Config(discriminator=wide, target="ring(8,1,0.01)"), available=between)
    with pytest.raises(ConfigError, match="memory"):
        check(Config(discriminator=wide), features=2, available=between)
    # data that were not read yet count as one feature, whatever the target is
    check(Config(discriminator=wide, target="ring(8,1,0.01)", data="x.csv"), available=between)


def test_memory_estimate_counts_by_hand():
    config = Config(
        generator=NetworkConfig(widths=(3,)),
        discriminator=NetworkConfig(widths=(5,)),
        average=AverageConfig(name="ema"),
        batch=10,
        dtype="float64",
    )
    parameters = (2 * 3 + 3 + 3 * 2 + 2) + (2 * 5 + 5 + 5 * 1 + 1)
    units = (2 + 3 + 2) + 2 * (2 + 5 + 1)
    assert memory_estimate(config, features=2) == 8 * (5 * parameters + 24 * 10 * units)


def test_more_features_need_more_memory():
    assert memory_estimate(Config(), features=1000) > memory_estimate(Config(), features=1)


def test_a_system_that_does_not_tell_its_memory_sets_no_bound(monkeypatch):
    monkeypatch.setattr(limits, "available_memory", lambda: None)
    wide = NetworkConfig(widths=(65536, 65536))
    check(Config(generator=wide, discriminator=wide, eval_samples=10**7))


def test_samples_to_judge_beyond_the_memory_are_refused():
    need = 32 * 10**7 * 3
    with pytest.raises(ConfigError, match=r"judging 10000000 samples of 3 features .* reduce eval_samples"):
        check(Config(eval_samples=10**7), features=3, available=need - 1)
    check(Config(eval_samples=10**7), features=3, available=need)


def test_columns_without_data_are_refused():
    assert "data is null" in refused(sets=["columns=0"])


def test_warmup_longer_than_the_run_is_refused():
    assert "schedule.warmup" in refused(sets=["schedule.warmup=11", "steps=10"])
    assert made("schedule.warmup=10", "steps=10").schedule.warmup == 10


def test_configuration_too_long_to_be_given_back_is_refused():
    many = json.dumps(list(range(2000)), separators=(",", ":"))
    assert "16384" in refused(sets=["data=x.csv", f"columns={many}"])


# Garbage


def mutated(rng, text):
    text = bytearray(text)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(4):
            case 0 if at < len(text):
                text[at] ^= 1 << rng.randrange(8)
            case 1:
                text[at:at] = bytes(
                    rng.choice([b"[", b"}", b'"', b"9", b"-", b"e", b".", b"\n", b"\xff", b"nan"])
                )
            case 2:
                del text[at : at + rng.randint(1, 20)]
            case _:
                start = rng.randrange(len(text) + 1)
                text[at:at] = text[start : start + rng.randint(1, 40)]
    return bytes(text)


def toml_of(values, prefix=""):
    lines = [
        f"{prefix}{k} = {json.dumps(v)}"
        for k, v in values.items()
        if not isinstance(v, dict) and v is not None
    ]
    inner = [toml_of(v, f"{prefix}{k}.") for k, v in values.items() if isinstance(v, dict)]
    return "\n".join(lines + inner)


def test_500_mutated_files_are_valid_or_refused(tmp_path):
    rng = random.Random(22)
    config = made("data=x.csv", "columns=0,a")
    originals = {".json": to_json(config), ".toml": toml_of(json.loads(to_json(config))).encode()}
    assert build({n: (v, "") for n, v in named(tomllib.loads(originals[".toml"].decode()))}) == config
    outcomes = {True: 0, False: 0}
    for i in range(500):
        suffix = (".json", ".toml")[i % 2]
        file = tmp_path / f"c{suffix}"
        file.write_bytes(mutated(rng, originals[suffix]))
        try:
            result = resolve(file=file, environ={})
        except ConfigError as error:
            assert "\n" not in str(error)
            outcomes[False] += 1
        else:
            assert from_json(to_json(result)) == result
            outcomes[True] += 1
    assert min(outcomes.values()) > 5, outcomes


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(fields())), st.text(max_size=20))
def test_any_text_set_to_any_field_is_valid_or_refused(name, text):
    try:
        result = made(f"{name}={text}")
    except ConfigError:
        return
    assert msgspec.json.decode(to_json(result), type=Config) == result


def test_a_run_of_more_lines_of_metrics_than_can_be_read_again_is_refused():
    assert made("steps=199900", "eval_every=1").steps == 199_900
    assert "raise eval_every" in refused(sets=["steps=1000000", "eval_every=4"])
