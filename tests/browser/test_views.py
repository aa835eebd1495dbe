"""Every tab of the studio, in both looks and in windows of several sizes: nothing is beyond them, or cut.

VIEWS=FOLDER keeps a picture of each, of more games, before, during and after training: to be looked at
(make views). Without it a few are tried, and nothing is kept.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from tests.browser.hand import LONG, MODEL, MODELS, NAMES, Hand

KEPT = Path(os.environ["VIEWS"]) if os.environ.get("VIEWS") else None
WINDOWS = {"light-1440": (1440, 900), "dark-1024": (1024, 768)}
GAMES = {"ring8": 20, "wgan-gp": 20, "dirac-gan": 20}  # and how many rounds of each
if KEPT:
    WINDOWS |= {"dark-1440": (1440, 900), "light-1024": (1024, 768), "light-390": (390, 844)}
    GAMES = {"gaussian": 1500, "mixture": 1500, "ring8": 1500, "wgan-gp": 1500, "dirac-gan": 600,
             "two-classes": 800, "ring8-classes": 800, "one column": 800, "two columns": 800,
             "twelve columns": 400}  # fmt: skip


def opened(game, folder):
    """A studio on it."""
    rng = np.random.default_rng(0)
    tables = {
        "one column": ("velocity in km/s", rng.gamma(3.0, 40.0, (300, 1))),
        "two columns": (
            "petal length (cm),petal width (cm)",
            np.concatenate([rng.normal((1.4, 0.3), 0.1, (60, 2)), rng.normal((4.5, 1.4), 0.4, (90, 2))]),
        ),
        "twelve columns": (
            ",".join(f"a rather long name {k}" for k in range(12)),
            rng.normal(size=(200, 12)) @ rng.normal(size=(12, 12)),
        ),
    }
    if game not in tables:
        return mg.studio(preset=game, eval_samples=500, directory=folder)
    names, rows = tables[game]
    path = folder / f"{game}.csv"
    np.savetxt(path, rows, "%.4f", ",", header=names, comments="")
    return mg.studio(str(path), directory=folder)


def stepped(hand):
    for count in (1, 2, 3):
        hand.press("tape_next")
        hand.browser.until(f"{MODEL}('tape_where').text.startsWith('{count} of')", LONG)


def chosen(hand):
    boxes = f"{MODELS}.find((m) => m.name === 'boxes')"
    hand.browser.run(f"({boxes}.selected.indices = [{boxes}.data.label.length >> 1], 1)")


def of_g(hand):
    hand.set("tape_player", "value", "G")
    hand.browser.until(f"{MODEL}('tape_where').text.startsWith('0 of')", LONG)
    hand.press("tape_last")


def program(left, right):
    def act(hand):
        for side, what in enumerate((left, right)):
            options = hand.read(f"program_{side}", "options")
            last = next(one for one in reversed(options) if one.startswith(what))
            hand.set(f"program_text_{side}", "text", "reading …")
            hand.set(f"program_{side}", "value", last)

    return act


def learnt(hand):
    hand.browser.run(
        f"({MODELS}.find((m) => m.name === 'drawn_points').data = {{x: [0, 1, 1], y: [0, 0, 1]}}, 1)"
    )


def array(hand):
    before = int(hand.read("heard", "value"))
    hand.set("array", "value", "D 0.W")
    hand.browser.until(f"Number({MODEL}('heard').value) > {before}", LONG)
    hand.set("quantity", "value", "gradient")


def other_class(hand):
    if hand.browser.run(f"{MODEL}('class') !== null"):
        hand.set("class", "value", "1")


MOVING = ("Distributions", "Curves", "Networks", "Two numbers")  # tabs that are other at other steps
ACTS = (
    ("Distributions", "another class", other_class),
    ("Networks", "another array", array),
    ("Tape", "a value chosen", chosen),
    ("Tape", "three rules", stepped),
    ("Tape", "G", of_g),
    ("Program", "recorded and the last pass", program("as recorded", "after")),
    ("Program", "CUDA C", program("CUDA C, a kernel", "CUDA C, one kernel")),
    ("Program", "C and times", program("C, as", "time and bytes")),
    ("Target", "drawn", learnt),
)


def looked_at(hand, name, tab, found):
    """Note what is wrong with a tab, and keep its picture."""
    hand.drawn(tab)
    found += [f"{name}, {tab}: {fault}" for fault in hand.faults()]
    if KEPT:
        KEPT.mkdir(parents=True, exist_ok=True)
        hand.keep(KEPT / f"{name}, {tab}.png".replace(" ", "-").replace(",", ""))


def every_tab(hand, name, found, tabs=NAMES):
    for tab in tabs:
        hand.open(tab)
        looked_at(hand, name, tab, found)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("game", GAMES)
def test_every_tab_lies_as_it_should_in_both_looks(browser, game, window, tmp_path):
    name, found = f"{game}, {window}", []
    with opened(game, tmp_path) as page:
        hand = Hand(browser, page, window.partition("-")[0], WINDOWS[window])
        if KEPT:
            every_tab(hand, f"{name}, 0 before", found, MOVING)
            hand.set("speed", "value", "30 a second")
            hand.press("play")
            every_tab(hand, f"{name}, 1 playing", found, MOVING)
            hand.press("play")
            hand.set("speed", "value", "full")
            assert hand.still()
        hand.set("count", "value", GAMES[game])
        obeyed = hand.done()
        hand.press("rounds")
        assert obeyed() and hand.still()
        every_tab(hand, f"{name}, 2 after", found)
        for tab, what, act in ACTS if KEPT else ():
            hand.open(tab)
            hand.drawn(tab)
            act(hand)
            looked_at(hand, f"{name}, 3 {what}", tab, found)
        if KEPT:
            hand.set("rewind", "value", len(hand.course.record) // 2)
            every_tab(hand, f"{name}, 4 rewound", found, MOVING[:1])
        found += [f"{name}: {error}" for error in browser.errors()]
        browser.driver.get("about:blank")
    assert not found, "\n".join(dict.fromkeys(found))
