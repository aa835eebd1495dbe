"""The command line as a whole: help, mistyped names, streams, exit codes, terminals, random arguments."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

import minigan
from minigan import cli
from minigan.cli.common import say

COMMANDS = ("train", "sweep", "studio", "sample", "eval", "compare", "inspect", "export", "report",
            "animate", "presets", "gradcheck", "graph", "explain", "bench", "doctor", "schema",
            "completion")  # fmt: skip

CODES = {0, 1, 2, 3, 4, 5, 6, 7, 8, 130, 141, 143}

ENVIRON = {key: value for key, value in os.environ.items() if not key.startswith("MINIGAN_")} | {
    "PYTHONPATH": str(Path(minigan.__file__).parents[1]), "COLUMNS": "100", "PYTHONWARNINGS": "error",
}  # fmt: skip

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.mark.rows("command", COMMANDS)
def test_every_command_explains_itself(minigan_, command):
    for flag in ("--help", "-h"):
        code, out, err = minigan_(command, flag)
        assert code == 0 and err == "" and out.startswith(f"Usage: minigan {command}")
        assert max(map(len, out.splitlines())) <= 110


def test_the_group_lists_examples_first_and_every_command(minigan_):
    code, out, _ = minigan_("--help")
    assert code == 0 and out.index("minigan train --target") < out.index("Commands:")
    assert all(f"\n  {command}" in out for command in COMMANDS)
    assert set(cli.cli.commands) == set(COMMANDS)


def test_version(minigan_):
    assert minigan_("--version") == (0, f"minigan {minigan.__version__}\n", "")


def test_every_option_has_a_help_text():
    for command in cli.cli.commands.values():
        assert command.help
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, (command.name, parameter.name)


def test_nothing_asked_shows_the_help_and_is_a_usage_error(minigan_):
    code, out, err = minigan_()
    assert code == 2 and "Commands:" in out + err


@pytest.mark.rows(
    ("arguments", "says"),
    [
        (["tran"], "train"),
        (["evaluate"], "eval"),
        (["train", "--sed", "3"], "--seed"),
        (["train", "--stpes=3"], "--steps"),
        (["sample", "x", "--number", "3"], "No such option"),
        (["train", "gausian"], "'gaussian'"),
        (["train", "--set", "step=3"], "'steps'"),
        (["train", "--set", "generator.width=3"], "generator.widths"),
        (["train", "--set", "widths=3"], "'generator.widths' or 'discriminator.widths'"),
        (["train", "--set", "generator_optimiser.rate=1"], "generator_optimizer"),
        (["train", "--set", "objective=wgan"], "minimax, non_saturating"),
        (["graph", "gausian"], "'gaussian'"),
        (["gradcheck", "tnh"], "'tanh'"),
        (["train", "--target", "norml(0, 1)"], "'normal'"),
        (["eval", "one.csv", "--target", "norml(0, 1)"], "'normal'"),
        (["graph", "--player", "x"], "'D', 'G'"),
        (["gradcheck", "--order", "4"], "1<=x<=3"),
        (["train", "--require-ks", "2"], "0<=x<=1"),
        (["sample", "x", "-n", "0"], "1<=x"),
        (["sample"], "RUN"),
        (["train", "a", "b"], "unexpected extra argument"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(minigan_, files, arguments, says):
    code, out, err = minigan_(*[files / a if a.endswith(".csv") else a for a in arguments])
    assert code == 2 and out == ""
    assert says in " ".join(err.split()), err
    assert len(err.strip().splitlines()) <= 4  # usage, where to find help, a blank line, the sentence


@pytest.mark.parametrize("where", [0, 1, -1])
def test_quiet_is_understood_anywhere(minigan_, tiny, where):
    arguments = ["train", *tiny]
    arguments.insert(where if where >= 0 else len(arguments), "-q")
    code, out, err = minigan_(*arguments)
    assert code == 0 and err == "" and "perfect sampler" in out


def test_a_failure_that_nobody_foresaw_is_logged_and_leaves_with_1(minigan_, tiny, place, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("minigan.training.metrics.Observer.row", fail)
    code, out, err = minigan_("train", *tiny, "-q")
    (path,) = (place / "runs").iterdir()
    assert code == 1 and out == "" and "unforeseen" in err and str(path.name) in err
    assert "RuntimeError: unforeseen" in (path / "log.txt").read_text()
    assert json.loads((path / "run.json").read_text())["status"] == "failed"


def test_out_of_memory_is_a_sentence(minigan_, monkeypatch, sentence):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("minigan.front.fitting.Experiment", fail)
    code, _, err = minigan_("train")
    assert code == 3 and "smaller batch" in sentence(err)


def test_debug_shows_the_traceback(capsys):
    assert cli.main(["train", "gausian", "--debug"]) == 2
    captured = capsys.readouterr()
    assert "Traceback" in captured.err and captured.out == ""


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environ", "arguments", "bar", "colour"),
    [
        ({}, (), True, True),
        ({"NO_COLOR": "1"}, (), True, False),
        ({}, ("--no-color",), True, False),
        ({"CI": "true"}, (), False, None),
        ({"TERM": "dumb"}, (), False, None),
        ({}, ("-q",), False, None),
    ],
)
def test_a_bar_only_on_a_terminal(monkeypatch, environ, arguments, bar, colour, tiny):
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    err, out = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["train", *tiny, *arguments]) == 0
    text = err.getvalue()
    assert ("━" in text or "6/6" in text) == bar
    assert "\x1b" not in out.getvalue()
    if colour is not None:
        assert ("\x1b[3" in text or "\x1b[1;3" in text) == colour  # the cursor moves in any case
    if arguments == ("-q",):
        assert text == ""


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "minigan", *map(str, arguments)],
        env=ENVIRON,
        capture_output=True,
        timeout=120,
        **options,
    )


def test_a_process_leaves_with_the_same_code(place):
    done = process("train", "gausian")
    assert (
        done.returncode == 2 and done.stdout == b"" and done.stderr.startswith(b"error: there is no preset")
    )


def test_a_whole_run_with_its_figure_in_a_process(place, tiny):
    done = process("train", *tiny, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert Path(result["files"]["figure"]).read_bytes().startswith(b"\x89PNG")
    assert b"Warning" not in done.stderr and len(done.stderr.splitlines()) <= 6


@POSIX
@pytest.mark.parametrize(("count", "reader", "read"), [(20_000, "head -n 2", 2), (50, "true", 0)])
def test_a_reader_that_leaves_early_ends_the_command_quietly(place, trained, count, reader, read):
    """With few rows the failure comes from the last flush, which the interpreter would repeat at its end."""
    sample = f'"{sys.executable}" -m minigan sample "{trained}" -n {count}'
    command = ["bash", "-c", f'{sample} | {reader}; echo "${{PIPESTATUS[0]}}"']
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert done.stderr == "" and len(lines) == read + 1 and lines[-1] == "141"


@POSIX
def test_a_full_disk_behind_stdout_is_8(trained):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "minigan", "sample", str(trained), "-n", "10000"]
        done = subprocess.run(command, env=ENVIRON, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 8 and "No space left" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@POSIX
def test_a_name_that_is_not_utf_8_is_refused(place):
    """As the bytes that a shell passes; other places of a name are in training/test_bad_input.py."""
    done = subprocess.run(
        [sys.executable, "-m", "minigan", "train", "--json", "--out", b"\xff\xfe"],
        env=ENVIRON,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 2 and done.stdout == b"" and list(place.iterdir()) == []
    assert done.stderr.startswith(b"error: '\\udcff\\udcfe' is not UTF-8")


WORDS = (
    *COMMANDS, "gaussian", "hinge", "RUN", "one.csv", "three.csv", "nan.csv", "absent", "", ".", "-", "--",
    "-1", "0", "1", "2.5", "1e9", "nan", "x" * 300,
    "\u2603", "--help", "-h", "--version", "--debug", "-q", "--no-color", "--json", "--set", "--steps",
    "--seed", "--target", "--data", "--out",
    "--backend", "--dtype", "--require-ks", "--print-config", "-n", "-o", "--index", "--order", "--player",
    "--program", "--seeds", "--passes", "exact", "D", "G", "tanh", "normal(0,1)",
    "normal(", "steps=2", "steps=0", "batch=4", "r1=-1", "generator.widths=3", "=", "x=", "a.csv", "a.npy",
    "a.dot", "a.svg", "numpy", "strict", "cupy",
    "float64", "float16", "runs", "--fast-dev-run", "--sort", "ks", "--descending", "--csv", "--verify",
    "--npz", "a.npz", "--at", "best", "bash",
)  # fmt: skip


def nothing_measured(*_):
    """Instead of five minutes of timings."""
    from minigan.profiling.results import Record

    return Record("2026-11-23T00:00Z", {}, [], True, 0, [])


@pytest.mark.parametrize("seed", range(6))
def test_random_arguments_leave_with_a_documented_code(seed, capsys, place, files, trained, monkeypatch):
    """50 vectors a seed, most of them beginning with a command; the environment cuts runs to 2 steps."""
    for name, value in {
        "STEPS": "2",
        "BATCH": "4",
        "EVAL_SAMPLES": "100",
        "GENERATOR__WIDTHS": "3",
        "DISCRIMINATOR__WIDTHS": "3",
    }.items():
        monkeypatch.setenv(f"MINIGAN_{name}", value)
    monkeypatch.setattr("minigan.testing.cases.check_primitive", lambda name, order: 1)
    monkeypatch.setattr("minigan.profiling.explain.SECONDS", 0.01)
    monkeypatch.setattr("minigan.profiling.benchmark.measure", nothing_measured)
    monkeypatch.setattr("minigan.studio.process.find_spec", lambda name: None)  # or a page is served
    rng = np.random.default_rng(seed)
    for _ in range(50):
        words = list(rng.choice(WORDS, rng.integers(0, 6)))
        if rng.random() < 0.7:
            words.insert(0, str(rng.choice(COMMANDS)))
        if "--steps" in words or "1e9" in words:  # not a run of 10^9 steps
            words = [word if word != "1e9" else "3" for word in words]
        words = [
            str(trained)
            if w == "RUN"
            else str(files / w)
            if w in ("one.csv", "three.csv", "nan.csv")
            else str(w)
            for w in words
        ]
        code = cli.main(words)
        captured = capsys.readouterr()
        assert code in CODES - {1}, (words, captured.err)
        if "--debug" not in words:
            assert "Traceback" not in captured.out + captured.err, words
        if code and code != 6:
            assert captured.err.strip(), words


def test_a_message_is_text_line_by_line(capsys):
    assert say("error: a\x1b[31m[red]\nb\r", 3) == 3
    assert capsys.readouterr().err == "error: a\\x1b[31m[red]\nb\\r\n"
