"""A tensor's history as text and as DOT."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from minigan.engine import primitives as P
from minigan.engine.autodiff import grad
from minigan.engine.show import as_dot, as_text, history
from minigan.engine.tensor import constant, variable


@pytest.fixture
def example(backend):
    x = variable(backend.array(np.ones((3, 2))))
    w = constant(backend.array(np.ones((2, 1))))
    return x, w, P.mean(P.tanh(x @ w) * 2.0)


def test_text_is_one_line_per_tensor_oldest_first(example):
    x, w, y = example
    assert as_text(y, {"x": x, "w": w}).splitlines() == [
        "w: float64[2, 1] = constant",
        "x: float64[3, 2] = variable",
        "%0: float64[3, 1] = matmul(x, w)",
        "%1: float64[3, 1] = tanh(%0)",
        "%2: float64[3, 1] = multiply(%1, 2.0)",
        "%3: float64[1, 1] = sum(%2, axis=(-2, -1))",
        f"%4: float64[1, 1] = multiply(%3, {1 / 3!r})",
    ]


def test_without_names_every_tensor_has_a_number(example):
    lines = as_text(example[2]).splitlines()
    assert [line.split(":")[0] for line in lines] == [f"%{k}" for k in range(7)]


def test_every_name_is_defined_before_it_is_used(example):
    x, _, y = example
    (g,) = grad(y, [x], create_graph=True)
    defined = set()
    for line in as_text(P.sum_over(P.square(g), axis=(0, 1))).splitlines():
        name, rest = line.split(":", 1)
        assert set(re.findall(r"%\d+", rest)) <= defined
        assert name not in defined
        defined.add(name)


def test_the_order_is_reproducible(backend):
    """Constants have no age: their order is that of their use, not of their addresses."""

    alive = []

    def text():
        total = variable(backend.array([1.0]))
        for k in range(20):
            total = total * constant(backend.array(np.ones((1,) * (1 + k % 5))))
        alive.append(total)  # so that every run lies elsewhere in memory
        return as_text(total)

    assert len({text() for _ in range(5)}) == 1


def test_history_has_each_tensor_once(backend):
    x = variable(backend.array([1.0]))
    y = x
    for _ in range(40):
        y = y + y
    assert len(history(y)) == 41 and history(y)[0] is x and history(y)[-1] is y


def test_history_of_a_long_chain_does_not_recurse(backend):
    y = variable(backend.array([1.0]))
    for _ in range(5_000):
        y = y + 1.0
    assert len(as_text(y).splitlines()) == 5_001


def test_a_lone_tensor(backend):
    assert as_text(constant(backend.array([1.0]))) == "%0: float64[1] = constant"
    assert as_text(variable(backend.array(np.float32(1.0)))) == "%0: float32[] = variable"


def check_dot(dot):
    """Balanced quotes and brackets, every edge between declared nodes."""
    assert dot.startswith("digraph history {\n") and dot.endswith("\n}")
    nodes = set()
    for line in dot.splitlines()[2:-1]:
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "§", line)
        assert '"' not in bare
        edge = re.fullmatch(r"\s*(\w+) -> (\w+);", bare)
        if edge:
            assert set(edge.groups()) <= nodes
        else:
            node = re.fullmatch(r"\s*(\w+) \[\w+=(\w+|§)(, \w+=(\w+|§))*\];", bare)
            assert node, line
            nodes.add(node.group(1))
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=dot.encode(), check=True, capture_output=True, timeout=60)
    return nodes


def test_dot_is_well_formed_and_has_the_nodes_and_edges(example):
    x, w, y = example
    dot = as_dot(y, {"x": x, "w": w})
    assert len(check_dot(dot)) == 7 + 2  # seven tensors, two literals
    assert dot.count("->") == 2 + 1 + 2 + 1 + 2
    assert (
        'label="matmul\\n%0\\nfloat64[3, 1]"' in dot
        and 'label="x\\nfloat64[3, 2]"' in dot
        and 'label="2.0"' in dot
    )


@pytest.mark.rows("name", ['a "quoted" name', "a<b>", "{curly}", "back\\slash", "ends with \\", "Größe σ"])
def test_dot_survives_any_name(example, name):
    x, _, y = example
    assert len(check_dot(as_dot(y, {name: x}))) == 9


def test_dot_of_a_second_order_graph(example):
    x, _, y = example
    (g,) = grad(y, [x], create_graph=True)
    check_dot(as_dot(P.sum_over(P.square(g), axis=(0, 1))))


@pytest.mark.skipif(
    shutil.which("dot") is None, reason="Graphviz is not installed; the form is checked without it"
)
def test_graphviz_reads_it(example):
    svg = subprocess.run(
        ["dot", "-Tsvg"], input=as_dot(example[2]).encode(), check=True, capture_output=True, timeout=60
    )
    assert b"matmul" in svg.stdout
