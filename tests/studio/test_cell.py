"""A studio in a cell: opened and closed beside whatever else the process does, for who has the address."""

import sys
import urllib.error
import urllib.request
from html import unescape

import pytest

import minigan as mg
from minigan.errors import ConfigError, DataError, UnavailableError

TINY = {"generator": {"widths": [4]}, "discriminator": {"widths": [4]}, "batch": 8, "steps": 100}


@pytest.fixture
def bokeh():
    pytest.importorskip("bokeh", reason="the page needs bokeh, the extra ui")


def test_a_cell_shows_the_page_until_it_is_closed(bokeh):
    with mg.studio("normal(4, 1.25)", **TINY) as page, mg.studio(preset="ring8", height=700) as other:
        assert page.url != other.url and page.step == 0 and not page.closed
        assert f'src="{page.url}"' in unescape(page._repr_html_()) and 'height="700"' in other._repr_html_()
        with urllib.request.urlopen(page.url, timeout=20) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(other.url.rsplit("/", 2)[0] + "/", timeout=20)
    assert page.closed and other.closed and repr(page) == "<studio closed>"
    assert "iframe" not in page._repr_html_()
    page.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(page.url, timeout=20)


def test_a_run_goes_on_from_its_checkpoint(bokeh, tmp_path, monkeypatch, brief_judge):
    monkeypatch.setattr("minigan.front.figures.save_overview", lambda run: run.plots / "overview.png")
    settings = {"steps": 4, "eval_every": 2, "eval_samples": 100, "progress": False}
    run = mg.fit("normal(0, 1)", directory=tmp_path / "run", **settings)
    with mg.studio(run) as page:
        assert page.step == 4
    with pytest.raises(ConfigError, match="own settings"):
        mg.studio(run, steps=9)
    with pytest.raises(ConfigError, match="in memory"):
        mg.studio(mg.fit("normal(0, 1)", **settings))


def test_what_cannot_be_opened_is_said_by_the_call(bokeh):
    with mg.studio("normal(0, 1)", **TINY) as page:
        port = int(page.url.split(":")[2].split("/")[0])
        with pytest.raises(UnavailableError, match=f"port {port} "):
            mg.studio("normal(0, 1)", port=port, **TINY)
    for given, error in ((("nromal(0, 1)",), ConfigError), (("absent.csv",), DataError)):
        with pytest.raises(error):
            mg.studio(*given)


def test_the_room_can_be_called_whatever_was_imported_first(monkeypatch):
    import minigan.studio.process  # noqa: F401

    assert mg.studio is sys.modules["minigan.studio"] and callable(mg.studio)
    monkeypatch.setitem(sys.modules, "bokeh", None)
    monkeypatch.setattr("minigan.studio.process.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"pip install 'minigan\[ui\]'"):
        mg.studio("normal(0, 1)")
