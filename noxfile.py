"""The suite where make test does not run it: with the newest versions of everything, and with the lowest.

pip install -e '.[dev]'
nox -s newest lowest            # each in an environment of its own, under .nox
nox -s tensorboard              # its logs, read by its own reader
nox -s frames                   # data frames and scikit-learn, with polars and pyarrow as well
nox -s lowest -- tests/engine   # a part of the suite
"""

import nox

nox.options.sessions = ["lint", "tests"]
PARALLEL = ("-n", "logical", "--maxprocesses", "4", "--dist", "worksteal")


def suite(session):
    """The tests given after --, or all."""
    session.run("python", "-m", "pytest", *PARALLEL, *session.posargs)


@nox.session
def lint(session):
    """What .ci/run and pre-commit check: ruff's rules and format, mypy's types."""
    session.install("-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def tests(session):
    """The suite on the Python that runs nox."""
    session.install("-e", ".[test]")
    suite(session)


@nox.session
def frames(session):
    """What reads and makes data frames, with the libraries that are too large for every suite."""
    session.install("-e", ".[test]", "polars", "pyarrow")
    session.run(
        "python",
        "-m",
        "pytest",
        "tests/training/test_frames.py",
        "tests/sklearn",
        "tests/front",
        *session.posargs,
    )


@nox.session
def tensorboard(session):
    """Logs for TensorBoard, read by its own reader."""
    session.install("-e", ".[test,tensorboard]", "tensorboard")
    session.run("python", "-m", "pytest", "tests/front/test_tensorboard.py", *session.posargs)


@nox.session(python="3.13")
def newest(session):
    """The newest Python, and the newest version of every package."""
    session.install("--upgrade", "--upgrade-strategy", "eager", "-e", ".[test]")
    suite(session)


@nox.session(python="3.11")
def lowest(session):
    """The lowest Python, and the lowest versions that setup.py declares."""
    session.install("setuptools")
    pins = session.run("python", ".ci/lowest.py", silent=True)
    session.install(*pins.split())
    session.install("--no-deps", "--no-build-isolation", "-e", ".")
    suite(session)
