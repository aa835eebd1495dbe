"""The classes of a conditional run: how labels are read, refused and drawn, and what its verdict finds."""

import numpy as np
import pytest

from minigan.errors import ConfigError, DataError
from minigan.evaluation.by_class import LEAKAGE
from minigan.probability.text_form import parse
from minigan.training.data import read_data
from minigan.training.experiment import Ensemble, Experiment
from minigan.training.frames import read_frame
from minigan.training.labels import Labels, of_mixture, ranks, restored, stored
from minigan.training.marks import marks_of, text_of
from minigan.training.metrics import verdict
from minigan.training.saved import _verdict
from minigan.training.settings import resolve

TWO = "0.25*normal(-2, 0.5) + 0.75*normal(2, 1)"
TINY = ("generator.widths=[4]", "discriminator.widths=[5]", "batch=8", "steps=8", "eval_samples=400")


def experiment(*sets, data=None):
    return Experiment(resolve(environ={}, sets=(*TINY, *sets)), data=data)


def test_a_label_is_its_text():
    for value, text in (
        ("a b ", "a b"), (1, "1"), (1.0, "1"), ("1.0", "1"), (np.int8(3), "3"), (True, "True"), (0.5, "0.5"),
        (np.str_("x"), "x"), (b"x", "x"), (None, None), (float("nan"), None), ("", None), ("NA", None),
        ("-2", "-2"), ("setosa\n", "setosa"), ("a\tb", "a\\tb"),
    ):  # fmt: skip
        assert text_of(value) == text, value
    assert marks_of("y", [10, 2, 10, 2.0, None], "X").classes == ("2", "10")  # as numbers
    assert marks_of("y", ["b", "a", "b", "a"], "X").codes.tolist() == [1, 0, 1, 0]
    assert marks_of("y", np.array([True, False] * 2).tolist(), "X").classes == ("False", "True")


def test_a_column_of_a_file_or_a_frame_is_the_label(tmp_path):
    path = tmp_path / "flowers.csv"
    path.write_text('x,kind,y\n1,"a, b",4\n2,c,5.5\n3,c,6\n4,"a, b",8\n')
    for label, columns in (("kind", None), (1, None), ("KIND", ["x", "kind", "y"])):
        data = read_data(path, label=label, columns=columns)
        assert data.names == ("x", "y") and data.marks.name == "kind" and data.marks.classes == ("a, b", "c")
        assert data.values.tolist() == [[1, 4], [2, 5.5], [3, 6], [4, 8]]
        assert data.marks.codes.tolist() == [0, 1, 1, 0]
    assert read_data(path, label="kind", columns=["y"]).names == ("y",)
    assert read_data(path, columns=["x"]).marks is None
    np.save(tmp_path / "a.npy", np.array([[1.0, 0], [2, 1], [3, 1], [5, 0]]))
    data = read_data(tmp_path / "a.npy", label=1)
    assert data.names == ("x0",) and data.marks == ("x1", ("0", "1"), data.marks.codes)
    frame = {"kind": ["u", "v", "v", "u"], "x": [1.0, 2, 4, 3]}
    for given in ({"label": "kind"}, {"y": frame["kind"], "columns": ["x"]}):
        data = read_frame(frame, **given)
        assert data.marks.classes == ("u", "v") and data.values[:, 0].tolist() == [1, 2, 4, 3]


def test_rows_without_a_label_are_refused_or_dropped(tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_text("x,kind\n1,a\n2,\n3,b\n4,b\n5,a\n6,c\n7,c\nnan,c\n")
    with pytest.raises(DataError, match="label 'kind' is missing in 1 of 8 rows, the first is row 2, "):
        read_data(path, label="kind")
    data = read_data(path, label="kind", drop_nonfinite=True)
    assert data.values[:, 0].tolist() == [1, 3, 4, 5, 6, 7] and data.marks.codes.tolist() == [
        0,
        1,
        1,
        0,
        2,
        2,
    ]
    path.write_text("x,kind\n1,a\n2,a\n3,b\n4,b\nnan,c\n5,c\n")
    with pytest.raises(DataError, match="'c' in 1 row"):
        read_data(path, label="kind", drop_nonfinite=True)


X = np.arange(24.0).reshape(12, 2) ** 1.5
BAD = {
    "is 'a' in every row": ["a"] * 12,
    "has no value": [None] * 12,
    "'b' in 1 row": ["a"] * 11 + ["b"],
    "12 different values in 12 rows": list(range(12)),
    "received 11 labels": list("ab" * 6)[:11],
    "received shape (12, 2)": X,
    "received 'species'": "species",
    "received 3": 3,
    "missing in 1 of 12 rows, the first is row 12, with no value; correct": [*[1, 2] * 5, 1, float("nan")],
    "the first is row 3, with 'none', which says that there is none; call": ["a", "b", "none"] * 4,
    "is 'a' in every one of the 6 rows that have one": ["a", None] * 6,
    "a label for each row, received {'a': 1}": {"a": 1},
}


@pytest.mark.rows("says", BAD)
def test_labels_that_are_refused(says):
    with pytest.raises(DataError) as refused:
        read_frame(X, y=BAD[says])
    assert says in str(refused.value)


def test_settings_that_are_refused():
    for sets, says in (
        ((f"target={TWO}", "label=species"), "whose only label is 'component'"),
        (("label=component",), "is none; write one, as 0.5"),
        ((f"target={TWO}", "label=component", "conditioning=batch_norm"), "concatenation, projection"),
    ):
        with pytest.raises(ConfigError, match=says):
            resolve(environ={}, sets=sets)


def test_classes_are_drawn_by_their_priors_and_rows_of_each_from_its_own():
    labels, rng = of_mixture("component", parse(TWO)), np.random.default_rng(0)
    np.testing.assert_allclose(labels.priors, [0.25, 0.75])
    for even in (False, True):
        codes = labels.batches(rng, (50, 2, 40), 1, even)
        counts = (codes == 0).sum(axis=-1)
        assert abs(counts.mean() - 10) < (0.2 if even else 1.5)
        assert counts.min() >= 9 and counts.max() <= 11 if even else counts.std() > 1.5
        rows = labels.rows(rng, codes, 1, even)[..., 0]
        for k, part in enumerate(labels.conditionals):
            u = part.cdf(rows[codes == k])
            assert abs(u.mean() - 0.5) < (0.01 if even else 0.05) and 0 < u.min() < 0.01
    assert (
        labels.codes(np.random.default_rng(1), 5).tolist()
        == labels.codes(np.random.default_rng(1), 9)[:5].tolist()
    )


def test_ranks_are_one_from_each_slice_of_its_class():
    codes = np.array([[0, 1, 0, 0, 1, 0, 2, 1], [1, 1, 1, 1, 1, 1, 1, 1]])
    u = ranks(np.random.default_rng(0), codes)
    for row, own in zip(u, codes, strict=True):
        for k in set(own.tolist()):
            n = int((own == k).sum())
            assert sorted((row[own == k] * n).astype(int)) == list(range(n))
    packed = ranks(np.random.default_rng(0), np.zeros((1, 8), int), packing=2)
    assert (
        sorted((packed[0, ::2] * 4).astype(int)) == sorted((packed[0, 1::2] * 4).astype(int)) == [0, 1, 2, 3]
    )


@pytest.mark.parametrize(
    "sets",
    [
        (),
        ("random=philox", "conditioning=projection", "objective=relativistic"),
        ("packing=4", "wgan_gp=1", "draws=stratified", "instance_noise=0.1"),
        ("order=simultaneous", "latent.size=3", "unrolled=1"),
    ],
    ids=["default", "philox", "packs", "simultaneous"],
)
def test_an_ensemble_trains_each_as_alone(sets):
    config = resolve(environ={}, sets=(*TINY, f"target={TWO}", "label=component", "method=plain", *sets))
    together = Ensemble.of_seeds(config, [0, 1])
    together.advance(8)
    for one in together.experiments:
        alone = Experiment(one.config)
        alone.advance(8)
        for name, array in alone.arrays().items():
            np.testing.assert_array_equal(array, one.arrays()[name], err_msg=name)
        np.testing.assert_array_equal(alone.sample(5, condition="1"), one.sample(5, condition="1"))
    with pytest.raises(ConfigError, match="no class '7'; "):
        alone.sample(5, condition=7)


class Perfect:
    """An experiment whose generator is the target, or gives each class what another is."""

    def __init__(self, real, turned):
        self._real, self._turned = real, turned

    def __getattr__(self, name):
        return getattr(self._real, name)

    def sample(self, count, index=0, *, averaged=True, condition=None):
        sampler, labels = self._real.sampler(), self._real.labels
        codes = sampler.codes(count, index, condition)
        codes = (codes + 1) % labels.count if self._turned else codes
        return labels.rows(np.random.default_rng(index % 2**32 + 7), codes)


def test_a_verdict_knows_each_class(brief_judge):
    """A perfect sampler passes; one that swaps equal shares has the right whole, and is told by classes."""
    real = experiment("target=0.5*normal(-2, 1) + 0.5*normal(2, 1)", "label=component")
    found, _ = verdict(Perfect(real, turned=False), 2000)
    assert found.indistinguishable and [part.name for part in found.classes] == ["0", "1"]
    leak = next(row for row in found.rows if row.name == LEAKAGE)
    assert leak.within and leak.perfect == pytest.approx(0.0228, abs=0.002)  # Φ(−2)
    assert _verdict(found.as_dict()).as_dict() == found.as_dict()
    swapped, sample = verdict(Perfect(real, turned=True), 2000)
    assert swapped.distinguishable and all(part.verdict.distinguishable for part in swapped.classes)
    assert next(row for row in swapped.rows if row.name == LEAKAGE).value > 0.9
    assert all(row.within for row in swapped.rows if row.name != LEAKAGE), swapped.sentence
    assert "class 0 (KS" in swapped.sentence and abs(sample.mean()) < 0.2


def test_classes_of_data_are_parted_alike_and_judged_by_their_own(brief_judge):
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c"], [300, 240, 60])
    rows = rng.normal(size=(600, 2)) + 3.0 * (y == "b")[:, None] - 3.0 * (y == "c")[:, None]
    real = experiment("data=X", "label=label", data=read_frame(rows, y=y))
    assert np.bincount(real.held_classes).tolist() == [60, 48, 12]
    assert [len(c.values) for c in real.labels.conditionals] == [240, 192, 48]
    assert "3 classes by 'label': a 300, b 240, c 60" in real.notes
    judged, _ = verdict(real, 200)
    assert [part.name for part in judged.classes] == ["a", "b", "c"] and judged.distinguishable


def test_a_checkpoint_tells_of_classes():
    labels = Labels("kind", ("a", "b"), np.array([0.25, 0.75]))
    again = restored(stored(labels))
    assert (again.name, again.classes, again.priors.tolist()) == ("kind", ("a", "b"), [0.25, 0.75])
    assert restored({}) is None and stored(None) == {}
    for wrong in ({"priors": [1.0]}, {"classes": ["a", "a"]}, {"priors": [2.0, -1.0]}, {"classes": None}):
        with pytest.raises(ValueError, match="do not fit"):
            restored({**stored(labels), **wrong})
