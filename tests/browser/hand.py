"""Who uses a page of the studio in the browser, and what they look at."""

import base64
from pathlib import Path

import numpy as np

from minigan.studio.course import wait_for
from minigan.views.reader import Reader

MODEL = "Bokeh.documents[0].get_model_by_name"
MODELS = "[...Bokeh.documents[0]._all_models.values()]"
BUTTON = """((...arguments_) => {
  const model = Bokeh.documents[0].get_model_by_name(arguments_[0]);
  const within = (views) => {
    for (const view of views) {
      const found = view.model === model ? view : within([...(view.child_views || [])]);
      if (found) return found;
    }
    return null;
  };
  const view = within([...Bokeh.index.roots]);
  return view ? view.shadow_el.querySelector('button') : null })(...arguments)"""
NAMES = ("Distributions", "Curves", "Networks", "Tape", "Program", "Two numbers", "Settings", "Target")
TABS = {name: k for k, name in enumerate(NAMES)}
# Whether the tab that is open is built, has been read, and is drawn.
READING = "(m) => typeof m.text === 'string' && m.text.includes('reading …')"
DRAWN = f"""((tab, tabs) => tabs.active === tab && tabs.tabs[tab].child.children.length > 0
  && ![...tabs.tabs[tab].child.references()].some({READING})
  && {MODEL}('heard').value === String({MODELS}.find((m) => m.name === 'clock').data.n[0])
  && Bokeh.documents[0].is_idle)(arguments[0], {MODEL}('tabs'))"""
FAULTS = Path(__file__).with_name("faults.js").read_text(encoding="utf-8")
LONG = 60.0  # s, on a machine that does much else


class Hand:
    """A browser on a page, and the game behind it."""

    def __init__(self, browser, page, look="light", size=(1440, 900)):
        self.browser, self.course, self.size = browser, page._opened.course, size
        browser.offline(False)
        browser.errors()
        browser.requests()
        self.resize(size[1])
        browser.driver.get(f"{page.url}?look={look}")
        browser.until(
            "window.Bokeh !== undefined && Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle"
        )
        browser.until(f"Number({MODEL}('heard').value) > 0")  # it has answered: who it is told to is there

    def resize(self, height):
        """Make the window so high; Chromium itself has none narrower than 500 pixels."""
        metrics = {"width": self.size[0], "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def press(self, name):
        self.browser.run(f"({BUTTON}.click(), 1)", name)  # a label that changes makes another button

    def set(self, name, key, value):
        self.browser.run(f"({MODEL}(arguments[0])[arguments[1]] = arguments[2], 1)", name, key, value)

    def read(self, name, key):
        return self.browser.run(f"{MODEL}(arguments[0])[arguments[1]]", name, key)

    def column(self, source, name):
        found = f"{MODELS}.find((m) => m.name === arguments[0])"
        return self.browser.run(f"Array.from({found}.data[arguments[1]])", source, name)

    def picture(self):
        """The generated density as the browser has it, once it is that of the newest step."""

        def there():
            return np.allclose(self.column("densities", "q"), newest.line.q, rtol=1e-5, atol=1e-9)

        newest = Reader(self.course.config, self.course.data).frame(self.course.latest)

        assert wait_for(there)
        return self.column("densities", "q")

    def step(self, number):
        self.browser.until(f"document.getElementById('step').innerText.startsWith('step {number:,} ')", LONG)

    def open(self, title):
        self.set("tabs", "active", TABS[title])

    def forget(self):
        """Have the browser forget models that were replaced, whose names others have now."""
        self.browser.run("(Bokeh.documents[0].freeze_all_models(() => {}), 1)")

    def drawn(self, title):
        """Wait until this tab is drawn as it is to be."""
        wait_for(lambda: self.browser.run(DRAWN, TABS[title]), LONG)
        self.forget()
        self.browser.driver.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )
        assert wait_for(lambda: self.browser.run(DRAWN, TABS[title]), LONG), title

    def done(self, number=1):
        """What waits until so many commands more were obeyed."""
        before = self.course.obeyed
        return lambda: wait_for(lambda: self.course.obeyed >= before + number)

    def still(self):
        """Whether the game has stopped within some time."""
        return wait_for(lambda: not self.course.status.playing, LONG)

    def faults(self):
        """What lies beyond the window, on something else, or is cut, and stays so.

        Bokeh may draw texts in one turn and place them in a later one, on a busy machine visibly.
        """
        found = []

        def none():
            found[:] = self.browser.driver.execute_script(FAULTS)
            return not found

        wait_for(none, 5.0)
        return found

    def keep(self, path):
        """Keep what the window shows, and below it what can be scrolled to."""
        driver = self.browser.driver
        self.resize(max(self.size[1], self.browser.run("document.scrollingElement.scrollHeight")))
        driver.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 250))")
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
        path.write_bytes(base64.b64decode(shot))
        self.resize(self.size[1])
