"""The files of these tests lie in memory where that is possible: none of them tests the disk itself."""

import multiprocessing.util
import os
import shutil
import tempfile
from pathlib import Path

import pytest

MEMORY, ENOUGH = Path("/dev/shm"), 2**30  # bytes


class _Folders:
    """What the tests ask of pytest's factory of folders."""

    def __init__(self, root):
        self._root = root

    def getbasetemp(self):
        return self._root

    def mktemp(self, name):
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._root))


@pytest.fixture(scope="package", autouse=True)
def in_memory():
    """The root of all that the tests write; also of their processes and of ``tempfile``."""
    multiprocessing.util.get_temp_dir()  # which lasts longer, so it is elsewhere
    there = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH
    with tempfile.TemporaryDirectory(prefix="minigan-", dir=MEMORY if there else None) as root:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", root)
            patch.setattr(tempfile, "tempdir", root)
            yield Path(root)


@pytest.fixture(scope="package")
def tmp_path_factory(in_memory):
    """As pytest's."""
    return _Folders(in_memory)


@pytest.fixture
def tmp_path(tmp_path_factory):
    """As pytest's, and removed after the test."""
    path = tmp_path_factory.mktemp("test")
    yield path
    shutil.rmtree(path, ignore_errors=True)
