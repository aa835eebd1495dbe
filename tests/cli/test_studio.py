"""The command that opens a live page: without the extra, and what it refuses."""

from contextlib import nullcontext


def test_without_bokeh_the_command_says_what_to_install(minigan_, monkeypatch):
    monkeypatch.setattr("minigan.studio.process.find_spec", lambda name: None)
    code, out, err = minigan_("studio", "gaussian")
    assert code == 6 and out == "" and "pip install 'minigan[ui]'" in err


def test_what_is_refused(minigan_, monkeypatch, runs):
    monkeypatch.setattr("minigan.studio.process.find_spec", lambda name: True)
    monkeypatch.setattr("minigan.studio.process.ServerProcess", nullcontext)
    for arguments, expected, says in (
        (["nobody"], 2, "nobody"),
        (["--port", "70000"], 2, "port"),
        (["--set", "batch=0"], 2, "batch"),
        (["--data", "nowhere.csv"], 3, "nowhere"),
        ([next(runs.iterdir()), "--set", "batch=8"], 2, "a run has its own settings"),
    ):
        code, out, err = minigan_("studio", *arguments)
        assert (code, out) == (expected, "") and says in err, err


def test_a_run_goes_on_where_it_was(minigan_, monkeypatch, runs):
    opened = []
    monkeypatch.setattr("minigan.studio.process.require_bokeh", lambda: None)
    monkeypatch.setattr("minigan.studio.process.ServerProcess", nullcontext)
    monkeypatch.setattr("minigan.studio.opening.serve", lambda *given, **more: opened.append((given, more)))
    run = next(runs.iterdir())
    assert minigan_("studio", run)[0] == 0
    ((request,), more) = opened[0]
    from minigan.studio.course import Course

    course = Course(request, start=more["start"], step=more["step"])
    assert course.latest.step == 6 and course.config.name == request.config.name
