"""The studio's page in a real browser: each control once, and what it asks for."""

import numpy as np
import pytest

import minigan as mg
from minigan.studio.course import wait_for
from minigan.views.reader import Reader
from tests.browser.hand import BUTTON, LONG, MODEL, Hand

SMALL = {"batch": 32, "steps": 3000, "eval_samples": 500}


@pytest.fixture
def hand(browser):
    with mg.studio("normal(4, 1.25)", **SMALL) as page:
        yield Hand(browser, page)
        browser.driver.get("about:blank")


def test_a_game_is_stepped_played_and_rewound(hand, browser):
    hand.press("round")
    hand.step(1)
    first = hand.picture()
    hand.press("step_d")
    browser.until("document.getElementById('step').innerText.includes(\"G's turn\")")
    hand.press("step_g")
    hand.step(2)
    hand.set("count", "value", 40)
    obeyed = hand.done()
    hand.press("rounds")
    assert obeyed()
    hand.step(42)
    assert hand.picture() != first
    bits = {name: array.tobytes() for name, array in hand.course.latest.arrays.items()}
    hand.set("rewind", "value", [kept.place for kept in hand.course.record].index((1, "D")))
    hand.step(1)
    browser.until(f"{MODEL}('heard').value > 0")
    assert hand.picture() == first, "the very picture of that step"
    obeyed = hand.done()
    hand.press("step_d")
    hand.press("step_g")
    hand.step(2)
    hand.press("rounds")
    hand.step(42)
    assert {name: array.tobytes() for name, array in hand.course.latest.arrays.items()} == bits
    hand.press("play")
    assert wait_for(lambda: hand.course.latest.step > 100)
    hand.press("play")
    assert wait_for(lambda: not hand.course.status.playing)
    hand.press("restart")
    hand.step(0)
    assert browser.errors() == []
    asked = browser.requests()
    assert asked and all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in asked), asked


def test_what_is_inside_is_shown(hand, browser):
    hand.set("count", "value", 120)
    hand.press("rounds")
    hand.step(120)
    hand.open("Curves")
    every = "[...Bokeh.documents[0]._all_models.values()]"
    browser.until(f"{every}.some((m) => m.name === 'rows' && m.data.step.length > 0)")
    hand.open("Networks")
    assert wait_for(lambda: browser.run(f"{MODEL}('array') !== null"))
    hand.set("array", "value", "D 0.W")
    hand.open("Tape")
    browser.until(f"{MODEL}('tape_where')?.text?.includes('0 of')")
    for count in (1, 2, 3):
        hand.press("tape_next")
        browser.until(f"{MODEL}('tape_where')?.text?.startsWith('{count} of')")
    browser.until(f"{MODEL}('tape_detail')?.text?.includes('cotangent')")
    boxes = "[...Bokeh.documents[0]._all_models.values()].find((m) => m.name === 'boxes')"
    browser.run(f"({boxes}.selected.indices = [{boxes}.data.label.indexOf('D.0.W')], 1)")
    browser.until(f"{MODEL}('tape_detail')?.text?.includes('no rule has reached it yet')")
    hand.open("Program")
    browser.until(f"{MODEL}('program_text_1')?.text?.includes('values in')")
    hand.set("program_0", "value", "C, as native runs it")
    browser.until(f"{MODEL}('program_text_0')?.text?.includes('float')")
    assert browser.errors() == []


def test_what_is_learnt_is_drawn_set_and_uploaded(hand, browser, tmp_path):
    hand.open("Target")
    browser.until(f"{MODEL}('learn_points') !== null")
    points = "[...Bokeh.documents[0]._all_models.values()].find((m) => m.name === 'drawn_points')"
    browser.run(f"({points}.data = {{x: [0, 1, 1], y: [0, 0, 1]}}, 1)")
    obeyed = hand.done()
    hand.press("learn_points")
    assert obeyed() and hand.course._experiment.features == 2
    obeyed = hand.done()
    hand.press("learn_density")
    assert obeyed() and hand.course._experiment.features == 1
    (tmp_path / "own.csv").write_text("a,b\n" + "\n".join(f"{k},{k * k % 7}" for k in range(40)))
    script = BUTTON.replace("'button'", "'input[type=file]'")
    obeyed = hand.done()
    browser.run(script, "upload").send_keys(str(tmp_path / "own.csv"))
    assert obeyed() and hand.course._experiment.names == ("a", "b")
    obeyed = hand.done()
    hand.course.send({"do": "set", "settings": {"data": str(tmp_path / "own.csv")}})
    assert obeyed()
    browser.until("document.getElementById('message').innerText.includes('opens no files')")
    hand.open("Settings")
    browser.until(f"{MODEL}('set generator_optimizer.rate') !== null")
    obeyed = hand.done()
    hand.set("set generator_optimizer.rate", "value", "0.02")
    assert obeyed() and hand.course.config.generator_optimizer.rate == 0.02
    assert browser.errors() == []


def test_figures_that_were_replaced_are_forgotten(hand, browser):
    hand.drawn("Distributions")
    browser.run("""(() => {
      window.begun = window.ended = 0;
      for (const [name, count] of [['addEventListener', 'begun'], ['removeEventListener', 'ended']]) {
        VisualViewport.prototype[name] = function (...given) {
          window[count] += 1;
          return EventTarget.prototype[name].apply(this, given);
        };
      }
      return 1 })()""")
    hand.press("restart")
    assert wait_for(lambda: browser.run("window.begun === window.ended && window.begun > 0"), LONG)


def test_the_class_that_is_chosen_is_shown(browser):
    with mg.studio(preset="two-classes", batch=32, steps=3000, eval_samples=500) as page:
        hand = Hand(browser, page)
        hand.drawn("Distributions")
        assert len(hand.read("class", "options")) == 2
        hand.set("class", "value", "1")
        browser.until("document.getElementById('about').innerText.includes('class 1 of')")
        hand.drawn("Distributions")
        second = Reader(hand.course.config, hand.course.data)
        second.choose(1)
        p = second.frame(hand.course.latest).line.p
        assert np.allclose(hand.column("target", "p"), p, rtol=1e-5)
        hand.press("round")
        hand.step(1)
        hand.drawn("Distributions")
        assert hand.read("class", "value") == "1", "a new frame leaves the choice as it is"
        assert browser.errors() == []
        browser.driver.get("about:blank")
