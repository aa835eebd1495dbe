"""What all tests share: the backends on which one body runs, and a header that says which ones did."""

import pytest

from minigan import backend as backends

BACKENDS = ("numpy", "strict", "cupy")


def unavailable(name):
    """Why the backend cannot be used here; None if it can."""
    try:
        backends.get(name)
    except backends.BackendError as error:
        return str(error)


def pytest_addoption(parser):
    parser.addoption("--backend", choices=BACKENDS, help="run the tests of the engine on this backend only")


def pytest_configure(config):
    wanted = config.getoption("--backend")
    reason = wanted and unavailable(wanted)
    if reason:  # a skipped test would look like a passed one to whoever asked for this backend
        raise pytest.UsageError(f"--backend {wanted}: {reason}")


def selected(config):
    """{name: reason for skipping, or None} of the backends that this run asks for."""
    wanted = config.getoption("--backend")
    return {name: unavailable(name) for name in ((wanted,) if wanted else BACKENDS)}


def pytest_report_header(config):
    chosen = selected(config)
    running = [name for name, reason in chosen.items() if reason is None]
    skipped = [f"{name} skipped: {reason}" for name, reason in chosen.items() if reason]
    gpu = "yes" if "cupy" in running else "no"
    return [
        f"backends: {', '.join(running)}" + "".join(f" ({s})" for s in skipped),
        f"GPU kernels executed: {gpu}",
    ]


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        # An absent device is named once, in the header and by test_switch, not per test.
        names = [name for name, reason in selected(metafunc.config).items() if reason is None]
        metafunc.parametrize("backend", names, indirect=True)


@pytest.fixture
def backend(request):
    """A backend; the test runs once on each."""
    return backends.get(request.param)
