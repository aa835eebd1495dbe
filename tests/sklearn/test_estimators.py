"""minigan.sklearn: scikit-learn's own checks, and an estimator is the run, or the model, that it wraps."""

import inspect
import pickle
import sys
import unittest
import warnings
from functools import cache

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone, is_classifier  # noqa: E402  without it there is nothing to test
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import estimator_checks_generator  # noqa: E402

import minigan as mg  # noqa: E402
from minigan import models  # noqa: E402
from minigan.errors import DataError  # noqa: E402
from minigan.machine import limited  # noqa: E402
from minigan.sklearn import (  # noqa: E402
    GANSampler,
    GaussianClassifier,
    LogisticRegression,
    SoftmaxRegression,
)
from minigan.sklearn.sampler import LEFT_OUT, OWN, SETTINGS  # noqa: E402
from minigan.training.config import fields  # noqa: E402
from minigan.training.signals import Interrupted  # noqa: E402

TINY = {"steps": 5, "batch": 16, "generator__widths": (4,), "discriminator__widths": (4,), "random_state": 1,
        "eval_samples": 100}  # fmt: skip
CHECKED = {
    "GANSampler": GANSampler(**TINY),
    "shared": GaussianClassifier(),
    "full": GaussianClassifier(covariance="full", shrinkage=0.5),
    "diagonal": GaussianClassifier(covariance="diagonal"),
    "logistic": LogisticRegression(max_steps=20),
    "softmax": SoftmaxRegression(max_steps=20),
}
X = np.random.default_rng(0).normal(size=(120, 2)) * [1.0, 5.0] + [3.0, -2.0]
Y = np.where(X[:, 0] + np.random.default_rng(1).normal(size=120) > 3, "in", "out")


@cache
def fitted_sampler():
    """A sampler that no test changes."""
    return GANSampler(**TINY).fit(X)


@cache
def labelled_sampler():
    """One that learned classes, and that no test changes."""
    return GANSampler(**TINY).fit(X, Y)


@pytest.mark.parametrize("name", CHECKED)
def test_scikit_learns_checks_pass(name, monkeypatch):
    """All of them, but where the library of the arrays that it would give is not installed."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    passed = 0
    with warnings.catch_warnings(), limited(1):
        warnings.simplefilter("ignore")
        for estimator, check in estimator_checks_generator(CHECKED[name]):
            try:
                check(estimator)
                passed += 1
            except unittest.SkipTest as skipped:
                assert "is not installed" in str(skipped)
    assert passed >= (40 if name == "GANSampler" else 54)


def test_a_sampler_is_the_run_with_its_settings(monkeypatch):
    """Bitwise, whatever the environment says."""
    monkeypatch.setenv("MINIGAN_COLUMNS", "1")
    monkeypatch.setenv("MINIGAN_OBJECTIVE", "hinge")
    sampler = GANSampler(**TINY).fit(X)
    monkeypatch.undo()
    settings = {name: value for name, value in TINY.items() if name != "random_state"}
    run = mg.fit(X, seed=1, holdout=0, method="plain", progress=False, **settings)
    np.testing.assert_array_equal(sampler.sample(30, 7), run.sample(30, seed=7))
    np.testing.assert_array_equal(sampler.run_.metrics["step"], [0, 5])
    np.testing.assert_array_equal(sampler.sample(30), sampler.sample(50, random_state=1)[:30])


def test_its_parameters_are_the_settings():
    signature = inspect.signature(GANSampler)
    assert {*SETTINGS.values()} | LEFT_OUT == fields().keys() and not {*SETTINGS.values()} & LEFT_OUT
    assert list(signature.parameters) == ["random_state", *SETTINGS]
    for parameter, name in SETTINGS.items():
        assert signature.parameters[parameter].default == OWN.get(name, fields()[name].default)
        assert f"{parameter} : {fields()[name].rule}" in GANSampler.__doc__
    sampler = GANSampler(generator__widths=[8])
    assert sampler.set_params(generator__widths=(16, 16), steps=7).get_params()["generator__widths"] == (
        16,
        16,
    )
    for wrong in (lambda: GANSampler(step=3), lambda: sampler.set_params(step=3)):
        with pytest.raises((TypeError, ValueError), match="no parameter 'step'; did you mean 'steps'"):
            wrong()


@pytest.mark.parametrize(("params", "says"), [
    ({"steps": 0}, "steps must be an integer from 1 to 1000000000, received 0"),
    ({"generator_optimizer__rate": -1}, "generator_optimizer__rate must be a finite number above 0, receiv"),
    ({"order": "sideways"}, "order must be one of alternating"),
    ({"random_state": -1}, "random_state must be an integer from 0"),
    ({"batch": 10, "packing": 3}, "packing 3 must divide the batch of 10"),
    ({"generator__widths": (10**9,)}, r"generator__widths\[0\] must be an integer"),
], ids=lambda part: next(iter(part)) if isinstance(part, dict) else "")  # fmt: skip
def test_a_refused_parameter_is_a_value_error_with_its_name(params, says):
    with pytest.raises(ValueError, match=says):
        GANSampler(**(TINY | params)).fit(X)


def test_numbers_of_a_search_are_numbers():
    """NumPy's kinds, as np.logspace and a list of them give."""
    params = {
        "generator_optimizer__rate": np.float64(0.01),
        "batch": np.int64(16),
        "generator__widths": np.array([4]),
    }
    np.testing.assert_array_equal(
        GANSampler(**(TINY | params)).fit(X).sample(3),
        GANSampler(**(TINY | {"generator_optimizer__rate": 0.01})).fit(X).sample(3),
    )


def test_a_sampler_scores_what_it_learned():
    """A trained one above an untrained one, which is above one for other data; in any unit of the data."""
    trained = GANSampler(steps=300, batch=64, random_state=0).fit(X)
    scores = [trained.score(X), fitted_sampler().score(X), trained.score(X + 40)]
    assert scores == sorted(scores, reverse=True) and -0.2 < scores[0] <= 0 and scores[2] < -5
    assert trained.score(X) == scores[0]
    assert trained.score(trained.sample(2000, random_state=0)) < 0  # it scores with rows that no sample has
    scaled = GANSampler(steps=300, batch=64, random_state=0).fit(X * 1024)
    assert scaled.score(X * 1024) == pytest.approx(scores[0], abs=1e-4)


@pytest.mark.parametrize("count", [0, 2.5, "3"])
def test_a_number_of_rows_is_whole(count):
    with pytest.raises(ValueError, match="n_samples is a whole number ≥ 1; received"):
        fitted_sampler().sample(count)


def test_one_feature_has_log_densities():
    x = X[:, :1]
    fitted = GANSampler(**TINY).fit(x)
    grid = np.linspace(-20, 30, 20001)
    densities = np.exp(fitted.score_samples(grid[:, None]))
    assert np.trapezoid(densities, grid) == pytest.approx(1, abs=0.05)  # it is infinite where G turns back
    assert (fitted.score_samples([[-1e6]]) == -np.inf).all()
    assert hasattr(GANSampler(), "score_samples") and not hasattr(GANSampler(**TINY).fit(X), "score_samples")
    with pytest.raises(ValueError, match="2 latent numbers make 1 feature"):
        GANSampler(**TINY, latent__size=2).fit(x).score_samples(x)


def test_labels_make_a_sampler_of_classes():
    """It is the conditional run, with classes as y has them."""
    fitted, free = labelled_sampler(), {k: v for k, v in TINY.items() if k != "random_state"}
    run = mg.fit(X, y=Y, seed=1, holdout=0, method="plain", progress=False, **free)
    assert fitted.classes_.tolist() == list(run.classes) == ["in", "out"]
    np.testing.assert_allclose(fitted.class_prior_, [np.mean(Y == "in"), np.mean(Y == "out")])
    rows, told = fitted.sample(40, 7, return_y=True)
    np.testing.assert_array_equal(rows, run.sample(40, seed=7))
    assert told.tolist() == run.labels(40, seed=7).tolist() and {*told} == {"in", "out"}
    np.testing.assert_array_equal(fitted.sample(40, 7, y=told), rows)
    np.testing.assert_array_equal(fitted.sample(40, 7, y="in")[told == "in"], rows[told == "in"])
    scores = fitted.score(X), fitted.score(X, Y), fitted.score(X, np.where(Y == "in", "out", "in"))
    assert 0 > scores[1] > scores[2] and scores[0] not in scores[1:]  # classes count beside the rows
    assert np.isfinite(cross_val_score(fitted, X, Y, cv=2)).all()
    given = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(given.sample(9, y="out"), fitted.sample(9, y="out"))
    fitted = GANSampler(**TINY)
    for y in (np.where(Y == "in", 9, 10), Y == "in", np.where(Y == "in", 2.0, -1.0)):
        fitted.fit(X, y)
        told = fitted.sample(40, return_y=True)[1]
        assert told.dtype == y.dtype and {*told} == {*y}
        np.testing.assert_array_equal(fitted.sample(2, y=[*y[:2]], return_y=True)[1], y[:2])
    assert not hasattr(fitted.fit(X), "classes_")  # the labels of another fit are forgotten


def test_labels_that_are_none_are_refused():
    new, plain, told = GANSampler(**TINY), fitted_sampler(), labelled_sampler()
    for call, says in (
        (lambda: new.fit(X, X[:, 0]), "y are classes: whole numbers, texts or truth values; received"),
        (lambda: new.fit(X, ["a"] * 120), "is 'a' in every row"),
        (lambda: new.fit(X, ["a"] * 119 + ["b"]), "is 'b' in 1 row"),
        (
            lambda: new.fit(X, ["a", "b", "none"] * 40),
            "missing in 40 of 120 rows, the first is row 3, with '",
        ),
        (lambda: new.fit(X, Y[:7]), "inconsistent numbers of samples"),
        (lambda: plain.sample(3, y="in"), "fit was given no y"),
        (lambda: plain.sample(3, return_y=True), "fit was given no y"),
        (lambda: told.sample(3, y="inn"), "there is no class 'inn'; did you mean 'in'"),
        (lambda: told.sample(3, y=["in"]), "of 3 rows as many classes are needed, received 1; give"),
        (lambda: told.score(X, ["on"] * 120), "the class 'on', which was not learned; choose one of in, out"),
    ):
        with pytest.raises(ValueError, match=says):
            call()


def test_an_interrupt_ends_a_search(monkeypatch):
    """scikit-learn takes any other exception for one fit that failed."""

    def interrupted(*_, **settings):
        raise Interrupted(2, "memory")

    monkeypatch.setattr("minigan.sklearn.sampler.fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cross_val_score(GANSampler(**TINY), X, cv=2)


def test_random_states():
    fixed, free = fitted_sampler(), GANSampler(**(TINY | {"random_state": None})).fit(X)
    assert (fixed.sample(4) == fixed.sample(4)).all() and not (free.sample(4) == free.sample(4)).any()
    assert free.seed_ != GANSampler(**(TINY | {"random_state": None})).fit(X).seed_
    shared = np.random.RandomState(3)
    assert GANSampler(**(TINY | {"random_state": shared})).fit(X).seed_ != clone(fixed).set_params(
        random_state=shared).fit(X).seed_  # fmt: skip


def test_a_sampler_survives_a_pickle_a_clone_and_a_pipeline():
    fitted = fitted_sampler()
    text = pickle.dumps(fitted)
    assert len(text) < 50_000 and X[0].tobytes() not in text and X[:, 0].tobytes() not in text
    given = pickle.loads(text)
    np.testing.assert_array_equal(given.sample(5), fitted.sample(5))
    assert given.run_.verdict == fitted.run_.verdict and given.score(X) == fitted.score(X)
    assert given.run_.metrics["step"].tolist() == [0, 5]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(given)).sample(5), fitted.sample(5))
    for asked in (lambda: given.run_.resume(9), lambda: given.run_.findings, lambda: given.run_.save("x")):
        with pytest.raises(DataError, match="came out of a pickle, without the rows that it learned"):
            asked()
    assert clone(fitted).get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        clone(fitted).sample(5)
    pipeline = make_pipeline(StandardScaler(), GANSampler(**TINY)).fit(X)
    assert np.isfinite(pipeline.score(X))
    search = GridSearchCV(GANSampler(**TINY), {"generator__widths": [(2,), (4,)]}, cv=2, refit=False)
    assert np.isfinite(search.fit(X).cv_results_["mean_test_score"]).all()
    assert np.isfinite(cross_val_score(pipeline, X, cv=2)).all()


def test_data_frames_give_their_names():
    """In and out; another order is refused as scikit-learn's estimators do."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["height", "width"])
    fitted = GANSampler(**TINY).fit(frame)
    assert list(fitted.feature_names_in_) == ["height", "width"] and fitted.n_features_in_ == 2
    made = fitted.set_output(transform="pandas").sample(3)
    assert isinstance(made, pd.DataFrame) and list(made.columns) == ["height", "width"]
    np.testing.assert_array_equal(made.to_numpy(), fitted.set_output(transform="default").sample(3))
    with sklearn.config_context(transform_output="pandas"):
        assert list(GANSampler(**TINY).fit(X).sample(3).columns) == ["x0", "x1"]
    with pytest.raises(ValueError, match="same order"):
        fitted.score(frame[["width", "height"]])
    with pytest.raises(ValueError, match="transform is one of default, pandas, polars"):
        fitted.set_output(transform="arrow")
    for of, column, says in (("name", "p", "'p' is text"), ("day", pd.Timestamp(2020, 1, 1), "dates cannot"),
                             ("width", np.nan, "values that are missing")):  # fmt: skip
        for estimator in (GANSampler(**TINY), GaussianClassifier()):
            with pytest.raises(ValueError, match=says) as caught:
                estimator.fit(frame.assign(**{of: column}), Y)
            if of != "width":
                assert f"column {of!r}" in str(caught.value)
                assert str(caught.value).endswith("take the columns that are numbers: X[['height', 'width']]")
    for model in (*map(GaussianClassifier, ("shared", "full", "diagonal")), LogisticRegression()):
        model.fit(frame, Y)
        assert list(model.feature_names_in_) == ["height", "width"]
        assert model.score(frame, Y) > 0.6 and len(model.predict_proba(frame)) == len(frame)


def test_polars_frames_are_made():
    pl = pytest.importorskip("polars")
    made = GANSampler(**TINY).fit(X[:2]).set_output(transform="polars").sample(2)
    assert isinstance(made, pl.DataFrame) and made.columns == ["x0", "x1"]
    np.testing.assert_array_equal(made.to_numpy(), GANSampler(**TINY).fit(X[:2]).sample(2))


@pytest.mark.parametrize("name", ["GaussianClassifier", "LogisticRegression", "SoftmaxRegression"])
def test_a_classifier_is_the_model_that_it_wraps(name):
    wrapped, model = globals()[name](), getattr(models, name)()
    assert is_classifier(wrapped) and wrapped.get_params() == model.get_params()
    wrapped.fit(X, Y), model.fit(X, Y)
    np.testing.assert_array_equal(wrapped.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(wrapped.classes_, model.classes_)
    assert wrapped.score(X, Y) == model.score(X, Y) and wrapped.log_odds()[1] == model.log_odds()[1]
    with limited(1):
        assert cross_val_score(wrapped, X, Y, cv=3).min() > 0.6
    with pytest.raises(TypeError, match=f"minigan.sklearn.{name} is"):
        cross_val_score(model, X, Y)


def test_two_classes_are_asked_for():
    three = np.arange(120) % 3
    with pytest.raises(ValueError, match=r"Only binary classification is supported.*use SoftmaxRegression"):
        LogisticRegression().fit(X, three)
    with pytest.raises(ValueError, match="Unknown label type"):
        SoftmaxRegression().fit(X, X[:, 0])


def test_without_scikit_learn_one_sentence_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("minigan.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"pip install 'minigan\[sklearn\]'"):
        import minigan.sklearn  # noqa: F401
