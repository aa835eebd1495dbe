"""What TAB offers, asked as a shell asks; and the scripts that ask it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

import minigan
from minigan import cli
from minigan.cli.completion import SHELLS, VARIABLE
from minigan.training.config import fields
from minigan.training.presets import PRESETS


def offered(*words):
    """The completions of the last word: (type, value) each."""
    *before, incomplete = words
    made = ShellComplete(cli.cli, {}, "minigan", VARIABLE)
    return [(item.type, item.value) for item in made.get_completions(list(before), incomplete)]


def values(*words):
    return [value for _, value in offered(*words)]


def test_commands_and_options():
    assert values("tr") == ["train"] and set(values("")) == set(cli.cli.commands)
    assert "--print-config" in values("train", "--p") and "--sort" in values("compare", "--s")
    assert values("completion", "") == list(SHELLS) and values("graph", "--player", "") == ["D", "G"]


@pytest.mark.parametrize("command", ["train", "graph", "explain"])
def test_presets_and_files(command):
    assert values(command, "") == list(PRESETS)
    assert values(command, "gal") == [name for name in PRESETS if name.startswith("gal")]
    assert offered(command, "my.to") == [("file", "my.to")]


def test_settings_by_their_names():
    assert values("train", "--set", "") == [f"{name}=" for name in fields()]
    assert values("train", "--set", "generator.w") == ["generator.widths="]
    assert values("train", "--set", "generator.widths=4") == []


@pytest.mark.parametrize("command", ["sample", "compare", "export"])
def test_runs_newest_first_and_directories(command, runs, place, monkeypatch):
    shutil.copytree(runs, "runs")
    names = sorted((path.name for path in Path("runs").iterdir()), reverse=True)
    assert values(command, "") == [f"runs/{name}" for name in names]
    assert values(command, f"runs/{names[0]}") == [f"runs/{names[0]}"]
    assert offered(command, "elsewhere/") == [("dir", "elsewhere/")]
    Path("runs").rename("there")
    assert offered(command, "") == [("dir", "")]
    assert values(command, "there/") == [f"there/{name}" for name in names]
    monkeypatch.setenv("MINIGAN_RUNS", "there")
    assert values(command, "") == [f"there/{name}" for name in names]
    Path("there", names[0]).rename(Path("there", "a\nb\x1b[31m"))
    assert values(command, "") == [f"there/{names[1]}"]  # a shell reads one name a line


@pytest.mark.parametrize("command", ["eval", "inspect"])
def test_runs_or_files(command, runs, place):
    assert offered(command, "x") == [("file", "x")]
    shutil.copytree(runs, "runs")
    assert len(values(command, "ru")) == 2


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_its_script(minigan_, shell):
    code, out, _ = minigan_("completion", shell)
    assert code == 0 and f"{VARIABLE}={shell}_complete" in out.replace("$1", "")


def test_another_shell_is_refused_with_those_there_are(minigan_):
    code, out, err = minigan_("completion", "csh")
    assert code == 2 and out == "" and "'bash', 'zsh', 'fish'" in err


ENVIRON = os.environ | {"PYTHONPATH": str(Path(minigan.__file__).parents[1])}


def test_a_process_answers_the_script():
    environ = ENVIRON | {VARIABLE: "bash_complete", "COMP_WORDS": "minigan train ga", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "minigan"], env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines() == [f"plain,{name}" for name in PRESETS if name.startswith("ga")]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes(place):
    """The script is sourced, and its function called as readline calls it."""
    program = place / "minigan"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m minigan "$@"\n')
    program.chmod(0o755)
    script = (
        f'PATH="{place}:$PATH"; eval "$(minigan completion bash)"; '
        "COMP_WORDS=(minigan train ri); COMP_CWORD=2; _minigan_completion minigan; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=ENVIRON, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == [name for name in PRESETS if name.startswith("ri")], done.stderr
