"""export: a file that NumPy alone opens."""

import json

import numpy as np
import pytest


def test_an_export_is_opened_by_numpy_alone(minigan_, place, trained):
    code, out, err = minigan_("export", trained, "--npz", "model.npz")
    assert code == 0 and out == "" and "arrays of" in err and "(step 6) in model.npz" in err
    with np.load("model.npz", allow_pickle=False) as file:
        assert json.loads(str(file["architecture"]))["generator"]["sizes"] == [1, 4, 1]
        assert file["average.0.W"].dtype == "float32" and file["shift"].shape == (1, 1)
    assert [path.name for path in place.iterdir()] == ["model.npz"]
    assert minigan_("export", trained, "--npz", "model.npz", "-q") == (0, "", "")


@pytest.mark.rows(
    ("arguments", "code"),
    [
        (["RUN"], 2), (["RUN", "--npz", "a.csv"], 2), (["--npz", "a.npz"], 2),
        (["RUN", "--npz", "absent/a.npz"], 8),
        (["absent", "--npz", "a.npz"], 3), (["RUN", "--npz", "a.npz", "--at", "5"], 3),
        (["RUN", "--npz", "a.npz", "--at", "x"], 3), (["RUN", "--npz", "/dev/null/a.npz"], 8),
    ],
)  # fmt: skip
def test_bad_exports_are_refused_and_leave_nothing(minigan_, place, trained, arguments, code):
    got, out, err = minigan_("export", *[trained if word == "RUN" else word for word in arguments])
    assert got == code and out == "" and len(err.splitlines()) <= 4 and list(place.iterdir()) == []
