"""What notebooks show of networks, programs, plans, verdicts and runs: whole, escaped, true."""

from html.parser import HTMLParser

import numpy as np
import pytest

import minigan as mg
from minigan.evaluation.verdict import judge
from minigan.markup.html import LINES, code_table, picture, table
from minigan.probability import parse

VOID = {"img", "path", "br"}


class Reader(HTMLParser):
    """Every tag is closed in order; the cells of the tables."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def rows(thing):
    return Reader(thing._repr_html_()).rows


@pytest.fixture
def network():
    return mg.mlp((2, 4, 1), rngs=np.random.default_rng(0))


def test_names_are_escaped_everywhere():
    bad = '<script>alert("x")</script>'
    for text in (table([bad], [[bad]]), code_table([f"%0: {bad} = {bad}"]), picture(bad, bad)):
        assert "<script" not in text and Reader(text)


def test_a_network_is_the_table_of_its_summary(network):
    shown = rows(network)
    assert shown[0] == ["layer", "parameters", "count"] and shown[-1] == ["total", "float32", "17"]
    assert ["".join(row).replace(" ", "") for row in shown] == [
        line.replace(" ", "") for line in network.summary().splitlines()
    ]
    other = network.with_parameters(dict(network.parameters.views))
    assert "Network(" in other._repr_html_()


def test_a_program_and_its_plan_have_a_row_for_each_line(network):
    x, state = mg.constant(np.ones((3, 2), "float32")), [network.parameters.flat]
    program = mg.capture(lambda x: mg.mean(network(x)), x, state=state)
    lines = str(program).splitlines()
    assert rows(program)[1] == ["input0", "float32[3, 2]", ""]
    assert [row[0] for row in rows(program)[1:]] == [line.partition(":")[0] for line in lines]
    assert len(rows(program.plan)) == 1 + len(str(program.plan).splitlines())
    assert "lines of NumPy code" in program.plan._repr_html_()
    assert f"{7} lines more" in code_table(["a: b = c"] * (LINES + 7))


def test_a_verdict_is_its_table_and_its_sentence(brief_judge):
    target = parse("normal(0, 1)")
    verdict = judge(np.random.default_rng(0).normal(0.5, 1, 300), target, np.random.default_rng(1))
    shown = rows(verdict)
    assert shown[0][2] == "perfect sampler" and [row[0] for row in shown[1:]][0].startswith("KS")
    assert [row[-1] for row in shown[1:]] == [
        ("within" if row.within else "outside") * row.judges for row in verdict.rows
    ]
    assert "Can be told apart" in verdict._repr_html_() and "Kolmogorov" in verdict._repr_html_()


def test_a_run_shows_its_page_and_verdict_or_how_it_stands(monkeypatch, brief_judge):
    drawn = []
    monkeypatch.setattr("minigan.front.shown._page", lambda run: drawn.append(run) or "<img>")
    run = mg.fit("normal(0, 1)", steps=20, eval_samples=200, eval_every=10, progress=False)
    shown = run._repr_html_()
    assert "finished at step 20 of 20" in shown and drawn == [run] and "this sample" in shown
    monkeypatch.setattr(run._record, "read_status", lambda: {"status": "interrupted"})
    assert [row[0] for row in rows(run)[1:3]] == ["step", "seconds"] and len(drawn) == 1
