"""What every classifier of labelled rows has: posteriors, classes, accuracy.

``generative.GaussianClassifier``          learns p(x | C_k) and p(C_k), comes to p(C_k | x) by Bayes' rule
``discriminative.LogisticRegression``      learns p(C_1 | x) of two classes alone: one dense layer, D's loss
``discriminative.SoftmaxRegression``       the same for K classes

Where the classes are Gaussian with one covariance, the log-odds are linear in x, so all of them fit the
same σ(w·x + b): the generative one with less noise, the discriminative one also for other classes.
Methods and attributes have scikit-learn's names. Arrays come in, float64 arrays on the host come out.
"""

import dataclasses
from typing import Any, Self

import numpy as np

from minigan.models.posterior import log_posterior
from minigan.probability._numerics import host, unit_scaled


class NotFittedError(ValueError, AttributeError):
    """A classifier was asked before it was fitted.

    >>> from minigan.models import GaussianClassifier
    >>> GaussianClassifier().predict([[0.0]])
    Traceback (most recent call last):
        ...
    minigan.models.classifiers.NotFittedError: this GaussianClassifier is not fitted yet; call ...
    """


class ConvergenceWarning(UserWarning):
    """The fit ended where the likelihood has no maximum, or before it reached one.

    >>> from minigan.models import ConvergenceWarning
    >>> issubclass(ConvergenceWarning, Warning)
    True
    """


class Classifier:
    """What follows for every classifier from its scores: ln p(C_k | x), up to what all classes share."""

    classes_: np.ndarray
    n_features_in_: int

    def _scores(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def predict_log_proba(self, X) -> np.ndarray:
        """ln p(C_k | x).

        Shapes:  X (n, p) → (n, K), columns in the order of ``classes_``
        Units:   nats
        Source:  [T11]
        """
        return log_posterior(self._scores(self._rows(X)))

    def predict_proba(self, X) -> np.ndarray:
        """p(C_k | x) = softmax_k(a).

        Shapes:  X (n, p) → (n, K), columns in the order of ``classes_``
        Source:  [T11]
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X) -> np.ndarray:
        """The class of the largest posterior: no rule errs more rarely, if the posterior is right.

        Shapes:  X (n, p) → (n,)
        """
        best = self._scores(self._rows(X)).argmax(axis=1)
        return self.classes_[best]

    def decision_function(self, X) -> np.ndarray:
        """a = ln [p(x, C_1) / p(x, C_0)] for two classes; a_k of [T11] for more.

        Positive for ``classes_[1]``, as scikit-learn has it: this is C₁ of [T10], and ``classes_[0]`` its C₂.

        Shapes:  X (n, p) → (n,) for K = 2, (n, K) otherwise
        Units:   nats
        Source:  [T10], [T11]
        """
        scores = self._scores(self._rows(X))
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def score(self, X, y) -> float:
        """The share of rows whose class is predicted: accuracy."""
        X = self._rows(X)
        return float((self.predict(X) == _labels(y, len(X))).mean())

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments that this classifier was made with."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def set_params(self, **params) -> Self:
        """Change arguments by name; they count from the next fit on.

        Raises:  ValueError – for an unknown name
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{type(self).__name__} has {', '.join(known)}; received {name!r}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        name = type(self).__name__
        raise TypeError(f"minigan.models.{name} is no estimator of scikit-learn; minigan.sklearn.{name} is")

    def _training_rows(self, X, y):
        """Checked rows and the number of each row's class; learns classes and features."""
        X = _matrix(X)
        y = _labels(y, len(X))
        try:
            classes, codes = np.unique(y, return_inverse=True)
        except TypeError:
            raise TypeError(
                "labels must be of one kind that can be sorted, such as text or numbers"
            ) from None
        if len(classes) < 2:
            raise ValueError(
                f"a classifier needs at least two classes; all labels are {classes.tolist()[0]!r}"
            )
        return X, classes, codes.ravel()

    def _require_fit(self):
        if not hasattr(self, "classes_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit(X, y) first")

    def _rows(self, X):
        self._require_fit()
        X = _matrix(X)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"fitted to rows of {self.n_features_in_} features; received {X.shape[1]}")
        return X

    def _pair(self, j, k):
        """The numbers of two classes, named by their labels; of two by default the second and the first."""
        self._require_fit()
        known = self.classes_.tolist()
        if j is None and k is None and len(known) == 2:
            return 1, 0
        if j not in known or k not in known:
            raise ValueError(
                f"log_odds(j, k) compares two of {', '.join(map(repr, known))}; received {j!r}, {k!r}"
            )
        return known.index(j), known.index(k)


def require_squares(X: np.ndarray) -> None:
    """Refuse features of which no covariance can be given, because the squares leave float64.

    Raises:  ValueError – for a feature of sd above 1e150, or below 1e-150 and not constant
    """
    scaled, exponents = unit_scaled(X)
    with np.errstate(over="ignore"):
        sd = np.ldexp(scaled.std(axis=0), exponents)
    for k, size in enumerate(sd):
        if np.ptp(scaled[:, k]) > 0 and not 1e-150 < size < 1e150:
            raise ValueError(
                f"feature {k} has a standard deviation of {size:.3g}, whose square float64 cannot hold; "
                "give it in other units"
            )


def _matrix(X):
    X = host(X, "data X", finite=True)
    if X.ndim != 2:
        raise ValueError(f"X is a table (n, p), one row per observation; received shape {X.shape}")
    return X


def _labels(y, n):
    y = np.asarray(y)
    if y.shape != (n,):
        raise ValueError(f"y needs one label for each of the {n} rows of X; received shape {y.shape}")
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise ValueError("y holds NaN; give every row a label, or leave the row out")
    return y
