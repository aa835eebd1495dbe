"""doctor: findings, and the exit code where something is in the way."""


def test_doctor_reports_and_leaves_nothing(minigan_, place, monkeypatch, one_object):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.delenv("OPENBLAS_L2_SIZE", raising=False)
    code, out, err = minigan_("doctor")
    assert (
        err == "" and "numpy" in out and code == (6 if "LOOK" in out else 0) and list(place.iterdir()) == []
    )
    result = one_object(minigan_("doctor", "--json")[1])
    assert result["ok"] == (code == 0) and {"name", "value", "ok", "advice"} == set(result["findings"][0])


def test_doctor_leaves_with_6_where_something_is_in_the_way(minigan_, place, one_object):
    (place / "file").write_text("x")
    code, out, _ = minigan_("doctor", "--out", "file")
    assert code == 6 and "LOOK runs" in out and "→" in out
    code, out, _ = minigan_("doctor", "--out", "file", "--json")
    assert code == 6 and one_object(out)["ok"] is False
