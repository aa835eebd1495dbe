"""Bad input, row by row: refused in one sentence with value, rule and remedy, or answered rightly.

The table says which test holds each row; what has none elsewhere is here, and every row that a command line
can meet goes through one.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import minigan
from minigan import cli
from minigan.engine.autodiff import assign, grad
from minigan.engine.tensor import constant, variable
from minigan.errors import ConfigError
from minigan.gan.game import Game
from minigan.nn.network import mlp
from minigan.nn.optim import OPTIMIZERS
from minigan.training.limits import check
from minigan.training.settings import resolve

ROOT = Path(__file__).parents[1]
TINY = ("--set", "generator.widths=4", "--set", "discriminator.widths=4", "--set", "batch=8",
        "--set", "steps=4", "--set", "eval_every=2", "--set", "eval_samples=100")  # fmt: skip
HERE = "training/test_bad_input.py"
TESTS = {  # what may come in: where it is tested
    "NaN, ±Inf": ["training/test_data.py::test_nan_and_infinity_are_refused_with_count_and_first_row",
                  "training/test_data.py::test_nonfinite_rows_are_dropped_on_request_with_a_note"],
    "empty, 1 row": ["training/test_data.py::test_empty_file_is_refused",
                     "training/test_data.py::test_fewer_than_two_rows_are_refused"],
    "fewer rows than the batch": [f"{HERE}::test_fewer_rows_than_the_batch_are_drawn_with_repetition"],
    "constant column": ["training/test_data.py::test_constant_column_is_refused"],
    "object, string, complex, bool": [
        "training/test_data.py::test_arrays_that_are_not_a_table_of_numbers_are_refused",
        "training/test_data.py::test_objects_are_refused_and_nothing_is_unpickled"],
    "integers": ["training/test_data.py::test_integers_are_converted_with_a_note"],
    "rank, ragged, header, separators, marks, encodings": [
        "training/test_data.py::test_text_forms_are_read", "training/test_data.py::test_encodings_are_read",
        "training/test_data.py::test_exact_line_and_offending_text",
        "training/test_data.py::test_utf_16_of_either_order_with_its_mark_is_read"],
    "1e300": ["training/test_data.py::test_huge_values_are_read_with_a_warning",
              "training/test_units.py::test_data_beyond_the_digits_of_float64_are_refused"],
    "subnormals": ["training/test_data.py::test_subnormal_values_are_read"],
    "duplicated rows": ["training/test_data.py::test_duplicated_rows_are_noted"],
    "10^8 rows": ["training/test_data.py::test_memory_stays_within_four_tables",
                  "training/test_data.py::test_a_file_too_large_is_refused_before_it_is_opened",
                  "training/test_data.py::test_an_array_beyond_the_free_memory_is_refused"],
    "byte order, layout, read-only, views": [
        "training/test_data.py::test_float_arrays_of_any_size_byte_order_and_layout_are_read_equal",
        "training/test_data.py::test_views_and_read_only_arrays_are_saved_and_read_equal",
        "training/test_data.py::test_a_read_only_file_is_read",
        f"{HERE}::test_every_form_of_a_table_has_one_verdict"],
    "float16 and float64": [f"{HERE}::test_precision_of_data_and_networks_is_explicit",
                            "engine/test_tensor.py::test_mixed_dtypes_are_refused_naming_both",
                            "nn/test_network.py::test_a_batch_of_another_dtype_is_refused"],
    "rates, momenta, widths": ["cli/test_train.py::test_a_bad_value_is_refused_before_any_work",
                               "training/test_config.py::test_ten_million_units_are_refused_with_a_memory_estimate",
                               "nn/test_optim.py::test_a_rate_that_is_no_positive_number_is_refused"],
    "labels outside [0, 1]": ["gan/test_objectives.py::test_labels_outside_0_and_1_are_refused"],
    "logits and labels of unequal shape": [
        "gan/test_objectives.py::test_labels_of_another_shape_are_refused"],
    "a gradient of several numbers": ["engine/test_autodiff.py::test_the_gradient_of_the_sum"],
    "a gradient twice": ["engine/test_autodiff.py::test_the_same_tape_can_be_read_twice"],
    "a gradient through what has no history": [
        "engine/test_autodiff.py::test_a_gradient_through_a_constant_is_refused",
        f"{HERE}::test_an_array_taken_out_of_a_tensor_has_no_history"],
    "in-place on what was recorded": ["engine/test_autodiff.py::test_a_variable_overwritten_after_use",
                                      "engine/test_tensor.py::test_assignment_to_elements_is_refused"],
    "G without z": ["nn/test_layers.py::test_an_empty_layer_is_refused",
                    f"{HERE}::test_a_generator_without_latent_numbers_is_refused"],
    "D that ends in a sigmoid": [
        "gan/test_game.py::test_a_discriminator_that_ends_in_an_activation_is_refused"],
    "an optimiser of nothing, or of the other network": [
        "gan/test_game.py::test_an_optimiser_of_the_other_network_is_refused",
        f"{HERE}::test_an_optimiser_without_parameters_is_refused"],
    "checkpoint of another architecture": [
        "cli/test_sample.py::test_a_checkpoint_of_another_architecture_is_refused_with_the_difference"],
    "checkpoint of another schema": [
        "storage/test_checkpoint.py::test_a_newer_schema_is_refused_with_the_way_out"],
    "checkpoint of another dtype": [f"{HERE}::test_a_row_leaves_the_command_line_with_its_code"],
}  # fmt: skip


@pytest.mark.rows("row", TESTS)
def test_every_row_has_its_test(row):
    for place in TESTS[row]:
        file, _, name = place.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), place


# Through the command line


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A directory of its own, no settings from outside, no figures."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MINIGAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    return tmp_path


@pytest.fixture
def run(capsys):
    """A function that runs the command line in this process: exit code, stdout, stderr."""

    def command(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run, to be copied by whoever changes it."""
    from minigan.storage.directory import RunDirectory
    from minigan.training.config import to_json
    from minigan.training.experiment import Experiment
    from minigan.training.trainer import train

    config = resolve(environ={}, sets=TINY[1::2])
    with RunDirectory.create(tmp_path_factory.mktemp("runs"), config.name, to_json(config)) as directory:
        train(Experiment(config), directory)
    return directory.path


class Row(NamedTuple):
    """One kind of bad input: a data file or arguments, the exit code, and what the message has to say."""

    what: str
    content: object
    code: int
    says: tuple[str, ...]


DATA = [
    Row("NaN", "1\n2\nnan\n4\ninf\n", 3, ("2 rows", "row 3 of 5", "drop_nonfinite=true")),
    Row(
        "infinity in an array", np.array([1.0, np.inf, 3]), 3, ("1 row", "row 2 of 3", "drop_nonfinite=true")
    ),
    Row("empty", "", 3, ("empty", "at least 2 rows", "give")),
    Row("an empty array", np.zeros((0, 2)), 3, ("(0, 2)", "empty", "at least 2 rows")),
    Row("one row", "1.5\n", 3, ("has 1 row", "at least 2", "give")),
    Row(
        "a constant column",
        "a,b\n1,5\n2,5\n3,5\n",
        3,
        ("'b' is constant (5)", "no density", "select other columns"),
    ),
    Row(
        "objects",
        np.array([1, None], object),
        3,
        ("Python objects", "cannot be learned", "save it as float64"),
    ),
    Row("text", np.array(["a", "b"]), 3, ("<U1", "text cannot be learned", "save it as float64")),
    Row("complex numbers", np.ones(3) * 1j, 3, ("complex128", "cannot be learned", "imaginary parts")),
    Row("truth values", np.array([True, False]), 3, ("bool", "cannot be learned", "save it as float64")),
    Row("three axes", np.ones((2, 3, 4)), 3, ("(2, 3, 4)", "one axis of values, or rows by columns", "give")),
    Row("no axis", np.array(3.0), 3, ("shape ()", "one axis of values", "give")),
    Row("ragged", "1,2\n3,4\n5\n", 3, ("line 3", "1 field where 2 are expected", "'5'")),
    Row("a decimal comma between commas", "1,5\n2,5,3\n", 3, ("line 2", "3 fields where 2", "';' or a tab")),
    Row("a word", "1\n2\nfoo\n", 3, ("line 3", "'foo' is not a number", "correct or remove it")),
    Row(
        "text in one of the columns",
        "invest,firm,year\n3.5,General Motors,1935\n4.5,Chrysler,1936\n",
        3,
        ("line 2", "'firm'", "'General Motors' is not a number", "--set columns=invest,year"),
    ),
    Row("a header alone", "a,b\n", 3, ("has 0 rows", "at least 2", "give")),
    Row(
        "mixed decimal marks",
        "1,5;2\n1.5;3\n",
        3,
        ("line 2", "decimal mark", "write all numbers with one mark"),
    ),
    Row(
        "binary rubbish",
        b"\x00\x01\xff\xfe\x80\n" * 3,
        3,
        ("line 1", "NUL", "UTF-8"),
    ),
    Row(
        "UTF-16 cut in the middle",
        "1\n2\n3\n".encode("utf-16")[:-1],
        3,
        ("line 3", "not a number", "correct"),
    ),
    Row("1e300", "1e300\n-2e300\n5e299\n", 3, ("sd 1", "beyond what float64 can judge", "another unit")),
    Row(
        "subnormals",
        "5e-324\n1e-310\n0\n2e-310\n",
        3,
        ("sd ", "beyond what float64 can judge", "another unit"),
    ),
    Row(
        "digits used up by the origin",
        "1e15\n1000000000000001\n1000000000000002\n",
        3,
        ("mean 1e+15", "beyond what float64", "another origin"),
    ),
    Row("a damaged array", b"\x93NUMPY\x01\x00\x02\x00{}", 3, ("NPY", "numbers", "")),
]
SETTINGS = [
    ("generator_optimizer.rate=nan", ("generator_optimizer.rate", "finite number", "nan")),
    ("generator_optimizer.rate=inf", ("generator_optimizer.rate", "finite number", "inf")),
    ("generator_optimizer.rate=0", ("generator_optimizer.rate", "above 0", "received 0")),
    ("discriminator_optimizer.rate=-0.1", ("discriminator_optimizer.rate", "above 0", "received -0.1")),
    ("generator_optimizer.rate=1e300", ("rate", "infinite in float32", "choose one nearer")),
    ("generator_optimizer.momentum=1", ("momentum", "below 1", "received 1")),
    ("generator_optimizer.beta1=1", ("beta1", "below 1", "received 1")),
    ("generator_optimizer.beta2=-0.1", ("beta2", "from 0", "received -0.1")),
    ("generator.widths=0", ("generator.widths[0]", "from 1 to 65536", "received 0")),
    ("discriminator.widths=10000000", ("from 1 to 65536", "received 10000000", "GiB")),
    ("generator.widths=[65536,65536,65536]", ("takes at least", "GiB", "reduce")),
    ("batch=1000000000", ("batch", "from 2 to 16777216", "received 1000000000")),
    ("batch=1", ("batch", "from 2", "received 1")),
    ("steps=0", ("steps", "from 1", "received 0")),
    ("latent.size=0", ("latent.size", "from 1 to 1024", "received 0")),
    ("holdout=1", ("holdout", "0.9", "received 1")),
    ("target=normal(0,0)", ("target", "normal", "0")),
    ("target=normal(1e30,1)", ("1e+30", "beyond what float64 can judge", "choose another unit")),
    ("dtype=float16", ("dtype", "float32, float64", "'float16'")),
    ("seed=-1", ("seed", "from 0", "received -1")),
    ("name=" + "x" * 300, ("name", "1 to 64 letters", "received")),
    ("name=../x", ("name", "1 to 64 letters", "'../x'")),
]


def refused(answer, code, says):
    """The one sentence on stderr, which says what it must; nothing on stdout, no traceback."""
    got, out, err = answer
    assert got == code and out == "", (got, err)
    lines = err.strip().splitlines()
    assert 1 <= len(lines) <= 3 and "Traceback" not in err, err
    assert lines[-1].startswith("error: ") and len(lines[-1]) < 700, err
    for part in says:
        assert part in lines[-1], (part, lines[-1])


def write(path, content):
    """Content as the file it is."""
    if isinstance(content, np.ndarray):
        np.save(path.with_suffix(".npy"), content, allow_pickle=content.dtype == object)
        return path.with_suffix(".npy")
    path = path.with_suffix(".npy" if isinstance(content, bytes) and content[:1] == b"\x93" else ".csv")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("row", DATA, ids=lambda row: row.what)
@pytest.mark.parametrize("command", ["train", "eval"])
def test_a_row_leaves_the_command_line_with_its_code(run, place, row, command):
    path = write(place / "d", row.content)
    if command == "train":
        refused(run("train", *TINY, "--data", path), row.code, row.says)
        assert [p.name for p in place.iterdir()] == [path.name]
    elif (
        row.what != "a constant column"
    ):  # of samples that are all equal eval says that they are no good ones
        code, out, err = run("eval", path, "--target", "normal(0,1)")
        assert code in (0, 3) and "Traceback" not in err and len(err.strip().splitlines()) <= 3
        assert code == 3 or row.what in ("1e300", "subnormals", "digits used up by the origin")


@pytest.mark.rows(("setting", "says"), SETTINGS)
def test_a_setting_leaves_the_command_line_with_2(run, place, setting, says):
    refused(run("train", "--set", setting), 2, says)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"generator": {"widths": [9]}},
            ("not that of its checkpoint", "generator.widths was", "is [9]", "restore it"),
        ),
        (
            {"dtype": "float64"},
            ("not that of its checkpoint", "dtype was 'float32', is 'float64'", "restore it"),
        ),
    ],
    ids=["architecture", "dtype"],
)
@pytest.mark.parametrize("command", ["sample", "eval", "resume"])
def test_a_checkpoint_of_another_configuration_leaves_with_3(run, place, trained, change, says, command):
    directory = Path(shutil.copytree(trained, "run"))
    config = json.loads((directory / "config.json").read_text())
    for key, value in change.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    if command == "resume":
        config["steps"] = 8
    (directory / "config.json").write_text(json.dumps(config))
    before = sorted(directory.rglob("*.safetensors"))
    arguments = ("train", "--resume", directory) if command == "resume" else (command, directory)
    code, out, err = run(*arguments)
    if command == "resume" and code == 2:  # resuming may also refuse the edited configuration itself
        return
    refused((code, out, err), 3, says)
    assert sorted(directory.rglob("*.safetensors")) == before


# What is read in another form, or with a note


def test_integers_are_converted_with_a_note_on_the_way(run, place):
    path = write(place / "d", np.random.default_rng(0).integers(0, 99, 60))
    code, _, err = run("train", *TINY, "--data", path)
    assert code == 0 and "int64 values were converted to float64" in " ".join(err.split())


def test_repeated_rows_are_noted_on_the_way(run, place):
    path = write(place / "d", "1\n2\n" * 30)
    code, _, err = run("train", *TINY, "--data", path)
    assert code == 0 and "58 of 60 repeat another" in " ".join(err.split())


def test_fewer_rows_than_the_batch_are_drawn_with_repetition(run, place):
    """A batch is a sample of the data, not a part of it: its size is never changed in silence."""
    path = write(place / "d", "1\n2\n4\n8\n9\n")
    code, out, err = run("train", *TINY, "--set", "batch=256", "--data", path, "--json")
    assert code == 0 and "none of the 5 rows are held out" in " ".join(err.split())
    config = json.loads((Path(json.loads(out)["run"]) / "config.json").read_text())
    assert config["batch"] == 256


def test_every_form_of_a_table_has_one_verdict(run, place, brief_judge):
    values = np.random.default_rng(3).normal(size=(64, 2)).astype("float32").astype("float64")
    columns = np.asfortranarray(values)
    strided = np.repeat(values, 2, axis=0)[::2]
    read_only = values.copy()
    read_only.setflags(write=False)
    forms = {
        "c": values,
        "big": values.astype(">f8"),
        "f": columns,
        "strided": strided,
        "single": values.astype("f4"),
        "read-only": read_only,
        "big-single": values.astype(">f4"),
    }
    verdicts = set()
    for name, array in forms.items():
        np.save(place / f"{name}.npy", array)
        os.chmod(place / f"{name}.npy", 0o400)
        code, out, _ = run("eval", f"{name}.npy", "--target", "ring(8, 1, 0.01)", "--json")
        verdicts.add(json.dumps(json.loads(out)["verdict"], sort_keys=True))
    rows = [[repr(float(x)) for x in row] for row in values]
    comma = "\r\n".join(";".join(row).replace(".", ",") for row in rows)
    for name, text in {
        "a": "\n".join(",".join(row) for row in rows).encode(),
        "b": b"\xef\xbb\xbf" + comma.encode(),
        "d": "\n".join("\t".join(row) for row in rows).encode("utf-16"),
        "e": ("# note\n\nx0,x1\n" + "\n".join(",".join(row) for row in rows)).encode(),
    }.items():
        (place / f"{name}.csv").write_bytes(text)
        code, out, err = run("eval", f"{name}.csv", "--target", "ring(8, 1, 0.01)", "--json")
        assert code == 0, err
        verdicts.add(json.dumps(json.loads(out)["verdict"], sort_keys=True))
    assert len(verdicts) == 1


@pytest.mark.parametrize(
    ("of_data", "of_networks"), [("float16", "float32"), ("float32", "float64"), ("float64", "float32")]
)
def test_precision_of_data_and_networks_is_explicit(run, place, of_data, of_networks):
    """Data are read as float64, which loses nothing; networks keep the dtype that was asked for."""
    path = write(place / "d", np.random.default_rng(0).normal(size=60).astype(of_data))
    code, out, err = run("train", *TINY, "--data", path, "--dtype", of_networks, "--json")
    assert code == 0, err
    from minigan.storage.checkpoint import load

    newest = sorted((Path(json.loads(out)["run"]) / "checkpoints").glob("step-*"))[-1]
    arrays = load(newest)[0]
    assert {str(a.dtype) for name, a in arrays.items() if name.startswith("generator.")} == {of_networks}


# The engine's silent footguns


def test_an_array_taken_out_of_a_tensor_has_no_history():
    """What others call detached: its gradient is refused where it is asked, or is that of a constant."""
    x = variable(np.array([1.0, 2.0]))
    y = x * x
    z = constant(y.numpy()) * x
    np.testing.assert_array_equal(grad(z, [x])[0].numpy(), y.numpy())
    with pytest.raises((TypeError, ValueError)):
        grad(y.numpy(), [x])


def test_a_value_written_over_after_its_use_is_refused():
    x = variable(np.array([1.0, 2.0]))
    y = x * x
    assign(x, constant(np.array([5.0, 6.0])))
    with pytest.raises(RuntimeError, match="overwritten|written"):
        grad(y, [x])


@pytest.mark.rows("name", OPTIMIZERS)
@pytest.mark.rows("nothing", [None, [], {}])
def test_an_optimiser_without_parameters_is_refused(name, nothing):
    with pytest.raises(
        TypeError, match="moves a network's parameters; received .*, give it network.parameters"
    ):
        OPTIMIZERS[name](nothing, 1e-3)


def test_a_generator_without_latent_numbers_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError):
        mlp((0, 4, 1), rngs=rng)
    D = mlp((1, 4, 1), rngs=rng)
    with pytest.raises(ValueError, match="features"):
        G = mlp((1, 4, 2), rngs=rng)
        Game(G, D, OPTIMIZERS["sgd"](G.parameters, 0.1), OPTIMIZERS["sgd"](D.parameters, 0.1))


# Places that cannot be written, and names


READ_ONLY = """
mount -t tmpfs -o ro none "$1" || exit 99
exec "$2" -m minigan train --steps 2 --out "$1"
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_file_system_mounted_read_only_leaves_with_8(place):
    """A real one, in a name space of its own: permission bits would not stop a superuser."""
    (place / "ro").mkdir()
    environ = {**os.environ, "PYTHONPATH": str(Path(minigan.__file__).parents[1])}
    for extra in ([], ["-r"]):
        done = subprocess.run(
            ["unshare", *extra, "-m", "sh", "-c", READ_ONLY, "sh", place / "ro", sys.executable],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode not in (1, 99) or "minigan" in done.stderr:
            break
    else:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 8 and done.stdout == "", done.stderr
    assert "Read-only file system" in done.stderr and "write it elsewhere" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3 and list((place / "ro").iterdir()) == []


@pytest.mark.rows("out", ["file", "file/below", "x" * 300, "a/" + "y" * 300, "/dev/null/runs", "\0"])
def test_a_place_that_cannot_be_leaves_with_8_and_nothing_behind(run, place, out):
    (place / "file").write_text("x")
    refused(run("train", *TINY, "--out", out), 8, ("cannot be written", "write it elsewhere"))
    assert {p.name for p in place.rglob("*")} <= {"file", "a"}


def test_dots_in_out_lead_where_they_say_and_nowhere_else(run, place):
    (place / "a").mkdir()
    code, out, _ = run("train", *TINY, "--out", "a/../b", "--json")
    assert code == 0 and {p.name for p in place.iterdir()} == {"a", "b"} and not list((place / "a").iterdir())


@pytest.mark.parametrize(
    "name", ["checkpoints", "metrics.jsonl", "log.txt", "run.json", "checkpoints/latest"]
)
def test_a_link_out_of_a_run_is_not_written_through(run, place, trained, name):
    """A run that goes on writes all of these; the victim stays as it was."""
    directory = Path(shutil.copytree(trained, "run"))
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "steps": 12}))
    victim = place / "victim"
    found = directory / name
    if found.is_dir():
        shutil.move(found, victim)
    else:
        victim.write_bytes(found.read_bytes() if found.exists() else b"mine")
        found.unlink(missing_ok=True)
    found.symlink_to(victim)
    before = {p: p.read_bytes() for p in [victim, *victim.rglob("*")] if p.is_file()}
    code, _, err = run("train", "--resume", directory)
    assert code in (2, 3) and "Traceback" not in err and len(err.strip().splitlines()) <= 3, err
    assert {p: p.read_bytes() for p in [victim, *victim.rglob("*")] if p.is_file()} == before


@pytest.mark.rows(
    "arguments",
    [
        ["train"], ["train", "--json", "--out"], ["train", "--data"], ["train", "--resume"], ["sample"],
        ["eval"], ["doctor", "--out"],
    ],
)  # fmt: skip
def test_names_that_are_not_utf_8_are_refused(run, place, arguments):
    refused(run(*arguments, "\udcff\udcfe"), 2, (r"'\udcff\udcfe'", "not UTF-8", "rename"))
    assert list(place.iterdir()) == []


# Sizes beyond the memory

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (512 * 2**20, resource.RLIM_INFINITY))
from minigan.cli import main
for arguments in sys.argv[1:]:
    print("code", main(arguments.split("|")))
    print(flush=True, file=sys.stderr)
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("peak", int(peak) // 1024)
"""
GREEDY = {
    "batch=1e9": ("train", "--set", "batch=1e9"),
    "the largest batch": ("train", "--set", "batch=16777216"),
    "wide networks": ("train", "--set", "generator.widths=65536,65536"),
    "samples of images": ("train", "--target", "galaxies(8, 0.1)", "--set", "eval_samples=10000000"),
    "samples of points": ("train", "--target", "ring(8, 1, 0.01)", "--set", "eval_samples=10000000"),
    "a batch of images": ("train", "--target", "galaxies(8, 0.1)", "--set", "batch=1000000"),
    "seeds": ("explain", "--seeds", "10000"),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_sizes_beyond_512_mib_are_refused_before_they_are_asked_for(place):
    """One process for all of them: what one took would be in the peak."""
    environ = {
        **os.environ,
        "PYTHONPATH": str(Path(minigan.__file__).parents[1]),
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", LIMITED, *("|".join(arguments) for arguments in GREEDY.values())]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr  # the process itself ended in order
    *codes, peak = done.stdout.splitlines()
    assert codes == ["code 2"] * len(GREEDY) and int(peak.split()[1]) < 150, (done.stdout, done.stderr)
    for what, said in zip(GREEDY, done.stderr.strip().split("\n\n"), strict=True):
        assert said.startswith("error: ") and "\n" not in said, (what, said)
    assert list(place.iterdir()) == []


def test_samples_to_judge_by_are_counted_with_their_features():
    config = resolve(environ={}, sets=["eval_samples=1000000"])
    check(config, features=1, available=2**30)
    with pytest.raises(
        ConfigError, match="1000000 samples of 256 features takes at least 7.63 GiB.*reduce eval_sam"
    ):
        check(config, features=256, available=2**30)
