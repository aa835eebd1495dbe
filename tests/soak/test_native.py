"""Random games as native code: the short form of bench/soak/native.py, and that it finds what is planted."""

import shutil

import pytest

from bench.soak import native
from minigan.compiler import expressions

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="needs a C compiler for native code"
)


def test_random_games_have_the_numbers_of_the_eager_engine():
    found = native.measure(1, sanitize=False)
    assert found["run"] == {"native": 1} and not any(found["failures"].values()), found["examples"]
    assert found["worst"] < 1e-12


def test_a_planted_fault_is_found(monkeypatch):
    monkeypatch.setitem(expressions.EXPRESSION, "subtract", "{} - {} * (T)1.0000001")
    assert native.measure(1, sanitize=False)["failures"]["refused by its own check"] == 1


def test_states_that_differ_are_apart():
    import numpy as np

    one = {"a": np.array([1.0, np.nan]), "b": np.zeros(2)}
    assert native.apart(one, one) == 0.0
    assert native.apart({**one, "a": np.array([1.0, 2.0])}, one) == np.inf
    assert native.apart({**one, "b": np.array([0.0, 1e-3])}, one) == 1.0
