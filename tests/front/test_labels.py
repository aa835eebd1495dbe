"""Conditional runs from Python and on the command line: trained, sampled by class, kept, resumed, refused."""

import numpy as np
import pytest

import minigan as mg
from minigan import cli
from minigan.errors import ConfigError, DataError
from minigan.front.fitting import fit
from minigan.reports.overview import draw_panel
from tests.front.test_fitting import TINY

TWO = "0.5*normal(-3, 0.5) + 0.5*normal(3, 0.5)"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, brief_judge):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def flowers():
    rng, y = np.random.default_rng(0), np.array(["rose", "lily"] * 30)
    return rng.normal(size=(60, 2)) + (y == "rose")[:, None] * [3, 0], y


def test_a_run_by_labels_in_memory(flowers, tmp_path, capsys):
    X, y = flowers
    run = fit(X, y=y, directory=tmp_path / "runs", **TINY)
    assert run.classes == ("lily", "rose") and run.config.label == 2
    rows, told = run.sample(40, seed=3), run.labels(40, seed=3)
    assert rows.shape == (40, 2) and set(told.tolist()) == {"lily", "rose"}
    np.testing.assert_array_equal(run.sample(40, seed=3, condition=told), rows)
    np.testing.assert_array_equal(run.sample(9, seed=3), rows[:9])
    only = run.sample(40, seed=3, condition="rose")
    np.testing.assert_array_equal(only[told == "rose"], rows[told == "rose"])
    np.testing.assert_array_equal(only, run.sample(40, seed=3, condition=np.array("rose")))
    assert run.discriminator(X, condition=y).shape == (60,)
    posterior = run.posterior(X)
    assert posterior.shape == (60, 2) and np.allclose(posterior.sum(axis=1), 1)
    for call, says in (
        (lambda: run.discriminator(X), "say which, by condition"),
        (lambda: run.sample(3, condition="tulip"), "there is no class 'tulip'; did you mean|choose one of"),
        (lambda: run.sample(3, condition=["rose"]), "as many classes are needed, received 1"),
        (lambda: run.sample(1, condition=[["rose"]]), "a class is a text, a number or a truth value"),
        (lambda: run.sample(3, condition=float("nan")), "there is no class nan; choose one of"),
    ):
        with pytest.raises(ConfigError, match=says):
            call()
    # elsewhere, on the command line, and longer
    assert cli.main(["sample", str(run.path), "-n", "40", "--index", "3", "-o", "all.csv"]) == 0
    assert cli.main(["sample", str(run.path), "-n", "40", "--index", "3", "--class", "rose"]) == 0
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert lines[0] == "x0,x1,label" and [line.split(",")[2] for line in lines[1:]] == told.tolist()
    assert capsys.readouterr().out.splitlines()[1] == ",".join(map(repr, only[0].tolist())) + ",rose"
    again = mg.load(run.path)
    np.testing.assert_array_equal(again.sample(40, seed=3), rows)
    judged = again.judge()
    assert judged.as_dict() == run.verdict.as_dict() and judged.sentence == again.verdict.sentence
    assert [part.name for part in again.verdict.classes] == ["lily", "rose"]
    drawn = [run.plot(), again.plot("classes"), draw_panel("class densities", _finished(again))]
    assert None not in drawn
    with pytest.raises(StopAsked) as stopped:
        fit(X, y=y, on_evaluation=stop_at_three, **TINY)
    assert stopped.value.run.step == 3
    np.testing.assert_array_equal(stopped.value.run.resume().sample(9), run.sample(9))
    assert cli.main(["eval", str(run.path), "-n", "100"]) == 0
    assert "rose" in capsys.readouterr().out
    # other labels are other data
    path = run.path / "data.csv"
    path.write_text(path.read_text().replace("rose", "lily", 1))
    with pytest.raises(DataError, match="not those the run was trained on"):
        mg.load(run.path).resume(12)


class StopAsked(Exception):
    """Raised by a callback."""


def stop_at_three(row):
    if row["step"] == 3:
        raise StopAsked


def _finished(run):
    from minigan.reports.finished_run import read_finished_run

    return read_finished_run(run.directory)


def test_a_run_by_components_and_its_classifier(tmp_path):
    run = fit(TWO, label="component", **{**TINY, "steps": 400, "batch": 64, "eval_every": 400})
    x = np.array([-3.0, 3.0])
    p = np.stack([run.density(x, condition=name) for name in run.classes], axis=1)
    np.testing.assert_allclose(run.density(x), p.mean(axis=1))
    np.testing.assert_allclose(run.posterior(x), p / p.sum(axis=1, keepdims=True), rtol=1e-9)
    assert run.posterior(x).argmax(axis=1).tolist() == [0, 1]
    assert [run.cdf([9.0], condition="0"), run.cdf([9.0])] == pytest.approx([1, 1])
    assert [run.plot(name) is None for name in ("class densities", "class D")] == [False, False]
    saved = run.save(tmp_path / "kept")
    np.testing.assert_array_equal(mg.load(saved).sample(5, condition=1), run.sample(5, condition="1"))
    plain = fit("normal(0, 1)", **TINY)
    for call in (lambda: plain.sample(3, condition="0"), plain.labels, lambda: plain.posterior(x)):
        with pytest.raises(ConfigError, match="learned no label"):
            call()
    assert plain.classes == ()


def test_labels_are_of_rows_in_memory(flowers):
    X, y = flowers
    for given, says in (
        (lambda: fit(TWO, y=y), 'label="component"'),
        (lambda: fit({"a": X[:, 0], "k": y}, y=y, label="k"), "leave one out"),
        (lambda: fit({"a": X[:, 0], "k": y}, label="j", **TINY), "no column 'j'"),
    ):
        with pytest.raises((ConfigError, DataError), match=says):
            given()
    run = fit({"a": X[:, 0], "k": y}, label="k", **TINY)
    assert run.names == ("a",) and run.classes == ("lily", "rose")
