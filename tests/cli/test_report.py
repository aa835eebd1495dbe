"""report: refusals that leave nothing; what stands in the file is tests/reports/test_report.py's."""

import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "code"),
    [([], 2), (["RUN", "-o", "a.pdf"], 2), (["absent"], 3), (["RUN"], 6)],
)
def test_bad_reports_are_refused_and_leave_nothing(minigan_, place, trained, arguments, code, monkeypatch):
    monkeypatch.setitem(sys.modules, "minigan.views.look", None)
    got, out, err = minigan_("report", *[trained if word == "RUN" else word for word in arguments])
    assert got == code and out == "" and len(err.splitlines()) <= 4 and list(place.iterdir()) == []
    assert code != 6 or "minigan[ui]" in err


def test_a_run_becomes_a_file(minigan_, place, trained):
    pytest.importorskip("bokeh", reason="reports need bokeh, the extra ui")
    assert minigan_("report", trained, "-o", "a.html") == (0, "a.html\n", "")
    assert (place / "a.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    code, out, err = minigan_("report", "absent", "-o", "b.html")
    assert code == 3 and "not a run directory" in err and not (place / "b.html").exists()
