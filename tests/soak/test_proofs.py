"""Proofs of the tests: each soak fails on a build that is broken on purpose in the way it has to find."""

import contextlib
import hashlib
import importlib
import re
import sys
from types import SimpleNamespace

import pytest

from bench.soak import __main__ as command
from bench.soak import damage, fuzz
from minigan.storage import checkpoint


class Anything(str):
    """A text that is equal to every other."""

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = str.__hash__


def failed(result):
    """The ways in which a measurement failed."""
    return {kind for kind, count in result["failures"].items() if count}


# Damage: digest, bounds, exceptions, code


@pytest.fixture(scope="module")
def original():
    """Made before the build is broken."""
    return damage.original()


@pytest.fixture
def small(monkeypatch, original):
    """A measurement of a few cases."""
    _, _, rest = damage.split(original.content)
    objects = damage.joined(b"[" + b"{}," * 400_000 + b"{}]", rest)
    monkeypatch.setattr(damage, "original", lambda: original)
    monkeypatch.setattr(damage, "hostile", lambda o: {"empty objects": objects})
    monkeypatch.setattr(damage, "ALLOWED", 2**24)  # of memory: that file is smaller than its like as well

    def measured(count=110):
        monkeypatch.setattr(
            damage,
            "cases",
            lambda o, count, every: [
                ("mutant", range(count)),
                ("bit of the arrays", range(8 * len(o.content) - 40, 8 * len(o.content))),
                ("truncation", range(0, len(o.content), 500)),
            ],
        )
        return damage.measure(count, jobs=1, with_limit=False)

    return measured


def test_without_a_fault_nothing_fails(small):
    result = small()
    assert not failed(result), result["examples"]


def test_damage_is_found_by_a_build_that_does_not_compare_the_digest(small, monkeypatch):
    real = hashlib.blake2b

    class Unchecked:
        def __init__(self, *arguments, **options):
            self.hash = real(*arguments, **options)
            self.update = self.hash.update

        def hexdigest(self):
            return Anything(self.hash.hexdigest())

    monkeypatch.setattr(hashlib, "blake2b", Unchecked)
    result = small()
    assert result["failures"]["an altered file was accepted"] > 40, result
    assert result["accepted_altered"] == result["failures"]["an altered file was accepted"]


def test_memory_is_found_by_a_build_without_a_bound_on_the_header(small, monkeypatch):
    monkeypatch.setattr(checkpoint, "MAX_HEADER", 2**40)
    result = small(0)
    assert failed(result) == {"memory beyond 4 files and 64 MiB"}
    assert "empty objects" in result["examples"]["memory beyond 4 files and 64 MiB"]


@pytest.mark.parametrize("error", [KeyError, OSError, MemoryError, RecursionError, ValueError])
def test_another_exception_is_found(small, monkeypatch, error):
    monkeypatch.setattr(checkpoint, "CheckpointError", error)
    assert "another exception than CheckpointError" in failed(small(22))


def test_code_is_found_by_a_build_that_evaluates_or_opens_what_a_file_names(small, monkeypatch, tmp_path):
    real = checkpoint.load
    for run in (
        lambda: eval("1 + 1"),
        lambda: open(tmp_path / "other", "w").close(),
        lambda: __import__("this_module_is_not_there"),
    ):

        def broken(path, run=run):
            try:
                run()
            except ImportError:
                pass
            return real(path)

        broken.__name__ = "load"
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "load", broken)
            assert failed(small(11)) == {"code was run or another file opened"}


def test_a_refusal_of_several_lines_is_found(small, monkeypatch):
    real = checkpoint.load

    def load(path):
        try:
            return real(path)
        except damage.CheckpointError as error:
            raise damage.CheckpointError(f"{error}\nand more") from None

    monkeypatch.setattr(checkpoint, "load", load)
    assert failed(small(11)) == {"not one sentence"}


# Fuzz: each target with a reader that lets something through


def fuzzed(target, count=300):
    return failed(fuzz.measure(1, targets=(target,), shares={target: count}, jobs=1))


def test_configurations_that_raise_or_change_are_found(monkeypatch):
    real = fuzz.resolve

    def strict(*arguments, **options):
        try:
            return real(*arguments, **options)
        except fuzz.ConfigError as error:
            raise ValueError(str(error)) from None

    monkeypatch.setattr(fuzz, "resolve", strict)
    assert "configurations: another exception" in fuzzed("configurations")
    monkeypatch.setattr(fuzz, "resolve", real)
    monkeypatch.setattr(fuzz, "from_json", lambda text: None)
    assert fuzzed("configurations") == {"configurations: a wrong result"}


def test_data_that_are_not_finite_are_found(monkeypatch):
    from minigan.training import data

    monkeypatch.setattr(data, "vetted", lambda table, *_: (table.values, []))
    assert "data: a wrong result" in fuzzed("data")


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found._replace(skipped=0),
        lambda found: found._replace(rows=found.rows[:-1]),
        lambda found: found._replace(rows=found.rows + found.rows[-1:]),
        lambda found: found._replace(rows=[{**row, "seconds": []} for row in found.rows]),
    ],
    ids=["silent", "lost", "twice", "garbage"],
)
def test_rows_that_are_lost_or_repeated_or_skipped_in_silence_are_found(monkeypatch, change):
    real = fuzz.RunDirectory.read_metrics
    monkeypatch.setattr(fuzz.RunDirectory, "read_metrics", lambda run: change(real(run)))
    assert "records: a wrong result" in fuzzed("records")


def test_exit_codes_tracebacks_and_files_elsewhere_are_found(monkeypatch, tmp_path):
    from minigan import cli

    real = cli.main
    for change, kind in (
        (lambda: 42, "undocumented exit code"),
        (lambda: print("Traceback (most recent call last)"), "traceback"),
        (lambda: (tmp_path / "elsewhere").write_text("x") and None, "a file outside the run directory"),
        (lambda: 1 / 0, "another exception"),
    ):

        def main(line, change=change):
            code = real(line)
            return code if line[:2] == ["train", "--out"] else change() or code

        with monkeypatch.context() as patch:
            patch.setattr(cli, "main", main)
            assert f"arguments: {kind}" in fuzzed("arguments", 3), kind


def test_text_that_a_stream_cannot_show_and_losses_that_nobody_tells_are_found(monkeypatch):
    from minigan.cli import streams

    with monkeypatch.context() as patch:
        patch.setattr(streams, "plain", lambda text, encoding: text)
        assert "streams: traceback" in fuzzed("streams", 8)
    monkeypatch.setattr(streams.ShownStream, "_attempt", lambda stream, action: _quietly(action))
    assert "streams: a wrong result" in fuzzed("streams", 8)


def test_a_number_or_a_name_that_is_read_otherwise_is_found(monkeypatch):
    from minigan.training import settings, spellings

    for name, other in (
        ("NUMBER", re.compile("x")), ("meant", lambda name: (("seed",), "")), ("ODD_NUMBERS", ()),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(spellings, name, other)
            assert "spellings: a wrong result" in fuzzed("spellings", 60), name
    monkeypatch.setattr(settings, "read_value", lambda name, text: 1.0)
    assert "spellings: a wrong result" in fuzzed("spellings", 10)


def _quietly(action):
    with contextlib.suppress(OSError):
        action()


def test_a_seed_that_is_changed_is_found(monkeypatch):
    from minigan import cli

    real = cli.main
    monkeypatch.setattr(cli, "main", lambda line: real([part.replace("=1", "=2") for part in line]))
    assert "seeds: a wrong result" in fuzzed("seeds", 100)


# The command that runs them


@pytest.mark.parametrize(("count", "code"), [(0, 0), (3, 1)])
def test_the_command_leaves_with_1_if_a_promise_was_broken(monkeypatch, capsys, tmp_path, count, code):
    soak = SimpleNamespace(
        measure=lambda n: {"tried": n, "failures": {"lost": count}, "examples": {"lost": "k"}}
    )
    monkeypatch.setitem(sys.modules, "a_soak", soak)
    monkeypatch.setattr(command, "SOAKS", {"one": ("a_soak", 7), "other": ("absent", 7)})
    monkeypatch.setattr(command, "write", lambda name, result: tmp_path / name)
    assert command.main(["one", "--write"]) == code
    out, err = capsys.readouterr()
    assert "one: tried: 7\n" in out and "soak-one" in err
    assert ("one: failed, lost: 3, for example k\n" in out) == bool(count)
    assert ("one: none of 1 ways to fail happened\n" in out) == (not count)
    assert command.main(["one", "--count", "2"]) == code
    out, err = capsys.readouterr()
    assert "one: tried: 2\n" in out and err == ""


def test_every_soak_names_a_module_with_a_measurement():
    for name, (module, count) in command.SOAKS.items():
        assert callable(importlib.import_module(module).measure) and count > 0, name
