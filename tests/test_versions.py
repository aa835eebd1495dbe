"""Versions that are said in more than one place are the same: setup.py, noxfile.py, .ci/run, the hooks."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FLOOR = PROJECT["project"]["requires-python"].removeprefix(">=")


def read(name):
    return (ROOT / name).read_text()


def lowest():
    """What .ci/lowest.py prints."""
    script = [sys.executable, str(ROOT / ".ci" / "lowest.py")]
    run = subprocess.run(script, capture_output=True, text=True, check=True, timeout=120)
    return run.stdout.split()


def test_the_lowest_versions_are_setup_pys():
    """All bounds of setup.py but those of CuPy, whose versions are a range, and of what tests do without."""
    without = r"^(dev|tensorboard|native|browser|dist) = [^\n]*|^(docs|ui) = \[.*?^\]"
    text = re.sub(without, "", read("setup.py"), flags=re.MULTILINE | re.DOTALL)
    bounds = re.findall(r'"([\w.-]+(?:\[\w+\])?)>=([\w.]+)"', text)
    pins = [tuple(pin.split("==")) for pin in lowest()]
    assert sorted(pins) == sorted(bounds)
    assert {("numpy", "2.2"), ("dask[distributed]", "2025.1")} <= {*pins}


@pytest.mark.rows("text", ["numpy", "numpy==2.0", "numpy<3", "numpy>2"])
def test_a_requirement_without_a_lower_bound_is_refused(text):
    space = {"__file__": str(ROOT / ".ci" / "lowest.py"), "__name__": "lowest"}
    exec(compile(read(".ci/lowest.py"), "lowest.py", "exec"), space)
    assert space["pin"]("cupy-cuda12x[ctk]>=14,<15") == "cupy-cuda12x[ctk]==14"
    with pytest.raises(ValueError, match="no lower bound"):
        space["pin"](text)


def test_sessions_run_the_lowest_and_the_newest_python():
    """The lowest is the one that the package and mypy name, the newest that of continuous integration."""
    pythons = dict(re.findall(r'@nox\.session\(python="([\d.]+)"\)\ndef (\w+)', read("noxfile.py")))
    (newest,) = re.findall(r"^NEWEST=([\d.]+)$", read(".ci/run"), re.MULTILINE)
    assert (
        pythons == {FLOOR: "lowest", newest: "newest"} and PROJECT["tool"]["mypy"]["python_version"] == FLOOR
    )


def test_hooks_and_sessions_run_the_linters_of_make_lint():
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)[1]
    linters = [line.removeprefix("\t$(BIN)/").removesuffix(" .") for line in recipe.splitlines()]
    hooks = re.findall(r"entry: (.*)", read(".pre-commit-config.yaml"))
    sessions = re.search(r"^def lint\(.*?^@", read("noxfile.py"), re.MULTILINE | re.DOTALL)[0]
    runs = [
        " ".join(re.findall(r'"(.+?)"', words)) for words in re.findall(r"session\.run\((.*)\)", sessions)
    ]
    assert linters == [hook.removesuffix(" --force-exclude") for hook in hooks]
    assert linters == [words.removesuffix(" .") for words in runs]


def test_the_newest_numpy_is_run_where_there_is_its_python():
    """.ci/run looks on PATH and among pyenv's versions, and asks what it finds: a shim may not run."""
    text = read(".ci/run")
    (body,) = re.findall(r"^find_python\(\).*?^}", text, re.MULTILINE | re.DOTALL)
    own = "{}.{}".format(*sys.version_info)

    def find(version, path):
        command = ["bash", "-ec", f"{body}\nfind_python {version}"]
        environment = {"PATH": path, "HOME": "/nowhere"}
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
        return run.stdout.strip()

    assert find("9.99", "/usr/bin:/bin") == ""
    assert find(own, f"{Path(sys.executable).parent}:/usr/bin:/bin") == f"python{own}"
