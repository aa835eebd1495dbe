"""A real browser for the pages that minigan makes: headless Chromium, driven by Selenium."""

import json
import shutil
import time

import pytest


def missing():
    """Why there is no browser here; None where there is one."""
    try:
        import bokeh  # noqa: F401
        import selenium  # noqa: F401
    except ImportError as error:
        return f"pages are tried with the extra ui and selenium; {error.name} is not installed"
    found = [shutil.which(name) for name in ("chromium", "chromedriver")]
    return None if all(found) else "pages are tried in chromium with chromedriver, which are not installed"


class Page:
    """A window of the browser, what its page has asked for, and what its console says."""

    def __init__(self, driver):
        self.driver = driver

    def run(self, script, *arguments):
        return self.driver.execute_script(f"return {script}", *arguments)

    def until(self, script, seconds=60.0):
        """Wait for something to be true; what it was in the end."""
        end = time.monotonic() + seconds
        while not (found := self.run(script)) and time.monotonic() < end:
            time.sleep(0.03)
        assert found, f"{script} after {seconds} s; {self.errors()}"
        return found

    def errors(self):
        return [entry for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self):
        """Addresses that were asked for since the last look."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def offline(self, off=True):
        speed = {"latency": 0, **dict.fromkeys(("downloadThroughput", "uploadThroughput"), -(not off))}
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": off, **speed})

    def prefer(self, look):
        features = [{"name": "prefers-color-scheme", "value": look}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture(scope="session")
def browser():
    """A Page; skipped with the reason where there is no browser."""
    if reason := missing():
        pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    arguments = "headless=new no-sandbox disable-gpu window-size=1440,900 disable-dev-shm-usage"
    arguments += " disable-background-networking disable-component-update no-first-run disable-sync"
    for argument in arguments.split():
        options.add_argument(f"--{argument}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_script_timeout(120.0)  # a page that draws late is none that hangs
    yield Page(driver)
    driver.quit()
