"""What an open page costs a game, and how soon it answers: the studio in headless Chromium.

python -m bench.studio [--seconds 8] [--presets gaussian ring8 wgan-gp] [--write]

For each preset the same game is played for so many seconds without a page, with one, and without again, which
is the control. A page answers each frame that it has drawn, so pictures a second are what a person sees. A
click on play or pause is answered when its label has changed.
"""

import argparse
import statistics
import subprocess
import sys
import time

from bench.common import table, write
from bench.startup import compiled

HEADER = ("preset", "rounds a second alone", "with a page", "alone again", "slower by", "pictures a second",
          "click answered, ms", "first paint, s")  # fmt: skip
STEP = "document.getElementById('step').innerText"


def browser():
    """Chromium without a window."""
    import shutil

    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1440,900", "no-first-run"):
        options.add_argument(f"--{argument}")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def until(condition, seconds=30.0):
    """Wait for something to be true; how long it took."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > seconds:
            raise TimeoutError(f"nothing came within {seconds} s")
        time.sleep(0.004)
    return time.perf_counter() - began


def rate(course, seconds):
    """Rounds a second of a game that is played."""
    was = course.obeyed
    course.send({"do": "restart", "seed": 0})
    course.send({"do": "play"})
    until(lambda: course.obeyed >= was + 2)
    time.sleep(0.5)
    began, step = time.perf_counter(), course._experiment.step
    time.sleep(seconds)
    return (course._experiment.step - step) / (time.perf_counter() - began)


def pressed(driver, name):
    """The button of that name on the page."""
    script = """
    const model = Bokeh.documents[0].get_model_by_name(arguments[0]);
    const within = (views) => { for (const view of views) {
      const found = view.model === model ? view : within([...(view.child_views || [])]);
      if (found) return found; } return null };
    within([...Bokeh.index.roots]).shadow_el.querySelector('button').click()"""
    driver.execute_script(script, name)


def first_paint(preset):
    """Seconds from the command to a page that is drawn, in a browser that is open."""
    driver = browser()
    try:
        driver.get("about:blank")
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "minigan", "-q", "studio", preset, "--no-browser"],
            stdout=subprocess.PIPE, text=True, env=compiled() | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            driver.get(process.stdout.readline().strip() + "?look=light")
            until(lambda: driver.execute_script("return !!(window.Bokeh && Bokeh.documents.length)"))
            until(lambda: driver.execute_script(f"return {STEP}.length > 0"))
            return time.perf_counter() - began
        finally:
            process.terminate()
            process.wait(10)
    finally:
        driver.quit()


def measure(preset, seconds):
    """A row of the table."""
    import minigan as mg

    with mg.studio(preset=preset, steps=10**7) as page:
        course = page._opened.course
        alone = rate(course, seconds)
        driver = browser()
        try:
            driver.get(page.url + "?look=light")
            until(lambda: driver.execute_script("return !!(window.Bokeh && Bokeh.documents[0]?.is_idle)"))
            heard = "return Number(Bokeh.documents[0].get_model_by_name('heard').value)"
            course.send({"do": "restart", "seed": 0})
            course.send({"do": "play"})
            first = driver.execute_script(heard)
            until(lambda: driver.execute_script(heard) > first + 3)  # the page draws
            time.sleep(1.0)
            pictures = driver.execute_script(heard)
            began, step = time.perf_counter(), course._experiment.step
            time.sleep(seconds)
            took = time.perf_counter() - began
            beside = (course._experiment.step - step) / took
            shown = (driver.execute_script(heard) - pictures) / took
            answers = []
            for _ in range(15):  # a click while it trains: the page stops at once, and goes on
                was = course.obeyed
                sent = time.perf_counter()
                pressed(driver, "play")
                until(lambda was=was: course.obeyed > was)
                label = "return Bokeh.documents[0].get_model_by_name('play').label.includes('play')"
                want = not course.status.playing
                until(lambda want=want, label=label: driver.execute_script(label) == want)
                answers.append(1e3 * (time.perf_counter() - sent))
        finally:
            driver.quit()
        time.sleep(2.0)  # until the page is forgotten
        again = rate(course, seconds)
    paint = min(first_paint(preset) for _ in range(3))  # the first one compiles Python's modules
    slower = 1 - 2 * beside / (alone + again)
    return {
        "preset": preset, "alone": alone, "page": beside, "again": again, "slower": slower,
        "pictures": shown, "click": statistics.median(answers), "paint": paint,
    }  # fmt: skip


def main(arguments=None):
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--presets", nargs="+", default=["gaussian", "ring8", "wgan-gp"])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    rows = [measure(preset, given.seconds) for preset in given.presets]
    shown = [
        (r["preset"], *(f"{r[key]:.0f}" for key in ("alone", "page", "again")), f"{100 * r['slower']:.1f} %",
         f"{r['pictures']:.1f}", f"{r['click']:.0f}", f"{r['paint']:.2f}")
        for r in rows
    ]  # fmt: skip
    print(table(HEADER, shown))
    if given.write:
        print(write("studio", {"seconds": given.seconds, "rows": rows}))


if __name__ == "__main__":
    main()
