"""A history laid out in layers."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import minigan as mg
from minigan.errors import UnavailableError
from minigan.markup.layered import history_as_picture, place

GRAPHS = {
    "nothing": ([], [0]),
    "a chain": ([(0, 1), (1, 2)], range(3)),
    "a diamond with a long side": ([(0, 1), (1, 2), (2, 3), (0, 3), (0, 2)], range(4)),
    "an input used twice": ([(0, 1), (0, 1), (1, 2)], range(3)),
    "two parts and a lone node": ([(0, 1), (2, 3), (3, 4), (2, 4)], range(6)),
    "numbers in another order": ([(7, 3), (3, 0), (7, 0)], (0, 3, 7)),
}


@pytest.fixture
def layout():
    pytest.importorskip("fast_sugiyama", reason="the extra `graph` is not installed")


@pytest.mark.parametrize("name", GRAPHS)
def test_every_edge_goes_forward_and_no_two_nodes_share_a_place(name, layout):
    edges, nodes = GRAPHS[name]
    found = place(edges, nodes)
    assert set(found.nodes) == set(nodes) and len(set(found.nodes.values())) == len(found.nodes)
    assert len(found.routes) == len(edges)
    for (a, b), route in zip(edges, found.routes, strict=True):
        assert route[0] == found.nodes[a] and route[-1] == found.nodes[b]
        assert [layer for layer, _ in route] == list(range(found.nodes[a][0], found.nodes[b][0] + 1))
    rows = [row for _, row in found.nodes.values()]
    assert min(rows) >= 0 and min(layer for layer, _ in found.nodes.values()) == 0


def test_a_picture_is_xml_with_a_box_for_each_tensor_whatever_it_is_called(layout):
    x = mg.variable(np.ones((3, 2)))
    y = mg.mean(mg.square(x) * 0.25)
    drawn = history_as_picture(y, {'<b> & "q" ' + "long" * 20: x})
    root = ElementTree.fromstring(drawn)
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[::2][1:3] == ["square", "multiply 0.25"] and texts[0].startswith('<b> & "q" long')
    assert len(texts[0]) == 34 and texts[1] == "float64[3, 2]"
    assert drawn == history_as_picture(y, {'<b> & "q" ' + "long" * 20: x})
    assert "constant" in history_as_picture(mg.constant([1.0]))


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    with pytest.raises(UnavailableError, match=r"pip install 'minigan\[graph\]'"):
        place([(0, 1)])
