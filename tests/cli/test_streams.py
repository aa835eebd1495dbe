"""What a stream cannot show has a plain form; stderr may be lost without an effect, stdout never with a 0."""

import ast
import errno
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import minigan
from minigan import cli
from minigan._interrupt import attend, is_command
from minigan.cli import streams
from minigan.cli.streams import PLAIN, ShownStream, plain
from minigan.training.signals import STOPPING, handled

ENCODINGS = ("latin1", "cp437", "ascii", "shift_jis")
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
PACKAGE = Path(minigan.__file__).parent
ENVIRON = {key: value for key, value in os.environ.items() if not key.startswith("MINIGAN_")} | {
    "PYTHONPATH": str(PACKAGE.parent), "PYTHONWARNINGS": "error",
}  # fmt: skip


class Broken(io.StringIO):
    """A stream on which nothing can be written."""

    encoding = "utf-8"

    def __init__(self, code, terminal=False):
        super().__init__()
        self.code, self.terminal = code, terminal

    def write(self, text):
        kind = BrokenPipeError if self.code == errno.EPIPE else OSError
        raise kind(self.code, os.strerror(self.code))

    flush = lambda self: self.write("")  # noqa: E731

    def isatty(self):
        return self.terminal


@pytest.fixture
def run(monkeypatch):
    """A function that runs the command line on given streams: exit code, stdout, stderr, as they decode."""

    def run(arguments, encoding="utf-8", out=None, err=None):
        files = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n") for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", files[0] if out is None else out)
            patch.setattr(sys, "stderr", files[1] if err is None else err)
            code = cli.main([str(argument) for argument in arguments])
        for file in files:
            file.flush()
        return code, *(file.buffer.getvalue().decode(encoding) for file in files)

    return run


def status(place):
    (path,) = (place / "runs").iterdir()
    return json.loads((path / "run.json").read_text())["status"]


# ── encodings


def test_every_text_has_a_plain_form(run, place, runs, trained, tiny):
    Path("größe 温.csv").write_text("größe,温\n" + "".join(f"{k % 7},{k % 11}\n" for k in range(60)), "utf-8")
    for arguments in (
        ["train", *tiny, "--data", "größe 温.csv"], ["presets"], ["compare", runs],
        ["eval", "größe 温.csv", "--target", "ring(8, 1, 0.01)"], ["inspect", trained], ["größe"], ["-h"],
    ):  # fmt: skip
        expected = run(arguments)
        for encoding in ENCODINGS:
            code, out, err = run(arguments, encoding)
            assert code == expected[0] and code in (0, 2), (encoding, arguments, err)
            assert len(out.splitlines()) == len(expected[1].splitlines()) and "this is a bug" not in err


@pytest.mark.parametrize("encoding", ["ascii", "cp437"])
def test_json_is_the_same_object_in_every_encoding(run, place, runs, tiny, encoding):
    Path("größe 温.csv").write_text("größe,温\n" + "".join(f"{k % 7},{k % 11}\n" for k in range(60)), "utf-8")
    arguments = ["eval", "größe 温.csv", "--data", "größe 温.csv", "--json"]
    (code, out, _), (_, expected, _) = run(arguments, encoding), run(arguments)
    assert code == 0 and json.loads(out) == json.loads(expected) and "größe" in expected


def test_columns_stay_in_line_where_a_sign_becomes_two(run, files):
    _, out, _ = run(["eval", files / "one.csv", "--target", "normal(0, 1)"], "ascii")
    lines = [line for line in out.splitlines() if line.rstrip().endswith(("within", "outside"))]
    assert any("+- " in line for line in lines)
    assert len({line.index("within") if "within" in line else line.index("outside") for line in lines}) == 1


def test_all_that_the_package_itself_says_is_in_the_table(syntax_trees):
    """Of sentences in its source: what stays as a Python literal would write it are others' names."""
    foreign = {}
    for path, tree in syntax_trees.items():
        if path == Path(streams.__file__):
            continue
        nodes = list(ast.walk(tree))
        texts = {node.value for node in nodes if isinstance(node, ast.Constant) and type(node.value) is str}
        texts -= {ast.get_docstring(node, clean=False) for node in nodes
                  if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))}  # fmt: skip
        for text in filter(lambda text: " " in text and not text.isascii(), texts):
            for character in plain(text, "ascii").split("\\u")[1:] if "\\u" not in text else ():
                foreign.setdefault(character[:4], path.name)
    assert not foreign, "give each a plain form in PLAIN of minigan/cli/streams.py"


@pytest.mark.rows(
    ("text", "encoding", "shown"),
    [
        ("JS ≥ (ln 4 − V)/2", "ascii", "JS >= (ln 4 - V)/2"),
        ("JS ≥ (ln 4 − V)/2", "cp437", "JS ≥ (ln 4 - V)/2"),
        ("10⁻⁶ x² θₖ", "ascii", "10^-6 x^2 theta_k"),
        ("10⁻⁶ x²", "latin1", "10^-6 x²"),
        ("σ(D) … → ½ µs", "latin1", "sigma(D) ... -> ½ µs"),
        ("温 größe \udcff", "latin1", "\\u6e29 größe \\udcff"),
        ("\U0001f600", "cp1252", "\\U0001f600"),
        ("▁▄█ ━╸", "ascii", "_:# --"),
        ("as it is −", "utf-8", "as it is −"),
    ],
)
def test_plain_forms(text, encoding, shown):
    assert plain(text, encoding) == shown
    shown.encode(encoding)


def test_plain_forms_are_ascii():
    assert all(form.isascii() for form in PLAIN.values())


# ── widths


@pytest.mark.parametrize("columns", ["0", "20", "abc"])
def test_what_goes_to_a_file_has_whole_lines(run, place, tiny, monkeypatch, columns):
    """A file has no width, whatever the terminal beside it has."""
    monkeypatch.setenv("COLUMNS", columns)
    Path("t.csv").write_text("a,b\n" + "".join(f"{k % 7},{k % 11}\n" for k in range(60)))
    code, out, err = run(["train", *tiny, "--data", "t.csv"])
    assert code == 0 and "Learning " in err and "perfect sampler" in out
    assert all(line.startswith(("Learning", "When D", "note: ", "step ")) or "steps of 8" in line
               for line in err.splitlines())  # fmt: skip
    rows = [line for line in out.splitlines() if line.rstrip().endswith(("within", "outside"))]
    assert {"mean, a", "sd, b"} <= {row[:7].strip() for row in rows}


def test_a_drawing_library_that_cannot_be_imported_costs_the_figure_alone(monkeypatch):
    from minigan.errors import UnavailableError
    from minigan.front import figures

    def fail(name):
        raise OSError("Matplotlib requires access to a writable cache directory")

    monkeypatch.setattr(figures.importlib, "import_module", fail)
    with pytest.raises(UnavailableError, match="cannot be imported: Matplotlib requires"):
        figures.require_matplotlib()


# ── what is lost


@pytest.mark.parametrize(
    ("code", "terminal"),
    [
        (errno.EPIPE, False),
        (errno.EPIPE, True),
        (errno.ENOSPC, True),
        (errno.EIO, False),
        (errno.EAGAIN, True),
    ],
)
def test_progress_that_nobody_sees_ends_no_run(run, place, tiny, monkeypatch, code, terminal):
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    result, out, _ = run(["train", *tiny], err=Broken(code, terminal))
    assert result == 0 and "perfect sampler" in out and status(place) == "finished"
    (path,) = (place / "runs").iterdir()
    assert "Learning normal" in (path / "log.txt").read_text()  # the log has it all


@pytest.mark.parametrize(
    ("code", "exit_code", "says"),
    [
        (errno.EPIPE, 141, ""),
        (errno.ENOSPC, 8, "No space left on device"),
        (errno.EIO, 8, "cannot be written"),
    ],
)
def test_results_that_cannot_be_written_are_never_0(run, place, tiny, trained, code, exit_code, says):
    for arguments in (
        ["train", *tiny, "-q"],
        ["sample", trained],
        ["compare", trained],
        ["--help"],
        ["schema"],
    ):
        result, _, err = run(arguments, out=Broken(code))
        assert result == exit_code and says in err and err.count("\n") == bool(says), arguments
    assert status(place) == "finished"


def test_an_error_keeps_its_code_where_nobody_reads_it(run):
    assert run(["train", "gausian"], err=Broken(errno.ENOSPC))[0] == 2
    assert run(["eval", "absent.csv", "--target", "N(0, 1)"], err=Broken(errno.EPIPE))[0] == 3


def test_a_broken_pipe_within_the_work_is_no_success(run, monkeypatch):
    def fail(*_, **__):
        raise BrokenPipeError(errno.EPIPE, "a worker has gone")

    monkeypatch.setattr("minigan.sweeps.compare.compare", fail)
    assert run(["compare", "runs"])[0] == 1


def test_a_process_without_streams(run, tiny, place, trained, monkeypatch):
    """As after `2>&-` and `>&-`: Python has None there."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        patch.setattr(sys, "stdout", io.StringIO())
        assert cli.main(["train", *tiny]) == 0 and "perfect sampler" in sys.stdout.getvalue()
        patch.setattr(sys, "stdout", None)
        assert cli.main(["eval", str(trained)]) == 8
        assert cli.main(["sample", str(trained), "-o", "a.csv"]) == 0  # nothing was to be printed
    assert status(place) == "finished"


def test_what_a_pipe_takes_in_parts_comes_whole():
    """An unbuffered stream gives its text to the system as it is, which need not take all of it."""

    class Parts(io.RawIOBase):
        def __init__(self):
            self.taken = b""

        def writable(self):
            return True

        def write(self, data):
            self.taken += bytes(data[:5])
            return min(len(data), 5)

    raw = Parts()
    behind = io.TextIOWrapper(raw, encoding="ascii", write_through=True, newline="\n")
    ShownStream(behind, None).write("eleven − 5\n" * 3)
    assert raw.taken.decode() == ("eleven - 5" + os.linesep) * 3


def test_a_stream_takes_text_alone_and_is_otherwise_what_is_behind_it():
    behind = io.StringIO()
    stream = ShownStream(behind, None)
    assert stream.write("−") == 1 and behind.getvalue() == "−" and not stream.isatty()
    with pytest.raises(TypeError, match="received bytes"):
        stream.write(b"")
    behind.close()
    stream.write("x")  # nobody is there


@POSIX
def test_training_goes_on_when_the_reader_of_all_has_left(place, tiny):
    program = "import sys; sys.modules['matplotlib'] = None; from minigan.cli import main; sys.exit(main())"
    train = f'"{sys.executable}" -c "{program}" train {" ".join(tiny)} 2>&1 | head -n 1'
    shell = ["bash", "-c", f'{train}; echo "${{PIPESTATUS[0]}}"']
    done = subprocess.run(shell, env=ENVIRON, capture_output=True, text=True, timeout=120)
    first, code = done.stdout.splitlines()
    assert (
        first.startswith("Learning") and code == "141" and done.stderr == "" and status(place) == "finished"
    )


# ── Ctrl-C before there is a command


@pytest.mark.rows(
    ("argv", "original", "command"),
    [
        (["-m", "train"], ["python", "-m", "minigan", "train"], True),
        (["-m"], ["python", "-W", "error", "-mminigan"], True),
        (["-m"], ["python", "-Im", "minigan"], True),
        (["-m", "minigan"], ["python", "-m", "pytest", "minigan"], False),
        (["-m", "-m", "minigan"], ["python", "-m", "other", "-m", "minigan"], False),
        (["/usr/bin/minigan", "train"], ["python", "/usr/bin/minigan", "train"], True),
        (["mine.py"], ["python", "mine.py"], False),
        ([""], ["python"], False),
        ([], ["python"], False),
    ],
)
def test_only_the_command_line_minds_ctrl_c_during_its_imports(argv, original, command):
    assert is_command(argv, original) == command


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_imports_is_one_word(tmp_path, number):
    """NumPy is the first import that takes its time: here it takes as long as the test needs."""
    slow = tmp_path / "numpy"
    slow.mkdir()
    (slow / "__init__.py").write_text("import sys, time\nprint('here', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "minigan", "presets"],
        env=ENVIRON | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "here\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (128 + number, "", "stopped\n")


@POSIX
def test_what_is_ignored_or_answered_already_stays_so():
    """As SIGHUP under nohup, and all in a program with handlers of its own."""
    answered = lambda number, frame: None  # noqa: E731
    with handled(answered):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        attend()
        assert [signal.getsignal(number) for number in STOPPING] == [answered, answered, signal.SIG_IGN]
