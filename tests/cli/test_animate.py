"""animate: a run in its frames, and refusals that leave nothing."""

import pytest


def test_a_run_becomes_a_file(minigan_, place, trained):
    pytest.importorskip("matplotlib")
    code, out, err = minigan_("animate", trained, "-o", "a.gif", "--fps", "1")
    assert (code, out, err) == (0, "a.gif\n", "") and (place / "a.gif").read_bytes().startswith(b"GIF89a")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["RUN"], 2), (["RUN", "-o", "a.avi"], 2), (["RUN", "-o", "a.gif", "--fps", "0"], 2),
        (["absent", "-o", "a.gif"], 3), (["RUN", "-o", "a.mp4"], 6),
    ],
)  # fmt: skip
def test_bad_pictures_are_refused_and_leave_nothing(minigan_, place, trained, arguments, code, monkeypatch):
    monkeypatch.setenv("PATH", "")
    got, out, err = minigan_("animate", *[trained if word == "RUN" else word for word in arguments])
    assert got == code and out == "" and len(err.splitlines()) <= 4 and list(place.iterdir()) == []
