"""explain: what the command prints, and which arguments it refuses."""

import pytest


def test_explain_as_text_and_json(minigan_, tiny, place, files, monkeypatch, one_object):
    monkeypatch.setattr("minigan.profiling.explain.SECONDS", 0.01)
    code, out, err = minigan_("explain", *tiny, "--seeds", 2, "--set", f"data={files / 'three.csv'}")
    assert code == 0 and err == "" and "2 seeds at once" in out and "GFLOP/s" in out
    code, out, err = minigan_("explain", *tiny, "--passes", "exact", "--json")
    told = one_object(out)
    assert code == 0 and err == "" and told["passes"] == "exact" and list(place.iterdir()) == []
    assert [stage["name"] for stage in told["stages"]][0] == "as recorded"


@pytest.mark.rows("arguments", [["--seeds", "0"], ["--passes", "some"], ["gausian"], ["--set", "batch=0"]])
def test_bad_explanations_are_refused(minigan_, arguments):
    code, out, err = minigan_("explain", *arguments)
    assert code == 2 and out == "" and err
