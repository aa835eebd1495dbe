"""A real terminal, by a pseudo-terminal: a bar and colours where they are wanted, and nowhere else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minigan

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
PROGRAM = """if True:  # what is said one after the other, without the second that a figure takes
    import json, os, sys
    sys.modules["matplotlib"] = None
    from minigan.cli import main
    for environ, arguments in json.loads(sys.argv[1]):
        os.environ.update(environ)
        assert main(arguments) == 0
        print("END", flush=True)
        for name in environ:
            del os.environ[name]
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
QUIETING = ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "PYTHONWARNINGS", "TERM")
ENVIRON = {key: value for key, value in os.environ.items() if key not in QUIETING} | {
    "PYTHONPATH": str(Path(minigan.__file__).parents[1]), "COLUMNS": "160",
}  # fmt: skip
XTERM = {"TERM": "xterm-256color"}
CASES = {  # environment, arguments, whether there is a bar and whether there are colours
    "terminal": (XTERM, (), True, True),
    "NO_COLOR": (XTERM | {"NO_COLOR": "1"}, (), True, False),
    "--no-color": (XTERM, ("--no-color",), True, False),
    "CI": (XTERM | {"CI": "true"}, (), False, False),
    "dumb": ({"TERM": "dumb"}, (), False, False),
}


def on_terminal(commands, place, stderr_too=True):
    """What each of the commands writes to a terminal: stdout, and stderr unless that goes to a file."""
    import pty

    ours, theirs = pty.openpty()
    told = json.dumps([(environ, [str(word) for word in arguments]) for environ, arguments in commands])
    try:
        done = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, told],
            env=ENVIRON,
            cwd=place,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs if stderr_too else subprocess.PIPE,
        )
    finally:
        os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 65536):
            text += part
    except OSError:  # Linux's way to say that the other side was closed
        pass
    finally:
        os.close(ours)
    said = "" if done.stderr is None else done.stderr.read().decode()
    if done.stderr is not None:
        done.stderr.close()
    assert done.wait(120) == 0, text
    screens = text.decode().split("END\r\n")
    assert len(screens) == len(commands) + 1 and screens.pop() == ""
    return screens, said


def test_a_terminal_gets_a_bar_and_colours_unless_told_not_to(place, tiny):
    train = ("train", *tiny, "--set", "eval_every=2")
    commands = [(environ, (*train, *arguments)) for environ, arguments, *_ in CASES.values()]
    screens, _ = on_terminal(commands, place)
    for (name, (*_, bar, colour)), text in zip(CASES.items(), screens, strict=True):
        assert ("6/6" in text and "\x1b[?25l" in text) == bar, name  # and the cursor hides while it moves
        assert bool(COLOUR.search(text)) == colour, name
        assert ("\x1b" in text) == (bar or colour), name
        assert "perfect sampler" in text and "Learning" in text, name
    assert len(list((place / "runs").iterdir())) == len(CASES)


def test_colours_that_are_forced_make_no_bar(place, tiny):
    """FORCE_COLOR says nothing of a cursor that could be moved."""
    _, said = on_terminal([(XTERM | {"FORCE_COLOR": "1"}, ("train", *tiny))], place, stderr_too=False)
    assert "Learning" in said and "step      6" in said and "\x1b[?25l" not in said


def test_nothing_untrusted_is_obeyed_by_a_terminal(place, trained):
    """The codes of a run's own name are shown, not sent."""
    evil = place / "run-\x1b[31m[red]"
    evil.symlink_to(trained)
    screens, _ = on_terminal([(XTERM, (command, evil)) for command in ("compare", "inspect")], place)
    assert "\x1b" not in "".join(screens) and "\\x1b[31m[red]" in screens[0]
