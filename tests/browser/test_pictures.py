"""The pictures of the studio in docs/studio: taken here, and those that are shown held against them.

make pictures keeps what is taken: python -m pytest tests/browser/test_pictures.py with PICTURES=keep. A page
that looks otherwise than its picture, by other panels, another size or the other look, fails.
"""

import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan.studio.course import wait_for

KEPT = Path(__file__).parents[2] / "docs" / "studio"
KEEP = os.environ.get("PICTURES") == "keep"
MODEL = "Bokeh.documents[0].get_model_by_name"
CLOCK = "[...Bokeh.documents[0]._all_models.values()].find((m) => m.name === 'clock')"
MEASURED = """((rows) => rows ? Array.from(rows.data.step).at(-1) : null)(
  [...Bokeh.documents[0]._all_models.values()].find((model) => model.name === 'rows'))"""
PENDING = f"""((tabs) => [...tabs.tabs[tabs.active].child.references()].some(
  (model) => typeof model.text === 'string' && model.text.includes('reading …')))({MODEL}('tabs'))"""
TABS = ("Distributions", "Curves", "Networks", "Tape", "Program", "Two numbers", "Settings", "Target")
GAMES = {  # what is opened, the rounds that are played, and {picture: tab}
    "mixture": (
        {"target": "0.3*normal(-1, 0.5) + 0.7*laplace(2, 1)"},
        1500,
        {
            "distributions": "Distributions", "curves": "Curves", "networks": "Networks", "tape": "Tape",
            "program": "Program", "settings": "Settings", "target": "Target", "phone": "Distributions",
        },
    ),
    "plane": ({"preset": "ring8", "eval_samples": 2000}, 1200, {"plane": "Distributions"}),
    "two numbers": ({"preset": "dirac-gan"}, 600, {"two-numbers": "Two numbers"}),
}  # fmt: skip
PAUSES, LONG = 12, 120.0  # LONG: s, on a machine that does much else
SIZES = {"phone": (390, 844)}
SIZE = (1280, 860)
NEAR = 12.0  # of 255: how far a coarse view of a page is from its picture, where fonts and timings differ
LABELLED = """((label) => {
  const within = (root) => {
    for (const element of root.querySelectorAll('*')) {
      if (element.tagName === 'BUTTON' && element.textContent.startsWith(label)) return element;
      const found = element.shadowRoot && within(element.shadowRoot);
      if (found) return found;
    }
    return null;
  };
  return within(document) })(arguments[0])"""


def heard(browser):
    """How much of what was sent the page has drawn."""
    return int(browser.run(f"{MODEL}('heard').value"))


def settle(browser):
    """Wait until what was sent is drawn, twice over, since drawing may change sizes."""
    for _ in range(2):
        browser.until(
            f"{MODEL}('heard').value === String({CLOCK}.data.n[0]) && Bokeh.documents[0].is_idle", LONG
        )
        browser.driver.execute_async_script(
            "const end = () => setTimeout(arguments[0], 150);"
            "requestAnimationFrame(() => requestAnimationFrame(end))"
        )


def play(browser, course, rounds):
    """Go on to this step, with pauses in which what is measured is, and drawn."""
    part = rounds // PAUSES
    for end in range(course.latest.step + part, rounds + 1, part):
        assert course.send({"do": "rounds", "count": part}) is None
        assert wait_for(lambda end=end: course.latest.place == (end, "D"), LONG)
        browser.until(f"document.getElementById('step').innerText.startsWith('step {end:,} ')", LONG)
        wait_for(lambda end=end: browser.run(MEASURED) in (None, end), 10.0)


def open_tab(browser, tab):
    """Turn to a tab, and of the tape, whose backward pass is shown rule by rule, to its fifth rule."""
    before = heard(browser)
    browser.run(f"({MODEL}('tabs').active = arguments[0], 1)", TABS.index(tab))
    assert wait_for(lambda: heard(browser) > before, LONG)
    browser.until(f"!{PENDING}", LONG)
    if tab == "Program":
        browser.until(f"{MODEL}('program_text_1')?.text?.includes('values in')", LONG)
    if tab == "Tape":
        browser.until(f"{MODEL}('tape_where')?.text?.includes(' of')", LONG)
        while not browser.run(f"{MODEL}('tape_where').text.startsWith('5 of')"):
            said = browser.run(f"{MODEL}('tape_where').text")
            browser.run(f"({LABELLED}.click(), 1)", "next rule")
            browser.until(f"{MODEL}('tape_where').text !== {said!r}", LONG)
    settle(browser)


def taken(browser, size):
    """What a window of this size shows, as an image of few colours."""
    from PIL import Image

    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    settle(browser)
    shot = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
    image = Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB")
    return image.quantize(128, dither=Image.Dither.NONE)


def coarse(image):
    """A picture in 40 × 30 greys."""
    return np.asarray(image.convert("L").resize((40, 30)), dtype=float)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("game", GAMES)
def test_the_pictures_of_the_studio_are_what_it_shows(browser, game):
    from PIL import Image

    given, rounds, pictures = GAMES[game]
    stale = []
    with mg.studio(given.get("target"), **{k: v for k, v in given.items() if k != "target"}) as page:
        browser.offline(False)
        for look in ("light", "dark"):
            browser.driver.get(f"{page.url}?look={look}")
            browser.until("window.Bokeh !== undefined && Bokeh.documents.length > 0", LONG)
            browser.until(f"Number({MODEL}('heard')?.value) > 0", LONG)
            play(browser, page._opened.course, rounds)
            for name, tab in pictures.items():
                open_tab(browser, tab)
                image = taken(browser, SIZES.get(name, SIZE))
                path = KEPT / f"{name}{'-dark' * (look == 'dark')}.png"
                if KEEP:
                    path.parent.mkdir(exist_ok=True)
                    image.save(path, optimize=True)
                with Image.open(path) as shown:
                    if shown.size != image.size or abs(coarse(shown) - coarse(image)).mean() > NEAR:
                        stale.append(path.name)
                assert (coarse(image).mean() < 128) == (look == "dark"), path.name
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        assert browser.errors() == []
        browser.driver.get("about:blank")
    assert not stale, f"{', '.join(stale)} in docs/studio: run make pictures, and look at them"
