"""Damaged and random input to everything that reads: the short form of bench/soak/fuzz.py. 5 s."""

import json
import warnings

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.soak import fuzz
from minigan.errors import ConfigError, DataError
from minigan.training.config import fields, flatten, to_json
from minigan.training.data import read_data
from minigan.training.settings import from_json, resolve

COUNTS = {
    "configurations": 800,
    "data": 400,
    "records": 400,
    "arguments": 120,
    "seeds": 60,
    "streams": 14,
    "spellings": 200,
}


@pytest.fixture(scope="module")
def results():
    """The measurement of each target, made when it is first asked for."""
    made = {}

    def measured(target):
        if target not in made:
            shares = {target: COUNTS[target]}
            made[target] = fuzz.measure(1, targets=(target,), shares=shares, jobs=1)
        return made[target]

    return measured


@pytest.mark.parametrize("target", COUNTS)
def test_no_input_leads_to_a_failure(results, target):
    result = results(target)
    assert not any(result["failures"].values()), result["examples"]
    assert result[target]["cases"] == COUNTS[target]


@pytest.mark.parametrize("target", ["configurations", "data", "records", "spellings"])
def test_both_answers_are_given(results, target):
    counts = results(target)[target]
    assert min(counts["valid"], counts["refused"]) > 0.05 * COUNTS[target]


def test_command_lines_are_answered_in_many_ways(results):
    counts = results("arguments")["arguments"]
    assert min(counts["exit_0"], counts["exit_2"]) > 0.1 * COUNTS["arguments"]
    assert sum(number for key, number in counts.items() if key.startswith("exit_")) == COUNTS["arguments"]
    assert len([key for key in counts if key.startswith("exit_")]) >= 3


def test_every_command_is_among_them():
    import random

    from minigan import cli

    commands = {name: command for name, command in cli.cli.commands.items() if name not in fuzz.ENDLESS}
    lines = [fuzz.vector(random.Random(f"arguments {k}"), commands, ("x",)) for k in range(900)]
    assert {line[0] for line in lines if line} >= set(commands)


def test_seeds_are_taken_or_refused(results):
    counts = results("seeds")["seeds"]
    assert min(counts["exit_0"], counts["exit_2"]) > 0.1 * COUNTS["seeds"]


# Configurations from their schema, by Hypothesis, which makes a failing one small


def values_of(kind):
    """Values that a type of the schema allows."""
    types = msgspec.inspect
    match kind:
        case types.Metadata(type=inner):
            return values_of(inner)
        case types.BoolType():
            return st.booleans()
        case types.IntType():
            return st.integers(kind.ge, kind.le)
        case types.FloatType():
            low, high = kind.ge if kind.gt is None else kind.gt, kind.le if kind.lt is None else kind.lt
            open_ = {"exclude_min": kind.gt is not None, "exclude_max": kind.lt is not None}
            return st.floats(low, high, allow_nan=False, allow_infinity=False, **open_)
        case types.LiteralType(values=values):
            return st.sampled_from(values)
        case types.StrType(max_length=longest):
            return st.text(max_size=min(longest or 64, 64))
        case types.VarTupleType(item_type=item, max_length=longest):
            return st.lists(values_of(item), max_size=min(longest or 4, 4))
        case types.UnionType(types=options):
            return st.one_of(*map(values_of, options))
    return st.none()


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
SETTINGS = st.lists(st.sampled_from(list(fields())), unique=True, max_size=5).flatmap(
    lambda names: st.fixed_dictionaries({name: values_of(fields()[name].type) | ANY for name in names})
)


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(SETTINGS)
def test_settings_of_the_schema_are_valid_or_refused(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "hypothesis.json"
    path.write_text(json.dumps(fuzz.nested(values)))
    try:
        config = resolve(file=path, environ={})
    except ConfigError as error:
        assert "\n" not in str(error)
        return
    assert from_json(to_json(config)) == config
    flat = flatten(config)
    for name, value in values.items():
        assert flat[name] == (tuple(value) if isinstance(value, list) else value), name


@pytest.mark.rows("name", list(fields()))
def test_a_value_that_the_schema_allows_is_taken(name, tmp_path):
    """Without this a reader that refuses everything would pass."""
    strategy, taken = values_of(fields()[name].type), []

    @settings(max_examples=5, deadline=None, database=None, derandomize=True)
    @given(strategy)
    def attempt(value):
        (tmp_path / "c.json").write_text(json.dumps(fuzz.nested({name: value})))
        try:
            taken.append(resolve(file=tmp_path / "c.json", environ={}))
        except ConfigError:
            pass

    attempt()
    together = {
        "name",
        "target",
        "objective",
        "columns",
        "label",
        "data",
        "batch",
        "packing",
        "generator.widths",
        "discriminator.widths",
        "schedule.warmup",
        "latent.size",
    }
    assert taken or name in together, name


# Cases that were found, kept


@pytest.mark.rows("value", ["\ud800", "x\udfff", ["\ud800"], {"\ud800": 1}])
@pytest.mark.rows("name", ["r1", "steps", "generator.widths", "name", "target", "columns", "latent.size"])
def test_a_lone_surrogate_is_refused_wherever_a_number_or_text_is_expected(name, value, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(fuzz.nested({name: value})))
    with pytest.raises(ConfigError):
        resolve(file=tmp_path / "c.json", environ={})


@pytest.mark.rows("number", [10**400, 10**4299, 2**63, -(10**400)])
@pytest.mark.rows("name", ["generator.widths", "discriminator.widths", "batch", "steps", "seed", "r1"])
def test_an_integer_of_hundreds_of_digits_is_refused(name, number):
    with pytest.raises(ConfigError) as caught:
        if not resolve(environ={}, sets=[f"{name}={number}"]).r1 == float(2**63):
            pytest.fail("taken")
        raise ConfigError("a weight of 2^63 is a number")
    assert len(str(caught.value)) < 600


def test_a_signalling_nan_is_refused_without_a_warning(tmp_path):
    values = np.array([1, 2, 3], "<f4")
    values.view("<u4")[1] = 0x7F80AFCE
    np.save(tmp_path / "a.npy", values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match="row 2 of 3"):
            read_data(tmp_path / "a.npy")
        assert len(read_data(tmp_path / "a.npy", drop_nonfinite=True).values) == 2
