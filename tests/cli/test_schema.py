"""Everything that --json prints is held against the schema that is shipped, which refuses what is not so."""

import contextlib
import copy
import io
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import minigan
from minigan import cli

SCHEMA = json.loads((Path(minigan.__file__).parent / "cli" / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
WILD = tuple(
    part
    for setting in (
        "method=plain",
        "generator_optimizer.rate=10",
        "discriminator_optimizer.rate=10",
        "steps=150",
        "batch=32",
    )
    for part in ("--set", setting)
)
SWEEP = """
[set]
steps = 6
eval_every = 3
eval_samples = 100
batch = 8
[vary]
seed = "0:2"
r1 = [0.1, 0.5]
"""


@pytest.fixture(scope="module")
def outputs(tiny, trained, tmp_path_factory, briefly):
    """{what was run: the object it printed} of every command with --json."""
    with pytest.MonkeyPatch.context() as patch, briefly():
        patch.chdir(tmp_path_factory.mktemp("outputs"))
        patch.setattr("minigan.profiling.explain.SECONDS", 0.01)
        patch.setattr("minigan.front.figures.save_overview", drawn)
        patch.setattr("minigan.front.figures.save_sweep", drawn)
        return printed_by(tiny, trained)


def drawn(*_):
    """Instead of a figure."""
    return Path("figure.png")


def printed_by(tiny, trained):
    np.savetxt("three.csv", np.random.default_rng(0).normal(size=(600, 3)), delimiter=",")
    Path("file").write_text("x")
    Path("sweep.toml").write_text(SWEEP)
    (checkpoint,) = (trained / "checkpoints").glob("step-00000006*")
    lines = {
        "train": ["train", "--fast-dev-run", *tiny],
        "train of the plane": ["train", *tiny, "--target", "ring(8,1,0.01)"],
        "train that fails": ["train", *tiny, *WILD],
        "train of data": ["train", *tiny, "--data", "three.csv"],
        "print-config": ["train", "hinge", "--print-config"],
        "sweep": ["sweep", "sweep.toml"],
        "eval of a run": ["eval", trained, "--draws", "2"],
        "eval of a file": ["eval", "three.csv", "--data", "three.csv"],
        "presets": ["presets"],
        "gradcheck": ["gradcheck", "tanh", "--order", "1"],
        "explain": ["explain", *tiny],
        "bench": ["bench", "--only", "step", "--sizes", "8,4", "--quick", "--out", "bench.json"],
        "bench --compare": ["bench", "--compare", "bench.json", "bench.json"],
        "explain without a plan": ["explain", *tiny, "--passes", "none"],
        "doctor": ["doctor"],
        "doctor with advice": ["doctor", "--out", "file"],
        "compare": ["compare", trained.parent],
        "inspect a file": ["inspect", checkpoint],
        "inspect a run": ["inspect", trained, "--verify"],
        "export": ["export", trained, "--npz", "a.npz"],
    }
    printed = {}
    for name, arguments in lines.items():
        stdout = io.StringIO()
        with contextlib.redirect_stdout(stdout):
            code = cli.main([*map(str, arguments), "--json"])
        assert code in (0, 6) and stdout.getvalue().count("\n") == 1, name
        printed[name] = json.loads(stdout.getvalue())
    return printed


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


FREE = {"sweep.rows"}  # whose names are settings too
OPTIONAL = {
    **{"verdict": {"classes"}, "architecture": {"label"}},  # only of a conditional run
    "train": {"resumed_from"},  # only of a run that went on
    "explain": {"kinds", "total", "rest", "gflops"},  # only of a plan
}


def objects(schema, name=""):
    """(name, schema) of every object with names of its own."""
    for key, inner in schema.items() if isinstance(schema, dict) else enumerate(schema):
        inside = f"{name}.{key}".removeprefix(".") if key not in ("properties", "items", "oneOf") else name
        if isinstance(inner, dict) and "properties" in inner:
            yield inside, inner
        if isinstance(inner, (dict, list)):
            yield from objects(inner, inside)


def test_no_object_is_open_and_no_field_optional_without_a_reason():
    found = dict(objects(SCHEMA["$defs"]))
    assert len(found) > 30 and FREE <= found.keys()
    for name, part in objects(SCHEMA["$defs"]):
        if name not in FREE:
            assert part["additionalProperties"] is False, name
            assert set(part["properties"]) - set(part["required"]) <= OPTIONAL.get(name, set()), name
        assert all(field for field in part["properties"].values()), name


def test_every_command_with_json_has_its_part():
    having = {
        name
        for name, command in cli.cli.commands.items()
        if any(parameter.name == "as_json" for parameter in command.params)
    }
    named = set(SCHEMA["properties"]["command"]["enum"])
    assert having == {name.split()[0] for name in named} and named <= SCHEMA["$defs"].keys()


def parts(value, path=()):
    """(path, container, key) of everything inside ``value``."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key), value, key
        yield from parts(inner, (*path, key))


OURS = ("config", "origins", "settings", "state", "presets", "primitives", "files", "arrays", "kinds")


def is_free(path):
    """Whether names and values there are not the schema's but a configuration's, a checkpoint's …"""
    return any(name in path for name in OURS)


@contextlib.contextmanager
def changed(around, key, change):
    """A field that is missing, of another type, or has one more beside it."""
    before = copy.copy(around)
    if change == "extra":
        around["unknown"] = 1
    elif change == "missing":
        del around[key]
    else:
        around[key] = {"not": ["this"]}
    yield
    around.clear()
    (around.update if isinstance(around, dict) else around.extend)(before)


def test_what_is_printed_is_valid_and_what_is_mutated_is_not(outputs):
    """Without any one field, with one more, or with one of another type; each place of a command once."""
    assert outputs["train that fails"]["findings"]
    mutations, seen = 0, set()
    for name, printed in outputs.items():
        errors = [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(printed)]
        assert not errors, (name, errors[:5])
        for path, around, key in list(parts(printed)):
            if is_free(path) or len(path) > 4 or sum(type(key) is int and key > 0 for key in path):
                continue
            columns = name == "sweep" and path[0] == "rows"  # some of which are settings
            optional = path == ("resumed_from",) or path[0] in ("kinds", "total", "rest", "gflops")
            changes = [(*path, "mistyped")]
            if isinstance(around, dict):
                changes += [(*path, "missing")] * (not optional)
                changes += [(*path[:-1], "extra")] * (not columns)
            if columns and key in ("seed", "r1"):
                continue
            for change in changes:
                if (printed["command"], change) in seen:
                    continue
                seen.add((printed["command"], change))
                with changed(around, key, change[-1]):
                    assert not VALIDATOR.is_valid(printed), (name, change)
                mutations += 1
        assert VALIDATOR.is_valid(printed), name
    assert mutations > 500


def test_the_command_decides_which_part_holds(outputs):
    for name, printed in outputs.items():
        others = set(SCHEMA["properties"]["command"]["enum"]) - {printed["command"]}
        assert not any(VALIDATOR.is_valid(printed | {"command": other}) for other in others), name
        assert not VALIDATOR.is_valid(printed | {"command": "dance"})


def test_the_command_prints_it(minigan_):
    code, out, err = minigan_("schema")
    assert code == 0 and err == "" and json.loads(out) == SCHEMA
