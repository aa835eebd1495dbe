"""A real terminal, by a pseudo-terminal: a bar and colours where they are wanted, and nowhere else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minigan

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
PROGRAM = (  # without the second that a figure takes
    "import sys; sys.modules['matplotlib'] = None; from minigan.cli import main; raise SystemExit(main())"
)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
QUIETING = ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "PYTHONWARNINGS")
ENVIRON = {key: value for key, value in os.environ.items() if key not in QUIETING} | {
    "PYTHONPATH": str(Path(minigan.__file__).parents[1]), "TERM": "xterm-256color", "COLUMNS": "160",
}  # fmt: skip


def on_terminal(*arguments, environ=(), stderr_too=True):
    """What the command line writes to a terminal: its stdout, and its stderr unless that goes to a file."""
    import pty

    ours, theirs = pty.openpty()
    try:
        done = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            env=ENVIRON | dict(environ),
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
    return text.decode(), said


@pytest.mark.parametrize(
    ("environ", "arguments", "bar", "colour"),
    [
        ({}, (), True, True),
        ({"NO_COLOR": "1"}, (), True, False),
        ({}, ("--no-color",), True, False),
        ({"CI": "true"}, (), False, False),
        ({"TERM": "dumb"}, (), False, False),
    ],
    ids=["terminal", "NO_COLOR", "--no-color", "CI", "dumb"],
)
def test_a_terminal_gets_a_bar_and_colours_unless_told_not_to(place, tiny, environ, arguments, bar, colour):
    without = ("--set", "eval_every=2")
    text, _ = on_terminal("train", *tiny, *without, *arguments, environ=environ)
    assert ("6/6" in text and "\x1b[?25l" in text) == bar  # and the cursor hides while it moves
    assert bool(COLOUR.search(text)) == colour
    assert ("\x1b" in text) == (bar or colour)
    assert "perfect sampler" in text and "Learning" in text
    assert list((place / "runs").iterdir())


def test_colours_that_are_forced_make_no_bar(place, tiny):
    """FORCE_COLOR says nothing of a cursor that could be moved."""
    _, said = on_terminal("train", *tiny, environ={"FORCE_COLOR": "1"}, stderr_too=False)
    assert "Learning" in said and "step      6" in said and "\x1b[?25l" not in said


def test_nothing_untrusted_is_obeyed_by_a_terminal(place, trained):
    """The codes of a run's own name are shown, not sent."""
    evil = place / "run-\x1b[31m[red]"
    evil.symlink_to(trained)
    for command in ("compare", "inspect"):
        text, _ = on_terminal(command, evil)
        assert "\x1b" not in text
    assert "\\x1b[31m[red]" in on_terminal("compare", evil)[0]
