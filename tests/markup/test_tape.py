"""What a notebook shows of a tensor: its lines, and an arc from each tensor to what was made of it."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import minigan as mg
from minigan.engine.show import as_text, history
from minigan.markup import tape

SVG = "{http://www.w3.org/2000/svg}"


def picture(t):
    html = t._repr_html_()
    return ElementTree.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])


@pytest.fixture
def loss():
    x = mg.variable(np.ones((3, 2)))
    return mg.mean(mg.tanh(x @ mg.constant(np.ones((2, 1)))) * x.sum(axis=1))


def test_every_tensor_has_a_line_and_every_use_an_arc(loss):
    drawn = picture(loss)
    assert [text.text for text in drawn.iter(f"{SVG}text")] == as_text(loss).splitlines()
    uses = {(x, t) for t in history(loss) if t.call for x in t.call.inputs if isinstance(x, mg.Tensor)}
    arcs = [path.get("d") for path in drawn.iter(f"{SVG}path") if path.get("fill") == "none"]
    assert len(arcs) == len(set(arcs)) == len(uses) > 5
    for d in arcs:
        x0, y0, *bends, x1, y1 = map(float, re.findall(r"[\d.]+", d))
        assert 0 < min(bends[::2]) < x0 == x1 and y0 < y1 <= float(drawn.get("height"))


def test_a_tensor_shows_type_and_values_and_is_as_wide_as_needed():
    t = mg.variable([[1.5, -2.0]])
    html = t._repr_html_()
    assert "Tensor float32[1, 2], a variable" in html and "[[ 1.5, -2. ]]" in html and "<svg" not in html
    assert "made by negative" in (-t)._repr_html_()
    assert len(mg.constant(np.zeros((300, 300)))._repr_html_()) < 2000


def test_a_long_history_shows_its_newest_part():
    y = x = mg.variable([1.0])
    for _ in range(500):
        y = y + x
    texts = [text.text for text in picture(y).iter(f"{SVG}text")]
    assert len(texts) == tape.SHOWN + 1 and texts[0] == f"… {501 - tape.SHOWN} older tensors"


def test_while_capturing_a_value_is_not_read():
    with pytest.raises(mg.CaptureError):
        mg.capture(lambda x: (x * 2)._repr_html_() and x, mg.constant([1.0]))
