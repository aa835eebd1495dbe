"""graph: a loss as text, as dot, as a picture, and the recorded step."""

import os
import shutil
import sys
from importlib.util import find_spec

import pytest

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.mark.parametrize("player", ["D", "G"])
def test_graph_as_text_and_dot(minigan_, tiny, place, player):
    code, out, err = minigan_("graph", *tiny, "--player", player)
    assert (
        code == 0
        and err == ""
        and "softplus" in out
        and "D.0.W" in out
        and ("x" in out if player == "D" else "G.0.W" in out)
    )
    code, out, err = minigan_("graph", *tiny, "--player", player, "-o", "g.dot")
    assert code == 0 and out == "" and (place / "g.dot").read_text().startswith("digraph")


def test_graph_as_a_program(minigan_, tiny, place):
    code, out, _ = minigan_("graph", *tiny, "--program")
    assert code == 0 and "input0: float32[1, 8, 1]" in out and "matmul" in out and list(place.iterdir()) == []


def test_graph_of_data(minigan_, tiny, files):
    assert minigan_("graph", *tiny, "--set", f"data={files / 'three.csv'}", "--player", "D")[0] == 0


def test_graph_as_a_picture_needs_dot(minigan_, tiny, place, sentence):
    code, out, err = minigan_("graph", *tiny, "-o", "g.pdf")
    if shutil.which("dot"):
        assert code == 0 and (place / "g.pdf").read_bytes().startswith(b"%PDF")
    else:
        assert code == 6 and "apt install graphviz" in sentence(err) and list(place.iterdir()) == []


def test_graph_as_svg_needs_no_graphviz(minigan_, tiny, place, monkeypatch, sentence):
    monkeypatch.setenv("PATH", "")
    code, _, err = minigan_("graph", *tiny, "-o", "g.svg")
    if find_spec("fast_sugiyama"):
        assert code == 0 and ">G.0.W</text>" in (place / "g.svg").read_text()
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    code, _, err = minigan_("graph", *tiny, "-o", "h.svg")
    assert code == 6 and "pip install 'minigan[graph]'" in sentence(err) and not (place / "h.svg").exists()


@POSIX
@pytest.mark.parametrize("works", [True, False])
def test_graph_asks_dot_for_the_picture(minigan_, tiny, place, monkeypatch, works, sentence):
    program = place / "bin" / "dot"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\necho "$1"; cat\n' if works else "#!/bin/sh\necho 'cannot draw' >&2; exit 3\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    code, _, err = minigan_("graph", *tiny, "-o", "g.svg")
    if works:
        assert code == 0 and (place / "g.svg").read_text().startswith("-Tsvg\ndigraph")
    else:
        assert code == 6 and "cannot draw" in sentence(err) and not (place / "g.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["-o", "g.gif"], 2), (["-o", "g.dot", "--program"], 2), (["-o", "absent/g.dot"], 8)],
)
def test_bad_graphs_are_refused(minigan_, tiny, place, arguments, code, sentence):
    got, out, err = minigan_("graph", *tiny, *arguments)
    assert got == code and out == "" and list(place.iterdir()) == []
    sentence(err)


def test_the_graph_of_a_loss_names_its_data(minigan_):
    code, out, _ = minigan_("graph", "--player", "D", "--set", "batch=8")
    assert code == 0 and "matmul(x, D.0.W)" in out
