"""Reports in a browser without a network: they draw, the slider works, nothing is asked for."""

import numpy as np
import pytest

import minigan as mg

MOST = 5 * 10**6  # bytes of a report of 200 frames
KINDS = {
    "one feature": {"target": "normal(4, 1.25)", "steps": 400, "eval_every": 2},
    "the plane": {"target": "ring(8, 1, 0.01)", "steps": 400, "eval_every": 2},
    "data": {"data": np.random.default_rng(0).normal(size=(60, 3)), "steps": 4, "eval_every": 2},
    "two numbers": {"preset": "dirac-gan", "steps": 40},
    "images": {"target": "galaxies(8)", "steps": 2, "eval_every": 2},
}
SOURCE = dict.fromkeys(KINDS, ("samples", "x"))  # what shows which frame there is
SOURCE |= {"one feature": ("densities", "q"), "two numbers": ("here", "x")}


@pytest.fixture(params=KINDS)
def report(request, browser, tmp_path, briefly, monkeypatch):
    """Its name, the run and the file of its report."""
    from minigan.reports.report import run_as_page

    monkeypatch.setattr("minigan.front.figures.save_overview", lambda run: run.plots / "overview.png")
    given = {"eval_samples": 200, "progress": False, "directory": tmp_path / "run", **KINDS[request.param]}
    with briefly():
        run = mg.fit(given.pop("data", given.pop("target", None)), **given)
    path = tmp_path / "report.html"
    path.write_text(run_as_page(run.directory), encoding="utf-8")
    return request.param, run, path


def column(browser, name, key):
    return browser.run(f"Array.from(Bokeh.documents.at(-1).get_model_by_name('{name}').data['{key}'])")


def move(browser, k):
    browser.run("(document.getElementById('frame').value = arguments[0], "
                "document.getElementById('frame').dispatchEvent(new Event('input')))", k)  # fmt: skip
    browser.until(f"document.documentElement.dataset.frame === '{k}'")


def test_a_report_is_whole_and_its_slider_shows_every_frame(report, browser):
    name, run, path = report
    frames = run._frames()
    count = len(frames.get("step", [0]))
    assert path.stat().st_size <= MOST and (count == 200 or name not in ("one feature", "the plane"))
    browser.offline()
    browser.prefer("light")
    browser.requests()
    browser.driver.get(path.as_uri())
    browser.until("document.documentElement.dataset.frame !== undefined")
    assert browser.run("document.getElementById('frame').max") == str(count - 1)
    seen = []
    for k in sorted({0, count // 2, count - 1}):
        move(browser, k)
        seen.append(column(browser, *SOURCE[name]))
        if name == "one feature":
            assert np.allclose(seen[-1], np.minimum(frames["q"][k], max(seen[-1])), rtol=1e-5)
        elif "cloud" in frames:
            assert np.allclose(seen[-1], frames["cloud"][k][:, 0], rtol=1e-4, atol=1e-4)
        step = frames["step"][k] if "step" in frames else run.step
        assert browser.run("document.getElementById('frame-label').textContent").startswith(f"step {step:n}")
    assert len(set(map(tuple, seen))) == len(seen)
    browser.run("document.getElementById('look').click()")
    browser.until("document.documentElement.dataset.look === 'dark'")
    browser.run("document.getElementById('play').click()")
    if count > 2:
        browser.until("Number(document.documentElement.dataset.frame) > 0")
    text = browser.run("document.body.innerText")
    for said in (run.verdict.sentence, "perfect sampler", "minigan train config.json", "eval_samples"):
        assert said in text
    assert browser.errors() == []
    assert [url for url in browser.requests() if not url.startswith(("file:", "data:", "blob:"))] == []
